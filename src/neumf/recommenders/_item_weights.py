"""The base of recommenders that add up weights from the items of a user to other items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from neumf.base import BaseRecommender
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.moments import Span, read_span, require_timestamps
from neumf.interactions.seen import stored_places
from neumf.interactions.tables import Interactions
from neumf.interactions.user_items import UserItems
from neumf.ranking.similar import most_similar
from neumf.ranking.top_k import candidate_scores
from neumf.recommenders.restored import restore_span, restore_user_items
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Codes, Scores

# Items without any weight from the user's items score between this and 0, below all others.
_LOWEST = -1e-6


class ItemWeightsRecommender(BaseRecommender):
    """Base of recommenders that multiply a user's items with a matrix of item weights.

    A subclass has the parameter `decay`. Its `fit` sets `item_weights_` and calls
    `_keep_user_items`.
    """

    item_weights_: NDArray[np.floating[Any]] | sp.csr_array
    user_items_: UserItems | None
    decay: Any

    # Whether an item that occurs twice in a user's history counts twice.
    _repeats_count = False

    def _keep_user_items(
        self, past: UserItems | None, decay: Span | None, length: int | None = None
    ) -> None:
        """Keep each user's last `length` items, None for all; without `past`, use seen items."""
        if past is not None and length is not None:
            past = past.take(np.arange(len(past.bounds) - 1), length)
        self.user_items_, self._decay, self._length = past, decay, length

    @property
    def ranker_(self) -> ItemWeightsRanker:
        """What gives the scores: the items of each user and the item weights."""
        default = None
        if sp.issparse(self.item_weights_):
            share = self.popularity_ / (self.popularity_.max() + 1)
            default = _LOWEST * (1 - share)
        return ItemWeightsRanker(self._weigh_items, self.item_weights_, default)

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items to whose scores an item contributes most.

        Parameters
        ----------
        items : id or array-like of ids
            Items that `fit` saw.
        k : int, default=10
            Number of items for each. Items without a stored weight are left out.

        Returns
        -------
        similar : DataFrame with columns item, similar_item, score, rank
            The score is the weight in the item's row of `item_weights_`.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see an item, or `k` is no int of at least 1.
        """
        check_is_fitted(self)

        def score(indices: Codes) -> Scores:
            weights = self.item_weights_[indices]
            if not sp.issparse(weights):
                return weights.copy()
            scores = np.full(weights.shape, -np.inf, weights.dtype)
            scores[stored_places(weights)] = weights.data
            return scores

        return most_similar("item", items, self.items_, k, score)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "item_weights_": self.item_weights_,
            "user_items_": None if self.user_items_ is None else vars(self.user_items_),
            "decay": None if self._decay is None else vars(self._decay),
            "length": self._length,
        }

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        n_users, n_items = len(self.users_), len(self.items_)
        weights = state.matrix("item_weights_", (n_items, n_items))
        past = decay = None
        if state.has("user_items_"):
            past = restore_user_items(state.part("user_items_"), n_users, n_items)
        if state.has("decay"):
            decay = restore_span(state.part("decay"))
            if past is None or (decay.in_time and past.seconds is None):
                raise damaged_file_error("it has a decay, but lacks the items or times that decay")
        self._length = state.integer("length", 1) if state.has("length") else None
        self.item_weights_, self.user_items_, self._decay = weights, past, decay

    def _weigh_items(self, users: Codes) -> sp.csr_array:
        """Return the weight of each item in the histories of users, shape (n, n_items)."""
        if self.user_items_ is None or self._decay is None:
            return self.seen_[users]
        shape = self._length, len(self.items_)
        weights = self.user_items_.weigh_last(users, self._decay, *shape)
        return weights if self._repeats_count else _largest_of_repeats(weights)

    def _fold_in(self, codes: Codes, new: UserItems, seen: sp.csr_array) -> None:
        if self.user_items_ is not None:
            self.user_items_ = self.user_items_.take(codes).followed_by(new)

    def _check_order_of_interactions(self, new: Interactions) -> None:
        if self._decay is None or len(new) == 0:
            return
        _require_order(new.ordered, "interactions", self.decay)
        if self._decay.in_time:
            require_timestamps(new.timestamps, self.decay, "decay", "interactions")


def check_order(rows: EncodedRows, decay: Any) -> Span:
    """Read the decay of a recommender, and raise if the rows lack the order or times it needs."""
    span = read_span(decay, "decay")
    _require_order(rows.ordered, "X", decay)
    if span.in_time:
        require_timestamps(rows.timestamps, decay, "decay", "X")
    return span


def read_order(rows: EncodedRows, decay: Any) -> tuple[UserItems | None, Span | None]:
    """Return the history of each user and the decay; None for both without decay."""
    if decay is None:
        return None, None
    span = check_order(rows, decay)
    return UserItems.of_rows(rows, with_seconds=span.in_time)[0], span


def _require_order(ordered: bool, table: str, decay: Any) -> None:
    if not ordered:
        raise ValueError(
            f"{table} must be a table whose rows have an order in time: decay={decay!r} counts a "
            "user's last items most. Received a sparse matrix. Pass a table of user and item, each "
            "user's oldest row first or with timestamps."
        )


@dataclass(frozen=True)
class ItemWeightsRanker:
    """Score items by the weighted sum of item weights over the items of a user.

    Attributes
    ----------
    weigh_items : callable
        Takes n indices of users and returns the weight of each item in their histories, a
        csr_array of shape (n, n_items).
    weights : ndarray or csr_array of shape (n_items, n_items)
        What an item in the user's history (row) adds to the score of another one (column).
    default : ndarray of shape (n_items,) or None
        The score of each item whose sum is 0; None leaves it at 0.
    """

    weigh_items: Callable[[Codes], sp.csr_array]
    weights: NDArray[np.floating[Any]] | sp.csr_array
    default: Scores | None = None

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        product: Any = self.weigh_items(users).astype(self.weights.dtype) @ self.weights
        scores: Scores = product if isinstance(product, np.ndarray) else product.toarray()
        if self.default is not None:
            np.copyto(scores, self.default.astype(scores.dtype), where=scores == 0)
        return scores

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of users, shape (n,), with candidates, shape (n, n_candidates)."""
        return candidate_scores(self.score_items, self.weights.shape[1], users, items)


def users_in_common(seen: sp.csr_array) -> sp.csr_array:
    """Count the users that have seen both items of each pair, shape (n_items, n_items)."""
    counts = seen.astype(np.float64)
    return sp.csr_array(counts.T @ counts)


def _largest_of_repeats(matrix: sp.csr_array) -> sp.csr_array:
    """Keep the largest of the values that are stored for the same row and column."""
    rows, columns = stored_places(matrix)
    order = np.lexsort((-matrix.data, columns, rows))
    rows, columns, values = rows[order], columns[order], matrix.data[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    return sp.csr_array((values[first], (rows[first], columns[first])), shape=matrix.shape)
