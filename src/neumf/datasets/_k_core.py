"""Keep only users and items that have enough interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.tables import read_table, take_rows
from neumf.interactions.vocabulary import index_ids
from neumf.utils.arrays import Indices
from neumf.utils.validation import check_int


def filter_k_core(X: Any, k: int) -> Any:
    """Keep the users and items that have at least k interactions with each other.

    .. versionadded:: 0.1

    The function repeatedly drops users and items with fewer than `k` interactions, until all others
    have at least `k`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features >= 2)
        Interactions. Further columns are kept.
    k : int
        Least number of interactions of a user or an item, at least 1. Every row counts, also if it
        repeats a pair of user and item.

    Returns
    -------
    DataFrame, Arrow table or ndarray
        The remaining rows of `X` in their order, with all columns and the index.

    Raises
    ------
    ValueError, TypeError
        If `k` is not an int of at least 1, or X is empty, lacks a column or holds a missing id.

    References
    ----------
    .. [1] S. B. Seidman, "Network structure and minimum degree", Social Networks 5(3), 1983,
       doi 10.1016/0378-8733(83)90028-X.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf.datasets import filter_k_core
    >>> X = pd.DataFrame({"user": ["a", "a", "b", "b", "c"], "item": [1, 2, 1, 2, 1]})
    >>> filter_k_core(X, 2)
      user  item
    0    a     1
    1    a     2
    2    b     1
    3    b     2
    """
    check_int("k", k, 1)
    interactions = read_table(X, with_timestamps=False)
    users, items = index_ids(interactions.users)[0], index_ids(interactions.items)[0]
    rows = np.arange(len(users))

    def are_frequent(indices: Indices) -> NDArray[np.bool_]:
        return np.bincount(indices[rows])[indices[rows]] >= k

    while not (kept := are_frequent(users) & are_frequent(items)).all():
        rows = rows[kept]
    return take_rows(X, rows)
