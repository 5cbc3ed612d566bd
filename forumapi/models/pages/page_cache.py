"""Pages kept in the process, and how it knows that they still are what the database would say (decision 0008).

A kept page remembers the snapshot that it was read in. Every transaction that changes something pages show leaves a
row in `site_changes` (sql/functions/site_changes.sql), so one look-up tells whether anything was committed since that
the snapshot did not see. The answer is exact: it does not hang on time, on a background process or on which process
wrote. A page that fails the test is read anew, in its ordinary statement.

What belongs to one viewer (marks, watchers, permission) is never kept.
"""

from __future__ import annotations

import hashlib
import marshal
import time
from typing import Any, Final, Generic, TypeVar

from forumapi.cache.eviction import Lru, size
from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import Query, Reader, Row
from forumapi.observability import metrics

# The snapshot of a statement, as a column of it.
SNAPSHOT: Final = "pg_current_snapshot()::text"

# Which changes concern a page (see sql/migrations/0002_site_changes.sql): those of one item, or all of a site.
ANYTHING: Final = 0

# Whether nothing has changed since the snapshot, for a page of one item (0: a list); part of viewers' statements.
# Changes up to the snapshot's xmin are surely in it, so that only the latest rows are looked at. A database that is
# behind the snapshot was restored from an older copy: then nothing kept holds.
IS_CURRENT: Final = """
    NOT EXISTS (SELECT 1 FROM site_changes s
                 WHERE s.site_id = %(site_id)s AND s.changed_in >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
                   AND NOT pg_visible_in_snapshot(s.changed_in, %(snapshot)s::pg_snapshot)
                   AND (%(concerns)s::bigint = 0 OR s.item_id = %(concerns)s OR s.item_id = 0))
    AND pg_snapshot_xmax(pg_current_snapshot()) >= pg_snapshot_xmax(%(snapshot)s::pg_snapshot)"""

CHECK = Query("kept.check", f"SELECT {IS_CURRENT}, {SNAPSHOT}")

T = TypeVar("T")


def digest(values: Any) -> bytes:
    """Return a digest of plain values for entity tags: computed once for a page, however often it is shown."""
    return hashlib.blake2b(marshal.dumps(values, 2), digest_size=16).digest()


class Kept(Generic[T]):
    """Something read from the database in `snapshot`. `confirm` moves the snapshot on."""

    __slots__ = ("_expires", "_until", "snapshot", "value", "weight")

    def __init__(self, snapshot: str, value: T, until: float | None = None) -> None:
        """`until`: Unix time at which time alone makes it wrong; None: never."""
        self.value = value
        self._until = until
        self.weight = 0
        self.confirm(snapshot)

    def confirm(self, snapshot: str) -> None:
        """It was found current by a statement that ran in `snapshot`."""
        self.snapshot = snapshot
        self._expires = time.monotonic() + LIFETIME_S

    @property
    def may_be_asked(self) -> bool:
        """False once the rows that would tell of a change may be gone, or time has made it wrong."""
        if self._until is not None and time.time() >= self._until:
            return False
        return time.monotonic() < self._expires


# Bytes of Python objects around a page, measured.
_OVERHEAD: Final = 400

# Far less than the rows that tell of changes stay (cron.short_lived).
LIFETIME_S: Final = 60.0


class Pages:
    """The kept pages of one process, `max_bytes` at most: one of 25 comments takes about 12 kB."""

    def __init__(self, max_bytes: int) -> None:
        self.single_flight = SingleFlight()
        self._kept: Lru[Any, Kept[Any]] = Lru(max_bytes, lambda _, kept: kept.weight)

    def get(self, key: Any) -> Kept[Any] | None:
        """Return the page that is cached under `key`, if it may still be revalidated."""
        found = self._kept.get(key)
        if found is None:
            metrics.CACHE.add(1, "pages", "database")
            return None
        metrics.CACHE.add(1, "pages", "memory")
        return found if found.may_be_asked else None

    def keep(self, key: Any, kept: Kept[Any]) -> None:
        """Keep it until it is crowded out."""
        kept.weight = _OVERHEAD + size(key) + size(kept.value)
        self._kept.add(key, kept)

    @property
    def bytes(self) -> int:
        """Return the bytes of all pages."""
        return self._kept.weight


def ask(tx: Reader, query: Query, kept: Kept[Any], **params: object) -> Row | None:
    """The row of a statement that begins with IS_CURRENT and SNAPSHOT: whether `kept` still holds, its snapshot, and
    what else it is asked; None without a row."""
    row = tx.row(query, snapshot=kept.snapshot, **params)
    if row is not None and row[0]:
        kept.confirm(row[1])
    return row


def is_current(tx: Reader, site_id: int, kept: Kept[Any], concerns: int) -> bool:
    """Return if `kept` still is what the database would return; for guests, whose pages need nothing else."""
    row = ask(tx, CHECK, kept, site_id=site_id, concerns=concerns)
    assert row is not None
    return bool(row[0])
