"""
Accuracy against diversity
==========================

Lists of ten similar films waste space. `RerankedRecommender` makes them more diverse, at some cost
of accuracy. This example shows the cost of each setting of `diversity`.
"""

# %%
# Fit once
# --------
# A `FrozenEstimator` is not fitted again, so that both ways to compare films share one model. Films
# are alike if they share genres, or if the model gives them similar vectors.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from neumf import ALSRecommender, LeaveLastOutSplitter, RerankedRecommender, datasets
from neumf.metrics import intra_list_distance

X, films = datasets.load_movietweetings(return_items=True)
X_train, X_test = LeaveLastOutSplitter().train_test_split(datasets.filter_k_core(X, 10))
genres = films["genres"].str.get_dummies("|")
als = ALSRecommender(random_state=0).fit(X_train)
vectors = pd.DataFrame(als.item_vectors_, index=als.items_)

by_genres = RerankedRecommender(FrozenEstimator(als), item_features=genres).fit(X_train)
by_vectors = RerankedRecommender(FrozenEstimator(als)).fit(X_train)

# %%
# Measure
# -------
# `diversity` needs no new `fit`. The distance between two films is one minus the cosine of the
# angle between their genres, or between their vectors.

settings = [0, 0.1, 0.2, 0.3, 0.4, 0.6]
rows = []
for name, model, table in [
    ("genres", by_genres, genres),
    ("item vectors", by_vectors, vectors),
]:
    for diversity in settings:
        model.set_params(diversity=diversity)
        distance = intra_list_distance(model.recommend(k=10), table)
        rows.append((name, diversity, model.score(X_test), distance))
results = pd.DataFrame(rows, columns=["compared by", "diversity", "NDCG@10", "distance"])
print(results.round(3).to_string(index=False))

# %%
# Draw
# ----
# Each dot is a setting of `diversity`. Up to 0.2, lists are more diverse at almost no cost.

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for ax, (name, part) in zip(axes, results.groupby("compared by", sort=False), strict=True):
    gains = 100 * (part["distance"] / part["distance"].iloc[0] - 1)
    ax.axhline(part["NDCG@10"].iloc[0], color="k", ls=":", lw=1)
    ax.plot(gains, part["NDCG@10"], "o-", color="#0072b2", lw=2)
    for gain, ndcg, diversity in zip(gains, part["NDCG@10"], part["diversity"], strict=True):
        ax.annotate(f"{diversity:g}", (gain, ndcg), xytext=(5, 5), textcoords="offset points")
    ax.set(title=f"compared by {name}", xlabel="more distance within lists, in percent")
    ax.margins(x=0.1, y=0.12)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("NDCG@10 of lists of ten")
plt.show()

# %%
# One user's list
# ---------------
# The list as it is, and with `diversity=0.4` by genres.

user = X_test["user"].iloc[0]
by_genres.set_params(diversity=0.4)
lists = {"as it is": als.recommend(user), "diverse": by_genres.recommend(user)}
shown = {name: films.loc[part["item"], ["title", "genres"]] for name, part in lists.items()}
for name, part in shown.items():
    print(f"{name}\n{part.to_string(index=False)}\n")
print("films in both lists:", np.intersect1d(*(part.index for part in shown.values())).size)
