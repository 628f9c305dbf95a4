"""What a recommender does that has a network, once it is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
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
from neumf.protocols import Ranker
from neumf.ranking.similar import most_similar_vectors
from neumf.training.loop import Trained
from neumf.training.trainer import OptimizerState
from neumf.utils.arrays import Codes, Float64s
from neumf.utils.time_gaps import require_times


class NetworkRecommender(BaseRecommender):
    """Base of the recommender whose scores a network gives."""

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
            The score is the cosine of the angle between the items' vectors.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see an item, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return most_similar_vectors("item", items, self.items_, k, self.network_.item_vectors)

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
            The score is the cosine of the angle between the users' vectors.

        Raises
        ------
        ValueError, TypeError
            If `fit` did not see a user, or `k` is no int of at least 1.
        """
        check_is_fitted(self)
        return most_similar_vectors("user", users, self.users_, k, self.network_.users)

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
