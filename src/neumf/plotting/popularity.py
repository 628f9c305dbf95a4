"""The number of lists that each item is in, by its popularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neumf.interactions.vocabulary import indices_of
from neumf.plotting.axes import axes_or_new, require_matplotlib


@dataclass(eq=False, repr=False)
class PopularityDisplay:
    """Plot how often items are recommended against how popular they are.

    .. versionadded:: 0.1

    Parameters
    ----------
    popularity : ndarray of shape (n_items,)
        Number of users who interacted with each item in `fit`.
    exposure : ndarray of shape (n_items,)
        Number of lists that contain each item.
    name : str or None, default=None
        Name of the points in the legend.

    Attributes
    ----------
    figure_, ax_, line_
        The figure, the axes, and the points (a Line2D).

    See Also
    --------
    neumf.evaluate : Measures coverage, Gini coefficient and overlap of the lists.

    Notes
    -----
    A point is an item, or several that coincide. Both axes are logarithmic from 1 on. Items without
    a list lie at the bottom. The dashed line is exposure in proportion to popularity.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> from neumf.plotting import PopularityDisplay
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 3], ["c", 2]]
    >>> display = PopularityDisplay.from_estimator(PopularityRecommender().fit(X), k=1)
    >>> display.exposure.tolist()
    [1, 1, 1]
    """

    popularity: NDArray[Any]
    exposure: NDArray[Any]
    name: str | None = None

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
        """Recommend to users, draw the items of their lists, and return the display.

        Parameters
        ----------
        estimator : recommender
            Fitted.
        users : array-like of ids or None, default=None
            Users to recommend to; None means all users that `fit` saw.
        k : int, default=10
            Length of the lists.
        name : str or None, default=None
            Name of the points in the legend; None takes the name of the class.
        ax, **kwargs
            See :meth:`plot`.
        """
        require_matplotlib()
        indices = indices_of(estimator.recommend(users, k=k)["item"].to_numpy(), estimator.items_)
        exposure = np.bincount(indices, minlength=len(estimator.items_))
        name = name or type(estimator).__name__
        return cls(estimator.popularity_, exposure, name).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the points; return the display.

        Parameters
        ----------
        ax : Axes or None, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to `Axes.plot`.
        """
        self.ax_ = axes_or_new(ax)
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
