"""Draw negatives for the rows of a table."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.interactions.seen import count_users, join_seen, seen_matrix
from neumf.interactions.table_kinds import open_table
from neumf.interactions.tables import Interactions, read_table, replace_ids, take_rows
from neumf.interactions.unseen import Strategy, UnseenItems, refuse_saturated, sample_unseen_items
from neumf.interactions.vocabulary import index_ids, lookup_ids
from neumf.utils.arrays import Ids
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_int, check_option


class NegativeSampler(TransformerMixin, BaseEstimator):
    """Draw items that each user never interacted with.

    .. versionadded:: 0.1

    Parameters
    ----------
    n_negatives : int, default=4
        Number of negatives for each row.
    negative_strategy : {"uniform", "popularity"}, default="uniform"
        Probability of each unseen item:

        - "uniform": all have the same probability;
        - "popularity": the probability is proportional to the item's number of users.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws. With an int, every call draws the same negatives; with None, other ones.

    Attributes
    ----------
    users_, items_, seen_, popularity_, n_features_in_, feature_names_in_
        See :class:`neumf.base.BaseRecommender`.

    See Also
    --------
    NeuMFRecommender : Draws its own negatives, anew each epoch.

    Notes
    -----
    Draws are independent and with replacement. These negatives are for training. To rank a held-out
    item among 99 unseen items, use ``hr_scorer(n_negatives=99)`` instead.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import NegativeSampler
    >>> X = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "z"]})
    >>> sampler = NegativeSampler(n_negatives=2, random_state=0).fit(X)
    >>> sampler.transform(X)
    array([['z', 'z'],
           ['z', 'z'],
           ['y', 'y']], dtype=object)
    >>> X_long, y_long = sampler.fit_resample(X)
    >>> X_long.shape, y_long.tolist()
    ((9, 2), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        n_negatives: int = 4,
        negative_strategy: Strategy = "uniform",
        random_state: RandomState = None,
    ) -> None:
        self.n_negatives = n_negatives
        self.negative_strategy = negative_strategy
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the catalogue and the seen items of each user; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions.
        y : None
            Ignored.
        """
        self._fit_rows(X)
        return self

    def transform(self, X: Any) -> Ids:
        """Draw negatives for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, also of users that `fit` did not see.

        Returns
        -------
        negatives : ndarray of shape (n_samples, n_negatives)
            Ids of catalogue items that the user of the row has seen neither in `fit` nor in X.

        Raises
        ------
        ValueError
            If a user has seen every item.
        """
        check_is_fitted(self)
        return self._draw(read_table(X, with_timestamps=False))

    def fit_resample(self, X: Any, y: Any = None) -> tuple[Any, NDArray[np.float64]]:
        """Append negatives to the table as further rows, and return the labels too.

        imbalanced-learn's pipelines call this method only in `fit`. Remove held-out rows from X
        first: an item of the user in X is never drawn, which would reveal a held-out item.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of the rows of X; None means 1 each.

        Returns
        -------
        X_resampled : DataFrame, Arrow table or ndarray of n_samples * (1 + n_negatives) rows
            The rows of X, then `n_negatives` copies of each row with another item.
        y_resampled : ndarray of shape (n_samples * (1 + n_negatives),)
            Labels; 0 for the negatives.

        Raises
        ------
        ValueError
            If X cannot be read, a user has seen every item, or y has another length.
        """
        rows = self._fit_rows(X)
        labels = np.ones(len(rows)) if y is None else np.asarray(y, dtype=np.float64)
        if labels.shape != (len(rows),):
            raise ValueError(
                f"y must hold one label per row of X, shape ({len(rows)},). Received shape "
                f"{labels.shape}."
            )
        negatives = self._draw(rows).ravel()
        copies = take_rows(X, np.repeat(np.arange(len(rows)), self.n_negatives))
        return (
            open_table(X).with_rows(replace_ids(copies, items=negatives)),
            np.concatenate([labels, np.zeros(len(negatives))]),
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that ids may be strings and categories, and X sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.sparse = True
        return tags

    def _fit_rows(self, X: Any) -> Interactions:
        """Fit, and return the rows, so that X is read only once."""
        check_int("n_negatives", self.n_negatives, 1)
        check_option("negative_strategy", self.negative_strategy, ("uniform", "popularity"))
        rows = read_table(X, with_timestamps=False)
        validate_data(self, X, skip_check_array=True)
        users, self.users_ = index_ids(rows.users)
        items, self.items_ = index_ids(rows.items)
        self.seen_ = seen_matrix(users, items, (len(self.users_), len(self.items_)))
        self.popularity_ = count_users(self.seen_)
        return rows

    def _draw(self, rows: Interactions) -> Ids:
        """Draw ids of negatives, shape (len(rows), n_negatives)."""
        users, ids = index_ids(rows.users)
        weights = None if self.negative_strategy == "uniform" else self.popularity_
        before = lookup_ids(ids.to_numpy(), self.users_, "X: user ids")
        items = lookup_ids(rows.items, self.items_, "X: item ids")
        seen = seen_matrix(users[items >= 0], items[items >= 0], (len(ids), len(self.items_)))
        unseen = UnseenItems(join_seen(self.seen_, before, seen), weights)
        refuse_saturated(unseen, users, ids)
        rng = make_generator(self.random_state)
        return self.items_.to_numpy()[sample_unseen_items(unseen, users, self.n_negatives, rng)]
