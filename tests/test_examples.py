import base64
import gzip
import json
import re
import runpy
import shutil
import subprocess
import sys
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neumf import PopularityRecommender, ndcg_scorer

# Of tables as large as these, training takes longer without XLA than XLA takes to compile it.
pytestmark = [pytest.mark.examples, pytest.mark.xla]

ROOT = Path(__file__).resolve().parents[1]
RECOMMENDERS = [
    "popularity",
    "EASE",
    "ALS",
    "rules",
    "paper-8",
    "NeuMFRecommender()",
    "NextItemRecommender()",
]


def run_alone(path, folder, *arguments):
    """Run a script as a user would, in a process of its own; return what it prints."""
    result = subprocess.run(
        [sys.executable, path, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.fixture
def run(tmp_path, monkeypatch, capfd, caplog):
    """Run a script as `run_alone` does, but in this process, which has TensorFlow already.

    A warning ends it, unless the warning begins with `ignored`.
    """

    def run(path, *arguments, ignored=None):
        with monkeypatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "argv", [str(word) for word in (path, *arguments)])
            patch.syspath_prepend(path.parent)
            patch.chdir(tmp_path)
            if ignored is not None:
                warnings.filterwarnings("ignore", ignored)
            runpy.run_path(str(path), run_name="__main__")
        stdout, stderr = capfd.readouterr()
        assert stderr == ""
        assert caplog.records == []
        return stdout

    return run


def figures(stdout):
    """Return the rows of the table that the quickstart prints, as numbers by name."""
    rows = [line.split() for line in stdout.splitlines() if re.search(r"( +\d+\.\d+){5}$", line)]
    return {row[0]: [float(value) for value in row[1:]] for row in rows}


@pytest.mark.slow
def test_quickstart_prints_a_table_in_which_order_pays_and_titles(tmp_path):
    stdout = run_alone(ROOT / "examples" / "quickstart.py", tmp_path)
    table = figures(stdout)
    assert list(table) == RECOMMENDERS
    for name in ("rules", "NextItemRecommender()"):
        hit_rate, ndcg = table[name][2:4]  # among all films
        for other in ("popularity", "EASE", "paper-8"):
            assert hit_rate > table[other][2] + 0.01
            assert ndcg > table[other][3] + 0.005
    assert stdout.count("For user") == 3
    assert len(re.findall(r"^ +\d+\. .* \(\d{4}\)$", stdout, re.MULTILINE)) == 30


def thinned(path, step, folder):
    """Write one of `step` lines of a file to one of the same name; return its path."""
    open_file = gzip.open if path.suffix == ".gz" else open
    with open_file(path, "rt") as lines, open_file(folder / path.name, "wt") as file:
        file.writelines(islice(lines, 0, None, step))
    return folder / path.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "parts"),
    [
        (20, ("ml-100k", "u.data")),
        (2, ("amazon-musical-instruments", "reviews_Musical_Instruments_5.json.gz")),
    ],
    ids=["movielens", "amazon"],
)
def test_quickstart_reads_a_file(run, step, parts, tmp_path, real_data):
    path = thinned(real_data(*parts), step, tmp_path)
    stdout = run(ROOT / "examples" / "quickstart.py", path)
    assert list(figures(stdout)) == RECOMMENDERS
    assert "held-out items are in no training row" in stdout


def write_toy(folder, negatives=()):
    """Write the paper's three files of 30 users: each has one item in five left, the test item."""
    train = [(user, item, 5, item) for user in range(30) for item in range(25) if (user + item) % 5]
    test = [(user, -user % 5, 5, 99) for user in range(30)]
    given = [
        (f"({user},{item})", *items)
        for (user, item, *_), items in zip(test, negatives, strict=False)
    ]
    for name, rows in (("train.rating", train), ("test.rating", test), ("test.negative", given)):
        lines = ("\t".join(map(str, row)) for row in rows)
        (folder / f"toy.{name}").write_text("\n".join(lines))


@pytest.mark.slow
def test_quickstart_reads_files_of_the_paper(run, tmp_path):
    write_toy(tmp_path)
    (tmp_path / "toy.test.negative").unlink()
    # The toy has five items, no ninety-nine to rank among.
    ignored = "n_negatives must be at most 4"
    script = ROOT / "examples" / "quickstart.py"
    stdout = run(script, "toy.train.rating", ignored=ignored)
    assert list(figures(stdout)) == RECOMMENDERS


def test_the_protocol_of_the_paper_ranks_among_the_given_negatives(run, tmp_path):
    # A user's own test item is not a negative, though the list holds it.
    negatives = [[user % 5 + 5, -user % 5, 24] for user in range(30)]
    write_toy(tmp_path, negatives)
    train = pd.read_csv(tmp_path / "toy.train.rating", sep="\t", header=None)
    counts = train[1].value_counts()
    expected = []
    for user, items in enumerate(negatives):
        own = -user % 5
        others = [item for item in items if item != own]
        above = sum(counts[item] > counts[own] for item in others)
        equal = sum(counts[item] == counts[own] for item in others)
        ranks = above + 1 + np.arange(1 + equal)  # ties are averaged over
        expected.append(np.mean(1 / np.log2(1 + ranks)))
    files = ["--train=toy.train.rating", "--test=toy.test.rating", "--negatives=toy.test.negative"]
    script = ROOT / "benchmarks" / "quality" / "ncf_protocol.py"
    stdout = run(script, *files, "--preset", "popularity", "paper-8", "--seeds", "2")
    assert "30 held-out rows, 0 of them" in stdout
    results = json.loads((tmp_path / "ncf_protocol.json").read_text())["results"]
    assert [(result["preset"], result["seed"]) for result in results] == [
        ("popularity", 0),
        ("paper-8", 0),
        ("paper-8", 1),
    ]
    assert results[0]["HR@10 (99)"] == 1
    assert results[0]["NDCG@10 (99)"] == pytest.approx(np.mean(expected))
    run(script, *files, "--preset", "popularity", "--set", "half_life=3", "--timed")
    timed = json.loads((tmp_path / "ncf_protocol.json").read_text())["results"][0]
    columns = ["user", "item", "rating", "timestamp"]
    X, X_test = (
        pd.read_csv(tmp_path / f"toy.{part}.rating", sep="\t", names=columns)
        for part in ("train", "test")
    )
    model = PopularityRecommender(half_life=3).fit(X)
    assert timed["NDCG@10 (exact)"] == ndcg_scorer(at="row")(model, X_test)


@pytest.mark.parametrize(
    ("script", "options", "rows"),
    [
        ("fold_in.py", ("--seeds", "1"), ("trained in", "folded in", "ItemKNNRecommender")),
        ("stream.py", ("--steps", "3"), ("fit", "partial_fit, epochs=2", "popularity")),
    ],
)
def test_what_is_measured_of_new_rows_is_printed(run, script, options, rows, tmp_path):
    write_toy(tmp_path)
    options = ("--train", "toy.train.rating", "--preset", "paper-8", "--set", "epochs=1", *options)
    stdout = run(ROOT / "benchmarks" / "quality" / script, *options)
    means = stdout[stdout.rindex("NDCG@10 (exact)\n") if script == "fold_in.py" else 0 :]
    for row in rows:
        assert re.search(rf"^ *{re.escape(row)}.*( +\d\.\d+){{3}}$", means, re.MULTILINE)


def test_cold_items_are_measured_among_the_hidden_ones_and_among_all(run, tmp_path):
    rows = [(user, item) for user in range(30) for item in range(20) if (user - item) % 4 == 0]
    ratings = "".join(f"{user}::{item}::5::{item}\n" for user, item in rows)
    (tmp_path / "ratings.dat").write_text(ratings)
    films = "".join(f"{item}::A Film (1995)::Genre {item % 4}\n" for item in range(20))
    (tmp_path / "movies.dat").write_text(films)
    script = ROOT / "benchmarks" / "quality" / "cold_items.py"
    options = ("--train=ratings.dat", "--items=movies.dat", "--share=0.2", "--draws=2")
    stdout = run(script, *options, "--features", "genres")
    assert "150 rows, 20 items with 4 features" in stdout
    results = json.loads((tmp_path / "cold_items.json").read_text())["results"]
    assert [(result["model"], result["draw"]) for result in results] == [
        ("random", 0),
        ("content-knn", 0),
        ("random", 1),
        ("content-knn", 1),
    ]
    for chance, content in (results[:2], results[2:]):
        assert content["NDCG@10 (hidden)"] == 1  # what has the user's genre, and nothing else
        assert chance["NDCG@10 (hidden)"] < 0.8
        assert content["NDCG@10 (all)"] > chance["NDCG@10 (all)"]


@pytest.mark.slow
def test_workers_of_dask_write_the_lists_of_one_call(tmp_path):
    pytest.importorskip("distributed")
    pytest.importorskip("dask.dataframe")
    stdout = run_alone(ROOT / "examples" / "lists_with_dask.py", tmp_path, tmp_path)
    assert "2 workers made the lists of 4 parts" in stdout
    assert "one call gives the same items: True" in stdout
    assert len(re.findall(r"^ +\d+\. .* \(\d{4}\)$", stdout, re.MULTILINE)) == 10
    assert len(list((tmp_path / "lists").glob("*.parquet"))) == 4


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda path: path.name
)
def test_benchmark_finds_what_it_imports(path, monkeypatch):
    needed = {"lists.py": ("dask.dataframe", "distributed"), "vectors.py": ("faiss",)}
    for module in needed.get(path.name, ()):
        pytest.importorskip(module)
    monkeypatch.syspath_prepend(path.parent)
    runpy.run_path(path)


@pytest.fixture(scope="module")
def browser_page(tmp_path_factory):
    """Run `plot_browser.py`; return its names, and the folder that it wrote to."""
    plt = pytest.importorskip("matplotlib.pyplot")
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(plt, "show", lambda: plt.close("all"))
        yield runpy.run_path(str(ROOT / "examples" / "plot_browser.py")), folder


def unpack(table):
    """Return the rows that the page reads from a table of its vectors."""
    integers = np.frombuffer(base64.b64decode(table["integers"]), "<i2")
    scales = np.array(table["scales"])
    return integers.reshape(len(scales), -1) * scales[:, None]


def list_of_picks(example, picks):
    """Return the titles that Python recommends to a new user."""
    rows = pd.DataFrame({"user": "you", "item": picks})
    films = example["model"].recommend(interactions=rows)["item"]
    return example["titles"][films].to_list()


@pytest.mark.slow
def test_the_vectors_of_the_page_give_the_lists_of_recommend(browser_page, rng):
    example, folder = browser_page
    text = (folder / "films.js").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    page = json.loads(text.removeprefix("const FILMS = ").removesuffix(";\n"))
    vectors, history, positions = (unpack(page[n]) for n in ("vectors", "history", "positions"))
    ids = example["model"].items_[example["order"]]
    for n_picks in (1, 2, 3) * 10:
        picks = rng.choice(len(ids), n_picks, replace=False)
        user = (positions[:n_picks] * history[picks[::-1]]).sum(axis=0)  # the newest first
        scores = vectors @ user + page["biases"]
        scores[picks] = -np.inf
        best = [page["titles"][film] for film in np.argsort(-scores, kind="stable")[:10]]
        assert best == list_of_picks(example, ids[picks])


@pytest.mark.slow
def test_the_page_shows_the_lists_of_recommend_in_a_browser(browser_page):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    example, folder = browser_page
    docs = ROOT / "docs"
    shutil.copy(docs / "_static" / "pick_films.js", folder)
    form = (docs / "_templates" / "pick_films.html").read_text().replace("../_static/", "")
    (folder / "page.html").write_text(f"<!doctype html><html lang=en>{form}</html>")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"file://{folder}/page.html")
        picks = [1392170, 1300854, 1951261]
        for n_picks, item in enumerate(picks, 1):
            title = example["titles"][item]
            page.get_by_label("Search by title or year").fill(title[:-7].upper())
            page.get_by_label(title).focus()
            page.keyboard.press("Space")
            lines = [line.split(" because of ") for line in page.locator("li").all_inner_texts()]
            assert [line[0] for line in lines] == list_of_picks(example, picks[:n_picks])
            assert {line[1] for line in lines} <= set(example["titles"][picks[:n_picks]])
            assert page.get_by_role("status").inner_text() == f"{n_picks} of 3 films picked."
        page.get_by_label("Search by title or year").fill("the")
        assert page.locator("input:checked").count() == 3
        assert page.locator("input[type=checkbox]:enabled").count() == 3
        page.get_by_role("button").click()
        assert page.locator("li").count() == 0
        assert page.locator("input:checked").count() == 0
        assert complaints == []
        browser.close()


@pytest.mark.slow
def test_the_tutorial_runs_on_a_file_of_ones_own(run, tmp_path, real_data):
    text = (ROOT / "docs" / "walkthrough" / "amazon_reviews.py").read_text(encoding="utf-8")
    path = real_data("amazon-musical-instruments", "reviews_Musical_Instruments_5.json.gz")
    path = thinned(path, 2, tmp_path)
    script = tmp_path / "tutorial.py"
    script.write_text(text.replace("\nPATH = None", f"\nPATH = {str(path)!r}"), encoding="utf-8")
    checks = re.findall(r"^(?:the same|and back|no negative).*: (.*)$", run(script), re.MULTILINE)
    assert checks == ["True"] * 7


@pytest.mark.slow
def test_the_code_of_the_readme_prints_the_list_of_its_picture(run, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)))
    lines = [line.strip() for line in run(script).splitlines()]
    assert 0.07 < float(lines[0].removeprefix("NDCG@10: ")) < 0.15
    picture = (ROOT / "docs" / "_static" / "first_list.svg").read_text(encoding="utf-8")
    # Other versions of BLAS round differently, which may swap films of nearly one score.
    assert sum(f">{title}<" in picture for title in lines[1:11]) >= 8
    assert lines[11] == "{'alsrecommender__recency': 1.5, 'alsrecommender__regularization': 0.2}"


def test_continuous_integration_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"<!-- tests -->\n```bash\n(.*?)\n```", readme, re.DOTALL)[1]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command
