"""Names for the types of arrays, and small functions on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Ids of users or items, as the user of the library gave them.
Ids = NDArray[Any]
# Indices of users or items from 0, in order of first appearance; -1 stands for unknown.
Indices = NDArray[np.integer[Any]]
# Vectors, weights and labels.
Float32s = NDArray[np.float32]
# Values of metrics.
Float64s = NDArray[np.float64]
# Scores of candidates, by which they are ranked.
Scores = NDArray[np.floating[Any]]


def object_array(labels: list[Any]) -> Ids:
    """Return the labels as an array of objects; tuples and lists stay single labels."""
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def as_index(ids: Ids) -> pd.Index:
    """Return the ids as an index of their own dtype."""
    # By default, pandas turns tuples into a MultiIndex and changes the dtype of strings.
    return pd.Index(ids, dtype=ids.dtype, tupleize_cols=False)


def take_rows(table: NDArray[Any], rows: Indices) -> NDArray[Any]:
    """Return these rows of a table, without those that are -1 or behind its end."""
    return table[rows[(rows >= 0) & (rows < len(table))]]


def repr_of_row(values: Any, row: int) -> str:
    """Return the repr of one value, converted to a plain Python object."""
    value = values[row : row + 1].tolist()[0]
    return repr(value.item() if isinstance(value, np.generic) else value)


def find_not_finite(matrix: Any) -> tuple[int, int, Any, int] | None:
    """Return row, column and value of the first NaN or infinity of a CSR matrix, and their count.

    None if all values are finite.
    """
    if matrix.data.dtype.kind not in "fc":
        return None
    bad = ~np.isfinite(matrix.data)
    if not bad.any():
        return None
    first = int(np.argmax(bad))
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    return row, int(matrix.indices[first]), matrix.data[first].item(), int(bad.sum())
