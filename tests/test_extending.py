"""A loss and a user tower of one's own, added from outside the package."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from network_options import NEUMF_OPTIONS, NEXT_ITEM_OPTIONS

from neumf import LeaveLastOutSplitter, NeuMFRecommender, NextItemRecommender
from neumf.model.initial import normal
from neumf.model.layers import NeuMFLayers
from neumf.model.network import Blueprint
from neumf.model.user_tower import UserTower
from neumf.training.losses import LOSSES, Loss

OPTIONS = NEUMF_OPTIONS | {
    "architecture": "gmf",
    "n_factors": 16,
    "dropout": 0.0,
    "random_state": 0,
}


# A loss: the hinge of a positive that is not one above each of its negatives.


def hinge(tf, scores, own, labels):
    return tf.reduce_mean(tf.nn.relu(1 - own[:, None] + scores[:, 1:]), axis=1)


def test_a_loss_is_one_entry(monkeypatch):
    monkeypatch.setitem(LOSSES, "hinge", Loss(hinge))
    rows = [(u, i) for u in range(100) for i in range(40) if u % 2 == i % 2 and (u + i) % 40]
    X = pd.DataFrame(rows, columns=["user", "item"])
    model = NeuMFRecommender(
        **OPTIONS | {"loss": "hinge", "epochs": 10, "learning_rate": 0.01}
    ).fit(X)
    first = model.recommend(k=1)
    assert np.mean(first["item"] == -first["user"] % 40) >= 0.9
    with pytest.raises(ValueError, match="y must be None with loss='hinge'"):
        model.fit(X, np.ones(len(X)))


# A user tower: the vector that the newest item has as a predecessor.


@dataclass(frozen=True)
class Newest(UserTower):
    def initial_tables(self, n_users, n_items, rng):
        return {"newest": normal(rng, n_items, self.width)}

    def indices(self, users, histories, run_length=1):
        return {"newest": histories.items[:, :1]}

    def vectors(self, xp, rows, present, shared):
        return xp.where(present["newest"], rows["newest"][:, 0], 0.0)

    def norms(self, xp, rows, present):
        return [xp.reduce_sum(rows["newest"][:, 0] ** 2, 1)]


@pytest.fixture
def walks():
    """Each user starts somewhere and goes on to the next item, around and around."""
    starts = np.random.default_rng(0).integers(0, 20, 150)
    items = (starts[:, None] + np.arange(8)) % 20
    return pd.DataFrame({"user": np.repeat(np.arange(150), 8), "item": items.ravel()})


class NewestItemRecommender(NextItemRecommender):
    """Knows of each user the newest item alone."""

    @classmethod
    def _blueprint(cls, shape):
        width = shape["n_factors"]
        return Blueprint.of_towers(NeuMFLayers(width, 0, ()), Newest(width, 1))


def test_a_user_tower_is_one_class(walks):
    X_train, X_test = LeaveLastOutSplitter().train_test_split(walks)
    options = NEXT_ITEM_OPTIONS | {"n_factors": 16, "random_state": 0}
    model = NewestItemRecommender(**options).fit(X_train)
    assert model.score(X_test) > 0.95
    # It folds in, and goes on learning, as the others do.
    new = pd.DataFrame({"user": -1, "item": [4, 11]})
    assert model.recommend(-1, k=1, interactions=new)["item"].tolist() == [12]
    model.partial_fit(walks.tail(40).assign(user=lambda X: X["user"] + 1000))
    assert model.score(X_test) > 0.9
    model.set_params(early_stopping=True, regularization=1e-6, epochs=2).fit(X_train)
    assert len(model.history_["val_ndcg_at_10"]) == 2
