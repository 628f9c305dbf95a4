r"""Measure sequential rules on a large table: seconds, memory, lists per second.

    python benchmarks/sequential_rules.py --items 1000000 --users 1000000 --rows 20000000

makes a table of ``--rows`` rows, in which activity of users and popularity of items follow Zipf's
law, fits `SequentialRulesRecommender`, and prints the seconds and the peak memory of `fit`, the
size of the weights, and how many users a second get their ten best items. The peak counts the whole
process with the table, whose size is printed beside it.
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd
from sampling import zipf

from neumf import SequentialRulesRecommender


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--max-entries", type=int, default=500)
    parser.add_argument("--asked", type=int, default=1_000, help="users who are recommended to")
    arguments = parser.parse_args()
    X = make_table(arguments.users, arguments.items, arguments.rows)
    table, before = X.memory_usage().sum() / 1e9, peak_memory()
    print(f"{len(X):,} rows, a table of {table:.2f} GB; peak so far {before:.2f} GB", flush=True)
    start = time.perf_counter()
    model = SequentialRulesRecommender(max_entries=arguments.max_entries).fit(X)
    seconds = time.perf_counter() - start
    weights = model.item_weights_
    size = sum(part.nbytes for part in (weights.data, weights.indices, weights.indptr)) / 1e9
    print(
        f"fit: {seconds:.1f} s, peak {peak_memory():.2f} GB, {len(model.items_):,} items, "
        f"{weights.nnz:,} weights of {size:.2f} GB",
        flush=True,
    )
    asked = model.users_[: arguments.asked]
    start = time.perf_counter()
    model.recommend(asked)
    print(f"recommend: {len(asked) / (time.perf_counter() - start):,.0f} users a second")


def make_table(n_users, n_items, n_rows):
    rng = np.random.default_rng(0)
    columns = {}
    for name, size, exponent in (("user", n_users, 0.6), ("item", n_items, 0.9)):
        # As `rng.choice` with probabilities draws, in the memory of the result.
        bounds = np.cumsum(zipf(size, exponent))
        columns[name] = np.searchsorted(bounds, rng.random(n_rows)).astype(np.int32)
        np.minimum(columns[name], size - 1, out=columns[name])
    return pd.DataFrame(columns)


def peak_memory():
    """Return the peak memory of this process in GB (Linux counts it in KB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
