"""Base class of background threads that poll for work."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import ClassVar

import psycopg

from forumapi.errors import ApiError
from forumapi.observability.log import logger


class PollingThread(ABC):
    """Base class of threads that call `poll` whenever they are woken (`wake`), and `poll_s` seconds after the last poll
    anyway, from `start` to `stop`.

    `name`: the thread's; `poll_s`: None for POLL_S of the class; `failure`: sentence that the log shows, with the
    error, when `poll` has raised one; the next poll tries again.
    """

    POLL_S: ClassVar[float] = 1.0

    def __init__(self, name: str, failure: str, poll_s: float | None = None) -> None:
        self._name = name
        self._failure = failure
        self._poll_s = self.POLL_S if poll_s is None else poll_s
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def poll(self) -> None:
        """Do all work that is due; a subclass must define it. What it raises is logged, an ApiError or psycopg.Error as
        a warning, any other error with its stack; the thread then goes on.
        """

    def pause_s(self, took_s: float) -> float:
        """Return the pause in seconds after a poll that took `took_s`, which `wake` does not shorten, but `stop` ends:
        0 here; a subclass may want one.
        """
        return 0.0

    @property
    def is_stopping(self) -> bool:
        """Return True once `stop` was called: `poll` then begins no further work."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Start the thread; the first poll comes after `poll_s`, or when the thread is woken. Does nothing if it is
        started.
        """
        if self._thread is None:
            # Events of its own: a thread that was stopped ends, also if the next one begins before it notices.
            self._stopping = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping, self._wake), name=self._name, daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, without waiting for it: a running poll finishes, or is cut off with the process, and
        its work must bear that.
        """
        self._stopping.set()
        ending, self._wake = self._wake, threading.Event()
        ending.set()
        self._thread = None

    def wake(self) -> None:
        """Have the thread poll at once rather than after `poll_s`, or once more after a running poll and its pause.
        Returns without waiting for the poll. Before `start`, the first poll comes at once.
        """
        self._wake.set()

    def _run(self, stopping: threading.Event, wake: threading.Event) -> None:
        while True:
            wake.wait(self._poll_s)
            wake.clear()
            if stopping.is_set():
                return
            began = time.monotonic()
            try:
                self.poll()
            except (ApiError, psycopg.Error) as error:
                logger.warning("%s, will try again: %s", self._failure, error)
            except Exception:  # noqa: BLE001 - the edge of a thread: it polls again, whatever it was
                logger.exception("%s, will try again", self._failure)
            stopping.wait(self.pause_s(time.monotonic() - began))
