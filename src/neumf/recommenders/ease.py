"""A linear model of each item from the others."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
from scipy import linalg

from neumf.base import keep_rows, read_rows
from neumf.recommenders._item_weights import ItemWeightsRecommender, read_order, users_in_common
from neumf.utils.validation import check_real

# Matrices of all pairs of items that `fit` holds at once.
_N_MATRICES = 3


class EASERecommender(ItemWeightsRecommender):
    r"""Predict each item from the others by a linear model, solved in closed form.

    .. versionadded:: 0.1

    Parameters
    ----------
    regularization : float, default=500.0
        Weight of the squared L2 norm of the item weights.
    decay : float, duration or None, default=None
        How fast the items of a user lose weight in the user's scores. A number: the weight falls to
        1/e after that many further rows of the user. A duration (`pandas.Timedelta`,
        `datetime.timedelta` or a string such as "30D"): it falls to 1/e after that time. None gives
        all items the same weight.

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
        What an item in the user's history (row) adds to the score of another one (column); 0 on
        the diagonal.
    user_items_ : UserItems or None
        The items of each user, oldest first; None without `decay`.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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

    With `decay`, the user's row of X holds weights in place of ones when scores are computed. Its
    entry for an item whose last row is g rows before the next one is
    :math:`e^{-(g - 1) / \mathrm{decay}}`. If `decay` is a duration, the entry for an item a time
    :math:`\Delta` before the user's last row is :math:`e^{-\Delta / \mathrm{decay}}`. B stays the
    same.

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

    def __init__(self, regularization: float = 500.0, *, decay: Any = None) -> None:
        self.regularization = regularization
        self.decay = decay

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
            If a parameter is out of range, X, y or sample_weight cannot be read, or, with `decay`,
            X is a sparse matrix, whose rows have no order, or lacks timestamps where it needs them.
        MemoryError
            If the machine has too little memory for the number of items.
        """
        check_real("regularization", self.regularization, above=0)
        rows = read_rows(X, y, sample_weight)
        past, span = read_order(rows, self.decay)
        _require_memory(rows.shape[1])
        gram = users_in_common(rows.seen).toarray()
        gram[np.diag_indices_from(gram)] += self.regularization
        inverse = linalg.inv(gram, overwrite_a=True)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        keep_rows(self, X, rows)
        self._keep_user_items(past, span)
        self.item_weights_ = weights
        return self


def _require_memory(n_items: int) -> None:
    """Raise if the matrices of all pairs of items cannot fit into the machine's memory."""
    needed, memory = 8 * _N_MATRICES * n_items**2, _physical_memory()
    if needed > memory:
        raise MemoryError(
            f"X must have fewer items: this recommender solves for all pairs of items at once. "
            f"Received {n_items:,} items, for which it would take {needed / 1e9:,.0f} GB of memory "
            f"of the {memory / 1e9:,.0f} GB that are there. Take ItemKNNRecommender, or keep fewer "
            "items."
        )


def _physical_memory() -> float:
    """Return the memory of the machine in bytes; infinity where it is unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return np.inf
