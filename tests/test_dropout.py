import numpy as np
import pytest
from scipy.stats import kstest

from neumf.model.layers import NeuMFLayers
from neumf.training.dropout import make_dropout, make_noise
from neumf.training.runtime import import_tensorflow


def test_noise_is_uniform_and_differs_between_seeds():
    tf = import_tensorflow()
    seeds = [(1, 2), (1, 3), (2, 2)]
    noise = [np.asarray(make_noise(tf, 100_000, tf.constant(seed))) for seed in seeds]
    assert all(part.min() >= 0 and part.max() < 1 for part in noise)
    assert all(kstest(part, "uniform").pvalue > 1e-4 for part in noise)
    lagged = [*noise, noise[0][1:], noise[0][2:], noise[0][64:]]
    correlations = np.corrcoef([part[:99_000] for part in lagged])
    np.testing.assert_allclose(correlations, np.eye(6), atol=0.02)


def test_dropout_sets_a_share_to_zero_and_scales_the_rest():
    tf = import_tensorflow()
    noise = tf.random.stateless_uniform((200_000,), (1, 2))
    dropout = make_dropout(tf, tf.constant(0.25), noise)
    first, second = dropout(tf.ones((100, 1000))), dropout(tf.ones((100, 1000)))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert np.mean(np.equal(first, 0)) == pytest.approx(0.25, abs=0.01)
    assert np.mean(np.equal(first, second)) == pytest.approx(0.75**2 + 0.25**2, abs=0.01)


def test_dropout_keeps_the_mean_of_the_logits(rng):
    # With GMF alone the logit is linear in what is dropped, so the mean over masks is the logit.
    tf = import_tensorflow()
    layers, n = NeuMFLayers(4, 0, ()), 100_000
    shared = layers.initial_shared(rng)
    user, item = (rng.normal(size=4).astype(np.float32) for _ in range(2))
    logit = layers.logits(np, shared, user[None], item[None, None])[0, 0]
    users, items = (
        tf.constant(np.tile(v, shape)) for v, shape in [(user, (n, 1)), (item, (n, 1, 1))]
    )
    noise = tf.random.stateless_uniform((4 * n,), (1, 2))
    dropout = make_dropout(tf, tf.constant(0.25), noise)
    masked = np.asarray(layers.logits(tf, shared, users, items, dropout))
    assert masked.std() > 0.01
    assert masked.mean() == pytest.approx(logit, abs=4 * masked.std() / np.sqrt(n))
