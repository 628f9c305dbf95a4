"""Check parameters, and raise errors that say what to do."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# Warnings skip the frames of both packages: scikit-learn wraps methods such as `fit`.
_PACKAGES = tuple(
    str(Path(path).parent) + os.sep for path in (Path(__file__).parent, sklearn.__file__)
)


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points to the line of the user's code, outside the library."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGES):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def describe(value: Any) -> str:
    """Return the repr of a value if it is short, else the type and shape of the value."""
    shape, kind = getattr(value, "shape", ()), type(value).__name__
    if isinstance(shape, tuple) and shape:
        return f"{kind} of shape {shape}"
    text = repr(value)
    return text if len(text) <= 100 and "\n" not in text else kind


def shows_call(
    call: str,
) -> Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result]]:
    """Decorate a function: the error for wrong arguments shows a correct call."""

    def decorate(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        signature = inspect.signature(function)

        @wraps(function)
        def bound(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}: {error}. Call {call}.") from None
            return function(*args, **kwargs)

        return bound

    return decorate


def check_option(name: str, value: Any, options: Sequence[Any]) -> None:
    """Raise a ValueError unless the value is one of the options."""
    if value in options:
        return
    close = difflib.get_close_matches(str(value), [str(option) for option in options], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, options))}. Received: {describe(value)}.{hint}"
    )


def check_int(name: str, value: Any, minimum: int) -> None:
    """Raise unless the value is an int (no bool) of at least the minimum."""
    received = f"{name} must be an int >= {minimum}. Received: {describe(value)}"
    if not isinstance(value, Integral) or isinstance(value, bool):
        text = isinstance(value, str) and value.strip().isdigit()
        hint = f" Leave the quotes out: {name}={value.strip()}." if text else ""
        raise TypeError(f"{received} of type {type(value).__name__}.{hint}")
    if value < minimum:
        raise ValueError(f"{received}.")


def check_n_jobs(n_jobs: Any, what: str) -> None:
    """Raise unless the value is a valid `n_jobs`; `what` names the jobs in the error."""
    rule = f"n_jobs must be None, a number of {what} from 1, or -1 for one per core"
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral) or isinstance(n_jobs, bool):
        raise TypeError(f"{rule}. Received: {describe(n_jobs)} of type {type(n_jobs).__name__}.")
    if n_jobs == 0:
        raise ValueError(f"{rule}. Received: 0.")


def check_bool(name: str, value: Any) -> None:
    """Raise a TypeError unless the value is True or False."""
    if not isinstance(value, bool | np.bool_):
        kind = type(value).__name__
        raise TypeError(
            f"{name} must be True or False. Received: {describe(value)} of type {kind}."
        )


def check_real(name: str, value: Any, *, above: float | None = None, below: float = 1e30) -> None:
    """Raise unless the value is a number above a bound (None: at least 0) and below another."""
    lower = ">= 0" if above is None else f"> {above:g}"
    upper = f" and < {below:g}" if below < 1e30 else ""
    received = f"{name} must be a number {lower}{upper}. Received: {describe(value)}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{received} of type {type(value).__name__}.")
    low_enough = float(value) >= 0 if above is None else float(value) > above
    if not (low_enough and float(value) < below):
        raise ValueError(f"{received}.")


def check_index(name: str, values: Any, X: Any) -> None:
    """Raise if a Series and the DataFrame X have different indices."""
    if not (
        isinstance(values, pd.Series) and isinstance(X, pd.DataFrame) and len(values) == len(X)
    ):
        return
    if not values.index.equals(X.index):
        row = int(np.argmax(values.index != X.index))
        raise ValueError(
            f"{name} must have the index of X, because rows are matched by position. Received "
            f"{values.index[row]!r} in row {row}, where X has {X.index[row]!r}. Pass "
            f"{name}.to_numpy() if the order of the rows is right, or {name}.loc[X.index]."
        )


def check_labels(y: Any, n_rows: int) -> NDArray[np.float32]:
    """Return the labels of rows as float32; raise if one is outside [0, 1]."""
    labels = _check_column("y", y, n_rows)
    if not ((labels >= 0) & (labels <= 1)).all():
        raise ValueError(
            "y must hold a label between 0 and 1 for each row. Received values from "
            f"{labels.min():g} to {labels.max():g}. Binarise or scale ratings, or leave y out: "
            "then every row counts as a positive."
        )
    return labels


def check_weights(sample_weight: Any, n_rows: int) -> NDArray[np.float32]:
    """Return the weights of rows as float32; raise if one is below 0, or if all are 0."""
    weights = _check_column("sample_weight", sample_weight, n_rows)
    if not (weights >= 0).all() or not weights.any():
        raise ValueError(
            "sample_weight must hold numbers >= 0, not all of them zero. Received values from "
            f"{weights.min():g} to {weights.max():g}."
        )
    return weights


def _check_column(name: str, values: Any, n_rows: int) -> NDArray[np.float32]:
    rule = f"{name} must hold finite numbers"
    if np.ma.is_masked(values):
        raise ValueError(f"{rule}. Received a masked value. Fill it first.")
    column = np.asarray(values)
    if column.shape != (n_rows,):
        expected = f"one number per row of X, shape ({n_rows},)"
        raise ValueError(f"{name} must hold {expected}. Received shape {column.shape}.")
    if column.dtype == object:
        column = pd.to_numeric(column, errors="coerce")
    if column.dtype.kind not in "biuf":
        raise ValueError(f"{rule}. Received dtype {column.dtype}.")
    with np.errstate(over="ignore"):
        single = column.astype(np.float32)
    bounded = np.abs(single) < 1e30  # sums of larger ones overflow
    if not bounded.all():
        row = int(np.argmin(bounded))
        raise ValueError(f"{rule} below 1e30. Received {np.asarray(values)[row]} in row {row}.")
    return single
