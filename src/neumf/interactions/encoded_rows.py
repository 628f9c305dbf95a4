"""The rows given to `fit`, as indices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf._arrays import Codes
from neumf._validation import check_labels, check_weights
from neumf.interactions.seen import seen_matrix
from neumf.interactions.tables import Interactions


@dataclass(frozen=True)
class EncodedRows:
    """The rows given to `fit`, as indices.

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
    """

    user_ids: pd.Index
    item_ids: pd.Index
    users: Codes
    items: Codes
    timestamps: NDArray[Any] | None
    ordered: bool
    labels: NDArray[np.float32] | None
    weights: NDArray[np.float32] | None

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
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and of items."""
        return len(self.user_ids), len(self.item_ids)

    @property
    def positive(self) -> slice | NDArray[np.bool_]:
        """Selects the rows that are positives: all, or those with a label above 0."""
        return slice(None) if self.labels is None else self.labels > 0

    @property
    def timelines(self) -> tuple[Codes, Codes, NDArray[Any] | None, Any, int]:
        """Users, items, timestamps, positives and the number of users: what histories take."""
        return self.users, self.items, self.timestamps, self.positive, len(self.user_ids)

    @cached_property
    def seen(self) -> sp.csr_array:
        """The items of each user's positives."""
        return seen_matrix(self.users[self.positive], self.items[self.positive], self.shape)

    def without(self, rows: Codes | NDArray[np.bool_]) -> EncodedRows:
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
