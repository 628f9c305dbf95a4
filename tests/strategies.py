"""Hypothesis strategies for tables of interactions."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

int_ids = st.integers(-(2**40), 2**40)
string_ids = st.text(max_size=3)
tuple_ids = st.tuples(st.integers(0, 3), string_ids)
# 5 beside "5" is refused.
any_ids = int_ids | string_ids.filter(lambda label: not label.isdecimal()) | tuple_ids

id_kinds = st.sampled_from([int_ids, string_ids, tuple_ids, any_ids])


def columns_of_ids(ids, n_rows, max_ids=6):
    """Lists of n_rows ids, few of them distinct."""
    pools = st.lists(ids, min_size=1, max_size=max_ids, unique=True)
    return pools.flatmap(
        lambda pool: st.lists(st.sampled_from(pool), min_size=n_rows, max_size=n_rows)
    )


@st.composite
def tables(draw, ids=int_ids, times="tied", longest=1, max_rows=24):
    """DataFrames of user, item and, unless `times` is None, timestamp.

    Timestamps are "tied" (few values) or "distinct"; one user has at least `longest` rows.
    """
    n_rows = draw(st.integers(longest, max(longest, max_rows)))
    users = draw(columns_of_ids(ids, n_rows, max_ids=4))
    users = draw(st.permutations([users[0]] * longest + users[longest:]))
    columns = {"user": users, "item": draw(columns_of_ids(ids, n_rows))}
    if times == "tied":
        moments = st.integers(-3, 3)
        columns["timestamp"] = draw(st.lists(moments, min_size=n_rows, max_size=n_rows))
    elif times == "distinct":
        columns["timestamp"] = draw(st.permutations(range(n_rows)))
    return pd.DataFrame(columns)


any_times = st.sampled_from([None, "tied", "distinct"])


@st.composite
def seen_items(draw, max_users=5, max_items=8):
    """Boolean arrays of shape (n_users, n_items): who has seen what."""
    n_users, n_items = draw(st.integers(1, max_users)), draw(st.integers(1, max_items))
    cells = draw(st.lists(st.booleans(), min_size=n_users * n_items, max_size=n_users * n_items))
    return np.array(cells).reshape(n_users, n_items)
