"""The base of the neural recommenders: the methods of a fitted network."""

from __future__ import annotations

import os
from contextlib import suppress
from copy import copy
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from neumf.interactions.columns import read_ids
from neumf.interactions.histories import LastItems, read_histories
from neumf.interactions.known_users import for_users
from neumf.interactions.new_rows import NewRows, read_new
from neumf.interactions.request_times import require_order_of_fit, require_times_of_gaps
from neumf.interactions.seen import seen_rows
from neumf.interactions.timeline import read_timelines
from neumf.interactions.vocabulary import find_ids
from neumf.model.keras_model import build_keras_model
from neumf.model.network import Network
from neumf.model.user_map import UserMap
from neumf.neural.added_scores import AddedScores, refuse_added
from neumf.neural.explain import explain_items
from neumf.neural.export import ListModel, export_lists
from neumf.neural.fold_in import UserProfile, fit_user_map, move_users
from neumf.neural.joining import Calibration
from neumf.neural.vector_recommender import VectorRecommender
from neumf.protocols import Ranker
from neumf.training.least_squares import FoldIn
from neumf.training.runtime import import_tensorflow
from neumf.training.trainer import OptimizerState
from neumf.utils.arrays import Float32s, Float64s, Indices


class NetworkRecommender(VectorRecommender):
    """Base of recommenders that score with a network."""

    recency: float
    network_: Network
    histories_: Indices
    history_seconds_: Float64s | None
    user_map_: UserMap | None
    # Set if least squares solved the GMF half.
    _fold_in: FoldIn | None
    _calibration: Calibration | None
    added_scores_: AddedScores | None
    history_: dict[str, list[float]]
    best_iter_: int
    _model: Any
    # In a copy with other users: the row of each user in the tables.
    _own_rows: Indices | None = None
    _optimizer: OptimizerState | None
    _generator: np.random.Generator
    _shape: dict[str, Any]

    def _vectors(self) -> tuple[Float32s, Float32s]:
        return self.network_.users, self.network_.item_vectors

    def _item_factors(self) -> Float32s:
        return self.network_.item_factors()

    def _require_product(self) -> None:
        refuse_added(self.added_scores_, "item_vectors and user_vectors are the vectors")

    def explain(self, user: Any, items: Any, *, interactions: Any = None) -> pd.DataFrame:
        """Explain the scores of items by the items of a user's history.

        Parameters
        ----------
        user : id
            A user that `fit` saw, or one of `interactions`.
        items : id or array-like of ids
            Items that `fit` saw.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            Interactions after `fit`, see `recommend`.

        Returns
        -------
        explanation : DataFrame
            One row per pair of an item and an item of the user's history, with the columns `item`,
            `history_item`, a value, and `rank`. Within an item, rows are sorted by falling value
            and ranked from 1.

            For `NextItemRecommender`, the value is `contribution`, the term of the history item in
            the logit. A column `rest` holds the other terms: the biases, the added scores of simple
            methods and, with `add_user_vectors`, the user's own vector. All contributions and the
            rest add up to the logit of the item. The contribution of the newest item holds the
            terms of the request time too.

            For `NeuMFRecommender`, the value is `similarity`, the cosine of the two items' vectors.
            It is not a cause of the score, because a user's vector is learned as a whole.

        Raises
        ------
        ValueError
            If the user or an item is unknown, or the recommender has a `hidden_size` above 0.

        Examples
        --------
        >>> import pandas as pd
        >>> from neumf import NextItemRecommender
        >>> X = pd.DataFrame([(u, i, i) for u in range(50) for i in range(9) if u % 2 == i % 2],
        ...                  columns=["user", "item", "timestamp"])
        >>> model = NextItemRecommender(n_factors=4, epochs=1, random_state=0).fit(X)
        >>> terms = model.explain(3, 8)
        >>> logit = terms["contribution"].sum() + terms["rest"][0]
        >>> bool(abs(logit - model.decision_function([[3, 8]])[0]) < 1e-4)
        True
        """
        check_is_fitted(self)
        ids = read_ids(user, "user", self.users_)
        if len(ids) != 1:
            raise ValueError(f"user must be one id. Received {len(ids)} ids.")
        known = for_users(self, ids, read_new(interactions))
        index = find_ids(ids, known.users_, "user", " or interactions")
        labels = read_ids(items, "items", self.items_)
        indices = find_ids(labels, self.items_, "items")
        network = known.network_.with_users(known.network_.users[index])
        profile = UserProfile(known.last_items.take(index), seen_rows(known.seen_, index))
        table = explain_items(network, profile, self.items_.to_numpy(), indices)
        if known.added_scores_ is not None:
            scores = known.ranker_.score_candidates(index, indices[None])
            added = scores - network.score_candidates(np.zeros(1, np.intp), indices[None])
            table["rest"] += np.repeat(added[0], len(table) // len(indices))
        return table

    def export(
        self,
        path: str | os.PathLike[str],
        format: Literal["tf_saved_model", "onnx"] = "tf_saved_model",  # noqa: A002 - Keras's name
        *,
        k: int = 10,
    ) -> None:
        """Write a graph that recommends items without neumf and without Python.

        Parameters
        ----------
        path : str or path
            A folder that does not exist yet. It gets the graph, a SavedModel or the file
            ``model.onnx``, and the file ``ids.json`` with the id of each index.
        format : {"tf_saved_model", "onnx"}, default="tf_saved_model"
            Format of the graph.

            - "tf_saved_model": TensorFlow's SavedModel.
            - "onnx": ONNX. Needs the extra: ``pip install "scikit-neumf[onnx]"``.
        k : int, default=10
            Length of the lists, at most the size of the catalogue.

        Raises
        ------
        FileExistsError
            If `path` exists.
        ImportError
            If TensorFlow is not installed, or the extra for ONNX is not.
        ValueError, TypeError
            If `format` or `k` is out of range, the recommender has `time_gaps` or added scores, or
            JSON cannot hold an id. After any error, the partly written folder is removed.

        Notes
        -----
        The graph is a function of a batch of n users. Its inputs, all int32, are

        - ``user``, shape (n,): indices of users, if users have vectors of their own;
        - ``history``, shape (n, history_length): indices of last items as in `histories_`, for
          `NextItemRecommender` only;
        - ``seen``, shape (n, any): indices of items to leave out, in any order, padded with -1.

        Its outputs, both of shape (n, k), are

        - ``item``, int32: indices of items, best first, -1 if fewer items are left;
        - ``score``, float32: their logits, -inf where ``item`` is -1.

        Unknown users get the most popular items. Scores may differ from those of `recommend` in
        their last digits. A call takes memory in proportion to n times the catalogue and, with an
        MLP, times the widths of its layers. An ONNX file is limited to 2 GB.
        """
        check_is_fitted(self)
        refuse_added(self.added_scores_, "export writes graphs")
        model = ListModel(self.network_, self.popularity_logits_, self.users_, self.items_)
        export_lists(model, path, format, k)

    @property
    def model_(self) -> Any:
        """The network as a Keras model of ``[user indices, item indices]`` -> logit."""
        check_is_fitted(self)
        if self._model is None:
            # Keras may use another backend. Otherwise, it names the missing package below.
            with suppress(ImportError):
                import_tensorflow()
            self._model = build_keras_model(self.network_)
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the Keras model, which `model_` builds again, and the seconds of `fit`.

        Equal fits have equal pickles, although they take different times.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("fit_seconds_", None)
        return state | {"_model": None} if "_model" in state else state

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        """Return scikit-learn's HTML of the fitted attributes (from 1.9 on).

        It reads every property; `model_` would import TensorFlow.
        """
        shown = copy(self)
        if self._model is None:
            shown._model = "unbuilt"  # short enough to be shown whole
        return super(NetworkRecommender, shown)._get_fitted_attr_html(doc_link)

    @property
    def n_iter_(self) -> int:
        """Number of epochs run, those of `partial_fit` included."""
        return len(self.history_["loss"])

    def _probabilities(self, logits: Float64s) -> Float64s:
        return expit(logits) if self._calibration is None else self._calibration(logits)

    @property
    def ranker_(self) -> Ranker:
        """The ranker: the network, with added scores if there are any."""
        added = self.added_scores_
        return self.network_ if added is None else added.beside(self.network_)

    def _ranker_at(self, users: Indices, seconds: Float64s) -> Ranker:
        blueprint, weights = self.network_.blueprint, self.network_.weights
        if blueprint.users.time_gaps != "request":
            return super()._ranker_at(users, seconds)
        histories = self.last_items.take(users).inputs(seconds)
        network = Network.of_weights(blueprint, weights, histories, self._rows_of(users))
        return network if self.added_scores_ is None else self.added_scores_.beside(network, users)

    def _rows_of(self, users: Indices) -> Indices:
        """Return the rows of these users in the tables; -1 for users without one."""
        return users if self._own_rows is None else np.where(users < 0, -1, self._own_rows[users])

    @property
    def last_items(self) -> LastItems:
        """The last items of each user, and their times."""
        return LastItems(self.histories_, self.history_seconds_)

    def _with_interactions(self, rows: NewRows) -> dict[str, Any]:
        if self.histories_.shape[1]:
            require_order_of_fit(rows.table, "interactions")
        if self.history_seconds_ is not None:
            require_times_of_gaps(rows.table.timestamps, "interactions")
        was = self.last_items.take(rows.indices)
        timelines = read_timelines(rows.new.users, None, len(rows.indices))
        seconds = None if was.seconds is None else rows.new.seconds
        length = was.items.shape[1]
        after = read_histories(timelines, rows.new.items, length, was, seconds).last()
        own_rows = self._rows_of(rows.indices)
        if self.user_map_ is None:
            tower, weights = self.network_.blueprint.users, self.network_.weights
            vectors = tower.encode(*weights, own_rows, after.inputs())
        else:
            before = UserProfile(was, seen_rows(self.seen_, rows.indices)).weights(self.recency)
            counts = before, UserProfile(after, rows.seen).weights(self.recency)
            vectors = move_users(self.network_, self.user_map_, rows.indices, *counts)
        changed = after.attributes | {"_own_rows": own_rows}
        if self._fold_in is not None and self.user_items_ is not None:
            past = self.user_items_.take(rows.indices).followed_by(rows.new)
            g, items = self.network_.blueprint.layers.n_factors, self.network_.items
            fold_in = self._fold_in.take(rows.indices)
            vectors[:, :g] = fold_in.solve(past, items[:, :g], self.popularity_ > 0)
            changed["_fold_in"] = fold_in
        if self.added_scores_ is not None:
            changed["added_scores_"] = self.added_scores_.after(rows)
        return changed | {"network_": self.network_.with_users(vectors)}

    def _take_users(self, kept: Indices) -> dict[str, Any]:
        rows = self._rows_of(kept)
        fold_in, optimizer = self._fold_in, self._optimizer
        return self.last_items.take(kept).attributes | {
            "network_": self.network_.take_users(kept, rows),
            "_fold_in": None if fold_in is None else fold_in.take(kept),
            "_optimizer": None if optimizer is None else optimizer.take_users(rows),
            "added_scores_": None if self.added_scores_ is None else self.added_scores_.take(kept),
            "_own_rows": None,  # users without a row have the last indices
            "_model": None,
        }

    def _attributes_of_network(self, network: Network, of_rows: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes that depend on the network, by name."""
        last_items = LastItems(of_rows["histories_"], of_rows["history_seconds_"])
        profile = UserProfile(last_items, of_rows["seen_"])
        user_map = fit_user_map(network, profile, self.recency)
        return {"network_": network, "user_map_": user_map, "_model": None, "_own_rows": None}
