"""Ctrl-C during training acts between calls of TensorFlow, and nowhere else."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from network_options import SMALL_NEUMF

from neumf import NeuMFRecommender
from neumf.training import trainer
from neumf.training.interrupts import interrupts_noted, raise_noted


@pytest.fixture
def handler():
    """A function that sets the handler of Ctrl-C for the time of the test."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda new: signal.signal(signal.SIGINT, new)
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def test_a_noted_interrupt_is_raised_when_it_is_asked_for():
    before, done = signal.getsignal(signal.SIGINT), []

    @interrupts_noted()
    def work():
        raise_noted()
        press()
        press()
        done.append("noted")
        raise_noted()
        done.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["noted"]
    assert signal.getsignal(signal.SIGINT) is before
    raise_noted()  # nothing is left


def test_an_interrupt_that_nobody_asked_for_is_raised_at_the_end():
    done = []

    @interrupts_noted()
    def work():
        press()
        done.append("whole block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole block"]


def test_the_handler_is_restored_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="other"), interrupts_noted():
        raise ValueError("other")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_of_the_user_is_called_between_chunks(handler):
    calls = []
    handler(lambda number, frame: calls.append((number, frame.f_code.co_name)))
    with interrupts_noted():
        press()
        assert calls == []
        raise_noted()
        assert calls == [(signal.SIGINT, "pass_on")]


def test_an_interrupt_that_is_ignored_stays_so(handler):
    handler(signal.SIG_IGN)
    with interrupts_noted():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        press()
        raise_noted()


def test_other_threads_change_no_handler_and_raise_nothing():
    before, seen = signal.getsignal(signal.SIGINT), []

    @interrupts_noted()
    def work(then):
        seen.append(signal.getsignal(signal.SIGINT))
        then()

    def press_and_start_thread():
        press()
        thread = threading.Thread(target=work, args=[raise_noted])
        thread.start()
        thread.join()

    with pytest.raises(KeyboardInterrupt):
        work(press_and_start_thread)
    assert before is not seen[0] is seen[1]


@pytest.fixture
def press_in_call(monkeypatch):
    """A function that presses Ctrl-C in the n-th call of TensorFlow from then on."""

    def press_in(n):
        called, calls = trainer._called, []

        def press_and_call(function, arguments):
            calls.append(None)
            if len(calls) == n:
                press()
            return called(function, arguments)

        monkeypatch.setattr(trainer, "_called", press_and_call)

    return press_in


# The first call compiles, and each epoch of this table is one more.
@pytest.mark.parametrize(("n", "n_epochs"), [(2, 1), (3, 2), (4, 3)])
def test_an_epoch_in_which_ctrl_c_comes_is_kept(n, n_epochs, table, press_in_call):
    press_in_call(n)
    model = NeuMFRecommender(**SMALL_NEUMF | {"epochs": 3})
    with pytest.warns(RuntimeWarning, match=f"after {n_epochs} of 3 epochs") as caught:
        model.fit(table)
    assert caught[0].filename == __file__
    assert model.n_iter_ == n_epochs


def test_ctrl_c_during_compilation_changes_nothing(table, press_in_call):
    press_in_call(1)
    model = NeuMFRecommender(**SMALL_NEUMF)
    with pytest.raises(KeyboardInterrupt):
        model.fit(table)
    assert not hasattr(model, "network_")


# Fits, each with a Ctrl-C at a random time, the first ones while TensorFlow is imported.
CHILD = """
import json, os, random, signal, threading, time, warnings
import numpy as np
from network_options import SMALL_NEUMF
from neumf import NeuMFRecommender
from neumf.training import trainer
from neumf.training.program import compile_program

signal.signal(signal.SIGINT, signal.default_int_handler)
warnings.simplefilter("ignore")
trainer.compile_program = lambda plan, with_xla: compile_program(plan, with_xla=False)
rng = np.random.default_rng(0)
X = np.column_stack([rng.integers(0, 60, 2000), rng.integers(0, 40, 2000)])
seconds, outcomes = 6.0, []
for n in range(40):
    if n % 4 == 0:
        compile_program.cache_clear()
    model, start = NeuMFRecommender(**SMALL_NEUMF | {"epochs": 6, "batch_size": 32}), time.time()
    timer = threading.Timer(random.uniform(0, seconds), os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        model.fit(X)
        fitted = True
        seconds = max(0.2, min(seconds, 1.1 * (time.time() - start)))
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        fitted = hasattr(model, "network_")
    names = set(vars(model)) & {"users_", "network_", "history_", "_optimizer"}
    outcomes.append([fitted, len(names), signal.getsignal(2) is signal.default_int_handler])
print(json.dumps(outcomes))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_random_interrupts_do_no_harm(seed):
    path = os.pathsep.join(sys.path)
    child = [sys.executable, "-c", f"import random; random.seed({seed}){CHILD}"]
    done = subprocess.run(child, env=os.environ | {"PYTHONPATH": path}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    outcomes = json.loads(done.stdout)
    assert len(outcomes) == 40
    assert all(n == (4 if fitted else 0) and restored for fitted, n, restored in outcomes)
