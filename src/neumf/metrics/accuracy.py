"""Compute the accuracy of rankings from arrays of labels and scores.

All functions take one row per query (for example, a user) and one column per candidate, as
:func:`sklearn.metrics.ndcg_score` does. They return the mean over queries.

Conventions, the same for every metric:

- *Ties*: the value is the expectation under a random order of equal scores.
- *Padding*: a candidate with score ``-inf`` is not in the list, so a list may be shorter than `k`.
  A positive with score ``-inf`` is never found.
- *Queries without positives* count as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neumf.metrics import tie_averaged
from neumf.metrics.tie_averaged import TopLists
from neumf.utils.validation import check_int


def hit_rate_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute the share of queries with at least one positive among the top `k`.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Relevance of each candidate. Values above 0 are positives.
    y_score : array-like of shape (n_queries, n_candidates)
        Score of each candidate; higher is better, and ``-inf`` is padding.
    k : int, default=10
        Length of the list.

    Returns
    -------
    hit_rate : float
        Between 0 and 1.

    Notes
    -----
    If all `n` candidates have equal scores and one of them is positive, the hit rate is ``k / n``.

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
    return float(np.mean(tie_averaged.hit_rates(_read_lists(y_true, y_score, k))))


def ndcg_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    r"""Compute the normalised discounted cumulative gain of the top `k`.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true : array-like of shape (n_queries, n_candidates)
        Gain of each candidate, at least 0. Without grades, a positive has the gain 1.
    y_score, k
        See :func:`hit_rate_at_k`.

    Returns
    -------
    ndcg : float
        Between 0 and 1.

    Notes
    -----
    .. math:: \mathrm{NDCG@k} = \frac{1}{\mathrm{IDCG@k}} \sum_{r=1}^{k} \frac{y_r}{\log_2(1 + r)}

    Here :math:`y_r` is the gain at rank r (the mean gain of candidates with the same score), and
    IDCG is the same sum for the best order. With one positive at rank r, NDCG is
    ``1 / log2(1 + r)``, and 0 beyond `k`. The result equals :func:`sklearn.metrics.ndcg_score`,
    also for ties.

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
    return float(np.mean(tie_averaged.ndcgs(_read_lists(y_true, y_score, k))))


def recall_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute the share of a query's positives that are among the top `k`.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true, y_score, k
        See :func:`hit_rate_at_k`.

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
    return float(np.mean(tie_averaged.recalls(_read_lists(y_true, y_score, k))))


def precision_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute the number of positives among the top `k`, divided by `k`.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true, y_score, k
        See :func:`hit_rate_at_k`. `k` is the divisor even if the list is shorter.

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
    return float(np.mean(tie_averaged.precisions(_read_lists(y_true, y_score, k))))


def average_precision_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute MAP@k: the average precision of the top `k`, as a mean over queries.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true, y_score, k
        See :func:`hit_rate_at_k`.

    Returns
    -------
    average_precision : float
        Between 0 and 1.

    Notes
    -----
    Average precision sums the precision at the rank of each positive in the list. It divides the
    sum by the number of positives or by `k`, whichever is smaller, so that the best list has the
    value 1. McSherry and Najork (2008) give the expectation over ties, see :func:`ndcg_at_k`.

    Examples
    --------
    >>> from neumf.metrics import average_precision_at_k
    >>> average_precision_at_k([[1, 1, 0, 0]], [[0.4, 0.1, 0.3, 0.2]], k=4) == (1 / 1 + 2 / 4) / 2
    True
    """
    return float(np.mean(tie_averaged.average_precisions(_read_lists(y_true, y_score, k))))


def reciprocal_rank_at_k(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute MRR@k: the mean reciprocal rank of the first positive, 0 beyond `k`.

    .. versionadded:: 0.1

    Parameters
    ----------
    y_true, y_score, k
        See :func:`hit_rate_at_k`.

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
    return float(np.mean(tie_averaged.reciprocal_ranks(_read_lists(y_true, y_score, k))))


def auc(y_true: ArrayLike, y_score: ArrayLike, k: int = 10) -> float:
    """Compute the area under the ROC curve (AUC), as a mean over queries.

    .. versionadded:: 0.1

    AUC is the share of pairs of a positive and a negative in which the positive has the higher
    score.

    Parameters
    ----------
    y_true, y_score
        See :func:`hit_rate_at_k`.
    k : int, default=10
        Ignored, because the whole list counts. `make_ranking_scorer` needs this parameter.

    Returns
    -------
    auc : float
        Between 0 and 1; 0.5 for random or constant scores. Queries without positives or without
        negatives count as 0.

    Notes
    -----
    AUC is the only metric here that has the same expected value among sampled negatives as among
    all items, see :func:`neumf.evaluate`.

    Examples
    --------
    >>> from neumf.metrics import auc
    >>> auc([[0, 1, 0, 0]], [[0.4, 0.3, 0.2, 0.1]]) == 2 / 3
    True
    """
    check_int("k", k, 1)
    relevance, scores = _check_arrays(y_true, y_score)
    return float(np.mean(tie_averaged.aucs(relevance, scores)))


def _read_lists(y_true: ArrayLike, y_score: ArrayLike, k: int) -> TopLists:
    check_int("k", k, 1)
    relevance, scores = _check_arrays(y_true, y_score)
    return tie_averaged.describe_tops(relevance, scores, k)


def _check_arrays(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    relevance, scores = np.asarray(y_true), np.asarray(y_score)
    if scores.ndim != 2 or relevance.shape != scores.shape or 0 in scores.shape:
        raise ValueError(
            "y_true and y_score must have the same shape (n_queries, n_candidates) without a 0. "
            f"Received shapes {relevance.shape} and {scores.shape}. For a single query, pass "
            "[y_true] and [y_score]."
        )
    if relevance.dtype != bool and (
        relevance.dtype.kind not in "iuf" or not np.all(np.isfinite(relevance) & (relevance >= 0))
    ):
        raise ValueError(
            "y_true must hold finite numbers >= 0 (1 for a positive, 0 for the rest). Received "
            f"dtype {relevance.dtype} with other values. Binarise or shift the labels."
        )
    if scores.dtype.kind not in "biuf" or np.isnan(scores).any():
        raise ValueError(
            f"y_score must hold numbers other than NaN. Received dtype {scores.dtype} with other "
            "values. Set the scores of candidates that cannot be scored to -inf."
        )
    return relevance, scores
