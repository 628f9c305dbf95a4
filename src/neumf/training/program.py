"""The training step, and the program that runs it batch after batch.

A batch is a number of rows, each with its negatives. Every step gathers the rows of the tables that
it needs, runs the network forward and backward and the optimizer, and writes the rows back. Rows
that a batch does not touch do not move ("lazy" Adam): a step costs the same for a thousand items
and for a million.

All batches of a chunk of rows run in one XLA program. It writes to long tables in place, and a step
in it starts without the 80 microseconds that TensorFlow takes to start an XLA program.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from neumf.model.layers import Dropout, no_dropout
from neumf.model.network import Blueprint
from neumf.training.batches import BatchSizes, Chunk
from neumf.training.dropout import make_dropout, make_noise
from neumf.training.losses import Loss
from neumf.training.optimizers import OPTIMIZERS, WithMoments
from neumf.training.runtime import import_tensorflow
from neumf.training.tables import unpack_table
from neumf.utils.arrays import Float32s


class State(NamedTuple):
    """Variables: weights and Adam's moments, side by side in each row; tables by name."""

    tables: dict[str, Any]
    shared: Any


class Rates(NamedTuple):
    """Numbers that may change without compiling anew.

    `penalties` are the weights of the squared norms of the rows of each table, by its name, and
    `kernel_penalty` that of the kernels. `centres` are what is taken from the rows before, for the
    tables that have such. `scored` tells which rows of the table of items are in the catalogue,
    `n_scored` how many they are.
    """

    learning_rate: Any
    penalties: dict[str, Any]
    kernel_penalty: Any
    dropout: Any
    centres: dict[str, Any]
    scored: Any
    n_scored: Any


class Plan(NamedTuple):
    """What fixes a program: equal plans share compiled code.

    `table_rows` are the rows of each table, spare ones included, `shared_shapes` the shapes of the
    shared weights by name, in the order in which they stand in the one row of `State.shared`.
    """

    blueprint: Blueprint
    loss: Loss
    optimizer: str
    with_dropout: bool
    batches: BatchSizes
    table_rows: tuple[tuple[str, int], ...]
    shared_shapes: tuple[tuple[str, tuple[int, ...]], ...]

    def table_of(self, name: str) -> str:
        """Return the table that the rows named so are in."""
        return self.blueprint.users.table_of(name)


def flat_shared(shared: dict[str, Float32s]) -> Float32s:
    """Return the shared weights as one row, shape (1, n_weights)."""
    return np.concatenate([array.ravel() for array in shared.values()])[None]


def split_shared(xp: Any, flat: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Cut one row of shared weights into arrays of these shapes by name."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = np.split(flat, np.cumsum(sizes)[:-1]) if xp is np else xp.split(flat, sizes)
    return {
        name: xp.reshape(part, shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


@lru_cache(maxsize=64)
def compile_program(plan: Plan, with_xla: bool) -> Any:
    """Return the compiled function that trains on a chunk of rows, batch by batch.

    It holds no data and no weights, so that every fit of the same plan shares it. It returns the
    sum of the losses of the rows.
    """
    tf = import_tensorflow()
    batch_rows = plan.batches.n_rows
    update = OPTIMIZERS[plan.optimizer]

    @tf.function(autograph=False, jit_compile=with_xla)
    def run(state: State, chunk: Chunk, rates: Rates, steps_before: Any) -> Any:
        # The first batch stands for all: only the names and shapes of its places are read.
        of_a_batch = _places(tf, plan, _Batch.of_chunk(tf, chunk, 0, batch_rows).indices)
        names_of = {
            table: [name for name in of_a_batch if plan.table_of(name) == table]
            for table in state.tables
        }

        def train_batch(i: Any, total: Any, tables: Any, shared: Any) -> tuple[Any, ...]:
            batch = _Batch.of_chunk(tf, chunk, i, batch_rows)
            places = _places(tf, plan, batch.indices)
            weights = {
                name: tables[plan.table_of(name)].weights(tf, place)
                for name, place in places.items()
            }
            (gradients, of_shared), loss = _gradients(
                tf, plan, weights, shared.weights, batch, rates
            )
            t = tf.cast(steps_before + i + 1, tf.float32)

            def step(before: WithMoments, gradient: Any) -> WithMoments:
                return update(tf, before, gradient, rates.learning_rate, t)

            moved = {}
            for table, names in names_of.items():
                of_table = (
                    tf.concat([parts[name] for name in names], 0) for parts in (places, gradients)
                )
                moved[table] = tables[table].move(tf, step, *of_table)
            total += tf.cast(loss, tf.float64)
            return i + 1, total, moved, step(shared, of_shared)

        n_batches = (chunk.n_rows + batch_rows - 1) // batch_rows
        tables = {}
        for table, names in names_of.items():
            n_places = sum(of_a_batch[name].shape[0] for name in names)
            tables[table] = unpack_table(tf, state.tables[table].read_value(), n_places)
        shared = WithMoments.of_packed(tf, state.shared.read_value())
        start = (tf.constant(0), tf.constant(0.0, tf.float64), tables, shared)
        _, total, tables, shared = tf.while_loop(lambda i, *_: i < n_batches, train_batch, start)
        for name, variable in state.tables.items():
            variable.assign(tables[name].packed_rows(tf))
        state.shared.assign(shared.packed(tf))
        return total

    return run


class _Batch(NamedTuple):
    """One batch of a chunk; the first `n_real` of its rows count."""

    indices: dict[str, Any]
    labels: Any
    weights: Any
    n_real: Any
    seed: Any

    @classmethod
    def of_chunk(cls, tf: Any, chunk: Chunk, i: Any, batch_rows: int) -> _Batch:
        return cls(
            {name: index[i] for name, index in chunk.indices.items()},
            chunk.labels[i],
            chunk.weights[i],
            tf.minimum(chunk.n_rows - i * batch_rows, batch_rows),
            chunk.seed + tf.stack([0, i]),
        )


def _places(tf: Any, plan: Plan, indices: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of each table that a batch needs, one after the other."""
    n_rows = dict(plan.table_rows)
    # Where a row needs none, -1, the last row of the table stands in, which is a spare one.
    places = {
        name: tf.reshape(tf.where(index < 0, n_rows[plan.table_of(name)] - 1, index), (-1,))
        for name, index in indices.items()
        if plan.blueprint.users.is_row(name)
    }
    if plan.loss.candidates == "catalogue":
        places["items"] = tf.range(n_rows["items"])
    return places


def _gradients(
    tf: Any, plan: Plan, rows: dict[str, Any], shared: Any, batch: _Batch, rates: Rates
) -> tuple[Any, Any]:
    """Return the gradients of the rows and of the shared weights, and the summed loss."""
    n = tf.cast(batch.n_real, tf.float32)
    real = tf.cast(tf.range(plan.batches.n_rows) < batch.n_real, tf.float32)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch((rows, shared))
        forward = _Forward.of_rows(
            tf, plan, rows, split_shared(tf, shared[0], dict(plan.shared_shapes)), batch
        )
        losses = batch.weights * forward.losses(tf, plan, batch, rates)
        penalties, kernel_norms = forward.penalties(tf, plan, batch.indices, rates)
        objective = tf.reduce_sum(losses + real * penalties) / n
        if kernel_norms:
            objective += rates.kernel_penalty * tf.add_n(kernel_norms)
    return tape.gradient(objective, (rows, shared)), tf.reduce_sum(losses)


class _Forward(NamedTuple):
    """What a batch goes forward from.

    `of_users` are the rows of the user tower's tables, shape (n_batch, n_per_row, width), and what
    it reads that is in no table; `present` tells where there are such. `items` are the rows of
    items that are scored, `candidates` the rows of each row's own item and its negatives, shape
    (n_batch, n_candidates, width).
    """

    of_users: dict[str, Any]
    present: dict[str, Any]
    items: Any
    candidates: Any
    shared: dict[str, Any]

    @classmethod
    def of_rows(
        cls, tf: Any, plan: Plan, rows: dict[str, Any], shared: dict[str, Any], batch: _Batch
    ) -> _Forward:
        indices = {name: index for name, index in batch.indices.items() if name != "items"}
        items = candidates = rows["items"]
        if plan.loss.candidates == "catalogue":
            candidates = tf.gather(items, batch.indices["items"])
        return cls(
            {
                name: tf.reshape(rows[name], (*index.shape, -1)) if name in rows else index
                for name, index in indices.items()
            },
            {name: index >= 0 for name, index in indices.items()},
            items,
            tf.reshape(candidates, (*batch.indices["items"].shape, -1)),
            shared,
        )

    def losses(self, tf: Any, plan: Plan, batch: _Batch, rates: Rates) -> Any:
        """Return the loss of each row."""
        blueprint, layers = plan.blueprint, plan.blueprint.layers
        dropout: Dropout = no_dropout
        if plan.with_dropout:
            n_samples = plan.batches.n_rows * (1 + plan.batches.n_drawn)
            noise = make_noise(tf, n_samples * layers.n_dropped, batch.seed)
            dropout = make_dropout(tf, rates.dropout, noise)
        users = blueprint.users.vectors(tf, self.of_users, self.present, self.shared)
        if plan.loss.candidates == "negatives":
            candidates = blueprint.items.vectors(self.candidates)
            scores = layers.logits(tf, self.shared, users, candidates, dropout)
            return plan.loss.of_rows(tf, scores, scores[:, 0], batch.labels)
        users = dropout(users)
        if plan.loss.candidates == "batch":
            scores = self._scores_of_batch(tf, plan, users, batch, rates)
            return plan.loss.of_rows(tf, scores, scores[:, 0], batch.labels)
        items = blueprint.items.vectors(self.items)
        scores = layers.product_logits(tf, self.shared, users, items)
        scores = tf.where(rates.scored, scores, -np.inf)
        numbers = tf.range(items.shape[0])
        own = tf.reduce_sum(tf.where(numbers == batch.indices["items"], scores, 0.0), 1)
        return plan.loss.of_rows(tf, scores, own, batch.labels)

    def _scores_of_batch(self, tf: Any, plan: Plan, users: Any, batch: _Batch, rates: Rates) -> Any:
        """Return the logits of each row's own item, first, and of all negatives of the batch.

        A row's own item is no negative of it, whoever it was drawn for, and what stands behind the
        rows that count is none at all: both have a logit of -inf. Each negative stands for as many
        items of the catalogue as there are for each ("logQ"): the logarithm of that number is
        added to its logit.
        """
        layers = plan.blueprint.layers
        candidates = plan.blueprint.items.vectors(self.candidates)
        own = layers.logits(tf, self.shared, users, candidates[:, :1])
        drawn = tf.reshape(candidates[:, 1:], (-1, candidates.shape[-1]))
        scores = layers.product_logits(tf, self.shared, users, drawn)
        numbers = tf.reshape(batch.indices["items"][:, 1:], (-1,))
        counts = tf.range(numbers.shape[0]) < batch.n_real * plan.batches.n_drawn
        is_negative = counts & (numbers != batch.indices["items"][:, :1])
        n_negatives = tf.reduce_sum(tf.cast(is_negative, tf.float32), 1, keepdims=True)
        scores += tf.math.log((rates.n_scored - 1) / tf.maximum(n_negatives, 1))
        return tf.concat([own, tf.where(is_negative, scores, -np.inf)], 1)

    def penalties(
        self, tf: Any, plan: Plan, indices: dict[str, Any], rates: Rates
    ) -> tuple[Any, list[Any]]:
        """Return the penalty of each row, shape (n_batch,), and the squared norms of the kernels.

        Per sample: a row's user stands in all of its samples, each of its items in one.
        """
        blueprint = plan.blueprint

        def weighed(name: str, rows: Any) -> Any:
            places = tf.maximum(indices[name], 0)  # -1 is none, and does not count
            table = plan.table_of(name)
            if table in rates.centres:
                rows -= tf.gather(rates.centres[table], places)
            return rows * tf.sqrt(tf.gather(rates.penalties[table], places))[:, :, None]

        of_users = {
            name: weighed(name, rows)
            for name, rows in self.of_users.items()
            if blueprint.users.is_row(name)
        }
        total = blueprint.items.norms(tf, weighed("items", self.candidates))
        for norms in blueprint.users.norms(tf, of_users, self.present):
            total += norms
        kernels = [tf.reduce_sum(self.shared[name] ** 2) for name in blueprint.layers.kernels]
        return total, kernels + blueprint.users.kernel_norms(tf, self.shared)
