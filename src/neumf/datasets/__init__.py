"""Load a real data set, and read the usual public files.

Tables of interactions have the columns `user`, `item`, `timestamp` and `rating`. Tables of items
are indexed by id.
"""

from neumf.datasets._amazon import read_amazon_metadata, read_amazon_reviews
from neumf.datasets._interactions import read_interactions
from neumf.datasets._k_core import filter_k_core
from neumf.datasets._movielens import read_movielens, read_movielens_items
from neumf.datasets._movietweetings import load_movietweetings
from neumf.datasets._ncf import read_ncf

__all__ = [
    "filter_k_core",
    "load_movietweetings",
    "read_amazon_metadata",
    "read_amazon_reviews",
    "read_interactions",
    "read_movielens",
    "read_movielens_items",
    "read_ncf",
]
