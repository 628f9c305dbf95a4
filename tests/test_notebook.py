import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_NEUMF
from sklearn import config_context
from sklearn.base import clone

from neumf import NeuMFRecommender, PopularityRecommender

users = np.arange(1_200)
X = pd.DataFrame(
    {"user": np.tile(users, 3), "item": np.concatenate([users, users // 2, users % 7])}
)
X = X.drop_duplicates()


@pytest.fixture(scope="module")
def network():
    return NeuMFRecommender(**SMALL_NEUMF | {"early_stopping": True}).fit(X)


def htmls(estimator):
    return [estimator._repr_mimebundle_()["text/html"], estimator._repr_html_()]


def test_html_of_a_fitted_recommender_ends_with_its_numbers():
    for html in htmls(PopularityRecommender().fit(X)):
        assert html.endswith(
            f"<p>Fitted to 1,200 users, 1,200 items, {len(X):,} pairs of user and item.</p>"
        )


def test_html_of_a_network_has_epochs_loss_validation_value_and_seconds(network):
    best = network.best_iter_ - 1
    loss, value = network.history_["loss"][best], network.history_["val_ndcg_at_10"][best]
    for html in htmls(network):
        line = html.splitlines()[-1].split("<p>")[-1]
        assert f", {network.n_iter_} epochs" in line
        assert f", training loss {loss:.4f}, validation NDCG@10 {value:.4f}, " in line
        assert f", {network.fit_seconds_:.1f} seconds of fit.</p>" in line


def test_html_before_fit_has_no_numbers(network):
    for html in htmls(clone(network)):
        assert "Fitted to" not in html


def test_text_display_has_no_html(network):
    with config_context(display="text"):
        assert "text/html" not in network._repr_mimebundle_()
        assert not hasattr(network, "_repr_html_")


def test_html_builds_no_keras_model(network, monkeypatch):
    twin = pickle.loads(pickle.dumps(network))
    monkeypatch.setitem(sys.modules, "keras", None)  # as where it is not installed
    for html in htmls(twin):
        assert "Fitted to" in html
        assert "model_" not in html or "unbuilt" in html  # scikit-learn 1.9 lists attributes
    assert twin._model is None


def test_seconds_of_fit_are_no_part_of_a_pickle(network):
    assert network.fit_seconds_ > 0
    twin = pickle.loads(pickle.dumps(network))
    assert not hasattr(twin, "fit_seconds_")
    for html in htmls(twin):
        assert "seconds" not in html.split("<p>Fitted to")[-1]
