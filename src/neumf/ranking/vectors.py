"""Tables of vectors whose inner products are logits, for approximate search and vector stores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neumf.ranking.requests import Request
from neumf.utils.arrays import Float32s, Float64s, as_index

# The last dimension ranks items by popularity, for unknown users. A small factor keeps the products
# of two items almost free of it, since an index for search may link items by them. A power of two
# rounds nothing.
_POPULARITY_FACTOR = 2.0**-10


def item_table(vectors: Float32s, popularity_logits: Float64s, items: pd.Index) -> pd.DataFrame:
    """Return the vectors of items as a table, with a dimension of popularity added."""
    popularity = (popularity_logits * _POPULARITY_FACTOR).astype(np.float32)
    return _table(np.column_stack([vectors, popularity]), items.rename("item"))


def user_table(request: Request) -> pd.DataFrame:
    """Return the vectors of the users of a request as a table.

    Unknown users get a vector whose products with the vectors of items are popularity logits.
    """
    ranker: Any = request.ranker
    known = request.users >= 0
    of_known = ranker.user_factors(np.flatnonzero(known))
    vectors = np.zeros((len(known), of_known.shape[1] + 1), np.float32)
    vectors[known, :-1] = of_known
    vectors[~known, -1] = 1 / _POPULARITY_FACTOR
    return _table(vectors, as_index(request.ids).rename("user"))


def _table(vectors: Float32s, ids: pd.Index) -> pd.DataFrame:
    columns = [f"v{number}" for number in range(vectors.shape[1])]
    return pd.DataFrame(vectors, index=ids, columns=columns, copy=False)
