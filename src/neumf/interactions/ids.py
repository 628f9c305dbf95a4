"""Ids of users and items: checked, indexed, looked up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neumf._arrays import Codes, Ids


def index_ids(ids: Ids) -> tuple[Codes, pd.Index]:
    """Return the index of each id, from 0 in order of first appearance, and the ids by index."""
    codes, vocabulary = pd.factorize(ids)
    # Half the memory of pandas's own; there are no two thousand million users.
    return codes.astype(np.int32), _as_index(np.asarray(vocabulary))


def extend_index(ids: Ids, vocabulary: pd.Index, argument: str) -> tuple[Codes, pd.Index]:
    """Return the index of each id, and the vocabulary with the unknown ones behind the known.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    codes = lookup_ids(ids, vocabulary, argument).astype(np.int32)
    unknown = codes < 0
    new_codes, new_ids = index_ids(ids[unknown])
    codes[unknown] = len(vocabulary) + new_codes
    return codes, vocabulary.append(new_ids) if len(new_ids) else vocabulary


def lookup_ids(ids: Ids, vocabulary: pd.Index, argument: str) -> Codes:
    """Return the index of each id, -1 where it is unknown.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    codes = encode_ids(ids, vocabulary)
    complaint = describe_other_kind(codes, ids, vocabulary, argument)
    if complaint:
        raise ValueError(complaint)
    return codes


def encode_ids(ids: Ids, vocabulary: pd.Index) -> Codes:
    """Return the index of each id, -1 where it is unknown, whatever the reason."""
    return vocabulary.get_indexer(_as_index(ids))


def describe_other_kind(codes: Codes, ids: Ids, vocabulary: pd.Index, argument: str) -> str | None:
    """Return what to tell the user if no id is known because strings meet numbers."""
    if len(codes) == 0 or (codes >= 0).any():
        return None
    received, known = _kind(ids), _kind(vocabulary)
    if received is None or known is None or received == known:
        return None
    return (
        f"{argument} must be of the kind that fit saw, {known} such as {show(vocabulary, 0)}. "
        f"Received {received} such as {show(ids, 0)}. Convert them, for example with astype."
    )


def show(values: Any, row: int) -> str:
    """Return the representation of one value, a plain Python one."""
    return repr(values[row : row + 1].tolist()[0])


def read_ids(ids: Any, argument: str, vocabulary: pd.Index) -> Ids:
    """Read one id or a one-dimensional collection of ids; a tuple is one id where ids are such."""
    is_one_tuple = isinstance(ids, tuple) and isinstance(vocabulary[0], tuple)
    if is_one_tuple or not pd.api.types.is_list_like(ids):
        ids = [ids]
    if getattr(ids, "ndim", 1) != 1:
        raise ValueError(
            f"{argument} must be one id or a one-dimensional collection of ids. Received "
            f"{type(ids).__name__} of shape {ids.shape}. Pass one column."
        )
    column = pd.Series(ids if hasattr(ids, "dtype") else _object_array(list(ids)))
    return check_ids(column.infer_objects(), argument)


def check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = column.isna().to_numpy()
    if column.dtype.kind == "f":
        bad = bad | np.isinf(column.to_numpy())
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{argument} must not be missing or infinite (NaN, None, inf). Received "
            f"{show(column.array, row)} in row {row} ({int(bad.sum())} such rows). Drop them, for "
            "example with dropna."
        )
    ids = column.to_numpy()
    if ids.dtype == object:
        _refuse_unhashable(ids, argument)
    return ids


def _refuse_unhashable(ids: Ids, argument: str) -> None:
    for row, label in enumerate(ids):
        try:
            hash(label)
        except TypeError as error:
            raise TypeError(
                f"{argument} must be hashable: an id in this argument must be a string, number or "
                f"tuple. Received {label!r} of type {type(label).__name__} in row {row}. Turn it "
                "into one of these."
            ) from error


def _as_index(ids: Ids) -> pd.Index:
    # Left to itself pandas makes a MultiIndex of tuples and another dtype of strings.
    return pd.Index(ids, dtype=ids.dtype, tupleize_cols=False)


def _object_array(labels: list[Any]) -> Ids:
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _kind(ids: Ids | pd.Index) -> str | None:
    inferred = pd.api.types.infer_dtype(ids, skipna=False)
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "numbers"
    return "strings" if inferred == "string" else None
