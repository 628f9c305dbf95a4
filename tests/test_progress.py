import sys

import numpy as np
import pandas as pd
import pytest
from network_options import SMALL_NEUMF, SMALL_NEXT_ITEM

from neumf import NeuMFRecommender, NextItemRecommender
from neumf.training.losses import LOSSES


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    rows = [(user, item) for user in range(40) for item in rng.choice(30, 6, replace=False)]
    return pd.DataFrame(rows, columns=["user", "item"])


class Bar:
    """Stands for a bar of tqdm and records its calls."""

    def __init__(self, **options):
        self.options, self.counts, self.postfixes, self.closed = options, [], [], False
        Bar.made.append(self)

    def update(self, n):
        self.counts.append(n)

    def set_postfix_str(self, text):
        self.postfixes.append(text)

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    """The bars made by a module that stands for tqdm.auto."""
    module = type(sys)("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", type(sys)("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setattr(Bar, "made", [], raising=False)
    return Bar.made


def test_bar_counts_every_row_of_every_epoch(table, bars):
    model = NeuMFRecommender(**SMALL_NEUMF | {"epochs": 3, "verbose": 2}).fit(table)
    (bar,) = bars
    assert bar.options["total"] == 3 * len(table)
    assert sum(bar.counts) == 3 * len(table)
    assert bar.postfixes == [
        f"epoch {epoch}/3  loss {loss:.4f}" for epoch, loss in enumerate(model.history_["loss"], 1)
    ]
    assert bar.closed


def test_bar_of_each_half_has_its_name(table, bars):
    NeuMFRecommender(**SMALL_NEUMF | {"pretrain": "sgd", "verbose": 2}).fit(table)
    assert [bar.options["desc"] for bar in bars] == ["gmf", "mlp", "neumf"]


def test_bar_is_closed_if_training_fails(table, bars):
    model = NeuMFRecommender(**SMALL_NEUMF | {"learning_rate": 1e25, "epochs": 5, "verbose": 2})
    with pytest.raises(ValueError, match="Training diverged"):
        model.fit(table)
    assert bars[0].closed


def test_real_bar_shows_the_time_left(table, capfd):
    pytest.importorskip("tqdm")
    NextItemRecommender(**SMALL_NEXT_ITEM | {"verbose": 2}).fit(table)
    shown = capfd.readouterr().err
    assert "next item: 100%" in shown
    assert "<" in shown  # tqdm's sign between the time gone and the time left


@pytest.mark.parametrize("verbose", [1, 2])
def test_without_tqdm_there_are_lines(table, capsys, monkeypatch, verbose):
    for name in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    NeuMFRecommender(**SMALL_NEUMF | {"verbose": verbose}).fit(table)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("neumf epoch ") for line in lines) == SMALL_NEUMF["epochs"]


def test_verbose_first_explains_its_words(table, capsys):
    model = NeuMFRecommender(**SMALL_NEUMF | {"verbose": 1, "loss": "bpr"})
    explanation = (
        "loss: the mean over rows of -log sigmoid(logit of the item - logit of a negative)"
    )
    model.fit(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(explanation)
    assert not any(line.startswith("val_ndcg_at_10") for line in lines)
    model.set_params(early_stopping=True).fit(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(explanation)
    assert lines[1].startswith("val_ndcg_at_10: NDCG@10 of the held-out rows")


@pytest.mark.parametrize(
    ("pretrain", "words"), [("als", "mlp: the MLP half"), ("sgd", "gmf, mlp: the halves")]
)
def test_verbose_explains_the_names_of_the_halves(table, capsys, pretrain, words):
    NeuMFRecommender(**SMALL_NEUMF | {"verbose": 1, "pretrain": pretrain, "recency": 0}).fit(table)
    assert f"\n{words}" in capsys.readouterr().out


def test_every_loss_has_words():
    assert all(loss.words for loss in LOSSES.values())
