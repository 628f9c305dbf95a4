"""The users or items whose vectors point in the most similar direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neumf._arrays import Float32s
from neumf._ranking import top_lists
from neumf._validation import check_int
from neumf.interactions.ids import lookup_ids, read_ids, show


def find_similar(
    word: str, ids: Any, vocabulary: pd.Index, vectors: Float32s, k: int
) -> pd.DataFrame:
    """Return the k nearest rows by cosine, the row itself left out."""
    check_int("k", k, 1)
    ids = read_ids(ids, f"{word}s", vocabulary)
    codes = lookup_ids(ids, vocabulary, f"{word}s")
    if (codes < 0).any():
        unknown = ids[codes < 0]
        raise ValueError(
            f"{word}s must be among those that fit saw. Received {show(unknown, 0)} "
            f"({len(unknown)} unknown)."
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def score(block: slice) -> Float32s:
        cosines: Float32s = unit[codes[block]] @ unit.T
        cosines[np.arange(len(cosines)), codes[block]] = -np.inf
        return cosines

    rows, found, cosines, ranks = top_lists(len(codes), len(vocabulary), k, score)
    return pd.DataFrame(
        {
            word: ids[rows],
            f"similar_{word}": vocabulary.to_numpy()[found],
            "score": cosines,
            "rank": ranks,
        }
    )
