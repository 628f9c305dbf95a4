"""Work on parts of the data side by side, in threads.

Each thread uses one thread of BLAS: BLAS's own threads wait for each other at every small product,
which costs several times the product itself where other work keeps a core busy.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Result = TypeVar("Result")

_limiting = Lock()


def map_threads(function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield the result of a function for each part, in order; a few are held at once.

    There is one thread per core, or per core of the share that joblib grants a process by
    OMP_NUM_THREADS.
    """
    parts = list(parts)
    n_threads = _count_threads() if len(parts) > 1 else 1
    with one_blas_thread():
        if n_threads == 1:
            yield from map(function, parts)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            waiting: deque[Future[Result]] = deque()
            for part in parts:
                waiting.append(pool.submit(function, part))
                if len(waiting) > n_threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS compute in the calling thread alone; one call at a time sets the process's limit."""
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting.release()


@cache
def _controller() -> Any:
    """Return the controller of the loaded libraries' threads; to find them takes a while."""
    return ThreadpoolController()


def _count_threads() -> int:
    granted = os.environ.get("OMP_NUM_THREADS", "")
    n_cores: int = joblib.cpu_count()
    return max(1, min(n_cores, int(granted))) if granted.isdigit() else n_cores
