"""The lists that `recommend` returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from neumf.interactions.seen import bar_seen
from neumf.protocols import Ranker
from neumf.ranking.rankers import PopularityRanker, rerank
from neumf.ranking.top_k import top_lists
from neumf.utils.arrays import Float64s, Ids, Indices, Scores

_COLUMNS = pd.Index(["user", "item", "score", "rank"])


@dataclass(frozen=True)
class CatalogueScores:
    """Score all items for queries: by popularity for unknown users, -inf for barred items.

    `users` holds the user of each query, -1 for unknown users. `seen` bars items for their users,
    `barred` bars items for all users.
    """

    ranker: Ranker
    users: Indices
    popularity_logits: Float64s
    seen: sp.csr_array | None
    barred: Indices

    def of_block(self, block: slice, k: int) -> Scores:
        """Return the scores of lists of k items for a block of queries, shape (n, n_items)."""
        queries, users = np.arange(block.start, block.stop), self.users[block]
        known = users >= 0
        if known.all():
            scores = self.ranker.score_items(queries)
        else:
            scores = PopularityRanker(self.popularity_logits).score_items(queries)
            if known.any():
                scores[known] = self.ranker.score_items(queries[known])
        if self.seen is not None:
            bar_seen(scores, self.seen, users)
        if len(self.barred):
            scores[:, self.barred] = -np.inf
        return rerank(self.ranker, scores, np.arange(scores.shape[1]), k)


def best_items(ids: Ids, catalogue: pd.Index, k: int, scores: CatalogueScores) -> pd.DataFrame:
    """Return a table with the ids of the k best items of each user."""
    rows, items, values, ranks = top_lists(
        len(ids), len(catalogue), k, lambda block: scores.of_block(block, k)
    )
    lists = pd.DataFrame(
        {0: ids[rows], 1: catalogue.to_numpy()[items], 2: values, 3: ranks}, copy=False
    )
    # An index as names is fast; a list would take longer than the columns themselves.
    lists.columns = _COLUMNS.copy()
    return lists
