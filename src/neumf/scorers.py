"""Scorers for ``scoring=``: hold a fitted recommender to the rows that were held out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from . import metrics
from ._interactions import Codes, Ids, Interactions, index_ids, lookup_ids, read_interactions
from ._random import hash_mix
from ._ranking import HeldOut, exact_lists, mean_over_lists, sampled_lists, seen_rows
from ._validation import check_int, check_labels

__all__ = ["hr_scorer", "make_ranking_scorer", "ndcg_scorer"]

Metric = Callable[..., float]


def make_ranking_scorer(
    metric: Metric, k: int = 10, n_negatives: int | None = None, random_state: int = 0
) -> RankingScorer:
    """Make a scorer that ranks held-out items.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_score, k=k) -> float``, one of :mod:`neumf.metrics` or your own.
    k : int, default=10
        Length of the list.
    n_negatives : int or None, default=None
        None ranks the held-out items among the whole catalogue (exact). A number ranks them among
        so many items, drawn from those the user never saw; 99 is the protocol of the NeuMF paper.
        Sampled metrics are for comparison with the literature: they can order two models
        otherwise than the exact ones (Krichene and Rendle 2020).
    random_state : int, default=0
        Seed of the drawn items.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None) -> float``, for ``scoring=`` of
        :class:`~sklearn.model_selection.GridSearchCV` and the like.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range.

    Notes
    -----
    - A query is a user with all of their rows in X (one row, with leave-last-out); rows that `y`
      labels 0 are no positives. The value is the mean over users.
    - Candidates are the catalogue that the estimator was fitted on, without the items that the
      user has seen in `fit` and without the user's other held-out items.
    - A user or an item that `fit` did not see is a miss. Misses are counted in a warning and never
      dropped. After the steps of a pipeline unknown users cannot be told apart: there each of
      their rows counts as a user.
    - A held-out item that the user had seen already (a repeated interaction, or a training row)
      stays a candidate, with a warning: on training rows the value is no estimate of anything.
    - Negatives are distinct and depend on (`random_state`, user, item) and on what can be drawn,
      nothing else: they are the same for every candidate of a search, any ``n_jobs`` and any order
      of rows. The ids that count are those that reach the recommender, so behind an encoder other
      negatives are drawn than without one.

    References
    ----------
    Krichene, Rendle (2020), On sampled metrics for item recommendation, KDD,
    doi 10.1145/3394486.3403226.

    Examples
    --------
    >>> from neumf import PopularityRecommender, make_ranking_scorer, metrics
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> scorer = make_ranking_scorer(metrics.reciprocal_rank_at_k, k=2)
    >>> scorer(PopularityRecommender().fit(X), [["c", 1], ["b", 2]])
    1.0
    """
    return RankingScorer(metric, k, n_negatives, random_state)


def hr_scorer(k: int = 10, n_negatives: int | None = None, random_state: int = 0) -> RankingScorer:
    """Make a scorer of the hit rate: the share of users with a held-out item in the top k.

    Parameters
    ----------
    k : int, default=10
        Length of the list.
    n_negatives : int or None, default=None
        See :func:`make_ranking_scorer`.
    random_state : int, default=0
        Seed of the drawn items.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None) -> float``.

    Examples
    --------
    >>> from neumf import PopularityRecommender, hr_scorer
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> hr_scorer(k=1)(PopularityRecommender().fit(X), [["c", 3], ["b", 2]])
    0.5
    """
    return make_ranking_scorer(metrics.hit_rate_at_k, k, n_negatives, random_state)


def ndcg_scorer(
    k: int = 10, n_negatives: int | None = None, random_state: int = 0
) -> RankingScorer:
    """Make a scorer of the normalised discounted cumulative gain.

    Parameters
    ----------
    k : int, default=10
        Length of the list.
    n_negatives : int or None, default=None
        See :func:`make_ranking_scorer`.
    random_state : int, default=0
        Seed of the drawn items.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None) -> float``.

    Examples
    --------
    >>> from neumf import PopularityRecommender, ndcg_scorer
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> ndcg_scorer(k=1)(PopularityRecommender().fit(X), [["c", 3], ["b", 2]])
    0.5
    """
    return make_ranking_scorer(metrics.ndcg_at_k, k, n_negatives, random_state)


class RankingScorer:
    """A scorer as :func:`make_ranking_scorer` makes it."""

    def __init__(self, metric: Metric, k: int, n_negatives: int | None, random_state: int) -> None:
        _check_metric(metric)
        check_int("k", k, 1)
        if n_negatives is not None:
            check_int("n_negatives", n_negatives, 1)
        # An int, so that every candidate of a search meets the same negatives.
        check_int("random_state", random_state, 0)
        self.metric = metric
        self.k = k
        self.n_negatives = n_negatives
        self.random_state = random_state

    def __repr__(self) -> str:
        name = getattr(self.metric, "__name__", repr(self.metric))
        return (
            f"make_ranking_scorer({name}, k={self.k}, n_negatives={self.n_negatives}, "
            f"random_state={self.random_state})"
        )

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted recommender, or a pipeline or search that ends in one.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        X : array-like of shape (n_samples, n_features >= 2)
            Held-out interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels; rows above 0 are positives. None takes all rows.

        Returns
        -------
        score : float
            The mean of the metric over users.
        """
        recommender, encoded = _unwrap(estimator, X)
        rows = _positive_rows(read_interactions(encoded, with_timestamps=False), y)
        held_out = self._read(recommender, rows, piped=encoded is not X)
        ranker, seen = recommender._ranker, recommender.seen_
        lists = (
            exact_lists(ranker, held_out, seen)
            if self.n_negatives is None
            else sampled_lists(
                ranker, held_out, seen, self.n_negatives, np.argsort(_hash_ids(recommender.items_))
            )
        )
        return mean_over_lists(self.metric, self.k, lists)

    def _read(self, recommender: Any, rows: Interactions, *, piped: bool) -> HeldOut:
        """Gather the held-out rows to one query per user; warn of those that cannot be found."""
        queries, ids = index_ids(rows.users)
        users = lookup_ids(ids.to_numpy(), recommender.users_, "X: user ids")
        if piped:
            queries, users = _part_unknown(users[queries])
        items = lookup_ids(rows.items, recommender.items_, "X: item ids")
        keys = _row_keys(rows, self.random_state)
        held_out = HeldOut.from_rows(queries, users, items, len(recommender.items_), keys)
        _warn_of_unknown(users[queries], items)
        _warn_of_seen(held_out, recommender)
        return held_out


def _check_metric(metric: Any) -> None:
    if not callable(metric):
        raise TypeError(
            "metric must be callable as metric(y_true, y_score, k=k), such as "
            f"neumf.metrics.ndcg_at_k. Received: {metric!r}."
        )


def _unwrap(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the recommender inside, and X as it reaches it."""
    if hasattr(estimator, "estimator") and hasattr(estimator, "refit"):  # a search
        check_is_fitted(estimator, "best_estimator_")
        return _unwrap(estimator.best_estimator_, X)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator[-1])
        return _unwrap(estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X)
    if not hasattr(type(estimator), "_ranker"):
        raise TypeError(
            "estimator must be a recommender of neumf, or a Pipeline or search that ends in one. "
            f"Received: {estimator!r}."
        )
    check_is_fitted(estimator)
    return estimator, X


def _positive_rows(rows: Interactions, y: Any) -> Interactions:
    if y is None:
        return rows
    positive = check_labels(y, len(rows)) > 0
    if not positive.any():
        raise ValueError(
            f"y must label at least one row above 0: only those are held-out positives. Received "
            f"{len(rows)} labels, all 0. Hold out rows before negatives are added to a table."
        )
    return rows.take(positive)


def _part_unknown(users: Codes) -> tuple[Codes, Codes]:
    """Return the query of each row and the user of each query; unknown rows have one each.

    An encoder gives all unknown users one code: as a single query they would weigh too little.
    """
    queries, labels = pd.factorize(np.where(users < 0, -1 - np.arange(len(users)), users))
    return queries, np.maximum(labels, -1)


def _row_keys(rows: Interactions, seed: int) -> NDArray[np.uint64]:
    """Hash (seed, user, item) of each row; 1, 1.0 and "1" are the same id."""
    return hash_mix(_hash_ids(rows.users) ^ hash_mix(_hash_ids(rows.items), seed), 0)


def _hash_ids(ids: Ids | pd.Index) -> NDArray[np.uint64]:
    labels = [
        str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
        for label in ids.tolist()
    ]
    return pd.util.hash_array(np.array(labels, dtype=object))


def _warn_of_unknown(users: Codes, items: Codes) -> None:
    missed = (users < 0) | (items < 0)
    if missed.any():
        warnings.warn(
            f"{int(missed.sum())} of {len(missed)} held-out rows name a user or an item that fit "
            f"did not see ({int((users < 0).sum())} users, {int((items < 0).sum())} items); they "
            "count as misses.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_seen(held_out: HeldOut, recommender: Any) -> None:
    repeated = held_out.positives.multiply(seen_rows(recommender.seen_, held_out.users)).nnz
    if repeated:
        warnings.warn(
            f"{repeated} of {held_out.positives.nnz} held-out (user, item) pairs were among the "
            "rows given to fit. If these are training rows, the score says nothing about new ones.",
            UserWarning,
            stacklevel=4,
        )
