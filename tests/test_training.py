import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest

from neumf.interactions.histories import read_histories
from neumf.interactions.seen import seen_matrix
from neumf.interactions.unseen import UnseenItems, other_items, sample_unseen_items
from neumf.model.network import Layers, Network, initial_network, logits, with_initial_encoder
from neumf.training.trainer import (
    Trainer,
    TrainingRows,
    TrainingSettings,
    _compile_run,
    _noise,
    import_tensorflow,
    train,
)

LOSSES = ["binary_crossentropy", "bpr", "sampled_softmax"]


def settings(**changes):
    defaults = {
        "loss": "binary_crossentropy",
        "n_negatives": 2,
        "batch_size": 12,
        "learning_rate": 0.01,
        "regularization": 0.0,
        "dropout": 0.0,
    }
    return TrainingSettings(**(defaults | changes))


def labelled_rows(rng, n_rows=4):
    """Rows whose users and items repeat, with labels and weights, so that nothing is drawn."""
    return TrainingRows(
        users=np.array([0, 1, 1, 3, 0, 2, 2, 3])[:n_rows],
        items=np.array([2, 2, 0, 4, 1, 4, 3, 3])[:n_rows],
        labels=np.array([1, 0, 0.5, 1, 0, 1, 0, 1], np.float32)[:n_rows],
        weights=rng.uniform(0.5, 2, n_rows).astype(np.float32),
        unseen=None,
    )


def forced_rows(n_users=4):
    """Positives of users who have seen all but one item: both negatives must be that item."""
    users = np.repeat(np.arange(n_users), 4)
    items = np.array([i for user in range(n_users) for i in range(5) if i != user])
    return TrainingRows(
        users,
        items,
        np.ones(len(users), np.float32),
        np.linspace(0.5, 2, len(users), dtype=np.float32),
        UnseenItems(seen_matrix(users, items, (n_users, 5))),
    )


def small_network(rng, n_users=4, n_items=5):
    network = initial_network(n_users, n_items, 2, 3, (4, 2), rng)
    for array in (network.users, network.items, *network.layers.arrays()):
        array[...] = rng.normal(scale=0.5, size=array.shape)
    return network


def flatten(network):
    """All weights in float64, and a function that puts others in their place."""
    arrays = [network.users, network.items, *network.layers.arrays()]
    ends = np.cumsum([array.size for array in arrays])

    def restore(flat):
        parts = [
            part.reshape(array.shape)
            for part, array in zip(np.split(flat, ends[:-1]), arrays, strict=True)
        ]
        return Network(parts[0], parts[1], Layers.from_arrays(2, parts[2:]))

    return np.concatenate([array.ravel() for array in arrays]).astype(np.float64), restore


def obvious_objective(network, rows, candidates, batch, options):
    """The mean of the weighted losses of the rows of a batch, and the penalty, row by row."""
    total = 0.0
    norms = 0.0
    for row in batch:
        items = candidates[row]
        p, q = network.users[rows.users[row]], network.items[items]
        z = logits(np, network.layers, p[None], q[None])[0]
        y = np.array([rows.labels[row]] + [0] * (len(items) - 1))
        if options.loss == "binary_crossentropy":
            value = np.mean(-y * np.log(expit(z)) - (1 - y) * np.log(expit(-z)))
        elif options.loss == "bpr":
            value = np.mean(-np.log(expit(z[0] - z[1:])))
        else:
            value = -np.log(np.exp(z[0]) / np.exp(z).sum())
        total += rows.weights[row] * value
        norms += np.mean([np.sum(p**2) + np.sum(item**2) for item in q])
    kernels = sum(np.sum(kernel**2) for kernel in network.layers.arrays()[::2])
    return total / len(batch) + options.regularization * (norms / len(batch) + kernels)


class ObviousOptimizer:
    """Lazy Adam, or SGD, in float64 with numerical gradients: rows no batch touches rest."""

    def __init__(self, network, name):
        self.name = name
        self.flat, self.restore = flatten(network)
        self.mean = np.zeros_like(self.flat)
        self.square = np.zeros_like(self.flat)
        self.steps = 0

    def step(self, objective, touched, learning_rate):
        gradient = np.array(
            [
                (
                    objective(self.restore(self.flat + delta))
                    - objective(self.restore(self.flat - delta))
                )
                / 2e-6
                for delta in 1e-6 * np.eye(len(self.flat))
            ]
        )
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


def touched_weights(network, users, items):
    """Which of the flattened weights a batch with these users and items may change."""
    masks = [np.zeros_like(network.users, bool), np.zeros_like(network.items, bool)]
    masks[0][users] = True
    masks[1][items] = True
    shared = [np.ones_like(array, bool) for array in network.layers.arrays()]
    return np.concatenate([mask.ravel() for mask in (*masks, *shared)])


def train_obviously(network, rows, candidates, options, batch_rows, orders):
    optimizer = ObviousOptimizer(network, options.optimizer)
    for order in orders:
        for start in range(0, len(order), batch_rows):
            batch = order[start : start + batch_rows]
            optimizer.step(
                lambda network, batch=batch: obvious_objective(
                    network, rows, candidates, batch, options
                ),
                touched_weights(network, rows.users[batch], candidates[batch]),
                options.learning_rate,
            )
    return optimizer.restore(optimizer.flat)


def assert_same_weights(network, other, **tolerances):
    for ours, theirs in zip(flatten(network)[:1], flatten(other)[:1], strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerances)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("regularization", [0.0, 0.1])
def test_training_on_labels_steps_batch_by_batch(rng, regularization, optimizer):
    # 8 rows in batches of 3: the last batch is not full.
    rows, network = labelled_rows(rng, 8), small_network(rng)
    options = settings(
        batch_size=3, regularization=regularization, learning_rate=0.05, optimizer=optimizer
    )
    trainer = Trainer(network, rows, options, np.random.default_rng(1))
    for _ in range(2):
        trainer.run_epoch()
    same_stream = np.random.default_rng(1)
    orders = []
    for _ in range(2):
        orders.append(np.arange(8, dtype=np.int32))
        same_stream.shuffle(orders[-1])
        same_stream.integers(2**30, size=2, dtype=np.int32)  # the seed of dropout
    expected = train_obviously(network, rows, rows.items[:, None], options, 3, orders)
    assert_same_weights(trainer.network(), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_positives_and_negatives_is_one_step_of_adam(rng, loss):
    rows, network = forced_rows(), small_network(rng)
    options = settings(loss=loss, batch_size=16 * 3, regularization=0.05)
    trainer = Trainer(network, rows, options, np.random.default_rng(1))
    for _ in range(3):
        trainer.run_epoch()
    candidates = np.column_stack([rows.items, rows.users, rows.users])  # user u never saw item u
    expected = train_obviously(network, rows, candidates, options, 16, [np.arange(16)] * 3)
    assert_same_weights(trainer.network(), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_reported_loss_is_the_mean_over_rows_before_the_step(rng, loss):
    rows, network = forced_rows(), small_network(rng)
    options = settings(loss=loss, batch_size=16 * 3, regularization=0.05)
    trainer = Trainer(network, rows, options, rng)
    candidates = np.column_stack([rows.items, rows.users, rows.users])
    unpenalised = settings(loss=loss)
    flat, restore = flatten(network)
    expected = obvious_objective(restore(flat), rows, candidates, np.arange(16), unpenalised)
    assert trainer.run_epoch() == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def broken_xla(monkeypatch):
    """Let every compilation by XLA fail as on a platform without it."""
    tf = import_tensorflow()

    def compile_run(*arguments, with_xla):
        if not with_xla:
            return _compile_run(*arguments, with_xla=False)

        def fail(*_):
            raise tf.errors.UnimplementedError(None, None, "no XLA here")

        return SimpleNamespace(get_concrete_function=fail)

    monkeypatch.setattr("neumf.training.trainer._compile_run", compile_run)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_without_xla_the_same_is_learned_after_one_warning(rng, request, dropout):
    network, options = small_network(rng), settings(batch_size=9, dropout=dropout)
    compiled = Trainer(network, forced_rows(), options, np.random.default_rng(5))
    losses = [compiled.run_epoch() for _ in range(2)]
    request.getfixturevalue("broken_xla")
    trainer = Trainer(network, forced_rows(), options, np.random.default_rng(5))
    with pytest.warns(RuntimeWarning, match="XLA could not compile .* no XLA here") as caught:
        assert [trainer.run_epoch() for _ in range(2)] == pytest.approx(losses, rel=1e-4)
    assert len(caught) == 1
    assert_same_weights(trainer.network(), compiled.network(), rtol=1e-3, atol=1e-4)


def test_fits_that_differ_in_numbers_alone_compile_once(rng):
    trainers = [
        Trainer(
            small_network(rng, n_users=n_users, n_items=n_items),
            labelled_rows(rng, n_rows),
            settings(batch_size=2, learning_rate=rate, regularization=rate),
            np.random.default_rng(seed),
        )
        for seed, (rate, n_users, n_items, n_rows) in enumerate(
            [(0.1, 5, 9, 8), (0.2, 8, 16, 7), (0.3, 7, 10, 6)]
        )
    ]
    _compile_run.cache_clear()
    for trainer in trainers:
        trainer.run_epoch()
    assert _compile_run.cache_info().misses == 1
    run = _compile_run(trainers[0]._sizes, "binary_crossentropy", False, "adam", with_xla=True)
    assert run.experimental_get_tracing_count() == 1


def test_rows_that_no_batch_touches_rest(rng):
    network = small_network(rng, n_users=6, n_items=9)
    trainer = Trainer(network, labelled_rows(rng), settings(), rng)
    for _ in range(3):
        trainer.run_epoch()
    after = trainer.network()
    np.testing.assert_array_equal(after.users[4:], network.users[4:])
    np.testing.assert_array_equal(after.items[5:], network.items[5:])
    assert (after.users[[0, 1, 3]] != network.users[[0, 1, 3]]).any(axis=1).all()


def test_a_row_of_weight_zero_teaches_nothing(rng):
    rows, network = labelled_rows(rng, 8), small_network(rng)
    rows.weights[[2, 5]] = 0
    trained = []
    for labels in (rows.labels, np.where(rows.weights == 0, 1 - rows.labels, rows.labels)):
        changed = TrainingRows(rows.users, rows.items, labels, rows.weights, None)
        trainer = Trainer(network, changed, settings(), np.random.default_rng(3))
        trainer.run_epoch()
        trained.append(trainer.network())
    assert_same_weights(*trained, rtol=0, atol=0)


def test_chunks_of_rows_make_the_same_epoch(rng, monkeypatch):
    rows, network = labelled_rows(rng, 8), small_network(rng)
    trained = []
    for chunk_rows in (2**18, 4):
        monkeypatch.setattr("neumf.training.trainer._CHUNK_ROWS", chunk_rows)
        trainer = Trainer(network, rows, settings(batch_size=2), np.random.default_rng(3))
        losses = [trainer.run_epoch()]
        trained.append((losses, trainer.network()))
    assert trained[0][0] == pytest.approx(trained[1][0])
    assert_same_weights(trained[0][1], trained[1][1], rtol=0, atol=0)


def test_one_seed_gives_the_same_weights_bit_for_bit(rng):
    network = small_network(rng)
    options = settings(dropout=0.3, batch_size=9)
    trained = []
    for _ in range(2):
        trainer = Trainer(network, forced_rows(), options, np.random.default_rng(5))
        for _ in range(3):
            trainer.run_epoch()
        trained.append(trainer.network())
    assert_same_weights(*trained, rtol=0, atol=0)


def test_noise_is_uniform_and_differs_between_seeds():
    tf = import_tensorflow()
    seeds = [(1, 2), (1, 3), (2, 2)]
    noise = [np.asarray(_noise(tf, 100_000, tf.constant(seed))) for seed in seeds]
    assert all(part.min() >= 0 and part.max() < 1 for part in noise)
    assert all(kstest(part, "uniform").pvalue > 1e-4 for part in noise)
    lagged = [*noise, noise[0][1:], noise[0][2:], noise[0][64:]]
    correlations = np.corrcoef([part[:99_000] for part in lagged])
    np.testing.assert_allclose(correlations, np.eye(6), atol=0.02)


def test_dropout_keeps_the_mean_of_the_logits(rng):
    # With GMF alone the logit is linear in what is dropped, so the mean over masks is the logit.
    tf = import_tensorflow()
    from neumf.training.trainer import _make_dropout

    noise = tf.random.stateless_uniform((200_000,), (1, 2))
    dropout = _make_dropout(tf, tf.constant(0.25), noise)
    first, second = dropout(tf.ones((100, 1000))), dropout(tf.ones((100, 1000)))
    assert np.mean(first) == pytest.approx(1, abs=0.01)
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert np.mean(np.equal(first, second)) == pytest.approx(0.75**2 + 0.25**2, abs=0.01)


def test_dropout_changes_the_training(rng):
    network = small_network(rng)
    trained = []
    for rate in (0.0, 0.5):
        trainer = Trainer(network, labelled_rows(rng), settings(dropout=rate), rng)
        trainer.run_epoch()
        trained.append(trainer.network().items)
    assert not np.allclose(*trained)


def test_each_epoch_draws_other_negatives(rng, monkeypatch):
    users = np.repeat(np.arange(3), 2)
    items = np.array([0, 1, 2, 3, 4, 5])
    ones = np.ones(6, np.float32)
    rows = TrainingRows(users, items, ones, ones, UnseenItems(seen_matrix(users, items, (3, 500))))
    touched = []
    for _ in range(2):
        network = small_network(rng, n_users=3, n_items=500)
        trainer = Trainer(network, rows, settings(batch_size=18), rng)
        trainer.run_epoch()
        touched.append((trainer.network().items != network.items).any(axis=1))
    assert touched[0].sum() > 6
    assert (touched[0] != touched[1]).any()


class Recorder:
    """Watches epochs, and stops after some."""

    def __init__(self, stop_after=99):
        self.events = []
        self.stop_after = stop_after

    def begin_epoch(self):
        self.events.append("begin")

    def end_epoch(self, report, network):
        self.events.append((report.epoch, report.loss, report.value, network()))
        return report.epoch == self.stop_after


def test_training_keeps_the_best_epoch_and_stops_after_the_patience(rng):
    trainer = Trainer(small_network(rng), labelled_rows(rng), settings(), rng)
    values = iter([0.2, 0.5, 0.4, 0.5, 0.3, 0.9])
    networks = []

    def validate(network):
        networks.append(network)
        return next(values)

    recorder = Recorder()
    result = train(trainer, 10, validate, 3, recorder)
    assert result.best_epoch == 2
    assert result.network is networks[1]
    assert result.values == [0.2, 0.5, 0.4, 0.5, 0.3]
    assert recorder.events[::2] == ["begin"] * 5
    assert [event[0] for event in recorder.events[1::2]] == [1, 2, 3, 4, 5]
    assert [event[1] for event in recorder.events[1::2]] == result.losses
    assert [event[2] for event in recorder.events[1::2]] == result.values


def test_training_without_validation_runs_all_epochs(rng):
    trainer = Trainer(small_network(rng), labelled_rows(rng), settings(), rng)
    recorder = Recorder()
    result = train(trainer, 3, None, 1, recorder)
    assert (len(result.losses), result.values, result.best_epoch) == (3, [], 3)
    assert_same_weights(result.network, recorder.events[-1][3], rtol=0, atol=0)


def test_what_a_trainer_finishes_with_is_how_it_stood(rng, monkeypatch):
    monkeypatch.setattr("neumf.training.trainer._LARGE_TABLE", 3)  # rows that are copied at once
    trainer = Trainer(small_network(rng), labelled_rows(rng), settings(), rng)
    trainer.run_epoch()
    expected, adam = trainer.network(), trainer.adam()
    network, finished = trainer.finish()
    assert_same_weights(network, expected, rtol=0, atol=0)
    assert finished.n_steps == adam.n_steps > 0
    np.testing.assert_array_equal(finished.shared, adam.shared)
    for name, moments in adam.tables.items():
        assert moments.any()
        np.testing.assert_array_equal(finished.tables[name], moments)


def test_the_watcher_may_stop_the_training_and_sees_the_weights(rng):
    trainer = Trainer(small_network(rng), labelled_rows(rng), settings(), rng)
    recorder = Recorder(stop_after=2)
    result = train(trainer, 9, None, 1, recorder)
    assert len(result.losses) == 2
    assert_same_weights(recorder.events[-1][3], result.network, rtol=0, atol=0)
    assert (recorder.events[1][3].items != result.network.items).any()


def test_each_batch_has_its_own_dropout(rng):
    # Equal batches and no learning: with one mask for all, one batch has the mean of two.
    network = small_network(rng)
    options = settings(batch_size=4, learning_rate=0.0, dropout=0.5)
    means = []
    for n_rows in (4, 8):
        zeros, ones = np.zeros(n_rows, int), np.ones(n_rows, np.float32)
        one_seed = SimpleNamespace(
            shuffle=lambda order: None, integers=lambda *_, **__: np.int32([5, 6])
        )
        rows = TrainingRows(zeros, zeros, ones, ones, None)
        trainer = Trainer(network, rows, options, one_seed)
        means.append(trainer.run_epoch())
    assert means[0] != pytest.approx(means[1], rel=1e-6)


QUIET = """
from neumf import NeuMFRecommender
for n_factors in range(1, 8):
    model = NeuMFRecommender(n_factors=n_factors, epochs=1, random_state=0)
    model.fit([[0, 0], [0, 1], [1, 1], [1, 2]]).model_
"""


def test_tensorflow_prints_nothing():
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    result = subprocess.run(
        [sys.executable, "-c", QUIET], check=True, capture_output=True, text=True, env=environment
    )
    assert (result.stdout, result.stderr) == ("", "")


def test_training_works_without_a_terminal():
    code = f"import sys; sys.stderr = None\n{QUIET}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_environment_is_left_as_it_was():
    code = (
        "import os\n"
        "from neumf.training.trainer import import_tensorflow\n"
        "before = dict(os.environ); import_tensorflow()\n"
        "assert {k for k in os.environ if k.startswith(('TF_CPP', 'TF_NUM'))} <= set(before)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "4,2"}, None),  # a number per level of nesting: not for TensorFlow
        ({"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "3"}, "3"),
    ],
)
def test_tensorflow_gets_the_threads_that_are_granted(monkeypatch, variables, threads):
    def first_computation(function, jit_compile):
        seen.append(os.environ.get("TF_NUM_INTRAOP_THREADS"))
        return lambda: None

    seen = []
    errors = SimpleNamespace(OpError=ZeroDivisionError)
    fake = SimpleNamespace(function=first_computation, errors=errors)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert import_tensorflow.__wrapped__() is fake
    assert seen == [threads]
    assert dict(os.environ) == before


def test_an_import_that_fails_shows_what_was_held_back():
    code = (
        "import os\n"
        "from neumf.training.runtime import _stderr_held_back\n"
        "with _stderr_held_back():\n"
        "    os.write(2, b'the reason')\n"
        "    raise ImportError('no such thing')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "the reason" in result.stderr
    assert "no such thing" in result.stderr


# Histories


def arrays_of(network):
    encoder = network.encoder
    of_encoder = (encoder.users, encoder.items, encoder.recency, *encoder.hidden)
    return [*of_encoder, network.items, *network.layers.arrays()]


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("loss", [*LOSSES, "softmax"])
def test_a_step_with_histories_goes_against_the_gradient(rng, loss, with_ids):
    users = np.array([0, 1, 1, 0, 2, 1])
    items = np.array([2, 2, 0, 4, 1, 3], dtype=np.int32)
    histories = read_histories(users, items, None, slice(None), 3, 2)
    among_all = loss == "softmax"
    network = initial_network(3, 5, 2, 0 if among_all else 3, (4,), rng)
    network = with_initial_encoder(network, 2, 3, with_ids, rng)
    arrays = arrays_of(network)
    for array in arrays:
        array[...] = rng.normal(scale=0.5, size=array.shape)
    n_negatives = 0 if among_all else 1
    options = settings(
        loss=loss,
        n_negatives=1,
        batch_size=6 * (1 + n_negatives),
        regularization=0.1,
        optimizer="sgd",
    )
    unseen = None if among_all else other_items(5, np.array([0, 0, 0, 1, 1]))
    rows = TrainingRows(users, items, None, None, unseen, histories)
    same_stream = np.random.default_rng(1)
    order = np.arange(6, dtype=np.int32)
    same_stream.shuffle(order)
    negatives = np.empty((6, n_negatives), int)
    if unseen is not None:
        negatives[order] = sample_unseen_items(unseen, items[order], 1, same_stream)

    def objective(flat):
        ids, table, recency, kernel, bias, output, item_rows, *layers = (
            part.reshape(array.shape)
            for part, array in zip(
                np.split(flat, np.cumsum([array.size for array in arrays])[:-1]),
                arrays,
                strict=True,
            )
        )
        layers = Layers.from_arrays(2, layers)
        total = norms = 0.0
        for row in range(6):
            p = ids[users[row]].copy() if with_ids else np.zeros(table.shape[1])
            norms += np.sum(p**2)
            history = [i for i in histories.before(np.array([row]))[0] if i >= 0]
            for place, item in enumerate(history):
                p += recency[place] * table[item]
                norms += np.sum(table[item] ** 2) / len(history)
            p += np.maximum(p @ kernel + bias, 0) @ output
            candidates = np.append(items[row], negatives[row])
            norms += np.mean(np.sum(item_rows[candidates] ** 2, axis=1))
            if among_all:
                candidates = np.append(candidates, np.setdiff1d(np.arange(5), candidates))
            z = logits(np, layers, p[None], item_rows[candidates][None])[0]
            total += {
                "binary_crossentropy": (np.log1p(np.exp(-z[0])) + np.log1p(np.exp(z[1]))) / 2,
                "bpr": np.log1p(np.exp(z[1] - z[0])),
                "sampled_softmax": np.log(np.exp(z).sum()) - z[0],
                "softmax": np.log(np.exp(z).sum()) - z[0],
            }[loss]
        kernels = sum(np.sum(kernel**2) for kernel in (*layers.arrays()[::2], kernel, output))
        kernels += np.sum(recency**2) / len(recency)
        return total / 6 + 0.1 * (norms / 6 + kernels)

    before = np.concatenate([array.ravel() for array in arrays]).astype(np.float64)
    gradient = np.array(
        [
            (objective(before + step) - objective(before - step)) / 2e-6
            for step in 1e-6 * np.eye(len(before))
        ]
    )
    trainer = Trainer(network, rows, options, np.random.default_rng(1))
    trainer.run_epoch()
    trained = trainer.network()
    after = np.concatenate([array.ravel() for array in arrays_of(trained)])
    np.testing.assert_allclose(after, before - 0.01 * gradient, atol=2e-6)


def test_the_network_has_users_as_after_their_last_row(rng):
    users, items = np.array([0, 1, 0, 0]), np.array([3, 1, 2, 4], dtype=np.int32)
    histories = read_histories(users, items, None, slice(None), 2, 2)
    network = with_initial_encoder(initial_network(2, 5, 2, 0, (), rng), 2, 0, True, rng)
    rows = TrainingRows(users, items, None, None, other_items(5), histories)
    network = Trainer(network, rows, settings(), rng).network()
    ids, table = network.encoder.users, network.encoder.items
    newest, older = network.encoder.recency
    expected = [ids[0] + newest * table[4] + older * table[2], ids[1] + newest * table[1]]
    np.testing.assert_allclose(network.users, expected, rtol=1e-6)


def test_what_a_user_does_later_changes_nothing_before(rng):
    """Neither histories nor negatives of a row may tell of a later one."""
    users = np.repeat(np.arange(20), 6)
    times = rng.integers(0, 4, 120)
    items = rng.integers(0, 30, 120).astype(np.int32)
    later = np.flatnonzero(times == 3)
    changed = items.copy()
    changed[later] = rng.integers(0, 30, len(later))
    chunks = []
    for column in (items, changed):
        network = with_initial_encoder(initial_network(20, 30, 2, 0, (), rng), 5, 3, True, rng)
        histories = read_histories(users, column, times, slice(None), 20, 5)
        rows = TrainingRows(users, column, None, None, other_items(30), histories)
        trainer = Trainer(network, rows, settings(n_negatives=9), np.random.default_rng(3))
        chunk = trainer._make_chunk(np.arange(120, dtype=np.int32))
        chunks.append(
            {name: array.reshape(-1, array.shape[-1]) for name, array in chunk.indices.items()}
        )
    earlier = np.flatnonzero(times < 3)
    for name in ("users", "items", "history"):
        np.testing.assert_array_equal(chunks[0][name][earlier], chunks[1][name][earlier])
