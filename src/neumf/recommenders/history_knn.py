"""What users had next whose histories a network sees alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.user_items import UserItems
from neumf.model.network import Network
from neumf.neural.fitting import vectors_before
from neumf.protocols import Ranker
from neumf.ranking.sparse_candidates import candidates_of_lists
from neumf.ranking.top_k import blocks
from neumf.recommenders.load import restore_fitted
from neumf.recommenders.neumf import NeuMFRecommender
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Codes, Float64s, Scores
from neumf.utils.validation import check_int, check_real


class HistoryKNNRecommender(BaseRecommender):
    r"""Recommend by a network, and by what users had next whose histories it sees alike.

    .. versionadded:: 0.1

    A network has one vector for each item, and forgets the rows that it learned from. This
    recommender keeps them: of each row of `fit`, the vector that the network makes of the user's
    history before it. The neighbours of a user are the rows whose vectors are nearest to the
    user's own, and their items are what comes next. It pays on tables of a million rows and
    hundreds of rows per item, not on small and sparse ones.

    Parameters
    ----------
    recommender : NeuMFRecommender or None, default=None
        The network, cloned before it is fitted; None means ``NeuMFRecommender()``. It must make
        users of their histories: its `user_encoder` is any but "id".
    n_neighbors : int, default=1000
        So many rows of `fit` tell what comes next.
    neighbor_weight : float, default=0.4
        How much the neighbours count, above 0 and below 1; the network has the rest.
    bandwidth : float, default=0.3
        How fast the weight of neighbours falls from the nearest to the farthest, above 0: it is
        divided by e in this part of the way.

    Attributes
    ----------
    recommender_ : NeuMFRecommender
        The fitted network.
    contexts_ : ndarray of shape (n_positives, n_factors)
        The vector of each positive's user just before it, of 32-bit numbers. With the MLP half, its
        vector stands beside that of the GMF half.
    next_items_ : ndarray of shape (n_positives,)
        The index of the item of each positive.
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
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    NeuMFRecommender : The network alone.
    ItemKNNRecommender : Neighbours of items, by who had them.

    Notes
    -----
    With :math:`q` the user's vector, :math:`d_1 \le d_2 \le \ldots \le d_k` the squared distances
    to the neighbours, and :math:`i_j` their items, the score of item i is

    .. math::

        (1 - \lambda) \, \mathrm{softmax}(s)_i + \lambda
        \frac{\sum_j [i_j = i] \, w_j}{\sum_j w_j}, \qquad
        w_j = \exp\left(-\frac{d_j - d_1}{h \, (d_k - d_1)}\right),

    with the logits s of the network, :math:`\lambda` `neighbor_weight` and h `bandwidth`. It is the
    share that the item has of what comes next, so the scores of a user add up to 1. `predict` maps
    them to between 0.5 and 0.74, which is no calibrated probability.

    `contexts_` take ``4 * n_factors`` bytes a row: half a gigabyte for a million rows and 128
    factors; a saved file holds them. To make lists, the vectors of users are compared with all of
    them: some 10 milliseconds of a core for each user there, where the network alone takes a
    fraction of one. New interactions count at once, as in the network.

    References
    ----------
    Khandelwal, Levy, Jurafsky, Zettlemoyer, Lewis (2020), Generalization through memorization:
    nearest neighbor language models, ICLR, arXiv:1911.00172.

    Examples
    --------
    >>> from neumf import HistoryKNNRecommender, NeuMFRecommender, datasets
    >>> X = datasets.load_movietweetings().head(2000)
    >>> network = NeuMFRecommender(n_factors=8, epochs=2, random_state=0)
    >>> model = HistoryKNNRecommender(network, n_neighbors=100).fit(X)
    >>> model.contexts_.shape, model.next_items_.shape
    ((2000, 8), (2000,))
    >>> model.recommend(X["user"].iloc[0], k=3)["rank"].tolist()
    [1, 2, 3]
    """

    def __init__(
        self,
        recommender: NeuMFRecommender | None = None,
        *,
        n_neighbors: int = 1000,
        neighbor_weight: float = 0.4,
        bandwidth: float = 0.3,
    ) -> None:
        self.recommender = recommender
        self.n_neighbors = n_neighbors
        self.neighbor_weight = neighbor_weight
        self.bandwidth = bandwidth

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit a clone of the network, and keep what it makes of the history before each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions, as the network takes them, in an order in time.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 are positives. None makes all rows positives.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the training of the network. Neighbours count alike.

        Returns
        -------
        self : HistoryKNNRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is none, X has no order in time, or the network refuses what it is given.
        """
        network = NeuMFRecommender() if self.recommender is None else clone(self.recommender)
        if not isinstance(network, NeuMFRecommender):
            raise TypeError(
                f"recommender must be a NeuMFRecommender or None. Received: {network!r}."
            )
        check_int("n_neighbors", self.n_neighbors, 1)
        check_real("neighbor_weight", self.neighbor_weight, above=0, below=1)
        check_real("bandwidth", self.bandwidth, above=0)
        rows = read_rows(X, y, sample_weight)
        if network.user_encoder == "id" or not rows.ordered:
            raise ValueError(
                "recommender must make users of their histories, and X be a table with an order in "
                f"time. Received user_encoder={network.user_encoder!r}"
                f"{'' if rows.ordered else ' and a sparse matrix'}. Set user_encoder='history' or "
                "'hybrid', and pass a table."
            )
        network.fit(X, y, sample_weight)
        contexts, next_items = vectors_before(rows, network.network_)
        keep_rows(self, X, replace(rows, user_ids=network.users_, item_ids=network.items_))
        self.recommender_ = network
        self.contexts_, self.next_items_ = contexts, next_items
        return self

    @property
    def ranker_(self) -> HistoryKNNRanker:
        """What gives the scores: the network and the neighbours."""
        return self._ranker_of(self.recommender_.network_)

    def ranker_at(self, users: Codes, seconds: Float64s) -> Ranker:
        """Return what scores users, each at a moment, as the network does.

        See :class:`neumf.protocols.TimedRecommender`.
        """
        of_queries = self.recommender_.ranker_at(users, seconds)
        if isinstance(of_queries, Network):
            return self._ranker_of(of_queries)
        return super().ranker_at(users, seconds)

    def _ranker_of(self, network: Network) -> HistoryKNNRanker:
        n_neighbors = min(self.n_neighbors, len(self.contexts_))
        index = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute")
        with config_context(assume_finite=True):  # to look at all contexts anew takes time
            index.fit(self.contexts_)
        return HistoryKNNRanker(
            network, index, self.next_items_, self.neighbor_weight, self.bandwidth
        )

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "recommender_": self.recommender_._description(self.recommender_._state()),
            "contexts_": self.contexts_,
            "next_items_": self.next_items_,
        }

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        network = restore_fitted(state.part("recommender_"))
        if not isinstance(network, NeuMFRecommender) or (
            (len(network.users_), len(network.items_)) != self.seen_.shape
        ):
            raise damaged_file_error("its network is none, or knows other users or items")
        width = network.network_.users.shape[1]
        self.contexts_ = state.float32s("contexts_", (None, width))
        self.next_items_ = state.indices("next_items_", (len(self.contexts_),), len(self.items_))
        if len(self.contexts_) == 0:
            raise damaged_file_error("contexts_ are empty")
        self.recommender_ = network

    def _after(self, user_ids: pd.Index, codes: Codes, new: UserItems, seen: sp.csr_array) -> Self:
        known = super()._after(user_ids, codes, new, seen)
        known.recommender_ = self.recommender_._after(user_ids, codes, new, seen)
        return known

    def _fold_in(self, codes: Codes, new: UserItems, seen: sp.csr_array) -> None:
        """Do nothing: the network does."""

    def _check_order_of_interactions(self, new: Interactions) -> None:
        self.recommender_._check_order_of_interactions(new)


@dataclass(frozen=True)
class HistoryKNNRanker:
    """Scores items by their shares in what comes next.

    Attributes
    ----------
    network : Network
        Has the vectors of users, or of queries.
    index : NearestNeighbors
        Finds the nearest contexts.
    next_items : ndarray of shape (n_contexts,)
        What came next after each.
    neighbor_weight, bandwidth : float
        The parameters of that name.
    """

    network: Network
    index: NearestNeighbors
    next_items: Codes
    neighbor_weight: float
    bandwidth: float

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        n_items = len(self.network.items)
        scores = np.empty((len(users), n_items))
        for block in blocks(len(users), max(n_items, self.index.n_neighbors)):
            if block.stop > block.start:
                scores[block] = self._shares(users[block], n_items)
        return scores

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of users, shape (n,), with candidates, shape (n, n_candidates)."""
        return candidates_of_lists(self.score_items, len(self.network.items), users, items)

    def _shares(self, users: Codes, n_items: int) -> Scores:
        of_network = softmax(self.network.score_items(users).astype(np.float64), axis=1)
        distances, contexts = self.index.kneighbors(self.network.users[users])
        weights = _weights_of(distances**2, self.bandwidth)
        places = np.arange(len(users))[:, None] * n_items + self.next_items[contexts]
        of_neighbors = np.bincount(places.ravel(), weights.ravel(), of_network.size)
        of_neighbors = of_neighbors.reshape(of_network.shape)
        scores: Scores = of_network + self.neighbor_weight * (of_neighbors - of_network)
        return scores


def _weights_of(squares: Float64s, bandwidth: float) -> Float64s:
    """Return the weights of neighbours by their squared distances, nearest first; they sum to 1."""
    way = squares[:, -1:] - squares[:, :1]
    part = np.divide(squares - squares[:, :1], way, out=np.zeros_like(squares), where=way > 0)
    weights: Float64s = softmax(-part / bandwidth, axis=1)
    return weights
