"""Indices of ids, from 0 in order of first appearance, and the ids that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.id_checks import refuse_two_types
from neumf.utils.arrays import Ids, Indices, as_index, repr_of_row

# pandas builds the hash table of an index at the first lookup. Before pandas 3, a second thread may
# find it unfinished, and then takes the ids for duplicates.
_first_lookup = Lock()


@dataclass(frozen=True, eq=False)
class IndexedIds:
    """The ids of many rows as int32 indices of distinct labels: a row takes four bytes."""

    indices: Indices  # int32: position of each row's id among the labels
    labels: pd.Index
    in_order: bool = True  # all labels occur, in order of first appearance

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Any) -> IndexedIds:
        """Return some of the rows, by slice, positions or mask."""
        return IndexedIds(self.indices[rows], self.labels, in_order=False)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Ids:
        """Return the id of each row."""
        ids = self.labels.to_numpy()[self.indices]
        return ids if dtype is None else ids.astype(dtype)

    def tolist(self) -> list[Any]:
        """Return the id of each row as a plain Python object."""
        ids: list[Any] = np.asarray(self).tolist()
        return ids


def index_ids(ids: Ids | IndexedIds) -> tuple[Indices, pd.Index]:
    """Return the index of each id, and the ids by index."""
    if isinstance(ids, IndexedIds):
        if ids.in_order:
            return ids.indices, ids.labels
        indices, positions = index_ids(ids.indices)
        return indices, ids.labels[positions.to_numpy()]
    indices, vocabulary = pd.factorize(ids)
    # int32 takes half the memory of pandas's indices, and suffices for 2 thousand million ids.
    return indices.astype(np.int32), as_index(np.asarray(vocabulary))


def extend_index(
    ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str | None = None
) -> tuple[Indices, pd.Index]:
    """Return the index of each id, and the vocabulary with unknown ids appended.

    If `argument` is given, ids of another kind are refused, as in `lookup_ids`.
    """
    if isinstance(ids, IndexedIds):
        indices, labels = index_ids(ids)
        of_labels, vocabulary = extend_index(labels.to_numpy(), vocabulary, argument)
        return of_labels[indices], vocabulary
    found = lookup_ids(ids, vocabulary, argument) if argument else indices_of(ids, vocabulary)
    indices = found.astype(np.int32)
    unknown = indices < 0
    new_indices, new_ids = index_ids(ids[unknown])
    indices[unknown] = len(vocabulary) + new_indices
    return indices, join_ids(vocabulary, new_ids, argument or "ids")


def join_ids(vocabulary: pd.Index, new_ids: pd.Index, argument: str) -> pd.Index:
    """Append new ids to the known ids; refuse 5 beside "5"."""
    if len(new_ids) == 0:
        return vocabulary
    kind = kind_of_ids(vocabulary)
    if kind is None or kind != kind_of_ids(new_ids):
        refuse_two_types([*vocabulary.tolist(), *new_ids.tolist()], argument)
    if new_ids.dtype != vocabulary.dtype:
        return vocabulary.append(new_ids)
    # `append` would search the objects for strings.
    return as_index(np.concatenate([vocabulary.to_numpy(), new_ids.to_numpy()]))


def lookup_ids(ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str) -> Indices:
    """Return the index of each id, -1 where it is unknown; refuse ids of another kind."""
    indices = indices_of(ids, vocabulary)
    error = describe_other_kind(indices, ids, vocabulary, argument)
    if error:
        raise ValueError(error)
    return indices


def find_ids(ids: Ids, vocabulary: pd.Index, argument: str, or_else: str = "") -> Indices:
    """Return the index of each id; refuse unknown ids (`or_else`: what the error also allows)."""
    indices = lookup_ids(ids, vocabulary, argument)
    unknown = ids[indices < 0]
    if len(unknown):
        raise ValueError(
            f"{argument} must be among those that fit saw{or_else}. Received "
            f"{repr_of_row(unknown, 0)} ({len(unknown)} unknown)."
        )
    return indices


def indices_of(ids: Ids | IndexedIds, vocabulary: pd.Index) -> Indices:
    """Return the index of each id, -1 for unknown ids, also for ids of another kind."""
    if isinstance(ids, IndexedIds):
        indices, labels = index_ids(ids)
        return indices_of(labels.to_numpy(), vocabulary).astype(np.int32)[indices]
    with _first_lookup:
        _ = vocabulary.is_unique  # builds the hash table
    if len(ids) == 1:
        # For a single id, building a pandas index takes longer than the ranking.
        label = ids[0]
        is_plain_int = isinstance(label, np.integer) and vocabulary.dtype.kind == "i"
        if is_plain_int or (isinstance(label, str) and vocabulary.dtype == object):
            return np.array([vocabulary.get_loc(label) if label in vocabulary else -1])
    return vocabulary.get_indexer(as_index(ids))


def describe_other_kind(
    indices: Indices, ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str
) -> str | None:
    """Return an error text if all ids are unknown, and only one side has strings; else None."""
    if len(indices) == 0 or (indices >= 0).any():
        return None
    received, known = kind_of_ids(ids), kind_of_ids(vocabulary)
    if received is None or known is None or received == known:
        return None
    return (
        f"{argument} must be of the kind that fit saw, {known} such as "
        f"{repr_of_row(vocabulary, 0)}. Received {received} such as {repr_of_row(ids, 0)}. Convert "
        "them, for example with astype."
    )


def kind_of_ids(ids: Ids | pd.Index | IndexedIds) -> str | None:
    """Return "numbers" or "strings"; None for anything else."""
    if isinstance(ids, IndexedIds):
        ids = index_ids(ids)[1]
    inferred = pd.api.types.infer_dtype(ids, skipna=False)
    if inferred in ("integer", "floating", "mixed-integer-float"):
        return "numbers"
    return "strings" if inferred == "string" else None
