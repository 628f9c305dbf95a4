"""A cluster of two processes on this machine gives the same results as one process."""

import logging
import os
import sys
from pathlib import Path
from unittest import mock

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from neumf import (
    ALSRecommender,
    LeaveLastOutSplitter,
    NeuMFRecommender,
    SequentialRulesRecommender,
    ndcg_scorer,
)
from neumf.training import least_squares
from neumf.utils.threads import _count_threads

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
pq = pytest.importorskip("pyarrow.parquet")
import cluster_tools as tools  # noqa: E402


@pytest.fixture(scope="module")
def client():
    """Two workers that are processes of their own, which are gone afterwards."""
    # The process that starts a worker also sets its own variables, such as OMP_NUM_THREADS.
    with mock.patch.dict(os.environ):
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
            os.environ.pop(name, None)
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.ERROR,  # a busy machine takes its time to end a worker
        )
        with cluster, distributed.Client(cluster) as client:
            processes = client.run(os.getpid)
            yield client
    assert len(set(processes.values()) - {os.getpid()}) == 2
    assert not any(Path(f"/proc/{process}").exists() for process in processes.values())


# Searches


def table_of_walks():
    """Return rows of users who step through the items, each from another start."""
    users, steps = np.divmod(np.arange(400), 8)
    return pd.DataFrame({"user": users, "item": (users * 7 + steps) % 20, "timestamp": steps})


def search(**options):
    return GridSearchCV(
        NeuMFRecommender(architecture="gmf", n_factors=4, epochs=2, random_state=0),
        {"epochs": [1, 20]},
        cv=LeaveLastOutSplitter(n_splits=2),
        scoring=ndcg_scorer(),
        refit=False,
        **options,
    ).fit(table_of_walks())


def test_a_search_gives_the_same_on_a_cluster_whose_workers_keep_to_one_thread(client):
    local = search()
    with joblib.parallel_config(backend="dask"):
        distant = search(n_jobs=-1)
    for name in [f"split{fold}_test_score" for fold in range(2)]:
        np.testing.assert_array_equal(distant.cv_results_[name], local.cv_results_[name])
    assert distant.best_params_ == local.best_params_
    assert len(set(local.cv_results_["mean_test_score"])) == 2  # there is something to choose
    if sys.platform == "linux":
        assert set(client.run(tools.threads_of_tensorflow).values()) == {1}
    assert set(client.run(_count_threads).values()) == {1}


def test_vectors_solved_on_a_cluster_are_those_of_one_process(client, monkeypatch):
    monkeypatch.setattr(least_squares, "_BLOCK_SIZE", 300)
    X = table_of_walks()
    options = {"n_factors": 4, "recency": 1.0, "random_state": 0}
    local = ALSRecommender(**options).fit(X)
    with joblib.parallel_config(backend="dask"):
        distant = ALSRecommender(**options, n_jobs=-1).fit(X)
    np.testing.assert_array_equal(distant.user_vectors_, local.user_vectors_)
    np.testing.assert_array_equal(distant.item_vectors_, local.item_vectors_)


# Lists


@pytest.fixture(params=["int", "str"])
def model(request, client, tmp_path):
    """A recommender, whose file the workers have read; nobody can read it again."""
    X = table_of_walks()
    if request.param == "str":
        X = X.assign(user="u" + X["user"].astype(str), item="i" + X["item"].astype(str))
    model = SequentialRulesRecommender().fit(X)
    model.save(tmp_path / "model")
    client.register_plugin(tools.Recommender(tmp_path / "model"))
    (tmp_path / "model").unlink()
    return model


def in_parts(model, ids, n_parts):
    users = dd.from_pandas(pd.DataFrame({"user": ids}), npartitions=n_parts)
    meta = model.recommend(model.users_[:1], k=3).iloc[:0]
    return users.map_partitions(tools.lists_of, meta=meta)


def test_lists_of_parts_are_those_of_one_call_and_the_file_is_read_once_by_each_worker(
    client, model, tmp_path
):
    in_parts(model, model.users_, 7).to_parquet(tmp_path / "lists", write_index=False)
    found = pd.read_parquet(tmp_path / "lists")
    pd.testing.assert_frame_equal(found, model.recommend(k=3))
    assert set(client.run(tools.loads_of_worker).values()) == {1}


@pytest.mark.filterwarnings("ignore:fit did not see")
def test_all_files_have_the_types_of_the_first_whoever_is_unknown(model, tmp_path):
    # Parts of known users alone, of both, and of unknown ones alone, whose scores are of another
    # type.
    new = [f"new {n}" if isinstance(model.users_[0], str) else -1 - n for n in range(25)]
    ids = [*model.users_, *new]
    in_parts(model, ids, 5).to_parquet(tmp_path / "lists", write_index=False)
    schemas = [pq.read_schema(path) for path in sorted((tmp_path / "lists").glob("*.parquet"))]
    assert len(schemas) == 5
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert schemas[0].names == ["user", "item", "score", "rank"]
    lists = pd.read_parquet(tmp_path / "lists")
    expected = model.recommend(ids, k=3).astype({"score": "float32"})
    pd.testing.assert_frame_equal(lists, expected)


def test_a_part_without_users_has_no_rows(model):
    parts = in_parts(model, model.users_, 2)
    nobody = dd.from_pandas(pd.DataFrame({"user": model.users_}), npartitions=2)
    nobody = nobody[nobody["user"] == ""] if isinstance(model.users_[0], str) else nobody.loc[:-1]
    lists = nobody.map_partitions(tools.lists_of, meta=parts._meta).compute()
    assert len(lists) == 0
    assert list(lists.columns) == ["user", "item", "score", "rank"]
