"""The process that numbers events, one among all web workers, and the readers that run beside it.

Who holds an advisory lock on its direct connection is the sequencer; another worker takes it within a second of its
death. Numbering is correct without the lock (events/log.py): it only saves the others the work.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from forumapi.db import Connection, Query
from forumapi.errors import ApiError
from forumapi.events import log
from forumapi.log import logger

# One number for every node of every release.
LOCK: Final = 7_205_159_403_792_795
# How long numbering may take after a long time without any sequencer.
_LIMIT_MS: Final = 120_000

TRY = Query("events.try", "SELECT pg_try_advisory_lock(%(lock)s)")
NOTIFY: Final = b"NOTIFY forumapi_events"
LISTEN: Final = b"LISTEN forumapi_events"


class Sequencer:
    """The thread of one web worker that numbers events, or stands by. `numbered` is called after new numbers were
    committed. `url` is the direct address of the database."""

    POLL_S: Final = 0.25  # behind the hints, which may get lost
    TAKE_S: Final = 1.0  # how often the lock is tried
    DEBOUNCE_S: Final = 0.01  # writes within it are numbered together

    def __init__(self, url: str, numbered: Callable[[], None]) -> None:
        self._url = url
        self._numbered = numbered
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._hinted = False
        self._wake: tuple[int, int] | None = None
        self.leads = False

    def start(self) -> None:
        """Work in the background until `stop`."""
        if self._thread is None:
            self._stopping.clear()
            self._wake = os.pipe()
            for end in self._wake:
                os.set_blocking(end, False)
            self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; its lock goes with its connection."""
        if self._thread is not None:
            self._stopping.set()
            self._ring()
            self._thread.join(timeout=2)
            self._thread = None
        if self._wake is not None:
            wake, self._wake = self._wake, None
            for end in wake:
                os.close(end)

    def hint(self) -> None:
        """Something was committed: number it now rather than at the next look. Costs no round trip."""
        if not self._hinted:
            self._hinted = True
            self._ring()

    def _ring(self) -> None:
        if self._wake is not None:
            # A full pipe wakes as well.
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake[1], b"1")

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection: Connection | None = None
            try:
                connection = Connection(self._url, prepare=False, timeout_s=_LIMIT_MS / 1000 + 1)
                connection.command(f"SET statement_timeout = {_LIMIT_MS}".encode())
                self._work(connection)
            except (psycopg.Error, ApiError, OSError) as error:
                if not self._stopping.is_set():
                    logger.warning("events are not numbered here, will try again: %s", error)
            finally:
                self.leads = False
                if connection is not None:
                    connection.close()
            if not self._stopping.is_set():
                self._stopping.wait(self.TAKE_S)

    def _work(self, connection: Connection) -> None:
        tried = -self.TAKE_S
        while not self._stopping.is_set():
            if not self.leads and time.monotonic() - tried >= self.TAKE_S:
                tried = time.monotonic()
                self._take(connection)
            was_hinted = self._wait(connection, self.POLL_S if self.leads else self.TAKE_S)
            if self._stopping.is_set():
                return
            if self.leads:
                if log.number(connection):
                    self._numbered()
            elif was_hinted:
                connection.command(NOTIFY)

    def _take(self, connection: Connection) -> None:
        rows, _ = connection.execute(TRY, {"lock": LOCK})
        if rows[0][0]:
            connection.command(LISTEN)
            self.leads = True
            logger.info("events are numbered here")

    def _wait(self, connection: Connection, timeout_s: float) -> bool:
        """Until a hint of this process or another, or the time is up; whether it was one of this process."""
        if self._wake is None:
            return False
        ready, _, _ = select.select([connection.socket, self._wake[0]], [], [], timeout_s)
        if connection.socket in ready:
            connection.was_notified()
        if self._wake[0] not in ready or self._stopping.is_set():
            return False
        time.sleep(self.DEBOUNCE_S)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake[0], 4096)
        self._hinted = False
        return True
