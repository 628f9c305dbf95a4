"""What a recommender does that has a network, once it is fitted."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from neumf.base import BaseRecommender
from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.seen import seen_rows
from neumf.interactions.tables import Interactions
from neumf.interactions.timeline import read_timelines
from neumf.interactions.user_items import UserItems
from neumf.model.keras_model import build_keras_model
from neumf.model.network import Network
from neumf.model.user_map import UserMap
from neumf.neural.fold_in import Taste, fit_user_map, fold_in
from neumf.neural.saved_network import (
    generator_state,
    history_state,
    network_state,
    optimizer_state,
    read_generator,
    read_history,
    read_network,
    read_optimizer,
    read_shape,
    read_user_map,
    user_map_state,
)
from neumf.protocols import Ranker
from neumf.ranking.similar import SimilarityMixin
from neumf.saving.checked_values import CheckedValues
from neumf.saving.container import check_loaded
from neumf.saving.values import write_values
from neumf.training.loop import Trained
from neumf.training.trainer import OptimizerState
from neumf.utils.arrays import Codes, Float32s, Float64s
from neumf.utils.time_gaps import require_times
from neumf.utils.validation import check_real


class NetworkRecommender(SimilarityMixin, BaseRecommender):
    """Base of the recommender whose scores a network gives."""

    # The state holds what was learned from the tables. The folder belongs to one machine.
    _unsaved_parameters = ("user_features", "item_features", "spill_folder")

    recency: float
    network_: Network
    _model: Any
    # Of a copy with other users, which of them had which rows of the tables.
    _own_rows: Codes | None = None
    histories_: Codes
    history_seconds_: Float64s | None
    user_map_: UserMap | None
    history_: dict[str, list[float]]
    n_iter_: int
    best_iter_: int
    _optimizer: OptimizerState | None
    _generator: np.random.Generator
    _shape: dict[str, Any]

    @property
    def model_(self) -> Any:
        """The network as a Keras model of ``[user indices, item indices]`` -> logit."""
        check_is_fitted(self)
        if self._model is None:
            self._model = build_keras_model(self.network_)
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        """Leave the Keras model out: it is made from the weights when asked for."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"_model": None} if "_model" in state else state

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted recommender to a file, which :func:`neumf.load` reads.

        Parameters
        ----------
        path : str or path
            The file. If it exists, it is replaced once the new one is complete, and keeps its mode.
        optimizer : bool, default=False
            Also write Adam's moments of each row, which exist after `partial_fit` and take twice
            the space of the vectors. Without them a further `partial_fit` starts from their means,
            as it does after `fit`.

        Raises
        ------
        TypeError
            If a file cannot hold a parameter or an id, or the class is not one of this library.
        ValueError, OSError
            If the file cannot be written, or something other than a regular file is at the path.
        """
        check_is_fitted(self)
        write_values(path, self._description(self._state(optimizer=optimizer)))

    def _state(self, *, optimizer: bool = False) -> dict[str, Any]:
        return super()._state() | {
            "network_": network_state(self.network_),
            "user_map_": user_map_state(self.user_map_),
            "histories_": self.histories_,
            "history_seconds_": self.history_seconds_,
            "history_": history_state(self.history_),
            "best_iter_": self.best_iter_,
            "_shape": self._shape,
            "_optimizer": optimizer_state(self._optimizer, whole=optimizer),
            "_generator": generator_state(self._generator),
        }

    def _restore(self, state: CheckedValues) -> None:
        super()._restore(state)
        # Read whenever users are folded in.
        check_loaded(check_real, "recency", self.recency)
        n_users, n_items = len(self.users_), len(self.items_)
        self.network_ = read_network(state.part("network_"), n_users, n_items)
        self.user_map_ = read_user_map(state, self.network_)
        length = self.network_.blueprint.users.history_length
        self.histories_ = state.indices("histories_", (n_users, length), n_items, at_least=-1)
        self.history_seconds_ = None
        if self.network_.blueprint.users.gaps:
            self.history_seconds_ = state.floats("history_seconds_", self.histories_.shape)
        self.history_ = read_history(state.part("history_"))
        self.n_iter_ = len(self.history_["loss"])
        self.best_iter_ = state.integer("best_iter_", 0, self.n_iter_)
        self._shape = read_shape(state.part("_shape"))
        self._optimizer = read_optimizer(state, self.network_)
        self._generator = read_generator(state.part("_generator"))
        self._model = self._own_rows = None

    def _vectors(self, of: Literal["users", "items"]) -> Float32s:
        return self.network_.users if of == "users" else self.network_.item_vectors

    @property
    def ranker_(self) -> Network:
        """What gives the scores: the network."""
        return self.network_

    def ranker_at(self, users: Codes, seconds: Float64s) -> Ranker:
        """Return what scores users, each at a moment, which only `history_gaps` can make matter."""
        blueprint, weights = self.network_.blueprint, self.network_.weights
        if blueprint.users.gaps != "question":
            return super().ranker_at(users, seconds)
        histories = self._last_items.take(users).codes_at(seconds)
        return Network.of_weights(blueprint, weights, histories, self._rows_of(users))

    def _rows_of(self, users: Codes) -> Codes:
        """Return which rows of the tables are these users' own; -1 is none."""
        if self._own_rows is None:
            return users
        return np.where(users < 0, -1, self._own_rows[users])

    @property
    def _last_items(self) -> LastItems:
        return LastItems(self.histories_, self.history_seconds_)

    def _fold_in(self, codes: Codes, new: UserItems, seen: sp.csr_array) -> None:
        was = self._last_items.take(codes)
        timelines = read_timelines(new.users, None, len(codes))
        seconds = None if was.seconds is None else new.seconds
        length = was.items.shape[1]
        after = read_histories(timelines, new.items, length, before=was, seconds=seconds).last()
        tastes = Taste(was, seen_rows(self.seen_, codes)), Taste(after, seen)
        vectors = fold_in(self.network_, self.user_map_, self.recency, codes, *tastes)
        self._own_rows = self._rows_of(codes)
        self.histories_, self.history_seconds_ = after
        self.network_ = self.network_.with_users(vectors)

    def _check_order_of_interactions(self, new: Interactions) -> None:
        if self.histories_.shape[1] and not new.ordered:
            raise ValueError(
                "interactions must be a table whose rows have an order in time, as that of fit. "
                "Received a sparse matrix. Pass a table of user and item, each user's oldest row "
                "first."
            )
        if self.history_seconds_ is not None:
            require_times(new.timestamps, "interactions")

    def _attributes_of_network(self, network: Network, of_rows: dict[str, Any]) -> dict[str, Any]:
        """Return what recommending needs besides, by the names of the attributes."""
        last_items = LastItems(of_rows["histories_"], of_rows["history_seconds_"])
        taste = Taste(last_items, of_rows["seen_"])
        user_map = fit_user_map(network, taste, self.recency)
        return {"network_": network, "user_map_": user_map, "_model": None}

    def _commit(
        self,
        of_rows: dict[str, Any],
        network: Network,
        trained: Trained,
        rng: np.random.Generator,
        history: dict[str, list[float]],
    ) -> None:
        """Set all fitted attributes, when nothing more can fail."""
        attributes = of_rows | self._attributes_of_network(network, of_rows)
        attributes |= {"history_": history, "n_iter_": len(history["loss"])}
        attributes |= {"_optimizer": trained.optimizer, "_generator": rng, "_own_rows": None}
        for name, value in attributes.items():
            setattr(self, name, value)
