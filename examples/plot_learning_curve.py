"""
When to stop: learning curves
=============================

The training loss falls for as long as one trains. How well held-out films rank does not rise for as
long. With ``early_stopping=True`` the recommender holds out each user's last training row inside
`fit`, measures NDCG@10 after every epoch and keeps the best one.
"""

# %%
# Train
# -----
# Three seeds each, with and without dropout. `n_iter_no_change` is as large as `epochs`, so that
# the curves go on beyond the best epoch.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from neumf import LeaveLastOutSplitter, NextItemRecommender, PopularityRecommender, datasets

X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)

N_EPOCHS = 20
models = {}
for dropout in (0.0, 0.5):
    model = NextItemRecommender(
        n_factors=32,
        dropout=dropout,
        epochs=N_EPOCHS,
        early_stopping=True,
        n_iter_no_change=N_EPOCHS,
    )
    models[dropout] = [clone(model).set_params(random_state=s).fit(X_train) for s in range(3)]
    print(f"dropout {dropout}: best epochs {[m.best_iter_ for m in models[dropout]]}")

# %%
# Draw
# ----
# Thin lines are seeds, thick ones their mean. A dot is the epoch that early stopping keeps. Where
# the thin lines of both colours cross, one seed tells little.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
epochs = np.arange(1, N_EPOCHS + 1)
for (dropout, fitted), color in zip(models.items(), ("#b35900", "#0072b2"), strict=True):
    for ax, key in zip(axes, ("loss", "val_ndcg_at_10"), strict=True):
        curves = np.array([model.history_[key] for model in fitted])
        ax.plot(epochs, curves.T, color=color, lw=0.7, alpha=0.6)
        ax.plot(epochs, curves.mean(axis=0), color=color, lw=2.5, label=f"dropout={dropout}")
    for model in fitted:
        best = model.best_iter_
        axes[1].plot(best, model.history_["val_ndcg_at_10"][best - 1], "o", color=color, ms=7)
for ax, title in zip(axes, ("training loss", "NDCG@10 of held-out rows"), strict=True):
    ax.set_title(title, size="medium")
    ax.set_xlabel("epoch")
axes[0].legend(frameon=False)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Train on all rows
# -----------------
# Early stopping leaves each user's last training row unused, and the newest rows tell the most
# about what comes next. So, once the number of epochs is known, fit again with all of them.
# ``early_stopping="refit"`` does both in one call.

fitted = models[0.5]
n_epochs = round(np.mean([model.best_iter_ for model in fitted]))
again = [clone(m).set_params(early_stopping=False, epochs=n_epochs).fit(X_train) for m in fitted]
for name, some in (("without the last rows", fitted), ("on all rows", again)):
    scores = [model.score(X_test) for model in some]
    print(f"NDCG@10 of the test rows, trained {name}: {np.mean(scores):.3f} ± {np.std(scores):.3f}")
print(f"popularity: {PopularityRecommender().fit(X_train).score(X_test):.3f}")
