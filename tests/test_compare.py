"""`compare`: paired differences, their corrected intervals and p-values, and seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neumf import (
    ALSRecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    PopularityRecommender,
    compare,
    evaluate,
)
from neumf.evaluation.intervals import holm, margin, standard_error, t_test


@pytest.fixture(scope="module")
def tables():
    """Training rows and held-out rows of 60 users with 5 of 25 items each."""
    rng = np.random.default_rng(0)
    items = [rng.choice(25, 5, replace=False, p=np.arange(1, 26) / 325) for _ in range(60)]
    rows = [(f"u{user}", item) for user, row in enumerate(items) for item in row]
    X = pd.DataFrame(rows, columns=["user", "item"]).assign(timestamp=range(300))
    return LeaveLastOutSplitter().train_test_split(X)


MODELS = {
    "popularity": PopularityRecommender(),
    "neighbours": ItemKNNRecommender(),
    "ALS": ALSRecommender(n_factors=4, random_state=0),
}


def values_by_user(model, tables, **options):
    """A value for each user, of a model that is fitted here."""
    fitted = model.fit(tables[0])
    return evaluate(fitted, tables[1], by="user", **options).to_frame()["value"].to_numpy()


# Paired differences


@pytest.mark.parametrize("n_models", [2, 3])
def test_differences_are_paired_by_user_and_corrected_for_their_number(tables, n_models):
    names = list(MODELS)[:n_models]
    models = {name: MODELS[name] for name in names}
    frame = compare(models, *tables, metrics=["ndcg", "coverage"], k=5).to_frame()
    ndcg = frame[frame["metric"] == "ndcg"].set_index("estimator")
    by_user = {name: values_by_user(MODELS[name], tables, metrics="ndcg", k=5) for name in names}
    tests = {name: ttest_rel(by_user[name], by_user["popularity"]) for name in names[1:]}
    for name, test in tests.items():
        row = ndcg.loc[name]
        interval = test.confidence_interval(1 - 0.05 / len(tests))
        assert row["difference"] == pytest.approx(np.mean(by_user[name] - by_user["popularity"]))
        assert row["difference"] - row["margin"] == pytest.approx(interval.low)
        assert row["difference"] + row["margin"] == pytest.approx(interval.high)
    smallest = min(tests, key=lambda name: tests[name].pvalue)
    others = [ndcg["pvalue"][name] for name in tests if name != smallest]
    assert ndcg["pvalue"][smallest] == pytest.approx(min(1, len(tests) * tests[smallest].pvalue))
    assert others == [
        pytest.approx(max(ndcg["pvalue"][smallest], test.pvalue))
        for name, test in tests.items()
        if name != smallest
    ]
    assert ndcg.loc["popularity", ["difference", "margin"]].tolist() == [0, 0]
    assert np.isnan(ndcg["pvalue"]["popularity"])
    coverage = frame[frame["metric"] == "coverage"]
    expected = coverage["value"] - coverage["value"].iloc[0]
    assert coverage["difference"].tolist() == pytest.approx(expected.tolist())
    assert coverage[["margin", "pvalue"]].isna().all(axis=None)


def test_each_metric_and_length_of_the_list_is_a_family_of_its_own(tables):
    both = compare(MODELS, *tables, metrics=["ndcg", "hr"], k=[5, 10], by=[0, 1] * 30).to_frame()
    alone = compare(MODELS, *tables, metrics="hr", k=10, by=[0, 1] * 30).to_frame()
    part = both[(both["metric"] == "hr") & (both["k"] == 10)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, alone)


def test_equal_recommenders_do_not_differ(tables):
    # Lists of all unseen items are equally novel, in whatever order they come.
    results = compare(MODELS, *tables, metrics="novelty", k=25).to_frame()
    assert results[["difference", "margin"]].to_numpy().tolist() == [[0, 0]] * 3
    assert results["pvalue"].fillna(-1).tolist() == [-1, 1, 1]


def test_one_user_gives_no_margin_and_no_pvalue(tables):
    results = compare(MODELS, tables[0], tables[1].head(1), metrics="ndcg", k=5).to_frame()
    assert results[["margin", "pvalue"]].isna().all(axis=None)


# Holm's procedure, and intervals that hold at once


def test_holm_by_hand():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which is below the one before
    adjusted = holm(pd.Series([0.01, 0.04, np.nan, 0.03, 0.005], index=list("abcde")))
    assert adjusted.round(12).fillna(-1).to_dict() == {
        "a": 0.03,
        "b": 0.06,
        "c": -1,
        "d": 0.06,
        "e": 0.02,
    }
    assert holm(pd.Series([0.7, 0.6])).tolist() == [1, 1]


pvalues = st.lists(st.floats(0, 1).map(lambda p: round(p, 3)), min_size=1, max_size=6)


@given(pvalues, st.floats(0.0001, 0.9999))
def test_adjusted_pvalues_reject_what_the_steps_down_reject(given_pvalues, alpha):
    rejected = set()
    in_order = sorted(range(len(given_pvalues)), key=given_pvalues.__getitem__)
    for n_done, position in enumerate(in_order):
        if given_pvalues[position] * (len(given_pvalues) - n_done) > alpha:
            break
        rejected.add(position)
    adjusted = holm(pd.Series(given_pvalues))
    assert set(np.flatnonzero(adjusted <= alpha)) == rejected


@given(pvalues)
def test_adjusted_pvalues_keep_the_order_and_stay_below_those_of_bonferroni(given_pvalues):
    plain = np.array(given_pvalues)
    adjusted = holm(pd.Series(given_pvalues)).to_numpy()
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(1, plain * len(plain))).all()
    assert (np.diff(adjusted[np.argsort(plain)]) >= 0).all()
    assert holm(pd.Series(given_pvalues[:1])).tolist() == given_pvalues[:1]


def test_five_equal_recommenders_are_rarely_told_apart(rng):
    n_samples, n_users, n_models = 500, 30, 5
    baseline = rng.normal(size=(n_samples, 1, n_users))
    differences = rng.normal(size=(n_samples, n_models, n_users)) - baseline
    is_wrong, is_outside, is_wrong_alone = [], [], []
    for sample in differences:
        means, errors = sample.mean(axis=1), [standard_error(row) for row in sample]
        alone = pd.Series([t_test(*pair, n_users) for pair in zip(means, errors, strict=True)])
        is_wrong_alone.append(alone.min() < 0.05)
        is_wrong.append(holm(alone).min() < 0.05)
        is_outside.append((np.abs(means) > margin(np.array(errors), n_users, n_models)).any())
    assert np.mean(is_wrong_alone) > 0.12
    assert 0.02 < np.mean(is_wrong) < 0.08
    assert is_outside == is_wrong  # the smallest p-value is corrected as the intervals are


@pytest.mark.parametrize(
    ("mean", "stderr", "pvalue"), [(0.0, 0.0, 1), (0.1, 0.0, 0), (0.0, 0.1, 1), (0.0, np.nan, None)]
)
def test_pvalue_of_a_difference_without_spread(mean, stderr, pvalue):
    found = t_test(mean, stderr, 10)
    assert np.isnan(found) if pvalue is None else found == pvalue


# Seeds


def seeds_of(n):
    return [ALSRecommender(n_factors=4, n_iter=1, random_state=seed) for seed in range(n)]


def test_values_are_means_over_seeds_and_differences_are_those_of_the_means(tables):
    models = {"popularity": PopularityRecommender(), "ALS": seeds_of(3)}
    results = compare(models, *tables, metrics=["ndcg", "coverage"], k=5).to_frame()
    ndcg, coverage = results[results["estimator"] == "ALS"].itertuples()
    by_user = [values_by_user(model, tables, metrics="ndcg", k=5) for model in models["ALS"]]
    baseline = values_by_user(models["popularity"], tables, metrics="ndcg", k=5)
    means = np.mean(by_user, axis=0)
    assert ndcg.value == pytest.approx(means.mean())
    assert ndcg.stderr == pytest.approx(means.std(ddof=1) / np.sqrt(60))
    assert ndcg.seed_std == pytest.approx(np.std([row.mean() for row in by_user], ddof=1)) != 0
    test = ttest_rel(means, baseline)
    assert ndcg.pvalue == pytest.approx(test.pvalue)
    assert ndcg.difference + ndcg.margin == pytest.approx(test.confidence_interval().high)
    values = [
        evaluate(model, tables[1], metrics="coverage", k=5).to_frame()["value"].item()
        for model in models["ALS"]
    ]
    assert coverage.value == pytest.approx(np.mean(values))
    assert coverage.seed_std == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_spread_and_equal_seeds_a_spread_of_0(tables):
    model = ItemKNNRecommender()
    models = {"alone": model, "one": [model], "two": [model, model]}
    results = compare(models, *tables, metrics="ndcg", k=5).to_frame()
    assert results["seed_std"].fillna(-1).tolist() == [-1, -1, 0]
    assert results["value"].tolist() == [results["value"][0]] * 3


def test_fitted_seeds_are_measured_as_they_are(tables):
    models = {"ALS": seeds_of(2)}
    expected = compare(models, *tables, metrics="ndcg", k=5).to_frame()
    fitted = {"ALS": [model.fit(tables[0]) for model in seeds_of(2)]}
    measured = compare(fitted, None, tables[1], metrics="ndcg", k=5).to_frame()
    pd.testing.assert_frame_equal(measured, expected)
    assert not hasattr(models["ALS"][0], "items_")


@pytest.mark.parametrize("in_list", [False, True])
def test_users_that_cannot_be_paired_are_refused(tables, in_list):
    def merge_users(X):
        return X.assign(user=[int(user[1:]) % 7 for user in X["user"]])

    bare = PopularityRecommender()
    merged = make_pipeline(FunctionTransformer(merge_users), PopularityRecommender())
    models = {"both": [bare, merged]} if in_list else {"bare": bare, "merged": merged}
    with (
        pytest.warns(UserWarning, match="were among the rows given to fit"),
        pytest.raises(ValueError, match=r"an estimator with 7 users .* first estimator has 60\."),
    ):
        compare(models, *tables, metrics="hr", k=5)


@pytest.mark.parametrize("estimators", [{}, {"a": []}, [MODELS["ALS"]], MODELS["ALS"]])
def test_estimators_are_a_dict_without_empty_lists(tables, estimators):
    with pytest.raises(ValueError, match="estimators must be a dict of at least one name"):
        compare(estimators, *tables)
