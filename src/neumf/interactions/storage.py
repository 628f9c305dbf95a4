"""Where arrays with a value for each row are: in memory, or in files without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neumf.utils.arrays import Codes

# Rows that are worked on at once, where what is made of them is not as long as all rows.
_BLOCK_ROWS = 2**20

# An array in memory that grows gets room for so much more than it holds. Room for a large one is
# pages that are moved, not copied.
_SPARE = 1 / 16


def blocks_of(n_rows: int) -> Iterator[slice]:
    """Yield all rows, some at a time."""
    for start in range(0, n_rows, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, n_rows))


def type_of_places(n: int) -> type[np.signedinteger[Any]]:
    """Return the type of places among so many."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


@dataclass(frozen=True)
class Storage:
    """Gives room for arrays with a value for each row.

    Attributes
    ----------
    folder : str, path or None
        Where the files are that the arrays are mapped to; None keeps arrays in memory. A file has
        no name (or, on Windows, one that goes with it), so that its space is free again when the
        last array over it is gone, however the process ends.
    """

    folder: str | os.PathLike[str] | None = None

    def empty(self, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of n values that are not set yet."""
        if self.folder is None or n == 0:
            return np.empty(n, dtype)
        file = self._new_file()
        with file:
            try:
                _reserve(file, n * np.dtype(dtype).itemsize)
            except OSError as error:
                self._refuse(error)
            return _map(file, n, dtype)

    def keep(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array, in a file if that is where arrays are."""
        if self.folder is None or _is_mapped(array):
            return array
        kept = self.empty(len(array), array.dtype)
        kept[:] = array
        return kept

    def take(self, values: NDArray[Any], rows: Codes) -> NDArray[Any]:
        """Return the values of these rows."""
        taken = self.empty(len(rows), values.dtype)
        for block in blocks_of(len(rows)):
            taken[block] = values[rows[block]]
        return taken

    def without(self, values: NDArray[Any], rows: Codes) -> NDArray[Any]:
        """Return the values of all rows but these, which rise."""
        left = self.empty(len(values) - len(rows), values.dtype)
        n_left = 0
        for block in blocks_of(len(values)):
            first, end = np.searchsorted(rows, (block.start, block.stop))
            part = np.delete(values[block], rows[first:end] - block.start)
            left[n_left : n_left + len(part)] = part
            n_left += len(part)
        return left

    def look_up(
        self, find: Callable[..., NDArray[Any]], keys: NDArray[Any], *others: NDArray[Any]
    ) -> NDArray[Any]:
        """Return ``find(keys, *others)``, which gives something for each of the keys.

        Where arrays are in files, it is asked for rising keys, some at a time: what `find` reads at
        places that rise with them is then read from front to back.
        """
        if self.folder is None or len(keys) == 0:
            return find(keys, *others)
        order = np.argsort(keys, kind="stable")
        found: NDArray[Any] | None = None
        for block in blocks_of(len(order)):
            asked = order[block]
            part = find(keys[asked], *(values[asked] for values in others))
            if found is None:
                found = np.empty((len(keys), *part.shape[1:]), part.dtype)
            found[asked] = part
        assert found is not None
        return found

    def growing(self) -> Growing:
        """Return an array to which values are appended."""
        return Growing() if self.folder is None else _GrowingFile(self)

    def _new_file(self) -> Any:
        try:
            # Written to the disk at once: what waits in Python might not fit there.
            return tempfile.TemporaryFile(dir=self.folder, buffering=0)
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        raise OSError(
            error.errno,
            "spill_folder must be a folder in which files of all rows can be written. Received "
            f"{str(self.folder)!r}, where that failed: {error.strerror}. Make room there, or pass "
            "another folder; nothing was learned, and nothing is left there",
        ) from error


MEMORY = Storage()


class Piles:
    """All rows, dealt out to piles, in each of which they keep their order.

    In memory, a pile is gathered from all over a column. In files that would read all of a column
    for each pile, so columns are dealt out in one pass, and read and written from front to back.

    Parameters
    ----------
    storage : Storage
        Where the piles are.
    n_rows, n_piles : int
        How many rows there are, and how many piles.
    pile_of : callable
        Tells the pile of each row of a block. It is asked for each pass.
    """

    def __init__(
        self,
        storage: Storage,
        n_rows: int,
        n_piles: int,
        pile_of: Callable[[slice], NDArray[Any]],
    ) -> None:
        self._storage = storage
        self._n_rows = n_rows
        self._n_piles = n_piles
        self._pile_of = pile_of
        counts = np.zeros(n_piles, dtype=np.int64)
        for block in blocks_of(n_rows):
            counts += np.bincount(pile_of(block), minlength=n_piles)
        self._bounds = np.append(0, np.cumsum(counts))

    @property
    def slices(self) -> list[slice]:
        """Where each pile is among the rows that are dealt out."""
        return [slice(start, stop) for start, stop in pairwise(self._bounds.tolist())]

    @cached_property
    def rows(self) -> Codes:
        """All rows, pile by pile."""
        rows = self._storage.empty(self._n_rows, type_of_places(self._n_rows))
        for block, order, places in self._places():
            rows[places] = block.start + order
        return rows

    def parts(self, *columns: NDArray[Any] | None) -> Iterator[tuple[Any, ...]]:
        """Yield what each pile has of the columns; None for a column that is None."""
        if self._storage.folder is None:
            for pile in self.slices:
                rows = self.rows[pile]
                yield tuple(None if column is None else column[rows] for column in columns)
            return
        dealt = [
            None if column is None else self._storage.empty(self._n_rows, column.dtype)
            for column in columns
        ]
        for block, order, places in self._places():
            for column, of_piles in zip(columns, dealt, strict=True):
                if column is not None and of_piles is not None:
                    of_piles[places] = column[block][order]
        for pile in self.slices:
            yield tuple(None if of_piles is None else of_piles[pile] for of_piles in dealt)

    def joined(self, parts: Iterable[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Return the values of each pile as those of all rows, in the order of the rows."""
        values = self._storage.empty(self._n_rows, dtype)
        if self._storage.folder is None:
            for pile, part in zip(self.slices, parts, strict=True):
                values[self.rows[pile]] = part
            return values
        dealt = self._storage.empty(self._n_rows, dtype)
        for pile, part in zip(self.slices, parts, strict=True):
            dealt[pile] = part
        for block, order, places in self._places():
            of_block = np.empty(len(order), dtype)
            of_block[order] = dealt[places]
            values[block] = of_block
        return values

    def _places(self) -> Iterator[tuple[slice, Codes, Codes]]:
        """Yield blocks of rows, in which order they come to piles, and to which places there."""
        ends = self._bounds[:-1].copy()
        for block in blocks_of(self._n_rows):
            piles = self._pile_of(block)
            counts = np.bincount(piles, minlength=self._n_piles)
            firsts = ends - (np.cumsum(counts) - counts)
            places = np.arange(len(piles)) + np.repeat(firsts, counts)
            yield block, np.argsort(piles, kind="stable"), places
            ends += counts


class OnePile(Piles):
    """All rows as they are: few enough for one pile."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def parts(self, *columns: NDArray[Any] | None) -> Iterator[tuple[Any, ...]]:
        """Yield the columns."""
        yield columns

    def joined(self, parts: Iterable[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Return the only part."""
        (part,) = parts
        return self._storage.keep(part.astype(dtype, copy=False))


class Growing:
    """An array in memory to which values are appended."""

    def __init__(self) -> None:
        self._array: NDArray[Any] = np.empty(0)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: NDArray[Any]) -> None:
        """Put values behind the others; their type becomes one that holds all of them."""
        length = self._length + len(values)
        if self._length == 0:
            self._array = np.empty(0, values.dtype)
        elif self._array.dtype != values.dtype:
            self._array = self._array.astype(np.result_type(self._array, values))
        if length > len(self._array):
            self._array.resize(length + int(length * _SPARE), refcheck=False)
        self._array[self._length : length] = values
        self._length = length

    def finish(self) -> NDArray[Any]:
        """Return all values; nothing can be appended any more."""
        array = self._array
        array.resize(self._length, refcheck=False)
        return array


class _GrowingFile(Growing):
    """The same in a file."""

    _file: Any = None

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._dtype: Any = None
        self._length = 0
        self._file = storage._new_file()

    def append(self, values: NDArray[Any]) -> None:
        if self._length == 0:
            self._dtype = values.dtype
        elif self._dtype != values.dtype:
            self._convert(np.result_type(self._dtype, values))
        content: Any = np.ascontiguousarray(values, self._dtype).view(np.uint8)
        left = memoryview(content)
        while len(left):
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self._storage._refuse(error)
        self._length += len(values)

    def __del__(self) -> None:
        # Of a table that could not be read to its end.
        if self._file is not None:
            self._file.close()

    def finish(self) -> NDArray[Any]:
        with self._file:
            if self._length == 0:
                return np.empty(0, self._dtype)
            return _map(self._file, self._length, self._dtype)

    def _convert(self, dtype: Any) -> None:
        """Write all values anew, in another type."""
        before = self.finish()
        self._file, self._length = self._storage._new_file(), 0
        for block in blocks_of(len(before)):
            self.append(before[block].astype(dtype))


def _reserve(file: Any, n_bytes: int) -> None:
    """Take the space of a file: to map one that the disk has no room for ends the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
        return
    zeros = bytes(_BLOCK_ROWS)
    while n_bytes > 0:
        n_bytes -= file.write(zeros[:n_bytes])


def _map(file: Any, n: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return a file as an array. It is a plain one: NumPy is slow with its own `memmap`."""
    mapped = mmap.mmap(file.fileno(), n * np.dtype(dtype).itemsize)
    return np.frombuffer(mapped, dtype, n)


def _is_mapped(array: NDArray[Any]) -> bool:
    """Tell whether an array is all of a file."""
    base = array.base
    return isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)
