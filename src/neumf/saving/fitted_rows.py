"""Convert the attributes of every fitted recommender to values of a file, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from neumf.saving.checked_values import CheckedValues


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
