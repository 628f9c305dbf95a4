"""Hold out all interactions of some items."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from neumf.interactions.tables import read_table
from neumf.interactions.vocabulary import index_ids
from neumf.model_selection.base import InteractionSplitter, Masks
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_int, check_real


class ColdItemSplitter(InteractionSplitter):
    """Hold out all interactions of randomly drawn items.

    .. versionadded:: 0.1

    Pass this cross-validator to scikit-learn as ``cv=``. The items of the test rows have no
    training rows, like new items of a catalogue. No item is tested in two splits.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : float or None, default=None
        Share of the items that each split holds out, above 0 and below 1. The product
        ``n_splits * test_size`` must be at most 1. None means ``1 / n_splits``: each item is tested
        in one split.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draw. With an int, every call draws the same items; with None, other ones.

    See Also
    --------
    hr_scorer, ndcg_scorer : With ``candidates="cold"`` they rank the held-out items among the
        items without training rows.
    LeaveLastOutSplitter : Holds out each user's last interactions.
    sklearn.model_selection.GroupKFold : Holds out groups of rows, with splits of equal size.

    Notes
    -----
    All items have the same probability to be held out, whatever their number of rows. The number of
    test rows therefore differs between splits. The draw depends on the order in which the items
    first appear in X.

    Only recommenders with `item_features` can find cold items: :class:`NeuMFRecommender`,
    :class:`NextItemRecommender` and :class:`ContentKNNRecommender`. For other recommenders, all
    test rows are misses. Test rows of users without training rows are misses too. To leave them
    out, keep ``X_test[X_test["user"].isin(X_train["user"])]``.

    References
    ----------
    Schein, Popescul, Ungar, Pennock (2002), Methods and metrics for cold-start recommendations,
    SIGIR, doi 10.1145/564376.564421.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import ColdItemSplitter
    >>> X = pd.DataFrame({"user": ["a", "a", "b", "b", "c"], "item": [1, 2, 1, 3, 2]})
    >>> [test.tolist() for _, test in ColdItemSplitter(3, random_state=0).split(X)]
    [[3], [0, 2], [1, 4]]
    >>> X_train, X_test = ColdItemSplitter(1, test_size=0.3, random_state=0).train_test_split(X)
    >>> X_test
      user  item
    3    b     3
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        test_size: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.random_state = random_state

    def _masks(self, X: Any) -> Iterator[Masks]:
        share = self._share()
        rows = read_table(X, with_timestamps=False)
        if not rows.ordered:
            raise ValueError(
                "X must be a table with a row per interaction. Received a sparse matrix, whose "
                "rows are users and cannot be split by items. Pass a DataFrame or an array of user "
                "and item."
            )
        items, ids = index_ids(rows.items)
        bounds = np.rint(np.arange(self.n_splits + 1) * share * len(ids)).astype(int)
        if not np.diff(bounds).all() or np.diff(bounds).max() == len(ids):
            raise ValueError(
                f"X must have more items: each of {self.n_splits} split(s) must hold out a share "
                f"of {share:.3g}, which is at least one item but not all items. Received "
                f"{len(ids)} item(s). Set a lower n_splits, or another test_size."
            )
        drawn = make_generator(self.random_state).permutation(len(ids))
        for start, stop in pairwise(bounds):
            held_out = np.zeros(len(ids), dtype=bool)
            held_out[drawn[start:stop]] = True
            yield ~held_out[items], held_out[items]

    def _share(self) -> float:
        """Check the parameters; return the share of the items that a split holds out."""
        check_int("n_splits", self.n_splits, 1)
        if self.test_size is None:
            if self.n_splits == 1:
                raise ValueError(
                    "n_splits must be at least 2 without test_size: one split would hold out all "
                    "items. Received: 1. Set test_size, for example to 0.1."
                )
            return 1 / self.n_splits
        check_real("test_size", self.test_size, above=0, below=1)
        if self.n_splits * self.test_size > 1 + 1e-9:
            raise ValueError(
                f"test_size must be at most 1 / n_splits, since no item is held out twice. "
                f"Received: {self.test_size!r} with n_splits={self.n_splits}. Lower one of them; "
                "for more splits, use several values of random_state."
            )
        return float(self.test_size)
