"""Readers of the films and users of MovieLens."""

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from neumf.datasets._lines import (
    FieldError,
    StrPath,
    check_width,
    first_line,
    line_error,
    parse_int64,
    parse_lines,
    quoted,
)
from neumf.datasets._movielens import find_file
from neumf.datasets._titles import split_years

_CSV_HEADER = "movieId,title,genres"

# The flags of `u.item`, in their order; the first one says that no genre is known.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_FLAGGED_COLUMNS = ("item", "title", "release date", "video release date", "URL", *_GENRES)
_NO_GENRE = {"unknown", "(no genres listed)"}

# The occupations by their numbers in `users.dat`, from its README.
_OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist"),
    *("self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)

# The fields of a line by name, without the id.
_Fields = dict[str, str]


class _Format(NamedTuple):
    """How a file writes one film or user per line, the id in the first field."""

    separator: str
    columns: tuple[str, ...]
    parse: Callable[[_Fields], Mapping[str, Any]]
    is_csv: bool = False

    def parse_line(self, line: str) -> tuple[int, Mapping[str, Any]]:
        """Return the id and the record of a line."""
        try:
            cells = csv.reader([line], strict=True)
            fields = next(cells) if self.is_csv else line.split(self.separator)
        except csv.Error as error:
            message = f"the quotes must be closed ({error}). Received: {quoted(line)}"
            raise ValueError(message) from None
        check_width(fields, self.columns, self.separator)
        key = parse_int64(self.columns[0], fields[0])
        return key, self.parse(dict(zip(self.columns[1:], fields[1:], strict=True)))


def read_movielens_items(path: StrPath) -> pd.DataFrame:
    r"""Read the titles, years and genres of the films of a MovieLens data set.

    .. versionadded:: 0.1

    The format is recognised by the first line, whatever the name of the file:

    - `u.item` (100K): 24 fields separated by vertical bars, the last 19 being flags of genres;
    - `movies.dat` (1M, 10M): `item::title::genres`;
    - `movies.csv` (20M, 25M, 32M, latest): header `movieId,title,genres`.

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
        - `year` (float64): the four digits in brackets at the end of the title, else NaN;
        - `genres` (str): joined by "|"; empty where none is known.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, the folder holds several of them, a line is broken, or an id occurs
        twice. The message names the file, line and field.

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
    file = find_file(path, ("u.item", "movies.dat", "movies.csv"))
    expected = (
        f"start with the header {_CSV_HEADER!r}, or hold the fields item, title and genres "
        "separated by '::', or the 24 fields of 'u.item' separated by '|'"
    )
    items = _read(file, _ITEM_FORMATS, expected)
    return pd.concat([split_years(items["title"]), items["genres"]], axis=1)


def read_movielens_users(path: StrPath) -> pd.DataFrame:
    r"""Read the ages, genders and occupations of the users of MovieLens-100K or -1M.

    .. versionadded:: 0.1

    The format is recognised by the first line, whatever the name of the file:

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

        - `age` (int64): in years; in `users.dat` the youngest age of a bracket (1 for under 18);
        - `gender` (str): "F" or "M";
        - `occupation` (str): in words.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`read_movielens_items`.

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
    file = find_file(path, ("u.user", "users.dat"))
    expected = (
        "hold the fields user, age, gender, occupation and zip code separated by '|', or user, "
        "gender, age, occupation and zip code separated by '::'"
    )
    return _read(file, _USER_FORMATS, expected)


def _read(path: Path, formats: dict[str, _Format], expected: str) -> pd.DataFrame:
    """Read a table indexed by id; the first line decides between formats, by patterns."""
    number, line = first_line(path, latin_1=True)
    format_ = next((found for pattern, found in formats.items() if re.match(pattern, line)), None)
    if format_ is None:
        raise line_error(path, number, f"the file must {expected}. Received: {quoted(line)}")
    is_csv, name = format_.is_csv, format_.columns[0]
    records: dict[int, Mapping[str, Any]] = {}
    line_of: dict[int, int] = {}
    for number, (key, record) in parse_lines(path, format_.parse_line, int(is_csv), not is_csv):
        if key in records:
            rule = f"an id that no other line has, and line {line_of[key]} has it"
            raise line_error(path, number, str(FieldError(name, rule, key)))
        records[key], line_of[key] = record, number
    return pd.DataFrame([*records.values()], pd.Index([*records], dtype="int64", name=name))


def _parse_item(fields: _Fields) -> dict[str, str]:
    genres = [genre for genre in fields["genres"].split("|") if genre not in _NO_GENRE]
    return {"title": fields["title"], "genres": "|".join(genres)}


def _parse_flags(fields: _Fields) -> dict[str, str]:
    for genre in _GENRES:
        _check_option(genre, fields[genre], ("0", "1"))
    flagged = (genre for genre in _GENRES if fields[genre] == "1")
    return _parse_item({"title": fields["title"], "genres": "|".join(flagged)})


def _parse_user(fields: _Fields) -> dict[str, Any]:
    _check_option("gender", fields["gender"], ("F", "M"))
    age = parse_int64("age", fields["age"])
    return {"age": age, "gender": fields["gender"], "occupation": fields["occupation"]}


def _parse_coded_user(fields: _Fields) -> dict[str, Any]:
    code = parse_int64("occupation", fields["occupation"])
    if not 0 <= code < len(_OCCUPATIONS):
        raise FieldError("occupation", f"from 0 to {len(_OCCUPATIONS) - 1}", fields["occupation"])
    return _parse_user(fields | {"occupation": _OCCUPATIONS[code]})


def _check_option(name: str, text: str, options: tuple[str, str]) -> None:
    if text not in options:
        raise FieldError(name, " or ".join(options), text)


_ITEM_FORMATS = {
    f"{_CSV_HEADER}$": _Format(",", ("item", "title", "genres"), _parse_item, is_csv=True),
    r"\d+::": _Format("::", ("item", "title", "genres"), _parse_item),
    r"\d+\|": _Format("|", _FLAGGED_COLUMNS, _parse_flags),
}
_USER_FORMATS = {
    r"\d+\|": _Format("|", ("user", "age", "gender", "occupation", "zip code"), _parse_user),
    r"\d+::": _Format("::", ("user", "gender", "age", "occupation", "zip code"), _parse_coded_user),
}
