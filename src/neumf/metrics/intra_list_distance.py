"""Compute how dissimilar the items of a list are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from neumf.interactions.id_checks import check_ids
from neumf.interactions.vocabulary import index_ids, indices_of
from neumf.utils.arrays import as_index, repr_of_row
from neumf.utils.validation import describe


def intra_list_distance(recommendations: pd.DataFrame, item_features: pd.DataFrame) -> float:
    r"""Compute the mean cosine distance between the items of a list.

    .. versionadded:: 0.1

    Parameters
    ----------
    recommendations : DataFrame
        Lists, as `recommend` returns them. Only the columns `user` and `item` are read.
    item_features : DataFrame of shape (n_items, n_columns)
        Finite numbers, dense or sparse, indexed by item: features such as genres, or item vectors.

    Returns
    -------
    distance : float
        Mean over lists of the mean over the pairs of their items, from 0 to 2, or to 1 if no number
        is negative. Lists of one item do not count; NaN if no list has several items.

    Raises
    ------
    ValueError, TypeError
        If a table is not a DataFrame, lacks a column or an item, or holds something else than
        finite numbers.

    Notes
    -----
    The distance of a list L is

    .. math:: \frac{2}{|L| (|L| - 1)} \sum_{\{i, j\} \subseteq L}
        \left( 1 - \frac{x_i \cdot x_j}{\|x_i\| \, \|x_j\|} \right),

    one minus the intra-list similarity of Ziegler et al. (2005). An item whose features are all 0
    has the distance 1 from all others.

    References
    ----------
    Ziegler, McNee, Konstan, Lausen (2005), Improving recommendation lists through topic
    diversification, WWW, doi 10.1145/1060745.1060754.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf.metrics import intra_list_distance
    >>> genres = pd.DataFrame({"war": [1, 1, 0], "love": [0, 0, 1]}, index=["x", "y", "z"])
    >>> lists = pd.DataFrame({"user": [1, 1, 2, 2], "item": ["x", "y", "x", "z"]})
    >>> intra_list_distance(lists, genres)  # 0 for the list of user 1, 1 for user 2
    0.5
    """
    units = normalize(_read_numbers(item_features))
    users, items = _read_columns(recommendations)
    of_items = indices_of(items, as_index(item_features.index.to_numpy()))
    if (of_items < 0).any():
        raise ValueError(
            "item_features must have a row for each recommended item, by its id as index. Received "
            f"none for {repr_of_row(items, int(np.argmin(of_items)))} "
            f"({int((of_items < 0).sum())} such rows)."
        )
    of_lists, ids = index_ids(users)
    shape = len(ids), len(units) if isinstance(units, np.ndarray) else units.shape[0]
    lists = sp.csr_array((np.ones(len(items)), (of_lists, of_items)), shape=shape)
    sizes = np.bincount(of_lists, minlength=len(ids))
    # |sum of x|^2 is the sum of |x|^2 plus twice the sum over pairs.
    twice_pairs = _squares(lists @ units) - lists @ _squares(units)
    several = sizes > 1
    if not several.any():
        return float("nan")
    n_pairs = (sizes * (sizes - 1))[several]
    return float(np.mean(1 - twice_pairs[several] / n_pairs))


def _read_columns(recommendations: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the users and the items of the lists."""
    columns = getattr(recommendations, "columns", ())
    if not isinstance(recommendations, pd.DataFrame) or not {"user", "item"} <= {*columns}:
        raise TypeError(
            "recommendations must be a DataFrame with the columns user and item, such as recommend "
            f"returns. Received: {describe(recommendations)} with the columns {list(columns)}."
        )
    user, item = (
        check_ids(recommendations[name].reset_index(drop=True), f"recommendations: {name} ids")
        for name in ("user", "item")
    )
    return user, item


def _read_numbers(item_features: Any) -> NDArray[Any] | sp.csr_array:
    if not isinstance(item_features, pd.DataFrame):
        raise TypeError(
            "item_features must be a DataFrame indexed by item. Received: "
            f"{describe(item_features)}. Item vectors become one by "
            "pd.DataFrame(vectors, index=model.items_)."
        )
    matrix: NDArray[Any] | sp.csr_array
    if all(isinstance(dtype, pd.SparseDtype) for dtype in item_features.dtypes):
        accessor: Any = item_features.sparse
        matrix = sp.csr_array(accessor.to_coo())
        numbers = matrix.data
    else:
        matrix = numbers = item_features.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(
            "item_features must hold finite numbers. Received NaN or infinity. Fill them, for "
            "example with fillna."
        )
    return matrix


def _squares(matrix: Any) -> NDArray[np.float64]:
    """Return the squared length of each row of a dense or sparse matrix."""
    return np.asarray((matrix**2).sum(axis=1))
