"""Weighted alternating least squares: solve for users and for items in turn.

With the confidence c_ui of a pair (the weight of its rows) and a small weight a_0 of every pair,
the vectors p_u of users and q_i of items minimise::

    sum_ui c_ui (1 - p_u . q_i)^2  +  a_0 sum_ui (p_u . q_i)^2
        + sum_u l_u |p_u - m_u|^2  +  sum_i l_i |q_i - m_i|^2

where l is the penalty of a vector and m its centre. Given all q, each p_u solves::

    (a_0 sum_i q_i q_i'  +  sum_i c_ui q_i q_i'  +  l_u I) p_u  =  sum_i c_ui q_i  +  l_u m_u

The first sum is the same for all users. In the basis where it is diagonal, it and the penalty make
up most of the matrix. Preconditioned by them, a few steps of conjugate gradients are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.user_items import UserItems
from neumf.saving.checked_values import CheckedValues
from neumf.training.centres import Centres, SideCentres
from neumf.utils.arrays import Float32s, Float64s, Indices
from neumf.utils.threads import one_blas_thread

# Number of float32 values in a block, so that repeatedly read vectors stay in the cache.
_BLOCK_SIZE = 2**18

# Rows with more columns are solved separately, part by part.
_LONG = 2**15

# The penalty of a vector grows with this power of its number of rows.
_EXPONENT = 0.75

# Number of steps in an iteration, and maximum number of steps for a solution.
_STEPS_OF_TURN = 2
_MOST_STEPS = 200

# Steps end when the squared preconditioned residual is this small, relative to vectors of 0.
_TOLERANCE = 1e-11

# Avoids a division by 0 for vectors that are already solved.
_TINY = np.float32(1e-30)


class Block(NamedTuple):
    """Rows of a sparse matrix with similar numbers of values, padded with weights of 0."""

    rows: Indices  # shape (n,)
    columns: Indices  # shape (n, longest)
    weights: Float32s  # shape (n, longest)


class Start(NamedTuple):
    """The initial vectors of a solution, and the centres of their penalty (None: 0)."""

    vectors: Float32s
    centres: Float32s | None = None

    def map(self, function: Callable[[Float32s], Float32s]) -> Start:
        """Apply a function to vectors and centres."""
        centres = None if self.centres is None else function(self.centres)
        return Start(function(self.vectors), centres)

    def task(self, side: Side, block: Block) -> Task:
        """Return a block with the penalties and initial vectors of its rows."""
        penalties = side.penalties[block.rows, None]  # shape (n, 1)
        return block, penalties, self.map(lambda vectors: vectors[block.rows])


Task = tuple[Block, Float32s, Start]


@dataclass(frozen=True)
class Side:
    """The equations of all users, or of all items."""

    blocks: list[Block]  # of confidences
    penalties: Float32s  # of each vector
    features: Centres | None = None

    @classmethod
    def of(
        cls, pairs: sp.csr_array, penalties: Float64s, width: int, features: Centres | None = None
    ) -> Self:
        """Cut the rows of a matrix of confidences into blocks, for vectors of this width."""
        return cls(list(_blocks(pairs, width)), penalties.astype(np.float32), features)

    def start(self, vectors: Float32s) -> Start:
        """Start at these vectors, with centres that features predict."""
        return Start(vectors, None if self.features is None else self.features.of(vectors))


@dataclass(frozen=True)
class Basis:
    """The vectors of the other side, in the basis where sum_i q_i q_i' is diagonal."""

    vectors: Float32s  # in this basis
    diagonal: Float32s  # of a_0 sum_i q_i q_i'
    axes: Float32s

    @classmethod
    def of(
        cls, vectors: Float32s, unobserved: float, counted: NDArray[np.bool_] | None = None
    ) -> Self:
        """Transform vectors; `unobserved` is a_0, the weight of pairs with `counted` vectors."""
        gram = np.zeros((vectors.shape[1],) * 2)
        with one_blas_thread():
            for start in range(0, len(vectors), _LONG):
                part = vectors[start : start + _LONG].astype(np.float64)
                if counted is not None:
                    part = part[counted[start : start + _LONG]]
                gram += part.T @ part
            values, axes = np.linalg.eigh(gram)
            axes = axes.astype(np.float32)
            diagonal = (unobserved * np.maximum(values, 0)).astype(np.float32)
            return cls(vectors @ axes, diagonal, axes)

    def solve(
        self, side: Side, start: Start, parallel: Parallel, n_steps: int = _MOST_STEPS
    ) -> Float32s:
        """Return the vectors after at most `n_steps` towards the solution, given the other side."""
        n_tasks = 4 * effective_n_jobs(parallel.n_jobs)
        dealt = [side.blocks[i::n_tasks] for i in range(n_tasks)]
        with one_blas_thread():
            start = start.map(lambda vectors: vectors @ self.axes)
            solved = np.zeros_like(start.vectors)
            tasks = (
                delayed(_solve_blocks)(self, [start.task(side, block) for block in part], n_steps)
                for part in dealt
            )
            for part, results in zip(dealt, parallel(tasks), strict=True):
                for block, vectors in zip(part, results, strict=True):
                    solved[block.rows] = vectors
            return solved @ self.axes.T


@dataclass(frozen=True)
class Confidences:
    """The data that alternating least squares learns from."""

    pairs: sp.csr_array  # the confidence of each pair of user and item that has rows
    counts: tuple[Float64s, Float64s]  # the sum of `sample_weight` of each user, and of each item
    scale: float  # the mean of `sample_weight`, which divides the objective
    mean_weight: float  # the mean weight of rows, recency included, which divides the weights
    features: SideCentres

    @classmethod
    def of_rows(cls, rows: EncodedRows, recency: float, feature_penalty: float) -> Self:
        """Weight the positives by recency and by `sample_weight`."""
        past, order = rows.user_items
        weights: Float64s = np.ones(len(order))
        if rows.weights is not None:
            weights = rows.weights[order].astype(np.float64)
        if not weights.any():
            raise ValueError(
                "X must have a row with a label above 0 and a weight above 0: least squares learn "
                f"only from such rows. Received n_samples={len(rows.users)} without such a row. "
                "Check y and sample_weight."
            )
        scale = float(weights.mean())
        users: Any = np.bincount(past.users, weights, rows.shape[0])
        items: Any = np.bincount(past.items, weights, rows.shape[1])
        weights *= past.recency_weights(recency)
        mean = float(weights.mean())
        features = (
            None if of_side is None else Centres(of_side, counts, feature_penalty)
            for of_side, counts in ((rows.user_features, users), (rows.item_features, items))
        )
        pairs = past.sum_weights(weights / mean, rows.shape[1])
        return cls(pairs, (users, items), scale, mean, SideCentres(*features))

    def unobserved(self, weight: float) -> float:
        """Return a_0, so that all pairs together weigh `weight` times as much as the rows."""
        n_users, n_items = map(np.count_nonzero, self.counts)
        return weight * float(self.pairs.sum()) / (n_users * n_items)


@dataclass(frozen=True)
class Penalty:
    """The penalty of the vectors of users, or of items, by their numbers of rows."""

    regularization: float
    offset: float  # the unobserved pairs count as this number of rows

    def of(self, counts: Any) -> Float64s:
        """Return the penalty of each vector."""
        penalties: Float64s = self.regularization * (counts + self.offset) ** _EXPONENT
        return penalties


class Factors(NamedTuple):
    """The vectors of users and items, and the centres of the users' penalty."""

    users: Float32s
    items: Float32s
    centres: Float32s | None


@dataclass(frozen=True)
class LeastSquares:
    """The settings of alternating least squares."""

    n_factors: int
    regularization: float
    unobserved_weight: float = 8.0
    n_iter: int = 8

    def penalties(self, data: Confidences) -> list[Penalty]:
        """Return the penalty of users, and of items."""
        means = [float(counts.sum()) / np.count_nonzero(counts) for counts in data.counts]
        regularization = self.regularization / data.scale
        return [Penalty(regularization, self.unobserved_weight * mean) for mean in means]

    def fit(self, data: Confidences, rng: np.random.Generator, n_jobs: int | None) -> Factors:
        """Solve users and items in turn, in threads or by the configured joblib back end."""
        with Parallel(n_jobs=n_jobs, prefer="threads") as parallel:
            return self._fit(data, rng, parallel)

    def fold_in(self, data: Confidences, factors: Factors, recency: float) -> FoldIn:
        """Return the solver for vectors of new users and rows."""
        unobserved = data.unobserved(self.unobserved_weight)
        penalty = self.penalties(data)[0]
        return FoldIn(recency, data.mean_weight, unobserved, penalty, factors.centres)

    def _fit(self, data: Confidences, rng: np.random.Generator, parallel: Parallel) -> Factors:
        matrices = data.pairs, sp.csr_array(data.pairs.T)
        users, items = (
            Side.of(matrix, penalty.of(counts), self.n_factors, features)
            for matrix, penalty, counts, features in zip(
                matrices, self.penalties(data), data.counts, data.features, strict=True
            )
        )
        n_users, n_items = map(len, data.counts)
        scale = 0.1 / np.sqrt(self.n_factors)
        of_items = rng.normal(scale=scale, size=(n_items, self.n_factors)).astype(np.float32)
        of_items[data.counts[1] == 0] = 0  # cold items do not count as negatives
        of_users = np.zeros((n_users, self.n_factors), np.float32)
        unobserved = data.unobserved(self.unobserved_weight)
        for turn in range(self.n_iter):
            if turn > 0:
                basis = Basis.of(of_users, unobserved)
                of_items = basis.solve(items, items.start(of_items), parallel, _STEPS_OF_TURN)
            basis = Basis.of(of_items, unobserved)
            of_users = basis.solve(users, users.start(of_users), parallel, _STEPS_OF_TURN)
        start = users.start(of_users)
        of_users = basis.solve(users, start, parallel)
        for vectors, features in zip((of_users, of_items), data.features, strict=True):
            if features is not None:
                features.fill_cold(vectors, self.n_factors)
        return Factors(of_users, of_items, start.centres)


@dataclass(frozen=True)
class FoldIn:
    """The solver for users' vectors after `fit`, given the items' vectors."""

    recency: float
    mean_weight: float  # of the rows of `fit`
    unobserved: float
    penalty: Penalty
    centres: Float32s | None  # of the users of `fit`

    @classmethod
    def restore(cls, state: CheckedValues, shape: tuple[int, int]) -> Self:
        """Read the solver from a file, for users' vectors of this shape."""
        offset = state.number("offset", above=-1)
        penalty = Penalty(state.number("regularization", above=0), offset)
        recency, unobserved = (state.number(name, above=-1) for name in ("recency", "unobserved"))
        centres = state.float32s("centres", shape) if state.has("centres") else None
        return cls(recency, state.number("mean_weight", above=0), unobserved, penalty, centres)

    def state(self) -> dict[str, Any]:
        """Return the values for a file, by name."""
        values = vars(self) | vars(self.penalty)
        return {name: value for name, value in values.items() if name != "penalty"}

    def take(self, indices: Indices) -> Self:
        """Return the solver for these users; the index of a new user is -1."""
        if self.centres is None:
            return self
        known = indices[:, None] >= 0
        return replace(self, centres=np.where(known, self.centres[indices], np.float32(0)))

    def solve(self, past: UserItems, items: Float32s, counted: NDArray[np.bool_]) -> Float32s:
        """Return the vectors of users with these items; only `counted` items are negatives."""
        weights = past.recency_weights(self.recency) / self.mean_weight
        pairs = past.sum_weights(weights, len(items))
        side = Side.of(pairs, self.penalty.of(np.diff(past.bounds)), items.shape[1])
        zeros = np.zeros((pairs.shape[0], items.shape[1]), np.float32)
        basis, start = Basis.of(items, self.unobserved, counted), Start(zeros, self.centres)
        return basis.solve(side, start, Parallel(n_jobs=1))


def _blocks(matrix: sp.csr_array, width: int) -> Iterator[Block]:
    """Yield blocks of all rows that have values, shortest rows first."""
    counts = np.diff(matrix.indptr)
    order = np.argsort(counts, kind="stable")
    counts = counts[order]
    start = int(np.searchsorted(counts, 1))
    while start < len(order):
        most = counts[start] + counts[start] // 8
        size = max(1, _BLOCK_SIZE // (int(most) * width))
        end = min(start + size, int(np.searchsorted(counts, most, side="right")))
        rows, longest = order[start:end], counts[end - 1]
        inside = np.arange(longest) < counts[start:end, None]
        positions = matrix.indptr[rows][:, None] + np.where(inside, np.arange(longest), 0)
        weights = np.where(inside, matrix.data[positions], np.float32(0))
        yield Block(rows, matrix.indices[positions], weights)
        start = end


def _solve_blocks(basis: Basis, tasks: list[Task], n_steps: int) -> list[Float32s]:
    """Return the vectors of each block."""
    # Each process has its own BLAS. OpenBLAS may set the flag "invalid" for finite products.
    with one_blas_thread(), np.errstate(invalid="ignore"):
        return [
            _solve_long(basis, task)
            if task[0].columns.shape[1] > _LONG
            else _solve_block(basis, task, n_steps)
            for task in tasks
        ]


def _solve_block(basis: Basis, task: Task, n_steps: int) -> Float32s:
    """Take up to `n_steps` of conjugate gradients for all vectors of the block."""
    block, penalties, start = task
    others = basis.vectors.take(block.columns, axis=0)
    turned, weights = others.transpose(0, 2, 1), block.weights[:, :, None]
    diagonal = basis.diagonal + penalties

    def apply(vectors: Float32s) -> Float32s:
        products: Float32s = (turned @ (weights * (others @ vectors[:, :, None])))[:, :, 0]
        return products + diagonal * vectors

    wanted = (turned @ weights)[:, :, 0]
    if start.centres is not None:
        wanted += penalties * start.centres
    vectors = start.vectors
    residuals = wanted - apply(vectors)
    enough = _TOLERANCE * _row_sums(wanted * wanted / diagonal)
    preconditioned = residuals / diagonal
    directions, norms = preconditioned, _row_sums(residuals * preconditioned)
    for _ in range(n_steps):
        if (norms <= enough).all():
            break
        images = apply(directions)
        lengths: Any = norms / np.maximum(_row_sums(directions * images), _TINY)
        vectors = vectors + lengths * directions
        residuals -= lengths * images
        preconditioned = residuals / diagonal
        before, norms = norms, _row_sums(residuals * preconditioned)
        shares: Any = norms / np.maximum(before, _TINY)
        directions = preconditioned + shares * directions
    return vectors


def _solve_long(basis: Basis, task: Task) -> Float32s:
    """Solve rows with very many columns directly, with a part of their vectors in memory."""
    block, penalties, start = task
    vectors = np.empty_like(start.vectors)
    for row, (columns, weights) in enumerate(zip(block.columns, block.weights, strict=True)):
        matrix = np.diag((basis.diagonal + penalties[row]).astype(np.float64))
        wanted = np.zeros(len(matrix))
        if start.centres is not None:
            wanted += penalties[row] * start.centres[row]
        for begin in range(0, len(columns), _LONG):
            part = basis.vectors.take(columns[begin : begin + _LONG], axis=0)
            weighted = part * weights[begin : begin + _LONG, None]
            matrix += weighted.T @ part
            wanted += weighted.sum(axis=0)
        vectors[row] = np.linalg.solve(matrix, wanted)
    return vectors


def _row_sums(values: NDArray[Any]) -> Float32s:
    sums: Float32s = values.sum(axis=1, keepdims=True)
    return sums
