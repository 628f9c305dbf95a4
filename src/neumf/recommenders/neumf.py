"""NeuMFRecommender: the model of He et al. 2017, users and items by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from neumf.interactions.unseen import Strategy
from neumf.model.layers import ARCHITECTURES
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserIds
from neumf.neural.parameters import EarlyStopping, FitPlan, LossName, make_plan
from neumf.neural.presets import NEUMF_PRESETS
from neumf.neural.trainable import TrainableRecommender
from neumf.utils.random import RandomState
from neumf.utils.validation import check_int, check_n_jobs, check_option

Architecture = Literal["neumf", "gmf", "mlp"]

# Number of last items that make the vector of a new user in `interactions`.
_HISTORY_LENGTH = 20


class NeuMFRecommender(TrainableRecommender):
    r"""Neural Matrix Factorization: GMF and an MLP over vectors of users and items.

    .. versionadded:: 0.1

    Who likes what: users and items have vectors by their ids. By default, GMF is solved by least
    squares in seconds, the MLP is trained on sampled negatives, and held-out rows tell with what
    weights the two are joined. Rows need no order in time; if they have one, `recency` uses it.
    Where the order tells much, `NextItemRecommender` is more accurate. ``from_preset("paper-8")``
    is the network of the paper, trained as there.

    Parameters
    ----------
    architecture : {"neumf", "gmf", "mlp"}, default="neumf"
        The whole network, or one of its halves.
    n_factors : int, default=128
        Width of the GMF vectors.
    mlp_embedding_dim : int, default=32
        Width of the MLP vectors.
    hidden_layer_sizes : tuple of int, default=(32, 16, 8)
        Widths of the hidden layers of the MLP, at least one. The paper writes the network of
        these sizes as layers [64, 32, 16, 8]: its 64 is the input of two vectors of 32.
    n_negatives : int, default=8
        Negatives drawn for each row and epoch, if `fit` gets no `y`. The paper draws 4.
    negative_strategy : {"uniform", "popularity"}, default="uniform"
        Draw unseen items with equal probability, or in proportion to the users who had them.
        "batch_softmax" weighs what is drawn often less, and differs in noise alone.
    loss : {"auto", "sampled_softmax", "binary_crossentropy", "bpr", "batch_softmax", "softmax"}
        What is minimised.

        - "sampled_softmax": the softmax of a positive among the negatives drawn for it.
        - "binary_crossentropy": of every positive and negative (equation 7 of the paper); the only
          one that takes `y`.
        - "bpr": the Bayesian personalised ranking of a positive above each of its negatives.
        - "batch_softmax": the softmax of a positive among the negatives of its whole batch, which
          are drawn from the catalogue, seen items too, and stand for all of it; needs GMF.
        - "softmax": the softmax among all items; costs as much as the catalogue is long; needs GMF.
        - "auto", the default: "sampled_softmax", and with `y` "binary_crossentropy".
    pretrain : {"als", "sgd"} or None, default="als"
        How the halves of "neumf" are learned before they are joined (section 3.4.1 of the paper).

        - "als": GMF by alternating least squares, see `ALSRecommender` and Notes; the parameters of
          training act on the MLP. The other architectures are trained as with None.
        - "sgd": both by training (each as `epochs` and `early_stopping` say); they are joined with
          weight 1/2 each and trained on with plain SGD, as in the paper.
        - None trains the network from scratch, which takes more: try ``epochs=20`` and
          ``n_negatives=32``.
    recency : float, default=1.0
        How much more a user's late rows count than the early ones: in the loss, a row weighs
        ``(1 + r) ** -recency``, where r is the number of rows that the user has after it, scaled
        to a mean of 1 over all rows. `sample_weight` multiplies it. 0 weighs all alike, as in the
        paper. Rows of a sparse matrix have no order and weigh alike. With "als", GMF also tries
        1.5 times this.
    regularization : float, default=0.005
        Weight of the squared L2 norm of each vector: a sample adds `regularization` times the
        squared norm of its user's vector divided by the number of items that the user has, and of
        its item's divided by the number of users that have it. Kernels are penalised as if divided
        by 8.
    dropout : float, default=0.5
        Share of the values that training drops from the GMF product (with "softmax" and
        "batch_softmax", from the user's vector) and from the output of each layer of the MLP.
    learning_rate : float, default=2e-3
        Step size of Adam.
    batch_size : int, default=4096
        Samples per step, positives and the negatives drawn for them together, as in the paper.
    epochs : int, default=5
        Passes over the rows. With "als", the MLP is trained twice: to be joined, and on all rows.
    early_stopping : bool or "refit", default=False
        Hold out each user's last row inside `fit` (with `y`, the last one labelled above 0), rank
        it after each epoch among all items that the user has no row of, stop when NDCG@10 has not
        risen for `n_iter_no_change` epochs, and keep the best epoch. The held-out rows are not
        trained on; "refit" (not with "sgd") then trains anew, on all rows, up to the best epoch, as
        `pretrain="als"` always does. With `X_val` given to `fit`, its rows are ranked, and none is
        held out.
    n_iter_no_change : int, default=5
        Epochs without a better value that `early_stopping` waits.
    user_features, item_features : DataFrame or None, default=None
        Features of users and of items: a row for each, with its id in the index or in a column
        `user` or `item`, and columns of numbers or booleans, dense or sparse, without missing
        values. Vectors are pulled to what their features predict, see Notes. Users and items that
        only these tables have join behind those of X, so that items without interactions are
        recommended.
    feature_regularization : float, default=1.0
        Penalty of the map from features to vectors, above 0.
    random_state : int, RandomState, Generator or None, default=None
        Source of all randomness. Two fits with one int give the same weights, bit for bit, on one
        machine (with large batches: and one number of threads). No global generator is used or
        changed; None takes fresh entropy.
    n_jobs : int or None, default=None
        Jobs of the least squares, see `ALSRecommender`.
    verbose : int, default=0
        1 prints a line per epoch: loss, validation value, seconds, samples per second, time left.
        2 draws a progress bar with the time left, if `tqdm` is installed, else it is as 1. Both
        first explain the loss and the validation value.

    Attributes
    ----------
    users_, items_, seen_, popularity_, popularity_logits_, has_timestamps_, user_items_
        See :class:`neumf.base.BaseRecommender`.
    histories_ : ndarray of shape (n_users, n_last)
        The last items of each user by index, newest first, filled up with -1; 20, or the length of
        the longest history. No columns for a sparse X.
    user_map_ : object
        Makes the vector of a new user in `interactions` (with "als", that of the MLP): the
        least-squares map, over the users of `fit`, from the mean vector of a user's last items
        (weighted by `recency`; for a sparse X, of all seen items) to the user's own.
    network_ : object
        The weights, as NumPy arrays: `users` and `items`, the vectors (a row each, GMF vector then
        MLP vector), and `weights`, all that was learned, by name.
    model_ : keras.Model
        The same as a Keras model of ``[user indices, item indices]``, whose output is the logit; a
        copy, built at the first access. It is named after `architecture`.
    history_ : dict of list of float
        Per epoch: "loss", the mean per row without the penalty, and with `early_stopping`
        "val_ndcg_at_10", NaN in epochs of `partial_fit`. Of "refit" and of "als", the first
        training.
    n_iter_ : int
        Number of epochs in `history_`.
    best_iter_ : int
        Epoch of the weights, from 1: the best by validation, else the last.
    fit_seconds_ : float
        Seconds that `fit` took. Files and pickles leave it out.

    See Also
    --------
    NextItemRecommender : The model of the next item, for tables with an order in time.
    ALSRecommender : The GMF half alone, in seconds.
    PopularityRecommender : The baseline.

    Notes
    -----
    With separate vectors :math:`p_u, q_i` (GMF) and :math:`p'_u, q'_i` (MLP),

    .. math::

        \hat y_{ui} = \sigma\left(h^\top \begin{bmatrix} p_u \odot q_i \\
        \mathrm{MLP}([p'_u, q'_i]) \end{bmatrix} + b\right)

    where the MLP is a stack of ReLU layers.

    ``pretrain="als"`` holds out the last row by timestamp of each user with several, without
    timestamps a random one. On the other rows it

    - solves GMF as `ALSRecommender` does, with ``regularization=0.1``. It tries 0.05, 0.2 and 1.5
      times `recency`, and takes what ranks the held-out rows better by more than two standard
      errors of the paired difference in NDCG@10;
    - trains the MLP;
    - weights the two by a and c in :math:`a\, p_u^\top q_i + c\, \mathrm{logit}^\text{MLP}_{ui}`.
      These are the mean of :math:`(a_1, 0)`, the best for GMF alone, and :math:`(a_2, c_2)`, the
      best for both. The best ones make the held-out items most probable by a softmax among the
      20 best unseen items of each half.

    Then it learns both halves anew on all rows. A new user's GMF vector is the exact solution.

    With "als", `predict` is a probability: how often an item with such a score was the held-out
    one, where each has four unseen items as negatives, by isotonic regression. After `partial_fit`,
    and of other networks, it is the sigmoid of the logit.

    With features f, the penalty of a vector is not that of its squared norm, but of its squared
    distance from :math:`M f + c`, the ridge regression of vectors on features, computed before
    each epoch; a vector of an item that n users had weighs :math:`n / (n + 20)` in it. Users and
    items with features and no row get :math:`M f + c`, and are never drawn as negatives. Columns
    with values beyond -1 and 1 are standardised or, sparse ones, divided by their largest value.
    `partial_fit` reads the tables again: give it new ones by `set_params` before. Files of `save`
    leave the tables out.

    Vectors start at N(0, 0.01), hidden layers at Glorot uniform, h at LeCun uniform, biases at 0.
    Two things differ from the paper's code. A batch holds whole groups, a positive with its
    negatives. Adam is lazy: vectors that a batch does not touch, and their moments, stay as they
    are. From scikit-learn 1.9 on, ``set_callbacks`` takes scikit-learn's callbacks.

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
        """Return the GMF and the MLP that are learned first; none without `pretrain`."""
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
                "early_stopping='refit' trains one network for as many epochs as were best, so "
                "pretrain must be None. Received: pretrain='sgd'. Set early_stopping=True."
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
