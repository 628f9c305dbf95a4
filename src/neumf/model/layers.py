"""The shared layers and the equations of NeuMF.

The equations are from He et al. 2017 (doi 10.1145/3038912.3052569). If h is split in two, the
output layer over the joined halves, equation 12, is a sum of two products::

    GMF       phi_G = p_u * q_i                                      (9)
    MLP       phi_M = relu(W_L ... relu(W_1 [p'_u, q'_i] + b_1) ... + b_L)   (10)
    NeuMF     logit = h_G . phi_G + h_M . phi_M + b                  (12)

The probability is the sigmoid of the logit. The code works for NumPy arrays and TensorFlow tensors:
`xp` is the module of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from neumf.model.initial import uniform
from neumf.utils.arrays import Float32s

# Sizes that fit the processor's cache: number of pairs, and number of values of the first hidden
# layer in `_add_mlp`.
BLOCK_SIZE = 2**15
TILE_SIZE = 2**17

# Arrays, or tensors while training, by name.
Shared = Mapping[str, Any]
Dropout = Callable[[Any], Any]


def no_dropout(values: Any) -> Any:
    """Return the values unchanged."""
    return values


@dataclass(frozen=True)
class NeuMFLayers:
    """The layers of the whole network, or of one of its halves.

    The class holds sizes only. Methods get the weights by name:

    - ``kernel_1`` and ``bias_1``, up to the last hidden layer. The first kernel has the rows for
      the user's vector, then the rows for the item's vector.
    - ``output_kernel``: h, shape (n_factors + width of the last layer, 1).
    - ``output_bias``: b.

    The vector of a user or an item is its GMF vector followed by its MLP vector.
    """

    n_factors: int  # width of the GMF vectors; 0 leaves the GMF half out
    mlp_embedding_dim: int  # width of the MLP vectors; 0 leaves the MLP half out
    hidden_layer_sizes: tuple[int, ...]  # empty without the MLP half
    item_bias: bool = False  # whether each item has a bias, the last value of its vector

    @property
    def width(self) -> int:
        """The width of the vectors of users, and of items without their bias."""
        return self.n_factors + self.mlp_embedding_dim

    @property
    def item_width(self) -> int:
        """The width of the vectors of items, with their bias."""
        return self.width + self.item_bias

    @property
    def is_product(self) -> bool:
        """Whether one matrix product scores all items, as in GMF alone."""
        return not self.hidden_layer_sizes

    @property
    def n_dropped(self) -> int:
        """The number of values per sample to which dropout applies."""
        return self.n_factors + sum(self.hidden_layer_sizes)

    def output_kernel(self, shared: Shared) -> Any:
        """Return h, shape (n_factors + width of the last layer, 1)."""
        return shared["output_kernel"]

    @property
    def kernels(self) -> list[str]:
        """The names of the penalised weights: all except the biases."""
        return [*(f"kernel_{number}" for number in self._numbers), "output_kernel"]

    @property
    def _numbers(self) -> range:
        return range(1, len(self.hidden_layer_sizes) + 1)

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the shared weights, by name."""
        sizes = (2 * self.mlp_embedding_dim, *self.hidden_layer_sizes)
        shapes: dict[str, tuple[int, ...]] = {}
        for number, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
            shapes |= {f"kernel_{number}": (n_in, n_out), f"bias_{number}": (n_out,)}
        return shapes | {"output_kernel": (self.n_factors + sizes[-1], 1), "output_bias": (1,)}

    def initial_shared(self, rng: np.random.Generator) -> dict[str, Float32s]:
        """Draw weights: hidden layers Glorot uniform, h LeCun uniform, biases 0."""
        shapes = self.shared_shapes()
        shared = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        for name in self.kernels:
            n_in, n_out = shapes[name]
            limit_squared = 3 / n_in if name == "output_kernel" else 6 / (n_in + n_out)
            shared[name] = uniform(rng, n_in, n_out, limit_squared)
        return shared

    def plain_product(self) -> dict[str, Float32s]:
        """Return shared weights that make the logit of GMF a plain dot product."""
        shapes = self.shared_shapes()
        kernel = np.ones(shapes["output_kernel"], np.float32)
        return {"output_kernel": kernel, "output_bias": np.zeros(1, np.float32)}

    def join_shared(
        self, halves: list[dict[str, Float32s]], weights: Sequence[float]
    ) -> dict[str, Float32s]:
        """Join the shared weights of the halves; `weights` multiply their output layers."""
        kernels, biases = (
            [half[name] * np.float32(w) for half, w in zip(halves, weights, strict=True)]
            for name in ("output_kernel", "output_bias")
        )
        return halves[-1] | {"output_kernel": np.vstack(kernels), "output_bias": np.sum(biases, 0)}

    def logits(
        self, xp: Any, shared: Shared, users: Any, items: Any, dropout: Dropout = no_dropout
    ) -> Any:
        """Return the logit of each user with each of its candidates, shape (n, n_candidates).

        `users` are vectors of shape (n, width), `items` of shape (n, n_candidates, item_width).
        Dropout applies to the GMF product and to the output of every hidden layer.
        """
        g = self.n_factors
        h = self.output_kernel(shared)[:, 0]
        # A product and a sum: XLA's matrix-vector product is much slower.
        row_sums = xp.sum if xp is np else xp.reduce_sum
        total = shared["output_bias"]
        if self.item_bias:
            total = total + xp.reshape(items[:, :, -1], (-1,))
        if g:
            product = dropout(users[:, None, :g] * items[:, :, :g])
            total = total + row_sums(xp.reshape(product, (-1, g)) * h[:g], 1)
        if self.hidden_layer_sizes:
            of_items = xp.reshape(items[:, :, g : self.width], (-1, self.mlp_embedding_dim))
            of_users, of_items = self._first_layer(shared, users[:, g:], of_items)
            of_items = xp.reshape(of_items, (*items.shape[:2], -1))
            first = xp.reshape(of_users[:, None] + of_items, (-1, of_users.shape[1]))
            total = total + row_sums(self._last_layer(xp, shared, first, dropout) * h[g:], 1)
        return xp.reshape(total, items.shape[:2])

    def product_logits(self, xp: Any, shared: Shared, users: Any, items: Any) -> Any:
        """Return the logits of GMF, with biases, for all pairs of users and items."""
        g = self.n_factors
        h, b = self.output_kernel(shared), shared["output_bias"]
        logits = (users[:, :g] * h[:g, 0]) @ xp.transpose(items[:, :g])
        # In place for NumPy arrays, to save memory.
        logits += b + items[:, -1] if self.item_bias else b
        return logits

    def all_logits(self, shared: Shared, users: Float32s, items: Float32s) -> Float32s:
        """Return the logits of all pairs of these users and items, as NumPy arrays."""
        logits: Float32s = self.product_logits(np, shared, users, items)
        if not self.is_product:
            g = self.n_factors
            self._add_mlp(logits, shared, users[:, g:], items[:, g : self.width])
        return logits

    def pair_logits(self, xp: Any, shared: Shared, users: Any, items: Any) -> Any:
        """Return the logits of all pairs, as arrays or tensors, computed without blocks."""
        logits = self.product_logits(xp, shared, users, items)
        if self.is_product:
            return logits
        g = self.n_factors
        of_users, of_items = self._first_layer(shared, users[:, g:], items[:, g : self.width])
        first = xp.reshape(of_users[:, None] + of_items, (-1, of_items.shape[1]))
        of_mlp = self._last_layer(xp, shared, first) @ self.output_kernel(shared)[g:]
        return logits + xp.reshape(of_mlp, (-1, of_items.shape[0]))

    def _add_mlp(self, logits: Float32s, shared: Shared, users: Float32s, items: Float32s) -> None:
        """Add the MLP half to the logits of all pairs of users and items.

        relu(a + b) is max(a, -b) + b. The addend b of a user is the same for all items, so its
        product with the next kernel is added to the b of the next layer. A layer then needs one
        product and one maximum per pair. Items are the last axis, so that inner loops are long.
        """
        of_users, of_items = self._first_layer(shared, users, items)
        of_items = np.ascontiguousarray(of_items.T)
        kernels, added = [], [of_users]
        for number in self._numbers[1:]:
            kernel, bias = shared[f"kernel_{number}"], shared[f"bias_{number}"]
            kernels.append(np.ascontiguousarray(kernel.T))
            added.append(added[-1] @ kernel + bias)
        h = self.output_kernel(shared)[self.n_factors :, 0]
        logits += (added[-1] @ h)[:, None]
        floors = [-values[:, :, None] for values in added]
        n_pairs = max(1, TILE_SIZE // len(of_items))
        width = min(n_pairs, len(items))
        height = n_pairs // width
        for i in range(0, len(users), height):
            first, *others = (floor[i : i + height] for floor in floors)
            for j in range(0, len(items), width):
                hidden = np.maximum(of_items[:, j : j + width], first)
                for kernel, floor in zip(kernels, others, strict=True):
                    hidden = kernel @ hidden
                    np.maximum(hidden, floor, out=hidden)
                logits[i : i + height, j : j + width] += h @ hidden

    def _first_layer(self, shared: Shared, users: Any, items: Any) -> tuple[Any, Any]:
        """Return the terms of users and of items in W_1 [p', q'] + b_1."""
        kernel, bias = shared["kernel_1"], shared["bias_1"]
        width = self.mlp_embedding_dim
        return users @ kernel[:width] + bias, items @ kernel[width:]

    def _last_layer(
        self, xp: Any, shared: Shared, first: Any, dropout: Dropout = no_dropout
    ) -> Any:
        """Return the output of the last hidden layer, given the first one before its ReLU."""
        hidden = dropout(xp.maximum(first, 0.0))
        for number in self._numbers[1:]:
            kernel, bias = shared[f"kernel_{number}"], shared[f"bias_{number}"]
            hidden = dropout(xp.maximum(hidden @ kernel + bias, 0.0))
        return hidden


@dataclass(frozen=True)
class MFLayers(NeuMFLayers):
    """Matrix factorization: GMF with a constant h of ones (section 3.2)."""

    @property
    def kernels(self) -> list[str]:
        """An empty list: no shared weights are penalised."""
        return []

    def output_kernel(self, shared: Shared) -> Any:
        """Return ones."""
        return np.ones((self.n_factors, 1), np.float32)

    def shared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of b."""
        return {"output_bias": (1,)}


# architecture -> ((n_factors, mlp_embedding_dim, hidden_layer_sizes) -> layers)
ARCHITECTURES: dict[str, Callable[[int, int, tuple[int, ...]], NeuMFLayers]] = {
    "neumf": NeuMFLayers,
    "gmf": lambda n_factors, mlp_embedding_dim, sizes: NeuMFLayers(n_factors, 0, ()),
    "mlp": lambda n_factors, mlp_embedding_dim, sizes: NeuMFLayers(0, mlp_embedding_dim, sizes),
}
