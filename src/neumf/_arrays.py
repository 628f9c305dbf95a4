"""The arrays that the modules hand to each other, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
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
