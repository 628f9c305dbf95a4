"""How often 95 % intervals hold the truth: simulated users, whose population is known.

The ranks of the held-out item in two lists of a user are drawn from two log-normal distributions
that are correlated and equal, so that the true difference is 0. Printed are the shares of samples
whose interval holds the true mean of one recommender, and the true difference of two: with 1.96
standard errors to both sides (of n, not n - 1, degrees of freedom) and with Student's t.
"""

import argparse

import numpy as np
from scipy.special import stdtrit

from neumf.evaluation.measures import Group

METRICS = {
    "HR@10": lambda ranks: (ranks <= 10) * 1.0,
    "NDCG@10": lambda ranks: np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0),
}


def draw_ranks(rng, shape, median):
    """Return the ranks in the lists of two recommenders, two arrays of this shape."""
    both, *own = rng.normal(size=(3, *shape))
    return [1 + np.floor(median * np.exp(np.sqrt(2) * (both + each))) for each in own]


def coverage(rng, n_users, median, metric, n_samples):
    """Return the share of samples whose intervals hold the truth."""
    truth = metric(draw_ranks(rng, (10**6,), median)[0]).mean()
    held = np.zeros(4)
    for ours, others in zip(*draw_ranks(rng, (n_samples, n_users), median), strict=True):
        group, reference = (
            Group({}, {("exact", "m", 10): metric(ranks)[None]}, n_users, 0)
            for ranks in (ours, others)
        )
        row, compared = next(group.rows()), next(group.differences(reference))
        error = abs(row["value"] - truth)
        t = stdtrit(n_users - 1, 0.975)
        old = 1.96 * np.sqrt(1 - 1 / n_users)  # in standard errors of today
        held += (
            error <= old * row["stderr"],
            error <= t * row["stderr"],
            abs(compared["difference"]) <= old / t * compared["margin"],
            abs(compared["difference"]) <= compared["margin"],
        )
    return truth, held / n_samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=4000)
    n_samples = parser.parse_args().samples
    rng = np.random.default_rng(0)
    print("| | users | mean: 1.96 | mean: t | difference: 1.96 | difference: t |")
    print("|---|---|---|---|---|---|")
    for median in (10, 40):
        for name, metric in METRICS.items():
            for n_users in (20, 50, 200):
                truth, held = coverage(rng, n_users, median, metric, n_samples)
                shares = " | ".join(f"{share:.3f}" for share in held)
                print(f"| {name} = {truth:.2f} | {n_users} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
