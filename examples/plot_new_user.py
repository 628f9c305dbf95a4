"""
A list for a new user
=====================

A new user picks one film after another. `NextItemRecommender` makes a user's vector from their last
items, so each pick changes the list at once, without training. :ref:`Pick your own films
<sphx_glr_gallery_plot_browser.py>`.
"""

# %%
# Train
# -----

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from neumf import NextItemRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
model = NextItemRecommender(n_factors=64, random_state=0).fit(X)

# %%
# One list after each pick
# ------------------------
# `interactions` holds the rows of the new user. `fit` never saw this user.

picks = [1951261, 1446192, 1217209, 2023587]
rows = pd.DataFrame({"user": "new", "item": picks})
lists = [model.recommend(interactions=rows.head(n), k=6)["item"].to_list() for n in (1, 2, 3, 4)]
columns = [f"+ {titles[pick]}" for pick in picks]
pd.DataFrame([titles[films].to_numpy() for films in lists], columns, range(1, 7)).transpose()

# %%
# Draw
# ----
# A blue line follows each film of the last list, a grey line a film that left the list.

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for film in dict.fromkeys(film for films in lists for film in films):
    places = [films.index(film) + 1 if film in films else None for films in lists]
    color = "0.7" if places[-1] is None else "#0072b2"
    ax.plot([1, 2, 3, 4], pd.Series(places, dtype=float), "o-", color=color, lw=2.5, ms=8)
for place, film in enumerate(lists[-1], 1):
    ax.text(4.2, place, titles[film][:-7], va="center")
ax.set(xlim=(0.8, 6.4), ylim=(6.5, 0.5), xlabel="number of picks", ylabel="place")
ax.set_xticks([1, 2, 3, 4])
ax.yaxis.set_major_locator(MaxNLocator(integer=True))
ax.set_title("the list of a new user after each pick")
plt.show()
