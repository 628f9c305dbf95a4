"""Reader of the Amazon review dumps."""

import json
import operator
import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import pandas as pd

from neumf.datasets._lines import (
    StrPath,
    first_line,
    line_error,
    numbered_lines,
    quoted,
)
from neumf.datasets._tables import COLUMNS, Layout, read_table

# Names of user, item, timestamp and rating in the dumps of 2014 and 2018, and of 2023.
_FIELDS = ("reviewerID", "asin", "unixReviewTime", "overall")
_FIELDS_2023 = ("user_id", "parent_asin", "timestamp", "rating")
_CSV_HEADER_2023 = "user_id,parent_asin,rating,timestamp"

_REVIEWER_ID = re.compile(r"A[0-9A-Z]{9,}")
_ASIN = re.compile(r"[B0-9][0-9A-Z]{9}")


def read_amazon_reviews(
    path: StrPath, *, csv_columns: Sequence[str] = ("user", "item", "rating", "timestamp")
) -> pd.DataFrame:
    """Read a dump of Amazon reviews, or of their ratings only.

    .. versionadded:: 0.1

    Reads the dumps of 2014, 2018 and 2023 that the groups of Julian McAuley published, line by
    line: only the four columns are kept in memory, never the texts.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed. What counts is the end of its name, a `.gz` apart:

        - `.json` or `.jsonl`: one review per line, a JSON object with the fields `reviewerID`,
          `asin`, `unixReviewTime` and `overall` (2014 and 2018), or `user_id`, `parent_asin`,
          `timestamp` and `rating` (2023);
        - `.csv`: ratings only, four fields separated by commas and no header. The header
          `user_id,parent_asin,rating,timestamp` (2023) is understood.
    csv_columns : sequence of str, default=("user", "item", "rating", "timestamp")
        Order of the fields in a `.csv` without a header. The default is that of 2014; the files
        of 2018 have ("item", "user", "rating", "timestamp"). Not used for other files.

    Returns
    -------
    DataFrame
        Columns `user` and `item` (str), `timestamp` (int64, as in the file: seconds since 1970
        in 2014 and 2018, milliseconds in 2023) and `rating` (float64), rows in file order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is broken; the message names the file, the line and the field. Also if the name
        has another end, if `csv_columns` are not the four columns, or if users and items of a
        `.csv` are plainly swapped.

    See Also
    --------
    read_amazon_metadata : Titles, brands, categories and prices of the products.

    Notes
    -----
    Some dumps of 2014 hold Python literals (`{'reviewerID': ...}`) in place of JSON. They are
    refused; write `json.dumps(ast.literal_eval(line))` for each line first.

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
        return _read_json_lines(path)
    if name.endswith(".csv"):
        return _read_csv(path, csv_columns)
    raise ValueError(
        f"path must end in .json, .jsonl or .csv, with or without .gz. Received: {path!s}."
    )


def _read_json_lines(path: StrPath) -> pd.DataFrame:
    names = _field_names(path)
    take_fields = operator.itemgetter(*names)
    users: list[str] = []
    items: list[str] = []
    # Arrays take 8 bytes a number, and refuse what is none; interned ids are stored once.
    timestamps, ratings = array("q"), array("d")
    for number, line in numbered_lines(path):
        record = parse_json(path, number, line)
        try:
            user, item, timestamp, rating = take_fields(record)
            users.append(intern(user))
            items.append(intern(item))
            timestamps.append(timestamp)
            ratings.append(rating)
        except (KeyError, TypeError, OverflowError):
            raise _field_error(path, number, record, names) from None
        if not (user and item):
            raise _field_error(path, number, record, names)
    columns = (users, items, np.frombuffer(timestamps, "i8"), np.frombuffer(ratings, "f8"))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _field_names(path: StrPath) -> tuple[str, ...]:
    first = parse_json(path, *first_line(path))
    return _FIELDS_2023 if "user_id" in first else _FIELDS


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode_json = json.JSONDecoder(parse_constant=_refuse_constant).decode


def parse_json(path: StrPath, number: int, line: str) -> dict[str, Any]:
    """Return the JSON object that a line is."""
    try:
        record = _decode_json(line)
    except ValueError as error:
        message = f"the line is not valid JSON ({error}); every line must be one JSON object"
        if line.startswith("{'"):
            message += ", not a Python literal: write json.dumps(ast.literal_eval(line)) for each"
        raise line_error(path, number, f"{message}. Received: {quoted(line.rstrip())}") from None
    if not isinstance(record, dict):
        message = f"every line must be one JSON object. Received: {quoted(record)}"
        raise line_error(path, number, message)
    return record


def _field_error(
    path: StrPath, number: int, record: dict[str, Any], names: tuple[str, ...]
) -> ValueError:
    """Return the error for the first field that is missing or of the wrong type."""
    missing = [name for name in names if name not in record]
    if missing:
        needed = f"{', '.join(names[:-1])} and {names[-1]}"
        message = f"field {missing[0]!r} is missing; every line must hold {needed}"
        return line_error(path, number, f"{message}. Received keys: {quoted([*record])}")
    rules = zip(names, _FIELD_RULES, strict=True)
    name, rule = next((name, rule) for name, (fits, rule) in rules if not fits(record[name]))
    message = f"field {name!r} must be {rule}. Received: {quoted(record[name])}"
    return line_error(path, number, message)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


_FIELD_RULES: tuple[tuple[Callable[[object], bool], str], ...] = (
    (_is_id, "an id, a text that is not empty"),
    (_is_id, "an id, a text that is not empty"),
    (_is_int64, "a 64-bit integer"),
    (lambda _: False, "a number"),  # asked last, when it is the only one left to be wrong
)


def _read_csv(path: StrPath, columns: Sequence[str]) -> pd.DataFrame:
    if sorted(columns) != sorted(COLUMNS):
        raise ValueError(
            f"csv_columns must be {', '.join(COLUMNS)} in some order. Received: {columns!r}."
        )
    number, line = first_line(path)
    if line == _CSV_HEADER_2023:
        return read_table(path, Layout(",", id_type=str, has_header=True))
    _refuse_swapped_ids(path, number, dict(zip(columns, line.split(","), strict=False)))
    return read_table(path, Layout(",", tuple(columns), id_type=str))


def _refuse_swapped_ids(path: StrPath, number: int, row: dict[str, str]) -> None:
    # The dumps of 2014 and 2018 differ in the order, and a swapped table looks sound.
    user, item = row.get("user", ""), row.get("item", "")
    if _ASIN.fullmatch(user) and _REVIEWER_ID.fullmatch(item):
        raise line_error(
            path,
            number,
            f"field 'user' holds a product and field 'item' a reviewer. Received: {user!r} and "
            f"{item!r}; swap 'user' and 'item' in csv_columns",
        )
