import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_NEUMF
from sklearn.model_selection import GridSearchCV

from neumf import LeaveLastOutSplitter, NeuMFRecommender, ndcg_scorer

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")


class Recorder:
    """Writes down what it hears, and stops `fit` after some epochs."""

    def __init__(self, stop_after=99):
        self.events = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        self.X, self.fitted = X, fitted_estimator or getattr(self, "fitted", None)
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    rows = [
        (user, item)
        for user in range(40)
        for item in rng.choice(15, 6, replace=False) * 2 + user % 2
    ]
    return pd.DataFrame(rows, columns=["user", "item"])


def small_model(**options):
    return NeuMFRecommender(**SMALL_NEUMF | options)


@pytest.mark.xla
def test_callbacks_hear_of_fit_and_of_each_epoch(table):
    recorder = Recorder()
    small_model().set_callbacks(recorder).fit(table)
    assert recorder.events == [
        "setup",
        ("begin", "fit", 0),
        ("begin", "epoch", 0),
        ("end", "epoch", 0),
        ("begin", "epoch", 1),
        ("end", "epoch", 1),
        ("end", "fit", 0),
        "teardown",
    ]
    assert recorder.X is table


def test_pretraining_has_three_times_the_epochs(table):
    recorder = Recorder()
    small_model(pretrain="sgd").set_callbacks(recorder).fit(table)
    assert sum(event[:2] == ("begin", "epoch") for event in recorder.events) == 6


def test_a_callback_may_stop_the_training(table):
    model = small_model(epochs=9).set_callbacks(Recorder(stop_after=3)).fit(table)
    expected = small_model(epochs=3).fit(table)
    assert model.n_iter_ == 3
    np.testing.assert_array_equal(model.network_.users, expected.network_.users)


def test_a_callback_gets_an_estimator_that_recommends(table):
    recorder = Recorder()
    model = small_model().set_callbacks(recorder).fit(table)
    pd.testing.assert_frame_equal(recorder.fitted.recommend(k=3), model.recommend(k=3))


class PrunedError(Exception):
    """As that of Optuna, by which a trial ends."""


class Pruner(Recorder):
    """Ends `fit` after the second epoch; measures each epoch, as the guide to tuning shows."""

    def __init__(self, X_val):
        super().__init__()
        self.X_val, self.values = X_val, []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            self.values.append(fitted_estimator.score(self.X_val))
            if context.task_id == 1:
                raise PrunedError


def test_a_callback_may_end_the_training_by_an_error(table):
    X_fit, X_val = LeaveLastOutSplitter().train_test_split(table)
    model, pruner = small_model(epochs=9), Pruner(X_val)
    with pytest.raises(PrunedError):
        model.set_callbacks(pruner).fit(X_fit)
    expected = [small_model(epochs=epochs).fit(X_fit).score(X_val) for epochs in (1, 2)]
    assert pruner.values == expected
    assert pruner.events[-1] == "teardown"
    assert not hasattr(model, "users_")


def test_a_fit_that_fails_tears_down(table):
    recorder = Recorder()
    with pytest.raises(ValueError, match="Training diverged"):
        small_model(learning_rate=1e25, epochs=5).set_callbacks(recorder).fit(table)
    assert recorder.events[-1] == "teardown"


def test_a_progress_bar_of_a_search_shows_the_epochs(table, capsys):
    pytest.importorskip("rich", reason="scikit-learn's progress bar needs it")
    search = GridSearchCV(
        small_model(), {"n_negatives": [1, 2]}, cv=LeaveLastOutSplitter(), scoring=ndcg_scorer()
    )
    search.set_callbacks(callback.ProgressBar()).fit(table)
    assert "NeuMFRecommender" in capsys.readouterr().out
