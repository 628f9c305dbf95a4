"""Hold out the last basket of every user."""

from __future__ import annotations

import numpy as np

from neumf.interactions.request_times import require_timestamps
from neumf.interactions.tables import Interactions
from neumf.interactions.vocabulary import index_ids
from neumf.model_selection.base import LeaveLastSplitter, Units, dense_ranks


class LeaveLastBasketOutSplitter(LeaveLastSplitter):
    """Hold out all rows of each user's latest timestamp.

    .. versionadded:: 0.1

    Pass this cross-validator to scikit-learn as ``cv=``. A basket is all rows of a user with the
    same timestamp, such as the goods of an order or the reviews of a day. The class splits like
    :class:`LeaveLastOutSplitter`, with baskets instead of rows.

    Parameters
    ----------
    n_splits, n_last, min_train
        See :class:`LeaveLastOutSplitter`; `n_last` and `min_train` count baskets.

    Attributes
    ----------
    n_features_in_, feature_names_in_
        Number of columns of X in `fit`, and their names if all names are strings.

    See Also
    --------
    LeaveLastOutSplitter : Holds out single rows.
    TimeSplitter : Splits by calendar time.

    Notes
    -----
    X must have timestamps. If they are finer than the baskets, round them first, for example to
    days.

    A scorer ranks all held-out rows of a user as one query. Suitable metrics are recall and NDCG.
    If users buy the same items again, score with ``exclude_seen=False``.

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
    >>> splitter.fit_transform(X)["rank"].tolist()
    [1, 3, 1, 3, 2]
    """

    _unit = "basket"

    def __init__(self, n_splits: int = 1, n_last: int = 1, min_train: int = 1) -> None:
        self.n_splits = n_splits
        self.n_last = n_last
        self.min_train = min_train

    def _read_units(self, rows: Interactions) -> Units:
        instead = "hold out single rows by their order, with LeaveLastOutSplitter"
        reason = "LeaveLastBasketOutSplitter splits by time"
        require_timestamps(rows.timestamps, "X", reason, instead)
        users, ids = index_ids(rows.users)
        ranks = dense_ranks(rows)
        counts = np.zeros(len(ids), np.int64)
        np.maximum.at(counts, users, ranks)
        return Units(users, counts[users] - ranks, counts)
