r"""Tune the simple opponents on one table's validation split, and show the best of each.

    python benchmarks/quality/opponents.py --name ML-100K --train ml-100k/u.data --drop-last
    python benchmarks/quality/opponents.py --name MovieTweetings --train movietweetings --k-core 5 \
        --drop-last
    python benchmarks/quality/opponents.py --report opponents-ML-100K.json ...

Each opponent is fitted with every setting of its grid (`GRIDS`, printed with the results; the
smaller `LARGE` for a million rows or more) on the training rows without each user's last one, and
chosen by exact NDCG@10 of that one. The best is fitted again for its figures: exact and among 99
items that the user has no row of, seconds of `fit`, and the size of the pickled recommender. They
are chosen and measured on the same rows, as the settings of the networks are.

With ``--shuffled 5``, the order of rows says nothing: rows are put in random order without their
times, and each user's last one is held out, five times. Settings are chosen on the first of these
splits, which favours what is tuned, and the figures are means over all.

Results go into a JSON file, where those of other opponents stay as they are; ``--report`` writes
the Markdown table of several files.
"""

import argparse
import json
import pickle
import time
import warnings
from pathlib import Path

import numpy as np
from ncf_protocol import BASELINES, IALSRecommender, measure, read_training_rows
from sklearn.model_selection import ParameterGrid

from neumf import LeaveLastOutSplitter, NeuMFRecommender, ndcg_scorer

RECOMMENDERS = BASELINES | {"ials": IALSRecommender, "neumf": NeuMFRecommender}

GRIDS = {
    "popularity": [{}],
    "popularity, of late": [{"half_life": [1000, 10_000, 30_000, "3D", "30D", "365D"]}],
    "itemknn": [{"n_neighbors": [100, 300], "shrinkage": [0, 30, 100]}],
    "itemknn, decay": [{"shrinkage": [0, 30, 100], "decay": [2, 5, 10]}],
    "ease": [{"regularization": [50, 150, 500, 1500]}],
    "ease, decay": [{"regularization": [150, 500], "decay": [2, 4, 8, 12, "7D", "30D"]}],
    "rules": [{"shrinkage": [10, 20, 50], "decay": [5, 8, "30D", "365D"]}],
    "ials": [{"factors": [64, 192], "regularization": [30, 100, 300], "alpha": [16, 32, 64]}],
    "als": [{"regularization": [0.05, 0.1, 0.2], "recency": [0.5, 1.0, 1.5], "random_state": [0]}],
}

LARGE = {
    "popularity": [{}],
    "popularity, of late": [{"half_life": [100_000, "30D"]}],
    "itemknn": [{"n_neighbors": [100, 300]}],
    "itemknn, decay": [{"decay": [2, 5]}],
    "ease": [{"regularization": [150, 500]}],
    "ease, decay": [{"regularization": [500], "decay": [4, 8]}],
    "rules": [{"shrinkage": [50], "decay": [3, 5]}],
    "ials": [{"factors": [64, 192], "regularization": [30, 100], "alpha": [4, 10]}],
    "als": [{"regularization": [0.05, 0.1, 0.2], "recency": [1.0, 1.5], "random_state": [0]}],
}

SHUFFLED = {
    "popularity": [{}],
    "itemknn": [{"n_neighbors": [20, 100, 300], "shrinkage": [0, 30, 100]}],
    "ease": [{"regularization": [50, 150, 500, 1500]}],
    "ials": [
        {
            "factors": [64, 128, 256],
            "regularization": [3, 10, 30, 100, 300],
            "alpha": [4, 16, 32, 64],
        }
    ],
    "als": [{"regularization": [0.05, 0.1, 0.2], "recency": [0], "random_state": [0]}],
    "als, as it is": [{"recency": [0], "random_state": [0]}],
    "neumf": [{"recency": [0], "random_state": [0]}],
    "neumf, gmf": [{"architecture": ["gmf"], "recency": [0], "random_state": [0]}],
}


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
    if arguments.report:
        report([json.loads(path.read_text()) for path in arguments.report])
        return
    rows = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    splits = [split(rows, seed) for seed in range(arguments.shuffled)] or [split(rows)]
    X_train = splits[0][0]
    grids = LARGE if len(X_train) >= 900_000 else GRIDS
    if arguments.shuffled:
        grids = SHUFFLED
    path = arguments.json or Path(f"opponents-{arguments.name}.json")
    table = {"name": arguments.name, "n_rows": len(X_train), "n_items": X_train["item"].nunique()}
    table["results"] = json.loads(path.read_text())["results"] if path.exists() else {}
    for name in arguments.opponents or grids:
        result = search(name, grids[name], splits)
        print(f"{name}: {result}", flush=True)
        table["results"][name] = result
        path.write_text(json.dumps(table, indent=2))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="table")
    parser.add_argument("--train", help="as for ncf_protocol.py")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--shuffled", type=int, default=0, metavar="SPLITS")
    parser.add_argument(
        "--opponents", nargs="+", choices=list(GRIDS | SHUFFLED), help="by default all"
    )
    parser.add_argument("--json", type=Path, help="by default opponents-NAME.json")
    parser.add_argument("--report", nargs="+", type=Path)
    arguments = parser.parse_args()
    if not arguments.train and not arguments.report:
        parser.error("one of --train and --report is needed")
    return arguments


def split(rows, seed=None):
    """Hold out each user's last row; with a seed, the last one in random order."""
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(rows))
        rows = rows[["user", "item"]].iloc[order].reset_index(drop=True)
    return LeaveLastOutSplitter(ties="row_order").train_test_split(rows)


def make(name, parameters):
    return RECOMMENDERS[name.split(",")[0]](**parameters)


def search(name, grid, splits):
    """Return the best setting with its figures, and how many were tried in what time."""
    X_train, X_held_out = splits[0]
    start = time.perf_counter()
    settings = list(ParameterGrid(grid))
    scores = [
        ndcg_scorer()(make(name, setting).fit(X_train), X_held_out) if len(settings) > 1 else 0.0
        for setting in settings
    ]
    best = settings[scores.index(max(scores))]
    seconds = time.perf_counter() - start
    recommender = make(name, best)
    runs = [measure(recommender, *split, None) for split in splits]
    figures = {figure: float(np.mean([run[figure] for run in runs])) for figure in runs[0]}
    exact = [run["NDCG@10 (exact)"] for run in runs]
    size = len(pickle.dumps(recommender)) / 1e6
    result = {"setting": best, "grid": grid, "search": seconds, "MB": size, "exact": exact}
    return result | figures


def report(tables):
    """Print a Markdown table of the results, and the grids."""
    figures = ["HR@10 (99)", "NDCG@10 (99)", "HR@10 (exact)", "NDCG@10 (exact)"]
    print("| data | opponent | setting | " + " | ".join(figures) + " | fit, s | MB |")
    print("|" + "---|" * (len(figures) + 5))
    for table in tables:
        for name, result in table["results"].items():
            setting = ", ".join(f"{key}={value!r}" for key, value in result["setting"].items())
            values = " | ".join(f"{result[figure]:.3f}" for figure in figures)
            print(
                f"| {table['name']} | {name} | {setting} | {values} | {result['seconds']:.2f} | "
                f"{result['MB']:.1f} |"
            )
    for table in tables:
        print(f"\nGrids of {table['name']} ({table['n_rows']:,} rows, {table['n_items']:,} items):")
        for name, result in table["results"].items():
            print(f"- {name}: {result['grid']}, {result['search']:.0f} s")


if __name__ == "__main__":
    main()
