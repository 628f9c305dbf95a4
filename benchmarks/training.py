r"""Training speed beside plain Keras, and the cost of a step as the catalogue grows.

    python benchmarks/training.py keras movielens ml-100k/u.data
    python benchmarks/training.py keras parquet ml-1m/train.parquet
    python benchmarks/training.py catalogue

``keras`` trains the same network on the same rows in batches of the same size, once by the
training loop of `NeuMFRecommender` and once by a functional Keras model with ``model.fit``, and
prints samples (positives and negatives) per second, the median of epochs 2 onwards. Both draw their
negatives with the same exact sampler (for Keras in NumPy, before each epoch); drawing and shuffling
count. ``catalogue`` times a step at 10,000 and at 1,000,000 users and items. Only ratios carry over
to another machine.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from neumf import datasets
from neumf._interactions import seen_matrix
from neumf._network import initial_network
from neumf._sampling import UnseenItems, sample_unseen_items
from neumf._training import Trainer, TrainingRows, TrainingSettings, import_tensorflow

N_NEGATIVES = 4
PAPER = {"n_factors": 8, "mlp_embedding_dim": 32, "hidden_layer_sizes": (32, 16, 8)}
WIDE = {"n_factors": 64, "mlp_embedding_dim": 128, "hidden_layer_sizes": (128, 64)}
CASES = [(PAPER, 256), (PAPER, 1024), (PAPER, 8192), (WIDE, 256), (WIDE, 1024), (WIDE, 8192)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["keras", "catalogue"])
    parser.add_argument("format", nargs="?", choices=["movielens", "parquet"])
    parser.add_argument("path", nargs="?")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first ones")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def read_rows(arguments):
    """Return users and items as contiguous integers."""
    read = datasets.read_movielens if arguments.format == "movielens" else pd.read_parquet
    X = read(arguments.path)
    return X["user"].factorize()[0], X["item"].factorize()[0]


def make_trainer(users, items, shape, width, batch_size):
    ones = np.ones(len(users), np.float32)
    settings = TrainingSettings("binary_crossentropy", N_NEGATIVES, batch_size, 1e-3, 0.0, 0.0)
    rows = TrainingRows(users, items, ones, ones, UnseenItems(seen_matrix(users, items, shape)))
    network = initial_network(*shape, **width, rng=np.random.default_rng(0))
    return Trainer(network, rows, settings, np.random.default_rng(1))


def make_keras_epoch(users, items, shape, width, batch_size):
    """Return a function that trains a plain Keras model for an epoch."""
    import_tensorflow()
    import keras

    def embed(inputs, n_rows, dim):
        normal = keras.initializers.RandomNormal(stddev=0.01)
        return keras.layers.Embedding(n_rows, dim, embeddings_initializer=normal)(inputs)

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
    rng = np.random.default_rng(1)
    labels = np.tile(np.array([1] + [0] * N_NEGATIVES, np.float32), len(users))

    def run_epoch():
        negatives = sample_unseen_items(unseen, users, N_NEGATIVES, rng)
        candidates = np.column_stack([items, negatives]).astype(np.int32).ravel()
        repeated = np.repeat(users.astype(np.int32), 1 + N_NEGATIVES)
        model.fit([repeated, candidates], labels, batch_size=batch_size, epochs=1, verbose=0)

    return run_epoch


def samples_per_second(run_epoch, n_rows, epochs):
    """Return the median over epochs 2 onwards."""
    rates = []
    for _ in range(epochs):
        start = time.perf_counter()
        run_epoch()
        rates.append(n_rows * (1 + N_NEGATIVES) / (time.perf_counter() - start))
    return float(np.median(rates[1:]))


def compare_with_keras(arguments):
    users, items = read_rows(arguments)
    shape = (int(users.max()) + 1, int(items.max()) + 1)
    results = []
    for width, batch_size in CASES[: arguments.cases]:
        case = (users, items, shape, width, batch_size)
        ours = samples_per_second(make_trainer(*case).run_epoch, len(users), arguments.epochs)
        plain = samples_per_second(make_keras_epoch(*case), len(users), arguments.epochs)
        results.append(
            {
                "n_factors": width["n_factors"],
                "batch_size": batch_size,
                "neumf, M samples/s": ours / 1e6,
                "Keras, M samples/s": plain / 1e6,
                "ratio": ours / plain,
            }
        )
        print(results[-1], flush=True)
    return results


def compare_catalogues(arguments):
    """Time steps on the same number of rows; a row's items follow Zipf's law."""
    n_rows, results = 500_000, []
    for batch_size in (256, 1024, 8192):
        times = []
        for n in (10_000, 1_000_000):
            rng = np.random.default_rng(0)
            popularity = np.arange(1, n + 1) ** -0.9
            items = rng.choice(n, n_rows, p=popularity / popularity.sum())
            trainer = make_trainer(rng.integers(n, size=n_rows), items, (n, n), PAPER, batch_size)
            rate = samples_per_second(trainer.run_epoch, n_rows, arguments.epochs)
            times.append(batch_size / rate * 1e6)
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


def main():
    arguments = parse_arguments()
    compare = compare_with_keras if arguments.what == "keras" else compare_catalogues
    results = compare(arguments)
    print(pd.DataFrame(results).to_string(index=False, float_format="{:.3g}".format))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
