"""Change the users whom a recommender knows: add their later rows, or forget them."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.columns import read_ids
from neumf.interactions.new_rows import NewRows, match_new_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.vocabulary import lookup_ids
from neumf.utils.arrays import Ids, Indices, repr_of_row
from neumf.utils.validation import warn_caller


def for_users(recommender: Any, ids: Ids, new: Interactions | None) -> Any:
    """Return a copy for these users alone, with new rows; the recommender itself without them."""
    if new is None:
        return recommender
    known = recommender.users_, recommender.items_, recommender.seen_
    return after_rows(recommender, match_new_rows(new, ids, *known))


def after_rows(recommender: Any, rows: NewRows) -> Any:
    """Return a copy for the users in `rows` alone, with the new rows added."""
    known, changed = copy(recommender), recommender._with_interactions(rows)
    items = recommender.user_items_
    if items is not None:
        items = items.take(rows.indices).followed_by(rows.new)
    of_rows = {"users_": rows.user_ids, "seen_": rows.seen, "user_items_": items}
    known._commit(of_rows | changed)
    return known


def attributes_of_users(recommender: Any, kept: Indices) -> dict[str, Any]:
    """Return the fitted attributes that hold values of users, for these users alone."""
    of_class: dict[str, Any] = recommender._take_users(kept)
    items = recommender.user_items_
    of_rows = {"users_": recommender.users_.take(kept), "seen_": recommender.seen_[kept]}
    of_rows["user_items_"] = None if items is None else items.take(kept)
    return of_rows | of_class


def take_users(recommender: Any, kept: Indices) -> Any:
    """Return a copy for these users alone."""
    known = copy(recommender)
    known._commit(attributes_of_users(recommender, kept))
    return known


def kept_users(users: Any, known: pd.Index) -> Indices:
    """Return the indices of all known users except `users`; warn of unknown ids."""
    ids = read_ids(users, "users", known)
    indices = lookup_ids(ids, known, "users")
    unknown = ids[indices < 0]
    if len(unknown):
        warn_caller(
            f"users: the recommender does not know {len(unknown)} of {len(ids)} users to forget, "
            f"such as {repr_of_row(unknown, 0)}. Check their ids."
        )
    kept = np.delete(np.arange(len(known)), indices[indices >= 0])
    if len(kept) == 0:
        raise ValueError(
            f"users must leave at least one user. Received all {len(known)} users of the "
            "recommender. Delete the recommender and its files instead."
        )
    return kept
