"""The training loss and the validation metric of each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from neumf.plotting.axes import axes_or_new

_AXIS_LABELS = {"loss": "training loss", "val_ndcg_at_10": "validation NDCG@10"}


@dataclass(eq=False, repr=False)
class LearningCurveDisplay:
    """Plot the loss and, with `early_stopping`, the validation metric of each epoch.

    .. versionadded:: 0.1

    Parameters
    ----------
    history : dict of list of float
        Values per epoch: "loss" and perhaps "val_ndcg_at_10", as in `NeuMFRecommender.history_`.
        NaN leaves a gap.
    best_epoch : int or None, default=None
        The epoch that was kept, from 1; a dot marks it, unless its value is NaN.
    name : str or None, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    figure_, axes_, lines_
        The figure, an array of the axes of each key of the history, and a list of their curves.

    Examples
    --------
    >>> from neumf.plotting import LearningCurveDisplay
    >>> history = {"loss": [0.7, 0.5, 0.4], "val_ndcg_at_10": [0.05, 0.07, 0.06]}
    >>> display = LearningCurveDisplay(history, best_epoch=2).plot()
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['training loss', 'validation NDCG@10']
    """

    history: Mapping[str, Sequence[float]]
    best_epoch: int | None = None
    name: str | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, axes: Any = None, **kwargs: Any
    ) -> Self:
        """Draw the curves of a fitted recommender; return the display.

        Parameters
        ----------
        estimator : NeuMFRecommender or NextItemRecommender
            Fitted.
        name, axes, **kwargs
            See the class and :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator has no learning curve: it is not trained in epochs.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise TypeError(
                "estimator must be trained in epochs, as NeuMFRecommender and NextItemRecommender "
                f"are. Received: {type(estimator).__name__}, which has no learning curve."
            )
        # After `partial_fit` the weights come from an epoch that was not validated.
        n_validated = len(estimator.history_.get("val_ndcg_at_10", []))
        best_epoch = estimator.best_iter_ if estimator.best_iter_ <= n_validated else None
        return cls(estimator.history_, best_epoch, name).plot(axes=axes, **kwargs)

    def plot(self, *, axes: Any = None, **kwargs: Any) -> Self:
        """Draw the curves; return the display.

        Parameters
        ----------
        axes : sequence of Axes or None, default=None
            One for each key of the history, such as the `axes_` of another display; None makes a
            figure.
        **kwargs : dict
            Passed on to `Axes.plot`.

        Raises
        ------
        ValueError
            If the number of axes is wrong, or `best_epoch` is not an epoch of the history.
        """
        watched = [len(values) for key, values in self.history.items() if key != "loss"]
        if self.best_epoch is not None and watched and not 1 <= self.best_epoch <= min(watched):
            raise ValueError(
                f"best_epoch must be an epoch of the history, from 1 to {min(watched)}. Received: "
                f"{self.best_epoch!r}. Give None to mark no epoch."
            )
        self.axes_ = np.atleast_1d(axes_or_new(axes, len(self.history)))
        from matplotlib.ticker import MaxNLocator

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
            ax.set(xlabel="epoch", ylabel=_AXIS_LABELS.get(key, key))
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            self.lines_.append(line)
        if self.name is not None:
            self.axes_[0].legend(frameon=False)
        return self
