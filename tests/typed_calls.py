"""Type-checked, never run: what type checkers see of the calls of a user."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import neumf
from neumf import (
    IdEncoder,
    ItemKNNRecommender,
    LeaveLastOutSplitter,
    NegativeSampler,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    TimeSplitter,
    VotingRecommender,
    compare,
    evaluate,
    hr_scorer,
    ndcg_scorer,
)
from neumf.base import BaseRecommender
from neumf.evaluation.results import Results


def calls_of_a_user() -> None:
    X = neumf.datasets.load_movietweetings()
    assert_type(X, pd.DataFrame)
    X_train, X_test = LeaveLastOutSplitter(n_splits=2).train_test_split(X)
    assert_type(X_train, pd.DataFrame)
    assert_type(X_test, pd.DataFrame)
    assert_type(TimeSplitter().train_test_split([["a", 1], ["b", 2]])[0], NDArray[Any])
    array: NDArray[np.int64] = np.ones((3, 2), dtype=np.int64)
    assert_type(TimeSplitter().train_test_split(array), tuple[NDArray[np.int64], NDArray[np.int64]])

    model = NeuMFRecommender(epochs=2).fit(X_train)
    assert_type(model, NeuMFRecommender)
    assert_type(model.partial_fit(X_test), NeuMFRecommender)
    assert_type(NeuMFRecommender.from_preset("paper-8").fit(X_train), NeuMFRecommender)
    assert_type(NextItemRecommender().fit(X_train, X_val=X_test), NextItemRecommender)
    assert_type(PopularityRecommender().fit(X_train), PopularityRecommender)
    assert_type(ItemKNNRecommender().fit(X_train).with_interactions(X_test), ItemKNNRecommender)
    assert_type(IdEncoder().fit(X_train), IdEncoder)
    assert_type(model.recommend([281], k=3, pin=[7]), pd.DataFrame)
    assert_type(model.user_vectors([281]), pd.DataFrame)
    assert_type(model.forget(281), NeuMFRecommender)
    assert_type(model.predict(X_test), NDArray[np.float64])
    assert_type(model.score(X_test), float)
    assert_type(ndcg_scorer(k=5, at="row")(model, X_test), float)
    assert_type(hr_scorer(10, 99, exclude_seen=False)(model, X_test), float)
    assert_type(evaluate(model, X_test, k=[5, 10]), Results)
    results = compare({"a": model}, None, X_test, metrics="ndcg")
    assert_type(results, Results)
    assert_type(results.to_frame(), pd.DataFrame)
    assert_type(results.to_frame()[["estimator", "value"]], pd.DataFrame)

    loaded = neumf.load(Path("model.neumf"))
    assert_type(loaded, BaseRecommender)
    assert_type(loaded.recommend(281), pd.DataFrame)
    if isinstance(loaded, NeuMFRecommender):
        assert_type(loaded.partial_fit(X_test), NeuMFRecommender)
    hr_scorer(kk=5)  # type: ignore[call-arg]


def options_are_literals() -> None:
    NeuMFRecommender(architecture="gmf", loss="bpr", pretrain=None, early_stopping="refit")
    NeuMFRecommender(architecture="GMF")  # type: ignore[arg-type]
    NeuMFRecommender(loss="hinge")  # type: ignore[arg-type]
    NeuMFRecommender(pretrain="adam")  # type: ignore[arg-type]
    NeuMFRecommender(negative_strategy="popular")  # type: ignore[arg-type]
    NeuMFRecommender(early_stopping="twice")  # type: ignore[arg-type]
    NextItemRecommender(time_gaps="newest")
    NextItemRecommender(time_gaps="oldest")  # type: ignore[arg-type]
    IdEncoder(handle_unknown="use_encoded_value")
    IdEncoder(handle_unknown="ignore")  # type: ignore[arg-type]
    LeaveLastOutSplitter(ties="shuffle")
    LeaveLastOutSplitter(ties="random")  # type: ignore[arg-type]
    NegativeSampler(negative_strategy="uniform")
    NegativeSampler(negative_strategy="unseen")  # type: ignore[arg-type]
    VotingRecommender([], weights="held-out")
    VotingRecommender([], weights="equal")  # type: ignore[arg-type]
