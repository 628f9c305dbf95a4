"""Check each value of a file when it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.saving.container import damaged_file_error, short_repr

_INDICES = (np.int32, np.int64)
_FLOATS = (np.float32, np.float64)


class CheckedValues:
    """Values by name, from a file that may be hostile.

    Each method returns the value of a name. It raises a ValueError if the value is of another kind.
    """

    def __init__(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise damaged_file_error(f"it has {short_repr(values)} instead of named values")
        self._values = values

    def value(self, name: str) -> Any:
        """Return a value of any kind."""
        if name not in self._values:
            raise damaged_file_error(f"it lacks {name}")
        return self._values[name]

    def of_type(self, name: str, *kinds: type) -> Any:
        """Return a value of one of these classes."""
        value = self.value(name)
        if type(value) not in kinds:
            raise damaged_file_error(f"{name} is {short_repr(value)}")
        return value

    def part(self, name: str) -> CheckedValues:
        """Return the values within a value."""
        return CheckedValues(self.value(name))

    def names(self) -> list[str]:
        """Return all names in the order of the file."""
        return list(self._values)

    def has(self, name: str) -> bool:
        """Return whether there is a value other than None."""
        return self._values.get(name) is not None

    def integer(self, name: str, at_least: int = 0, at_most: int = 2**63 - 1) -> int:
        """Return an int within bounds."""
        value: int = self.of_type(name, int)
        if not at_least <= value <= at_most:
            raise damaged_file_error(f"{name} is {short_repr(value)}")
        return value

    def number(self, name: str, *, above: float) -> float:
        """Return a finite float above a bound."""
        value: float = self.of_type(name, float)
        if not above < value < np.inf:
            raise damaged_file_error(f"{name} is {value!r}")
        return value

    def strings(self, name: str) -> list[str]:
        """Return a list of strings."""
        value: list[str] = self.of_type(name, list)
        if not all(type(part) is str for part in value):
            raise damaged_file_error(f"{name} is {short_repr(value)}")
        return value

    def ids(self, name: str) -> pd.Index:
        """Return an index of at least one id."""
        value = self.value(name)
        if not isinstance(value, pd.Index) or len(value) == 0:
            raise damaged_file_error(f"{name} is not a list of ids")
        return value

    def floats(
        self, name: str, shape: tuple[int | None, ...], *, at_least: float = -np.inf
    ) -> NDArray[Any]:
        """Return an array of finite numbers; None in the shape means any size."""
        array = self._array(name, _FLOATS, shape)
        # Block by block, so that the masks take little memory.
        flat = array.reshape(-1)
        for start in range(0, flat.size, 2**20):
            block = flat[start : start + 2**20]
            if not (np.isfinite(block) & (block >= at_least)).all():
                raise damaged_file_error(f"{name} has numbers that are not finite or too small")
        return array

    def float32s(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        """Return an array of finite 32-bit numbers."""
        if self._array(name, _FLOATS, shape).dtype != np.float32:
            raise damaged_file_error(f"{name} is not an array of float32")
        return self.floats(name, shape)

    def indices(
        self, name: str, shape: tuple[int | None, ...], below: int, *, at_least: int = 0
    ) -> NDArray[Any]:
        """Return an array of ints within bounds."""
        array = self._array(name, _INDICES, shape)
        if array.size and not (at_least <= array.min() and array.max() < below):
            raise damaged_file_error(f"{name} has indices out of range")
        return array

    def bounds(self, name: str, n: int, end: int) -> NDArray[Any]:
        """Return the starts of n consecutive runs of rows and the last end, shape (n + 1,)."""
        array = self.indices(name, (n + 1,), end + 1)
        if array[0] != 0 or array[-1] != end or (array[1:] < array[:-1]).any():
            raise damaged_file_error(f"{name} does not divide {end} rows into {n} runs")
        return array

    def sparse(self, name: str, shape: tuple[int, int | None], dtype: type) -> sp.csr_array:
        """Return a sparse matrix of finite numbers or bools; None in the shape means any size."""
        matrix = self.value(name)
        if not isinstance(matrix, sp.csr_array) or not _fits(matrix.shape, shape):
            raise damaged_file_error(f"{name} is not a sparse matrix of shape {shape}")
        if not np.issubdtype(matrix.dtype, dtype) or not np.isfinite(matrix.data).all():
            raise damaged_file_error(f"{name} has dtype {matrix.dtype} or infinite numbers")
        return matrix

    def matrix(self, name: str, shape: tuple[int, int]) -> NDArray[Any] | sp.csr_array:
        """Return a dense or sparse matrix of finite numbers."""
        if isinstance(self.value(name), np.ndarray):
            return self.floats(name, shape)
        return self.sparse(name, shape, np.floating)

    def _array(
        self, name: str, dtypes: tuple[type, ...], shape: tuple[int | None, ...]
    ) -> NDArray[Any]:
        array = self.value(name)
        if not isinstance(array, np.ndarray) or array.dtype not in dtypes:
            raise damaged_file_error(f"{name} is not an array of {dtypes[0].__name__}")
        if not _fits(array.shape, shape):
            raise damaged_file_error(f"{name} has the shape {array.shape}")
        return array


def _fits(shape: tuple[int, ...], rule: tuple[int | None, ...]) -> bool:
    """Return whether a shape follows a rule, in which None means any size."""
    return len(shape) == len(rule) and all(
        size in (None, found) for size, found in zip(rule, shape, strict=True)
    )
