"""Readers of the Amazon dumps of reviews and of products."""

import ast
import json
import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from sys import float_info, intern
from typing import Any

import pandas as pd

from neumf.datasets._lines import (
    FieldError,
    StrPath,
    first_line,
    line_error,
    open_binary,
    parse_id,
    parse_lines,
    quoted,
)
from neumf.datasets._tables import COLUMNS, Layout, layout_of_header, read_table, table_of_rows
from neumf.utils.validation import warn_caller

# Names of user, item, timestamp and rating in the dumps of 2014 and 2018, and of 2023.
_FIELDS = ("reviewerID", "asin", "unixReviewTime", "overall")
_FIELDS_2023 = ("user_id", "parent_asin", "timestamp", "rating")

# As milliseconds this is in 1973, as seconds in the year 5138.
_LEAST_MILLISECONDS = 10**11

_REVIEWER_ID = re.compile(r"A[0-9A-Z]{9,}")
_ASIN = re.compile(r"[B0-9][0-9A-Z]{9}")

# Names of the fields of products. If a line has several of them, the first one counts.
_PRODUCT_FIELDS = {
    "item": ("parent_asin", "asin"),
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "price": ("price",),
}

_AMOUNT = re.compile(r"\s*\$?\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*")


def read_amazon_reviews(
    path: StrPath, *, csv_columns: Sequence[str] = ("user", "item", "rating", "timestamp")
) -> pd.DataFrame:
    """Read a file of Amazon reviews, or of their ratings only.

    .. versionadded:: 0.1

    The function reads the dumps of 2014, 2018 and 2023 by Julian McAuley's groups. It leaves out
    the texts of the reviews.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed:

        - `.json` or `.jsonl`: one review per line, as a JSON object;
        - `.csv`: one rating per line, as four fields separated by commas. In a file with a header,
          the fields may be quoted and in any order, and there may be further fields. The files of
          2023 have a header, and so do tables of this function that `to_csv` wrote.
    csv_columns : sequence of str, default=("user", "item", "rating", "timestamp")
        Order of the fields in a `.csv` without a header. The default is the order of 2014. Files
        of 2018 need ("item", "user", "rating", "timestamp").

    Returns
    -------
    DataFrame
        One row per review in file order, with the columns

        - `user` and `item` (str): for files of 2023, the item is the `parent_asin`;
        - `timestamp`: seconds since 1970, int64 for files of 2014 and 2018, float64 for files of
          2023, which hold milliseconds;
        - `rating` (float64).

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing or has another format, `csv_columns` does not hold the four columns,
        or users and items of a `.csv` are swapped. The message names the file, line and field.

    See Also
    --------
    read_amazon_metadata : Titles, brands, categories and prices of the products.

    Notes
    -----
    Dumps of 2014 that hold Python literals (`{'reviewerID': ...}`) are refused: write
    `json.dumps(ast.literal_eval(line))` for each line first.

    References
    ----------
    .. [1] J. McAuley, C. Targett, Q. Shi and A. van den Hengel, "Image-Based Recommendations on
       Styles and Substitutes", SIGIR 2015, doi 10.1145/2766462.2767755.
    .. [2] J. Ni, J. Li and J. McAuley, "Justifying Recommendations using Distantly-Labeled
       Reviews and Fine-Grained Aspects", EMNLP 2019, doi 10.18653/v1/D19-1018.
    .. [3] Y. Hou, J. Li, Z. He, A. Yan, X. Chen and J. McAuley, "Bridging Language and Items for
       Retrieval and Recommendation", 2024, arXiv:2403.03952.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_amazon_reviews
    >>> review = {"reviewerID": "A2IBPI20UZIR0U", "asin": "1384719342", "reviewText": "Good.",
    ...           "overall": 5.0, "unixReviewTime": 1393545600}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "reviews.json")
    ...     _ = path.write_text(json.dumps(review))
    ...     read_amazon_reviews(path)
                 user        item   timestamp  rating
    0  A2IBPI20UZIR0U  1384719342  1393545600     5.0
    """
    name = Path(path).name.removesuffix(".gz")
    if name.endswith((".json", ".jsonl")):
        _, first = next(parse_lines(path, parse_json))
        names = _FIELDS_2023 if "user_id" in first else _FIELDS
        lines = parse_lines(path, partial(_parse_review, names))
        table = table_of_rows((row for _, row in lines), str)
        return _with_seconds(path, table) if "user_id" in first else table
    if name.endswith(".csv"):
        return _read_csv(path, csv_columns)
    raise ValueError(
        f"path must end in .json, .jsonl or .csv, with or without .gz. Received: {path!s}."
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def parse_json(line: str) -> dict[str, Any]:
    """Parse a line that holds a JSON object."""
    try:
        record = _decode_json(line)
    except ValueError as error:
        message = f"the line is not valid JSON ({error}); every line must be one JSON object"
        if line.startswith("{'"):
            message += ", not a Python literal: write json.dumps(ast.literal_eval(line)) for each"
        raise ValueError(f"{message}. Received: {quoted(line)}") from None
    if not isinstance(record, dict):
        raise ValueError(f"every line must be one JSON object. Received: {quoted(record)}")
    return record


def _parse_review(names: tuple[str, ...], line: str) -> list[Any]:
    """Return user, item, timestamp and rating of a line; `names` are their fields."""
    record = parse_json(line)
    for name in names:
        if name not in record:
            raise ValueError(
                f"field {name!r} is missing; every line must hold {', '.join(names[:-1])} and "
                f"{names[-1]}. Received keys: {quoted([*record])}"
            )
    user, item, timestamp, rating = (record[name] for name in names)
    if not isinstance(timestamp, int) or not -(2**63) <= timestamp < 2**63:
        raise FieldError(names[2], "a 64-bit integer", timestamp)
    if not isinstance(rating, int | float) or abs(rating) > float_info.max:
        raise FieldError(names[3], "a finite number", rating)
    # Interning stores each id only once.
    return [intern(parse_id(names[0], user)), intern(parse_id(names[1], item)), timestamp, rating]


def _with_seconds(path: StrPath, table: pd.DataFrame) -> pd.DataFrame:
    """Turn milliseconds into seconds; fractions are kept, since they order the reviews."""
    times = table["timestamp"]
    is_large = times >= _LEAST_MILLISECONDS
    if not is_large.any():
        return table
    if not is_large.all():
        raise ValueError(
            f"{path}: timestamps must be all milliseconds or all seconds. Received "
            f"{times[is_large].iloc[0]} and {times[~is_large].iloc[0]}. Convert those in seconds."
        )
    return table.assign(timestamp=times / 1000)


def _read_csv(path: StrPath, columns: Sequence[str]) -> pd.DataFrame:
    if sorted(columns) != sorted(COLUMNS):
        raise ValueError(
            f"csv_columns must be {', '.join(COLUMNS)} in some order. Received: {columns!r}."
        )
    number, line = first_line(path)
    if (layout := layout_of_header(line, str)) is not None:
        return _with_seconds(path, read_table(path, layout))
    # The column order differs between 2014 and 2018, and no other check finds swapped columns.
    first = dict(zip(columns, line.split(","), strict=False))
    user, item = first.get("user", ""), first.get("item", "")
    if _ASIN.fullmatch(user) and _REVIEWER_ID.fullmatch(item):
        message = "field 'user' holds a product and field 'item' a reviewer. Received: "
        message += f"{user!r} and {item!r}; swap 'user' and 'item' in csv_columns"
        raise line_error(path, number, message)
    return read_table(path, Layout(",", tuple(columns), id_type=str))


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
        for column, names in _PRODUCT_FIELDS.items()
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
