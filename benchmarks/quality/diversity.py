r"""Measure how much NDCG@10 a more diverse list costs: `RerankedRecommender` by `diversity`.

    python benchmarks/quality/diversity.py --train movietweetings --k-core 5 --drop-last --seeds 3
    python benchmarks/quality/diversity.py --train ml-1m/train.parquet

fits `NextItemRecommender()` (or ``--preset als``) with each seed on the validation split of
`ncf_protocol.py`, and re-ranks its lists by item vectors and by genres. For each `diversity`, the
table shows the changes of exact NDCG@10 and of the mean intra-list distance of lists of ten, over
the vectors of the recommender and over genres, in percent of the lists as they are. Changes are
means over seeds, with the standard deviation in brackets. The last column is the share of the
catalogue that is in a list.

``--fitted model.neumf`` reads a recommender that was fitted on the same rows with seed 0 and saved,
instead of a fit.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from item_features import encode, read_items
from ncf_protocol import read_training_rows
from sklearn.frozen import FrozenEstimator

import neumf
from neumf import (
    ALSRecommender,
    LeaveLastOutSplitter,
    NextItemRecommender,
    RerankedRecommender,
    evaluate,
    metrics,
)

MODELS = {"next-item": NextItemRecommender, "als": ALSRecommender}
DIVERSITIES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", message=".*count as misses")
    X = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(X)
    genres = encode(read_items(arguments.train), ["genres"])
    genres = genres[genres.index.isin(X_train["item"])]
    runs = []
    for seed in range(arguments.seeds):
        started = time.perf_counter()
        if arguments.fitted is None:
            model = MODELS[arguments.preset](random_state=seed).fit(X_train)
        else:
            model = neumf.load(arguments.fitted)
        print(f"seed {seed}: {time.perf_counter() - started:.0f} seconds to fit or load")
        runs += [measures | {"seed": seed} for measures in measure(model, X_train, X_test, genres)]
    report(pd.DataFrame(runs))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", required=True)
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--preset", choices=MODELS, default="next-item")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--fitted")
    return parser.parse_args()


def measure(model, X_train, X_test, genres):
    """Yield the figures of the lists as they are, and of each setting."""
    frozen = FrozenEstimator(model)
    by_vectors = RerankedRecommender(frozen).fit(X_train)
    by_genres = RerankedRecommender(frozen, item_features=genres).fit(X_train)
    network = getattr(model, "network_", None)
    vectors = model.item_vectors_ if network is None else network.item_vectors
    spaces = {"vectors": pd.DataFrame(vectors, index=model.items_), "genres": genres}
    users = X_test["user"][X_test["user"].isin(model.users_)]
    for by, reranked in (("vectors", by_vectors), ("genres", by_genres)):
        for diversity in (0, *DIVERSITIES):
            reranked.set_params(diversity=diversity)
            found = evaluate(reranked, X_test, metrics=["ndcg", "coverage"], k=10)
            figures = found.to_frame()["value"]
            lists = reranked.recommend(users, k=10)
            distances = {
                space: metrics.intra_list_distance(lists, table) for space, table in spaces.items()
            }
            yield (
                {"by": by, "diversity": diversity, "ndcg": figures[0]}
                | distances
                | {"coverage": figures[1]}
            )


def report(runs):
    """Print the figures of the lists as they are, and a Markdown table of the changes."""
    columns = ["ndcg", "vectors", "genres"]
    start = runs[runs["diversity"] == 0].set_index(["seed", "by"])[columns]
    print("\nas they are:", start.xs("vectors", level="by").agg(["mean", "std"]).round(4), sep="\n")
    print("\n| by | diversity | NDCG@10 | distance, vectors | distance, genres | coverage |")
    print("|---|---|---|---|---|---|")
    for (by, diversity), part in runs.groupby(["by", "diversity"], sort=False):
        rows = part.set_index(["seed", "by"])[columns]
        changes = rows / start.loc[rows.index] - 1
        cells = [f"{show(100 * changes[column])} %" for column in columns]
        print(f"| {by} | {diversity} | {' | '.join(cells)} | {part['coverage'].mean():.2f} |")


def show(values):
    """Return the mean with a sign and, of several values, the standard deviation."""
    spread = "" if len(values) == 1 else f" ({np.std(values, ddof=1):.1f})"
    return f"{np.mean(values):+.1f}{spread}"


if __name__ == "__main__":
    main()
