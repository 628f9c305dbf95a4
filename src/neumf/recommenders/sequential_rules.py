"""What users had soon after each item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from neumf.base import keep_rows, read_rows
from neumf.interactions.moments import Span
from neumf.interactions.user_items import UserItems
from neumf.recommenders._item_weights import ItemWeightsRecommender, check_order, largest_of_rows
from neumf.utils.arrays import Codes, Float64s
from neumf.utils.validation import check_int, check_real

# Pairs of an earlier and a later row that are held at once, unless one item has more.
_BLOCK_PAIRS = 2**23

# How far the weights are divided by how often the earlier item, and the later one, occurs.
_SOURCE_POWER, _TARGET_POWER = 0.7, 0.3


class SequentialRulesRecommender(ItemWeightsRecommender):
    r"""Recommend what users had soon after the items that the user had last.

    .. versionadded:: 0.1

    Parameters
    ----------
    history_length : int, default=20
        So many of a user's items before a row speak for its item.
    decay : float or duration, default=5.0
        How fast an item loses weight: it falls to 1/e after so many further rows of the user or,
        with a duration (`pandas.Timedelta`, `datetime.timedelta` or a string such as "30D"), after
        that time.
    shrinkage : float, default=20.0
        Added to how often an item occurs: mistrusts rare items.
    max_entries : int or None, default=500
        So many of the largest weights of each item are kept. None keeps all.

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
        What an item of the user's (row) adds to the score of another one (column).
    user_items_ : UserItems
        The last items of each user, oldest first.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    ItemKNNRecommender : Asks what users had, not when.

    Notes
    -----
    Row r of a user's has the item :math:`t_r`. An earlier row at a gap of g rows, g up to
    `history_length`, counts :math:`e^{-(g - 1) / \mathrm{decay}}` for it; if `decay` is a duration,
    one a time :math:`\Delta` earlier counts :math:`e^{-\Delta / \mathrm{decay}}`. With these
    weights, S has a row for each row of the table and holds what each item counts for it, and T
    holds a 1 at its own item. The weights of items are

    .. math:: B = D_S^{-0.7} \, (S^\top T) \, D_T^{-0.3}

    with the diagonal matrices :math:`D_S`, for each item the sum of its squared weights for later
    rows, and :math:`D_T`, its number of rows, both plus `shrinkage`. `sample_weight` weighs the
    rows of S and T in the sums: a row of weight 0 is nobody's next item, but stays in the history
    of later ones.

    A user's score of an item is w B, with w what each item counts for the row to come: by rows, the
    last item 1; by time, as if the row to come were at the time of the last one. Items
    that nothing speaks for score between -1e-6 and 0, below all others, the most popular first.
    `decision_function` gives the score. `predict` maps it to between 0 and 1, but is no calibrated
    probability.

    Time grows with the rows times `history_length`; what is held besides `item_weights_` is of the
    size of the rows.

    References
    ----------
    Kamehkhosh, Jannach, Ludewig (2017), A comparison of frequent pattern techniques and a deep
    learning method for session-based recommendation, RecTemp at RecSys.

    Ludewig, Jannach (2018), Evaluation of session-based recommendation algorithms, UMUAI 28,
    doi 10.1007/s11257-018-9209-6, arXiv 1803.09587.

    Examples
    --------
    >>> from neumf import SequentialRulesRecommender
    >>> X = [["a", 1], ["a", 2], ["a", 3], ["b", 2], ["b", 3], ["c", 1], ["c", 2], ["d", 3]]
    >>> SequentialRulesRecommender().fit(X).recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     3
    """

    _repeats_count = True

    def __init__(
        self,
        history_length: int = 20,
        decay: Any = 5.0,
        *,
        shrinkage: float = 20.0,
        max_entries: int | None = 500,
    ) -> None:
        self.history_length = history_length
        self.decay = decay
        self.shrinkage = shrinkage
        self.max_entries = max_entries

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Count what follows each item.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions. Timestamps give the order of a user's rows, else row order does.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How much each row counts as what follows others.

        Returns
        -------
        self : SequentialRulesRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, X, y or sample_weight cannot be read, X is a sparse
            matrix, whose rows have no order, or has no timestamps where `decay` is a duration.
        """
        check_int("history_length", self.history_length, 1)
        check_real("shrinkage", self.shrinkage)
        if self.max_entries is not None:
            check_int("max_entries", self.max_entries, 1)
        rows = read_rows(X, y, sample_weight)
        span = check_order(rows, self.decay)
        past, order = UserItems.of_rows(rows, with_seconds=span.in_time)
        row_weights = None if rows.weights is None else rows.weights[order].astype(np.float64)
        counts = NextItemCounts(past, rows.shape[1], row_weights, self.history_length, span)
        keep_rows(self, X, rows)
        self.item_weights_ = _weigh(counts, self.shrinkage, self.max_entries)
        self._keep_user_items(past, span, self.history_length)
        return self


@dataclass(frozen=True)
class NextItemCounts:
    """How much speaks for each item after each other one, a block of items at a time.

    Attributes
    ----------
    past : UserItems
        All rows.
    n_items : int
        Size of the catalogue.
    row_weights : ndarray of shape (n_rows,) or None
        How much each row counts as what follows others; None means 1.
    history_length : int
        So many items before a row speak for it.
    decay : Span
        How fast they lose weight.
    """

    past: UserItems
    n_items: int
    row_weights: Float64s | None
    history_length: int
    decay: Span

    @property
    def of_targets(self) -> Float64s:
        """Number of rows of each item, shape (n_items,)."""
        counts: Float64s = np.bincount(
            self.past.items, weights=self.row_weights, minlength=self.n_items
        ).astype(np.float64)
        return counts

    def blocks(self) -> Iterator[tuple[sp.csr_array, Float64s]]:
        """Yield rows of S'T for some items after others, and their column sums of S squared."""
        items = self.past.items
        order = np.argsort(items, kind="stable")
        bounds = np.append(0, np.cumsum(np.bincount(items, minlength=self.n_items)))
        ends = self.past.ends
        start = 0
        while start < self.n_items:
            room = bounds[start] + _BLOCK_PAIRS // self.history_length
            stop = max(start + 1, int(np.searchsorted(bounds, room, side="right")) - 1)
            places = order[bounds[start] : bounds[stop]]
            yield self._count(places, ends[places], bounds[start : stop + 1])
            start = stop

    def _count(self, places: Codes, ends: Codes, bounds: Codes) -> tuple[sp.csr_array, Float64s]:
        """Count for the items whose places stand one item behind the other, by these bounds."""
        later_bounds, later, weights = self.past.weigh_for_later(
            places, ends, self.decay, self.history_length
        )
        squares = weights**2
        if self.row_weights is not None:
            weights, squares = (values * self.row_weights[later] for values in (weights, squares))
        parts = weights.astype(np.float32), self.past.items[later], later_bounds
        of_places = sp.csr_array(parts, shape=(len(places), self.n_items))
        by_item = bounds - bounds[0]
        ones = np.ones(len(places), dtype=np.float32)
        gather = sp.csr_array(
            (ones, np.arange(len(places)), by_item), shape=(len(by_item) - 1, len(places))
        )
        sums = np.append(0, np.cumsum(squares))[later_bounds[by_item]]
        return sp.csr_array(gather @ of_places), np.diff(sums)


def _weigh(counts: NextItemCounts, shrinkage: float, max_entries: int | None) -> sp.csr_array:
    """Return the weights of items."""
    of_targets = _power(counts.of_targets + shrinkage, _TARGET_POWER)
    parts = []
    for together, squares in counts.blocks():
        together.eliminate_zeros()  # of rows with no weight, or too long after the item
        of_sources = np.repeat(_power(squares + shrinkage, _SOURCE_POWER), np.diff(together.indptr))
        together.data *= (of_sources * of_targets[together.indices]).astype(np.float32)
        parts.append(largest_of_rows(together, max_entries))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def _power(counts: Float64s, power: float) -> Float64s:
    """Return counts to the power of -power, 0 for a count of 0: nothing is divided by it."""
    powers: Float64s = np.where(counts > 0, np.maximum(counts, 1e-300) ** -power, 0)
    return powers
