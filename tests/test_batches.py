from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from training_tools import forced_rows, unseen_by

from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.timeline import read_timelines
from neumf.interactions.unseen import other_items
from neumf.model.user_towers import UserIds, UserIdsAndHistories
from neumf.training.batches import (
    BatchSizes,
    Negatives,
    TrainingRows,
    chunks_of,
    make_chunk,
    new_order,
)


def rows_of(n_rows, with_negatives=True):
    users = np.zeros(n_rows, int)
    negatives = unseen_by(users[:1], users[:1], (1, 9)) if with_negatives else None
    return TrainingRows(users, users, negatives=negatives)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_negatives", "expected"),
    [
        (10**6, 256, 4, (1024, 51, 4, 1)),  # 51 positives and 204 negatives; 1024 * 51 >= 2**15
        (10**6, 10**6, 4, (1, 200_000, 4, 1)),
        (1000, 10**6, 4, (16, 1024, 4, 1)),  # no larger than the rows, as a power of two
        (5, 10**6, 4, (16, 64, 4, 1)),  # a few rows share one size
        (64, 10**6, 4, (16, 64, 4, 1)),
        (1, 1, 4, (16, 1, 4, 1)),  # at least one row a batch
    ],
)
def test_positives_and_negatives_fill_a_batch_together(n_rows, batch_size, n_negatives, expected):
    assert BatchSizes.of_rows(rows_of(n_rows), batch_size, n_negatives) == expected


def test_rows_without_negatives_fill_a_batch_by_themselves():
    assert BatchSizes.of_rows(rows_of(10**6, False), 256, 4) == (128, 256, 0, 1)


def test_small_updates_of_all_sizes_have_one_size_of_batch():
    sizes = {BatchSizes.of_rows(rows_of(n), 256, 4) for n in range(1, 500)}
    assert len(sizes) == 1


@pytest.mark.parametrize("n_rows", [0, 1, 60])
def test_an_order_holds_each_row_once(n_rows, rng):
    order = new_order(rows_of(n_rows), 1, rng)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(n_rows))


def test_every_order_is_as_likely(rng):
    n = 6000
    found = [tuple(new_order(rows_of(4), 1, rng).tolist()) for _ in range(n)]
    counts = np.array([found.count(order) for order in permutations(range(4))])
    expected = n / 24
    # A chi-square of 23 degrees of freedom is above 50 once in a thousand times.
    assert ((counts - expected) ** 2 / expected).sum() < 50


def rows_in_time(n_rows, rng, before=None):
    """Return rows of some users, in no order of users, with histories of at most three items."""
    users = rng.integers(0, max(1, n_rows // 5), n_rows)
    items = rng.integers(0, 30, n_rows).astype(np.int32)
    timelines = read_timelines(users, None, max(1, n_rows // 5))
    return TrainingRows(users, items, histories=read_histories(timelines, items, 3, before))


def test_rows_share_the_items_of_histories_where_all_items_are_of_rows(rng):
    rows = rows_in_time(1000, rng)
    assert BatchSizes.of_rows(rows, 100, 1) == (16, 96, 0, 8)  # whole runs
    assert BatchSizes.of_rows(rows, 7, 1).run_length == 1
    before = LastItems(np.full((200, 1), 3, np.int32))
    assert BatchSizes.of_rows(rows_in_time(1000, rng, before), 100, 1) == (16, 100, 0, 1)
    timelines = read_timelines(rows.users, None, 200, rows.items > 3)
    labelled = replace(rows, histories=read_histories(timelines, rows.items, 3))
    assert BatchSizes.of_rows(labelled, 100, 1).run_length == 1


@pytest.mark.parametrize("n_rows", [1, 3, 8, 21, 300])
def test_an_order_in_runs_holds_rows_that_follow_each_other(n_rows, rng):
    rows = rows_in_time(n_rows, rng)
    in_time = np.argsort(rows.users, kind="stable")
    place = np.argsort(in_time)
    for _ in range(5):
        order = new_order(rows, 4, rng)
        assert sorted(order) == list(range(n_rows))
        for run in np.split(place[order], range(4, n_rows, 4)):
            assert ((run - run[0]) % n_rows == np.arange(len(run))).all()


def test_runs_start_anywhere_and_come_in_any_order(rng):
    rows = rows_in_time(16, rng)
    place = np.argsort(np.argsort(rows.users, kind="stable"))
    found = {tuple(place[new_order(rows, 4, rng)][::4].tolist()) for _ in range(2000)}
    assert len(found) == 4 * 24


def test_an_epoch_has_each_row_once_with_unseen_items(rng):
    rows = forced_rows()
    sizes = BatchSizes(2, 3, 2)
    chunks = list(chunks_of(rows, new_order(rows, 1, rng), UserIds(5, 1), sizes, rng))
    assert [int(chunk.n_rows) for chunk in chunks] == [6, 6, 4]
    pairs = []
    for chunk in chunks:
        users = chunk.indices["users"].reshape(-1)[: chunk.n_rows]
        candidates = chunk.indices["items"].reshape(-1, 3)[: chunk.n_rows]
        assert (candidates[:, 1:] == users[:, None]).all()  # user u has seen all but item u
        pairs += zip(users.tolist(), candidates[:, 0].tolist(), strict=True)
        assert not chunk.weights.reshape(-1)[chunk.n_rows :].any()
    assert sorted(pairs) == sorted(zip(rows.users.tolist(), rows.items.tolist(), strict=True))


def test_spare_rows_touch_nothing_else(rng):
    chunk = make_chunk(forced_rows(), np.array([3, 7]), UserIds(5, 1), BatchSizes(2, 3, 2), rng)
    assert set(chunk.indices["users"].ravel()) == set(forced_rows().users[[3, 7]])


def test_each_chunk_has_two_seeds_of_dropout_of_its_own(rng):
    arguments = forced_rows(), np.array([3, 7]), UserIds(5, 1), BatchSizes(2, 3, 2), rng
    seeds = [make_chunk(*arguments).seed for _ in range(2)]
    assert [seed.dtype for seed in seeds] == [np.int32, np.int32]
    assert len({*seeds[0], *seeds[1]}) == 4


def test_what_a_user_does_later_changes_nothing_before(rng):
    """Neither histories nor negatives of a row may tell of a later one."""
    users = np.repeat(np.arange(20), 6)
    times = rng.integers(0, 4, 120)
    items = rng.integers(0, 30, 120).astype(np.int32)
    later = np.flatnonzero(times == 3)
    changed = items.copy()
    changed[later] = rng.integers(0, 30, len(later))
    chunks = []
    for column in (items, changed):
        histories = read_histories(read_timelines(users, times, 20), column, 5)
        negatives = Negatives(other_items(30), column)
        rows = TrainingRows(users, column, None, None, negatives, histories)
        chunk = make_chunk(
            rows,
            np.arange(120),
            UserIdsAndHistories(4, 5),
            BatchSizes(1, 120, 9),
            np.random.default_rng(3),
        )
        chunks.append({name: index[0] for name, index in chunk.indices.items()})
    earlier = np.flatnonzero(times < 3)
    for name in ("users", "items", "history"):
        np.testing.assert_array_equal(chunks[0][name][earlier], chunks[1][name][earlier])
