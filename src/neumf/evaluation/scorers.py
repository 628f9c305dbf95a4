"""Scorers for ``scoring=``: hold a fitted recommender to the rows that were held out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from neumf import metrics
from neumf.evaluation.held_out import read_held_out
from neumf.evaluation.ranked_lists import mean_over_lists, ranked_lists
from neumf.evaluation.task import RankingTask
from neumf.utils.validation import check_int

__all__ = ["hr_scorer", "make_ranking_scorer", "ndcg_scorer"]

Metric = Callable[..., float]


def make_ranking_scorer(
    metric: Metric,
    k: int = 10,
    n_negatives: int | None = None,
    random_state: int = 0,
    *,
    exclude_seen: bool = True,
    interactions: Any = None,
    at: Literal["row"] | None = None,
    candidates: Any = None,
) -> RankingScorer:
    """Make a scorer that ranks held-out items.

    .. versionadded:: 0.1

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
        otherwise than the exact ones (Krichene and Rendle 2020). A user with fewer unseen items
        has all of them as negatives; a warning counts these users and says which number all
        users have.
    random_state : int, default=0
        Seed of the drawn items.
    exclude_seen : bool, default=True
        False is for tables in which users come back to items, as to the goods of a shop: what a
        user has seen is a candidate like any other item, and may be drawn among the `n_negatives`.
    interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
        What users did after `fit` and before X, a table like X. A new user who is in it is known
        and gets a list of their own, without training (fold-in, see `recommend` of the
        recommenders); without it they are misses. For users whom `fit` saw the rows are appended to
        what they did before. The rows count as seen. Behind a pipeline they pass through its steps
        as X does, which must not be encoders that give all new users one id.
    at : "row" or None, default=None
        The request time. None is just after the last row of `fit`. "row" is the timestamp of the
        user's held-out row, the first of several. That is another protocol, whose figures should
        stand beside those without, as :func:`evaluate` puts them. It makes a difference to
        recommenders whose scores depend on time, see :class:`neumf.protocols.TimedRecommender`.
    candidates : "cold", array-like of ids or None, default=None
        The items that are ranked, those apart that a user has seen. None ranks the whole catalogue;
        "cold" the part of it that had no interaction in `fit`, of which the recommender knows the
        features alone. Ids are those that reach the recommender: behind an encoder, its numbers.
        Those that are not in the catalogue are ignored. A row of X whose item is in the catalogue
        and no candidate raises, since it cannot be found; one whose item is unknown is a miss.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None) -> float``, for ``scoring=`` of
        :class:`~sklearn.model_selection.GridSearchCV` and the like.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range.

    See Also
    --------
    ColdItemSplitter : Holds out items, to be ranked with ``candidates="cold"``.

    Notes
    -----
    - A query is a user with all of their rows in X (one row, with leave-last-out); rows that `y`
      labels 0 are no positives. The value is the mean over queries.
    - Candidates are the catalogue that the estimator was fitted on (or the part of it that
      `candidates` names), without the items that the user has seen in `fit` (unless
      ``exclude_seen=False``). Drawn are those of them that are not
      held out for the user.
    - An unknown user or item, one that neither `fit` saw nor, of users, `interactions` tell of, is
      a miss. Misses are counted in a warning and never dropped. Each row of an unknown user is a
      query of its own: behind an encoder unknown users cannot be told apart, and the value is the
      same with and without one.
    - A held-out item that the user had seen already (a repeated interaction, or a training row)
      stays a candidate, with a warning unless ``exclude_seen=False``: on training rows the value
      is no estimate of anything.
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

    Users who come back to items:

    >>> scorer = make_ranking_scorer(metrics.hit_rate_at_k, k=1, exclude_seen=False)
    >>> scorer(PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2]]), [["a", 1]])
    1.0
    """
    return RankingScorer(
        metric,
        k,
        RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates),
    )


def hr_scorer(
    k: int = 10,
    n_negatives: int | None = None,
    random_state: int = 0,
    *,
    exclude_seen: bool = True,
    interactions: Any = None,
    at: Literal["row"] | None = None,
    candidates: Any = None,
) -> RankingScorer:
    """Make a scorer of the hit rate: the share of users with a held-out item in the top k.

    .. versionadded:: 0.1

    Parameters
    ----------
    k : int, default=10
        Length of the list.
    n_negatives, random_state, exclude_seen, interactions, at, candidates
        See :func:`make_ranking_scorer`.

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
    return RankingScorer(
        metrics.hit_rate_at_k,
        k,
        RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates),
    )


def ndcg_scorer(
    k: int = 10,
    n_negatives: int | None = None,
    random_state: int = 0,
    *,
    exclude_seen: bool = True,
    interactions: Any = None,
    at: Literal["row"] | None = None,
    candidates: Any = None,
) -> RankingScorer:
    """Make a scorer of the normalised discounted cumulative gain.

    .. versionadded:: 0.1

    Parameters
    ----------
    k : int, default=10
        Length of the list.
    n_negatives, random_state, exclude_seen, interactions, at, candidates
        See :func:`make_ranking_scorer`.

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
    return RankingScorer(
        metrics.ndcg_at_k,
        k,
        RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates),
    )


class RankingScorer:
    """A scorer as :func:`make_ranking_scorer` makes it."""

    def __init__(self, metric: Metric, k: int, task: RankingTask) -> None:
        _check_metric(metric)
        check_int("k", k, 1)
        self.metric = metric
        self.k = k
        self.task = task

    def __repr__(self) -> str:
        name = getattr(self.metric, "__name__", repr(self.metric))
        return f"make_ranking_scorer({name}, k={self.k}, {self.task})"

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
        matched = read_held_out(estimator, X, y, self.task)
        lists = ranked_lists(matched, matched.rows.gather(), self.task.n_negatives)
        return mean_over_lists(self.metric, self.k, lists)


def _check_metric(metric: Any) -> None:
    if not callable(metric):
        raise TypeError(
            "metric must be callable as metric(y_true, y_score, k=k), such as "
            f"neumf.metrics.ndcg_at_k. Received: {metric!r}."
        )
