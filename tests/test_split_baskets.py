import itertools

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, cross_val_score

from neumf import (
    ItemKNNRecommender,
    LeaveLastBasketOutSplitter,
    LeaveLastOutSplitter,
    PopularityRecommender,
    ndcg_scorer,
)


def slow_split(X, splitter):
    """Peel the last baskets off the timelines that are long enough, once per split."""
    baskets = {}
    for user in X["user"].unique():
        times = X.loc[X["user"] == user, "timestamp"]
        baskets[user] = [times.index[times == time].tolist() for time in sorted(set(times))]
    splits = []
    for _ in range(splitter.n_splits):
        test = []
        for user, own in baskets.items():
            if len(own) >= splitter.min_train + splitter.n_last:
                test += itertools.chain(*own[-splitter.n_last :])
                baskets[user] = own[: -splitter.n_last]
        train = itertools.chain(*(rows for own in baskets.values() for rows in own))
        splits.append((sorted(train), sorted(test)))
    return splits


@st.composite
def cases(draw):
    """A splitter and a table in which one user at least is tested in every split."""
    splitter = LeaveLastBasketOutSplitter(
        n_splits=draw(st.integers(1, 2)),
        n_last=draw(st.integers(1, 2)),
        min_train=draw(st.integers(0, 2)),
    )
    longest = splitter.min_train + splitter.n_splits * splitter.n_last
    X = draw(strategies.tables(longest=1))
    baskets = {"user": X["user"].iloc[0], "item": 1, "timestamp": np.arange(longest)}
    return splitter, pd.concat([X, pd.DataFrame(baskets)], ignore_index=True)


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


@pytest.fixture(name="X")
def baskets():
    """User a has the baskets {0, 3}, {1}, {2, 5}; b has {4}."""
    return pd.DataFrame(
        {
            "user": ["a", "a", "a", "a", "b", "a"],
            "item": [1, 2, 3, 4, 5, 6],
            "timestamp": [10, 20, 30, 10, 10, 30],
        }
    )


def test_holds_out_all_rows_of_the_last_moment(X):
    assert as_lists(LeaveLastBasketOutSplitter().split(X)) == [([0, 1, 3, 4], [2, 5])]


def test_later_splits_step_back_in_time(X):
    assert as_lists(LeaveLastBasketOutSplitter(n_splits=2).split(X)) == [
        ([0, 1, 3, 4], [2, 5]),
        ([0, 3, 4], [1]),
    ]


def test_min_train_counts_baskets(X):
    splits = LeaveLastBasketOutSplitter(min_train=0).split(X)
    assert as_lists(splits) == [([0, 1, 3], [2, 4, 5])]
    with pytest.raises(ValueError, match=r"needs 4 baskets .* has 3 basket\(s\)"):
        next(LeaveLastBasketOutSplitter(min_train=3).split(X))


def test_days_are_baskets_where_the_times_are(X):
    dated = X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="D"))
    splitter = LeaveLastBasketOutSplitter(n_splits=2)
    assert as_lists(splitter.split(dated)) == as_lists(splitter.split(X))


def test_moments_a_nanosecond_apart_are_two_baskets():
    times = pd.to_datetime([1_700_000_000_000_000_001, 1_700_000_000_000_000_002])
    X = pd.DataFrame({"user": 1, "item": [1, 2], "timestamp": times})
    assert as_lists(LeaveLastBasketOutSplitter().split(X)) == [([0], [1])]


@given(cases())
def test_equals_a_slow_loop(case):
    splitter, X = case
    assert as_lists(splitter.split(X)) == slow_split(X, splitter)


@given(cases())
def test_no_training_row_is_as_late_as_a_test_row_of_its_user(case):
    splitter, X = case
    for train, test in splitter.split(X):
        assert not set(train) & set(test)
        newest = X.iloc[train].groupby("user")["timestamp"].max()
        oldest = X.iloc[test].groupby("user")["timestamp"].min()
        assert all(newest[user] < oldest[user] for user in newest.index.intersection(oldest.index))


@given(cases())
def test_what_one_split_tests_no_later_split_trains_on(case):
    splitter, X = case
    tested = set()
    for train, test in splitter.split(X):
        assert train.dtype == test.dtype == np.intp
        tested |= set(test)
        assert not tested & set(train)


@given(strategies.tables(times="distinct", longest=2))
def test_baskets_of_one_row_are_held_out_as_rows_are(X):
    baskets, rows = LeaveLastBasketOutSplitter(), LeaveLastOutSplitter()
    assert as_lists(baskets.split(X)) == as_lists(rows.split(X))


@given(strategies.tables())
def test_rank_is_the_number_of_the_basket(X):
    ranked = LeaveLastBasketOutSplitter().fit_transform(X)
    expected = [
        len({time for u, _, time in X.to_numpy() if u == user and time <= own})
        for user, _, own in X.to_numpy()
    ]
    assert ranked["rank"].tolist() == expected


@pytest.mark.parametrize("X", [[["a", 1, 5]], np.ones((3, 3))], ids=["list", "array"])
def test_tables_without_timestamps_have_no_baskets(X):
    with pytest.raises(ValueError, match=r"splits by time\. .* or hold out single .*LastOut"):
        next(LeaveLastBasketOutSplitter().split(X))


def shop(rng):
    """40 shoppers with four baskets of three goods."""
    rows = [
        (user, item, basket)
        for user in range(40)
        for basket in range(4)
        for item in rng.choice(12, 3, replace=False)
    ]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


def test_cross_validates_and_searches(rng):
    X, splitter = shop(rng), LeaveLastBasketOutSplitter(n_splits=2)
    scorer = ndcg_scorer(exclude_seen=False)
    values = cross_val_score(PopularityRecommender(), X, cv=splitter, scoring=scorer)
    for value, (train, test) in zip(values, splitter.split(X), strict=True):
        assert value == scorer(PopularityRecommender().fit(X.iloc[train]), X.iloc[test])
    search = GridSearchCV(
        ItemKNNRecommender(), {"n_neighbors": [2, 9]}, cv=splitter, scoring=scorer
    )
    assert search.fit(X).n_splits_ == 2
