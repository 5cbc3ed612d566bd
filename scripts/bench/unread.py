"""Benchmark of the statement behind the unread flags of a front page, by itself, with every microcosm of the site."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.models.microcosms import microcosm_summary
from scripts.bench import proc

LIMIT_MS = 5.0
TIMES = 200

MICROCOSMS = Query(
    "bench.microcosms",
    """
    SELECT m.microcosm_id FROM microcosms m
     WHERE m.site_id = %(site_id)s AND NOT m.is_deleted AND NOT m.is_moderated
     ORDER BY m.microcosm_id""",
)
IGNORED = Query(
    "bench.ignored",
    """
    SELECT g.item_id FROM ignores g
     WHERE g.site_id = %(site_id)s AND g.profile_id = %(me)s AND g.item_type_id IN (6, 7, 9)""",
)


@dataclass(frozen=True)
class Flags:
    """Result: time of the statement, round trip included, and PostgreSQL's CPU for it if known."""

    microcosms: int
    unread: int
    median_ms: float
    p99_ms: float
    cpu_ms: float | None

    @property
    def is_good(self) -> bool:
        """Return True if the targets are met."""
        return self.median_ms < LIMIT_MS

    def words(self) -> str:
        """Return the figures as text for people."""
        cpu = "" if self.cpu_ms is None else f", {self.cpu_ms:.2f} ms of PostgreSQL's CPU"
        return (
            f"Unread flags of {self.microcosms} microcosms ({self.unread} unread) in one statement: "
            f"median {self.median_ms:.2f} ms, p99 {self.p99_ms:.2f} ms{cpu} (median < {LIMIT_MS:.0f} ms)"
        )


def measure(url: str, site_id: int, me: int, postmaster: int | None) -> Flags:
    """Ask for the flag of each microcosm for the profile `me`, whatever its rights, so that all microcosms take part.

    `postmaster`: id of PostgreSQL's first process, None if it is not on this machine.
    """
    database = Database(url, size=1)
    try:
        reader = database.read()
        ids = [row[0] for row in reader.rows(MICROCOSMS, site_id=site_id)]
        ignored = [row[0] for row in reader.rows(IGNORED, site_id=site_id, me=me)]
        values = {"site_id": site_id, "me": me, "ignored": ignored, "ids": ids, "tops": ids}
        # The first ones prepare it and warm what it reads.
        for _ in range(TIMES // 10):
            found = reader.rows(microcosm_summary.UNREAD, **values)
        took = []
        before = proc.cpu_s(postmaster) if postmaster else None
        for _ in range(TIMES):
            began = time.perf_counter()
            reader.rows(microcosm_summary.UNREAD, **values)
            took.append((time.perf_counter() - began) * 1000)
        after = proc.cpu_s(postmaster) if postmaster else None
        reader.end()
    finally:
        database.close()
    took.sort()
    return Flags(
        microcosms=len(ids),
        unread=len(found),
        median_ms=statistics.median(took),
        p99_ms=took[int(0.99 * TIMES)],
        cpu_ms=None if after is None or before is None else (after - before) * 1000 / TIMES,
    )
