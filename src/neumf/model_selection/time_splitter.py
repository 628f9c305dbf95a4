"""Hold out the last interactions by calendar time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neumf.interactions.request_times import read_request_time, require_timestamps
from neumf.model_selection.base import InteractionSplitter, Masks, read_ordered
from neumf.utils.validation import check_int, check_real

_DURATIONS = (dt.timedelta, np.timedelta64)  # pandas.Timedelta is a datetime.timedelta


class TimeSplitter(InteractionSplitter):
    """Hold out the last windows of calendar time, the same for all users.

    .. versionadded:: 0.1

    Pass this cross-validator to scikit-learn as ``cv=``. The first split tests on the rows of the
    last window, and trains on all rows before it. The second split tests on the window before, and
    so on. As in production, no training row is later than a test row.

    Parameters
    ----------
    n_splits : int, default=1
        Number of splits, and of windows.
    test_size : float or timedelta, default=0.2
        Length of a window:

        - float above 0 and below 1: a share of the rows of X. Rows with equal timestamps stay
          together, so a window may exceed its share;
        - :class:`datetime.timedelta`, :class:`pandas.Timedelta` or :class:`numpy.timedelta64`: a
          duration.
    start : float, datetime or None, default=None
        Start of a single window, used instead of `test_size`: all rows from this time on are test
        rows. It is a number of seconds or a datetime, like the timestamps of X, and needs
        ``n_splits=1``.

    See Also
    --------
    LeaveLastOutSplitter : Splits each user's own timeline.

    Notes
    -----
    X must have timestamps.

    Leave-last-out trains on rows of other users that are later than a test row. This flatters some
    models more than others, so that their order may change (Meng et al. 2020; Ji et al. 2023). A
    split by time has no such leak, but it tests some users on many rows and others on no row. Users
    without training rows are misses, unless the scorer gets their earlier rows as
    ``interactions=``.

    References
    ----------
    Meng, McCreadie, Macdonald, Ounis (2020), Exploring data splitting strategies for the evaluation
    of recommendation models, RecSys, doi 10.1145/3383313.3418479.

    Ji, Sun, Zhang, Li (2023), A critical study on data leakage in recommender system offline
    evaluation, ACM TOIS 41(3), doi 10.1145/3569930.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import TimeSplitter
    >>> X = pd.DataFrame({"user": ["a", "a", "b", "b", "c"], "item": [1, 2, 1, 3, 2],
    ...                   "timestamp": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-15",
    ...                                                "2024-03-01", "2024-02-20"])})
    >>> [(train.tolist(), test.tolist()) for train, test in TimeSplitter(2).split(X)]
    [([0, 1, 2, 4], [3]), ([0, 1, 2], [4])]
    >>> X_train, X_test = TimeSplitter(start="2024-02-01").train_test_split(X)
    >>> X_test.index.tolist()
    [1, 3, 4]
    >>> train, test = next(TimeSplitter(test_size=pd.Timedelta(days=15)).split(X))
    >>> test.tolist()
    [3, 4]
    """

    def __init__(
        self,
        n_splits: int = 1,
        test_size: float | dt.timedelta | np.timedelta64 = 0.2,
        start: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.start = start

    def _masks(self, X: Any) -> Iterator[Masks]:
        self._check_parameters()
        rows = read_ordered(X)
        instead = "split by the order of rows, with LeaveLastOutSplitter"
        times = require_timestamps(rows.timestamps, "X", "TimeSplitter splits by time", instead)
        later = np.zeros(len(rows), dtype=bool)
        for j, from_start in enumerate(self._windows(times, rows.ticks_per_second), start=1):
            test = from_start & ~later
            for what, mask in (("test", test), ("training", ~from_start)):
                if not mask.any():
                    raise ValueError(
                        f"Split {j} of {self.n_splits} has no {what} rows: test_size="
                        f"{self.test_size!r}, start={self.start!r}, and the {len(rows)} rows of X "
                        f"have {len(np.unique(times))} different timestamps, from "
                        f"{times.min() / rows.ticks_per_second:.16g} to "
                        f"{times.max() / rows.ticks_per_second:.16g} s. Choose another window."
                    )
            yield ~from_start, test
            later = from_start

    def _windows(self, times: NDArray[Any], ticks_per_second: int) -> Iterator[NDArray[np.bool_]]:
        """Yield masks of the rows in each window or after it, latest window first."""
        if self.start is not None:
            yield times / ticks_per_second >= read_request_time(self.start, "start")
        elif isinstance(self.test_size, _DURATIONS):
            # In whole ticks if possible: floats would round nanoseconds.
            ticks = pd.Timedelta(self.test_size).as_unit("ns").value * ticks_per_second
            length = ticks // 10**9 if ticks % 10**9 == 0 else ticks / 10**9
            for j in range(1, self.n_splits + 1):
                yield times > times.max().item() - j * length
        else:
            in_order = np.sort(times)
            size = max(1, round(self.test_size * len(times)))
            for j in range(1, self.n_splits + 1):
                yield times >= in_order[max(0, len(times) - j * size)]

    def _check_parameters(self) -> None:
        check_int("n_splits", self.n_splits, 1)
        if self.start is not None:
            read_request_time(self.start, "start")
            if self.n_splits > 1:
                raise ValueError(
                    "n_splits must be 1 if start is given: all rows from start on are test rows. "
                    f"Received: {self.n_splits}. Leave start out to split into several windows."
                )
        if not isinstance(self.test_size, _DURATIONS):
            check_real("test_size", self.test_size, above=0, below=1)
        elif not pd.Timedelta(self.test_size) > pd.Timedelta(0):
            raise ValueError(
                "test_size must be a share of the rows, or a length of time above 0. Received: "
                f"{self.test_size!r}."
            )
