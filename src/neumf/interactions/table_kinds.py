"""Tables of pandas, polars and Arrow, and arrays, behind one face.

polars and pyarrow are never imported here: who passes their tables has imported them already.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.ids import is_of, native, read_column
from neumf.utils.arrays import Codes, Ids

# Rows whose values tell whether a column of Python objects holds datetimes.
_N_LOOKED_AT = 100


class Table(ABC):
    """A table of one kind: what is read of it, and tables of its kind that are made of it.

    Attributes
    ----------
    names : list or None
        The names of the columns; None where columns have none, as in arrays.
    index_names : list
        The names of what labels the rows.
    index_is_time : bool
        True if datetimes label the rows.
    shape : tuple of int
        Number of rows and of columns.
    """

    names: list[Any] | None
    index_names: Sequence[Any] = ()
    index_is_time: bool = False
    shape: tuple[int, int]

    @abstractmethod
    def column(self, place: int) -> pd.Series:
        """Return one column."""

    @abstractmethod
    def holds_datetimes(self, place: int) -> bool:
        """Tell whether a column holds dates or datetimes."""

    @abstractmethod
    def take(self, rows: Codes) -> Any:
        """Return some of the rows, by position."""

    @abstractmethod
    def with_columns(self, columns: dict[int, Ids]) -> Any:
        """Return a copy with other values in some columns, by place."""

    @abstractmethod
    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        """Return a copy with one more column, or with other values in the column of that name."""

    @abstractmethod
    def with_rows(self, rows: Any) -> Any:
        """Return a table with further rows, those of a table of the same kind."""


class _PandasTable(Table):
    """A DataFrame of pandas."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = _native_frame(frame)
        self.names = list(frame.columns)
        self.index_names = list(frame.index.names)
        self.index_is_time = isinstance(frame.index, pd.DatetimeIndex)
        self.shape = frame.shape

    def column(self, place: int) -> pd.Series:
        return self.frame.iloc[:, place]

    def holds_datetimes(self, place: int) -> bool:
        return _is_datetime(self.column(place))

    def take(self, rows: Codes) -> pd.DataFrame:
        return self.frame.iloc[rows]

    def with_columns(self, columns: dict[int, Ids]) -> pd.DataFrame:
        copies = [self.column(place) for place in range(self.shape[1])]
        for place, values in columns.items():
            # pandas would make NaN of a None among strings.
            dtype = object if pd.isna(values).any() else None
            copies[place] = pd.Series(values, index=self.frame.index, dtype=dtype)
        frame = pd.concat(copies, axis=1)
        frame.columns = self.frame.columns
        return frame

    def with_new_column(self, name: str, values: NDArray[Any]) -> pd.DataFrame:
        frame: pd.DataFrame = self.frame.assign(**{name: values})
        return frame

    def with_rows(self, rows: Any) -> pd.DataFrame:
        frame: pd.DataFrame = pd.concat([self.frame, rows], ignore_index=True)
        return frame


class _ArrayTable(Table):
    """An array of two dimensions, or a list of rows; what is made of it is an array."""

    names = None

    def __init__(self, rows: NDArray[Any] | Sequence[Any]) -> None:
        self.array = rows if isinstance(rows, np.ndarray) else None
        self.table = _PandasTable(_frame_of_rows(rows))
        self.shape = self.table.shape

    def column(self, place: int) -> pd.Series:
        return self.table.column(place)

    def holds_datetimes(self, place: int) -> bool:
        may_hold = self.array is None or self.array.dtype.kind in "OM"
        return may_hold and self.table.holds_datetimes(place)

    def take(self, rows: Codes) -> NDArray[Any]:
        return (self._as_array() if self.array is None else self.array)[rows]

    def with_columns(self, columns: dict[int, Ids]) -> NDArray[Any]:
        return self.table.with_columns(columns).to_numpy()

    def with_new_column(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        return self.table.with_new_column(name, values).to_numpy()

    def with_rows(self, rows: Any) -> NDArray[Any]:
        return np.concatenate([self._as_array(), rows])

    def _as_array(self) -> NDArray[Any]:
        """Return a plain array.

        Unlike that of `np.asarray` it keeps numbers beside strings, and has None where a mask is.
        """
        if self.array is None or np.ma.isMaskedArray(self.array):
            return self.table.frame.to_numpy()
        return self.array


class _PolarsTable(Table):
    """A DataFrame of polars."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.names: list[str] = frame.columns
        self.shape = frame.shape

    def column(self, place: int) -> pd.Series:
        return read_column(self.frame[self.names[place]])

    def holds_datetimes(self, place: int) -> bool:
        polars = sys.modules["polars"]
        return self.frame.dtypes[place].base_type() in (polars.Date, polars.Datetime)

    def take(self, rows: Codes) -> Any:
        return self.frame[rows]

    def with_columns(self, columns: dict[int, Ids]) -> Any:
        return self.frame.with_columns(
            [_polars_series(self.names[place], values) for place, values in columns.items()]
        )

    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        return self.frame.with_columns(_polars_series(name, values))

    def with_rows(self, rows: Any) -> Any:
        types = zip(self.frame.dtypes, rows.dtypes, self.names, strict=True)
        casts = {name: own for own, other, name in types if own != other}
        return self.frame.vstack(rows.cast(casts))


class _ArrowTable(Table):
    """A table of pyarrow."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.names: list[str] = table.column_names
        self.shape = table.shape

    def column(self, place: int) -> pd.Series:
        return read_column(self.table.column(place))

    def holds_datetimes(self, place: int) -> bool:
        types = sys.modules["pyarrow"].types
        dtype = self.table.schema.field(place).type
        return bool(types.is_timestamp(dtype) or types.is_date(dtype))

    def take(self, rows: Codes) -> Any:
        return self.table.take(rows)

    def with_columns(self, columns: dict[int, Ids]) -> Any:
        table = self.table
        for place, values in columns.items():
            column = sys.modules["pyarrow"].array(values)
            table = table.set_column(place, self.names[place], column)
        return table

    def with_new_column(self, name: str, values: NDArray[Any]) -> Any:
        if name in self.names:
            return self.with_columns({self.names.index(name): values})
        return self.table.append_column(name, sys.modules["pyarrow"].array(values))

    def with_rows(self, rows: Any) -> Any:
        tables = [self.table, rows.cast(self.table.schema)]
        return sys.modules["pyarrow"].concat_tables(tables)


def open_table(X: Any, argument: str = "X") -> Table:
    """Return what is known of a table, whatever its kind."""
    refuse_sparse(X, argument)
    if isinstance(X, str | os.PathLike) or is_of(X, "pyarrow.dataset", "Dataset"):
        raise ValueError(
            f"{argument} must be a table in memory here, where its rows are returned. Expected 2D "
            f"array, got {type(X).__name__} instead: {X!r}. Read it first, for example with "
            "pandas.read_parquet or Dataset.to_table."
        )
    if isinstance(X, pd.DataFrame):
        return _PandasTable(X)
    if is_of(X, "polars", "DataFrame"):
        return _PolarsTable(X)
    if is_of(X, "pyarrow", "Table"):
        return _ArrowTable(X)
    if is_of(X, "pyarrow", "RecordBatch"):
        return _ArrowTable(sys.modules["pyarrow"].Table.from_batches([X]))
    if hasattr(type(X), "columns"):
        return _PandasTable(_as_pandas(X, argument))
    return _ArrayTable(_as_rows(X, argument))


def refuse_sparse(X: Any, argument: str = "X") -> None:
    """Raise where rows are returned, and X has none."""
    if sp.issparse(X):
        raise ValueError(
            f"{argument} must be a DataFrame or an array here, where its rows are returned. "
            "Received a sparse matrix. Pass a table of user and item."
        )


def _as_pandas(X: Any, argument: str) -> pd.DataFrame:
    """Convert a table of another library: as an array it would lose the names of its columns."""
    frame = X.to_pandas() if hasattr(X, "to_pandas") else None
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"{argument} must be a DataFrame of pandas or polars, an Arrow table, an array or a "
            f"sparse matrix. Received {type(X).__module__}.{type(X).__name__}. Convert it to a "
            "DataFrame of pandas first, for example with to_pandas, compute or collect."
        )
    return frame


def _as_rows(X: Any, argument: str) -> NDArray[Any] | Sequence[Any]:
    rows = X if isinstance(X, Sequence | np.ma.MaskedArray) else np.asarray(X)
    if not _is_table(rows):
        raise ValueError(
            f"{argument} must be a table with one row per interaction. Expected 2D array, got "
            f"{type(X).__name__} of another shape instead. Reshape your data to (n_samples, 2) or "
            "more columns: user and item come first."
        )
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "c":
        raise ValueError(
            f"{argument} must hold ids. Complex data not supported. Received dtype {rows.dtype}."
        )
    return rows


def _is_table(rows: Sequence[Any] | NDArray[Any]) -> bool:
    """Tell whether rows have two dimensions; a tuple in a row is an id, not a third one."""
    if isinstance(rows, np.ndarray):
        return rows.ndim == 2
    first = rows[0] if len(rows) else []
    return isinstance(first, list | tuple | np.ndarray | pd.Series) and not any(
        isinstance(cell, list | np.ndarray) for cell in first
    )


def _frame_of_rows(rows: NDArray[Any] | Sequence[Any]) -> pd.DataFrame:
    if isinstance(rows, np.ma.MaskedArray):
        return pd.DataFrame({place: _unmask(column) for place, column in enumerate(rows.T)})
    return pd.DataFrame(rows)


def _unmask(column: np.ma.MaskedArray[Any, Any]) -> NDArray[Any]:
    """Return a column with None where it is masked."""
    mask = np.ma.getmaskarray(column)
    if not mask.any():
        return column.data
    cells = column.data.astype(object)
    cells[mask] = None
    return cells


def _native_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose numbers have the machine's order of bytes: pandas takes no others."""
    foreign = [
        place
        for place, dtype in enumerate(frame.dtypes)
        if isinstance(dtype, np.dtype) and not dtype.isnative
    ]
    if foreign:
        frame = frame.copy()
    for place in foreign:
        column: Any = native(frame.iloc[:, place])
        frame.isetitem(place, column)
    return frame


def _polars_series(name: str, values: NDArray[Any]) -> Any:
    cells: Any = values
    if values.dtype == object and not pd.api.types.infer_dtype(values).startswith("mixed"):
        cells = values.tolist()  # polars would not look for a type among objects
    elif values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] == "s":
        cells = values.astype("datetime64[ms]")  # polars has no seconds
    return sys.modules["polars"].Series(name, cells)


def _is_datetime(column: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    kinds = ("date", "datetime", "datetime64")
    return column.dtype == object and pd.api.types.infer_dtype(column.iloc[:_N_LOOKED_AT]) in kinds
