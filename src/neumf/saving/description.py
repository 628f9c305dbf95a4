"""Convert a recommender to plain values, for a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator


def describe(
    recommender: Any, unsaved: tuple[str, ...], state: dict[str, Any] | None
) -> dict[str, Any]:
    """Return class, parameters (None for `unsaved` ones) and, if given, the fitted state."""
    cls = type(recommender)
    if not cls.__module__.startswith("neumf.recommenders."):
        raise TypeError(
            f"{cls.__name__} cannot be saved: load makes only the recommenders of neumf. Pickle it,"
            " for example with joblib.dump. Load pickles only from authors whom you trust."
        )
    parameters = {
        name: None if name in unsaved else _plain_parameter(value)
        for name, value in recommender.get_params(deep=False).items()
    }
    parts = {"class": cls.__name__, "parameters": parameters}
    return parts if state is None else parts | {"state": state}


def _plain_parameter(value: Any) -> Any:
    """Return a parameter as a value of a file."""
    if isinstance(value, FrozenEstimator):
        value = value.estimator
    if hasattr(value, "_description"):  # a recommender
        return value._description()
    if isinstance(value, dt.timedelta | np.timedelta64):
        return str(pd.Timedelta(value))  # `half_life` and `decay` accept this text
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return None
    if type(value) in (list, tuple):
        return type(value)(map(_plain_parameter, value))
    return value
