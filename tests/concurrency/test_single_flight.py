"""Work that many ask for at once is done once, and never with something seen before one of them asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import Database, Reader

# What nobody connects to: these tests run no statement.
DATABASE = Database("postgresql://nowhere")


class Work:
    """Work that ends when it is told to; each run returns its number."""

    def __init__(self) -> None:
        self.runs = 0
        self.began = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def __call__(self) -> int:
        self.runs += 1
        number = self.runs
        self.began.release()
        assert self.may_end.acquire(timeout=10)
        return number


class Waiting(Reader):
    """A reader that says when it begins to wait for others."""

    def __init__(self) -> None:
        super().__init__(DATABASE)
        self.waits = threading.Event()

    def end(self) -> None:
        super().end()
        self.waits.set()


def wait(
    pool: ThreadPoolExecutor,
    single_flight: SingleFlight,
    work: Callable[[], int],
    key: str = "page",
) -> Future[int]:
    """A request that waits for others by now."""
    reader = Waiting()
    future = pool.submit(single_flight.do, key, reader, work)
    assert reader.waits.wait(10)
    return future


def test_all_who_ask_while_it_runs_get_the_next_run() -> None:
    single_flight, work = SingleFlight(), Work()
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(single_flight.do, "page", DATABASE.read(), work)
        assert work.began.acquire(timeout=10)
        others = [wait(pool, single_flight, work) for _ in range(9)]

        assert work.runs == 1
        work.may_end.release(2)

        assert first.result(10) == 1
        assert [one.result(10) for one in others] == [2] * 9
    assert work.runs == 2
    # Nothing is kept.
    work.may_end.release()
    assert single_flight.do("page", DATABASE.read(), work) == 3


def test_other_keys_do_not_wait_for_each_other() -> None:
    single_flight, work = SingleFlight(), Work()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(single_flight.do, key, DATABASE.read(), work) for key in ("a", "b")]
        for _ in both:
            assert work.began.acquire(timeout=10)
        work.may_end.release(2)
        assert {one.result(10) for one in both} == {1, 2}


def test_a_transaction_works_for_itself() -> None:
    single_flight, work = SingleFlight(), Work()
    with ThreadPoolExecutor(1) as pool, DATABASE.write() as tx:
        other = pool.submit(single_flight.do, "page", DATABASE.read(), work)
        assert work.began.acquire(timeout=10)
        assert single_flight.do("page", tx, lambda: 77) == 77
        work.may_end.release()
        assert other.result(10) == 1


def test_a_failure_is_the_failure_of_one() -> None:
    single_flight, work = SingleFlight(), Work()
    failing = threading.Event()

    def fail() -> int:
        work()
        failing.set()
        raise LookupError

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(single_flight.do, "page", DATABASE.read(), work)
        assert work.began.acquire(timeout=10)
        second = wait(pool, single_flight, fail)
        others = [wait(pool, single_flight, work) for _ in range(2)]
        work.may_end.release(4)

        assert first.result(10) == 1
        with pytest.raises(LookupError):
            second.result(10)
        assert failing.is_set()
        assert {one.result(10) for one in others} == {3, 4}
