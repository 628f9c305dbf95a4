"""Store ids as arrays: numbers unchanged, other ids as the bytes of a JSON list."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.saving.container import damaged_file_error, read_json, short_repr
from neumf.utils.arrays import Ids, as_index, object_array

_NUMBERS = (np.int64, np.float64)
# From here on, several ints round to the same float.
_LIMIT = 2.0**53


def labels_of_ids(ids: pd.Index) -> NDArray[np.uint8] | None:
    """Return ids as bytes of JSON, tuples as lists; None if they are an array of numbers."""
    labels = ids.to_numpy()
    if labels.dtype in _NUMBERS:
        return None
    # Strings may contain lone surrogates, which UTF-8 does not allow without "surrogatepass".
    text = json.dumps(labels.tolist(), ensure_ascii=False)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def ids_of_numbers(labels: NDArray[Any]) -> pd.Index:
    """Return an index of ids from numbers; raise if they are not valid or not unique."""
    if labels.ndim != 1 or labels.dtype not in _NUMBERS or not _are_exact(labels):
        raise damaged_file_error(f"its ids have dtype {labels.dtype} and shape {labels.shape}")
    return _unique_index(labels)


def ids_of_labels(array: NDArray[Any]) -> pd.Index:
    """Return an index of ids from bytes of `labels_of_ids`; raise if not valid or not unique."""
    if array.ndim != 1 or array.dtype != np.uint8:
        raise damaged_file_error(f"its ids have dtype {array.dtype} and shape {array.shape}")
    try:
        parts = read_json(array.tobytes().decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError as error:
        raise damaged_file_error("its ids are not UTF-8") from error
    if not isinstance(parts, list):
        raise damaged_file_error(f"it has {short_repr(parts)} instead of a list of ids")
    labels = [tuple(part) if type(part) is list else part for part in parts]
    for label in labels:
        if not all(map(_is_id, label if type(label) is tuple else [label])):
            raise damaged_file_error(f"{short_repr(label)} cannot be an id")
    return _unique_index(object_array(labels))


def _is_id(label: Any) -> bool:
    return type(label) in (int, str) or (type(label) is float and abs(label) < _LIMIT)


def _are_exact(labels: NDArray[Any]) -> bool:
    """Return whether numbers are ints, or finite floats below 2**53."""
    return labels.dtype.kind != "f" or bool((np.abs(labels) < _LIMIT).all())


def _unique_index(labels: Ids) -> pd.Index:
    ids = as_index(labels)
    if not ids.is_unique:
        raise damaged_file_error("an id appears twice")
    return ids
