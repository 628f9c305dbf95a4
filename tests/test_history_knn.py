"""The network and the neighbours of histories, held to slow loops."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from golden_models import walks
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from neumf import (
    HistoryKNNRecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    VotingRecommender,
    load,
    ndcg_scorer,
)
from neumf.interactions.tables import read_interactions
from neumf.model.network import Network

X = walks()
NETWORK = NeuMFRecommender(
    n_factors=4, epochs=2, history_length=3, learning_rate=0.1, init_std=0.5, random_state=0
)


def fitted(n_neighbors=7, X=X, y=None, **parameters):
    network = clone(NETWORK).set_params(**parameters)
    return HistoryKNNRecommender(network, n_neighbors=n_neighbors, bandwidth=0.5).fit(X, y)


def vector_before(network, X, number):
    """The vector of a new user who has had what the row's user had before the row."""
    earlier = X.iloc[:number]
    earlier = earlier[earlier["user"] == X["user"].iloc[number]]
    known = network.folded_in(earlier.assign(user=-1))
    asked = known.users_.get_indexer([-1])
    seconds = read_interactions(X.iloc[[number]]).seconds
    ranker = known.ranker_at(asked, seconds)
    return ranker.users[0] if isinstance(ranker, Network) else known.network_.users[asked[0]]


@pytest.mark.parametrize("gaps", [None, "newest", "question"])
def test_contexts_are_the_users_just_before_each_row(gaps):
    model = fitted(history_gaps=gaps)
    assert model.next_items_.tolist() == model.items_.get_indexer(X["item"]).tolist()
    for number in (1, 2, 5, 8, 119):
        expected = vector_before(model.recommender_, X, number)
        np.testing.assert_allclose(model.contexts_[number], expected, rtol=1e-5)


def obvious_shares(model, vector, logits):
    """The formula of the notes, neighbour by neighbour."""
    squares = ((model.contexts_.astype(float) - vector) ** 2).sum(axis=1)
    nearest = np.argsort(squares)[: model.n_neighbors]
    first, last = squares[nearest[0]], squares[nearest[-1]]
    near = np.zeros(len(logits))
    for row in nearest:
        way = (squares[row] - first) / (last - first) if last > first else 0.0
        near[model.next_items_[row]] += np.exp(-way / model.bandwidth)
    share = model.neighbor_weight
    return (1 - share) * softmax(logits.astype(float)) + share * near / near.sum()


def assert_shares(model, network, ranker):
    queries = np.arange(len(network.users))
    expected = [
        obvious_shares(model, vector, logits)
        for vector, logits in zip(network.users, network.score_items(queries), strict=True)
    ]
    found = ranker.score_items(queries)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    items = np.tile(np.arange(12)[::-1], (len(queries), 1))
    found = ranker.score_candidates(queries, items)
    np.testing.assert_allclose(found, np.array(expected)[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("encoder", ["history", "hybrid"])
@pytest.mark.parametrize("n_neighbors", [1, 7, 1000])
def test_scores_are_shares_of_the_network_and_of_the_neighbours(n_neighbors, encoder):
    model = fitted(n_neighbors, X=X.sample(frac=0.9, random_state=1), user_encoder=encoder)
    # Contexts that are the same in all digits are neighbours in any order.
    model.contexts_ += np.random.default_rng(0).normal(0, 1e-3, model.contexts_.shape)
    assert_shares(model, model.recommender_.network_, model.ranker_)


def test_users_are_asked_at_the_moment():
    model = fitted(history_gaps="question")
    users, seconds = np.array([3, 4]), read_interactions(X.iloc[[3, 10]]).seconds
    of_network = model.recommender_.ranker_at(users, seconds)
    model.contexts_ += np.random.default_rng(0).normal(0, 1e-3, model.contexts_.shape)
    assert_shares(model, of_network, model.ranker_at(users, seconds))
    untimed = fitted()
    found = untimed.ranker_at(users, seconds).score_items(np.array([1, 0]))
    np.testing.assert_array_equal(found, untimed.ranker_.score_items(users[::-1]))


def test_rows_with_label_0_are_no_contexts():
    y = np.arange(len(X)) % 2
    model = fitted(y=y)
    positives = fitted(X=X[y == 1])
    assert model.next_items_.tolist() == model.items_.get_indexer(X["item"][y == 1]).tolist()
    assert len(model.contexts_) == len(positives.contexts_) == y.sum()


def test_users_fold_in():
    model = fitted()
    same = X[X["user"] == 3].assign(user=-3)
    expected = model.recommend(3, k=6)
    found = model.recommend(-3, k=6, interactions=same)
    assert found["item"].tolist() == expected["item"].tolist()
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    assert -3 not in model.users_


def test_the_order_of_rows_is_found_that_the_network_has_not_learned_yet():
    X_train, X_held_out = LeaveLastOutSplitter().train_test_split(X)
    network = NeuMFRecommender(epochs=1, learning_rate=1e-6, init_std=1.0, random_state=0)
    model = HistoryKNNRecommender(network, n_neighbors=5).fit(X_train)
    alone = ndcg_scorer(1)(model.recommender_, X_held_out)
    assert alone < 0.5 < ndcg_scorer(1)(model, X_held_out)


def test_parameters_of_the_network_are_searched():
    grid = {"recommender__n_factors": [2, 4], "neighbor_weight": [0.1, 0.9]}
    model = HistoryKNNRecommender(NETWORK, n_neighbors=5)
    search = GridSearchCV(model, grid, cv=LeaveLastOutSplitter()).fit(X)
    assert len(search.cv_results_["params"]) == 4
    assert not hasattr(NETWORK, "network_")


def test_it_is_a_member_of_a_vote():
    members = [("near", HistoryKNNRecommender(NETWORK)), ("knn", ItemKNNRecommender())]
    vote = VotingRecommender(members, weights=[1, 0]).fit(X)
    expected = HistoryKNNRecommender(NETWORK).fit(X).recommend(k=3)
    assert vote.recommend(k=3)["item"].tolist() == expected["item"].tolist()


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"recommender": ItemKNNRecommender()}, TypeError, "recommender must be a NeuMFRecomm"),
        (
            {"recommender": NeuMFRecommender(user_encoder="id")},
            ValueError,
            "user_encoder='id'. Set",
        ),
        ({"n_neighbors": 0}, ValueError, "n_neighbors must be an int >= 1"),
        ({"n_neighbors": 1.5}, TypeError, "n_neighbors must be an int >= 1"),
        ({"neighbor_weight": 1.0}, ValueError, "neighbor_weight must be a number > 0 and < 1"),
        ({"neighbor_weight": 0}, ValueError, "neighbor_weight must be a number > 0 and < 1"),
        ({"bandwidth": 0.0}, ValueError, "bandwidth must be a number > 0"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_fitted(parameters, error, message):
    model = HistoryKNNRecommender(NETWORK).set_params(**parameters)
    with pytest.raises(error, match=re.escape(message)):
        model.fit(X)
    assert not hasattr(model, "recommender_")


def test_rows_without_an_order_are_refused():
    with pytest.raises(ValueError, match=r"and a sparse matrix\. Set user_encoder='history'"):
        HistoryKNNRecommender().fit(sp.csr_array(np.eye(3)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: {"contexts_": model.contexts_[:, :2]}, "contexts_ has the shape"),
        (lambda model: {"next_items_": model.next_items_ + 12}, "indices outside"),
        (lambda model: {"next_items_": model.next_items_[1:]}, "next_items_ has the shape"),
        (lambda model: {"recommender_": ItemKNNRecommender().fit(X)}, "its network is none"),
        (lambda model: {"recommender_": clone(NETWORK).fit(X[X["user"] > 3])}, "or knows other"),
    ],
)
def test_a_file_that_holds_together_badly_is_refused(damage, message, tmp_path):
    model = fitted()
    vars(model).update(damage(model))
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "model")


def test_a_file_without_contexts_is_refused(tmp_path):
    model = fitted()
    model.contexts_, model.next_items_ = model.contexts_[:0], model.next_items_[:0]
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="contexts_ are empty"):
        load(tmp_path / "model")


def test_cold_items_of_the_network_are_in_the_catalogue():
    features = pd.DataFrame({"even": [1.0, 0.0] * 7}, index=pd.Index(range(14), name="item"))
    model = fitted(item_features=features)
    assert model.items_.tolist()[12:] == [12, 13]
    scores = model.ranker_.score_items(np.arange(20))
    assert scores.shape == model.seen_.shape == (20, 14)
    alone = softmax(model.recommender_.ranker_.score_items(np.arange(20)), axis=1)
    share = 1 - model.neighbor_weight
    np.testing.assert_allclose(scores[:, 12:], share * alone[:, 12:], rtol=1e-5)
