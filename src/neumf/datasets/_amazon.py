"""Reader of the Amazon review dumps."""

import json
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
    parse_id,
    parse_lines,
    quoted,
)
from neumf.datasets._tables import COLUMNS, Layout, layout_of_header, read_table, table_of_rows

# Names of user, item, timestamp and rating in the dumps of 2014 and 2018, and of 2023.
_FIELDS = ("reviewerID", "asin", "unixReviewTime", "overall")
_FIELDS_2023 = ("user_id", "parent_asin", "timestamp", "rating")

# As milliseconds this is in 1973, as seconds in the year 5138.
_LEAST_MILLISECONDS = 10**11

_REVIEWER_ID = re.compile(r"A[0-9A-Z]{9,}")
_ASIN = re.compile(r"[B0-9][0-9A-Z]{9}")


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
