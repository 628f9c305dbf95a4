"""
Tune with GridSearchCV
======================

The number of factors and the penalty are parameters like any other: a plain
:class:`~sklearn.model_selection.GridSearchCV` searches them, through a pipeline, with
leave-last-out as the cross-validation. Two splits hold out each user's last and last but one
interaction, each ranked among all films that the user had not rated.
"""

# %%
# The held-out rows of the search are training rows of the final model. Each user's very last
# interaction is kept apart from the search, for one honest measurement at the end.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from neumf import (
    IdEncoder,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    datasets,
    hr_scorer,
    ndcg_scorer,
)

X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
print(f"{len(X_train):,} interactions of {X_train['user'].nunique()} users to search on.")

# %%
# The encoder must let unknown ids pass: a film may be in the held-out rows alone. The scorers
# count it as a miss.

pipeline = Pipeline(
    [
        ("ids", IdEncoder(handle_unknown="use_encoded_value")),
        ("neumf", NeuMFRecommender(random_state=0)),
    ]
)
search = GridSearchCV(
    pipeline,
    {"neumf__n_factors": [16, 64, 128], "neumf__regularization": [0.1, 0.5, 2.0]},
    cv=LeaveLastOutSplitter(n_splits=2),
    scoring={"hr": hr_scorer(), "ndcg": ndcg_scorer()},
    refit="ndcg",
)
search.fit(X_train)
print(f"Best: {search.best_params_}, NDCG@10 {search.best_score_:.4f} on the held-out rows.")
print(f"NDCG@10 of the refitted pipeline on the rows kept apart: {search.score(X_test):.4f}")

# %%
# The grid, the mean of both splits in each cell. Where neighbours differ by less than the splits
# do, the choice hardly matters.

results = pd.DataFrame(search.cv_results_)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, metric, title in zip(axes, ("hr", "ndcg"), ("HR@10", "NDCG@10"), strict=True):
    grid = results.pivot_table(
        index="param_neumf__n_factors",
        columns="param_neumf__regularization",
        values=f"mean_test_{metric}",
    ).astype(float)
    spread = results[f"std_test_{metric}"].mean()
    image = ax.imshow(grid, cmap="viridis")
    for row, column in ((i, j) for i in range(3) for j in range(3)):
        value = grid.iloc[row, column]
        dark = value < grid.to_numpy().mean()
        ax.text(column, row, f"{value:.3f}", ha="center", va="center", color="wk"[not dark])
    ax.set_xticks(range(3), grid.columns)
    ax.set_yticks(range(3), grid.index)
    ax.set_xlabel("regularization")
    ax.set_ylabel("n_factors")
    ax.set_title(f"{title}, exact (spread between splits {spread:.3f})")
plt.show()
