"""Vectors of users whom training did not see, where training learned one for each user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ._history import Histories, read_histories
from ._interactions import Codes
from ._network import Floats

# Users to fit a map to: enough for its few thousand numbers, few enough for a moment's memory.
MOST_USERS = 100_000


def recency_weights(from_last: Codes, recency: float) -> Floats:
    """Return the weight of a row by the number of rows that its user has after it."""
    weights: Floats = ((1.0 + from_last) ** -recency).astype(np.float32)
    return weights


@dataclass(frozen=True)
class UserMap:
    """The linear map from the mean of a user's items to the user's vector.

    Late items count more in the mean, as in training.

    Attributes
    ----------
    items : ndarray of shape (n_items, width)
        Vectors of the items.
    slope, intercept : ndarray of shape (width, width) and (width,)
        The least-squares fit over the users of training.
    recency : float
        How much more late items count.
    """

    items: Floats
    slope: Floats
    intercept: Floats
    recency: float

    @classmethod
    def fit(cls, users: Floats, items: Floats, histories: Histories, recency: float) -> UserMap:
        """Fit to the vectors of users and of items that training learned."""
        means = _means(items, histories.bounds[: len(users) + 1], histories.items, recency)
        inputs = np.column_stack([means, np.ones(len(users), np.float32)])
        solution = np.linalg.lstsq(inputs, users, rcond=None)[0].astype(np.float32)
        return cls(items, solution[:-1], solution[-1], recency)

    def update(self, vectors: Floats, n_before: Codes, users: Codes, items: Codes) -> Floats:
        """Return the vectors of users after new rows, user by user and oldest first.

        As a mean over all rows would, the vector moves by the share that the new rows have in the
        weights; `n_before` counts the rows before, and without any the new rows decide alone.
        """
        new = read_histories(users, items, None, slice(None), len(vectors), 1)
        means = _means(self.items, new.bounds, new.items, self.recency)
        n_new = np.diff(new.bounds)
        longest = int((n_before + n_new).max(initial=0))
        sums: Floats = np.append(0, np.cumsum(recency_weights(np.arange(longest), self.recency)))
        share = (sums[n_new] / np.maximum(sums[n_before + n_new], 1))[:, None]
        mapped = means @ self.slope + self.intercept
        updated: Floats = ((1 - share) * vectors + share * mapped).astype(np.float32)
        return updated


def _means(vectors: Floats, bounds: Codes, items: Codes, recency: float) -> Floats:
    """Return the weighted mean of the vectors of each user's items, 0 without any."""
    counts = np.diff(bounds)
    n_rows = bounds[-1]
    from_last = np.repeat(bounds[1:], counts) - 1 - np.arange(n_rows)
    weights = sp.csr_array(
        (recency_weights(from_last, recency), items[:n_rows], bounds),
        shape=(len(counts), len(vectors)),
    )
    totals = weights @ np.ones((len(vectors), 1), np.float32)
    means: Floats = (weights @ vectors) / np.maximum(totals, np.float32(1e-12))
    return means
