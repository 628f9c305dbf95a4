import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline

from neumf import (
    IdEncoder,
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    PopularityRecommender,
    hr_scorer,
    ndcg_scorer,
)

ESTIMATORS = [
    IdEncoder(unknown_value=-3),
    LeaveLastOutSplitter(n_splits=2),
    NegativeSampler(n_negatives=3),
    PopularityRecommender(),
    NeuMFRecommender(hidden_layer_sizes=(4,)),
]
SCORING = {"hr": hr_scorer(), "ndcg": ndcg_scorer(), "ndcg_99": ndcg_scorer(n_negatives=20)}


@pytest.fixture(scope="module")
def table():
    """40 readers of two genres, with string ids, times and a shuffled index."""
    rng = np.random.default_rng(3)
    rows = [
        (f"reader {user}", f"book {item}", time)
        for user in range(40)
        for time, item in enumerate(rng.choice(15, 6, replace=False) * 2 + user % 2)
    ]
    X = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    return X.sample(frac=1, random_state=0)


def small_network():
    return NeuMFRecommender(
        n_factors=2, mlp_embedding_dim=4, hidden_layer_sizes=(4,), epochs=3, random_state=0
    )


def search_over(estimator, grid, **options):
    return GridSearchCV(
        estimator, grid, cv=LeaveLastOutSplitter(), scoring=SCORING, refit="ndcg", **options
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_init_only_stores_what_it_is_given(estimator):
    assert set(vars(estimator)) == set(estimator.get_params())
    twin = clone(estimator)
    assert twin.get_params() == estimator.get_params()
    assert repr(twin) == repr(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_learned_attributes_end_in_an_underscore(estimator, table):
    fitted = clone(estimator).fit(table)
    learned = set(vars(fitted)) - set(estimator.get_params())
    assert [name for name in learned if not name.endswith("_")] in ([], ["_model"])


def test_a_pipeline_fits_searches_refits_and_recommends(table):
    pipeline = Pipeline(
        [("ids", IdEncoder(handle_unknown="use_encoded_value")), ("neumf", small_network())]
    )
    search = search_over(pipeline, {"neumf__n_factors": [2, 4]})
    search.fit(table)
    best = search.best_estimator_
    assert search.cv_results_["mean_test_ndcg"].max() == search.best_score_
    assert best["neumf"].n_factors == search.best_params_["neumf__n_factors"]
    top = best["neumf"].recommend(k=2)
    named = best["ids"].inverse_transform(top[["user", "item"]])
    assert set(named["user"]) == set(table["user"])
    assert named["item"].str.startswith("book").all()


def test_a_pipeline_scores_as_the_bare_estimator_does(table):
    X_train, X_test = LeaveLastOutSplitter().train_test_split(table)
    bare = small_network().fit(X_train)
    pipeline = make_pipeline(IdEncoder(handle_unknown="use_encoded_value"), small_network())
    pipeline.fit(X_train)
    assert ndcg_scorer()(pipeline, X_test) == ndcg_scorer()(bare, X_test)
    np.testing.assert_array_equal(pipeline.predict(X_test), bare.predict(X_test))


@pytest.mark.parametrize("with_y", [False, True])
def test_a_search_gives_the_same_for_one_and_two_jobs(table, with_y):
    y = np.ones(len(table)) if with_y else None
    results = []
    for n_jobs in (1, 2):
        search = search_over(small_network(), {"n_negatives": [1, 3]}, n_jobs=n_jobs)
        search.fit(table, y)
        results.append(search.cv_results_)
    for name in ("hr", "ndcg", "ndcg_99"):
        np.testing.assert_array_equal(
            results[0][f"mean_test_{name}"], results[1][f"mean_test_{name}"]
        )


def test_the_search_trains_on_nothing_but_what_came_before(table):
    seen = []

    class Spy(PopularityRecommender):
        def fit(self, X, y=None, sample_weight=None):
            seen.append(X)
            return super().fit(X, y, sample_weight)

    cross_val_score(Spy(), table, cv=LeaveLastOutSplitter(n_splits=2), scoring=ndcg_scorer())
    assert [len(X) for X in seen] == [200, 160]
    assert [X["timestamp"].max() for X in seen] == [4, 3]


def test_cross_val_score_needs_no_scoring(table):
    value = cross_val_score(PopularityRecommender(), table, cv=LeaveLastOutSplitter())
    X_train, X_test = LeaveLastOutSplitter().train_test_split(table)
    expected = ndcg_scorer()(PopularityRecommender().fit(X_train), X_test)
    assert value.tolist() == [expected]


def test_the_search_itself_can_be_scored(table):
    X_train, X_test = LeaveLastOutSplitter().train_test_split(table)
    search = search_over(PopularityRecommender(), {})
    search.fit(X_train)
    assert search.score(X_test) == SCORING["ndcg"](search.best_estimator_, X_test)
    assert SCORING["hr"](search, X_test) == SCORING["hr"](search.best_estimator_, X_test)


def test_scores_of_training_rows_come_with_a_warning(table):
    search = search_over(PopularityRecommender(), {}, return_train_score=True)
    with pytest.warns(UserWarning, match=r"200 of 200 held-out \(user, item\) pairs were among"):
        search.fit(table)
    assert np.isfinite(search.cv_results_["mean_train_ndcg"]).all()


def test_an_encoder_that_refuses_unknown_ids_says_what_to_set(table):
    extra = pd.DataFrame({"user": ["reader 0"], "item": ["new"], "timestamp": [99]})
    X = pd.concat([table, extra], ignore_index=True)
    search = search_over(make_pipeline(IdEncoder(), PopularityRecommender()), {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="handle_unknown='use_encoded_value'"):
            search.set_params(error_score="raise").fit(X)


def test_tables_may_have_further_columns(table):
    wide = table.assign(rating=5.0, note="fine")
    np.testing.assert_array_equal(
        small_network().fit(wide).network_.users, small_network().fit(table).network_.users
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_the_html_of_a_fitted_estimator_can_be_drawn(estimator, table):
    assert type(estimator).__name__ in clone(estimator).fit(table)._repr_html_()
