import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score

from neumf import ColdItemSplitter, ItemKNNRecommender, PopularityRecommender, hr_scorer


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


def frame(items):
    return pd.DataFrame({"user": range(len(items)), "item": items})


@st.composite
def cases(draw):
    """A splitter and a table with enough items for each split."""
    n_splits = draw(st.integers(1, 4))
    shares = st.floats(0.25 / n_splits, min(0.9, 1 / n_splits))
    test_size = draw(shares if n_splits == 1 else st.none() | shares)
    splitter = ColdItemSplitter(n_splits, test_size=test_size, random_state=draw(st.integers(0, 9)))
    kind = draw(strategies.id_kinds)
    pool = draw(st.lists(kind, min_size=16, max_size=20, unique=True))
    items = pool + draw(st.lists(st.sampled_from(pool), max_size=20))
    users = draw(strategies.columns_of_ids(strategies.any_ids, len(items)))
    return splitter, pd.DataFrame({"user": users, "item": draw(st.permutations(items))})


@given(cases())
def test_no_item_is_on_both_sides_and_every_row_on_one(case):
    splitter, X = case
    for train, test in splitter.split(X):
        assert train.dtype == test.dtype == np.intp
        assert sorted([*train, *test]) == list(range(len(X)))
        assert train.tolist() == sorted(train)
        assert test.tolist() == sorted(test)
        items = X["item"].tolist()
        assert not {items[row] for row in train} & {items[row] for row in test}
        assert len(train) > 0
        assert len(test) > 0


@given(cases())
def test_no_item_is_tested_twice_and_splits_hold_out_their_share(case):
    splitter, X = case
    folds = [set(X["item"].iloc[test]) for _, test in splitter.split(X)]
    n_items = X["item"].nunique()
    share = splitter.test_size or 1 / splitter.n_splits
    assert len(set().union(*folds)) == sum(map(len, folds))
    assert all(abs(len(fold) - share * n_items) < 1.001 for fold in folds)
    if splitter.test_size is None:
        assert set().union(*folds) == set(X["item"])


@given(cases(), st.integers(10, 19))
def test_a_seed_draws_the_same_items_at_every_call(case, seed):
    splitter, X = case
    first = as_lists(splitter.split(X))
    assert as_lists(splitter.split(X)) == first
    others = [clone(splitter).set_params(random_state=seed + 10 * i) for i in range(9)]
    assert any(as_lists(other.split(X)) != first for other in others)


@given(cases())
def test_the_kind_of_ids_is_irrelevant(case):
    splitter, X = case
    numbers = X.assign(item=pd.factorize(X["item"])[0])
    assert as_lists(splitter.split(numbers)) == as_lists(splitter.split(X))
    array = numbers.assign(user=pd.factorize(X["user"])[0]).to_numpy()
    assert as_lists(splitter.split(array)) == as_lists(splitter.split(X))


def test_without_a_seed_each_call_draws_anew():
    X = frame(range(50))
    splitter = ColdItemSplitter(2)
    assert as_lists(splitter.split(X)) != as_lists(splitter.split(X))


def test_all_items_have_the_same_chance():
    X = frame([0] * 30 + [1, 2, 3])
    drawn = [
        X["item"].iloc[next(ColdItemSplitter(4, random_state=seed).split(X))[1]].unique().item()
        for seed in range(400)
    ]
    assert np.bincount(drawn).min() > 70  # 100 are expected, and 9 is a standard deviation


def test_train_test_split_returns_tables_of_the_type_that_came_in():
    X = frame(list("xyxzzy")).set_axis(list("abcdef"))
    splitter = ColdItemSplitter(1, test_size=0.3, random_state=0)
    X_train, X_test = splitter.train_test_split(X)
    held_out = X["item"] == X_test["item"].iloc[0]
    assert_frame_equal(X_test, X[held_out])
    assert_frame_equal(X_train, X[~held_out])
    assert isinstance(splitter.train_test_split(X.to_numpy())[0], np.ndarray)


def test_timestamps_need_not_be_sound():
    X = frame(range(9)).assign(timestamp=np.nan)
    assert len(list(ColdItemSplitter(3).split(X))) == 3


def test_users_without_training_rows_stay_in_the_test_rows_and_are_misses():
    X = pd.DataFrame({"user": ["a", "a", "b", "b", "c"], "item": [1, 2, 1, 3, 2]})
    train, test = list(ColdItemSplitter(3, random_state=0).split(X))[2]
    assert X["user"][test].tolist() == ["a", "c"]  # c has no other row
    model = PopularityRecommender().fit(X.iloc[train])
    with pytest.warns(UserWarning, match=r"2 of 2 held-out .* \(1 an unknown user, 2 an unknown"):
        assert hr_scorer()(model, X.iloc[test]) == 0


# Errors


def test_a_sparse_matrix_has_no_rows_of_interactions():
    with pytest.raises(
        ValueError, match=r"a row per interaction\. Received a sparse matrix, whose"
    ):
        next(ColdItemSplitter(2).split(sp.csr_array(np.eye(4))))


@pytest.mark.parametrize(
    ("splitter", "n_items"),
    [
        (ColdItemSplitter(5), 4),
        (ColdItemSplitter(1, test_size=0.9), 1),
        (ColdItemSplitter(1, test_size=0.1), 4),
        (ColdItemSplitter(1, test_size=0.9), 3),
    ],
    ids=repr,
)
def test_too_few_items(splitter, n_items):
    match = rf"X must have more items: .* Received {n_items} item\(s\)\. Set a lower n_splits"
    with pytest.raises(ValueError, match=match):
        next(splitter.split(frame([*range(n_items), 0])))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_splits": 0}, ValueError, "n_splits must be an int >= 1"),
        ({"n_splits": 1}, ValueError, "n_splits must be at least 2 without test_size"),
        ({"test_size": 0}, ValueError, "test_size must be a number > 0 and < 1"),
        ({"test_size": 1}, ValueError, "test_size must be a number > 0 and < 1"),
        ({"test_size": "a"}, TypeError, "test_size must be a number > 0 and < 1"),
        ({"test_size": 0.3}, ValueError, r"at most 1 / n_splits.* Received: 0.3 with n_splits=5"),
        ({"random_state": "a"}, ValueError, "random_state must be None, an int"),
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        next(ColdItemSplitter(**parameters).split(frame(range(9))))


# In scikit-learn


def test_is_a_cross_validator():
    splitter = ColdItemSplitter(3, test_size=0.1)
    assert check_cv(splitter) is splitter
    assert splitter.get_n_splits() == 3
    assert repr(clone(splitter)) == "ColdItemSplitter(n_splits=3, test_size=0.1)"


@pytest.mark.filterwarnings("ignore:.*held-out rows name a user")
def test_cross_validates_and_searches(rng):
    X = pd.DataFrame({"user": rng.integers(0, 9, 90), "item": rng.integers(0, 12, 90)})
    splitter = ColdItemSplitter(3, random_state=0)
    values = cross_val_score(PopularityRecommender(), X, cv=splitter, scoring=hr_scorer())
    assert values.tolist() == [0, 0, 0]  # nothing is known of a cold item
    search = GridSearchCV(ItemKNNRecommender(), {"n_neighbors": [2, 9]}, cv=splitter)
    assert search.fit(X).n_splits_ == 3
