"""Where arrays with a value for each row are: in memory, or in files without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from neumf._arrays import Codes

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

    def deal(
        self, n_rows: int, n_piles: int, pile_of: Callable[[slice], NDArray[Any]]
    ) -> tuple[Codes, Codes]:
        """Return all rows pile by pile, each in its order, and where piles begin and end.

        `pile_of` tells the pile of each row of a block. It is asked twice: no random access to what
        is longer than a block is needed.
        """
        n_of_piles = np.zeros(n_piles, dtype=np.int64)
        for block in blocks_of(n_rows):
            n_of_piles += np.bincount(pile_of(block), minlength=n_piles)
        bounds = np.append(0, np.cumsum(n_of_piles))
        rows = self.empty(n_rows, type_of_places(n_rows))
        places = bounds[:-1].copy()  # where the next rows of each pile go
        for block in blocks_of(n_rows):
            piles = pile_of(block)
            counts = np.bincount(piles, minlength=n_piles)
            order = np.argsort(piles, kind="stable")
            firsts = places - (np.cumsum(counts) - counts)
            rows[np.arange(len(order)) + np.repeat(firsts, counts)] = block.start + order
            places += counts
        return rows, bounds

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
