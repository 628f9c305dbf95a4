"""Dropout, with random numbers that are cheap on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def make_dropout(tf: Any, rate: Any, noise: Any) -> Callable[[Any], Any]:
    """Return a function that sets a share of values to 0; each call uses new `noise`."""
    used = 0

    def dropout(values: Any) -> Any:
        nonlocal used
        part = tf.reshape(noise[used : used + values.shape.num_elements()], values.shape)
        used += values.shape.num_elements()
        return tf.where(part >= rate, values / (1 - rate), 0.0)

    return dropout


def make_noise(tf: Any, n: int, seed: Any) -> Any:
    """Return n random numbers in [0, 1); XLA's own generator is slow on a CPU.

    They are hashes of position and seed, by the finalizer of MurmurHash3 (32 bits).
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
