"""Sparse matrices, above all the seen items of users."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.utils.arrays import Float32s, Indices, Scores


def seen_matrix(
    users: Indices, items: Indices, shape: tuple[int, int], counted: NDArray[np.bool_] | None = None
) -> sp.csr_array:
    """Return a boolean users x items matrix of the rows in a mask (None: all), each pair once."""
    rows = slice(None) if counted is None else counted
    # scipy would keep indices of 64 bits, at twice the memory.
    pairs = tuple(indices[rows].astype(np.int32, copy=False) for indices in (users, items))
    return sp.coo_array((np.ones(len(pairs[0]), dtype=bool), pairs), shape=shape).tocsr()


def narrow_csr(parts: tuple[Any, Indices, Indices], shape: tuple[int, int]) -> sp.csr_array:
    """Return the matrix of values, columns and bounds of rows, with indices of 32 bits.

    In a product of matrices with indices of both widths, scipy would copy those of 32 bits.
    """
    values, columns, bounds = parts
    narrow = (indices.astype(np.int32, copy=False) for indices in (columns, bounds))
    return sp.csr_array((values, *narrow), shape=shape)


def join_seen(before: sp.csr_array, indices: Indices, seen: sp.csr_array) -> sp.csr_array:
    """Add to each row of `seen` the row of `before` with this index; -1 adds no item."""
    rows = seen_rows(before, indices)
    parts = (rows.data, rows.indices, rows.indptr)
    return sp.csr_array(sp.csr_array(parts, shape=seen.shape) + seen)


def count_users(seen: sp.csr_array) -> NDArray[np.int64]:
    """Return the number of users who have seen each item."""
    return np.bincount(seen.indices, minlength=seen.shape[1])


def log_popularity(seen: sp.csr_array) -> Float32s:
    """Return the logits of items for unknown users: log popularity, up to a constant."""
    counts = count_users(seen) + 1.0
    logs: Float32s = np.log(counts / counts.mean()).astype(np.float32)
    return logs


def seen_rows(seen: sp.csr_array, users: Indices) -> sp.csr_array:
    """Return the rows of the seen matrix, empty ones for unknown users (-1)."""
    if seen.shape[0] == 0:
        return sp.csr_array((len(users), seen.shape[1]), dtype=seen.dtype)
    rows = seen[np.maximum(users, 0)]
    if (users < 0).any():
        rows = sp.csr_array(rows.multiply((users >= 0)[:, None]))
        rows.eliminate_zeros()
    return rows


def stored_positions(matrix: sp.csr_array) -> tuple[Indices, Indices]:
    """Return the row and the column of each stored value."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


def bar_seen(scores: Scores, seen: sp.csr_array, users: Indices) -> None:
    """Set the scores of seen items to -inf, for the user of each row; -1 has seen no item."""
    ends = seen.indptr[users + 1]
    counts = np.where(users < 0, 0, ends - seen.indptr[users])
    stops = np.cumsum(counts)
    stored = np.repeat(ends - stops, counts)
    stored += np.arange(len(stored), dtype=stored.dtype)
    positions = np.repeat(np.arange(len(users)) * scores.shape[1], counts)
    positions += seen.indices[stored]
    # Flat positions are several times as fast as rows and columns.
    flat: Any = scores.reshape(-1) if scores.flags.c_contiguous else scores.flat
    flat[positions] = -np.inf
