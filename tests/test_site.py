"""The site as it was built: its links, its code, and what a browser makes of it.

`tox -e tests` builds it and names its folder by NEUMF_SITE; elsewhere these tests are skipped.
"""

import os
import re
import runpy
import shutil
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag, urljoin

import pytest

import neumf
from neumf import base, datasets, metrics, plotting, protocols

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SITE = Path(os.environ.get("NEUMF_SITE", "no such folder"))
SOURCE = "https://github.com/scikit-neumf/scikit-neumf/blob/main/"
PAGES = [
    "index.html",
    "tutorial/amazon_reviews.html",
    "gallery/index.html",
    "gallery/plot_browser.html",
    "gallery/plot_compare.html",
]
SEARCH = "search.html?q=evaluate"
REFERENCE = "reference/generated/neumf.NeuMFRecommender.html"
GUIDE = "guides/which_recommender.html"
GUIDES = [f"guides/{path.stem}.html" for path in sorted((DOCS / "guides").glob("*.md"))]

if not SITE.is_dir():
    pytest.skip("NEUMF_SITE names no built site, see tox -e tests", allow_module_level=True)


class Page(HTMLParser):
    """The links, anchors and pictures of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.pictures = set(), set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag in ("a", "link") and attrs.get("href"):
            self.links.add(attrs["href"])
        if tag in ("img", "script") and attrs.get("src"):
            self.links.add(attrs["src"])
        if tag == "img":
            self.pictures.append(attrs)


@pytest.fixture(scope="module")
def pages():
    """Every page, by its path within the site."""
    paths = [path for path in SITE.rglob("*.html") if "_static" not in path.parts]
    return {path.relative_to(SITE).as_posix(): Page(path) for path in paths}


def test_every_link_within_the_site_leads_to_a_page_and_an_anchor(pages):
    broken = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//", link) or link == "#":
                continue
            target, anchor = urldefrag(urljoin(f"/{name}", link))
            target = unquote(target).lstrip("/").partition("?")[0] or "index.html"
            if not (SITE / target).is_file() or (
                anchor and target in pages and unquote(anchor) not in pages[target].anchors
            ):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_every_link_to_the_source_leads_to_a_file(pages):
    targets = {link for page in pages.values() for link in page.links if link.startswith(SOURCE)}
    paths = {urldefrag(target)[0].removeprefix(SOURCE) for target in targets}
    assert "tests/test_metrics.py" in paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_page_leads_to_where_it_is_changed(pages):
    edit = SOURCE.replace("/blob/", "/edit/")
    paths = {
        link.removeprefix(edit)
        for page in pages.values()
        for link in page.links
        if link.startswith(edit)
    }
    assert {"docs/conventions.md", "examples/plot_compare.py", "CHANGELOG.md"} <= paths
    assert [path for path in sorted(paths) if not (ROOT / path).is_file()] == []


def test_every_link_to_a_heading_of_a_readme_leads_to_one(pages):
    targets = {link for page in pages.values() for link in page.links if link.startswith(SOURCE)}
    for target in targets:
        path, anchor = urldefrag(target.removeprefix(SOURCE))
        if anchor and path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            assert anchor in {github_anchor(heading) for heading in headings(text)}, target


def headings(markdown):
    """Return the headings of a text, its code apart."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def github_anchor(heading):
    """Return the anchor that GitHub gives to a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def test_every_picture_has_a_text(pages):
    without = [
        f"{name}: {picture.get('src')}"
        for name, page in pages.items()
        for picture in page.pictures
        # The title of an example stands beside its thumbnail.
        if not picture.get("alt") and "_thumb." not in picture["src"]
    ]
    assert without == []


@pytest.mark.parametrize("module", [neumf, metrics, datasets, plotting, base, protocols])
def test_every_public_name_has_its_page_in_the_reference(module):
    names = [name for name in module.__all__ if not hasattr(getattr(module, name), "__path__")]
    names = [name for name in names if name not in ("metrics", "plotting")]
    generated = SITE / "reference" / "generated"
    assert [n for n in names if not (generated / f"{module.__name__}.{n}.html").exists()] == []


def test_the_tests_that_the_conventions_name_are_there():
    text = (DOCS / "conventions.md").read_text(encoding="utf-8")
    named = re.findall(r"\[test\]\(source:(tests/\w+\.py) \"(test_\w+)\"\)", text)
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_python_that_does_not_run_is_on_pages_of_foreign_libraries_and_clusters_alone():
    shown = {path.name for path in DOCS.rglob("*.md") if "```python\n" in path.read_text()}
    assert shown == {"export_and_mlflow.md", "clusters_lists_and_search.md", "tune.md"}


def test_the_plot_of_the_mlp_shows_the_figures_of_its_file():
    drawing = runpy.run_path(str(DOCS / "mlp_gains.py"))
    rows = drawing["read"](DOCS / "_static" / "mlp_gains.csv")
    assert (DOCS / "_static" / "mlp_gains.svg").read_text("utf-8") == drawing["draw"](rows)


def test_every_drawing_has_a_title_and_a_description(pages):
    for name in pages:
        text = (SITE / name).read_text(encoding="utf-8")
        for drawing in re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL):
            assert 'role="img" aria-labelledby=' in drawing, name
            assert "<title id=" in drawing, name
            assert "<desc id=" in drawing, name


# In a browser.


@pytest.fixture(scope="module")
def address():
    """Serve the site on this machine alone."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    """Start Chromium, as Debian has it."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def open_page(request, browser, address):
    """Return a function that opens a page at a width and returns it with the browser's errors."""
    contexts = []

    def open_page(path, width):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=request.param
        )
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda failed: complaints.append(f"failed: {failed.url}"))
        page.on(
            "request",
            lambda sent: (
                sent.url.startswith((address, "data:")) or complaints.append(f"asks: {sent.url}")
            ),
        )
        page.goto(f"{address}/{path}", wait_until="networkidle")
        return page, complaints

    yield open_page
    for context in contexts:
        context.close()


# Text that reaches beyond the screen, where nothing around it can be scrolled.
CUT_OFF = r"""
() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) {
      continue;
    }
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    if (range.getBoundingClientRect().right <= innerWidth + 1) continue;
    // Skip text for screen readers, and text that the theme shortens with dots.
    if (element.closest('.sr-only, .visually-hidden')) continue;
    let node = element;
    for (; node; node = node.parentElement) {
      const style = getComputedStyle(node);
      if (['auto', 'scroll'].includes(style.overflowX) || style.textOverflow === 'ellipsis') break;
    }
    if (!node || node.contains(document.querySelector('article'))) found.push(text.slice(0, 60));
  }
  return found;
}
"""


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("path", [*PAGES, SEARCH, GUIDE, "conventions.html", REFERENCE])
def test_a_page_is_whole_in_a_browser(path, width, open_page):
    page, complaints = open_page(path, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT_OFF) == []
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_load_state("networkidle")
    broken = "Array.from(document.images).filter(i => !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    assert complaints == []


def test_the_search_finds_something(open_page):
    page, complaints = open_page(SEARCH, 1280)
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert page.locator("#search-results li").count() > 3
    assert complaints == []


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("gpu", "guides/speed_and_memory.html"),
        ("optuna", "guides/tune.html"),
        ("progress bar", "guides/speed_and_memory.html"),
        ("cold start", "guides/new_users_rows_items.html"),
        ("save", "guides/files.html"),
        ("pandas", "guides/kinds_of_tables.html"),
        ("negative sampling", "explanations/negatives.html"),
    ],
)
def test_the_search_leads_to_the_page_that_answers(words, answer, browser, address):
    page = browser.new_page()
    page.goto(f"{address}/search.html?q={words.replace(' ', '+')}")
    page.wait_for_selector("#search-results p.search-summary:has-text('found')", timeout=20_000)
    links = page.locator("#search-results li a").all()
    assert any(answer in link.get_attribute("href") for link in links[:5])
    page.close()


@pytest.mark.parametrize("path", [*PAGES, *GUIDES, REFERENCE])
def test_no_code_is_cut_off_on_a_small_laptop(path, browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/{path}")
    wide = "p => p.scrollWidth > p.clientWidth + 1 && p.textContent.slice(0, 80)"
    blocks = page.locator("article div.highlight pre").all()
    assert [text for block in blocks if (text := block.evaluate(wide))] == []
    page.close()


@pytest.mark.parametrize("width", [375, 1280])
def test_no_name_of_a_parameter_is_broken(width, browser, address):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{address}/{REFERENCE}")
    lines = "name => name.getClientRects().length"
    names = page.locator("article dl.field-list dt strong").all()
    assert len(names) > 20
    broken = [name.inner_text() for name in names if name.evaluate(lines) > 1]
    # A list of names breaks between them.
    assert [name for name in broken if ", " not in name] == []
    page.close()


def test_a_long_signature_is_folded_on_a_phone(browser, address):
    page = browser.new_page(viewport={"width": 375, "height": 700})
    page.goto(f"{address}/{REFERENCE}")
    signature = page.locator("dt.sig").first
    assert signature.bounding_box()["height"] < 200
    signature.locator("summary").click()
    assert signature.locator("text=n_factors").is_visible()
    page.close()


# The contrast of each text with its background, by WCAG 2: at least 4.5, and 3 for large text.
LOW_CONTRAST = r"""
() => {
  const channels = (color) => (color.match(/[\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const style = getComputedStyle(node);
      const color = channels(style.backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
      if (style.backgroundImage !== 'none') return null;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) {
      continue;
    }
    const style = getComputedStyle(element);
    const [color, ground] = [channels(style.color), behind(element)];
    if (!ground || color.length === 4 && color[3] < 1) continue;
    const [high, low] = [luminance(color), luminance(ground)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    if (ratio < (large ? 3 : 4.5)) {
      found.push(`${text.slice(0, 40)} (${element.tagName} ${element.className}): `
        + `${ratio.toFixed(2)} ${style.color} on ${ground}`);
    }
  }
  return [...new Set(found)];
}
"""


@pytest.mark.parametrize("path", [*PAGES, SEARCH, GUIDE, REFERENCE])
def test_text_stands_out_from_what_is_behind_it(path, open_page):
    page, _ = open_page(path, 1280)
    assert page.evaluate(LOW_CONTRAST) == []
