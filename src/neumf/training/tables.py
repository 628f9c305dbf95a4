"""The tables while a program trains them: how rows are read, and how they move.

A table that a batch names few rows of is left where it is. A row carries its two Adam moments
beside its weights, so that a step gathers and scatters once. A table with no more rows than a
batch names is cut into its three parts, which move as a whole: XLA's scatters, and its putting
parts side by side, cost more on a CPU than to go once through a short table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from neumf.training.optimizers import WithMoments

# Takes a step of the optimizer, given where weights are and their gradient.
Step = Callable[[WithMoments, Any], WithMoments]


class LongTable(NamedTuple):
    """A table that a batch names few rows of.

    `packed` has the weights of each row and both moments, shape (n_rows, 3 * width). `owners` has
    an entry per row, see `_sum_over_duplicates`.
    """

    packed: Any
    owners: Any

    def packed_rows(self, tf: Any) -> Any:
        """Return the rows with their moments."""
        return self.packed

    def weights(self, tf: Any, places: Any) -> Any:
        """Return the weights of these rows."""
        return tf.gather(self.packed, places)[:, : self.packed.shape[1] // 3]

    def move(self, tf: Any, step: Step, places: Any, gradients: Any) -> Self:
        """Return the table after a step of the rows at these places; equal ones add up."""
        summed, owners = _sum_over_duplicates(tf, gradients, places, self.owners)
        before = WithMoments.of_packed(tf, tf.gather(self.packed, places))
        moved = step(before, summed).packed(tf)
        return type(self)(_write(tf, self.packed, places, moved), owners)


class ShortTable(NamedTuple):
    """A table with no more rows than a batch names: its weights and both moments."""

    parts: WithMoments

    def packed_rows(self, tf: Any) -> Any:
        """Return the rows with their moments."""
        return self.parts.packed(tf)

    def weights(self, tf: Any, places: Any) -> Any:
        """Return the weights of these rows."""
        return tf.gather(self.parts.weights, places)

    def move(self, tf: Any, step: Step, places: Any, gradients: Any) -> Self:
        """Return the table after a step of the rows at these places; equal ones add up."""
        n_rows = self.parts.weights.shape[0]
        summed = tf.math.unsorted_segment_sum(gradients, places, n_rows)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(places), places, n_rows)
        touched = counts[:, None] > 0
        moved = step(self.parts, summed)
        pairs = zip(moved, self.parts, strict=True)
        return type(self)(WithMoments(*(tf.where(touched, *pair) for pair in pairs)))


def unpack_table(tf: Any, packed: Any, n_places: int) -> LongTable | ShortTable:
    """Return a table for batches that name so many rows of it, equal ones counted each."""
    n_rows = packed.shape[0]
    if n_places < n_rows:
        return LongTable(packed, tf.zeros(n_rows, tf.int32))
    return ShortTable(WithMoments.of_packed(tf, packed))


def _sum_over_duplicates(tf: Any, gradients: Any, places: Any, owners: Any) -> tuple[Any, Any]:
    """Return for each place of a batch the sum of the gradients of all that are equal to it.

    Equal places agree in `owners`, which has an entry per row of the table, on one of them, and its
    slot holds the sum: a batch needs no sorting, and nothing as long as the table.
    """
    n = places.shape[0]
    owners = _write(tf, owners, places, tf.range(n))
    owner = tf.gather(owners, places)
    return tf.gather(tf.math.unsorted_segment_sum(gradients, owner, n), owner), owners


def _write(tf: Any, table: Any, places: Any, rows: Any) -> Any:
    """Return the table with these rows; equal places bring equal rows, or any of them will do."""
    return tf.tensor_scatter_nd_update(table, places[:, None], rows)
