"""The histories of rows: what their users had before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neumf._arrays import Codes
from neumf.interactions.storage import MEMORY, Storage
from neumf.interactions.timeline import Timelines, user_blocks

# Users whose last items are cut at once: the places of a user's take twice their memory.
_BLOCK_USERS = 2**16


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
    """

    items: Codes
    bounds: Codes
    first_places: Codes
    timelines: Timelines
    length: int

    def before(self, rows: Codes, storage: Storage = MEMORY) -> Codes:
        """Return the histories of these rows, newest item first, filled up with -1.

        `storage` tells where the items are.
        """
        users, places = (
            storage.look_up(column.__getitem__, rows)
            for column in (self.timelines.users, self.timelines.places)
        )
        return storage.look_up(self._of_users, users, places)

    def last(self) -> Codes:
        """Return the history of each user after all rows."""
        n_users = len(self.bounds) - 1
        items = np.empty((n_users, self.length), dtype=np.int32)
        for start in range(0, n_users, _BLOCK_USERS):
            stop = min(start + _BLOCK_USERS, n_users)
            items[start:stop] = self._cut(
                self.bounds[start:stop], self.bounds[start + 1 : stop + 1]
            )
        return items

    def take(self, users: Codes, rows: Codes) -> Histories:
        """Return those of these rows, which are all of these users', who are numbered anew."""
        counts = np.diff(self.bounds)[users]
        bounds = np.append(0, np.cumsum(counts))
        places = np.arange(bounds[-1]) + np.repeat(self.bounds[users] - bounds[:-1], counts)
        n_before = self.first_places[users] - self.bounds[users]
        return Histories(
            np.append(self.items[places], self.items[-1:]),
            bounds,
            bounds[:-1] + n_before,
            self.timelines.take(users, rows),
            self.length,
        )

    def _of_users(self, users: Codes, places: Codes) -> Codes:
        """Return the history of each user at a place in the timeline."""
        return self._cut(self.bounds[users], self.first_places[users] + places)

    def _cut(self, firsts: Codes, ends: Codes) -> Codes:
        places = ends[:, None] - np.arange(1, self.length + 1)
        items: Codes = self.items.take(places, mode="clip").astype(np.int32, copy=False)
        items[places < firsts[:, None]] = -1
        return items


def read_histories(
    timelines: Timelines,
    items: Codes,
    length: int,
    positive: NDArray[np.bool_] | None = None,
    before: Codes | None = None,
    storage: Storage = MEMORY,
) -> Histories:
    """Return the history of each row: its user's positives that come before it.

    Parameters
    ----------
    timelines : Timelines
        Where the rows stand in time.
    items : ndarray of shape (n_rows,)
        The item of each row.
    length : int
        How many items count.
    positive : ndarray of bool of shape (n_rows,) or None
        Which rows are positives; None means all.
    before : ndarray of shape (n_users, n) or None
        The last items of each user before all rows, newest first and filled up with -1.
    storage : Storage
        Gives the room for the items.
    """
    counts = timelines.counts
    n_before = np.zeros_like(counts) if before is None else np.count_nonzero(before >= 0, axis=1)
    bounds = np.append(0, np.cumsum(n_before + counts))
    first_places = bounds[:-1] + n_before
    ordered = storage.empty(int(bounds[-1]) + 1, np.int32)
    ordered[-1] = -1
    if before is not None:
        oldest_first = before[:, ::-1]
        # The items of a user stand at the end of their row.
        known = oldest_first >= 0
        users, columns = np.nonzero(known)
        places = bounds[users] + columns - (before.shape[1] - n_before[users])
        ordered[places] = oldest_first[known]
    _, piles = user_blocks(timelines.users, len(counts), storage)
    for users, places, of_rows, counted in piles.parts(
        timelines.users, timelines.places, items, positive
    ):
        rows = slice(None) if counted is None else counted
        ordered[first_places[users[rows]] + places[rows]] = of_rows[rows]
    return Histories(ordered, bounds, first_places, timelines, length)
