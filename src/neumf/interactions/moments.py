"""Moments in time that a user of the library names."""

from __future__ import annotations

import datetime as dt
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from neumf._arrays import Float64s
from neumf.interactions.tables import Interactions


def read_moment(value: Any, argument: str) -> float:
    """Return a moment in seconds, of a datetime those since 1970; a number counts as seconds.

    Raises
    ------
    ValueError, TypeError
        If the value is no finite number and no datetime.
    """
    rule = f"{argument} must be a finite number or a datetime, as the timestamps of fit are"
    if isinstance(value, str | dt.date | np.datetime64):
        try:
            moment = pd.Timestamp(value)
        except ValueError as error:
            raise ValueError(f"{rule}. Received: {value!r}.") from error
        if pd.isna(moment):
            raise ValueError(f"{rule}. Received: {value!r}.")
        return moment.timestamp()
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{rule}. Received: {value!r} of type {type(value).__name__}.")
    if not np.isfinite(float(value)):
        raise ValueError(f"{rule}. Received: {value!r}.")
    return float(value)


def moments_of_rows(rows: Interactions) -> Float64s:
    """Return the moment of each row of X in seconds, for ``at="row"``.

    Raises
    ------
    ValueError
        If the rows have no timestamps.
    """
    if rows.seconds is None:
        raise ValueError(
            "at='row' asks for each row of X at its own time, so X must be a table with a column "
            "'timestamp'. Received none of that name. Add or rename it, or leave `at` out."
        )
    return rows.seconds
