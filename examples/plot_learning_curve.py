"""
When to stop: learning curves
=============================

The training loss falls for as long as one trains; how well held-out items rank does not rise for
as long. With ``early_stopping=True`` the recommender holds out each user's last training row
inside `fit`, measures NDCG@10 after every epoch and keeps the best one. Dropout moves that point
to later epochs.
"""

# %%
# Train
# -----
# `n_iter_no_change` is large here, so that the curves go on beyond the best epoch.

import matplotlib.pyplot as plt
from sklearn.base import clone

from neumf import LeaveLastOutSplitter, NeuMFRecommender, PopularityRecommender, datasets
from neumf.plotting import LearningCurveDisplay

X = datasets.filter_k_core(datasets.load_movietweetings(), 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)

models = {}
for dropout in (0.0, 0.5):
    model = NeuMFRecommender(
        dropout=dropout, epochs=20, early_stopping=True, n_iter_no_change=20, random_state=0
    )
    models[dropout] = model.fit(X_train)
    print(f"dropout {dropout}: best epoch {model.best_iter_}")

# %%
# Train on all rows
# -----------------
# Early stopping leaves each user's last training row unused, and the newest rows tell the most
# about what comes next. So, once the number of epochs is known, fit again with all of them.

for dropout, model in models.items():
    again = clone(model).set_params(early_stopping=False, epochs=model.best_iter_).fit(X_train)
    print(
        f"dropout {dropout}: NDCG@10 of the test rows {model.score(X_test):.4f}, "
        f"fitted again on all training rows {again.score(X_test):.4f}"
    )
print(f"popularity: {PopularityRecommender().fit(X_train).score(X_test):.4f}")

# %%
# Draw
# ----
# The dot is the epoch that is kept.

display = None
for dropout, model in models.items():
    display = LearningCurveDisplay.from_estimator(
        model, name=f"dropout={dropout}", axes=None if display is None else display.axes_
    )
plt.show()
