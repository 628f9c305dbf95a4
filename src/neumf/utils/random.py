"""Draw random numbers from one ``random_state``, without a global generator."""

from __future__ import annotations

from numbers import Integral
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RandomState: TypeAlias = int | np.random.RandomState | np.random.Generator | None


def make_generator(random_state: RandomState) -> np.random.Generator:
    """Return a NumPy generator; None gives a new seed, not the global generator of NumPy."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if random_state is None or (isinstance(random_state, Integral) and random_state >= 0):
        return np.random.default_rng(random_state)
    raise ValueError(
        "random_state must be None, an int >= 0, a numpy.random.RandomState or a "
        f"numpy.random.Generator. Received: {random_state!r}."
    )


def hash_mix(keys: NDArray[np.uint64], counter: int) -> NDArray[np.uint64]:
    """Return the `counter`-th random number of each key's own stream.

    This is splitmix64 (Steele, Lea and Flood, OOPSLA 2014, doi 10.1145/2660193.2660195).
    """
    step = np.uint64((counter + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = keys + step  # wraps around, as intended
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
