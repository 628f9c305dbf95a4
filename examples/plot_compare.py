"""
Does the network earn its keep?
===============================

A recommender is worth its training only if it beats what costs nothing. Here popularity, item
neighbours, a linear model, least squares and sequential rules stand beside three networks. All are
fitted to the same rows and measured on the same held-out ones.
"""

# %%
# Fit
# ---
# ``"paper-8"`` is the network of the paper: it learns a vector for the id of each user.
# `NeuMFRecommender` solves its larger half by least squares. `NextItemRecommender` makes the vector
# of a user from the last films that they rated. No setting was chosen on the held-out rows.

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
    "item neighbours": ItemKNNRecommender(n_neighbors=500, shrinkage=30),
    "EASE": EASERecommender(regularization=1000),
    "ALS": ALSRecommender(random_state=0),
    "sequential rules": SequentialRulesRecommender(),
    "paper-8": NeuMFRecommender.from_preset("paper-8", random_state=0),
    "NeuMFRecommender()": NeuMFRecommender(random_state=0),
    "NextItemRecommender()": NextItemRecommender(random_state=0),
}
for model in models.values():
    model.fit(X_train)

# %%
# Measure
# -------
# Each user's held-out film is ranked among all films ("exact") and among 99 that the user has not
# rated, as in the paper ("sampled"). The first recommender is the one that the others are held
# against. The difference is paired, user by user: where it is larger than its margin, other users
# would hardly turn it around.

results = compare(models, None, X_test, metrics="ndcg", k=10, n_negatives=99)
print(results)

# %%
# Draw
# ----
# A bar is the 95 % confidence interval of the difference from popularity. Both panels have the same
# order and colours.

order = results[results["ranking"] == "exact"].sort_values("value")["estimator"].to_list()
palette = ["#0072b2", "#b35900", "#007a5a", "#a8477f", "#5a5a5a", "#8a6d00", "#00718f", "#8f3b2e"]
colors = dict(zip(models, palette, strict=True))
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), sharey=True, layout="constrained")
for ax, ranking in zip(axes, ("exact", "sampled"), strict=True):
    rows = results[results["ranking"] == ranking].set_index("estimator")
    baseline = rows.loc["popularity", "value"]
    ax.axvline(baseline, color="0.6", lw=1, ls="--", zorder=0)
    for place, name in enumerate(order):
        value, margin = rows.loc[name, ["value", "margin"]]
        ax.errorbar(value, place, xerr=margin, fmt="o", color=colors[name], capsize=4, lw=2)
        ax.annotate(
            f"{value:.3f}",
            (value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            color=colors[name],
        )
    ax.set_title(f"NDCG@10, {ranking}", size="medium")
    ax.margins(x=0.12, y=0.12)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(len(order)), order)
for label in axes[0].get_yticklabels():
    label.set_color(colors[label.get_text()])
plt.show()

# %%
# Does everybody get the same?
# ----------------------------
# The share of the catalogue that anybody is shown, and how much two users' lists have in common.

lists = compare(models, None, X_test, metrics=["coverage", "overlap"], k=10)
table = lists.to_frame().pivot(index="estimator", columns="metric", values="value")
print(table.round(3).loc[order[::-1]])
