"""With `time_gaps`, weights are the mean of those after the last four epochs."""

import numpy as np
import pandas as pd
import pytest
from training_tools import assert_same_weights

from neumf import LeaveLastOutSplitter, NextItemRecommender, ndcg_scorer
from neumf.model.network import Weights


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(20)[:6] for _ in range(40)])
    return pd.DataFrame({"user": np.repeat(np.arange(40), 6), "item": items}).assign(
        timestamp=np.tile(np.arange(6), 40)
    )


def model_of(**options):
    small = {
        "add_simple_methods": False,
        "n_factors": 8,
        "learning_rate": 0.03,
        "batch_size": 64,
        "random_state": 0,
    }
    return NextItemRecommender(**small | options)


@pytest.fixture
def without_mean(monkeypatch):
    """A function that fits a model with time gaps and keeps the weights of its last epoch."""

    def fit(X, **options):
        with monkeypatch.context() as patch:
            patch.setattr("neumf.neural.parameters._N_AVERAGED", 1)
            return model_of(time_gaps="newest", **options).fit(X)

    return fit


def mean_of(models):
    parts = [model.network_.weights for model in models]
    return Weights(
        *(
            {name: np.mean([array[name] for array in arrays], axis=0) for name in arrays[0]}
            for arrays in zip(*parts, strict=True)
        )
    )


@pytest.mark.parametrize(("n_epochs", "counted"), [(6, [3, 4, 5, 6]), (2, [1, 2])])
def test_weights_are_the_mean_of_those_after_the_last_four_epochs(
    X, without_mean, n_epochs, counted
):
    model = model_of(time_gaps="newest", epochs=n_epochs).fit(X)
    expected = mean_of([without_mean(X, epochs=n) for n in counted])
    assert_same_weights(model.network_.weights, expected, rtol=1e-5, atol=1e-7)
    assert len(model.history_["loss"]) == n_epochs


def test_without_time_gaps_the_weights_are_those_after_the_last_epoch(X, monkeypatch):
    expected = model_of(epochs=3).fit(X)
    monkeypatch.setattr("neumf.neural.parameters._N_AVERAGED", 1)
    same = model_of(epochs=3).fit(X)
    assert_same_weights(same.network_.weights, expected.network_.weights, rtol=0, atol=0)


def test_the_best_epoch_is_that_of_the_best_mean(X, without_mean):
    X_train, X_val = LeaveLastOutSplitter().train_test_split(X)
    model = model_of(time_gaps="newest", early_stopping=True, epochs=6).fit(X_train, X_val=X_val)
    best = model.history_["val_ndcg_at_10"][model.best_iter_ - 1]
    assert best == max(model.history_["val_ndcg_at_10"])
    assert ndcg_scorer()(model, X_val) == pytest.approx(best)
    epochs = range(max(1, model.best_iter_ - 3), model.best_iter_ + 1)
    expected = mean_of([without_mean(X_train, epochs=n) for n in epochs])
    assert_same_weights(model.network_.weights, expected, rtol=1e-5, atol=1e-7)


def test_training_goes_on_from_the_mean(X):
    model = model_of(time_gaps="newest", epochs=3).fit(X)
    steps = model._optimizer.n_steps
    later = X.assign(item=X["item"].to_numpy()[::-1])[:30]
    model.partial_fit(later)
    assert model._optimizer.n_steps == steps + 3
    assert np.isfinite(model.network_.users).all()
