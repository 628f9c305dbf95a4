import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_index_equal

from neumf import (
    EASERecommender,
    IdEncoder,
    LeaveLastOutSplitter,
    NegativeSampler,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    compare,
    datasets,
    evaluate,
    ndcg_scorer,
)
from neumf.base import read_rows
from neumf.interactions import stored_tables
from neumf.interactions.reading import read_input
from neumf.interactions.tables import read_table
from neumf.interactions.vocabulary import IndexedIds, index_ids

pa = pytest.importorskip("pyarrow")
pads = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")
dd = pytest.importorskip("dask.dataframe")

# dask uses what the newest pandas would rather not have.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")

KINDS = ["file", "str", "folder", "dataset", "dask"]


def write(X, path, row_group_size=300):
    X.to_parquet(path, row_group_size=row_group_size, index=False)
    return path


def write_folder(X, folder, cuts, row_group_size=300):
    """Write the rows between each two cuts to a file of its own."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    bounds = [0, *sorted(cuts), len(X)]
    for number, (start, stop) in enumerate(pairwise(bounds)):
        write(X.iloc[start:stop], folder / f"part-{number:03}.parquet", row_group_size)
    return folder


def store(X, kind, folder):
    """Return a table as something that is read part by part."""
    if kind == "dask":
        # A partition that is a file's: from memory, dask would make other strings of objects.
        return dd.read_parquet(write_folder(X, folder / "files", [len(X) // 3]))
    if kind in ("file", "str"):
        path = write(X, folder / "file.parquet")
        return str(path) if kind == "str" else path
    path = write_folder(X, folder / "files", [len(X) // 3, len(X) // 2])
    return path if kind == "folder" else pads.dataset(path)


def read_back(stored):
    """Return the rows of a stored table as pandas reads all of them at once."""
    if isinstance(stored, str | Path):
        return pd.read_parquet(stored)
    return stored.compute() if hasattr(stored, "compute") else stored.to_table().to_pandas()


def assert_same_rows(rows, expected):
    for ids, wanted in ((rows.user_ids, expected.user_ids), (rows.item_ids, expected.item_ids)):
        assert_index_equal(ids, wanted, exact=True)
    for name in ("users", "items", "timestamps"):
        found, wanted = getattr(rows, name), getattr(expected, name)
        assert (found is None) == (wanted is None)
        if wanted is not None:
            assert found.dtype == wanted.dtype
            assert found.tolist() == wanted.tolist()
    assert rows.ticks_per_second == expected.ticks_per_second
    assert rows.ordered == expected.ordered


@pytest.fixture(scope="module", name="X")
def real_table():
    return datasets.filter_k_core(datasets.load_movietweetings(), 20).reset_index(drop=True)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def as_datetimes(X, unit="us"):
    return X.assign(timestamp=pd.to_datetime(X["timestamp"], unit="s").astype(f"M8[{unit}]"))


CONVERSIONS = {
    "plain": lambda X: X,
    "small ints": lambda X: X.astype({"user": "int32", "item": "int16", "timestamp": "int32"}),
    "float ids": lambda X: X.astype({"user": float, "item": "float32"}),
    "strings": lambda X: X.astype({"user": str, "item": str}),
    "objects": lambda X: X.astype({"user": str}).astype({"user": object}),
    "categories": lambda X: X.astype({"user": str}).astype({"user": "category"}),
    "categories of ints": lambda X: X.astype({"user": "category", "item": "category"}),
    "nullable ints": lambda X: X.astype({"user": "Int64", "timestamp": "Int64"}),
    "seconds": lambda X: as_datetimes(X, "s"),
    "milliseconds": lambda X: as_datetimes(X, "ms"),
    "microseconds": lambda X: as_datetimes(X, "us"),
    "nanoseconds": lambda X: as_datetimes(X, "ns"),
    "time zone": lambda X: as_datetimes(X).assign(
        timestamp=as_datetimes(X)["timestamp"].dt.tz_localize("Europe/Berlin")
    ),
    "float times": lambda X: X.assign(timestamp=X["timestamp"] / 7),
    "text times": lambda X: X.assign(timestamp=X["timestamp"].astype(str)),
    "no times": lambda X: X.drop(columns="timestamp"),
    "other names": lambda X: X.rename(columns={"user": "userId", "item": "movieId"}),
}


@st.composite
def plain_tables(draw):
    """Tables that Parquet can hold: ids are ints or strings, times ints, floats or datetimes."""
    ids = draw(st.sampled_from([strategies.int_ids, strategies.string_ids]))
    X = draw(strategies.tables(ids, draw(strategies.any_times)))
    if draw(st.booleans()):
        X["user"] = X["user"].astype("category")
    if "timestamp" in X:
        unit = draw(st.sampled_from([None, "float", "s", "ms", "us", "ns"]))
        if unit == "float":
            X["timestamp"] /= 3
        elif unit is not None:
            X["timestamp"] = (10**9 * X["timestamp"]).to_numpy().astype(f"M8[{unit}]")
    return X


class TestRows:
    @given(st.data())
    def test_are_those_of_the_same_table_in_memory_however_it_is_cut(self, data):
        X = data.draw(plain_tables())
        cuts = data.draw(st.lists(st.integers(0, len(X)), max_size=4))
        group, part = (data.draw(st.sampled_from([1, 3, 100])) for _ in range(2))
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(stored_tables, "_PART_ROWS", part)
            write_folder(X, folder, cuts, group)
            expected = read_rows(pd.read_parquet(folder))
            assert_same_rows(read_rows(folder), expected)
            assert_same_rows(read_rows(pads.dataset(folder)), expected)

    @pytest.mark.parametrize("conversion", CONVERSIONS)
    def test_are_those_of_the_same_table_in_memory(self, X, kind, conversion, tmp_path):
        stored = store(CONVERSIONS[conversion](X[:300]), kind, tmp_path)
        rows = read_rows(stored)
        assert_same_rows(rows, read_rows(read_back(stored)))
        assert rows.users.dtype == rows.items.dtype == np.int32

    def test_of_a_folder_stand_in_the_order_of_its_paths(self, X, tmp_path):
        for name in ("b-2", "b-10", "a"):
            write(X[:2].assign(user=name), tmp_path / f"{name}.parquet")
        assert read_rows(tmp_path).user_ids.tolist() == ["a", "b-10", "b-2"]

    def test_of_a_hive_folder_have_a_column_of_the_folder_names(self, X, tmp_path):
        pq.write_to_dataset(pa.table(X[:50]), tmp_path, partition_cols=["rating"])
        expected = read_rows(pd.read_parquet(tmp_path))
        assert_same_rows(read_rows(tmp_path), expected)
        model = PopularityRecommender().fit(tmp_path)
        assert model.feature_names_in_.tolist() == list(pd.read_parquet(tmp_path).columns)

    def test_of_a_hive_folder_may_have_their_users_in_the_folder_names(self, X, tmp_path):
        pq.write_to_dataset(pa.table(X[:50]), tmp_path, partition_cols=["user"])
        assert_same_rows(read_rows(tmp_path), read_rows(pd.read_parquet(tmp_path)))

    def test_of_a_filtered_dataset_are_those_that_it_leaves(self, X, tmp_path):
        dataset = pads.dataset(write(X, tmp_path / "file")).filter(pads.field("rating") > 7)
        expected = read_rows(X[X["rating"] > 7])
        assert_same_rows(read_rows(dataset), expected)

    def test_of_partitions_of_dask_have_one_unit_of_time(self, X):
        times = pd.to_datetime(X["timestamp"], unit="s")
        parts = [X.assign(timestamp=times.astype(f"datetime64[{unit}]")) for unit in ("s", "ms")]
        meta = parts[0].iloc[:0]
        table = dd.from_map(lambda part: part, parts, meta=meta, enforce_metadata=False)
        with pytest.raises(ValueError, match=r"X: .* Received 1 and then 1000 ticks per second\."):
            read_input(table)

    def test_of_partitions_of_dask_may_be_empty(self, X):
        frame = dd.from_pandas(X[:300], npartitions=5)
        frame = frame[frame["user"] == X["user"][150]]
        assert_same_rows(
            read_rows(frame[["user", "item", "timestamp"]]), read_rows(frame.compute())
        )

    def test_read_the_columns_alone_that_count(self, X, tmp_path, monkeypatch):
        read, asked = stored_tables._parts_of_dataset, []

        def spy(dataset, names, argument):
            asked.append(names)
            return read(dataset, names, argument)

        monkeypatch.setattr(stored_tables, "_parts_of_dataset", spy)
        path = write(X.rename(columns={"user": "user_id"}), tmp_path / "file")
        read_rows(path)
        read_input(path, with_timestamps=False)
        assert asked == [["user_id", "item", "timestamp"], ["user_id", "item"]]


class TestCodedIds:
    @given(st.lists(st.sampled_from("abc"), max_size=9), st.data())
    def test_are_indexed_as_the_ids_are(self, ids, data):
        ids = np.array(ids, dtype=object)
        rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids))))
        rows = rows.astype(bool)
        coded = IndexedIds(*index_ids(ids))
        assert coded.tolist() == ids.tolist()
        assert np.asarray(coded[rows]).tolist() == ids[rows].tolist()
        (codes, labels), (expected, labels_of_ids) = index_ids(coded[rows]), index_ids(ids[rows])
        assert codes.tolist() == expected.tolist()
        assert labels.tolist() == labels_of_ids.tolist()


class TestErrors:
    @pytest.mark.parametrize(
        "change",
        [
            {"user": [1.0, None, np.inf, None]},
            {"item": ["a", None, "b", None]},
            {"timestamp": [1.0, 2.0, np.inf, np.nan]},
            {"timestamp": pd.to_datetime(["2020", None, "2021", None])},
            {"timestamp": ["1", "2", "inf", "inf"]},
            {"user": [1.0, None, 2.0, 3.0], "timestamp": [1.0, 2.0, 3.0, np.inf]},
            {"user": [1.0, None, 2.0, 3.0], "item": [None, "a", "b", "c"]},
        ],
        ids=str,
    )
    def test_about_values_are_those_of_the_table_in_memory(self, change, kind, tmp_path):
        X = pd.DataFrame({"user": [1, 2, 3, 4], "item": list("abca"), "timestamp": range(4)})
        stored = store(X.assign(**change), kind, tmp_path)
        with pytest.raises(ValueError) as expected:  # noqa: PT011 - its text is what is compared
            read_rows(read_back(stored))
        with pytest.raises(ValueError) as found:  # noqa: PT011
            read_rows(stored)
        assert str(found.value) == str(expected.value)

    def test_of_two_kinds_of_times_name_both(self, X, tmp_path, monkeypatch):
        monkeypatch.setattr(stored_tables, "_PART_ROWS", 100)
        text = X["timestamp"].astype(str).mask(X.index >= 450, "soon")
        path = write_folder(X.assign(timestamp=text), tmp_path, [200])
        match = r"all of one kind\. Received '\d+' in row 400 and 'soon' in row 450\."
        with pytest.raises(ValueError, match=match):
            PopularityRecommender().fit(path)

    def test_name_the_row_in_the_whole_table(self, X, tmp_path):
        rating = X["item"].astype(float).mask(X.index >= 400)
        path = write_folder(X.assign(item=rating), tmp_path, [200])
        match = rf"X: item ids must not be missing.*nan.* in row 400 \({len(X) - 400} such rows\)"
        with pytest.raises(ValueError, match=match):
            PopularityRecommender().fit(path)

    @pytest.mark.parametrize(
        ("columns", "match"),
        [
            (["user", "rating"], "no column names an item"),
            (["item"], "X must have a user and an item column"),
            (["rating", "timestamp"], "no column names a user; no column names an item"),
        ],
    )
    def test_about_columns_are_those_of_memory(self, X, kind, columns, match, tmp_path):
        stored = store(X[columns][:20], kind, tmp_path)
        with pytest.raises(ValueError, match=match):
            PopularityRecommender().fit(stored)

    @pytest.mark.parametrize("kind", ["folder", "dataset", "filtered"])
    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize(
        ("column", "values", "types"),
        [
            ("timestamp", pd.to_datetime(["2020-01-01"]).as_unit("us"), r"int64 timestamp\[us\]"),
            ("user", ["5"], r"int64 (large_)?string"),
            ("user", [True], "int64 bool"),
            ("user", np.array([2**63 + 1], "uint64"), "int64 uint64"),
        ],
        ids=["times", "text", "booleans", "large ids"],
    )
    def test_name_the_types_of_files_that_differ(
        self, column, values, types, order, kind, tmp_path
    ):
        X = pd.DataFrame({"user": [5], "item": ["a"], "timestamp": [100]})
        for number, table in enumerate([X, X.assign(**{column: values})]):
            write(table, tmp_path / f"{order * number}.parquet")
        first, second = types.split()[::order]
        names = sorted(path.name for path in tmp_path.iterdir())
        match = (
            rf"X must be files .*'{column}' as {first} .*{names[0]} and as {second} .*{names[1]}"
        )
        stored = tmp_path if kind == "folder" else pads.dataset(tmp_path)
        stored = stored.filter(pads.field("item") == "a") if kind == "filtered" else stored
        with pytest.raises(ValueError, match=match):
            PopularityRecommender().fit(stored)

    def test_are_not_raised_for_types_of_one_kind_or_unread_columns(self, tmp_path):
        X = pd.DataFrame({"user": np.array([5], "int32"), "item": "a", "rating": "good"})
        X["timestamp"] = pd.to_datetime(["2020-01-01"]).as_unit("ms")
        later = pd.to_datetime(["2020-01-01 00:00:00.000001"])
        Y = pd.DataFrame({"user": [2**40], "item": ["b"], "rating": 3, "timestamp": later})
        write(X, tmp_path / "0.parquet")
        write(Y.astype({"item": "category"}), tmp_path / "1.parquet")
        rows = read_rows(tmp_path)
        assert rows.user_ids.tolist() == [5, 2**40]
        assert rows.item_ids.tolist() == ["a", "b"]
        assert np.diff(rows.timestamps).tolist() == [rows.ticks_per_second / 10**6]

    def test_are_raised_where_the_first_file_alone_has_no_times(self, tmp_path):
        X = pd.DataFrame({"user": [5], "item": ["a"], "timestamp": [100]})
        write(X.drop(columns="timestamp"), tmp_path / "0.parquet")
        write(X, tmp_path / "1.parquet")
        with pytest.raises(ValueError, match=r"timestamps must be .*missing.* row 0"):
            PopularityRecommender().fit(tmp_path)

    def test_tell_of_a_table_without_rows(self, X, kind, tmp_path):
        stored = store(X[:0], kind, tmp_path)
        with pytest.raises(ValueError, match="X must hold at least one interaction"):
            PopularityRecommender().fit(stored)

    @pytest.mark.parametrize("path", ["no/such/file", Path("no/such/file")], ids=["str", "Path"])
    def test_tell_of_a_path_where_nothing_is(self, path):
        match = r"X must be a table, or the path of a Parquet.*'no/such/file'.*Correct the path"
        with pytest.raises(FileNotFoundError, match=match):
            PopularityRecommender().fit(path)

    def test_tell_of_a_folder_without_files(self, tmp_path):
        with pytest.raises(ValueError, match=r"X_val must be a table.*a folder without files"):
            read_input(tmp_path, "X_val")

    def test_tell_of_a_file_that_is_no_parquet(self, tmp_path):
        path = tmp_path / "file.csv"
        path.write_text("user,item\n1,2\n")
        with pytest.raises(
            ValueError, match=r"X must be.*file\.csv.*neumf\.datasets\.read_interactions\("
        ):
            PopularityRecommender().fit(path)

    def test_tell_of_a_damaged_file(self, tmp_path):
        path = tmp_path / "file.parquet"
        path.write_bytes(b"PAR1, and no more")
        with pytest.raises(
            ValueError, match=r"X must be.*file\.parquet.*cannot be read as Parquet"
        ):
            PopularityRecommender().fit(path)

    def test_say_what_to_install_without_pyarrow(self, X, tmp_path, monkeypatch):
        path = write(X, tmp_path / "file")
        monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
        with pytest.raises(ImportError, match=r'pip install "scikit-neumf\[distributed\]"'):
            PopularityRecommender().fit(path)

    @pytest.mark.parametrize(
        "use",
        [
            lambda X: LeaveLastOutSplitter().train_test_split(X),
            lambda X: IdEncoder().fit(X),
            lambda X: NegativeSampler().fit_resample(X),
            lambda X: datasets.filter_k_core(X, 2),
        ],
    )
    @pytest.mark.parametrize("kind", ["str", "file", "dataset"])
    def test_say_where_a_table_must_be_in_memory(self, X, kind, use, tmp_path):
        with pytest.raises(ValueError, match=r"must be a table in memory here.*Read it first"):
            use(store(X, kind, tmp_path))

    def test_of_times_without_their_name_warn(self, X, kind, tmp_path):
        stored = store(as_datetimes(X[:50]).rename(columns={"timestamp": "when"}), kind, tmp_path)
        with pytest.warns(UserWarning, match="column 'when' holds datetimes"):
            read_rows(stored)


def small(**parameters):
    options = {"n_factors": 4, "epochs": 2, "batch_size": 256, "random_state": 0}
    return NextItemRecommender(**(options | parameters))


def state(model):
    """Return the learned state of a recommender as values that can be compared."""
    weights = model.network_.weights
    return {
        "users": model.users_.tolist(),
        "items": model.items_.tolist(),
        "names": model.feature_names_in_.tolist(),
        "n_features": model.n_features_in_,
        "history": model.history_,
        "seen": model.seen_.toarray().tobytes(),
        "tables": {name: table.tobytes() for name, table in weights.tables.items()},
        "shared": {name: array.tobytes() for name, array in weights.shared.items()},
    }


class TestDamage:
    """Files that are cut or vanish, before the rows are read or in their midst."""

    def files(self, X, folder):
        return sorted(write_folder(X, folder, range(400, len(X), 400)).iterdir())

    def cut(self, path):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    def spoil(self, path):
        """Overwrite the middle of a file whose end is sound."""
        content = bytearray(path.read_bytes())
        content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
        path.write_bytes(content)

    @pytest.mark.parametrize("damage", ["cut", "spoil", "unlink"])
    @pytest.mark.parametrize("method", ["fit", "partial_fit"])
    def test_in_the_midst_of_reading_raises_and_changes_nothing(
        self, X, tmp_path, monkeypatch, damage, method
    ):
        files, read = self.files(X, tmp_path), stored_tables._parts_of_dataset

        def read_and_damage(dataset, names, argument):
            for number, part in enumerate(read(dataset, names, argument)):
                if number == 0:
                    harm = Path.unlink if damage == "unlink" else getattr(self, damage)
                    harm(files[-1])  # the first ones are read ahead
                yield part

        model = small().fit(X[:500])
        before = state(model)
        monkeypatch.setattr(stored_tables, "_parts_of_dataset", read_and_damage)
        monkeypatch.setattr(stored_tables, "_PART_ROWS", 10)
        name = "" if damage == "spoil" else r"part-012\.parquet"
        with pytest.raises(OSError, match=f"X could not be read to its end.*{name}"):
            getattr(model, method)(tmp_path)
        assert state(model) == before

    @pytest.mark.parametrize("number", [0, 1])
    def test_of_a_file_that_is_cut_raises(self, X, tmp_path, number):
        self.cut(self.files(X, tmp_path)[number])
        with pytest.raises((OSError, ValueError), match=f"X .*part-00{number}.parquet"):
            PopularityRecommender().fit(tmp_path)

    def test_of_a_dataset_whose_file_is_gone_raises(self, X, tmp_path):
        files = self.files(X, tmp_path)
        dataset = pads.dataset(tmp_path)
        files[1].unlink()
        with pytest.raises(OSError, match="interactions could not be read to its end"):
            PopularityRecommender().fit(X).recommend(interactions=dataset)

    def test_of_a_file_of_dask_that_is_gone_raises(self, X, tmp_path):
        files = self.files(X, tmp_path)
        frame = dd.read_parquet(tmp_path)
        files[1].unlink()
        with pytest.raises(OSError, match="X could not be read to its end"):
            PopularityRecommender().fit(frame)


class TestRecommenders:
    def test_a_network_learns_the_same_weights(self, X, kind, tmp_path):
        stored = store(X, kind, tmp_path)
        expected = small(early_stopping="refit").fit(read_back(stored))
        assert state(small(early_stopping="refit").fit(stored)) == state(expected)

    def test_a_network_trains_on_to_the_same_weights(self, X, kind, tmp_path):
        stored = store(X[1000:].astype({"item": str}), kind, tmp_path)
        first = X[:1000].astype({"item": str})
        expected = small().fit(first).partial_fit(read_back(stored))
        assert state(small().fit(first).partial_fit(stored)) == state(expected)

    def test_partial_fit_refuses_other_columns(self, X, kind, tmp_path):
        stored = store(X[["item", "user"]], kind, tmp_path)
        model = small(epochs=1).fit(X[["user", "item"]])
        with pytest.raises(ValueError, match="feature names"):
            model.partial_fit(stored)

    def test_a_network_stops_early_by_the_same_rows(self, X, kind, tmp_path):
        X_train, X_val = LeaveLastOutSplitter().train_test_split(X)
        stored = store(X_val, kind, tmp_path)
        expected = small(early_stopping=True).fit(X_train, X_val=X_val)
        found = small(early_stopping=True).fit(X_train, X_val=stored)
        assert found.history_ == expected.history_

    @pytest.mark.parametrize(
        "recommender",
        [PopularityRecommender(), SequentialRulesRecommender(), EASERecommender()],
        ids=lambda recommender: type(recommender).__name__,
    )
    def test_baselines_give_the_same_lists(self, X, kind, recommender, tmp_path):
        X = X.astype({"user": str})
        stored = store(X, kind, tmp_path)
        expected = recommender.fit(X).recommend(k=5)
        pd.testing.assert_frame_equal(recommender.fit(stored).recommend(k=5), expected)

    def test_labels_and_weights_count_row_by_row(self, X, kind, rng, tmp_path):
        y, weights = rng.integers(2, size=len(X)), rng.random(len(X))
        stored = store(X, kind, tmp_path)
        expected = small(epochs=1).fit(X, y, weights)
        assert state(small(epochs=1).fit(stored, y, weights)) == state(expected)


@pytest.fixture(scope="module", name="split")
def training_and_held_out_rows(X):
    return LeaveLastOutSplitter().train_test_split(X.astype({"user": str}))


@pytest.fixture(scope="module", name="model")
def fitted_model(split):
    return SequentialRulesRecommender().fit(split[0][:-900])


class TestQuestions:
    """Stored tables given to methods other than `fit`."""

    def test_predictions_are_the_same(self, split, model, kind, tmp_path):
        stored = store(split[1][-50:], kind, tmp_path)
        (tmp_path / "new").mkdir()
        new = store(split[0][-900:], kind, tmp_path / "new")
        expected = model.predict(split[1][-50:], interactions=split[0][-900:])
        np.testing.assert_array_equal(model.predict(stored, interactions=new), expected)

    @pytest.mark.parametrize("users", [None, "some"])
    def test_lists_after_new_interactions_are_the_same(self, split, model, kind, users, tmp_path):
        new = split[0][-900:].assign(item=split[0]["item"].mask(split[0]["item"] % 5 == 0, -1))
        users = None if users is None else new["user"].unique()[::-1][:7]
        stored = store(new, kind, tmp_path)
        with pytest.warns(UserWarning, match="skipped"):
            expected = model.recommend(users, interactions=new)
        with pytest.warns(UserWarning, match="skipped"):
            found = model.recommend(users, interactions=stored)
        pd.testing.assert_frame_equal(found, expected)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_figures_are_the_same(self, split, model, kind, tmp_path):
        stored = store(split[1], kind, tmp_path)
        found, expected = (evaluate(model, X, n_negatives=20) for X in (stored, split[1]))
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
        assert ndcg_scorer()(model, stored) == ndcg_scorer()(model, split[1])
        assert model.score(stored) == model.score(split[1])

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_labels_choose_the_held_out_rows(self, split, model, kind, rng, tmp_path):
        y = rng.integers(2, size=len(split[1]))
        stored = store(split[1], kind, tmp_path)
        scorer = ndcg_scorer(n_negatives=20)
        assert scorer(model, stored, y) == scorer(model, split[1], y)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_comparisons_are_the_same(self, split, kind, tmp_path):
        stored = store(split[1], kind, tmp_path)
        train = write(split[0], tmp_path / "train")
        models = {"a": PopularityRecommender(), "b": SequentialRulesRecommender()}
        found, expected = compare(models, train, stored), compare(models, *split)
        pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())

    def test_a_table_of_interactions_without_rows_changes_nothing(self, X, kind, tmp_path):
        stored = store(X[:0], kind, tmp_path)
        model = small(epochs=1).fit(X)
        before = state(model)
        assert state(model.partial_fit(stored)) == before
        assert model.recommend(interactions=stored).empty


def test_importing_neumf_imports_neither_parquet_nor_dask():
    # pandas and scikit-learn themselves import pyarrow where it is installed.
    code = "import sys, neumf; sys.exit(bool({'pyarrow.dataset', 'dask'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_in_memory_is_read_as_ever(X):
    rows = read_input(X)
    assert rows.header is None
    np.testing.assert_array_equal(rows.users, read_table(X).users)
