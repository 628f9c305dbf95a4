r"""Approximate search in learned vectors: its recall@10 and its speed, relative to `recommend`.

    python benchmarks/vectors.py als ivf
    python benchmarks/vectors.py next-item distance
    python benchmarks/vectors.py als products --items 10506

The recommender is fitted to the embedded table, whose catalogue of 10,506 items then grows. A new
item is a random learned item plus half the difference of two of its 20 nearest items: lengths and
clusters stay like those of learned vectors. Both ways make the same lists of ten, without seen
items, for one user after the other. The time of a search includes `user_vectors`. An index is

- `products`: a graph (HNSW) by inner products;
- `distance`: a graph by distance, with a last dimension that gives all items the same length;
- `ivf`: lists of items around 2,000 centres, by inner products.

Install faiss-cpu. `recommend` may use all cores; a search uses one.
"""

import argparse
import time

import faiss
import numpy as np
import pandas as pd
import scipy.sparse as sp

from neumf import ALSRecommender, NextItemRecommender, datasets
from neumf.base import BaseRecommender
from neumf.ranking.rankers import VectorRanker

MODELS = {
    "als": ALSRecommender(random_state=0),
    "next-item": NextItemRecommender(add_simple_methods=False, epochs=3, random_state=0),
}
EFFORTS = {
    "products": (64, 128, 256, 512),
    "distance": (64, 128, 256, 512),
    "ivf": (16, 32, 64, 128),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("index", choices=list(EFFORTS))
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100, help="users whose lists are made")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    model = MODELS[arguments.model].fit(datasets.load_movietweetings())
    large = LargeCatalogue(model, grow(model.item_vectors().to_numpy(), arguments.items, rng))
    start = time.perf_counter()
    search = SEARCHES[arguments.index](large.ranker_.items)
    name = f"{arguments.model}, {len(large.items_):,} items, {arguments.index}"
    print(f"{name}: built in {time.perf_counter() - start:.0f} s", flush=True)
    users = rng.choice(model.users_, arguments.users, replace=False)
    for effort in EFFORTS[arguments.index]:
        result = compare(model, large, users, search(effort))
        print(f"{name}, effort {effort}: {result}", flush=True)


class LargeCatalogue(BaseRecommender):
    """The users of a recommender, with other vectors of items: `recommend` is as in ALS."""

    def __init__(self, model, items):
        shape = len(model.users_), len(items)
        self.users_, self.items_ = model.users_, pd.RangeIndex(len(items))
        self.seen_ = sp.csr_array(
            (model.seen_.data, model.seen_.indices, model.seen_.indptr), shape=shape
        )
        self.popularity_logits_ = np.zeros(len(items))
        self.vectors_ = VectorRanker(model.user_vectors().to_numpy(), items)

    def fit(self, X, y=None):
        """Raise: the vectors are given."""
        raise NotImplementedError

    @property
    def ranker_(self):
        """The inner products."""
        return self.vectors_


def grow(items, n_items, rng):
    """Add items that are like the learned ones."""
    units = items / np.linalg.norm(items, axis=1, keepdims=True)
    near = np.empty((len(items), 20), np.int64)
    for start in range(0, len(items), 1000):
        block = slice(start, start + 1000)
        near[block] = np.argpartition(-(units[block] @ units.T), 20, axis=1)[:, :20]
    grown = np.empty((n_items, items.shape[1]), np.float32)
    grown[: len(items)] = items
    for start in range(len(items), n_items, 50_000):
        n = min(50_000, n_items - start)
        around = rng.integers(0, len(items), n)
        first = rng.integers(0, 20, n)
        second = (first + rng.integers(1, 20, n)) % 20  # another one: equal items would tie
        difference = items[near[around, first]] - items[near[around, second]]
        grown[start : start + n] = items[around] + difference / 2
    return grown


def search_products(items):
    index = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    return in_graph(index, items, lambda vector: vector)


def search_distance(items):
    squares = np.einsum("ij,ij->i", items, items)
    padded = np.column_stack([items, np.sqrt(squares.max() - squares)])
    index = faiss.IndexHNSWFlat(padded.shape[1], 32, faiss.METRIC_L2)
    return in_graph(index, padded, lambda vector: np.append(vector, np.float32(0)))


def in_graph(index, items, prepare):
    index.hnsw.efConstruction = 80
    index.add(items)

    def search(effort):
        index.hnsw.efSearch = effort
        return lambda vector, k: index.search(prepare(vector)[None], k)[1][0]

    return search


def search_ivf(items):
    n_lists = min(2_000, len(items) // 40)
    centres = faiss.IndexFlatIP(items.shape[1])
    index = faiss.IndexIVFFlat(centres, items.shape[1], n_lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 50
    index.train(items)
    index.add(items)

    def search(effort):
        index.nprobe = effort
        return lambda vector, k: index.search(vector[None], k)[1][0]

    return search


SEARCHES = {"products": search_products, "distance": search_distance, "ivf": search_ivf}


def compare(model, large, users, search):
    """Return recall@10, and the ratio of the times of `recommend` and of a search."""
    all_seen = {user: set(large.seen_[[index]].indices) for index, user in enumerate(large.users_)}
    n_threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    hits, times = 0, []
    for user in users:
        seen = all_seen[user]
        start = time.perf_counter()
        expected = large.recommend(user, k=10)["item"]
        middle = time.perf_counter()
        found = search(model.user_vectors(user).to_numpy()[0], 10 + len(seen))
        found = [item for item in found if item not in seen][:10]
        times.append((middle - start, time.perf_counter() - middle))
        hits += len(set(found) & set(expected))
    faiss.omp_set_num_threads(n_threads)
    ours, theirs = np.quantile(times, [0.25, 0.5, 0.75], axis=0).T * 1000
    ratios = np.quantile([one / other for one, other in times], [0.25, 0.5, 0.75])
    spread = " to ".join(f"{ratio:.0f}" for ratio in ratios[[0, 2]])
    return (
        f"recall {hits / 10 / len(users):.4f}, recommend {ours[1]:.1f} ms, search {theirs[1]:.2f} "
        f"ms, ratio {ratios[1]:.0f} (middle half: {spread})"
    )


if __name__ == "__main__":
    main()
