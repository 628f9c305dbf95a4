"""Find English that must be read twice, in docstrings, comments, messages and documentation.

Run ``python tests/check_english.py`` for all files that git knows, or name some. The patterns are
those that a regular expression finds: a clean run does not mean that a page reads well. Where a
pattern is right, write the sentence anew, with the noun that was meant; do not only swap a word.
"""

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

# The beginning of a sentence, also in a list or a table; headings may be questions.
START = r"(?:\A|[.:]\s+|\n\n\s*|^[-*]\s|\|\s)[*(]*"

# (pattern, in which a space stands for any white space; how to write instead)
RULES = [
    (r"\bReturns? what\b", "name the thing that is returned"),
    (START + r"What (?![^.|]*\?)[a-z]", "begin with a noun, not 'What …'"),
    (r"\bso many\b|\bas many\b(?! (?:\w+ ){0,3}as\b)", "name the number"),
    (r"\b(?:is|are|was|were|be) none\b", "say what is missing: 'no row', 'has no …', 'without …'"),
    (
        r"(?<![Tt]here\s)\b(?:is|are|was|were|be) no (?!longer|more|less|other)\w+",
        "'is not a …', 'are not …', or a verb",
    ),
    (r"\b(?:is|are|was|were) (?:that|those) of\b", "repeat the noun"),
    (START + r"Th(?:at|ose) of\b", "repeat the noun"),
    (r"\b[Tt]old\b", "'given', 'knows', 'shows'"),
    (r"\b[Aa]sked\b", "'requested', 'called', 'given'"),
    (r"\bspoken for\b|\bby lot\b|\bhalf a say\b|\bby heart\b", "the technical word"),
    (r"\b[Ll]essons?\b|\b[Tt]aste\b", "'result', 'convention'"),
    (r"\b[Ll]ook(?:s|ed|ing)? at\b|\ba look\b", "'read', 'use', 'check', 'see'"),
    (r"(?<!second\s)\bmoment\b", "'request time', 'timestamp', 'time'"),
    (r"\b(?:the|to a) question\b", "'request', 'query'"),
    (r"\bin the place of\b", "'instead of', or 'replace … by …'"),
    (r"\bha(?:s|ve|d) 0\.\d", "name the metric: 'NDCG@10 is 0.15'"),
]
COMPILED = [(re.compile(rule.replace(" ", r"\s+"), re.MULTILINE), form) for rule, form in RULES]

# A file whose text names the patterns.
ALLOWED_FILES = {"tests/check_english.py", "tests/test_check_english.py"}

LONGEST_MARKDOWN_LINE = 119
LONGEST_SUMMARY = 79

CODE = re.compile(
    r"^(?P<fence> *`{3,})(?s:.*?)^(?P=fence) *$|^ *(?:>>>|\.\.\.) .*$|`[^`\n]+`", re.MULTILINE
)


def main(arguments: list[str]) -> str | None:
    """Return a line for each finding, or None: what `sys.exit` prints, or takes for success."""
    findings = [line for path in map(Path, arguments or tracked_files()) for line in check(path)]
    return "\n".join(findings) or None


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "*.py", "*.md", "*.rst"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def check(path: Path) -> Iterator[str]:
    """Yield ``path:line: the text - how to write instead`` for each finding in a file."""
    if path.as_posix() in ALLOWED_FILES:
        return
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        passages = sorted({*strings(source), *comments(source)})
        found = [*long_summaries(source)] if "src" in path.parts else []
    else:
        passages = [(1, source)]
        found = [*long_lines(source)] if path.suffix == ".md" else []
    for first, text in passages:
        found += [(first + line, *finding) for line, *finding in unclear(text)]
    for line, excerpt, form in sorted(found):
        yield f"{path}:{line}: {excerpt!r} - {form}"


def unclear(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line from 0, the words and the better form of each match of a rule."""
    prose = without_code(text)
    for pattern, form in COMPILED:
        for match in pattern.finditer(prose):
            start = match.end() - len(match.group().lstrip(".:|-* \n"))
            excerpt = " ".join(text[start : match.end() + 30].split())
            yield text[:start].count("\n"), excerpt, form


def without_code(text: str) -> str:
    """Blank fenced code, doctests and words in backticks; lines and places stay."""
    return CODE.sub(lambda match: re.sub(r"[^\n`]", "_", match.group()), text)


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of docstrings, messages and other strings of words."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        match node:
            case ast.JoinedStr(values=values):
                texts = [part.value if isinstance(part, ast.Constant) else "{}" for part in values]
                yield node.lineno, "".join(texts)
            case ast.Constant(value=str(text)) if " " in text and id(node) not in parts:
                yield node.lineno, text


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the first line and the text of comments; lines one below the other are one text."""
    first, column, lines = 0, 0, []
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type != tokenize.COMMENT:
            continue
        if token.start != (first + len(lines), column):
            yield first, "\n".join(lines)
            (first, column), lines = token.start, []
        lines.append(token.string.lstrip("#: "))
    yield first, "\n".join(lines)


def long_summaries(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield first lines of documented classes and functions that are too long."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            summary = docstring.partition("\n")[0]
            # Docstrings with sections are the ones that the reference shows.
            if "\n---" in docstring and len(summary) > LONGEST_SUMMARY:
                yield node.body[0].lineno, summary, f"at most {LONGEST_SUMMARY} characters"


def long_lines(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield long lines; those of tables and code, and links alone on a line, cannot wrap."""
    for number, line in enumerate(CODE.sub(blank_fence, source).split("\n"), start=1):
        can_wrap = not line.startswith(("|", "#")) and " " in line.strip()
        if len(line) > LONGEST_MARKDOWN_LINE and can_wrap:
            form = f"{len(line)} characters; at most {LONGEST_MARKDOWN_LINE}"
            yield number, line[:40] + "…", form


def blank_fence(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n") if match["fence"] else match.group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
