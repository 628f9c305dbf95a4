"""Sets of parameters of the neural recommenders, by name."""

from __future__ import annotations

from typing import Any


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
