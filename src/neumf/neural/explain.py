"""Explain the score of an item by the items of a user's history."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from neumf.model.network import Network
from neumf.model.user_towers import UserHistories
from neumf.neural.fold_in import UserProfile
from neumf.utils.arrays import Float32s, Float64s, Ids, Indices
from neumf.utils.time_gaps import HistoryInputs


def explain_items(network: Network, profile: UserProfile, ids: Ids, items: Indices) -> pd.DataFrame:
    """Explain the scores of items, given by index, for the one user of the network.

    `NetworkRecommender.explain` returns the result; `ids` holds the id of each item.
    """
    history = profile.last_items.items[0]
    # Without an order of rows, use all seen items.
    history = history[history >= 0] if len(history) else profile.seen.indices
    tower = network.blueprint.users
    if not tower.reads_history:
        vectors = normalize(network.item_vectors.astype(np.float64))
        return _table("similarity", vectors[items] @ vectors[history].T, ids[items], ids[history])
    if isinstance(tower, UserHistories) and tower.hidden_size:
        raise ValueError(
            "explain needs users whose vectors are a sum over their history. Received a "
            f"recommender with hidden_size={tower.hidden_size}, whose hidden layer mixes the "
            "items. Fit one with hidden_size=0."
        )
    terms = _terms(network, profile.last_items.inputs(), len(history))
    layers, shared = network.blueprint.layers, network.weights.shared
    h = layers.output_kernel(shared)[:, 0].astype(np.float64)
    weighted = h * network.item_vectors[items]
    others = network.users[0] - terms.sum(axis=0, dtype=np.float64)
    rest = weighted @ others + shared["output_bias"]
    if layers.item_bias:
        rest = rest + network.items[items, -1]
    table = _table("contribution", weighted @ terms.T, ids[items], ids[history])
    return table.assign(rest=np.repeat(rest, len(history)))


def _terms(network: Network, history: HistoryInputs, n_items: int) -> Float32s:
    """Return each history item's contribution to the user's vector, shape (n_items, width)."""
    # Encode one history per item, with this item alone at its position.
    gaps = None if history.gaps is None else _diagonal(history.gaps, n_items)
    alone = HistoryInputs(_diagonal(history.items, n_items), gaps)
    return network.blueprint.users.encode(*network.weights, np.full(n_items, -1), alone)


def _diagonal(values: Indices, n: int) -> Indices:
    """Return n rows of -1, except for the j-th value in column j of row j."""
    alone = np.full((n, values.shape[1]), -1, values.dtype)
    np.fill_diagonal(alone, values[0, :n])
    return alone


def _table(name: str, values: Float64s, items: Ids, history: Ids) -> pd.DataFrame:
    """Return a row per pair of item and history item, by falling values within an item."""
    order = np.argsort(-values, axis=1, kind="stable")
    n_items, n_history = values.shape
    return pd.DataFrame(
        {
            "item": np.repeat(items, n_history),
            "history_item": history[order].ravel(),
            name: np.take_along_axis(values, order, axis=1).ravel(),
            "rank": np.tile(np.arange(1, n_history + 1), n_items),
        }
    )
