"""Neighbours of the items that the user has seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.interactions.encoded_rows import EncodedRows
from neumf.recommenders._item_weights import ItemWeightsRecommender, users_in_common
from neumf.utils.validation import check_int, check_real


class ItemKNNRecommender(ItemWeightsRecommender):
    r"""Recommend items that share many users with those that the user has seen.

    .. versionadded:: 0.1

    Parameters
    ----------
    n_neighbors : int, default=100
        Number of most similar items that contribute to the score of an item.
    shrinkage : float, default=0.0
        Added to the denominator of the similarity: lowers it for items that few users have seen.
    decay : float, duration or None, default=None
        How fast the items of a user lose weight in the user's scores. A number: the weight falls to
        1/e after that many further rows of the user. A duration (`pandas.Timedelta`,
        `datetime.timedelta` or a string such as "30D"): it falls to 1/e after that time. None gives
        all items the same weight.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_
        See :class:`neumf.base.BaseRecommender`.
    item_weights_ : csr_array of shape (n_items, n_items)
        What an item in the user's history (row) adds to the score of another one (column).
    user_items_ : UserItems or None
        The items of each user, oldest first; None without `decay`.

    See Also
    --------
    EASERecommender : Learns the weights.

    Notes
    -----
    The score of item j is the sum, over the user's seen items i that are among the `n_neighbors`
    most similar ones of j, of

    .. math:: \mathrm{sim}_{ij} = \frac{n_{ij}}{\sqrt{n_i n_j} + \mathrm{shrinkage}}

    with :math:`n_i` users of item i and :math:`n_{ij}` users of both: the cosine, shrunk.

    With `decay`, the terms of the sum are weighted. An item whose last row is g rows before the
    next one has the weight :math:`e^{-(g - 1) / \mathrm{decay}}`. If `decay` is a duration, an item
    a time :math:`\Delta` before the user's last row has the weight
    :math:`e^{-\Delta / \mathrm{decay}}`.

    `decision_function` gives the sum, and for items without a neighbour among those of the user
    between -1e-6 and 0, the most popular first.

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

    def __init__(
        self, n_neighbors: int = 100, shrinkage: float = 0.0, *, decay: Any = None
    ) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.decay = decay

    def _check_parameters(self) -> None:
        check_int("n_neighbors", self.n_neighbors, 1)
        check_real("shrinkage", self.shrinkage)

    def _learn(self, rows: EncodedRows) -> dict[str, Any]:
        similar = users_in_common(rows.seen).tocoo()
        root = np.sqrt(similar.diagonal())
        i, j = similar.row, similar.col
        values = np.where(i == j, 0, similar.data / (root[i] * root[j] + self.shrinkage))
        # For each item j the most similar first; equal ones as in the catalogue.
        order = np.lexsort((i, -values, j))
        starts = np.searchsorted(j[order], np.arange(len(root)))
        rank = np.arange(len(order)) - starts[j[order]]
        kept = order[(rank < self.n_neighbors) & (values[order] > 0)]
        weights = sp.csr_array((values[kept], (i[kept], j[kept])), shape=similar.shape)
        return {"item_weights_": weights}
