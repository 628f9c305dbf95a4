import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from sklearn.exceptions import NotFittedError

from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    PopularityRecommender,
    compare,
    evaluate,
)
from neumf.plotting import (
    ComparisonDisplay,
    LearningCurveDisplay,
    MetricAtKDisplay,
    PopularityDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot", reason="the extra 'plot' is not installed")


@pytest.fixture(autouse=True)
def no_windows():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    rows = [(u, i) for u in range(40) for i in rng.choice(20, 6, replace=False)]
    X = pd.DataFrame(rows, columns=["user", "item"])
    return LeaveLastOutSplitter().train_test_split(X)


@pytest.fixture(scope="module")
def results(tables):
    models = {"popularity": PopularityRecommender(), "neighbours": ItemKNNRecommender()}
    return compare(models, *tables, metrics=["ndcg", "coverage", "auc"], k=[2, 5], n_negatives=5)


def with_history(history, best_epoch):
    """A recommender that says it was fitted so."""
    recommender = NeuMFRecommender()
    recommender.history_, recommender.best_iter_ = history, best_epoch
    return recommender


# LearningCurveDisplay


def test_learning_curves_are_those_of_the_history(tables):
    model = NeuMFRecommender(
        n_factors=2,
        epochs=3,
        early_stopping=True,
        random_state=0,
    ).fit(tables[0])
    display = LearningCurveDisplay.from_estimator(model, name="NeuMF", color="red")
    for ax, line, (key, values) in zip(
        display.axes_, display.lines_, model.history_.items(), strict=True
    ):
        assert line.get_xdata().tolist() == [1, 2, 3]
        assert line.get_ydata().tolist() == values
        assert line.get_color() == "red"
        assert ax.get_xlabel() == "epoch"
        assert {"loss": "loss", "val_ndcg_at_10": "NDCG@10"}[key] in ax.get_ylabel()
    dot = display.axes_[1].lines[1]
    assert dot.get_xdata().tolist() == [model.best_iter_]
    assert dot.get_ydata().tolist() == [max(model.history_["val_ndcg_at_10"])]
    assert [text.get_text() for text in display.axes_[0].get_legend().get_texts()] == ["NeuMF"]


def test_learning_curves_may_lie_over_one_another():
    first = LearningCurveDisplay({"loss": [3.0, 2.0]}).plot()
    second = LearningCurveDisplay({"loss": [2.0, 1.0]}).plot(axes=first.axes_)
    assert second.figure_ is first.figure_
    assert len(first.axes_[0].lines) == 2


def test_learning_curves_need_axes_for_each_value():
    first = LearningCurveDisplay({"loss": [3.0, 2.0]}).plot()
    both = {"loss": [2.0], "val_ndcg_at_10": [0.1]}
    with pytest.raises(ValueError, match="axes must be 2, one for each of"):
        LearningCurveDisplay(both).plot(axes=first.axes_)


@pytest.mark.parametrize(
    ("values", "best_epoch"),
    [([0.1, 0.2], 3), ([0.1, 0.2, np.nan], 3), ([0.1, 0.2, 0.3], 4)],
    ids=["not validated", "NaN", "no epoch"],
)
def test_learning_curves_mark_no_epoch_that_was_not_validated(values, best_epoch):
    history = {"loss": [3.0, 2.0, 1.0], "val_ndcg_at_10": values}
    fitted = with_history(history, best_epoch)
    display = LearningCurveDisplay.from_estimator(fitted)
    assert [len(ax.lines) for ax in display.axes_] == [1, 1]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), values)


@pytest.mark.parametrize("best_epoch", [0, -1, 3])
def test_learning_curves_refuse_a_best_epoch_outside_the_history(best_epoch):
    history = {"loss": [3.0, 2.0], "val_ndcg_at_10": [0.1, 0.2]}
    message = f"best_epoch must be an epoch of the history, from 1 to 2. Received: {best_epoch}"
    with pytest.raises(ValueError, match=message):
        LearningCurveDisplay(history, best_epoch).plot()


def test_recommender_without_learning_curve_is_refused_as_such(tables):
    model = EASERecommender()
    with pytest.raises(NotFittedError):
        LearningCurveDisplay.from_estimator(model)
    message = "trained in epochs, as NeuMFRecommender and Next.*EASERecommender, which has no learn"
    with pytest.raises(TypeError, match=message):
        LearningCurveDisplay.from_estimator(model.fit(tables[0]))


# MetricAtKDisplay


def test_metric_at_k_draws_a_comparison_that_is_all_exact(tables):
    results = compare({"popularity": PopularityRecommender()}, *tables, metrics="ndcg", k=[2, 5])
    display = MetricAtKDisplay.from_results(results)
    assert display.lines_[0].get_ydata().tolist() == results.to_frame()["value"].tolist()


@pytest.mark.parametrize("ranking", ["exact", "sampled"])
def test_metric_at_k_draws_a_line_and_a_band_per_estimator(results, ranking):
    display = MetricAtKDisplay.from_results(results, metric="ndcg", ranking=ranking)
    rows = results.to_frame().query("metric == 'ndcg' and ranking == @ranking")
    assert [line.get_label() for line in display.lines_] == ["popularity", "neighbours"]
    for line, band, (_, part) in zip(
        display.lines_, display.ax_.collections, rows.groupby("estimator", sort=False), strict=True
    ):
        assert line.get_xdata().tolist() == [2, 5]
        assert line.get_ydata().tolist() == part["value"].tolist()
        margin = part["stderr"] * t.ppf(0.975, 39)  # of 40 users
        low, high = part["value"] - margin, part["value"] + margin
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(low.min())
        assert heights.max() == pytest.approx(high.max())
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["2", "5"]
    assert "NDCG@k" in display.ax_.get_ylabel()


def test_metric_at_k_of_an_estimator_is_what_evaluate_says(tables):
    model = PopularityRecommender().fit(tables[0])
    display = MetricAtKDisplay.from_estimator(model, tables[1], metric="hr", k=[1, 3])
    expected = evaluate(model, tables[1], metrics="hr", k=[1, 3]).to_frame()["value"]
    assert display.lines_[0].get_ydata().tolist() == expected.tolist()
    assert display.lines_[0].get_label() == "PopularityRecommender"
    other = MetricAtKDisplay.from_estimator(
        model, tables[1], metric="hr", k=[1, 3], name="again", ax=display.ax_
    )
    assert other.figure_ is display.figure_


@pytest.mark.parametrize(("metric", "ranking"), [("hr", "exact"), ("ndcg", "corrected")])
def test_metric_at_k_refuses_what_the_table_does_not_have(results, metric, ranking):
    for display in (MetricAtKDisplay, ComparisonDisplay):
        with pytest.raises(ValueError, match="metric and ranking must be in the results"):
            display.from_results(results, metric=metric, ranking=ranking)


def test_metric_at_k_refuses_a_metric_without_k(results):
    with pytest.raises(ValueError, match=r"metric must have values by k\. Received 'auc'"):
        MetricAtKDisplay.from_results(results, metric="auc")


# ComparisonDisplay


def test_comparison_draws_the_margin_of_each_difference_around_its_value(results):
    display = ComparisonDisplay.from_results(results, metric="ndcg", k=2)
    rows = results.to_frame().query("metric == 'ndcg' and k == 2 and ranking == 'exact'")
    points, _, (bars,) = display.bars_.lines
    assert points.get_xdata().tolist() == rows["value"].tolist()
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    for end, value, margin in zip(ends, rows["value"], rows["margin"], strict=True):
        assert end == pytest.approx([value - margin, value + margin])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [
        "popularity",
        "neighbours",
    ]
    assert display.ax_.get_xlabel() == "NDCG@2"
    baseline = display.ax_.lines[-1]
    assert baseline.get_xdata() == [rows["value"].iloc[0]] * 2
    bottom, top = display.ax_.get_ylim()
    assert bottom > top  # the first recommender is at the top


def test_comparison_draws_the_longest_lists_by_default(results):
    display = ComparisonDisplay(results).plot()
    assert display.ax_.get_xlabel() == "NDCG@5"


def test_comparison_of_an_evaluation_draws_the_margins_of_the_values(tables):
    model = PopularityRecommender().fit(tables[0])
    halves = np.where(tables[1]["user"] < 20, "first", "second")
    results = evaluate(model, tables[1], metrics="ndcg", k=5, by=halves)
    display = ComparisonDisplay(results).plot()
    (bars,) = display.bars_.lines[2]
    margins = results.to_frame()["stderr"] * t.ppf(0.975, 19)  # of 20 users
    for segment, value, margin in zip(
        bars.get_segments(), results.to_frame()["value"], margins, strict=True
    ):
        assert segment[:, 0].tolist() == pytest.approx([value - margin, value + margin])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["first", "second"]


def test_comparison_refuses_a_length_that_the_results_do_not_have(results):
    with pytest.raises(ValueError, match=r"k must be a length .* one of \[2, 5\]\. Received: 3"):
        ComparisonDisplay(results, k=3).plot()


@pytest.mark.parametrize(
    ("metric", "display", "name"),
    [
        (None, MetricAtKDisplay, "NDCG@k"),
        ("coverage", MetricAtKDisplay, "coverage of the catalogue"),
        ("auc", ComparisonDisplay, "AUC"),
    ],
)
def test_results_plot_themselves_by_k_where_a_metric_has_several(results, metric, display, name):
    found = results.plot(metric)
    assert type(found) is display
    assert name in (found.ax_.get_xlabel(), found.ax_.get_ylabel())


def test_curves_of_labels_are_apart(tables):
    model = PopularityRecommender().fit(tables[0])
    halves = np.where(tables[1]["user"] < 20, "first", "second")
    results = compare({"a": model}, None, tables[1], metrics="ndcg", k=[2, 5], by=halves)
    assert [line.get_label() for line in results.plot().lines_] == ["a, first", "a, second"]


# PopularityDisplay


def test_popularity_display_counts_the_lists_of_each_item(tables):
    model = ItemKNNRecommender().fit(tables[0])
    display = PopularityDisplay.from_estimator(model, k=3)
    counts = model.recommend(k=3)["item"].value_counts()
    assert display.exposure.tolist() == counts.reindex(model.items_, fill_value=0).tolist()
    assert display.line_.get_xdata().tolist() == model.popularity_.tolist()
    assert display.line_.get_label() == "ItemKNNRecommender"


def test_popularity_display_takes_users_and_axes(tables):
    model = PopularityRecommender().fit(tables[0])
    _, ax = plt.subplots()
    display = PopularityDisplay.from_estimator(model, [0, 1], k=2, ax=ax, marker="x")
    assert display.ax_ is ax
    assert display.exposure.sum() == 4
    assert display.line_.get_marker() == "x"


@pytest.mark.parametrize("given_axes", [False, True])
@pytest.mark.parametrize("display", ["learning curve", "comparison", "metric at k", "popularity"])
def test_without_matplotlib_every_plot_says_what_to_install(
    monkeypatch, tables, results, display, given_axes
):
    _, ax = plt.subplots()
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    ax = ax if given_axes else None
    model = PopularityRecommender().fit(tables[0])
    fitted = with_history({"loss": [1.0]}, 1)
    calls = {
        "learning curve": [
            lambda: LearningCurveDisplay({"loss": [1.0]}).plot(axes=ax),
            lambda: LearningCurveDisplay.from_estimator(fitted, axes=ax),
        ],
        "comparison": [
            lambda: ComparisonDisplay(results).plot(ax=ax),
            lambda: ComparisonDisplay.from_results(results, ax=ax),
            lambda: results.plot("auc", ax=ax),
        ],
        "metric at k": [
            lambda: MetricAtKDisplay(results).plot(ax=ax),
            lambda: MetricAtKDisplay.from_results(results, ax=ax),
            lambda: MetricAtKDisplay.from_estimator(model, tables[1], ax=ax),
        ],
        "popularity": [
            lambda: PopularityDisplay(np.ones(2), np.ones(2)).plot(ax=ax),
            lambda: PopularityDisplay.from_estimator(model, ax=ax),
        ],
    }
    for call in calls[display]:
        with pytest.raises(ImportError, match=r"pip install 'scikit-neumf\[plot\]'"):
            call()
