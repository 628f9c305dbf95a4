"""Ctrl-C during training: noted, and raised where TensorFlow does not run.

An exception within TensorFlow's Python code may end the process, or turn into a SystemError.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class _Note:
    """A signal handler that keeps the signal for the handler that was set before."""

    handler: Callable[[int, Any], Any]
    noted: bool = False

    def __call__(self, number: int, frame: Any) -> None:
        self.noted = True

    def pass_on(self) -> None:
        """Call the handler if a signal came; Python's own raises KeyboardInterrupt."""
        if self.noted:
            self.noted = False
            self.handler(signal.SIGINT, sys._getframe())


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """Note Ctrl-C in this block; its handler is called by `raise_noted`, or after the block.

    Python calls handlers in the main thread alone, so nothing changes in others.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    note = _Note(handler)
    try:
        signal.signal(signal.SIGINT, note)
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        note.pass_on()


def raise_noted() -> None:
    """Raise KeyboardInterrupt, or do what else the handler does, if Ctrl-C was noted."""
    note = signal.getsignal(signal.SIGINT)
    if isinstance(note, _Note) and threading.current_thread() is threading.main_thread():
        note.pass_on()
