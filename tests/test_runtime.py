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
    options = {"capture_output": True, "text": True, "timeout": 120} | options
    start = FIT if with_xla else FIT + WITHOUT_XLA
    return subprocess.run([sys.executable, "-c", start + code], **options)


def test_tensorflow_prints_what_it_writes_while_loading_at_most():
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    code = "for n in range(1, 5): fit(n).model_"
    result = run(code, with_xla=True, env=environment, check=True)
    assert result.stdout == ""
    assert own_lines(result.stderr) == []


def test_what_others_log_during_the_first_fit_is_not_held_back():
    code = """
import os, threading, time
done = threading.Event()
def log():
    n = 0
    while not done.is_set():
        os.write(2, f"line {n} of ours\\n".encode())
        n += 1
        time.sleep(0.05)
    print(n)
thread = threading.Thread(target=log); thread.start()
fit(); done.set(); thread.join()
"""
    result = run(code, with_xla=True, check=True)
    assert result.stderr.count(" of ours\n") == int(result.stdout) > 10


@pytest.mark.parametrize("code", ["import sys; sys.stderr = None", "import os; os.close(2)"])
def test_training_works_without_a_terminal(code):
    run(f"{code}\nfit()", check=True)


def test_the_environment_is_left_as_it_was():
    code = (
        "import os\n"
        "from neumf.training.runtime import import_tensorflow\n"
        "before = dict(os.environ); import_tensorflow()\n"
        "assert {k for k in os.environ if k.startswith(('TF_CPP', 'TF_NUM'))} <= set(before)"
    )
    run(code, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


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

IN_A_FORK = """
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
"""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_a_fit_in_a_process_forked_after_tensorflow_has_run_is_refused():
    result = run(f"{IN_A_FORK}\nfit(); in_a_fork(fit)", check=True)
    assert re.match(r"RuntimeError TensorFlow cannot be used .*'spawn' or .*'loky'", result.stdout)


@needs_fork
def test_a_process_forked_before_may_fit():
    result = run(f"{IN_A_FORK}\nin_a_fork(lambda: print(len(fit().recommend(0))))", check=True)
    assert result.stdout == "1\n"


@needs_fork
def test_a_forked_process_may_recommend():
    code = f"{IN_A_FORK}\nmodel = fit(); in_a_fork(lambda: print(len(model.recommend(0))))"
    assert run(code, check=True).stdout == "1\n"
