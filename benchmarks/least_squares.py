r"""Measure alternating least squares beside implicit and irspack, and on a large table.

    python benchmarks/least_squares.py ml-1m/train.parquet
    python benchmarks/least_squares.py --rows 1700000 --users 124000 --items 50000

The first command fits `ALSRecommender`, and the solvers of implicit (three steps of conjugate
gradients, one penalty for all) and irspack (where they are installed) to the same confidences, with
equal factors and iterations, in turn, and prints the seconds of each round on one thread. Reading
the table counts for none. The second one makes a table after Zipf's law and prints the seconds and
the peak memory of `ALSRecommender.fit`, which reads it.
"""

import argparse
import contextlib
import io
import resource
import time

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sequential_rules import make_table
from threadpoolctl import threadpool_limits

from neumf import ALSRecommender
from neumf.base import read_rows
from neumf.training.least_squares import Confidences, LeastSquares


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="?", help="a Parquet file of rows")
    parser.add_argument("--rows", type=int, default=1_700_000)
    parser.add_argument("--users", type=int, default=124_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.path:
        beside_others(pd.read_parquet(arguments.path), arguments)
        return
    X = make_table(arguments.users, arguments.items, arguments.rows)
    X["timestamp"] = np.arange(len(X))
    for n_iter in (1, arguments.iterations):
        model = ALSRecommender(
            n_factors=arguments.factors, n_iter=n_iter, random_state=0, n_jobs=arguments.jobs
        )
        start = time.perf_counter()
        model.fit(X)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{n_iter} iterations: {seconds:.1f} s, peak {peak:.2f} GB", flush=True)


def beside_others(X, arguments):
    """Print the seconds of all solvers, round by round."""
    data = Confidences.of_rows(read_rows(X), 1.0, 1.0)
    pairs = sp.csr_matrix(data.pairs)
    solvers = {
        "neumf": lambda: LeastSquares(arguments.factors, 0.1, n_iter=arguments.iterations).fit(
            data, np.random.default_rng(0), arguments.jobs
        )
    }
    with contextlib.suppress(ImportError):
        from implicit.als import AlternatingLeastSquares

        solvers["implicit"] = lambda: AlternatingLeastSquares(
            arguments.factors, alpha=1, iterations=arguments.iterations, num_threads=arguments.jobs
        ).fit(pairs, show_progress=False)
    with contextlib.suppress(ImportError):
        from irspack import IALSRecommender

        solvers["irspack"] = lambda: IALSRecommender(
            pairs.astype(np.float64),
            n_components=arguments.factors,
            train_epochs=arguments.iterations,
            n_threads=arguments.jobs,
        ).learn()
    for _ in range(arguments.rounds):
        seconds = {}
        for name, fit in solvers.items():
            start = time.perf_counter()
            with threadpool_limits(1, "blas"), contextlib.redirect_stdout(io.StringIO()):
                fit()
            seconds[name] = time.perf_counter() - start
        print("  ".join(f"{name} {value:.2f} s" for name, value in seconds.items()), flush=True)


if __name__ == "__main__":
    main()
