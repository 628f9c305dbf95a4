"""The parameters of a ranking; `candidates` are a part of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from neumf.interactions.columns import read_ids
from neumf.interactions.vocabulary import lookup_ids
from neumf.protocols import Ranker, Recommender
from neumf.ranking.rankers import Rerank, ranker_at, rerank_of
from neumf.utils.arrays import Float64s, Indices, Scores
from neumf.utils.validation import check_bool, check_int, check_option


@dataclass(frozen=True, eq=False)
class RankingTask:
    """Parameters that the scorers, `evaluate` and `compare` share."""

    n_negatives: int | None = None
    random_state: int = 0
    exclude_seen: bool = True
    interactions: Any = None
    at: Literal["row"] | None = None
    candidates: Any = None

    def __post_init__(self) -> None:
        if self.n_negatives is not None:
            check_int("n_negatives", self.n_negatives, 1)
        # Only an int gives every candidate of a search the same negatives.
        check_int("random_state", self.random_state, 0)
        check_bool("exclude_seen", self.exclude_seen)
        check_option("at", self.at, (None, "row"))
        if isinstance(self.candidates, str) and self.candidates != "cold":
            raise ValueError(
                "candidates must be None, 'cold' or a collection of ids. Received: "
                f"{self.candidates!r}. Pass [{self.candidates!r}] if it is the only candidate."
            )

    def __str__(self) -> str:
        """Return the parameters as in a call; after the first two, defaults are left out."""
        shown = f"n_negatives={self.n_negatives}, random_state={self.random_state}"
        shown += "" if self.exclude_seen else ", exclude_seen=False"
        shown += "" if self.interactions is None else ", interactions=..."
        shown += "" if self.at is None else f", at={self.at!r}"
        if self.candidates is None:
            return shown
        is_word = isinstance(self.candidates, str)
        return f"{shown}, candidates={repr(self.candidates) if is_word else '...'}"


def find_candidates(candidates: Any, recommender: Recommender) -> Indices:
    """Return the indices of the candidates that are in the catalogue, in its order."""
    if isinstance(candidates, str):
        return np.flatnonzero(recommender.popularity_ == 0)
    ids = read_ids(candidates, "candidates", recommender.items_)
    items = np.unique(lookup_ids(ids, recommender.items_, "candidates"))
    return items[items >= 0]


class PartOfCatalogue:
    """Part of a recommender: it has only some of the items, given by index."""

    def __init__(self, whole: Recommender, items: Indices) -> None:
        self.whole, self.items = whole, items
        self.users_ = whole.users_
        self.items_ = whole.items_[items]
        self.seen_ = sp.csr_array(whole.seen_[:, items])
        self.popularity_ = whole.popularity_[items]

    @property
    def ranker_(self) -> PartRanker:
        """The ranker of these items."""
        return PartRanker(self.whole.ranker_, self.items)

    def ranker_at(self, users: Indices, seconds: Float64s) -> PartRanker:
        """Return a ranker of queries: each a user and a request time."""
        return PartRanker(ranker_at(self.whole, users, seconds), self.items)


@dataclass(frozen=True)
class PartRanker:
    """Score only some items of a ranker, given by index."""

    ranker: Ranker
    items: Indices

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), len(self.items))."""
        # Scoring the whole catalogue is faster than scoring chosen items of each user.
        return self.ranker.score_items(users)[:, self.items]

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of the shape of items."""
        return self.ranker.score_candidates(users, self.items[items])

    @property
    def rerank(self) -> Rerank | None:
        """The method `rerank` of the ranker, for indices among these items; None if it has none."""
        whole = rerank_of(self.ranker)
        return whole and (lambda scores, items, k: whole(scores, self.items[items], k))
