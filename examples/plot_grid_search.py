"""
Tune with GridSearchCV
======================

:class:`~sklearn.model_selection.GridSearchCV` searches the number of factors and the penalty.
`LeaveLastOutSplitter` holds out each user's last row, then the row before it. Each held-out film is
ranked among all films that the user has not rated.
"""

# %%
# Keep test rows apart
# --------------------
# The final model is trained on the rows that the search holds out. So each user's very last row is
# kept from the search. It measures the final model.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from sklearn.model_selection import GridSearchCV

from neumf import LeaveLastOutSplitter, NextItemRecommender, datasets, ndcg_scorer

X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)

# %%
# Search
# ------

grid = {"n_factors": [16, 64], "regularization": [0.1, 0.5, 2.0]}
search = GridSearchCV(
    NextItemRecommender(random_state=0),
    grid,
    cv=LeaveLastOutSplitter(n_splits=2),
    scoring=ndcg_scorer(),
)
search.fit(X_train)
print(f"Best: {search.best_params_}, NDCG@10 {search.best_score_:.3f} on the held-out rows.")
print(f"NDCG@10 of the final model on the test rows: {search.score(X_test):.3f}")

# %%
# Measure the noise
# -----------------
# One split can be harder than the other, so subtract the mean of each split. The splits still
# differ in how they order the settings. This difference is the noise of a cell.

scores = np.array([search.cv_results_[f"split{split}_test_score"] for split in (0, 1)])
centred = scores - scores.mean(axis=1, keepdims=True)
noise = np.std(centred[0] - centred[1]) / 2

# %%
# Draw
# ----
# A red frame marks the best cell and each cell within two noises of it. The choice among these
# hardly matters.

means = search.cv_results_["mean_test_score"].reshape(2, 3)
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.imshow(means, cmap="viridis", aspect="auto")
for (row, column), value in np.ndenumerate(means):
    color = "white" if value < (means.min() + means.max()) / 2 else "black"
    ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
    if value > means.max() - 2 * noise:
        frame = (column - 0.45, row - 0.45), 0.9, 0.9
        ax.add_patch(Rectangle(*frame, fill=False, edgecolor="red", lw=3))
ax.set_xticks(range(3), grid["regularization"])
ax.set_yticks(range(2), grid["n_factors"])
ax.set(xlabel="regularization", ylabel="n_factors")
ax.set_title(f"NDCG@10 of six settings, noise ± {noise:.3f}")
plt.show()
