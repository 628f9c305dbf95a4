"""
A map of the films
==================

The model does not know the genre or the year of a film. It knows who rated which films, and in
which order. If the same people rate two films at about the same time, the vectors of these films
point in similar directions. The picture draws the vectors in two dimensions.
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

# %%
# From 64 dimensions to two
# -------------------------
# t-SNE places films with similar vectors near each other. It gets the 300 films with the most
# ratings. Large distances in the picture mean little.

shown = np.argsort(-model.popularity_, kind="stable")[:300]
vectors = model.network_.item_vectors[shown]
tsne = TSNE(perplexity=15, metric="cosine", init="random", random_state=0)
places = tsne.fit_transform(vectors)
places = (places - places.min(axis=0)) / np.ptp(places, axis=0)
films = titles[model.items_[shown]]

# %%
# Draw
# ----
# The colour is the year of release, which the model does not know. A title stands to the right of
# its film, where it covers neither a film nor another title.

figure, ax = plt.subplots(figsize=(8, 6), layout="constrained")
years = films.str[-5:-1].astype(int).clip(1990)
dots = ax.scatter(*places.T, c=years, s=36, cmap="viridis", edgecolor="0.3", lw=0.3)
figure.colorbar(dots, label="year of release (1990: or earlier)")
taken = places.copy()
for place, film in zip(places, films, strict=True):
    name = film[:-7]
    # About the size of the title, in parts of the axes.
    width, height = 0.013 * len(name), 0.018
    right, up = (taken - place).T
    if not np.any((right > 0) & (right < width + 0.03) & (np.abs(up) < height)):
        ax.annotate(name, place, (7, 0), textcoords="offset points", va="center", size=10)
        taken = np.vstack([taken, place + np.outer(np.linspace(0.02, width, 9), [1, 0])])
ax.set(xticks=[], yticks=[], xlim=(-0.03, 1.25))
ax.set_title("the 300 films with the most ratings")
plt.show()

# %%
# Similar films as a table
# ------------------------
# `similar_items` returns the cosines of the same vectors.

similar = model.similar_items(model.items_[shown[:3]], k=4)
similar.assign(
    item=titles[similar["item"]].to_numpy(),
    similar_item=titles[similar["similar_item"]].to_numpy(),
).round(2)
