"""Where vectors are pulled: the map from features to vectors, and training with it."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from training_tools import (
    SMALL,
    assert_same_weights,
    flatten,
    large_weights,
    numerical_gradient,
    settings,
)

from neumf import NeuMFRecommender, NextItemRecommender
from neumf.base import read_rows
from neumf.interactions.features import SideFeatures
from neumf.interactions.histories import read_histories
from neumf.interactions.timeline import read_timelines
from neumf.interactions.unseen import other_items, sample_unseen_items
from neumf.model import feature_map
from neumf.model.feature_map import FeatureMap
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserIds, UserIdsAndHistories
from neumf.neural.training_rows import prepare
from neumf.training import cold_biases
from neumf.training.batches import Degrees, Negatives, TrainingRows
from neumf.training.centres import Centres, SideCentres
from neumf.training.losses import LOSSES
from neumf.training.program import compile_program
from neumf.training.trainer import Trainer


def weighted_ridge(features, vectors, weights, penalty):
    """The closed form, whose intercept is a column of ones that is not penalised."""
    inputs = np.column_stack([features, np.ones(len(features))])
    penalties = penalty * np.eye(inputs.shape[1])
    penalties[-1, -1] = 0
    gram = inputs.T @ (weights[:, None] * inputs) + penalties
    solution = np.linalg.solve(gram, inputs.T @ (weights[:, None] * vectors))
    return solution[:-1], solution[-1]


def side(values, known=None):
    values = np.asarray(values, dtype=float)
    known = np.ones(len(values), bool) if known is None else np.asarray(known, bool)
    return SideFeatures(sp.csr_array(values), known)


# The map


def random_ridge(rng, n=40, n_columns=5):
    features = rng.normal(size=(n, n_columns)) * (rng.random((n, n_columns)) < 0.5)
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    return features, vectors, rng.random(n)


@pytest.fixture(autouse=True)
def solve_to_the_last_digit(monkeypatch):
    monkeypatch.setattr(feature_map, "_TOLERANCE", 1e-12)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
def test_the_map_is_the_ridge_regression_whose_intercept_is_free(rng, penalty):
    features, vectors, weights = random_ridge(rng)
    found = FeatureMap.fit(sp.csr_array(features), vectors, weights, penalty)
    slope, intercept = weighted_ridge(features, vectors, weights, penalty)
    np.testing.assert_allclose(found.slope, slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.intercept, intercept, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 50.0])
def test_the_map_is_that_up_to_the_tolerance_of_its_equations(rng, penalty, monkeypatch):
    monkeypatch.undo()
    features, vectors, weights = random_ridge(rng)
    found = FeatureMap.fit(sp.csr_array(features), vectors, weights, penalty)
    slope, intercept = weighted_ridge(features, vectors, weights, penalty)
    np.testing.assert_allclose(found.slope, slope, atol=0.01)
    np.testing.assert_allclose(found.intercept, intercept, atol=0.01)


def test_the_map_of_vectors_that_are_longer_is_longer_by_the_same_factor(rng, monkeypatch):
    monkeypatch.undo()
    features, vectors, weights = random_ridge(rng, n=90, n_columns=40)
    plain, long = (
        FeatureMap.fit(sp.csr_array(features), vectors * np.float32(factor), weights, 0.1)
        for factor in (1, 1024)
    )
    np.testing.assert_array_equal(long.slope, 1024 * plain.slope)


def test_the_map_ignores_what_weighs_nothing(rng):
    features, vectors, weights = random_ridge(rng)
    weights[::3] = 0
    expected = FeatureMap.fit(sp.csr_array(features), vectors, weights, 1.0)
    vectors[::3] = 1e6
    found = FeatureMap.fit(sp.csr_array(features), vectors, weights, 1.0)
    np.testing.assert_array_equal(found.slope, expected.slope)
    np.testing.assert_array_equal(found.intercept, expected.intercept)


def test_the_map_leads_from_features_to_vectors():
    found = FeatureMap(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0.5, 0.0]))
    vectors = found.apply(sp.csr_array([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]))
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1.5, 2], [2.5, 3], [0.5, 0]]


# Centres


def centres_of(rng, degrees, known=None, penalty=2.0, n_columns=3):
    degrees = np.asarray(degrees)
    values = rng.normal(size=(len(degrees), n_columns))
    if known is not None:
        values[~np.asarray(known, bool)] = 0
    return Centres(side(values, known), degrees, penalty)


def obvious_centres(centres, vectors):
    """The ridge of those that are known and have rows, each by n / (n + 20)."""
    n, values = len(vectors), centres.features.values.toarray()
    used = [i for i in range(n) if centres.features.known[i] and centres.degrees[i] > 0]
    weights = np.array([centres.degrees[i] / (centres.degrees[i] + 20) for i in used])
    slope, intercept = weighted_ridge(values[used], vectors[used], weights, centres.penalty)
    return np.array(
        [
            values[i] @ slope + intercept if known else np.zeros(vectors.shape[1])
            for i, known in enumerate(centres.features.known)
        ]
    )


DEGREES = [1, 20, 3, 100, 7, 0, 2, 0]
KNOWN = [True, True, True, True, False, True, True, False]


def test_centres_are_what_the_known_ones_with_rows_lead_one_to_expect(rng):
    centres, vectors = centres_of(rng, DEGREES, KNOWN), rng.normal(size=(8, 4)).astype(np.float32)
    found = centres.of(vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, obvious_centres(centres, vectors), rtol=1e-4, atol=1e-5)
    assert not found[[4, 7]].any()
    assert found[5].any()


def test_vectors_of_cold_and_of_unknown_ones_move_no_centre(rng):
    centres, vectors = centres_of(rng, DEGREES, KNOWN), rng.normal(size=(8, 4)).astype(np.float32)
    expected = centres.of(vectors)
    vectors[[4, 5, 7]] = 1e6
    np.testing.assert_array_equal(centres.of(vectors), expected)


def test_all_centres_are_0_where_no_known_one_has_rows(rng):
    centres = centres_of(rng, [0, 0, 5], [True, True, False])
    vectors = rng.normal(size=(3, 2)).astype(np.float32)
    assert not centres.of(vectors).any()
    centres.fill_cold(vectors, 2)
    assert not vectors[:2].any()
    assert vectors[2].all()
    centres.fill_cold(vectors, 1)
    assert not vectors[:2].any()


def test_cold_ones_are_put_at_their_centres_and_no_others(rng):
    centres, vectors = centres_of(rng, DEGREES, KNOWN), rng.normal(size=(8, 4)).astype(np.float32)
    filled = vectors.copy()
    centres.fill_cold(filled, 4)
    np.testing.assert_allclose(
        filled[5], obvious_centres(centres, vectors)[5], rtol=1e-4, atol=1e-5
    )
    rest = np.arange(8) != 5
    np.testing.assert_array_equal(filled[rest], vectors[rest])


def test_new_ones_start_at_the_centres_that_those_before_lead_to(rng):
    degrees, known = [9, 4, 30, 2, 5, 1, 3], [True, True, True, True, True, False, True]
    centres, vectors = centres_of(rng, degrees, known), rng.normal(size=(7, 2)).astype(np.float32)
    filled = vectors.copy()
    centres.fill_new(filled, 4, 2)
    expected = obvious_centres(centres, vectors[:4])
    np.testing.assert_allclose(filled[[4, 6]], expected[[4, 6]], rtol=1e-4, atol=1e-5)
    rest = [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(filled[rest], vectors[rest])


# Biases


def obvious_bias(features, biases, new):
    """Kernel ridge regression around the mean, one pair of items at a time."""

    def similarity(x, y):
        apart = x / (np.linalg.norm(x) or 1) - y / (np.linalg.norm(y) or 1)
        return np.exp(-1.5 * apart @ apart)

    kernel = np.array([[similarity(x, y) for y in features] for x in features])
    weights = np.linalg.solve(kernel + 0.3 * np.eye(len(features)), biases - np.mean(biases))
    return np.mean(biases) + sum(weights[i] * similarity(new, x) for i, x in enumerate(features))


def test_biases_of_cold_items_are_a_kernel_ridge_regression(rng):
    centres, vectors = centres_of(rng, DEGREES, KNOWN), rng.normal(size=(8, 4)).astype(np.float32)
    filled, values = vectors.copy(), centres.features.values.toarray()
    centres.fill_cold(filled, 3)
    warm = [0, 1, 2, 3, 6]
    expected = obvious_bias(values[warm], vectors[warm, 3].astype(float), values[5])
    np.testing.assert_allclose(filled[5, 3], expected, rtol=1e-5)
    np.testing.assert_allclose(
        filled[5, :3], obvious_centres(centres, vectors)[5, :3], rtol=1e-4, atol=1e-5
    )
    rest = np.arange(8) != 5
    np.testing.assert_array_equal(filled[rest], vectors[rest])


def test_biases_of_new_items_come_from_the_known_ones_only(rng):
    degrees, known = [9, 4, 30, 2, 5, 1, 3], [True, True, False, True, True, False, True]
    centres, vectors = centres_of(rng, degrees, known), rng.normal(size=(7, 2)).astype(np.float32)
    filled, values = vectors.copy(), centres.features.values.toarray()
    centres.fill_new(filled, 4, 1)
    warm = [0, 1, 3]
    for new in (4, 6):
        expected = obvious_bias(values[warm], vectors[warm, 1].astype(float), values[new])
        np.testing.assert_allclose(filled[new, 1], expected, rtol=1e-5)
    np.testing.assert_array_equal(filled[[0, 1, 2, 3, 5]], vectors[[0, 1, 2, 3, 5]])


def test_bias_is_that_of_many_similar_items_and_the_mean_far_from_all():
    features = sp.csr_array(np.repeat(np.eye(3), [300, 100, 100], axis=0))
    biases = np.repeat(np.float32([2.0, -3.0, -3.0]), [300, 100, 100])[:, None]
    new = sp.csr_array([[5.0, 0, 0], [0, 0.1, 0], [-1, -1, -1]])
    found = cold_biases.predict_biases(features, biases, new)
    np.testing.assert_allclose(found.ravel(), [2, -3, 0], atol=0.05)


def test_biases_of_many_items_come_from_an_evenly_spaced_sample(rng, monkeypatch):
    monkeypatch.setattr(cold_biases, "_MOST_ITEMS", 5)
    monkeypatch.setattr(cold_biases, "_BLOCK", 2)
    features, new = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    biases = rng.normal(size=(9, 1)).astype(np.float32)
    found = cold_biases.predict_biases(sp.csr_array(features), biases, sp.csr_array(new))
    sample = slice(None, None, 2)
    expected = [obvious_bias(features[sample], biases[sample, 0].astype(float), x) for x in new]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


# Training


def training_case(rng, loss, tower, *, shares=False, item_bias=False):
    """Rows of 4 users and 6 items, each with features, the last of which are cold."""
    users = np.array([0, 1, 1, 0, 2, 1], np.int32)
    items = np.array([2, 2, 0, 4, 1, 3], np.int32)
    sizes = (2, 0, ()) if LOSSES[loss].is_product else (2, 3, (4,))
    layers = NeuMFLayers(*sizes, item_bias=item_bias)
    with_histories = tower is UserIdsAndHistories
    made = tower(layers.width, 2)
    if with_histories:
        made = tower(layers.width, 2, shares_item_vectors=shares)
    blueprint = Blueprint.of_towers(layers, made)
    weights = large_weights(rng, 4, 6, blueprint)
    degrees = Degrees(np.array([2, 3, 1, 0]), np.array([1, 1, 2, 1, 1, 0]))
    sides = SideCentres(
        centres_of(rng, degrees.users, [True, True, False, True]),
        centres_of(rng, degrees.items, [True, True, True, True, False, True]),
    )
    histories = None
    if with_histories:
        histories = read_histories(read_timelines(users, None, 4), items, 2)
    negatives = None
    if LOSSES[loss].draws_negatives:
        # All negatives are the item 3 or, for that one, the item 4.
        among = other_items(6, np.array([0, 0, 0, 10**9, 1, 0]))
        negatives = Negatives(among, items, np.full(6, 1 / 6, np.float32))
    rows = TrainingRows(users, items, None, None, negatives, histories, degrees, sides)
    return blueprint, weights, rows


def make_trainer(blueprint, weights, rows, options):
    trainer = Trainer(blueprint, weights, rows, options, np.random.default_rng(1))
    trainer._with_xla = False  # the same program, which takes a tenth of the time to compile
    return trainer


def pull(blueprint, weights, rows, candidates, centres):
    """The penalty of one batch of all rows: squared distances from centres, by degrees."""
    tables, total = weights.tables, 0.0
    of_users, of_items = (np.maximum(degrees, 1) for degrees in rows.degrees)
    width = blueprint.layers.width
    for row in range(len(rows)):
        user = rows.users[row]
        total += np.sum((tables["users"][user] - centres["users"][user]) ** 2) / of_users[user]
        apart = (tables["items"] - centres["items"])[candidates[row], :width]
        total += np.mean(np.sum(apart**2, axis=1) / of_items[candidates[row]])
        if rows.histories is not None:
            history = [i for i in rows.histories.before(np.array([row])).items[0] if i >= 0]
            for item in history:
                apart = tables["history"][item] - centres["history"][item]
                total += np.sum(apart**2) / len(history) / of_items[item]
    return total / len(rows)


@pytest.mark.parametrize(("tower", "shares"), [(UserIds, False), (UserIdsAndHistories, True)])
@pytest.mark.parametrize("loss", ["binary_crossentropy", "batch_softmax", "softmax"])
def test_the_penalty_of_a_step_is_on_the_distance_from_the_centres(
    rng, monkeypatch, loss, tower, shares
):
    """A step with centres is one with those at 0, less what the two penalties differ in."""
    state = rng.bit_generator.state
    after = []
    for at in (lambda centres, vectors: np.zeros_like(vectors), Centres.of):
        monkeypatch.setattr(Centres, "of", at)
        rng.bit_generator.state = state
        blueprint, weights, rows = training_case(rng, loss, tower, shares=shares, item_bias=True)
        n_drawn = 1 if rows.negatives else 0
        options = settings(
            loss=loss,
            n_negatives=1,
            batch_size=6 * (1 + n_drawn),
            regularization=0.1,
            optimizer="sgd",
        )
        trainer = make_trainer(blueprint, weights, rows, options)
        trainer.run_epoch()
        after.append(flatten(trainer.weights())[0])
    of_table = blueprint.by_table(rows.centres)
    centres = {name: obvious_centres(of_table[name], weights.tables[name]) for name in of_table}
    nowhere = {name: np.zeros_like(table) for name, table in centres.items()}
    candidates = rows.items[:, None]
    if n_drawn:
        candidates = np.column_stack([rows.items, np.where(rows.items == 3, 4, 3)])
    before, restore = flatten(weights)

    def difference(flat):
        own = (blueprint, restore(flat), rows, candidates)
        return 0.1 * (pull(*own, centres) - pull(*own, nowhere))

    expected = restore(after[0] - 0.01 * numerical_gradient(difference, before))
    found = restore(after[1])
    # Cold ones are at the centres that are left to after the step.
    for name, row in {"users": 3, "items": 5, "history": 5}.items():
        if name in found.tables:
            table = found.tables[name].astype(np.float32)
            moved = obvious_centres(of_table[name], table)[row]
            if name == "items":  # their last column is the bias
                values, warm = of_table[name].features.values.toarray(), [0, 1, 2, 3]
                moved[-1] = obvious_bias(values[warm], table[warm, -1].astype(float), values[row])
            np.testing.assert_allclose(found.tables[name][row], moved, rtol=1e-4, atol=1e-5)
            found.tables[name][row] = expected.tables[name][row]
    assert_same_weights(found, expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_cold_ones_do_not_move_in_training(rng, loss):
    blueprint, weights, rows = training_case(rng, loss, UserIdsAndHistories, item_bias=True)
    trainer = make_trainer(
        blueprint, weights, rows, settings(loss=loss, n_negatives=1, regularization=0.5)
    )
    for _ in range(3):
        trainer.run_epoch()
    for name, row in {"users": 3, "items": 5, "history": 5}.items():
        found = trainer._vectors(name)
        np.testing.assert_array_equal(found[row], weights.tables[name][row])
        assert (found[0] != weights.tables[name][0]).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_what_cold_vectors_are_is_irrelevant_to_all_others(rng, loss):
    state = rng.bit_generator.state
    trained = []
    for cold in (0.0, 7.0):
        rng.bit_generator.state = state
        blueprint, weights, rows = training_case(rng, loss, UserIdsAndHistories, item_bias=True)
        for name, row in {"users": 3, "items": 5, "history": 5}.items():
            weights.tables[name][row] = cold
        trainer = make_trainer(
            blueprint, weights, rows, settings(loss=loss, n_negatives=1, regularization=0.5)
        )
        losses = [trainer.run_epoch() for _ in range(2)]
        trained.append((losses, trainer.weights()))
    assert trained[0][0] == trained[1][0]
    assert_same_weights(trained[0][1], trained[1][1], rtol=0, atol=0)


def test_with_all_features_0_the_pull_is_towards_the_mean(rng):
    _, weights, rows = training_case(rng, "softmax", UserIds)
    nothing = side(np.zeros((6, 2)))
    centres = Centres(nothing, rows.degrees.items, 1.0)
    shares = rows.degrees.items / (rows.degrees.items + 20)
    mean = np.average(weights.tables["items"], axis=0, weights=shares)
    np.testing.assert_allclose(centres.of(weights.tables["items"]), [mean] * 6, rtol=1e-5)


# Negatives


@pytest.mark.parametrize(
    "model",
    [
        NeuMFRecommender(loss="bpr", negative_strategy="uniform", pretrain=None),
        NeuMFRecommender(loss="bpr", negative_strategy="popularity", pretrain=None),
        NextItemRecommender(loss="bpr", add_simple_methods=False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_cold_items_are_never_among_the_negatives(rng, model, early_stopping):
    X = pd.DataFrame({"user": np.repeat(np.arange(8), 3), "item": rng.permutation(24) % 12})
    table = pd.DataFrame({"f": np.zeros(40)}, index=rng.permutation(40))
    plan = clone(model).set_params(early_stopping=early_stopping)._plan(None)
    rows = read_rows(X).with_features(None, table)
    assert rows.shape == (8, 40)
    prepared = prepare(plan, rows, rng)
    negatives = prepared.rows.negatives
    for_all = np.repeat(np.unique(negatives.drawn_for), 2000)
    drawn = sample_unseen_items(negatives.unseen, for_all, 1, rng)
    with_rows = np.unique(prepared.rows.items)
    assert set(drawn.ravel()) == set(with_rows)
    if not early_stopping:
        assert set(with_rows) == set(range(12))


def test_a_user_who_had_all_but_the_cold_items_is_refused():
    X = pd.DataFrame({"user": [*"aaab"], "item": [1, 2, 3, 1]})
    model = NeuMFRecommender(
        architecture="gmf",
        loss="bpr",
        item_features=pd.DataFrame({"item": range(9), "f": 1.0}),
    )
    with pytest.raises(ValueError, match="user 'a', who has seen every item that can be drawn"):
        model.fit(X)


# Programs


def test_the_number_of_columns_compiles_nothing_anew(rng):
    compile_program.cache_clear()
    users, items = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3])
    degrees = Degrees(np.array([1, 2, 1, 0]), np.array([1, 1, 1, 1, 0]))
    for n_columns in (20, 3000):
        sides = SideCentres(None, centres_of(rng, degrees.items, n_columns=n_columns))
        labels = np.ones(4, np.float32)
        rows = TrainingRows(users, items, labels, None, None, None, degrees, sides)
        trainer = make_trainer(SMALL, large_weights(rng), rows, settings(regularization=0.1))
        trainer.run_epoch()
        plan = trainer._plan
        program = compile_program(plan, with_xla=False)
    assert compile_program.cache_info().misses == 1
    assert len(program._list_all_concrete_functions()) == 1
