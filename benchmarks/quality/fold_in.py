r"""Measure what folding in new users costs against training with them.

    python benchmarks/quality/fold_in.py --train ml-1m.parquet --preset next-item --seeds 3

Each user's last row is held out. One recommender is fitted on the other rows of all users, one on
those of nine users in ten; the latter folds the hidden tenth in by ``interactions``. Both rank the
held-out items of the hidden users among all items, and among 99. Item neighbours and popularity
fold in the same users. Then the lists of one and of a thousand new users are timed (medians of
five).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from ncf_protocol import make_recommender, parse_option, read_table

from neumf import (
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    hr_scorer,
    ndcg_scorer,
)

SCORERS = {
    "HR@10 (99)": hr_scorer(n_negatives=99),
    "NDCG@10 (99)": ndcg_scorer(n_negatives=99),
    "NDCG@10 (exact)": ndcg_scorer(),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--preset", default="next-item")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    parser.add_argument("--csv", type=Path, default=Path("fold_in.csv"))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(
        read_table(arguments.train)
    )
    users = np.random.default_rng(0).permutation(X_train["user"].unique())
    hidden = users[: len(users) // 10]
    X_hidden = X_train[X_train["user"].isin(hidden)]
    X_rest = X_train[~X_train["user"].isin(hidden)]
    X_test = X_test[X_test["user"].isin(hidden)]
    results = []
    for seed in range(arguments.seeds):
        trained = make_recommender(arguments.preset, seed, dict(arguments.set)).fit(X_train)
        folding = make_recommender(arguments.preset, seed, dict(arguments.set)).fit(X_rest)
        results += [
            {"seed": seed, "": "trained in"} | measure(trained, X_test),
            {"seed": seed, "": "folded in"} | measure(folding.with_interactions(X_hidden), X_test),
        ]
        print(pd.DataFrame(results[-2:]).round(4).to_string(index=False), flush=True)
    for baseline in (ItemKNNRecommender(n_neighbors=100, shrinkage=0), PopularityRecommender()):
        folded = baseline.fit(X_rest).with_interactions(X_hidden)
        results.append({"": f"{type(baseline).__name__}, folded in"} | measure(folded, X_test))
    table = pd.DataFrame(results)
    print(table.drop(columns="seed").groupby("").mean().round(4).to_string())
    table.to_csv(arguments.csv, index=False)
    for n in (1, 1000):
        seconds = time_lists(folding, X_train, n)
        print(f"recommend for {n} new users: {1000 * seconds:.1f} ms")


def measure(recommender, X_test):
    return {name: scorer(recommender, X_test) for name, scorer in SCORERS.items()}


def time_lists(recommender, X, n_users):
    """Return the seconds that lists of ten take for users whom the recommender has not seen."""
    interactions = X[X["user"].isin(X["user"].unique()[:n_users])]
    interactions = interactions.assign(user=-1 - interactions["user"])  # ids of nobody
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        recommender.recommend(k=10, interactions=interactions)
        seconds.append(time.perf_counter() - start)
    return np.median(seconds)


if __name__ == "__main__":
    main()
