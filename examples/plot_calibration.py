"""
Are the probabilities right?
============================

`predict` of `NeuMFRecommender` returns a probability. If 100 pairs of a user and a film have the
probability 0.3, about 30 of them should be held-out rows. Each held-out row stands among four
films that the user never rated.
"""

# %%
# Fit
# ---
# `fit` learns the probabilities on one row of each user that it keeps from training. The rows in
# `X_test` are never used.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve

from neumf import LeaveLastOutSplitter, NegativeSampler, NeuMFRecommender, datasets

X = datasets.filter_k_core(datasets.load_movietweetings(), 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
model = NeuMFRecommender(random_state=0).fit(X_train)

# %%
# Positives and negatives
# -----------------------
# The sampler knows all rows, so no negative is a film that the user rated. Films without a
# training row are left out.

known = X_test.loc[X_test["item"].isin(model.items_), ["user", "item"]]
sampler = NegativeSampler(n_negatives=4, random_state=0).fit(pd.concat([X_train, known]))
negatives = known.loc[known.index.repeat(4)].assign(item=np.ravel(sampler.transform(known)))
pairs = pd.concat([known, negatives])
labels = np.repeat([1, 0], [len(known), len(negatives)])

# %%
# Draw
# ----
# On the dashed line, the probability equals the share of held-out rows. A sigmoid of the score
# orders the pairs in the same way, but its probabilities are too high.

scores = model.decision_function(pairs)
figure, ax = plt.subplots(figsize=(6, 4.2), layout="constrained")
ax.plot([0, 1], [0, 1], "--", color="0.5")
for name, probabilities, color, place in (
    ("predict", model.predict(pairs), "#0072b2", (0.4, 0.65)),
    ("sigmoid", 1 / (1 + np.exp(-scores)), "#b35900", (0.84, 0.25)),
):
    share, mean = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    ax.plot(mean, share, "o-", color=color)
    ax.text(*place, name, color=color, ha="center")
ax.set(xlabel="probability", ylabel="held-out rows", xlim=(0, 1), ylim=(0, 1))
ax.set_title("share of held-out rows at each probability")
plt.show()
