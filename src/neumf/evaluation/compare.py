"""Measure one or several recommenders by several metrics, with margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from sklearn.base import clone

from neumf.evaluation.intervals import holm
from neumf.evaluation.measures import Group, Metric, Settings, measure
from neumf.evaluation.results import Results
from neumf.evaluation.task import RankingTask
from neumf.utils.validation import describe, shows_call

_COMPARE = (
    "compare({'popularity': PopularityRecommender(), 'mine': model}, X_train, X_test), or "
    "compare({'mine': model}, None, X_test) if all are fitted"
)


@shows_call("evaluate(model, X_test, metrics=['ndcg'], k=10)")
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
) -> Results:
    r"""Measure a fitted recommender on held-out rows.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimator : estimator
        A fitted recommender, or a fitted pipeline or search that ends in one.
    X : array-like of shape (n_samples, n_features >= 2)
        Held-out interactions.
    metrics : sequence of str or callable, default=("hr", "ndcg", "mrr", "coverage", "novelty")
        Metrics of three kinds:

        - accuracy: "hr", "ndcg", "recall", "precision", "map", "mrr" and "auc" (which ignores
          `k`), see :mod:`neumf.metrics`;
        - properties of the recommended lists: "coverage", "novelty", "gini", "overlap", see Notes;
        - your own functions ``metric(y_true, y_score, k=k) -> float``, which need a name. They are
          called once per user, with arrays of one row.
    k : int or sequence of int, default=(5, 10, 20)
        Lengths of the list.
    n_negatives : int or None, default=None
        A number, such as 99 in the NeuMF paper, adds sampled rankings among this number of unseen
        items, see :func:`make_ranking_scorer`.
    by : str, array-like of shape (n_samples,) or None, default=None
        A column of X, or a label per row. The rows of each label are measured separately. A user's
        held-out items with another label are left out of the candidates.
    random_state, exclude_seen, interactions
        See :func:`make_ranking_scorer`. Recommended lists follow them too.
    at : "row" or None, default=None
        "row" adds rankings at the request time: the timestamp of each user's first held-out row,
        see :func:`make_ranking_scorer`.
    candidates : "cold", array-like of ids or None, default=None
        The items that are ranked, see :func:`make_ranking_scorer`. They are also the catalogue of
        the list metrics.

    Returns
    -------
    results : :class:`~neumf.evaluation.results.Results`
        Prints as a table, and has the methods `plot` and `to_frame`. The latter returns a row per
        label of `by`, ranking, metric and k, with the columns

        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`: "exact" (among all candidates) or "sampled" (among `n_negatives`), followed by
          ", timed" if the request time is known;
        - `metric` and `k` (missing for "auc");
        - `value`: the mean over users;
        - `stderr`: the standard error of this mean. The margin of a 95 % confidence interval is
          ``scipy.stats.t.ppf(0.975, n_users - 1) * stderr``. NaN for one user, and for "coverage",
          "gini" and "overlap", which are not averages over users;
        - `n_users`: the number of users; each row of an unknown user counts as one;
        - `n_misses`: the number of held-out rows whose user or item is unknown. They count as
          misses.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, two metrics have one name, the estimator is not a
        recommender, or X cannot be read.

    See Also
    --------
    compare : Measure several recommenders, with paired differences.
    make_ranking_scorer : Return one value, for ``scoring=``. Defines candidates and misses.

    Notes
    -----
    The list metrics describe the `k` best unseen items of each known user in X, by the exact
    ranking:

    - "coverage": the share of the catalogue that is in at least one list;
    - "novelty": the mean over a list of :math:`-\log_2(\mathrm{popularity}_i / n_\mathrm{users})`,
      in bits;
    - "gini": Gini coefficient of the number of lists that each item is in, 0 if each is in the
      same number, towards 1 if a few are in all;
    - "overlap": the mean over pairs of users of the share of their lists that is the same.

    Sampled metrics can order two models differently from exact ones. They cannot be corrected: the
    expectation of any function of the sampled rank is a polynomial of the exact rank, of degree at
    most `n_negatives`. No polynomial is 1 up to rank 10 and 0 beyond (Krichene and Rendle 2020).
    Use sampled metrics only to compare with the literature.

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
    >>> results.to_frame()[["metric", "k", "value", "stderr", "n_users"]].round(3)
         metric  k  value  stderr  n_users
    0        hr  1  0.500     0.5        2
    1        hr  2  1.000     0.0        2
    2  coverage  1  0.667     NaN        2
    3  coverage  2  1.000     NaN        2
    """
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    settings = Settings.read(metrics, k, task)
    groups = measure(estimator, X, settings, by)
    return Results(_long_table([row for group in groups for row in group.rows()]))


@shows_call(_COMPARE)
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
) -> Results:
    r"""Fit recommenders to the same rows, and measure them on the same held-out rows.

    .. versionadded:: 0.1

    Parameters
    ----------
    estimators : dict of str to estimator or list of estimators
        Recommenders by name. Clones of them are fitted. Differences are from the first one. A list
        holds recommenders that differ in their seeds only; each user's values are averaged over
        them.
    X_train : array-like of shape (n_samples, n_features >= 2) or None
        Interactions to fit to, as from :meth:`LeaveLastOutSplitter.train_test_split`. None measures
        estimators that are fitted already. To fit only some of them, wrap the fitted ones in
        :class:`sklearn.frozen.FrozenEstimator`.
    X_test : array-like of shape (n_samples, n_features >= 2)
        Held-out interactions.
    metrics, k, n_negatives, by, random_state, exclude_seen, interactions, at, candidates
        See :func:`evaluate`; `by` labels the rows of `X_test`.

    Returns
    -------
    results : :class:`~neumf.evaluation.results.Results`
        Prints as a table per metric, and has the methods `plot` and `to_frame`. The latter returns
        a row per estimator, label of `by`, ranking, metric and k, with the columns of
        :func:`evaluate` and

        - `estimator`: its name;
        - `seed_std`: the standard deviation of the value over the seeds of a list, with one degree
          of freedom less than seeds. NaN for one seed;
        - `difference`: the value minus the value of the first estimator;
        - `margin`: half the width of the 95 % confidence interval of the difference, by Student's
          t for paired differences. The intervals of all m differences hold at once (Bonferroni): a
          single one has level 1 - 0.05 / m. NaN where there is no standard error;
        - `pvalue`: the p-value of the paired t-test of the difference, adjusted for the m
          comparisons (Holm 1979). NaN for the first estimator and without a standard error.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or a table cannot be read; and what `fit` raises.

    Notes
    -----
    Margins and p-values cover the choice of users, not the seed of the training; compare
    differences with `seed_std`, too. A difference that is larger than its margin would rarely
    change its sign with other users.

    If m recommenders are compared with one, the best of them is partly best by chance. Margins and
    p-values are therefore corrected for m: if no recommender differs from the first one, some
    p-value is below 0.05 in at most 5 % of the cases. With the p-values of the single tests in
    ascending order, :math:`p_{(1)} \le \ldots \le p_{(m)}`, Holm's adjusted p-values are

    .. math:: \min\left(1, \max_{j \le i}\, (m - j + 1)\, p_{(j)}\right)
              \quad\mathrm{for}\ i = 1, \ldots, m.

    They are never larger than Bonferroni's, :math:`m p_{(i)}`, to which the margins belong. So a
    p-value may be below 0.05 although the interval holds 0. Metrics, lengths of the list, rankings
    and labels of `by` are corrected separately: choose the one that decides before you look.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6(2).

    Examples
    --------
    >>> from neumf import ItemKNNRecommender, PopularityRecommender, compare, datasets
    >>> from neumf import LeaveLastOutSplitter
    >>> X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
    >>> X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
    >>> models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    >>> compare(models, X_train, X_test, metrics="ndcg", k=10)
    NDCG@10
                value      difference
    popularity  0.130
    neighbours  0.142  +0.012 ± 0.013
    196 users; ± is the 95 % margin of the paired difference from 'popularity'.
    >>> fitted = {name: model.fit(X_train) for name, model in models.items()}
    >>> results = compare(fitted, None, X_test, metrics="ndcg", k=10).to_frame()
    >>> results["difference"].round(3).tolist()
    [0.0, 0.012]
    """
    given = estimators if isinstance(estimators, Mapping) else {}
    by_name = {name: seeds if isinstance(seeds, list) else [seeds] for name, seeds in given.items()}
    if not by_name or not all(by_name.values()):
        raise ValueError(
            "estimators must be a dict of at least one name and estimator, or list of estimators. "
            f"Received: {describe(estimators)}. Call {_COMPARE}."
        )
    task = RankingTask(n_negatives, random_state, exclude_seen, interactions, at, candidates)
    settings = Settings.read(metrics, k, task)
    rows = []
    reference: list[Group] = []
    n_compared = max(1, len(by_name) - 1)
    for name, seeds in by_name.items():
        # The None is for FrozenEstimator, whose `fit` has no default for y.
        fitted = seeds if X_train is None else (clone(seed).fit(X_train, None) for seed in seeds)
        runs = [measure(estimator, X_test, settings, by) for estimator in fitted]
        groups = [Group.join(parts) for parts in zip(*runs, strict=True)]
        reference = reference or groups
        for group, other in zip(groups, reference, strict=True):
            differences = group.differences(other, n_compared)
            for row, compared in zip(group.rows(), differences, strict=True):
                rows.append({"estimator": name} | row | compared)
    frame = _long_table(rows)
    family = frame.groupby("estimator").cumcount()  # a metric and a length of the list
    frame["pvalue"] = frame.groupby(family)["pvalue"].transform(holm)
    return Results(frame)


def _long_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"k": "Int64"})
