"""Base classes of the splitters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self, TypeVar, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.interactions.request_times import require_order, warn_of_row_order
from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import Interactions, read_table, take_rows
from neumf.interactions.timeline import read_timelines
from neumf.interactions.vocabulary import index_ids
from neumf.utils.arrays import Indices
from neumf.utils.validation import check_int

_Table = TypeVar("_Table")

# Masks of the training rows and of the test rows.
Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]


class InteractionSplitter(BaseEstimator, BaseCrossValidator, ABC):
    """Base of cross-validators that hold out interactions."""

    n_splits: int

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits; the parameters are ignored."""
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Generate the positions of training and test rows for each split.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.
        y, groups : object
            Ignored.

        Yields
        ------
        train : ndarray of shape (n_train,)
            Positions of the training rows, in the order of X.
        test : ndarray of shape (n_test,)
            Positions of the test rows, in the order of X.

        Raises
        ------
        ValueError, TypeError
            If X is a sparse matrix, a split has no training or test rows, or a parameter is out of
            range.
        """
        for train, test in self._masks(X):
            yield np.flatnonzero(train), np.flatnonzero(test)

    @abstractmethod
    def _masks(self, X: Any) -> Iterator[Masks]:
        """Yield masks of the training and test rows of each split."""

    @overload
    def train_test_split(self, X: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]: ...

    @overload
    def train_test_split(self, X: _Table) -> tuple[_Table, _Table]: ...

    def train_test_split(self, X: Any) -> tuple[Any, Any]:
        """Split a table into a training table and a test table, by the first split.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.

        Returns
        -------
        X_train, X_test : DataFrame, Arrow table or ndarray
            Tables of the type of X (arrays if X is a list), rows in the order of X.
        """
        train, test = next(self.split(X))
        return take_rows(X, train), take_rows(X, test)


class Units(NamedTuple):
    """The units of each user that are held out together: single rows, or baskets."""

    users: Indices  # the user of each row
    from_last: Indices  # for each row, the number of later units of its user
    counts: Indices  # number of units of each user


class LeaveLastSplitter(OneToOneFeatureMixin, TransformerMixin, InteractionSplitter):
    """Base of splitters that hold out the last units, rows or baskets, of each user.

    A subclass sets `_unit`, the name of a unit in errors, and defines `_read_units`.
    """

    _unit: str
    n_last: int
    min_train: int

    def _masks(self, X: Any) -> Iterator[Masks]:
        self._check_parameters()
        rows = self._read(X)
        users, from_last, counts = self._read_units(rows)
        # A split tests a user only if at least min_train units remain for training.
        n_tested = np.minimum((counts - self.min_train) // self.n_last, self.n_splits)
        for j in range(1, self.n_splits + 1):
            kept = from_last >= self.n_last * np.minimum(n_tested, j)[users]
            test = ~kept & (from_last >= self.n_last * (j - 1))
            if not test.any():
                raise ValueError(
                    f"No user can be tested in split {j} of {self.n_splits}: a user needs "
                    f"{self.min_train + j * self.n_last} {self._unit}s (min_train="
                    f"{self.min_train}, n_last={self.n_last}). The longest timeline of X has "
                    f"{counts.max()} {self._unit}(s) ({len(counts)} users). Lower n_splits, n_last "
                    "or min_train."
                )
            if j == 1:
                self._warn_of_ties(rows, users, kept, test)
            yield kept, test

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the table and the parameters; there is nothing to learn."""
        self._check_parameters()
        read_ordered(X)
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: Any) -> Any:
        """Add the column ``rank``: the rank of each row in its user's timeline.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.

        Returns
        -------
        X_ranked : DataFrame, Arrow table or ndarray of shape (n_samples, n_features + 1)
            A copy of X with the dense rank by time as the last column. The user's oldest row has
            rank 1, and rows with equal timestamps share a rank.
        """
        check_is_fitted(self)
        return open_table(X).with_new_column("rank", dense_ranks(self._read(X)))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that `transform` returns."""
        names: NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names if "rank" in names else np.append(names, np.array("rank", object))

    def _read(self, X: Any) -> Interactions:
        """Read a table; warn if it has no timestamps, so that the order of its rows counts."""
        rows = read_ordered(X)
        what = f"{type(self).__name__} splits by time"
        warn_of_row_order(rows, what, "split at random, for example with train_test_split")
        return rows

    def _check_parameters(self) -> None:
        check_int("n_splits", self.n_splits, 1)
        check_int("n_last", self.n_last, 1)
        check_int("min_train", self.min_train, 0)

    @abstractmethod
    def _read_units(self, rows: Interactions) -> Units:
        """Read the units of each user."""

    def _warn_of_ties(
        self, rows: Interactions, users: Indices, kept: NDArray[np.bool_], test: NDArray[np.bool_]
    ) -> None:
        """Warn about ties between training and test rows of the first split."""


def read_ordered(X: Any) -> Interactions:
    """Read a table; raise if its rows have no order in time."""
    rows = read_table(X)
    require_order(rows.ordered, "X", "", "a DataFrame or an array of user, item and timestamp")
    return rows


def dense_ranks(rows: Interactions) -> NDArray[np.int64]:
    """Return the dense rank, from 1, of each row's timestamp among its user's timestamps."""
    users, ids = index_ids(rows.users)
    if rows.timestamps is None:
        return 1 + read_timelines(users, None, len(ids)).positions.astype(np.int64)
    ranks = pd.Series(rows.timestamps).groupby(users).rank(method="dense")
    return ranks.to_numpy(dtype=np.int64)
