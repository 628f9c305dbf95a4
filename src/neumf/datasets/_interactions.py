"""Turn any table into the standard columns."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neumf.datasets._amazon import parse_json
from neumf.datasets._lines import first_line, parse_lines
from neumf.interactions.id_checks import check_ids
from neumf.interactions.request_times import require_timestamps
from neumf.interactions.table_kinds import Table, open_table
from neumf.interactions.tables import ROLES, locate_columns, no_rows
from neumf.interactions.timestamps import read_times
from neumf.utils.arrays import Float64s
from neumf.utils.validation import check_option, check_real, describe, warn_caller

_SEPARATORS = ("\t", ";", "|", ",")
_MOST_SHOWN = 10
_ROUNDING = 1e-9  # of sums of fractional quantities


def read_interactions(
    table: Any,
    *,
    user: Any = None,
    item: Any = None,
    timestamp: Any = None,
    rating: Any = None,
    event: Any = None,
    weights: Mapping[Any, float | None] | None = None,
    quantity: Any = None,
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
    event : str, int or None, default=None
        Name or position of the column that tells kinds of events apart, such as views and
        purchases. It is read only if it is given, together with `weights`.
    weights : dict or None, default=None
        The weight of each kind, for example ``{"view": 1, "purchase": 5}``. Each kind in the table
        must be a key; the key None stands for a missing kind. Rows of a kind with weight 0 or None
        are dropped.
    quantity : str, int or None, default=None
        Name or position of the column of quantities. It is read only if it is given. A negative
        quantity is a return: it reduces the quantities of the latest earlier rows with the same
        user, item and, if given, event. Rows are dropped if no quantity above 0 remains, so all
        returns are.

    Returns
    -------
    DataFrame of shape (n_rows, 2 to 7)
        The rows of the table in their order, with the columns

        - `user` and `item`: ids as `fit` reads them;
        - `timestamp`, if the table has one: datetimes, or seconds if the column holds numbers;
        - `rating` (float64), if the table has one;
        - `event` and `weight` (float64), if `event` is given. ``fit`` reads the weights from
          ``sample_weight=X["weight"]`` only;
        - `quantity` (float64), if it is given.

        The index is the position of each row in the table.

    Raises
    ------
    ValueError, TypeError
        If a column is missing, or two columns match a role equally well; if an id is missing or
        has another type; if timestamps have several units or kinds; if a rating is text; if a kind
        of event has no weight, or a weight is below 0; if a quantity is missing or infinite, or a
        return has no timestamp.
    FileNotFoundError
        If there is no such file.

    Warns
    -----
    UserWarning
        If a return exceeds what the user bought of the item before.

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

    A purchase counts as five views, and one that was returned does not count:

    >>> shop = pd.DataFrame({
    ...     "user": ["ann", "ann", "ann", "bob"], "item": ["lamp", "lamp", "lamp", "rug"],
    ...     "timestamp": ["2025-01-01", "2025-01-02", "2025-01-09", "2025-01-03"],
    ...     "event": ["view", "buy", "buy", "buy"], "pieces": [1, 1, -1, 2]})
    >>> weights = {"view": 1, "buy": 5}
    >>> X = read_interactions(shop, event="event", weights=weights, quantity="pieces")
    >>> X[["user", "item", "event", "weight", "quantity"]]
      user  item event  weight  quantity
    0  ann  lamp  view     1.0       1.0
    3  bob   rug   buy     5.0       2.0
    """
    if (event is None) != (weights is None):
        raise ValueError(
            "event and weights must be given together. Received: "
            f"event={describe(event)}, weights={describe(weights)}. Name the column of kinds, and "
            "map each kind to its weight."
        )
    names = {"user": user, "item": item, "timestamp": timestamp, "rating": rating}
    names |= {"event": event, "quantity": quantity}
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
        column = opened.column(positions["rating"])
        columns["rating"] = _read_numbers(column, "ratings", is_needed=False)
    rows = pd.DataFrame(columns)
    if event is not None:
        rows["event"] = opened.column(given["event"]).array
        rows["weight"] = _weigh_events(rows["event"], weights)
    if quantity is not None:
        quantities = _read_numbers(opened.column(given["quantity"]), "quantities", is_needed=True)
        rows["quantity"] = _cancel_returns(rows, quantities)
    amounts = rows.columns.intersection(["weight", "quantity"])
    return rows[(rows[amounts] > 0).all(axis=1)]


def _read_numbers(column: pd.Series, what: str, *, is_needed: bool) -> Float64s:
    """Return numbers as float64; refuse text and, if they are needed, missing numbers."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~np.isfinite(numbers) if is_needed else np.isnan(numbers) & column.notna().to_numpy()
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"table: {what} must be numbers. Received {column.iloc[row]!r} in row {row} "
            f"({int(bad.sum())} such rows). Map them to numbers, or drop the "
            f"{'rows' if is_needed else 'column'}."
        )
    return numbers


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


def _weigh_events(kinds: pd.Series[Any], weights: Any) -> Float64s:
    """Return the weight of each row by its kind of event; 0 marks a row to drop."""
    rule = "weights must map each kind of event to its weight"
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"{rule}. Received: {describe(weights)}. Pass event= and weights= together, for "
            "example event='event', weights={'view': 1, 'purchase': 5}."
        )
    for kind, weight in weights.items():
        if weight is not None:
            check_real(f"weights[{kind!r}]", weight)
    indices, found = pd.factorize(kinds, use_na_sentinel=False)
    labels = [None if pd.isna(label) else label for label in found.tolist()]
    missing = [label for label in labels if label not in weights]
    if missing:
        n_rows = int(np.isin(indices, [labels.index(label) for label in missing]).sum())
        names = ", ".join(map(repr, missing[:_MOST_SHOWN]))
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        raise ValueError(
            f"{rule}. Received no weight for {names}{more} ({n_rows} rows). Add their weights; a "
            f"weight of 0 drops the rows of a kind: weights={{..., {missing[0]!r}: 0}}."
        )
    return np.array([weights[label] or 0 for label in labels], dtype=np.float64)[indices]


def _cancel_returns(rows: pd.DataFrame, quantities: Float64s) -> Float64s:
    """Return the quantity of each row that was not returned; 0 for returns.

    A negative quantity takes from the latest earlier rows of the same user, item and event.
    """
    left = quantities.copy()
    is_return = quantities < 0
    if not is_return.any():
        return left
    reason = "a negative quantity is a return, which cancels earlier rows"
    times = require_timestamps(rows.get("timestamp"), "table", reason, "drop these rows")
    keys = [name for name in ("user", "item", "event") if name in rows]
    groups = rows.groupby(keys, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    in_order = np.argsort(times.to_numpy(), kind="stable")
    in_order = in_order[np.isin(groups, groups[is_return])[in_order]]
    bought: dict[int, list[int]] = defaultdict(list)  # of each group, earliest first
    for row, group in zip(in_order.tolist(), groups[in_order].tolist(), strict=True):
        earlier = bought[group]
        if left[row] > 0:
            earlier.append(row)
        while left[row] < 0 and earlier:
            taken = min(-left[row], left[earlier[-1]])
            left[row] += taken
            left[earlier[-1]] -= taken
            if left[earlier[-1]] < _ROUNDING:
                left[earlier.pop()] = 0
    n_excess = int((left < -_ROUNDING).sum())
    if n_excess:
        warn_caller(
            f"table: {n_excess} of {is_return.sum()} returns (negative quantities) exceed what the "
            "user bought of the item before; the excess is dropped. The purchases may be older "
            "than the table."
        )
    return np.maximum(left, 0)
