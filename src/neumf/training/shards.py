"""Shards of users: each is trained by itself for a while, then what all share is put together.

All here is a pure function of rows, weights and seed, so that it does not matter where, or how
often, a shard is trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np

from neumf.model.network import Blueprint, Weights
from neumf.training.batches import BatchSizes, Chunk, Degrees, Negatives, TrainingRows, new_order
from neumf.training.optimizers import BETA_1, BETA_2
from neumf.training.program import flat_shared, split_shared
from neumf.training.trainer import OptimizerState, Trainer, TrainingSettings
from neumf.utils.arrays import Codes, Float32s, Float64s

# What part of its way to where a shard's rows want it a weight is taken to go with each step. The
# plain mean (1) makes no more progress than one shard does, and loses 8 % of NDCG@10 on
# MovieTweetings; the sum (0) takes the way of popular items once for each shard, and diverges where
# rounds are long: at 0.02 MovieLens-1M loses 6 %.
PACE = 0.1

# The name of the shared weights among the tables: a table of one row, which every step touches.
SHARED = "shared"


@dataclass(frozen=True)
class Shard:
    """All rows of some users.

    Attributes
    ----------
    users : ndarray of shape (n_shard_users,)
        Their indices, rising.
    rows : TrainingRows
        Their rows, in which a user is a place among `users`.
    """

    users: Codes
    rows: TrainingRows


def cut_rows(rows: TrainingRows, n_shards: int) -> list[Shard]:
    """Deal out the users that have rows, so that all shards have alike many users and rows."""
    counts = np.bincount(rows.users)
    users = np.flatnonzero(counts)
    most_first = users[np.argsort(-counts[users], kind="stable")]
    # To and fro, as teams are chosen.
    turns = np.arange(len(users)) % (2 * n_shards)
    numbers = np.minimum(turns, 2 * n_shards - 1 - turns)
    of_users = np.full(len(counts), -1, dtype=np.intp)
    of_users[most_first] = numbers
    of_rows = of_users[rows.users]
    return [
        _cut(rows, np.flatnonzero(of_users == number), np.flatnonzero(of_rows == number))
        for number in range(min(n_shards, len(users)))
    ]


def _cut(rows: TrainingRows, users: Codes, kept: Codes) -> Shard:
    def take(column: Any) -> Any:
        return None if column is None else column[kept]

    negatives, degrees = rows.negatives, rows.degrees
    if negatives is not None:
        # For whom they are drawn: users, or items.
        whom, drawn_for = np.unique(negatives.drawn_for[kept], return_inverse=True)
        negatives = Negatives(negatives.unseen.take(whom), drawn_for.astype(np.int32))
    return Shard(
        users,
        replace(
            rows,
            users=np.searchsorted(users, rows.users[kept]).astype(np.int32),
            items=take(rows.items),
            labels=take(rows.labels),
            weights=take(rows.weights),
            negatives=negatives,
            histories=None if rows.histories is None else rows.histories.take(users, kept),
            degrees=None if degrees is None else Degrees(degrees.users[users], degrees.items),
            # They come with the state: they are made of all vectors.
            centres=None,
        ),
    )


@dataclass(frozen=True)
class State:
    """Weights and Adam's moments, as they stand at the start of a round.

    Attributes
    ----------
    tables : dict of ndarray of shape (n, 3 * width)
        Each row's weights, and both moments of them, by the name of the table; that of the shared
        weights has one row.
    shapes : dict of tuple of int
        The shapes of the shared weights, by name, as they stand in that row.
    n_steps : int
        Number of steps.
    centres : dict of ndarray of shape (n, width)
        What the rows of tables are pulled to, if not to 0.
    """

    tables: dict[str, Float32s]
    shapes: dict[str, tuple[int, ...]]
    n_steps: int
    centres: dict[str, Float32s] = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Weights, optimizer: OptimizerState | None) -> Self:
        """Put weights and moments side by side; moments that are not known are 0."""
        tables = {**weights.tables, SHARED: flat_shared(weights.shared)}
        moments: Mapping[str, Float32s] = {}
        if optimizer is not None:
            moments = {
                name: optimizer.moments(name, len(table)) for name, table in weights.tables.items()
            }
            moments = {**moments, SHARED: optimizer.shared}
        packed = {}
        for name, table in tables.items():
            n_rows, width = table.shape
            packed[name] = np.zeros((n_rows, 3 * width), np.float32)
            packed[name][:, :width] = table
            if name in moments:
                packed[name][:, width:] = moments[name]
        shapes = {name: array.shape for name, array in weights.shared.items()}
        return cls(packed, shapes, 0 if optimizer is None else optimizer.n_steps)

    def weights(self) -> Weights:
        """Return a copy of the weights."""
        arrays = {name: _weights_of(table).copy() for name, table in self.tables.items()}
        flat = arrays.pop(SHARED)[0]
        return Weights(arrays, split_shared(np, flat, self.shapes))

    def optimizer(self, keep_moments: bool = True) -> OptimizerState:
        """Return Adam with or without the moments of each row."""
        tables = {name: table for name, table in self.tables.items() if name != SHARED}
        return OptimizerState(
            {
                name: _moments_of(table if keep_moments else table[:0]).copy()
                for name, table in tables.items()
            },
            {name: len(table) for name, table in tables.items()},
            {name: _mean_square(table) for name, table in tables.items()},
            _moments_of(self.tables[SHARED]).copy(),
            self.n_steps,
        )

    def without(self, names: set[str]) -> Self:
        """Return the state without these tables."""
        parts = (self.tables, self.centres)
        tables, centres = (
            {name: array for name, array in part.items() if name not in names} for part in parts
        )
        return replace(self, tables=tables, centres=centres)

    def rows_of(self, names: set[str], rows: Codes) -> Self:
        """Return these rows of these tables, as a state of these alone."""
        parts = (self.tables, self.centres)
        tables, centres = (
            {name: array[rows] for name, array in part.items() if name in names} for part in parts
        )
        return replace(self, tables=tables, centres=centres)

    def joined(self, other: Self) -> Self:
        """Return the state with the tables of another one."""
        tables, centres = self.tables | other.tables, self.centres | other.centres
        return replace(self, tables=tables, centres=centres)


def _weights_of(table: Float32s) -> Float32s:
    return table[:, : table.shape[1] // 3]


def _moments_of(table: Float32s) -> Float32s:
    return table[:, table.shape[1] // 3 :]


def _mean_square(table: Float32s) -> Float32s:
    """Return the mean of the second moments over the rows that were trained, shape (1, width)."""
    squares = table[:, 2 * (table.shape[1] // 3) :]
    n_trained = int(np.count_nonzero(squares.any(axis=1)))
    total: Float32s = squares.sum(axis=0, keepdims=True) / np.float32(max(n_trained, 1))
    return total


class Part(NamedTuple):
    """Which part of an epoch a round is, and the seed of the epoch."""

    seed: int
    number: int
    n_parts: int

    def of(self, order: Codes, batch_rows: int) -> Codes:
        """Return this part of an order of rows: whole batches, but for the last one of all.

        A short batch is a step as long as any other, led by few rows and few negatives.
        """
        n_batches = math.ceil(len(order) / batch_rows)
        start, stop = (n_batches * n // self.n_parts for n in (self.number, self.number + 1))
        return order[start * batch_rows : stop * batch_rows]


class Change(NamedTuple):
    """What a shard has made of rows of a table, shape (n, 3 * width).

    `rows` are those that it touched, and `n_touches` in how many steps, both of shape (n,).
    """

    rows: Codes
    n_touches: Codes
    values: Float32s


class Progress(NamedTuple):
    """What a round of a shard came to: changes by table, the sum of the losses, and its steps."""

    changes: dict[str, Change]
    loss: float
    n_steps: int


def train_part(
    shard: Shard,
    number: int,
    state: State,
    own: State,
    blueprint: Blueprint,
    settings: TrainingSettings,
    part: Part,
) -> Progress:
    """Train on a part of the rows of a shard.

    Parameters
    ----------
    shard : Shard
        The rows.
    number : int
        Which of the shards it is.
    state : State
        What all shards share.
    own : State
        Those rows of tables that belong to the shard's users.
    blueprint : Blueprint
        What the network is made of.
    settings : TrainingSettings
        How to train.
    part : Part
        Which part of an epoch.
    """
    state = state.joined(own)
    order = new_order(len(shard.rows), np.random.default_rng([part.seed, number]))
    sizes = BatchSizes.of_rows(shard.rows, settings.batch_size, settings.n_negatives)
    order = part.of(order, sizes.n_rows)
    rng = np.random.default_rng([part.seed, number, 1 + part.number])
    trainer = Trainer(blueprint, state.weights(), shard.rows, settings, rng, state.optimizer())
    trainer.set_centres(state.centres)
    touches = _Touches(blueprint, settings, {name: len(t) for name, t in state.tables.items()})
    loss = trainer.run_rows(order, touches.count)
    after = State.of(*trainer.finish(keep_moments=True))
    changes = {}
    for name, table in after.tables.items():
        n_touches = touches.of_tables[name]
        rows = np.flatnonzero(n_touches)
        numbers = shard.users[rows] if name in own.tables else rows
        changes[name] = Change(numbers, n_touches[rows], table[rows])
    return Progress(changes, loss, after.n_steps - state.n_steps)


class _Touches:
    """Counts in how many steps each row of each table is trained."""

    def __init__(
        self, blueprint: Blueprint, settings: TrainingSettings, n_rows: dict[str, int]
    ) -> None:
        self._tower = blueprint.users
        self._whole = {SHARED}
        if settings.loss.candidates == "catalogue":
            self._whole.add("items")
        self.of_tables = {name: np.zeros(n, dtype=np.int64) for name, n in n_rows.items()}

    def count(self, chunk: Chunk) -> None:
        """Count those of the batches of a chunk."""
        batch_rows = chunk.labels.shape[1]
        n_batches = math.ceil(chunk.n_rows / batch_rows)
        places: dict[str, list[Codes]] = {}
        for name, indices in chunk.indices.items():
            if self._tower.is_row(name):
                of_batches = indices[:n_batches].reshape(n_batches, -1)
                places.setdefault(self._tower.table_of(name), []).append(of_batches)
        for name, parts in places.items():
            if name not in self._whole:
                self._count_batches(name, np.concatenate(parts, axis=1))
        for name in self._whole:
            self.of_tables[name] += n_batches

    def _count_batches(self, name: str, places: Codes) -> None:
        places = np.sort(places, axis=1)
        first = np.ones(places.shape, dtype=bool)
        first[:, 1:] = places[:, 1:] != places[:, :-1]
        counted = places[first & (places >= 0)]
        self.of_tables[name] += np.bincount(counted, minlength=len(self.of_tables[name]))


def merge(state: State, rounds: list[Progress]) -> State:
    """Return what the shards' rounds together make of the state that all started from."""
    tables = {
        name: _merge_table(table, [progress.changes[name] for progress in rounds])
        for name, table in state.tables.items()
    }
    n_steps = state.n_steps + sum(progress.n_steps for progress in rounds)
    return replace(state, tables=tables, n_steps=n_steps)


def _merge_table(table: Float32s, changes: list[Change]) -> Float32s:
    n_touches = np.zeros(len(table), dtype=np.int64)
    for change in changes:
        n_touches[change.rows] += change.n_touches
    merged = table.copy()
    width = table.shape[1] // 3
    for change in changes:
        of_all = n_touches[change.rows]
        for number, pace in enumerate((PACE, 1 - BETA_1, 1 - BETA_2)):
            columns = slice(number * width, (number + 1) * width)
            share = change.n_touches / of_all
            factor = share * _way(of_all, pace) / _way(change.n_touches, pace)
            step = change.values[:, columns] - table[change.rows, columns]
            merged[change.rows, columns] += factor[:, None].astype(np.float32) * step
    return merged


def _way(n: Codes, pace: float) -> Float64s:
    """Return what part of the way n steps go, of which each goes this part of what is left."""
    way: Float64s = -np.expm1(n * np.log1p(-pace))
    return way
