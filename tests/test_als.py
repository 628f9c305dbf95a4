"""Alternating least squares, held to the equations written out."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from joblib import parallel_config

from neumf import ALSRecommender
from neumf.training import least_squares

OPTIONS = {"n_factors": 5, "regularization": 0.3, "unobserved_weight": 4.0, "random_state": 0}


def table(n_users=30, n_items=20, seed=0):
    """Return rows with repeated pairs, and times in another order than the rows."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, n_items, n_users)
    return pd.DataFrame(
        {
            "user": np.repeat(np.arange(n_users), counts),
            "item": rng.integers(0, n_items, counts.sum()) ** 2 // n_items,
            "timestamp": rng.permutation(counts.sum()),
        }
    )


X = table()


def expected_problem(model, X, sample_weight=None):
    """Return confidences, a_0 and the penalties of users and of items, as the docstring says."""
    weights = np.ones(len(X)) if sample_weight is None else sample_weight
    users, items = model.users_.get_indexer(X["user"]), model.items_.get_indexer(X["item"])
    after = [
        np.count_nonzero((X["user"] == row.user) & (X["timestamp"] > row.timestamp))
        for row in X.itertuples()
    ]
    counted = weights * (1.0 + np.array(after)) ** -model.recency
    confidences, counts = np.zeros((2, len(model.users_), len(model.items_)))
    np.add.at(confidences, (users, items), counted / (counted.sum() / weights.sum()))
    np.add.at(counts, (users, items), weights)
    unobserved = model.unobserved_weight * confidences.sum() / confidences.size
    penalties = [
        model.regularization * (n + model.unobserved_weight * n.mean()) ** 0.75
        for n in (counts.sum(axis=1), counts.sum(axis=0))
    ]
    return confidences, unobserved, *penalties


def expected_vectors(confidences, unobserved, penalties, others):
    """Solve the equations of each row by themselves."""
    others = others.astype(float)
    gram = unobserved * others.T @ others
    return np.array(
        [
            np.linalg.solve(
                gram + (others.T * row) @ others + penalty * np.eye(others.shape[1]),
                others.T @ row,
            )
            for row, penalty in zip(confidences, penalties, strict=True)
        ]
    )


@pytest.mark.parametrize("recency", [0.0, 1.5])
@pytest.mark.parametrize("long", [2**15, 6])
def test_users_solve_their_equations(recency, long, monkeypatch):
    monkeypatch.setattr(least_squares, "_LONG", long)
    monkeypatch.setattr(least_squares, "_BLOCK_SIZE", 300)
    weights = np.random.default_rng(1).uniform(0.1, 3, len(X))
    model = ALSRecommender(**OPTIONS, recency=recency).fit(X, sample_weight=weights)
    confidences, unobserved, of_users, _ = expected_problem(model, X, weights)
    expected = expected_vectors(confidences, unobserved, of_users, model.item_vectors_)
    np.testing.assert_allclose(model.user_vectors_, expected, rtol=1e-4, atol=1e-5)
    scores = model.decision_function(X[["user", "item"]])
    users, items = model.users_.get_indexer(X["user"]), model.items_.get_indexer(X["item"])
    expected_scores = (expected[users] * model.item_vectors_[items]).sum(axis=1)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)


def test_turns_lead_to_vectors_that_solve_both_sides():
    model = ALSRecommender(**OPTIONS, n_iter=500).fit(X)
    confidences, unobserved, _, of_items = expected_problem(model, X)
    expected = expected_vectors(confidences.T, unobserved, of_items, model.user_vectors_)
    np.testing.assert_allclose(model.item_vectors_, expected, atol=2e-3)
    assert np.abs(expected).max() > 0.3


def test_few_steps_of_a_turn_are_near_the_solution(monkeypatch):
    steps = ALSRecommender(**OPTIONS).fit(X)
    monkeypatch.setattr(least_squares, "_STEPS_OF_TURN", 200)
    exact = ALSRecommender(**OPTIONS).fit(X)
    scores = [model.user_vectors_ @ model.item_vectors_.T for model in (steps, exact)]
    np.testing.assert_allclose(*scores, atol=0.02)


def test_a_weight_of_two_is_two_rows():
    weights = np.where(X["item"] % 3 == 0, 2.0, 1.0)
    twice = pd.concat([X, X[weights == 2]])
    one, other = (ALSRecommender(**OPTIONS, recency=0) for _ in range(2))
    one.fit(X, sample_weight=weights)
    other.fit(twice)
    np.testing.assert_allclose(one.user_vectors_, other.user_vectors_, atol=1e-5)


def test_rows_labelled_0_do_not_count():
    negatives = X.assign(item=X["item"].iloc[::-1].to_numpy())
    labels = np.repeat([1.0, 0.0], len(X))
    labelled = ALSRecommender(**OPTIONS).fit(pd.concat([X, negatives]), labels)
    plain = ALSRecommender(**OPTIONS).fit(X)
    np.testing.assert_array_equal(labelled.user_vectors_, plain.user_vectors_)


def test_a_false_flag_of_openblas_is_no_warning(monkeypatch):
    # numpy issue 24067: a product of finite numbers sets the flag, and numpy warns of NaN.
    modes, solve_block = set(), least_squares._solve_block

    def solve_and_note(*arguments):
        modes.add(np.geterr()["invalid"])
        return solve_block(*arguments)

    monkeypatch.setattr(least_squares, "_solve_block", solve_and_note)
    ALSRecommender(n_factors=5, random_state=0).fit(X)
    assert modes == {"ignore"}


def test_very_large_weights_leave_finite_vectors():
    model = ALSRecommender(**OPTIONS).fit(X, sample_weight=np.full(len(X), 1e29))
    assert np.isfinite(model.user_vectors_).all()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_vectors_do_not_depend_on_jobs(backend, monkeypatch):
    monkeypatch.setattr(least_squares, "_BLOCK_SIZE", 300)
    one = ALSRecommender(**OPTIONS).fit(X)
    with parallel_config(backend=backend):
        two = ALSRecommender(**OPTIONS, n_jobs=2).fit(X)
    np.testing.assert_array_equal(one.user_vectors_, two.user_vectors_)
    np.testing.assert_array_equal(one.item_vectors_, two.item_vectors_)


@given(st.lists(st.integers(0, 14), min_size=1, max_size=30), st.floats(0, 2))
@settings(max_examples=20, deadline=None)
def test_a_new_user_gets_the_solution_for_the_rows(items, recency):
    known = [item for item in items if item in set(X["item"])]
    assume(known)
    rows = pd.DataFrame({"user": "new", "item": known, "timestamp": range(len(known))})
    X_of_strings = X.assign(user="user " + X["user"].astype(str))
    model = ALSRecommender(**OPTIONS, recency=recency).fit(X_of_strings)
    folded = model.with_interactions(rows)
    mean = (
        1
        / (1.0 + np.concatenate([np.arange(n)[::-1] for n in X.groupby("user").size()])) ** recency
    ).mean()
    weights = (1.0 + np.arange(len(known))[::-1]) ** -recency / mean
    row = np.zeros(len(model.items_))
    np.add.at(row, model.items_.get_indexer(known), weights)
    _, unobserved, *_ = expected_problem(model, X_of_strings)
    n_rows = X.groupby("user").size()
    penalty = model.regularization * (len(known) + model.unobserved_weight * n_rows.mean()) ** 0.75
    expected = expected_vectors([row], unobserved, [penalty], model.item_vectors_)
    np.testing.assert_allclose(folded.user_vectors_[-1:], expected, rtol=1e-4, atol=1e-5)


def test_new_rows_join_those_of_fit():
    first, later = X[X["timestamp"] < 200], X[X["timestamp"] >= 200]
    model = ALSRecommender(**OPTIONS, recency=0).fit(first)
    later = later[later["user"].isin(model.users_) & later["item"].isin(model.items_)]
    once = model.with_interactions(later)
    new = pd.concat([first, later]).assign(user=lambda table: -1 - table["user"])
    anew = model.with_interactions(new)
    order = anew.users_.get_indexer(-1 - once.users_)
    np.testing.assert_allclose(once.user_vectors_, anew.user_vectors_[order], atol=1e-5)


def test_rows_of_a_sparse_matrix_weigh_alike():
    matrix = sp.csr_array(np.random.default_rng(0).integers(0, 2, (20, 8)))
    models = [ALSRecommender(**OPTIONS, recency=recency).fit(matrix) for recency in (0, 2)]
    np.testing.assert_array_equal(*(model.user_vectors_ for model in models))
    folded = models[1].with_interactions(sp.csr_array(np.eye(21, 8, k=3)[:3]))
    assert np.isfinite(folded.user_vectors_).all()


def test_features_pull_vectors_and_make_those_of_cold_items():
    features = pd.DataFrame(
        {"item": range(60), "odd": np.arange(60) % 2, "high": np.arange(60) > 9}
    )
    odd = pd.DataFrame(
        [(u, i, i) for u in range(60) for i in range(40) if u % 2 == i % 2 and (u + i) % 7],
        columns=["user", "item", "timestamp"],
    )
    readers = pd.DataFrame({"user": range(70), "odd": np.arange(70) % 2})
    model = ALSRecommender(**OPTIONS, item_features=features, user_features=readers).fit(odd)
    assert len(model.items_) == 60
    cold = model.recommend([2, 3], k=10, allow=range(40, 60)).groupby("user")["item"].first()
    assert (cold % 2 == cold.index % 2).all()
    cold_users = model.recommend([66, 67], k=1).set_index("user")["item"]
    assert (cold_users % 2 == cold_users.index % 2).all()
    # Of a cold item only features are known.
    vectors = model.item_vectors_[model.items_.get_indexer([41, 43, 45])]
    np.testing.assert_array_equal(vectors[1:], vectors[:-1])
    # A user with few rows is pulled to the centre, also after new rows.
    known = model.with_interactions([[3, 1, 50]])
    assert known.decision_function([[3, 5]]) > known.decision_function([[3, 4]])


def test_without_features_the_centre_is_zero_and_with_them_the_equations_hold():
    features = pd.DataFrame({"user": range(30), "odd": np.arange(30) % 2})
    model = ALSRecommender(**OPTIONS, user_features=features, n_iter=300).fit(X)
    confidences, unobserved, of_users, _ = expected_problem(model, X)
    vectors = model.user_vectors_.astype(float)
    n_rows = np.bincount(X["user"])
    weights = n_rows / (n_rows + 20)
    inputs = np.column_stack([features["odd"].loc[model.users_], np.ones(30)])
    slope = np.linalg.solve(
        (inputs.T * weights) @ inputs + np.diag([1.0, 0.0]), (inputs.T * weights) @ vectors
    )
    others = model.item_vectors_.astype(float)
    gram = unobserved * others.T @ others
    expected = [
        np.linalg.solve(
            gram + (others.T * row) @ others + penalty * np.eye(5),
            others.T @ row + penalty * centre,
        )
        for row, penalty, centre in zip(confidences, of_users, inputs @ slope, strict=True)
    ]
    np.testing.assert_allclose(vectors, expected, rtol=5e-3, atol=5e-3)
    plain = expected_vectors(confidences, unobserved, of_users, model.item_vectors_)
    assert np.abs(vectors - plain).max() > 0.03


def test_a_table_without_positives_or_weights_is_refused():
    message = "X must have a row with a label above 0 and a weight above 0"
    with pytest.raises(ValueError, match=message):
        ALSRecommender().fit(X, np.zeros(len(X)))
    half = np.arange(len(X)) % 2
    with pytest.raises(ValueError, match=message):
        ALSRecommender().fit(X, half, sample_weight=1 - half)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_factors": 0}, "n_factors must be an int >= 1"),
        ({"regularization": 0}, "regularization must be a number > 0"),
        ({"unobserved_weight": -1}, "unobserved_weight must be a number >= 0"),
        ({"recency": -1}, "recency must be a number >= 0"),
        ({"n_iter": 0}, "n_iter must be an int >= 1"),
        ({"n_jobs": 0}, "n_jobs must be None, a number of blocks of vectors"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ALSRecommender(**options).fit(X)


def test_without_unobserved_pairs_the_equations_are_solved_all_the_same():
    model = ALSRecommender(**OPTIONS | {"unobserved_weight": 0.0, "regularization": 1e-3}).fit(X)
    confidences, unobserved, of_users, _ = expected_problem(model, X)
    assert unobserved == 0
    expected = expected_vectors(confidences, unobserved, of_users, model.item_vectors_)
    scores = model.user_vectors_ @ model.item_vectors_.T
    np.testing.assert_allclose(scores, expected @ model.item_vectors_.T, atol=1e-2)
