"""Compute properties of lists other than accuracy: coverage, novelty, Gini and overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neumf.utils.arrays import Float64s, Indices


class Recommended(NamedTuple):
    """Lists of at most k items, as pairs of user and item.

    `information` holds the self-information of each item of the catalogue in bits.
    """

    users: Indices
    items: Indices
    k: int
    information: Float64s

    @property
    def exposure(self) -> NDArray[np.intp]:
        """The number of lists that contain each item of the catalogue."""
        return np.bincount(self.items, minlength=len(self.information))


def coverage(lists: Recommended) -> Float64s:
    """Return the share of catalogue items that occur in any list (one value)."""
    return np.atleast_1d(np.mean(lists.exposure > 0))


def novelty(lists: Recommended) -> Float64s:
    """Return the mean self-information of the items in each list, in bits."""
    _, rows = np.unique(lists.users, return_inverse=True)
    return np.bincount(rows, lists.information[lists.items]) / np.bincount(rows)


def gini(lists: Recommended) -> Float64s:
    """Return the Gini coefficient of exposure (one value)."""
    exposure, n = np.sort(lists.exposure), len(lists.information)
    return np.atleast_1d(
        2 * np.arange(1, n + 1) @ exposure / (n * max(1, exposure.sum())) - (n + 1) / n
    )


def overlap(lists: Recommended) -> Float64s:
    """Return the mean share of items that two lists of k have in common (one value).

    A single list has no overlap: NaN.
    """
    exposure, n = lists.exposure, len(np.unique(lists.users))
    if n < 2:
        return np.array([np.nan])
    return np.atleast_1d(np.sum(exposure * (exposure - 1)) / (n * (n - 1)) / lists.k)
