import numpy as np

from neumf.evaluation.held_out import HeldOutRows


def test_held_out_rows_are_gathered_to_one_query_per_user():
    held_out = HeldOutRows(
        queries=np.array([0, 1, 0, 2, 1]),
        users=np.array([7, -1, 4]),
        items=np.array([3, 0, -1, 2, 1]),
        n_items=4,
    ).gather()

    assert held_out.users.tolist() == [7, -1, 4]
    assert held_out.positives.toarray().astype(int).tolist() == [
        [0, 0, 0, 1],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
    ]
    assert held_out.n_unknown.tolist() == [1, 0, 0]


def test_held_out_item_that_is_repeated_counts_once():
    rows = HeldOutRows(np.zeros(3, int), np.array([0]), np.array([2, 2, 1]), n_items=3)
    assert rows.gather().positives.nnz == 2


def test_some_of_the_rows_are_gathered_to_the_queries_that_have_them():
    rows = HeldOutRows(np.array([0, 1, 0, 2]), np.array([7, 5, 4]), np.array([0, 1, 2, 0]), 3)
    some = rows.gather(np.array([False, True, False, True]))
    assert some.users.tolist() == [5, 4]
    assert some.positives.toarray().astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_key_of_a_query_depends_on_its_rows_in_no_order(rng):
    keys = rng.integers(2**63, size=5).astype(np.uint64)
    queries = np.array([0, 1, 0, 1, 1])
    order = rng.permutation(5)

    def streams(rows):
        """The key of each query, by user."""
        items = np.zeros(5, dtype=int)
        held_out = HeldOutRows(queries[rows], np.array([0, 1]), items, 1, keys[rows]).gather()
        return dict(zip(held_out.users.tolist(), held_out.keys.tolist(), strict=True))

    assert streams(order) == streams(np.arange(5))
    assert streams(order)[0] != streams(order)[1]
