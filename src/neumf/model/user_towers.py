"""The towers that make the vector of a user from an id, a history, or both."""

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
    """A vector for each user, learned by itself (the paper), in the table "users"."""

    reads_history: ClassVar[bool] = False

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of users."""
        return {"users": normal(rng, n_users, self.width, self.std)}

    def indices(self, users: Indices, histories: HistoryInputs | None) -> dict[str, Indices]:
        """Return the users themselves."""
        return {"users": users[:, None]}

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the vectors of users as they were learned."""
        return rows["users"][:, 0]

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norm of each row's user."""
        return [xp.reduce_sum(rows["users"][:, 0] ** 2, 1)]

    def user_vectors(self, tables: Tables, shared: Shared, last_items: HistoryInputs) -> Float32s:
        """Return the table itself."""
        return tables["users"]

    def join(self, other: UserIds) -> UserIds:
        """Return the tower that makes this vector and another one side by side."""
        return replace(self, width=self.width + other.width)


_HIDDEN_KERNELS = ("history_kernel", "history_output")


@dataclass(frozen=True)
class UserHistories(UserTower):
    """A sum of vectors of the user's last items, weighted by position and dimension.

    The table "history" has the vectors (or deviations) of items in histories, and "newest" those
    that only the newest item adds. The shared weights are ``position_weights``, shape
    (history_length, width), the newest item first, and, with a hidden layer, ``history_kernel``,
    ``history_bias`` and ``history_output``. With time gaps, the weight of an item's age in
    ``gap_weights``, shape (n_buckets, width), is added to the weight of its position. If ages are
    counted from the request time, the age of the newest item also adds a row of
    ``pause_vectors``, of the same shape, and scales the row of "newest" by 1 plus a row of
    ``newest_weights``.
    """

    hidden_size: int = 0  # of the layer that refines the sum; 0 leaves it out
    # Whether an item in a history counts as its own vector plus a deviation, and not as a vector
    # that is learned for histories alone.
    shares_item_vectors: bool = False
    has_last_item_vector: bool = False  # whether the newest item adds a further vector

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of items in histories; deviations start at 0."""
        std = 0.0 if self.shares_item_vectors else self.std
        tables = {"history": normal(rng, n_items, self.width, std)}
        if self.has_last_item_vector:
            tables["newest"] = np.zeros((n_items, self.width), np.float32)
        return tables

    def indices(self, users: Indices, histories: HistoryInputs | None) -> dict[str, Indices]:
        """Return the items of the histories, for each table that has a row of them."""
        if histories is None:
            return {}
        items, gaps = histories
        indices = {"history": items}
        if self.time_gaps and gaps is not None:
            indices["gaps"] = gaps
        if self.shares_item_vectors:
            indices["history_items"] = items
        if self.has_last_item_vector:
            indices["newest"] = items[:, :1]
        return indices

    def is_row(self, name: str) -> bool:
        """Tell gaps from rows."""
        return name != "gaps"

    def table_of(self, name: str) -> str:
        """Return "items" for the own vectors of the items of histories."""
        return "items" if name == "history_items" else name

    @property
    def _weights_by_gap(self) -> tuple[str, ...]:
        """The names of the weights that have a row per bucket."""
        if self.time_gaps != "request":
            return () if self.time_gaps is None else ("gap_weights",)
        newest = ("newest_weights",) if self.has_last_item_vector else ()
        return ("gap_weights", "pause_vectors", *newest)

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of positions and of the hidden layer."""
        width, size = self.width, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"position_weights": (self.history_length, width)}
        shapes |= dict.fromkeys(self._weights_by_gap, (N_BUCKETS, width))
        if size:
            shapes |= {"history_kernel": (width, size), "history_bias": (size,)}
            shapes["history_output"] = (size, width)
        return shapes

    def initial_shared(self, rng: Generator) -> dict[str, Float32s]:
        """Let the weights of positions fall from 1; gaps and the hidden layer start at 0."""
        shapes = self.shared_shapes().items()
        shared = {name: np.zeros(shape, np.float32) for name, shape in shapes}
        positions = np.arange(1, self.history_length + 1, dtype=np.float32)
        shared["position_weights"] += positions[:, None] ** np.float32(-0.5)
        if size := self.hidden_size:
            shared["history_kernel"] = uniform(rng, self.width, size, 6 / (self.width + size))
        return shared

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the sum over each history, refined by the hidden layer if there is one."""
        return self._refined(xp, self._sums(xp, rows, present, shared), shared)

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the mean squared norm of the history, and that of the newest item."""
        names = ["history", "newest"] if self.has_last_item_vector else ["history"]
        return [_mean_norms(xp, rows[name], present[name]) for name in names]

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the mean squared norm of a position's weights, and those of the hidden kernels.

        Gap weights are not penalised: few rows have a gap of some buckets, and in steps of Adam a
        penalty alone takes weights to 0 as fast as rows move them.
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
        sums = _weighted_sums(xp, vectors, weights, present["history"])
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
    """Both: the user's own vector is added to the sum over the history."""

    def initial_tables(self, n_users: int, n_items: int, rng: Generator) -> dict[str, Float32s]:
        """Draw the vectors of users, and those of items in histories; deviations start at 0."""
        own = normal(rng, n_users, self.width, 0.0 if self.shares_item_vectors else self.std)
        return {"users": own} | super().initial_tables(n_users, n_items, rng)

    def indices(self, users: Indices, histories: HistoryInputs | None) -> dict[str, Indices]:
        """Return the users, and the items of their histories."""
        return {"users": users[:, None]} | super().indices(users, histories)

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the refined sum of the user's own vector and the history."""
        sums = rows["users"][:, 0] + self._sums(xp, rows, present, shared)
        return self._refined(xp, sums, shared)

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norm of each row's user, and those of the history."""
        own = xp.reduce_sum(rows["users"][:, 0] ** 2, 1)
        return [own, *super().norms(xp, rows, present)]


def _weighted_sums(xp: Any, vectors: Any, weights: Any, present: Any) -> Any:
    """Return the sums over histories of what is present, shape (n, width)."""
    if xp is np:
        # Rows that are not present are zeros: one pass, and no array of all products.
        return np.einsum("nld,nld->nd", vectors, np.broadcast_to(weights, vectors.shape))
    # The mask keeps gradients from rows that stand in for none.
    return xp.reduce_sum(xp.where(present[:, :, None], vectors * weights, 0.0), 1)


def _rows_of(xp: Any, table: Any, numbers: Any) -> Any:
    """Return rows of a short table; of -1, zeros."""
    if xp is np:
        return rows_or_zeros(table, numbers, numbers >= 0)
    # Not `concat`, whose gradient looks for the rows of each part.
    with_none = xp.pad(table, ((0, 1), (0, 0)))
    return xp.gather(with_none, xp.where(numbers < 0, table.shape[0], numbers))


def _mean_norms(xp: Any, items: Any, present: Any) -> Any:
    """Return the mean squared norm of the items of each history."""
    present = xp.cast(present, xp.float32)
    norms = xp.reduce_sum(items**2, 2) * present
    return xp.reduce_sum(norms, 1) / xp.maximum(xp.reduce_sum(present, 1), 1.0)
