"""Start-time fair queue (Goyal, Vin and Cheng, 1996) with one server: each person in turn, by what their pictures cost.

The next turn is of whoever has cost least since the queue began to fill, so that one small picture waits for no more
than the one that is being worked on, however many large ones of somebody else stand before it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from forumapi.errors import Unavailable

# Sizes that readers wait for come before uploads, but after so many in a row an upload has its turn.
SIZES_IN_A_ROW: Final = 2


class Turn:
    """A turn of `who`. `cost` is set by whoever has it, before it ends."""

    __slots__ = ("cost", "is_size", "ready", "start", "who")

    def __init__(self, who: str, is_size: bool) -> None:
        self.who = who
        self.is_size = is_size
        self.cost = 0.0
        self.start = 0.0
        self.ready = threading.Lock()
        self.ready.acquire()


class _Line:
    """Turns of one kind that are waited for, first come first served among those of one person.

    `finished`: person -> what they have cost, on the scale of `virtual`, which is where the last turn began.
    """

    __slots__ = ("finished", "virtual", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Turn] = []
        self.finished: dict[str, float] = {}
        self.virtual = 0.0

    def take(self) -> Turn:
        """The next turn, which has begun."""
        turn = min(self.waiting, key=self._start)  # the first of several that are alike
        self.waiting.remove(turn)
        self.begin(turn)
        return turn

    def begin(self, turn: Turn) -> None:
        turn.start = self.virtual = self._start(turn)
        # Whoever has had less than this counts as somebody who comes now.
        for who in [one for one, cost in self.finished.items() if cost <= self.virtual]:
            del self.finished[who]

    def _start(self, turn: Turn) -> float:
        return max(self.virtual, self.finished.get(turn.who, 0.0))


class FairQueue:
    """Gives turns, one at a time. Whoever waits longer than `patience_s` goes without."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._uploads, self._sizes = _Line(), _Line()
        self._is_busy = False
        self._row = 0  # sizes since the last upload

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._uploads.waiting) + len(self._sizes.waiting)

    @property
    def people(self) -> int:
        """How many people are remembered for what they have cost."""
        return len(self._uploads.finished) + len(self._sizes.finished)

    @contextlib.contextmanager
    def turn(self, who: str, *, is_size: bool = False) -> Iterator[Turn]:
        """Wait for a turn, which lasts as long as the with statement. Raises Unavailable."""
        turn = Turn(who, is_size)
        with self._lock:
            if at_once := not self._is_busy:
                self._is_busy = True
                self._line(turn).begin(turn)
            else:
                self._line(turn).waiting.append(turn)
        try:
            if not at_once and not turn.ready.acquire(timeout=self._patience_s):
                raise Unavailable("Too many pictures are being worked on")
            yield turn
        finally:
            self._end(turn)

    def _line(self, turn: Turn) -> _Line:
        return self._sizes if turn.is_size else self._uploads

    def _end(self, turn: Turn) -> None:
        """The turn is over, or is waited for no more."""
        with self._lock:
            line = self._line(turn)
            if turn in line.waiting:
                line.waiting.remove(turn)
                return
            line.finished[turn.who] = turn.start + turn.cost
            if not self.waiting:
                self._is_busy = False
                self._uploads, self._sizes = _Line(), _Line()
                return
            sizes = self._sizes.waiting
            by_size = sizes and not (self._uploads.waiting and self._row >= SIZES_IN_A_ROW)
            self._row = self._row + 1 if by_size else 0
            (self._sizes if by_size else self._uploads).take().ready.release()
