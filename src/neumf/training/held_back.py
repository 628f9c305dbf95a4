"""Suppress TensorFlow's log messages while its libraries load, before its log level works."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A line of TensorFlow's log: level, date, time, thread id, source line.
_LOGGED = re.compile(rb"([IWEF])\d{4} [\d:.]+ +(\d+) \S+:\d+\] |WARNING: All log messages before ")

_lock = threading.Lock()


@contextmanager
def messages_held_back() -> Iterator[None]:
    """Suppress TensorFlow's messages in this thread below TF_CPP_MIN_LOG_LEVEL.

    TensorFlow writes to the C library's variable `stderr`, which the block replaces. Python writes
    to the file descriptor, which stays the same. Other lines that C code writes are printed at the
    end of the block.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "")
    silent = b"IWE"[: int(level)] if level.isdigit() else b""
    name = {"linux": "stderr", "darwin": "__stderrp"}.get(sys.platform)
    if not silent or not name:
        yield
        return
    c = ctypes.CDLL(None)
    c.open_memstream.restype = ctypes.c_void_p
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    with _lock:
        stderr = ctypes.c_void_p.in_dll(c, name)
        before = stderr.value
        # This stream is never closed: another thread may still write to it.
        stream = c.open_memstream(ctypes.byref(text), ctypes.byref(size))
        stderr.value = stream or before
        try:
            yield
        finally:
            stderr.value = before
            c.fflush(ctypes.c_void_p(stream))
            written = ctypes.string_at(text, size.value) if text else b""
            if rest := b"".join(_lines_of_others(written, silent)):
                c.fwrite(rest, 1, ctypes.c_size_t(len(rest)), ctypes.c_void_p(before))
                c.fflush(ctypes.c_void_p(before))


def _lines_of_others(text: bytes, silent: bytes) -> Iterator[bytes]:
    """Yield all lines except TensorFlow's messages in this thread at these levels."""
    own = b"%d" % threading.get_native_id()
    for line in text.splitlines(keepends=True):
        found = _LOGGED.match(line)
        if not found or (found[2] or own) != own or (found[1] or silent) not in silent:
            yield line
