"""The histories of rows: what their users had before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neumf.interactions.timeline import Timelines
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.time_gaps import HistoryInputs, with_gaps

# Users whose last items are cut at once: the positions of the items take twice their memory.
_BLOCK_USERS = 2**16


class LastItems(NamedTuple):
    """The last items of users, newest first, shape (n_users, length), filled up with -1."""

    items: Indices
    seconds: Float64s | None = None  # 0 where there is no item; None if no times are read

    def inputs(self, at: Float64s | None = None) -> HistoryInputs:
        """Return a network's inputs; ages count from `at`, or with None from the newest item."""
        if self.seconds is None:
            return HistoryInputs(self.items)
        return with_gaps(self.items, self.seconds, at)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of a recommender that hold them."""
        return {"histories_": self.items, "history_seconds_": self.seconds}

    def take(self, users: Indices) -> LastItems:
        """Return the last items of these users; -1 is a user without any."""
        seconds = None if self.seconds is None else self.seconds[users]
        return _without(users < 0, self.items[users], seconds)


def _without(none: Any, items: Indices, seconds: Float64s | None) -> LastItems:
    """Return new arrays as last items, without those where a mask is set."""
    items[none] = -1
    if seconds is not None:
        seconds[none] = 0.0
    return LastItems(items, seconds)


@dataclass(frozen=True)
class Histories:
    """The last items that each row's user had strictly before the row."""

    items: Indices  # of all users, user by user, each oldest first, and one more as padding
    bounds: Indices  # of shape (n_users + 1,): where the items of each user begin, and end
    starts: Indices  # where the first row of each user stands: behind the items they had before
    timelines: Timelines  # of the rows
    length: int  # how many items count
    seconds: Float64s | None = None  # when each of the items was
    # When each row was, from which gaps are counted; None counts from the newest item.
    request_times: Float64s | None = None

    def before(self, rows: Indices) -> HistoryInputs:
        """Return the histories of these rows, as a network reads them."""
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
        """Return the last items within bounds."""
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
    """Find the history of each row: the positives of its user before it, at most `length`.

    `items` and `seconds` belong to the rows; users had the items `before` before all rows.
    """
    n_before = np.zeros_like(timelines.counts)
    if before is not None:
        n_before = np.count_nonzero(before.items >= 0, axis=1)
    bounds = np.append(0, np.cumsum(n_before + timelines.counts))
    starts = bounds[:-1] + n_before
    ordered = np.full(bounds[-1] + 1, -1, np.int32)
    times = None if seconds is None else np.zeros(len(ordered))
    if before is not None:
        # The items of a user stand at the end of their row.
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
