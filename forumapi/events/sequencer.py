"""Sequencer: the thread of one web worker that numbers committed events. The same worker runs the readers.

It is the worker that holds the lease `events` (lease.py). Another takes over within about a second of its end, and
within five seconds if it is frozen. Numbers would be right from any number of processes (event_log.py): the lease
spares them the work, and keeps a frozen process from blocking the others.
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

from forumapi.database.connections import Connection, Transaction
from forumapi.errors import ApiError
from forumapi.events import event_log
from forumapi.events.lease import TRY_S, Lease, LostError
from forumapi.observability.log import logger

# Time limit of numbering, after a long time without any sequencer too.
_LIMIT_MS: Final = 120_000

NOTIFY: Final = b"NOTIFY forumapi_events"
LISTEN: Final = b"LISTEN forumapi_events"


class Sequencer:
    """Thread of a web worker that numbers events while the worker holds the lease, and stands by while another worker
    does.

    `numbered()` is called after this worker has committed numbers, `heard()` after another has. `url`: direct address
    of the database.
    """

    POLL_S: Final = 0.25  # behind the hints, which may get lost
    DEBOUNCE_S: Final = 0.01  # writes within it are numbered together

    def __init__(
        self, url: str, numbered: Callable[[], None], heard: Callable[[], None] = lambda: None
    ) -> None:
        self._url = url
        self._numbered = numbered
        self._heard = heard
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._hinted = False
        self._wake: tuple[int, int] | None = None
        self._lease = Lease("events", url)

    @property
    def leads(self) -> bool:
        """Return True if this process holds the lease, and so numbers the events; the database is not asked."""
        return self._lease.holds()

    def hold(self, tx: Transaction) -> None:
        """Tie an open transaction to this process's term, so that it commits before another worker's begins, or never.
        Raises LostError if that term is over.
        """
        self._lease.hold(tx)

    def start(self) -> None:
        """Start the thread, which numbers events or stands by until `stop`; do nothing if it runs."""
        if self._thread is None:
            self._stopping.clear()
            self._wake = os.pipe()
            for end in self._wake:
                os.set_blocking(end, False)
            self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have the thread give the lease back and end, and wait two seconds at most until it has ended. Do nothing if
        no thread runs.
        """
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
        """Wake the thread, which numbers events or notifies the worker that does, since a transaction was committed;
        costs no round trip here, and waits for nothing.
        """
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
                self._lease.release()
                if connection is not None:
                    connection.close()
            self._stopping.wait(TRY_S)

    def _work(self, connection: Connection) -> None:
        tried = -TRY_S
        led = False
        connection.command(b"LISTEN " + event_log.NUMBERED)
        while not self._stopping.is_set():
            if not led and time.monotonic() - tried >= TRY_S:
                tried = time.monotonic()
                led = self._take(connection)
            was_hinted = self._wait(connection, self.POLL_S if led else TRY_S)
            if self._stopping.is_set():
                return
            if led:
                if not self.leads:
                    raise LostError
                if event_log.number(connection, self._lease):
                    self._numbered()
            elif was_hinted:
                connection.command(NOTIFY)

    def _take(self, connection: Connection) -> bool:
        if not self._lease.take():
            return False
        # Notifications of its own numbers are dropped.
        connection.command(b"UNLISTEN " + event_log.NUMBERED)
        connection.command(LISTEN)
        logger.info("events are numbered here")
        return True

    def _wait(self, connection: Connection, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds for a call of `hint` in this process or a notification on `connection`; return
        True for the former alone, DEBOUNCE_S later, else False. Calls `heard` if another worker notifies that it has
        committed numbers.
        """
        if self._wake is None:
            return False
        ready, _, _ = select.select([connection.socket, self._wake[0]], [], [], timeout_s)
        if connection.socket in ready and any(
            channel == event_log.NUMBERED for channel, _ in connection.notifications()
        ):
            self._heard()
        if self._wake[0] not in ready or self._stopping.is_set():
            return False
        time.sleep(self.DEBOUNCE_S)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake[0], 4096)
        self._hinted = False
        return True
