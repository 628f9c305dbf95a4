import threading
import time

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from neumf.utils import threads as _threads
from neumf.utils.threads import map_threads


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(params=[1, 3])
def n_threads(request, monkeypatch):
    monkeypatch.setattr(_threads, "_count_threads", lambda: request.param)
    return request.param


def test_results_come_in_order_whoever_ends_first(n_threads):
    def wait(part):
        time.sleep(0.002 * (part % 3))
        return part**2

    assert list(map_threads(wait, range(20))) == [part**2 for part in range(20)]


def test_parts_are_computed_by_as_many_threads_as_there_are(n_threads):
    together = threading.Barrier(n_threads, timeout=30)

    threads = set(map_threads(lambda _: together.wait() >= 0 and threading.get_ident(), range(6)))

    assert len(threads) == n_threads


def test_few_results_are_held_at_once(n_threads):
    n_started = []
    results = map_threads(n_started.append, range(100))

    next(results)

    assert len(n_started) <= n_threads + 2
    results.close()


def test_no_parts_have_no_results(n_threads):
    assert list(map_threads(np.sqrt, [])) == []


def test_an_error_reaches_the_caller(n_threads):
    def fail(part):
        if part == 2:
            raise ValueError("part 2 fails")
        return part

    results = map_threads(fail, range(9))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="part 2 fails"):
        list(results)


def test_blas_computes_in_one_thread_meanwhile_and_in_as_many_as_before_afterwards(n_threads):
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        within = list(map_threads(lambda _: blas_threads(), range(7)))

        assert set.union(*within) <= {1}
        assert blas_threads() == before


def test_a_limit_of_one_blas_thread_is_not_set_again(monkeypatch):
    with threadpool_limits(1, "blas"):
        monkeypatch.delattr(ThreadpoolController, "limit")

        assert list(map_threads(lambda _: blas_threads(), range(3))) == [{1}] * 3


def test_calls_from_several_threads_leave_blas_as_it_was():
    def call():
        list(map_threads(lambda _: time.sleep(1e-4), range(20)))

    before = blas_threads()
    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert blas_threads() == before


@pytest.mark.parametrize(("granted", "n_threads"), [("1", 1), ("64", 4), ("", 4), ("0", 1)])
def test_a_process_keeps_to_the_threads_that_it_is_granted(monkeypatch, granted, n_threads):
    monkeypatch.setattr(_threads.joblib, "cpu_count", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", granted)

    assert _threads._count_threads() == n_threads
