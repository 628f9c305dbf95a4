"""Damaged and hostile files: each gives a ValueError, or what was saved."""

import json
import tracemalloc
from copy import deepcopy
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from golden_models import GOLDEN, walks
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as serialize

import neumf
from neumf import ItemKNNRecommender, PopularityRecommender
from neumf.base import BaseRecommender
from neumf.saving.container import checksum_of, read_file

MODELS = {
    "neumf": partial(neumf.load, GOLDEN / "format_1_neumf.neumf"),
    "next item": partial(neumf.load, GOLDEN / "format_1_next_item.neumf"),
    "voting": partial(neumf.load, GOLDEN / "format_1_voting.neumf"),
    "knn": lambda: ItemKNNRecommender(decay=3.0).fit(walks()),
    "popularity": lambda: PopularityRecommender(half_life="3D").fit(walks()),
}
names = st.sampled_from(sorted(MODELS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def saved(folder):
    """Return a function of a model's name that gives the path of its file and its lists."""

    @cache
    def save(name):
        path, model = folder / name, MODELS[name]()
        model.save(path)
        return path, model.recommend()

    return save


def load(path, content):
    """Return the recommender of a file; None if a ValueError refuses the file."""
    path = path.with_suffix(".damaged")
    path.write_bytes(content)
    try:
        return neumf.load(path)
    except ValueError as error:
        said = str(error)
    assert said.startswith("path must be")
    return None


def header_of(content):
    end = 8 + int.from_bytes(content[:8], "little")
    return end, json.loads(content[8:end])


# Files that are damaged by accident: the header or the checksum tells.


def boundaries(content):
    """Return where parts of a file begin and end."""
    end, header = header_of(content)
    places = {0, 8, end, len(content)}
    for name, tensor in header.items():
        if name != "__metadata__":
            places |= {end + offset for offset in tensor["data_offsets"]}
    return sorted(places)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_cut_file_is_refused(name, saved):
    path, _ = saved(name)
    content = path.read_bytes()
    for place in boundaries(content):
        for length in (place - 1, place, place + 1):
            if 0 <= length < len(content):
                assert load(path, content[:length]) is None
    assert load(path, content + b"\0") is None


def flip_bytes(saved, data, name):
    """Hold that changed bytes raise, or change nothing."""
    path, lists = saved(name)
    content = bytearray(path.read_bytes())
    end, _ = header_of(content)
    places = st.integers(0, 7) | st.integers(8, end - 1) | st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    model = load(path, content)
    if model is not None:  # a space for another one, for example
        pd.testing.assert_frame_equal(model.recommend(), lists, check_exact=True)


def move_parts(saved, data, name):
    """Hold that parts which are cut out, moved or doubled raise, or change nothing."""
    path, lists = saved(name)
    content = path.read_bytes()
    cut = st.sampled_from(boundaries(content)) | st.integers(0, len(content))
    a, b, c = sorted(data.draw(st.tuples(cut, cut, cut)))
    parts = [content[:a], content[a:b], content[b:c], content[c:]]
    order = data.draw(st.lists(st.integers(0, 3), max_size=6))
    model = load(path, b"".join(parts[number] for number in order))
    if model is not None:
        pd.testing.assert_frame_equal(model.recommend(), lists, check_exact=True)


# Files that are forged: their checksum is right.

junk = st.sampled_from(
    [
        *(None, True, False, -1, 0, 1, 2**31, 2**63, -(2**63), 2**200, 0.5, -1e300),
        *("", "x", "neumf", "id", "drop", "state.users_", "NeuMFRecommender", "\ud800"),
        *([], {}, [[]], [0, 1], {"a": 1, "b": 2}, {"@array": "none"}, {"@array": "state.users_"}),
        *({"@tuple": []}, {"@tuple": 3}, {"@array": []}, {"@ids": "state.users_"}, {"@x": 1}),
        *({"@csr": {}}, {"@csr": 3}, {"@labels": "state.users_"}, {"@ids": {}, "x": 1}),
    ]
)


def nodes(value, path=()):
    """Yield the path of every value within a document of JSON."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nodes(part, (*path, key))


def change_document(draw, document):
    """Replace, remove or exchange values within a document."""
    places = [path for path in nodes(document) if path]
    for _ in range(draw(st.integers(1, 2))):
        path, other = (draw(st.sampled_from(places)) for _ in range(2))
        try:
            owner = document
            for key in path[:-1]:
                owner = owner[key]
            found = document
            for key in other:
                found = found[key]
            kind = draw(st.sampled_from(["junk", "copy", "remove"]))
            if kind == "remove":
                del owner[path[-1]]
            else:
                owner[path[-1]] = deepcopy(draw(junk) if kind == "junk" else found)
        except (LookupError, TypeError):  # it was removed before
            continue


def change_arrays(draw, arrays):
    """Give some arrays other dtypes, shapes or values."""
    name = draw(st.sampled_from(sorted(arrays)))
    array = arrays[name]
    kind = draw(st.sampled_from(["dtype", "shape", "value", "cut", "swap", "remove", "empty"]))
    if kind == "dtype":
        dtypes = ("?", "b", "B", "i", "I", "q", "Q", "e", "f", "d")
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(draw(st.sampled_from(dtypes)))
    elif kind == "shape":
        shapes = [(-1,), (-1, 1), (1, -1), (*array.shape, 1), array.shape[::-1]]
        arrays[name] = np.ascontiguousarray(array.reshape(draw(st.sampled_from(shapes))))
    elif kind == "value" and array.size:
        info = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(np.float64)
        values = [info.max, info.min, 0, 1] + (
            [np.nan, np.inf] if array.dtype.kind == "f" else [-1]
        )
        with np.errstate(all="ignore"):
            value = np.array(draw(st.sampled_from(values))).astype(array.dtype)
        array = array.copy()
        array.reshape(-1)[draw(st.integers(0, array.size - 1))] = value
        arrays[name] = array
    elif kind == "cut":
        arrays[name] = array[: draw(st.integers(0, len(array)))]
    elif kind == "swap":
        other = draw(st.sampled_from(sorted(arrays)))
        arrays[name], arrays[other] = arrays[other], arrays[name]
    elif kind == "remove":
        del arrays[name]
    else:
        arrays[name] = np.empty((2**40, 0), array.dtype)


def signed(text, arrays):
    """Return the bytes of a file with this text and the right checksum."""
    metadata = {"neumf_format": "1", "neumf_version": "0", "neumf_values": text}
    metadata["neumf_checksum"] = checksum_of(metadata, arrays)
    return serialize(arrays, metadata)


def forge(saved, data, name):
    """Hold that a forged file is refused, or gives a recommender that works."""
    path, _ = saved(name)
    text, arrays = read_file(path)
    document = json.loads(text)
    if data.draw(st.booleans()):
        change_document(data.draw, document)
    else:
        change_arrays(data.draw, arrays)
    model = load(path, signed(json.dumps(document), arrays))
    if model is None:
        return
    assert isinstance(model, BaseRecommender)
    with np.errstate(all="ignore"):  # of weights that are finite, but huge
        use(model)


def use(model):
    """Use all that was loaded."""
    new = pd.DataFrame({"user": model.users_[:1].repeat(3), "item": model.items_[[0, 1, 0]]})
    new["timestamp"] = pd.to_datetime([0, 1, 2], unit="D")
    assert model.recommend(k=2)["item"].isin(model.items_).all()
    model.recommend(k=2, interactions=new)
    try:
        model.ranker_at(np.arange(2), np.zeros(2)).score_items(np.arange(2))
    except ValueError as error:  # of a table without times, which a file may have been forged to
        if not str(error).startswith("X of fit must have timestamps"):
            raise


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("damage", "n"), [(flip_bytes, 1000), (move_parts, 300), (forge, 1200)])
def test_damaged_file_raises_and_forged_file_does_no_harm(damage, n, times, saved):
    @settings(max_examples=n * times * settings.default.max_examples // 100)
    @given(st.data(), names)
    def check(data, name):
        damage(saved, data, name)

    check()


SIZES = ([2**62, 4], [0, 2**62], [2**63 - 1, 2, 0], [2**40, 2**40], [-1], [1.5], "3", [[3]])


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["F32", "BOOL", "BF16", "F128", 3])
def test_huge_or_wrong_shape_is_refused_without_memory(shape, dtype, saved):
    path, _ = saved("knn")
    content = path.read_bytes()
    end, header = header_of(content)
    header["state.users_"] |= {"dtype": dtype, "shape": shape}
    text = json.dumps(header).encode()
    tracemalloc.start()
    try:
        assert load(path, len(text).to_bytes(8, "little") + text + content[end:]) is None
        assert tracemalloc.get_traced_memory()[1] < 10 * len(content) + 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 7, 10**8, 2**32, 2**63, 2**64 - 1])
def test_wrong_length_of_the_header_is_refused(length, saved):
    path, _ = saved("knn")
    assert load(path, length.to_bytes(8, "little") + path.read_bytes()[8:]) is None


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "{}", "[]", "null", '"x"', "3", ""])
def test_other_documents_are_refused(text, saved):
    path, _ = saved("knn")
    assert load(path, signed(text, read_file(path)[1])) is None


@pytest.mark.parametrize("n", [10, 60, 100, 200, 300, 10**4])
def test_recommenders_within_recommenders_without_end_are_refused(n, saved):
    part = '{"class": "VotingRecommender", "parameters": {"recommenders": '
    text = part * n + "0" + '}, "state": {}}' * n
    path, _ = saved("knn")
    assert load(path, signed(text, read_file(path)[1])) is None


@pytest.mark.parametrize("number", ["", "0", "-1", "1.0", "٣", "9" * 10**5, "x"])
def test_wrong_number_of_the_format_is_refused(number, saved):
    path, _ = saved("knn")
    metadata = {"neumf_format": number, "neumf_version": "0", "neumf_values": "{}"}
    assert load(path, serialize({}, metadata)) is None


def test_sparse_matrix_of_float16_is_refused(saved):
    path, _ = saved("knn")
    text, arrays = read_file(path)
    name = "state.item_weights_.data"
    arrays[name] = arrays[name].astype(np.float16)
    assert load(path, signed(text, arrays)) is None
