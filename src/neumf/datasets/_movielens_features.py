"""Readers of what MovieLens tells of films and of users."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from neumf.datasets._lines import (
    FieldError,
    StrPath,
    empty_error,
    first_line,
    line_error,
    numbered_lines,
    quoted,
)
from neumf.datasets._movielens import find_file
from neumf.datasets._tables import parse_int64
from neumf.datasets._titles import split_years

_ITEM_FILES = ("u.item", "movies.dat", "movies.csv")
_USER_FILES = ("u.user", "users.dat")
_CSV_HEADER = "movieId,title,genres"

# The flags of `u.item`, in their order; the first one says that no genre is known.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_NO_GENRE = {"unknown", "(no genres listed)"}

# What the numbers in `users.dat` stand for, by its README.
_OCCUPATIONS = (
    "other",
    "academic/educator",
    "artist",
    "clerical/admin",
    "college/grad student",
    "customer service",
    "doctor/health care",
    "executive/managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales/marketing",
    "scientist",
    "self-employed",
    "technician/engineer",
    "tradesman/craftsman",
    "unemployed",
    "writer",
)


class _Format(NamedTuple):
    """How a file writes one thing per line, its id in the first field."""

    split: Callable[[str], list[str]]
    fields: Sequence[str]
    # Gets the fields behind the id; what it raises tells which field must be what.
    parse: Callable[[list[str]], Sequence[Any]]
    has_header: bool = False
    or_latin_1: bool = True


def read_movielens_items(path: StrPath) -> pd.DataFrame:
    r"""Read the titles, years and genres of the films of a MovieLens data set.

    .. versionadded:: 0.1

    The first line of the file decides how it is read, not its name:

    - `u.item` (100K): 24 fields separated by vertical bars, the last 19 being flags of genres;
    - `movies.dat` (1M, 10M): `item::title::genres`;
    - `movies.csv` (20M, 25M, 32M, latest): header `movieId,title,genres`.

    Other files, such as tables in which somebody gave the films numbers of their own, are refused:
    `pandas.read_csv(path, sep=..., index_col=...)` is all they take.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed, or a folder that holds exactly one of `u.item`,
        `movies.dat` and `movies.csv`. The text is UTF-8 or, in the first two, Latin-1.

    Returns
    -------
    DataFrame
        A row per film in file order, indexed by `item` (int64), with the columns

        - `title` (str): without the year, and without the "(TV)" and "(V)" of `u.item`;
        - `year` (float64): the four digits in brackets at the end of the title; NaN where there
          are none, as for series;
        - `genres` (str): joined by "|"; empty where none is known ("unknown", "(no genres
          listed)").

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none of the three in the folder.
    ValueError
        If the folder holds more than one of them, a line is broken, or an id occurs twice. The
        message names the file, the line and the field.

    See Also
    --------
    read_movielens : The ratings.

    References
    ----------
    .. [1] F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and Context", ACM
       Transactions on Interactive Intelligent Systems 5(4), 2015, doi 10.1145/2827872.

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

    A column per genre, 0 or 1:

    >>> items["genres"].str.get_dummies("|").reset_index()
       item  Action  Animation  Comedy
    0     1       0          1       1
    1     6       1          0       0
    """
    file = find_file(Path(path), _ITEM_FILES)
    items = _read(file, _item_format(file), "item", ("title", "genres"))
    split = split_years(items["title"])
    return pd.DataFrame({"title": split["title"], "year": split["year"], "genres": items["genres"]})


def read_movielens_users(path: StrPath) -> pd.DataFrame:
    r"""Read what MovieLens-100K and MovieLens-1M tell of their users.

    .. versionadded:: 0.1

    The first line of the file decides how it is read, not its name:

    - `u.user` (100K): `user|age|gender|occupation|zip code`;
    - `users.dat` (1M): `user::gender::age::occupation::zip code`.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed, or a folder that holds one of `u.user` and `users.dat`.

    Returns
    -------
    DataFrame
        A row per user in file order, indexed by `user` (int64), with the columns

        - `age` (int64): in years; in `users.dat` the youngest age of a bracket (1, 18, 25, 35, 45,
          50, 56; 1 stands for under 18);
        - `gender` (str): "F" or "M";
        - `occupation` (str): as `u.user` has it, and as the README of `users.dat` explains its
          numbers.

        Zip codes are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none of the two in the folder.
    ValueError
        If the folder holds both, a line is broken, or an id occurs twice. The message names the
        file, the line and the field.

    See Also
    --------
    read_movielens : The ratings.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_movielens_users
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "users.dat")
    ...     _ = path.write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    ...     users = read_movielens_users(path)
    >>> users.reset_index()
       user  age gender     occupation
    0     1    1      F   K-12 student
    1     2   56      M  self-employed
    """
    file = find_file(Path(path), _USER_FILES)
    return _read(file, _user_format(file), "user", ("age", "gender", "occupation"))


def _item_format(path: Path) -> _Format:
    number, line = first_line(path, or_latin_1=True)
    if line == _CSV_HEADER:
        fields = ("item", "title", "genres")
        return _Format(_split_csv, fields, _parse_item, has_header=True, or_latin_1=False)
    if re.match(r"\d+::", line):
        return _Format(lambda text: text.split("::"), ("item", "title", "genres"), _parse_item)
    if re.match(r"\d+\|", line):
        flagged = ("item", "title", "release date", "video release date", "URL", *_GENRES)
        return _Format(lambda text: text.split("|"), flagged, _parse_flags)
    raise line_error(
        path,
        number,
        f"the file must start with the header {_CSV_HEADER!r}, or hold the fields item, title and "
        "genres separated by '::', or the 24 fields of 'u.item' separated by '|'. Received: "
        f"{quoted(line)}",
    )


def _user_format(path: Path) -> _Format:
    number, line = first_line(path, or_latin_1=True)
    if re.match(r"\d+\|", line):
        fields = ("user", "age", "gender", "occupation", "zip code")
        return _Format(lambda text: text.split("|"), fields, _parse_user)
    if re.match(r"\d+::", line):
        fields = ("user", "gender", "age", "occupation", "zip code")
        return _Format(lambda text: text.split("::"), fields, _parse_coded_user)
    raise line_error(
        path,
        number,
        "the file must hold the fields user, age, gender, occupation and zip code separated by "
        "'|', or user, gender, age, occupation and zip code separated by '::'. Received: "
        f"{quoted(line)}",
    )


def _read(path: Path, layout: _Format, word: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return the table of what the lines tell, indexed by id."""
    ids: list[int] = []
    records = []
    for name, record in _parse_lines(path, layout, word):
        ids.append(name)
        records.append(record)
    if not ids:
        raise empty_error(path)
    return pd.DataFrame(records, pd.Index(ids, dtype="int64", name=word), list(columns))


def _parse_lines(path: Path, layout: _Format, word: str) -> Iterator[tuple[int, Sequence[Any]]]:
    line_of: dict[int, int] = {}
    lines = numbered_lines(path, or_latin_1=layout.or_latin_1)
    if layout.has_header:
        next(lines)
    for number, line in lines:
        text = line.rstrip("\r\n")
        try:
            fields = layout.split(text)
            if len(fields) != len(layout.fields):
                raise ValueError(
                    f"the line must hold {len(layout.fields)} fields, "
                    f"{', '.join(layout.fields[:3])} and so on. Received {len(fields)}: "
                    f"{quoted(text)}"
                )
            key = _parse_int(word, fields[0])
            if key in line_of:
                rule = f"an id that no other line has, and line {line_of[key]} has it"
                raise FieldError(word, rule, fields[0])
            record = layout.parse(fields[1:])
        except ValueError as error:
            raise line_error(path, number, str(error)) from None
        line_of[key] = number
        yield key, record


def _split_csv(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ValueError(f"the quotes must be closed ({error}). Received: {quoted(text)}") from None


def _parse_int(name: str, text: str) -> int:
    try:
        return parse_int64(text)
    except ValueError:
        raise FieldError(name, "a 64-bit integer", text) from None


def _parse_item(fields: list[str]) -> tuple[str, str]:
    title, genres = fields
    return title, "|".join(genre for genre in genres.split("|") if genre not in _NO_GENRE)


def _parse_flags(fields: list[str]) -> tuple[str, str]:
    title, flags = fields[0], dict(zip(_GENRES, fields[-len(_GENRES) :], strict=True))
    for genre, flag in flags.items():
        if flag not in ("0", "1"):
            raise FieldError(genre, "0 or 1", flag)
    genres = [genre for genre, flag in flags.items() if flag == "1" and genre not in _NO_GENRE]
    return title, "|".join(genres)


def _parse_user(fields: list[str]) -> tuple[int, str, str]:
    age, gender, occupation, _ = fields
    return _parse_int("age", age), _parse_gender(gender), occupation


def _parse_coded_user(fields: list[str]) -> tuple[int, str, str]:
    gender, age, occupation, _ = fields
    code = _parse_int("occupation", occupation)
    if not 0 <= code < len(_OCCUPATIONS):
        raise FieldError("occupation", f"from 0 to {len(_OCCUPATIONS) - 1}", occupation)
    return _parse_int("age", age), _parse_gender(gender), _OCCUPATIONS[code]


def _parse_gender(text: str) -> str:
    if text not in ("F", "M"):
        raise FieldError("gender", "F or M", text)
    return text
