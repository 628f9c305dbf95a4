"""Files of separated fields: a fast reader, and a strict one that finds the broken line."""

import csv
import io
from array import array
from collections.abc import Iterable
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
)

COLUMNS = ["user", "item", "timestamp", "rating"]


@dataclass(frozen=True)
class Layout:
    """How a file writes its interactions."""

    separator: str
    columns: tuple[str, ...] = ("user", "item", "rating", "timestamp")
    id_type: type[int] | type[str] = int
    has_header: bool = False

    def parse(self, line: str) -> list[Any]:
        """Return user, item, timestamp and rating of a line."""
        fields = line.split(self.separator)
        check_width(fields, self.columns, self.separator)
        read_id = parse_id if self.id_type is str else parse_int64
        readers = dict(zip(COLUMNS, (read_id, read_id, parse_int64, parse_finite), strict=True))
        cells = zip(self.columns, fields, strict=True)
        row = {name: readers[name](name, text) for name, text in cells}
        return [row[name] for name in COLUMNS]


def read_table(path: StrPath, layout: Layout) -> pd.DataFrame:
    """Read the four columns of a file, rows in file order."""
    # pandas is several times as fast but does not name the broken line: files that it refuses,
    # and doubtful results, are read again by strict rules.
    try:
        table = _read_fast(path, layout)
        if _is_sound(table, layout):
            return table
    except (ValueError, OverflowError, *DAMAGED_GZIP):
        pass
    lines = parse_lines(path, layout.parse, n_header=int(layout.has_header))
    return table_of_rows((row for _, row in lines), layout.id_type)


def table_of_rows(rows: Iterable[list[Any]], id_type: type[int] | type[str]) -> pd.DataFrame:
    """Gather rows of user, item, timestamp and rating."""
    # Arrays take 8 bytes a number, where a list would hold an object.
    ids: list[Any] = [[], []] if id_type is str else [array("q"), array("q")]
    columns = [*ids, array("q"), array("d")]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return pd.DataFrame(dict(zip(COLUMNS, map(pd.Series, columns), strict=True)))


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
