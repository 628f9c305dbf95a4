"""What features tell of the vectors of users or items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import Ridge

from neumf._arrays import Float32s, Float64s

# Tables of at most so many columns and values are solved for exactly, as dense ones.
_MOST_COLUMNS, _MOST_VALUES = 2**10, 2**25

# How close the others are solved for.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FeatureMap:
    """The linear map from features to vectors.

    Attributes
    ----------
    slope, intercept : ndarray of shape (n_columns, width) and (width,)
        The least-squares fit whose slope is penalised.
    """

    slope: Float64s
    intercept: Float64s

    @classmethod
    def fit(
        cls, features: sp.csr_array, vectors: Float32s, weights: Float64s, penalty: float
    ) -> Self:
        """Fit to vectors that training has learned, of which each counts by its weight."""
        counted = weights > 0
        features, vectors = features[counted], vectors[counted]
        is_small = features.shape[1] <= _MOST_COLUMNS and np.prod(features.shape) <= _MOST_VALUES
        ridge = Ridge(penalty, solver="cholesky" if is_small else "sparse_cg", tol=_TOLERANCE)
        ridge.fit(features.toarray() if is_small else features, vectors, weights[counted])
        return cls(ridge.coef_.T, ridge.intercept_)

    def apply(self, features: sp.csr_array) -> Float32s:
        """Return the vectors that the features lead one to expect."""
        return np.asarray(features @ self.slope + self.intercept, dtype=np.float32)
