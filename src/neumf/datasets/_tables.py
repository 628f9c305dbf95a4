"""Files of separated fields: a fast reader, and a strict one that finds the broken line."""

import csv
import io
import itertools
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neumf.datasets._lines import (
    DAMAGED_GZIP,
    StrPath,
    empty_error,
    line_error,
    numbered_lines,
    open_binary,
    quoted,
)

COLUMNS = ["user", "item", "timestamp", "rating"]


@dataclass(frozen=True)
class Layout:
    """How a file writes its interactions."""

    separator: str
    columns: tuple[str, ...] = ("user", "item", "rating", "timestamp")
    id_type: type[int] | type[str] = int
    has_header: bool = False


def read_table(path: StrPath, layout: Layout) -> pd.DataFrame:
    """Return the four columns of a file in the given layout, rows in file order."""
    # pandas is several times as fast but does not say which line is broken, so what it refuses,
    # or lets through in doubt, is read again by strict rules.
    try:
        table = _read_fast(path, layout)
    except (ValueError, OverflowError, *DAMAGED_GZIP):
        return _read_strictly(path, layout)
    return table if _is_sound(table, layout) else _read_strictly(path, layout)


def _read_fast(path: StrPath, layout: Layout) -> pd.DataFrame:
    id_dtype = "int64" if layout.id_type is int else "str"
    separator = layout.separator
    with open_binary(path) as stream:
        if len(separator) > 1:  # pandas would fall back on its slow Python parser
            stream = io.BytesIO(stream.read().replace(separator.encode(), b"\t"))
            separator = "\t"
        table = pd.read_csv(
            stream,
            sep=separator,
            names=list(layout.columns),
            header=0 if layout.has_header else None,
            dtype={"user": id_dtype, "item": id_dtype, "timestamp": "int64", "rating": "float64"},
            engine="c",
            quoting=csv.QUOTE_NONE,
            na_filter=False,
        )
    return table[COLUMNS]


def _is_sound(table: pd.DataFrame, layout: Layout) -> bool:
    # With a field too many in every line, pandas makes the first one the index.
    if table.empty or not isinstance(table.index, pd.RangeIndex):
        return False
    has_empty_ids = layout.id_type is str and bool((table[["user", "item"]] == "").any(axis=None))
    return not has_empty_ids and bool(np.isfinite(table["rating"]).all())


def _read_strictly(path: StrPath, layout: Layout) -> pd.DataFrame:
    lines = itertools.islice(numbered_lines(path), int(layout.has_header), None)
    columns = {name: _empty_column(name, layout) for name in layout.columns}
    for number, line in lines:
        row = _parse_row(path, number, line.rstrip("\r\n"), layout)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    if not columns["user"]:
        raise empty_error(path)
    return pd.DataFrame({name: pd.Series(columns[name]) for name in COLUMNS})


def _empty_column(name: str, layout: Layout) -> Any:
    # Arrays take 8 bytes a number: the line that is broken may be the last of millions.
    if name == "rating":
        return array("d")
    return [] if name != "timestamp" and layout.id_type is str else array("q")


def _parse_row(path: StrPath, number: int, line: str, layout: Layout) -> list[int | float | str]:
    fields = line.split(layout.separator)
    if len(fields) != len(layout.columns):
        expected = layout.separator.join(layout.columns)
        message = f"the line must hold {len(layout.columns)} fields, {expected!r}"
        raise line_error(path, number, f"{message}. Received {len(fields)}: {quoted(line)}")
    return [
        _parse_field(path, number, column, text, layout)
        for column, text in zip(layout.columns, fields, strict=True)
    ]


def _parse_field(
    path: StrPath, number: int, column: str, text: str, layout: Layout
) -> int | float | str:
    parse, rule = _parser(column, layout)
    try:
        return parse(text)
    except ValueError:
        message = f"field {column!r} must be {rule}. Received: {quoted(text)}"
        raise line_error(path, number, message) from None


def _parser(column: str, layout: Layout) -> tuple[Callable[[str], int | float | str], str]:
    if column == "rating":
        return _parse_finite, "a finite number"
    if column != "timestamp" and layout.id_type is str:
        return _parse_id, "an id, not an empty text"
    return parse_int64, "a 64-bit integer"


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def parse_int64(text: str) -> int:
    """Return the integer that the text stands for; raise ValueError if it is none."""
    try:
        number = int(text)
    except ValueError:
        if not float(text).is_integer():  # some tools write 7 as 7.0
            raise
        number = int(float(text))
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _parse_id(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text
