import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.examples

ROOT = Path(__file__).resolve().parents[1]


def run(path, folder, *arguments):
    """Run a script as a user would, without a screen; return what it prints."""
    result = subprocess.run(
        [sys.executable, path, *arguments],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "template"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def figures(stdout):
    """Return the rows of the table that the quickstart prints, as numbers by name."""
    rows = [line.split() for line in stdout.splitlines() if re.search(r"( +\d+\.\d+){5}$", line)]
    return {row[0]: [float(value) for value in row[1:]] for row in rows}


def test_quickstart_prints_a_table_that_neumf_leads_and_titles(tmp_path):
    stdout = run(ROOT / "examples" / "quickstart.py", tmp_path)
    table = figures(stdout)
    assert list(table) == ["popularity", "GMF", "MLP", "NeuMF"]
    for column in (0, 1):  # HR@10 and NDCG@10 among 99
        assert table["NeuMF"][column] > table["popularity"][column] + 0.01
    assert stdout.count("For user") == 3
    assert len(re.findall(r"^ +\d+\. .* \(\d{4}\)$", stdout, re.MULTILINE)) == 30


@pytest.mark.parametrize(
    "parts",
    [
        ("ml-100k", "u.data"),
        ("amazon-musical-instruments", "reviews_Musical_Instruments_5.json.gz"),
    ],
    ids=["movielens", "amazon"],
)
def test_quickstart_reads_a_file(parts, tmp_path, real_data):
    stdout = run(ROOT / "examples" / "quickstart.py", tmp_path, real_data(*parts))
    assert list(figures(stdout)) == ["popularity", "GMF", "MLP", "NeuMF"]
    assert "held-out items are in no training row" in stdout


def test_quickstart_reads_files_of_the_paper(tmp_path):
    train = [(user, item, 5, item) for user in range(30) for item in range(25) if (user + item) % 5]
    test = [(user, -user % 5, 5, 99) for user in range(30)]
    for name, rows in (("train", train), ("test", test)):
        lines = ("\t".join(map(str, row)) for row in rows)
        (tmp_path / f"toy.{name}.rating").write_text("\n".join(lines))
    stdout = run(ROOT / "examples" / "quickstart.py", tmp_path, "toy.train.rating")
    assert list(figures(stdout)) == ["popularity", "GMF", "MLP", "NeuMF"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("plot_*.py")), ids=lambda path: path.name
)
def test_example_runs(path, tmp_path):
    assert run(path, tmp_path)


def test_the_code_of_the_readme_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)))
    assert "epoch 20/20" in run(script, tmp_path)


def test_continuous_integration_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"<!-- tests -->\n```bash\n(.*?)\n```", readme, re.DOTALL)[1]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command
