"""Matrix factorization of implicit feedback by weighted alternating least squares."""

from __future__ import annotations

from typing import Any, Self

from neumf.base import keep_rows, read_rows
from neumf.interactions.new_rows import NewRows
from neumf.interactions.request_times import require_order_of_fit, warn_of_row_order
from neumf.interactions.user_items import UserItems
from neumf.neural.vector_recommender import VectorRecommender
from neumf.ranking.rankers import VectorRanker
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.training.least_squares import Confidences, FoldIn, LeastSquares
from neumf.utils.arrays import Float32s, Indices
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_int, check_n_jobs, check_real

# L2 penalty of the linear map from features to vectors.
_FEATURE_PENALTY = 1.0


class ALSRecommender(VectorRecommender):
    r"""Factorize implicit feedback by weighted alternating least squares (iALS).

    .. versionadded:: 0.1

    Each user and each item gets a vector. All unobserved pairs count as weak negatives, without
    sampling. A fit takes seconds where a network takes minutes.

    Parameters
    ----------
    n_factors : int, default=128
        Width of the vectors.
    regularization : float, default=0.1
        Weight of the squared L2 norm of the vectors, above 0, see Notes. Use less if items have
        hundreds of rows each, more if they have a few.
    unobserved_weight : float, default=8.0
        Total weight of all pairs of user and item, seen or not, divided by the total weight of the
        rows.
    recency : float, default=1.0
        How much more a user's late rows count than the early ones. A row has the weight
        ``(1 + r) ** -recency``, where r is the number of later rows of the user. The weights are
        scaled to a mean of 1. With 0, and for a sparse X, all rows have the same weight.
    n_iter : int, default=8
        Number of iterations. Each solves for the users' vectors, then for the items'.
    item_features, user_features : DataFrame or None, default=None
        Features, see :class:`NeuMFRecommender`. The penalty pulls a vector towards the prediction
        of a linear map from its features, which is fitted in each iteration. For an item without
        interactions, the prediction is the vector, so that the item is recommended.
    random_state : int, RandomState, Generator or None, default=None
        Source of the initial item vectors, see :class:`NeuMFRecommender`.
    n_jobs : int or None, default=None
        Number of blocks of vectors that joblib solves at the same time, in threads. -1 means one
        for each processor. None means 1, unless a `joblib.parallel_config` is active, which may
        also choose processes or a cluster. The vectors do not depend on `n_jobs`, bit for bit.

    Attributes
    ----------
    user_vectors_ : ndarray of shape (n_users, n_factors)
        The vectors :math:`p_u` of Notes.
    item_vectors_ : ndarray of shape (n_items, n_factors)
        The vectors :math:`q_i` of Notes.
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_
        See :class:`neumf.base.BaseRecommender`.
    user_items_ : UserItems
        The items of each user, oldest first.

    See Also
    --------
    NeuMFRecommender : Joins such vectors with an MLP.
    NextItemRecommender : Predicts the next item from the order of a user's rows.

    Notes
    -----
    The confidence :math:`c_{ui}` of a pair is the sum of the weights of its rows. The vectors
    minimise

    .. math::

        \sum_{u,i} c_{ui} (1 - p_u^\top q_i)^2 + \alpha_0 \sum_{u,i} (p_u^\top q_i)^2
        + \sum_u \lambda_u \lVert p_u - m_u \rVert^2
        + \sum_i \lambda_i \lVert q_i - m_i \rVert^2

    where :math:`\alpha_0 n_\text{users} n_\text{items} = \mathrm{unobserved\_weight} \cdot
    \sum c_{ui}`, and m is 0 or the prediction from features. The penalty grows with the number of
    rows :math:`n_u` of the user (or the item):

    .. math:: \lambda_u = \mathrm{regularization} \cdot
        (n_u + \mathrm{unobserved\_weight} \cdot \bar n)^{0.75}

    with the mean :math:`\bar n` over users (or items). A row with a `sample_weight` of 2 counts as
    two rows.

    If the items' vectors are fixed, each user's vector is the solution of a linear system, and
    the reverse. An iteration takes two steps of conjugate gradients, preconditioned in the basis
    where :math:`\sum_i q_i q_i^\top` is diagonal. At the end, the users' vectors are solved to the
    precision of float32. So are the vectors for `interactions` and `at`, where each row has a
    `sample_weight` of 1.

    `decision_function` returns :math:`p_u^\top q_i`, about 1 for an item that the user surely
    likes. `predict`, its sigmoid, is not calibrated.

    References
    ----------
    Hu, Koren, Volinsky (2008), Collaborative filtering for implicit feedback datasets, ICDM,
    doi 10.1109/ICDM.2008.22.

    Rendle, Krichene, Zhang, Koren (2021), Revisiting the performance of iALS on item
    recommendation benchmarks, arXiv 2110.14037.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import ALSRecommender
    >>> X = pd.DataFrame([(u, i) for u in range(100) for i in range(40)
    ...                   if u % 2 == i % 2 and (u + i) % 40], columns=["user", "item"])
    >>> model = ALSRecommender(n_factors=8, recency=0, random_state=0).fit(X)
    >>> model.recommend([3, 4], k=1)[["user", "item"]]
       user  item
    0     3    37
    1     4    36
    """

    # The vectors, which are saved, already contain the features.
    _unsaved_parameters = ("user_features", "item_features")

    user_vectors_: Float32s
    item_vectors_: Float32s
    user_items_: UserItems

    def __init__(
        self,
        *,
        n_factors: int = 128,
        regularization: float = 0.1,
        unobserved_weight: float = 8.0,
        recency: float = 1.0,
        n_iter: int = 8,
        item_features: Any = None,
        user_features: Any = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.regularization = regularization
        self.unobserved_weight = unobserved_weight
        self.recency = recency
        self.n_iter = n_iter
        self.item_features = item_features
        self.user_features = user_features
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the vectors of users and items; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, see :func:`neumf.base.read_rows`. `recency` orders the rows of a user by
            timestamp or, without timestamps, by their order in the table.
        y : array-like of shape (n_samples,) or None, default=None
            Labels in [0, 1]; only rows above 0 count. None counts all.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or a table cannot be read.
        """
        solver = self._check_parameters()
        rows = read_rows(X, y, sample_weight)
        rows = rows.with_features(self.user_features, self.item_features)
        recency = self.recency if rows.ordered else 0.0
        if recency:
            what = f"recency={recency:g} counts the last rows of a user most"
            warn_of_row_order(rows, what, "set recency=0")
        data = Confidences.of_rows(rows, recency, _FEATURE_PENALTY)
        factors = solver.fit(data, make_generator(self.random_state), self.n_jobs)
        keep_rows(
            self,
            rows,
            user_vectors_=factors.users,
            item_vectors_=factors.items,
            user_items_=rows.user_items[0],
            _fold_in=solver.fold_in(data, factors, recency),
        )
        return self

    def _check_parameters(self) -> LeastSquares:
        check_int("n_factors", self.n_factors, 1)
        check_real("regularization", self.regularization, above=0)
        check_real("unobserved_weight", self.unobserved_weight)
        check_real("recency", self.recency)
        check_int("n_iter", self.n_iter, 1)
        check_n_jobs(self.n_jobs, "blocks of vectors")
        return LeastSquares(
            self.n_factors, self.regularization, self.unobserved_weight, self.n_iter
        )

    @property
    def ranker_(self) -> VectorRanker:
        """The ranker, which scores by dot products of vectors."""
        return VectorRanker(self.user_vectors_, self.item_vectors_)

    def _vectors(self) -> tuple[Float32s, Float32s]:
        return self.user_vectors_, self.item_vectors_

    def _item_factors(self) -> Float32s:
        return self.item_vectors_

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        if self._fold_in.recency:
            require_order_of_fit(rows.table, "interactions")
        past = self.user_items_.take(rows.indices).followed_by(rows.new)
        fold_in = self._fold_in.take(rows.indices)
        vectors = fold_in.solve(past, self.item_vectors_, self.popularity_ > 0)
        return {"user_vectors_": vectors, "_fold_in": fold_in}

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        return {"user_vectors_": self.user_vectors_[kept], "_fold_in": self._fold_in.take(kept)}

    def _state(self) -> dict[str, Any]:
        vectors = {"user_vectors_": self.user_vectors_, "item_vectors_": self.item_vectors_}
        return super()._state() | vectors | {"fold_in": self._fold_in.state()}

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        items = state.float32s("item_vectors_", (len(self.items_), None))
        shape = len(self.users_), items.shape[1]
        users = state.float32s("user_vectors_", shape)
        fold_in = FoldIn.restore(state.part("fold_in"), shape)
        if self.user_items_ is None:
            raise damaged_file_error("it lacks the items of users")
        self._commit({"user_vectors_": users, "item_vectors_": items, "_fold_in": fold_in})
