"""Scores to lists: top k, and the lists that held-out rows are judged by, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.evaluation.held_out import HeldOut, Matched, order_of_ids
from neumf.interactions.seen import bar_seen, seen_rows, stored_places
from neumf.interactions.unseen import UnseenItems
from neumf.protocols import Ranker
from neumf.ranking.rankers import ranker_at
from neumf.ranking.top_k import blocks
from neumf.utils.arrays import Codes, Scores
from neumf.utils.random import hash_mix
from neumf.utils.threads import map_threads

Lists = tuple[NDArray[np.bool_], Scores]


def ranked_lists(matched: Matched, held_out: HeldOut, n_negatives: int | None) -> Iterator[Lists]:
    """Return relevance and scores among all candidates, or among so many sampled ones."""
    recommender, barred = matched.recommender, matched.barred
    if held_out.seconds is None:
        ranker = recommender.ranker_
    else:
        ranker = ranker_at(recommender, held_out.users, held_out.seconds)
        held_out, barred = as_queries(held_out, barred)
    if n_negatives is None:
        return exact_lists(ranker, held_out, barred, matched.n_scored)
    return sampled_lists(ranker, held_out, barred, n_negatives, order_of_ids(recommender.items_))


def as_queries(held_out: HeldOut, barred: sp.csr_array) -> tuple[HeldOut, sp.csr_array]:
    """Return both for a ranker that takes queries in the place of users."""
    users = held_out.users
    queries = np.where(users < 0, -1, np.arange(len(users)))
    return replace(held_out, users=queries), seen_rows(barred, users)


def exact_lists(
    ranker: Ranker, held_out: HeldOut, barred: sp.csr_array, n_scored: int | None = None
) -> Iterator[Lists]:
    """Return relevance and scores of the whole catalogue, without the other items barred.

    `n_scored` is the number of items that the ranker scores for a user on the way, None for all
    that it returns.
    """
    n_columns = barred.shape[1] if n_scored is None else n_scored

    def score_block(block: slice) -> Lists:
        users = held_out.users[block]
        positives = held_out.positives[block]
        scores = _spread(ranker.score_items(users[users >= 0]), users >= 0)
        places = stored_places(positives)
        own = scores[places]
        bar_seen(scores, barred, users)
        scores[places] = own
        return _with_missed(positives.toarray(), scores, held_out.n_unknown[block])

    return map_threads(score_block, blocks(len(held_out.users), n_columns))


def sampled_lists(
    ranker: Ranker, held_out: HeldOut, barred: sp.csr_array, n_negatives: int, order: Codes
) -> Iterator[Lists]:
    """Return relevance and scores of the held-out items and distinct ones that are not barred.

    Items are drawn by their place in `order`: with an order of the ids themselves, what is drawn
    does not depend on the order in which `fit` met them.
    """
    positives = held_out.positives
    barred = (seen_rows(barred, held_out.users) + positives).astype(bool)[:, order]
    barred.sort_indices()
    negatives = _sample_distinct(UnseenItems(barred), held_out.keys, n_negatives)
    negatives = np.where(negatives < 0, -1, order[negatives])
    places = _leading(np.diff(positives.indptr))
    columns = np.full(places.shape, -1)
    columns[places] = positives.indices
    columns = np.hstack([columns, negatives])
    places = np.pad(places, ((0, 0), (0, n_negatives)))

    def score_block(block: slice) -> Lists:
        users, items = held_out.users[block], columns[block]
        known = users >= 0
        scores = _spread(ranker.score_candidates(users[known], np.maximum(items[known], 0)), known)
        scores[items < 0] = -np.inf
        return _with_missed(places[block], scores, held_out.n_unknown[block])

    return map_threads(score_block, blocks(len(columns), places.shape[1]))


def mean_over_lists(metric: Callable[..., float], k: int, lists: Iterator[Lists]) -> float:
    """Return the mean of a metric over the queries of all blocks."""
    values, sizes = [], []
    for relevance, scores in lists:
        values.append(metric(relevance, scores, k=k))
        sizes.append(len(relevance))
    return float(np.average(values, weights=sizes))


def _spread(scores: Scores, rows: NDArray[np.bool_]) -> Scores:
    """Put the scores at these rows, and -inf in the others."""
    if rows.all():
        return scores
    spread = np.full((len(rows), scores.shape[1]), -np.inf, scores.dtype)
    spread[rows] = scores
    return spread


def _with_missed(relevance: NDArray[np.bool_], scores: Scores, n_unknown: Codes) -> Lists:
    """Add a column for each held-out item outside the catalogue: a positive never found."""
    if not n_unknown.any():
        return relevance, scores
    missed = _leading(n_unknown)
    lost = np.full(missed.shape, -np.inf, scores.dtype)
    return np.hstack([relevance, missed]), np.hstack([scores, lost])


def _leading(counts: Codes) -> NDArray[np.bool_]:
    """Return rows that start with as many True as their count, shape (n, max count)."""
    widest = int(counts.max()) if len(counts) else 0
    return np.arange(widest) < counts[:, None]


def _sample_distinct(unseen: UnseenItems, keys: NDArray[np.uint64], n: int) -> Codes:
    """Draw n different unseen items for each user, shape (n_users, n); -1 where none is left.

    Robert Floyd's algorithm (Bentley 1987, Programming Pearls, doi 10.1145/30401.315746), for all
    users at once. A draw depends on the user's key and on what the user has not seen, nothing else.
    """
    chosen = np.full((len(keys), n), -1, dtype=np.int64)
    for j in range(n):
        last = unseen.n_tickets - n + j
        bound = np.maximum(last, 0).astype(np.uint64) + np.uint64(1)
        draw = (hash_mix(keys, j) % bound).astype(np.int64)
        taken = (chosen == draw[:, None]).any(axis=1)
        chosen[:, j] = np.where(last < 0, -1, np.where(taken, last, draw))
    items = unseen.at(np.arange(len(keys))[:, None], np.maximum(chosen, 0))
    return np.where(chosen < 0, -1, items)
