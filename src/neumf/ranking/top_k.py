"""Scores to lists: the best k items of each row, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from neumf.utils.arrays import Codes, Scores
from neumf.utils.threads import map_threads

# Scores that are held at once by a thread: so many that what is done to them one after the other
# finds them in the processor's cache, but enough rows for a product of matrices.
_BLOCK_SIZE = 2**19


_BLOCK_ROWS = 64


# Scores that a thread holds at most, unless one row has more.
_MOST_SCORES = 2**23


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Cut rows so that a block of n_columns scores each fits in cache, or at least in memory."""
    n_columns = max(1, n_columns)
    step = max(1, min(max(_BLOCK_SIZE // n_columns, _BLOCK_ROWS), _MOST_SCORES // n_columns))
    for start in range(0, max(n_rows, 1), step):
        yield slice(start, min(start + step, n_rows))


def top_items(scores: Scores, k: int) -> tuple[Codes, Codes, Codes]:
    """Return the k best items of each row, best first, equal scores in catalogue order.

    Parameters
    ----------
    scores : ndarray of shape (n, n_items)
        ``-inf`` is never returned; NaN must not occur.
    k : int
        Length of the lists; rows with fewer finite scores have shorter ones.

    Returns
    -------
    rows, items, ranks : ndarray of shape (at most n * k,)
        Ranks count from 1.
    """
    n_items = scores.shape[1]
    if n_items == 0:
        nothing = np.array([], dtype=np.intp)
        return nothing, nothing, nothing
    bounds = np.maximum(_bounds_of_best(scores, min(k, n_items)), np.finfo(scores.dtype).min)
    # Of one dimension `flatnonzero` is several times as fast as `nonzero` of two.
    rows, items = np.divmod(np.flatnonzero(scores >= bounds[:, None]), n_items)
    # One sort by row, then by score downward: complex numbers are compared by both their parts.
    # It is stable, so that catalogue order decides among equal scores.
    keys = np.empty(len(rows), dtype=np.complex128)
    keys.real, keys.imag = rows, -scores[rows, items]
    order = np.argsort(keys, kind="stable")
    rows, items = rows[order], items[order]
    counts = np.bincount(rows, minlength=len(scores))
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    kept = ranks <= k
    return rows[kept], items[kept], ranks[kept]


def _bounds_of_best(scores: Scores, k: int) -> Scores:
    """Return a score for each row that at least k items reach, and few others.

    Items are put into groups. The k-th best of the maxima of groups is reached by an item of k
    groups: the k best items reach it too.
    """
    n, n_items = scores.shape
    # The work is one pass over the items, and a choice among the groups. Near this size few items
    # beside the k best pass the bound, and there are k groups.
    size = max(1, math.isqrt(n_items // k))
    n_groups = n_items // size
    # A group holds every n_groups-th item: so the maxima of all are taken side by side.
    whole = size * n_groups
    maxima = scores[:, :whole].reshape(n, size, n_groups).max(axis=1)
    rest = maxima[:, : n_items - whole]
    np.maximum(rest, scores[:, whole:], out=rest)
    maxima.partition(n_groups - k, axis=1)
    bounds: Scores = maxima[:, n_groups - k]
    return bounds


def top_lists(
    n_rows: int, n_items: int, k: int, score: Callable[[slice], Scores]
) -> tuple[Codes, Codes, Scores, Codes]:
    """Return rows, items, scores and ranks of the k best items, scoring a block at a time.

    `score` is called from several threads at once.
    """

    def list_block(block: slice) -> tuple[Codes, Codes, Scores]:
        scores = score(block)
        rows, items, _ = top_items(scores, k)
        return np.bincount(rows, minlength=len(scores)), items.astype(np.int32), scores[rows, items]

    lists = map_threads(list_block, blocks(n_rows, n_items))
    # A count for each row, and what follows from it at the end, take the least memory on the way.
    counts, items, values = (np.concatenate(part) for part in zip(*lists, strict=True))
    rows = np.repeat(np.arange(len(counts)), counts)
    ranks = np.arange(1, len(rows) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, items, values, ranks
