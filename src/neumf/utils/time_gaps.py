"""Histories as inputs of a network: items, and their ages in buckets."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from neumf.utils.arrays import Float64s, Indices

# The time from which ages of items count: the newest item of the history, or the request time.
TimeGaps = Literal["newest", "request"]
TIME_GAPS: tuple[str, ...] = get_args(TimeGaps)

# Bounds of buckets grow by the square root of 2, from a second to 96 years.
N_BUCKETS = 64
_BUCKETS_PER_OCTAVE = 2


class HistoryInputs(NamedTuple):
    """The histories of a batch, shape (n, length), newest item first, padded with -1."""

    items: Indices
    gaps: Indices | None = None  # the bucket of each item's age; None if times are not used


def bucket_of(gaps: Float64s) -> Indices:
    """Return the bucket of each age in seconds; negative ages count as 0."""
    octaves = np.log2(1.0 + np.maximum(gaps, 0.0))
    buckets: Indices = np.minimum(_BUCKETS_PER_OCTAVE * octaves, N_BUCKETS - 1).astype(np.int32)
    return buckets


def with_gaps(items: Indices, seconds: Float64s, at: Float64s | None = None) -> HistoryInputs:
    """Add the bucket of each item's age to histories, shape (n, length).

    Ages count from `at`, shape (n,), or from the newest item of each history.
    """
    until = seconds[:, :1] if at is None else at[:, None]
    return HistoryInputs(items, np.where(items < 0, -1, bucket_of(until - seconds)))
