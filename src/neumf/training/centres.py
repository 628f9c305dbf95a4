"""Where vectors are pulled: to what the features of their users or items lead one to expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neumf.interactions.features import SideFeatures
from neumf.model.feature_map import FeatureMap
from neumf.utils.arrays import Codes, Float32s

# A vector that so many users (or items) have shaped counts half as much for the map as one that all
# have: those of few rows tell little, and are themselves mostly what the map has made of them.
_HALF_SURE = 20


@dataclass(frozen=True)
class Centres:
    """What is known of users or items, and how surely their vectors are learned.

    Attributes
    ----------
    features : SideFeatures
        Of each user or item, by index.
    degrees : ndarray of shape (n,)
        The number of items of each user, or of users of each item; 0 for cold ones.
    penalty : float
        That of the map's slope.
    """

    features: SideFeatures
    degrees: Codes
    penalty: float

    def of(self, vectors: Float32s) -> Float32s:
        """Return the centre of each of the vectors, 0 where nothing is known.

        `vectors`, of the first users or items, are what the map is fitted to.
        """
        n, known = len(vectors), self.features.known
        weights = np.where(known[:n], self.degrees[:n] / (self.degrees[:n] + _HALF_SURE), 0.0)
        centres = np.zeros((len(known), vectors.shape[1]), np.float32)
        if weights.any():
            values = self.features.values
            learned = FeatureMap.fit(values[:n], vectors, weights, self.penalty)
            centres[known] = learned.apply(values[known])
        return centres

    def fill_cold(self, vectors: Float32s) -> None:
        """Put cold users or items at their centres."""
        cold = self.features.known & (self.degrees == 0)
        if cold.any():
            vectors[cold] = self.of(vectors)[cold]

    def fill_new(self, vectors: Float32s, n_before: int) -> None:
        """Put those behind the first ones, which are learned, at their centres."""
        new = np.flatnonzero(self.features.known[n_before:]) + n_before
        if len(new):
            vectors[new] = self.of(vectors[:n_before])[new]


class SideCentres(NamedTuple):
    """Those of users and of items; None where no features are known."""

    users: Centres | None = None
    items: Centres | None = None
