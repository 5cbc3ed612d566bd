"""How many reads of one caller are worked on at a time: whoever asks for many at once waits for their turn.

So a crawler with sixteen connections takes no more of a process than somebody with one or two, and those who read
beside it hardly feel it. In each process, as the limit of requests is.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from forumapi.errors import TooMany


class _Line:
    """Of one caller: how many are at work, and who waits, first come first served, each at a lock of its own."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.busy = 1
        self.waiting: deque[threading.Lock] = deque()


class _Turn:
    """A turn of `caller`, as long as the with statement."""

    __slots__ = ("_caller", "_turns")

    def __init__(self, turns: Turns, caller: str) -> None:
        self._turns = turns
        self._caller = caller

    def __enter__(self) -> None:
        self._turns._begin(self._caller)

    def __exit__(self, *_: object) -> None:
        self._turns._end(self._caller)


class Turns:
    """The lines of one process, by caller; `at_once` 0: nobody waits."""

    PATIENCE_S: ClassVar[float] = 10.0

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def turn(self, caller: str) -> AbstractContextManager[None]:
        """Wait for a turn of `caller`, which lasts as long as the with statement. Raises TooMany after PATIENCE_S."""
        return _Turn(self, caller) if self._at_once else nullcontext()

    def _begin(self, caller: str) -> None:
        with self._lock:
            line = self._lines.get(caller)
            if line is None:
                self._lines[caller] = _Line()
                return
            if line.busy < self._at_once:
                line.busy += 1
                return
            mine = threading.Lock()
            mine.acquire()
            line.waiting.append(mine)
        try:
            in_time = mine.acquire(timeout=self.PATIENCE_S)
        except BaseException:
            self._give_up(caller, line, mine)
            raise
        if not in_time:
            self._give_up(caller, line, mine)
            raise TooMany("Too many requests of this address are waiting", 1)

    def _give_up(self, caller: str, line: _Line, mine: threading.Lock) -> None:
        """Wait no longer; a turn that came meanwhile is the next one's."""
        with self._lock:
            if mine in line.waiting:
                line.waiting.remove(mine)
                return
        self._end(caller)

    def _end(self, caller: str) -> None:
        with self._lock:
            line = self._lines[caller]
            if line.waiting:
                line.waiting.popleft().release()
            elif line.busy > 1:
                line.busy -= 1
            else:
                del self._lines[caller]
