"""
Which recommender is best here?
===============================

A network is worth its training if it beats simple methods. Here eight recommenders learn from the
same rows, and each user's last row is held out to measure them. NDCG@10 is 1 if the
held-out film is first in the list, less further down, and 0 below place 10.
"""

# %%
# Fit
# ---
# All settings are fixed before the held-out rows are seen. `NextItemRecommender` and
# `SequentialRulesRecommender` use the order of a user's rows; the others do not. ``"paper-8"`` is
# the network of the paper.

import matplotlib.pyplot as plt

from neumf import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    compare,
    datasets,
)

X = datasets.filter_k_core(datasets.load_movietweetings(), 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)

models = {
    "popularity": PopularityRecommender(),
    "item KNN": ItemKNNRecommender(n_neighbors=500, shrinkage=30),
    "EASE": EASERecommender(regularization=1000),
    "ALS": ALSRecommender(random_state=0),
    "rules": SequentialRulesRecommender(),
    "paper-8": NeuMFRecommender.from_preset("paper-8", random_state=0),
    "NeuMF": NeuMFRecommender(random_state=0),
    "NextItem": NextItemRecommender(random_state=0),
}
for model in models.values():
    model.fit(X_train)

# %%
# Measure
# -------
# `compare` ranks each held-out film among all films ("exact") and among 99 films that the user has
# not rated ("sampled", as in the paper). `difference` is the difference from popularity, and
# `margin` is half of its 95 % confidence interval, corrected for seven comparisons. If a difference
# is larger than its margin, other users would hardly change its sign.

results = compare(models, None, X_test, metrics="ndcg", k=10, n_negatives=99)
print(results)

# %%
# Draw
# ----
# A dot is NDCG@10 among all films. A line is the margin of its difference from popularity.

exact = results.to_frame().query("ranking == 'exact'").sort_values("value")
colors = {"NextItem": "#0072b2", "NeuMF": "#0072b2", "paper-8": "#b35900"}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for row, line in enumerate(exact.itertuples()):
    color = colors.get(line.estimator, "0.4")
    ax.errorbar(line.value, row, xerr=line.margin, fmt="o", color=color, capsize=4, lw=2)
    end = line.value + line.margin, row
    ax.annotate(f"{line.value:.3f}", end, (8, 0), textcoords="offset points", va="center")
ax.set_yticks(range(len(exact)), exact["estimator"])
ax.set_title("NDCG@10 of each user's last film, among all films")
ax.margins(x=0.15)
plt.show()

# %%
# Do all users get the same list?
# -------------------------------
# `coverage` is the share of all films that at least one user is shown. `overlap` is the mean share
# of films that the lists of two users have in common.

lists = compare(models, None, X_test, metrics=["coverage", "overlap"], k=10)
print(lists)
