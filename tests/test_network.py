import numpy as np
import pytest

from neumf.model.network import initial_network, join_networks, logits, with_initial_encoder

SIZES = {
    "neumf": {"n_factors": 3, "mlp_embedding_dim": 4, "hidden_layer_sizes": (5, 2)},
    "gmf": {"n_factors": 3, "mlp_embedding_dim": 0, "hidden_layer_sizes": (5, 2)},
    "mlp": {"n_factors": 0, "mlp_embedding_dim": 4, "hidden_layer_sizes": (5, 2)},
    "one layer": {"n_factors": 3, "mlp_embedding_dim": 4, "hidden_layer_sizes": (5,)},
}


@pytest.fixture(params=SIZES)
def network(request, rng):
    """A network of 6 users and 7 items whose weights are large enough to matter."""
    network = initial_network(6, 7, **SIZES[request.param], rng=rng)
    for array in (network.users, network.items, *network.layers.arrays()):
        array[...] = rng.normal(size=array.shape)
    return network


def obvious_logit(network, user, item):
    """Equations 9, 10 and 12 of the paper, one pair at a time, in float64."""
    g = network.layers.n_factors
    p, q = (row.astype(np.float64) for row in (network.users[user], network.items[item]))
    halves = [p[:g] * q[:g]]
    if network.layers.hidden:
        z = np.concatenate([p[g:], q[g:]])
        for kernel, bias in network.layers.hidden:
            z = np.maximum(kernel.astype(np.float64).T @ z + bias, 0)
        halves.append(z)
    h, b = network.layers.output
    return float(np.concatenate(halves) @ h[:, 0] + b[0])


def all_obvious_logits(network):
    shape = (len(network.users), len(network.items))
    return np.array([[obvious_logit(network, *pair) for pair in np.ndindex(shape)]]).reshape(shape)


def test_logits_are_those_of_the_paper(network):
    users, items = np.array([0, 3, 3]), np.array([[1, 2], [6, 0], [1, 1]])
    result = logits(np, network.layers, network.users[users], network.items[items])
    expected = [
        [obvious_logit(network, user, item) for item in row]
        for user, row in zip(users, items, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_scores_of_all_items_are_those_of_the_pairs(network):
    users = np.array([5, 0, 2])
    expected = all_obvious_logits(network)[users]
    np.testing.assert_allclose(network.score_items(users), expected, rtol=1e-4, atol=1e-4)


def test_scores_of_candidates_are_those_of_the_pairs(network):
    users, items = np.array([5, 0]), np.array([[1, 1, 3], [0, 6, 2]])
    expected = np.take_along_axis(all_obvious_logits(network)[users], items, axis=1)
    np.testing.assert_allclose(
        network.score_candidates(users, items), expected, rtol=1e-4, atol=1e-4
    )


def test_scoring_in_blocks_changes_nothing(network, monkeypatch):
    users, items = np.arange(6), np.tile(np.arange(7), (6, 1))
    whole = network.score_items(users)
    monkeypatch.setattr("neumf.model.network._BLOCK_SIZE", 15)
    np.testing.assert_allclose(network.score_items(users), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(network.score_candidates(users, items), whole, rtol=1e-5, atol=1e-5)


def test_no_users_have_no_scores(network):
    nobody = np.array([], dtype=np.intp)
    assert network.score_items(nobody).shape == (0, 7)
    assert network.score_candidates(nobody, nobody.reshape(0, 3)).shape == (0, 3)


def test_dropout_acts_on_the_product_and_on_every_hidden_layer(rng):
    layers = initial_network(6, 7, **SIZES["neumf"], rng=rng).layers
    seen = []

    def note(values):
        seen.append(values.shape[-1])
        return values

    logits(np, layers, rng.normal(size=(2, 7)), rng.normal(size=(2, 3, 7)), note)
    assert seen == [3, 5, 2]


def test_initial_weights_have_the_documented_spread(rng):
    network = initial_network(4000, 3000, 8, 32, (32, 16, 8), rng)
    for table in (network.users, network.items):
        assert table.shape[1] == 8 + 32
        assert abs(table.mean()) < 1e-4
        assert table.std() == pytest.approx(0.01, rel=0.01)
    for (kernel, bias), (n_in, n_out) in zip(
        network.layers.hidden, [(64, 32), (32, 16), (16, 8)], strict=True
    ):
        assert kernel.shape == (n_in, n_out)
        limit = np.sqrt(6 / (n_in + n_out))
        assert 0.9 * limit < np.abs(kernel).max() <= limit
        assert not bias.any()
    h, b = network.layers.output
    assert h.shape == (8 + 8, 1)
    assert np.abs(h).max() <= np.sqrt(3 / 16)
    assert not b.any()


def test_joining_gives_each_half_half_a_say(rng):
    gmf = initial_network(6, 7, 3, 0, (5, 2), rng)
    mlp = initial_network(6, 7, 0, 4, (5, 2), rng)
    joined = join_networks(gmf, mlp)
    users = np.arange(6)
    expected = (gmf.score_items(users) + mlp.score_items(users)) / 2
    np.testing.assert_allclose(joined.score_items(users), expected, rtol=1e-5, atol=1e-7)


def test_joined_encoders_make_each_their_part_of_the_vector(rng):
    halves = []
    for sizes in (SIZES["gmf"], SIZES["mlp"]):
        network = with_initial_encoder(initial_network(6, 7, **sizes, rng=rng), 2, 5, True, rng)
        for array in network.encoder.hidden:
            array[...] = rng.normal(size=array.shape)
        halves.append(network)
    users, histories = np.array([4, -1]), np.array([[3, 1], [2, -1]])
    joined = join_networks(*halves).encoder.encode(users, histories)
    parts = [network.encoder.encode(users, histories) for network in halves]
    np.testing.assert_allclose(joined, np.hstack(parts), rtol=1e-4)


def test_the_keras_model_has_the_same_logits(network):
    from neumf.model.network import build_keras_model

    users, items = np.divmod(np.arange(42), 7)
    model = build_keras_model(network)
    result = model.predict([users, items], verbose=0)
    np.testing.assert_allclose(result, all_obvious_logits(network).ravel(), rtol=1e-4, atol=1e-4)


def test_the_keras_model_names_its_tables(rng):
    from neumf.model.network import build_keras_model

    model = build_keras_model(initial_network(6, 7, **SIZES["neumf"], rng=rng))
    names = {layer.name for layer in model.layers}
    assert {"gmf_user", "gmf_item", "mlp_user", "mlp_item", "mlp_layer_1", "logit"} <= names
