"""Hold out all interactions of some items."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.tables import read_interactions
from neumf.interactions.vocabulary import index_ids
from neumf.model_selection.base import InteractionSplitter
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_int, check_real


class ColdItemSplitter(InteractionSplitter):
    """Split interactions so that the test rows are all those of some items.

    .. versionadded:: 0.1

    A scikit-learn cross-validator, for ``cv=``. Each split draws items by lot; all their rows are
    test rows, all other rows are training rows. So training knows nothing of the items that are
    tested, as of those that come new into a catalogue: they are cold. No item is tested twice.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : float or None, default=None
        The share of the items that a split holds out, above 0 and below 1; ``n_splits * test_size``
        must be at most 1. None is ``1 / n_splits``: each item is tested in one of the splits.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draw. An int draws the same items at every call; None draws anew.

    See Also
    --------
    hr_scorer, ndcg_scorer : With ``candidates="cold"`` they rank the held-out items among those
        that training did not see.
    LeaveLastOutSplitter : Holds out each user's last interactions, of items that are known.
    sklearn.model_selection.GroupKFold : The same for groups in general, of equal numbers of rows.

    Notes
    -----
    All items have the same chance, however many rows they have: the share of the rows that is held
    out differs from split to split, more so where a few items have most of the rows. Which items
    are drawn depends on the order in which X names them first.

    A recommender can only find cold items whose features it has, such as the `item_features` of
    :class:`NeuMFRecommender`, :class:`NextItemRecommender` or :class:`ContentKNNRecommender`. For
    others they are no part of the catalogue, and the test rows are misses.

    Each row of X is in the test rows or in the training rows, also where a user has no other
    interactions than with held-out items. Without training rows such users are unknown, and their
    test rows are misses, which the scorers count in a warning: the same ones for all recommenders.
    To leave them out, keep ``X_test[X_test["user"].isin(X_train["user"])]``.

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
        ValueError, TypeError
            If X is a sparse matrix or has too few items, or a parameter is out of range.
        """
        share = self._share()
        rows = read_interactions(X, with_timestamps=False)
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
                f"X must have more items: each of {self.n_splits} split(s) is to hold out "
                f"{share:.3g} of them, at least one item, and to keep another. Received "
                f"{len(ids)} item(s). Set a lower n_splits, or another test_size."
            )
        drawn = make_generator(self.random_state).permutation(len(ids))
        for start, stop in pairwise(bounds):
            held_out = np.zeros(len(ids), dtype=bool)
            held_out[drawn[start:stop]] = True
            yield np.flatnonzero(~held_out[items]), np.flatnonzero(held_out[items])

    def _share(self) -> float:
        """Check the parameters, and return the share of the items that a split holds out."""
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
                "for more draws, split with several random_state."
            )
        return float(self.test_size)
