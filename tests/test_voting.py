"""Several recommenders as one, held to z-scores by hand."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)
from neumf.ranking import top_k


def random_rows(n_users=40, n_items=12, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(u, i) for u in range(n_users) for i in rng.permutation(n_items)[: rng.integers(3, 8)]]
    return pd.DataFrame(rows, columns=["user", "item"]).assign(timestamp=range(len(rows)))


X = random_rows()
MEMBERS = [
    ("rules", SequentialRulesRecommender(decay=2.0)),
    ("ease", EASERecommender(10.0)),
    ("popular", PopularityRecommender(half_life=20)),
]


def z_scores(scores):
    return (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)


def expected_scores(weights):
    users = np.arange(X["user"].nunique())
    fitted = [clone(member).fit(X) for _, member in MEMBERS]
    parts = [z_scores(member.ranker_.score_items(users).astype(float)) for member in fitted]
    return np.average(parts, axis=0, weights=weights)


@pytest.mark.parametrize("weights", [None, [1, 1, 1], [0.5, 2, 0], [0, 0, 3]])
def test_scores_are_the_weighted_mean_of_z_scores(weights):
    model = VotingRecommender(MEMBERS, weights=weights).fit(X)
    expected = expected_scores(weights)
    users = np.arange(len(expected))
    np.testing.assert_allclose(model.ranker_.score_items(users), expected, atol=1e-6)
    items = np.tile(np.arange(12), (len(users), 1))
    np.testing.assert_allclose(model.ranker_.score_candidates(users, items), expected, atol=1e-6)


def test_pairs_have_the_scores_of_the_lists(monkeypatch):
    model = VotingRecommender(MEMBERS).fit(X)
    monkeypatch.setattr(top_k, "_MOST_SCORES", 50)
    top = model.recommend(k=3)
    np.testing.assert_allclose(model.decision_function(top[["user", "item"]]), top["score"])


def test_a_member_that_gives_all_items_one_score_adds_nothing():
    once = pd.DataFrame({"user": range(4), "item": range(4)})
    model = VotingRecommender([("popular", PopularityRecommender())]).fit(once)
    assert (model.ranker_.score_items(np.arange(4)) == 0).all()


def test_members_are_cloned_and_fitted():
    model = VotingRecommender(MEMBERS).fit(X)
    assert list(model.named_estimators_) == ["rules", "ease", "popular"]
    assert model.named_estimators_.ease is model.estimators_[1]
    assert hasattr(model.estimators_[1], "item_weights_")
    assert not hasattr(MEMBERS[1][1], "item_weights_")


def test_parameters_of_members_have_their_names():
    model = VotingRecommender(MEMBERS, weights=[1, 2, 3])
    parameters = model.get_params()
    assert parameters["ease"] is MEMBERS[1][1]
    assert parameters["rules__decay"] == 2.0
    names = {"recommenders", "weights", "n_jobs", "random_state"}
    assert set(model.get_params(deep=False)) == names
    copy = clone(model).set_params(rules__decay=7.0, popular="drop", weights=None)
    assert copy.get_params()["rules__decay"] == 7.0
    assert MEMBERS[0][1].decay == 2.0
    assert list(copy.fit(X).named_estimators_) == ["rules", "ease"]
    with pytest.raises(ValueError, match="Invalid parameter 'knn'"):
        model.set_params(knn__decay=1.0)


def test_a_replaced_member_takes_parameters_at_once():
    model = VotingRecommender(MEMBERS)
    model.set_params(ease=ItemKNNRecommender(), ease__n_neighbors=3)
    assert model.get_params()["ease__n_neighbors"] == 3
    assert isinstance(MEMBERS[1][1], EASERecommender)


def test_the_weight_of_a_dropped_member_is_left_out():
    both = VotingRecommender(MEMBERS, weights=[1, 5, 2]).set_params(ease="drop").fit(X)
    pair = VotingRecommender([MEMBERS[0], MEMBERS[2]], weights=[1, 2]).fit(X)
    pd.testing.assert_frame_equal(both.recommend(), pair.recommend())


def test_members_fitted_side_by_side_are_those_fitted_one_by_one():
    side_by_side = VotingRecommender(MEMBERS, n_jobs=2).fit(X)
    one_by_one = VotingRecommender(MEMBERS).fit(X)
    pd.testing.assert_frame_equal(side_by_side.recommend(), one_by_one.recommend())
    assert list(side_by_side.named_estimators_) == ["rules", "ease", "popular"]


@pytest.mark.parametrize(
    ("n_jobs", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_a_number_of_jobs_that_is_none_is_refused(n_jobs, error):
    with pytest.raises(error, match="n_jobs must be None, a number of members from 1, or -1"):
        VotingRecommender(MEMBERS, n_jobs=n_jobs).fit(X)


def test_a_search_tries_weights_and_parameters_of_members():
    grid = {"weights": [[1, 0, 0], [1, 1, 1]], "ease__regularization": [1.0, 100.0]}
    search = GridSearchCV(VotingRecommender(MEMBERS), grid, cv=LeaveLastOutSplitter()).fit(X)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.recommend(3, k=2)["rank"].tolist() == [1, 2]


def test_members_fold_in():
    model = VotingRecommender(MEMBERS).fit(X)
    same = X[X["user"] == 3].assign(user=-3)
    expected = model.recommend(3, k=9).drop(columns="user")
    found = model.recommend(-3, k=9, interactions=same).drop(columns="user")
    pd.testing.assert_frame_equal(found, expected)
    known = model.with_interactions(same)
    assert -3 in known.estimators_[0].users_
    assert -3 not in model.estimators_[0].users_


def test_what_a_member_cannot_fold_in_is_refused():
    timed = VotingRecommender([("rules", SequentialRulesRecommender(decay="1D"))]).fit(X)
    with pytest.raises(ValueError, match="interactions must have timestamps because decay"):
        timed.recommend(0, interactions=X.drop(columns="timestamp"))


def test_members_are_asked_at_the_moment():
    model = VotingRecommender(MEMBERS).fit(X)
    users, seconds = np.array([3, 4]), np.array([150.0, 100.0])
    found = model.ranker_at(users, seconds).score_items(np.array([0, 1]))
    parts = [
        z_scores(member.ranker_at(users, seconds).score_items(np.array([0, 1])).astype(float))
        for member in model.estimators_
    ]
    np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=1e-9)
    assert not np.allclose(found, model.ranker_.score_items(users))


def test_weights_of_rows_reach_the_members():
    weights = np.random.default_rng(0).integers(1, 5, len(X))
    model = VotingRecommender(MEMBERS[:1]).fit(X, sample_weight=weights)
    alone = clone(MEMBERS[0][1]).fit(X, sample_weight=weights)
    found = model.estimators_[0].item_weights_.toarray()
    np.testing.assert_array_equal(found, alone.item_weights_.toarray())


def test_pickles_recommend_the_same():
    model = VotingRecommender(MEMBERS).fit(X)
    copy = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(copy.recommend(), model.recommend())


@pytest.mark.parametrize(
    ("recommenders", "weights", "error", "message"),
    [
        ([], None, ValueError, "recommenders at least one"),
        ([("a", "drop")], None, ValueError, "recommenders at least one"),
        ([EASERecommender()], None, TypeError, r"must be a list of \(name, recommender\)"),
        ([("a", "ease")], None, TypeError, "recommenders must hold recommenders derived"),
        ([("a__b", EASERecommender())], None, ValueError, "names that are not empty, without '__'"),
        ([("weights", EASERecommender())], None, ValueError, "other than"),
        ([("n_jobs", EASERecommender())], None, ValueError, "other than"),
        ([("a", EASERecommender())] * 2, None, ValueError, "must have different names"),
        ([("a", EASERecommender())], [1, 2], ValueError, "one number for each of the 1"),
        ([("a", EASERecommender())], [-1], ValueError, "weights must hold numbers >= 0"),
        ([("a", EASERecommender())], [0], ValueError, "weights must hold numbers >= 0"),
        ([("a", EASERecommender())], [np.nan], ValueError, "weights must hold numbers >= 0"),
    ],
)
def test_members_and_weights_that_are_none_are_refused(recommenders, weights, error, message):
    with pytest.raises(error, match=message):
        VotingRecommender(recommenders, weights=weights).fit(X)
