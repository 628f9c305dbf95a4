"""TensorFlow as the library wants it: imported late, quiet, with the threads that are granted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from tempfile import TemporaryFile
from typing import Any


@cache
def import_tensorflow() -> Any:
    """Import TensorFlow, without its start-up messages and with the threads that are granted.

    Where the environment asks for a log level, the messages come. OMP_NUM_THREADS, by which joblib
    gives each process of a search its share of the cores, limits TensorFlow too, which does not
    read it by itself, unless TF_NUM_INTRAOP_THREADS says otherwise.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if (threads := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        variables["TF_NUM_INTRAOP_THREADS"] = threads
    # Some messages come whatever the level is (tensorflow/tensorflow#100442), and XLA announces
    # its first compilation. TensorFlow reads the variables once, when it first computes.
    with _set_where_missing(variables), _stderr_held_back() if quiet else nullcontext():
        import tensorflow as tf

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
