"""The items of each user, oldest first: their weights, and their popularity at request times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import logit

from neumf.interactions.request_times import Span
from neumf.interactions.seen import narrow_csr
from neumf.interactions.timeline import recency_weights
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Float32s, Float64s, Indices, Scores


@dataclass(frozen=True)
class UserItems:
    """The items of users, sorted by user, then time."""

    items: Indices  # all methods count positions in this array
    bounds: Indices  # shape (n_users + 1,): user u has items[bounds[u] : bounds[u + 1]]
    seconds: Float64s | None = None  # timestamps; None if missing or not needed

    @classmethod
    def of_sorted_rows(
        cls, users: Indices, items: Indices, seconds: Float64s | None, n_users: int
    ) -> UserItems:
        """Return the items of rows that are sorted by user, then time."""
        counts = np.bincount(users, minlength=n_users)
        return cls(items, np.append(0, np.cumsum(counts)), seconds)

    @property
    def users(self) -> Indices:
        """The user of each position."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    @property
    def ends(self) -> Indices:
        """For each position, the end of its user's items."""
        return np.repeat(self.bounds[1:], np.diff(self.bounds))

    def take(self, users: Indices, length: int | None = None) -> UserItems:
        """Return the last `length` items of these users; -1 stands for a user without items."""
        ends = self.bounds[users + 1]
        counts = np.where(users < 0, 0, ends - self.bounds[users])
        if length is not None:
            counts = np.minimum(counts, length)
        bounds, positions = _runs(ends - counts, counts)
        return UserItems(
            self.items[positions], bounds, None if self.seconds is None else self.seconds[positions]
        )

    def followed_by(self, new: UserItems) -> UserItems:
        """Append new rows of the same users; without timestamps, they get the time -inf."""
        if self.seconds is not None and new.seconds is None:
            new = replace(new, seconds=np.full(len(new.items), -np.inf))
        bounds = self.bounds + new.bounds
        counts, n_new = np.diff(self.bounds), np.diff(new.bounds)
        before = _runs(bounds[:-1], counts)[1]
        after = _runs(bounds[:-1] + counts, n_new)[1]

        def join(old: NDArray[Any], further: NDArray[Any]) -> NDArray[Any]:
            joined = np.empty(bounds[-1], dtype=old.dtype)
            joined[before], joined[after] = old, further
            return joined

        seconds = None
        if self.seconds is not None and new.seconds is not None:
            seconds = join(self.seconds, new.seconds)
        return UserItems(join(self.items, new.items), bounds, seconds)

    def recency_weights(self, recency: float) -> Float32s:
        """Return the recency weight of each position."""
        return recency_weights(self.ends - 1 - np.arange(len(self.items)), recency)

    def sum_weights(self, weights: Scores, n_items: int) -> sp.csr_array:
        """Return the sum of weights of each user and item, shape (n_users, n_items)."""
        shape = len(self.bounds) - 1, n_items
        matrix = sp.csr_array((weights.astype(np.float32), self.items, self.bounds), shape=shape)
        matrix = matrix.copy()  # `sum_duplicates` would sort `self.items` in place
        matrix.sum_duplicates()
        return matrix

    def weigh_last(
        self, users: Indices, decay: Span, length: int | None, n_items: int
    ) -> sp.csr_array:
        """Return the weight of each user's items for their next row, shape (n, n_items).

        Only the last `length` items count (None: all). A repeated item has several stored values.
        """
        last = self.take(users, length)
        ends = last.ends
        positions = np.arange(len(last.items))
        # The next row is one row after the last one, and has the same time.
        weights = _weights(ends - positions, ends - 1, positions, last.seconds, decay)
        return narrow_csr((weights, last.items, last.bounds), (len(users), n_items))

    def weigh_for_later(
        self, positions: Indices, ends: Indices, decay: Span, length: int
    ) -> tuple[Indices, Indices, Float64s]:
        """Return the weight of each position's item for up to `length` later rows of the user.

        `ends` holds, for each position, the end of its user's items. The three results are the
        bounds of the later rows of each position, shape (n + 1,), the positions of these rows, and
        their weights.
        """
        counts = np.minimum(ends - positions - 1, length)
        bounds, later = _runs(positions + 1, counts)
        sources = np.repeat(positions, counts)
        return bounds, later, _weights(later - sources, later, sources, self.seconds, decay)


@dataclass(frozen=True)
class FirstRows:
    """The first row of each pair of user and item, oldest first."""

    items: Indices
    seconds: Float64s
    user_seconds: Float64s  # time of each user's first row, sorted
    n_items: int  # size of the catalogue

    @classmethod
    def of(cls, rows: UserItems, n_items: int) -> FirstRows:
        """Find the first row of each pair of user and item, and sort these rows by time."""
        seconds = np.empty(0) if rows.seconds is None else rows.seconds
        order = np.argsort(seconds, kind="stable")
        users, items = rows.users[order], rows.items[order]
        _, pairs = np.unique(users * np.int64(n_items) + items, return_index=True)
        _, firsts = np.unique(users, return_index=True)
        pairs.sort()
        return cls(items[pairs], seconds[order][pairs], np.sort(seconds[order][firsts]), n_items)

    def logits(self, times: Float64s) -> Float64s:
        """Return the popularity logits of all items at request times, shape (n, n_items).

        Laplace's rule estimates the probability that a user has an item, as for
        `popularity_logits_`.
        """
        logits = np.empty((len(times), self.n_items))
        stops = np.searchsorted(self.seconds, times, side="left")
        n_users = np.searchsorted(self.user_seconds, times, side="left")
        counts, start = np.zeros(self.n_items), 0
        for query in np.argsort(times, kind="stable"):
            stop = stops[query]
            counts += np.bincount(self.items[start:stop], minlength=self.n_items)
            start = stop
            logits[query] = logit((counts + 1) / (n_users[query] + 2))
        return logits


def popularity_logits_at(rows: UserItems | None, n_items: int, seconds: float) -> Float64s:
    """Return the popularity logits of all items at one request time."""
    nobody = UserItems(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0))
    logits: Float64s = FirstRows.of(rows or nobody, n_items).logits(np.array([seconds]))[0]
    return logits


def read_user_items(state: CheckedValues, shape: tuple[int, int]) -> UserItems | None:
    """Read the items of users from a file; raise if it has timestamps but no items."""
    if not state.has("user_items_"):
        if state.of_type("has_timestamps_", bool):
            raise damaged_file_error("it has timestamps, but lacks the items of users")
        return None
    part = state.part("user_items_")
    items = part.indices("items", (None,), shape[1])
    seconds = part.floats("seconds", items.shape) if part.has("seconds") else None
    return UserItems(items, part.bounds("bounds", shape[0], len(items)), seconds)


def _runs(starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Return the bounds of concatenated ranges, and the numbers of these ranges."""
    bounds = np.append(0, np.cumsum(counts))
    return bounds, np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], counts)


def _weights(
    gaps: Indices, rows: Indices, positions: Indices, seconds: Float64s | None, decay: Span
) -> Float64s:
    """Return weights that decay with the gap from a position to a row, in rows or in time."""
    if decay.in_time and seconds is not None:
        # New rows follow the rows of `fit` even if their timestamps are earlier.
        return np.exp(-np.maximum(seconds[rows] - seconds[positions], 0) / decay.length)
    return np.exp(-(gaps - 1) / decay.length)
