"""
Pick three films, get a list
============================

Your browser makes the list from the vectors of a `NextItemRecommender`. It needs no server and no
training. The last pick counts most.

.. raw:: html
   :file: ../_templates/pick_films.html
"""

# %%
# Fit
# ---

import base64
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from neumf import NextItemRecommender, datasets

X, titles = datasets.load_movietweetings(return_titles=True)
X = datasets.filter_k_core(X, 10)
# Its lists come from vectors alone, so no scores of simple methods are added.
model = NextItemRecommender(n_factors=64, add_simple_methods=False, random_state=0).fit(X)

# %%
# Write the vectors as JSON
# -------------------------
# A score is the dot product of a user's vector and a film's vector, plus the bias of the film. A
# user's vector is the weighted sum of vectors for histories. Each row is stored as integers of 16
# bits and one scale. Popular films come first.


def pack(array):
    """Return an array as scales and integers that JSON can hold."""
    scales = np.abs(array).max(axis=1) / 32767
    integers = np.round(array / scales[:, None]).astype("<i2")
    return {
        "scales": scales.astype(float).round(10).tolist(),
        "integers": base64.b64encode(integers.tobytes()).decode(),
    }


network = model.network_
order = np.argsort(-model.popularity_, kind="stable")
vectors, biases = network.item_vectors[order], network.items[order, -1]
page = {
    "titles": titles[model.items_[order]].to_list(),
    "vectors": pack(vectors),
    "history": pack(vectors + network.weights.tables["history"][order]),
    "positions": pack(network.weights.shared["position_weights"][:3]),
    "biases": (biases + network.weights.shared["output_bias"]).astype(float).round(5).tolist(),
}
text = f"const FILMS = {json.dumps(page)};\n"
Path("films.js").write_text(text, encoding="utf-8")
print(f"{len(order):,} films in {len(text) / 1000:.0f} kB")

# %%
# Draw
# ----
# `recommend` returns the list that the page shows for the same three picks. Here are its first six
# films.

picks = [1392170, 1300854, 1951261]
films = model.recommend(interactions=pd.DataFrame({"user": "you", "item": picks}), k=6)
print("picks:", titles[picks].to_list())

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.barh([title[:-7] for title in titles[films["item"]]], films["score"], color="#0072b2")
ax.set_xlabel("score")
ax.set_title("six films for three picks")
ax.invert_yaxis()
plt.show()
