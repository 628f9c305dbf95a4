"""Predict the vectors of users that training did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from neumf.utils.arrays import Float32s, Indices

# Maximum number of users to fit a map: enough for its few thousand numbers, and little memory.
MOST_USERS = 100_000


@dataclass(frozen=True)
class UserMap:
    """A linear map from the weighted mean of a user's item vectors to the user's vector."""

    slope: Float32s  # of shape (width, width)
    intercept: Float32s  # of shape (width,)

    @classmethod
    def fit(cls, users: Float32s, items: Float32s, weights: sp.csr_array) -> UserMap:
        """Fit the map; `weights`, shape (n_users, n_items), weight each user's items."""
        inputs = np.column_stack([_means(items, weights), np.ones(len(users), np.float32)])
        solution = np.linalg.lstsq(inputs, users, rcond=None)[0].astype(np.float32)
        return cls(solution[:-1], solution[-1])

    def apply(self, items: Float32s, weights: sp.csr_array) -> Float32s:
        """Return the vectors of users, given item vectors and the weights of their items."""
        return _means(items, weights) @ self.slope + self.intercept


def position_weights(histories: Indices, n_items: int, of_positions: Float32s) -> sp.csr_array:
    """Return the weight of each user's items, given the weight of each position in a history.

    `histories` have shape (n_users, history_length), newest item first, padded with -1.
    """
    present = histories >= 0
    weights = np.broadcast_to(of_positions, histories.shape)[present]
    bounds = np.append(0, np.cumsum(np.count_nonzero(present, axis=1)))
    return sp.csr_array((weights, histories[present], bounds), shape=(len(histories), n_items))


def _means(items: Float32s, weights: sp.csr_array) -> Float32s:
    """Return the weighted mean of the vectors of each user's items, 0 without items."""
    totals = np.asarray(weights.sum(axis=1), dtype=np.float32).reshape(-1, 1)
    sums: Float32s = np.asarray(weights @ items, dtype=np.float32)
    sums /= np.maximum(totals, np.float32(1e-12))
    return sums
