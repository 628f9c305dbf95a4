r"""Does the MLP help? The joined network against its own GMF half, and its probabilities.

    python benchmarks/quality/mlp.py --train movietweetings --k-core 5 --drop-last
    python benchmarks/quality/mlp.py --train movietweetings --k-core 5 --shuffled

`NeuMFRecommender()` is fitted with five seeds on the training rows without each user's last one;
with ``--shuffled``, on rows in random order without their times, another order for each seed. The
GMF half is the same network with an MLP of weight 0. Printed are exact NDCG@10 of both, the
relative gain, half the width of its 95 % confidence interval over users, the
expected calibration error of `predict` (ten bins of equal width; the held-out rows, and four
unseen items for each), and the seconds of `fit`.
"""

import argparse
import time
import warnings
from copy import copy

import numpy as np
import pandas as pd
from ncf_protocol import read_training_rows
from opponents import split

from neumf import NegativeSampler, NeuMFRecommender, compare, ndcg_scorer


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True, help="as for ncf_protocol.py")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
    rows = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    results = [run(rows, seed, arguments.shuffled) for seed in range(arguments.seeds)]
    table = pd.DataFrame(results)
    print(table.round(4).to_string())
    print(table.mean().round(4).to_string())


def run(rows, seed, shuffled):
    """Return the figures of one seed."""
    X_train, X_test = split(rows, seed if shuffled else None)
    model = NeuMFRecommender(recency=0.0 if shuffled else 1.0, random_state=seed)
    start = time.perf_counter()
    model.fit(X_train)
    seconds = time.perf_counter() - start
    gmf = without_mlp(model)
    ndcg = [ndcg_scorer()(recommender, X_test) for recommender in (gmf, model)]
    fitted = {"gmf": gmf, "joined": model}
    difference = compare(fitted, None, X_test, metrics="ndcg", k=10).to_frame().iloc[-1]
    return {
        "gmf": ndcg[0],
        "joined": ndcg[1],
        "gain, %": 100 * (ndcg[1] / ndcg[0] - 1),
        "margin, %": 100 * difference["margin"] / ndcg[0],
        "calibration error": calibration_error(model, X_train, X_test, seed),
        "seconds": seconds,
    }


def without_mlp(model):
    """Return the recommender with an MLP of weight 0."""
    gmf, network = copy(model), copy(model.network_)
    kernel = network.weights.shared["output_kernel"].copy()
    kernel[model.n_factors :] = 0
    shared = network.weights.shared | {"output_kernel": kernel}
    vars(network)["weights"] = network.weights._replace(shared=shared)
    gmf.network_ = network
    return gmf


def calibration_error(model, X_train, X_test, seed, n_bins=10):
    """Return the mean distance of probabilities from shares of positives, over bins."""
    rows = pd.concat([X_train, X_test[X_test["item"].isin(model.items_)]])
    pairs = rows.iloc[len(X_train) :][["user", "item"]]
    sampler = NegativeSampler(n_negatives=4, random_state=seed)
    drawn = np.asarray(sampler.fit(rows).transform(pairs))
    negatives = pd.DataFrame(
        {"user": np.repeat(pairs["user"].to_numpy(), 4), "item": drawn.ravel()}
    )
    probability = model.predict(pd.concat([pairs, negatives]))
    labels = np.repeat([1.0, 0.0], [len(pairs), len(negatives)])
    bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    sums = np.bincount(bins, probability - labels, n_bins)
    return np.abs(sums).sum() / len(labels)


if __name__ == "__main__":
    main()
