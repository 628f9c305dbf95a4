"""Ids of users and items: checked, indexed, looked up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.utils.arrays import Codes, Ids, as_index, object_array

# pandas makes the hash table of an index at its first lookup; before version 3, a second thread
# finds it half made, and takes its ids for doubled ones.
_first_lookup = Lock()


@dataclass(frozen=True, eq=False)
class CodedIds:
    """The ids of many rows, of which each label is kept once: a row takes four bytes.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,) of int32
        The place of each row's id among the labels.
    labels : Index
        Ids, each once.
    in_order : bool
        Whether the labels are those of these rows alone, in order of first appearance.
    """

    codes: Codes
    labels: pd.Index
    in_order: bool = True

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> CodedIds:
        """Return some of the rows, by slice, positions or mask."""
        return CodedIds(self.codes[rows], self.labels, in_order=False)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Ids:
        """Return the id of each row."""
        ids = self.labels.to_numpy()[self.codes]
        return ids if dtype is None else ids.astype(dtype)

    def tolist(self) -> list[Any]:
        """Return the id of each row, a plain Python one."""
        ids: list[Any] = np.asarray(self).tolist()
        return ids


def index_ids(ids: Ids | CodedIds) -> tuple[Codes, pd.Index]:
    """Return the index of each id, from 0 in order of first appearance, and the ids by index."""
    if isinstance(ids, CodedIds):
        if ids.in_order:
            return ids.codes, ids.labels
        codes, places = index_ids(ids.codes)
        return codes, ids.labels[places.to_numpy()]
    codes, vocabulary = pd.factorize(ids)
    # Half the memory of pandas's own; there are no two thousand million users.
    return codes.astype(np.int32), as_index(np.asarray(vocabulary))


def extend_index(
    ids: Ids | CodedIds, vocabulary: pd.Index, argument: str
) -> tuple[Codes, pd.Index]:
    """Return the index of each id, and the vocabulary with the unknown ones behind the known.

    Raises
    ------
    ValueError
        If no id is known because strings meet numbers.
    """
    if isinstance(ids, CodedIds):
        codes, labels = index_ids(ids)
        of_labels, vocabulary = extend_index(labels.to_numpy(), vocabulary, argument)
        return of_labels[codes], vocabulary
    return add_unknown(lookup_ids(ids, vocabulary, argument), ids, vocabulary)


def add_unknown(codes: Codes, ids: Ids, vocabulary: pd.Index) -> tuple[Codes, pd.Index]:
    """Return codes with those of unknown ids, -1, filled in, and the vocabulary with these ids."""
    codes = codes.astype(np.int32)
    unknown = codes < 0
    new_codes, new_ids = index_ids(ids[unknown])
    codes[unknown] = len(vocabulary) + new_codes
    if len(new_ids) == 0:
        return codes, vocabulary
    if new_ids.dtype != vocabulary.dtype:
        return codes, vocabulary.append(new_ids)
    # `append` would look for strings among objects.
    return codes, as_index(np.concatenate([vocabulary.to_numpy(), new_ids.to_numpy()]))


def lookup_ids(ids: Ids | CodedIds, vocabulary: pd.Index, argument: str) -> Codes:
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


def find_ids(ids: Ids, vocabulary: pd.Index, argument: str, or_else: str = "") -> Codes:
    """Return the index of each id.

    Raises
    ------
    ValueError
        If an id is unknown; the error says what else was allowed, `or_else`.
    """
    codes = lookup_ids(ids, vocabulary, argument)
    unknown = ids[codes < 0]
    if len(unknown):
        raise ValueError(
            f"{argument} must be among those that fit saw{or_else}. Received {show(unknown, 0)} "
            f"({len(unknown)} unknown)."
        )
    return codes


def encode_ids(ids: Ids | CodedIds, vocabulary: pd.Index) -> Codes:
    """Return the index of each id, -1 where it is unknown, whatever the reason."""
    if isinstance(ids, CodedIds):
        codes, labels = index_ids(ids)
        of_rows: Codes = encode_ids(labels.to_numpy(), vocabulary).astype(np.int32)[codes]
        return of_rows
    with _first_lookup:
        _ = vocabulary.is_unique  # makes the table
    if len(ids) == 1 and _is_plain(ids[0], vocabulary):
        # To make an index of one id takes longer than a whole list.
        return np.array([vocabulary.get_loc(ids[0]) if ids[0] in vocabulary else -1])
    return vocabulary.get_indexer(as_index(ids))


def _is_plain(label: Any, vocabulary: pd.Index) -> bool:
    """Tell whether an id is found by `get_loc` as it would be among others by `get_indexer`."""
    kind = vocabulary.dtype.kind
    return (kind == "i" and isinstance(label, np.integer)) or (
        vocabulary.dtype == object and isinstance(label, str)
    )


def describe_other_kind(
    codes: Codes, ids: Ids | CodedIds, vocabulary: pd.Index, argument: str
) -> str | None:
    """Return what to tell the user if no id is known because strings meet numbers."""
    if len(codes) == 0 or (codes >= 0).any():
        return None
    received, known = kind_of_ids(ids), kind_of_ids(vocabulary)
    if received is None or known is None or received == known:
        return None
    method = "str.decode or str.encode" if "bytes" in (received, known) else "astype"
    return (
        f"{argument} must be of the kind that fit saw, {known} such as {show(vocabulary, 0)}. "
        f"Received {received} such as {show(ids, 0)}. Convert them, for example with {method}."
    )


def show(values: Any, row: int) -> str:
    """Return the representation of one value, a plain Python one."""
    return repr(values[row : row + 1].tolist()[0])


def read_ids(ids: Any, argument: str, vocabulary: pd.Index) -> Ids:
    """Read one id or a one-dimensional collection of ids; a tuple is one id where ids are such."""
    if len(getattr(ids, "shape", ())) > 1:
        raise ValueError(
            f"{argument} must be one id or a one-dimensional collection of ids. Received "
            f"{type(ids).__name__} of shape {ids.shape}. Pass one column."
        )
    # One plain id, as a server asks about: to make a column of it takes as long as a list.
    if type(ids) is str:
        return object_array([ids])
    if type(ids) in (int, np.int64) and abs(int(ids)) < 2**63:
        return np.array([ids], dtype=np.int64)
    is_one_tuple = isinstance(ids, tuple) and isinstance(vocabulary[0], tuple)
    if is_one_tuple or not pd.api.types.is_list_like(ids):
        ids = [ids]
    if isinstance(ids, pd.MultiIndex):
        _refuse_levels(ids, argument, vocabulary)
    column = native(read_column(ids)).infer_objects()
    if column.dtype.kind == "b":
        _refuse_mask(column, argument, vocabulary)
    return check_ids(column, argument)


def barred_items(catalogue: pd.Index, allow: Any, deny: Any) -> Codes:
    """Return the items that must not be recommended; ids outside the catalogue do not count."""
    barred = np.full(len(catalogue), allow is not None)
    for ids, argument in ((allow, "allow"), (deny, "deny")):
        if ids is not None:
            codes = lookup_ids(read_ids(ids, argument, catalogue), catalogue, argument)
            barred[codes[codes >= 0]] = argument == "deny"
    return np.flatnonzero(barred)


def read_column(values: Any) -> pd.Series:
    """Return a collection of values, a column of polars or Arrow too, as a column of pandas."""
    if is_of(values, "pyarrow", "Array", "ChunkedArray"):
        return pd.Series(values.to_pandas(date_as_object=False))
    if is_of(values, "polars", "Series"):
        # Of structs and arrays, `to_numpy` would make a second dimension.
        nested = values.dtype.is_nested()
        values = object_array(values.to_list()) if nested else values.to_numpy()
    elif not hasattr(values, "dtype") or isinstance(values, pd.MultiIndex):
        values = object_array(list(values))
    # Left to itself pandas would look for strings among objects.
    return pd.Series(values, dtype=object if values.dtype == object else None)


def is_of(values: Any, library: str, *kinds: str) -> bool:
    """Tell whether values are of a class of a library, which is not imported for that."""
    module = sys.modules.get(library)
    return module is not None and isinstance(values, tuple(getattr(module, kind) for kind in kinds))


def check_ids(column: pd.Series, argument: str) -> Ids:
    """Return the ids as an array; refuse missing ones."""
    bad = BadRows()
    bad.look_at(column, find_missing(column, argument))
    refuse_missing(bad, argument)
    return ids_of_column(column, argument)


@dataclass
class BadRows:
    """The rows of a column that cannot be read, found part by part.

    Attributes
    ----------
    n_rows : int
        How many rows were looked at.
    n_bad : int
        How many of them cannot be read.
    first : str
        The first of these, as errors tell of it.
    """

    n_rows: int = 0
    n_bad: int = 0
    first: str = ""

    def look_at(self, column: pd.Series, bad: NDArray[np.bool_]) -> None:
        """Count the bad rows of the next part."""
        if self.n_bad == 0 and bad.any():
            row = int(np.argmax(bad))
            self.first = f"{show(column.array, row)} in row {self.n_rows + row}"
        self.n_rows += len(bad)
        self.n_bad += int(bad.sum())

    def __str__(self) -> str:
        """Return what came."""
        return f"{self.first} ({self.n_bad} such rows)"


def find_missing(column: pd.Series, argument: str) -> NDArray[np.bool_]:
    """Tell which ids are missing or infinite."""
    if column.dtype.kind == "c":
        raise ValueError(
            f"{argument} must be ids. Complex data not supported. Received {column.dtype}."
        )
    missing: NDArray[np.bool_] = column.isna().to_numpy()
    return missing | np.isinf(column.to_numpy()) if column.dtype.kind == "f" else missing


def refuse_missing(bad: BadRows, argument: str) -> None:
    """Raise if ids are missing or infinite."""
    if bad.n_bad:
        raise ValueError(
            f"{argument} must not be missing or infinite (NaN, None, inf). Received {bad}. Drop "
            "them, for example with dropna."
        )


def ids_of_column(column: pd.Series, argument: str) -> Ids:
    """Return ids of which none is missing as an array."""
    ids = column.to_numpy()
    # pandas has no index of these types.
    if ids.dtype.kind == "S":
        ids = ids.astype(object)
    elif ids.dtype == np.float16:
        ids = ids.astype(np.float32)
    if ids.dtype == object:
        _refuse_unhashable(ids, argument)
    return ids


def native(column: pd.Series) -> pd.Series:
    """Return a column whose numbers have the machine's order of bytes: pandas takes no others."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return column.astype(dtype.newbyteorder("="))
    return column


def _refuse_levels(ids: pd.MultiIndex, argument: str, vocabulary: pd.Index) -> None:
    """Raise unless the labels of a MultiIndex, which are tuples, can be ids."""
    if not isinstance(vocabulary[0], tuple):
        raise ValueError(
            f"{argument} must be one id or a one-dimensional collection of ids. Received a "
            f"MultiIndex with the levels {list(ids.names)}. Pass one level, for example "
            f"{argument}=index.get_level_values(0)."
        )


def _refuse_mask(column: pd.Series, argument: str, vocabulary: pd.Index) -> None:
    """Raise unless there are ids that are booleans themselves."""
    if not any(isinstance(label, bool | np.bool_) for label in vocabulary):
        known = "users_" if argument == "users" else "items_"
        raise ValueError(
            f"{argument} must hold ids. Received {len(column)} boolean(s), which look like a mask. "
            f"Pass the ids themselves, for example {argument}={known}[mask]."
        )


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


def kind_of_ids(ids: Ids | pd.Index | CodedIds) -> str | None:
    """Return "numbers", "strings" or "bytes"; None for anything else."""
    if isinstance(ids, CodedIds):
        ids = index_ids(ids)[1]
    inferred = pd.api.types.infer_dtype(ids, skipna=False)
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "numbers"
    return {"string": "strings", "bytes": "bytes"}.get(inferred)
