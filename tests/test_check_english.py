"""The check of `check_english.py`: patterns, places and line numbers."""

import re
from pathlib import Path

import check_english
import pytest

UNCLEAR = [
    "Return what a network has learned.",
    "What comes next. Then more.",
    "A list.\n\n- What is new",
    "A table of so many rows.",
    "A table with as many rows.",
    "Raise if there are\nnone.",
    "Seen items are no candidates.",
    "The order is that of the file.",
    "Their weights. Those of items are 0.",
    "Nobody told the model.",
    "The users asked for.",
    "The test rows are not looked at.",
    "What it knew at that moment?",
    "The moment of the question.",
    "Indices in the place of ids.",
    "EASE has 0.151 here.",
]
CLEAR = [
    "Return whether a file exists.",
    "What is the order in time?",
    "As many rows as users. As many distinct rows as users.",
    "There are no rows, and there\nare no longer any users.",
    "Return None if the value is None.",
    "The list is compared with that of one call.",
    "The second moment of Adam.",
    "The keyword `asked` and the text ``is none`` are code.",
    "Each guide answers one question. NDCG@10 is 0.151.",
]


@pytest.mark.parametrize("text", UNCLEAR)
def test_unclear_text_is_found(text):
    assert list(check_english.unclear(text))


@pytest.mark.parametrize("text", CLEAR)
def test_clear_text_passes(text):
    assert list(check_english.unclear(text)) == []


def check(tmp_path, monkeypatch, name, text):
    """Return the findings in a file, as (line, text) pairs."""
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    report = check_english.main([name]) or ""
    return re.findall(rf"^{re.escape(name)}:(\d+): (.*) - ", report, re.MULTILINE)


def test_python_is_read_in_docstrings_comments_and_messages(tmp_path, monkeypatch):
    source = '''"""A module.

It was told.
"""

asked = {"so many": 1}  # asked here
# A comment whose rows
# are no
# candidates.
raise ValueError(f"{asked} is {asked}: such a value "
    "was not asked for")
'''
    found = check(tmp_path, monkeypatch, "a.py", source)
    assert [line for line, _ in found] == ["3", "6", "6", "8", "10"]
    assert [text.strip("'").split()[0] for _, text in found] == [
        "told.",
        "asked",
        "so",
        "are",
        "asked",
    ]


def test_code_in_markdown_is_skipped_and_long_lines_are_found(tmp_path, monkeypatch):
    long = "word " * 25
    source = f"# {long}\n| {long} |\n```python\n# asked {long}\n```\n{long}\n{'x' * 130}\n"
    found = check(tmp_path, monkeypatch, "a.md", source)
    assert [line for line, _ in found] == ["6"]


@pytest.mark.parametrize(("width", "n_found"), [(79, 0), (80, 1)])
def test_first_line_of_a_documented_function_has_at_most_79_characters(
    tmp_path, monkeypatch, width, n_found
):
    source = f'def f():\n    """{"x" * width}\n\n    Notes\n    -----\n    """\n'
    assert len(check(tmp_path, monkeypatch, "src/a.py", source)) == n_found


def test_a_clean_file_gives_no_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text("All is well.\n")
    assert check_english.main(["a.md"]) is None
