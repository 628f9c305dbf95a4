"""TensorFlow as the library wants it: imported late, quiet, with the threads that are granted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

# Whether this process was forked from one in which TensorFlow had run. Its threads are then gone,
# and the first computation would wait for them for ever.
_forked_after_tensorflow = False


@cache
def import_tensorflow() -> Any:
    """Import TensorFlow without its messages; raise where it is missing or was forked.

    The environment may ask for messages. TensorFlow itself does not read OMP_NUM_THREADS, by which
    joblib gives each process its share of the cores.
    """
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        variables["TF_NUM_INTRAOP_THREADS"] = threads
    # TensorFlow reads the variables once, when it first computes.
    with _set_where_missing(variables):
        try:
            import tensorflow as tf
        except ModuleNotFoundError as error:
            raise ImportError(
                f"fit and partial_fit of NeuMFRecommender train with TensorFlow: {error}. Install "
                "it: pip install tensorflow keras. neumf.load reads recommenders that were "
                "trained elsewhere without it."
            ) from error

        if _forked_after_tensorflow:
            raise RuntimeError(
                "TensorFlow cannot be used in a process that was forked after it had run, where it "
                "would wait for ever. Start processes with multiprocessing's method 'spawn' or "
                "with joblib's back end 'loky', or fork before the first fit."
            )
        with suppress(tf.errors.OpError):  # without XLA, training will say so
            tf.function(lambda: tf.constant(0), jit_compile=True)()
    return tf


@contextmanager
def _set_where_missing(variables: dict[str, str]) -> Iterator[None]:
    """Set those variables of the environment that are not set, during the block."""
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
