"""Lists of another recommender, made more diverse and held to limits of groups."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from neumf.base import BaseRecommender
from neumf.interactions.features import join_features
from neumf.interactions.known_users import after_rows, take_users
from neumf.interactions.new_rows import NewRows
from neumf.protocols import Ranker
from neumf.ranking.group_limits import GroupLimits, read_limits
from neumf.ranking.reranking import RerankingRanker, Vectors
from neumf.recommenders.load import restore_fitted
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.arrays import Float64s, Indices
from neumf.utils.validation import check_int, check_real

# The fitted attributes that it has in common with its recommender.
_SHARED = {*BaseRecommender.__annotations__, "n_features_in_", "feature_names_in_"}


class RerankedRecommender(BaseRecommender):
    r"""Re-rank the lists of another recommender for diversity, and by groups of items.

    .. versionadded:: 0.1

    A list has its best items, but no longer ten films of one kind. Floors and caps say how many
    items of a group each list has: at least two new ones, at most two of a brand.

    Parameters
    ----------
    recommender : recommender
        Any recommender derived from :class:`neumf.base.BaseRecommender`, except another
        `RerankedRecommender`. `fit` clones it. ``set_params(recommender__parameter=value)`` sets
        its parameters, also in a search. To keep a fitted one as it is, wrap it in a
        :class:`sklearn.frozen.FrozenEstimator`: `fit` then only reads the other parameters.
    diversity : float, default=0.2
        How much dissimilar items count, from 0 (not at all) to below 1, see Notes.
    item_features : DataFrame or None, default=None
        Features of items, as in :class:`ContentKNNRecommender`. Items are dissimilar if their
        features are. None compares the item vectors of `recommender`: `NeuMFRecommender`,
        `NextItemRecommender`, `ALSRecommender` and `ContentKNNRecommender` have some. An item
        without features is dissimilar to all others.
    groups : Series or None, default=None
        The group of each item, or a list of its groups, indexed by item. Items may be missing.
    at_least, at_most : dict of group to int, int or None, default=None
        The least and largest number of items of a group in a list. An int is for every group.
    n_candidates : int, default=100
        Number of best candidates to choose from. If none of them keeps the limits, lower ones do.

    Attributes
    ----------
    recommender_ : recommender
        The fitted clone of `recommender`.
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.

    See Also
    --------
    neumf.metrics.intra_list_distance : Measures how dissimilar the items of a list are.

    Notes
    -----
    **Which items.** The k items of a list are chosen one by one, among the candidates: the items
    that `exclude_seen`, `allow` and `deny` leave. Each time, the item i with the largest marginal
    relevance joins the chosen items S (Carbonell and Goldstein 1998):

    .. math::

        (1 - d) \, \frac{1}{\log_2(1 + r_i)} - d \, \frac{1}{|S|} \sum_{j \in S} \cos(x_i, x_j)

    with :math:`d` = `diversity`, the rank :math:`r_i` of the item among the candidates by its
    score, and vectors or features x. For the first item, the second term is 0. The first term is
    the weight of the rank in NDCG, which has the same scale for all recommenders. The paper takes
    the largest similarity instead of the mean. The mean makes lists more dissimilar at the same
    NDCG@10.

    **In which order.** The chosen items are sorted by their score, so that the order within a list
    is the one of `recommender`. `predict` and `decision_function` return its values too.

    **Limits** count the items of a list of any length `k`. Each list of k items has at least
    `at_least` items of each group, or all candidates of a group that has fewer, if these numbers
    sum to k at most. If they sum to more, all its items are from such groups. No group has more
    than `at_most` items, with two exceptions: there are no other candidates left, or a floor of
    another group asks for them. Both limits are then kept as far as possible, floors first. Groups
    that share items may reach a cap earlier than necessary, because items are chosen one by one.

    **In evaluation.** The scorers, :func:`neumf.evaluate` and :func:`neumf.compare` measure the
    lists that `recommend` returns, for each `k` its own lists. With `n_negatives`, lists are chosen
    among the sampled items. Within a :class:`VotingRecommender`, only the scores count: re-rank the
    vote instead.

    `diversity` and `n_candidates` are read when lists are made, so that `set_params` changes them
    without a new `fit`. The other parameters need one.

    References
    ----------
    Carbonell, Goldstein (1998), The use of MMR, diversity-based reranking for reordering documents
    and producing summaries, SIGIR, doi 10.1145/290941.291025.

    Gollapudi, Sharma (2009), An axiomatic approach for result diversification, WWW,
    doi 10.1145/1526709.1526761.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import PopularityRecommender, RerankedRecommender
    >>> X = [["a", 1], ["b", 1], ["c", 1], ["a", 2], ["b", 2], ["c", 3], ["d", 4]]
    >>> brands = pd.Series(["x", "x", "x", "y"], index=[1, 2, 3, 4])
    >>> model = RerankedRecommender(
    ...     PopularityRecommender(), diversity=0, groups=brands, at_least={"y": 1}
    ... ).fit(X)
    >>> model.recommend("d", k=3, exclude_seen=False)["item"].tolist()
    [1, 2, 4]
    >>> model = model.set_params(at_least=None, at_most=1).fit(X)
    >>> model.recommend("d", k=2, exclude_seen=False)["item"].tolist()
    [1, 4]
    """

    # The limits and scaled features, which are saved, already contain these tables.
    _unsaved_parameters = ("item_features", "groups", "at_least", "at_most")

    recommender_: BaseRecommender
    _features: sp.csr_array | None
    _limits: GroupLimits | None
    _vectors: Vectors | None

    def __init__(
        self,
        recommender: Any,
        *,
        diversity: float = 0.2,
        item_features: Any = None,
        groups: Any = None,
        at_least: Any = None,
        at_most: Any = None,
        n_candidates: int = 100,
    ) -> None:
        self.recommender = recommender
        self.diversity = diversity
        self.item_features = item_features
        self.groups = groups
        self.at_least = at_least
        self.at_most = at_most
        self.n_candidates = n_candidates

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit a clone of the recommender; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, as the recommender takes them.
        y, sample_weight : array-like of shape (n_samples,) or None, default=None
            Labels and weights of the rows, see :func:`neumf.base.read_rows`.

        Raises
        ------
        ValueError, TypeError
            If a parameter is not a documented one, the recommender has no item vectors and
            `diversity` is above 0 without `item_features`, or the recommender refuses its input.
        """
        self._check_parameters()
        limits = read_limits(self.groups, self.at_least, self.at_most)
        weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
        fitted = _thawed(clone(self.recommender).fit(X, y, **weighted))
        features = self._read_features(fitted.items_)
        vectors = _unit_vectors(features, fitted)
        self._require_vectors(vectors)
        shared = {name: value for name, value in vars(fitted).items() if name in _SHARED}
        own = {
            "recommender_": fitted,
            "_features": features,
            "_vectors": vectors,
            "_limits": None if limits is None else limits.of_items(fitted.items_),
        }
        self._commit(shared | own)
        return self

    def _check_parameters(self) -> None:
        inner = _thawed(self.recommender)
        if not isinstance(inner, BaseRecommender) or isinstance(inner, RerankedRecommender):
            raise TypeError(
                "recommender must be a recommender derived from neumf.base.BaseRecommender, other "
                f"than RerankedRecommender. Received: {inner!r}."
            )
        if inner is not self.recommender:
            check_is_fitted(inner)
        check_real("diversity", self.diversity, below=1)
        check_int("n_candidates", self.n_candidates, 1)

    def _read_features(self, items: pd.Index) -> sp.csr_array | None:
        """Return the features of the items, None without a table."""
        if self.item_features is None:
            return None
        _, features = join_features(self.item_features, "item_features", "item", items)
        return features.values[: len(items)]

    def _require_vectors(self, vectors: Vectors | None) -> None:
        if vectors is None and self.diversity:
            raise ValueError(
                f"diversity={self.diversity} needs vectors or features of items. Received "
                f"{type(_thawed(self.recommender)).__name__}, which has no item vectors. Pass "
                "item_features=, or set diversity=0."
            )

    @property
    def ranker_(self) -> RerankingRanker:
        """The ranker of the recommender, which also re-ranks lists."""
        return self._ranker_of(self.recommender_.ranker_)

    def _ranker_at(self, users: Indices, seconds: Float64s) -> RerankingRanker:
        return self._ranker_of(self.recommender_._ranker_at(users, seconds))

    def _ranker_of(self, ranker: Ranker) -> RerankingRanker:
        check_real("diversity", self.diversity, below=1)
        check_int("n_candidates", self.n_candidates, 1)
        self._require_vectors(self._vectors)
        vectors = self._vectors if self.diversity else None
        return RerankingRanker(ranker, self.diversity, self.n_candidates, vectors, self._limits)

    def _probabilities(self, logits: Float64s) -> Float64s:
        probabilities: Float64s = self.recommender_._probabilities(logits)
        return probabilities

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        return {"recommender_": after_rows(self.recommender_, rows)}

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        return {"recommender_": take_users(self.recommender_, kept)}

    def _state(self) -> dict[str, Any]:
        fitted = self.recommender_._description(self.recommender_._state())
        limits = None if self._limits is None else vars(self._limits)
        own = {"recommender": fitted, "features": self._features, "limits": limits}
        return super()._state() | own

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        fitted, n_items = restore_fitted(state.part("recommender")), len(self.items_)
        if (len(fitted.users_), len(fitted.items_)) != (len(self.users_), n_items):
            raise damaged_file_error("its recommender has other users or items")
        features, limits = None, None
        if state.has("features"):
            features = state.sparse("features", (n_items, None), np.floating)
        if state.has("limits"):
            limits = GroupLimits.restore(state.part("limits"), n_items)
        vectors = _unit_vectors(features, fitted)
        own = {"_features": features, "_vectors": vectors, "_limits": limits}
        self._commit({"recommender_": fitted} | own)


def _thawed(recommender: Any) -> Any:
    """Return the recommender inside a FrozenEstimator, and others as they are."""
    return recommender.estimator if isinstance(recommender, FrozenEstimator) else recommender


def _unit_vectors(features: sp.csr_array | None, fitted: Any) -> Vectors | None:
    """Return the features or else the vectors of items, of length 1; None without vectors."""
    network = getattr(fitted, "network_", None)
    own = getattr(fitted, "item_vectors_", None) if network is None else network.item_vectors
    vectors = own if features is None else features
    return None if vectors is None else normalize(vectors)
