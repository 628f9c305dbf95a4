"""Early stopping by rows that the user of the library holds out: `fit(X, X_val=...)`."""

import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM

from neumf import (
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
    ndcg_scorer,
)


def small_model(**changes):
    return NeuMFRecommender(**SMALL_NEUMF | {"learning_rate": 0.02, "epochs": 3} | changes)


def small_next_item_model(**changes):
    return NextItemRecommender(**SMALL_NEXT_ITEM | {"epochs": 3} | changes)


STOPPING = {"early_stopping": True, "n_iter_no_change": 9}


def stopping_model(**changes):
    return small_model(**STOPPING, **changes)


@pytest.fixture(scope="module")
def tables():
    """30 users with 5 training rows each and one validation row, among 20 items."""
    rng = np.random.default_rng(7)
    rows = [
        (user, item, time)
        for user in range(30)
        for time, item in enumerate(rng.permutation(np.arange(user % 2, 20, 2))[:6])
    ]
    X = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    return LeaveLastOutSplitter().train_test_split(X)


both_models = pytest.mark.parametrize("make", [small_model, small_next_item_model])


@both_models
def test_values_are_those_of_a_scorer_after_so_many_epochs(tables, make):
    X, X_val = tables
    model = make(**STOPPING).fit(X, X_val=X_val)
    for epochs, value in enumerate(model.history_["val_ndcg_at_10"], start=1):
        fitted = make(epochs=epochs).fit(X)
        assert value == pytest.approx(ndcg_scorer()(fitted, X_val))


@both_models
def test_validation_rows_change_no_weight(tables, make):
    X, X_val = tables
    for table in (X_val, X_val.assign(item=X_val["item"].to_numpy()[::-1])):
        table = table[
            ~table.set_index(["user", "item"]).index.isin(X.set_index(["user", "item"]).index)
        ]
        model = make(**STOPPING).fit(X, X_val=table)
        assert model.n_iter_ == 3
        fitted = make(epochs=model.best_iter_).fit(X)
        for name in ("users", "items"):
            ours, theirs = getattr(model.network_, name), getattr(fitted.network_, name)
            np.testing.assert_array_equal(ours, theirs)
        assert model.history_["loss"][: model.best_iter_] == fitted.history_["loss"]


def test_the_best_epoch_is_that_of_the_validation_rows(tables):
    X, X_val = tables
    model = stopping_model(epochs=6).fit(X, X_val=X_val)
    values = model.history_["val_ndcg_at_10"]
    assert values[model.best_iter_ - 1] == max(values)
    assert ndcg_scorer()(model, X_val) == pytest.approx(max(values))
    patient = small_model(epochs=6, early_stopping=True, n_iter_no_change=1).fit(X, X_val=X_val)
    falls = [j for j in range(1, 6) if values[j] <= max(values[:j])]
    assert patient.n_iter_ == (falls[0] + 1 if falls else 6)


def test_nothing_is_held_out_of_the_training_rows(tables):
    X, X_val = tables
    model = stopping_model(epochs=1).fit(X, X_val=X_val)
    assert model.seen_.nnz == len(X)
    assert set(model.items_) == set(X["item"])


def test_rows_of_unknown_users_and_items_are_misses_and_counted(tables):
    X, X_val = tables
    unknown = pd.DataFrame({"user": [99, 99, 0], "item": [1, 2, 99], "timestamp": 9})
    with pytest.warns(UserWarning, match=r"3 of 33 held-out rows .*\(2 an unknown user, 1"):
        model = stopping_model(epochs=1).fit(X, X_val=pd.concat([X_val, unknown]))
    with pytest.warns(UserWarning, match="3 of 33 held-out rows"):
        expected = ndcg_scorer()(model, pd.concat([X_val, unknown]))
    assert model.history_["val_ndcg_at_10"] == [pytest.approx(expected)]


def test_training_rows_among_them_are_counted(tables):
    X, X_val = tables
    with pytest.warns(UserWarning, match=r"4 of 34 held-out \(user, item\) pairs were among the"):
        stopping_model(epochs=1).fit(X, X_val=pd.concat([X_val, X.head(4)]))


def test_rows_labelled_zero_stay_candidates(tables):
    X, X_val = tables
    X_long, y = NegativeSampler(n_negatives=2, random_state=0).fit_resample(X)
    model = stopping_model(epochs=1).fit(X_long, y, X_val=X_val)
    expected = ndcg_scorer()(model, X_val)
    assert model.history_["val_ndcg_at_10"] == [pytest.approx(expected)]


def test_arrays_will_do(tables):
    X, X_val = (table[["user", "item"]].to_numpy() for table in tables)
    model = stopping_model(epochs=1).fit(X, X_val=X_val)
    assert model.history_["val_ndcg_at_10"] == [pytest.approx(ndcg_scorer()(model, X_val))]


def test_without_early_stopping_they_are_refused(tables):
    X, X_val = tables
    model = small_model()
    with pytest.raises(
        ValueError, match=r"X_val is ranked after each epoch .* early_stopping=False"
    ):
        model.fit(X, X_val=X_val)
    assert not hasattr(model, "users_")


@pytest.mark.parametrize(
    ("X_val", "message"),
    [
        ([["a", "b"]], "X_val: user ids must be of the kind that fit saw"),
        ([[1]], "X_val must have a user and an item column"),
        ([], "X_val must"),
        (pd.DataFrame({"user": [1], "stars": [5]}), "no column names an item"),
    ],
    ids=["other ids", "one column", "empty", "no item"],
)
def test_tables_that_cannot_be_read_are_refused_by_name(tables, X_val, message):
    with pytest.raises(ValueError, match=message):
        stopping_model().fit(tables[0], X_val=X_val)
