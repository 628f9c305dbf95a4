"""Measure fitted recommenders, and compare several: metrics with their uncertainty, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from sklearn.base import clone

from neumf.evaluation.measures import Group, Metric, Settings, measure
from neumf.evaluation.task import RankingTask

__all__ = ["compare", "evaluate"]


def evaluate(
    estimator: Any,
    X: Any,
    *,
    metrics: Metric | Sequence[Metric] = ("hr", "ndcg", "mrr", "coverage", "novelty"),
    k: int | Sequence[int] = (5, 10, 20),
    n_negatives: int | None = None,
    by: Any = None,
    random_state: int = 0,
    exclude_seen: bool = True,
    interactions: Any = None,
    at: Literal["row"] | None = None,
    candidates: Any = None,
) -> pd.DataFrame:
    r"""Measure a fitted recommender on held-out rows.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator
        A fitted recommender, or a fitted pipeline or search that ends in one.
    X : array-like of shape (n_samples, n_features >= 2)
        Held-out interactions, of users with one or several of them.
    metrics : sequence of str or callable, default=("hr", "ndcg", "mrr", "coverage", "novelty")
        Of accuracy: "hr", "ndcg", "recall", "precision", "map", "mrr", see :mod:`neumf.metrics`,
        and "auc", for which `k` does not matter. Of the recommended lists: "coverage", "novelty",
        "gini", "overlap", see Notes. And metrics of your own, as :func:`make_ranking_scorer` takes
        them: functions ``metric(y_true, y_score, k=k) -> float``, which are called by their names.
        Each is called once per user, with arrays of one row, so that it has a standard error.
    k : int or sequence of int, default=(5, 10, 20)
        Lengths of the list.
    n_negatives : int or None, default=None
        None ranks the held-out items among the whole catalogue. A number, 99 in the NeuMF paper,
        ranks them also among so many sampled unseen items. A warning counts the users who have
        fewer, see :func:`make_ranking_scorer`.
    by : str, array-like of shape (n_samples,) or None, default=None
        A column of X, or a label per row: measures the rows of each label apart.
    random_state : int, default=0
        Seed of the sampled items.
    exclude_seen : bool, default=True
        Whether what users have seen is no candidate, see :func:`make_ranking_scorer`; the
        recommended lists are without it, too.
    interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
        What users, new ones too, did after `fit` and before X, see :func:`make_ranking_scorer`:
        they are known then, and no misses.
    at : "row" or None, default=None
        "row" ranks also at the request time of each user, the timestamp of their (first) held-out
        row, see :func:`make_ranking_scorer`. X and what the estimator was fitted to must have
        timestamps.
    candidates : "cold", array-like of ids or None, default=None
        What is ranked: only these items, or those without any interaction in `fit`, see
        :func:`make_ranking_scorer`. The recommended lists are made of them, too, and the catalogue
        of their metrics are these items.

    Returns
    -------
    results : DataFrame
        A row per label of `by`, ranking, metric and k, with the columns

        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`: "exact", among the whole catalogue (or all `candidates`), or "sampled", among
          `n_negatives` items; "exact, timed" and "sampled, timed" are rankings at the request time;
        - `metric` and `k` (missing for "auc");
        - `value`: the mean over users;
        - `stderr`: the standard error of that mean over users, which a bootstrap over users
          converges to: their standard deviation divided by the root of their number. NaN for
          "coverage", "gini" and "overlap", which are no means over users;
        - `n_users`: number of users (of a label); of an unknown one each row counts;
        - `n_misses`: held-out rows whose user or item is unknown. They count as misses.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, two metrics have one name, the estimator is no recommender,
        or X cannot be read.

    See Also
    --------
    compare : The same for several recommenders, with paired differences.
    make_ranking_scorer : One such figure, for ``scoring=``.

    Notes
    -----
    Candidates and misses are those of :func:`make_ranking_scorer`; a held-out item of the same user
    under another label is no candidate.

    The metrics of lists look at the `k` best items of the whole catalogue that a user has not seen
    (all of them with ``exclude_seen=False``), however the accuracy is measured, for the users in X
    that `fit` or `interactions` tell of:

    - "coverage": the share of the catalogue that is in at least one list;
    - "novelty": the mean over a list of :math:`-\log_2(\mathrm{popularity}_i / n_\mathrm{users})`,
      in bits: how surprising its items are;
    - "gini": Gini coefficient of how often the items of the catalogue are listed, 0 if all are
      equally often, towards 1 if a few are always;
    - "overlap": the mean over pairs of users of the share of their lists that is the same.

    Among sampled negatives, another of two models can be the better one than among all items
    (Krichene and Rendle 2020). A held-out item at exact rank 20 of 4,000 comes
    first among 99 negatives more often than not, as one at rank 1 always does: sampled figures
    hardly tell what stands at the top of the list, and reward models that are good on average over
    the whole of it. They are for comparison with the literature.

    Nor can the exact value be estimated from sampled ranks. Whatever a sampled rank is made to
    count, its expectation is a polynomial of the exact rank, of a degree of at most `n_negatives`;
    no such polynomial is 1 up to rank 10 and 0 at the thousands of ranks after it. So every
    estimate is biased, by an amount that depends on the unknown exact ranks. The exact value costs
    about as much as recommending to the same users, and is always given.

    References
    ----------
    Krichene, Rendle (2020), On sampled metrics for item recommendation, KDD,
    doi 10.1145/3394486.3403226.

    Castells, Hurley, Vargas (2015), Novelty and diversity in recommender systems, Recommender
    Systems Handbook, doi 10.1007/978-1-4899-7637-6_26.

    Examples
    --------
    >>> from neumf import PopularityRecommender, evaluate
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> model = PopularityRecommender().fit(X)
    >>> results = evaluate(model, [["c", 3], ["b", 2]], metrics=["hr", "coverage"], k=[1, 2])
    >>> results[["metric", "k", "value", "stderr", "n_users"]].round(3)
         metric  k  value  stderr  n_users
    0        hr  1  0.500   0.354        2
    1        hr  2  1.000   0.000        2
    2  coverage  1  0.667     NaN        2
    3  coverage  2  1.000     NaN        2

    A metric of your own, here the share of users whose held-out item beats all others:

    >>> import numpy as np
    >>> def beats_all(y_true, y_score, k):
    ...     others = np.where(y_true, -np.inf, y_score).max(axis=1)
    ...     return float(np.mean(np.where(y_true, y_score, -np.inf).max(axis=1) > others))
    >>> results = evaluate(model, [["c", 3], ["b", 2]], metrics=[beats_all], k=1)
    >>> results[["metric", "value", "stderr"]].round(3)
          metric  value  stderr
    0  beats_all    0.5   0.354
    """
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    settings = Settings.read(metrics, k, task)
    return _table(row for group in measure(estimator, X, settings, by) for row in group.rows())


def compare(
    estimators: Mapping[str, Any],
    X_train: Any,
    X_test: Any,
    *,
    metrics: Metric | Sequence[Metric] = ("hr", "ndcg", "mrr", "coverage", "novelty"),
    k: int | Sequence[int] = (5, 10, 20),
    n_negatives: int | None = None,
    by: Any = None,
    random_state: int = 0,
    exclude_seen: bool = True,
    interactions: Any = None,
    at: Literal["row"] | None = None,
    candidates: Any = None,
) -> pd.DataFrame:
    """Fit recommenders to the same rows, if they are not yet, and measure them on the same rows.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimators : dict of str to estimator
        Recommenders by name; clones of them are fitted, if `X_train` is given. The first is the one
        that the others are held against: put the baseline there.
    X_train : array-like of shape (n_samples, n_features >= 2) or None
        Interactions to fit to, as from :meth:`LeaveLastOutSplitter.train_test_split`. None takes
        all estimators as they were fitted. If some are fitted already, wrap these in
        :class:`sklearn.frozen.FrozenEstimator`, so that they stay as they are.
    X_test : array-like of shape (n_samples, n_features >= 2)
        Held-out interactions.
    metrics, k, n_negatives, by, random_state, exclude_seen, interactions, at, candidates
        See :func:`evaluate`; `by` labels the rows of `X_test`.

    Returns
    -------
    results : DataFrame
        A row per estimator, label of `by`, ranking, metric and k, narrow enough for a terminal,
        with the columns

        - `estimator`: its name;
        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`, if `n_negatives` or `at` is given; else all rows are exact;
        - `metric`, `k`, `value` and `stderr`, as :func:`evaluate` has them;
        - `difference`: the value minus that of the first estimator;
        - `margin`: the 95 % confidence interval of the difference is `difference` minus and plus
          this. It is paired, user by user, so that what is hard for all does not blur it. NaN where
          there is no standard error.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or a table cannot be read; and what `fit` raises.

    Notes
    -----
    The margin is 1.96 standard errors over users of the mean difference. It says how far other
    users would move the figure, not how far another seed of the training would. Where the
    difference is larger than its margin, other users would hardly turn it around.

    Examples
    --------
    >>> from neumf import ItemKNNRecommender, PopularityRecommender, compare, datasets
    >>> from neumf import LeaveLastOutSplitter
    >>> X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
    >>> X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
    >>> models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    >>> results = compare(models, X_train, X_test, metrics=["ndcg"], k=10)
    >>> list(results["estimator"]), bool(results["difference"][1] > 0)
    (['popularity', 'neighbours'], True)

    Recommenders that are fitted already:

    >>> fitted = {name: model.fit(X_train) for name, model in models.items()}
    >>> compare(fitted, None, X_test, metrics=["ndcg"], k=10).equals(results)
    True
    """
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            "estimators must be a dict of at least one name and estimator, such as "
            f"{{'popularity': PopularityRecommender()}}. Received: {estimators!r}."
        )
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    settings = Settings.read(metrics, k, task)
    rows = []
    reference: list[Group] = []
    for name, estimator in estimators.items():
        if X_train is not None:
            # The None is for FrozenEstimator, whose `fit` has no default for y.
            estimator = clone(estimator).fit(X_train, None)
        groups = measure(estimator, X_test, settings, by)
        reference = reference or groups
        for group, other in zip(groups, reference, strict=True):
            for row, compared in zip(group.rows(), group.differences(other), strict=True):
                rows.append({"estimator": name} | row | compared)
    left_out = ["n_users", "n_misses"]
    left_out += ["ranking"] if n_negatives is None and at is None else []
    return _table(rows).drop(columns=left_out)


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"k": "Int64"})
