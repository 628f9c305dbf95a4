"""Scores of candidates from those of the whole catalogue, where a few cost as much as all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neumf.ranking.top_k import blocks
from neumf.utils.arrays import Codes, Scores


def candidates_of_lists(
    score_items: Callable[[Codes], Scores], n_items: int, users: Codes, items: Codes
) -> Scores:
    """Return scores of users, shape (n,), with candidates, shape (n, n_candidates).

    `score_items` scores the whole catalogue of `n_items`.
    """
    # A user in several rows is scored once.
    distinct, places = np.unique(users, return_inverse=True)
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(len(distinct) + 1))
    scores = np.empty(items.shape)
    for block in blocks(len(distinct), n_items):
        rows = order[bounds[block.start] : bounds[block.stop]]
        of_users = score_items(distinct[block])
        scores[rows] = of_users[(places[rows] - block.start)[:, None], items[rows]]
    return scores
