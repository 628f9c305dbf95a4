"""Read files of separated fields: fast with pandas, or strictly to find the broken line."""

import csv
import io
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neumf.datasets._lines import (
    DAMAGED_GZIP,
    StrPath,
    check_width,
    open_binary,
    parse_finite,
    parse_id,
    parse_int64,
    parse_lines,
    parse_seconds,
    split_csv,
)
from neumf.interactions.column_names import COLUMN_NAMES, normalise_name

COLUMNS = ["user", "item", "timestamp", "rating"]

# If a header has several names of a column, the first one counts.
_HEADER_NAMES = {
    role: [name for tier in tiers for name in tier] for role, tiers in COLUMN_NAMES.items()
}


@dataclass(frozen=True)
class Layout:
    """The layout of a file of interactions.

    In a file with a header, fields may be quoted, and timestamps may be fractions or dates.
    """

    separator: str
    columns: tuple[str, ...] = ("user", "item", "rating", "timestamp")
    id_type: type[int] | type[str] = int
    has_header: bool = False

    def parse(self, line: str) -> list[Any]:
        """Return user, item, timestamp and rating of a line."""
        fields = split_csv(line) if self.has_header else line.split(self.separator)
        check_width(fields, self.columns, self.separator)
        read_id = parse_id if self.id_type is str else parse_int64
        read_time = parse_seconds if self.has_header else parse_int64
        readers = zip(COLUMNS, (read_id, read_id, read_time, parse_finite), strict=True)
        row = dict(zip(self.columns, fields, strict=True))
        return [read(name, row[name]) for name, read in readers]


def layout_of_header(line: str, id_type: type[int] | type[str]) -> Layout | None:
    """Return the layout of a file of comma-separated values; None if the header lacks a column."""
    columns = columns_of_header(line, _HEADER_NAMES)
    return Layout(",", columns, id_type, has_header=True) if columns else None


def columns_of_header(line: str, known: Mapping[str, Iterable[str]]) -> tuple[str, ...] | None:
    """Return the standard names of columns in a header, and numbers for unknown columns.

    The result is None if a standard column is missing.
    """
    try:
        header = split_csv(line)
    except ValueError:
        return None
    names = [normalise_name(name) for name in header]
    columns = [f"column {number}" for number in range(len(names))]
    for column, those_of_files in known.items():
        found = next((name for name in those_of_files if name in names), None)
        if found is None:
            return None
        columns[names.index(found)] = column
    return tuple(columns)


def read_table(path: StrPath, layout: Layout) -> pd.DataFrame:
    """Read the four columns of a file, rows in file order."""
    # pandas is several times as fast but does not name the broken line. If it refuses a file, or
    # the result is doubtful, the strict reader reads the file again.
    try:
        table = _read_fast(path, layout)
        if _is_sound(table, layout):
            return table
    except (ValueError, OverflowError, *DAMAGED_GZIP):
        pass
    lines = parse_lines(path, layout.parse, n_header=int(layout.has_header))
    return table_of_rows((row for _, row in lines), layout.id_type, not layout.has_header)


def table_of_rows(
    rows: Iterable[list[Any]], id_type: type[int] | type[str], whole_seconds: bool = True
) -> pd.DataFrame:
    """Make a table of rows of user, item, timestamp and rating."""
    # An array takes 8 bytes per number; a list would hold an object for each.
    ids: list[Any] = [[], []] if id_type is str else [array("q"), array("q")]
    columns = [*ids, array("q") if whole_seconds else [], array("d")]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return pd.DataFrame(dict(zip(COLUMNS, map(pd.Series, columns), strict=True)))


def _read_fast(path: StrPath, layout: Layout) -> pd.DataFrame:
    id_dtype = "int64" if layout.id_type is int else "str"
    dtypes = {"user": id_dtype, "item": id_dtype, "rating": "float64"}
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
            dtype=dtypes if layout.has_header else dtypes | {"timestamp": "int64"},
            engine="c",
            quoting=csv.QUOTE_MINIMAL if layout.has_header else csv.QUOTE_NONE,
            na_filter=False,
        )[COLUMNS]
    return table.assign(timestamp=_seconds(table["timestamp"]))


def _seconds(times: pd.Series) -> pd.Series:
    """Return times in seconds, as integers if all are whole; refuse numbers among dates."""
    if times.dtype.kind not in "if":
        times = times.astype("str")
        if times.str.fullmatch(r"[\d.]*").any():
            raise ValueError("numbers among dates")
        dates = pd.to_datetime(times, format="ISO8601", utc=True)
        times = dates.dt.as_unit("us").astype("int64") / 10**6
    whole = times.astype("int64")
    return whole if (whole == times).all() else times


def _is_sound(table: pd.DataFrame, layout: Layout) -> bool:
    # If every line has one field too many, pandas makes the first field the index.
    if table.empty or not isinstance(table.index, pd.RangeIndex):
        return False
    has_empty_ids = layout.id_type is str and bool((table[["user", "item"]] == "").any(axis=None))
    return not has_empty_ids and bool(np.isfinite(table[["timestamp", "rating"]]).all(axis=None))
