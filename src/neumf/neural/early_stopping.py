"""Measure a network on held-out rows after each epoch, for `early_stopping`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from neumf.evaluation.held_out import HeldOutRows, match_rows, warn_of_seen
from neumf.evaluation.ranked_lists import as_queries, exact_lists, mean_over_lists
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.histories import LastItems
from neumf.interactions.reading import read_input
from neumf.interactions.request_times import require_times_of_gaps
from neumf.metrics import ndcg_at_k
from neumf.model.network import Blueprint, Network, Weights
from neumf.utils.arrays import Indices

Validate = Callable[[Blueprint, Weights], float]


def validate_on_table(
    X_val: Any, rows: EncodedRows, last_items: LastItems, *, at_rows: bool
) -> Validate:
    """Return a function that measures NDCG@10 of `X_val`; `at_rows` ranks at its timestamps."""
    new = read_input(X_val, "X_val", with_timestamps=at_rows)
    if at_rows:
        require_times_of_gaps(new.seconds, "X_val")
    held_out = match_rows(new, rows.user_ids, rows.item_ids, "X_val")
    warn_of_seen(held_out, rows.seen)
    if at_rows:
        held_out = replace(held_out, seconds=new.seconds)
    return _make_validate(held_out, rows.seen, last_items)


def validate_on_rows(
    held_out: Indices, rows: EncodedRows, kept: EncodedRows, last_items: LastItems, *, at_rows: bool
) -> Validate:
    """Return a function that measures NDCG@10 of the held-out rows of X."""
    if len(held_out) == 0:
        raise ValueError(
            "early_stopping holds out each user's last row, so X must be a table with an order in "
            "time (no sparse matrix) and a user with two rows. Set early_stopping=False."
        )
    queries = np.arange(len(held_out))
    matched = HeldOutRows(queries, rows.users[held_out], rows.items[held_out], rows.shape[1])
    if at_rows and rows.seconds is not None:
        matched = replace(matched, seconds=rows.seconds[held_out])
    return _make_validate(matched, kept.known_pairs, last_items)


def _make_validate(rows: HeldOutRows, seen: sp.csr_array, last_items: LastItems) -> Validate:
    """Return a function that measures NDCG@10 of rows, at request times if they have any."""
    held_out, users = rows.gather(), None
    if held_out.seconds is None:
        histories = last_items.inputs()
    else:
        users = held_out.users
        histories = last_items.take(users).inputs(held_out.seconds)
        held_out, seen = as_queries(held_out, seen)

    def validate(blueprint: Blueprint, weights: Weights) -> float:
        network = Network.of_weights(blueprint, weights, histories, users)
        return mean_over_lists(ndcg_at_k, 10, exact_lists(network, held_out, seen))

    return validate
