"""
What a model has learned of films
=================================

The model has no genre, no year and no actor of a film. It knows who rated what, and in which order.
Films whose vectors point the same way are then films that the same people rate, at the same time.
Here the vectors are drawn in two dimensions.
"""

# %%
# Train
# -----

import matplotlib.pyplot as plt
import numpy as np
from sklearn.manifold import TSNE

from neumf import NextItemRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
model = NextItemRecommender(n_factors=64, random_state=0).fit(X)
print(f"{len(X):,} ratings of {len(model.items_):,} films by {len(model.users_):,} users")

# %%
# From 64 dimensions to two
# -------------------------
# The 300 films with the most ratings, and the cosines of their vectors: t-SNE keeps near what is
# near. Distances across the picture mean little.

shown = np.argsort(-model.popularity_, kind="stable")[:300]
vectors = model.network_.item_vectors[shown]
vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
places = TSNE(perplexity=15, metric="cosine", init="random", random_state=0).fit_transform(vectors)
names = titles[model.items_[shown]]
years = names.str[-5:-1].astype(int).to_numpy()

# %%
# Draw
# ----
# The colour is the year of release, which the model has never seen. Old films, which people rate
# when they have time for them, lie apart from what was in the cinema.

figure, ax = plt.subplots(figsize=(8, 6.5), layout="constrained")
dots = ax.scatter(*places.T, c=years.clip(1990), s=28, cmap="viridis", edgecolor="0.3", lw=0.3)
figure.colorbar(dots, label="year of release (1990: or earlier)")
named = []
for place, name in zip(places, names, strict=True):
    # A name stands where no other is near.
    if all(abs(place - other) @ [0.35, 1] > 6.5 for other in named):
        named.append(place)
        ax.annotate(name[:-7], place, xytext=(4, 4), textcoords="offset points", size=7)
ax.set(xticks=[], yticks=[])
ax.set_title("films by what the model knows of them", size="medium")
ax.margins(x=0.12)
plt.show()

# %%
# Neighbours by name
# ------------------
# `similar_items` has the same cosines as a table.

similar = model.similar_items(model.items_[shown[:3]], k=4)
similar.assign(
    film=titles[similar["item"]].to_numpy(), near=titles[similar["similar_item"]].to_numpy()
)[["film", "near", "score"]].round(2)
