import ast
import subprocess
import sys
from pathlib import Path

import pytest

import neumf

PACKAGE = Path(neumf.__file__).parent

# Every module may import those before it, never one after it; no two rooms import each other.
ORDER = [
    "_version",
    "_arrays",
    "_validation",
    "_random",
    "_threads",
    "_gaps",
    "interactions.storage",
    "interactions.ids",
    "files.container",
    "files.scalars",
    "files.ids",
    "files.values",
    "files.state",
    "interactions.table_kinds",
    "interactions.tables",
    "interactions.stored_tables",
    "interactions.part_by_part",
    "interactions.moments",
    "interactions.timeline",
    "interactions.seen",
    "interactions.unseen",
    "interactions.histories",
    "interactions.features",
    "interactions.encoded_rows",
    "interactions.user_items",
    "interactions.id_encoder",
    "interactions.splitting",
    "interactions.leave_last_out_splitter",
    "interactions.leave_last_basket_out_splitter",
    "interactions.time_splitter",
    "interactions.cold_item_splitter",
    "interactions.negative_sampler",
    "protocols",
    "datasets",
    "model.initial",
    "model.layers",
    "model.item_towers",
    "model.user_towers",
    "model.network",
    "model.user_map",
    "model.feature_map",
    "model.keras_model",
    "training.runtime",
    "training.losses",
    "training.optimizers",
    "training.tables",
    "training.dropout",
    "training.centres",
    "training.batches",
    "training.program",
    "training.trainer",
    "training.shards",
    "training.sharded_trainer",
    "training.loop",
    "training.averaging",
    "_lists",
    "metrics",
    "_rankers",
    "_candidates",
    "_held_out",
    "_ranking",
    "scorers",
    "_exposure",
    "_measures",
    "evaluation",
    "_new_rows",
    "_saving",
    "base",
    "_similar",
    "_explain",
    "baselines._candidates",
    "baselines._item_weights",
    "baselines.popularity",
    "baselines.item_knn",
    "baselines.content_knn",
    "baselines.ease",
    "baselines.sequential_rules",
    "baselines.next_item_ridge",
    "baselines.voting",
    "_callbacks",
    "_presets",
    "_parameters",
    "_network_state",
    "_export",
    "_fold_in",
    "_learning",
    "_network_recommender",
    "_recommender",
    "_history_knn",
    "plotting",
    "__init__",
]
FRAMEWORKS = {"tensorflow", "keras"}


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] == "datasets":
        return "datasets"
    name = ".".join(parts)
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


# The fronts of the rooms import nothing.
ROOMS = {"baselines", "files", "interactions", "model", "training"}
SOURCES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.parent.name not in ROOMS or path.name != "__init__.py"
)


def label(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_imports_flow_one_way(path):
    module = module_of(path)
    found = {
        place
        for name in imports(ast.parse(path.read_text()), path)
        for place in ORDER
        if f"{name}.".startswith(f"neumf.{place}.")
    }
    later = [name for name in found if ORDER.index(name) > ORDER.index(module)]
    assert later == []


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


def test_no_file_is_too_long_to_hold_in_mind():
    lengths = {label(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 560} == {}


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
        "EASERecommender",
        "HistoryKNNRecommender",
        "IdEncoder",
        "ItemKNNRecommender",
        "LeaveLastBasketOutSplitter",
        "LeaveLastOutSplitter",
        "NegativeSampler",
        "NeuMFRecommender",
        "NextItemRidgeRecommender",
        "PopularityRecommender",
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
