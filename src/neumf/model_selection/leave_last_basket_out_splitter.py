"""Hold out the last basket of every user."""

from __future__ import annotations

import numpy as np

from neumf.interactions.tables import Interactions
from neumf.interactions.vocabulary import index_ids
from neumf.model_selection.base import (
    LeaveLastSplitter,
    Units,
    dense_ranks,
    require_timestamps,
)


class LeaveLastBasketOutSplitter(LeaveLastSplitter):
    """Split interactions so that all rows of each user's latest timestamp are the test rows.

    .. versionadded:: 0.1

    A scikit-learn cross-validator, for ``cv=``, of tables in which a user does several things at
    once: the goods of an order, the ratings of a page, the reviews of a day. A basket is all rows
    of a user with one timestamp; no basket stands on both sides. The first split tests on the last
    `n_last` baskets of each user and trains on all before them, the second tests on the `n_last`
    before those, and so on: what one split tests on, no later split trains on.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits.
    n_last : int, default=1
        Number of baskets held out per user and split.
    min_train : int, default=1
        Number of baskets that must remain for training for a user to be tested. A user with too few
        for a split is not tested there; the rows that no earlier split has tested stay in train.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    LeaveLastOutSplitter : Holds out single rows.
    TimeSplitter : Cuts the calendar.

    Notes
    -----
    The time is the column ``timestamp`` (or ``unixReviewTime``) of a DataFrame or an Arrow table.
    Where times are finer than the baskets are, as those of single clicks, round them first, for
    example to days.

    Each user's held-out rows are one query of a scorer; `recall` and `ndcg` fit it. If users buy
    again what they have bought, measure with ``exclude_seen=False``.

    References
    ----------
    Rendle, Freudenthaler, Schmidt-Thieme (2010), Factorizing personalized Markov chains for
    next-basket recommendation, WWW, doi 10.1145/1772690.1772773.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import LeaveLastBasketOutSplitter
    >>> X = pd.DataFrame({"user": ["a", "a", "b", "a", "a"], "item": [1, 2, 3, 4, 1],
    ...                   "timestamp": [10, 30, 10, 30, 20]})
    >>> splitter = LeaveLastBasketOutSplitter()
    >>> train, test = next(splitter.split(X))
    >>> train.tolist(), test.tolist()
    ([0, 2, 4], [1, 3])
    >>> splitter.fit_transform(X)["rank"].tolist()  # the number of the basket
    [1, 3, 1, 3, 2]
    """

    _unit = "basket"

    def __init__(self, n_splits: int = 1, n_last: int = 1, min_train: int = 1) -> None:
        self.n_splits = n_splits
        self.n_last = n_last
        self.min_train = min_train

    def _read_units(self, rows: Interactions) -> Units:
        instead = "hold out single rows by their order, with LeaveLastOutSplitter"
        require_timestamps(rows, "LeaveLastBasketOutSplitter", instead)
        users, ids = index_ids(rows.users)
        ranks = dense_ranks(rows)
        counts = np.zeros(len(ids), np.int64)
        np.maximum.at(counts, users, ranks)
        return Units(users, counts[users] - ranks, counts)
