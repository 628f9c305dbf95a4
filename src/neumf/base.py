"""What all recommenders share, and what a recommender of your own is made from.

A subclass of :class:`BaseRecommender` writes `fit` and `ranker_`; `fit` reads its rows with
:func:`read_rows` and keeps them with :func:`keep_rows`.
"""

from __future__ import annotations

import datetime as dt
import os
from abc import ABC, abstractmethod
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.evaluation.scorers import ndcg_scorer
from neumf.interactions.columns import barred_items, read_ids
from neumf.interactions.encoded_rows import EncodedRows, read_rows
from neumf.interactions.moments import moments_of_rows, read_moment
from neumf.interactions.new_rows import match_new_rows
from neumf.interactions.reading import read_input
from neumf.interactions.seen import bar_seen, count_users, join_seen, seen_matrix
from neumf.interactions.tables import Interactions
from neumf.interactions.user_items import UserItems
from neumf.interactions.vocabulary import (
    describe_other_kind,
    extend_index,
    index_ids,
    indices_of,
    lookup_ids,
)
from neumf.protocols import Ranker
from neumf.ranking.rankers import PopularityRanker, QueryRanker, ranker_at, refuse_untimed
from neumf.ranking.top_k import top_lists
from neumf.saving.checked_values import CheckedValues
from neumf.saving.values import write_values
from neumf.utils.arrays import Codes, Float64s, Ids, Scores
from neumf.utils.validation import check_int, warn_caller

_COLUMNS = pd.Index(["user", "item", "score", "rank"])

__all__ = ["BaseRecommender", "keep_rows", "read_rows"]


def keep_rows(recommender: BaseRecommender, X: Any, rows: EncodedRows) -> None:
    """Set what recommending needs of the rows, at the end of `fit`, when nothing more can fail.

    .. versionadded:: 0.1

    Parameters
    ----------
    recommender : BaseRecommender
        Gets the attributes `users_`, `items_`, `seen_`, `popularity_`, `popularity_logits_`,
        `has_timestamps_`, `n_features_in_` and, where all columns have names that are strings,
        `feature_names_in_`.
    X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
        What `fit` was given.
    rows : EncodedRows
        What :func:`read_rows` made of it.

    Examples
    --------
    >>> from neumf import PopularityRecommender
    >>> from neumf.base import keep_rows, read_rows
    >>> recommender, X = PopularityRecommender(), [["a", "x"], ["b", "x"], ["a", "y"]]
    >>> keep_rows(recommender, X, read_rows(X))
    >>> recommender.popularity_.tolist()
    [2, 1]
    """
    columns = recommender._columns_of(X if rows.header is None else rows.header)
    recommender._commit(columns | recommender._attributes_of_rows(rows, rows.seen))


class BaseRecommender(BaseEstimator, ABC):
    """Base of recommenders: gives `predict`, `recommend`, `score` and the like.

    .. versionadded:: 0.1

    A subclass writes

    - `__init__`, which assigns its parameters, as in any scikit-learn estimator;
    - `fit(X, y=None)`, which reads the table with :func:`read_rows`, learns, then calls
      :func:`keep_rows`, sets what it has learned and returns self;
    - the property `ranker_`, a :class:`neumf.protocols.Ranker`: what gives the scores. `predict`
      takes them for logits.

    The scorers, :func:`neumf.evaluate`, :func:`neumf.compare` and scikit-learn's searches then work
    with it. `interactions=` and `folded_in` work if it also writes ``_fold_in(codes, new, seen)``,
    see there. Where scores depend on the moment of the question, it writes
    ``ranker_at(users, seconds)`` too; `ranker_` then is as just after the last row of `fit`.
    :func:`neumf.load` makes only the recommenders of the library: pickle others.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index.
    seen_ : csr_array of shape (n_users, n_items)
        The items that each user has seen.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
    has_timestamps_ : bool
        Whether the rows given to `fit` had timestamps, without which no moment can be asked about.

    See Also
    --------
    neumf.protocols.Recommender : What is asked of recommenders that do not derive from this class.

    Examples
    --------
    A recommender that ranks by the largest singular vectors of the matrix of seen items:

    >>> import numpy as np
    >>> from neumf import ndcg_scorer
    >>> from neumf.base import BaseRecommender, keep_rows, read_rows
    >>> class SVDRecommender(BaseRecommender):
    ...     def __init__(self, n_components=1):
    ...         self.n_components = n_components
    ...
    ...     def fit(self, X, y=None):
    ...         rows = read_rows(X, y)
    ...         users, sizes, items = np.linalg.svd(rows.seen.toarray(), full_matrices=False)
    ...         keep_rows(self, X, rows)
    ...         self.user_factors_ = (users * sizes)[:, : self.n_components]
    ...         self.item_factors_ = items[: self.n_components].T
    ...         return self
    ...
    ...     @property
    ...     def ranker_(self):
    ...         return self
    ...
    ...     def score_items(self, users):
    ...         return self.user_factors_[users] @ self.item_factors_.T
    ...
    ...     def score_candidates(self, users, items):
    ...         return np.einsum("nf,ncf->nc", self.user_factors_[users], self.item_factors_[items])
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3]]
    >>> model = SVDRecommender().fit(X)
    >>> model.recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    >>> ndcg_scorer()(model, [["c", 2]])
    1.0
    """

    users_: pd.Index
    items_: pd.Index
    seen_: sp.csr_array
    popularity_: NDArray[np.int64]
    popularity_logits_: NDArray[np.float64]
    has_timestamps_: bool

    # Files leave these out: a loaded recommender has None in their place.
    _unsaved_parameters: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def ranker_(self) -> Ranker:
        """What gives the scores, by index of users and items."""

    def ranker_at(self, users: Codes, seconds: Float64s) -> Ranker:
        """Return what scores users, each at a moment: here the same at any.

        See :class:`neumf.protocols.TimedRecommender`.
        """
        return QueryRanker(self.ranker_, users)

    def predict(self, X: Any, *, interactions: Any = None, at: Any = None) -> NDArray[np.float64]:
        """Return the probability of each interaction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Pairs of user and item; further columns are ignored.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit`, see `recommend`.
        at : "row", float, datetime or None, default=None
            The moment of the question, see `recommend`; "row" asks for each row at its timestamp.

        Returns
        -------
        probability : ndarray of shape (n_samples,)
            Between 0 and 1: the sigmoid of `decision_function`. NaN, with a warning that counts
            them, where `fit` did not see the user or the item.

        Raises
        ------
        ValueError
            If X cannot be read, its ids are strings where `fit` saw numbers, or the reverse, or
            `at` is no moment, or asks for timestamps where there are none.
        """
        return expit(self._logits(X, interactions, at))

    def decision_function(
        self, X: Any, *, interactions: Any = None, at: Any = None
    ) -> NDArray[np.float64]:
        """Return the logit of each interaction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Pairs of user and item; further columns are ignored.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit`, see `recommend`.
        at : "row", float, datetime or None, default=None
            The moment of the question, see `recommend`; "row" asks for each row at its timestamp.

        Returns
        -------
        logit : ndarray of shape (n_samples,)
            Higher is better. NaN, with a warning that counts them, where `fit` did not see the
            user or the item.

        Raises
        ------
        ValueError
            If X cannot be read, its ids are strings where `fit` saw numbers, or the reverse, or
            `at` is no moment, or asks for timestamps where there are none.
        """
        return self._logits(X, interactions, at)

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Any = None,
        deny: Any = None,
        interactions: Any = None,
        at: Any = None,
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
        at : float, datetime or None, default=None
            The moment of the question: a number of seconds or a datetime, as the timestamps of
            `fit` are. None is just after the last row of `fit`. Recommenders whose scores depend on
            it know what happened before it alone; others give the same lists at any moment. The
            items that count as seen, and the popularity that ranks the lists of unknown users, are
            those of all rows, whatever the moment.

        Returns
        -------
        recommendations : DataFrame with columns user, item, score, rank
            Users in the order given, each one's items best first, ranks from 1. The score is the
            logit. Equal scores are ordered as the items are in `items_`.

        Raises
        ------
        ValueError, TypeError
            If `k` is no int of at least 1, an id is missing, item ids are strings where `fit`
            saw numbers, or the reverse, or `at` is no moment or the rows of `fit` had no
            timestamps.

        Notes
        -----
        Users are scored some at a time, in a thread per core (or as many as OMP_NUM_THREADS says).
        Memory is bounded by that of the lists, about 60 bytes a row where ids are numbers, and in
        each thread 2**23 scores, or those of one user if there are more items. For more users than
        that has room for, call it with a part of them at a time.

        Many threads may ask one recommender at once. Before it is fitted again, or by
        `partial_fit`, put a copy in its place for them.
        """
        check_is_fitted(self)
        check_int("k", k, 1)
        new = (
            None
            if interactions is None
            else read_input(interactions, "interactions", may_be_empty=True)
        )
        if users is None:
            ids = self.users_.to_numpy() if new is None else index_ids(new.users)[1].to_numpy()
        else:
            ids = read_ids(users, "users", self.users_)
        known = self if new is None else self._folded_in(ids, new)
        codes = known._user_codes(ids)
        moments = None if at is None else np.full(len(codes), read_moment(at, "at"))
        ranker = known._ranker_of_queries(codes, moments)
        barred = barred_items(self.items_, allow, deny)

        def score(block: slice) -> Scores:
            scores = known._scores_or_popularity(ranker, codes, block)
            if exclude_seen:
                bar_seen(scores, known.seen_, codes[block])
            if len(barred):
                scores[:, barred] = -np.inf
            return scores

        rows, items, scores, ranks = top_lists(len(codes), len(self.items_), k, score)
        lists = pd.DataFrame(
            {0: ids[rows], 1: self.items_.to_numpy()[items], 2: scores, 3: ranks}, copy=False
        )
        # To name them takes longer than to make them, where the names are not an index yet.
        lists.columns = _COLUMNS.copy()
        return lists

    def folded_in(self, interactions: Any) -> Self:
        """Return a copy that knows what users did since `fit`, without training.

        Parameters
        ----------
        interactions : array-like of shape (n_rows, n_features >= 2)
            What users did since `fit`, see `recommend`.

        Returns
        -------
        recommender : recommender of the same class
            Knows the users of `fit` and those of the interactions, as they are after them: what
            they did counts as seen. It can be measured with :func:`neumf.evaluate`. The catalogue,
            popularity and what was learned are as they were; this recommender does not change.

        Raises
        ------
        ValueError, TypeError
            If the table cannot be read, or its ids are strings where `fit` saw numbers, or the
            reverse.

        Examples
        --------
        >>> from neumf import ItemKNNRecommender
        >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 3], ["d", 3]]
        >>> model = ItemKNNRecommender().fit(X).folded_in([["new", 1]])
        >>> model.recommend("new", k=1)[["user", "item"]]
          user  item
        0  new     2
        """
        check_is_fitted(self)
        new = read_input(interactions)
        ids = extend_index(new.users, self.users_, "interactions: user ids")[1]
        return self._folded_in(ids.to_numpy(), new)

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
            Between 0 and 1, see :func:`neumf.ndcg_scorer`.
        """
        return ndcg_scorer()(self, X, y)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        A `random_state` that is a generator is stored as None, and a duration as text.

        Parameters
        ----------
        path : str or path
            The file. If it exists, it is replaced once the new one is complete, and keeps its mode.

        Raises
        ------
        TypeError
            If a file cannot hold a parameter or an id, or the class is not one of this library.
        ValueError, OSError
            If the file cannot be written, or something other than a regular file is at the path.
        """
        check_is_fitted(self)
        write_values(path, self._description(self._state()))

    def _description(self, state: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return class, parameters and, if given, the fitted state, as a file holds them."""
        cls = type(self)
        if not cls.__module__.startswith("neumf.recommenders."):
            raise TypeError(
                f"{cls.__name__} cannot be saved: load makes only the recommenders of neumf. Pickle"
                " it, for example with joblib.dump, and load pickles only from those you trust."
            )
        parameters = {
            name: None if name in self._unsaved_parameters else _plain_parameter(value)
            for name, value in self.get_params(deep=False).items()
        }
        parts = {"class": cls.__name__, "parameters": parameters}
        return parts if state is None else parts | {"state": state}

    def _state(self) -> dict[str, Any]:
        """Return the fitted state by name: values for :func:`neumf.saving.values.write_values`."""
        names = ("users_", "items_", "seen_", "popularity_", "popularity_logits_")
        state = {name: getattr(self, name) for name in (*names, "has_timestamps_")}
        columns = list(getattr(self, "feature_names_in_", ()))
        return state | {"n_features_in_": self.n_features_in_, "feature_names_in_": columns}

    def _restore(self, state: CheckedValues) -> None:
        """Set the fitted state, after a check of each value: anyone may have written the file."""
        self.users_, self.items_ = state.ids("users_"), state.ids("items_")
        n_users, n_items = len(self.users_), len(self.items_)
        self.seen_ = state.sparse("seen_", (n_users, n_items), np.bool_)
        self.popularity_ = state.indices("popularity_", (n_items,), 2**63 - 1)
        self.popularity_logits_ = state.floats("popularity_logits_", (n_items,))
        self.has_timestamps_ = state.of_type("has_timestamps_", bool)
        self.n_features_in_ = state.integer("n_features_in_", 1)
        if columns := state.strings("feature_names_in_"):
            self.feature_names_in_ = np.array(columns, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what input is welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        return tags

    def _attributes_of_rows(self, rows: EncodedRows, seen: sp.csr_array) -> dict[str, Any]:
        """Return ids, seen items and popularity, by the names of the attributes."""
        popularity = count_users(seen)
        return {
            "users_": rows.user_ids,
            "items_": rows.item_ids,
            "seen_": seen,
            "popularity_": popularity,
            "popularity_logits_": logit((popularity + 1) / (rows.shape[0] + 2)),  # Laplace's rule
            "has_timestamps_": rows.timestamps is not None,
        }

    def _columns_of(self, X: Any) -> dict[str, Any]:
        """Return the number and, if all are strings, the names of the columns of X."""
        probe = BaseEstimator()
        validate_data(probe, X, skip_check_array=True)
        return dict(probe.__dict__)

    def _commit(self, attributes: dict[str, Any]) -> None:
        """Set fitted attributes, when nothing more can fail."""
        if "n_features_in_" in attributes:
            self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(attributes)

    def _logits(self, X: Any, interactions: Any, at: Any) -> NDArray[np.float64]:
        """Return the logit of each row, NaN with a warning where the user or item is unknown."""
        check_is_fitted(self)
        of_rows = isinstance(at, str) and at == "row"
        rows = read_input(X, with_timestamps=of_rows)
        moments = None
        if at is not None:
            moments = (
                moments_of_rows(rows) if of_rows else np.full(len(rows), read_moment(at, "at"))
            )
        if interactions is None:
            recommender = self
        else:
            new = read_input(interactions, "interactions", may_be_empty=True)
            recommender = self._folded_in(index_ids(rows.users)[1].to_numpy(), new)
        users = lookup_ids(rows.users, recommender.users_, "X: user ids")
        items = lookup_ids(rows.items, self.items_, "X: item ids")
        known = (users >= 0) & (items >= 0)
        if not known.all():
            warn_caller(
                f"{int((~known).sum())} of {len(known)} rows name a user or an item that fit did "
                "not see; their value is NaN."
            )
        logits = np.full(len(rows), np.nan)
        ranker = recommender._ranker_of_queries(users, moments)
        queries = np.flatnonzero(known)
        logits[known] = ranker.score_candidates(queries, items[known, None])[:, 0]
        return logits

    def _ranker_of_queries(self, users: Codes, moments: Float64s | None) -> Ranker:
        """Return what scores queries: users (-1: unknown), each at a moment if there are any."""
        if moments is None:
            return QueryRanker(self.ranker_, users)
        refuse_untimed(self)
        return ranker_at(self, users, moments)

    def _folded_in(self, ids: Ids, new: Interactions) -> Self:
        """Return a copy that knows these users, as they are after new interactions, and no others.

        Those that neither `fit` nor a row with a known item tells of stay unknown.
        """
        self._check_order_of_interactions(new)
        rows = match_new_rows(new, ids, self.users_, self.items_)
        shape = (len(rows.user_ids), len(self.items_))
        new_seen = seen_matrix(rows.new.users, rows.new.items, shape)
        seen = join_seen(self.seen_, rows.codes, new_seen)
        return self._after(rows.user_ids, rows.codes, rows.new, seen)

    def _after(self, user_ids: pd.Index, codes: Codes, new: UserItems, seen: sp.csr_array) -> Self:
        """Return a copy that knows these users alone, as `_fold_in` has them."""
        known = copy(self)
        known._fold_in(codes, new, seen)
        known.users_, known.seen_ = user_ids, seen
        return known

    def _fold_in(self, codes: Codes, new: UserItems, seen: sp.csr_array) -> None:
        """Bring what the ranker needs, besides `users_` and `seen_`, to users with new rows.

        `self` is a shallow copy, whose attributes may be set but whose arrays must not be written
        to. `codes` are the indices that its users had before, -1 for new ones; `new` holds their
        new rows, ``new.users`` and ``new.items`` by index, user by user and oldest first, and, if
        the table had timestamps, ``new.seconds``; `seen` what the users have seen after them.
        `users_` and `seen_` follow by themselves: a ranker that needs no more does nothing here.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot take interactions that came after fit: it has no method "
            "_fold_in, see neumf.base.BaseRecommender. Fit it anew with the interactions in X."
        )

    def _check_order_of_interactions(self, new: Interactions) -> None:
        """Raise if the rows have no order in time, or no times, and the recommender needs them."""

    def _user_codes(self, ids: Ids) -> Codes:
        """Return indices of users, -1 for unknown ones; they get a list all the same."""
        codes = indices_of(ids, self.users_)
        complaint = describe_other_kind(codes, ids, self.users_, "users")
        if complaint:
            warn_caller(
                f"{complaint} Until then they are unknown users, who get the most popular items."
            )
        return codes

    def _scores_or_popularity(self, ranker: Ranker, users: Codes, block: slice) -> Scores:
        """Return a block of queries' scores of all items, those of popularity for unknown users."""
        queries, known = np.arange(block.start, block.stop), users[block] >= 0
        if known.all():
            return ranker.score_items(queries)
        scores = PopularityRanker(self.popularity_logits_).score_items(queries)
        if known.any():
            scores[known] = ranker.score_items(queries[known])
        return scores


def _plain_parameter(value: Any) -> Any:
    """Return a parameter as a file holds it."""
    if isinstance(value, BaseRecommender):
        return value._description()
    if isinstance(value, dt.timedelta | np.timedelta64):
        return str(pd.Timedelta(value))  # which `half_life` and `decay` accept
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return None
    if type(value) in (list, tuple):
        return type(value)(map(_plain_parameter, value))
    return value
