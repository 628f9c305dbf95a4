"""Measure fitted recommenders, and compare several: metrics with their uncertainty, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone

from neumf import _lists
from neumf._arrays import Float64s, Scores
from neumf._exposure import Recommended, coverage, gini, novelty, overlap
from neumf._held_out import HeldOut, read_held_out
from neumf._lists import TopLists, aucs, describe_tops
from neumf._ranking import exact_lists, ranked_lists, top_items
from neumf._validation import check_int, check_option
from neumf.interactions.seen import seen_matrix
from neumf.protocols import Recommender

__all__ = ["compare", "evaluate"]

_AT_K: dict[str, Callable[[TopLists], Float64s]] = {
    "hr": _lists.hit_rates,
    "ndcg": _lists.ndcgs,
    "recall": _lists.recalls,
    "precision": _lists.precisions,
    "map": _lists.average_precisions,
    "mrr": _lists.reciprocal_ranks,
}
_OF_LISTS: dict[str, Callable[[Recommended], Float64s]] = {
    "coverage": coverage,
    "novelty": novelty,
    "gini": gini,
    "overlap": overlap,
}
_METRICS = (*_AT_K, "auc", *_OF_LISTS)

# Half of a 95 % confidence interval, in standard errors.
_HALF_WIDTH = 1.96

# How the candidates were ranked, the metric, and k (None for the whole list).
_Key = tuple[str, str, int | None]
# A value per user; one alone is a property of all lists together.
_Values = dict[_Key, Float64s]
# The same, block by block of users.
_Parts = defaultdict[_Key, list[Float64s]]


def evaluate(
    estimator: Any,
    X: Any,
    *,
    metrics: Sequence[str] = ("hr", "ndcg", "mrr", "coverage", "novelty"),
    k: int | Sequence[int] = (5, 10, 20),
    n_negatives: int | None = None,
    by: Any = None,
    random_state: int = 0,
) -> pd.DataFrame:
    r"""Measure a fitted recommender on held-out rows.

    Parameters
    ----------
    estimator : estimator
        A fitted recommender, or a fitted pipeline or search that ends in one.
    X : array-like of shape (n_samples, n_features >= 2)
        Held-out interactions, of users with one or several of them.
    metrics : sequence of str, default=("hr", "ndcg", "mrr", "coverage", "novelty")
        Of accuracy: "hr", "ndcg", "recall", "precision", "map", "mrr", see :mod:`neumf.metrics`,
        and "auc", for which `k` does not matter. Of the recommended lists: "coverage", "novelty",
        "gini", "overlap", see Notes.
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

    Returns
    -------
    results : DataFrame
        A row per label of `by`, ranking, metric and k, with the columns

        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`: "exact", among the whole catalogue, or "sampled", among `n_negatives` items;
        - `metric` and `k` (missing for "auc");
        - `value`: the mean over users;
        - `stderr`: the standard error of that mean over users, which a bootstrap over users
          converges to: their standard deviation divided by the root of their number. NaN for
          "coverage", "gini" and "overlap", which are no means over users;
        - `n_users`: number of users (of a label); of one whom `fit` did not see, each row counts;
        - `n_misses`: held-out rows whose user or item `fit` did not see. They count as misses.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, the estimator is no recommender, or X cannot be read.

    See Also
    --------
    compare : The same for several recommenders, with paired differences.
    make_ranking_scorer : One such figure, for ``scoring=``.

    Notes
    -----
    Candidates and misses are those of :func:`make_ranking_scorer`; a held-out item of the same user
    under another label is no candidate.

    The metrics of lists look at the `k` best items of the whole catalogue that a user has not seen,
    however the accuracy is measured, for the users in X that `fit` saw:

    - "coverage": the share of the catalogue that is in at least one list;
    - "novelty": the mean over a list of :math:`-\log_2(\mathrm{popularity}_i / n_\mathrm{users})`,
      in bits: how surprising its items are;
    - "gini": Gini coefficient of how often the items of the catalogue are listed, 0 if all are
      equally often, towards 1 if a few are always;
    - "overlap": the mean over pairs of users of the share of their lists that is the same.

    Which of two models is the better one can be another question among sampled negatives than
    among all items (Krichene and Rendle 2020). A held-out item at exact rank 20 of 4,000 comes
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
    """
    settings = _Settings.read(metrics, k, n_negatives, random_state)
    return _table(row for group in _measure(estimator, X, settings, by) for row in group.rows())


def compare(
    estimators: Mapping[str, Any],
    X_train: Any,
    X_test: Any,
    *,
    metrics: Sequence[str] = ("hr", "ndcg", "mrr", "coverage", "novelty"),
    k: int | Sequence[int] = (5, 10, 20),
    n_negatives: int | None = None,
    by: Any = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Fit several recommenders to the same rows, and measure them on the same held-out rows.

    Parameters
    ----------
    estimators : dict of str to estimator
        Recommenders by name; clones of them are fitted. The first is the one that the others are
        held against: put the baseline there.
    X_train, X_test : array-like of shape (n_samples, n_features >= 2)
        Interactions, as from :meth:`LeaveLastOutSplitter.train_test_split`.
    metrics, k, n_negatives, by, random_state
        See :func:`evaluate`; `by` labels the rows of `X_test`.

    Returns
    -------
    results : DataFrame
        A row per estimator, label of `by`, ranking, metric and k, narrow enough for a terminal,
        with the columns

        - `estimator`: its name;
        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`: "exact" or "sampled", if `n_negatives` is given; else all rows are exact;
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
    """
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            "estimators must be a dict of at least one name and estimator, such as "
            f"{{'popularity': PopularityRecommender()}}. Received: {estimators!r}."
        )
    settings = _Settings.read(metrics, k, n_negatives, random_state)
    rows = []
    reference: list[_Group] = []
    for name, estimator in estimators.items():
        groups = _measure(clone(estimator).fit(X_train), X_test, settings, by)
        reference = reference or groups
        for group, other in zip(groups, reference, strict=True):
            for row, compared in zip(group.rows(), group.differences(other), strict=True):
                rows.append({"estimator": name} | row | compared)
    left_out = ["n_users", "n_misses"] + (["ranking"] if n_negatives is None else [])
    return _table(rows).drop(columns=left_out)


class _Settings(NamedTuple):
    """What to measure."""

    metrics: list[str]
    cutoffs: list[int]
    n_negatives: int | None
    random_state: int

    @classmethod
    def read(cls, metrics: Any, k: Any, n_negatives: Any, random_state: Any) -> _Settings:
        names = [metrics] if isinstance(metrics, str) else list(metrics)
        for name in names:
            check_option("metrics", name, _METRICS)
        cutoffs = list(k) if isinstance(k, Iterable) else [k]
        for cutoff in cutoffs:
            check_int("k", cutoff, 1)
        if not names or not cutoffs:
            raise ValueError("metrics and k must name at least one metric and one length.")
        if n_negatives is not None:
            check_int("n_negatives", n_negatives, 1)
        check_int("random_state", random_state, 0)
        return cls(list(dict.fromkeys(names)), sorted(set(cutoffs)), n_negatives, random_state)


class _Group(NamedTuple):
    """What was measured on the rows of one label."""

    label: dict[str, Any]
    values: _Values
    n_users: int
    n_misses: int

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table."""
        for (ranking, metric, k), values in self.values.items():
            yield {
                **self.label,
                "ranking": ranking,
                "metric": metric,
                "k": k,
                "value": np.mean(values),
                "stderr": _standard_error(values),
                "n_users": self.n_users,
                "n_misses": self.n_misses,
            }

    def differences(self, reference: _Group) -> Iterator[dict[str, float]]:
        """Yield the differences from a reference, for the rows of the table."""
        for key, values in self.values.items():
            others = reference.values[key]
            if len(others) != len(values):
                raise ValueError(
                    "estimators must meet the same users in X_test, so that differences can be "
                    f"paired. Received one that meets {len(values)} users (each row of an unknown "
                    f"user counts), and a first one that meets {len(others)}. Leave steps out of "
                    "the pipelines that drop or rename users."
                )
            # Sums of the same numbers in another order differ in the last digits.
            differences = np.where(np.isclose(values, others, 1e-12, 0), 0, values - others)
            yield {
                "difference": float(np.mean(differences)),
                "margin": _HALF_WIDTH * _standard_error(differences),
            }


def _standard_error(values: Float64s) -> float:
    """Return what the standard deviation of means over resampled users converges to."""
    return float(np.std(values) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"k": "Int64"})


def _measure(estimator: Any, X: Any, settings: _Settings, by: Any) -> list[_Group]:
    """Measure a fitted recommender, label by label."""
    recommender, rows = read_held_out(
        estimator, X, None, settings.n_negatives, settings.random_state
    )
    found = ~rows.missed
    users, items = rows.users[rows.queries][found], rows.items[found]
    # What a user has under another label must be no candidate.
    seen = recommender.seen_
    seen = sp.csr_array(seen + seen_matrix(users, items, seen.shape))
    return [
        _Group(
            label,
            _measure_queries(recommender, rows.gather(part), seen, settings),
            len(np.unique(rows.queries[part])),
            int(rows.missed[part].sum()),
        )
        for label, part in _rows_by_label(X, by, len(rows.items))
    ]


def _rows_by_label(
    X: Any, by: Any, n_rows: int
) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
    """Yield each label, with its name, and the rows that have it."""
    if by is None:
        yield {}, np.ones(n_rows, dtype=bool)
        return
    if isinstance(by, str):
        if not isinstance(X, pd.DataFrame) or by not in X.columns:
            raise ValueError(
                f"by must be a column of X or a label per row. Received {by!r}; X has the columns "
                f"{list(getattr(X, 'columns', []))}."
            )
        name, labels = by, X[by]
    else:
        name, labels = "by", pd.Series(by)
    if len(labels) != n_rows:
        raise ValueError(
            f"by must hold one label per row of X, {n_rows}. Received {len(labels)} labels."
        )
    codes, names = pd.factorize(labels, use_na_sentinel=False)
    for code, label in enumerate(names):
        yield {name: label}, codes == code


def _measure_queries(
    recommender: Recommender, held_out: HeldOut, seen: sp.csr_array, settings: _Settings
) -> _Values:
    values = _exact_values(recommender, held_out, seen, settings)
    if settings.n_negatives is not None and not set(settings.metrics) <= set(_OF_LISTS):
        parts: _Parts = defaultdict(list)
        for lists in ranked_lists(recommender, held_out, seen, settings.n_negatives):
            _add_accuracy(parts, "sampled", *lists, settings)
        values |= _joined(parts)
    place = settings.metrics.index
    return dict(sorted(values.items(), key=lambda item: place(item[0][1])))


def _exact_values(
    recommender: Recommender, held_out: HeldOut, seen: sp.csr_array, settings: _Settings
) -> _Values:
    """Return the metrics of accuracy among the whole catalogue, and those of lists."""
    of_lists = [metric for metric in settings.metrics if metric in _OF_LISTS]
    parts: _Parts = defaultdict(list)
    tops = []
    n_done = 0
    for relevance, scores in exact_lists(recommender.ranker_, held_out, seen):
        _add_accuracy(parts, "exact", relevance, scores, settings)
        if of_lists:
            users, items, ranks = top_items(scores[:, : seen.shape[1]], settings.cutoffs[-1])
            tops.append((users + n_done, items, ranks))
            n_done += len(scores)
    if not of_lists:
        return _joined(parts)
    users, items, ranks = (np.concatenate(column) for column in zip(*tops, strict=True))
    information = -np.log2(np.maximum(recommender.popularity_, 1) / len(recommender.users_))
    for k in settings.cutoffs:
        shown = Recommended(users[ranks <= k], items[ranks <= k], k, information)
        for metric in of_lists:
            values = _OF_LISTS[metric](shown) if len(users) else np.array([np.nan])
            parts["exact", metric, k].append(values)
    return _joined(parts)


def _add_accuracy(
    parts: _Parts,
    ranking: str,
    relevance: NDArray[np.bool_],
    scores: Scores,
    settings: _Settings,
) -> None:
    """Add the values of a block of users."""
    at_k = [metric for metric in settings.metrics if metric in _AT_K]
    if at_k:
        tops = describe_tops(relevance, scores, settings.cutoffs[-1])
        for metric, k in product(at_k, settings.cutoffs):
            parts[ranking, metric, k].append(_AT_K[metric](tops.cut(k)))
    if "auc" in settings.metrics:
        parts[ranking, "auc", None].append(aucs(relevance, scores))


def _joined(parts: _Parts) -> _Values:
    return {key: np.concatenate(values) for key, values in parts.items()}
