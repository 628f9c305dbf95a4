import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM
from strategies import tables

from neumf import (
    ALSRecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    NextItemRecommender,
    VotingRecommender,
    load,
)

GMF = NeuMFRecommender(**SMALL_NEUMF | {"architecture": "gmf"})
MODELS = {
    "als": ALSRecommender(n_factors=4, random_state=0),
    "gmf": GMF,
    "next_item": NextItemRecommender(**SMALL_NEXT_ITEM),
    "learned_h": NextItemRecommender(**SMALL_NEXT_ITEM | {"share_item_vectors": False}),
    "request": NextItemRecommender(
        **SMALL_NEXT_ITEM | {"time_gaps": "request", "add_user_vectors": True}
    ),
}
NEW = pd.DataFrame({"user": [3, 1000, 1000], "item": [1, 2, 5], "timestamp": [2000, 2000, 2001]})


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, table):
    model = MODELS[request.param].fit(table)
    if hasattr(model, "network_"):  # as if trained for long: no bias and no weight is 0 or 1
        rng = np.random.default_rng(0)
        tables, shared = model.network_.weights
        for values in [tables["items"], *shared.values()]:
            values += rng.normal(size=values.shape).astype(np.float32)
    return model


def products(model, users, **options):
    return model.user_vectors(users, **options) @ model.item_vectors().T


@pytest.mark.parametrize("options", [{}, {"at": 500}, {"interactions": NEW}], ids=str)
def test_inner_products_are_logits(fitted, options):
    users = [5, 3, 7, *options.get("interactions", NEW[:0])["user"][1:2]]
    found = products(fitted, users, **options)
    pairs = pd.DataFrame([(u, i) for u in users for i in fitted.items_], columns=["user", "item"])
    expected = fitted.decision_function(pairs, **options).reshape(len(users), -1)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.index.tolist() == users
    assert found.columns.tolist() == fitted.items_.tolist()


@pytest.mark.filterwarnings("ignore:fit did not see")
@pytest.mark.parametrize("at", [None, 100])
def test_unknown_users_get_popularity(fitted, at):
    users = [-7, 3, -9]
    found = products(fitted, users, at=at)
    np.testing.assert_allclose(found.iloc[0], fitted.popularity_logits_, rtol=1e-6)
    np.testing.assert_allclose(found.iloc[2], fitted.popularity_logits_, rtol=1e-6)
    with pytest.warns(UserWarning, match="fit did not see 2 of 3 users"):
        fitted.user_vectors(users)
    with pytest.warns(UserWarning, match="fit did not see 1 of 1 users"):
        assert fitted.user_vectors(-7).shape == (1, fitted.item_vectors().shape[1])


def test_popularity_hardly_changes_the_products_of_two_items(fitted):
    vectors = fitted.item_vectors().to_numpy(np.float64)
    without = vectors[:, :-1] @ vectors[:, :-1].T
    np.testing.assert_allclose(vectors @ vectors.T, without, atol=1e-4)


def test_tables_are_float32_with_ids(fitted):
    for table, name, ids in [
        (fitted.user_vectors(), "user", fitted.users_),
        (fitted.item_vectors(), "item", fitted.items_),
    ]:
        assert set(table.dtypes) == {np.dtype(np.float32)}
        assert table.index.name == name
        assert table.index.tolist() == ids.tolist()
        assert table.columns[:2].tolist() == ["v0", "v1"]
        assert table.to_numpy().flags.c_contiguous
    repeated = fitted.user_vectors([3, 3, 5])
    assert repeated.index.tolist() == [3, 3, 5]
    np.testing.assert_array_equal(repeated.iloc[0], repeated.iloc[1])


def test_users_default_to_those_of_interactions(fitted):
    assert fitted.user_vectors(interactions=NEW).index.tolist() == [3, 1000]


def test_cold_items_have_vectors(table):
    features = pd.DataFrame({"even": np.arange(32) % 2}, index=pd.RangeIndex(32, name="item"))
    model = ALSRecommender(n_factors=2, item_features=features, random_state=0).fit(table)
    assert model.item_vectors().index.tolist() == model.items_.tolist()
    assert len(model.items_) == 32
    np.testing.assert_allclose(
        products(model, [3]).loc[3, 31], model.decision_function([[3, 31]]), rtol=1e-5
    )


def test_a_loaded_recommender_has_the_same_vectors(fitted, tmp_path):
    fitted.save(tmp_path / "model.neumf")
    loaded = load(tmp_path / "model.neumf")
    pd.testing.assert_frame_equal(loaded.item_vectors(), fitted.item_vectors())
    pd.testing.assert_frame_equal(loaded.user_vectors(), fitted.user_vectors())


@pytest.mark.parametrize("architecture", ["neumf", "mlp"])
@pytest.mark.parametrize("method", ["item_vectors", "user_vectors"])
def test_a_network_with_an_mlp_has_no_vectors(table, architecture, method):
    model = NeuMFRecommender(**SMALL_NEUMF | {"architecture": architecture, "epochs": 1}).fit(table)
    with pytest.raises(ValueError, match=r"inner product.* MLP.*architecture='gmf'"):
        getattr(model, method)()


@pytest.mark.parametrize("recommender", [ItemKNNRecommender, VotingRecommender])
def test_only_recommenders_with_products_have_the_methods(recommender):
    assert not hasattr(recommender, "item_vectors")
    assert not hasattr(recommender, "user_vectors")


@pytest.mark.filterwarnings("ignore:fit did not see")
@given(tables(times="tied"))
def test_products_rank_as_recommend_does(X):
    model = ALSRecommender(n_factors=2, n_iter=1, random_state=0).fit(X)
    users = [*dict.fromkeys(X["user"]), 2**50]
    lists = model.recommend(users, k=3, exclude_seen=False)
    best = np.sort(products(model, users).to_numpy(), axis=1)[:, ::-1][:, :3]
    np.testing.assert_allclose(lists["score"], best.ravel(), rtol=1e-4, atol=1e-6)
