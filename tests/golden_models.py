"""The models of the golden files. As a script it writes them: see golden/README.md first."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from network_options import NEUMF_OPTIONS, NEXT_ITEM_OPTIONS

from neumf import (
    EASERecommender,
    NeuMFRecommender,
    NextItemRecommender,
    PopularityRecommender,
    SequentialRulesRecommender,
    VotingRecommender,
)
from neumf.saving.container import FORMAT
from neumf.utils.arrays import object_array

GOLDEN = Path(__file__).parent / "golden"
START = pd.Timestamp("2026-01-01", tz="Europe/Berlin")
DAY = pd.Timedelta(days=1)


def walks():
    """Each user starts somewhere and goes on to the next item, a day later, around and around."""
    rows = [(user, (7 * user + step) % 12, step) for user in range(20) for step in range(6)]
    X = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    return X.assign(timestamp=START + X["timestamp"] * DAY)


def walks_of_strings():
    """Users are integers, items strings."""
    X = walks()
    return X.assign(item="ítem " + X["item"].astype(str))


def fit_neumf():
    """Fit the network of the paper, in small."""
    options = {
        "n_factors": 4,
        "mlp_embedding_dim": 4,
        "hidden_layer_sizes": (4, 2),
        "learning_rate": 0.02,
        "epochs": 30,
        "random_state": 0,
    }
    return NeuMFRecommender(**NEUMF_OPTIONS | options).fit(walks_of_strings())


def fit_next_item():
    """Fit a network whose users have both a history and a vector of their own."""
    options = {
        "n_factors": 4,
        "add_user_vectors": True,
        "hidden_size": 2,
        "epochs": 30,
        "random_state": 0,
    }
    return NextItemRecommender(**NEXT_ITEM_OPTIONS | options).fit(walks_of_strings())


def fit_voting():
    """Fit to ids that are tuples, and to a mix of strings, ints and floats."""
    X = walks()
    users = ["a", 7, 2.5, *(f"user {number}" for number in range(17))]
    X["user"] = object_array([users[user] for user in X["user"]])
    X["item"] = object_array([("item", item) for item in X["item"]])
    members = [
        ("rules", SequentialRulesRecommender(history_length=3)),
        ("ease", EASERecommender(5.0, decay=2 * DAY)),
        ("late", PopularityRecommender(half_life="3D")),
        ("unused", "drop"),
    ]
    return VotingRecommender(members, weights=(2, 1, 0.5, 0)).fit(X)


MODELS = {"neumf": fit_neumf, "next_item": fit_next_item, "voting": fit_voting}


def what_it_says(model):
    """Return indices and scores of items: for known users, an unknown one, one folded in."""
    lists = model.recommend(k=3)
    new = pd.DataFrame(
        {
            "user": [1000, 1000],
            "item": object_array(model.items_[[4, 5]].tolist()),
            "timestamp": [START, START + DAY],
        }
    )
    folded = model.with_interactions(new).recommend(k=3)
    tables = {"known": lists, "unknown": model.recommend([2000], k=3)}
    tables["folded in"] = folded[folded["user"] == 1000]
    return {
        name: {
            "items": model.items_.get_indexer(table["item"]).tolist(),
            "scores": np.asarray(table["score"], float).tolist(),
        }
        for name, table in tables.items()
    }


if __name__ == "__main__":
    for name, fit in MODELS.items():
        model = fit()
        model.save(GOLDEN / f"format_{FORMAT}_{name}.neumf")
        says = json.dumps(what_it_says(model), indent=1)
        (GOLDEN / f"format_{FORMAT}_{name}.json").write_text(says)
