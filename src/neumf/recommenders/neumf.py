"""NeuMFRecommender: parameters, fit, partial_fit."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from neumf.interactions.encoded_rows import EncodedRows
from neumf.interactions.ids import extend_index
from neumf.interactions.reading import read_input
from neumf.interactions.seen import join_seen
from neumf.interactions.unseen import Strategy
from neumf.model.network import Network, Weights
from neumf.neural.callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from neumf.neural.explain import ExplainMixin
from neumf.neural.export import ExportMixin
from neumf.neural.fitting import Past, learn, prepare_first, prepare_further
from neumf.neural.network_recommender import NetworkRecommender
from neumf.neural.parameters import (
    Architecture,
    LossName,
    UserEncoder,
    check_parameters,
    decide,
    of_all_rows,
    refuse_other_shape,
    shape_parameters,
)
from neumf.neural.presets import PresetsMixin
from neumf.neural.saved_network import NetworkSavingMixin
from neumf.utils.random import RandomState, make_generator
from neumf.utils.time_gaps import GapsFrom


class NeuMFRecommender(
    PresetsMixin,
    NetworkSavingMixin,
    ExportMixin,
    ExplainMixin,
    CallbackSupportMixin,
    NetworkRecommender,
):
    r"""Neural Matrix Factorization: GMF and an MLP over learned vectors of users and items.

    .. versionadded:: 0.1

    Learns from implicit feedback: every row of the table is a positive, and each epoch draws new
    negatives among the items that the user has not seen. Ids may be any hashable; the estimator
    keeps its own index of them, so ids go in and ids come out.

    The defaults are those that were best on tables of all kinds: matrix factorization, in which
    users are made of the last items they had. ``from_preset("paper-8")`` is the network of the
    paper, trained as there.

    Parameters
    ----------
    architecture : {"mf", "gmf", "mlp", "neumf"}, default="mf"
        The whole network of the paper, "neumf", or one of its halves; or matrix factorization,
        which is GMF with an h of ones that is not learned (section 3.2 of the paper).
    n_factors : int, default=128
        Width of the GMF vectors.
    mlp_embedding_dim : int, default=32
        Width of the MLP vectors.
    hidden_layer_sizes : tuple of int, default=(32, 16, 8)
        Widths of the hidden layers of the MLP, at least one. The paper writes the network of the
        default values as layers [64, 32, 16, 8]: its 64 is the input of two vectors of 32.
    n_negatives : int, default=1
        Negatives drawn for each row and epoch, if `fit` gets no `y` and `loss` needs them. With
        ``loss="batch_softmax"``, which shares them, one is enough; the paper draws 4.
    negative_strategy : {"uniform", "popularity"}, default="uniform"
        Draw unseen items with equal probability, or in proportion to the users who had them. With a
        `user_encoder` that reads histories, all items but the row's own count as unseen: what the
        user had later must tell nothing.
    loss : {"auto", "binary_crossentropy", "bpr", "sampled_softmax", "batch_softmax", "softmax"}
        Binary cross-entropy of every positive and negative (the paper's equation 7); or the
        Bayesian personalised ranking of a positive above each of its negatives; or the softmax of
        a positive among its negatives; or among those that were drawn for all positives of its
        batch, itself left out, hundreds at next to no cost, which stand for all items; or among all
        items, which draws no negatives and costs as much as the catalogue is long. The last two
        need ``architecture="mf"`` or ``"gmf"``. With the last four, `predict` orders the items of a
        user but is no calibrated probability. "auto", the default, is "batch_softmax" where
        `architecture` allows it and `fit` gets no `y`, else "binary_crossentropy".
    pretrain : bool, default=False
        Fit GMF and MLP by themselves first (each as `epochs` and `early_stopping` say), then join
        them with half a say each and train on with plain SGD (section 3.4.1 of the paper).
    user_encoder : {"auto", "id", "history", "hybrid"}, default="auto"
        What a user's vector is: "id" learns one for each user, as the paper does. "history" makes
        it of the last items that the user had, so that new users and new interactions count at once
        (see `interactions` of `recommend`). "hybrid" adds both. "auto" is "history", with
        `user_features` "hybrid", and "id" for a sparse matrix, whose rows have no order.
    history_length : int, default=20
        How many of a user's last items make the vector; with ``user_encoder="id"``, those of a new
        user in `interactions`. No more are kept than the longest history of `fit` has.
    history_hidden_size : int, default=0
        Width of a hidden layer that refines the vector made of a history (large tables); 0: none.
    history_gaps : "newest", "question" or None, default=None
        Let an item in a history also count by how long it was before the newest one, or before the
        moment of the question, see Notes. Needs timestamps, in `interactions` too. The moment is
        that of each row in `fit`, and `at` when asked; without, that of the user's newest item.
    newest_item : bool, default=False
        Whether a history's newest item adds a vector of what comes just after it, see Notes.
    tie_history : bool, default=True
        Whether an item in a history stands for its own vector, plus a deviation that starts at 0,
        and not for a vector that is learned from nothing, see Notes. What an item's own rows tell
        then counts in histories too: on small and on sparse tables this brings a lot. Users are
        then like what they had, which suits ``architecture="mf"``. Users of ids have none.
    item_bias : bool, default=True
        Whether each item has a bias in the logit, which starts at its log-popularity and is not
        penalised. Vectors then tell how tastes differ, and `regularization` can be strong.
    init_std : float, default=0.03
        Standard deviation of the initial vectors. A strong `regularization` needs larger ones, or
        all vectors shrink to 0 before they have learned anything: 0.03 to 0.1.
    recency : float, default=0.0
        How much more a user's late rows count than the early ones. In the loss, a row weighs
        ``(1 + r) ** -recency``, where r is the number of rows that the user has after it, scaled
        to a mean of 1 over all rows; `sample_weight` multiplies it. 0 weighs all alike, as in the
        paper; 1 makes the last row count ten times the tenth from the end. What is asked for is
        what a user does *next*, so with ``user_encoder="id"`` this is the parameter to tune first;
        of histories, each row has its own. Rows of a sparse matrix have no order and weigh alike.
    regularization : float, default=0.5
        Weight of the squared L2 norm of each vector, relative to the summed loss of the rows: each
        sample of a batch adds `regularization` times the squared norm of its user's vector divided
        by the number of items that the user has, and of its item's divided by the number of users
        that have it. What is rare is so held as close to 0 as its few rows cannot say otherwise,
        and one value suits sparse and dense tables. The kernels of layers, h included, are
        penalised as if divided by 8.
    dropout : float, default=0.5
        Share of the values that are dropped, while training, from the GMF product (with
        ``loss="softmax"`` or ``"batch_softmax"``, from the user's GMF vector) and from the output
        of each layer of the MLP.
    learning_rate : float, default=4e-3
        Step size of Adam.
    batch_size : int, default=1024
        Samples per step, positives and negatives drawn for them together, as in the paper.
    epochs : int, default=9
        Passes over the rows.
    average_epochs : int, default=1
        Take the mean of the weights after so many of the last epochs, all kept until then.
    early_stopping : bool or "refit", default=False
        Hold out each user's last row inside `fit` (with `y`, the last one labelled above 0), rank
        it after each epoch among all items that the user has no row of, stop when NDCG@10 has not
        risen for `n_iter_no_change` epochs, and keep the best epoch. The held-out rows are not
        trained on. "refit" then trains anew, on all rows, for as many epochs as the best one had,
        which takes up to twice the time; not with `pretrain`. With `X_val` given to `fit`, its rows
        are ranked, and none is held out.
    n_iter_no_change : int, default=5
        Epochs without a better value that `early_stopping` waits.
    user_features, item_features : DataFrame or None, default=None
        What is known of users and of items: a row for each, with its id in the index or in a column
        `user` or `item`, and columns of numbers or booleans, dense or sparse, without missing
        values. The vectors of users and items are then pulled to what their features lead one to
        expect, see Notes. Users and items that only these tables name are known too: they stand
        behind those of X, with the vectors that one expects of them, so that items which nobody has
        had yet are recommended. Who has no row in the table is learned as without it.
        `user_features` take users that have a vector of their own: with them, ``"auto"`` as
        `user_encoder` means "hybrid" where it would mean "history".
    feature_regularization : float, default=1.0
        Penalty of the map from features to vectors, above 0, see Notes: a column of zeros and ones
        that holds for so many users (or items) is believed by half.
    n_jobs : int or None, default=None
        Into how many shards the users are cut, which joblib trains side by side, see Notes: in
        processes of this machine or, where ``joblib.parallel_config`` says "dask", on a cluster. -1
        is one for each core that joblib knows of. None and 1 train all rows together, in this
        process, whatever ``parallel_config`` says. The weights depend on the number of shards, not
        on where, and how many at once, they are trained. Shards are for large tables with many rows
        for each item; what they cost in accuracy and time, ``benchmarks/README.md`` says.
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
    has_timestamps_ : bool
        Whether the rows given to `fit` had timestamps.
    histories_ : ndarray of shape (n_users, n_last)
        The last items of each user by index, newest first, filled up with -1. `n_last` is
        `history_length` or, if shorter, the length of the longest history; 0 for a sparse X.
    history_seconds_ : ndarray of shape (n_users, n_last) or None
        When each of these was, with `history_gaps`.
    user_map_ : object or None
        What makes a vector of a new user's `interactions`, with ``user_encoder="id"``: the
        least-squares map, over the users that `fit` saw, from the mean vector of a user's last
        items (weighted by `recency`; for a sparse X, of all seen items) to the user's own.
    network_ : object
        The weights, as NumPy arrays: `users` and `items`, the vectors of users after their last
        row and of items (a row each, GMF vector then MLP vector), and `weights`, all that was
        learned, by name.
    model_ : keras.Model
        The same as a Keras model of ``[user indices, item indices]``, whose output is the logit.
        Built when first asked for; a copy, which does not change the estimator.
    history_ : dict of list of float
        Per epoch: "loss", the mean training loss per row, without the penalty, and with
        `early_stopping` "val_ndcg_at_10", NaN in epochs of `partial_fit`, which holds nothing out.
        With ``early_stopping="refit"``, of the epochs before all rows were trained on.
    n_iter_ : int
        Epochs run, which `history_` has.
    best_iter_ : int
        Epoch of the weights, from 1: the best by validation, else the last.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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
    `history_gaps`, an item that was s seconds before has the weights :math:`w_j + g_t`, where
    :math:`t = \min(\lfloor 2 \log_2(1 + s) \rfloor, 63)`. Of a question, the t of the newest item
    adds a vector :math:`h_t`. All g and h start at 0 and have no penalty. With `newest_item`,
    a vector :math:`a_{i_1}` is added, of a question :math:`(1 + z_t) \odot a_{i_1}`; a and z start
    at 0, z has no penalty. With `history_hidden_size`, the vector :math:`x` becomes
    :math:`x + W_2\,\mathrm{ReLU}(W_1 x + c)`, where :math:`W_2` starts at 0. With `tie_history`,
    :math:`e_i` is :math:`[q_i, q'_i] + d_i`, where :math:`d_i` starts at 0.

    With `item_bias`, each item's :math:`b_i` is added to b. It starts at the logarithm of one plus
    the number of users who interacted with the item, relative to the mean over all items.

    Features act through the penalty, which for a vector that has some is not that of its own
    squared norm, but of its distance from :math:`M f + c`. There f are the features and M, c the
    ridge regression of vectors on features, computed before each epoch over all users (or items)
    that have rows; a vector of an item that n users had weighs :math:`n / (n + 20)` in it. This is
    the model in which a vector is a part of its own plus a linear map of its features, both
    penalised, fitted in turns, the map exactly. What has features and no row gets :math:`M f + c`,
    its bias too, and is never drawn as a negative. Columns with values beyond -1 and 1 are
    standardised or, sparse ones, divided by their largest value; others count as they are.

    With `partial_fit`, new users and items with features start at :math:`M f + c`: give it a table
    that has them by `set_params` before. A file that `save` writes leaves the tables out: set them
    again before `partial_fit`, or it goes on without.

    With `n_jobs`, every shard goes through a part of its rows, up to 128 times an epoch; then what
    all share is put together. The guide to many cores has the rule.

    Vectors start at N(0, `init_std`), hidden layers at Glorot uniform, h at LeCun uniform, the
    other biases at 0; with `tie_history`, so do the users' own vectors of "hybrid".

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

    def __init__(
        self,
        *,
        architecture: Architecture = "mf",
        n_factors: int = 128,
        mlp_embedding_dim: int = 32,
        hidden_layer_sizes: Sequence[int] = (32, 16, 8),
        n_negatives: int = 1,
        negative_strategy: Strategy = "uniform",
        loss: LossName = "auto",
        pretrain: bool = False,
        user_encoder: UserEncoder = "auto",
        history_length: int = 20,
        history_hidden_size: int = 0,
        history_gaps: GapsFrom | None = None,
        newest_item: bool = False,
        tie_history: bool = True,
        item_bias: bool = True,
        init_std: float = 0.03,
        recency: float = 0.0,
        regularization: float = 0.5,
        dropout: float = 0.5,
        learning_rate: float = 4e-3,
        batch_size: int = 1024,
        epochs: int = 9,
        average_epochs: int = 1,
        early_stopping: bool | Literal["refit"] = False,
        n_iter_no_change: int = 5,
        user_features: Any = None,
        item_features: Any = None,
        feature_regularization: float = 1.0,
        n_jobs: int | None = None,
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
        self.history_gaps = history_gaps
        self.newest_item = newest_item
        self.tie_history = tie_history
        self.item_bias = item_bias
        self.init_std = init_std
        self.recency = recency
        self.regularization = regularization
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.average_epochs = average_epochs
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.user_features = user_features
        self.item_features = item_features
        self.feature_regularization = feature_regularization
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, X_val: Any = None) -> Self:
        """Train on interactions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions. The columns user, item and timestamp of a DataFrame are found by name;
            where neither a user nor an item is named, and in an array, the first two columns are
            user and item and the others are ignored. The timestamp gives the order of a user's
            rows, else row order does. A sparse matrix is users x items. A path of Parquet files, a
            dataset of Arrow and a DataFrame of dask are read part by part, see :func:`read_rows
            <neumf.base.read_rows>`.
        y : array-like of shape (n_samples,) or None, default=None
            None makes every row a positive and draws negatives anew each epoch. Labels in [0, 1]
            are trained on as they are, without further negatives. A row labelled 0 is in nobody's
            history; its own history is that of the positive that it was drawn for, as
            `NegativeSampler.fit_resample` puts them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, and of the negatives drawn for it, in the loss.
        X_val : array-like of shape (n_val, n_features >= 2) or None, default=None
            What the users did after X, a table like X, for `early_stopping`: its rows are ranked
            after each epoch, in place of each user's last row of X; all of X is trained on. Nothing
            else reads them. Rows of users or items that are not in X are misses. In a search they
            are the same for all folds, so that no row of a test fold may be in them.

        Returns
        -------
        self : NeuMFRecommender
            The fitted recommender.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, X, y, sample_weight, X_val or a table of features cannot
            be read, such a table names nothing that is in X, X has no timestamps for
            `history_gaps`, X_val is given without `early_stopping`, a user has seen every item, so
            that no negative can be drawn, or the loss diverges. The estimator then stays as it was,
            as with the errors below.
        OSError
            If a file of X cannot be read to its end.

        Warns
        -----
        UserWarning
            If rows of X_val are misses, or pairs of it are in X; both are counted.
        RuntimeWarning
            If Ctrl-C interrupts the training after an epoch or more: what was learned until then
            is kept, and `n_iter_` counts the epochs done. Interrupted earlier, or in the halves of
            `pretrain`, the estimator stays as it was. Also if XLA cannot compile the training step
            on this machine, which then runs slower.
        """
        check_parameters(self, y)
        rows = EncodedRows.read(X, y, sample_weight)
        rows = rows.with_features(self.user_features, self.item_features)
        parameters = decide(self, ordered=rows.ordered, labelled=y is not None)
        rng = make_generator(self.random_state)
        lesson = prepare_first(parameters, rows, X_val)
        of_rows = self._attributes_of_rows(rows, rows.seen) | lesson.last_items.attributes

        def of_weights(weights: Weights) -> dict[str, Any]:
            network = Network.of_weights(lesson.blueprint, weights, lesson.last_items.codes)
            return self._attributes_of_network(network, of_rows)

        refits = self.early_stopping == "refit" and X_val is None
        n_epochs = self.epochs * (3 if self.pretrain else 2 if refits else 1)
        data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight, "X_val": X_val}}
        tasks = FitTasks(self, n_epochs, of_rows, of_weights, **data)
        header = X if rows.header is None else rows.header
        if not refits:
            del rows  # which hold timestamps that nothing reads any more
        trained, network = learn(parameters, lesson, rng, tasks)
        first = trained
        if refits and not first.interrupted:
            parameters = of_all_rows(parameters, first.best_epoch)
            lesson = prepare_first(parameters, rows)
            trained, network = learn(parameters, lesson, rng, tasks)
        validate_data(self, header, skip_check_array=True)
        history = {"loss": first.losses}
        if first.values:
            history["val_ndcg_at_10"] = first.values
        of_rows |= {"_shape": shape_parameters(parameters), "best_iter_": trained.best_epoch}
        self._commit(of_rows, network, trained, rng, history)
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
        ValueError, TypeError, OSError
            As `fit` does; and if X has other columns, its ids are strings where `fit` saw numbers,
            or the reverse, or a parameter is set by which the network would have another shape.
            The estimator then stays as it was.

        Warns
        -----
        RuntimeWarning
            As `fit` does.

        Notes
        -----
        Training goes `epochs` times through the new rows. After `fit`, Adam goes on with its step
        count and the mean of its second moments over the rows of each table, which is all that
        `fit` keeps of them; from then on, with the moments of each row, which take twice the memory
        of the vectors. What `partial_fit` keeps of the NDCG@10 of a fit on all rows so far, in a
        share of its time, is measured in ``benchmarks/quality/README.md``.

        New users and items get initial vectors as in `fit`, behind the known ones. The vectors of
        users without a new row, and of items that neither a row nor a negative names, stay as they
        are (of users made of histories: their own part); the shared layers move. All rows are
        trained on: neither `early_stopping` nor `pretrain` acts. Scikit-learn's callbacks hear of
        `fit` alone.
        """
        if not hasattr(self, "network_"):
            self.fit(X, y, sample_weight)
            return self
        check_parameters(self, y)
        ordered = bool(self.histories_.shape[1])
        parameters = decide(self, ordered=ordered, labelled=y is not None)
        if self.user_encoder == "auto" and self.user_features is None:
            # Files hold no tables: without one, it means what it meant to `fit`.
            parameters.user_encoder = self._shape["user_encoder"]
        refuse_other_shape(parameters, self._shape)
        new = read_input(X, may_be_empty=True)
        if len(new) and not sp.issparse(X):  # whose columns are the items
            table = X if new.header is None else new.header
            validate_data(self, table, reset=False, skip_check_array=True)
        if len(new) == 0:
            return self
        users = extend_index(new.users, self.users_, "X: user ids")
        items = extend_index(new.items, self.items_, "X: item ids")
        rows = EncodedRows.encode(new, users, items, y, sample_weight)
        rows = rows.with_features(self.user_features, self.item_features)
        n_new = len(rows.user_ids) - len(self.users_)
        before = np.pad(np.arange(len(self.users_)), (0, n_new), constant_values=-1)
        seen = join_seen(self.seen_, before, rows.seen)
        past = Past(self.network_, self._optimizer, self._last_items)
        lesson = prepare_further(parameters, rows, seen, past)
        # A copy: what fails must not move the generator on.
        rng = deepcopy(self._generator)
        trained, network = learn(parameters, lesson, rng)
        history = {
            name: values + (trained.losses if name == "loss" else [np.nan] * len(trained.losses))
            for name, values in self.history_.items()
        }
        of_rows = self._attributes_of_rows(rows, seen) | lesson.last_items.attributes
        of_rows |= {"best_iter_": len(history["loss"])}
        self._commit(of_rows, network, trained, rng, history)
        return self
