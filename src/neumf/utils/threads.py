"""Process parts of the data in parallel, in threads.

Each thread uses one thread of BLAS. Several BLAS threads wait for each other at every small
product; if other work keeps a core busy, the wait costs several times the product itself.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any, TypeVar

import joblib
from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Result = TypeVar("Result")

_limiting = Lock()


def map_threads(function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Call a function for each part, in threads; yield the results in order.

    Only a few results are in memory at once. There is one thread per core, but at most
    OMP_NUM_THREADS, which joblib sets in its processes.
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
    """Limit BLAS to one thread; only the first of simultaneous calls sets and resets the limit."""
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        blas = _controller()
        # Setting the limit takes a tenth of the time of a list for one user.
        is_one = all(library.num_threads == 1 for library in blas.lib_controllers)
        with nullcontext() if is_one else blas.limit(limits=1):
            yield
    finally:
        _limiting.release()


@cache
def _controller() -> Any:
    """Return the controller of BLAS threads; cached, since the search for libraries is slow."""
    return ThreadpoolController().select(user_api="blas")


def _count_threads() -> int:
    granted = os.environ.get("OMP_NUM_THREADS", "")
    n_cores: int = joblib.cpu_count()
    return max(1, min(n_cores, int(granted))) if granted.isdigit() else n_cores
