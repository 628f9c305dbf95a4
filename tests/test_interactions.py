import datetime

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from neumf.interactions.ids import index_ids, lookup_ids, read_ids
from neumf.interactions.seen import seen_matrix, seen_rows
from neumf.interactions.tables import (
    Interactions,
    as_frame,
    concatenate_tables,
    locate_columns,
    read_interactions,
    replace_ids,
    take_rows,
)
from neumf.interactions.timeline import time_order

INTS = pd.Index([1, 2])
TUPLES = pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)


def table(**columns):
    """A table of two rows, with other columns where given."""
    return pd.DataFrame({"user": ["a", "b"], "item": [1, 2]} | columns)


def slow_codes(ids):
    """Number ids in order of first appearance."""
    vocabulary = []
    for label in ids:
        if label not in vocabulary:
            vocabulary.append(label)
    return [vocabulary.index(label) for label in ids], vocabulary


class TestColumns:
    @pytest.mark.parametrize("user", ["user", "user_id"])
    @pytest.mark.parametrize("item", ["item", "item_id"])
    def test_are_found_by_name_wherever_they_stand(self, user, item):
        X = pd.DataFrame([[5.0, 11, "x", 30, "i"]], columns=["rating", user, "more", "w", item])
        rows = read_interactions(X.assign(timestamp=7))
        assert rows.users.tolist() == [11]
        assert rows.items.tolist() == ["i"]
        assert rows.timestamps.tolist() == [7]

    def test_user_is_preferred_to_user_id(self):
        X = pd.DataFrame([[1, 2, 3]], columns=["user_id", "item", "user"])
        assert read_interactions(X).users.tolist() == [3]

    def test_named_table_without_timestamp_has_none_whatever_stands_third(self):
        assert read_interactions(table(country=["x", "y"])).timestamps is None

    def test_count_by_position_where_neither_user_nor_item_is_named(self):
        X = pd.DataFrame([["u", "i", 7, 5.0]], columns=["reader", "book", "when", "stars"])
        rows = read_interactions(X)
        assert rows.users.tolist() == ["u"]
        assert rows.items.tolist() == ["i"]
        assert rows.timestamps.tolist() == [7]

    def test_position_beats_the_name_timestamp_where_neither_user_nor_item_is_named(self):
        X = pd.DataFrame([[1, 2, 7]], columns=["timestamp", "book", "when"])
        assert read_interactions(X).users.tolist() == [1]

    @pytest.mark.parametrize("convert", [np.array, list, tuple], ids=["array", "list", "tuple"])
    def test_count_by_position_in_arrays_and_sequences(self, convert):
        rows = read_interactions(convert([[1, 2, 7], [3, 4, 6]]))
        assert rows.users.tolist() == [1, 3]
        assert rows.items.tolist() == [2, 4]
        assert rows.timestamps.tolist() == [7, 6]

    def test_array_of_two_columns_has_no_timestamps(self):
        assert read_interactions(np.array([[1, 2]])).timestamps is None

    def test_in_lists_keep_their_own_types(self):
        rows = read_interactions([[1, "a", 20], [2, "b", 3]])
        assert rows.users.tolist() == [1, 2]
        assert rows.items.tolist() == ["a", "b"]
        assert rows.timestamps.tolist() == [20, 3]

    def test_are_positions_in_the_table(self):
        columns = ["item", "rating", "user", "more"]
        frame = pd.DataFrame([[1, 2, 3, 4]], columns=columns)
        assert locate_columns(frame, by_name=True) == {"user": 2, "item": 0, "rating": 1}

    def test_of_an_unnamed_table_are_the_first_four(self):
        frame = pd.DataFrame(np.zeros((1, 6)))
        positions = {"user": 0, "item": 1, "timestamp": 2, "rating": 3}
        assert locate_columns(frame, by_name=False) == positions

    @pytest.mark.parametrize(
        ("columns", "missing"),
        [(["user", "book"], "item"), (["reader", "item_id"], "user")],
    )
    def test_refuse_one_of_the_two_names_alone(self, columns, missing):
        X = pd.DataFrame([[1, 2]], columns=columns)
        with pytest.raises(ValueError, match=f"X has no column '{missing}'.*rename"):
            read_interactions(X)

    @pytest.mark.parametrize("X", [[[1], [2]], np.zeros((3, 1)), pd.DataFrame({"user": [1]})])
    def test_refuse_a_single_column(self, X):
        with pytest.raises(ValueError, match="X must have a user and an item column"):
            read_interactions(X)


class TestShape:
    @pytest.mark.parametrize(
        "X", [np.empty((0, 2)), pd.DataFrame({"user": [], "item": []})], ids=["array", "frame"]
    )
    def test_refuses_a_table_without_rows(self, X):
        with pytest.raises(ValueError, match="X must hold at least one interaction"):
            read_interactions(X)

    def test_refuses_an_empty_list(self):
        with pytest.raises(ValueError, match="X must have a user and an item column"):
            read_interactions([])

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
        ids=str,
    )
    def test_refuses_what_is_no_table_and_names_its_type(self, X):
        match = f"Expected 2D array, got {type(X).__name__}"
        with pytest.raises(ValueError, match=match):
            read_interactions(X)

    def test_counts_rows(self):
        assert len(read_interactions(table())) == 2

    def test_keeps_duplicate_rows(self):
        rows = read_interactions(np.array([[1, 2], [1, 2]]))
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
        rows = read_interactions(table(timestamp=[4, 3]).set_axis(index))
        assert rows.users.tolist() == ["a", "b"]
        assert rows.timestamps.tolist() == [4, 3]

    def test_leaves_the_table_as_it_is(self):
        X = table(timestamp=pd.to_datetime(["2020", "2021"]))
        copy = X.copy(deep=True)
        read_interactions(X)
        assert_frame_equal(X, copy)


class TestIds:
    @pytest.mark.parametrize(
        "dtype", ["int64", "int8", "uint64", "float64", "Int64", "Float64", "category", object]
    )
    def test_of_any_numeric_type_are_read(self, dtype):
        X = table(item=pd.Series([20, 3]).astype(dtype))
        assert read_interactions(X).items.tolist() == [20, 3]

    @pytest.mark.parametrize("dtype", [object, "string", "category", "str"])
    def test_of_any_string_type_are_read(self, dtype):
        X = table(item=pd.Series(["x", "y"]).astype(dtype))
        rows = read_interactions(X)
        assert rows.items.dtype == object
        assert rows.items.tolist() == ["x", "y"]

    @pytest.mark.parametrize(
        ("dtype", "labels"), [("int64[pyarrow]", [20, 3]), ("string[pyarrow]", ["x", "y"])]
    )
    def test_of_arrow_are_read(self, dtype, labels):
        pytest.importorskip("pyarrow")
        X = table(item=pd.Series(labels, dtype=dtype))
        assert read_interactions(X).items.tolist() == labels

    def test_nullable_ints_stay_ints(self):
        X = table(item=pd.array([2**60 + 1, 2**60], dtype="Int64"))
        assert read_interactions(X).items.tolist() == [2**60 + 1, 2**60]

    def test_may_be_tuples(self):
        labels = [("a", 1), ("b", 2)]
        assert read_interactions(table(user=labels)).users.tolist() == labels

    def test_may_be_tuples_in_a_list_of_rows(self):
        rows = read_interactions([(("a", 1), ("x",)), (("b", 2), ("y",))])
        assert rows.users.tolist() == [("a", 1), ("b", 2)]
        assert rows.items.tolist() == [("x",), ("y",)]

    def test_may_mix_ints_and_strings(self):
        assert read_interactions(table(user=[1, "1"])).users.tolist() == [1, "1"]

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
        ids=repr,
    )
    def test_refuse_missing_ones_and_name_the_row(self, word, ids):
        with pytest.raises(ValueError, match=f"X: {word} ids must not be missing.*in row 1"):
            read_interactions(table(**{word: ids}))

    def test_refuse_missing_ones_in_arrow(self):
        pytest.importorskip("pyarrow")
        X = table(item=pd.array([1, None], dtype="int64[pyarrow]"))
        with pytest.raises(ValueError, match=r"X: item ids must not be missing.*in row 1"):
            read_interactions(X)

    def test_missing_ones_are_counted_and_the_first_is_named(self):
        X = np.array([[1, 2], [1, np.nan], [1, np.nan]])
        with pytest.raises(ValueError, match=r"Received (np\.float64\()?nan\)? in row 1 \(2 such"):
            read_interactions(X)

    @pytest.mark.parametrize("bad", [[1], {1}, {"k": 1}, (1, [2])], ids=repr)
    def test_refuse_unhashable_ones_and_name_the_row(self, bad):
        X = table(item=pd.Series(["x", bad], dtype=object))
        with pytest.raises(TypeError, match=r"X: item ids must be hashable.*in row 1"):
            read_interactions(X)


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
        ids=repr,
    )
    def test_may_be_numbers_of_any_type(self, times):
        timestamps = read_interactions(table(timestamp=times)).timestamps
        assert timestamps.dtype.kind in "iuf"
        assert timestamps.tolist() == list(times)

    def test_of_nanoseconds_keep_every_digit(self):
        times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_002]
        assert read_interactions(table(timestamp=times)).timestamps.tolist() == times

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_may_be_datetimes_of_any_unit(self, unit):
        times = pd.to_datetime(["2021-05-01", "1969-07-20"]).as_unit(unit)
        timestamps = read_interactions(table(timestamp=times)).timestamps
        assert timestamps.dtype.kind == "i"
        assert timestamps[0] > 0 > timestamps[1]

    def test_may_be_datetimes_that_do_not_fit_nanoseconds(self):
        times = np.array(["9999-12-31", "2020-01-01"], dtype="datetime64[s]")
        timestamps = read_interactions(table(timestamp=times)).timestamps
        assert timestamps[0] > timestamps[1]

    def test_with_a_timezone_are_ordered_in_universal_time(self):
        times = pd.to_datetime(["2020-10-25 02:30+02:00", "2020-10-25 02:10+01:00"], utc=True)
        X = table(timestamp=times.tz_convert("Europe/Paris"))
        timestamps = read_interactions(X).timestamps
        assert timestamps[0] < timestamps[1]

    def test_may_be_python_datetimes_in_an_object_array(self):
        late, early = datetime.datetime(2021, 1, 1), datetime.datetime(2020, 1, 1)
        X = np.array([[1, 2, late], [1, 3, early]], dtype=object)
        timestamps = read_interactions(X).timestamps
        assert timestamps[0] > timestamps[1]

    def test_may_be_of_arrow(self):
        pytest.importorskip("pyarrow")
        times = pd.Series(pd.to_datetime(["2021", "2020"], utc=True))
        X = table(timestamp=times.astype("timestamp[us, tz=UTC][pyarrow]"))
        timestamps = read_interactions(X).timestamps
        assert timestamps[0] > timestamps[1]

    def test_may_be_timedeltas(self):
        X = table(timestamp=pd.to_timedelta([20, 3], unit="s"))
        timestamps = read_interactions(X).timestamps
        assert timestamps[0] > timestamps[1]

    def test_that_are_numbers_written_as_strings_count_as_numbers(self):
        timestamps = read_interactions(table(timestamp=["20", "3"])).timestamps
        assert timestamps.tolist() == [20, 3]

    @pytest.mark.parametrize(
        "times",
        [
            ["20", "last year"],
            [1, np.nan],
            [1, np.inf],
            [1, -np.inf],
            [1, None],
            pd.array([1, None], dtype="Int64"),
            pd.array([1.0, None], dtype="Float64"),
            pd.array(["1", None], dtype="string"),
            pd.Categorical(["1", "then"]),
            pd.to_datetime(["2020", None]),
            pd.to_datetime(["2020", None], utc=True),
            pd.to_timedelta([1, None]),
        ],
        ids=repr,
    )
    def test_refuse_what_has_no_place_in_time_and_name_the_row(self, times):
        match = r"X: timestamps must be finite numbers or datetimes.*in row 1 \(1 such"
        with pytest.raises(ValueError, match=match):
            read_interactions(table(timestamp=times))

    def test_refuse_missing_ones_of_arrow(self):
        pytest.importorskip("pyarrow")
        times = pd.Series(pd.to_datetime(["2021", None])).astype("timestamp[us][pyarrow]")
        with pytest.raises(ValueError, match=r"timestamps must be finite.*in row 1"):
            read_interactions(table(timestamp=times))

    def test_written_as_dates_ask_for_to_datetime(self):
        with pytest.raises(ValueError, match=r"'2020-01-01' in row 0.*pandas\.to_datetime"):
            read_interactions(table(timestamp=["2020-01-01", "2020-01-02"]))


class TestSparse:
    @pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.coo_array, sp.csc_array])
    def test_stored_values_are_the_interactions_of_rows_with_columns(self, form):
        dense = np.array([[0, 0, 2], [0, 0, 0], [1, 0, 1]])
        rows = read_interactions(form(dense))
        assert rows.users.tolist() == [0, 2, 2]
        assert rows.items.tolist() == [2, 0, 2]

    def test_tells_nothing_about_time(self):
        rows = read_interactions(sp.csr_array(np.eye(2)))
        assert rows.timestamps is None
        assert not rows.ordered

    def test_explicit_zeros_are_no_interactions(self):
        X = sp.csr_array((np.array([0.0, 1.0]), (np.array([0, 1]), np.array([0, 1]))))
        assert read_interactions(X).users.tolist() == [1]

    @pytest.mark.parametrize("X", [sp.csr_array((3, 4)), sp.csr_array((0, 4))], ids=str)
    def test_without_values_is_refused(self, X):
        with pytest.raises(ValueError, match=r"X must hold at least one interaction.*sparse"):
            read_interactions(X)

    def test_is_refused_where_rows_are_returned(self):
        with pytest.raises(ValueError, match="X must be a DataFrame or an array here"):
            as_frame(sp.csr_array(np.eye(2)))


class TestTake:
    ROWS = Interactions(np.array([1, 2, 3]), np.array(["a", "b", "c"]), np.array([9, 8, 7]))

    @pytest.mark.parametrize("rows", [[2, 0], [True, False, True]], ids=["positions", "mask"])
    def test_selects_every_column_alike(self, rows):
        taken = self.ROWS.take(np.array(rows))
        picked = zip(taken.users, taken.items, taken.timestamps, strict=True)
        assert set(picked) == {(1, "a", 9), (3, "c", 7)}

    def test_keeps_whether_rows_are_ordered(self):
        rows = read_interactions(sp.csr_array(np.eye(2))).take(np.array([0]))
        assert rows.timestamps is None
        assert not rows.ordered


class TestIndexIds:
    @given(strategies.id_kinds.flatmap(lambda ids: strategies.columns_of_ids(ids, 12)))
    def test_numbers_ids_in_order_of_first_appearance(self, ids):
        rows = read_interactions(pd.DataFrame({"user": ids, "item": 1}))
        codes, vocabulary = index_ids(rows.users)
        assert (codes.tolist(), list(vocabulary)) == slow_codes(ids)

    @given(strategies.columns_of_ids(strategies.int_ids, 12))
    def test_gives_ints_and_the_same_ids_as_strings_the_same_codes(self, ids):
        numbers = np.array(ids)
        strings = numbers.astype(str).astype(object)
        np.testing.assert_array_equal(index_ids(numbers)[0], index_ids(strings)[0])

    def test_of_tuples_makes_no_multi_index(self):
        rows = read_interactions(table(user=[("a", 1), ("b", 2)]))
        assert not isinstance(index_ids(rows.users)[1], pd.MultiIndex)

    def test_codes_are_of_the_type_that_indexes_arrays(self):
        assert index_ids(np.array([3, 3], dtype="int8"))[0].dtype == np.int32


class TestLookupIds:
    @given(st.data())
    def test_finds_the_index_of_known_ids_and_minus_one_for_others(self, data):
        kind = data.draw(strategies.id_kinds)
        known = data.draw(strategies.columns_of_ids(kind, 8))
        asked = data.draw(strategies.columns_of_ids(kind, 8)) + known[:1]
        vocabulary = index_ids(read_ids(known, "users", INTS))[1]
        codes = lookup_ids(read_ids(asked, "users", INTS), vocabulary, "users")
        slow = slow_codes(known)[1]
        assert codes.tolist() == [slow.index(x) if x in slow else -1 for x in asked]

    def test_finds_ints_of_another_width(self):
        vocabulary = index_ids(np.array([5, 6]))[1]
        assert lookup_ids(np.array([6], dtype="uint8"), vocabulary, "users").tolist() == [1]

    def test_of_nothing_is_empty(self):
        vocabulary = index_ids(np.array([5, 6]))[1]
        assert lookup_ids(np.array([], dtype=object), vocabulary, "users").shape == (0,)

    def test_of_unknown_ids_of_the_same_kind_is_no_error(self):
        vocabulary = index_ids(np.array([5, 6]))[1]
        assert lookup_ids(np.array([7, 8]), vocabulary, "users").tolist() == [-1, -1]

    @pytest.mark.parametrize(
        ("known", "asked", "match"),
        [
            ([5], ["5"], "users must be of the kind that fit saw, numbers.*Received strings"),
            (["5"], [5], "users must be of the kind that fit saw, strings.*Received numbers"),
        ],
    )
    def test_refuses_strings_for_numbers_and_numbers_for_strings(self, known, asked, match):
        vocabulary = index_ids(read_ids(known, "users", INTS))[1]
        with pytest.raises(ValueError, match=match):
            lookup_ids(read_ids(asked, "users", INTS), vocabulary, "users")


class TestReadIds:
    @pytest.mark.parametrize("label", ["ab", 3, 3.5, ("a", 1), b"ab", np.int64(3)])
    def test_takes_one_id(self, label):
        ids = read_ids(label, "users", pd.Index([label], tupleize_cols=False))
        assert ids.shape == (1,)
        assert ids[0] == label

    @pytest.mark.parametrize(
        "convert",
        [list, np.array, pd.Series, pd.Index, iter, dict.fromkeys, pd.Categorical],
        ids=["list", "array", "Series", "Index", "iterator", "dict", "Categorical"],
    )
    def test_takes_a_collection_in_its_order(self, convert):
        assert read_ids(convert(["b", "a"]), "users", INTS).tolist() == ["b", "a"]

    def test_takes_a_tuple_as_a_collection_where_ids_are_no_tuples(self):
        assert read_ids((3, 4), "users", INTS).tolist() == [3, 4]
        assert read_ids((3, 4), "users", TUPLES).tolist() == [(3, 4)]

    def test_takes_a_set(self):
        assert set(read_ids({1, 2}, "users", INTS)) == {1, 2}

    def test_takes_a_list_of_tuples(self):
        labels = [("a", 1), ("b", 2)]
        assert read_ids(labels, "users", INTS).tolist() == labels

    def test_takes_tuples_beside_other_ids(self):
        assert read_ids([("a", 1), 3, "b"], "users", INTS).tolist() == [("a", 1), 3, "b"]

    def test_takes_an_empty_list(self):
        assert read_ids([], "users", INTS).shape == (0,)

    def test_ints_in_a_list_become_an_array_of_ints(self):
        assert read_ids([1, 2], "users", INTS).dtype == np.int64

    @pytest.mark.parametrize("ids", [None, [1, None], ["a", np.nan]], ids=repr)
    def test_refuses_missing_ids_and_names_the_argument(self, ids):
        with pytest.raises(ValueError, match="deny must not be missing"):
            read_ids(ids, "deny", INTS)

    @pytest.mark.parametrize("ids", [np.zeros((2, 2)), pd.DataFrame({"user": [1]})], ids=type)
    def test_refuses_two_dimensions(self, ids):
        with pytest.raises(ValueError, match=f"one-dimensional.*{type(ids).__name__}"):
            read_ids(ids, "users", INTS)

    def test_refuses_lists_in_a_list(self):
        with pytest.raises(TypeError, match="users must be hashable"):
            read_ids([[1, 2]], "users", INTS)


class TestTimeOrder:
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=20))
    def test_sorts_by_user_then_time_and_keeps_the_order_of_ties(self, pairs):
        users = np.array([user for user, _ in pairs], dtype=np.intp)
        times = np.array([time for _, time in pairs], dtype=np.int64)
        # sorted is stable
        expected = sorted(range(len(pairs)), key=lambda row: pairs[row])
        assert time_order(users, times).tolist() == expected

    @given(st.lists(st.integers(0, 3), max_size=20))
    def test_is_row_order_within_a_user_without_timestamps(self, users):
        expected = sorted(range(len(users)), key=lambda row: users[row])
        assert time_order(np.array(users, dtype=np.intp), None).tolist() == expected


class TestSeenMatrix:
    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=30))
    def test_holds_each_pair_once(self, pairs):
        users = np.array([user for user, _ in pairs], dtype=np.intp)
        items = np.array([item for _, item in pairs], dtype=np.intp)
        seen = seen_matrix(users, items, (5, 7))
        expected = np.zeros((5, 7), dtype=bool)
        for user, item in pairs:
            expected[user, item] = True
        assert seen.shape == (5, 7)
        assert seen.nnz == len(set(pairs))
        np.testing.assert_array_equal(seen.toarray(), expected)

    def test_columns_are_sorted_within_a_row(self):
        seen = seen_matrix(np.array([0, 0, 0]), np.array([4, 1, 3]), (1, 5))
        assert seen.indices.tolist() == [1, 3, 4]


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
        assert_frame_equal(concatenate_tables(X, X.iloc[:1]), expected)

    def test_of_arrays_is_an_array(self):
        joined = concatenate_tables(np.array([[1, 2]]), np.array([[3, 4]]))
        assert joined.tolist() == [[1, 2], [3, 4]]


class TestNamedTimestamps:
    def test_a_named_timestamp_counts_wherever_it_stands(self):
        X = pd.DataFrame(
            {"userId": [1, 1], "movieId": [5, 6], "rating": [4, 3], "timestamp": [7, 9]}
        )
        rows = read_interactions(X)
        assert rows.users.tolist() == [1, 1]
        assert rows.items.tolist() == [5, 6]
        assert rows.timestamps.tolist() == [7, 9]

    def test_timestamps_that_nothing_is_ordered_by_are_not_read(self):
        X = table(timestamp=[np.nan, 1])
        assert read_interactions(X, with_timestamps=False).timestamps is None
        with pytest.raises(ValueError, match="timestamps must be finite"):
            read_interactions(X)

    def test_a_name_stands_for_one_column(self):
        X = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
        with pytest.raises(ValueError, match="X must have a name of its own for each column"):
            read_interactions(X)


# seen_rows


def random_seen(rng, n_users=7, n_items=12, share=0.4):
    return sp.csr_array(rng.random((n_users, n_items)) < share)


def test_seen_rows_are_those_of_the_users_in_their_order(rng):
    seen = random_seen(rng)
    users = np.array([4, 0, 4, 6])

    assert np.array_equal(seen_rows(seen, users).toarray(), seen.toarray()[users])


def test_seen_rows_of_unknown_users_are_empty(rng):
    seen = random_seen(rng, share=0.9)

    rows = seen_rows(seen, np.array([-1, 3, -1]))

    assert rows.shape == (3, seen.shape[1])
    assert np.diff(rows.indptr).tolist() == [0, seen.toarray()[3].sum(), 0]
    assert np.array_equal(rows.toarray()[1], seen.toarray()[3])


def test_seen_rows_of_unknown_users_alone_are_empty(rng):
    assert seen_rows(random_seen(rng), np.array([-1, -1])).nnz == 0


def test_seen_rows_leave_the_seen_matrix_as_it_was(rng):
    seen = random_seen(rng)
    before = seen.toarray()

    seen_rows(seen, np.array([-1, 0]))

    assert np.array_equal(seen.toarray(), before)
