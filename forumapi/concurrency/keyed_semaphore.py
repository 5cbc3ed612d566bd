"""Semaphore per key, first come first served: the limit on the guest reads of one address at a time, in each process.

A crawler with sixteen connections takes no more of a process than a guest with two, so its neighbours hardly notice it.
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
    """Context manager that holds `key`."""

    __slots__ = ("_key", "_semaphore")

    def __init__(self, semaphore: KeyedSemaphore, key: str) -> None:
        self._semaphore = semaphore
        self._key = key

    def __enter__(self) -> None:
        self._semaphore._acquire(self._key)

    def __exit__(self, *_: object) -> None:
        self._semaphore._release(self._key)


class KeyedSemaphore:
    """Semaphore per key, each with `limit` holders at a time; `limit` 0: no limit.

    Who comes later waits in `hold`, PATIENCE_S at most.
    """

    PATIENCE_S: ClassVar[float] = 10.0

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def hold(self, key: str) -> AbstractContextManager[None]:
        """Hold `key` during the with statement, which waits for it. Raises TooMany after PATIENCE_S."""
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
        """Stop waiting for `key`; a hold that was granted meanwhile passes to the next thread."""
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
