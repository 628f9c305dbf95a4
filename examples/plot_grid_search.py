"""
Tune with GridSearchCV, and see the noise
=========================================

The number of factors and the penalty are parameters like any other. A plain
:class:`~sklearn.model_selection.GridSearchCV` searches them, with leave-last-out as the
cross-validation. Two splits hold out each user's last and last but one interaction, each ranked
among all films that the user had not rated.
"""

# %%
# The held-out rows of the search are training rows of the final model. Each user's very last
# interaction is kept apart from the search, for one honest measurement at the end.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from sklearn.model_selection import GridSearchCV

from neumf import LeaveLastOutSplitter, NextItemRecommender, datasets, ndcg_scorer

X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
print(f"{len(X_train):,} interactions of {X_train['user'].nunique()} users to search on.")

# %%
# Search
# ------

grid = {"n_factors": [8, 32, 64], "regularization": [0.1, 0.5, 2.0]}
search = GridSearchCV(
    NextItemRecommender(random_state=0),
    grid,
    cv=LeaveLastOutSplitter(n_splits=2),
    scoring=ndcg_scorer(),
)
search.fit(X_train)
print(f"Best: {search.best_params_}, NDCG@10 {search.best_score_:.3f} on the held-out rows.")
print(f"NDCG@10 of the model on the rows kept apart: {search.score(X_test):.3f}")

# %%
# How large is the noise?
# -----------------------
# The two splits are not equally hard, so their plain difference says little. Subtract the mean of
# each split; the rest shows how differently the splits order the settings: that is the noise of a
# cell.

scores = np.array([search.cv_results_[f"split{split}_test_score"] for split in (0, 1)])
centred = scores - scores.mean(axis=1, keepdims=True)
noise = np.std(centred[0] - centred[1]) / 2
print(f"noise of a mean over two splits: {noise:.3f}")

# %%
# Draw
# ----
# A frame is around each cell that is within two noises of the best one: among these the choice
# hardly matters.

shape = [len(values) for values in grid.values()]
means = search.cv_results_["mean_test_score"].reshape(shape)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
image = ax.imshow(means, cmap="viridis", aspect="auto")
middle = (means.min() + means.max()) / 2
for (row, column), value in np.ndenumerate(means):
    color = "white" if value < middle else "black"
    ax.text(column, row, f"{value:.3f}\n± {noise:.3f}", ha="center", va="center", color=color)
    if value > means.max() - 2 * noise:
        frame = (column - 0.46, row - 0.46), 0.92, 0.92
        ax.add_patch(Rectangle(*frame, fill=False, edgecolor="red", lw=2))
ax.set_xticks(range(shape[1]), grid["regularization"])
ax.set_yticks(range(shape[0]), grid["n_factors"])
ax.set(xlabel="regularization", ylabel="n_factors")
ax.set_title("NDCG@10 by factors and penalty", size="medium")
figure.colorbar(image, label="NDCG@10, mean of two splits")
plt.show()
