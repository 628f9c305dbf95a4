import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_options import SMALL_JOINED, SMALL_NEUMF, SMALL_NEXT_ITEM
from sklearn.base import clone
from strategies import tables

from neumf import (
    ALSRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
    load,
)
from neumf.base import BaseRecommender, keep_rows, read_rows

GONE = ["user 7", "user 21"]
FEATURES = pd.DataFrame(
    np.random.default_rng(3).random((30, 2)), pd.RangeIndex(30, name="item"), ["a", "b"]
)
ALS = ALSRecommender(n_factors=4, random_state=0)
OWN = NextItemRecommender(**SMALL_NEXT_ITEM | {"add_user_vectors": True, "time_gaps": "request"})
MODELS = {
    "popularity": PopularityRecommender(),
    "recent": PopularityRecommender("100s"),
    "recent_rows": PopularityRecommender(50),
    "knn": ItemKNNRecommender(),
    "knn_decay": ItemKNNRecommender(decay="10s"),
    "ease": EASERecommender(5.0),
    "content": ContentKNNRecommender(FEATURES),
    "rules": SequentialRulesRecommender(),
    "als": ALS,
    "neumf": NeuMFRecommender(**SMALL_NEUMF),
    "joined": NeuMFRecommender(**SMALL_JOINED),
    "next_item": NextItemRecommender(**SMALL_NEXT_ITEM),
    "own_vectors": OWN,
    "vote": VotingRecommender([("als", ALS), ("recent", PopularityRecommender("100s"))]),
}


@pytest.fixture(scope="module")
def X(table):  # noqa: N802 - the name of the table
    """The users are strings and the times are unlike other numbers, to be found in files."""
    users, distinct = "user " + table["user"].astype(str), np.arange(len(table)) / 12345
    return table.assign(user=users, timestamp=table["timestamp"] + distinct)


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, X):
    return clone(MODELS[request.param]).fit(X)


@pytest.fixture
def model(fitted):
    return copy.copy(fitted)


def scores_of(model, **options):
    users = [user for user in model.users_ if user not in GONE]
    lists = model.recommend(users, k=30, **options)
    return lists.sort_values(["user", "item"], ignore_index=True)[["user", "item", "score"]]


@pytest.mark.parametrize("options", [{}, {"at": 500.0}], ids=str)
def test_the_lists_of_other_users_stay(model, options):
    if options and isinstance(model, PopularityRecommender | VotingRecommender):
        pytest.skip("at a request time, its scores count the users who are left")
    before = scores_of(model, **options)
    pd.testing.assert_frame_equal(scores_of(model.forget(GONE), **options), before)


@pytest.mark.parametrize("name", ["popularity", "recent", "recent_rows"])
def test_popularity_at_a_request_time_counts_the_rows_left(X, name):
    model = clone(MODELS[name]).fit(X).forget(GONE)
    expected = clone(MODELS[name]).fit(X[~X["user"].isin(GONE)])
    pd.testing.assert_frame_equal(scores_of(model, at=500), scores_of(expected, at=500))


def test_popularity_forgets_one_of_two_equal_rows():
    X = pd.DataFrame({"user": ["a", "b", "c"], "item": [1, 1, 2], "timestamp": [5, 5, 6]})
    model = PopularityRecommender("10s").fit(X).forget("b")
    expected = PopularityRecommender("10s").fit(X[X["user"] != "b"])
    options = {"at": 6, "exclude_seen": False}
    pd.testing.assert_frame_equal(
        model.recommend("c", **options), expected.recommend("c", **options)
    )


def test_a_vote_is_a_vote_of_members_that_forgot(X):
    model = clone(MODELS["vote"]).fit(X)
    members = model.estimators_
    model.forget(GONE)
    for member, before in zip(model.estimators_, members, strict=True):
        expected = copy.copy(before).forget(GONE)
        assert member.users_.equals(model.users_)
        pd.testing.assert_frame_equal(scores_of(member), scores_of(expected))
        assert GONE[0] in before.users_  # the members of earlier copies stay


def test_forgotten_users_are_unknown(model):
    model.forget(GONE)
    assert not model.users_.isin(GONE).any()
    assert model.seen_.shape[0] == len(model.users_) == 58
    with pytest.warns(UserWarning, match="fit did not see 1 of 1 users"):
        found = model.recommend(GONE[0], k=3)
    with pytest.warns(UserWarning, match="fit did not see 1 of 1 users"):
        expected = model.recommend("nobody", k=3)
    assert found["item"].tolist() == expected["item"].tolist()


def traces(model, X):
    """Bytes that only a user leaves: the id, the times of rows, the vectors."""
    rows = X[X["user"] == GONE[0]]
    found = [GONE[0].encode(), *(np.float64(time).tobytes() for time in rows["timestamp"])]
    members = getattr(model, "estimators_", [model])
    index = list(model.users_).index(GONE[0])
    for member in members:
        if isinstance(member, ALSRecommender):
            found.append(member.user_vectors_[index].tobytes())
        if hasattr(member, "network_"):
            found.append(member.network_.users[index].tobytes())
            table = member.network_.weights.tables.get("users")
            found += [] if table is None else [table[index].tobytes()]
    return found


def test_files_and_pickles_hold_no_trace(model, X, tmp_path):
    model = copy.deepcopy(model)
    if hasattr(model, "partial_fit"):  # so that Adam's moments exist
        with pytest.warns(UserWarning, match="were seen before"):
            model.partial_fit(X)
    if hasattr(model, "network_"):
        assert model.model_ is not None  # Keras holds a copy of the vectors
    marks = traces(model, X)

    def written(model):
        options = {"optimizer": True} if hasattr(model, "partial_fit") else {}
        model.save(tmp_path / "model.neumf", **options)
        parts = (tmp_path / "model.neumf").read_bytes(), pickle.dumps(model)
        return [[mark in part for mark in marks] for part in parts]

    before = np.array(written(model))
    assert before[:, 0].all()
    assert before.any(axis=0).all() or not model.has_timestamps_
    model.forget(GONE)
    assert not np.any(written(model))
    loaded = load(tmp_path / "model.neumf")
    pd.testing.assert_frame_equal(scores_of(loaded), scores_of(model))


@pytest.mark.parametrize("name", ["neumf", "joined", "own_vectors", "next_item"])
def test_training_goes_on_for_the_others(X, name):
    model = clone(MODELS[name]).fit(X).partial_fit(X.iloc[:60])
    kept = np.flatnonzero(~model.users_.isin(GONE))
    before = model._optimizer
    model.forget(GONE)
    after = model._optimizer
    for table, moments in before.tables.items():
        rows = kept if table == "users" else slice(None)
        np.testing.assert_array_equal(after.tables[table], moments[rows])
        assert after.n_rows[table] == len(after.tables[table])
    others = X[~X["user"].isin(GONE)].iloc[:50]
    n_users = len(model.users_)
    model.partial_fit(pd.concat([others, others.iloc[:1].assign(user="new")]))
    assert len(model.users_) == n_users + 1
    assert np.isfinite(scores_of(model)["score"]).all()


@pytest.mark.parametrize("name", ["als", "neumf", "joined", "own_vectors", "next_item", "recent"])
def test_a_copy_with_new_users_forgets_known_and_new_ones(X, name, tmp_path):
    new = pd.DataFrame(
        {"user": ["new 1", "new 2", "user 3"], "item": [1, 2, 3], "timestamp": [2e3, 2e3, 2e3]}
    )
    model = clone(MODELS[name]).fit(X)
    now = model.with_interactions(new)
    before = now.recommend(["new 2", "user 3"], k=30, at=3e3)
    now.forget(["new 1", *GONE])
    left = [user for user in model.users_ if user not in GONE]
    assert now.users_.tolist() == [*left, "new 2"]
    assert len(model.users_) == 60
    for known in (now, _saved_and_loaded(now, tmp_path)):
        found = known.recommend(["new 2", "user 3"], k=30, at=3e3)
        if name != "recent":
            pd.testing.assert_frame_equal(found, before)
        assert set(found["user"]) == {"new 2", "user 3"}


def _saved_and_loaded(model, folder):
    model.save(folder / "model.neumf")
    return load(folder / "model.neumf")


@pytest.mark.parametrize("name", ["als", "joined"])
def test_new_rows_are_solved_with_the_features_of_their_users(X, name):
    features = pd.DataFrame({"one": np.arange(60) % 2, "two": np.arange(60) % 3})
    features.index = pd.Index([f"user {number}" for number in range(60)], name="user")
    model = clone(MODELS[name]).set_params(user_features=features).fit(X)
    new = pd.DataFrame({"user": ["user 50", "user 59"], "item": [1, 2], "timestamp": 2e3})
    before = model.recommend(interactions=new, k=30)
    centres = model._fold_in.centres[~model.users_.isin(GONE)]
    pd.testing.assert_frame_equal(model.forget(GONE).recommend(interactions=new, k=30), before)
    np.testing.assert_array_equal(model._fold_in.centres, centres)


@given(st.data(), st.sampled_from([ItemKNNRecommender, PopularityRecommender]))
def test_forgetting_in_two_steps_is_forgetting_at_once(data, recommender):
    X = data.draw(tables())
    users = list(dict.fromkeys(X["user"]))
    gone = data.draw(st.permutations(users))[: data.draw(st.integers(0, len(users) - 1))]
    first = gone[: data.draw(st.integers(0, len(gone)))]
    at_once, model = recommender().fit(X).forget(gone), recommender().fit(X)
    model.forget(first).forget([user for user in gone if user not in first])
    left = [user for user in users if user not in gone]
    assert model.users_.tolist() == at_once.users_.tolist() == left
    for user, row in zip(left, model.seen_.toarray(), strict=True):
        assert set(model.items_[row]) == set(X["item"][X["user"] == user])
    pd.testing.assert_frame_equal(model.recommend(), at_once.recommend())


def test_unknown_users_are_counted_in_a_warning(X):
    model = ItemKNNRecommender().fit(X)
    with pytest.warns(UserWarning, match="does not know 2 of 3 users to forget, such as 'nobody'"):
        assert model.forget(["nobody", "user 7", "no one"]) is model
    assert len(model.users_) == 59


@pytest.mark.parametrize(
    ("users", "match"),
    [
        ([7, 8], "users must be of the kind that fit saw, strings"),
        (pd.Series(["user 7", None]), "users"),
    ],
)
def test_bad_ids_are_refused(X, users, match):
    model = ItemKNNRecommender().fit(X)
    with pytest.raises(ValueError, match=match):
        model.forget(users)
    assert len(model.users_) == 60


def test_a_user_is_left(X):
    model = ItemKNNRecommender().fit(X)
    with pytest.raises(ValueError, match=r"users must leave at least one user\. Received all 60"):
        model.forget(model.users_)
    assert len(model.users_) == 60


class Own(BaseRecommender):
    def fit(self, X, y=None):
        keep_rows(self, read_rows(X, y))
        return self

    @property
    def ranker_(self):
        raise NotImplementedError


def test_your_own_recommender_needs_a_method_to_forget(X):
    model = Own().fit(X)
    with pytest.raises(
        NotImplementedError, match="Own cannot forget users: it has no method _take"
    ):
        model.forget(GONE)
    assert len(model.users_) == 60
