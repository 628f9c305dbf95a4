"""Read feature tables, and match them with the users or items of X."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from neumf.interactions.column_names import match_names
from neumf.interactions.columns import is_of
from neumf.interactions.id_checks import check_ids
from neumf.interactions.vocabulary import join_ids, lookup_ids
from neumf.utils.arrays import Ids, as_index, find_not_finite, repr_of_row


@dataclass(frozen=True)
class SideFeatures:
    """The features of the users, or of the items, by index."""

    values: sp.csr_array  # float64, columns of comparable scale; 0 for ids without a row
    known: NDArray[np.bool_]  # mask of the ids with a row in the table


def join_features(
    table: Any, argument: str, side: str, ids: pd.Index
) -> tuple[pd.Index, SideFeatures]:
    """Append new ids of a feature table to the known ids; return all ids and their features.

    The ids of the table are the column that names users (or items), or else the index.
    """
    frame = _as_frame(table, argument, side)
    of_table, columns = _read_ids(frame, argument, side, ids)
    indices = lookup_ids(of_table, ids, f"{argument}: ids").copy()
    others = indices < 0
    if others.all():
        raise ValueError(
            f"{argument} must describe {side}s of X, by the same ids. Received {len(of_table)} ids "
            f"such as {repr_of_row(of_table, 0)}, but no {side} of X, such as "
            f"{repr_of_row(ids, 0)}. Set the ids as the index of the table, for example with "
            "set_index."
        )
    values = _read_numbers(columns, argument)
    indices[others] = len(ids) + np.arange(np.count_nonzero(others))
    if others.any():
        ids = join_ids(ids, as_index(of_table[others]), f"{argument}: ids")
    rows = np.arange(len(indices))
    spread = sp.csr_array((np.ones(len(rows)), (indices, rows)), shape=(len(ids), len(rows)))
    known = np.zeros(len(ids), dtype=bool)
    known[indices] = True
    return ids, SideFeatures(sp.csr_array(spread @ values), known)


def _as_frame(table: Any, argument: str, side: str) -> pd.DataFrame:
    """Return a table of pandas, polars or Arrow as a DataFrame of pandas."""
    is_other = is_of(table, "polars", "DataFrame") or is_of(table, "pyarrow", "Table")
    frame = table.to_pandas() if is_other else table
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"{argument} must be a DataFrame of pandas or polars, or an Arrow table, with a row "
            f"for each {side} and a column of ids, or ids as the index. Received: "
            f"{type(table).__name__}."
        )
    return frame


def _read_ids(
    table: pd.DataFrame, argument: str, side: str, known: pd.Index
) -> tuple[Ids, pd.DataFrame]:
    """Return the ids of a table, and its other columns."""
    column = _find_ids(table, argument, side, known)
    labels = table.index.to_series() if column is None else table[column]
    ids = check_ids(labels.reset_index(drop=True).infer_objects(), f"{argument}: ids")
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(
            f"{argument} must have one row for each {side}. Received several rows for "
            f"{repr_of_row(ids, row)}, again in row {row} ({int(repeated.sum())} such rows). Drop "
            "them, for example with table[~table.index.duplicated()]."
        )
    columns = table if column is None else table.drop(columns=column)
    if columns.shape[1] == 0 or len(ids) == 0:
        raise ValueError(
            f"{argument} must have at least one row, and a column besides the ids. Received a "
            f"table of shape {table.shape}."
        )
    return ids, columns


def _find_ids(table: pd.DataFrame, argument: str, side: str, known: pd.Index) -> Any:
    """Return the name of the column of ids; None if the index holds them."""
    names, index = list(table.columns), table.index
    found = [names[position] for position in match_names(names, side)]
    if len(found) > 1:
        raise ValueError(
            f"{argument} must have one column of {side} ids. Received {found}, which all name "
            f"{side}s. Drop or rename all but one."
        )
    is_default = index.name is None and index.equals(pd.RangeIndex(len(index)))
    if not found:
        if is_default and isinstance(index, pd.RangeIndex):
            raise ValueError(
                f"{argument} must say which {side} each row describes. Received columns "
                f"{names}, none of which names {side}s, and a default index. Rename the column "
                f"of ids to {side!r}, or set the index: {argument}.set_index(...), or "
                f"{argument}.rename_axis({side!r}) if the row numbers are the ids."
            )
        return None
    if is_default or not _holds_any(index, known):
        return found[0]
    if not _holds_any(table[found[0]], known):
        return None
    raise ValueError(
        f"{argument} can be read in two ways: its column {found[0]!r} and its index both hold "
        f"{side}s of X. Call reset_index(drop=True) if the column holds the ids, or drop the "
        "column if the index does."
    )


def _holds_any(labels: Any, known: pd.Index) -> bool:
    """Tell whether any label is a known id."""
    return bool(known.isin(list(labels)).any())


def _read_numbers(columns: pd.DataFrame, argument: str) -> sp.csr_array:
    """Return the columns as a matrix; refuse values other than finite numbers."""
    for name, dtype in columns.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            raise ValueError(
                f"{argument} must hold numbers or booleans. Received column {name!r} of dtype "
                f"{dtype}. Encode categories with scikit-learn's OneHotEncoder or "
                "MultiLabelBinarizer, and texts with TfidfVectorizer."
            )
    # Sparse columns stay sparse, to save memory.
    is_sparse = np.array(
        [isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0 for dtype in columns.dtypes]
    )
    dense = columns.loc[:, ~is_sparse].to_numpy(dtype=np.float64, na_value=np.nan)
    parts = [(~is_sparse, dense)]
    if is_sparse.any():
        accessor: Any = columns.loc[:, is_sparse].sparse
        parts.append((is_sparse, accessor.to_coo()))
    matrix = _side_by_side(parts)
    bad = find_not_finite(matrix)
    if bad is not None:
        row, column, value, count = bad
        raise ValueError(
            f"{argument} must hold finite numbers. Received {value} in column "
            f"{columns.columns[column]!r}, row {row} ({count} such values). Fill them, for "
            "example with scikit-learn's SimpleImputer."
        )
    return _scaled(matrix, columns)


def _scaled(matrix: sp.csr_array, columns: pd.DataFrame) -> sp.csr_array:
    """Standardise columns with values beyond [-1, 1]; only scale sparse ones, to keep zeros."""
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
    """Join pairs of (mask of columns, matrix of these columns) into one matrix."""
    positions = np.concatenate([np.flatnonzero(of_part) for of_part, _ in parts])
    joined = sp.hstack([sp.csc_array(part, dtype=np.float64) for _, part in parts])
    return sp.csr_array(sp.csc_array(joined)[:, np.argsort(positions)])
