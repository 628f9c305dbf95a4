"""Train a network: whole epochs as one compiled TensorFlow graph.

A batch is a number of rows, each with its negatives. Every step gathers the rows of the users and
items it needs, runs the network forward and backward and Adam in one XLA kernel, and writes the
rows back. A row of a table carries its two Adam moments beside its weights, so each is one gather
and one scatter. Rows that a batch does not touch do not move ("lazy" Adam): a step costs the same
for a thousand items and for a million.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from tempfile import TemporaryFile
from typing import Any, Literal, NamedTuple

import numpy as np

from ._interactions import Codes
from ._network import Floats, Layers, Network, logits
from ._sampling import UnseenItems

Loss = Literal["binary_crossentropy", "bpr", "sampled_softmax"]

# Adam's constants, those of the Adam paper and (epsilon) of Keras.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

# Rows whose negatives are drawn at once: large enough for the cost to vanish, small enough
# for memory not to grow with the data.
_CHUNK_ROWS = 2**18


@dataclass(frozen=True)
class TrainingRows:
    """What one epoch goes through.

    Attributes
    ----------
    users, items : ndarray of shape (n_rows,)
        Indices.
    labels : ndarray of shape (n_rows,)
        In [0, 1]; all 1 where negatives are drawn.
    weights : ndarray of shape (n_rows,)
        Weight of each row, and of the negatives drawn for it.
    unseen : UnseenItems or None
        Where negatives come from; None draws none.
    """

    users: Codes
    items: Codes
    labels: Floats
    weights: Floats
    unseen: UnseenItems | None


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: the parameters of `NeuMFRecommender` of the same names."""

    loss: Loss
    n_negatives: int
    batch_size: int
    learning_rate: float
    regularization: float
    dropout: float


@cache
def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up messages, unless the user asks for a log level."""
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        import tensorflow as tf

        return tf
    # TensorFlow reads the level once. Some messages come whatever it is
    # (tensorflow/tensorflow#100442), and XLA announces its first compilation.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        with _stderr_held_back():
            import tensorflow as tf

            tf.function(lambda: tf.constant(0), jit_compile=True)()
    finally:
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]
    return tf


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keep what C++ code writes to stderr to ourselves, but show it if the block fails."""
    if sys.stderr is None:  # no terminal, as for a service
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


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
    """

    def __init__(
        self,
        network: Network,
        rows: TrainingRows,
        settings: TrainingSettings,
        rng: np.random.Generator,
    ) -> None:
        tf = import_tensorflow()
        self._layers = network.layers
        self._rows = rows
        self._rng = rng
        self._n_drawn = settings.n_negatives if rows.unseen is not None else 0
        # Positives and negatives fill a batch together, as in the paper.
        self._batch_rows = min(len(rows.users), max(1, settings.batch_size // (1 + self._n_drawn)))
        shared = np.concatenate([array.ravel() for array in network.layers.arrays()])
        self._state = _State(
            *(
                tf.Variable(_with_moments(weights))
                for weights in (network.users, network.items, shared[None])
            )
        )
        self._unseen = _unseen_tensors(tf, rows.unseen)
        self._rates = _Rates(
            *(
                tf.constant(rate, tf.float32)
                for rate in (settings.learning_rate, settings.regularization, settings.dropout)
            )
        )
        self._n_steps = 0
        sizes = _Sizes(
            network.layers.n_factors,
            tuple(array.shape for array in network.layers.arrays()),
            self._batch_rows,
            self._n_drawn,
        )
        self._run = _compile_run(sizes, settings.loss, settings.dropout > 0)

    def run_epoch(self) -> float:
        """Go once through all rows in a new order; return the mean loss per row."""
        order = self._rng.permutation(len(self._rows.users))
        chunk = max(1, _CHUNK_ROWS // self._batch_rows) * self._batch_rows
        total = sum(self._run_rows(order[i : i + chunk]) for i in range(0, len(order), chunk))
        return total / len(order)

    def network(self) -> Network:
        """Return the weights as they are now."""
        users, items, shared = (_without_moments(variable.numpy()) for variable in self._state)
        shapes = [array.shape for array in self._layers.arrays()]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        arrays = [
            part.reshape(shape)
            for part, shape in zip(np.split(shared[0], ends[:-1]), shapes, strict=True)
        ]
        return Network(users, items, Layers.from_arrays(self._layers.n_factors, arrays))

    def _run_rows(self, order: Codes) -> float:
        """Train on the rows in this order; return the sum of their losses."""
        tf = import_tensorflow()
        rows = self._rows
        n_batches = math.ceil(len(order) / self._batch_rows)
        # The last batch is filled up with a row that it holds already, at weight 0.
        filled = np.pad(order, (0, n_batches * self._batch_rows - len(order)), mode="edge")
        weights = rows.weights[filled]
        weights[len(order) :] = 0
        arguments = (
            self._state,
            self._unseen,
            _Chunk(
                tf.constant(rows.users[filled], tf.int32),
                tf.constant(rows.items[filled], tf.int32),
                tf.constant(rows.labels[filled], tf.float32),
                tf.constant(weights, tf.float32),
                tf.constant(len(order), tf.int32),
            ),
            self._rates,
            tf.constant(self._n_steps, tf.int32),
            tf.constant(self._rng.integers(2**30, size=2), tf.int32),
        )
        # Called by itself, the function would warn of retracing in a search over sizes.
        loss = self._run.get_concrete_function(*arguments)(*arguments)
        self._n_steps += n_batches
        return float(loss)


class _Sizes(NamedTuple):
    """What fixes the shapes of a training step, and with them its compiled code."""

    n_factors: int
    layer_shapes: tuple[tuple[int, ...], ...]
    batch_rows: int
    n_drawn: int

    @property
    def n_dropped(self) -> int:
        """Number of values that dropout acts on, per sample."""
        return self.n_factors + sum(shape[0] for shape in self.layer_shapes[1:-1:2])


class _State(NamedTuple):
    """Variables: weights and Adam's moments, side by side in each row."""

    users: Any
    items: Any
    shared: Any


class _Chunk(NamedTuple):
    """Rows to train on, as tensors, filled up to whole batches; the first `n_rows` count."""

    users: Any
    items: Any
    labels: Any
    weights: Any
    n_rows: Any


class _Rates(NamedTuple):
    """Numbers that may change without compiling anew."""

    learning_rate: Any
    regularization: Any
    dropout: Any


class _UnseenTensors(NamedTuple):
    """`UnseenItems` as tensors; the last two are None where all items have weight 1."""

    keys: Any
    indptr: Any
    n_tickets: Any
    stride: Any
    seen_tickets: Any
    last_tickets: Any


def _unseen_tensors(tf: Any, unseen: UnseenItems | None) -> _UnseenTensors | None:
    if unseen is None:
        return None
    weighted = unseen.last_tickets is not None
    return _UnseenTensors(
        tf.constant(unseen.keys),
        tf.constant(unseen.indptr),
        tf.constant(unseen.n_tickets),
        tf.constant(unseen.n_total + 1, tf.int64),
        tf.constant(unseen.seen_tickets) if weighted else None,
        tf.constant(unseen.last_tickets) if weighted else None,
    )


def _draw_unseen(tf: Any, unseen: Any, users: Any, n_drawn: int, seed: Any) -> Any:
    """Draw items, shape (n_rows, n_drawn), as `sample_unseen_items` does, in the graph."""
    users = tf.repeat(users, n_drawn)
    # 64 random bits: the remainder favours no item by more than n_items / 2**63.
    bits = tf.random.stateless_uniform(
        tf.shape(users), seed, minval=None, maxval=None, dtype=tf.int64
    )
    tickets = tf.math.floormod(bits, tf.gather(unseen.n_tickets, users))
    queries = tf.cast(users, tf.int64) * unseen.stride + tickets
    passed = tf.searchsorted(unseen.keys, queries, side="right", out_type=tf.int64)
    first = tf.gather(unseen.indptr, users)
    if unseen.last_tickets is None:
        items = tickets + passed - first
    else:
        skipped = tf.gather(unseen.seen_tickets, passed) - tf.gather(unseen.seen_tickets, first)
        items = tf.searchsorted(
            unseen.last_tickets, tickets + skipped, side="right", out_type=tf.int64
        )
    return tf.reshape(tf.cast(items, tf.int32), (-1, n_drawn))


@lru_cache(maxsize=64)
def _compile_run(sizes: _Sizes, loss: Loss, with_dropout: bool) -> Any:
    """Return the compiled function that trains on a chunk of rows, batch by batch.

    It holds no data and no weights, so that every fit of the same sizes shares it.
    """
    tf = import_tensorflow()
    n_batch, n_candidates = sizes.batch_rows, 1 + sizes.n_drawn
    n_noise = n_batch * n_candidates * sizes.n_dropped if with_dropout else 0
    step = _compile_step(sizes, loss, with_dropout)

    @tf.function(autograph=False, reduce_retracing=True)
    def run(
        state: _State, unseen: Any, chunk: _Chunk, rates: _Rates, steps_before: Any, seed: Any
    ) -> Any:
        candidates = chunk.items[:, None]
        if sizes.n_drawn:
            drawn = _draw_unseen(tf, unseen, chunk.users, sizes.n_drawn, seed)
            # Rows that only fill the last batch must touch no item of their own.
            real = tf.range(tf.size(chunk.users)) < chunk.n_rows
            drawn = tf.where(real[:, None], drawn, candidates)
            candidates = tf.concat([candidates, drawn], axis=1)

        def train_batch(i: Any, total: Any) -> tuple[Any, Any]:
            batch = slice(i * n_batch, (i + 1) * n_batch)
            users, user_rows, user_place = _gather(tf, state.users, chunk.users[batch], n_batch)
            items, item_rows, item_place = _gather(
                tf, state.items, tf.reshape(candidates[batch], (-1,)), n_batch * n_candidates
            )
            updated, batch_loss = step(
                (user_rows, item_rows, state.shared.read_value()),
                (user_place, item_place),
                tf.ensure_shape(chunk.labels[batch], (n_batch,)),
                tf.ensure_shape(chunk.weights[batch], (n_batch,)),
                tf.minimum(chunk.n_rows - i * n_batch, n_batch),
                steps_before + i + 1,
                rates,
                # Drawn here, since XLA's own random numbers are slow on a CPU.
                tf.random.stateless_uniform((n_noise,), seed + tf.stack([1, i])),
            )
            _scatter(tf, state.users, users, updated[0])
            _scatter(tf, state.items, items, updated[1])
            state.shared.assign(updated[2])
            return i + 1, total + tf.cast(batch_loss, tf.float64)

        n_batches = tf.size(chunk.users) // n_batch
        zero = tf.constant(0.0, tf.float64)
        return tf.while_loop(lambda i, _: i < n_batches, train_batch, (0, zero))[1]

    return run


def _gather(tf: Any, table: Any, indices: Any, size: int) -> tuple[Any, Any, Any]:
    """Return each index once, its row (filled up to `size` rows), and the place of each index."""
    unique, place = tf.unique(indices)
    filled = tf.pad(unique, [[0, size - tf.size(unique)]])
    rows = tf.ensure_shape(tf.gather(table, filled), (size, table.shape[1]))
    return unique, rows, tf.ensure_shape(place, (size,))


def _scatter(tf: Any, table: Any, indices: Any, rows: Any) -> None:
    """Write rows back; those that `_gather` filled up with are left out."""
    tf.raw_ops.ResourceScatterUpdate(
        resource=table.handle, indices=indices, updates=rows[: tf.size(indices)]
    )


def _compile_step(sizes: _Sizes, loss: Loss, with_dropout: bool) -> Any:
    """Return the compiled function that takes one step of Adam on the rows of a batch."""
    tf = import_tensorflow()
    n_batch, n_candidates = sizes.batch_rows, 1 + sizes.n_drawn
    row_loss = {
        "binary_crossentropy": _binary_crossentropy,
        "bpr": _bpr,
        "sampled_softmax": _sampled_softmax,
    }[loss]

    @tf.function(autograph=False, jit_compile=True)
    def step(
        packed: tuple[Any, Any, Any],
        places: tuple[Any, Any],
        labels: Any,
        weights: Any,
        n_real: Any,
        number: Any,
        rates: _Rates,
        noise: Any,
    ) -> Any:
        dropout = _make_dropout(tf, rates.dropout, noise) if with_dropout else lambda x: x
        variables = [_split_moments(tf, rows)[0] for rows in packed]
        real = tf.cast(tf.range(n_batch) < n_real, tf.float32)
        n = tf.cast(n_real, tf.float32)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            users = tf.gather(variables[0], places[0])
            items = tf.reshape(tf.gather(variables[1], places[1]), (n_batch, n_candidates, -1))
            layers = _unpack_layers(tf, variables[2], sizes)
            losses = weights * row_loss(tf, logits(tf, layers, users, items, dropout), labels)
            # Per sample: a row's user stands in all of its samples, each item in one.
            norms = tf.reduce_sum(users**2, 1) + tf.reduce_sum(items**2, (1, 2)) / n_candidates
            kernels = tf.add_n([tf.reduce_sum(kernel**2) for kernel in layers.arrays()[::2]])
            penalty = tf.reduce_sum(real * norms) / n + kernels
            objective = tf.reduce_sum(losses) / n + rates.regularization * penalty
        gradients = tape.gradient(objective, variables)
        t = tf.cast(number, tf.float32)
        step_size = rates.learning_rate * tf.sqrt(1 - _BETA_2**t) / (1 - _BETA_1**t)
        updated = [
            # The gradient of a gather is a sparse sum; made dense, it sums over duplicates.
            _adam(tf, rows, tf.convert_to_tensor(gradient), step_size)
            for rows, gradient in zip(packed, gradients, strict=True)
        ]
        return updated, tf.reduce_sum(losses)

    return step


def _unpack_layers(tf: Any, flat: Any, sizes: _Sizes) -> Layers:
    """Cut the one row of shared weights into layers."""
    parts = tf.split(flat[0], [math.prod(shape) for shape in sizes.layer_shapes])
    return Layers.from_arrays(
        sizes.n_factors,
        [tf.reshape(part, shape) for part, shape in zip(parts, sizes.layer_shapes, strict=True)],
    )


def _split_moments(tf: Any, packed: Any) -> Any:
    """Return the weights and both moments of packed rows."""
    return tf.split(packed, 3, axis=1)


def _adam(tf: Any, packed: Any, gradient: Any, learning_rate: Any) -> Any:
    """Return packed rows after one Adam step (Kingma and Ba 2015), the rate bias-corrected."""
    weights, mean, square = _split_moments(tf, packed)
    mean = _BETA_1 * mean + (1 - _BETA_1) * gradient
    square = _BETA_2 * square + (1 - _BETA_2) * gradient**2
    weights = weights - learning_rate * mean / (tf.sqrt(square) + _EPSILON)
    return tf.concat([weights, mean, square], axis=1)


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


def _with_moments(weights: Floats) -> Floats:
    """Put zeros for both Adam moments beside each row."""
    return np.pad(weights, ((0, 0), (0, 2 * weights.shape[1])))


def _without_moments(packed: Floats) -> Floats:
    return packed[:, : packed.shape[1] // 3].copy()


@dataclass(frozen=True)
class Trained:
    """What `train` gives.

    Attributes
    ----------
    network : Network
        Weights of the best epoch by validation, or of the last one without validation.
    losses, values : list of float
        Mean training loss and validation value of each epoch; `values` is empty without validation.
    best_epoch : int
        The epoch of the weights, from 1.
    """

    network: Network
    losses: list[float]
    values: list[float]
    best_epoch: int


def train(
    trainer: Trainer,
    epochs: int,
    validate: Callable[[Network], float] | None,
    patience: int,
    report: Callable[[int, float, float | None], None],
) -> Trained:
    """Train for some epochs, or until `patience` epochs have not bettered the validation value."""
    losses: list[float] = []
    values: list[float] = []
    best: Network | None = None
    best_epoch = 0
    for epoch in range(1, epochs + 1):
        losses.append(trainer.run_epoch())
        if not math.isfinite(losses[-1]):
            raise ValueError(
                f"Training diverged: the loss of epoch {epoch} is {losses[-1]}. Lower "
                "learning_rate."
            )
        if validate is not None:
            network = trainer.network()
            values.append(validate(network))
            if best is None or values[-1] > values[best_epoch - 1]:
                best, best_epoch = network, epoch
        report(epoch, losses[-1], values[-1] if values else None)
        if best is not None and epoch - best_epoch >= patience:
            break
    return Trained(best or trainer.network(), losses, values, best_epoch or epochs)
