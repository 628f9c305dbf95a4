"""Without timestamps, the order of rows counts as their order in time: one warning says so."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM
from sklearn.base import clone

from neumf import (
    ALSRecommender,
    ColdItemSplitter,
    EASERecommender,
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
)

X = pd.DataFrame({"user": list("aaabbbcc"), "item": [1, 2, 3, 2, 3, 1, 4, 5]})
MESSAGE = r"X has no timestamps, and {}.*X\.assign\(timestamp=range\(len\(X\)\)\).*or {}\."

ORDERED = {
    "NextItemRecommender": (
        NextItemRecommender(**SMALL_NEXT_ITEM).fit,
        "NextItemRecommender learns what comes next",
        r"use NeuMFRecommender\(recency=0\)",
    ),
    "recency": (
        NeuMFRecommender(**SMALL_NEUMF).set_params(recency=0.5).fit,
        "recency=0.5 counts the last rows",
        "set recency=0",
    ),
    "half_life": (
        PopularityRecommender(half_life=3).fit,
        "half_life=3 counts the last rows",
        "set half_life=None",
    ),
    "als": (ALSRecommender(recency=2).fit, "recency=2 counts the last rows", "set recency=0"),
    "decay": (EASERecommender(decay=3).fit, "decay=3 counts the last rows", "set decay=None"),
    "rules": (
        SequentialRulesRecommender().fit,
        "decay=5.0 counts the last rows",
        "set decay=None",
    ),
    "train_test_split": (
        LeaveLastOutSplitter().train_test_split,
        "LeaveLastOutSplitter splits by time",
        "split at random.*",
    ),
    "split": (
        lambda X: list(LeaveLastOutSplitter(n_splits=2).split(X)),
        "LeaveLastOutSplitter splits by time",
        "split at random.*",
    ),
    "ranks": (
        LeaveLastOutSplitter().fit_transform,
        "LeaveLastOutSplitter splits by time",
        "split at random.*",
    ),
}


def warnings_of(call, *arguments):
    """Return the messages of all warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", ORDERED)
def test_what_depends_on_order_warns_once_and_says_what_to_do(name):
    call, what, instead = ORDERED[name]
    for table in (X, X.to_numpy(dtype=object)):
        (message,) = warnings_of(call, table)
        assert pd.Series([message]).str.fullmatch(MESSAGE.format(what, instead)).all()
    assert warnings_of(call, X.assign(timestamp=range(len(X)))) == []


@pytest.mark.parametrize(
    "call",
    [
        NeuMFRecommender(**SMALL_NEUMF).set_params(recency=0).fit,
        ItemKNNRecommender().fit,
        PopularityRecommender().fit,
        ColdItemSplitter().train_test_split,
        IdEncoder().fit_transform,
        NegativeSampler(n_negatives=1).fit,
    ],
)
def test_what_does_not_depend_on_order_is_silent(call):
    assert warnings_of(call, X) == []


def test_sparse_rows_have_no_order_to_warn_of():
    model = NeuMFRecommender(**SMALL_NEUMF).set_params(recency=1)
    assert warnings_of(model.fit, sp.csr_array(np.eye(4))) == []


def test_partial_fit_warns_as_fit_does():
    model = clone(NextItemRecommender(**SMALL_NEXT_ITEM)).fit(X.assign(timestamp=range(len(X))))
    more = pd.DataFrame({"user": ["d", "d"], "item": [1, 2], "timestamp": [7, 8]})
    assert warnings_of(model.partial_fit, more) == []
    model.fit(X)
    (message,) = warnings_of(model.partial_fit, more.drop(columns="timestamp"))
    assert "NextItemRecommender learns what comes next" in message


@pytest.mark.parametrize("argument", ["y", "sample_weight"])
@pytest.mark.parametrize("model", [PopularityRecommender(), NextItemRecommender(**SMALL_NEXT_ITEM)])
def test_series_with_another_index_is_refused(model, argument):
    timed = X.assign(timestamp=range(len(X)))
    ones = pd.Series(1.0, index=timed.index)
    moved = ones.set_axis(timed.index[::-1])
    match = f"{argument} must have the index of X.*Received 7 in row 0, where X has 0"
    with pytest.raises(ValueError, match=match):
        clone(model).fit(timed, **{argument: moved})
    fitted = clone(model).fit(timed, **{argument: ones}).fit(timed, **{argument: moved.to_numpy()})
    if hasattr(model, "partial_fit"):
        with pytest.raises(ValueError, match=match):
            fitted.partial_fit(timed, **{argument: moved})
    if argument == "y":
        with pytest.raises(ValueError, match=match):
            fitted.score(timed, moved)


@pytest.mark.parametrize("name", ["label", "Label", "target", "y"])
def test_column_of_labels_is_warned_about_where_it_is_not_read(name):
    table = X.assign(**{name: [1, 0, 1, 1, 0, 1, 1, 0]})
    model = PopularityRecommender()
    (message,) = warnings_of(model.fit, table)
    assert f"X has a column {name!r}, which is not read" in message
    assert f"y=X[{name!r}]" in message
    assert warnings_of(model.fit, table, table[name]) == []
