"""Vectors of users whom training did not see, where training learned one for each user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neumf._arrays import Codes, Float32s
from neumf.model.network import HistoryEncoder

# Users to fit a map to: enough for its few thousand numbers, few enough for a moment's memory.
_MOST_USERS = 100_000


def recency_weights(from_last: Codes, recency: float) -> Float32s:
    """Return the weight of a row by the number of rows that its user has after it."""
    weights: Float32s = ((1.0 + from_last) ** -recency).astype(np.float32)
    return weights


@dataclass(frozen=True)
class UserMap:
    """The linear map from the mean of a user's last items to the user's vector.

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

    items: Float32s
    slope: Float32s
    intercept: Float32s
    recency: float

    @classmethod
    def fit(cls, users: Float32s, items: Float32s, histories: Codes, recency: float) -> UserMap:
        """Fit to the vectors of users and of items that training learned."""
        users, histories = users[:_MOST_USERS], histories[:_MOST_USERS]
        means = _means(items, histories, recency)
        inputs = np.column_stack([means, np.ones(len(users), np.float32)])
        solution = np.linalg.lstsq(inputs, users, rcond=None)[0].astype(np.float32)
        return cls(items, solution[:-1], solution[-1], recency)

    def apply(self, histories: Codes) -> Float32s:
        """Return the vectors of users who have these last items, newest first."""
        vectors: Float32s = (
            _means(self.items, histories, self.recency) @ self.slope + self.intercept
        )
        return vectors


def _means(items: Float32s, histories: Codes, recency: float) -> Float32s:
    """Return the weighted mean of the vectors of the items of each history, 0 without any."""
    weights = recency_weights(np.arange(histories.shape[1]), recency)[:, None]
    encoder = HistoryEncoder(items[:, :0], items, weights)
    sums = encoder.encode(np.full(len(histories), -1), histories)
    totals = (histories >= 0).astype(np.float32) @ weights
    means: Float32s = sums / np.maximum(totals, np.float32(1e-12))
    return means
