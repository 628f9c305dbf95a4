"""Rows that are learned from, as indices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf._arrays import Codes, Float32s, Float64s
from neumf._validation import check_labels, check_weights
from neumf.interactions.features import SideFeatures, join_features
from neumf.interactions.seen import seen_matrix
from neumf.interactions.tables import Interactions


@dataclass(frozen=True)
class EncodedRows:
    """The rows given to `fit` or `partial_fit`, as indices.

    Attributes
    ----------
    user_ids, item_ids : Index
        The id of each user and item, by index.
    users, items : ndarray of shape (n_samples,)
        Indices.
    timestamps : ndarray of shape (n_samples,) or None
        None where row order is time order.
    ordered : bool
        False if the rows tell nothing about time.
    labels : ndarray of shape (n_samples,) or None
        `y`.
    weights : ndarray of shape (n_samples,) or None
        `sample_weight`.
    ticks_per_second : int
        How many units of the timestamps make a second.
    user_features, item_features : SideFeatures or None
        What is known of users and items.
    header : DataFrame of shape (0, n_columns) or None
        The columns of a table that is not in memory; None where the table itself tells.
    """

    user_ids: pd.Index
    item_ids: pd.Index
    users: Codes
    items: Codes
    timestamps: NDArray[Any] | None
    ordered: bool
    labels: Float32s | None
    weights: Float32s | None
    ticks_per_second: int = 1
    user_features: SideFeatures | None = None
    item_features: SideFeatures | None = None
    header: pd.DataFrame | None = None

    @classmethod
    def encode(
        cls,
        rows: Interactions,
        users: tuple[Codes, pd.Index],
        items: tuple[Codes, pd.Index],
        y: Any,
        sample_weight: Any,
    ) -> EncodedRows:
        """Put indices in the place of ids, and check labels and weights."""
        return cls(
            users[1],
            items[1],
            users[0],
            items[0],
            rows.timestamps,
            rows.ordered,
            labels=None if y is None else check_labels(y, len(rows)),
            weights=None if sample_weight is None else check_weights(sample_weight, len(rows)),
            ticks_per_second=rows.ticks_per_second,
            header=rows.header,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and of items."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def positive(self) -> NDArray[np.bool_] | None:
        """Which rows are positives: those with a label above 0; None means all."""
        return None if self.labels is None else self.labels > 0

    @property
    def seconds(self) -> Float64s | None:
        """The timestamps in seconds, of datetimes those since 1970; None without timestamps."""
        return None if self.timestamps is None else self.timestamps / self.ticks_per_second

    @cached_property
    def seen(self) -> sp.csr_array:
        """The items of each user's positives."""
        users, items = self.users, self.items
        if self.positive is not None:
            users, items = users[self.positive], items[self.positive]
        return seen_matrix(users, items, self.shape)

    def with_user_features(self, table: Any) -> EncodedRows:
        """Return the rows with what a table tells of users; those it alone names come last."""
        ids, known = join_features(table, "user_features", "user", self.user_ids)
        return replace(self, user_ids=ids, user_features=known)

    def with_item_features(self, table: Any) -> EncodedRows:
        """Return the rows with what a table tells of items; those it alone names come last."""
        ids, known = join_features(table, "item_features", "item", self.item_ids)
        return replace(self, item_ids=ids, item_features=known)

    def without(self, rows: Codes) -> EncodedRows:
        """Return all rows but these; users and items keep their index."""
        kept = np.ones(len(self.users), dtype=bool)
        kept[rows] = False

        def take(column: Any) -> Any:
            return None if column is None else column[kept]

        return replace(
            self,
            users=take(self.users),
            items=take(self.items),
            timestamps=take(self.timestamps),
            labels=take(self.labels),
            weights=take(self.weights),
        )
