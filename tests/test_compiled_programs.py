"""A run that compiles more training programs than it may fails, though its tests pass."""

from functools import lru_cache
from types import SimpleNamespace

import compiled_programs
import pytest
from compiled_programs import CompiledPrograms

from neumf.training import trainer

TESTS = """
import pytest
from neumf.training import trainer

@pytest.mark.parametrize("plan", {plans})
def test_a_plan_is_compiled(plan):
    assert trainer.compile_program(plan, with_xla=True) == [plan, False]
"""


@pytest.fixture(autouse=True)
def _three_programs_at_most(monkeypatch):
    """Compile nothing, and allow three programs."""
    monkeypatch.setattr(trainer, "compile_program", None)  # the plugin sets another one
    program = lru_cache(lambda plan, with_xla: [plan, with_xla])
    monkeypatch.setattr(compiled_programs, "compile_program", program)
    monkeypatch.setattr(compiled_programs, "MOST_PROGRAMS", 3)


@pytest.mark.parametrize(
    ("plans", "expected", "line"),
    [
        ([1, 2, 2, 3], pytest.ExitCode.OK, "compiled: 3, with XLA: 0\n"),
        ([1, 2, 3, 4], pytest.ExitCode.TESTS_FAILED, "XLA: 0, at most 3 are allowed\n"),
    ],
)
def test_too_many_programs_fail_a_run_whose_tests_pass(plans, expected, line, tmp_path, capsys):
    (tmp_path / "pytest.ini").write_text("[pytest]")
    # Python has one module of a name.
    (tmp_path / f"test_{len(set(plans))}_plans.py").write_text(TESTS.format(plans=plans))
    options = [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "xdist")]
    options.append("--import-mode=importlib")
    status = pytest.main([*options, str(tmp_path)], plugins=[CompiledPrograms()])
    assert status == expected
    output = capsys.readouterr().out
    assert "4 passed" in output
    assert line in output


@pytest.mark.parametrize(("plans", "expected"), [([1, 2], 0), ([1, 2, 3], 1)])
def test_programs_of_all_workers_are_counted(plans, expected):
    whole = CompiledPrograms()
    for own_plans in (plans, [7]):
        worker = CompiledPrograms()
        for plan in own_plans:
            worker.compile(plan, with_xla=False)
        output = {}
        worker.pytest_sessionfinish(SimpleNamespace(config=SimpleNamespace(workeroutput=output)))
        whole.pytest_testnodedown(SimpleNamespace(workeroutput=output))
        compiled_programs.compile_program.cache_clear()  # of another process
    session = SimpleNamespace(config=SimpleNamespace(), exitstatus=pytest.ExitCode.OK)
    whole.pytest_sessionfinish(session)
    assert session.exitstatus == expected
