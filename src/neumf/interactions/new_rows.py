"""Interactions that came after `fit`, matched with the users and items of a recommender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.reading import read_input
from neumf.interactions.seen import join_seen, seen_matrix
from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import time_order
from neumf.interactions.user_items import UserItems
from neumf.interactions.vocabulary import (
    IndexedIds,
    describe_other_kind,
    index_ids,
    indices_of,
    kind_of_ids,
    lookup_ids,
)
from neumf.utils.arrays import Float64s, Ids, Indices, repr_of_row
from neumf.utils.validation import warn_caller


@dataclass(frozen=True)
class NewRows:
    """New interactions of some users, by index."""

    user_ids: pd.Index  # ids of the users that `fit` or these rows know, by new index
    indices: Indices  # their index in `fit`, -1 for new users
    new: UserItems  # the items of these rows, by new index
    seen: sp.csr_array  # items seen in `fit` or in these rows, shape (n_users, n_items)
    table: Interactions  # all rows of the table, also of other users


def read_new(interactions: Any) -> Interactions | None:
    """Read the table that is given as `interactions`; None stays None."""
    if interactions is None:
        return None
    return read_input(interactions, "interactions", may_be_empty=True)


def match_new_rows(
    new: Interactions, ids: Ids, users: pd.Index, items: pd.Index, seen: sp.csr_array
) -> NewRows:
    """Find the rows of the requested users, `ids`, among new interactions.

    `users`, `items` and `seen` come from `fit`. Rows with unknown items are left out, with a
    warning. So are unknown users without any other row.
    """
    row_items = lookup_ids(new.items, items, "interactions: item ids")
    if (row_items < 0).any():
        warn_caller(
            f"{int((row_items < 0).sum())} of {len(row_items)} rows of interactions have an item "
            "that fit did not see; they are skipped."
        )
    user_ids = index_ids(ids)[1]
    row_users = indices_of(new.users, user_ids)
    _refuse_other_kind(row_users, new.users, user_ids)
    order = time_order(row_users, new.timestamps)
    order = order[(row_users[order] >= 0) & (row_items[order] >= 0)]
    before = indices_of(user_ids.to_numpy(), users)
    if len(row_users) and (row_users < 0).all() and (before < 0).any():
        warn_caller(
            f"None of the {len(row_users)} rows of interactions belongs to a requested user, such "
            f"as {repr_of_row(user_ids, 0)}. For the last step of a pipeline, pass "
            "pipeline[:-1].transform(interactions)."
        )
    known = before >= 0
    known[row_users[order]] = True
    # The new index has no gaps: it skips users who stay unknown.
    new_users = (np.cumsum(known) - 1)[row_users[order]]
    seconds = None if new.seconds is None else new.seconds[order]
    rows = UserItems.of_sorted_rows(new_users, row_items[order], seconds, int(known.sum()))
    new_seen = seen_matrix(new_users, rows.items, (int(known.sum()), len(items)))
    seen = join_seen(seen, before[known], new_seen)
    return NewRows(user_ids[known], before[known], rows, seen, new)


class PastRows(NamedTuple):
    """Each query as a user of its own, with the rows before its request time."""

    rows: NewRows
    known: NDArray[np.bool_]  # mask of queries with a row before, or a user without later rows


def rows_before(
    users: Indices, seconds: Float64s, user_items: UserItems | None, seen: sp.csr_array
) -> PastRows | None:
    """Give each query the rows of its user before its request time.

    `users` holds the user of each query, -1 if unknown. Users without a row at the request time or
    later keep their fitted values. If no user has such a row, the result is None.
    """
    if user_items is None or user_items.seconds is None:
        return None
    of_queries = user_items.take(users)
    queries, times = of_queries.users, np.asarray(of_queries.seconds)
    n_queries = len(users)
    before = times < seconds[queries]
    is_cut = np.bincount(queries[~before], minlength=n_queries) > 0
    if not is_cut.any():
        return None
    kept = before & is_cut[queries]
    new = UserItems.of_sorted_rows(queries[kept], of_queries.items[kept], times[kept], n_queries)
    indices = np.where(is_cut, -1, users)
    shape = n_queries, seen.shape[1]
    seen = join_seen(seen, indices, seen_matrix(new.users, new.items, shape))
    nobody = np.empty(0, dtype=np.int64)
    rows = NewRows(
        pd.RangeIndex(n_queries), indices, new, seen, Interactions(nobody, nobody, np.empty(0))
    )
    return PastRows(rows, (indices >= 0) | (np.diff(new.bounds) > 0))


def find_users(ids: Ids, users: pd.Index) -> Indices:
    """Return indices of users, -1 for unknown users; warn with the number of these."""
    indices = indices_of(ids, users)
    complaint = describe_other_kind(indices, ids, users, "users")
    if complaint:
        warn_caller(
            f"{complaint} Until then they are unknown users, who get the most popular items."
        )
    elif (indices < 0).any():
        unknown = ids[indices < 0]
        warn_caller(
            f"fit did not see {len(unknown)} of {len(ids)} users, such as "
            f"{repr_of_row(unknown, 0)}; they get the most popular items. To rank for them, pass "
            "their rows as interactions."
        )
    return indices


def _refuse_other_kind(indices: Indices, ids: Ids | IndexedIds, asked: pd.Index) -> None:
    """Raise if user ids are strings in interactions but numbers in the request, or vice versa."""
    kinds = kind_of_ids(ids), kind_of_ids(asked)
    if (indices < 0).all() and None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            "interactions: user ids must be of the kind of the requested users, "
            f"{kinds[1]} such as {repr_of_row(asked, 0)}. Received {kinds[0]} such as "
            f"{repr_of_row(ids, 0)}. Convert them, for example with astype. For the last step of "
            "a pipeline, pass pipeline[:-1].transform(interactions)."
        )
