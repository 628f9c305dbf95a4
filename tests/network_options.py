"""Parameters of a network that tests start from, whatever the defaults are."""

# The network of the paper, its users by id.
NEUMF_OF_IDS = {
    "architecture": "neumf",
    "n_factors": 32,
    "n_negatives": 4,
    "loss": "binary_crossentropy",
    "user_encoder": "id",
    "tie_history": False,
    "item_bias": False,
    "init_std": 0.01,
    "recency": 0.5,
    "regularization": 0.0,
    "learning_rate": 1e-3,
    "batch_size": 256,
    "epochs": 20,
}
