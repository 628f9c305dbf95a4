"""The user towers, which compute the vector of a user from an id, a history, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator

from neumf.model.initial import normal, uniform
from neumf.model.layers import Shared
from neumf.model.user_tower import Rows, Tables, UserTower, rows_or_zeros
from neumf.utils.arrays import Float32s, Indices
from neumf.utils.time_gaps import N_BUCKETS, HistoryInputs


@dataclass(frozen=True)
class UserIds(UserTower):
    """A user tower with a learned vector for each user, as in the paper, in the table "users"."""

    reads_history: ClassVar[bool] = False

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of users."""
        return {"users": normal(rng, n_users, self.width, self.std)}

    def indices(
        self, users: Indices, histories: HistoryInputs | None, run_length: int = 1
    ) -> dict[str, Indices]:
        """Return one index per user: the user's row."""
        return {"users": users[:, None]}

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the learned vectors of users."""
        return rows["users"][:, 0]

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norms of the users' vectors."""
        return [xp.reduce_sum(rows["users"][:, 0] ** 2, 1)]

    def user_vectors(self, tables: Tables, shared: Shared, last_items: HistoryInputs) -> Float32s:
        """Return the vectors of all users: the table itself."""
        return tables["users"]

    def join(self, other: UserIds) -> UserIds:
        """Return the tower of joined vectors: this tower's, then the other's."""
        return replace(self, width=self.width + other.width)


_HIDDEN_KERNELS = ("history_kernel", "history_output")


@dataclass(frozen=True)
class UserHistories(UserTower):
    """A user tower that sums vectors of the last items, weighted by position and dimension.

    The table "history" holds the vectors of items in histories, or their deviations from the own
    vectors of the items. The table "newest" holds vectors that only the newest item adds. The
    shared weights are

    - ``position_weights``, shape (history_length, width), the newest item first;
    - ``history_kernel``, ``history_bias`` and ``history_output``, with a hidden layer;
    - ``gap_weights``, shape (n_buckets, width), with time gaps: a row by the age of each item is
      added to the weight of its position;
    - ``pause_vectors``, of the same shape, with the request time: a row by the age of the newest
      item is added to the sum;
    - ``newest_weights``, of the same shape, with the request time: the row of "newest" is
      multiplied by 1 plus a row by the age of the newest item.
    """

    hidden_size: int = 0  # of the layer after the sum; 0 leaves it out
    # Whether an item in a history has its own vector plus a deviation, instead of a separate vector
    # for histories.
    shares_item_vectors: bool = False
    has_last_item_vector: bool = False  # whether the newest item adds a second vector

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of items in histories; deviations start at 0."""
        std = 0.0 if self.shares_item_vectors else self.std
        tables = {"history": normal(rng, n_items, self.width, std)}
        if self.has_last_item_vector:
            tables["newest"] = np.zeros((n_items, self.width), np.float32)
        return tables

    def indices(
        self, users: Indices, histories: HistoryInputs | None, run_length: int = 1
    ) -> dict[str, Indices]:
        """Return the items of the histories, once per table, and their time gaps.

        The items of a run are those that precede its rows: the newest item of each row, the newest
        row first, then the other items of the oldest row. With runs, the number of items of each
        row is returned, too.
        """
        if histories is None:
            return {}
        items, gaps = histories
        indices = {"history": items}
        if run_length > 1:
            runs = items.reshape(-1, run_length, items.shape[1])
            indices["history"] = np.concatenate([runs[:, :0:-1, 0], runs[:, 0]], axis=1)
            indices["history_sizes"] = np.count_nonzero(runs >= 0, axis=2).astype(np.int32)
        if self.time_gaps and gaps is not None:
            indices["gaps"] = gaps
        if self.shares_item_vectors:
            indices["history_items"] = indices["history"]
        if self.has_last_item_vector:
            indices["newest"] = items[:, :1]
        return indices

    def is_row(self, name: str) -> bool:
        """Return False for time gaps and sizes, which are not indices of rows."""
        return name not in ("gaps", "history_sizes")

    def table_of(self, name: str) -> str:
        """Return "items" for the own vectors of items in histories."""
        return "items" if name == "history_items" else name

    @property
    def _weights_by_gap(self) -> tuple[str, ...]:
        """The names of the weights with a row per bucket of ages."""
        if self.time_gaps != "request":
            return () if self.time_gaps is None else ("gap_weights",)
        newest = ("newest_weights",) if self.has_last_item_vector else ()
        return ("gap_weights", "pause_vectors", *newest)

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of positions, ages and the hidden layer."""
        width, size = self.width, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"position_weights": (self.history_length, width)}
        shapes |= dict.fromkeys(self._weights_by_gap, (N_BUCKETS, width))
        if size:
            shapes |= {"history_kernel": (width, size), "history_bias": (size,)}
            shapes["history_output"] = (size, width)
        return shapes

    def initial_shared(self, rng: Generator) -> dict[str, Float32s]:
        """Return position weights that fall from 1, and a hidden layer and gaps without effect."""
        shapes = self.shared_shapes().items()
        shared = {name: np.zeros(shape, np.float32) for name, shape in shapes}
        positions = np.arange(1, self.history_length + 1, dtype=np.float32)
        shared["position_weights"] += positions[:, None] ** np.float32(-0.5)
        if size := self.hidden_size:
            shared["history_kernel"] = uniform(rng, self.width, size, 6 / (self.width + size))
        return shared

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the sum over each history, after the hidden layer if there is one."""
        return self._refined(xp, self._sums(xp, rows, present, shared), shared)

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the mean squared norms of the history, and of the newest item's vector."""
        norms = [_mean_norms(xp, rows["history"], _members(xp, rows, present))]
        if self.has_last_item_vector:
            norms.append(_mean_norms(xp, rows["newest"], present["newest"][:, None]))
        return norms

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the mean squared norm per position, and the squared norms of hidden kernels.

        Gap weights are not penalised: some buckets occur in few rows, and in Adam a penalty alone
        moves weights to 0 as fast as rows move them away.
        """
        norms = [xp.reduce_sum(shared["position_weights"] ** 2) / self.history_length]
        if self.hidden_size:
            norms += [xp.reduce_sum(shared[name] ** 2) for name in _HIDDEN_KERNELS]
        return norms

    def _sums(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        vectors = rows["history"]
        if self.shares_item_vectors:
            vectors = vectors + rows["history_items"][:, :, : self.width]
        weights = shared["position_weights"]
        if self.time_gaps:
            weights = weights + _rows_of(xp, shared["gap_weights"], rows["gaps"])
        sums = _weighted_sums(xp, vectors, weights, _members(xp, rows, present))
        if self.time_gaps == "request":
            sums = sums + _rows_of(xp, shared["pause_vectors"], rows["gaps"][:, 0])
        if self.has_last_item_vector:
            newest = xp.where(present["newest"][:, :, None], rows["newest"], 0.0)[:, 0]
            if self.time_gaps == "request":
                newest = newest * (1 + _rows_of(xp, shared["newest_weights"], rows["gaps"][:, 0]))
            sums = sums + newest
        return sums

    def _refined(self, xp: Any, vectors: Any, shared: Shared) -> Any:
        if not self.hidden_size:
            return vectors
        hidden = xp.maximum(vectors @ shared["history_kernel"] + shared["history_bias"], 0.0)
        return vectors + hidden @ shared["history_output"]


@dataclass(frozen=True)
class UserIdsAndHistories(UserHistories):
    """A user tower that adds a learned vector of each user to the sum over the history."""

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of users and of items in histories; deviations start at 0."""
        own = normal(rng, n_users, self.width, 0.0 if self.shares_item_vectors else self.std)
        return {"users": own} | super().initial_tables(n_users, n_items, rng)

    def indices(
        self, users: Indices, histories: HistoryInputs | None, run_length: int = 1
    ) -> dict[str, Indices]:
        """Return the rows of users, and the items of their histories."""
        return {"users": users[:, None]} | super().indices(users, histories, run_length)

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the sum of the user's own vector and the history, after the hidden layer."""
        sums = rows["users"][:, 0] + self._sums(xp, rows, present, shared)
        return self._refined(xp, sums, shared)

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norms of the users' vectors, and the norms of the history."""
        own = xp.reduce_sum(rows["users"][:, 0] ** 2, 1)
        return [own, *super().norms(xp, rows, present)]


def _members(xp: Any, rows: Rows, present: Rows) -> Any:
    """Return which items of a run each row's history has, shape (n_runs, run_length, n_items)."""
    if "history_sizes" not in rows:
        return present["history"][:, None]
    sizes = rows["history_sizes"][:, :, None]
    after = xp.range(sizes.shape[1] - 1, -1, -1)[:, None]  # newer rows of the run
    position = xp.range(present["history"].shape[1]) - after
    return (position >= 0) & (position < sizes)


def _weighted_sums(xp: Any, vectors: Any, weights: Any, members: Any) -> Any:
    """Return the weighted sums over the items of each row's history, shape (n, width).

    `vectors` holds the vectors of the items of each run, shape (n_runs, n_items, width). `weights`
    holds the weights of positions, the same for all rows, or other ones for each row.
    """
    if xp is np:
        # Rows that are not present are zeros, so no mask and no array of all products is needed.
        return np.einsum("nld,nld->nd", vectors, np.broadcast_to(weights, vectors.shape))
    if members.shape[1] > 1:
        return _sums_of_runs(xp, vectors, weights, members)
    # The mask keeps gradients away from rows that replace index -1.
    return xp.reduce_sum(xp.where(members[:, 0, :, None], vectors * weights, 0.0), 1)


def _sums_of_runs(tf: Any, vectors: Any, weights: Any, members: Any) -> Any:
    """Return the weighted sums of runs, with gradients that XLA computes in few passes."""
    n_runs, run_length, n_items = members.shape
    members = tf.cast(members, tf.float32)[:, :, :, None]
    if len(weights.shape) == 3:
        weights = tf.reshape(weights, (n_runs, run_length, *weights.shape[1:]))
    length, per_row = weights.shape[-2], len(weights.shape) == 4
    starts = [run_length - 1 - row for row in range(run_length)]  # of each history in its run

    def sums(vectors: Any, weights: Any) -> Any:
        of_rows = []
        for row, start in enumerate(starts):
            of_row = weights[:, row] if per_row else weights[None]
            of_row = tf.pad(of_row, [[0, 0], [start, n_items - start - length], [0, 0]])
            of_rows.append(of_row * members[:, row])

        def gradients(upstream: Any) -> tuple[Any, Any]:
            above = tf.unstack(upstream[:, :, None], axis=1)
            of_vectors = tf.add_n([w * g for w, g in zip(of_rows, above, strict=True)])
            of_weights = [
                (vectors * members[:, row] * above[row])[:, start : start + length]
                for row, start in enumerate(starts)
            ]
            if per_row:
                return of_vectors, tf.stack(of_weights, axis=1)
            return of_vectors, tf.reduce_sum(tf.add_n(of_weights), 0)

        return tf.stack([tf.reduce_sum(vectors * of_row, 1) for of_row in of_rows], 1), gradients

    return tf.reshape(tf.custom_gradient(sums)(vectors, weights), (n_runs * run_length, -1))


def _rows_of(xp: Any, table: Any, numbers: Any) -> Any:
    """Return rows of a short table, and zeros for -1."""
    if xp is np:
        return rows_or_zeros(table, numbers, numbers >= 0)
    # `pad` instead of `concat`, whose gradient searches for the rows of each part.
    with_none = xp.pad(table, ((0, 1), (0, 0)))
    return xp.gather(with_none, xp.where(numbers < 0, table.shape[0], numbers))


def _mean_norms(xp: Any, items: Any, members: Any) -> Any:
    """Return the mean squared norm of the items of each history, see `_members`."""
    members = xp.cast(members, xp.float32)
    norms = xp.reduce_sum(items**2, 2)[:, None] * members
    means = xp.reduce_sum(norms, 2) / xp.maximum(xp.reduce_sum(members, 2), 1.0)
    return xp.reshape(means, (-1,))
