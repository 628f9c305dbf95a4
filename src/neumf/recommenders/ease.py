"""A linear model that predicts each item from the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import linalg

from neumf.interactions.encoded_rows import EncodedRows
from neumf.recommenders._item_weights import ItemWeightsRecommender
from neumf.utils.validation import check_real


class EASERecommender(ItemWeightsRecommender):
    r"""Predict each item from the others by a linear model, solved in closed form.

    .. versionadded:: 0.1

    Parameters
    ----------
    regularization : float, default=500.0
        Weight of the squared L2 norm of the item weights.
    decay : float, duration or None, default=None
        How fast the items of a user lose weight, see :class:`ItemKNNRecommender`.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_
        See :class:`neumf.base.BaseRecommender`.
    item_weights_ : ndarray of shape (n_items, n_items)
        The matrix B of Notes, 0 on the diagonal.
    user_items_ : UserItems or None
        See :class:`ItemKNNRecommender`.

    See Also
    --------
    ItemKNNRecommender : Takes less memory, for larger catalogues.

    Notes
    -----
    With the binary matrix X of users and items, B minimises

    .. math:: \lVert X - X B \rVert_F^2 + \mathrm{regularization} \cdot \lVert B \rVert_F^2

    with zeros on the diagonal of B. The solution is :math:`B_{ij} = -P_{ij} / P_{jj}`, where
    :math:`P = (X^\top X + \mathrm{regularization} \cdot I)^{-1}`. Time grows with the cube and
    memory with the square of the number of items: 20,000 items take about 10 GB.

    `decision_function` returns X B, about 1 for an item that the user surely likes. `decay` does
    not change B. It replaces the ones in a user's row of X by the weights of
    :class:`ItemKNNRecommender`.

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data, WWW,
    doi 10.1145/3308558.3313710.

    Examples
    --------
    >>> from neumf import EASERecommender
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3], ["f", 3]]
    >>> EASERecommender(regularization=1.0).fit(X).recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    """

    def __init__(self, regularization: float = 500.0, *, decay: Any = None) -> None:
        self.regularization = regularization
        self.decay = decay

    def _check_parameters(self) -> None:
        check_real("regularization", self.regularization, above=0)

    def _learn(self, rows: EncodedRows) -> dict[str, Any]:
        _require_memory(rows.shape[1])
        counts = rows.seen.astype(np.float64)
        gram = (counts.T @ counts).toarray()  # number of users in common
        gram[np.diag_indices_from(gram)] += self.regularization
        inverse = linalg.inv(gram, overwrite_a=True)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        return {"item_weights_": weights}


def _require_memory(n_items: int) -> None:
    """Raise if three matrices of all pairs of items do not fit into the free memory."""
    needed, memory = 3 * 8 * n_items**2, _free_memory()  # `fit` holds three at once
    if needed > memory:
        raise MemoryError(
            f"X must have fewer items: EASERecommender solves for all pairs of items at once. "
            f"Received {n_items:,} items, which need {needed / 1e9:,.0f} GB of memory; "
            f"{memory / 1e9:,.0f} GB are free. Use ItemKNNRecommender, which needs less memory, or "
            "keep fewer items."
        )


def _free_memory() -> float:
    """Return the free memory in bytes, the total memory outside Linux, or infinity."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        sizes = dict(line.split(":") for line in lines)
        return 1024.0 * int(sizes["MemAvailable"].removesuffix("kB"))
    except (OSError, ValueError, KeyError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return np.inf
