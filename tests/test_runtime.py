import ctypes
import os
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from neumf import NeuMFRecommender
from neumf.training.held_back import messages_held_back
from neumf.training.runtime import import_tensorflow

FIT = """
from neumf import NeuMFRecommender
X = [[0, 0], [0, 1], [1, 1], [1, 2]]
def fit(n_factors=2):
    options = {"n_factors": n_factors, "epochs": 1, "recency": 0, "random_state": 0}
    return NeuMFRecommender(architecture="gmf", **options).fit(X)
"""

WITHOUT_XLA = """
from neumf.training import program, trainer
trainer.compile_program = lambda plan, with_xla: program.compile_program(plan, with_xla=False)
"""


def run(code, *arguments, with_xla=False, **options):
    options = {"capture_output": True, "text": True, "timeout": 600} | options
    start = FIT if with_xla else FIT + WITHOUT_XLA
    return subprocess.run([sys.executable, "-c", start + code, *arguments], **options)


WITHOUT_LEVEL = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


def test_nothing_is_printed_by_tensorflow_nor_in_child_processes(tmp_path):
    code = """
import multiprocessing, sys
from joblib import Parallel, delayed
from neumf import load
folder = sys.argv[1]
def keras_model(path):
    return str(load(path).model_.name)
for n in range(1, 5):  # TensorFlow warns of functions that it traces five times
    fit(n).model_
model = fit(); model.save(f"{folder}/m"); model.predict(X); model.export(f"{folder}/lists")
assert Parallel(2)([delayed(keras_model)(f"{folder}/m")]) == ["gmf"]
with multiprocessing.get_context("spawn").Pool(1) as pool:
    pool.apply(model.fit, (X,))
"""
    result = run(code, tmp_path, with_xla=True, env=WITHOUT_LEVEL, check=True)
    assert (result.stdout, result.stderr) == ("", "")


def test_other_threads_are_heard_during_the_first_fit():
    code = """
import ctypes, os, sys, threading, time
done = threading.Event()
def log():
    n = 0
    while not done.is_set():
        os.write(2, f"line {n} of ours\\n".encode())
        print(f"line {n} of ours", file=sys.stderr)
        ctypes.CDLL(None).perror(f"line {n} of ours".encode())  # C code writes to its own stderr
        n += 1
        time.sleep(0.05)
    print(n)
thread = threading.Thread(target=log); thread.start()
fit(); done.set(); thread.join()
"""
    result = run(code, with_xla=True, check=True, env=WITHOUT_LEVEL)
    assert result.stderr.count(" of ours") == 3 * int(result.stdout) > 30
    assert re.sub(r"line \d+ of ours|: Success|\s", "", result.stderr) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="writes as C code does on Linux")
@pytest.mark.parametrize(
    ("level", "heard"), [("3", ""), ("2", "E"), ("1", "WE"), ("0", "IWE"), ("", "IWE")]
)
def test_messages_are_held_back_by_their_level_and_thread(monkeypatch, capfd, level, heard):
    def write(thread):
        header = b"WARNING: All log messages before absl::InitializeLog() is called are written\n"
        lines = [b"%c0000 00:00:17.09 %7d port.cc:153] on\n" % (c, thread) for c in b"IWE"]
        library.fputs(header + b"".join(lines), ctypes.c_void_p.in_dll(library, "stderr"))

    library = ctypes.CDLL(None)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with messages_held_back():
        write(threading.get_native_id())
        os.write(2, b"now\n")
    lines = capfd.readouterr().err.splitlines()
    assert "".join(line[0] for line in lines if "port.cc" in line) == heard
    assert "now" in lines
    with messages_held_back():
        write(1)
    assert capfd.readouterr().err.count("port.cc") == 3
    write(threading.get_native_id())
    assert capfd.readouterr().err.count("port.cc") == 3


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stderr = None",
        "import io, os, sys; os.close(2); sys.stderr = io.StringIO()",
    ],
)
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


# Settings of TensorFlow and Keras

TRY = """
import tempfile
def error_of(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("works")
"""


def test_fit_works_under_a_setting_of_tensorflow_or_names_it():
    code = f"""{TRY}
import tensorflow as tf
tf.config.run_functions_eagerly(True)
error_of(fit)
tf.config.run_functions_eagerly(False)
model = fit()
def export():
    model.export(tempfile.mkdtemp() + "/lists")
def model_():
    model._model = None
    return model.model_
with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
    error_of(fit); error_of(model_); error_of(export); error_of(model.partial_fit, [[3, 0]])
tf.debugging.enable_check_numerics()
error_of(fit); error_of(model_); error_of(export)
tf.debugging.disable_check_numerics()
error_of(fit)
with tf.Graph().as_default():
    error_of(fit); error_of(export)
tf.function(lambda: error_of(fit), autograph=False)()
tf.compat.v1.disable_eager_execution()
error_of(fit); error_of(export); error_of(model.partial_fit, [[3, 0]]); error_of(model.recommend)
"""
    eager, mirrored, numerics = (
        "RuntimeError fit and export need TensorFlow's eager execution.*disable_eager_execution",
        "RuntimeError Training .* the scope of a MirroredStrategy. Call fit outside of ",
        r"RuntimeError .*\.enable_check_numerics\(\) .* call .*\.disable_check_numerics",
    )
    expected = [
        "works",
        *(mirrored, "works", "works", mirrored),
        *(numerics, "works", "works"),
        "works",
        *(eager, eager),
        eager,
        *(eager, eager, eager, "works"),
    ]
    lines = run(code, check=True).stdout.splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.match(pattern, line)


@pytest.mark.parametrize(
    ("backend", "fit", "model_"),
    [
        ("torch", "works", "ImportError model_ is a Keras .*torch.* KERAS_BACKEND, or .* not"),
        ("foo", *(2 * ["RuntimeError TensorFlow cannot be .* Keras: .*foo.* KERAS_BACKEND"])),
    ],
)
def test_another_backend_of_keras_works_or_is_named(backend, fit, model_, tmp_path):
    model = NeuMFRecommender(architecture="gmf", n_factors=2, epochs=1)
    model.fit([[0, 0], [0, 1], [1, 2]]).save(tmp_path / "model")
    code = f"""{TRY}
import sys, neumf
sys.modules["torch"] = None
error_of(fit)
model = neumf.load(sys.argv[1])
error_of(lambda: model.model_)
"""
    environment = os.environ | {"KERAS_BACKEND": backend}
    lines = run(code, tmp_path / "model", check=True, env=environment).stdout.splitlines()
    assert re.match(fit, lines[0])
    assert re.match(model_, lines[1])


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
    assert re.match(r"RuntimeError TensorFlow would wait for ever .*'spawn' or .*'loky'", refused)
