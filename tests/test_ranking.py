import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from neumf import metrics
from neumf.evaluation.held_out import HeldOutRows
from neumf.evaluation.ranked_lists import (
    _sample_distinct,
    exact_lists,
    mean_over_lists,
    sampled_lists,
)
from neumf.interactions.unseen import UnseenItems
from neumf.ranking import top_k
from neumf.ranking.rankers import ranker_at
from neumf.ranking.similar import most_similar_vectors
from neumf.ranking.top_k import blocks, top_items, top_lists

score_tables = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.float64]),
    shape=st.tuples(st.integers(0, 5), st.integers(1, 9)),
    elements=st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]),
)


class TableRanker:
    """Looks scores up in a table of users and items."""

    def __init__(self, table):
        self.table = table

    def score_items(self, users):
        return self.table[users]

    def score_candidates(self, users, items):
        return self.table[users[:, None], items]


def csr(dense):
    return sp.csr_array(np.asarray(dense, dtype=bool))


def random_seen(rng, n_users=7, n_items=12, share=0.4):
    return csr(rng.random((n_users, n_items)) < share)


def random_keys(rng, n):
    return rng.integers(0, 2**64, n, dtype=np.uint64)


def held_out_of(items_by_user, n_items, keys=None):
    """Gather held-out items from a list of (user, items); -1 is unknown."""
    users = np.array([user for user, _ in items_by_user])
    queries = np.repeat(np.arange(len(users)), [len(items) for _, items in items_by_user])
    items = np.array([item for _, items in items_by_user for item in items])
    return HeldOutRows(queries, users, items, n_items, keys).gather()


# A known user with one item, with several, with an unknown one besides, and unknown users.
HELD_OUT = [(3, [2]), (0, [5, 1, 8]), (-1, [4]), (2, [7, -1]), (5, [-1, -1]), (-1, [-1, 3])]


def all_rows(lists):
    """The lists of all blocks, one pair of arrays per query."""
    for relevance, scores in lists:
        assert relevance.shape == scores.shape
        assert relevance.dtype == bool
        yield from zip(relevance, scores, strict=True)


# top_items


@given(scores=score_tables, k=st.integers(1, 12))
def test_top_items_are_the_first_of_a_stable_full_sort(scores, k):
    expected = []
    for row, values in enumerate(scores):
        order = sorted(range(len(values)), key=lambda item, values=values: -values[item])
        listed = [item for item in order if values[item] > -math.inf][:k]
        expected += [(row, item, rank) for rank, item in enumerate(listed, start=1)]

    assert list(zip(*map(np.ndarray.tolist, top_items(scores, k)), strict=True)) == expected


def test_top_items_with_equal_scores_come_in_catalogue_order():
    scores = np.array([[0.0, 2.0, 1.0, 2.0, 1.0, 1.0, 2.0]])

    assert top_items(scores, 5)[1].tolist() == [1, 3, 6, 2, 4]


def test_top_items_never_return_minus_infinity():
    rows, items, ranks = top_items(np.array([[-np.inf, 3.0], [-np.inf, -np.inf]]), 2)

    assert (rows.tolist(), items.tolist(), ranks.tolist()) == ([0], [1], [1])


def test_top_items_of_a_long_list_are_all_items():
    assert top_items(np.array([[1.0, 3.0, 2.0]]), 100)[1].tolist() == [1, 2, 0]


def test_top_items_leave_the_scores_as_they_were(rng):
    scores = rng.random((4, 6))
    scores.flags.writeable = False

    top_items(scores, 3)


@given(data=st.data(), k=st.integers(1, 40), few_values=st.booleans())
def test_top_items_of_groups_are_the_first_of_a_stable_full_sort(data, k, few_values):
    shape = (3, data.draw(st.integers(100, 400), label="n_items"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32), label="seed"))
    scores = rng.integers(0, 4, shape) / 2 if few_values else rng.standard_normal(shape)
    scores[rng.random(shape) < data.draw(st.sampled_from([0, 0.5, 0.97]), label="barred")] = -np.inf

    rows, items, ranks = top_items(scores, k)

    for row, values in enumerate(scores):
        best = np.argsort(-values, kind="stable")[:k]
        best = best[values[best] > -np.inf]
        assert items[rows == row].tolist() == best.tolist()
        assert ranks[rows == row].tolist() == list(range(1, len(best) + 1))


def test_top_items_of_part_of_the_columns(rng):
    scores = rng.random((4, 300))

    rows, items, _ = top_items(scores[:, :250], 7)

    assert items.reshape(4, 7).tolist() == np.argsort(-scores[:, :250])[:, :7].tolist()
    assert rows.tolist() == np.repeat(range(4), 7).tolist()


def test_top_items_of_no_rows_are_none():
    assert [part.tolist() for part in top_items(np.empty((0, 30)), 3)] == [[], [], []]


def test_top_items_of_an_empty_catalogue_are_none():
    assert [part.tolist() for part in top_items(np.empty((2, 0)), 3)] == [[], [], []]


# top_lists


def test_lists_of_blocks_are_those_of_all_rows_at_once(monkeypatch, rng):
    scores = rng.integers(0, 9, (50, 40)).astype(float)
    expected = top_items(scores, 5)
    set_blocks(monkeypatch, 3 * 40)

    rows, items, values, ranks = top_lists(50, 40, 5, lambda block: scores[block])

    assert (rows == expected[0]).all()
    assert (items == expected[1]).all()
    assert (ranks == expected[2]).all()
    assert (values == scores[rows, items]).all()


# blocks


def set_blocks(monkeypatch, n_scores, n_rows=1, most=10**9):
    monkeypatch.setattr(top_k, "_BLOCK_SIZE", n_scores)
    monkeypatch.setattr(top_k, "_BLOCK_ROWS", n_rows)
    monkeypatch.setattr(top_k, "_MOST_SCORES", most)


@pytest.mark.parametrize("n_columns", [1, 3, 10, 1000])
def test_blocks_cover_every_row_once_and_in_order(monkeypatch, n_columns):
    set_blocks(monkeypatch, 10)

    rows = [row for block in blocks(17, n_columns) for row in range(17)[block]]

    assert rows == list(range(17))


def test_blocks_hold_what_the_cache_does_but_at_least_some_rows(monkeypatch):
    set_blocks(monkeypatch, 12, n_rows=2)

    assert {block.stop - block.start for block in blocks(18, 2)} == {6}
    assert {block.stop - block.start for block in blocks(18, 11)} == {2}


def test_blocks_hold_no_more_scores_than_allowed_unless_one_row_does(monkeypatch):
    set_blocks(monkeypatch, 10, n_rows=9, most=10)

    assert {block.stop - block.start for block in blocks(18, 3)} == {3}
    assert {block.stop - block.start for block in blocks(18, 11)} == {1}


def test_no_rows_make_one_empty_block(monkeypatch):
    set_blocks(monkeypatch, 5)
    assert list(blocks(0, 5)) == [slice(0, 0)]
    assert list(blocks(1, 5)) == [slice(0, 1)]


# Similar ones


def test_similar_ones_are_ranked_by_the_cosine_of_their_vectors():
    ids = pd.Index(["a", "b", "zero", "c"])
    vectors = np.array([[3, 4], [40, 30], [0, 0], [-3, 4]], np.float32)
    found = most_similar_vectors("item", ["a", "zero"], ids, 2, vectors)
    assert found.columns.tolist() == ["item", "similar_item", "score", "rank"]
    assert found["item"].tolist() == ["a", "a", "zero", "zero"]
    assert found["similar_item"].tolist() == ["b", "c", "a", "b"]
    assert found["score"].tolist() == pytest.approx([24 / 25, 7 / 25, 0, 0])
    assert found["rank"].tolist() == [1, 2, 1, 2]


# Rankers of queries


@dataclass
class ByTime:
    """A recommender whose scores show the user and the request time of each request."""

    users_ = items_ = popularity_ = seen_ = None
    ranker_: TableRanker
    has_timestamps_: bool = True

    def ranker_at(self, users, seconds):
        return TableRanker(100.0 * users[:, None] + seconds[:, None] + np.zeros(4))


def test_queries_are_scored_for_their_users_at_their_times():
    model = ByTime(TableRanker(np.arange(12.0).reshape(3, 4)))
    users, seconds = np.array([2, 0, 2]), np.array([5.0, 6.0, 7.0])
    timeless, timed = ranker_at(model, users, None), ranker_at(model, users, seconds)
    assert timeless.score_items(np.array([1, 2])).tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert timed.score_items(np.array([1, 2])).tolist() == [[6] * 4, [207] * 4]
    items = np.array([[3], [1]])
    assert timeless.score_candidates(np.array([0, 1]), items).tolist() == [[11], [1]]


def test_a_recommender_without_times_has_no_ranker_at_a_time():
    model = ByTime(TableRanker(np.zeros((3, 4))), has_timestamps_=False)
    with pytest.raises(ValueError, match="X of fit must have timestamps because a request time"):
        ranker_at(model, np.array([0]), np.array([1.0]))


def test_recommenders_that_know_no_times_are_ranked_without():
    class Untimed:
        ranker_ = TableRanker(np.arange(12.0).reshape(3, 4))

    ranker = ranker_at(Untimed(), np.array([1]), np.array([1.0]))
    assert ranker.score_items(np.array([0])).tolist() == [[4, 5, 6, 7]]


# exact_lists


def test_exact_lists_agree_with_a_loop_over_the_catalogue(rng):
    seen, table = random_seen(rng), rng.random((7, 12))

    lists = list(all_rows(exact_lists(TableRanker(table), held_out_of(HELD_OUT, n_items=12), seen)))

    assert len(lists) == len(HELD_OUT)
    for (user, held_out), (relevance, scores) in zip(HELD_OUT, lists, strict=True):
        for item in range(12):
            candidate = user >= 0 and (item in held_out or not seen.toarray()[user, item])
            assert relevance[item] == (item in held_out)
            assert scores[item] == (table[user, item] if candidate else -np.inf)
        assert relevance[12:].sum() == held_out.count(-1)
        assert (scores[12:] == -np.inf).all()


def test_exact_lists_keep_a_held_out_item_that_was_seen(rng):
    everything = csr(np.ones((1, 4)))

    ((relevance, scores),) = exact_lists(
        TableRanker(rng.random((1, 4))), held_out_of([(0, [2])], n_items=4), everything
    )

    assert np.flatnonzero(scores[0] > -np.inf).tolist() == [2]
    assert np.flatnonzero(relevance[0]).tolist() == [2]


def test_exact_lists_write_to_scores_in_any_order_of_memory(rng):
    seen, table = random_seen(rng), rng.random((7, 12))
    expected = list(all_rows(exact_lists(TableRanker(table), held_out_of(HELD_OUT, 12), seen)))

    ranker = TableRanker(np.asfortranarray(table))
    ranker.score_items = lambda users: np.asfortranarray(table[users])

    found = list(all_rows(exact_lists(ranker, held_out_of(HELD_OUT, 12), seen)))
    assert all((a[1] == b[1]).all() for a, b in zip(expected, found, strict=True))


# sampled_lists


def sample_lists(rng, seen, table, n_negatives, held_out=HELD_OUT):
    n_rows = sum(len(items) for _, items in held_out)
    held_out = held_out_of(held_out, seen.shape[1], random_keys(rng, n_rows))
    return list(
        all_rows(
            sampled_lists(
                TableRanker(table), held_out, seen, n_negatives, np.arange(table.shape[1])
            )
        )
    )


@pytest.mark.parametrize("n_negatives", [1, 3, 40])
def test_sampled_lists_agree_with_a_loop_over_the_queries(rng, n_negatives):
    seen, table = random_seen(rng), rng.random((7, 12))

    lists = sample_lists(rng, seen, table, n_negatives)

    assert len(lists) == len(HELD_OUT)
    for (user, held_out), (relevance, scores) in zip(HELD_OUT, lists, strict=True):
        assert relevance.sum() == len(held_out)
        if user < 0:
            assert (scores == -np.inf).all()
            continue
        item_of = {score: item for item, score in enumerate(table[user])}  # all scores differ
        found = [item_of[score] for score in scores[relevance] if score > -np.inf]
        negatives = [item_of[score] for score in scores[~relevance] if score > -np.inf]
        unseen = set(np.flatnonzero(~seen.toarray()[user])) - set(held_out)
        assert sorted(found) == sorted(item for item in held_out if item >= 0)
        assert len(negatives) == len(set(negatives)) == min(n_negatives, len(unseen))
        assert set(negatives) <= unseen


def test_sampled_lists_of_a_user_who_has_seen_everything_hold_the_positives_only(rng):
    everything = csr(np.ones((1, 6)))

    ((relevance, scores),) = sample_lists(rng, everything, rng.random((1, 6)), 3, [(0, [4, 1])])

    assert (scores > -np.inf).tolist() == relevance.tolist()


# mean_over_lists


@pytest.mark.parametrize("cut", ["exact", "sampled"])
def test_value_does_not_depend_on_the_size_of_blocks(monkeypatch, rng, cut):
    seen, ranker = random_seen(rng), TableRanker(rng.random((7, 12)))
    held_out = held_out_of(HELD_OUT, 12, random_keys(rng, sum(len(i) for _, i in HELD_OUT)))

    def value(block_size):
        set_blocks(monkeypatch, block_size)
        lists = (
            exact_lists(ranker, held_out, seen)
            if cut == "exact"
            else sampled_lists(ranker, held_out, seen, 4, np.arange(seen.shape[1]))
        )
        return mean_over_lists(metrics.ndcg_at_k, 3, lists)

    assert 0 < value(10**6) < 1
    assert value(1) == pytest.approx(value(10**6))  # one query per block
    assert value(50) == pytest.approx(value(10**6))  # the last block is shorter


def test_mean_over_lists_weighs_queries_not_blocks():
    lists = [
        (np.ones((3, 1), dtype=bool), np.zeros((3, 1))),
        (np.zeros((1, 1), dtype=bool), np.zeros((1, 1))),
    ]

    assert mean_over_lists(metrics.hit_rate_at_k, 1, iter(lists)) == 3 / 4


# _sample_distinct


def test_drawn_items_are_unseen_and_distinct(rng):
    seen = random_seen(rng, n_users=200, n_items=30, share=0.5)

    items = _sample_distinct(UnseenItems(seen), random_keys(rng, 200), 5)

    assert items.shape == (200, 5)
    for user, drawn in enumerate(items):
        assert len(set(drawn)) == 5
        assert not seen.toarray()[user, drawn].any()


def test_draw_gives_every_unseen_item_and_minus_one_when_they_run_out(rng):
    seen = csr([[1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])

    items = _sample_distinct(UnseenItems(seen), random_keys(rng, 3), 4)

    assert sorted(items[0].tolist()) == [-1, -1, 1, 3]
    assert items[1].tolist() == [-1, -1, -1, -1]
    assert -1 not in items[2]


@pytest.mark.parametrize("kind", ["random", "consecutive"])
def test_every_set_of_unseen_items_is_drawn_equally_often(rng, kind):
    n = 35_000
    keys = random_keys(rng, n) if kind == "random" else np.arange(n, dtype=np.uint64)
    seen = csr(np.tile([0, 1, 0, 0, 1, 0, 0, 0, 0], (n, 1)))

    items = _sample_distinct(UnseenItems(seen), keys, 3)

    subsets = list(itertools.combinations([0, 2, 3, 5, 6, 7, 8], 3))
    places = {subset: place for place, subset in enumerate(subsets)}
    counts = np.bincount([places[tuple(sorted(drawn))] for drawn in items.tolist()])
    assert len(counts) == len(subsets)
    assert chisquare(counts).pvalue > 0.001


def test_draw_depends_on_the_key_and_the_unseen_items_only(rng):
    seen, keys = random_seen(rng, n_users=50, n_items=30), random_keys(rng, 50)
    together = _sample_distinct(UnseenItems(seen), keys, 6)
    order = rng.permutation(50)

    assert np.array_equal(
        _sample_distinct(UnseenItems(seen[order]), keys[order], 6), together[order]
    )
    assert np.array_equal(_sample_distinct(UnseenItems(seen[[17]]), keys[[17]], 6)[0], together[17])


def test_other_keys_draw_other_items(rng):
    seen = csr(np.zeros((100, 1000)))

    first = _sample_distinct(UnseenItems(seen), np.arange(100, dtype=np.uint64), 10)
    second = _sample_distinct(UnseenItems(seen), np.arange(100, 200, dtype=np.uint64), 10)

    assert not (first == second).all(axis=1).any()
