"""The popularity of items at a request time: how many users had them before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from neumf.interactions.user_items import UserItems
from neumf.utils.arrays import Float64s, Indices


@dataclass(frozen=True)
class FirstRows:
    """The first row of each pair of user and item, oldest first."""

    items: Indices
    seconds: Float64s
    user_seconds: Float64s  # time of each user's first row, sorted
    n_items: int  # size of the catalogue

    @classmethod
    def of(cls, rows: UserItems, n_items: int) -> FirstRows:
        """Find the first row of each pair of user and item, and sort these rows by time."""
        seconds = np.empty(0) if rows.seconds is None else rows.seconds
        order = np.argsort(seconds, kind="stable")
        users, items = rows.users[order], rows.items[order]
        _, pairs = np.unique(users * np.int64(n_items) + items, return_index=True)
        _, firsts = np.unique(users, return_index=True)
        pairs.sort()
        return cls(items[pairs], seconds[order][pairs], np.sort(seconds[order][firsts]), n_items)

    def logits(self, times: Float64s) -> Float64s:
        """Return the popularity logits of all items at request times, shape (n, n_items).

        Laplace's rule estimates the probability that a user has an item, as for
        `popularity_logits_`.
        """
        logits = np.empty((len(times), self.n_items))
        stops = np.searchsorted(self.seconds, times, side="left")
        n_users = np.searchsorted(self.user_seconds, times, side="left")
        counts, start = np.zeros(self.n_items), 0
        for query in np.argsort(times, kind="stable"):
            stop = stops[query]
            counts += np.bincount(self.items[start:stop], minlength=self.n_items)
            start = stop
            logits[query] = logit((counts + 1) / (n_users[query] + 2))
        return logits


def popularity_logits_at(rows: UserItems | None, n_items: int, seconds: float) -> Float64s:
    """Return the popularity logits of all items at one request time."""
    nobody = UserItems(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0))
    logits: Float64s = FirstRows.of(rows or nobody, n_items).logits(np.array([seconds]))[0]
    return logits
