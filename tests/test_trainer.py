from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from training_tools import (
    SMALL,
    assert_same_weights,
    flatten,
    forced_rows,
    labelled_rows,
    large_weights,
    numerical_gradient,
    settings,
    unseen_by,
)

from neumf import NeuMFRecommender, NextItemRecommender
from neumf.base import read_rows
from neumf.interactions.histories import read_histories
from neumf.interactions.timeline import read_timelines
from neumf.interactions.unseen import other_items, sample_unseen_items
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint, Weights
from neumf.model.user_towers import UserHistories, UserIdsAndHistories
from neumf.neural.training_rows import prepare
from neumf.training.batches import Degrees, Negatives, TrainingRows, new_order
from neumf.training.losses import LOSSES, Loss
from neumf.training.program import compile_program
from neumf.training.runtime import import_tensorflow
from neumf.training.trainer import Trainer

SAMPLED = [name for name, loss in LOSSES.items() if loss.candidates == "negatives"]
BIASES = ("bias_1", "bias_2", "output_bias", "history_bias")


def make_trainer(weights, rows, options, rng=None, blueprint=SMALL, optimizer=None):
    rng = np.random.default_rng(1) if rng is None else rng
    trainer = Trainer(blueprint, weights, rows, options, rng)
    if optimizer is not None:
        trainer.resume(optimizer)
    return trainer


def obvious_loss(loss, z, y):
    """The loss of a row by the logits of its candidates, its own item first."""
    labels = np.array([y] + [0] * (len(z) - 1))
    return {
        "binary_crossentropy": np.mean(
            -labels * np.log(expit(z)) - (1 - labels) * np.log(expit(-z))
        ),
        "bpr": np.mean(-np.log(expit(z[0] - z[1:]))) if len(z) > 1 else None,
    }.get(loss, -np.log(np.exp(z[0]) / np.exp(z).sum()))


def obvious_kernel_norm(shared):
    """The squared norm of all kernels; the places of a history have a mean, gaps none."""
    others = (*BIASES, "position_weights", "gap_weights", "pause_vectors", "newest_weights")
    total = sum(np.sum(array**2) for name, array in shared.items() if name not in others)
    if "position_weights" in shared:
        total += np.sum(shared["position_weights"] ** 2) / len(shared["position_weights"])
    return total


def obvious_objective(weights, rows, candidates, batch, loss, regularization):
    """The mean of the weighted losses of the rows of a batch, and the penalty, row by row."""
    total = norms = 0.0
    for row in batch:
        p = weights.tables["users"][rows.users[row]]
        q = weights.tables["items"][candidates[row]]
        z = SMALL.layers.logits(np, weights.shared, p[None], q[None])[0]
        total += rows.weights[row] * obvious_loss(loss, z, rows.labels[row])
        norms += np.mean([np.sum(p**2) + np.sum(item**2) for item in q])
    penalty = norms / len(batch) + obvious_kernel_norm(weights.shared) / 8
    return total / len(batch) + regularization * penalty


class ObviousOptimizer:
    """Lazy Adam, or SGD, in float64 with numerical gradients: rows no batch touches rest."""

    def __init__(self, weights, name):
        self.name = name
        self.flat, self.restore = flatten(weights)
        self.mean = np.zeros_like(self.flat)
        self.square = np.zeros_like(self.flat)
        self.steps = 0

    def step(self, objective, touched, learning_rate):
        gradient = numerical_gradient(lambda flat: objective(self.restore(flat)), self.flat)
        self.steps += 1
        mean = 0.9 * self.mean + 0.1 * gradient
        square = 0.999 * self.square + 0.001 * gradient**2
        size = learning_rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        flat = self.flat - size * mean / (np.sqrt(square) + 1e-7)
        if self.name == "sgd":
            flat = self.flat - learning_rate * gradient
        self.mean = np.where(touched, mean, self.mean)
        self.square = np.where(touched, square, self.square)
        self.flat = np.where(touched, flat, self.flat)


def touched_weights(weights, users, items):
    """Which of the flattened weights a batch with these users and items may change."""
    masks = Weights(
        {name: np.zeros_like(table, bool) for name, table in weights.tables.items()},
        {name: np.ones_like(array, bool) for name, array in weights.shared.items()},
    )
    masks.tables["users"][users] = True
    masks.tables["items"][items] = True
    return flatten(masks)[0] > 0


def train_obviously(weights, rows, candidates, options, loss, batch_rows, orders):
    optimizer = ObviousOptimizer(weights, options.optimizer)
    for order in orders:
        for start in range(0, len(order), batch_rows):
            batch = order[start : start + batch_rows]
            optimizer.step(
                lambda weights, batch=batch: obvious_objective(
                    weights, rows, candidates, batch, loss, options.regularization
                ),
                touched_weights(weights, rows.users[batch], candidates[batch]),
                options.learning_rate,
            )
    return optimizer.restore(optimizer.flat)


@pytest.fixture(autouse=True)
def _short_tables(monkeypatch):
    """Let tables stay shorter than a batch."""
    monkeypatch.setattr("neumf.training.variables._LEAST_CAPACITY", 1)


# Steps


# Gradients of all losses, by SGD, are held with XLA below.
@pytest.mark.parametrize(
    ("regularization", "optimizer"),
    [(0.0, "sgd"), (0.1, "sgd"), (0.0, "adam"), pytest.param(0.1, "adam", marks=pytest.mark.xla)],
)
def test_training_on_labels_steps_batch_by_batch(rng, regularization, optimizer):
    # 8 rows in batches of 3: the last batch is not full.
    rows, weights = labelled_rows(rng, 8), large_weights(rng)
    options = settings(
        batch_size=3, regularization=regularization, learning_rate=0.05, optimizer=optimizer
    )
    trainer = make_trainer(weights, rows, options, np.random.default_rng(1))
    for _ in range(2):
        trainer.run_epoch()
    same_stream = np.random.default_rng(1)
    orders = []
    for _ in range(2):
        orders.append(np.arange(8, dtype=np.int32))
        same_stream.shuffle(orders[-1])
        same_stream.integers(2**30, size=2, dtype=np.int32)  # the seed of dropout
    expected = train_obviously(
        weights, rows, rows.items[:, None], options, "binary_crossentropy", 3, orders
    )
    assert_same_weights(trainer.weights(), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("loss", [pytest.param(SAMPLED[0], marks=pytest.mark.xla), *SAMPLED[1:]])
def test_a_batch_of_positives_and_negatives_is_one_step_of_adam(rng, loss):
    rows, weights = forced_rows(), large_weights(rng)
    options = settings(loss=loss, batch_size=16 * 3, regularization=0.05)
    trainer = make_trainer(weights, rows, options)
    for _ in range(3):
        trainer.run_epoch()
    candidates = np.column_stack([rows.items, rows.users, rows.users])  # user u never saw item u
    expected = train_obviously(weights, rows, candidates, options, loss, 16, [np.arange(16)] * 3)
    assert_same_weights(trainer.weights(), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("loss", SAMPLED)
def test_the_reported_loss_is_the_mean_over_rows_before_the_step(rng, loss):
    rows, weights = forced_rows(), large_weights(rng)
    trainer = make_trainer(
        weights, rows, settings(loss=loss, batch_size=16 * 3, regularization=0.05)
    )
    candidates = np.column_stack([rows.items, rows.users, rows.users])
    expected = obvious_objective(weights, rows, candidates, np.arange(16), loss, 0.0)
    assert trainer.run_epoch() == pytest.approx(expected, rel=1e-5)


def history_arrays(with_ids, loss, rng, *, item_bias=False, **options):
    """Rows with histories, and weights of a network that reads them; `options` of its tower."""
    users = np.array([0, 1, 1, 0, 2, 1])
    items = np.array([2, 2, 0, 4, 1, 3], dtype=np.int32)
    gaps = options.get("time_gaps")
    seconds = np.array([0.0, 2.0, 9.0, 30.0, 4.0, 10.0]) if gaps else None
    histories = read_histories(read_timelines(users, None, 3), items, 2, seconds=seconds)
    if gaps == "request":
        histories = replace(histories, request_times=seconds)
    among_all = not LOSSES[loss].draws_negatives
    sizes = (2, 0, ()) if LOSSES[loss].is_product else (2, 3, (4,))
    layers = NeuMFLayers(*sizes, item_bias=item_bias)
    tower = UserIdsAndHistories if with_ids else UserHistories
    blueprint = Blueprint.of_towers(layers, tower(layers.width, 2, hidden_size=3, **options))
    weights = large_weights(rng, 3, 5, blueprint)
    weighted = np.array([0, 0, 0, 1, 2])
    negatives = None if among_all else Negatives(other_items(5, weighted), items)
    if LOSSES[loss].candidates == "batch":
        negatives = Negatives.of_catalogue(6, 5, weighted)
    # An item may have been seen by nobody, as where its rows are labelled 0; then it is in no
    # catalogue.
    least = 1 if LOSSES[loss].candidates == "catalogue" else 0
    degrees = Degrees(np.array([1, 2, 4]), np.array([3, 1, 2, least, 5]))
    rows = TrainingRows(users, items, None, None, negatives, histories, degrees)
    return blueprint, weights, rows


def obvious_objective_with_histories(blueprint, weights, rows, negatives, loss):
    """The objective of one batch of all rows, row by row, with a penalty of 0.1."""
    tables, shared = weights
    of_users, of_items = (np.maximum(degrees, 1) for degrees in rows.degrees)
    width, shares = blueprint.layers.width, blueprint.users.shares_item_vectors
    total = norms = 0.0
    n = len(rows)
    for row in range(n):
        p = np.zeros(blueprint.layers.width)
        if "users" in tables:
            p = tables["users"][rows.users[row]].copy()
        norms += np.sum(p**2) / of_users[rows.users[row]]
        history, buckets = rows.histories.before(np.array([row]))
        history = history[history >= 0]
        for place, item in enumerate(history):
            of_item = tables["history"][item] + (tables["items"][item][:width] if shares else 0)
            of_place = shared["position_weights"][place]
            if "pause_vectors" in shared and place == 0:
                p += shared["pause_vectors"][buckets[0, 0]]
            if blueprint.users.time_gaps:
                of_place = of_place + shared["gap_weights"][buckets[0, place]]
            p += of_place * of_item
            norms += np.sum(tables["history"][item] ** 2) / len(history) / of_items[item]
            if "newest" in tables and place == 0:
                of_bucket = 0
                if "newest_weights" in shared:
                    of_bucket = shared["newest_weights"][buckets[0, 0]]
                p += tables["newest"][item] * (1 + of_bucket)
                norms += np.sum(tables["newest"][item] ** 2) / of_items[item]
        hidden = np.maximum(p @ shared["history_kernel"] + shared["history_bias"], 0)
        p += hidden @ shared["history_output"]
        candidates = np.append(rows.items[row], negatives[row])
        squares = np.sum(tables["items"][candidates][:, :width] ** 2, axis=1)
        norms += np.mean(squares / of_items[candidates])
        if LOSSES[loss].candidates == "catalogue":
            candidates = np.append(candidates, np.setdiff1d(np.arange(5), candidates))
        if LOSSES[loss].candidates == "batch":
            of_others = negatives[negatives != rows.items[row]]
            candidates = np.append(rows.items[row], of_others)
        q = tables["items"][candidates]
        z = blueprint.layers.logits(np, shared, p[None], q[None])[0]
        if LOSSES[loss].candidates == "batch":
            z[1:] -= np.log(negatives.size * np.array([0, 0, 0, 1 / 3, 2 / 3])[of_others])
        total += obvious_loss(loss, z, 1)
    return total / n + 0.1 * (norms / n + obvious_kernel_norm(shared) / 8)


@pytest.mark.parametrize(
    ("with_ids", "options"),
    [
        (False, {"has_last_item_vector": True}),
        (True, {"item_bias": True}),
        pytest.param(
            False,
            {"shares_item_vectors": True, "item_bias": True, "has_last_item_vector": True}
            | {"time_gaps": "request"},
            marks=pytest.mark.xla,
        ),
        (True, {"shares_item_vectors": True, "time_gaps": "newest"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_with_histories_goes_against_the_gradient(rng, loss, with_ids, options):
    blueprint, weights, rows = history_arrays(with_ids, loss, rng, **options)
    n_negatives = 0 if rows.negatives is None else 1
    options = settings(
        loss=loss,
        n_negatives=1,
        batch_size=8 * (1 + n_negatives),  # two places of the batch stay empty
        regularization=0.1,
        optimizer="sgd",
    )
    same_stream = np.random.default_rng(1)
    order = new_order(rows, 8, same_stream)
    negatives = np.empty((6, n_negatives), int)
    if rows.negatives is not None:
        among = rows.negatives
        drawn = sample_unseen_items(among.unseen, among.drawn_for[order], 1, same_stream)
        negatives[order] = drawn
    before, restore = flatten(weights)
    trainer = make_trainer(weights, rows, options, blueprint=blueprint)
    trainer.run_epoch()
    after, _ = flatten(trainer.weights())
    # A wrong weight shows in the slope along every random direction.
    directions = rng.normal(size=(8, len(before)))
    slopes = numerical_gradient(
        lambda steps: obvious_objective_with_histories(
            blueprint, restore(before + steps @ directions), rows, negatives, loss
        ),
        np.zeros(8),
    )
    np.testing.assert_allclose(directions @ (after - before), -0.01 * slopes, atol=1e-5)


def test_negatives_of_the_batch_stand_for_the_whole_catalogue(rng):
    blueprint, weights, rows = history_arrays(True, "batch_softmax", rng)
    catalogue = Degrees(rows.degrees.users, np.maximum(rows.degrees.items, 1))
    among = Negatives.of_catalogue(6, 5)
    rows = replace(rows, degrees=catalogue, negatives=among)
    losses = {}
    for loss, n_negatives in [("softmax", 1), ("batch_softmax", 3000)]:
        among = rows if LOSSES[loss].draws_negatives else replace(rows, negatives=None)
        options = settings(loss=loss, n_negatives=n_negatives, batch_size=6 * (1 + n_negatives))
        losses[loss] = make_trainer(weights, among, options, blueprint=blueprint).run_epoch()
    assert losses["batch_softmax"] == pytest.approx(losses["softmax"], rel=0.01)


@pytest.mark.parametrize(
    "model",
    [
        NeuMFRecommender(architecture="gmf"),
        NeuMFRecommender(architecture="gmf", negative_strategy="popularity"),
        NextItemRecommender(add_simple_methods=False),
    ],
    ids=repr,
)
def test_the_sum_over_negatives_of_a_batch_is_in_the_mean_that_over_all_other_items(rng, model):
    # All have seen the items 0 to 2, and all but the last user 3 of the 5 others.
    users = np.append(np.repeat(np.arange(5), 6), [5, 5, 5])
    items = np.concatenate([[0, 1, 2, *3 + rng.permutation(5)[:3]] for _ in range(5)] + [[0, 1, 2]])
    data = pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(33)})
    plan = model.set_params(loss="batch_softmax", dropout=0.0, n_factors=2)._plan(None)
    prepared = prepare(plan, read_rows(data), rng)
    rows, blueprint = replace(prepared.rows, weights=None), prepared.plan.blueprint
    weights = large_weights(rng, 6, 8, blueprint)
    sums = Loss(lambda tf, z, *_: tf.reduce_sum(tf.exp(z), 1), candidates="batch")
    options = replace(plan.training, loss=sums, learning_rate=0.0, n_negatives=2, batch_size=24)
    trainer = make_trainer(weights, rows, options, blueprint=blueprint)
    estimates = [trainer.run_epoch() for _ in range(400)]

    histories = None if rows.histories is None else rows.histories.before(np.arange(33))
    vectors = weights.tables.get("users", np.empty((6, 2)))[rows.users]
    if histories is not None:
        vectors = blueprint.users.encode(*weights, rows.users, histories)
    exponentials = np.exp(
        blueprint.layers.all_logits(weights.shared, vectors, weights.tables["items"])
    )
    own = exponentials[np.arange(33), rows.items]
    error = np.std(estimates) / np.sqrt(len(estimates))
    exact = np.mean(exponentials.sum(axis=1) - own)
    assert error < 0.02 * exact
    assert np.mean(estimates) == pytest.approx(exact, abs=3.5 * error)


# Programs


@pytest.fixture
def broken_xla(monkeypatch):
    """Let every compilation by XLA fail as on a platform without it."""
    tf = import_tensorflow()

    def compile_without_xla(plan, with_xla):
        if not with_xla:
            return compile_program(plan, with_xla=False)

        def fail(*_):
            raise tf.errors.UnimplementedError(None, None, "no XLA here")

        return SimpleNamespace(get_concrete_function=fail)

    monkeypatch.setattr("neumf.training.trainer.compile_program", compile_without_xla)


@pytest.mark.xla
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_without_xla_the_same_is_learned_after_one_warning(rng, request, dropout):
    weights, options = large_weights(rng), settings(batch_size=9, dropout=dropout)
    compiled = make_trainer(weights, forced_rows(), options)
    losses = [compiled.run_epoch() for _ in range(2)]
    request.getfixturevalue("broken_xla")
    trainer = make_trainer(weights, forced_rows(), options)
    with pytest.warns(RuntimeWarning, match="XLA could not compile .* no XLA here") as caught:
        assert [trainer.run_epoch() for _ in range(2)] == pytest.approx(losses, rel=1e-4)
    assert len(caught) == 1
    assert_same_weights(trainer.weights(), compiled.weights(), rtol=1e-3, atol=1e-4)


def test_trainings_that_differ_in_numbers_alone_compile_once(rng):
    compile_program.cache_clear()
    for rate, n_users, n_items, n_rows in [(0.1, 5, 9, 8), (0.2, 7, 15, 7), (0.3, 6, 10, 6)]:
        trainer = make_trainer(
            large_weights(rng, n_users, n_items),
            labelled_rows(rng, n_rows),
            settings(batch_size=2, learning_rate=rate, regularization=rate),
        )
        trainer.run_epoch()
    assert compile_program.cache_info().misses == 1


def test_compiling_trains_nothing_and_leaves_nothing_to_compile(rng):
    weights, options = large_weights(rng), settings(batch_size=9, dropout=0.3)
    trained = []
    for compile_first in (False, True):
        compile_program.cache_clear()
        trainer = make_trainer(weights, forced_rows(), options)
        if compile_first:
            trainer.compile()
            assert_same_weights(trainer.weights(), weights, rtol=0, atol=0)
            assert compile_program.cache_info().misses == 1
        trainer.run_epoch()
        assert compile_program.cache_info().misses == 1
        trained.append(trainer.weights())
    assert_same_weights(*trained, rtol=0, atol=0)


# Epochs


@pytest.mark.parametrize("with_histories", [False, pytest.param(True, marks=pytest.mark.xla)])
def test_tables_shorter_than_a_batch_are_trained_as_long_ones_are(with_histories, rng):
    # Batches of 8 samples name some of the few rows of each table; histories name items twice.
    options = settings(batch_size=8, learning_rate=0.05)
    if with_histories:
        options = settings(batch_size=8, learning_rate=0.05, loss="bpr", n_negatives=1)
        blueprint, short, rows = history_arrays(
            True, "bpr", rng, shares_item_vectors=True, has_last_item_vector=True
        )
        rows = replace(rows, degrees=None)
    else:
        blueprint, short = SMALL, large_weights(rng, 7, 7)
        users, items = rng.integers(0, 7, (2, 40))
        rows = TrainingRows(users, items, rng.integers(0, 2, 40).astype(np.float32))
    more = large_weights(rng, 90, 90, blueprint).tables
    long = Weights({k: np.vstack([v, more[k]]) for k, v in short.tables.items()}, short.shared)
    trained = []
    for weights in (short, long):
        trainer = make_trainer(weights, rows, options, blueprint=blueprint)
        for _ in range(3):
            trainer.run_epoch()
        tables, shared = trainer.weights()
        n_rows = {name: len(table) for name, table in short.tables.items()}
        assert (dict(trainer._plan.table_rows)["items"] > 8) == (weights is long)
        trained.append(Weights({name: tables[name][:n] for name, n in n_rows.items()}, shared))
        for name, n in n_rows.items():
            np.testing.assert_array_equal(tables[name][n:], weights.tables[name][n:])
    assert_same_weights(*trained, rtol=1e-4, atol=1e-5)


def test_rows_that_no_batch_touches_rest(rng):
    weights = large_weights(rng, n_users=6, n_items=9)
    trainer = make_trainer(weights, labelled_rows(rng), settings())
    for _ in range(3):
        trainer.run_epoch()
    before, after = weights.tables, trainer.weights().tables
    np.testing.assert_array_equal(after["users"][4:], before["users"][4:])
    np.testing.assert_array_equal(after["items"][5:], before["items"][5:])
    moved = after["users"] != before["users"]
    assert moved[[0, 1, 3]].any(axis=1).all()


def test_a_row_of_weight_zero_teaches_nothing(rng):
    rows, weights = labelled_rows(rng, 8), large_weights(rng)
    rows.weights[[2, 5]] = 0
    trained = []
    for labels in (rows.labels, np.where(rows.weights == 0, 1 - rows.labels, rows.labels)):
        changed = TrainingRows(rows.users, rows.items, labels, rows.weights)
        trainer = make_trainer(weights, changed, settings())
        trainer.run_epoch()
        trained.append(trainer.weights())
    assert_same_weights(*trained, rtol=0, atol=0)


def test_chunks_of_rows_make_the_same_epoch(rng, monkeypatch):
    rows, weights = labelled_rows(rng, 8), large_weights(rng)
    trained = []
    for chunk_rows in (2**18, 4):
        monkeypatch.setattr("neumf.training.batches._CHUNK_ROWS", chunk_rows)
        trainer = make_trainer(weights, rows, settings(batch_size=2))
        losses = [trainer.run_epoch()]
        trained.append((losses, trainer.weights()))
    assert trained[0][0] == pytest.approx(trained[1][0])
    assert_same_weights(trained[0][1], trained[1][1], rtol=0, atol=0)


def test_one_seed_gives_the_same_weights_bit_for_bit(rng):
    weights = large_weights(rng)
    options = settings(dropout=0.3, batch_size=9)
    trained = []
    for _ in range(2):
        trainer = make_trainer(weights, forced_rows(), options)
        for _ in range(3):
            trainer.run_epoch()
        trained.append(trainer.weights())
    assert_same_weights(*trained, rtol=0, atol=0)


def test_dropout_changes_the_training(rng):
    weights = large_weights(rng)
    trained = []
    for rate in (0.0, 0.5):
        trainer = make_trainer(weights, labelled_rows(rng), settings(dropout=rate))
        trainer.run_epoch()
        trained.append(trainer.weights().tables["items"])
    assert not np.allclose(*trained)


def test_each_batch_has_its_own_dropout(rng):
    # Equal batches and no learning: with one mask for all, one batch has the mean of two.
    weights = large_weights(rng)
    options = settings(batch_size=4, learning_rate=0.0, dropout=0.5)
    means = []
    for n_rows in (4, 8):
        zeros, ones = np.zeros(n_rows, int), np.ones(n_rows, np.float32)
        one_seed = SimpleNamespace(
            shuffle=lambda order: None,
            random=lambda out: None,
            integers=lambda *_, **__: np.int32([5, 6]),
        )
        trainer = make_trainer(weights, TrainingRows(zeros, zeros, ones, ones), options, one_seed)
        means.append(trainer.run_epoch())
    assert means[0] != pytest.approx(means[1], rel=1e-6)


def test_each_epoch_draws_other_negatives(rng):
    users = np.repeat(np.arange(3), 2)
    items = np.array([0, 1, 2, 3, 4, 5])
    ones = np.ones(6, np.float32)
    rows = TrainingRows(users, items, ones, ones, unseen_by(users, items, (3, 500)))
    touched = []
    for _ in range(2):
        weights = large_weights(rng, n_users=3, n_items=500)
        trainer = make_trainer(weights, rows, settings(batch_size=18), rng)
        trainer.run_epoch()
        moved = trainer.weights().tables["items"] != weights.tables["items"]
        touched.append(moved.any(axis=1))
    assert touched[0].sum() > 6
    assert (touched[0] != touched[1]).any()


# Where it ends, and goes on


def test_what_a_trainer_finishes_with_is_how_it_stood(rng, monkeypatch):
    monkeypatch.setattr("neumf.training.variables._BLOCK_ROWS", 3)  # rows that are copied at once
    trainer = make_trainer(large_weights(rng, n_users=6), labelled_rows(rng), settings())
    trainer.run_epoch()
    expected = trainer.weights()
    weights, adam = trainer.finish(keep_moments=True)
    assert_same_weights(weights, expected, rtol=0, atol=0)
    assert adam.n_steps > 0
    for name, table in weights.tables.items():
        mean, square = np.hsplit(adam.tables[name], 2)
        assert mean.shape == square.shape == table.shape
        trained = square.any(axis=1)
        assert trained.sum() < len(trained)
        np.testing.assert_allclose(adam.mean_squares[name][0], square[trained].mean(axis=0))
    # A view of the packed rows would hold three times the weights.
    assert all(array.base is None for array in (*weights.tables.values(), *adam.tables.values()))


def test_rows_without_moments_start_from_the_mean_square(rng):
    trainer = make_trainer(large_weights(rng), labelled_rows(rng), settings())
    trainer.run_epoch()
    _, adam = trainer.finish(keep_moments=False)
    width = SMALL.layers.width
    found = adam.moments("users", 6)
    np.testing.assert_array_equal(found[:, :width], 0)
    np.testing.assert_array_equal(found[:4, width:], np.tile(adam.mean_squares["users"], (4, 1)))
    np.testing.assert_array_equal(found[4:], 0)  # those of new users


def test_the_first_step_of_what_goes_on_is_no_longer_than_its_gradient_says(rng):
    """Without any second moment it would be as long as the learning rate for all."""
    rows, weights = labelled_rows(rng, 8), large_weights(rng)
    trainer = make_trainer(weights, rows, settings(batch_size=8))
    for _ in range(50):
        trainer.run_epoch()
    learned, adam = trainer.finish(keep_moments=False)
    lengths = []
    for optimizer in (adam, None):
        further = make_trainer(learned, rows, settings(batch_size=8), optimizer=optimizer)
        further.run_epoch()
        step = further.weights().tables["items"] - learned.tables["items"]
        lengths.append(np.abs(step).max())
    assert lengths[0] < lengths[1] / 2


@pytest.mark.parametrize("with_histories", [False, True])
def test_training_in_two_parts_is_training_in_one(with_histories, rng):
    """Moments and steps survive, and rows that are new later change nothing before."""
    users, items = rng.integers(0, 6, 24), rng.integers(0, 9, 24).astype(np.int32)
    if with_histories:
        layers = NeuMFLayers(4, 4, (4,))
        blueprint = Blueprint.of_towers(layers, UserIdsAndHistories(8, 2, hidden_size=3))
        negatives = Negatives(other_items(9), items)
    else:
        blueprint, negatives = SMALL, None

    def rows_for(n_users):
        histories = None
        if with_histories:
            histories = read_histories(read_timelines(users, None, n_users), items, 2)
        labels = None if with_histories else np.ones(24, np.float32)
        return TrainingRows(users, items, labels, None, negatives, histories)

    options = settings(batch_size=6, learning_rate=0.05, regularization=0.1)
    start = blueprint.initial_weights(6, 9, rng)
    more = blueprint.initial_tables(3, 2, rng)
    whole = make_trainer(start, rows_for(6), options, np.random.default_rng(7), blueprint)
    whole.run_epoch()
    whole.run_epoch()

    generator = np.random.default_rng(7)
    first = make_trainer(start, rows_for(6), options, generator, blueprint)
    first.run_epoch()
    grown = first.weights().grown(more)
    _, adam = first.finish(keep_moments=True)
    second = make_trainer(grown, rows_for(9), options, generator, blueprint, adam)
    second.run_epoch()

    found, found_adam = second.finish(keep_moments=True)
    expected, adam = whole.finish(keep_moments=True)
    for name, table in expected.tables.items():
        np.testing.assert_array_equal(found.tables[name][: len(table)], table)
        np.testing.assert_array_equal(found.tables[name][len(table) :], more[name])
    for name, array in expected.shared.items():
        np.testing.assert_array_equal(found.shared[name], array)
    assert found_adam.n_steps == adam.n_steps
    for name, moments in adam.tables.items():
        np.testing.assert_array_equal(found_adam.tables[name][: len(moments)], moments)
