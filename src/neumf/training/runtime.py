"""Import TensorFlow: late, without messages, and with the number of threads of OMP_NUM_THREADS."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from neumf.training.held_back import messages_held_back

# Whether this process was forked after TensorFlow had run. TensorFlow's threads are then gone, and
# the first computation would wait for them for ever.
_forked_after_tensorflow = False


@cache
def import_tensorflow() -> Any:
    """Import TensorFlow without messages; raise if it is missing or was forked.

    TF_CPP_MIN_LOG_LEVEL in the environment can turn messages on. joblib limits the threads of a
    process by OMP_NUM_THREADS, which TensorFlow does not read.
    """
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        variables["TF_NUM_INTRAOP_THREADS"] = threads
    # TensorFlow reads the variables once, at its first computation.
    with _set_where_missing(variables):
        try:
            with messages_held_back():
                import tensorflow as tf
        except ModuleNotFoundError as error:
            raise ImportError(
                "fit and partial_fit of NeuMFRecommender and NextItemRecommender need TensorFlow: "
                f"{error}. Install it: pip install tensorflow keras. neumf.load reads recommenders "
                "that were trained elsewhere, without TensorFlow."
            ) from error
        except ValueError as error:
            raise RuntimeError(
                f"TensorFlow cannot be imported, since it imports Keras: {error}. KERAS_BACKEND, "
                "or ~/.keras/keras.json, names a backend that Keras does not know. Set "
                "KERAS_BACKEND=tensorflow before Python starts."
            ) from error

        if _forked_after_tensorflow:
            raise RuntimeError(
                "TensorFlow would wait for ever in a process that was forked after it had run. "
                "Start processes with multiprocessing's method 'spawn' or with joblib's back end "
                "'loky', or fork before the first fit."
            )
        # XLA's first compilation logs messages. If XLA is missing, training warns of it.
        with suppress(tf.errors.OpError), messages_held_back():
            tf.function(lambda: tf.constant(0), jit_compile=True)()
    return tf


def check_eager(tf: Any) -> None:
    """Raise if TensorFlow would add operations to a graph instead of executing them."""
    if not tf.executing_eagerly():
        raise RuntimeError(
            "fit and export need TensorFlow's eager execution, which is off: the program has "
            "called tf.compat.v1.disable_eager_execution() or disable_v2_behavior(), or the call "
            "is inside a tf.Graph or a tf.function. Call fit and export outside of these, in a "
            "process with eager execution."
        )


def check_settings(tf: Any) -> None:
    """Raise if TensorFlow's settings or the scope of the call make training impossible."""
    check_eager(tf)
    if tf.distribute.has_strategy():
        name = type(tf.distribute.get_strategy()).__name__
        raise RuntimeError(
            "Training cannot use the variables of a tf.distribute strategy. Received a call inside "
            f"the scope of a {name}. Call fit outside of `with strategy.scope():`. model_ may be "
            "read inside."
        )
    context = sys.modules["tensorflow.python.eager.context"].context()
    if getattr(context, "op_callbacks", ()):
        raise RuntimeError(
            "tf.debugging.enable_check_numerics() and enable_dump_debug_info() must be off: "
            "training masks scores with infinities and compiles with XLA. One of them is on. "
            "Before fit, call tf.debugging.disable_check_numerics() or "
            "tf.debugging.experimental.disable_dump_debug_info()."
        )


@contextmanager
def _set_where_missing(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables that are not set yet, during the block."""
    missing = variables.keys() - os.environ.keys()
    os.environ.update({name: variables[name] for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


def _note_fork() -> None:
    global _forked_after_tensorflow
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if context is not None and getattr(context, "_initialized", True):  # its threads had started
        _forked_after_tensorflow = True
        # A TensorFlow that was imported before the fork must be refused after it.
        import_tensorflow.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
