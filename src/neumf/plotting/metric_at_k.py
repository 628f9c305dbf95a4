"""Metrics by the length of the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pandas as pd

from neumf.evaluation.compare import evaluate
from neumf.plotting.axes import METRIC_NAMES, require_matplotlib, subplots_side_by_side


class MetricAtKDisplay:
    """A metric against the length of the list, for one or several recommenders, with error bands.

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
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The axes.
    lines_ : list of Line2D
        A curve per estimator.

    See Also
    --------
    neumf.compare : Makes the table.

    Notes
    -----
    The band is one standard error over users to both sides. It says how far other users would move
    a curve; whether one recommender is better than another says the paired difference of `compare`,
    which is sharper.

    Examples
    --------
    >>> from neumf import PopularityRecommender, evaluate
    >>> from neumf.plotting import MetricAtKDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> results = evaluate(PopularityRecommender().fit(X), [["c", 3], ["b", 2]], k=[1, 2])
    >>> MetricAtKDisplay.from_results(results, metric="hr").lines_[0].get_ydata().tolist()
    [0.5, 1.0]
    """

    def __init__(self, results: pd.DataFrame, metric: str = "ndcg", ranking: str = "exact") -> None:
        self.results = results
        self.metric = metric
        self.ranking = ranking

    @classmethod
    def from_results(
        cls, results: pd.DataFrame, *, metric: str = "ndcg", ranking: str = "exact", ax: Any = None
    ) -> Self:
        """Draw a table of results.

        Parameters
        ----------
        results : DataFrame
            As from :func:`neumf.evaluate` or :func:`neumf.compare`.
        metric : str, default="ndcg"
            The metric to draw.
        ranking : str, default="exact"
            Which of the rankings in the table to draw.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MetricAtKDisplay
            With what was drawn.

        Raises
        ------
        ValueError
            If the table has no such metric and ranking.
        """
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
        """Measure a fitted recommender on held-out rows, exactly, and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender, or a pipeline or search that ends in one.
        X : array-like of shape (n_samples, n_features >= 2)
            Held-out interactions.
        metric : str, default="ndcg"
            The metric to draw.
        k : sequence of int, default=(1, 2, 5, 10, 20, 50)
            Lengths of the list.
        name : str or None, default=None
            What the legend calls the curve; None takes the name of the class.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : MetricAtKDisplay
            With what was drawn.
        """
        require_matplotlib()
        results = evaluate(estimator, X, metrics=[metric], k=k)
        results.insert(0, "estimator", name or type(estimator).__name__)
        return cls(results, metric).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self : MetricAtKDisplay
            With what was drawn.
        """
        require_matplotlib()
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
        self.ax_ = subplots_side_by_side(1)[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        self.lines_ = []
        named = "estimator" in drawn
        groups = drawn.groupby("estimator", sort=False) if named else [(None, drawn)]
        for name, part in groups:
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
