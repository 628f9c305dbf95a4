"""
Why is this film in the list?
=============================

In `NextItemRecommender` the score of a film is a sum over the user's history. `explain` returns the
terms of the sum: how much each film of the history adds to the score of each recommended film.
"""

# %%
# Train
# -----

import matplotlib.pyplot as plt
import numpy as np

from neumf import NextItemRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
model = NextItemRecommender(n_factors=64, random_state=0).fit(X)

# %%
# A list with reasons
# -------------------
# `reason` is the film of the history that adds most to the score.

user = model.users_[20]
films = model.recommend(user, k=5)
terms = model.explain(user, films["item"])
best = terms[terms["rank"] == 1].set_index("item").loc[films["item"]]
films.assign(
    title=titles[films["item"]].to_numpy(),
    reason=titles[best["history_item"]].to_numpy(),
    contribution=best["contribution"].to_numpy(),
).round(2)

# %%
# The score is the sum of the terms, plus the biases in `rest`.

by_film = terms.groupby("item", sort=False)
sums = by_film["contribution"].sum() + by_film["rest"].first()
print("sums:  ", sums.astype(float).round(3).to_list())
print("scores:", films["score"].astype(float).round(3).to_list())

# %%
# Draw
# ----
# Left is the history, with the newest film on top. Right is the list. The wider the line, the more
# the left film adds to the score of the right one. A grey line lowers the score.

history = model.histories_[model.users_.get_loc(user)]
history = model.items_[history[history >= 0][:8]]
left = {item: -place for place, item in enumerate(history)}
right = dict(zip(films["item"], np.linspace(0, 1 - len(history), len(films)), strict=True))
largest = terms["contribution"].abs().max()
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for term in terms[terms["history_item"].isin(history)].itertuples():
    color = "#0072b2" if term.contribution > 0 else "0.6"
    heights = [left[term.history_item], right[term.item]]
    ax.plot([0, 1], heights, color=color, lw=9 * abs(term.contribution) / largest, alpha=0.55)
for places, x, side in ((left, -0.04, "right"), (right, 1.04, "left")):
    for item, height in places.items():
        name = titles[item][:-7]
        name = name if len(name) <= 28 else f"{name[:27]}…"
        ax.text(x, height, name, ha=side, va="center", in_layout=False)
ax.set(xlim=(-1.3, 2.3))
ax.axis("off")
ax.set_title(f"the history of user {user}, and the list")
plt.show()
