"""Count the training programs that a test run compiles, and compile most of them without XLA.

XLA takes 2 to 3 seconds of a core for a program. TensorFlow takes a fifth of that without it, and
the weights are the same but for rounding.
"""

import pytest

from neumf.training import trainer
from neumf.training.program import compile_program

# More programs than this in one run fail the run: give a new test the network of another one.
MOST_PROGRAMS = 10**6


class CompiledPrograms:
    """A plugin of pytest: tests marked `xla` compile with XLA, all others without it."""

    def __init__(self):
        self._with_xla = False
        self.n_with_xla = 0
        self.n_without_xla = 0

    def compile(self, plan, with_xla):
        with_xla = with_xla and self._with_xla
        n_before = compile_program.cache_info().misses
        program = compile_program(plan, with_xla=with_xla)
        n_new = compile_program.cache_info().misses - n_before
        if with_xla:
            self.n_with_xla += n_new
        else:
            self.n_without_xla += n_new
        return program

    def pytest_configure(self):
        trainer.compile_program = self.compile

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        self._with_xla = item.get_closest_marker("xla") is not None

    def pytest_sessionfinish(self, session):
        """Send the counts of a worker of pytest-xdist to the process that reports them."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["n_programs"] = (self.n_with_xla, self.n_without_xla)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        n_with_xla, n_without_xla = getattr(node, "workeroutput", {}).get("n_programs", (0, 0))
        self.n_with_xla += n_with_xla
        self.n_without_xla += n_without_xla

    def pytest_terminal_summary(self, terminalreporter):
        n, n_xla = self.n_with_xla + self.n_without_xla, self.n_with_xla
        terminalreporter.write_line(f"{n} training programs compiled, {n_xla} of them with XLA")
