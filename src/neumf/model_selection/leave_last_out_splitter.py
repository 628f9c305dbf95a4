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

# A warning is due if row order decides what is held out for more than this share of the users.
_MANY_TIES = 0.1


class LeaveLastOutSplitter(LeaveLastSplitter):
    """Hold out each user's latest interactions.

    .. versionadded:: 0.1

    A scikit-learn cross-validator, for ``cv=``. The first split tests on the last `n_last` rows of
    each user and trains on all before them. The second tests on the `n_last` rows before those, and
    so on: no later split trains on what an earlier one tests.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits.
    n_last : int, default=1
        Number of rows held out per user and split.
    min_train : int, default=1
        Number of training rows that must remain for a user to be tested. A user with too few rows
        for a split is not tested there; the rows that no earlier split has tested stay in train.
    ties : {"warn", "row_order", "shuffle"}, default="warn"
        Which of a user's rows with equal timestamps counts as the later one:

        - "row_order": the later row of the table;
        - "warn": the same, with a warning if this decides for more than a tenth of the users what
          the first split holds out;
        - "shuffle": a random one.
    random_state : int, RandomState, Generator or None, default=None
        Seed of "shuffle". An int draws the same order at every call; None draws anew.

    Attributes
    ----------
    n_features_in_, feature_names_in_
        Number of columns of X in `fit`, and their names, where all are strings.

    See Also
    --------
    LeaveLastBasketOutSplitter : Holds out all rows of a user's last timestamp.
    TimeSplitter : Splits by calendar time.

    Notes
    -----
    Time order comes from the timestamps of X. Without them, row order within a user is time order.

    Equal timestamps are common: in MovieLens and Amazon, two users in five have several rows at
    their last timestamp. Row order may then follow the item ids. "shuffle" makes the split
    independent of it, and :class:`LeaveLastBasketOutSplitter` holds out all of these rows.

    Leave-last-out is the protocol of the paper of :class:`NeuMFRecommender`. A training row of one
    user may be later than the test row of another; :class:`TimeSplitter` rules that out.

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
        # Equal times keep the order of the rows, so a table in random order breaks ties at random.
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
        # Not by `reindex`, which would make floats of nanoseconds.
        both = oldest_tested.index.intersection(newest_kept.index)
        share = (oldest_tested[both] == newest_kept[both]).sum() / len(oldest_tested)
        if share > _MANY_TIES:
            warn_caller(
                f"X: {share:.0%} of the {len(oldest_tested)} tested users have a held-out row with "
                "the timestamp of a row that stays in train: which of them is held out, the order "
                "of the table decides. Set ties='shuffle' to draw it, hold out all of them with "
                "LeaveLastBasketOutSplitter, or, if the table is in order of time, set "
                "ties='row_order'."
            )
