"""Reader of the Amazon product dumps."""

import ast
import math
import re
from typing import Any

import pandas as pd

from neumf.datasets._amazon import parse_json
from neumf.datasets._lines import (
    FieldError,
    StrPath,
    first_line,
    open_binary,
    parse_lines,
    quoted,
)
from neumf.utils.validation import warn_caller

# Names of the fields. If a line has several of them, the first one counts.
_NAMES = {
    "item": ("parent_asin", "asin"),
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "price": ("price",),
}

_AMOUNT = re.compile(r"\s*\$?\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*")


def read_amazon_metadata(path: StrPath) -> pd.DataFrame:
    """Read titles, brands, categories and prices from an Amazon file of products.

    .. versionadded:: 0.1

    The function reads the files `meta_*` of 2014, 2018 and 2023 by Julian McAuley's groups.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed:

        - one product per line, as a JSON object (2018 and 2023);
        - one product per line, as a Python literal such as `{'asin': ...}` (2014), which takes
          ten times as long to read;
        - a table of this function that `to_csv` wrote.

    Returns
    -------
    DataFrame
        One row per product in file order, indexed by `item` (str), the field `parent_asin` in files
        of 2023 and `asin` in others, with the columns

        - `title` (str);
        - `brand` (str): in files of 2023, the field `store`;
        - `categories` (str): the names of all categories, each once, joined by "|" (a "|" within a
          name becomes "/");
        - `price` (float64): from a number, or from a text of one amount such as "$1,299.00". Other
          prices are NaN.

        A missing field gives an empty text.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or a line is broken. The message names the file, line and field.

    Warns
    -----
    UserWarning
        If an id occurs several times, as in the files of 2018. The first line counts.

    See Also
    --------
    read_amazon_reviews : The reviews, and the references of the data.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_amazon_metadata
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "meta.json")
    ...     _ = path.write_text(
    ...         "{'asin': '1384719342', 'title': 'Pop filter', 'price': 9.95, "
    ...         "'categories': [['Musical Instruments', 'Microphones']]}"
    ...     )
    ...     items = read_amazon_metadata(path)
    >>> items["title"].tolist(), items["categories"].tolist(), items["price"].tolist()
    (['Pop filter'], ['Musical Instruments|Microphones'], [9.95])
    """
    if first_line(path)[1].split(",")[:2] == ["item", "title"]:
        with open_binary(path) as stream:
            dtypes = dict.fromkeys(("item", "title", "brand", "categories"), "str")
            dtypes["price"] = "float64"
            empty = {"price": [""]}
            table = pd.read_csv(stream, dtype=dtypes, keep_default_na=False, na_values=empty)
        return table.set_index("item")[["title", "brand", "categories", "price"]]
    records: dict[str, tuple[str, str, str, float]] = {}
    n_lines = 0
    for _, (key, record) in parse_lines(path, _parse_product):
        n_lines += 1
        records.setdefault(key, record)
    if n_lines > len(records):
        warn_caller(
            f"{path}: {n_lines - len(records)} of {n_lines} lines repeat the id of an earlier "
            "line; they are skipped."
        )
    index = pd.Index(list(records), name="item")
    return pd.DataFrame(list(records.values()), index, ["title", "brand", "categories", "price"])


def _parse_product(line: str) -> tuple[str, tuple[str, str, str, float]]:
    """Return the id of a product and its row of the table."""
    record = _parse_literal(line) if line.startswith("{'") else parse_json(line)
    values = {
        column: next((record[name] for name in names if name in record), None)
        for column, names in _NAMES.items()
    }
    if not isinstance(values["item"], str) or not values["item"]:
        rule = "an id, a text that is not empty (or 'parent_asin', in files of 2023)"
        raise FieldError("asin", rule, values["item"])
    for column in ("title", "brand"):
        if values[column] is not None and not isinstance(values[column], str):
            raise FieldError(column, "a text", values[column])
    title, brand = values["title"] or "", values["brand"] or ""
    categories, price = _read_categories(values["categories"]), _read_price(values["price"])
    return values["item"], (title, brand, categories, price)


def _parse_literal(line: str) -> dict[str, Any]:
    try:
        record = ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        message = f"the line is not a Python literal ({quoted(error)}). Received: {quoted(line)}"
        raise ValueError(message) from None
    if not isinstance(record, dict):
        raise ValueError(f"every line must be one object with fields. Received: {quoted(record)}")
    return record


def _read_categories(value: Any) -> str:
    names = [] if value is None else value
    if not isinstance(names, list):
        raise FieldError("categories", "a list", value)
    flat = [name for part in names for name in (part if isinstance(part, list) else [part])]
    if not all(isinstance(name, str) for name in flat):
        raise FieldError("categories", "a list of names, or of lists of names", value)
    return "|".join(dict.fromkeys(name.replace("|", "/") for name in flat if name))


def _read_price(value: Any) -> float:
    if isinstance(value, str):
        amount = _AMOUNT.fullmatch(value)
        return float(amount[1].replace(",", "")) if amount else math.nan
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300:
        return float(value)
    return math.nan
