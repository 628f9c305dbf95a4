"""
Accuracy against the time of a fit
==================================

NDCG@10 of each user's held-out film among all films, against the seconds of a fit on two cores.
Blue are the two networks of this library, with their default settings. Green are its simple
methods, with the settings that are best on this table. Orange is what one would use otherwise: the
paper's network by plain Keras, least squares by `implicit`, and a transformer (SASRec) by RecTools.
"""

# %%
# `benchmarks/quality/accuracy_and_time.py` fitted each model in a process of its own, on a
# validation split of MovieTweetings. The time includes the import of TensorFlow or PyTorch. A dot
# is the mean of three seeds; SASRec has one.

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

# From the folder of this script.
run = json.loads(Path("../benchmarks/quality/results/accuracy_and_time.json").read_text())
results = pd.DataFrame(run["results"])
means = results.groupby("model", sort=False)[["ndcg", "seconds"]].mean()

others = ["paper-8, plain Keras", "ALS of implicit", "SASRec"]
networks = ["paper-8", "NeuMFRecommender()", "NextItemRecommender()"]
below = [
    "EASE",
    "ALS of implicit",
    "paper-8, plain Keras",
]  # where the label would cover another dot
figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
for name, (ndcg, seconds) in means.iterrows():
    color = "#b35900" if name in others else "#0072b2" if name in networks else "#007a5a"
    ax.plot(seconds, ndcg, "o", ms=9, color=color)
    ax.annotate(
        f"{name}  {ndcg:.3f}",
        (seconds, ndcg),
        xytext=(0, -20 if name in below else 9),
        textcoords="offset points",
        ha="right" if seconds > 100 else "center",
        color=color,
    )
ax.set(xscale="log", xlabel="seconds of a fit, on two cores", ylabel="NDCG@10 among all films")
ax.xaxis.set_major_formatter("{x:g}")
ax.margins(x=0.12, y=0.12)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# As a table
# ----------
# The standard deviation is over seeds.

results.groupby("model", sort=False)[["hr", "ndcg", "seconds"]].agg(["mean", "std"]).round(3)
