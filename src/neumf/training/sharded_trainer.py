"""Train shards of users side by side, wherever joblib's active back end runs tasks."""

from __future__ import annotations

import math
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import joblib
import numpy as np
from joblib.parallel import get_active_backend

from neumf.model.network import Blueprint, Weights
from neumf.training.batches import BatchSizes, TrainingRows
from neumf.training.centres import Centres
from neumf.training.shards import Part, Progress, State, cut_rows, merge, train_part
from neumf.training.trainer import OptimizerState, TrainingSettings

# Rounds of an epoch, at the most: an item of MovieLens-1M is then touched ten times in a round, and
# where it is touched forty times, NDCG@10 is 5 to 8 % lower. Those of small tables have about so
# many steps of all shards together: four times as long ones cost 3 %.
MOST_ROUNDS = 128
_STEPS_OF_ROUND = 4

# How often a round is begun whose workers die.
_MOST_TRIES = 4


class ShardedTrainer:
    """Trains as `Trainer` does, but in shards, which joblib runs side by side.

    In a round, each shard goes on from the same weights, through a part of its rows; then what all
    share is put together. A round is a function of the weights at its start: where workers die, it
    is run again.

    Parameters
    ----------
    blueprint, weights, rows, settings, rng, optimizer
        As for `Trainer`. `rng` gives the seed of each epoch.
    n_shards : int
        How many shards the users that have rows are cut into, if there are so many.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        weights: Weights,
        rows: TrainingRows,
        settings: TrainingSettings,
        rng: np.random.Generator,
        optimizer: OptimizerState | None = None,
        *,
        n_shards: int,
    ) -> None:
        self._blueprint = blueprint
        self._settings = settings
        self._rng = rng
        self._state = State.of(weights, optimizer)
        self._n_rows = len(rows)
        self._centres: dict[str, Centres] = blueprint.by_table(rows.centres)
        sizes = BatchSizes.of_rows(rows, settings.batch_size, settings.n_negatives)
        self.n_samples = len(rows) * (1 + sizes.n_drawn)
        n_steps = len(rows) / sizes.n_rows
        self.n_rounds = min(MOST_ROUNDS, math.ceil(n_steps / _STEPS_OF_ROUND))
        # Those whose rows are users.
        self._own = set(blueprint.by_table((True, None)))
        self._shards = cut_rows(rows, n_shards)
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        self._placed: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._placed = []
        self._folder.cleanup()

    def compile(self) -> None:
        """Put the shards where they are trained; each process compiles when it first trains."""
        client = _dask_client()
        if client is None:
            self._placed = [self._mapped(number) for number in range(len(self._shards))]
        else:
            self._placed = client.scatter(self._shards, hash=False)

    def run_epoch(self) -> float:
        """Go once through all rows in a new order; return the mean loss per row."""
        self._move_centres()
        seed = int(self._rng.integers(2**62))
        parts = [Part(seed, number, self.n_rounds) for number in range(self.n_rounds)]
        return sum(map(self._run_round, parts))

    def weights(self) -> Weights:
        """Return the weights as they are now."""
        weights = self._state.weights()
        for name, centres in self._centres.items():
            centres.fill_cold(weights.tables[name])
        return weights

    def finish(self, keep_moments: bool) -> tuple[Weights, OptimizerState]:
        """Return the weights, and Adam with or without the moments of each row."""
        return self.weights(), self._state.optimizer(keep_moments)

    def _move_centres(self) -> None:
        tables = self._state.weights().tables if self._centres else {}
        moved = {name: centres.of(tables[name]) for name, centres in self._centres.items()}
        self._state = replace(self._state, centres=moved)

    def _run_round(self, part: Part) -> float:
        """Train a part of each shard; return its part of the mean loss per row."""
        for n_tries in range(1, _MOST_TRIES + 1):
            try:
                rounds = self._train_shards(part)
                break
            except (BrokenExecutor, CancelledError):
                # A worker was killed, and with it what it held.
                if n_tries == _MOST_TRIES:
                    raise
                self.compile()
        self._state = merge(self._state, rounds)
        return sum(progress.loss for progress in rounds) / self._n_rows

    def _train_shards(self, part: Part) -> list[Progress]:
        common: Any = self._state.without(self._own)
        of_shards: list[Any] = [
            self._state.rows_of(self._own, shard.users) for shard in self._shards
        ]
        client = _dask_client()
        if client is not None:
            # Each worker has the state, so that tasks go to where their shards are.
            common = client.scatter(common, hash=False, broadcast=True)
            of_shards = client.scatter(of_shards, hash=False)
        run = joblib.delayed(_train)
        progress: list[Progress] = joblib.Parallel(_n_workers(len(self._shards)), batch_size=1)(
            run(shard, number, common, of_shard, self._blueprint, self._settings, part)
            for number, (shard, of_shard) in enumerate(zip(self._placed, of_shards, strict=True))
        )
        return progress

    def _mapped(self, number: int) -> Any:
        """Return a shard whose arrays are in a file: joblib sends processes their places alone."""
        path = Path(self._folder.name) / f"shard_{number}"
        if not path.exists():
            joblib.dump(self._shards[number], path)
        return joblib.load(path, mmap_mode="r")


def _train(shard: Any, number: int, common: Any, own: Any, *others: Any) -> Progress:
    return train_part(_arrived(shard), number, _arrived(common), _arrived(own), *others)


def _arrived(value: Any) -> Any:
    """Return the value, also of one of dask's futures: joblib uses no cluster of one core."""
    return value.result() if hasattr(value, "result") else value


def _dask_client() -> Any:
    """Return the client of dask, if tasks run there, which joblib would have to send all data."""
    return getattr(get_active_backend()[0], "client", None)


def count_shards(n_jobs: int | None) -> int:
    """Return how many shards `n_jobs` asks for: of -1, one per core that joblib knows of."""
    if n_jobs is None or n_jobs > 0:
        return n_jobs or 1
    return int(joblib.effective_n_jobs(n_jobs))


def _n_workers(n_shards: int) -> int:
    """Return how many shards are trained at once."""
    backend, granted = get_active_backend()
    if backend.nesting_level:
        # A task of somebody else's, such as a search: the cores have their work.
        return 1
    n_workers: int = joblib.effective_n_jobs(-1 if granted is None else granted)
    return min(n_shards, n_workers)
