"""Sites: from host name to tenant, the site document, and what every request needs to know of its site.

A `Site` is a snapshot of one version of a site's row. Signed-in requests compare it with the version that their
identity statement read; guests rely on `SiteDirectory`'s poll, and on PostgreSQL where that poll is older than 1 s.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from forumapi import fragments, itemtypes
from forumapi.db import Database, Query, Reader
from forumapi.errors import NO_SITE, ApiError, NotFound, Unavailable
from forumapi.fragments import Fragment, Hole
from forumapi.log import logger
from forumapi.models import profile, tree
from forumapi.models.documents import Documents
from forumapi.permissions import Tree

ROOT_ID: Final = 1
ROOT_KEY: Final = "root"

_COLUMNS: Final = """
    s.site_id, s.version, s.acl_version, s.title, s.description, s.subdomain_key, coalesce(s.domain, ''), s.force_ssl,
    s.created, coalesce(s.created_by, 0), coalesce(s.owned_by, 0), coalesce(s.root_microcosm_id, 0), s.theme_id,
    coalesce(s.logo_url, t.logo_url), coalesce(s.favicon_url, t.favicon_url),
    coalesce(s.background_url, t.background_url), s.background_color, s.background_position, s.link_color,
    coalesce(s.ga_web_property_id, ''), coalesce(s.auth0_domain, ''), coalesce(s.auth0_client_id, ''), s.is_deleted,
    o.only_admins_can_create_microcosms, s.search_language::text, coalesce(owner.user_id, 0),
    x.active_profiles, x.online_profiles, x.total_profiles, x.total_conversations, x.total_events, x.total_comments,
    ARRAY(SELECT array_to_json(ARRAY[m.href, m.title, m.text])::text
            FROM menus m WHERE m.site_id = s.site_id ORDER BY m.sequence)"""

_FROM: Final = """
      FROM sites s
      JOIN themes t ON t.theme_id = s.theme_id
      JOIN site_options o ON o.site_id = s.site_id
      JOIN site_stats x ON x.site_id = s.site_id
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by"""

BY_KEY = Query(
    "site.by_key", f"SELECT {_COLUMNS} {_FROM} WHERE s.subdomain_key = %(key)s AND NOT s.is_deleted"
)
BY_DOMAIN = Query(
    "site.by_domain", f"SELECT {_COLUMNS} {_FROM} WHERE s.domain = %(domain)s AND NOT s.is_deleted"
)
BY_ID = Query("site.by_id", f"SELECT {_COLUMNS} {_FROM} WHERE s.site_id = %(site_id)s")

# What the poll reads of the sites this process has served: a few bytes a site.
WATCH = Query(
    "site.watch",
    """
    SELECT s.site_id, s.version, s.acl_version, s.is_deleted, x.active_profiles, x.online_profiles, x.total_profiles,
           x.total_conversations, x.total_events, x.total_comments
      FROM sites s JOIN site_stats x ON x.site_id = s.site_id
     WHERE s.site_id = ANY(%(site_ids)s)""",
)

STATS: Final = (
    "activeProfiles",
    "onlineProfiles",
    "totalProfiles",
    "totalConversations",
    "totalEvents",
    "totalComments",
)


class Site:
    """One version of a site's row, with what is derived from it. `stats` alone is replaced in place."""

    def __init__(self, row: tuple[Any, ...], platform_domain: str) -> None:
        (
            self.id,
            self.version,
            self.acl_version,
            self.title,
            self.description,
            self.key,
            self.domain,
            self.force_ssl,
            self.created,
            self.created_by,
            self.owned_by,
            self.root_microcosm_id,
            self.theme_id,
            self.logo_url,
            self.favicon_url,
            self.background_url,
            self.background_color,
            self.background_position,
            self.link_color,
            self.ga_web_property_id,
            self.auth0_domain,
            self.auth0_client_id,
            self.is_deleted,
            self.only_admins_create,
            self.language,
            self.owner_user_id,
        ) = row[:26]
        self.stats: tuple[int, ...] = tuple(row[26:32])
        self.menu: list[list[str]] = [fragments.loads(entry) for entry in row[32]]
        self.platform_domain = platform_domain
        self.is_root = self.id == ROOT_ID
        self.tree: Tree | None = None
        self.document: Fragment | None = None

    @property
    def host(self) -> str:
        """The API host: `<key>.<platform domain>`, the bare platform domain for the root site."""
        return self.platform_domain if self.is_root else f"{self.key}.{self.platform_domain}"

    @property
    def url(self) -> str:
        """siteURL (platform 2.2), without a trailing slash."""
        if self.domain:
            return f"{'https' if self.force_ssl else 'http'}://{self.domain}"
        return f"https://{self.host}"

    def stats_json(self) -> bytes:
        """meta.stats: six metrics."""
        return fragments.dumps(
            [
                {"metric": name, "value": value}
                for name, value in zip(STATS, self.stats, strict=True)
            ]
        )


def menu_links(site: Site) -> list[dict[str, str]]:
    """The menu as links: href, title (when there is one), text."""
    return [
        {"href": href, "title": title, "text": text} if title else {"href": href, "text": text}
        for href, title, text in site.menu
    ]


def document(site: Site, owner: bytes, creator: bytes) -> Fragment:
    """The site document of platform 2.2 with the holes `stats` and `permissions`.

    `owner` and `creator` are profile summaries; a rename of either moves the site's version.
    """
    data: dict[str, Any] = {
        "siteId": site.id,
        "siteURL": site.url,
        "title": site.title,
        "description": site.description,
        "subdomainKey": site.key,
        "domain": site.domain,
    }
    if site.force_ssl:
        data["forceSSL"] = True
    data["ownedBy"] = fragments.raw(owner)
    data["themeId"] = site.theme_id
    data["logoUrl"] = site.logo_url
    if site.favicon_url:
        data["faviconUrl"] = site.favicon_url
    data["backgroundColor"] = site.background_color
    if site.background_url:
        data["backgroundUrl"] = site.background_url
        data["backgroundPosition"] = site.background_position
    data["linkColor"] = site.link_color
    if site.ga_web_property_id:
        data["gaWebPropertyId"] = site.ga_web_property_id
    data["menu"] = menu_links(site)
    if site.auth0_domain:
        data["auth0Domain"] = site.auth0_domain
    if site.auth0_client_id:
        data["auth0ClientId"] = site.auth0_client_id
    data["meta"] = {
        "created": fragments.when(site.created),
        "createdBy": fragments.raw(creator),
        "flags": {"deleted": site.is_deleted},
        "stats": Hole("stats"),
        "links": [
            {"rel": "self", "href": itemtypes.href(itemtypes.SITE, site.id)},
            {"rel": "microcosm", "href": "/api/v1/microcosms"},
            {"rel": "profile", "href": "/api/v1/profiles"},
            {"rel": "legal", "href": "/api/v1/legal"},
        ],
        fragments.OPTIONAL: Hole("permissions"),
    }
    return fragments.encode(data)


class SiteDirectory:
    """From host name to `Site`, kept in memory and watched.

    `poll_ms`: how often the watching thread asks for moved versions. A guest's site is at most this old, and never
    older than STALE_S: past that the request asks PostgreSQL itself.
    """

    STALE_S: Final = 1.0

    def __init__(self, database: Database, platform_domain: str, *, poll_ms: int = 300) -> None:
        self._database = database
        self._domain = platform_domain.lower().rstrip(".")
        self._poll_s = poll_ms / 1000
        self._by_host: dict[str, Site] = {}
        self._by_id: dict[int, Site] = {}
        self._seen: dict[int, float] = {}  # when a site's versions were last known to be right
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # ---------------------------------------------------------------- look-up

    def by_host(self, host: str, tx: Reader) -> Site:
        """The live site that a Host header names (platform 2.1). Raises NotFound, code 14."""
        found = self._by_host.get(host)
        if found is None:
            found = self._find(host, tx)
            if len(self._by_host) > 20_000:
                self._by_host.clear()
            self._by_host[host] = self._by_id[found.id] = found
        return found

    def _find(self, host: str, tx: Reader) -> Site:
        name = host.lower()
        name = name.rsplit(":", 1)[0] if ":" in name and not name.endswith("]") else name
        name = name.rstrip(".")
        asked = time.monotonic()
        row = None
        if name == self._domain:
            row = tx.row(BY_KEY, key=ROOT_KEY)
        elif name.endswith("." + self._domain):
            key = name[: -len(self._domain) - 1]
            if key.isascii() and key.isalnum() and key != ROOT_KEY:
                row = tx.row(BY_KEY, key=key)
        elif name and len(name) <= 253:
            row = tx.row(BY_DOMAIN, domain=name)
        if row is None:
            raise NotFound("There is no such site", code=NO_SITE)
        self._seen[row[0]] = asked
        return Site(row, self._domain)

    def by_id(self, site_id: int, tx: Reader) -> Site | None:
        """The site of that id, deleted ones included, read afresh; None if there never was one."""
        row = tx.row(BY_ID, site_id=site_id)
        return Site(row, self._domain) if row else None

    # ---------------------------------------------------------------- freshness

    def fresh(self, site: Site, tx: Reader) -> Site:
        """`site` as guests may see it: known to be right within the last second. Raises NotFound if it is gone."""
        if time.monotonic() - self._seen.get(site.id, 0.0) > self.STALE_S:
            self._look([site.id], tx)
        return self._current(site, tx)

    def confirmed(self, site: Site, version: int, acl_version: int, tx: Reader) -> Site:
        """`site` at these versions, which the caller has just read."""
        if site.version < version:
            self._forget(site)
            return self._current(site, tx)
        if site.acl_version < acl_version:
            site.acl_version = acl_version
        return site

    def _current(self, site: Site, tx: Reader) -> Site:
        known = self._by_id.get(site.id)
        if known is site:
            return site
        asked = time.monotonic()
        row = tx.row(BY_ID, site_id=site.id)
        if row is None or row[22]:
            raise NotFound("There is no such site", code=NO_SITE)
        self._seen[site.id] = asked
        self._by_id[site.id] = new = Site(row, self._domain)
        return new

    def _forget(self, site: Site) -> None:
        self._by_id.pop(site.id, None)
        for host in [host for host, known in self._by_host.items() if known.id == site.id]:
            del self._by_host[host]

    def tree(self, site: Site, tx: Reader) -> Tree:
        """The site's tree and roles, as new as `site.acl_version`."""
        found = site.tree
        if found is None or found.acl_version < site.acl_version:
            found = site.tree = tree.load(tx, site.id, site.acl_version)
        return found

    # ---------------------------------------------------------------- the poll

    def start(self) -> None:
        """Watch in the background until `stop`."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="site-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the watching thread."""
        self._stop.set()
        self._thread = None

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.poll()

    def poll(self) -> None:
        """Ask once for the versions of all known sites. A failure is only logged: requests notice by the age."""
        ids = list(self._by_id)
        if not ids:
            return
        reader = self._database.read()
        try:
            self._look(ids, reader)
        except (ApiError, OSError) as error:
            level = logger.debug if isinstance(error, Unavailable) else logger.warning
            level("site watch failed: %s", error)
        finally:
            reader.end()

    def _look(self, ids: list[int], tx: Reader) -> None:
        asked = time.monotonic()
        rows = tx.rows(WATCH, site_ids=ids)
        for site_id, version, acl_version, is_deleted, *stats in rows:
            site = self._by_id.get(site_id)
            self._seen[site_id] = asked
            if site is None:
                continue
            if is_deleted or version > site.version:
                self._forget(site)
                continue
            if acl_version > site.acl_version:
                site.acl_version = acl_version
            site.stats = tuple(stats)


def render(site: Site, tx: Reader, documents: Documents, permissions: bytes | None) -> bytes:
    """The site document's bytes; `permissions` is left out when None (platform 2.3)."""
    if site.document is None:
        found = profile.summaries(tx, documents, site.id, {site.owned_by, site.created_by} - {0})
        nobody = b"null"
        site.document = document(
            site, found.get(site.owned_by, nobody), found.get(site.created_by, nobody)
        )
    return fragments.fill(
        site.document,
        {
            b"stats": site.stats_json(),
            b"permissions": b"" if permissions is None else b',"permissions":' + permissions,
        },
    )
