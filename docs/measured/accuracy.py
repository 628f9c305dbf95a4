"""
Figures: accuracy on three tables
=================================

The accuracy of recommenders with their default settings, drawn from the files that the benchmark
writes. Each file holds the command, the machine, the versions and every seed. More tables, tuned
opponents and single parameters are in
`the benchmarks <https://github.com/scikit-neumf/scikit-neumf/blob/main/benchmarks/quality/README.md>`_.
"""

# %%
# Read
# ----
# Each user's last row is the test row and is not used. The row before it is held out, and the
# figures are about that one.

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

FOLDER = Path("../../benchmarks/quality/results")  # from the folder of this script
NAMES = {
    "musical-instruments": "Amazon Musical Instruments",
    "movietweetings": "MovieTweetings, 5-core",
    "movielens-100k": "MovieLens-100K",
}
runs = {title: json.loads((FOLDER / f"{name}.json").read_text()) for name, title in NAMES.items()}
# The files are older than the two models: their "default" is NextItemRecommender().
LABELS = {"default": "NextItemRecommender()", "itemknn": "item neighbours", "ease": "EASE"}
results = pd.concat({title: pd.DataFrame(run["results"]) for title, run in runs.items()})
results["recommender"] = results["preset"].replace(LABELS)

# %%
# Draw
# ----
# A dot is a fit. Networks have three seeds; what has no seed has one dot. Recommenders are sorted
# by NDCG@10 among all items, in the mean of the tables.

METRICS = ["NDCG@10 (exact)", "NDCG@10 (99)"]
order = results.groupby("recommender")[METRICS[0]].mean().sort_values().index
colors = dict.fromkeys(order, "#5a5a5a")
colors |= {"NextItemRecommender()": "#0072b2", "paper-8": "#b35900"}
figure, axes = plt.subplots(
    len(runs), len(METRICS), figsize=(9, 8.5), sharey=True, layout="constrained"
)
for row, title in zip(axes, runs, strict=True):
    for ax, metric in zip(row, METRICS, strict=True):
        for place, name in enumerate(order):
            fits = results.loc[title].query("recommender == @name")[metric]
            ax.plot(fits, [place] * len(fits), "o", color=colors[name], alpha=0.6, mew=0)
            ax.annotate(
                f"{fits.mean():.3f}",
                (fits.max(), place),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                color=colors[name],
            )
        ax.set_title(f"{title}: {metric}", size="medium")
        ax.set_yticks(range(len(order)), order)
        ax.margins(x=0.15, y=0.1)
        ax.grid(axis="y", color="0.9")
        ax.spines[["top", "right", "left"]].set_visible(False)
plt.show()

# %%
# As a table
# ----------
# Mean over seeds.

pd.concat(
    {
        title: results.loc[title].groupby("recommender")[METRICS].mean().round(3).loc[order[::-1]]
        for title in runs
    },
    axis=1,
)

# %%
# How to do the same again
# ------------------------
# `default` in a command is `next-item` today.

for title, run in runs.items():
    about = run["run"]
    print(f"{title}\n  {about['command']}\n  {about['machine']}")
    print(f"  {about['training rows']:,} training rows, {about['held-out rows']:,} held out")
    print("  " + ", ".join(f"{name} {version}" for name, version in about["versions"].items()))
