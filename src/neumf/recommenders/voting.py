"""Several recommenders as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils.parallel import Parallel, delayed

from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.user_items import UserItems
from neumf.protocols import Ranker
from neumf.ranking.sparse_candidates import candidates_of_lists
from neumf.recommenders.load import restore_fitted
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import check_loaded, damaged_file_error
from neumf.utils.arrays import Codes, Float64s, Scores
from neumf.utils.validation import check_n_jobs, check_option

_NORMALIZATIONS = ("zscore", "share")


class VotingRecommender(BaseRecommender):
    r"""Recommend by the weighted mean of what several recommenders say.

    .. versionadded:: 0.1

    Parameters
    ----------
    recommenders : list of (str, recommender)
        The members, by name: recommenders of this library, or classes derived from
        :class:`neumf.base.BaseRecommender`. They are cloned before they are fitted. A member is
        replaced by ``set_params(name=recommender)``, left out by ``set_params(name="drop")``, and
        its parameters are set by ``set_params(name__parameter=value)``, also in a search.
    weights : array-like of shape (n_recommenders,) or None, default=None
        How much each member counts, a number of at least 0, not all of them 0. None lets all count
        alike.
    normalization : {"zscore", "share"}, default="zscore"
        What becomes of the scores of a member before they are added, see Notes. "zscore" takes any
        scores; "share" suits those that tell how probable an item is, of networks, their
        neighbours, rules and EASE.
    n_jobs : int or None, default=None
        So many members are fitted side by side, each in a process of its own, by joblib. -1 means
        as many as there are processors; None means 1, unless a `joblib.parallel_config` says
        otherwise.

    Attributes
    ----------
    estimators_ : list of recommenders
        The fitted members, without those that are dropped.
    named_estimators_ : Bunch
        The fitted members, by name.
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index. Cold items that members know by features are
        in it if all members have the same ones.
    seen_ : csr_array of shape (n_users, n_items)
        The items that each user has seen.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    sklearn.ensemble.VotingClassifier : The same for classifiers.

    Notes
    -----
    The members score on scales of their own. With the scores :math:`s_{mui}` of member m, that of
    item i for user u is the weighted mean

    .. math:: \frac{1}{\sum_m w_m} \sum_m w_m \, n(s_{mui})

    of normalised scores (CombSUM). With "zscore", :math:`n(s_{mui})` is

    .. math:: \frac{s_{mui} - \mu_{mu}}{\sigma_{mu}},

    where :math:`\mu_{mu}` and :math:`\sigma_{mu}` are mean and standard deviation over the whole
    catalogue. A member that gives all items one score adds nothing. With "share" it is

    .. math::

        \frac{\exp s_{mui}}{\sum_j \exp s_{muj}}
        \quad \text{or} \quad
        \frac{\max(s_{mui}, 0)}{\sum_j \max(s_{muj}, 0)}.

    The first, a softmax, is for logits: the scores of `NeuMFRecommender` and of
    `PopularityRecommender`, and of a ranker with ``gives_logits = True``. The second is for all
    others, and a member without a score above 0 adds nothing.

    `decision_function` gives the mean. `predict` maps it to between 0 and 1, but is no calibrated
    probability.

    References
    ----------
    Fox, Shaw (1994), Combination of multiple searches, TREC-2, NIST SP 500-215.

    Montague, Aslam (2001), Relevance score normalization for metasearch, CIKM,
    doi 10.1145/502585.502657.

    Examples
    --------
    >>> from neumf import ItemKNNRecommender, PopularityRecommender, VotingRecommender
    >>> X = [["a", 1], ["a", 2], ["b", 1], ["b", 2], ["c", 1], ["d", 3], ["e", 3], ["f", 3]]
    >>> members = [("knn", ItemKNNRecommender()), ("popular", PopularityRecommender())]
    >>> model = VotingRecommender(members, weights=[1, 0.5]).fit(X)
    >>> model.recommend("c", k=1)[["user", "item"]]
      user  item
    0    c     2
    >>> model.set_params(knn__n_neighbors=20).get_params()["knn__n_neighbors"]
    20
    """

    def __init__(
        self,
        recommenders: Sequence[tuple[str, Any]],
        *,
        weights: Sequence[float] | None = None,
        normalization: str = "zscore",
        n_jobs: int | None = None,
    ) -> None:
        self.recommenders = recommenders
        self.weights = weights
        self.normalization = normalization
        self.n_jobs = n_jobs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with `deep` also the members by name and their parameters.

        Parameters
        ----------
        deep : bool, default=True
            Tells whether those of the members are wanted.

        Returns
        -------
        parameters : dict of str to value
            By name; a parameter of a member as ``name__parameter``.
        """
        parameters: dict[str, Any] = super().get_params(deep=False)
        # What is no list of members is refused by `fit`.
        if deep and _are_pairs(self.recommenders):
            for name, member in self.recommenders:
                parameters[name] = member
                if hasattr(member, "get_params"):
                    of_member = member.get_params(deep=True).items()
                    parameters |= {f"{name}__{key}": value for key, value in of_member}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters, members by their names, or parameters of members.

        Parameters
        ----------
        **parameters : Any
            `recommenders`, `weights`, `normalization`, `n_jobs`, ``name`` (a recommender or
            "drop"), or ``name__parameter``.

        Returns
        -------
        self : VotingRecommender
            This recommender.

        Raises
        ------
        ValueError
            If there is no parameter of such a name.
        """
        if "recommenders" in parameters:
            self.recommenders = parameters.pop("recommenders")
        pairs = self.recommenders if _are_pairs(self.recommenders) else []
        names = [name for name, _ in pairs]
        replaced = {name: parameters.pop(name) for name in names if name in parameters}
        if replaced:
            self.recommenders = [(name, replaced.get(name, member)) for name, member in pairs]
        super().set_params(**parameters)
        return self

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit a clone of each member.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, as the members take them.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 are positives. None makes all rows positives.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, which all members get if given.

        Returns
        -------
        self : VotingRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is none of those above, or a member refuses what it is given.
        """
        members, weights = _check_members(self.recommenders, self.weights)
        check_option("normalization", self.normalization, _NORMALIZATIONS)
        check_n_jobs(self.n_jobs, "members")
        rows = read_rows(X, y, sample_weight)
        weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
        tasks = (delayed(clone(member).fit)(X, y, **weighted) for _, member in members)
        in_order = Parallel(n_jobs=self.n_jobs)(tasks)
        fitted = {name: member for (name, _), member in zip(members, in_order, strict=True)}
        catalogue, *others = (member.items_ for member in fitted.values())
        if all(items.equals(catalogue) for items in others):
            rows = replace(rows, item_ids=catalogue)
        keep_rows(self, X, rows)
        self.named_estimators_ = Bunch(**fitted)
        self.estimators_ = list(fitted.values())
        self._weights = weights
        return self

    @property
    def ranker_(self) -> VotingRanker:
        """What gives the scores: those of the members."""
        return self._ranker_of([member.ranker_ for member in self.estimators_])

    def ranker_at(self, users: Codes, seconds: Float64s) -> VotingRanker:
        """Return what scores users, each at a moment, as the members do.

        See :class:`neumf.protocols.TimedRecommender`.
        """
        return self._ranker_of([member.ranker_at(users, seconds) for member in self.estimators_])

    def _ranker_of(self, rankers: list[Ranker]) -> VotingRanker:
        return VotingRanker(rankers, self._weights, self.normalization, len(self.items_))

    def _state(self) -> dict[str, Any]:
        members = self.named_estimators_.items()
        fitted = [[name, member._description(member._state())] for name, member in members]
        return super()._state() | {"members": fitted, "weights": self._weights}

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        check_loaded(check_option, "normalization", self.normalization, _NORMALIZATIONS)
        fitted = {}
        for pair in state.of_type("members", list):
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
                raise damaged_file_error("members must be pairs of a name and a recommender")
            member = fitted[pair[0]] = restore_fitted(CheckedValues(pair[1]))
            if len(member.users_) != len(self.users_) or len(member.items_) < len(self.items_):
                raise damaged_file_error("its members have other users or items")
        self._weights = state.floats("weights", (len(fitted),), at_least=0)
        self.named_estimators_ = Bunch(**fitted)
        self.estimators_ = list(fitted.values())

    def _after(self, user_ids: pd.Index, codes: Codes, new: UserItems, seen: sp.csr_array) -> Self:
        known = super()._after(user_ids, codes, new, seen)
        parts, n_users = (seen.data, seen.indices, seen.indptr), len(user_ids)
        members = {
            name: member._after(
                user_ids, codes, new, sp.csr_array(parts, shape=(n_users, len(member.items_)))
            )
            for name, member in self.named_estimators_.items()
        }
        known.named_estimators_ = Bunch(**members)
        known.estimators_ = list(members.values())
        return known

    def _fold_in(self, codes: Codes, new: UserItems, seen: sp.csr_array) -> None:
        """Do nothing: the members do."""

    def _check_order_of_interactions(self, new: Interactions) -> None:
        for member in self.estimators_:
            member._check_order_of_interactions(new)


@dataclass(frozen=True)
class VotingRanker:
    """Scores items by the weighted mean of normalised scores.

    Attributes
    ----------
    rankers : list of Ranker
        The members.
    weights : ndarray of shape (n_rankers,)
        How much each counts; they add up to 1.
    normalization : {"zscore", "share"}
        What becomes of their scores before they are added.
    n_items : int
        Size of the catalogue.
    """

    rankers: list[Ranker]
    weights: Float64s
    normalization: str
    n_items: int

    def score_items(self, users: Codes) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        total = np.zeros((len(users), self.n_items))
        for ranker, weight in zip(self.rankers, self.weights, strict=True):
            # Items that not all members know stand behind those of the rows, and are left out.
            scores = ranker.score_items(users)[:, : self.n_items].astype(np.float64)
            total += weight * self._normalized(scores, getattr(ranker, "gives_logits", False))
        return total

    def _normalized(self, scores: Float64s, are_logits: bool) -> Float64s:
        """Return what is added up; the scores may be written to."""
        if self.normalization == "zscore":
            scores -= scores.mean(axis=1, keepdims=True)
            whole = scores.std(axis=1, keepdims=True)
        elif are_logits:
            shares: Float64s = softmax(scores, axis=1)
            return shares
        else:
            np.maximum(scores, 0, out=scores)
            whole = scores.sum(axis=1, keepdims=True)
        scores *= np.divide(1, whole, out=np.zeros_like(whole), where=whole > 0)
        return scores

    def score_candidates(self, users: Codes, items: Codes) -> Scores:
        """Return scores of users, shape (n,), with candidates, shape (n, n_candidates)."""
        return candidates_of_lists(self.score_items, self.n_items, users, items)


def _check_members(
    recommenders: Any, weights: Any
) -> tuple[list[tuple[str, BaseRecommender]], Float64s]:
    """Return the members that are not dropped, and weights that add up to 1."""
    if not _are_pairs(recommenders):
        raise TypeError(
            f"recommenders must be a list of (name, recommender). Received: {recommenders!r}."
        )
    _check_names([name for name, _ in recommenders])
    for name, member in recommenders:
        if not isinstance(member, BaseRecommender) and member != "drop":
            raise TypeError(
                "recommenders must hold recommenders of neumf, or classes derived from "
                f"neumf.base.BaseRecommender, or 'drop'. Received {name!r}: {member!r}."
            )
    shares = np.ones(len(recommenders)) if weights is None else np.asarray(weights, np.float64)
    kept = np.array([member != "drop" for _, member in recommenders], dtype=bool)
    if shares.shape != kept.shape:
        raise ValueError(
            f"weights must hold one number for each of the {len(kept)} recommenders. Received: "
            f"{weights!r}."
        )
    shares = shares[kept]
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.any()):
        raise ValueError(
            "weights must hold numbers >= 0, not all of them zero, and recommenders at least one "
            f"that is not dropped. Received weights={weights!r} for {len(shares)} recommenders."
        )
    members = [pair for pair, keep in zip(recommenders, kept, strict=True) if keep]
    return members, shares / shares.sum()


def _are_pairs(recommenders: Any) -> bool:
    """Tell whether this is a list of names with something each."""
    return isinstance(recommenders, list | tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in recommenders
    )


def _check_names(names: list[str]) -> None:
    """Raise unless each name can stand for one member among the parameters."""
    parameters = VotingRecommender._get_param_names()
    for name in names:
        if not name or "__" in name or name in parameters:
            raise ValueError(
                "recommenders must have names that are not empty, without '__' and other than "
                f"{', '.join(map(repr, parameters))}. Received: {name!r}."
            )
    if len(set(names)) < len(names):
        raise ValueError(f"recommenders must have a name of its own each. Received: {names}.")
