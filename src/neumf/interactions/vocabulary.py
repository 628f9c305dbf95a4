"""Indices of ids, from 0 in order of first appearance, and the ids that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from neumf.interactions.id_checks import refuse_two_types
from neumf.utils.arrays import Ids, Indices, as_index, repr_of_row

# pandas makes the hash table of an index at its first lookup; before version 3, a second thread
# finds it half made, and takes its ids for doubled ones.
_first_lookup = Lock()


@dataclass(frozen=True, eq=False)
class IndexedIds:
    """The ids of many rows, each label kept once: a row takes four bytes."""

    indices: Indices  # of int32: the position of each row's id among the labels
    labels: pd.Index
    in_order: bool = True  # each label occurs, and they are in order of first appearance

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
        """Return the id of each row, a plain Python one."""
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
    # Half the memory of pandas's own; there are no two thousand million users.
    return indices.astype(np.int32), as_index(np.asarray(vocabulary))


def extend_index(
    ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str | None = None
) -> tuple[Indices, pd.Index]:
    """Return the index of each id, and the vocabulary with the unknown ids behind the known.

    With the name of an argument, ids of another kind are refused, as by `lookup_ids`.
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
    """Return the known ids with new ones behind them; refuse 5 beside "5"."""
    if len(new_ids) == 0:
        return vocabulary
    kind = kind_of_ids(vocabulary)
    if kind is None or kind != kind_of_ids(new_ids):
        refuse_two_types([*vocabulary.tolist(), *new_ids.tolist()], argument)
    if new_ids.dtype != vocabulary.dtype:
        return vocabulary.append(new_ids)
    # `append` would look for strings among objects.
    return as_index(np.concatenate([vocabulary.to_numpy(), new_ids.to_numpy()]))


def lookup_ids(ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str) -> Indices:
    """Return the index of each id, -1 where it is unknown; refuse ids of another kind."""
    indices = indices_of(ids, vocabulary)
    error = describe_other_kind(indices, ids, vocabulary, argument)
    if error:
        raise ValueError(error)
    return indices


def find_ids(ids: Ids, vocabulary: pd.Index, argument: str, or_else: str = "") -> Indices:
    """Return the index of each id; refuse unknown ones, saying what else is allowed, `or_else`."""
    indices = lookup_ids(ids, vocabulary, argument)
    unknown = ids[indices < 0]
    if len(unknown):
        raise ValueError(
            f"{argument} must be among those that fit saw{or_else}. Received "
            f"{repr_of_row(unknown, 0)} ({len(unknown)} unknown)."
        )
    return indices


def indices_of(ids: Ids | IndexedIds, vocabulary: pd.Index) -> Indices:
    """Return the index of each id, -1 where it is unknown, whatever the reason."""
    if isinstance(ids, IndexedIds):
        indices, labels = index_ids(ids)
        return indices_of(labels.to_numpy(), vocabulary).astype(np.int32)[indices]
    with _first_lookup:
        _ = vocabulary.is_unique  # makes the table
    if len(ids) == 1:
        # To make an index of one id takes longer than a whole list.
        label = ids[0]
        is_plain_int = isinstance(label, np.integer) and vocabulary.dtype.kind == "i"
        if is_plain_int or (isinstance(label, str) and vocabulary.dtype == object):
            return np.array([vocabulary.get_loc(label) if label in vocabulary else -1])
    return vocabulary.get_indexer(as_index(ids))


def describe_other_kind(
    indices: Indices, ids: Ids | IndexedIds, vocabulary: pd.Index, argument: str
) -> str | None:
    """Return the error if no id is known because strings meet numbers, else None."""
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
