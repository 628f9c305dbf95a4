"""Scores of simple methods that are added to the logits of a network.

Held-out rows, to which neither the network nor the methods were fitted, give their weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from neumf.base import BaseRecommender
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.histories import LastItems
from neumf.interactions.known_users import after_rows, take_users
from neumf.interactions.new_rows import NewRows
from neumf.interactions.seen import seen_rows
from neumf.model.network import Network
from neumf.protocols import Ranker
from neumf.ranking.learned_weights import learn_weights
from neumf.ranking.rankers import PopularityRanker, QueryRanker
from neumf.utils.arrays import Float32s, Float64s, Indices, Scores

# Maximum number of users whose last rows are held out.
MOST_HELD_OUT = 1000

# If the held-out rows are a larger share of all rows, the network is trained anew on all of them.
_LARGE_SHARE = 0.02

# The least weight of the network, relative to the largest weight: other weights are divided by it.
_LEAST_WEIGHT = 0.02

# From this number of rows an item on, the biases of the network know enough of popularity.
_DENSE = 50

# Popularity of late: the weight of a row halves with each eighth of the table.
_N_HALVINGS = 8

# The penalty of the weight of overall popularity, which a few held-out rows would make too large.
_PENALTY = 20.0

# Number of held-out rows from which the scale of scores is taken.
_N_SCALED = 200


class Beside(NamedTuple):
    """Held-out rows, and what was known before them."""

    rows: Indices  # their positions among all rows
    kept: EncodedRows  # the other rows
    last_items: LastItems  # of each user, after the kept rows

    @property
    def is_large(self) -> bool:
        """Whether a network that was not trained on the held-out rows lacks much."""
        return len(self.rows) > _LARGE_SHARE * (len(self.rows) + len(self.kept.users))


@dataclass(frozen=True)
class AddedScores:
    """The fitted simple methods, and the weights of their scores and of popularity."""

    weights: Float64s  # shape (n_methods,)
    methods: tuple[BaseRecommender, ...]
    popularity_weights: Float64s  # of `log_popularities`
    biases: Float32s  # shape (n_items,): the weighted sum of `log_popularities`

    def beside(self, ranker: Ranker, queries: Indices | None = None) -> SumRanker:
        """Return the ranker with these scores added; `queries`: the user of each query, if any."""
        added: list[Ranker] = [method.ranker_ for method in self.methods]
        if queries is not None:
            added = [QueryRanker(of_users, queries) for of_users in added]
        return SumRanker((ranker, *added), (1.0, *map(float, self.weights)), self.biases)

    def after(self, rows: NewRows) -> AddedScores:
        """Return the same methods for the users in `rows` alone, with the new rows added."""
        return replace(self, methods=tuple(after_rows(method, rows) for method in self.methods))

    def take(self, users: Indices) -> AddedScores:
        """Return the same methods for these users alone."""
        return replace(self, methods=tuple(take_users(method, users) for method in self.methods))

    def anew(self, rows: EncodedRows) -> AddedScores:
        """Return the same methods, fitted to other rows."""
        biases = _biases(rows, self.popularity_weights)
        return replace(self, methods=_fitted(self.methods, rows), biases=biases)


@dataclass(frozen=True)
class SumRanker:
    """Score items by a weighted sum of scores, plus a bias of each item."""

    rankers: tuple[Ranker, ...]
    weights: tuple[float, ...]
    biases: Float32s

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        return self._sum([ranker.score_items(users) for ranker in self.rankers], self.biases)

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of candidates, shape (n, n_candidates), for users, shape (n,)."""
        scores = [ranker.score_candidates(users, items) for ranker in self.rankers]
        return self._sum(scores, self.biases[items])

    def _sum(self, scores: list[Scores], biases: Float32s) -> Scores:
        total = scores[0] + biases
        for weight, more in zip(self.weights[1:], scores[1:], strict=True):
            total = total + weight * more
        return total


def learn_added(
    methods: Sequence[Any], network: Network, beside: Beside, rows: EncodedRows
) -> AddedScores | None:
    """Return the weights that make the held-out rows most probable, and the methods of all rows.

    None if neither a method nor popularity helps. The network has the weight 1.
    """
    users, items = rows.users[beside.rows], rows.items[beside.rows]
    queries = np.arange(len(users))
    rankers: list[Ranker] = [_network_before(network, beside, rows)]
    rankers += [QueryRanker(method.ranker_, users) for method in _fitted(methods, beside.kept)]
    if len(rows.users) < _DENSE * rows.shape[1]:
        rankers += [PopularityRanker(logs) for logs in log_popularities(beside.kept)]
    scales = [_scale(ranker.score_items(queries[:_N_SCALED])) for ranker in rankers]

    def score(block: Indices) -> Iterator[Float64s]:
        for ranker, scale in zip(rankers, scales, strict=True):
            yield ranker.score_items(block).astype(np.float64) / scale

    seen = seen_rows(beside.kept.seen, users)
    penalties = np.array([0.0] * (len(methods) + 2) + [_PENALTY])
    weights = np.zeros(len(penalties))
    found = slice(len(rankers))
    weights[found] = learn_weights(score, queries, items, seen, penalties[found])
    if not weights[1:].any():
        return None
    weights[0] = max(weights[0], _LEAST_WEIGHT * abs(weights).max())
    weights[found] /= scales
    weights /= weights[0]
    of_methods, of_popularity = weights[1:-2], weights[-2:]
    helpful = of_methods > 0
    chosen = [method for method, helps in zip(methods, helpful, strict=True) if helps]
    fitted, biases = _fitted(chosen, rows), _biases(rows, of_popularity)
    return AddedScores(of_methods[helpful], fitted, of_popularity, biases)


def log_popularities(rows: EncodedRows) -> Float64s:
    """Return the log-popularity of items, of late and overall, shape (2, n_items).

    Without timestamps, which rows of different users are late is unknown: both are equal.
    """
    n_rows = len(rows.items)
    ages = np.zeros(n_rows)
    if rows.timestamps is not None:
        ages[np.argsort(rows.timestamps, kind="stable")] = np.arange(n_rows)[::-1]
    weights = np.ones(n_rows) if rows.weights is None else rows.weights
    late = weights * np.exp2(-_N_HALVINGS / n_rows * ages)
    counts = [np.bincount(rows.items, each, rows.shape[1]) for each in (late, weights)]
    logs: Float64s = np.log1p(counts)
    return logs


def _biases(rows: EncodedRows, weights: Float64s) -> Float32s:
    """Return the weighted sum of log-popularities; items without rows get the mean."""
    logs = log_popularities(rows)
    biases: Float32s = (weights @ logs).astype(np.float32)
    has_rows = logs[1] > 0
    biases[~has_rows] = biases[has_rows].mean()
    return biases


def _network_before(network: Network, beside: Beside, rows: EncodedRows) -> Ranker:
    """Return a ranker of the held-out rows by the users' histories before them."""
    users, blueprint = rows.users[beside.rows], network.blueprint
    last_items = beside.last_items.take(users)
    seconds = rows.seconds if blueprint.users.time_gaps == "request" else None
    inputs = last_items.inputs(None if seconds is None else seconds[beside.rows])
    return Network.of_weights(blueprint, network.weights, inputs, users)


def _fitted(methods: Sequence[Any], rows: EncodedRows) -> tuple[BaseRecommender, ...]:
    """Return clones of the methods, fitted to rows."""
    if rows.timestamps is None:  # row order is time order: the network has warned of it
        rows = replace(rows, timestamps=np.arange(len(rows.users)))
    weighted = {} if rows.weights is None else {"sample_weight": rows.weights}
    return tuple(clone(method).fit(rows, **weighted) for method in methods)


def _scale(scores: Scores) -> float:
    """Return the mean standard deviation of the scores of a row, 1 if all are equal."""
    return float(scores.std(axis=1, dtype=np.float64).mean()) or 1.0


def refuse_added(added: AddedScores | None, what: str) -> None:
    """Raise if scores are added, for what needs the network alone."""
    if added is not None:
        raise ValueError(
            f"{what} of the network alone. Received a recommender that adds the scores of simple "
            "methods to it, see added_scores_. Fit one with add_simple_methods=False."
        )


def rows_of_users(fitted: dict[str, Any]) -> EncodedRows:
    """Return the rows that fitted attributes hold, each user's oldest first."""
    past = fitted["user_items_"]
    return EncodedRows(fitted["users_"], fitted["items_"], past.users, past.items, past.seconds)
