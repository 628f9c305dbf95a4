"""Tables with several kinds of events, and with returns."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from neumf import (
    ALSRecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    SequentialRulesRecommender,
)
from neumf.datasets import read_interactions

WEIGHTS = {"view": 1, "cart": 3, "purchase": 5}


def log_of(events, **columns):
    """One user's log: an item per event, a second apart."""
    n = len(events)
    log = {"user": "u", "item": range(n), "timestamp": range(n), "kind": events}
    return pd.DataFrame(log | columns)


def bought_of(quantities, **columns):
    """One user's log of one item: a quantity per second."""
    n = len(quantities)
    log = {"user": "u", "item": "i", "timestamp": range(n), "pieces": quantities}
    return pd.DataFrame(log | columns)


def left_of(log):
    return read_interactions(log, quantity="pieces")["quantity"].to_dict()


# Kinds of events


def test_each_row_has_the_weight_of_its_kind():
    X = read_interactions(log_of(["view", "purchase", "view"]), event="kind", weights=WEIGHTS)
    assert list(X) == ["user", "item", "timestamp", "event", "weight"]
    assert X["event"].tolist() == ["view", "purchase", "view"]
    assert X["weight"].tolist() == [1.0, 5.0, 1.0]
    assert X["weight"].dtype == np.float64


@pytest.mark.parametrize("nothing", [0, 0.0, None])
def test_kind_without_weight_is_dropped(nothing):
    log = log_of(["view", "purchase", "view", "cart"])
    X = read_interactions(log, event="kind", weights=WEIGHTS | {"view": nothing})
    assert X.index.tolist() == [1, 3]
    assert X["item"].tolist() == [1, 3]
    assert X["weight"].tolist() == [5.0, 3.0]


def test_repeated_events_stay():
    log = log_of(["view"] * 3, item="i", timestamp=7)
    X = read_interactions(log, event="kind", weights=WEIGHTS)
    assert X[["item", "timestamp"]].to_numpy().tolist() == [["i", 7]] * 3


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_none_stands_for_a_missing_kind(missing):
    log = log_of(["view", missing, "cart"])
    with pytest.raises(ValueError, match=r"no weight for None \(1 rows\).*\{\.\.\., None: 0\}"):
        read_interactions(log, event="kind", weights=WEIGHTS)
    X = read_interactions(log, event="kind", weights=WEIGHTS | {None: 2})
    assert X["weight"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["object", "category", "polars", "array", "numbers"])
def test_kinds_of_every_type_are_read(kind):
    log = log_of(["view", "cart", "view"])
    event, weights = "kind", WEIGHTS
    if kind == "polars":
        log = pytest.importorskip("polars").DataFrame(log.to_dict("list"))
    elif kind == "array":
        log, event = log.to_numpy(), 3
    elif kind == "numbers":
        log["kind"], weights = [1, 2, 1], {1: 1, 2: 3, 4: 5}
    else:
        log["kind"] = log["kind"].astype(kind)
    X = read_interactions(log, event=event, weights=weights)
    assert X["weight"].tolist() == [1.0, 3.0, 1.0]


def test_kinds_without_a_weight_are_listed_with_the_way_to_drop_them():
    log = log_of(["wish", "view", "share", "wish"])
    with pytest.raises(
        ValueError,
        match=r"no weight for 'wish', 'share' \(3 rows\)\. .*weights=\{\.\.\., 'wish': 0\}",
    ):
        read_interactions(log, event="kind", weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more \(12 rows\)"):
        read_interactions(log_of(list(range(12))), event="kind", weights=WEIGHTS)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"event": "kind"}, ValueError, "given together. Received: event='kind', weights=None"),
        ({"weights": WEIGHTS}, ValueError, "given together. Received: event=None"),
        ({"event": "knd", "weights": {}}, ValueError, "event must be one of.*mean 'kind'"),
        ({"event": "kind", "weights": [1, 3]}, TypeError, r"must map each kind.*\[1, 3\].*event="),
        ({"event": "kind", "weights": {"view": -1}}, ValueError, r"weights\['view'\] must be.*-1"),
        ({"event": "kind", "weights": {"view": "1"}}, TypeError, r"weights\['view'\] must be.*str"),
        ({"event": "kind", "weights": {"view": np.nan}}, ValueError, r"weights\['view'\].*nan"),
        ({"quantity": "pieces"}, ValueError, "quantity must be one of"),
    ],
)
def test_unclear_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        read_interactions(log_of(["view"]), **options)


# Returns


@pytest.mark.parametrize(
    ("quantities", "left"),
    [
        ([2, 3], {0: 2, 1: 3}),
        ([2, -2], {}),
        ([2, 3, -1], {0: 2, 1: 2}),
        ([2, 3, -3], {0: 2}),
        ([2, 3, -4], {0: 1}),
        ([2, -1, 3, -1], {0: 1, 2: 2}),
        ([2, 0, 3], {0: 2, 2: 3}),
        ([0.1, 0.2, -0.3], {}),
        ([0.3, -0.1, -0.2], {}),
        (["4", "-1"], {0: 3}),
    ],
)
def test_return_takes_from_the_latest_earlier_purchases(quantities, left):
    assert left_of(bought_of(quantities)) == left


@pytest.mark.parametrize(
    ("quantities", "left", "n_excess", "n_returns"),
    [
        ([-1, 2], {1: 2}, 1, 1),
        ([2, -3, 4], {2: 4}, 1, 1),
        ([-1, 5, -2, -4], {}, 2, 3),
    ],
)
def test_return_of_more_than_was_bought_before_is_counted(quantities, left, n_excess, n_returns):
    with pytest.warns(UserWarning, match=f"table: {n_excess} of {n_returns} returns .* exceed"):
        assert left_of(bought_of(quantities)) == left


@pytest.mark.parametrize("column", ["user", "item"])
def test_return_takes_from_the_same_user_and_item_only(column):
    log = bought_of([1, 1, -1], **{column: ["a", "b", "a"]})
    assert left_of(log) == {1: 1}


def test_return_takes_from_the_same_kind_of_event_only():
    log = bought_of([1, 1, -1], kind=["purchase", "view", "purchase"])
    X = read_interactions(log, quantity="pieces", event="kind", weights=WEIGHTS)
    assert X["event"].tolist() == ["view"]


def test_return_of_a_missing_kind_takes_from_the_same_user():
    log = bought_of([1, 1, -1], user=["a", "b", "a"], kind=None)
    X = read_interactions(log, quantity="pieces", event="kind", weights={None: 1})
    assert X["user"].tolist() == ["b"]


def test_time_decides_what_is_earlier_and_then_the_order_of_rows():
    assert left_of(bought_of([-1, 2, 3], timestamp=[5, 4, 6])) == {1: 1, 2: 3}
    assert left_of(bought_of([2, 3, -1], timestamp=[5, 5, 5])) == {0: 2, 1: 2}


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, "many"])
def test_quantities_must_be_finite_numbers(bad):
    with pytest.raises(ValueError, match=r"table: quantities must be numbers.*in row 1 \(1 such"):
        left_of(bought_of([2, bad]))


def test_returns_need_timestamps():
    log = bought_of([2, -1]).drop(columns="timestamp")
    with pytest.raises(ValueError, match="table must have timestamps because a negative quantity"):
        left_of(log)
    assert left_of(log.head(1)) == {0: 2}


def pieces_left(log):
    """Slowly: a stack of single pieces for each user and item."""
    stacks = {}
    n_excess = 0
    for row in log.sort_values("timestamp", kind="stable").itertuples():
        stack = stacks.setdefault((row.user, row.item), [])
        stack.extend([row.Index] * max(row.pieces, 0))
        returned = max(-row.pieces, 0)
        n_excess += returned > len(stack)
        del stack[max(len(stack) - returned, 0) :]
    left = pd.Series([row for stack in stacks.values() for row in stack]).value_counts()
    return left.sort_index().to_dict(), n_excess


logs = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 4), st.integers(-4, 4)),
    min_size=1,
    max_size=15,
).map(lambda rows: pd.DataFrame(rows, columns=["user", "item", "timestamp", "pieces"]))


@given(logs)
def test_returns_leave_what_single_pieces_leave(log):
    left, n_excess = pieces_left(log)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert left_of(log) == left
    assert [str(record.message).split()[1] for record in caught] == [str(n_excess)] * (n_excess > 0)


@given(logs)
def test_positive_quantities_change_nothing(log):
    log["pieces"] = log["pieces"].abs() + 1
    X = read_interactions(log, quantity="pieces")
    assert_frame_equal(X.drop(columns="quantity"), read_interactions(log))
    assert X["quantity"].tolist() == log["pieces"].tolist()


# The columns in `fit`


WEIGHED = [
    (PopularityRecommender(), False),
    (PopularityRecommender(half_life=50), True),
    (ItemKNNRecommender(), False),
    (ALSRecommender(random_state=0), True),
    (SequentialRulesRecommender(), True),
]


@pytest.fixture
def shop(rng):
    n = 200
    columns = {
        "user": rng.integers(20, size=n),
        "item": rng.integers(8, size=n),
        "timestamp": rng.permutation(n),
        "kind": rng.choice(list(WEIGHTS), n),
        "pieces": 1,
    }
    log = pd.DataFrame(columns)
    return read_interactions(log, event="kind", weights=WEIGHTS, quantity="pieces")


@pytest.mark.parametrize(("model", "weighs"), WEIGHED, ids=repr)
def test_fit_reads_weights_as_sample_weight_only(shop, model, weighs):
    X_train, _ = LeaveLastOutSplitter().train_test_split(shop)
    roles = ["user", "item", "timestamp"]
    plain = model.fit(X_train[roles]).recommend(exclude_seen=False)
    assert_frame_equal(model.fit(X_train).recommend(exclude_seen=False), plain)
    model.fit(X_train, sample_weight=X_train["weight"])
    weighed = model.recommend(exclude_seen=False)
    assert np.allclose(weighed["score"], plain["score"]) != weighs
