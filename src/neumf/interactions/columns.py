"""Convert collections of values of any library into pandas Series or arrays of ids."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.id_checks import check_ids, narrow_ints
from neumf.interactions.vocabulary import lookup_ids
from neumf.utils.arrays import Ids, Indices, object_array, repr_of_row
from neumf.utils.validation import warn_caller


def read_ids(ids: Any, argument: str, vocabulary: pd.Index) -> Ids:
    """Read one id or a collection of ids; a tuple is one id if the vocabulary has tuples."""
    rule = f"{argument} must be one id or a one-dimensional collection of ids"
    if len(getattr(ids, "shape", ())) > 1:
        raise ValueError(
            f"{rule}. Received {type(ids).__name__} of shape {ids.shape}. Pass one column."
        )
    # A server requests few users at a time: building a Series would take as long as the ranking.
    labels = ids if type(ids) is list else [ids]
    kinds = set(map(type, labels))
    if kinds == {str}:
        return object_array(labels)
    if kinds in ({int}, {np.int64}):
        return narrow_ints(labels)
    if isinstance(ids, pd.MultiIndex) and not isinstance(vocabulary[0], tuple):
        raise ValueError(
            f"{rule}. Received a MultiIndex with the levels {list(ids.names)}. Pass one level, for "
            f"example {argument}=index.get_level_values(0)."
        )
    is_one_tuple = isinstance(ids, tuple) and isinstance(vocabulary[0], tuple)
    if is_one_tuple or not pd.api.types.is_list_like(ids):
        ids = [ids]
    column = native(read_column(ids)).infer_objects()
    if column.dtype.kind == "b":
        known = "users_" if argument == "users" else "items_"
        raise ValueError(
            f"{argument} must hold ids. Received {len(column)} boolean(s), which look like a mask. "
            f"Pass the ids themselves, for example {argument}={known}[mask]."
        )
    return check_ids(column, argument)


def barred_items(catalogue: pd.Index, allow: Any, deny: Any) -> Indices:
    """Return the indices of items that must not be recommended; ignore unknown ids."""
    barred = np.full(len(catalogue), allow is not None)
    for ids, argument in ((allow, "allow"), (deny, "deny")):
        if ids is not None:
            indices = lookup_ids(read_ids(ids, argument, catalogue), catalogue, argument)
            barred[indices[indices >= 0]] = argument == "deny"
    return np.flatnonzero(barred)


def pinned_items(catalogue: pd.Index, pin: Any) -> Indices:
    """Return the indices of pinned items, each once; leave out unknown ids, with a warning."""
    if pin is None:
        return np.empty(0, np.intp)
    ids = read_ids(pin, "pin", catalogue)
    indices = lookup_ids(ids, catalogue, "pin")
    unknown = ids[indices < 0]
    if len(unknown):
        warn_caller(
            f"pin: fit did not see {len(unknown)} of {len(ids)} items, such as "
            f"{repr_of_row(unknown, 0)}; lists leave them out."
        )
    return pd.unique(indices[indices >= 0])


def read_column(values: Any) -> pd.Series:
    """Return values of any library, also a column of polars or Arrow, as a pandas Series."""
    if is_of(values, "pyarrow", "Array", "ChunkedArray"):
        return pd.Series(values.to_pandas(date_as_object=False))
    if is_of(values, "polars", "Series"):
        # `to_numpy` would turn structs and arrays into a second dimension.
        nested = values.dtype.is_nested()
        values = object_array(values.to_list()) if nested else values.to_numpy()
    elif not hasattr(values, "dtype") or isinstance(values, pd.MultiIndex):
        values = object_array(list(values))
    # Without a dtype, pandas would search the objects for strings.
    return pd.Series(values, dtype=object if values.dtype == object else None)


def is_of(values: Any, library: str, *kinds: str) -> bool:
    """Tell whether values belong to a class of a library, without importing the library."""
    module = sys.modules.get(library)
    return module is not None and isinstance(values, tuple(getattr(module, kind) for kind in kinds))


def native(column: pd.Series) -> pd.Series:
    """Return a column in the machine's byte order, since pandas reads no other."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return column.astype(dtype.newbyteorder("="))
    return column
