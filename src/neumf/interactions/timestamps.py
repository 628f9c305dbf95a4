"""Timestamps of any kind as numbers that grow with time, and their unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.id_checks import BadRows
from neumf.utils.arrays import repr_of_row

_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Numbers from here on are milli-, micro- and nanoseconds: as seconds they are after the year 5100.
_UNITS = ((1e11, "ms"), (1e14, "us"), (1e17, "ns"))
# How many digits dates have that are written as one number: 20240131, 202401311530, 20240131153000.
_DATE_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_RULE = "timestamps must be numbers, datetimes or ISO 8601 text"
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_HAS_ZONE = r":\d\d.*(?:[zZ]|[+-]\d\d(?::?\d\d)?)$"
# Rows by which unused columns are judged.
_N_LOOKED_AT = 100


class TimeColumn:
    """The timestamps of a column that may come in parts."""

    def __init__(self, argument: str) -> None:
        self.ticks_per_second = 1
        self._argument = argument
        self._parts: list[NDArray[Any]] = []
        self._kind = ""  # what all parts hold, as an error says it
        self._bad = BadRows(
            f"{argument}: {_RULE}, none of them missing or infinite",
            "Drop the rows, fill them, or convert the column with pandas.to_datetime.",
        )

    def append(self, column: pd.Series) -> None:
        """Take the next part."""
        if len(column) == 0:  # its type may be any
            return
        times, kind = _read_times(column, self._argument)
        numbers = times.asi8 if isinstance(times, pd.DatetimeIndex) else times
        bad = np.asarray(times.isna()) if numbers is not times else ~np.isfinite(times)
        self._bad.check(column, bad)
        if bad.any():
            return
        if isinstance(times, pd.DatetimeIndex):
            # In the column's own unit: years after 2262 do not fit nanoseconds.
            unit: str = times.unit
        else:
            unit = _unit_of_numbers(numbers, self._argument)
            kind = f"numbers of {_UNIT_NAMES[unit]}"
        if self._kind and kind != self._kind:
            raise ValueError(
                f"{self._argument}: timestamps must be of one kind in all rows. Received "
                f"{self._kind}, and {kind} after them. Convert all parts of the table with "
                "pandas.to_datetime."
            )
        ticks = _TICKS_PER_SECOND[unit]
        if self._parts and ticks != self.ticks_per_second:
            raise ValueError(
                f"{self._argument}: timestamps must have one unit in all parts of the table. "
                f"Received {ticks} a second behind {self.ticks_per_second}. Convert the column, "
                "for example with X.assign(timestamp=X['timestamp'].astype('datetime64[ns]'))."
            )
        self.ticks_per_second, self._kind = ticks, kind
        self._parts.append(numbers)

    def finish(self) -> NDArray[Any]:
        """Return all timestamps; refuse missing ones."""
        self._bad.refuse()
        return join_parts(self._parts) if self._parts else np.empty(0)


def seconds_of_number(value: float) -> float:
    """Return a request time in seconds: large numbers are read as those of a column are."""
    return value / _TICKS_PER_SECOND[_units_of(np.array([abs(value)]))[0]]


def join_parts(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays, and free each of them."""
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    parts.clear()
    return joined


def looks_like_times(column: pd.Series) -> str:
    """Say what times the first rows of a column seem to hold; "" for none."""
    cells = column.iloc[:_N_LOOKED_AT].dropna()
    kind = pd.api.types.infer_dtype(cells, skipna=True)
    if kind.startswith(("date", "timedelta", "period")) or cells.dtype.kind in "mM":
        return "datetimes" if kind.startswith("date") else f"{kind.removesuffix('64')}s"
    if len(cells) == 0:
        return ""
    if kind == "string":
        texts = cells.astype(str)
        is_date = texts.str.match(r"\d{4}-\d\d-\d\d").all()
        return "dates as text" if is_date else ""
    if kind in ("integer", "floating"):
        numbers = cells.to_numpy(dtype=np.float64)
        units = _units_of(np.abs(numbers))
        seconds = numbers / _TICKS_PER_SECOND[units[0]]
        # From 1998 to 2039.
        if (units == units[0]).all() and (seconds >= 9e8).all() and (seconds < 2.2e9).all():
            return "numbers that look like times"
    return ""


def _read_times(column: pd.Series, argument: str) -> tuple[Any, str]:
    """Return datetimes, or an array of numbers, NaN where there is neither; and their kind."""
    rule = f"{argument}: {_RULE}"
    column = column.infer_objects()
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        column = column.astype(dtype.categories.dtype)
        dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column), "datetimes with a time zone"
    if dtype.kind == "M":
        return pd.DatetimeIndex(column), "datetimes without a time zone"
    if dtype.kind in "iu":
        return column.to_numpy(dtype=None if isinstance(dtype, np.dtype) else np.int64), "numbers"
    if dtype.kind == "f":
        if dtype.itemsize < 8:
            raise ValueError(
                f"{rule}. Received {dtype}, which rounds seconds since 1970 to minutes. Read the "
                "column as float64 or int64 where it comes from."
            )
        return column.to_numpy(dtype=np.float64, na_value=np.nan), "numbers"
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "string":
        return _read_texts(column.astype(object), argument)
    if kind in ("date", "datetime", "datetime64"):
        has_zone = column.map(lambda time: getattr(time, "tzinfo", None) is not None)
        _refuse_mixture(has_zone.to_numpy(dtype=bool) & column.notna().to_numpy(), column, rule)
        times = pd.DatetimeIndex(pd.to_datetime(column, utc=bool(has_zone.any())))
        return times, f"datetimes {'with' if has_zone.any() else 'without'} a time zone"
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "empty"):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        return numbers, "numbers"
    raise ValueError(
        f"{rule}, all of one kind. Received a column of {kind}, {repr_of_row(column.array, 0)} in "
        "row 0. Convert it with pandas.to_datetime, or to numbers of seconds."
    )


def _read_texts(column: pd.Series, argument: str) -> tuple[Any, str]:
    """Read numbers or ISO 8601 as text."""
    rule = f"{argument}: {_RULE}"
    present = column.notna().to_numpy()
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    is_number = ~np.isnan(numbers)
    if is_number.any():
        _refuse_mixture(is_number, column, rule)
        return numbers, "numbers"
    has_zone = column.str.contains(_HAS_ZONE, na=False).to_numpy(dtype=bool)
    times = pd.DatetimeIndex(
        pd.to_datetime(column, format="ISO8601", errors="coerce", utc=bool(has_zone.any()))
    )
    unread = present & np.asarray(times.isna())
    if unread.any():
        row = int(np.argmax(unread))
        raise ValueError(
            f"{rule}. Received {repr_of_row(column.array, row)} in row {row} "
            f"({int(unread.sum())} such rows). Convert the column with pandas.to_datetime and its "
            "format, for example X.assign(timestamp=pd.to_datetime(X['timestamp'], "
            "format='%m/%d/%Y %I:%M:%S %p'))."
        )
    if has_zone.any():
        _refuse_mixture(has_zone | ~present, column, rule)
    return times, f"datetimes {'with' if has_zone.any() else 'without'} a time zone"


def _refuse_mixture(of_kind: NDArray[np.bool_], column: pd.Series, rule: str) -> None:
    """Raise unless all rows that are not missing are of a kind, or none is."""
    others = ~of_kind & column.notna().to_numpy()
    if of_kind.any() and others.any():
        one, other = int(np.argmax(of_kind)), int(np.argmax(others))
        raise ValueError(
            f"{rule}, all of one kind. Received {repr_of_row(column.array, one)} in row {one} and "
            f"{repr_of_row(column.array, other)} in row {other}. Convert all rows to one kind, "
            "for example with pandas.to_datetime(..., utc=True)."
        )


def _units_of(sizes: NDArray[Any]) -> NDArray[Any]:
    """Return the unit that the size of each number suggests."""
    units = np.full(len(sizes), "s", dtype="<U2")
    for limit, unit in _UNITS:
        units[sizes >= limit] = unit
    return units


def _unit_of_numbers(numbers: NDArray[Any], argument: str) -> str:
    """Return the unit of whole columns; refuse mixed units and dates written as numbers."""
    sizes = np.abs(numbers)
    low, high = _units_of(np.array([sizes.min(), sizes.max()], dtype=np.float64))
    if low != high:
        first, last = int(np.argmin(sizes)), int(np.argmax(sizes))
        raise ValueError(
            f"{argument}: timestamps must have one unit. Received {repr_of_row(numbers, first)} in "
            f"row {first}, which looks like {_UNIT_NAMES[low]}, and "
            f"{repr_of_row(numbers, last)} in row {last}, which looks like "
            f"{_UNIT_NAMES[high]}. Convert all of them to seconds."
        )
    _refuse_dates(numbers, argument)
    return str(low)


def _refuse_dates(numbers: NDArray[Any], argument: str) -> None:
    """Raise if all numbers read as dates, such as 20240131."""
    for n_digits, date_format in _DATE_DIGITS.items():
        place = 10 ** (n_digits - 8)
        low, high = 19000101 * place, 21001231 * place + place - 1
        if not (numbers.min() >= low and numbers.max() <= high):
            continue
        days = (numbers // place).astype(np.int64)
        months, dates = days // 100 % 100, days % 100
        if (
            (numbers % 1 == 0).all()
            and ((months >= 1) & (months <= 12)).all()
            and ((dates >= 1) & (dates <= 31)).all()
        ):
            raise ValueError(
                f"{argument}: {_RULE}. Received {repr_of_row(numbers, 0)} in row 0, which looks "
                "like a date written as a number. Convert the column: "
                f"X.assign(timestamp=pd.to_datetime(X['timestamp'], format='{date_format}'))."
            )
