"""The order of rows in time, and where each row stands in its user's timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.utils.arrays import Codes, Float32s


def time_order(users: Codes, timestamps: NDArray[Any] | None) -> Codes:
    """Return the rows sorted by user, then time; equal times keep the order of the table."""
    # lexsort is stable, which is what keeps the order of ties.
    return np.lexsort((users,) if timestamps is None else (timestamps, users))


@dataclass(frozen=True)
class Timelines:
    """Where each row stands among the positives of its user.

    Attributes
    ----------
    users : ndarray of shape (n_rows,)
        The user of each row.
    places : ndarray of shape (n_rows,) of int32
        How many positives of the user come before the row. A row that is no positive stands where
        the positive stands that it was drawn for.
    counts : ndarray of shape (n_users,)
        How many positives each user has.
    positive : ndarray of bool of shape (n_rows,) or None
        Which rows are positives; None means all.
    """

    users: Codes
    places: NDArray[np.int32]
    counts: NDArray[np.int32]
    positive: NDArray[np.bool_] | None = None

    def from_last(self) -> Codes:
        """Count the positives of the user after each row; 0 for a row after the last positive."""
        from_last: Codes = np.maximum(self.counts[self.users] - 1 - self.places, 0)
        return from_last

    def without_last(self, last: Codes) -> Timelines:
        """Drop these rows, each the last positive of its user."""
        counts = self.counts.copy()
        counts[self.users[last]] -= 1
        positive = None if self.positive is None else np.delete(self.positive, last)
        users, places = np.delete(self.users, last), np.delete(self.places, last)
        return Timelines(users, places, counts, positive)


def read_timelines(
    users: Codes,
    timestamps: NDArray[Any] | None,
    n_users: int,
    positive: NDArray[np.bool_] | None = None,
) -> Timelines:
    """Find the place of each row in time.

    Parameters
    ----------
    users : ndarray of shape (n_rows,)
        Indices.
    timestamps : ndarray of shape (n_rows,) or None
        None where row order is time order.
    n_users : int
        Number of users.
    positive : ndarray of bool of shape (n_rows,) or None
        Which rows are positives; None means all.

    Notes
    -----
    The table does not say which positive a row labelled 0 was drawn for. With timestamps it is one
    of the same user and time, otherwise one of the same user: of k such rows and m such positives,
    the j-th row belongs to the positive number ``j * m // k``, in the order of the table. That is
    right for the same number of negatives for each positive, behind it or behind all positives.
    Never does a row stand behind a positive that comes later.
    """
    counts = np.bincount(users if positive is None else users[positive], minlength=n_users)
    # NumPy sorts integers of 16 bits several times as fast as larger ones.
    order = time_order(users.astype(np.min_scalar_type(n_users)), timestamps)
    places = np.empty(len(users), dtype=np.int32)
    if positive is None:
        places[order] = np.arange(len(users)) - _run_starts(users[order])
    else:
        times = None if timestamps is None else timestamps[order]
        places[order] = _places_of_labelled(users[order], times, positive[order])
    return Timelines(users, places, counts.astype(np.int32), positive)


def _run_starts(*sorted_keys: NDArray[Any]) -> Codes:
    """Return, for each row, the first row of its run of equal keys."""
    n = len(sorted_keys[0])
    begins = np.zeros(n, dtype=bool)
    begins[:1] = True
    for keys in sorted_keys:
        begins[1:] |= keys[1:] != keys[:-1]
    starts: Codes = np.maximum.accumulate(np.where(begins, np.arange(n), 0))
    return starts


def _count_before(counted: NDArray[np.bool_], starts: Codes) -> Codes:
    """Return how many rows count that stand before each row, from the start of its run on."""
    before: Codes = np.cumsum(counted) - counted
    return before - before[starts]


def _places_of_labelled(
    users: Codes, times: NDArray[Any] | None, positive: NDArray[np.bool_]
) -> Codes:
    """Return the place of each row among its user's positives; rows are in order of time."""
    before = _count_before(positive, _run_starts(users))
    group = _run_starts(users) if times is None else _run_starts(users, times)
    number = _count_before(~positive, group)
    n_positives, n_negatives = (
        np.bincount(group[rows], minlength=len(users)) for rows in (positive, ~positive)
    )
    group, number = group[~positive], number[~positive]
    drawn_for = before[group] + number * n_positives[group] // n_negatives[group]
    before[~positive] = np.minimum(drawn_for, before[~positive])
    return before


def recency_weights(from_last: Codes, recency: float) -> Float32s:
    """Return the weight of a row by the number of positives that its user has after it."""
    weights: Float32s = ((1.0 + from_last) ** -recency).astype(np.float32)
    return weights
