"""The halves of NeuMF, joined by what held-out rows tell (section 3.4.1 of the paper).

Least squares solve the GMF with a few settings, of which held-out rows tell the best. The MLP is
trained on the other rows. The weights of the two make the held-out items most probable, and an
isotonic regression tells how probable an item with a score is.
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
from neumf.interactions.seen import seen_matrix
from neumf.interactions.unseen import UnseenItems, sample_unseen_items
from neumf.metrics.tie_averaged import describe_tops, ndcgs
from neumf.protocols import Ranker
from neumf.ranking.learned_weights import learn_weights
from neumf.utils.arrays import Float64s, Indices

# The penalty of the vectors of GMF, and others that are tried.
PENALTY = 0.1
OTHER_PENALTIES = (0.05, 0.2)

# Factor of the steeper `recency` that is tried beside the user's own.
STEEPER = 1.5

# Another setting is taken if it is better by more than these many standard errors.
_N_ERRORS = 2

# Users whose held-out rows are learned from: more take time and tell nothing new.
_MOST_USERS = 20_000

# Negatives drawn for each held-out row where scores become probabilities, as many as in the paper.
_N_NEGATIVES = 4


Solved = TypeVar("Solved", bound=Ranker)


class Setting(NamedTuple):
    """How GMF is solved."""

    penalty: float
    recency: float


@dataclass(frozen=True)
class HeldOut:
    """Rows that the halves were not fitted to."""

    users: Indices
    items: Indices
    kept: sp.csr_array  # the items of the rows that they were fitted to
    seen: sp.csr_array  # the items of all rows

    @classmethod
    def of(
        cls, rows: EncodedRows, kept: EncodedRows, held_out: Indices, rng: np.random.Generator
    ) -> Self:
        """Return the rows at these places; without any, all rows, which then were kept."""
        # Rows labelled 0 do not name the held-out items: as candidates they would give them away.
        of_kept = seen_matrix(kept.users, kept.items, kept.shape)
        if len(held_out) == 0:
            held_out = np.arange(len(rows.users))
            of_kept = sp.csr_array(rows.shape, dtype=bool)
        if len(held_out) > _MOST_USERS:
            held_out = rng.choice(held_out, _MOST_USERS, replace=False)
        return cls(rows.users[held_out], rows.items[held_out], of_kept, rows.seen)

    def ndcgs(self, ranker: Ranker) -> Float64s:
        """Return NDCG@10 of each row, among all items that the user has no other row of."""
        rows = HeldOutRows(np.arange(len(self.users)), self.users, self.items, self.kept.shape[1])
        lists = exact_lists(ranker, rows.gather(), self.kept)
        return np.concatenate([ndcgs(describe_tops(*block, 10)) for block in lists])

    def choose(self, recency: float, solve: Callable[[Setting], Solved]) -> tuple[Setting, Solved]:
        """Return a setting of GMF, and what it solves; other than the first only if it is better.

        The best of a few would often be the best by chance.
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
        """Return the weights of GMF and MLP: halfway from GMF alone to what finds the rows best.

        An MLP helps less on later rows than on those that it is chosen by.
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
        """Return how often an item with a score is the positive, where each has four negatives.

        None if no user has an unseen item.
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
    """The probability at some logits, which rise; between them, it lies on a line."""

    logits: Float64s
    probabilities: Float64s

    def __call__(self, logits: Float64s) -> Float64s:
        """Return the probability at each logit."""
        probabilities: Float64s = np.interp(logits, self.logits, self.probabilities)
        return np.where(np.isnan(logits), np.nan, probabilities)
