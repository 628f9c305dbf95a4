"""`time_gaps`: the age of an item in a history counts, before the newest item or the request."""

import copy

import numpy as np
import pandas as pd
import pytest
from training_tools import assert_same_weights

import neumf
from neumf import NextItemRecommender, ndcg_scorer

HOUR = 3600
SOON, LATE = 100, 101


def visits(n_users=120, first_user=0, seed=0, pause_before="second"):
    """Two items, and then what depends on one of the two pauses alone."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(first_user, first_user + n_users):
        items = rng.permutation(10)[:2]
        pause = rng.integers(1, 60) if user % 2 else rng.integers(5, 50) * 24 * HOUR
        pauses = [0, pause, HOUR] if pause_before == "second" else [0, HOUR, pause]
        times = int(rng.integers(0, 10**8)) + np.cumsum(pauses)
        rows += zip([user] * 3, [*items, SOON if user % 2 else LATE], times, strict=True)
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"]).astype(int)


def model_of(**options):
    small = {
        "add_simple_methods": False,
        "n_factors": 8,
        "epochs": 2,
        "random_state": 0,
        "time_gaps": "newest",
    }
    return NextItemRecommender(**small | options)


def share_found(model):
    """The share of new users whose next item comes before the other one."""
    new = visits(100, first_user=1000, seed=1)
    before = new[~new["item"].isin([SOON, LATE])]
    lists = model.recommend(before["user"].unique(), k=1, allow=[SOON, LATE], interactions=before)
    return np.mean(lists["item"] == np.where(lists["user"] % 2, SOON, LATE))


def test_the_time_between_items_is_learned_from():
    options = {"epochs": 60, "learning_rate": 0.1, "regularization": 0.01, "dropout": 0.0}
    assert share_found(model_of(**options).fit(visits())) > 0.95
    assert share_found(model_of(**options, time_gaps=None).fit(visits())) < 0.7


def share_found_at(model, moved=0):
    """The share of new users whose list at the time of their last row begins with its item."""
    new = visits(100, first_user=1000, seed=1, pause_before="third")
    is_last = new["item"].isin([SOON, LATE])
    known = model.with_interactions(new[~is_last])
    last = new[is_last].assign(timestamp=new["timestamp"][is_last] + moved)
    soon, late = (known.decision_function(last.assign(item=i), at="row") for i in (SOON, LATE))
    return np.mean((soon > late) == (last["item"] == SOON))


def test_the_time_between_the_newest_item_and_the_request_is_learned_from():
    options = {"epochs": 60, "learning_rate": 0.02, "regularization": 0.01, "dropout": 0.0}
    X = visits(pause_before="third")
    model = model_of(**options, time_gaps="request").fit(X)
    assert share_found_at(model) > 0.95
    assert share_found_at(model, moved=9 * 24 * HOUR) == pytest.approx(0.5, abs=0.1)
    assert share_found_at(model_of(**options).fit(X)) < 0.7


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return visits().sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted(X):
    return model_of().fit(X)


def assert_same_network(found, expected):
    assert_same_weights(found.network_.weights, expected.network_.weights, rtol=0, atol=0)
    np.testing.assert_array_equal(found.network_.users, expected.network_.users)


def test_times_count_by_their_differences_alone(X, fitted):
    moved = X.assign(timestamp=X["timestamp"] + X["user"] * 1000)
    assert_same_network(model_of().fit(moved), fitted)


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_datetimes_of_any_unit_are_times_in_seconds(X, fitted, unit):
    times = pd.to_datetime(X["timestamp"], unit="s").astype(f"datetime64[{unit}]")
    found = model_of().fit(X.assign(timestamp=times))
    assert_same_network(found, fitted)
    np.testing.assert_array_equal(found.history_seconds_, fitted.history_seconds_)


def test_each_user_has_the_times_of_the_last_items(X, fitted):
    for user in (0, 7):
        rows = X[X["user"] == user].sort_values("timestamp", ascending=False)
        code = fitted.users_.get_loc(user)
        assert fitted.items_[fitted.histories_[code]].tolist() == rows["item"].tolist()
        assert fitted.history_seconds_[code].tolist() == rows["timestamp"].tolist()


def test_a_folded_in_user_is_one_of_fit(X, fitted):
    same = X[X["user"] == 7].assign(user=-7)
    known = fitted.with_interactions(same)
    place, code = known.users_.get_loc(-7), fitted.users_.get_loc(7)
    np.testing.assert_array_equal(known.network_.users[place], fitted.network_.users[code])
    np.testing.assert_array_equal(known.history_seconds_[place], fitted.history_seconds_[code])


def test_rows_that_come_later_stand_before_those_of_fit(X):
    X = X.sort_values("timestamp")
    is_last = ~X.duplicated("user", keep="last") & (X["user"] >= 60)
    model = model_of(history_length=2).fit(X[~is_last])
    known = model.with_interactions(X[is_last])
    trained = copy.deepcopy(model).partial_fit(X[is_last])
    whole = model_of(history_length=2).fit(X)
    for found in (known, trained):
        codes = found.users_.get_indexer(whole.users_)
        np.testing.assert_array_equal(found.history_seconds_[codes], whole.history_seconds_)
        last = found.items_.to_numpy()[found.histories_[codes]]
        np.testing.assert_array_equal(last, whole.items_.to_numpy()[whole.histories_])


def test_a_file_holds_the_times(fitted, X, tmp_path):
    fitted.save(tmp_path / "model.neumf")
    found = neumf.load(tmp_path / "model.neumf")
    assert found.time_gaps == "newest"
    np.testing.assert_array_equal(found.history_seconds_, fitted.history_seconds_)
    new = X[X["user"] < 9].assign(item=3)
    expected = fitted.recommend(range(9), k=3, interactions=new)
    pd.testing.assert_frame_equal(found.recommend(range(9), k=3, interactions=new), expected)


@pytest.mark.parametrize("user_vectors", [False, True])
def test_early_stopping_takes_times(X, user_vectors):
    model = model_of(add_user_vectors=user_vectors, early_stopping=True).fit(X)
    assert np.isfinite(model.network_.users).all()
    assert model.network_.weights.shared["gap_weights"].any()


# The request time


@pytest.fixture(scope="module")
def asked(X):
    return model_of(time_gaps="request").fit(X)


def test_a_request_without_a_time_comes_just_after_the_newest_item(asked):
    code = asked.users_.get_loc(7)
    at = np.nextafter(asked.history_seconds_[code, 0], np.inf)
    expected = asked.recommend(7, k=5)
    assert_frame_equal = pd.testing.assert_frame_equal
    assert_frame_equal(asked.recommend(7, k=5, at=at), expected)
    later = asked.recommend(7, k=5, at=at + HOUR)
    assert not np.allclose(later["score"], expected["score"])


def test_gaps_from_the_newest_item_ignore_the_request_time(fitted):
    at = fitted.history_seconds_.max() + HOUR
    pd.testing.assert_frame_equal(fitted.recommend(7, k=5, at=at), fitted.recommend(7, k=5))


@pytest.mark.parametrize("user_vectors", [False, True])
def test_a_score_at_a_request_time_is_that_of_a_sum_by_hand(X, user_vectors):
    model = model_of(time_gaps="request", add_user_vectors=user_vectors).fit(X)
    code, pause = model.users_.get_loc(7), 1000
    at = model.history_seconds_[code, 0] + pause
    (tables, shared), vector = model.network_.weights, np.zeros(8)
    if user_vectors:
        vector += tables["users"][code]
    history = zip(model.histories_[code], model.history_seconds_[code], strict=True)
    for place, (item, second) in enumerate(history):
        bucket = int(2 * np.log2(1 + at - second))
        if place == 0:
            vector += shared["pause_vectors"][bucket]
        weights = shared["position_weights"][place] + shared["gap_weights"][bucket]
        vector += weights * (tables["history"][item] + tables["items"][item, :8])
    expected = tables["items"][:, :8] @ vector + tables["items"][:, 8] + shared["output_bias"]
    pairs = pd.DataFrame({"user": 7, "item": model.items_})
    found = model.decision_function(pairs, at=float(at))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_users_with_new_rows_keep_their_own_vectors(X):
    options = {"add_user_vectors": True, "learning_rate": 0.05, "regularization": 0.01}
    model = model_of(time_gaps="request", **options).fit(X)
    new = pd.DataFrame({"user": [7, -5, 3], "item": [2, 3, 4], "timestamp": [10**9] * 3})
    asked = {"k": 5, "at": 10.0**9 + HOUR}
    expected = model.with_interactions(new).recommend([7, 3, -5], **asked)
    found = model.recommend([7, 3, -5], interactions=new, **asked)
    pd.testing.assert_frame_equal(found, expected)
    trained = model.with_interactions(new).partial_fit(new.assign(item=[5, 6, 7]))
    unmoved = copy.deepcopy(trained).recommend([-5], k=5)
    at = np.nextafter(trained.history_seconds_[trained.users_.get_loc(-5), 0], np.inf)
    pd.testing.assert_frame_equal(trained.recommend([-5], k=5, at=at), unmoved)


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_get_what_is_popular_at_any_request_time(asked):
    lists = asked.recommend(-1, k=3, at=10.0**9)
    assert lists["item"].tolist() == asked.recommend(-1, k=3)["item"].tolist()


def test_validation_asks_for_each_row_at_its_timestamp():
    rng = np.random.default_rng(0)
    items = [rng.permutation(20)[:6] for _ in range(60)]
    times = np.cumsum(2.0 ** rng.uniform(0, 20, (60, 6)), axis=1).ravel()
    X = pd.DataFrame({"user": np.repeat(np.arange(60), 6), "item": np.concatenate(items)})
    X["timestamp"] = times
    # Users and items in the order in which both tables below have them.
    X = X.iloc[np.arange(360).reshape(60, 6).T.ravel()]
    is_last = ~X.duplicated("user", keep="last")
    options = {"time_gaps": "request", "early_stopping": True, "epochs": 5}
    options |= {"learning_rate": 0.05, "regularization": 0.01, "history_length": 5}
    model = model_of(**options).fit(X[~is_last], X_val=X[is_last])
    values = model.history_["val_ndcg_at_10"]
    best = values[model.best_iter_ - 1]
    assert ndcg_scorer(at="row")(model, X[is_last]) == pytest.approx(best)
    assert ndcg_scorer()(model, X[is_last]) != pytest.approx(best)
    held_out = model_of(**options).fit(X).history_["val_ndcg_at_10"]
    np.testing.assert_allclose(held_out, values, rtol=1e-6)


def test_rows_to_validate_on_need_times(X):
    model = model_of(time_gaps="request", early_stopping=True)
    with pytest.raises(ValueError, match="X_val must have timestamps because time_gaps is set"):
        model.fit(X, X_val=X[["user", "item"]].assign(item=3))


# Rows without times


def test_histories_without_gaps_need_none(X):
    model = model_of(time_gaps=None).fit(X[["user", "item"]])
    assert model.history_seconds_ is None
    assert "gap_weights" not in model.network_.weights.shared


def test_rows_without_times_are_refused(X, fitted):
    plain = X[["user", "item"]]
    before = fitted.network_
    message = "must have timestamps because time_gaps is set"
    with pytest.raises(ValueError, match=f"X {message}"):
        model_of().fit(plain)
    with pytest.raises(ValueError, match="timestamp"):
        fitted.partial_fit(plain)
    with pytest.raises(ValueError, match=f"interactions {message}"):
        fitted.recommend(3, interactions=plain)
    assert fitted.network_ is before


def test_other_gaps_than_those_of_fit_are_refused(X, fitted):
    changed = copy.deepcopy(fitted).set_params(time_gaps=None)
    with pytest.raises(ValueError, match="time_gaps must be the same as in fit"):
        changed.partial_fit(X)


def test_graphs_are_refused(fitted, tmp_path):
    with pytest.raises(ValueError, match="Fit one with time_gaps=None"):
        fitted.export(tmp_path / "graph")
    assert list(tmp_path.iterdir()) == []
