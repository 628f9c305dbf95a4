import gzip
import itertools
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, check_cv, cross_validate

from neumf import LeaveLastOutSplitter


def slow_timelines(X):
    """Return the rows of each user, oldest first."""
    timelines = {}
    for row, user in enumerate(X["user"]):
        timelines.setdefault(user, []).append(row)
    if "timestamp" in X:
        times = X["timestamp"].tolist()
        for rows in timelines.values():
            rows.sort(key=lambda row: times[row])  # stable
    return timelines


def slow_split(X, splitter):
    """Peel the last rows off the timelines that are long enough, once per split."""
    timelines = slow_timelines(X)
    splits = []
    for _ in range(splitter.n_splits):
        test = []
        for user, rows in timelines.items():
            if len(rows) >= splitter.min_train + splitter.n_last:
                test += rows[-splitter.n_last :]
                timelines[user] = rows[: -splitter.n_last]
        train = [row for rows in timelines.values() for row in rows]
        splits.append((sorted(train), sorted(test)))
    return splits


def slow_dense_ranks(X):
    """Count the distinct timestamps of a user up to each row."""
    times = X["timestamp"] if "timestamp" in X else range(len(X))
    rows = list(zip(X["user"], times, strict=True))
    return [len({t for u, t in rows if u == user and t <= time}) for user, time in rows]


@st.composite
def cases(draw, times=strategies.any_times):
    """A splitter and a table in which one user at least is tested in every split."""
    splitter = LeaveLastOutSplitter(
        n_splits=draw(st.integers(1, 3)),
        n_last=draw(st.integers(1, 3)),
        min_train=draw(st.integers(0, 2)),
        ties="row_order",
    )
    longest = max(splitter.min_train + splitter.n_splits * splitter.n_last, 1)
    return splitter, draw(strategies.tables(times=draw(times), longest=longest))


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


@pytest.fixture(name="X")
def interactions():
    """Oldest first, user a has rows 3, 5, 0, 2; b has 1, 4; c has 6."""
    return pd.DataFrame(
        {
            "user": ["a", "b", "a", "a", "b", "a", "c"],
            "item": [1, 2, 3, 4, 5, 6, 7],
            "timestamp": [30, 5, 40, 10, 9, 20, 1],
        }
    )


class TestSplit:
    def test_holds_out_each_users_latest_row(self, X):
        assert as_lists(LeaveLastOutSplitter().split(X)) == [([0, 1, 3, 5, 6], [2, 4])]

    def test_later_splits_step_back_in_time(self, X):
        assert as_lists(LeaveLastOutSplitter(n_splits=3).split(X)) == [
            ([0, 1, 3, 5, 6], [2, 4]),
            ([1, 3, 5, 6], [0]),
            ([1, 3, 6], [5]),
        ]

    def test_takes_min_train_zero_for_testing_users_without_training_rows(self, X):
        splitter = LeaveLastOutSplitter(min_train=0)
        assert as_lists(splitter.split(X)) == [([0, 1, 3, 5], [2, 4, 6])]

    def test_users_with_too_few_rows_stay_in_train(self, X):
        splitter = LeaveLastOutSplitter(n_last=2)
        assert as_lists(splitter.split(X)) == [([1, 3, 4, 5, 6], [0, 2])]

    def test_holds_out_the_later_row_of_the_table_among_equal_timestamps(self):
        X = pd.DataFrame({"user": 1, "item": [10, 11, 12], "timestamp": [5, 5, 4]})
        splitter = LeaveLastOutSplitter(ties="row_order")
        assert as_lists(splitter.split(X)) == [([0, 2], [1])]

    def test_row_order_is_time_order_without_timestamps(self, X):
        splits = LeaveLastOutSplitter().split(X.drop(columns="timestamp"))
        assert as_lists(splits) == [([0, 1, 2, 3, 6], [4, 5])]

    def test_orders_datetimes_like_the_numbers_they_stand_for(self, X):
        dated = X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="D", utc=True))
        splitter = LeaveLastOutSplitter(n_splits=2)
        assert as_lists(splitter.split(dated)) == as_lists(splitter.split(X))

    @pytest.mark.parametrize("convert", [np.array, np.ndarray.tolist], ids=["array", "list"])
    def test_row_order_is_time_order_in_arrays(self, X, convert):
        rows = convert(X.to_numpy(dtype=object))
        splits = LeaveLastOutSplitter(n_splits=2).split(rows)
        untimed = X.drop(columns="timestamp")
        assert as_lists(splits) == as_lists(LeaveLastOutSplitter(n_splits=2).split(untimed))

    def test_reads_the_columns_of_amazon_reviews_as_they_are(self):
        columns = "reviewerID asin reviewerName helpful reviewText overall summary unixReviewTime"
        X = pd.DataFrame(
            [
                ["A1", "B1", "Zoe", [0, 1], "good", 5.0, "z", 1393545600, "02 28, 2014"],
                ["A1", "B2", "Ann", [2, 2], "bad", 1.0, "y", 1400000000, "05 13, 2014"],
                ["A2", "B1", "Bob", [0, 0], "so", 3.0, "x", 1380000000, "09 24, 2013"],
                ["A2", "B3", "Bob", [0, 0], "so", 4.0, "w", 1370000000, "05 31, 2013"],
            ],
            columns=[*columns.split(), "reviewTime"],
        )
        _, X_test = LeaveLastOutSplitter().train_test_split(X)
        assert X_test["asin"].tolist() == ["B2", "B1"]

    def test_holds_out_the_latest_of_real_amazon_reviews(self, real_data):
        path = real_data("amazon-musical-instruments", "reviews_Musical_Instruments_5.json.gz")
        with gzip.open(path) as lines:
            X = pd.DataFrame([json.loads(line) for line in lines])
        assert list(X.columns)[:3] == ["reviewerID", "asin", "reviewerName"]
        with pytest.warns(UserWarning, match="X: 44% of the 1429 tested users"):
            _, X_test = LeaveLastOutSplitter().train_test_split(X)
        expected = X.groupby("reviewerID")["unixReviewTime"].max()
        held_out = X_test.set_index("reviewerID")["unixReviewTime"]
        assert held_out.sort_index().tolist() == expected.sort_index().tolist()

    @pytest.mark.parametrize("third", [5.0, 1.0])
    @pytest.mark.parametrize(
        "names",
        [
            ["userId", "movieId", "rating"],
            ["reviewer", "product", "rating"],
            ["reviewer", "product", "stars"],
        ],
        ids="-".join,
    )
    def test_does_not_take_ratings_for_times(self, names, third):
        X = pd.DataFrame([[1, 10, 3.0], [1, 11, 4.0], [1, 12, third]], columns=names)
        assert as_lists(LeaveLastOutSplitter().split(X)) == [([0, 1], [2])]
        assert as_lists(LeaveLastOutSplitter().split(X.to_numpy())) == [([0, 1], [2])]

    @given(cases(), st.data())
    def test_is_not_moved_by_further_columns(self, case, data):
        splitter, X = case
        ratings = data.draw(st.lists(st.integers(1, 5), min_size=len(X), max_size=len(X)))
        wider = X.assign(rating=ratings, year=ratings, overall=ratings)
        for _ in range(2):
            assert as_lists(splitter.split(wider)) == as_lists(splitter.split(X))
            wider = wider[wider.columns[::-1]]

    def test_yields_positions_whatever_the_index(self, X):
        shuffled_index = X.set_axis([9, 9, 5, 1, 0, 3, np.nan])
        assert as_lists(LeaveLastOutSplitter().split(shuffled_index)) == as_lists(
            LeaveLastOutSplitter().split(X)
        )

    def test_counts_duplicate_rows_one_by_one(self):
        X = np.array([[1, 10, 5], [1, 10, 5]])
        assert as_lists(LeaveLastOutSplitter().split(X)) == [([0], [1])]

    @given(cases())
    def test_equals_a_slow_loop(self, case):
        splitter, X = case
        assert as_lists(splitter.split(X)) == slow_split(X, splitter)

    @given(strategies.id_kinds.flatmap(lambda ids: strategies.tables(ids=ids, longest=2)))
    def test_equals_a_slow_loop_for_any_ids(self, X):
        splitter = LeaveLastOutSplitter(ties="row_order")
        assert as_lists(splitter.split(X)) == slow_split(X, splitter)

    @given(cases())
    def test_train_and_test_are_disjoint(self, case):
        splitter, X = case
        for train, test in splitter.split(X):
            assert not set(train) & set(test)

    @given(cases())
    def test_first_split_covers_all_rows(self, case):
        splitter, X = case
        train, test = next(splitter.split(X))
        assert sorted([*train, *test]) == list(range(len(X)))

    @given(cases())
    def test_tests_n_last_rows_of_users_with_enough_and_none_of_others(self, case):
        splitter, X = case
        for j, (_, test) in enumerate(splitter.split(X), start=1):
            n_tested = X["user"].iloc[test].value_counts().to_dict()
            enough = splitter.min_train + j * splitter.n_last
            for user, n_rows in X["user"].value_counts().items():
                expected = splitter.n_last if n_rows >= enough else 0
                assert n_tested.get(user, 0) == expected

    @given(cases(times=st.sampled_from(["tied", "distinct"])))
    def test_no_test_row_is_earlier_than_a_training_row_of_its_user(self, case):
        splitter, X = case
        for train, test in splitter.split(X):
            last_trained = X.iloc[train].groupby("user")["timestamp"].max().to_dict()
            for user, time in X.iloc[test][["user", "timestamp"]].itertuples(index=False):
                assert time >= last_trained.get(user, -np.inf)

    @given(cases())
    def test_what_one_split_tests_no_later_split_trains_on(self, case):
        splitter, X = case
        tested = set()
        for train, test in splitter.split(X):
            tested |= set(test)
            assert not tested & set(train)

    @given(cases())
    def test_training_rows_of_later_splits_are_nested(self, case):
        splitter, X = case
        trains = [set(train) for train, _ in splitter.split(X)]
        for earlier, later in itertools.pairwise(trains):
            assert later < earlier

    @given(cases())
    def test_positions_are_sorted_integers(self, case):
        splitter, X = case
        for positions in (part for split in splitter.split(X) for part in split):
            assert positions.dtype == np.intp
            assert (np.diff(positions) > 0).all()

    @given(cases(times=st.just("distinct")), st.randoms(use_true_random=False))
    def test_order_of_rows_is_irrelevant_where_timestamps_are_distinct(self, case, random):
        splitter, X = case
        shuffled = X.iloc[random.sample(range(len(X)), len(X))]
        for (train, test), (train_2, test_2) in zip(
            splitter.split(X), splitter.split(shuffled), strict=True
        ):
            assert set(X.index[train]) == set(shuffled.index[train_2])
            assert set(X.index[test]) == set(shuffled.index[test_2])


def tied(n_tied, n_users=20):
    """Users with two rows each; those of the first `n_tied` users have equal timestamps."""
    users = np.repeat(np.arange(n_users), 2)
    times = np.where(users < n_tied, 5, np.tile([5, 6], n_users))
    return pd.DataFrame({"user": users, "item": range(2 * n_users), "timestamp": times})


class TestTies:
    def test_many_are_warned_about_once_with_their_share(self):
        with pytest.warns(UserWarning, match="X: 15% of the 20 tested users have") as caught:
            list(LeaveLastOutSplitter(n_splits=2, min_train=0).split(tied(3)))
        assert [warning.filename for warning in caught] == [__file__]

    def test_few_are_not_warned_about(self):
        list(LeaveLastOutSplitter().split(tied(2)))

    @pytest.mark.parametrize("ties", ["row_order", "shuffle"])
    def test_who_has_chosen_an_order_is_not_warned(self, ties):
        list(LeaveLastOutSplitter(ties=ties).split(tied(20)))

    def test_users_who_are_not_tested_do_not_count(self):
        single = pd.DataFrame({"user": range(100, 200), "item": 1, "timestamp": 5})
        with pytest.warns(UserWarning, match="X: 100% of the 20 tested users"):
            list(LeaveLastOutSplitter().split(pd.concat([tied(20), single])))

    def test_rows_that_are_held_out_together_decide_nothing(self):
        earlier = pd.DataFrame({"user": range(20), "item": 99, "timestamp": 1})
        list(LeaveLastOutSplitter(n_last=2).split(pd.concat([earlier, tied(20)])))

    def test_moments_a_nanosecond_apart_are_no_ties(self):
        times = pd.to_datetime([1_700_000_000_000_000_001, 1_700_000_000_000_000_002])
        list(LeaveLastOutSplitter().split(pd.DataFrame({"user": 1, "item": 2, "timestamp": times})))

    @pytest.mark.parametrize("convert", [pd.DataFrame, np.array], ids=["frame", "array"])
    def test_row_order_without_timestamps_has_none(self, convert):
        X = convert(tied(20)[["user", "item"]])
        for ties in ("warn", "shuffle"):
            assert as_lists(LeaveLastOutSplitter(ties=ties).split(X)) == [
                (list(range(0, 40, 2)), list(range(1, 40, 2)))
            ]

    def test_shuffled_ones_are_drawn_alike_often(self):
        X = pd.DataFrame({"user": np.repeat(range(3000), 3), "item": 1, "timestamp": 5})
        test = next(LeaveLastOutSplitter(ties="shuffle", random_state=0).split(X))[1]
        shares = np.bincount(test % 3) / 3000
        assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(1 / 3 * 2 / 3 / 3000)

    def test_seed_draws_the_same_at_every_call(self):
        X = tied(20)
        splitter = LeaveLastOutSplitter(ties="shuffle", random_state=0)
        assert as_lists(splitter.split(X)) == as_lists(splitter.split(X))
        other = LeaveLastOutSplitter(ties="shuffle", random_state=1)
        assert as_lists(splitter.split(X)) != as_lists(other.split(X))

    def test_generator_draws_anew_at_every_call(self):
        X = tied(20)
        splitter = LeaveLastOutSplitter(ties="shuffle", random_state=np.random.default_rng(0))
        assert as_lists(splitter.split(X)) != as_lists(splitter.split(X))

    @given(cases(), st.integers(0, 9))
    def test_shuffled_split_is_a_split_of_the_table_in_some_order(self, case, seed):
        splitter, X = case
        shuffled = clone(splitter).set_params(ties="shuffle", random_state=seed)
        tested = set()
        for (train, test), (expected, expected_test) in zip(
            shuffled.split(X), splitter.split(X), strict=True
        ):
            assert not set(train) & set(test)
            assert not tested & set(train)
            tested |= set(test)
            for column in ["user"] + ["timestamp"] * ("timestamp" in X):
                for rows, others in ((train, expected), (test, expected_test)):
                    assert sorted(X[column].iloc[rows]) == sorted(X[column].iloc[others])

    @given(cases(times=st.just("distinct")))
    def test_shuffling_changes_nothing_without_ties(self, case):
        splitter, X = case
        shuffled = clone(splitter).set_params(ties="shuffle", random_state=0)
        assert as_lists(shuffled.split(X)) == as_lists(splitter.split(X))


class TestErrors:
    def test_ties_must_be_one_of_the_options(self, X):
        with pytest.raises(ValueError, match=r"ties must be one of .* Did you mean 'shuffle'"):
            next(LeaveLastOutSplitter(ties="shuffled").split(X))

    def test_no_user_with_enough_rows_names_the_numbers(self, X):
        splitter = LeaveLastOutSplitter(n_last=3, min_train=2)
        match = (
            r"No user can be tested in split 1 of 1: a user needs 5 rows.*has 4 row\(s\) \(3 user"
        )
        with pytest.raises(ValueError, match=match):
            next(splitter.split(X))

    def test_a_later_split_without_test_rows_is_named(self, X):
        with pytest.raises(ValueError, match="No user can be tested in split 4 of 5"):
            list(LeaveLastOutSplitter(n_splits=5).split(X))

    @pytest.mark.parametrize(
        ("name", "minimum"), [("n_splits", 1), ("n_last", 1), ("min_train", 0)]
    )
    def test_parameters_have_a_minimum(self, X, name, minimum):
        splitter = LeaveLastOutSplitter(**{name: minimum - 1})
        with pytest.raises(ValueError, match=f"{name} must be an int >= {minimum}"):
            next(splitter.split(X))

    @pytest.mark.parametrize("name", ["n_splits", "n_last", "min_train"])
    @pytest.mark.parametrize("value", [1.0, "1", None, True])
    def test_parameters_must_be_ints(self, X, name, value):
        with pytest.raises(TypeError, match=f"{name} must be an int"):
            LeaveLastOutSplitter(**{name: value}).fit(X)

    @pytest.mark.parametrize("method", ["fit", "train_test_split"])
    def test_sparse_has_no_order_in_time(self, method):
        with pytest.raises(ValueError, match=r"rows have an order in time.*sparse"):
            getattr(LeaveLastOutSplitter(), method)(sp.csr_array(np.eye(3)))

    def test_infinite_timestamps_are_refused(self):
        X = pd.DataFrame({"user": 1, "item": 2, "timestamp": [3, np.inf]})
        with pytest.raises(ValueError, match=r"timestamps must be.*missing or infinite"):
            next(LeaveLastOutSplitter().split(X))


class TestTrainTestSplit:
    def test_returns_frames_with_their_index_and_types(self, X):
        X = X.astype({"user": "category"}).set_axis(list("tuvwxyz"))
        train, test = LeaveLastOutSplitter().train_test_split(X)
        assert_frame_equal(train, X.iloc[[0, 1, 3, 5, 6]])
        assert_frame_equal(test, X.iloc[[2, 4]])

    def test_returns_arrays_of_their_type(self):
        X = np.array([[1, 10, 2], [1, 11, 1]], dtype="int32")
        train, test = LeaveLastOutSplitter().train_test_split(X)
        assert (train.dtype, test.dtype) == (np.int32, np.int32)
        assert train.tolist() == [[1, 10, 2]]
        assert test.tolist() == [[1, 11, 1]]

    def test_of_a_list_keeps_numbers_beside_strings(self):
        X = [["a", 10, 2], ["a", 11, 1]]
        train, test = LeaveLastOutSplitter().train_test_split(X)
        assert train.tolist() == [["a", 10, 2]]
        assert test.tolist() == [["a", 11, 1]]

    def test_is_the_first_split(self, X):
        splitter = LeaveLastOutSplitter(n_splits=2)
        train, test = next(splitter.split(X))
        X_train, X_test = splitter.train_test_split(X)
        assert_frame_equal(X_train, X.iloc[train])
        assert_frame_equal(X_test, X.iloc[test])


class TestCrossValidator:
    def test_get_n_splits_needs_no_table(self):
        assert LeaveLastOutSplitter(n_splits=3).get_n_splits() == 3

    def test_check_cv_takes_it_as_it_is(self):
        splitter = LeaveLastOutSplitter()
        assert check_cv(splitter) is splitter

    def test_cross_validate_uses_its_rows(self, X):
        splitter = LeaveLastOutSplitter(n_splits=2)
        results = cross_validate(
            DummyRegressor(),
            X,
            np.arange(7.0),
            cv=splitter,
            scoring="neg_mean_absolute_error",
            return_indices=True,
        )
        splits = zip(results["indices"]["train"], results["indices"]["test"], strict=True)
        assert as_lists(splits) == as_lists(splitter.split(X))

    def test_grid_search_runs_every_split(self, X):
        search = GridSearchCV(
            DummyRegressor(),
            {"strategy": ["mean", "median"]},
            cv=LeaveLastOutSplitter(n_splits=3),
            scoring="neg_mean_absolute_error",
        )
        assert search.fit(X, np.arange(7.0)).n_splits_ == 3

    @pytest.mark.parametrize(("ties", "constant"), [("warn", True), ("shuffle", False)])
    def test_halving_search_is_told_whether_calls_may_differ(self, X, ties, constant):
        search = HalvingGridSearchCV(
            DummyRegressor(),
            {"strategy": ["mean", "median"]},
            cv=LeaveLastOutSplitter(ties=ties),
            scoring="neg_mean_absolute_error",
            min_resources=7,
        )
        if constant:
            assert search.fit(X, np.arange(7.0)).n_splits_ == 1
        else:
            with pytest.raises(ValueError, match=r"consistent folds.* Set its random_state to an"):
                search.fit(X, np.arange(7.0))

    def test_clone_keeps_parameters(self):
        splitter = LeaveLastOutSplitter(2, 3, 0, "shuffle", random_state=5)
        assert clone(splitter).get_params() == {
            "n_splits": 2,
            "n_last": 3,
            "min_train": 0,
            "ties": "shuffle",
            "random_state": 5,
        }

    def test_repr_is_that_of_an_estimator(self):
        assert repr(LeaveLastOutSplitter(n_splits=2)) == "LeaveLastOutSplitter(n_splits=2)"


class TestTransform:
    def test_adds_the_place_of_each_row_in_its_users_timeline(self, X):
        ranked = LeaveLastOutSplitter().fit_transform(X)
        assert_frame_equal(ranked, X.assign(rank=[3, 1, 4, 1, 2, 2, 1]))

    def test_rows_of_one_moment_share_a_rank_without_a_gap(self):
        X = pd.DataFrame({"user": 1, "item": range(4), "timestamp": [5, 9, 5, 7]})
        assert LeaveLastOutSplitter().fit_transform(X)["rank"].tolist() == [1, 3, 1, 2]

    def test_tells_nanoseconds_apart(self):
        times = pd.to_datetime([1_700_000_000_000_000_001, 1_700_000_000_000_000_002])
        X = pd.DataFrame({"user": 1, "item": [1, 2], "timestamp": times})
        assert LeaveLastOutSplitter().fit_transform(X)["rank"].tolist() == [1, 2]

    @given(strategies.any_times.flatmap(lambda times: strategies.tables(times=times)))
    def test_rank_equals_a_slow_loop(self, X):
        assert LeaveLastOutSplitter().fit_transform(X)["rank"].tolist() == slow_dense_ranks(X)

    def test_keeps_an_odd_index(self, X):
        X = X.set_axis([9, 9, 5, 1, 0, 3, 2])
        assert LeaveLastOutSplitter().fit_transform(X).index.tolist() == X.index.tolist()

    def test_of_an_array_is_an_array_with_one_more_column(self):
        ranked = LeaveLastOutSplitter().fit_transform(np.array([[1, 10, 2], [1, 11, 1]]))
        assert isinstance(ranked, np.ndarray)
        assert ranked.tolist() == [[1, 10, 2, 1], [1, 11, 1, 2]]

    def test_does_not_write_to_the_table(self, X):
        LeaveLastOutSplitter().fit_transform(X)
        assert list(X.columns) == ["user", "item", "timestamp"]

    def test_of_a_ranked_table_changes_nothing(self, X):
        ranked = LeaveLastOutSplitter().fit_transform(X)
        again = LeaveLastOutSplitter().set_output(transform="pandas").fit_transform(ranked)
        assert_frame_equal(again, ranked)

    def test_set_output_pandas_makes_frames_of_arrays(self):
        splitter = LeaveLastOutSplitter().set_output(transform="pandas")
        ranked = splitter.fit_transform(np.array([[1, 10], [1, 11]]))
        assert_frame_equal(ranked, pd.DataFrame({"x0": [1, 1], "x1": [10, 11], "rank": [1, 2]}))

    def test_feature_names_out_end_with_rank(self, X):
        splitter = LeaveLastOutSplitter().fit(X)
        assert splitter.n_features_in_ == 3
        assert splitter.get_feature_names_out().tolist() == ["user", "item", "timestamp", "rank"]

    def test_feature_names_out_hold_rank_once(self, X):
        splitter = LeaveLastOutSplitter().fit(X.assign(rank=0))
        assert splitter.get_feature_names_out().tolist() == ["user", "item", "timestamp", "rank"]

    def test_needs_fit(self, X):
        with pytest.raises(NotFittedError, match="LeaveLastOutSplitter instance is not fitted"):
            LeaveLastOutSplitter().transform(X)
