"""Start-time fair queue (Goyal, Vin and Cheng, 1996): one turn at a time, for callers whose turns differ in cost.

The next turn goes to the caller with the least cost since the queue began to fill. So a small image waits only for the
image in work, however many large ones another caller has queued before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from forumapi.errors import Unavailable

# Thumbnails have priority over uploads, but after so many in a row an upload has its turn.
SIZES_IN_A_ROW: Final = 2


class Turn:
    """Turn of the caller with the key `who`. `cost`: work done in the turn, in any unit, which the caller sets before
    the turn ends. `is_thumbnail`: the turn is for a thumbnail, else for an upload; `ready`: lock that is held while the
    turn waits, and released to begin it; `start`: virtual time (see _WaitingTurns) at which the turn began.
    """

    __slots__ = ("cost", "is_thumbnail", "ready", "start", "who")

    def __init__(self, who: str, is_thumbnail: bool) -> None:
        self.who = who
        self.is_thumbnail = is_thumbnail
        self.cost = 0.0
        self.start = 0.0
        self.ready = threading.Lock()
        self.ready.acquire()


class _WaitingTurns:
    """Turns that wait, of one kind (uploads or thumbnails). Those of one caller are in order of arrival.

    Virtual time runs in units of cost, not in seconds. `finished`: key of a caller -> virtual time at which the last
    turn of that caller ended, if that is later than `virtual`, the virtual time at which the last turn began.
    """

    __slots__ = ("finished", "virtual", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Turn] = []
        self.finished: dict[str, float] = {}
        self.virtual = 0.0

    def take(self) -> Turn:
        """Choose the next turn, the one with the least virtual start, take it out of the waiting ones, set its `start`
        and return it. Whoever calls this holds the queue's lock, and then releases the turn's lock `ready`. Raises
        ValueError if none waits.
        """
        turn = min(self.waiting, key=self._start)  # the first of equals
        self.waiting.remove(turn)
        self.begin(turn)
        return turn

    def begin(self, turn: Turn) -> None:
        turn.start = self.virtual = self._start(turn)
        # Callers with a lower cost are treated like new ones.
        for who in [one for one, cost in self.finished.items() if cost <= self.virtual]:
            del self.finished[who]

    def _start(self, turn: Turn) -> float:
        return max(self.virtual, self.finished.get(turn.who, 0.0))


class FairQueue:
    """Fair queue of turns, of which one is in work at a time. `patience_s`: longest wait for a turn, in seconds."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._uploads, self._sizes = _WaitingTurns(), _WaitingTurns()
        self._is_busy = False
        self._row = 0  # sizes since the last upload

    @property
    def waiting(self) -> int:
        """Return the number of turns that wait, without the one in work."""
        return len(self._uploads.waiting) + len(self._sizes.waiting)

    @property
    def people(self) -> int:
        """Return the number of callers with a cost in `finished` of _WaitingTurns, each counted once for uploads and
        once for thumbnails.
        """
        return len(self._uploads.finished) + len(self._sizes.finished)

    @contextlib.contextmanager
    def turn(self, who: str, *, is_thumbnail: bool = False) -> Iterator[Turn]:
        """Wait for a turn of the caller with the key `who`, and yield it; it lasts as long as the with statement,
        within which the caller sets its `cost`. Raises Unavailable if the turn has not begun after `patience_s`
        seconds.

        `is_thumbnail`: the turn is for a thumbnail. Thumbnails go before uploads, but after SIZES_IN_A_ROW of them in a
        row an upload has its turn.
        """
        turn = Turn(who, is_thumbnail)
        with self._lock:
            if at_once := not self._is_busy:
                self._is_busy = True
                self._waiting_turns(turn).begin(turn)
            else:
                self._waiting_turns(turn).waiting.append(turn)
        try:
            if not at_once and not turn.ready.acquire(timeout=self._patience_s):
                raise Unavailable("Too many images are being processed")
            yield turn
        finally:
            self._end(turn)

    def _waiting_turns(self, turn: Turn) -> _WaitingTurns:
        return self._sizes if turn.is_thumbnail else self._uploads

    def _end(self, turn: Turn) -> None:
        """End a turn and start the next, if one waits, else forget all costs; or end the wait for a turn that has not
        begun, which starts none.
        """
        with self._lock:
            line = self._waiting_turns(turn)
            if turn in line.waiting:
                line.waiting.remove(turn)
                return
            line.finished[turn.who] = turn.start + turn.cost
            if not self.waiting:
                self._is_busy = False
                self._uploads, self._sizes = _WaitingTurns(), _WaitingTurns()
                return
            sizes = self._sizes.waiting
            by_size = sizes and not (self._uploads.waiting and self._row >= SIZES_IN_A_ROW)
            self._row = self._row + 1 if by_size else 0
            (self._sizes if by_size else self._uploads).take().ready.release()
