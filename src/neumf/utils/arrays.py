"""The arrays that the modules hand to each other, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Labels of users or items, as the user of the library gave them.
Ids = NDArray[Any]
# Indices of users or items from 0, in order of first appearance; -1 is an unknown one.
Codes = NDArray[np.integer[Any]]
# Vectors, weights and labels.
Float32s = NDArray[np.float32]
# Values of metrics.
Float64s = NDArray[np.float64]
# What candidates are ranked by.
Scores = NDArray[np.floating[Any]]


def object_array(labels: list[Any]) -> Ids:
    """Return an array of the labels as they are, tuples and lists too."""
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def as_index(ids: Ids) -> pd.Index:
    """Return the ids as an index of their own dtype."""
    # Left to itself pandas makes a MultiIndex of tuples and another dtype of strings.
    return pd.Index(ids, dtype=ids.dtype, tupleize_cols=False)
