"""Reader of what the Amazon dumps tell of products."""

import ast
import math
import re
from typing import Any

import pandas as pd

from neumf.datasets._amazon import parse_json
from neumf.datasets._lines import (
    FieldError,
    StrPath,
    empty_error,
    line_error,
    numbered_lines,
    quoted,
)
from neumf.utils.validation import warn_caller

# Names of id, title, brand and categories; of several, the first that a line has counts.
_NAMES = {
    "item": ("parent_asin", "asin"),
    "title": ("title",),
    "brand": ("brand", "store"),
    "categories": ("categories", "category"),
    "price": ("price",),
}

_AMOUNT = re.compile(r"\s*\$?\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*")

# What `literal_eval` raises for a line that is broken, or nested beyond reason.
_NO_LITERAL = (ValueError, SyntaxError, MemoryError, RecursionError)


def read_amazon_metadata(path: StrPath) -> pd.DataFrame:
    """Read the titles, brands, categories and prices of the products in a dump of Amazon.

    .. versionadded:: 0.1

    Reads the files `meta_*.json.gz` of 2014 and 2018 and `meta_*.jsonl.gz` of 2023 that the groups
    of Julian McAuley published, line by line: only the four columns are kept in memory.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed: one product per line, a JSON object (2018 and 2023) or a
        Python literal (`{'asin': ...}`, 2014).

    Returns
    -------
    DataFrame
        A row per product in file order, indexed by `item` (str: the field `parent_asin` of 2023,
        else `asin`), with the columns

        - `title` (str);
        - `brand` (str): in 2023 the field `store`;
        - `categories` (str): the names of all categories, each once, joined by "|" (a "|" within a
          name becomes "/"); a path such as "Books", "Arts" (`categories` of 2014) counts as its
          names;
        - `price` (float64): a number, or a text of one amount such as "$1,299.00"; NaN for
          anything else, such as a range or the remains of a web page, which 2018 has.

        Where a field is missing, texts are empty and prices NaN.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is broken or has no id; the message names the file, the line and the field.

    Warns
    -----
    UserWarning
        If an id occurs several times, as in the files of 2018: the first line counts, and the
        warning says how many others are skipped.

    See Also
    --------
    read_amazon_reviews : The reviews.

    Notes
    -----
    Python literals are read by :func:`ast.literal_eval`, which runs no code and takes some ten
    times as long as JSON.

    References
    ----------
    .. [1] J. McAuley, C. Targett, Q. Shi and A. van den Hengel, "Image-Based Recommendations on
       Styles and Substitutes", SIGIR 2015, doi 10.1145/2766462.2767755.
    .. [2] J. Ni, J. Li and J. McAuley, "Justifying Recommendations using Distantly-Labeled
       Reviews and Fine-Grained Aspects", EMNLP 2019, doi 10.18653/v1/D19-1018.

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
    records: dict[str, tuple[str, str, str, float]] = {}
    n_repeated = 0
    for number, line in numbered_lines(path):
        try:
            key, record = _read_product(_parse(path, number, line))
        except FieldError as error:
            raise line_error(path, number, str(error)) from None
        n_repeated += key in records
        records.setdefault(key, record)
    if not records:
        raise empty_error(path)
    if n_repeated:
        warn_caller(
            f"{path}: {n_repeated} of {len(records) + n_repeated} lines have an id that a line "
            "before has; they are skipped."
        )
    index = pd.Index(list(records), name="item")
    return pd.DataFrame(list(records.values()), index, ["title", "brand", "categories", "price"])


def _parse(path: StrPath, number: int, line: str) -> dict[str, Any]:
    """Return the fields of a line, JSON or a Python literal."""
    if not line.startswith("{'"):
        return parse_json(path, number, line)
    try:
        record = ast.literal_eval(line)
    except _NO_LITERAL as error:
        message = f"the line is no Python literal ({quoted(error)}). Received: {quoted(line)}"
        raise line_error(path, number, message) from None
    if not isinstance(record, dict):
        message = f"every line must be one object with fields. Received: {quoted(record)}"
        raise line_error(path, number, message)
    return record


def _read_product(record: dict[str, Any]) -> tuple[str, tuple[str, str, str, float]]:
    """Return the id of a product, and what the table has of it."""
    values = {word: _find(record, names) for word, names in _NAMES.items()}
    key = values["item"]
    if not isinstance(key, str) or not key:
        rule = "an id (in files of 2023, 'parent_asin' is), a text that is not empty"
        raise FieldError("asin", rule, key)
    title, brand = (_read_text(word, values[word]) for word in ("title", "brand"))
    return key, (title, brand, _read_categories(values["categories"]), _read_price(values["price"]))


def _find(record: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if name in record), None)


def _read_text(word: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise FieldError(word, "a text", value)
    return value or ""


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
