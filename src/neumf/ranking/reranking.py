"""Choose the items of lists: the best ones, unlike each other, within limits of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.protocols import Ranker
from neumf.ranking.group_limits import GroupLimits
from neumf.ranking.top_k import blocks, top_items
from neumf.utils.arrays import Float64s, Indices, Scores

# `GroupLimits.fits` of an item that breaks no rule, and of one that exceeds a cap.
_FITS, _IS_WANTED = 3, 2

Vectors = NDArray[Any] | sp.csr_array


@dataclass(frozen=True)
class RerankingRanker:
    """Score items by another ranker, and re-rank the scores of a list."""

    ranker: Ranker
    diversity: float
    n_candidates: int
    vectors: Vectors | None  # of length 1; None if there is no diversity
    limits: GroupLimits | None

    def score_items(self, users: Indices) -> Scores:
        """Return the scores of the other ranker."""
        return self.ranker.score_items(users)

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return the scores of the other ranker."""
        return self.ranker.score_candidates(users, items)

    def rerank(self, scores: Scores, items: Indices, k: int) -> Scores:
        """Move the k items of each list to the top, see :class:`neumf.protocols.ListRanker`."""
        if scores.size == 0 or (self.vectors is None and self.limits is None):
            return scores
        items, ranked = np.broadcast_to(items, scores.shape), scores.astype(np.float64)
        n_candidates = min(max(k, self.n_candidates), scores.shape[1])
        width = self.vectors.shape[1] if isinstance(self.vectors, np.ndarray) else 1
        for block in blocks(len(scores), n_candidates * width):
            lists = _Lists(self, ranked[block], items[block], n_candidates)
            _put_first(ranked[block], lists.choose(min(k, scores.shape[1])))
        return ranked


class _Lists:
    """A block of lists, to which items are added one by one.

    The arrays have a row for each list. `pool` holds the columns of its best candidates.
    """

    def __init__(
        self, rules: RerankingRanker, scores: Scores, items: Indices, n_candidates: int
    ) -> None:
        self.rules, self.items = rules, items
        self.left = scores.copy()  # -inf for items that cannot be chosen any more
        self.is_candidate = scores > -np.inf
        self.rows = np.arange(len(scores))
        rows, columns, ranks = top_items(scores, n_candidates)
        self.pool = np.zeros((len(scores), n_candidates), dtype=np.intp)
        self.pool[rows, ranks - 1] = columns
        self.pool_items = items[self.rows[:, None], self.pool]
        self.relevance = 1 / np.log2(np.arange(n_candidates) + 2)
        self.similarity = np.zeros(self.pool.shape)  # the sum over chosen items
        if rules.vectors is not None:
            self.vectors: Any = rules.vectors[self.pool_items.ravel()]
        if rules.limits is not None:
            self.floors = rules.limits.reachable_floors(items, self.is_candidate)
            self.counts = np.zeros(self.floors.shape, dtype=np.intp)
            self.is_full = np.zeros(len(scores), dtype=bool)  # all candidates exceed a cap

    def choose(self, k: int) -> NDArray[np.bool_]:
        """Choose k items for each list; return the mask of chosen columns."""
        for size in range(k):
            columns = self._best_columns(self._values(size), k - size)
            found = self.left[self.rows, columns] > -np.inf
            self._add(self.rows[found], columns[found])
            if self.rules.vectors is not None:
                self.similarity += self._similarity_to(self.items[self.rows, columns])
        chosen: NDArray[np.bool_] = self.is_candidate & (self.left == -np.inf)
        return chosen

    def _values(self, size: int) -> Float64s:
        """Return the marginal relevance of the pool's items; `size` items are chosen."""
        share = self.rules.diversity
        values: Float64s = (1 - share) * self.relevance - share / max(size, 1) * self.similarity
        values[self.left[self.rows[:, None], self.pool] == -np.inf] = -np.inf
        return values

    def _best_columns(self, values: Float64s, n_left: int) -> Indices:
        """Return the next column of each list; `n_left` columns, with this one, are missing."""
        limits = self.rules.limits
        columns: Indices
        if limits is None:
            columns = self.pool[self.rows, values.argmax(axis=1)]
            return columns
        missing = np.maximum(self.floors - self.counts, 0)
        # Only items of groups below their floor are wanted once these fill the rest of the list.
        wanted = (missing > 0) | (missing.sum(axis=1, keepdims=True) < n_left)
        below_cap = self.counts < limits.caps
        best, fit = _best(values, limits.fits(self.pool_items, wanted, below_cap))
        columns = self.pool[self.rows, best]
        for row in np.flatnonzero((fit < _FITS) & ~(self.is_full & (fit == _IS_WANTED))):
            # The pool has no item that fits: look among all candidates.
            one = slice(row, row + 1)
            fits = limits.fits(self.items[one], wanted[one], below_cap[one])
            other, other_fit = _best(self.left[one], fits)
            if other_fit[0] > fit[row]:
                columns[row] = other[0]
            self.is_full[row] |= other_fit[0] == _IS_WANTED and wanted[row].all()
        return columns

    def _add(self, rows: Indices, columns: Indices) -> None:
        self.left[rows, columns] = -np.inf
        if self.rules.limits is not None:
            groups = self.rules.limits.groups[self.items[rows, columns]]
            self.counts[rows[:, None], groups] += 1

    def _similarity_to(self, items: Indices) -> Float64s:
        """Return the cosines between the pool and one item of each list."""
        vectors: Any = self.rules.vectors
        n, n_candidates = self.pool.shape
        if isinstance(vectors, sp.csr_array):
            products = self.vectors.multiply(vectors[np.repeat(items, n_candidates)])
            similarity: Float64s = products.sum(axis=1).reshape(n, n_candidates)
        else:
            # Not a matrix product: several threads that call BLAS for small ones are slow.
            of_pool = self.vectors.reshape(n, n_candidates, -1)
            similarity = np.einsum("npd,nd->np", of_pool, vectors[items])
        return similarity


def _best(values: Scores, fits: Indices) -> tuple[Indices, Indices]:
    """Return the column with the highest value among those that fit best, and how it fits.

    Columns with the value -inf do not fit at all: -1.
    """
    fits = np.where(values > -np.inf, fits, -1)
    best = fits.max(axis=1)
    return np.where(fits == best[:, None], values, -np.inf).argmax(axis=1), best


def _put_first(scores: Scores, chosen: NDArray[np.bool_]) -> None:
    """Lower the scores of all other columns, by one number per row, below the chosen ones."""
    lowest = np.where(chosen, scores, np.inf).min(axis=1)
    highest = np.where(chosen, -np.inf, scores).max(axis=1)
    shift = np.where(highest >= lowest, highest - lowest + 1, 0)
    scores -= np.where(chosen, 0, shift[:, None])
