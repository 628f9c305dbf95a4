"""
Which films do the lists show?
==============================

A recommender can be accurate and still show only a few films. This example compares how often each
film is recommended with how many users rated it.
"""

# %%
# Fit and count
# -------------
# `exposure` is the number of lists of ten that each film is in.

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
    "rules": SequentialRulesRecommender(),
    "NextItem": NextItemRecommender(n_factors=64, random_state=0),
}
exposure = {}
for name, model in models.items():
    lists = model.fit(X_train).recommend(k=10)
    exposure[name] = lists["item"].value_counts().reindex(model.items_, fill_value=0).to_numpy()

# %%
# Measure
# -------
# `coverage` is the share of films in at least one list. `gini` is 0 if all films are in the same
# number of lists, and near 1 if a few films fill all lists. `novelty` is high for films that few
# users rated (in bits).

metrics = ["ndcg", "coverage", "gini", "novelty"]
results = compare(models, None, X_test, metrics=metrics, k=10)
print(results)

# %%
# Draw
# ----
# Left: films are sorted by popularity. A line above the dashed one shows popular films more often
# than people rate them. Right: a dot is a film in the lists of `NextItemRecommender`. Above the
# dashed line, the film has a larger share of the lists than of the ratings.

popularity = models["popularity"].popularity_
order = np.argsort(-popularity, kind="stable")
shares = np.arange(1, len(order) + 1) / len(order)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(shares, np.cumsum(popularity[order]) / popularity.sum(), "k--", lw=1.5)
colors = ["#5a5a5a", "#007a5a", "#a8477f", "#0072b2"]
for row, ((name, counts), color) in enumerate(zip(exposure.items(), colors, strict=True)):
    left.plot(shares, np.cumsum(counts[order]) / counts.sum(), color=color, lw=2.5)
    left.text(0.98, 0.38 - 0.12 * row, name, ha="right", color=color)
left.set(xlabel="share of films, most popular first", ylabel="share of lists")
left.set_title("space that popular films take")

counts = exposure["NextItem"]
right.plot(popularity, counts, ".", alpha=0.4, mew=0, color=colors[-1])
ends = np.array([popularity.min(), popularity.max()])
right.plot(ends, ends * counts.sum() / popularity.sum(), "k--", lw=1.5)
right.set_xscale("log")
right.set_yscale("symlog", linthresh=1)
right.set_ylim(bottom=-0.3)
right.set(xlabel="users who rated the film", ylabel="lists with the film")
right.set_title("lists and users of each film")
plt.show()
