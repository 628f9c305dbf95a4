"""The content KNN, held to slow loops over cosines."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import neumf
from neumf import (
    ColdItemSplitter,
    ContentKNNRecommender,
    PopularityRecommender,
    VotingRecommender,
    evaluate,
    hr_scorer,
)
from neumf.ranking import top_k
from neumf.recommenders import content_knn

# Readers of two genres; of each the last two books are cold.
GENRES = pd.DataFrame(
    {"crime": [1, 1, 1, 1, 1, 0, 0, 0, 0, 0], "poems": [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]},
    index=pd.Index([f"book {i}" for i in range(10)], name="item"),
)
COLD = ["book 3", "book 4", "book 8", "book 9"]


def readers(n_users=12):
    rows = [
        (f"reader {user}", f"book {5 * (user % 2) + (user // 2 + j) % 3}", 60 * j)
        for user in range(n_users)
        for j in range(2)
    ]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


@pytest.fixture
def model():
    return ContentKNNRecommender(GENRES).fit(readers())


def random_case(rng, n_users=20, n_items=25, n_cold=8, n_columns=4, levels=3):
    """Rows, and features of a few levels, so that many items are equally similar."""
    X = pd.DataFrame(
        {
            "user": rng.integers(0, n_users, 120),
            "item": rng.integers(0, n_items - n_cold, 120),
            "timestamp": rng.permutation(120),
        }
    )
    features = rng.integers(-1, levels, (n_items, n_columns)) / levels  # which are not scaled
    return X, pd.DataFrame(features, index=rng.permutation(n_items)).add_prefix("f")


def slow_weights(model, features, n_warm, n_neighbors):
    """For each item its nearest ones among the warm items, and among the cold ones."""
    vectors = features.reindex(model.items_).fillna(0).to_numpy()
    n_items = len(vectors)
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        for group in (range(n_warm), range(n_warm, n_items)):
            similar = {}
            for i in group:
                norms = np.linalg.norm(vectors[i]) * np.linalg.norm(vectors[j])
                cosine = round(vectors[i] @ vectors[j] / norms, 9) if norms else 0
                if i != j and cosine > 0:
                    similar[i] = cosine
            last = sorted(similar.values(), reverse=True)[n_neighbors - 1 : n_neighbors]
            nearer = [i for i, cosine in similar.items() if not last or cosine > last[0]]
            tied = [i for i, cosine in similar.items() if last and cosine == last[0]]
            for i in nearer:
                weights[i, j] = similar[i]
            for i in tied:
                weights[i, j] = similar[i] * (n_neighbors - len(nearer)) / len(tied)
    return weights


@pytest.mark.parametrize("n_neighbors", [1, 3, 7, 100])
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_an_item_is_judged_by_its_nearest_ones_and_ties_share(rng, n_neighbors, levels):
    X, features = random_case(rng, levels=levels)
    model = ContentKNNRecommender(features, n_neighbors=n_neighbors).fit(X)
    n_warm = X["item"].nunique()
    weights = slow_weights(model, features, n_warm, n_neighbors)
    np.testing.assert_allclose(model.item_weights_.toarray(), weights, atol=1e-8)


def test_scores_add_up_what_the_items_of_the_user_say(rng):
    X, features = random_case(rng)
    model = ContentKNNRecommender(features, n_neighbors=3).fit(X)
    top = model.recommend(7, k=30).set_index("item")["score"]
    scores = model.seen_.toarray()[model.users_.get_loc(7)] @ model.item_weights_.toarray()
    share = model.popularity_ / (model.popularity_.max() + 1)
    scores = pd.Series(np.where(scores != 0, scores, -1e-6 * (1 - share)), index=model.items_)
    np.testing.assert_allclose(top, scores[top.index])


@pytest.mark.parametrize(("most_tied", "n_items"), [(1000, 500), (6, 30)])
def test_all_equal_items_count_alike_wherever_they_stand(monkeypatch, most_tied, n_items):
    monkeypatch.setattr(content_knn, "_MOST_TIED", most_tied)
    same = pd.DataFrame({"item": range(n_items), "same": 1})
    rows = [[user, user] for user in range(n_items)]
    weights = ContentKNNRecommender(same, n_neighbors=4).fit(rows).item_weights_.toarray()
    np.testing.assert_allclose(weights.sum(axis=0), 4)
    if most_tied >= n_items:
        np.testing.assert_allclose(weights, 4 / (n_items - 1) * (1 - np.eye(n_items)))
        return
    # Of 29 tied ones each item keeps 5 or 6, and 4 to 7 items keep it.
    assert set(np.count_nonzero(weights, axis=0)) == {5, 6}
    assert set(np.count_nonzero(weights, axis=1)) <= {4, 5, 6, 7}


def test_a_late_item_of_a_large_group_recommends_its_like():
    genres = pd.DataFrame({"a": [1] * 400 + [0] * 400, "b": [0] * 400 + [1] * 400})
    model = ContentKNNRecommender(genres.assign(item=range(800)))
    model.fit([[0, item] for item in range(799)] + [[1, 399], [2, 798]])
    assert (model.recommend(1, k=399)["item"] < 399).all()
    assert (model.recommend(2, k=399)["item"] >= 400).all()


def test_weights_do_not_depend_on_the_size_of_blocks(rng, monkeypatch):
    X, features = random_case(rng)
    expected = ContentKNNRecommender(features).fit(X).item_weights_.toarray()
    monkeypatch.setattr(top_k, "_MOST_SCORES", 50)
    found = ContentKNNRecommender(features).fit(X).item_weights_.toarray()
    np.testing.assert_array_equal(found, expected)


# Cold items


def test_cold_items_stand_behind_those_of_the_rows(model):
    X = readers()
    warm = list(dict.fromkeys(X["item"]))
    assert list(model.items_) == warm + COLD
    assert model.popularity_[-4:].tolist() == [0] * 4
    assert model.popularity_[:-4].min() > 0


def test_cold_items_of_the_users_genre_are_found(model):
    top = model.recommend(["reader 0", "reader 1"], k=2, allow=COLD)
    assert top["item"].tolist() == ["book 3", "book 4", "book 8", "book 9"]
    assert model.predict([["reader 0", "book 3"]]) > model.predict([["reader 0", "book 8"]])


def test_the_order_of_the_table_is_irrelevant_to_what_is_known(model, rng):
    shuffled = GENRES.sample(frac=1, random_state=0)
    other = ContentKNNRecommender(shuffled).fit(readers())
    pairs = [[user, item] for user in model.users_ for item in model.items_]
    np.testing.assert_allclose(other.decision_function(pairs), model.decision_function(pairs))


def test_items_without_features_are_recommended_last():
    others = pd.DataFrame({"user": ["x"] * 3, "item": [*"abb"], "timestamp": 0})
    X = pd.concat([readers(), others])
    model = ContentKNNRecommender(GENRES).fit(X)
    top = model.recommend("reader 0", k=20)
    assert set(top["item"][top["score"] < 0]) == {"a", "b", *GENRES.index[5:]}
    assert len(model.recommend("x", k=20)) == 10


def test_similar_items_have_the_most_similar_features(rng):
    X, features = random_case(rng)
    model = ContentKNNRecommender(features).fit(X)
    cold = model.items_[-1]
    similar = model.similar_items([cold, 0], k=24)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(norms == 0, 1, norms)
    for item in (cold, 0):
        cosines = (unit @ unit.loc[item]).drop(item)
        found = similar[similar["item"] == item].set_index("similar_item")["score"]
        assert found.is_monotonic_decreasing
        np.testing.assert_allclose(found, cosines[found.index], atol=1e-8)
        assert len(found) == 24


def test_new_users_and_cold_items_fold_in(model):
    told = pd.DataFrame({"user": ["new"], "item": ["book 3"]})  # a cold one
    top = model.recommend("new", k=9, interactions=told)
    crime = set(GENRES.index[:5])
    assert set(top["item"][top["score"] > 0]) == crime - {"book 3"}
    told = pd.DataFrame({"user": ["new"] * 2, "item": ["book 3", "book 0"]})
    top = model.recommend("new", k=9, interactions=told)
    assert set(top["item"][top["score"] > 0]) == crime - {"book 3", "book 0"}


def test_decay_lets_the_last_items_count_most():
    X = pd.DataFrame({"user": ["a"] * 2 + ["b"] * 2, "item": ["book 0", "book 5"] * 2})
    X.loc[2:, "item"] = ["book 5", "book 0"]
    model = ContentKNNRecommender(GENRES, decay=0.5).fit(X)
    top = model.recommend(["a", "b"], k=1, allow=COLD)
    assert top["item"].tolist() == ["book 8", "book 3"]


# Its table of features: what can be read is in test_features.py


def test_without_a_table_it_says_what_it_needs():
    with pytest.raises(TypeError, match=r"item_features must be a DataFrame .* Received: NoneType"):
        ContentKNNRecommender(None).fit(readers())


def test_fit_leaves_the_table_alone():
    table = GENRES.copy()
    assert ContentKNNRecommender(table).fit(readers()).item_features is table
    assert_frame_equal(table, GENRES)


def test_neighbours_must_be_a_number_above_0():
    with pytest.raises(ValueError, match="n_neighbors must be an int >= 1"):
        ContentKNNRecommender(GENRES, n_neighbors=0).fit(readers())


# In scikit-learn, and in files


def test_is_measured_among_cold_items_by_scikit_learn(rng):
    rows = [(u, i) for u in range(40) for i in range(20) if u % 2 == i % 2 and rng.random() < 0.6]
    X = pd.DataFrame(rows, columns=["user", "item"])
    features = pd.DataFrame(
        {"item": range(20), "odd": np.arange(20) % 2, "even": 1 - np.arange(20) % 2}
    )
    model, splitter = ContentKNNRecommender(features), ColdItemSplitter(5, random_state=0)
    scorer = hr_scorer(2, candidates="cold")
    values = cross_val_score(model, X, cv=splitter, scoring=scorer)
    chance = cross_val_score(
        ContentKNNRecommender(features.assign(odd=1, even=1)), X, cv=splitter, scoring=scorer
    )
    assert values.mean() > chance.mean()
    search = GridSearchCV(model, {"n_neighbors": [2, 5]}, cv=splitter, scoring=scorer, n_jobs=2)
    assert search.fit(X).best_score_ > chance.mean()


def test_clone_keeps_the_table(model):
    twin = clone(model)
    assert_frame_equal(twin.item_features, GENRES)
    assert_frame_equal(twin.fit(readers()).recommend(), model.recommend())


def test_a_vote_of_recommenders_that_know_the_same_items_finds_cold_ones():
    content = [ContentKNNRecommender(GENRES, n_neighbors=n) for n in (2, 9)]
    model = VotingRecommender([("near", content[0]), ("far", content[1])]).fit(readers())
    assert model.recommend("reader 0", k=2, allow=COLD)["item"].tolist() == ["book 3", "book 4"]
    told = pd.DataFrame({"user": ["new"], "item": ["book 8"]})
    assert model.recommend("new", k=1, interactions=told, allow=COLD)["item"].item() == "book 9"


def test_a_vote_with_others_is_one_among_the_items_of_the_rows(tmp_path):
    members = [("content", ContentKNNRecommender(GENRES)), ("popular", PopularityRecommender())]
    X = readers()
    model = VotingRecommender(members, weights=[1, 0]).fit(X)
    assert list(model.items_) == list(dict.fromkeys(X["item"]))
    alone = model.estimators_[0].recommend(k=9, deny=COLD)
    assert model.recommend(k=9)["item"].tolist() == alone["item"].tolist()
    told = pd.DataFrame({"user": ["new"], "item": ["book 0"]})
    top = model.recommend("new", k=2, interactions=told)
    assert set(top["item"]) == {"book 1", "book 2"}


def test_saved_and_loaded_it_gives_the_same(model, tmp_path):
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    assert_frame_equal(loaded.recommend(k=9), model.recommend(k=9))
    assert_frame_equal(loaded.similar_items(COLD), model.similar_items(COLD))
    assert loaded.get_params() == model.get_params() | {"item_features": None}
    told = pd.DataFrame({"user": ["new"], "item": ["book 3"]})
    assert_frame_equal(
        loaded.recommend("new", interactions=told), model.recommend("new", interactions=told)
    )


def test_a_file_with_vectors_of_other_items_is_refused(model, tmp_path):
    model.item_vectors_ = model.item_vectors_[:-1]
    model.save(tmp_path / "model.neumf")
    with pytest.raises(ValueError, match=r"item_vectors_ is not a sparse matrix of sh"):
        neumf.load(tmp_path / "model.neumf")


def test_evaluate_tells_of_the_whole_catalogue_and_of_cold_items(model):
    X_test = pd.DataFrame({"user": ["reader 0", "reader 1"], "item": ["book 3", "book 9"]})
    among_all = evaluate(model, X_test, metrics="hr", k=3).to_frame()["value"].item()
    among_cold = (
        evaluate(model, X_test, metrics="hr", k=3, candidates="cold").to_frame()["value"].item()
    )
    assert among_all <= among_cold == 1
