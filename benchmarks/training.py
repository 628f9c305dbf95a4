r"""Training speed beside plain Keras, and the cost of a step as the catalogue grows.

    python benchmarks/training.py keras movielens ml-100k/u.data
    python benchmarks/training.py keras parquet ml-1m/train.parquet
    python benchmarks/training.py catalogue
    python benchmarks/training.py losses
    python benchmarks/training.py runs movielens ml-100k/u.data
    python benchmarks/training.py accuracy movielens ml-100k/u.data --seeds 5
    python benchmarks/training.py memory

``keras`` trains the same network on the same rows in batches of the same size, once by the
training loop of `NeuMFRecommender` and once by a functional Keras model with ``model.fit``, and
prints samples (positives and negatives) per second, the median of epochs 2 onwards. Both draw their
negatives with the same exact sampler; drawing and shuffling count; the epochs of both alternate.
GFLOP/s count the products of the network, forward and backward, beside those of a product of two
large float32 matrices by TensorFlow in the same run. ``catalogue`` times a step at 10,000 and at
1,000,000 users and items. ``losses`` gives the milliseconds of a step of 512 rows of matrix
factorization with 128 factors, by loss and number of items. ``runs`` gives the milliseconds of a
step of `NextItemRecommender`, where 8 consecutive rows share the items of their histories and where
each row has its own. ``accuracy`` holds out the last row of
each user among the training rows, trains plain Keras for 20 epochs, and measures how long our
training takes, compilation included, until its NDCG@10 among all unseen items equals plain
Keras's, in the mean of the seeds. ``memory`` fits `NeuMFRecommender` to 100 million synthetic rows
and prints the peak of resident memory. Only ratios carry over to another machine.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sampling import zipf

from neumf import (
    LeaveLastOutSplitter,
    NeuMFRecommender,
    NextItemRecommender,
    datasets,
    ndcg_scorer,
)
from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.seen import seen_matrix
from neumf.interactions.unseen import UnseenItems, sample_unseen_items
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint, Network
from neumf.model.user_towers import UserIds
from neumf.neural.training_rows import prepare
from neumf.training import batches
from neumf.training.batches import Negatives, TrainingRows
from neumf.training.losses import LOSSES
from neumf.training.program import compile_program
from neumf.training.runtime import import_tensorflow
from neumf.training.trainer import Trainer, TrainingSettings
from neumf.utils.time_gaps import HistoryInputs

N_NEGATIVES = 4
PAPER = {"n_factors": 8, "mlp_embedding_dim": 32, "hidden_layer_sizes": (32, 16, 8)}
WIDE = {"n_factors": 64, "mlp_embedding_dim": 128, "hidden_layer_sizes": (128, 64)}
FACTORS = {"n_factors": 128, "mlp_embedding_dim": 0, "hidden_layer_sizes": ()}
CASES = [(PAPER, 256), (PAPER, 1024), (PAPER, 8192), (WIDE, 256), (WIDE, 1024), (WIDE, 8192)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=list(COMPARISONS))
    parser.add_argument("format", nargs="?", choices=["movielens", "parquet"])
    parser.add_argument("path", nargs="?")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first ones")
    parser.add_argument("--seeds", type=int, default=3, help="of accuracy")
    parser.add_argument("--rows", type=int, default=100_000_000, help="of memory")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def read_table(arguments):
    read = datasets.read_movielens if arguments.format == "movielens" else pd.read_parquet
    return read(arguments.path)


def make_blueprint(width):
    layers = NeuMFLayers(**width)
    return Blueprint.of_towers(layers, UserIds(layers.width, history_length=0))


def make_trainer(
    users, items, shape, width, batch_size, seed=1, loss="binary_crossentropy", n_drawn=N_NEGATIVES
):
    settings = TrainingSettings(LOSSES[loss], n_drawn, batch_size, 1e-3, 0.0, 0.0)
    unseen = UnseenItems(seen_matrix(users, items, shape))
    rows = TrainingRows(users, items, negatives=Negatives(unseen, users) if n_drawn else None)
    rng, blueprint = np.random.default_rng(seed), make_blueprint(width)
    return Trainer(blueprint, blueprint.initial_weights(*shape, rng), rows, settings, rng)


def network_of(trainer, n_users):
    """Return the network as it is trained by now, with users who have no history."""
    no_history = HistoryInputs(np.empty((n_users, 0), np.int32))
    return Network.of_weights(make_blueprint(PAPER), trainer.weights(), no_history)


def make_keras_epoch(users, items, shape, width, batch_size, seed=1):
    """Return a function that trains a plain Keras model for an epoch, and the model."""
    import_tensorflow()
    import keras

    def embed(inputs, n_rows, dim):
        normal = keras.initializers.RandomNormal(stddev=0.01, seed=int(seeds.integers(2**31)))
        return keras.layers.Embedding(n_rows, dim, embeddings_initializer=normal)(inputs)

    seeds = np.random.default_rng(seed)
    inputs = [keras.Input((), dtype="int32"), keras.Input((), dtype="int32")]
    pairs = list(zip(inputs, shape, strict=True))
    product = keras.layers.Multiply()([embed(x, n, width["n_factors"]) for x, n in pairs])
    hidden = keras.layers.Concatenate()([embed(x, n, width["mlp_embedding_dim"]) for x, n in pairs])
    for size in width["hidden_layer_sizes"]:
        hidden = keras.layers.Dense(size, activation="relu")(hidden)
    joined = keras.layers.Concatenate()([product, hidden])
    output = keras.layers.Dense(1, "sigmoid", kernel_initializer="lecun_uniform")(joined)
    model = keras.Model(inputs, output)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
    unseen = UnseenItems(seen_matrix(users, items, shape))
    rng = np.random.default_rng(seed)
    labels = np.tile(np.array([1] + [0] * N_NEGATIVES, np.float32), len(users))

    def run_epoch():
        negatives = sample_unseen_items(unseen, users, N_NEGATIVES, rng)
        candidates = np.column_stack([items, negatives]).astype(np.int32).ravel()
        repeated = np.repeat(users.astype(np.int32), 1 + N_NEGATIVES)
        model.fit([repeated, candidates], labels, batch_size=batch_size, epochs=1, verbose=0)

    return run_epoch, model


def samples_per_second(run_epochs, n_rows, epochs):
    """Return a rate for each function: the median over epochs 2 onwards, which alternate."""
    seconds = np.empty((epochs, len(run_epochs)))
    for epoch in range(epochs):
        for column, run_epoch in enumerate(run_epochs):
            start = time.perf_counter()
            run_epoch()
            seconds[epoch, column] = time.perf_counter() - start
    return (n_rows * (1 + N_NEGATIVES) / np.median(seconds[1:], axis=0)).tolist()


def flops_per_sample(width):
    """Count the operations of the products of the network; backward are twice those of forward."""
    embedding, layers = width["mlp_embedding_dim"], width["hidden_layer_sizes"]
    # The user's half of the first layer is computed once for a positive and its negatives.
    first = embedding * layers[0] * (1 + 1 / (1 + N_NEGATIVES))
    rest = sum(a * b for a, b in pairwise(layers)) + layers[-1] + 2 * width["n_factors"]
    return 3 * 2 * (first + rest)


def gigaflops_of_a_large_product(n=3000):
    tf = import_tensorflow()
    a = tf.random.stateless_uniform((n, n), (0, 1))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        (a @ a).numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / np.median(seconds) / 1e9


def compare_with_keras(arguments):
    X = read_table(arguments)
    (users, user_ids), (items, item_ids) = X["user"].factorize(), X["item"].factorize()
    shape = (len(user_ids), len(item_ids))
    results = []
    for width, batch_size in CASES[: arguments.cases]:
        case = (users, items, shape, width, batch_size)
        run_epochs = [make_trainer(*case).run_epoch, make_keras_epoch(*case)[0]]
        ours, plain = samples_per_second(run_epochs, len(users), arguments.epochs)
        results.append(
            {
                "n_factors": width["n_factors"],
                "batch_size": batch_size,
                "neumf, M samples/s": ours / 1e6,
                "Keras, M samples/s": plain / 1e6,
                "ratio": ours / plain,
                "GFLOP/s": ours * flops_per_sample(width) / 1e9,
                "of a large product": float(gigaflops_of_a_large_product()),
            }
        )
        print(results[-1], flush=True)
    return results


def compare_catalogues(arguments):
    """Time steps on the same number of rows; a row's items follow Zipf's law."""
    n_rows, results = 500_000, []
    for batch_size in (256, 1024, 8192):
        trainers = []
        for n in (10_000, 1_000_000):
            rng = np.random.default_rng(0)
            items = rng.choice(n, n_rows, p=zipf(n, 0.9))
            users = rng.integers(n, size=n_rows)
            trainers.append(make_trainer(users, items, (n, n), PAPER, batch_size))
        run_epochs = [trainer.run_epoch for trainer in trainers]
        rates = samples_per_second(run_epochs, n_rows, arguments.epochs)
        times = [batch_size / rate * 1e6 for rate in rates]
        results.append(
            {
                "batch_size": batch_size,
                "step at 10 k, us": times[0],
                "step at 1 M, us": times[1],
                "ratio": times[1] / times[0],
            }
        )
        print(results[-1], flush=True)
    return results


def compare_losses(arguments):
    """Time the losses of matrix factorization by the size of the catalogue."""
    n_rows, n_users, step_rows, results = 20_000, 10_000, 512, []
    for n_items in (3_000, 30_000, 300_000, 1_000_000):
        rng = np.random.default_rng(0)
        items = rng.choice(n_items, n_rows, p=zipf(n_items, 0.9))
        users = rng.integers(n_users, size=n_rows)
        losses = {
            f"batch_softmax, {n * step_rows:,} negatives": ("batch_softmax", n) for n in (1, 2, 8)
        }
        if n_items <= 30_000:  # more would need gigabytes for the scores of a step
            losses["softmax"] = ("softmax", 0)
        run_epochs = [
            make_trainer(
                users,
                items,
                (n_users, n_items),
                FACTORS,
                step_rows * (1 + n),
                loss=loss,
                n_drawn=n,
            ).run_epoch
            for loss, n in losses.values()
        ]
        rates = samples_per_second(run_epochs, n_rows, arguments.epochs)
        times = [(1 + N_NEGATIVES) * step_rows / rate * 1e3 for rate in rates]
        results.append({"items": n_items} | dict(zip(losses, times, strict=True)))
        print(results[-1], flush=True)
    return results


def compare_runs(arguments):
    """Time a step of `NextItemRecommender` by the number of rows that share their histories."""
    rows, run_epochs, lengths = read_rows(read_table(arguments)), [], (1, 8)
    for length in lengths:
        batches._RUN_LENGTH, rng = length, np.random.default_rng(1)
        prepared = prepare(NextItemRecommender(add_simple_methods=False)._plan(None), rows, rng)
        blueprint, settings = prepared.plan.blueprint, prepared.plan.training
        weights = blueprint.initial_weights(*rows.shape, rng, prepared.item_biases)
        trainer = Trainer(blueprint, weights, prepared.rows, settings, rng)
        trainer.compile()
        run_epochs.append(trainer.run_epoch)
    rates = samples_per_second(run_epochs, len(rows.users), arguments.epochs)
    step_rows = settings.batch_size // (1 + settings.n_negatives)
    times = [(1 + N_NEGATIVES) * step_rows / rate * 1e3 for rate in rates]
    return [{f"ms, runs of {length}": time for length, time in zip(lengths, times, strict=True)}]


class RankerRecommender(BaseRecommender):
    """Lets the scorers of neumf rank by anything that scores the items of a user."""

    def __init__(self, ranker=None):
        self.ranker = ranker

    def fit(self, X, y=None):
        """Keep what was seen."""
        keep_rows(self, read_rows(X, y))
        return self

    @property
    def ranker_(self):
        """The ranker."""
        return self.ranker


class KerasRanker:
    """Scores by a Keras model of (user, item)."""

    def __init__(self, model, n_items):
        self.model, self.n_items = model, n_items

    def score_items(self, users):
        """Return the score of every item for users, as `neumf.protocols.Ranker` asks for."""
        pairs = [np.repeat(users, self.n_items), np.tile(np.arange(self.n_items), len(users))]
        scores = self.model.predict(pairs, batch_size=2**16, verbose=0)
        return scores.reshape(len(users), self.n_items)


def compare_time_to_accuracy(arguments):
    splitter = LeaveLastOutSplitter(ties="row_order")
    X_train = splitter.train_test_split(read_table(arguments))[0]
    X_train, X_test = splitter.train_test_split(X_train)
    X_test = X_test[X_test["item"].isin(X_train["item"])]
    (users, user_ids), (items, item_ids) = X_train["user"].factorize(), X_train["item"].factorize()
    shape = (len(user_ids), len(item_ids))
    recommender, scorer = RankerRecommender().fit(X_train), ndcg_scorer()

    def measure(ranker):
        return scorer(recommender.set_params(ranker=ranker), X_test)

    plain, plain_seconds = [], []
    for seed in range(arguments.seeds):
        start = time.perf_counter()
        run_epoch, model = make_keras_epoch(users, items, shape, PAPER, 256, seed)
        for _ in range(20):
            run_epoch()
        plain_seconds.append(time.perf_counter() - start)
        plain.append(measure(KerasRanker(model, shape[1])))
        print(
            f"Keras, seed {seed}: NDCG@10 {plain[-1]:.4f} in {plain_seconds[-1]:.1f} s", flush=True
        )

    results = []
    for seed in range(arguments.seeds):
        # Each seed compiles anew, as a new process would.
        compile_program.cache_clear()
        start, reached, values = time.perf_counter(), None, []
        trainer = make_trainer(users, items, shape, PAPER, 256, seed)
        for _ in range(20):
            trainer.run_epoch()
            values.append(measure(network_of(trainer, shape[0])))
            if reached is None and values[-1] >= np.mean(plain):
                reached = time.perf_counter() - start
        results.append(
            {
                "seed": seed,
                "Keras NDCG@10": plain[seed],
                "Keras, s": plain_seconds[seed],
                "neumf NDCG@10": values[-1],
                "s until Keras's mean": reached,
                "ratio": None if reached is None else np.mean(plain_seconds) / reached,
                "neumf 20 epochs, s": time.perf_counter() - start,
            }
        )
        print(results[-1], flush=True)
    table = pd.DataFrame(results)
    print(table[["Keras NDCG@10", "neumf NDCG@10"]].agg(["mean", "std"]))
    return results


def resident_gigabytes(field):
    """Read VmRSS (now) or VmHWM (peak) of this process, on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e9


def measure_memory(arguments):
    """Fit 2 M users and 500 k items for one epoch."""
    n_users, n_items, n_rows = 2_000_000, 500_000, arguments.rows
    options = {"batch_size": 8192, "epochs": 1, "random_state": 0, "verbose": 1}
    model = NeuMFRecommender.from_preset("paper-8", **options)
    model.fit(np.arange(400).reshape(-1, 2))
    tensorflow = resident_gigabytes("VmRSS")
    columns = [np.empty(n_rows, np.int32), np.empty(n_rows, np.int32)]
    rng = np.random.default_rng(0)
    shares = zipf(n_items, 0.9)
    for start in range(0, n_rows, 2_000_000):
        n = min(2_000_000, n_rows - start)
        columns[0][start : start + n] = rng.integers(n_users, size=n)
        columns[1][start : start + n] = rng.choice(n_items, n, p=shares)
    X = pd.DataFrame({"user": columns[0], "item": columns[1]}, copy=False)
    before = resident_gigabytes("VmRSS")
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    encoded = n_rows * 8 / 1e9
    tables = (model.network_.users.nbytes + model.network_.items.nbytes) / 1e9
    peak = resident_gigabytes("VmHWM")
    result = {
        "TensorFlow, GB": tensorflow,
        "table of fit, GB": before - tensorflow,
        "encoded interactions, GB": encoded,
        "embedding tables, GB": tables,
        "peak, GB": peak,
        "bound, GB": tensorflow + 4 * encoded + 3.5 * tables,
        "fit, s": seconds,
    }
    return [result]


COMPARISONS = {
    "keras": compare_with_keras,
    "catalogue": compare_catalogues,
    "losses": compare_losses,
    "runs": compare_runs,
    "accuracy": compare_time_to_accuracy,
    "memory": measure_memory,
}


def main():
    arguments = parse_arguments()
    results = COMPARISONS[arguments.what](arguments)
    print(pd.DataFrame(results).to_string(index=False, float_format="{:.3g}".format))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
