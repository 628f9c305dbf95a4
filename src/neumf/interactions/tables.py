"""Read a table of interactions once, and write tables of the type that came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.id_checks import check_ids
from neumf.interactions.table_kinds import Table, open_table
from neumf.interactions.timestamps import TimeColumn
from neumf.interactions.vocabulary import IndexedIds
from neumf.utils.arrays import Float64s, Ids, Indices, find_not_finite
from neumf.utils.validation import warn_caller

# Of several names for one thing, the first that a table has counts. A `parent_asin` comes before
# an `asin`, which is a variant of it, as in `read_amazon_reviews`.
_COLUMN_NAMES = {
    "user": ("user", "user_id", "userId", "reviewerID"),
    "item": ("item", "item_id", "movieId", "parent_asin", "asin"),
    "timestamp": ("timestamp", "unixReviewTime"),
    "rating": ("rating", "overall"),
}


@dataclass(frozen=True)
class Interactions:
    """The rows of a table, in the order of the table, by the user's own ids."""

    users: Ids | IndexedIds
    items: Ids | IndexedIds
    timestamps: NDArray[Any] | None  # they grow with time; None: row order is time order
    ordered: bool = True  # False: rows tell nothing about time, as those of a sparse matrix
    ticks_per_second: int = 1  # of the timestamps; plain numbers count as seconds
    header: pd.DataFrame | None = None  # the columns of a table that is not in memory

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Interactions:
        """Return some of the rows, by position or mask."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return replace(self, users=self.users[rows], items=self.items[rows], timestamps=times)

    @property
    def seconds(self) -> Float64s | None:
        """The timestamps in seconds, of datetimes those since 1970; None without timestamps."""
        return None if self.timestamps is None else self.timestamps / self.ticks_per_second


def read_interactions(
    X: Any, argument: str = "X", *, with_timestamps: bool = True, may_be_empty: bool = False
) -> Interactions:
    """Read a DataFrame, an Arrow table, an array-like or a sparse users x items matrix."""
    if sp.issparse(X):
        return _read_sparse(X, argument, may_be_empty)
    table = open_table(X, argument)
    if may_be_empty and table.shape == (0, 0):  # an empty list has no columns either
        return Interactions(np.array([], dtype=object), np.array([], dtype=object), None)
    columns = locate_columns(table, argument)
    if table.shape[0] == 0 and not may_be_empty:
        raise no_rows(table, argument)
    times, timestamps = TimeColumn(argument), None
    if with_timestamps and "timestamp" in columns:
        times.append(table.column(columns["timestamp"]))
        timestamps = times.finish()
    elif with_timestamps:
        warn_of_unnamed_times(table, columns, argument)
    return Interactions(
        check_ids(table.column(columns["user"]), f"{argument}: user ids"),
        check_ids(table.column(columns["item"]), f"{argument}: item ids"),
        timestamps,
        ticks_per_second=times.ticks_per_second,
    )


def no_rows(table: Table, argument: str) -> ValueError:
    """Return the error of a table without rows."""
    return ValueError(
        f"{argument} must hold at least one interaction (a row with a user and an item). "
        f"Received 0 sample(s), a table of shape {table.shape}."
    )


def locate_columns(table: Table, argument: str = "X") -> dict[str, int]:
    """Return the positions of the user, item, timestamp and rating columns, found by their names.

    Where no name tells the users or the items, the first two columns are user and item.
    """
    found = {} if table.names is None else _find_names(table, argument)
    if table.shape[1] < 2:
        raise ValueError(
            f"{argument} must have a user and an item column. Received {table.shape[1]} feature(s) "
            f"(shape={table.shape}) while a minimum of 2 is required."
        )
    if "user" not in found and "item" not in found:
        for role, position in found.items():
            if position < 2:
                raise ValueError(
                    f"{argument} has neither a user nor an item column, so its first two columns "
                    f"must be user and item. Received columns {table.names}, where the {role} is "
                    "one of the two. Rename the columns of the ids to 'user' and 'item'."
                )
        return {"user": 0, "item": 1} | found
    for role in ("user", "item"):
        if role not in found:
            raise ValueError(
                f"{argument} has no column {role!r} (or {', '.join(_COLUMN_NAMES[role][1:])}), "
                f"which must stand beside the other one. Received columns {table.names}. Rename "
                "one."
            )
    return found


def _find_names(table: Table, argument: str) -> dict[str, int]:
    """Return the positions of the columns whose names say what they are."""
    names = list(table.names or [])
    if any(isinstance(name, tuple) for name in names):
        raise ValueError(
            f"{argument} must have one name for each column. Received names of several levels, "
            f"{names}. Flatten them, for example with X.columns = X.columns.get_level_values(0)."
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f"{argument} must have a name of its own for each column. Received columns {names}. "
            "Rename or drop the duplicates."
        )
    found = {
        role: names.index(alias)
        for role, aliases in _COLUMN_NAMES.items()
        for alias in reversed(aliases)
        if alias in names
    }
    for role in ("user", "item"):
        for name in table.index_names:
            if role not in found and name in _COLUMN_NAMES[role]:
                raise ValueError(
                    f"{argument} must have its {role} ids in a column. Received them in the index, "
                    f"which is named {name!r}. Call X.reset_index() first."
                )
    return found


def take_rows(X: Any, rows: Indices) -> Any:
    """Select rows of a table, keeping its type."""
    return open_table(X).take(rows)


def replace_ids(X: Any, *, users: Ids | None = None, items: Ids | None = None) -> Any:
    """Return a copy of X with other users or items, a table of the type that came in."""
    table = open_table(X)
    columns = locate_columns(table)
    given = (("user", users), ("item", items))
    return table.with_columns({columns[role]: ids for role, ids in given if ids is not None})


def _read_sparse(X: Any, argument: str, may_be_empty: bool) -> Interactions:
    """Read a sparse matrix: each stored value is an interaction, but for a stored zero."""
    if X.ndim != 2:
        raise ValueError(
            f"{argument} must be a matrix of users x items. Received a sparse array of shape "
            f"{X.shape}. Pass one of two dimensions."
        )
    matrix = X.tocsr()
    bad = find_not_finite(matrix)
    if bad is not None:
        row, column, value, count = bad
        raise ValueError(
            f"{argument} must hold finite values: a stored value is an interaction, a stored 0 "
            f"is not. Received {value!r} in row {row}, column {column} ({count} such values). "
            "Replace them by 1 or 0, for example with X.data = numpy.nan_to_num(X.data)."
        )
    users, items = matrix.nonzero()
    if len(users) == 0 and not may_be_empty:
        raise ValueError(
            f"{argument} must hold at least one interaction (a stored value of the users x items "
            f"matrix, other than 0). Received a sparse matrix of shape {X.shape} without any."
        )
    return Interactions(users.astype(np.int64), items.astype(np.int64), None, ordered=False)


def warn_of_unnamed_times(table: Table, columns: dict[str, int], argument: str) -> None:
    """Warn of what may be the time of the rows, if nothing says which column is."""
    found = [
        f"column {position if table.names is None else table.names[position]!r} holds datetimes"
        for position in range(table.shape[1])
        if position not in columns.values() and table.holds_datetimes(position)
    ]
    if table.index_is_time or set(table.index_names) & set(_COLUMN_NAMES["timestamp"]):
        found.append("index holds the time")
    for what in found:
        warn_caller(
            f"{argument}: its {what}, but only a column named 'timestamp' counts as the time, so "
            "the order of the rows is their order in time. Rename the column to 'timestamp' (of a "
            "DataFrame; an index becomes a column by reset_index), or drop it."
        )
