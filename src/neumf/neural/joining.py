"""Join the halves of NeuMF, with weights from held-out rows (section 3.4.1 of the paper).

Least squares solve GMF with a few settings, and held-out rows choose the best one. The MLP is
trained on the other rows. The weights of the two halves maximise the probability of the held-out
items. Isotonic regression turns scores into probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import numpy as np
import scipy.sparse as sp
from sklearn.isotonic import IsotonicRegression

from neumf.evaluation.held_out import HeldOutRows
from neumf.evaluation.ranked_lists import exact_lists
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.unseen import UnseenItems, sample_unseen_items
from neumf.metrics.tie_averaged import describe_tops, ndcgs
from neumf.protocols import Ranker
from neumf.ranking.learned_weights import learn_weights
from neumf.utils.arrays import Float64s, Indices

# The penalty of the vectors of GMF, and the alternatives that are tried.
PENALTY = 0.1
OTHER_PENALTIES = (0.05, 0.2)

# The multiple of `recency` that is tried as an alternative.
STEEPER = 1.5

# An alternative is chosen if it is better by more than this number of standard errors.
_N_ERRORS = 2

# Maximum number of held-out rows to learn from: more cost time without a gain.
_MOST_USERS = 20_000

# Negatives drawn for each held-out row to calibrate probabilities; the paper also draws four.
_N_NEGATIVES = 4


Solved = TypeVar("Solved", bound=Ranker)


class Setting(NamedTuple):
    """A setting of the least squares that solve GMF."""

    penalty: float
    recency: float


@dataclass(frozen=True)
class HeldOut:
    """Rows to which the halves were not fitted."""

    users: Indices
    items: Indices
    kept: sp.csr_array  # pairs of user and item of the rows to which the halves were fitted
    seen: sp.csr_array  # pairs of user and item of all rows

    @classmethod
    def of(
        cls, rows: EncodedRows, kept: EncodedRows, held_out: Indices, rng: np.random.Generator
    ) -> Self:
        """Return the rows with the indices `held_out`; if it is empty, return all rows."""
        of_kept = kept.known_pairs
        if len(held_out) == 0:
            held_out = np.arange(len(rows.users))
            of_kept = sp.csr_array(rows.shape, dtype=bool)
        if len(held_out) > _MOST_USERS:
            held_out = rng.choice(held_out, _MOST_USERS, replace=False)
        return cls(rows.users[held_out], rows.items[held_out], of_kept, rows.seen)

    def ndcgs(self, ranker: Ranker) -> Float64s:
        """Return NDCG@10 of each row, ranked among all items without another row of the user."""
        rows = HeldOutRows(np.arange(len(self.users)), self.users, self.items, self.kept.shape[1])
        lists = exact_lists(ranker, rows.gather(), self.kept)
        return np.concatenate([ndcgs(describe_tops(*block, 10)) for block in lists])

    def choose(self, recency: float, solve: Callable[[Setting], Solved]) -> tuple[Setting, Solved]:
        """Return the best setting of GMF, and its solution.

        An alternative must be significantly better than the default: the best of several settings
        is often the best by chance.
        """
        best = Setting(PENALTY, recency)
        solved = solve(best)
        values = self.ndcgs(solved)
        changes: list[dict[str, float]] = [{"penalty": penalty} for penalty in OTHER_PENALTIES]
        changes += [{"recency": STEEPER * recency}] if recency else []
        for change in changes:
            setting = best._replace(**change)
            other = solve(setting)
            others = self.ndcgs(other)
            gains = others - values
            if gains.mean() > _N_ERRORS * gains.std() / np.sqrt(len(gains)):
                best, solved, values = setting, other, others
        return best, solved

    def weigh(self, gmf: Ranker, mlp: Ranker) -> Float64s:
        """Return the weights of GMF and MLP: the mean of the best without and with the MLP.

        The MLP helps less on later rows than on the held-out rows that set its weight.
        """

        def score(users: Indices) -> Iterator[Float64s]:
            for ranker in rankers:
                yield ranker.score_items(users).astype(np.float64)

        rankers = [gmf]
        (alone,) = learn_weights(score, self.users, self.items, self.kept)
        rankers = [gmf, mlp]
        both = learn_weights(score, self.users, self.items, self.kept)
        weights = (both + np.array([alone, 0])) / 2
        return weights if weights.any() else np.array([1.0, 0.0])

    def calibrate(self, ranker: Ranker, rng: np.random.Generator) -> Calibration | None:
        """Return the probability that an item with a given score is the positive.

        Each positive is mixed with four negatives. None if no user has an unseen item.
        """
        unseen = UnseenItems(self.seen)
        some = np.flatnonzero(unseen.n_tickets[self.users] > 0)
        if len(some) == 0:
            return None
        users = self.users[some]
        negatives = sample_unseen_items(unseen, users, _N_NEGATIVES, rng)
        items = np.column_stack([self.items[some], negatives])
        scores = ranker.score_candidates(users, items)
        labels = np.zeros(items.shape)
        labels[:, 0] = 1
        fitted = IsotonicRegression().fit(scores.ravel(), labels.ravel())
        thresholds = fitted.X_thresholds_, fitted.y_thresholds_
        return Calibration(*(values.astype(np.float64) for values in thresholds))


class Calibration(NamedTuple):
    """A piecewise linear function from logits, in ascending order, to probabilities."""

    logits: Float64s
    probabilities: Float64s

    def __call__(self, logits: Float64s) -> Float64s:
        """Return the probability at each logit."""
        probabilities: Float64s = np.interp(logits, self.logits, self.probabilities)
        return np.where(np.isnan(logits), np.nan, probabilities)
