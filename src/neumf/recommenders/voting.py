"""A weighted vote of several recommenders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils import Bunch
from sklearn.utils.parallel import Parallel, delayed

from neumf.base import BaseRecommender, keep_rows, read_rows
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.known_users import after_rows, take_users
from neumf.interactions.new_rows import NewRows
from neumf.protocols import Ranker
from neumf.ranking.learned_weights import learn_weights
from neumf.ranking.top_k import candidate_scores
from neumf.recommenders.load import restore_fitted
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Float64s, Indices, Scores
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_n_jobs, check_option, warn_caller

# Maximum number of held-out users to learn weights from: more cost time without a gain.
_MOST_USERS = 20_000


class VotingRecommender(BaseRecommender):
    r"""Recommend by the weighted mean of the scores of several recommenders.

    .. versionadded:: 0.1

    Parameters
    ----------
    recommenders : list of (str, recommender)
        The members and their names. Members are derived from :class:`neumf.base.BaseRecommender`;
        `fit` clones them. ``set_params(name=recommender)`` replaces a member,
        ``set_params(name="drop")`` leaves it out, and ``set_params(name__parameter=value)`` sets
        its parameters, also in a search.
    weights : array-like of shape (n_recommenders,), "held-out" or None, default=None
        Weights of the members.

        - An array: the weight of each member, at least 0.
        - None: all members have the same weight.
        - "held-out": `fit` learns the weights. It holds out one row of each user with at least two
          rows, the last one by timestamp or, without timestamps, a random one. It fits the members
          on the other rows, and finds the weights that make the held-out items most probable, see
          Notes. Then it fits the members on all rows, so that `fit` takes twice the time.
    n_jobs : int or None, default=None
        Number of members that joblib fits at the same time, each in a process of its own. -1 means
        one for each processor. None means 1, unless a `joblib.parallel_config` is active.
    random_state : int, RandomState, Generator or None, default=None
        Seed for ``weights="held-out"``. It draws the held-out rows if X has no timestamps, and
        20,000 of the held-out rows if there are more. Members have seeds of their own.

    Attributes
    ----------
    estimators_, named_estimators_ : list and Bunch of recommenders
        The fitted members, without dropped ones.
    weights_ : ndarray of shape (n_members,)
        The weight of each fitted member; they sum to 1.
    items_ : pandas.Index of shape (n_items,)
        The catalogue. It includes cold items only if all members know the same ones by features.
    users_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.

    See Also
    --------
    sklearn.ensemble.VotingClassifier : The same for classifiers.

    Notes
    -----
    With the scores :math:`s_{mui}` of member m, the score of item i for user u is the weighted mean
    of z-scores (CombSUM)

    .. math:: \frac{1}{\sum_m w_m} \sum_m w_m \, \frac{s_{mui} - \mu_{mu}}{\sigma_{mu}},

    where :math:`\mu_{mu}` and :math:`\sigma_{mu}` are the mean and standard deviation over the
    whole catalogue. A member that gives all items the same score adds nothing. `decision_function`
    returns the weighted mean.

    ``weights="held-out"`` maximises :math:`\sum_u \log p_u` over :math:`w_m \ge 0`, where
    :math:`p_u` is the probability of the held-out item of user u by a softmax of
    :math:`\sum_m w_m z_{mui}` over the candidates, the 20 best unseen items of each member. Users
    whose held-out item is not a candidate are left out. The problem is concave. The weights are
    then divided by their sum.

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
        weights: Sequence[float] | Literal["held-out"] | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.recommenders = recommenders
        self.weights = weights
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with `deep`, also the members and their parameters."""
        parameters: dict[str, Any] = super().get_params(deep=False)
        # `fit` refuses anything but a list of members.
        if deep and _are_pairs(self.recommenders):
            for name, member in self.recommenders:
                parameters[name] = member
                if hasattr(member, "get_params"):
                    own = member.get_params(deep=True).items()
                    parameters |= {f"{name}__{key}": value for key, value in own}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters, members or their parameters, see the class; return self."""
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
        """Fit a clone of each member; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, as the members take them.
        y, sample_weight : array-like of shape (n_samples,) or None, default=None
            Labels and weights of the rows, see :func:`neumf.base.read_rows`. All members get them.

        Raises
        ------
        ValueError, TypeError
            If the value of a parameter is not a documented one, or a member refuses its input.
        """
        members, weights = _check_members(self.recommenders, self.weights)
        check_n_jobs(self.n_jobs, "members")
        random = make_generator(self.random_state)
        rows = read_rows(X, y, sample_weight)
        if isinstance(self.weights, str):
            weights = self._learn_weights(members, rows, random)
        fitted, item_ids = self._fit_members(members, rows)
        attributes = {"weights_": weights} | _attributes_of_members(fitted)
        keep_rows(self, replace(rows, item_ids=item_ids), **attributes)
        return self

    def _fit_members(
        self, members: list[tuple[str, BaseRecommender]], rows: EncodedRows
    ) -> tuple[dict[str, Any], pd.Index]:
        """Fit a clone of each member; return the fitted members and the catalogue."""
        weighted = {} if rows.weights is None else {"sample_weight": rows.weights}
        tasks = (delayed(clone(member).fit)(rows, rows.labels, **weighted) for _, member in members)
        in_order = Parallel(n_jobs=self.n_jobs)(tasks)
        fitted = {name: member for (name, _), member in zip(members, in_order, strict=True)}
        catalogue, *others = (member.items_ for member in in_order)
        shared = all(items.equals(catalogue) for items in others)
        return fitted, catalogue if shared else rows.item_ids

    def _learn_weights(
        self,
        members: list[tuple[str, BaseRecommender]],
        rows: EncodedRows,
        random: np.random.Generator,
    ) -> Float64s:
        """Return the weights that rank a held-out row of each user best; they sum to 1."""
        kept, held_out = rows.hold_out(random)
        if len(held_out) == 0:
            raise ValueError(
                "weights='held-out' holds out a row of each user with several, so X must have such "
                f"users. Received: {rows.shape[0]} users with one row each. Set weights=None."
            )
        if len(held_out) > _MOST_USERS:
            held_out = random.choice(held_out, _MOST_USERS, replace=False)
        fitted, item_ids = self._fit_members(members, kept)
        rankers = [member.ranker_ for member in fitted.values()]
        vote = VotingRanker(rankers, np.ones(len(rankers)), len(item_ids))
        pairs = rows.users[held_out], rows.items[held_out]
        weights = learn_weights(vote.parts, *pairs, kept.known_pairs)
        if not weights.any():
            warn_caller(
                "weights='held-out': no member ranks the held-out items better than chance, so all "
                "members get the same weight. Add other members, or set weights to numbers."
            )
            weights += 1
        weights /= weights.sum()
        return weights

    @property
    def ranker_(self) -> VotingRanker:
        """The ranker, which averages the members' z-scores."""
        return self._ranker_of([member.ranker_ for member in self.estimators_])

    def _ranker_at(self, users: Indices, seconds: Float64s) -> VotingRanker:
        """Return a ranker of queries, made of the members' rankers of queries."""
        return self._ranker_of([member._ranker_at(users, seconds) for member in self.estimators_])

    def _ranker_of(self, rankers: list[Ranker]) -> VotingRanker:
        return VotingRanker(rankers, self.weights_, len(self.items_))

    def _state(self) -> dict[str, Any]:
        members = self.named_estimators_.items()
        fitted = [[name, member._description(member._state())] for name, member in members]
        return super()._state() | {"members": fitted, "weights": self.weights_}

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        fitted = {}
        for pair in state.of_type("members", list):
            if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not str:
                raise damaged_file_error("members must be pairs of a name and a recommender")
            member = fitted[pair[0]] = restore_fitted(CheckedValues(pair[1]))
            if len(member.users_) != len(self.users_) or len(member.items_) < len(self.items_):
                raise damaged_file_error("its members have other users or items")
        weights = state.floats("weights", (len(fitted),), at_least=0)
        self._commit({"weights_": weights} | _attributes_of_members(fitted))

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        members = self.named_estimators_.items()
        return _attributes_of_members({name: take_users(member, kept) for name, member in members})

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        seen, members = rows.seen, {}
        for name, member in self.named_estimators_.items():
            # A member may have further items, which nobody has seen.
            shape = seen.shape[0], len(member.items_)
            own_seen = sp.csr_array((seen.data, seen.indices, seen.indptr), shape=shape)
            members[name] = after_rows(member, replace(rows, seen=own_seen))
        return _attributes_of_members(members)


@dataclass(frozen=True)
class VotingRanker:
    """Score items by the mean of z-scores, with weights that sum to 1."""

    rankers: list[Ranker]
    weights: Float64s
    n_items: int

    def parts(self, users: Indices) -> Iterator[Float64s]:
        """Yield the z-scores of each member, shape (len(users), n_items)."""
        for ranker in self.rankers:
            # Leave out items that only some members know: these are last in their catalogues.
            scores = ranker.score_items(users)[:, : self.n_items].astype(np.float64)
            yield _z_scores(scores)

    def score_items(self, users: Indices) -> Scores:
        """Return scores of shape (len(users), n_items)."""
        total = np.zeros((len(users), self.n_items))
        for part, weight in zip(self.parts(users), self.weights, strict=True):
            total += weight * part
        return total

    def score_candidates(self, users: Indices, items: Indices) -> Scores:
        """Return scores of candidates, shape (n, n_candidates), for users, shape (n,)."""
        return candidate_scores(self.score_items, self.n_items, users, items)


def _attributes_of_members(members: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that hold the fitted members."""
    return {"named_estimators_": Bunch(**members), "estimators_": list(members.values())}


def _z_scores(scores: Float64s) -> Float64s:
    """Overwrite scores by the z-scores of each row, zeros if all its scores are equal."""
    scores -= scores.mean(axis=1, keepdims=True)
    deviations = scores.std(axis=1, keepdims=True)
    scores *= np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 0)
    return scores


def _check_members(
    recommenders: Any, weights: Any
) -> tuple[list[tuple[str, BaseRecommender]], Float64s]:
    """Return the members that are not 'drop', and their weights, which sum to 1."""
    if not _are_pairs(recommenders):
        raise TypeError(
            f"recommenders must be a list of (name, recommender). Received: {recommenders!r}."
        )
    names = [name for name, _ in recommenders]
    parameters = VotingRecommender._get_param_names()
    bad = [name for name in names if not name or "__" in name or name in parameters]
    if bad:
        raise ValueError(
            "recommenders must have names that are not empty, without '__' and other than "
            f"{', '.join(map(repr, parameters))}. Received: {bad[0]!r}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"recommenders must have different names. Received: {names}.")
    for name, member in recommenders:
        if not isinstance(member, BaseRecommender) and member != "drop":
            raise TypeError(
                "recommenders must hold recommenders derived from neumf.base.BaseRecommender, or "
                f"'drop'. Received {name!r}: {member!r}."
            )
    if isinstance(weights, str):
        check_option("weights", weights, ["held-out"])
        weights = None
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
            "weights must hold numbers >= 0 with a sum above 0, and recommenders at least one that "
            f"is not 'drop'. Received weights={weights!r} for {len(shares)} such recommenders."
        )
    members = [pair for pair, keep in zip(recommenders, kept, strict=True) if keep]
    return members, shares / shares.sum()


def _are_pairs(recommenders: Any) -> bool:
    """Return whether this is a list of (name, recommender) tuples."""
    return isinstance(recommenders, list | tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in recommenders
    )
