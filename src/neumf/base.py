"""The base class of all recommenders, also of your own."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from neumf.evaluation.scorers import ndcg_scorer
from neumf.interactions.columns import barred_items, pinned_items
from neumf.interactions.encoded_rows import keep_rows, read_rows
from neumf.interactions.known_users import attributes_of_users, for_users, kept_users
from neumf.interactions.new_rows import NewRows, read_new
from neumf.interactions.reading import read_input
from neumf.interactions.request_times import read_request_time, require_timestamps
from neumf.interactions.user_items import UserItems, popularity_logits_at, read_user_items
from neumf.interactions.vocabulary import extend_index, index_ids, lookup_ids
from neumf.protocols import Ranker
from neumf.ranking.lists import ListRules, best_items
from neumf.ranking.rankers import QueryRanker, pair_scores
from neumf.ranking.requests import queries_of, read_request
from neumf.saving.checked_values import CheckedValues
from neumf.saving.description import describe, read_fitted_rows, state_of_rows
from neumf.saving.values import write_values
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.notebook import NotebookEstimator
from neumf.utils.validation import check_int

__all__ = ["BaseRecommender", "keep_rows", "read_rows"]


class BaseRecommender(NotebookEstimator, ABC):
    """Base class that adds `predict`, `recommend`, `score` and more to a recommender.

    .. versionadded:: 0.1

    A subclass defines

    - `__init__`, which only assigns its parameters, as in any scikit-learn estimator;
    - `fit(X, y=None)`, which reads the table with :func:`read_rows`, learns, passes the learned
      attributes to :func:`keep_rows`, and returns self;
    - the property `ranker_`, a :class:`neumf.protocols.Ranker`; `predict` reads scores as logits;
    - ``_with_interactions(rows)``, to support `interactions=` and `with_interactions`. It returns a
      dict of the fitted attributes, besides `users_` and `seen_`, that new rows change.
      ``rows.indices`` holds the index of each user in `fit`, -1 for new users. ``rows.new.users``,
      ``rows.new.items`` and ``rows.new.seconds`` hold the new rows by user, oldest first;
    - ``_take_users(kept)``, to support `forget`. It returns a dict of the fitted attributes that
      hold values of users, besides those below, for the users with the indices `kept` alone;
    - ``_ranker_at(users, seconds)``, if scores depend on more than the rows of a user before the
      request time. It returns a :class:`~neumf.protocols.Ranker` of queries. `ranker_` then ranks
      for a request time just after the last row of `fit`.

    The scorers, :func:`neumf.evaluate`, :func:`neumf.compare` and scikit-learn's searches accept
    such a recommender. `save` and :func:`neumf.load` do not: pickle it.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index: in order of first appearance.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index.
    seen_ : csr_array of bool of shape (n_users, n_items)
        The items that each user has seen.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``. Ranks the lists of unknown users.
    has_timestamps_ : bool
        Whether the rows given to `fit` had timestamps. Without them, `at` is refused.
    user_items_ : UserItems or None
        The items of each user with their times, oldest first. None without timestamps.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns. Set only if all names are strings.

    See Also
    --------
    neumf.protocols.Recommender : The methods of a recommender that does not derive from this class.

    Examples
    --------
    A recommender that ranks by the largest singular vectors of the matrix of seen items:

    >>> import numpy as np
    >>> from neumf.base import BaseRecommender, keep_rows, read_rows
    >>> class SVDRecommender(BaseRecommender):
    ...     def __init__(self, n_components=1):
    ...         self.n_components = n_components
    ...
    ...     def fit(self, X, y=None):
    ...         rows = read_rows(X, y)
    ...         users, sizes, items = np.linalg.svd(rows.seen.toarray(), full_matrices=False)
    ...         n = self.n_components
    ...         keep_rows(self, rows, logits_=(users * sizes)[:, :n] @ items[:n])
    ...         return self
    ...
    ...     @property
    ...     def ranker_(self):
    ...         return self
    ...
    ...     def score_items(self, users):
    ...         return self.logits_[users]
    ...
    ...     def score_candidates(self, users, items):
    ...         return self.logits_[users[:, None], items]
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3]]
    >>> SVDRecommender().fit(X).recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]
    popularity_logits_: Float64s
    has_timestamps_: bool
    user_items_: UserItems | None

    _unsaved_parameters: ClassVar[tuple[str, ...]] = ()  # a loaded recommender has None instead
    _probabilities: ClassVar[Any] = staticmethod(expit)  # logits -> probabilities

    @property
    @abstractmethod
    def ranker_(self) -> Ranker:
        """The ranker that scores items for users, both given by index."""

    def ranker_at(self, users: Indices, seconds: Float64s) -> Ranker:
        """Return a ranker at request times, see :class:`neumf.protocols.TimedRecommender`."""
        return queries_of(self, users, seconds)[2]

    def _ranker_at(self, users: Indices, seconds: Float64s) -> Ranker:
        """Return a ranker of queries after the users' last rows, see the class."""
        return QueryRanker(self.ranker_, users)

    def predict(self, X: Any, *, interactions: Any = None, at: Any = None) -> Float64s:
        """Return the probability that each user interacts with each item of `X`.

        Parameters
        ----------
        X, interactions, at
            See `decision_function`.

        Returns
        -------
        probability : ndarray of shape (n_samples,)
            The sigmoid of `decision_function`. It is calibrated for `PopularityRecommender` and for
            "binary_crossentropy" as `loss`. `NeuMFRecommender` has its own calibration.
        """
        logits = self.decision_function(X, interactions=interactions, at=at)
        probabilities: Float64s = self._probabilities(logits)
        return probabilities

    def decision_function(self, X: Any, *, interactions: Any = None, at: Any = None) -> Float64s:
        """Return the logit of each pair of user and item.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Pairs of user and item; further columns are ignored.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            Interactions after `fit`, see `recommend`.
        at : "row", float, datetime or None, default=None
            The request time, see `recommend`. "row" uses the timestamp of each row of X.

        Returns
        -------
        logit : ndarray of shape (n_samples,)
            Higher is better. NaN for unknown users and items, with a warning that counts them.
        """
        check_is_fitted(self)
        at_rows = isinstance(at, str) and at == "row"
        rows = read_input(X, with_timestamps=at_rows)
        if at_rows:
            seconds = require_timestamps(rows.seconds, "X", "at='row' is given", "leave at out")
        else:
            seconds = None if at is None else np.full(len(rows), read_request_time(at, "at"))
        known = for_users(self, index_ids(rows.users)[1].to_numpy(), read_new(interactions))
        users = lookup_ids(rows.users, known.users_, "X: user ids")
        items = lookup_ids(rows.items, self.items_, "X: item ids")
        return pair_scores(queries_of(known, users, seconds)[2], users, items)

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        deny: Any = None,
        pin: Any = None,
        interactions: Any = None,
        at: Any = None,
    ) -> pd.DataFrame:
        """Return the best items for each user.

        Parameters
        ----------
        users : id, array-like of ids or None, default=None
            Users to recommend to. None means all users in `interactions` or, without it, in `fit`.
            Unknown users get the most popular items, with a warning that counts them.
        k : int, default=10
            Number of items per user. Users with fewer candidates get fewer rows.
        exclude_seen : bool, default=True
            Leave out the items that the user has seen.
        allow, deny : array-like of ids or None, default=None
            Recommend only the items in `allow`, and no item in `deny`. Unknown ids are ignored.
        pin : array-like of ids or None, default=None
            Items that come first in each list, in this order, with their own scores. The rules of
            `exclude_seen`, `allow` and `deny` hold for them too. Unknown ids are left out, with a
            warning that counts them.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            Interactions after `fit`, in a table like X of `fit` (fold-in). They extend the users'
            histories and seen items for this call only; nothing is trained or stored. Unknown
            items are skipped, with a warning that counts them.
        at : float, datetime or None, default=None
            The request time, in seconds or as a datetime like the timestamps of `fit`. None means
            just after the last row of `fit`. Rows at or after the request time are left out of the
            histories, of the seen items, and of the popularity that ranks the lists of users
            without earlier rows. Learned weights stay the same.

        Returns
        -------
        recommendations : DataFrame with columns user, item, score, rank
            Users in the given order, pinned items first, then the best items. Ranks start at 1.
            The score is the logit. Items with equal scores are in the order of `items_`.

        Raises
        ------
        ValueError, TypeError
            If a table cannot be read, `k` is not an int of at least 1, an id is missing, ids are
            strings but were numbers in `fit` (or the reverse), or `at` is not a time or is given
            although `fit` had no timestamps.

        Notes
        -----
        The lists take about 60 bytes a row if ids are numbers. Each thread (one per core, or
        OMP_NUM_THREADS) also holds 2**23 scores, or the scores of one user if these are more.

        Several threads may call one recommender at once. To refit it meanwhile, fit a copy.
        """
        check_is_fitted(self)
        check_int("k", k, 1)
        request = read_request(self, users, interactions, at)
        barred, pinned = barred_items(self.items_, allow, deny), pinned_items(self.items_, pin)
        return best_items(request, self.items_, k, ListRules(exclude_seen, barred, pinned))

    def with_interactions(self, interactions: Any) -> Self:
        """Return a copy that also knows later interactions, without training.

        Parameters
        ----------
        interactions : array-like of shape (n_rows, n_features >= 2)
            Interactions after `fit`, see `recommend`.

        Returns
        -------
        recommender : recommender of the same class
            Knows the users of both tables. Catalogue and popularity stay the same.

        Examples
        --------
        >>> from neumf import ItemKNNRecommender
        >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 3], ["d", 3]]
        >>> model = ItemKNNRecommender().fit(X).with_interactions([["new", 1]])
        >>> model.recommend("new", k=1)[["user", "item"]]
          user  item
        0  new     2
        """
        check_is_fitted(self)
        new = read_input(interactions, "interactions")
        ids = extend_index(new.users, self.users_, "interactions: user ids")[1]
        known: Self = for_users(self, ids.to_numpy(), new)
        return known

    def forget(self, users: Any) -> Self:
        """Remove users, and the values that the recommender holds of each of them.

        Parameters
        ----------
        users : id or array-like of ids
            Users to remove. A warning counts unknown ids.

        Returns
        -------
        self : recommender
            The recommender without these users, who are unknown to it from now on.

        Raises
        ------
        ValueError, TypeError
            If an id is missing, ids are strings but were numbers in `fit` (or the reverse), or no
            user would be left.

        Notes
        -----
        `forget` removes ids, seen items, times, histories and vectors, in a vote also those of the
        members. Values for all users stay until the next `fit`: the catalogue, item vectors and
        weights, layers, and the counts of `popularity_`. Older files, pickles and the parameters of
        the constructor, such as `user_features`, stay too. After an error, nothing has changed.
        """
        check_is_fitted(self)
        self._commit(attributes_of_users(self, kept_users(users, self.users_)))
        return self

    def score(self, X: Any, y: Any = None) -> float:
        """Return NDCG@10 of held-out interactions, ranked among the whole catalogue.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Held-out interactions.
        y : array-like of shape (n_samples,) or None, default=None
            Labels; rows with a label above 0 are positives. None makes every row a positive.

        Returns
        -------
        score : float
            Between 0 and 1.
        """
        return ndcg_scorer()(self, X, y)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        A `random_state` that is a generator is stored as None, and a duration as text.

        Parameters
        ----------
        path : str or path
            The file; "~" is the home folder. An existing file is replaced once the new one is
            complete; its mode is kept.

        Raises
        ------
        TypeError, ValueError, OSError
            If a parameter or an id cannot be stored, the parameters take more than 512 KiB, the
            class is not one of this library, the file cannot be written, or `path` exists and is
            not a regular file.
        """
        check_is_fitted(self)
        write_values(path, self._description(self._state()))

    def _description(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return class, parameters and, if given, the fitted state, as values of a file."""
        return describe(self, self._unsaved_parameters, state)

    def _state(self) -> dict[str, Any]:
        """Return the fitted state by name: values for :func:`neumf.saving.values.write_values`."""
        rows = self.user_items_
        return state_of_rows(self.__dict__) | {"user_items_": None if rows is None else vars(rows)}

    def _restore(self, state: CheckedValues) -> None:
        """Set the fitted state from a file. Check each value: the file may be hostile."""
        attributes = read_fitted_rows(state)
        rows = read_user_items(state, attributes["seen_"].shape)
        self._commit(attributes | {"user_items_": rows})

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, which describe the accepted input."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.string = tags.input_tags.categorical = tags.input_tags.sparse = True
        return tags

    def _commit(self, attributes: dict[str, Any]) -> None:
        """Set fitted attributes all at once: an interrupt finds the old or the new ones."""
        kept = dict(self.__dict__)
        if "n_features_in_" in attributes:
            kept.pop("feature_names_in_", None)
        self.__dict__ = kept | attributes

    def _popularity_logits_at(self, seconds: float) -> Float64s:
        """Return `popularity_logits_` of the rows before a request time."""
        return popularity_logits_at(self.user_items_, len(self.items_), seconds)

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        """Return further attributes that hold values of users, see the class."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot forget users: it has no method _take_users, see "
            "neumf.base.BaseRecommender. Fit it anew without their rows."
        )

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        """Return the attributes that new rows change, see the class."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot take interactions: it has no method _with_interactions, "
            "see neumf.base.BaseRecommender. Fit it anew with the interactions in X."
        )
