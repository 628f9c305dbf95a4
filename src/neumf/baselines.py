"""Recommenders that a network has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import linalg

from neumf._arrays import Codes, Scores
from neumf._rankers import PopularityRanker
from neumf._ranking import blocks
from neumf._validation import check_int, check_real
from neumf.base import BaseRecommender, keep_rows, read_rows

__all__ = ["EASERecommender", "ItemKNNRecommender", "PopularityRecommender"]


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
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
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
        keep_rows(self, X, read_rows(X, y, sample_weight))
        return self

    @property
    def ranker_(self) -> PopularityRanker:
        """What gives the scores: the same for every user."""
        return PopularityRanker(self.popularity_logits_)

    def _fold_in(self, codes: Codes, users: Codes, items: Codes, seen: sp.csr_array) -> None:
        """Do nothing: the scores depend on no user."""


class _ItemWeightsRecommender(BaseRecommender):
    """Base of recommenders that learn what a seen item adds to the score of another one."""

    item_weights_: NDArray[np.float64] | sp.csr_array

    @property
    def ranker_(self) -> ItemWeightsRanker:
        """What gives the scores, from what each user has seen."""
        return ItemWeightsRanker(self.seen_, self.item_weights_)

    def _fold_in(self, codes: Codes, users: Codes, items: Codes, seen: sp.csr_array) -> None:
        """Do nothing: the scores depend on what is seen alone."""


class ItemKNNRecommender(_ItemWeightsRecommender):
    r"""Recommend what is most like the items that the user has seen.

    Parameters
    ----------
    n_neighbors : int, default=100
        An item is judged by its so many most similar ones.
    shrinkage : float, default=0.0
        Added to the denominator of the similarity: mistrusts items that few users have seen.

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
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
    item_weights_ : csr_array of shape (n_items, n_items)
        What a seen item (row) adds to the score of another one (column).
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.

    See Also
    --------
    EASERecommender : Learns the weights.

    Notes
    -----
    The score of item j is the sum, over the user's seen items i that are among the `n_neighbors`
    most similar ones of j, of

    .. math:: \mathrm{sim}_{ij} = \frac{n_{ij}}{\sqrt{n_i n_j} + \mathrm{shrinkage}}

    with :math:`n_i` users of item i and :math:`n_{ij}` users of both: the cosine, shrunk. It is
    what `decision_function` gives. `predict` maps it to between 0 and 1, but is no calibrated
    probability.

    References
    ----------
    Deshpande, Karypis (2004), Item-based top-N recommendation algorithms, ACM TOIS 22(1),
    doi 10.1145/963770.963776.

    Examples
    --------
    >>> from neumf import ItemKNNRecommender
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3], ["f", 3]]
    >>> ItemKNNRecommender().fit(X).recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    """

    def __init__(self, n_neighbors: int = 100, shrinkage: float = 0.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the neighbours of each item.

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
        self : ItemKNNRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or X, y or sample_weight cannot be read.
        """
        check_int("n_neighbors", self.n_neighbors, 1)
        check_real("shrinkage", self.shrinkage)
        rows = read_rows(X, y, sample_weight)
        similar = _users_in_common(rows.seen).tocoo()
        root = np.sqrt(similar.diagonal())
        i, j = similar.row, similar.col
        values = np.where(i == j, 0, similar.data / (root[i] * root[j] + self.shrinkage))
        # For each item j the most similar first; equal ones as in the catalogue.
        order = np.lexsort((i, -values, j))
        starts = np.searchsorted(j[order], np.arange(len(root)))
        rank = np.arange(len(order)) - starts[j[order]]
        kept = order[(rank < self.n_neighbors) & (values[order] > 0)]
        keep_rows(self, X, rows)
        self.item_weights_ = sp.csr_array((values[kept], (i[kept], j[kept])), shape=similar.shape)
        return self


class EASERecommender(_ItemWeightsRecommender):
    r"""Predict each item from the others by a linear model, solved in closed form.

    Parameters
    ----------
    regularization : float, default=500.0
        Weight of the squared L2 norm of the item weights.

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
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
    item_weights_ : ndarray of shape (n_items, n_items)
        What a seen item (row) adds to the score of another one (column); 0 on the diagonal.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.

    See Also
    --------
    ItemKNNRecommender : For catalogues that are too large for this one.

    Notes
    -----
    With the binary matrix X of users and items, B minimises

    .. math:: \lVert X - X B \rVert_F^2 + \mathrm{regularization} \cdot \lVert B \rVert_F^2

    under a diagonal of zeros. With :math:`P = (X^\top X + \mathrm{regularization} \cdot I)^{-1}`
    the solution is :math:`B_{ij} = -P_{ij} / P_{jj}`. Time grows with the cube and memory with the
    square of the number of items: 20,000 items take about 10 GB.

    `decision_function` gives X B, about 1 for what a user surely likes. `predict` maps it to
    between 0 and 1, but is no calibrated probability.

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data, WWW,
    doi 10.1145/3308558.3313710.

    Examples
    --------
    >>> from neumf import EASERecommender
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3], ["f", 3]]
    >>> EASERecommender(regularization=1.0).fit(X).recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    """

    def __init__(self, regularization: float = 500.0) -> None:
        self.regularization = regularization

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Solve for the item weights.

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
        self : EASERecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or X, y or sample_weight cannot be read.
        """
        check_real("regularization", self.regularization, above=0)
        rows = read_rows(X, y, sample_weight)
        gram = _users_in_common(rows.seen).toarray()
        gram[np.diag_indices_from(gram)] += self.regularization
        inverse = linalg.inv(gram, overwrite_a=True)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        keep_rows(self, X, rows)
        self.item_weights_ = weights
        return self


@dataclass(frozen=True)
class ItemWeightsRanker:
    """Scores an item by the sum of what the items that a user has seen add to it.

    Attributes
    ----------
    seen : csr_array of shape (n_users, n_items)
        Who has seen what.
    weights : ndarray or csr_array of shape (n_items, n_items)
        What a seen item (row) adds to the score of another one (column).
    """

    seen: sp.csr_array
    weights: NDArray[np.float64] | sp.csr_array

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        scores = self.seen[users].astype(np.float64) @ self.weights
        return scores.toarray() if sp.issparse(scores) else scores

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of users, shape (n,), with candidates, shape (n, n_candidates)."""
        # A user in several rows is scored once.
        distinct, places = np.unique(users, return_inverse=True)
        order = np.argsort(places, kind="stable")
        bounds = np.searchsorted(places[order], np.arange(len(distinct) + 1))
        scores = np.empty(items.shape)
        for block in blocks(len(distinct), self.seen.shape[1]):
            rows = order[bounds[block.start] : bounds[block.stop]]
            of_users = self.score_items(distinct[block])
            scores[rows] = of_users[(places[rows] - block.start)[:, None], items[rows]]
        return scores


def _users_in_common(seen: sp.csr_array) -> sp.csr_array:
    """Return the number of users of each pair of items."""
    counts = seen.astype(np.float64)
    return sp.csr_array(counts.T @ counts)
