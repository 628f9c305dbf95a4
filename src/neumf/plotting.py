"""Pictures, in the manner of scikit-learn's Display classes; they need matplotlib.

Each class is made by `from_estimator` or `from_results`, which draw at once, and can be drawn again
with `plot`. The figure, the axes and the artists stay at hand for changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from neumf.evaluation import evaluate
from neumf.interactions.ids import encode_ids

__all__ = ["LearningCurveDisplay", "MetricAtKDisplay", "PopularityDisplay"]

_NAMES = {
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


class LearningCurveDisplay:
    """The loss and, with `early_stopping`, the validation metric of each epoch.

    .. versionadded:: 0.1

    Parameters
    ----------
    history : dict of list of float
        Values per epoch: "loss" and perhaps "val_ndcg_at_10", as in `NeuMFRecommender.history_`.
        NaN, where an epoch was not validated, leaves a gap.
    best_epoch : int or None, default=None
        The epoch that was kept, from 1; a dot marks it, unless its value is NaN.
    name : str or None, default=None
        What the legend calls the curves.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of Axes of shape (n_values,)
        The axes of the loss, then those of the validation metric.
    lines_ : list of Line2D
        The curves.

    See Also
    --------
    neumf.NeuMFRecommender : Has the history.

    Examples
    --------
    >>> from neumf.plotting import LearningCurveDisplay
    >>> history = {"loss": [0.7, 0.5, 0.4], "val_ndcg_at_10": [0.05, 0.07, 0.06]}
    >>> display = LearningCurveDisplay(history, best_epoch=2).plot()
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['training loss', 'validation NDCG@10']
    """

    def __init__(
        self,
        history: Mapping[str, Sequence[float]],
        best_epoch: int | None = None,
        name: str | None = None,
    ) -> None:
        self.history = history
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, axes: Any = None, **kwargs: Any
    ) -> Self:
        """Draw the curves of a fitted recommender.

        Parameters
        ----------
        estimator : NeuMFRecommender
            Fitted.
        name : str or None, default=None
            What the legend calls the curves.
        axes : sequence of Axes or None, default=None
            Where to draw, one for each value; None makes a figure. The `axes_` of another display
            lay the curves over one another.
        **kwargs : dict
            Passed on to `Axes.plot`.

        Returns
        -------
        display : LearningCurveDisplay
            With what was drawn.
        """
        check_is_fitted(estimator, "history_")
        # After `partial_fit` the weights are those of an epoch that was not validated.
        n_validated = len(estimator.history_.get("val_ndcg_at_10", []))
        best_epoch = estimator.best_iter_ if estimator.best_iter_ <= n_validated else None
        return cls(estimator.history_, best_epoch, name).plot(axes=axes, **kwargs)

    def plot(self, *, axes: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        axes : sequence of Axes or None, default=None
            Where to draw, one for each value; None makes a figure.
        **kwargs : dict
            Passed on to `Axes.plot`.

        Returns
        -------
        self : LearningCurveDisplay
            With what was drawn.

        Raises
        ------
        ValueError
            If there are more or fewer axes than values, or `best_epoch` is no epoch of the history.
        """
        _require_matplotlib()
        self._check_best_epoch()
        if axes is None:
            _, axes = _subplots(len(self.history))
        self.axes_ = np.atleast_1d(axes)
        if len(self.axes_) != len(self.history):
            raise ValueError(
                f"axes must be {len(self.history)}, one for each of {list(self.history)}. Received "
                f"{len(self.axes_)}."
            )
        self.figure_ = self.axes_[0].figure
        self.lines_ = []
        for ax, (key, values) in zip(self.axes_, self.history.items(), strict=True):
            epochs = np.arange(1, len(values) + 1)
            (line,) = ax.plot(epochs, values, **{"label": self.name, **kwargs})
            if self.best_epoch is not None and key != "loss":
                best_value = values[self.best_epoch - 1]
                if not np.isnan(best_value):
                    ax.plot(self.best_epoch, best_value, "o", color=line.get_color())
            ax.set(xlabel="epoch", ylabel=_NAMES.get(key, key))
            _whole_numbers(ax)
            self.lines_.append(line)
        if self.name is not None:
            self.axes_[0].legend(frameon=False)
        return self

    def _check_best_epoch(self) -> None:
        watched = [len(values) for key, values in self.history.items() if key != "loss"]
        if self.best_epoch is not None and watched and not 1 <= self.best_epoch <= min(watched):
            raise ValueError(
                f"best_epoch must be an epoch of the history, from 1 to {min(watched)}. Received: "
                f"{self.best_epoch!r}. Give None to mark no epoch."
            )


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
        _require_matplotlib()
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
        _require_matplotlib()
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
        self.ax_ = _subplots(1)[1] if ax is None else ax
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
        self.ax_.set(xlabel="k, length of the list", ylabel=_NAMES[self.metric])
        self.ax_.set_xscale("log")
        ticks = sorted(drawn["k"].unique())
        self.ax_.set_xticks(ticks, labels=[str(tick) for tick in ticks])
        self.ax_.minorticks_off()
        if named:
            self.ax_.legend(frameon=False)
        return self


class PopularityDisplay:
    """How often items are recommended against how popular they are.

    .. versionadded:: 0.1

    Parameters
    ----------
    popularity : ndarray of shape (n_items,)
        Number of users who interacted with each item in `fit`.
    exposure : ndarray of shape (n_items,)
        Number of lists that each item is in.
    name : str or None, default=None
        What the legend calls the points.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    ax_ : matplotlib.axes.Axes
        The axes.
    line_ : Line2D
        The points.

    See Also
    --------
    neumf.evaluate : Coverage, Gini coefficient and overlap of the lists in numbers.

    Notes
    -----
    A point is an item, or several that coincide. Both axes are logarithmic from 1 on; items in no
    list lie at the bottom. The dashed line is exposure in proportion to popularity.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> from neumf.plotting import PopularityDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> display = PopularityDisplay.from_estimator(PopularityRecommender().fit(X), k=1)
    >>> display.exposure.tolist()
    [1, 1, 1]
    """

    def __init__(
        self, popularity: NDArray[Any], exposure: NDArray[Any], name: str | None = None
    ) -> None:
        self.popularity = popularity
        self.exposure = exposure
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        users: Any = None,
        *,
        k: int = 10,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Recommend to users, and draw what they get.

        Parameters
        ----------
        estimator : recommender
            Fitted.
        users : array-like of ids or None, default=None
            Whom to recommend to; None means all users that `fit` saw.
        k : int, default=10
            Length of the lists.
        name : str or None, default=None
            What the legend calls the points; None takes the name of the class.
        ax : Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to `Axes.plot`.

        Returns
        -------
        display : PopularityDisplay
            With what was drawn.
        """
        _require_matplotlib()
        items = estimator.recommend(users, k=k)["item"].to_numpy()
        codes = encode_ids(items, estimator.items_)
        exposure = np.bincount(codes, minlength=len(estimator.items_))
        name = name or type(estimator).__name__
        return cls(estimator.popularity_, exposure, name).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to `Axes.plot`.

        Returns
        -------
        self : PopularityDisplay
            With what was drawn.
        """
        _require_matplotlib()
        self.ax_ = _subplots(1)[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        style = {"ls": "", "marker": ".", "alpha": 0.4, "mew": 0, "label": self.name}
        (self.line_,) = self.ax_.plot(self.popularity, self.exposure, **{**style, **kwargs})
        ends = np.array([1, self.popularity.max()])
        in_proportion = ends * self.exposure.sum() / self.popularity.sum()
        self.ax_.plot(ends, in_proportion, ls="--", lw=1, color="0.5", zorder=0)
        self.ax_.set_xscale("log")
        self.ax_.set_yscale("symlog", linthresh=1)
        self.ax_.set_ylim(bottom=-0.2)
        self.ax_.set(xlabel="users of the item in fit", ylabel="lists that the item is in")
        if self.name is not None:
            self.ax_.legend(frameon=False)
        return self


def _require_matplotlib() -> None:
    """Raise an error that says what to install unless matplotlib is there."""
    try:
        import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            "neumf.plotting needs matplotlib, which comes with the extra 'plot': "
            "pip install 'scikit-neumf[plot]'."
        ) from error


def _subplots(n: int) -> tuple[Any, Any]:
    """Return a new figure with n axes side by side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, n, figsize=(5 * n, 3.6), layout="constrained")
    for ax in np.atleast_1d(axes):
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whole_numbers(ax: Any) -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
