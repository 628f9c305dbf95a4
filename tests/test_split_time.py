import datetime as dt

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score

from neumf import ItemKNNRecommender, PopularityRecommender, TimeSplitter, evaluate, ndcg_scorer

DAY = pd.Timestamp("2024-01-01")


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


def frame(times, users=1):
    return pd.DataFrame({"user": users, "item": range(len(times)), "timestamp": times})


def slow_windows(times, n_splits, test_size):
    """Take the share's rows one by one from the latest, and all rows of the last timestamp."""
    order = sorted(range(len(times)), key=lambda row: times[row])
    size = max(1, round(test_size * len(times)))
    splits, end = [], len(times)
    for j in range(1, n_splits + 1):
        start = max(0, len(times) - j * size)
        while start > 0 and times[order[start - 1]] == times[order[start]]:
            start -= 1
        start = min(start, end)
        splits.append((sorted(order[:start]), sorted(order[start:end])))
        end = start
    return splits


def test_the_last_share_of_rows_is_tested_whoever_they_are_of():
    X = frame([5, 1, 4, 2, 3, 6, 9, 8, 7, 10], users=[1, 2] * 5)
    assert as_lists(TimeSplitter(test_size=0.3).split(X)) == [([0, 1, 2, 3, 4, 5, 8], [6, 7, 9])]


def test_later_splits_test_the_windows_before():
    X = frame(range(10))
    assert as_lists(TimeSplitter(3).split(X)) == [
        ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9]),
        ([0, 1, 2, 3, 4, 5], [6, 7]),
        ([0, 1, 2, 3], [4, 5]),
    ]


def test_a_share_is_the_nearest_number_of_rows():
    X = frame(range(30))
    assert len(next(TimeSplitter(test_size=0.1).split(X))[1]) == 3  # 0.1 * 30 is above 3
    assert len(next(TimeSplitter(test_size=0.001).split(X))[1]) == 1


@pytest.mark.parametrize(
    "duration", [dt.timedelta(days=2), pd.Timedelta("2D"), np.timedelta64(2, "D")], ids=repr
)
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_window_is_so_long(duration, unit):
    times = (DAY + pd.to_timedelta([0, 7, 5, 5.01, 3, 1], unit="D")).as_unit(unit)
    assert as_lists(TimeSplitter(2, duration).split(frame(times))) == [
        ([0, 2, 4, 5], [1, 3]),  # later than day 5
        ([0, 4, 5], [2]),  # later than day 3, and day 5 itself
    ]


def test_numbers_are_seconds_to_a_duration():
    X = frame([0, 60, 120, 180])
    assert as_lists(TimeSplitter(test_size=pd.Timedelta("90s")).split(X)) == [([0, 1], [2, 3])]
    halves = frame([0.0, 0.5, 1.0, 1.5])
    assert as_lists(TimeSplitter(test_size=pd.Timedelta("700ms")).split(halves)) == [
        ([0, 1], [2, 3])
    ]


@pytest.mark.parametrize("dtype", ["uint64", "int8", "float64"])
def test_windows_may_begin_before_all_numbers_of_a_type(dtype):
    X = frame(np.arange(5).astype(dtype))
    with pytest.raises(ValueError, match="Split 1 of 1 has no training rows"):
        next(TimeSplitter(test_size=dt.timedelta(seconds=500)).split(X))


@pytest.mark.parametrize(
    "start", ["2024-01-04", DAY + pd.Timedelta("3D"), dt.date(2024, 1, 4), 1_704_326_400], ids=repr
)
def test_rows_from_a_moment_on_are_tested(start):
    X = frame(DAY + pd.to_timedelta([4, 3, 2, 0], unit="D"))
    assert as_lists(TimeSplitter(start=start).split(X)) == [([2, 3], [0, 1])]


def test_start_of_numbers_is_a_number():
    assert as_lists(TimeSplitter(start=2).split(frame([4, 3, 2, 0]))) == [([3], [0, 1, 2])]


def test_nanoseconds_are_told_apart():
    times = pd.to_datetime(1_700_000_000_000_000_000 + np.arange(4))
    assert as_lists(TimeSplitter(test_size=0.5).split(frame(times))) == [([0, 1], [2, 3])]
    nanosecond = np.timedelta64(1, "ns")
    assert as_lists(TimeSplitter(2, nanosecond).split(frame(times))) == [
        ([0, 1, 2], [3]),
        ([0, 1], [2]),
    ]
    assert as_lists(TimeSplitter(1, 3 * nanosecond).split(frame(times))) == [([0], [1, 2, 3])]


shares = st.floats(0.15, 0.3)
any_starts = st.none() | st.integers(-3, 4)
durations = st.integers(1, 2).map(lambda n: dt.timedelta(seconds=n))


@st.composite
def cases(draw, sizes=shares | durations, starts=any_starts):
    """A splitter and a table whose splits have rows to train on and to test."""
    every_moment = pd.DataFrame({"user": 0, "item": 0, "timestamp": range(-4, 5)})
    X = pd.concat([draw(strategies.tables(max_rows=12)), every_moment], ignore_index=True)
    start = draw(starts)
    n_splits = 1 if start is not None else draw(st.integers(1, 3))
    splitter = TimeSplitter(n_splits, draw(sizes), start)
    if isinstance(splitter.test_size, float):  # many rows with one timestamp may fill two windows
        windows = slow_windows(X["timestamp"].tolist(), n_splits, splitter.test_size)
        assume(all(train and test for train, test in windows))
    return splitter, X


@given(cases())
def test_no_training_row_is_as_late_as_a_test_row(case):
    splitter, X = case
    for train, test in splitter.split(X):
        assert X["timestamp"].iloc[train].max() < X["timestamp"].iloc[test].min()


@given(cases())
def test_windows_follow_one_another_and_the_first_split_covers_all_rows(case):
    splitter, X = case
    rest = set(range(len(X)))
    for train, test in splitter.split(X):
        assert train.dtype == test.dtype == np.intp
        assert not set(train) & set(test)
        assert set(train) | set(test) == rest
        rest = set(train)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_is_irrelevant(case, random):
    splitter, X = case
    shuffled = X.iloc[random.sample(range(len(X)), len(X))]
    for (train, test), (train_2, test_2) in zip(
        splitter.split(X), splitter.split(shuffled), strict=True
    ):
        assert set(X.index[train]) == set(shuffled.index[train_2])
        assert set(X.index[test]) == set(shuffled.index[test_2])


@given(cases(shares, st.none()))
def test_shares_equal_a_slow_loop(case):
    splitter, X = case
    times = X["timestamp"].tolist()
    expected = slow_windows(times, splitter.n_splits, splitter.test_size)
    assert as_lists(splitter.split(X)) == expected


@given(cases(durations, st.none()))
def test_durations_equal_a_slow_loop(case):
    splitter, X = case
    last, length = X["timestamp"].max(), splitter.test_size.total_seconds()
    for j, (train, test) in enumerate(splitter.split(X), start=1):
        ages = (last - X["timestamp"]).tolist()
        windows = [int(age // length) + 1 for age in ages]
        assert test.tolist() == [row for row, window in enumerate(windows) if window == j]
        assert train.tolist() == [row for row, window in enumerate(windows) if window > j]


def test_train_test_split_returns_tables_of_the_type_that_came_in():
    X = frame(range(5)).set_axis(list("abcde"))
    train, test = TimeSplitter().train_test_split(X)
    assert_frame_equal(train, X[:4])
    assert_frame_equal(test, X[4:])


# Errors


def test_a_window_without_rows_says_what_was_split():
    with pytest.raises(ValueError, match="Split 1 of 1 has no training rows"):
        next(TimeSplitter(test_size=0.5).split(frame([5, 5, 5])))
    with pytest.raises(ValueError, match=r"Split 1 of 1 has no test rows: .* start=10,"):
        next(TimeSplitter(start=10).split(frame([5, 9])))
    match = (
        "Split 2 of 2 has no test rows: .* start=None, and the 4 rows of X have 2 "
        "different timestamps, from 5 to 900000 s"
    )
    with pytest.raises(ValueError, match=match):
        list(TimeSplitter(2, dt.timedelta(days=1)).split(frame([5, 5, 900_000, 900_000])))


@pytest.mark.parametrize("X", [[["a", 1, 5]], np.ones((3, 3))], ids=["list", "array"])
def test_tables_without_timestamps_have_no_calendar(X):
    with pytest.raises(ValueError, match=r"TimeSplitter splits by time.* a column 'timestamp'"):
        next(TimeSplitter().split(X))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_splits": 0}, ValueError, "n_splits must be an int >= 1"),
        ({"n_splits": 2, "start": 5}, ValueError, "n_splits must be 1 if start is given"),
        ({"test_size": 0}, ValueError, "test_size must be a number > 0 and < 1"),
        ({"test_size": 1}, ValueError, "test_size must be a number > 0 and < 1"),
        ({"test_size": "1D"}, TypeError, "test_size must be a number > 0 and < 1"),
        ({"test_size": dt.timedelta(0)}, ValueError, "test_size must be a share .* above 0"),
        ({"test_size": np.timedelta64("NaT")}, ValueError, "test_size must be a share"),
        ({"start": "soon"}, ValueError, "start must be a finite number or a datetime"),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        next(TimeSplitter(**parameters).split(frame(range(9))))


# In scikit-learn


def test_is_a_cross_validator():
    splitter = TimeSplitter(3, start=None)
    assert check_cv(splitter) is splitter
    assert splitter.get_n_splits() == 3
    assert repr(clone(splitter)) == "TimeSplitter(n_splits=3)"


@pytest.fixture(name="table")
def rows_of_a_shop(rng):
    """40 users who come and go; all items are there from the start."""
    times = rng.permutation(400)
    users = np.clip(times // 10 + rng.integers(-8, 9, 400), 0, 39)
    items = np.where(times < 12, times, rng.integers(0, 12, 400))
    return pd.DataFrame({"user": users, "item": items, "timestamp": times})


@pytest.mark.filterwarnings("ignore:.*held-out rows name a user")
def test_cross_validates_and_searches(table):
    splitter = TimeSplitter(2, 0.1)
    scorer = ndcg_scorer(exclude_seen=False)
    values = cross_val_score(PopularityRecommender(), table, cv=splitter, scoring=scorer)
    for value, (train, test) in zip(values, splitter.split(table), strict=True):
        assert value == scorer(PopularityRecommender().fit(table.iloc[train]), table.iloc[test])
    search = GridSearchCV(
        ItemKNNRecommender(), {"n_neighbors": [2, 9]}, cv=splitter, scoring=scorer
    )
    assert search.fit(table).n_splits_ == 2


def test_new_users_of_the_window_are_judged_by_their_first_rows(table):
    X_train, X_late = TimeSplitter(test_size=0.3).train_test_split(table)
    X_test = X_late.sort_values("timestamp").groupby("user").tail(1)
    earlier = X_late.drop(X_test.index)
    model = ItemKNNRecommender().fit(X_train)
    with pytest.warns(UserWarning, match="an unknown user"):
        without = evaluate(model, X_test, metrics="hr", k=3, exclude_seen=False).to_frame()
    known = X_test[X_test["user"].isin(X_train["user"]) | X_test["user"].isin(earlier["user"])]
    assert without["n_misses"].item() > len(X_test) - len(known)
    told = evaluate(
        model, known, metrics="hr", k=3, exclude_seen=False, interactions=earlier
    ).to_frame()
    assert told["n_misses"].item() == 0
