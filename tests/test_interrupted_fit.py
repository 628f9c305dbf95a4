"""A `fit` or `partial_fit` that fails or is interrupted leaves the recommender as it was."""

import pickle
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_JOINED, SMALL_NEUMF, SMALL_NEXT_ITEM

import neumf
from neumf import (
    ALSRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    RerankedRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)

FEATURES = pd.DataFrame({"item": range(12), "even": [1, 0] * 6, "low": [1] * 6 + [0] * 6})
PLAIN = [
    PopularityRecommender(),
    PopularityRecommender(half_life=3),
    ItemKNNRecommender(decay="1min"),
    ALSRecommender(n_factors=3, random_state=0),
    EASERecommender(5.0),
    ContentKNNRecommender(FEATURES, n_neighbors=3, decay=2.0),
    SequentialRulesRecommender(max_entries=2),
    VotingRecommender([("knn", ItemKNNRecommender()), ("popular", PopularityRecommender())]),
    RerankedRecommender(ALSRecommender(n_factors=3, random_state=0), item_features=FEATURES),
]
NETWORKS = {
    "refit": NeuMFRecommender(**SMALL_NEUMF | {"early_stopping": "refit"}),
    "histories": NextItemRecommender(**SMALL_NEXT_ITEM),
    "joined": NeuMFRecommender(**SMALL_JOINED),
    "pretrained": NeuMFRecommender(**SMALL_NEUMF | {"pretrain": "sgd", "item_features": FEATURES}),
}

# A failure at each line of these; what they call changes no recommender.
PACKAGE = Path(neumf.__file__).parent
TRACED = {
    str(path)
    for part in ("base.py", "recommenders", "neural", "training/loop.py", "training/trainer.py")
    for path in [PACKAGE / part, *(PACKAGE / part).glob("*.py")]
}


def table(seed):
    rng = np.random.default_rng(seed)
    columns = {"user": rng.integers(0, 9, 40) + 100 * seed, "item": rng.integers(0, 9 + seed, 40)}
    return pd.DataFrame(columns).assign(timestamp=np.arange(40.0))


def trace_lines(files, on_line):
    """Return a trace function that calls `on_line` the first two times that a line is reached."""
    reached = Counter()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and reached[line] < 2:
            reached[line] += 1
            on_line(reached.total())
        return trace

    return trace


def run_until(method, X, n, error):
    """Call a method, but raise the error at the n-th line; return whether there is such a line."""
    failed = []

    def fail(n_reached):
        if n_reached == n:
            failed.append(n)
            raise error

    before = sys.gettrace()
    sys.settrace(trace_lines(TRACED, fail))
    try:
        method(X)
    except error:  # unless an interrupted training kept what was learned
        assert failed
    finally:
        sys.settrace(before)
    return bool(failed)


def changed_names(before, after):
    names = before.keys() | after.keys()
    # Equal small ints are one object, and an interrupted training may have the same best epoch.
    names -= {"best_iter_"}
    return {name for name in names if before.get(name) is not after.get(name)}


def check_each_line(name, model, error, stride=1):
    """Fail at each line of a method in turn; return "old" or "new" for each, in order."""
    X, other = table(0), table(1)
    if name == "fit":
        other = other.assign(further=0)
    model.fit(X)
    getattr(model, name)(other)  # compiles
    model.fit(X)
    old = dict(vars(model))
    content = pickle.dumps(old)
    getattr(model, name)(other)
    by_whole_run = changed_names(old, vars(model))
    new_ones = {"n_features_in_", "items_"} if name == "fit" else set()
    assert new_ones | {"users_", "seen_", "popularity_"} <= by_whole_run
    outcomes, n, failed = [], 1, True
    while failed:
        vars(model).clear()
        vars(model).update(old)
        failed = run_until(getattr(model, name), other, n, error)
        changed = changed_names(old, vars(model))
        assert changed in (set(), by_whole_run)
        if not changed:
            assert pickle.dumps(vars(model)) == content
        elif hasattr(model, "history_"):
            assert 1 <= model.best_iter_ <= model.n_iter_
            assert {len(values) for values in model.history_.values()} == {model.n_iter_}
        model.recommend(k=1)
        outcomes.append("new" if changed else "old")
        n += stride
    return outcomes


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("model", PLAIN, ids=lambda model: type(model).__name__)
def test_an_interrupted_fit_keeps_all_old_attributes_or_sets_all_new_ones(model, error):
    outcomes = check_each_line("fit", model, error)
    # The last lines follow the commit.
    assert len(outcomes) > 8
    assert outcomes.count("new") <= 5
    assert outcomes == sorted(outcomes, reverse=True)


@pytest.mark.filterwarnings("ignore:Training was interrupted")
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("network", "stride"),
    [
        ("refit", 83),
        ("histories", 83),
        *(pytest.param(network, 1, marks=pytest.mark.slow) for network in NETWORKS),
    ],
)
def test_an_interrupted_training_keeps_all_old_attributes_or_sets_all_new_ones(
    network, stride, name, error
):
    outcomes = check_each_line(name, NETWORKS[network], error, stride)
    assert len(outcomes) > 100 / stride
    assert outcomes.count("old") > 60 / stride
    assert outcomes[-1] == "new"
