"""The users or items that are most similar to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

    `score` takes n indices and returns a new array of similarities, shape (n, len(vocabulary));
    those of -inf are left out. The columns are user, similar_user, score, rank (or item, ...).
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
    """Rank by the cosine of vectors, one for each id of the vocabulary; see `most_similar`."""
    units = unit_vectors(vectors)

    def score(indices: Indices) -> Scores:
        cosines: Scores = units[indices] @ units.T
        return cosines

    return most_similar(side, ids, vocabulary, k, score)


def unit_vectors(vectors: NDArray[Any]) -> NDArray[Any]:
    """Divide each vector, a row, by its length; vectors of length 0 stay 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[Any] = vectors / np.maximum(lengths, 1e-12)
    return units
