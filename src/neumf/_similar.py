"""The users or items whose vectors point in the most similar direction."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from neumf._arrays import Float32s
from neumf._ranking import top_lists
from neumf._validation import check_int
from neumf.interactions.ids import lookup_ids, read_ids, show


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
        return _find_similar("item", items, self.items_, self._vectors("items"), k)

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
        return _find_similar("user", users, self.users_, self._vectors("users"), k)


def _find_similar(
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
