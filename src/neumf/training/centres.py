"""Predict vectors from features, as the centres towards which the penalty pulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.features import SideFeatures
from neumf.model.feature_map import FeatureMap
from neumf.utils.arrays import Float32s

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

    def fill_cold(self, vectors: Float32s) -> None:
        """Set the vectors of cold users or items to their centres."""
        cold = self.features.known & (self.degrees == 0)
        if cold.any():
            vectors[cold] = self.of(vectors)[cold]

    def fill_new(self, vectors: Float32s, n_before: int) -> None:
        """Set the vectors after the first `n_before` to their centres."""
        new = np.flatnonzero(self.features.known[n_before:]) + n_before
        if len(new):
            vectors[new] = self.of(vectors[:n_before])[new]


class SideCentres(NamedTuple):
    """The centres of users and of items; None without features."""

    users: Centres | None = None
    items: Centres | None = None
