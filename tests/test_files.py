import datetime as dt
import decimal
import enum
import json
import os
import pickle
import resource
import uuid
from pathlib import Path
from zoneinfo import ZoneInfo

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from golden_models import GOLDEN, START, walks, what_it_says
from hypothesis import given
from hypothesis import strategies as st
from network_options import NEUMF_OF_IDS
from safetensors.numpy import save as serialize
from sklearn.exceptions import NotFittedError
from strategies import any_ids, string_ids

import neumf
from neumf import (
    EASERecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)
from neumf.base import BaseRecommender
from neumf.interactions.ids import encode_ids, index_ids
from neumf.model.layers import ARCHITECTURES
from neumf.model.network import Blueprint
from neumf.model.user_towers import USER_TOWERS
from neumf.saving.container import checksum_of, read_file
from neumf.saving.recommenders import _MODULES
from neumf.saving.scalars import decode_scalar, encode_scalar
from neumf.saving.values import decode_values, encode_values
from neumf.utils.arrays import as_index, object_array

BASELINES = [
    PopularityRecommender(),
    PopularityRecommender(half_life=5),
    PopularityRecommender(half_life="3D"),
    ItemKNNRecommender(),
    ItemKNNRecommender(7, decay=np.timedelta64(2, "D")),
    EASERecommender(3.0, decay=dt.timedelta(days=2)),
    SequentialRulesRecommender(max_entries=3),
    VotingRecommender(
        [
            ("knn", ItemKNNRecommender(decay=pd.Timedelta(days=2))),
            ("a.b", VotingRecommender([("ease", EASERecommender(2.0)), ("out", "drop")])),
        ],
        weights=np.array([1.0, 2.0]),
    ),
]
SMALL = NEUMF_OF_IDS | {
    "n_factors": 4,
    "mlp_embedding_dim": 4,
    "hidden_layer_sizes": (4,),
    "history_length": 3,
    "epochs": 2,
    "random_state": 0,
}
NETWORKS = [
    {"user_encoder": "id"},
    {"user_encoder": "hybrid", "history_hidden_size": 3, "pretrain": True},
    {"user_encoder": "hybrid", "history_gaps": "question", "newest_item": True, "pretrain": True},
    {
        "architecture": "mf",
        "loss": "batch_softmax",
        "user_encoder": "history",
        "tie_history": True,
        "item_bias": True,
        "init_std": 0.1,
    },
]


def saved_and_loaded(model, folder, **options):
    model.save(folder / "model.neumf", **options)
    return neumf.load(folder / "model.neumf")


def assert_same(found, expected):
    """Hold two recommenders to be equal in all that they say, bit for bit."""
    assert type(found) is type(expected)
    assert vars(found).keys() == vars(expected).keys()
    assert found.users_.equals(expected.users_)
    assert found.items_.equals(expected.items_)
    assert repr(found.get_params(deep=False)) == repr(expected.get_params(deep=False))
    pd.testing.assert_frame_equal(found.recommend(), expected.recommend(), check_exact=True)
    X = pd.DataFrame({"user": expected.users_[:5], "item": expected.items_[:5]})
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))
    new = walks().tail(9).assign(user=expected.users_[0])
    lists = [model.recommend(interactions=new) for model in (found, expected)]
    pd.testing.assert_frame_equal(*lists, check_exact=True)


# What is saved comes back.


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: str(model)[:40])
def test_a_recommender_comes_back_as_it_was(model, tmp_path):
    model.fit(walks())
    assert_same(saved_and_loaded(model, tmp_path), model)


@pytest.fixture(
    scope="module",
    params=NETWORKS,
    ids=["id", "hybrid, pretrained", "gaps, pretrained", "tied, with biases"],
)
def network(request):
    return NeuMFRecommender(**{**SMALL, **request.param}).fit(walks())


def assert_same_weights(found, expected):
    for name in ("tables", "shared"):
        arrays = [getattr(model.network_.weights, name) for model in (found, expected)]
        assert list(arrays[0]) == list(arrays[1])
        for key in arrays[0]:
            np.testing.assert_array_equal(arrays[0][key], arrays[1][key])


def test_a_network_comes_back_and_learns_on_as_it_would_have(network, tmp_path):
    late = walks().assign(user=lambda X: X["user"] + 10).tail(30)
    model = pickle.loads(pickle.dumps(network))
    loaded = saved_and_loaded(model, tmp_path)
    assert_same(loaded, model)
    # After `fit` the mean moments are all that is kept, and the file has them.
    assert_same_weights(loaded.partial_fit(late), model.partial_fit(late))
    assert loaded.history_ == model.history_
    with_moments = saved_and_loaded(model, tmp_path, optimizer=True)
    size = (tmp_path / "model.neumf").stat().st_size
    without = saved_and_loaded(model, tmp_path)
    n_moments = sum(table.size for table in model._optimizer.tables.values())
    # The empty tables share a place in the header.
    assert size - (tmp_path / "model.neumf").stat().st_size >= 4 * n_moments
    assert_same(without, model)
    model.partial_fit(late)
    assert_same_weights(with_moments.partial_fit(late), model)
    without.partial_fit(late)
    close = without.network_.items - model.network_.items
    assert 0 < np.abs(close).max() < 0.05


def test_joblib_writes_each_table_once(network, tmp_path):
    joblib.dump(network, tmp_path / "joblib")
    loaded = joblib.load(tmp_path / "joblib")
    assert_same(loaded, network)
    assert_same_weights(loaded, network)
    content = (tmp_path / "joblib").read_bytes()
    for array in network.network_.weights.tables.values():
        assert content.count(array.tobytes()) == 1


def test_who_was_folded_in_stays_known(network, tmp_path):
    new = walks().tail(12).assign(user=lambda X: X["user"] + 500)
    folded = network.folded_in(new)
    loaded = saved_and_loaded(folded, tmp_path)
    pd.testing.assert_frame_equal(loaded.recommend(), folded.recommend(), check_exact=True)


def test_a_generator_goes_on_where_it_was(tmp_path):
    rng = np.random.default_rng(5)
    rng.random(3, dtype=np.float32)
    model = PopularityRecommender().fit(walks())
    model.half_life = rng  # whatever the parameter means
    loaded = saved_and_loaded(model, tmp_path)
    np.testing.assert_array_equal(loaded.half_life.random(9, np.float32), rng.random(9, np.float32))


def test_a_sparse_matrix_has_no_names_of_columns(tmp_path):
    X = sp.csr_array(np.eye(6) + np.eye(6, k=1))
    model = EASERecommender(1.0).fit(X)
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.n_features_in_ == 6
    assert not hasattr(loaded, "feature_names_in_")
    pd.testing.assert_frame_equal(loaded.recommend(), model.recommend(), check_exact=True)


def test_equal_arrays_are_stored_once(tmp_path):
    knn = ItemKNNRecommender()
    VotingRecommender([("a", knn), ("b", knn)]).fit(walks()).save(tmp_path / "voting")
    knn.fit(walks()).save(tmp_path / "knn")
    of_voting, of_knn = (read_file(tmp_path / name)[1] for name in ("voting", "knn"))
    assert len(of_voting) == len(of_knn) + 1  # the weights of the members


def test_loading_runs_no_fit_and_what_is_loaded_can_be_fitted(tmp_path):
    loaded = saved_and_loaded(EASERecommender(3.0).fit(walks()), tmp_path)
    assert loaded.fit(walks().head(30)).users_.tolist() == list(range(5))


# Ids.

zones = st.sampled_from(
    [None, ZoneInfo("Europe/Berlin"), dt.UTC, dt.timezone(dt.timedelta(hours=-1.5))]
)
moments = st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1))
timestamps = st.builds(
    lambda moment, zone, unit: (
        pd.Timestamp(moment).as_unit(unit).tz_localize("UTC").tz_convert(zone)
    ),
    moments,
    zones,
    st.sampled_from(["s", "ms", "us", "ns"]),
)
short_durations = st.timedeltas(dt.timedelta(-(10**5)), dt.timedelta(10**5))
datetimes = st.datetimes(timezones=zones.filter(bool))
scalars = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    datetimes,
    timestamps,
)
labels = scalars | st.lists(scalars, max_size=3).map(tuple)
columns = st.one_of(
    st.lists(labels, min_size=1, max_size=6),
    *(
        st.lists(st.integers(0, 100), min_size=1).map(lambda ids, d=dtype: np.array(ids, d))
        for dtype in (
            "b",
            "B",
            "h",
            "H",
            "i",
            "I",
            "q",
            "Q",
            "f",
            "d",
            "?",
            "M8[s]",
            "M8[us]",
            "m8[ns]",
        )
    ),
    st.lists(st.binary(max_size=3), min_size=1),
    st.lists(string_ids | st.just("\ud800"), min_size=1),
    st.lists(any_ids, min_size=1),
)


@given(columns)
def test_ids_come_back_as_they_were(ids):
    values = ids if isinstance(ids, np.ndarray) else object_array(ids)
    index = index_ids(values)[1]
    text, arrays = encode_values({"ids": index})
    found = decode_values(text, arrays)["ids"]
    assert found.equals(index)
    assert found.dtype == index.dtype
    assert list(map(type, found)) == list(map(type, index))
    assert repr(found.tolist()) == repr(index.tolist())
    np.testing.assert_array_equal(encode_ids(values, found), encode_ids(values, index))


class Colour(enum.IntEnum):
    RED = 1


class OwnZone(dt.tzinfo):
    key = "Europe/Berlin"

    def utcoffset(self, moment):
        return dt.timedelta(hours=7)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (decimal.Decimal(1), r"Decimal\('1'\) of type Decimal"),
        (uuid.UUID(int=1), "of type UUID"),
        (("a", ("b", 1)), r"\('a', \('b', 1\)\) of type tuple"),
        (("a", None), r"\('a', None\) of type tuple"),
        (Colour.RED, "of type Colour"),
        (pd.Period("2020"), "of type Period"),
        (dt.datetime(2020, 1, 1, tzinfo=OwnZone()), "of type datetime"),
    ],
)
def test_an_id_that_no_file_holds_is_named(label, said, tmp_path):
    X = pd.DataFrame(
        {"user": object_array(["a", "b", "a"]), "item": object_array(["x", label, label])}
    )
    model = PopularityRecommender().fit(X)
    with pytest.raises(TypeError, match=f"items_ must hold ids.*Received .*{said} at index 1"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# Parameters.


@given(st.one_of(scalars, st.timedeltas(), short_durations.map(pd.Timedelta), st.floats()))
def test_a_value_comes_back_as_it_was(value):
    found = decode_scalar(json.loads(json.dumps(encode_scalar(value), allow_nan=False)))
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize("value", [np.int8(3), np.float32(0.1), np.bool_(True), np.str_("a")])
def test_a_scalar_of_numpy_comes_back_as_pythons_own(value):
    found = decode_scalar(encode_scalar(value))
    assert type(found) is type(value.item())
    assert found == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (decimal.Decimal(3), "regularization must be what a file can hold.*of type Decimal"),
        (lambda: 3, "regularization must be.*of type function"),
        ([1, {2: 3}], r"regularization\[1\] must be.*of type dict"),
        (np.array(["a"]), "regularization must be.*of type ndarray"),
        (np.random.RandomState(0), "regularization must be.*of type RandomState"),
        (np.random.Generator(np.random.MT19937(0)), "regularization must be.*of type Generator"),
        (pd.NaT, "regularization must be.*of type NaTType"),
    ],
)
def test_a_parameter_that_no_file_holds_is_named(value, said, tmp_path):
    model = EASERecommender().fit(walks()).set_params(regularization=value)
    with pytest.raises(TypeError, match=said):
        model.save(tmp_path / "model")
    model = VotingRecommender([("ease", model)])
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")


def test_a_random_state_that_no_file_holds_says_what_to_set(tmp_path):
    model = neumf.load(GOLDEN / "format_1_neumf.neumf")
    model.set_params(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match=r"random_state must be.*Set an int, None or numpy.random"):
        model.save(tmp_path / "model")


class Own(PopularityRecommender):
    pass


@pytest.mark.parametrize("wrap", [False, True])
def test_a_class_of_ones_own_says_to_pickle_it(wrap, tmp_path):
    model = VotingRecommender([("own", Own())]) if wrap else Own()
    with pytest.raises(TypeError, match=r"Own cannot be saved: load knows.*Pickle it"):
        model.fit(walks()).save(tmp_path / "model")


def test_every_recommender_of_the_library_can_be_saved():
    classes = [getattr(neumf, name) for name in neumf.__all__]
    found = {
        kind.__name__: kind.__module__
        for kind in classes
        if isinstance(kind, type) and issubclass(kind, BaseRecommender)
    }
    assert found == _MODULES


# The file is whole, or as it was.


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "model"
    PopularityRecommender().fit(walks()).save(path)
    return path


def assert_still_old(path):
    assert isinstance(neumf.load(path), PopularityRecommender)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_old_file(failure, step, old, monkeypatch):
    def fail(*arguments):
        raise failure

    owner = os if step == "fsync" else Path
    monkeypatch.setattr(owner, step, fail)
    model = EASERecommender().fit(walks())
    with pytest.raises(type(failure)):
        model.save(old)
    monkeypatch.undo()
    assert_still_old(old)


def test_a_disk_that_takes_no_more_leaves_the_old_file(old):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            EASERecommender().fit(walks()).save(old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_still_old(old)


def test_a_link_stays_a_link(old):
    link = old.with_name("link")
    link.symlink_to(old)
    EASERecommender().fit(walks()).save(str(link))
    assert link.is_symlink()
    assert isinstance(neumf.load(old), EASERecommender)


def test_no_folder_no_file(tmp_path):
    model = PopularityRecommender().fit(walks())
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "model")
    with pytest.raises(IsADirectoryError):
        model.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        neumf.load(tmp_path / "none")


# What is no file of ours says so.


def rewrite(path, change):
    """Change the metadata of a file, and sign it anew."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata, arrays = header["__metadata__"], read_file(path)[1]
    del metadata["neumf_checksum"]
    change(metadata, arrays)
    path.write_bytes(
        serialize(arrays, metadata | {"neumf_checksum": checksum_of(metadata, arrays)})
    )


def test_a_file_of_a_later_format_says_to_update(old):
    rewrite(old, lambda metadata, arrays: metadata.update(neumf_format="2", neumf_version="9.0"))
    with pytest.raises(ValueError, match=r"format 2, written by neumf '9.0'.*Update: pip install"):
        neumf.load(old)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"PopularityRecommender"', '"os.system"', "no class of neumf .* named 'os.system'"),
        ('"half_life"', '"full_life"', "has no parameter 'full_life'"),
        ('"n_features_in_": 3', '"n_features_in_": 0', "n_features_in_ is 0"),
        ('"n_features_in_": 3', '"n_features_in_": NaN', "NaN is no number of JSON"),
        ('"n_features_in_": 3', '"n_features_in_": 1e999', "a number that is too large"),
        ('"n_features_in_": 3', '"n_features_in_": 3, "users_": 3', "a key stands twice"),
        ('"n_features_in_": 3', f'"n_features_in_": {"[" * 10**5}', "nested too deeply"),
        ('"n_features_in_": 3', f'"n_features_in_": {"1" * 10**4}', "Exceeds the limit"),
        ('"state.users_"', '"state.items"', "has no ids in"),
        ('"state.popularity_"', '"state.items"', "has no array 'state.items'"),
        ('"shape": [20, 12]', '"shape": [20, 5]', "indices outside its shape"),
        ('"shape": [20, 12]', '"shape": [20, 13]', "no sparse matrix of shape"),
    ],
)
def test_a_header_that_is_wrong_is_refused(before, after, said, old):
    def change(metadata, arrays):
        assert before in metadata["neumf_state"]
        metadata["neumf_state"] = metadata["neumf_state"].replace(before, after, 1)

    rewrite(old, change)
    with pytest.raises(ValueError, match=said):
        neumf.load(old)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("state.users_", np.zeros(20, np.int64), "an id is missing, or stands twice"),
        ("state.users_", np.zeros((20, 0)), "ids are of dtype float64 and shape"),
        ("state.popularity_", np.arange(11), r"popularity_ has the shape \(11,\)"),
        ("state.popularity_", np.arange(12.0), "popularity_ is no array of int32"),
        ("state.popularity_", np.arange(12) - 1, "popularity_ has indices outside"),
        ("state.popularity_logits_", np.full(12, np.nan), "popularity_logits_ has values out of"),
    ],
)
def test_an_array_that_is_wrong_is_refused(name, array, said, old):
    rewrite(old, lambda metadata, arrays: arrays.update({name: array}))
    with pytest.raises(ValueError, match=said):
        neumf.load(old)


def test_a_changed_weight_is_told_by_the_checksum(tmp_path):
    path = tmp_path / "model"
    content = bytearray((GOLDEN / "format_1_neumf.neumf").read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its checksum is not that of its content"):
        neumf.load(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(PopularityRecommender()))
    with pytest.raises(ValueError, match="Received a pickle, which load never runs"):
        neumf.load(path)
    path.write_bytes(serialize({"weight": np.zeros(3)}, {"format": "pt"}))
    with pytest.raises(ValueError, match="Received a safetensors file of something else"):
        neumf.load(path)
    for content in (b"", b"PK\3\4", b"user,item\n" * 99):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"Received {len(content)} bytes that cannot be read"):
            neumf.load(path)


# Formats, and what they stand on.


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.neumf")), ids=lambda path: path.stem)
def test_golden_files_load_for_ever(path):
    model = neumf.load(path)
    expected = json.loads(path.with_suffix(".json").read_text())
    found = what_it_says(model)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name]["items"] == expected[name]["items"]
        np.testing.assert_allclose(found[name]["scores"], expected[name]["scores"], rtol=1e-4)


def test_golden_ids_come_back():
    assert neumf.load(GOLDEN / "format_1_neumf.neumf").items_[0] == "ítem 0"
    model = neumf.load(GOLDEN / "format_1_voting.neumf")
    assert model.users_[:4].tolist() == ["a", 7, START, "user 0"]
    assert model.items_[0] == ("item", 0)
    assert as_index(model.items_.to_numpy()).get_loc(("item", 3)) == 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("encoder", USER_TOWERS)
@pytest.mark.parametrize(("hidden_size", "item_bias"), [(0, True), (5, False)])
def test_shapes_are_known_before_weights_are_drawn(
    architecture, encoder, hidden_size, item_bias, rng
):
    layers = ARCHITECTURES[architecture](3, 4, (6, 2), item_bias)
    blueprint = Blueprint.of_towers(layers, USER_TOWERS[encoder](layers.width, 7, hidden_size))
    weights = blueprint.initial_weights(8, 9, rng)
    shapes = {name: array.shape for name, array in weights.shared.items()}
    assert blueprint.shared_shapes() == shapes
    assert blueprint.table_shapes(8, 9) == {name: t.shape for name, t in weights.tables.items()}
