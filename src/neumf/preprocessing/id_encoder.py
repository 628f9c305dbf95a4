"""Map the ids of users and items to contiguous indices and back."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neumf.interactions.table_kinds import refuse_sparse
from neumf.interactions.tables import read_interactions, replace_ids
from neumf.interactions.vocabulary import index_ids, lookup_ids
from neumf.utils.arrays import Codes, Ids, repr_of_row
from neumf.utils.validation import check_option


class IdEncoder(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode the ids of users and items as integers from 0.

    .. versionadded:: 0.1

    Ids may be any hashable: int, str, tuple, categorical, Arrow. They are numbered in order of
    first appearance. Other columns pass through untouched.

    :class:`NeuMFRecommender` reads raw ids by itself; this transformer is for tables that other
    tools need in integers, and for a :class:`~sklearn.pipeline.Pipeline`.

    Parameters
    ----------
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        What `transform` does with an id that `fit` did not see: raise, or encode it as
        `unknown_value`. A pipeline that is scored on held-out rows needs
        ``"use_encoded_value"``: the scorers count unknown ids as misses.
    unknown_value : int, default=-1
        The code of unknown ids, below 0.

    Attributes
    ----------
    users_ : pandas.Index of shape (n_users,)
        The id of each user, by index.
    items_ : pandas.Index of shape (n_items,)
        The id of each item, by index.
    n_features_in_ : int
        Number of columns of the table given to `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where all are strings.

    See Also
    --------
    sklearn.preprocessing.OrdinalEncoder : Encodes each column by itself, in sorted order.

    Notes
    -----
    In a DataFrame (of pandas or polars) or an Arrow table, the columns are found by their names.
    Of the names for one thing, the first that is there counts:

    - users: ``user``, ``user_id``, ``userId``, ``reviewerID``;
    - items: ``item``, ``item_id``, ``movieId``, ``parent_asin``, ``asin``;
    - time: ``timestamp``, ``unixReviewTime``;
    - ratings: ``rating``, ``overall``.

    Where there is a column neither of users nor of items, and in arrays, they are the first two.
    All of the library reads its tables so.

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
    """

    def __init__(
        self,
        handle_unknown: Literal["error", "use_encoded_value"] = "error",
        unknown_value: int = -1,
    ) -> None:
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the ids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features >= 2)
            Interactions: user, item, and any other columns.
        y : None
            Ignored.

        Returns
        -------
        self : IdEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If X is empty, lacks a column or holds missing ids, or a parameter is out of range.
        """
        self._check_parameters()
        refuse_sparse(X)
        rows = read_interactions(X, with_timestamps=False)
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

        Raises
        ------
        ValueError
            If an id is unknown and `handle_unknown` is "error".
        """
        check_is_fitted(self)
        rows = read_interactions(X, with_timestamps=False)
        return replace_ids(
            X,
            users=self._encode(np.asarray(rows.users), self.users_, "user"),
            items=self._encode(np.asarray(rows.items), self.items_, "item"),
        )

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
        check_is_fitted(self)
        rows = read_interactions(X, with_timestamps=False)
        return replace_ids(
            X,
            users=self._decode(np.asarray(rows.users), self.users_, "user"),
            items=self._decode(np.asarray(rows.items), self.items_, "item"),
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what input is welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _check_parameters(self) -> None:
        check_option("handle_unknown", self.handle_unknown, ("error", "use_encoded_value"))
        if not isinstance(self.unknown_value, Integral) or self.unknown_value >= 0:
            raise ValueError(
                "unknown_value must be an int below 0, so that it is no index. "
                f"Received: {self.unknown_value!r}."
            )

    def _encode(self, ids: Ids, vocabulary: pd.Index, word: str) -> Codes:
        codes = lookup_ids(ids, vocabulary, f"X: {word} ids")
        unknown = codes < 0
        if unknown.any() and self.handle_unknown == "error":
            row = int(np.argmax(unknown))
            raise ValueError(
                f"X: {word} ids must be among those that fit saw. Received "
                f"{repr_of_row(ids, row)} in row {row} ({int(unknown.sum())} such rows). Fit on "
                "all ids, drop the rows, or set handle_unknown='use_encoded_value'."
            )
        codes[unknown] = self.unknown_value
        return codes

    def _decode(self, codes: NDArray[Any], vocabulary: pd.Index, word: str) -> Ids:
        places = lookup_ids(codes, pd.RangeIndex(len(vocabulary)), f"X: {word} indices")
        unknown = codes == self.unknown_value
        bad = ~unknown & (places < 0)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"X: {word} indices must be between 0 and {len(vocabulary) - 1} or "
                f"{self.unknown_value} (unknown). Received {repr_of_row(codes, row)} in row {row}."
            )
        ids = vocabulary.to_numpy()[places]
        if unknown.any():
            ids = ids.astype(object)
            ids[unknown] = None
        return ids
