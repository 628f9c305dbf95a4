"""The base of recommenders whose scores are sums of weights between items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.new_rows import NewRows
from neumf.interactions.request_times import Span, read_span, require_order_of_span
from neumf.interactions.seen import stored_positions
from neumf.ranking.similar import most_similar
from neumf.ranking.top_k import candidate_scores
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Indices, Scores

# Items to which the user's items give no weight score between this and 0, below all others.
_LOWEST = -1e-6


class ItemWeightsRecommender(BaseRecommender):
    """Base of recommenders that multiply a user's items by a matrix of item weights.

    A subclass has the parameter `decay` and defines `_check_parameters` and `_learn`.
    """

    item_weights_: NDArray[np.floating[Any]] | sp.csr_array
    decay: Any

    _decay: Span | None
    _length: int | None  # number of last items of a user that count; None counts all
    _repeats_count = False  # whether each repetition of an item in a history counts

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Compute the item weights; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions. `decay` orders the rows of a user by timestamp or, without timestamps, by
            their order in the table.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row as a successor, in `SequentialRulesRecommender` only. Other
            recommenders count each user once per item.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or a table cannot be read. With `decay`, also if X is a
            sparse matrix, whose rows have no order, or lacks the timestamps for a duration.
        """
        self._check_parameters()
        span = None if self.decay is None else read_span(self.decay, "decay")
        rows = self._read(X, y, sample_weight)
        if span is not None:
            require_order_of_span(rows, span, "X", f"decay={self.decay!r}")
        learned = {"_decay": span, "_length": None} | self._learn(rows)
        if span is not None:
            learned["user_items_"] = rows.user_items[0]
        keep_rows(self, rows, **learned)
        return self

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise if a parameter other than `decay` is out of range."""

    @abstractmethod
    def _learn(self, rows: EncodedRows) -> dict[str, Any]:
        """Return `item_weights_` and all other learned attributes, by name."""

    def _read(self, X: Any, y: Any, sample_weight: Any) -> EncodedRows:
        return read_rows(X, y, sample_weight)

    @property
    def ranker_(self) -> ItemWeightsRanker:
        """The ranker, which multiplies each user's items by the item weights."""
        default = None
        if sp.issparse(self.item_weights_):
            share = self.popularity_ / (self.popularity_.max() + 1)
            default = _LOWEST * (1 - share)
        return ItemWeightsRanker(self._weigh_items, self.item_weights_, default)

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items with the largest weights from each given item.

        Parameters
        ----------
        items : id or array-like of ids
            Items of the catalogue.
        k : int, default=10
            Number of similar items per item. Items without a stored weight are left out.

        Returns
        -------
        similar : DataFrame with columns item, similar_item, score, rank
            The score is the weight in the item's row of `item_weights_`.
        """
        check_is_fitted(self)

        def score(indices: Indices) -> Scores:
            weights = self.item_weights_[indices]
            if not sp.issparse(weights):
                return weights.copy()
            scores = np.full(weights.shape, -np.inf, weights.dtype)
            scores[stored_positions(weights)] = weights.data
            return scores

        return most_similar("item", items, self.items_, k, score)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "item_weights_": self.item_weights_,
            "decay": None if self._decay is None else vars(self._decay),
            "length": self._length,
        }

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        n_items = len(self.items_)
        weights = state.matrix("item_weights_", (n_items, n_items))
        past, decay = self.user_items_, None
        if state.has("decay"):
            decay = Span.restore(state.part("decay"))
            if past is None or (decay.in_time and past.seconds is None):
                raise damaged_file_error("it has a decay, but lacks the items or times that decay")
        self._length = state.integer("length", 1) if state.has("length") else None
        self.item_weights_, self._decay = weights, decay

    def _weigh_items(self, users: Indices) -> sp.csr_array:
        """Return the weight of each item in the histories of users, shape (n, n_items)."""
        if self.user_items_ is None or self._decay is None:
            return self.seen_[users]
        shape = self._length, len(self.items_)
        weights = self.user_items_.weigh_last(users, self._decay, *shape)
        return weights if self._repeats_count else _largest_of_repeats(weights)

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        if self._decay is not None and len(rows.table):
            require_order_of_span(rows.table, self._decay, "interactions", f"decay={self.decay!r}")
        return {}

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        return {}  # the item weights are sums over many users


@dataclass(frozen=True)
class ItemWeightsRanker:
    """Score items by a weighted sum of the item weights of a user's items.

    `weigh_items` takes n indices of users and returns the weights of the items in their histories,
    a csr_array of shape (n, n_items). `default` holds the scores of items whose sum is 0.
    """

    weigh_items: Callable[[Indices], sp.csr_array]
    weights: NDArray[np.floating[Any]] | sp.csr_array
    default: Scores | None = None

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        past = self.weigh_items(users)
        past.data = past.data.astype(self.weights.dtype)  # `past.astype` takes three times as long
        past.sum_duplicates()
        product: Any = past @ self.weights
        scores: Scores = product if isinstance(product, np.ndarray) else product.toarray()
        if self.default is not None:
            scores += (scores == 0) * self.default.astype(scores.dtype)
        return scores

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of candidates, shape (n, n_candidates), for users, shape (n,)."""
        return candidate_scores(self.score_items, self.weights.shape[1], users, items)


def _largest_of_repeats(matrix: sp.csr_array) -> sp.csr_array:
    """Keep the largest of the values that are stored for the same row and column."""
    rows, columns = stored_positions(matrix)
    order = np.lexsort((-matrix.data, columns, rows))
    rows, columns, values = rows[order], columns[order], matrix.data[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    return sp.csr_array((values[first], (rows[first], columns[first])), shape=matrix.shape)
