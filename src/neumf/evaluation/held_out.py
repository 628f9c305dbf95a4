"""Held-out rows: read once, and matched with what a fitted recommender knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.evaluation.candidates import PartOfCatalogue, find_candidates
from neumf.evaluation.pipelines import fold_in_interactions, refuse_merged_users, unwrap
from neumf.evaluation.task import RankingTask
from neumf.interactions.moments import require_timestamps
from neumf.interactions.reading import read_input
from neumf.interactions.seen import seen_matrix, seen_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.vocabulary import IndexedIds, index_ids, lookup_ids
from neumf.protocols import Recommender
from neumf.ranking.rankers import require_times_of_fit
from neumf.utils.arrays import Codes, Float64s, Ids, repr_of_row
from neumf.utils.random import hash_mix
from neumf.utils.validation import check_labels, warn_caller


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows, gathered to one query per user.

    Attributes
    ----------
    users : ndarray of shape (n_queries,)
        Index of each query's user; -1 is unknown.
    positives : csr_array of shape (n_queries, n_items)
        The held-out items that are in the catalogue.
    n_unknown : ndarray of shape (n_queries,)
        Number of held-out items that are not.
    keys : ndarray of shape (n_queries,) of uint64
        Seed of each query's own random stream.
    seconds : ndarray of shape (n_queries,) or None
        The request time of each query, that of its first row; None without request times.
    """

    users: Codes
    positives: sp.csr_array
    n_unknown: NDArray[np.intp]
    keys: NDArray[np.uint64]
    seconds: Float64s | None = None


@dataclass(frozen=True)
class HeldOutRows:
    """Held-out rows, as a recommender knows them.

    Attributes
    ----------
    queries : ndarray of shape (n_rows,)
        The query of each row, from 0.
    users : ndarray of shape (n_queries,)
        Index of each query's user, -1 where unknown.
    items : ndarray of shape (n_rows,)
        Index of each row's item, -1 where unknown.
    n_items : int
        Size of the catalogue.
    keys : ndarray of shape (n_rows,) of uint64 or None
        Hash of each row's ids; None where nothing will be drawn.
    seconds : ndarray of shape (n_rows,) or None
        The request time of each row; None without request times.
    """

    queries: Codes
    users: Codes
    items: Codes
    n_items: int
    keys: NDArray[np.uint64] | None = None
    seconds: Float64s | None = None

    def gather(self, rows: slice | NDArray[np.bool_] = slice(None)) -> HeldOut:
        """Gather some of the rows to one query per user.

        The key of a query depends on all its rows, in no order.
        """
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
        return HeldOut(
            self.users[kept],
            seen_matrix(queries[known], items[known], (len(kept), self.n_items)),
            np.bincount(queries[~known], minlength=len(kept)),
            keys,
            seconds,
        )

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Tell of each row whether the user or the item is unknown."""
        return (self.users[self.queries] < 0) | (self.items < 0)


class Matched(NamedTuple):
    """A recommender, and held-out rows as it knows them.

    Attributes
    ----------
    recommender : Recommender
        Knows the users of `fit` and those of `interactions`. Its catalogue is the candidates.
    rows : HeldOutRows
        The rows.
    barred : csr_array of shape (n_users, n_items)
        Which items are no candidates, unless they are the positives of a query: those held out for
        the user and, where asked for, those seen.
    n_fitted_users : int
        Number of users that `fit` saw.
    n_scored : int
        Number of items that are scored for a user: those of the whole catalogue.
    """

    recommender: Recommender
    rows: HeldOutRows
    barred: sp.csr_array
    n_fitted_users: int
    n_scored: int


def read_held_out(estimator: Any, X: Any, y: Any, task: RankingTask) -> Matched:
    """Match the rows of X with the recommender inside an estimator.

    Rows with a label of 0 are left out. Unknown ids, rows that `fit` saw (if seen items are no
    candidates), and users with fewer than `n_negatives` candidates come with a warning.
    """
    fitted, tables = unwrap(estimator, [X] if task.interactions is None else [X, task.interactions])
    recommender = fitted
    if task.interactions is not None:
        if tables[0] is not X:
            refuse_merged_users(fitted, [X, task.interactions], tables)
        recommender = fold_in_interactions(fitted, tables[1])
    X = tables[0]
    rows = _positive_rows(read_input(X, with_timestamps=task.at is not None), y)
    seconds = None
    if task.at is not None:
        require_times_of_fit(fitted)
        seconds = require_timestamps(rows.seconds, "X", "at='row' is given", "leave at out")
    held_out = match_rows(rows, recommender.users_, recommender.items_)
    held_out = replace(held_out, keys=_row_keys(rows, task.random_state), seconds=seconds)
    n_scored = len(recommender.items_)
    if task.candidates is not None:
        places = find_candidates(task.candidates, recommender)
        held_out = _among(places, held_out, rows)
        recommender = PartOfCatalogue(recommender, places)
    if task.exclude_seen:
        advice = "If users come back to items, set exclude_seen=False: all are candidates then."
        warn_of_seen(held_out, recommender.seen_, advice)
    barred = _barred(recommender, held_out, task.exclude_seen)
    if task.n_negatives is not None:
        _warn_of_few_candidates(held_out, barred, task)
    return Matched(recommender, held_out, barred, len(fitted.users_), n_scored)


def match_rows(
    rows: Interactions, users: pd.Index, items: pd.Index, argument: str = "X"
) -> HeldOutRows:
    """Find the user and the item of each held-out row; unknown ones come with a warning."""
    codes, ids = index_ids(rows.users)
    known = lookup_ids(ids.to_numpy(), users, f"{argument}: user ids")
    queries, query_users = _part_unknown(known[codes])
    item_codes = lookup_ids(rows.items, items, f"{argument}: item ids")
    held_out = HeldOutRows(queries, query_users, item_codes, len(items))
    _warn_of_unknown(held_out)
    return held_out


def _among(places: Codes, held_out: HeldOutRows, rows: Interactions) -> HeldOutRows:
    """Return held-out rows as a recommender knows them whose catalogue are these places."""
    place_of = np.full(held_out.n_items + 1, -1)
    place_of[places] = np.arange(len(places))
    items = place_of[held_out.items]  # of an unknown item, -1, it is the last one
    others = (items < 0) & (held_out.items >= 0)
    if others.any():
        raise ValueError(
            "X must hold rows of candidates alone: no others can be found among them. Received "
            f"{others.sum()} of {len(others)} rows with another item, such as "
            f"{repr_of_row(rows.items, int(np.argmax(others)))}. Leave these rows out, for "
            "example with X[X['item'].isin(candidates)]."
        )
    return replace(held_out, items=items, n_items=len(places))


def warn_of_seen(rows: HeldOutRows, seen: sp.csr_array, advice: str = "") -> None:
    """Warn if held-out pairs were seen, which tells nothing about new ones."""
    held_out = rows.gather()
    repeated = held_out.positives.multiply(seen_rows(seen, held_out.users)).nnz
    if repeated:
        warn_caller(
            f"{repeated} of {held_out.positives.nnz} held-out (user, item) pairs were among the "
            "rows given to fit or as interactions. If these are training rows, the score says "
            f"nothing about new ones. {advice}".rstrip()
        )


def order_of_ids(ids: pd.Index) -> Codes:
    """Return an order of the ids that does not depend on their places."""
    return np.argsort(_hash_ids(ids))


def _barred(recommender: Recommender, rows: HeldOutRows, exclude_seen: bool) -> sp.csr_array:
    """Return the items of each user that are no candidates, shape (n_users, n_items)."""
    found = ~rows.missed
    shape = recommender.seen_.shape
    barred = seen_matrix(rows.users[rows.queries][found], rows.items[found], shape)
    return sp.csr_array(recommender.seen_ + barred) if exclude_seen else barred


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


def _part_unknown(users: Codes) -> tuple[Codes, Codes]:
    """Return the query of each row and the user of each query; unknown rows have one each.

    An encoder gives all unknown users one code, so that nobody can tell how many they are.
    """
    queries, labels = pd.factorize(np.where(users < 0, -1 - np.arange(len(users)), users))
    return queries, np.maximum(labels, -1)


def _row_keys(rows: Interactions, seed: int) -> NDArray[np.uint64]:
    """Hash (seed, user, item) of each row; 1, 1.0 and "1" are the same id."""
    return hash_mix(_hash_ids(rows.users) ^ hash_mix(_hash_ids(rows.items), seed), 0)


def _hash_ids(ids: Ids | pd.Index | IndexedIds) -> NDArray[np.uint64]:
    if isinstance(ids, IndexedIds):
        of_labels: NDArray[np.uint64] = _hash_ids(ids.labels.to_numpy())[ids.indices]
        return of_labels
    labels = [
        str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
        for label in ids.tolist()
    ]
    return pd.util.hash_array(np.array(labels, dtype=object))


def _warn_of_unknown(rows: HeldOutRows) -> None:
    if rows.missed.any():
        of_users, of_items = np.sum(rows.users[rows.queries] < 0), np.sum(rows.items < 0)
        warn_caller(
            f"{rows.missed.sum()} of {len(rows.items)} held-out rows name a user or an item that "
            f"fit did not see ({of_users} an unknown user, {of_items} an unknown item); they count "
            "as misses."
        )


def _warn_of_few_candidates(rows: HeldOutRows, barred: sp.csr_array, task: RankingTask) -> None:
    users = np.unique(rows.users[rows.users >= 0])
    n_left = barred.shape[1] - np.diff(barred.indptr)[users]
    n_short = np.sum(n_left < task.n_negatives)
    if n_short:
        which = "that they have not seen" if task.exclude_seen else "beside the held-out ones"
        warn_caller(
            f"n_negatives must be at most {n_left.min()} for all users to have so many items "
            f"{which}. Received: {task.n_negatives}. {n_short} of {len(n_left)} known "
            "users have fewer, and their held-out items are ranked among all of these."
        )
