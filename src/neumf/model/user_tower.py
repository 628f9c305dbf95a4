"""The base of the user towers, and the contract that a new one keeps.

A tower holds sizes only; its weights come in by name. Tables have a row per user or item, of which
a batch trains those that it names; shared weights are trained by every batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from neumf.model.layers import Shared
from neumf.utils.arrays import Float32s, Indices
from neumf.utils.time_gaps import HistoryInputs, TimeGaps

# Numbers of the rows that are gathered at once: few enough for a processor's cache.
_BLOCK_NUMBERS = 2**18

Tables = Mapping[str, Float32s]
# Arrays, or tensors while training, by table.
Rows = Mapping[str, Any]


@dataclass(frozen=True)
class UserTower(ABC):
    """Make the vectors of users."""

    width: int
    history_length: int  # number of last items that are kept of each user
    std: float = 0.01  # of the initial vectors
    time_gaps: TimeGaps | None = None  # what ages are counted from; None reads no times

    # Whether the vector of a row's user comes from the items before the row. Rows then need an
    # order in time, and negatives must not tell what the user had later.
    reads_history: ClassVar[bool] = True

    @abstractmethod
    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the tables by name, a row per user or item, each of the width of the vectors."""

    @abstractmethod
    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the vectors of users, shape (n, width).

        `rows` holds the rows that `indices` names, shape (n, n_per_row, width), zeros for index -1,
        or the other numbers of `indices`, shape (n, n_per_row). `present` tells where the index is
        not -1, shape (n, n_per_row).
        """

    def initial_shared(self, rng: Generator) -> dict[str, Float32s]:
        """Draw the shared weights by name."""
        return {}

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each of the shared weights, by name."""
        return {}

    @abstractmethod
    def indices(self, users: Indices, histories: HistoryInputs | None) -> dict[str, Indices]:
        """Return the rows of each table, shape (n, n_per_row), -1 for no row; and other numbers."""

    def is_row(self, name: str) -> bool:
        """Tell whether `indices` returns rows of a table under this name, not other numbers."""
        return True

    def table_of(self, name: str) -> str:
        """Return the table that rows named so by `indices` are in."""
        return name

    @abstractmethod
    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norms that are penalised for each row, terms of shape (n,)."""

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the squared norms of the shared weights that are penalised."""
        return []

    def encode(
        self, tables: Tables, shared: Shared, users: Indices, histories: HistoryInputs
    ) -> Float32s:
        """Return the vectors of users (-1: unknown) with these histories."""
        vectors = np.empty((len(users), self.width), dtype=np.float32)
        step = max(1, _BLOCK_NUMBERS // (max(1, histories.items.shape[1]) * self.width))
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            gaps = None if histories.gaps is None else histories.gaps[block]
            part = HistoryInputs(histories.items[block], gaps)
            rows: dict[str, Any] = {}
            present: dict[str, Any] = {}
            for name, index in self.indices(users[block], part).items():
                if not self.is_row(name):
                    rows[name] = index
                    continue
                table = tables[self.table_of(name)]
                # Users who were folded in have an index, but no row.
                present[name] = (index >= 0) & (index < len(table))
                rows[name] = rows_or_zeros(table, index, present[name])
            vectors[block] = self.vectors(np, rows, present, shared)
        return vectors

    def user_vectors(self, tables: Tables, shared: Shared, last_items: HistoryInputs) -> Float32s:
        """Return the vectors of all users after their last row."""
        return self.encode(tables, shared, np.arange(len(last_items.items)), last_items)


def rows_or_zeros(table: Float32s, index: Indices, present: NDArray[np.bool_]) -> Float32s:
    """Return the rows that the index names, and zeros where `present` is False."""
    rows = table[np.where(present, index, 0)]
    rows[~present] = 0
    return rows
