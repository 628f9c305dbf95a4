"""The loop over epochs: validation, stopping, interruption."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from neumf.model.network import Weights
from neumf.training.trainer import OptimizerState


@dataclass(frozen=True)
class Trained:
    """What `train` gives.

    Attributes
    ----------
    weights : Weights
        Those of the best epoch by validation, or of the last one without validation.
    optimizer : OptimizerState or None
        Adam as it was at the end; None if an earlier epoch was the best.
    losses, values : list of float
        Mean training loss and validation value of each epoch; `values` is empty without validation.
    best_epoch : int
        The epoch of the weights, from 1.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    weights: Weights
    optimizer: OptimizerState | None
    losses: list[float]
    values: list[float]
    best_epoch: int
    interrupted: bool


class EpochReport(NamedTuple):
    """What an epoch came to: its number, loss, validation value, and the seconds it trained."""

    epoch: int
    loss: float
    value: float | None
    seconds: float


class EpochTrainer(Protocol):
    """Trains epoch by epoch: a `Trainer` or an `AveragingTrainer`."""

    n_samples: int

    def compile(self) -> None:
        """Do what no epoch should be timed with."""

    def run_epoch(self) -> float:
        """Go once through all rows; return the mean loss per row."""

    def weights(self) -> Weights:
        """Return the weights as they are now."""

    def finish(self, keep_moments: bool) -> tuple[Weights, OptimizerState]:
        """Return the weights, and Adam with or without the moments of each row."""


class Watcher(Protocol):
    """Whom `train` tells of its epochs."""

    def begin_epoch(self) -> None:
        """Take note that an epoch begins."""

    def end_epoch(self, report: EpochReport, weights: Callable[[], Weights]) -> bool:
        """Take note of how an epoch ended; return whether the training should stop.

        `weights` gives the weights as they are then.
        """


def train(
    trainer: EpochTrainer,
    epochs: int,
    watcher: Watcher,
    *,
    validate: Callable[[Weights], float] | None = None,
    patience: int = 1,
    keep_moments: bool = False,
) -> Trained:
    """Train for some epochs, or until `patience` epochs have not bettered the validation value.

    Ctrl-C ends the training, with what was learned until then, if an epoch is done.
    """
    losses: list[float] = []
    values: list[float] = []
    best: Weights | None = None
    best_epoch = 0
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
            if validate is not None:
                weights = trainer.weights()
                value = validate(weights)
                if best is None or value > values[best_epoch - 1]:
                    best, best_epoch = weights, epoch
                values.append(value)
            losses.append(loss)
            stop = watcher.end_epoch(EpochReport(epoch, loss, value, seconds), trainer.weights)
            if stop or (best is not None and epoch - best_epoch >= patience):
                break
    except KeyboardInterrupt:
        if not losses:
            raise
        interrupted = True
        warnings.warn(
            f"Training was interrupted after {len(losses)} of {epochs} epochs; what was learned "
            "until then is kept.",
            RuntimeWarning,
            stacklevel=2,
        )
    optimizer = None
    if best is None:
        best, optimizer = trainer.finish(keep_moments)
    return Trained(best, optimizer, losses, values, best_epoch or len(losses), interrupted)


def diverged(what: str) -> ValueError:
    """Return the error of a training that has led nowhere."""
    return ValueError(f"Training diverged: {what}. Lower learning_rate.")
