"""Small networks and rows to train, shared by the tests of the training room."""

import numpy as np

from neumf.interactions.seen import seen_matrix
from neumf.interactions.unseen import UnseenItems
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint, Weights
from neumf.model.user_towers import UserIds
from neumf.training.batches import Negatives, TrainingRows
from neumf.training.losses import LOSSES
from neumf.training.trainer import TrainingSettings

SMALL = Blueprint.of_towers(NeuMFLayers(2, 3, (4, 2)), UserIds(5, 1))


def settings(**changes):
    defaults = {
        "loss": "binary_crossentropy",
        "n_negatives": 2,
        "batch_size": 12,
        "learning_rate": 0.01,
        "regularization": 0.0,
        "dropout": 0.0,
    }
    options = defaults | changes
    return TrainingSettings(**options | {"loss": LOSSES[options["loss"]]})


def large_weights(rng, n_users=4, n_items=5, blueprint=SMALL):
    """Weights that are large enough to matter."""
    weights = blueprint.initial_weights(n_users, n_items, rng)
    for arrays in weights:
        for array in arrays.values():
            array[...] = rng.normal(scale=0.5, size=array.shape)
    return weights


def labelled_rows(rng, n_rows=4):
    """Rows whose users and items repeat, with labels and weights, so that nothing is drawn."""
    return TrainingRows(
        users=np.array([0, 1, 1, 3, 0, 2, 2, 3])[:n_rows],
        items=np.array([2, 2, 0, 4, 1, 4, 3, 3])[:n_rows],
        labels=np.array([1, 0, 0.5, 1, 0, 1, 0, 1], np.float32)[:n_rows],
        weights=rng.uniform(0.5, 2, n_rows).astype(np.float32),
    )


def unseen_by(users, items, shape):
    """Negatives that are drawn for users who have seen these items."""
    return Negatives(UnseenItems(seen_matrix(users, items, shape)), users)


def forced_rows(n_users=4):
    """Positives of users who have seen all but one item: both negatives must be that item."""
    users = np.repeat(np.arange(n_users), 4)
    items = np.array([i for user in range(n_users) for i in range(5) if i != user])
    return TrainingRows(
        users,
        items,
        np.ones(len(users), np.float32),
        np.linspace(0.5, 2, len(users), dtype=np.float32),
        unseen_by(users, items, (n_users, 5)),
    )


def assert_same_weights(weights, other, **tolerances):
    for ours, theirs in zip(weights, other, strict=True):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_allclose(array, theirs[name], **tolerances)


def flatten(weights):
    """All weights in float64, and a function that puts others in their place."""
    names = [(part, name) for part, arrays in enumerate(weights) for name in arrays]
    arrays = [weights[part][name] for part, name in names]
    ends = np.cumsum([array.size for array in arrays])

    def restore(flat):
        restored = Weights({}, {})
        parts = np.split(flat, ends[:-1])
        for (part, name), array, values in zip(names, arrays, parts, strict=True):
            restored[part][name] = values.reshape(array.shape)
        return restored

    return np.concatenate([array.ravel() for array in arrays]).astype(np.float64), restore


def numerical_gradient(function, at):
    steps = 1e-6 * np.eye(len(at))
    return np.array([(function(at + step) - function(at - step)) / 2e-6 for step in steps])
