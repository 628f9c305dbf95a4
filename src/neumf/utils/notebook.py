"""The HTML of fitted recommenders in notebooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from sklearn.base import BaseEstimator


class NotebookEstimator(BaseEstimator):
    """An estimator whose HTML ends with a line about its `fit`.

    scikit-learn has no public hook for this. Notebooks read `_repr_mimebundle_`, and other programs
    `_repr_html_`; both come from IPython and are the same in all versions of scikit-learn.
    """

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:  # not with display="text"
            bundle["text/html"] += fit_html(self)
        return bundle

    @property
    def _repr_html_(self) -> Callable[[], str]:
        html: Callable[[], str] = super()._repr_html_
        return lambda: html() + fit_html(self)


def fit_html(estimator: Any) -> str:
    """Return a paragraph with the numbers of a fit, or "" before it."""
    if not hasattr(estimator, "users_"):
        return ""
    return f"<p>Fitted to {', '.join(_numbers(estimator))}.</p>"


def _numbers(estimator: Any) -> Iterator[str]:
    yield f"{len(estimator.users_):,} users"
    yield f"{len(estimator.items_):,} items"
    yield f"{estimator.seen_.nnz:,} pairs of user and item"
    if not hasattr(estimator, "history_"):
        return
    epochs, best = estimator.n_iter_, estimator.best_iter_
    yield f"{epochs:,} epochs" if best == epochs else f"{epochs:,} epochs (the best is {best:,})"
    yield f"training loss {estimator.history_['loss'][best - 1]:.4f}"
    values = estimator.history_.get("val_ndcg_at_10")
    if values and not math.isnan(values[best - 1]):  # as after partial_fit
        yield f"validation NDCG@10 {values[best - 1]:.4f}"
    if hasattr(estimator, "fit_seconds_"):  # not after loading
        yield f"{estimator.fit_seconds_:,.1f} seconds of fit"
