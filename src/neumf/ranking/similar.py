"""The users or items that are most similar to others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from neumf.interactions.ids import find_ids, read_ids
from neumf.ranking.top_k import top_lists
from neumf.utils.arrays import Codes, Float32s, Scores
from neumf.utils.validation import check_int


class SimilarityMixin:
    """Similar users and items, for recommenders that have a vector for each."""

    users_: pd.Index
    items_: pd.Index

    @abstractmethod
    def _vectors(self, of: Literal["users", "items"]) -> Float32s:
        """Return the vectors, a row per index."""

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items whose vectors point in the most similar direction.

        Parameters
        ----------
        items : id or array-like of ids
            Items that `fit` saw.
        k : int, default=10
            Number of items for each.

        Returns
        -------
        similar : DataFrame with columns item, similar_item, score, rank
            The score is the cosine of the angle between the items' vectors.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see an item, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return find_similar("item", items, self.items_, k, cosines(self._vectors("items")))

    def similar_users(self, users: Any, k: int = 10) -> pd.DataFrame:
        """Return the users whose vectors point in the most similar direction.

        Parameters
        ----------
        users : id or array-like of ids
            Users that `fit` saw.
        k : int, default=10
            Number of users for each.

        Returns
        -------
        similar : DataFrame with columns user, similar_user, score, rank
            The score is the cosine of the angle between the users' vectors.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see a user, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return find_similar("user", users, self.users_, k, cosines(self._vectors("users")))


def find_similar(
    word: str, ids: Any, vocabulary: pd.Index, k: int, score: Callable[[Codes], Scores]
) -> pd.DataFrame:
    """Return, for each of the users or items, the k others with the highest scores.

    Parameters
    ----------
    word : str
        "user" or "item".
    ids : id or array-like of ids
        Whose similar ones are asked for.
    vocabulary : Index
        The ids that `fit` saw.
    k : int
        Number of similar ones.
    score : callable
        Gives, for indices, a new array of the scores of all, shape (n, len(vocabulary)); -inf is
        never returned.
    """
    check_int("k", k, 1)
    ids = read_ids(ids, f"{word}s", vocabulary)
    codes = find_ids(ids, vocabulary, f"{word}s")

    def score_others(block: slice) -> Scores:
        scores = score(codes[block])
        scores[np.arange(len(scores)), codes[block]] = -np.inf
        return scores

    rows, found, scores, ranks = top_lists(len(codes), len(vocabulary), k, score_others)
    return pd.DataFrame(
        {
            word: ids[rows],
            f"similar_{word}": vocabulary.to_numpy()[found],
            "score": scores,
            "rank": ranks,
        }
    )


def unit_vectors(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return vectors of length 1 in the same directions; of 0, there is none."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[Any] = vectors / np.maximum(lengths, 1e-12)
    return units


def cosines(vectors: Float32s) -> Callable[[Codes], Scores]:
    """Return what gives the cosines of some vectors with all."""
    unit = unit_vectors(vectors)

    def score(codes: Codes) -> Scores:
        cosines: Scores = unit[codes] @ unit.T
        return cosines

    return score
