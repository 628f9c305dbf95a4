"""`NeuMFRecommender` to a file and back: the network, and what training needs to go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neumf.model.layers import LAYERS
from neumf.model.network import Blueprint, Network, Weights
from neumf.model.user_map import UserMap
from neumf.model.user_towers import USER_TOWERS
from neumf.neural.parameters import SHAPE
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error, short_repr
from neumf.training.trainer import OptimizerState
from neumf.utils.time_gaps import GAPS_FROM, GapsFrom


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


def read_network(state: CheckedValues, n_users: int, n_items: int) -> Network:
    """Return the network of a file."""
    blueprint = _read_blueprint(state, n_items)
    tables, shared = state.part("tables"), state.part("shared")
    layers, shapes = blueprint.layers, blueprint.shared_shapes()
    of_tables = blueprint.table_shapes(0, 0)
    if set(tables.names()) != set(of_tables) or set(shared.names()) != set(shapes):
        raise damaged_file_error("its network does not have the weights of its layers")
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


def _read_blueprint(state: CheckedValues, n_items: int) -> Blueprint:
    sizes = state.of_type("hidden_layer_sizes", list)
    if not all(type(size) is int and size > 0 for size in sizes):
        raise damaged_file_error("hidden_layer_sizes must hold ints above 0")
    kind = state.of_type("layers", str)
    if kind not in LAYERS:
        raise damaged_file_error("it names unknown layers")
    layers = LAYERS[kind](
        state.integer("n_factors"),
        state.integer("mlp_embedding_dim"),
        tuple(sizes),
        state.of_type("item_bias", bool),
    )
    if layers.width == 0 or bool(sizes) != bool(layers.mlp_embedding_dim):
        raise damaged_file_error("its layer sizes do not fit together")
    # Before anything of this width is made.
    state.float32s("items", (n_items, layers.item_width))
    encoder = state.of_type("user_encoder", str)
    if encoder not in USER_TOWERS:
        raise damaged_file_error("it names an unknown user_encoder")
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


def read_user_map(state: CheckedValues, network: Network) -> UserMap | None:
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


def read_optimizer(state: CheckedValues, network: Network) -> OptimizerState | None:
    """Return Adam, for a network."""
    if not state.has("_optimizer"):
        return None
    part = state.part("_optimizer")
    tables, n_rows, squares = (part.part(name) for name in ("tables", "n_rows", "mean_squares"))
    names = network.weights.tables.keys()
    if any(set(state.names()) != set(names) for state in (tables, n_rows, squares)):
        raise damaged_file_error("Adam and the network have different tables")
    trained = {name: len(table) for name, table in network.weights.tables.items()}
    n_weights = sum(weights.size for weights in network.weights.shared.values())
    widths = {name: table.shape[1] for name, table in network.weights.tables.items()}
    moments = {name: tables.float32s(name, (None, 2 * widths[name])) for name in tables.names()}
    counts = {name: n_rows.integer(name, 0, trained[name]) for name in n_rows.names()}
    if any(len(table) not in (0, counts[name]) for name, table in moments.items()):
        raise damaged_file_error("Adam has moments for other rows than the network has")
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


def read_history(state: CheckedValues) -> dict[str, list[float]]:
    """Return the values of each epoch, by name; NaN where nothing was measured."""
    history = {}
    for name in state.names():
        values = state.value(name)
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
            raise damaged_file_error(f"history_ must hold a list of numbers as {short_repr(name)}")
        history[name] = values.tolist()
    if len({len(values) for values in history.values()}) != 1 or "loss" not in history:
        raise damaged_file_error("the lists in history_ differ in length, or loss is missing")
    return history


def read_shape(state: CheckedValues) -> dict[str, Any]:
    """Return the parameters that the network had its shape from."""
    added = {"history_gaps": _read_gaps(state), "newest_item": _read_newest_item(state)}
    if set(state.names()) | set(added) != set(SHAPE):
        raise damaged_file_error("_shape has unknown or missing parameters")
    return {name: state.value(name) for name in state.names()} | added


def _read_gaps(state: CheckedValues) -> GapsFrom | None:
    """Return what gaps are counted from: nothing in files of earlier versions."""
    gaps = state.value("history_gaps") if state.has("history_gaps") else None
    if gaps not in (None, *GAPS_FROM):
        raise damaged_file_error("it has an unknown value of history_gaps")
    return gaps


def _read_newest_item(state: CheckedValues) -> bool:
    """Return whether the newest item has a vector of its own: not in files of earlier versions."""
    return state.has("newest_item") and state.of_type("newest_item", bool)


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a random generator, by name.

    Raises
    ------
    TypeError
        If its numbers do not come from PCG64.
    """
    state: Any = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise TypeError(
            "random_state must have been None, an int or a generator of PCG64 in fit, so that a "
            f"file can hold it. Received a generator of {state['bit_generator']}. Fit with "
            "random_state=numpy.random.default_rng(seed), or pickle the recommender."
        )
    numbers: dict[str, Any] = state["state"]
    return numbers | {name: state[name] for name in ("has_uint32", "uinteger")}


def read_generator(state: CheckedValues) -> np.random.Generator:
    """Return the random generator of a file."""
    bit_generator: Any = np.random.PCG64(0)
    bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {name: state.integer(name, 0, 2**128 - 1) for name in ("state", "inc")},
        "has_uint32": state.integer("has_uint32", 0, 1),
        "uinteger": state.integer("uinteger", 0, 2**32 - 1),
    }
    return np.random.Generator(bit_generator)
