"""Reader of the files published with the Neural Collaborative Filtering paper."""

import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.datasets._lines import (
    StrPath,
    first_line,
    line_error,
    parse_int64,
    parse_lines,
    quoted,
)
from neumf.datasets._tables import Layout, layout_of_header, read_table


class NCFData(NamedTuple):
    """The training and test data of the NCF paper; see `read_ncf`."""

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
        Path of the files without the ending `.train.rating`. Files may be gzip-compressed, under
        the same names.

    Returns
    -------
    NCFData
        Named tuple of

        - `train` and `test`: DataFrames with columns `user`, `item`, `timestamp` (int64) and
          `rating` (float64), rows in file order;
        - `negatives`: int64 array of shape (n_test, n_negatives). Row i holds the negatives for
          row i of `test`. None if there is no `.test.negative` file.

    Raises
    ------
    FileNotFoundError, ValueError
        If `.train.rating` or `.test.rating` is missing, a line is broken, or the lines of
        `.test.negative` and `.test.rating` differ. The message names the file, line and field.

    Notes
    -----
    See :class:`neumf.NeuMFRecommender` for the paper. In the MovieLens file, the negatives of
    156 users contain their own test item: drop it first.

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
    prefix = os.path.expanduser(prefix)  # noqa: PTH111 - a prefix is not a path
    train, test = (
        read_table(path, layout_of_header(first_line(path)[1], int) or Layout("\t"))
        for path in (f"{prefix}.train.rating", f"{prefix}.test.rating")
    )
    path = Path(f"{prefix}.test.negative")
    return NCFData(train, test, _read_negatives(path, test) if path.exists() else None)


def _read_negatives(path: Path, test: pd.DataFrame) -> NDArray[np.int64]:
    keys = [f"({user},{item})" for user, item in zip(test["user"], test["item"], strict=True)]
    rows: list[NDArray[np.int64]] = []
    with closing(parse_lines(path, _parse_negatives)) as lines:
        for number, (key, items) in lines:
            is_over = len(rows) == len(keys)
            expected = "which has no further row" if is_over else keys[len(rows)]
            if key != expected:
                rule = "field 1 must be the (user,item) of the next row of the test file"
                raise line_error(path, number, f"{rule}, {expected}. Received: {quoted(key)}")
            rows.append(items)
            if len(items) != len(rows[0]):
                rule = f"the line must hold {len(rows[0])} negatives, like the first line"
                raise line_error(path, number, f"{rule}. Received: {len(items)}")
    if len(rows) != len(keys):
        raise ValueError(
            f"{path}: the file must hold one line per row of the test file, {len(keys)} lines. "
            f"Received: {len(rows)}."
        )
    return np.stack(rows)


def _parse_negatives(line: str) -> tuple[str, NDArray[np.int64]]:
    """Return the key "(user,item)" and the negatives of a line."""
    key, *items = line.rstrip().split("\t")
    if not items:
        raise ValueError("the line must hold negatives. Received: 0")
    numbers = [parse_int64(position, item) for position, item in enumerate(items, start=2)]
    return key, np.array(numbers, dtype=np.int64)
