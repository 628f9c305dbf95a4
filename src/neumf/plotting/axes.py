"""Figures, axes and rows of results that the displays share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from neumf.evaluation.results import Results, label_columns


def require_matplotlib() -> None:
    """Raise an ImportError that says what to install if matplotlib is missing."""
    try:
        import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            "neumf.plotting needs matplotlib, which comes with the extra 'plot': "
            "pip install 'scikit-neumf[plot]'."
        ) from error


def axes_or_new(axes: Any, n: int = 1) -> Any:
    """Return the axes or, for None, n new ones side by side: an array if n is above 1."""
    require_matplotlib()
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(1, n, figsize=(5 * n, 3.6), layout="constrained")
        for ax in np.atleast_1d(axes):
            ax.spines[["top", "right"]].set_visible(False)
    return axes


def rows_to_draw(results: Results | pd.DataFrame, metric: str, ranking: str) -> pd.DataFrame:
    """Return the rows of a metric and a ranking; raise a ValueError if they are missing."""
    frame = results.to_frame() if isinstance(results, Results) else results
    rows = frame[(frame["metric"] == metric) & (frame["ranking"] == ranking)]
    if rows.empty:
        pairs = frame[["metric", "ranking"]].drop_duplicates().to_numpy().tolist()
        raise ValueError(
            "metric and ranking must be in the results. Received "
            f"metric={metric!r}, ranking={ranking!r}; the results have {pairs}."
        )
    return rows


def row_names(rows: pd.DataFrame) -> pd.Series:
    """Return the recommender and the label of each row as text, "" if it has neither."""
    names = pd.Series("", rows.index)
    for column in label_columns(rows):
        names = names.str.cat(rows[column].astype(str), sep=", ").str.removeprefix(", ")
    return names
