"""Tables that are not of pandas, and values that pandas does not take as they are."""

import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from neumf import (
    IdEncoder,
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    PopularityRecommender,
)
from neumf.datasets import filter_k_core
from neumf.interactions.columns import read_ids
from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import read_table

INTS = pd.Index([1, 2])


def of_polars(X):
    return pytest.importorskip("polars").DataFrame(X.to_dict("list"))


def of_arrow(X):
    return pytest.importorskip("pyarrow").table(X.to_dict("list"))


def as_lists(table):
    """Return the columns of a table of any kind."""
    if isinstance(table, pd.DataFrame):
        return table.to_dict("list")
    return table.to_dict(as_series=False) if hasattr(table, "vstack") else table.to_pydict()


@pytest.fixture(name="X")
def interactions():
    """A table whose columns stand in such an order that a reader by place would be wrong."""
    return pd.DataFrame(
        {
            "rating": [5.0, 4.0, 1.0, 3.0, 2.0],
            "item": [30, 10, 10, 20, 40],
            "timestamp": [3, 9, 1, 2, 4],
            "user": ["bo", "al", "bo", "bo", "al"],
        }
    )


@pytest.mark.parametrize("convert", [of_polars, of_arrow], ids=["polars", "arrow"])
class TestForeignTables:
    def test_are_read_by_name(self, X, convert):
        rows = read_table(convert(X))
        assert rows.users.tolist() == X["user"].tolist()
        assert rows.items.tolist() == X["item"].tolist()
        assert rows.items.dtype == np.int64
        assert rows.timestamps.tolist() == X["timestamp"].tolist()

    def test_split_to_tables_of_their_type(self, X, convert):
        table = convert(X)
        parts = LeaveLastOutSplitter().train_test_split(table)
        expected = LeaveLastOutSplitter().train_test_split(X)
        for part, of_pandas in zip(parts, expected, strict=True):
            assert type(part) is type(table)
            assert as_lists(part) == as_lists(of_pandas)

    def test_are_ranked(self, X, convert):
        table = convert(X)
        ranked = LeaveLastOutSplitter().fit_transform(table)
        assert type(ranked) is type(table)
        assert as_lists(ranked) == as_lists(LeaveLastOutSplitter().fit_transform(X))
        assert as_lists(LeaveLastOutSplitter().fit_transform(ranked)) == as_lists(ranked)

    def test_are_encoded_and_decoded(self, X, convert):
        table = convert(X)
        encoder = IdEncoder().fit(table)
        assert encoder.feature_names_in_.tolist() == list(X.columns)
        encoded = encoder.transform(table)
        assert type(encoded) is type(table)
        assert as_lists(encoded) == as_lists(IdEncoder().fit_transform(X))
        assert encoder.inverse_transform(encoded).equals(table)

    @pytest.mark.parametrize("word", ["user", "item"])
    def test_have_null_for_ids_that_are_unknown(self, X, convert, word):
        encoder = IdEncoder(handle_unknown="use_encoded_value").fit(convert(X))
        codes = encoder.transform(convert(X)).to_pandas()
        codes.loc[1, word] = -1
        decoded = as_lists(encoder.inverse_transform(convert(codes)))
        assert decoded[word] == [None if i == 1 else label for i, label in enumerate(X[word])]

    def test_are_resampled(self, X, convert):
        table = convert(X)
        sampler = NegativeSampler(n_negatives=2, random_state=0)
        resampled, labels = sampler.fit_resample(table)
        expected, expected_labels = sampler.fit_resample(X)
        assert type(resampled) is type(table)
        assert as_lists(resampled) == as_lists(expected)
        assert labels.tolist() == expected_labels.tolist()

    def test_have_a_core(self, X, convert):
        table = convert(X)
        core = filter_k_core(table, 2)
        assert type(core) is type(table)
        assert as_lists(core) == as_lists(filter_k_core(X, 2))

    def test_are_fitted_and_predicted_and_folded_in(self, X, convert):
        model, expected = PopularityRecommender().fit(convert(X)), PopularityRecommender().fit(X)
        assert_frame_equal(model.recommend(k=2), expected.recommend(k=2))
        assert model.predict(convert(X)).tolist() == expected.predict(X).tolist()
        new = pd.DataFrame({"item": [10, 30], "user": ["cy", "cy"]})
        assert_frame_equal(
            model.recommend(interactions=convert(new)), expected.recommend(interactions=new)
        )

    def test_refuse_null_ids_and_name_the_row(self, X, convert):
        for column in ("user", "item"):
            holey = X.astype({column: object})
            holey.loc[2, column] = None
            with pytest.raises(ValueError, match=f"X: {column} ids must not be missing.*in row 2"):
                read_table(convert(holey))

    def test_refuse_null_timestamps_and_name_the_row(self, X, convert):
        holey = X.astype({"timestamp": object})
        holey.loc[2, "timestamp"] = None
        with pytest.raises(ValueError, match=r"timestamps must be.*missing or infinite.*in row 2"):
            read_table(convert(holey))

    @pytest.mark.parametrize("bad", [[1], {"k": 1}], ids=repr)
    def test_refuse_nested_ids_and_name_the_row(self, X, convert, bad):
        with pytest.raises(TypeError, match=r"X: item ids must be ints, strings.*in row 0"):
            read_table(convert(X.assign(item=[bad] * len(X))))

    @pytest.mark.parametrize("moment", [datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1)])
    def test_may_have_datetimes_as_timestamps(self, X, convert, moment):
        times = [moment + datetime.timedelta(days=int(days)) for days in X["timestamp"]]
        timed = X.assign(timestamp=pd.Series(times, dtype=object))
        rows = read_table(convert(timed))
        assert np.argsort(rows.timestamps).tolist() == np.argsort(X["timestamp"]).tolist()

    @pytest.mark.parametrize("moment", [datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1)])
    def test_warn_of_datetimes_that_no_name_makes_the_time(self, X, convert, moment):
        unnamed = X.drop(columns="timestamp").assign(when=pd.Series([moment] * 5, dtype=object))
        with pytest.warns(UserWarning, match="column 'when' holds datetimes"):
            read_table(convert(unnamed))

    def test_columns_are_collections_of_ids(self, X, convert):
        table = convert(X)
        model = PopularityRecommender().fit(X)
        assert_frame_equal(model.recommend(table["user"], k=1), model.recommend(X["user"], k=1))
        allowed = model.recommend("bo", allow=convert(X[["item"]])["item"], exclude_seen=False)
        assert set(allowed["item"]) == set(X["item"])

    def test_are_no_columns(self, X, convert):
        with pytest.raises(ValueError, match="one-dimensional collection of ids"):
            PopularityRecommender().fit(X).recommend(convert(X))


class TestPolars:
    @pytest.fixture(name="pl", autouse=True)
    def polars(self):
        return pytest.importorskip("polars")

    def test_types_of_ids_are_kept_where_rows_are_added(self, X, pl):
        table = of_polars(X).cast({"item": pl.Int16, "user": pl.Categorical})
        resampled, _ = NegativeSampler(random_state=0).fit_resample(table)
        assert resampled.schema == table.schema

    def test_ids_may_be_any_object(self, pl):
        labels = [("a", 1), 3, "b"]
        table = pl.DataFrame({"user": pl.Series(labels, dtype=pl.Object), "item": [1, 2, 3]})
        encoder = IdEncoder().fit(table)
        assert list(encoder.users_) == labels
        decoded = encoder.inverse_transform(encoder.transform(table))
        assert decoded["user"].to_list() == labels

    def test_frames_that_are_not_collected_are_refused(self, X):
        with pytest.raises(ValueError, match=r"Received polars.*LazyFrame\. Convert it.*collect"):
            read_table(of_polars(X).lazy())

    def test_series_are_no_tables(self, X):
        with pytest.raises(ValueError, match="Expected 2D array, got Series"):
            read_table(of_polars(X)["user"])


class TestArrow:
    @pytest.fixture(name="pa", autouse=True)
    def arrow(self):
        return pytest.importorskip("pyarrow")

    def test_record_batches_are_tables(self, X, pa):
        batch = pa.RecordBatch.from_pydict(X.to_dict("list"))
        train, test = LeaveLastOutSplitter().train_test_split(batch)
        assert test.to_pydict() == as_lists(LeaveLastOutSplitter().train_test_split(X)[1])
        assert train.num_rows == 3

    def test_types_of_ids_are_kept_where_rows_are_added(self, X, pa):
        table = of_arrow(X)
        place = table.schema.get_field_index("item")
        table = table.set_column(place, "item", table["item"].cast(pa.int16()))
        resampled, _ = NegativeSampler(random_state=0).fit_resample(table)
        assert resampled.schema == table.schema

    def test_names_that_stand_twice_are_refused(self, pa):
        X = pa.table([[1], [2], [3]], names=["user", "item", "item"])
        with pytest.raises(ValueError, match="X must have a different name for each column"):
            read_table(X)


class TestOtherTables:
    class Convertible:
        """A table of another library."""

        columns = ("rating", "item", "user")

        def to_pandas(self):
            return pd.DataFrame([[5, 2, 1]], columns=self.columns)

    class Inconvertible:
        columns = ("rating", "item", "user")

        def __array__(self, dtype=None, copy=None):
            return np.array([[5, 2, 1]])

    def test_are_converted_to_pandas_where_they_can(self):
        rows = read_table(self.Convertible())
        assert (rows.users.tolist(), rows.items.tolist()) == ([1], [2])

    def test_are_no_arrays_whose_names_are_lost(self):
        with pytest.raises(
            ValueError, match=r"Received .*Inconvertible\. Convert it to a DataFrame"
        ):
            read_table(self.Inconvertible())


def test_no_table_of_pandas_makes_polars_or_pyarrow_needed():
    code = (
        "import sys; sys.modules['polars'] = sys.modules['pyarrow'] = None\n"
        "import pandas as pd; from neumf import LeaveLastOutSplitter\n"
        "X = pd.DataFrame({'user': [1, 1], 'item': ['a', 'b']})\n"
        "assert len(LeaveLastOutSplitter().train_test_split(X)[1]) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestUnnamedTimes:
    MOMENTS = pd.to_datetime(["2021", "2020"])

    @pytest.mark.parametrize(
        "times",
        [
            MOMENTS,
            MOMENTS.tz_localize("UTC"),
            MOMENTS.astype(object),
            np.array(["2021-01-01", "2020-01-01"], dtype="datetime64[s]"),
            pd.Series([datetime.date(2021, 1, 1), None], dtype=object),
        ],
        ids=["datetimes", "timezone", "objects", "numpy", "dates"],
    )
    def test_of_datetimes_are_warned_about(self, times):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "w": times})
        with pytest.warns(UserWarning, match="'w' holds datetimes.*Name the column of times"):
            assert read_table(X).timestamps is None

    @pytest.mark.parametrize(
        ("column", "kind"),
        [
            (["2021-01-01", "2020-01-01 10:00"], "dates as text"),
            ([1704067200, 1704067300], "numbers that look like times"),
            ([1704067200000.0, 1704067300000.0], "numbers that look like times"),
            (pd.to_timedelta([1, 2]), "timedeltas"),
            (pd.period_range("2020", periods=2, freq="D"), "periods"),
        ],
        ids=str,
    )
    def test_are_known_by_their_values(self, column, kind):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "w": column})
        with pytest.warns(UserWarning, match=f"X has no timestamps, but column 'w' holds {kind}"):
            read_table(X)

    @pytest.mark.parametrize(
        "column", [[1704067200, 5], [-1704067200, -1], ["2021", "x"], ["", ""]]
    )
    def test_are_no_other_values(self, column):
        read_table(pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "w": column}))

    @pytest.mark.parametrize(
        "name", ["DAY", "TRANS_TIME", "WEEK_NO", "visitedDate", "updated at", "order_hour_of_day"]
    )
    def test_are_known_by_their_name(self, name):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], name: [1, 2], "x": [3, 4]})
        with pytest.warns(
            UserWarning, match=f"no timestamps, but column '{name}' names a time\\. "
        ):
            read_table(X)

    @pytest.mark.parametrize("name", ["runtime", "candidates", "today", "daylight"])
    def test_are_no_other_names(self, name):
        read_table(pd.DataFrame({"user": ["a", "a"], "item": [1, 2], name: [1, 2]}))

    def test_of_arrow_are_warned_about(self):
        pytest.importorskip("pyarrow")
        when = pd.Series(self.MOMENTS).astype("timestamp[us][pyarrow]")
        X = pd.DataFrame({"user": 1, "item": 2, "when": when})
        with pytest.warns(UserWarning, match="'when' holds datetimes"):
            read_table(X)

    def test_in_arrays_are_warned_about(self):
        X = [[1, 2, datetime.datetime(2021, 1, 1)], [1, 3, datetime.datetime(2020, 1, 1)]]
        for rows in (X, np.array(X, dtype=object)):
            with pytest.warns(UserWarning, match="column 2 holds datetimes.*Name the column"):
                read_table(rows)

    @pytest.mark.parametrize(
        "index",
        [MOMENTS, pd.Index([2, 1], name="timestamp"), pd.Index([2, 1], name="unixReviewTime")],
        ids=["datetimes", "timestamp", "unixReviewTime"],
    )
    def test_in_the_index_are_warned_about(self, index):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2]}, index=index)
        with pytest.warns(UserWarning, match="the index holds the time.*reset_index"):
            read_table(X)

    def test_beside_a_timestamp_are_something_else(self):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "timestamp": [1, 2]})
        read_table(X.assign(born=self.MOMENTS).set_index(self.MOMENTS))

    def test_are_nobodys_concern_where_order_is_not_asked_for(self):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "when": self.MOMENTS})
        IdEncoder().fit_transform(X)

    def test_may_be_ids(self):
        X = pd.DataFrame({"user": ["2021-01-01", "2021-01-02"], "item": [1704067200, 1704067201]})
        read_table(X)

    def test_are_shown_at_the_line_of_the_caller(self):
        X = pd.DataFrame({"user": ["a", "a"], "item": [1, 2], "when": self.MOMENTS})
        for method in (LeaveLastOutSplitter().train_test_split, PopularityRecommender().fit):
            with pytest.warns(UserWarning, match="'when'") as caught:
                method(X)
            assert caught[0].filename == __file__


class TestMasks:
    @pytest.mark.parametrize("word", ["user", "item"])
    def test_of_ids_are_missing_values(self, word):
        mask = [[0, 0], [word == "user", word == "item"]]
        X = np.ma.array([[1, 2], [3, 4]], mask=mask)
        with pytest.raises(ValueError, match=f"X: {word} ids must not be missing.*in row 1"):
            read_table(X)

    def test_of_nothing_change_nothing(self):
        X = np.ma.array([[2**60 + 1, 2], [3, 4]])
        assert read_table(X).users.tolist() == [2**60 + 1, 3]

    def test_of_other_columns_ride_along(self):
        X = np.ma.array([[2**60 + 1, 2, 5], [2**60, 4, 3]], mask=[[0, 0, 1], [0, 0, 0]])
        assert read_table(X).users.tolist() == [2**60 + 1, 2**60]
        train, _ = LeaveLastOutSplitter(min_train=0).train_test_split(
            np.ma.concatenate([X[:1], X[:1], X])
        )
        assert np.ma.getmaskarray(train).tolist() == [[False, False, True]] * 2
        assert IdEncoder().fit_transform(X).tolist() == [[0, 0, None], [1, 1, 3]]

    def test_of_other_columns_are_no_values_in_a_resampled_table(self):
        X = np.ma.array([[1, 2, 5], [3, 4, 3]], mask=[[0, 0, 1], [0, 0, 0]])
        resampled, _ = NegativeSampler(n_negatives=1).fit_resample(X)
        assert resampled[:, 2].tolist() == [None, 3, None, 3]

    @pytest.mark.parametrize("argument", ["y", "sample_weight"])
    def test_of_labels_and_weights_are_refused(self, argument):
        masked = np.ma.array([1.0, 0.5], mask=[False, True])
        with pytest.raises(ValueError, match=f"{argument} must hold finite numbers.*masked"):
            NeuMFRecommender().fit(np.array([[1, 2], [3, 4]]), **{argument: masked})

    def test_in_a_list_of_rows_are_refused(self):
        with pytest.raises(TypeError, match=r"X: item ids must be ints, strings.*in row 1"):
            read_table([[1, 2], [3, np.ma.masked]])

    def test_of_a_collection_are_missing_values(self):
        with pytest.raises(ValueError, match=r"allow must not be missing.*in row 1"):
            read_ids(np.ma.array([1, 2], mask=[False, True]), "allow", INTS)
        assert read_ids(np.ma.array([1, 2]), "allow", INTS).tolist() == [1, 2]


class TestBytesOfNumbers:
    @pytest.fixture(name="big")
    def big_endian(self):
        ids = np.array([3, 1, 3, 2]).astype(">i8")
        return pd.DataFrame(
            {"user": ids, "item": ids.astype(">i4"), "timestamp": ids.astype(">f8")}
        )

    def test_of_either_order_are_read(self, big):
        for X in (big, big.to_numpy(dtype=">i8")):
            assert read_table(X).users.tolist() == [3, 1, 3, 2]
            assert read_table(X).users.dtype == np.int64
        assert read_table(big).timestamps.tolist() == [3, 1, 3, 2]

    def test_of_either_order_go_through(self, big):
        native = big.astype("int64")
        X = native.astype({"timestamp": float})
        splitter = LeaveLastOutSplitter(ties="row_order")
        parts = splitter.train_test_split(big)
        for part, expected in zip(parts, splitter.train_test_split(X), strict=True):
            assert_frame_equal(part.astype("int64"), expected.astype("int64"))
        assert IdEncoder().fit_transform(big)["user"].tolist() == [0, 1, 0, 2]
        resampled, _ = NegativeSampler(n_negatives=1).fit_resample(big)
        assert len(resampled) == 8
        assert big.dtypes.tolist() == [">i8", ">i4", ">f8"]

    def test_of_either_order_find_known_ids(self, big):
        model = PopularityRecommender().fit(big)
        users = np.array([2, 3]).astype(">i8")
        assert model.recommend(users)["user"].unique().tolist() == [2, 3]
        allowed = model.recommend(2, allow=users.astype(">u2"), exclude_seen=False)
        assert set(allowed["item"]) == {2, 3}


class TestCollectionsOfIds:
    @pytest.mark.parametrize("argument", ["users", "allow", "deny"])
    @pytest.mark.parametrize(
        "mask", [np.array([True, False]), [False, True], pd.Series([True, None], dtype="boolean")]
    )
    def test_are_no_masks(self, argument, mask):
        model = PopularityRecommender().fit(np.array([[1, 2], [3, 4]]))
        mask = pd.Series(mask).fillna(False) if isinstance(mask, pd.Series) else mask
        known = "users_" if argument == "users" else "items_"
        with pytest.raises(
            ValueError, match=rf"{argument} must hold ids.*{argument}={known}\[mask\]"
        ):
            model.recommend(**{argument: mask})

    def test_of_several_levels_are_refused_unless_ids_are_tuples(self):
        index = pd.MultiIndex.from_tuples([("u", 1), ("v", 2)], names=["user", "item"])
        with pytest.raises(
            ValueError, match=r"users must be.*levels \['user', 'item'\].*get_level"
        ):
            read_ids(index, "users", INTS)
        tuples = pd.Index([("u", 1)], tupleize_cols=False)
        assert read_ids(index, "users", tuples).tolist() == [("u", 1), ("v", 2)]


def test_a_new_column_of_an_array_is_its_last():
    assert open_table(np.array([[1, 2]])).with_new_column("rank", np.array([7])).tolist() == [
        [1, 2, 7]
    ]
