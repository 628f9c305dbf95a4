"""The parameters of `NeuMFRecommender`: checked, and as what training takes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal, Protocol, cast

import numpy as np

from neumf.interactions.unseen import Strategy
from neumf.model.layers import ARCHITECTURES, NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import USER_TOWERS
from neumf.training.losses import LOSSES
from neumf.training.trainer import TrainingSettings
from neumf.utils.random import RandomState
from neumf.utils.time_gaps import GAPS_FROM, GapsFrom
from neumf.utils.validation import check_int, check_n_jobs, check_option, check_real

Architecture = Literal["neumf", "gmf", "mlp", "mf"]
UserEncoder = Literal["auto", "id", "history", "hybrid"]
LossName = Literal[
    "auto", "binary_crossentropy", "bpr", "sampled_softmax", "batch_softmax", "softmax"
]

_POSITIVE_INTS = (
    "n_factors",
    "mlp_embedding_dim",
    "n_negatives",
    "history_length",
    "batch_size",
    "epochs",
    "average_epochs",
    "n_iter_no_change",
)

# What the network has its shape from.
SHAPE = (
    "architecture",
    "n_factors",
    "mlp_embedding_dim",
    "hidden_layer_sizes",
    "user_encoder",
    "history_length",
    "history_hidden_size",
    "history_gaps",
    "newest_item",
    "tie_history",
    "item_bias",
)


class Parameters(Protocol):
    """The parameters of `NeuMFRecommender`, whose docstring says what they mean."""

    architecture: Architecture
    n_factors: int
    mlp_embedding_dim: int
    hidden_layer_sizes: Sequence[int]
    n_negatives: int
    negative_strategy: Strategy
    loss: LossName
    pretrain: bool
    user_encoder: UserEncoder
    history_length: int
    history_hidden_size: int
    history_gaps: GapsFrom | None
    newest_item: bool
    tie_history: bool
    item_bias: bool
    init_std: float
    recency: float
    regularization: float
    dropout: float
    learning_rate: float
    batch_size: int
    epochs: int
    average_epochs: int
    early_stopping: bool | Literal["refit"]
    n_iter_no_change: int
    user_features: Any
    item_features: Any
    feature_regularization: float
    n_jobs: int | None
    random_state: RandomState
    verbose: int


def check_parameters(parameters: Parameters, y: Any) -> None:
    """Raise if a parameter is out of range, or does not go with another one or with `y`."""
    check_option("architecture", parameters.architecture, tuple(ARCHITECTURES))
    check_option("user_encoder", parameters.user_encoder, ("auto", *USER_TOWERS))
    check_option("negative_strategy", parameters.negative_strategy, ("uniform", "popularity"))
    check_option("loss", parameters.loss, ("auto", *LOSSES))
    check_option("early_stopping", parameters.early_stopping, (True, False, "refit"))
    check_option("history_gaps", parameters.history_gaps, (None, *GAPS_FROM))
    for name in ("pretrain", "newest_item", "tie_history", "item_bias"):
        check_option(name, getattr(parameters, name), (True, False))
    for name in _POSITIVE_INTS:
        check_int(name, getattr(parameters, name), 1)
    _check_layer_sizes(parameters.hidden_layer_sizes)
    if not isinstance(parameters.verbose, bool):
        check_int("verbose", parameters.verbose, 0)
    check_n_jobs(parameters.n_jobs, "shards of users")
    check_int("history_hidden_size", parameters.history_hidden_size, 0)
    check_real("init_std", parameters.init_std)
    check_real("recency", parameters.recency)
    check_real("regularization", parameters.regularization)
    check_real("feature_regularization", parameters.feature_regularization, above=0)
    check_real("dropout", parameters.dropout, below=1)
    check_real("learning_rate", parameters.learning_rate, above=0)
    _check_combinations(decide(parameters, ordered=True, labelled=y is not None), y)


def decide(parameters: Parameters, *, ordered: bool, labelled: bool) -> Parameters:
    """Return the parameters with what "auto" means for rows with or without order and labels."""
    values = {name: getattr(parameters, name) for name in Parameters.__annotations__}
    if values["user_encoder"] == "auto":
        of_rows = "history" if parameters.user_features is None else "hybrid"
        values["user_encoder"] = of_rows if ordered else "id"
    if values["loss"] == "auto":
        is_product = _layers_of(parameters, parameters.architecture).is_product
        values["loss"] = "batch_softmax" if is_product and not labelled else "binary_crossentropy"
    return cast(Parameters, SimpleNamespace(**values))


def of_all_rows(parameters: Parameters, epochs: int) -> Parameters:
    """Return the parameters of a fit that holds nothing out, for so many epochs."""
    changes = {"early_stopping": False, "epochs": epochs}
    return cast(Parameters, SimpleNamespace(**vars(parameters) | changes))


def _check_layer_sizes(sizes: Any) -> None:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray) or len(sizes) == 0:
        raise ValueError(
            "hidden_layer_sizes must be a tuple of at least one int, such as (32, 16, 8). "
            f"Received: {sizes!r}."
        )
    for number, size in enumerate(sizes):
        check_int(f"hidden_layer_sizes[{number}]", size, 1)


def _check_combinations(parameters: Parameters, y: Any) -> None:
    loss, architecture = LOSSES[parameters.loss], parameters.architecture
    layers = _layers_of(parameters, architecture)
    if loss.is_product and not layers.is_product:
        raise ValueError(
            f"loss={parameters.loss!r} scores many items for each row, which only a product of "
            "vectors does fast, so architecture must be 'gmf' or 'mf'. Received: "
            f"architecture={architecture!r}. Set loss='sampled_softmax'."
        )
    if parameters.pretrain and architecture != "neumf":
        raise ValueError(
            "pretrain=True joins a GMF and an MLP, so architecture must be 'neumf'. Received: "
            f"architecture={architecture!r}. Set pretrain=False."
        )
    if parameters.pretrain and parameters.early_stopping == "refit":
        raise ValueError(
            "early_stopping='refit' trains one network for as many epochs as were best, so "
            "pretrain must be False. Received: pretrain=True. Set early_stopping=True."
        )
    if parameters.user_features is not None and parameters.user_encoder == "history":
        raise ValueError(
            "user_features tell of users' own vectors, which user_encoder='history' has none of. "
            "Set user_encoder='hybrid' or 'id', or user_features=None."
        )
    if y is not None and not loss.takes_labels:
        raise ValueError(
            f"y must be None with loss={parameters.loss!r}, which compares each row with other "
            "items. Leave y out, or set loss='binary_crossentropy'."
        )


def shape_parameters(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters, decided, that the network has its shape from."""
    shape = {name: getattr(parameters, name) for name in SHAPE}
    return shape | {"hidden_layer_sizes": tuple(parameters.hidden_layer_sizes)}


def _layers_of(parameters: Parameters, architecture: Architecture) -> NeuMFLayers:
    return ARCHITECTURES[architecture](
        parameters.n_factors,
        parameters.mlp_embedding_dim,
        tuple(parameters.hidden_layer_sizes),
        parameters.item_bias,
    )


def refuse_other_shape(parameters: Parameters, was: dict[str, Any]) -> None:
    """Raise if a parameter was changed that the network has its shape from."""
    shape = shape_parameters(parameters)
    changed = [name for name, value in shape.items() if value != was[name]]
    if changed:
        received = ", ".join(f"{name}={shape[name]!r}" for name in changed)
        before = ", ".join(f"{name}={was[name]!r}" for name in changed)
        raise ValueError(
            f"{', '.join(changed)} must be what fit had, {before}: partial_fit keeps the shape of "
            f"the network. Received: {received}. Set it back, or call fit with all rows."
        )


def blueprint_of(
    parameters: Parameters, architecture: Architecture, history_length: int
) -> Blueprint:
    """Return what the network, or one of its halves, is made of."""
    layers = _layers_of(parameters, architecture)
    reads_history = parameters.user_encoder != "id"
    users = USER_TOWERS[parameters.user_encoder](
        layers.width,
        history_length,
        parameters.history_hidden_size,
        std=parameters.init_std,
        tied=parameters.tie_history,
        gaps=parameters.history_gaps if reads_history else None,
        newest_item=parameters.newest_item and reads_history,
    )
    return Blueprint.of_towers(layers, users)


def settings_of(parameters: Parameters, optimizer: str = "adam") -> TrainingSettings:
    """Return how to train, given parameters that are decided."""
    return TrainingSettings(
        loss=LOSSES[parameters.loss],
        n_negatives=parameters.n_negatives,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        regularization=parameters.regularization,
        dropout=parameters.dropout,
        optimizer=optimizer,
    )
