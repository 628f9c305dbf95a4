"""Read tables of interactions, and write tables of the type of the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.column_names import match_names, names_a_time
from neumf.interactions.id_checks import check_ids
from neumf.interactions.table_kinds import Table, open_table
from neumf.interactions.timestamps import TimeColumn, looks_like_times
from neumf.interactions.vocabulary import IndexedIds
from neumf.utils.arrays import Float64s, Ids, Indices, find_not_finite
from neumf.utils.validation import warn_caller

ROLES = ("user", "item", "timestamp")
# Arrays with more columns are likely to be a matrix of users x items.
_MOST_COLUMNS = 4
_MOST_SHOWN = 30
# Unused columns that are checked for times.
_MOST_LOOKED_AT = 50


@dataclass(frozen=True)
class Interactions:
    """The rows of a table in their order, with the ids of the table."""

    users: Ids | IndexedIds
    items: Ids | IndexedIds
    timestamps: NDArray[Any] | None  # numbers that grow with time; None: row order is time order
    ordered: bool = True  # False: the rows have no order in time, as in a sparse matrix
    ticks_per_second: int = 1  # unit of the timestamps; plain numbers count as seconds
    header: pd.DataFrame | None = None  # empty, with the columns of a table not in memory

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Interactions:
        """Return some of the rows, by position or mask."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return replace(self, users=self.users[rows], items=self.items[rows], timestamps=times)

    @property
    def seconds(self) -> Float64s | None:
        """Timestamps in seconds, for datetimes since 1970; None without timestamps."""
        return None if self.timestamps is None else self.timestamps / self.ticks_per_second


def read_table(
    X: Any, argument: str = "X", *, with_timestamps: bool = True, may_be_empty: bool = False
) -> Interactions:
    """Read a DataFrame, an Arrow table, an array-like or a sparse users x items matrix."""
    if sp.issparse(X):
        return _read_sparse(X, argument, may_be_empty)
    table = open_table(X, argument)
    if may_be_empty and table.shape == (0, 0):  # an empty list has no columns either
        return Interactions(np.array([], dtype=object), np.array([], dtype=object), None)
    columns = locate_columns(table, argument, ROLES[: 2 + with_timestamps])
    if table.shape[0] == 0 and not may_be_empty:
        raise no_rows(table, argument)
    if table.names is None and table.shape[1] > _MOST_COLUMNS:
        _check_wide_array(table, argument)
    times, timestamps = TimeColumn(argument), None
    if "timestamp" in columns:
        times.append(table.column(columns["timestamp"]))
        timestamps = times.finish()
    elif with_timestamps:
        warn_of_unused_times(table, columns, argument)
    return Interactions(
        check_ids(table.column(columns["user"]), f"{argument}: user ids"),
        check_ids(table.column(columns["item"]), f"{argument}: item ids"),
        timestamps,
        ticks_per_second=times.ticks_per_second,
    )


def no_rows(table: Table, argument: str) -> ValueError:
    """Return the error for a table without rows."""
    return ValueError(
        f"{argument} must hold at least one interaction (a row with a user and an item). "
        f"Received 0 sample(s), a table of shape {table.shape}."
    )


def locate_columns(
    table: Table,
    argument: str = "X",
    roles: Sequence[str] = ("user", "item"),
    given: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, int]:
    """Return the positions of the user and item columns, and of other roles if they exist.

    Columns of a DataFrame are found by name, unless `given` has their positions. The first two
    columns of an array are user and item.
    """
    has_ids_in_index = any(
        match_names([name], role) for name in table.index_names for role in roles
    )
    if table.shape[1] < 2 and not has_ids_in_index:
        raise ValueError(
            f"{argument} must have a user and an item column. Received {table.shape[1]} feature(s) "
            f"(shape={table.shape}) while a minimum of 2 is required."
        )
    if table.names is None:
        return {"user": 0, "item": 1} | dict(given)
    _check_names(table, argument)
    found = {
        role: [given[role]] if role in given else match_names(table.names, role) for role in roles
    }
    if not (found["user"] and found["item"]) or max(map(len, found.values())) > 1:
        raise ValueError(_ask_for_names(table, argument, found))
    return {role: positions[0] for role, positions in found.items() if positions}


def _check_names(table: Table, argument: str) -> None:
    """Raise if column names have several levels, or if two columns have the same name."""
    names = list(table.names or [])
    if any(isinstance(name, tuple) for name in names):
        raise ValueError(
            f"{argument} must have one name for each column. Received names of several levels, "
            f"{names}. Flatten them, for example with X.columns = X.columns.get_level_values(0)."
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f"{argument} must have a different name for each column. Received columns {names}. "
            "Rename or drop the duplicates."
        )


def _ask_for_names(table: Table, argument: str, found: dict[str, list[int]]) -> str:
    """Return the error for a table with several columns for a role, or without one."""
    names = list(table.names or [])
    for role, positions in found.items():
        in_index = [name for name in table.index_names if match_names([name], role)]
        if not positions and in_index:
            return (
                f"{argument} must have its {role} ids in a column. Received them in the index, "
                f"which is named {in_index[0]!r}. Call X.reset_index() first."
            )
    unclear, known, call = [], [], []
    for role, positions in found.items():
        a_role = f"an {role}" if role == "item" else f"a {role}"
        matches = [repr(names[position]) for position in positions]
        if len(matches) == 1:
            known.append(f"{matches[0]} is the {role}")
            call.append(f"{role}={matches[0]}")
        elif matches or role in ("user", "item"):
            named = f"{' and '.join(matches)} both name" if matches else "no column names"
            unclear.append(f"{named} {a_role}")
            call.append(f"{role}=...")
    shown = names[:_MOST_SHOWN] + (["..."] if len(names) > _MOST_SHOWN else [])
    numbered = ""
    if not any(isinstance(name, str) for name in names):
        numbered = " The columns have numbers as names: maybe the file has no header."
    return (
        f"{argument} must have one column for the user and one for the item, found by name. "
        f"Received columns {shown}: {'; '.join(unclear + known)}.{numbered} Name them: "
        f"neumf.datasets.read_interactions({argument}, {', '.join(call)}), or "
        f"{argument}.rename(columns=...)."
    )


def _check_wide_array(table: Table, argument: str) -> None:
    """Refuse a dense matrix of zeros and ones; warn about other wide arrays."""
    sparse = f"A matrix of users x items must be sparse: scipy.sparse.csr_array({argument})."
    received = f"an array of shape {table.shape}"
    if all(table.column(position).isin([0, 1]).all() for position in range(table.shape[1])):
        raise ValueError(
            f"{argument} must have one row per interaction: user and item. Received {received} of "
            f"zeros and ones. {sparse}"
        )
    warn_caller(
        f"{argument} is {received}: column 0 was read as the user and column 1 as the item; the "
        f"others are ignored. {sparse}"
    )


def take_rows(X: Any, rows: Indices) -> Any:
    """Select rows of a table, keeping its type."""
    return open_table(X).take(rows)


def replace_ids(X: Any, *, users: Ids | None = None, items: Ids | None = None) -> Any:
    """Return a copy of X, of the same type, with other ids of users or items."""
    table = open_table(X)
    columns = locate_columns(table)
    given = (("user", users), ("item", items))
    return table.with_columns({columns[role]: ids for role, ids in given if ids is not None})


def _read_sparse(X: Any, argument: str, may_be_empty: bool) -> Interactions:
    """Read a sparse matrix of users x items: each stored value except 0 is an interaction."""
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
            f"matrix, other than 0). Received an empty sparse matrix of shape {X.shape}."
        )
    return Interactions(users.astype(np.int64), items.astype(np.int64), None, ordered=False)


def warn_of_unused_times(table: Table, columns: dict[str, int], argument: str) -> None:
    """Warn about columns that may hold timestamps but have an unknown name."""
    found = []
    for position in range(min(table.shape[1], _MOST_LOOKED_AT)):
        if position in columns.values():
            continue
        name = position if table.names is None else table.names[position]
        kind = looks_like_times(table.column(position))
        if kind:
            found.append(f"column {name!r} holds {kind}")
        elif table.names is not None and names_a_time(name):
            found.append(f"column {name!r} names a time")
    if table.index_is_time or any(match_names([name], "timestamp") for name in table.index_names):
        found.append("the index holds the time")
    if found:
        warn_caller(
            f"{argument} has no timestamps, but {'; '.join(found)}. The order of its rows is used "
            "as their order in time. Name the column of times: neumf.datasets.read_interactions("
            f"{argument}, timestamp=...). Turn an index into a column first, with reset_index()."
        )
