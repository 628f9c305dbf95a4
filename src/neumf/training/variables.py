"""Store weights and Adam's moments as TensorFlow variables.

Spare rows at the end of a table leave room for new users and items, so that a table that grows a
little needs no new program. Values are copied block by block, because TensorFlow would make one or
two copies of the whole table.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numpy as np

from neumf.model.network import Weights
from neumf.training.batches import round_up
from neumf.utils.arrays import Float32s

# Number of rows of a table that are copied at once.
_BLOCK_ROWS = 2**16

# Tables up to the large size are padded to a power of two, at least the first: spare rows take
# little memory, and tables of equal size share compiled code.
_LEAST_CAPACITY = 64
_LARGE_TABLE = 2**16


class Variables(NamedTuple):
    """Variables in which weights and both moments lie side by side."""

    tables: dict[str, Any]  # of shape (n_rows + n_spare, 3 * width)
    shared: Any  # the weights that all rows share, shape (1, 3 * n_weights)

    @classmethod
    def of_weights(cls, tf: Any, weights: Weights) -> Self:
        """Return new variables with these weights, and moments of 0."""
        tables = {
            name: _variable_of(tf, table, _capacity(len(table)))
            for name, table in weights.tables.items()
        }
        return cls(tables, _variable_of(tf, flat_shared(weights.shared), 1))


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


def write_columns(tf: Any, variable: Any, values: Float32s, column: int) -> None:
    """Write values in place into the first rows of a variable, from a column on."""
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS]
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.handle,
            begin=[start, column],
            end=[start + len(block), column + values.shape[1]],
            strides=[1, 1],
            value=block,
        )


def read_columns(variable: Any, n_rows: int, columns: slice) -> Float32s:
    """Return a copy of some columns of the first rows of a variable."""
    n_columns = len(range(*columns.indices(variable.shape[1])))
    copied = np.empty((n_rows, n_columns), dtype=np.float32)
    for start in range(0, n_rows, _BLOCK_ROWS):
        end = min(start + _BLOCK_ROWS, n_rows)
        copied[start:end] = _read_block(variable, start, end, columns)
    return copied


def mean_of_trained(variable: Any, n_rows: int, columns: slice) -> Float32s:
    """Return the mean of some columns, shape (1, n_columns), over rows that are not all 0."""
    total = np.zeros((1, len(range(*columns.indices(variable.shape[1])))), np.float32)
    n_trained = 0
    for start in range(0, n_rows, _BLOCK_ROWS):
        values = _read_block(variable, start, min(start + _BLOCK_ROWS, n_rows), columns)
        total += values.sum(axis=0)
        n_trained += int(np.count_nonzero(values.any(axis=1)))
    return total / np.float32(max(n_trained, 1))


def _capacity(n_rows: int) -> int:
    """Return the number of rows including spare ones: at least 1, for large tables at most 1/16."""
    n = n_rows + 1
    if n <= _LARGE_TABLE:
        return max(_LEAST_CAPACITY, round_up(n))
    step = 1 << (n.bit_length() - 5)
    return -(-n // step) * step


def _variable_of(tf: Any, weights: Float32s, capacity: int) -> Any:
    """Return a variable of the weights, with moments of 0 beside them and spare rows below."""
    variable = tf.Variable(tf.zeros((capacity, 3 * weights.shape[1])))
    write_columns(tf, variable, weights, 0)
    return variable


def _read_block(variable: Any, start: int, end: int, columns: slice) -> Float32s:
    """Return some columns of a block of rows."""
    # A slice would copy the whole variable after each write in place.
    values: Float32s = variable.sparse_read(np.arange(start, end))[:, columns].numpy()
    return values
