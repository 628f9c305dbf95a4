"""Scorers for ``scoring=``: rank the held-out items with a fitted recommender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, ParamSpec

from neumf import metrics
from neumf.evaluation.held_out import read_problem
from neumf.evaluation.ranked_lists import mean_over_lists, ranked_lists
from neumf.evaluation.task import RankingTask
from neumf.protocols import Recommender
from neumf.utils.validation import check_int, describe

Metric = Callable[..., float]
_Options = ParamSpec("_Options")


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
        that many sampled items that the user has not seen; 99 is the protocol of the NeuMF paper.
        A user with fewer unseen items gets all of them; a warning counts these users.
    random_state : int, default=0
        Seed of the sampled items.
    exclude_seen : bool, default=True
        Leave the user's seen items out of the candidates. Pass False for tables in which users
        return to items, such as purchases.
    interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
        Rows after `fit` and before X, a table like X. Their users are scored by fold-in, without
        training: new users are not misses, and known users have longer histories. The rows count
        as seen. Behind a pipeline they pass through its steps as X does; an encoder that gives all
        new users one id is refused.
    at : "row" or None, default=None
        The request time. None scores as just after the last row of `fit`; "row" scores each user
        at the timestamp of the held-out row, the first of several. It matters to recommenders
        whose scores depend on time, see :class:`neumf.protocols.TimedRecommender`. It is another
        protocol: report its values beside the values without it, as :func:`evaluate` does.
    candidates : "cold", array-like of ids or None, default=None
        The items that are ranked: the whole catalogue (None), only the items without interactions
        in `fit` ("cold"), or only these ids. In a pipeline with an encoder, pass the encoded ids.
        Ids outside the catalogue are ignored. A row of X whose item is in the catalogue, but not a
        candidate, raises an error.

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
    - A query is a user with all of their rows in X, except rows that `y` labels 0. The value is the
      mean over queries.
    - Candidates are the catalogue, or `candidates`, without the items that the user has seen
      (unless ``exclude_seen=False``). Negatives are drawn among the candidates that are not held
      out for the user.
    - A row with an unknown user or item is a miss: it is counted in a warning, never dropped. Each
      row of an unknown user is a query of its own, since an encoder merges unknown users.
    - A held-out item that the user had seen stays a candidate, with a warning unless
      ``exclude_seen=False``.
    - Negatives are distinct and depend only on (`random_state`, user, item) and on the items that
      can be drawn: they are the same for every candidate of a search, any ``n_jobs`` and any order
      of rows. The ids are those that reach the recommender, so an encoder changes the draw.
    - Sampled metrics can order two models differently from exact ones, see :func:`evaluate`.

    Examples
    --------
    >>> from neumf import PopularityRecommender, make_ranking_scorer, metrics
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> scorer = make_ranking_scorer(metrics.reciprocal_rank_at_k, k=2)
    >>> scorer(PopularityRecommender().fit(X), [["c", 1], ["b", 2]])
    1.0

    Users who return to items:

    >>> scorer = make_ranking_scorer(metrics.hit_rate_at_k, k=1, exclude_seen=False)
    >>> scorer(PopularityRecommender().fit([["a", 1], ["b", 1], ["b", 2]]), [["a", 1]])
    1.0
    """
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    return RankingScorer(metric, k, task)


def _scores_too(make: Callable[_Options, RankingScorer]) -> Callable[_Options, RankingScorer]:
    """Let ``scoring=`` accept the function that makes a scorer: score with its defaults."""
    maker: Callable[..., RankingScorer] = make

    @wraps(make)
    def make_or_score(*args: Any, **options: Any) -> Any:
        if args and (hasattr(args[0], "fit") or isinstance(args[0], Recommender)):
            return maker()(*args, **options)
        return maker(*args, **options)

    return make_or_score


@_scores_too
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
    """Make a scorer of the share of users with a held-out item in the top k.

    .. versionadded:: 0.1

    ``scoring=hr_scorer`` works like ``scoring=hr_scorer()``.

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
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    return RankingScorer(metrics.hit_rate_at_k, k, task)


@_scores_too
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

    ``scoring=ndcg_scorer`` works like ``scoring=ndcg_scorer()``.

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
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    return RankingScorer(metrics.ndcg_at_k, k, task)


class RankingScorer:
    """A scorer made by :func:`make_ranking_scorer`."""

    def __init__(self, metric: Metric, k: int, task: RankingTask) -> None:
        if not callable(metric):
            raise TypeError(
                "metric must be callable as metric(y_true, y_score, k=k), such as "
                f"neumf.metrics.ndcg_at_k. Received: {describe(metric)}. For scoring=, pass "
                "make_ranking_scorer(metric), or ndcg_scorer()."
            )
        check_int("k", k, 1)
        self.metric = metric
        self.k = k
        self.task = task

    def __repr__(self) -> str:
        name = getattr(self.metric, "__name__", repr(self.metric))
        return f"make_ranking_scorer({name}, k={self.k}, {self.task})"

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the mean of the metric over users; rows of X that `y` labels 0 do not count."""
        problem = read_problem(estimator, X, y, self.task)
        queries = replace(problem.rows.gather(), k=self.k)
        lists = ranked_lists(problem, queries, self.task.n_negatives)
        return mean_over_lists(self.metric, self.k, lists)
