"""The histories of rows: what their users had before them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf._arrays import Codes
from neumf.interactions.timeline import time_order

# Rows that are sorted at once where order is wanted for a moment only.
_BLOCK_ROWS = 2**22


@dataclass(frozen=True)
class Histories:
    """The last items that each row's user had strictly before the row.

    Attributes
    ----------
    items : ndarray of shape (n_positives + 1,)
        The items of all users, user by user, each oldest first, and one more that is no item.
    bounds : ndarray of shape (n_users + 1,)
        Where the items of each user begin, and end.
    users, ends : ndarray of shape (n_rows,)
        The user of each row, and the end of its history: the row's place among the items.
    length : int
        How many items count.
    """

    items: Codes
    bounds: Codes
    users: Codes
    ends: Codes
    length: int

    def before(self, rows: Codes) -> Codes:
        """Return the histories of these rows, newest item first, filled up with -1."""
        return self._cut(self.bounds[self.users[rows]], self.ends[rows])

    def last(self) -> Codes:
        """Return the history of each user after all rows."""
        return self._cut(self.bounds[:-1], self.bounds[1:])

    def _cut(self, firsts: Codes, ends: Codes) -> Codes:
        places = ends[:, None] - np.arange(1, self.length + 1)
        items: Codes = self.items.take(places, mode="clip").astype(np.int32, copy=False)
        items[places < firsts[:, None]] = -1
        return items


def read_histories(
    users: Codes,
    items: Codes,
    timestamps: NDArray[Any] | None,
    positive: slice | NDArray[np.bool_],
    n_users: int,
    length: int,
) -> Histories:
    """Return the history of each row: its user's positives that come before it.

    Of rows with equal timestamps, those that stand earlier in the table come before.
    """
    is_positive = np.zeros(len(users), dtype=bool)
    is_positive[positive] = True
    order = time_order(users, timestamps)
    ordered = is_positive[order]
    ends = np.empty(len(users), dtype=np.int64)
    ends[order] = np.cumsum(ordered) - ordered
    counts = np.bincount(users[is_positive], minlength=n_users)
    return Histories(
        np.append(items[order][ordered], -1), np.append(0, np.cumsum(counts)), users, ends, length
    )


def read_last_items(
    users: Codes,
    items: Codes,
    timestamps: NDArray[Any] | None,
    positive: slice | NDArray[np.bool_],
    n_users: int,
    length: int,
) -> Codes:
    """Return what `Histories.last` does, without the memory for the history of each row."""
    last = np.empty((n_users, length), dtype=np.int32)
    step = math.ceil(n_users / (1 + len(users) // _BLOCK_ROWS))
    is_positive = np.zeros(len(users), dtype=bool)
    is_positive[positive] = True
    for start in range(0, n_users, step):
        block = is_positive & (users >= start) & (users < start + step)
        times = None if timestamps is None else timestamps[block]
        n_block = min(step, n_users - start)
        histories = read_histories(
            users[block] - start, items[block], times, slice(None), n_block, length
        )
        last[start : start + step] = histories.last()
    return last


def read_later_histories(
    before: Codes,
    users: Codes,
    items: Codes,
    timestamps: NDArray[Any] | None,
    positive: slice | NDArray[np.bool_],
) -> Histories:
    """Return the histories of rows that come after all that `before` tells.

    `before` has the last items of each user until then, newest first and filled up with -1.
    """
    oldest_first = before[:, ::-1]
    known_users, places = np.nonzero(oldest_first >= 0)
    n_known = len(known_users)
    if timestamps is not None:
        timestamps = np.append(np.full(n_known, timestamps.min(initial=0)), timestamps)
    is_positive = np.ones(n_known + len(users), dtype=bool)
    is_positive[n_known:] = False
    is_positive[n_known:][positive] = True
    histories = read_histories(
        np.append(known_users, users),
        np.append(oldest_first[known_users, places], items),
        timestamps,
        is_positive,
        *before.shape,
    )
    return replace(histories, users=users, ends=histories.ends[n_known:])
