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
Codes = NDArray[np.integer[Any]]

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
        users=_check_ids(frame.iloc[:, columns["user"]], "X: user ids"),
        items=_check_ids(frame.iloc[:, columns["item"]], "X: item ids"),
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


def index_ids(ids: Ids) -> tuple[Codes, pd.Index]:
    """Return the index of each id, from 0 in order of first appearance, and the ids by index."""
    codes, vocabulary = pd.factorize(ids)
    # Half the memory of pandas's own; there are no two thousand million users.
    return codes.astype(np.int32), _as_index(np.asarray(vocabulary))


def extend_index(ids: Ids, vocabulary: pd.Index, argument: str) -> tuple[Codes, pd.Index]:
    """Return the index of each id, and the vocabulary with the unknown ones behind the known.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    codes = lookup_ids(ids, vocabulary, argument).astype(np.int32)
    unknown = codes < 0
    new_codes, new_ids = index_ids(ids[unknown])
    codes[unknown] = len(vocabulary) + new_codes
    return codes, vocabulary.append(new_ids) if len(new_ids) else vocabulary


def lookup_ids(ids: Ids, vocabulary: pd.Index, argument: str) -> Codes:
    """Return the index of each id, -1 where it is unknown.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    codes = encode_ids(ids, vocabulary)
    complaint = describe_other_kind(codes, ids, vocabulary, argument)
    if complaint:
        raise ValueError(complaint)
    return codes


def encode_ids(ids: Ids, vocabulary: pd.Index) -> Codes:
    """Return the index of each id, -1 where it is unknown, whatever the reason."""
    return vocabulary.get_indexer(_as_index(ids))


def describe_other_kind(codes: Codes, ids: Ids, vocabulary: pd.Index, argument: str) -> str | None:
    """Return what to tell the user if no id is known because strings meet numbers."""
    if len(codes) == 0 or (codes >= 0).any():
        return None
    received, known = _kind(ids), _kind(vocabulary)
    if received is None or known is None or received == known:
        return None
    return (
        f"{argument} must be of the kind that fit saw, {known} such as {show(vocabulary, 0)}. "
        f"Received {received} such as {show(ids, 0)}. Convert them, for example with astype."
    )


def show(values: Any, row: int) -> str:
    """Return the representation of one value, a plain Python one."""
    return repr(values[row : row + 1].tolist()[0])


def read_ids(ids: Any, argument: str, vocabulary: pd.Index) -> Ids:
    """Read one id or a one-dimensional collection of ids; a tuple is one id where ids are such."""
    is_one_tuple = isinstance(ids, tuple) and isinstance(vocabulary[0], tuple)
    if is_one_tuple or not pd.api.types.is_list_like(ids):
        ids = [ids]
    if getattr(ids, "ndim", 1) != 1:
        raise ValueError(
            f"{argument} must be one id or a one-dimensional collection of ids. Received "
            f"{type(ids).__name__} of shape {ids.shape}. Pass one column."
        )
    column = pd.Series(ids if hasattr(ids, "dtype") else _object_array(list(ids)))
    return _check_ids(column.infer_objects(), argument)


def time_order(users: Codes, timestamps: NDArray[Any] | None) -> Codes:
    """Return the rows sorted by user, then time; equal times keep the order of the table."""
    # lexsort is stable, which is what keeps the order of ties.
    return np.lexsort((users,) if timestamps is None else (timestamps, users))


def seen_matrix(users: Codes, items: Codes, shape: tuple[int, int]) -> sp.csr_array:
    """Return the boolean users x items matrix of what was seen, each pair once."""
    seen = sp.coo_array((np.ones(len(users), dtype=bool), (users, items)), shape=shape).tocsr()
    seen.sum_duplicates()
    return seen


def count_users(seen: sp.csr_array) -> NDArray[np.int64]:
    """Return how many users have seen each item."""
    # Part by part: `bincount` copies what it counts to 64 bits.
    parts = np.array_split(seen.indices, 1 + seen.nnz // 2**24)
    counts: NDArray[np.int64] = np.sum(
        [np.bincount(part, minlength=seen.shape[1]) for part in parts], axis=0
    )
    return counts


def seen_rows(seen: sp.csr_array, users: Codes) -> sp.csr_array:
    """Return the rows of the seen matrix, empty ones for unknown users (-1)."""
    if seen.shape[0] == 0:
        return sp.csr_array((len(users), seen.shape[1]), dtype=seen.dtype)
    rows = seen[np.maximum(users, 0)]
    if (users < 0).any():
        rows = sp.csr_array(rows.multiply((users >= 0)[:, None]))
        rows.eliminate_zeros()
    return rows


def stored_places(matrix: sp.csr_array) -> tuple[Codes, Codes]:
    """Return the row and the column of each stored value."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


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


def _check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = column.isna().to_numpy()
    if column.dtype.kind == "f":
        bad = bad | np.isinf(column.to_numpy())
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{argument} must not be missing or infinite (NaN, None, inf). Received "
            f"{show(column.array, row)} in row {row} ({int(bad.sum())} such rows). Drop them, for "
            "example with dropna."
        )
    ids = column.to_numpy()
    if ids.dtype == object:
        _refuse_unhashable(ids, argument)
    return ids


def _refuse_unhashable(ids: Ids, argument: str) -> None:
    for row, label in enumerate(ids):
        try:
            hash(label)
        except TypeError as error:
            raise TypeError(
                f"{argument} must be hashable: an id in this argument must be a string, number or "
                f"tuple. Received {label!r} of type {type(label).__name__} in row {row}. Turn it "
                "into one of these."
            ) from error


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


def _as_index(ids: Ids) -> pd.Index:
    # Left to itself pandas makes a MultiIndex of tuples and another dtype of strings.
    return pd.Index(ids, dtype=ids.dtype, tupleize_cols=False)


def _object_array(labels: list[Any]) -> Ids:
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _kind(ids: Ids | pd.Index) -> str | None:
    inferred = pd.api.types.infer_dtype(ids, skipna=False)
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "numbers"
    return "strings" if inferred == "string" else None
