"""
Who gets what, and why
======================

A list is easier to judge with its reasons beside it. In `NextItemRecommender` the score of a film
is a sum over the user's history, and `explain` returns its terms: how much each film that the user
had adds to the score of each film that is recommended.
"""

# %%
# Train
# -----

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from neumf import NextItemRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
model = NextItemRecommender(n_factors=64, random_state=0).fit(X)

# %%
# Lists with reasons
# ------------------
# For each film of three users' lists: what the user had that speaks most for it. Share is the
# part that this film has of all that speaks for it.

rows = []
for user in model.users_[[10, 20, 30]]:
    films = model.recommend(user, k=4)
    reasons = model.explain(user, films["item"])
    positive = reasons[reasons["contribution"] > 0]
    total = positive.groupby("item")["contribution"].sum()
    best = positive[positive["rank"] == 1].set_index("item")
    for film in films.itertuples():
        reason = best.loc[film.item]
        rows.append(
            {
                "user": user,
                "place": film.rank,
                "film": titles[film.item],
                "because of": titles[reason["history_item"]],
                "share": reason["contribution"] / total[film.item],
            }
        )
pd.DataFrame(rows).round(2)

# %%
# The terms add up to the score, with what does not depend on the history: the biases.

user = model.users_[20]
films = model.recommend(user, k=5)
reasons = model.explain(user, films["item"])
sums = reasons.groupby("item", sort=False)["contribution"].sum()
rest = reasons.groupby("item", sort=False)["rest"].first()
print("sum of the terms:", (sums + rest).astype(float).round(3).to_list())
print("score in the list:", films["score"].astype(float).round(3).to_list())

# %%
# Draw
# ----
# On the left what the user had, the newest film on top, on the right what the user gets. A line is
# as thick as what the one adds to the other; grey ones speak against it.


def shorten(title, length=34):
    """Return a title, cut where it is long, with its year."""
    return title if len(title) <= length else f"{title[: length - 8]}… {title[-6:]}"


history = model.histories_[model.users_.get_loc(user)]
history = model.items_[history[history >= 0][:10]]
left = {item: -place for place, item in enumerate(history)}
right = dict(zip(films["item"], np.linspace(0, 1 - len(history), len(films)), strict=True))
largest = reasons["contribution"].abs().max()
figure, ax = plt.subplots(figsize=(9, 4.8), layout="constrained")
for term in reasons.itertuples():
    if term.history_item in left:
        color = "#0072b2" if term.contribution > 0 else "0.6"
        width = max(0.3, 9 * abs(term.contribution) / largest)
        ends = [left[term.history_item], right[term.item]]
        ax.plot([0, 1], ends, color=color, lw=width, alpha=0.55, solid_capstyle="round")
for item, height in left.items():
    ax.text(-0.03, height, shorten(titles[item]), ha="right", va="center", size=9)
for item, height in right.items():
    ax.text(1.03, height, shorten(titles[item]), ha="left", va="center", size=9)
ax.text(-0.03, 0.9, f"user {user} had", ha="right", weight="bold")
ax.text(1.03, 0.9, "and gets", ha="left", weight="bold")
ax.set(xlim=(-1.1, 2.1), ylim=(-len(history) + 0.5, 1.3))
ax.axis("off")
ax.set_title("what speaks for each film of a list", size="medium")
plt.show()
