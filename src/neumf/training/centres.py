"""Predict vectors from features, as the centres towards which the penalty pulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.features import SideFeatures
from neumf.model.feature_map import FeatureMap
from neumf.training.cold_biases import predict_biases
from neumf.utils.arrays import Float32s, Indices

# A vector with this number of interactions gets half of the largest possible weight in the fit of
# the map. With few interactions, a vector is mostly a result of the map itself.
_HALF_WEIGHT = 20


@dataclass(frozen=True)
class Centres:
    """The features of users or items, and the number of interactions of each."""

    features: SideFeatures
    degrees: NDArray[Any]  # the number of items of each user, or of users of each item; 0: cold
    penalty: float  # of the map's slope

    def of(self, vectors: Float32s) -> Float32s:
        """Fit the map to the first vectors; return all centres, 0 for rows without features."""
        n, known = len(vectors), self.features.known
        weights = np.where(known[:n], self.degrees[:n] / (self.degrees[:n] + _HALF_WEIGHT), 0.0)
        centres = np.zeros((len(known), vectors.shape[1]), np.float32)
        if weights.any():
            values = self.features.values
            learned = FeatureMap.fit(values[:n], vectors, weights, self.penalty)
            centres[known] = learned.apply(values[known])
        return centres

    def fill_cold(self, vectors: Float32s, width: int) -> None:
        """Predict the vectors of cold users or items; columns from `width` are biases."""
        self._fill(vectors, len(vectors), np.flatnonzero(self.features.known & ~self._warm), width)

    def fill_new(self, vectors: Float32s, n_before: int, width: int) -> None:
        """Predict the vectors after the first `n_before` from these."""
        new = np.flatnonzero(self.features.known[n_before:]) + n_before
        self._fill(vectors, n_before, new, width)

    @property
    def _warm(self) -> NDArray[np.bool_]:
        """Whether each user or item has both features and interactions."""
        return self.features.known & (self.degrees > 0)

    def _fill(self, vectors: Float32s, n: int, rows: Indices, width: int) -> None:
        """Predict rows of vectors from the first `n`: by the map, biases by similar features."""
        if not len(rows):
            return
        vectors[rows] = self.of(vectors[:n])[rows]
        warm = np.flatnonzero(self._warm[:n])
        if width < vectors.shape[1] and len(warm):
            values = self.features.values
            biases = predict_biases(values[warm], vectors[warm, width:], values[rows])
            vectors[rows, width:] = biases


class SideCentres(NamedTuple):
    """The centres of users and of items; None without features."""

    users: Centres | None = None
    items: Centres | None = None
