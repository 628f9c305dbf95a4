"""Convert the state of a fitted network to values of a file, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neumf.model.network import Blueprint, Network, Weights
from neumf.model.user_map import UserMap
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error, short_repr
from neumf.training.trainer import OptimizerState


def read_network(state: CheckedValues, blueprint: Blueprint, n_users: int, n_items: int) -> Network:
    """Read the network of a file; its arrays must have the shapes of the blueprint."""
    layers = blueprint.layers
    # Checked first: a blueprint from a hostile file could make arrays of any width.
    items = state.float32s("items", (n_items, layers.item_width))
    tables, shared = state.part("tables"), state.part("shared")
    shapes, table_shapes = blueprint.shared_shapes(), blueprint.table_shapes(0, 0)
    if set(tables.names()) != set(table_shapes) or set(shared.names()) != set(shapes):
        raise damaged_file_error("its network does not have the weights of its layers")
    # Folded-in users have vectors, but no rows in the tables.
    n_trained = n_users
    if "users" in table_shapes:
        n_trained = len(tables.float32s("users", (None, layers.width)))
    table_shapes = blueprint.table_shapes(n_trained, n_items)
    weights = Weights(
        {name: tables.float32s(name, table_shapes[name]) for name in tables.names()},
        # In the order of the file, which is the order of Adam's moments.
        {name: shared.float32s(name, shapes[name]) for name in shared.names()},
    )
    users = state.float32s("users", (n_users, layers.width))
    return Network(blueprint, weights, users, items)


def read_user_map(state: CheckedValues, blueprint: Blueprint) -> UserMap | None:
    """Read the map to vectors of new users; None if the user tower computes them."""
    if blueprint.users.reads_history:
        return None
    part, width = state.part("user_map_"), blueprint.layers.width
    return UserMap(part.float32s("slope", (width, width)), part.float32s("intercept", (width,)))


def optimizer_state(optimizer: OptimizerState | None, *, whole: bool) -> dict[str, Any] | None:
    """Return Adam's state by name; unless `whole`, without the moments of each row."""
    if optimizer is None:
        return None
    if not whole:
        optimizer = replace(
            optimizer, tables={name: table[:0] for name, table in optimizer.tables.items()}
        )
    return {name: getattr(optimizer, name) for name in OptimizerState.__dataclass_fields__}


def read_optimizer(state: CheckedValues, network: Network) -> OptimizerState | None:
    """Read Adam's state, and check that it fits the network."""
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
        raise damaged_file_error("Adam's moments and the network have different rows")
    return OptimizerState(
        moments,
        counts,
        {name: squares.float32s(name, (1, widths[name])) for name in squares.names()},
        part.float32s("shared", (1, 2 * n_weights)),
        part.integer("n_steps", 0, 2**31 - 1),
    )


def read_history(state: CheckedValues) -> dict[str, list[float]]:
    """Read the values of each epoch, by name; NaN where nothing was measured."""
    history = {}
    for name in state.names():
        values = state.value(name)
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
            raise damaged_file_error(f"{short_repr(name)} in history_ is not a list of numbers")
        history[name] = values.tolist()
    if len({len(values) for values in history.values()}) != 1 or "loss" not in history:
        raise damaged_file_error("the lists in history_ differ in length, or loss is missing")
    return history


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return the state of a PCG64 generator, by name; raise for other generators."""
    state: Any = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise TypeError(
            "random_state must be None, an int or a PCG64 generator in fit, so that save can store "
            f"it. Received a {state['bit_generator']} generator. Fit with "
            "random_state=numpy.random.default_rng(seed), or pickle the recommender."
        )
    numbers: dict[str, Any] = state["state"]
    return numbers | {name: state[name] for name in ("has_uint32", "uinteger")}


def read_generator(state: CheckedValues) -> np.random.Generator:
    """Read the random generator."""
    bit_generator: Any = np.random.PCG64(0)
    bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {name: state.integer(name, 0, 2**128 - 1) for name in ("state", "inc")},
        "has_uint32": state.integer("has_uint32", 0, 1),
        "uinteger": state.integer("uinteger", 0, 2**32 - 1),
    }
    return np.random.Generator(bit_generator)
