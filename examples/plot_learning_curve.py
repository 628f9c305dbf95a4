"""
When to stop training
=====================

The training loss falls with every epoch, but the lists stop improving after some epochs. With
``early_stopping=True`` the recommender holds out each user's last row, measures NDCG@10 after every
epoch and keeps the best epoch.
"""

# %%
# Train
# -----
# Three seeds each, with and without dropout. `n_iter_no_change` equals `epochs`, so the curves
# continue after the best epoch.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.base import clone

from neumf import LeaveLastOutSplitter, NextItemRecommender, datasets

X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)

models = {}
for dropout in (0.0, 0.5):
    model = NextItemRecommender(
        n_factors=32, dropout=dropout, epochs=20, early_stopping=True, n_iter_no_change=20
    )
    models[dropout] = [clone(model).set_params(random_state=s).fit(X_train) for s in range(3)]

# %%
# Draw
# ----
# A thin line is one seed, a thick line is the mean. A dot is the epoch that early stopping keeps.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
keys = {"val_ndcg_at_10": "NDCG@10 of held-out rows", "loss": "training loss"}
epochs = np.arange(1, 21)
for (dropout, fitted), color, height in zip(
    models.items(), ("#b35900", "#0072b2"), (0.05, 0.2), strict=True
):
    for ax, key in zip(axes, keys, strict=True):
        curves = np.array([model.history_[key] for model in fitted])
        ax.plot(epochs, curves.T, color=color, lw=0.7, alpha=0.6)
        ax.plot(epochs, curves.mean(axis=0), color=color, lw=2.5)
        ax.set(title=keys[key], xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for model in fitted:
        best = model.best_iter_
        axes[0].plot(best, model.history_["val_ndcg_at_10"][best - 1], "o", color=color, ms=7)
    label = f"dropout {dropout}"
    axes[0].text(0.97, height, label, color=color, ha="right", transform=axes[0].transAxes)
plt.show()

# %%
# Train again on all rows
# -----------------------
# Early stopping does not train on each user's last row, which says most about the next one. So fit
# again on all rows, for the best number of epochs. ``early_stopping="refit"`` does both.

fitted = models[0.5]
n_epochs = round(np.mean([model.best_iter_ for model in fitted]))
again = [clone(m).set_params(early_stopping=False, epochs=n_epochs).fit(X_train) for m in fitted]
for name, some in (("without the last rows", fitted), ("on all rows", again)):
    scores = [model.score(X_test) for model in some]
    print(f"trained {name}: NDCG@10 {np.mean(scores):.3f} ± {np.std(scores):.3f} on the test rows")
