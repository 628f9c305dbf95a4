"""Read tables that are not in memory: codes in the place of ids, part by part."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.ids import (
    BadRows,
    CodedIds,
    add_unknown,
    encode_ids,
    find_missing,
    ids_of_column,
    index_ids,
    is_of,
    native,
    read_column,
    refuse_missing,
)
from neumf.interactions.stored_tables import StoredTable, open_stored
from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import (
    Interactions,
    locate_columns,
    no_rows,
    read_interactions,
    read_times,
    refuse_timeless,
    warn_of_unnamed_times,
)
from neumf.utils.arrays import Codes, as_index


def read_input(
    X: Any,
    argument: str = "X",
    *,
    with_timestamps: bool = True,
    may_be_empty: bool = False,
) -> Interactions:
    """Read a table wherever it is: what `read_interactions` reads, or one that is not in memory.

    The latter is read once, part by part, and only the columns that count; its ids become codes.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If it cannot be read.
    """
    stored = open_stored(X, argument)
    if stored is None:
        return read_interactions(
            X, argument, with_timestamps=with_timestamps, may_be_empty=may_be_empty
        )
    rows = _read_stored(stored, argument, with_timestamps)
    if len(rows) == 0 and not may_be_empty:
        raise no_rows(open_table(stored.header), argument)
    return rows


def _read_stored(stored: StoredTable, argument: str, with_timestamps: bool) -> Interactions:
    table = open_table(stored.header, argument)
    places = locate_columns(table, argument)
    words = ["user", "item"]
    if with_timestamps and "timestamp" in places:
        words.append("timestamp")
    elif with_timestamps:
        warn_of_unnamed_times(table, places, argument)
    names = [stored.header.columns[places[word]] for word in words]
    users = _IdColumn(f"{argument}: user ids")
    items = _IdColumn(f"{argument}: item ids")
    times = _TimeColumn(argument)
    for part in stored.read(names):
        users.append(part[0])
        items.append(part[1])
        for values in part[2:]:
            times.append(values)
    # In the order in which a table in memory is looked at.
    timestamps = times.finish() if "timestamp" in words else None
    return Interactions(
        users.finish(),
        items.finish(),
        timestamps,
        ticks_per_second=times.ticks_per_second,
        header=stored.header,
    )


class _IdColumn:
    """The ids of a column, as codes."""

    def __init__(self, argument: str) -> None:
        self._argument = argument
        self._codes: list[Codes] = [np.empty(0, np.int32)]
        self._labels: pd.Index | None = None
        self._bad = BadRows()

    def append(self, values: Any) -> None:
        """Take the ids of the next part."""
        column = native(read_column(_coded(values)))
        self._bad.look_at(column, find_missing(column, self._argument))
        # Once an id is missing, the others are looked at alone, to count what is missing.
        if len(column) == 0 or self._bad.n_bad:
            return
        if not isinstance(column.dtype, pd.CategoricalDtype):
            self._codes.append(self._encode(column))
            return
        codes, places = index_ids(column.cat.codes.to_numpy())
        self._codes.append(self._encode(pd.Series(column.cat.categories[places]))[codes])

    def finish(self) -> CodedIds:
        """Return all ids."""
        refuse_missing(self._bad, self._argument)
        labels = np.empty(0, dtype=object) if self._labels is None else self._labels.to_numpy()
        # An index of its own, without the table of those that were looked up.
        return CodedIds(_joined(self._codes), as_index(labels))

    def _encode(self, column: pd.Series) -> Codes:
        """Return the code of each id; new ones come behind the known."""
        ids = ids_of_column(column, self._argument)
        if self._labels is None:
            codes, self._labels = index_ids(ids)
        else:
            codes, self._labels = add_unknown(encode_ids(ids, self._labels), ids, self._labels)
        return codes


def _coded(values: Any) -> Any:
    """Return strings of Arrow as codes: each is made a string of Python once, not in each row."""
    if not is_of(values, "pyarrow", "ChunkedArray") or values.null_count:
        return values
    types = sys.modules["pyarrow"].types
    is_text = types.is_string(values.type) or types.is_large_string(values.type)
    return values.dictionary_encode() if is_text else values


class _TimeColumn:
    """The timestamps of a column, as numbers."""

    def __init__(self, argument: str) -> None:
        self.ticks_per_second = 1
        self._argument = argument
        self._numbers: list[NDArray[Any]] = []
        self._bad = BadRows()

    def append(self, values: Any) -> None:
        """Take the timestamps of the next part."""
        column = read_column(values)
        if len(column) == 0:
            return
        numbers, ticks, timeless = read_times(column)
        self._bad.look_at(column, timeless)
        if self._numbers and ticks != self.ticks_per_second:
            raise ValueError(
                f"{self._argument}: timestamps must have one unit in all parts of the table. "
                f"Received {ticks} a second behind {self.ticks_per_second}. Convert the column, "
                "for example with X.assign(timestamp=X['timestamp'].astype('datetime64[ns]'))."
            )
        self.ticks_per_second = ticks
        self._numbers.append(numbers)

    def finish(self) -> NDArray[Any]:
        """Return all timestamps."""
        refuse_timeless(self._bad, self._argument)
        return _joined(self._numbers) if self._numbers else np.empty(0)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate the parts, and free each of them."""
    joined = np.concatenate(parts)
    parts.clear()
    return joined
