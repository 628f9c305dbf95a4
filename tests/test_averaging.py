"""`average_epochs`: the mean of the weights after the last epochs."""

import numpy as np
import pandas as pd
import pytest
from training_tools import assert_same_weights

from neumf import LeaveLastOutSplitter, NeuMFRecommender, ndcg_scorer
from neumf.model.network import Weights


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(20)[:6] for _ in range(40)])
    return pd.DataFrame({"user": np.repeat(np.arange(40), 6), "item": items}).assign(
        timestamp=np.tile(np.arange(6), 40)
    )


def model_of(**options):
    small = {"n_factors": 4, "learning_rate": 0.03, "batch_size": 64, "random_state": 0}
    return NeuMFRecommender(**small | options)


def mean_of(models):
    parts = [model.network_.weights for model in models]
    return Weights(
        *(
            {name: np.mean([array[name] for array in arrays], axis=0) for name in arrays[0]}
            for arrays in zip(*parts, strict=True)
        )
    )


@pytest.mark.parametrize(("n_averaged", "epochs"), [(1, [4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_the_weights_are_the_mean_of_those_of_fits_that_end_earlier(X, n_averaged, epochs):
    options = {"user_encoder": "hybrid"}
    model = model_of(epochs=4, average_epochs=n_averaged, **options).fit(X)
    expected = mean_of([model_of(epochs=n, **options).fit(X) for n in epochs])
    assert_same_weights(model.network_.weights, expected, rtol=1e-5, atol=1e-7)
    assert len(model.history_["loss"]) == 4


def test_the_best_epoch_is_that_of_the_best_mean(X):
    X_train, X_val = LeaveLastOutSplitter().train_test_split(X)
    options = {"early_stopping": True, "average_epochs": 2}
    model = model_of(epochs=6, **options).fit(X_train, X_val=X_val)
    best = model.history_["val_ndcg_at_10"][model.best_iter_ - 1]
    assert best == max(model.history_["val_ndcg_at_10"])
    assert ndcg_scorer()(model, X_val) == pytest.approx(best)
    first = max(1, model.best_iter_ - 1)
    epochs = range(first, model.best_iter_ + 1)
    expected = mean_of([model_of(epochs=n).fit(X_train) for n in epochs])
    assert_same_weights(model.network_.weights, expected, rtol=1e-5, atol=1e-7)


def test_training_goes_on_from_the_mean(X):
    model = model_of(epochs=3, average_epochs=3).fit(X)
    steps = model._optimizer.n_steps
    later = X.assign(item=X["item"].to_numpy()[::-1])[:30]
    model.partial_fit(later)
    assert model._optimizer.n_steps == steps + 3
    assert np.isfinite(model.network_.users).all()


@pytest.mark.parametrize("value", [0, 1.5, "all"])
def test_a_number_of_epochs_is_an_integer_above_0(X, value):
    with pytest.raises((TypeError, ValueError), match="average_epochs must be"):
        model_of(average_epochs=value).fit(X)
