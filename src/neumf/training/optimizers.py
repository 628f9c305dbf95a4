"""The optimizers: how rows of weights move, given their gradients.

A row carries its weights and, behind them, Adam's two moments of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Adam's constants, those of the Adam paper and (epsilon) of Keras.
BETA_1, BETA_2, _EPSILON = 0.9, 0.999, 1e-7


def _adam(tf: Any, packed: Any, gradient: Any, learning_rate: Any, t: Any) -> Any:
    """Return packed rows after the t-th step of Adam (Kingma and Ba 2015)."""
    weights, mean, square = tf.split(packed, 3, axis=1)
    mean = BETA_1 * mean + (1 - BETA_1) * gradient
    square = BETA_2 * square + (1 - BETA_2) * gradient**2
    step_size = learning_rate * tf.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    weights = weights - step_size * mean / (tf.sqrt(square) + _EPSILON)
    return tf.concat([weights, mean, square], axis=1)


def _sgd(tf: Any, packed: Any, gradient: Any, learning_rate: Any, t: Any) -> Any:
    """Return packed rows after a step against the gradient."""
    weights, *moments = tf.split(packed, 3, axis=1)
    return tf.concat([weights - learning_rate * gradient, *moments], axis=1)


OPTIMIZERS: dict[str, Callable[[Any, Any, Any, Any, Any], Any]] = {"adam": _adam, "sgd": _sgd}
