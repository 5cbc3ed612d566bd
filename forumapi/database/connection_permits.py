"""Counting semaphore of a pool's connections, which is fair between sites: one that is given back goes to the waiting
site that holds the fewest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from forumapi.errors import Unavailable
from forumapi.observability import metrics

# Site of work that is no site's: background threads, and requests whose site is not known yet.
NO_SITE: Final = 0


class ConnectionPermits:
    """Permits to hold a connection, `size` of them. `wait_s`: how long a request waits for one.

    One site may hold all permits, or after `bind` a part at most, so that another site's first request finds one while
    all requests of the former hang in PostgreSQL.
    """

    def __init__(self, size: int, wait_s: float) -> None:
        self._size = size
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._free = self._bound = size
        self._held: dict[int, int] = {}
        # By site, first come, first served.
        self._queues: dict[int, deque[threading.Lock]] = {}

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait."""
        return sum(map(len, list(self._queues.values())))

    def bind(self, percent: int) -> None:
        """Let one site hold `percent` of all permits at most, rounded up."""
        with self._lock:
            self._bound = -(-self._size * percent // 100)
            while self._grant():
                pass

    def take(self, site_id: int) -> None:
        """Take a permit for the site `site_id` (NO_SITE: for work that is no site's), and wait for one where none is
        free or the site holds as many as it may. Raises Unavailable after `wait_s`.
        """
        with self._lock:
            held = self._held.get(site_id, 0)
            if self._free and held < self._bound:
                self._free -= 1
                self._held[site_id] = held + 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._queues.setdefault(site_id, deque()).append(turn)
        began = time.monotonic()
        try:
            is_granted = turn.acquire(timeout=self._wait_s)
        except BaseException:
            if not self._withdraw(site_id, turn):
                self.give(site_id)
            raise
        finally:
            metrics.DATABASE_WAIT.observe(time.monotonic() - began)
        if not is_granted and self._withdraw(site_id, turn):
            metrics.DATABASE_REFUSED.add(1, "busy")
            raise Unavailable("Too many requests are waiting for the database")

    def give(self, site_id: int) -> None:
        """Give a permit back that was taken for the site `site_id`; if requests wait, one of the site that holds the
        fewest gets it, unless each site that waits holds as many as it may.
        """
        with self._lock:
            held = self._held[site_id] - 1
            if held:
                self._held[site_id] = held
            else:
                del self._held[site_id]
            self._free += 1
            if self._queues:
                self._grant()

    def _grant(self) -> bool:
        """Give a free permit to the oldest request of the waiting site that holds the fewest; return False if no permit
        is free, no request waits, or each site that waits holds as many as it may.
        """
        if not (self._free and self._queues):
            return False
        # Of sites that hold as many, the one that has waited longest: a site that was served waits behind the others.
        site_id = min(self._queues, key=lambda id: self._held.get(id, 0))
        held = self._held.get(site_id, 0)
        if held >= self._bound:
            return False
        queue = self._queues.pop(site_id)
        turn = queue.popleft()
        if queue:
            self._queues[site_id] = queue
        self._free -= 1
        self._held[site_id] = held + 1
        turn.release()
        return True

    def _withdraw(self, site_id: int, turn: threading.Lock) -> bool:
        """Take the request that waits on the lock `turn` out of the queue of its site; return False if it was given a
        permit meanwhile.
        """
        with self._lock:
            queue = self._queues.get(site_id)
            if queue is None or turn not in queue:
                return False
            queue.remove(turn)
            if not queue:
                del self._queues[site_id]
            return True
