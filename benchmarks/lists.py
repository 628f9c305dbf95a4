r"""Lists for everybody by worker processes of dask: from the file of `save` to a folder of Parquet.

    python benchmarks/lists.py --users 100000 --items 100000 --factors 128 --workers 2

fits `NextItemRecommender` to synthetic rows, eight a user (one epoch: how fast lists are
made does not depend on how good they are), saves it, and lets the workers of a LocalCluster, one
thread each, write lists of ten. Printed are the file's size, the seconds that the workers took to
read it and to make and write the lists, the bytes of Parquet, and of each worker the peak of its
memory before it read the file, after, and at the end. `recommend` in one call with one thread, in a
process that has read the file, is measured after it.
"""

import argparse
import logging
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
import pyarrow.parquet as pq
from distributed import Client, LocalCluster, WorkerPlugin, get_worker
from recommending import QUICK, make_rows, peak_memory

from neumf import NextItemRecommender, load


class Recommender(WorkerPlugin):
    """The recommender of a worker, and the peak of its memory before and after."""

    name = "recommender"

    def __init__(self, path):
        self.path = path

    def setup(self, worker):
        """Read the file: dask calls it in the worker."""
        self.peaks = [peak_memory()]
        self.model = load(self.path)
        self.peaks.append(peak_memory())


def lists_of(users):
    return get_worker().plugins["recommender"].model.recommend(users["user"], k=10)


def peaks_of_worker(dask_worker):
    return [*dask_worker.plugins["recommender"].peaks, peak_memory()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", type=int, default=5_000, help="users in a part")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = multiprocessing.get_context("spawn")
        # TensorFlow and the rows go with the process that trains.
        with context.Pool(1) as pool:
            pool.apply(train, (arguments, folder / "model"))
        print(f"file: {(folder / 'model').stat().st_size / 1e6:.0f} MB", flush=True)
        write_lists(arguments, folder)
        with context.Pool(1) as pool:
            pool.apply(recommend_alone, (folder / "model", 4 * arguments.part))


def train(arguments, path):
    X = make_rows(arguments.users, arguments.items, 8 * arguments.users)
    options = QUICK | {"n_factors": arguments.factors, "batch_size": 256}
    NextItemRecommender(**options).fit(X).save(path)


def write_lists(arguments, folder):
    users = dd.from_pandas(
        pd.DataFrame({"user": range(arguments.users)}, dtype="int32"),
        npartitions=-(-arguments.users // arguments.part),
    )
    columns = {"user": "int32", "item": "int32", "score": "float32", "rank": "int64"}
    meta = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})
    cluster = LocalCluster(
        n_workers=arguments.workers,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )
    with cluster, Client(cluster) as client:
        start = time.perf_counter()
        client.register_plugin(Recommender(folder / "model"))
        read = time.perf_counter()
        users.map_partitions(lists_of, meta=meta).to_parquet(folder / "lists", write_index=False)
        end = time.perf_counter()
        peaks = client.run(peaks_of_worker)
    files = sorted((folder / "lists").glob("*.parquet"))
    n_rows = sum(pq.read_metadata(file).num_rows for file in files)
    size = sum(file.stat().st_size for file in files)
    print(
        f"{arguments.users:,} users, {arguments.items:,} items, {arguments.factors} factors: read "
        f"in {read - start:.1f} s, lists in {end - read:.1f} s "
        f"({arguments.users / (end - read):,.0f} users/s by {arguments.workers} workers)\n"
        f"Parquet: {n_rows:,} rows in {len(files)} files, {size / 1e6:.1f} MB, "
        f"{size / n_rows:.1f} bytes a row"
    )
    for before, after, last in peaks.values():
        print(
            f"peak of a worker: {before:.2f} GB, with the model {after:.2f}, at the end {last:.2f}"
        )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}", flush=True)


def recommend_alone(path, n_users):
    os.environ["OMP_NUM_THREADS"] = "1"
    model = load(path)
    start, own = time.perf_counter(), time.process_time()
    model.recommend(model.users_[:n_users], k=10)
    seconds, own = time.perf_counter() - start, time.process_time() - own
    print(
        f"recommend alone, one thread, {n_users:,} users: {n_users / seconds:,.0f} users/s, "
        f"{1e3 * own / n_users:.2f} ms of processor time a user; peak {peak_memory():.2f} GB"
    )


if __name__ == "__main__":
    main()
