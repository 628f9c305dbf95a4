"""Neighbours of the items that the user has seen."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.seen import stored_positions
from neumf.recommenders._item_weights import ItemWeightsRecommender
from neumf.utils.validation import check_int, check_real

# Pairs of items that are held at once, some 60 bytes each.
_BLOCK_PAIRS = 2**23


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
        The items of each user, oldest first; None without timestamps and `decay`.

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
        counts = rows.seen.astype(np.float64)
        return {"item_weights_": _nearest(counts, self.n_neighbors, self.shrinkage)}


def _nearest(counts: sp.csr_array, n_neighbors: int, shrinkage: float) -> sp.csr_array:
    """Return the similarity of each item (row) as one of the most similar of another (column).

    Pairs of items are counted in blocks, of which little is kept: memory does not grow with them.
    """
    turned = sp.csr_array(counts.T)
    root = np.sqrt(np.diff(turned.indptr))
    # A bound on the number of items that share users with each item.
    n_pairs = np.minimum(turned @ np.diff(counts.indptr), len(root))
    bounds = np.flatnonzero(np.diff(np.cumsum(n_pairs) // _BLOCK_PAIRS, prepend=-1))
    parts = []
    for start, end in pairwise([*bounds, len(root)]):
        shared = sp.csr_array(turned[start:end] @ counts)
        j, i = stored_positions(shared)
        values = shared.data / (root[i] * root[start + j] + shrinkage)
        values[i == start + j] = 0
        # Of long rows, a fast look for the last value that may count leaves little to be sorted.
        least = np.zeros(end - start)
        for row in np.flatnonzero(np.diff(shared.indptr) > n_neighbors):
            of_row = values[shared.indptr[row] : shared.indptr[row + 1]]
            least[row] = np.partition(of_row, -n_neighbors)[-n_neighbors]
        found = np.flatnonzero((values >= least[j]) & (values > 0))
        # The most similar first; equal ones as in the catalogue.
        found = found[np.lexsort((i[found], -values[found], j[found]))]
        n_found = np.bincount(j[found], minlength=end - start)
        first = np.repeat(np.cumsum(n_found) - n_found, n_found)
        found = found[np.arange(len(found)) - first < n_neighbors]
        parts.append((values[found], i[found], (start + j[found]).astype(i.dtype)))
    values, i, j = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sp.csr_array((values, (i, j)), shape=(len(root), len(root)))
