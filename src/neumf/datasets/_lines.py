"""Text files line by line, with errors that name the file, the line and the field."""

import csv
import datetime
import gzip
import io
import itertools
import math
import os
import zlib
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import IO, TypeVar

from neumf.utils.paths import opened_as

StrPath = str | os.PathLike[str]
Row = TypeVar("Row")

DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)

_LONGEST_QUOTE = 80


class FieldError(ValueError):
    """A field that breaks a rule; `parse_lines` adds the file and the line."""

    def __init__(self, name: str | int, rule: str, value: object) -> None:
        super().__init__(f"field {name!r} must be {rule}. Received: {quoted(value)}")


def open_binary(path: StrPath) -> IO[bytes]:
    """Open a file; decompress it if its first bytes mark it as gzip."""
    with opened_as(path, "path must be a file that exists and that you may read") as file:
        with file.open("rb") as stream:
            is_compressed = stream.read(2) == b"\x1f\x8b"
        # Without the buffer, which is written in C, each line would cost a Python call.
        return io.BufferedReader(gzip.open(file)) if is_compressed else file.open("rb")


def numbered_lines(path: StrPath, latin_1: bool = False) -> Generator[tuple[int, str]]:
    """Yield the lines that are not blank with their 1-based numbers, without line ends.

    The text is UTF-8. With `latin_1`, lines that are not valid UTF-8 are decoded as Latin-1.
    """
    number = 0
    with open_binary(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                try:
                    # "utf-8-sig" skips the mark that some editors write before the first line.
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    if not latin_1:
                        raise
                    text = line.decode("latin-1")
                if text and not text.isspace():
                    yield number, text.rstrip("\r\n")
        except UnicodeDecodeError as error:
            place = f"{error.reason} at byte {error.start + 1} of the line"
            message = f"the text is not UTF-8 ({place}); save the file as UTF-8"
            raise line_error(path, number, message) from error
        except DAMAGED_GZIP as error:
            message = f"the compressed data are cut off or damaged ({quoted(error)})"
            raise line_error(path, number + 1, f"{message}; fetch the file again") from error


def parse_lines(
    path: StrPath, parse: Callable[[str], Row], n_header: int = 0, latin_1: bool = False
) -> Generator[tuple[int, Row]]:
    """Yield the number of each line and its parsed row; raise if the file is empty.

    Close the generator if an error ends the loop: the traceback would keep the file open.
    """
    is_empty = True
    with closing(numbered_lines(path, latin_1)) as lines:
        for number, line in itertools.islice(lines, n_header, None):
            is_empty = False
            try:
                yield number, parse(line)
            except ValueError as error:
                raise line_error(path, number, str(error)) from None
    if is_empty:
        raise _empty_error(path)


def first_line(path: StrPath, latin_1: bool = False) -> tuple[int, str]:
    """Return the first line that is not blank, with its number."""
    for found in numbered_lines(path, latin_1):
        return found
    raise _empty_error(path)


def line_error(path: StrPath, number: int, message: str) -> ValueError:
    """Return an error that names the file and the line."""
    return ValueError(f"{os.fspath(path)}, line {number}: {message}.")


def _empty_error(path: StrPath) -> ValueError:
    return ValueError(f"{os.fspath(path)}: the file is empty; it must hold at least one row.")


def quoted(value: object) -> str:
    """Return the representation of a value, cut to fit an error message."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 3]}..."


def split_csv(line: str) -> list[str]:
    """Split a line at its commas; fields may be quoted."""
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        message = f"the quotes must be closed ({error}). Received: {quoted(line)}"
        raise ValueError(message) from None


def check_width(fields: list[str], columns: tuple[str, ...], separator: str) -> None:
    """Raise unless a line has one field per column."""
    if len(fields) != len(columns):
        message = f"the line must hold {len(columns)} fields, {', '.join(columns[:4])}"
        message += " and so on" if len(columns) > 4 else ""
        line = quoted(separator.join(fields))
        raise ValueError(f"{message}. Received {len(fields)}: {line}")


def parse_int64(name: str | int, text: str) -> int:
    """Parse a 64-bit integer; some tools write 7 as 7.0."""
    number = 2**63
    try:
        number = int(text)
    except ValueError:
        with suppress(ValueError):
            number = int(float(text)) if float(text).is_integer() else number
    if not -(2**63) <= number < 2**63:
        raise FieldError(name, "a 64-bit integer", text)
    return number


def parse_seconds(name: str, text: str) -> int | float:
    """Parse a number of seconds or a date; a date without a time zone is in UTC."""
    with suppress(ValueError):
        return parse_int64(name, text)
    with suppress(ValueError):
        return parse_finite(name, text)
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        rule = "a number of seconds since 1970, or a date such as 2024-01-31 23:59:59"
        raise FieldError(name, rule, text) from None
    utc = datetime.UTC
    seconds = (time if time.tzinfo else time.replace(tzinfo=utc)).timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def parse_finite(name: str, text: str) -> float:
    """Parse a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FieldError(name, "a finite number", text)
    return number


def parse_id(name: str, text: object) -> str:
    """Return an id if it is a text that is not empty."""
    if not isinstance(text, str) or not text:
        raise FieldError(name, "an id, a text that is not empty", text)
    return text
