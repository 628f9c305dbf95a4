"""How long before the newest item of a history each of its items was, in buckets."""

from __future__ import annotations

from typing import Any

import numpy as np

from neumf._arrays import Codes, Float64s

# Bounds of buckets grow by the square root of 2, from a second to a human life.
N_BUCKETS = 64
_BUCKETS_OF_AN_OCTAVE = 2

# An item and its bucket are one number, so that what takes items takes them, too.
_ITEM_BITS = 32


def require_times(seconds: Any, argument: str) -> None:
    """Raise if rows of which gaps are asked for have no timestamps."""
    if seconds is None:
        raise ValueError(
            f"{argument} must have timestamps where history_gaps=True, which reads the time from "
            "each item of a history to the newest. Received a table without a column 'timestamp'. "
            "Name the column of the times 'timestamp', or fit with history_gaps=False."
        )


def bucket_of(gaps: Float64s) -> Codes:
    """Return the bucket of times in seconds: 0 up to a second, negative ones too."""
    octaves = np.log2(1.0 + np.maximum(gaps, 0.0))
    buckets: Codes = np.minimum(_BUCKETS_OF_AN_OCTAVE * octaves, N_BUCKETS - 1).astype(np.int64)
    return buckets


def pack(items: Codes, seconds: Float64s) -> Codes:
    """Put to each item the bucket of the time from it to the newest one of its history.

    Parameters
    ----------
    items : ndarray of shape (n, length)
        Histories, newest item first, filled up with -1, which stays -1.
    seconds : ndarray of shape (n, length)
        When each item was.
    """
    buckets = bucket_of(seconds[:, :1] - seconds)
    packed: Codes = np.where(items < 0, -1, items | (buckets << _ITEM_BITS))
    return packed


def unpack(packed: Codes) -> tuple[Codes, Codes]:
    """Return the items, and their buckets; both are -1 where there is none."""
    items = np.where(packed < 0, -1, packed & (2**_ITEM_BITS - 1))
    return items.astype(np.int32), (packed >> _ITEM_BITS).astype(np.int32)
