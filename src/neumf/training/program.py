"""The compiled program that trains on a chunk of rows, one step per batch.

It writes to long tables in place. One call runs many steps, so that a step does not pay the 80
microseconds that TensorFlow takes to start an XLA program.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from neumf.training.batches import Chunk
from neumf.training.embedding_tables import unpack_table
from neumf.training.optimizers import WithMoments
from neumf.training.runtime import import_tensorflow
from neumf.training.step import Batch, Plan, Rates, Step, Tables
from neumf.training.variables import Variables


@lru_cache(maxsize=64)
def compile_program(plan: Plan, with_xla: bool) -> Any:
    """Return a compiled function that trains on a chunk and returns the sum of its losses.

    It contains no data and no weights, so that all fits with the same plan share it.
    """
    tf = import_tensorflow()
    batch_rows = plan.batches.n_rows

    @tf.function(autograph=False, jit_compile=with_xla)
    def run(variables: Variables, chunk: Chunk, rates: Rates, steps_before: Any) -> Any:
        step = Step(tf, plan, rates)

        def train_batch(i: Any, total: Any, tables: Tables, shared: WithMoments) -> tuple[Any, ...]:
            batch = Batch.of_chunk(tf, chunk, i, batch_rows)
            t = tf.cast(steps_before + i + 1, tf.float32)
            loss, tables, shared = step.train(batch, t, tables, shared)
            return i + 1, total + tf.cast(loss, tf.float64), tables, shared

        n_batches = (chunk.n_rows + batch_rows - 1) // batch_rows
        tables = _unpack(step, variables, Batch.of_chunk(tf, chunk, 0, batch_rows))
        shared = WithMoments.of_packed(tf, variables.shared.read_value())
        start = (tf.constant(0), tf.constant(0.0, tf.float64), tables, shared)
        _, total, tables, shared = tf.while_loop(lambda i, *_: i < n_batches, train_batch, start)
        for name, variable in variables.tables.items():
            variable.assign(tables[name].packed_rows(tf))
        variables.shared.assign(shared.packed(tf))
        return total

    return run


def _unpack(step: Step, variables: Variables, batch: Batch) -> Tables:
    """Return each table as a long or short one, by its number of indices in a batch."""
    indices = step.indices(batch)
    return {
        table: unpack_table(
            step.tf,
            variable.read_value(),
            sum(indices[name].shape[0] for name in step.names_of(table, indices)),
        )
        for table, variable in variables.tables.items()
    }
