"""Rules between items: users who had item i soon had item j."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.request_times import Span, read_span
from neumf.interactions.seen import narrow_csr
from neumf.interactions.user_items import UserItems
from neumf.recommenders._item_weights import ItemWeightsRecommender
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.validation import check_int, check_real

# Maximum number of pairs of an earlier and a later row in a block, unless one item has more.
_BLOCK_PAIRS = 2**23

# Weights are divided by powers of the frequencies of the earlier and the later item: the exponents.
_SOURCE_POWER, _TARGET_POWER = 0.7, 0.3


class SequentialRulesRecommender(ItemWeightsRecommender):
    r"""Recommend the items that other users had soon after the user's last items.

    .. versionadded:: 0.1

    Parameters
    ----------
    history_length : int, default=20
        Number of previous items of the user that count as predecessors of a row.
    decay : float or duration, default=5.0
        How fast predecessors lose weight with their age, see :class:`ItemKNNRecommender`.
    shrinkage : float, default=20.0
        Added to the frequencies of items; lowers the weights of rare items.
    max_entries : int or None, default=500
        Number of successors kept for each item, those with the largest weights. None keeps all.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_
        See :class:`neumf.base.BaseRecommender`.
    item_weights_ : csr_array of shape (n_items, n_items)
        See :class:`ItemKNNRecommender`.
    user_items_ : UserItems
        The items of each user, oldest first.

    See Also
    --------
    ItemKNNRecommender : Ignores the order of rows.

    Notes
    -----
    The matrices S and T have a row for each row of the table and a column for each item. A row of T
    holds a 1 at the item of the row. A row of S holds the weights of the user's previous items. The
    weight is :math:`e^{-(g - 1) / \mathrm{decay}}` for the item g rows earlier, with g up to
    `history_length`. If `decay` is a duration, it is :math:`e^{-\Delta / \mathrm{decay}}` for an
    item a time :math:`\Delta` earlier. The item weights are

    .. math:: B = D_S^{-0.7} \, (S^\top T) \, D_T^{-0.3}

    with two diagonal matrices. For each item, :math:`D_S` holds the sum of its squared weights in S
    plus `shrinkage`, and :math:`D_T` its number of rows plus `shrinkage`. `sample_weight` weights
    the rows of S and T in these sums: a row of weight 0 is not a successor, but still a predecessor
    of later rows.

    The scores of a user are w B, where w is a row of S for the user's next row: the last item has
    weight 1, and durations are counted from the user's last row. Items whose score is 0 get scores
    between -1e-6 and 0, the most popular first. `decision_function` returns the scores. Time grows
    with the number of rows times `history_length`.

    References
    ----------
    Kamehkhosh, Jannach, Ludewig (2017), A comparison of frequent pattern techniques and a deep
    learning method for session-based recommendation, RecTemp at RecSys.

    Ludewig, Jannach (2018), Evaluation of session-based recommendation algorithms, UMUAI 28,
    doi 10.1007/s11257-018-9209-6, arXiv 1803.09587.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import SequentialRulesRecommender
    >>> X = pd.DataFrame({"user": list("aaabbccd"), "item": [1, 2, 3, 2, 3, 1, 2, 3],
    ...                   "timestamp": range(8)})
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

    def _check_parameters(self) -> None:
        check_int("history_length", self.history_length, 1)
        check_real("shrinkage", self.shrinkage)
        if self.max_entries is not None:
            check_int("max_entries", self.max_entries, 1)

    def _learn(self, rows: EncodedRows) -> dict[str, Any]:
        decay = read_span(self.decay, "decay")  # refuses None
        past, order = rows.user_items
        row_weights = None if rows.weights is None else rows.weights[order].astype(np.float64)
        counts = NextItemCounts(past, rows.shape[1], row_weights, self.history_length, decay)
        return {
            "item_weights_": _weigh(counts, self.shrinkage, self.max_entries),
            "_length": self.history_length,
        }


@dataclass(frozen=True)
class NextItemCounts:
    """Weighted counts of pairs of an earlier and a later item, in blocks of earlier items."""

    past: UserItems
    n_items: int
    row_weights: Float64s | None  # of the rows as successors
    history_length: int  # number of predecessors of a row
    decay: Span

    @property
    def targets(self) -> Float64s:
        """Weighted number of rows of each item, shape (n_items,)."""
        counts: Any = np.bincount(self.past.items, self.row_weights, self.n_items)
        return np.asarray(counts, np.float64)

    def blocks(self) -> Iterator[tuple[sp.csr_array, Float64s]]:
        """Yield blocks of rows of S'T, each with the column sums of squares of S for its items."""
        items = self.past.items
        order = np.argsort(items, kind="stable")
        bounds = np.append(0, np.cumsum(np.bincount(items, minlength=self.n_items)))
        ends = self.past.ends
        start = 0
        while start < self.n_items:
            room = bounds[start] + _BLOCK_PAIRS // self.history_length
            stop = max(start + 1, int(np.searchsorted(bounds, room, side="right")) - 1)
            positions = order[bounds[start] : bounds[stop]]
            yield self._count(positions, ends[positions], bounds[start : stop + 1])
            start = stop

    def _count(
        self, positions: Indices, ends: Indices, bounds: Indices
    ) -> tuple[sp.csr_array, Float64s]:
        """Count the successors of the rows at these positions, which are sorted by item.

        `ends` is where the rows of each position's user end; `bounds` divide positions by item.
        """
        later_bounds, later, weights = self.past.weigh_for_later(
            positions, ends, self.decay, self.history_length
        )
        squares = weights**2
        if self.row_weights is not None:
            weights, squares = (values * self.row_weights[later] for values in (weights, squares))
        parts = weights.astype(np.float32), self.past.items[later], later_bounds
        of_positions = narrow_csr(parts, (len(positions), self.n_items))
        by_item = bounds - bounds[0]
        of_items = np.ones(len(positions), np.float32), np.arange(len(positions)), by_item
        gather = narrow_csr(of_items, (len(by_item) - 1, len(positions)))
        sums = np.append(0, np.cumsum(squares))[later_bounds[by_item]]
        return sp.csr_array(gather @ of_positions), np.diff(sums)


def _weigh(counts: NextItemCounts, shrinkage: float, max_entries: int | None) -> sp.csr_array:
    """Return the item weights, shape (n_items, n_items)."""
    target_factors = _power(counts.targets + shrinkage, _TARGET_POWER)
    parts = []
    for together, squares in counts.blocks():
        together.eliminate_zeros()  # from rows of weight 0 and weights that decayed to 0
        of_rows = _power(squares + shrinkage, _SOURCE_POWER)
        source_factors = np.repeat(of_rows, np.diff(together.indptr))
        together.data *= (source_factors * target_factors[together.indices]).astype(np.float32)
        parts.append(_largest_of_rows(together, max_entries))
    return sp.csr_array(sp.vstack(parts, format="csr"))


def _power(counts: Float64s, power: float) -> Float64s:
    """Return counts ** -power, and 0 where the count is 0."""
    return np.where(counts > 0, np.maximum(counts, 1e-300) ** -power, 0)


def _largest_of_rows(matrix: sp.csr_array, n: int | None) -> sp.csr_array:
    """Keep the n largest entries of each row; None keeps all."""
    counts = np.diff(matrix.indptr)
    if n is None or counts.max(initial=0) <= n:
        return matrix
    kept = np.ones(matrix.nnz, dtype=bool)
    for row in np.flatnonzero(counts > n):
        start, stop = matrix.indptr[row : row + 2]
        n_dropped = stop - start - n
        smallest = np.argpartition(matrix.data[start:stop], n_dropped)[:n_dropped]
        kept[start + smallest] = False
    bounds = np.append(0, np.cumsum(kept))[matrix.indptr]
    return narrow_csr((matrix.data[kept], matrix.indices[kept], bounds), matrix.shape)
