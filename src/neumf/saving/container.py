"""Write arrays and one text to a safetensors file, completely or not at all; read it back."""

from __future__ import annotations

import hashlib
import json
import math
import os
import reprlib
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialize

from neumf._version import __version__
from neumf.utils.paths import opened_as

FORMAT = 1  # of written files; older formats are read, later ones are refused

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
}

# Maximum number of bytes of the header, which holds parameters and the names of arrays; a network
# has 5 kB. Reading hundreds of thousands of names would take seconds.
_LONGEST_HEADER = 2**19

# Age in seconds from which a temporary file counts as left by a killed `save`.
_STALE = 3600

_WRITABLE = "path must be a file in a folder that exists, has space, and may be written to"

Arrays = Mapping[str, NDArray[Any]]

# Shortens values of unknown size in messages.
_representation = reprlib.Repr()
_representation.maxstring = _representation.maxother = 100
short_repr = _representation.repr


def damaged_file_error(reason: str) -> ValueError:
    """Return the error for a file whose content differs from what `save` writes."""
    return ValueError(
        f"path must be a file that save wrote: {reason}. The file is damaged or was changed; copy "
        "it anew, or save the recommender again."
    )


def check_loaded(check: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that checks a parameter; report its error as a damaged file."""
    try:
        return check(*arguments)
    except (TypeError, ValueError) as error:
        raise damaged_file_error(str(error)) from error


def write_file(path: str | os.PathLike[str], text: str, arrays: Arrays) -> None:
    """Write a text and arrays; an existing file stays until the new one is on the disk."""
    metadata = {"neumf_format": str(FORMAT), "neumf_version": __version__, "neumf_values": text}
    metadata["neumf_checksum"] = checksum_of(metadata, arrays)
    content = serialize(dict(arrays), metadata)
    if (length := _header_length(content)) > _LONGEST_HEADER:
        raise ValueError(
            f"A file holds at most {_LONGEST_HEADER} bytes of parameters. Received a recommender "
            f"with {length}. Shorten the longest parameter, or pickle the recommender."
        )
    with opened_as(path, _WRITABLE) as given:
        file = Path(os.path.realpath(given))
        mode = _mode_of_regular_file(file, path) if file.exists() else None
        _replace(file, content, mode)


def _replace(path: Path, content: bytes, mode: int | None) -> None:
    """Write a temporary file, then rename it to `path`; `mode` None means a new file."""
    _remove_stale(path.parent)
    temporary = path.with_name(f".neumf-{secrets.token_hex(8)}.tmp")

    def create(name: str, flags: int) -> int:
        # Only the owner may open the new file until it has the mode of the old one.
        return os.open(name, flags, 0o666 if mode is None else 0o600)

    try:
        with open(temporary, "xb", opener=create) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_stale(folder: Path) -> None:
    """Remove the temporary files that killed processes left."""
    for temporary in folder.glob(".neumf-*.tmp"):
        with suppress(OSError):  # the file belongs to another user, or is gone
            if time.time() - temporary.lstat().st_mtime > _STALE:
                temporary.unlink()


def _mode_of_regular_file(path: Path, given: str | os.PathLike[str]) -> int:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(
            f"path must be a regular file. Received {str(given)!r}, which is a folder, a device, a "
            "pipe or a socket. Pass the path of a file."
        )
    return stat.S_IMODE(mode)


def read_file(path: str | os.PathLike[str]) -> tuple[str, dict[str, NDArray[Any]]]:
    """Read the text and the arrays that `write_file` wrote; refuse any other file."""
    with opened_as(path, "path must be a file that save wrote and that you may read") as file:
        _mode_of_regular_file(file, path)
        content = file.read_bytes()
    if _header_length(content) > _LONGEST_HEADER:
        raise _foreign_file_error(content, f"its header exceeds {_LONGEST_HEADER} bytes")
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise _foreign_file_error(content, str(error)) from error
    # `deserialize` has checked that the header is JSON and lies within the file.
    end = 8 + _header_length(content)
    metadata = read_json(content[8:end].decode()).get("__metadata__") or {}
    _check_format(metadata)
    del content
    arrays = {name: _array(name, tensor) for name, tensor in tensors}
    if metadata.pop("neumf_checksum", None) != checksum_of(metadata, arrays):
        raise damaged_file_error("its checksum does not match its content")
    return metadata["neumf_values"], arrays


def _header_length(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")


def _check_format(metadata: dict[str, str]) -> None:
    if not {"neumf_format", "neumf_version", "neumf_values"} <= metadata.keys():
        raise ValueError(
            "path must be a file that a neumf recommender saved. Received a safetensors file from "
            "another program."
        )
    number = metadata["neumf_format"]
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0):
        raise damaged_file_error(f"its format is {short_repr(number)}")
    if int(number) > FORMAT:
        raise ValueError(
            f"path must be a file of format {FORMAT} or older. Received format {number}, written "
            f"by neumf {short_repr(metadata['neumf_version'])}; this is neumf {__version__}. "
            "Update: pip install --upgrade scikit-neumf."
        )


def _foreign_file_error(content: bytes, error: str) -> ValueError:
    rule = "path must be a file that a neumf recommender saved"
    if content[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return ValueError(
            f"{rule}. Received a pickle, which load never runs. If you trust its author, load it "
            "with pickle or joblib, and call save."
        )
    return ValueError(f"{rule}. Received {len(content)} bytes that cannot be read: {error}.")


def _array(name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    dtype = DTYPES.get(tensor["dtype"])
    if dtype is None:
        raise damaged_file_error(f"array {short_repr(name)} is of dtype {tensor['dtype']}")
    array: NDArray[Any] = np.frombuffer(tensor["data"], dtype)
    if dtype == np.bool_ and (array.view(np.uint8) > 1).any():
        raise damaged_file_error(f"array {short_repr(name)} has booleans other than 0 and 1")
    try:
        return array.reshape(tensor["shape"])
    except (ValueError, OverflowError) as error:  # an empty array with too many dimensions
        raise damaged_file_error(f"array {short_repr(name)} has an impossible shape") from error


def digest_of(array: NDArray[Any]) -> str:
    """Return a digest of dtype, shape and values of a contiguous array."""
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape} ".encode(), digest_size=32)
    digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checksum_of(metadata: Mapping[str, str], arrays: Arrays) -> str:
    """Return a checksum of all content of a file."""
    content = [sorted(metadata.items()), sorted((name, digest_of(a)) for name, a in arrays.items())]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=32).hexdigest()


def read_json(text: str) -> Any:
    """Read JSON, and refuse repeated keys and numbers that are not finite."""

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"{number} is not a finite number")
        return float(number)

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key appears twice in an object")
        return dict(pairs)

    try:
        return json.loads(
            text, parse_float=finite, parse_constant=finite, object_pairs_hook=as_dict
        )
    except RecursionError as error:
        raise damaged_file_error("its JSON is nested too deeply") from error
    except ValueError as error:
        raise damaged_file_error(f"its JSON cannot be read: {short_repr(str(error))}") from error
