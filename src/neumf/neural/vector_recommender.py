"""The base of recommenders that have a vector for each user and each item."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from neumf.base import BaseRecommender
from neumf.ranking.requests import read_request
from neumf.ranking.similar import most_similar_vectors
from neumf.utils.arrays import Float32s, as_index

# In tables of vectors, the last dimension ranks items by popularity, for unknown users. A small
# factor keeps the products of two items almost free of it, since an index for search may link items
# by them. A power of two rounds nothing.
_POPULARITY_FACTOR = 2.0**-10


class VectorRecommender(BaseRecommender):
    """Base of recommenders that compare users, and items, by their vectors."""

    @abstractmethod
    def _vectors(self) -> tuple[Float32s, Float32s]:
        """Return the vectors of users and of items, without biases."""

    @abstractmethod
    def _item_factors(self) -> Float32s:
        """Return item vectors whose products with the `user_factors` of rankers are logits."""

    def _require_product(self) -> None:
        """Raise if logits are not inner products of vectors."""

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items with the most similar vectors.

        Parameters
        ----------
        items : id or array-like of ids
            Items of the catalogue.
        k : int, default=10
            Number of similar items per item.

        Returns
        -------
        similar : DataFrame with columns item, similar_item, score, rank
            The score is the cosine of the angle between the items' vectors.

        Raises
        ------
        ValueError, TypeError
            If an item is unknown, or `k` is not an int of at least 1.
        """
        check_is_fitted(self)
        return most_similar_vectors("item", items, self.items_, k, self._vectors()[1])

    def similar_users(self, users: Any, k: int = 10) -> pd.DataFrame:
        """Return the users with the most similar vectors.

        Parameters
        ----------
        users : id or array-like of ids
            Users in `users_`.
        k : int, default=10
            Number of similar users per user.

        Returns
        -------
        similar : DataFrame with columns user, similar_user, score, rank
            The score is the cosine of the angle between the users' vectors.

        Raises
        ------
        ValueError, TypeError
            If a user is unknown, or `k` is not an int of at least 1.
        """
        check_is_fitted(self)
        return most_similar_vectors("user", users, self.users_, k, self._vectors()[0])

    def item_vectors(self) -> pd.DataFrame:
        """Return the vectors of items, for approximate search and vector stores.

        .. versionadded:: 0.1

        Returns
        -------
        vectors : DataFrame of float32 of shape (n_items, n_dimensions)
            One row per item of `items_`, which is the index, and the columns v0, v1 and so on.
            The inner product with a row of `user_vectors` is the logit of `decision_function`,
            up to rounding.

        Raises
        ------
        ValueError
            If the recommender has an MLP or added scores: `NeuMFRecommender` needs
            ``architecture="gmf"``, and `NextItemRecommender` ``add_simple_methods=False``.

        Examples
        --------
        >>> import numpy as np
        >>> from neumf import ALSRecommender
        >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3]]
        >>> model = ALSRecommender(n_factors=4, recency=0, random_state=0).fit(X)
        >>> logits = model.user_vectors("c") @ model.item_vectors().T
        >>> bool(np.allclose(logits.loc["c", 2], model.decision_function([["c", 2]]), atol=1e-5))
        True
        """
        check_is_fitted(self)
        self._require_product()
        popularity = (self.popularity_logits_ * _POPULARITY_FACTOR).astype(np.float32)
        vectors = np.column_stack([self._item_factors(), popularity])
        return _table(vectors, self.items_.rename("item"))

    def user_vectors(
        self, users: Any = None, *, interactions: Any = None, at: Any = None
    ) -> pd.DataFrame:
        """Return the vectors of users, for approximate search and vector stores.

        .. versionadded:: 0.1

        Parameters
        ----------
        users, interactions, at
            See `recommend`, also for errors and warnings.

        Returns
        -------
        vectors : DataFrame of float32 of shape (n_users, n_dimensions)
            One row per user, in the given order, with the ids as index. The columns are named as in
            `item_vectors`. An unknown user gets the vector whose inner products are the
            `popularity_logits_` of the items, also with `at`.

        Raises
        ------
        ValueError
            See `item_vectors`.
        """
        check_is_fitted(self)
        self._require_product()
        request = read_request(self, users, interactions, at)
        ranker: Any = request.ranker
        known = request.users >= 0
        of_known = ranker.user_factors(np.flatnonzero(known))
        vectors = np.zeros((len(known), of_known.shape[1] + 1), np.float32)
        vectors[known, :-1] = of_known
        vectors[~known, -1] = 1 / _POPULARITY_FACTOR
        return _table(vectors, as_index(request.ids).rename("user"))


def _table(vectors: Float32s, ids: pd.Index) -> pd.DataFrame:
    columns = [f"v{number}" for number in range(vectors.shape[1])]
    return pd.DataFrame(vectors, index=ids, columns=columns, copy=False)
