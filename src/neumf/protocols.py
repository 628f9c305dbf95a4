"""The attributes and methods that a recommender and its ranker must have.

Any class with them can be evaluated and compared. :class:`neumf.base.BaseRecommender` provides all
of them except the ranker.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.utils.arrays import Float64s, Indices, Scores

__all__ = ["ListRanker", "Ranker", "Recommender", "TimedRecommender"]


class Ranker(Protocol):
    """Scores items for users, by their indices.

    .. versionadded:: 0.1

    Higher is better. Scores are finite; only their order within a user counts, except in a
    :class:`neumf.VotingRecommender`. The methods are called from several threads at once.
    """

    def score_items(self, users: Indices) -> Scores:
        """Score the whole catalogue for known users.

        Returns a new array of shape (len(users), n_items): the caller may write to it.
        """

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Score some items for each known user.

        `items` has shape (len(users), n_candidates). Returns a new array of the same shape, with
        the values of `score_items`.
        """


class ListRanker(Ranker, Protocol):
    """A ranker that chooses the items of a list together.

    .. versionadded:: 0.1
    """

    def rerank(self, scores: Scores, items: Indices, k: int) -> Scores:
        """Return scores whose k highest are the list of k items.

        `scores` has a row for each list, with -inf for items that must stay out, such as seen
        ones. They keep -inf. `items` holds the index of each score's item, in an array that can be
        broadcast to the shape of `scores`.
        """


@runtime_checkable
class Recommender(Protocol):
    """A fitted recommender, as the scorers, `evaluate` and `compare` use it.

    .. versionadded:: 0.1

    To use their parameter ``interactions``, it also needs a method
    ``with_interactions(interactions)``, which returns a recommender that knows these rows too.

    Attributes
    ----------
    users_, items_, seen_, popularity_
        See :class:`neumf.base.BaseRecommender`.
    ranker_ : Ranker
        Scores the items.
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]

    @property
    def ranker_(self) -> Ranker:
        """The ranker that scores the items."""


@runtime_checkable
class TimedRecommender(Recommender, Protocol):
    """A recommender whose scores may depend on the request time.

    .. versionadded:: 0.1
    """

    def ranker_at(self, users: Indices, seconds: Float64s) -> Ranker:
        """Return a ranker of queries. A query is a pair of user and request time.

        `users` holds the user's index for each query; -1 is an unknown user, whose query is never
        scored. `seconds` holds the request times, in seconds like the timestamps of `fit`. The
        methods of the ranker get indices of queries instead of indices of users. Their scores must
        ignore rows at the request time or later.
        """
