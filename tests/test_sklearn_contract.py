import pickle
import subprocess
import sys
import warnings
from copy import deepcopy

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib import parallel_backend
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - has an effect
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from neumf import (
    ALSRecommender,
    EASERecommender,
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastBasketOutSplitter,
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    hr_scorer,
    ndcg_scorer,
)

RECOMMENDERS = [
    PopularityRecommender(),
    ItemKNNRecommender(n_neighbors=7),
    ALSRecommender(n_factors=4, random_state=0),
    EASERecommender(regularization=3.0),
    NeuMFRecommender(**SMALL_NEUMF | {"epochs": 1}),
    NextItemRecommender(**SMALL_NEXT_ITEM | {"epochs": 1}),
]
ESTIMATORS = [
    IdEncoder(unknown_value=-3),
    LeaveLastOutSplitter(n_splits=2),
    LeaveLastBasketOutSplitter(n_splits=2),
    NegativeSampler(n_negatives=3),
    *RECOMMENDERS,
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
    return NeuMFRecommender(**SMALL_NEUMF | {"epochs": 3})


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
    # A private attribute begins with an underscore.
    assert [name for name in learned if not name.endswith("_") and name[0] != "_"] == []


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


# In processes of their own, labels reach a recommender that does not compile; a network with labels
# is searched by threads below.
@pytest.mark.parametrize(
    ("estimator", "grid", "with_y"),
    [
        (small_network(), {"n_negatives": [1, 3]}, False),
        (EASERecommender(), {"regularization": [1.0, 100.0]}, True),
    ],
    ids=["network", "labels"],
)
def test_a_search_gives_the_same_for_one_and_two_jobs(table, estimator, grid, with_y):
    y = (table["timestamp"] > 0).to_numpy(float) if with_y else None
    results = []
    for n_jobs in (1, 2):
        search = search_over(estimator, grid, n_jobs=n_jobs)
        with threadpool_limits(2, "blas"):  # of this process; each of two jobs has one thread
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


# The other searches


@pytest.mark.parametrize("resource", ["epochs", "n_samples"])
def test_halving_gives_the_best_more_epochs_or_more_interactions(table, resource):
    limits = {
        "epochs": {"min_resources": 1, "max_resources": 4},
        "n_samples": {"min_resources": 60},
    }
    search = HalvingGridSearchCV(
        small_network().set_params(epochs=2 if resource == "n_samples" else 1),
        {"n_negatives": [1, 2, 3, 4]},
        resource=resource,
        factor=2,
        cv=LeaveLastOutSplitter(),
        scoring=ndcg_scorer(),
        random_state=0,
        return_train_score=False,
        **limits[resource],
    )
    with warnings.catch_warnings():
        # Fewer rows leave users and items out: these count as misses, with a warning.
        warnings.filterwarnings("ignore", message=r"\d+ of \d+ held-out rows name")
        search.fit(table)
    resources = search.cv_results_["n_resources"]
    assert sorted(set(resources)) == search.n_resources_
    assert search.n_resources_[0] < search.n_resources_[-1]
    if resource == "epochs":
        assert search.best_estimator_.n_iter_ == search.best_params_["epochs"] == 4


def test_a_randomized_search_draws_from_distributions(table):
    search = RandomizedSearchCV(
        EASERecommender(),
        {"regularization": loguniform(1, 1000)},
        n_iter=3,
        cv=LeaveLastOutSplitter(),
        scoring=ndcg_scorer(),
        random_state=0,
    )
    search.fit(table)
    assert len(set(search.cv_results_["param_regularization"].tolist())) == 3


def test_cross_validate_returns_estimators_and_indices(table):
    result = cross_validate(
        small_network(),
        table,
        cv=LeaveLastOutSplitter(n_splits=2),
        scoring=SCORING,
        return_estimator=True,
        return_indices=True,
    )
    for estimator, test, value in zip(
        result["estimator"], result["indices"]["test"], result["test_ndcg"], strict=True
    ):
        assert SCORING["ndcg"](estimator, table.iloc[test]) == value


@pytest.mark.parametrize("with_y", [False, True])
def test_two_threads_give_what_one_gives(table, with_y):
    y = np.ones(len(table)) if with_y else None
    results = []
    for n_jobs in (1, 2):
        with parallel_backend("threading"):
            search = search_over(small_network(), {"n_negatives": [1, 3]}, n_jobs=n_jobs)
            search.fit(table, y)
        results.append([search.cv_results_[f"mean_test_{name}"] for name in SCORING])
    np.testing.assert_array_equal(*results)


# Pipelines, output, weights, copies


def test_a_pipeline_with_a_cache_encodes_once(table, tmp_path):
    pipeline = make_pipeline(
        IdEncoder(handle_unknown="use_encoded_value"), small_network(), memory=str(tmp_path)
    )
    search = search_over(pipeline, {"neumfrecommender__n_negatives": [1, 2]})
    search.fit(table)
    cached = list(tmp_path.rglob("output.pkl"))
    assert len(cached) == 2  # for the training fold and for the refit
    plain = search_over(
        clone(pipeline).set_params(memory=None), {"neumfrecommender__n_negatives": [1, 2]}
    ).fit(table)
    assert search.best_score_ == plain.best_score_


def test_set_output_makes_a_frame_of_an_array():
    X = np.array([["a", "x"], ["b", "y"]], dtype=object)
    encoded = IdEncoder().set_output(transform="pandas").fit_transform(X)
    assert isinstance(encoded, pd.DataFrame)
    assert encoded.to_numpy().tolist() == [[0, 0], [1, 1]]


def test_names_of_columns_go_through_the_encoder(table):
    encoder = IdEncoder().fit(table)
    assert encoder.feature_names_in_.tolist() == ["user", "item", "timestamp"]
    assert encoder.get_feature_names_out().tolist() == ["user", "item", "timestamp"]


@pytest.mark.parametrize("routing", [False, True])
def test_weights_reach_the_fit_of_every_fold(table, routing):
    received = []

    class Spy(PopularityRecommender):
        def fit(self, X, y=None, sample_weight=None):
            received.append(sample_weight)
            return super().fit(X, y, sample_weight)

    weights = np.arange(1.0, 1 + len(table))
    with config_context(enable_metadata_routing=routing):
        spy = Spy()
        if routing:
            spy.set_fit_request(sample_weight=True)
        search = GridSearchCV(spy, {}, cv=LeaveLastOutSplitter(), scoring=ndcg_scorer())
        with warnings.catch_warnings():
            # The scorer weighs users alike, as it says nowhere else: fit alone is weighted.
            warnings.filterwarnings("ignore", message="The scoring .* does not support sample_w")
            search.fit(table, sample_weight=weights)
    train, _ = next(LeaveLastOutSplitter().split(table))
    np.testing.assert_array_equal(received[0], weights[train])
    np.testing.assert_array_equal(received[1], weights)


@pytest.mark.parametrize(
    "copy_of",
    [lambda model: pickle.loads(pickle.dumps(model)), deepcopy, "joblib"],
    ids=["pickle", "deepcopy", "joblib"],
)
@pytest.mark.parametrize("estimator", RECOMMENDERS, ids=lambda estimator: type(estimator).__name__)
def test_copies_of_fitted_recommenders_recommend_the_same(estimator, copy_of, table, tmp_path):
    model = clone(estimator).fit(table)
    if copy_of == "joblib":
        joblib.dump(model, tmp_path / "model")
        copy = joblib.load(tmp_path / "model")
    else:
        copy = copy_of(model)
    pd.testing.assert_frame_equal(copy.recommend(k=3), model.recommend(k=3))


FIFTY_FITS = """
import numpy as np
from neumf import NeuMFRecommender
rng = np.random.default_rng(0)
X = rng.integers(0, [500, 200], size=(5_000, 2))
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])
sizes = []
sizes_of_layers = {"n_factors": 16, "mlp_embedding_dim": 8, "hidden_layer_sizes": (8,)}
model = NeuMFRecommender(epochs=1, batch_size=2048, n_negatives=1, **sizes_of_layers)
for seed in range(50):
    model.set_params(learning_rate=1e-3 * (1 + seed), random_state=seed).fit(X)
    sizes.append(resident())
print(sizes[-1] / sizes[4])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_fits_in_one_process_keep_the_memory():
    result = subprocess.run(
        [sys.executable, "-c", FIFTY_FITS], check=True, capture_output=True, text=True
    )
    assert float(result.stdout) < 1.05
