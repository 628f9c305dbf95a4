r"""Measure how well recommenders find items that training had no interaction of.

    python benchmarks/quality/cold_items.py --train ml-1m.parquet --items ml-1m/items.tsv \
        --model random content-knn next-item --draws 3
    python benchmarks/quality/cold_items.py --train movietweetings --k-core 5 --drop-last \
        --model random content-knn next-item --draws 3

hides all rows of a tenth of the items, drawn at random, trains on the others, and ranks the hidden
rows' items among the hidden items that the user has not seen, and among the whole catalogue. The
seeds of the draws are 0, 1, ..., which the networks train with too. ``--after 0.6`` hides new items
instead: it trains on the oldest 60 % of the rows, and ranks the later rows of the items without a
row among them.

The features of an item are its genres (a column each), the words of its title (by TF-IDF, words of
two titles or more) and the decade of its year; ``--features`` chooses among them.

``--model`` takes "random" (all items alike, whose figures are the mean over random orders),
"content-knn", and the networks of `ncf_protocol.py`: "next-item", "neumf" and presets. ``--set``
changes their parameters. Without ``--items``, the features come from the embedded
MovieTweetings, or from the file of films beside the ratings of MovieLens.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from item_features import FEATURES, encode, read_items
from ncf_protocol import make_network, parse_option, read_training_rows, show

from neumf import (
    ColdItemSplitter,
    ContentKNNRecommender,
    hr_scorer,
    ndcg_scorer,
)


class AllAlikeRecommender(ContentKNNRecommender):
    """Scores all items alike: ties are averaged over, which gives the figures of chance."""

    @property
    def ranker_(self):
        """The ranker."""
        return self

    def score_items(self, users):
        """Return scores of shape (len(users), n_items)."""
        return np.zeros((len(users), len(self.items_)))

    def score_candidates(self, users, items):
        """Return scores of the shape of items."""
        return np.zeros(items.shape)


def main():
    arguments = parse_arguments()
    X = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    items = read_items(arguments.train, arguments.items)
    items = items[items.index.isin(X["item"])]
    features = encode(items, arguments.features)
    print(f"{len(X):,} rows, {len(items):,} items with {features.shape[1]:,} features", flush=True)
    results = []
    for draw in range(arguments.draws):
        X_train, X_test = hide(X, draw, arguments)
        for model in arguments.model:
            recommender = make_recommender(model, features, draw, dict(arguments.set))
            result = {"model": model, "draw": draw} | measure(recommender, X_train, X_test)
            print("  ".join(f"{name} {show(value)}" for name, value in result.items()), flush=True)
            results.append(result)
    summary = pd.DataFrame(results).groupby("model", sort=False).agg(["mean", "std"])
    print(summary.drop(columns="draw").T.to_string(float_format=show))
    options = {name: str(value) for name, value in vars(arguments).items()}
    arguments.json.write_text(json.dumps({"options": options, "results": results}, indent=2))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True, help="as for ncf_protocol.py")
    parser.add_argument(
        "--items", help="a MovieLens file of films, or a .tsv with a header whose first column is "
        "the item, with the columns title (and year) and genres (joined by '|')"
    )  # fmt: skip
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--model", nargs="+", default=["random", "content-knn"])
    parser.add_argument("--features", nargs="+", default=FEATURES, choices=FEATURES)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1, help="of the items that is hidden")
    parser.add_argument("--after", type=float, help="share of the rows that is trained on")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", type=parse_option)
    parser.add_argument("--json", type=Path, default=Path("cold_items.json"))
    return parser.parse_args()


def hide(X, draw, arguments):
    """Return training rows and the rows of items that are hidden from them."""
    if arguments.after is None:
        splitter = ColdItemSplitter(1, test_size=arguments.share, random_state=draw)
        return splitter.train_test_split(X)
    is_old = X["timestamp"] < X["timestamp"].quantile(arguments.after)
    return X[is_old], X[~is_old & ~X["item"].isin(X["item"][is_old])]


def make_recommender(model, features, seed, options):
    if model == "random":
        return AllAlikeRecommender(features)
    if model == "content-knn":
        return ContentKNNRecommender(features, **options)
    return make_network(model, **{"item_features": features, "random_state": seed} | options)


def measure(recommender, X_train, X_test):
    """Fit and return both metrics among the hidden items and among all, and the time."""
    start = time.perf_counter()
    recommender.fit(X_train)
    result = {}
    with warnings.catch_warnings():  # of users without a training row, who are misses for all
        warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
        for among, candidates in (("hidden", X_test["item"].unique()), ("all", None)):
            for name, scorer in (("HR@10", hr_scorer), ("NDCG@10", ndcg_scorer)):
                value = scorer(candidates=candidates)(recommender, X_test)
                result[f"{name} ({among})"] = value
    return result | {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    main()
