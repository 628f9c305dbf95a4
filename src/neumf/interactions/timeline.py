"""The order of rows in time, and where each row stands in its user's timeline."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.storage import MEMORY, OnePile, Piles, Storage
from neumf.utils.arrays import Codes, Float32s

# Rows that are sorted at once: sorting all of a large table takes several times its memory.
_BLOCK_ROWS = 2**22

# Codes that are counted at once: `bincount` copies them to 64 bits.
_COUNTED_ROWS = 2**22


def count_codes(
    codes: Codes, n_codes: int, counted: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Return how often each code occurs, in the rows that are counted or, with None, in all."""
    counts = np.zeros(n_codes, dtype=np.int64)
    for start in range(0, len(codes), _COUNTED_ROWS):
        rows = slice(start, start + _COUNTED_ROWS)
        part = codes[rows] if counted is None else codes[rows][counted[rows]]
        counts += np.bincount(part, minlength=n_codes)
    return counts


def user_blocks(users: Codes, n_users: int, storage: Storage) -> tuple[list[range], Piles]:
    """Return all users, some millions of rows at a time, and the rows of these.

    A block has no more rows than `_BLOCK_ROWS` and one user's together.
    """
    if len(users) <= _BLOCK_ROWS:
        return [range(n_users)], OnePile(storage)
    counts = count_codes(users, n_users)
    numbers = (np.cumsum(counts) - counts) // _BLOCK_ROWS
    firsts, block_of_user = np.unique(numbers, return_index=True, return_inverse=True)[1:]
    bounds = [*firsts.tolist(), n_users]
    # Numbers of 16 bits are sorted in a fraction of the time of larger ones.
    block_of_user = block_of_user.astype(np.min_scalar_type(len(firsts)))
    piles = Piles(storage, len(users), len(firsts), lambda part: block_of_user[users[part]])
    return [range(start, stop) for start, stop in pairwise(bounds)], piles


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
    """

    users: Codes
    places: NDArray[np.int32]
    counts: NDArray[np.int32]

    def from_last(self, rows: slice = slice(None)) -> Codes:
        """Return how many positives of the user come after each row; none after one behind all."""
        n_positives = self.counts[self.users[rows]]
        from_last: Codes = np.maximum(n_positives - 1 - self.places[rows], 0)
        return from_last

    def without_last(self, last: Codes, users: Codes, storage: Storage = MEMORY) -> Timelines:
        """Return the timelines without these rows, each the last positive of its user.

        The rows rise; `users` has the user of each row that is left.
        """
        counts = self.counts.copy()
        counts[self.users[last]] -= 1
        return Timelines(users, storage.without(self.places, last), counts)


def read_timelines(
    users: Codes,
    timestamps: NDArray[Any] | None,
    n_users: int,
    positive: NDArray[np.bool_] | None = None,
    storage: Storage = MEMORY,
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
    storage : Storage
        Gives the room for the places.

    Notes
    -----
    The table does not say which positive a row labelled 0 was drawn for. With timestamps it is one
    of the same user and time, otherwise one of the same user: of k such rows and m such positives,
    the j-th row belongs to the positive number ``j * m // k``, in the order of the table. That is
    right for the same number of negatives for each positive, behind it or behind all positives.
    Never does a row stand behind a positive that comes later.
    """
    counts = count_codes(users, n_users, positive).astype(np.int32)
    blocks, piles = user_blocks(users, n_users, storage)
    parts = piles.parts(users, timestamps, positive)
    places = (_places_of_block(block, *part) for block, part in zip(blocks, parts, strict=True))
    return Timelines(users, piles.joined(places, np.int32), counts)


def _places_of_block(
    block: range,
    users: Codes,
    timestamps: NDArray[Any] | None,
    positive: NDArray[np.bool_] | None,
) -> Codes:
    """Return the place of each row in time, of a block of users."""
    users = (users - block.start).astype(np.min_scalar_type(len(block)))
    order = time_order(users, timestamps)
    places = np.empty(len(users), dtype=np.int32)
    if positive is None:
        places[order] = _places_in_run(users[order])
    else:
        times = None if timestamps is None else timestamps[order]
        places[order] = _places_of_labelled(users[order], times, positive[order])
    return places


def _places_in_run(sorted_keys: NDArray[Any]) -> Codes:
    """Return the place of each row in its run of equal keys."""
    return np.arange(len(sorted_keys)) - _run_starts(sorted_keys)


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
        np.bincount(group[rows], minlength=len(users))[group] for rows in (positive, ~positive)
    )
    drawn_for = before[group] + number * n_positives // np.maximum(n_negatives, 1)
    places: Codes = np.where(positive, before, np.minimum(drawn_for, before))
    return places


def recency_weights(from_last: Codes, recency: float) -> Float32s:
    """Return the weight of a row by the number of positives that its user has after it."""
    weights: Float32s = ((1.0 + from_last) ** -recency).astype(np.float32)
    return weights
