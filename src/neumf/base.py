"""What all recommenders share: reading interactions, scoring rows, recommending."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf._arrays import Codes, Ids, Scores
from neumf._ranking import Ranker, top_lists
from neumf._validation import check_int
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.ids import describe_other_kind, encode_ids, index_ids, lookup_ids, read_ids
from neumf.interactions.seen import count_users, seen_matrix, seen_rows, stored_places
from neumf.interactions.tables import Interactions, read_interactions
from neumf.interactions.timeline import time_order
from neumf.scorers import ndcg_scorer


@dataclass(frozen=True)
class PopularityRanker:
    """Ranks items by popularity, the same for every user.

    Attributes
    ----------
    logits : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item.
    """

    logits: NDArray[np.float64]

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        return np.tile(self.logits, (len(users), 1))

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of the shape of items."""
        return self.logits[items]


class BaseRecommender(BaseEstimator, ABC):
    """Base of recommenders.

    `fit` reads its rows with `_read_rows`, and when nothing more can fail keeps them with
    `_keep_rows`; `_ranker` gives the scores.
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]
    popularity_logits_: NDArray[np.float64]

    @property
    @abstractmethod
    def _ranker(self) -> Ranker:
        """Scores by index of users and items."""

    def predict(self, X: Any, *, interactions: Any = None) -> NDArray[np.float64]:
        """Return the probability of each interaction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Pairs of user and item; further columns are ignored.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit`, see `recommend`.

        Returns
        -------
        probability : ndarray of shape (n_samples,)
            Between 0 and 1: the sigmoid of `decision_function`. NaN, with a warning that counts
            them, where `fit` did not see the user or the item.

        Raises
        ------
        ValueError
            If X cannot be read, or its ids are strings where `fit` saw numbers, or the reverse.
        """
        return expit(self._logits(X, interactions))

    def decision_function(self, X: Any, *, interactions: Any = None) -> NDArray[np.float64]:
        """Return the logit of each interaction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Pairs of user and item; further columns are ignored.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit`, see `recommend`.

        Returns
        -------
        logit : ndarray of shape (n_samples,)
            Higher is better. NaN, with a warning that counts them, where `fit` did not see the
            user or the item.

        Raises
        ------
        ValueError
            If X cannot be read, or its ids are strings where `fit` saw numbers, or the reverse.
        """
        return self._logits(X, interactions)

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        deny: Any = None,
        interactions: Any = None,
    ) -> pd.DataFrame:
        """Return the best items for each user.

        Parameters
        ----------
        users : id, array-like of ids or None, default=None
            Whom to recommend to; None means all users that `fit` saw, or those of `interactions`.
            An unknown user gets the most popular items, the same list for all of them (with a
            warning if no user is known because strings meet numbers).
        k : int, default=10
            Number of items per user. Users with fewer candidates get fewer rows.
        exclude_seen : bool, default=True
            Leave out the items that the user interacted with in the data given to `fit`.
        allow : array-like of ids or None, default=None
            Recommend only these items; None allows all. Ids that `fit` did not see are ignored.
        deny : array-like of ids or None, default=None
            Never recommend these items.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit` (fold-in), as a table like that of `fit`. For a user whom
            `fit` saw, the rows are appended to what they did before; for a new one, they are all
            there is. The rows count as seen, and nothing is learned or stored. Items that `fit`
            did not see are skipped, with a warning that counts them.

        Returns
        -------
        recommendations : DataFrame with columns user, item, score, rank
            Users in the order given, each one's items best first, ranks from 1. The score is the
            logit. Equal scores are ordered as the items are in `items_`.

        Raises
        ------
        ValueError, TypeError
            If `k` is no int of at least 1, an id is missing, or item ids are strings where `fit`
            saw numbers, or the reverse.
        """
        check_is_fitted(self)
        check_int("k", k, 1)
        new = None if interactions is None else read_interactions(interactions)
        if users is None:
            ids = self.users_.to_numpy() if new is None else pd.unique(new.users)
        else:
            ids = read_ids(users, "users", self.users_)
        known = self if new is None else self._folded_in(ids, new, stacklevel=3)
        codes = known._user_codes(ids)
        barred = self._barred_items(allow, deny)

        def score(block: slice) -> Scores:
            scores = known._scores_or_popularity(codes[block])
            if exclude_seen:
                scores[stored_places(seen_rows(known.seen_, codes[block]))] = -np.inf
            scores[:, barred] = -np.inf
            return scores

        rows, items, scores, ranks = top_lists(len(codes), len(self.items_), k, score)
        return pd.DataFrame(
            {
                "user": ids[rows],
                "item": self.items_.to_numpy()[items],
                "score": scores,
                "rank": ranks,
            }
        )

    def score(self, X: Any, y: Any = None) -> float:
        """Return NDCG@10 of held-out interactions, ranked among the whole catalogue.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Held-out interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels; rows above 0 are positives. None takes all rows.

        Returns
        -------
        score : float
            Between 0 and 1, see :func:`ndcg_scorer`.
        """
        return ndcg_scorer()(self, X, y)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what input is welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        return tags

    def _read_rows(self, X: Any, y: Any, sample_weight: Any) -> EncodedRows:
        """Read what `fit` is given; the estimator stays as it is."""
        rows = read_interactions(X)
        users, items = index_ids(rows.users), index_ids(rows.items)
        return EncodedRows.encode(rows, users, items, y, sample_weight)

    def _attributes_of_rows(self, rows: EncodedRows, seen: sp.csr_array) -> dict[str, Any]:
        """Return ids, seen items and popularity, by the names of the attributes."""
        popularity = count_users(seen)
        return {
            "users_": rows.user_ids,
            "items_": rows.item_ids,
            "seen_": seen,
            "popularity_": popularity,
            "popularity_logits_": logit((popularity + 1) / (rows.shape[0] + 2)),  # Laplace's rule
        }

    def _keep_rows(self, X: Any, rows: EncodedRows) -> None:
        """Set ids, seen items and popularity."""
        validate_data(self, X, skip_check_array=True)
        for name, value in self._attributes_of_rows(rows, rows.seen).items():
            setattr(self, name, value)

    def _logits(self, X: Any, interactions: Any) -> NDArray[np.float64]:
        """Return the logit of each row, NaN with a warning where the user or item is unknown."""
        check_is_fitted(self)
        rows = read_interactions(X, with_timestamps=False)
        if interactions is None:
            recommender = self
        else:
            new = read_interactions(interactions)
            recommender = self._folded_in(rows.users, new, stacklevel=4)
        users = lookup_ids(rows.users, recommender.users_, "X: user ids")
        items = lookup_ids(rows.items, self.items_, "X: item ids")
        known = (users >= 0) & (items >= 0)
        if not known.all():
            warnings.warn(
                f"{int((~known).sum())} of {len(known)} rows name a user or an item that fit did "
                "not see; their value is NaN.",
                UserWarning,
                stacklevel=3,
            )
        logits = np.full(len(rows), np.nan)
        ranker = recommender._ranker
        logits[known] = ranker.score_candidates(users[known], items[known, None])[:, 0]
        return logits

    def _folded_in(self, ids: Ids, new: Interactions, stacklevel: int) -> Self:
        """Return a copy that knows these users, as they are after new interactions, and no others.

        Those that neither `fit` nor a row with a known item tells of stay unknown.
        """
        items = lookup_ids(new.items, self.items_, "interactions: item ids")
        if (items < 0).any():
            warnings.warn(
                f"{int((items < 0).sum())} of {len(items)} rows of interactions have an item that "
                "fit did not see; they are skipped.",
                UserWarning,
                stacklevel=stacklevel,
            )
        user_ids = index_ids(ids)[1]
        users = encode_ids(new.users, user_ids)
        order = time_order(users, new.timestamps)
        order = order[(users[order] >= 0) & (items[order] >= 0)]
        codes = encode_ids(user_ids.to_numpy(), self.users_)
        told = codes >= 0
        told[users[order]] = True
        # The users that stay unknown leave the index, and the others move up.
        codes, user_ids = codes[told], user_ids[told]
        users, items = (np.cumsum(told) - 1)[users[order]], items[order]
        shape = (len(user_ids), len(self.items_))
        known = copy(self)
        known._fold_in(codes, users, items)
        known.users_ = user_ids
        known.seen_ = self._seen_after(codes, seen_matrix(users, items, shape))
        return known

    def _seen_after(self, codes: Codes, seen: sp.csr_array) -> sp.csr_array:
        """Return what users have seen, with what they had seen before by their index (-1: none).

        `seen` may have more items than there were.
        """
        before = seen_rows(self.seen_, codes)
        parts = (before.data, before.indices, before.indptr)
        return sp.csr_array(sp.csr_array(parts, shape=seen.shape) + seen)

    def _fold_in(self, codes: Codes, users: Codes, items: Codes) -> None:
        """Bring what the ranker needs, besides `users_` and `seen_`, to users with new rows.

        `codes` are the indices of the users before, -1 for new ones; `users` and `items` the new
        rows, user by user and oldest first.
        """

    def _user_codes(self, ids: Ids) -> Codes:
        """Return indices of users, -1 for unknown ones; they get a list all the same."""
        codes = encode_ids(ids, self.users_)
        complaint = describe_other_kind(codes, ids, self.users_, "users")
        if complaint:
            warnings.warn(
                f"{complaint} Until then they are unknown users, who get the most popular items.",
                UserWarning,
                stacklevel=3,
            )
        return codes

    def _scores_or_popularity(self, users: Codes) -> Scores:
        """Return scores of all items, those of popularity for unknown users (-1)."""
        known = users >= 0
        if known.all():
            return self._ranker.score_items(users)
        scores = PopularityRanker(self.popularity_logits_).score_items(users)
        if known.any():
            scores[known] = self._ranker.score_items(users[known])
        return scores

    def _barred_items(self, allow: Any, deny: Any) -> NDArray[np.bool_]:
        """Return which items must not be recommended, shape (n_items,)."""
        barred = np.full(len(self.items_), allow is not None)
        if allow is not None:
            barred[self._known_items(allow, "allow")] = False
        if deny is not None:
            barred[self._known_items(deny, "deny")] = True
        return barred

    def _known_items(self, ids: Any, argument: str) -> Codes:
        codes = lookup_ids(read_ids(ids, argument, self.items_), self.items_, argument)
        return codes[codes >= 0]
