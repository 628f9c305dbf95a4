"""Sets of parameters of `NeuMFRecommender`, by name."""

from __future__ import annotations

from typing import Any


def _paper(n_factors: int, **changes: Any) -> dict[str, Any]:
    """Return the network and the training of He et al. 2017, section 4.1."""
    parameters = {
        "architecture": "neumf",
        "n_factors": n_factors,
        "mlp_embedding_dim": 4 * n_factors,
        "hidden_layer_sizes": (4 * n_factors, 2 * n_factors, n_factors),
        "n_negatives": 4,
        "negative_strategy": "uniform",
        "loss": "binary_crossentropy",
        "pretrain": False,
        "user_encoder": "id",
        "recency": 0.0,
        "regularization": 0.0,
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "batch_size": 256,
        "epochs": 20,
    }
    return parameters | changes


_BEST = {
    "architecture": "gmf",
    "n_factors": 64,
    "n_negatives": 32,
    "negative_strategy": "uniform",
    "loss": "sampled_softmax",
    "pretrain": False,
    "dropout": 0.5,
    "batch_size": 4096,
}
_OF_IDS = {
    "user_encoder": "id",
    "recency": 1.0,
    "regularization": 7e-4,
    "learning_rate": 1e-3,
    "epochs": 20,
}
# Each row has its own history: late rows need no more weight.
_OF_HISTORIES = {
    "history_length": 20,
    "recency": 0.0,
    "regularization": 3e-4,
    "learning_rate": 2e-3,
    "epochs": 10,
}

# On tables of 100,000 rows the hidden layer learns by heart.
_LARGE = {
    "n_factors": 128,
    "history_hidden_size": 256,
    "loss": "softmax",
    "batch_size": 512,
    "regularization": 2e-4,
    "epochs": 9,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper-8": _paper(8),
    "paper-16": _paper(16),
    "paper-32": _paper(32),
    "paper-64": _paper(64),
    "paper-64-pretrained": _paper(64, pretrain=True),
    "best-id": _BEST | _OF_IDS,
    "best-history": _BEST | _OF_HISTORIES | {"user_encoder": "history"},
    "best-hybrid": _BEST | _OF_HISTORIES | {"user_encoder": "hybrid"},
    "best-history-large": _BEST | _OF_HISTORIES | _LARGE | {"user_encoder": "history"},
    "best-hybrid-large": _BEST | _OF_HISTORIES | _LARGE | {"user_encoder": "hybrid"},
}
