"""Figures, axes and labels that the displays share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

METRIC_NAMES = {
    "loss": "training loss",
    "val_ndcg_at_10": "validation NDCG@10",
    "hr": "HR@k",
    "ndcg": "NDCG@k",
    "recall": "recall@k",
    "precision": "precision@k",
    "map": "MAP@k",
    "mrr": "MRR@k",
    "coverage": "coverage of the catalogue",
    "novelty": "novelty (bits)",
    "gini": "Gini coefficient of exposure",
    "overlap": "overlap between users",
}


def require_matplotlib() -> None:
    """Raise an error that says what to install unless matplotlib is there."""
    try:
        import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            "neumf.plotting needs matplotlib, which comes with the extra 'plot': "
            "pip install 'scikit-neumf[plot]'."
        ) from error


def axes_or_new(axes: Any, n: int = 1) -> Any:
    """Return the axes or, for None, n new ones side by side (one alone in no array)."""
    require_matplotlib()
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(1, n, figsize=(5 * n, 3.6), layout="constrained")
        for ax in np.atleast_1d(axes):
            ax.spines[["top", "right"]].set_visible(False)
    return axes
