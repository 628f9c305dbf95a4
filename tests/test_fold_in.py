import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from network_options import NEUMF_OPTIONS, SMALL_NEUMF, SMALL_NEXT_ITEM
from pandas.testing import assert_frame_equal
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from neumf import (
    EASERecommender,
    IdEncoder,
    ItemKNNRecommender,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
)
from neumf.model.user_map import UserMap, position_weights
from neumf.training.trainer import Trainer
from neumf.utils.time_gaps import HistoryInputs

SMALL = SMALL_NEUMF | {"epochs": 1}


def next_item_model(**options):
    return NextItemRecommender(**SMALL_NEXT_ITEM | {"epochs": 1} | options)


def cycles(n_users=150, n_items=20, length=8):
    """Each user starts somewhere and goes on to the next item, around and around."""
    starts = np.random.default_rng(0).integers(0, n_items, n_users)
    return pd.DataFrame(
        {
            "user": np.repeat(np.arange(n_users), length),
            "item": ((starts[:, None] + np.arange(length)) % n_items).ravel() + 1000,
            "timestamp": np.tile(np.arange(length), n_users),
        }
    )


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return cycles().sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


FITTED = {
    "shared": {},
    "own": {"share_item_vectors": False},
    "users": {"share_item_vectors": False, "add_user_vectors": True, "hidden_size": 8},
}


@pytest.fixture(scope="module", params=FITTED)
def fitted(request, X):
    return next_item_model(n_factors=16, epochs=20, **FITTED[request.param]).fit(X)


def test_a_new_user_gets_what_comes_next(fitted):
    # The timestamps, not the rows, give the order.
    new = pd.DataFrame({"user": ["new"] * 3, "item": [1005, 1004, 1003], "timestamp": [9, 8, 7]})
    new = new.assign(user=-1)
    assert fitted.recommend(-1, k=1, interactions=new)["item"].tolist() == [1006]
    assert fitted.recommend(k=1, interactions=new)["user"].tolist() == [-1]


def test_each_new_interaction_counts_at_once(fitted, X):
    last = X.sort_values("timestamp").groupby("user")["item"].last()
    following = (last - 1000 + 1) % 20 + 1000
    new = pd.DataFrame({"user": [7, 8], "item": following[[7, 8]].to_numpy()})
    first = fitted.recommend([7, 8], k=1, interactions=new)["item"]
    assert first.tolist() == ((following[[7, 8]] - 1000 + 1) % 20 + 1000).tolist()


def test_a_folded_in_user_is_scored_as_a_trained_one():
    X = cycles()
    model = next_item_model(epochs=2).fit(X)
    same = X[X["user"] == 3].assign(user=-3)
    pairs = pd.DataFrame({"user": -3, "item": model.items_})
    for method in (model.predict, model.decision_function):
        folded = method(pairs, interactions=same)
        np.testing.assert_array_equal(folded, method(pairs.assign(user=3)))
    expected = model.recommend(3, k=20).drop(columns="user")
    folded = model.recommend(-3, k=20, interactions=same).drop(columns="user")
    pd.testing.assert_frame_equal(folded, expected)


def test_rows_are_appended_to_what_is_known(X):
    """History is the same whether a user's last rows were in fit or come later."""
    model = next_item_model()
    early, late = X[X["timestamp"] < 6], X[X["timestamp"] >= 6]
    model.fit(early)
    known = model.with_interactions(late)
    for place, user in zip(known.users_.get_indexer([4, 5]), (4, 5), strict=True):
        items = X[X["user"] == user].sort_values("timestamp")["item"]
        newest = [list(model.items_).index(item) for item in items[::-1][:3]]
        assert known.histories_[place].tolist() == newest
        assert known.seen_[[place]].sum() == 8
        assert model.seen_[[list(model.users_).index(user)]].sum() == 6


def test_folding_in_stores_nothing_and_moves_no_weight(fitted, X):
    before = pickle.dumps(fitted)
    fitted.recommend(k=3, interactions=X.head(40))
    fitted.predict(X.head(5), interactions=X.head(40))
    assert pickle.dumps(fitted) == before


def test_folding_in_row_by_row_is_folding_in_all_rows(fitted, X):
    known = X["user"].iloc[0]
    rows = [[999, 1005], [known, 1003], [999, 1006], [1000, 1001], [known, 1004]]
    at_once = fitted.with_interactions(rows)
    one_by_one = fitted
    for row in rows:
        one_by_one = one_by_one.with_interactions([row])
    assert_frame_equal(
        one_by_one.recommend([999, known, 1000]), at_once.recommend([999, known, 1000])
    )
    places = [recommender.users_.get_indexer([999, known]) for recommender in (one_by_one, at_once)]
    vectors = [
        recommender.network_.users[place]
        for recommender, place in zip((one_by_one, at_once), places, strict=True)
    ]
    np.testing.assert_allclose(*vectors, rtol=1e-5)


def test_users_folded_in_again_keep_their_own_vectors(X):
    """Copies hold users in another order than the tables of what was learned."""
    model = next_item_model(add_user_vectors=True, epochs=5).fit(X)
    assert model.network_.weights.tables["users"].any(axis=1).all()
    new = pd.DataFrame({"user": [5, 3, -1], "item": [1001, 1002, 1003]})
    later = pd.DataFrame({"user": [-1, 3, 5], "item": [1004, 1005, 1006]})
    once = model.with_interactions(pd.concat([new, later]))
    twice = model.with_interactions(new).with_interactions(later)
    users = [3, 5, -1, 7]
    vectors = [
        recommender.network_.users[recommender.users_.get_indexer(users)]
        for recommender in (twice, once)
    ]
    np.testing.assert_array_equal(*vectors)


def test_new_rows_count_as_seen(fitted):
    new = pd.DataFrame({"user": [-1, -1], "item": [1000, 1001]})
    items = fitted.recommend(-1, k=20, interactions=new)["item"]
    assert len(items) == 18
    assert not set(items) & {1000, 1001}
    both = fitted.recommend(-1, k=20, interactions=new, exclude_seen=False)
    assert len(both) == 20


def test_unknown_items_are_skipped_and_counted(fitted):
    new = pd.DataFrame({"user": -1, "item": [1003, 5, 6]})
    with pytest.warns(UserWarning, match="2 of 3 rows of interactions have an item") as caught:
        with_unknown = fitted.recommend(-1, interactions=new)
    with pytest.warns(UserWarning, match="2 of 3 rows of interactions") as caught_by_predict:
        fitted.predict(new.head(1), interactions=new)
    assert {caught[0].filename, caught_by_predict[0].filename} == {__file__}
    pd.testing.assert_frame_equal(with_unknown, fitted.recommend(-1, interactions=new.head(1)))


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_a_user_of_whom_nothing_is_known_gets_popular_items(fitted):
    new = pd.DataFrame({"user": [-1], "item": [1000]})
    mixed = fitted.recommend([-2, -1], k=5, interactions=new)
    popular = fitted.recommend(-2, k=5)
    pd.testing.assert_frame_equal(mixed.head(5), popular)


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_a_user_with_unknown_items_alone_gets_popular_items(fitted):
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        found = fitted.recommend(interactions=pd.DataFrame({"user": [-1], "item": [5]}), k=5)
    pd.testing.assert_frame_equal(found, fitted.recommend(-1, k=5))


def test_users_without_new_rows_stay_as_they_are(fitted):
    new = pd.DataFrame({"user": [-1], "item": [1000]})
    mixed = fitted.recommend([3, -1], k=5, interactions=new).head(5)
    pd.testing.assert_frame_equal(mixed, fitted.recommend(3, k=5), rtol=1e-5)


@pytest.mark.parametrize(
    "model", [PopularityRecommender(), ItemKNNRecommender(), EASERecommender()], ids=repr
)
def test_baselines_fold_in_too(model, X):
    model.fit(X)
    same = X[X["user"] == 3].assign(user=-3)
    expected = model.recommend(3, k=20).drop(columns="user")
    folded = model.recommend(-3, k=20, interactions=same).drop(columns="user")
    pd.testing.assert_frame_equal(folded, expected)


def test_a_user_map_is_least_squares_on_means(rng):
    items, users = rng.normal(size=(9, 3)), rng.normal(size=(20, 3))
    histories = rng.integers(0, 9, (20, 5))
    histories[:4, 2:] = -1  # of two items
    of_positions = np.arange(1, 6, dtype=np.float32) ** np.float32(-0.7)
    weights = position_weights(histories, 9, of_positions)
    user_map = UserMap.fit(users.astype(np.float32), items.astype(np.float32), weights)

    def mean(history):
        present = history[history >= 0]
        weights = np.arange(1, len(present) + 1) ** -0.7
        return weights @ items[present] / weights.sum()

    expected = LinearRegression().fit([mean(history) for history in histories], users)
    np.testing.assert_allclose(user_map.slope, expected.coef_.T, atol=1e-4)
    np.testing.assert_allclose(user_map.intercept, expected.intercept_, atol=1e-4)
    new = np.array([[3, 1, -1, -1, -1]])
    found = user_map.apply(items.astype(np.float32), position_weights(new, 9, of_positions))
    np.testing.assert_allclose(found, expected.predict([mean(new[0])]), atol=1e-4)


def test_the_vector_of_a_known_user_moves_as_the_map_says(X):
    early, late = X[X["timestamp"] < 6], X[X["timestamp"] >= 6]
    model = NeuMFRecommender(**SMALL).fit(early)
    known = model.with_interactions(late)
    codes, places = (recommender.users_.get_indexer([4, 5]) for recommender in (model, known))
    became = known.histories_[places]
    newest = [[1000 + (item - 1000 - step) % 20 for step in range(6)] for item in (
        late[late["user"] == user].sort_values("timestamp")["item"].iloc[-1] for user in (4, 5)
    )]  # fmt: skip
    np.testing.assert_array_equal(model.items_.to_numpy()[became], newest)
    of_positions = np.arange(1, 7, dtype=np.float32) ** np.float32(-0.5)  # its recency
    was, now = (
        model.user_map_.apply(model.network_.items, position_weights(histories, 20, of_positions))
        for histories in (model.histories_[codes], became)
    )
    expected = model.network_.users[codes] + now - was
    np.testing.assert_allclose(known.network_.users[places], expected, atol=1e-6)


def test_a_new_user_of_a_model_of_ids_gets_what_similar_users_get():
    rows = [(u, i) for u in range(100) for i in range(40) if u % 2 == i % 2 and (u + i) % 40]
    X = pd.DataFrame(rows, columns=["user", "item"])
    changes = {"epochs": 10, "learning_rate": 0.01, "dropout": 0.3, "random_state": 0}
    model = NeuMFRecommender(**NEUMF_OPTIONS | changes).fit(X)
    new = pd.DataFrame([(-1 - item % 2, item) for item in range(30)], columns=["user", "item"])
    found = model.recommend(k=5, interactions=new)
    assert np.mean(found["item"] % 2 == -1 - found["user"]) >= 0.9


def test_a_map_of_many_users_is_fitted_to_the_first_of_them(X, monkeypatch):
    monkeypatch.setattr("neumf.neural.fold_in.MOST_USERS", 12)
    model = NeuMFRecommender(**SMALL).fit(X)
    of_positions = np.arange(1, 9, dtype=np.float32) ** np.float32(-0.5)
    weights = position_weights(model.histories_[:12], 20, of_positions)
    expected = UserMap.fit(model.network_.users[:12], model.network_.items, weights)
    np.testing.assert_allclose(model.user_map_.slope, expected.slope, rtol=1e-3)


def test_the_map_is_fitted_to_users_with_rows_alone(X):
    readers = pd.DataFrame(
        {"user": range(200), "parity": np.arange(200) % 2}
    )  # the last 50 have no row
    model = NeuMFRecommender(**SMALL, user_features=readers).fit(X)
    assert (model.histories_[150:] == -1).all()
    of_positions = np.arange(1, 9, dtype=np.float32) ** np.float32(-0.5)
    weights = position_weights(model.histories_[:150], 20, of_positions)
    expected = UserMap.fit(model.network_.users[:150], model.network_.items, weights)
    np.testing.assert_allclose(model.user_map_.slope, expected.slope, rtol=1e-3)
    np.testing.assert_allclose(model.user_map_.intercept, expected.intercept, rtol=1e-3)


def test_early_stopping_keeps_the_newest_rows_in_the_histories(X):
    stopped, plain = (next_item_model(early_stopping=stop).fit(X) for stop in (True, False))
    np.testing.assert_array_equal(stopped.histories_, plain.histories_)
    tower, weights = stopped.network_.blueprint.users, stopped.network_.weights
    expected = tower.encode(*weights, np.arange(150), HistoryInputs(stopped.histories_))
    np.testing.assert_array_equal(stopped.network_.users, expected)


# Tables that are refused or warned about


@pytest.mark.parametrize("method", ["recommend", "predict"])
def test_interactions_of_users_of_another_kind_are_refused(fitted, method):
    new = pd.DataFrame({"user": ["4"], "item": [1000]})
    users = 4 if method == "recommend" else [[4, 1001]]
    with pytest.raises(ValueError, match=r"kind of the requested users, numbers.*strings such as"):
        getattr(fitted, method)(users, interactions=new)


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_interactions_of_nobody_who_is_asked_for_are_warned_about(fitted):
    new = pd.DataFrame({"user": [-9], "item": [1000]})
    with pytest.warns(
        UserWarning, match="None of the 1 rows of interactions belongs to a requested"
    ):
        found = fitted.recommend(-1, interactions=new)
    pd.testing.assert_frame_equal(found, fitted.recommend(-1))
    # Known users may have done nothing since.
    pd.testing.assert_frame_equal(
        fitted.recommend(4, interactions=new), fitted.recommend(4), rtol=1e-5
    )


def test_behind_a_pipeline_interactions_are_those_that_reach_the_recommender(X):
    as_text = X.assign(user="u" + X["user"].astype(str), item="i" + X["item"].astype(str))
    encoder = IdEncoder(handle_unknown="use_encoded_value")
    pipeline = make_pipeline(encoder, next_item_model()).fit(as_text)
    new = pd.DataFrame({"user": "n", "item": ["i1000", "i1001"]})
    with pytest.raises(ValueError, match="interactions: item ids must be of the kind that fit saw"):
        pipeline.predict(new, interactions=new)
    encoded = pipeline[:-1].transform(new)
    found = pipeline.predict(new, interactions=encoded)
    alone = next_item_model().fit(as_text).predict(new, interactions=new)
    np.testing.assert_allclose(found, alone, rtol=1e-6)


def test_a_sparse_matrix_has_no_order_to_fold_in(fitted):
    row = sp.csr_array(([1.0], ([0], [1000])), shape=(1, 1020))
    with pytest.raises(ValueError, match="interactions must be a table whose rows have an order"):
        fitted.recommend(0, interactions=row)


def test_after_a_sparse_matrix_all_seen_items_count_alike():
    """Its rows have no order: the highest columns are not the last items."""
    rng = np.random.default_rng(0)
    seen = rng.random((60, 30)) < 0.3
    model = NeuMFRecommender(**SMALL | {"epochs": 3}).fit(sp.csr_array(seen))
    assert model.histories_.shape == (60, 0)
    by_item = seen[:, model.items_][model.users_]
    means = by_item @ model.network_.items / by_item.sum(axis=1, keepdims=True)
    expected = LinearRegression().fit(means, model.network_.users)
    np.testing.assert_allclose(model.user_map_.slope, expected.coef_.T, atol=1e-3)
    items = rng.permutation(30)[:12]
    lists = []
    for order in (items, items[::-1]):
        new = pd.DataFrame({"user": -1, "item": order})
        lists.append(model.recommend(-1, k=5, interactions=new))
    pd.testing.assert_frame_equal(*lists)


def test_labels_do_not_show_in_histories(X):
    """As they would if a negative had its own positive in its history, or weighed more."""
    X_long, y = NegativeSampler(2, random_state=0).fit_resample(X.drop(columns="timestamp"))
    seen, start = [], Trainer.__init__

    def note(trainer, blueprint, weights, rows, *others):
        start(trainer, blueprint, weights, rows, *others)
        seen.append((rows.histories.before(np.arange(len(rows))).items, rows.weights))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "__init__", note)
        next_item_model(recency=0.5).fit(X_long, y)
    histories, weights = seen[0]
    n = len(X)
    for copies in (histories, weights):
        np.testing.assert_array_equal(copies[n:], np.repeat(copies[:n], 2, axis=0))


def test_labels_above_zero_make_the_histories(X):
    y = (X["item"] % 2 == 0).astype(float)
    model = next_item_model().fit(X, y)
    stored = model.histories_[model.histories_ >= 0]
    assert (model.items_[stored] % 2 == 0).all()


def test_copies_fold_in(fitted):
    new = pd.DataFrame({"user": [-1], "item": [1000]})
    expected = fitted.recommend(-1, interactions=new)
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        pd.testing.assert_frame_equal(other.recommend(-1, interactions=new), expected)


@pytest.mark.parametrize(
    "empty",
    [
        pd.DataFrame({"user": [], "item": []}),
        pd.DataFrame({"user": [], "item": [], "timestamp": []}, dtype=float),
        np.empty((0, 2)),
        [],
    ],
    ids=["frame", "floats", "array", "list"],
)
@pytest.mark.parametrize("recommender", [PopularityRecommender, ItemKNNRecommender])
@pytest.mark.filterwarnings("ignore:fit did not see")
def test_a_table_without_rows_folds_in_nothing(X, recommender, empty):
    model = recommender().fit(X)
    users = [3, 4, -1]
    assert model.recommend(users, k=3, interactions=empty).equals(model.recommend(users, k=3))
    pairs = X.iloc[:5]
    assert np.array_equal(model.predict(pairs, interactions=empty), model.predict(pairs))
    assert model.recommend(interactions=empty).shape == (0, 4)


def test_a_table_without_rows_leaves_histories_as_they_are(fitted):
    empty = pd.DataFrame({"user": [], "item": []})
    expected = fitted.recommend([0, 1], k=3)
    assert_frame_equal(fitted.recommend([0, 1], k=3, interactions=empty), expected)


def test_errors_about_new_rows_name_their_argument(X):
    model = PopularityRecommender().fit(X)
    holey = pd.DataFrame({"user": [1], "item": [np.nan]})
    with pytest.raises(ValueError, match=r"^interactions: item ids must not be missing"):
        model.recommend(interactions=holey)
    with pytest.raises(ValueError, match=r"^interactions must be a table"):
        model.predict(X, interactions=[1, 2])
