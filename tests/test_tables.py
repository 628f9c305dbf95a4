import contextlib
import datetime
import decimal
import importlib
import uuid

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import (
    ROLES,
    Interactions,
    locate_columns,
    read_table,
    replace_ids,
    take_rows,
)
from neumf.interactions.vocabulary import index_ids


def table(**columns):
    """A table of two rows, with other columns where given."""
    return pd.DataFrame({"user": ["a", "b"], "item": [1, 2]} | columns)


def foreign_kinds(X):
    """The same table of pandas, of polars and of Arrow, as far as they are installed."""
    kinds = [X]
    for name, convert in (("polars", "from_dict"), ("pyarrow", "table")):
        with contextlib.suppress(ImportError):
            kinds.append(getattr(importlib.import_module(name), convert)(X.to_dict("list")))
    return kinds


class TestColumns:
    @pytest.mark.parametrize("user", ["user", "user_id", "userId", "reviewerID"])
    @pytest.mark.parametrize("item", ["item", "item_id", "movieId", "parent_asin", "asin"])
    def test_are_found_by_name_wherever_they_stand(self, user, item):
        X = pd.DataFrame([[5.0, 11, "x", 30, "i"]], columns=["rating", user, "more", "w", item])
        rows = read_table(X.assign(timestamp=7))
        assert rows.users.tolist() == [11]
        assert rows.items.tolist() == ["i"]
        assert rows.timestamps.tolist() == [7]

    @pytest.mark.parametrize(
        ("role", "first", "second"),
        [
            ("user", "user_id", "session_id"),
            ("user", "CustomerID", "reviewerName"),
            ("item", "parent_asin", "asin"),
            ("item", "track_id", "artist_name"),
            ("timestamp", "unixReviewTime", "reviewTime"),
            ("timestamp", "timestamp", "date"),
        ],
    )
    def test_an_id_counts_before_a_coarser_one_or_a_label(self, role, first, second):
        names = [name for name in ("user", "item") if name != role]
        for columns in ([*names, second, first], [first, *names, second]):
            found = locate_columns(
                open_table(pd.DataFrame([range(len(columns))], columns=columns)), roles=ROLES
            )
            assert columns[found[role]] == first

    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            (
                ["user", "userId", "item"],
                "'user' and 'userId' both name a user; 'item' is the item",
            ),
            (["user", "track_id", "artist_id"], "'track_id' and 'artist_id' both name an item"),
            (["user", "item", "date", "time"], "'date' and 'time' both name a timestamp"),
        ],
    )
    def test_refuse_two_names_that_match_equally_well(self, columns, match):
        with pytest.raises(ValueError, match=rf"X must have one column.*{match}.*Name them"):
            read_table(pd.DataFrame([range(len(columns))], columns=columns))

    def test_two_times_do_no_harm_where_none_is_read(self):
        X = pd.DataFrame([[1, 2, 3, 4]], columns=["user", "item", "date", "time"])
        assert len(read_table(X, with_timestamps=False)) == 1

    def test_named_table_without_timestamp_has_none_whatever_stands_third(self):
        assert read_table(table(country=["x", "y"])).timestamps is None

    @pytest.mark.parametrize("convert", [np.array, list, tuple], ids=["array", "list", "tuple"])
    def test_of_arrays_and_sequences_are_the_first_two(self, convert):
        rows = read_table(convert([[1, 2, 7, 5], [3, 4, 6, 5]]))
        assert rows.users.tolist() == [1, 3]
        assert rows.items.tolist() == [2, 4]
        assert rows.timestamps is None

    def test_in_lists_keep_their_own_types(self):
        rows = read_table([[1, "a", 20], [2, "b", 3]])
        assert rows.users.tolist() == [1, 2]
        assert rows.items.tolist() == ["a", "b"]

    def test_are_places_in_the_table(self):
        columns = ["item", "rating", "user", "more"]
        found = locate_columns(open_table(pd.DataFrame([[1, 2, 3, 4]], columns=columns)))
        assert found == {"user": 2, "item": 0}

    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            (["user", "thing"], r"columns \['user', 'thing'\]: no column names an item; 'user' is"),
            (["a", "item_id"], "no column names a user; 'item_id' is the item"),
            (["a", "b", "c"], "no column names a user; no column names an item"),
            ([0, 1], r"no column names a user.*maybe the file has no header"),
        ],
    )
    def test_refuse_names_that_say_nothing_and_show_the_call(self, columns, match):
        X = pd.DataFrame([range(len(columns))], columns=columns)
        call = r"neumf\.datasets\.read_interactions\(X, user=.*item=.*\)"
        with pytest.raises(ValueError, match=f"{match}.*{call}"):
            read_table(X)

    def test_of_a_wide_table_are_not_all_shown(self):
        X = pd.DataFrame(np.zeros((1, 1000)), columns=[f"c{i}" for i in range(1000)])
        with pytest.raises(ValueError, match=r"'c29', '\.\.\.'") as info:
            read_table(X)
        assert "c30" not in str(info.value)

    def test_of_a_wide_array_are_warned_about(self):
        with pytest.warns(UserWarning, match=r"shape \(2, 5\): column 0 was read.*csr_array\(X\)"):
            read_table(np.arange(10).reshape(2, 5))

    def test_of_a_matrix_of_zeros_and_ones_are_refused(self):
        X = np.eye(5, dtype=int)
        with pytest.raises(ValueError, match=r"shape \(5, 5\) of zeros and ones.*csr_array\(X\)"):
            read_table(X)
        assert len(read_table(X[:, :4])) == 5

    def test_refuse_names_of_several_levels(self):
        X = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("user", ""), ("item", "")]))
        with pytest.raises(ValueError, match=r"several levels.*\('user', ''\).*Flatten"):
            read_table(X)

    @pytest.mark.parametrize(
        ("levels", "word"),
        [
            ("user", "user"),
            (["item_id", "user"], "user"),
            (["asin", "userId"], "user"),
            (["user", "item", "stars"], "user"),
        ],
    )
    def test_refuse_ids_in_the_index(self, levels, word):
        names = [levels] if isinstance(levels, str) else levels
        others = {name: [0] for name in ("item", "stars", "n") if name not in names}
        X = pd.DataFrame(others | {name: [0] for name in names}).set_index(levels)
        with pytest.raises(
            ValueError, match=rf"X must have its {word} ids in a column.*reset_index"
        ):
            read_table(X)

    @given(data=st.data())
    def test_their_names_and_order_and_the_kind_of_table_change_nothing(self, data):
        kind = data.draw(st.sampled_from([strategies.int_ids, strategies.string_ids]))
        X = data.draw(strategies.tables(ids=kind, times=data.draw(strategies.any_times)))
        expected = read_table(X)
        accepted = {
            "user": ["user", "user_id", "User ID", "userId:token", "reviewerID"],
            "item": ["item", "item_id", "MovieID", "parent_asin", " asin"],
            "timestamp": ["timestamp", "unixReviewTime", "t_dat", "timestamp:float"],
        }
        names = {word: data.draw(st.sampled_from(accepted[word])) for word in X.columns}
        more = {"rating": range(len(X)), "stars": 5, "weight": range(len(X), 0, -1)}
        renamed = X.rename(columns=names).assign(**more)
        shuffled = renamed[data.draw(st.permutations(list(renamed.columns)))]
        for other in foreign_kinds(shuffled):
            rows = read_table(other)
            assert rows.users.tolist() == expected.users.tolist()
            assert rows.items.tolist() == expected.items.tolist()
            assert (rows.timestamps is None) == (expected.timestamps is None)
            if rows.timestamps is not None:
                assert rows.timestamps.tolist() == expected.timestamps.tolist()

    @pytest.mark.parametrize("X", [[[1], [2]], np.zeros((3, 1)), pd.DataFrame({"user": [1]})])
    def test_refuse_a_single_column(self, X):
        with pytest.raises(ValueError, match="X must have a user and an item column"):
            read_table(X)


class TestShape:
    @pytest.mark.parametrize(
        "X", [np.empty((0, 2)), pd.DataFrame({"user": [], "item": []})], ids=["array", "frame"]
    )
    def test_refuses_a_table_without_rows(self, X):
        with pytest.raises(ValueError, match="X must hold at least one interaction"):
            read_table(X)

    def test_refuses_an_empty_list(self):
        with pytest.raises(ValueError, match="X must have a user and an item column"):
            read_table([])

    @pytest.mark.parametrize(
        "X",
        [
            np.arange(4),
            [1, 2],
            "ab",
            ["ab", "cd"],
            3,
            None,
            {"user": [1], "item": [2]},
            [{"user": 1, "item": 2}],
            np.zeros((2, 2, 2)),
            [[[1], [2]]],
            pd.Series([1, 2]),
        ],
    )
    def test_refuses_what_is_no_table_and_names_its_type(self, X):
        match = f"Expected 2D array, got {type(X).__name__}"
        with pytest.raises(ValueError, match=match):
            read_table(X)

    def test_counts_rows(self):
        assert len(read_table(table())) == 2

    def test_keeps_duplicate_rows(self):
        rows = read_table(np.array([[1, 2], [1, 2]]))
        assert rows.users.tolist() == [1, 1]
        assert rows.items.tolist() == [2, 2]

    @pytest.mark.parametrize(
        "index",
        [
            pd.Index([7, 7]),
            pd.Index([9.5, np.nan]),
            pd.Index(["z", "y"]),
            pd.MultiIndex.from_tuples([(1, 1), (1, 1)]),
        ],
        ids=["duplicate", "missing", "strings", "multi"],
    )
    def test_rows_are_positions_whatever_the_index(self, index):
        rows = read_table(table(timestamp=[4, 3]).set_axis(index))
        assert rows.users.tolist() == ["a", "b"]
        assert rows.timestamps.tolist() == [4, 3]

    def test_leaves_the_table_as_it_is(self):
        X = table(timestamp=pd.to_datetime(["2020", "2021"]))
        copy = X.copy(deep=True)
        read_table(X)
        assert_frame_equal(X, copy)


class TestIds:
    @pytest.mark.parametrize(
        "dtype", ["int64", "int8", "uint64", "float64", "Int64", "Float64", "category", object]
    )
    def test_of_any_numeric_type_are_read(self, dtype):
        X = table(item=pd.Series([20, 3]).astype(dtype))
        assert read_table(X).items.tolist() == [20, 3]

    @pytest.mark.parametrize("dtype", [object, "string", "category", "str"])
    def test_of_any_string_type_are_read(self, dtype):
        X = table(item=pd.Series(["x", "y"]).astype(dtype))
        rows = read_table(X)
        assert rows.items.dtype == object
        assert rows.items.tolist() == ["x", "y"]

    @pytest.mark.parametrize(
        ("dtype", "labels"), [("int64[pyarrow]", [20, 3]), ("string[pyarrow]", ["x", "y"])]
    )
    def test_of_arrow_are_read(self, dtype, labels):
        pytest.importorskip("pyarrow")
        X = table(item=pd.Series(labels, dtype=dtype))
        assert read_table(X).items.tolist() == labels

    def test_nullable_ints_stay_ints(self):
        X = table(item=pd.array([2**60 + 1, 2**60], dtype="Int64"))
        assert read_table(X).items.tolist() == [2**60 + 1, 2**60]

    def test_may_be_tuples(self):
        labels = [("a", 1), ("b", 2)]
        assert read_table(table(user=labels)).users.tolist() == labels

    def test_may_be_tuples_in_a_list_of_rows(self):
        rows = read_table([(("a", 1), ("x",)), (("b", 2), ("y",))])
        assert rows.users.tolist() == [("a", 1), ("b", 2)]
        assert rows.items.tolist() == [("x",), ("y",)]

    def test_may_mix_ints_and_strings(self):
        assert read_table(table(user=[1, "guest"])).users.tolist() == [1, "guest"]

    @pytest.mark.parametrize("label", [5, 5.0, np.int8(5)])
    def test_refuse_one_as_a_number_and_as_a_string(self, label):
        X = table(user=pd.Series([label, "5"], dtype=object))
        with pytest.raises(
            ValueError, match=r"X: user ids must have one type\. Received 5 and '5'"
        ):
            read_table(X)

    @pytest.mark.parametrize(
        ("ids", "expected"),
        [
            ([2.0, 3.0], np.int64),
            (pd.Series([2, 3.0], dtype=object), np.int64),
            ([2.5, 3.0], np.float64),
            (np.array([2, 2**63 - 1], dtype="uint64"), np.int64),
            (np.array([2, 2**63], dtype="uint64"), object),
            (pd.Series([2, 2**63], dtype=object), object),
        ],
    )
    def test_that_are_equal_are_so_whatever_their_type(self, ids, expected):
        users = read_table(table(user=ids)).users
        assert users.dtype == expected
        assert users.tolist() == [int(label) if label % 1 == 0 else label for label in ids]

    @pytest.mark.parametrize(
        ("dtype", "label"), [("float64", 2.0**53), ("float32", 2.0**24), ("float16", 2.0**11)]
    )
    def test_refuse_floats_that_stand_for_several_ints(self, dtype, label):
        X = table(user=np.array([1, label], dtype=dtype))
        with pytest.raises(ValueError, match=rf"X: user ids must be exact: {dtype}.*in row 1"):
            read_table(X)
        X = table(user=np.array([1, label - 1], dtype=dtype))
        assert read_table(X).users.tolist() == [1, label - 1]

    @pytest.mark.parametrize(
        "ids",
        [
            pd.to_datetime(["2020", "2021"]),
            pd.to_datetime(["2020", "2021"], utc=True),
            pd.to_timedelta([1, 2]),
            pd.period_range("2020", periods=2, freq="D"),
            pd.Categorical(pd.to_datetime(["2020", "2021"])),
            [True, False],
            pd.array([True, False], dtype="boolean"),
            np.array([b"x", b"y"]),
            [datetime.date(2020, 1, 1)] * 2,
            [decimal.Decimal(1)] * 2,
            [uuid.UUID(int=1)] * 2,
            [True, "x"],
            [("a", True)] * 2,
            [(("a",), 1)] * 2,
            [("a", None)] * 2,
            [2.0**53, "x"],
        ],
        ids=repr,
    )
    def test_refuse_other_types_and_name_the_row(self, ids):
        X = table(user=ids if hasattr(ids, "dtype") else pd.Series(ids, dtype=object))
        match = r"X: user ids must be ints, strings.*in row 0\. Convert.*astype\(str\)"
        with pytest.raises(TypeError, match=match):
            read_table(X)

    @pytest.mark.parametrize("word", ["user", "item"])
    @pytest.mark.parametrize(
        "ids",
        [
            [1, np.nan],
            [1, np.inf],
            [1, -np.inf],
            ["x", None],
            pd.array([1, None], dtype="Int64"),
            pd.array(["x", None], dtype="string"),
            pd.array([1.5, np.inf], dtype="Float64"),
            pd.Categorical(["x", None]),
            pd.to_datetime(["2020", None]),
        ],
    )
    def test_refuse_missing_ones_and_name_the_row(self, word, ids):
        with pytest.raises(ValueError, match=f"X: {word} ids must not be missing.*in row 1"):
            read_table(table(**{word: ids}))

    def test_may_be_half_precision_numbers(self):
        X = np.array([[1, 2], [3, 4], [1, 4]], dtype="float16")
        codes, vocabulary = index_ids(read_table(X).users)
        assert (codes.tolist(), vocabulary.tolist()) == ([0, 1, 0], [1, 3])

    def test_refuse_missing_ones_in_arrow(self):
        pytest.importorskip("pyarrow")
        X = table(item=pd.array([1, None], dtype="int64[pyarrow]"))
        with pytest.raises(ValueError, match=r"X: item ids must not be missing.*in row 1"):
            read_table(X)

    def test_missing_ones_are_counted_and_the_first_is_named(self):
        X = np.array([[1, 2], [1, np.nan], [1, np.nan]])
        with pytest.raises(ValueError, match=r"Received (np\.float64\()?nan\)? in row 1 \(2 such"):
            read_table(X)

    @pytest.mark.parametrize("bad", [[1], {1}, {"k": 1}, (1, [2])], ids=repr)
    def test_refuse_unhashable_ones_and_name_the_row(self, bad):
        X = table(item=pd.Series(["x", bad], dtype=object))
        with pytest.raises(TypeError, match=r"X: item ids must be ints, strings.*in row 1"):
            read_table(X)


class TestTimestamps:
    @pytest.mark.parametrize(
        "times",
        [
            [20, 3],
            [20.5, -3.0],
            np.array([2, 1], dtype="uint8"),
            pd.array([20, 3], dtype="Int64"),
            pd.array([20.5, 3.0], dtype="Float64"),
            pd.Categorical([20, 3]),
            pd.Series([20, 3], dtype=object),
        ],
    )
    def test_may_be_numbers_of_any_type(self, times):
        timestamps = read_table(table(timestamp=times)).timestamps
        assert timestamps.dtype.kind in "iuf"
        assert timestamps.tolist() == list(times)

    def test_of_nanoseconds_keep_every_digit(self):
        times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_002]
        assert read_table(table(timestamp=times)).timestamps.tolist() == times

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_may_be_datetimes_of_any_unit(self, unit):
        times = pd.to_datetime(["2021-05-01", "1969-07-20"]).as_unit(unit)
        timestamps = read_table(table(timestamp=times)).timestamps
        assert timestamps.dtype.kind == "i"
        assert timestamps[0] > 0 > timestamps[1]

    def test_may_be_datetimes_that_do_not_fit_nanoseconds(self):
        times = np.array(["9999-12-31", "2020-01-01"], dtype="datetime64[s]")
        timestamps = read_table(table(timestamp=times)).timestamps
        assert timestamps[0] > timestamps[1]

    def test_with_a_timezone_are_ordered_in_universal_time(self):
        times = pd.to_datetime(["2020-10-25 02:30+02:00", "2020-10-25 02:10+01:00"], utc=True)
        X = table(timestamp=times.tz_convert("Europe/Paris"))
        timestamps = read_table(X).timestamps
        assert timestamps[0] < timestamps[1]

    def test_may_be_python_datetimes(self):
        late, early = datetime.datetime(2021, 1, 1), datetime.datetime(2020, 1, 1)
        timestamps = read_table(table(timestamp=pd.Series([late, early], dtype=object))).timestamps
        assert timestamps[0] > timestamps[1]

    def test_may_be_of_arrow(self):
        pytest.importorskip("pyarrow")
        times = pd.Series(pd.to_datetime(["2021", "2020"], utc=True))
        X = table(timestamp=times.astype("timestamp[us, tz=UTC][pyarrow]"))
        timestamps = read_table(X).timestamps
        assert timestamps[0] > timestamps[1]

    @pytest.mark.parametrize(
        "times",
        [
            pd.to_timedelta([20, 3], unit="s"),
            pd.period_range("2020", periods=2, freq="D"),
            [True, False],
            [1, datetime.datetime(2020, 1, 1)],
            [1, "2020-01-01"],
        ],
        ids=["timedeltas", "periods", "booleans", "datetimes and numbers", "text and numbers"],
    )
    def test_refuse_other_types(self, times):
        match = r"X: timestamps must be.*all of one kind\. Received.*in row 0"
        with pytest.raises(ValueError, match=match):
            read_table(table(timestamp=times))

    @pytest.mark.parametrize(
        "texts",
        [
            ["2024-01-02", "2024-01-01"],
            ["2024-01-01T10:00:00", "2024-01-01 09:59"],
            ["2024-01-01T10:00:00Z", "2024-01-01T10:30:00+01:00"],
            pd.Categorical(["2024-01-02", "2024-01-01"]),
        ],
    )
    def test_may_be_iso_text(self, texts):
        rows = read_table(table(timestamp=texts))
        expected = [pd.Timestamp(text).timestamp() for text in texts]
        assert rows.seconds.tolist() == expected

    @pytest.mark.parametrize(
        ("times", "match"),
        [
            (["11/13/2019 8:36:57 AM", "11/13/2019"], r"'11/13/2019 8.*row 0 \(2 such.*format="),
            (["2024-01-01", "yesterday"], r"'yesterday' in row 1 \(1 such"),
            (["2024-01-01T10:00", "2024-01-01T10:00Z"], "'2024-01-01T10:00Z' in row 1 and"),
            (["20240131", "20240201"], "date written as a number.*%Y%m%d'"),
            ([20240131, 20231231], "20240131 in row 0.*date written as a number.*%Y%m%d'"),
            ([20240131.0, 20231231.0], "date written as a number"),
            ([202401, 202412], "202401 in row 0.*date written as a number.*%Y%m'"),
            ([20240131153000, 20240131153001], "date written as a number.*%Y%m%d%H%M%S'"),
            ([202401311530, 202401311531], "date written as a number.*%Y%m%d%H%M'"),
            ([1704067200, 1704067200000], "1704067200 in row 0.*seconds, and 1704067.*milli"),
            (np.array([1, 2], dtype="float32"), "Received float32"),
        ],
    )
    def test_refuse_what_can_be_read_in_two_ways(self, times, match):
        with pytest.raises(ValueError, match=f"X: timestamps must.*{match}"):
            read_table(table(timestamp=times))

    @pytest.mark.parametrize(
        "times", [[20240100, 20240131], [20240131, 5], [202400, 202401], [202401.5, 202402]]
    )
    def test_may_be_any_numbers_that_are_no_dates(self, times):
        assert read_table(table(timestamp=times)).seconds.tolist() == times

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("dtype", ["int64", "float64"])
    def test_of_any_unit_are_the_same_seconds(self, unit, dtype):
        times = pd.to_datetime(["2001-09-09", "2035-01-01"])
        X = table(timestamp=times.as_unit(unit).asi8.astype(dtype))
        expected = read_table(table(timestamp=times)).seconds
        assert read_table(X).seconds.tolist() == expected.tolist()

    def test_with_and_without_a_time_zone_are_refused_together(self):
        times = [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01", tz="UTC")]
        with pytest.raises(ValueError, match=r"all of one kind\. Received.*in row 1 and"):
            read_table(table(timestamp=pd.Series(times, dtype=object)))

    def test_that_are_numbers_written_as_strings_count_as_numbers(self):
        timestamps = read_table(table(timestamp=["20", "3"])).timestamps
        assert timestamps.tolist() == [20, 3]

    @pytest.mark.parametrize(
        "times",
        [
            [1, np.nan],
            [1, np.inf],
            [1, -np.inf],
            [1, None],
            pd.array([1, None], dtype="Int64"),
            pd.array([1.0, None], dtype="Float64"),
            pd.array(["1", None], dtype="string"),
            pd.to_datetime(["2020", None]),
            pd.to_datetime(["2020", None], utc=True),
        ],
    )
    def test_refuse_what_has_no_place_in_time_and_name_the_row(self, times):
        match = r"X: timestamps must be numbers, datetimes.*missing or infinite.*in row 1 \(1 such"
        with pytest.raises(ValueError, match=match):
            read_table(table(timestamp=times))

    def test_refuse_missing_ones_of_arrow(self):
        pytest.importorskip("pyarrow")
        times = pd.Series(pd.to_datetime(["2021", None])).astype("timestamp[us][pyarrow]")
        with pytest.raises(ValueError, match=r"timestamps must be.*missing or infinite.*in row 1"):
            read_table(table(timestamp=times))


class TestArgument:
    @pytest.mark.parametrize(
        "X",
        [
            [1, 2],
            np.zeros((3, 1)),
            np.zeros((0, 2)),
            table(user=["a", None]),
            table(item=[[1], [2]]),
            table(timestamp=[1, np.inf]),
            table().rename(columns={"user": "reader"}),
            table().rename(columns={"user": "rating", "item": "book"}),
            table().set_index("user").assign(more=1),
            table().set_axis(["item", "item"], axis=1),
            table().set_axis(pd.MultiIndex.from_tuples([("user", ""), ("item", "")]), axis=1),
            sp.csr_array((2, 2)),
            sp.csr_array([[np.nan]]),
            np.array([[1 + 2j, 1]]),
        ],
        ids=range(14),
    )
    def test_is_named_by_every_error(self, X):
        with pytest.raises((ValueError, TypeError), match=r"^interactions\b"):
            read_table(X, "interactions")

    def test_is_named_by_warnings(self):
        X = table(when=pd.to_datetime(["2020", "2021"]))
        with pytest.warns(UserWarning, match=r"^interactions\b"):
            read_table(X, "interactions")

    @pytest.mark.parametrize(
        "X",
        [
            [],
            pd.DataFrame(),
            pd.DataFrame({"user": [], "item": []}),
            pd.DataFrame({"user": [], "item": [], "timestamp": []}, dtype=float),
            np.zeros((0, 3)),
            sp.csr_array((2, 2)),
        ],
        ids=range(6),
    )
    def test_may_have_no_rows_on_request(self, X):
        assert len(read_table(X, may_be_empty=True)) == 0
        with pytest.raises(ValueError, match="X must h"):
            read_table(X)


class TestSparse:
    @pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.coo_array, sp.csc_array])
    def test_stored_values_are_the_interactions_of_rows_with_columns(self, form):
        dense = np.array([[0, 0, 2], [0, 0, 0], [1, 0, 1]])
        rows = read_table(form(dense))
        assert rows.users.tolist() == [0, 2, 2]
        assert rows.items.tolist() == [2, 0, 2]

    def test_tells_nothing_about_time(self):
        rows = read_table(sp.csr_array(np.eye(2)))
        assert rows.timestamps is None
        assert not rows.ordered

    def test_explicit_zeros_are_no_interactions(self):
        X = sp.csr_array((np.array([0.0, 1.0]), (np.array([0, 1]), np.array([0, 1]))))
        assert read_table(X).users.tolist() == [1]

    @pytest.mark.parametrize("X", [sp.csr_array((3, 4)), sp.csr_array((0, 4))], ids=str)
    def test_without_values_is_refused(self, X):
        with pytest.raises(ValueError, match=r"X must hold at least one interaction.*sparse"):
            read_table(X)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.coo_array, sp.csc_array])
    def test_refuses_values_that_are_not_finite_and_names_the_place(self, form, bad):
        X = form(np.array([[0, 0, 1.0], [0, 0, 0], [0, bad, bad]]))
        match = r"X must hold finite values.*row 2, column 1 \(2 such values\).*nan_to_num"
        with pytest.raises(ValueError, match=match):
            read_table(X)

    def test_of_one_dimension_is_refused(self):
        X = sp.coo_array(np.array([1, 0]))
        if X.ndim > 1:
            pytest.skip("SciPy before 1.13 makes a matrix of it")
        with pytest.raises(ValueError, match=r"X must be a matrix of users x items.*\(2,\)"):
            read_table(X)

    def test_of_stored_zeros_alone_is_refused(self):
        X = sp.csr_array((np.array([0.0]), (np.array([0]), np.array([1]))))
        with pytest.raises(ValueError, match="a stored value of the users x items matrix, other"):
            read_table(X)

    def test_is_refused_where_rows_are_returned(self):
        with pytest.raises(ValueError, match="X must be a DataFrame or an array here"):
            take_rows(sp.csr_array(np.eye(2)), np.array([0]))


class TestTake:
    ROWS = Interactions(np.array([1, 2, 3]), np.array(["a", "b", "c"]), np.array([9, 8, 7]))

    @pytest.mark.parametrize("rows", [[2, 0], [True, False, True]], ids=["positions", "mask"])
    def test_selects_every_column_alike(self, rows):
        taken = self.ROWS.take(np.array(rows))
        picked = zip(taken.users, taken.items, taken.timestamps, strict=True)
        assert set(picked) == {(1, "a", 9), (3, "c", 7)}

    def test_keeps_whether_rows_are_ordered(self):
        rows = read_table(sp.csr_array(np.eye(2))).take(np.array([0]))
        assert rows.timestamps is None
        assert not rows.ordered


class TestTakeRows:
    def test_keeps_the_index_and_types_of_a_frame(self):
        X = table(item=pd.Categorical(["x", "y"])).set_axis([7, 7])
        assert_frame_equal(take_rows(X, np.array([1])), X.iloc[[1]])

    def test_of_an_array_is_an_array_of_its_type(self):
        X = np.array([[1, 2], [3, 4]], dtype="int8")
        taken = take_rows(X, np.array([1, 1]))
        assert taken.dtype == np.int8
        assert taken.tolist() == [[3, 4], [3, 4]]

    def test_of_a_list_keeps_numbers_beside_strings(self):
        assert take_rows([[1, "a"], [2, "b"]], np.array([1])).tolist() == [[2, "b"]]


class TestReplaceIds:
    def test_leaves_every_other_column(self):
        X = table(timestamp=pd.to_datetime(["2020", "2021"]), rating=[5, 4]).set_axis([7, 7])
        replaced = replace_ids(X, users=np.array([8, 9]))
        assert_frame_equal(replaced, X.assign(user=[8, 9]))

    def test_does_not_write_to_the_table(self):
        X = np.array([[1, 2], [3, 4]])
        replace_ids(X, users=np.array([8, 9]), items=np.array([8, 9]))
        assert X.tolist() == [[1, 2], [3, 4]]

    def test_of_an_array_returns_an_array(self):
        replaced = replace_ids(np.array([[1, 2, 5]]), items=np.array([9]))
        assert isinstance(replaced, np.ndarray)
        assert replaced.tolist() == [[1, 9, 5]]

    def test_keeps_none_among_strings(self):
        replaced = replace_ids(table(), users=np.array(["a", None], dtype=object))
        assert replaced["user"].tolist() == ["a", None]


class TestConcatenateTables:
    def test_of_frames_numbers_rows_anew(self):
        X = table().set_axis([7, 7])
        expected = X.iloc[[0, 1, 0]].reset_index(drop=True)
        assert_frame_equal(open_table(X).with_rows(X.iloc[:1]), expected)

    def test_of_arrays_is_an_array(self):
        joined = open_table(np.array([[1, 2]])).with_rows(np.array([[3, 4]]))
        assert joined.tolist() == [[1, 2], [3, 4]]


class TestNamedTimestamps:
    def test_timestamps_that_nothing_is_ordered_by_are_not_read(self):
        X = table(timestamp=[np.nan, 1])
        assert read_table(X, with_timestamps=False).timestamps is None
        with pytest.raises(ValueError, match=r"timestamps must be.*missing"):
            read_table(X)

    def test_a_name_stands_for_one_column(self):
        X = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
        with pytest.raises(ValueError, match="X must have a different name for each column"):
            read_table(X)
