"""Gate of a worker, through which each request goes before it costs a statement: straight where nothing waits, else in
turns that are fair between sites.

A worker has one processor, so more requests at once make each of them slower and none sooner done. While sites share
the worker, the next request begins when the worker would have nothing to do (all that are in work await the database),
or when fewer than AT_ONCE are in work. So the processor is never idle, and a request that has begun competes with few
others. A site that is alone has as many in work as its limit lets it, which then share look-ups (single_flight.py).
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
# For so long after its last request a site counts as one with which others share the worker.
_SHARED_S: Final = 1.0
# A request in work for longer awaits something else than the processor: for it one more may be in work.
_STUCK_S: Final = 1.0
# Times the database connections that a site may have in work while it is alone.
_ALONE: Final = 8
# How often the refusals of a site are logged, and how many sites are named then.
_LOG_S: Final = 60.0
_MOST_LOGGED: Final = 10
# How often a full queue is searched for clients that have hung up.
_SEARCH_S: Final = 0.1
# Milliseconds of price that a worker serves in a millisecond, before it was measured; and how long one measure takes.
_SPEED: Final = 1.0
_MEASURE_S: Final = 0.25


class _BlockedRequest(WaitingRequest):
    """WaitingRequest of a request whose thread waits for `turn`; `is_gone()`: its client has hung up."""

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
    """503, which nobody reads: the client hung up while its request waited."""


class Admission:
    """Admission of a request in work. `end` gives it back, once; a second call does nothing."""

    __slots__ = ("_address", "_gate", "_site", "began")

    def __init__(self, gate: AdmissionGate, site: SiteQueue, address: str) -> None:
        self.began = time.monotonic()
        self._gate: AdmissionGate | None = gate
        self._site = site
        self._address = address

    def __enter__(self) -> Admission:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Give the place back: another request may begin."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate._leave(self, self._site, self._address)


class AdmissionGate:
    """Gate of a worker. `most`: requests in work at a time; `percent`: of these, at most, of one site;
    `address_limit`: of one guest address, 0 for any number; `queue`: members' requests, and as many of guests, of one
    site that may wait; `wait_s`: for how long at most; `weights`: by key of the site, 1 where there is none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._queue = DeficitRoundRobin(0, 0)
        self._wait_s = 10.0
        self._queue_limit = 500
        self._weights: dict[str, int] = {}
        # In the order in which they began.
        self._in_work: dict[Admission, None] = {}
        self._idle: Any = None
        self._has_loop: bool | None = None
        # The site that asked last, and when another one than before did.
        self._last = 0
        self._changed = -math.inf
        self._speed = _SPEED
        self._began = self._granted = 0.0
        self._searched = 0.0
        # By key of the site, since they were logged.
        self._refused: dict[str, int] = {}
        self._logged = time.monotonic()

    def apply(
        self,
        *,
        percent: int,
        address_limit: int,
        queue: int,
        wait_s: float,
        weights: dict[str, int],
    ) -> None:
        """Take over settings; what waits or is in work already is counted on."""
        with self._lock:
            self._queue.limit(max(1, self._most * percent // 100), address_limit)
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
        address: str = "",
        is_member: bool = False,
        is_gone: Callable[[], bool] | None = None,
    ) -> Admission:
        """Wait for a place and take it. `price`: of the route, in ms; `address`: network of a guest whose reads are
        limited in number, else "".

        Raises SiteBusy where the site's queue is full or too slow, TooMany where the address is at its limit for too
        long, Unavailable for a client that has hung up.
        """
        queue = self._queue
        with self._lock:
            site = queue.site(site_id)
            if site_id != self._last:
                self._last, self._changed = site_id, time.monotonic()
            if (
                self._is_alone()
                and not queue.count
                and queue.running < _ALONE * self._most
                and not queue.is_held_by_address(address)
            ) or (
                queue.running < self._at_once()
                and (not queue.count or queue.is_empty)
                and queue.has_room(site, address)
            ):
                if not queue.count:
                    queue.clear()
                return self._begin(site, address)
            entry = self._push(site, site_key, price, address, is_member, is_gone)
            self._pump()
        self._await(entry, site_key)
        assert entry.admission is not None
        return entry.admission

    def _begin(self, site: SiteQueue, address: str) -> Admission:
        self._queue.begin(site, address)
        admission = Admission(self, site, address)
        self._in_work[admission] = None
        return admission

    # ------------------------------------------------------------ waiting

    def _push(
        self,
        site: SiteQueue,
        key: str,
        price: float,
        address: str,
        is_member: bool,
        is_gone: Callable[[], bool] | None,
    ) -> _BlockedRequest:
        queue = self._queue
        site.weight = self._weights.get(key, 1)
        if (site.member_count if is_member else site.guest_count) >= self._queue_limit:
            self._search(site)
            if (site.member_count if is_member else site.guest_count) >= self._queue_limit:
                raise self._refusal(site, key, "full")
        entry = _BlockedRequest(site, price, address, is_member, is_gone)
        queue.push(entry)
        if not is_member and self._expected_s(site) > self._wait_s:
            queue.remove(entry)
            raise self._refusal(site, key, "slow")
        return entry

    def _expected_s(self, site: SiteQueue) -> float:
        """Return how long the last of the site's requests will wait, by their prices and the site's share."""
        share = site.weight / max(site.weight, self._queue.weight)
        return site.price / 1000 / (share * self._speed)

    def _refusal(self, site: SiteQueue, key: str, reason: str) -> SiteBusy:
        metrics.ADMISSION_REFUSED.add(1, reason)
        self._refused[key] = self._refused.get(key, 0) + 1
        retry_s = min(30, math.ceil(self._expected_s(site)))
        self._queue.drop(site)
        return SiteBusy(max(1, retry_s))

    def _search(self, site: SiteQueue) -> None:
        """Free the places of clients that have hung up, in a site's full queue."""
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
        """Have the thread of an entry go on, which finds that its client has gone."""
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
                metrics.ADMISSION_REFUSED.add(1, "address")
                raise TooMany("Too many requests of this address are waiting", 1)
        if entry.is_gone is _has_gone:
            metrics.ADMISSION_REFUSED.add(1, "gone")
            raise _Gone("The client has hung up")

    def _give_up(self, entry: _BlockedRequest) -> None:
        """Stop waiting, by an exception; a place that was granted meanwhile goes to the next request."""
        with self._lock:
            if entry.is_waiting:
                self._queue.remove(entry)
                return
        if entry.admission is not None:
            entry.admission.end()

    # ------------------------------------------------------------ turns

    def _leave(self, admission: Admission, site: SiteQueue, address: str) -> None:
        with self._lock:
            del self._in_work[admission]
            self._queue.end(site, address)
            if self._queue.count:
                self._pump()

    def _is_alone(self) -> bool:
        """Return True if no other site than the last one has asked lately: requests of it share look-ups and mostly
        hold no connection, begin at once.
        """
        if self._has_loop is None:
            self._has_loop = _is_gevent()
        return self._has_loop and time.monotonic() - self._changed >= _SHARED_S

    def _at_once(self) -> int:
        """Return the number of requests in work below which another one begins at once."""
        if self._has_loop is None:
            self._has_loop = _is_gevent()
        is_shared = self._has_loop and time.monotonic() - self._changed < _SHARED_S
        return AT_ONCE if is_shared else self._limit()

    def _limit(self) -> int:
        """Return the number of requests that may be in work: `most`, and as many as are stuck, so that what needs no
        database is answered while PostgreSQL answers nothing.
        """
        if self._queue.running < self._most:
            return self._most
        before = time.monotonic() - _STUCK_S
        stuck = 0
        for admission in self._in_work:
            if admission.began > before:
                break
            stuck += 1
        return self._most + stuck

    def _pump(self) -> None:
        """Begin requests while few are in work; further ones when the worker has nothing to do."""
        queue = self._queue
        most = self._at_once()
        while queue.running < most and self._begin_next():
            pass
        if queue.running < self._limit() and not queue.is_empty:
            self._watch()

    def _begin_next(self) -> bool:
        """Begin the request whose turn it is; return False if none can."""
        queue = self._queue
        while (entry := queue.pop()) is not None:
            assert isinstance(entry, _BlockedRequest)
            if entry.is_gone is not None and entry.is_gone():
                queue.give_back(entry)
                self._end_wait(entry)
                continue
            entry.admission = self._begin(entry.site, entry.address)
            self._measure(entry.price)
            entry.turn.release()
            return True
        return False

    def _measure(self, price: float) -> None:
        """Measure how fast prices are paid while requests wait, by which waits are foreseen."""
        now = time.monotonic()
        took = now - self._began
        if took > 4 * _MEASURE_S:
            self._began, self._granted = now, 0.0
        elif took > _MEASURE_S:
            self._speed = max(0.05, 0.5 * self._speed + 0.5 * self._granted / took / 1000)
            self._began, self._granted = now, 0.0
        self._granted += price

    def _watch(self) -> None:
        """Have the loop call `_when_idle` as soon as it would wait; where there is no loop, threads begin by
        themselves.
        """
        if not self._has_loop:
            return
        if self._idle is None:
            import gevent

            self._idle = gevent.get_hub().loop.idle()
        if not self._idle.active:
            self._idle.start(self._when_idle)

    def _when_idle(self) -> None:
        with self._lock:
            began = self._queue.running < self._limit() and self._begin_next()
            if not began or not self._queue.count or self._queue.running >= self._limit():
                self._idle.stop()

    # ------------------------------------------------------------ figures

    def sample_gauges(self) -> None:
        """Set the gauges to the present state, and let requests begin in place of stuck ones; once a minute, log the
        sites whose requests were refused. Called once a second.
        """
        queue = self._queue
        if queue.count:
            with self._lock:
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


def _has_gone() -> bool:
    return True


def _is_gevent() -> bool:
    """Return True in a process whose requests are greenlets of one loop."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))
