"""Predict the vectors of users or items from their features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from neumf.utils.arrays import Float32s, Float64s

# When the equations count as solved: what is left of them, relative to their right side.
_TOLERANCE = 1e-3
_MOST_STEPS = 200


@dataclass(frozen=True)
class FeatureMap:
    """The linear map from features to vectors: a weighted and penalised least-squares fit."""

    slope: Float64s  # of shape (n_columns, width)
    intercept: Float64s  # of shape (width,)

    @classmethod
    def fit(
        cls, features: sp.csr_array, vectors: Float32s, weights: Float64s, penalty: float
    ) -> Self:
        """Fit to learned vectors, by their weights.

        Conjugate gradients solve the normal equations for all dimensions of the vectors at once: a
        matrix of columns by columns would not fit in memory where words are columns. They stop at a
        thousandth of the right side: the map is close to the best one, and not exact.
        """
        counted = weights > 0
        features, weights = features[counted], weights[counted, None]
        turned = sp.csr_array(features.T)
        total = weights.sum()
        means = turned @ weights / total
        centre = (weights * vectors[counted]).sum(axis=0) / total

        def from_rows(values: Float64s) -> Float64s:
            """Return the product of the turned, weighed and centred features with values."""
            weighed = weights * values
            product: Float64s = turned @ weighed - means * weighed.sum(axis=0)
            return product

        def apply(slope: Float64s) -> Float64s:
            return from_rows(features @ slope - means.T @ slope) + penalty * slope

        # Dividing by the diagonal of the equations makes rare and frequent columns alike.
        diagonal = turned.power(2) @ weights - total * means**2 + penalty
        slope = _solve(apply, from_rows(vectors[counted] - centre), diagonal)
        return cls(slope, centre - (means.T @ slope)[0])

    def apply(self, features: sp.csr_array) -> Float32s:
        """Return the vectors that the features lead one to expect."""
        return np.asarray(features @ self.slope + self.intercept, dtype=np.float32)


def _solve(apply: Callable[[Float64s], Float64s], right: Float64s, diagonal: Float64s) -> Float64s:
    """Return the x of which `apply` makes `right`, by preconditioned conjugate gradients."""
    x = np.zeros_like(right)
    left = right
    direction = near = left / diagonal
    error = (left * near).sum(axis=0)
    enough = _TOLERANCE**2 * error
    for _ in range(_MOST_STEPS):
        if (error <= enough).all():
            break
        applied = apply(direction)
        # A column that is solved exactly has bend 0, and does not move.
        bend = (direction * applied).sum(axis=0)
        step = np.divide(error, bend, out=np.zeros_like(error), where=bend > 0)
        x = x + step * direction
        left = left - step * applied
        near = left / diagonal
        was, error = error, (left * near).sum(axis=0)
        direction = near + direction * np.divide(error, was, out=np.zeros_like(was), where=was > 0)
    return x
