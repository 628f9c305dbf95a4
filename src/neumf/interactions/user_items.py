"""What each user had, oldest first, and how much of it still counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.moments import Span
from neumf.interactions.timeline import time_order
from neumf.saving.checked_values import CheckedValues
from neumf.utils.arrays import Codes, Float64s


@dataclass(frozen=True)
class UserItems:
    """The items of users, user by user, each oldest first.

    Attributes
    ----------
    items : ndarray of shape (n_rows,)
        Indices. A place among them is a row of the user's.
    bounds : ndarray of shape (n_users + 1,)
        Where the items of each user begin, and end.
    seconds : ndarray of shape (n_rows,) or None
        When each was; None where nothing tells or nobody asks.
    """

    items: Codes
    bounds: Codes
    seconds: Float64s | None = None

    @classmethod
    def of_sorted_rows(
        cls, users: Codes, items: Codes, seconds: Float64s | None, n_users: int
    ) -> UserItems:
        """Return the items of rows that stand user by user, each user's oldest first."""
        counts = np.bincount(users, minlength=n_users)
        return cls(items, np.append(0, np.cumsum(counts)), seconds)

    @classmethod
    def of_rows(cls, rows: EncodedRows, *, with_seconds: bool) -> tuple[UserItems, Codes]:
        """Return the items of all positives, and the row that each place is."""
        order = time_order(rows.users, rows.timestamps)
        if rows.positive is not None:
            order = order[rows.positive[order]]
        seconds = None
        if with_seconds and rows.seconds is not None:
            seconds = rows.seconds[order]
        users = rows.users[order]
        return cls.of_sorted_rows(users, rows.items[order], seconds, rows.shape[0]), order

    @classmethod
    def restore(cls, state: CheckedValues, n_users: int, n_items: int) -> UserItems:
        """Return the items of users in a file."""
        items = state.indices("items", (None,), n_items)
        bounds = state.bounds("bounds", n_users, len(items))
        seconds = state.floats("seconds", items.shape) if state.has("seconds") else None
        return cls(items, bounds, seconds)

    @property
    def users(self) -> Codes:
        """The user of each place."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    @property
    def ends(self) -> Codes:
        """Where the items of each place's user end."""
        return np.repeat(self.bounds[1:], np.diff(self.bounds))

    def take(self, users: Codes, length: int | None = None) -> UserItems:
        """Return these users, -1 for one without any items, with the last items of each."""
        ends = self.bounds[users + 1]
        counts = np.where(users < 0, 0, ends - self.bounds[users])
        if length is not None:
            counts = np.minimum(counts, length)
        bounds, places = _runs(ends - counts, counts)
        return UserItems(
            self.items[places], bounds, None if self.seconds is None else self.seconds[places]
        )

    def followed_by(self, new: UserItems) -> UserItems:
        """Return the same users after further rows of theirs."""
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

    def weigh_last(
        self, users: Codes, decay: Span, length: int | None, n_items: int
    ) -> sp.csr_array:
        """Return how much each item counts after the user's last row, shape (n, n_items).

        The last `length` items count, None for all. An item that a user had twice is stored twice.
        """
        last = self.take(users, length)
        ends = last.ends
        places = np.arange(len(last.items))
        # The row to come is a row after the last, and at its time.
        weights = _weights(ends - places, ends - 1, places, last.seconds, decay)
        return sp.csr_array((weights, last.items, last.bounds), shape=(len(users), n_items))

    def weigh_for_later(
        self, places: Codes, ends: Codes, decay: Span, length: int
    ) -> tuple[Codes, Codes, Float64s]:
        """Return how much the items at these places count for the rows after them.

        Parameters
        ----------
        places : ndarray of shape (n,)
            Places.
        ends : ndarray of shape (n,)
            Where the items of each one's user end.
        decay : Span
            How fast items lose weight.
        length : int
            An item counts for so many rows of its user.

        Returns
        -------
        bounds : ndarray of shape (n + 1,)
            Where the rows after each place begin, and end.
        later : ndarray of shape (bounds[-1],)
            Places of these rows.
        weights : ndarray of shape (bounds[-1],)
            How much the item counts for each of them.
        """
        counts = np.minimum(ends - places - 1, length)
        bounds, later = _runs(places + 1, counts)
        sources = np.repeat(places, counts)
        return bounds, later, _weights(later - sources, later, sources, self.seconds, decay)


def _runs(starts: Codes, counts: Codes) -> tuple[Codes, Codes]:
    """Return runs of successive numbers one behind the other, and where each begins and ends."""
    bounds = np.append(0, np.cumsum(counts))
    return bounds, np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], counts)


def _weights(
    gaps: Codes, rows: Codes, places: Codes, seconds: Float64s | None, decay: Span
) -> Float64s:
    """Return exp(-gap / decay), with gaps from a place to a row, in rows from 0 or in time."""
    if decay.in_time and seconds is not None:
        # Further rows follow those of `fit` whatever their timestamps say.
        return np.exp(-np.maximum(seconds[rows] - seconds[places], 0) / decay.length)
    return np.exp(-(gaps - 1) / decay.length)
