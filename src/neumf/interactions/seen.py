"""Who has seen what, as a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.storage import MEMORY, Storage, type_of_places
from neumf.interactions.timeline import count_codes, user_blocks
from neumf.utils.arrays import Codes, Float32s, Scores

# Users whose items are joined with those before at once, where they are not in memory.
_JOINED_USERS = 2**14


def seen_matrix(
    users: Codes,
    items: Codes,
    shape: tuple[int, int],
    counted: NDArray[np.bool_] | None = None,
    storage: Storage = MEMORY,
) -> sp.csr_array:
    """Return the boolean users x items matrix of what was seen, each pair once.

    `counted` tells which rows count, None all; `storage` gives the room for the matrix.
    """
    indices, n_items = storage.growing(), shape[1]
    counts = np.zeros(shape[0], dtype=np.int64)
    blocks, piles = user_blocks(users, shape[0], storage)
    for block, part in zip(blocks, piles.parts(users, items, counted), strict=True):
        rows = slice(None) if part[2] is None else part[2]
        pairs = (part[0][rows].astype(np.int64) - block.start) * n_items + part[1][rows]
        pairs.sort()
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        of_users = pairs // n_items
        counts[block.start : block.stop] = np.bincount(of_users, minlength=len(block))
        indices.append((pairs - of_users * n_items).astype(type_of_places(max(len(users), *shape))))
    return _of_parts(indices.finish(), counts, shape[1], storage)


def _of_parts(
    indices: Codes, counts: NDArray[np.int64], n_items: int, storage: Storage
) -> sp.csr_array:
    """Return the matrix of these items, of so many of each user."""
    data = storage.empty(len(indices), bool)
    data[:] = True
    bounds = np.append(0, np.cumsum(counts)).astype(indices.dtype)
    return sp.csr_array((data, indices, bounds), shape=(len(counts), n_items))


def join_seen(
    before: sp.csr_array, codes: Codes, seen: sp.csr_array, storage: Storage = MEMORY
) -> sp.csr_array:
    """Return what users have seen, with what they had before, by their index there (-1: none).

    `seen` may have more items.
    """
    if storage.folder is None:
        return _sum_of(before, codes, seen)
    indices, counts = storage.growing(), []
    for start in range(0, len(codes), _JOINED_USERS):
        block = slice(start, start + _JOINED_USERS)
        joined = _sum_of(before, codes[block], seen[block])
        n_pairs = len(before.indices) + len(seen.indices)
        indices.append(joined.indices.astype(type_of_places(max(n_pairs, *seen.shape))))
        counts.append(np.diff(joined.indptr))
    return _of_parts(indices.finish(), np.concatenate(counts), seen.shape[1], storage)


def _sum_of(before: sp.csr_array, codes: Codes, seen: sp.csr_array) -> sp.csr_array:
    rows = seen_rows(before, codes)
    parts = (rows.data, rows.indices, rows.indptr)
    return sp.csr_array(sp.csr_array(parts, shape=seen.shape) + seen)


def count_users(seen: sp.csr_array) -> NDArray[np.int64]:
    """Return how many users have seen each item."""
    return count_codes(seen.indices, seen.shape[1])


def log_popularity(seen: sp.csr_array) -> Float32s:
    """Return the log of how many users have seen each item, and one more, relative to the mean.

    This is the best logit of an item, up to a constant, where nothing is known of the user.
    """
    counts = count_users(seen) + 1.0
    logs: Float32s = np.log(counts / counts.mean()).astype(np.float32)
    return logs


def seen_rows(seen: sp.csr_array, users: Codes) -> sp.csr_array:
    """Return the rows of the seen matrix, empty ones for unknown users (-1)."""
    if seen.shape[0] == 0:
        return sp.csr_array((len(users), seen.shape[1]), dtype=seen.dtype)
    rows = seen[np.maximum(users, 0)]
    if (users < 0).any():
        rows = sp.csr_array(rows.multiply((users >= 0)[:, None]))
        rows.eliminate_zeros()
    return rows


def stored_places(matrix: sp.csr_array) -> tuple[Codes, Codes]:
    """Return the row and the column of each stored value."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


def bar_seen(scores: Scores, seen: sp.csr_array, users: Codes) -> None:
    """Set the scores of what users, one per row, have seen to -inf; -1 has seen nothing."""
    ends = seen.indptr[users + 1]
    counts = np.where(users < 0, 0, ends - seen.indptr[users])
    stops = np.cumsum(counts)
    stored = np.repeat(ends - stops, counts)
    stored += np.arange(len(stored), dtype=stored.dtype)
    places = np.repeat(np.arange(len(users)) * scores.shape[1], counts)
    places += seen.indices[stored]
    # By places in one dimension: several times as fast as by rows and columns.
    flat: Any = scores.reshape(-1) if scores.flags.c_contiguous else scores.flat
    flat[places] = -np.inf
