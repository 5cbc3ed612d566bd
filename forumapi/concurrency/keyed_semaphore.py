"""Semaphore for each key, first come first served. It limits how many reads of guests with one client address a process
works on at a time.

So a crawler with sixteen connections takes no more of a process than a guest with two.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from forumapi.errors import TooMany


class _Entry:
    """State of one key: the number of its holders, and the locks of waiting threads, first come first served."""

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held = 1
        self.waiting: deque[threading.Lock] = deque()


class _Hold:
    """Context manager that `KeyedSemaphore.hold` returns: takes a place of `key` on entry, gives it back on exit."""

    __slots__ = ("_key", "_semaphore")

    def __init__(self, semaphore: KeyedSemaphore, key: str) -> None:
        self._semaphore = semaphore
        self._key = key

    def __enter__(self) -> None:
        self._semaphore._acquire(self._key)

    def __exit__(self, *_: object) -> None:
        self._semaphore._release(self._key)


class KeyedSemaphore:
    """Semaphore for each key, which `limit` threads may hold at a time; 0: any number."""

    PATIENCE_S: ClassVar[float] = 10.0

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def hold(self, key: str) -> AbstractContextManager[None]:
        """Hold `key` during the with statement, whose beginning waits for a free place. Raises TooMany after
        PATIENCE_S.
        """
        return _Hold(self, key) if self._limit else nullcontext()

    def _acquire(self, key: str) -> None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._entries[key] = _Entry()
                return
            if entry.held < self._limit:
                entry.held += 1
                return
            mine = threading.Lock()
            mine.acquire()
            entry.waiting.append(mine)
        try:
            in_time = mine.acquire(timeout=self.PATIENCE_S)
        except BaseException:
            self._give_up(key, entry, mine)
            raise
        if not in_time:
            self._give_up(key, entry, mine)
            raise TooMany("Too many requests of this address are waiting", 1)

    def _give_up(self, key: str, entry: _Entry, mine: threading.Lock) -> None:
        """Stop waiting with the lock `mine`; if it was granted a place meanwhile, pass that to the next thread."""
        with self._lock:
            if mine in entry.waiting:
                entry.waiting.remove(mine)
                return
        self._release(key)

    def _release(self, key: str) -> None:
        with self._lock:
            entry = self._entries[key]
            if entry.waiting:
                entry.waiting.popleft().release()
            elif entry.held > 1:
                entry.held -= 1
            else:
                del self._entries[key]
