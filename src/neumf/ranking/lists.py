"""The lists that `recommend` returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from neumf.interactions.seen import bar_seen
from neumf.ranking.rankers import PopularityRanker, rerank
from neumf.ranking.requests import Request
from neumf.ranking.top_k import top_lists
from neumf.utils.arrays import Indices, Scores

_COLUMNS = pd.Index(["user", "item", "score", "rank"])


@dataclass(frozen=True)
class ListRules:
    """The items that lists leave out, and those that come first."""

    exclude_seen: bool
    barred: Indices
    pinned: Indices  # each once, in their order


@dataclass(frozen=True)
class CatalogueScores:
    """Score all items for queries: by popularity for unknown users, -inf for barred items."""

    request: Request
    rules: ListRules

    def of_block(self, block: slice, k: int) -> Scores:
        """Return the scores of lists of k items for a block of queries, shape (n, n_items)."""
        request, rules = self.request, self.rules
        queries, users = np.arange(block.start, block.stop), request.users[block]
        known = users >= 0
        if known.all():
            scores = request.ranker.score_items(queries)
        else:
            scores = PopularityRanker(request.popularity_logits).score_items(queries)
            if known.any():
                scores[known] = request.ranker.score_items(queries[known])
        if rules.exclude_seen:
            bar_seen(scores, request.seen, users)
        if len(rules.barred):
            scores[:, rules.barred] = -np.inf
        return rerank(request.ranker, scores, np.arange(scores.shape[1]), k)


def best_items(request: Request, catalogue: pd.Index, k: int, rules: ListRules) -> pd.DataFrame:
    """Return a table with the ids of the k best items of each user."""
    scores, sizes = CatalogueScores(request, rules), (len(request.ids), len(catalogue))
    rows, items, values, ranks = top_lists(
        *sizes, k, lambda block: scores.of_block(block, k), rules.pinned
    )
    columns = {0: request.ids[rows], 1: catalogue.to_numpy()[items], 2: values, 3: ranks}
    lists = pd.DataFrame(columns, copy=False)
    # An index as names is fast; a list would take longer than the columns themselves.
    lists.columns = _COLUMNS.copy()
    return lists
