import copy
import pickle
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_NEUMF
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from neumf import (
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    PopularityRecommender,
    ndcg_scorer,
)
from neumf.metrics import ndcg_at_k
from neumf.neural.parameters import NEUMF_PRESETS
from neumf.training.losses import LOSSES
from neumf.training.trainer import Trainer

SMALL = SMALL_NEUMF | {"recency": 0.0}

# Enough to learn the checkerboard.
LEARNING = SMALL_NEUMF | {"learning_rate": 0.03, "epochs": 20}


def checkerboard(n_users=100, n_items=40):
    """Even users like even items; each user has one such item left, which must come first."""
    pairs = [
        (user, item)
        for user in range(n_users)
        for item in range(n_items)
        if user % 2 == item % 2 and (user + item) % n_items
    ]
    return pd.DataFrame(pairs, columns=["user", "item"])


def left_over(user, n_items=40):
    return -user % n_items


def small_model(**changes):
    return NeuMFRecommender(**(SMALL | {"epochs": 2} | changes))


@pytest.fixture(scope="module")
def fitted(table):
    return small_model(epochs=3).fit(table)


@pytest.fixture
def trainers(monkeypatch):
    """The trainers that fits make: what they are given, and what they finish with."""
    made = []
    start, finish = Trainer.__init__, Trainer.finish

    def note_start(trainer, blueprint, weights, rows, settings, rng):
        start(trainer, blueprint, weights, rows, settings, rng)
        made.append(SimpleNamespace(trainer=trainer, weights=weights, rows=rows, settings=settings))

    def note_finish(trainer, keep_moments):
        made[-1].finished = finish(trainer, keep_moments)
        return made[-1].finished

    monkeypatch.setattr(Trainer, "__init__", note_start)
    monkeypatch.setattr(Trainer, "finish", note_finish)
    return made


# It learns


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "gmf"},
        {"architecture": "mlp"},
        {"architecture": "neumf"},
        {"loss": "bpr"},
        {"loss": "sampled_softmax"},
        {"loss": "softmax", "architecture": "gmf", "batch_size": 64},
        {"loss": "batch_softmax", "architecture": "gmf", "n_negatives": 1, "batch_size": 64},
        {"pretrain": "sgd"},
        {"negative_strategy": "popularity"},
        {"dropout": 0.3},
        {"regularization": 1e-4},
    ],
    ids=str,
)
def test_the_item_left_on_the_checkerboard_comes_first(options):
    model = NeuMFRecommender(**LEARNING | {"epochs": 10} | options)
    model.fit(checkerboard())
    first = model.recommend(k=1)
    expected = [left_over(user) for user in first["user"]]
    assert np.mean(first["item"] == expected) >= 0.9


def test_labels_are_learned_as_they_are():
    X = checkerboard()
    sampler = NegativeSampler(n_negatives=4, random_state=0)
    X_long, y = sampler.fit_resample(X)
    model = NeuMFRecommender(**LEARNING).fit(X_long, y)
    probability = model.predict(X_long)
    assert probability[y == 1].mean() > 0.9
    assert probability[y == 0].mean() < 0.3


def test_the_loss_falls(fitted):
    loss = fitted.history_["loss"]
    assert len(loss) == fitted.n_iter_ == 3
    assert loss[-1] < loss[0]


def test_rows_of_weight_zero_do_not_count():
    X = checkerboard()
    odd = X["user"] % 2 == 1
    weights = np.where(odd, 0.0, 1.0)
    model = NeuMFRecommender(**LEARNING | {"epochs": 10}).fit(X, sample_weight=weights)
    gap = model.predict(X)
    assert gap[~odd].mean() > gap[odd].mean() + 0.3


def test_the_penalty_shrinks_the_vectors(table):
    norms = [
        np.linalg.norm(small_model(regularization=alpha, epochs=60).fit(table).network_.items)
        for alpha in (0.0, 1.0)
    ]
    assert norms[1] < norms[0] / 2


# Defaults


def test_labels_are_trained_with_the_loss_of_the_paper_and_positives_with_a_softmax(table):
    X_long, y = NegativeSampler(2, random_state=0).fit_resample(table)
    for data, loss in (((X_long, y), "binary_crossentropy"), ((table,), "sampled_softmax")):
        model, same = (small_model(loss=name, epochs=1).fit(*data) for name in ("auto", loss))
        np.testing.assert_array_equal(model.predict(X_long), same.predict(X_long))


def test_the_defaults_fit_a_sparse_matrix(table):
    codes = [pd.factorize(table[name])[0] for name in ("user", "item")]
    matrix = sp.csr_array((np.ones(len(table)), codes))
    model = NeuMFRecommender(n_factors=4, epochs=1, random_state=0).fit(matrix)
    assert set(model.network_.weights.tables) == {"users", "items"}
    assert len(model.recommend(k=1)) == 60
    model.partial_fit(matrix[:2])


# Fitted attributes


def test_fitted_attributes_describe_the_table(fitted, table):
    assert fitted.users_.tolist() == pd.unique(table["user"]).tolist()
    assert fitted.items_.tolist() == pd.unique(table["item"]).tolist()
    assert fitted.seen_.shape == (60, 30)
    assert fitted.seen_.nnz == 360
    assert fitted.popularity_.sum() == 360
    assert fitted.n_features_in_ == 3
    assert fitted.feature_names_in_.tolist() == ["user", "item", "timestamp"]
    assert fitted.best_iter_ == 3


def test_the_keras_model_gives_the_decision_function(fitted, table):
    import keras

    users, items = (
        fitted.users_.get_indexer(table["user"]),
        fitted.items_.get_indexer(table["item"]),
    )
    assert isinstance(fitted.model_, keras.Model)
    assert fitted.model_ is fitted.model_
    np.testing.assert_allclose(
        fitted.model_.predict([users, items], verbose=0),
        fitted.decision_function(table),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_penalty_of_a_vector_is_divided_by_all_that_is_known_of_it(trainers, table):
    late = table["timestamp"] >= table["timestamp"].median()
    model = small_model().fit(table[~late]).partial_fit(table[late])
    for made, rows in zip(trainers, (table[~late], table), strict=True):
        pairs = rows[["user", "item"]].drop_duplicates()
        for name, degrees in made.rows.degrees._asdict().items():
            known = getattr(model, f"{name}_")[: len(degrees)]
            counts = pairs[name[:-1]].value_counts()
            assert degrees.tolist() == counts.reindex(known, fill_value=0).tolist()


def test_fitting_again_replaces_the_keras_model(table):
    model = small_model().fit(table)
    first = model.model_
    assert model.set_params(epochs=1).fit(table).model_ is not first


@pytest.mark.parametrize("architecture", ["gmf", "mlp", "neumf"])
def test_an_architecture_has_its_tables(architecture, table):
    model = small_model(architecture=architecture).fit(table)
    width = {"gmf": 4, "mlp": 4, "neumf": 8}[architecture]
    assert model.network_.users.shape == (60, width)
    assert model.network_.items.shape == (30, width)
    assert ("kernel_1" in model.network_.weights.shared) == (architecture != "gmf")


def test_predict_is_the_sigmoid_of_the_logit(fitted, table):
    np.testing.assert_allclose(fitted.predict(table), expit(fitted.decision_function(table)))


def test_the_score_of_a_recommendation_is_its_logit(fitted):
    top = fitted.recommend(k=3)
    np.testing.assert_allclose(
        top["score"], fitted.decision_function(top[["user", "item"]]), rtol=1e-5, atol=1e-6
    )


def test_score_is_exact_ndcg_at_10(table):
    X_train, X_test = LeaveLastOutSplitter().train_test_split(table)
    model = small_model().fit(X_train)
    assert model.score(X_test) == ndcg_scorer(k=10, n_negatives=None)(model, X_test)


# Ids and tables


def test_ids_of_any_kind_give_the_same_model(table):
    as_int = small_model().fit(table)
    as_str = small_model().fit(table.astype({"user": str, "item": str}))
    as_category = small_model().fit(table.astype({"user": "category", "item": "category"}))
    for other in (as_str, as_category):
        np.testing.assert_array_equal(other.network_.users, as_int.network_.users)
        np.testing.assert_array_equal(other.network_.items, as_int.network_.items)
    assert as_str.recommend("5", k=1)["item"][0] == str(as_int.recommend(5, k=1)["item"][0])


def test_arrays_and_frames_give_the_same_model(table):
    from_frame, from_array = small_model().fit(table), small_model().fit(table.to_numpy())
    np.testing.assert_array_equal(from_frame.network_.users, from_array.network_.users)


def test_a_sparse_matrix_is_users_by_items(table):
    matrix = sp.csr_array((np.ones(360), (table["user"], table["item"])), shape=(60, 30))
    model = small_model().fit(matrix)
    assert model.users_.tolist() == list(range(60))
    assert sorted(model.items_) == list(range(30))
    assert len(model.recommend(7, k=3)) == 3


def test_repeated_rows_are_legal(table):
    model = small_model().fit(pd.concat([table, table]))
    assert model.seen_.nnz == 360
    assert not model.recommend().merge(table, on=["user", "item"]).size


@pytest.mark.parametrize(("recency", "matters"), [(0.0, False), (0.5, True)])
def test_the_order_of_rows_in_time_matters_by_recency_alone(table, recency, matters):
    reversed_time = table.assign(timestamp=-table["timestamp"])
    models = [small_model(recency=recency).fit(X).network_ for X in (table, reversed_time)]
    assert np.array_equal(models[0].users, models[1].users) != matters


# Randomness


def test_one_random_state_gives_the_same_weights_bit_for_bit(table):
    weights = [small_model(dropout=0.2).fit(table).network_ for _ in range(2)]
    np.testing.assert_array_equal(weights[0].users, weights[1].users)
    np.testing.assert_array_equal(weights[0].items, weights[1].items)


@pytest.mark.parametrize("random_state", [1, None])
def test_another_random_state_gives_other_weights(table, fitted, random_state):
    other = small_model(epochs=3, random_state=random_state).fit(table)
    assert not np.array_equal(other.network_.users, fitted.network_.users)


def test_random_state_may_be_a_generator(table):
    states = (np.random.default_rng(0), np.random.RandomState(0))
    for random_state in states:
        assert small_model(random_state=random_state).fit(table).n_iter_ == 2


def test_no_global_generator_is_touched(table):
    import random

    import keras
    import tensorflow as tf

    def states():
        return (
            random.getstate(),
            pickle.dumps(np.random.get_state()),  # noqa: NPY002 - the global state is the point
            tf.random.get_global_generator().state.numpy().tolist(),
            keras.src.backend.common.global_state.get_global_attribute("global_seed_generator"),
        )

    before = states()
    model = small_model(random_state=None, dropout=0.1, early_stopping=True).fit(table)
    model.recommend()
    model.model_.predict([np.zeros(1, int), np.zeros(1, int)], verbose=0)
    assert states() == before


# y and sample_weight


def test_rows_labelled_zero_are_not_seen():
    X = pd.DataFrame({"user": [1, 1, 2, 2], "item": [10, 20, 20, 30]})
    model = small_model().fit(X, y=[1, 0, 1, 0])
    assert model.recommend(1, k=5)["item"].tolist() != []
    assert set(model.recommend(1, k=5)["item"]) == {20, 30}
    assert model.popularity_.tolist() == [1, 1, 0]


def test_labels_need_no_item_left_to_draw():
    X = pd.DataFrame({"user": [1, 1], "item": [10, 20]})
    assert small_model().fit(X, y=[1, 0]).n_iter_ == 2


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1, 2], r"y must hold a label between 0 and 1.*from 1 to 2"),
        ([1], r"y must hold one number per row of X, shape \(2,\)\. Received shape \(1,\)"),
        ([1, np.nan], "y must hold finite numbers"),
        (["a", "b"], "y must hold finite numbers"),
    ],
)
def test_bad_labels_are_refused(y, match):
    with pytest.raises(ValueError, match=match):
        small_model().fit([[1, 10], [2, 20]], y=y)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1, -1], r"sample_weight must hold numbers >= 0, not all of them zero"),
        ([0, 0], r"sample_weight must hold numbers >= 0, not all of them zero"),
        ([1, 1, 1], r"sample_weight must hold one number per row"),
    ],
)
def test_bad_weights_are_refused(weights, match):
    with pytest.raises(ValueError, match=match):
        small_model().fit([[1, 10], [2, 20]], sample_weight=weights)


def test_a_pairwise_loss_takes_no_labels():
    with pytest.raises(ValueError, match=r"y must be None with loss='bpr'"):
        small_model(loss="bpr").fit([[1, 10], [2, 20]], y=[1, 0])


# Early stopping


def test_early_stopping_keeps_the_best_epoch(table):
    model = small_model(early_stopping=True, n_iter_no_change=2, epochs=12).fit(table)
    values = model.history_["val_ndcg_at_10"]
    assert len(values) == len(model.history_["loss"]) == model.n_iter_
    assert model.best_iter_ == int(np.argmax(values)) + 1
    assert model.n_iter_ in (12, model.best_iter_ + 2)


def test_early_stopping_measures_ndcg_of_each_last_row(table):
    model = small_model(early_stopping=True, n_iter_no_change=9, epochs=1).fit(table)
    X_train, X_last = LeaveLastOutSplitter().train_test_split(table)
    values = []
    for user, item in zip(X_last["user"], X_last["item"], strict=True):
        earlier = X_train.loc[X_train["user"] == user, "item"]
        candidates = [i for i in model.items_ if i == item or i not in set(earlier)]
        scores = model.decision_function([[user, i] for i in candidates])
        values.append(ndcg_at_k([[i == item for i in candidates]], [scores]))
    assert model.history_["val_ndcg_at_10"] == pytest.approx([np.mean(values)])


def test_early_stopping_holds_out_no_row_that_is_labelled_zero(trainers):
    X = pd.DataFrame({"user": [1, 1, 1, 2, 2], "item": [10, 20, 30, 20, 30]})
    y = np.array([1, 1, 0, 1, 1])
    small_model(early_stopping=True, epochs=1).fit(X, y)
    rows = trainers[0].rows
    # Users 1 and 2 are 0 and 1; items 10, 20 and 30 are 0, 1 and 2.
    assert rows.users.tolist() == [0, 0, 1]
    assert rows.items.tolist() == [0, 2, 1]
    assert rows.labels.tolist() == [1, 0, 1]


def test_held_out_rows_are_not_trained_on(table):
    # Each user's last item is one that nobody else ever has: its vector must not move.
    last = pd.DataFrame({"user": range(60), "item": range(100, 160), "timestamp": 2000})
    X = pd.concat([table, last], ignore_index=True)
    options = {"regularization": 0.0, "negative_strategy": "popularity", "epochs": 3}
    model = small_model(early_stopping=True, n_iter_no_change=9, **options).fit(X)
    untrained = model.network_.items[model.items_ >= 100]
    assert np.abs(untrained).max() < 0.1  # as drawn from N(0, 0.01)
    start = small_model(early_stopping=True, n_iter_no_change=9, **(options | {"epochs": 1})).fit(X)
    np.testing.assert_array_equal(untrained, start.network_.items[start.items_ >= 100])


@pytest.mark.parametrize(
    "options",
    [
        {"negative_strategy": "uniform"},
        {"negative_strategy": "popularity"},
    ],
    ids=str,
)
def test_held_out_items_do_not_change_the_weights(table, options):
    # Other last items, the same earlier rows and catalogue: the weights must be the same.
    catalogue = pd.DataFrame({"user": 99, "item": range(30), "timestamp": 0})
    extra = pd.DataFrame({"user": [98, 98, 99], "item": [77, 5, 5], "timestamp": [0, 1, 1]})
    networks = []
    for items in (np.arange(60) % 30, np.arange(60)[::-1] % 30):
        last = pd.DataFrame({"user": range(60), "item": items, "timestamp": 2000})
        X = pd.concat([catalogue, extra, table, last], ignore_index=True)
        # The held-out items choose the best of several epochs.
        model = small_model(early_stopping=True, epochs=1, **options)
        networks.append(model.fit(X).network_)
    for name, weights in networks[0].weights.tables.items():
        np.testing.assert_array_equal(weights, networks[1].weights.tables[name])
    np.testing.assert_array_equal(networks[0].items, networks[1].items)


def test_early_stopping_ranks_the_held_out_row_among_items_that_no_row_labels(table):
    # Negatives that were drawn in knowledge of the held-out row would give it away.
    X, y = NegativeSampler(n_negatives=5, random_state=0).fit_resample(table)
    model = small_model(early_stopping=True, epochs=1).fit(X, y)
    _, X_last = LeaveLastOutSplitter().train_test_split(table)
    values = []
    for user, item in zip(X_last["user"], X_last["item"], strict=True):
        labelled = set(X.loc[X["user"] == user, "item"])
        candidates = [i for i in model.items_ if i == item or i not in labelled]
        scores = model.decision_function([[user, i] for i in candidates])
        values.append(ndcg_at_k([[i == item for i in candidates]], [scores]))
    assert model.history_["val_ndcg_at_10"] == pytest.approx([np.mean(values)])


def test_early_stopping_holds_out_the_row_that_the_splitter_holds_out(trainers):
    times = np.tile(np.array([3, 2, 1], dtype=np.uint64) + np.uint64(2**60), 5)
    X = pd.DataFrame({"user": np.repeat(range(5), 3), "item": range(15), "timestamp": times})
    small_model(early_stopping=True).fit(X)
    train, _ = next(LeaveLastOutSplitter().split(X))
    assert trainers[0].rows.items.tolist() == train.tolist()  # item i stands in row i


def test_a_refit_trains_all_rows_for_as_long_as_was_best(table):
    options = {"epochs": 6, "n_iter_no_change": 2}
    stopped = small_model(early_stopping=True, **options).fit(table)
    model = small_model(early_stopping="refit", **options).fit(table)
    assert model.history_ == stopped.history_
    assert model.best_iter_ == stopped.best_iter_
    # Both fits draw from one stream.
    rng = np.random.default_rng(0)
    clone(stopped).set_params(random_state=rng).fit(table)
    expected = clone(stopped).set_params(
        early_stopping=False, epochs=model.best_iter_, random_state=rng
    )
    np.testing.assert_array_equal(expected.fit(table).predict(table), model.predict(table))


def test_a_refit_does_not_go_with_pretraining(table):
    with pytest.raises(ValueError, match=r"early_stopping='refit' trains one.*pretrain='sgd'"):
        small_model(early_stopping="refit", pretrain="sgd").fit(table)


@pytest.mark.parametrize(
    "X", [[[1, 10], [2, 20]], sp.csr_array(np.eye(3))], ids=["single rows", "sparse"]
)
def test_early_stopping_needs_rows_to_hold_out(X):
    with pytest.raises(ValueError, match=r"early_stopping holds out each user's last row"):
        small_model(early_stopping=True).fit(X)


# Parameters and rows that reach the training


def test_every_parameter_reaches_the_training(table, trainers):
    options = {
        "loss": "bpr",
        "n_negatives": 3,
        "batch_size": 77,
        "learning_rate": 0.02,
        "regularization": 0.03,
        "dropout": 0.1,
    }
    small_model(**options).fit(table)
    small_model(negative_strategy="popularity").fit(table)
    expected = {**options, "loss": LOSSES["bpr"], "optimizer": "adam", "average_epochs": 1}
    assert vars(trainers[0].settings) == expected
    had = pd.crosstab(table["user"], table["item"]).loc[pd.unique(table["user"])] > 0
    counts = table["item"].value_counts()[had.columns]
    assert trainers[0].rows.negatives.unseen.n_tickets.tolist() == (~had).sum(axis=1).tolist()
    assert trainers[1].rows.negatives.unseen.n_tickets.tolist() == (~had @ counts).tolist()


def test_pretraining_starts_from_the_trained_halves(table, trainers):
    small_model(pretrain="sgd").fit(table)
    (gmf, _), (mlp, _) = (made.finished for made in trainers[:2])
    start = trainers[2].weights
    users = np.hstack([gmf.tables["users"], mlp.tables["users"]])
    h = np.vstack([gmf.shared["output_kernel"], mlp.shared["output_kernel"]]) / 2
    np.testing.assert_array_equal(start.tables["users"], users)
    np.testing.assert_array_equal(start.shared["output_kernel"], h)


def test_pretrained_halves_are_joined_and_trained_on_with_sgd(table, trainers):
    small_model(pretrain="sgd").fit(table)
    assert [made.settings.optimizer for made in trainers] == ["adam", "adam", "sgd"]


def test_late_rows_of_a_user_weigh_more(trainers):
    X = pd.DataFrame(
        {
            "user": ["a", "b", "a", "a", "b"],
            "item": [1, 2, 3, 4, 5],
            "timestamp": [30, 7, 10, 20, 7],  # equal ones keep row order
        }
    )
    small_model(recency=2).fit(X, sample_weight=[1, 1, 1, 3, 1])
    weights = np.array([1, 1 / 4, 1 / 9, 1 / 4, 1])
    expected = weights / weights.mean() * [1, 1, 1, 3, 1]
    np.testing.assert_allclose(trainers[0].rows.weights, expected, rtol=1e-6)


def test_without_recency_rows_have_no_weights(table, trainers):
    small_model(recency=0).fit(table)
    assert trainers[0].rows.weights is None


def test_recency_counts_no_row_that_is_held_out(table, trainers):
    model = small_model(recency=1, early_stopping=True, epochs=1).fit(table)
    first = trainers[0].rows.weights
    X_train, _ = LeaveLastOutSplitter().train_test_split(table)
    model.set_params(early_stopping=False).fit(X_train)
    np.testing.assert_array_equal(first, trainers[1].rows.weights)


def test_rows_of_a_sparse_matrix_weigh_all_alike(trainers):
    small_model(recency=1).fit(sp.csr_array(np.eye(3)))
    assert trainers[0].rows.weights is None


def test_recency_prefers_what_comes_after_late_rows():
    """Half of the users went from odd to even items; what they had last decides."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(120):
        odd, even = rng.permutation(np.arange(1, 40, 2)), rng.permutation(np.arange(0, 40, 2))
        early, late = (odd, even) if user < 40 else (odd, []) if user < 80 else (even, [])
        rows += [(user, item) for item in [*early[:16], *late[:4]]]
    X = pd.DataFrame(rows, columns=["user", "item"])
    share = {}
    for recency in (0, 3):
        model = small_model(recency=recency, epochs=20).fit(X)
        items = model.recommend(range(40), k=4)["item"]
        share[recency] = (items % 2 == 0).mean()
    assert share[3] > share[0] + 0.3


# Presets


def test_the_presets_of_the_paper_are_its_networks():
    model = NeuMFRecommender.from_preset("paper-8")
    assert (model.n_factors, model.dropout, model.recency) == (8, 0, 0)
    model = NeuMFRecommender.from_preset("paper-64-pretrained")
    assert (model.n_factors, model.mlp_embedding_dim, model.pretrain) == (64, 256, "sgd")
    assert model.hidden_layer_sizes == (256, 128, 64)


def test_a_preset_may_be_changed():
    model = NeuMFRecommender.from_preset("paper-16", epochs=2, random_state=3)
    assert (model.epochs, model.random_state, model.n_factors) == (2, 3, 16)
    with pytest.raises(TypeError, match="epoch"):
        NeuMFRecommender.from_preset("paper-16", epoch=2)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of.*'paper'.*Did you mean 'paper-"):
        NeuMFRecommender.from_preset("paper")


@pytest.mark.parametrize("name", NEUMF_PRESETS)
def test_every_preset_fits(name, table):
    sizes = {"n_factors": 2, "mlp_embedding_dim": 4, "hidden_layer_sizes": (4,), "epochs": 1}
    model = NeuMFRecommender.from_preset(name, **sizes, random_state=0).fit(table)
    assert len(model.recommend(k=1)) == table["user"].nunique()


def test_a_fit_that_fails_leaves_the_estimator_as_it_was(table):
    everything = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1]})
    model = small_model()
    with pytest.raises(ValueError, match="no negatives can be drawn"):
        model.fit(everything)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(table)
    before = model.fit(table).predict(table)
    with pytest.raises(ValueError, match="no negatives can be drawn"):
        model.fit(everything)
    np.testing.assert_array_equal(model.predict(table), before)


def test_training_that_diverges_says_so(table):
    with pytest.raises(ValueError, match=r"Training diverged: the loss of epoch \d is nan.*Lower"):
        small_model(learning_rate=1e25, epochs=5).fit(table)


def test_training_that_diverges_in_its_last_step_says_so(table):
    model = small_model(epochs=1, batch_size=10**6, learning_rate=1e25)
    with pytest.raises(ValueError, match=r"Training diverged: after the last epoch.*Lower"):
        model.fit(table)
    assert not hasattr(model, "network_")


def test_histories_are_no_longer_than_the_longest_there_is(table):
    model = small_model(epochs=1).fit(table)
    assert model.histories_.shape == (60, 6)  # each user has 6 rows


# Progress


def test_verbose_prints_a_line_per_epoch(table, capsys):
    small_model(verbose=1, early_stopping=True).fit(table)
    lines = [line for line in capsys.readouterr().out.splitlines() if " epoch " in line]
    assert len(lines) == 2
    assert re.fullmatch(
        r"neumf epoch 1/2  loss 0\.\d{4}  val_ndcg_at_10 0\.\d{4}  \d+\.\d s  [\d,]+ samples/s  "
        r"\d+ s left",
        lines[0],
    )
    assert lines[1].endswith("  0 s left")


def test_verbose_names_the_halves_of_pretraining(table, capsys):
    small_model(verbose=1, pretrain="sgd", epochs=1).fit(table)
    lines = [line for line in capsys.readouterr().out.splitlines() if " epoch " in line]
    assert [line.split()[0] for line in lines] == ["gmf", "mlp", "neumf"]


@pytest.fixture
def interrupt_after(monkeypatch):
    """A function that presses Ctrl-C once, after `n_epochs` epochs."""

    def interrupt(n_epochs):
        run_epoch, done = Trainer.run_epoch, []

        def run_or_interrupt(trainer):
            done.append(None)
            if len(done) == n_epochs + 1:
                raise KeyboardInterrupt
            return run_epoch(trainer)

        monkeypatch.setattr(Trainer, "run_epoch", run_or_interrupt)

    return interrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupted_fit_keeps_the_epochs_done(table, interrupt_after, early_stopping):
    whole = small_model(epochs=2, early_stopping=early_stopping).fit(table)
    interrupt_after(2)
    model = small_model(epochs=9, early_stopping=early_stopping)
    with pytest.warns(RuntimeWarning, match="interrupted after 2 of 9 epochs"):
        model.fit(table)
    assert (model.n_iter_, model.best_iter_) == (2, whole.best_iter_)
    assert model.history_ == whole.history_
    pd.testing.assert_frame_equal(model.recommend(k=3), whole.recommend(k=3))


@pytest.mark.filterwarnings("ignore:Training was interrupted")
@pytest.mark.parametrize(("n_epochs", "pretrain"), [(0, None), (1, "sgd"), (3, "sgd")])
def test_a_fit_interrupted_too_early_changes_nothing(table, interrupt_after, n_epochs, pretrain):
    model = small_model(epochs=2, pretrain=pretrain)
    interrupt_after(n_epochs)
    with pytest.raises(KeyboardInterrupt):
        model.fit(table)
    assert not hasattr(model, "network_")


def test_without_verbose_nothing_is_printed(table, capfd):
    small_model().fit(table)
    assert capfd.readouterr() == ("", "")


# Recommending


def test_seen_items_are_left_out_unless_asked_for(fitted, table):
    seen = set(zip(table["user"], table["item"], strict=True))
    top = fitted.recommend(k=30)
    assert not seen & set(zip(top["user"], top["item"], strict=True))
    assert top.groupby("user").size().eq(24).all()
    everything = fitted.recommend(k=30, exclude_seen=False)
    assert everything.groupby("user").size().eq(30).all()


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_get_the_most_popular_items(fitted, table):
    popular = PopularityRecommender().fit(table).recommend(-7, k=5)["item"].tolist()
    with pytest.warns(UserWarning, match="fit did not see 1 of 3 users, such as -7"):
        top = fitted.recommend([3, -7, 5], k=5)
    assert top["user"].tolist() == [3] * 5 + [-7] * 5 + [5] * 5
    assert top.loc[top["user"] == -7, "item"].tolist() == popular
    assert top.loc[top["user"] == 3, "item"].tolist() == fitted.recommend(3, k=5)["item"].tolist()


def test_recommending_needs_no_tensorflow(fitted, tmp_path):
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(fitted))
    code = (
        "import pickle, sys\n"
        f"model = pickle.loads(open({str(path)!r}, 'rb').read())\n"
        "print(model.recommend(3, k=4)['item'].tolist())\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == str(fitted.recommend(3, k=4)["item"].tolist())


def test_a_tuple_of_ids_is_several_users(fitted):
    assert fitted.recommend((3, 4), k=1)["user"].tolist() == [3, 4]
    assert set(fitted.recommend(3, k=30, deny=tuple(range(28)))["item"]) <= {28, 29}


# Similarity


@pytest.mark.parametrize(
    ("word", "method", "table_name"),
    [("item", "similar_items", "items"), ("user", "similar_users", "users")],
)
def test_similar_ones_are_nearest_by_cosine(fitted, word, method, table_name):
    ids, vectors = getattr(fitted, f"{table_name}_"), getattr(fitted.network_, table_name)
    similar = getattr(fitted, method)(ids[4], k=3)
    assert similar.columns.tolist() == [word, f"similar_{word}", "score", "rank"]
    v = vectors[4]
    cosines = [v @ w / np.linalg.norm(v) / np.linalg.norm(w) for w in vectors]
    expected = [i for i in np.argsort(cosines)[::-1] if i != 4][:3]
    assert similar[f"similar_{word}"].tolist() == ids[expected].tolist()
    np.testing.assert_allclose(similar["score"], np.array(cosines)[expected], rtol=1e-4)
    assert similar["rank"].tolist() == [1, 2, 3]


def test_items_of_one_colour_are_similar():
    model = NeuMFRecommender(**LEARNING | {"architecture": "gmf"}).fit(checkerboard())
    similar = model.similar_items(range(40), k=19)
    assert np.mean(similar["item"] % 2 == similar["similar_item"] % 2) > 0.95


def test_an_unknown_item_is_similar_to_nothing(fitted):
    with pytest.raises(ValueError, match=r"items must be among those that fit saw\. Received 999"):
        fitted.similar_items([3, 999])


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"architecture": "gmlp"}, ValueError, "architecture must be one of.*'gmlp'"),
        ({"loss": "bprr"}, ValueError, "loss must be one of.*Did you mean 'bpr'"),
        ({"negative_strategy": "hard"}, ValueError, "negative_strategy must be one of"),
        ({"pretrain": True}, ValueError, "pretrain must be one of 'als', 'sgd', None"),
        ({"pretrain": "sgd", "architecture": "gmf"}, ValueError, "architecture must be 'neumf'"),
        ({"loss": "softmax"}, ValueError, "loss='softmax' scores many.*architecture='gmf'"),
        ({"loss": "batch_softmax"}, ValueError, "loss='batch_softmax' scores many"),
        ({"n_factors": 0}, ValueError, r"n_factors must be an int >= 1\. Received: 0"),
        ({"n_factors": 2.5}, TypeError, r"n_factors must be an int >= 1\. Received: 2\.5"),
        ({"mlp_embedding_dim": True}, TypeError, "mlp_embedding_dim must be an int"),
        ({"hidden_layer_sizes": ()}, ValueError, "hidden_layer_sizes must be a tuple of at least"),
        ({"hidden_layer_sizes": 32}, ValueError, "hidden_layer_sizes must be a tuple of at least"),
        (
            {"hidden_layer_sizes": (8, 0)},
            ValueError,
            r"hidden_layer_sizes\[1\] must be an int >= 1",
        ),
        ({"n_negatives": 0}, ValueError, "n_negatives must be an int >= 1"),
        ({"recency": -1}, ValueError, "recency must be a number >= 0"),
        ({"regularization": -1}, ValueError, "regularization must be a number >= 0"),
        ({"regularization": "l2"}, TypeError, "regularization must be a number >= 0"),
        ({"dropout": 1}, ValueError, r"dropout must be a number >= 0 and < 1\. Received: 1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a number > 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be a number > 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be an int >= 1"),
        ({"epochs": 0}, ValueError, "epochs must be an int >= 1"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be an int >= 1"),
        ({"verbose": "no"}, TypeError, "verbose must be an int >= 0"),
        ({"random_state": "seed"}, ValueError, "random_state must be None, an int"),
        ({"random_state": -1}, ValueError, "random_state must be None, an int"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_at_fit(options, error, match, table):
    model = small_model(**options)
    with pytest.raises(error, match=match):
        model.fit(table)
    assert not hasattr(model, "users_") or "random_state" in options


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (pd.DataFrame({"user": [], "item": []}), "X must hold at least one interaction"),
        (pd.DataFrame({"user": [1, 2]}), r"X must have a user and an item column.*1 feature\(s\)"),
        (pd.DataFrame({"user": [1, None], "item": [1, 2]}), "user ids must not be missing.*row 1"),
        (pd.DataFrame({"user": [1], "what": [2]}), "no column names an item"),
        (np.array([1, 2]), "Expected 2D array"),
    ],
    ids=["empty", "one column", "missing id", "one name", "one dimension"],
)
def test_tables_that_are_none_are_refused(X, match):
    with pytest.raises(ValueError, match=match):
        small_model().fit(X)


def test_softmax_over_all_items_needs_no_item_left_to_draw():
    X = pd.DataFrame({"user": ["ann", "bob", "bob"], "item": [1, 1, 2]})
    model = small_model(loss="softmax", architecture="gmf").fit(X)
    assert model.recommend("ann")["item"].tolist() == [2]


def test_a_user_who_has_seen_everything_is_named():
    X = pd.DataFrame({"user": ["ann", "bob", "bob"], "item": [1, 1, 2]})
    with pytest.raises(ValueError, match=r"no negatives can be drawn for user 'bob'.*1 such user"):
        small_model().fit(X)


@pytest.mark.parametrize(
    "method",
    ["predict", "decision_function", "recommend", "similar_items", "similar_users", "score"],
)
def test_an_unfitted_estimator_says_so(method, table):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small_model(), method)(table)


def test_an_unfitted_estimator_has_no_model():
    assert not hasattr(small_model(), "model_")
    with pytest.raises(NotFittedError, match="not fitted yet"):
        small_model().model_  # noqa: B018


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_k_must_be_a_positive_int(fitted, k, error):
    with pytest.raises(error, match="k must be an int >= 1"):
        fitted.recommend(3, k=k)
    with pytest.raises(error, match="k must be an int >= 1"):
        fitted.similar_items(3, k=k)


def test_k_beyond_the_catalogue_gives_what_there_is(fitted):
    assert len(fitted.recommend(3, k=10_000)) == 24
    assert len(fitted.similar_items(3, k=10_000)) == 29


def test_string_ids_after_int_ids_are_refused(fitted, table):
    as_str = table.astype({"user": str, "item": str})
    with pytest.raises(ValueError, match=r"user ids must be of the kind that fit saw, numbers"):
        fitted.predict(as_str)
    with pytest.raises(ValueError, match=r"deny must be of the kind that fit saw, numbers"):
        fitted.recommend(3, deny=["3"])
    with pytest.raises(ValueError, match=r"items must be of the kind that fit saw, numbers"):
        fitted.similar_items("3")


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_string_users_after_int_users_get_popular_items_and_a_warning(fitted):
    with pytest.warns(UserWarning, match=r"users must be of the kind that fit saw, numbers"):
        top = fitted.recommend(["3"], k=5)
    assert top["item"].tolist() == fitted.recommend(-7, k=5)["item"].tolist()


def test_unknown_ids_at_predict_are_nan_and_counted(fitted):
    with pytest.warns(
        UserWarning, match=r"2 of 3 rows name a user or an item that fit did not see"
    ):
        probability = fitted.predict([[3, 5], [999, 5], [3, 999]])
    assert np.isnan(probability).tolist() == [False, True, True]


# A scikit-learn estimator


def test_clone_and_set_params_before_and_after_fit(fitted):
    for model in (small_model(hidden_layer_sizes=[4]), fitted):
        twin = clone(model)
        assert twin.get_params() == model.get_params()
        assert not hasattr(twin, "users_")
        assert twin.set_params(n_factors=5).n_factors == 5


@pytest.mark.parametrize(
    "copy_of", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_predict_the_same(fitted, table, copy_of):
    fitted.model_  # noqa: B018 - the Keras model must not get in the way
    twin = copy_of(fitted)
    np.testing.assert_array_equal(twin.predict(table), fitted.predict(table))
    assert twin.model_ is not fitted.model_


# The figures of the peers


@pytest.mark.slow
def test_movielens_100k_reaches_what_the_peers_reach(real_data):
    from neumf import hr_scorer
    from neumf.datasets import read_movielens

    X = read_movielens(real_data("ml-100k", "u.data"))
    X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
    values = []
    for seed in range(3):
        model = NeuMFRecommender(random_state=seed).fit(X_train)
        with pytest.warns(UserWarning, match="3 of 943 held-out rows"):
            hr = hr_scorer(n_negatives=99)(model, X_test)
        with pytest.warns(UserWarning, match="3 of 943 held-out rows"):
            ndcg = ndcg_scorer(n_negatives=99)(model, X_test)
        values.append((hr, ndcg))
    hr, ndcg = np.mean(values, axis=0)
    assert hr >= 0.63
    assert ndcg >= 0.36
