"""A linear model of the next item from those before it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import linalg

from neumf.base import keep_rows, read_rows
from neumf.interactions.moments import Span
from neumf.interactions.user_items import UserItems
from neumf.recommenders._item_weights import (
    ItemWeightsRecommender,
    check_order,
    largest_of_rows,
    require_memory,
)
from neumf.utils.arrays import Float64s
from neumf.utils.validation import check_int, check_real

# Entries of S that are held at once.
_BLOCK_ENTRIES = 2**22


class NextItemRidgeRecommender(ItemWeightsRecommender):
    r"""Predict a user's next item from the last ones by a linear model, solved in closed form.

    .. versionadded:: 0.1

    Parameters
    ----------
    regularization : float, default=500.0
        Weight of the squared L2 norm of the item weights.
    history_length : int, default=20
        So many of a user's items before a row predict its item.
    decay : float or duration, default=5.0
        How fast an item loses weight: it falls to 1/e after so many further rows of the user or,
        with a duration (`pandas.Timedelta`, `datetime.timedelta` or a string such as "30D"), after
        that time.
    max_entries : int or None, default=None
        So many weights of each item are kept, those that are farthest from 0. None keeps all.

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
    item_weights_ : ndarray or csr_array of shape (n_items, n_items)
        What an item of the user's (row) adds to the score of another one (column); sparse with
        `max_entries`.
    user_items_ : UserItems
        The last items of each user, oldest first.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    SequentialRulesRecommender : For catalogues that are too large for this one.
    EASERecommender : Predicts each item from all others of the user.

    Notes
    -----
    With S and T as in :class:`SequentialRulesRecommender`, what each item counts for each row and
    the item of the row, B minimises

    .. math:: \lVert T - S B \rVert_F^2 + \mathrm{regularization} \cdot \lVert B \rVert_F^2,

    and is :math:`(S^\top S + \mathrm{regularization} \cdot I)^{-1} S^\top T`, a simplified form of
    TALE. `sample_weight` weighs the squares of the rows: a row of weight 0 is nobody's next item,
    but stays in the history of later ones. Time grows with the cube and memory with the square of
    the number of items: 20,000 items take about 10 GB.

    A user's score of an item is w B, with w what each item counts for the row to come, as in
    :class:`SequentialRulesRecommender`. `decision_function` gives it. `predict` maps it to between
    0 and 1, but is no calibrated probability.

    References
    ----------
    Park, Yoon, Choi, Lee (2025), Temporal linear item-item model for sequential recommendation,
    WSDM, doi 10.1145/3701551.3703554.

    Examples
    --------
    >>> from neumf import NextItemRidgeRecommender
    >>> X = [["a", 1], ["a", 2], ["a", 3], ["b", 2], ["b", 3], ["c", 1], ["c", 2], ["d", 3]]
    >>> model = NextItemRidgeRecommender(regularization=1.0).fit(X)
    >>> model.recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     3
    """

    _repeats_count = True

    def __init__(
        self,
        regularization: float = 500.0,
        *,
        history_length: int = 20,
        decay: Any = 5.0,
        max_entries: int | None = None,
    ) -> None:
        self.regularization = regularization
        self.history_length = history_length
        self.decay = decay
        self.max_entries = max_entries

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Solve for the item weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions. Timestamps give the order of a user's rows, else row order does.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How much the error of each row counts.

        Returns
        -------
        self : NextItemRidgeRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, X, y or sample_weight cannot be read, X is a sparse
            matrix, whose rows have no order, or has no timestamps where `decay` is a duration.
        MemoryError
            If the machine has too little memory for the number of items.
        """
        check_real("regularization", self.regularization, above=0)
        check_int("history_length", self.history_length, 1)
        if self.max_entries is not None:
            check_int("max_entries", self.max_entries, 1)
        rows = read_rows(X, y, sample_weight)
        span = check_order(rows, self.decay)
        require_memory(rows.shape[1], 3, "Take SequentialRulesRecommender, or keep fewer items.")
        past, order = UserItems.of_rows(rows, with_seconds=span.in_time)
        row_weights = None if rows.weights is None else rows.weights[order].astype(np.float64)
        gram, targets = _products(past, rows.shape[1], row_weights, self.history_length, span)
        gram[np.diag_indices_from(gram)] += self.regularization
        solution = linalg.solve(
            gram, targets, assume_a="pos", overwrite_a=True, overwrite_b=True, check_finite=False
        )
        keep_rows(self, X, rows)
        self.item_weights_ = solution.astype(np.float32)
        if self.max_entries is not None:
            every = sp.csr_array(self.item_weights_)
            self.item_weights_ = largest_of_rows(every, self.max_entries)
        self._keep_user_items(past, span, self.history_length)
        return self


def _products(
    past: UserItems, n_items: int, row_weights: Float64s | None, history_length: int, decay: Span
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return S'S and S'T, both of shape (n_items, n_items)."""
    gram, targets = np.zeros((2, n_items, n_items))
    step = max(1, _BLOCK_ENTRIES // history_length)
    for start in range(0, len(past.items), step):
        stop = min(start + step, len(past.items))
        before = past.weigh_before(start, stop, decay, history_length, n_items)
        weights = np.ones(stop - start) if row_weights is None else row_weights[start:stop]
        own = sp.csr_array(
            (weights, past.items[start:stop], np.arange(stop - start + 1)), shape=before.shape
        )
        targets += (before.T @ own).toarray()
        weighed = before if row_weights is None else sp.diags_array(weights) @ before
        gram += (before.T @ weighed).toarray()
    return gram, targets
