"""A table of what is known of items, beside the items of the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from neumf._arrays import Ids
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.ids import as_index, check_ids, lookup_ids, show


def extend_catalogue(rows: EncodedRows, table: Any) -> tuple[EncodedRows, sp.csr_array]:
    """Return rows whose catalogue has the items of the table too, and the features of all.

    The items that only the table names stand behind the others, in its order. The features have the
    shape (n_items, n_columns), with zeros for items that the table does not name.

    Raises
    ------
    ValueError, TypeError
        If the table cannot be read, or names no item of the rows.
    """
    ids, features = _read(table)
    codes = lookup_ids(ids, rows.item_ids, "item_features: ids")
    if (codes < 0).all():
        raise ValueError(
            "item_features must tell of items of X, by the same ids. Received "
            f"{len(ids)} ids such as {show(ids, 0)}, and X has items such as "
            f"{show(rows.item_ids, 0)}, of which none is in the table. Set the ids as the index of "
            "the table, for example with set_index."
        )
    cold = codes < 0
    n_items = len(rows.item_ids) + int(cold.sum())
    places = codes.copy()
    places[cold] = np.arange(len(rows.item_ids), n_items)
    spread = sp.csr_array(
        (np.ones(len(ids)), (places, np.arange(len(ids)))), shape=(n_items, len(ids))
    )
    catalogue = rows.item_ids.append(as_index(ids[cold])) if cold.any() else rows.item_ids
    return replace(rows, item_ids=catalogue), sp.csr_array(spread @ features)


def _read(table: Any) -> tuple[Ids, sp.csr_array]:
    """Return the ids and the numbers of a table."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            "item_features must be a DataFrame with a row for each item, whose index are the ids. "
            f"Received: {type(table).__name__}."
        )
    labels = table["item"] if "item" in table.columns else table.index.to_series()
    ids = check_ids(labels.reset_index(drop=True).infer_objects(), "item_features: ids")
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(
            "item_features must have one row for each item. Received several of "
            f"{show(ids, row)}, again in row {row} ({int(repeated.sum())} such rows). Drop them, "
            "for example with table[~table.index.duplicated()]."
        )
    columns = table.drop(columns="item", errors="ignore")
    if columns.shape[1] == 0 or len(ids) == 0:
        raise ValueError(
            "item_features must have at least one row, and one column beside the ids. Received a "
            f"table of shape {table.shape}."
        )
    return ids, _read_numbers(columns)


def _read_numbers(columns: pd.DataFrame) -> sp.csr_array:
    """Return the columns as a matrix; refuse what are no finite numbers."""
    for name, dtype in columns.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            raise ValueError(
                f"item_features must hold numbers or booleans. Received column {name!r} of dtype "
                f"{dtype}. Encode categories with scikit-learn's OneHotEncoder or "
                "MultiLabelBinarizer, and texts with TfidfVectorizer."
            )
    if all(isinstance(dtype, pd.SparseDtype) for dtype in columns.dtypes):
        accessor: Any = columns.sparse
        matrix: Any = sp.csr_array(accessor.to_coo(), dtype=np.float64)
    else:
        matrix = sp.csr_array(columns.to_numpy(dtype=np.float64, na_value=np.nan))
    bad = ~np.isfinite(matrix.data)
    if bad.any():
        place = int(np.argmax(bad))
        row = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
        name = columns.columns[matrix.indices[place]]
        raise ValueError(
            f"item_features must hold finite numbers. Received {matrix.data[place]} in column "
            f"{name!r}, row {row} ({int(bad.sum())} such values). Fill them, for "
            "example with scikit-learn's SimpleImputer."
        )
    csr: sp.csr_array = matrix
    return csr
