r"""Measure recommenders by the protocol of the NCF paper, over several seeds.

    python benchmarks/quality/ncf_protocol.py --train ml-1m.train.rating \
        --test ml-1m.test.rating --negatives ml-1m.test.negative --preset next-item --seeds 5

trains on all training rows, with the fixed settings and number of epochs of the preset, and
evaluates once, among the given negatives and among all items.

Without ``--test``, each user's last row of the file is held out and ranked among 99 items that the
user has no other row of, and among all. Of training rows, that is the validation split to choose
settings on. Of a whole data set, ``--drop-last`` gives the validation split: it first takes away
each user's last row, which is the test row.

``--preset`` takes "next-item" and "neumf" (the defaults of `NextItemRecommender` and
`NeuMFRecommender`), the presets of both ("large", "paper-8", ...), "popularity", "itemknn", "ease",
"rules" (sequential rules), and "ials" where ``implicit`` is installed. ``--set`` changes their
parameters, for example ``--preset popularity --set half_life=30D``. ``--item-features`` gives the
networks features of films, see `item_features.py`, which MovieTweetings and MovieLens have beside
their ratings.

A vote is written as its members with their weights, for example ``--preset "next-item:4+rules:1"``.
Its networks have seeds of their own, ``--set`` is for them, and ``--set rules__decay=3`` for its
rules. ``--jobs`` fits its members side by side.

``--timed`` ranks each held-out row at its own request time, which is another protocol.
"""

import argparse
import ast
import json
import os
import platform
import re
import shlex
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from item_features import FEATURES, encode, read_items

from neumf import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
    datasets,
    hr_scorer,
    metrics,
    ndcg_scorer,
)
from neumf.base import BaseRecommender, keep_rows, read_rows

BASELINES = {
    "popularity": PopularityRecommender,
    "itemknn": ItemKNNRecommender,
    "als": ALSRecommender,
    "ease": EASERecommender,
    "rules": SequentialRulesRecommender,
}
NETWORKS = {"next-item": NextItemRecommender, "neumf": NeuMFRecommender}


class IALSRecommender(BaseRecommender):
    """Matrix factorization by alternating least squares (Hu et al. 2008), as `implicit` has it."""

    def __init__(
        self, *, factors=192, regularization=10.0, alpha=10.0, iterations=16, random_state=0
    ):
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.random_state = random_state

    def fit(self, X, y=None):
        """Factorize the matrix of seen items."""
        from implicit.als import AlternatingLeastSquares

        rows = read_rows(X, y)
        model = AlternatingLeastSquares(**self.get_params())
        model.fit(sp.csr_matrix(rows.seen, dtype=np.float32), show_progress=False)
        learned = {"user_factors_": model.user_factors, "item_factors_": model.item_factors}
        keep_rows(self, rows, **learned)
        return self

    @property
    def ranker_(self):
        """The ranker, which multiplies the vectors."""
        return self

    def score_items(self, users):
        """Return scores of shape (len(users), n_items)."""
        return self.user_factors_[users] @ self.item_factors_.T

    def score_candidates(self, users, items):
        """Return scores of the shape of items."""
        return np.einsum("nf,ncf->nc", self.user_factors_[users], self.item_factors_[items])


def main():
    arguments = parse_arguments()
    X_train = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    if arguments.test is None:
        X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(X_train)
    else:
        X_test = read_table(arguments.test)
    negatives = read_negatives(arguments.negatives, X_test) if arguments.negatives else None
    unknown = ~(X_test["item"].isin(X_train["item"]) & X_test["user"].isin(X_train["user"]))
    print(
        f"{len(X_train):,} training rows, {len(X_test):,} held-out rows, {unknown.sum()} of them "
        "with a user or an item that no training row has, which count as misses",
        flush=True,
    )
    options = dict(arguments.set)
    at = "row" if arguments.timed else None
    if arguments.item_features:
        items = read_items(arguments.train, arguments.items)
        options["item_features"] = encode(
            items[items.index.isin(X_train["item"])], arguments.item_features
        )
    results = []
    for preset in arguments.preset:
        for seed in range(1 if preset in BASELINES else arguments.seeds):
            recommender = make_recommender(preset, seed, options, arguments.jobs)
            result = {"preset": preset, "seed": seed}
            result |= measure(recommender, X_train, X_test, negatives, at)
            print("  ".join(f"{name} {show(value)}" for name, value in result.items()), flush=True)
            results.append(result)
    table = pd.DataFrame(results)
    summary = table.groupby("preset", sort=False).agg(["mean", "std"]).drop(columns="seed")
    print(summary.T.to_string(float_format=show))
    run = describe_run() | {"training rows": len(X_train), "held-out rows": len(X_test)}
    arguments.json.write_text(json.dumps({"run": run, "results": results}, indent=2) + "\n")


def describe_run():
    """Return the facts that a repetition needs: command, machine and versions."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    packages = ["scikit-neumf", "tensorflow", "keras", "numpy", "scipy", "pandas", "scikit-learn"]
    cpuinfo = Path("/proc/cpuinfo")
    processor = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return {
        "command": shlex.join(["python", "benchmarks/quality/ncf_protocol.py", *words]),
        "machine": f"{os.cpu_count()} cores, {processor[1] if processor else platform.machine()}",
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in packages},
    }


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--train", required=True, help="the paper's .rating, .parquet, u.data, Amazon's .json.gz, "
        "or movietweetings for the embedded table"
    )  # fmt: skip
    parser.add_argument("--test", help="the paper's .test.rating")
    parser.add_argument("--negatives", type=Path, help="the paper's .test.negative")
    parser.add_argument("--preset", nargs="+", default=["next-item"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    parser.add_argument("--item-features", nargs="+", default=[], choices=FEATURES)
    parser.add_argument("--items", help="the file of the films, as for cold_items.py")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--jobs", type=int, help="members of a vote that are fitted side by side")
    parser.add_argument("--timed", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("ncf_protocol.json"))
    arguments = parser.parse_args()
    if arguments.negatives and not arguments.test:
        parser.error("--negatives belong to the rows of --test")
    return arguments


def parse_option(text):
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def read_training_rows(path, k_core, drop_last):
    """Return the rows of a table, or its training rows where the last ones are test rows."""
    X = datasets.filter_k_core(read_table(path), k_core)
    return LeaveLastOutSplitter(ties="row_order").train_test_split(X)[0] if drop_last else X


def read_table(path):
    if path == "movietweetings":
        return datasets.load_movietweetings()
    if path.endswith(".parquet"):
        return pd.read_parquet(path)[["user", "item", "timestamp", "rating"]]
    if path.endswith((".json", ".json.gz")):
        return datasets.read_amazon_reviews(path)
    if path.endswith(".rating"):
        names = ["user", "item", "rating", "timestamp"]
        return pd.read_csv(path, sep="\t", names=names)
    return datasets.read_movielens(path)


def read_negatives(path, X_test):
    """Return the negatives of each row of X_test, its own item masked: it is not a negative."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    pairs = zip(X_test["user"], X_test["item"], strict=True)
    if [line[0] for line in lines] != [f"({user},{item})" for user, item in pairs]:
        raise ValueError(f"{path} does not have the rows of the test file, in its order.")
    items = np.array([line[1:] for line in lines], dtype=np.int64)
    return np.ma.array(items, mask=items == X_test["item"].to_numpy()[:, None])


def make_recommender(preset, seed, options, n_jobs=None):
    members = [member.partition(":") for member in preset.split("+")]
    if len(members) == 1:
        return make_member(preset, seed, options)
    of_members = {name: value for name, value in options.items() if "__" in name}
    of_networks = {name: value for name, value in options.items() if "__" not in name}
    made = []
    for place, (name, _, _) in enumerate(members):
        of_member = {} if name in BASELINES else of_networks
        # No two networks of all votes have one seed.
        member = make_member(name, seed * len(members) + place, of_member)
        made.append((name if name in BASELINES else f"{name}-{place}", member))
    weights = [float(weight or 1) for _, _, weight in members]
    vote = VotingRecommender(made, weights=weights, n_jobs=n_jobs)
    return vote.set_params(**of_members)


def make_member(preset, seed, options):
    if preset in BASELINES:
        return BASELINES[preset](**options)
    if preset == "ials":
        return IALSRecommender(random_state=seed, **options)
    return make_network(preset, random_state=seed, **options)


def make_network(preset, **options):
    """Return a network with its default parameters, or with those of a preset."""
    if preset in NETWORKS:
        return NETWORKS[preset](**options)
    network = NextItemRecommender if preset.startswith("large") else NeuMFRecommender
    return network.from_preset(preset, **options)


def measure(recommender, X_train, X_test, negatives, at=None):
    """Fit and return both metrics, by both ways to rank, the time, and the speed."""
    start = time.perf_counter()
    recommender.fit(X_train)
    seconds = time.perf_counter() - start
    with warnings.catch_warnings():  # of unknown items: counted once, before
        warnings.simplefilter("ignore", UserWarning)
        if negatives is None:
            sampled = [scorer(n_negatives=99, at=at)(recommender, X_test) for scorer in SCORERS]
        else:
            sampled = rank_among(recommender, X_test, negatives, at)
        exact = [scorer(at=at)(recommender, X_test) for scorer in SCORERS]
    result = dict(
        zip(
            ["HR@10 (99)", "NDCG@10 (99)", "HR@10 (exact)", "NDCG@10 (exact)"],
            [*sampled, *exact],
            strict=True,
        )
    )
    result["seconds"] = seconds
    if isinstance(recommender, NeuMFRecommender | NextItemRecommender):
        fits = {"sgd": 3, "als": 2}.get(getattr(recommender, "pretrain", None), 1)
        samples = len(X_train) * (1 + recommender.n_negatives) * recommender.n_iter_ * fits
        result |= {"epochs": recommender.n_iter_, "samples/s": samples / seconds}
    return result


SCORERS = (hr_scorer, ndcg_scorer)


def rank_among(recommender, X_test, negatives, at):
    """Return HR@10 and NDCG@10 of each row's item among its given negatives."""
    items = np.column_stack([X_test["item"], negatives.data])
    rows = X_test.iloc[np.repeat(np.arange(len(X_test)), items.shape[1])]
    scores = recommender.decision_function(rows.assign(item=items.ravel()), at=at)
    scores = scores.reshape(items.shape)
    # Below all known items, not out of the list: an unknown test item is a miss.
    scores[np.isnan(scores)] = np.nanmin(scores) - 1
    scores[:, 1:][np.ma.getmaskarray(negatives)] = -np.inf
    relevant = np.zeros(items.shape, dtype=bool)
    relevant[:, 0] = True
    return metrics.hit_rate_at_k(relevant, scores), metrics.ndcg_at_k(relevant, scores)


def show(value):
    if isinstance(value, float):
        return f"{value:,.0f}" if value > 100 else f"{value:.4f}"
    return str(value)


if __name__ == "__main__":
    main()
