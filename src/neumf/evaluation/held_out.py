"""Held-out rows: read once, and matched with the ids of a fitted recommender."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.evaluation.pipelines import fold_in_interactions, refuse_merged_users, unwrap
from neumf.evaluation.task import PartOfCatalogue, RankingTask, find_candidates
from neumf.interactions.reading import read_input
from neumf.interactions.request_times import require_timestamps
from neumf.interactions.seen import seen_matrix, seen_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.vocabulary import IndexedIds, index_ids, lookup_ids
from neumf.protocols import Recommender
from neumf.ranking.rankers import require_times_of_fit
from neumf.utils.arrays import Float64s, Ids, Indices, repr_of_row
from neumf.utils.random import hash_mix
from neumf.utils.validation import check_index, check_labels, warn_caller

# Advice if most held-out rows have an unknown user.
_OF_MOST_USERS = (
    " If cv is a number, as in cv=3, it cuts users apart: pass cv=LeaveLastOutSplitter(), which "
    "holds out the last rows of each user. For new users, pass their earlier rows as interactions."
)


@dataclass(frozen=True)
class Queries:
    """Held-out rows, gathered to one query per user; arrays have an entry per query."""

    users: Indices  # index, -1 where unknown
    positives: sp.csr_array  # the held-out items in the catalogue, shape (n_queries, n_items)
    n_unknown: NDArray[np.intp]  # number of held-out items that are not in it
    keys: NDArray[np.uint64]  # seed of the query's own random stream
    seconds: Float64s | None = None  # request time: the time of the first row; None if untimed
    k: int | None = None  # length of the lists, for rankers that choose items together


@dataclass(frozen=True)
class HeldOutRows:
    """Held-out rows by index."""

    queries: Indices  # the query of each row, from 0
    users: Indices  # index of the user of each query, -1 where unknown
    items: Indices  # index of each row, -1 where unknown
    n_items: int
    keys: NDArray[np.uint64] | None = None  # hash of each row's ids; None if nothing is sampled
    seconds: Float64s | None = None  # request time of each row; None if untimed

    def gather(self, rows: slice | NDArray[np.bool_] = slice(None)) -> Queries:
        """Gather rows to one query per user; its key does not depend on the order of rows."""
        queries, kept = pd.factorize(self.queries[rows])
        items = self.items[rows]
        known = items >= 0
        keys = np.zeros(len(kept), dtype=np.uint64)
        if self.keys is not None:
            np.add.at(keys, queries, self.keys[rows])
        seconds = None
        if self.seconds is not None:
            seconds = np.full(len(kept), np.inf)
            np.minimum.at(seconds, queries, self.seconds[rows])
        return Queries(
            self.users[kept],
            seen_matrix(queries[known], items[known], (len(kept), self.n_items)),
            np.bincount(queries[~known], minlength=len(kept)),
            keys,
            seconds,
        )

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Whether the user or the item of each row is unknown."""
        return (self.users[self.queries] < 0) | (self.items < 0)


class RankingProblem(NamedTuple):
    """A recommender, and held-out rows by its indices."""

    recommender: Recommender  # has users of `fit` and `interactions`, and candidates only
    rows: HeldOutRows
    # Items that are left out unless they are positives of a query: held-out ones and, with
    # `exclude_seen`, seen ones. Shape (n_users, n_items).
    barred: sp.csr_array
    n_fitted_users: int  # number of users in `fit`
    n_scored: int  # size of the whole catalogue, which is scored for each user


def read_problem(estimator: Any, X: Any, y: Any, task: RankingTask) -> RankingProblem:
    """Match the rows of X, except those labelled 0, with the recommender inside an estimator.

    Warns of unknown ids, of rows that `fit` saw (unless these are candidates) and of users with
    fewer than `n_negatives` candidates.
    """
    fitted, tables = unwrap(estimator, [X] if task.interactions is None else [X, task.interactions])
    recommender = fitted
    if task.interactions is not None:
        if tables[0] is not X:
            refuse_merged_users(fitted, [X, task.interactions], tables)
        recommender = fold_in_interactions(fitted, tables[1])
    check_index("y", y, X)
    rows = _positive_rows(read_input(tables[0], with_timestamps=task.at is not None), y)
    seconds = None
    if task.at is not None:
        require_times_of_fit(fitted)
        seconds = require_timestamps(rows.seconds, "X", "at='row' is given", "leave at out")
    held_out = match_rows(rows, recommender.users_, recommender.items_)
    # 1, 1.0 and "1" are the same id.
    keys = hash_mix(_hash_ids(rows.users) ^ hash_mix(_hash_ids(rows.items), task.random_state), 0)
    held_out = replace(held_out, keys=keys, seconds=seconds)
    n_scored = len(recommender.items_)
    if task.candidates is not None:
        candidates = find_candidates(task.candidates, recommender)
        held_out = _among(candidates, held_out, rows)
        recommender = PartOfCatalogue(recommender, candidates)
    seen = recommender.seen_
    found = ~held_out.missed
    users = held_out.users[held_out.queries]
    barred = seen_matrix(users, held_out.items, seen.shape, found)
    if task.exclude_seen:
        advice = "If users come back to items, set exclude_seen=False: all are candidates then."
        warn_of_seen(held_out, seen, advice)
        barred = sp.csr_array(seen + barred)
    if task.n_negatives is not None:
        _warn_of_few_candidates(held_out, barred, task)
    return RankingProblem(recommender, held_out, barred, len(fitted.users_), n_scored)


def match_rows(
    rows: Interactions, users: pd.Index, items: pd.Index, argument: str = "X"
) -> HeldOutRows:
    """Find the user and the item of each held-out row; unknown ones come with a warning."""
    indices, ids = index_ids(rows.users)
    of_rows = lookup_ids(ids.to_numpy(), users, f"{argument}: user ids")[indices]
    # An encoder gives all unknown users one index, so each row of an unknown user is a query.
    queries, labels = pd.factorize(np.where(of_rows < 0, -1 - np.arange(len(of_rows)), of_rows))
    item_indices = lookup_ids(rows.items, items, f"{argument}: item ids")
    held_out = HeldOutRows(queries, np.maximum(labels, -1), item_indices, len(items))
    if held_out.missed.any():
        n_rows, n_unknown = len(of_rows), np.sum(of_rows < 0)
        advice = _OF_MOST_USERS if argument == "X" and n_unknown > n_rows / 2 else ""
        warn_caller(
            f"{held_out.missed.sum()} of {n_rows} held-out rows name a user or an item that fit "
            f"did not see ({n_unknown} an unknown user, {np.sum(item_indices < 0)} an unknown "
            f"item); they count as misses.{advice}"
        )
    return held_out


def _among(candidates: Indices, held_out: HeldOutRows, rows: Interactions) -> HeldOutRows:
    """Return held-out rows with indices among the candidates."""
    index_of = np.full(held_out.n_items + 1, -1)
    index_of[candidates] = np.arange(len(candidates))
    items = index_of[held_out.items]  # of an unknown item, -1, it is the last one
    others = (items < 0) & (held_out.items >= 0)
    if others.any():
        raise ValueError(
            "X must hold rows of candidates only: other items are not ranked. Received "
            f"{others.sum()} of {len(others)} rows with another item, such as "
            f"{repr_of_row(rows.items, int(np.argmax(others)))}. Leave these rows out, for "
            "example with X[X['item'].isin(candidates)]."
        )
    return replace(held_out, items=items, n_items=len(candidates))


def warn_of_seen(rows: HeldOutRows, seen: sp.csr_array, advice: str = "") -> None:
    """Warn if `fit` or `interactions` contained held-out pairs."""
    queries = rows.gather()
    repeated = queries.positives.multiply(seen_rows(seen, queries.users)).nnz
    if repeated:
        warn_caller(
            f"{repeated} of {queries.positives.nnz} held-out (user, item) pairs were among the "
            "rows given to fit or as interactions. If these are training rows, the score says "
            f"nothing about new ones. {advice}".rstrip()
        )


def order_of_ids(ids: pd.Index) -> Indices:
    """Return an order of the ids that does not depend on their indices."""
    return np.argsort(_hash_ids(ids))


def _positive_rows(rows: Interactions, y: Any) -> Interactions:
    if y is None:
        return rows
    positive = check_labels(y, len(rows)) > 0
    if not positive.any():
        raise ValueError(
            f"y must label at least one row above 0: only those are held-out positives. Received "
            f"{len(rows)} labels, all 0. Hold out rows before negatives are added to a table."
        )
    return rows.take(positive)


def _hash_ids(ids: Ids | pd.Index | IndexedIds) -> NDArray[np.uint64]:
    if isinstance(ids, IndexedIds):
        return _hash_ids(ids.labels)[ids.indices]
    labels = [
        str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
        for label in ids.tolist()
    ]
    return pd.util.hash_array(np.array(labels, dtype=object))


def _warn_of_few_candidates(rows: HeldOutRows, barred: sp.csr_array, task: RankingTask) -> None:
    users = np.unique(rows.users[rows.users >= 0])
    n_left = barred.shape[1] - np.diff(barred.indptr)[users]
    n_short = np.sum(n_left < task.n_negatives)
    if n_short:
        which = "that they have not seen" if task.exclude_seen else "beside the held-out ones"
        warn_caller(
            f"n_negatives must be at most {n_left.min()} for all users to have enough items "
            f"{which}. Received: {task.n_negatives}. {n_short} of {len(n_left)} known "
            "users have fewer, and their held-out items are ranked among all of these."
        )
