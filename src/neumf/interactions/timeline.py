"""The order of rows in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neumf._arrays import Codes


def time_order(users: Codes, timestamps: NDArray[Any] | None) -> Codes:
    """Return the rows sorted by user, then time; equal times keep the order of the table."""
    # lexsort is stable, which is what keeps the order of ties.
    return np.lexsort((users,) if timestamps is None else (timestamps, users))


def timelines(users: Codes, timestamps: NDArray[Any] | None) -> tuple[Codes, NDArray[np.int64]]:
    """Return each row's place counted from its user's last row, and the rows of each user."""
    counts = np.bincount(users)
    from_last = np.empty(len(users), dtype=np.intp)
    from_last[time_order(users, timestamps)] = (
        np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(users))
    )
    return from_last, counts
