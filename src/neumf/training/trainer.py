"""Train weights epoch by epoch."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neumf.model.network import Blueprint, Weights
from neumf.training.batches import BatchSizes, Chunk, TrainingRows, chunks_of, make_chunk, new_order
from neumf.training.centres import Centres
from neumf.training.interrupts import raise_noted
from neumf.training.losses import Loss
from neumf.training.program import compile_program
from neumf.training.runtime import check_settings, import_tensorflow
from neumf.training.step import Plan, Rates
from neumf.training.variables import (
    Variables,
    mean_of_trained,
    read_columns,
    split_shared,
    write_columns,
)
from neumf.utils.arrays import Float32s, Indices, take_rows

# The penalty of the kernels, relative to `regularization`. With a smaller one, the position weights
# of histories overfit tables of 100,000 rows.
KERNEL_SHARE = 1 / 8


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training; most are the parameters of `NeuMFRecommender`."""

    loss: Loss
    n_negatives: int
    batch_size: int
    learning_rate: float
    regularization: float
    dropout: float
    optimizer: str = "adam"
    average_epochs: int = 1


@dataclass(frozen=True)
class OptimizerState:
    """Adam's moments and number of steps, to continue a training later."""

    tables: dict[str, Float32s]  # both moments by table, shape (n, 2 * width); n is 0 without them
    n_rows: dict[str, int]  # number of trained rows of each table
    # Means of the second moments, shape (1, width), for rows without moments: from 0, the first
    # step of a row would have the length of the learning rate, whatever the gradient.
    mean_squares: dict[str, Float32s]
    shared: Float32s  # the moments of the shared weights, shape (1, 2 * n_weights)
    n_steps: int

    def moments(self, name: str, n_rows: int) -> Float32s:
        """Return both moments of `n_rows` rows of a table.

        Trained rows without stored moments get the mean squares; new rows get 0.
        """
        known, square = self.tables[name], self.mean_squares[name]
        moments = np.zeros((n_rows, known.shape[1]), np.float32)
        moments[: len(known)] = known
        moments[len(known) : self.n_rows[name], square.shape[1] :] = square
        return moments

    def take_users(self, rows: Indices) -> OptimizerState:
        """Return the state for these rows of the table of users alone."""
        if "users" not in self.tables:
            return self
        n_rows = np.count_nonzero((rows >= 0) & (rows < self.n_rows["users"]))
        return replace(
            self,
            tables=self.tables | {"users": take_rows(self.tables["users"], rows)},
            n_rows=self.n_rows | {"users": int(n_rows)},
        )


class Trainer:
    """Train weights, stored as TensorFlow variables, epoch by epoch.

    `rng` draws the order of the rows, the negatives and dropout. `n_samples` counts the positives
    and negatives of an epoch. `report_rows` gets the number of rows after each call of TensorFlow.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        weights: Weights,
        rows: TrainingRows,
        settings: TrainingSettings,
        rng: np.random.Generator,
    ) -> None:
        tf = import_tensorflow()
        check_settings(tf)
        self._rows = rows
        self._rng = rng
        self._table_shapes = {name: table.shape for name, table in weights.tables.items()}
        self._variables = Variables.of_weights(tf, weights)
        self._centres: dict[str, Centres] = blueprint.by_table(rows.centres)
        self._rates = self._initial_rates(blueprint.by_table(rows.degrees), settings)
        if not blueprint.users.reads_history:
            # Without histories, one length lets all tables share compiled code.
            blueprint = blueprint.with_history_length(0)
        self._plan = Plan(
            blueprint,
            settings.loss,
            settings.optimizer,
            settings.dropout > 0,
            BatchSizes.of_rows(rows, settings.batch_size, settings.n_negatives),
            tuple((name, table.shape[0]) for name, table in self._variables.tables.items()),
            tuple((name, array.shape) for name, array in weights.shared.items()),
        )
        self._n_steps = 0
        self._with_xla = True
        self._has_trained = False
        # The weights of earlier epochs that are averaged with the newest ones.
        self._earlier: deque[Weights] = deque(maxlen=settings.average_epochs - 1)
        self.n_rows = len(rows)
        self.n_samples = len(rows) * (1 + self._plan.batches.n_drawn)
        self.report_rows: Callable[[int], None] = lambda n_rows: None

    def resume(self, optimizer: OptimizerState) -> None:
        """Continue with Adam's state from an earlier training."""
        tf = import_tensorflow()
        for name, (n_rows, width) in self._table_shapes.items():
            moments = optimizer.moments(name, n_rows)
            write_columns(tf, self._variables.tables[name], moments, width)
        shared = self._variables.shared
        write_columns(tf, shared, optimizer.shared, shared.shape[1] // 3)
        self._n_steps = optimizer.n_steps

    def compile(self) -> None:
        """Compile the program now, so that the seconds of the first epoch exclude it."""
        tower, sizes = self._plan.blueprint.users, self._plan.batches
        first = np.zeros(1, np.int32)
        chunk = make_chunk(self._rows, first, tower, sizes, np.random.default_rng(0))
        self._run(chunk._replace(n_rows=np.int32(0)))

    def run_epoch(self) -> float:
        """Train once on all rows in a new order; return the mean loss per row."""
        if self._earlier.maxlen and self._has_trained:
            self._earlier.append(self._newest_weights())
        self._has_trained = True
        self._move_centres()
        tower, sizes = self._plan.blueprint.users, self._plan.batches
        order = new_order(self._rows, sizes.run_length, self._rng)
        total = 0.0
        for chunk in chunks_of(self._rows, order, tower, sizes, self._rng):
            raise_noted()
            total += self._run(chunk)
            self.report_rows(int(chunk.n_rows))
        return total / len(self._rows)

    def loss_of_equal_scores(self) -> float:
        """Return the mean loss per row if all items had equal scores."""
        tf, loss = import_tensorflow(), self._plan.loss
        n = self._table_shapes["items"][0] if loss.is_product else 1 + self._plan.batches.n_drawn
        n -= loss.candidates == "batch"  # the own item is beside the others
        scores = tf.zeros((1, n))
        per_row = float(loss.per_row(tf, scores, scores[:, 0], tf.ones(1))[0])
        weights = self._rows.weights
        return per_row if weights is None else per_row * float(weights.mean(dtype=np.float64))

    def weights(self) -> Weights:
        """Return the weights, averaged over the last `average_epochs` epochs."""
        return _mean([*self._earlier, self._newest_weights()])

    def finish(self, keep_moments: bool) -> tuple[Weights, OptimizerState]:
        """Return averaged weights and Adam's state; free the memory and end the training."""
        weights, moments, mean_squares = {}, {}, {}
        for name, (n_rows, width) in self._table_shapes.items():
            table = self._variables.tables.pop(name)
            weights[name] = read_columns(table, n_rows, slice(width))
            mean_squares[name] = mean_of_trained(table, n_rows, slice(2 * width, None))
            n_kept = n_rows if keep_moments else 0
            moments[name] = read_columns(table, n_kept, slice(width, None))
        n_weights = self._variables.shared.shape[1] // 3
        shared = read_columns(self._variables.shared, 1, slice(n_weights, None))
        n_trained = {name: n_rows for name, (n_rows, _) in self._table_shapes.items()}
        optimizer = OptimizerState(moments, n_trained, mean_squares, shared, self._n_steps)
        return _mean([*self._earlier, self._complete(weights)]), optimizer

    def _initial_rates(self, degrees: dict[str, Any], settings: TrainingSettings) -> Rates:
        """Return the rates of the first epoch, with centres of 0."""
        tf, shapes = import_tensorflow(), self._table_shapes
        n_rows = {name: table.shape[0] for name, table in self._variables.tables.items()}
        # Neither spare rows nor cold items are in the catalogue.
        in_catalogue = np.arange(n_rows["items"]) < shapes["items"][0]
        if "items" in degrees:
            in_catalogue[: shapes["items"][0]] &= degrees["items"] > 0
        shares = np.zeros(n_rows["items"], np.float32)
        if self._rows.negatives is not None and self._rows.negatives.shares is not None:
            shares[: shapes["items"][0]] = self._rows.negatives.shares
        return Rates(
            tf.constant(settings.learning_rate, tf.float32),
            {
                name: tf.constant(_penalties(settings.regularization, degrees.get(name), n))
                for name, n in n_rows.items()
            },
            tf.constant(settings.regularization * KERNEL_SHARE, tf.float32),
            tf.constant(settings.dropout, tf.float32),
            {name: tf.zeros((n_rows[name], shapes[name][1])) for name in self._centres},
            tf.constant(in_catalogue),
            tf.constant(shares),
        )

    def _move_centres(self) -> None:
        """Fit the centres to the present vectors."""
        tf = import_tensorflow()
        for name, centres in self._centres.items():
            values = centres.of(self._vectors(name))
            spare = self._variables.tables[name].shape[0] - len(values)
            self._rates.centres[name] = tf.pad(values, ((0, spare), (0, 0)))

    def _vectors(self, name: str) -> Float32s:
        n_rows, width = self._table_shapes[name]
        return read_columns(self._variables.tables[name], n_rows, slice(width))

    def _newest_weights(self) -> Weights:
        return self._complete({name: self._vectors(name) for name in self._table_shapes})

    def _complete(self, tables: dict[str, Float32s]) -> Weights:
        """Set cold rows of the tables to their centres, and add the shared weights."""
        for name, centres in self._centres.items():
            centres.fill_cold(tables[name], self._plan.blueprint.layers.width)
        n_weights = self._variables.shared.shape[1] // 3
        flat = read_columns(self._variables.shared, 1, slice(n_weights))[0]
        return Weights(tables, split_shared(np, flat, dict(self._plan.shared_shapes)))

    def _run(self, chunk: Chunk) -> float:
        """Train on a chunk, without XLA if XLA fails; return the sum of its losses."""
        tf = import_tensorflow()
        tensors = tf.nest.map_structure(tf.constant, chunk)
        arguments = (self._variables, tensors, self._rates, tf.constant(self._n_steps))
        self._n_steps += math.ceil(chunk.n_rows / self._plan.batches.n_rows)
        if self._with_xla:
            try:
                return float(_called(compile_program(self._plan, with_xla=True), arguments))
            except tf.errors.ResourceExhaustedError:
                raise
            except tf.errors.OpError as error:
                # A failed compilation has changed no variables, so the chunk can run again.
                message = "XLA could not compile the training step, which will be slower without it"
                warnings.warn(f"{message}: {error.message}", RuntimeWarning, stacklevel=2)
                self._with_xla = False
        return float(_called(compile_program(self._plan, with_xla=False), arguments))


def _called(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a tf.function; a plain call would warn of retracing in a search over sizes."""
    return function.get_concrete_function(*arguments)(*arguments)


def _penalties(regularization: float, degrees: Indices | None, capacity: int) -> Float32s:
    """Return the weight of the squared norm of each row of a table, 0 for spare rows."""
    if degrees is None:
        return np.full(capacity, regularization, np.float32)
    penalties = np.zeros(capacity, np.float32)
    penalties[: len(degrees)] = regularization / np.maximum(degrees, 1)
    return penalties


def _mean(parts: list[Weights]) -> Weights:
    """Return the mean of weights of equal shapes."""
    if len(parts) == 1:
        return parts[0]
    tables, shared = (
        {
            name: np.sum([part[name] for part in arrays], axis=0) / np.float32(len(parts))
            for name in arrays[0]
        }
        for arrays in zip(*parts, strict=True)
    )
    return Weights(tables, shared)
