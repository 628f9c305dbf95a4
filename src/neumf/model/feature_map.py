"""Predict the vectors of users or items from their features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from neumf.utils.arrays import Float32s, Float64s

# Largest residual of a solution, relative to the right side of the equations.
_TOLERANCE = 1e-3
_MOST_STEPS = 200


@dataclass(frozen=True)
class FeatureMap:
    """A linear map from features to vectors, fitted by weighted ridge regression."""

    slope: Float64s  # of shape (n_columns, width)
    intercept: Float64s  # of shape (width,)

    @classmethod
    def fit(
        cls, features: sp.csr_array, vectors: Float32s, weights: Float64s, penalty: float
    ) -> Self:
        """Fit the map to learned vectors with these weights.

        Conjugate gradients solve the normal equations for all dimensions of the vectors at once: a
        matrix of columns by columns would not fit in memory if columns are words. They stop at a
        relative residual of 1e-3, so the map is approximate.
        """
        counted = weights > 0
        features, weights = features[counted], weights[counted, None]
        turned = sp.csr_array(features.T)
        total = weights.sum()
        means = turned @ weights / total
        centre = (weights * vectors[counted]).sum(axis=0) / total

        def from_rows(values: Float64s) -> Float64s:
            """Return the transposed, weighted and centred features times values."""
            weighed = weights * values
            product: Float64s = turned @ weighed - means * weighed.sum(axis=0)
            return product

        def apply(slope: Float64s) -> Float64s:
            return from_rows(features @ slope - means.T @ slope) + penalty * slope

        # Dividing by the diagonal of the equations balances rare and frequent columns.
        diagonal = turned.power(2) @ weights - total * means**2 + penalty
        slope = _solve(apply, from_rows(vectors[counted] - centre), diagonal)
        return cls(slope, centre - (means.T @ slope)[0])

    def apply(self, features: sp.csr_array) -> Float32s:
        """Return the vectors predicted from features."""
        return np.asarray(features @ self.slope + self.intercept, dtype=np.float32)


def _solve(apply: Callable[[Float64s], Float64s], right: Float64s, diagonal: Float64s) -> Float64s:
    """Solve apply(x) = right by preconditioned conjugate gradients."""
    x = np.zeros_like(right)
    left = right
    direction = near = left / diagonal
    error = (left * near).sum(axis=0)
    enough = _TOLERANCE**2 * error
    for _ in range(_MOST_STEPS):
        if (error <= enough).all():
            break
        applied = apply(direction)
        # An exactly solved column has bend 0: its step must be 0, not NaN.
        bend = (direction * applied).sum(axis=0)
        step = np.divide(error, bend, out=np.zeros_like(error), where=bend > 0)
        x = x + step * direction
        left = left - step * applied
        near = left / diagonal
        was, error = error, (left * near).sum(axis=0)
        direction = near + direction * np.divide(error, was, out=np.zeros_like(was), where=was > 0)
    return x
