"""Reader of the MovieLens rating files."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neumf.datasets._lines import StrPath, first_line, line_error, quoted
from neumf.datasets._tables import Layout, layout_of_header, read_table

_CSV_HEADER = "userId,movieId,rating,timestamp"


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
