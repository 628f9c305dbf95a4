from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from training_tools import (
    SMALL,
    assert_same_weights,
    forced_rows,
    labelled_rows,
    large_weights,
    settings,
)

from neumf.model.layers import MFLayers
from neumf.model.network import Blueprint
from neumf.model.user_towers import UserIds
from neumf.training.loop import Validation, train
from neumf.training.trainer import Trainer

PRODUCT = Blueprint.of_towers(MFLayers(2, 0, ()), UserIds(2, 1))


@pytest.fixture
def trainer(rng):
    return Trainer(SMALL, large_weights(rng), labelled_rows(rng), settings(), rng)


class Recorder:
    """Watches epochs, and stops after some."""

    def __init__(self, stop_after=99):
        self.events = []
        self.stop_after = stop_after

    def begin_epoch(self):
        self.events.append("begin")

    def end_epoch(self, report, weights):
        self.events.append((report.epoch, report.loss, report.value, weights()))
        return report.epoch == self.stop_after


def test_training_keeps_the_best_epoch_and_stops_after_the_patience(trainer):
    values = iter([0.2, 0.5, 0.4, 0.5, 0.3, 0.9])
    validated = []

    def validate(weights):
        validated.append(weights)
        return next(values)

    recorder = Recorder()
    result = train(trainer, 10, recorder, validation=Validation(validate, patience=3))
    assert result.best_epoch == 2
    assert result.weights is validated[1]
    assert result.values == [0.2, 0.5, 0.4, 0.5, 0.3]
    assert recorder.events[::2] == ["begin"] * 5
    assert [event[0] for event in recorder.events[1::2]] == [1, 2, 3, 4, 5]
    assert [event[1] for event in recorder.events[1::2]] == result.losses
    assert [event[2] for event in recorder.events[1::2]] == result.values


def test_training_without_validation_runs_all_epochs(trainer):
    recorder = Recorder()
    result = train(trainer, 3, recorder)
    assert (len(result.losses), result.values, result.best_epoch) == (3, [], 3)
    assert_same_weights(result.weights, recorder.events[-1][3], rtol=0, atol=0)


@pytest.mark.parametrize("keep_moments", [False, True])
def test_moments_of_rows_are_kept_if_they_are_asked_for(trainer, keep_moments):
    result = train(trainer, 2, Recorder(), keep_moments=keep_moments)
    n_kept = len(result.weights.tables["users"]) if keep_moments else 0
    assert len(result.optimizer.tables["users"]) == n_kept
    assert result.optimizer.n_steps > 0


def test_the_watcher_may_stop_the_training_and_sees_the_weights(trainer):
    recorder = Recorder(stop_after=2)
    result = train(trainer, 9, recorder)
    assert len(result.losses) == 2
    after_two, after_one = recorder.events[-1][3], recorder.events[1][3]
    assert_same_weights(after_two, result.weights, rtol=0, atol=0)
    assert (after_one.tables["items"] != after_two.tables["items"]).any()


def test_no_epoch_is_timed_with_compilation(trainer, monkeypatch):
    """The time that is left is estimated from the seconds of an epoch."""
    events = []
    monkeypatch.setattr(trainer, "compile", lambda: events.append("compile"))
    monkeypatch.setattr(trainer, "run_epoch", lambda: events.append("epoch") or 0.5)
    recorder = Recorder()
    recorder.events = events
    train(trainer, 1, recorder)
    assert events[:3] == ["compile", "begin", "epoch"]


def test_a_loss_that_is_no_number_ends_the_training(trainer, monkeypatch):
    losses = iter([0.5, np.nan])
    monkeypatch.setattr(trainer, "run_epoch", lambda: next(losses))
    with pytest.raises(ValueError, match=r"Training diverged: the loss of epoch 2 is nan\. Lower"):
        train(trainer, 3, Recorder())


@pytest.mark.parametrize(
    ("loss", "chance"),
    [
        ("binary_crossentropy", np.log(2)),
        ("bpr", np.log(2)),
        ("sampled_softmax", np.log(3)),
        ("batch_softmax", np.log(5)),
        ("softmax", np.log(5)),
    ],
)
@pytest.mark.parametrize("weights", [None, np.array([0, 4, 4, 4], np.float32)])
def test_a_finite_loss_far_above_that_of_equal_scores_is_warned_about(
    loss, chance, weights, rng, monkeypatch
):
    rows = replace(forced_rows(1), weights=weights)
    plan = settings(loss=loss, n_negatives=2)
    trainer = Trainer(PRODUCT, large_weights(rng, 1, blueprint=PRODUCT), rows, plan, rng)
    trainer.finish = lambda keep_moments: (trainer.weights(), None)
    limit = 10 * chance * (1 if weights is None else 3)
    monkeypatch.setattr(trainer, "compile", lambda: None)
    monkeypatch.setattr(trainer, "run_epoch", lambda: limit * 0.999)
    train(trainer, 1, Recorder())
    monkeypatch.setattr(trainer, "run_epoch", lambda: limit * 1.001)
    message = f"epoch 1 is {limit * 1.001:.4g}; .*equal scores.* is {limit / 10:.4g}. Lower"
    with pytest.warns(ConvergenceWarning, match=message):
        train(trainer, 1, Recorder())


def test_only_the_loss_of_the_epoch_that_is_kept_tells_of_divergence(trainer, monkeypatch):
    losses = iter([0.5, 1e6])
    monkeypatch.setattr(trainer, "run_epoch", lambda: next(losses))
    values = iter([0.2, 0.1])
    result = train(trainer, 2, Recorder(), validation=Validation(lambda _: next(values)))
    assert result.losses == [0.5, 1e6]
