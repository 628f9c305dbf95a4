"""Rank the users or items that are most similar to given ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from neumf.interactions.columns import read_ids
from neumf.interactions.vocabulary import find_ids
from neumf.ranking.top_k import top_lists
from neumf.utils.arrays import Float32s, Indices, Scores
from neumf.utils.validation import check_int

Side = Literal["user", "item"]


def most_similar(
    side: Side, ids: Any, vocabulary: pd.Index, k: int, score: Callable[[Indices], Scores]
) -> pd.DataFrame:
    """Rank the other users or items of a vocabulary by their similarity to each of `ids`.

    `score` takes n indices and returns a new array of similarities, shape (n, len(vocabulary)).
    Similarities of -inf are left out. The table has the columns user, similar_user, score and rank,
    or item, similar_item, score and rank.
    """
    check_int("k", k, 1)
    ids = read_ids(ids, f"{side}s", vocabulary)
    indices = find_ids(ids, vocabulary, f"{side}s")

    def score_others(block: slice) -> Scores:
        scores = score(indices[block])
        scores[np.arange(len(scores)), indices[block]] = -np.inf
        return scores

    rows, found, scores, ranks = top_lists(len(indices), len(vocabulary), k, score_others)
    return pd.DataFrame(
        {
            side: ids[rows],
            f"similar_{side}": vocabulary.to_numpy()[found],
            "score": scores,
            "rank": ranks,
        }
    )


def most_similar_vectors(
    side: Side, ids: Any, vocabulary: pd.Index, k: int, vectors: Float32s
) -> pd.DataFrame:
    """Rank by cosine similarity; `vectors` has a row per id of the vocabulary."""
    units = normalize(vectors)
    return most_similar(side, ids, vocabulary, k, lambda indices: units[indices] @ units.T)
