"""Receiver of PostgreSQL's notifications of new events and of presence, in a thread of each process with live
listeners.

A notification is only a hint: the thread of `live_service` then queries the database, which it does at an interval
anyway. So a lost notification, or the end of this thread, costs only time.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable
from typing import Final

import psycopg

from forumapi.database.connections import Connection
from forumapi.errors import ApiError
from forumapi.events.event_log import NUMBERED
from forumapi.observability.log import logger

# Channel on which processes exchange presence; nothing depends on delivery.
PRESENCE: Final = b"forumapi_presence"


class Listener:
    """Thread that calls `heard()` after events were numbered and whenever it has connected, and `told(text)` for each
    presence message (JSON) of any process, this one included.

    `url`: direct address of the database, over which it keeps a connection of its own.
    """

    AGAIN_S: Final = 1.0  # wait after a failure
    IDLE_S: Final = 30.0  # silence after which the connection is tested

    def __init__(self, url: str, heard: Callable[[], None], told: Callable[[bytes], None]) -> None:
        self._url = url
        self._heard = heard
        self._told = told
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] | None = None

    def start(self) -> None:
        """Start the thread, which listens until `stop`; do nothing if it runs."""
        if self._thread is None:
            self._stopping.clear()
            self._wake = os.pipe()
            self._thread = threading.Thread(target=self._run, name="listen", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, waiting two seconds at most; nothing if none runs."""
        if self._thread is not None and self._wake is not None:
            self._stopping.set()
            os.write(self._wake[1], b"1")
            self._thread.join(timeout=2)
            self._thread = None
            wake, self._wake = self._wake, None
            for end in wake:
                os.close(end)

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection: Connection | None = None
            try:
                connection = Connection(self._url, prepare=False, timeout_s=5)
                connection.command(b"LISTEN " + NUMBERED)
                connection.command(b"LISTEN " + PRESENCE)
                self._heard()
                self._listen(connection)
            except (psycopg.Error, ApiError, OSError) as error:
                if not self._stopping.is_set():
                    logger.warning("no notifications of new events, polling instead: %s", error)
            finally:
                if connection is not None:
                    with contextlib.suppress(psycopg.Error, OSError):
                        connection.close()
            self._stopping.wait(self.AGAIN_S)

    def _listen(self, connection: Connection) -> None:
        assert self._wake is not None
        while not self._stopping.is_set():
            sockets = [connection.socket, self._wake[0]]
            ready, _, _ = select.select(sockets, [], [], self.IDLE_S)
            if self._stopping.is_set():
                return
            if not ready:
                connection.command(b"SELECT 1")
                continue
            found = connection.notifications()
            if any(channel == NUMBERED for channel, _ in found):
                self._heard()
            for channel, text in found:
                if channel == PRESENCE:
                    self._told(text)
