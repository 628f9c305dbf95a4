"""A safetensors file that holds arrays and a text, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialize

from neumf._version import __version__

# The format that is written. What is read may be older, never later.
FORMAT = 1

_DTYPES = {
    "BOOL": np.bool_,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "U8": np.uint8,
    "U16": np.uint16,
    "U32": np.uint32,
    "U64": np.uint64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}

# What arrays may hold.
ARRAY_DTYPES = frozenset(map(np.dtype, _DTYPES.values()))

Arrays = Mapping[str, NDArray[Any]]

# The representation of a value of unknown size.
_representation = reprlib.Repr()
_representation.maxstring = _representation.maxother = 100
short = _representation.repr


def damaged(reason: str) -> ValueError:
    """Return the error of a file that is not as `save` wrote it."""
    return ValueError(
        f"path must be a file that save wrote: {reason}. The file is damaged or was changed; copy "
        "it anew, or save the recommender again."
    )


def check_loaded(check: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that checks a parameter, whose errors then are errors of the file."""
    try:
        return check(*arguments)
    except (TypeError, ValueError) as error:
        raise damaged(str(error)) from error


def write_file(path: str | os.PathLike[str], text: str, arrays: Arrays) -> None:
    """Write arrays and a text; what fails leaves the file that was there as it was."""
    metadata = {"neumf_format": str(FORMAT), "neumf_version": __version__, "neumf_state": text}
    metadata["neumf_checksum"] = checksum_of(metadata, arrays)
    _replace(Path(os.path.realpath(path)), serialize(dict(arrays), metadata))


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside the path, and put it in its place when it is on the disk."""
    temporary = path.with_name(f".neumf-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_file(path: str | os.PathLike[str]) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return the text and the arrays of a file.

    Raises
    ------
    ValueError
        If it is no file of `write_file`, not as it was written, or of a later format.
    OSError
        If it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise _no_file_of_ours(content, str(error)) from error
    # By now the header is known to be JSON that lies within the file.
    end = 8 + int.from_bytes(content[:8], "little")
    metadata = read_json(content[8:end].decode()).get("__metadata__", {})
    _check_format(metadata)
    del content
    arrays = {name: _array(name, tensor) for name, tensor in tensors}
    if metadata.pop("neumf_checksum", None) != checksum_of(metadata, arrays):
        raise damaged("its checksum is not that of its content")
    return metadata["neumf_state"], arrays


def _check_format(metadata: dict[str, str]) -> None:
    if not {"neumf_format", "neumf_version", "neumf_state"} <= metadata.keys():
        raise ValueError(
            "path must be a file that save of a neumf recommender wrote. Received a safetensors "
            "file of something else."
        )
    number = metadata["neumf_format"]
    if not (number.isascii() and number.isdigit() and 0 < len(number) < 10 and int(number) > 0):
        raise damaged(f"its format is {short(number)}")
    if int(number) > FORMAT:
        raise ValueError(
            f"path must be a file of format {FORMAT} or older. Received one of format {number}, "
            f"written by neumf {short(metadata['neumf_version'])}, which is later than this "
            f"one, {__version__}. Update: pip install --upgrade scikit-neumf."
        )


def _no_file_of_ours(content: bytes, error: str) -> ValueError:
    rule = "path must be a file that save of a neumf recommender wrote, whole"
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return ValueError(
            f"{rule}. Received a pickle, which load never runs. If you trust where it comes from, "
            "read it with pickle or joblib and call save."
        )
    return ValueError(f"{rule}. Received {len(content)} bytes that cannot be read: {error}.")


def _array(name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    dtype = _DTYPES.get(tensor["dtype"])
    if dtype is None:
        raise damaged(f"array {short(name)} is of dtype {tensor['dtype']}")
    array: NDArray[Any] = np.frombuffer(tensor["data"], dtype)
    if dtype is np.bool_ and (array.view(np.uint8) > 1).any():
        raise damaged(f"array {short(name)} has booleans that are neither 0 nor 1")
    try:
        return array.reshape(tensor["shape"])
    except (ValueError, OverflowError) as error:  # of no values, but too many dimensions
        raise damaged(f"array {short(name)} has an impossible shape") from error


def digest_of(array: NDArray[Any]) -> str:
    """Return a digest of dtype, shape and values of a contiguous array."""
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape} ".encode(), digest_size=32)
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checksum_of(metadata: Mapping[str, str], arrays: Arrays) -> str:
    """Return a checksum of all that a file says."""
    content = [sorted(metadata.items()), sorted((name, digest_of(a)) for name, a in arrays.items())]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=32).hexdigest()


def read_json(text: str) -> Any:
    """Read JSON, with no key twice and no number that JSON does not know.

    Raises
    ------
    ValueError
        If it is no such JSON.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice in an object")
        return dict(pairs)

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=as_dict)
    except RecursionError as error:
        raise damaged("its header is nested too deeply") from error
    except ValueError as error:
        raise damaged(f"its header cannot be read: {short(str(error))}") from error
