"""The model of He et al. 2017, which learns users and items by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from neumf.interactions.unseen import Strategy
from neumf.model.layers import ARCHITECTURES
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserIds
from neumf.neural.parameters import NEUMF_PRESETS, EarlyStopping, FitPlan, LossName, make_plan
from neumf.neural.trainable import TrainableRecommender
from neumf.utils.random import RandomState
from neumf.utils.validation import check_int, check_n_jobs, check_option

Architecture = Literal["neumf", "gmf", "mlp"]

# Number of last items from which `user_map_` predicts the vector of a new user.
_HISTORY_LENGTH = 20


class NeuMFRecommender(TrainableRecommender):
    r"""Recommend by Neural Matrix Factorization (NeuMF): GMF joined with an MLP.

    .. versionadded:: 0.1

    Each user and each item has learned vectors. Generalized matrix factorization (GMF) multiplies
    them; a multi-layer perceptron (MLP) takes them as input. By default, least squares solve GMF in
    seconds, the MLP is trained on sampled negatives, and held-out rows set the weight of each half.

    Rows need no order in time; if they have one, `recency` uses it. `NextItemRecommender` is more
    accurate where the next item depends on the last ones. ``from_preset("paper-8")`` has the
    network and the training of the paper.

    Parameters
    ----------
    architecture : {"neumf", "gmf", "mlp"}, default="neumf"
        The network.

        - "neumf": GMF and MLP.
        - "gmf": GMF alone.
        - "mlp": the MLP alone.
    n_factors : int, default=128
        Width of the GMF vectors.
    mlp_embedding_dim : int, default=32
        Width of the MLP vectors.
    hidden_layer_sizes : tuple of int, default=(32, 16, 8)
        Widths of the hidden layers of the MLP, at least one. The paper writes the network of
        these sizes as layers [64, 32, 16, 8]: its 64 is the width of the input, two vectors of 32.
    n_negatives : int, default=8
        Number of negatives drawn for each row in each epoch. Not used with labels `y`. The paper
        draws 4.
    negative_strategy : {"uniform", "popularity"}, default="uniform"
        How negatives are drawn from the unseen items.

        - "uniform": with equal probability.
        - "popularity": with a probability in proportion to the number of users of the item.

        The loss "batch_softmax" corrects for these probabilities.
    loss : {"auto", "sampled_softmax", "binary_crossentropy", "bpr", "batch_softmax", "softmax"}
        The loss that training minimises. The default is "auto".

        - "auto": "sampled_softmax" or, with labels `y`, "binary_crossentropy".
        - "sampled_softmax": softmax of a positive among the negatives drawn for it.
        - "binary_crossentropy": log loss of each positive and negative (equation 7 of the paper).
          It is the only loss that accepts `y`.
        - "bpr": Bayesian personalised ranking of a positive above each of its negatives.
        - "batch_softmax": softmax of a positive among all negatives of its batch, an estimate of
          "softmax". They are drawn from all items, seen ones included. Needs
          ``architecture="gmf"``.
        - "softmax": softmax of a positive among all items. A step takes time in proportion to the
          number of items. Needs ``architecture="gmf"``.
    pretrain : {"als", "sgd"} or None, default="als"
        How GMF and MLP are learned before they are joined (section 3.4.1 of the paper). Only
        ``architecture="neumf"`` has two halves; for the others, "als" means the same as None.

        - "als": alternating least squares solve GMF, see `ALSRecommender` and Notes. The parameters
          of training act on the MLP only.
        - "sgd": each half is trained with `epochs` and `early_stopping`. The halves are joined with
          weight 1/2 each and trained further with plain SGD, as in the paper.
        - None: the network is trained from scratch. This takes more epochs and negatives: try
          ``epochs=20`` and ``n_negatives=32``.
    recency : float, default=1.0
        How much more a user's late rows count than the early ones. In the loss, a row has the
        weight ``(1 + r) ** -recency``, where r is the number of later rows of the user. The weights
        are scaled to a mean of 1 and multiplied by `sample_weight`. With 0, as in the paper, and
        for a sparse X, which has no order, all rows have the same weight. With ``pretrain="als"``,
        GMF also tries 1.5 times this value.
    regularization : float, default=0.005
        Weight of the L2 penalty. In the penalty of a sample, the squared norm of the user's vector
        is divided by the user's number of items, and the squared norm of the item's vector by the
        item's number of users. The weights of layers, without biases, are penalised with
        `regularization` / 8.
    dropout : float, default=0.5
        Share of values that training sets to 0, in the GMF product and in the output of each hidden
        layer. The losses "softmax" and "batch_softmax" drop values of the user's vector instead of
        the product.
    learning_rate : float, default=2e-3
        Step size of Adam.
    batch_size : int, default=4096
        Number of samples in a training step. Positives and negatives both count, as in the paper.
    epochs : int, default=5
        Number of passes over the rows. With ``pretrain="als"``, the MLP is trained twice: without
        the held-out rows to find its weight, then on all rows.
    early_stopping : bool or "refit", default=False
        Whether training stops when NDCG@10 of held-out rows no longer rises.

        - False: train for `epochs` epochs.
        - True: hold out the last row of each user (with `y`, the last row labelled above 0). Rank
          it after each epoch among all items without another row of the user. Stop when NDCG@10 has
          not risen for `n_iter_no_change` epochs, and keep the weights of the best epoch. Held-out
          rows are not trained on.
        - "refit": find the best epoch in this way, then train anew on all rows for that number of
          epochs. Not for ``pretrain="sgd"``; ``pretrain="als"`` always trains anew.

        If `fit` gets `X_val`, its rows are ranked and no row of X is held out.
    n_iter_no_change : int, default=5
        Number of epochs without a higher NDCG@10 after which `early_stopping` stops.
    user_features, item_features : DataFrame or None, default=None
        Features of users and of items, one row each. The id is in the index or in a column `user`
        or `item`. All other columns hold numbers or booleans, dense or sparse, without missing
        values. The penalty pulls each vector towards a prediction from its features, see Notes.
        Users and items that are only in these tables are added behind those of X, so that items
        without interactions are recommended.
    feature_regularization : float, default=1.0
        L2 penalty of the linear map from features to vectors, above 0.
    random_state : int, RandomState, Generator or None, default=None
        Source of all random numbers. Two fits with the same int give bitwise equal weights on one
        machine; with large batches, the number of threads must be the same too. No global generator
        is used or changed. None uses fresh entropy.
    n_jobs : int or None, default=None
        Number of parallel jobs of the least squares, see `ALSRecommender`.
    verbose : int, default=0
        1 prints a line per epoch: loss, validation value, seconds, samples per second, time left.
        With "als", it also prints the setting and the weights that held-out rows decide.
        2 draws a progress bar with the time left, if `tqdm` is installed, else it is as 1. Both
        first explain the loss and the validation value.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.
    histories_ : ndarray of shape (n_users, n_last)
        Indices of the last items of each user, newest first, padded with -1. n_last is 20, or the
        length of the longest history if that is less, and 0 for a sparse X.
    user_map_ : object
        Linear map that predicts the vector of a new user in `interactions` from the mean vector of
        the user's last items, weighted by `recency` (for a sparse X, of all seen items). It is
        fitted to the users of `fit` by least squares. With "als", it predicts the MLP vector only.
    network_ : object
        The weights as NumPy arrays. A row of `users` or `items` is a GMF vector followed by an MLP
        vector. `weights` holds all learned arrays by name.
    model_ : keras.Model
        A copy of the network as a Keras model of ``[user indices, item indices]`` that returns
        logits. It is built at the first access and named after `architecture`.
    history_ : dict of list of float
        Values of each epoch. "loss" is the mean loss per row without the penalty.
        "val_ndcg_at_10", with `early_stopping` only, is NaN in epochs of `partial_fit`. With
        "refit" and "als", the values come from the first training.
    n_iter_ : int
        Number of epochs in `history_`.
    best_iter_ : int
        Epoch of the weights, from 1: the best one by validation or, without it, the last one.
    fit_seconds_ : float
        Seconds that `fit` took. Files and pickles leave it out.

    See Also
    --------
    NextItemRecommender : Predicts the next item, for tables with an order in time.
    ALSRecommender : Learns GMF alone, in seconds.
    PopularityRecommender : Ranks by popularity, as a baseline.

    Notes
    -----
    With vectors :math:`p_u, q_i` for GMF and :math:`p'_u, q'_i` for the MLP, the probability is

    .. math::

        \hat y_{ui} = \sigma\left(h^\top \begin{bmatrix} p_u \odot q_i \\
        \mathrm{MLP}([p'_u, q'_i]) \end{bmatrix} + b\right)

    where the MLP is a stack of ReLU layers.

    ``pretrain="als"`` holds out one row of each user with at least two rows: the last one by
    timestamp or, without timestamps, a random one. On the other rows, `fit`

    - solves GMF as `ALSRecommender` does, with ``regularization=0.1``. It also tries
      regularizations of 0.05 and 0.2, and 1.5 times `recency`. A change is kept if it raises
      NDCG@10 of the held-out rows by more than two standard errors of the paired difference;
    - trains the MLP;
    - finds a and c, so that :math:`a\, p_u^\top q_i + c\, \mathrm{logit}^\text{MLP}_{ui}` is the
      score. :math:`(a, c)` is the mean of :math:`(a_1, 0)`, the best weight for GMF alone, and
      :math:`(a_2, c_2)`, the best weights for both. The best weights maximise the probability of
      the held-out items by a softmax among the 20 best unseen items of each half.

    Then `fit` learns both halves anew on all rows. A new user's GMF vector is the exact
    least-squares solution.

    With "als", isotonic regression turns scores into the probabilities of `predict`. It is fitted
    to the held-out items and four unseen items drawn for each as negatives. After `partial_fit`
    and without "als", `predict` is the sigmoid of the logit.

    With features f, the penalty of a vector is its squared distance from :math:`M f + c` instead of
    its squared norm. M and c are a ridge regression of vectors on features, fitted before each
    epoch, where the vector of an item with n users has the weight :math:`n / (n + 20)`. Users and
    items with features but no row get :math:`M f + c`, and are never drawn as negatives. Dense
    columns with values outside [-1, 1] are standardised; sparse ones are divided by their largest
    absolute value. `partial_fit` reads the tables again: set new ones by `set_params` before it.
    `save` does not store the tables.

    Initial vectors are normal with a standard deviation of 0.01, hidden layers are Glorot uniform,
    h is LeCun uniform, and biases are 0. Two things differ from the paper's code. A batch keeps
    each positive together with its negatives. Adam is lazy: it does not change vectors, or their
    moments, that a batch does not use. From scikit-learn 1.9 on, ``set_callbacks`` accepts
    scikit-learn's callbacks.

    References
    ----------
    He, Liao, Zhang, Nie, Hu, Chua (2017), Neural Collaborative Filtering, WWW,
    doi 10.1145/3038912.3052569.

    Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), BPR: Bayesian personalized ranking from
    implicit feedback, UAI, arXiv 1205.2618.

    Kingma, Ba (2015), Adam: a method for stochastic optimization, ICLR, arXiv 1412.6980.

    Rendle, Krichene, Zhang, Koren (2021), Revisiting the performance of iALS on item
    recommendation benchmarks, arXiv 2110.14037.

    Examples
    --------
    Odd users read odd books and even users even ones; each has one of theirs left to read.

    >>> import pandas as pd
    >>> from neumf import NeuMFRecommender
    >>> X = pd.DataFrame([(u, i) for u in range(100) for i in range(40)
    ...                   if u % 2 == i % 2 and (u + i) % 40], columns=["user", "item"])
    >>> model = NeuMFRecommender(recency=0, random_state=0).fit(X)
    >>> model.recommend([3, 4], k=1)[["user", "item"]]
       user  item
    0     3    37
    1     4    36
    """

    _presets = NEUMF_PRESETS
    _shape_parameters = ("architecture", "n_factors", "mlp_embedding_dim", "hidden_layer_sizes")

    def __init__(
        self,
        *,
        architecture: Architecture = "neumf",
        n_factors: int = 128,
        mlp_embedding_dim: int = 32,
        hidden_layer_sizes: Sequence[int] = (32, 16, 8),
        n_negatives: int = 8,
        negative_strategy: Strategy = "uniform",
        loss: LossName = "auto",
        pretrain: Literal["als", "sgd"] | None = "als",
        recency: float = 1.0,
        regularization: float = 0.005,
        dropout: float = 0.5,
        learning_rate: float = 2e-3,
        batch_size: int = 4096,
        epochs: int = 5,
        early_stopping: EarlyStopping = False,
        n_iter_no_change: int = 5,
        user_features: Any = None,
        item_features: Any = None,
        feature_regularization: float = 1.0,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.architecture = architecture
        self.n_factors = n_factors
        self.mlp_embedding_dim = mlp_embedding_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_negatives = n_negatives
        self.negative_strategy = negative_strategy
        self.loss = loss
        self.pretrain = pretrain
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
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _plan(self, y: Any) -> FitPlan:
        check_option("negative_strategy", self.negative_strategy, ("uniform", "popularity"))
        shape = self._shape_now()
        halves = self._halves(shape)
        plan = make_plan(self, self.architecture, self._blueprint(shape), "sampled_softmax", y)
        check_n_jobs(self.n_jobs, "blocks of vectors")
        solves = self.pretrain == "als" and len(halves) > 0
        return replace(
            plan,
            halves=halves,
            solves_gmf=solves,
            n_jobs=self.n_jobs,
            negative_strategy=self.negative_strategy,
        )

    def _halves(self, shape: dict[str, Any]) -> tuple[Blueprint, ...]:
        """Return the blueprints of GMF and MLP if `pretrain` learns them first, else ()."""
        check_option("pretrain", self.pretrain, ("als", "sgd", None))
        joins = self.architecture == "neumf"
        if self.pretrain is None or (self.pretrain == "als" and not joins):
            return ()
        if not joins:
            raise ValueError(
                "pretrain='sgd' joins a GMF and an MLP, so architecture must be 'neumf'. Received: "
                f"architecture={self.architecture!r}. Set pretrain=None."
            )
        if self.pretrain == "sgd" and self.early_stopping == "refit":
            raise ValueError(
                "early_stopping='refit' trains one network again for its best number of epochs, so "
                "pretrain must not be 'sgd', which trains three. Received: pretrain='sgd'. Set "
                "early_stopping=True."
            )
        return tuple(self._blueprint(shape | {"architecture": half}) for half in ("gmf", "mlp"))

    @classmethod
    def _blueprint(cls, shape: dict[str, Any]) -> Blueprint:
        check_option("architecture", shape["architecture"], tuple(ARCHITECTURES))
        for name in ("n_factors", "mlp_embedding_dim"):
            check_int(name, shape[name], 1)
        _check_layer_sizes(shape["hidden_layer_sizes"])
        layers = ARCHITECTURES[shape["architecture"]](
            shape["n_factors"], shape["mlp_embedding_dim"], shape["hidden_layer_sizes"]
        )
        return Blueprint.of_towers(layers, UserIds(layers.width, _HISTORY_LENGTH))


def _check_layer_sizes(sizes: Any) -> None:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray) or len(sizes) == 0:
        raise ValueError(
            "hidden_layer_sizes must be a tuple of at least one int, such as (32, 16, 8). "
            f"Received: {sizes!r}."
        )
    for number, size in enumerate(sizes):
        check_int(f"hidden_layer_sizes[{number}]", size, 1)
