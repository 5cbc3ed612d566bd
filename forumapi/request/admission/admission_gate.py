"""Gate of a worker, through which each request goes before its work: straight while one site asks alone, else in turns
that are fair between sites.

A worker has one processor, so more requests at once make each of them slower and none sooner done. While sites share
the worker, the next request begins when none is in work, or when the worker would have nothing to do (all that are in
work await the database). So the processor is never idle, and a request that has begun competes with few others.
Connections to the database are shared by the pool (database/connection_permits.py).
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from forumapi.errors import SiteBusy, TooMany, Unavailable
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.request.admission.deficit_round_robin import (
    DeficitRoundRobin,
    SiteQueue,
    WaitingRequest,
)

# While sites share the worker, so many requests begin at once; with two, twice as many of others come before each.
AT_ONCE: Final = 1
# While sites share the worker, so many of each are in work at most: who comes next waits for them.
IN_WORK: Final = 8
# For so long after two sites asked in turn they share the worker: most sites ask less than once a second.
SHARED_S: Final = 60.0
# When the next request begins at the latest, though the worker never has nothing to do.
_IDLE_S: Final = 0.005
# Part of a site's queue of guests that may wait of one address whose requests in work are limited.
_ADDRESS_PART: Final = 5
# Retry-After of refused requests.
_RETRY_S: Final = 5
# How often the refusals of a site are logged, and how many sites are named then.
_LOG_S: Final = 60.0
_MOST_LOGGED: Final = 10
# How often a full queue is searched for clients that have hung up.
_SEARCH_S: Final = 0.1


class _BlockedRequest(WaitingRequest):
    """Waiting request, whose thread waits until the lock `turn` is free. `admission`: the place that was granted, None
    before; `is_gone()` returns True if its client has hung up; `is_gone` None: nobody can tell. The other parameters
    are those of WaitingRequest.
    """

    __slots__ = ("admission", "is_gone", "turn")

    def __init__(
        self,
        site: SiteQueue,
        price: float,
        address: str,
        is_member: bool,
        is_gone: Callable[[], bool] | None,
    ) -> None:
        super().__init__(site, price, address, is_member)
        self.is_gone = is_gone
        self.admission: Admission | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class _Gone(Unavailable):
    """Error 503 of a request whose client hung up while it waited: nobody reads the answer."""


class Admission:
    """Place of a request among those in work. `end`, or leaving the with statement, gives the place back; a second call
    does nothing.
    """

    __slots__ = ("_address", "_gate", "_site")

    def __init__(self, gate: AdmissionGate, site: SiteQueue | None, address: str) -> None:
        self._gate: AdmissionGate | None = gate
        self._site = site
        self._address = address

    def __enter__(self) -> Admission:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Give the place back, so that another request may begin; do nothing if it is given back already."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate._leave(self._site, self._address)


class AdmissionGate:
    """Gate of a worker, which each request passes before its work. Its settings, set by `apply`: `address_limit`: most
    requests in work of one guest address, 0 for any number; `queue`: how many members' requests of one site may wait,
    and how many of its guests', of which a fifth, one at least, may be of one address (any number if `address_limit` is
    0); `wait_s`: longest wait; `weights`: by subdomain key of a site, its weight beside other sites; a site that is not
    in it has the weight that its request names.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue = DeficitRoundRobin(0, 0)
        self._wait_s = 10.0
        self._queue_limit = 500
        self._weights: dict[str, int] = {}
        # Number of requests in work below which another one begins at once.
        self._at_once = math.inf
        # The site that asked last, and when another one than before did.
        self._last: int | None = None
        self._changed = 0.0
        # Watchers of the loop, once made.
        self._idle: Any = None
        self._timer: Any = None
        self._searched = 0.0
        # By key of the site, since they were logged.
        self._refused: dict[str, int] = {}
        self._logged = time.monotonic()

    def apply(
        self, *, address_limit: int, queue: int, wait_s: float, weights: dict[str, int]
    ) -> None:
        """Take over settings, named as in the class. Requests in work keep their places; those that wait keep theirs in
        the queue, and the `wait_s` that they began with.
        """
        with self._lock:
            self._queue.limit(self._queue.site_limit, address_limit)
            self._queue_limit = queue
            self._wait_s = wait_s
            self._weights = weights
            self._pump()

    def enter(
        self,
        site_id: int,
        site_key: str,
        price: float,
        *,
        weight: int = 1,
        address: str = "",
        is_member: bool = False,
        is_gone: Callable[[], bool] | None = None,
    ) -> Admission:
        """Wait for a place among the requests in work, and take it. `site_key`: subdomain key, by which `weights` has
        the site's weight; `price`: of the route, in ms; `weight`: of the site's plan, for a site without one in
        `weights`; `address`: network of a guest whose reads at a time are limited by `address_limit`, "" for any other
        request; `is_member`: the request goes before the site's guests; `is_gone()` returns True if the client has hung
        up, None: nobody can tell.

        Raises SiteBusy if the site's queue of members' requests (of guests', for a guest's request) is full, or the
        turn has not come within `wait_s`; TooMany instead if the turn has not come since the address was at its limit,
        and at once if the part of the queue that one address may take is full; Unavailable for a client that has hung
        up.
        """
        queue = self._queue
        with self._lock:
            if site_id != self._last:
                self._see(site_id)
            if self._at_once is math.inf and not (address and queue.address_limit):
                # No sites share the worker: whatever may wait is held by its address, and no queue is needed.
                queue.running += 1
                return Admission(self, None, "")
            if not queue.count and queue.running < self._at_once:
                queue.clear()
            site = queue.site(site_id)
            if queue.running < self._at_once and queue.is_empty and queue.has_room(site, address):
                return self._begin(site, address)
            entry = self._push(site, site_key, weight, price, address, is_member, is_gone)
            self._pump()
        self._await(entry, site_key)
        assert entry.admission is not None
        return entry.admission

    def _begin(self, site: SiteQueue, address: str) -> Admission:
        self._queue.begin(site, address)
        return Admission(self, site, address)

    def _see(self, site_id: int) -> None:
        """Note that a request of `site_id` came after one of another site: sites share the worker from now on, but
        never in a process whose requests are threads. The lock must be held.
        """
        if self._last is not None and _is_gevent():
            self._changed = time.monotonic()
            self._share(AT_ONCE, IN_WORK)
        self._last = site_id

    def _share(self, at_once: float, in_work: int) -> None:
        """Set the limits of a worker that sites share, or of one that they don't. `at_once`: number of requests in work
        below which the next one begins at once; `in_work`: how many of one site are in work at most, 0 for any number.
        The lock must be held.
        """
        if at_once != self._at_once:
            self._at_once = at_once
            self._queue.limit(in_work, self._queue.address_limit)

    # ------------------------------------------------------------ waiting

    def _push(
        self,
        site: SiteQueue,
        key: str,
        weight: int,
        price: float,
        address: str,
        is_member: bool,
        is_gone: Callable[[], bool] | None,
    ) -> _BlockedRequest:
        queue = self._queue
        site.weight = self._weights.get(key, weight)
        if address and queue.address_limit and self._crowds(site, address):
            self._search(site)
            if self._crowds(site, address):
                raise _too_many()
        if (site.member_count if is_member else site.guest_count) >= self._queue_limit:
            self._search(site)
            if (site.member_count if is_member else site.guest_count) >= self._queue_limit:
                raise self._refusal(site, key, "full")
        entry = _BlockedRequest(site, price, address, is_member, is_gone)
        queue.push(entry)
        return entry

    def _crowds(self, site: SiteQueue, address: str) -> bool:
        """Return True if the waiting requests of a guest address fill the part of the site's queue that one address may
        take.
        """
        lane = site.guests.get(address)
        return lane is not None and len(lane) >= max(1, self._queue_limit // _ADDRESS_PART)

    def _refusal(self, site: SiteQueue, key: str, reason: str) -> SiteBusy:
        metrics.ADMISSION_REFUSED.add(1, reason)
        self._refused[key] = self._refused.get(key, 0) + 1
        self._queue.drop(site)
        return SiteBusy(_RETRY_S)

    def _search(self, site: SiteQueue) -> None:
        """Take requests whose clients have hung up out of a site's full queue; do nothing if any site's queue was
        searched in the last _SEARCH_S. The lock must be held.
        """
        now = time.monotonic()
        if now - self._searched < _SEARCH_S:
            return
        self._searched = now
        for entry in list(site.waiting()):
            assert isinstance(entry, _BlockedRequest)
            if entry.is_gone is not None and entry.is_gone():
                self._queue.remove(entry)
                self._end_wait(entry)

    def _end_wait(self, entry: _BlockedRequest) -> None:
        """Wake the thread of a waiting request whose client has gone; the thread then raises _Gone."""
        entry.is_gone = _has_gone
        entry.turn.release()

    def _await(self, entry: _BlockedRequest, key: str) -> None:
        if not entry.turn.locked():
            return
        began = time.monotonic()
        try:
            in_time = entry.turn.acquire(timeout=self._wait_s)
        except BaseException:
            self._give_up(entry)
            raise
        finally:
            metrics.ADMISSION_WAIT.observe(time.monotonic() - began)
        if not in_time:
            is_held = self._queue.is_held(entry)
            with self._lock:
                is_waiting = entry.is_waiting
                if is_waiting:
                    self._queue.remove(entry)
                    if not is_held:
                        raise self._refusal(entry.site, key, "late")
            if is_waiting:
                raise _too_many()
        if entry.is_gone is _has_gone:
            metrics.ADMISSION_REFUSED.add(1, "gone")
            raise _Gone("The client has hung up")

    def _give_up(self, entry: _BlockedRequest) -> None:
        """End the wait of a request whose thread was interrupted by an exception; a place that was granted meanwhile
        goes to the next request.
        """
        with self._lock:
            if entry.is_waiting:
                self._queue.remove(entry)
                return
        if entry.admission is not None:
            entry.admission.end()

    # ------------------------------------------------------------ turns

    def _leave(self, site: SiteQueue | None, address: str) -> None:
        with self._lock:
            if site is None:
                self._queue.running -= 1
            else:
                self._queue.end(site, address)
            if self._queue.count:
                self._pump()

    def _pump(self) -> None:
        """Begin waiting requests as long as fewer than `_at_once` (as `_share` sets it) are in work; have further ones
        begin when the worker has nothing to do. The lock must be held.
        """
        queue = self._queue
        while queue.running < self._at_once and self._begin_next():
            pass
        if not queue.is_empty:
            self._watch()

    def _begin_next(self) -> bool:
        """Begin the request whose turn it is; return False if none can begin now. The lock must be held."""
        queue = self._queue
        while (entry := queue.pop()) is not None:
            assert isinstance(entry, _BlockedRequest)
            if entry.is_gone is not None and entry.is_gone():
                queue.give_back(entry)
                self._end_wait(entry)
                continue
            entry.admission = self._begin(entry.site, entry.address)
            entry.turn.release()
            if self._idle is not None and self._idle.active:
                self._timer.again(self._when_idle)
            return True
        return False

    def _watch(self) -> None:
        """Have gevent's event loop call `_when_idle` as soon as it would wait, and after _IDLE_S at the latest: a loop
        that always has something to run, such as files to send, would never call it. Do nothing in a process whose
        requests are threads. The lock must be held.
        """
        if self._idle is None:
            if not _is_gevent():
                return
            import gevent

            loop = gevent.get_hub().loop
            self._idle, self._timer = loop.idle(), loop.timer(_IDLE_S, _IDLE_S)
        if not self._idle.active:
            self._idle.start(self._when_idle)
            # Its time begins anew with each request that has its turn.
            self._timer.again(self._when_idle)

    def _when_idle(self) -> None:
        with self._lock:
            if not self._begin_next() or self._queue.is_empty:
                self._idle.stop()
                self._timer.stop()

    # ------------------------------------------------------------ figures

    def sample_gauges(self) -> None:
        """Set the gauges to the present state, end the sharing if no two sites have asked in turn for SHARED_S, and let
        more requests begin of sites of which none of those in work has ended since the last call; once a minute, log
        the sites, _MOST_LOGGED at most, of which most requests were refused since. Called once a second.
        """
        queue = self._queue
        if self._at_once is not math.inf:
            with self._lock:
                if time.monotonic() - self._changed >= SHARED_S:
                    self._share(math.inf, 0)
                queue.free_hanging()
                self._pump()
        metrics.ADMISSION_RUNNING.set(queue.running)
        metrics.ADMISSION_WAITING.set(queue.count)
        metrics.ADMISSION_SITES.set(sum(1 for site in list(queue.sites.values()) if site.count))
        now = time.monotonic()
        if self._refused and now - self._logged >= _LOG_S:
            self._logged = now
            refused, self._refused = self._refused, {}
            for key in sorted(refused, key=refused.__getitem__, reverse=True)[:_MOST_LOGGED]:
                logger.warning("site %s: %d requests refused, it asks too much", key, refused[key])


def _too_many() -> TooMany:
    metrics.ADMISSION_REFUSED.add(1, "address")
    return TooMany("Too many requests of this address are waiting", 1)


def _has_gone() -> bool:
    return True


def _is_gevent() -> bool:
    """Return True in a process whose requests are greenlets of one loop."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))
