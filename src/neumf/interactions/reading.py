"""Read tables in memory at once, and other tables part by part."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.columns import is_of, native, read_column
from neumf.interactions.id_checks import find_missing, ids_of_column, missing_ids
from neumf.interactions.stored_tables import StoredTable, open_stored
from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import (
    ROLES,
    Interactions,
    locate_columns,
    no_rows,
    read_table,
    warn_of_unused_times,
)
from neumf.interactions.timestamps import TimeColumn, join_parts
from neumf.interactions.vocabulary import IndexedIds, extend_index, index_ids
from neumf.utils.arrays import Ids, Indices, as_index


def read_input(
    X: Any, argument: str = "X", *, with_timestamps: bool = True, may_be_empty: bool = False
) -> Interactions:
    """Read a table; one that is not in memory is read once, part by part."""
    stored = open_stored(X, argument)
    if stored is None:
        return read_table(X, argument, with_timestamps=with_timestamps, may_be_empty=may_be_empty)
    rows = _read_stored(stored, argument, with_timestamps)
    if len(rows) == 0 and not may_be_empty:
        raise no_rows(open_table(stored.header), argument)
    return rows


def _read_stored(stored: StoredTable, argument: str, with_timestamps: bool) -> Interactions:
    table = open_table(stored.header, argument)
    positions = locate_columns(table, argument, ROLES[: 2 + with_timestamps])
    sides = list(positions)
    if with_timestamps and "timestamp" not in sides:
        warn_of_unused_times(table, positions, argument)
    users, items = _IdColumn(f"{argument}: user ids"), _IdColumn(f"{argument}: item ids")
    times = TimeColumn(argument)
    for part in stored.read([stored.header.columns[positions[side]] for side in sides]):
        users.append(part[0])
        items.append(part[1])
        for values in part[2:]:
            times.append(read_column(values))
    # Times are checked before ids, as for a table in memory, so that both raise the same error.
    timestamps = times.finish() if "timestamp" in sides else None
    ids, ticks = (users.finish(), items.finish()), times.ticks_per_second
    return Interactions(*ids, timestamps, ticks_per_second=ticks, header=stored.header)


class _IdColumn:
    """Collect the ids of a column that comes in parts, as indices."""

    def __init__(self, argument: str) -> None:
        self._argument = argument
        self._bad = missing_ids(argument)
        self._parts: list[Indices] = [np.empty(0, np.int32)]
        self._labels: pd.Index | None = None

    def append(self, values: Any) -> None:
        """Add the next part; new ids get the next indices."""
        column = native(read_column(_as_categories(values)))
        self._bad.check(column, find_missing(column, self._argument))
        # After a missing id, further parts are only checked, to count all missing ids.
        if len(column) == 0 or self._bad.n_bad:
            return
        ids: Ids | IndexedIds
        if isinstance(column.dtype, pd.CategoricalDtype):
            indices, positions = index_ids(column.cat.codes.to_numpy())
            labels = pd.Series(column.cat.categories[positions])
            ids = IndexedIds(indices, as_index(ids_of_column(labels, self._argument)))
        else:
            ids = ids_of_column(column, self._argument)
        known = self._labels
        indices, self._labels = index_ids(ids) if known is None else extend_index(ids, known)
        self._parts.append(indices)

    def finish(self) -> IndexedIds:
        """Return all ids."""
        self._bad.refuse()
        labels = np.empty(0, dtype=object) if self._labels is None else self._labels.to_numpy()
        # A new index has no hash table, unlike the index in which ids were looked up.
        return IndexedIds(join_parts(self._parts), as_index(labels))


def _as_categories(values: Any) -> Any:
    """Return Arrow strings as categories: Python then holds one string per id, not per row."""
    if not is_of(values, "pyarrow", "ChunkedArray") or values.null_count:
        return values
    types = sys.modules["pyarrow"].types
    is_text = types.is_string(values.type) or types.is_large_string(values.type)
    return values.dictionary_encode() if is_text else values
