"""Train a network: whole epochs as one compiled TensorFlow graph.

A batch is a number of rows, each with its negatives. Every step gathers the rows of the users and
items it needs, runs the network forward and backward and Adam, and writes the rows back. A row of a
table carries its two Adam moments beside its weights, so each is one gather and one scatter. Rows
that a batch does not touch do not move ("lazy" Adam): a step costs the same for a thousand items
and for a million.

All batches of a chunk of rows run in one XLA program. It writes to the tables in place, and a step
in it starts without the 80 microseconds that TensorFlow takes to start an XLA program.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from neumf._arrays import Codes, Float32s
from neumf.interactions.histories import Histories
from neumf.interactions.unseen import UnseenItems, sample_unseen_items
from neumf.model.network import (
    HistoryEncoder,
    Layers,
    Network,
    encode_histories,
    gmf_logits,
    logits,
)
from neumf.training.runtime import import_tensorflow

Loss = Literal["binary_crossentropy", "bpr", "sampled_softmax", "softmax"]
Optimizer = Literal["adam", "sgd"]

# Adam's constants, those of the Adam paper and (epsilon) of Keras.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

# Rows that one call of the compiled program trains on: enough for the cost of the call to vanish,
# few enough for the negatives to need no memory of account.
_CHUNK_ROWS = 2**15

# Tables of fewer rows are filled up to a power of two: memory of no account.
_LARGE_TABLE = 2**16


@dataclass(frozen=True)
class TrainingRows:
    """What one epoch goes through.

    Attributes
    ----------
    users, items : ndarray of shape (n_rows,)
        Indices.
    labels : ndarray of shape (n_rows,) or None
        In [0, 1]; None means 1 each.
    weights : ndarray of shape (n_rows,) or None
        Weight of each row, and of the negatives drawn for it; None means 1 each.
    unseen : UnseenItems or None
        Where negatives come from; None draws none. Asked by user, or, with histories, by item.
    histories : Histories or None
        What each row's user had before it, if the network has a history encoder.
    """

    users: Codes
    items: Codes
    labels: Float32s | None
    weights: Float32s | None
    unseen: UnseenItems | None
    histories: Histories | None = None


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: the parameters of `NeuMFRecommender` of the same names, and the optimizer."""

    loss: Loss
    n_negatives: int
    batch_size: int
    learning_rate: float
    regularization: float
    dropout: float
    optimizer: Optimizer = "adam"


@dataclass(frozen=True)
class AdamState:
    """What Adam knows of the steps before.

    Attributes
    ----------
    tables : dict of ndarray of shape (n, 2 * width)
        Both moments of each row, side by side, by the name of the table. Rows that have never been
        trained on may be missing at the end.
    shared : ndarray of shape (1, 2 * n_weights)
        Those of the weights that all rows share.
    n_steps : int
        Number of steps.
    """

    tables: dict[str, Float32s]
    shared: Float32s
    n_steps: int


class Trainer:
    """Holds the network and Adam's state as TensorFlow variables and trains epoch by epoch.

    Parameters
    ----------
    network : Network
        Initial weights.
    rows : TrainingRows
        Training data.
    settings : TrainingSettings
        How to train.
    rng : Generator
        Gives the order of the rows, the negatives and dropout.
    adam : AdamState or None
        Where an earlier training of the network left off.
    """

    def __init__(
        self,
        network: Network,
        rows: TrainingRows,
        settings: TrainingSettings,
        rng: np.random.Generator,
        adam: AdamState | None = None,
    ) -> None:
        tf = import_tensorflow()
        encoder = network.encoder
        tables = {"users": network.users, "items": network.items}
        shared = network.layers.arrays()
        if encoder is not None:
            no_item = np.zeros_like(encoder.items[:1])
            tables |= {"users": encoder.users, "history": np.vstack([encoder.items, no_item])}
            shared = [*shared, encoder.recency, *encoder.hidden]
        tables = {name: table for name, table in tables.items() if table.shape[1]}
        self._table_shapes = {name: table.shape for name, table in tables.items()}
        self._rows = rows
        self._rng = rng
        self._n_drawn = settings.n_negatives if rows.unseen is not None else 0
        # Positives and negatives fill a batch together, as in the paper.
        self._batch_rows = min(len(rows.users), max(1, settings.batch_size // (1 + self._n_drawn)))
        self._chunk_batches = min(
            _round_up(math.ceil(len(rows.users) / self._batch_rows)),
            _round_up(max(1, _CHUNK_ROWS // self._batch_rows)),
        )
        flat = np.concatenate([array.ravel() for array in shared])
        moments = {} if adam is None else adam.tables
        self._state = _State(
            {
                name: tf.Variable(_packed(tf, table, moments.get(name)))
                for name, table in tables.items()
            },
            tf.Variable(_packed(tf, flat[None], None if adam is None else adam.shared)),
        )
        rates = settings.learning_rate, settings.regularization, settings.dropout
        rates = tuple(tf.constant(rate, tf.float32) for rate in rates)
        self._rates = _Rates(*rates, tf.constant(len(network.items)))
        self._n_steps = 0 if adam is None else adam.n_steps
        self._sizes = _Sizes(
            tuple((name, table.shape[0]) for name, table in self._state.tables.items()),
            network.layers.n_factors,
            tuple(array.shape for array in network.layers.arrays()),
            tuple(array.shape for array in shared[len(network.layers.arrays()) :]),
            self._batch_rows,
            self._chunk_batches,
            self._n_drawn,
        )
        self._kind = (settings.loss, settings.dropout > 0, settings.optimizer)
        self._with_xla = True

    @property
    def n_samples(self) -> int:
        """Samples of an epoch, positives and negatives together."""
        return len(self._rows.users) * (1 + self._n_drawn)

    def run_epoch(self) -> float:
        """Go once through all rows in a new order; return the mean loss per row."""
        # int32: `permutation` of a number would be twice as large.
        order = np.arange(len(self._rows.users), dtype=np.int32)
        self._rng.shuffle(order)
        n = self._chunk_batches * self._batch_rows
        chunks = (self._make_chunk(order[start : start + n]) for start in range(0, len(order), n))
        return sum(map(self._train_chunk, chunks)) / len(order)

    def network(self) -> Network:
        """Return the weights as they are now, users as after their last row."""
        return self._network(
            {
                name: _copy(self._state.tables[name], n_rows, slice(width))
                for name, (n_rows, width) in self._table_shapes.items()
            }
        )

    def adam(self) -> AdamState:
        """Return Adam as it is now."""
        return self._adam(
            {
                name: _copy(self._state.tables[name], n_rows, slice(width, None))
                for name, (n_rows, width) in self._table_shapes.items()
            }
        )

    def finish(self) -> tuple[Network, AdamState]:
        """Return both; the trainer gives its memory away, table by table, and cannot go on."""
        tf = import_tensorflow()
        weights, moments = {}, {}
        for name, (n_rows, width) in self._table_shapes.items():
            with tf.device("CPU"):
                table = tf.identity(self._state.tables.pop(name))
            # The memory of the table itself: a copy of the moments would be twice the weights.
            packed = np.asarray(memoryview(table))[:n_rows]
            weights[name], moments[name] = packed[:, :width].copy(), packed[:, width:]
        return self._network(weights), self._adam(moments)

    def _network(self, tables: dict[str, Float32s]) -> Network:
        n_weights = self._state.shared.shape[1] // 3
        flat = _copy(self._state.shared, 1, slice(n_weights))[0]
        shapes = self._sizes.shared_shapes
        parts = np.split(flat, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
        arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        n_arrays = len(self._sizes.layer_shapes)
        layers = Layers.from_arrays(self._sizes.n_factors, arrays[:n_arrays])
        if self._rows.histories is None:
            return Network(tables["users"], tables["items"], layers)
        last = self._rows.histories.last()
        users = tables.get("users", np.empty((len(last), 0), np.float32))
        recency, *hidden = arrays[n_arrays:]
        encoder = HistoryEncoder(users, tables["history"][:-1], recency, tuple(hidden))
        vectors = encoder.encode(np.arange(len(last)), last)
        return Network(vectors, tables["items"], layers, encoder)

    def _adam(self, moments: dict[str, Float32s]) -> AdamState:
        n_weights = self._state.shared.shape[1] // 3
        shared = _copy(self._state.shared, 1, slice(n_weights, None))
        return AdamState(moments, shared, self._n_steps)

    def _make_chunk(self, order: Codes) -> _Chunk:
        """Return the rows in this order, with new negatives."""
        rows, n_rows = self._rows, len(order)
        batches = (self._chunk_batches, self._batch_rows)
        # Filled up with the last row, so that an unfinished batch touches nothing else.
        order = np.pad(order, (0, math.prod(batches) - n_rows), mode="edge")
        users, items = (c[order].astype(np.int32, copy=False) for c in (rows.users, rows.items))
        candidates = np.repeat(items[:, None], 1 + self._n_drawn, axis=1)
        if rows.unseen is not None:
            asked = users if rows.histories is None else items
            candidates[:n_rows, 1:] = sample_unseen_items(
                rows.unseen, asked[:n_rows], self._n_drawn, self._rng
            )
        labels, weights = (
            np.ones(len(order), np.float32) if column is None else column[order]
            for column in (rows.labels, rows.weights)
        )
        weights[n_rows:] = 0
        indices: dict[str, Codes] = {"users": users, "items": candidates}
        if rows.histories is not None:
            indices["history"] = rows.histories.before(order)
        return _Chunk(
            {name: indices[name].reshape(*batches, -1) for name in self._table_shapes},
            labels.reshape(batches),
            weights.reshape(batches),
            np.int32(n_rows),
            self._rng.integers(2**30, size=2, dtype=np.int32),
        )

    def _train_chunk(self, chunk: _Chunk) -> float:
        """Train on a chunk, without XLA where XLA cannot; return the sum of its losses."""
        tf = import_tensorflow()
        tensors = tf.nest.map_structure(tf.constant, chunk)
        arguments = (self._state, tensors, self._rates, tf.constant(self._n_steps))
        self._n_steps += math.ceil(chunk.n_rows / self._batch_rows)
        if self._with_xla:
            try:
                compiled = _compile_run(self._sizes, *self._kind, with_xla=True)
                return float(_called(compiled, arguments))
            except tf.errors.ResourceExhaustedError:
                raise
            except tf.errors.OpError as error:
                # What XLA cannot compile has changed nothing yet.
                warnings.warn(
                    f"XLA could not compile the training step, which will be slower without it: "
                    f"{error.message}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                self._with_xla = False
        uncompiled = _compile_run(self._sizes, *self._kind, with_xla=False)
        return float(_called(uncompiled, arguments))


def _called(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Call a tf.function; called by itself, it would warn of retracing in a search over sizes."""
    return function.get_concrete_function(*arguments)(*arguments)


def _round_up(n: int) -> int:
    """Return a power of two of at least n, so that tables of similar size share compiled code."""
    return 1 << (n - 1).bit_length()


class _Sizes(NamedTuple):
    """What fixes the shapes of a training step, and with them its compiled code."""

    table_rows: tuple[tuple[str, int], ...]
    n_factors: int
    layer_shapes: tuple[tuple[int, ...], ...]
    encoder_shapes: tuple[tuple[int, ...], ...]
    batch_rows: int
    chunk_batches: int
    n_drawn: int

    @property
    def n_dropped(self) -> int:
        """Number of values that dropout acts on, per sample."""
        return self.n_factors + sum(shape[0] for shape in self.layer_shapes[1:-1:2])

    @property
    def shared_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of all shared weights: the layers', then those of the history encoder."""
        return self.layer_shapes + self.encoder_shapes


class _State(NamedTuple):
    """Variables: weights and Adam's moments, side by side in each row; tables by name."""

    tables: dict[str, Any]
    shared: Any


class _Chunk(NamedTuple):
    """Rows to train on, batch by batch, as arrays or tensors; the first `n_rows` count.

    Indices into each table have shape (n_batches, batch_rows, n_per_row), labels and weights lack
    the last dimension. The seed is that of dropout.
    """

    indices: dict[str, Any]
    labels: Any
    weights: Any
    n_rows: Any
    seed: Any


class _Rates(NamedTuple):
    """Numbers that may change without compiling anew."""

    learning_rate: Any
    regularization: Any
    dropout: Any
    n_items: Any


@lru_cache(maxsize=64)
def _compile_run(
    sizes: _Sizes, loss: Loss, with_dropout: bool, optimizer: Optimizer, with_xla: bool
) -> Any:
    """Return the compiled function that trains on a chunk of rows, batch by batch.

    It holds no data and no weights, so that every fit of the same sizes shares it.
    """
    tf = import_tensorflow()
    step = _make_step(tf, sizes, loss, with_dropout)
    update = {"adam": _adam, "sgd": _sgd}[optimizer]

    @tf.function(autograph=False, jit_compile=with_xla)
    def run(state: _State, chunk: _Chunk, rates: _Rates, steps_before: Any) -> Any:
        def train_batch(i: Any, total: Any, state: _State, owners: Any) -> tuple[Any, ...]:
            indices = {name: tf.reshape(every[i], (-1,)) for name, every in chunk.indices.items()}
            # Where a history has no item, -1, the row behind all items stands in.
            places = {
                name: tf.where(index < 0, state.tables[name].shape[0] - 1, index)
                for name, index in indices.items()
            }
            if loss == "softmax":
                places["items"] = tf.range(state.tables["items"].shape[0])
            rows = {name: tf.gather(state.tables[name], place) for name, place in places.items()}
            (gradients, of_shared), batch_loss = step(
                {name: row[:, : row.shape[1] // 3] for name, row in rows.items()},
                state.shared[:, : state.shared.shape[1] // 3],
                indices["items"],
                chunk.labels[i],
                chunk.weights[i],
                indices["history"] >= 0 if "history" in indices else None,
                tf.minimum(chunk.n_rows - i * sizes.batch_rows, sizes.batch_rows),
                rates,
                chunk.seed + tf.stack([0, i]),
            )
            t = tf.cast(steps_before + i + 1, tf.float32)
            tables, new_owners = {}, {}
            for name, place in places.items():
                summed, new_owners[name] = _sum_over_duplicates(
                    tf, gradients[name], place, owners[name]
                )
                trained = update(tf, rows[name], summed, rates.learning_rate, t)
                tables[name] = _write(tf, state.tables[name], place, trained)
            shared = update(tf, state.shared, of_shared, rates.learning_rate, t)
            total += tf.cast(batch_loss, tf.float64)
            return i + 1, total, _State(tables, shared), new_owners

        n_batches = (chunk.n_rows + sizes.batch_rows - 1) // sizes.batch_rows
        start = (
            tf.constant(0),
            tf.constant(0.0, tf.float64),
            tf.nest.map_structure(lambda variable: variable.read_value(), state),
            {name: tf.zeros(n_rows, tf.int32) for name, n_rows in sizes.table_rows},
        )
        _, total, trained, _ = tf.while_loop(lambda i, *_: i < n_batches, train_batch, start)
        tf.nest.map_structure(lambda variable, value: variable.assign(value), state, trained)
        return total

    return run


def _sum_over_duplicates(tf: Any, gradients: Any, indices: Any, owners: Any) -> tuple[Any, Any]:
    """Return for each place of a batch the sum of the gradients of all places with its index.

    `owners` has an entry per index of the table. Places with the same index agree there on one of
    them, and its slot holds the sum: a batch needs no sorting, and nothing as long as the table.
    """
    n = indices.shape[0]
    owners = _write(tf, owners, indices, tf.range(n))
    owner = tf.gather(owners, indices)
    return tf.gather(tf.math.unsorted_segment_sum(gradients, owner, n), owner), owners


def _write(tf: Any, table: Any, indices: Any, rows: Any) -> Any:
    """Return the table with these rows; equal indices bring equal rows, or any of them will do."""
    return tf.tensor_scatter_nd_update(table, indices[:, None], rows)


def _make_step(tf: Any, sizes: _Sizes, loss: Loss, with_dropout: bool) -> Any:
    """Return the function that gives the gradients and the summed loss of a batch."""
    n_batch, n_candidates = sizes.batch_rows, 1 + sizes.n_drawn
    n_noise = n_batch * n_candidates * sizes.n_dropped
    row_losses = {
        "binary_crossentropy": _binary_crossentropy,
        "bpr": _bpr,
        "sampled_softmax": _sampled_softmax,
    }

    def step(
        rows: dict[str, Any],
        shared: Any,
        own_items: Any,
        labels: Any,
        row_weights: Any,
        present: Any,
        n_real: Any,
        rates: _Rates,
        seed: Any,
    ) -> Any:
        dropout = (
            _make_dropout(tf, rates.dropout, _noise(tf, n_noise, seed))
            if with_dropout
            else lambda x: x
        )
        real = tf.cast(tf.range(n_batch) < n_real, tf.float32)
        n = tf.cast(n_real, tf.float32)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((rows, shared))
            layers, encoder = _unpack_shared(tf, shared, sizes)
            items = rows["items"]
            if loss == "softmax":
                items = tf.gather(items, own_items)
            items = tf.reshape(items, (n_batch, n_candidates, -1))
            # Per sample: a row's user stands in all of its samples, each item in one.
            norms = tf.reduce_sum(items**2, (1, 2)) / n_candidates
            kernels = [tf.reduce_sum(kernel**2) for kernel in layers.arrays()[::2]]
            users = rows.get("users", 0.0)
            if "users" in rows:
                norms += tf.reduce_sum(users**2, 1)
            if encoder:
                recency, *hidden = encoder
                present = tf.reshape(present, (n_batch, -1))
                history = tf.reshape(rows["history"], (*present.shape, -1))
                users = encode_histories(tf, users, history, present, recency, hidden)
                norms += _mean_norm(tf, history, present)
                kernels.append(tf.reduce_sum(recency**2) / recency.shape[0])
                kernels += [tf.reduce_sum(kernel**2) for kernel in hidden[::2]]
            if loss == "softmax":
                scores = gmf_logits(tf, layers, dropout(users), rows["items"])
                losses = _softmax(tf, scores, own_items, rates.n_items)
            else:
                losses = row_losses[loss](tf, logits(tf, layers, users, items, dropout), labels)
            losses = row_weights * losses
            penalty = tf.reduce_sum(real * norms) / n + tf.add_n(kernels)
            objective = tf.reduce_sum(losses) / n + rates.regularization * penalty
        return tape.gradient(objective, (rows, shared)), tf.reduce_sum(losses)

    return step


def _mean_norm(tf: Any, items: Any, present: Any) -> Any:
    """Return the mean squared norm of the items of each history."""
    present = tf.cast(present, tf.float32)
    norms = tf.reduce_sum(items**2, 2) * present
    return tf.reduce_sum(norms, 1) / tf.maximum(tf.reduce_sum(present, 1), 1.0)


def _unpack_shared(tf: Any, flat: Any, sizes: _Sizes) -> tuple[Layers, list[Any]]:
    """Cut the one row of shared weights into layers and the arrays of the history encoder."""
    shapes = sizes.shared_shapes
    parts = tf.split(flat[0], [math.prod(shape) for shape in shapes])
    arrays = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    n_arrays = len(sizes.layer_shapes)
    return Layers.from_arrays(sizes.n_factors, arrays[:n_arrays]), arrays[n_arrays:]


def _adam(tf: Any, packed: Any, gradient: Any, learning_rate: Any, t: Any) -> Any:
    """Return packed rows after the t-th step of Adam (Kingma and Ba 2015)."""
    weights, mean, square = tf.split(packed, 3, axis=1)
    mean = _BETA_1 * mean + (1 - _BETA_1) * gradient
    square = _BETA_2 * square + (1 - _BETA_2) * gradient**2
    step_size = learning_rate * tf.sqrt(1 - _BETA_2**t) / (1 - _BETA_1**t)
    weights = weights - step_size * mean / (tf.sqrt(square) + _EPSILON)
    return tf.concat([weights, mean, square], axis=1)


def _sgd(tf: Any, packed: Any, gradient: Any, learning_rate: Any, t: Any) -> Any:
    """Return packed rows after a step against the gradient."""
    weights, *moments = tf.split(packed, 3, axis=1)
    return tf.concat([weights - learning_rate * gradient, *moments], axis=1)


def _noise(tf: Any, n: int, seed: Any) -> Any:
    """Return n numbers in [0, 1): a hash of place and seed, since XLA's own are slow on a CPU.

    The mixing steps are those of the finalizer of MurmurHash3 (32 bits).
    """

    def mix(bits: Any) -> Any:
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            bits ^= tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32))
            bits *= tf.constant(factor, tf.uint32)
        return bits ^ tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))

    seed = tf.cast(seed, tf.uint32)
    bits = mix(mix(tf.cast(tf.range(n), tf.uint32) + mix(seed[0])) + mix(seed[1]))
    top = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))
    return tf.cast(tf.cast(top, tf.int32), tf.float32) * 2.0**-24


def _make_dropout(tf: Any, rate: Any, noise: Any) -> Callable[[Any], Any]:
    """Return a function that sets a share of values to 0; each call takes its part of the noise."""
    used = 0

    def dropout(values: Any) -> Any:
        nonlocal used
        part = tf.reshape(noise[used : used + values.shape.num_elements()], values.shape)
        used += values.shape.num_elements()
        return tf.where(part >= rate, values / (1 - rate), 0.0)

    return dropout


def _binary_crossentropy(tf: Any, scores: Any, labels: Any) -> Any:
    """Return the mean over a row's candidates (equation 7 of the paper); negatives have label 0."""
    targets = tf.pad(labels[:, None], [[0, 0], [0, scores.shape[1] - 1]])
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=scores), axis=1
    )


def _bpr(tf: Any, scores: Any, labels: Any) -> Any:
    """Return -log sigmoid(positive - negative), the mean over a row's negatives."""
    return tf.reduce_mean(tf.nn.softplus(scores[:, 1:] - scores[:, :1]), axis=1)


def _sampled_softmax(tf: Any, scores: Any, labels: Any) -> Any:
    """Return -log softmax of the positive among its row's candidates."""
    return tf.reduce_logsumexp(scores, axis=1) - scores[:, 0]


def _softmax(tf: Any, scores: Any, own_items: Any, n_items: Any) -> Any:
    """Return -log softmax of each row's own item among all items, spare rows of the table left out.

    Scores have shape (n_batch, n_table_rows).
    """
    numbers = tf.range(scores.shape[1])
    scores = tf.where(numbers < n_items, scores, -np.inf)
    own = tf.reduce_sum(tf.where(numbers == own_items[:, None], scores, 0.0), 1)
    return tf.reduce_logsumexp(scores, axis=1) - own


def _packed(tf: Any, weights: Float32s, moments: Float32s | None) -> Any:
    """Put both Adam moments beside each row, and spare rows below a small table."""
    n_rows, width = weights.shape
    n_spare = _round_up(n_rows) - n_rows if n_rows < _LARGE_TABLE else 0
    if moments is None:
        return tf.pad(weights, ((0, n_spare), (0, 2 * width)))
    moments = np.pad(moments, ((0, n_rows - len(moments)), (0, 0)))
    return tf.pad(np.hstack([weights, moments]), ((0, n_spare), (0, 0)))


def _copy(packed: Any, n_rows: int, columns: slice) -> Float32s:
    """Return these columns: block by block, since TensorFlow makes a copy of its own of each."""
    n_columns = len(range(*columns.indices(packed.shape[1])))
    copied = np.empty((n_rows, n_columns), dtype=np.float32)
    for start in range(0, n_rows, _LARGE_TABLE):
        end = min(start + _LARGE_TABLE, n_rows)
        copied[start:end] = packed[start:end, columns].numpy()
    return copied


@dataclass(frozen=True)
class Trained:
    """What `train` gives.

    Attributes
    ----------
    network : Network
        Weights of the best epoch by validation, or of the last one without validation.
    adam : AdamState
        Adam as it was then.
    losses, values : list of float
        Mean training loss and validation value of each epoch; `values` is empty without validation.
    best_epoch : int
        The epoch of the weights, from 1.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    network: Network
    adam: AdamState
    losses: list[float]
    values: list[float]
    best_epoch: int
    interrupted: bool


class EpochReport(NamedTuple):
    """What an epoch came to: its number, loss, validation value, and the seconds it trained."""

    epoch: int
    loss: float
    value: float | None
    seconds: float


class Watcher(Protocol):
    """What `train` tells of its epochs."""

    def begin_epoch(self) -> None:
        """Hear that an epoch begins."""

    def end_epoch(self, report: EpochReport, network: Callable[[], Network]) -> bool:
        """Hear what it came to, and where to get the weights; say whether to stop."""


def train(
    trainer: Trainer,
    epochs: int,
    validate: Callable[[Network], float] | None,
    patience: int,
    watcher: Watcher,
) -> Trained:
    """Train for some epochs, or until `patience` epochs have not bettered the validation value.

    Ctrl-C ends the training, with what was learned until then, if an epoch is done.
    """
    losses: list[float] = []
    values: list[float] = []
    best: tuple[Network, AdamState] | None = None
    best_epoch = 0
    interrupted = False
    try:
        for epoch in range(1, epochs + 1):
            watcher.begin_epoch()
            start = time.perf_counter()
            loss = trainer.run_epoch()
            seconds = time.perf_counter() - start
            if not math.isfinite(loss):
                raise ValueError(
                    f"Training diverged: the loss of epoch {epoch} is {loss}. Lower learning_rate."
                )
            value = None
            if validate is not None:
                network = trainer.network()
                value = validate(network)
                if best is None or value > values[best_epoch - 1]:
                    best, best_epoch = (network, trainer.adam()), epoch
                values.append(value)
            losses.append(loss)
            report = EpochReport(epoch, loss, value, seconds)
            stop = watcher.end_epoch(report, trainer.network)
            if stop or (best is not None and epoch - best_epoch >= patience):
                break
    except KeyboardInterrupt:
        if not losses:
            raise
        interrupted = True
        warnings.warn(
            f"Training was interrupted after {len(losses)} of {epochs} epochs; what was learned "
            "until then is kept.",
            RuntimeWarning,
            stacklevel=2,
        )
    network, adam = best or trainer.finish()
    return Trained(network, adam, losses, values, best_epoch or len(losses), interrupted)
