"""Read a request: its users, their later rows, and the request time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.interactions.columns import read_ids
from neumf.interactions.known_users import after_rows, for_users
from neumf.interactions.new_rows import find_users, read_new, rows_before
from neumf.interactions.request_times import read_request_time
from neumf.interactions.vocabulary import index_ids
from neumf.protocols import Ranker
from neumf.ranking.rankers import QueryRanker, require_times_of_fit
from neumf.utils.arrays import Float64s, Ids, Indices


@dataclass(frozen=True)
class Request:
    """The users of a request, one query each, and the data that scores items for them."""

    ids: Ids  # of the users
    users: Indices  # -1 for unknown users
    seen: sp.csr_array
    ranker: Ranker  # of queries
    popularity_logits: Float64s  # the scores for unknown users


def read_request(recommender: Any, users: Any, interactions: Any, at: Any) -> Request:
    """Read the arguments of `BaseRecommender.recommend`; warn of unknown users and items."""
    new = read_new(interactions)
    if users is None:
        ids = (recommender.users_ if new is None else index_ids(new.users)[1]).to_numpy()
    else:
        ids = read_ids(users, "users", recommender.users_)
    known = for_users(recommender, ids, new)
    indices = find_users(ids, known.users_)
    seconds = None if at is None else np.full(len(indices), read_request_time(at, "at"))
    known, indices, ranker = queries_of(known, indices, seconds)
    popularity_logits = recommender.popularity_logits_
    if seconds is not None and (indices < 0).any():
        popularity_logits = recommender._popularity_logits_at(seconds[0])
    return Request(ids, indices, known.seen_, ranker, popularity_logits)


def queries_of(
    recommender: Any, users: Indices, seconds: Float64s | None
) -> tuple[Any, Indices, Ranker]:
    """Return the recommender, user indices and ranker for queries, one query per user.

    With request times, the recommender knows only the rows before them. The index is -1 for a user
    without such rows.
    """
    if seconds is None:
        return recommender, users, QueryRanker(recommender.ranker_, users)
    require_times_of_fit(recommender)
    past = rows_before(users, seconds, recommender.user_items_, recommender.seen_)
    if past is None:
        return recommender, users, recommender._ranker_at(users, seconds)
    known, queries = after_rows(recommender, past.rows), np.arange(len(users))
    return known, np.where(past.known, queries, -1), known._ranker_at(queries, seconds)
