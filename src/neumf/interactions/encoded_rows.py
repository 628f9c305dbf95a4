"""Rows that are learned from, as indices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.features import SideFeatures, join_features
from neumf.interactions.ids import index_ids
from neumf.interactions.reading import read_input
from neumf.interactions.seen import seen_matrix
from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import Timelines, read_timelines
from neumf.utils.arrays import Codes, Float32s, Float64s
from neumf.utils.validation import check_labels, check_weights


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
    def read(cls, X: Any, y: Any = None, sample_weight: Any = None) -> EncodedRows:
        """Read a table, labels and weights."""
        rows = read_input(X)
        return cls.encode(rows, index_ids(rows.users), index_ids(rows.items), y, sample_weight)

    @classmethod
    def encode(
        cls,
        rows: Interactions,
        users: tuple[Codes, pd.Index],
        items: tuple[Codes, pd.Index],
        y: Any,
        sample_weight: Any,
    ) -> EncodedRows:
        """Join indices with the ids they stand for, and check labels and weights."""
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

    @cached_property
    def positive(self) -> NDArray[np.bool_] | None:
        """Which rows are positives: those with a label above 0; None means all."""
        return None if self.labels is None else self.labels > 0

    @property
    def seconds(self) -> Float64s | None:
        """The timestamps in seconds, of datetimes those since 1970; None without timestamps."""
        if self.timestamps is None:
            return None
        seconds: Float64s = np.divide(self.timestamps, self.ticks_per_second, dtype=np.float64)
        return seconds

    @cached_property
    def seen(self) -> sp.csr_array:
        """The items of each user's positives."""
        return seen_matrix(self.users, self.items, self.shape, self.positive)

    @cached_property
    def timelines(self) -> Timelines | None:
        """The position of each row in time; None if the rows have no order."""
        if not self.ordered:
            return None
        return read_timelines(self.users, self.timestamps, self.shape[0], self.positive)

    def with_features(self, of_users: Any, of_items: Any) -> EncodedRows:
        """Return the rows with what tables tell of users and of items; None tells nothing."""
        rows = self if of_users is None else self.with_user_features(of_users)
        return rows if of_items is None else rows.with_item_features(of_items)

    def with_user_features(self, table: Any) -> EncodedRows:
        """Return the rows with what a table tells of users; those it alone names come last."""
        ids, known = join_features(table, "user_features", "user", self.user_ids)
        return replace(self, user_ids=ids, user_features=known)

    def with_item_features(self, table: Any) -> EncodedRows:
        """Return the rows with what a table tells of items; those it alone names come last."""
        ids, known = join_features(table, "item_features", "item", self.item_ids)
        return replace(self, item_ids=ids, item_features=known)

    def without_last(self, last: Codes) -> EncodedRows:
        """Return all rows but these, each the last positive of its user.

        Users and items keep their index, and the other rows their position in time.
        """
        columns: dict[str, Any] = {}
        for name in ("users", "items", "timestamps", "labels", "weights"):
            column = getattr(self, name)
            columns[name] = None if column is None else np.delete(column, last)
        kept = replace(self, **columns)
        if self.timelines is not None:
            # A row labelled 0 keeps the positive that it was drawn for, though this one goes.
            vars(kept)["timelines"] = self.timelines.without_last(last)
        return kept


def read_rows(X: Any, y: Any = None, sample_weight: Any = None) -> EncodedRows:
    """Read what `fit` is given.

    .. versionadded:: 0.1

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
        Interactions. What is array-like here, and in all of the library where no rows of a table
        are returned, may also be the path of a Parquet file or of a folder of such files, a
        `pyarrow.dataset.Dataset`, or a DataFrame of dask. These are read once, part by part,
        the files of a folder in the order of their paths.
    y : array-like of shape (n_samples,) or None, default=None
        Labels in [0, 1]; rows above 0 are positives. None makes all rows positives.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the rows.

    Returns
    -------
    rows : EncodedRows
        With the attributes

        - `user_ids`, `item_ids`: the id of each user and item, by index;
        - `users`, `items`: the index of each row's user and item;
        - `timestamps`: numbers that grow with time; None where row order is time order;
        - `ordered`: False if the rows tell nothing about time;
        - `labels`, `weights`: `y` and `sample_weight` as arrays, or None;
        - `seen`: csr_array of bool of shape (n_users, n_items), the items of each user's positives;
        - `shape`: number of users and of items.

    Raises
    ------
    ValueError, TypeError, OSError
        If X, y or sample_weight cannot be read.

    Examples
    --------
    >>> from neumf.base import read_rows
    >>> rows = read_rows([["a", "x"], ["b", "x"], ["a", "y"]])
    >>> rows.users.tolist(), rows.items.tolist(), rows.shape
    ([0, 1, 0], [0, 0, 1], (2, 2))
    """
    return EncodedRows.read(X, y, sample_weight)
