"""Nearest neighbours of the items that the user has seen."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.seen import stored_positions
from neumf.recommenders._item_weights import ItemWeightsRecommender
from neumf.utils.validation import check_int, check_real

# Number of pairs of items in memory at once, some 60 bytes each.
_BLOCK_PAIRS = 2**23


class ItemKNNRecommender(ItemWeightsRecommender):
    r"""Recommend items that share many users with the user's seen items.

    .. versionadded:: 0.1

    Parameters
    ----------
    n_neighbors : int, default=100
        Number of most similar items that contribute to the score of an item.
    shrinkage : float, default=0.0
        Added to the denominator of the similarity: lowers it for items that few users have seen.
    decay : float, duration or None, default=None
        How fast a user's items lose weight with their age.

        - A number: the weight falls to 1/e after this number of later rows of the user.
        - A duration (`pandas.Timedelta`, `datetime.timedelta` or a string such as "30D"): the
          weight falls to 1/e after this time.
        - None: all items have the same weight.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_
        See :class:`neumf.base.BaseRecommender`.
    item_weights_ : csr_array of shape (n_items, n_items)
        The contribution of each item in a history (row) to the score of each item (column).
    user_items_ : UserItems or None
        The items of each user, oldest first; None without timestamps and `decay`.

    See Also
    --------
    EASERecommender : Learns the item weights by a linear model.

    Notes
    -----
    The score of item j is the sum, over the user's seen items i that are among the `n_neighbors`
    most similar ones of j, of

    .. math:: \mathrm{sim}_{ij} = \frac{n_{ij}}{\sqrt{n_i n_j} + \mathrm{shrinkage}}

    with :math:`n_i` users of item i and :math:`n_{ij}` users of both. Without shrinkage, this is
    the cosine.

    With `decay`, each term of the sum has a weight. It is :math:`e^{-(g - 1) / \mathrm{decay}}` for
    the g-th last row of the user or, if `decay` is a duration,
    :math:`e^{-\Delta / \mathrm{decay}}` for a row that is a time :math:`\Delta` older than the
    user's last row. If an item has several rows, its last one counts.

    `decision_function` returns the sum. Items without a neighbour among the user's items get scores
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
    """Return the similarities of the nearest neighbours (rows) of each item (column).

    Pairs of items are counted block by block, and only the neighbours of a block are kept: memory
    does not grow with the number of pairs.
    """
    turned = sp.csr_array(counts.T)
    root = np.sqrt(np.diff(turned.indptr))
    # An upper bound on the number of items that share users with each item.
    n_pairs = np.minimum(turned @ np.diff(counts.indptr), len(root))
    bounds = np.flatnonzero(np.diff(np.cumsum(n_pairs) // _BLOCK_PAIRS, prepend=-1))
    parts = []
    for start, end in pairwise([*bounds, len(root)]):
        shared = sp.csr_array(turned[start:end] @ counts)
        j, i = stored_positions(shared)
        values = shared.data / (root[i] * root[start + j] + shrinkage)
        values[i == start + j] = 0
        # Sorting whole long rows would be slow: drop values below the n-th largest first.
        least = np.zeros(end - start)
        for row in np.flatnonzero(np.diff(shared.indptr) > n_neighbors):
            of_row = values[shared.indptr[row] : shared.indptr[row + 1]]
            least[row] = np.partition(of_row, -n_neighbors)[-n_neighbors]
        found = np.flatnonzero((values >= least[j]) & (values > 0))
        # The most similar first; equally similar items in the order of the catalogue.
        found = found[np.lexsort((i[found], -values[found], j[found]))]
        n_found = np.bincount(j[found], minlength=end - start)
        first = np.repeat(np.cumsum(n_found) - n_found, n_found)
        found = found[np.arange(len(found)) - first < n_neighbors]
        parts.append((values[found], i[found], (start + j[found]).astype(i.dtype)))
    values, i, j = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sp.csr_array((values, (i, j)), shape=(len(root), len(root)))
