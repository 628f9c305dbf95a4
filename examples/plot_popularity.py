"""
Popularity and exposure
=======================

Who is in the lists? A recommender may serve users well and yet show only a few films of the
catalogue. Two pictures tell: how much of all lists the most popular films take, and how often each
film is listed against how many users had it.
"""

# %%
# Fit and count
# -------------

import matplotlib.pyplot as plt
import numpy as np

from neumf import (
    EASERecommender,
    LeaveLastOutSplitter,
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
    "EASE": EASERecommender(regularization=1000),
    "sequential rules": SequentialRulesRecommender(),
    "NextItemRecommender": NextItemRecommender(n_factors=64, random_state=0),
}
for model in models.values():
    model.fit(X_train)
popularity = models["popularity"].popularity_
exposure = {
    name: model.recommend(k=10)["item"].value_counts().reindex(model.items_, fill_value=0)
    for name, model in models.items()
}

# %%
# In numbers: the share of the catalogue that is in any list, how unequally films are listed (Gini,
# 0 is equal), and how surprising the listed films are (in bits). Accuracy stands beside them.

metrics = ["ndcg", "coverage", "gini", "novelty"]
results = compare(models, None, X_test, metrics=metrics, k=10)
table = results.to_frame().pivot(index="estimator", columns="metric", values="value")
print(table.round(3)[metrics])

# %%
# Draw
# ----
# Left: films sorted from the most to the least popular. The black line is how much of all ratings
# they have; a recommender whose line is above it gives popular films more room than people did.
# Right: each film of the network, against the same share of room as it has of ratings.

colors = dict(zip(models, ["#5a5a5a", "#007a5a", "#a8477f", "#0072b2"], strict=True))
order = np.argsort(-popularity, kind="stable")
share_of_catalogue = np.arange(1, len(order) + 1) / len(order)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
left.plot(share_of_catalogue, np.cumsum(popularity[order]) / popularity.sum(), "k--", lw=1.5)
left.text(0.42, 0.70, "ratings", ha="left", va="top")
for place, (name, counts) in enumerate(exposure.items()):
    shares = np.cumsum(counts.to_numpy()[order]) / counts.sum()
    left.plot(share_of_catalogue, shares, color=colors[name], lw=2)
    left.text(0.97, 0.30 - 0.075 * place, name, ha="right", color=colors[name])
left.set_title("room for popular films", size="medium")
right.set_title("lists and users of each film", size="medium")
left.set(xlabel="share of the catalogue, most popular first", ylabel="share of all lists")

counts = exposure["NextItemRecommender"].to_numpy()
right.plot(popularity, counts, ".", alpha=0.4, mew=0, color=colors["NextItemRecommender"])
ends = np.array([popularity.min(), popularity.max()])
room = ends * counts.sum() / popularity.sum()
right.plot(ends, room, "k--", lw=1.5)
right.annotate(
    "in proportion", (ends[1], room[1]), (-6, -14), textcoords="offset points", ha="right"
)
right.set_xscale("log")
right.set_yscale("symlog", linthresh=1)
right.set_ylim(bottom=-0.3)
right.set(xlabel="users of the film", ylabel="lists that the film is in")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
