"""Predict the biases of cold items from those of items with similar features."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import normalize

from neumf.utils.arrays import Float32s, Float64s

# Chosen on MovieTweetings and MovieLens-1M, see benchmarks/quality/README.md.
_GAMMA = 1.5  # of the kernel exp(-gamma |x - y|^2) between features of length 1
_NOISE = 0.3  # added to the diagonal of the kernel

# Maximum number of items that biases are predicted from: the kernel has all pairs of them.
_MOST_ITEMS = 4_000
_BLOCK = 512


def predict_biases(features: sp.csr_array, biases: Float32s, new: sp.csr_array) -> Float64s:
    """Return the biases of items with features `new`, by kernel ridge regression.

    `features` and `biases` of shape (n_items, n_biases) belong to known items, of which an evenly
    spaced sample counts if they are many. Far from all of them, a bias is the mean.
    """
    if len(biases) > _MOST_ITEMS:
        sample = np.linspace(0, len(biases) - 1, _MOST_ITEMS).astype(int)
        features, biases = features[sample], biases[sample]
    mean = biases.mean(axis=0, dtype=np.float64)
    model = KernelRidge(alpha=_NOISE, kernel="rbf", gamma=_GAMMA)
    model.fit(normalize(features), biases - mean)
    blocks = (normalize(new[i : i + _BLOCK]) for i in range(0, new.shape[0], _BLOCK))
    predicted: Float64s = mean + np.vstack([model.predict(block) for block in blocks])
    return predicted
