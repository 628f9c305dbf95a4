"""
A new user picks films
======================

Someone whom the model has never seen picks one film after the other. `NextItemRecommender` makes a
user's vector from their last items, so each pick changes the list at once: nothing is trained
again, and nothing is stored.
"""

# %%
# Train
# -----
# On the embedded ratings, of users and films with at least ten.

import itertools

import matplotlib.pyplot as plt
import pandas as pd

from neumf import LeaveLastOutSplitter, NextItemRecommender, PopularityRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
model = NextItemRecommender(n_factors=64, random_state=0).fit(X_train)
popularity = PopularityRecommender().fit(X_train)
print(f"NDCG@10 {model.score(X_test):.3f}, popularity {popularity.score(X_test):.3f}")

# %%
# The picks
# ---------
# The rows of the new user are all that `recommend` needs.

picks = [1951261, 1446192, 1217209, 2023587]
rows = pd.DataFrame({"user": -1, "item": picks})
N_SHOWN = 6

lists = []
for n_picks in range(1, len(picks) + 1):
    top = model.recommend(interactions=rows.head(n_picks), k=N_SHOWN)
    lists.append(top["item"].to_list())

pd.DataFrame(
    {
        f"+ {titles[pick]}": [titles[item] for item in top]
        for pick, top in zip(picks, lists, strict=True)
    },
    index=range(1, N_SHOWN + 1),
)

# %%
# Draw
# ----
# A column is the list after one more pick, the best film on top. A line joins a film to its place
# in the next list: blue where it rose, orange where it fell. A frame marks what came in new.


def shorten(title, length=24):
    """Return a title without its year, cut where it is long."""
    name = title[:-7]
    return name if len(name) <= length else name[: length - 1] + "…"


figure, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
for column, (before, after) in enumerate(itertools.pairwise(lists)):
    for item in set(before) & set(after):
        start, end = before.index(item), after.index(item)
        color = "#0072b2" if end < start else "#b35900" if end > start else "0.7"
        ax.plot([column + 0.38, column + 0.62], [-start, -end], color=color, lw=2)
for column, items in enumerate(lists):
    new = set(items) - set(lists[column - 1]) if column else set()
    for rank, item in enumerate(items):
        edge = "black" if item in new else "none"
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#eceff3", "edgecolor": edge}
        text = shorten(titles[item])
        ax.text(column, -rank, text, ha="center", va="center", size=8, color="black", bbox=box)
ax.set(xlim=(-0.5, len(lists) - 0.5), ylim=(-N_SHOWN + 0.4, 0.6))
ax.set_xticks(range(len(lists)), [f"+ {shorten(titles[pick])}" for pick in picks])
ax.set_yticks([-rank for rank in range(N_SHOWN)], range(1, N_SHOWN + 1))
ax.set_ylabel("place in the list")
ax.set_title("the list after each pick", size="medium")
ax.tick_params(length=0)
ax.xaxis.tick_top()
ax.spines[:].set_visible(False)
plt.show()
