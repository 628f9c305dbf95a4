"""Tables that are not in memory: Parquet files, datasets of Arrow, DataFrames of dask."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from neumf.interactions.columns import is_of

# Least number of rows of a part, except for the last.
_PART_ROWS = 2**20


# For each column, its types in the files, and the first file with each type.
_TypesOfFiles = dict[str, dict[Any, str]]


class StoredTable(NamedTuple):
    """A table that is read part by part."""

    header: pd.DataFrame  # an empty DataFrame with the columns of the table
    # (names of columns) -> parts in the order of the rows: a Series or array of Arrow for each name
    read: Callable[[list[Any]], Iterator[list[Any]]]


def open_stored(X: Any, argument: str) -> StoredTable | None:
    """Open a table that is not in memory, without reading a row; None if X is in memory."""
    if is_of(X, "dask.dataframe", "DataFrame"):
        return StoredTable(X._meta, lambda names: _parts_of_dask(X, names, argument))
    if isinstance(X, str | os.PathLike):
        X = _open_files(Path(X).expanduser(), argument)
    elif not is_of(X, "pyarrow.dataset", "Dataset"):
        return None
    dataset, types = _with_widest_types(X, argument)
    # `to_pandas` keeps an index that pandas stored, so that it does not become a column.
    header = dataset.schema.empty_table().to_pandas(date_as_object=False)

    def read(names: list[Any]) -> Iterator[list[Any]]:
        _check_types(types, names, argument)
        return _parts_of_dataset(dataset, names, argument)

    return StoredTable(header, read)


def _open_files(path: Path, argument: str) -> Any:
    """Open a Parquet file, or a folder of Parquet files, as a dataset."""
    rule = f"{argument} must be a table, or the path of a Parquet file or of a folder of such files"
    if not path.exists():
        raise FileNotFoundError(
            f"{rule}. Received {str(path)!r}, where there is no file. Correct the path, or pass a "
            "pyarrow.dataset.Dataset for files that are on another machine."
        )
    if path.is_file() and not _is_parquet(path):
        raise ValueError(
            f"{rule}. Received {str(path)!r}, which is not a Parquet file. Read it first: "
            f"X = neumf.datasets.read_interactions({str(path)!r})."
        )
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(
            f"{argument} is a path, and Parquet files are read with pyarrow, which is not "
            'installed. Install it, for example with pip install "scikit-neumf[distributed]".'
        ) from error
    partitioning = None
    if path.is_dir():
        # As in pandas, "year=2024/" in a path becomes a column, after the columns of the files.
        partitioning = pyarrow.dataset.HivePartitioning.discover(infer_dictionary=True)
    try:
        # pyarrow sorts the files of a folder by path.
        dataset = pyarrow.dataset.dataset(str(path), format="parquet", partitioning=partitioning)
    except (OSError, pyarrow.lib.ArrowException) as error:
        raise ValueError(
            f"{rule}. Received {str(path)!r}, which cannot be read as Parquet: {error}"
        ) from error
    if not dataset.files:
        raise ValueError(f"{rule}. Received {str(path)!r}, a folder without files.")
    return dataset


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _with_widest_types(dataset: Any, argument: str) -> tuple[Any, _TypesOfFiles]:
    """Convert each column to its widest type among the files; return also the types."""
    import pyarrow

    types: _TypesOfFiles = {}
    if not is_of(dataset, "pyarrow._dataset", "FileSystemDataset"):
        return dataset, types
    try:
        for path in dataset.files:
            for field in dataset.format.inspect(path, dataset.filesystem):
                types.setdefault(field.name, {}).setdefault(field.type, path)
        fragments = [*dataset.get_fragments()]
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(argument, error) from error
    except ValueError:  # a filtered dataset does not give out its fragments
        return dataset, types
    schema = dataset.schema
    for name, others in types.items():
        for other in others:
            # If types have no common type, `_check_types` refuses them.
            with suppress(pyarrow.ArrowException):
                part = pyarrow.schema([(name, other)])
                schema = pyarrow.unify_schemas([schema, part], promote_options="permissive")
    files = type(dataset)(fragments, schema, dataset.format, dataset.filesystem)
    return files, types


def _check_types(types: _TypesOfFiles, names: Sequence[Any], argument: str) -> None:
    """Raise if files hold different kinds of values in a column: Arrow would convert them."""
    for name in names:
        paths = {_kind_of(type_): (type_, path) for type_, path in types.get(name, {}).items()}
        paths.pop("null", None)
        if len(paths) > 1:
            (first, path), (second, other_path), *_ = paths.values()
            raise ValueError(
                f"{argument} must be files with the same column types. Received column {name!r} as "
                f"{first} in {path} and as {second} in {other_path}. Read the files one by one, "
                "convert the column to one type, and write them again."
            )


def _kind_of(type_: Any) -> str:
    """Name the kind of a type: Arrow converts types of one kind without a change of meaning."""
    import pyarrow.types as kinds

    type_ = type_.value_type if kinds.is_dictionary(type_) else type_
    if kinds.is_integer(type_) or kinds.is_floating(type_):
        return "uint64" if kinds.is_uint64(type_) else "number"
    if kinds.is_timestamp(type_):
        return "local time" if type_.tz is None else "time"
    return str(type_).removeprefix("large_").removesuffix("_view")


def _parts_of_dataset(dataset: Any, names: Sequence[Any], argument: str) -> Iterator[list[Any]]:
    import pyarrow

    # Reading further ahead would cost memory and save hardly any time.
    scanner = dataset.scanner(
        columns=[str(name) for name in names],
        batch_size=_PART_ROWS,
        batch_readahead=2,
        fragment_readahead=1,
    )
    try:
        for batches in _gathered(scanner.to_batches()):
            yield pyarrow.Table.from_batches(batches).columns
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(argument, error) from error
    finally:
        pyarrow.default_memory_pool().release_unused()


def _gathered(batches: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield lists of batches with enough rows, since the row groups of a file may be short."""
    gathered, n_rows = [], 0
    for batch in batches:
        gathered.append(batch)
        n_rows += batch.num_rows
        if n_rows >= _PART_ROWS:
            yield gathered
            gathered, n_rows = [], 0
    if gathered:
        yield gathered


def _parts_of_dask(frame: Any, names: Sequence[Any], argument: str) -> Iterator[list[Any]]:
    columns = frame[list(names)]
    for position in range(frame.npartitions):
        try:
            part = columns.partitions[position].compute()
        except OSError as error:
            raise _unreadable(argument, error) from error
        yield [part[name] for name in names]


def _unreadable(argument: str, error: Exception) -> OSError:
    return OSError(
        f"{argument} could not be read to its end, because a file is damaged, was removed or "
        f"changed, or its values do not fit into the type of other files: {error}. Nothing was "
        "learned from it; write the file again and repeat the call."
    )
