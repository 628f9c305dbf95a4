"""Sequential rules, and the decay of item weights, held to slow loops and dense algebra."""

import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    SequentialRulesRecommender,
)
from neumf.recommenders import ease, sequential_rules

WITH_DECAY = [SequentialRulesRecommender, ItemKNNRecommender, EASERecommender]
decays = st.sampled_from([0.7, 5.0, "2s", pd.Timedelta("1min")])


def walks(n_users=60, n_items=15, n_rows=8, seed=0):
    """Users who step from an item to the next one or the one after, a minute or more apart."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 3, (n_users, n_rows)).cumsum(axis=1)
    items = (rng.integers(0, n_items, (n_users, 1)) + steps) % n_items
    table = pd.DataFrame({"user": np.repeat(np.arange(n_users), n_rows), "item": items.ravel()})
    gaps = rng.integers(60, 600, (n_users, n_rows)).cumsum(axis=1)
    return table.assign(timestamp=gaps.ravel())


def dense_rows(table, history_length, decay, codes):
    """Return S and T of the docstring, row after row of each user's."""
    in_time = not isinstance(decay, float)
    length = pd.Timedelta(decay).total_seconds() if in_time else decay
    S, T, places = [], [], []
    for user in table["user"].unique():
        own = table[table["user"] == user].sort_values("timestamp", kind="stable")
        items, times = own["item"].map(codes).to_numpy(), own["timestamp"].to_numpy()
        for row in range(len(own) + 1):  # the last is the row to come
            before = np.zeros(len(codes))
            for gap in range(1, min(row, history_length) + 1):
                moment = times[min(row, len(own) - 1)]
                distance = moment - times[row - gap] if in_time else gap - 1
                before[items[row - gap]] += np.exp(-distance / length)
            if row == len(own):
                places.append((user, before))
            else:
                S.append(before)
                T.append(np.eye(len(codes))[items[row]])
    return np.array(S), np.array(T), dict(places)


def codes_of(model):
    return {item: code for code, item in enumerate(model.items_)}


# Learned weights


@given(
    strategies.tables(times="tied"), st.integers(1, 4), decays, st.sampled_from([0.0, 1.0, 20.0])
)
def test_rules_are_the_sparse_product_of_the_docstring(table, history_length, decay, shrinkage):
    # Without repeats: of an item that a user had twice, each row's square counts.
    table = table.drop_duplicates(["user", "item"])
    model = SequentialRulesRecommender(history_length, decay, shrinkage=shrinkage).fit(table)
    S, T, last = dense_rows(table, history_length, decay, codes_of(model))
    sources, targets = (S**2).sum(axis=0) + shrinkage, T.sum(axis=0) + shrinkage
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.nan_to_num((S.T @ T) * sources[:, None] ** -0.7 * targets**-0.3)
    np.testing.assert_allclose(model.item_weights_.toarray(), weights, rtol=1e-4)
    for user, before in last.items():
        scores = model.ranker_.score_items(np.array([model.users_.get_loc(user)]))[0]
        found = np.where(scores > 0, scores, 0)
        np.testing.assert_allclose(found, before @ weights, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("max_entries", [3, None])
def test_sparse_matrices_of_rules_have_indices_of_32_bits(max_entries):
    model = SequentialRulesRecommender(max_entries=max_entries).fit(walks())
    for matrix in (model.item_weights_, model._weigh_items(np.arange(3))):
        assert {matrix.indices.dtype, matrix.indptr.dtype} == {np.dtype(np.int32)}


def test_a_row_of_weight_2_counts_as_two_rows():
    X = walks().drop_duplicates(["user", "item"])
    weights = np.random.default_rng(0).integers(0, 3, len(X))
    model = SequentialRulesRecommender(history_length=4).fit(X, sample_weight=weights)
    S, T, _ = dense_rows(X, 4, 5.0, codes_of(model))  # the rows of X stand as these do
    sources = (weights[:, None] * S**2).sum(axis=0) + model.shrinkage
    targets = (weights[:, None] * T).sum(axis=0) + model.shrinkage
    together = S.T @ (weights[:, None] * T)
    expected = together * sources[:, None] ** -0.7 * targets**-0.3
    np.testing.assert_allclose(model.item_weights_.toarray(), expected, rtol=1e-4)


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    X = walks()
    expected = SequentialRulesRecommender().fit(X).recommend()
    monkeypatch.setattr(sequential_rules, "_BLOCK_PAIRS", 100)
    found = SequentialRulesRecommender().fit(X).recommend()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


def test_max_entries_keeps_the_largest_weights_of_each_item():
    full = SequentialRulesRecommender().fit(walks()).item_weights_.toarray()
    pruned = SequentialRulesRecommender(max_entries=3).fit(walks()).item_weights_
    assert sp.issparse(pruned)
    assert np.diff(pruned.indptr).max() == 3
    for row, kept in zip(full, pruned.toarray(), strict=True):
        np.testing.assert_allclose(np.sort(kept)[-3:], np.sort(row)[-3:], rtol=1e-5)


def test_the_next_step_of_a_walk_is_found():
    X, held_out = LeaveLastOutSplitter().train_test_split(walks(300))
    top = SequentialRulesRecommender().fit(X).recommend(k=2, exclude_seen=False)
    found = top.groupby("user")["item"].agg(set)
    held_out = held_out.set_index("user")["item"]
    assert np.mean([held_out[user] in items for user, items in found.items()]) > 0.85


def test_rows_labelled_zero_are_in_nobodys_history():
    X = walks()
    y = (X["item"] % 3 != 0).astype(int)
    labelled = SequentialRulesRecommender().fit(X, y)
    alone = SequentialRulesRecommender().fit(X[y > 0])
    items = labelled.items_.get_indexer(alone.items_)
    np.testing.assert_allclose(_dense(labelled)[np.ix_(items, items)], _dense(alone), atol=1e-6)
    recommended = labelled.recommend(k=3, exclude_seen=False)["item"]
    assert set(recommended) <= set(X.loc[y > 0, "item"])


def _dense(model):
    weights = model.item_weights_
    return weights.toarray() if sp.issparse(weights) else weights


# Items without a weight


def test_items_that_nothing_speaks_for_follow_in_the_order_of_popularity():
    chain = [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1)]
    apart = [(user, item) for item in (7, 8, 9) for user in range(item)]
    X = pd.DataFrame(chain + apart, columns=["user", "item"])
    model = SequentialRulesRecommender().fit(X)
    top = model.recommend("c", k=10)
    assert top["item"].tolist() == [2, 9, 8, 7]
    scores = top["score"].to_numpy()
    assert scores[0] > 0
    assert (scores[1:] < 0).all()
    assert (scores[1:] >= -1e-6).all()


# Decay of EASE and of item neighbours


@pytest.mark.parametrize("decay", [1e12, "100000D"])
@pytest.mark.parametrize("recommender", [ItemKNNRecommender, EASERecommender])
def test_without_forgetting_decay_changes_nothing(recommender, decay):
    X = walks()  # which have repeats
    plain, decayed = recommender().fit(X), recommender(decay=decay).fit(X)
    users = np.arange(len(plain.users_))
    expected = plain.ranker_.score_items(users)
    np.testing.assert_allclose(decayed.ranker_.score_items(users), expected, rtol=1e-3, atol=1e-9)


@given(strategies.tables(times="tied"), decays)
def test_decay_weighs_the_last_row_of_each_item(table, decay):
    model = EASERecommender(1.0, decay=decay).fit(table)
    codes = codes_of(model)
    length = pd.Timedelta(decay).total_seconds() if not isinstance(decay, float) else decay
    for code, user in enumerate(model.users_):
        own = table[table["user"] == user].sort_values("timestamp", kind="stable")
        weights = np.zeros(len(codes))
        last = own["timestamp"].iloc[-1]
        for place, (item, time) in enumerate(zip(own["item"], own["timestamp"], strict=True)):
            gap = len(own) - 1 - place if isinstance(decay, float) else last - time
            weights[codes[item]] = np.exp(-gap / length)  # a later row overwrites
        found = model.ranker_.score_items(np.array([code]))[0]
        np.testing.assert_allclose(found, weights @ model.item_weights_, atol=1e-9)


# All recommenders of item weights


@pytest.mark.parametrize("decay", [2.0, "10min"])
@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_a_new_user_is_scored_as_a_trained_one(recommender, decay):
    X = walks()
    model = recommender(decay=decay).fit(X)
    same = X[X["user"] == 3].assign(user=-3)
    expected = model.recommend(3, k=9).drop(columns="user")
    folded = model.recommend(-3, k=9, interactions=same).drop(columns="user")
    pd.testing.assert_frame_equal(folded, expected)


@pytest.mark.parametrize("decay", [2.0, "10min"])
@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_rows_count_the_same_in_fit_and_after_it(recommender, decay):
    X = walks()
    early, late = X[X["timestamp"] < 1500], X[X["timestamp"] >= 1500]
    counts = []
    for model in (
        recommender(decay=decay).fit(X),
        recommender(decay=decay).fit(early).with_interactions(late),
    ):
        user = np.array([model.users_.get_loc(17)])
        counts.append(pd.Series(model._weigh_items(user).toarray()[0], index=model.items_))
    pd.testing.assert_series_equal(*[of_user.sort_index() for of_user in counts])


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_recommending_with_interactions_does_not_change_the_model(recommender):
    X = walks()
    model = recommender(decay=3.0).fit(X)
    before = model.recommend()
    model.recommend(3, interactions=X.head(5).assign(user=3))
    pd.testing.assert_frame_equal(model.recommend(), before)


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_a_sparse_matrix_has_no_order(recommender):
    X = sp.csr_array(np.eye(4))
    with pytest.raises(ValueError, match=r"X must be a table whose rows have an order in time"):
        recommender(decay=5.0).fit(X)
    model = recommender(decay=5.0).fit(walks())
    with pytest.raises(ValueError, match=r"interactions must be a table whose rows have an order"):
        model.recommend(0, interactions=X)


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_a_duration_needs_timestamps(recommender):
    X = walks()
    bare = X[["user", "item"]]
    with pytest.raises(ValueError, match=r"X must have timestamps because decay='5D' is"):
        recommender(decay="5D").fit(bare)
    model = recommender(decay="5D").fit(X)
    with pytest.raises(
        ValueError, match=r"interactions must have timestamps because decay='5D' is a"
    ):
        model.recommend(0, interactions=bare)
    assert not hasattr(clone(model), "users_")


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_datetimes_and_numbers_of_seconds_are_the_same_times(recommender):
    X = walks()
    dated = X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="s"))
    found = recommender(decay="10min").fit(dated).recommend()
    pd.testing.assert_frame_equal(found, recommender(decay="10min").fit(X).recommend())


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_a_parameter_that_is_set_after_fit_waits_for_the_next_fit(recommender):
    model = recommender(decay=5.0).fit(walks())
    expected = model.recommend()
    pd.testing.assert_frame_equal(model.set_params(decay=0.5).recommend(), expected)


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_pickles_recommend_the_same(recommender):
    model = recommender(decay=5.0).fit(walks())
    copy = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(copy.recommend(), model.recommend())


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_a_search_tries_rows_and_durations(recommender):
    grid = {"decay": [2.0, pd.Timedelta("5min")]}
    search = GridSearchCV(recommender(), grid, cv=LeaveLastOutSplitter())
    search.fit(walks(300))
    assert search.best_params_["decay"] in grid["decay"]
    assert search.best_score_ > 0.3


@pytest.mark.parametrize("recommender", WITH_DECAY)
def test_similar_items_have_the_largest_weights_of_the_row(recommender):
    model = recommender().fit(walks())
    similar = model.similar_items([3, 5], k=4)
    assert similar.columns.tolist() == ["item", "similar_item", "score", "rank"]
    for item in (3, 5):
        row = pd.Series(_dense(model)[model.items_.get_loc(item)], index=model.items_).drop(item)
        if sp.issparse(model.item_weights_):
            row = row[row > 0]
        expected = row.sort_values(ascending=False, kind="stable").head(4)
        found = similar[similar["item"] == item]
        assert found["similar_item"].tolist() == expected.index.tolist()
        np.testing.assert_allclose(found["score"], expected)
        assert found["rank"].tolist() == list(range(1, len(expected) + 1))


def test_similar_items_of_an_unknown_item_are_refused():
    with pytest.raises(ValueError, match=r"items must be among those that fit saw\. Received 99"):
        SequentialRulesRecommender().fit(walks()).similar_items(99)


def test_a_catalogue_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(ease, "_free_memory", lambda: 1000)
    message = r"Received 15 items, which need .* GB of memory; .* GB are free"
    with pytest.raises(MemoryError, match=message):
        EASERecommender().fit(walks())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what can be had")
def test_free_memory_is_not_that_of_other_programs():
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < ease._free_memory() < 0.99 * built_in
    assert ease._free_memory() > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SequentialRulesRecommender(0), "history_length must be an int >= 1"),
        (SequentialRulesRecommender(shrinkage=-1), "shrinkage must be a number >= 0"),
        (SequentialRulesRecommender(max_entries=0), "max_entries must be an int >= 1"),
        (SequentialRulesRecommender(decay=0), "decay must be a number of rows above 0"),
        (EASERecommender(decay="soon"), "decay must be a number of rows above 0"),
        (ItemKNNRecommender(decay=-1), "decay must be a number of rows above 0"),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(walks())
    assert not hasattr(model, "users_")
