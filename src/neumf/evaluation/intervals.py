"""Standard errors, confidence intervals and p-values of means over users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from neumf.utils.arrays import Float64s


def standard_error(values: Float64s) -> float:
    """Return the standard error of a mean; NaN for one value."""
    n = len(values)
    return float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else np.nan


def margin(stderr: Any, n_users: Any, n_intervals: int = 1) -> Any:
    """Return half the width of the 95 % confidence interval of a mean, by Student's t.

    With several intervals, all of them cover their means at once in 95 % of the cases (Bonferroni).
    """
    return stderr * stdtrit(n_users - 1, 1 - 0.025 / n_intervals)


def t_test(mean: float, stderr: float, n_users: int) -> float:
    """Return the two-sided p-value of the hypothesis that a mean is 0, by Student's t."""
    if mean == 0 and stderr == 0:
        return 1.0
    with np.errstate(divide="ignore"):
        return float(2 * stdtr(n_users - 1, -np.abs(np.divide(mean, stderr))))


def holm(pvalues: pd.Series[float]) -> pd.Series[float]:
    """Adjust p-values for their number, by Holm's step-down procedure; NaN does not count."""
    ordered = pvalues.dropna().sort_values()
    steps = ordered * np.arange(len(ordered), 0, -1)
    return steps.cummax().clip(upper=1).reindex(pvalues.index)
