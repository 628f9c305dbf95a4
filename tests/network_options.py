"""Parameters of networks that tests start from, whatever the defaults are."""

# The network and the training of the paper.
NEUMF_OPTIONS = {
    "architecture": "neumf",
    "n_factors": 32,
    "n_negatives": 4,
    "loss": "binary_crossentropy",
    "pretrain": None,
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
    "add_simple_methods": False,
    "n_negatives": 1,
    "regularization": 0.01,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "batch_size": 256,
    "epochs": 20,
}

# The networks of tests that need no other one: equal sizes share compiled programs.
SMALL_NEUMF = NEUMF_OPTIONS | {
    "n_factors": 4,
    "mlp_embedding_dim": 4,
    "hidden_layer_sizes": (4,),
    "dropout": 0.0,
    "epochs": 2,
    "random_state": 0,
}
SMALL_JOINED = SMALL_NEUMF | {"pretrain": "als"}
SMALL_NEXT_ITEM = NEXT_ITEM_OPTIONS | {"epochs": 2, "random_state": 0}
