r"""How often sampled metrics order two models as the exact one does, raw and corrected.

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
    evaluate,
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


class ScoresAtHand(PopularityRecommender):
    """A fitted recommender whose scores were computed once."""

    def __init__(self, fitted):
        self.users_, self.items_ = fitted.users_, fitted.items_
        self.seen_, self.popularity_ = fitted.seen_, fitted.popularity_
        self.scores = fitted._ranker.score_items(np.arange(len(fitted.users_)))

    @property
    def _ranker(self):
        return self

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
    X_train, X_test = LeaveLastOutSplitter().train_test_split(
        datasets.read_movielens(arguments.path)
    )
    models = {name: ScoresAtHand(model.fit(X_train)) for name, model in MODELS.items()}
    options = {"metrics": "ndcg", "k": 10}
    exact = {name: evaluate(model, X_test, **options)["value"][0] for name, model in models.items()}
    redrawn = {"sampled": [], "corrected": []}
    for seed in range(arguments.redraws):
        tables = {
            name: evaluate(model, X_test, **options, n_negatives=99, random_state=seed)
            for name, model in models.items()
        }
        for ranking, values in redrawn.items():
            values.append(
                {n: t.loc[t["ranking"] == ranking, "value"].item() for n, t in tables.items()}
            )
    redrawn = {ranking: pd.DataFrame(values) for ranking, values in redrawn.items()}
    summary = pd.DataFrame({"exact": exact})
    for ranking, values in redrawn.items():
        summary[f"{ranking}, mean"] = values.mean()
        summary[f"{ranking}, standard deviation"] = values.std()
    print(summary.sort_values("exact").to_string(float_format="{:.4f}".format))
    pairs = [
        (a, b) for a, b in combinations(exact, 2) if abs(exact[a] - exact[b]) > arguments.margin
    ]
    n_pairs = len(exact) * (len(exact) - 1) // 2
    print(f"{len(pairs)} of {n_pairs} pairs differ by more than {arguments.margin}. Right are")
    right = {
        ranking: pd.DataFrame(
            {(a, b): (values[a] > values[b]) == (exact[a] > exact[b]) for a, b in pairs}
        )
        for ranking, values in redrawn.items()
    }
    err = right["sampled"].mean() < 0.5
    for ranking, values in redrawn.items():
        means = values.mean()
        by_mean = pd.Series(
            {(a, b): (means[a] > means[b]) == (exact[a] > exact[b]) for a, b in pairs}
        )
        for label, part in (("all pairs", ~err | err), ("where sampled errs", err)):
            share = right[ranking].loc[:, part].mean().mean()
            print(
                f"{ranking:>9}, {part.sum():3} {label}: {share:.1%} of the redraws, "
                f"{by_mean[part].mean():.1%} by the mean of the redraws"
            )


if __name__ == "__main__":
    main()
