"""The parameters of the neural recommenders: their checks, the plan of `fit`, and presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from neumf.interactions.unseen import Strategy
from neumf.model.network import Blueprint
from neumf.training.losses import LOSSES
from neumf.training.trainer import TrainingSettings
from neumf.utils.validation import check_int, check_option, check_real

LossName = Literal[
    "auto", "binary_crossentropy", "bpr", "sampled_softmax", "batch_softmax", "softmax"
]
EarlyStopping = bool | Literal["refit"]

# With time gaps, `fit` averages the weights of this number of last epochs: the weights of gaps
# are learned fast and then oscillate.
_N_AVERAGED = 4


@dataclass(frozen=True)
class FitPlan:
    """The checked parameters of `fit`, with the value "auto" replaced."""

    name: str  # of the network in the lines of `verbose`
    blueprint: Blueprint
    training: TrainingSettings
    recency: float
    epochs: int
    early_stopping: EarlyStopping
    n_iter_no_change: int
    feature_regularization: float
    verbose: int
    halves: tuple[Blueprint, ...] = ()  # a GMF and an MLP that are learned first and then joined
    solves_gmf: bool = False  # whether the first half is solved by least squares
    n_jobs: int | None = None  # of the solver
    negative_strategy: Strategy = "uniform"
    adds_scores: bool = False  # whether scores of simple methods may be added to the logits

    @property
    def most_epochs(self) -> int:
        """The maximum number of epochs of `fit`."""
        if self.solves_gmf:
            return 2 * self.epochs  # of the MLP
        again = self.early_stopping == "refit" or self.adds_scores
        return self.epochs * (1 + len(self.halves) + again)

    def with_history_length(self, length: int) -> FitPlan:
        """Return the plan with a history length of `length`."""
        halves = tuple(half.with_history_length(length) for half in self.halves)
        return replace(self, blueprint=self.blueprint.with_history_length(length), halves=halves)


def make_plan(
    parameters: Any, name: str, blueprint: Blueprint, default_loss: LossName, y: Any
) -> FitPlan:
    """Check the parameters of a recommender; return the plan of `fit` for rows with labels `y`."""
    _check_ranges(parameters)
    loss = parameters.loss
    if loss == "auto":
        loss = default_loss if y is None else "binary_crossentropy"
    _check_loss(loss, blueprint, y)
    training = TrainingSettings(
        loss=LOSSES[loss],
        n_negatives=parameters.n_negatives,
        batch_size=parameters.batch_size,
        learning_rate=parameters.learning_rate,
        regularization=parameters.regularization,
        dropout=parameters.dropout,
        average_epochs=_N_AVERAGED if blueprint.users.time_gaps else 1,
    )
    return FitPlan(
        name,
        blueprint,
        training,
        parameters.recency,
        parameters.epochs,
        parameters.early_stopping,
        parameters.n_iter_no_change,
        parameters.feature_regularization,
        parameters.verbose,
    )


def _check_ranges(parameters: Any) -> None:
    for name in ("n_negatives", "batch_size", "epochs", "n_iter_no_change"):
        check_int(name, getattr(parameters, name), 1)
    check_option("loss", parameters.loss, ("auto", *LOSSES))
    check_option("early_stopping", parameters.early_stopping, (True, False, "refit"))
    if not isinstance(parameters.verbose, bool):
        check_int("verbose", parameters.verbose, 0)
    check_real("recency", parameters.recency)
    check_real("regularization", parameters.regularization)
    check_real("feature_regularization", parameters.feature_regularization, above=0)
    check_real("dropout", parameters.dropout, below=1)
    check_real("learning_rate", parameters.learning_rate, above=0)


def _check_loss(name: str, blueprint: Blueprint, y: Any) -> None:
    loss = LOSSES[name]
    if loss.is_product and not blueprint.layers.is_product:
        raise ValueError(
            f"loss={name!r} scores many items for each row, which is fast only without an MLP. "
            "Received a network with an MLP. Set loss='sampled_softmax', or architecture='gmf'."
        )
    if y is not None and not loss.takes_labels:
        raise ValueError(
            f"y must be None with loss={name!r}, which compares each row with other items. Leave y "
            "out, or set loss='binary_crossentropy'."
        )


def refuse_other_shape(now: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise if a parameter that sets the shape of the network has changed since `fit`."""
    changed = [name for name, value in now.items() if value != before[name]]
    if changed:
        received = ", ".join(f"{name}={now[name]!r}" for name in changed)
        expected = ", ".join(f"{name}={before[name]!r}" for name in changed)
        raise ValueError(
            f"{', '.join(changed)} must be the same as in fit, {expected}: partial_fit keeps the "
            f"shape of the network. Received: {received}. Set it back, or call fit with all rows."
        )


def _paper(n_factors: int, **changes: Any) -> dict[str, Any]:
    """Return the parameters of the paper, He et al. 2017, section 4.1."""
    parameters = {
        "architecture": "neumf",
        "n_factors": n_factors,
        "mlp_embedding_dim": 4 * n_factors,
        "hidden_layer_sizes": (4 * n_factors, 2 * n_factors, n_factors),
        "n_negatives": 4,
        "negative_strategy": "uniform",
        "loss": "binary_crossentropy",
        "pretrain": None,
        "recency": 0.0,
        "regularization": 0.0,
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "batch_size": 256,
        "epochs": 20,
    }
    return parameters | changes


NEUMF_PRESETS: dict[str, dict[str, Any]] = {
    "paper-8": _paper(8),
    "paper-16": _paper(16),
    "paper-32": _paper(32),
    "paper-64": _paper(64),
    "paper-64-pretrained": _paper(64, pretrain="sgd"),
}

# A million rows are enough to learn the weights of 50 positions and of time gaps.
_LARGE = {
    "share_item_vectors": False,
    "add_user_vectors": True,
    "hidden_size": 256,
    "history_length": 50,
    "time_gaps": "newest",
    "n_negatives": 2,
    "batch_size": 512,
    "regularization": 0.05,
    "learning_rate": 2e-3,
}

NEXT_ITEM_PRESETS: dict[str, dict[str, Any]] = {
    "large": _LARGE,
    "large-timed": _LARGE | {"time_gaps": "request"},
}
