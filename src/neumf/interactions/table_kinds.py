"""One interface to tables of pandas, polars and Arrow and to arrays.

This module imports neither polars nor pyarrow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.columns import is_of, native, read_column
from neumf.utils.arrays import Ids, Indices


class Table:
    """A pandas DataFrame; subclasses wrap tables of other kinds.

    Columns are returned as pandas Series, new tables in the kind of the original.
    """

    names: list[Any] | None  # None where columns have no names, as in arrays
    index_names: Sequence[Any] = ()
    index_is_time = False
    shape: tuple[int, int]

    def __init__(self, frame: pd.DataFrame) -> None:
        for position, dtype in enumerate(frame.dtypes):
            if isinstance(dtype, np.dtype) and not dtype.isnative:
                frame = frame.copy(deep=False)
                column: Any = native(frame.iloc[:, position])
                frame.isetitem(position, column)
        self.frame = frame
        self.names = list(frame.columns)
        self.index_names = list(frame.index.names)
        self.index_is_time = isinstance(frame.index, pd.DatetimeIndex)
        self.shape = frame.shape

    def column(self, position: int) -> pd.Series:
        """Return one column."""
        return self.frame.iloc[:, position]

    def take(self, rows: Indices) -> Any:
        """Return some of the rows, by position."""
        return self.frame.iloc[rows]

    def with_columns(self, columns: dict[int, Ids]) -> Any:
        """Return a copy with other values in some columns, by position."""
        frame = self.frame.assign()  # a copy; pandas 3 copies only the changed columns
        for position, values in columns.items():
            # pandas would turn a None among strings into NaN.
            dtype = object if pd.isna(values).any() else None
            column: Any = pd.Series(values, index=frame.index, dtype=dtype)
            frame.isetitem(position, column)
        return frame

    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        """Return a copy with one more column, or with other values in the column of that name."""
        return self.frame.assign(**{name: values})

    def with_rows(self, rows: Any) -> Any:
        """Append the rows of a table of the same kind."""
        return pd.concat([self.frame, rows], ignore_index=True)


class _ArrayTable(Table):
    """A 2D array or a list of rows; new tables are arrays."""

    def __init__(self, rows: NDArray[Any] | Sequence[Any]) -> None:
        columns: Any = rows
        if isinstance(rows, np.ma.MaskedArray):
            columns = {position: _unmask(column) for position, column in enumerate(rows.T)}
        super().__init__(pd.DataFrame(columns))
        self.names = None
        self.array = rows if isinstance(rows, np.ndarray) else None

    def take(self, rows: Indices) -> NDArray[Any]:
        return (self._as_array() if self.array is None else self.array)[rows]

    def with_columns(self, columns: dict[int, Ids]) -> Any:
        return super().with_columns(columns).to_numpy()

    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        return super().with_new_column(name, values).to_numpy()

    def with_rows(self, rows: Any) -> NDArray[Any]:
        return np.concatenate([self._as_array(), rows])

    def _as_array(self) -> NDArray[Any]:
        """Return an array in which 1 beside "a" stays an int, and masked cells are None."""
        if self.array is None or np.ma.isMaskedArray(self.array):
            return self.frame.to_numpy()
        return self.array


class _NarwhalsTable(Table):
    """A DataFrame of polars, or a table of Arrow."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.names = list(table.column_names if hasattr(table, "column_names") else table.columns)
        self.shape = table.shape

    @property
    def _frame(self) -> nw.DataFrame[Any]:
        """The table in narwhals, which needs distinct column names; `tables` checks these."""
        return nw.from_native(self.table, eager_only=True)

    def column(self, position: int) -> pd.Series:
        return read_column(self._frame[:, position].to_native())

    def take(self, rows: Indices) -> Any:
        return self._frame[rows].to_native()

    def with_columns(self, columns: dict[int, Ids]) -> Any:
        names = self._frame.columns
        return self._with({names[position]: values for position, values in columns.items()})

    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        return self._with({name: values})

    def with_rows(self, rows: Any) -> Any:
        # Not narwhals's own cast: narwhals has fewer types than Arrow.
        types = self.table.schema
        if self._frame.implementation.is_polars():  # which cannot cast an object to an object
            types = {name: own for name, own in types.items() if own != rows.schema[name]}
        further = nw.from_native(rows.cast(types), eager_only=True)
        return nw.concat([self._frame, further]).to_native()

    def _with(self, columns: dict[str, NDArray[Any]]) -> Any:
        frame = self._frame
        backend = frame.implementation
        for name, values in columns.items():
            cells: Any = values
            if values.dtype == object and not pd.api.types.infer_dtype(values).startswith("mixed"):
                cells = values.tolist()  # polars infers no type from an array of objects
            elif values.dtype == "datetime64[s]" and backend.is_polars():
                cells = values.astype("datetime64[ms]")  # polars has no seconds
            frame = frame.with_columns(nw.new_series(name, cells, backend=backend))
        return frame.to_native()


def open_table(X: Any, argument: str = "X") -> Table:
    """Wrap a table in memory of any kind."""
    refuse_sparse(X, argument)
    if isinstance(X, str | os.PathLike) or is_of(X, "pyarrow.dataset", "Dataset"):
        raise ValueError(
            f"{argument} must be a table in memory here, where its rows are returned. Expected 2D "
            f"array, got {type(X).__name__} instead: {X!r}. Read it first, for example with "
            "neumf.datasets.read_interactions, pandas.read_parquet or Dataset.to_table."
        )
    if is_of(X, "pyarrow", "RecordBatch"):
        X = sys.modules["pyarrow"].Table.from_batches([X])
    if is_of(X, "polars", "DataFrame") or is_of(X, "pyarrow", "Table"):
        return _NarwhalsTable(X)
    if isinstance(X, pd.DataFrame) or hasattr(type(X), "columns"):
        return Table(_as_pandas(X, argument))
    return _ArrayTable(_as_rows(X, argument))


def refuse_sparse(X: Any, argument: str = "X") -> None:
    """Raise if X is a sparse matrix, where rows of X must be returned."""
    if sp.issparse(X):
        raise ValueError(
            f"{argument} must be a DataFrame or an array here, where its rows are returned. "
            "Received a sparse matrix. Pass a table of user and item."
        )


def _as_pandas(X: Any, argument: str) -> pd.DataFrame:
    """Convert a table of another library: as an array it would lose the names of its columns."""
    frame = X.to_pandas() if hasattr(X, "to_pandas") else X
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"{argument} must be a DataFrame of pandas or polars, an Arrow table, an array or a "
            f"sparse matrix. Received {type(X).__module__}.{type(X).__name__}. Convert it to a "
            "DataFrame of pandas first, for example with to_pandas, compute or collect."
        )
    return frame


def _as_rows(X: Any, argument: str) -> NDArray[Any] | Sequence[Any]:
    rows = X if isinstance(X, Sequence | np.ma.MaskedArray) else np.asarray(X)
    if isinstance(rows, np.ndarray):
        is_table = rows.ndim == 2
    else:
        first = rows[0] if len(rows) else []
        is_row = isinstance(first, list | tuple | np.ndarray | pd.Series)
        _refuse_row_numbers(first, argument)
        # A tuple in a row is an id, not a third dimension.
        is_table = is_row and not any(isinstance(cell, list | np.ndarray) for cell in first)
    if not is_table:
        raise ValueError(
            f"{argument} must be a table with one row per interaction. Expected 2D array, got "
            f"{type(X).__name__} of another shape instead. Reshape your data to (n_samples, 2) or "
            "more columns: user and item come first. Convert dicts with pandas.DataFrame."
        )
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "c":
        raise ValueError(
            f"{argument} must hold ids. Complex data not supported. Received dtype {rows.dtype}."
        )
    return rows


def _refuse_row_numbers(row: Any, argument: str) -> None:
    """Raise if this is a row of pandas's `itertuples` that begins with the index."""
    if getattr(row, "_fields", ())[:1] == ("Index",):
        raise ValueError(
            f"{argument} must hold the user first, then the item. Received rows of "
            "DataFrame.itertuples, which begin with the index. Pass the DataFrame itself, or "
            "list(X.itertuples(index=False)) if its first two columns are user and item."
        )


def _unmask(column: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """Return a column with None where it is masked."""
    mask = np.ma.getmaskarray(column)
    if not mask.any():
        return column.data
    cells = column.data.astype(object)
    cells[mask] = None
    return cells
