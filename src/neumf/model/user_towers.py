"""What makes the vector of a user: an id, a history, or both.

A tower holds sizes only; its weights come in by name. Tables have a row per user or item, of which
a batch trains those that it names; shared weights are trained by every batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from neumf.model.initial import normal, uniform
from neumf.model.layers import Shared
from neumf.utils.arrays import Codes, Float32s
from neumf.utils.time_gaps import N_BUCKETS, GapsFrom, unpack

# Numbers of the rows that are gathered at once: few enough for a processor's cache.
_BLOCK_NUMBERS = 2**18

Tables = Mapping[str, Float32s]
# Arrays, or tensors while training, by table.
Rows = Mapping[str, Any]


@dataclass(frozen=True)
class UserTower(ABC):
    """Base of the towers, and the contract that a new one keeps.

    Attributes
    ----------
    width : int
        Width of the vectors.
    history_length : int
        How many of a user's last items are read.
    history_hidden_size : int
        The parameter of that name.
    std : float
        Standard deviation of the initial vectors.
    tied : bool
        Whether an item in a history stands for its own vector, see `UserHistories`.
    gaps : {"newest", "question"} or None
        From when histories tell how long ago each item was, see `pack`; None: they do not.
    newest_item : bool
        Whether the newest item of a history has a vector of its own there.
    reads_history : bool
        Whether the vector of a row's user is made of what the user had before the row. Rows then
        need an order in time, and negatives must not tell what the user had later.
    """

    width: int
    history_length: int
    history_hidden_size: int = 0
    std: float = 0.01
    tied: bool = False
    gaps: GapsFrom | None = None
    newest_item: bool = False

    reads_history: ClassVar[bool] = True

    @abstractmethod
    def initial_tables(
        self, n_users: int, n_items: int, rng: np.random.Generator
    ) -> dict[str, Float32s]:
        """Draw the tables by name, a row per user or item, each of the width of the vectors."""

    @abstractmethod
    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the vectors of users, shape (n, width).

        Parameters
        ----------
        xp : module
            numpy or tensorflow.
        rows : mapping of str to array
            The rows that `indices` names, of shape (n, n_per_row, width), zeros where there is no
            such row, or what it names that is in no table, of shape (n, n_per_row).
        present : mapping of str to array of bool
            Where there is such a row, shape (n, n_per_row), by table.
        shared : mapping of str to array
            The shared weights.
        """

    def initial_shared(self, rng: np.random.Generator) -> dict[str, Float32s]:
        """Draw the shared weights by name."""
        return {}

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each of the shared weights, by name."""
        return {}

    def indices(self, users: Codes, histories: Codes | None) -> dict[str, Codes]:
        """Return which rows of each table make the vectors, shape (n, n_per_row); -1 is none.

        What is no row of a table, see `is_row`, is a number that the vectors are made of besides.
        """
        return {} if histories is None else {"history": histories}

    def is_row(self, name: str) -> bool:
        """Tell whether what `indices` names so are rows of a table, and no other numbers."""
        return True

    def table_of(self, name: str) -> str:
        """Return the table that rows named so by `indices` are in."""
        return name

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norms that are penalised for each row, terms of shape (n,)."""
        return [_mean_norms(xp, rows["history"], present["history"])]

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the squared norms of the shared weights that are penalised."""
        return []

    def encode(self, tables: Tables, shared: Shared, users: Codes, histories: Codes) -> Float32s:
        """Return the vectors of users (-1: unknown) with these histories, newest item first."""
        vectors = np.empty((len(users), self.width), dtype=np.float32)
        step = max(1, _BLOCK_NUMBERS // (histories.shape[1] * self.width))
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            rows: dict[str, Any] = {}
            present: dict[str, Any] = {}
            for name, index in self.indices(users[block], histories[block]).items():
                if not self.is_row(name):
                    rows[name] = index
                    continue
                table = tables[self.table_of(name)]
                # Users who were folded in have an index, but no row.
                present[name] = (index >= 0) & (index < len(table))
                rows[name] = _rows_or_zeros(table, index, present[name])
            vectors[block] = self.vectors(np, rows, present, shared)
        return vectors

    def user_vectors(self, tables: Tables, shared: Shared, last_items: Codes) -> Float32s:
        """Return the vectors of all users after their last row."""
        return self.encode(tables, shared, np.arange(len(last_items)), last_items)

    def join(self, other: Self) -> Self:
        """Return the tower that makes this vector and another one side by side."""
        return replace(self, width=self.width + other.width)

    def join_shared(self, shared: Tables, other: Tables) -> dict[str, Float32s]:
        """Return the weights of this tower, which joined two, from theirs."""
        return {}


@dataclass(frozen=True)
class UserIds(UserTower):
    """A vector for each user, learned by itself (the paper), in the table "users"."""

    reads_history: ClassVar[bool] = False

    def initial_tables(
        self, n_users: int, n_items: int, rng: np.random.Generator
    ) -> dict[str, Float32s]:
        """Draw the vectors of users."""
        return {"users": normal(rng, n_users, self.width, self.std)}

    def indices(self, users: Codes, histories: Codes | None) -> dict[str, Codes]:
        """Return the users themselves."""
        return {"users": users[:, None]}

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the vectors of users as they were learned."""
        return rows["users"][:, 0]

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the squared norm of each row's user."""
        return [xp.reduce_sum(rows["users"][:, 0] ** 2, 1)]

    def user_vectors(self, tables: Tables, shared: Shared, last_items: Codes) -> Float32s:
        """Return the table itself."""
        return tables["users"]


_HIDDEN_KERNELS = ("history_kernel", "history_output")


@dataclass(frozen=True)
class UserHistories(UserTower):
    """A sum of vectors of the user's last items, weighted by place and dimension.

    The table "history" has what an item in a history stands for, and "newest", if there is one,
    what is added for the newest item: what often comes just after it. The shared weights are
    ``place_weights``, shape (history_length, width), the newest item first, and, with a hidden
    layer that refines the sum, ``history_kernel``, ``history_bias`` and ``history_output``. With
    gaps, the weight of an item is that of its place and that of its bucket in ``gap_weights``,
    shape (n_buckets, width), together; if they are counted from a question, ``pause_vectors``, of
    the same shape, have what the bucket of the newest item adds, and its row of "newest" has a
    weight of 1 plus that of its bucket in ``newest_weights``.
    """

    def initial_tables(
        self, n_users: int, n_items: int, rng: np.random.Generator
    ) -> dict[str, Float32s]:
        """Draw the vectors that items have in histories; 0 if they are added to others."""
        tables = {"history": normal(rng, n_items, self.width, 0.0 if self.tied else self.std)}
        if self.newest_item:
            tables["newest"] = np.zeros((n_items, self.width), np.float32)
        return tables

    def indices(self, users: Codes, histories: Codes | None) -> dict[str, Codes]:
        """Return the items of the histories, by each table that has a row of them."""
        gaps = None
        if self.gaps and histories is not None:
            histories, gaps = unpack(histories)
        indices = super().indices(users, histories)
        if gaps is not None:
            indices["gaps"] = gaps
        if self.tied and histories is not None:
            indices["history_items"] = histories
        if self.newest_item and histories is not None:
            indices["newest"] = histories[:, :1]
        return indices

    def is_row(self, name: str) -> bool:
        """Tell gaps from rows."""
        return name != "gaps"

    def table_of(self, name: str) -> str:
        """Return "items" for the own vectors of the items of histories."""
        return "items" if name == "history_items" else name

    @property
    def _names(self) -> tuple[str, ...]:
        hidden = (*_HIDDEN_KERNELS, "history_bias") if self.history_hidden_size else ()
        return ("place_weights", *self._of_gaps, *hidden)

    @property
    def _of_gaps(self) -> tuple[str, ...]:
        """The names of the weights that have a row per bucket."""
        if self.gaps is None:
            return ()
        if self.gaps == "newest":
            return ("gap_weights",)
        of_newest = ("newest_weights",) if self.newest_item else ()
        return ("gap_weights", "pause_vectors", *of_newest)

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of places and of the hidden layer."""
        width, size = self.width, self.history_hidden_size
        shapes: dict[str, tuple[int, ...]] = {"place_weights": (self.history_length, width)}
        shapes |= dict.fromkeys(self._of_gaps, (N_BUCKETS, width))
        if size:
            shapes |= {"history_kernel": (width, size), "history_bias": (size,)}
            shapes["history_output"] = (size, width)
        return shapes

    def initial_shared(self, rng: np.random.Generator) -> dict[str, Float32s]:
        """Let the weights of places fall from 1; gaps and the hidden layer add nothing at first."""
        places = np.arange(1, self.history_length + 1, dtype=np.float32)
        weights = np.repeat(places[:, None] ** np.float32(-0.5), self.width, axis=1)
        shared: dict[str, Float32s] = {"place_weights": weights}
        for name in self._of_gaps:
            shared[name] = np.zeros((N_BUCKETS, self.width), np.float32)
        if size := self.history_hidden_size:
            shared["history_kernel"] = uniform(rng, self.width, size, 6 / (self.width + size))
            shared["history_bias"] = np.zeros(size, np.float32)
            shared["history_output"] = np.zeros((size, self.width), np.float32)
        return shared

    def vectors(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        """Return the sum over each history, refined by the hidden layer if there is one."""
        return self._refined(xp, self._sums(xp, rows, present, shared), shared)

    def norms(self, xp: Any, rows: Rows, present: Rows) -> list[Any]:
        """Return the mean squared norm of the history, and that of the newest item."""
        of_history = super().norms(xp, rows, present)
        if not self.newest_item:
            return of_history
        return [*of_history, _mean_norms(xp, rows["newest"], present["newest"])]

    def kernel_norms(self, xp: Any, shared: Shared) -> list[Any]:
        """Return the mean squared norm of a place's weights, and those of the hidden kernels.

        Those of gaps are not penalised: few rows have a gap of some buckets, and in steps of Adam
        a penalty alone takes weights to 0 as fast as rows move them.
        """
        norms = [xp.reduce_sum(shared["place_weights"] ** 2) / self.history_length]
        if self.history_hidden_size:
            norms += [xp.reduce_sum(shared[name] ** 2) for name in _HIDDEN_KERNELS]
        return norms

    def join(self, other: Self) -> Self:
        """Return the tower of both vectors, whose hidden layer has the units of both."""
        size = self.history_hidden_size + other.history_hidden_size
        return replace(super().join(other), history_hidden_size=size)

    def join_shared(self, shared: Tables, other: Tables) -> dict[str, Float32s]:
        """Let each of the towers that were joined go on to make its part of the vector."""
        pairs = {name: (shared[name], other[name]) for name in self._names}
        return {
            name: block_diag(*pair) if name in _HIDDEN_KERNELS else np.hstack(pair)
            for name, pair in pairs.items()
        }

    def _sums(self, xp: Any, rows: Rows, present: Rows, shared: Shared) -> Any:
        vectors = rows["history"]
        if self.tied:
            vectors = vectors + rows["history_items"][:, :, : self.width]
        weights = shared["place_weights"]
        if self.gaps:
            weights = weights + _rows_of(xp, shared["gap_weights"], rows["gaps"])
        sums = _weighted_sums(xp, vectors, weights, present["history"])
        if self.gaps == "question":
            sums = sums + _rows_of(xp, shared["pause_vectors"], rows["gaps"][:, 0])
        if self.newest_item:
            newest = xp.where(present["newest"][:, :, None], rows["newest"], 0.0)[:, 0]
            if self.gaps == "question":
                newest = newest * (1 + _rows_of(xp, shared["newest_weights"], rows["gaps"][:, 0]))
            sums = sums + newest
        return sums

    def _refined(self, xp: Any, vectors: Any, shared: Shared) -> Any:
        if not self.history_hidden_size:
            return vectors
        hidden = xp.maximum(vectors @ shared["history_kernel"] + shared["history_bias"], 0.0)
        return vectors + hidden @ shared["history_output"]


@dataclass(frozen=True)
class UserIdsAndHistories(UserHistories):
    """Both: the user's own vector is added to the sum over the history."""

    def initial_tables(
        self, n_users: int, n_items: int, rng: np.random.Generator
    ) -> dict[str, Float32s]:
        """Draw the vectors of users, and those that items have in histories; tied, users add 0."""
        own = normal(rng, n_users, self.width, 0.0 if self.tied else self.std)
        return {"users": own} | super().initial_tables(n_users, n_items, rng)

    def indices(self, users: Codes, histories: Codes | None) -> dict[str, Codes]:
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
        # What is not present is zeros: one pass, and no array of all products.
        return np.einsum("nld,nld->nd", vectors, np.broadcast_to(weights, vectors.shape))
    # The mask keeps gradients from rows that stand in for none.
    return xp.reduce_sum(xp.where(present[:, :, None], vectors * weights, 0.0), 1)


def _rows_of(xp: Any, table: Any, numbers: Any) -> Any:
    """Return rows of a short table; of -1, zeros."""
    if xp is np:
        return _rows_or_zeros(table, numbers, numbers >= 0)
    # Not `concat`, whose gradient looks for the rows of each part.
    with_none = xp.pad(table, ((0, 1), (0, 0)))
    return xp.gather(with_none, xp.where(numbers < 0, table.shape[0], numbers))


def _rows_or_zeros(table: Float32s, index: Codes, present: NDArray[np.bool_]) -> Float32s:
    """Return the rows that the index names, and zeros where there is none."""
    rows = table[np.where(present, index, 0)]
    rows[~present] = 0
    return rows


def _mean_norms(xp: Any, items: Any, present: Any) -> Any:
    """Return the mean squared norm of the items of each history."""
    present = xp.cast(present, xp.float32)
    norms = xp.reduce_sum(items**2, 2) * present
    return xp.reduce_sum(norms, 1) / xp.maximum(xp.reduce_sum(present, 1), 1.0)


# By the name that `user_encoder` takes: what makes the tower of its attributes.
USER_TOWERS: dict[str, Callable[..., UserTower]] = {
    "id": UserIds,
    "history": UserHistories,
    "hybrid": UserIdsAndHistories,
}
