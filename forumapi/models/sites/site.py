"""Sites: snapshots of their rows with the site document, and their creation and change (platform 2.3).

site_cache.py finds and holds the snapshots.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from psycopg import errors as pgerrors

from forumapi import itemtypes
from forumapi.cache.lru_cache import size
from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query, Row
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound
from forumapi.models.content import reaction
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from forumapi.models.people import profile, profile_summary
from forumapi.models.people.profile import Profile
from forumapi.models.sites import site_move_guard, site_validation, subdomain_availability
from forumapi.models.sites.site_domain import SiteDomain
from forumapi.models.sites.site_validation import SiteBody, SiteSettings
from forumapi.permissions.evaluator import Tree
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.json_fragments import Fragment, Hole

ROOT_ID: Final = 1
ROOT_KEY: Final = "root"
# Types that may stand in a new root microcosm.
_ROOT_TYPES: Final = (itemtypes.MICROCOSM, itemtypes.CONVERSATION, itemtypes.EVENT)
# Addresses of pages that have another name in the API.
_IN_API: Final = {"/updates/settings": "/updates/preferences"}

COLUMNS: Final = """
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
    coalesce(s.web_url, ''), s.web_url_is_operators,
    (SELECT v.value::text FROM site_settings v WHERE v.site_id = s.site_id AND v.key = 'reactions'),
    s.names_moderators,
    (SELECT json_agg(json_build_array(r.rule_id, r.version, r.mode, r.event, r.definition, r.created, r.since)
                     ORDER BY r.rule_id)::text
       FROM rules r
      WHERE r.site_id = s.site_id AND r.mode = 'active' AND r.definition ->> 'action' IN ('hold', 'hide', 'delete')),
    (SELECT v.value::text FROM site_settings v
      WHERE v.site_id = s.site_id AND v.key = 'checks' AND v.value @> '{"beforeShown": true}'),
    EXISTS (SELECT FROM site_moves v WHERE v.site_id = s.site_id), o.agents,
    coalesce((SELECT v.plan FROM site_plans v WHERE v.site_id = s.site_id), ''),
    (SELECT v.value::text FROM site_settings v WHERE v.site_id = s.site_id AND v.key = 'crawling'),
    coalesce(held.state, 'active'), held.due,
    EXISTS (SELECT FROM sandboxes b WHERE b.site_id = s.site_id)"""

FROM: Final = """
      FROM sites s
      JOIN themes t ON t.theme_id = s.theme_id
      JOIN site_options o ON o.site_id = s.site_id
      JOIN site_stats x ON x.site_id = s.site_id
      LEFT JOIN site_people n ON n.site_id = s.site_id
      LEFT JOIN site_states held ON held.site_id = s.site_id
      LEFT JOIN profiles owner ON owner.site_id = s.site_id AND owner.profile_id = s.owned_by
      LEFT JOIN profiles maker ON maker.site_id = s.site_id AND maker.profile_id = s.created_by"""

# Bytes of a site with its document, measured; texts by its owner may be as long again.
_SITE: Final = 12_000

IS_DELETED: Final = 22  # its place among COLUMNS
STATE: Final = 51  # likewise

STATS: Final = (
    "activeProfiles",
    "onlineProfiles",
    "totalProfiles",
    "totalConversations",
    "totalEvents",
    "totalComments",
)


# A site with its options and figures. The second of two requests for one key or domain waits here and is refused.
INSERT = Query(
    "site.insert",
    """
    WITH made AS (
        INSERT INTO sites (title, description, subdomain_key, domain, force_ssl, theme_id, logo_url, favicon_url,
                           background_url, background_color, background_position, link_color, ga_web_property_id,
                           auth0_domain, auth0_client_id, auth0_client_secret, web_url, names_moderators)
        VALUES (%(title)s, %(description)s, %(key)s, %(domain)s, %(force_ssl)s, %(theme_id)s, %(logo_url)s,
                %(favicon_url)s, %(background_url)s, %(background_color)s, %(background_position)s, %(link_color)s,
                %(ga_web_property_id)s, %(auth0_domain)s, %(auth0_client_id)s, %(auth0_client_secret)s,
                %(web_url)s, %(names_moderators)s)
     RETURNING site_id),
    options AS (
        INSERT INTO site_options (site_id, send_email, send_sms, only_admins_can_create_microcosms)
        SELECT site_id, true, false, true FROM made),
    figures AS (
        INSERT INTO site_stats (site_id, active_profiles, online_profiles, total_profiles)
        SELECT site_id, 1, 1, 1 FROM made)
    SELECT site_id FROM made""",
    scope=PLATFORM,
)

# The root microcosm with its counters and default roles (platform 2.3), and the site's references to them.
CREATE_DEFAULTS = Query(
    "site.create_defaults",
    """
    WITH root AS (
        INSERT INTO microcosms (site_id, title, description, created_by, owned_by, item_types)
        VALUES (%(site_id)s, 'Forums', %(description)s, %(owner)s, %(owner)s, %(item_types)s)
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

# The lock lets a user create one site after another, so that the limit holds.
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
    scope=PLATFORM,
)

LOCK_ONLY = Query(
    "site.lock_only",
    "SELECT s.site_id FROM sites s WHERE s.site_id = %(site_id)s FOR NO KEY UPDATE",
)

LOCK = Query(
    "site.lock",
    """
    SELECT s.version,
           s.is_deleted
           AND NOT EXISTS (SELECT FROM site_states v WHERE v.site_id = s.site_id AND v.state <> 'read-only'),
           coalesce(s.owned_by, 0), coalesce(owner.user_id, 0),
           s.title, s.description, s.domain, s.force_ssl, s.theme_id, s.logo_url, s.favicon_url, s.background_url,
           s.background_color, s.background_position, s.link_color, s.ga_web_property_id, s.auth0_domain,
           s.auth0_client_id, s.auth0_client_secret, s.web_url, s.names_moderators, s.subdomain_key,
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
           web_url = %(web_url)s, names_moderators = %(names_moderators)s,
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

# Fields and messages for broken constraints.
_TAKEN: Final = {
    "sites_subdomain_key_key": ("subdomainKey", "is taken"),
    "sites_theme_id_fkey": ("themeId", "there is no such theme"),
}


class Site:
    """Snapshot of one version of a site's row, with its document; one object for each version. Of its values only
    `stats`, `head` and `acl_version` with its tree are replaced by newer ones later.

    `row`: COLUMNS of one site; `platform_domain`: the domain below which sites have their subdomains; `scheme`,
    `port_suffix` (such as ":8080", "" for none): of the API's address there; `has_website`: this platform's website
    runs on the site's own hosts. `head`: number of an event; whoever reads the site's state afterwards sees the effects
    of all events up to it.
    """

    def __init__(
        self,
        row: Row,
        platform_domain: str,
        *,
        scheme: str = "https",
        port_suffix: str = "",
        has_website: bool = False,
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
        self._reactions: str | None = row[43]
        self.names_moderators: bool = row[44]
        # JSON of the active rules that hide things, and of the checks that judge at writing; "" for none.
        self.hiding_rules: str = row[45] or ""
        self.first_checks: str = row[46] or ""
        # Each write asks whether the site takes it (models/sites/site_move_guard.py).
        self.is_moving: bool = row[47]
        # How far agents may go (agents/tools.py, LEVELS).
        self.agents: str = row[48]
        # Name of the plan that an operator gave it; "" for none.
        self.plan: str = row[49]
        # JSON of its policy for crawlers; "" for the platform's.
        self.crawling: str = row[50] or ""
        # One of models/sites/site_state.py, and the end of its export window.
        self.state: str = row[STATE]
        self.due: datetime.datetime | None = row[52]
        # Nothing leaves it, and nobody is asked in (models/sites/sandbox.py).
        self.is_sandbox: bool = row[53]
        self.platform_domain = platform_domain
        self._has_website = has_website
        self.is_root = self.id == ROOT_ID
        self._origin = f"{scheme}://{self.host}{port_suffix}"
        self.tree: Tree | None = None
        # The site's own legal texts, once they were read (models/sites/legal.py).
        self.texts: dict[str, Any] | None = None
        # The rules of `hiding_rules`, once they were decoded (models/rules/engine.py).
        self.decoded_rules: Sequence[Any] | None = None
        self._document: Fragment | None = None
        self._finished: dict[bytes | None, bytes] = {}

    @property
    def host(self) -> str:
        """Return the host of the API: `<key>.<platform domain>`, for the root site the platform domain itself."""
        return self.platform_domain if self.is_root else f"{self.key}.{self.platform_domain}"

    @property
    def origin(self) -> str:
        """Return the address of the API, without a trailing slash: scheme, host and port."""
        return self._origin

    @property
    def url(self) -> str:
        """Return siteURL (platform 2.2), without a trailing slash: the address on the custom domain, else, and for the
        root site always, that of the API.
        """
        if self.domain and not self.is_root:
            return f"{'https' if self.force_ssl else 'http'}://{self.domain}"
        return self._origin

    @property
    def weight(self) -> int:
        """Return about how many bytes the snapshot takes in memory, with its tree and texts."""
        held = len(self.hiding_rules) * 8 + len(self.first_checks)
        return _SITE + held + (self.tree.weight if self.tree else 0) + size(self.texts)

    @property
    def web_url(self) -> str:
        """Return the address of the site's pages, without a trailing slash; "" for a site without pages.

        The address is the one that was set, if that is on one of the site's hosts or an operator set it; else `url` if
        the website runs.
        """
        hosts = (self.host, self.domain)
        is_good = self._any_web_url or urlsplit(self._web_url).hostname in hosts
        chosen = self._web_url if is_good else ""
        return chosen or (self.url if self._has_website else "")

    @property
    def pages(self) -> str:
        """Return `web_url`, else, if the site has a custom domain and is not the root site, `url`; "" for a site
        without pages.
        """
        return self.web_url or (self.url if self.domain and not self.is_root else "")

    def page(self, path: str) -> str:
        """Return the whole address of `path`, the path of a page of the site or of the API, with its leading slash, or
        "" for the site's first page. For a site without pages, return the address of the same thing in the API.
        """
        if path.startswith("/api/"):
            return self._origin + path
        if self.pages:
            return self.pages + path
        name, mark, query = path.partition("?")
        name = _IN_API.get(name.rstrip("/"), name.rstrip("/"))
        return f"{self._origin}/api/v1{name}{mark}{query}" if name else self._origin

    def stats_json(self) -> bytes:
        """Return meta.stats of the site document as JSON: the six figures of `stats`, with their names."""
        return json_fragments.dumps(
            [
                {"metric": name, "value": value}
                for name, value in zip(STATS, self.stats, strict=True)
            ]
        )

    def set_stats(self, stats: tuple[int, ...]) -> None:
        """Replace the figures of meta.stats, in the order of STATS."""
        if stats != self.stats:
            self.stats = stats
            self._finished = {}

    def render(self, permissions: bytes | None = None) -> bytes:
        """Render the site document as JSON. `permissions`: the viewer's, as JSON; None leaves them and the kinds of
        reactions out (platform 2.3).
        """
        rendered = self._finished.get(permissions)
        if rendered is None:
            if self._document is None:
                self._document = self._build_document()
            # Taken before the holes are filled: figures that change meanwhile start another dict.
            finished = self._finished
            own = {}
            if permissions is not None:
                kinds = json_fragments.dumps(
                    [kind.document for kind in reaction.stored(self._reactions)]
                )
                own = {
                    b"permissions": b',"permissions":' + permissions,
                    b"reactions": b',"reactions":' + kinds,
                }
            rendered = finished[permissions] = json_fragments.fill(
                self._document,
                {
                    b"stats": self.stats_json(),
                    **dict.fromkeys((b"permissions", b"reactions"), b""),
                    **own,
                },
            )
        return rendered

    @property
    def menu_links(self) -> list[dict[str, str]]:
        """Return the menu as dicts for JSON, HTML-escaped as stored: href, title (if there is one), text; in the menu's
        order, [] without a menu.
        """
        return [
            {"href": href, "title": title, "text": text} if title else {"href": href, "text": text}
            for href, title, text in self.menu
        ]

    def _build_document(self) -> Fragment:
        """Build the site document of platform 2.2 with the holes `reactions`, `stats` and `permissions`.

        The document shows owner and creator, so a rename of either increments the site's version.
        """
        data: dict[str, Any] = {
            "siteId": self.id,
            "siteURL": self.url,
            "title": self.title,
            "description": self.description,
            "subdomainKey": self.key,
            "domain": self.domain,
        }
        if self.web_url:
            data["webUrl"] = self.web_url
        if self.force_ssl:
            data["forceSSL"] = True
        if self.names_moderators:
            data["namesModerators"] = True
        data["ownedBy"] = json_fragments.raw(self.owner)
        data["themeId"] = self.theme_id
        data["logoUrl"] = self.logo_url
        if self.favicon_url:
            data["faviconUrl"] = self.favicon_url
        data["backgroundColor"] = self.background_color
        if self.background_url:
            data["backgroundUrl"] = self.background_url
            data["backgroundPosition"] = self.background_position
        data["linkColor"] = self.link_color
        if self.ga_web_property_id:
            data["gaWebPropertyId"] = self.ga_web_property_id
        data["menu"] = self.menu_links
        if self.auth0_domain:
            data["auth0Domain"] = self.auth0_domain
        if self.auth0_client_id:
            data["auth0ClientId"] = self.auth0_client_id
        data[json_fragments.OPTIONAL] = Hole("reactions")
        data["meta"] = {
            "created": json_fragments.format_time(self.created),
            "createdBy": json_fragments.raw(self.creator),
            "flags": {"deleted": self.is_deleted},
            "stats": Hole("stats"),
            "links": [
                {"rel": "self", "href": itemtypes.href(itemtypes.SITE, self.id)},
                {"rel": "microcosm", "href": "/api/v1/microcosms"},
                {"rel": "profile", "href": "/api/v1/profiles"},
                {"rel": "legal", "href": "/api/v1/legal"},
            ],
            json_fragments.OPTIONAL: Hole("permissions"),
        }
        return json_fragments.encode(data)

    @staticmethod
    def insert(
        tx: Transaction,
        body: SiteBody,
        *,
        user_id: int,
        platform_domain: str = "",
        ip: str = "",
        most: int = 0,
        owner_name: str = "",
    ) -> int:
        """Store a new site with its owner's profile, root microcosm and default roles (platform 2.3); return its id. A
        custom domain in `body` is only claimed. `user_id`: its owner; `platform_domain`: the platform's domain, at or
        below which no custom domain may be, "" to allow any; `ip`: the client address, for the audit, "" for none;
        `owner_name`: name of the owner's profile, "" for a suggested one.

        Raises Invalid, which names the field, for a bad setting or a subdomain that is taken or reserved; Invalid,
        without a field, for a user who owns `most` sites, deleted ones counted (0: any number); NotFound for an unknown
        user.
        """
        key = site_validation.check_key(given(body.subdomainKey, ""))
        settings = site_validation.merged(
            body, SiteSettings(), platform_domain, (f"{key}.{platform_domain}",)
        )
        if subdomain_availability.is_reserved(tx, key):
            raise Invalid("subdomainKey", "is reserved")
        email = tx.value(OWNER, user_id=user_id)
        if email is None:
            raise NotFound("There is no such user")
        if most and tx.value(OWNED, user_id=user_id) >= most:
            raise Invalid("", f"A user has at most {most} sites", code=OUT_OF_RANGE)
        with _fields():
            site_id: int = tx.value(INSERT, key=key, **settings._replace(domain=None)._asdict())
        SiteDomain.update(tx, site_id, settings.domain, None)
        name = owner_name or profile.suggested_name(False, user_id, email)
        owner = Profile.insert(tx, site_id, user_id, name, ip=ip)
        tx.run(
            CREATE_DEFAULTS,
            site_id=site_id,
            owner=owner,
            description=settings.description,
            item_types=_ROOT_TYPES,
        )
        journal.record_site(tx, Author(site_id, owner, ip), journal.CREATED, version=1)
        return site_id

    @staticmethod
    def lock(tx: Transaction, site_id: int) -> LockedSite | None:
        """Lock the site's row for a change and return it, even of a deleted site; None if no site has this id, or the
        site that had it was deleted for good.

        Raises ReadOnly and SiteMoved as site_move_guard.check_writable does.
        """
        site_move_guard.check_writable(tx, site_id)
        row = tx.row(LOCK, site_id=site_id)
        if row is None:
            return None
        version, is_deleted, owned_by, owner_user_id, *settings, key, has_proof = row
        return LockedSite(
            site_id,
            version,
            is_deleted,
            owned_by,
            owner_user_id,
            SiteSettings(*settings),
            key,
            has_proof,
        )


class LockedSite(NamedTuple):
    """Row of a site, locked until the transaction ends. `is_deleted`: False also for a site that is suspended or in its
    export window; `key`: its subdomain; `owned_by`: the owner's profile; `owner_user_id`: that profile's user, who may
    change the site (platform 2.3).

    `has_proof`: DNS has proven that its custom domain belongs to it.
    """

    site_id: int
    version: int
    is_deleted: bool
    owned_by: int
    owner_user_id: int
    settings: SiteSettings
    key: str
    has_proof: bool

    def update(
        self, tx: Transaction, body: SiteBody, *, platform_domain: str = "", ip: str = ""
    ) -> None:
        """Store the settings that `body` has (platform 2.3); the others stay. Another custom domain is claimed, and
        stored once it is proven. `meta.flags.deleted` true deletes the site, false restores it. The change is journaled
        as the owner's. `platform_domain`: the platform's domain, at or below which no custom domain may be, "" to allow
        any; `ip`: the client address, for the audit, "" for none.

        Raises Invalid, which names the field, for a bad setting, and for deleting the root site.
        """
        hosts = [f"{self.key}.{platform_domain}"]
        if self.has_proof and self.settings.domain:
            hosts.append(self.settings.domain)
        settings = site_validation.merged(body, self.settings, platform_domain, hosts)
        is_deleted = site_validation.deleted(body, self.is_deleted)
        if is_deleted and self.site_id == ROOT_ID:
            raise Invalid("meta.flags.deleted", "the root site can't be deleted")
        # Named alone the domain that is served withdraws claims of others; sent back with the rest it changes nothing.
        if settings.domain != self.settings.domain or site_validation.names_domain_alone(body):
            served = SiteDomain.update(tx, self.site_id, settings.domain, self.settings.domain)
            settings = settings._replace(domain=served)
        with _fields():
            version = tx.value(
                UPDATE, site_id=self.site_id, is_deleted=is_deleted, **settings._asdict()
            )
        kind = journal.DELETED if is_deleted and not self.is_deleted else journal.REPLACED
        journal.record_site(tx, self.owner(ip), kind, version=version)

    def set_web_url(self, tx: Transaction, url: str, operator: str = "") -> None:
        """Store `url`, the address of the site's pages, on any host; "" for none. `operator`: account of the operator
        who sets the address, for the audit, "" for none. Raises Invalid for an address that
        site_validation.check_web_url refuses.
        """
        checked = site_validation.check_web_url(url) if url else None
        version = tx.value(SET_WEB_URL, site_id=self.site_id, url=checked)
        journal.record_site(tx, Author(self.site_id, 0, "", operator), version=version)

    def owner(self, ip: str = "") -> Author:
        """Return the site's owner as the author of a change from the client address `ip`, "" for none."""
        return Author(self.site_id, self.owned_by, ip)


def _person(site_id: int, columns: Row) -> bytes:
    """Render the summary of a profile as JSON, `null` if the profile id is null. `columns`: arguments of
    profile_summary.summary_document after the site's id.
    """
    return json_fragments.dumps(
        profile_summary.summary_document(site_id, *columns) if columns[0] else None
    )


def lock_for_update(tx: Transaction, site_id: int) -> None:
    """Lock the site's row until the transaction ends, waiting for other transactions that have locked it."""
    tx.row(LOCK_ONLY, site_id=site_id)


@contextlib.contextmanager
def _fields() -> Iterator[None]:
    """Context in which a subdomain that is taken or a theme that does not exist raises Invalid, which names the field;
    other broken constraints pass through. The transaction can't be used afterwards.
    """
    try:
        yield
    except (pgerrors.UniqueViolation, pgerrors.ForeignKeyViolation) as error:
        message = _TAKEN.get(error.diag.constraint_name or "")
        if message is None:
            raise
        raise Invalid(*message) from None
