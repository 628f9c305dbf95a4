"""Read and update embedding tables in a compiled program.

A long table is one array: each row holds the weights and both of Adam's moments, so that a step
gathers once and scatters once. A short table is cut into weights and moments, and a step updates
all its rows: on a CPU, XLA's scatter and concatenation cost more than a pass over a short table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from neumf.training.optimizers import WithMoments

# (weights with moments, gradient) -> new weights with moments
Update = Callable[[WithMoments, Any], WithMoments]


# A table is long from this number of rows per index of a batch on. With 1, a step on 3,700 items
# takes 1.3 times as long.
_LONG = 3


class LongTable(NamedTuple):
    """A table with many more rows than a batch refers to."""

    packed: Any  # the weights of each row and both moments, shape (n_rows, 3 * width)
    owners: Any  # one integer per row, see `_sum_over_duplicates`

    def packed_rows(self, tf: Any) -> Any:
        """Return the rows with their moments."""
        return self.packed

    def weights(self, tf: Any, indices: Any) -> Any:
        """Return the weights of these rows."""
        return tf.gather(self.packed, indices)[:, : self.packed.shape[1] // 3]

    def updated(self, tf: Any, update: Update, indices: list[Any], gradients: list[Any]) -> Self:
        """Return the table after an update of these rows; gradients of equal indices are summed."""
        width = self.packed.shape[1] // 3
        indices = tf.concat(indices, 0)
        gradients = tf.concat([_widen(tf, part, width) for part in gradients], 0)
        summed, owners = _sum_over_duplicates(tf, gradients, indices, self.owners)
        before = WithMoments.of_packed(tf, tf.gather(self.packed, indices))
        after = update(before, summed).packed(tf)
        return type(self)(_write(tf, self.packed, indices, after), owners)


class ShortTable(NamedTuple):
    """A table with few rows, as weights and both moments."""

    parts: WithMoments

    def packed_rows(self, tf: Any) -> Any:
        """Return the rows with their moments."""
        return self.parts.packed(tf)

    def weights(self, tf: Any, indices: Any) -> Any:
        """Return the weights of these rows."""
        return tf.gather(self.parts.weights, indices)

    def updated(self, tf: Any, update: Update, indices: list[Any], gradients: list[Any]) -> Self:
        """Return the table after an update of these rows; gradients of equal indices are summed."""
        n_rows, width = self.parts.weights.shape

        # Part by part: to join them first would copy all gradients.
        def sum_by_row(parts: list[Any]) -> list[Any]:
            pairs = zip(parts, indices, strict=True)
            return [tf.math.unsorted_segment_sum(*pair, n_rows) for pair in pairs]

        summed = tf.add_n([_widen(tf, part, width) for part in sum_by_row(gradients)])
        counts = tf.add_n(sum_by_row([tf.ones_like(index) for index in indices]))
        touched = counts[:, None] > 0
        after = update(self.parts, summed)
        pairs = zip(after, self.parts, strict=True)
        return type(self)(WithMoments(*(tf.where(touched, *pair) for pair in pairs)))


def unpack_table(tf: Any, packed: Any, n_indices: int) -> LongTable | ShortTable:
    """Return a long or short table; `n_indices`: row references in a batch, with repeats."""
    n_rows = packed.shape[0]
    if n_indices * _LONG < n_rows:
        return LongTable(packed, tf.zeros(n_rows, tf.int32))
    return ShortTable(WithMoments.of_packed(tf, packed))


def _widen(tf: Any, rows: Any, width: int) -> Any:
    """Return the rows with columns of zeros added, up to this width."""
    return tf.pad(rows, [[0, 0], [0, width - rows.shape[1]]])


def _sum_over_duplicates(tf: Any, gradients: Any, indices: Any, owners: Any) -> tuple[Any, Any]:
    """Sum the gradients of equal indices; return the sum at each of these indices.

    Each position of the batch writes its number into the row of `owners`. One position per row
    wins and collects the sum. This needs no sorting and no pass over the table.
    """
    n = indices.shape[0]
    owners = _write(tf, owners, indices, tf.range(n))
    owner = tf.gather(owners, indices)
    return tf.gather(tf.math.unsorted_segment_sum(gradients, owner, n), owner), owners


def _write(tf: Any, table: Any, indices: Any, rows: Any) -> Any:
    """Return the table with these rows; if an index repeats, any of its rows is written."""
    return tf.tensor_scatter_nd_update(table, indices[:, None], rows)
