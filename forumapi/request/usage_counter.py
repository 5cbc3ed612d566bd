"""Counter of what sites use: requests, bytes, processor and database time, live connections, of one web worker."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

import psycopg

from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import Database
from forumapi.errors import ApiError, OutcomeUnknown
from forumapi.models.usage import site_usage
from forumapi.observability.log import logger

GUEST_READ, MEMBER_READ, WRITE, REFUSED = range(4)
_BYTES, _CPU, _DATABASE, _LIVE, _COMMENTS = range(4, 9)
_COUNTS: Final = 9


class UsageCounter(PollingThread):
    """Counts of requests, bytes, times and live connections of one process, by site and hour, written to the database
    by a thread every POLL_S, and by `stop`.

    A crash loses the counts since the last time. While the database is away counts stay in memory, at most 600 bytes
    for each site and hour, for at most MOST of these; what belongs to further ones is then not counted. `live()`
    returns the number of live connections by site.
    """

    POLL_S: ClassVar[float] = 30.0
    MOST: ClassVar[int] = 20_000

    def __init__(self, database: Database, live: Callable[[], Mapping[int, int]]) -> None:
        super().__init__("usage", "usage is not written")
        self._database = database
        self._live = live
        self._counts: dict[tuple[int, int], list[float]] = {}
        # By site: statements of its requests since the last poll, and one for each request.
        self._weights: dict[int, int] = {}
        # So that the last poll, at the end of the process, waits for one that runs.
        self._polling = threading.Lock()
        self._cpu_s = _cpu_s()
        self._polled = time.monotonic()

    def count(self, site_id: int, kind: int, size: int, statements: int, database_s: float) -> None:
        """Count an answered request. `kind`: one of GUEST_READ, MEMBER_READ, WRITE, REFUSED; `size`: bytes of the body;
        `database_s`: seconds for which it waited for its `statements`.
        """
        row = self._row(site_id)
        row[kind] += 1
        row[_BYTES] += size
        row[_DATABASE] += database_s * 1000
        self._weights[site_id] = self._weights.get(site_id, 0) + statements + 1

    def count_comment(self, site_id: int) -> None:
        """Count a new comment on a site; its request is counted by `count`."""
        self._row(site_id)[_COMMENTS] += 1

    def unwritten_comments(self, site_id: int) -> int:
        """Return the number of new comments on a site that are not written to the database yet."""
        counts = list(self._counts.items())
        return round(sum(row[_COMMENTS] for (of, _), row in counts if of == site_id))

    def poll(self) -> None:
        """Write what was counted since the last time, in a transaction of its own. Raises Unavailable, and keeps the
        counts; OutcomeUnknown, and drops them, since they may have been written.
        """
        with self._polling:
            self._write()

    def _write(self) -> None:
        self._divide()
        taken, self._counts = self._counts, {}
        if not taken:
            return
        try:
            with self._database.write() as tx:
                site_usage.add(tx, taken)
        except OutcomeUnknown:
            # Perhaps it was written: rather counted too little than twice.
            raise
        except BaseException:
            for key, row in taken.items():
                kept = self._counts.setdefault(key, [0.0] * _COUNTS)
                kept[:] = [a + b for a, b in zip(kept, row, strict=True)]
            raise

    def stop(self) -> None:
        """Ask the thread to end, and write what was counted; a failure is logged."""
        super().stop()
        try:
            self.poll()
        except (ApiError, psycopg.Error) as error:
            logger.warning("usage of the last seconds is lost: %s", error)

    def _divide(self) -> None:
        """Add the processor time since the last poll to the sites of its requests, in proportion to the number of their
        requests and statements, and the time of live connections to the sites that have some.
        """
        now, cpu_s = time.monotonic(), _cpu_s()
        passed_s, used_ms = now - self._polled, (cpu_s - self._cpu_s) * 1000
        self._polled, self._cpu_s = now, cpu_s
        weights, self._weights = self._weights, {}
        whole = sum(weights.values())
        for site_id, weight in weights.items():
            self._row(site_id)[_CPU] += used_ms * weight / whole
        for site_id, connections in self._live().items():
            self._row(site_id)[_LIVE] += passed_s * connections

    def _row(self, site_id: int) -> list[float]:
        key = (site_id, int(time.time()) // 3600)
        row = self._counts.get(key)
        if row is None:
            row = [0.0] * _COUNTS
            if len(self._counts) < self.MOST:
                self._counts[key] = row
        return row


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
