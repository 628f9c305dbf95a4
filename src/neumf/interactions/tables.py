"""Read a table of interactions once, and write tables of the type that came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.ids import BadRows, CodedIds, check_ids, show
from neumf.interactions.table_kinds import Table, open_table
from neumf.utils.arrays import Codes, Float64s, Ids
from neumf.utils.validation import warn_caller

# Of several names for one thing, the first that a table has counts. A `parent_asin` comes before
# an `asin`, which is a variant of it, as in `read_amazon_reviews`.
_COLUMN_NAMES = {
    "user": ("user", "user_id", "userId", "reviewerID"),
    "item": ("item", "item_id", "movieId", "parent_asin", "asin"),
    "timestamp": ("timestamp", "unixReviewTime"),
    "rating": ("rating", "overall"),
}

_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Interactions:
    """The rows of a table, in the order of the table.

    Attributes
    ----------
    users, items : ndarray of shape (n_samples,) or CodedIds
        Ids as the user of the library gave them.
    timestamps : ndarray of shape (n_samples,) or None
        Numbers that grow with time; None where row order is time order.
    ordered : bool
        False for a sparse matrix, whose rows tell nothing about time.
    ticks_per_second : int
        How many units of the timestamps make a second. Numbers of the user count as seconds.
    header : DataFrame of shape (0, n_columns) or None
        The columns of a table that is not in memory; None where the table itself tells.
    """

    users: Ids | CodedIds
    items: Ids | CodedIds
    timestamps: NDArray[Any] | None
    ordered: bool = True
    ticks_per_second: int = 1
    header: pd.DataFrame | None = None

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
    X: Any,
    argument: str = "X",
    *,
    with_timestamps: bool = True,
    may_be_empty: bool = False,
) -> Interactions:
    """Read a DataFrame, an Arrow table, an array-like or a sparse users x items matrix.

    Errors name the argument. Timestamps that nothing will be ordered by need not be read, nor be
    sound.
    """
    if sp.issparse(X):
        return _read_sparse(X, argument, may_be_empty)
    table = open_table(X, argument)
    if may_be_empty and table.shape == (0, 0):  # an empty list has no columns either
        return Interactions(np.array([], dtype=object), np.array([], dtype=object), None)
    columns = locate_columns(table, argument)
    if table.shape[0] == 0 and not may_be_empty:
        raise no_rows(table, argument)
    times, ticks = None, 1
    if with_timestamps:
        times, ticks = _read_timestamps(table, columns, argument)
    return Interactions(
        users=check_ids(table.column(columns["user"]), f"{argument}: user ids"),
        items=check_ids(table.column(columns["item"]), f"{argument}: item ids"),
        timestamps=times,
        ticks_per_second=ticks,
    )


def no_rows(table: Table, argument: str) -> ValueError:
    """Return the error of a table without rows."""
    return ValueError(
        f"{argument} must hold at least one interaction (a row with a user and an item). "
        f"Received 0 sample(s), a table of shape {table.shape}."
    )


def locate_columns(table: Table, argument: str = "X") -> dict[str, int]:
    """Map the words user, item, timestamp, rating to places of columns, as far as they are there.

    Columns count by their names. Where there is neither a user nor an item column, or columns have
    no names, the first two are user and item, and nothing tells what the others are.
    """
    found = {} if table.names is None else _find_names(table, argument)
    if table.shape[1] < 2:
        raise ValueError(
            f"{argument} must have a user and an item column. Received {table.shape[1]} feature(s) "
            f"(shape={table.shape}) while a minimum of 2 is required."
        )
    if "user" not in found and "item" not in found:
        _refuse_other_words(table, found, argument)
        return {"user": 0, "item": 1} | found
    for word in ("user", "item"):
        if word not in found:
            raise ValueError(
                f"{argument} has no column {word!r} (or {', '.join(_COLUMN_NAMES[word][1:])}), "
                f"which must stand beside the other one. Received columns {table.names}. Rename "
                "one."
            )
    return found


def take_rows(X: Any, rows: Codes) -> Any:
    """Select rows of a table, keeping its type."""
    return open_table(X).take(rows)


def replace_ids(X: Any, *, users: Ids | None = None, items: Ids | None = None) -> Any:
    """Return a copy of X with other users or items, a table of the type that came in."""
    table = open_table(X)
    columns = locate_columns(table)
    ids_of = {"user": users, "item": items}
    return table.with_columns(
        {columns[word]: ids for word, ids in ids_of.items() if ids is not None}
    )


def add_column(X: Any, name: str, values: NDArray[Any]) -> Any:
    """Return a copy of X with one more column, or with other values in the one of that name."""
    return open_table(X).with_new_column(name, values)


def concatenate_tables(first: Any, second: Any) -> Any:
    """Return the rows of one table after those of another of its type."""
    return open_table(first).with_rows(second)


def _find_names(table: Table, argument: str) -> dict[str, int]:
    """Return the places of the columns whose names say what they are."""
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
    places = {name: place for place, name in enumerate(names)}
    found = {
        word: places[alias]
        for word, aliases in _COLUMN_NAMES.items()
        for alias in reversed(aliases)
        if alias in places
    }
    _refuse_ids_in_index(table, found, argument)
    return found


def _refuse_ids_in_index(table: Table, found: dict[str, int], argument: str) -> None:
    """Raise if what labels the rows has the name of a user or an item column that is not there."""
    for word in ("user", "item"):
        for name in table.index_names:
            if word not in found and name in _COLUMN_NAMES[word]:
                raise ValueError(
                    f"{argument} must have its {word} ids in a column. Received them in the index, "
                    f"which is named {name!r}. Call X.reset_index() first."
                )


def _refuse_other_words(table: Table, found: dict[str, int], argument: str) -> None:
    """Raise if one of the first two columns says by its name that it is no user and no item."""
    for word, place in found.items():
        if place < 2:
            raise ValueError(
                f"{argument} has neither a user nor an item column, so its first two columns must "
                f"be user and item. Received columns {table.names}, where the {word} is one of the "
                "two. Rename the columns of the users and of the items to 'user' and 'item'."
            )


def _read_sparse(X: Any, argument: str, may_be_empty: bool) -> Interactions:
    """Read a sparse matrix: each stored value is an interaction, but for a stored zero."""
    if X.ndim != 2:
        raise ValueError(
            f"{argument} must be a matrix of users x items. Received a sparse array of shape "
            f"{X.shape}. Pass one of two dimensions."
        )
    matrix = X.tocsr()
    _refuse_values_not_finite(matrix, argument)
    users, items = matrix.nonzero()
    if len(users) == 0 and not may_be_empty:
        raise ValueError(
            f"{argument} must hold at least one interaction (a stored value of the users x items "
            f"matrix, other than 0). Received a sparse matrix of shape {X.shape} without any."
        )
    return Interactions(users.astype(np.int64), items.astype(np.int64), None, ordered=False)


def _refuse_values_not_finite(matrix: Any, argument: str) -> None:
    if matrix.data.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(matrix.data)
    if bad.any():
        place = int(np.argmax(bad))
        row = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
        raise ValueError(
            f"{argument} must hold finite values: a stored value is an interaction, a stored 0 is "
            f"none. Received {show(matrix.data, place)} in row {row}, column "
            f"{matrix.indices[place]} ({int(bad.sum())} such values). Replace them by 1 or 0, for "
            "example with X.data = numpy.nan_to_num(X.data)."
        )


def _read_timestamps(
    table: Table, columns: dict[str, int], argument: str
) -> tuple[NDArray[Any] | None, int]:
    """Return the timestamps as numbers, and how many of their units make a second."""
    if "timestamp" in columns:
        return _check_timestamps(table.column(columns["timestamp"]), argument)
    warn_of_unnamed_times(table, columns, argument)
    return None, 1


def warn_of_unnamed_times(table: Table, columns: dict[str, int], argument: str) -> None:
    """Warn of what may be the time of the rows, if nothing says which column is."""
    places = sorted(set(range(table.shape[1])) - set(columns.values()))
    names = places if table.names is None else [table.names[place] for place in places]
    found = [
        f"column {name!r} holds datetimes"
        for name, place in zip(names, places, strict=True)
        if table.holds_datetimes(place)
    ]
    if table.index_is_time or set(table.index_names) & set(_COLUMN_NAMES["timestamp"]):
        found.append("index holds the time")
    for what in found:
        warn_caller(
            f"{argument}: its {what}, but only a column named 'timestamp' counts as the time, so "
            "the order of the rows is their order in time. Rename the column to 'timestamp' (of a "
            "DataFrame; an index becomes a column by reset_index), or drop it."
        )


def _check_timestamps(column: pd.Series, argument: str) -> tuple[NDArray[Any], int]:
    """Return timestamps as numbers and their units per second; refuse what has no place in time."""
    numbers, ticks_per_second, timeless = read_times(column)
    bad = BadRows()
    bad.look_at(column.infer_objects(), timeless)
    refuse_timeless(bad, argument)
    return numbers, ticks_per_second


def read_times(column: pd.Series) -> tuple[NDArray[Any], int, NDArray[np.bool_]]:
    """Return timestamps as numbers, their units per second, and which have no place in time."""
    column = column.infer_objects()
    ticks_per_second = 1
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        # In the column's own unit: years after 2262 do not fit nanoseconds.
        times = pd.DatetimeIndex(column)
        numbers, ticks_per_second = times.asi8, _TICKS_PER_SECOND[times.unit]
    else:
        numbers = _numbers(column)
    return numbers, ticks_per_second, column.isna().to_numpy() | ~np.isfinite(numbers)


def refuse_timeless(bad: BadRows, argument: str) -> None:
    """Raise if timestamps have no place in time."""
    if bad.n_bad:
        raise ValueError(
            f"{argument}: timestamps must be finite numbers or datetimes. Received {bad}. Drop the "
            "rows, fill them, or convert the column with pandas.to_datetime."
        )


def _numbers(column: pd.Series) -> NDArray[Any]:
    """Return a column as numbers, NaN where it holds none."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy()
    if numbers.dtype.kind == "c":
        return np.full(len(column), np.nan)
    return numbers if numbers.dtype.kind in "iuf" else numbers.astype(np.float64)
