"""Recommenders that a network has to beat."""

from __future__ import annotations

from typing import Any, Self

from ._base import BaseRecommender, PopularityRanker

__all__ = ["PopularityRecommender"]


class PopularityRecommender(BaseRecommender):
    """Recommend the items that most users interacted with.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index.
    seen_ : csr_array of shape (n_users, n_items)
        The items that each user has seen.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.

    See Also
    --------
    NeuMFRecommender : What should do better.

    Notes
    -----
    `predict` estimates the probability that a user interacts with an item by Laplace's rule,
    ``(popularity + 1) / (n_users + 2)``, whoever the user is.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> X = [["a", "x"], ["b", "x"], ["b", "y"], ["c", "z"], ["d", "z"], ["d", "x"]]
    >>> PopularityRecommender().fit(X).recommend(["a", "c"], k=1)[["user", "item", "rank"]]
      user item  rank
    0    a    z     1
    1    c    x     1
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Count the users of each item.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Checked but not used: each user counts once per item.

        Returns
        -------
        self : PopularityRecommender
            The fitted recommender.

        Raises
        ------
        ValueError
            If X, y or sample_weight cannot be read.
        """
        self._keep_rows(X, self._read_rows(X, y, sample_weight))
        return self

    @property
    def _ranker(self) -> PopularityRanker:
        return self._popularity_ranker()
