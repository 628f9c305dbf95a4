"""
Lists for everybody, made by several processes
==============================================

Trains a recommender on the embedded MovieTweetings ratings, saves it, and lets two worker processes
of dask make the lists of all users, part by part, from the file to a folder of Parquet::

    pip install "scikit-neumf[distributed]"
    python examples/lists_with_dask.py
    python examples/lists_with_dask.py lists    # the folder; else one that is deleted at the end

On a cluster nothing changes but the address: ``Client("tcp://scheduler:8786")`` instead of a
``LocalCluster``, and paths that all machines can read and write.
"""

import logging
import sys
import tempfile
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
from distributed import Client, LocalCluster, WorkerPlugin, get_worker

import neumf
from neumf import NextItemRecommender, datasets


# %%
# What workers do
# ---------------
# A plugin is set up once in each worker, and again in one that takes the place of another: the file
# is read once per process, not once for each part of the users.
class Recommender(WorkerPlugin):
    """The recommender of a worker, read once."""

    name = "recommender"

    def __init__(self, path):
        self.path = path

    def setup(self, worker):
        """Read the file: dask calls it in the worker."""
        self.model = neumf.load(self.path)


def lists_of(users):
    """Return the lists of a part of the users."""
    return get_worker().plugins["recommender"].model.recommend(users["user"], k=10)


# %%
# From a file to Parquet
# ----------------------
# Workers need neither the ratings nor TensorFlow. In those of dask OMP_NUM_THREADS is 1, to which
# `recommend` keeps: as many threads compute as the workers have.
def main(folder):
    """Train, save, and write the lists of all users to a folder."""
    X, titles = datasets.load_movietweetings(return_titles=True)
    X = datasets.filter_k_core(X, 10)
    model = NextItemRecommender(n_factors=16, epochs=3, random_state=0).fit(X)
    path = folder / "model.neumf"
    model.save(path)
    print(f"saved: {len(model.users_):,} users, {len(model.items_):,} films")

    users = dd.from_pandas(pd.DataFrame({"user": model.users_}), npartitions=4)
    columns = model.recommend(model.users_[:1]).iloc[:0]  # names and types of what comes back
    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.ERROR,  # a busy machine may take its time to end a worker
    )
    with cluster, Client(cluster) as client:
        client.register_plugin(Recommender(path))
        lists = users.map_partitions(lists_of, meta=columns)
        lists.to_parquet(folder / "lists", write_index=False)
        print(f"{len(cluster.workers)} workers made the lists of {users.npartitions} parts")

    # The cluster is gone; any reader of Parquet takes the folder for one table.
    files = sorted((folder / "lists").glob("*.parquet"))
    size = sum(file.stat().st_size for file in files)
    table = pd.read_parquet(folder / "lists")
    print(f"{len(table):,} rows in {len(files)} files of {size / 1e6:.1f} MB together")
    alone = model.recommend()
    print(f"one call gives the same items: {table['item'].equals(alone['item'])}")
    user = model.users_[0]
    print(f"\nFor user {user}:")
    for row in table[table["user"] == user].itertuples():
        print(f"  {row.rank:2d}. {titles[row.item]}")


# Processes that are started import this script: what starts them stands behind this line.
if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
