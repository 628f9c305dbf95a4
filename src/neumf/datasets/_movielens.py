"""Reader of the MovieLens rating files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neumf.datasets._lines import StrPath, first_line, line_error, quoted
from neumf.datasets._tables import Layout, read_table

_FILE_NAMES = ("u.data", "ratings.dat", "ratings.csv")
_CSV_HEADER = "userId,movieId,rating,timestamp"


def read_movielens(path: StrPath) -> pd.DataFrame:
    r"""Read the ratings of a MovieLens data set.

    .. versionadded:: 0.1

    The first line of the file decides how it is read, not its name, so the ready-made splits
    of MovieLens-100K (`u1.base`, `ua.test`, ...) are read as well:

    - `u.data` (100K): `user item rating timestamp`, separated by tabs;
    - `ratings.dat` (1M, 10M): `user::item::rating::timestamp`;
    - `ratings.csv` (20M, 25M, 32M, latest): header `userId,movieId,rating,timestamp`.

    Parameters
    ----------
    path : str or path-like
        The file, plain or gzip-compressed, or a folder that holds exactly one of `u.data`,
        `ratings.dat` and `ratings.csv`.

    Returns
    -------
    DataFrame
        Columns `user`, `item`, `timestamp` (int64, seconds since 1970) and `rating` (float64),
        rows in file order.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none of the three in the folder.
    ValueError
        If the folder holds more than one of them, or if a line is broken. The message names the
        file, the line and the field.

    See Also
    --------
    read_movielens_items : Titles, years and genres of the films.
    read_movielens_users : Age, gender and occupation of the users.

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
    file = find_file(Path(path), _FILE_NAMES)
    return read_table(file, _layout(file))


def find_file(path: Path, file_names: Sequence[str]) -> Path:
    """Return the path or, of a folder, the one file of these names in it."""
    if not path.is_dir():
        return path
    found = [path / name for name in file_names if (path / name).is_file()]
    names = ", ".join(file_names)
    if not found:
        raise FileNotFoundError(f"{path}: the folder must hold one of {names}. Received: none.")
    if len(found) > 1:
        received = ", ".join(file.name for file in found)
        raise ValueError(
            f"{path}: the folder must hold one of {names}. Received: {received}; pass the file."
        )
    return found[0]


def _layout(path: Path) -> Layout:
    number, line = first_line(path)
    if line == _CSV_HEADER:
        return Layout(",", has_header=True)
    for separator in ("::", "\t"):
        if separator in line:
            return Layout(separator)
    raise line_error(
        path,
        number,
        f"the file must start with the header {_CSV_HEADER!r}, or hold the fields user, item, "
        f"rating and timestamp separated by '::' or tabs. Received: {quoted(line)}",
    )
