r"""How often sampled metrics order two models as the exact one does.

    python benchmarks/sampled_metrics.py movielens ml-100k/u.data

Several models are fitted once to the training rows of leave-last-out. In every redraw each model's
held-out items are ranked among 99 newly drawn negatives; for each pair of models whose exact
NDCG@10 differs by more than a margin, the order is compared with that of the exact metric.
"""

import argparse
import warnings
from itertools import combinations

import numpy as np
import pandas as pd

from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    PopularityRecommender,
    datasets,
    ndcg_scorer,
)

MODELS = {
    "popularity": PopularityRecommender(),
    **{
        f"ItemKNN {n} {shrinkage}": ItemKNNRecommender(n, shrinkage)
        for n in (5, 20, 100, 500)
        for shrinkage in (0, 30)
    },
    **{f"EASE {weight}": EASERecommender(weight) for weight in (1, 10, 100, 1000, 10_000)},
    **{
        f"{architecture} {epochs}": NeuMFRecommender.from_preset(
            "paper-8", architecture=architecture, epochs=epochs, random_state=0
        )
        for architecture in ("gmf", "mlp", "neumf")
        for epochs in (10, 20)
    },
}


class ScoresAtHand:
    """A fitted recommender whose scores were computed once; also its own ranker."""

    def __init__(self, fitted):
        self.users_, self.items_ = fitted.users_, fitted.items_
        self.seen_, self.popularity_ = fitted.seen_, fitted.popularity_
        self.scores = fitted.ranker_.score_items(np.arange(len(fitted.users_)))
        self.ranker_ = self

    def score_items(self, users):
        """Return scores of all items."""
        return self.scores[users]

    def score_candidates(self, users, items):
        """Return scores of candidates."""
        return self.scores[users[:, None], items]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("format", choices=["movielens"])
    parser.add_argument("path")
    parser.add_argument("--redraws", type=int, default=100)
    parser.add_argument("--margin", type=float, default=0.005, help="of exact NDCG@10")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
    X_train, X_test = LeaveLastOutSplitter(ties="row_order").train_test_split(
        datasets.read_movielens(arguments.path)
    )
    models = {name: ScoresAtHand(model.fit(X_train)) for name, model in MODELS.items()}
    exact = {name: ndcg_scorer()(model, X_test) for name, model in models.items()}
    redrawn = []
    for seed in range(arguments.redraws):
        scorer = ndcg_scorer(n_negatives=99, random_state=seed)
        redrawn.append({name: scorer(model, X_test) for name, model in models.items()})
    redrawn = pd.DataFrame(redrawn)
    summary = {"exact": exact, "sampled, mean": redrawn.mean()}
    summary = pd.DataFrame(summary | {"sampled, standard deviation": redrawn.std()})
    print(summary.sort_values("exact").to_string(float_format="{:.4f}".format))
    pairs = [
        (a, b) for a, b in combinations(exact, 2) if abs(exact[a] - exact[b]) > arguments.margin
    ]
    n_pairs = len(exact) * (len(exact) - 1) // 2
    right = pd.DataFrame(
        {(a, b): (redrawn[a] > redrawn[b]) == (exact[a] > exact[b]) for a, b in pairs}
    ).mean()
    print(f"{len(pairs)} of {n_pairs} pairs differ by more than {arguments.margin}. Right are")
    print(f"{right.mean():.1%} of the redraws of all pairs;")
    turned = right[right < 0.5]
    print(f"{turned.mean():.1%} of those of the {len(turned)} pairs that sampling mostly turns")


if __name__ == "__main__":
    main()
