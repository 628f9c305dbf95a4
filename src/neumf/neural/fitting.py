"""What `fit` and `partial_fit` share: from rows to a trained network.

Nothing here changes an estimator: the caller commits what is returned, in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.evaluation.held_out import HeldOutRows, match_rows, warn_of_seen
from neumf.evaluation.ranked_lists import as_queries, exact_lists, mean_over_lists
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.histories import Histories, LastItems, read_histories
from neumf.interactions.reading import read_input
from neumf.interactions.seen import count_users, log_popularity, seen_matrix
from neumf.interactions.timeline import Timelines, read_timelines, recency_weights
from neumf.interactions.unseen import UnseenItems, other_items, refuse_saturated
from neumf.metrics import ndcg_at_k
from neumf.model.network import Blueprint, Network, Weights
from neumf.neural.callbacks import EpochWatcher, FitTasks
from neumf.neural.parameters import Architecture, Parameters, blueprint_of, settings_of
from neumf.training.averaging import AveragingTrainer
from neumf.training.batches import Degrees, Negatives, TrainingRows
from neumf.training.centres import Centres, SideCentres
from neumf.training.loop import EpochTrainer, Trained, diverged, train
from neumf.training.losses import LOSSES
from neumf.training.sharded_trainer import ShardedTrainer, count_shards
from neumf.training.trainer import OptimizerState, Trainer
from neumf.utils.arrays import Codes, Float32s
from neumf.utils.time_gaps import require_times

# Rows whose scores are looked at after training.
_N_CHECKED = 2**12

# Rows whose histories are read at once after training.
_N_ENCODED = 2**15

Validate = Callable[[Blueprint, Weights], float]


@dataclass(frozen=True)
class Past:
    """What is known before the rows of `partial_fit`.

    Attributes
    ----------
    network : Network
        As it was trained.
    optimizer : OptimizerState or None
        Adam as it was left; None starts it anew.
    last_items : LastItems
        The last items of each user. A length of 0 says that the rows so far had no order.
    """

    network: Network
    optimizer: OptimizerState | None
    last_items: LastItems


@dataclass(frozen=True)
class Lesson:
    """Rows made ready to be learned from.

    Attributes
    ----------
    blueprint : Blueprint
        What the network is made of.
    rows : TrainingRows
        What is trained on.
    shape : tuple of int
        Number of users and of items.
    last_items : LastItems
        The last items of each user after all rows.
    item_biases : ndarray of shape (n_items,) or None
        What the biases of items start at; None if items have none.
    validate : callable or None
        Measures weights on what is held out.
    past : Past or None
        What is trained further; None begins with initial weights.
    """

    blueprint: Blueprint
    rows: TrainingRows
    shape: tuple[int, int]
    last_items: LastItems
    item_biases: Float32s | None
    validate: Validate | None = None
    past: Past | None = None


def prepare_first(parameters: Parameters, rows: EncodedRows, X_val: Any = None) -> Lesson:
    """Make the rows of `fit` ready."""
    if X_val is not None and not parameters.early_stopping:
        raise ValueError(
            "X_val is ranked after each epoch to find the best one, so early_stopping must be "
            "True. Received: early_stopping=False. Set it, or leave X_val out."
        )
    timelines = _read_timelines(rows)
    # What is longer than the longest history would cost memory and say nothing.
    longest = 0 if timelines is None else max(1, int(timelines.counts.max()))
    length = min(parameters.history_length, longest)
    blueprint = _whole_blueprint(parameters, length)
    if X_val is not None or not parameters.early_stopping:
        histories = _read_histories(rows, timelines, blueprint)
        last_items = _last_items(rows, histories)
        # What is not trained on makes room for the matrix of seen items.
        histories = histories if blueprint.users.reads_history else None
        timelines = timelines if parameters.recency > 0 else None
        return Lesson(
            blueprint,
            _training_rows(parameters, rows, timelines, histories, rows.seen, blueprint),
            rows.shape,
            last_items,
            _item_biases(blueprint, rows.seen),
            None if X_val is None else _validate_on(X_val, rows, last_items, blueprint),
        )
    kept, kept_timelines, last = _hold_out(rows, timelines, parameters.early_stopping)
    histories = _read_histories(kept, kept_timelines, blueprint)
    return Lesson(
        blueprint,
        _training_rows(parameters, kept, kept_timelines, histories, kept.seen, blueprint),
        rows.shape,
        _last_items(rows, _read_histories(rows, timelines, blueprint)),
        _item_biases(blueprint, kept.seen),
        _validate_on_last(rows, kept, last, _last_items(kept, histories), blueprint),
    )


def prepare_further(
    parameters: Parameters, rows: EncodedRows, seen: sp.csr_array, past: Past
) -> Lesson:
    """Make the rows of `partial_fit` ready; `seen` tells what was seen in them and before."""
    length = past.last_items.items.shape[1]
    if length and not rows.ordered:
        raise ValueError(
            "X must be a table whose rows have an order in time, as that of fit. Received a sparse "
            "matrix. Pass a table of user and item, each user's oldest row first."
        )
    timelines = _read_timelines(rows) if length else None
    n_known = len(past.last_items.items)
    before = past.last_items.take(np.r_[:n_known, np.full(rows.shape[0] - n_known, -1)])
    blueprint = past.network.blueprint
    histories = _read_histories(rows, timelines, blueprint, before)
    return Lesson(
        blueprint,
        _training_rows(parameters, rows, timelines, histories, seen, blueprint),
        rows.shape,
        _last_items(rows, histories),
        _item_biases(blueprint, seen),
        past=past,
    )


def learn(
    parameters: Parameters, lesson: Lesson, rng: np.random.Generator, tasks: FitTasks | None = None
) -> tuple[Trained, Network]:
    """Train the network, after its halves if `pretrain` says so."""
    run = partial(_run, parameters, lesson, rng, tasks)
    blueprint, shape, biases = lesson.blueprint, lesson.shape, lesson.item_biases
    if lesson.past is not None:
        known = lesson.past.network
        n_new = shape[0] - len(known.users), shape[1] - len(known.items)
        of_new = None if biases is None else biases[len(known.items) :]

        def grown() -> Weights:
            weights = known.weights.grown(blueprint.initial_tables(*n_new, rng, of_new))
            for name, centres in blueprint.by_table(lesson.rows.centres).items():
                centres.fill_new(weights.tables[name], len(known.weights.tables[name]))
            return weights

        trained = run(parameters.architecture, blueprint, grown)
    elif parameters.pretrain:
        gmf, mlp = (_learn_half(parameters, lesson, rng, tasks, half) for half in ("gmf", "mlp"))
        joined = blueprint.join_weights(gmf, mlp)
        # Adam would need the moments of the halves (section 3.4.1).
        trained = run(parameters.architecture, blueprint, lambda: joined, optimizer="sgd")
    else:
        trained = run(
            parameters.architecture,
            blueprint,
            lambda: blueprint.initial_weights(*shape, rng, biases),
        )
    # What has diverged overflows, and is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        network = Network.of_weights(blueprint, trained.weights, lesson.last_items.codes)
        _refuse_diverged(network, lesson.rows)
    return trained, network


def vectors_before(rows: EncodedRows, network: Network) -> tuple[Float32s, Codes]:
    """Return the vector of each positive's user just before it, and the positive's item.

    The network must read histories, and the rows be those that it was trained on.
    """
    histories = cast(Histories, _read_histories(rows, _read_timelines(rows), network.blueprint))
    everything = np.arange(len(rows.users))
    positives = everything if rows.positive is None else np.flatnonzero(rows.positive)
    vectors = np.empty((len(positives), network.users.shape[1]), np.float32)
    for start in range(0, len(positives), _N_ENCODED):
        some = positives[start : start + _N_ENCODED]
        vectors[start : start + _N_ENCODED] = network.blueprint.users.encode(
            *network.weights, rows.users[some], histories.before(some)
        )
    return vectors, rows.items[positives]


def _learn_half(
    parameters: Parameters,
    lesson: Lesson,
    rng: np.random.Generator,
    tasks: FitTasks | None,
    half: Architecture,
) -> Weights:
    length = lesson.last_items.items.shape[1]
    blueprint = blueprint_of(parameters, half, length)
    trained = _run(
        parameters,
        lesson,
        rng,
        tasks,
        half,
        blueprint,
        lambda: blueprint.initial_weights(*lesson.shape, rng, lesson.item_biases),
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    return trained.weights


def _run(
    parameters: Parameters,
    lesson: Lesson,
    rng: np.random.Generator,
    tasks: FitTasks | None,
    name: str,
    blueprint: Blueprint,
    start: Callable[[], Weights],
    optimizer: str = "adam",
) -> Trained:
    """Train the weights that `start` gives."""
    past, settings = lesson.past, settings_of(parameters, optimizer)
    moments = None if past is None else past.optimizer
    n_shards = count_shards(parameters.n_jobs)
    training: AbstractContextManager[EpochTrainer]
    # The initial weights have no name, so that they are freed when the trainer has them.
    if n_shards == 1:
        training = nullcontext(Trainer(blueprint, start(), lesson.rows, settings, rng, moments))
    else:
        training = ShardedTrainer(
            blueprint, start(), lesson.rows, settings, rng, moments, n_shards=n_shards
        )
    with training as trainer:
        if parameters.average_epochs > 1:
            trainer = AveragingTrainer(trainer, parameters.average_epochs)
        return train(
            trainer,
            parameters.epochs,
            EpochWatcher(name, parameters.epochs, trainer.n_samples, parameters.verbose, tasks),
            validate=None if lesson.validate is None else partial(lesson.validate, blueprint),
            patience=parameters.n_iter_no_change,
            # Who goes on once will go on again.
            keep_moments=past is not None,
        )


def _refuse_diverged(network: Network, rows: TrainingRows) -> None:
    """Raise if the last steps led where no score is a number: the loss is that before a step."""
    users, items = rows.users[:_N_CHECKED], rows.items[:_N_CHECKED]
    scores = network.score_candidates(users, items[:, None])
    if not np.isfinite(scores).all():
        raise diverged("after the last epoch, scores are no finite numbers")


def _whole_blueprint(parameters: Parameters, length: int) -> Blueprint:
    if parameters.pretrain:
        gmf, mlp = (blueprint_of(parameters, half, length) for half in ("gmf", "mlp"))
        return gmf.join(mlp)
    return blueprint_of(parameters, parameters.architecture, length)


def _read_timelines(rows: EncodedRows) -> Timelines | None:
    """Return where the rows stand in time; None if they have no order."""
    if not rows.ordered:
        return None
    return read_timelines(rows.users, rows.timestamps, rows.shape[0], rows.positive)


def _read_histories(
    rows: EncodedRows,
    timelines: Timelines | None,
    blueprint: Blueprint,
    before: LastItems | None = None,
) -> Histories | None:
    if timelines is None:
        return None
    length = blueprint.users.history_length
    gaps = blueprint.users.gaps
    seconds = None if gaps is None else rows.seconds
    if gaps is not None:
        require_times(seconds, "X")
    histories = read_histories(timelines, rows.items, length, before, seconds)
    return replace(histories, moments=seconds) if gaps == "question" else histories


def _item_biases(blueprint: Blueprint, seen: sp.csr_array) -> Float32s | None:
    return log_popularity(seen) if blueprint.layers.item_bias else None


def _last_items(rows: EncodedRows, histories: Histories | None) -> LastItems:
    if histories is None:
        return LastItems(np.empty((rows.shape[0], 0), np.int32))
    return histories.last()


def _training_rows(
    parameters: Parameters,
    rows: EncodedRows,
    timelines: Timelines | None,
    histories: Histories | None,
    seen: sp.csr_array,
    blueprint: Blueprint,
) -> TrainingRows:
    """Return the rows to train on, with what negatives may be drawn from.

    `seen` tells what the users have seen, in these rows and before.
    """
    reads_history = blueprint.users.reads_history
    if reads_history and histories is None:
        raise ValueError(
            f"user_encoder={parameters.user_encoder!r} makes users of their last items, so X must "
            "be a table with an order in time (no sparse matrix). Set user_encoder='id'."
        )
    degrees = Degrees(np.diff(seen.indptr), count_users(seen))
    penalty = parameters.feature_regularization
    known_users, known_items = rows.user_features, rows.item_features
    centres = SideCentres(
        None if known_users is None else Centres(known_users, degrees.users, penalty),
        None if known_items is None else Centres(known_items, degrees.items, penalty),
    )
    weights = rows.weights
    if parameters.recency > 0 and timelines is not None:
        weights = _recency_weights(timelines, parameters.recency, rows)
    draws = rows.labels is None and LOSSES[parameters.loss].draws_negatives
    return TrainingRows(
        rows.users,
        rows.items,
        rows.labels,
        weights,
        _negatives(parameters, rows, seen, degrees.items, reads_history) if draws else None,
        histories if reads_history else None,
        degrees,
        centres,
    )


def _recency_weights(timelines: Timelines, recency: float, rows: EncodedRows) -> Float32s:
    """Return the weight of each row: a power of its place from its user's last row."""
    weights = recency_weights(timelines.from_last(), recency)
    weights /= weights.mean(dtype=np.float64)
    if rows.weights is not None:
        weights *= rows.weights
    return weights


def _negatives(
    parameters: Parameters,
    rows: EncodedRows,
    seen: sp.csr_array,
    counts: NDArray[np.int64],
    reads_history: bool,
) -> Negatives:
    """Return what negatives are drawn from; `counts` has how many users each item has."""
    weights: NDArray[np.int64] | None = counts
    if parameters.negative_strategy == "uniform":
        # That nobody has had an item yet does not tell that nobody wants it.
        weights = None if counts.all() else np.minimum(counts, 1)
    if reads_history:
        # That an item is not drawn must not tell that its user had it later.
        return Negatives(other_items(rows.shape[1], weights), rows.items)
    unseen = UnseenItems(seen, weights)
    refuse_saturated(unseen, rows.users, rows.user_ids)
    return Negatives(unseen, rows.users)


def _hold_out(
    rows: EncodedRows, timelines: Timelines | None, early_stopping: bool | str
) -> tuple[EncodedRows, Timelines, Codes]:
    """Hold out each user's last positive; return the other rows and which were held out."""
    last: Codes = np.empty(0, np.intp)
    if timelines is not None:
        last = _last_rows(rows, timelines)
    if timelines is None or len(last) == 0:
        raise ValueError(
            f"early_stopping={early_stopping!r} holds out each user's last row, so X must be a "
            "table with an order in time (no sparse matrix) and a user with two rows. Set "
            "early_stopping=False."
        )
    return rows.without(last), timelines.without_last(last), last


def _last_rows(rows: EncodedRows, timelines: Timelines) -> Codes:
    """Return the last positive of each user who has others."""
    is_last = timelines.from_last() == 0
    is_last &= timelines.counts[rows.users] > 1
    if rows.positive is not None:
        is_last &= rows.positive
    return np.flatnonzero(is_last)


def _validate_on(
    X_val: Any, rows: EncodedRows, last_items: LastItems, blueprint: Blueprint
) -> Validate:
    """Return what measures NDCG@10 of the rows of a table among what the users have not seen."""
    is_timed = blueprint.users.gaps == "question"
    new = read_input(X_val, "X_val", with_timestamps=is_timed)
    if is_timed:
        require_times(new.seconds, "X_val")
    held_out = match_rows(new, rows.user_ids, rows.item_ids, "X_val")
    warn_of_seen(held_out, rows.seen)
    if is_timed:
        held_out = replace(held_out, seconds=new.seconds)
    return _make_validate(held_out, rows.seen, last_items)


def _validate_on_last(
    rows: EncodedRows, kept: EncodedRows, last: Codes, last_items: LastItems, blueprint: Blueprint
) -> Validate:
    """Return what measures NDCG@10 of the rows held out among the items that are left."""
    # Rows labelled 0 were drawn or given in knowledge of the held-out row, which therefore is
    # not among them: as candidates they would give it away.
    seen = kept.seen
    if kept.labels is not None:
        seen = seen_matrix(kept.users, kept.items, kept.shape)
    queries = np.arange(len(last))
    held_out = HeldOutRows(queries, rows.users[last], rows.items[last], rows.shape[1])
    seconds = rows.seconds if blueprint.users.gaps == "question" else None
    if seconds is not None:
        held_out = replace(held_out, seconds=seconds[last])
    return _make_validate(held_out, seen, last_items)


def _make_validate(rows: HeldOutRows, seen: sp.csr_array, last_items: LastItems) -> Validate:
    """Return what measures NDCG@10 of rows, each at its moment if they tell it."""
    held_out, users = rows.gather(), None
    if held_out.seconds is None:
        codes = last_items.codes
    else:
        users = held_out.users
        codes = last_items.take(users).codes_at(held_out.seconds)
        held_out, seen = as_queries(held_out, seen)

    def validate(blueprint: Blueprint, weights: Weights) -> float:
        network = Network.of_weights(blueprint, weights, codes, users)
        return mean_over_lists(ndcg_at_k, 10, exact_lists(network, held_out, seen))

    return validate
