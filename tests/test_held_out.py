import numpy as np

from neumf._held_out import HeldOut


def test_held_out_rows_are_gathered_to_one_query_per_user():
    held_out = HeldOut.from_rows(
        queries=np.array([0, 1, 0, 2, 1]),
        users=np.array([7, -1, 4]),
        items=np.array([3, 0, -1, 2, 1]),
        n_items=4,
    )

    assert held_out.users.tolist() == [7, -1, 4]
    assert held_out.positives.toarray().astype(int).tolist() == [
        [0, 0, 0, 1],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
    ]
    assert held_out.n_unknown.tolist() == [1, 0, 0]


def test_held_out_item_that_is_repeated_counts_once():
    held_out = HeldOut.from_rows(np.zeros(3, int), np.array([0]), np.array([2, 2, 1]), n_items=3)
    assert held_out.positives.nnz == 2


def test_key_of_a_query_depends_on_its_rows_in_no_order(rng):
    keys = rng.integers(2**63, size=5).astype(np.uint64)
    queries = np.array([0, 1, 0, 1, 1])
    order = rng.permutation(5)

    def stream(rows):
        items = np.zeros(5, dtype=int)
        return HeldOut.from_rows(queries[rows], np.array([0, 1]), items, 1, keys[rows]).keys

    assert stream(order).tolist() == stream(np.arange(5)).tolist()
    assert stream(order)[0] != stream(order)[1]
