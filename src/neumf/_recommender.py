"""NeuMFRecommender: parameters, fitted state, recommendations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf._arrays import Codes, Float32s
from neumf._base import BaseRecommender
from neumf._callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from neumf._held_out import HeldOut
from neumf._presets import PRESETS
from neumf._random import RandomState, make_generator
from neumf._ranking import exact_lists, mean_over_lists, top_lists
from neumf._validation import check_int, check_option, check_real
from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.histories import (
    Histories,
    read_histories,
    read_last_items,
    read_later_histories,
)
from neumf.interactions.ids import extend_index, lookup_ids, read_ids, show
from neumf.interactions.seen import count_users, seen_matrix
from neumf.interactions.tables import read_interactions
from neumf.interactions.timeline import timelines
from neumf.interactions.unseen import Strategy, UnseenItems, other_items, refuse_saturated
from neumf.metrics import ndcg_at_k
from neumf.model.network import (
    Network,
    build_keras_model,
    grow_network,
    initial_network,
    join_networks,
    sizes_of,
    with_initial_encoder,
)
from neumf.model.user_map import UserMap, recency_weights
from neumf.training.trainer import (
    AdamState,
    EpochReport,
    Loss,
    Trained,
    Trainer,
    TrainingRows,
    TrainingSettings,
    train,
)

Architecture = Literal["neumf", "gmf", "mlp"]
UserEncoder = Literal["id", "history", "hybrid"]


class NeuMFRecommender(CallbackSupportMixin, BaseRecommender):
    r"""Neural Matrix Factorization: GMF and an MLP over learned vectors of users and items.

    Learns from implicit feedback: every row of the table is a positive, and each epoch draws new
    negatives among the items that the user has not seen. Ids may be any hashable; the estimator
    keeps its own index of them, so ids go in and ids come out.

    Parameters
    ----------
    architecture : {"neumf", "gmf", "mlp"}, default="neumf"
        The whole network, or one of its halves.
    n_factors : int, default=32
        Width of the GMF vectors.
    mlp_embedding_dim : int, default=32
        Width of the MLP vectors.
    hidden_layer_sizes : tuple of int, default=(32, 16, 8)
        Widths of the hidden layers of the MLP, at least one. The paper writes the network of the
        default values as layers [64, 32, 16, 8]: its 64 is the input of two vectors of 32.
    n_negatives : int, default=4
        Negatives drawn for each row and epoch, if `fit` gets no `y` and `loss` needs them.
    negative_strategy : {"uniform", "popularity"}, default="uniform"
        Draw unseen items with equal probability, or in proportion to the users who had them. With a
        `user_encoder` that reads histories, all items but the row's own count as unseen: what the
        user had later must tell nothing.
    loss : {"binary_crossentropy", "bpr", "sampled_softmax", "softmax"}, \
            default="binary_crossentropy"
        Binary cross-entropy of every positive and negative (the paper's equation 7); or the
        Bayesian personalised ranking of a positive above each of its negatives; or the softmax of
        a positive among its negatives; or that of a positive among all items, which draws no
        negatives, needs ``architecture="gmf"``, and costs as much as the catalogue is long. With
        the last three, `predict` orders the items of a user but is no calibrated probability.
    pretrain : bool, default=False
        Fit GMF and MLP by themselves first (each as `epochs` and `early_stopping` say), then join
        them with half a say each and train on with plain SGD (section 3.4.1 of the paper).
    user_encoder : {"id", "history", "hybrid"}, default="id"
        What a user's vector is: "id" learns one for each user, as the paper does. "history" makes
        it of the last items that the user had, so that new users and new interactions count at once
        (see `interactions` of `recommend`). "hybrid" adds both.
    history_length : int, default=20
        How many of a user's last items make the vector; with ``user_encoder="id"``, those of a new
        user in `interactions`.
    history_hidden_size : int, default=0
        Width of a hidden layer that refines the vector made of a history, see Notes; 0 has none.
        For large tables.
    recency : float, default=0.5
        How much more a user's late rows count than the early ones. In the loss, a row weighs
        ``(1 + r) ** -recency``, where r is the number of rows that the user has after it, scaled
        to a mean of 1 over all rows; `sample_weight` multiplies it. 0 weighs all alike, as in the
        paper; 1 makes the last row count ten times the tenth from the end. What is asked for is
        what a user does *next*, so this is often the parameter to tune first. The rows of a sparse
        matrix have no order in time and weigh all alike.
    regularization : float, default=0.0
        Weight of the squared L2 norm, for each sample of a batch, of its user and item vectors, and
        of all layer kernels, h included. (Shrinking the GMF vectors alone would do nothing: h
        would grow by as much.)
    dropout : float, default=0.5
        Share of the values that are dropped, while training, from the GMF product (with
        ``loss="softmax"``, from the user's GMF vector) and from the output of each layer of the
        MLP.
    learning_rate : float, default=1e-3
        Step size of Adam.
    batch_size : int, default=256
        Samples per step, positives and negatives drawn for them together, as in the paper.
    epochs : int, default=20
        Passes over the rows.
    early_stopping : bool, default=False
        Hold out each user's last row inside `fit` (with `y`, the last one labelled above 0), rank
        it after each epoch among all items that the user has no row of, stop when NDCG@10 has not
        risen for `n_iter_no_change` epochs, and keep the best epoch. The held-out rows are not
        trained on; to train on all rows, fit again with ``epochs=best_iter_``.
    n_iter_no_change : int, default=5
        Epochs without a better value that `early_stopping` waits.
    random_state : int, RandomState, Generator or None, default=None
        Source of all randomness: initial weights, order, negatives, dropout. Two fits with one int
        give the same weights, bit for bit, on one machine (with large batches: and one number of
        threads, between which TensorFlow shares out sums). No global generator is used or changed;
        None takes fresh entropy.
    verbose : int, default=0
        1 prints a line per epoch: loss, validation value, seconds, samples (positives and
        negatives) trained on per second, and the time left if the other epochs take as long.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index: in order of first appearance.
    items_ : pandas.Index of shape (n_items,)
        The catalogue: the id of each item, by index.
    seen_ : csr_array of shape (n_users, n_items)
        The items that each user has seen.
    popularity_ : ndarray of shape (n_items,)
        Number of users who interacted with each item.
    popularity_logits_ : ndarray of shape (n_items,)
        Logit of the probability that a user interacts with the item, by Laplace's rule
        ``(popularity_ + 1) / (n_users + 2)``: what unknown users' lists are ranked by.
    histories_ : ndarray of shape (n_users, history_length)
        The last items of each user by index, newest first, filled up with -1.
    user_map_ : object or None
        What makes a vector of a new user's `interactions`, with ``user_encoder="id"``: the
        least-squares map, over the users that `fit` saw, from the mean vector of a user's last
        items (weighted by `recency`) to the user's own.
    network_ : object
        The weights, as NumPy arrays: `users`, `items` (a row each, GMF vector then MLP vector) and
        `layers`. The vectors of users are those after their last row; `encoder` is what makes them,
        or None.
    model_ : keras.Model
        The same as a Keras model of ``[user indices, item indices]``, whose output is the logit.
        Built when first asked for; a copy, which does not change the estimator.
    history_ : dict of list of float
        Per epoch: "loss", the mean training loss per row, without the penalty, and with
        `early_stopping` "val_ndcg_at_10".
    n_iter_ : int
        Epochs run.
    best_iter_ : int
        Epoch of the weights, from 1: the best by validation, else the last.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.

    See Also
    --------
    PopularityRecommender : The baseline.
    hr_scorer, ndcg_scorer : Measure a fitted recommender on held-out rows.
    compare : Tells whether it is better than the baselines.
    LeaveLastOutSplitter : Holds out each user's last row.

    Notes
    -----
    With separate vectors :math:`p_u, q_i` (GMF) and :math:`p'_u, q'_i` (MLP),

    .. math::

        \hat y_{ui} = \sigma\left(h^\top \begin{bmatrix} p_u \odot q_i \\
        \mathrm{MLP}([p'_u, q'_i]) \end{bmatrix} + b\right)

    where the MLP is a stack of ReLU layers. With a `user_encoder` that reads histories, both
    vectors of a user before a row are

    .. math::

        [p_u, p'_u] = v_u + \sum_{j=1}^{\ell} w_j \odot e_{i_j}

    where :math:`i_j` is the j-th last item that the user had strictly before the row (of rows with
    equal timestamps, those further up in the table come before), :math:`e_i` is a vector that the
    item has in histories alone, :math:`w_j` the weights of that place, which start at
    :math:`j^{-1/2}`, and :math:`v_u` is the user's own vector ("hybrid") or 0 ("history"). With
    `history_hidden_size`, the vector :math:`x` becomes
    :math:`x + W_2\,\mathrm{ReLU}(W_1 x + c)`, where :math:`W_2` starts at 0.

    Vectors start at N(0, 0.01), hidden layers at Glorot uniform, h at LeCun uniform, biases at 0.

    Two things differ from the paper's code. A batch holds whole groups, a positive with its
    negatives. Adam is lazy: vectors that a batch does not touch stay where they are, and so do
    their moments (``loss="softmax"`` touches all items).

    From scikit-learn 1.9 on, ``set_callbacks`` takes scikit-learn's callbacks: they hear of every
    epoch, may stop the training, and get an estimator as it is then, if they ask for one.

    References
    ----------
    He, Liao, Zhang, Nie, Hu, Chua (2017), Neural Collaborative Filtering, WWW,
    doi 10.1145/3038912.3052569.

    Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), BPR: Bayesian personalized ranking from
    implicit feedback, UAI, arXiv 1205.2618.

    Kingma, Ba (2015), Adam: a method for stochastic optimization, ICLR, arXiv 1412.6980.

    Examples
    --------
    Odd users read odd books and even users even ones; each has one of theirs left to read.

    >>> import pandas as pd
    >>> from neumf import NeuMFRecommender
    >>> X = pd.DataFrame([(u, i) for u in range(100) for i in range(40)
    ...                   if u % 2 == i % 2 and (u + i) % 40], columns=["user", "item"])
    >>> model = NeuMFRecommender(epochs=10, learning_rate=0.01, random_state=0).fit(X)
    >>> model.recommend([3, 4], k=1)[["user", "item"]]
       user  item
    0     3    37
    1     4    36
    """

    network_: Network
    _model: Any
    histories_: Codes
    user_map_: Any
    history_: dict[str, list[float]]
    n_iter_: int
    best_iter_: int
    _adam: AdamState
    _generator: np.random.Generator

    def __init__(
        self,
        *,
        architecture: Architecture = "neumf",
        n_factors: int = 32,
        mlp_embedding_dim: int = 32,
        hidden_layer_sizes: Sequence[int] = (32, 16, 8),
        n_negatives: int = 4,
        negative_strategy: Strategy = "uniform",
        loss: Loss = "binary_crossentropy",
        pretrain: bool = False,
        user_encoder: UserEncoder = "id",
        history_length: int = 20,
        history_hidden_size: int = 0,
        recency: float = 0.5,
        regularization: float = 0.0,
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        batch_size: int = 256,
        epochs: int = 20,
        early_stopping: bool = False,
        n_iter_no_change: int = 5,
        random_state: RandomState = None,
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
        self.user_encoder = user_encoder
        self.history_length = history_length
        self.history_hidden_size = history_hidden_size
        self.recency = recency
        self.regularization = regularization
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_preset(cls, name: str, **parameters: Any) -> Self:
        """Return a recommender with parameters that were chosen and measured together.

        Parameters
        ----------
        name : str
            - ``"paper-8"``, ``"paper-16"``, ``"paper-32"``, ``"paper-64"``: the network of the
              paper with that many factors, trained as there.
            - ``"paper-64-pretrained"``: the same, joined from a trained GMF and a trained MLP.
            - ``"best-id"``, ``"best-history"``, ``"best-hybrid"``: the most accurate settings known
              with each `user_encoder`.
            - ``"best-history-large"``, ``"best-hybrid-large"``: those for a million rows or more.
        **parameters : Any
            Parameters to set otherwise, or besides, such as `random_state` and `epochs`.

        Returns
        -------
        recommender : NeuMFRecommender
            Not fitted yet.

        Raises
        ------
        ValueError
            If there is no preset of that name.
        TypeError
            If there is no parameter of such a name.

        Notes
        -----
        HR@10 and NDCG@10 among 99 unseen items, NDCG@10 among all, and the time of a fit on one
        core of a busy machine, each user's last training row held out; more seeds and tables are in
        ``benchmarks/quality``.

        ===================  ================================  =================================
        preset               MovieLens-1M                      MovieLens-100K
        ===================  ================================  =================================
        paper-8              0.686, 0.409, 0.038; 1 minute     0.665, 0.386, 0.065; 6 seconds
        paper-16             0.684, 0.411, 0.039; 6 minutes    0.652, 0.380, 0.065; 18 seconds
        paper-32             0.677, 0.407, 0.042; 6 minutes    0.642, 0.373, 0.063; 1 minute
        paper-64             0.663, 0.398, 0.040; 23 minutes   0.640, 0.368, 0.062; 7 minutes
        paper-64-pretrained  0.691, 0.420, 0.044; 42 minutes   0.684, 0.410, 0.076; 5 minutes
        best-id              0.794, 0.543, 0.092; 5 minutes    0.747, 0.467, 0.102; 30 seconds
        best-history         0.831, 0.620, 0.157; 6 minutes    0.767, 0.502, 0.120; 40 seconds
        best-hybrid          0.838, 0.626, 0.156; 6 minutes    0.781, 0.507, 0.121; 40 seconds
        best-history-large   0.843, 0.644, 0.186; 17 minutes   -
        best-hybrid-large    0.851, 0.652, 0.187; 18 minutes   -
        ===================  ================================  =================================

        The presets of histories take new users without training; "best-id" is for tables whose
        order says little. On tables of a few thousand rows fewer epochs do better.

        Examples
        --------
        >>> from neumf import NeuMFRecommender
        >>> NeuMFRecommender.from_preset("paper-16", random_state=0).hidden_layer_sizes
        (64, 32, 16)
        """
        check_option("name", name, tuple(PRESETS))
        return cls(**{**PRESETS[name], **parameters})

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on interactions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions: columns user, item, timestamp, rating by name, or by position where
            neither a user nor an item column is named. The timestamp gives the order of a user's
            rows, the rating is not used. A sparse matrix is users x items.
        y : array-like of shape (n_samples,) or None, default=None
            None makes every row a positive and draws negatives anew each epoch. Labels in [0, 1]
            are trained on as they are, without further negatives.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, and of the negatives drawn for it, in the loss.

        Returns
        -------
        self : NeuMFRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, X, y or sample_weight cannot be read, a user has seen
            every item, so that no negative can be drawn, or the loss diverges. The estimator then
            stays as it was.

        Warns
        -----
        RuntimeWarning
            If Ctrl-C interrupts the training after an epoch or more: what was learned until then
            is kept, and `n_iter_` counts the epochs done. Interrupted earlier, or in the halves of
            `pretrain`, the estimator stays as it was. Also if XLA cannot compile the training step
            on this machine, which then runs slower.
        """
        self._check_parameters(y)
        rows = self._read_rows(X, y, sample_weight)
        rng = make_generator(self.random_state)
        kept, validate = _hold_out(rows) if self.early_stopping else (rows, None)
        histories = self._read_histories(kept)
        training_rows = self._training_rows(kept, kept.seen, histories)
        if histories is None or kept is not rows:
            last_items = read_last_items(*rows.timelines, self.history_length)
        else:
            last_items = histories.last()
        of_rows = self._attributes_of_rows(rows, rows.seen) | {"histories_": last_items}
        n_epochs = self.epochs * (3 if self.pretrain else 1)
        data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        of_network = partial(self._attributes_of_network, rows, last_items)
        tasks = FitTasks(self, n_epochs, of_rows, of_network, **data)
        trained = self._learn(training_rows, rows.shape, validate, rng, tasks)
        # Nothing is kept before all is done: a fit that fails leaves the estimator as it was.
        validate_data(self, X, skip_check_array=True)
        self._keep(of_rows | of_network(trained.network), trained.adam, rng)
        self.history_ = {"loss": trained.losses}
        if trained.values:
            self.history_["val_ndcg_at_10"] = trained.values
        self.n_iter_ = len(trained.losses)
        self.best_iter_ = trained.best_epoch
        tasks.end()
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train on, on new interactions alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            New interactions, as a table like that of `fit`, of known and of new users and items. A
            user's rows come after all that the user did before, whatever their timestamps say. A
            table without rows changes nothing.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, see `fit`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights, see `fit`.

        Returns
        -------
        self : NeuMFRecommender
            The recommender, which is fitted by `fit` if it was not yet.

        Raises
        ------
        ValueError, TypeError
            As `fit` does; and if X has other columns, its ids are strings where `fit` saw numbers,
            or the reverse, or a parameter is set by which the network would have another shape.
            The estimator then stays as it was.

        Warns
        -----
        RuntimeWarning
            As `fit` does.

        Notes
        -----
        Training goes `epochs` times through the new rows, with Adam's moments and step count as
        they were. On MovieLens-1M in ten steps of time, it kept 99 % of the NDCG@10 of a fit on all
        rows so far, in 18 % of its time (``benchmarks/quality``).

        New users and items get initial vectors as in `fit`, behind the known ones. The vectors of
        users without a new row, and of items that neither a row nor a negative names, stay as they
        are (of users made of histories: their own part); the shared layers move. All rows are
        trained on: neither `early_stopping` nor `pretrain` acts. Scikit-learn's callbacks hear of
        `fit` alone.
        """
        if not hasattr(self, "network_"):
            self.fit(X, y, sample_weight)
            return self
        self._check_parameters(y)
        new = read_interactions(X, may_be_empty=True)
        if len(new) and not sp.issparse(X):  # whose columns are the items
            validate_data(self, X, reset=False, skip_check_array=True)
        if len(new) == 0:
            return self
        users = extend_index(new.users, self.users_, "X: user ids")
        items = extend_index(new.items, self.items_, "X: item ids")
        rows = EncodedRows.encode(new, users, items, y, sample_weight)
        self._check_order(rows)
        n_new = len(rows.user_ids) - len(self.users_)
        before = np.pad(np.arange(len(self.users_)), (0, n_new), constant_values=-1)
        seen = self._seen_after(before, rows.seen)
        histories = self._histories_after(before, *rows.timelines[:4])
        of_ids = self.user_encoder == "id"
        training_rows = self._training_rows(rows, seen, None if of_ids else histories)
        rng = self._generator
        network = self._grown_network(rows.shape, rng)
        trainer = Trainer(network, training_rows, self._settings(), rng, self._adam)
        trained = self._run(trainer, None, self.architecture, None)
        last_items = histories.last()
        of_rows = self._attributes_of_rows(rows, seen) | {"histories_": last_items}
        of_network = self._attributes_of_network(rows, last_items, trained.network)
        self._keep(of_rows | of_network, trained.adam, rng)
        self.history_["loss"] += trained.losses
        self.n_iter_ += len(trained.losses)
        self.best_iter_ = self.n_iter_
        return self

    @property
    def model_(self) -> Any:
        """The network as a Keras model of ``[user indices, item indices]`` -> logit."""
        check_is_fitted(self)
        if self._model is None:
            self._model = build_keras_model(self.network_)
        return self._model

    def similar_items(self, items: Any, k: int = 10) -> pd.DataFrame:
        """Return the items whose vectors point in the most similar direction.

        Parameters
        ----------
        items : id or array-like of ids
            Items that `fit` saw.
        k : int, default=10
            Number of items for each.

        Returns
        -------
        similar : DataFrame with columns item, similar_item, score, rank
            The score is the cosine of the angle between the items' vectors, GMF and MLP joined.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see an item, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return _similar("item", items, self.items_, self.network_.items, k)

    def similar_users(self, users: Any, k: int = 10) -> pd.DataFrame:
        """Return the users whose vectors point in the most similar direction.

        Parameters
        ----------
        users : id or array-like of ids
            Users that `fit` saw.
        k : int, default=10
            Number of users for each.

        Returns
        -------
        similar : DataFrame with columns user, similar_user, score, rank
            The score is the cosine of the angle between the users' vectors, GMF and MLP joined.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see a user, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return _similar("user", users, self.users_, self.network_.users, k)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the Keras model out: it is made from the weights when asked for."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"_model": None} if "_model" in state else state

    @property
    def _ranker(self) -> Network:
        return self.network_

    def _check_parameters(self, y: Any) -> None:
        check_option("architecture", self.architecture, ("neumf", "gmf", "mlp"))
        check_option("user_encoder", self.user_encoder, ("id", "history", "hybrid"))
        check_option("negative_strategy", self.negative_strategy, ("uniform", "popularity"))
        check_option("loss", self.loss, get_args(Loss))
        for name in ("pretrain", "early_stopping"):
            check_option(name, getattr(self, name), (True, False))
        for name in (
            "n_factors",
            "mlp_embedding_dim",
            "n_negatives",
            "history_length",
            "batch_size",
            "epochs",
            "n_iter_no_change",
        ):
            check_int(name, getattr(self, name), 1)
        _check_layers(self.hidden_layer_sizes)
        if not isinstance(self.verbose, bool):
            check_int("verbose", self.verbose, 0)
        check_int("history_hidden_size", self.history_hidden_size, 0)
        check_real("recency", self.recency)
        check_real("regularization", self.regularization)
        check_real("dropout", self.dropout, below=1)
        check_real("learning_rate", self.learning_rate, above=0)
        if self.loss == "softmax" and self.architecture != "gmf":
            raise ValueError(
                "loss='softmax' scores every item for every row, which only GMF does fast, so "
                f"architecture must be 'gmf'. Received: architecture={self.architecture!r}. Set "
                "loss='sampled_softmax'."
            )
        if self.pretrain and self.architecture != "neumf":
            raise ValueError(
                "pretrain=True joins a GMF and an MLP, so architecture must be 'neumf'. Received: "
                f"architecture={self.architecture!r}. Set pretrain=False."
            )
        if y is not None and self.loss != "binary_crossentropy":
            raise ValueError(
                f"y must be None with loss={self.loss!r}, which compares each row with other "
                "items. Leave y out, or set loss='binary_crossentropy'."
            )

    def _initial_network(
        self, architecture: str, shape: tuple[int, int], rng: np.random.Generator
    ) -> Network:
        network = initial_network(
            *shape,
            0 if architecture == "mlp" else self.n_factors,
            0 if architecture == "gmf" else self.mlp_embedding_dim,
            tuple(self.hidden_layer_sizes),
            rng,
        )
        if self.user_encoder == "id":
            return network
        with_ids = self.user_encoder == "hybrid"
        return with_initial_encoder(
            network, self.history_length, self.history_hidden_size, with_ids, rng
        )

    def _grown_network(self, shape: tuple[int, int], rng: np.random.Generator) -> Network:
        """Return the network with initial vectors for the users and items that are new."""
        n_new = shape[0] - len(self.users_), shape[1] - len(self.items_)
        new = self._initial_network(self.architecture, n_new, rng)
        length = self.histories_.shape[1]
        if sizes_of(new) != sizes_of(self.network_) or self.history_length != length:
            raise ValueError(
                "architecture, n_factors, mlp_embedding_dim, hidden_layer_sizes, user_encoder, "
                "history_length and history_hidden_size must be what they were in fit: partial_fit "
                "keeps the shape of the network. Set them back, or call fit with all rows."
            )
        return grow_network(self.network_, new)

    def _training_rows(
        self, rows: EncodedRows, seen: sp.csr_array, histories: Histories | None
    ) -> TrainingRows:
        """Return the rows to train on, with what negatives may be drawn from.

        `seen` tells what the users have seen, in these rows and before.
        """
        unseen = None
        if rows.labels is None and self.loss != "softmax":
            counts = count_users(seen) if self.negative_strategy == "popularity" else None
            if histories is None:
                unseen = UnseenItems(seen, counts)
                refuse_saturated(unseen, rows.users, rows.user_ids)
            else:
                # That an item is not drawn must not tell that its user had it later.
                unseen = other_items(rows.shape[1], counts)
        weighs_late = self.recency > 0 and rows.ordered
        weights = _recency_weights(rows, self.recency) if weighs_late else rows.weights
        return TrainingRows(rows.users, rows.items, rows.labels, weights, unseen, histories)

    def _read_histories(self, rows: EncodedRows) -> Histories | None:
        """Return what each row's user had before it, if the user encoder asks for it."""
        self._check_order(rows)
        if self.user_encoder == "id":
            return None
        return read_histories(*rows.timelines, self.history_length)

    def _check_order(self, rows: EncodedRows) -> None:
        if self.user_encoder != "id" and not rows.ordered:
            raise ValueError(
                f"user_encoder={self.user_encoder!r} makes users of their last items, so X must be "
                "a table with an order in time (no sparse matrix). Set user_encoder='id'."
            )

    def _histories_after(
        self,
        codes: Codes,
        users: Codes,
        items: Codes,
        timestamps: Any = None,
        positive: Any = slice(None),
    ) -> Histories:
        """Return the histories of new rows of users who had an index before (-1: none)."""
        before = np.where(codes[:, None] < 0, -1, self.histories_[codes])
        return read_later_histories(before, users, items, timestamps, positive)

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            loss=self.loss,
            n_negatives=self.n_negatives,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            dropout=self.dropout,
            # After pretraining Adam would need the moments of the halves (section 3.4.1).
            optimizer="sgd" if self.pretrain else "adam",
        )

    def _learn(
        self,
        rows: TrainingRows,
        shape: tuple[int, int],
        validate: Callable[[Network], float] | None,
        rng: np.random.Generator,
        tasks: FitTasks,
    ) -> Trained:
        """Train the network, after its halves if `pretrain` says so."""
        settings = self._settings()

        # No name for the initial weights: they are freed when the trainer has them.
        def start(architecture: str) -> Trainer:
            network = self._initial_network(architecture, shape, rng)
            return Trainer(network, rows, replace(settings, optimizer="adam"), rng)

        if self.pretrain:
            halves = []
            for half in ("gmf", "mlp"):
                trained = self._run(start(half), validate, half, tasks)
                if trained.interrupted:
                    raise KeyboardInterrupt
                halves.append(trained.network)
            trainer = Trainer(join_networks(*halves), rows, settings, rng)
        else:
            trainer = start(self.architecture)
        return self._run(trainer, validate, self.architecture, tasks)

    def _run(
        self,
        trainer: Trainer,
        validate: Callable[[Network], float] | None,
        name: str,
        tasks: FitTasks | None,
    ) -> Trained:
        watcher = _EpochWatcher(name, self.epochs, trainer.n_samples, self.verbose, tasks)
        return train(trainer, self.epochs, validate, self.n_iter_no_change, watcher)

    def _fold_in(self, codes: Codes, users: Codes, items: Codes) -> None:
        before = self.histories_[codes]
        self.histories_ = self._histories_after(codes, users, items).last()
        encoder = self.network_.encoder
        if encoder is not None:
            vectors = encoder.encode(codes, self.histories_)
        else:
            # What a known user's vector has beyond the map stays.
            own = self.network_.users[codes] - self.user_map_.apply(before)
            vectors = self.user_map_.apply(self.histories_)
            vectors += np.where(codes[:, None] < 0, np.float32(0), own)
        self.network_ = replace(self.network_, users=vectors)

    def _attributes_of_network(
        self, rows: EncodedRows, last_items: Codes, network: Network
    ) -> dict[str, Any]:
        """Return what recommending needs besides, by the names of the attributes."""
        user_map = None
        if network.encoder is None:
            recency = self.recency if rows.ordered else 0.0
            user_map = UserMap.fit(network.users, network.items, last_items, recency)
        elif self.early_stopping:
            # The histories have grown by what was held out.
            vectors = network.encoder.encode(np.arange(len(last_items)), last_items)
            network = replace(network, users=vectors)
        return {"network_": network, "user_map_": user_map, "_model": None}

    def _keep(self, attributes: dict[str, Any], adam: AdamState, rng: np.random.Generator) -> None:
        """Set fitted attributes, and where the training has got to."""
        for name, value in attributes.items():
            setattr(self, name, value)
        self._adam, self._generator = adam, rng


def _hold_out(rows: EncodedRows) -> tuple[EncodedRows, Callable[[Network], float]]:
    """Hold out each user's last positive; return the other rows and what measures NDCG@10."""
    positive = np.arange(len(rows.users))[rows.positive]
    users = rows.users[positive]
    times = None if rows.timestamps is None else rows.timestamps[positive]
    from_last, counts = timelines(users, times)
    last = positive[(from_last == 0) & (counts[users] > 1)]
    if not rows.ordered or len(last) == 0:
        raise ValueError(
            "early_stopping=True holds out each user's last row, so X must be a table with an "
            "order in time (no sparse matrix) and a user with two rows. Set "
            "early_stopping=False."
        )
    kept = rows.without(last)
    # Rows labelled 0 were drawn or given in knowledge of the held-out row, which therefore is
    # not among them: as candidates they would give it away.
    seen = kept.seen if kept.labels is None else seen_matrix(kept.users, kept.items, kept.shape)
    held_out = HeldOut.from_rows(
        np.arange(len(last)), rows.users[last], rows.items[last], rows.shape[1]
    )

    def validate(network: Network) -> float:
        return mean_over_lists(ndcg_at_k, 10, exact_lists(network, held_out, seen))

    return kept, validate


def _recency_weights(rows: EncodedRows, recency: float) -> Float32s:
    """Return the weight of each row: a power of its place from its user's last row."""
    from_last, _ = timelines(rows.users, rows.timestamps)
    weights = recency_weights(from_last, recency)
    weights /= weights.mean(dtype=np.float64)
    return weights if rows.weights is None else weights * rows.weights


class _EpochWatcher:
    """Prints a line per epoch, if `verbose`, and tells callbacks."""

    def __init__(
        self, name: str, epochs: int, n_samples: int, verbose: int, tasks: FitTasks | None
    ) -> None:
        self._name = name
        self._epochs = epochs
        self._n_samples = n_samples
        self._verbose = verbose
        self._tasks = tasks

    def begin_epoch(self) -> None:
        """Hear that an epoch begins."""
        self._start = time.perf_counter()
        if self._tasks is not None:
            self._tasks.begin_epoch()

    def end_epoch(self, report: EpochReport, network: Callable[[], Network]) -> bool:
        """Hear what it came to; say whether to stop."""
        if self._verbose:
            self._print(report)
        return self._tasks is not None and self._tasks.end_epoch(network)

    def _print(self, report: EpochReport) -> None:
        seconds = time.perf_counter() - self._start  # validation included
        watched = "" if report.value is None else f"  val_ndcg_at_10 {report.value:.4f}"
        print(  # noqa: T201 - what verbose=1 asks for
            f"{self._name} epoch {report.epoch:>{len(str(self._epochs))}}/{self._epochs}  "
            f"loss {report.loss:.4f}{watched}  {seconds:.1f} s  "
            f"{self._n_samples / report.seconds:,.0f} samples/s  "
            f"{(self._epochs - report.epoch) * seconds:.0f} s left",
            flush=True,
        )


def _check_layers(sizes: Any) -> None:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray) or len(sizes) == 0:
        raise ValueError(
            "hidden_layer_sizes must be a tuple of at least one int, such as (32, 16, 8). "
            f"Received: {sizes!r}."
        )
    for number, size in enumerate(sizes):
        check_int(f"hidden_layer_sizes[{number}]", size, 1)


def _similar(word: str, ids: Any, vocabulary: pd.Index, vectors: Float32s, k: int) -> pd.DataFrame:
    """Return the k nearest rows by cosine, the row itself left out."""
    check_int("k", k, 1)
    ids = read_ids(ids, f"{word}s", vocabulary)
    codes = lookup_ids(ids, vocabulary, f"{word}s")
    if (codes < 0).any():
        unknown = ids[codes < 0]
        raise ValueError(
            f"{word}s must be among those that fit saw. Received {show(unknown, 0)} "
            f"({len(unknown)} unknown)."
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def score(block: slice) -> Float32s:
        cosines: Float32s = unit[codes[block]] @ unit.T
        cosines[np.arange(len(cosines)), codes[block]] = -np.inf
        return cosines

    rows, found, cosines, ranks = top_lists(len(codes), len(vocabulary), k, score)
    return pd.DataFrame(
        {
            word: ids[rows],
            f"similar_{word}": vocabulary.to_numpy()[found],
            "score": cosines,
            "rank": ranks,
        }
    )
