"""Work that many requests ask for at the same time, done once for all of them.

Nobody is given the result of work that began before it asked: a request has to see what was committed before it came.
Whoever asks while the same work is under way waits for its end, and then one of those who wait does it for all of them.
So a page that thousands open at once costs a few look-ups, not thousands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from forumapi.database.connections import Reader

T = TypeVar("T")


class _Turn:
    """Work done once. `is_done`: `value` is its result; else it has failed."""

    __slots__ = ("end", "is_done", "value")

    def __init__(self) -> None:
        self.end: threading.Event | None = None
        self.is_done = False
        self.value: Any = None

    def ending(self) -> threading.Event:
        """What is set at its end; made for the first who waits for it, since mostly nobody does."""
        if self.end is None:
            self.end = threading.Event()
        return self.end


class Together:
    """The turns of one process, by what they are about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, _Turn] = {}
        self._next: dict[Hashable, _Turn] = {}

    def run(self, key: Hashable, tx: Reader, work: Callable[[], T]) -> T:
        """What `work` returns, run by this request or by another one, after this one has asked.

        Whoever asks under the same key must be content with each other's results, which nobody may change. `work` looks
        first whether the turn before has left what it is after. A transaction works for itself: only it sees what it
        has written. Raises what `work` raises; a failure is not shared, those who waited for it try for themselves.
        """
        if not tx.may_wait:
            return work()
        with self._lock:
            running, turn = self._running.get(key), self._next.get(key)
            leads = turn is None
            if turn is not None:
                until: threading.Event | None = turn.ending()
            else:
                turn = _Turn()
                until = running.ending() if running is not None else None
                (self._running if running is None else self._next)[key] = turn
        if until is not None:
            # What is waited for may need the very connection that this request holds.
            tx.end()
        if leads:
            try:
                if until is not None:
                    until.wait()
                turn.value = work()
                turn.is_done = True
            finally:
                self._finish(key, turn)
        elif until is not None:
            until.wait()
        value: T = turn.value if turn.is_done else work()
        return value

    def _finish(self, key: Hashable, turn: _Turn) -> None:
        """Let those go who waited for `turn`; the next one begins, if there is one."""
        with self._lock:
            if self._running.get(key) is turn:
                following = self._next.pop(key, None)
                if following is None:
                    del self._running[key]
                else:
                    self._running[key] = following
            elif self._next.get(key) is turn:
                # Its request was ended while it waited for its turn.
                del self._next[key]
            end = turn.end
        if end is not None:
            end.set()
