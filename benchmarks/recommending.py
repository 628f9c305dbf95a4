r"""Lists of ten per second, beside those of `implicit`; one user at a time; memory of many users.

    python benchmarks/recommending.py lists ml-1m/train.parquet
    python benchmarks/recommending.py one ml-1m/train.parquet
    python benchmarks/recommending.py memory

`lists` makes lists of all users of MovieLens-1M, then of a synthetic table with a catalogue of
100,000 items, with what each user has seen left out: by `recommend` of networks and of EASE, and by
`recommend` of implicit's ALS with the same number of factors, alternating. Both may use all cores;
BLAS is limited to one thread for implicit, as it asks for. `one` times calls for one user each.
`memory` makes lists of a million users in a fresh process that has read a saved recommender. How
fast lists are made does not depend on how good they are: everything is trained for one epoch.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sampling import zipf
from threadpoolctl import threadpool_limits

from neumf import EASERecommender, NeuMFRecommender, load

QUICK = {"epochs": 1, "batch_size": 8192, "n_negatives": 1, "random_state": 0}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["lists", "one", "memory"])
    parser.add_argument("path", nargs="?", help="a parquet file of user, item and timestamp")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--users", type=int, default=1_000_000, help="users of `memory`")
    arguments = parser.parse_args()
    if arguments.what == "lists":
        X = pd.read_parquet(arguments.path)[["user", "item", "timestamp"]]
        compare_lists("MovieLens-1M", X, arguments.repeats)
        compare_lists("100,000 items", make_rows(5_000, 100_000, 800_000), arguments.repeats)
    elif arguments.what == "one":
        X = pd.read_parquet(arguments.path)[["user", "item", "timestamp"]]
        time_one_user(X)
    else:
        measure_memory(arguments.users)


def networks():
    return {
        "gmf, 64 factors": NeuMFRecommender(architecture="gmf", n_factors=64, **QUICK),
        "gmf, 8 factors": NeuMFRecommender(architecture="gmf", n_factors=8, **QUICK),
        "paper-8": NeuMFRecommender.from_preset("paper-8", **QUICK),
    }


def compare_lists(name, X, repeats):
    recommenders = (
        networks() if X["item"].nunique() > 10_000 else networks() | {"EASE": EASERecommender()}
    )
    for label, recommender in recommenders.items():
        recommender.fit(X)
        n_factors = getattr(recommender, "n_factors", 64)
        calls = {"neumf": recommender.recommend, "implicit": implicit_lists(recommender, n_factors)}
        seconds = {caller: [] for caller in calls}
        for _ in range(repeats):
            for caller, call in calls.items():
                start = time.perf_counter()
                call()
                seconds[caller].append(time.perf_counter() - start)
        ours, theirs = (np.array(values) for values in seconds.values())
        n_users = len(recommender.users_)
        print(
            f"{name}, {label}: {n_users / np.median(ours):,.0f} users/s, implicit "
            f"({n_factors} factors) {n_users / np.median(theirs):,.0f}; ratio "
            f"{np.median(theirs) / np.median(ours):.2f}, of the fastest runs "
            f"{theirs.min() / ours.min():.2f}",
            flush=True,
        )


def implicit_lists(recommender, n_factors):
    """Return a function that makes the lists of all users by implicit, and nothing else."""
    from implicit.cpu.als import AlternatingLeastSquares

    seen = sp.csr_matrix(recommender.seen_, dtype=np.float32)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=n_factors, iterations=1, num_threads=os.cpu_count(), random_state=0
        )
        model.fit(seen, show_progress=False)
    users = np.arange(seen.shape[0])

    def recommend():
        with threadpool_limits(1, "blas"):
            return model.recommend(users, seen, N=10)

    return recommend


def time_one_user(X):
    for label, recommender in networks().items():
        recommender.fit(X)
        for user in recommender.users_[:50].tolist():
            recommender.recommend(user)
        milliseconds = []
        for user in recommender.users_[:1000].tolist():
            start = time.perf_counter()
            recommender.recommend(user)
            milliseconds.append(1e3 * (time.perf_counter() - start))
        median, fast, slow = np.quantile(milliseconds, [0.5, 0.1, 0.99])
        print(f"one user, {label}: median {median:.2f} ms (10 %: {fast:.2f}, 99 %: {slow:.2f})")


def measure_memory(n_users):
    X = make_rows(n_users, 20_000, 5 * n_users)
    recommender = NeuMFRecommender(architecture="gmf", n_factors=32, **QUICK).fit(X)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.neumf"
        recommender.save(path)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(recommend_to_all, (path,))


def recommend_to_all(path):
    recommender = load(path)
    before = peak_memory()
    start = time.perf_counter()
    lists = recommender.recommend()
    seconds = time.perf_counter() - start
    size = lists.memory_usage().sum() / 1e9
    print(
        f"{len(recommender.users_):,} users, {len(recommender.items_):,} items: {seconds:.1f} s; "
        f"peak of the process {before:.2f} GB before, {peak_memory():.2f} GB after; "
        f"{len(lists):,} rows of {size:.2f} GB"
    )


def peak_memory():
    """Return the peak memory of this process in GB: `getrusage` counts its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def make_rows(n_users, n_items, n_rows):
    """Return rows of users and items: all occur, items as popular as Zipf's law has it."""
    rng = np.random.default_rng(0)
    bounds = np.cumsum(zipf(n_items, 0.9))
    items = np.minimum(np.searchsorted(bounds, rng.random(n_rows)), n_items - 1)
    items[:n_items] = np.arange(n_items)
    users = rng.integers(n_users, size=n_rows)
    users[-n_users:] = np.arange(n_users)
    return pd.DataFrame({"user": users, "item": items}, dtype=np.int32)


if __name__ == "__main__":
    main()
