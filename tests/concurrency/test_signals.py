"""Signals reach our processes wherever these are."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from forumapi.concurrency import signals


@pytest.fixture
def before() -> Iterator[None]:
    """Return what the signal did before it does again."""
    handler = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, handler)


@pytest.mark.usefixtures("before")
def test_a_signal_may_come_while_the_lock_is_held_that_its_answer_waits_for() -> None:
    lock, done = threading.Lock(), threading.Event()

    def act() -> None:
        with lock:
            done.set()

    signals.on(signal.SIGUSR1, act)
    with lock:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not done.is_set()

    assert done.wait(30)
