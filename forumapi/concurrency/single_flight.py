"""Single flight: concurrent requests for the same key share one computation, but never one that began before they
asked.

A request must see everything that was committed before it came. So a request that comes during a computation waits for
its end, and then one of those that wait computes for all of them. A page that thousands open at once costs a few
computations, not thousands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Waiter(Protocol):
    """Interface of a request's database reader, whose connection can be given back while the request waits. `may_wait`
    False: the connection can't be given back, as in a transaction.
    """

    # False in a transaction, whose connection can't be given back.
    may_wait: bool

    def end(self) -> None:
        """Give the database connection back to its pool; the next statement takes one again."""


class _Flight:
    """Computation that runs or is next to run. `value` is its result once `is_done`; if it ends without `is_done`, it
    has failed.
    """

    __slots__ = ("end", "is_done", "value")

    def __init__(self) -> None:
        self.end: threading.Event | None = None
        self.is_done = False
        self.value: Any = None

    def ending(self) -> threading.Event:
        """Return the event that is set when the computation ends; made at the first call. The caller holds the lock of
        SingleFlight.
        """
        if self.end is None:
            self.end = threading.Event()
        return self.end


class SingleFlight:
    """Shared computations of one process, by key: for each key at most one runs, and one more waits to begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, _Flight] = {}
        self._next: dict[Hashable, _Flight] = {}

    def do(self, key: Hashable, tx: Waiter, work: Callable[[], T]) -> T:
        """Run `work` and return its result, or that of another request's `work` under the same key, if that began after
        this call. `key`: names the computation, whose `work` gives all callers the same; `tx`: the request's reader,
        whose connection is given back before a wait.

        The result is shared, so nobody may change it. `work` must look into the cache first, which the computation
        before may have filled. With `tx.may_wait` False (a transaction, whose changes others don't see) `work` always
        runs, at once. Raises the errors of its own `work`; after another's failure each request that waited runs its
        own.
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
        """End `flight`, which has its value or has failed: release the threads that wait for it, one of which begins
        the next computation of `key`. Takes the lock itself.
        """
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
