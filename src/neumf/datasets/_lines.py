"""Text files line by line, and errors that point at a line."""

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

StrPath = str | os.PathLike[str]

DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)

_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_QUOTE = 80


def open_binary(path: StrPath) -> IO[bytes]:
    """Open a plain or gzip-compressed file; its first bytes decide, not its name."""
    with Path(path).open("rb") as stream:
        is_compressed = stream.read(2) == _GZIP_MAGIC
    # A GzipFile alone takes a Python call per line; the buffer around it is C.
    return io.BufferedReader(gzip.open(path)) if is_compressed else Path(path).open("rb")


def numbered_lines(path: StrPath, *, or_latin_1: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank with their 1-based numbers, one in memory at a time.

    The text is UTF-8; a line that is not may be Latin-1, if asked: any bytes are.
    """
    number = 0
    with open_binary(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                # "utf-8-sig" skips the mark that some editors write before the first line.
                text = _decode(line, "utf-8-sig" if number == 1 else "utf-8", or_latin_1)
                if text and not text.isspace():
                    yield number, text
        except UnicodeDecodeError as error:
            message = (
                f"the text is not UTF-8 ({error.reason} at byte {error.start + 1} of the line)"
            )
            raise line_error(path, number, f"{message}; save the file as UTF-8") from error
        except DAMAGED_GZIP as error:
            message = f"the compressed data are cut off or damaged ({quoted(error)})"
            raise line_error(path, number + 1, f"{message}; fetch the file again") from error


def _decode(line: bytes, encoding: str, or_latin_1: bool) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        if not or_latin_1:
            raise
        return line.decode("latin-1")


def first_line(path: StrPath, *, or_latin_1: bool = False) -> tuple[int, str]:
    """Return the first line that is not blank, with its number."""
    for number, line in numbered_lines(path, or_latin_1=or_latin_1):
        return number, line.rstrip("\r\n")
    raise empty_error(path)


def line_error(path: StrPath, number: int, message: str) -> ValueError:
    """Return the error that names the file and the line."""
    return ValueError(f"{os.fspath(path)}, line {number}: {message}.")


class FieldError(ValueError):
    """A field of a line is not what it must be; the caller says which line."""

    def __init__(self, name: str, rule: str, value: object) -> None:
        super().__init__(f"field {name!r} must be {rule}. Received: {quoted(value)}")


def empty_error(path: StrPath) -> ValueError:
    """Return the error for a file without a single row."""
    return ValueError(f"{os.fspath(path)}: the file is empty; it must hold at least one row.")


def quoted(value: object) -> str:
    """Return the representation of what came, cut to fit an error message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 3]}..."
