"""Timestamps of any kind as numbers that grow with time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.id_checks import BadRows

_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class TimeColumn:
    """The timestamps of a column that may come in parts."""

    def __init__(self, argument: str) -> None:
        self.ticks_per_second = 1
        self._argument = argument
        self._parts: list[NDArray[Any]] = []
        self._bad = BadRows(
            f"{argument}: timestamps must be finite numbers or datetimes",
            "Drop the rows, fill them, or convert the column with pandas.to_datetime.",
        )

    def append(self, column: pd.Series) -> None:
        """Take the next part."""
        if len(column) == 0:  # its type may be any
            return
        column = column.infer_objects()
        ticks = 1
        if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
            # In the column's own unit: years after 2262 do not fit nanoseconds.
            times = pd.DatetimeIndex(column)
            numbers, ticks = times.asi8, _TICKS_PER_SECOND[times.unit]
        else:
            numbers = _numbers(column)
        self._bad.check(column, column.isna().to_numpy() | ~np.isfinite(numbers))
        if self._parts and ticks != self.ticks_per_second:
            raise ValueError(
                f"{self._argument}: timestamps must have one unit in all parts of the table. "
                f"Received {ticks} a second behind {self.ticks_per_second}. Convert the column, "
                "for example with X.assign(timestamp=X['timestamp'].astype('datetime64[ns]'))."
            )
        self.ticks_per_second = ticks
        self._parts.append(numbers)

    def finish(self) -> NDArray[Any]:
        """Return all timestamps; refuse what has no place in time."""
        self._bad.refuse()
        return join_parts(self._parts) if self._parts else np.empty(0)


def _numbers(column: pd.Series) -> NDArray[Any]:
    """Return a column as numbers, NaN where it holds none."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy()
    if numbers.dtype.kind == "c":
        return np.full(len(column), np.nan)
    return numbers if numbers.dtype.kind in "iuf" else numbers.astype(np.float64)


def join_parts(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays, and free each of them."""
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    parts.clear()
    return joined
