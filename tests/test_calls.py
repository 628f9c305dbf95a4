"""Calls as people write them: those that are wrong show the right one, and no table is printed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline

from neumf import (
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    compare,
    evaluate,
    hr_scorer,
    make_ranking_scorer,
    ndcg_scorer,
)


@pytest.fixture(name="X", scope="module")
def table():
    """Thirty users with six items of twenty, user by user."""
    rng = np.random.default_rng(5)
    rows = [(user, item) for user in range(30) for item in rng.choice(20, 6, replace=False)]
    return pd.DataFrame(rows, columns=["user", "item"]).assign(timestamp=range(180))


@pytest.fixture(scope="module")
def split(X):
    return LeaveLastOutSplitter().train_test_split(X)


@pytest.fixture(scope="module")
def model(split):
    return ItemKNNRecommender().fit(split[0])


def message_of(error, call, *args, **kwargs):
    """Return the message of an error, which shows no table."""
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


# scoring= without parentheses


@pytest.mark.parametrize("make", [hr_scorer, ndcg_scorer])
def test_a_maker_of_scorers_scores(X, split, model, make):
    expected = make()(model, split[1])
    assert 0 < expected < 1
    assert make(model, split[1]) == expected
    options = {"cv": LeaveLastOutSplitter()}
    assert cross_val_score(ItemKNNRecommender(), X, scoring=make, **options) == [expected]
    scoring = {"a": make, "b": make()}
    both = cross_validate(ItemKNNRecommender(), X, scoring=scoring, **options)
    assert both["test_a"] == both["test_b"] == [expected]


def test_a_maker_of_scorers_goes_to_other_processes():
    assert pickle.loads(pickle.dumps(ndcg_scorer)) is ndcg_scorer


def test_a_maker_of_scorers_takes_labels_of_rows(split, model):
    labels = np.arange(len(split[1])) % 2
    assert ndcg_scorer(model, split[1], labels) == ndcg_scorer()(model, split[1][labels == 1])


def test_a_maker_of_scorers_takes_an_object_with_the_attributes_of_a_recommender(split, model):
    class Stranger:
        users_, items_, seen_ = model.users_, model.items_, model.seen_
        popularity_, ranker_ = model.popularity_, model.ranker_

    assert ndcg_scorer(Stranger(), split[1]) == ndcg_scorer()(model, split[1])


def test_a_maker_of_scorers_without_its_call_says_so(split, model):
    message = message_of(TypeError, make_ranking_scorer, model, split[1])
    assert "make_ranking_scorer(metric), or ndcg_scorer()" in message


# evaluate and compare


def test_evaluate_with_arguments_the_wrong_way_round(split, model):
    message = message_of(TypeError, evaluate, split[1], model)
    assert "Received: DataFrame of shape (30, 3)" in message
    assert "evaluate(model, X_test)" in message


@pytest.mark.parametrize("wrap", [lambda model: {"a": model}, lambda model: [model]])
def test_evaluate_of_several_recommenders_names_compare(split, model, wrap):
    message = message_of(TypeError, evaluate, wrap(model), split[1])
    assert "compare({'name': model}, X_train, X_test)" in message


def test_evaluate_with_too_few_or_too_many_tables(split, model):
    for args in ([model], [split[1]], [model, *split]):
        message = message_of(TypeError, evaluate, *args)
        assert "Call evaluate(model, X_test, " in message


@pytest.mark.parametrize(
    "arguments",
    [
        "{'a': model}, X",
        "[model, model], X",
        "model, X",
        "{'a': model}, X_test=X",
    ],
)
def test_compare_with_one_table_shows_the_call(split, model, arguments):
    def call():
        eval(f"compare({arguments})", {"compare": compare, "model": model, "X": split[1]})

    message = message_of(TypeError, call)
    assert "X_train, X_test)" in message
    assert "compare({'mine': model}, None, X_test) if all are fitted" in message


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (3, 0, 1), (4, 0, 1)])
def test_compare_with_estimators_that_are_no_dict_shows_the_call(split, model, order):
    given = [*split, {"a": model}, [model], model]
    message = message_of(ValueError, compare, *[given[position] for position in order])
    assert "X_train, X_test)" in message


def test_long_parameters_of_estimators_are_not_printed(split):
    class Stranger(BaseEstimator):
        def __init__(self, table=None):
            self.table = table

    message = message_of(TypeError, evaluate, Stranger(split[0]), split[1])
    assert "Received: Stranger, without" in message


# Metrics and lengths


@pytest.mark.parametrize(
    ("metric", "advice"),
    [
        ("ndgc@10", "Did you mean 'ndcg'? Pass the length of the list as k=10."),
        ("NDCG@5", "Did you mean 'ndcg'? Pass the length of the list as k=5."),
        ("ndcg_at_k", "Did you mean 'ndcg'?"),
        ("NDCG", "Did you mean 'ndcg'?"),
        ("HR", "Did you mean 'hr'?"),
        ("hitrate", "Did you mean 'hr'?"),
        ("Hit_Ratio", "Did you mean 'hr'?"),
        ("recal", "Did you mean 'recall'?"),
        ("mapk", "Did you mean 'map'?"),
        ("reciprocal_rank", "Did you mean 'mrr'?"),
        (3, "Received: 3."),
        ("xyz", "Received: 'xyz'."),
    ],
)
def test_a_misspelt_metric_names_the_near_ones(split, model, metric, advice):
    for metrics_ in (metric, [metric]):
        message = message_of(ValueError, evaluate, model, split[1], metrics=metrics_)
        assert message.endswith(advice)
        assert "metrics must be one of 'hr', 'ndcg', " in message


@pytest.mark.parametrize("scorer", [ndcg_scorer, ndcg_scorer(), hr_scorer])
def test_a_scorer_is_no_metric(split, model, scorer):
    message = message_of(ValueError, evaluate, model, split[1], metrics=[scorer])
    assert "Scorers are for scoring=" in message


def test_a_length_in_quotes(split, model):
    for call in (
        lambda: evaluate(model, split[1], k="10"),
        lambda: evaluate(model, split[1], k=["10"]),
        lambda: model.recommend(k="10"),
        lambda: ndcg_scorer(k="10"),
    ):
        message = message_of(TypeError, call)
        assert message.endswith("Received: '10' of type str. Leave the quotes out: k=10.")


def test_a_table_as_a_length_is_not_printed(split, model):
    message = message_of(TypeError, ndcg_scorer, split[1])
    assert "k must be an int >= 1. Received: DataFrame of shape (30, 3)" in message


def test_a_column_as_request_time_is_not_printed(split, model):
    message = message_of(TypeError, model.recommend, at=split[1]["timestamp"])
    assert "at must be a finite number or a datetime" in message
    assert "Received: Series of shape (30,)" in message


# Numbers as cv


def test_a_number_as_cv_names_the_splitter(X):
    with pytest.warns(UserWarning, match=r"pass cv=LeaveLastOutSplitter\(\)") as caught:
        cross_val_score(PopularityRecommender(), X, cv=3)
    assert len(caught) == 3


def test_few_unknown_users_are_no_sign_of_a_number_as_cv(split, model):
    X_test = split[1][:5].assign(user=[0, 1, 2, 98, 99])
    with pytest.warns(UserWarning, match="count as misses.$"):
        ndcg_scorer()(model, X_test)


# Rows and files


def test_rows_that_begin_with_the_index(X):
    message = message_of(ValueError, PopularityRecommender().fit, list(X.itertuples()))
    assert "Pass the DataFrame itself, or list(X.itertuples(index=False))" in message
    assert PopularityRecommender().fit(list(X.itertuples(index=False))).users_[-1] == 29


def test_a_file_of_text(X, tmp_path):
    path = tmp_path / "retail.csv"
    X.to_csv(path, index=False)
    message = message_of(ValueError, PopularityRecommender().fit, str(path))
    assert f"Read it first: X = neumf.datasets.read_interactions({str(path)!r})." in message
    message = message_of(ValueError, LeaveLastOutSplitter().train_test_split, str(path))
    assert "Read it first, for example with neumf.datasets.read_interactions" in message


# Pipelines with an encoder


def test_a_search_over_a_pipeline_recommends_in_own_ids(X):
    own = X.assign(user="user " + X["user"].astype(str), item="item " + X["item"].astype(str))
    encoder = IdEncoder(handle_unknown="use_encoded_value")
    search = GridSearchCV(
        Pipeline([("ids", encoder), ("model", ItemKNNRecommender())]),
        {"model__n_neighbors": [2, 20]},
        scoring=ndcg_scorer,
        cv=LeaveLastOutSplitter(),
    )
    ids, model = search.fit(own).best_estimator_
    lists = ids.inverse_transform(model.recommend(ids.users_.get_indexer(["user 7"]), k=3))
    plain = ItemKNNRecommender(search.best_params_["model__n_neighbors"]).fit(own)
    pd.testing.assert_frame_equal(lists, plain.recommend("user 7", k=3), check_dtype=False)
    lists = ids.inverse_transform(model.recommend(k=3))
    pd.testing.assert_frame_equal(lists, plain.recommend(k=3), check_dtype=False)
    with pytest.warns(UserWarning, match="fit did not see 1 of 1 users"):
        nobody = model.recommend(ids.users_.get_indexer(["user 99"]), k=3)
    assert ids.inverse_transform(nobody)["user"].tolist() == [None] * 3
