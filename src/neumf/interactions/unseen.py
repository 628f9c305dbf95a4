"""Draw items that a user has not seen."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.seen import seen_matrix
from neumf.utils.arrays import Float64s, Indices, repr_of_row

Strategy = Literal["uniform", "popularity"]

# Draws of a block: many enough for NumPy, few enough for the processor's cache.
_BLOCK_SIZE = 2**15


class UnseenItems:
    """The items that each user has not seen, addressable by position.

    Each item has tickets, in the number of its weight (one without weights). The tickets of a
    user's unseen items are numbered from 0 in catalogue order. `n_tickets` is their number, and
    `at` returns the items of tickets. A uniformly drawn ticket thus gives an unseen item in
    proportion to its weight, without rejection. `seen`, shape (n_users, n_items), must be sorted
    and hold each pair once.
    """

    def __init__(self, seen: sp.csr_array, weights: NDArray[np.int64] | None = None) -> None:
        self._first = seen.indptr
        n_seen = np.diff(seen.indptr)
        self._items = seen.indices
        self._last_tickets = None
        if weights is None:
            self.n_tickets = seen.shape[1] - n_seen
        else:
            self._last_tickets = np.cumsum(weights, dtype=np.int64)
            self._seen_tickets = np.zeros(len(seen.indices) + 1, np.int64)
            np.cumsum(weights[seen.indices], out=self._seen_tickets[1:])
            of_earlier_users = self._seen_tickets[seen.indptr]
            self.n_tickets = self._last_tickets[-1] - np.diff(of_earlier_users)
            # For each seen item, the number of the user's unseen tickets before it.
            self._before = self._last_tickets[seen.indices]
            self._before -= self._seen_tickets[1:]
            self._before += np.repeat(of_earlier_users[:-1], n_seen)
        longest = int(n_seen.max())
        # Steps of a binary search in the longest row: powers of two, in the type of positions.
        self._steps = (1 << np.arange(longest.bit_length(), dtype=self._first.dtype))[::-1]

    def at(self, users: Indices, tickets: Indices) -> Indices:
        """Return the items of unseen tickets, each of the user in `users`."""
        first, end = self._first[users], self._first[users + 1]
        # Binary search for each ticket: the position after the last seen item before it.
        after = np.zeros_like(tickets) + first
        for step in self._steps:
            position = after + (step - 1)
            # `take` with "clip" is several times as fast as indexing.
            if self._last_tickets is None:
                # item - (position - first) unseen items come before the item
                unseen = self._items.take(position, mode="clip") - position
                stands_before = unseen <= tickets - first
            else:
                stands_before = self._before.take(position, mode="clip") <= tickets
            after += (stands_before & (position < end)) * step
        items: Indices
        if self._last_tickets is None:
            items = tickets + (after - first)
            return items
        skipped = self._seen_tickets[after] - self._seen_tickets[first]
        items = np.searchsorted(self._last_tickets, tickets + skipped, side="right")
        return items


def sample_unseen_items(
    unseen: UnseenItems, users: Indices, n_negatives: int, rng: np.random.Generator
) -> Indices:
    """Draw unseen items with replacement, shape (len(users), n_negatives).

    Each user must have an unseen item, see `refuse_saturated`.
    """
    return unseen_items_of(users, rng.random((len(users), n_negatives)), unseen)


def unseen_items_of(users: Indices, draws: Float64s, unseen: UnseenItems) -> Indices:
    """Turn uniform draws in [0, 1) into unseen items, an array of the same shape."""
    items = np.empty(draws.shape, dtype=np.int32)
    step = max(1, _BLOCK_SIZE // draws.shape[1])
    for start in range(0, len(users), step):
        block = users[start : start + step, None]
        n_tickets = unseen.n_tickets[block]
        tickets = draws[start : start + step] * n_tickets
        items[start : start + step] = unseen.at(block, tickets.astype(n_tickets.dtype))
    return items


def other_items(n_items: int, weights: NDArray[np.int64] | None = None) -> UnseenItems:
    """Return unseen items for users who have seen one item each: user i has seen item i."""
    itself = np.arange(n_items, dtype=np.int32)
    return UnseenItems(seen_matrix(itself, itself, (n_items, n_items)), weights)


def all_items(n_items: int, weights: NDArray[np.int64] | None = None) -> UnseenItems:
    """Return the unseen items of a single user, index 0, who has seen no item."""
    return UnseenItems(sp.csr_array((1, n_items), dtype=bool), weights)


def refuse_saturated(unseen: UnseenItems, users: Indices, ids: pd.Index) -> None:
    """Raise if one of these users has seen every item, naming the user."""
    saturated = np.flatnonzero(unseen.n_tickets == 0)
    if len(saturated):
        saturated = saturated[np.bincount(users, minlength=len(unseen.n_tickets))[saturated] > 0]
    if len(saturated):
        raise ValueError(
            f"X: no negatives can be drawn for user {repr_of_row(ids, saturated[0])}, who has seen "
            f"every item that can be drawn ({len(saturated)} such users). Drop the user, or add "
            "the rest of the catalogue to X."
        )
