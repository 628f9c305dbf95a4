"""Prepare rows for training: histories, negatives, weights and held-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.histories import Histories, LastItems, read_histories
from neumf.interactions.request_times import (
    require_order,
    require_order_of_fit,
    require_times_of_gaps,
    warn_of_row_order,
)
from neumf.interactions.seen import count_users, join_seen, log_popularity
from neumf.interactions.timeline import recency_weights
from neumf.interactions.unseen import UnseenItems, other_items, refuse_saturated
from neumf.model.network import Network
from neumf.neural.added_scores import MOST_HELD_OUT, Beside
from neumf.neural.early_stopping import (
    Validate,
    validate_on_rows,
    validate_on_table,
)
from neumf.neural.joining import HeldOut
from neumf.neural.parameters import FitPlan
from neumf.training.batches import Degrees, Negatives, TrainingRows
from neumf.training.centres import Centres, SideCentres
from neumf.training.trainer import OptimizerState
from neumf.utils.arrays import Float32s, Indices
from neumf.utils.validation import warn_caller

# From this number of pairs on, a table without a new pair looks like rows of an earlier call.
_MANY_PAIRS = 100


@dataclass(frozen=True)
class PreviousFit:
    """The state from which `partial_fit` continues."""

    network: Network
    optimizer: OptimizerState | None  # None starts Adam anew
    last_items: LastItems  # of length 0 if the rows so far had no order
    seen: sp.csr_array


class ToJoin(NamedTuple):
    """The rows with which the halves of a network are joined."""

    held_out: HeldOut
    kept: EncodedRows  # the other rows
    rows: EncodedRows
    training_rows: TrainingRows  # all of them


@dataclass(frozen=True)
class PreparedFit:
    """The plan and the rows of a training."""

    plan: FitPlan  # with the history length of the rows
    rows: TrainingRows
    seen: sp.csr_array  # in these and earlier rows
    last_items: LastItems  # after all rows
    item_biases: Float32s | None  # initial values
    validate: Validate | None = None  # measures weights on held-out rows
    previous: PreviousFit | None = None  # None starts from initial weights
    to_join: ToJoin | None = None  # None unless least squares solve GMF
    beside: Beside | None = None  # None unless scores of simple methods may be added


def require_order_of_histories(plan: FitPlan, X: Any) -> None:
    """Raise if the user tower reads histories, but the rows of X have no order in time."""
    if plan.blueprint.users.reads_history:
        ordered = X.ordered if isinstance(X, EncodedRows) else not sp.issparse(X)
        remedy = "a table of user and item, or use NeuMFRecommender, which needs no order"
        require_order(ordered, "X", ": NextItemRecommender learns what comes next", remedy)


def prepare(
    plan: FitPlan, rows: EncodedRows, rng: np.random.Generator, X_val: Any = None
) -> PreparedFit:
    """Prepare the rows of `fit`."""
    if X_val is not None and not plan.early_stopping:
        raise ValueError(
            "X_val is ranked after each epoch to find the best one, so early_stopping must be "
            "True. Received: early_stopping=False. Set it, or leave X_val out."
        )
    length = 0
    if rows.timelines is not None:
        # Positions beyond the longest history would cost memory and stay empty.
        longest = max(1, int(rows.timelines.counts.max()))
        length = min(plan.blueprint.users.history_length, longest)
    plan = plan.with_history_length(length)
    at_rows = plan.blueprint.users.time_gaps == "request"
    histories = _read_histories(plan, rows)
    last_items = _last_items(rows, histories)
    held_out: Indices = np.empty(0, np.intp)
    kept, validate, to_join = rows, None, None
    if plan.solves_gmf:
        kept, held_out = rows.hold_out(rng)
    elif plan.early_stopping and X_val is None:
        kept, held_out = rows.hold_out()
    elif plan.adds_scores:
        held_out = _sample(rows.last_rows(), rng)
        kept = rows.without(held_out)
    if plan.solves_gmf:
        of_all = _training_rows(plan, rows, histories, rows.seen)
        to_join = ToJoin(HeldOut.of(rows, kept, held_out, rng), kept, rows, of_all)
    if kept is not rows:
        histories = _read_histories(plan, kept)
    beside = None
    if plan.adds_scores and len(held_out):
        beside = Beside(_sample(held_out, rng), kept, _last_items(kept, histories))
    if X_val is not None:
        validate = validate_on_table(X_val, rows, last_items, at_rows=at_rows)
    elif plan.early_stopping:
        of_kept = _last_items(kept, histories)
        validate = validate_on_rows(held_out, rows, kept, of_kept, at_rows=at_rows)
    return PreparedFit(
        plan,
        # Held-out rows do not train the halves, but their items may be drawn as negatives.
        _training_rows(plan, kept, histories, kept.seen, rows.seen if plan.solves_gmf else None),
        rows.seen,
        last_items,
        _item_biases(plan, kept.seen),
        validate,
        to_join=to_join,
        beside=beside,
    )


def _sample(held_out: Indices, rng: np.random.Generator) -> Indices:
    """Return at most `MOST_HELD_OUT` of these rows."""
    if len(held_out) <= MOST_HELD_OUT:
        return held_out
    return np.sort(rng.choice(held_out, MOST_HELD_OUT, replace=False))


def prepare_further(plan: FitPlan, rows: EncodedRows, previous: PreviousFit) -> PreparedFit:
    """Prepare the rows of `partial_fit`."""
    length = previous.last_items.items.shape[1]
    if length:
        require_order_of_fit(rows, "X")
    warn_of_plan(plan, rows)
    plan = replace(plan.with_history_length(length), early_stopping=False)
    n_known = previous.seen.shape[0]
    indices = np.pad(np.arange(n_known), (0, rows.shape[0] - n_known), constant_values=-1)
    seen = join_seen(previous.seen, indices, rows.seen)
    _warn_of_rows_again(rows.seen.nnz, previous.seen.nnz, seen.nnz)
    before = previous.last_items.take(indices)
    histories = _read_histories(plan, rows, before) if length else None
    return PreparedFit(
        plan,
        _training_rows(plan, rows, histories, seen),
        seen,
        _last_items(rows, histories),
        _item_biases(plan, seen),
        previous=previous,
    )


def warn_of_plan(plan: FitPlan, rows: EncodedRows) -> None:
    """Warn if a part of the plan takes the order of rows for their order in time."""
    if plan.blueprint.users.reads_history:
        what = "NextItemRecommender learns what comes next"
        warn_of_row_order(rows, what, "use NeuMFRecommender(recency=0)")
    elif plan.recency:
        what = f"recency={plan.recency:g} counts the last rows of a user most"
        warn_of_row_order(rows, what, "set recency=0")


def _warn_of_rows_again(n_pairs: int, n_before: int, n_seen: int) -> None:
    """Warn if rows look like rows of an earlier call.

    Users repeat pairs, but hardly ever all of them, and hardly ever many without a new one.
    """
    if n_before > 0 and (n_pairs == n_seen or (n_seen == n_before and n_pairs >= _MANY_PAIRS)):
        warn_caller(
            f"X: {n_pairs + n_before - n_seen} of its {n_pairs} pairs of user and item were seen "
            "before. If these are rows of an earlier call, they count twice: pass only new rows. "
            "For more epochs, set epochs and call fit. To stop poor candidates of a search early, "
            "use a callback, see the guide to tuning."
        )


def _read_histories(
    plan: FitPlan, rows: EncodedRows, before: LastItems | None = None
) -> Histories | None:
    """Return the history of each row; None if the rows have no order."""
    tower = plan.blueprint.users
    if rows.timelines is None:
        return None
    seconds = None
    if tower.time_gaps is not None:
        seconds = rows.seconds
        require_times_of_gaps(seconds, "X")
    length = tower.history_length
    histories = read_histories(rows.timelines, rows.items, length, before, seconds)
    return replace(histories, request_times=seconds if tower.time_gaps == "request" else None)


def _last_items(rows: EncodedRows, histories: Histories | None) -> LastItems:
    if histories is None:
        return LastItems(np.empty((rows.shape[0], 0), np.int32))
    return histories.last()


def _item_biases(plan: FitPlan, seen: sp.csr_array) -> Float32s | None:
    return log_popularity(seen) if plan.blueprint.layers.item_bias else None


def _training_rows(
    plan: FitPlan,
    rows: EncodedRows,
    histories: Histories | None,
    seen: sp.csr_array,
    drawn: sp.csr_array | None = None,
) -> TrainingRows:
    """Return the rows to train on; `seen` holds the pairs of these and earlier rows.

    Negatives are drawn from the items that have a user in `drawn`, by default in `seen`.
    """
    degrees = Degrees(np.diff(seen.indptr), count_users(seen))
    counts = degrees.items if drawn is None else count_users(drawn)
    draws = rows.labels is None and plan.training.loss.draws_negatives
    penalty, users, items = plan.feature_regularization, rows.user_features, rows.item_features
    return TrainingRows(
        rows.users,
        rows.items,
        labels=rows.labels,
        weights=_weights(plan, rows, histories),
        negatives=_negatives(plan, rows, seen, counts) if draws else None,
        histories=histories if plan.blueprint.users.reads_history else None,
        degrees=degrees,
        centres=SideCentres(
            None if users is None else Centres(users, degrees.users, penalty),
            None if items is None else Centres(items, degrees.items, penalty),
        ),
    )


def _weights(plan: FitPlan, rows: EncodedRows, histories: Histories | None) -> Float32s | None:
    """Return the weight of each row: `sample_weight` times its weight by `recency`."""
    if plan.recency == 0 or histories is None:
        return rows.weights
    weights = recency_weights(histories.timelines.from_last(), plan.recency)
    weights /= weights.mean(dtype=np.float64)
    if rows.weights is not None:
        weights *= rows.weights
    return weights


def _negatives(
    plan: FitPlan, rows: EncodedRows, seen: sp.csr_array, counts: NDArray[np.int64]
) -> Negatives:
    """Return the distribution of negatives; `counts` is the number of users of each item."""
    weights: NDArray[np.int64] | None = counts
    if plan.negative_strategy == "uniform":
        # An item without users is not a negative: users may not know it yet.
        weights = None if counts.all() else np.minimum(counts, 1)
    if plan.training.loss.candidates == "batch":
        # All rows of a batch share its negatives, so these must not depend on a user.
        return Negatives.of_catalogue(len(rows.items), rows.shape[1], weights)
    if plan.blueprint.users.reads_history:
        # Draw the user's later items too: their absence would reveal them to the network.
        return Negatives(other_items(rows.shape[1], weights), rows.items)
    unseen = UnseenItems(seen, weights)
    refuse_saturated(unseen, rows.users, rows.user_ids)
    return Negatives(unseen, rows.users)
