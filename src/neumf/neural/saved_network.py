"""`NeuMFRecommender` to a file and back: the network, and what training needs to go on."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from neumf.model.layers import LAYERS
from neumf.model.network import Blueprint, Network, Weights
from neumf.model.user_map import UserMap
from neumf.model.user_towers import USER_TOWERS
from neumf.neural.parameters import SHAPE
from neumf.saving.checked_state import State
from neumf.saving.container import check_loaded, damaged, short
from neumf.saving.recommenders import SavingMixin, write_recommender
from neumf.training.trainer import OptimizerState
from neumf.utils.arrays import Codes, Float64s
from neumf.utils.time_gaps import GAPS_FROM, GapsFrom
from neumf.utils.validation import check_real


class NetworkSavingMixin(SavingMixin):
    """`save` of the recommender that has a network."""

    recency: float
    network_: Network
    user_map_: UserMap | None
    histories_: Codes
    history_seconds_: Float64s | None
    history_: dict[str, list[float]]
    n_iter_: int
    best_iter_: int
    _shape: dict[str, Any]
    _optimizer: OptimizerState | None
    _generator: np.random.Generator
    _model: Any
    _own_rows: Codes | None

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        Parameters
        ----------
        path : str or path
            The file. One that is there is replaced when the new one is complete, so that a failure
            leaves it as it was.
        optimizer : bool, default=False
            Write Adam's moments of each row, too, which there are after `partial_fit` and take
            twice the space of the vectors. Without them `partial_fit` goes on with their means, as
            it does after `fit`, of which nothing else is kept.

        Raises
        ------
        TypeError
            If a parameter or an id cannot be held by a file, which the error names; or if the class
            is none of this library's, which `load` could not find.
        OSError
            If the file cannot be written.
        """
        write_recommender(path, self, partial(self._state, optimizer=optimizer))

    def _parameters(self) -> dict[str, Any]:
        # What was learned of the tables is in the state; only further training needs them again.
        left_out = ("user_features", "item_features")
        return super()._parameters() | dict.fromkeys(left_out)

    def _state(self, *, optimizer: bool = False) -> dict[str, Any]:
        return super()._state() | {
            "network_": network_state(self.network_),
            "user_map_": user_map_state(self.user_map_),
            "histories_": self.histories_,
            "history_seconds_": self.history_seconds_,
            "history_": history_state(self.history_),
            "best_iter_": self.best_iter_,
            "_shape": self._shape,
            "_optimizer": optimizer_state(self._optimizer, whole=optimizer),
            "_generator": self._generator,
        }

    def _restore(self, state: State) -> None:
        super()._restore(state)
        # Read whenever users are folded in.
        check_loaded(check_real, "recency", self.recency)
        n_users, n_items = len(self.users_), len(self.items_)
        self.network_ = read_network(state.part("network_"), n_users, n_items)
        self.user_map_ = read_user_map(state, self.network_)
        length = self.network_.blueprint.users.history_length
        self.histories_ = state.indices("histories_", (n_users, length), n_items, at_least=-1)
        self.history_seconds_ = None
        if self.network_.blueprint.users.gaps:
            self.history_seconds_ = state.floats("history_seconds_", self.histories_.shape)
        self.history_ = read_history(state.part("history_"))
        self.n_iter_ = len(self.history_["loss"])
        self.best_iter_ = state.integer("best_iter_", 0, self.n_iter_)
        self._shape = read_shape(state.part("_shape"))
        self._optimizer = read_optimizer(state, self.network_)
        self._generator = state.of_type("_generator", np.random.Generator)
        self._model = self._own_rows = None


def network_state(network: Network) -> dict[str, Any]:
    """Return what a network consists of, by name."""
    layers, tower = network.blueprint.layers, network.blueprint.users
    return {
        "layers": next(name for name, kind in LAYERS.items() if type(layers) is kind),
        "n_factors": layers.n_factors,
        "mlp_embedding_dim": layers.mlp_embedding_dim,
        "hidden_layer_sizes": list(layers.hidden_layer_sizes),
        "item_bias": bool(layers.item_bias),
        "user_encoder": next(name for name, kind in USER_TOWERS.items() if type(tower) is kind),
        "history_length": tower.history_length,
        "history_hidden_size": tower.history_hidden_size,
        "init_std": float(tower.std),
        "tie_history": bool(tower.tied),
        "history_gaps": tower.gaps,
        "newest_item": bool(tower.newest_item),
        "tables": network.weights.tables,
        "shared": network.weights.shared,
        "users": network.users,
        "items": network.items,
    }


def read_network(state: State, n_users: int, n_items: int) -> Network:
    """Return the network of a file."""
    blueprint = _read_blueprint(state, n_items)
    tables, shared = state.part("tables"), state.part("shared")
    layers, shapes = blueprint.layers, blueprint.shared_shapes()
    of_tables = blueprint.table_shapes(0, 0)
    if set(tables.names()) != set(of_tables) or set(shared.names()) != set(shapes):
        raise damaged("its network has other weights than it is made of")
    # Users folded in have vectors, but no rows.
    n_trained = n_users
    if "users" in tables.names():
        n_trained = len(tables.float32s("users", (None, layers.width)))
    of_tables = blueprint.table_shapes(n_trained, n_items)
    weights = Weights(
        {name: tables.float32s(name, of_tables[name]) for name in tables.names()},
        # In the order of the file, which is that of Adam's moments.
        {name: shared.float32s(name, shapes[name]) for name in shared.names()},
    )
    users = state.float32s("users", (n_users, layers.width))
    items = state.float32s("items", (n_items, layers.item_width))
    return Network(blueprint, weights, users, items)


def _read_blueprint(state: State, n_items: int) -> Blueprint:
    sizes = state.of_type("hidden_layer_sizes", list)
    if not all(type(size) is int and size > 0 for size in sizes):
        raise damaged("hidden_layer_sizes are no sizes")
    kind = state.of_type("layers", str)
    if kind not in LAYERS:
        raise damaged("its layers are unknown")
    layers = LAYERS[kind](
        state.integer("n_factors"),
        state.integer("mlp_embedding_dim"),
        tuple(sizes),
        state.of_type("item_bias", bool),
    )
    if layers.width == 0 or bool(sizes) != bool(layers.mlp_embedding_dim):
        raise damaged("its network has no such layers")
    # Before anything of this width is made.
    state.float32s("items", (n_items, layers.item_width))
    encoder = state.of_type("user_encoder", str)
    if encoder not in USER_TOWERS:
        raise damaged("user_encoder is unknown")
    users = USER_TOWERS[encoder](
        layers.width,
        state.integer("history_length"),
        state.integer("history_hidden_size"),
        std=state.of_type("init_std", float),
        tied=state.of_type("tie_history", bool),
        gaps=_read_gaps(state),
        newest_item=_read_newest_item(state),
    )
    return Blueprint.of_towers(layers, users)


def user_map_state(user_map: UserMap | None) -> dict[str, Any] | None:
    """Return what makes vectors of new users, by name."""
    if user_map is None:
        return None
    return {"slope": user_map.slope, "intercept": user_map.intercept}


def read_user_map(state: State, network: Network) -> UserMap | None:
    """Return what makes vectors of new users, where the user tower does not."""
    if network.blueprint.users.reads_history:
        return None
    part, width = state.part("user_map_"), network.blueprint.layers.width
    return UserMap(part.float32s("slope", (width, width)), part.float32s("intercept", (width,)))


def optimizer_state(optimizer: OptimizerState | None, *, whole: bool) -> dict[str, Any] | None:
    """Return Adam by name, with the moments of each row or, as after `fit`, with their means."""
    if optimizer is None:
        return None
    if not whole:
        optimizer = replace(
            optimizer, tables={name: table[:0] for name, table in optimizer.tables.items()}
        )
    return {name: getattr(optimizer, name) for name in OptimizerState.__dataclass_fields__}


def read_optimizer(state: State, network: Network) -> OptimizerState | None:
    """Return Adam, for a network."""
    if not state.has("_optimizer"):
        return None
    part = state.part("_optimizer")
    tables, n_rows, squares = (part.part(name) for name in ("tables", "n_rows", "mean_squares"))
    names = network.weights.tables.keys()
    if any(set(state.names()) != set(names) for state in (tables, n_rows, squares)):
        raise damaged("Adam has other tables than the network")
    trained = {name: len(table) for name, table in network.weights.tables.items()}
    n_weights = sum(weights.size for weights in network.weights.shared.values())
    widths = {name: table.shape[1] for name, table in network.weights.tables.items()}
    moments = {name: tables.float32s(name, (None, 2 * widths[name])) for name in tables.names()}
    counts = {name: n_rows.integer(name, 0, trained[name]) for name in n_rows.names()}
    if any(len(table) not in (0, counts[name]) for name, table in moments.items()):
        raise damaged("Adam has moments of other rows than were trained")
    return OptimizerState(
        moments,
        counts,
        {name: squares.float32s(name, (1, widths[name])) for name in squares.names()},
        part.float32s("shared", (1, 2 * n_weights)),
        part.integer("n_steps", 0, 2**31 - 1),
    )


def history_state(history: dict[str, list[float]]) -> dict[str, Any]:
    """Return the values of each epoch, by name."""
    return {name: np.array(values) for name, values in history.items()}


def read_history(state: State) -> dict[str, list[float]]:
    """Return the values of each epoch, by name; NaN where nothing was measured."""
    history = {}
    for name in state.names():
        values = state.value(name)
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
            raise damaged(f"history_ has no numbers of {short(name)}")
        history[name] = values.tolist()
    if len({len(values) for values in history.values()}) != 1 or "loss" not in history:
        raise damaged("history_ is none of as many epochs")
    return history


def read_shape(state: State) -> dict[str, Any]:
    """Return the parameters that the network had its shape from."""
    added = {"history_gaps": _read_gaps(state), "newest_item": _read_newest_item(state)}
    if set(state.names()) | set(added) != set(SHAPE):
        raise damaged("_shape has other parameters")
    return {name: state.value(name) for name in state.names()} | added


def _read_gaps(state: State) -> GapsFrom | None:
    """Return what gaps are counted from: nothing in files of earlier versions."""
    gaps = state.value("history_gaps") if state.has("history_gaps") else None
    if gaps not in (None, *GAPS_FROM):
        raise damaged("history_gaps is unknown")
    return gaps


def _read_newest_item(state: State) -> bool:
    """Return whether the newest item has a vector of its own: not in files of earlier versions."""
    return state.has("newest_item") and state.of_type("newest_item", bool)
