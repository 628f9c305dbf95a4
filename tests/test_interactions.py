import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st

from neumf.interactions.columns import read_ids
from neumf.interactions.encoded_rows import read_rows
from neumf.interactions.new_rows import find_users
from neumf.interactions.seen import join_seen, log_popularity, seen_matrix, seen_rows
from neumf.interactions.tables import read_table
from neumf.interactions.timeline import time_order
from neumf.interactions.vocabulary import IndexedIds, extend_index, index_ids, lookup_ids

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


class TestIndexIds:
    @given(strategies.id_kinds.flatmap(lambda ids: strategies.columns_of_ids(ids, 12)))
    def test_numbers_ids_in_order_of_first_appearance(self, ids):
        rows = read_table(pd.DataFrame({"user": ids, "item": 1}))
        codes, vocabulary = index_ids(rows.users)
        assert (codes.tolist(), list(vocabulary)) == slow_codes(ids)

    @given(strategies.columns_of_ids(strategies.int_ids, 12))
    def test_gives_ints_and_the_same_ids_as_strings_the_same_codes(self, ids):
        numbers = np.array(ids)
        strings = numbers.astype(str).astype(object)
        np.testing.assert_array_equal(index_ids(numbers)[0], index_ids(strings)[0])

    def test_of_tuples_makes_no_multi_index(self):
        rows = read_table(table(user=[("a", 1), ("b", 2)]))
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

    def test_asked_for_lists_warns_of_the_users(self):
        with pytest.warns(UserWarning, match=r"^users must be of the kind that fit saw, numbers"):
            assert find_users(np.array(["5"], dtype=object), INTS).tolist() == [-1]

    def test_refuses_ids_that_would_extend_a_vocabulary_of_another_kind(self):
        ids = IndexedIds(np.array([0, 0], np.int32), pd.Index(["5"], dtype=object))
        with pytest.raises(ValueError, match="users must be of the kind that fit saw, numbers"):
            extend_index(ids, INTS, "users")


class TestReadIds:
    @pytest.mark.parametrize("label", ["ab", 3, 3.5, ("a", 1), np.int64(3)])
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
        with pytest.raises(TypeError, match="users must be ints, strings"):
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

    @pytest.mark.parametrize("dtype", [np.int32, np.int64])
    def test_counts_some_rows_and_has_small_indices(self, dtype):
        users, items = np.array([0, 1, 0, 1], dtype), np.array([2, 1, 2, 0], dtype)
        counted = np.array([True, False, True, True])
        seen = seen_matrix(users, items, (2, 3), counted)
        assert seen.toarray().tolist() == [[False, False, True], [True, False, False]]
        assert (seen.dtype, seen.indices.dtype, seen.indptr.dtype) == (bool, np.int32, np.int32)

    def test_of_no_users_has_no_rows(self):
        nothing = np.empty(0, np.int32)
        assert seen_matrix(nothing, nothing, (0, 3)).shape == (0, 3)

    def test_columns_are_sorted_within_a_row(self):
        seen = seen_matrix(np.array([0, 0, 0]), np.array([4, 1, 3]), (1, 5))
        assert seen.indices.tolist() == [1, 3, 4]


# join_seen


@given(st.permutations([-1, 0, 1, 2, 3, 4, 5]))
def test_join_seen_adds_what_users_had_seen_before(codes):
    rng = np.random.default_rng(0)
    before, seen = random_seen(rng, 6, 6), random_seen(rng, 7, 8)
    expected = seen.toarray()
    for user, code in enumerate(codes):
        if code >= 0:
            expected[user, :6] |= before.toarray()[code]
    found = join_seen(before, np.array(codes), seen)
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.has_canonical_format


def test_log_popularity_counts_one_user_more_for_each_item():
    seen = sp.csr_array(np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0]], bool))
    found = log_popularity(seen)
    np.testing.assert_allclose(found, np.log(np.array([4, 1, 2]) / (7 / 3)), rtol=1e-6)
    assert found.dtype == np.float32


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


def test_seen_rows_where_fit_saw_no_user_are_empty_and_of_the_same_type(rng):
    rows = seen_rows(random_seen(rng, n_users=0), np.array([-1, -1]))
    assert rows.shape == (2, 12)
    assert rows.dtype == bool


def test_seen_rows_leave_the_seen_matrix_as_it_was(rng):
    seen = random_seen(rng)
    before = seen.toarray()

    seen_rows(seen, np.array([-1, 0]))

    assert np.array_equal(seen.toarray(), before)


# Features


def test_rows_with_features_keep_their_items_and_get_those_of_the_table_behind():
    features = pd.DataFrame({"long": [1.0, 0.0, 1.0]}, index=pd.Index([3, 2, 1], name="item"))
    rows = read_rows(table())
    found = rows.with_features(None, features)
    assert found.item_ids.tolist() == [1, 2, 3]
    assert found.users is rows.users
    assert found.user_features is None
