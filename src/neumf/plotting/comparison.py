"""One metric of several recommenders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from neumf.evaluation.results import Results, label_columns, metric_title, shown_margins
from neumf.plotting.axes import axes_or_new, row_names, rows_to_draw


@dataclass(eq=False, repr=False)
class ComparisonDisplay:
    """Plot a metric of each recommender, with its margin.

    .. versionadded:: 0.1

    Parameters
    ----------
    results : Results or DataFrame
        As from :func:`neumf.compare` or :func:`neumf.evaluate`, or its `to_frame`.
    metric : str, default="ndcg"
        The metric to draw.
    k : int or None, default=None
        The length of the list; None takes the longest one in the results.
    ranking : str, default="exact"
        The ranking to draw.

    Attributes
    ----------
    figure_, ax_, bars_
        The figure, the axes, and the points with their error bars (an ErrorbarContainer).

    See Also
    --------
    MetricAtKDisplay : The same by length of the list.

    Notes
    -----
    An error bar is a 95 % confidence interval. With results of `compare`, it is the interval of the
    paired difference from the first recommender, corrected for the number of recommenders. The
    first one has a dashed line and no error bar: a bar that does not cross the line is a difference
    that other users would hardly reverse. With results of `evaluate`, it is the interval of the
    value.

    Examples
    --------
    >>> from neumf import ItemKNNRecommender, PopularityRecommender, compare
    >>> from neumf.plotting import ComparisonDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2], ["d", 1]]
    >>> models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    >>> results = compare(models, X, [["c", 1], ["d", 3]], metrics="hr", k=1)
    >>> display = ComparisonDisplay.from_results(results, metric="hr")
    >>> display.ax_.get_xlabel()
    'HR@1'
    """

    results: Results | pd.DataFrame
    metric: str = "ndcg"
    k: int | None = None
    ranking: str = "exact"

    @classmethod
    def from_results(
        cls,
        results: Results | pd.DataFrame,
        *,
        metric: str = "ndcg",
        k: int | None = None,
        ranking: str = "exact",
        ax: Any = None,
    ) -> Self:
        """Draw results; the class and `plot` document the parameters."""
        return cls(results, metric, k, ranking).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the points; return the display.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.

        Raises
        ------
        ValueError
            If the results do not have the metric, the ranking or `k`.
        """
        rows = rows_to_draw(self.results, self.metric, self.ranking)
        ks = rows["k"].dropna().unique().tolist()
        if self.k is not None and self.k not in ks:
            raise ValueError(
                f"k must be a length of the list in the results, one of {ks}. Received: {self.k!r}."
            )
        k = self.k if self.k is not None or not ks else max(ks)
        rows = rows if k is None else rows[rows["k"] == k]
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        places = range(len(rows))
        self.bars_ = self.ax_.errorbar(
            rows["value"], places, xerr=shown_margins(rows), fmt="o", capsize=4
        )
        if "difference" in rows and label_columns(rows) == ["estimator"]:
            self.ax_.axvline(rows["value"].iloc[0], ls="--", lw=1, color="0.5", zorder=0)
        self.ax_.set_yticks(places, row_names(rows))
        self.ax_.invert_yaxis()  # the first recommender stands at the top, as in the table
        self.ax_.margins(y=0.15)
        self.ax_.set_xlabel(metric_title(self.metric, [k]))
        return self
