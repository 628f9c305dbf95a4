"""`NextItemRecommender`: users by their last items, matched by a dot product."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import SMALL_NEXT_ITEM

from neumf import (
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
)
from neumf.neural.parameters import NEXT_ITEM_PRESETS


def small_model(**changes):
    return NextItemRecommender(**(SMALL_NEXT_ITEM | changes))


@pytest.fixture(scope="module")
def fitted(table):
    return small_model().fit(table)


# Learning


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "softmax"},
        {"loss": "sampled_softmax", "n_negatives": 4},
        {"loss": "bpr", "n_negatives": 4},
        {"loss": "binary_crossentropy", "n_negatives": 4},
        {"share_item_vectors": False},
        {"add_user_vectors": True, "hidden_size": 4},
    ],
    ids=str,
)
def test_what_comes_next_is_found_where_order_decides(options):
    starts = np.random.default_rng(0).integers(0, 20, 150)
    items = (starts[:, None] + np.arange(8)) % 20
    X = pd.DataFrame({"user": np.repeat(np.arange(150), 8), "item": items.ravel()})
    X_train, X_test = LeaveLastOutSplitter().train_test_split(X)
    model = small_model(**{"n_factors": 16, "epochs": 20} | options).fit(X_train)
    assert model.score(X_test) > 0.95


@pytest.mark.parametrize("share_item_vectors", [False, True])
def test_labels_are_trained_with_crossentropy_and_positives_with_a_softmax(
    table, share_item_vectors
):
    X_long, y = NegativeSampler(2, random_state=0).fit_resample(table)
    options = {"share_item_vectors": share_item_vectors, "epochs": 1}
    for data, loss in (((X_long, y), "binary_crossentropy"), ((table,), "batch_softmax")):
        model, same = (small_model(loss=name, **options).fit(*data) for name in ("auto", loss))
        np.testing.assert_array_equal(model.predict(X_long), same.predict(X_long))


def test_items_of_equal_vectors_rank_by_popularity_before_training(table):
    X = pd.concat([table, table[table["item"] < 10].assign(user=lambda X: X["user"] + 100)])
    # A step size of next to nothing: what is there is what it started as.
    model = small_model(learning_rate=1e-9, epochs=1).fit(X)
    biases = np.log((model.popularity_ + 1) / np.mean(model.popularity_ + 1))
    np.testing.assert_allclose(model.network_.items[:, -1], biases, atol=1e-6)
    model.network_.users[:] = 0
    scores = model.decision_function(pd.DataFrame({"user": 0, "item": model.items_}))
    np.testing.assert_allclose(scores, biases, atol=1e-6)


def test_the_penalty_leaves_the_biases_of_items_alone(table):
    options = {"learning_rate": 0.002, "epochs": 150, "regularization": 100.0}
    model = small_model(**options).fit(table)
    assert np.abs(model.network_.item_vectors).max() < 1e-3
    assert np.abs(model.network_.items[:, -1]).max() > 0.1


@pytest.mark.parametrize("share_item_vectors", [False, True])
def test_sharing_item_vectors_decides_what_is_learned(table, share_item_vectors):
    model = small_model(share_item_vectors=share_item_vectors, epochs=1).fit(table)
    assert set(model.network_.weights.tables) == {"items", "history"}
    # Biases of items go with shared vectors; without, the factors are weighted.
    assert model.network_.items.shape == (30, 8 + share_item_vectors)
    assert ("output_kernel" in model.network_.weights.shared) != share_item_vectors


@pytest.mark.parametrize(("share_item_vectors", "std"), [(True, 0.03), (False, 0.01)])
def test_initial_vectors_have_the_documented_spread(share_item_vectors, std):
    blueprint = small_model(share_item_vectors=share_item_vectors)._plan(None).blueprint
    items = blueprint.initial_tables(1, 20_000, np.random.default_rng(0))["items"]
    assert items[:, :8].std() == pytest.approx(std, rel=0.02)


# Fitted attributes


def test_the_keras_model_gives_the_decision_function(fitted, table):
    codes = [fitted.users_.get_indexer(table["user"]), fitted.items_.get_indexer(table["item"])]
    found = fitted.model_.predict(codes, verbose=0)
    expected = fitted.decision_function(table)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_bias_of_an_item_does_not_count_in_similar_items(table):
    model = small_model().fit(table)
    before = model.similar_items(range(30))
    model.network_.items[:, -1] += 100
    pd.testing.assert_frame_equal(model.similar_items(range(30)), before)


def test_one_random_state_gives_the_same_weights_bit_for_bit(fitted, table):
    again = small_model().fit(table).network_
    np.testing.assert_array_equal(again.users, fitted.network_.users)
    np.testing.assert_array_equal(again.items, fitted.network_.items)


def test_held_out_items_do_not_change_the_weights(table):
    # Other last items, the same earlier rows and catalogue: the weights must be the same.
    catalogue = pd.DataFrame({"user": 99, "item": range(30), "timestamp": 0})
    extra = pd.DataFrame({"user": [98, 98, 99], "item": [77, 5, 5], "timestamp": [0, 1, 1]})
    networks = []
    for items in (np.arange(60) % 30, np.arange(60)[::-1] % 30):
        last = pd.DataFrame({"user": range(60), "item": items, "timestamp": 2000})
        X = pd.concat([catalogue, extra, table, last], ignore_index=True)
        # The held-out items choose the best of several epochs.
        model = small_model(early_stopping=True, epochs=1)
        networks.append(model.fit(X).network_)
    for name, weights in networks[0].weights.tables.items():
        np.testing.assert_array_equal(weights, networks[1].weights.tables[name])


def test_histories_are_no_longer_than_the_longest_there_is(table):
    model = small_model(history_length=10**6, epochs=1).fit(table)
    assert model.histories_.shape == (60, 6)  # each user has 6 rows
    expected = small_model(history_length=6, epochs=1).fit(table)
    np.testing.assert_array_equal(model.network_.users, expected.network_.users)
    assert len(model.recommend(-1, k=3, interactions=table.assign(user=-1).head(20))) == 3


def test_verbose_names_the_network(table, capsys):
    small_model(verbose=1, epochs=1).fit(table)
    assert "\nnext item epoch 1/1  loss " in capsys.readouterr().out


# Parameters


def test_no_recommender_has_more_than_22_parameters():
    for recommender in (NeuMFRecommender(), NextItemRecommender()):
        assert len(recommender.get_params()) <= 22


def test_each_parameter_of_one_recommender_alone_belongs_to_its_network():
    ours, others = (set(model().get_params()) for model in (NextItemRecommender, NeuMFRecommender))
    assert ours - others == {
        "hidden_size",
        "history_length",
        "add_simple_methods",
        "share_item_vectors",
        "time_gaps",
        "add_user_vectors",
    }
    assert others - ours == {
        "architecture",
        "hidden_layer_sizes",
        "mlp_embedding_dim",
        "n_jobs",
        "negative_strategy",
        "pretrain",
    }


def test_a_preset_may_be_changed():
    model = NextItemRecommender.from_preset("large", epochs=2, random_state=3)
    assert (model.epochs, model.random_state, model.history_length) == (2, 3, 50)
    with pytest.raises(TypeError, match="epoch"):
        NextItemRecommender.from_preset("large", epoch=2)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of.*'larg'.*Did you mean 'large'"):
        NextItemRecommender.from_preset("larg")


def test_the_timed_preset_differs_in_what_reads_the_request_time():
    large, timed = (
        NextItemRecommender.from_preset(name).get_params() for name in NEXT_ITEM_PRESETS
    )
    changed = {name: timed[name] for name in timed if timed[name] != large[name]}
    assert changed == {"time_gaps": "request"}


@pytest.mark.parametrize("name", NEXT_ITEM_PRESETS)
def test_every_preset_fits(name, table):
    changes = {"n_factors": 8, "hidden_size": 4, "epochs": 1, "random_state": 0}
    model = NextItemRecommender.from_preset(name, **changes).fit(table)
    assert len(model.recommend(k=1)) == table["user"].nunique()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n_factors": 0}, ValueError, r"n_factors must be an int >= 1\. Received: 0"),
        ({"history_length": 0}, ValueError, "history_length must be an int >= 1"),
        ({"history_length": 2.5}, TypeError, "history_length must be an int >= 1"),
        ({"hidden_size": -1}, ValueError, "hidden_size must be an int >= 0"),
        (
            {"time_gaps": "question"},
            ValueError,
            "time_gaps must be one of None, 'newest', 'request'",
        ),
        ({"add_simple_methods": 2}, ValueError, "add_simple_methods must be one of True, False"),
        ({"share_item_vectors": 2}, ValueError, "share_item_vectors must be one of True, False"),
        ({"add_user_vectors": "yes"}, ValueError, "add_user_vectors must be one of True, False"),
        ({"loss": "bprr"}, ValueError, "loss must be one of.*Did you mean 'bpr'"),
        ({"dropout": 1}, ValueError, "dropout must be a number >= 0 and < 1"),
        ({"epochs": 0}, ValueError, "epochs must be an int >= 1"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused_at_fit(options, error, match, table):
    model = small_model(**options)
    with pytest.raises(error, match=match):
        model.fit(table)
    assert not hasattr(model, "users_")


def test_a_sparse_matrix_is_refused_and_the_other_recommender_named():
    said = r"rows have an order in time.*Received a sparse matrix.*NeuMFRecommender, which needs"
    model = small_model()
    with pytest.raises(ValueError, match=said):
        model.fit(sp.csr_array(np.eye(3)))
    assert not hasattr(model, "users_")


def test_user_features_need_vectors_of_users(table):
    features = pd.DataFrame({"user": range(60), "one": 1.0})
    with pytest.raises(ValueError, match=r"user_features .* add_user_vectors must be True"):
        small_model(user_features=features).fit(table)
    model = small_model(user_features=features, add_user_vectors=True, epochs=1).fit(table)
    assert "users" in model.network_.weights.tables


def test_training_that_diverges_in_its_last_step_says_so(table):
    model = small_model(epochs=1, batch_size=10**6, learning_rate=1e25)
    with pytest.raises(ValueError, match=r"Training diverged: after the last epoch.*Lower"):
        model.fit(table)
    assert not hasattr(model, "network_")


# Refits


@pytest.mark.parametrize("make", [NeuMFRecommender, NextItemRecommender])
def test_a_refit_with_an_array_forgets_the_names_of_columns(make, table):
    model = make(n_factors=2, epochs=1, random_state=0).fit(table)
    assert model.feature_names_in_.tolist() == ["user", "item", "timestamp"]
    model.fit(table[["user", "item"]].to_numpy())
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 2
    model.partial_fit(table[["user", "item"]].to_numpy()[:5])


@pytest.mark.parametrize("make", [NeuMFRecommender, NextItemRecommender])
def test_a_fit_that_fails_late_leaves_every_attribute_as_it_was(make, table):
    model = make(n_factors=2, epochs=1, random_state=0).fit(table)
    before = dict(vars(model))
    model.set_params(learning_rate=1e25)
    with pytest.raises(ValueError, match="Training diverged"):
        model.fit(table[["user", "item"]].head(200).to_numpy())
    model.set_params(learning_rate=before["learning_rate"])
    after = vars(model)
    assert after.keys() == before.keys()
    assert all(after[name] is value or after[name] == value for name, value in before.items())
    assert model.n_features_in_ == 3
