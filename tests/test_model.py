from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.timeline import read_timelines
from neumf.model import user_towers
from neumf.model.item_towers import ItemIds
from neumf.model.keras_model import build_keras_model
from neumf.model.layers import ARCHITECTURES, MFLayers, NeuMFLayers
from neumf.model.network import Blueprint, Network
from neumf.model.user_tower import UserTower
from neumf.model.user_towers import UserHistories, UserIds, UserIdsAndHistories
from neumf.utils.time_gaps import HistoryInputs

LAYERS = {
    "neumf": NeuMFLayers(3, 4, (5, 2)),
    "gmf": NeuMFLayers(3, 0, ()),
    "mlp": NeuMFLayers(0, 4, (5, 2)),
    "one layer": NeuMFLayers(3, 4, (5,)),
    "neumf with bias": NeuMFLayers(3, 4, (5, 2), item_bias=True),
    "mf": MFLayers(3, 0, ()),
    "mf with bias": MFLayers(3, 0, (), item_bias=True),
    "gmf with bias": NeuMFLayers(3, 0, (), item_bias=True),
    "mlp with bias": NeuMFLayers(0, 4, (5, 2), item_bias=True),
}


def blueprint_of_ids(layers):
    return Blueprint.of_towers(layers, UserIds(layers.width, 1))


def large_weights(blueprint, rng, n_users=6, n_items=7):
    """Weights that are large enough to matter."""
    weights = blueprint.initial_weights(n_users, n_items, rng)
    for arrays in weights:
        for array in arrays.values():
            array[...] = rng.normal(size=array.shape)
    return weights


def network_of(blueprint, rng):
    nobody_had_anything = np.full((6, blueprint.users.history_length), -1)
    histories = HistoryInputs(nobody_had_anything)
    return Network.of_weights(blueprint, large_weights(blueprint, rng), histories)


@pytest.fixture(params=LAYERS)
def network(request, rng):
    """A network of 6 users and 7 items."""
    return network_of(blueprint_of_ids(LAYERS[request.param]), rng)


def obvious_logit(network, user, item):
    """Equations 9, 10 and 12 of the paper and the bias of the item, one pair at a time."""
    layers, shared = network.blueprint.layers, network.weights.shared
    shared = {name: array.astype(np.float64) for name, array in shared.items()}
    g = layers.n_factors
    p, q = (row.astype(np.float64) for row in (network.users[user], network.items[item]))
    bias = 0.0
    if layers.item_bias:
        q, bias = q[:-1], q[-1]
    halves = [p[:g] * q[:g]]
    if layers.hidden_layer_sizes:
        z = np.concatenate([p[g:], q[g:]])
        for number in range(1, len(layers.hidden_layer_sizes) + 1):
            z = np.maximum(shared[f"kernel_{number}"].T @ z + shared[f"bias_{number}"], 0)
        halves.append(z)
    joined = np.concatenate(halves)
    h = np.ones(g) if isinstance(layers, MFLayers) else shared["output_kernel"][:, 0]
    return float(joined @ h + shared["output_bias"][0] + bias)


def all_obvious_logits(network):
    shape = (len(network.users), len(network.items))
    return np.array([obvious_logit(network, *pair) for pair in np.ndindex(shape)]).reshape(shape)


# Equations


def test_logits_are_those_of_the_paper(network):
    users, items = np.array([0, 3, 3]), np.array([[1, 2], [6, 0], [1, 1]])
    layers, shared = network.blueprint.layers, network.weights.shared
    result = layers.logits(np, shared, network.users[users], network.items[items])
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


@pytest.mark.parametrize("tile_size", [1, 15, 100])
def test_scoring_in_blocks_changes_nothing(network, monkeypatch, tile_size):
    users, items = np.arange(6), np.tile(np.arange(7), (6, 1))
    whole = network.score_items(users)
    monkeypatch.setattr("neumf.model.network.BLOCK_SIZE", 15)
    monkeypatch.setattr("neumf.model.layers.TILE_SIZE", tile_size)
    np.testing.assert_allclose(network.score_items(users), whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(network.score_candidates(users, items), whole, rtol=1e-5, atol=1e-5)


def test_no_users_have_no_scores(network):
    nobody = np.array([], dtype=np.intp)
    assert network.score_items(nobody).shape == (0, 7)
    assert network.score_candidates(nobody, nobody.reshape(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_one_product_say_so(name, rng):
    network = network_of(blueprint_of_ids(LAYERS[name]), rng)
    layers, shared = network.blueprint.layers, network.weights.shared
    product = layers.product_logits(np, shared, network.users, network.items)
    is_all = np.allclose(product, all_obvious_logits(network), rtol=1e-4, atol=1e-4)
    assert layers.is_product == is_all == ("mf" in name and "neumf" not in name)


def test_dropout_acts_on_the_product_and_on_every_hidden_layer(rng):
    layers = LAYERS["neumf"]
    seen = []

    def note(values):
        seen.append(values.shape[-1])
        return values

    shared = layers.initial_shared(rng)
    layers.logits(np, shared, rng.normal(size=(2, 7)), rng.normal(size=(2, 3, 7)), note)
    assert seen == [3, 5, 2]
    assert layers.n_dropped == 3 + 5 + 2


# Weights


def test_initial_weights_have_the_documented_spread(rng):
    layers = NeuMFLayers(8, 32, (32, 16, 8))
    tables, shared = blueprint_of_ids(layers).initial_weights(4000, 3000, rng)
    assert {name: table.shape for name, table in tables.items()} == {
        "users": (4000, 8 + 32),
        "items": (3000, 8 + 32),
    }
    for table in tables.values():
        assert abs(table.mean()) < 1e-4
        assert table.std() == pytest.approx(0.01, rel=0.01)
    for number, (n_in, n_out) in enumerate([(64, 32), (32, 16), (16, 8)], start=1):
        kernel, bias = shared[f"kernel_{number}"], shared[f"bias_{number}"]
        assert kernel.shape == (n_in, n_out)
        limit = np.sqrt(6 / (n_in + n_out))
        assert 0.9 * limit < np.abs(kernel).max() <= limit
        assert not bias.any()
    assert shared["output_kernel"].shape == (8 + 8, 1)
    assert np.abs(shared["output_kernel"]).max() <= np.sqrt(3 / 16)
    assert not shared["output_bias"].any()


def test_biases_of_items_start_where_they_are_told_to(rng):
    blueprint = blueprint_of_ids(NeuMFLayers(3, 4, (5,), item_bias=True))
    biases = np.array([0.5, -2.0], np.float32)
    items = blueprint.initial_tables(1, 2, rng, biases)["items"]
    assert items.shape == (2, 3 + 4 + 1)
    np.testing.assert_array_equal(items[:, -1], biases)
    assert not blueprint.initial_tables(1, 2, rng)["items"][:, -1].any()


def test_the_spread_of_initial_vectors_may_be_chosen(rng):
    tower = UserIdsAndHistories(3, 2, std=0.2)
    for table in Blueprint.of_towers(LAYERS["gmf"], tower).initial_tables(5000, 5000, rng).values():
        assert table.std() == pytest.approx(0.2, rel=0.02)


def test_vectors_that_are_added_to_shared_ones_start_at_zero(rng):
    tower = UserIdsAndHistories(3, 2, 0.2, shares_item_vectors=True, has_last_item_vector=True)
    tables = Blueprint.of_towers(LAYERS["gmf"], tower).initial_tables(4, 5, rng)
    at_zero = [name for name, table in tables.items() if not table.any()]
    assert at_zero == ["users", "history", "newest"]


def test_weights_of_positions_start_as_documented(rng):
    shared = UserHistories(3, 4, hidden_size=2).initial_shared(rng)
    expected = np.array([1, 1 / np.sqrt(2), 1 / np.sqrt(3), 1 / 2])
    np.testing.assert_allclose(shared["position_weights"], np.tile(expected[:, None], 3), rtol=1e-6)
    assert np.abs(shared["history_kernel"]).max() <= np.sqrt(6 / (3 + 2))
    assert not UserHistories(3, 4, time_gaps="newest").initial_shared(rng)["gap_weights"].any()
    assert not shared["history_output"].any()


def test_new_rows_come_behind_the_known_ones(rng):
    blueprint = Blueprint.of_towers(LAYERS["gmf"], UserIdsAndHistories(3, 2))
    weights = blueprint.initial_weights(4, 5, rng)
    new = blueprint.initial_tables(2, 1, rng)
    grown = weights.grown(new)
    for name, table in weights.tables.items():
        np.testing.assert_array_equal(grown.tables[name], np.vstack([table, new[name]]))
    assert grown.shared is weights.shared


# Users


def obvious_user(tables, shared, user, history, length, shares=False, buckets=None):
    """The vector of a user with a history, newest item first: own, places, hidden layer."""
    vector = tables["users"][user].copy() if "users" in tables and user >= 0 else np.zeros(3)
    for place, item in enumerate(history[:length]):
        of_item = tables["history"][item] + (tables["items"][item][:3] if shares else 0)
        weights = shared["position_weights"][place]
        if "pause_vectors" in shared and place == 0:
            vector += shared["pause_vectors"][buckets[0]]
        if buckets is not None:
            weights = weights + shared["gap_weights"][buckets[place]]
        vector += weights * of_item
        if "newest" in tables and place == 0:
            of_bucket = shared["newest_weights"][buckets[0]] if "newest_weights" in shared else 0
            vector += tables["newest"][item] * (1 + of_bucket)
    if "history_kernel" in shared:
        hidden = np.maximum(vector @ shared["history_kernel"] + shared["history_bias"], 0)
        vector += hidden @ shared["history_output"]
    return vector


@pytest.mark.parametrize("layers", ["gmf", "gmf with bias"])
@pytest.mark.parametrize(
    "tower",
    [
        UserHistories(3, 2),
        UserIdsAndHistories(3, 2, hidden_size=4),
        UserHistories(3, 2, shares_item_vectors=True),
        UserIdsAndHistories(3, 2, hidden_size=4, shares_item_vectors=True),
        UserHistories(3, 2, time_gaps="newest"),
        UserHistories(3, 2, hidden_size=4, time_gaps="request"),
        UserIdsAndHistories(3, 2, hidden_size=4, shares_item_vectors=True, time_gaps="newest"),
        UserHistories(3, 2, has_last_item_vector=True),
        UserIdsAndHistories(
            3,
            2,
            hidden_size=4,
            shares_item_vectors=True,
            time_gaps="request",
            has_last_item_vector=True,
        ),
    ],
    ids=repr,
)
def test_a_history_makes_the_vector_of_a_user(tower, layers, rng, monkeypatch):
    blueprint = Blueprint.of_towers(LAYERS[layers], tower)
    tables, shared = large_weights(blueprint, rng)
    users, histories = np.array([5, 1, -1, 2]), np.array([[3, 1], [2, -1], [6, 6], [-1, -1]])
    seconds = np.array([[7, 0], [5, 0], [-1, -1], [0, 0]], float)
    moments = np.array([14, 8, -1, 5], float) if tower.time_gaps == "request" else None
    buckets = [None] * 4
    if tower.time_gaps:
        buckets = [[0, 6], [0, 0], [0, 0], [0, 0]] if moments is None else [[6, 7], [4], [0, 0], []]
    shares = tower.shares_item_vectors
    expected = [
        obvious_user(tables, shared, user, history[history >= 0], 2, shares, of_history)
        for user, history, of_history in zip(users, histories, buckets, strict=True)
    ]
    histories = LastItems(histories, seconds if tower.time_gaps else None).inputs(moments)
    for n_numbers in (2**18, 1, 2 * tower.history_length * tower.width):
        monkeypatch.setattr("neumf.model.user_tower._BLOCK_NUMBERS", n_numbers)
        found = tower.encode(tables, shared, users, histories)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_network_has_users_as_after_their_last_items(rng):
    blueprint = Blueprint.of_towers(LAYERS["gmf"], UserIdsAndHistories(3, 2))
    weights = large_weights(blueprint, rng, n_users=2)
    histories = HistoryInputs(np.array([[4, 2], [1, -1]]))
    network = Network.of_weights(blueprint, weights, histories)
    expected = [obvious_user(*weights, 0, [4, 2], 2), obvious_user(*weights, 1, [1], 2)]
    np.testing.assert_allclose(network.users, expected, rtol=1e-5)


# The parts that training alone uses, of NumPy arrays under TensorFlow's names

ARRAYS = SimpleNamespace(
    float32=np.float32,
    cast=lambda values, dtype: values.astype(dtype),
    gather=lambda table, rows: table[rows],
    maximum=np.maximum,
    pad=np.pad,
    reduce_sum=np.sum,
    reshape=np.reshape,
    transpose=np.transpose,
    where=np.where,
)
ALL_PARTS = UserIdsAndHistories(
    3, 2, hidden_size=4, shares_item_vectors=True, time_gaps="request", has_last_item_vector=True
)


def test_scores_of_pairs_in_one_piece_are_those_of_the_pairs(network):
    layers, shared = network.blueprint.layers, network.weights.shared
    found = layers.pair_logits(ARRAYS, shared, network.users, network.items)
    np.testing.assert_allclose(found, all_obvious_logits(network), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gaps_from", ["newest", "request"])
def test_rows_that_are_not_present_leave_no_trace_in_tensors(gaps_from, rng):
    tower = replace(ALL_PARTS, time_gaps=gaps_from)
    tables, shared = large_weights(Blueprint.of_towers(LAYERS["gmf"], tower), rng)
    items, gaps = np.array([[3, 1], [2, -1], [-1, -1]]), np.array([[2, 5], [1, -1], [-1, -1]])
    users, histories = np.array([5, 1, 2]), HistoryInputs(items, gaps)
    rows, present = {}, {}
    for name, index in tower.indices(users, histories).items():
        rows[name] = tables[tower.table_of(name)][index] if tower.is_row(name) else index
        present[name] = index >= 0
    found = tower.vectors(ARRAYS, rows, present, shared)
    expected = tower.encode(tables, shared, users, histories)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gaps_from", [None, "newest", "request"])
def test_rows_of_runs_have_the_vectors_penalties_and_gradients_of_single_rows(gaps_from, rng):
    tf = pytest.importorskip("tensorflow")
    tower = replace(ALL_PARTS, time_gaps=gaps_from, history_length=3)
    tables, shared = large_weights(Blueprint.of_towers(LAYERS["gmf"], tower), rng)
    users = np.repeat([0, 1, 2, 3, 4], [1, 7, 2, 11, 3])  # runs of 4 rows cross users
    items, seconds = rng.integers(0, 7, 24).astype(np.int32), np.sort(rng.integers(0, 99, 24))
    histories = read_histories(read_timelines(users, None, 5), items, 3, None, seconds)
    order = np.roll(np.arange(24), 2).reshape(6, 4)[[2, 0, 5, 1, 4, 3]].ravel()
    # The last run is short: spare rows repeat its last row.
    order[-2:] = order[-3]
    inputs = histories.before(order)
    found = []
    for run_length in (1, 4):
        with tf.GradientTape() as tape:
            # Rows of index -1 hold other numbers than 0.
            weights = {name: tf.Variable(table) for name, table in tables.items()}
            of_all = {name: tf.Variable(array) for name, array in shared.items()}
            rows, present = {}, {}
            for name, index in tower.indices(users[order], inputs, run_length).items():
                table = weights.get(tower.table_of(name))
                rows[name] = tf.gather(table, np.maximum(index, 0)) if tower.is_row(name) else index
                present[name] = tf.constant(index >= 0)
            vectors = tower.vectors(tf, rows, present, of_all)[:22]
            norms = tf.stack(tower.norms(tf, rows, present))[:, :22]
            upstream = np.random.default_rng(1).normal(size=vectors.shape)
            total = tf.reduce_sum(vectors * upstream) + tf.reduce_sum(norms * upstream[:, 0])
        gradients = tape.gradient(total, [weights, of_all])
        of_rows = [tf.convert_to_tensor(gradients[0][name]) for name in sorted(weights)]
        found.append([vectors, norms, *of_rows, *(gradients[1][name] for name in sorted(of_all))])
    for single, of_run in zip(*found, strict=True):
        assert (single is None) == (of_run is None)
        if single is not None:
            np.testing.assert_allclose(of_run, single, rtol=1e-4, atol=1e-5)


def test_the_penalty_of_a_row_is_on_its_user_and_the_mean_of_its_history():
    rows = {
        "users": np.array([[[1.0, 2, 3]], [[0, 0, 2]]]),
        "history": np.array([[[1.0, 0, 0], [0, 3, 0]], [[2, 0, 1], [9, 9, 9]]]),
        "newest": np.array([[[1.0, 1, 1]], [[0, 2, 0]]]),
    }
    present = {"history": np.array([[True, True], [True, False]]), "newest": np.ones((2, 1), bool)}
    norms = ALL_PARTS.norms(ARRAYS, rows, present)
    assert [part.tolist() for part in norms] == [[14, 4], [5, 5], [3, 4]]
    plain = UserHistories(3, 2).norms(ARRAYS, rows, present)
    assert [part.tolist() for part in plain] == [[5, 5]]
    assert UserIds(3, 1).norms(ARRAYS, rows, present)[0].tolist() == [14, 4]
    nobody = {"history": np.zeros((2, 2), bool), "newest": np.zeros((2, 1), bool)}
    assert UserHistories(3, 2).norms(ARRAYS, rows, nobody)[0].tolist() == [0, 0]


def test_the_penalty_of_items_is_on_the_mean_of_the_candidates_without_their_biases():
    candidates = np.array([[[1.0, 2, 7], [3, 0, 7]], [[0, 0, 7], [0, 2, 7]]])
    assert ItemIds(2, bias=True).norms(ARRAYS, candidates).tolist() == [7, 2]


def test_the_penalty_of_shared_weights_is_on_a_position_and_on_the_kernels():
    shared = {
        "position_weights": np.array([[1.0, 2, 3], [0, 0, 2]]),
        "history_kernel": np.full((3, 4), 2.0),
        "history_output": np.full((4, 3), 3.0),
        "gap_weights": np.full((64, 3), 9.0),
    }
    assert ALL_PARTS.kernel_norms(ARRAYS, shared) == [9, 48, 108]
    assert UserHistories(3, 2).kernel_norms(ARRAYS, shared) == [9]


def test_a_blueprint_with_another_history_length_is_else_the_same():
    blueprint = Blueprint.of_towers(LAYERS["gmf"], ALL_PARTS)
    longer = blueprint.with_history_length(7)
    assert longer.users.history_length == 7
    assert longer.with_history_length(2) == blueprint


# Joined halves


def test_joined_weights_give_each_half_a_weight_of_one_half(rng):
    gmf, mlp, joined = (blueprint_of_ids(LAYERS[name]) for name in ("gmf", "mlp", "neumf"))
    halves = [large_weights(blueprint, rng) for blueprint in (gmf, mlp)]
    nothing, users = HistoryInputs(np.full((6, 1), -1)), np.arange(6)
    scores = [
        Network.of_weights(blueprint, weights, nothing).score_items(users)
        for blueprint, weights in zip((gmf, mlp), halves, strict=True)
    ]
    network = Network.of_weights(joined, joined.join_weights(list(halves)), nothing)
    np.testing.assert_allclose(
        network.score_items(users), (scores[0] + scores[1]) / 2, rtol=1e-4, atol=1e-5
    )


# Keras


def test_the_keras_model_has_the_same_logits(network):
    users, items = np.divmod(np.arange(42), 7)
    result = build_keras_model(network).predict([users, items], verbose=0)
    np.testing.assert_allclose(result, all_obvious_logits(network).ravel(), rtol=1e-4, atol=1e-4)


GMF = {"gmf_user": (6, 3), "gmf_item": (7, 3)}
MLP = {"mlp_user": (6, 4), "mlp_item": (7, 4), "mlp_layer_1": (8, 5), "mlp_layer_2": (5, 2)}


@pytest.mark.parametrize(
    ("name", "tower", "title", "kernels"),
    [
        ("neumf", UserIds, "neumf", GMF | MLP | {"logit": (5, 1)}),
        ("gmf", UserIds, "gmf", GMF | {"logit": (3, 1)}),
        ("mlp", UserIds, "mlp", MLP | {"logit": (2, 1)}),
        *(
            (
                "mf with bias",
                tower,
                "next_item",
                {"user_after_last_row": (6, 3), "item_vector": (7, 3), "logit": (3, 1)}
                | {"item_bias": (7, 1)},
            )
            for tower in (UserHistories, UserIdsAndHistories)
        ),
    ],
    ids=str,
)
def test_the_keras_model_is_named_after_what_was_computed(rng, name, tower, title, kernels):
    layers = LAYERS[name]
    network = network_of(Blueprint.of_towers(layers, tower(layers.width, 1)), rng)
    model = build_keras_model(network)
    assert model.name == title
    found = {layer.name: layer.get_weights()[0].shape for layer in model.layers if layer.weights}
    assert found == kernels
    if tower is not UserIds:
        vectors = model.get_layer("user_after_last_row").get_weights()[0]
        np.testing.assert_array_equal(vectors, network.users)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_have_the_halves_that_they_are_named_after(architecture):
    layers = ARCHITECTURES[architecture](3, 4, (6, 2))
    assert layers.n_factors == (0 if architecture == "mlp" else 3)
    assert layers.hidden_layer_sizes == (() if architecture == "gmf" else (6, 2))
    assert layers.width == {"neumf": 7, "gmf": 3, "mlp": 4}[architecture]


TOWERS = [
    UserIds(7, 5),
    UserHistories(7, 5),
    UserHistories(7, 5, shares_item_vectors=True, time_gaps="newest"),
    UserIdsAndHistories(7, 5, hidden_size=2, has_last_item_vector=True, time_gaps="request"),
]


def test_every_tower_is_among_them():
    classes = {value for value in vars(user_towers).values() if isinstance(value, type)}
    towers = {cls for cls in classes if issubclass(cls, UserTower) and cls is not UserTower}
    assert {type(tower) for tower in TOWERS} == towers


@pytest.mark.parametrize("tower", TOWERS, ids=repr)
@pytest.mark.parametrize("layers", [NeuMFLayers(3, 4, (6, 2)), MFLayers(7, 0, (), item_bias=True)])
def test_shapes_are_known_before_weights_are_drawn(layers, tower, rng):
    blueprint = Blueprint.of_towers(layers, tower)
    weights = blueprint.initial_weights(8, 9, rng)
    shapes = {name: array.shape for name, array in weights.shared.items()}
    assert blueprint.shared_shapes() == shapes
    assert blueprint.table_shapes(8, 9) == {name: t.shape for name, t in weights.tables.items()}
