"""Training rows with users and items as indices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from neumf.interactions.column_names import match_labels
from neumf.interactions.features import SideFeatures, join_features
from neumf.interactions.reading import read_input
from neumf.interactions.seen import count_users, seen_matrix
from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import Timelines, read_timelines, time_order
from neumf.interactions.user_items import UserItems
from neumf.interactions.vocabulary import index_ids
from neumf.utils.arrays import Float32s, Float64s, Indices
from neumf.utils.validation import check_index, check_labels, check_weights, warn_caller


@dataclass(frozen=True)
class EncodedRows:
    """The rows given to `fit` or `partial_fit`, as indices."""

    user_ids: pd.Index  # the id of each user, by index
    item_ids: pd.Index
    users: Indices  # the index of each row's user
    items: Indices
    timestamps: NDArray[Any] | None  # None: row order is time order
    ordered: bool = True  # False: the rows have no order in time
    labels: Float32s | None = None  # `y`
    weights: Float32s | None = None  # `sample_weight`
    ticks_per_second: int = 1  # unit of the timestamps
    user_features: SideFeatures | None = None
    item_features: SideFeatures | None = None
    # `n_features_in_` and, if all names are strings, `feature_names_in_`, as in scikit-learn
    columns: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def encode(
        cls, rows: Interactions, users: tuple[Indices, pd.Index], items: tuple[Indices, pd.Index]
    ) -> EncodedRows:
        """Combine rows with the index of each row's user and item, and the ids by index."""
        encoded = cls(users[1], items[1], users[0], items[0], rows.timestamps, rows.ordered)
        return replace(encoded, ticks_per_second=rows.ticks_per_second)

    def with_labels(self, y: Any, sample_weight: Any) -> EncodedRows:
        """Return the rows with labels and weights, after a check of both."""
        n_rows = len(self.users)
        return replace(
            self,
            labels=None if y is None else check_labels(y, n_rows),
            weights=None if sample_weight is None else check_weights(sample_weight, n_rows),
        )

    @cached_property
    def user_items(self) -> tuple[UserItems, Indices]:
        """The items of all positives by user and time, and the row of each of them."""
        order = time_order(self.users, self.timestamps)
        if self.positive is not None:
            order = order[self.positive[order]]
        seconds = None if self.seconds is None else self.seconds[order]
        users, items = self.users[order], self.items[order]
        return UserItems.of_sorted_rows(users, items, seconds, self.shape[0]), order

    def attributes(self, seen: sp.csr_array) -> dict[str, Any]:
        """Return the fitted attributes that all recommenders share, by name."""
        popularity = count_users(seen)
        return self.columns | {
            "users_": self.user_ids,
            "items_": self.item_ids,
            "seen_": seen,
            "popularity_": popularity,
            "popularity_logits_": logit((popularity + 1) / (self.shape[0] + 2)),  # Laplace's rule
            "has_timestamps_": self.timestamps is not None,
            "user_items_": None if self.timestamps is None else self.user_items[0],
        }

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and of items."""
        return len(self.user_ids), len(self.item_ids)

    @cached_property
    def positive(self) -> NDArray[np.bool_] | None:
        """Mask of the rows with a label above 0; None if all rows are positives."""
        return None if self.labels is None else self.labels > 0

    @property
    def seconds(self) -> Float64s | None:
        """Timestamps in seconds, for datetimes since 1970; None without timestamps."""
        if self.timestamps is None:
            return None
        seconds: Float64s = np.divide(self.timestamps, self.ticks_per_second, dtype=np.float64)
        return seconds

    @cached_property
    def seen(self) -> sp.csr_array:
        """Seen items: a boolean matrix of shape (n_users, n_items) of the positives."""
        return seen_matrix(self.users, self.items, self.shape, self.positive)

    @property
    def known_pairs(self) -> sp.csr_array:
        """Pairs that candidates of held-out rows leave out: seen items, and items labelled 0."""
        return self.seen if self.labels is None else seen_matrix(self.users, self.items, self.shape)

    @cached_property
    def timelines(self) -> Timelines | None:
        """The position of each row in time; None if the rows have no order."""
        if not self.ordered:
            return None
        return read_timelines(self.users, self.timestamps, self.shape[0], self.positive)

    def with_features(self, of_users: Any, of_items: Any) -> EncodedRows:
        """Add features from two tables; ids that are only in a table get the last indices."""
        rows = self
        for side, table in (("user", of_users), ("item", of_items)):
            if table is not None:
                name, known = f"{side}_features", getattr(self, f"{side}_ids")
                ids, features = join_features(table, name, side, known)
                changed: dict[str, Any] = {f"{side}_ids": ids, name: features}
                rows = replace(rows, **changed)
        return rows

    def hold_out(self, random: np.random.Generator | None = None) -> tuple[EncodedRows, Indices]:
        """Return the rows without `last_rows`, and the positions of these."""
        held_out = self.last_rows(random)
        return self.without(held_out), held_out

    def last_rows(self, random: np.random.Generator | None = None) -> Indices:
        """Return the positions of the last positive of each user who has at least two.

        If a generator is given, it draws the order of rows without timestamps.
        """
        timelines, held_out = self.timelines, np.empty(0, np.intp)
        if random is not None and self.timestamps is None:
            order = random.permutation(len(self.users))
            timelines = read_timelines(self.users, order, self.shape[0], self.positive)
        if timelines is not None:
            is_last = (timelines.from_last() == 0) & (timelines.counts[self.users] > 1)
            if self.positive is not None:
                is_last &= self.positive
            held_out = np.flatnonzero(is_last)
        return held_out

    def without(self, held_out: Indices) -> EncodedRows:
        """Return the other rows; `held_out` has at most one positive of each user."""
        columns: dict[str, Any] = {}
        for name in ("users", "items", "timestamps", "labels", "weights"):
            column = getattr(self, name)
            columns[name] = None if column is None else np.delete(column, held_out)
        kept = replace(self, **columns)
        if self.timelines is not None:
            # A negative keeps its position in time, even if its positive is held out.
            vars(kept)["timelines"] = self.timelines.without(held_out)
        return kept


def read_rows(X: Any, y: Any = None, sample_weight: Any = None) -> EncodedRows:
    """Read the arguments of `fit`, and replace ids by indices.

    .. versionadded:: 0.1

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
        Interactions. Like all functions that return no rows of X, this one also reads the path of
        a Parquet file or of a folder of Parquet files, a `pyarrow.dataset.Dataset`, and a dask
        DataFrame. It reads them once, part by part; files of a folder are sorted by path.
        `EncodedRows` are returned unchanged.
    y : array-like of shape (n_samples,) or None, default=None
        Labels in [0, 1]; rows above 0 are positives. None makes all rows positives.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weight of each row, at least 0 and below 1e30.

    Returns
    -------
    rows : EncodedRows
        With the attributes

        - `user_ids`, `item_ids`: the id of each user and item, by index;
        - `users`, `items`: the index of each row's user and item;
        - `timestamps`: numbers that grow with time; None where row order is time order;
        - `ordered`: False if the rows have no order in time, as in a sparse matrix;
        - `labels`, `weights`: `y` and `sample_weight` as arrays, or None;
        - `seen`: boolean csr_array of shape (n_users, n_items), the items of each user's positives;
        - `shape`: the tuple (n_users, n_items).

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
    if isinstance(X, EncodedRows):  # from a recommender that contains others
        return X
    check_index("y", y, X)
    check_index("sample_weight", sample_weight, X)
    rows = read_input(X)
    labels = [] if y is not None else match_labels(list(getattr(X, "columns", [])))
    if labels:
        warn_caller(
            f"X has a column {labels[0]!r}, which is not read: every row counts as a positive. "
            f"Pass the labels as y=X[{labels[0]!r}], or drop the column."
        )
    encoded = EncodedRows.encode(rows, index_ids(rows.users), index_ids(rows.items))
    encoded = encoded.with_labels(y, sample_weight)
    probe = BaseEstimator()
    validate_data(probe, X if rows.header is None else rows.header, skip_check_array=True)
    return replace(encoded, columns=dict(vars(probe)))


def keep_rows(recommender: Any, rows: EncodedRows, **learned: Any) -> None:
    """Set all fitted attributes at once, as the last step of `fit`.

    .. versionadded:: 0.1

    Parameters
    ----------
    recommender : BaseRecommender
        Receives the attributes listed in :class:`neumf.base.BaseRecommender`.
    rows : EncodedRows
        Rows that :func:`read_rows` returned.
    **learned : Any
        Further fitted attributes, by name.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> from neumf.base import keep_rows, read_rows
    >>> recommender = PopularityRecommender()
    >>> keep_rows(recommender, read_rows([["a", "x"], ["b", "x"], ["a", "y"]]), n_rows_=3)
    >>> recommender.popularity_.tolist(), recommender.n_rows_
    ([2, 1], 3)
    """
    recommender._commit(rows.attributes(rows.seen) | learned)
