"""A network: its blueprint, its weights and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from neumf.model.item_towers import ItemIds
from neumf.model.layers import BLOCK_SIZE, NeuMFLayers
from neumf.model.user_tower import UserTower
from neumf.utils.arrays import Float32s, Indices, take_rows
from neumf.utils.time_gaps import HistoryInputs


class Weights(NamedTuple):
    """All learned arrays, by name."""

    tables: dict[str, Float32s]  # the vectors, a row per user or item
    shared: dict[str, Float32s]  # the weights that all users and items share

    def grown(self, new: dict[str, Float32s]) -> Weights:
        """Return the weights with rows of new users and items added behind the known ones."""
        tables = {name: np.vstack([table, new[name]]) for name, table in self.tables.items()}
        return self._replace(tables=tables)


@dataclass(frozen=True)
class Blueprint:
    """The sizes and equations of a network, without weights.

    Networks with equal blueprints share compiled code.
    """

    layers: NeuMFLayers
    users: UserTower
    items: ItemIds

    @classmethod
    def of_towers(cls, layers: NeuMFLayers, users: UserTower) -> Blueprint:
        """Return the blueprint in which each item has a learned vector."""
        return cls(layers, users, ItemIds(layers.width, layers.item_bias, users.std))

    def with_history_length(self, length: int) -> Blueprint:
        """Return the blueprint with a history length of `length`."""
        return replace(self, users=replace(self.users, history_length=length))

    def initial_tables(
        self, n_users: int, n_items: int, rng: Generator, item_biases: Float32s | None = None
    ) -> dict[str, Float32s]:
        """Draw the rows of users and items; biases start at `item_biases`, or at 0."""
        of_users = self.users.initial_tables(n_users, n_items, rng)
        return of_users | self.items.initial_tables(n_items, rng, item_biases)

    def initial_weights(
        self, n_users: int, n_items: int, rng: Generator, item_biases: Float32s | None = None
    ) -> Weights:
        """Draw all weights."""
        tables = self.initial_tables(n_users, n_items, rng, item_biases)
        return Weights(tables, self.layers.initial_shared(rng) | self.users.initial_shared(rng))

    def table_shapes(self, n_users: int, n_items: int) -> dict[str, tuple[int, int]]:
        """Return the shape of each table, by name."""
        rng = np.random.default_rng(0)
        a_user, an_item = self.initial_tables(1, 0, rng), self.initial_tables(0, 1, rng)
        return {
            name: (n_users * len(rows) + n_items * len(an_item[name]), rows.shape[1])
            for name, rows in a_user.items()
        }

    def by_table(self, sides: tuple[Any, Any] | None) -> dict[str, Any]:
        """Return a value per table, given one for the tables of users and one for items."""
        of_users, of_items = sides or (None, None)
        shapes = self.table_shapes(n_users=1, n_items=0)
        given = {name: of_users if n else of_items for name, (n, _) in shapes.items()}
        return {name: value for name, value in given.items() if value is not None}

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the shared weights, by name."""
        return self.layers.shared_shapes() | self.users.shared_shapes()

    def join_weights(self, halves: list[Weights], weights: Sequence[float] = (0.5, 0.5)) -> Weights:
        """Join the weights of a GMF and an MLP into those of this network (section 3.4.1)."""
        tables = {
            name: np.hstack([half.tables[name] for half in halves]) for name in halves[0].tables
        }
        return Weights(tables, self.layers.join_shared([half.shared for half in halves], weights))


@dataclass(frozen=True)
class Network:
    """A trained network, ready to score."""

    blueprint: Blueprint
    weights: Weights
    users: Float32s  # vectors after the last row: GMF vector, then MLP vector
    items: Float32s  # GMF vector, then MLP vector, then the bias if items have one

    @classmethod
    def of_weights(
        cls,
        blueprint: Blueprint,
        weights: Weights,
        histories: HistoryInputs,
        users: Indices | None = None,
    ) -> Network:
        """Return the network for users with these histories.

        `users` holds their rows in the tables, -1 for an unknown user; None means all users.
        """
        if users is None:
            vectors = blueprint.users.user_vectors(*weights, histories)
        else:
            vectors = blueprint.users.encode(*weights, users, histories)
        return cls(blueprint, weights, vectors, blueprint.items.item_vectors(weights.tables))

    @property
    def item_vectors(self) -> Float32s:
        """The vectors of items without their bias, shape (n_items, width)."""
        return self.items[:, : self.blueprint.layers.width]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out vectors that are also a table: joblib, unlike pickle, would write both."""
        tables = self.weights.tables
        vectors = {name: vars(self)[name] for name in ("users", "items")}
        kept = {name: array for name, array in vectors.items() if array is not tables.get(name)}
        return {"blueprint": self.blueprint, "weights": self.weights, **kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the vectors that `__getstate__` left out."""
        tables = state["weights"].tables
        vars(self).update({name: tables[name] for name in ("users", "items") if name in tables})
        vars(self).update(state)

    def with_users(self, vectors: Float32s) -> Network:
        """Return the network for other users, with these vectors."""
        return replace(self, users=vectors)

    def user_factors(self, users: Indices) -> Float32s:
        """Return vectors of users whose inner products with `item_factors` are the logits."""
        h = self._product_layers().output_kernel(self.weights.shared)[:, 0]
        return np.column_stack([self.users[users] * h, np.ones(len(users), np.float32)])

    def item_factors(self) -> Float32s:
        """Return the vectors of items for `user_factors`; the last dimension holds the biases."""
        layers, biases = self._product_layers(), np.zeros(len(self.items), np.float32)
        biases += self.weights.shared["output_bias"]
        if layers.item_bias:
            biases += self.items[:, -1]
        return np.column_stack([self.item_vectors, biases])

    def _product_layers(self) -> NeuMFLayers:
        """Return the layers; raise if they have an MLP."""
        layers = self.blueprint.layers
        if not layers.is_product:
            raise ValueError(
                "item_vectors and user_vectors need a logit that is an inner product. Received a "
                f"network with an MLP, hidden_layer_sizes={layers.hidden_layer_sizes}. Fit with "
                "architecture='gmf', or use ALSRecommender or NextItemRecommender."
            )
        return layers

    def take_users(self, users: Indices, rows: Indices) -> Network:
        """Return the network of these users alone; `rows` are their rows in the tables."""
        tables, vectors = self.weights.tables, self.users[users]
        if "users" in tables:
            table = take_rows(tables["users"], rows)
            vectors = table if self.users is tables["users"] else vectors
            tables = tables | {"users": table}
        return replace(self, weights=self.weights._replace(tables=tables), users=vectors)

    def score_items(self, users: Indices) -> Float32s:
        """Return the logits of users with every item, shape (len(users), n_items)."""
        layers, shared = self.blueprint.layers, self.weights.shared
        return layers.all_logits(shared, self.users[users], self.items)

    def score_candidates(self, users: Indices, items: Indices) -> Float32s:
        """Return logits of candidates, shape (n, n_candidates), for users, shape (n,)."""
        layers, shared = self.blueprint.layers, self.weights.shared
        step = max(1, BLOCK_SIZE // items.shape[1])
        scores = np.empty(items.shape, dtype=np.float32)
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            vectors = self.users[users[block]], self.items[items[block]]
            scores[block] = layers.logits(np, shared, *vectors)
        return scores
