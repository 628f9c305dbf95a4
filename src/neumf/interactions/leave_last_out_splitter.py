"""Hold out the last interactions of every user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf._validation import check_int
from neumf.interactions.ids import index_ids
from neumf.interactions.tables import Interactions, add_column, read_interactions, take_rows
from neumf.interactions.timeline import read_timelines


class LeaveLastOutSplitter(
    OneToOneFeatureMixin, TransformerMixin, BaseEstimator, BaseCrossValidator
):
    """Split interactions so that each user's latest ones are the test rows.

    A scikit-learn cross-validator, for ``cv=``. The first split tests on the last `n_last` rows of
    each user and trains on all before them. The second tests on the `n_last` rows before those and
    trains on all before *them*, and so on: what one split tests on, no later split trains on.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits.
    n_last : int, default=1
        Number of rows held out per user and split.
    min_train : int, default=1
        Number of training rows that must remain for a user to be tested. A user with too few rows
        for a split is not tested there; the rows that no earlier split has tested stay in train.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.

    Notes
    -----
    Time order comes from the column ``timestamp`` (or ``unixReviewTime``) of a DataFrame or an
    Arrow table. Without it, and in arrays, row order within a user is time order: where nothing
    names a column, it may as well hold ratings. Columns of datetimes that go by another name are
    warned about. Equal timestamps keep row order: the later row of the table counts as later and
    is held out first.

    Leave-last-out is the protocol of the NeuMF paper. It cuts each user's own timeline; it does
    not cut the calendar, so a training row of one user may be later than the test row of another.

    References
    ----------
    He, Liao, Zhang, Nie, Hu, Chua (2017), Neural Collaborative Filtering, WWW,
    doi 10.1145/3038912.3052569.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import LeaveLastOutSplitter
    >>> X = pd.DataFrame({"user": ["a", "a", "b", "a"], "item": [1, 2, 3, 4],
    ...                   "timestamp": [30, 10, 10, 20]})
    >>> splitter = LeaveLastOutSplitter()
    >>> train, test = next(splitter.split(X))
    >>> train.tolist(), test.tolist()
    ([1, 2, 3], [0])
    >>> X_train, X_test = splitter.train_test_split(X)
    >>> X_test
      user  item  timestamp
    0    a     1         30
    >>> splitter.fit_transform(X)
      user  item  timestamp  rank
    0    a     1         30     3
    1    a     2         10     1
    2    b     3         10     1
    3    a     4         20     2
    """

    def __init__(self, n_splits: int = 1, n_last: int = 1, min_train: int = 1) -> None:
        self.n_splits = n_splits
        self.n_last = n_last
        self.min_train = min_train

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
            Number of splits.
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Generate positions of the training and test rows, each in the order of the table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.
        y, groups : object
            Ignored.

        Yields
        ------
        train : ndarray of shape (n_train,)
            Positions of the training rows.
        test : ndarray of shape (n_test,)
            Positions of the test rows.

        Raises
        ------
        ValueError
            If no user has enough rows for a split, or a parameter is out of range.
        """
        self._check_parameters()
        rows = _read_ordered(X)
        users, ids = index_ids(rows.users)
        timelines = read_timelines(users, rows.timestamps, len(ids))
        from_last, counts = timelines.from_last, timelines.counts
        # A user is tested in as many splits as leave min_train rows before them.
        n_tested = np.minimum((counts - self.min_train) // self.n_last, self.n_splits)
        for j in range(1, self.n_splits + 1):
            n_held_out = self.n_last * np.minimum(n_tested, j)[users]
            test = (from_last < n_held_out) & (from_last >= self.n_last * (j - 1))
            if not test.any():
                raise ValueError(
                    f"No user can be tested in split {j} of {self.n_splits}: that takes "
                    f"{self.min_train + j * self.n_last} rows of one user (min_train="
                    f"{self.min_train}, n_last={self.n_last}). The longest timeline of X has "
                    f"{counts.max()} row(s) ({len(counts)} users). Lower a parameter."
                )
            yield np.flatnonzero(from_last >= n_held_out), np.flatnonzero(test)

    def train_test_split(self, X: Any) -> tuple[Any, Any]:
        """Return the training and the test table of the first split.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.

        Returns
        -------
        X_train, X_test : DataFrame, Arrow table or ndarray
            Tables of the type of X (arrays if X is a list), rows in the order of X.

        Raises
        ------
        ValueError
            If no user has enough rows, or a parameter is out of range.
        """
        train, test = next(self.split(X))
        return take_rows(X, train), take_rows(X, test)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the table; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.
        y : None
            Ignored.

        Returns
        -------
        self : LeaveLastOutSplitter
            The splitter.

        Raises
        ------
        ValueError
            If the table cannot be read, or a parameter is out of range.
        """
        self._check_parameters()
        _read_ordered(X)
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: Any) -> Any:
        """Add the column ``rank``: the place of each row in its user's timeline.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.

        Returns
        -------
        X_ranked : DataFrame, Arrow table or ndarray of shape (n_samples, n_features + 1)
            A copy of X with its dense rank by time as the last column: 1 is the user's oldest
            row, rows with equal timestamps share a rank, the next one follows without a gap.
        """
        check_is_fitted(self)
        return add_column(X, "rank", _dense_ranks(_read_ordered(X)))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns that `transform` gives; "rank" is there once.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X; None takes those seen in `fit`.

        Returns
        -------
        feature_names_out : ndarray of str objects
            The names that came in, and "rank".
        """
        names: NDArray[np.object_] = super().get_feature_names_out(input_features)
        return names if "rank" in names else np.append(names, np.array("rank", object))

    def _check_parameters(self) -> None:
        check_int("n_splits", self.n_splits, 1)
        check_int("n_last", self.n_last, 1)
        check_int("min_train", self.min_train, 0)


def _read_ordered(X: Any) -> Interactions:
    rows = read_interactions(X)
    if not rows.ordered:
        raise ValueError(
            "X must be a table whose rows have an order in time. Received a sparse matrix. Pass a "
            "DataFrame or an array of user, item and timestamp."
        )
    return rows


def _dense_ranks(rows: Interactions) -> NDArray[np.int64]:
    users, ids = index_ids(rows.users)
    if rows.timestamps is None:
        return 1 + read_timelines(users, None, len(ids)).places.astype(np.int64)
    ranks = pd.Series(rows.timestamps).groupby(users).rank(method="dense")
    return ranks.to_numpy(dtype=np.int64)
