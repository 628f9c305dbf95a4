"""Read request times and durations, and check that tables have the times for them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neumf.interactions.tables import Interactions
from neumf.interactions.timestamps import seconds_of_number
from neumf.saving.checked_values import CheckedValues
from neumf.utils.validation import describe, warn_caller

if TYPE_CHECKING:
    from neumf.interactions.encoded_rows import EncodedRows


def read_request_time(value: Any, argument: str) -> float:
    """Return a request time in seconds, for a datetime since 1970; refuse other values."""
    rule = f"{argument} must be a finite number or a datetime, like the timestamps given to fit"
    if isinstance(value, str | dt.date | np.datetime64):
        try:
            time = pd.Timestamp(value)
        except ValueError as error:
            raise ValueError(f"{rule}. Received: {value!r}.") from error
        seconds = np.nan if pd.isna(time) else time.timestamp()
    elif isinstance(value, Real) and not isinstance(value, bool):
        seconds = seconds_of_number(float(value))
    else:
        raise TypeError(f"{rule}. Received: {describe(value)} of type {type(value).__name__}.")
    if not np.isfinite(seconds):
        raise ValueError(f"{rule}. Received: {value!r}.")
    return seconds


@dataclass(frozen=True)
class Span:
    """A distance between rows, in rows or in time."""

    length: float  # number of rows, or of seconds
    in_time: bool

    @classmethod
    def restore(cls, state: CheckedValues) -> Span:
        """Read a span from a file."""
        return cls(state.number("length", above=0), state.of_type("in_time", bool))


def read_span(value: Any, argument: str) -> Span:
    """Read a parameter that is a number of rows or a duration; refuse other values."""
    rule = (
        f"{argument} must be a number of rows above 0, or a duration above 0 such as "
        "pandas.Timedelta(days=30) or '30D'"
    )
    if isinstance(value, str | dt.timedelta | np.timedelta64):  # a Timedelta is a timedelta
        try:
            duration = pd.Timedelta(value)
            if isinstance(value, str) and value.strip().replace(".", "").isdigit():
                raise ValueError("pandas takes a number without a unit for nanoseconds")
        except ValueError as error:
            raise ValueError(f"{rule}. Received: {value!r}.") from error
        span = Span(duration.total_seconds(), in_time=True)
    elif isinstance(value, Real) and not isinstance(value, bool):
        span = Span(float(value), in_time=False)
    else:
        raise TypeError(f"{rule}. Received: {value!r} of type {type(value).__name__}.")
    if not 0 < span.length < np.inf:  # refuses NaT too, whose seconds are NaN
        raise ValueError(f"{rule}. Received: {value!r}.")
    return span


def require_timestamps(seconds: Any, table: str, reason: str, remedy: str) -> Any:
    """Return the timestamps of a table; raise if it has none."""
    if seconds is None:
        raise ValueError(
            f"{table} must have timestamps because {reason}. Received a table without a column "
            f"'timestamp'. Rename the column of times to 'timestamp', or {remedy}."
        )
    return seconds


def require_times_of_gaps(seconds: Any, table: str) -> None:
    """Raise if a table has no timestamps although `time_gaps` is set."""
    require_timestamps(seconds, table, "time_gaps is set", "fit with time_gaps=None")


def require_order(ordered: bool, table: str, reason: str, remedy: str) -> None:
    """Raise if the rows of a table have no order in time."""
    if not ordered:
        raise ValueError(
            f"{table} must be a table whose rows have an order in time{reason}. Received a sparse "
            f"matrix. Pass {remedy}."
        )


def warn_of_row_order(rows: Interactions | EncodedRows, what: str, instead: str) -> None:
    """Warn that the order of rows is used as their order in time, for lack of timestamps."""
    if rows.ordered and rows.timestamps is None:
        warn_caller(
            f"X has no timestamps, and {what}: the order of its rows is used as their order in "
            "time. If that is right, add a column to the DataFrame: "
            f"X.assign(timestamp=range(len(X))). If not, add the times, or {instead}."
        )


def require_order_of_fit(rows: Interactions | EncodedRows, table: str) -> None:
    """Raise if rows that were given after `fit` have no order in time."""
    remedy = "a table of user and item, each user's oldest row first"
    require_order(rows.ordered, table, ", like X of fit", remedy)


def require_order_of_span(
    rows: Interactions | EncodedRows, span: Span, table: str, parameter: str
) -> None:
    """Raise if rows lack the order or the timestamps that a parameter needs."""
    remedy = "a table of user and item, the oldest row first or with timestamps"
    require_order(rows.ordered, table, f": {parameter} counts the last rows most", remedy)
    name = parameter.partition("=")[0]
    if not span.in_time and table == "X":
        what = f"{parameter} counts the last rows of a user most"
        warn_of_row_order(rows, what, f"set {name}=None")
    if span.in_time:
        reason = f"{parameter} is a duration"
        require_timestamps(rows.timestamps, table, reason, f"give {name} as a number of rows")
