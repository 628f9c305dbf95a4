"""Popularity of items, overall or recent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.new_rows import NewRows
from neumf.interactions.request_times import (
    Span,
    read_span,
    require_order_of_span,
    require_timestamps,
)
from neumf.interactions.user_items import FirstRows, UserItems
from neumf.protocols import Ranker
from neumf.ranking.rankers import PopularityRanker, QueryRanker
from neumf.ranking.top_k import candidate_scores
from neumf.saving.checked_values import CheckedValues
from neumf.utils.arrays import Float64s, Indices, Scores

# Weight of a row at any age: it orders the items without recent rows.
_OLD_ROW = 1e-6


class PopularityRecommender(BaseRecommender):
    r"""Recommend the most popular items, overall or recently.

    .. versionadded:: 0.1

    Parameters
    ----------
    half_life : float, duration or None, default=None
        How fast rows lose weight with their age.

        - A number: the weight halves after this number of later rows of the whole table.
        - A duration (`pandas.Timedelta`, `datetime.timedelta` or a string such as "30D"): the
          weight halves after this time.
        - None: the users of each item are counted, without decay.

    Attributes
    ----------
    users_, items_, seen_, popularity_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.
    popularity_logits_ : ndarray of shape (n_items,)
        The score of each item, the same for all users: the logit of the probability that a user
        interacts with the item, by Laplace's rule ``(popularity_ + 1) / (n_users + 2)``. With
        `half_life`, it is the logit of the probability that the next row has the item.

    See Also
    --------
    NextItemRecommender : Makes a different list for each user.

    Notes
    -----
    Without `half_life`, `predict` estimates the probability that a user interacts with an item, the
    same for all users. With `half_life`, it estimates the probability that the next row has item i,
    :math:`(c_i + 1) / (\sum_j c_j + 2)`, where

    .. math:: c_i = \sum_{r:\, t_r = i}
              w_r \left(2^{-a_r / \mathrm{half\_life}} + \frac{10^{-6}}{n + 1}\right)

    is a sum over the rows r of item i before the request time. :math:`a_r` is the age of a row at
    the request time (in rows of the table or in time), :math:`w_r` is its `sample_weight`, and n is
    the number of all rows before the request time. The last term orders the items without recent
    rows by their number of rows.

    The request time is given by `at` or, by default, just after the last row of `fit`. Rows at the
    request time or later do not count.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> X = [["a", "x"], ["b", "x"], ["b", "y"], ["c", "z"], ["d", "z"], ["d", "x"]]
    >>> PopularityRecommender().fit(X).recommend(["a", "c"], k=1)[["user", "item", "rank"]]
      user item  rank
    0    a    z     1
    1    c    x     1
    """

    def __init__(self, half_life: Any = None) -> None:
        self.half_life = half_life

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Count users or, with `half_life`, weighted rows of each item; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, with `half_life` only. Without it, each user counts once per item.

        Raises
        ------
        ValueError, TypeError
            If `half_life` is not a number or duration above 0, a table cannot be read, or
            `half_life` needs an order or timestamps that X lacks.
        """
        rows = read_rows(X, y, sample_weight)
        learned: dict[str, Any] = {"_recent_rows": None, "_rows_of_fit": None}
        if self.half_life is not None:
            span = read_span(self.half_life, "half_life")
            require_order_of_span(rows, span, "X", f"half_life={self.half_life!r}")
            recent = RecentRows.of_rows(rows, span)
            learned |= {"_recent_rows": recent, "popularity_logits_": recent.logits_at_the_end()}
        elif rows.timestamps is not None:
            learned["_rows_of_fit"] = rows.user_items[0]
        keep_rows(self, rows, **learned)
        return self

    @property
    def ranker_(self) -> PopularityRanker:
        """The ranker, which gives an item the same score for every user."""
        return PopularityRanker(self.popularity_logits_)

    def _ranker_at(self, users: Indices, seconds: Float64s) -> Ranker:
        if self._recent_rows is not None:
            return PastPopularityRanker(self._recent_rows, seconds)
        if self._rows_of_fit is None:
            return QueryRanker(self.ranker_, users)
        return PastPopularityRanker(FirstRows.of(self._rows_of_fit, len(self.items_)), seconds)

    def _popularity_logits_at(self, seconds: float) -> Float64s:
        ranker = self._ranker_at(np.array([-1]), np.array([seconds]))
        logits: Float64s = ranker.score_items(np.array([0]))[0].astype(np.float64)
        return logits

    def _state(self) -> dict[str, Any]:
        recent = self._recent_rows
        if recent is None:
            return super()._state()
        parts = vars(recent) | {"half_life": vars(recent.half_life)}
        return super()._state() | {"recent_rows": parts}

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        self._recent_rows, self._rows_of_fit = None, self.user_items_
        if state.has("recent_rows"):
            self._recent_rows = RecentRows.restore(state.part("recent_rows"), len(self.items_))

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        return {}  # the scores depend on no user

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        recent, rows = self._recent_rows, self.user_items_
        if rows is None:
            return {}  # without times, recent rows are items in an order, without users
        if recent is None:
            return {"_rows_of_fit": rows.take(kept)}
        gone = np.delete(np.arange(len(self.users_)), kept)
        return {"_recent_rows": recent.without(rows.take(gone))}


@dataclass(frozen=True)
class RecentRows:
    """Rows whose weights decay with age, oldest first."""

    items: Indices
    seconds: Float64s | None
    weights: NDArray[np.float32] | None  # at age 0; None means 1
    n_items: int  # of the catalogue
    half_life: Span

    @classmethod
    def of_rows(cls, rows: EncodedRows, half_life: Span) -> RecentRows:
        """Sort the positives by time; equal times keep the order of the table."""
        times = rows.timestamps
        order = np.arange(len(rows.items)) if times is None else np.argsort(times, kind="stable")
        if rows.positive is not None:
            order = order[rows.positive[order]]
        seconds = None if rows.seconds is None else rows.seconds[order]
        weights = None if rows.weights is None else rows.weights[order]
        return cls(rows.items[order], seconds, weights, rows.shape[1], half_life)

    @classmethod
    def restore(cls, state: CheckedValues, n_items: int) -> RecentRows:
        """Read the rows from a file."""
        half_life = Span.restore(state.part("half_life"))
        items = state.indices("items", (None,), n_items)
        seconds = weights = None
        if half_life.in_time or state.has("seconds"):
            seconds = state.floats("seconds", items.shape)
        if state.has("weights"):
            weights = state.floats("weights", items.shape, at_least=0)
        return cls(items, seconds, weights, n_items, half_life)

    def without(self, rows: UserItems) -> RecentRows:
        """Leave out one row for each of these items and times."""
        seconds = np.asarray(self.seconds)
        gone = _numbered(rows.items, np.asarray(rows.seconds))
        left = np.flatnonzero(~_numbered(self.items, seconds).isin(gone))
        weights = None if self.weights is None else self.weights[left]
        return replace(self, items=self.items[left], seconds=seconds[left], weights=weights)

    def logits_at_the_end(self) -> Float64s:
        """Return the logit of each item just after the last row."""
        n_rows = len(self.items)
        clock = float(n_rows)
        if self.half_life.in_time and self.seconds is not None:
            clock = float(self.seconds[-1]) if n_rows else 0.0
        logits: Float64s = self._logits(np.array([n_rows]), np.array([clock]))[0]
        return logits

    def logits(self, times: Float64s) -> Float64s:
        """Return the logits of all items just before request times, shape (n, n_items)."""
        seconds = require_timestamps(
            self.seconds, "X of fit", "half_life and a request time (at=) are given", "leave at out"
        )
        # Strictly before: a row at the request time may be the one to predict.
        n_before = np.searchsorted(seconds, times, side="left")
        return self._logits(
            n_before, times if self.half_life.in_time else n_before.astype(np.float64)
        )

    def _logits(self, n_before: Indices, clocks: Float64s) -> Float64s:
        """Return the logits at request times `clocks`, in seconds or in rows.

        `n_before` counts the rows before each request time.
        """
        logits = np.empty((len(n_before), self.n_items))
        recent, all_rows = np.zeros((2, self.n_items))
        start, clock = 0, float(np.min(clocks, initial=np.inf))
        # From one request time to the next, counts decay and the rows between are added.
        for query in np.argsort(clocks, kind="stable"):
            stop = int(n_before[query])
            recent *= self._decay(clocks[query] - clock)
            clock, rows = clocks[query], slice(start, stop)
            items, times = self.items[rows], np.arange(start + 1.0, stop + 1.0)
            if self.half_life.in_time and self.seconds is not None:
                times = self.seconds[rows]
            weights: Any = np.ones(len(items)) if self.weights is None else self.weights[rows]
            recent += np.bincount(items, weights * self._decay(clock - times), self.n_items)
            all_rows += np.bincount(items, weights, self.n_items)
            start = stop
            counts = recent + _OLD_ROW / (stop + 1) * all_rows
            logits[query] = logit((counts + 1) / (counts.sum() + 2))
        return logits

    def _decay(self, ages: Float64s) -> Float64s:
        """Return the factors by which weights are multiplied at these ages."""
        return np.exp2(-ages / self.half_life.length)


def _numbered(items: Indices, seconds: Float64s) -> pd.MultiIndex:
    """Return an index of items, times, and the number of earlier rows with both."""
    rows = pd.DataFrame({"item": items, "second": seconds})
    return pd.MultiIndex.from_frame(rows.assign(n=rows.groupby(["item", "second"]).cumcount()))


@dataclass(frozen=True)
class PastPopularityRanker:
    """Rank items by their popularity before the request time of each query."""

    rows: FirstRows | RecentRows
    seconds: Float64s  # of each query

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items); `users` are indices of queries."""
        return self.rows.logits(self.seconds[users])

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of the shape of items; `users` are indices of queries."""
        return candidate_scores(self.score_items, self.rows.n_items, users, items)
