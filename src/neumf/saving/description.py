"""Convert a recommender to values of a file, and the attributes that all have back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from neumf.saving.checked_values import CheckedValues


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


def state_of_rows(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that every fitted recommender has, as values of a file."""
    names = "users_ items_ seen_ popularity_ popularity_logits_ has_timestamps_ n_features_in_"
    columns = list(attributes.get("feature_names_in_", ()))
    return {name: attributes[name] for name in names.split()} | {"feature_names_in_": columns}


def read_fitted_rows(state: CheckedValues) -> dict[str, Any]:
    """Read and check these attributes: the file may be hostile."""
    users, items = state.ids("users_"), state.ids("items_")
    columns = state.strings("feature_names_in_")
    named = {"feature_names_in_": np.array(columns, dtype=object)} if columns else {}
    return named | {
        "users_": users,
        "items_": items,
        "seen_": state.sparse("seen_", (len(users), len(items)), np.bool_),
        "popularity_": state.indices("popularity_", (len(items),), 2**63 - 1),
        "popularity_logits_": state.floats("popularity_logits_", (len(items),)),
        "has_timestamps_": state.of_type("has_timestamps_", bool),
        "n_features_in_": state.integer("n_features_in_", 1),
    }
