import os
import signal
import threading
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from training_tools import SMALL, assert_same_weights, large_weights, settings, unseen_by

import neumf
from neumf import LeaveLastOutSplitter, NeuMFRecommender, ndcg_scorer
from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.timeline import read_timelines
from neumf.interactions.unseen import other_items
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserIdsAndHistories
from neumf.training import sharded_trainer
from neumf.training.batches import Degrees, Negatives, TrainingRows, new_order
from neumf.training.sharded_trainer import ShardedTrainer, count_shards
from neumf.training.shards import (
    PACE,
    SHARED,
    Change,
    Part,
    Progress,
    State,
    cut_rows,
    merge,
    train_part,
)
from neumf.training.trainer import Trainer

N_USERS, N_ITEMS = 9, 12


def some_rows(seed=0, n_rows=60, length=3, of="users", timed=False, from_rows=False):
    """Rows of some of the users, with all that rows can have."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, N_USERS, n_rows)
    users[users == 4] = 5  # who has no rows
    items = rng.integers(0, N_ITEMS, n_rows)
    times = rng.integers(0, 20, n_rows)
    timelines = read_timelines(users, times, N_USERS)
    before = rng.integers(-1, N_ITEMS, (N_USERS, 2))
    before[before[:, 0] < 0] = -1
    degrees = Degrees(rng.integers(1, 9, N_USERS), rng.integers(1, 9, N_ITEMS))
    seconds = times.astype(float) if timed else None
    last_items = LastItems(before, rng.integers(-20, 0, before.shape).astype(float))
    histories = read_histories(timelines, items, length, last_items, seconds)
    negatives = unseen_by(users, items, (N_USERS, N_ITEMS))
    if of == "items":
        negatives = Negatives(other_items(N_ITEMS, rng.integers(1, 5, N_ITEMS)), items)
    return TrainingRows(
        users,
        items,
        labels=None,
        weights=rng.uniform(0.5, 2, n_rows).astype(np.float32),
        negatives=negatives,
        histories=replace(histories, moments=seconds if from_rows else None),
        degrees=degrees,
    )


def rows_of(rows, users):
    return np.flatnonzero(np.isin(rows.users, users))


@given(seed=st.integers(0, 50), n_shards=st.integers(1, 12))
def test_each_row_is_in_the_shard_of_its_user_and_in_no_other(seed, n_shards):
    rows = some_rows(seed)
    shards = cut_rows(rows, n_shards)
    assert np.concatenate([shard.users for shard in shards]).size == len(np.unique(rows.users))
    assert sum(len(shard.rows) for shard in shards) == len(rows)
    for shard in shards:
        kept = rows_of(rows, shard.users)
        np.testing.assert_array_equal(shard.users[shard.rows.users], rows.users[kept])
        np.testing.assert_array_equal(shard.rows.items, rows.items[kept])
        np.testing.assert_array_equal(shard.rows.weights, rows.weights[kept])
        np.testing.assert_array_equal(shard.rows.degrees.users, rows.degrees.users[shard.users])


@given(
    seed=st.integers(0, 50),
    n_shards=st.integers(1, 5),
    timed=st.booleans(),
    from_rows=st.booleans(),
)
def test_the_history_of_a_row_is_the_same_in_a_shard(seed, n_shards, timed, from_rows):
    rows = some_rows(seed, timed=timed, from_rows=timed and from_rows)
    for shard in cut_rows(rows, n_shards):
        kept = rows_of(rows, shard.users)
        of_shard = shard.rows.histories
        np.testing.assert_array_equal(
            of_shard.before(np.arange(len(kept))), rows.histories.before(kept)
        )
        expected = rows.histories.last().take(shard.users).codes
        np.testing.assert_array_equal(of_shard.last().codes, expected)


@given(seed=st.integers(0, 20), of=st.sampled_from(["users", "items"]))
def test_the_negatives_of_a_row_are_drawn_from_the_same_items_in_a_shard(seed, of):
    rows = some_rows(seed, of=of)
    unseen, drawn_for = rows.negatives.unseen, rows.negatives.drawn_for
    for shard in cut_rows(rows, 3):
        for i, row in enumerate(rows_of(rows, shard.users)):
            cut = shard.rows.negatives
            code, whom = cut.drawn_for[i], drawn_for[row]
            assert cut.unseen.n_tickets[code] == unseen.n_tickets[whom]
            tickets = np.arange(unseen.n_tickets[whom])[None]
            np.testing.assert_array_equal(
                cut.unseen.at(np.array([[code]]), tickets), unseen.at(np.array([[whom]]), tickets)
            )


@given(n_rows=st.integers(1, 60), n_parts=st.integers(1, 9), batch_rows=st.integers(1, 20))
def test_the_parts_of_an_epoch_are_whole_batches_and_together_all_rows(n_rows, n_parts, batch_rows):
    order = np.random.default_rng(0).permutation(n_rows)
    parts = [Part(0, number, n_parts).of(order, batch_rows) for number in range(n_parts)]
    np.testing.assert_array_equal(np.concatenate(parts), order)
    assert all(len(part) % batch_rows == 0 for part in parts[:-1])
    n_batches = [-(-len(part) // batch_rows) for part in parts]
    assert max(n_batches) - min(n_batches) <= 1


def test_shards_have_alike_many_users_and_rows():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(400), rng.geometric(0.05, 400))
    shards = cut_rows(TrainingRows(users, users), 4)
    assert {len(shard.users) for shard in shards} == {100}
    sizes = [len(shard.rows) for shard in shards]
    assert max(sizes) < 1.05 * min(sizes)


def a_state(rng, n_rows=5, width=2):
    tables = {
        name: rng.normal(size=(n, 3 * width)).astype(np.float32)
        for name, n in {"items": n_rows, SHARED: 1}.items()
    }
    return State(tables, {"bias": (width,)}, n_steps=7)


def a_progress(rng, state, rows, n_touches):
    width = state.tables["items"].shape[1]

    def change(rows, n_touches):
        values = rng.normal(size=(len(rows), width)).astype(np.float32)
        return Change(np.array(rows), np.array(n_touches), values)

    steps = max(n_touches)
    changes = {"items": change(rows, n_touches), SHARED: change([0], [steps])}
    return Progress(changes, loss=1.0, n_steps=steps)


def obvious_merge(start, changes, pace):
    """Each shard goes a part of its way in each step; together they take all of the steps."""
    paces = np.repeat([pace, 0.1, 0.001], start.shape[1] // 3)
    merged = start.astype(np.float64)
    for row in range(len(start)):
        touches = [
            (n, values)
            for change in changes
            for r, n, values in zip(*change, strict=True)
            if r == row
        ]
        n_all = sum(n for n, _ in touches)
        for column, pace_of_column in enumerate(paces):
            target = 0.0
            for n, values in touches:
                went = 1 - (1 - pace_of_column) ** n
                aim = start[row, column] + (values[column] - start[row, column]) / went
                target += n / n_all * aim
            if touches:
                way = 1 - (1 - pace_of_column) ** n_all
                merged[row, column] += way * (target - start[row, column])
    return merged


def test_what_shards_made_of_a_row_is_weighted_by_their_touches():
    rng = np.random.default_rng(0)
    state = a_state(rng)
    rounds = [
        a_progress(rng, state, [0, 2, 3], [4, 1, 9]),
        a_progress(rng, state, [2, 3], [3, 200]),
        a_progress(rng, state, [3, 4], [1, 2]),
    ]
    merged = merge(state, rounds)
    for name, table in state.tables.items():
        changes = [progress.changes[name] for progress in rounds]
        expected = obvious_merge(table, changes, PACE)
        np.testing.assert_allclose(merged.tables[name], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(merged.tables["items"][1], state.tables["items"][1])
    assert merged.n_steps == 7 + 9 + 200 + 2


def test_what_one_shard_alone_touched_is_what_it_made_of_it():
    rng = np.random.default_rng(0)
    state = a_state(rng)
    progress = a_progress(rng, state, [1, 3], [2, 50])
    merged = merge(state, [progress]).tables["items"]
    np.testing.assert_allclose(merged[[1, 3]], progress.changes["items"].values, rtol=1e-5)


@given(n_touches=st.lists(st.integers(1, 400), min_size=2, max_size=5))
def test_moments_are_as_after_all_steps_in_turn(n_touches):
    # All see the same gradient, 1: the moments are exponential means, whoever takes the steps.
    start = np.zeros((1, 3), np.float32)
    start[0] = 0, 0.3, 0.2

    def after(n):
        values = start.copy()
        for column, beta in ((1, 0.9), (2, 0.999)):
            values[0, column] = 1 + (start[0, column] - 1) * beta**n
        return values

    state = State({"items": start}, {}, 0)
    rounds = [
        Progress({"items": Change(np.array([0]), np.array([n]), after(n))}, 0.0, n)
        for n in n_touches
    ]
    merged = merge(state, rounds).tables["items"]
    np.testing.assert_allclose(merged[0, 1:], after(sum(n_touches))[0, 1:], rtol=1e-4)


HYBRID = Blueprint.of_towers(
    NeuMFLayers(4, 0, (), item_bias=True), UserIdsAndHistories(4, 3, tied=True)
)


@pytest.mark.parametrize("loss", ["batch_softmax", "softmax"])
def test_touches_are_the_steps_that_change_a_row(loss):
    rows = some_rows()
    if loss == "softmax":
        rows = replace(rows, negatives=None)
    options = settings(loss=loss, batch_size=12, n_negatives=2)
    weights = large_weights(np.random.default_rng(0), N_USERS, N_ITEMS, HYBRID)
    state = State.of(weights, None)
    (shard,) = cut_rows(rows, 1)
    own = state.rows_of({"users"}, shard.users)
    part = Part(seed=3, number=0, n_parts=2)
    changes = train_part(shard, 0, state.without({"users"}), own, HYBRID, options, part).changes
    for name, table in state.tables.items():
        rows_after = table.copy()
        rows_after[changes[name].rows] = changes[name].values
        # Moments of rows that were touched have moved.
        moved = (rows_after != table).any(axis=1)
        assert set(np.flatnonzero(moved)) <= set(changes[name].rows)
    batch_rows = 12 if loss == "softmax" else 4
    n_steps = -(-len(rows) // batch_rows) // 2
    assert changes[SHARED].n_touches.tolist() == [n_steps]
    assert changes["users"].n_touches.sum() <= n_steps * batch_rows
    assert (changes["users"].n_touches >= 1).all()
    if loss == "softmax":
        assert (changes["items"].n_touches == n_steps).all()
    assert changes["history"].n_touches.max() <= n_steps


def sharded(rows, blueprint, options, n_shards=2, seed=5):
    weights = large_weights(np.random.default_rng(0), N_USERS, N_ITEMS, blueprint)
    rng = np.random.default_rng(seed)
    return ShardedTrainer(blueprint, weights, rows, options, rng, n_shards=n_shards)


@pytest.mark.parametrize("blueprint", [SMALL, HYBRID])
def test_an_epoch_is_what_trainers_of_the_shards_make_of_it(blueprint, monkeypatch):
    # Two rounds, in each of which each shard takes a single step: all touches are 1.
    monkeypatch.setattr(sharded_trainer, "_STEPS_OF_ROUND", 2)
    rows, options = some_rows(n_rows=150), settings(batch_size=120)
    assert max(len(shard.rows) for shard in cut_rows(rows, 2)) <= 2 * 40
    with joblib.parallel_config("sequential"), sharded(rows, blueprint, options) as trainer:
        trainer.compile()
        loss = trainer.run_epoch()
        after, optimizer = trainer.finish(keep_moments=True)

    seed = int(np.random.default_rng(5).integers(2**62))
    weights = large_weights(np.random.default_rng(0), N_USERS, N_ITEMS, blueprint)
    state = State.of(weights, None)
    total = 0.0
    for number in range(trainer.n_rounds):
        ends = []
        for i, shard in enumerate(cut_rows(rows, 2)):
            start = state.joined(state.rows_of({"users"}, shard.users))
            by_hand = Trainer(
                blueprint,
                start.weights(),
                shard.rows,
                options,
                np.random.default_rng([seed, i, 1 + number]),
                start.optimizer(),
            )
            order = new_order(len(shard.rows), np.random.default_rng([seed, i]))
            part = Part(seed, number, trainer.n_rounds)
            total += by_hand.run_rows(part.of(order, batch_rows=40))
            ends.append(State.of(*by_hand.finish(keep_moments=True)))
        tables = {}
        for name, table in state.tables.items():
            changes = []
            for shard, end in zip(cut_rows(rows, 2), ends, strict=True):
                before = table[shard.users] if name == "users" else table
                touched = np.flatnonzero((end.tables[name] != before).any(axis=1))
                places = shard.users[touched] if name == "users" else touched
                changes.append(Change(places, np.ones_like(places), end.tables[name][touched]))
            tables[name] = obvious_merge(table, changes, PACE).astype(np.float32)
        n_steps = state.n_steps + sum(end.n_steps - state.n_steps for end in ends)
        state = State(tables, state.shapes, n_steps)
    assert trainer.n_rounds == 2
    assert loss == pytest.approx(total / len(rows), rel=1e-5)
    assert optimizer.n_steps == state.n_steps
    assert_same_weights(after, state.weights(), atol=1e-4)


def some_table(n_users=24, n_items=20):
    """Odd users take odd items, even users even ones."""
    return pd.DataFrame(
        [
            (u, (7 * i + u) % n_items)
            for u in range(n_users)
            for i in range(n_items)
            if (u + (7 * i + u)) % 2 == 0 and (u + i) % 5
        ],
        columns=["user", "item"],
    )


def network(**options):
    defaults = {"n_factors": 4, "batch_size": 16, "epochs": 2, "random_state": 0, "n_jobs": 3}
    return NeuMFRecommender(**defaults | options)


def fit_with(backend, model=None, X=None, **fit):
    with joblib.parallel_config(**backend):
        return (network() if model is None else model).fit(some_table() if X is None else X, **fit)


SEQUENTIAL = {"backend": "sequential"}


def assert_same_network(model, other):
    assert_same_weights(model.network_.weights, other.network_.weights, rtol=0, atol=0)


def test_processes_and_threads_learn_the_same_as_one_process():
    expected = fit_with(SEQUENTIAL)
    assert_same_network(fit_with({"backend": "threading", "n_jobs": 2}), expected)
    for n_jobs in (1, 2):
        assert_same_network(fit_with({"backend": "loky", "n_jobs": n_jobs}), expected)


def test_no_jobs_and_one_job_are_a_fit_without_shards():
    expected = network(n_jobs=None).fit(some_table())
    assert_same_network(network(n_jobs=1).fit(some_table()), expected)
    with joblib.parallel_config("loky", n_jobs=2):
        assert_same_network(network(n_jobs=None).fit(some_table()), expected)
    three = fit_with(SEQUENTIAL).network_.weights.tables["items"]
    assert not np.array_equal(three, expected.network_.weights.tables["items"])


def test_shards_find_what_is_left_to_recommend():
    X = pd.DataFrame(
        [(u, i) for u in range(100) for i in range(40) if u % 2 == i % 2 and (u + i) % 40],
        columns=["user", "item"],
    )
    options = {"n_factors": 8, "epochs": 8, "learning_rate": 0.02, "regularization": 0.05}
    model = fit_with(SEQUENTIAL, network(user_encoder="id", **options), X)
    users = np.arange(1, 40)
    top = model.recommend(users, k=1)["item"].to_numpy()
    assert np.mean(top == 40 - users) > 0.9
    assert model.history_["loss"][-1] < model.history_["loss"][0]


def test_more_jobs_than_users_are_a_shard_for_each_user():
    X = some_table(n_users=4)
    assert_same_network(
        fit_with(SEQUENTIAL, network(n_jobs=30), X), fit_with(SEQUENTIAL, network(n_jobs=4), X)
    )


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"user_encoder": "id", "architecture": "neumf", "loss": "bpr"}, ()),
        ({"user_encoder": "hybrid", "loss": "softmax", "early_stopping": "refit"}, ()),
        ({"newest_item": True}, ()),
        pytest.param(
            {"user_encoder": "id", "architecture": "neumf", "pretrain": True},
            ("sample_weight",),
            marks=pytest.mark.slow,
        ),
        ({"loss": "binary_crossentropy"}, ("y", "sample_weight")),
    ],
)
def test_shards_take_what_one_process_takes(options, data):
    X = some_table()
    rng = np.random.default_rng(0)
    columns = {
        "y": rng.integers(0, 2, len(X)).astype(float),
        "sample_weight": rng.uniform(0.5, 2, len(X)),
    }
    small = {"mlp_embedding_dim": 2, "hidden_layer_sizes": (2,)}
    model = network(n_jobs=2, **small, **options)
    fit_with(SEQUENTIAL, model, X, **{name: columns[name] for name in data})
    before = model.network_.items.copy()
    with joblib.parallel_config("sequential"):
        model.partial_fit(X, **{name: columns[name] for name in data})
    assert (model.network_.items != before).any()
    assert np.isfinite(model.network_.items).all()


def test_a_user_without_new_rows_stays_in_partial_fit():
    model = fit_with(SEQUENTIAL, network(user_encoder="id"))
    before = model.network_.users.copy()
    with joblib.parallel_config("sequential"):
        model.partial_fit(pd.DataFrame({"user": [2, 5, 99], "item": [3, 4, 3]}))
    np.testing.assert_array_equal(model.network_.users[[0, 1, 3]], before[[0, 1, 3]])
    assert (model.network_.users[[2, 5]] != before[[2, 5]]).any()
    assert len(model.users_) == len(before) + 1


def test_features_pull_as_in_one_process():
    X = some_table()
    items = pd.DataFrame({"odd": np.arange(22) % 2}, index=range(22))
    users = pd.DataFrame({"odd": np.arange(26) % 2}, index=range(26))
    options = {"item_features": items, "user_features": users, "epochs": 8}
    one = network(n_jobs=None, **options).fit(X)
    shards = fit_with(SEQUENTIAL, network(**options), X)
    # Cold ones, which only the tables name, are where their features lead one to expect them.
    for of in ("users", "items"):
        cold = [getattr(model.network_, of)[-2:] for model in (one, shards)]
        assert np.sign((cold[0] * cold[1]).sum()) == 1
        assert np.abs(cold[1]).max() > 0
    assert not np.array_equal(shards.network_.items[-1], shards.network_.items[-2])


@pytest.mark.parametrize("n_jobs", ["2", 2.0, True])
def test_jobs_are_a_number(n_jobs):
    with pytest.raises(TypeError, match="n_jobs must be None, a number of shards"):
        network(n_jobs=n_jobs).fit(some_table())


def test_zero_jobs_are_refused():
    with pytest.raises(ValueError, match="n_jobs must be None, a number of shards"):
        network(n_jobs=0).fit(some_table())


def test_all_cores_are_those_of_the_back_end():
    with joblib.parallel_config("loky"):
        assert count_shards(-1) == joblib.cpu_count()
    assert count_shards(None) == 1
    assert count_shards(7) == 7


def test_a_clone_and_a_file_keep_the_number_of_jobs(tmp_path):
    model = fit_with(SEQUENTIAL)
    assert clone(model).get_params()["n_jobs"] == 3
    model.save(tmp_path / "model.neumf")
    loaded = neumf.load(tmp_path / "model.neumf")
    assert loaded.n_jobs == 3
    assert_same_network(loaded, model)
    new = pd.DataFrame({"user": [0, 50], "item": [3, 3]})
    with joblib.parallel_config("sequential"):
        assert_same_network(loaded.partial_fit(new), model.partial_fit(new))


def test_a_round_whose_worker_died_is_run_again(monkeypatch):
    expected = fit_with(SEQUENTIAL)
    whole, calls = ShardedTrainer._train_shards, []

    def train_shards(self, part):
        calls.append(part)
        if len(calls) in (2, 4, 5):
            raise BrokenProcessPool("a worker was killed")
        return whole(self, part)

    monkeypatch.setattr(ShardedTrainer, "_train_shards", train_shards)
    assert_same_network(fit_with(SEQUENTIAL), expected)
    assert calls[1] == calls[2]


def test_a_round_that_always_dies_fails_and_changes_nothing(monkeypatch):
    def train_shards(self, part):
        raise BrokenProcessPool("a worker was killed")

    model = fit_with(SEQUENTIAL)
    before = model.network_
    monkeypatch.setattr(ShardedTrainer, "_train_shards", train_shards)
    with pytest.raises(BrokenProcessPool, match="a worker was killed"):
        fit_with(SEQUENTIAL, model)
    assert model.network_ is before


def test_files_of_shards_are_gone_after_a_fit(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fit_with(SEQUENTIAL)
    assert list(tmp_path.iterdir()) == []


def test_a_search_in_parallel_trains_shards_one_after_the_other():
    workers = joblib.Parallel(2, backend="threading")(
        joblib.delayed(sharded_trainer._n_workers)(4) for _ in range(2)
    )
    assert workers == [1, 1]


@pytest.mark.slow
def test_a_search_in_processes_finds_what_one_process_finds():
    found = [
        GridSearchCV(
            network(n_jobs=2),
            {"epochs": [1, 2]},
            cv=LeaveLastOutSplitter(),
            scoring=ndcg_scorer(),
            n_jobs=n_jobs,
        )
        .fit(some_table())
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*found)


class KillOneWorker:
    """A watcher of rounds that kills a process of a cluster in the middle of one."""

    def __init__(self, client, at_round, after):
        self.rounds, self.pids = [], []
        self._client, self._at_round, self._after = client, at_round, after

    def __call__(self, part):
        self.rounds.append(part)
        if len(self.rounds) == self._at_round:
            self.pids = list(self._client.run(os.getpid).values())
            threading.Timer(self._after, os.kill, (self.pids[0], signal.SIGKILL)).start()


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "memory_limit": 0}
    with (
        distributed.LocalCluster(dashboard_address=":0", **options) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.mark.slow
def test_a_cluster_learns_the_same_also_if_a_worker_is_killed(cluster, monkeypatch):
    expected = fit_with(SEQUENTIAL, network(user_encoder="hybrid", epochs=3))
    model = fit_with({"backend": "dask"}, network(user_encoder="hybrid", epochs=3))
    assert_same_network(model, expected)

    whole, kill = ShardedTrainer._train_shards, KillOneWorker(cluster, at_round=3, after=0.05)

    def train_shards(self, part):
        kill(part)
        return whole(self, part)

    monkeypatch.setattr(ShardedTrainer, "_train_shards", train_shards)
    model = fit_with({"backend": "dask"}, network(user_encoder="hybrid", epochs=3))
    assert_same_network(model, expected)
    assert kill.pids[0] not in cluster.run(os.getpid).values()
