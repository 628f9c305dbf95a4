"""Measure rankings and lists: the values of each metric, by user and label."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.evaluation.held_out import Queries, RankingProblem, read_problem
from neumf.evaluation.intervals import margin, standard_error, t_test
from neumf.evaluation.ranked_lists import Lists, ranked_lists
from neumf.evaluation.scorers import RankingScorer, hr_scorer, ndcg_scorer
from neumf.evaluation.task import RankingTask
from neumf.metrics import tie_averaged
from neumf.metrics.beyond_accuracy import Recommended, coverage, gini, novelty, overlap
from neumf.metrics.tie_averaged import TopLists, aucs, describe_tops
from neumf.ranking.rankers import rerank_of
from neumf.ranking.top_k import top_items
from neumf.utils.arrays import Float64s
from neumf.utils.validation import check_int, describe

_AT_K: dict[str, Callable[[TopLists], Float64s]] = {
    "hr": tie_averaged.hit_rates,
    "ndcg": tie_averaged.ndcgs,
    "recall": tie_averaged.recalls,
    "precision": tie_averaged.precisions,
    "map": tie_averaged.average_precisions,
    "mrr": tie_averaged.reciprocal_ranks,
}
_OF_LISTS: dict[str, Callable[[Recommended], Float64s]] = {
    "coverage": coverage,
    "novelty": novelty,
    "gini": gini,
    "overlap": overlap,
}
_NAMES = (*_AT_K, "auc", *_OF_LISTS)
# Names of these metrics in other libraries.
_LONG_NAMES = {
    "hit_rate": "hr",
    "hit_ratio": "hr",
    "average_precision": "map",
    "reciprocal_rank": "mrr",
}

# The name of a metric, or a function, see `evaluate`.
Metric = str | Callable[..., float]

# (ranking, metric, k or None for the whole list) -> an array of shape (n_seeds, n_queries). Metrics
# of all lists together, such as coverage, have one value instead of one per query.
_Values = dict[tuple[str, str, int | None], Float64s]


class Settings(NamedTuple):
    """Checked parameters: names of metrics, the user's own functions, lengths of the list."""

    metrics: list[str]
    own: dict[str, Callable[..., float]]
    cutoffs: list[int]
    task: RankingTask

    @classmethod
    def read(cls, metrics: Any, k: Any, task: RankingTask) -> Settings:
        """Check the parameters `metrics` and `k` of `evaluate`."""
        given = list(metrics) if isinstance(metrics, Iterable) else [metrics]
        given = [metrics] if isinstance(metrics, str) else given
        own: dict[str, Callable[..., float]] = {}
        names = [_add_own(own, metric) if callable(metric) else metric for metric in given]
        for name in names:
            _check_name(name, (*_NAMES, *own))
        cutoffs = list(k) if isinstance(k, Iterable) and not isinstance(k, str) else [k]
        for cutoff in cutoffs:
            check_int("k", cutoff, 1)
        if not names or not cutoffs:
            raise ValueError("metrics and k must name at least one metric and one length.")
        return cls(list(dict.fromkeys(names)), own, sorted(set(cutoffs)), task)


def _check_name(name: Any, names: tuple[str, ...]) -> None:
    """Raise an error that shows the nearest names unless a metric has this name."""
    if name in names:
        return
    word, _, k = str(name).lower().replace("_at_k", "").partition("@")
    by_word = {known.lower(): known for known in names} | _LONG_NAMES
    words = difflib.get_close_matches(word, by_word, n=2)
    near = list(dict.fromkeys(by_word[match] for match in words))
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    hint += f" Pass the length of the list as k={k}." if k.isdigit() else ""
    raise ValueError(
        f"metrics must be one of {', '.join(map(repr, names))}. Received: {describe(name)}.{hint}"
    )


def _add_own(own: dict[str, Callable[..., float]], metric: Callable[..., float]) -> str:
    """Add the user's own metric; return its name."""
    makers: tuple[Any, ...] = (hr_scorer, ndcg_scorer)
    if isinstance(metric, RankingScorer) or metric in makers:
        raise ValueError(
            "metrics must be names, such as 'ndcg', or functions metric(y_true, y_score, k). "
            f"Received a scorer: {describe(metric)}. Scorers are for scoring=."
        )
    name: str = getattr(metric, "__name__", "<lambda>")
    if name == "<lambda>":
        raise ValueError(
            "metrics must be names or functions with a name, which the table shows. Received: "
            f"{metric!r}. Define it with def name(y_true, y_score, k)."
        )
    if name in _NAMES or own.setdefault(name, metric) != metric:
        raise ValueError(
            f"metrics must have different names. Received a function called {name!r}, which is the "
            f"name of another metric. Rename it, or pass the string {name!r} for that metric."
        )
    return name


class Group(NamedTuple):
    """The values of held-out rows that share a label, for one or several seeds."""

    label: dict[str, Any]
    values: _Values
    n_users: int
    n_misses: int

    @classmethod
    def join(cls, groups: Sequence[Group]) -> Group:
        """Join the groups of recommenders that differ in their seeds only."""
        first = groups[0]
        values = {
            key: np.concatenate([_paired(group.values[key], others) for group in groups])
            for key, others in first.values.items()
        }
        return first._replace(values=values)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the long table."""
        for (ranking, metric, k), values in self.values.items():
            by_user = values.mean(axis=0)
            yield {
                **self.label,
                "ranking": ranking,
                "metric": metric,
                "k": k,
                "value": np.mean(by_user),
                "stderr": standard_error(by_user),
                "n_users": self.n_users,
                "n_misses": self.n_misses,
            }

    def differences(self, reference: Group, n_compared: int = 1) -> Iterator[dict[str, float]]:
        """Yield seed_std and the paired difference from a reference, in the order of `rows`."""
        for key, values in self.values.items():
            others = reference.values[key]
            ours, theirs = _paired(values, others).mean(axis=0), others.mean(axis=0)
            # Sums of the same numbers in another order differ in the last digits.
            differences = np.where(np.isclose(ours, theirs, 1e-12, 0), 0, ours - theirs)
            mean, stderr, n = float(np.mean(differences)), standard_error(differences), len(ours)
            yield {
                "seed_std": float(pd.Series(values.mean(axis=1)).std()),
                "difference": mean,
                "margin": float(margin(stderr, n, n_compared)),
                "pvalue": np.nan if self is reference else t_test(mean, stderr, n),
            }


def _paired(values: Float64s, others: Float64s) -> Float64s:
    """Return the values; raise unless the others have the same number of users."""
    if values.shape[1] != others.shape[1]:
        raise ValueError(
            "estimators must rank for the same users of X_test, because differences are paired by "
            f"user. Received an estimator with {values.shape[1]} users (each row of an unknown "
            f"user counts as one); the first estimator has {others.shape[1]}. Leave steps out of "
            "the pipelines that drop or rename users."
        )
    return values


def measure(estimator: Any, X: Any, settings: Settings, by: Any) -> list[Group]:
    """Measure a fitted recommender, label by label."""
    problem = read_problem(estimator, X, None, settings.task)
    rows = problem.rows
    return [
        Group(
            label,
            _measure_queries(problem, rows.gather(part), settings),
            len(np.unique(rows.queries[part])),
            int(rows.missed[part].sum()),
        )
        for label, part in _rows_by_label(X, by, len(rows.items))
    ]


def _rows_by_label(
    X: Any, by: Any, n_rows: int
) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
    """Yield {name of the labels: label} and a mask of its rows, for each label."""
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
    indices, names = pd.factorize(labels, use_na_sentinel=False)
    for index, label in enumerate(names):
        yield {name: label}, indices == index


def _measure_queries(problem: RankingProblem, queries: Queries, settings: Settings) -> _Values:
    """Measure all rankings of the queries; sort the values by metric."""
    values = _measure_rankings(problem, replace(queries, seconds=None), settings)
    if queries.seconds is not None:
        for (ranking, metric, k), timed in _measure_rankings(problem, queries, settings).items():
            values[f"{ranking}, timed", metric, k] = timed
    return dict(sorted(values.items(), key=lambda item: settings.metrics.index(item[0][1])))


def _measure_rankings(problem: RankingProblem, queries: Queries, settings: Settings) -> _Values:
    """Measure the exact ranking and, with `n_negatives`, the sampled one."""
    if rerank_of(problem.recommender.ranker_) is not None and len(settings.cutoffs) > 1:
        # Each length has lists of its own.
        of_k = (settings._replace(cutoffs=[k]) for k in settings.cutoffs)
        merged = [pair for one in of_k for pair in _measure_rankings(problem, queries, one).items()]
        return dict(sorted(merged, key=lambda pair: pair[0][0]))
    queries = replace(queries, k=settings.cutoffs[-1])
    parts: dict[tuple[str, str, int | None], list[Float64s]] = defaultdict(list)
    list_metrics = [metric for metric in settings.metrics if metric in _OF_LISTS]
    tops = []
    n_done = 0
    for lists in ranked_lists(problem, queries, None):
        for metric, k, values in _accuracy(lists, settings):
            parts["exact", metric, k].append(values)
        if list_metrics:
            scores = lists[1][:, : problem.rows.n_items]
            users, items, ranks = top_items(scores, settings.cutoffs[-1])
            tops.append((users + n_done, items, ranks))
            n_done += len(scores)
    if list_metrics:
        users, items, ranks = (np.concatenate(column) for column in zip(*tops, strict=True))
        popularity = np.maximum(problem.recommender.popularity_, 1)
        information = -np.log2(popularity / problem.n_fitted_users)
        for k in settings.cutoffs:
            shown = Recommended(users[ranks <= k], items[ranks <= k], k, information)
            for metric in list_metrics:
                values = _OF_LISTS[metric](shown) if len(users) else np.array([np.nan])
                parts["exact", metric, k].append(values)
    n_negatives = settings.task.n_negatives
    if n_negatives is not None and len(list_metrics) < len(settings.metrics):
        for lists in ranked_lists(problem, queries, n_negatives):
            for metric, k, values in _accuracy(lists, settings):
                parts["sampled", metric, k].append(values)
    return {key: np.concatenate(values)[None] for key, values in parts.items()}


def _accuracy(lists: Lists, settings: Settings) -> Iterator[tuple[str, int | None, Float64s]]:
    """Yield metric, k and values of each accuracy metric for a block of queries."""
    relevance, scores = lists
    at_k = [metric for metric in settings.metrics if metric in _AT_K]
    if at_k:
        tops = describe_tops(relevance, scores, settings.cutoffs[-1])
        for metric, k in product(at_k, settings.cutoffs):
            yield metric, k, _AT_K[metric](tops.cut(k))
    for (name, own), k in product(settings.own.items(), settings.cutoffs):
        rows = [slice(i, i + 1) for i in range(len(scores))]
        yield name, k, np.array([own(relevance[i], scores[i], k=k) for i in rows], np.float64)
    if "auc" in settings.metrics:
        yield "auc", None, aucs(relevance, scores)
