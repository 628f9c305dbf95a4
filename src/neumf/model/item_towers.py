"""What makes the vector of an item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neumf._arrays import Float32s
from neumf.model.initial import normal


@dataclass(frozen=True)
class ItemIds:
    """A vector for each item, learned by itself, in the table "items".

    Attributes
    ----------
    width : int
        Width of the vectors.
    """

    width: int

    def initial_tables(self, n_items: int, rng: np.random.Generator) -> dict[str, Float32s]:
        """Draw the vectors of items."""
        return {"items": normal(rng, n_items, self.width)}

    def vectors(self, rows: Any) -> Any:
        """Return the vectors of items, given their rows of the table."""
        return rows

    def item_vectors(self, tables: Mapping[str, Float32s]) -> Float32s:
        """Return the vectors of all items: the table itself."""
        return tables["items"]

    def norms(self, xp: Any, rows: Any) -> Any:
        """Return the mean squared norm of the candidates of each row, shape (n,).

        `rows` has shape (n, n_candidates, width).
        """
        return xp.reduce_sum(rows**2, (1, 2)) / rows.shape[1]

    def join(self, other: ItemIds) -> ItemIds:
        """Return the tower that makes this vector and another one side by side."""
        return ItemIds(self.width + other.width)
