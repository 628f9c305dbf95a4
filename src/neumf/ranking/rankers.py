"""Rankers that several recommenders share, and rankers of queries at a request time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neumf.protocols import Ranker, Recommender, TimedRecommender
from neumf.utils.arrays import Codes, Float64s, Scores


@dataclass(frozen=True)
class PopularityRanker:
    """Score items by the logit of their popularity, shape (n_items,), equally for every user."""

    logits: NDArray[np.float64]

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        return np.tile(self.logits, (len(users), 1))

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of the shape of items."""
        return self.logits[items]


@dataclass(frozen=True)
class QueryRanker:
    """Score queries by their users, shape (n_queries,), with a ranker of users."""

    ranker: Ranker
    users: Codes

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items); `users` are indices of queries."""
        return self.ranker.score_items(self.users[users])

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of the shape of items; `users` are indices of queries."""
        return self.ranker.score_candidates(self.users[users], items)


def ranker_at(recommender: Recommender, users: Codes, seconds: Float64s) -> Ranker:
    """Return a ranker of queries: each a user (-1: unknown) and a request time in seconds.

    Recommenders whose scores do not depend on the request time ignore it.
    """
    if isinstance(recommender, TimedRecommender):
        return recommender.ranker_at(users, seconds)
    return QueryRanker(recommender.ranker_, users)


def refuse_untimed(recommender: Recommender) -> None:
    """Raise if the recommender was fitted without timestamps, so that no request time applies."""
    if not getattr(recommender, "has_timestamps_", True):
        raise ValueError(
            "at needs a recommender that was fitted to rows with timestamps. Received one that was "
            "not. Fit it to a table with a column 'timestamp', or leave `at` out."
        )
