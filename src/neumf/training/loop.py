"""Loop over epochs, with validation, early stopping and interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sklearn.exceptions import ConvergenceWarning

from neumf.model.network import Weights
from neumf.training.interrupts import raise_noted
from neumf.training.trainer import OptimizerState, Trainer
from neumf.utils.validation import warn_caller

# Training diverged if its loss exceeds this multiple of the loss of equal scores. Trained networks
# stay near or below 1; a `partial_fit` to each user's lowest-ranked item reached 7.5.
_DIVERGED = 10


@dataclass(frozen=True)
class Validation:
    """The measure and the patience that select the best epoch."""

    measure: Callable[[Weights], float]  # larger is better
    patience: int = 1  # training stops after this many epochs without a better value


@dataclass(frozen=True)
class Trained:
    """The result of `train`."""

    weights: Weights  # of the best epoch by validation, or of the last one without validation
    optimizer: OptimizerState | None  # Adam as it was at the end; None with validation
    losses: list[float]  # mean training loss of each epoch
    values: list[float]  # validation value of each epoch; empty without validation
    best_epoch: int  # the epoch of the weights, from 1
    interrupted: bool  # by Ctrl-C


class EpochReport(NamedTuple):
    """The result of an epoch: number, loss, validation value, and seconds of training."""

    epoch: int
    loss: float
    value: float | None
    seconds: float


class Watcher(Protocol):
    """An object that is called before and after each epoch."""

    def begin_epoch(self) -> None:
        """Handle the start of an epoch."""

    def end_epoch(self, report: EpochReport, weights: Callable[[], Weights]) -> bool:
        """Handle the end of an epoch; return whether training should stop."""


def train(
    trainer: Trainer,
    epochs: int,
    watcher: Watcher,
    *,
    validation: Validation | None = None,
    keep_moments: bool = False,
) -> Trained:
    """Train until all epochs are done, validation stops improving, or the watcher stops it.

    Ctrl-C also ends training. After at least one epoch, the weights are kept.
    """
    reports = list[EpochReport]()
    best: Weights | None = None
    best_epoch, best_value = 0, -math.inf
    interrupted = False
    trainer.compile()
    try:
        for epoch in range(1, epochs + 1):
            watcher.begin_epoch()
            start = time.perf_counter()
            loss = trainer.run_epoch()
            seconds = time.perf_counter() - start
            if not math.isfinite(loss):
                raise diverged(f"the loss of epoch {epoch} is {loss}")
            value = None
            if validation is not None:
                weights = trainer.weights()
                value = validation.measure(weights)
            reports.append(EpochReport(epoch, loss, value, seconds))
            if value is not None and (best is None or value > best_value):
                best, best_epoch, best_value = weights, epoch, value
            stop = watcher.end_epoch(reports[-1], trainer.weights)
            if stop or (validation is not None and epoch - best_epoch >= validation.patience):
                break
    except KeyboardInterrupt:
        if not reports:
            raise
        interrupted = True
    losses = [report.loss for report in reports]
    values = [report.value for report in reports if report.value is not None]
    best_epoch = best_epoch or len(losses)
    _warn_of_divergence(losses[best_epoch - 1], best_epoch, trainer.loss_of_equal_scores())
    optimizer = None
    if best is None:
        best, optimizer = trainer.finish(keep_moments)
    try:
        raise_noted()
    except KeyboardInterrupt:  # since the last chunk
        interrupted = True
    if interrupted:
        message = f"Training was interrupted after {len(losses)} of {epochs} epochs; the weights "
        warn_caller(f"{message}learned until then are kept.", RuntimeWarning)
    return Trained(best, optimizer, losses, values, best_epoch, interrupted)


def _warn_of_divergence(loss: float, epoch: int, chance: float) -> None:
    if loss > _DIVERGED * chance:
        equal = f"the loss of equal scores for all items is {chance:.4g}"
        error = diverged(f"the loss of epoch {epoch} is {loss:.4g}; {equal}")
        warn_caller(str(error), ConvergenceWarning)


def diverged(what: str) -> ValueError:
    """Return the error of a training that diverged."""
    return ValueError(f"Training diverged: {what}. Lower learning_rate.")
