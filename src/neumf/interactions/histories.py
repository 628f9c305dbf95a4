"""The history of each row: the items that its user had before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neumf.interactions.timeline import Timelines
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.time_gaps import HistoryInputs, with_gaps

# Users of a block: temporary positions take twice the memory of the items.
_BLOCK_USERS = 2**16


class LastItems(NamedTuple):
    """The last items of users, newest first, shape (n_users, length), padded with -1."""

    items: Indices
    seconds: Float64s | None = None  # 0 for padding; None if times are not used

    def inputs(self, at: Float64s | None = None) -> HistoryInputs:
        """Return inputs of a network; ages count from `at`, or from the newest item if None."""
        if self.seconds is None:
            return HistoryInputs(self.items)
        return with_gaps(self.items, self.seconds, at)

    @property
    def attributes(self) -> dict[str, Any]:
        """The fitted attributes that store the last items, by name."""
        return {"histories_": self.items, "history_seconds_": self.seconds}

    def take(self, users: Indices) -> LastItems:
        """Return the last items of these users; -1 stands for a user without items."""
        seconds = None if self.seconds is None else self.seconds[users]
        return _without(users < 0, self.items[users], seconds)


def _without(none: Any, items: Indices, seconds: Float64s | None) -> LastItems:
    """Turn the items under a mask into padding, in place."""
    items[none] = -1
    if seconds is not None:
        seconds[none] = 0.0
    return LastItems(items, seconds)


@dataclass(frozen=True)
class Histories:
    """The last items that each row's user had strictly before the row."""

    items: Indices  # sorted by user, then time; the last one is padding
    bounds: Indices  # shape (n_users + 1,): user u has items[bounds[u] : bounds[u + 1]]
    starts: Indices  # position of each user's first row, after the items from before all rows
    timelines: Timelines  # of the rows
    length: int  # number of items in a history
    seconds: Float64s | None = None  # time of each item
    # Time of each row, from which ages of items count; None counts from the newest item.
    request_times: Float64s | None = None

    @property
    def are_complete(self) -> bool:
        """Whether each row has an item in them, and no other item is in them."""
        n_rows = len(self.timelines.users)
        return self.timelines.positive is None and len(self.items) - 1 == n_rows

    def by_user(self, rows: Indices) -> Indices:
        """Return these rows, all of them, sorted by user, then time."""
        order = np.empty_like(rows)
        order[self.starts[self.timelines.users] + self.timelines.positions] = rows
        return order

    def before(self, rows: Indices) -> HistoryInputs:
        """Return the histories of these rows as inputs of a network."""
        users, positions = self.timelines.users[rows], self.timelines.positions[rows]
        last = self._cut(self.bounds[users], self.starts[users] + positions)
        return last.inputs(None if self.request_times is None else self.request_times[rows])

    def last(self) -> LastItems:
        """Return the history of each user after all rows."""
        n_users = len(self.bounds) - 1
        items = np.empty((n_users, self.length), dtype=np.int32)
        seconds = None if self.seconds is None else np.empty(items.shape)
        for start in range(0, n_users, _BLOCK_USERS):
            stop = min(start + _BLOCK_USERS, n_users)
            block = self._cut(self.bounds[start:stop], self.bounds[start + 1 : stop + 1])
            items[start:stop] = block.items
            if seconds is not None:
                seconds[start:stop] = block.seconds
        return LastItems(items, seconds)

    def _cut(self, firsts: Indices, ends: Indices) -> LastItems:
        """Return the last items of each range from a first position to an end."""
        positions = ends[:, None] - np.arange(1, self.length + 1)
        items: Indices = self.items.take(positions, mode="clip").astype(np.int32, copy=False)
        seconds = None if self.seconds is None else self.seconds.take(positions, mode="clip")
        return _without(positions < firsts[:, None], items, seconds)


def read_histories(
    timelines: Timelines,
    items: Indices,
    length: int,
    before: LastItems | None = None,
    seconds: Float64s | None = None,
) -> Histories:
    """Find the history of each row: at most `length` positives of its user before it.

    `items` and `seconds` hold the item and the time of each row. `before` holds items that users
    had before all rows.
    """
    n_before = np.zeros_like(timelines.counts)
    if before is not None:
        n_before = np.count_nonzero(before.items >= 0, axis=1)
    bounds = np.append(0, np.cumsum(n_before + timelines.counts))
    starts = bounds[:-1] + n_before
    ordered = np.full(bounds[-1] + 1, -1, np.int32)
    times = None if seconds is None else np.zeros(len(ordered))
    if before is not None:
        # `before` has the newest item first, so its columns are reversed; padding then comes first.
        known = before.items[:, ::-1] >= 0
        users, columns = np.nonzero(known)
        positions = bounds[users] + columns - (known.shape[1] - n_before[users])
        ordered[positions] = before.items[:, ::-1][known]
        if times is not None and before.seconds is not None:
            times[positions] = before.seconds[:, ::-1][known]
    rows = slice(None) if timelines.positive is None else timelines.positive
    positions = starts[timelines.users[rows]] + timelines.positions[rows]
    ordered[positions] = items[rows]
    if times is not None and seconds is not None:
        times[positions] = seconds[rows]
    return Histories(ordered, bounds, starts, timelines, length, times)
