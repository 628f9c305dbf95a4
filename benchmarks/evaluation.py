r"""Time exact evaluation, beside recommending to the same users.

    python benchmarks/evaluation.py parquet ml-1m/train.parquet

Fits a network of the paper's size for one epoch, then times, alternating, `recommend` for all
users, the scorer of exact NDCG@10 with one held-out row for each of them, and `evaluate` with its
default metrics and lengths. Prints medians and the ratio to `recommend`.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

from neumf import LeaveLastOutSplitter, NeuMFRecommender, datasets, evaluate, ndcg_scorer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("format", choices=["movielens", "parquet"])
    parser.add_argument("path")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
    read = datasets.read_movielens if arguments.format == "movielens" else pd.read_parquet
    X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(read(arguments.path))
    options = {"epochs": 1, "batch_size": 8192, "random_state": 0}
    model = NeuMFRecommender.from_preset("paper-8", **options).fit(X_train)
    calls = {
        "recommend": lambda: model.recommend(X_test["user"]),
        "ndcg_scorer()": lambda: ndcg_scorer()(model, X_test),
        "ndcg_scorer(n_negatives=99)": lambda: ndcg_scorer(n_negatives=99)(model, X_test),
        "evaluate": lambda: evaluate(model, X_test),
    }
    seconds = {name: [] for name in calls}
    for _ in range(arguments.repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: np.median(values) for name, values in seconds.items()}
    print(f"{len(X_test):,} users, {len(model.items_):,} items")
    for name, value in medians.items():
        print(f"{name:>28}: {value:6.2f} s, {value / medians['recommend']:.2f} times recommend")


if __name__ == "__main__":
    main()
