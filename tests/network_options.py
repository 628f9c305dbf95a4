"""Parameters of networks that tests start from, whatever the defaults are."""

# The network and the training of the paper.
NEUMF_OPTIONS = {
    "architecture": "neumf",
    "n_factors": 32,
    "n_negatives": 4,
    "loss": "binary_crossentropy",
    "recency": 0.5,
    "regularization": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 256,
    "epochs": 20,
}

# A small network of histories that learns fast.
NEXT_ITEM_OPTIONS = {
    "n_factors": 8,
    "history_length": 3,
    "n_negatives": 1,
    "regularization": 0.01,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "batch_size": 256,
    "epochs": 20,
}
