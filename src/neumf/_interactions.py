"""Read a table of interactions once: its columns, ids and order in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

Ids = NDArray[Any]
Codes = NDArray[np.intp]

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


def read_interactions(X: Any) -> Interactions:
    """Read a DataFrame, an array-like or a sparse users x items matrix."""
    if sp.issparse(X):
        return _read_sparse(X)
    frame = as_frame(X)
    columns = locate_columns(frame, by_name=isinstance(X, pd.DataFrame))
    if frame.shape[0] == 0:
        raise ValueError(
            "X must hold at least one interaction (a row with a user and an item). "
            f"Received 0 sample(s), a table of shape {frame.shape}."
        )
    return Interactions(
        users=_check_ids(frame.iloc[:, columns["user"]], "X: user ids"),
        items=_check_ids(frame.iloc[:, columns["item"]], "X: item ids"),
        timestamps=(
            _check_timestamps(frame.iloc[:, columns["timestamp"]])
            if "timestamp" in columns
            else None
        ),
    )


def as_frame(X: Any) -> pd.DataFrame:
    """Return a DataFrame with the columns of X, each of its own type."""
    if isinstance(X, pd.DataFrame):
        return X
    if not isinstance(X, Sequence):
        X = np.asarray(X)
    if (X.ndim if isinstance(X, np.ndarray) else np.ndim(X[0]) + 1 if len(X) else 2) != 2:
        raise ValueError(
            "X must be a table with one row per interaction. Expected 2D array, got "
            f"{type(X).__name__} of another shape instead. Reshape your data to (n_samples, 2) or "
            "more columns: user, item, timestamp, rating."
        )
    return pd.DataFrame(X)


def locate_columns(frame: pd.DataFrame, *, by_name: bool) -> dict[str, int]:
    """Map the words user, item, timestamp, rating to positions of columns."""
    if frame.shape[1] < 2:
        raise ValueError(
            "X must have a user and an item column. Received "
            f"{frame.shape[1]} feature(s) (shape={frame.shape}) while a minimum of 2 is required."
        )
    names = list(frame.columns)
    found = {
        word: names.index(alias)
        for word, aliases in _COLUMN_NAMES.items()
        for alias in reversed(aliases)
        if by_name and alias in names
    }
    if "user" not in found and "item" not in found:
        return {word: i for i, word in enumerate(_COLUMN_NAMES) if i < frame.shape[1]}
    for word in ("user", "item"):
        if word not in found:
            raise ValueError(
                f"X has no column {word!r} (or {word + '_id'!r}), which must stand beside the "
                f"other one. Received columns {names}. Rename one with X.rename(columns=...)."
            )
    return found


def index_ids(ids: Ids) -> tuple[Codes, pd.Index]:
    """Return the index of each id, from 0 in order of first appearance, and the ids by index."""
    codes, vocabulary = pd.factorize(ids)
    return codes.astype(np.intp), _as_index(np.asarray(vocabulary))


def lookup_ids(ids: Ids, vocabulary: pd.Index, argument: str) -> Codes:
    """Return the index of each id, -1 where it is unknown.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    codes = vocabulary.get_indexer(_as_index(ids))
    if len(codes) and (codes < 0).all():
        _refuse_other_kind(ids, vocabulary, argument)
    return codes


def read_ids(ids: Any, argument: str) -> Ids:
    """Read one id or a one-dimensional collection of ids."""
    if isinstance(ids, str | bytes | tuple) or (np.ndim(ids) == 0 and not isinstance(ids, set)):
        ids = [ids]
    column = pd.Series(ids if hasattr(ids, "dtype") else _object_array(list(ids)))
    return _check_ids(column.infer_objects(), argument)


def time_order(users: Codes, timestamps: NDArray[Any] | None) -> Codes:
    """Return the rows sorted by user, then time; equal times keep the order of the table."""
    # lexsort is stable, which is what keeps the order of ties.
    return np.lexsort((users,) if timestamps is None else (timestamps, users))


def seen_matrix(users: Codes, items: Codes, shape: tuple[int, int]) -> sp.csr_array:
    """Return the boolean users x items matrix of what was seen, each pair once."""
    pairs = np.unique(users * np.int64(shape[1]) + items)
    row, column = np.divmod(pairs, shape[1])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    return sp.csr_array((np.ones(len(pairs), dtype=bool), column, indptr), shape=shape)


def take_rows(X: Any, rows: Codes) -> Any:
    """Select rows of a table, keeping its type."""
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else np.asarray(X)[rows]


def replace_ids(X: Any, *, users: Ids | None = None, items: Ids | None = None) -> Any:
    """Return a copy of X with other users or items, a table of the type that came in."""
    frame = as_frame(X)
    positions = locate_columns(frame, by_name=isinstance(X, pd.DataFrame))
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    for word, ids in (("user", users), ("item", items)):
        if ids is not None:
            columns[positions[word]] = pd.Series(ids, index=frame.index)
    replaced = pd.concat(columns, axis=1)
    replaced.columns = frame.columns
    return replaced if isinstance(X, pd.DataFrame) else replaced.to_numpy()


def concatenate_tables(first: Any, second: Any) -> Any:
    """Return the rows of one table after those of another of its type."""
    if isinstance(first, pd.DataFrame):
        return pd.concat([first, second], ignore_index=True)
    return np.concatenate([np.asarray(first), second])


def _read_sparse(X: Any) -> Interactions:
    if 0 in X.shape or X.count_nonzero() == 0:
        raise ValueError(
            "X must hold at least one interaction (a stored value of the users x items matrix). "
            f"Received a sparse matrix of shape {X.shape} without any."
        )
    users, items = X.tocsr().nonzero()
    return Interactions(users.astype(np.int64), items.astype(np.int64), None, ordered=False)


def _check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = column.isna().to_numpy()
    if column.dtype.kind == "f":
        bad = bad | np.isinf(column.to_numpy())
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{argument} must not be missing or infinite (NaN, None, inf). Received "
            f"{column.iloc[row]!r} in row {row} ({int(bad.sum())} such rows). Drop the rows, for "
            "example with X.dropna(subset=['user', 'item'])."
        )
    ids = column.to_numpy()
    if ids.dtype.kind in "US":
        ids = ids.astype(object)
    if ids.dtype == object:
        _refuse_unhashable(ids, argument)
    return ids


def _refuse_unhashable(ids: Ids, argument: str) -> None:
    row = next((row for row, label in enumerate(ids) if label.__hash__ is None), None)
    if row is not None:
        raise TypeError(
            f"{argument} must be hashable (int, str, tuple ...). Received {ids[row]!r} of type "
            f"{type(ids[row]).__name__} in row {row}. Turn it into a string or a tuple."
        )


def _check_timestamps(column: pd.Series) -> NDArray[Any]:
    """Return timestamps as numbers; refuse what has no place in time."""
    column = column.infer_objects()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        values = column.to_numpy(dtype="datetime64[ns]")
        numbers, bad = values.astype(np.int64), np.isnat(values)
    else:
        numbers, bad = _numbers(column)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            "X: timestamps must be finite numbers or datetimes. Received "
            f"{column.iloc[row]!r} in row {row} ({int(bad.sum())} such rows). Drop the rows, fill "
            "them, or convert the column with pandas.to_datetime."
        )
    return numbers


def _numbers(column: pd.Series) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a column as numbers, and where it holds none."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy()
    if numbers.dtype.kind not in "iuf":
        numbers = numbers.astype(np.float64)
    return numbers, ~np.isfinite(numbers)


def _as_index(ids: Ids) -> pd.Index:
    # Left to itself pandas makes a MultiIndex of tuples and another dtype of strings.
    return pd.Index(ids, dtype=ids.dtype, tupleize_cols=False)


def _object_array(labels: list[Any]) -> Ids:
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _refuse_other_kind(ids: Ids, vocabulary: pd.Index, argument: str) -> None:
    received, known = _kind(ids), _kind(vocabulary)
    if received and known and received != known:
        raise ValueError(
            f"{argument} must be of the kind that fit saw, {known} such as {vocabulary[0]!r}. "
            f"Received {received} such as {ids[0]!r}. Convert them, for example with "
            "X.astype({'user': ..., 'item': ...})."
        )


def _kind(ids: Ids | pd.Index) -> str | None:
    inferred = pd.api.types.infer_dtype(ids, skipna=False)
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "numbers"
    return "strings" if inferred == "string" else None
