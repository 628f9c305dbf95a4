import numpy as np
import pytest
from scipy.stats import hypergeom

from neumf._correction import _GAMMA, _chance_of_sampled_ranks, correct_for_sampling

HIT_IN_5 = np.ones((5, 1))


@pytest.mark.parametrize(("n_candidates", "n_negatives"), [(50, 9), (12, 11), (2, 1), (300, 99)])
def test_sampled_rank_follows_the_hypergeometric_distribution(n_candidates, n_negatives):
    exact_rank = np.arange(1, n_candidates + 1)[:, None]
    sampled_rank = np.arange(1, n_negatives + 2)
    # Of the other candidates, exact_rank - 1 are better; so many of the negatives are.
    expected = hypergeom(n_candidates - 1, exact_rank - 1, n_negatives).pmf(sampled_rank - 1)
    chance = _chance_of_sampled_ranks(n_candidates, n_negatives)
    np.testing.assert_allclose(chance, expected, atol=1e-12)


def objective(values, by_rank, n_candidates, n_negatives):
    """Squared bias and variance of an estimator, summed over the exact ranks."""
    total = 0.0
    for rank in range(1, n_candidates + 1):
        chance = hypergeom(n_candidates - 1, rank - 1, n_negatives).pmf(np.arange(n_negatives + 1))
        mean = chance @ values
        wanted = by_rank[rank - 1] if rank <= len(by_rank) else 0
        total += (mean - wanted) ** 2 + _GAMMA * (chance @ values**2 - mean**2)
    return total


def test_no_estimator_nearby_has_less_bias_and_variance(rng):
    by_rank = 1 / np.log2(np.arange(2, 7))
    best = correct_for_sampling(by_rank[:, None], 40, 9)[:, 0]
    least = objective(best, by_rank, 40, 9)
    for _ in range(20):
        other = best + rng.normal(scale=0.01, size=best.shape)
        assert objective(other, by_rank, 40, 9) > least


@pytest.mark.parametrize("n_candidates", [3, 5, 20])
def test_with_all_negatives_sampled_the_metric_is_exact(n_candidates):
    values = correct_for_sampling(HIT_IN_5, n_candidates, n_candidates - 1)
    np.testing.assert_allclose(values[:, 0], np.arange(n_candidates) < 5, atol=1e-12)


def test_estimate_is_far_closer_than_the_sampled_metric(rng):
    # 20 of 1,000 users have the positive at rank 1 to 5 of 500, the others beyond.
    ranks = np.concatenate([np.repeat(np.arange(1, 6), 4), rng.integers(6, 501, 980)])
    exact = np.mean(ranks <= 5)
    values = correct_for_sampling(HIT_IN_5, 500, 99)[:, 0]
    sampled, corrected = [], []
    for _ in range(50):
        sampled_rank = rng.hypergeometric(ranks - 1, 500 - ranks, 99)  # from 0
        sampled.append(np.mean(sampled_rank < 5))
        corrected.append(np.mean(values[sampled_rank]))
    assert abs(np.mean(corrected) - exact) < 0.2 * abs(np.mean(sampled) - exact)
