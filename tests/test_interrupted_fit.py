"""A `fit` that fails or is interrupted leaves the recommender as it was."""

import inspect
import sys

import numpy as np
import pandas as pd
import pytest

from neumf import (
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
    base,
)

FEATURES = pd.DataFrame({"item": range(12), "even": [1, 0] * 6, "low": [1] * 6 + [0] * 6})
PLAIN = [
    PopularityRecommender(),
    PopularityRecommender(half_life=3),
    ItemKNNRecommender(decay="1min"),
    EASERecommender(5.0),
    ContentKNNRecommender(FEATURES, n_neighbors=3, decay=2.0),
    SequentialRulesRecommender(max_entries=2),
    VotingRecommender([("knn", ItemKNNRecommender()), ("popular", PopularityRecommender())]),
]


def table(seed):
    rng = np.random.default_rng(seed)
    columns = {"user": rng.integers(0, 9, 40) + 100 * seed, "item": rng.integers(0, 9 + seed, 40)}
    return pd.DataFrame(columns).assign(timestamp=np.arange(40.0))


class InterruptError(Exception):
    pass


def trace_lines(files, on_line):
    """Return a trace function that calls `on_line` when a line of these files is first reached."""
    reached = set()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and line not in reached:
            reached.add(line)
            on_line(len(reached))
        return trace

    return trace


def fit_until(model, X, n):
    """Fit, but raise at the n-th line of the class's own file, its bases' and base.py.

    Return whether `fit` came to its end.
    """
    files = {inspect.getfile(cls) for cls in type(model).__mro__ if "neumf" in cls.__module__}

    def interrupt(n_reached):
        if n_reached == n:
            raise InterruptError

    before = sys.gettrace()
    sys.settrace(trace_lines(files | {base.__file__}, interrupt))
    try:
        model.fit(X)
    except InterruptError:
        return False
    finally:
        sys.settrace(before)
    return True


def changed_names(before, after):
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) is not after.get(name)}


@pytest.mark.parametrize("model", PLAIN, ids=lambda model: type(model).__name__)
def test_an_interrupted_fit_keeps_all_old_attributes_or_sets_all_new_ones(model):
    X, other = table(0), table(1)
    model.fit(X)
    old = dict(vars(model))
    model.fit(other)
    by_whole_fit = changed_names(old, vars(model))
    assert {"users_", "items_", "seen_"} <= by_whole_fit
    outcomes = []
    while not outcomes or outcomes[-1] != "ended":
        vars(model).clear()
        vars(model).update(old)
        ended = fit_until(model, other, len(outcomes) + 1)
        changed = changed_names(old, vars(model))
        assert changed in (set(), by_whole_fit)
        outcomes.append("ended" if ended else "new" if changed else "old")
    # InterruptError at each line; the last ones follow the commit.
    assert len(outcomes) > 8
    assert outcomes.count("new") <= 4
    assert outcomes == sorted(outcomes, key=["old", "new", "ended"].index)
