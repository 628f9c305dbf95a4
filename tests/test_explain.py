"""`explain`: what of a user's history speaks for an item."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import NEUMF_OPTIONS

from neumf import NeuMFRecommender, NextItemRecommender

SMALL = {"n_factors": 6, "history_length": 4, "epochs": 3, "batch_size": 64, "random_state": 0}
SMALL |= {"add_simple_methods": False}
OF_IDS = NEUMF_OPTIONS | {
    "n_factors": 6,
    "mlp_embedding_dim": 4,
    "hidden_layer_sizes": (4,),
    "epochs": 3,
    "batch_size": 64,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(0)
    items = [rng.permutation(12)[: 2 + user % 5] for user in range(30)]
    users = np.repeat(np.arange(30), [len(own) for own in items])
    X = pd.DataFrame({"user": users, "item": np.concatenate(items) + 100})
    return X.assign(timestamp=np.arange(len(X)))


@pytest.fixture(
    scope="module",
    params=[
        {},
        {"share_item_vectors": False},
        {"add_user_vectors": True},
        {"time_gaps": "newest"},
        {"time_gaps": "request"},
        {"share_item_vectors": False, "time_gaps": "request"},
    ],
    ids=str,
)
def fitted(request, X):
    return NextItemRecommender(**SMALL | request.param).fit(X)


def vectors_by_hand(model, history):
    """Yield the contribution of each item, newest first, to the user's vector."""
    tables, shared = model.network_.weights
    for place, item in enumerate(history):
        code = model.items_.get_loc(item)
        vector = tables["history"][code]
        if model.share_item_vectors:
            vector = vector + tables["items"][code][: model.n_factors]
        weights = shared["position_weights"][place]
        if model.time_gaps:  # a row a second
            weights = weights + shared["gap_weights"][int(2 * np.log2(1 + place))]
        of_pause = shared["pause_vectors"][0] if model.time_gaps == "request" else 0
        of_newest = tables["newest"][code] if "newest" in tables else 0
        if "newest_weights" in shared:
            of_newest = of_newest * (1 + shared["newest_weights"][0])
        yield vector * weights + (of_pause + of_newest if place == 0 else 0)


def terms_by_hand(model, history, item):
    """Return the contribution of each item of a history, newest first, to an item's logit."""
    tables, shared = model.network_.weights
    goal = tables["items"][model.items_.get_loc(item)][: model.n_factors]
    h = np.ones(model.n_factors) if model.share_item_vectors else shared["output_kernel"][:, 0]
    return [float(np.sum(h * vector * goal)) for vector in vectors_by_hand(model, history)]


def last_items(X, user, length=4):
    return X.loc[X["user"] == user, "item"].to_list()[::-1][:length]


def test_contributions_are_those_of_a_loop(fitted, X):
    for user in (0, 3, 4):
        history = last_items(X, user)
        explained = fitted.explain(user, [100, 105, 111])
        assert len(explained) == 3 * len(history)
        for item, rows in explained.groupby("item", sort=False):
            expected = dict(zip(history, terms_by_hand(fitted, history, item), strict=True))
            got = dict(zip(rows["history_item"], rows["contribution"], strict=True))
            assert got == pytest.approx(expected, abs=1e-6)


def test_contributions_and_the_rest_add_up_to_the_logit(fitted):
    explained = fitted.explain(7, fitted.items_)
    groups = explained.groupby("item", sort=False)
    sums = groups["contribution"].sum() + groups["rest"].first()
    pairs = pd.DataFrame({"user": 7, "item": sums.index})
    assert sums.to_numpy() == pytest.approx(fitted.decision_function(pairs), abs=1e-5)


def test_the_rest_is_the_biases_and_the_users_own_vector(fitted, X):
    model, item = fitted, 103
    tables, shared = model.network_.weights
    row = tables["items"][model.items_.get_loc(item)]
    expected = shared["output_bias"][0] + (row[-1] if model.share_item_vectors else 0)
    if model.add_user_vectors:
        expected += tables["users"][model.users_.get_loc(5)] @ row[: model.n_factors]
    assert model.explain(5, item)["rest"].to_list() == pytest.approx(
        [expected] * len(last_items(X, 5)), abs=1e-6
    )


def test_items_come_as_asked_for_and_their_reasons_by_falling_contribution(fitted):
    explained = fitted.explain(4, [111, 102])
    assert list(dict.fromkeys(explained["item"])) == [111, 102]
    for _, rows in explained.groupby("item"):
        assert rows["contribution"].is_monotonic_decreasing
        assert rows["rank"].to_list() == list(range(1, len(rows) + 1))


def test_interactions_are_explained_as_they_are_recommended_from(fitted, X):
    new = pd.DataFrame({"user": 99, "item": [104, 101, 108], "timestamp": [1, 2, 3]})
    explained = fitted.explain(99, 110, interactions=new)
    expected = dict(zip([108, 101, 104], terms_by_hand(fitted, [108, 101, 104], 110), strict=True))
    got = dict(zip(explained["history_item"], explained["contribution"], strict=True))
    assert got == pytest.approx(expected, abs=1e-6)
    logit = fitted.decision_function([[99, 110]], interactions=new)[0]
    total = explained["contribution"].sum() + explained["rest"][0]
    assert total == pytest.approx(logit, abs=1e-5)


def test_an_item_that_the_user_had_twice_has_a_row_for_each_time(X):
    twice = pd.DataFrame({"user": 0, "item": [100, 101, 100], "timestamp": 10**6})
    model = NextItemRecommender(**SMALL).fit(pd.concat([X, twice]))
    explained = model.explain(0, 105)
    history = [100, 101, 100, last_items(X, 0)[0]]
    assert sorted(explained["history_item"]) == sorted(history)
    expected = sorted(terms_by_hand(model, history, 105), reverse=True)
    assert explained["contribution"].to_list() == pytest.approx(expected, abs=1e-6)


def test_an_item_that_nobody_has_had_is_explained_by_its_vector(X):
    features = pd.DataFrame({"odd": [item % 2 for item in range(100, 113)]}, range(100, 113))
    model = NextItemRecommender(**SMALL, item_features=features).fit(X)
    assert 112 not in set(X["item"])
    explained = model.explain(4, 112)
    total = explained["contribution"].sum() + explained["rest"][0]
    assert total == pytest.approx(model.decision_function([[4, 112]])[0], abs=1e-5)
    assert sorted(explained["history_item"]) == sorted(last_items(X, 4))


def test_of_ids_the_nearest_items_of_the_history_are_given(X):
    model = NeuMFRecommender(**OF_IDS).fit(X)
    explained = model.explain(4, 107)
    assert list(explained.columns) == ["item", "history_item", "similarity", "rank"]
    similar = model.similar_items(107, k=12).set_index("similar_item")["score"]
    for row in explained.itertuples():
        expected = 1.0 if row.history_item == 107 else similar[row.history_item]
        assert row.similarity == pytest.approx(expected, abs=1e-5)
    assert sorted(explained["history_item"]) == sorted(last_items(X, 4, length=20))
    assert explained["similarity"].is_monotonic_decreasing


def test_of_a_sparse_matrix_all_that_was_seen_is_the_history():
    seen = np.random.default_rng(0).random((20, 9)) < 0.4
    model = NeuMFRecommender(**OF_IDS).fit(sp.csr_array(seen.astype(float)))
    user = int(np.argmax(seen.sum(axis=1)))
    explained = model.explain(user, 0)
    assert sorted(explained["history_item"]) == np.flatnonzero(seen[user]).tolist()


def test_ids_may_be_strings(X):
    model = NextItemRecommender(**SMALL).fit(X.astype({"user": str, "item": str}))
    ints = NextItemRecommender(**SMALL).fit(X)
    explained = model.explain("4", ["103"])
    assert explained["item"].to_list() == ["103"] * len(explained)
    assert explained["history_item"].astype(int).to_list() == (
        ints.explain(4, [103])["history_item"].to_list()
    )


def test_a_hidden_layer_that_mixes_the_items_is_refused(X):
    model = NextItemRecommender(**SMALL, hidden_size=3).fit(X)
    with pytest.raises(ValueError, match=r"hidden_size=3, whose hidden layer.*hidden_size=0"):
        model.explain(0, 100)


@pytest.mark.parametrize(
    ("user", "items", "match"),
    [
        (777, 100, r"user must be among those that fit saw or interactions.*777"),
        (0, [100, 7], r"items must be among those that fit saw\. Received 7 \(1 unknown"),
        ([0, 1], 100, "user must be one id. Received 2"),
    ],
)
def test_unknown_ids_are_refused(fitted, user, items, match):
    with pytest.raises(ValueError, match=match):
        fitted.explain(user, items)
