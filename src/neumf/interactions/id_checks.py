"""Read columns of ids as int64, float64 or objects; refuse other values and name their row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.utils.arrays import Float64s, Ids, object_array, repr_of_row


@dataclass
class BadRows:
    """Count the unreadable rows of a column that comes in parts."""

    rule: str  # what the rows must be
    advice: str
    n_rows: int = 0  # rows checked so far
    n_bad: int = 0
    first: str = ""  # the first bad value and its row, for the error

    def check(self, column: pd.Series, bad: NDArray[np.bool_]) -> None:
        """Count the bad rows of the next part, given as a mask."""
        if self.n_bad == 0 and bad.any():
            row = int(np.argmax(bad))
            self.first = f"{repr_of_row(column.array, row)} in row {self.n_rows + row}"
        self.n_rows += len(bad)
        self.n_bad += int(bad.sum())

    def refuse(self) -> None:
        """Raise if there is a bad row."""
        if self.n_bad:
            raise ValueError(
                f"{self.rule}. Received {self.first} ({self.n_bad} such rows). {self.advice}"
            )


def missing_ids(argument: str) -> BadRows:
    """Return an empty count of missing ids."""
    rule = f"{argument} must not be missing or infinite (NaN, None, inf)"
    return BadRows(rule, "Drop them, for example with dropna.")


def check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = missing_ids(argument)
    bad.check(column, find_missing(column, argument))
    bad.refuse()
    return ids_of_column(column, argument)


def find_missing(column: pd.Series, argument: str) -> NDArray[np.bool_]:
    """Find the ids that are missing or infinite."""
    if column.dtype.kind == "c":
        raise ValueError(
            f"{argument} must be ids. Complex data not supported. Received {column.dtype}."
        )
    missing: NDArray[np.bool_] = column.isna().to_numpy()
    return missing | np.isinf(column.to_numpy()) if column.dtype.kind == "f" else missing


def ids_of_column(column: pd.Series, argument: str) -> Ids:
    """Return a column without missing ids as an array.

    The same id becomes the same value from a column of any dtype:

    - ints and whole floats become int64, and objects from 2**63 on;
    - other floats become float64;
    - strings and tuples stay objects.
    """
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        labels = ids_of_column(pd.Series(dtype.categories), argument)
        return labels[column.cat.codes.to_numpy()]
    if dtype.kind == "i":
        return column.to_numpy(dtype=np.int64)
    if dtype.kind == "u":
        unsigned = column.to_numpy(dtype=np.uint64)
        return narrow_ints(unsigned.tolist()) if (unsigned >> 63).any() else unsigned.astype("q")
    if dtype.kind == "f":
        return _read_floats(column, argument)
    cells = column.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return cells
    ids = [_plain_id(label) for label in cells]
    for row, label in enumerate(ids):
        if label is None:
            # scikit-learn's estimator checks want "argument must be a string, number".
            received = column.iloc[row]
            raise TypeError(
                f"{argument} must be ints, strings, floats below 2**53, or tuples of these: an id "
                f"in this argument must be a string, number or tuple. Received {received!r} of "
                f"type {type(received).__name__} in row {row}. Convert the column first, for "
                "example with astype(str)."
            )
    return _ids_of_labels(ids, argument)


def refuse_two_types(labels: Iterable[Any], argument: str) -> None:
    """Raise if an id occurs as an int and as a string, such as 5 and "5"."""
    labels = list(labels)
    ints = {str(label): label for label in labels if isinstance(label, Integral)}
    for label in labels:
        if isinstance(label, str) and label in ints:
            raise ValueError(
                f"{argument} must have one type. Received {ints[label]!r} and {label!r}, which are "
                "two different ids. Convert the whole column, for example with astype(str)."
            )


def _read_floats(column: pd.Series, argument: str) -> Ids:
    """Return float ids, as int64 if all are whole; refuse those that may be rounded."""
    # From this value on, one float stands for several ints.
    dtype: Any = column.dtype
    limit: int = {2: 2**11, 4: 2**24}.get(dtype.itemsize, 2**53)
    floats: Float64s = column.to_numpy(dtype=np.float64)
    too_large = np.abs(floats) >= limit
    if too_large.any():
        row = int(np.argmax(too_large))
        raise ValueError(
            f"{argument} must be exact: {dtype} rounds whole numbers from {limit} on. Received "
            f"{repr_of_row(floats, row)} in row {row} ({int(too_large.sum())} such rows). Read the "
            "column from its source as int64 or str; a missing value turns ints into floats."
        )
    ints = floats.astype(np.int64)
    return ints if (ints == floats).all() else floats


def _plain_id(label: Any) -> Any:
    """Return an id as an int, float, string or tuple of these; None if it cannot be one."""
    if isinstance(label, tuple):
        parts = [None if isinstance(part, tuple) else _plain_id(part) for part in label]
        return None if None in parts else tuple(parts)
    if isinstance(label, str):
        return str(label)
    if isinstance(label, bool | np.bool_):
        return None
    if isinstance(label, Integral):
        return int(label)
    if isinstance(label, float | np.floating):
        number = float(label)
        if abs(number) < 2**53:
            return int(number) if number.is_integer() else number
    return None


def _ids_of_labels(labels: list[Any], argument: str) -> Ids:
    """Return plain ids as an array of numbers if all are numbers that fit, else of objects."""
    types: set[Any] = {type(label) for label in labels}
    if types == {int}:
        return narrow_ints(labels)
    if types and types <= {int, float}:
        floats: Float64s = np.array([float(label) for label in labels])
        if (np.abs(floats) < 2**53).all():
            return floats
    elif {int, str} <= types:
        refuse_two_types(set(labels), argument)
    return object_array(labels)


def narrow_ints(labels: list[int]) -> Ids:
    """Return ints as int64 if all fit, else as objects."""
    try:
        return np.array(labels, dtype=np.int64)
    except OverflowError:
        return object_array(labels)
