"""Hold out the last interactions of every user."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import read_timelines
from neumf.interactions.vocabulary import index_ids
from neumf.model_selection.base import LeaveLastSplitter, Units
from neumf.utils.arrays import Indices
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_option, warn_caller

# Share of users whose held-out rows row order may decide without a warning.
_MANY_TIES = 0.1


class LeaveLastOutSplitter(LeaveLastSplitter):
    """Hold out each user's latest interactions.

    .. versionadded:: 0.1

    Pass this cross-validator to scikit-learn as ``cv=``. The first split tests on the last `n_last`
    rows of each user, and trains on all rows before them. The second split tests on the `n_last`
    rows before these, and so on. No split trains on rows that an earlier split tests.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits.
    n_last : int, default=1
        Number of rows held out per user and split.
    min_train : int, default=1
        Least number of training rows of a tested user. A split does not test a user with too few
        rows. It trains on those rows of the user that no earlier split tests.
    ties : {"warn", "row_order", "shuffle"}, default="warn"
        Order of a user's rows with equal timestamps:

        - "row_order": the order of the table;
        - "warn": the same, with a warning if row order decides the held-out rows of more than a
          tenth of the users in the first split;
        - "shuffle": a random order.
    random_state : int, RandomState, Generator or None, default=None
        Seed of "shuffle". With an int, every call draws the same order; with None, another one.

    Attributes
    ----------
    n_features_in_, feature_names_in_
        Number of columns of X in `fit`, and their names if all names are strings.

    See Also
    --------
    LeaveLastBasketOutSplitter : Holds out all rows of a user's last timestamp.
    TimeSplitter : Splits by calendar time.

    Notes
    -----
    Time order comes from the timestamps of X. Without them, row order within a user is time order.

    Equal timestamps are common: in MovieLens and Amazon, two users in five have several rows at
    their last timestamp. Row order may then follow the item ids. With "shuffle", the split does not
    depend on row order. :class:`LeaveLastBasketOutSplitter` holds out all rows of the last
    timestamp.

    Leave-last-out is the protocol of the NCF paper, see :class:`NeuMFRecommender`. A training row
    of one user may be later than the test row of another. :class:`TimeSplitter` avoids that.

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
    >>> splitter.fit_transform(X)["rank"].tolist()
    [3, 1, 1, 2]
    """

    _unit = "row"

    def __init__(
        self,
        n_splits: int = 1,
        n_last: int = 1,
        min_train: int = 1,
        ties: Literal["warn", "row_order", "shuffle"] = "warn",
        random_state: RandomState = None,
    ) -> None:
        self.n_splits = n_splits
        self.n_last = n_last
        self.min_train = min_train
        self.ties = ties
        self.random_state = random_state

    @property
    def shuffle(self) -> bool:
        """Whether calls of `split` may differ; scikit-learn's halving searches read it."""
        return self.ties == "shuffle"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_option("ties", self.ties, ("warn", "row_order", "shuffle"))

    def _read_units(self, rows: Interactions) -> Units:
        users, ids = index_ids(rows.users)
        if self.ties != "shuffle" or rows.timestamps is None:
            timelines = read_timelines(users, rows.timestamps, len(ids))
            return Units(users, timelines.from_last(), timelines.counts)
        # Sorting by time keeps the order of ties, so random row order breaks ties at random.
        drawn = make_generator(self.random_state).permutation(len(users))
        timelines = read_timelines(users[drawn], rows.timestamps[drawn], len(ids))
        from_last = np.empty(len(users), dtype=np.int32)
        from_last[drawn] = timelines.from_last()
        return Units(users, from_last, timelines.counts)

    def _warn_of_ties(
        self, rows: Interactions, users: Indices, kept: NDArray[np.bool_], test: NDArray[np.bool_]
    ) -> None:
        if self.ties != "warn" or rows.timestamps is None:
            return
        newest_kept = pd.Series(rows.timestamps[kept]).groupby(users[kept]).max()
        oldest_tested = pd.Series(rows.timestamps[test]).groupby(users[test]).min()
        # `reindex` would turn nanoseconds into floats.
        both = oldest_tested.index.intersection(newest_kept.index)
        share = (oldest_tested[both] == newest_kept[both]).sum() / len(oldest_tested)
        if share > _MANY_TIES:
            warn_caller(
                f"X: {share:.0%} of the {len(oldest_tested)} tested users have a held-out row and "
                "a training row with the same timestamp, and the order of the table decides which "
                "one is held out. If the table is in order of time, set ties='row_order'. If not, "
                "set ties='shuffle', or hold out all rows of the last timestamp with "
                "LeaveLastBasketOutSplitter."
            )
