"""Without TensorFlow and Keras, everything works but training a network."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from golden_models import GOLDEN, START, walks

import neumf
from neumf import EASERecommender, NeuMFRecommender
from neumf.training.runtime import import_tensorflow

FRAMEWORKS = ("tensorflow", "keras")
PATHS = [GOLDEN / f"format_1_{name}.neumf" for name in ("neumf", "next_item")]
both_networks = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def _no_frameworks(monkeypatch):
    for name in FRAMEWORKS:
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    import_tensorflow.cache_clear()
    yield
    import_tensorflow.cache_clear()


@pytest.mark.skipif("NEUMF_NO_TENSORFLOW" not in os.environ, reason="tox -e no-tensorflow sets it")
def test_this_environment_has_none():
    code = (
        f"import importlib.util as u; print([name for name in {FRAMEWORKS} if u.find_spec(name)])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


@both_networks
def test_a_network_recommends_predicts_and_folds_in(path):
    model = neumf.load(path)
    assert model.recommend([0], k=1)["item"].tolist() == ["ítem 6"]
    assert ((model.predict([[0, "ítem 6"]]) > 0) & (model.predict([[0, "ítem 6"]]) < 1)).all()
    new = pd.DataFrame({"user": 99, "item": ["ítem 1", "ítem 2"], "timestamp": [START, START]})
    lists = model.recommend(99, k=3, interactions=new)
    assert len(lists) == 3
    assert not lists["item"].isin(new["item"]).any()
    assert model.similar_items("ítem 3", k=2).shape == (2, 4)


@both_networks
def test_a_network_is_evaluated_and_saved(path, tmp_path):
    model = neumf.load(path)
    X = walks().tail(12).assign(item=lambda X: "ítem " + ((X["item"] + 6) % 12).astype(str))
    table = neumf.evaluate(model, X, metrics=["hr", "ndcg"], k=5).to_frame()
    assert np.isfinite(table["value"]).all()
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(neumf.load(tmp_path / "model").recommend(), model.recommend())


def test_the_baselines_are_fitted():
    assert len(EASERecommender(2.0).fit(walks()).recommend(k=2)) == 40


@both_networks
def test_training_export_and_the_keras_model_say_what_to_install(path, tmp_path):
    needs = "TensorFlow.*Install it: pip install tensorflow keras"
    with pytest.raises(ImportError, match=f"fit and partial_fit of NeuMFRecommender.*{needs}"):
        NeuMFRecommender().fit(walks())
    model = neumf.load(path)
    with pytest.raises(ImportError, match="fit and partial_fit of NeuMFRecommender"):
        model.partial_fit(walks().assign(item="ítem 1"))
    with pytest.raises(ImportError, match=r"model_ is a Keras model.*pip install tensorflow keras"):
        _ = model.model_
    with pytest.raises(ImportError, match=f"export needs {needs}"):
        model.export(tmp_path / "lists")
    assert list(tmp_path.iterdir()) == []
