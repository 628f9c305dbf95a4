"""Learn the weights of several scores from held-out items."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, minimize

from neumf.interactions.seen import bar_seen
from neumf.ranking.top_k import blocks, top_items
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.threads import map_threads

# Items outside the 20 best of every score hardly reach a list of ten. In the softmax, they would
# outweigh the order of the best items by their number.
_N_BEST = 20


def learn_weights(
    score: Callable[[Indices], Iterable[Float64s]],
    users: Indices,
    items: Indices,
    seen: sp.csr_array,
    penalties: Float64s | None = None,
) -> Float64s:
    """Return the weights of scores that make the held-out items most probable.

    `score` returns several arrays for users, each of shape (n_users, n_items). The probability of
    an item is a softmax of the weighted sum, over the 20 best unseen items of each score. Held-out
    items outside these are left out. All weights are 0 if no score helps.

    A weight with a penalty above 0 may be negative. The penalty times its square is subtracted from
    the sum of log-probabilities.
    """

    def candidates_of(block: slice) -> tuple[Indices, Float64s]:
        return _candidates(np.stack(list(score(users[block]))), users[block], items[block], seen)

    found = list(map_threads(candidates_of, blocks(len(users), seen.shape[1])))
    counts = np.concatenate([counts for counts, _ in found])
    differences = np.concatenate([differences for _, differences in found], axis=1)
    starts = np.cumsum(counts) - counts

    if penalties is None:
        penalties = np.zeros(len(differences))
    weights = np.zeros(len(differences))
    if not len(counts):
        return weights
    shrinkages = penalties / len(counts)

    def loss(weights: Float64s) -> tuple[Any, Float64s]:
        logits = weights @ differences  # the held-out item has the logit 0
        highest = np.maximum(np.maximum.reduceat(logits, starts), 0)
        shares = np.exp(logits - np.repeat(highest, counts))
        sums = np.add.reduceat(shares, starts) + np.exp(-highest)
        shares /= np.repeat(sums, counts)
        slopes = differences @ shares / len(counts) + 2 * shrinkages * weights
        return np.mean(np.log(sums) + highest) + shrinkages @ weights**2, slopes

    least = np.where(penalties > 0, -np.inf, 0)
    found_weights: Float64s = minimize(loss, weights, jac=True, bounds=Bounds(least)).x
    return found_weights


def _candidates(
    scores: Float64s, users: Indices, items: Indices, seen: sp.csr_array
) -> tuple[Indices, Float64s]:
    """Return the number of candidates beside each held-out item, and their scores minus its own."""
    queries = np.arange(len(users))
    own = scores[:, queries, items]
    is_candidate = np.zeros(scores.shape[1:], dtype=bool)
    for of_all in scores:
        bar_seen(of_all, seen, users)
        best = top_items(of_all, _N_BEST)
        is_candidate[best[0], best[1]] = True
    is_candidate &= is_candidate[queries, items][:, None]
    is_candidate[queries, items] = False
    rows, columns = np.nonzero(is_candidate)
    counts = is_candidate.sum(axis=1)
    return counts[counts > 0], scores[:, rows, columns] - own[:, rows]
