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
from matplotlib.colors import LinearSegmentedColormap
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
films = titles[model.items_[shown]]

# %%
# Draw
# ----
# The colour is the year of release, which the model does not know. A film has a title where the
# title covers neither a dot nor another title.

figure, ax = plt.subplots(figsize=(8, 6), layout="constrained")
years = films.str[-5:-1].astype(int).clip(1990)
colors = LinearSegmentedColormap.from_list("years", ["#b35900", "#909090", "#0072b2"])
dots = ax.scatter(*places.T, c=years, s=36, cmap=colors)
figure.colorbar(dots, label="year of release (1990: or earlier)")
ax.set_title("the 300 films with the most ratings")
ax.axis("off")
figure.draw_without_rendering()
pixels, boxes = ax.transData.transform(places), []
for place, film in zip(places, films, strict=True):
    title = ax.annotate(film[:-7], place, (8, 0), textcoords="offset points", va="center")
    title.set_in_layout(False)
    box = title.get_window_extent().padded(6)
    if box.count_contains(pixels) or box.count_overlaps(boxes) or box.x1 > ax.bbox.x1:
        title.remove()
    else:
        boxes.append(box)
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
