"""Read timestamps of any kind as numbers that grow with time, and find their unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.id_checks import BadRows
from neumf.utils.arrays import repr_of_row

_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# From these values on, numbers are milli-, micro- and nanoseconds, not seconds after the year 5100.
_UNITS = ((1e11, "ms"), (1e14, "us"), (1e17, "ns"))
# Formats of dates written as one number, by the number of digits after year and month: 202401,
# 20240131, 202401311530, 20240131153000.
_DATE_DIGITS = {0: "%Y%m", 2: "%Y%m%d", 6: "%Y%m%d%H%M", 8: "%Y%m%d%H%M%S"}
_RULE = "timestamps must be numbers, datetimes or ISO 8601 text"
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_HAS_ZONE = r":\d\d.*(?:[zZ]|[+-]\d\d(?::?\d\d)?)$"
# Rows of an unused column that are checked for times.
_N_LOOKED_AT = 100


class TimeColumn:
    """Collect the timestamps of a column that may come in parts."""

    def __init__(self, argument: str) -> None:
        self.ticks_per_second = 1
        self._argument = argument
        self._parts: list[NDArray[Any]] = []
        self._kind = ""  # the kind of all parts, for an error
        self._bad = BadRows(
            f"{argument}: {_RULE}, none of them missing or infinite",
            "Drop the rows, fill them, or convert the column with pandas.to_datetime.",
        )

    def append(self, column: pd.Series) -> Any:
        """Add the next part, and return it as datetimes or numbers."""
        if len(column) == 0:  # an empty part may have any type
            return np.empty(0)
        part = _Part(column, self._argument, self._bad.n_rows)
        times, kind = part.read()
        numbers = times.asi8 if isinstance(times, pd.DatetimeIndex) else times
        bad = np.asarray(times.isna()) if numbers is not times else ~np.isfinite(times)
        self._bad.check(column, bad)
        if bad.any():
            return times
        if isinstance(times, pd.DatetimeIndex):
            # In the column's own unit: years after 2262 do not fit nanoseconds.
            unit: str = times.unit
        else:
            unit = part.unit_of(numbers)
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
                f"Received {self.ticks_per_second} and then {ticks} ticks per second. Convert the "
                "column, for example with "
                "X.assign(timestamp=X['timestamp'].astype('datetime64[ns]'))."
            )
        self.ticks_per_second, self._kind = ticks, kind
        self._parts.append(numbers)
        return times

    def finish(self) -> NDArray[Any]:
        """Return all timestamps; refuse missing ones."""
        self._bad.refuse()
        return join_parts(self._parts) if self._parts else np.empty(0)


def read_times(column: pd.Series, argument: str) -> pd.DatetimeIndex | NDArray[Any]:
    """Return a column as datetimes, or as numbers of seconds."""
    checked = TimeColumn(argument)
    times = checked.append(column)
    numbers = checked.finish()
    if isinstance(times, pd.DatetimeIndex):
        return times
    seconds: NDArray[Any] = numbers / checked.ticks_per_second
    return seconds.astype(np.int64) if (seconds % 1 == 0).all() else seconds


def seconds_of_number(value: float) -> float:
    """Return a request time in seconds; a large number has a smaller unit, as in a column."""
    return value / _TICKS_PER_SECOND[_units_of(np.array([abs(value)]))[0]]


def join_parts(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays, and free each of them."""
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    parts.clear()
    return joined


def looks_like_times(column: pd.Series) -> str:
    """Describe the times that the first rows of a column seem to hold; "" if none."""
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
        # Between the years 1998 and 2039.
        if (units == units[0]).all() and (seconds >= 9e8).all() and (seconds < 2.2e9).all():
            return "numbers that look like times"
    return ""


@dataclass(frozen=True)
class _Part:
    """Rows of a column of timestamps."""

    column: pd.Series
    argument: str
    first_row: int  # position of the first row in the table

    @property
    def name(self) -> Any:
        """The name of the column, for an error."""
        return "timestamp" if self.column.name is None else self.column.name

    def show(self, row: int) -> str:
        """Return a value and its row, for an error."""
        return f"{repr_of_row(self.column.array, row)} in row {self.first_row + row}"

    def read(self) -> tuple[Any, str]:
        """Return times as datetimes or numbers, with NaN for unreadable ones, and their kind."""
        column = self.column.infer_objects()
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.dtype.categories.dtype)
        dtype: Any = column.dtype
        if dtype.kind == "M":
            return pd.DatetimeIndex(column), _kind_of_datetimes(hasattr(dtype, "tz"))
        if dtype.kind in "iu" and not column.hasnans:
            return column.to_numpy(dtype=getattr(dtype, "numpy_dtype", dtype)), "numbers"
        if dtype.kind in "iuf":
            if dtype.kind == "f" and dtype.itemsize < 8:
                raise ValueError(
                    f"{self.argument}: {_RULE}. Received {dtype}, which rounds seconds since 1970 "
                    "to minutes. Read the column from its source as float64 or int64."
                )
            return column.to_numpy(dtype=np.float64, na_value=np.nan), "numbers"
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind == "string":
            return self._read_texts(column.astype(object))
        if kind in ("date", "datetime", "datetime64"):
            has_zone = column.map(lambda time: getattr(time, "tzinfo", None) is not None)
            self._refuse_mixture(has_zone.to_numpy(dtype=bool))
            zoned = bool(has_zone.any())
            return pd.DatetimeIndex(pd.to_datetime(column, utc=zoned)), _kind_of_datetimes(zoned)
        if kind in ("integer", "floating", "mixed-integer-float", "decimal", "empty"):
            numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
            return numbers, "numbers"
        raise ValueError(
            f"{self.argument}: {_RULE}, all of one kind. Received a column of {kind}: "
            f"{self.show(0)}. Convert it with pandas.to_datetime, or to numbers of seconds."
        )

    def unit_of(self, numbers: NDArray[Any]) -> str:
        """Return the unit of the numbers; refuse mixed units and dates written as numbers."""
        sizes = np.abs(numbers.astype(np.float64))
        low, high = _units_of(np.array([sizes.min(), sizes.max()]))
        if low != high:
            raise ValueError(
                f"{self.argument}: timestamps must have one unit. Received "
                f"{self.show(int(np.argmin(sizes)))}, which looks like {_UNIT_NAMES[low]}, and "
                f"{self.show(int(np.argmax(sizes)))}, which looks like {_UNIT_NAMES[high]}. "
                "Convert all of them to seconds."
            )
        date_format = _format_of_dates(numbers)
        if date_format:
            raise ValueError(
                f"{self.argument}: {_RULE}. Received {self.show(0)}, which looks like a date "
                "written as a number. Convert the column: "
                f"X.assign(timestamp=pd.to_datetime(X[{self.name!r}], format='{date_format}'))."
            )
        return str(low)

    def _read_texts(self, column: pd.Series) -> tuple[Any, str]:
        """Read numbers or ISO 8601 as text."""
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        is_number = ~np.isnan(numbers)
        if is_number.any():
            self._refuse_mixture(is_number)
            return numbers, "numbers"
        has_zone = column.str.contains(_HAS_ZONE, na=False).to_numpy(dtype=bool)
        zoned = bool(has_zone.any())
        times = pd.DatetimeIndex(
            pd.to_datetime(column, format="ISO8601", errors="coerce", utc=zoned)
        )
        unread = column.notna().to_numpy() & np.asarray(times.isna())
        if unread.any():
            raise ValueError(
                f"{self.argument}: {_RULE}. Received {self.show(int(np.argmax(unread)))} "
                f"({int(unread.sum())} such rows). Convert the column with pandas.to_datetime and "
                f"its format, for example X.assign(timestamp=pd.to_datetime(X[{self.name!r}], "
                "format='%m/%d/%Y %I:%M:%S %p'))."
            )
        self._refuse_mixture(has_zone)
        return times, _kind_of_datetimes(zoned)

    def _refuse_mixture(self, of_kind: NDArray[np.bool_]) -> None:
        """Raise if some, but not all, of the rows that are not missing are in a mask."""
        others = ~of_kind & self.column.notna().to_numpy()
        if of_kind.any() and others.any():
            raise ValueError(
                f"{self.argument}: {_RULE}, all of one kind. Received "
                f"{self.show(int(np.argmax(of_kind)))} and {self.show(int(np.argmax(others)))}. "
                "Convert all rows to one kind, for example with pandas.to_datetime(..., utc=True)."
            )


def _kind_of_datetimes(zoned: bool) -> str:
    return f"datetimes {'with' if zoned else 'without'} a time zone"


def _units_of(sizes: NDArray[Any]) -> NDArray[Any]:
    """Return the unit that the size of each number suggests."""
    units = np.full(len(sizes), "s", dtype="<U2")
    for limit, unit in _UNITS:
        units[sizes >= limit] = unit
    return units


def _format_of_dates(numbers: NDArray[Any]) -> str:
    """Return the format of dates written as numbers, such as 20240131, or ""."""
    for n_digits, date_format in _DATE_DIGITS.items():
        place = 10**n_digits
        if not (numbers.min() >= 190001 * place and numbers.max() < 210013 * place):
            continue
        whole = numbers.astype(np.int64)
        months = whole // place % 100
        is_date = (months >= 1) & (months <= 12) & (whole == numbers)
        if n_digits:
            days = whole // (place // 100) % 100
            is_date &= (days >= 1) & (days <= 31)
        if is_date.all():
            return date_format
    return ""
