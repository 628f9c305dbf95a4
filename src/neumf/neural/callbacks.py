"""Report epochs to the progress display and to scikit-learn's callbacks (from 1.9 on)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from neumf.model.network import Blueprint, Weights
from neumf.neural.progress import Progress
from neumf.training.loop import EpochReport

_Method = TypeVar("_Method", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty class: callbacks are not supported."""

    _with_callbacks = None


def with_callbacks(method: _Method) -> _Method:
    """Return the method with support of scikit-learn's callbacks, and with the same type."""
    return method if _with_callbacks is None else _with_callbacks(method)


__all__ = ["CallbackSupportMixin", "EpochWatcher", "FitTasks", "with_callbacks"]


class FitTasks:
    """Report the start and end of `fit` and its epochs to the callbacks of an estimator."""

    def __init__(
        self,
        estimator: Any,
        n_epochs: int,  # the maximum
        attributes: dict[str, Any],  # fitted attributes that are known before training
        attributes_of_weights: Callable[[Blueprint, Weights], dict[str, Any]],
        **data: Any,  # X, y, metadata
    ) -> None:
        self._estimator, self._data = estimator, data
        self._attributes, self._attributes_of_weights = attributes, attributes_of_weights
        self._fit: Any = None
        self._epoch: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self._fit = estimator._init_callback_context(max_subtasks=n_epochs)
            self._fit.call_on_fit_task_begin(estimator=estimator, **data)

    def begin_epoch(self) -> None:
        """Report the start of an epoch."""
        if self._fit is not None:
            self._epoch = self._fit.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def end_epoch(self, blueprint: Blueprint, weights: Callable[[], Weights]) -> bool:
        """Report the end of an epoch; return whether a callback wants to stop."""
        if self._epoch is None:
            return False
        stop = self._epoch.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: (
                self._attributes | self._attributes_of_weights(blueprint, weights())
            ),
            **self._data,
        )
        return bool(stop)

    def end(self) -> None:
        """Report the end of `fit`."""
        if self._fit is not None:
            self._fit.call_on_fit_task_end(estimator=self._estimator, **self._data)


@dataclass
class EpochWatcher:
    """Passes epochs on to the progress display and to callbacks."""

    progress: Progress
    blueprint: Blueprint
    tasks: FitTasks | None

    def begin_epoch(self) -> None:
        """Announce the begin of an epoch."""
        self.progress.begin_epoch()
        if self.tasks is not None:
            self.tasks.begin_epoch()

    def end_epoch(self, report: EpochReport, weights: Callable[[], Weights]) -> bool:
        """Pass the report on; return whether a callback wants to stop."""
        self.progress.end_epoch(report)
        return self.tasks is not None and self.tasks.end_epoch(self.blueprint, weights)
