"""The histories of rows: what their users had before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neumf.interactions.timeline import Timelines
from neumf.utils.arrays import Codes, Float64s
from neumf.utils.time_gaps import HistoryInputs, with_gaps

# Users whose last items are cut at once: the places of a user's take twice their memory.
_BLOCK_USERS = 2**16


class LastItems(NamedTuple):
    """The last items of users, newest first, shape (n_users, length), filled up with -1.

    `seconds` tells when each was, 0 where there is none; None where nobody asks.
    """

    items: Codes
    seconds: Float64s | None = None

    def inputs(self, at: Float64s | None = None) -> HistoryInputs:
        """Return what a network reads; ages count from `at`, or with None from the newest item."""
        if self.seconds is None:
            return HistoryInputs(self.items)
        return with_gaps(self.items, self.seconds, at)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of a recommender that hold them."""
        return {"histories_": self.items, "history_seconds_": self.seconds}

    def take(self, users: Codes) -> LastItems:
        """Return those of these users; -1 is one without any."""
        none = users < 0
        items = self.items[users]
        items[none] = -1
        if self.seconds is None:
            return LastItems(items)
        seconds = self.seconds[users]
        seconds[none] = 0.0
        return LastItems(items, seconds)


@dataclass(frozen=True)
class Histories:
    """The last items that each row's user had strictly before the row.

    Attributes
    ----------
    items : ndarray of shape (n_positives + 1,)
        The items of all users, user by user, each oldest first, and one more that is no item.
    bounds : ndarray of shape (n_users + 1,)
        Where the items of each user begin, and end.
    first_places : ndarray of shape (n_users,)
        Where among the items the first row of each user stands: behind what they had before.
    timelines : Timelines
        The user of each row, and its place in the timeline.
    length : int
        How many items count.
    seconds : ndarray of shape (n_positives + 1,) or None
        When each of the items was; None where nobody asks.
    moments : ndarray of shape (n_rows,) or None
        When each row was, from which gaps are counted; None counts from the newest item.
    """

    items: Codes
    bounds: Codes
    first_places: Codes
    timelines: Timelines
    length: int
    seconds: Float64s | None = None
    moments: Float64s | None = None

    def before(self, rows: Codes) -> HistoryInputs:
        """Return the histories of these rows, as a network reads them."""
        users, places = self.timelines.users[rows], self.timelines.places[rows]
        last = self._cut(self.bounds[users], self.first_places[users] + places)
        return last.inputs(None if self.moments is None else self.moments[rows])

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

    def _cut(self, firsts: Codes, ends: Codes) -> LastItems:
        places = ends[:, None] - np.arange(1, self.length + 1)
        none = places < firsts[:, None]
        items: Codes = self.items.take(places, mode="clip").astype(np.int32, copy=False)
        items[none] = -1
        if self.seconds is None:
            return LastItems(items)
        seconds = self.seconds.take(places, mode="clip")
        seconds[none] = 0.0
        return LastItems(items, seconds)


def read_histories(
    timelines: Timelines,
    items: Codes,
    length: int,
    before: LastItems | None = None,
    seconds: Float64s | None = None,
) -> Histories:
    """Find the history of each row: the positives of its user before it.

    Parameters
    ----------
    timelines : Timelines
        The order of the rows in time.
    items : ndarray of shape (n_rows,)
        The item of each row.
    length : int
        Maximum number of items in a history.
    before : LastItems or None
        The last items of each user before all rows.
    seconds : ndarray of shape (n_rows,) or None
        The time of each row; None leaves the times of items out.
    """
    n_before = np.zeros_like(timelines.counts)
    if before is not None:
        n_before = np.count_nonzero(before.items >= 0, axis=1)
    bounds = np.append(0, np.cumsum(n_before + timelines.counts))
    first_places = bounds[:-1] + n_before
    ordered = np.full(bounds[-1] + 1, -1, np.int32)
    times = None if seconds is None else np.zeros(len(ordered))
    if before is not None:
        # The items of a user stand at the end of their row.
        known = before.items[:, ::-1] >= 0
        users, columns = np.nonzero(known)
        places = bounds[users] + columns - (known.shape[1] - n_before[users])
        ordered[places] = before.items[:, ::-1][known]
        if times is not None and before.seconds is not None:
            times[places] = before.seconds[:, ::-1][known]
    rows = slice(None) if timelines.positive is None else timelines.positive
    places = first_places[timelines.users[rows]] + timelines.places[rows]
    ordered[places] = items[rows]
    if times is not None and seconds is not None:
        times[places] = seconds[rows]
    return Histories(ordered, bounds, first_places, timelines, length, times)
