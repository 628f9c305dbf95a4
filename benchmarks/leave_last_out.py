r"""Measure NeuMFRecommender against popularity by leave-last-out, over several seeds.

    python benchmarks/leave_last_out.py movielens ml-100k/u.data --seeds 3
    python benchmarks/leave_last_out.py movietweetings --k-core 5 --seeds 3 \
        --set dropout=0.5 batch_size=1024 "hidden_layer_sizes=(32,)"

The parameters are fixed before the held-out rows are read and no epoch is chosen: what is printed
is the last epoch. ``--validation`` measures on a split of the training rows instead, to choose by.
"""

import argparse
import ast
import warnings

import numpy as np
import pandas as pd

from neumf import (
    LeaveLastOutSplitter,
    NeuMFRecommender,
    PopularityRecommender,
    datasets,
    hr_scorer,
    ndcg_scorer,
)

SCORERS = {
    "HR@10 (99)": hr_scorer(n_negatives=99),
    "NDCG@10 (99)": ndcg_scorer(n_negatives=99),
    "HR@10 (exact)": hr_scorer(),
    "NDCG@10 (exact)": ndcg_scorer(),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("format", choices=["movietweetings", "movielens", "amazon"])
    parser.add_argument("path", nargs="?", help="file to read; movietweetings needs none")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    return parser.parse_args()


def parse_option(text):
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def read(arguments):
    if arguments.format == "movietweetings":
        X = datasets.load_movietweetings()
    elif arguments.format == "movielens":
        X = datasets.read_movielens(arguments.path)
    else:
        X = datasets.read_amazon_reviews(arguments.path)
    return datasets.filter_k_core(X, arguments.k_core)


def measure(recommender, X_train, X_test):
    recommender.fit(X_train)
    return {name: scorer(recommender, X_test) for name, scorer in SCORERS.items()}


def main():
    arguments = parse_arguments()
    splitter = LeaveLastOutSplitter()
    X_train, X_test = splitter.train_test_split(read(arguments))
    if arguments.validation:
        X_train, X_test = splitter.train_test_split(X_train)
    options = dict(arguments.set)
    unknown = ~X_test["item"].isin(X_train["item"])
    # Each scorer warns of the unknown items; they are counted below.
    warnings.filterwarnings("ignore", message=".*count as misses")
    popularity = measure(PopularityRecommender(), X_train, X_test)
    seeds = pd.DataFrame(
        [
            measure(NeuMFRecommender(random_state=seed, **options), X_train, X_test)
            for seed in range(arguments.seeds)
        ]
    )
    summary = pd.DataFrame(
        {
            "popularity": popularity,
            f"mean of {arguments.seeds} seeds": seeds.mean(),
            "standard deviation": seeds.std() if arguments.seeds > 1 else np.nan,
        }
    )
    print(
        f"{len(X_train):,} training rows, {len(X_test):,} held-out rows, {unknown.sum()} of them "
        f"items that no training row has; {options}"
    )
    print(seeds.to_string(float_format="{:.4f}".format))
    print(summary.to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
