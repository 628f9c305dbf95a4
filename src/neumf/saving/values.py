"""What a recommender consists of, as one text of JSON and arrays, and back.

In the JSON an object of one key stands for what JSON has not: the key tells its kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.saving.container import ARRAY_DTYPES, Arrays, damaged, digest_of, read_json, short
from neumf.saving.scalars import decode_scalar, encode_scalar
from neumf.saving.stored_ids import decode_ids, encode_ids

# Numbers of the state of PCG64, and what each is below.
_PCG64 = {"state": 2**128, "inc": 2**128, "has_uint32": 2, "uinteger": 2**32}


class Encoder:
    """Turns values into JSON, and collects arrays.

    Attributes
    ----------
    arrays : dict of ndarray
        By name. Equal ones are stored once.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._names: dict[str, str] = {}

    def encode(self, value: Any, name: str) -> Any:
        """Return a value as JSON.

        Raises
        ------
        TypeError
            If a file cannot hold it.
        """
        for kind, encode in self._encoders:
            if isinstance(value, kind):
                return encode(self, value, name)
        try:
            return None if value is None else encode_scalar(value)
        except TypeError as error:
            raise self._refusal(value, name) from error

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Keep an array under this name or one like it; return the name."""
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        if array.dtype not in ARRAY_DTYPES:
            raise self._refusal(array, name)
        digest = digest_of(array)
        if digest not in self._names:
            while name in self.arrays:  # of a member whose name has a dot, for example
                name += "_"
            self.arrays[name] = array
            self._names[digest] = name
        return self._names[digest]

    def _encode_array(self, value: NDArray[Any], name: str) -> Any:
        return {"array": self.store(name, value)}

    def _encode_sparse(self, value: sp.csr_array, name: str) -> Any:
        parts = {part: self.store(f"{name}.{part}", getattr(value, part)) for part in _CSR_PARTS}
        # What is stored of a boolean matrix is True, which needs no space.
        if value.dtype != np.bool_ or not value.data.all():
            parts["data"] = self.store(f"{name}.data", value.data)
        return {"csr": {"shape": [int(size) for size in value.shape], **parts}}

    def _encode_ids(self, value: pd.Index, name: str) -> Any:
        return {"ids": encode_ids(value, name, self.store)}

    def _encode_generator(self, value: np.random.Generator, name: str) -> Any:
        state = value.bit_generator.state
        if state["bit_generator"] != "PCG64":
            raise self._refusal(value, name)
        numbers = {key: state[key] for key in ("has_uint32", "uinteger")}
        return {"generator": state["state"] | numbers}

    def _encode_list(self, value: list[Any], name: str) -> Any:
        return [self.encode(part, f"{name}[{number}]") for number, part in enumerate(value)]

    def _encode_tuple(self, value: tuple[Any, ...], name: str) -> Any:
        return {"tuple": self._encode_list(list(value), name)}

    def _encode_dict(self, value: dict[str, Any], name: str) -> Any:
        for key in value:
            if type(key) is not str:
                raise self._refusal(value, name)
        return {"dict": {key: self.encode(part, f"{name}.{key}") for key, part in value.items()}}

    def _refusal(self, value: Any, name: str) -> TypeError:
        remedy = "Set it otherwise before save, or pickle the recommender."
        if name.endswith("random_state"):
            remedy = "Set an int, None or numpy.random.default_rng(...) with set_params."
        return TypeError(
            f"{name} must be what a file can hold: None, a bool, number, string, date or duration, "
            "an array of numbers, a PCG64 Generator, or a list, tuple or dict of these. Received: "
            f"{short(value)} of type {type(value).__name__}. {remedy}"
        )

    _encoders: tuple[tuple[type, Callable[..., Any]], ...] = (
        (np.ndarray, _encode_array),
        (sp.csr_array, _encode_sparse),
        (pd.Index, _encode_ids),
        (np.random.Generator, _encode_generator),
        (list, _encode_list),
        (tuple, _encode_tuple),
        (dict, _encode_dict),
    )


_CSR_PARTS = ("indices", "indptr")


def encode_values(values: dict[str, Any]) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return values, by name, as JSON and arrays."""
    encoder = Encoder()
    encoded = {name: encoder.encode(value, name) for name, value in values.items()}
    return json.dumps(encoded, allow_nan=False), encoder.arrays


def decode_values(text: str, arrays: Arrays) -> dict[str, Any]:
    """Return what `encode_values` was given.

    Raises
    ------
    ValueError
        If the text, or an array, stands for nothing of this kind.
    """
    try:
        decoded = _decode({"dict": read_json(text)}, arrays)
    except RecursionError as error:
        raise damaged("its header is nested too deeply") from error
    if not isinstance(decoded, dict):
        raise damaged("its header is no object")
    return decoded


def _decode(encoded: Any, arrays: Arrays) -> Any:
    if encoded is None:
        return None
    if isinstance(encoded, list):
        return [_decode(part, arrays) for part in encoded]
    if isinstance(encoded, dict) and len(encoded) == 1:
        ((kind, content),) = encoded.items()
        if kind in _DECODERS:
            return _DECODERS[kind](content, arrays)
    try:
        return decode_scalar(encoded)
    except ValueError as error:
        raise damaged(str(error)) from error


def _of_type(kind: type, content: Any) -> Any:
    if not isinstance(content, kind):
        raise damaged(f"it has no {kind.__name__} in {short(content)}")
    return content


def _decode_dict(content: Any, arrays: Arrays) -> dict[str, Any]:
    return {key: _decode(value, arrays) for key, value in _of_type(dict, content).items()}


def _decode_tuple(content: Any, arrays: Arrays) -> tuple[Any, ...]:
    return tuple(_decode(_of_type(list, content), arrays))


def _decode_array(content: Any, arrays: Arrays) -> NDArray[Any]:
    if _of_type(str, content) not in arrays:
        raise damaged(f"it has no array {short(content)}")
    return arrays[content]


def _decode_sparse(content: Any, arrays: Arrays) -> sp.csr_array:
    parts = _of_type(dict, content)
    if not parts.keys() <= {"shape", "data", *_CSR_PARTS}:
        raise damaged(f"it has no sparse matrix in {short(content)}")
    shape = _of_type(list, parts.get("shape"))
    if len(shape) != 2 or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise damaged(f"a matrix has the shape {short(shape)}")
    indices, indptr = (_decode_array(parts.get(part), arrays) for part in _CSR_PARTS)
    for array in (indices, indptr):
        if array.ndim != 1 or array.dtype not in (np.int32, np.int64):
            raise damaged(f"a matrix has indices of dtype {array.dtype}, shape {array.shape}")
    n_rows, n_columns = shape
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or indptr[-1] != len(indices):
        raise damaged("a matrix has bounds that are not those of its rows")
    if (indptr[1:] < indptr[:-1]).any() or ((indices < 0) | (indices >= n_columns)).any():
        raise damaged("a matrix has indices outside its shape")
    data = np.ones(len(indices), dtype=bool)
    if "data" in parts:
        data = _decode_array(parts["data"], arrays)
    if data.shape != indices.shape:
        raise damaged(f"a matrix has {len(indices)} indices and data of shape {data.shape}")
    return sp.csr_array((data, indices, indptr), shape=(n_rows, n_columns))


def _decode_generator(content: Any, arrays: Arrays) -> np.random.Generator:
    numbers = _of_type(dict, content)
    if numbers.keys() != _PCG64.keys() or not all(
        type(number) is int and 0 <= number < _PCG64[key] for key, number in numbers.items()
    ):
        raise damaged(f"it has no random generator in {short(content)}")
    bit_generator = np.random.PCG64(0)
    bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": numbers["state"], "inc": numbers["inc"]},
        "has_uint32": numbers["has_uint32"],
        "uinteger": numbers["uinteger"],
    }
    return np.random.Generator(bit_generator)


def _decode_ids(content: Any, arrays: Arrays) -> pd.Index:
    return decode_ids(_of_type(dict, content), arrays)


_DECODERS: dict[str, Callable[[Any, Arrays], Any]] = {
    "array": _decode_array,
    "csr": _decode_sparse,
    "dict": _decode_dict,
    "generator": _decode_generator,
    "ids": _decode_ids,
    "tuple": _decode_tuple,
}
