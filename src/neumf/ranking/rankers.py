"""Rankers that several recommenders share, and rankers for queries at request times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.request_times import require_timestamps
from neumf.protocols import Ranker, Recommender, TimedRecommender
from neumf.utils.arrays import Float32s, Float64s, Indices, Scores
from neumf.utils.validation import warn_caller

# The method of :class:`neumf.protocols.ListRanker`.
Rerank = Callable[[Scores, Indices, int], Scores]
# Item vectors of a block of candidates.
_BLOCK_SIZE = 2**15


@dataclass(frozen=True)
class PopularityRanker:
    """Score items by their popularity logits, shape (n_items,), the same for every user."""

    logits: NDArray[np.float64]

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        return np.tile(self.logits, (len(users), 1))

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of the shape of items."""
        return self.logits[items]


@dataclass(frozen=True)
class VectorRanker:
    """Score items by the dot products of user vectors and item vectors."""

    users: Float32s
    items: Float32s

    def user_factors(self, users: Indices) -> Float32s:
        """Return the vectors of users."""
        return self.users[users]

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        scores: Scores = self.users[users] @ self.items.T
        return scores

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return the scores of each user's candidates, shape (n, n_candidates)."""
        scores = np.empty(items.shape, np.float32)
        step = max(1, _BLOCK_SIZE // items.shape[1])
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            vectors = self.users[users[block], :, None]
            scores[block] = (self.items[items[block]] @ vectors)[:, :, 0]
        return scores


@dataclass(frozen=True)
class QueryRanker:
    """Score queries with a ranker of users; `users`, shape (n_queries,), are the queries' users."""

    ranker: Ranker
    users: Indices

    def user_factors(self, users: Indices) -> Float32s:
        """Return the vectors of users, if scores are inner products."""
        ranker: Any = self.ranker
        factors: Float32s = ranker.user_factors(self.users[users])
        return factors

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items); `users` are indices of queries."""
        return self.ranker.score_items(self.users[users])

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of the shape of items; `users` are indices of queries."""
        return self.ranker.score_candidates(self.users[users], items)

    @property
    def rerank(self) -> Rerank | None:
        """The method `rerank` of the ranker; None if it has none."""
        return rerank_of(self.ranker)


def rerank_of(ranker: Ranker) -> Rerank | None:
    """Return the method `rerank` of a :class:`neumf.protocols.ListRanker`, None for others."""
    rerank: Rerank | None = getattr(ranker, "rerank", None)
    return rerank


def rerank(ranker: Ranker, scores: Scores, items: Indices, k: int | None) -> Scores:
    """Return the scores of lists of k items; without `k` or a `ListRanker`, they stay the same."""
    method = rerank_of(ranker)
    return scores if method is None or k is None else method(scores, items, k)


def ranker_at(recommender: Recommender, users: Indices, seconds: Float64s | None) -> Ranker:
    """Return a ranker of queries: one per user (-1: unknown), at a request time if given.

    Recommenders with scores that do not depend on the request time ignore it.
    """
    if seconds is not None:
        require_times_of_fit(recommender)
        if isinstance(recommender, TimedRecommender):
            return recommender.ranker_at(users, seconds)
    return QueryRanker(recommender.ranker_, users)


def require_times_of_fit(recommender: Recommender) -> None:
    """Raise if the recommender was fitted without timestamps, which request times need."""
    timed = getattr(recommender, "has_timestamps_", True) or None
    require_timestamps(timed, "X of fit", "a request time (at=) is given", "leave at out")


def pair_scores(ranker: Ranker, users: Indices, items: Indices) -> Float64s:
    """Score an item for each query; NaN, with a warning, where user or item is unknown (-1)."""
    known = (users >= 0) & (items >= 0)
    if not known.all():
        warn_caller(
            f"{int((~known).sum())} of {len(known)} rows name a user or an item that fit did not "
            "see; their value is NaN."
        )
    scores = np.full(len(users), np.nan)
    scores[known] = ranker.score_candidates(np.flatnonzero(known), items[known, None])[:, 0]
    return scores
