"""Configure Sphinx for the site, which `tox -e tests` builds."""

import os
import sys
from pathlib import Path

import neumf

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# TensorFlow's messages about the machine would stand in the outputs of the examples.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "scikit-neumf"
author = "The neumf developers"
copyright = f"2026, {author}"
release = neumf.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxext.opengraph",
    "gallery_pictures",
    "mathml",
    "no_mail",
]
exclude_patterns = ["_build", "walkthrough", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
# One backtick is code in docstrings, as it is on the pages.
default_role = "literal"
smartquotes = False

# Pages are Markdown. Docstrings and examples are reStructuredText.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# One parameter a line where a signature is long.
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# The build has no network, so the names of other projects do not link.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(ast|datetime|sklearn|numpy|scipy|pandas|keras|matplotlib|joblib|tensorflow)\..*"),
]

sphinx_gallery_conf = {
    "examples_dirs": ["../examples", "walkthrough"],
    "gallery_dirs": ["gallery", "tutorial"],
    "filename_pattern": r"(plot_\w+|amazon_reviews)\.py$",
    "ignore_pattern": r"(lists_with_dask|quickstart|serve)\.py$",
    "abort_on_example_error": True,
    "parallel": 2,
    # The examples are tests, too: they run each time, and may not warn.
    "run_stale_examples": True,
    "reset_modules": (
        "matplotlib",
        "gallery_pictures.set_style",
        "gallery_warnings.turn_into_errors",
    ),
    "image_scrapers": ("gallery_pictures",),
    "backreferences_dir": "reference/backreferences",
    "doc_module": ("neumf",),
    "reference_url": {"neumf": None},
    "min_reported_time": 1,
    "plot_gallery": "True",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "scikit-neumf"
html_static_path = ["_static"]
html_css_files = ["site.css", "gallery.css"]
html_js_files = ["site.js"]
html_search_scorer = str(Path(__file__).parent / "_ext" / "scorer.js")
html_favicon = "_static/icon.svg"
html_math_renderer = "mathml"
html_show_sourcelink = False
# The source of each page, for its edit button: the gallery and the tutorial are scripts.
html_context = {
    "default_mode": "auto",
    "edit_page_provider_name": "GitHub",
    "edit_page_url_template": (
        "https://github.com/scikit-neumf/scikit-neumf/edit/main/"
        "{% if file_name == 'gallery/index.rst' %}examples/GALLERY_HEADER.rst"
        "{% elif file_name.startswith('gallery/') %}examples/{{ file_name[8:-4] }}.py"
        "{% elif file_name.startswith('tutorial/') %}docs/walkthrough/{{ file_name[9:-4] }}.py"
        "{% elif file_name == 'changelog.md' %}CHANGELOG.md"
        "{% else %}docs/{{ file_name }}{% endif %}"
    ),
}
CHANGED_BY_HAND = [
    "*",
    "explanations/*",
    "gallery/*",
    "guides/*",
    "reference/index",
    "tutorial/amazon_reviews",
]
html_sidebars = {"index": [], "conventions": [], "changelog": [], "tutorial/*": []}
html_theme_options = {
    "github_url": "https://github.com/scikit-neumf/scikit-neumf",
    "use_edit_page_button": True,
    "header_links_before_dropdown": 8,
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    # Pages of docstrings have no edit button: their source is in the middle of a file.
    "secondary_sidebar_items": {
        "reference/generated/*": ["page-toc"],
        "tutorial/index": [],
    }
    | {pages: ["page-toc", "edit-this-page"] for pages in CHANGED_BY_HAND},
}

ogp_site_url = "https://scikit-neumf.github.io/scikit-neumf/"
ogp_social_cards = {"enable": False}
ogp_description_length = 200

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

# A link to a file of the repository: `[text](source:tests/test_metrics.py)`.
myst_url_schemes = {
    "http": None,
    "https": None,
    "mailto": None,
    "source": {
        "url": "https://github.com/scikit-neumf/scikit-neumf/blob/main/{{path}}#{{fragment}}",
    },
}
