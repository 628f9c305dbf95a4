"""What `evaluate` and `compare` measure: metrics per user, of the rows of each label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.evaluation.held_out import HeldOut, Matched, read_held_out
from neumf.evaluation.ranked_lists import ranked_lists
from neumf.evaluation.task import RankingTask
from neumf.metrics import tie_averaged
from neumf.metrics.beyond_accuracy import Recommended, coverage, gini, novelty, overlap
from neumf.metrics.tie_averaged import TopLists, aucs, describe_tops
from neumf.ranking.top_k import top_items
from neumf.utils.arrays import Float64s, Scores
from neumf.utils.validation import check_int, check_option

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
_METRICS = (*_AT_K, "auc", *_OF_LISTS)

# One of the names, or a metric of the user's own, see `evaluate`.
Metric = str | Callable[..., float]

# Half of a 95 % confidence interval, in standard errors.
_HALF_WIDTH = 1.96

# How the candidates were ranked, the metric, and k (None for the whole list).
_Key = tuple[str, str, int | None]
# A value per user; one alone is a property of all lists together.
_Values = dict[_Key, Float64s]
# The same, block by block of users.
_Parts = defaultdict[_Key, list[Float64s]]


class Settings(NamedTuple):
    """What to measure."""

    metrics: list[str]
    own: dict[str, Callable[..., float]]
    cutoffs: list[int]
    task: RankingTask

    @classmethod
    def read(cls, metrics: Any, k: Any, task: RankingTask) -> Settings:
        """Check the parameters of these names."""
        asked = [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)
        own = _read_own(asked)
        names = [metric.__name__ if callable(metric) else metric for metric in asked]
        for name in names:
            check_option("metrics", name, (*_METRICS, *own))
        cutoffs = list(k) if isinstance(k, Iterable) else [k]
        for cutoff in cutoffs:
            check_int("k", cutoff, 1)
        if not names or not cutoffs:
            raise ValueError("metrics and k must name at least one metric and one length.")
        return cls(list(dict.fromkeys(names)), own, sorted(set(cutoffs)), task)


def _read_own(asked: list[Any]) -> dict[str, Callable[..., float]]:
    """Return the metrics of the user's own by name."""
    own: dict[str, Callable[..., float]] = {}
    functions: list[Any] = [metric for metric in asked if callable(metric)]
    for metric in functions:
        name = getattr(metric, "__name__", "<lambda>")
        if name == "<lambda>":
            raise ValueError(
                "metrics must be names or functions with a name, which the table shows. Received: "
                f"{metric!r}. Define it with def name(y_true, y_score, k)."
            )
        if name in _METRICS or own.setdefault(name, metric) != metric:
            raise ValueError(
                f"metrics must have a name each. Received a function called {name!r}, as another "
                "metric is. Rename it, or pass the string if it is that metric."
            )
    return own


class Group(NamedTuple):
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

    def differences(self, reference: Group) -> Iterator[dict[str, float]]:
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


def measure(estimator: Any, X: Any, settings: Settings, by: Any) -> list[Group]:
    """Measure a fitted recommender, label by label."""
    matched = read_held_out(estimator, X, None, settings.task)
    rows = matched.rows
    return [
        Group(
            label,
            _measure_queries(matched, rows.gather(part), settings),
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


def _measure_queries(matched: Matched, held_out: HeldOut, settings: Settings) -> _Values:
    values = _values_of(matched, replace(held_out, seconds=None), settings)
    if held_out.seconds is not None:
        values |= _values_of(matched, held_out, settings, ", timed")
    place = settings.metrics.index
    return dict(sorted(values.items(), key=lambda item: place(item[0][1])))


def _values_of(
    matched: Matched, held_out: HeldOut, settings: Settings, suffix: str = ""
) -> _Values:
    """Return the metrics of exact and of sampled rankings, whose names end in the suffix."""
    values = _exact_values(matched, held_out, settings, f"exact{suffix}")
    n_negatives = settings.task.n_negatives
    if n_negatives is not None and not set(settings.metrics) <= set(_OF_LISTS):
        parts: _Parts = defaultdict(list)
        for lists in ranked_lists(matched, held_out, n_negatives):
            _add_accuracy(parts, f"sampled{suffix}", *lists, settings)
        values |= _joined(parts)
    return values


def _exact_values(matched: Matched, held_out: HeldOut, settings: Settings, ranking: str) -> _Values:
    """Return the metrics of accuracy among the whole catalogue, and those of lists."""
    of_lists = [metric for metric in settings.metrics if metric in _OF_LISTS]
    parts: _Parts = defaultdict(list)
    tops = []
    n_done = 0
    for relevance, scores in ranked_lists(matched, held_out, None):
        _add_accuracy(parts, ranking, relevance, scores, settings)
        if of_lists:
            users, items, ranks = top_items(scores[:, : matched.rows.n_items], settings.cutoffs[-1])
            tops.append((users + n_done, items, ranks))
            n_done += len(scores)
    if not of_lists:
        return _joined(parts)
    users, items, ranks = (np.concatenate(column) for column in zip(*tops, strict=True))
    popularity = matched.recommender.popularity_
    information = -np.log2(np.maximum(popularity, 1) / matched.n_fitted_users)
    for k in settings.cutoffs:
        shown = Recommended(users[ranks <= k], items[ranks <= k], k, information)
        for metric in of_lists:
            values = _OF_LISTS[metric](shown) if len(users) else np.array([np.nan])
            parts[ranking, metric, k].append(values)
    return _joined(parts)


def _add_accuracy(
    parts: _Parts,
    ranking: str,
    relevance: NDArray[np.bool_],
    scores: Scores,
    settings: Settings,
) -> None:
    """Add the values of a block of users."""
    at_k = [metric for metric in settings.metrics if metric in _AT_K]
    if at_k:
        tops = describe_tops(relevance, scores, settings.cutoffs[-1])
        for metric, k in product(at_k, settings.cutoffs):
            parts[ranking, metric, k].append(_AT_K[metric](tops.cut(k)))
    for (name, own), k in product(settings.own.items(), settings.cutoffs):
        parts[ranking, name, k].append(_query_by_query(own, relevance, scores, k))
    if "auc" in settings.metrics:
        parts[ranking, "auc", None].append(aucs(relevance, scores))


def _query_by_query(
    metric: Callable[..., float], relevance: NDArray[np.bool_], scores: Scores, k: int
) -> Float64s:
    """Return the value of each query, which a metric, the mean over queries, gives of it alone."""
    rows = range(len(scores))
    return np.array(
        [float(metric(relevance[i : i + 1], scores[i : i + 1], k=k)) for i in rows], np.float64
    )


def _joined(parts: _Parts) -> _Values:
    return {key: np.concatenate(values) for key, values in parts.items()}
