"""Sites: from host name to tenant, the site document, and what every request needs to know of its site.

A `Site` is a snapshot of one version of a site's row. Signed-in requests compare it with the version that their
identity statement read; guests rely on `SiteDirectory`'s poll, and on PostgreSQL where that poll is older than 1 s.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.cache.eviction import size
from forumapi.concurrency.single_flight import SingleFlight
from forumapi.database.connections import (
    Database,
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.errors import (
    NO_SITE,
    OUT_OF_RANGE,
    UNPARSABLE,
    ApiError,
    Invalid,
    NotFound,
    Unavailable,
)
from forumapi.models.journal import journal
from forumapi.models.microcosms.tree import load_tree
from forumapi.models.people import membership, profile
from forumapi.models.sites import reserved_subdomains, site_domain, site_rules
from forumapi.models.sites.site_rules import Look, SiteBody
from forumapi.observability.log import logger
from forumapi.permissions.evaluator import Tree
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import Fragment, Hole
from forumapi.wire.paging import Paging

__all__ = [
    "ROOT_ID",
    "ROOT_KEY",
    "Locked",
    "Look",
    "Site",
    "SiteBody",
    "SiteDirectory",
    "create",
    "document",
    "lock",
    "menu_links",
    "update",
]

ROOT_ID: Final = 1
ROOT_KEY: Final = "root"
# Pages that have another name in the API.
_IN_API: Final = {"/updates/settings": "/updates/preferences"}

# A name, perhaps with a trailing dot, and a port.
_HOST: Final = re.compile(r"([A-Za-z0-9.-]{1,253}?)\.?(?::[0-9]{1,5})?")

_COLUMNS: Final = """
    s.site_id, s.version, s.acl_version, s.title, s.description, s.subdomain_key, coalesce(s.domain, ''), s.force_ssl,
    s.created, coalesce(s.created_by, 0), coalesce(s.owned_by, 0), coalesce(s.root_microcosm_id, 0), s.theme_id,
    coalesce(s.logo_url, t.logo_url), coalesce(s.favicon_url, t.favicon_url),
    coalesce(s.background_url, ''), s.background_color, s.background_position, s.link_color,
    coalesce(s.ga_web_property_id, ''), coalesce(s.auth0_domain, ''), coalesce(s.auth0_client_id, ''), s.is_deleted,
    o.only_admins_can_create_microcosms, coalesce(owner.user_id, 0),
    x.active_profiles, x.online_profiles, coalesce(n.total, 0), x.total_conversations, x.total_events, x.total_comments,
    ARRAY(SELECT array_to_json(ARRAY[m.href, m.title, m.text])::text
            FROM menus m WHERE m.site_id = s.site_id ORDER BY m.sequence),
    owner.profile_id, owner.profile_name, owner.is_visible, owner.avatar_url,
    maker.profile_id, maker.profile_name, maker.is_visible, maker.avatar_url,
    coalesce((SELECT h.number FROM event_heads h WHERE h.site_id = s.site_id), 0),
    coalesce(s.web_url, ''), s.web_url_is_operators"""

_FROM: Final = """
      FROM sites s
      JOIN themes t ON t.theme_id = s.theme_id
      JOIN site_options o ON o.site_id = s.site_id
      JOIN site_stats x ON x.site_id = s.site_id
      LEFT JOIN site_people n ON n.site_id = s.site_id
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by
      LEFT JOIN profiles maker ON maker.site_id = s.site_id AND maker.profile_id = s.created_by"""

BY_KEY = Query(
    "site.by_key", f"SELECT {_COLUMNS} {_FROM} WHERE s.subdomain_key = %(key)s AND NOT s.is_deleted"
)
BY_DOMAIN = Query(
    "site.by_domain", f"SELECT {_COLUMNS} {_FROM} WHERE s.domain = %(domain)s AND NOT s.is_deleted"
)
BY_ID = Query("site.by_id", f"SELECT {_COLUMNS} {_FROM} WHERE s.site_id = %(site_id)s")

# Lists of the root host: oldest first, without the root site and deleted ones.
COUNT = Query(
    "site.count",
    """
    SELECT count(*)
      FROM sites s
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by
     WHERE s.site_id <> 1 AND NOT s.is_deleted
       AND (%(user_id)s::bigint IS NULL OR owner.user_id = %(user_id)s::bigint)""",
)
PAGE = Query(
    "site.page",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE s.site_id <> 1 AND NOT s.is_deleted
       AND (%(user_id)s::bigint IS NULL OR owner.user_id = %(user_id)s::bigint)
     ORDER BY s.site_id
     LIMIT %(limit)s OFFSET %(offset)s""",
)
HOST = Query(
    "site.host",
    """
    SELECT s.subdomain_key
      FROM sites s
     WHERE s.domain = %(domain)s AND NOT s.is_deleted AND s.site_id <> 1""",
)

# What the poll reads of the sites this process has served: a few bytes a site.
WATCH = Query(
    "site.watch",
    """
    SELECT s.site_id, s.version, s.acl_version, s.is_deleted,
           coalesce((SELECT h.number FROM event_heads h WHERE h.site_id = s.site_id), 0), x.active_profiles,
           x.online_profiles, coalesce(n.total, 0), x.total_conversations, x.total_events, x.total_comments
      FROM sites s
      JOIN site_stats x ON x.site_id = s.site_id
      LEFT JOIN site_people n ON n.site_id = s.site_id
     WHERE s.site_id = ANY(%(site_ids)s)""",
)

# Bytes of a site with its document, measured; texts of its owner's may be as long again.
_SITE: Final = 12_000

_IS_DELETED: Final = 22  # its place among _COLUMNS

STATS: Final = (
    "activeProfiles",
    "onlineProfiles",
    "totalProfiles",
    "totalConversations",
    "totalEvents",
    "totalComments",
)


# A site with its options and figures; whoever takes a key or domain second waits here and is refused.
INSERT = Query(
    "site.insert",
    """
    WITH made AS (
        INSERT INTO sites (title, description, subdomain_key, domain, force_ssl, theme_id, logo_url, favicon_url,
                           background_url, background_color, background_position, link_color, ga_web_property_id,
                           auth0_domain, auth0_client_id, auth0_client_secret, web_url)
        VALUES (%(title)s, %(description)s, %(key)s, %(domain)s, %(force_ssl)s, %(theme_id)s, %(logo_url)s,
                %(favicon_url)s, %(background_url)s, %(background_color)s, %(background_position)s, %(link_color)s,
                %(ga_web_property_id)s, %(auth0_domain)s, %(auth0_client_id)s, %(auth0_client_secret)s,
                %(web_url)s)
     RETURNING site_id),
    options AS (
        INSERT INTO site_options (site_id, send_email, send_sms, only_admins_can_create_microcosms)
        SELECT site_id, true, false, true FROM made),
    figures AS (
        INSERT INTO site_stats (site_id, active_profiles, online_profiles, total_profiles)
        SELECT site_id, 1, 1, 1 FROM made)
    SELECT site_id FROM made""",
)

# The root microcosm with its counters and default roles (platform 2.3), and the site's references to them.
FURNISH = Query(
    "site.furnish",
    """
    WITH root AS (
        INSERT INTO microcosms (site_id, title, description, created_by, owned_by, item_types)
        VALUES (%(site_id)s, 'Forums', %(description)s, %(owner)s, %(owner)s, '{2,6,9}')
     RETURNING site_id, microcosm_id),
    counters AS (
        INSERT INTO microcosm_counts (site_id, microcosm_id) SELECT site_id, microcosm_id FROM root),
    defaults AS (
        INSERT INTO roles (site_id, microcosm_id, created_by, title, include_guests, include_users, is_banned,
                           can_read, can_create, can_close_own, can_read_others)
        SELECT root.site_id, root.microcosm_id, %(owner)s, r.title, r.guests, r.users, r.banned,
               NOT r.banned, r.users, r.users, r.users
          FROM root
         CROSS JOIN (VALUES ('Guests', true, false, false),
                            ('Members', false, true, false),
                            ('Banned', false, false, true)) AS r (title, guests, users, banned))
    UPDATE sites s
       SET owned_by = %(owner)s, created_by = %(owner)s, root_microcosm_id = root.microcosm_id
      FROM root
     WHERE s.site_id = root.site_id""",
)

# One site of a user's after another, so that the limit holds.
OWNER = Query(
    "site.owner",
    "SELECT u.email FROM users u WHERE u.user_id = %(user_id)s FOR NO KEY UPDATE",
)

OWNED = Query(
    "site.owned",
    """
    SELECT count(*)
      FROM profiles p
      JOIN sites s ON s.site_id = p.site_id AND s.owned_by = p.profile_id
     WHERE p.user_id = %(user_id)s""",
)

HOLD = Query(
    "site.hold",
    "SELECT s.site_id FROM sites s WHERE s.site_id = %(site_id)s FOR NO KEY UPDATE",
)

LOCK = Query(
    "site.lock",
    """
    SELECT s.version, s.is_deleted, coalesce(s.owned_by, 0), coalesce(owner.user_id, 0),
           s.title, s.description, s.domain, s.force_ssl, s.theme_id, s.logo_url, s.favicon_url, s.background_url,
           s.background_color, s.background_position, s.link_color, s.ga_web_property_id, s.auth0_domain,
           s.auth0_client_id, s.auth0_client_secret, s.web_url, s.subdomain_key,
           EXISTS (SELECT FROM site_domains d
                    WHERE d.site_id = s.site_id AND d.domain = s.domain AND d.state = 'proven')
      FROM sites s
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by
     WHERE s.site_id = %(site_id)s
       FOR NO KEY UPDATE OF s""",
)

UPDATE = Query(
    "site.update",
    """
    UPDATE sites s
       SET title = %(title)s, description = %(description)s, domain = %(domain)s, force_ssl = %(force_ssl)s,
           theme_id = %(theme_id)s, logo_url = %(logo_url)s, favicon_url = %(favicon_url)s,
           background_url = %(background_url)s, background_color = %(background_color)s,
           background_position = %(background_position)s, link_color = %(link_color)s,
           ga_web_property_id = %(ga_web_property_id)s, auth0_domain = %(auth0_domain)s,
           auth0_client_id = %(auth0_client_id)s, auth0_client_secret = %(auth0_client_secret)s,
           web_url = %(web_url)s,
           web_url_is_operators = s.web_url_is_operators AND s.web_url IS NOT DISTINCT FROM %(web_url)s,
           is_deleted = %(is_deleted)s, version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)

SET_WEB_URL = Query(
    "site.set_web_url",
    """
    UPDATE sites s SET web_url = %(url)s, web_url_is_operators = true, version = s.version + 1
     WHERE s.site_id = %(site_id)s
 RETURNING s.version""",
)

# What a broken constraint says to whoever sent the value.
_TAKEN: Final = {
    "sites_subdomain_key_key": ("subdomainKey", "is taken"),
    "sites_theme_id_fkey": ("themeId", "there is no such theme"),
}


class Site:
    """One version of a site's row, with what is derived from it. `stats` and `head` alone are replaced in place.

    `head` is the number of an event up to which all are seen by whoever reads the site's state from now on.
    """

    def __init__(
        self, row: Row, platform_domain: str, *, scheme: str = "https", port_suffix: str = ""
    ) -> None:
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
            self.owner_user_id,
        ) = row[:25]
        self.stats: tuple[int, ...] = tuple(row[25:31])
        self.menu: list[list[str]] = [json_fragments.loads(entry) for entry in row[31]]
        self.owner, self.creator = _person(self.id, row[32:36]), _person(self.id, row[36:40])
        self.head: int = row[40]
        self._web_url: str = row[41]
        self._any_web_url: bool = row[42]
        self.platform_domain = platform_domain
        self.is_root = self.id == ROOT_ID
        self._origin = f"{scheme}://{self.host}{port_suffix}"
        self.tree: Tree | None = None
        # The site's own legal texts, once somebody asked for them (models/sites/legal.py).
        self.texts: dict[str, Any] | None = None
        self._document: Fragment | None = None
        self._finished: dict[bytes | None, bytes] = {}

    @property
    def host(self) -> str:
        """The API host: `<key>.<platform domain>`, the bare platform domain for the root site."""
        return self.platform_domain if self.is_root else f"{self.key}.{self.platform_domain}"

    @property
    def origin(self) -> str:
        """Where the API is reached, without a trailing slash: scheme, host and port."""
        return self._origin

    @property
    def url(self) -> str:
        """siteURL (platform 2.2), without a trailing slash."""
        if self.domain and not self.is_root:
            return f"{'https' if self.force_ssl else 'http'}://{self.domain}"
        return self._origin

    @property
    def weight(self) -> int:
        """About how many bytes it takes, with its microcosms and texts."""
        return _SITE + (self.tree.weight if self.tree else 0) + size(self.texts)

    @property
    def web_url(self) -> str:
        """The address of its pages, without a trailing slash; "" where nobody has named one on a host that it has."""
        hosts = (self.host, self.domain)
        is_good = self._any_web_url or urlsplit(self._web_url).hostname in hosts
        return self._web_url if is_good else ""

    @property
    def pages(self) -> str:
        """`web_url`, else where a site with a domain of its own has its pages; "" for a site without pages."""
        return self.web_url or (self.url if self.domain and not self.is_root else "")

    def page(self, path: str) -> str:
        """The whole address of `path`, of the site's pages; without pages that of the same thing in the API."""
        if path.startswith("/api/"):
            return self._origin + path
        if self.pages:
            return self.pages + path
        name, mark, query = path.partition("?")
        name = _IN_API.get(name.rstrip("/"), name.rstrip("/"))
        return f"{self._origin}/api/v1{name}{mark}{query}" if name else self._origin

    def stats_json(self) -> bytes:
        """meta.stats: six metrics."""
        return json_fragments.dumps(
            [
                {"metric": name, "value": value}
                for name, value in zip(STATS, self.stats, strict=True)
            ]
        )

    def count(self, stats: tuple[int, ...]) -> None:
        """Take over new figures for meta.stats."""
        if stats != self.stats:
            self.stats = stats
            self._finished = {}

    def render(self, permissions: bytes | None = None) -> bytes:
        """The site document's bytes; `permissions` is left out when None (platform 2.3)."""
        found = self._finished.get(permissions)
        if found is None:
            if self._document is None:
                self._document = document(self)
            # Kept before it is filled: figures that change meanwhile start another dict.
            kept = self._finished
            found = kept[permissions] = json_fragments.fill(
                self._document,
                {
                    b"stats": self.stats_json(),
                    b"permissions": b""
                    if permissions is None
                    else b',"permissions":' + permissions,
                },
            )
        return found


def _person(site_id: int, columns: Row) -> bytes:
    """A profile summary of these columns; `null` where there is none."""
    return json_fragments.dumps(profile.summary_document(site_id, *columns) if columns[0] else None)


def menu_links(site: Site) -> list[dict[str, str]]:
    """The menu as links: href, title (when there is one), text."""
    return [
        {"href": href, "title": title, "text": text} if title else {"href": href, "text": text}
        for href, title, text in site.menu
    ]


def document(site: Site) -> Fragment:
    """The site document of platform 2.2 with the holes `stats` and `permissions`.

    It shows owner and creator: a rename of either moves the site's version.
    """
    data: dict[str, Any] = {
        "siteId": site.id,
        "siteURL": site.url,
        "title": site.title,
        "description": site.description,
        "subdomainKey": site.key,
        "domain": site.domain,
    }
    if site.web_url:
        data["webUrl"] = site.web_url
    if site.force_ssl:
        data["forceSSL"] = True
    data["ownedBy"] = json_fragments.raw(site.owner)
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
        "created": json_fragments.when(site.created),
        "createdBy": json_fragments.raw(site.creator),
        "flags": {"deleted": site.is_deleted},
        "stats": Hole("stats"),
        "links": [
            {"rel": "self", "href": itemtypes.href(itemtypes.SITE, site.id)},
            {"rel": "microcosm", "href": "/api/v1/microcosms"},
            {"rel": "profile", "href": "/api/v1/profiles"},
            {"rel": "legal", "href": "/api/v1/legal"},
        ],
        json_fragments.OPTIONAL: Hole("permissions"),
    }
    return json_fragments.encode(data)


class SiteDirectory:
    """From host name to `Site`, kept in memory and watched.

    `poll_ms`: how often the watching thread asks for moved versions where nobody wakes it, as writes do. A guest's site
    is at most this old, and never older than STALE_S: past that, and right after this process has moved versions of the
    site, the request asks PostgreSQL itself. `scheme` and `port_suffix` are those of the
    addresses on the platform domain that we build. `most` sites are held, and MOST_BYTES; another one takes the place
    of the one that was read the longest ago, which is read again when it is asked for.
    """

    STALE_S: Final = 1.0
    # Between two looks of the watching thread, however many writes wake it; and a tenth of its time at most.
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
        most: int = 1000,
    ) -> None:
        self._database = database
        self._most = most
        self.domain = platform_domain.lower().rstrip(".")
        self._poll_s = poll_ms / 1000
        self._scheme = scheme
        self._port_suffix = port_suffix
        # By each name of a site, however it was spelled.
        self._ids: dict[str, int] = {}
        self._by_id: dict[int, Site] = {}
        self._seen: dict[int, float] = {}  # when a site's versions were last known to be right
        self._written: dict[
            int, float
        ] = {}  # when this process has last written there; what is older is not right
        self._wake = threading.Event()
        self._single_flight = SingleFlight()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _site(self, row: Row) -> Site:
        return Site(row, self.domain, scheme=self._scheme, port_suffix=self._port_suffix)

    # ---------------------------------------------------------------- look-up

    def known(self, host: str) -> Site | None:
        """The live site that a Host header names, where that is known without asking the database."""
        return self._known(_name(host))

    def by_host(self, host: str, tx: Reader) -> Site:
        """The live site that a Host header names (platform 2.1). Raises Invalid, code 2; NotFound, code 14."""
        name = _name(host)
        if not name:
            rule = "must be a name, or a name, a colon and a port of up to five digits"
            raise Invalid("Host", rule, code=UNPARSABLE)
        found = self._known(name)
        if found is None:
            found = self._single_flight.do(
                name, tx, lambda: self._known(name) or self._find(name, tx)
            )
            # Each site has two names at most, and both go with it.
            self._ids[name] = found.id
        return found

    def _known(self, name: str) -> Site | None:
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
        """The snapshot of this row, or the one that is held if it is as new."""
        known = self._by_id.get(row[0])
        if known is not None and known.version >= row[1]:
            return known
        if known is not None:
            self.forget(known.id)
        self._saw(row[0], asked)
        self._by_id[row[0]] = new = self._site(row)
        self._make_room()
        return new

    def _make_room(self) -> None:
        """Let those go that were read the longest ago, while there are too many, or too large ones."""
        weight = sum(site.weight for site in self._by_id.values())
        while len(self._by_id) > self._most or (weight > self.MOST_BYTES and len(self._by_id) > 1):
            site = next(iter(self._by_id.values()))
            weight -= site.weight
            self.forget(site.id)

    def by_id(self, site_id: int, tx: Reader) -> Site | None:
        """The site of that id, deleted ones included, read afresh; None if there never was one."""
        row = tx.row(BY_ID, site_id=site_id)
        return self._site(row) if row else None

    def page(
        self, tx: Reader, paging: Paging, owner_user_id: int | None = None
    ) -> tuple[int, list[Site]]:
        """How many live sites there are, and one page of them, oldest first; with `owner_user_id` only that user's."""
        total: int = tx.value(COUNT, user_id=owner_user_id)
        rows = tx.rows(PAGE, user_id=owner_user_id, limit=paging.limit, offset=paging.offset)
        return total, [self._site(row) for row in rows]

    def host_of(self, domain: str, tx: Reader) -> str:
        """The API host of the live site with this custom domain. Raises NotFound (platform 2.3, hosts)."""
        name = _name(domain)
        key = tx.value(HOST, domain=name) if name else None
        if key is None:
            raise NotFound("No site has this domain", code=NO_SITE)
        return f"{key}.{self.domain}"

    # ---------------------------------------------------------------- freshness

    def fresh(self, site: Site, tx: Reader) -> Site:
        """`site` as guests may see it: known to be right within the last second. Raises NotFound if it is gone."""
        return self.current(site.id, tx)

    def current(self, site_id: int, tx: Reader) -> Site:
        """The live site of that id, known to be right within the last second. Raises NotFound."""
        if self._is_stale(site_id):
            self._single_flight.do(site_id, tx, lambda: self._look_again(site_id, tx))
        return self._current(site_id, tx)

    def renewed(self, site: Site, tx: Reader) -> Site:
        """`site` as the database has it now: for answers that somebody else keeps. Raises NotFound if it is gone."""
        self._look([site.id], tx)
        return self._current(site.id, tx)

    def _is_stale(self, site_id: int) -> bool:
        return time.monotonic() - self._seen.get(site_id, 0.0) > self.STALE_S

    def wrote(self, site_id: int) -> None:
        """Versions of a site (0: of some site) were moved here: whoever asks from now on is shown no older ones."""
        for id in (site_id,) if site_id else tuple(self._by_id):
            if id in self._by_id:
                self._written[id] = time.monotonic()
                self._seen.pop(id, None)

    def _saw(self, site_id: int, asked: float) -> None:
        """The versions of a site were right when the database was asked."""
        if asked >= self._written.get(site_id, 0.0):
            self._seen[site_id] = asked

    def _look_again(self, site_id: int, tx: Reader) -> None:
        if self._is_stale(site_id):
            self._look([site_id], tx)

    def confirmed(self, site: Site, version: int, acl_version: int, tx: Reader) -> Site:
        """`site` at these versions, which the caller has just read."""
        if site.version < version:
            known = self._by_id.get(site.id)
            if known is None or known.version < version:
                self.forget(site.id)
            return self._current(site.id, tx)
        if site.acl_version < acl_version:
            site.acl_version = acl_version
        return site

    def at(self, site_id: int, version: int, acl_version: int, tx: Reader) -> Site:
        """The live site of that id at these versions, which the caller has just read. Raises NotFound."""
        return self.confirmed(self._current(site_id, tx), version, acl_version, tx)

    def _current(self, site_id: int, tx: Reader) -> Site:
        known = self._by_id.get(site_id)
        if known is not None:
            return known
        asked = time.monotonic()
        row = tx.row(BY_ID, site_id=site_id)
        if row is None or row[_IS_DELETED]:
            raise NotFound("There is no such site", code=NO_SITE)
        return self._keep(row, asked)

    @property
    def held(self) -> int:
        """How many sites are held."""
        return len(self._by_id)

    def forget(self, site_id: int) -> None:
        """Read this site again when it is asked for next."""
        self._by_id.pop(site_id, None)
        self._seen.pop(site_id, None)
        self._written.pop(site_id, None)
        for host in [host for host, known in self._ids.items() if known == site_id]:
            del self._ids[host]

    def tree(self, site: Site, tx: Reader) -> Tree:
        """The site's tree and roles, as new as `site.acl_version`."""
        found = site.tree
        if found is None or found.acl_version < site.acl_version:
            # A site that was changed has another snapshot, which holds no tree yet.
            key = (site.id, site.version, site.acl_version)
            found = site.tree = self._single_flight.do(key, tx, lambda: self._grow(site, tx))
            self._make_room()
        return found

    def _grow(self, site: Site, tx: Reader) -> Tree:
        found = site.tree
        if found is None or found.acl_version < site.acl_version:
            found = load_tree(tx, site.id, site.acl_version)
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
        self._wake.set()
        self._thread = None

    def wake(self) -> None:
        """Something was written, here or elsewhere: look now rather than at the next turn."""
        self._wake.set()

    def _watch(self) -> None:
        while True:
            self._wake.wait(self._poll_s)
            self._wake.clear()
            if self._stop.is_set():
                return
            began = time.monotonic()
            self.poll()
            self._stop.wait(max(self.LEAST_S, 9 * (time.monotonic() - began)))

    def poll(self) -> None:
        """Ask once for the versions of all known sites. A failure is only logged: requests notice by the age."""
        ids = list(self._by_id)
        if not ids:
            return
        reader = self._database.read()
        try:
            self._look(ids, reader)
        except (ApiError, OSError, psycopg.Error) as error:
            level = logger.debug if isinstance(error, Unavailable) else logger.warning
            level("site watch failed: %s", error)
        finally:
            reader.end()

    def _look(self, ids: list[int], tx: Reader) -> None:
        asked = time.monotonic()
        rows = tx.rows(WATCH, site_ids=ids)
        for site_id, version, acl_version, is_deleted, head, *stats in rows:
            site = self._by_id.get(site_id)
            if site is None:
                continue
            self._saw(site_id, asked)
            if is_deleted or version > site.version:
                self.forget(site_id)
                continue
            if acl_version > site.acl_version:
                site.acl_version = acl_version
            # Two looks may end in the other order than they began.
            site.head = max(site.head, head)
            site.count(tuple(stats))


def _name(host: str) -> str:
    """The name in a Host header or domain: lower case, without port and trailing dot; "" if it has no such form."""
    found = _HOST.fullmatch(host)
    name = found[1].lower() if found else ""
    return name if name != "." else ""


class Locked(NamedTuple):
    """A site's row, locked until the transaction ends. `owner_user_id` is who may change it (platform 2.3).

    `has_proof`: DNS has proven that its domain is its own.
    """

    site_id: int
    version: int
    is_deleted: bool
    owned_by: int
    owner_user_id: int
    look: Look
    key: str
    has_proof: bool


def hold(tx: Transaction, site_id: int) -> None:
    """Let nobody else that holds or locks this site in until the end of the transaction."""
    tx.row(HOLD, site_id=site_id)


def lock(tx: Transaction, site_id: int) -> Locked | None:
    """The site's row for a change, deleted ones included; None if there never was one."""
    row = tx.row(LOCK, site_id=site_id)
    if row is None:
        return None
    version, is_deleted, owned_by, owner_user_id, *look, key, has_proof = row
    return Locked(
        site_id, version, is_deleted, owned_by, owner_user_id, Look(*look), key, has_proof
    )


def create(
    tx: Transaction,
    body: SiteBody,
    *,
    user_id: int,
    platform_domain: str = "",
    ip: str = "",
    most: int = 0,
) -> int:
    """A new site with its owner's profile, root microcosm and default roles (platform 2.3); its id.

    Raises Invalid with the name of the field, and for somebody who owns `most` sites (0: any number); NotFound for an
    unknown user.
    """
    key = site_rules.check_key(site_rules.given(body.subdomainKey, ""))
    look = site_rules.merged(body, Look(), platform_domain, (f"{key}.{platform_domain}",))
    if reserved_subdomains.is_reserved(tx, key):
        raise Invalid("subdomainKey", "is reserved")
    email = tx.value(OWNER, user_id=user_id)
    if email is None:
        raise NotFound("There is no such user")
    if most and tx.value(OWNED, user_id=user_id) >= most:
        raise Invalid("", f"A user has at most {most} sites", code=OUT_OF_RANGE)
    with _fields():
        site_id: int = tx.value(INSERT, key=key, **look._replace(domain=None)._asdict())
    site_domain.change(tx, site_id, look.domain, None)
    name = membership.suggested_name(False, user_id, email)
    owner = membership.create(tx, site_id, user_id, name, ip=ip)
    tx.run(FURNISH, site_id=site_id, owner=owner, description=look.description)
    journal.record(
        tx, site_id, journal.CREATED, itemtypes.SITE, site_id, actor=owner, ip=ip, version=1
    )
    return site_id


def update(
    tx: Transaction, locked: Locked, body: SiteBody, *, platform_domain: str = "", ip: str = ""
) -> None:
    """Lay `body` over the site (platform 2.3). `meta.flags.deleted` true deletes it, false brings it back.

    Raises Invalid with the name of the field.
    """
    hosts = [f"{locked.key}.{platform_domain}"]
    if locked.has_proof and locked.look.domain:
        hosts.append(locked.look.domain)
    look = site_rules.merged(body, locked.look, platform_domain, hosts)
    is_deleted = site_rules.deleted(body, locked.is_deleted)
    if is_deleted and locked.site_id == ROOT_ID:
        raise Invalid("meta.flags.deleted", "the root site can't be deleted")
    if look.domain != locked.look.domain:
        served = site_domain.change(tx, locked.site_id, look.domain, locked.look.domain)
        look = look._replace(domain=served)
    with _fields():
        version = tx.value(UPDATE, site_id=locked.site_id, is_deleted=is_deleted, **look._asdict())
    journal.record(
        tx,
        locked.site_id,
        journal.DELETED if is_deleted and not locked.is_deleted else journal.REPLACED,
        itemtypes.SITE,
        locked.site_id,
        actor=locked.owned_by,
        ip=ip,
        version=version,
    )


def set_web_url(tx: Transaction, site_id: int, url: str) -> None:
    """Say for the operator where the pages of a site are, on any host; "" for nowhere. Raises Invalid, NotFound."""
    locked = lock(tx, site_id)
    if locked is None:
        raise NotFound("There is no such site", code=NO_SITE)
    checked = site_rules.check_web_url(url) if url else None
    version = tx.value(SET_WEB_URL, site_id=site_id, url=checked)
    journal.record(
        tx,
        site_id,
        journal.REPLACED,
        itemtypes.SITE,
        site_id,
        actor=locked.owned_by,
        ip="",
        version=version,
    )


@contextlib.contextmanager
def _fields() -> Iterator[None]:
    """A broken constraint of `sites` as Invalid. The transaction is lost then."""
    try:
        yield
    except (pgerrors.UniqueViolation, pgerrors.ForeignKeyViolation) as error:
        found = _TAKEN.get(error.diag.constraint_name or "")
        if found is None:
            raise
        raise Invalid(*found) from None
