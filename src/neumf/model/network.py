"""The NeuMF network: its weights, its equations, and the same as a Keras model.

The equations are those of He et al. 2017 (doi 10.1145/3038912.3052569). With h split in two, the
output layer over the joined halves, equation 12, is a sum of two products::

    GMF       phi_G = p_u * q_i                                      (9)
    MLP       phi_M = relu(W_L ... relu(W_1 [p'_u, q'_i] + b_1) ... + b_L)   (10)
    NeuMF     logit = h_G . phi_G + h_M . phi_M + b                  (12)

and the probability is the sigmoid of the logit. They are written once, for NumPy arrays and
TensorFlow tensors alike: `xp` is the module whose arrays come in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from neumf._arrays import Codes, Float32s

# Rows of the first hidden layer that are computed at once: enough for the matrix products,
# little enough for the processor's cache.
_BLOCK_SIZE = 2**15


@dataclass(frozen=True)
class Layers:
    """The weights that all users and items share (arrays, or tensors while training).

    Attributes
    ----------
    n_factors : int
        Width of the GMF half; 0 if there is none.
    hidden : tuple of (kernel, bias)
        Layers of the MLP half; empty if there is none. The first kernel has the rows for the
        user, then those for the item.
    output : tuple of (kernel, bias)
        h, shape (n_factors + width of the last layer, 1), and b, shape (1,).
    """

    n_factors: int
    hidden: tuple[tuple[Any, Any], ...]
    output: tuple[Any, Any]

    def arrays(self) -> list[Any]:
        """Return all weights, layer by layer."""
        return [array for layer in (*self.hidden, self.output) for array in layer]

    @classmethod
    def from_arrays(cls, n_factors: int, arrays: list[Any]) -> Layers:
        """Return layers with the weights in the order of `arrays`."""
        pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
        return cls(n_factors, tuple(pairs[:-1]), pairs[-1])


@dataclass(frozen=True)
class HistoryEncoder:
    """What makes a user's vector of the last items they had.

    Attributes
    ----------
    users : ndarray of shape (n_users, width) or (n_users, 0)
        What is added for a user whom training saw; width 0 if nothing is.
    items : ndarray of shape (n_items, width)
        What an item in a history stands for.
    recency : ndarray of shape (history_length, width)
        How much the items count, the newest first.
    hidden : tuple of ndarray
        Kernel, bias and output kernel of the hidden layer that refines the sum, of shapes
        (width, size), (size,) and (size, width); empty if there is none.
    """

    users: Float32s
    items: Float32s
    recency: Float32s
    hidden: tuple[Float32s, ...] = ()

    def encode(self, users: Codes, histories: Codes) -> Float32s:
        """Return the vectors of users (-1: unknown) with these histories, newest item first."""
        vectors = np.empty((len(users), self.items.shape[1]), dtype=np.float32)
        step = max(1, _BLOCK_SIZE // histories.shape[1])
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            own: Any = 0.0
            if self.users.shape[1]:
                own = np.where(users[block, None] < 0, np.float32(0), self.users[users[block]])
            present = histories[block] >= 0
            vectors[block] = encode_histories(
                np, own, self.items[histories[block]], present, self.recency, self.hidden
            )
        return vectors


@dataclass(frozen=True)
class Network:
    """The weights of a NeuMF network.

    Attributes
    ----------
    users, items : ndarray of shape (n, n_factors + mlp_embedding_dim)
        A row per user or item: its GMF vector, then its MLP vector.
    layers : Layers
        The shared weights.
    encoder : HistoryEncoder or None
        What made the vectors of the users, if they are not learned by themselves.
    """

    users: Float32s
    items: Float32s
    layers: Layers
    encoder: HistoryEncoder | None = None

    def score_candidates(self, users: Codes, items: Codes) -> Float32s:
        """Return logits of users, shape (n,), with their candidates, shape (n, n_candidates)."""
        step = max(1, _BLOCK_SIZE // items.shape[1])
        scores = np.empty(items.shape, dtype=np.float32)
        for i in range(0, len(users), step):
            block = slice(i, i + step)
            scores[block] = logits(
                np, self.layers, self.users[users[block]], self.items[items[block]]
            )
        return scores

    def score_items(self, users: Codes) -> Float32s:
        """Return the logits of users with every item, shape (len(users), n_items)."""
        layers, g = self.layers, self.layers.n_factors
        h, _ = layers.output
        rows = self.users[users]
        scores: Float32s = gmf_logits(np, layers, rows, self.items)
        if not layers.hidden:
            return scores
        of_users, of_items = _first_layer(layers, rows[:, g:], self.items[:, g:])
        step = max(1, _BLOCK_SIZE // len(of_items))
        for i in range(0, len(rows), step):
            first = of_users[i : i + step, None] + of_items
            output = _hidden_output(np, layers, first.reshape(-1, first.shape[-1])) @ h[g:]
            scores[i : i + step] += output.reshape(first.shape[:2])
        return scores


def initial_network(
    n_users: int,
    n_items: int,
    n_factors: int,
    mlp_embedding_dim: int,
    hidden_layer_sizes: tuple[int, ...],
    rng: np.random.Generator,
) -> Network:
    """Draw weights: tables N(0, 0.01), hidden layers Glorot uniform, h LeCun uniform."""
    width = n_factors + mlp_embedding_dim
    sizes = (2 * mlp_embedding_dim, *hidden_layer_sizes) if mlp_embedding_dim else (0,)
    n_inputs = n_factors + sizes[-1]
    return Network(
        users=_normal(rng, n_users, width),
        items=_normal(rng, n_items, width),
        layers=Layers(
            n_factors,
            hidden=tuple(
                (_uniform(rng, n_in, n_out, 6 / (n_in + n_out)), np.zeros(n_out, np.float32))
                for n_in, n_out in pairwise(sizes)
            ),
            output=(_uniform(rng, n_inputs, 1, 3 / n_inputs), np.zeros(1, np.float32)),
        ),
    )


def with_initial_encoder(
    network: Network,
    history_length: int,
    hidden_size: int,
    with_ids: bool,
    rng: np.random.Generator,
) -> Network:
    """Add a history encoder: its table N(0, 0.01), the weights of places falling from 1.

    Its hidden layer, of `hidden_size` units, starts at Glorot uniform and adds nothing at first.
    `with_ids` keeps the vectors of the users as what is added to the encoded history.
    """
    width = network.items.shape[1]
    places = np.arange(1, history_length + 1, dtype=np.float32)
    hidden: tuple[Float32s, ...] = ()
    if hidden_size:
        kernel = _uniform(rng, width, hidden_size, 6 / (width + hidden_size))
        zeros = np.zeros(hidden_size, np.float32), np.zeros((hidden_size, width), np.float32)
        hidden = (kernel, *zeros)
    encoder = HistoryEncoder(
        users=network.users if with_ids else network.users[:, :0],
        items=_normal(rng, len(network.items), width),
        recency=np.repeat(places[:, None] ** np.float32(-0.5), width, axis=1),
        hidden=hidden,
    )
    return replace(network, encoder=encoder)


def sizes_of(network: Network) -> list[Any]:
    """Return the sizes that are the same for any number of users and items."""
    layers, encoder = network.layers, network.encoder
    sizes = [layers.n_factors, *(array.shape for array in layers.arrays())]
    if encoder is None:
        return sizes
    arrays = encoder.recency, *encoder.hidden
    return [*sizes, encoder.users.shape[1], *(array.shape for array in arrays)]


def grow_network(network: Network, new: Network) -> Network:
    """Add the users and items of a new network of the same sizes behind those that are there."""
    encoder = network.encoder
    if encoder is not None and new.encoder is not None:
        encoder = replace(
            encoder,
            users=np.vstack([encoder.users, new.encoder.users]),
            items=np.vstack([encoder.items, new.encoder.items]),
        )
    return Network(
        np.vstack([network.users, new.users]),
        np.vstack([network.items, new.items]),
        network.layers,
        encoder,
    )


def join_networks(gmf: Network, mlp: Network) -> Network:
    """Join two trained halves into one NeuMF, each with half a say (section 3.4.1, alpha = 1/2)."""
    encoder = None
    if gmf.encoder is not None and mlp.encoder is not None:
        encoder = _join_encoders(gmf.encoder, mlp.encoder)
    (h_gmf, b_gmf), (h_mlp, b_mlp) = gmf.layers.output, mlp.layers.output
    return Network(
        users=np.hstack([gmf.users, mlp.users]),
        items=np.hstack([gmf.items, mlp.items]),
        layers=Layers(
            gmf.layers.n_factors,
            mlp.layers.hidden,
            (np.vstack([h_gmf, h_mlp]) / 2, (b_gmf + b_mlp) / 2),
        ),
        encoder=encoder,
    )


def _join_encoders(gmf: HistoryEncoder, mlp: HistoryEncoder) -> HistoryEncoder:
    """Join the encoders of two halves, each of which goes on to make its part of the vector."""
    hidden: tuple[Float32s, ...] = ()
    if gmf.hidden and mlp.hidden:
        (kernel, bias, output), (kernel_mlp, bias_mlp, output_mlp) = gmf.hidden, mlp.hidden
        hidden = (
            block_diag(kernel, kernel_mlp),
            np.append(bias, bias_mlp),
            block_diag(output, output_mlp),
        )
    return HistoryEncoder(
        np.hstack([gmf.users, mlp.users]),
        np.hstack([gmf.items, mlp.items]),
        np.hstack([gmf.recency, mlp.recency]),
        hidden,
    )


def encode_histories(
    xp: Any, own: Any, items: Any, present: Any, recency: Any, hidden: Sequence[Any]
) -> Any:
    """Return the vectors of users: their own, plus their last items by place and dimension.

    Parameters
    ----------
    xp : module
        numpy or tensorflow.
    own : array of shape (n, width) or 0
        The vectors that the users have by themselves.
    items : array of shape (n, history_length, width)
        Rows of the history table.
    present : array of bool of shape (n, history_length)
        Where there is an item.
    recency : array of shape (history_length, width)
        Weights, the newest first.
    hidden : sequence of array
        Kernel, bias and output kernel of the hidden layer, which adds to the sum; or nothing.

    Returns
    -------
    vectors : array of shape (n, width)
    """
    row_sums = xp.sum if xp is np else xp.reduce_sum
    vectors = own + row_sums(xp.where(present[:, :, None], items * recency, 0.0), 1)
    if not hidden:
        return vectors
    kernel, bias, output = hidden
    return vectors + xp.maximum(vectors @ kernel + bias, 0.0) @ output


def gmf_logits(xp: Any, layers: Layers, users: Any, items: Any) -> Any:
    """Return the logits of the GMF half for rows of users with all rows of items.

    p_u * q_i summed with weights h is one matrix product over all pairs.
    """
    g = layers.n_factors
    h, b = layers.output
    return (users[:, :g] * h[:g, 0]) @ xp.transpose(items[:, :g]) + b


def logits(
    xp: Any, layers: Layers, users: Any, items: Any, dropout: Callable[[Any], Any] = lambda x: x
) -> Any:
    """Return the logit of each user with each of its candidates.

    Parameters
    ----------
    xp : module
        numpy or tensorflow.
    layers : Layers
        The shared weights.
    users : array of shape (n, width)
        Rows of the user table.
    items : array of shape (n, n_candidates, width)
        Rows of the item table.
    dropout : callable
        Applied to the GMF product and to the output of every hidden layer.

    Returns
    -------
    logits : array of shape (n, n_candidates)
    """
    g = layers.n_factors
    h, b = layers.output
    h = h[:, 0]
    # Product and sum: XLA runs a matrix-vector product a good deal slower.
    row_sums = xp.sum if xp is np else xp.reduce_sum
    total = b
    if g:
        product = dropout(users[:, None, :g] * items[:, :, :g])
        total = total + row_sums(xp.reshape(product, (-1, g)) * h[:g], 1)
    if layers.hidden:
        width = items.shape[2] - g
        of_users, of_items = _first_layer(
            layers, users[:, g:], xp.reshape(items[:, :, g:], (-1, width))
        )
        of_items = xp.reshape(of_items, (*items.shape[:2], -1))
        first = xp.reshape(of_users[:, None] + of_items, (-1, of_users.shape[1]))
        total = total + row_sums(_hidden_output(xp, layers, first, dropout) * h[g:], 1)
    return xp.reshape(total, items.shape[:2])


def _first_layer(layers: Layers, users: Any, items: Any) -> tuple[Any, Any]:
    """Return what users and items add to the first layer: W_1 [p', q'] + b_1 is their sum.

    Each is computed once, however many pairs there are.
    """
    kernel, bias = layers.hidden[0]
    width = kernel.shape[0] // 2
    return users @ kernel[:width] + bias, items @ kernel[width:]


def _hidden_output(
    xp: Any, layers: Layers, first: Any, dropout: Callable[[Any], Any] = lambda x: x
) -> Any:
    """Return the output of the last hidden layer, given the first before its activation."""
    hidden = dropout(xp.maximum(first, 0.0))
    for kernel, bias in layers.hidden[1:]:
        hidden = dropout(xp.maximum(hidden @ kernel + bias, 0.0))
    return hidden


def build_keras_model(network: Network) -> Any:
    """Return a Keras model of (user index, item index) -> logit with these weights."""
    import keras

    # Initial zeros: Keras would seed its own values from Python's global generator.
    layers, g = network.layers, network.layers.n_factors
    user = keras.Input(shape=(), dtype="int32", name="user")
    item = keras.Input(shape=(), dtype="int32", name="item")

    def embed(name: str, inputs: Any, table: Float32s) -> Any:
        layer = keras.layers.Embedding(*table.shape, embeddings_initializer="zeros", name=name)
        output = layer(inputs)
        layer.set_weights([table])
        return output

    def dense(name: str, inputs: Any, weights: tuple[Float32s, Float32s], activation: Any) -> Any:
        layer = keras.layers.Dense(
            len(weights[1]), activation=activation, kernel_initializer="zeros", name=name
        )
        output = layer(inputs)
        layer.set_weights(list(weights))
        return output

    halves = []
    if g:
        vectors = [
            embed("gmf_user", user, network.users[:, :g]),
            embed("gmf_item", item, network.items[:, :g]),
        ]
        halves.append(keras.layers.Multiply(name="gmf")(vectors))
    if layers.hidden:
        vectors = [
            embed("mlp_user", user, network.users[:, g:]),
            embed("mlp_item", item, network.items[:, g:]),
        ]
        hidden = keras.layers.Concatenate(name="mlp_input")(vectors)
        for number, weights in enumerate(layers.hidden, start=1):
            hidden = dense(f"mlp_layer_{number}", hidden, weights, "relu")
        halves.append(hidden)
    joined = keras.layers.Concatenate(name="neumf")(halves) if len(halves) > 1 else halves[0]
    logit = dense("logit", joined, layers.output, None)
    flat = keras.layers.Reshape((), name="flat_logit")(logit)
    return keras.Model([user, item], flat, name="neumf")


def _normal(rng: np.random.Generator, n_rows: int, width: int) -> Float32s:
    return rng.standard_normal((n_rows, width), dtype=np.float32) * np.float32(0.01)


def _uniform(rng: np.random.Generator, n_in: int, n_out: int, limit_squared: float) -> Float32s:
    limit = np.sqrt(limit_squared)
    return rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32)
