"""Refuse ids that are missing, infinite or not hashable, and name the row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.utils.arrays import Ids, repr_of_row


@dataclass
class BadRows:
    """The rows of a column that cannot be read, found part by part."""

    rule: str  # what the rows must be
    advice: str
    n_rows: int = 0  # how many were checked
    n_bad: int = 0
    first: str = ""  # the first bad one, as the error shows it

    def check(self, column: pd.Series, bad: NDArray[np.bool_]) -> None:
        """Count the bad rows of the next part."""
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
    """Return a count of missing ids; none is found yet."""
    rule = f"{argument} must not be missing or infinite (NaN, None, inf)"
    return BadRows(rule, "Drop them, for example with dropna.")


def check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = missing_ids(argument)
    bad.check(column, find_missing(column, argument))
    bad.refuse()
    return ids_of_column(column, argument)


def find_missing(column: pd.Series, argument: str) -> NDArray[np.bool_]:
    """Tell which ids are missing or infinite."""
    if column.dtype.kind == "c":
        raise ValueError(
            f"{argument} must be ids. Complex data not supported. Received {column.dtype}."
        )
    missing: NDArray[np.bool_] = column.isna().to_numpy()
    return missing | np.isinf(column.to_numpy()) if column.dtype.kind == "f" else missing


def ids_of_column(column: pd.Series, argument: str) -> Ids:
    """Return a column without missing ids as an array; refuse ids that are not hashable."""
    ids = column.to_numpy()
    # pandas has no index of these types.
    if ids.dtype.kind == "S":
        ids = ids.astype(object)
    elif ids.dtype == np.float16:
        ids = ids.astype(np.float32)
    for row, label in enumerate(ids if ids.dtype == object else ()):
        try:
            hash(label)
        except TypeError as error:
            raise TypeError(
                f"{argument} must be hashable: an id in this argument must be a string, number or "
                f"tuple. Received {label!r} of type {type(label).__name__} in row {row}. Turn it "
                "into one of these."
            ) from error
    return ids
