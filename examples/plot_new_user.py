"""
A new user picks five films
===========================

Someone whom the model has never seen picks one film after the other. With
``user_encoder="history"`` a user's vector is made of what they had last, so each pick changes
their list at once: nothing is trained again, and nothing is stored.
"""

# %%
# Train on the embedded ratings, of users and films with at least ten.

import itertools

import matplotlib.pyplot as plt
import pandas as pd

from neumf import LeaveLastOutSplitter, NeuMFRecommender, PopularityRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
model = NeuMFRecommender(random_state=0).fit(X_train)
popularity = PopularityRecommender().fit(X_train)
print(f"NDCG@10 {model.score(X_test):.3f}, popularity {popularity.score(X_test):.3f}")

# %%
# The picks
# ---------
# The rows of the new user are all that `recommend` needs.

picks = [1951261, 1446192, 1217209, 2023587, 1922777]
rows = pd.DataFrame({"user": "someone new", "item": picks})
N_SHOWN = 6

lists = {}
for n_picks in range(1, len(picks) + 1):
    top = model.recommend(interactions=rows.head(n_picks), k=N_SHOWN)
    lists[titles[picks[n_picks - 1]]] = top["item"].to_list()
    print(f"\nAfter {titles[picks[n_picks - 1]]}:")
    for line in top.itertuples():
        print(f"  {line.rank}. {titles[line.item]}")

# %%
# Draw
# ----
# A column per pick, best film on top. A line joins a film to its place in the next list.

figure, ax = plt.subplots(figsize=(13, 5), layout="constrained")
ever = list(dict.fromkeys(item for items in lists.values() for item in items))
colors = {item: plt.get_cmap("tab20")(number % 20) for number, item in enumerate(ever)}
for column, items in enumerate(lists.values()):
    for rank, item in enumerate(items):
        box = {"boxstyle": "round", "facecolor": colors[item], "edgecolor": "none"}
        name = titles[item] if len(titles[item]) < 30 else titles[item][:27] + "..."
        ax.text(column, -rank, name, ha="center", va="center", fontsize=7, bbox=box, zorder=2)
previous = list(lists.values())
for column, (before, after) in enumerate(itertools.pairwise(previous)):
    for item in set(before) & set(after):
        ax.plot(
            [column, column + 1],
            [-before.index(item), -after.index(item)],
            color=colors[item],
            zorder=1,
        )
ax.set(
    xlim=(-0.5, len(lists) - 0.5),
    ylim=(-N_SHOWN + 0.5, 0.5),
    xticks=range(len(lists)),
    yticks=[-rank for rank in range(N_SHOWN)],
    xlabel="picked",
    ylabel="rank",
)
ax.set_xticklabels([f"+ {title}" for title in lists], fontsize=8)
ax.set_yticklabels(range(1, N_SHOWN + 1))
ax.spines[:].set_visible(False)
plt.show()
