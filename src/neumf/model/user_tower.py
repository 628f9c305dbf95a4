"""The base of the user towers, which defines the contract of a new one.

A tower holds sizes only; its methods get the weights by name. Tables have a row per user or item,
and a batch trains only the rows that it refers to. Every batch trains all shared weights.
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

# Number of values that are gathered at once: few enough for a processor's cache.
_BLOCK_NUMBERS = 2**18

Tables = Mapping[str, Float32s]
# Arrays, or tensors while training, by table.
Rows = Mapping[str, Any]


@dataclass(frozen=True)
class UserTower(ABC):
    """Base of user towers, which compute the vectors of users."""

    width: int
    history_length: int  # number of last items that are kept of each user
    std: float = 0.01  # of the initial vectors
    time_gaps: TimeGaps | None = None  # the reference of ages; None: times are not read

    # Whether the user's vector is computed from the items before the row. Rows then need an order
    # in time, and the choice of negatives must not reveal later items of the user.
    reads_history: ClassVar[bool] = True

    @abstractmethod
    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the tables by name, with a row of `width` values per user or item."""

    @abstractmethod
    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the vectors of users, shape (n, width).

        `rows` has the names of `indices`. It holds the rows of the tables, shape (n, n_per_row,
        width), with zeros for index -1; or numbers that are not indices, shape (n, n_per_row).
        `present`, shape (n, n_per_row), is True where the index is not -1.
        """

    def initial_shared(self, rng: Generator) -> dict[str, Float32s]:
        """Draw the shared weights by name."""
        return {}

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the shared weights, by name."""
        return {}

    @abstractmethod
    def indices(
        self, users: Indices, histories: HistoryInputs | None, run_length: int = 1
    ) -> dict[str, Indices]:
        """Return indices of table rows (-1: no row) or other numbers, shape (n, n_per_row).

        Runs of consecutive rows, the oldest first, may share rows of tables. Such indices have the
        shape (n / run_length, n_per_run).
        """

    def is_row(self, name: str) -> bool:
        """Return whether `indices` holds rows of a table under this name, not other numbers."""
        return True

    def table_of(self, name: str) -> str:
        """Return the table that holds the rows of this name in `indices`."""
        return name

    @abstractmethod
    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the penalised squared norms of each row, a list of terms of shape (n,)."""

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the penalised squared norms of shared weights."""
        return []

    def encode(
        self, tables: Tables, shared: Shared, users: Indices, histories: HistoryInputs
    ) -> Float32s:
        """Return the vectors of users with these histories; -1 is an unknown user."""
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
                # Folded-in users have an index, but no row.
                present[name] = (index >= 0) & (index < len(table))
                rows[name] = rows_or_zeros(table, index, present[name])
            vectors[block] = self.vectors(np, rows, present, shared)
        return vectors

    def user_vectors(self, tables: Tables, shared: Shared, last_items: HistoryInputs) -> Float32s:
        """Return the vectors of all users after their last row."""
        return self.encode(tables, shared, np.arange(len(last_items.items)), last_items)


def rows_or_zeros(table: Float32s, index: Indices, present: NDArray[np.bool_]) -> Float32s:
    """Return the rows of the index, and zeros where `present` is False."""
    rows = table[np.where(present, index, 0)]
    rows[~present] = 0
    return rows
