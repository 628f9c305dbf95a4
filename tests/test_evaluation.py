import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from pandas.testing import assert_frame_equal
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from neumf import (
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    compare,
    evaluate,
    make_ranking_scorer,
    metrics,
    ndcg_scorer,
)

AT_K = {
    "hr": metrics.hit_rate_at_k,
    "ndcg": metrics.ndcg_at_k,
    "recall": metrics.recall_at_k,
    "precision": metrics.precision_at_k,
    "map": metrics.average_precision_at_k,
    "mrr": metrics.reciprocal_rank_at_k,
}


@pytest.fixture(scope="module")
def tables():
    """Training rows and held-out rows of 60 users and 25 items, two rows held out each."""
    rng = np.random.default_rng(1)
    popularity = 1 / np.arange(1, 26)
    rows = [
        (f"u{user}", item, time)
        for user in range(60)
        for time, item in enumerate(
            rng.choice(25, 8, replace=False, p=popularity / popularity.sum())
        )
    ]
    X = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    X_train, X_test = LeaveLastOutSplitter(n_last=2).train_test_split(X)
    return X_train, X_test[X_test["item"].isin(X_train["item"])]


@pytest.fixture(scope="module")
def model(tables):
    return ItemKNNRecommender(n_neighbors=5).fit(tables[0])


def last_rows(X):
    return X.groupby("user", sort=False).tail(1)


def values_of(results):
    return results.to_frame().set_index(["ranking", "metric", "k"])["value"]


# evaluate: values


@pytest.mark.parametrize("n_negatives", [None, 7])
def test_values_are_those_of_the_scorers(tables, model, n_negatives):
    results = evaluate(model, tables[1], metrics=[*AT_K, "auc"], n_negatives=n_negatives)
    values = values_of(results)
    ranking = "exact" if n_negatives is None else "sampled"
    for name, metric in AT_K.items():
        for k in (5, 10, 20):
            scorer = make_ranking_scorer(metric, k=k, n_negatives=n_negatives)
            assert values[ranking, name, k] == pytest.approx(scorer(model, tables[1]))
    scorer = make_ranking_scorer(metrics.auc, n_negatives=n_negatives)
    assert values[ranking, "auc", pd.NA] == pytest.approx(scorer(model, tables[1]))


def test_metrics_of_lists_are_those_of_the_recommended_lists(tables, model):
    X_train, X_test = tables
    names = ["coverage", "novelty", "gini", "overlap"]
    values = values_of(evaluate(model, X_test, metrics=names, k=4))
    lists = model.recommend(X_test["user"].unique(), k=4)
    counts = lists["item"].value_counts().reindex(model.items_, fill_value=0)
    assert values["exact", "coverage", 4] == np.mean(counts > 0)
    share = X_train.groupby("item")["user"].nunique() / X_train["user"].nunique()
    bits = -np.log2(lists["item"].map(share))
    assert values["exact", "novelty", 4] == pytest.approx(bits.mean())  # all lists have 4
    spread = np.abs(counts.to_numpy()[:, None] - counts.to_numpy()).mean()
    assert values["exact", "gini", 4] == pytest.approx(spread / (2 * counts.mean()))
    sets = [set(items) for _, items in lists.groupby("user")["item"]]
    shared = [len(a & b) / 4 for i, a in enumerate(sets) for b in sets[:i]]
    assert values["exact", "overlap", 4] == pytest.approx(np.mean(shared))


def test_standard_error_is_what_a_bootstrap_over_users_finds(tables, model, rng):
    results = evaluate(model, tables[1], metrics="ndcg", k=5).to_frame()
    by_user = (
        evaluate(model, tables[1], metrics="ndcg", k=5, by="user").to_frame()["value"].to_numpy()
    )
    assert results["value"][0] == pytest.approx(by_user.mean())
    resampled = by_user[rng.integers(len(by_user), size=(20_000, len(by_user)))].mean(axis=1)
    # A bootstrap, which draws from the sample, misses the factor of n / (n - 1).
    n = len(by_user)
    assert results["stderr"][0] == pytest.approx(resampled.std() * np.sqrt(n / (n - 1)), rel=0.02)


def test_metrics_that_are_no_means_over_users_have_no_standard_error(tables, model):
    results = evaluate(
        model, tables[1], metrics=["coverage", "gini", "overlap", "novelty"], k=5
    ).to_frame()
    assert results["stderr"].isna().tolist() == [True, True, True, False]


def test_constant_scores_get_what_chance_gives_among_100_candidates():
    X = pd.DataFrame({"user": range(200), "item": range(200)})  # all items equally popular
    model = PopularityRecommender().fit(X)
    X_test = X.assign(item=(X["item"] + 1) % 200)
    values = values_of(evaluate(model, X_test, metrics=["hr", "ndcg"], k=10, n_negatives=99))
    assert values["sampled", "hr", 10] == pytest.approx(0.1)
    assert round(values["sampled", "ndcg", 10], 4) == 0.0454


# evaluate: metrics of one's own


@pytest.mark.parametrize("n_negatives", [None, 7])
def test_a_metric_of_ones_own_has_the_values_and_errors_of_the_one_that_it_copies(
    tables, model, n_negatives
):
    options = {"k": [2, 5], "n_negatives": n_negatives}
    for name, metric in AT_K.items():
        own = evaluate(model, tables[1], metrics=metric, **options).to_frame()
        assert set(own["metric"]) == {metric.__name__}
        known = evaluate(model, tables[1], metrics=name, **options).to_frame()
        columns = ["ranking", "k", "value", "stderr", "n_users"]
        assert_frame_equal(own[columns], known[columns])


def test_a_metric_of_ones_own_is_given_one_query_at_a_time_as_a_scorer_gives_many(tables, model):
    shapes = set()

    def n_found(y_true, y_score, k):
        shapes.add(y_true.shape)
        threshold = np.sort(y_score, axis=1)[:, -k, None]
        return float(np.mean(np.sum(y_true & (y_score >= threshold), axis=1)))

    results = evaluate(model, tables[1], metrics=["hr", n_found], k=3).to_frame()

    assert results["metric"].tolist() == ["hr", "n_found"]
    assert shapes == {(1, 25)}
    scorer = make_ranking_scorer(n_found, k=3)
    assert results["value"][1] == pytest.approx(scorer(model, tables[1]))


def test_compare_takes_a_metric_of_ones_own(tables):
    models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    own = compare(models, *tables, metrics=[metrics.ndcg_at_k], k=5).to_frame()
    known = compare(models, *tables, metrics="ndcg", k=5).to_frame()
    assert_frame_equal(own.drop(columns="metric"), known.drop(columns="metric"))


def named(name):
    def metric(y_true, y_score, k):
        return 0.0

    metric.__name__ = name
    return metric


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([lambda y_true, y_score, k: 0.0], "metrics must be names or functions with a name"),
        ([partial(metrics.ndcg_at_k)], "metrics must be names or functions with a name"),
        ([named("hr")], "metrics must have different names.* called 'hr', .* pass the string"),
        ([named("a"), named("a")], "metrics must have different names.* called 'a'"),
        ([5], "metrics must be one of 'hr'"),
    ],
    ids=["lambda", "partial", "a name of ours", "a name twice", "no metric"],
)
def test_metrics_without_a_name_of_their_own_are_refused(tables, model, asked, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, tables[1], metrics=asked)


def test_a_metric_named_twice_is_measured_once(tables, model):
    asked = ["hr", metrics.ndcg_at_k, "hr", metrics.ndcg_at_k]
    results = evaluate(model, tables[1], metrics=asked, k=5).to_frame()
    assert results["metric"].tolist() == ["hr", "ndcg_at_k"]


# evaluate: sampled beside exact


def test_sampled_values_stand_beside_the_exact_ones(tables, model):
    names = ["hr", "auc", "coverage"]
    exact = evaluate(model, tables[1], metrics=names, k=[2, 5]).to_frame()
    both = evaluate(model, tables[1], metrics=names, k=[2, 5], n_negatives=5).to_frame()
    of_exact = both[both["ranking"] == "exact"].reset_index(drop=True)
    assert_frame_equal(of_exact, exact)
    sampled = both[both["ranking"] == "sampled"]
    assert list(zip(sampled["metric"], sampled["k"].fillna(0), strict=True)) == [
        ("hr", 2),
        ("hr", 5),
        ("auc", 0),
    ]


def test_with_all_negatives_sampled_values_are_exact(tables, model):
    X_test = last_rows(tables[1])
    n_unseen = 25 - 6 - 1  # of 25 items each user has seen 6, and 1 is held out
    values = values_of(
        evaluate(model, X_test, metrics=["hr", "ndcg", "auc"], k=[2, 5], n_negatives=n_unseen)
    )
    assert values["sampled"].tolist() == pytest.approx(values["exact"].tolist())


def test_sampling_can_turn_two_models_around_at_every_draw():
    # Of 1,000 items one model has a tenth of the held-out ones first and the others last, the
    # other has all of them at rank 30: none is in an exact list of 10, most in a sampled one.
    n_items, n_users = 1000, 200
    ranks = {"sharp": np.where(np.arange(n_users) % 10, n_items, 1), "blunt": np.full(n_users, 30)}
    for name, rank in ranks.items():
        assert np.mean(rank <= 10) == {"sharp": 0.1, "blunt": 0.0}[name]
    values = {name: [] for name in ranks}
    for name, rank in ranks.items():
        recommender = RankedAt(rank, n_items)
        for seed in range(5):
            results = evaluate(
                recommender,
                recommender.held_out,
                metrics="hr",
                k=10,
                n_negatives=99,
                random_state=seed,
            ).to_frame()
            exact, sampled = results["value"]
            assert exact == np.mean(rank <= 10)
            values[name].append(sampled)
    assert min(values["blunt"]) > max(values["sharp"])


class RankedAt:
    """Ranks item 0 at a given exact rank, from 1, of each user, among all the others."""

    def __init__(self, ranks, n_items):
        self.users_, self.items_ = pd.RangeIndex(len(ranks)), pd.RangeIndex(n_items)
        self.seen_ = sp.csr_array((len(ranks), n_items), dtype=bool)
        self.popularity_ = np.ones(n_items, dtype=int)
        self.ranker_ = self
        self.held_out = pd.DataFrame({"user": self.users_, "item": 0})
        self.ranks = ranks

    def score_items(self, users):
        scores = np.tile(-np.arange(self.popularity_.size, dtype=float), (len(users), 1))
        scores[:, 0] = -self.ranks[users] + 0.5
        return scores

    def score_candidates(self, users, items):
        return np.take_along_axis(self.score_items(users), items, axis=1)


@pytest.mark.parametrize("names", [["auc"], ["coverage"], ["auc", "gini"]], ids=str)
def test_metrics_without_a_k_or_without_accuracy_stand_alone(tables, model, names):
    both = evaluate(model, tables[1], metrics=names, k=5, n_negatives=5).to_frame()
    exact = evaluate(model, tables[1], metrics=names, k=5).to_frame()
    assert_frame_equal(both[both["ranking"] == "exact"].reset_index(drop=True), exact)
    assert (both["ranking"] == "sampled").sum() == names.count("auc")


def test_n_negatives_above_what_is_unseen_is_warned_about(tables, model):
    with pytest.warns(UserWarning, match=r"n_negatives must be at most \d+ for all users"):
        evaluate(model, tables[1], metrics="hr", n_negatives=24)


# evaluate: unknown ids, labels, estimators


def test_unknown_ids_are_counted_and_count_as_misses(tables, model):
    X_test = last_rows(tables[1])
    unknown = pd.DataFrame({"user": ["u0", "nobody"], "item": [99, 0], "timestamp": 9})
    with pytest.warns(UserWarning, match="2 of 62 held-out rows"):
        both = evaluate(model, pd.concat([X_test, unknown]), metrics="recall", k=5).to_frame()
    alone = evaluate(model, X_test, metrics="recall", k=5, by="user").to_frame()
    assert both["n_misses"].tolist() == [2]
    assert both["n_users"].tolist() == [61]
    first = alone["value"][0] / 2  # u0 has two held-out rows now, one of them a miss
    assert both["value"][0] == pytest.approx((alone["value"][1:].sum() + first) / 61)


def test_new_users_with_earlier_rows_are_measured_as_if_they_were_known(tables):
    X_train, X_test = tables
    is_new = X_train["user"].isin(["u3", "u4", "u5"])
    model = ItemKNNRecommender(n_neighbors=5).fit(X_train[~is_new])
    X_test = X_test[X_test["item"].isin(model.items_)]
    options = {"metrics": ["ndcg", "coverage", "novelty"], "k": 5, "n_negatives": 7}

    results = evaluate(model, X_test, interactions=X_train[is_new], **options).to_frame()

    folded = evaluate(model.with_interactions(X_train[is_new]), X_test, **options).to_frame()
    accuracy = results["metric"] == "ndcg"
    assert_frame_equal(results[accuracy], folded[accuracy])
    assert set(results["n_misses"]) == {0}
    # Novelty counts the users whom popularity counts, those of fit.
    share = model.popularity_ / (X_train["user"].nunique() - 3)
    lists = model.recommend(X_test["user"].unique(), k=5, interactions=X_train[is_new])
    bits = -np.log2(share[model.items_.get_indexer(lists["item"])])
    novelty = results["value"][results["metric"] == "novelty"].item()
    assert novelty == pytest.approx(bits.mean())
    compared = compare(
        {"neighbours": model}, X_train[~is_new], X_test, interactions=X_train[is_new], **options
    ).to_frame()
    assert compared["value"].tolist() == results["value"].tolist()


def test_unknown_users_alone_have_no_lists(model):
    X_test = pd.DataFrame({"user": ["x", "y"], "item": [1, 2]})
    with pytest.warns(UserWarning, match="2 of 2 held-out rows"):
        results = evaluate(model, X_test, metrics=["hr", "coverage", "novelty"], k=5).to_frame()
    assert results["value"].tolist()[0] == 0
    assert results["value"].isna().tolist() == [False, True, True]


def test_labels_of_rows_are_measured_apart(tables, model):
    X_test = tables[1].assign(half=lambda X: np.where(X["item"] < 8, "head", "tail"))
    results = evaluate(model, X_test, metrics="recall", k=25, by="half").to_frame()
    assert results.columns[0] == "half"
    assert set(results["half"]) == {"head", "tail"}
    assert results["value"].tolist() == [1, 1]  # nothing else is below a list of all items
    array = evaluate(model, X_test, metrics="recall", k=25, by=X_test["half"].to_numpy())
    assert_frame_equal(array.to_frame().rename(columns={"by": "half"}), results)


def test_a_held_out_item_under_another_label_is_no_candidate():
    # Everybody has x and y; "a" has neither yet. Both are held out, x ranks first.
    X_train = [["a", "w"], ["b", "x"], ["b", "y"], ["c", "x"], ["d", "z"], ["d", "w"]]
    model = PopularityRecommender().fit(X_train)
    X_test = pd.DataFrame({"user": ["a", "a"], "item": ["x", "y"], "label": [0, 1]})
    results = evaluate(model, X_test, metrics="mrr", k=3, by="label").to_frame()
    # y ties with z, while x, more popular, is out of its way.
    assert results["value"].tolist() == [1, pytest.approx((1 + 1 / 2) / 2)]


def test_pipelines_and_searches_are_measured_as_what_is_in_them(tables, model):
    X_train, X_test = tables
    expected = evaluate(model, X_test, metrics=["ndcg", "coverage"])
    pipeline = make_pipeline(
        IdEncoder(handle_unknown="use_encoded_value"), ItemKNNRecommender(n_neighbors=5)
    )
    found = evaluate(pipeline.fit(X_train), X_test, metrics=["ndcg", "coverage"])
    assert_frame_equal(found.to_frame(), expected.to_frame())
    search = GridSearchCV(
        ItemKNNRecommender(), {"n_neighbors": [5]}, cv=LeaveLastOutSplitter(), scoring=ndcg_scorer()
    )
    found = evaluate(search.fit(X_train), X_test, metrics=["ndcg", "coverage"])
    assert_frame_equal(found.to_frame(), expected.to_frame())


def test_seen_items_are_candidates_and_in_the_lists_where_asked_for(tables, model):
    X_train, X_test = tables
    options = {"k": 4, "n_negatives": 7, "exclude_seen": False}
    repeated = pd.concat([X_test, X_train.groupby("user").head(1)])
    values = values_of(
        evaluate(model, repeated, metrics=["ndcg", "coverage", "overlap"], **options)
    )
    for ranking, n_negatives in {"exact": None, "sampled": 7}.items():
        scorer = ndcg_scorer(k=4, n_negatives=n_negatives, exclude_seen=False)
        assert values[ranking, "ndcg", 4] == pytest.approx(scorer(model, repeated))
    lists = model.recommend(X_train["user"].unique(), k=4, exclude_seen=False)
    assert values["exact", "coverage", 4] == lists["item"].nunique() / len(model.items_)
    compared = compare(
        {"neighbours": model}, X_train, repeated, metrics=["ndcg"], **options
    ).to_frame()
    assert compared["value"].tolist() == values.xs("ndcg", level="metric").tolist()


def test_held_out_items_under_other_labels_are_no_candidates_where_seen_ones_are():
    X_train = [["a", "w"], ["a", "x"], ["b", "x"], ["b", "y"], ["c", "x"], ["d", "z"], ["d", "w"]]
    model = PopularityRecommender().fit(X_train)
    X_test = pd.DataFrame({"user": ["a", "a"], "item": ["x", "w"], "label": [0, 1]})
    results = evaluate(model, X_test, metrics="mrr", k=3, by="label", exclude_seen=False).to_frame()
    assert results["value"].tolist() == [1, 1]  # x is more popular than w, which is than the rest


@pytest.mark.parametrize("n_negatives", [None, 7])
def test_order_of_rows_changes_nothing(tables, model, n_negatives):
    shuffled = tables[1].sample(frac=1, random_state=0)
    first, second = (
        evaluate(model, X, metrics=["ndcg", "auc", "overlap"], n_negatives=n_negatives)
        for X in (tables[1], shuffled)
    )
    assert_frame_equal(first.to_frame(), second.to_frame())


def test_rows_come_in_the_order_of_the_metrics_and_k(tables, model):
    results = evaluate(model, tables[1], metrics=["coverage", "auc", "hr"], k=[7, 2]).to_frame()
    assert list(zip(results["metric"], results["k"].fillna(0), strict=True)) == [
        ("coverage", 2),
        ("coverage", 7),
        ("auc", 0),
        ("hr", 2),
        ("hr", 7),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metrics": ["ncdg"]},
            r"metrics must be one of 'hr'.*Received: 'ncdg'. Did you mean 'ndcg'",
        ),
        ({"metrics": []}, "metrics and k must name at least one"),
        ({"k": []}, "metrics and k must name at least one"),
        ({"k": [5, 0]}, "k must be an int >= 1"),
        ({"n_negatives": 0}, "n_negatives must be an int >= 1"),
        ({"random_state": -1}, "random_state must be an int >= 0"),
        ({"by": "age"}, "by must be a column of X or a label per row. Received 'age'"),
        ({"by": [1, 2]}, r"by must hold one label per row of X, \d+. Received 2 labels"),
    ],
)
def test_options_out_of_range_are_refused(tables, model, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, tables[1], **options)


# compare


def test_compare_has_the_tables_of_evaluate_one_below_the_other(tables):
    X_train, X_test = tables
    models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    results = compare(models, X_train, X_test).to_frame()
    for name, model in models.items():
        part = results[results["estimator"] == name].reset_index(drop=True)
        expected = evaluate(model.fit(X_train), X_test).to_frame()
        assert_frame_equal(part[expected.columns], expected)


def test_compare_tells_rankings_apart_where_there_are_two(tables):
    models = {"popularity": PopularityRecommender()}
    results = compare(models, *tables, metrics="hr", k=5, n_negatives=5).to_frame()
    assert results["ranking"].tolist() == ["exact", "sampled"]


def test_row_of_an_unknown_user_is_a_query_in_pipelines_and_without(tables):
    models = {
        "bare": PopularityRecommender(),
        "piped": make_pipeline(
            IdEncoder(handle_unknown="use_encoded_value"), PopularityRecommender()
        ),
    }
    known = tables[1].iloc[:1]
    unknown = pd.concat([known, known.assign(user="new"), known.assign(user="new")])
    with pytest.warns(UserWarning, match="2 of 3 held-out rows"):
        results = compare(models, tables[0], unknown, metrics="hr", k=25).to_frame()
    assert results["value"].tolist() == [1 / 3, 1 / 3]
    assert results["difference"].tolist() == [0, 0]


def test_compare_leaves_the_estimators_unfitted(tables):
    model = PopularityRecommender()
    compare({"popularity": model}, *tables, metrics="hr", k=5)
    assert not hasattr(model, "users_")


class FitsOnce(PopularityRecommender):
    """Refuses to be fitted again, also as a clone."""

    fits = 0

    def fit(self, X, y=None):
        type(self).fits += 1
        assert self.fits == 1
        return super().fit(X, y)


@pytest.fixture
def fits_once():
    FitsOnce.fits = 0
    return FitsOnce()


def test_compare_takes_fitted_models_as_they_are(tables, fits_once):
    X_train, X_test = tables
    expected = compare({"a": PopularityRecommender(), "b": ItemKNNRecommender()}, X_train, X_test)
    fitted = {"a": fits_once.fit(X_train), "b": ItemKNNRecommender().fit(X_train)}
    assert_frame_equal(compare(fitted, None, X_test).to_frame(), expected.to_frame())


def test_compare_fits_no_frozen_model(tables, fits_once):
    X_train, X_test = tables
    expected = compare({"a": PopularityRecommender(), "b": ItemKNNRecommender()}, X_train, X_test)
    frozen = FrozenEstimator(fits_once.fit(X_train))
    found = compare({"a": frozen, "b": ItemKNNRecommender()}, X_train, X_test)
    assert_frame_equal(found.to_frame(), expected.to_frame())


@pytest.mark.parametrize(
    "wrap", [FrozenEstimator, make_pipeline, GridSearchCV], ids=lambda w: w.__name__
)
def test_compare_without_training_rows_wants_fitted_models(tables, wrap):
    model = PopularityRecommender()
    estimator = wrap(model, {}) if wrap is GridSearchCV else wrap(model)
    with pytest.raises(NotFittedError, match="not fitted"):
        compare({"popularity": estimator}, None, tables[1])


def test_frozen_models_are_measured_as_what_is_in_them(tables, model):
    X_train, X_test = tables
    expected = evaluate(model, X_test, metrics=["ndcg", "coverage"]).to_frame()
    pipeline = make_pipeline(IdEncoder(), ItemKNNRecommender(n_neighbors=5)).fit(X_train)
    for frozen in (
        FrozenEstimator(model),
        FrozenEstimator(FrozenEstimator(model)),
        FrozenEstimator(pipeline),
        make_pipeline(FrozenEstimator(pipeline)),
    ):
        found = evaluate(frozen, X_test, metrics=["ndcg", "coverage"])
        assert_frame_equal(found.to_frame(), expected)
        assert ndcg_scorer(5)(frozen, X_test) == expected["value"][0]


def test_compare_takes_labels_of_the_held_out_rows(tables):
    X_train, X_test = tables
    results = compare(
        {"popularity": PopularityRecommender()}, X_train, X_test, by="timestamp"
    ).to_frame()
    assert set(results["timestamp"]) == set(X_test["timestamp"])


def test_nothing_warns_on_known_rows(tables, model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(model, tables[1], metrics=["hr", "auc", "gini"], n_negatives=5)
