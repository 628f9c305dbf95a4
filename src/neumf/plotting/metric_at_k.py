"""A metric by the length of the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from neumf.evaluation.compare import evaluate
from neumf.evaluation.results import METRIC_NAMES, Results, label_columns, value_margins
from neumf.plotting.axes import axes_or_new, require_matplotlib, row_names, rows_to_draw


@dataclass(eq=False, repr=False)
class MetricAtKDisplay:
    """Plot a metric against the length of the list, with its margins.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : Results or DataFrame
        As from :func:`neumf.evaluate` or :func:`neumf.compare`, or its `to_frame`.
    metric : str, default="ndcg"
        The metric to draw.
    ranking : str, default="exact"
        The ranking to draw.

    Attributes
    ----------
    figure_, ax_, lines_
        The figure, the axes, and a list of a curve per recommender.

    See Also
    --------
    ComparisonDisplay : One length of the list, with the margins of paired differences.

    Notes
    -----
    The bands are 95 % confidence intervals of the values. Bands that overlap do not say that two
    recommenders are equally good: the margins of paired differences are narrower.

    Examples
    --------
    >>> from neumf import PopularityRecommender, evaluate
    >>> from neumf.plotting import MetricAtKDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> results = evaluate(PopularityRecommender().fit(X), [["c", 3], ["b", 2]], k=[1, 2])
    >>> MetricAtKDisplay.from_results(results, metric="hr").lines_[0].get_ydata().tolist()
    [0.5, 1.0]
    """

    results: Results | pd.DataFrame
    metric: str = "ndcg"
    ranking: str = "exact"

    @classmethod
    def from_results(
        cls,
        results: Results | pd.DataFrame,
        *,
        metric: str = "ndcg",
        ranking: str = "exact",
        ax: Any = None,
    ) -> Self:
        """Draw results; the class and `plot` document the parameters."""
        return cls(results, metric, ranking).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        metric: str = "ndcg",
        k: Sequence[int] = (1, 2, 5, 10, 20, 50),
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Measure a fitted recommender on held-out rows, exactly; return the display.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender, or a pipeline or search that ends in one.
        X : array-like of shape (n_samples, n_features >= 2)
            Held-out interactions.
        metric
            See the class.
        k : sequence of int, default=(1, 2, 5, 10, 20, 50)
            Lengths of the list.
        name : str or None, default=None
            Name of the curve in the legend; None takes the name of the class.
        ax
            See :meth:`plot`.
        """
        require_matplotlib()
        results = evaluate(estimator, X, metrics=[metric], k=k).to_frame()
        results.insert(0, "estimator", name or type(estimator).__name__)
        return cls(results, metric).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curves; return the display.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Raises
        ------
        ValueError
            If the results do not have the metric and the ranking by `k`.
        """
        rows = rows_to_draw(self.results, self.metric, self.ranking)
        if rows["k"].isna().any():
            raise ValueError(
                f"metric must have values by k. Received {self.metric!r}, which judges whole lists."
            )
        self.ax_ = axes_or_new(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        margins = pd.Series(value_margins(rows), rows.index).fillna(0)
        for name, part in rows.groupby(row_names(rows), sort=False):
            k, value = part["k"].to_numpy(int), part["value"].to_numpy()
            margin = margins[part.index].to_numpy()
            (line,) = self.ax_.plot(k, value, marker=".", label=name)
            self.ax_.fill_between(k, value - margin, value + margin, alpha=0.2, lw=0)
            self.lines_.append(line)
        name = METRIC_NAMES.get(self.metric, self.metric)
        self.ax_.set(xlabel="k, length of the list", ylabel=name)
        self.ax_.set_xscale("log")
        ticks = sorted(rows["k"].unique())
        self.ax_.set_xticks(ticks, labels=[str(tick) for tick in ticks])
        self.ax_.minorticks_off()
        if label_columns(rows):
            self.ax_.legend(frameon=False)
        return self
