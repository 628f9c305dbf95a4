"""How long before a moment each item of a history was, in buckets."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from neumf.utils.arrays import Codes, Float64s

# What the time to each item of a history is counted from: see `pack`.
GapsFrom = Literal["newest", "question"]
GAPS_FROM: tuple[str, ...] = get_args(GapsFrom)

# Bounds of buckets grow by the square root of 2, from a second to a human life.
N_BUCKETS = 64
_BUCKETS_OF_AN_OCTAVE = 2

# An item and its bucket are one number, so that what takes items takes them, too.
_ITEM_BITS = 32


def require_times(seconds: Any, argument: str) -> None:
    """Raise if rows of which gaps are asked for have no timestamps."""
    if seconds is None:
        raise ValueError(
            f"{argument} must have timestamps where history_gaps is set, which reads how long ago "
            "each item of a history was. Received a table without a column 'timestamp'. Name the "
            "column of the times 'timestamp', or fit with history_gaps=None."
        )


def bucket_of(gaps: Float64s) -> Codes:
    """Return the bucket of times in seconds: 0 up to a second, negative ones too."""
    octaves = np.log2(1.0 + np.maximum(gaps, 0.0))
    buckets: Codes = np.minimum(_BUCKETS_OF_AN_OCTAVE * octaves, N_BUCKETS - 1).astype(np.int64)
    return buckets


def pack(items: Codes, seconds: Float64s, moments: Float64s | None = None) -> Codes:
    """Put to each item of a history the bucket of the time since it.

    Parameters
    ----------
    items : ndarray of shape (n, length)
        Histories, newest item first, filled up with -1, which stays -1.
    seconds : ndarray of shape (n, length)
        When each item was.
    moments : ndarray of shape (n,) or None
        Until when the time is counted; None counts until the newest item.
    """
    until = seconds[:, :1] if moments is None else moments[:, None]
    buckets = bucket_of(until - seconds)
    packed: Codes = np.where(items < 0, -1, items | (buckets << _ITEM_BITS))
    return packed


def unpack(packed: Codes) -> tuple[Codes, Codes]:
    """Return the items, and their buckets; both are -1 where there is none."""
    items = np.where(packed < 0, -1, packed & (2**_ITEM_BITS - 1))
    return items.astype(np.int32), (packed >> _ITEM_BITS).astype(np.int32)
