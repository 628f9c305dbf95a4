"""NextItemRecommender: what comes next."""

from __future__ import annotations

from typing import Any

from neumf.model.layers import MFLayers, NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserHistories, UserIdsAndHistories
from neumf.neural.parameters import EarlyStopping, FitPlan, LossName, make_plan
from neumf.neural.presets import NEXT_ITEM_PRESETS
from neumf.neural.trainable import TrainableRecommender
from neumf.utils.random import RandomState
from neumf.utils.time_gaps import TIME_GAPS, TimeGaps
from neumf.utils.validation import check_int, check_option


class NextItemRecommender(TrainableRecommender):
    r"""Recommend what a user does next: users are weighted sums of their last items.

    .. versionadded:: 0.1

    New users and interactions count at once and without training, see `interactions` of
    `recommend`. X needs an order in time: use `NeuMFRecommender` where the rows have none. The
    defaults suit tables of some thousand to some hundred thousand rows; ``from_preset("large")`` is
    for a million rows and more.

    Parameters
    ----------
    n_factors : int, default=128
        Width of the vectors.
    history_length : int, default=20
        Number of last items that make a user's vector. No more are kept than the longest history
        of `fit` has.
    hidden_size : int, default=0
        Width of a hidden layer after the sum over the history; 0 leaves it out. It helps on a
        million rows, and overfits on a hundred thousand.
    time_gaps : {"newest", "request"} or None, default=None
        Let the weight of an item in a history also depend on its age: before the newest item of
        the history, or before the request time. Needs timestamps, in `interactions` too. The
        request time is the row's own in `fit`, and `at` in `recommend` and the like (by
        default, the time of the user's newest item). The weights are then the mean of those after
        the last four epochs.
    last_item_vector : bool, default=False
        Whether the newest item of a history adds a vector of its own.
    share_item_vectors : bool, default=True
        Whether an item in a history counts as the item's own vector, plus a deviation that starts
        at 0, and each item has a bias, which starts at its log-popularity and is not penalised:
        for small and sparse tables. With False, items have a vector for histories alone, no bias,
        and the factors of the dot product have learned weights: for a million rows and more.
    user_vectors : bool, default=False
        Whether each user also has a vector of their own, which is added to the sum.
        `user_features` need it.
    loss : {"auto", "batch_softmax", "softmax", "sampled_softmax", "bpr", "binary_crossentropy"}
        What is minimised, see :class:`NeuMFRecommender`; no loss needs an architecture here.
        "auto", the default: "batch_softmax", and with `y` "binary_crossentropy".
    n_negatives : int, default=1
        Negatives drawn for each row and epoch, with equal probability among all items but the
        row's own.
    recency : float, default=0.0
        How much more a user's late rows count than the early ones, see :class:`NeuMFRecommender`.
    regularization : float, default=0.5
        Weight of the squared L2 norm of each vector, see :class:`NeuMFRecommender`.
    dropout : float, default=0.5
        Share of the values of a user's vector that are dropped while training.
    learning_rate : float, default=4e-3
        Step size of Adam.
    batch_size : int, default=1024
        Samples per step, positives and the negatives drawn for them together.
    epochs : int, default=9
        Passes over the rows.
    early_stopping : bool or "refit", default=False
        Stop when NDCG@10 of each user's last row, held out for it, or of `X_val` given to `fit`
        has not risen for `n_iter_no_change` epochs, and keep the best epoch; "refit" then trains
        anew on all rows. See :class:`NeuMFRecommender`.
    n_iter_no_change : int, default=5
        Epochs without a better value that `early_stopping` waits.
    user_features, item_features : DataFrame or None, default=None
        Features of users and of items, see :class:`NeuMFRecommender`: vectors are pulled to what
        their features predict, and items without interactions are recommended.
    feature_regularization, random_state, verbose
        See :class:`NeuMFRecommender`.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.
    histories_ : ndarray of shape (n_users, n_last)
        The last items of each user by index, newest first, filled up with -1; `history_length`, or
        the length of the longest history.
    history_seconds_ : ndarray of shape (n_users, n_last) or None
        When each of these was, with `time_gaps`.
    network_ : object
        The weights, as NumPy arrays: `users` and `items`, the vectors of users after their last
        row and of items, and `weights`, all that was learned, by name.
    model_ : keras.Model
        A Keras model named "next_item" of ``[user indices, item indices]``, whose output is the
        logit. It holds the vectors of users after their last row as `network_.users` does, not how
        histories make them.
    history_, n_iter_, best_iter_, fit_seconds_
        See :class:`NeuMFRecommender`.

    See Also
    --------
    NeuMFRecommender : Who likes what, for tables without an order.
    SequentialRulesRecommender : Count which items follow which, in about a second.
    ndcg_scorer : Measure a fitted recommender on held-out rows.

    Notes
    -----
    With vectors :math:`q_i` of items and biases :math:`b_i`,

    .. math::

        \hat y_{ui} = p_u^\top q_i + b_i + b, \qquad
        p_u = v_u + \sum_{j=1}^{\ell} w_j \odot e_{i_j}

    where :math:`i_j` is the j-th last item that the user had strictly before the row (of rows with
    equal timestamps, those further up in the table come before), :math:`w_j` the weights of that
    position, which start at :math:`j^{-1/2}`, and :math:`v_u` the user's own vector
    (`user_vectors`) or 0. With `share_item_vectors`, :math:`e_i = q_i + d_i`, where :math:`d_i`
    starts at 0; without, :math:`e_i` is learned by itself, :math:`b_i` is 0, and the dot product is
    :math:`h^\top (p_u \odot q_i)` with learned h.

    With `time_gaps`, an item that was s seconds before has the weights :math:`w_j + g_t`, where
    :math:`t = \min(\lfloor 2 \log_2(1 + s) \rfloor, 63)`. Before a request time, the t of the
    newest item adds a vector :math:`h_t`. All g and h start at 0 and have no penalty. With
    `last_item_vector`, a vector :math:`a_{i_1}` is added, with a request time
    :math:`(1 + z_t) \odot a_{i_1}`; a and z start at 0, z has no penalty. With `hidden_size`, the
    vector :math:`x` becomes :math:`x + W_2\,\mathrm{ReLU}(W_1 x + c)`, where :math:`W_2` starts at
    0.

    Features, Adam and scikit-learn's callbacks work as in :class:`NeuMFRecommender`.

    References
    ----------
    See :class:`NeuMFRecommender`.

    Examples
    --------
    Odd users read odd books and even users even ones; each has one of theirs left to read.

    >>> import pandas as pd
    >>> from neumf import NextItemRecommender
    >>> X = pd.DataFrame([(u, i) for u in range(100) for i in range(40)
    ...                   if u % 2 == i % 2 and (u + i) % 40], columns=["user", "item"])
    >>> X["timestamp"] = range(len(X))
    >>> model = NextItemRecommender(epochs=10, learning_rate=0.01, random_state=0).fit(X)
    >>> model.recommend([3, 4], k=1)[["user", "item"]]
       user  item
    0     3    37
    1     4    36
    """

    _presets = NEXT_ITEM_PRESETS
    _shape_parameters = (
        "n_factors",
        "history_length",
        "hidden_size",
        "time_gaps",
        "last_item_vector",
        "share_item_vectors",
        "user_vectors",
    )

    def __init__(
        self,
        *,
        n_factors: int = 128,
        history_length: int = 20,
        hidden_size: int = 0,
        time_gaps: TimeGaps | None = None,
        last_item_vector: bool = False,
        share_item_vectors: bool = True,
        user_vectors: bool = False,
        loss: LossName = "auto",
        n_negatives: int = 1,
        recency: float = 0.0,
        regularization: float = 0.5,
        dropout: float = 0.5,
        learning_rate: float = 4e-3,
        batch_size: int = 1024,
        epochs: int = 9,
        early_stopping: EarlyStopping = False,
        n_iter_no_change: int = 5,
        user_features: Any = None,
        item_features: Any = None,
        feature_regularization: float = 1.0,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.n_factors = n_factors
        self.history_length = history_length
        self.hidden_size = hidden_size
        self.time_gaps = time_gaps
        self.last_item_vector = last_item_vector
        self.share_item_vectors = share_item_vectors
        self.user_vectors = user_vectors
        self.loss = loss
        self.n_negatives = n_negatives
        self.recency = recency
        self.regularization = regularization
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.user_features = user_features
        self.item_features = item_features
        self.feature_regularization = feature_regularization
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that a sparse X, whose rows have no order, is refused."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def _plan(self, y: Any) -> FitPlan:
        if self.user_features is not None and not self.user_vectors:
            raise ValueError(
                "user_features describe users' own vectors, so user_vectors must be True. "
                "Received: user_vectors=False. Set user_vectors=True, or user_features=None."
            )
        blueprint = self._blueprint(self._shape_now())
        return make_plan(self, "next item", blueprint, "batch_softmax", y)

    @classmethod
    def _blueprint(cls, shape: dict[str, Any]) -> Blueprint:
        for name in ("n_factors", "history_length"):
            check_int(name, shape[name], 1)
        check_int("hidden_size", shape["hidden_size"], 0)
        check_option("time_gaps", shape["time_gaps"], (None, *TIME_GAPS))
        for name in ("last_item_vector", "share_item_vectors", "user_vectors"):
            check_option(name, shape[name], (True, False))
        shares, n_factors = bool(shape["share_item_vectors"]), shape["n_factors"]
        layers = MFLayers(n_factors, 0, (), True) if shares else NeuMFLayers(n_factors, 0, ())
        tower = UserIdsAndHistories if shape["user_vectors"] else UserHistories
        users = tower(
            width=n_factors,
            history_length=shape["history_length"],
            # The strong penalty that suits shared vectors would take smaller ones to 0 before they
            # have learned anything.
            std=0.03 if shares else 0.01,
            time_gaps=shape["time_gaps"],
            hidden_size=shape["hidden_size"],
            shares_item_vectors=shares,
            has_last_item_vector=bool(shape["last_item_vector"]),
        )
        return Blueprint.of_towers(layers, users)
