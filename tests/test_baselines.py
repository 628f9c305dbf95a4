import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pandas.testing import assert_frame_equal
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    PopularityRecommender,
    ndcg_scorer,
)
from neumf.ranking import top_k
from neumf.recommenders import item_knn

# In order of first appearance: bread has 3 users, milk 2, salt 4, plums and figs 1 each.
X = pd.DataFrame(
    [
        ("ann", "bread"),
        ("ann", "milk"),
        ("ann", "salt"),
        ("bob", "salt"),
        ("bob", "bread"),
        ("cid", "plums"),
        ("cid", "salt"),
        ("dan", "salt"),
        ("dan", "bread"),
        ("dan", "milk"),
        ("dan", "plums"),
        ("dan", "figs"),
    ],
    columns=["user", "item"],
).drop(index=6)  # cid has not had salt, so that salt and bread tie at 3
N_USERS = 4
COLUMNS = ["user", "item", "score", "rank"]


@pytest.fixture
def recommender():
    return PopularityRecommender().fit(X)


def items_of(recommendations):
    return recommendations["item"].tolist()


# fit


def test_fit_returns_the_recommender():
    recommender = PopularityRecommender()

    assert recommender.fit(X) is recommender


def test_fitted_attributes_follow_the_order_of_first_appearance(recommender):
    assert list(recommender.users_) == ["ann", "bob", "cid", "dan"]
    assert list(recommender.items_) == ["bread", "milk", "salt", "plums", "figs"]
    assert recommender.popularity_.tolist() == [3, 2, 3, 2, 1]
    assert recommender.seen_.toarray().astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [1, 1, 1, 1, 1],
    ]
    assert recommender.n_features_in_ == 2
    assert recommender.feature_names_in_.tolist() == ["user", "item"]


def test_repeated_rows_count_once_per_user(recommender):
    repeated = PopularityRecommender().fit(pd.concat([X, X[X["user"] == "ann"], X.tail(3)]))

    assert repeated.popularity_.tolist() == recommender.popularity_.tolist()
    assert_frame_equal(repeated.recommend(k=5), recommender.recommend(k=5))


def test_rows_labelled_zero_are_neither_counted_nor_seen():
    y = (X["item"] != "salt").astype(int).to_numpy()

    recommender = PopularityRecommender().fit(X, y)

    assert recommender.popularity_.tolist() == [3, 2, 0, 2, 1]
    assert "salt" in items_of(recommender.recommend("ann"))
    assert list(recommender.items_) == ["bread", "milk", "salt", "plums", "figs"]


def test_rows_labelled_above_zero_count_as_one(recommender):
    y = np.full(len(X), 0.25)

    assert PopularityRecommender().fit(X, y).popularity_.tolist() == [3, 2, 3, 2, 1]


def test_weights_change_nothing(recommender):
    weighted = PopularityRecommender().fit(X, sample_weight=np.arange(len(X)))

    assert weighted.popularity_.tolist() == recommender.popularity_.tolist()


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        (np.ones(3), r"sample_weight must hold one number per row of X, shape \(11,\)"),
        (np.ones((11, 1)), r"sample_weight must hold one number per row.*Received shape \(11, 1\)"),
        (2.0, r"sample_weight must hold one number per row of X.*Received shape \(\)"),
        (np.full(11, -1.0), "sample_weight must hold numbers >= 0"),
        (np.zeros(11), "sample_weight must hold numbers >= 0, not all of them zero"),
        (np.full(11, np.nan), "sample_weight must hold finite numbers"),
        (np.array([1, np.inf] + 9 * [2]), r"finite numbers below 1e30\. Received .*inf.* in row 1"),
        (np.array([1, 1, 1e39] + 8 * [2]), r"numbers below 1e30\. Received .*1e\+39.* in row 2"),
        (np.full(11, 3e38), r"numbers below 1e30\. Received .*3e\+38.* in row 0"),
    ],
    ids=["too short", "2-D", "scalar", "negative", "all zero", "NaN", "inf", "1e39", "3e38"],
)
def test_weights_that_are_none_are_refused(sample_weight, message):
    with pytest.raises(ValueError, match=message):
        PopularityRecommender().fit(X, sample_weight=sample_weight)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(3), r"y must hold one number per row of X, shape \(11,\)"),
        (np.full(11, 5), "y must hold a label between 0 and 1"),
        (["yes"] * 11, "y must hold finite numbers"),
    ],
    ids=["too short", "ratings", "strings"],
)
def test_labels_that_are_none_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        PopularityRecommender().fit(X, y)


def test_sparse_matrix_is_a_table_of_indices():
    dense = np.array([[0, 1, 1], [0, 1, 0]])

    recommender = PopularityRecommender().fit(sp.csr_array(dense))

    assert recommender.recommend(1)[["item", "rank"]].to_numpy().tolist() == [[2, 1]]


def test_array_and_list_give_what_the_frame_gives(recommender):
    expected = recommender.recommend()

    assert_frame_equal(PopularityRecommender().fit(X.to_numpy()).recommend(), expected)
    assert_frame_equal(PopularityRecommender().fit(X.to_numpy().tolist()).recommend(), expected)


def test_clone_is_not_fitted(recommender):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(recommender).recommend()


def test_pickled_recommender_recommends_the_same(recommender):
    copy = pickle.loads(pickle.dumps(recommender))

    assert_frame_equal(copy.recommend(), recommender.recommend())


@pytest.mark.parametrize(
    "call",
    [
        lambda estimator: estimator.predict(X),
        lambda estimator: estimator.decision_function(X),
        lambda estimator: estimator.recommend(),
        lambda estimator: estimator.score(X),
    ],
    ids=["predict", "decision_function", "recommend", "score"],
)
def test_recommender_that_is_not_fitted_is_refused(call):
    with pytest.raises(NotFittedError, match="PopularityRecommender instance is not fitted yet"):
        call(PopularityRecommender())


# predict and decision_function


def test_predict_is_laplaces_rule_for_every_user(recommender):
    count = {"bread": 3, "milk": 2, "salt": 3, "plums": 2, "figs": 1}
    pairs = [[user, item] for user in X["user"].unique() for item in count]

    probability = recommender.predict(pairs)

    assert probability.dtype == np.float64
    assert probability == pytest.approx([(count[item] + 1) / (N_USERS + 2) for _, item in pairs])


def test_decision_function_is_the_logit_of_predict(recommender):
    logits = recommender.decision_function(X)

    assert logits == pytest.approx(logit(recommender.predict(X)))
    assert expit(logits) == pytest.approx(recommender.predict(X))


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_value_of_an_unknown_user_or_item_is_nan_with_a_warning(recommender, method):
    pairs = [["ann", "figs"], ["eve", "salt"], ["ann", "tea"], ["bob", "salt"]]

    with pytest.warns(UserWarning, match=r"2 of 4 rows name a user or an item that fit did not"):
        values = getattr(recommender, method)(pairs)

    assert np.isnan(values).tolist() == [False, True, True, False]


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_values_of_unknown_rows_alone_are_nan(recommender, method):
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        assert np.isnan(getattr(recommender, method)([["eve", "tea"]])).tolist() == [True]


@pytest.mark.parametrize("method", ["predict", "decision_function"])
def test_warning_of_unknown_rows_points_at_the_call(recommender, method):
    with pytest.warns(UserWarning, match="1 of 1 rows") as caught:
        getattr(recommender, method)([["eve", "tea"]])

    assert caught[0].filename == __file__


# recommend


def test_recommend_gives_unseen_items_most_popular_first(recommender):
    recommendations = recommender.recommend(["cid", "bob"])

    assert_frame_equal(
        recommendations,
        pd.DataFrame(
            [
                # Equal scores stand in catalogue order: bread before salt.
                ("cid", "bread", logit(4 / 6), 1),
                ("cid", "salt", logit(4 / 6), 2),
                ("cid", "milk", logit(3 / 6), 3),
                ("cid", "figs", logit(2 / 6), 4),
                ("bob", "milk", logit(3 / 6), 1),
                ("bob", "plums", logit(3 / 6), 2),
                ("bob", "figs", logit(2 / 6), 3),
            ],
            columns=COLUMNS,
        ),
        check_dtype=False,
    )


def test_recommend_agrees_with_a_sort_in_pandas(rng):
    table = pd.DataFrame(rng.integers(0, 25, (300, 2)), columns=["user", "item"])
    recommender = PopularityRecommender().fit(table)

    for user in range(25):
        popularity = table.drop_duplicates().groupby("item", sort=False).size()
        unseen = popularity.drop(table.loc[table["user"] == user, "item"].unique())
        expected = unseen.sort_values(ascending=False, kind="stable").index[:7].tolist()
        assert items_of(recommender.recommend(user, k=7)) == expected


@pytest.mark.parametrize(("ids", "kind"), [(str, "O"), (int, "i")])
def test_result_has_four_columns_of_fixed_types(ids, kind):
    table = pd.DataFrame({"user": [1, 1, 2], "item": [10, 20, 20]}).astype(ids)

    recommendations = PopularityRecommender().fit(table).recommend()

    assert recommendations.columns.tolist() == COLUMNS
    kinds = [recommendations[name].to_numpy().dtype.kind for name in COLUMNS]
    assert kinds == [kind, kind, "f", "i"]
    assert recommendations.index.equals(pd.RangeIndex(len(recommendations)))


def test_default_length_of_the_list_is_10(rng):
    table = [["a", item] for item in range(30)] + [["b", 0]]

    assert len(PopularityRecommender().fit(table).recommend("b")) == 10


def test_no_users_mean_all_users_that_fit_saw(recommender):
    assert_frame_equal(
        recommender.recommend(k=2), recommender.recommend(["ann", "bob", "cid", "dan"], k=2)
    )


def test_single_id_needs_no_list(recommender):
    assert_frame_equal(recommender.recommend("cid"), recommender.recommend(["cid"]))


@pytest.mark.parametrize(
    "users", [7, np.int64(7), [7], {7}, np.array([7]), pd.Series([7])], ids=repr
)
def test_users_may_come_as_an_id_or_any_collection(users):
    recommender = PopularityRecommender().fit([[7, 1], [8, 1], [8, 2]])

    assert recommender.recommend(users)[["user", "item"]].to_numpy().tolist() == [[7, 2]]


def test_tuple_is_one_id():
    recommender = PopularityRecommender().fit([[("a", 1), "x"], [("b", 2), "y"]])

    assert items_of(recommender.recommend(("a", 1))) == ["y"]


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_recommendations_do_not_depend_on_the_size_of_blocks(recommender, monkeypatch):
    users = ["dan", "eve", "ann", "cid", "bob"]
    expected = recommender.recommend(users)

    monkeypatch.setattr(top_k, "_MOST_SCORES", 2 * len(recommender.items_))

    assert_frame_equal(recommender.recommend(users), expected)


def test_users_stand_in_the_order_given_also_twice(recommender):
    recommendations = recommender.recommend(["bob", "ann", "bob"], k=1)

    assert recommendations["user"].tolist() == ["bob", "ann", "bob"]


def test_unknown_users_get_the_most_popular_items(recommender):
    message = r"^fit did not see 2 of 3 users, such as 'eve'; they get the most popular items"
    with pytest.warns(UserWarning, match=message) as caught:
        recommendations = recommender.recommend(["eve", "cid", "fay"], k=3)
    assert [warning.filename for warning in caught] == [__file__]

    assert recommendations["user"].tolist() == ["eve"] * 3 + ["cid"] * 3 + ["fay"] * 3
    assert items_of(recommendations)[:3] == ["bread", "salt", "milk"]
    assert items_of(recommendations)[6:] == ["bread", "salt", "milk"]


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_alone_get_the_most_popular_items(recommender):
    assert items_of(recommender.recommend("eve", k=2)) == ["bread", "salt"]


def test_seen_items_are_recommended_if_not_excluded(recommender):
    recommendations = recommender.recommend(["ann", "dan"], exclude_seen=False)

    assert items_of(recommendations) == ["bread", "salt", "milk", "plums", "figs"] * 2
    assert recommendations["rank"].tolist() == [1, 2, 3, 4, 5] * 2


def test_allow_leaves_only_these_items(recommender):
    assert items_of(recommender.recommend("cid", allow=["figs", "salt", "plums"])) == [
        "salt",
        "figs",
    ]


def test_allow_takes_a_single_id(recommender):
    assert items_of(recommender.recommend("cid", allow="figs")) == ["figs"]


def test_unknown_ids_in_allow_are_ignored(recommender):
    assert items_of(recommender.recommend("cid", allow=["tea", "figs"])) == ["figs"]
    assert items_of(recommender.recommend("cid", allow=["tea"])) == []


def test_nothing_allowed_gives_no_rows(recommender):
    assert recommender.recommend(allow=[]).empty


def test_denied_items_are_left_out(recommender):
    assert items_of(recommender.recommend("cid", deny=["bread", "milk", "tea"])) == ["salt", "figs"]


def test_deny_wins_over_allow(recommender):
    recommendations = recommender.recommend("cid", allow=["salt", "figs"], deny="salt")

    assert items_of(recommendations) == ["figs"]


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_allow_and_deny_hold_for_unknown_users_too(recommender):
    recommendations = recommender.recommend("eve", allow=["salt", "figs"], deny=["salt"])

    assert items_of(recommendations) == ["figs"]


def test_list_longer_than_the_catalogue_has_fewer_rows(recommender):
    assert recommender.recommend("cid", k=1000)["rank"].tolist() == [1, 2, 3, 4]


def test_user_who_has_seen_everything_gets_no_rows(recommender):
    recommendations = recommender.recommend(["dan", "bob"])

    assert set(recommendations["user"]) == {"bob"}
    assert recommender.recommend("dan").columns.tolist() == COLUMNS
    assert recommender.recommend("dan").empty


@pytest.mark.parametrize(
    "users", [[], np.array([], dtype=object), pd.Series([], dtype=object)], ids=type
)
def test_empty_list_of_users_gives_an_empty_frame_with_the_four_columns(recommender, users):
    recommendations = recommender.recommend(users)

    assert recommendations.empty
    assert recommendations.columns.tolist() == COLUMNS


@pytest.mark.parametrize("k", [0, -1])
def test_length_below_one_is_refused(recommender, k):
    with pytest.raises(ValueError, match=rf"k must be an int >= 1\. Received: {k}"):
        recommender.recommend(k=k)


@pytest.mark.parametrize("k", [2.5, None, "10"])
def test_length_that_is_no_int_is_refused(recommender, k):
    with pytest.raises(TypeError, match="k must be an int >= 1"):
        recommender.recommend(k=k)


@pytest.mark.parametrize(
    ("parameters", "argument"),
    [({"allow": ["10"]}, "allow"), ({"deny": ["10"]}, "deny")],
)
def test_string_items_after_int_items_are_refused(parameters, argument):
    recommender = PopularityRecommender().fit([[1, 10], [2, 10], [2, 20]])

    with pytest.raises(ValueError, match=f"{argument} must be of the kind that fit saw, numbers"):
        recommender.recommend(**parameters)


def test_missing_user_is_refused(recommender):
    with pytest.raises(ValueError, match=r"users must not be missing.* in row 1"):
        recommender.recommend(["ann", None])


# score


def test_score_is_the_exact_ndcg_at_10(recommender):
    held_out = [["ann", "figs"], ["bob", "milk"], ["cid", "bread"]]

    score = recommender.score(held_out)

    # figs come second of two, milk ties with plums for the first place, bread with salt.
    tie = (1 + 1 / np.log2(3)) / 2
    assert score == pytest.approx((1 / np.log2(3) + tie + tie) / 3)
    assert score == ndcg_scorer(k=10)(recommender, held_out)


def test_score_takes_labels(recommender):
    held_out, y = [["ann", "figs"], ["bob", "milk"]], [1, 0]

    assert recommender.score(held_out, y) == pytest.approx(1 / np.log2(3))


# ItemKNNRecommender and EASERecommender


def random_table(rng, n_users=30, n_items=12):
    rows = [(u, i) for u in range(n_users) for i in range(n_items) if rng.random() < 0.3]
    return pd.DataFrame(rows, columns=["user", "item"])


def slow_item_weights(seen, n_neighbors, shrinkage):
    """Shrunk cosines, those of the nearest items of each item alone."""
    n_items = seen.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        similar = []
        for i in range(n_items):
            together = np.sum(seen[:, i] & seen[:, j])
            norm = np.sqrt(seen[:, i].sum() * seen[:, j].sum()) + shrinkage
            if i != j and together:
                similar.append((-together / norm, i))
        for value, i in sorted(similar)[:n_neighbors]:
            weights[i, j] = -value
    return weights


@pytest.mark.parametrize("n_neighbors", [1, 3, 100])
@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
def test_item_knn_adds_up_the_nearest_items(rng, n_neighbors, shrinkage):
    model = ItemKNNRecommender(n_neighbors, shrinkage).fit(random_table(rng))
    seen = model.seen_.toarray()
    weights = slow_item_weights(seen, n_neighbors, shrinkage)
    np.testing.assert_allclose(model.item_weights_.toarray(), weights)
    top = model.recommend([7], k=12).set_index("item")["score"]
    scores = pd.Series((seen[model.users_.get_loc(7)] @ weights), index=model.items_)
    share = pd.Series(seen.sum(axis=0) / (seen.sum(axis=0).max() + 1), index=model.items_)
    scores = scores.where(scores != 0, -1e-6 * (1 - share))
    np.testing.assert_allclose(top, scores[top.index])


def direct_item_weights(seen, n_neighbors, shrinkage):
    """The same by one sort of all pairs of items."""
    counts = seen.astype(np.float64)
    similar = sp.csr_array(counts.T @ counts).tocoo()
    root = np.sqrt(similar.diagonal())
    i, j = similar.row, similar.col
    values = np.where(i == j, 0, similar.data / (root[i] * root[j] + shrinkage))
    order = np.lexsort((i, -values, j))
    rank = np.arange(len(order)) - np.searchsorted(j[order], j[order])
    kept = order[(rank < n_neighbors) & (values[order] > 0)]
    return sp.csr_array((values[kept], (i[kept], j[kept])), shape=similar.shape)


@pytest.mark.parametrize("block_pairs", [1, 300, 10**6])
@pytest.mark.parametrize("n_neighbors", [1, 7, 100])
@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
def test_item_knn_is_the_same_bit_for_bit_in_blocks(
    rng, monkeypatch, block_pairs, n_neighbors, shrinkage
):
    monkeypatch.setattr(item_knn, "_BLOCK_PAIRS", block_pairs)
    table = random_table(rng, 25, 60)
    table.loc[len(table)] = [99, 99]  # an item that shares no user
    model = ItemKNNRecommender(n_neighbors, shrinkage).fit(table)
    expected = direct_item_weights(model.seen_, n_neighbors, shrinkage)
    for name in ("data", "indices", "indptr"):
        ours, theirs = (getattr(w, name) for w in (model.item_weights_, expected))
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_item_knn_takes_memory_for_a_block_of_pairs_alone(rng, monkeypatch):
    monkeypatch.setattr(item_knn, "_BLOCK_PAIRS", 2**14)
    pairs = rng.permutation(10**6)[:40_000]  # about a million pairs of items share users
    table = pd.DataFrame({"user": pairs // 1000, "item": pairs % 1000})
    tracemalloc.start()
    try:
        ItemKNNRecommender(10).fit(table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10**7  # 16 bytes of each pair would be 12 million


@pytest.mark.parametrize("regularization", [0.5, 50.0])
def test_ease_is_ridge_regression_of_each_item_on_the_others(rng, regularization):
    model = EASERecommender(regularization).fit(random_table(rng))
    seen = model.seen_.toarray().astype(float)
    for j in range(seen.shape[1]):
        others = np.delete(np.arange(seen.shape[1]), j)
        ridge = Ridge(alpha=regularization, fit_intercept=False).fit(seen[:, others], seen[:, j])
        np.testing.assert_allclose(model.item_weights_[others, j], ridge.coef_, atol=1e-8)
        assert model.item_weights_[j, j] == 0


@pytest.mark.parametrize("model", [ItemKNNRecommender(), EASERecommender(1.0)], ids=repr)
def test_on_a_checkerboard_the_item_left_out_is_found(model):
    # Even users have the even items and odd users the odd ones; each lacks one.
    rows = [(u, i) for u in range(40) for i in range(20) if u % 2 == i % 2 and (u + i) % 20]
    X = pd.DataFrame(rows, columns=["user", "item"])
    top = model.fit(X).recommend(k=1)
    assert ((top["user"] + top["item"]) % 20 == 0).all()
    assert len(top) == 40


@pytest.mark.parametrize("model", [ItemKNNRecommender(), EASERecommender(1.0)], ids=repr)
def test_pairs_have_the_scores_of_the_lists(rng, monkeypatch, model):
    X = random_table(rng)
    model.fit(X)
    monkeypatch.setattr(top_k, "_MOST_SCORES", 50)
    top = model.recommend(k=3)
    np.testing.assert_allclose(model.decision_function(top[["user", "item"]]), top["score"])
    np.testing.assert_allclose(model.predict(top[["user", "item"]]), expit(top["score"]))


@pytest.mark.filterwarnings("ignore:fit did not see")
@pytest.mark.parametrize("model", [ItemKNNRecommender(), EASERecommender(1.0)], ids=repr)
def test_unknown_users_get_the_most_popular_items_from_these_too(rng, model):
    X = random_table(rng)
    top = model.fit(X).recommend([999], k=1)
    assert items_of(top) == items_of(PopularityRecommender().fit(X).recommend([999], k=1))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ItemKNNRecommender(n_neighbors=0), "n_neighbors must be an int >= 1"),
        (ItemKNNRecommender(shrinkage=-1), "shrinkage must be a number >= 0"),
        (EASERecommender(regularization=0), "regularization must be a number > 0"),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    assert not hasattr(model, "users_")
