"""What a fitted recommender keeps of its rows, as attributes and in files."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.seen import count_users
from neumf.saving.checked_values import CheckedValues


def attributes_of_rows(rows: EncodedRows, seen: sp.csr_array) -> dict[str, Any]:
    """Return ids, seen items and popularity, by the names of the attributes."""
    popularity = count_users(seen)
    return {
        "users_": rows.user_ids,
        "items_": rows.item_ids,
        "seen_": seen,
        "popularity_": popularity,
        "popularity_logits_": logit((popularity + 1) / (rows.shape[0] + 2)),  # Laplace's rule
        "has_timestamps_": rows.timestamps is not None,
    }


def attributes_of_columns(X: Any, rows: EncodedRows) -> dict[str, Any]:
    """Return the number and, if all are strings, the names of the columns of X."""
    probe = BaseEstimator()
    validate_data(probe, X if rows.header is None else rows.header, skip_check_array=True)
    return dict(vars(probe))


def state_of_rows(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return those of a recommender's attributes that come from its rows, as a file holds them."""
    names = "users_ items_ seen_ popularity_ popularity_logits_ has_timestamps_ n_features_in_"
    columns = list(attributes.get("feature_names_in_", ()))
    return {name: attributes[name] for name in names.split()} | {"feature_names_in_": columns}


def read_fitted_rows(state: CheckedValues) -> dict[str, Any]:
    """Return the attributes in a file, each checked: anyone may have written it."""
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
