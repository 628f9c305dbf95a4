"""`fit` and `partial_fit` of the neural recommenders."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.base import BaseRecommender
from neumf.interactions.encoded_rows import EncodedRows, read_rows
from neumf.interactions.reading import read_input
from neumf.interactions.user_items import UserItems
from neumf.interactions.vocabulary import extend_index
from neumf.model.network import Blueprint, Network, Weights
from neumf.neural import saved_network
from neumf.neural.added_scores import learn_added, rows_of_users
from neumf.neural.callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from neumf.neural.fitting import Learned, Run, learn
from neumf.neural.joining import Calibration
from neumf.neural.network_recommender import NetworkRecommender
from neumf.neural.parameters import FitPlan, refuse_other_shape
from neumf.neural.progress import print_words
from neumf.neural.training_rows import (
    PreviousFit,
    prepare,
    prepare_further,
    require_order_of_histories,
    warn_of_plan,
)
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import check_loaded, damaged_file_error
from neumf.saving.values import write_values
from neumf.training.least_squares import FoldIn
from neumf.utils.random import RandomState, make_generator
from neumf.utils.validation import check_index, check_option, check_real


class TrainableRecommender(CallbackSupportMixin, NetworkRecommender):
    """Base of the neural recommenders: a subclass adds its parameters, `_blueprint` and `_plan`."""

    _presets: ClassVar[dict[str, dict[str, Any]]]
    # The parameters that set the shape of the network.
    _shape_parameters: ClassVar[tuple[str, ...]]
    # The vectors, which are saved, already contain the features.
    _unsaved_parameters = ("user_features", "item_features")

    user_features: Any
    item_features: Any
    random_state: RandomState

    @classmethod
    @abstractmethod
    def _blueprint(cls, shape: dict[str, Any]) -> Blueprint:
        """Check the parameters in `_shape_parameters` and return the network's blueprint."""

    def _simple_methods(self, rows: EncodedRows, seed: int) -> list[BaseRecommender]:
        """Return the methods whose scores may be added to those of `rows`, not fitted."""
        return []

    @abstractmethod
    def _plan(self, y: Any) -> FitPlan:
        """Check all parameters and return the plan of `fit` for rows with labels `y`."""

    @classmethod
    def from_preset(cls, name: str, **parameters: Any) -> Self:
        """Return a recommender with the parameters of a preset.

        Parameters
        ----------
        name : str
            The preset. `NeuMFRecommender` has

            - "paper-8", "paper-16", "paper-32" and "paper-64": the network and the training of the
              paper with 8 to 64 factors;
            - "paper-64-pretrained": the same with 64 factors, from a trained GMF and a trained MLP.

            `NextItemRecommender` has

            - "large": for tables with timestamps and a million rows or more;
            - "large-timed": for the same tables, if `recommend` gets the request time.
        **parameters : Any
            Parameters that replace those of the preset or add to them, such as `random_state`.

        Returns
        -------
        recommender : recommender of this class
            Not fitted yet.

        Raises
        ------
        ValueError, TypeError
            If the name of the preset or of a parameter is unknown.

        Examples
        --------
        >>> from neumf import NextItemRecommender
        >>> NextItemRecommender.from_preset("large", random_state=0).history_length
        50
        """
        check_option("name", name, tuple(cls._presets))
        return cls(**{**cls._presets[name], **parameters})

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, X_val: Any = None) -> Self:
        """Train on interactions; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            Interactions, see :func:`neumf.base.read_rows`. The rows of a user are ordered by
            timestamp or, without timestamps, by their order in the table.
        y : array-like of shape (n_samples,) or None, default=None
            None makes every row a positive, and negatives are drawn. Labels in [0, 1] are used as
            they are, without drawn negatives. Rows labelled 0 are in no history. Their own history
            is the history of their positive, if rows are in the order of
            `NegativeSampler.fit_resample`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight in the loss of each row and of the negatives drawn for it.
        X_val : array-like of shape (n_val, n_features >= 2) or None, default=None
            Rows that `early_stopping` ranks after each epoch, instead of each user's last row of X.
            They should be later than X. Rows of users or items that are not in X are misses. A
            search uses one X_val for all folds, so it must not contain rows of a test fold.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, a table cannot be read, X lacks an order or timestamps
            that a parameter needs, X_val is given without `early_stopping`, a user has seen every
            item, or the loss diverges. After an error, the estimator is as before.
        OSError
            If a file of X cannot be read completely.

        Warns
        -----
        UserWarning
            If rows of X_val are misses, or have pairs of user and item that are in X.
        ConvergenceWarning
            If the final loss is above ten times the loss of equal scores for all items. This is
            log 2 for "binary_crossentropy" and "bpr", and log n for a softmax among n items.
        RuntimeWarning
            If Ctrl-C interrupts training after at least one epoch: the weights are kept, and
            `n_iter_` counts the completed epochs. After an earlier interrupt, or one during
            pretraining, the estimator is as before. Also if XLA cannot compile the training step,
            which is then slower.

        Notes
        -----
        During training in the main thread, Ctrl-C acts between calls of TensorFlow, each of which
        trains on up to 32,768 rows. Your own handler of SIGINT is called there too; training
        continues unless it raises.
        """
        start = time.perf_counter()
        plan = self._plan(y)
        require_order_of_histories(plan, X)
        rows = read_rows(X, y, sample_weight)
        rows = rows.with_features(self.user_features, self.item_features)
        rng = make_generator(self.random_state)
        warn_of_plan(plan, rows)
        prepared = prepare(plan, rows, rng, X_val)
        of_rows = rows.attributes(rows.seen) | prepared.last_items.attributes
        of_rows["added_scores_"] = None

        def of_weights(blueprint: Blueprint, weights: Weights) -> dict[str, Any]:
            histories = prepared.last_items.inputs()
            network = Network.of_weights(blueprint, weights, histories)
            return self._attributes_of_network(network, of_rows)

        data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight, "X_val": X_val}}
        tasks = FitTasks(self, plan.most_epochs, of_rows, of_weights, **data)
        refits = plan.early_stopping == "refit" and X_val is None and not plan.solves_gmf
        if not refits and not plan.adds_scores:
            del rows  # frees the timestamps
        print_words(plan)
        learned = learn(Run(prepared, rng, tasks))
        first, beside, added = learned.trained, prepared.beside, None
        if beside is not None and not first.interrupted:
            methods = self._simple_methods(rows, int(rng.integers(2**32)))
            added = learn_added(methods, learned.network, beside, rows)
            refits |= beside.is_large and not plan.early_stopping
        if refits and not first.interrupted:
            plan = replace(plan, early_stopping=False, adds_scores=False, epochs=first.best_epoch)
            prepared = prepare(plan, rows, rng)
            learned = learn(Run(prepared, rng, tasks))
        history = {"loss": first.losses}
        if first.values:
            history["val_ndcg_at_10"] = first.values
        best = learned.trained.best_epoch
        of_rows |= {"history_": history, "best_iter_": best, "_generator": rng}
        of_rows |= {"_shape": self._shape_now(), "fit_seconds_": time.perf_counter() - start}
        if prepared.to_join is not None:
            of_rows["user_items_"] = prepared.to_join.rows.user_items[0]
        of_rows["added_scores_"] = added
        if added is not None:
            of_rows["user_items_"] = rows.user_items[0]
        self._commit_training(of_rows, learned)
        tasks.end()
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Continue training on new interactions alone; return self.

        The first call of a recommender that is not fitted calls `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2) or sparse matrix
            New interactions of known or new users and items, in a table like X of `fit`. They count
            as later than all earlier rows, whatever their timestamps. A table without rows changes
            nothing.
        y, sample_weight : array-like of shape (n_samples,) or None, default=None
            See `fit`.

        Raises
        ------
        ValueError, TypeError, OSError
            See `fit`. Also if X has other columns, its ids are strings but were numbers in `fit`
            (or the reverse), or a parameter that sets the shape of the network has changed.

        Warns
        -----
        UserWarning
            If X looks like rows of an earlier call, which would count twice: it holds all pairs of
            user and item seen so far, or at least 100 pairs without a new one.
        ConvergenceWarning, RuntimeWarning
            See `fit`.

        Notes
        -----
        Training passes `epochs` times over the new rows. The first call continues Adam with its
        step count and the mean second moments of each table. Later calls continue with the moments
        of each row, which take twice the memory of the vectors.

        New users and items are added behind the known ones, with initial vectors as in `fit`. Only
        the shared layers and the vectors of users and items in the new rows and negatives change.
        `early_stopping`, `pretrain` and scikit-learn's callbacks act in `fit` alone.
        """
        if not hasattr(self, "network_"):
            self.fit(X, y, sample_weight)
            return self
        plan = self._plan(y)
        refuse_other_shape(self._shape_now(), self._shape)
        rows = self._read_further(X, y, sample_weight)
        if rows is None:
            return self
        previous = PreviousFit(self.network_, self._optimizer, self.last_items, self.seen_)
        prepared = prepare_further(plan, rows, previous)
        # Draw from a copy: a call that fails must not change the generator.
        rng = deepcopy(self._generator)
        print_words(prepared.plan)
        learned = learn(Run(prepared, rng))
        trained = learned.trained
        history = {
            name: values + (trained.losses if name == "loss" else [np.nan] * len(trained.losses))
            for name, values in self.history_.items()
        }
        of_rows = rows.attributes(prepared.seen) | prepared.last_items.attributes
        of_rows["user_items_"] = self._with_items_of(rows)
        of_rows["has_timestamps_"] = self.has_timestamps_ and rows.timestamps is not None
        if self.added_scores_ is not None and of_rows["user_items_"] is not None:
            so_far = rows_of_users(of_rows)
            of_rows["added_scores_"] = self.added_scores_.anew(so_far)
        of_rows |= {"history_": history, "best_iter_": len(history["loss"]), "_generator": rng}
        self._commit_training(of_rows, learned)
        return self

    def _with_items_of(self, rows: EncodedRows) -> UserItems | None:
        """Return the items of each user after new rows; None if they are not needed."""
        before, new = self.user_items_, rows.user_items[0]
        timed = self.has_timestamps_ and rows.timestamps is not None
        if before is None or not (timed or self.added_scores_):
            return None
        if not timed:
            before, new = (replace(part, seconds=None) for part in (before, new))
        n_known = len(self.users_)
        known = np.pad(np.arange(n_known), (0, rows.shape[0] - n_known), constant_values=-1)
        return before.take(known).followed_by(new)

    def _commit_training(self, of_rows: dict[str, Any], learned: Learned) -> None:
        """Set all fitted attributes: `of_rows`, and those that a training changes."""
        of_network = self._attributes_of_network(learned.network, of_rows)
        of_training = {"_optimizer": learned.trained.optimizer} | learned.of_joining
        self._commit(of_rows | of_network | of_training)

    def _read_further(self, X: Any, y: Any, sample_weight: Any) -> EncodedRows | None:
        """Return the rows of `partial_fit`, with new ids behind known ones; None without rows."""
        new = read_input(X, may_be_empty=True)
        if len(new) == 0:
            return None
        check_index("y", y, X)
        check_index("sample_weight", sample_weight, X)
        if not sp.issparse(X):  # the columns of a sparse X are items, not features
            table = X if new.header is None else new.header
            validate_data(self, table, reset=False, skip_check_array=True)
        users = extend_index(new.users, self.users_, "X: user ids")
        items = extend_index(new.items, self.items_, "X: item ids")
        rows = EncodedRows.encode(new, users, items).with_labels(y, sample_weight)
        return rows.with_features(self.user_features, self.item_features)

    def _shape_now(self) -> dict[str, Any]:
        """Return the parameters that set the shape of the network."""
        shape = {name: getattr(self, name) for name in self._shape_parameters}
        return {
            name: tuple(value) if isinstance(value, list | np.ndarray) else value  # hashable
            for name, value in shape.items()
        }

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        Parameters
        ----------
        path
            See :meth:`neumf.base.BaseRecommender.save`, also for errors.
        optimizer : bool, default=False
            Whether to store Adam's moments of each row too. They exist after `partial_fit` and take
            twice the space of the vectors. Without them, the next `partial_fit` starts from their
            means, as after `fit`.
        """
        check_is_fitted(self)
        write_values(path, self._description(self._state(optimizer=optimizer)))

    def _state(self, *, optimizer: bool = False) -> dict[str, Any]:
        network = self.network_
        arrays = network.weights._asdict() | {"users": network.users, "items": network.items}
        return super()._state() | {
            "network_": arrays,
            "user_map_": None if self.user_map_ is None else vars(self.user_map_),
            "histories_": self.histories_,
            "history_seconds_": self.history_seconds_,
            "history_": {name: np.array(values) for name, values in self.history_.items()},
            "best_iter_": self.best_iter_,
            "_shape": self._shape,
            "_fold_in": None if self._fold_in is None else self._fold_in.state(),
            "_calibration": None if self._calibration is None else self._calibration._asdict(),
            "_optimizer": saved_network.optimizer_state(self._optimizer, whole=optimizer),
            "_generator": saved_network.generator_state(self._generator),
        }

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        # Fold-in reads this parameter and does not check it.
        check_loaded(check_real, "recency", self.recency)
        n_users, n_items = len(self.users_), len(self.items_)
        self.histories_ = state.indices("histories_", (n_users, None), n_items, at_least=-1)
        shape = state.part("_shape")
        if {*shape.names()} != {*self._shape_parameters}:
            raise damaged_file_error("_shape has unknown or missing parameters")
        self._shape = {name: shape.value(name) for name in self._shape_parameters}
        blueprint = check_loaded(self._blueprint, self._shape)
        blueprint = blueprint.with_history_length(self.histories_.shape[1])
        network = state.part("network_")
        self.network_ = saved_network.read_network(network, blueprint, n_users, n_items)
        self.user_map_ = saved_network.read_user_map(state, blueprint)
        self._fold_in = self._calibration = None
        if state.has("_calibration"):
            part = state.part("_calibration")
            logits = part.floats("logits", (None,))
            self._calibration = Calibration(logits, part.floats("probabilities", logits.shape))
        if state.has("_fold_in"):
            sizes = n_users, blueprint.layers.n_factors
            self._fold_in = FoldIn.restore(state.part("_fold_in"), sizes)
            if self.user_items_ is None:
                raise damaged_file_error("it lacks the items of users")
        self.history_seconds_ = None
        if blueprint.users.time_gaps:
            self.history_seconds_ = state.floats("history_seconds_", self.histories_.shape)
        self.history_ = saved_network.read_history(state.part("history_"))
        self.best_iter_ = state.integer("best_iter_", 0, self.n_iter_)
        self._optimizer = saved_network.read_optimizer(state, self.network_)
        self._generator = saved_network.read_generator(state.part("_generator"))
        self._model = self._own_rows = self.added_scores_ = None
