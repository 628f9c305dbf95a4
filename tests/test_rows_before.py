"""A request time: a known user is answered as a new user who did exactly the rows before."""

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from network_options import SMALL_JOINED, SMALL_NEUMF, SMALL_NEXT_ITEM
from pandas.testing import assert_frame_equal, assert_series_equal
from sklearn.base import clone

import neumf
from neumf import (
    ALSRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    RerankedRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
    evaluate,
    ndcg_scorer,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:fit did not see", "ignore:.* rows of interactions have an item"
)

FEATURES = pd.DataFrame({"item": range(6), "odd": [0, 1] * 3, "low": [1, 1, 1, 0, 0, 0]})
BASELINES = {
    "popularity": PopularityRecommender(),
    "recent rows": PopularityRecommender(half_life=2),
    "recent time": PopularityRecommender(half_life="2s"),
    "knn": ItemKNNRecommender(),
    "knn, decay": ItemKNNRecommender(decay=2),
    "ease": EASERecommender(1.0),
    "ease, decay": EASERecommender(1.0, decay="2s"),
    "als": ALSRecommender(n_factors=4, random_state=0),
    "als, users": ALSRecommender(n_factors=4, recency=0, random_state=0),
    "rules": SequentialRulesRecommender(),
    "content": ContentKNNRecommender(FEATURES),
    "content, decay": ContentKNNRecommender(FEATURES, decay=2),
    "voting": VotingRecommender(
        [("ease", EASERecommender(1.0, decay=2)), ("recent", PopularityRecommender("3s"))]
    ),
    "reranked, recent": RerankedRecommender(
        PopularityRecommender("3s"), diversity=0.6, item_features=FEATURES
    ),
}
NETWORKS = {
    "neumf": NeuMFRecommender(**SMALL_NEUMF),
    "joined": NeuMFRecommender(**SMALL_JOINED),
    "next item": NextItemRecommender(**SMALL_NEXT_ITEM),
    "next item, newest": NextItemRecommender(**SMALL_NEXT_ITEM | {"time_gaps": "newest"}),
    "next item, request": NextItemRecommender(**SMALL_NEXT_ITEM | {"time_gaps": "request"}),
}


def timed_table(seed=0):
    """Return 12 users with 3 to 7 rows of 20 items; some rows have equal times."""
    rng = np.random.default_rng(seed)
    rows = [
        (user, item, time)
        for user in range(12)
        for item, time in zip(
            rng.permutation(20)[: rng.integers(3, 8)], rng.integers(0, 30, 9), strict=False
        )
    ]
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


def assert_knows_only_rows_before(model, X, user, moment):
    """Compare the answers for a user at a time with those for a new user with the rows before."""
    own = X[(X["user"] == user) & (X["timestamp"] < moment)]
    new = own.assign(user=99)
    options = {"k": 20, "at": moment}
    found = model.recommend(user, **options).drop(columns="user")
    expected = model.recommend(99, interactions=new, **options).drop(columns="user")
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5, atol=1e-6)
    by_item = [table.set_index("item")["score"].sort_index() for table in (found, expected)]
    assert_series_equal(*by_item, rtol=1e-5, atol=1e-6)
    if found.empty:
        return
    logits = model.decision_function(found[["item"]].assign(user=user), at=moment)
    np.testing.assert_allclose(logits, found["score"], rtol=1e-5, atol=1e-6)
    gaps = -np.diff(model.recommend(user, exclude_seen=False, **options)["score"])
    if isinstance(model, ALSRecommender) and (gaps < 1e-5).any():  # rounding decides the order
        return
    held_out = pd.DataFrame({"user": [user], "item": found["item"][:1], "timestamp": moment})
    scorer = ndcg_scorer(k=3, at="row", exclude_seen=False)
    of_new = ndcg_scorer(k=3, at="row", exclude_seen=False, interactions=new)
    assert scorer(model, held_out) == pytest.approx(of_new(model, held_out.assign(user=99)))


@pytest.mark.parametrize("name", BASELINES)
@given(X=strategies.tables(ids=st.integers(0, 5), longest=4), moment=st.integers(-3, 4))
def test_baselines_know_only_rows_before(name, X, moment):
    moment = float(moment)
    before = X["timestamp"] < moment
    users = sorted(set(X.loc[before, "user"]) & set(X.loc[~before, "user"]))
    assume(users)
    model = clone(BASELINES[name]).fit(X)
    for user in users:
        assert_knows_only_rows_before(model, X, user, moment)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """Return a network after `fit` and one after `partial_fit`, each with its rows."""
    X, more = timed_table(), timed_table(1).query("user < 6").assign(timestamp=lambda t: 40)
    model = clone(NETWORKS[request.param]).fit(X)
    further = clone(model).fit(X).partial_fit(more)
    return [(model, X), (further, pd.concat([X, more], ignore_index=True))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user=st.integers(0, 11), moment=st.integers(0, 45))
def test_networks_know_only_rows_before(network, user, moment):
    for model, X in network:
        times = X.loc[X["user"] == user, "timestamp"]
        if (times < moment).any() and (times >= moment).any():
            assert_knows_only_rows_before(model, X, user, float(moment))


@pytest.mark.parametrize("name", BASELINES)
def test_after_the_last_row_nothing_changes(name):
    X = timed_table()
    model = clone(BASELINES[name]).fit(X)
    if "recent" in name or name == "voting":
        pytest.skip("what is recent depends on the request time")
    assert_frame_equal(model.recommend(at=31), model.recommend(), rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_before_the_first_row_a_user_gets_what_was_popular(name):
    X = timed_table()
    late = X.assign(timestamp=X["timestamp"].where(X["user"] != 3, X["timestamp"] + 100))
    model = clone(BASELINES[name]).fit(late)
    lists = model.recommend([3, 77], k=4, at=50)
    assert lists["item"].tolist()[:4] == lists["item"].tolist()[4:]
    if name == "popularity":
        before = clone(BASELINES[name]).fit(late[late["timestamp"] < 50])
        np.testing.assert_allclose(lists["score"][:4], before.recommend(77, k=4)["score"])


@pytest.mark.parametrize("name", ["knn", "ease, decay", "rules", "voting", "popularity"])
def test_files_keep_the_times_of_rows(name, tmp_path):
    X = timed_table()
    model = clone(BASELINES[name]).fit(X)
    model.save(tmp_path / "model")
    loaded = neumf.load(tmp_path / "model")
    for moment in (5, 15, 40):
        assert_frame_equal(loaded.recommend(k=9, at=moment), model.recommend(k=9, at=moment))


def test_new_rows_at_the_request_time_or_later_are_not_known():
    X = timed_table()
    model = EASERecommender(1.0).fit(X)
    new = pd.DataFrame({"user": [3, 3], "item": [0, 1], "timestamp": [40, 50]})
    known = model.with_interactions(new)
    assert_frame_equal(known.recommend(3, at=50), known.recommend(3, at=50 - 5))
    assert_frame_equal(
        model.recommend(3, at=50, interactions=new), model.recommend(3, interactions=new[:1])
    )
    untimed = model.recommend(3, at=50, interactions=new[["user", "item"]][:1])
    assert_frame_equal(untimed, model.recommend(3, interactions=new[:1]))


def test_evaluation_at_row_ranks_as_of_the_time_of_the_row():
    X = timed_table()
    held_out = X.groupby("user", as_index=False).nth(1)
    X_train = X.drop(held_out.index)
    model = EASERecommender(1.0).fit(X_train)
    options = {"metrics": "ndcg", "k": 4, "exclude_seen": False}
    values = evaluate(model, held_out, at="row", by="user", **options).to_frame()
    values = values[values["ranking"] == "exact, timed"].set_index("user")["value"]
    for user, item, moment in held_out.to_numpy():
        own = X_train[(X_train["user"] == user) & (X_train["timestamp"] < moment)]
        if len(own):
            row = pd.DataFrame({"user": [99], "item": [item]})
            expected = evaluate(model, row, interactions=own.assign(user=99), **options).to_frame()
            assert values[user] == pytest.approx(expected["value"][0])
