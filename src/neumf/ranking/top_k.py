"""Find the k best items of each row of scores, block by block, and the scores of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from neumf.utils.arrays import Indices, Scores
from neumf.utils.threads import map_threads

# Scores of a block: few enough to stay in the processor's cache between operations.
_BLOCK_SIZE = 2**19
# Fewest rows of a block: smaller matrix products are slow. _MOST_SCORES may lower it.
_BLOCK_ROWS = 64
# Most scores of a block, unless a single row has more.
_MOST_SCORES = 2**23


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows, small enough that a block of scores fits in cache, or in memory."""
    n_columns = max(1, n_columns)
    step = max(1, min(max(_BLOCK_SIZE // n_columns, _BLOCK_ROWS), _MOST_SCORES // n_columns))
    for start in range(0, max(n_rows, 1), step):
        yield slice(start, min(start + step, n_rows))


def top_items(scores: Scores, k: int) -> tuple[Indices, Indices, Indices]:
    """Return rows, items and ranks of the k best items of each row, best first.

    Equal scores come in catalogue order. Items with a score of ``-inf`` are left out, which makes
    some lists shorter; NaN must not occur. Ranks count from 1.
    """
    n_items = scores.shape[1]
    if n_items == 0:
        nothing = np.array([], dtype=np.intp)
        return nothing, nothing, nothing
    bounds = np.maximum(_bounds_of_best(scores, min(k, n_items)), np.finfo(scores.dtype).min)
    # `flatnonzero` and `divmod` are several times as fast as `nonzero` of two dimensions.
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
    """Return a lower bound of the k-th best score of each row, near that score.

    Items are cut into groups. The bound is the k-th largest of the maxima of the groups.
    """
    n, n_items = scores.shape
    # Groups of about this size keep both parts of the work small: the selection among the maxima,
    # and the items besides the k best that reach the bound. There are at least k groups.
    size = max(1, math.isqrt(n_items // k))
    n_groups = n_items // size
    # A group holds every n_groups-th item, so that one reduction gives the maxima of all groups.
    whole = size * n_groups
    maxima = scores[:, :whole].reshape(n, size, n_groups).max(axis=1)
    rest = maxima[:, : n_items - whole]
    np.maximum(rest, scores[:, whole:], out=rest)
    maxima.partition(n_groups - k, axis=1)
    bounds: Scores = maxima[:, n_groups - k]
    return bounds


def top_lists(
    n_rows: int,
    n_items: int,
    k: int,
    score: Callable[[slice], Scores],
    pinned: Indices | None = None,
) -> tuple[Indices, Indices, Scores, Indices]:
    """Return rows, items, scores and ranks of the k best items of each row.

    `score` computes the scores of a block of rows; several threads call it at once. The items
    `pinned`, without repeats, come first, in their order, where their score is not -inf.
    """
    first = np.empty(0, np.intp) if pinned is None else pinned

    def list_block(block: slice) -> tuple[Indices, Indices, Scores]:
        scores = score(block)
        rows, items, _ = top_items(_raised(scores, first) if len(first) else scores, k)
        return np.bincount(rows, minlength=len(scores)), items.astype(np.int32), scores[rows, items]

    lists = map_threads(list_block, blocks(n_rows, n_items))
    # Blocks return counts instead of rows and ranks, to save memory.
    counts, items, values = (np.concatenate(part) for part in zip(*lists, strict=True))
    rows = np.repeat(np.arange(len(counts)), counts)
    ranks = np.arange(1, len(rows) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, items, values, ranks


def _raised(scores: Scores, first: Indices) -> Scores:
    """Return a copy in which these items have the highest scores, in this order, except -inf."""
    raised, own = scores.copy(), scores[:, first]
    # The largest numbers of the dtype, in falling order.
    limits = np.finfo(scores.dtype)
    highest = limits.max * (1 - limits.eps * np.arange(len(first), dtype=scores.dtype))
    raised[:, first] = np.where(own == -np.inf, own, highest)
    return raised


def candidate_scores(
    score_items: Callable[[Indices], Scores], n_items: int, users: Indices, items: Indices
) -> Scores:
    """Pick the scores of candidates, shape (n, n_candidates), from the scores of all items.

    For rankers that need as long for a few items as for all. `score_items` takes n indices of
    users and returns scores of shape (n, n_items). A user of several rows is scored once.
    """
    distinct, inverse = np.unique(users, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(distinct) + 1))
    scores = np.empty(items.shape)
    for block in blocks(len(distinct), n_items):
        rows = order[bounds[block.start] : bounds[block.stop]]
        all_scores = score_items(distinct[block])
        scores[rows] = all_scores[(inverse[rows] - block.start)[:, None], items[rows]]
    return scores
