r"""Compare `NextItemRecommender()` with tuned simple methods on a table, whole, thinned and cut.

    python benchmarks/quality/never_behind.py --name MovieTweetings --train movietweetings \
        --k-core 5 --drop-last --seeds 3
    python benchmarks/quality/never_behind.py --report never-behind-*.json

The variants of a table are

- "whole": the validation split of `ncf_protocol.py`;
- "2 an item", "5 an item", "10 an item": a random sample with this mean number of rows an item;
- "at most 5 an item", "at most 10 an item": at most this number of random rows of each
  item, which makes all items about equally popular;
- "baskets": the rows of a user in runs of five with one timestamp each. The last basket is held
  out, and each of its items is a positive.

The simple methods are tuned with the grids of `opponents.py` and chosen on the rows they are
measured on, which favours them. All figures are the exact NDCG@10; those of the networks are means
over seeds. "alone" is the network with ``add_simple_methods=False``. The margin is half the width
of the 95 % interval of the difference between the first seed and the best simple method.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from ncf_protocol import read_training_rows
from opponents import GRIDS, LARGE, make
from sklearn.model_selection import ParameterGrid

from neumf import (
    LeaveLastBasketOutSplitter,
    LeaveLastOutSplitter,
    NextItemRecommender,
    compare,
    ndcg_scorer,
)

METHODS = ["rules", "als", "ease", "ease, decay", "itemknn", "itemknn, decay"]
METHODS += ["popularity, of late"]
VARIANTS = ["whole", "2 an item", "5 an item", "10 an item", "at most 5 an item"]
VARIANTS += ["at most 10 an item", "baskets"]


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", category=UserWarning)
    if arguments.report:
        report([json.loads(path.read_text()) for path in arguments.report])
        return
    rows = read_training_rows(arguments.train, arguments.k_core, arguments.drop_last)
    path = Path(f"never-behind-{arguments.name}.json")
    table = {"name": arguments.name, "results": {}}
    if path.exists():
        table = json.loads(path.read_text())
    for variant in arguments.variants:
        split = make_split(rows.reset_index(drop=True), variant)
        if split is None:
            continue
        result = measure(*split, arguments.seeds)
        print(variant, result, flush=True)
        table["results"][variant] = result
        path.write_text(json.dumps(table, indent=2))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="table")
    parser.add_argument("--train", help="as for ncf_protocol.py")
    parser.add_argument("--k-core", type=int, default=1)
    parser.add_argument("--drop-last", action="store_true")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--report", nargs="+", type=Path)
    return parser.parse_args()


def make_split(rows, variant):
    """Return training and held-out rows of a variant; None if the table has too few rows."""
    if variant == "baskets":
        return LeaveLastBasketOutSplitter().train_test_split(into_baskets(rows))
    if variant != "whole":
        n = int(variant.split()[-3])
        order = np.random.default_rng(0).permutation(len(rows))
        if variant.startswith("at most"):
            shuffled = rows.iloc[order]
            kept = shuffled.index[shuffled.groupby("item").cumcount() < n]
        else:
            kept = order[: n * rows["item"].nunique()]
        if len(kept) == len(rows):
            return None
        rows = rows.loc[np.sort(kept)]
    return LeaveLastOutSplitter(ties="row_order").train_test_split(rows)


def into_baskets(rows, size=5):
    """Give each run of `size` rows of a user one timestamp, a day after the run before."""
    rows = rows.sort_values(["user", "timestamp"], kind="stable", ignore_index=True)
    of_user = rows.groupby("user")
    day = of_user.cumcount() // size
    return rows.assign(timestamp=of_user["timestamp"].transform("min") + 86_400.0 * day)


def measure(X_train, X_test, n_seeds):
    grids = LARGE if len(X_train) >= 900_000 else GRIDS
    tuned = {name: tune(name, grids[name], X_train, X_test) for name in METHODS}
    best = max(tuned, key=lambda name: tuned[name]["NDCG@10"])
    result = {"rows": len(X_train), "held out": len(X_test), "methods": tuned, "best": best}
    for name, adds in (("default", True), ("alone", False)):
        result[name] = []
        for seed in range(n_seeds):
            model = NextItemRecommender(add_simple_methods=adds, random_state=seed).fit(X_train)
            result[name].append(ndcg_scorer()(model, X_test))
            if adds and seed == 0:
                opponent = make(best, tuned[best]["setting"]).fit(X_train)
                result["margin"] = margin(opponent, model, X_test)
    return result


def tune(name, grid, X_train, X_test):
    """Return the best setting of a grid, and its NDCG@10."""
    settings = list(ParameterGrid(grid))
    scores = [ndcg_scorer()(make(name, setting).fit(X_train), X_test) for setting in settings]
    return {"setting": settings[int(np.argmax(scores))], "NDCG@10": max(scores)}


def margin(opponent, model, X_test):
    """Return half the width of the 95 % interval of the paired difference in NDCG@10."""
    models = {"opponent": opponent, "model": model}
    table = compare(models, None, X_test, metrics="ndcg", k=10).to_frame()
    return float(table["margin"].iloc[-1])


def report(tables):
    """Print a Markdown table of the results."""
    print("| | rows | best simple method | | alone | default | ratio | margin, % |")
    print("|---|---|---|---|---|---|---|---|")
    for table in tables:
        for variant, result in table["results"].items():
            best = result["methods"][result["best"]]["NDCG@10"]
            alone, default = (np.mean(result[name]) for name in ("alone", "default"))
            spread = np.std(result["default"], ddof=1)
            print(
                f"| {table['name']}, {variant} | {result['rows']:,} | {result['best']} | "
                f"{best:.4f} | {alone:.4f} | {default:.4f} ({spread:.4f}) | {default / best:.2f} | "
                f"{100 * result['margin'] / best:.0f} |"
            )


if __name__ == "__main__":
    main()
