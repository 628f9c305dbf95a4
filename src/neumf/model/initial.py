"""Draw initial weights."""

from __future__ import annotations

import numpy as np

from neumf.utils.arrays import Float32s


def normal(rng: np.random.Generator, n_rows: int, width: int, std: float = 0.01) -> Float32s:
    """Draw vectors whose values have a mean of 0 and this standard deviation."""
    return rng.standard_normal((n_rows, width), dtype=np.float32) * np.float32(std)


def uniform(rng: np.random.Generator, n_in: int, n_out: int, limit_squared: float) -> Float32s:
    """Draw a kernel uniformly between minus and plus the root of `limit_squared`."""
    limit = np.sqrt(limit_squared)
    return rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)
