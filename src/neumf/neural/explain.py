"""What of a user's history speaks for an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from neumf.interactions.histories import LastItems
from neumf.interactions.ids import find_ids, read_ids
from neumf.interactions.reading import read_input
from neumf.interactions.seen import seen_rows
from neumf.interactions.tables import Interactions
from neumf.model.network import Network
from neumf.ranking.similar import unit_vectors
from neumf.utils.arrays import Codes, Float64s, Ids


class ExplainMixin:
    """`explain` of the recommender that has a network."""

    users_: pd.Index
    items_: pd.Index
    seen_: Any
    histories_: Codes
    network_: Network

    if TYPE_CHECKING:
        _last_items: LastItems

        def _folded_in(self, ids: Ids, new: Interactions) -> Self: ...

    def explain(self, user: Any, items: Any, *, interactions: Any = None) -> pd.DataFrame:
        r"""Return what of a user's history speaks for some items.

        .. versionadded:: 0.1

        Parameters
        ----------
        user : id
            A user that `fit` saw, or one of `interactions`.
        items : id or array-like of ids
            Items that `fit` saw, such as those of the user's list.
        interactions : array-like of shape (n_rows, n_features >= 2) or None, default=None
            What users did since `fit`, see `recommend`.

        Returns
        -------
        explanation : DataFrame
            A row for each item and each item of the user's history, the one that says most first.
            Where users are made of histories, the columns are

            - `item`: the item that is explained;
            - `history_item`: what the user had;
            - `contribution`: what it adds to the logit, which may be below 0;
            - `rank`: its place among the contributions to this item, from 1;
            - `rest`: what of the logit comes from elsewhere: the biases and, with
              ``user_encoder="hybrid"``, the user's own vector. The contributions to an item and its
              rest add up to its logit.

            With ``user_encoder="id"``, they are `item`, `history_item`, `similarity` (the cosine
            of the two items' vectors) and `rank`.

        Raises
        ------
        ValueError
            If the user or an item is unknown; or if users are made of histories in a way that is
            no sum: with `history_hidden_size`, or with an `architecture` that has an MLP.

        Notes
        -----
        A user's vector is a sum over the history, and the logit of a matrix factorization is linear
        in it. So the logit is a sum too, and each of its terms is exact, with the names of the
        Notes of the class:

        .. math::

            \hat y_{ui} = b + b_i + h^\top (v_u \odot q_i)
            + \sum_{j=1}^{\ell} h^\top (w_j \odot e_{i_j} \odot q_i)

        It says what this model adds up, not why the user wants the item: another model, or the
        same one with another seed, may share the logit out otherwise. An item that the user had
        twice has two rows.

        What `newest_item` adds counts to the newest item. With ``history_gaps="question"``, the
        question comes just after that item, and what its moment adds counts to it too.

        Where users are ids, the vector of a user was learned as a whole, and no share of it belongs
        to an item. What is returned then are the items of the history that the model has near the
        item: a likeness, not a cause.

        Examples
        --------
        >>> import numpy as np
        >>> import pandas as pd
        >>> from neumf import NeuMFRecommender
        >>> X = pd.DataFrame([(u, i) for u in range(100) for i in range(40)
        ...                   if u % 2 == i % 2 and (u + i) % 40], columns=["user", "item"])
        >>> model = NeuMFRecommender(n_factors=16, epochs=2, random_state=0).fit(X)
        >>> terms = model.explain(3, 37)
        >>> logit = terms["contribution"].sum() + terms["rest"][0]
        >>> bool(np.isclose(logit, model.decision_function([[3, 37]])[0], rtol=1e-4))
        True
        """
        check_is_fitted(self)
        ids = read_ids(user, "user", self.users_)
        if len(ids) != 1:
            raise ValueError(f"user must be one id. Received {len(ids)} ids.")
        known = self
        if interactions is not None:
            new = read_input(interactions, "interactions", may_be_empty=True)
            known = self._folded_in(ids, new)
        code = find_ids(ids, known.users_, "user", " or interactions tell of")[0]
        labels = read_ids(items, "items", self.items_)
        codes = find_ids(labels, self.items_, "items")
        return known._explain(code, codes)

    def _explain(self, user: np.integer[Any], items: Codes) -> pd.DataFrame:
        """Return the explanation of items for a user, by index."""
        if not self.network_.blueprint.users.reads_history:
            history = self._history(user)
            vectors = unit_vectors(self.network_.item_vectors.astype(np.float64))
            return self._table(items, history, "similarity", vectors[items] @ vectors[history].T)
        _refuse_what_is_no_sum(self.network_)
        history, places = self._history(user), self.histories_.shape[1]
        # What each place brings by itself, as of somebody who had nothing else.
        codes = self._last_items.take(np.array([user])).codes[0]
        alone = np.full((len(history), places), -1, codes.dtype)
        np.fill_diagonal(alone, codes[: len(history)])
        tower, layers = self.network_.blueprint.users, self.network_.blueprint.layers
        terms = tower.encode(*self.network_.weights, np.full(len(history), -1), alone)
        h = layers.output_kernel(self.network_.weights.shared)[:, 0].astype(np.float64)
        weighted = h * self.network_.item_vectors[items]
        contributions = weighted @ terms.T
        others = self.network_.users[user] - terms.sum(axis=0, dtype=np.float64)
        rest = weighted @ others + self.network_.weights.shared["output_bias"]
        if layers.item_bias:
            rest = rest + self.network_.items[items, -1]
        return self._table(items, history, "contribution", contributions).assign(
            rest=np.repeat(rest, len(history))
        )

    def _history(self, user: np.integer[Any]) -> Codes:
        """Return what the user had last, newest first, or all of it where rows have no order."""
        items: Codes
        if not self.histories_.shape[1]:
            items = seen_rows(self.seen_, np.array([user])).indices
            return items
        items = self.histories_[user]
        return items[items >= 0]

    def _table(self, items: Codes, history: Codes, name: str, values: Float64s) -> pd.DataFrame:
        """Return a row per item and item of the history, those of each item by falling values."""
        order = np.argsort(-values, axis=1, kind="stable")
        labels = self.items_.to_numpy()
        return pd.DataFrame(
            {
                "item": np.repeat(labels[items], len(history)),
                "history_item": labels[history[order]].ravel(),
                name: np.take_along_axis(values, order, axis=1).ravel(),
                "rank": np.tile(np.arange(1, len(history) + 1), len(items)),
            }
        )


def _refuse_what_is_no_sum(network: Network) -> None:
    """Raise if the logit is no sum over the history."""
    if network.blueprint.users.history_hidden_size:
        raise ValueError(
            "explain needs users that are a sum over their history. Received a recommender with "
            f"history_hidden_size={network.blueprint.users.history_hidden_size}, whose hidden "
            "layer mixes the items. Fit one with history_hidden_size=0."
        )
    if not network.blueprint.layers.is_product:
        raise ValueError(
            "explain needs a logit that is linear in the user. Received a recommender with an MLP. "
            "Fit one with architecture='mf' or 'gmf'."
        )
