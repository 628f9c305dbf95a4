"""Popularity that forgets, held to a loop over the rows."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from neumf import PopularityRecommender, ndcg_scorer
from neumf.protocols import TimedRecommender

half_lives = st.sampled_from([0.5, 3, "1s", pd.Timedelta("2s")])
moments = st.lists(st.integers(-4, 4), min_size=1, max_size=5)

# Old tea has the most users, fresh milk the last rows.
X = pd.DataFrame(
    [(user, "tea", 10 + user) for user in range(5)]
    + [(user, "milk", 100 + user) for user in range(5, 8)]
    + [(8, "figs", 50), (9, "plums", 51), (10, "plums", 52)],
    columns=["user", "item", "timestamp"],
)


def slow_logits(table, items, half_life, before=None, weights=None):
    """Sum the rows one by one: all of them, or those strictly before a time."""
    weights = np.ones(len(table)) if weights is None else weights
    rows = table.assign(weight=weights).sort_values("timestamp", kind="stable")
    if before is not None:
        rows = rows[rows["timestamp"] < before]
    moment = rows["timestamp"].iloc[-1] if before is None else before
    in_time = not isinstance(half_life, int | float)
    length = pd.Timedelta(half_life).total_seconds() if in_time else half_life
    counts = dict.fromkeys(items, 0.0)
    for place, (item, time, weight) in enumerate(rows[["item", "timestamp", "weight"]].to_numpy()):
        age = moment - time if in_time else len(rows) - 1 - place
        counts[item] += weight * (2 ** (-age / length) + 1e-6 / (len(rows) + 1))
    values = np.array(list(counts.values()))
    return logit((values + 1) / (values.sum() + 2))


@given(strategies.tables(times="tied"), half_lives)
def test_logits_are_those_of_a_loop(table, half_life):
    model = PopularityRecommender(half_life).fit(table)
    expected = slow_logits(table, model.items_, half_life)
    np.testing.assert_allclose(model.popularity_logits_, expected)
    np.testing.assert_allclose(model.ranker_.score_items(np.array([0]))[0], expected)


@given(strategies.tables(times="tied"), half_lives, moments)
def test_logits_at_a_moment_are_those_of_a_loop(table, half_life, asked):
    model = PopularityRecommender(half_life).fit(table)
    seconds = np.array(asked, dtype=np.float64)
    ranker = model.ranker_at(np.zeros(len(asked), dtype=int), seconds)
    queries = np.arange(len(asked))[::-1]
    found = ranker.score_items(queries)
    for query, logits in zip(queries, found, strict=True):
        expected = slow_logits(table, model.items_, half_life, before=asked[query])
        np.testing.assert_allclose(logits, expected, atol=1e-12)
    items = np.tile(np.arange(len(model.items_)), (len(asked), 1))
    np.testing.assert_array_equal(ranker.score_candidates(queries, items), found)


@given(strategies.tables(times="tied"), half_lives, st.integers(-3, 3), st.data())
def test_rows_at_or_after_the_moment_change_nothing(table, half_life, moment, data):
    early = table[table["timestamp"] < moment]
    late = table[table["timestamp"] >= moment]
    other = late.assign(
        item=data.draw(st.permutations(late["item"].tolist())),
        timestamp=late["timestamp"] + data.draw(st.integers(0, 3)),
    )
    # The same catalogue, in the same order.
    order = pd.DataFrame({"user": 0, "item": table["item"].unique(), "timestamp": 99})
    scores = []
    for rows in (late, other, late.iloc[:0]):
        model = PopularityRecommender(half_life).fit(pd.concat([order, early, rows]))
        ranker = model.ranker_at(np.array([0]), np.array([float(moment)]))
        scores.append(ranker.score_items(np.array([0])))
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


@given(strategies.tables(times="tied"), half_lives, st.data())
def test_weights_weigh_rows(table, half_life, data):
    n = len(table)
    weights = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    model = PopularityRecommender(half_life).fit(table, sample_weight=weights)
    expected = slow_logits(table, model.items_, half_life, weights=weights)
    np.testing.assert_allclose(model.popularity_logits_, expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_what_is_new_comes_first_and_the_rest_in_the_order_of_rows():
    model = PopularityRecommender(half_life="2s").fit(X)
    assert model.recommend(-1)["item"].tolist() == ["milk", "tea", "plums", "figs"]
    assert PopularityRecommender().fit(X).recommend(-1)["item"].tolist()[0] == "tea"


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_known_and_unknown_users_get_the_same_order():
    model = PopularityRecommender(half_life=2).fit(X)
    known = model.recommend(8, exclude_seen=False)["item"].tolist()
    assert known == model.recommend(-1)["item"].tolist()


def test_the_counts_of_users_stay_what_they_are():
    recent, plain = PopularityRecommender(2).fit(X), PopularityRecommender().fit(X)
    np.testing.assert_array_equal(recent.popularity_, plain.popularity_)
    assert isinstance(recent, TimedRecommender)


def test_without_half_life_the_users_before_the_moment_count():
    model = PopularityRecommender().fit(X)
    moments = np.array([1e9, 0.0, *X["timestamp"]])
    scores = model.ranker_at(np.zeros(len(moments), int), moments).score_items(
        np.arange(len(moments))
    )
    np.testing.assert_array_equal(scores[0], model.ranker_.score_items(np.array([0]))[0])
    for moment, logits in zip(moments, scores, strict=True):
        before = X[X["timestamp"] < moment].drop_duplicates(["user", "item"])
        counts = before["item"].value_counts().reindex(model.items_, fill_value=0)
        share = (counts + 1) / (before["user"].nunique() + 2)
        np.testing.assert_allclose(logits, np.log(share / (1 - share)))


def test_datetimes_are_moments_in_seconds():
    dated = X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="s"))
    scores = [
        PopularityRecommender("1min").fit(table).ranker_at(np.array([0]), np.array([52.0]))
        for table in (X, dated)
    ]
    np.testing.assert_array_equal(*[ranker.score_items(np.array([0])) for ranker in scores])


def test_moments_before_1970_and_far_apart_are_no_trouble():
    """Where 2 to the power of the time since 1970 would overflow."""
    table = X.assign(timestamp=X["timestamp"] - 10**9)
    model = PopularityRecommender("1s").fit(table)
    ranker = model.ranker_at(np.array([0, 0]), np.array([-2e9, 2e9]))
    scores = ranker.score_items(np.array([0, 1]))
    assert np.isfinite(scores).all()
    assert (scores[0] == scores[0, 0]).all()  # nothing had happened


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_labels_of_zero_do_not_count():
    y = (X["item"] != "milk").astype(int)
    model = PopularityRecommender("2s").fit(X, y)
    assert model.recommend(-1)["item"].tolist() == ["plums", "figs", "tea", "milk"]


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_an_order_of_rows_is_enough_for_a_half_life_in_rows():
    bare = X.sort_values("timestamp")[["user", "item"]]
    model = PopularityRecommender(2).fit(bare)
    dated = PopularityRecommender(2).fit(X)
    assert model.recommend(-1)["item"].tolist() == dated.recommend(-1)["item"].tolist()
    with pytest.raises(ValueError, match="X of fit must have timestamps because a request time"):
        model.ranker_at(np.array([0]), np.array([0.0]))


def test_what_has_no_order_or_no_times_is_refused():
    with pytest.raises(ValueError, match="X must be a table whose rows have an order in time"):
        PopularityRecommender(2).fit(sp.csr_array(np.eye(3)))
    with pytest.raises(
        ValueError, match="X must have timestamps because half_life='3D' is a duration"
    ):
        PopularityRecommender("3D").fit(X[["user", "item"]])
    with pytest.raises(ValueError, match="half_life must be a number of rows above 0"):
        PopularityRecommender(0).fit(X)


def test_it_folds_in_and_can_be_measured():
    model = PopularityRecommender(3).fit(X)
    top = model.recommend(99, interactions=pd.DataFrame({"user": [99], "item": ["milk"]}))
    assert "milk" not in top["item"].tolist()
    assert ndcg_scorer()(model, pd.DataFrame({"user": [0], "item": ["milk"]})) == 1.0
