"""Train a network on prepared rows, for `fit` and `partial_fit`.

No function here changes an estimator: the caller commits the result in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from neumf.interactions.encoded_rows import EncodedRows
from neumf.model.network import Blueprint, Network, Weights
from neumf.neural.callbacks import EpochWatcher, FitTasks
from neumf.neural.joining import Setting
from neumf.neural.progress import make_progress, print_choices
from neumf.neural.training_rows import PreparedFit, ToJoin
from neumf.training.interrupts import interrupts_noted
from neumf.training.least_squares import Confidences, FoldIn, LeastSquares
from neumf.training.loop import Trained, Validation, diverged, train
from neumf.training.trainer import Trainer

# Number of rows whose scores are checked after training.
_N_CHECKED = 2**12


@dataclass(frozen=True)
class Run:
    """The data and the generator that all trainings of one `fit` share."""

    prepared: PreparedFit
    rng: np.random.Generator
    tasks: FitTasks | None = None  # of the callbacks


class Learned(NamedTuple):
    """The result of `learn`."""

    trained: Trained
    network: Network
    of_joining: dict[str, Any]  # attributes of a network whose GMF half was solved


def learn(run: Run) -> Learned:
    """Train the network; if the plan has halves, train them first."""
    plan, previous = run.prepared.plan, run.prepared.previous
    blueprint = plan.blueprint
    of_joining: dict[str, Any] = {"_fold_in": None, "_calibration": None}
    if previous is not None:
        trained = _train(run, plan.name, blueprint, partial(_grown, run))
    elif run.prepared.to_join is not None:
        trained, of_joining = _solve_and_train(run, run.prepared.to_join)
    elif plan.halves:
        gmf, mlp = (_learn_half(run, half) for half in plan.halves)
        joined = blueprint.join_weights([gmf, mlp])
        # Adam would need moments of the joined weights (section 3.4.1).
        plain = replace(plan, training=replace(plan.training, optimizer="sgd"))
        run = replace(run, prepared=replace(run.prepared, plan=plain))
        trained = _train(run, plan.name, blueprint, lambda: joined)
    else:
        trained = _train(run, plan.name, blueprint, partial(_initial, run, blueprint))
    return Learned(trained, _network(run, blueprint, trained.weights), of_joining)


def _network(run: Run, blueprint: Blueprint, weights: Weights) -> Network:
    """Return the network of these weights; raise if its scores are not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows, last_items = run.prepared.rows, run.prepared.last_items.inputs()
        network = Network.of_weights(blueprint, weights, last_items)
        checked = rows.users[:_N_CHECKED], rows.items[:_N_CHECKED, None]
        # The loss is computed before each step, so it does not show the result of the last step.
        if not np.isfinite(network.score_candidates(*checked)).all():
            raise diverged("after the last epoch, scores are not finite numbers")
    return network


def _learn_half(run: Run, half: Blueprint) -> Weights:
    name = "mlp" if half.layers.hidden_layer_sizes else "gmf"
    trained = _train(run, name, half, partial(_initial, run, half))
    if trained.interrupted:
        raise KeyboardInterrupt
    return trained.weights


def _solve_and_train(run: Run, to_join: ToJoin) -> tuple[Trained, dict[str, Any]]:
    """Learn the weights of GMF and MLP on held-out rows, then both halves on all rows."""
    plan, rng, held_out = run.prepared.plan, run.rng, to_join.held_out
    gmf, mlp = plan.halves
    seed = rng.integers(2**32)

    def read(rows: EncodedRows, recency: float) -> Confidences:
        return Confidences.of_rows(rows, recency, plan.feature_regularization)

    @lru_cache(maxsize=1)  # settings with other penalties have the same confidences
    def read_kept(recency: float) -> Confidences:
        return read(to_join.kept, recency)

    def solve(data: Confidences, setting: Setting) -> tuple[Weights, FoldIn]:
        solver = LeastSquares(gmf.layers.n_factors, setting.penalty)
        factors = solver.fit(data, np.random.default_rng(seed), plan.n_jobs)
        tables = {"users": factors.users, "items": factors.items}
        fold_in = solver.fold_in(data, factors, setting.recency)
        return Weights(tables, gmf.layers.plain_product()), fold_in

    def solve_kept(setting: Setting) -> Network:
        return _network(run, gmf, solve(read_kept(setting.recency), setting)[0])

    setting, solved = held_out.choose(plan.recency if to_join.rows.ordered else 0.0, solve_kept)
    first = trained = _train(run, "mlp", mlp, partial(_initial, run, mlp))
    shares = held_out.weigh(solved, _network(run, mlp, first.weights))
    print_choices(plan, setting, shares)

    def join(*halves: Weights) -> Weights:
        return plan.blueprint.join_weights(list(halves), list(shares))

    joined = join(solved.weights, first.weights)
    calibration = held_out.calibrate(_network(run, plan.blueprint, joined), rng)
    anew, fold_in = solve(read(to_join.rows, setting.recency), setting)
    if not first.interrupted:
        plan = replace(plan, epochs=first.best_epoch)
        prepared = replace(run.prepared, plan=plan, rows=to_join.training_rows, validate=None)
        again = replace(run, prepared=prepared)
        trained = _train(again, "mlp", mlp, partial(_initial, again, mlp))
    weights = join(anew, trained.weights)
    learned = replace(first, weights=weights, optimizer=None, interrupted=trained.interrupted)
    return learned, {"_fold_in": fold_in, "_calibration": calibration}


def _initial(run: Run, blueprint: Blueprint) -> Weights:
    """Draw the initial weights."""
    prepared = run.prepared
    return blueprint.initial_weights(*prepared.seen.shape, run.rng, prepared.item_biases)


def _grown(run: Run) -> Weights:
    """Return the weights of the previous fit, with rows for new users and items."""
    prepared, blueprint = run.prepared, run.prepared.plan.blueprint
    assert prepared.previous is not None
    known, biases = prepared.previous.network, prepared.item_biases
    n_known_users, n_known_items = prepared.previous.seen.shape
    n_users, n_items = prepared.seen.shape
    new_biases = None if biases is None else biases[n_known_items:]
    new = blueprint.initial_tables(
        n_users - n_known_users, n_items - n_known_items, run.rng, new_biases
    )
    weights = known.weights.grown(new)
    for name, centres in blueprint.by_table(prepared.rows.centres).items():
        n_known = len(known.weights.tables[name])
        centres.fill_new(weights.tables[name], n_known, blueprint.layers.width)
    return weights


def _train(run: Run, name: str, blueprint: Blueprint, start: Callable[[], Weights]) -> Trained:
    """Train the weights that `start` returns."""
    prepared, plan = run.prepared, run.prepared.plan
    validation = None
    if prepared.validate is not None:
        measure = partial(prepared.validate, blueprint)
        validation = Validation(measure, plan.n_iter_no_change)
    with interrupts_noted():
        # Without a variable for them, the initial weights are freed once the trainer has a copy.
        trainer = Trainer(blueprint, start(), prepared.rows, plan.training, run.rng)
        if prepared.previous is not None and prepared.previous.optimizer is not None:
            trainer.resume(prepared.previous.optimizer)
        with closing(make_progress(plan, name, trainer)) as progress:
            trainer.report_rows = progress.add_rows
            return train(
                trainer,
                plan.epochs,
                EpochWatcher(progress, blueprint, run.tasks),
                validation=validation,
                # After one `partial_fit`, another one is likely.
                keep_moments=prepared.previous is not None,
            )
