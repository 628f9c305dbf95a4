"""The items of each user, oldest first, and their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.request_times import Span
from neumf.interactions.timeline import recency_weights
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Float32s, Float64s, Indices, Scores


@dataclass(frozen=True)
class UserItems:
    """The items of users, user by user, each oldest first."""

    items: Indices  # a position is a position in this array
    bounds: Indices  # where the items of each user begin, and end, shape (n_users + 1,)
    seconds: Float64s | None = None  # timestamps; None if missing or not needed

    @classmethod
    def of_sorted_rows(
        cls, users: Indices, items: Indices, seconds: Float64s | None, n_users: int
    ) -> UserItems:
        """Return the items of rows that stand user by user, each user's oldest first."""
        counts = np.bincount(users, minlength=n_users)
        return cls(items, np.append(0, np.cumsum(counts)), seconds)

    @property
    def users(self) -> Indices:
        """The user of each position."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    @property
    def ends(self) -> Indices:
        """Where the items of each position's user end."""
        return np.repeat(self.bounds[1:], np.diff(self.bounds))

    def take(self, users: Indices, length: int | None = None) -> UserItems:
        """Return these users, -1 for one without any items, with the last items of each."""
        ends = self.bounds[users + 1]
        counts = np.where(users < 0, 0, ends - self.bounds[users])
        if length is not None:
            counts = np.minimum(counts, length)
        bounds, positions = _runs(ends - counts, counts)
        return UserItems(
            self.items[positions], bounds, None if self.seconds is None else self.seconds[positions]
        )

    def followed_by(self, new: UserItems) -> UserItems:
        """Return the same users after further rows of theirs; those without times came first."""
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
        """Return the weight of each position, by how many the user has after it."""
        return recency_weights(self.ends - 1 - np.arange(len(self.items)), recency)

    def sum_weights(self, weights: Scores, n_items: int) -> sp.csr_array:
        """Return the sum of weights of each user and item, shape (n_users, n_items)."""
        shape = len(self.bounds) - 1, n_items
        matrix = sp.csr_array((weights.astype(np.float32), self.items, self.bounds), shape=shape)
        matrix = matrix.copy()  # of the items, which are sorted in place
        matrix.sum_duplicates()
        return matrix

    def weigh_last(
        self, users: Indices, decay: Span, length: int | None, n_items: int
    ) -> sp.csr_array:
        """Return the weight of each item after the user's last row, shape (n, n_items).

        The last `length` items count, None for all. Repeated items are stored repeatedly.
        """
        last = self.take(users, length)
        ends = last.ends
        positions = np.arange(len(last.items))
        # The row to come is a row after the last, and at its time.
        weights = _weights(ends - positions, ends - 1, positions, last.seconds, decay)
        return sp.csr_array((weights, last.items, last.bounds), shape=(len(users), n_items))

    def weigh_for_later(
        self, positions: Indices, ends: Indices, decay: Span, length: int
    ) -> tuple[Indices, Indices, Float64s]:
        """Return the weights of items for up to `length` rows after their positions.

        `ends` are where the items of each one's user end. The values are the bounds of the rows
        after each position, shape (n + 1,), the positions of these rows, and their weights.
        """
        counts = np.minimum(ends - positions - 1, length)
        bounds, later = _runs(positions + 1, counts)
        sources = np.repeat(positions, counts)
        return bounds, later, _weights(later - sources, later, sources, self.seconds, decay)


def read_user_items(state: CheckedValues, shape: tuple[int, int]) -> UserItems | None:
    """Return the items of the users in a file, which has to have them if it has timestamps."""
    if not state.has("user_items_"):
        if state.of_type("has_timestamps_", bool):
            raise damaged_file_error("it has timestamps, but lacks the items of users")
        return None
    part = state.part("user_items_")
    items = part.indices("items", (None,), shape[1])
    seconds = part.floats("seconds", items.shape) if part.has("seconds") else None
    return UserItems(items, part.bounds("bounds", shape[0], len(items)), seconds)


def _runs(starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Return runs of successive numbers one behind the other, and where each begins and ends."""
    bounds = np.append(0, np.cumsum(counts))
    return bounds, np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], counts)


def _weights(
    gaps: Indices, rows: Indices, positions: Indices, seconds: Float64s | None, decay: Span
) -> Float64s:
    """Return exp(-gap / decay), with gaps from a position to a row, in rows or in time."""
    if decay.in_time and seconds is not None:
        # Further rows follow those of `fit` whatever their timestamps say.
        return np.exp(-np.maximum(seconds[rows] - seconds[positions], 0) / decay.length)
    return np.exp(-(gaps - 1) / decay.length)
