"""The model of the next item, which sums the vectors of a user's last items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neumf.base import BaseRecommender
from neumf.interactions.encoded_rows import EncodedRows
from neumf.model.layers import MFLayers, NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserHistories, UserIdsAndHistories
from neumf.neural.added_scores import AddedScores
from neumf.neural.parameters import NEXT_ITEM_PRESETS, EarlyStopping, FitPlan, LossName, make_plan
from neumf.neural.trainable import TrainableRecommender
from neumf.recommenders.als import ALSRecommender
from neumf.recommenders.item_knn import ItemKNNRecommender
from neumf.recommenders.load import restore_fitted
from neumf.recommenders.sequential_rules import SequentialRulesRecommender
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import damaged_file_error
from neumf.utils.random import RandomState
from neumf.utils.time_gaps import TIME_GAPS, TimeGaps
from neumf.utils.validation import check_int, check_option

# Tables with fewer rows an item are sparse: neighbours of items help, and take little time.
_SPARSE = 10


class NextItemRecommender(TrainableRecommender):
    r"""Recommend a user's next items from the weighted sum of the last items.

    .. versionadded:: 0.1

    The vector of a user is the weighted sum of the vectors of the user's last items. So new users
    and new interactions count without training, see `interactions` of `recommend`. X needs an
    order in time; for other tables use `NeuMFRecommender`. The defaults suit some thousand to some
    hundred thousand rows, ``from_preset("large")`` a million rows and more.

    Parameters
    ----------
    n_factors : int, default=128
        Width of the vectors.
    history_length : int, default=20
        Number of last items in the sum, at most the length of the longest history in `fit`.
    hidden_size : int, default=0
        Width of a hidden layer after the sum over the history; 0 leaves it out. It helps on a
        million rows, and overfits on a hundred thousand.
    time_gaps : {"newest", "request"} or None, default=None
        The age on which the weight of a history item depends, in addition to its position.

        - None: no age, the position alone.
        - "newest": the time from the item to the newest item of the history.
        - "request": the time from the item to the request time. This is the timestamp of the row
          in `fit`, and `at` in `recommend` and other methods (by default, the time of the user's
          newest item).

        Both ages need timestamps, also in `interactions`, and `fit` then averages the weights
        after the last four epochs.
    share_item_vectors : bool, default=True
        Whether histories use the vectors of the scored items.

        - True, for small and sparse tables: a history item has its item's vector, plus a deviation
          that starts at 0. Each item has a bias that starts at its log-popularity and is not
          penalised.
        - False, for a million rows and more: history items have vectors of their own. Items have
          no bias, and the factors of the dot product have learned weights.
    add_user_vectors : bool, default=False
        Whether to add a learned vector of each user to the sum. `user_features` need it.
    add_simple_methods : bool, default=True
        Whether `fit` may add the scores of :class:`SequentialRulesRecommender` and
        :class:`ALSRecommender` to the logit. Also added are popularity, on tables with fewer than
        50 rows an item, and the scores of :class:`ItemKNNRecommender`, with fewer than ten.
        Held-out rows give the weights, see Notes. Not with labels `y`.
    loss : {"auto", "batch_softmax", "softmax", "sampled_softmax", "bpr", "binary_crossentropy"}
        The loss that training minimises, see :class:`NeuMFRecommender`; all of them are available
        here. The default "auto" is "batch_softmax" or, with labels `y`, "binary_crossentropy".
    n_negatives : int, default=1
        Number of negatives drawn for each row in each epoch, with equal probability among all items
        but the row's own. Not used with labels `y`.
    recency : float, default=0.0
        How much more a user's late rows count than the early ones, see :class:`NeuMFRecommender`.
    regularization : float, default=0.5
        Weight of the squared L2 norm of each vector, see :class:`NeuMFRecommender`.
    dropout : float, default=0.5
        Share of the values of a user's vector that training sets to 0.
    learning_rate : float, default=4e-3
        Step size of Adam.
    batch_size : int, default=1024
        Number of samples in a training step. Positives and negatives both count.
    epochs : int, default=9
        Number of passes over the rows.
    early_stopping : bool or "refit", default=False
        Whether training stops when NDCG@10 of held-out rows no longer rises.

        - False: train for `epochs` epochs.
        - True: hold out the last row of each user, or use the rows of `X_val` given to `fit`. Stop
          when their NDCG@10 has not risen for `n_iter_no_change` epochs, and keep the weights of
          the best epoch.
        - "refit": find the best epoch in this way, then train anew on all rows for that number of
          epochs.
    n_iter_no_change : int, default=5
        Number of epochs without a higher NDCG@10 after which `early_stopping` stops.
    user_features, item_features : DataFrame or None, default=None
        Features of users and of items, see :class:`NeuMFRecommender`. The penalty pulls vectors
        towards a prediction from features, and items without interactions are recommended.
    feature_regularization, random_state, verbose
        See :class:`NeuMFRecommender`.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.
    histories_ : ndarray of shape (n_users, n_last)
        Indices of the last items of each user, newest first, padded with -1. n_last is
        `history_length`, or the length of the longest history if that is less.
    history_seconds_ : ndarray of shape (n_users, n_last) or None
        The times of these items in seconds, with `time_gaps`.
    added_scores_ : object or None
        The simple methods whose scores are added to those of the network: `methods`, fitted, and
        their `weights`. `biases` holds what popularity adds to the score of each item. None if no
        row was held out, or nothing helps.
    network_ : object
        The weights as NumPy arrays. `users` holds the vectors of users after their last row,
        `items` the vectors of items, and `weights` all learned arrays by name.
    model_ : keras.Model
        A Keras model named "next_item" of ``[user indices, item indices]`` that returns logits of
        the network, without added scores. It holds the vectors of `network_.users`, and does not
        compute them from histories.
    history_, n_iter_, best_iter_, fit_seconds_
        See :class:`NeuMFRecommender`.

    See Also
    --------
    NeuMFRecommender : Predicts who likes what, for tables without an order.
    SequentialRulesRecommender : Counts which items follow which, in about a second.
    ndcg_scorer : Measures a fitted recommender on held-out rows.

    Notes
    -----
    With vectors :math:`q_i` of items and biases :math:`b_i`, the logit is

    .. math::

        \hat y_{ui} = p_u^\top q_i + b_i + b, \qquad
        p_u = v_u + \sum_{j=1}^{\ell} w_j \odot e_{i_j}

    Here :math:`i_j` is the j-th last item of the user before the row. Of rows with equal
    timestamps, the upper one in the table is earlier. :math:`w_j` are the weights of position j,
    which start at :math:`j^{-1/2}`. :math:`v_u` is the user's own vector with `add_user_vectors`,
    else 0. With `share_item_vectors`, :math:`e_i = q_i + d_i`, where :math:`d_i` starts at 0.
    Without it, :math:`e_i` is learned separately, :math:`b_i` is 0, and the dot product is
    :math:`h^\top (p_u \odot q_i)` with learned h.

    Two parameters change :math:`p_u`. All :math:`g_t, h_t, a_i, z_t` and :math:`W_2` start at 0;
    :math:`g_t, h_t` and :math:`z_t` have no penalty.

    - `time_gaps`: an item of age s seconds has the weights :math:`w_j + g_t`, where
      :math:`t = \min(\lfloor 2 \log_2(1 + s) \rfloor, 63)`. With "request", the t of the newest
      item also adds a vector :math:`h_t` and, without `share_item_vectors`, a vector
      :math:`(1 + z_t) \odot a_{i_1}`.
    - `hidden_size`: the sum x becomes :math:`x + W_2\,\mathrm{ReLU}(W_1 x + c)`.

    Features, Adam and scikit-learn's callbacks work as in :class:`NeuMFRecommender`. The bias of an
    item without rows is a kernel ridge regression of the biases of items with similar features.

    With `add_simple_methods`, the logit is

    .. math::

        \hat y_{ui} + \sum_m w_m s_{mui} + a \log(1 + \ell_i) + c \log(1 + n_i)

    Here :math:`s_{mui}` are the scores of rules, ALS and, on tables with fewer than ten rows an
    item, ItemKNN with ``decay=5``. :math:`n_i` counts the rows of item i, and :math:`\ell_i` counts
    them with a weight that halves with each eighth of the table (without timestamps,
    :math:`\ell_i = n_i`). `fit` holds out the last row of each user, or of 1,000 users if there are
    more. It trains on the other rows, and finds the :math:`w_m \ge 0, a \ge 0` and c that make the
    held-out items most probable, as in :class:`VotingRecommender`. A penalty keeps c, which may be
    negative, near 0. With 50 rows an item or more, a and c are 0. If more than 2 % of the rows are
    held out, it then trains anew on all rows.

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
        "share_item_vectors",
        "add_user_vectors",
    )

    def __init__(
        self,
        *,
        n_factors: int = 128,
        history_length: int = 20,
        hidden_size: int = 0,
        time_gaps: TimeGaps | None = None,
        share_item_vectors: bool = True,
        add_user_vectors: bool = False,
        add_simple_methods: bool = True,
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
        self.share_item_vectors = share_item_vectors
        self.add_user_vectors = add_user_vectors
        self.add_simple_methods = add_simple_methods
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
        """Return scikit-learn's tags: a sparse X is refused, since its rows have no order."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def _plan(self, y: Any) -> FitPlan:
        if self.user_features is not None and not self.add_user_vectors:
            raise ValueError(
                "user_features predict the vectors of users, so add_user_vectors must be True. "
                "Received: add_user_vectors=False. Set add_user_vectors=True, or user_features to "
                "None."
            )
        blueprint = self._blueprint(self._shape_now())
        check_option("add_simple_methods", self.add_simple_methods, (True, False))
        plan = make_plan(self, "next item", blueprint, "batch_softmax", y)
        return replace(plan, adds_scores=bool(self.add_simple_methods) and y is None)

    def _simple_methods(self, rows: EncodedRows, seed: int) -> list[BaseRecommender]:
        # 100 successors of an item rank as well as 500, in a smaller file.
        rules = SequentialRulesRecommender(max_entries=100)
        methods: list[BaseRecommender] = [rules, ALSRecommender(random_state=seed)]
        if len(rows.users) < _SPARSE * rows.shape[1]:
            methods.append(ItemKNNRecommender(decay=5.0))
        return methods

    def _state(self, *, optimizer: bool = False) -> dict[str, Any]:
        state, added = super()._state(optimizer=optimizer), self.added_scores_
        if added is None:
            return state
        methods = [method._description(method._state()) for method in added.methods]
        arrays = {name: vars(added)[name] for name in ("weights", "popularity_weights", "biases")}
        return state | {"added_scores": arrays, "added_methods": methods}

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        if state.has("added_methods"):
            parts = state.of_type("added_methods", list)
            methods = tuple(restore_fitted(CheckedValues(part)) for part in parts)
            shape = len(self.users_), len(self.items_)
            if any((len(method.users_), len(method.items_)) != shape for method in methods):
                raise damaged_file_error("its simple methods have other users or items")
            arrays = state.part("added_scores")
            weights = arrays.floats("weights", (len(methods),), at_least=0)
            of_popularity = arrays.floats("popularity_weights", (2,))
            biases = arrays.float32s("biases", (len(self.items_),))
            self.added_scores_ = AddedScores(weights, methods, of_popularity, biases)

    @classmethod
    def _blueprint(cls, shape: dict[str, Any]) -> Blueprint:
        for name in ("n_factors", "history_length"):
            check_int(name, shape[name], 1)
        check_int("hidden_size", shape["hidden_size"], 0)
        check_option("time_gaps", shape["time_gaps"], (None, *TIME_GAPS))
        for name in ("share_item_vectors", "add_user_vectors"):
            check_option(name, shape[name], (True, False))
        shares, n_factors = bool(shape["share_item_vectors"]), shape["n_factors"]
        layers = MFLayers(n_factors, 0, (), True) if shares else NeuMFLayers(n_factors, 0, ())
        tower = UserIdsAndHistories if shape["add_user_vectors"] else UserHistories
        users = tower(
            width=n_factors,
            history_length=shape["history_length"],
            # The penalty that suits shared vectors is strong: it would shrink smaller initial
            # vectors to 0.
            std=0.03 if shares else 0.01,
            time_gaps=shape["time_gaps"],
            hidden_size=shape["hidden_size"],
            shares_item_vectors=shares,
            has_last_item_vector=not shares and shape["time_gaps"] == "request",
        )
        return Blueprint.of_towers(layers, users)
