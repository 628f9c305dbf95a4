"""Reader of the files published with the Neural Collaborative Filtering paper."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.datasets._lines import StrPath, line_error, numbered_lines, quoted
from neumf.datasets._tables import Layout, parse_int64, read_table


class NCFData(NamedTuple):
    """The split of a data set that the paper evaluates on; see `read_ncf`."""

    train: pd.DataFrame
    test: pd.DataFrame
    negatives: NDArray[np.int64] | None


def read_ncf(prefix: StrPath) -> NCFData:
    r"""Read the split that was published with the NCF paper.

    .. versionadded:: 0.1

    The three files of a data set share a prefix: `ml-1m.train.rating`, `ml-1m.test.rating` and
    `ml-1m.test.negative` have the prefix `ml-1m`.

    Parameters
    ----------
    prefix : str or path-like
        Path of the files up to `.train.rating`. Each may be gzip-compressed under this same name.

    Returns
    -------
    NCFData
        Named tuple of

        - `train` and `test`: DataFrames with columns `user`, `item`, `timestamp` (int64) and
          `rating` (float64), rows in file order;
        - `negatives`: int64 array of shape (n_test, n_negatives), row i holding the items that
          are ranked against row i of `test`, or None if there is no `.test.negative` file.

    Raises
    ------
    FileNotFoundError
        If `.train.rating` or `.test.rating` is missing.
    ValueError
        If a line is broken, or if the lines of `.test.negative` are not those of `.test.rating`.
        The message names the file, the line and the field.

    Notes
    -----
    The negatives are kept as the file has them. In the published MovieLens file the list of some
    users holds their own test item. It is no negative: drop it from their list before ranking.

    References
    ----------
    .. [1] X. He, L. Liao, H. Zhang, L. Nie, X. Hu and T.-S. Chua, "Neural Collaborative
       Filtering", WWW 2017, doi 10.1145/3038912.3052569.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from neumf.datasets import read_ncf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "tiny.train.rating").write_text("0\t7\t4\t100\n0\t8\t5\t200\n")
    ...     _ = Path(folder, "tiny.test.rating").write_text("0\t9\t3\t300\n")
    ...     _ = Path(folder, "tiny.test.negative").write_text("(0,9)\t1\t2\t3\n")
    ...     train, test, negatives = read_ncf(Path(folder, "tiny"))
    >>> test
       user  item  timestamp  rating
    0     0     9        300     3.0
    >>> negatives
    array([[1, 2, 3]])
    """
    prefix = os.fspath(prefix)
    train = read_table(f"{prefix}.train.rating", Layout("\t"))
    test = read_table(f"{prefix}.test.rating", Layout("\t"))
    negatives_path = Path(f"{prefix}.test.negative")
    negatives = _read_negatives(negatives_path, test) if negatives_path.exists() else None
    return NCFData(train, test, negatives)


def _read_negatives(path: Path, test: pd.DataFrame) -> NDArray[np.int64]:
    keys = [f"({user},{item})" for user, item in zip(test["user"], test["item"], strict=True)]
    rows: list[NDArray[np.int64]] = []
    for number, line in numbered_lines(path):
        key, *fields = line.rstrip().split("\t")
        _check_key(path, number, key, keys[len(rows) : len(rows) + 1])
        rows.append(_parse_items(path, number, fields))
        _check_width(path, number, len(rows[-1]), len(rows[0]))
    if len(rows) != len(keys):
        raise ValueError(
            f"{path}: the file must hold one line per row of the test file, {len(keys)} lines. "
            f"Received: {len(rows)}."
        )
    return np.stack(rows)


def _check_key(path: Path, number: int, key: str, expected: list[str]) -> None:
    if [key] != expected:
        row = expected[0] if expected else "no more, as that file ends before"
        message = f"field 1 must be the (user,item) of the next row of the test file, {row}"
        raise line_error(path, number, f"{message}. Received: {quoted(key)}")


def _parse_items(path: Path, number: int, fields: list[str]) -> NDArray[np.int64]:
    items = []
    for position, field in enumerate(fields, start=2):
        try:
            items.append(parse_int64(field))
        except ValueError:
            message = f"field {position} must be an item, a 64-bit integer"
            raise line_error(path, number, f"{message}. Received: {quoted(field)}") from None
    return np.array(items, dtype=np.int64)


def _check_width(path: Path, number: int, width: int, expected: int) -> None:
    if not width or width != expected:
        rule = f"{expected} negatives, as the lines before" if expected else "negatives"
        raise line_error(path, number, f"the line must hold {rule}. Received: {width}")
