"""Train weights epoch by epoch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.model.network import Blueprint, Weights
from neumf.training.batches import (
    BatchSizes,
    Chunk,
    TrainingRows,
    chunks_of,
    make_chunk,
    new_order,
    round_up,
)
from neumf.training.centres import Centres
from neumf.training.losses import Loss
from neumf.training.program import Plan, Rates, State, compile_program, flat_shared, split_shared
from neumf.training.runtime import import_tensorflow
from neumf.utils.arrays import Codes, Float32s

# Rows of a table that are copied at once.
_BLOCK_ROWS = 2**16

# What share of the penalty the kernels get, in every batch: as the vectors of something that has
# eight rows. Less, and the weights of places learn tables of 100,000 rows by heart.
KERNEL_SHARE = 1 / 8

# Tables of fewer rows are filled up to a power of two: memory of no account.
_LARGE_TABLE = 2**16


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: the parameters of `NeuMFRecommender` of the same names, and the optimizer."""

    loss: Loss
    n_negatives: int
    batch_size: int
    learning_rate: float
    regularization: float
    dropout: float
    optimizer: str = "adam"


@dataclass(frozen=True)
class OptimizerState:
    """What Adam knows of the steps before.

    Attributes
    ----------
    tables : dict of ndarray of shape (n, 2 * width)
        Both moments of each row, side by side, by the name of the table; or no rows.
    n_rows : dict of int
        Number of rows of each table that have been trained.
    mean_squares : dict of ndarray of shape (1, width)
        The mean of the second moments, which stands in where those of the rows are missing. With
        none at all, the first step of a row would be as long as the learning rate, whatever its
        gradient.
    shared : ndarray of shape (1, 2 * n_weights)
        The moments of the weights that all rows share.
    n_steps : int
        Number of steps.
    """

    tables: dict[str, Float32s]
    n_rows: dict[str, int]
    mean_squares: dict[str, Float32s]
    shared: Float32s
    n_steps: int

    def moments(self, name: str, n_rows: int) -> Float32s:
        """Return both moments of each row of a table that has grown to so many rows."""
        known, square = self.tables[name], self.mean_squares[name]
        moments = np.zeros((n_rows, known.shape[1]), np.float32)
        moments[: len(known)] = known
        moments[len(known) : self.n_rows[name], square.shape[1] :] = square
        return moments


class Trainer:
    """Holds weights and Adam's moments as TensorFlow variables and trains epoch by epoch.

    Parameters
    ----------
    blueprint : Blueprint
        What the network is made of.
    weights : Weights
        Initial weights.
    rows : TrainingRows
        Training data.
    settings : TrainingSettings
        How to train.
    rng : Generator
        Gives the order of the rows, the negatives and dropout.
    optimizer : OptimizerState or None
        Where an earlier training of the weights left off.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        weights: Weights,
        rows: TrainingRows,
        settings: TrainingSettings,
        rng: np.random.Generator,
        optimizer: OptimizerState | None = None,
    ) -> None:
        tf = import_tensorflow()
        tables, shared = weights
        self._rows = rows
        self._rng = rng
        self._table_shapes = {name: table.shape for name, table in tables.items()}
        self._n_steps = 0 if optimizer is None else optimizer.n_steps
        self._state = State(
            {
                name: _packed(
                    tf,
                    table,
                    None if optimizer is None else optimizer.moments(name, len(table)),
                    _capacity(len(table)),
                )
                for name, table in tables.items()
            },
            _packed(tf, flat_shared(shared), None if optimizer is None else optimizer.shared, 1),
        )
        table_rows = {name: table.shape[0] for name, table in self._state.tables.items()}
        degrees = blueprint.by_table(rows.degrees)
        self._centres: dict[str, Centres] = blueprint.by_table(rows.centres)
        scored = _scored(degrees.get("items"), len(tables["items"]), table_rows["items"])
        self._rates = Rates(
            tf.constant(settings.learning_rate, tf.float32),
            {
                name: tf.constant(_penalties(settings, degrees.get(name), n_rows))
                for name, n_rows in table_rows.items()
            },
            tf.constant(settings.regularization * KERNEL_SHARE, tf.float32),
            tf.constant(settings.dropout, tf.float32),
            {name: tf.zeros((table_rows[name], tables[name].shape[1])) for name in self._centres},
            tf.constant(scored),
            tf.constant(np.count_nonzero(scored), tf.float32),
        )
        self._plan = Plan(
            blueprint,
            settings.loss,
            settings.optimizer,
            settings.dropout > 0,
            BatchSizes.of_rows(rows, settings.batch_size, settings.n_negatives),
            tuple(table_rows.items()),
            tuple((name, array.shape) for name, array in shared.items()),
        )
        self._with_xla = True
        # Of an epoch, positives and negatives together.
        self.n_samples = len(rows) * (1 + self._plan.batches.n_drawn)

    def compile(self) -> None:
        """Compile the program if it is not yet, so that no epoch is timed with it."""
        tower, sizes = self._plan.blueprint.users, self._plan.batches
        first = np.zeros(1, np.int32)
        chunk = make_chunk(self._rows, first, tower, sizes, np.random.default_rng(0))
        self._run(chunk._replace(n_rows=np.int32(0)))

    def run_epoch(self) -> float:
        """Go once through all rows in a new order; return the mean loss per row."""
        self._move_centres()
        order = new_order(len(self._rows), self._rng)
        return self.run_rows(order) / len(self._rows)

    def run_rows(self, order: Codes, watch: Callable[[Chunk], None] | None = None) -> float:
        """Go once through these rows in this order; return the sum of their losses.

        `watch` sees each chunk of them.
        """
        tower, sizes = self._plan.blueprint.users, self._plan.batches
        total = 0.0
        for chunk in chunks_of(self._rows, order, tower, sizes, self._rng):
            if watch is not None:
                watch(chunk)
            total += self._run(chunk)
        return total

    def weights(self) -> Weights:
        """Return the weights as they are now."""
        return self._weights({name: self._vectors(name) for name in self._table_shapes})

    def finish(self, keep_moments: bool) -> tuple[Weights, OptimizerState]:
        """Return the weights, and Adam with or without the moments of each row.

        The trainer gives its memory away, table by table, and cannot go on.
        """
        weights, moments, mean_squares = {}, {}, {}
        for name, (n_rows, width) in self._table_shapes.items():
            table = self._state.tables.pop(name)
            weights[name] = _copy(table, n_rows, slice(width))
            mean_squares[name] = _mean_of_trained(table, n_rows, slice(2 * width, None))
            n_kept = n_rows if keep_moments else 0
            moments[name] = _copy(table, n_kept, slice(width, None))
        n_weights = self._state.shared.shape[1] // 3
        shared = _copy(self._state.shared, 1, slice(n_weights, None))
        n_trained = {name: n_rows for name, (n_rows, _) in self._table_shapes.items()}
        optimizer = OptimizerState(moments, n_trained, mean_squares, shared, self._n_steps)
        return self._weights(weights), optimizer

    def _vectors(self, name: str) -> Float32s:
        n_rows, width = self._table_shapes[name]
        return _copy(self._state.tables[name], n_rows, slice(width))

    def _move_centres(self) -> None:
        """Let the centres follow what was learned: block by block, the exact minimum."""
        vectors = {name: self._vectors(name) for name in self._centres}
        self.set_centres({name: self._centres[name].of(vectors[name]) for name in vectors})

    def set_centres(self, centres: dict[str, Float32s]) -> None:
        """Set where the rows of tables are pulled to, by the names of the tables."""
        tf = import_tensorflow()
        for name, values in centres.items():
            spare = self._state.tables[name].shape[0] - len(values)
            self._rates.centres[name] = tf.pad(values, ((0, spare), (0, 0)))

    def _weights(self, tables: dict[str, Float32s]) -> Weights:
        for name, centres in self._centres.items():
            centres.fill_cold(tables[name])
        n_weights = self._state.shared.shape[1] // 3
        flat = _copy(self._state.shared, 1, slice(n_weights))[0]
        return Weights(tables, split_shared(np, flat, dict(self._plan.shared_shapes)))

    def _run(self, chunk: Chunk) -> float:
        """Train on a chunk, without XLA where XLA cannot; return the sum of its losses."""
        tf = import_tensorflow()
        tensors = tf.nest.map_structure(tf.constant, chunk)
        arguments = (self._state, tensors, self._rates, tf.constant(self._n_steps))
        self._n_steps += math.ceil(chunk.n_rows / self._plan.batches.n_rows)
        if self._with_xla:
            try:
                return float(_called(compile_program(self._plan, with_xla=True), arguments))
            except tf.errors.ResourceExhaustedError:
                raise
            except tf.errors.OpError as error:
                # What XLA cannot compile has changed nothing yet.
                warnings.warn(
                    f"XLA could not compile the training step, which will be slower without it: "
                    f"{error.message}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self._with_xla = False
        return float(_called(compile_program(self._plan, with_xla=False), arguments))


def _called(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a tf.function; called by itself, it would warn of retracing in a search over sizes."""
    return function.get_concrete_function(*arguments)(*arguments)


def _capacity(n_rows: int) -> int:
    """Return the rows of a table with room for new ones, one spare row at the least.

    Tables that grow within it share compiled code. A large table has at most a sixteenth to spare.
    """
    n = n_rows + 1
    if n <= _LARGE_TABLE:
        return round_up(n)
    step = 1 << (n.bit_length() - 5)
    return -(-n // step) * step


def _penalties(settings: TrainingSettings, degrees: Codes | None, capacity: int) -> Float32s:
    """Return the weight of the squared norm of each row of a table, and 0 of spare rows."""
    penalties = np.zeros(capacity, np.float32)
    if degrees is None:
        penalties[:] = settings.regularization
    else:
        penalties[: len(degrees)] = settings.regularization / np.maximum(degrees, 1)
    return penalties


def _scored(degrees: Codes | None, n_items: int, capacity: int) -> NDArray[np.bool_]:
    """Return which rows of the table of items are in the catalogue: no spare and no cold ones."""
    scored = np.arange(capacity) < n_items
    if degrees is not None:
        scored[:n_items] &= degrees > 0
    return scored


def _packed(tf: Any, weights: Float32s, moments: Float32s | None, capacity: int) -> Any:
    """Put both Adam moments beside each row, and spare rows below, as a variable."""
    width = weights.shape[1]
    packed = tf.Variable(tf.zeros((capacity, 3 * width)))
    _write(tf, packed, weights, 0)
    if moments is not None:
        _write(tf, packed, moments, width)
    return packed


def _write(tf: Any, packed: Any, values: Float32s, column: int) -> None:
    """Write values into the first rows, from a column on.

    In place and block by block: what TensorFlow does to whole tables takes two copies on the way.
    """
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS]
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=packed.handle,
            begin=[start, column],
            end=[start + len(block), column + values.shape[1]],
            strides=[1, 1],
            value=block,
        )


def _mean_of_trained(packed: Any, n_rows: int, columns: slice) -> Float32s:
    """Return the mean of these columns, shape (1, n_columns), over the rows that were trained."""
    total = np.zeros((1, len(range(*columns.indices(packed.shape[1])))), np.float32)
    n_trained = 0
    for start in range(0, n_rows, _BLOCK_ROWS):
        values = _block(packed, start, min(start + _BLOCK_ROWS, n_rows), columns)
        total += values.sum(axis=0)
        n_trained += int(np.count_nonzero(values.any(axis=1)))
    return total / np.float32(max(n_trained, 1))


def _copy(packed: Any, n_rows: int, columns: slice) -> Float32s:
    """Return these columns: block by block, since TensorFlow makes a copy of its own of each."""
    n_columns = len(range(*columns.indices(packed.shape[1])))
    copied = np.empty((n_rows, n_columns), dtype=np.float32)
    for start in range(0, n_rows, _BLOCK_ROWS):
        end = min(start + _BLOCK_ROWS, n_rows)
        copied[start:end] = _block(packed, start, end, columns)
    return copied


def _block(packed: Any, start: int, end: int, columns: slice) -> Float32s:
    """Return some rows of a variable.

    They are gathered: what was written to in place is copied as a whole, each time, to be sliced.
    """
    values: Float32s = packed.sparse_read(np.arange(start, end))[:, columns].numpy()
    return values
