"""What is known of users or items: tables of features, beside the ids of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from neumf.interactions.ids import check_ids, lookup_ids, show
from neumf.utils.arrays import Codes, Ids, as_index


@dataclass(frozen=True)
class SideFeatures:
    """What is known of the users, or of the items, by index.

    Attributes
    ----------
    values : csr_array of float64 of shape (n, n_columns)
        Of columns of comparable scale; zeros where nothing is known.
    known : ndarray of bool of shape (n,)
        Of which the table has a row.
    """

    values: sp.csr_array
    known: NDArray[np.bool_]


def join_features(
    table: Any, argument: str, word: str, ids: pd.Index
) -> tuple[pd.Index, SideFeatures]:
    """Return the ids with those of a table behind them, and what the table says of all.

    Parameters
    ----------
    table : DataFrame
        A row for each id, which is its index or its column `word`; the other columns are features.
    argument : str
        The name of the parameter, for errors.
    word : str
        "user" or "item".
    ids : Index
        The ids of the rows, by index.

    Raises
    ------
    ValueError, TypeError
        If the table cannot be read, or names none of the ids.
    """
    of_table, columns = _read_ids(table, argument, word)
    codes = lookup_ids(of_table, ids, f"{argument}: ids")
    if (codes < 0).all():
        raise ValueError(
            f"{argument} must tell of {word}s of X, by the same ids. Received {len(of_table)} ids "
            f"such as {show(of_table, 0)}, and X has {word}s such as {show(ids, 0)}, of which none "
            "is in the table. Set the ids as the index of the table, for example with set_index."
        )
    values = _read_numbers(columns, argument)
    others = codes < 0
    if others.any():
        codes = codes.copy()
        codes[others] = len(ids) + np.arange(np.count_nonzero(others))
        ids = ids.append(as_index(of_table[others]))
    return ids, _spread(values, codes, len(ids))


def _spread(values: sp.csr_array, codes: Codes, n: int) -> SideFeatures:
    """Return the rows of a table in the places of the codes."""
    places = sp.csr_array(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n, len(codes))
    )
    known = np.zeros(n, dtype=bool)
    known[codes] = True
    return SideFeatures(sp.csr_array(places @ values), known)


def _read_ids(table: Any, argument: str, word: str) -> tuple[Ids, pd.DataFrame]:
    """Return the ids of a table, and its other columns."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"{argument} must be a DataFrame with a row for each {word}, whose index are the ids. "
            f"Received: {type(table).__name__}."
        )
    labels = table[word] if word in table.columns else table.index.to_series()
    ids = check_ids(labels.reset_index(drop=True).infer_objects(), f"{argument}: ids")
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(
            f"{argument} must have one row for each {word}. Received several of "
            f"{show(ids, row)}, again in row {row} ({int(repeated.sum())} such rows). Drop them, "
            "for example with table[~table.index.duplicated()]."
        )
    columns = table.drop(columns=word, errors="ignore")
    if columns.shape[1] == 0 or len(ids) == 0:
        raise ValueError(
            f"{argument} must have at least one row, and one column beside the ids. Received a "
            f"table of shape {table.shape}."
        )
    return ids, columns


def _read_numbers(columns: pd.DataFrame, argument: str) -> sp.csr_array:
    """Return the columns as a matrix; refuse what are no finite numbers."""
    for name, dtype in columns.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            raise ValueError(
                f"{argument} must hold numbers or booleans. Received column {name!r} of dtype "
                f"{dtype}. Encode categories with scikit-learn's OneHotEncoder or "
                "MultiLabelBinarizer, and texts with TfidfVectorizer."
            )
    matrix: Any = _as_matrix(columns)
    bad = ~np.isfinite(matrix.data)
    if bad.any():
        place = int(np.argmax(bad))
        row = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
        name = columns.columns[matrix.indices[place]]
        raise ValueError(
            f"{argument} must hold finite numbers. Received {matrix.data[place]} in column "
            f"{name!r}, row {row} ({int(bad.sum())} such values). Fill them, for "
            "example with scikit-learn's SimpleImputer."
        )
    return _scaled(matrix, columns)


def _as_matrix(columns: pd.DataFrame) -> sp.csr_array:
    """Return the columns as a matrix; those that are sparse are not filled."""
    is_sparse = np.array(
        [isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0 for dtype in columns.dtypes]
    )
    dense = columns.loc[:, ~is_sparse].to_numpy(dtype=np.float64, na_value=np.nan)
    parts = [(~is_sparse, dense)]
    if is_sparse.any():
        accessor: Any = columns.loc[:, is_sparse].sparse
        parts.append((is_sparse, accessor.to_coo()))
    return _side_by_side(parts)


def _scaled(matrix: sp.csr_array, columns: pd.DataFrame) -> sp.csr_array:
    """Return columns of comparable scale: those within -1 and 1 are as they were.

    Others are standardised, dense ones, or divided by their largest value, sparse ones, whose zeros
    must stay zeros.
    """
    wide = abs(matrix).max(axis=0).toarray().ravel() > 1
    dense = np.array([not isinstance(dtype, pd.SparseDtype) for dtype in columns.dtypes])
    if not wide.any():
        return matrix
    turned = matrix.tocsc()
    parts = [(~wide, turned[:, ~wide])]
    if (wide & dense).any():
        scaled = StandardScaler().fit_transform(turned[:, wide & dense].toarray())
        parts.append((wide & dense, scaled))
    if (wide & ~dense).any():
        parts.append((wide & ~dense, MaxAbsScaler().fit_transform(turned[:, wide & ~dense])))
    return _side_by_side(parts)


def _side_by_side(parts: list[tuple[NDArray[np.bool_], Any]]) -> sp.csr_array:
    """Return one matrix of parts, each with the places that its columns have in it."""
    places = np.concatenate([np.flatnonzero(of_part) for of_part, _ in parts])
    joined = sp.hstack([sp.csc_array(part, dtype=np.float64) for _, part in parts])
    return sp.csr_array(sp.csc_array(joined)[:, np.argsort(places)])
