"""Write a network as a graph for other programs: TensorFlow's SavedModel, or ONNX."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf._version import __version__
from neumf.model.network import Network
from neumf.saving.container import short_repr
from neumf.training.runtime import check_eager, import_tensorflow
from neumf.utils.paths import opened_as
from neumf.utils.time_gaps import HistoryInputs
from neumf.utils.validation import check_int, check_option

# The ONNX opset of the graph. It dates from 2022, so that current runtimes support it.
_OPSET = 17


@dataclass(frozen=True)
class ListModel:
    """The data of lists: a network, the popularity for unknown users, the ids by index."""

    network: Network
    popularity_logits: NDArray[np.float64]
    users: pd.Index
    items: pd.Index


def export_lists(model: ListModel, path: str | os.PathLike[str], kind: str, k: int) -> None:
    """Write a graph that computes lists, see `NetworkRecommender.export`."""
    check_option("format", kind, tuple(_WRITERS))
    check_int("k", k, 1)
    if model.network.blueprint.users.time_gaps:
        raise ValueError(
            "export writes graphs that read the items of histories, but no times. Received a "
            "recommender with time_gaps. Fit one with time_gaps=None, or serve the file that save "
            "writes."
        )
    folder = Path(path).expanduser()
    if folder.exists():
        raise FileExistsError(
            f"path must be a folder that does not exist yet. Received {path}, which exists. "
            "Remove it, or pass another path."
        )
    try:
        tf = import_tensorflow()
    except ImportError as error:
        raise ImportError(
            f"export needs TensorFlow to build graphs: {error.__cause__}. Install it: pip install "
            "tensorflow keras. neumf.load reads saved files without it."
        ) from error
    check_eager(tf)
    function = _ListFunction(tf, model, min(k, len(model.items)))
    tables = {"items": _json_ids(model.items, "items_")}
    if "user" in function.inputs:
        tables["users"] = _json_ids(model.users, "users_")
    text = json.dumps({"neumf_version": __version__, **tables})
    with opened_as(path, "path must be in a folder that exists, has space, and may be written to"):
        _write_folder(folder, text, partial(_WRITERS[kind], tf, function))


class _ListFunction:
    """A function of tensors that returns the lists of a network.

    `inputs` holds the TensorSpec of each input by name, `variables` the weights.
    """

    def __init__(self, tf: Any, model: ListModel, k: int) -> None:
        network = model.network
        tower = network.blueprint.users
        self._tf, self._blueprint, self._k = tf, network.blueprint, k
        self._n_items = len(network.items)
        # A probe shows which tables the tower reads.
        histories = HistoryInputs(np.zeros((1, tower.history_length), np.int32))
        probe = tower.indices(np.zeros(1, np.int32), histories)
        shapes: dict[str, tuple[int | None, ...]] = {"user": (None,)} if "users" in probe else {}
        if tower.reads_history:
            shapes["history"] = (None, tower.history_length)
        shapes["seen"] = (None, None)
        self.inputs = {name: tf.TensorSpec(shapes[name], tf.int32, name) for name in shapes}
        arrays = dict(network.weights.shared)
        arrays |= {name: network.weights.tables[name] for name in map(tower.table_of, probe)}
        if not tower.reads_history:
            arrays["users"] = network.users  # includes folded-in users
        arrays |= {"items": network.items, "popularity": model.popularity_logits.astype(np.float32)}
        self.variables = {
            name: tf.Variable(array, trainable=False, name=name) for name, array in arrays.items()
        }

    def __call__(self, *tensors: Any) -> dict[str, Any]:
        """Return items and scores, given tensors in the order of `inputs`."""
        tf, inputs = self._tf, dict(zip(self.inputs, tensors, strict=True))
        weights = {name: tf.convert_to_tensor(value) for name, value in self.variables.items()}
        users, known = self._user_vectors(weights, inputs)
        logits = self._blueprint.layers.pair_logits(tf, weights, users, weights["items"])
        scores = tf.where(known[:, None], logits, weights["popularity"])
        scores, items = tf.math.top_k(self._masked(scores, inputs["seen"]), self._k)
        return {"item": tf.where(scores > -np.inf, items, -1), "score": scores}

    def _user_vectors(self, weights: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        """Return the vectors of users, and whether each user is known."""
        tf, tower = self._tf, self._blueprint.users
        users: Any = inputs.get("user")
        rows, present = {}, {}
        histories = HistoryInputs(inputs["history"]) if "history" in inputs else None
        for name, index in tower.indices(users, histories).items():
            table = weights[tower.table_of(name)]
            present[name] = (index >= 0) & (index < table.shape[0])
            row = tf.gather(table, tf.where(present[name], index, 0))
            rows[name] = tf.where(present[name][:, :, None], row, 0.0)
        known = tf.reduce_any(tf.concat(list(present.values()), 1), 1)
        return tower.vectors(tf, rows, present, weights), known

    def _masked(self, scores: Any, seen: Any) -> Any:
        """Return the scores with -inf at the seen items."""
        tf, n_items = self._tf, self._n_items
        # An extra item replaces -1. Each row refers to it once, so that no row is empty.
        scores = tf.pad(scores, [[0, 0], [0, 1]])
        seen = tf.pad(seen, [[0, 0], [0, 1]], constant_values=n_items)
        seen = tf.where((seen >= 0) & (seen < n_items), seen, n_items)
        rows = tf.range(tf.shape(seen)[0])[:, None] + tf.zeros_like(seen)
        positions = tf.concat([tf.reshape(rows, (-1, 1)), tf.reshape(seen, (-1, 1))], 1)
        barred = tf.fill([tf.size(seen)], tf.constant(-np.inf, tf.float32))
        return tf.tensor_scatter_nd_update(scores, positions, barred)[:, :n_items]


def _write_saved_model(tf: Any, function: _ListFunction, folder: Path) -> None:
    module = tf.Module()
    module.weights, module.lists = function.variables, _graph_of(tf, function)
    tf.saved_model.save(module, str(folder), signatures=module.lists)


def _write_onnx(tf: Any, function: _ListFunction, folder: Path) -> None:
    try:
        import onnx
        import tf2onnx
    except ModuleNotFoundError as error:
        raise ImportError(
            f'format="onnx" is written by tf2onnx: {error}. Install the extra: pip install '
            '"scikit-neumf[onnx]".'
        ) from error
    graph, inputs = _graph_of(tf, function), list(function.inputs.values())
    model, _ = tf2onnx.convert.from_function(graph, inputs, opset=_OPSET)
    onnx.save(model, folder / "model.onnx")


def _graph_of(tf: Any, function: _ListFunction) -> Any:
    return tf.function(function, input_signature=list(function.inputs.values()), autograph=False)


# format -> function that writes a graph into a folder
_WRITERS: dict[str, Callable[[Any, _ListFunction, Path], None]] = {
    "tf_saved_model": _write_saved_model,
    "onnx": _write_onnx,
}


def _json_ids(ids: pd.Index, name: str) -> list[Any]:
    labels = ids.tolist()
    for row, label in enumerate(labels):
        if type(label) not in (int, str, float, bool):
            raise TypeError(
                f"{name} must hold numbers or strings, since export writes ids as JSON. Received "
                f"{short_repr(label)} of type {type(label).__name__} at index {row}. Turn such "
                "ids into strings before fit."
            )
    return labels


def _write_folder(folder: Path, text: str, write: Callable[[Path], None]) -> None:
    """Write a graph and the ids into a new folder, which appears once both are complete."""
    temporary = folder.with_name(f".neumf-{secrets.token_hex(8)}.tmp")
    try:
        temporary.mkdir()
        write(temporary)
        (temporary / "ids.json").write_text(text, encoding="utf-8")
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
