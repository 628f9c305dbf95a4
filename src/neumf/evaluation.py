"""Measure fitted recommenders, and compare several: metrics with their uncertainty, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone

from neumf import _lists
from neumf._arrays import Float64s
from neumf._correction import correct_for_sampling
from neumf._exposure import Recommended, coverage, gini, novelty, overlap
from neumf._held_out import HeldOut, read_held_out
from neumf._lists import TopLists, aucs, top_lists
from neumf._ranking import exact_lists, ranked_lists, top_items
from neumf._validation import check_int, check_option
from neumf.interactions.seen import seen_matrix, seen_rows

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
        ranks them among so many sampled unseen items, and adds what that says about the whole
        catalogue.
    by : str, array-like of shape (n_samples,) or None, default=None
        A column of X, or a label per row: measures the rows of each label apart.
    random_state : int, default=0
        Seed of the sampled items.

    Returns
    -------
    results : DataFrame
        A row per label of `by`, ranking, metric and k, with the columns

        - the labels of `by` (under the name of the column, or "by"), if given;
        - `ranking`: "exact", among the whole catalogue; or, with `n_negatives`, "sampled", and
          "corrected", an estimate of the exact value from the sampled ranks (Krichene and Rendle
          2020), where every user has one held-out row;
        - `metric` and `k` (missing for "auc");
        - `value`: the mean over users;
        - `standard_error`: of that mean over users, which a bootstrap over users converges to:
          their standard deviation divided by the root of their number. NaN for "coverage", "gini"
          and "overlap", which are no means over users;
        - `n_users`: number of users (of a label);
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
    among all items; "corrected" orders them as "exact" would, but for noise, which is larger than
    that of "sampled".

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
    >>> results[["metric", "k", "value", "standard_error", "n_users"]].round(3)
         metric  k  value  standard_error  n_users
    0        hr  1  0.500           0.354        2
    1        hr  2  1.000           0.000        2
    2  coverage  1  0.667             NaN        2
    3  coverage  2  1.000             NaN        2
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
        The table of :func:`evaluate` for each estimator, with the further columns `estimator`,
        `difference` (its value minus that of the first estimator) and `low`, `high`, the 95 %
        confidence interval of the difference: it is paired, user by user, so that what is hard for
        all does not blur it. NaN where there is no standard error.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range or a table cannot be read; and what `fit` raises.

    Notes
    -----
    The interval is the mean difference plus and minus 1.96 standard errors over users. It says how
    far other users would move the figure, not how far another seed of the training would.

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
            rows += [{"estimator": name} | row for row in group.rows(reference=other)]
    return _table(rows)


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

    def rows(self, reference: _Group | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table, with the differences from a reference."""
        for key, values in self.values.items():
            ranking, metric, k = key
            row = {
                **self.label,
                "ranking": ranking,
                "metric": metric,
                "k": k,
                "value": np.mean(values),
                "standard_error": _standard_error(values),
                "n_users": self.n_users,
                "n_misses": self.n_misses,
            }
            if reference is not None:
                others = reference.values[key]
                if len(others) != len(values):
                    raise ValueError(
                        "estimators must tell the same users apart, so that differences can be "
                        f"paired. Received {len(values)} and {len(others)} users: unknown users "
                        "behind an encoder look alike. Compare pipelines with pipelines, or leave "
                        "unknown users out of X_test."
                    )
                differences = values - others
                center, half = np.mean(differences), _HALF_WIDTH * _standard_error(differences)
                row |= {"difference": center, "low": center - half, "high": center + half}
            yield row


def _standard_error(values: Float64s) -> float:
    """Return what the standard deviation of means over resampled users converges to."""
    return float(np.std(values) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"k": "Int64"})


def _measure(estimator: Any, X: Any, settings: _Settings, by: Any) -> list[_Group]:
    """Measure a fitted recommender, label by label."""
    recommender, rows = read_held_out(estimator, X, None, settings.random_state)
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
    recommender: Any, held_out: HeldOut, seen: sp.csr_array, settings: _Settings
) -> _Values:
    of_lists = set(settings.metrics) & set(_OF_LISTS)
    values: _Values = {}
    if settings.n_negatives is not None and of_lists != set(settings.metrics):
        values |= _sampled_values(recommender, held_out, seen, settings, settings.n_negatives)
    if settings.n_negatives is None or of_lists:
        values |= _exact_values(recommender, held_out, seen, settings)
    place = settings.metrics.index
    return dict(sorted(values.items(), key=lambda item: place(item[0][1])))


def _exact_values(
    recommender: Any, held_out: HeldOut, seen: sp.csr_array, settings: _Settings
) -> _Values:
    """Return the metrics of lists and, unless negatives are sampled, those of accuracy."""
    of_lists = [metric for metric in settings.metrics if metric in _OF_LISTS]
    parts: _Parts = defaultdict(list)
    tops = []
    n_done = 0
    for relevance, scores in exact_lists(recommender._ranker, held_out, seen):
        if settings.n_negatives is None:
            lists = top_lists(relevance, scores, settings.cutoffs[-1])
            _add_accuracy(parts, "exact", relevance, scores, lists, settings)
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


def _sampled_values(
    recommender: Any,
    held_out: HeldOut,
    seen: sp.csr_array,
    settings: _Settings,
    n_negatives: int,
) -> _Values:
    """Return the metrics of accuracy among sampled negatives, and corrected if that is defined."""
    parts: _Parts = defaultdict(list)
    chances = []
    for relevance, scores in ranked_lists(recommender, held_out, seen, n_negatives):
        lists = top_lists(relevance, scores, relevance.shape[1])
        _add_accuracy(parts, "sampled", relevance, scores, lists, settings)
        chances.append((lists.positives / lists.size)[:, : n_negatives + 1])
    values = _joined(parts)
    n_held_out = np.diff(held_out.positives.indptr) + held_out.n_unknown
    if (n_held_out == 1).all():
        barred = sp.csr_array(seen_rows(seen, held_out.users) + held_out.positives)
        n_candidates = seen.shape[1] + 1 - np.diff(barred.indptr)
        values |= _corrected_values(np.concatenate(chances), n_candidates, settings, n_negatives)
        if "auc" in settings.metrics:  # right as it is
            values["corrected", "auc", None] = values["sampled", "auc", None]
    return values


def _corrected_values(
    chances: Float64s, n_candidates: NDArray[np.intp], settings: _Settings, n_negatives: int
) -> _Values:
    """Return estimates of the exact metrics from the chance of each sampled rank of each user."""
    longest = settings.cutoffs[-1]
    # A positive at each rank that counts.
    order = np.tile(-np.arange(longest), (longest, 1))
    ranks = top_lists(np.eye(longest, dtype=bool), order, longest)
    keys = [(metric, k) for metric in settings.metrics if metric in _AT_K for k in settings.cutoffs]
    if not keys:
        return {}
    by_rank = np.column_stack([_AT_K[metric](ranks.cut(k)) for metric, k in keys])
    corrected = np.empty((len(chances), len(keys)))
    # Users with numbers of candidates within 5 % of each other share one correction.
    rounded = n_candidates - n_candidates % np.maximum(n_candidates // 20, 1)
    rounded = np.maximum(rounded, np.minimum(n_candidates, n_negatives + 1))
    for n in np.unique(rounded):
        weights = correct_for_sampling(by_rank, n, min(n_negatives, n - 1))
        corrected[rounded == n] = chances[rounded == n, : len(weights)] @ weights
    return {("corrected", *key): column for key, column in zip(keys, corrected.T, strict=True)}


def _add_accuracy(
    parts: _Parts,
    ranking: str,
    relevance: NDArray[Any],
    scores: NDArray[Any],
    lists: TopLists,
    settings: _Settings,
) -> None:
    """Add the values of a block of users, given at least the tops of their lists."""
    for metric in settings.metrics:
        if metric == "auc":
            parts[ranking, metric, None].append(aucs(relevance, scores))
        elif metric in _AT_K:
            for k in settings.cutoffs:
                parts[ranking, metric, k].append(_AT_K[metric](lists.cut(k)))


def _joined(parts: _Parts) -> _Values:
    return {key: np.concatenate(values) for key, values in parts.items()}
