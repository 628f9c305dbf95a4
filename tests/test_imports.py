import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import neumf

PACKAGE = Path(neumf.__file__).parent

# The house, from the ground up: a room imports itself and the rooms before it.
ROOMS = [
    "_version utils saving interactions protocols",
    "model training",
    "ranking metrics datasets preprocessing model_selection evaluation",
    "base neural recommenders plotting __init__",
]
ORDER = " ".join(ROOMS).split()
FRAMEWORKS = {"tensorflow", "keras"}


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


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


def label(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_a_room_imports_only_the_rooms_below_it(path):
    names = [name.split(".") for name in imports(ast.parse(path.read_text()), path)]
    rooms = {name[1] for name in names if name[0] == "neumf" and len(name) > 1}
    above = ORDER[ORDER.index(room_of(path)) + 1 :]
    assert rooms.isdisjoint(above)


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_only_training_and_the_keras_model_import_a_framework(path):
    roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), path)}
    if path.parent.name != "training" and path.name != "keras_model.py":
        assert not roots & FRAMEWORKS


def test_the_model_knows_no_ids_and_no_scikit_learn():
    for path in (PACKAGE / "model").glob("*.py"):
        found = set(imports(ast.parse(path.read_text()), path))
        assert not {name for name in found if name.split(".")[0] in ("sklearn", "pandas")}
        assert not {name for name in found if name.startswith("neumf.interactions")}


def test_no_file_has_more_than_400_lines():
    lengths = {label(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def wide_functions(path):
    """Yield the functions of a file that take more than five arguments."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if len([a for a in arguments if a.arg not in ("self", "cls")]) > 5:
                yield node.name


def test_only_public_functions_take_more_than_five_arguments():
    public = {
        "__init__",
        "compare",
        "evaluate",
        "from_estimator",
        "hr_scorer",
        "make_ranking_scorer",
        "ndcg_scorer",
        "read_interactions",
        "recommend",
    }
    assert {name for path in SOURCES for name in wide_functions(path)} <= public


@pytest.mark.parametrize("name", [name for name in neumf.__all__ if name[0].isupper()])
def test_a_public_class_stands_in_a_file_of_its_name(name):
    module = getattr(neumf, name).__module__.split(".")[-1]
    assert module.replace("_", "") in (name.lower(), name.removesuffix("Recommender").lower())


@pytest.mark.parametrize("name", ["NeuMFRecommender", "NextItemRecommender"])
def test_a_model_has_at_most_22_parameters(name):
    assert len(inspect.signature(getattr(neumf, name)).parameters) <= 22


def test_importing_neumf_imports_no_framework():
    code = (
        "import sys, neumf, neumf.datasets, neumf.metrics\n"
        f"sys.exit(bool({FRAMEWORKS!r} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_these():
    assert set(neumf.__all__) == {
        "ColdItemSplitter",
        "ContentKNNRecommender",
        "ALSRecommender",
        "EASERecommender",
        "IdEncoder",
        "ItemKNNRecommender",
        "LeaveLastBasketOutSplitter",
        "LeaveLastOutSplitter",
        "NegativeSampler",
        "NeuMFRecommender",
        "NextItemRecommender",
        "PopularityRecommender",
        "RerankedRecommender",
        "SequentialRulesRecommender",
        "TimeSplitter",
        "VotingRecommender",
        "compare",
        "datasets",
        "evaluate",
        "hr_scorer",
        "load",
        "make_ranking_scorer",
        "metrics",
        "ndcg_scorer",
        "plotting",
    }
    assert all(hasattr(neumf, name) for name in neumf.__all__)
