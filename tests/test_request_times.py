import datetime as dt
import math

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy.special import expit
from sklearn.pipeline import make_pipeline

from neumf import (
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    compare,
    evaluate,
    hr_scorer,
    metrics,
    ndcg_scorer,
)
from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.request_times import read_request_time
from neumf.interactions.tables import read_table

NOON = dt.datetime(2024, 5, 6, 12, tzinfo=dt.UTC)
SECONDS = 1_714_996_800.0  # of NOON, from `date -d 2024-05-06T12:00Z +%s`


# Request times that a user names


@pytest.mark.parametrize(
    "value",
    [
        SECONDS,
        int(SECONDS),
        np.int64(SECONDS),
        np.float64(SECONDS),
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(dt.timezone(dt.timedelta(hours=-7))),
        pd.Timestamp(NOON),
        pd.Timestamp(NOON).tz_convert("Asia/Tokyo"),
        np.datetime64("2024-05-06T12:00"),
        np.datetime64("2024-05-06T12:00:00", "ns"),
        "2024-05-06 12:00",
        "2024-05-06T14:00+02:00",
    ],
    ids=repr,
)
def test_request_times_are_seconds_since_1970_whatever_they_come_as(value):
    assert read_request_time(value, "at") == SECONDS


def test_a_date_is_its_first_moment():
    assert read_request_time(dt.date(1970, 1, 3), "at") == 2 * 86_400


@pytest.mark.parametrize(("number", "seconds"), [(1e11 - 1, 1e11 - 1), (1e11, 1e8), (-2e14, -2e8)])
def test_request_times_are_read_in_the_unit_of_a_column(number, seconds):
    assert read_request_time(number, "at") == seconds


def test_request_times_keep_parts_of_a_second():
    assert read_request_time(pd.Timestamp(1_500_000_000, unit="ns"), "at") == 1.5


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, pd.NaT, np.datetime64("NaT"), "tomorrow morning", "row", ""],
    ids=repr,
)
def test_what_is_no_request_time_is_refused(value):
    with pytest.raises(ValueError, match=r"at must be a finite number or a datetime.* Received: "):
        read_request_time(value, "at")


@pytest.mark.parametrize(
    "value", [True, np.True_, None, [1], 1j, dt.timedelta(1), b"2024"], ids=repr
)
def test_what_is_of_another_type_is_refused(value):
    with pytest.raises(TypeError, match=r"start must be .* Received: .* of type"):
        read_request_time(value, "start")


# Timestamps in seconds


def seconds_of(times):
    X = pd.DataFrame({"user": range(len(times)), "item": 1, "timestamp": times})
    return read_table(X).seconds.tolist()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_datetimes_of_any_unit_and_zone_are_seconds_since_1970(unit, zone):
    times = pd.DatetimeIndex(["1969-12-31 23:59:58", "2024-05-06 12:00"]).as_unit(unit)
    times = times if zone is None else times.tz_localize("UTC").tz_convert(zone)
    assert seconds_of(times) == [-2.0, SECONDS]


def test_datetimes_keep_parts_of_a_second():
    times = pd.DatetimeIndex([1_500_000_000]).as_unit("ns")
    assert seconds_of(times) == [1.5]


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float64", "Int64", "Float64", "object"])
def test_numbers_are_seconds(dtype):
    assert seconds_of(pd.Series([0, 1]).astype(dtype)) == [0.0, 1.0]


def test_python_datetimes_are_seconds_since_1970():
    assert seconds_of(pd.Series([NOON], dtype=object)) == [SECONDS]


@pytest.mark.parametrize("bad", [pd.NaT, None, "yesterday", np.inf], ids=repr)
def test_what_has_no_place_in_time_is_refused(bad):
    with pytest.raises(ValueError, match=r"X: timestamps must be numbers, datetimes or ISO 8601"):
        seconds_of(pd.Series([5, bad], dtype=object))


def test_rows_without_timestamps_have_no_seconds():
    assert read_table([["a", 1]]).seconds is None


# A recommender that reads the request time


class PopularBefore(BaseRecommender):
    """Ranks by the number of rows strictly before the request time."""

    def fit(self, X, y=None):
        rows = read_rows(X, y)
        learned = {"row_items_": rows.items, "row_seconds_": rows.seconds}
        keep_rows(self, rows, n_items_=rows.shape[1], **learned)
        return self

    @property
    def ranker_(self):
        return self._ranker_at(np.arange(len(self.users_)), np.full(len(self.users_), np.inf))

    def _ranker_at(self, users, seconds):
        assert len(users) == len(seconds)
        return CountsBefore(self, seconds)

    def _with_interactions(self, rows):
        return {}


class CountsBefore:
    def __init__(self, model, seconds):
        self.model, self.seconds = model, seconds

    def score_items(self, queries):
        model = self.model
        rows = [model.row_items_[model.row_seconds_ < self.seconds[query]] for query in queries]
        return np.array([np.bincount(items, minlength=model.n_items_) for items in rows], float)

    def score_candidates(self, queries, items):
        return np.take_along_axis(self.score_items(queries), items, axis=1)


def counts_before(X, moment):
    return X.loc[X["timestamp"] < moment, "item"].value_counts().to_dict()


@pytest.fixture(name="X")
def trending():
    """80 users; the popular items change every 20 timestamps, and no two timestamps are equal."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(80):
        times = np.sort(rng.choice(np.arange(user, 8000, 80), 5, replace=False))
        items = (times // 1000 * 3 + rng.permutation(20)[:5]) % 20
        rows += [(user, item, time) for item, time in zip(items, times, strict=True)]
    X = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    return X.drop_duplicates(["user", "item"], ignore_index=True)


@pytest.fixture(name="split")
def split_of_trending(X):
    return LeaveLastOutSplitter().train_test_split(X)


def scores_of(model, users, **options):
    lists = model.recommend(users, k=100, exclude_seen=False, **options)
    return lists.set_index(["user", "item"])["score"].to_dict()


def test_recommend_asks_at_the_moment(X):
    model = PopularBefore().fit(X)
    for moment in (0, 2500, 2500.5, 10**6):
        counts = counts_before(X, moment)
        for (_, item), score in scores_of(model, [3, 60], at=moment).items():
            assert score == counts.get(item, 0)


def test_recommend_without_a_moment_asks_just_after_the_last_row(X):
    model = PopularBefore().fit(X)
    after = X["timestamp"].max() + 1
    assert scores_of(model, [3]) == scores_of(model, [3], at=after)
    assert scores_of(model, [3]) != scores_of(model, [3], at=after - 1)


def test_moments_are_datetimes_where_the_timestamps_are(X):
    dated = X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="s"))
    model, of_dates = PopularBefore().fit(X), PopularBefore().fit(dated)
    expected = scores_of(model, [3], at=2500)
    assert scores_of(of_dates, [3], at=dt.datetime(1970, 1, 1, 0, 41, 40)) == expected
    assert scores_of(of_dates, [3], at=2500) == expected


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_get_the_items_that_were_popular_before(X):
    model = PopularBefore().fit(X)
    before = PopularityRecommender().fit(X[X["timestamp"] < 2500])
    both = model.recommend([-1, 3], k=3, at=2500, exclude_seen=False)
    np.testing.assert_allclose(both["score"][:3], before.recommend(-1, k=3)["score"])
    assert set(both["item"][:3]) <= set(before.items_)
    # Nobody did anything before.
    assert model.recommend([-1, 3], k=2, at=0)["score"].tolist() == [0.0] * 4
    assert both["score"].tolist()[3:] == sorted(counts_before(X, 2500).values())[::-1][:3]


def test_rows_folded_in_are_not_asked_about_the_moment(X):
    model = PopularBefore().fit(X)
    new = pd.DataFrame({"user": [-1], "item": [1], "timestamp": [499]})
    scores = scores_of(model, -1, at=500, interactions=new)
    assert {item: score for (_, item), score in scores.items() if score} == counts_before(X, 500)


@given(strategies.tables(ids=st.integers(0, 5), longest=2), st.integers(-3, 3), st.data())
def test_rows_at_or_after_the_moment_change_nothing(X, moment, data):
    is_before = X["timestamp"] < moment
    before, after = X[is_before], X[~is_before]
    assume(len(before) and len(after))
    other = after.assign(
        user=data.draw(st.permutations(after["user"].tolist())),
        item=data.draw(st.lists(st.integers(0, 9), min_size=len(after), max_size=len(after))),
        timestamp=after["timestamp"] + data.draw(st.integers(0, 5)),
    )
    users = before["user"].unique()
    known = set(before["item"])
    first, second, third = (
        {
            pair: score
            for pair, score in scores_of(PopularBefore().fit(table), users, at=moment).items()
            if pair[1] in known
        }
        for table in (X, pd.concat([before, other]), before)
    )
    assert first == second == third


def test_predict_asks_for_each_row_at_its_own_time(X):
    model = PopularBefore().fit(X)
    expected = [counts_before(X, time).get(item, 0) for _, item, time in X.to_numpy()]
    assert model.decision_function(X, at="row").tolist() == expected
    np.testing.assert_allclose(model.predict(X, at="row"), expit(expected))
    counts = counts_before(X, 1700)
    expected = [counts.get(item, 0) for item in X["item"]]
    assert model.decision_function(X, at=1700).tolist() == expected


def test_predict_knows_moments_of_known_rows_beside_unknown_ones(X):
    model = PopularBefore().fit(X)
    strangers = X.assign(user=X["user"].where(X.index % 3 > 0, -1))
    with pytest.warns(UserWarning, match="their value is NaN"):
        logits = model.decision_function(strangers, at="row")
    expected = model.decision_function(X, at="row")
    assert np.isnan(logits[::3]).all()
    kept = np.arange(len(X)) % 3 > 0
    assert logits[kept].tolist() == expected[kept].tolist()


def brute_force_hits(X_train, X_test, k, exclude_seen=True):
    """Chance of each held-out row to be among the k most popular items before its time."""
    hits = []
    for user, item, time in X_test.to_numpy():
        counts = counts_before(X_train, time)
        seen = set(X_train.loc[X_train["user"] == user, "item"]) if exclude_seen else set()
        others = set(X_train["item"]) - seen - {item}
        own = counts.get(item, 0)
        above = sum(counts.get(other, 0) > own for other in others)
        equal = 1 + sum(counts.get(other, 0) == own for other in others)
        hits.append(np.clip((k - above) / equal, 0, 1))
    return np.array(hits)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_scorers_ask_at_the_time_of_the_held_out_row(split, exclude_seen):
    model = PopularBefore().fit(split[0])
    expected = brute_force_hits(*split, k=4, exclude_seen=exclude_seen).mean()
    scorer = hr_scorer(4, at="row", exclude_seen=exclude_seen)
    assert scorer(model, split[1]) == pytest.approx(expected)
    assert hr_scorer(4, exclude_seen=exclude_seen)(model, split[1]) != pytest.approx(expected)
    assert repr(scorer).endswith("at='row')")


def test_sampled_scorers_ask_at_the_time_of_the_held_out_row_among_the_same_items(split):
    model = PopularBefore().fit(split[0])
    plenty = ndcg_scorer(4, n_negatives=12, at="row")
    assert 0 < plenty(model, split[1]) < 1
    # All other unseen items: the exact value.
    n_unseen = 20 - split[0].groupby("user").size() - 1
    X_test = split[1][split[1]["user"].map(n_unseen) == n_unseen.max()]
    exact = ndcg_scorer(4, at="row")(model, X_test)
    sampled = ndcg_scorer(4, n_negatives=int(n_unseen.max()), at="row")
    assert sampled(model, X_test) == pytest.approx(exact)


def test_evaluate_puts_figures_with_the_moment_beside_those_without(split):
    model = PopularBefore().fit(split[0])
    options = {"metrics": ["hr", "coverage", metrics.ndcg_at_k], "k": 4, "n_negatives": 6}
    both = evaluate(model, split[1], at="row", **options).to_frame()
    assert both["ranking"].tolist() == [
        *["exact", "sampled", "exact, timed", "sampled, timed"],
        *["exact", "exact, timed"],
        *["exact", "sampled", "exact, timed", "sampled, timed"],
    ]
    untimed = both[~both["ranking"].str.endswith("timed")].reset_index(drop=True)
    assert_frame_equal(untimed, evaluate(model, split[1], **options).to_frame())
    values = both.set_index(["ranking", "metric"])["value"]
    assert values["exact, timed", "hr"] == pytest.approx(brute_force_hits(*split, k=4).mean())
    for ranking, n_negatives in {"exact, timed": None, "sampled, timed": 6}.items():
        scorer = ndcg_scorer(4, n_negatives=n_negatives, at="row")
        assert values[ranking, "ndcg_at_k"] == pytest.approx(scorer(model, split[1]))


def test_compare_tells_figures_with_the_moment_apart(split):
    models = {"popularity": PopularityRecommender(), "now": PopularBefore()}
    results = compare(models, *split, metrics="hr", k=4, at="row").to_frame()
    assert results["ranking"].tolist() == ["exact", "exact, timed"] * 2
    expected = brute_force_hits(*split, k=4).mean() - results["value"][1]
    assert results["difference"][3] == pytest.approx(expected)


def test_printed_comparison_with_all_rankings_is_narrow(split):
    models = {"popularity": PopularityRecommender()}
    results = compare(models, *split, metrics="novelty", k=20, at="row", n_negatives=5)
    assert max(map(len, str(results).splitlines())) <= 80


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_recommenders_that_do_not_read_the_moment_have_the_same_figures(split, n_negatives):
    model = ItemKNNRecommender().fit(split[0])
    results = evaluate(model, split[1], k=4, at="row", n_negatives=n_negatives).to_frame()
    timed = results["ranking"].str.endswith(", timed")
    columns = ["metric", "k", "value", "stderr"]
    assert_frame_equal(
        results.loc[timed, columns].reset_index(drop=True),
        results.loc[~timed, columns].reset_index(drop=True),
    )
    assert_frame_equal(model.recommend(at=8000), model.recommend())
    pairs = split[1]
    assert model.predict(pairs, at="row").tolist() == model.predict(pairs).tolist()


class Untimed:
    """What `neumf.protocols.Recommender` asks for, and no more."""

    def __init__(self, model):
        for name in ("users_", "items_", "seen_", "popularity_", "ranker_"):
            setattr(self, name, getattr(model, name))


def test_strangers_that_know_no_moment_have_the_same_figures(split):
    model = Untimed(ItemKNNRecommender().fit(split[0]))
    assert ndcg_scorer(at="row")(model, split[1]) == ndcg_scorer()(model, split[1])


def test_a_query_of_several_rows_is_asked_at_the_first_of_them(X):
    X_train, X_test = LeaveLastOutSplitter(n_last=2).train_test_split(X)
    model = PopularBefore().fit(X_train)
    both = X_test[X_test.groupby("user")["user"].transform("size") == 2]
    at_first = both.assign(timestamp=both.groupby("user")["timestamp"].transform("min"))
    scorer = ndcg_scorer(at="row")
    assert scorer(model, both) == scorer(model, at_first)
    shuffled = both.sample(frac=1, random_state=0)
    assert scorer(model, shuffled) == pytest.approx(scorer(model, both))
    at_last = both.assign(timestamp=both.groupby("user")["timestamp"].transform("max"))
    assert scorer(model, both) != scorer(model, at_last)


def test_rows_labelled_zero_do_not_move_the_moment(split):
    X_train, X_test = split
    model = PopularBefore().fit(X_train)
    early = X_test.assign(timestamp=0, item=(X_test["item"] + 1) % 20)
    y = np.repeat([1, 0], len(X_test))
    scorer = hr_scorer(4, at="row")
    assert scorer(model, pd.concat([X_test, early]), y) == scorer(model, X_test)


def test_the_time_of_a_held_out_row_reaches_its_own_query_alone(split):
    X_train, X_test = split
    model = PopularBefore().fit(X_train)
    moved = X_test.copy()
    moved.loc[moved.index[5], "timestamp"] = 1
    options = {"metrics": ["hr", "novelty"], "k": 4, "by": "user", "at": "row", "n_negatives": 6}
    first, second = (evaluate(model, table, **options).to_frame() for table in (X_test, moved))
    is_timed = first["ranking"].str.endswith("timed")
    is_own = first["user"] == X_test["user"].iloc[5]
    assert_frame_equal(first[~(is_timed & is_own)], second[~(is_timed & is_own)])
    assert not first[is_timed & is_own].equals(second[is_timed & is_own])


def test_times_reach_the_recommender_through_a_pipeline(split):
    X_train, X_test = split
    pipeline = make_pipeline(IdEncoder(), PopularBefore()).fit(X_train)
    bare = PopularBefore().fit(X_train)
    found, expected = (evaluate(model, X_test, at="row", k=4) for model in (pipeline, bare))
    assert_frame_equal(found.to_frame(), expected.to_frame())


def test_new_users_are_asked_at_their_moments(split):
    X_train, X_test = split
    is_new = X_train["user"] < 10
    model = PopularBefore().fit(X_train[~is_new])
    scorer = hr_scorer(4, at="row", interactions=X_train[is_new])
    expected = []
    for user, rows in X_test.groupby("user"):
        told = X_train[~is_new | (X_train["user"] == user)]
        seen = set(told.loc[told["user"] == user, "item"])
        counts = counts_before(X_train[~is_new], rows["timestamp"].item())
        others = set(X_train["item"]) - seen - {rows["item"].item()}
        own = counts.get(rows["item"].item(), 0)
        above = sum(counts.get(other, 0) > own for other in others)
        equal = 1 + sum(counts.get(other, 0) == own for other in others)
        expected.append(np.clip((4 - above) / equal, 0, 1))
    assert scorer(model, X_test) == pytest.approx(np.mean(expected))


# Errors

ASK = {
    "predict": lambda model, X: model.predict(X, at="row"),
    "scorer": lambda model, X: hr_scorer(at="row")(model, X),
    "evaluate": lambda model, X: evaluate(model, X, at="row"),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize("model", [PopularBefore(), PopularityRecommender()], ids=str)
def test_rows_without_timestamps_have_no_moment(split, model, ask):
    model.fit(split[0])
    with pytest.raises(ValueError, match="X must have timestamps because at='row' is given"):
        ask(model, split[1].drop(columns="timestamp"))


ASK_LATER = {**ASK, "recommend": lambda model, X: model.recommend(X["user"], at=5)}


@pytest.mark.parametrize("ask", ASK_LATER.values(), ids=ASK_LATER)
@pytest.mark.parametrize("model", [PopularBefore(), PopularityRecommender()], ids=str)
def test_a_recommender_that_was_told_no_times_is_refused(split, model, ask):
    model.fit(split[0].drop(columns="timestamp"))
    with pytest.raises(ValueError, match=r"X of fit must have timestamps because a request time"):
        ask(model, split[1])


def test_other_values_of_at_are_refused(split):
    model = PopularBefore().fit(split[0])
    with pytest.raises(ValueError, match=r"at must be one of None, 'row'. Received: 5"):
        hr_scorer(at=5)
    with pytest.raises(ValueError, match=r"at must be one of .* Did you mean 'row'"):
        evaluate(model, split[1], at="rows")
    with pytest.raises(ValueError, match="at must be a finite number or a datetime"):
        model.recommend(at="row")
    with pytest.raises(TypeError, match="at must be a finite number or a datetime"):
        model.predict(split[1], at=[1, 2])
