"""Cache of sites by host name, held in memory and at most a second older than the database.

A signed-in request compares a `Site` with the version that its identity statement read. A guest's request relies on the
poll here, and asks PostgreSQL itself where the last poll is older than a second.
"""

from __future__ import annotations

import re
import time
from typing import Final

import psycopg

from forumapi.concurrency.background_thread import PollingThread
from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import Database, Reader
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.errors import NO_SITE, UNPARSABLE, ApiError, Invalid, NotFound, Unavailable
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.sites import site_move_guard, site_state
from forumapi.models.sites.site import COLUMNS, FROM, IS_DELETED, ROOT_KEY, STATE, Site
from forumapi.observability.log import logger
from forumapi.permissions.evaluator import Tree
from forumapi.wire.paging import Paging

# A name, perhaps with a trailing dot, and a port.
_HOST: Final = re.compile(r"([A-Za-z0-9.-]{1,253}?)\.?(?::[0-9]{1,5})?")

# A site that is suspended or in its export window tells so itself; a read-only one is served, unless it is deleted.
_FOUND: Final = "AND (NOT s.is_deleted OR held.state <> 'read-only')"

BY_KEY = Query(
    "site_cache.by_key",
    f"SELECT {COLUMNS} {FROM} WHERE s.subdomain_key = %(key)s {_FOUND}",
    scope=PLATFORM,
)
BY_DOMAIN = Query(
    "site_cache.by_domain",
    f"SELECT {COLUMNS} {FROM} WHERE s.domain = %(domain)s {_FOUND}",
    scope=PLATFORM,
)
BY_ID = Query("site_cache.by_id", f"SELECT {COLUMNS} {FROM} WHERE s.site_id = %(site_id)s")

# Title as people read it, in small letters: it is stored with HTML entities (`clean.escape`).
_TITLE: Final = """lower(replace(replace(replace(replace(replace(
           s.title, '&lt;', '<'), '&gt;', '>'), '&#34;', '"'), '&#39;', ''''), '&amp;', '&'))"""
# Lists of the root host, without the root site, deleted ones and sandboxes.
COUNT = Query(
    "site_cache.count",
    f"""
    SELECT count(*)
      FROM sites s
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by
     WHERE s.site_id <> 1 AND NOT s.is_deleted
       AND NOT EXISTS (SELECT FROM sandboxes b WHERE b.site_id = s.site_id)
       AND (%(user_id)s::bigint IS NULL OR owner.user_id = %(user_id)s::bigint)
       AND (%(words)s::text = '' OR strpos({_TITLE}, lower(%(words)s::text)) > 0)""",
    scope=PLATFORM,
)
PAGE = Query(
    "site_cache.page",
    f"""
    SELECT {COLUMNS} {FROM}
     WHERE s.site_id <> 1 AND NOT s.is_deleted
       AND NOT EXISTS (SELECT FROM sandboxes b WHERE b.site_id = s.site_id)
       AND (%(user_id)s::bigint IS NULL OR owner.user_id = %(user_id)s::bigint)
       AND (%(words)s::text = '' OR strpos({_TITLE}, lower(%(words)s::text)) > 0)
     ORDER BY s.site_id
     LIMIT %(limit)s OFFSET %(offset)s""",
    scope=PLATFORM,
)
HOST = Query(
    "site_cache.host",
    """
    SELECT s.subdomain_key
      FROM sites s
     WHERE s.domain = %(domain)s AND NOT s.is_deleted AND s.site_id <> 1""",
    scope=PLATFORM,
)

# Versions and figures of the sites that this process holds, for the poll: a few bytes a site.
VERSIONS = Query(
    "site_cache.versions",
    """
    SELECT s.site_id, s.version, s.acl_version, s.is_deleted AND coalesce(held.state, 'read-only') = 'read-only',
           coalesce((SELECT h.number FROM event_heads h WHERE h.site_id = s.site_id), 0), x.active_profiles,
           x.online_profiles, coalesce(n.total, 0), x.total_conversations, x.total_events, x.total_comments
      FROM sites s
      JOIN site_stats x ON x.site_id = s.site_id
      LEFT JOIN site_people n ON n.site_id = s.site_id
      LEFT JOIN site_states held ON held.site_id = s.site_id
     WHERE s.site_id = ANY(%(site_ids)s)""",
)


class SiteCache(PollingThread):
    """Cache of sites by host name; its thread polls their versions.

    `poll_ms`: time between polls, unless a write wakes the thread. A guest's site is at most that old, and never older
    than STALE_S: past that, and right after this process has changed versions of the site, the request asks PostgreSQL
    itself. `scheme` and `port_suffix`: of addresses at or below `platform_domain`, the domain below which sites have
    their subdomains; `has_website`: this platform's website shows the sites. At most `most` sites and MOST_BYTES are
    held; the site that was read longest ago is evicted first.
    """

    STALE_S: Final = 1.0
    # Seconds between two polls, however many writes wake the thread, which also polls a tenth of its time at most.
    LEAST_S: Final = 0.02
    MOST_BYTES: Final = 48 * 1024 * 1024

    def __init__(
        self,
        database: Database,
        platform_domain: str,
        *,
        poll_ms: int = 300,
        scheme: str = "https",
        port_suffix: str = "",
        has_website: bool = False,
        most: int = 1000,
    ) -> None:
        super().__init__("site-poll", "site poll failed", poll_ms / 1000)
        self._database = database
        self._most = most
        self.domain = platform_domain.lower().rstrip(".")
        self._scheme = scheme
        self._port_suffix = port_suffix
        self._has_website = has_website
        # Site ids by host name, in lower case.
        self._ids: dict[str, int] = {}
        self._by_id: dict[int, Site] = {}
        self._seen: dict[int, float] = {}  # when a site's versions were last read
        # When this process last moved versions of a site: versions read before that are stale.
        self._written: dict[int, float] = {}
        self._single_flight = SingleFlight()

    def _site(self, row: Row) -> Site:
        return Site(
            row,
            self.domain,
            scheme=self._scheme,
            port_suffix=self._port_suffix,
            has_website=self._has_website,
        )

    # ---------------------------------------------------------------- look-up

    def cached(self, host: str) -> Site | None:
        """Return the site of a Host header if `by_host` has found it under this host and it is still held in memory,
        perhaps outdated; else None, also for a malformed header.
        """
        return self._cached(_name(host))

    def by_host(self, host: str, tx: Reader) -> Site:
        """Return the site of a Host header from memory, which may be outdated, else from the database (platform 2.1);
        also one that is suspended or in its export window. Raises Invalid, code 2, for a malformed header; NotFound,
        code 14, for a host without a site, or whose site is deleted.
        """
        name = _name(host)
        if not name:
            rule = "must be a name, or a name, a colon and a port of up to five digits"
            raise Invalid("Host", rule, code=UNPARSABLE)
        found = self._cached(name)
        if found is None:
            found = self._single_flight.do(
                name, tx, lambda: self._cached(name) or self._find(name, tx)
            )
            # Each site has two names at most, and both go with it.
            self._ids[name] = found.id
        return found

    def _cached(self, name: str) -> Site | None:
        return self._by_id.get(self._ids.get(name, 0))

    def _find(self, name: str, tx: Reader) -> Site:
        asked = time.monotonic()
        row = None
        if name == self.domain:
            row = tx.row(BY_KEY, key=ROOT_KEY)
        elif name.endswith("." + self.domain):
            key = name[: -len(self.domain) - 1]
            if key.isalnum() and key != ROOT_KEY:
                row = tx.row(BY_KEY, key=key)
        else:
            row = tx.row(BY_DOMAIN, domain=name)
        if row is None:
            raise NotFound("There is no such site", code=NO_SITE)
        return self._keep(row, asked)

    def _keep(self, row: Row, asked: float) -> Site:
        """Hold a new snapshot of this row, read at the monotonic time `asked`, and return it; if the held one is as
        new, return that.
        """
        held = self._by_id.get(row[0])
        if held is not None and held.version >= row[1]:
            return held
        if held is not None:
            self.forget(held.id)
        self._mark_read(row[0], asked)
        self._by_id[row[0]] = new = self._site(row)
        self._make_room()
        return new

    def _make_room(self) -> None:
        """Evict the sites that were read longest ago while there are too many sites or bytes; one site stays, however
        big.
        """
        weight = sum(site.weight for site in self._by_id.values())
        while len(self._by_id) > self._most or (weight > self.MOST_BYTES and len(self._by_id) > 1):
            site = next(iter(self._by_id.values()))
            weight -= site.weight
            self.forget(site.id)

    def by_id(self, site_id: int, tx: Reader) -> Site | None:
        """Read the site with this id from the database, even if deleted, without holding it in memory; None if no site
        has this id, or the site that had it was deleted for good.
        """
        row = tx.row(BY_ID, site_id=site_id)
        return self._site(row) if row else None

    def page(
        self, tx: Reader, paging: Paging, owner_user_id: int | None = None, words: str = ""
    ) -> tuple[int, list[Site]]:
        """Return the number of sites and the page `paging` of them, oldest first, read from the database; without the
        root site, sandboxes, and those that are deleted, suspended or in their export window.

        `owner_user_id`: only those that this user owns, None for all; `words`: only those with this plain text, in
        whatever case, in their title, "" for all; both narrow the number too.
        """
        total: int = tx.value(COUNT, user_id=owner_user_id, words=words)
        rows = tx.rows(
            PAGE, user_id=owner_user_id, words=words, limit=paging.limit, offset=paging.offset
        )
        return total, [self._site(row) for row in rows]

    def host_of(self, domain: str, tx: Reader) -> str:
        """Return the API's host of the site that is served under this custom domain. Raises NotFound if none is, or the
        site is deleted, suspended or in its export window (platform 2.3, hosts).
        """
        name = _name(domain)
        key = tx.value(HOST, domain=name) if name else None
        if key is None:
            raise NotFound("No site has this domain", code=NO_SITE)
        return f"{key}.{self.domain}"

    def moved_to(self, host: str, tx: Reader) -> str:
        """Return the address, without a slash at its end, to which the site of a Host header has moved on another
        platform; "" if none has, or the header is malformed.
        """
        name = _name(host)
        return site_move_guard.address_of(tx, name, self.domain) if name else ""

    # ---------------------------------------------------------------- freshness

    def fresh(self, site: Site, tx: Reader) -> Site:
        """Return the present snapshot of `site`, confirmed by the database within the last second. Raises NotFound if
        the site is deleted.
        """
        return self.current(site.id, tx)

    def current(self, site_id: int, tx: Reader) -> Site:
        """Return the site with this id, confirmed by the database within the last second; also one that is suspended or
        in its export window. Raises NotFound if there is none, or it is deleted.
        """
        if self._is_stale(site_id):
            self._single_flight.do(site_id, tx, lambda: self._refresh(site_id, tx))
        return self._current(site_id, tx)

    def renewed(self, site: Site, tx: Reader) -> Site:
        """Return the present snapshot of `site`, confirmed by the database now, however recently it was confirmed, for
        answers that proxies cache.

        Raises NotFound if the site is deleted.
        """
        self._read_versions([site.id], tx)
        return self._current(site.id, tx)

    def _is_stale(self, site_id: int) -> bool:
        return time.monotonic() - self._seen.get(site_id, 0.0) > self.STALE_S

    def mark_written(self, site_id: int) -> None:
        """Record that this process has changed versions of a site (0: of any site), so that `current` asks the database
        before it returns that site.
        """
        for id in (site_id,) if site_id else tuple(self._by_id):
            if id in self._by_id:
                self._written[id] = time.monotonic()
                self._seen.pop(id, None)

    def _mark_read(self, site_id: int, asked: float) -> None:
        """Record that the versions of a site were read at the monotonic time `asked`, unless this process has changed
        them since.
        """
        if asked >= self._written.get(site_id, 0.0):
            self._seen[site_id] = asked

    def _refresh(self, site_id: int, tx: Reader) -> None:
        if self._is_stale(site_id):
            self._read_versions([site_id], tx)

    def confirmed(self, site: Site, version: int, acl_version: int, tx: Reader) -> Site:
        """Return a snapshot of `site` at least as new as these versions, which the caller has just read. Raises
        NotFound if the site is deleted.
        """
        if site.version < version:
            held = self._by_id.get(site.id)
            if held is None or held.version < version:
                self.forget(site.id)
            return self._current(site.id, tx)
        if site.acl_version < acl_version:
            site.acl_version = acl_version
        return site

    def at(self, site_id: int, version: int, acl_version: int, tx: Reader) -> Site:
        """Return a snapshot of the site with this id, at least as new as these versions, which the caller has just
        read. Raises NotFound if there is none, or it is deleted.
        """
        return self.confirmed(self._current(site_id, tx), version, acl_version, tx)

    def _current(self, site_id: int, tx: Reader) -> Site:
        held = self._by_id.get(site_id)
        if held is not None:
            return held
        asked = time.monotonic()
        row = tx.row(BY_ID, site_id=site_id)
        if row is None or (row[IS_DELETED] and row[STATE] in site_state.SERVED):
            raise NotFound("There is no such site", code=NO_SITE)
        return self._keep(row, asked)

    @property
    def held(self) -> int:
        """Return the number of held sites."""
        return len(self._by_id)

    def forget(self, site_id: int) -> None:
        """Evict the site with this id from memory, so that the next request reads it from the database."""
        self._by_id.pop(site_id, None)
        self._seen.pop(site_id, None)
        self._written.pop(site_id, None)
        for host in [host for host, id in self._ids.items() if id == site_id]:
            del self._ids[host]

    def tree(self, site: Site, tx: Reader) -> Tree:
        """Return the site's tree of microcosms and roles, at least as new as `site.acl_version`; read from the database
        if none is held, or only an older one.
        """
        tree = site.tree
        if tree is None or tree.acl_version < site.acl_version:
            # A site that was changed has another snapshot, which holds no tree yet.
            key = (site.id, site.version, site.acl_version)
            tree = site.tree = self._single_flight.do(key, tx, lambda: self._load_tree(site, tx))
            self._make_room()
        return tree

    def _load_tree(self, site: Site, tx: Reader) -> Tree:
        tree = site.tree
        if tree is None or tree.acl_version < site.acl_version:
            tree = load_tree(tx, site.id, site.acl_version)
        return tree

    # ---------------------------------------------------------------- poll

    def pause_s(self, took_s: float) -> float:
        """Return the pause after a poll that took `took_s`: long enough that polls take a tenth of the time at most."""
        return max(self.LEAST_S, 9 * took_s)

    def poll(self) -> None:
        """Read the versions of all held sites; evict those whose document has changed or that are deleted, and give the
        others their present figures, event number and acl_version. A failure is only logged, since requests check how
        old a site is.
        """
        ids = list(self._by_id)
        if not ids:
            return
        reader = self._database.read()
        try:
            self._read_versions(ids, reader)
        except (ApiError, OSError, psycopg.Error) as error:
            level = logger.debug if isinstance(error, Unavailable) else logger.warning
            level("site poll failed: %s", error)
        finally:
            reader.end()

    def _read_versions(self, ids: list[int], tx: Reader) -> None:
        asked = time.monotonic()
        rows = tx.rows(VERSIONS, site_ids=ids)
        for site_id, version, acl_version, is_deleted, head, *stats in rows:
            site = self._by_id.get(site_id)
            if site is None:
                continue
            self._mark_read(site_id, asked)
            if is_deleted or version > site.version:
                self.forget(site_id)
                continue
            if acl_version > site.acl_version:
                site.acl_version = acl_version
            # Two polls may end in the other order than they began.
            site.head = max(site.head, head)
            site.set_stats(tuple(stats))
        # The rows of these are gone for good.
        for site_id in {*ids} - {row[0] for row in rows}:
            self.forget(site_id)


def _name(host: str) -> str:
    """Return the host name in a Host header or domain, in lower case, without port and trailing dot; "" if it is
    malformed.
    """
    found = _HOST.fullmatch(host)
    name = found[1].lower() if found else ""
    return name if name != "." else ""
