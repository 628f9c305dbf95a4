"""Compute the vectors of users after new rows, without training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from neumf.interactions.histories import LastItems
from neumf.interactions.timeline import recency_weights
from neumf.model.network import Network
from neumf.model.user_map import MOST_USERS, UserMap, position_weights
from neumf.utils.arrays import Float32s, Indices


@dataclass(frozen=True)
class UserProfile:
    """The last items and the seen items of some users."""

    last_items: LastItems  # of length 0 if rows have no order
    seen: sp.csr_array

    def weights(self, recency: float) -> sp.csr_array:
        """Return the weight of each item of a user: by recency or, without an order, equal."""
        length = self.last_items.items.shape[1]
        if not length:
            return self.seen.astype(np.float32)
        of_positions = recency_weights(np.arange(length), recency)
        return position_weights(self.last_items.items, self.seen.shape[1], of_positions)


def fit_user_map(network: Network, profile: UserProfile, recency: float) -> UserMap | None:
    """Return the map from items to a new user's vector; None if the user tower computes it."""
    if network.blueprint.users.reads_history:
        return None
    first = UserProfile(LastItems(profile.last_items.items[:MOST_USERS]), profile.seen[:MOST_USERS])
    weights, users = first.weights(recency), network.users[:MOST_USERS]
    told = np.diff(weights.indptr) > 0
    if not told.all():  # cold users have features, but no items
        weights, users = weights[told], users[told]
    return UserMap.fit(users, network.item_vectors, weights)


def move_users(
    network: Network, user_map: UserMap, indices: Indices, before: sp.csr_array, after: sp.csr_array
) -> Float32s:
    """Return the vectors of users after new rows; the index of a new user is -1.

    `before` and `after`, of shape (n_users, n_items), hold the weights of each user's items.
    """
    vectors = user_map.apply(network.item_vectors, after)
    # A known user keeps the difference between the learned vector and the map's prediction.
    own = network.users[indices] - user_map.apply(network.item_vectors, before)
    vectors += np.where(indices[:, None] < 0, np.float32(0), own)
    return vectors
