"""Compute ranking metrics per query, averaged over all orders of ties.

Arrays have one row per query. `neumf.metrics` defines the metrics.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neumf.utils.arrays import Float64s


class TopLists(NamedTuple):
    """The top positions of each query, arrays of shape (n_queries, min(k, n_candidates)).

    Candidates with equal scores share a group of positions.
    """

    k: int
    offset: NDArray[np.intp]  # number of the position in its group, from 0
    size: Float64s  # number of candidates in the group
    positives: Float64s  # number of positives in the group
    gain: Float64s  # mean gain of the group
    above: Float64s  # number of positives in the groups before
    best_gain: NDArray[Any]  # gains in the best order
    n_positives: NDArray[np.intp]  # positives of the query, also outside the list: (n_queries,)

    def cut(self, k: int) -> TopLists:
        """Return the first k positions."""
        parts: dict[str, Any] = {name: getattr(self, name)[:, :k] for name in self._fields[1:-1]}
        return self._replace(k=k, **parts)


def describe_tops(relevance: NDArray[Any], scores: NDArray[Any], k: int) -> TopLists:
    """Describe the top min(k, n_candidates) positions of each query."""
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    n_queries, n = scores.shape
    k_listed = min(k, n)
    # `partition` is several times as fast as `argpartition`.
    top = np.sort(np.partition(scores, n - k_listed, axis=1)[:, n - k_listed :], axis=1)[:, ::-1]
    start, end = _group_bounds(top)
    # The last group may extend beyond the list.
    in_last = top == top[:, -1:]
    size = np.where(in_last, np.count_nonzero(scores == top[:, -1:], axis=1)[:, None], end - start)

    # `divmod` and `flatnonzero` are faster than `nonzero`.
    queries, columns = np.divmod(np.flatnonzero(relevance), n)
    own = scores[queries, columns][:, None]
    shared = (top[queries] == own) & (own > -np.inf)
    positives, gain, above = np.zeros((3, n_queries, k_listed))
    np.add.at(positives, queries, shared)
    np.add.at(gain, queries, shared * relevance[queries, columns][:, None].astype(np.float64))
    np.add.at(above, queries, top[queries] < own)
    return TopLists(
        k,
        np.arange(k_listed) - start,
        size.astype(np.float64),
        positives,
        gain / size,
        above,
        _best_gains(relevance, k),
        np.bincount(queries, minlength=n_queries),
    )


def hit_rates(lists: TopLists) -> Float64s:
    """Return the probability that the list of each query holds a positive."""
    hits: Float64s = 1 - np.prod(1 - _first_hit_chance(lists), axis=1)
    return hits


def ndcgs(lists: TopLists) -> Float64s:
    """Return the normalised discounted cumulative gain of each query."""
    discounts = 1 / np.log2(np.arange(2, lists.gain.shape[1] + 2))
    return _ratio(lists.gain @ discounts, lists.best_gain @ discounts)


def recalls(lists: TopLists) -> Float64s:
    """Return the share of each query's positives that are in its list."""
    return _ratio(_expected_positives(lists), lists.n_positives)


def precisions(lists: TopLists) -> Float64s:
    """Return the share of positives among the k positions of each query's list."""
    return _expected_positives(lists) / lists.k


def average_precisions(lists: TopLists) -> Float64s:
    """Return the average precision of each query."""
    # If a position holds a positive, earlier positions of its group do with this probability.
    others = (lists.positives - 1) / np.maximum(lists.size - 1, 1)
    found = lists.above + 1 + lists.offset * others
    rank = np.arange(1, found.shape[1] + 1)
    precision = np.sum(lists.positives / lists.size * found / rank, axis=1)
    return _ratio(precision, np.minimum(lists.n_positives, lists.k))


def reciprocal_ranks(lists: TopLists) -> Float64s:
    """Return the reciprocal rank of each query's first positive."""
    chance = _first_hit_chance(lists)
    missed_before = np.cumprod(np.insert(1 - chance[:, :-1], 0, 1, axis=1), axis=1)
    rank = np.arange(1, chance.shape[1] + 1)
    values: Float64s = np.sum(chance * missed_before / rank, axis=1)
    return values


def aucs(relevance: NDArray[Any], scores: NDArray[Any]) -> Float64s:
    """Return the share of pairs with the positive before the negative; ties count half."""
    listed = scores > -np.inf
    n_negatives = np.sum(listed & (relevance == 0), axis=1)
    queries, columns = np.nonzero(relevance)
    values = np.zeros(len(scores))
    # A positive outside the list is before no negative.
    for query, score in zip(queries, scores[queries, columns], strict=True):
        if score > -np.inf:
            others = scores[query][listed[query] & (relevance[query] == 0)]
            values[query] += np.sum(others < score) + np.sum(others == score) / 2
    return _ratio(values, n_negatives * np.count_nonzero(relevance, axis=1))


def _group_bounds(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the start and end of the run of equal values at each position of sorted rows."""
    n = values.shape[1]
    changes = values[:, 1:] != values[:, :-1]
    edge = np.ones((len(values), 1), dtype=bool)
    first = np.hstack([edge, changes])
    final = np.hstack([changes, edge])
    start = np.maximum.accumulate(np.where(first, np.arange(n), 0), axis=1)
    end = np.where(final, np.arange(1, n + 1), n)
    return start, np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]


def _first_hit_chance(lists: TopLists) -> Float64s:
    """Return the probability of a positive at each position if its group has none before it."""
    # The value may exceed 1 only after a position with probability 1, where it has no effect.
    return lists.positives / np.maximum(lists.size - lists.offset, 1)


def _expected_positives(lists: TopLists) -> Float64s:
    expected: Float64s = np.sum(lists.positives / lists.size, axis=1)
    return expected


def _best_gains(relevance: NDArray[Any], k: int) -> NDArray[Any]:
    """Return the highest gains of each query, best first, shape (n_queries, at most k)."""
    k = min(k, relevance.shape[1])
    best: NDArray[Any]
    if relevance.dtype == bool:  # needs no sort of all candidates
        best = np.arange(k) < np.count_nonzero(relevance, axis=1)[:, None]
    else:
        best = np.sort(np.partition(relevance, -k, axis=1)[:, -k:], axis=1)[:, ::-1]
    return best


def _ratio(values: Float64s, best: NDArray[Any]) -> Float64s:
    """Return value / best, or 0 for queries without anything to find."""
    ratio: Float64s = np.divide(values, best, out=np.zeros_like(values), where=best > 0)
    return ratio
