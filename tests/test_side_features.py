"""Recommenders find cold items and cold users by their features."""

import importlib.util
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

import neumf
from neumf import ColdItemSplitter, NeuMFRecommender, NextItemRecommender, ndcg_scorer
from neumf.training import trainer as trainer_module
from neumf.training.program import compile_program
from neumf.training.runtime import import_tensorflow

# Odd and even books; the last four are cold.
N_WARM, N_BOOKS = 20, 24
COLD = [*range(N_WARM, N_BOOKS)]
BOOKS = pd.DataFrame(
    {"odd": np.arange(N_BOOKS) % 2 == 1, "even": np.arange(N_BOOKS) % 2 == 0},
    index=pd.Index(range(N_BOOKS), name="item"),
)
# Readers 40 to 43 are cold.
COLD_READERS = [*range(40, 44)]
READERS = pd.DataFrame({"parity": np.arange(44) % 2, "one": 1}).rename_axis("user")
LEARNING = {
    "n_factors": 8,
    "regularization": 0.2,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "batch_size": 128,
    "epochs": 20,
    "random_state": 0,
}
OF_IDS = LEARNING | {
    "architecture": "gmf",
    "mlp_embedding_dim": 8,
    "hidden_layer_sizes": (8, 4),
    "n_negatives": 4,
    "regularization": 0.01,
    "epochs": 30,
}
OF_HISTORIES = LEARNING | {"history_length": 5}


def model_of(**changes):
    return NextItemRecommender(**OF_HISTORIES | {"item_features": BOOKS} | changes)


def model_of_ids(**changes):
    return NeuMFRecommender(**OF_IDS | {"item_features": BOOKS} | changes)


both_models = pytest.mark.parametrize("make", [model_of_ids, model_of])


def share_of_kind(lists):
    return np.mean(lists["item"] % 2 == lists["user"] % 2)


def assert_same_network(model, other):
    for ours, theirs in zip(model.network_.weights, other.network_.weights, strict=True):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])


@pytest.fixture(scope="module")
def X():  # noqa: N802 - as the argument of fit
    """Each of 40 readers has 8 of the 10 warm books of a kind, in no order."""
    pairs = [(user, item) for user in range(40) for item in range(N_WARM)]
    rows = [(user, item) for user, item in pairs if (user - item) % 10 in (0, 2, 4, 6)]
    return pd.DataFrame(rows, columns=["user", "item"]).sample(frac=1, random_state=0)


@pytest.fixture(scope="module")
def fitted(X):
    return model_of().fit(X)


# Cold items


@pytest.mark.parametrize(
    "model",
    [
        model_of_ids(),
        model_of_ids(loss="softmax"),
        model_of_ids(loss="batch_softmax", negative_strategy="popularity"),
        model_of_ids(architecture="mlp", learning_rate=0.01, regularization=0.001, epochs=60),
        model_of_ids(architecture="neumf", loss="bpr"),
        model_of_ids(architecture="neumf", pretrain="sgd"),
        model_of_ids(early_stopping=True),
        model_of(),
        model_of(loss="bpr"),
        model_of(share_item_vectors=False, hidden_size=4),
        model_of(add_user_vectors=True, loss="softmax"),
        model_of(early_stopping="refit"),
    ],
    ids=repr,
)
def test_cold_items_are_recommended_to_those_who_like_their_kind(X, model):
    model.fit(X)
    top = model.recommend(k=2, allow=COLD)
    assert len(top) == 80
    assert share_of_kind(top) >= 0.95
    # Two warm ones of a kind are left: before those of the other kind come all four.
    assert share_of_kind(model.recommend(k=4)) >= 0.95


def test_rows_labelled_0_leave_cold_items_alone(X):
    others = X.assign(item=(X["item"] + 1) % N_WARM)
    labelled = pd.concat([X, others], ignore_index=True)
    y = np.repeat([1.0, 0.0], len(X))
    model = model_of_ids().fit(labelled, y)
    assert share_of_kind(model.recommend(k=2, allow=COLD)) >= 0.95


def test_a_sparse_matrix_has_cold_items_behind_its_columns(X):
    matrix = sp.csr_array((np.ones(len(X)), (X["user"], X["item"])), shape=(40, N_WARM))
    model = model_of_ids().fit(matrix)
    assert set(model.items_) == {*range(N_BOOKS)}
    assert model.items_[-4:].tolist() == COLD
    assert share_of_kind(model.recommend(k=2, allow=COLD)) >= 0.95


def test_cold_items_stand_behind_those_of_the_rows(fitted, X):
    warm = list(dict.fromkeys(X["item"]))
    assert list(fitted.items_) == warm + COLD
    assert fitted.seen_.shape == (40, N_BOOKS)
    assert fitted.popularity_[-4:].tolist() == [0] * 4
    np.testing.assert_array_equal(fitted.popularity_[:-4], X["item"].value_counts()[warm])


def test_cold_items_have_finite_scores(fitted):
    pairs = [[user, item] for user in (0, 1) for item in COLD]
    assert np.isfinite(fitted.decision_function(pairs)).all()
    probabilities = fitted.predict(pairs)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_similar_items_of_a_cold_one_are_of_its_kind(fitted):
    similar = fitted.similar_items(COLD, k=5)
    assert (similar["similar_item"] % 2 == similar["item"] % 2).all()


@both_models
def test_a_cold_item_counts_for_a_new_user(X, make):
    model = make().fit(X)
    told = pd.DataFrame({"user": ["odd", "even"], "item": [21, 22]})
    top = model.recommend(["odd", "even"], k=5, interactions=told)
    odd = top.loc[top["user"] == "odd", "item"]
    even = top.loc[top["user"] == "even", "item"]
    assert (odd % 2 == 1).all()
    assert (even % 2 == 0).all()
    assert 21 not in odd.tolist()


def test_cold_items_of_equal_features_have_equal_scores(X):
    nothing = pd.DataFrame({"same": np.ones(N_BOOKS)}, index=BOOKS.index)
    model = model_of(item_features=nothing).fit(X)
    cold = model.network_.items[-4:]
    np.testing.assert_array_equal(cold, np.tile(cold[:1], (4, 1)))
    # And a constant column tells what none but zeros does.
    zeros = model_of(item_features=nothing * 0).fit(X)
    np.testing.assert_allclose(model.network_.items, zeros.network_.items, rtol=1e-3, atol=1e-4)


def test_cold_vectors_are_what_ridge_regression_makes_of_the_features(X, fitted):
    """The map of the last weights; an item of n users weighs n / (n + 20)."""
    features = BOOKS.loc[fitted.items_].to_numpy(float)
    inputs = np.column_stack([features, np.ones(N_BOOKS)])
    warm, items = inputs[:N_WARM], fitted.network_.item_vectors
    weights = (fitted.popularity_ / (fitted.popularity_ + 20))[:N_WARM, None]
    gram = warm.T @ (weights * warm) + np.diag([1.0, 1.0, 0.0])
    solution = np.linalg.solve(gram, warm.T @ (weights * items[:N_WARM]))
    np.testing.assert_allclose(items[N_WARM:], inputs[N_WARM:] @ solution, rtol=1e-3, atol=1e-4)


def test_cold_biases_are_what_similar_items_lead_to(fitted):
    """Books of the same kind are at distance 0, those of the other kind at sqrt(2)."""
    is_odd = BOOKS.loc[fitted.items_, "odd"].to_numpy()
    kernel = np.where(is_odd[:, None] == is_odd, 1.0, np.exp(-1.5 * 2))
    biases = fitted.network_.items[:, -1].astype(float)
    mean, warm = biases[:N_WARM].mean(), kernel[:N_WARM, :N_WARM] + 0.3 * np.eye(N_WARM)
    expected = mean + kernel[N_WARM:, :N_WARM] @ np.linalg.solve(warm, biases[:N_WARM] - mean)
    np.testing.assert_allclose(biases[N_WARM:], expected, rtol=1e-4, atol=1e-5)


# Nothing leaks


def test_what_cold_items_are_like_moves_no_other_vector(X, fitted):
    other = BOOKS.copy()
    other.loc[COLD] = ~other.loc[COLD]
    model = model_of(item_features=other).fit(X)
    for name, table in model.network_.weights.tables.items():
        expected = fitted.network_.weights.tables[name]
        np.testing.assert_array_equal(table[:N_WARM], expected[:N_WARM])
        assert (table[N_WARM:] != expected[N_WARM:]).any()
    np.testing.assert_array_equal(model.network_.users, fitted.network_.users)


def test_the_order_of_the_table_changes_no_vector(X, fitted):
    model = model_of(item_features=BOOKS.sample(frac=1, random_state=1)).fit(X)
    order = model.items_.get_indexer(fitted.items_)
    np.testing.assert_array_equal(model.network_.items[order], fitted.network_.items)


def test_two_fits_of_one_seed_give_the_same_weights(X, fitted):
    assert_same_network(model_of().fit(X), fitted)


def test_the_table_is_neither_changed_nor_copied(X):
    table = BOOKS.copy()
    assert model_of(item_features=table, epochs=1).fit(X).item_features is table
    assert_frame_equal(table, BOOKS)


def test_warm_items_without_features_are_learned_as_well(X):
    some = BOOKS.drop(index=[0, 1, 2, 3])
    model = model_of(item_features=some).fit(X)
    top = model.recommend(k=2, allow=[0, 1, 2, 3], exclude_seen=False)
    assert share_of_kind(top) >= 0.95
    assert share_of_kind(model.recommend(k=2, allow=COLD)) >= 0.95


# Cold users


own_vectors = pytest.mark.parametrize(
    "make", [model_of_ids, lambda **changes: model_of(add_user_vectors=True, **changes)]
)


@own_vectors
@pytest.mark.parametrize("item_features", [None, BOOKS], ids=["users", "both"])
def test_cold_users_get_the_lists_of_their_kind(X, make, item_features):
    model = make(item_features=item_features, user_features=READERS).fit(X)
    known = list(dict.fromkeys(X["user"]))
    assert list(model.users_) == known + COLD_READERS
    top = model.recommend(COLD_READERS, k=8)
    assert share_of_kind(top) >= 0.95
    assert not model.seen_[-4:].nnz
    assert np.isfinite(model.predict([[user, 0] for user in COLD_READERS])).all()


@own_vectors
def test_cold_users_fold_in(X, make):
    model = make(user_features=READERS).fit(X)
    told = pd.DataFrame({"user": [40, 41], "item": [2, 3]})
    top = model.recommend([40, 41], k=5, interactions=told)
    assert share_of_kind(top) == 1
    assert not top["item"].isin([2, 3]).any()


# Errors


def test_users_made_of_histories_alone_take_no_features(X):
    with pytest.raises(ValueError, match=r"user_features .* add_user_vectors must be True"):
        model_of(user_features=READERS).fit(X)


@pytest.mark.parametrize("value", [0, -1.0, "1", np.nan])
def test_the_penalty_of_the_map_is_a_number_above_0(X, value):
    with pytest.raises((TypeError, ValueError), match="feature_regularization must be"):
        model_of(feature_regularization=value).fit(X)


def test_a_fit_that_fails_at_a_table_changes_nothing(X):
    model = model_of_ids(epochs=1).fit(X)
    before = dict(vars(model))
    for name in ("item_features", "user_features"):
        bad = model.set_params(**{name: BOOKS.assign(title="x")})
        for method in (bad.fit, bad.partial_fit):
            with pytest.raises(ValueError, match=f"{name} must .* column 'title'"):
                method(X)
        model.set_params(**{name: before[name]})
        assert vars(model) == before


# In scikit-learn


def test_clone_keeps_the_tables(X, fitted):
    twin = clone(fitted.set_params(user_features=None))
    assert_frame_equal(twin.item_features, BOOKS)
    assert_same_network(twin.fit(X), fitted)


def test_a_pipeline_sets_the_table(X):
    pipeline = Pipeline([("model", model_of(item_features=None))])
    pipeline.set_params(model__item_features=BOOKS).fit(X)
    assert share_of_kind(pipeline[-1].recommend(k=2, allow=COLD)) >= 0.95


@pytest.mark.filterwarnings("ignore:.* held-out rows name a user or an item that fit did not see")
# Old NumPy asks each value of a masked array for it.
@pytest.mark.filterwarnings("ignore:DataFrame._data is deprecated")
def test_a_grid_search_picks_the_table_that_tells(X):
    search = GridSearchCV(
        model_of_ids(loss="bpr"),
        {"item_features": [None, BOOKS]},
        cv=ColdItemSplitter(1, test_size=0.3, random_state=0),
        scoring=ndcg_scorer(candidates="cold"),
    ).fit(X)
    assert search.best_params_["item_features"].columns.tolist() == ["odd", "even"]
    # Without a table cold items are misses.
    without, found = search.cv_results_["mean_test_score"]
    assert without == 0
    assert found > 0.6
    assert share_of_kind(search.best_estimator_.recommend(k=2, allow=COLD)) >= 0.95


# In files


def test_pickles_are_whole(fitted):
    twin = pickle.loads(pickle.dumps(fitted))
    assert_frame_equal(twin.item_features, BOOKS)
    assert_frame_equal(twin.recommend(k=9), fitted.recommend(k=9))


@pytest.mark.parametrize("user_features", [None, READERS], ids=["items", "both"])
def test_a_file_holds_what_was_learned_of_the_tables_and_not_them(X, user_features, tmp_path):
    model = model_of(user_features=user_features, add_user_vectors=True, epochs=2).fit(X)
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    without = {"item_features": None, "user_features": None}
    assert loaded.get_params() == model.get_params() | without
    assert_frame_equal(loaded.recommend(k=9), model.recommend(k=9))
    assert_frame_equal(loaded.similar_items(COLD), model.similar_items(COLD))
    assert model.item_features is BOOKS


# Further training


def few_rows(users=(0, 1, 2, 3)):
    return pd.DataFrame({"user": users, "item": [8 + user % 2 for user in users]})


LATER = pd.concat([BOOKS, pd.DataFrame({"odd": [True, False], "even": [False, True]}, [25, 24])])


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_new_items_of_the_table_join_as_cold_ones(X, loss):
    model = model_of(loss=loss).fit(X)
    model.set_params(item_features=LATER, epochs=2).partial_fit(few_rows())
    assert model.items_[-2:].tolist() == [25, 24]
    assert model.popularity_[-2:].tolist() == [0, 0]
    assert share_of_kind(model.recommend(k=1, allow=[24, 25])) >= 0.95
    assert share_of_kind(model.recommend(k=2, allow=COLD)) >= 0.95


@both_models
def test_a_new_item_with_rows_starts_where_its_features_lead(X, make):
    # A step size of next to nothing: what is there is what it started as.
    model = make().fit(X)
    model.set_params(item_features=LATER, epochs=1, learning_rate=1e-9)
    model.partial_fit(pd.DataFrame({"user": [1, 3], "item": 25}))
    for table in ("items", "history"):
        if table in model.network_.weights.tables:
            vectors = pd.DataFrame(model.network_.weights.tables[table], index=model.items_)
            np.testing.assert_allclose(vectors.loc[25], vectors.loc[21], rtol=1e-4, atol=1e-5)
    assert model.popularity_[model.items_.get_loc(25)] == 2
    assert share_of_kind(model.recommend([5, 6, 7, 8], k=1, allow=[20, 25])) == 1


def test_a_cold_item_that_gets_rows_goes_on_from_its_centre(X, fitted):
    model = pickle.loads(pickle.dumps(fitted)).set_params(epochs=1, learning_rate=1e-9)
    model.partial_fit(pd.DataFrame({"user": [1], "item": [21]}))
    np.testing.assert_allclose(model.network_.items, fitted.network_.items, rtol=1e-4, atol=1e-5)
    assert model.items_.equals(fitted.items_)


def test_a_new_user_with_features_starts_where_they_lead(X):
    model = model_of_ids(user_features=READERS).fit(X)
    later = pd.concat([READERS, pd.DataFrame({"parity": [1, 0], "one": 1}, index=[51, 50])])
    model.set_params(user_features=later, epochs=1, learning_rate=1e-9)
    model.partial_fit(pd.DataFrame({"user": [51], "item": [1]}))
    assert model.users_[-2:].tolist() == [51, 50]
    vectors = pd.DataFrame(model.network_.users, index=model.users_)
    np.testing.assert_allclose(vectors.loc[[51, 50]], vectors.loc[[41, 40]], rtol=1e-3, atol=1e-4)
    assert share_of_kind(model.recommend([50, 51], k=5)) == 1


@pytest.mark.parametrize(
    "model",
    [
        model_of_ids(loss="softmax"),
        model_of_ids(loss="bpr"),
        model_of(),
        model_of(add_user_vectors=True, user_features=READERS),
    ],
    ids=["softmax", "bpr", "histories", "readers"],
)
def test_a_loaded_recommender_goes_on_without_the_table(X, model, tmp_path):
    """Cold items then stay where they are, whatever the loss."""
    model.fit(X)
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    before = loaded.network_.items.copy()
    loaded.set_params(epochs=3).partial_fit(few_rows())
    assert loaded.items_.equals(model.items_)
    after = loaded.network_.items
    np.testing.assert_array_equal(after[N_WARM:], before[N_WARM:])
    assert (after[:N_WARM] != before[:N_WARM]).any()
    assert share_of_kind(loaded.recommend(range(40), k=2, allow=COLD)) >= 0.95


def test_a_loaded_recommender_goes_on_with_the_table_that_it_is_given(X, tmp_path):
    model = model_of(user_features=READERS, add_user_vectors=True).fit(X)
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    loaded.set_params(item_features=BOOKS, user_features=READERS)
    for recommender in (loaded, model):
        recommender.set_params(epochs=2).partial_fit(few_rows())
    assert_same_network(loaded, model)


# Early stopping


def test_validation_rows_of_cold_items_are_ranked(X):
    """They are in the catalogue: no warning says that they are misses."""
    X_val = pd.DataFrame({"user": range(40), "item": [20 + user % 2 for user in range(40)]})
    model = model_of(early_stopping=True, add_simple_methods=False).fit(X, X_val=X_val)
    assert max(model.history_["val_ndcg_at_10"]) > 0.3
    assert ndcg_scorer()(model, X_val) == pytest.approx(max(model.history_["val_ndcg_at_10"]))


# Cost


def test_the_number_of_columns_compiles_no_program_anew(X, monkeypatch):
    plans = set()

    def note(plan, with_xla):
        plans.add(plan)
        return compile_program(plan, with_xla=False)

    monkeypatch.setattr(trainer_module, "compile_program", note)
    rng = np.random.default_rng(0)
    for n_columns in (20, 3000):
        table = pd.DataFrame(rng.integers(0, 2, (N_BOOKS, n_columns)), index=BOOKS.index)
        model_of(item_features=table, epochs=1).fit(X)
    assert len(plans) == 1


# Export

FORMATS = ["tf_saved_model"]
if all(importlib.util.find_spec(name) for name in ("onnxruntime", "tf2onnx")):
    FORMATS.append("onnx")


@pytest.mark.parametrize("form", FORMATS)
def test_exported_lists_have_cold_items(X, form, tmp_path):
    model = model_of_ids(epochs=3).fit(X)
    model.export(tmp_path / "lists", form, k=9)
    ids = json.loads((tmp_path / "lists" / "ids.json").read_text())
    assert ids["items"] == model.items_.tolist()
    seen = np.full((40, 20), -1, np.int32)
    for row in range(40):
        items = model.seen_[[row]].indices
        seen[row, : len(items)] = items
    inputs = {"user": np.arange(40, dtype=np.int32), "seen": seen}
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(tmp_path / "lists" / "model.onnx")
        names = [part.name for part in session.get_outputs()]
        found = dict(zip(names, session.run(None, inputs), strict=True))["item"]
    else:
        tf = import_tensorflow()
        graph = tf.saved_model.load(str(tmp_path / "lists")).signatures["serving_default"]
        found = graph(**{name: tf.constant(part) for name, part in inputs.items()})["item"].numpy()
    expected = model.recommend(k=9)["item"]
    assert expected.isin(COLD).any()
    assert model.items_[found.ravel()].tolist() == expected.tolist()
