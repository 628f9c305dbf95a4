import copy
import gc
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from unittest.mock import patch

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from network_options import NEUMF_OF_IDS
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from neumf import LeaveLastOutSplitter, NeuMFRecommender, datasets, load, ndcg_scorer
from neumf.interactions.histories import read_histories
from neumf.interactions.seen import join_seen, seen_matrix
from neumf.interactions.storage import MEMORY, Storage
from neumf.interactions.timeline import read_timelines, user_blocks
from neumf.interactions.unseen import UnseenItems
from neumf.model.user_towers import UserHistories, UserIds
from neumf.training.batches import BatchSizes, Negatives, TrainingRows, chunks_of, new_order

SIZES = {
    "neumf.interactions.storage._BLOCK_ROWS": 70,
    "neumf.interactions.timeline._BLOCK_ROWS": 300,
    "neumf.interactions.timeline._COUNTED_ROWS": 110,
    "neumf.interactions.seen._JOINED_USERS": 7,
    "neumf.training.batches._PILE_ROWS": 400,
    "neumf.training.batches._LOOKED_UP": 900,
}


@pytest.fixture(params=["memory", "files"])
def storage(request, tmp_path):
    return MEMORY if request.param == "memory" else Storage(tmp_path)


@pytest.fixture
def small_blocks(monkeypatch):
    """Let a small table be as many blocks as a large one."""
    for name, size in SIZES.items():
        monkeypatch.setattr(name, size)


def in_blocks_of(size):
    stack = ExitStack()
    for name in SIZES:
        stack.enter_context(patch(name, size))
    return stack


def both_storages():
    return st.sampled_from([MEMORY, Storage(tempfile.gettempdir())])


# Arrays


def test_arrays_are_plain_ones_that_can_be_written_to(storage):
    array = storage.empty(5, np.int32)
    array[:] = range(5)
    assert type(array) is np.ndarray
    assert array.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="files in use have names there")
def test_files_have_no_name(tmp_path):
    storage = Storage(tmp_path)
    growing = storage.growing()
    growing.append(np.arange(3))
    arrays = storage.empty(5, float), storage.keep(np.arange(3)), growing.finish()
    assert list(tmp_path.iterdir()) == []
    assert [len(array) for array in arrays] == [5, 3, 3]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks where Linux lists files")
def test_the_space_is_free_when_the_last_array_is_gone(tmp_path):
    def n_files():
        gc.collect()
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    part = Storage(tmp_path).empty(5, float)[2:]
    assert n_files() == 1
    del part
    assert n_files() == 0


def test_space_is_taken_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr("neumf.interactions.storage._BLOCK_ROWS", 7)
    array = Storage(tmp_path).empty(5, np.int32)
    assert array.tolist() == [0, 0, 0, 0, 0]


def test_an_array_is_kept_once(tmp_path):
    storage = Storage(tmp_path)
    kept = storage.keep(np.arange(3))
    assert storage.keep(kept) is kept
    assert MEMORY.keep(kept) is kept


@given(st.lists(st.tuples(st.sampled_from("ifb"), st.integers(1, 9)), max_size=6), both_storages())
def test_what_grows_holds_all_that_was_appended(parts, storage):
    arrays = [
        np.arange(n).astype({"i": np.int32, "f": np.float64, "b": np.int64}[kind])
        for kind, n in parts
    ]
    growing = storage.growing()
    for array in arrays:
        growing.append(array)
    assert len(growing) == sum(map(len, arrays))
    found = growing.finish()
    expected = np.concatenate(arrays or [np.empty(0)])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_what_grows_takes_the_numbers_of_another_machine(storage):
    growing = storage.growing()
    growing.append(np.arange(3, dtype=">i8"))
    assert growing.finish().tolist() == [0, 1, 2]


@given(st.lists(st.integers(0, 5), max_size=30), st.data(), st.integers(1, 40), both_storages())
def test_rows_are_taken_and_left_out_block_by_block(values, data, size, storage):
    values = np.array(values, dtype=np.int32)
    rows = sorted(data.draw(st.sets(st.integers(0, len(values) - 1)))) if len(values) else []
    rows = np.array(rows, dtype=np.intp)
    with in_blocks_of(size):
        np.testing.assert_array_equal(storage.without(values, rows), np.delete(values, rows))
        np.testing.assert_array_equal(storage.take(values, rows[::-1]), values[rows[::-1]])


# What is read from rows


@st.composite
def tables(draw):
    """Users, items, times or None, and which rows count, or None."""
    n = draw(st.integers(1, 40))
    column = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    users, items, times = (np.array(draw(column), dtype=np.int32) for _ in range(3))
    counted = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return (
        users,
        items,
        draw(st.sampled_from([times, None])),
        draw(st.sampled_from([counted, None])),
    )


@given(tables(), st.integers(1, 50), both_storages())
def test_blocks_of_users_hold_each_row_once_in_the_order_of_the_table(table, size, storage):
    users = table[0]
    with in_blocks_of(size):
        blocks, piles = user_blocks(users, 7, storage)
        parts = list(piles.parts(users, None, np.arange(len(users))))
        joined = piles.joined([rows for *_, rows in parts], np.int64)
    assert [user for block in blocks for user in block] == list(range(7))
    for block, (its_users, nothing, rows) in zip(blocks, parts, strict=True):
        assert nothing is None
        expected = np.flatnonzero([user in block for user in users])
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(its_users, users[expected])
        longest = np.bincount(its_users).max(initial=0)
        assert len(rows) < size + longest or len(users) <= size
    np.testing.assert_array_equal(joined, np.arange(len(users)))


@given(tables(), st.integers(1, 50), both_storages())
def test_the_matrix_of_seen_items_is_that_of_scipy(table, size, storage):
    users, items, _, counted = table
    with in_blocks_of(size):
        found = seen_matrix(users, items, (7, 6), counted, storage)
    rows = slice(None) if counted is None else counted
    pairs = users[rows], items[rows]
    expected = sp.coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(7, 6)).tocsr()
    expected.sum_duplicates()
    for name in ("data", "indices", "indptr"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@given(tables(), tables(), st.permutations([-1, 0, 1, 2, 3, 4, 5]), st.integers(1, 9))
def test_seen_items_of_two_tables_are_joined(table, later, codes, size):
    before = seen_matrix(*table[:2], (6, 6))
    seen = seen_matrix(*later[:2], (7, 8))
    expected = seen.toarray()
    for user, code in enumerate(codes):
        if code >= 0:
            expected[user, :6] |= before.toarray()[code]
    for storage in (MEMORY, Storage(tempfile.gettempdir())):
        with in_blocks_of(size):
            found = join_seen(before, np.array(codes), seen, storage)
        np.testing.assert_array_equal(found.toarray(), expected)
        assert found.has_canonical_format


@given(tables(), st.integers(1, 50), st.booleans())
def test_places_and_histories_in_files_are_those_in_memory(table, size, from_rows):
    users, items, times, positive = table
    expected = read_timelines(users, times, 7, positive)
    seconds = None if times is None else times.astype(float)
    from_rows = from_rows and seconds is not None
    rows = np.arange(len(users))
    storage = Storage(tempfile.gettempdir())
    with in_blocks_of(size):
        found = read_timelines(users, times, 7, positive, storage)
        histories = read_histories(
            found, items, 3, positive, None, storage, seconds, from_rows=from_rows
        )
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.counts, expected.counts)
    expected = read_histories(expected, items, 3, positive, seconds=seconds, from_rows=from_rows)
    np.testing.assert_array_equal(histories.before(rows), expected.before(rows))
    np.testing.assert_array_equal(histories.last().codes, expected.last().codes)


@given(tables(), st.integers(1, 50), both_storages())
def test_weighted_tickets_are_the_same_block_by_block(table, size, storage):
    seen = seen_matrix(*table[:2], (7, 6))
    weights = np.array([1, 0, 3, 2, 5, 1])
    expected = UnseenItems(seen, weights)
    with in_blocks_of(size):
        found = UnseenItems(seen, weights, storage)
    np.testing.assert_array_equal(found.n_tickets, expected.n_tickets)
    for user in np.flatnonzero(expected.n_tickets):
        tickets = np.arange(expected.n_tickets[user])
        users = np.full(len(tickets), user)
        np.testing.assert_array_equal(found.at(users, tickets), expected.at(users, tickets))


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 50), both_storages())
def test_what_is_looked_up_comes_in_the_order_of_the_keys(keys, size, storage):
    keys = np.array(keys, dtype=int)
    asked = []

    def find(keys, others):
        asked.append(keys)
        return np.column_stack([keys, others])

    with in_blocks_of(size):
        found = storage.look_up(find, keys, np.arange(len(keys)))
    np.testing.assert_array_equal(found, np.column_stack([keys, np.arange(len(keys))]))
    if storage is not MEMORY:  # files are read from front to back
        assert np.concatenate(asked).tolist() == sorted(keys)
        assert max(map(len, asked)) <= size


# The order of an epoch


@given(tables(), st.integers(1, 60), st.booleans())
def test_chunks_of_rows_in_files_are_those_of_rows_in_memory(table, size, reads_history):
    users, items, times, _ = table
    seen = seen_matrix(users, items, (7, 7))  # nobody has had the last item
    tower = UserHistories(4, 3) if reads_history else UserIds(4, 3)
    chunks = []
    for storage in (MEMORY, Storage(tempfile.gettempdir())):
        rng = np.random.default_rng(0)
        histories = read_histories(read_timelines(users, times, 7), items, 3, storage=storage)
        rows = TrainingRows(
            users,
            items,
            weights=np.arange(len(users), dtype=np.float32),
            negatives=Negatives(UnseenItems(seen, storage=storage), users),
            histories=histories if reads_history else None,
            storage=storage,
        )
        with in_blocks_of(size):
            order = new_order(len(rows), rng, storage)
            chunks.append(list(chunks_of(rows, order, tower, BatchSizes(2, 3, 2), rng)))
    assert [int(chunk.n_rows) for chunk in chunks[1]] == [int(chunk.n_rows) for chunk in chunks[0]]
    for in_memory, in_files in zip(*chunks, strict=True):
        assert in_memory.indices.keys() == in_files.indices.keys()
        for name, index in in_memory.indices.items():
            np.testing.assert_array_equal(in_files.indices[name], index)
        for found, expected in zip(in_files[1:], in_memory[1:], strict=True):
            np.testing.assert_array_equal(found, expected)


@given(st.integers(0, 60), st.integers(1, 50), st.integers(0, 9))
def test_an_order_has_each_row_once_and_is_the_same_in_files(n_rows, size, seed):
    with in_blocks_of(size):
        order = new_order(n_rows, np.random.default_rng(seed))
        in_files = new_order(n_rows, np.random.default_rng(seed), Storage(tempfile.gettempdir()))
    assert sorted(order) == list(range(n_rows))
    assert order.dtype == np.int32
    np.testing.assert_array_equal(in_files, order)


@pytest.mark.parametrize("size", [2, 3, 50])
def test_every_order_is_as_likely(size, rng):
    n = 6000
    with in_blocks_of(size):
        found = [tuple(new_order(4, rng).tolist()) for _ in range(n)]
    counts = np.array([found.count(order) for order in permutations(range(4))])
    expected = n / 24
    # A chi-square of 23 degrees of freedom is above 50 once in a thousand times.
    assert ((counts - expected) ** 2 / expected).sum() < 50


# Recommenders


@pytest.fixture(scope="module", name="X")
def real_table():
    X = datasets.filter_k_core(datasets.load_movietweetings(), 20)
    return X.sample(frac=1, random_state=0).reset_index(drop=True)


PAPER = {"n_factors": 4, "mlp_embedding_dim": 4, "hidden_layer_sizes": (4,)}
MODELS = {
    "default": {"n_factors": 4},
    "recency": {"n_factors": 4, "recency": 0.5},
    "hybrid": {"n_factors": 4, "user_encoder": "hybrid"},
    "gaps": {"n_factors": 4, "history_gaps": "question"},
    "paper": NEUMF_OF_IDS | PAPER,
    "popularity": NEUMF_OF_IDS | PAPER | {"negative_strategy": "popularity"},
    "stops": {"n_factors": 4, "early_stopping": True},
    "refit": NEUMF_OF_IDS | PAPER | {"early_stopping": "refit"},
    "pretrain": NEUMF_OF_IDS | PAPER | {"pretrain": True},
}


def model_of(name, **options):
    shape = {"epochs": 2, "batch_size": 256, "random_state": 0}
    return NeuMFRecommender(**(MODELS[name] | shape | options))


def learned(model):
    weights = model.network_.weights
    seen = model.seen_
    return {
        "users": model.users_.tolist(),
        "items": model.items_.tolist(),
        "history": model.history_,
        "last": model.histories_.tobytes(),
        "seen": [part.tobytes() for part in (seen.data, seen.indices, seen.indptr)],
        "tables": {name: table.tobytes() for name, table in weights.tables.items()},
        "shared": {name: array.tobytes() for name, array in weights.shared.items()},
    }


@pytest.fixture(name="write")
def parquet_writer(tmp_path):
    pytest.importorskip("pyarrow")

    def write(X, name="rows.parquet"):
        path = tmp_path / name
        X.to_parquet(path, row_group_size=300)
        return path

    return write


@pytest.fixture(name="folder")
def spill_folder(tmp_path):
    folder = tmp_path / "spilled"
    folder.mkdir()
    return folder


@pytest.mark.usefixtures("small_blocks")
class TestWeights:
    """With files in the place of memory, they are the same bit for bit."""

    @pytest.mark.parametrize("name", MODELS)
    def test_of_a_table(self, X, folder, name):
        expected = learned(model_of(name).fit(X))
        assert learned(model_of(name, spill_folder=folder).fit(X)) == expected

    @pytest.mark.parametrize("name", ["default", "refit"])
    def test_of_files_of_parquet_without_times(self, X, folder, write, name):
        X = X.drop(columns="timestamp")
        expected = learned(model_of(name).fit(X))
        found = model_of(name, spill_folder=str(folder)).fit(write(X))
        assert learned(found) == expected

    @pytest.mark.parametrize("name", ["hybrid", "paper", "stops"])
    def test_of_labels_and_weights(self, X, folder, write, rng, name):
        y, weights = rng.integers(2, size=len(X)), rng.random(len(X))
        expected = learned(model_of(name).fit(X, y, weights))
        found = model_of(name, spill_folder=folder).fit(write(X), y, weights)
        assert learned(found) == expected

    def test_of_a_sparse_matrix(self, X, folder):
        matrix = seen_matrix(X["user"].to_numpy() % 50, X["item"].to_numpy() % 60, (50, 60))
        expected = learned(model_of("paper").fit(matrix))
        assert learned(model_of("paper", spill_folder=folder).fit(matrix)) == expected

    def test_of_rows_of_which_others_validate(self, X, folder, write):
        X_train, X_val = LeaveLastOutSplitter().train_test_split(X)
        expected = learned(model_of("stops").fit(X_train, X_val=X_val))
        found = model_of("stops", spill_folder=folder)
        assert learned(found.fit(write(X_train), X_val=write(X_val, "val"))) == expected

    @pytest.mark.parametrize("name", ["default", "hybrid", "paper", "popularity"])
    @pytest.mark.parametrize("strings", [False, True])
    def test_of_rows_that_came_later(self, X, folder, write, name, strings):
        X = X.astype({"user": str, "item": str}) if strings else X
        expected = model_of(name).fit(X[:1500]).partial_fit(X[1500:])
        found = model_of(name, spill_folder=folder).fit(write(X[:1500], "first"))
        found.partial_fit(write(X[1500:]))
        assert learned(found) == learned(expected)


class TestCopies:
    @pytest.fixture(name="model")
    def fitted_model(self, X, folder):
        return model_of("paper", spill_folder=folder).fit(X)

    @pytest.mark.parametrize(
        "copied",
        [
            copy.deepcopy,
            lambda model: pickle.loads(pickle.dumps(model)),
        ],
        ids=["deepcopy", "pickle"],
    )
    def test_have_learned_the_same_and_go_on(self, model, X, copied):
        expected = learned(model)
        found = copied(model)
        assert learned(found) == expected
        pd.testing.assert_frame_equal(found.recommend(k=3), model.recommend(k=3))
        assert learned(found.partial_fit(X[:300])) == learned(model.partial_fit(X[:300]))

    def test_of_joblib_have_learned_the_same(self, model, tmp_path):
        joblib.dump(model, tmp_path / "model")
        for mode in (None, "r"):
            assert learned(joblib.load(tmp_path / "model", mmap_mode=mode)) == learned(model)

    def test_that_were_saved_know_no_folder(self, model, folder, tmp_path):
        model.save(tmp_path / "model.neumf")
        folder.rmdir()
        found = load(tmp_path / "model.neumf")
        assert learned(found) == learned(model)
        assert found.spill_folder is None

    def test_that_are_cloned_have_the_parameter(self, model, folder):
        assert clone(model).get_params()["spill_folder"] == folder

    def test_go_to_other_processes_and_back(self, X, folder):
        def searched(spill_folder):
            # Large enough for joblib to map what it sends.
            model = model_of("paper", epochs=1, spill_folder=spill_folder)
            grid = {"n_negatives": [1, 2]}
            splits = LeaveLastOutSplitter()
            search = GridSearchCV(model, grid, cv=splits, scoring=ndcg_scorer(), n_jobs=2)
            with joblib.parallel_config(max_nbytes=100):
                search.fit(X)
                lists = joblib.Parallel(n_jobs=2)(
                    joblib.delayed(search.best_estimator_.recommend)(None, k) for k in (2, 3)
                )
            scores = search.cv_results_["mean_test_score"].tolist()
            return scores, [part.to_dict() for part in lists]

        assert searched(folder) == searched(None)


class TestErrors:
    @pytest.mark.parametrize("value", [3, True, b"/tmp"])
    def test_of_what_is_no_path(self, X, value):
        with pytest.raises(TypeError, match="spill_folder must be the path of a folder"):
            model_of("paper", spill_folder=value).fit(X)

    def test_of_a_folder_that_is_not_there(self, X, tmp_path):
        with pytest.raises(NotADirectoryError, match=r"spill_folder .* where there is no folder"):
            model_of("paper", spill_folder=tmp_path / "none").fit(X)

    @pytest.mark.skipif(not Path("/proc").exists(), reason="has a folder that nobody writes to")
    def test_of_a_folder_that_cannot_be_written_to(self, X):
        with pytest.raises(OSError, match=r"spill_folder must be a folder in which .*'/proc'"):
            model_of("paper", spill_folder="/proc").fit(X)

    @pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
    @pytest.mark.parametrize("kind", ["table", "parquet"])
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_of_a_full_disk_leave_the_recommender_as_it_was(
        self, X, folder, write, kind, method, tmp_path
    ):
        model = model_of("paper", epochs=1).fit(X[:1000])
        joblib.dump(model.set_params(spill_folder=folder), tmp_path / "model")
        path = write(X)
        # Memory ends as space does: files of more than 4,000 bytes cannot be written.
        code = f"""
import resource, joblib, pandas as pd, sys, tempfile
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_storage import learned
model, path = joblib.load({str(tmp_path / "model")!r}), {str(path)!r}
X = pd.read_parquet(path) if {kind == "table"} else path
before = learned(model)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    model.{method}(X)
except OSError as error:
    assert "spill_folder" in str(error) and {str(folder)!r} in str(error), error
    assert learned(model) == before
else:
    sys.exit("no error")
"""
        subprocess.run([sys.executable, "-c", code], check=True)
        assert list(folder.iterdir()) == []
