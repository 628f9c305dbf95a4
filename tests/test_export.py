"""Graphs that other programs run, held to `recommend`."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from golden_models import GOLDEN, walks
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM

import neumf
from neumf import NeuMFRecommender, NextItemRecommender
from neumf.training.runtime import import_tensorflow
from neumf.utils.arrays import object_array

FORMATS = ["tf_saved_model", "onnx"]
MISSING = [name for name in ("onnxruntime", "tf2onnx") if not importlib.util.find_spec(name)]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
both_formats = pytest.mark.parametrize(
    "form", [FORMATS[0], pytest.param(FORMATS[1], marks=needs_onnx)]
)


def fit(**changes):
    options = SMALL_NEUMF | {"learning_rate": 0.02, "epochs": 8}
    return NeuMFRecommender(**options | changes).fit(walks())


def fit_next_item(**changes):
    return NextItemRecommender(**SMALL_NEXT_ITEM | {"epochs": 8} | changes).fit(walks())


class Lists:
    """The graph in a folder, run by TensorFlow or onnxruntime."""

    def __init__(self, folder, form):
        self.ids = json.loads((folder / "ids.json").read_text())
        if form == "onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(folder / "model.onnx")
            self.inputs = [part.name for part in session.get_inputs()]
            outputs = [part.name for part in session.get_outputs()]
            self._run = lambda inputs: dict(zip(outputs, session.run(None, inputs), strict=True))
        else:
            tf = import_tensorflow()
            loaded = tf.saved_model.load(str(folder))
            graph = loaded.signatures["serving_default"]
            self.inputs = list(graph.structured_input_signature[1])

            def run(inputs, loaded=loaded):
                tensors = {name: tf.constant(values) for name, values in inputs.items()}
                return {name: values.numpy() for name, values in graph(**tensors).items()}

            self._run = run

    def __call__(self, **inputs):
        """Return items and scores for the inputs that the graph has."""
        given = {name: np.asarray(inputs[name], np.int32) for name in self.inputs}
        return self._run(given)


def exported(model, folder, form, **options):
    model.export(folder / "lists", form, **options)
    return Lists(folder / "lists", form)


def padded_seen(model, codes, width=12):
    """Return the seen items of users, filled up with -1, shape (n, width)."""
    seen = np.full((len(codes), width), -1)
    for row, code in enumerate(codes):
        items = model.seen_[[code]].indices
        seen[row, : len(items)] = items
    return seen


def inputs_of(model):
    codes = np.arange(len(model.users_))
    return {"user": codes, "history": model.histories_, "seen": padded_seen(model, codes)}


def assert_same_lists(found, table, model):
    """Hold items and scores of all users, -1 where a list is shorter, to those of `recommend`."""
    listed = found["item"] >= 0
    np.testing.assert_array_equal(found["score"] > -np.inf, listed)
    counts = table.groupby("user", sort=False).size().to_numpy()
    np.testing.assert_array_equal(listed.sum(axis=1), counts)
    assert model.items_[found["item"][listed]].tolist() == table["item"].tolist()
    np.testing.assert_allclose(found["score"][listed], table["score"], rtol=1e-5, atol=1e-6)


@both_formats
@pytest.mark.parametrize("architecture", ["neumf", "gmf", "mlp"])
def test_lists_of_users_by_id_are_those_of_recommend(architecture, form, tmp_path):
    model = fit(architecture=architecture)
    lists = exported(model, tmp_path, form, k=4)
    assert sorted(lists.inputs) == ["seen", "user"]
    found = lists(**inputs_of(model))
    assert found["item"].dtype == np.int32
    assert found["score"].dtype == np.float32
    assert_same_lists(found, model.recommend(k=4), model)


@both_formats
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sampled_softmax", "share_item_vectors": False},
        {"add_user_vectors": True},
        {"add_user_vectors": True, "hidden_size": 2},
    ],
    ids=str,
)
def test_lists_of_users_by_history_are_those_of_recommend(changes, form, tmp_path):
    model = fit_next_item(**changes)
    lists = exported(model, tmp_path, form)
    names = ["history", "seen", "user"] if model.add_user_vectors else ["history", "seen"]
    assert sorted(lists.inputs) == names
    found = lists(**inputs_of(model))
    # Six of twelve items are left: the lists of ten are shorter.
    assert_same_lists(found, model.recommend(), model)
    assert (found["item"] == -1).any()


@pytest.fixture(scope="module")
def with_both():
    """Users have vectors of their own and histories."""
    return neumf.load(GOLDEN / "format_1_next_item.neumf")


@both_formats
def test_a_loaded_model_is_exported_with_its_ids(with_both, form, tmp_path):
    lists = exported(with_both, tmp_path, form, k=3)
    assert lists.ids["users"] == with_both.users_.tolist()
    assert lists.ids["items"] == with_both.items_.tolist()
    assert_same_lists(lists(**inputs_of(with_both)), with_both.recommend(k=3), with_both)


@both_formats
@pytest.mark.filterwarnings("ignore:fit did not see")
def test_new_users_are_known_by_their_histories_or_get_what_is_popular(with_both, form, tmp_path):
    rows = [("new", "ítem 5"), ("new", "ítem 2")]
    expected = with_both.recommend(["new", "nobody"], k=12, interactions=rows)
    codes = with_both.items_.get_indexer(["ítem 2", "ítem 5"])
    history = [[*codes, -1], [-1, -1, -1]]
    lists = exported(with_both, tmp_path, form, k=12)
    found = lists(user=[-1, -1], history=history, seen=[[*codes], [-1, -1]])
    assert_same_lists(found, expected, with_both)


@both_formats
@pytest.mark.filterwarnings("ignore:fit did not see")
def test_unknown_users_of_ids_get_what_is_popular(form, tmp_path):
    model = fit()
    lists = exported(model, tmp_path, form, k=5)
    found = lists(user=[3, -1, 20, 10**9], seen=np.full((4, 1), -1))
    table = model.recommend([3, "?", "??", "???"], k=5, exclude_seen=False)
    assert_same_lists(found, table, model)


@both_formats
def test_indices_outside_their_table_are_none(with_both, form, tmp_path):
    lists = exported(with_both, tmp_path, form, k=12)
    plain = lists(user=[2, -1], history=[[5, -1, 3], [-1, -1, -1]], seen=[[4, -1], [-1, 7]])
    wild = lists(
        user=[2, 20],
        history=[[5, 12, 3], [-5, 10**9, 12]],
        seen=[[4, 10**9, 12, 4], [-7, 7, 12, 7]],
    )
    np.testing.assert_array_equal(wild["item"], plain["item"])
    np.testing.assert_array_equal(wild["score"], plain["score"])
    assert (plain["item"] == -1).sum(axis=1).tolist() == [1, 1]


@both_formats
def test_batches_may_be_empty_and_nothing_seen(with_both, form, tmp_path):
    lists = exported(with_both, tmp_path, form, k=12)
    history = with_both.histories_[:2]
    found = lists(user=[0, 1], history=history, seen=np.zeros((2, 0)))
    assert_same_lists(found, with_both.recommend([0, 1], k=12, exclude_seen=False), with_both)
    found = lists(user=[], history=history[:0], seen=np.zeros((0, 4)))
    assert found["item"].shape == found["score"].shape == (0, 12)


@both_formats
def test_equal_scores_are_in_catalogue_order(form, tmp_path):
    model = fit()
    model.network_.items[:] = model.network_.items[0]
    found = exported(model, tmp_path, form, k=4)(user=[0, 1], seen=[[0, 2], [-1, -1]])
    assert found["item"].tolist() == [[1, 3, 4, 5], [0, 1, 2, 3]]


@both_formats
def test_lists_are_no_longer_than_the_catalogue(form, tmp_path):
    found = exported(fit(), tmp_path, form, k=100)(user=[0], seen=[[-1]])
    assert sorted(found["item"][0].tolist()) == list(range(12))


@both_formats
def test_users_who_were_folded_in_are_exported(form, tmp_path):
    model = fit().with_interactions([[3, 1], [99, 2]])
    assert len(model.users_) == 21
    found = exported(model, tmp_path, form, k=4)(
        user=np.arange(21), seen=padded_seen(model, np.arange(21))
    )
    assert_same_lists(found, model.recommend(k=4), model)


def test_histories_need_no_table_of_users(tmp_path):
    lists = exported(fit_next_item(), tmp_path, "tf_saved_model")
    assert lists.ids.keys() == {"neumf_version", "items"}


def test_an_existing_folder_is_not_replaced(with_both, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine").write_text("")
    with pytest.raises(FileExistsError, match="path must be a folder that does not exist yet"):
        with_both.export(tmp_path / "lists")
    assert [path.name for path in tmp_path.rglob("*")] == ["lists", "mine"]


@both_formats
def test_a_failure_leaves_nothing_behind(form, with_both, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no space left")

    target = "tensorflow.saved_model.save" if form == "tf_saved_model" else "onnx.save"
    monkeypatch.setattr(target, fail)
    with pytest.raises(OSError, match="no space left"):
        with_both.export(tmp_path / "lists", form)
    assert list(tmp_path.iterdir()) == []


def test_ids_that_json_does_not_have_are_refused_by_name(tmp_path):
    X = walks()
    X["item"] = object_array([("item", item) for item in X["item"]])
    model = NeuMFRecommender(n_factors=4, epochs=1, random_state=0).fit(X)
    refusal = r"items_ must hold numbers or strings.*\('item', 0\) of type tuple at index 0"
    with pytest.raises(TypeError, match=refusal):
        model.export(tmp_path / "lists")
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked_before_anything_is_written(with_both, tmp_path):
    with pytest.raises(ValueError, match=r"format must be one of.*'onnxx'.*Did you mean 'onnx'"):
        with_both.export(tmp_path / "lists", "onnxx")
    with pytest.raises(ValueError, match="k must be an int >= 1"):
        with_both.export(tmp_path / "lists", k=0)
    assert list(tmp_path.iterdir()) == []


def test_an_error_names_the_extra(with_both, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"tf2onnx.*pip install \"scikit-neumf\[onnx\]\""):
        with_both.export(tmp_path / "lists", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_system_name_the_path_that_was_given(with_both, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"path must be in a folder .*: '~/none/lists'$"):
        with_both.export("~/none/lists")


def test_nothing_is_printed(tmp_path):
    code = """
import sys, neumf
for form in sys.argv[3:]:
    neumf.load(sys.argv[1]).export(f"{sys.argv[2]}/{form}", form)
"""
    model = GOLDEN / "format_1_next_item.neumf"
    forms = FORMATS[:1] if MISSING else FORMATS
    result = subprocess.run(
        [sys.executable, "-c", code, model, tmp_path, *forms], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert result.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(forms)
