"""Sets of parameters of `NeuMFRecommender`, by name."""

from __future__ import annotations

from typing import Any, Self

from neumf.utils.validation import check_option


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
        "item_bias": False,
        "init_std": 0.01,
        "recency": 0.0,
        "regularization": 0.0,
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "batch_size": 256,
        "epochs": 20,
    }
    return parameters | changes


# The others change the defaults of the constructor. In those, items in histories are the items
# themselves, so that what is rare is learned once; that takes a strong penalty, and a bias for what
# is popular, which the penalty would shrink. Each row has its own history: late rows need no more
# weight. Ids have no order in themselves: there, the loss has to say that late rows count more.
_OF_IDS = {
    "architecture": "gmf",
    "n_factors": 64,
    "n_negatives": 32,
    "loss": "sampled_softmax",
    "user_encoder": "id",
    "item_bias": False,
    "init_std": 0.01,
    "recency": 1.0,
    "regularization": 0.005,
    "batch_size": 4096,
    "learning_rate": 1e-3,
    "epochs": 20,
}

# On tables of 100,000 rows the hidden layer learns by heart.
_LARGE = {
    "architecture": "gmf",
    "tie_history": False,
    "item_bias": False,
    "init_std": 0.01,
    "history_hidden_size": 256,
    "loss": "softmax",
    "batch_size": 512,
    "regularization": 0.05,
    "learning_rate": 2e-3,
}

# Weights of times are learned fast, and then swing.
_TIMED = {"history_gaps": "question", "average_epochs": 4}

# A million rows tell what 50 items are worth, and how long ago each of them was. The negatives of a
# batch find there what all items would, in half of the time.
_HYBRID_LARGE = _LARGE | {
    "user_encoder": "hybrid",
    "history_length": 50,
    "history_gaps": "newest",
    "average_epochs": 4,
    "loss": "batch_softmax",
    "n_negatives": 2,
}
_HYBRID_LARGE_TIMED = _HYBRID_LARGE | _TIMED | {"newest_item": True}

# Twice the factors find more. Steps of twice as many rows save some of what that costs; they are
# longer and swing more, so more epochs make the mean.
_WIDE = {
    "n_factors": 256,
    "n_negatives": 1,
    "batch_size": 680,
    "learning_rate": 3e-3,
    "epochs": 8,
    "average_epochs": 6,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper-8": _paper(8),
    "paper-16": _paper(16),
    "paper-32": _paper(32),
    "paper-64": _paper(64),
    "paper-64-pretrained": _paper(64, pretrain=True),
    "best-id": _OF_IDS,
    "best-history": {"user_encoder": "history", "loss": "batch_softmax"},
    "best-hybrid": {"user_encoder": "hybrid", "loss": "batch_softmax"},
    "best-history-timed": _TIMED | {"user_encoder": "history", "loss": "batch_softmax"},
    "best-history-large": _LARGE | {"user_encoder": "history"},
    "best-hybrid-large": _HYBRID_LARGE,
    "best-hybrid-large-timed": _HYBRID_LARGE_TIMED,
    "best-hybrid-wide": _HYBRID_LARGE | _WIDE,
    "best-hybrid-wide-timed": _HYBRID_LARGE_TIMED | _WIDE,
}


class PresetsMixin:
    """`from_preset` of `NeuMFRecommender`."""

    @classmethod
    def from_preset(cls, name: str, **parameters: Any) -> Self:
        """Return a recommender with parameters that were chosen and measured together.

        Parameters
        ----------
        name : str
            - ``"paper-8"``, ``"paper-16"``, ``"paper-32"``, ``"paper-64"``: the network of the
              paper with that many factors, trained as there.
            - ``"paper-64-pretrained"``: the same, joined from a trained GMF and a trained MLP.
            - ``"best-id"``, ``"best-history"``, ``"best-hybrid"``: the most accurate settings known
              with each `user_encoder`.
            - ``"best-history-large"``, ``"best-hybrid-large"``: those for a million rows or more,
              the second for tables with timestamps.
            - ``"best-hybrid-wide"``: the last with twice the factors, in twice the time.
            - ``"best-history-timed"``, ``"best-hybrid-large-timed"``, ``"best-hybrid-wide-timed"``:
              those for tables with timestamps, if the moment of the question is told by `at`.
        **parameters : Any
            Parameters to set otherwise, or besides, such as `random_state` and `epochs`.

        Returns
        -------
        recommender : NeuMFRecommender
            Not fitted yet.

        Raises
        ------
        ValueError
            If there is no preset of that name.
        TypeError
            If there is no parameter of such a name.

        Notes
        -----
        What each preset reaches on four data sets, and in what time, is measured in
        ``benchmarks/quality/README.md``. The presets of histories take new users without training;
        "best-id" is for tables whose order says little. On tables of a few thousand rows fewer
        epochs do better.

        Examples
        --------
        >>> from neumf import NeuMFRecommender
        >>> NeuMFRecommender.from_preset("paper-16", random_state=0).hidden_layer_sizes
        (64, 32, 16)
        """
        check_option("name", name, tuple(PRESETS))
        return cls(**{**PRESETS[name], **parameters})
