"""Count the training programs that a test run compiles, and compile most of them without XLA.

XLA takes 2 to 3 seconds of a core for a program, TensorFlow without it half a second, and the
weights are equal but for rounding.
"""

import pytest

from neumf.training import trainer
from neumf.training.program import compile_program

# A run that compiles more fails: give a new test the network of another one.
MOST_PROGRAMS = 280


class CompiledPrograms:
    """A plugin of pytest: tests marked `xla` compile with XLA, all others without it."""

    def __init__(self):
        self._with_xla = False
        self._counts = {True: 0, False: 0}  # by whether with XLA

    def compile(self, plan, with_xla):
        with_xla = with_xla and self._with_xla
        n_before = compile_program.cache_info().misses
        program = compile_program(plan, with_xla=with_xla)
        self._counts[with_xla] += compile_program.cache_info().misses - n_before
        return program

    def pytest_configure(self):
        trainer.compile_program = self.compile

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        self._with_xla = item.get_closest_marker("xla") is not None

    def pytest_sessionfinish(self, session):
        """Send the counts from a worker of pytest-xdist to the process that reports them."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["n_programs"] = [self._counts[True], self._counts[False]]
        elif self._has_too_many() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        counts = getattr(node, "workeroutput", {}).get("n_programs", [0, 0])
        for with_xla, count in zip((True, False), counts, strict=True):
            self._counts[with_xla] += count

    def pytest_terminal_summary(self, terminalreporter):
        limit = f", at most {MOST_PROGRAMS} are allowed" if self._has_too_many() else ""
        n, n_xla = sum(self._counts.values()), self._counts[True]
        terminalreporter.write_line(f"training programs compiled: {n}, with XLA: {n_xla}{limit}")

    def _has_too_many(self):
        return sum(self._counts.values()) > MOST_PROGRAMS
