"""Cache of pages in the process, revalidated against the database at each use (decision 0008).

A cached page has the snapshot that it was read in. Every transaction that changes something pages show leaves a row in
`site_changes` (sql/functions/site_changes.sql), so that one look-up finds a change that the snapshot did not see. The
answer is exact: it does not depend on time, on a background process or on the process that wrote. An outdated page is
read anew by its ordinary statement.

The state of one viewer (marks, watchers, permission) is never cached.
"""

from __future__ import annotations

import hashlib
import marshal
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from forumapi.cache.lru_cache import Lru, size
from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import Reader
from forumapi.database.query import Query, Row
from forumapi.observability import metrics

# The snapshot of a statement, as a column of it.
SNAPSHOT: Final = "pg_current_snapshot()::text"

# Changes that concern a page (see sql/migrations/0002_site_changes.sql): those of one item, or all of a site.
ANYTHING: Final = 0

# Condition: nothing changed since the snapshot, for a page of one item (0: a list); part of viewers' statements.
# Changes up to the snapshot's xmin are surely in it, so that only the latest rows are read. A database that is behind
# the snapshot was restored from an older copy, and no cached page is current.
IS_CURRENT: Final = """
    NOT EXISTS (SELECT 1 FROM site_changes s
                 WHERE s.site_id = %(site_id)s AND s.changed_in >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
                   AND NOT pg_visible_in_snapshot(s.changed_in, %(snapshot)s::pg_snapshot)
                   AND (%(concerns)s::bigint = 0 OR s.item_id = %(concerns)s OR s.item_id = 0))
    AND pg_snapshot_xmax(pg_current_snapshot()) >= pg_snapshot_xmax(%(snapshot)s::pg_snapshot)"""

CHECK = Query("page_cache.check", f"SELECT {IS_CURRENT}, {SNAPSHOT}")

T = TypeVar("T")


def digest(values: Any) -> bytes:
    """Return a digest, 16 bytes, of `values`, which consist of what marshal can write, such as numbers, texts and
    tuples; for entity tags.
    """
    return hashlib.blake2b(marshal.dumps(values, 2), digest_size=16).digest()


class CachedPage(Generic[T]):
    """Page, as `value`, that was read from the database in `snapshot`. `confirm` replaces the snapshot by a later
    one.
    """

    __slots__ = ("_expires", "_until", "snapshot", "value", "weight")

    def __init__(self, snapshot: str, value: T, until: float | None = None) -> None:
        """Make a page just read. `snapshot`: SNAPSHOT as the statement selected it that read `value`; `until`: Unix
        time after which the page is outdated even without a change, None: never.
        """
        self.value = value
        self._until = until
        self.weight = 0
        self.confirm(snapshot)

    def confirm(self, snapshot: str) -> None:
        """Record that a statement which ran in `snapshot` found the page current."""
        self.snapshot = snapshot
        self._expires = time.monotonic() + LIFETIME_S

    @property
    def can_be_revalidated(self) -> bool:
        """Return False if `until` is over, or if the last snapshot is so old that the log of changes may no longer
        reach back to it.
        """
        if self._until is not None and time.time() >= self._until:
            return False
        return time.monotonic() < self._expires

    def revalidate(self, tx: Reader, query: Query, **params: object) -> Row | None:
        """Run `query`, whose first columns are IS_CURRENT and SNAPSHOT; return its whole row, None without a row.
        `params`: the parameters of `query` beside `snapshot`.

        If IS_CURRENT is true, the page takes SNAPSHOT as its own.
        """
        row = tx.row(query, snapshot=self.snapshot, **params)
        if row is not None and row[0]:
            self.confirm(row[1])
        return row


# Bytes of Python objects around a page, measured.
_OVERHEAD: Final = 400

# Far shorter than the rows that record changes stay (cron.short_lived).
LIFETIME_S: Final = 60.0


class PageCache:
    """Cache of pages in one process, `max_bytes` at most, beyond which the pages that were used longest ago are
    evicted: a page of 25 comments takes about 12 kB.
    """

    def __init__(self, max_bytes: int) -> None:
        self._single_flight = SingleFlight()
        self._pages: Lru[Any, CachedPage[Any]] = Lru(max_bytes, lambda _, page: page.weight)

    def get(self, key: Any) -> CachedPage[Any] | None:
        """Return the page under `key`; None if there is none, or none that can be revalidated. The page may be outdated
        until `revalidate` confirms it.
        """
        page = self._pages.get(key)
        if page is None:
            metrics.CACHE.add(1, "pages", "database")
            return None
        metrics.CACHE.add(1, "pages", "memory")
        return page if page.can_be_revalidated else None

    def put(self, key: Any, page: CachedPage[Any]) -> None:
        """Store a page under `key`, in place of an earlier one, until it is evicted."""
        page.weight = _OVERHEAD + size(key) + size(page.value)
        self._pages.add(key, page)

    def get_or_read(
        self,
        tx: Reader,
        site_id: int,
        concerns: int,
        key: Any,
        read: Callable[[], CachedPage[T] | None],
        *,
        find: Callable[[], CachedPage[T] | None] | None = None,
        key_of: Callable[[T], Any] | None = None,
        stale: CachedPage[T] | None = None,
    ) -> CachedPage[T] | None:
        """Return the page under `key` if one statement confirms it, else read and store it anew; None if `read` returns
        None.

        Concurrent callers with the same `key` share one read, whose page all of them get. `concerns`: id of the item
        that the page shows, or ANYTHING; `stale`: a page that the caller has found outdated, and is not to be confirmed
        again. For pages that are stored under another key than `key`: `find`, in place of the look-up under `key`,
        returns the stored page or None, and `key_of` returns the key to store the value of a read page under.
        """

        def once() -> CachedPage[T] | None:
            cached = find() if find else self.get(key)
            if cached is not None and cached is not stale:
                row = cached.revalidate(tx, CHECK, site_id=site_id, concerns=concerns)
                if row is not None and row[0]:
                    return cached
            page = read()
            if page is not None:
                self.put(key_of(page.value) if key_of else key, page)
            return page

        return self._single_flight.do(key, tx, once)

    @property
    def bytes(self) -> int:
        """Return the size of all stored pages in bytes."""
        return self._pages.weight
