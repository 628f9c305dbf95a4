"""Ids of users and items as arrays, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.saving.container import Arrays, damaged, read_json, short
from neumf.saving.scalars import PANDAS_UNITS, decode_scalar, encode_scalar
from neumf.utils.arrays import Ids, as_index, object_array

# Stores an array under a name like this one, and returns the name.
Store = Callable[[str, NDArray[Any]], str]


def encode_ids(ids: pd.Index, name: str, store: Store) -> dict[str, Any]:
    """Store ids as arrays, and return what they are read back by.

    Raises
    ------
    TypeError
        If a file cannot hold an id.
    """
    labels = ids.to_numpy()
    if labels.dtype.kind in "biuf":
        return {"kind": "numbers", "values": store(name, labels)}
    if labels.dtype.kind in "mM":
        kind, unit = labels.dtype.name.split("[")[0], np.datetime_data(labels.dtype)[0]
        return {"kind": kind, "unit": unit, "values": store(name, labels.view(np.int64))}
    kinds = set(map(type, labels))
    if kinds == {str}:
        parts = [label.encode("utf-8", "surrogatepass") for label in labels]
        return _store_parts("strings", parts, name, store)
    if kinds == {bytes}:
        return _store_parts("bytes", labels.tolist(), name, store)
    encoded = [_encode_label(label, row, name) for row, label in enumerate(labels)]
    return _store_parts("labels", [json.dumps(encoded).encode()], name, store)


def _store_parts(kind: str, parts: Sequence[bytes], name: str, store: Store) -> dict[str, Any]:
    text = np.frombuffer(b"".join(parts), np.uint8)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return {"kind": kind, "text": store(f"{name}.text", text), "ends": store(f"{name}.ends", ends)}


def _encode_label(label: Any, row: int, name: str) -> Any:
    try:
        if type(label) is tuple:
            return {"tuple": [encode_scalar(part) for part in label]}
        return encode_scalar(label)
    except TypeError as error:
        raise TypeError(
            f"{name} must hold ids that a file can hold: numbers, strings, bytes, dates, times, or "
            f"tuples of these. Received {short(label)} of type {type(label).__name__} at "
            "index "
            f"{row}. Turn such ids into strings before fit, or pickle the recommender."
        ) from error


def decode_ids(encoded: Any, arrays: Arrays) -> pd.Index:
    """Return the ids that `encode_ids` stored.

    Raises
    ------
    ValueError
        If they are none, or one stands twice.
    """
    try:
        labels = _DECODERS[encoded["kind"]](encoded, arrays)
    except (LookupError, TypeError) as error:
        raise damaged(f"it has no ids in {short(encoded)}") from error
    ids = as_index(labels)
    if ids.hasnans or not ids.is_unique:
        raise damaged("an id is missing, or stands twice")
    return ids


def _decode_numbers(encoded: Any, arrays: Arrays) -> Ids:
    values = _column(arrays[encoded["values"]], "biuf")
    if values.dtype == np.float16:  # of which pandas has no index
        raise damaged("its ids are of dtype float16")
    return values


def _decode_times(encoded: Any, arrays: Arrays) -> Ids:
    if encoded["unit"] not in PANDAS_UNITS:
        raise damaged(f"ids are times of the unit {short(encoded['unit'])}")
    return (
        _column(arrays[encoded["values"]], "i")
        .astype(np.int64, copy=False)
        .view(f"{encoded['kind']}[{encoded['unit']}]")
    )


def _decode_parts(encoded: Any, arrays: Arrays) -> list[bytes]:
    text, ends = _column(arrays[encoded["text"]], "u"), _column(arrays[encoded["ends"]], "i")
    bounds = np.append(0, ends)
    if text.dtype != np.uint8 or (np.diff(bounds) < 0).any() or bounds[-1] != len(text):
        raise damaged("the bounds of its ids are not those of their text")
    content = text.tobytes()
    return [content[start:end] for start, end in zip(bounds[:-1], ends, strict=True)]


def _decode_strings(encoded: Any, arrays: Arrays) -> Ids:
    try:
        parts = _decode_parts(encoded, arrays)
        return object_array([part.decode("utf-8", "surrogatepass") for part in parts])
    except UnicodeDecodeError as error:
        raise damaged("its ids are no strings") from error


def _decode_labels(encoded: Any, arrays: Arrays) -> Ids:
    try:
        text = b"".join(_decode_parts(encoded, arrays)).decode()
        return object_array([_decode_label(label) for label in read_json(text)])
    except ValueError as error:
        raise damaged(f"its ids cannot be read: {error}") from error


def _decode_label(encoded: Any) -> Any:
    if isinstance(encoded, dict) and encoded.keys() == {"tuple"}:
        return tuple([decode_scalar(part) for part in encoded["tuple"]])
    return decode_scalar(encoded)


def _column(values: NDArray[Any], kinds: str) -> NDArray[Any]:
    if values.ndim != 1 or values.dtype.kind not in kinds:
        raise damaged(f"its ids are of dtype {values.dtype} and shape {values.shape}")
    return values


_DECODERS: dict[str, Callable[[Any, Arrays], Ids]] = {
    "numbers": _decode_numbers,
    "datetime64": _decode_times,
    "timedelta64": _decode_times,
    "strings": _decode_strings,
    "bytes": lambda encoded, arrays: object_array(_decode_parts(encoded, arrays)),
    "labels": _decode_labels,
}
