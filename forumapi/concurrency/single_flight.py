"""Single-flight: concurrent requests for one key share one computation, never one that began before they asked.

A request has to see everything that was committed before it came. So a request that asks during a computation waits
for its end; then one of those who wait computes for all of them. A page that thousands open at once costs a few
look-ups, not thousands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """Reader of the database on whose behalf a request waits."""

    # False in a transaction, whose connection can't be given back.
    may_wait: bool

    def end(self) -> None:
        """Give the database connection back."""


class _Flight:
    """Running computation. `is_done` True: `value` is its result; False after its end: it has failed."""

    __slots__ = ("end", "is_done", "value")

    def __init__(self) -> None:
        self.end: threading.Event | None = None
        self.is_done = False
        self.value: Any = None

    def ending(self) -> threading.Event:
        """Return the event that is set at the end of the computation, made for the first thread that waits."""
        if self.end is None:
            self.end = threading.Event()
        return self.end


class SingleFlight:
    """Computations of one process, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, _Flight] = {}
        self._next: dict[Hashable, _Flight] = {}

    def do(self, key: Hashable, tx: Waiter, work: Callable[[], T]) -> T:
        """Run `work`, or wait for another request's run that began after this call; return the result.

        Results are shared by all who ask under the same key, and nobody may change them. `work` must check the cache
        first, since the previous run may have filled it. A transaction always runs its own, since no other request sees
        its changes. Raises the errors of `work`; a failure is not shared: each request that waited tries again.
        """
        if not tx.may_wait:
            return work()
        with self._lock:
            running, flight = self._running.get(key), self._next.get(key)
            leads = flight is None
            if flight is not None:
                until: threading.Event | None = flight.ending()
            else:
                flight = _Flight()
                until = running.ending() if running is not None else None
                (self._running if running is None else self._next)[key] = flight
        if until is not None:
            # The computation may need the very connection that this request holds.
            tx.end()
        if leads:
            try:
                if until is not None:
                    until.wait()
                flight.value = work()
                flight.is_done = True
            finally:
                self._finish(key, flight)
        elif until is not None:
            until.wait()
        value: T = flight.value if flight.is_done else work()
        return value

    def _finish(self, key: Hashable, flight: _Flight) -> None:
        """Release the threads that wait for `flight`; one of them begins the next computation."""
        with self._lock:
            if self._running.get(key) is flight:
                following = self._next.pop(key, None)
                if following is None:
                    del self._running[key]
                else:
                    self._running[key] = following
            elif self._next.get(key) is flight:
                # Its request was ended while it waited.
                del self._next[key]
            end = flight.end
        if end is not None:
            end.set()
