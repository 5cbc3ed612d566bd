"""A background thread looks when it is woken, outlives what fails, and ends when it is told to."""

from __future__ import annotations

import queue
import threading

import psycopg
import pytest

from forumapi.concurrency.background_thread import PollingThread
from forumapi.errors import Unavailable


class Looking(PollingThread):
    """Says each time that it looks, then fails with the next of `faults`."""

    POLL_S = 3600.0

    def __init__(self, *faults: Exception) -> None:
        super().__init__("looking", "nothing is seen")
        self.faults = list(faults)
        self.looks: queue.Queue[threading.Thread] = queue.Queue()

    def poll(self) -> None:
        self.looks.put(threading.current_thread())
        if self.faults:
            raise self.faults.pop(0)

    def woken(self) -> threading.Thread:
        """The thread that looks when it is woken."""
        self.wake()
        return self.looks.get(timeout=20)


def test_what_fails_is_tried_again_by_the_same_thread() -> None:
    looking = Looking(Unavailable("away"), psycopg.DataError("odd"), ValueError("odd"))
    looking.start()
    looking.start()

    threads = {looking.woken() for _ in range(4)}

    looking.stop()
    assert len(threads) == 1
    assert looking.looks.empty()


def test_it_ends_without_looking_again_and_can_be_started_anew() -> None:
    looking = Looking()
    looking.start()
    first = looking.woken()

    looking.stop()
    first.join(timeout=20)

    assert looking.is_stopping
    assert not first.is_alive()
    assert looking.looks.empty()
    looking.start()
    assert looking.woken() is not first
    looking.stop()


def test_a_thread_that_was_stopped_ends_though_another_starts_at_once() -> None:
    before = set(threading.enumerate())
    looking = Looking()
    looking.start()
    (first,) = (one for one in set(threading.enumerate()) - before if one.name == "looking")

    looking.stop()
    looking.start()

    first.join(5)
    assert not first.is_alive()
    looking.stop()


def test_a_thread_that_was_stopped_shares_no_wake_with_the_next() -> None:
    polling, may_end = threading.Event(), threading.Event()

    class Slow(Looking):
        """Polls until it may end."""

        def poll(self) -> None:
            super().poll()
            polling.set()
            may_end.wait(20)

    slow = Slow()
    slow.start()
    first = slow.woken()
    assert polling.wait(20)

    slow.stop()
    slow.start()
    # That the first must end is nothing for the second to poll for.
    with pytest.raises(queue.Empty):
        slow.looks.get(timeout=0.1)
    may_end.set()
    first.join(5)

    assert not first.is_alive()
    assert slow.woken() is not first
    slow.stop()


def test_a_wake_before_the_start_is_for_the_first_poll() -> None:
    looking = Looking()
    looking.start()
    looking.stop()
    looking.wake()
    assert looking.looks.empty()

    looking.start()

    assert looking.looks.get(timeout=20) is not threading.current_thread()
    looking.stop()
