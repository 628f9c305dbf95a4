import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from output_tools import own_lines

from neumf.training.runtime import import_tensorflow

FIT = """
from neumf import NeuMFRecommender
X = [[0, 0], [0, 1], [1, 1], [1, 2]]
def fit(n_factors=2):
    options = {"n_factors": n_factors, "epochs": 1, "random_state": 0}
    return NeuMFRecommender(architecture="gmf", **options).fit(X)
"""

WITHOUT_XLA = """
from neumf.training import program, trainer
trainer.compile_program = lambda plan, with_xla: program.compile_program(plan, with_xla=False)
"""


def run(code, with_xla=False, **options):
    options = {"capture_output": True, "text": True, "timeout": 600} | options
    start = FIT if with_xla else FIT + WITHOUT_XLA
    return subprocess.run([sys.executable, "-c", start + code], **options)


def test_training_prints_nothing_and_holds_nothing_back_that_others_log():
    """TensorFlow prints at most what it writes while loading, whatever the environment asks for."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    code = """
import os, threading, time
done = threading.Event()
counts = []
def log():
    while not done.is_set():
        os.write(2, f"line {len(counts)} of ours\\n".encode())
        counts.append(1)
        time.sleep(0.05)
thread = threading.Thread(target=log); thread.start()
for n in range(1, 5): fit(n).model_
done.set(); thread.join()
os.write(2, f"{len(counts)} lines".encode())
"""
    result = run(code, with_xla=True, env=environment, check=True)
    assert result.stdout == ""
    *lines, last = own_lines(result.stderr)
    assert lines == [f"line {n} of ours" for n in range(len(lines))]
    assert last == f"{len(lines)} lines"
    assert len(lines) > 10


@pytest.mark.parametrize("code", ["import sys; sys.stderr = None", "import os; os.close(2)"])
def test_training_works_without_a_terminal(code):
    run(f"{code}\nfit()", check=True)


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, None),
        ({"OMP_NUM_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "4,2"}, None),  # a number per level of nesting: not for TensorFlow
        ({"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "3"}, "3"),
    ],
)
def test_tensorflow_gets_the_threads_that_are_granted(monkeypatch, variables, threads):
    def first_computation(function, jit_compile):
        seen.append(os.environ.get("TF_NUM_INTRAOP_THREADS"))
        return lambda: None

    seen = []
    errors = SimpleNamespace(OpError=ZeroDivisionError)
    fake = SimpleNamespace(function=first_computation, errors=errors)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert import_tensorflow.__wrapped__() is fake
    assert seen == [threads]
    assert dict(os.environ) == before


# Forks

IN_FORKS = """
import os
def in_a_fork(function):
    child = os.fork()
    if not child:
        try:
            function()
        except BaseException as error:
            print(type(error).__name__, error)
        print(end="", flush=True)  # os._exit drops what a buffer still holds
        os._exit(0)
    os.waitpid(child, 0)
in_a_fork(lambda: print(len(fit().recommend(0)), "before"))
before = dict(os.environ)
model = fit()
changed = {k for k in os.environ.keys() | before if os.environ.get(k) != before.get(k)}
print(sorted(name for name in changed if name.startswith(("TF_CPP", "TF_NUM"))), flush=True)
in_a_fork(lambda: print(len(model.recommend(0)), "after"))
in_a_fork(fit)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_was_forked_before_may_fit_and_one_forked_after_may_only_recommend():
    """The first fit leaves the environment as it was; a fork would hand on what it left."""
    result = run(IN_FORKS, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    before, changed, after, refused = result.stdout.splitlines()
    assert before == "1 before"
    assert changed == "[]"
    assert after == "1 after"
    assert re.match(r"RuntimeError TensorFlow cannot be used .*'spawn' or .*'loky'", refused)
