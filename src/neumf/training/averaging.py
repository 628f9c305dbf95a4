"""The mean of the weights after several epochs."""

from __future__ import annotations

from collections import deque

import numpy as np

from neumf.model.network import Weights
from neumf.training.loop import EpochTrainer
from neumf.training.trainer import OptimizerState


class AveragingTrainer:
    """Trains as another trainer does; its weights are the mean of those after the last epochs.

    Parameters
    ----------
    trainer : EpochTrainer
        Who trains.
    n_epochs : int
        Of how many of the last epochs the weights count.
    """

    def __init__(self, trainer: EpochTrainer, n_epochs: int) -> None:
        self._trainer = trainer
        self._earlier: deque[Weights] = deque(maxlen=n_epochs - 1)
        self._has_trained = False
        self.n_samples = trainer.n_samples

    def compile(self) -> None:
        """Do what no epoch should be timed with."""
        self._trainer.compile()

    def run_epoch(self) -> float:
        """Go once through all rows; return the mean loss per row."""
        if self._has_trained:
            self._earlier.append(self._trainer.weights())
        self._has_trained = True
        return self._trainer.run_epoch()

    def weights(self) -> Weights:
        """Return the mean of the weights as they are now and as they were."""
        return _mean([*self._earlier, self._trainer.weights()])

    def finish(self, keep_moments: bool) -> tuple[Weights, OptimizerState]:
        """Return the mean weights, and Adam as it is after the last epoch."""
        weights, optimizer = self._trainer.finish(keep_moments)
        return _mean([*self._earlier, weights]), optimizer


def _mean(parts: list[Weights]) -> Weights:
    tables, shared = (
        {
            name: np.sum([part[name] for part in arrays], axis=0) / np.float32(len(parts))
            for name in arrays[0]
        }
        for arrays in zip(*parts, strict=True)
    )
    return Weights(tables, shared)
