import ast
import subprocess
import sys
from pathlib import Path

import pytest

import neumf

PACKAGE = Path(neumf.__file__).parent

# Every module may import those before it, never one after it.
ORDER = [
    "_validation",
    "_random",
    "_interactions",
    "_lists",
    "metrics",
    "_ids",
    "_split",
    "_sampling",
    "_history",
    "_network",
    "_fold_in",
    "_training",
    "_held_out",
    "_ranking",
    "scorers",
    "_correction",
    "_exposure",
    "evaluation",
    "_base",
    "baselines",
    "_callbacks",
    "_presets",
    "_recommender",
    "plotting",
    "datasets",
    "__init__",
]
FRAMEWORKS = {"tensorflow", "keras"}


def module_of(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return name if name in ORDER else pytest.fail(f"{path} has no place in the order of imports")


def imports(tree, path):
    """Yield the full name of every module that is imported, anywhere in the file."""
    package = ["neumf", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            yield ".".join(stem)
            yield from (".".join([*stem, alias.name]) for alias in node.names)


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_imports_flow_one_way(path):
    module = module_of(path)
    found = {
        parts[1]
        for name in imports(ast.parse(path.read_text()), path)
        if (parts := name.split("."))[0] == "neumf" and len(parts) > 1
    }
    later = [name for name in found & set(ORDER) if ORDER.index(name) > ORDER.index(module)]
    assert later == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_only_network_and_training_import_a_framework(path):
    roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), path)}
    if path.name not in ("_network.py", "_training.py"):
        assert not roots & FRAMEWORKS


def test_importing_neumf_imports_no_framework():
    code = (
        "import sys, neumf, neumf.datasets, neumf.metrics\n"
        f"sys.exit(bool({FRAMEWORKS!r} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_these():
    assert set(neumf.__all__) == {
        "EASERecommender",
        "IdEncoder",
        "ItemKNNRecommender",
        "LeaveLastOutSplitter",
        "NegativeSampler",
        "NeuMFRecommender",
        "PopularityRecommender",
        "compare",
        "datasets",
        "evaluate",
        "hr_scorer",
        "make_ranking_scorer",
        "metrics",
        "ndcg_scorer",
        "plotting",
    }
    assert all(hasattr(neumf, name) for name in neumf.__all__)
