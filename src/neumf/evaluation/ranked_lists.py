"""Rank held-out items among candidates: relevance and scores, in blocks of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.evaluation.held_out import Queries, RankingProblem, order_of_ids
from neumf.interactions.seen import bar_seen, seen_rows, stored_positions
from neumf.interactions.unseen import UnseenItems
from neumf.protocols import Ranker
from neumf.ranking.rankers import ranker_at, rerank
from neumf.ranking.top_k import blocks
from neumf.utils.arrays import Indices, Scores
from neumf.utils.random import hash_mix
from neumf.utils.threads import map_threads

Lists = tuple[NDArray[np.bool_], Scores]


def ranked_lists(
    problem: RankingProblem, queries: Queries, n_negatives: int | None
) -> Iterator[Lists]:
    """Yield relevance and scores of all candidates, or of `n_negatives` sampled ones."""
    recommender, barred = problem.recommender, problem.barred
    if queries.seconds is None:
        ranker = recommender.ranker_
    else:
        ranker = ranker_at(recommender, queries.users, queries.seconds)
        queries, barred = as_queries(queries, barred)
    if n_negatives is None:
        return exact_lists(ranker, queries, barred, problem.n_scored)
    return sampled_lists(ranker, queries, barred, n_negatives, order_of_ids(recommender.items_))


def as_queries(queries: Queries, barred: sp.csr_array) -> tuple[Queries, sp.csr_array]:
    """Return queries and barred items by index of the query instead of the user."""
    users = queries.users
    indices = np.where(users < 0, -1, np.arange(len(users)))
    return replace(queries, users=indices), seen_rows(barred, users)


def exact_lists(
    ranker: Ranker, queries: Queries, barred: sp.csr_array, n_scored: int | None = None
) -> Iterator[Lists]:
    """Yield relevance and scores of the whole catalogue.

    Barred items have the score -inf, unless they are positives. `n_scored` is the number of scores
    per user that the ranker computes, if it is larger than the number that it returns.
    """
    n_columns = barred.shape[1] if n_scored is None else n_scored

    def score_block(block: slice) -> Lists:
        users = queries.users[block]
        positives = queries.positives[block]
        scores = _spread(ranker.score_items(users[users >= 0]), users >= 0)
        found = stored_positions(positives)
        own = scores[found]
        bar_seen(scores, barred, users)
        scores[found] = own
        scores = rerank(ranker, scores, np.arange(scores.shape[1]), queries.k)
        return _with_missed(positives.toarray(), scores, queries.n_unknown[block])

    return map_threads(score_block, blocks(len(queries.users), n_columns))


def sampled_lists(
    ranker: Ranker, queries: Queries, barred: sp.csr_array, n_negatives: int, order: Indices
) -> Iterator[Lists]:
    """Yield relevance and scores of held-out items and of sampled items.

    Sampled items are distinct and not barred. They are drawn by their position in `order`: if it
    sorts ids, draws do not depend on the order of rows in `fit`.
    """
    positives = queries.positives
    barred = (seen_rows(barred, queries.users) + positives).astype(bool)[:, order]
    barred.sort_indices()
    negatives = _sample_distinct(UnseenItems(barred), queries.keys, n_negatives)
    negatives = np.where(negatives < 0, -1, order[negatives])
    relevance = _leading(np.diff(positives.indptr))
    columns = np.full(relevance.shape, -1)
    columns[relevance] = positives.indices
    columns = np.hstack([columns, negatives])
    relevance = np.pad(relevance, ((0, 0), (0, n_negatives)))

    def score_block(block: slice) -> Lists:
        users, items = queries.users[block], columns[block]
        known = users >= 0
        scores = _spread(ranker.score_candidates(users[known], np.maximum(items[known], 0)), known)
        scores[items < 0] = -np.inf
        scores = rerank(ranker, scores, items, queries.k)
        return _with_missed(relevance[block], scores, queries.n_unknown[block])

    return map_threads(score_block, blocks(len(columns), relevance.shape[1]))


def mean_over_lists(metric: Callable[..., float], k: int, lists: Iterator[Lists]) -> float:
    """Return the mean of a metric over the queries of all blocks."""
    values, sizes = [], []
    for relevance, scores in lists:
        values.append(metric(relevance, scores, k=k))
        sizes.append(len(relevance))
    return float(np.average(values, weights=sizes))


def _spread(scores: Scores, rows: NDArray[np.bool_]) -> Scores:
    """Return scores for all rows: -inf where `rows` is False."""
    if rows.all():
        return scores
    spread = np.full((len(rows), scores.shape[1]), -np.inf, scores.dtype)
    spread[rows] = scores
    return spread


def _with_missed(relevance: NDArray[np.bool_], scores: Scores, n_unknown: Indices) -> Lists:
    """Add a column of -inf for each held-out item outside the catalogue: a miss."""
    if not n_unknown.any():
        return relevance, scores
    missed = _leading(n_unknown)
    lost = np.full(missed.shape, -np.inf, scores.dtype)
    return np.hstack([relevance, missed]), np.hstack([scores, lost])


def _leading(counts: Indices) -> NDArray[np.bool_]:
    """Return a mask in which row i starts with counts[i] True, shape (n, max count)."""
    widest = int(counts.max()) if len(counts) else 0
    return np.arange(widest) < counts[:, None]


def _sample_distinct(unseen: UnseenItems, keys: NDArray[np.uint64], n: int) -> Indices:
    """Draw n different unseen items for each user, shape (n_users, n); -1 where none is left.

    Robert Floyd's algorithm (Bentley 1987, Programming Pearls, doi 10.1145/30401.315746), for all
    users at once. A draw depends on the user's key and unseen items only.
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
