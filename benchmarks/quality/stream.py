r"""Measure `partial_fit` on a stream against fitting anew after each step.

    python benchmarks/quality/stream.py --train ml-1m.parquet --preset next-item --seeds 1

The rows, in order of time, are cut into steps of equal size. One recommender is fitted on the first
step and goes on with ``partial_fit``, with ``--epochs`` passes through each further step; another
is fitted anew on all steps so far. After each step both meet the next one: they fold in all rows of
each user in it but the last, by ``interactions``, and rank the last row's item among 99 items that
the user has not seen, and among all.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from fold_in import SCORERS
from ncf_protocol import make_recommender, parse_option, read_table

from neumf import LeaveLastOutSplitter, PopularityRecommender


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--preset", default="next-item")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--epochs", type=int, nargs="+", default=[2], help="of partial_fit")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    parser.add_argument("--csv", type=Path, default=Path("stream.csv"))
    arguments = parser.parse_args()
    # Unknown items in the next step, which count as misses; nothing else.
    warnings.filterwarnings("ignore", category=UserWarning)
    X = read_table(arguments.train).sort_values("timestamp", kind="stable")
    steps = [X.iloc[rows] for rows in np.array_split(np.arange(len(X)), arguments.steps)]
    results = []
    for seed in range(arguments.seeds):
        results += stream(steps, arguments, seed)
    table = pd.DataFrame(results)
    table.to_csv(arguments.csv, index=False)
    means = table.groupby("", sort=False).mean().drop(columns=["seed", "step"])
    print(means.round(4).to_string())
    print("share of what fitting anew has:")
    print((means / means.loc["fit"]).round(3).to_string())


def stream(steps, arguments, seed):
    """Return a dict per way to learn and step."""

    def start():
        return make_recommender(arguments.preset, seed, dict(arguments.set))

    ongoing = {f"partial_fit, epochs={n}": start().fit(steps[0]) for n in arguments.epochs}
    results = []
    for number in range(2, len(steps)):
        X_known, X_next = pd.concat(steps[:number]), steps[number]
        anew, seconds = timed(start().fit, X_known)
        learned = {"fit": (anew, seconds)}
        for n, (name, model) in zip(arguments.epochs, ongoing.items(), strict=True):
            learned[name] = timed(model.set_params(epochs=n).partial_fit, steps[number - 1])
        learned["popularity"] = timed(PopularityRecommender().fit, X_known)
        of_step = [
            {"": name, "seed": seed, "step": number, "seconds": seconds} | measure(model, X_next)
            for name, (model, seconds) in learned.items()
        ]
        print(pd.DataFrame(of_step).round(4).to_string(index=False), flush=True)
        results += of_step
    return results


def timed(learn, X):
    """Return the recommender and the seconds it took to learn."""
    start = time.perf_counter()
    recommender = learn(X)
    return recommender, time.perf_counter() - start


def measure(recommender, X_next):
    X_before, X_last = LeaveLastOutSplitter(ties="row_order").train_test_split(X_next)
    # Users with one row in the step have nothing to fold in, and no row to rank.
    folded = recommender.with_interactions(X_before)
    return {name: scorer(folded, X_last) for name, scorer in SCORERS.items()}


if __name__ == "__main__":
    main()
