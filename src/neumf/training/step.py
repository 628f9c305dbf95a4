"""Take one training step: compute the gradients of a batch and the new weights.

A step gathers, updates and writes only the table rows that its batch refers to ("lazy" Adam). Its
time does not grow with the number of items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from neumf.model.layers import Dropout, no_dropout
from neumf.model.network import Blueprint
from neumf.training.batches import BatchSizes, Chunk
from neumf.training.dropout import make_dropout, make_noise
from neumf.training.embedding_tables import LongTable, ShortTable
from neumf.training.losses import Loss
from neumf.training.optimizers import OPTIMIZERS, WithMoments
from neumf.training.variables import split_shared

Tables = dict[str, LongTable | ShortTable]


class Plan(NamedTuple):
    """The settings that determine a compiled program: equal plans share compiled code."""

    blueprint: Blueprint
    loss: Loss
    optimizer: str
    with_dropout: bool
    batches: BatchSizes
    table_rows: tuple[tuple[str, int], ...]  # with spare rows
    shared_shapes: tuple[tuple[str, tuple[int, ...]], ...]  # in the order of `Variables.shared`

    def table_of(self, name: str) -> str:
        """Return the table that holds the rows of this name, see `UserTower.indices`."""
        return self.blueprint.users.table_of(name)


class Rates(NamedTuple):
    """Numbers that are arguments of the compiled program."""

    learning_rate: Any
    penalties: dict[str, Any]  # the weight of each row's squared norm, by table
    kernel_penalty: Any
    dropout: Any
    centres: dict[str, Any]  # subtracted from the rows of some tables before the norm
    in_catalogue: Any  # whether each item is a candidate of a softmax over the catalogue
    shares: Any  # the probability of each item as a negative of a batch


class Batch(NamedTuple):
    """One batch of a chunk; the first `n_real` of its rows count."""

    indices: dict[str, Any]
    labels: Any
    weights: Any
    n_real: Any
    seed: Any

    @classmethod
    def of_chunk(cls, tf: Any, chunk: Chunk, i: Any, batch_rows: int) -> Batch:
        """Return the i-th batch of a chunk."""
        return cls(
            {name: index[i] for name, index in chunk.indices.items()},
            chunk.labels[i],
            chunk.weights[i],
            tf.minimum(chunk.n_rows - i * batch_rows, batch_rows),
            chunk.seed + tf.stack([0, i]),
        )


class _Inputs(NamedTuple):
    """The inputs of the network for one batch."""

    # By the names of `UserTower.indices`: rows of tables, shape (n_batch, n_per_row, width), or
    # plain numbers.
    users: dict[str, Any]
    present: dict[str, Any]  # whether the index refers to a row
    items: Any  # the gathered rows of items, shape (n, width)
    # The row of the own item, then the rows of its negatives, shape (n_batch, n_candidates, width).
    candidates: Any
    shared: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """The training step of a plan."""

    tf: Any
    plan: Plan
    rates: Rates

    def indices(self, batch: Batch) -> dict[str, Any]:
        """Return the flat indices of the rows that a batch needs, by name."""
        tf, plan = self.tf, self.plan
        n_rows = dict(plan.table_rows)
        # Replace -1, which refers to no row, by the last row of the table, a spare one.
        indices = {
            name: tf.reshape(tf.where(index < 0, n_rows[plan.table_of(name)] - 1, index), (-1,))
            for name, index in batch.indices.items()
            if plan.blueprint.users.is_row(name)
        }
        if plan.loss.candidates == "catalogue":
            indices["items"] = tf.range(n_rows["items"])
        return indices

    def names_of(self, table: str, indices: dict[str, Any]) -> list[str]:
        """Return the names among `indices` whose rows this table holds."""
        return [name for name in indices if self.plan.table_of(name) == table]

    def train(
        self, batch: Batch, t: Any, tables: Tables, shared: WithMoments
    ) -> tuple[Any, Tables, WithMoments]:
        """Take the t-th step; return the summed loss before it, tables and shared weights."""
        tf, optimizer = self.tf, OPTIMIZERS[self.plan.optimizer]
        indices = self.indices(batch)
        # Users read no biases of items. Cut here, the gradients are narrower, too.
        width = self.plan.blueprint.users.width
        rows = {
            name: tables[self.plan.table_of(name)].weights(tf, index)
            for name, index in indices.items()
        }
        rows |= {name: row[:, :width] for name, row in rows.items() if name != "items"}
        loss, gradients, shared_gradient = self._gradients(batch, rows, shared.weights)

        def update(before: WithMoments, gradient: Any) -> WithMoments:
            return optimizer(tf, before, gradient, self.rates.learning_rate, t)

        updated: Tables = {}
        for name, table in tables.items():
            parts = self.names_of(name, indices)
            of_table = ([by_name[p] for p in parts] for by_name in (indices, gradients))
            updated[name] = table.updated(tf, update, *of_table)
        return loss, updated, update(shared, shared_gradient)

    def _gradients(self, batch: Batch, rows: dict[str, Any], shared: Any) -> tuple[Any, Any, Any]:
        """Return the summed loss, and the gradients of the rows and of the shared weights."""
        tf = self.tf
        n = tf.cast(batch.n_real, tf.float32)
        real = tf.cast(tf.range(self.plan.batches.n_rows) < batch.n_real, tf.float32)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((rows, shared))
            inputs = self._inputs(batch, rows, shared)
            losses = batch.weights * self._losses(batch, inputs)
            penalties, kernel_norms = self._penalties(batch, inputs)
            objective = tf.reduce_sum(losses + real * penalties) / n
            if kernel_norms:
                objective += self.rates.kernel_penalty * tf.add_n(kernel_norms)
        gradients = tape.gradient(objective, (rows, shared))
        return tf.reduce_sum(losses), *gradients

    def _inputs(self, batch: Batch, rows: dict[str, Any], shared: Any) -> _Inputs:
        tf, plan = self.tf, self.plan
        indices = {name: index for name, index in batch.indices.items() if name != "items"}
        items = candidates = rows["items"]
        if plan.loss.candidates == "catalogue":
            candidates = tf.gather(items, batch.indices["items"])
        return _Inputs(
            {
                name: tf.reshape(rows[name], (*index.shape, -1)) if name in rows else index
                for name, index in indices.items()
            },
            {name: index >= 0 for name, index in indices.items()},
            items,
            tf.reshape(candidates, (*batch.indices["items"].shape, -1)),
            split_shared(tf, shared[0], dict(plan.shared_shapes)),
        )

    def _losses(self, batch: Batch, inputs: _Inputs) -> Any:
        """Return the loss of each row."""
        tf, loss = self.tf, self.plan.loss
        blueprint, layers = self.plan.blueprint, self.plan.blueprint.layers
        dropout = self._dropout(batch)
        users = blueprint.users.vectors(tf, inputs.users, inputs.present, inputs.shared)
        if loss.candidates == "negatives":
            candidates = blueprint.items.vectors(inputs.candidates)
            scores = layers.logits(tf, inputs.shared, users, candidates, dropout)
            return loss.per_row(tf, scores, scores[:, 0], batch.labels)
        users = dropout(users)
        if loss.candidates == "batch":
            scores, own = self._batch_scores(batch, inputs, users)
        else:
            scores, own = self._catalogue_scores(batch, inputs, users)
        return loss.per_row(tf, scores, own, batch.labels)

    def _dropout(self, batch: Batch) -> Dropout:
        if not self.plan.with_dropout:
            return no_dropout
        sizes = self.plan.batches
        n_samples = sizes.n_rows * (1 + sizes.n_drawn)
        noise = make_noise(self.tf, n_samples * self.plan.blueprint.layers.n_dropped, batch.seed)
        return make_dropout(self.tf, self.rates.dropout, noise)

    def _batch_scores(self, batch: Batch, inputs: _Inputs, users: Any) -> tuple[Any, Any]:
        """Return the logits of all negatives of the batch, and of each row's own item.

        Negatives that are the row's own item, and negatives of rows that do not count, get -inf.
        From the other logits, the logarithm of the expected number of draws of the item is
        subtracted ("logQ" correction). The expected sum of exponentials is then the sum over all
        other items.
        """
        tf, layers = self.tf, self.plan.blueprint.layers
        candidates = self.plan.blueprint.items.vectors(inputs.candidates)
        own = layers.logits(tf, inputs.shared, users, candidates[:, :1])
        drawn = tf.reshape(candidates[:, 1:], (-1, candidates.shape[-1]))
        scores = layers.product_logits(tf, inputs.shared, users, drawn)
        items = tf.reshape(batch.indices["items"][:, 1:], (-1,))
        n_negatives = batch.n_real * self.plan.batches.n_drawn
        expected = tf.gather(self.rates.shares, items) * tf.cast(n_negatives, tf.float32)
        scores -= tf.math.log(expected)
        is_negative = tf.range(items.shape[0]) < n_negatives
        is_negative &= items != batch.indices["items"][:, :1]
        return tf.where(is_negative, scores, -np.inf), own[:, 0]

    def _catalogue_scores(self, batch: Batch, inputs: _Inputs, users: Any) -> tuple[Any, Any]:
        """Return the logits of all items, -inf outside the catalogue, and of each row's item."""
        tf, blueprint = self.tf, self.plan.blueprint
        vectors = blueprint.items.vectors(inputs.items)
        scores = blueprint.layers.product_logits(tf, inputs.shared, users, vectors)
        scores = tf.where(self.rates.in_catalogue, scores, -np.inf)
        items = tf.range(vectors.shape[0])
        own = tf.reduce_sum(tf.where(items == batch.indices["items"], scores, 0.0), 1)
        return scores, own

    def _penalties(self, batch: Batch, inputs: _Inputs) -> tuple[Any, list[Any]]:
        """Return each row's mean penalty per sample, and the squared norms of the kernels."""
        tf, blueprint, rates = self.tf, self.plan.blueprint, self.rates

        def weighted(name: str, rows: Any) -> Any:
            index = tf.maximum(batch.indices[name], 0)  # `present` removes -1 from the norms
            table = self.plan.table_of(name)
            if table in rates.centres:
                rows -= tf.gather(rates.centres[table], index)[:, :, : rows.shape[2]]
            return rows * tf.sqrt(tf.gather(rates.penalties[table], index))[:, :, None]

        users = {
            name: weighted(name, rows) if blueprint.users.is_row(name) else rows
            for name, rows in inputs.users.items()
        }
        total = blueprint.items.norms(tf, weighted("items", inputs.candidates))
        for norms in blueprint.users.norms(tf, users, inputs.present):
            total += norms
        kernels = [tf.reduce_sum(inputs.shared[name] ** 2) for name in blueprint.layers.kernels]
        return total, kernels + blueprint.users.kernel_norms(tf, inputs.shared)
