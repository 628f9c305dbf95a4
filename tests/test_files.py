import datetime as dt
import decimal
import enum
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from golden_models import GOLDEN, walks, what_it_says
from hypothesis import assume, given
from hypothesis import strategies as st
from network_options import SMALL_JOINED, SMALL_NEUMF, SMALL_NEXT_ITEM
from safetensors.numpy import save as serialize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from strategies import any_ids, string_ids

import neumf
from neumf import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    RerankedRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)
from neumf.interactions.id_checks import check_ids
from neumf.interactions.request_times import read_span
from neumf.interactions.vocabulary import index_ids, indices_of
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import checksum_of, read_file
from neumf.saving.values import _decode, read_values, write_values
from neumf.utils.arrays import object_array

BASELINES = [
    PopularityRecommender(),
    PopularityRecommender(half_life=5),
    PopularityRecommender(half_life="3D"),
    ItemKNNRecommender(),
    ItemKNNRecommender(7, decay=np.timedelta64(2, "D")),
    ALSRecommender(n_factors=3, random_state=0),
    EASERecommender(3.0, decay=dt.timedelta(days=2)),
    SequentialRulesRecommender(max_entries=3),
    VotingRecommender(
        [
            ("knn", ItemKNNRecommender(decay=pd.Timedelta(days=2))),
            ("a.b", VotingRecommender([("ease", EASERecommender(2.0)), ("out", "drop")])),
        ],
        weights=np.array([1.0, 2.0]),
    ),
    RerankedRecommender(ALSRecommender(n_factors=3, random_state=0), n_candidates=20),
]
NETWORKS = {
    "ids": NeuMFRecommender(**SMALL_NEUMF),
    "joined": NeuMFRecommender(**SMALL_JOINED),
    "pretrained": NeuMFRecommender(**SMALL_NEUMF | {"pretrain": "sgd"}),
    "histories": NextItemRecommender(**SMALL_NEXT_ITEM),
    "everything": NextItemRecommender(
        **SMALL_NEXT_ITEM,
        share_item_vectors=False,
        add_user_vectors=True,
        hidden_size=3,
        time_gaps="request",
    ),
}


def saved_and_loaded(model, folder, **options):
    model.save(folder / "model.neumf", **options)
    return neumf.load(folder / "model.neumf")


def assert_same(found, expected, folder):
    """Hold that two recommenders have the same content in a file, and give the same lists."""
    contents = []
    for name, model in (("found", found), ("expected", expected)):
        model.save(folder / name)
        contents.append(read_file(folder / name))
    (text, arrays), (expected_text, expected_arrays) = contents
    assert text == expected_text
    assert checksum_of({}, arrays) == checksum_of({}, expected_arrays)
    assert vars(found).keys() == vars(expected).keys() - {"fit_seconds_"}  # not in files
    new = walks().tail(9).assign(user=expected.users_[0])
    for options in ({}, {"interactions": new}):
        lists = [model.recommend(**options) for model in (found, expected)]
        pd.testing.assert_frame_equal(*lists, check_exact=True)
    X = pd.DataFrame({"user": expected.users_[:5], "item": expected.items_[:5]})
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


def assert_same_weights(found, expected):
    weights = [model.network_.weights._asdict() for model in (found, expected)]
    np.testing.assert_equal(*weights)


# Recommenders.


@pytest.mark.parametrize("model", BASELINES, ids=lambda model: type(model).__name__)
def test_loaded_recommender_equals_the_saved_one(model, tmp_path):
    model.fit(walks())
    assert_same(saved_and_loaded(model, tmp_path), model, tmp_path)


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return clone(NETWORKS[request.param]).fit(walks())


def test_loaded_network_equals_the_saved_one_and_trains_on_alike(network, tmp_path):
    late = walks().assign(user=lambda X: X["user"] + 10).tail(30)
    model = pickle.loads(pickle.dumps(network))
    loaded = saved_and_loaded(model, tmp_path)
    assert_same(loaded, model, tmp_path)
    # `fit` keeps only the mean moments of Adam, which the file holds too.
    assert_same_weights(loaded.partial_fit(late), model.partial_fit(late))
    assert loaded.history_ == model.history_
    with_moments = saved_and_loaded(model, tmp_path, optimizer=True)
    size = (tmp_path / "model.neumf").stat().st_size
    without = saved_and_loaded(model, tmp_path)
    n_moments = sum(table.size for table in model._optimizer.tables.values())
    assert size - (tmp_path / "model.neumf").stat().st_size >= 4 * n_moments
    assert_same(without, model, tmp_path)
    model.partial_fit(late)
    assert_same_weights(with_moments.partial_fit(late), model)
    without.partial_fit(late)
    close = without.network_.items - model.network_.items
    assert 0 < np.abs(close).max() < 0.05


def test_joblib_writes_each_table_once(network, tmp_path):
    joblib.dump(network, tmp_path / "joblib")
    loaded = joblib.load(tmp_path / "joblib")
    assert_same(loaded, network, tmp_path)
    assert_same_weights(loaded, network)
    content = (tmp_path / "joblib").read_bytes()
    for array in network.network_.weights.tables.values():
        assert content.count(array.tobytes()) == 1


def test_folded_in_users_are_saved(network, tmp_path):
    new = walks().tail(12).assign(user=lambda X: X["user"] + 500)
    folded = network.with_interactions(new)
    loaded = saved_and_loaded(folded, tmp_path)
    pd.testing.assert_frame_equal(loaded.recommend(), folded.recommend(), check_exact=True)


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_generator_as_random_state_is_stored_as_none_and_training_goes_on(kind, tmp_path):
    options = SMALL_NEUMF | {"random_state": kind(0)}
    model = NeuMFRecommender(**options).fit(walks())
    loaded = saved_and_loaded(model, tmp_path)
    assert loaded.random_state is None
    late = walks().tail(30)
    assert_same_weights(loaded.partial_fit(late), model.partial_fit(late))


def test_generator_other_than_pcg64_is_refused(tmp_path):
    model = neumf.load(GOLDEN / "format_1_neumf.neumf")
    model._generator = np.random.Generator(np.random.MT19937(0))
    with pytest.raises(TypeError, match=r"random_state must be None.*Received.*MT19937"):
        model.save(tmp_path / "model")


def test_sparse_matrix_has_no_column_names_in_the_file(tmp_path):
    model = EASERecommender(1.0).fit(sp.csr_array(np.eye(12) + np.eye(12, k=1)))
    loaded = saved_and_loaded(model, tmp_path)
    assert not hasattr(loaded, "feature_names_in_")
    assert_same(loaded, model, tmp_path)


def test_equal_arrays_are_stored_once(tmp_path):
    knn = ItemKNNRecommender()
    VotingRecommender([("a", knn), ("b", knn)]).fit(walks()).save(tmp_path / "voting")
    knn.fit(walks()).save(tmp_path / "knn")
    of_voting, of_knn = (read_file(tmp_path / name)[1] for name in ("voting", "knn"))
    assert len(of_voting) == len(of_knn) + 1  # the weights of the members


def test_loaded_recommender_can_be_fitted_again(tmp_path):
    loaded = saved_and_loaded(EASERecommender(3.0).fit(walks()), tmp_path)
    assert loaded.fit(walks().head(30)).users_.tolist() == list(range(5))


def test_recommender_that_is_not_fitted_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        VotingRecommender([("ease", EASERecommender())]).save(tmp_path / "model")


class Own(PopularityRecommender):
    pass


@pytest.mark.parametrize("wrap", [False, True])
def test_class_from_outside_the_library_is_refused(wrap, tmp_path):
    model = VotingRecommender([("own", Own())]) if wrap else Own()
    with pytest.raises(TypeError, match=r"Own cannot be saved: load makes only.*Pickle it"):
        model.fit(walks()).save(tmp_path / "model")


# Ids.

floats = st.floats(-(2.0**52), 2.0**52, allow_nan=False)
labels = any_ids | floats | st.integers() | st.lists(any_ids.filter(np.isscalar)).map(tuple)
columns = st.one_of(
    st.lists(labels, min_size=1, max_size=6),
    *(
        st.lists(st.integers(0, 100), min_size=1).map(lambda ids, d=dtype: np.array(ids, d))
        for dtype in "bBhHiIqQfd"
    ),
    st.lists(string_ids | st.just("\ud800") | st.just("\ud83d\ude00"), min_size=1),
)


@given(columns)
def test_ids_keep_type_and_order(tmp_path_factory, ids):
    path = tmp_path_factory.getbasetemp() / "ids"
    values = ids if isinstance(ids, np.ndarray) else object_array(ids)
    column = pd.Series(values, dtype=values.dtype)
    try:
        values = check_ids(column, "ids")
    except ValueError:
        assume(False)  # 5 beside "5"
    index = index_ids(values)[1]
    write_values(path, {"ids": index})
    found = read_values(path)["ids"]
    assert found.equals(index)
    assert found.dtype == index.dtype
    assert repr(found.tolist()) == repr(index.tolist())
    np.testing.assert_array_equal(indices_of(values, found), indices_of(values, index))


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize("label", [Colour.RED, np.str_("x"), np.int8(1), 2.0])
def test_ids_of_subtypes_are_stored_as_plain_ones(label, tmp_path):
    X = pd.DataFrame({"user": pd.Series(["a", label], dtype=object), "item": [1, 2]})
    path = tmp_path / "model"
    PopularityRecommender().fit(X).save(path)
    plain = "x" if label == "x" else int(label)
    users = neumf.load(path).users_.tolist()
    assert users == ["a", plain]
    assert type(users[1]) is type(plain)


def test_large_unsigned_ids_are_other_ids_than_signed_ones(tmp_path):
    signed = pd.DataFrame({"user": np.array([11, 11, 12, 12]), "item": ["p", "q", "p", "r"]})
    large = [2**63 + 5, 2**63 + 6]
    unsigned = pd.DataFrame({"user": np.array(large, "uint64"), "item": ["p", "q"]})
    model = NeuMFRecommender(**SMALL_NEUMF).fit(signed).partial_fit(unsigned)
    model.save(tmp_path / "model")
    for known in (model, neumf.load(tmp_path / "model")):
        assert known.users_.tolist() == [11, 12, *large]
        for user in large:
            assert known.seen_[[known.users_.get_loc(user)]].nnz == 1
        lists = known.recommend(np.array(large, "uint64"), k=3)
        assert lists.groupby("user")["item"].agg(set).tolist() == [{"q", "r"}, {"p", "r"}]


# Parameters.

scalars = st.none() | st.booleans() | st.integers() | floats | st.text(max_size=3)
nested = st.recursive(
    scalars,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), parts, max_size=3)
    ),
    max_leaves=8,
)


@given(nested)
def test_nested_values_come_back_equal(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "values"
    write_values(path, {"value": value})
    assert repr(read_values(path)) == repr({"value": value})


@pytest.mark.parametrize("value", [np.int8(3), np.float32(0.1), np.bool_(True), np.str_("a")])
def test_numpy_scalar_comes_back_as_a_python_scalar(value, tmp_path):
    write_values(tmp_path / "values", {"value": value})
    found = read_values(tmp_path / "values")["value"]
    assert type(found) is type(value.item())
    assert found == value


@pytest.mark.parametrize("order", "<>")
def test_array_of_either_order_of_bytes_comes_back_equal(order, tmp_path):
    value = np.arange(6, dtype=f"{order}i4").reshape(2, 3)[:, ::2]
    write_values(tmp_path / "values", {"value": value})
    found = read_values(tmp_path / "values")["value"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize(
    "duration",
    [pd.Timedelta("1.5h"), pd.Timedelta(7, "us"), dt.timedelta(1, 2, 3), np.timedelta64(2, "W")],
)
def test_duration_comes_back_as_text_that_means_the_same(duration, tmp_path):
    model = PopularityRecommender(half_life=duration).fit(walks())
    loaded = saved_and_loaded(model, tmp_path)
    assert isinstance(loaded.half_life, str)
    assert read_span(loaded.half_life, "half_life") == read_span(duration, "half_life")
    assert_same(loaded.fit(walks()), model, tmp_path)


NO_PARAMETERS = [
    *(decimal.Decimal(3), print, [1, {2: 3}], {"@array": "x"}, np.array(["a"]), Colour.RED),
    *(np.nan, pd.NaT, dt.datetime(2026, 1, 1)),
]


@pytest.mark.parametrize("value", NO_PARAMETERS, ids=str)
def test_parameter_that_a_file_cannot_hold_is_named(value, tmp_path):
    model = EASERecommender().fit(walks()).set_params(regularization=value)
    with pytest.raises(TypeError, match=r"^parameters\.regularization.* must be None, a bool"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


# A file is replaced as a whole, or stays as it was.


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
def test_save_keeps_the_existing_file_when_it_fails(failure, step, old, monkeypatch):
    def fail(*arguments):
        raise failure

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    model = EASERecommender().fit(walks())
    with pytest.raises(type(failure)):
        model.save(old)
    monkeypatch.undo()
    assert_still_old(old)


def test_save_keeps_the_existing_file_when_the_disk_is_full(old):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            EASERecommender().fit(walks()).save(old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_still_old(old)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_save_keeps_the_mode_of_the_file_that_it_replaces(mode, old):
    old.chmod(mode)
    EASERecommender().fit(walks()).save(old)
    assert isinstance(neumf.load(old), EASERecommender)
    assert old.stat().st_mode & 0o777 == mode


def test_save_lets_nobody_open_the_content_of_a_private_file(old, monkeypatch):
    old.chmod(0o600)
    modes, chmod = [], Path.chmod

    def note_mode(path, mode):
        modes.append(path.stat().st_mode & 0o777)
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", note_mode)
    umask = os.umask(0)
    try:
        EASERecommender().fit(walks()).save(old)
    finally:
        os.umask(umask)
    assert modes == [0o600]


KILLED_SAVE = """
import os, signal, sys, neumf
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
neumf.PopularityRecommender().fit([["a", 1]]).save(sys.argv[1])
"""


def test_save_removes_what_a_killed_save_left_an_hour_ago(old):
    assert subprocess.run([sys.executable, "-c", KILLED_SAVE, old]).returncode == -signal.SIGKILL
    assert isinstance(neumf.load(old), PopularityRecommender)
    (left,) = set(old.parent.iterdir()) - {old}
    model = EASERecommender().fit(walks())
    model.save(old)  # another process may be writing the file
    assert left.exists()
    os.utime(left, (time.time() - 3601,) * 2)
    model.save(old)
    assert list(old.parent.iterdir()) == [old]


def test_save_writes_through_a_link(old):
    link = old.with_name("link")
    link.symlink_to(old)
    EASERecommender().fit(walks()).save(str(link))
    assert link.is_symlink()
    assert isinstance(neumf.load(old), EASERecommender)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_path_of_something_else_than_a_regular_file_is_refused(make, tmp_path):
    path = tmp_path / "other"
    make(path)
    before = path.stat()
    model = PopularityRecommender().fit(walks())
    for use in (model.save, neumf.load):
        with pytest.raises(ValueError, match=r"path must be a regular file\. Received.*other"):
            use(path)
    assert os.path.samestat(path.stat(), before)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_begin_with_the_home(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    PopularityRecommender().fit(walks()).save(kind("~/model"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert isinstance(neumf.load(kind("~/model")), PopularityRecommender)


def test_errors_of_the_system_name_the_path_that_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    model = PopularityRecommender().fit(walks())
    for path, error in [("~/none/model", FileNotFoundError), ("file/model", NotADirectoryError)]:
        match = rf"path must be a file in a folder that exists, .*: '{path}'$"
        with pytest.raises(error, match=match) as found:
            model.save(path)
        assert found.value.filename == path
        with pytest.raises(error, match=rf"path must be a file that save wrote .*: '{path}'$"):
            neumf.load(path)
    with pytest.raises(ValueError, match=r"regular file\. Received '~', which is a folder"):
        model.save("~")


# Files that are refused; tests/test_files_fuzz.py makes many more.


def rewrite(path, change):
    """Change metadata and arrays of a file, and write them with the right checksum."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata, arrays = header["__metadata__"], read_file(path)[1]
    del metadata["neumf_checksum"]
    change(metadata, arrays)
    path.write_bytes(
        serialize(arrays, metadata | {"neumf_checksum": checksum_of(metadata, arrays)})
    )


def test_later_format_says_to_update(old):
    rewrite(old, lambda metadata, arrays: metadata.update(neumf_format="2", neumf_version="9.0"))
    with pytest.raises(ValueError, match=r"format 2, written by neumf '9.0'.*Update: pip install"):
        neumf.load(old)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"PopularityRecommender"', '"os.system"', "has no recommender 'os.system'"),
        ('"PopularityRecommender"', '"IdEncoder"', "has no recommender 'IdEncoder'"),
        ('"half_life"', '"full_life"', "unexpected keyword argument 'full_life'"),
        ('"n_features_in_": 3', '"n_features_in_": 0', "n_features_in_ is 0"),
        ('"n_features_in_": 3', '"n_features_in_": NaN', "NaN is not a finite number"),
        ('"n_features_in_": 3', '"n_features_in_": 1e999', "1e999 is not a finite number"),
        ('"n_features_in_": 3', '"n_features_in_": 3, "users_": 3', "a key appears twice"),
        ('"n_features_in_": 3', f'"n_features_in_": {"[" * 10**5}', "nested too deeply"),
        ('"n_features_in_": 3', f'"n_features_in_": {"1" * 10**4}', "Exceeds the limit"),
        ('"@ids"', '"@id"', "it has an unknown value"),
        ('"state.users_"', '"state.items"', "lacks the array 'state.items'"),
        ('"shape": [20, 12]', '"shape": [20, 5]', "indices outside its shape"),
        ('"shape": [20, 12]', '"shape": [20, 13]', "not a sparse matrix of shape"),
    ],
)
def test_wrong_value_in_the_header_is_refused(before, after, said, old):
    def change(metadata, arrays):
        assert before in metadata["neumf_values"]
        metadata["neumf_values"] = metadata["neumf_values"].replace(before, after, 1)

    rewrite(old, change)
    with pytest.raises(ValueError, match=f"^path must be.*{said}"):
        neumf.load(old)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("state.users_", np.zeros(20, np.int64), "an id appears twice"),
        ("state.users_", np.full(20, np.nan), "ids have dtype float64"),
        ("state.users_", np.zeros((20, 0)), "ids have dtype float64 and shape"),
        ("state.popularity_", np.arange(11), r"popularity_ has the shape \(11,\)"),
        ("state.popularity_", np.arange(12.0), "popularity_ is not an array of int32"),
        ("state.popularity_", np.arange(12) - 1, "popularity_ has indices out of range"),
        ("state.popularity_logits_", np.zeros((12, 1)), r"logits_ has the shape \(12, 1\)"),
    ],
)
def test_wrong_array_is_refused(name, array, said, old):
    rewrite(old, lambda metadata, arrays: arrays.update({name: array}))
    with pytest.raises(ValueError, match=said):
        neumf.load(old)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_array_with_one_number_that_is_not_finite_is_refused(number, old):
    logits = np.append(np.zeros(11), number)
    rewrite(old, lambda metadata, arrays: arrays.update({"state.popularity_logits_": logits}))
    with pytest.raises(ValueError, match="popularity_logits_ has numbers that are not finite"):
        neumf.load(old)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_sparse_matrix_with_one_number_that_is_not_finite_is_refused(number, tmp_path):
    model = ItemKNNRecommender().fit(walks())
    model.item_weights_.data[7] = number
    with pytest.raises(ValueError, match=r"item_weights_ has dtype float.* or infinite numbers"):
        saved_and_loaded(model, tmp_path)


@pytest.mark.parametrize("text", ["3", "[null]", "[[1, [2]]]", "[true]", '["a", "a"]', "[1, 1.0]"])
def test_wrong_text_of_ids_is_refused(text, tmp_path):
    path = tmp_path / "model"
    PopularityRecommender().fit(walks().astype({"item": str})).save(path)
    wrong = np.frombuffer(text.encode(), np.uint8)
    rewrite(path, lambda metadata, arrays: arrays.update({"state.items_": wrong}))
    with pytest.raises(ValueError, match=r"list of ids|cannot be an id|appears twice"):
        neumf.load(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite_is_refused(number, tmp_path):
    model = neumf.load(GOLDEN / "format_1_neumf.neumf")
    table = model.network_.weights.tables["items"].copy()
    table[1, 2] = number
    model.network_.weights.tables["items"] = table
    with pytest.raises(ValueError, match="items has numbers that are not finite"):
        saved_and_loaded(model, tmp_path)


def test_checksum_finds_a_changed_weight(tmp_path):
    path = tmp_path / "model"
    content = bytearray((GOLDEN / "format_1_neumf.neumf").read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its checksum does not match its content"):
        neumf.load(path)


def test_files_of_other_programs_are_refused(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(PopularityRecommender()))
    with pytest.raises(ValueError, match="Received a pickle, which load never runs"):
        neumf.load(path)
    for metadata in ({"format": "pt"}, None):
        path.write_bytes(serialize({"weight": np.zeros(3)}, metadata))
        with pytest.raises(ValueError, match="Received a safetensors file from another program"):
            neumf.load(path)
    for content in (b"", b"PK\3\4", b"user,item\n" * 99):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"Received {len(content)} bytes that cannot be read"):
            neumf.load(path)


def test_long_header_is_neither_written_nor_read(tmp_path):
    model = EASERecommender().fit(walks()).set_params(regularization="x" * 2**20)
    with pytest.raises(ValueError, match=r"holds at most 524288 bytes.*with 10\d{5}\. Shorten"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "hostile"
    path.write_bytes(serialize({f"t{n}": np.zeros(0, bool) for n in range(200_000)}))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="its header exceeds 524288 bytes"):
        neumf.load(path)
    assert time.perf_counter() - start < 0.5


# Values are checked one by one.

HALF_TRUE = sp.csr_array(np.array([[1, 0, 0], [0, 1, 1]], bool))
LONG = 2**20 + 2  # floats are checked in blocks of 2**20


def with_nan(place):
    values = np.zeros(LONG)
    values[place] = np.nan
    return values


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (2, lambda part: part.integer("x", 2, 2)),
        (0, lambda part: part.integer("x")),
        (2**63 - 1, lambda part: part.integer("x")),
        (1e-300, lambda part: part.number("x", above=0)),
        (["a", ""], lambda part: part.strings("x")),
        (pd.Index([7]), lambda part: part.ids("x")),
        (np.array([[0.0, 1e300]]), lambda part: part.floats("x", (1, None), at_least=0)),
        (np.zeros(LONG), lambda part: part.floats("x", (None,))),
        (np.zeros((0, 3)), lambda part: part.floats("x", (None, 3))),
        (np.zeros((2, 3), np.float32), lambda part: part.float32s("x", (2, 3))),
        (np.array([0, 2]), lambda part: part.indices("x", (2,), 3)),
        (np.array([-1, 2]), lambda part: part.indices("x", (2,), 3, at_least=-1)),
        (np.array([], np.int32), lambda part: part.indices("x", (None,), 0)),
        (np.array([0, 0, 5, 5]), lambda part: part.bounds("x", 3, 5)),
        (HALF_TRUE, lambda part: part.sparse("x", (2, None), np.bool_)),
        (HALF_TRUE.astype(np.float32), lambda part: part.sparse("x", (2, 3), np.floating)),
        (HALF_TRUE.astype(np.float64), lambda part: part.matrix("x", (2, 3))),
        (np.zeros((2, 3)), lambda part: part.matrix("x", (2, 3))),
    ],
)
def test_value_within_its_bounds_is_read_as_it_is(value, read):
    assert read(CheckedValues({"x": value})) is value


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1, lambda part: part.integer("x", 2, 9)),
        (10, lambda part: part.integer("x", 2, 9)),
        (-1, lambda part: part.integer("x")),
        (2**63, lambda part: part.integer("x")),
        (True, lambda part: part.integer("x")),
        (0.0, lambda part: part.number("x", above=0)),
        (np.inf, lambda part: part.number("x", above=0)),
        (1, lambda part: part.number("x", above=0)),
        (["a", 1], lambda part: part.strings("x")),
        (("a",), lambda part: part.strings("x")),
        (pd.Index([]), lambda part: part.ids("x")),
        ([7], lambda part: part.ids("x")),
        (np.array([-1e-300]), lambda part: part.floats("x", (1,), at_least=0)),
        *((with_nan(i), lambda part: part.floats("x", (None,))) for i in (0, 2**20, LONG - 1)),
        (np.zeros((2, 3)), lambda part: part.floats("x", (None, 2))),
        (np.zeros((2, 3)), lambda part: part.floats("x", (2,))),
        (np.zeros(3, np.float16), lambda part: part.floats("x", (3,))),
        (np.zeros(3, np.int64), lambda part: part.floats("x", (3,))),
        (np.zeros(3), lambda part: part.float32s("x", (3,))),
        (np.array([0, 3]), lambda part: part.indices("x", (2,), 3)),
        (np.array([-1, 0]), lambda part: part.indices("x", (2,), 3)),
        (np.array([0, 1], np.int16), lambda part: part.indices("x", (2,), 3)),
        (np.array([1, 5]), lambda part: part.bounds("x", 1, 5)),
        (np.array([0, 4]), lambda part: part.bounds("x", 1, 5)),
        (np.array([0, 6]), lambda part: part.bounds("x", 1, 5)),
        (np.array([0, 3, 2, 5]), lambda part: part.bounds("x", 3, 5)),
        (np.array([0, 5]), lambda part: part.bounds("x", 2, 5)),
        (HALF_TRUE, lambda part: part.sparse("x", (3, 3), np.bool_)),
        (HALF_TRUE, lambda part: part.sparse("x", (2, 2), np.bool_)),
        (HALF_TRUE, lambda part: part.sparse("x", (2, 3), np.floating)),
        (HALF_TRUE.toarray(), lambda part: part.sparse("x", (2, 3), np.bool_)),
        (HALF_TRUE, lambda part: part.matrix("x", (2, 3))),
        (np.zeros((2, 3)), lambda part: part.matrix("x", (3, 2))),
        (3, lambda part: part.value("y")),
        (3, lambda part: part.part("x")),
    ],
)
def test_value_out_of_its_bounds_is_refused(value, read):
    with pytest.raises(ValueError, match=r"^path must be a file that save wrote: .*The file is"):
        read(CheckedValues({"x": value}))


# Sparse matrices are checked before scipy has them.


def decode_sparse(shape, indptr, indices, data=None):
    parts = {"indptr": np.asarray(indptr), "indices": np.asarray(indices)}
    arrays = parts if data is None else parts | {"data": np.asarray(data)}
    return _decode({"@csr": {"shape": shape} | {name: name for name in arrays}}, arrays)


@pytest.mark.parametrize("shape", [[0, 0], [0, 3], [2, 0], [2, 2**31 - 1]], ids=str)
def test_sparse_matrix_may_be_empty_in_any_shape(shape):
    assert decode_sparse(shape, np.zeros(shape[0] + 1, int), np.zeros(0, int)).shape == tuple(shape)


def test_sparse_matrix_without_data_holds_true():
    found = decode_sparse([2, 3], [0, 0, 2], [0, 2])
    assert found.dtype == bool
    assert found.toarray().tolist() == [[False] * 3, [True, False, True]]
    assert decode_sparse([1, 2], [0, 1], [1], [0.5]).toarray().tolist() == [[0, 0.5]]


@pytest.mark.parametrize(
    "parts",
    [
        ([2, 2**31], [0, 0, 1], [0]),
        ([-1, 2], [], []),
        ([2], [0, 0, 0], [0]),
        ([2, 3, 1], [0, 0, 1], [0]),
        ([2, 3.0], [0, 0, 1], [0]),
        ([2, True], [0, 0, 1], [0]),
        ("23", [0, 0, 1], [0]),
        ([2, 3], [0, 1], [0]),
        ([2, 3], [1, 1, 2], [0, 1]),
        ([2, 3], [0, 1, 1], [0, 1]),
        ([2, 3], [0, 1, 3], [0, 1]),
        ([3, 3], [0, 2, 1, 2], [0, 1]),
        ([2, 3], [0, 1, 2], [0, 3]),
        ([2, 3], [0, 1, 2], [-1, 0]),
        ([2, 3], [0, 1, 2], [0.0, 1.0]),
        ([2, 3], [0, 1, 2], [[0, 1]]),
        ([2, 3], [[0, 1, 2]], [0, 1]),
        ([2, 3], np.array([0, 1, 2], np.int16), [0, 1]),
        ([2, 3], [0, 1, 2], [0, 1], [1.0]),
        ([2, 3], [0, 1, 2], [0, 1], [[1.0, 2.0]]),
        ([2, 3], [0, 1, 2], [0, 1], np.ones(2, np.float16)),
    ],
)
def test_sparse_matrix_whose_parts_do_not_fit_is_refused(parts):
    with pytest.raises(ValueError, match=r"^path must be a file that save wrote: .*The file is"):
        decode_sparse(*parts)


# Golden files.


@pytest.mark.filterwarnings("ignore:fit did not see")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.neumf")), ids=lambda path: path.stem)
def test_golden_file_gives_the_recorded_lists(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    found = what_it_says(neumf.load(path))
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name]["items"] == expected[name]["items"]
        np.testing.assert_allclose(found[name]["scores"], expected[name]["scores"], rtol=1e-4)


def test_golden_files_have_the_recorded_ids():
    assert neumf.load(GOLDEN / "format_1_neumf.neumf").items_[0] == "ítem 0"
    model = neumf.load(GOLDEN / "format_1_voting.neumf")
    assert model.users_[:4].tolist() == ["a", 7, 2.5, "user 0"]
    assert model.items_.get_loc(("item", 3)) == 3
