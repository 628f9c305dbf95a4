"""Readers of the MovieLens files of ratings and of films."""

import math
import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from neumf.datasets._lines import (
    FieldError,
    StrPath,
    check_width,
    first_line,
    line_error,
    parse_finite,
    parse_int64,
    parse_lines,
    quoted,
    split_csv,
)
from neumf.datasets._tables import Layout, columns_of_header, layout_of_header, read_table

_CSV_HEADER = "userId,movieId,rating,timestamp"
_ITEMS_HEADER = "movieId,title,genres"

# The flags of `u.item` in their order; the first one means that the genre is unknown.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_FLAGGED_COLUMNS = ("item", "title", "release date", "video release date", "URL", *_GENRES)
_NO_GENRE = {"unknown", "(no genres listed)"}

# MovieLens-100K writes "(TV)" or "(V)" after the year of films made for television or video.
_TITLE_AND_YEAR = r"^\s*(?P<title>.*?)\s*\((?P<year>\d{4})\)(?:\s*\((?:TV|V)\))?\s*$"

# The fields of a line by name.
_Fields = dict[str, str]
_Record = dict[str, str | float]


class _Format(NamedTuple):
    """The layout of a file with one film per line."""

    separator: str
    columns: tuple[str, ...]
    parse: Callable[[_Fields], _Record]
    is_csv: bool = False

    def parse_line(self, line: str) -> tuple[int, _Record]:
        """Return the id and the record of a line."""
        fields = split_csv(line) if self.is_csv else line.split(self.separator)
        check_width(fields, self.columns, self.separator)
        record = dict(zip(self.columns, fields, strict=True))
        return parse_int64("item", record["item"]), self.parse(record)


def read_movielens(path: StrPath) -> pd.DataFrame:
    r"""Read the ratings of a MovieLens data set.

    .. versionadded:: 0.1

    The first line of the file decides the format; the file may have any name:

    - `u.data` (100K): `user item rating timestamp`, separated by tabs;
    - `ratings.dat` (1M, 10M): `user::item::rating::timestamp`;
    - `ratings.csv` (20M, 25M, 32M, latest): the header `userId,movieId,rating,timestamp`. Fields
      may be quoted, timestamps may be dates, and there may be further columns. A table of this
      function that `to_csv` wrote is read as well.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed, or a folder that holds exactly one of `u.data`,
        `ratings.dat` and `ratings.csv`.

    Returns
    -------
    DataFrame
        The rows in file order, with the columns `user`, `item`, `timestamp` (seconds since 1970:
        int64, or float64 with fractions) and `rating` (float64).

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, the folder holds several such files, or a line is broken. The
        message names the file, line and field.

    See Also
    --------
    read_movielens_items : Titles, years and genres of the films.

    References
    ----------
    .. [1] F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
       Transactions on Interactive Intelligent Systems 5(4), 2015, doi 10.1145/2827872.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_movielens
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "ratings.dat")
    ...     _ = path.write_text("1::1193::5::978300760\n1::661::3::978302109\n")
    ...     read_movielens(folder)
       user  item  timestamp  rating
    0     1  1193  978300760     5.0
    1     1   661  978302109     3.0
    """
    file = find_file(path, ("u.data", "ratings.dat", "ratings.csv"))
    number, line = first_line(file)
    if (layout := layout_of_header(line, int)) is not None:
        return read_table(file, layout)
    for separator in ("::", "\t"):
        if separator in line:
            return read_table(file, Layout(separator))
    expected = f"start with the header {_CSV_HEADER!r}, or hold the fields user, item, "
    expected += "rating and timestamp separated by '::' or tabs"
    raise line_error(file, number, f"the file must {expected}. Received: {quoted(line)}")


def find_file(path: StrPath, file_names: Sequence[str]) -> StrPath:
    """Return the path of a file, or of the only file in a folder with one of these names."""
    folder = Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser needs a home
    if not folder.is_dir():
        return path
    found = [name for name in file_names if (folder / name).is_file()]
    if len(found) == 1:
        return folder / found[0]
    message = f"{path}: the folder must hold one of {', '.join(file_names)}. Received: "
    if not found:
        raise FileNotFoundError(f"{message}none.")
    raise ValueError(f"{message}{', '.join(found)}; pass the file.")


def read_movielens_items(path: StrPath) -> pd.DataFrame:
    r"""Read the titles, years and genres of the films of a MovieLens data set.

    .. versionadded:: 0.1

    The first line of the file decides the format; the file may have any name:

    - `u.item` (100K): 24 fields separated by vertical bars; the last 19 are flags of genres;
    - `movies.dat` (1M, 10M): `item::title::genres`;
    - `movies.csv` (20M, 25M, 32M, latest): the header `movieId,title,genres`. Fields may be quoted,
      and there may be further columns. A table of this function that `to_csv` wrote is read as
      well.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed, or a folder that holds exactly one of `u.item`,
        `movies.dat` and `movies.csv`. The text is UTF-8; `u.item` and `movies.dat` may be Latin-1.

    Returns
    -------
    DataFrame
        One row per film in file order, indexed by `item` (int64), with the columns

        - `title` (str): without the year, and without the "(TV)" and "(V)" of `u.item`;
        - `year` (float64): the four digits in brackets at the end of the title, or NaN;
        - `genres` (str): names joined by "|", or an empty text if the genres are unknown.

    Raises
    ------
    FileNotFoundError, ValueError
        In the cases of :func:`read_movielens`, and if an id occurs twice.

    See Also
    --------
    read_movielens : The ratings.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_movielens_items
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "movies.dat")
    ...     _ = path.write_text("1::Toy Story (1995)::Animation|Comedy\n6::Heat (1995)::Action\n")
    ...     items = read_movielens_items(folder)
    >>> items.reset_index()
       item      title    year            genres
    0     1  Toy Story  1995.0  Animation|Comedy
    1     6       Heat  1995.0            Action
    """
    items = _read_items(find_file(path, ("u.item", "movies.dat", "movies.csv")))
    if "year" in items:
        return items[["title", "year", "genres"]]
    return pd.concat([split_years(items["title"]), items["genres"]], axis=1)


def _read_items(path: StrPath) -> pd.DataFrame:
    """Read a table indexed by id; the first line decides between the formats."""
    number, line = first_line(path, latin_1=True)
    format_ = next((found for pattern, found in _FORMATS.items() if re.match(pattern, line)), None)
    for names in (_CSV_NAMES | _CSV_YEAR, _CSV_NAMES):
        if format_ is None and (columns := columns_of_header(line, names)):
            format_ = _Format(",", columns, _parse_item, is_csv=True)
    if format_ is None:
        expected = (
            f"start with the header {_ITEMS_HEADER!r}, or hold the fields item, title and genres "
            "separated by '::', or the 24 fields of 'u.item' separated by '|'"
        )
        raise line_error(path, number, f"the file must {expected}. Received: {quoted(line)}")
    is_csv = format_.is_csv
    records: dict[int, _Record] = {}
    line_of: dict[int, int] = {}
    with closing(parse_lines(path, format_.parse_line, int(is_csv), not is_csv)) as lines:
        for number, (key, record) in lines:
            if key in records:
                rule = f"a different id in each line, but line {line_of[key]} has the same"
                raise line_error(path, number, str(FieldError("item", rule, key)))
            records[key], line_of[key] = record, number
    return pd.DataFrame([*records.values()], pd.Index([*records], dtype="int64", name="item"))


def _parse_item(fields: _Fields) -> _Record:
    genres = [genre for genre in fields["genres"].split("|") if genre not in _NO_GENRE]
    record: _Record = {"title": fields["title"], "genres": "|".join(genres)}
    if "year" in fields:
        record["year"] = parse_finite("year", fields["year"]) if fields["year"] else math.nan
    return record


def _parse_flags(fields: _Fields) -> _Record:
    for genre in _GENRES:
        if fields[genre] not in ("0", "1"):
            raise FieldError(genre, "0 or 1", fields[genre])
    flagged = (genre for genre in _GENRES if fields[genre] == "1")
    return _parse_item({"title": fields["title"], "genres": "|".join(flagged)})


_CSV_NAMES = {"item": ("item", "movieid"), "title": ("title",), "genres": ("genres",)}
_CSV_YEAR = {"year": ("year",)}  # in tables that `read_movielens_items` returned

_FORMATS = {
    r"\d+::": _Format("::", ("item", "title", "genres"), _parse_item),
    r"\d+\|": _Format("|", _FLAGGED_COLUMNS, _parse_flags),
}


def split_years(titles: pd.Series) -> pd.DataFrame:
    """Return titles without the year, and the years as float64, NaN if missing."""
    parts = titles.str.extract(_TITLE_AND_YEAR)
    title, year = parts["title"].fillna(titles.str.strip()), parts["year"].astype("float64")
    return pd.DataFrame({"title": title, "year": year})
