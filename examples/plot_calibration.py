"""
Is a probability a probability?
===============================

`predict` of `NeuMFRecommender` says how often a pair with such a score is a row that really came,
where each such row stands among four items that the user never had. Here held-out rows check it,
with scikit-learn's `CalibrationDisplay`.
"""

# %%
# Fit
# ---
# The probabilities are learned inside `fit`, on a row of each user that the halves of the network
# were not fitted to. Of the rows in `X_test` nothing is known.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibrationDisplay

from neumf import LeaveLastOutSplitter, NegativeSampler, NeuMFRecommender, datasets

X = datasets.filter_k_core(datasets.load_movietweetings(), 10)
X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
model = NeuMFRecommender(random_state=0).fit(X_train)

# %%
# Positives and negatives
# -----------------------
# The sampler saw all rows, so that none of its negatives is a film that the user rated later.
# Films that nobody rated before are left out.

known = X_test[X_test["item"].isin(model.items_)]
sampler = NegativeSampler(n_negatives=4, random_state=0).fit(pd.concat([X_train, known]))
drawn = np.asarray(sampler.transform(known[["user", "item"]]))
users = np.repeat(known["user"].to_numpy(), 4)
pairs = pd.concat([known[["user", "item"]], pd.DataFrame({"user": users, "item": drawn.ravel()})])
labels = np.repeat([1, 0], [len(known), drawn.size])

# %%
# Draw
# ----
# On the diagonal, the probability is the share of pairs that really came. The sigmoid of the logit
# orders pairs alike, and is too sure.

logits = model.decision_function(pairs)
figure, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
for name, values, color in (
    ("predict", model.predict(pairs), "#0072b2"),
    ("sigmoid of the logit", 1 / (1 + np.exp(-logits)), "#b35900"),
):
    CalibrationDisplay.from_predictions(
        labels, values, n_bins=10, strategy="quantile", name=name, ax=ax, color=color
    )
ax.set(xlabel="probability", ylabel="share that came")
ax.spines[["top", "right"]].set_visible(False)
plt.show()
