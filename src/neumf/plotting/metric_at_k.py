"""Metrics by the length of the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from neumf.evaluation.compare import evaluate
from neumf.plotting.axes import METRIC_NAMES, axes_or_new, require_matplotlib


@dataclass(eq=False, repr=False)
class MetricAtKDisplay:
    """Plot a metric against the length of the list, with error bands.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : DataFrame
        As from :func:`neumf.evaluate` or :func:`neumf.compare`.
    metric : str, default="ndcg"
        The metric to draw.
    ranking : str, default="exact"
        Which of the rankings in the table to draw.

    Attributes
    ----------
    figure_, ax_, lines_
        The figure, the axes, and a list of a curve per recommender.

    See Also
    --------
    neumf.compare : Makes the table.

    Notes
    -----
    The bands are one standard error over users to both sides. The paired differences of `compare`
    are sharper.

    Examples
    --------
    >>> from neumf import PopularityRecommender, evaluate
    >>> from neumf.plotting import MetricAtKDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> results = evaluate(PopularityRecommender().fit(X), [["c", 3], ["b", 2]], k=[1, 2])
    >>> MetricAtKDisplay.from_results(results, metric="hr").lines_[0].get_ydata().tolist()
    [0.5, 1.0]
    """

    results: pd.DataFrame
    metric: str = "ndcg"
    ranking: str = "exact"

    @classmethod
    def from_results(
        cls, results: pd.DataFrame, *, metric: str = "ndcg", ranking: str = "exact", ax: Any = None
    ) -> Self:
        """Draw a table of results; the class and `plot` document the parameters."""
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
        results = evaluate(estimator, X, metrics=[metric], k=k)
        results.insert(0, "estimator", name or type(estimator).__name__)
        return cls(results, metric).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curves; return the display.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.
        """
        results = self.results
        if "ranking" not in results:
            results = results.assign(ranking="exact")
        drawn = results[(results["metric"] == self.metric) & (results["ranking"] == self.ranking)]
        if drawn.empty or drawn["k"].isna().any():
            pairs = results[["metric", "ranking"]].drop_duplicates().to_numpy().tolist()
            raise ValueError(
                "metric and ranking must be in the table, by k. Received "
                f"metric={self.metric!r}, ranking={self.ranking!r}; the table has {pairs}."
            )
        self.ax_ = axes_or_new(ax)
        self.figure_, self.lines_ = self.ax_.figure, []
        named = "estimator" in drawn
        for name, part in drawn.groupby("estimator", sort=False) if named else [(None, drawn)]:
            k, value = part["k"].to_numpy(int), part["value"].to_numpy()
            error = part["stderr"].fillna(0).to_numpy()
            (line,) = self.ax_.plot(k, value, marker=".", label=name)
            self.ax_.fill_between(k, value - error, value + error, alpha=0.2, lw=0)
            self.lines_.append(line)
        self.ax_.set(xlabel="k, length of the list", ylabel=METRIC_NAMES[self.metric])
        self.ax_.set_xscale("log")
        ticks = sorted(drawn["k"].unique())
        self.ax_.set_xticks(ticks, labels=[str(tick) for tick in ticks])
        self.ax_.minorticks_off()
        if named:
            self.ax_.legend(frameon=False)
        return self
