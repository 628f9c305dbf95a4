"""Read a table of interactions once, and write tables of the type that came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf._arrays import Codes, Ids
from neumf.interactions.ids import check_ids, show

_COLUMN_NAMES = {
    "user": ("user", "user_id"),
    "item": ("item", "item_id"),
    "timestamp": ("timestamp",),
    "rating": ("rating",),
}


@dataclass(frozen=True)
class Interactions:
    """The rows of a table, in the order of the table.

    Attributes
    ----------
    users, items : ndarray of shape (n_samples,)
        Ids as the user of the library gave them.
    timestamps : ndarray of shape (n_samples,) or None
        Numbers that grow with time; None where row order is time order.
    ordered : bool
        False for a sparse matrix, whose rows tell nothing about time.
    """

    users: Ids
    items: Ids
    timestamps: NDArray[Any] | None
    ordered: bool = True

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Interactions:
        """Return some of the rows, by position or mask."""
        times = None if self.timestamps is None else self.timestamps[rows]
        return Interactions(self.users[rows], self.items[rows], times, self.ordered)


def read_interactions(
    X: Any, *, with_timestamps: bool = True, may_be_empty: bool = False
) -> Interactions:
    """Read a DataFrame, an array-like or a sparse users x items matrix.

    Timestamps that nothing will be ordered by need not be read, nor be sound.
    """
    if sp.issparse(X):
        return _read_sparse(X, may_be_empty)
    frame = as_frame(X)
    columns = locate_columns(frame, by_name=isinstance(X, pd.DataFrame))
    if frame.shape[0] == 0 and not may_be_empty:
        raise ValueError(
            "X must hold at least one interaction (a row with a user and an item). "
            f"Received 0 sample(s), a table of shape {frame.shape}."
        )
    return Interactions(
        users=check_ids(frame.iloc[:, columns["user"]], "X: user ids"),
        items=check_ids(frame.iloc[:, columns["item"]], "X: item ids"),
        timestamps=(
            _check_timestamps(frame.iloc[:, columns["timestamp"]])
            if with_timestamps and "timestamp" in columns
            else None
        ),
    )


def as_frame(X: Any) -> pd.DataFrame:
    """Return a DataFrame with the columns of X, each of its own type."""
    if isinstance(X, pd.DataFrame):
        return X
    if sp.issparse(X):
        raise ValueError(
            "X must be a DataFrame or an array here, where its rows are returned. Received a "
            "sparse matrix. Pass a table of user and item."
        )
    rows = X if isinstance(X, Sequence) else np.asarray(X)
    if not _is_table(rows):
        raise ValueError(
            "X must be a table with one row per interaction. Expected 2D array, got "
            f"{type(X).__name__} of another shape instead. Reshape your data to (n_samples, 2) or "
            "more columns: user, item, timestamp, rating."
        )
    return pd.DataFrame(rows)


def locate_columns(frame: pd.DataFrame, *, by_name: bool) -> dict[str, int]:
    """Map the words user, item, timestamp, rating to positions of columns."""
    if any(dtype.kind == "c" for dtype in frame.dtypes):
        raise ValueError(
            f"X must hold ids. Complex data not supported. Received dtypes {list(frame.dtypes)}."
        )
    if frame.shape[1] < 2:
        raise ValueError(
            "X must have a user and an item column. Received "
            f"{frame.shape[1]} feature(s) (shape={frame.shape}) while a minimum of 2 is required."
        )
    names = list(frame.columns)
    if by_name and not frame.columns.is_unique:
        raise ValueError(
            f"X must have a name of its own for each column. Received columns {names}. Rename or "
            "drop the duplicates."
        )
    found = {
        word: names.index(alias)
        for word, aliases in _COLUMN_NAMES.items()
        for alias in reversed(aliases)
        if by_name and alias in names
    }
    if "user" not in found and "item" not in found:
        by_position = {word: i for i, word in enumerate(_COLUMN_NAMES) if i < frame.shape[1]}
        return by_position | found  # a column called timestamp is the timestamp, wherever it is
    for word in ("user", "item"):
        if word not in found:
            raise ValueError(
                f"X has no column {word!r} (or {word + '_id'!r}), which must stand beside the "
                f"other one. Received columns {names}. Rename one with X.rename(columns=...)."
            )
    return found


def take_rows(X: Any, rows: Codes) -> Any:
    """Select rows of a table, keeping its type."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else _as_array(X)[rows]


def replace_ids(X: Any, *, users: Ids | None = None, items: Ids | None = None) -> Any:
    """Return a copy of X with other users or items, a table of the type that came in."""
    frame = as_frame(X)
    positions = locate_columns(frame, by_name=isinstance(X, pd.DataFrame))
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    for word, ids in (("user", users), ("item", items)):
        if ids is not None:
            # pandas would make NaN of a None among strings.
            dtype = object if pd.isna(ids).any() else None
            columns[positions[word]] = pd.Series(ids, index=frame.index, dtype=dtype)
    replaced = pd.concat(columns, axis=1)
    replaced.columns = frame.columns
    return replaced if isinstance(X, pd.DataFrame) else replaced.to_numpy()


def concatenate_tables(first: Any, second: Any) -> Any:
    """Return the rows of one table after those of another of its type."""
    if isinstance(first, pd.DataFrame):
        return pd.concat([first, second], ignore_index=True)
    return np.concatenate([_as_array(first), second])


def _is_table(rows: Sequence[Any] | NDArray[Any]) -> bool:
    """Tell whether rows have two dimensions; a tuple in a row is an id, not a third one."""
    if isinstance(rows, np.ndarray):
        return rows.ndim == 2
    first = rows[0] if len(rows) else []
    return isinstance(first, list | tuple | np.ndarray | pd.Series) and not any(
        isinstance(cell, list | np.ndarray) for cell in first
    )


def _as_array(X: Any) -> NDArray[Any]:
    """Return an array; unlike `np.asarray` it keeps numbers that stand beside strings."""
    return X if isinstance(X, np.ndarray) else as_frame(X).to_numpy()


def _read_sparse(X: Any, may_be_empty: bool) -> Interactions:
    if not may_be_empty and (0 in X.shape or X.count_nonzero() == 0):
        raise ValueError(
            "X must hold at least one interaction (a stored value of the users x items matrix). "
            f"Received a sparse matrix of shape {X.shape} without any."
        )
    users, items = X.tocsr().nonzero()
    return Interactions(users.astype(np.int64), items.astype(np.int64), None, ordered=False)


def _check_timestamps(column: pd.Series) -> NDArray[Any]:
    """Return timestamps as numbers; refuse what has no place in time."""
    column = column.infer_objects()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        # In the column's own unit: years after 2262 do not fit nanoseconds.
        numbers = pd.DatetimeIndex(column).asi8
    else:
        numbers = _numbers(column)
    bad = column.isna().to_numpy() | ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            "X: timestamps must be finite numbers or datetimes. Received "
            f"{show(column.array, row)} in row {row} ({int(bad.sum())} such rows). Drop the rows, "
            "fill them, or convert the column with pandas.to_datetime."
        )
    return numbers


def _numbers(column: pd.Series) -> NDArray[Any]:
    """Return a column as numbers, NaN where it holds none."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy()
    return numbers if numbers.dtype.kind in "iuf" else numbers.astype(np.float64)
