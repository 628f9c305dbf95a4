"""Delay Ctrl-C during training until TensorFlow does not run.

An exception inside TensorFlow's Python code may end the process or become a SystemError.
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
    """A signal handler that stores the signal for the original handler."""

    handler: Callable[[int, Any], Any]
    noted: bool = False

    def __call__(self, number: int, frame: Any) -> None:
        self.noted = True

    def pass_on(self) -> None:
        """Call the original handler if a signal came; Python's raises KeyboardInterrupt."""
        if self.noted:
            self.noted = False
            self.handler(signal.SIGINT, sys._getframe())


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """Delay Ctrl-C in this block, until `raise_noted` or the end of the block.

    Python calls handlers in the main thread only, so the block has no effect in other threads.
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
    """Call the original handler if Ctrl-C was pressed; Python's raises KeyboardInterrupt."""
    note = signal.getsignal(signal.SIGINT)
    if isinstance(note, _Note) and threading.current_thread() is threading.main_thread():
        note.pass_on()
