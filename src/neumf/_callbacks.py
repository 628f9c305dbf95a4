"""scikit-learn's callbacks, where scikit-learn has them (1.9); elsewhere nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No support."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTasks", "with_callbacks"]


class FitTasks:
    """Tells the callbacks of an estimator when `fit` and its epochs begin and end.

    Parameters
    ----------
    estimator : estimator
        Whose callbacks are told.
    n_epochs : int
        The most epochs that `fit` may run.
    attributes : dict
        The fitted attributes that are known from the start.
    attributes_of_network : callable
        Gives those that a network makes.
    **data : dict
        What is fitted: X, y, metadata.
    """

    def __init__(
        self,
        estimator: Any,
        n_epochs: int,
        attributes: dict[str, Any],
        attributes_of_network: Callable[[Any], dict[str, Any]],
        **data: Any,
    ) -> None:
        self._estimator = estimator
        self._attributes = attributes
        self._attributes_of_network = attributes_of_network
        self._data = data
        self._fit: Any = None
        self._epoch: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self._fit = estimator._init_callback_context(max_subtasks=n_epochs)
            self._fit.call_on_fit_task_begin(estimator=estimator, **data)

    def begin_epoch(self) -> None:
        """Tell that an epoch begins."""
        if self._fit is not None:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def end_epoch(self, network: Callable[[], Any]) -> bool:
        """Tell that it ended; return whether a callback wants no more.

        `network` gives the weights, if a callback asks for a fitted estimator.
        """
        if self._epoch is None:
            return False
        stop = self._epoch.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: (
                self._attributes | self._attributes_of_network(network())
            ),
            **self._data,
        )
        return bool(stop)

    def end(self) -> None:
        """Tell that `fit` ended."""
        if self._fit is not None:
            self._fit.call_on_fit_task_end(estimator=self._estimator, **self._data)
