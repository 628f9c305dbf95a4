"""Ranking metrics: arrays in, a float out.

All functions take one row per query (a user, say) and one column per candidate, as
:func:`sklearn.metrics.ndcg_score` does, and return the mean over queries.

Conventions, the same for every metric:

- *Ties* are averaged over: the value is the expectation under a random order of equal scores.
- *Padding*: a candidate with score ``-inf`` is not in the list. Rows of different length are padded
  with it. A positive with score ``-inf`` is a miss: it counts as a positive, and is never found.
- *Queries without positives* count as 0.
- *Short lists*: a row with fewer than `k` candidates has a shorter list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import check_int

__all__ = [
    "average_precision_at_k",
    "hit_rate_at_k",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
    "reciprocal_rank_at_k",
]

Floats = NDArray[np.float64]


class _Lists(NamedTuple):
    """The top positions of each query, arrays of shape (n_queries, n_positions).

    A position belongs to a group of `size` candidates with equal scores, `positives` of them
    positive with mean gain `gain`; it is the `offset`-th of its group, and `above` positives stand
    in the groups before.
    """

    offset: NDArray[np.intp]
    size: Floats
    positives: Floats
    gain: Floats
    above: Floats


def hit_rate_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Hit rate: the share of queries with at least one positive among the top `k`.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance; above 0 is a positive.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    hit_rate : float
        Between 0 and 1.

    Notes
    -----
    Equal scores share the probability: of `n` candidates with one score, one of them positive,
    the hit rate is ``k / n``.

    References
    ----------
    Deshpande, Karypis (2004), Item-based top-N recommendation algorithms, ACM TOIS 22(1),
    doi 10.1145/963770.963776.

    Examples
    --------
    >>> from neumf.metrics import hit_rate_at_k
    >>> y_true = [[0, 1, 0], [0, 0, 1]]
    >>> hit_rate_at_k(y_true, [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], k=1)
    0.5
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    missed = np.prod(1 - _first_hit_chance(_top_lists(relevance, scores, k)), axis=1)
    return float(np.mean(1 - missed))


def ndcg_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    r"""Normalised discounted cumulative gain of the top `k`.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Gains, 0 or more; 1 for a positive without grades.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    ndcg : float
        Between 0 and 1.

    Notes
    -----
    .. math:: \mathrm{NDCG@k} = \frac{1}{\mathrm{IDCG@k}} \sum_{r=1}^{k} \frac{y_r}{\log_2(1 + r)}

    where :math:`y_r` is the gain at rank r (the mean gain of those with the same score) and IDCG
    the same sum in the best order. With one positive at rank r it is ``1 / log2(1 + r)``, 0 beyond
    `k`. Equal to :func:`sklearn.metrics.ndcg_score`, ties included.

    References
    ----------
    Järvelin, Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4),
    doi 10.1145/582415.582418.

    McSherry, Najork (2008), Computing information retrieval performance measures efficiently in
    the presence of tied scores, ECIR, doi 10.1007/978-3-540-78646-7_38.

    Examples
    --------
    >>> from neumf.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[0, 0, 1]], [[0.3, 0.1, 0.2]], k=10), 4)  # 1 / log2(1 + 2)
    0.6309
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    lists = _top_lists(relevance, scores, k)
    gain = lists.gain @ _discounts(lists.gain.shape[1])
    ideal = _ideal_gains(relevance, k)
    return _mean_ratio(gain, ideal @ _discounts(ideal.shape[1]))


def recall_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Recall: the share of a query's positives that are among the top `k`.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance; above 0 is a positive.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    recall : float
        Between 0 and 1.

    Examples
    --------
    >>> from neumf.metrics import recall_at_k
    >>> recall_at_k([[1, 1, 0, 0]], [[0.4, 0.1, 0.3, 0.2]], k=2)
    0.5
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    return _mean_ratio(
        _expected_positives(_top_lists(relevance, scores, k)), _count_positives(relevance)
    )


def precision_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Precision: the number of positives among the top `k`, divided by `k`.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance; above 0 is a positive.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list, and the divisor even where the list is shorter.

    Returns
    -------
    precision : float
        Between 0 and 1.

    Examples
    --------
    >>> from neumf.metrics import precision_at_k
    >>> precision_at_k([[1, 1, 0, 0]], [[0.4, 0.1, 0.3, 0.2]], k=2)
    0.5
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    return float(np.mean(_expected_positives(_top_lists(relevance, scores, k))) / k)


def average_precision_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Average precision of the top `k`; its mean over queries is MAP@k.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance; above 0 is a positive.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    average_precision : float
        Between 0 and 1.

    Notes
    -----
    The sum of the precision at the rank of each positive in the list, divided by the number of
    positives or `k`, whichever is smaller, so that the best list has 1.

    References
    ----------
    McSherry, Najork (2008), ECIR, doi 10.1007/978-3-540-78646-7_38, for the expectation over ties.

    Examples
    --------
    >>> from neumf.metrics import average_precision_at_k
    >>> average_precision_at_k([[1, 1, 0, 0]], [[0.4, 0.1, 0.3, 0.2]], k=4) == (1 / 1 + 2 / 4) / 2
    True
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    lists = _top_lists(relevance, scores, k)
    # Given a positive at its position, each earlier one of its group is positive with this chance.
    others = (lists.positives - 1) / np.maximum(lists.size - 1, 1)
    found = lists.above + 1 + lists.offset * others
    rank = np.arange(1, found.shape[1] + 1)
    precision = np.sum(lists.positives / lists.size * found / rank, axis=1)
    return _mean_ratio(precision, np.minimum(_count_positives(relevance), k))


def reciprocal_rank_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Reciprocal rank of the first positive, 0 beyond `k`; its mean over queries is MRR@k.

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance; above 0 is a positive.
    y_score : array-like of shape (n_queries, n_candidates)
        Scores, higher is better; ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    reciprocal_rank : float
        Between 0 and 1.

    Examples
    --------
    >>> from neumf.metrics import reciprocal_rank_at_k
    >>> reciprocal_rank_at_k([[0, 1, 0]], [[0.3, 0.2, 0.1]])
    0.5
    """
    relevance, scores = _check_arrays(y_true, y_score, k)
    chance = _first_hit_chance(_top_lists(relevance, scores, k))
    missed_before = np.cumprod(np.insert(1 - chance[:, :-1], 0, 1, axis=1), axis=1)
    rank = np.arange(1, chance.shape[1] + 1)
    return float(np.mean(np.sum(chance * missed_before / rank, axis=1)))


def _check_arrays(
    y_true: ArrayLike, y_score: ArrayLike, k: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    check_int("k", k, 1)
    relevance, scores = np.asarray(y_true), np.asarray(y_score)
    if scores.ndim != 2 or relevance.shape != scores.shape or 0 in scores.shape:
        raise ValueError(
            "y_true and y_score must have one shape (n_queries, n_candidates), neither 0. Received "
            f"shapes {relevance.shape} and {scores.shape}. For a single query pass [y_true] and "
            "[y_score]."
        )
    if relevance.dtype.kind not in "biuf" or not np.all(np.isfinite(relevance) & (relevance >= 0)):
        raise ValueError(
            "y_true must hold finite numbers >= 0 (1 for a positive, 0 for the rest). Received "
            f"dtype {relevance.dtype} with other values. Binarise or shift the labels."
        )
    if scores.dtype.kind not in "biuf" or np.isnan(scores).any():
        raise ValueError(
            f"y_score must hold numbers, no NaN. Received dtype {scores.dtype} with other values. "
            "Give candidates that cannot be scored -inf."
        )
    return relevance, scores


def _top_lists(relevance: NDArray[Any], scores: NDArray[Any], k: int) -> _Lists:
    """Describe the top min(k, n_candidates) positions of each query."""
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    top = _top_columns(scores, min(k, scores.shape[1]))
    top_scores = np.take_along_axis(scores, top, axis=1)
    top_relevance = np.take_along_axis(relevance, top, axis=1).astype(np.float64)
    start, end = _group_bounds(top_scores)
    size = (end - start).astype(np.float64)
    gain = _sums_between(top_relevance, start, end) / size
    positives = _sums_between(top_relevance > 0, start, end)
    above = _sums_between(top_relevance > 0, np.zeros_like(start), start)

    # The last group may go on beyond the list: count it over all candidates.
    last = top_scores[:, -1:]
    equal = scores == last
    in_last = top_scores == last
    n_equal = equal.sum(axis=1, keepdims=True)
    size = np.where(in_last, n_equal, size)
    total = np.sum(relevance * equal, axis=1, keepdims=True, dtype=np.float64)
    gain = np.where(in_last, total / n_equal, gain)
    positives = np.where(in_last, ((relevance > 0) & equal).sum(axis=1, keepdims=True), positives)

    listed = top_scores > -np.inf
    offset = np.arange(top.shape[1]) - start
    return _Lists(offset, size, positives * listed, gain * listed, above)


def _top_columns(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Return the columns of the k highest scores of each row, best first."""
    top = np.argpartition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k :]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)
    return np.take_along_axis(top, order, axis=1)


def _group_bounds(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return, for each position of sorted rows, where its run of equal values starts and ends."""
    n = values.shape[1]
    changes = values[:, 1:] != values[:, :-1]
    edge = np.ones((len(values), 1), dtype=bool)
    first = np.hstack([edge, changes])
    final = np.hstack([changes, edge])
    start = np.maximum.accumulate(np.where(first, np.arange(n), 0), axis=1)
    end = np.where(final, np.arange(1, n + 1), n)
    return start, np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]


def _sums_between(
    values: NDArray[Any], start: NDArray[np.intp], end: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the sum of ``values[start:end]`` for each position of each row."""
    sums = np.cumsum(np.insert(values.astype(np.float64), 0, 0, axis=1), axis=1)
    return np.take_along_axis(sums, end, axis=1) - np.take_along_axis(sums, start, axis=1)


def _first_hit_chance(lists: _Lists) -> Floats:
    """Return the chance that a position holds a positive if none of its group stands before it."""
    # After a position with chance 1 it may exceed 1, where nothing is left to be found.
    chance: Floats = lists.positives / np.maximum(lists.size - lists.offset, 1)
    return chance


def _expected_positives(lists: _Lists) -> Floats:
    expected: Floats = np.sum(lists.positives / lists.size, axis=1)
    return expected


def _count_positives(relevance: NDArray[Any]) -> NDArray[Any]:
    counts: NDArray[Any] = np.sum(relevance > 0, axis=1)
    return counts


def _ideal_gains(relevance: NDArray[Any], k: int) -> NDArray[Any]:
    """Return the highest gains of each query, best first, shape (n_queries, at most k)."""
    k = min(k, relevance.shape[1])
    if relevance.dtype == bool:  # spares a sort of all candidates
        return np.arange(k) < _count_positives(relevance)[:, None]
    top = np.partition(relevance, relevance.shape[1] - k, axis=1)[:, relevance.shape[1] - k :]
    return np.sort(top, axis=1)[:, ::-1]


def _discounts(k: int) -> Floats:
    return 1 / np.log2(np.arange(2, k + 2))


def _mean_ratio(values: Floats, best: NDArray[Any]) -> float:
    """Return the mean over queries of value / best, 0 where there is no positive."""
    return float(np.mean(np.divide(values, best, out=np.zeros_like(values), where=best > 0)))
