"""The item tower, which computes the vectors of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neumf.model.initial import normal
from neumf.utils.arrays import Float32s


@dataclass(frozen=True)
class ItemIds:
    """An item tower with a learned vector for each item, in the table "items"."""

    width: int  # of the vectors, without the bias
    bias: bool = False  # whether each vector is followed by a bias, which is not penalised
    std: float = 0.01  # of the initial vectors

    def initial_tables(
        self, n_items: int, rng: np.random.Generator, biases: Float32s | None
    ) -> dict[str, Float32s]:
        """Draw the vectors of items; biases start at `biases`, or at 0."""
        table = normal(rng, n_items, self.width, self.std)
        if self.bias:
            column = np.zeros(n_items, np.float32) if biases is None else biases
            table = np.column_stack([table, column])
        return {"items": table}

    def vectors(self, rows: Any) -> Any:
        """Return the vectors of items, given their rows of the table."""
        return rows

    def item_vectors(self, tables: Mapping[str, Float32s]) -> Float32s:
        """Return the vectors of all items: the table itself."""
        return tables["items"]

    def norms(self, xp: Any, rows: Any) -> Any:
        """Return mean squared norms, (n, n_candidates, width + bias) -> (n,)."""
        return xp.reduce_sum(rows[:, :, : self.width] ** 2, (1, 2)) / rows.shape[1]
