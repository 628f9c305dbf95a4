"""The optimizers, which update weights and Adam's two moments by gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

# Adam's constants: the betas of its paper, the epsilon of Keras.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


class WithMoments(NamedTuple):
    """Weights with Adam's moments: the running means of gradients and of their squares."""

    weights: Any
    mean: Any
    square: Any

    @classmethod
    def of_packed(cls, tf: Any, packed: Any) -> Self:
        """Split rows in which the three parts lie side by side."""
        return cls(*tf.split(packed, 3, axis=1))

    def packed(self, tf: Any) -> Any:
        """Return rows in which the three parts lie side by side."""
        return tf.concat(self, axis=1)


def _adam(tf: Any, before: WithMoments, gradient: Any, learning_rate: Any, t: Any) -> WithMoments:
    """Take the t-th step of Adam (Kingma and Ba 2015)."""
    weights, mean, square = before
    mean = _BETA_1 * mean + (1 - _BETA_1) * gradient
    square = _BETA_2 * square + (1 - _BETA_2) * gradient**2
    step_size = learning_rate * tf.sqrt(1 - _BETA_2**t) / (1 - _BETA_1**t)
    weights = weights - step_size * mean / (tf.sqrt(square) + _EPSILON)
    return WithMoments(weights, mean, square)


def _sgd(tf: Any, before: WithMoments, gradient: Any, learning_rate: Any, t: Any) -> WithMoments:
    """Take a step against the gradient; the moments stay."""
    return before._replace(weights=before.weights - learning_rate * gradient)


# (tf, weights with moments, gradient, learning rate, step from 1) -> new weights with moments
Optimizer = Callable[[Any, WithMoments, Any, Any, Any], WithMoments]

OPTIMIZERS: dict[str, Optimizer] = {"adam": _adam, "sgd": _sgd}
