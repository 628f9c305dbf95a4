"""Convert nested values to one JSON text and arrays, and back.

JSON has no tuples, arrays of numbers, sparse matrices and indexes of ids. Each of them becomes an
object with one key that starts with "@".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.saving.container import (
    DTYPES,
    Arrays,
    damaged_file_error,
    digest_of,
    read_file,
    read_json,
    short_repr,
    write_file,
)
from neumf.utils.arrays import Ids, as_index, object_array

_CSR_KEYS = {"shape", "indices", "indptr"}
# The dtypes of ids that are stored unchanged; other ids become the bytes of a JSON list.
_NUMBERS = (np.int64, np.float64)
# From here on, several ints round to the same float.
_LIMIT = 2.0**53


def write_values(path: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Write values, by name, to a file; raise a TypeError for a value of another kind."""
    encoder = _Encoder()
    encoded = {name: encoder.encode(value, name) for name, value in values.items()}
    write_file(path, json.dumps(encoded, allow_nan=False), encoder.arrays)


def read_values(path: str | os.PathLike[str]) -> Any:
    """Read the values that `write_values` wrote; the caller must check them."""
    text, arrays = read_file(path)
    try:
        return _decode(read_json(text), arrays)
    except RecursionError as error:
        raise damaged_file_error("its values are nested too deeply") from error


class _Encoder:
    """Convert values to JSON, and collect arrays by name, equal ones once."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names: dict[str, str] = {}

    def encode(self, value: Any, name: str) -> Any:
        if isinstance(value, np.generic) and value.dtype.kind in "biufU":
            value = value.item()
        # Check the exact type: an IntEnum, for example, would be read as an int.
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float and math.isfinite(value):
            return value
        if isinstance(value, np.ndarray):
            return {"@array": self._store(value, name)}
        if isinstance(value, sp.csr_array):
            return {"@csr": self._encode_sparse(value, name)}
        if isinstance(value, pd.Index):
            labels = _labels_of_ids(value)
            if labels is None:
                return {"@ids": self._store(value.to_numpy(), name)}
            return {"@labels": self._store(labels, name)}
        if type(value) in (list, tuple):
            parts = [self.encode(part, f"{name}[{row}]") for row, part in enumerate(value)]
            return parts if type(value) is list else {"@tuple": parts}
        if type(value) is dict and all(type(key) is str and key[:1] != "@" for key in value):
            return {key: self.encode(part, f"{name}.{key}") for key, part in value.items()}
        raise _refusal(value, name)

    def _store(self, array: NDArray[Any], name: str) -> str:
        """Add an array under this name or a similar one; return the name."""
        if array.dtype.newbyteorder("=") not in DTYPES.values():
            raise _refusal(array, name)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        digest = digest_of(array)
        if digest not in self._names:
            while name in self.arrays:  # if a key has a dot, for example
                name += "_"
            self.arrays[name] = array
            self._names[digest] = name
        return self._names[digest]

    def _encode_sparse(self, value: sp.csr_array, name: str) -> dict[str, Any]:
        parts: dict[str, Any] = {"shape": [int(size) for size in value.shape]}
        kept = ["indices", "indptr"]
        # If all stored values of a boolean matrix are True, they need no space.
        if value.dtype != np.bool_ or not value.data.all():
            kept.append("data")
        return parts | {part: self._store(getattr(value, part), f"{name}.{part}") for part in kept}


def _refusal(value: Any, name: str) -> TypeError:
    return TypeError(
        f"{name} must be None, a bool, a finite number, a string, an array of numbers, or a list, "
        f"tuple or dict of these, so that a file can hold it. Received: {short_repr(value)} of "
        f"type {type(value).__name__}. Set it to one of these before save, or pickle the "
        "recommender."
    )


def _decode(encoded: Any, arrays: Arrays) -> Any:
    if isinstance(encoded, list):
        return [_decode(part, arrays) for part in encoded]
    if not isinstance(encoded, dict):
        return encoded
    if not any(key.startswith("@") for key in encoded):
        return {key: _decode(part, arrays) for key, part in encoded.items()}
    kind, content = next(iter(encoded.items()))
    if len(encoded) > 1 or kind not in _DECODERS:
        raise damaged_file_error(f"it has an unknown value, {short_repr(encoded)}")
    return _DECODERS[kind](content, arrays)


def _decode_array(name: Any, arrays: Arrays) -> NDArray[Any]:
    if not isinstance(name, str) or name not in arrays:
        raise damaged_file_error(f"it lacks the array {short_repr(name)}")
    return arrays[name]


def _decode_tuple(parts: Any, arrays: Arrays) -> tuple[Any, ...]:
    if not isinstance(parts, list):
        raise damaged_file_error(f"it has {short_repr(parts)} instead of a tuple")
    return tuple(_decode(parts, arrays))


def _decode_sparse(parts: Any, arrays: Arrays) -> sp.csr_array:
    if not isinstance(parts, dict) or not _CSR_KEYS <= parts.keys() <= _CSR_KEYS | {"data"}:
        raise damaged_file_error(f"it has {short_repr(parts)} instead of a sparse matrix")
    shape = parts["shape"]
    sizes = [size for size in shape if type(size) is int] if isinstance(shape, list) else []
    if len(sizes) != 2 or sizes != shape or not 0 <= min(sizes) <= max(sizes) < 2**31:
        raise damaged_file_error(f"a sparse matrix has the shape {short_repr(shape)}")
    indices, indptr = (_decode_array(parts[part], arrays) for part in ("indices", "indptr"))
    has_data = "data" in parts
    data = _decode_array(parts["data"], arrays) if has_data else np.ones(indices.shape, dtype=bool)
    for array in (indices, indptr):
        if array.ndim != 1 or array.dtype not in (np.int32, np.int64):
            raise damaged_file_error("the indices of a sparse matrix are not a list of ints")
    if indptr.shape != (sizes[0] + 1,) or indptr[0] != 0 or indptr[-1] != len(indices):
        raise damaged_file_error("the rows of a sparse matrix do not cover its indices")
    if (indptr[1:] < indptr[:-1]).any() or ((indices < 0) | (indices >= sizes[1])).any():
        raise damaged_file_error("a sparse matrix has indices outside its shape")
    if data.shape != indices.shape:
        raise damaged_file_error("a sparse matrix has more or fewer numbers than indices")
    if data.dtype == np.float16:  # which scipy refuses
        raise damaged_file_error("a sparse matrix has numbers of dtype float16")
    return sp.csr_array((data, indices, indptr), shape=(sizes[0], sizes[1]))


def _labels_of_ids(ids: pd.Index) -> NDArray[np.uint8] | None:
    """Return ids as bytes of JSON, tuples as lists; None if they are an array of numbers."""
    labels = ids.to_numpy()
    if labels.dtype in _NUMBERS:
        return None
    # Strings may contain lone surrogates, which UTF-8 does not allow without "surrogatepass".
    text = json.dumps(labels.tolist(), ensure_ascii=False)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def _ids_of_numbers(labels: NDArray[Any]) -> pd.Index:
    """Return an index of ids from numbers; raise if they are not valid or not unique."""
    is_exact = labels.dtype.kind != "f" or (np.abs(labels) < _LIMIT).all()
    if labels.ndim != 1 or labels.dtype not in _NUMBERS or not is_exact:
        raise damaged_file_error(f"its ids have dtype {labels.dtype} and shape {labels.shape}")
    return _unique_index(labels)


def _ids_of_labels(array: NDArray[Any]) -> pd.Index:
    """Return an index of ids from bytes of `_labels_of_ids`; raise if not valid or not unique."""
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


def _unique_index(labels: Ids) -> pd.Index:
    ids = as_index(labels)
    if not ids.is_unique:
        raise damaged_file_error("an id appears twice")
    return ids


_DECODERS: dict[str, Callable[[Any, Arrays], Any]] = {
    "@array": _decode_array,
    "@csr": _decode_sparse,
    "@ids": lambda name, arrays: _ids_of_numbers(_decode_array(name, arrays)),
    "@labels": lambda name, arrays: _ids_of_labels(_decode_array(name, arrays)),
    "@tuple": _decode_tuple,
}
