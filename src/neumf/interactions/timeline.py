"""The order of rows in time, and the position of each row in its user's timeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.utils.arrays import Float32s, Indices


def time_order(users: Indices, timestamps: NDArray[Any] | None) -> Indices:
    """Return the rows sorted by user, then time; equal times keep the order of the table."""
    # lexsort is stable: it keeps the order of ties.
    return np.lexsort((users,) if timestamps is None else (timestamps, users))


@dataclass(frozen=True)
class Timelines:
    """The position of each row among the positives of its user."""

    users: Indices  # the user of each row
    # Number of the user's positives before each row. A negative has the position of the positive
    # that it was drawn for.
    positions: NDArray[np.int32]
    counts: NDArray[np.int32]  # number of positives of each user
    positive: NDArray[np.bool_] | None = None  # mask of the positives; None if all rows are

    def from_last(self) -> Indices:
        """Count the positives of the user after each row; 0 for a row after the last positive."""
        from_last: Indices = np.maximum(self.counts[self.users] - 1 - self.positions, 0)
        return from_last

    def without(self, rows: Indices) -> Timelines:
        """Drop these rows, at most one positive of each user."""
        counts, dropped = self.counts.copy(), np.full(len(self.counts), len(self.users))
        counts[self.users[rows]] -= 1
        dropped[self.users[rows]] = self.positions[rows]
        positions = self.positions - (self.positions > dropped[self.users])
        users, positions = np.delete(self.users, rows), np.delete(positions, rows)
        positive = None if self.positive is None else np.delete(self.positive, rows)
        return Timelines(users, positions, counts, positive)


def read_timelines(
    users: Indices,
    timestamps: NDArray[Any] | None,
    n_users: int,
    positive: NDArray[np.bool_] | None = None,
) -> Timelines:
    """Find the position of each row in time.

    A table does not say which positive a negative (a row labelled 0) was drawn for. It is taken to
    be a positive of the same user and, with timestamps, of the same time. Of k such negatives and
    m such positives, in the order of the table, negative j belongs to positive ``j * m // k``.
    This is exact if all positives have the same number of negatives, and the negatives follow
    either their own positive or all positives.
    """
    counts = np.bincount(users if positive is None else users[positive], minlength=n_users)
    # NumPy sorts integers of 16 bits several times as fast as larger ones.
    order = time_order(users.astype(np.min_scalar_type(n_users)), timestamps)
    positions = np.empty(len(users), dtype=np.int32)
    starts = _run_starts(users[order])
    if positive is None:
        positions[order] = np.arange(len(users)) - starts
        return Timelines(users, positions, counts.astype(np.int32))
    groups = starts if timestamps is None else _run_starts(users[order], timestamps[order])
    drawn = ~positive[order]
    before = _count_before(~drawn, starts)
    rank = _count_before(drawn, groups)[drawn]
    n_positives, n_drawn = (
        np.bincount(groups[rows], minlength=len(users)) for rows in (~drawn, drawn)
    )
    groups = groups[drawn]
    drawn_for = before[groups] + rank * n_positives[groups] // n_drawn[groups]
    before[drawn] = np.minimum(drawn_for, before[drawn])
    positions[order] = before
    return Timelines(users, positions, counts.astype(np.int32), positive)


def _run_starts(*sorted_keys: NDArray[Any]) -> Indices:
    """Return, for each row, the first row of its run of equal keys."""
    n = len(sorted_keys[0])
    begins = np.zeros(n, dtype=bool)
    begins[:1] = True
    for keys in sorted_keys:
        begins[1:] |= keys[1:] != keys[:-1]
    return np.maximum.accumulate(np.where(begins, np.arange(n), 0))


def _count_before(counted: NDArray[np.bool_], starts: Indices) -> Indices:
    """Count the rows of a mask before each row, from the start of the row's run."""
    before: Indices = np.cumsum(counted) - counted
    return before - before[starts]


def recency_weights(from_last: Indices, recency: float) -> Float32s:
    """Return the weight of rows by the number of the user's later positives."""
    return ((1.0 + from_last) ** -recency).astype(np.float32)
