r"""Time features: an epoch with 0, 20 and 30,000 columns, and the map alone.

    python benchmarks/side_features.py
    python benchmarks/side_features.py --items 50000

Synthetic rows whose items follow a Zipf law, the defaults of `NextItemRecommender`. The 20 columns
are dense; of the 30,000, each item has 30, drawn by a Zipf law too, as words are. An epoch is timed
as the difference of fits of one epoch and of several, so that compilation cancels out; the fits of
the three tables alternate, and the median of the rounds is printed. "map" is the ridge regression
that an epoch starts with, once for the items' vectors and once for their deviations in histories: a
step itself gathers one row more for each vector, however many columns there are. Only ratios carry
over to another machine.
"""

import argparse
import time

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sampling import zipf

from neumf import NextItemRecommender
from neumf.model.feature_map import FeatureMap

WIDTH = 129


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=3, help="of the longer fits, less one")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "user": rng.integers(arguments.users, size=arguments.rows),
            "item": rng.choice(arguments.items, arguments.rows, p=zipf(arguments.items, 1.0)),
        }
    )
    tables = {
        "none": None,
        "20": dense(arguments.items, rng),
        "30,000": words(arguments.items, rng),
    }
    seconds = {name: [] for name in tables}
    for number in range(1 + arguments.rounds):
        for name, table in tables.items():
            short, long = (fit_seconds(X, table, n) for n in (1, 1 + arguments.epochs))
            if number:  # the first round compiles
                seconds[name].append((long - short) / arguments.epochs)
    reference = np.median(seconds["none"])
    for name, table in tables.items():
        epoch = np.median(seconds[name])
        of_map = 0.0 if table is None else 2 * map_seconds(table)
        print(
            f"{name:>7} columns: {epoch:.2f} s an epoch, {epoch / reference:.2f} times; map "
            f"{of_map:.2f} s; without it {(epoch - of_map) / reference:.2f} times",
            flush=True,
        )


def dense(n_items, rng):
    return pd.DataFrame(rng.random((n_items, 20)))


def words(n_items, rng, n_columns=30_000, n_words=30):
    columns = rng.choice(n_columns, n_items * n_words, p=zipf(n_columns, 1.0))
    rows = np.repeat(np.arange(n_items), n_words)
    values = sp.coo_array((np.ones(len(rows)), (rows, columns)), shape=(n_items, n_columns))
    values = values.tocsr()
    values.data[:] = 1 / np.sqrt(n_words)
    return pd.DataFrame.sparse.from_spmatrix(values)


def fit_seconds(X, table, epochs):
    model = NextItemRecommender(item_features=table, epochs=epochs, random_state=0)
    start = time.perf_counter()
    model.fit(X)
    return time.perf_counter() - start


def map_seconds(table):
    values = sp.csr_array(table.to_numpy() if table.shape[1] < 100 else table.sparse.to_coo())
    vectors = np.random.default_rng(0).normal(size=(len(table), WIDTH)).astype(np.float32)
    start = time.perf_counter()
    FeatureMap.fit(values.astype(float), vectors, np.ones(len(table)), 1.0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
