"""Turn any table into the standard columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neumf.datasets._amazon import parse_json
from neumf.datasets._lines import first_line, parse_lines
from neumf.interactions.id_checks import check_ids
from neumf.interactions.table_kinds import Table, open_table
from neumf.interactions.tables import ROLES, locate_columns, no_rows
from neumf.interactions.timestamps import read_times
from neumf.utils.validation import check_option

_SEPARATORS = ("\t", ";", "|", ",")


def read_interactions(
    table: Any,
    *,
    user: Any = None,
    item: Any = None,
    timestamp: Any = None,
    rating: Any = None,
) -> pd.DataFrame:
    """Turn any table or file into the columns user, item, timestamp and rating.

    .. versionadded:: 0.1

    Parameters
    ----------
    table : array-like of shape (n_samples, n_features >= 2), str or path
        A DataFrame (pandas, polars, Arrow), an array, or the path of a file:

        - Parquet, or a folder of Parquet files;
        - JSON lines (`.json`, `.jsonl`), also with gzip;
        - text with one row per line and fields separated by tabs, semicolons, bars or commas, also
          with gzip.
    user, item, timestamp, rating : str, int or None, default=None
        Name of each column:

        - None: the column is found by the names on the page "Columns, times and ids". Timestamps
          and ratings may be missing;
        - str: the column of this name;
        - int: a position in an array, or in a text file without a header.

    Returns
    -------
    DataFrame of shape (n_samples, 2 to 4)
        The rows of the table in their order, with the columns

        - `user` and `item`: ids as `fit` reads them;
        - `timestamp`, if the table has one: datetimes, or seconds if the column holds numbers;
        - `rating` (float64), if the table has one.

    Raises
    ------
    ValueError, TypeError
        If a column is missing, or two columns match a role equally well; if an id is missing or
        has another type; if timestamps have several units or kinds; if a rating is text.
    FileNotFoundError
        If there is no such file.

    See Also
    --------
    read_amazon_reviews, read_movielens : Read files of a fixed layout, several times as fast.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf.datasets import read_interactions
    >>> invoices = pd.DataFrame({
    ...     "InvoiceNo": ["536365", "536366"], "StockCode": ["85123A", "22633"],
    ...     "InvoiceDate": ["2010-12-01 08:26", "2010-12-01 08:28"],
    ...     "CustomerID": [17850.0, 13047.0]})
    >>> read_interactions(invoices)
        user    item           timestamp
    0  17850  85123A 2010-12-01 08:26:00
    1  13047   22633 2010-12-01 08:28:00
    >>> read_interactions(invoices, user="InvoiceNo")[["user", "item"]]
         user    item
    0  536365  85123A
    1  536366   22633
    """
    names = {"user": user, "item": item, "timestamp": timestamp, "rating": rating}
    names = {role: name for role, name in names.items() if name is not None}
    if isinstance(table, str | os.PathLike):
        numbered = any(isinstance(name, int) for name in names.values())
        table = _read_file(Path(table).expanduser(), has_header=not numbered)
    opened = open_table(table, "table")
    given = {role: _find_position(opened, role, name) for role, name in names.items()}
    positions = locate_columns(opened, "table", (*ROLES, "rating"), given)
    if opened.shape[0] == 0:
        raise no_rows(opened, "table")
    columns: dict[str, Any] = {
        side: check_ids(opened.column(positions[side]), f"table: {side} ids") for side in ROLES[:2]
    }
    if "timestamp" in positions:
        columns["timestamp"] = read_times(opened.column(positions["timestamp"]), "table")
    if "rating" in positions:
        columns["rating"] = _read_ratings(opened.column(positions["rating"]))
    return pd.DataFrame(columns)


def _read_ratings(column: pd.Series) -> Any:
    """Return ratings as float64; they may be missing."""
    ratings = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.isnan(ratings) & column.notna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"table: ratings must be numbers. Received {column.iloc[row]!r} in row {row} "
            f"({int(bad.sum())} such rows). Map them to numbers, or drop the column."
        )
    return ratings


def _find_position(table: Table, role: str, name: Any) -> int:
    """Return the position of the column with a given name."""
    names = list(range(table.shape[1])) if table.names is None else table.names
    check_option(role, name, names)
    return names.index(name)


def _read_file(path: Path, *, has_header: bool) -> Any:
    """Read a file with pandas."""
    if not path.exists():
        raise FileNotFoundError(
            f"table must be a table or the path of a file. Received {str(path)!r}, where there is "
            "no file. Correct the path."
        )
    name = path.name.removesuffix(".gz")
    if path.is_dir() or name.endswith(".parquet"):
        return pd.read_parquet(path)
    try:
        if name.endswith((".json", ".jsonl")):
            return pd.DataFrame([row for _, row in parse_lines(path, parse_json)])
        separator = max(_SEPARATORS, key=first_line(path)[1].count)
        # In memory-saving pieces, pandas might mix ints and strings in one column.
        header = 0 if has_header else None
        return pd.read_csv(path, sep=separator, header=header, low_memory=False)
    except ValueError as error:  # also UnicodeDecodeError and the errors of pandas
        raise ValueError(
            f"table must be a file that pandas can read. Received {str(path)!r}: {error} Read it "
            "with pandas, for example pandas.read_csv(path, encoding=...), and pass the DataFrame."
        ) from error
