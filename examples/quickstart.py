"""
Quickstart: hold out last items, train, measure, recommend
==========================================================

Reads a table of interactions, holds out each user's last one, fits strong simple recommenders and
networks, and prints how well each finds the held-out item, then a few recommendations.

Without an argument it takes the embedded MovieTweetings ratings; with one, your own file::

    python examples/quickstart.py
    python examples/quickstart.py reviews_Musical_Instruments_5.json.gz    # Amazon reviews
    python examples/quickstart.py ml-100k/u.data                           # MovieLens
    python examples/quickstart.py Data/ml-1m.train.rating                  # files of the paper
"""

# %%
# The data
# --------
# Every reader returns the columns user, item, timestamp and rating. The embedded table is cut to
# users and films with at least five ratings; a file of yours is taken as it is.

import sys
import time
import warnings
from pathlib import Path

import pandas as pd

from neumf import (
    ALSRecommender,
    EASERecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    datasets,
    hr_scorer,
    ndcg_scorer,
)


def load(path):
    """Return training rows, test rows and, where they are known, titles of the items."""
    titles = None
    if path is None:
        X, titles = datasets.load_movietweetings(return_titles=True)
        X = datasets.filter_k_core(X, 5)
    elif ".train.rating" in path:
        ncf = datasets.read_ncf(path.removesuffix(".train.rating"))
        return ncf.train, ncf.test, None
    elif {".json", ".jsonl"} & set(Path(path).suffixes):
        X = datasets.read_amazon_reviews(path)
    else:
        X = datasets.read_movielens(path)
    # If a user's last rows have equal timestamps, the last in the file is held out.
    return *LeaveLastOutSplitter(ties="row_order").train_test_split(X), titles


X_train, X_test, titles = load(sys.argv[1] if len(sys.argv) > 1 else None)
print(
    f"{len(X_train):,} interactions to train on, {X_train['user'].nunique():,} users, "
    f"{X_train['item'].nunique():,} items; {len(X_test):,} interactions held out."
)
unknown = ~X_test["item"].isin(X_train["item"])
if unknown.any():
    print(f"{unknown.sum()} held-out items are in no training row; they count as misses.")

# %%
# Train and measure
# -----------------
# Each user's held-out item is ranked among 99 items the user never had (the protocol of the
# paper), and among all of them (exact, what a user would see). The first four take seconds: a
# network is worth its training only if it finds more. "paper-8", the network trained as in the
# paper, does not. `NeuMFRecommender()` solves the larger half of that network by least squares.
# "rules" and `NextItemRecommender` read the order of a user's rows, which tells most about what
# comes next. No setting was chosen on the held-out rows.

recommenders = {
    "popularity": PopularityRecommender(),
    "EASE": EASERecommender(),
    "ALS": ALSRecommender(random_state=0),
    "rules": SequentialRulesRecommender(),
    "paper-8": NeuMFRecommender.from_preset("paper-8", random_state=0),
    "NeuMFRecommender()": NeuMFRecommender(random_state=0),
    "NextItemRecommender()": NextItemRecommender(random_state=0),
}
scorers = {
    "HR@10 (99)": hr_scorer(k=10, n_negatives=99),
    "NDCG@10 (99)": ndcg_scorer(k=10, n_negatives=99),
    "HR@10 (exact)": hr_scorer(k=10),
    "NDCG@10 (exact)": ndcg_scorer(k=10),
}

# Each scorer warns of unknown items; they are counted above.
warnings.filterwarnings("ignore", message=".*count as misses")
rows = {}
for name, recommender in recommenders.items():
    start = time.perf_counter()
    recommender.fit(X_train)
    seconds = time.perf_counter() - start
    rows[name] = {label: scorer(recommender, X_test) for label, scorer in scorers.items()}
    rows[name]["fit (s)"] = seconds

table = pd.DataFrame(rows).T
print()
print(table.to_string(float_format="{:.3f}".format, formatters={"fit (s)": "{:.1f}".format}))

# %%
# Recommend
# ---------
# Ten items that each user has not had, best first.

users = X_test["user"].unique()[:3]
top = recommenders["NextItemRecommender()"].recommend(users, k=10)
for user, lines in top.groupby("user", sort=False):
    print(f"\nFor user {user}:")
    for line in lines.itertuples():
        label = line.item if titles is None else titles.get(line.item, line.item)
        print(f"  {line.rank:2d}. {label}")
