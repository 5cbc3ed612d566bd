"""A thread beside the requests of a process that looks for something to do."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar

import psycopg

from forumapi.errors import ApiError
from forumapi.observability.log import logger


class Background(ABC):
    """Looks when it is woken, and every `LOOK_S` seconds anyway, from `start` to `stop`.

    What fails for the database or what is behind us is tried again at the next look; `waits` says in the log what does.
    """

    LOOK_S: ClassVar[float] = 1.0

    def __init__(self, name: str, waits: str) -> None:
        self._name = name
        self._waits = waits
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def look(self) -> None:
        """Do what there is to do. Raises ApiError or psycopg.Error for what is to be tried again."""

    @property
    def is_stopping(self) -> bool:
        """Whether what is under way is to begin nothing more."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Look in the background until `stop`."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread. What is under way is not waited for: its transaction ends, or it is done again."""
        self._stopping.set()
        self._wake.set()
        self._thread = None

    def wake(self) -> None:
        """There may be something to do: look now."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self.LOOK_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.look()
            except (ApiError, psycopg.Error) as error:
                logger.warning("%s, will try again: %s", self._waits, error)
            except Exception:  # noqa: BLE001 - the edge of a thread: it looks again, whatever it was
                logger.exception("%s, will try again", self._waits)
