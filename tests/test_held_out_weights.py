"""Weights of a vote that are learned on held-out rows."""

import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_NEUMF
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import neumf
from neumf import (
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)
from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.recommenders import voting


def random_rows(n_users=60, n_items=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(u, i) for u in range(n_users) for i in rng.permutation(n_items)[: rng.integers(3, 8)]]
    table = pd.DataFrame(rows, columns=["user", "item"])
    return table.assign(timestamp=rng.permutation(len(rows)))


X = random_rows()
MEMBERS = [("rules", SequentialRulesRecommender()), ("ease", EASERecommender(10.0))]


class Oracle(BaseRecommender):
    """Scores by a table of users and items, and keeps the rows of each fit."""

    fits: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, table=None):
        self.table = table

    def __sklearn_clone__(self):
        return Oracle(self.table)

    def fit(self, X, y=None, sample_weight=None):
        """Keep what came."""
        rows = read_rows(X, y, sample_weight)
        users, items = rows.user_ids[rows.users], rows.item_ids[rows.items]
        pairs = list(zip(users.tolist(), items.tolist(), strict=True))
        Oracle.fits.append((rows, y, sample_weight, pairs))
        scores = self.table.loc[rows.user_ids, rows.item_ids].to_numpy()
        keep_rows(self, rows, scores_=scores)
        return self

    @property
    def ranker_(self):
        """The table."""
        return self

    def score_items(self, users):
        """Return the scores of the table."""
        return self.scores_[users].copy()

    def score_candidates(self, users, items):
        """Return the scores of the table."""
        return self.scores_[users[:, None], items]


@pytest.fixture(autouse=True)
def no_fits():
    Oracle.fits = []


def last_rows(table):
    return table.sort_values("timestamp").groupby("user").tail(1).sort_values("user")


def noise(seed, table=X):
    users, items = table["user"].unique(), table["item"].unique()
    values = np.random.default_rng(seed).normal(size=(len(users), len(items)))
    return pd.DataFrame(values, index=users, columns=items)


def with_hints(strength, seed, table=X):
    """Noise that is higher at the last item of each user."""
    scores = noise(seed, table)
    for user, item in last_rows(table)[["user", "item"]].to_numpy():
        scores.loc[user, item] += strength
    return scores


def vote(*tables, **parameters):
    members = [(f"m{i}", Oracle(scores)) for i, scores in enumerate(tables)]
    return VotingRecommender(members, weights="held-out", **parameters)


def test_a_member_that_knows_the_held_out_items_gets_all_weight_and_noise_none():
    weights = vote(noise(1), with_hints(20, 2), noise(3)).fit(X).weights_
    assert weights.shape == (3,)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.95


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_weights_are_those_of_a_brute_force_search_among_unseen_items(share):
    labels = (np.random.default_rng(0).random(len(X)) < share).astype(float)
    last = last_rows(X[labels > 0])
    last = last[last["user"].map(X["user"][labels > 0].value_counts()) > 1]
    tables = with_hints(1.5, 1), with_hints(0.7, 2), noise(3)
    found = vote(*tables).fit(X, labels).weights_
    earlier = X.drop(index=last.index)  # with rows labelled 0: candidates are others
    candidates = []
    for user, item in last[["user", "item"]].to_numpy():
        unseen = np.setdiff1d(tables[0].columns, earlier["item"][earlier["user"] == user])
        parts = [table.loc[user] for table in tables]
        z = pd.DataFrame([(part - part.mean()) / part.std(ddof=0) for part in parts])[unseen]
        best = {other for _, part in z.iterrows() for other in part.nlargest(20).index}
        if item in best:
            candidates.append(z[[item, *(best - {item})]].to_numpy())

    def loss(weights):
        logits = [np.abs(weights) @ z for z in candidates]
        return sum(np.log(np.exp(own).sum()) - own[0] for own in logits)

    grid = [
        (a, b, c) for a in np.arange(0, 1.5, 0.2) for b in np.arange(0, 1, 0.2) for c in (0, 0.1)
    ]
    search = {"method": "Nelder-Mead", "options": {"xatol": 1e-6, "fatol": 1e-9}}
    best = np.abs(minimize(loss, min(grid, key=loss), **search).x)
    assert best[0] > best[1] > 0
    np.testing.assert_allclose(found, best / best.sum(), atol=1e-3)


def test_members_are_judged_without_the_held_out_rows_and_fitted_anew_on_all():
    labels = (np.random.default_rng(0).random(len(X)) < 0.8).astype(float)
    sample_weight = np.arange(len(X)) + 1.0
    model = vote(with_hints(2, 1)).fit(X, labels, sample_weight)
    last = last_rows(X[labels > 0])
    several = X["user"][labels > 0].value_counts()
    last = last[last["user"].map(several) > 1]
    (rows, y, weights, pairs), (all_rows, *_, all_pairs) = Oracle.fits
    held_out = list(zip(last["user"], last["item"], strict=True))
    assert pairs == [
        pair for pair in zip(X["user"], X["item"], strict=True) if pair not in held_out
    ]
    assert len(y) == len(weights) == len(rows.timestamps) == len(X) - len(last)
    np.testing.assert_array_equal(weights, np.delete(sample_weight, last.index))
    for user, item in last[["user", "item"]].to_numpy():
        known = rows.user_ids.get_loc(user), rows.item_ids.get_loc(item)
        assert not rows.seen[known]
        assert known[1] not in rows.user_items[0].take(np.array([known[0]])).items
    assert rows.timelines.counts.sum() == (labels > 0).sum() - len(last)
    assert len(all_pairs) == len(all_rows.users) == len(X)
    assert model.estimators_[0].seen_.nnz == (labels > 0).sum()


def test_a_user_with_one_row_stays_in_training():
    once = pd.DataFrame({"user": [-1], "item": [X["item"][0]], "timestamp": [10**6]})
    table = pd.concat([X, once], ignore_index=True)
    vote(with_hints(2, 1, table)).fit(table)
    assert (-1, X["item"][0]) in Oracle.fits[0][3]
    only_once = X.drop_duplicates("user")
    with pytest.raises(ValueError, match="users with one row each"):
        vote(noise(1)).fit(only_once)


@pytest.mark.filterwarnings("ignore:.*timestamps")
def test_without_timestamps_a_random_row_is_held_out_that_the_seed_gives():
    untimed = X[["user", "item"]]
    tables = with_hints(2, 1), noise(2)
    first, again, other = (vote(*tables, random_state=seed).fit(untimed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.weights_, again.weights_)
    assert not np.array_equal(first.weights_, other.weights_)
    left = [pairs for *_, pairs in Oracle.fits if len(pairs) < len(X)]
    pairs = list(zip(X["user"], X["item"], strict=True))
    held_out = [[pair for pair in pairs if pair not in kept] for kept in left[::2]]
    assert held_out[0] == held_out[1] != held_out[2]
    assert [user for user, _ in held_out[0]] == list(range(60))
    last = X.groupby("user")["item"].last()
    assert 5 < sum(last[user] == item for user, item in held_out[0]) < 30


def test_a_sparse_matrix_has_random_rows_held_out():
    matrix = read_rows(X).seen
    model = VotingRecommender(
        [("knn", ItemKNNRecommender()), ("ease", EASERecommender(10.0))],
        weights="held-out",
        random_state=0,
    ).fit(matrix)
    assert model.weights_.sum() == pytest.approx(1)


def test_items_held_out_that_were_seen_before_are_left_out():
    again = pd.concat([X, X.drop_duplicates("user").assign(timestamp=10**6)], ignore_index=True)
    scores = with_hints(9, 1, again)
    with pytest.warns(UserWarning, match="no member ranks the held-out items better than chance"):
        model = vote(scores, noise(2)).fit(again)
    np.testing.assert_array_equal(model.weights_, [0.5, 0.5])


def test_a_sample_of_many_users_is_judged(monkeypatch):
    tables = with_hints(2, 1), with_hints(1, 2)
    whole = vote(*tables).fit(X).weights_
    monkeypatch.setattr(voting, "_MOST_USERS", 40)
    part = vote(*tables, random_state=0).fit(X).weights_
    np.testing.assert_array_equal(part, vote(*tables, random_state=0).fit(X).weights_)
    assert not np.array_equal(whole, part)
    np.testing.assert_allclose(whole, part, atol=0.3)


def test_weights_do_not_depend_on_the_number_of_jobs():
    members = [("rules", SequentialRulesRecommender()), ("knn", ItemKNNRecommender())]
    # Three groups of users have ten items each; the next item is likely two items on.
    steps = np.random.default_rng(0).choice([1, 2, 2, 3], size=(60, 5)).cumsum(axis=1)
    walks = pd.DataFrame({"user": np.repeat(np.arange(60), 5), "timestamp": np.arange(300)})
    walks["item"] = walks["user"] % 3 * 10 + (walks["user"] + steps.ravel()) % 10
    one = VotingRecommender(members, weights="held-out").fit(walks)
    two = VotingRecommender(members, weights="held-out", n_jobs=2).fit(walks)
    assert one.weights_.min() > 0
    np.testing.assert_array_equal(one.weights_, two.weights_)


def test_files_keep_learned_weights(tmp_path):
    one = VotingRecommender(MEMBERS, weights="held-out").fit(X)
    one.save(tmp_path / "vote.neumf")
    loaded = neumf.load(tmp_path / "vote.neumf")
    np.testing.assert_array_equal(loaded.weights_, one.weights_)
    assert loaded.weights == "held-out"
    pd.testing.assert_frame_equal(loaded.recommend(), one.recommend())
    given = VotingRecommender(MEMBERS, weights=one.weights_).fit(X)
    np.testing.assert_allclose(given.weights_, one.weights_)
    pd.testing.assert_frame_equal(given.recommend(), one.recommend())


def test_a_search_compares_learned_weights_with_given_ones():
    model = VotingRecommender(MEMBERS, random_state=0)
    grid = {"weights": ["held-out", None, [3, 1]], "random_state": [0, 1]}
    search = GridSearchCV(model, grid, cv=LeaveLastOutSplitter()).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(search.best_estimator_).get_params()["rules"] is not MEMBERS[0][1]


def test_a_dropped_member_has_no_weight():
    model = VotingRecommender([*MEMBERS, ("out", "drop")], weights="held-out").fit(X)
    assert model.weights_.shape == (2,)


def test_all_kinds_of_members_are_judged_where_items_lose_their_only_row():
    new = last_rows(X).head(5).assign(item=range(90, 95), timestamp=10**6)
    table = pd.concat([X, new], ignore_index=True)
    features = pd.DataFrame({"item": [*range(30), *range(90, 97)], "size": np.arange(37.0)})
    members = [
        ("rules", SequentialRulesRecommender(decay="1D")),
        ("knn", ItemKNNRecommender()),
        ("ease", EASERecommender(decay=1.0)),
        ("popular", PopularityRecommender(half_life=20)),
        ("content", ContentKNNRecommender(item_features=features)),
        ("network", NeuMFRecommender(**SMALL_NEUMF)),
        ("vote", VotingRecommender(MEMBERS, weights="held-out")),
    ]
    model = VotingRecommender(members, weights="held-out")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model.fit(table)
    assert model.weights_.sum() == pytest.approx(1)
    assert np.isfinite(model.weights_).all()
    assert len(model.items_) == 35


def test_other_words_are_refused():
    with pytest.raises(ValueError, match="weights must be one of 'held-out'"):
        VotingRecommender(MEMBERS, weights="heldout").fit(X)
    with pytest.raises(ValueError, match="random_state must be None, an int >= 0"):
        VotingRecommender(MEMBERS, weights="held-out", random_state=-1).fit(X)
