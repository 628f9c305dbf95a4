"""Rankers that several recommenders share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neumf._arrays import Codes, Scores
from neumf.protocols import Ranker


@dataclass(frozen=True)
class PopularityRanker:
    """Ranks items by popularity, the same for every user.

    Attributes
    ----------
    logits : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item.
    """

    logits: NDArray[np.float64]

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        return np.tile(self.logits, (len(users), 1))

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of the shape of items."""
        return self.logits[items]


@dataclass(frozen=True)
class QueryRanker:
    """Scores queries, each of a user, as another ranker scores the users.

    Attributes
    ----------
    ranker : Ranker
        What scores users.
    users : ndarray of shape (n_queries,)
        The index of each query's user.
    """

    ranker: Ranker
    users: Codes

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items); `users` are numbers of queries."""
        return self.ranker.score_items(self.users[users])

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of the shape of items; `users` are numbers of queries."""
        return self.ranker.score_candidates(self.users[users], items)
