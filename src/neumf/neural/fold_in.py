"""Vectors of users after rows that training did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from neumf.interactions.histories import LastItems
from neumf.interactions.timeline import recency_weights
from neumf.model.network import Network
from neumf.model.user_map import MOST_USERS, UserMap, place_weights
from neumf.utils.arrays import Codes, Float32s


@dataclass(frozen=True)
class Taste:
    """What is known of the items of some users.

    Attributes
    ----------
    last_items : LastItems
        The last items; a length of 0 where rows have no order.
    seen : csr_array of shape (n_users, n_items)
        All items.
    """

    last_items: LastItems
    seen: sp.csr_array

    def weights(self, recency: float) -> sp.csr_array:
        """Return how much each item counts: the last ones by recency, or all alike."""
        length = self.last_items.items.shape[1]
        if not length:
            return self.seen.astype(np.float32)
        of_places = recency_weights(np.arange(length), recency)
        return place_weights(self.last_items.items, self.seen.shape[1], of_places)


def fit_user_map(network: Network, taste: Taste, recency: float) -> UserMap | None:
    """Return what makes a vector of the items of a new user; None if the user tower does."""
    if network.blueprint.users.reads_history:
        return None
    first = Taste(LastItems(taste.last_items.items[:MOST_USERS]), taste.seen[:MOST_USERS])
    weights, users = first.weights(recency), network.users[:MOST_USERS]
    told = np.diff(weights.indptr) > 0
    if not told.all():  # of cold users only features are known
        weights, users = weights[told], users[told]
    return UserMap.fit(users, network.item_vectors, weights)


def fold_in(
    network: Network,
    user_map: UserMap | None,
    recency: float,
    codes: Codes,
    before: Taste,
    after: Taste,
) -> Float32s:
    """Return the vectors of users, of the indices `codes` (-1: new ones), after further rows."""
    if user_map is None:
        return network.blueprint.users.encode(*network.weights, codes, after.last_items.codes)
    vectors = user_map.apply(network.item_vectors, after.weights(recency))
    # What a known user's vector has beyond the map stays.
    own = network.users[codes] - user_map.apply(network.item_vectors, before.weights(recency))
    vectors += np.where(codes[:, None] < 0, np.float32(0), own)
    return vectors
