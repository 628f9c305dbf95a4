"""Correct metrics that were measured among sampled negatives (Krichene and Rendle 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import gammaln

from neumf._arrays import Float64s

# Weight of the variance beside the squared bias; the value of the paper's experiments.
_GAMMA = 0.1


def correct_for_sampling(by_rank: Float64s, n_candidates: int, n_negatives: int) -> Float64s:
    """Return what a rank among sampled negatives should count for a metric among all candidates.

    The bias-variance estimator of the paper: among all functions of the sampled rank, the one with
    the least sum, over all exact ranks, of squared bias and (with weight gamma) variance. Unlike
    in the paper the negatives are distinct, so that the sampled rank follows a hypergeometric
    distribution instead of a binomial one.

    Parameters
    ----------
    by_rank : ndarray of shape (k, n_metrics)
        Metrics of a single positive at exact ranks 1 to k; beyond, they are 0.
    n_candidates : int
        Number of candidates of the exact ranking, the positive included.
    n_negatives : int
        Number of sampled negatives, at most ``n_candidates - 1``.

    Returns
    -------
    values : ndarray of shape (n_negatives + 1, n_metrics)
        By the sampled rank, from 1. Some lie outside of [0, 1]; it is their mean that counts.
    """
    chance = _chance_of_sampled_ranks(n_candidates, n_negatives)
    by_rank = by_rank[:n_candidates]
    # With every exact rank as likely as any other, so is every sampled rank.
    second_moment = np.diag(np.full(n_negatives + 1, n_candidates / (n_negatives + 1)))
    squares = (1 - _GAMMA) * (chance.T @ chance) + _GAMMA * second_moment
    wanted = chance[: len(by_rank)].T @ by_rank
    values: Float64s = linalg.solve(squares, wanted, assume_a="pos")
    return values


def _chance_of_sampled_ranks(n_candidates: int, n_negatives: int) -> Float64s:
    """Return P(sampled rank | exact rank), shape (n_candidates, n_negatives + 1)."""
    log_factorial = gammaln(np.arange(1, n_candidates + 1))

    def log_choose(n: NDArray[np.intp], k: NDArray[np.intp]) -> Any:
        left = np.maximum(n - k, 0)
        logs = log_factorial[n] - log_factorial[k] - log_factorial[left]
        return np.where(k <= n, logs, -np.inf)

    above, drawn = np.arange(n_candidates)[:, None], np.arange(n_negatives + 1)
    ways = log_choose(above, drawn) + log_choose(above[::-1], drawn[::-1])
    chance: Float64s = np.exp(ways - log_choose(above[-1:], drawn[-1:]))
    return chance
