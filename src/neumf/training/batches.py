"""Cut rows into batches, and draw negatives for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from neumf.interactions.histories import Histories
from neumf.interactions.unseen import UnseenItems, all_items, unseen_items_of
from neumf.model.user_tower import UserTower
from neumf.training.centres import SideCentres
from neumf.utils.arrays import Float32s, Indices

# Number of rows per call of the compiled program: enough to spread the cost of a call, few enough
# to keep the memory of negatives small.
_CHUNK_ROWS = 2**15

# The smallest sizes of a chunk, so that all small updates share compiled code.
_LEAST_ROWS = 64
_LEAST_BATCHES = 16

# Number of consecutive rows that share the items of their histories. With 16, fewer rows are
# gathered, but NDCG@10 falls by 1 to 3 %.
_RUN_LENGTH = 8


@dataclass(frozen=True)
class Negatives:
    """The distribution from which negatives are drawn."""

    # The items that may be drawn: by user, by the row's item (with histories), or for all rows.
    unseen: UnseenItems
    drawn_for: Indices  # each row's index into `unseen`: its user, its item, or 0
    shares: Float32s | None = None  # the probability of each item, if it is the same for all rows

    @classmethod
    def of_catalogue(
        cls, n_rows: int, n_items: int, weights: NDArray[np.int64] | None = None
    ) -> Negatives:
        """Draw from all items, in proportion to their weights; None means equal weights."""
        counts = np.ones(n_items) if weights is None else weights
        shares = (counts / counts.sum()).astype(np.float32)
        return cls(all_items(n_items, weights), np.zeros(n_rows, np.int32), shares)


class Degrees(NamedTuple):
    """The number of items of each user, shape (n_users,), and of users of each item (n_items,)."""

    users: Indices
    items: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingRows:
    """The rows of an epoch as arrays of shape (n_rows,), and the settings of the penalty."""

    users: Indices
    items: Indices
    labels: Float32s | None = None  # in [0, 1]; None means 1
    weights: Float32s | None = None  # of each row and the negatives drawn for it; None means 1
    negatives: Negatives | None = None  # None: without negatives
    histories: Histories | None = None  # of each row, if the user tower reads them
    degrees: Degrees | None = None  # divide the penalty of each vector; None means 1
    centres: SideCentres | None = None  # the targets of the penalty; None means 0

    def __len__(self) -> int:
        return len(self.users)


class BatchSizes(NamedTuple):
    """The sizes of a chunk: batches, rows per batch, negatives per row, and rows per run."""

    n_batches: int
    n_rows: int
    n_drawn: int
    run_length: int = 1

    @classmethod
    def of_rows(cls, rows: TrainingRows, batch_size: int, n_negatives: int) -> BatchSizes:
        """Return sizes so that `batch_size` counts positives and negatives, as in the paper."""
        n_drawn = n_negatives if rows.negatives is not None else 0
        full = max(1, batch_size // (1 + n_drawn))
        shares = rows.histories is not None and rows.histories.are_complete
        run_length = _RUN_LENGTH if shares and full >= _RUN_LENGTH else 1
        full -= full % run_length
        n_rows = min(full, max(_LEAST_ROWS, round_up(len(rows))))
        n_batches = max(_LEAST_BATCHES, round_up(math.ceil(len(rows) / n_rows)))
        return cls(
            min(n_batches, round_up(max(1, _CHUNK_ROWS // n_rows))), n_rows, n_drawn, run_length
        )


def round_up(n: int) -> int:
    """Return the smallest power of two >= n, so that similar sizes share compiled code."""
    return 1 << (n - 1).bit_length()


class Chunk(NamedTuple):
    """Rows to train on, batch by batch, as arrays or tensors; the first `n_rows` count."""

    # Into each table, shape (n_batches, batch_rows, n_per_row), see `UserTower.indices`.
    indices: dict[str, Any]
    labels: Any  # shape (n_batches, batch_rows)
    weights: Any
    n_rows: Any
    seed: Any  # of dropout


def new_order(rows: TrainingRows, run_length: int, rng: Generator) -> Indices:
    """Return the indices of all rows in random order, in runs of consecutive rows of users.

    The first run starts at a random row. The last run is shorter unless runs divide the rows.
    """
    n_rows = len(rows)
    order: Indices = np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)
    if run_length == 1 or rows.histories is None:
        rng.shuffle(order)
        return order
    order = np.roll(rows.histories.by_user(order), rng.integers(run_length))
    n_in_runs = n_rows - n_rows % run_length
    rng.shuffle(order[:n_in_runs].reshape(-1, run_length))
    return order


def chunks_of(
    rows: TrainingRows, order: Indices, tower: UserTower, sizes: BatchSizes, rng: Generator
) -> Iterator[Chunk]:
    """Yield the rows in this order, with new negatives."""
    step = sizes.n_batches * sizes.n_rows
    for start in range(0, len(order), step):
        yield make_chunk(rows, order[start : start + step], tower, sizes, rng)


def make_chunk(
    rows: TrainingRows, order: Indices, tower: UserTower, sizes: BatchSizes, rng: Generator
) -> Chunk:
    """Return the chunk of these rows, with new negatives.

    The last row pads the chunk, so that an incomplete batch uses no other rows.
    """
    n_rows, batches = len(order), (sizes.n_batches, sizes.n_rows)
    draws = rng.random((n_rows, sizes.n_drawn))
    seed = rng.integers(2**30, size=2, dtype=np.int32)
    order = np.pad(order, (0, math.prod(batches) - n_rows), mode="edge")
    users, items = (c[order].astype(np.int32, copy=False) for c in (rows.users, rows.items))
    candidates = np.repeat(items[:, None], 1 + sizes.n_drawn, axis=1)
    if rows.negatives is not None:
        drawn_for, unseen = rows.negatives.drawn_for[order[:n_rows]], rows.negatives.unseen
        candidates[:n_rows, 1:] = unseen_items_of(drawn_for, draws, unseen)
    labels, weights = (
        np.ones(len(order), np.float32) if column is None else column[order]
        for column in (rows.labels, rows.weights)
    )
    weights[n_rows:] = 0
    histories = None if rows.histories is None else rows.histories.before(order)
    indices = tower.indices(users, histories, sizes.run_length) | {"items": candidates}
    return Chunk(
        {
            name: index.reshape(sizes.n_batches, -1, index.shape[1])
            for name, index in indices.items()
        },
        labels.reshape(batches),
        weights.reshape(batches),
        np.int32(n_rows),
        seed,
    )
