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

from neumf.utils.arrays import Codes, Float64s, Scores

__all__ = ["Ranker", "Recommender", "TimedRecommender"]


class Ranker(Protocol):
    """Scores items for users, by their indices.

    .. versionadded:: 0.1

    Higher is better. Scores are finite; only their order within a user counts, except in a
    :class:`neumf.VotingRecommender`, which adds up their z-scores. The methods are called from
    several threads at once, each with users of its own.
    """

    def score_items(self, users: Codes) -> Scores:
        """Score the whole catalogue.

        Parameters
        ----------
        users : ndarray of shape (n,)
            Indices of known users.

        Returns
        -------
        scores : ndarray of shape (n, n_items)
            A new array: the caller may write to it.
        """

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Score some items for each user.

        Parameters
        ----------
        users : ndarray of shape (n,)
            Indices of known users.
        items : ndarray of shape (n, n_candidates)
            Indices of items, those of each user in a row.

        Returns
        -------
        scores : ndarray of shape (n, n_candidates)
            A new array, with the same values as `score_items` returns.
        """


@runtime_checkable
class Recommender(Protocol):
    """A fitted recommender, as the scorers, `evaluate` and `compare` know it.

    .. versionadded:: 0.1

    Their ``interactions=`` also needs a method ``with_interactions(interactions)`` that returns a
    recommender which knows these rows too.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index.
    seen_ : csr_array of bool of shape (n_users, n_items)
        The items that each user has seen. They are left out of the candidates.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    ranker_ : Ranker
        What gives the scores.
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]

    @property
    def ranker_(self) -> Ranker:
        """What gives the scores."""


@runtime_checkable
class TimedRecommender(Recommender, Protocol):
    """A recommender whose scores may depend on the request time.

    .. versionadded:: 0.1
    """

    def ranker_at(self, users: Codes, seconds: Float64s) -> Ranker:
        """Return a ranker of queries: each a user and a request time.

        Parameters
        ----------
        users : ndarray of shape (n_queries,)
            Indices of users; -1 is an unknown one, whose query is never scored.
        seconds : ndarray of shape (n_queries,)
            The request time of each query, as the timestamps of `fit` in seconds. The ranker must
            ignore what happened at it or later.

        Returns
        -------
        ranker : Ranker
            Takes indices of queries in place of indices of users.
        """
