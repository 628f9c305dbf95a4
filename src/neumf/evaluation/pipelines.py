"""Find the recommender in a pipeline or a search, and transform tables for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from neumf.interactions.reading import read_input
from neumf.interactions.vocabulary import index_ids, lookup_ids
from neumf.protocols import Recommender
from neumf.utils.arrays import repr_of_row
from neumf.utils.validation import describe


def unwrap(estimator: Any, tables: list[Any]) -> tuple[Recommender, list[Any]]:
    """Return the recommender inside an estimator, and tables after its other steps."""
    if isinstance(estimator, FrozenEstimator):
        return unwrap(estimator.estimator, tables)
    if hasattr(estimator, "estimator") and hasattr(estimator, "refit"):  # a search
        check_is_fitted(estimator, "best_estimator_")
        return unwrap(estimator.best_estimator_, tables)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator[-1])
        if len(estimator) > 1:
            tables = [estimator[:-1].transform(X) for X in tables]
        return unwrap(estimator[-1], tables)
    if isinstance(estimator, Recommender):
        return estimator, tables
    if hasattr(estimator, "recommend"):
        check_is_fitted(estimator)
    wanted = ("users_", "items_", "seen_", "popularity_", "ranker_")
    hint = ""
    if not hasattr(estimator, "fit"):
        hint = (
            " The recommender comes first, then the held-out rows: evaluate(model, X_test). For "
            "several recommenders, call compare({'name': model}, X_train, X_test)."
        )
    raise TypeError(
        "estimator must be a fitted recommender, or a fitted Pipeline or search that ends in one. "
        f"Received: {describe(estimator)}, without the attributes "
        f"{', '.join(name for name in wanted if not hasattr(estimator, name))}.{hint}"
    )


def fold_in_interactions(recommender: Recommender, interactions: Any) -> Recommender:
    """Return a recommender that knows further interactions, without training."""
    if not hasattr(recommender, "with_interactions"):
        raise TypeError(
            "interactions need a recommender with a method with_interactions, such as those that "
            "derive from neumf.base.BaseRecommender. Received: "
            f"{describe(recommender)}. Fit it with the interactions in X."
        )
    folded: Recommender = recommender.with_interactions(interactions)
    return folded


def refuse_merged_users(recommender: Recommender, given: list[Any], reached: list[Any]) -> None:
    """Raise if the steps of a pipeline gave several new users one id.

    `given` are tables, and `reached` the same tables behind the steps.
    """
    before, after = (
        np.concatenate([np.asarray(read_input(X, with_timestamps=False).users) for X in tables])
        for tables in (given, reached)
    )
    users, ids = index_ids(after)
    unknown = lookup_ids(ids.to_numpy(), recommender.users_, "X: user ids")[users] < 0
    pairs = pd.DataFrame({"before": index_ids(before)[0], "after": users})[unknown]
    merged = pairs.drop_duplicates()["after"].duplicated()
    if merged.any():
        raise ValueError(
            "interactions must reach the recommender with different ids for new users. Received "
            f"{merged.sum()} new users to whom the pipeline gives an id that another user has too, "
            f"such as {repr_of_row(ids, int(pairs['after'][merged[merged].index[0]]))}. Leave "
            "the encoder out: recommenders take ids as they are."
        )
