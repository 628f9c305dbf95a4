"""Map the ids of users and items to contiguous indices and back."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.interactions.table_kinds import refuse_sparse
from neumf.interactions.tables import read_table, replace_ids
from neumf.interactions.vocabulary import index_ids, lookup_ids
from neumf.utils.arrays import Ids, Indices, repr_of_row
from neumf.utils.validation import check_option


class IdEncoder(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode the ids of users and items as integers from 0.

    .. versionadded:: 0.1

    Ids are numbered in order of first appearance. Other columns are not changed. The recommenders
    do not need this transformer, since they read ids themselves. It is for other tools that need
    integers.

    Parameters
    ----------
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        How `transform` treats an id that `fit` did not see:

        - "error": raise a ValueError;
        - "use_encoded_value": encode it as `unknown_value`. Pipelines that are scored on held-out
          rows need this.
    unknown_value : int, default=-1
        The index of unknown ids, below 0.

    Attributes
    ----------
    users_, items_ : pandas.Index of shape (n_users,) or (n_items,)
        The id of each user and item, by index.
    n_features_in_, feature_names_in_
        Number of columns of X in `fit`, and their names if all names are strings.

    See Also
    --------
    sklearn.preprocessing.OrdinalEncoder : Encodes every column, in sorted order.

    Notes
    -----
    Like the whole library, the encoder finds the columns of a DataFrame (pandas or polars) or an
    Arrow table by their names, such as ``user``, ``userId`` or ``reviewerID``, and ``item``,
    ``movieId`` or ``asin``. The page "Columns, times and ids" lists all names. In an array, users
    and items are the first two columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from neumf import IdEncoder
    >>> X = pd.DataFrame({"user": ["bo", "al", "bo"], "item": [30, 10, 10], "rating": [5, 4, 1]})
    >>> encoder = IdEncoder().fit(X)
    >>> encoder.transform(X)
       user  item  rating
    0     0     0       5
    1     1     1       4
    2     0     1       1
    >>> list(encoder.users_)
    ['bo', 'al']
    >>> encoder.inverse_transform(encoder.transform(X)).equals(X)
    True

    In a pipeline, the recommender takes and returns indices. `inverse_transform` turns the indices
    of its lists into ids, for some users or for all:

    >>> from neumf import PopularityRecommender
    >>> from sklearn.pipeline import make_pipeline
    >>> ids, model = make_pipeline(IdEncoder(), PopularityRecommender()).fit(X)
    >>> lists = ids.inverse_transform(model.recommend(ids.users_.get_indexer(["al"]), k=1))
    >>> lists[["user", "item"]]
      user  item
    0   al    30
    >>> ids.inverse_transform(model.recommend(k=1))["user"].tolist()
    ['al']
    """

    users_: pd.Index
    items_: pd.Index

    def __init__(
        self,
        handle_unknown: Literal["error", "use_encoded_value"] = "error",
        unknown_value: int = -1,
    ) -> None:
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the ids of users and items; return self.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions: user, item, and any other columns.
        y : None
            Ignored.
        """
        check_option("handle_unknown", self.handle_unknown, ("error", "use_encoded_value"))
        if not isinstance(self.unknown_value, Integral) or self.unknown_value >= 0:
            raise ValueError(
                "unknown_value must be an int below 0, to differ from all indices. "
                f"Received: {self.unknown_value!r}."
            )
        refuse_sparse(X)
        rows = read_table(X, with_timestamps=False)
        validate_data(self, X, skip_check_array=True)
        self.users_ = index_ids(rows.users)[1]
        self.items_ = index_ids(rows.items)[1]
        return self

    def transform(self, X: Any) -> Any:
        """Replace ids by indices.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions.

        Returns
        -------
        X_encoded : DataFrame, Arrow table or ndarray of the shape of X
            A copy of X with the user and item columns encoded.
        """
        return self._convert(X, self._encode)

    def inverse_transform(self, X: Any) -> Any:
        """Replace indices by ids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions as `transform` returns them.

        Returns
        -------
        X_original : DataFrame, Arrow table or ndarray of the shape of X
            A copy of X with ids; None where the index is `unknown_value`.

        Raises
        ------
        ValueError
            If a value is neither an index nor `unknown_value`.
        """
        return self._convert(X, self._decode)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that ids may be strings and categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _convert(self, X: Any, convert: Callable[[Ids, pd.Index, str], Ids]) -> Any:
        """Return a copy of X with the ids of users and items converted."""
        check_is_fitted(self)
        rows = read_table(X, with_timestamps=False)
        users = convert(np.asarray(rows.users), self.users_, "user")
        items = convert(np.asarray(rows.items), self.items_, "item")
        return replace_ids(X, users=users, items=items)

    def _encode(self, ids: Ids, vocabulary: pd.Index, side: str) -> Indices:
        indices = lookup_ids(ids, vocabulary, f"X: {side} ids")
        unknown = indices < 0
        if unknown.any() and self.handle_unknown == "error":
            row = int(np.argmax(unknown))
            raise ValueError(
                f"X: {side} ids must be among those that fit saw. Received "
                f"{repr_of_row(ids, row)} in row {row} ({int(unknown.sum())} such rows). Fit on "
                "all ids, drop the rows, or set handle_unknown='use_encoded_value'."
            )
        indices[unknown] = self.unknown_value
        return indices

    def _decode(self, indices: NDArray[Any], vocabulary: pd.Index, side: str) -> Ids:
        found = lookup_ids(indices, pd.RangeIndex(len(vocabulary)), f"X: {side} indices")
        unknown = indices == self.unknown_value
        bad = ~unknown & (found < 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"X: {side} indices must be between 0 and {len(vocabulary) - 1} or "
                f"{self.unknown_value} (unknown). Received {repr_of_row(indices, row)} in row "
                f"{row}."
            )
        ids = vocabulary.to_numpy()[found]
        if unknown.any():
            ids = ids.astype(object)
            ids[unknown] = None
        return ids
