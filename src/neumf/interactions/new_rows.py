"""Interactions that came after `fit`, matched with the users and items of a recommender."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import time_order
from neumf.interactions.user_items import UserItems
from neumf.interactions.vocabulary import IndexedIds, index_ids, indices_of, kind_of_ids, lookup_ids
from neumf.utils.arrays import Codes, Ids, repr_of_row
from neumf.utils.validation import warn_caller


@dataclass(frozen=True)
class NewRows:
    """New interactions of some users, by index.

    Attributes
    ----------
    user_ids : Index of shape (n_users,)
        The users who are known after these rows, by their new index.
    codes : ndarray of shape (n_users,)
        The index that each of them had before, -1 for new ones.
    new : UserItems
        The items of these rows, of users by their new index.
    """

    user_ids: pd.Index
    codes: Codes
    new: UserItems


def match_new_rows(new: Interactions, ids: Ids, users: pd.Index, items: pd.Index) -> NewRows:
    """Find the rows of the users asked for, `ids`, among new interactions.

    `users` and `items` are those of `fit`. Who is neither among them nor in a row with a known item
    is left out, and so are rows of items that `fit` did not see, with a warning.

    Raises
    ------
    ValueError
        If no row is of a user asked for, or has a known item, because strings meet numbers.
    """
    item_codes = lookup_ids(new.items, items, "interactions: item ids")
    if (item_codes < 0).any():
        warn_caller(
            f"{int((item_codes < 0).sum())} of {len(item_codes)} rows of interactions have an item "
            "that fit did not see; they are skipped."
        )
    user_ids = index_ids(ids)[1]
    user_codes = indices_of(new.users, user_ids)
    _refuse_other_kind(user_codes, new.users, user_ids)
    order = time_order(user_codes, new.timestamps)
    order = order[(user_codes[order] >= 0) & (item_codes[order] >= 0)]
    codes = indices_of(user_ids.to_numpy(), users)
    if len(user_codes) and (user_codes < 0).all() and (codes < 0).any():
        warn_caller(
            f"None of the {len(user_codes)} rows of interactions is of a user asked for, such as "
            f"{repr_of_row(user_ids, 0)}. Behind the steps of a pipeline, pass "
            "pipeline[:-1].transform(interactions)."
        )
    told = codes >= 0
    told[user_codes[order]] = True
    # The users that stay unknown leave the index, and the others move up.
    moved_up = np.cumsum(told) - 1
    seconds = None if new.seconds is None else new.seconds[order]
    rows = UserItems.of_sorted_rows(
        moved_up[user_codes[order]], item_codes[order], seconds, int(told.sum())
    )
    return NewRows(user_ids[told], codes[told], rows)


def _refuse_other_kind(codes: Codes, ids: Ids | IndexedIds, asked: pd.Index) -> None:
    """Raise if interactions name none of the users asked for because strings meet numbers."""
    kinds = kind_of_ids(ids), kind_of_ids(asked)
    if (codes < 0).all() and None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            "interactions: user ids must be of the kind of the users asked for, "
            f"{kinds[1]} such as {repr_of_row(asked, 0)}. Received {kinds[0]} such as "
            f"{repr_of_row(ids, 0)}. Convert them, for example with astype; behind the "
            "steps of a pipeline, pass pipeline[:-1].transform(interactions)."
        )
