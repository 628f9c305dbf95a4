"""Vectors of users after rows that training did not see."""

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

    last_items: LastItems  # of length 0 where rows have no order
    seen: sp.csr_array

    def weights(self, recency: float) -> sp.csr_array:
        """Return how much each item counts: the last ones by recency, or all alike."""
        length = self.last_items.items.shape[1]
        if not length:
            return self.seen.astype(np.float32)
        of_positions = recency_weights(np.arange(length), recency)
        return position_weights(self.last_items.items, self.seen.shape[1], of_positions)


def fit_user_map(network: Network, profile: UserProfile, recency: float) -> UserMap | None:
    """Return the map from items to the vector of a new user; None if the user tower makes it."""
    if network.blueprint.users.reads_history:
        return None
    first = UserProfile(LastItems(profile.last_items.items[:MOST_USERS]), profile.seen[:MOST_USERS])
    weights, users = first.weights(recency), network.users[:MOST_USERS]
    told = np.diff(weights.indptr) > 0
    if not told.all():  # of cold users only features are known
        weights, users = weights[told], users[told]
    return UserMap.fit(users, network.item_vectors, weights)


def move_users(
    network: Network, user_map: UserMap, indices: Indices, before: sp.csr_array, after: sp.csr_array
) -> Float32s:
    """Return the vectors of users, by index or -1 for new ones, after further rows.

    `before` and `after`, of shape (n_users, n_items), hold the weight of each item.
    """
    vectors = user_map.apply(network.item_vectors, after)
    # A known user keeps the difference between the own vector and the map's.
    own = network.users[indices] - user_map.apply(network.item_vectors, before)
    vectors += np.where(indices[:, None] < 0, np.float32(0), own)
    return vectors
