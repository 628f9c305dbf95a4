"""Let pytest run the examples of the pages."""

import doctest
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from sybil import Sybil
from sybil.parsers.myst import DocTestDirectiveParser

# These run when the site is built.
collect_ignore_glob = ["*.py"]
# Its packages belong to the extra `docs`.
if not all(map(find_spec, ("duckdb", "faiss", "usearch"))):
    collect_ignore_glob.append("guides/vectors.md")


def set_up(namespace):
    """Show tables as wide as a page, and import what every page uses."""
    pd.set_option("display.width", 88, "display.max_columns", 20)
    namespace.update(np=np, pd=pd)


def tear_down(namespace):
    """Forget how tables are shown."""
    pd.reset_option("display.width")
    pd.reset_option("display.max_columns")


def pytest_collection_modifyitems(items):
    """Let pages show what warns; other tests turn warnings into errors."""
    for item in items:
        if item.path.suffix == ".md":
            item.add_marker(pytest.mark.filterwarnings("always::UserWarning"))


pytest_collect_file = Sybil(
    parsers=[DocTestDirectiveParser(doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)],
    patterns=["*.md"],
    setup=set_up,
    teardown=tear_down,
).pytest()
