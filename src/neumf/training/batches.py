"""Rows to train on, cut into batches that are filled with negatives."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.histories import Histories
from neumf.interactions.storage import MEMORY, Piles, Storage, type_of_places
from neumf.interactions.unseen import UnseenItems, unseen_items_of
from neumf.model.user_tower import UserTower
from neumf.training.centres import SideCentres
from neumf.utils.arrays import Codes, Float32s, Float64s
from neumf.utils.time_gaps import HistoryInputs

# Rows that one call of the compiled program trains on: so many that the cost of the call does not
# count, so few that their negatives take little memory.
_CHUNK_ROWS = 2**15

# Rows that are shuffled at once: swapping those that lie far apart is slow, and on a disk hopeless.
_PILE_ROWS = 2**24

# Items of rows that are looked up at once where they are in files: 0.3 GB of them and their lots.
_LOOKED_UP = 2**25

# The smallest sizes of a chunk: all small updates share compiled code.
_LEAST_ROWS = 64
_LEAST_BATCHES = 16


@dataclass(frozen=True)
class Negatives:
    """From what the negatives of each row are drawn.

    Attributes
    ----------
    unseen : UnseenItems
        The items that may be drawn for each user, or, with histories, for each item.
    drawn_for : ndarray of shape (n_rows,)
        The index into `unseen`: the row's user, or, with histories, the row's item.
    """

    unseen: UnseenItems
    drawn_for: Codes


class Degrees(NamedTuple):
    """The number of items of each user, shape (n_users,), and of users of each item (n_items,)."""

    users: Codes
    items: NDArray[np.int64]


@dataclass(frozen=True)
class TrainingRows:
    """The rows of an epoch, and what else the penalty needs.

    Attributes
    ----------
    users, items : ndarray of shape (n_rows,)
        Indices.
    labels : ndarray of shape (n_rows,) or None
        In [0, 1]; None means 1 each.
    weights : ndarray of shape (n_rows,) or None
        Weight of each row, and of the negatives drawn for it; None means 1 each.
    negatives : Negatives or None
        Where negatives come from; None draws none.
    histories : Histories or None
        The history of each row, if the user tower reads it.
    degrees : Degrees or None
        The divisors of the penalty of each vector; None means 1.
    centres : SideCentres or None
        The points that the penalty pulls vectors towards; None means 0.
    storage : Storage
        Where the order of an epoch is.
    """

    users: Codes
    items: Codes
    labels: Float32s | None = None
    weights: Float32s | None = None
    negatives: Negatives | None = None
    histories: Histories | None = None
    degrees: Degrees | None = None
    centres: SideCentres | None = None
    storage: Storage = MEMORY

    def __len__(self) -> int:
        return len(self.users)


class BatchSizes(NamedTuple):
    """The sizes of a chunk: its batches, the rows of each, and the negatives of each row."""

    n_batches: int
    n_rows: int
    n_drawn: int

    @classmethod
    def of_rows(cls, rows: TrainingRows, batch_size: int, n_negatives: int) -> BatchSizes:
        """Count positives and negatives together as the batch size, as in the paper."""
        n_drawn = n_negatives if rows.negatives is not None else 0
        full = max(1, batch_size // (1 + n_drawn))
        n_rows = min(full, max(_LEAST_ROWS, round_up(len(rows))))
        n_batches = max(_LEAST_BATCHES, round_up(math.ceil(len(rows) / n_rows)))
        return cls(min(n_batches, round_up(max(1, _CHUNK_ROWS // n_rows))), n_rows, n_drawn)


def round_up(n: int) -> int:
    """Return the next power of two from n on, so that similar sizes share compiled code."""
    return 1 << (n - 1).bit_length()


class Chunk(NamedTuple):
    """Rows to train on, batch by batch, as arrays or tensors; the first `n_rows` count.

    Indices into each table have shape (n_batches, batch_rows, n_per_row), labels and weights lack
    the last dimension. The seed is that of dropout.
    """

    indices: dict[str, Any]
    labels: Any
    weights: Any
    n_rows: Any
    seed: Any


def new_order(n_rows: int, rng: np.random.Generator, storage: Storage = MEMORY) -> Codes:
    """Return all rows once, in a new order.

    Many rows are dealt out by lot to piles first, each of which is then shuffled by itself, so that
    no more than a pile need be in memory.

    References
    ----------
    Rao (1961), Generation of random permutation of given number of elements using random sampling
    numbers, Sankhya A 23.
    """
    n_piles = math.ceil(n_rows / _PILE_ROWS)
    if n_piles <= 1:
        order = storage.empty(n_rows, type_of_places(n_rows))
        order[:] = np.arange(n_rows, dtype=order.dtype)
        rng.shuffle(order)
        return order
    seed = int(rng.integers(2**62))

    def pile_of(rows: slice) -> NDArray[np.uint16]:
        by_lot = np.random.default_rng([seed, rows.start])
        piles: NDArray[np.uint16]
        piles = by_lot.integers(n_piles, size=rows.stop - rows.start, dtype=np.uint16)
        return piles

    piles = Piles(storage, n_rows, n_piles, pile_of)
    for pile in piles.slices:
        rng.shuffle(piles.rows[pile])
    return piles.rows


def chunks_of(
    rows: TrainingRows,
    order: Codes,
    tower: UserTower,
    sizes: BatchSizes,
    rng: np.random.Generator,
) -> Iterator[Chunk]:
    """Yield the rows in this order, with new negatives."""
    n = sizes.n_batches * sizes.n_rows
    step = n
    if rows.storage.folder is not None:
        # Many rows at once need nearly all pages of the files, which are then read in one go.
        length = 0 if rows.histories is None else rows.histories.length
        step *= max(1, _LOOKED_UP // (n * (1 + sizes.n_drawn + length)))
    for start in range(0, len(order), step):
        ends = range(start + n, min(start + step, len(order)), n)
        yield from make_chunks(
            rows, np.split(order[start : start + step], np.array(ends) - start), tower, sizes, rng
        )


def make_chunks(
    rows: TrainingRows,
    orders: list[Codes],
    tower: UserTower,
    sizes: BatchSizes,
    rng: np.random.Generator,
) -> Iterator[Chunk]:
    """Yield a chunk for the rows of each order, with new negatives. All are looked up at once."""
    ends = np.cumsum([len(order) for order in orders])
    parts = [slice(end - len(order), end) for order, end in zip(orders, ends, strict=True)]
    draws = np.empty((ends[-1], sizes.n_drawn))
    seeds = []
    for part in parts:
        rng.random(out=draws[part])
        seeds.append(rng.integers(2**30, size=2, dtype=np.int32))
    found = _look_up(rows, np.concatenate(orders), draws)
    for part, seed in zip(parts, seeds, strict=True):
        yield _fill({name: values[part] for name, values in found.items()}, tower, sizes, seed)


def _look_up(rows: TrainingRows, order: Codes, draws: Float64s) -> dict[str, Any]:
    """Return what chunks are made of, by name: the columns, negatives and histories of rows."""
    look_up = rows.storage.look_up

    def column(values: Any) -> Any:
        if values is None:
            return np.ones(len(order), np.float32)
        return look_up(values.__getitem__, order)

    users, items = (column(c).astype(np.int32, copy=False) for c in (rows.users, rows.items))
    candidates = items[:, None]
    if rows.negatives is not None:
        drawn_for = column(rows.negatives.drawn_for)
        find = partial(unseen_items_of, unseen=rows.negatives.unseen)
        candidates = np.hstack([candidates, look_up(find, drawn_for, draws)])
    found = {"users": users, "items": candidates}
    found |= {"labels": column(rows.labels), "weights": column(rows.weights)}
    if rows.histories is not None:
        histories = rows.histories.before(order)
        found["histories"] = histories.items
        if histories.gaps is not None:
            found["gaps"] = histories.gaps
    return found


def _fill(found: dict[str, Any], tower: UserTower, sizes: BatchSizes, seed: Any) -> Chunk:
    """Return the chunk of these rows.

    It is filled up with the last row, so that an unfinished batch touches nothing else.
    """
    n_rows = len(found["users"])
    batches = (sizes.n_batches, sizes.n_rows)
    if n_spare := math.prod(batches) - n_rows:
        found = {
            name: np.concatenate([values, np.repeat(values[-1:], n_spare, axis=0)])
            for name, values in found.items()
        }
        found["items"][n_rows:] = found["items"][n_rows:, :1]
        found["weights"][n_rows:] = 0
    histories = None
    if "histories" in found:
        histories = HistoryInputs(found["histories"], found.get("gaps"))
    indices = tower.indices(found["users"], histories) | {"items": found["items"]}
    return Chunk(
        {name: index.reshape(*batches, -1) for name, index in indices.items()},
        found["labels"].reshape(batches),
        found["weights"].reshape(batches),
        np.int32(n_rows),
        seed,
    )
