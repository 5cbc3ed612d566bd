"""Identities of callers: one statement reads everything that a signed-in request depends on.

Token, user, profile, ban, roles, ignored people, microcosms and items, and the site's versions come from one snapshot,
so a ban, a revoked token or a changed role is effective on the very next request, on every worker (architecture, one
identity statement).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.errors import TOKEN_EXPIRED, TOKEN_INVALID, Unauthorized
from forumapi.models.access import permission_target
from forumapi.models.people import profile_page, user
from forumapi.models.privacy import consent
from forumapi.permissions.evaluator import Principal
from forumapi.wire import scopes

# Form of all tokens (access_token.new_secret; platform 3.1).
_SHAPE: Final = re.compile(r"[A-Za-z0-9]{128}")

# A bot is banned with its owner, and in those of its owner's roles that bar (models/access/bot.py). By functions
# (sql/functions/bots.sql), so that the statement sets this up for bots alone.
_BAN: Final = """coalesce((SELECT r FROM ban_reason(s.site_id, t.user_id, u.email) r),
        CASE WHEN p.is_bot THEN bot_ban(s.site_id, p.bot_owner_id, s.owned_by) END)"""
_ROLES: Final = """CASE WHEN p.is_bot THEN bot_roles(s.site_id, p.role_ids, p.bot_owner_id, s.owned_by)
        ELSE p.role_ids END"""

_HEAD: Final = f"""
    t.user_id, t.expires > now(), u.is_banned, coalesce(p.profile_id, 0), {_ROLES}, p.next_change_at <= now(),
    s.version, s.acl_version, coalesce(s.owned_by, 0), t.token_id,
    {_BAN},
    ARRAY(SELECT i.item_id * 32 + i.item_type_id FROM ignores i
           WHERE i.site_id = s.site_id AND i.profile_id = p.profile_id),
    t.scopes,
    CASE WHEN s.needs_second_factor
         THEN NOT EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = t.user_id AND o.confirmed IS NOT NULL)
         ELSE false END,
    t.audience, coalesce(p.is_bot, false)"""
_COLUMNS: Final = f"""{_HEAD},
    {user.BY_SITE}, {user.BY_SITE} AND p.uses_platform AND p.huddles_confirmed IS NULL,
    NOT {user.BY_SITE} AND NOT p.uses_platform, {consent.MISSING}"""

_JOINS: Final = """
      JOIN users u ON u.user_id = t.user_id
      JOIN sites s ON s.site_id = %(site_id)s
      LEFT JOIN profiles p ON p.site_id = s.site_id AND p.user_id = t.user_id"""
_FROM: Final = f"""
      FROM access_tokens t {_JOINS}"""

_WHERE: Final = (
    " WHERE t.token_hash = %(token_hash)s AND (t.site_id IS NULL OR t.site_id = %(site_id)s)"
)

IDENTITY = Query("identity.find", f"SELECT {_COLUMNS} {_FROM} {_WHERE}")
# With the caller's own profile, for whoami: still one round trip. A watcher of oneself is not shown.
_OWN_COLUMNS: Final = profile_page.DETAIL_COLUMNS.format(viewer="p.profile_id")
_OWN_PROFILE: Final = profile_page.DETAIL_JOINS.format(viewer="NULL::bigint")
WHOAMI = Query(
    "identity.whoami",
    f"SELECT {_COLUMNS}, {_OWN_COLUMNS} {_FROM} {_OWN_PROFILE} {_WHERE}",
)
# With the microcosms of the ignored items, for pages of lists.
_PLACES: Final = f"""
           ARRAY(SELECT ARRAY[i.item_id, (SELECT o.microcosm_id FROM items o
                                           WHERE o.site_id = i.site_id AND o.item_id = i.item_id)]
                   FROM ignores i
                  WHERE i.site_id = s.site_id AND i.profile_id = p.profile_id
                    AND i.item_type_id NOT IN ({itemtypes.MICROCOSM}, {itemtypes.PROFILE}))"""
WITH_PLACES = Query(
    "identity.with_places",
    f"SELECT {_COLUMNS}, {_PLACES} {_FROM} {_WHERE}",
    unrestricted="the viewer's own ignored items, which lists leave out",
)
# With a profile in place of a token, for work on its behalf.
OF_PROFILE = Query(
    "identity.of_profile",
    f"""
    SELECT {_HEAD}, false, false, false, NULL::text, {_PLACES}
      FROM (SELECT q.user_id, now() + interval '1 day' AS expires, 0::bigint AS token_id, NULL::text[] AS scopes,
                   '' AS audience
              FROM profiles q
             WHERE q.site_id = %(site_id)s AND q.profile_id = %(profile_id)s) t {_JOINS}""",
    unrestricted="the viewer's own ignored items, which lists leave out",
)
# With an item in a microcosm, as the target of a permission (models/access/permission_target.py).
WITH_ITEM = Query(
    "identity.with_item",
    f"""
    SELECT {_COLUMNS}, {permission_target.ITEM_COLUMNS}
      {_FROM}
      LEFT JOIN items i ON i.site_id = s.site_id AND i.item_id = %(id)s AND i.item_type_id = %(item_type)s
      LEFT JOIN item_authors mine ON mine.site_id = i.site_id AND mine.item_id = i.item_id
                                 AND mine.profile_id = i.created_by
      {_WHERE}""",
)
# With the level of agents that the caller set, for the MCP server.
WITH_AGENT_LEVEL = Query(
    "identity.with_agent_level",
    f"""
    SELECT {_COLUMNS}, coalesce(po.agents, 'write')
      {_FROM}
      LEFT JOIN profile_options po ON po.site_id = p.site_id AND po.profile_id = p.profile_id
      {_WHERE}""",
)
# With the token that a live ticket was issued for (models/notifications/live_event_queries.py); the ticket is used up.
WITH_TICKET = Query(
    "identity.with_ticket",
    f"""
    WITH taken AS (
        DELETE FROM single_use x
         WHERE x.kind = 'live' AND x.secret_hash = %(ticket_hash)s AND x.site_id = %(site_id)s AND x.expires > now()
           AND coalesce(x.payload ->> 'origin', %(origin)s::text) = %(origin)s::text
           AND coalesce(x.payload ->> 'stream', %(stream)s::text) = %(stream)s::text
     RETURNING x.subject)
    SELECT {_COLUMNS} {_FROM}
     WHERE t.token_id = (SELECT taken.subject::bigint FROM taken) AND (t.site_id IS NULL OR t.site_id = %(site_id)s)""",
)
# With the token of a stream that continues (realtime/cursor.py).
OF_STREAM = Query(
    "identity.of_stream",
    f"""
    SELECT {_COLUMNS} {_FROM}
     WHERE t.token_id = %(token_id)s AND (t.site_id IS NULL OR t.site_id = %(site_id)s)""",
)
# With several tokens, by their ids, with the times at which each identity ends by itself.
BY_TOKENS = Query(
    "identity.by_tokens",
    f"""
    SELECT {_COLUMNS}, extract(epoch FROM t.expires)::float8, extract(epoch FROM p.next_change_at)::float8
      {_FROM}
     WHERE t.token_id = ANY(%(token_ids)s) AND (t.site_id IS NULL OR t.site_id = %(site_id)s)""",
)
_WIDTH: Final = 20

DEFAULT_BAN: Final = "Banned"


def token_hash(token: str) -> bytes:
    """Return the SHA-256 by which a token is stored and found (P-22)."""
    return hashlib.sha256(token.encode()).digest()


class _Ignored(NamedTuple):
    """Ids of the profiles, microcosms and items that a caller ignores."""

    profiles: list[int]
    microcosms: list[int]
    items: list[int]


class Identity:
    """Caller of one request, made of a row of an identity statement; None makes a guest.

    `profile_id` 0: a guest, or a user before their first profile here is made; `ban_reason` None: not banned; `scopes`
    None: the token is not limited; `kinds`: types of things that the token may read, all of them for a guest;
    `audience`: that of the token, "" or access_token.AGENTS; `token_id` 0: no token; `is_bot`: the profile is a
    program's (models/access/bot.py); `is_of_site`: the site's own provider vouches for the sign-in; `huddles_closed`:
    no huddles are shown, since the site's own provider vouches for the sign-in, and the person, who signed in by the
    platform's methods before, has not confirmed the provider yet; `is_introduced`: the profile's first request with a
    sign-in that the platform, not the site's own provider, vouches for; `needs_roles`: the profile's roles are to be
    recomputed; `missing_consent`: name and version of a legal text that the caller has yet to agree to, None for none;
    `ignored_…`: ids of what the caller ignores; `site_version`, `acl_version`: versions of the site, 0 for a guest;
    `more`: columns of a handler's own query.
    """

    __slots__ = (
        "_ignored",
        "_ignored_marks",
        "acl_version",
        "audience",
        "ban_reason",
        "huddles_closed",
        "is_bot",
        "is_introduced",
        "is_of_site",
        "kinds",
        "missing_consent",
        "more",
        "needs_roles",
        "principal",
        "profile_id",
        "scopes",
        "site_version",
        "token_id",
        "user_id",
    )

    def __init__(self, row: tuple[Any, ...] | None = None) -> None:
        self.more: tuple[Any, ...] = ()  # what the handler's own query adds
        self._ignored_marks: list[int] = []
        self._ignored: _Ignored | None = None
        if row is None:
            self.user_id = self.profile_id = self.token_id = 0
            self.site_version = self.acl_version = 0
            self.ban_reason: str | None = None
            self.needs_roles = False
            self.scopes: frozenset[str] | None = None
            self.audience = ""
            self.kinds = itemtypes.ALL
            self.is_bot = False
            self.is_of_site = self.huddles_closed = self.is_introduced = False
            self.missing_consent: tuple[str, int] | None = None
            self.principal = Principal(0, None)
            return
        (
            user_id,
            _,
            user_banned,
            profile_id,
            role_ids,
            needs_roles,
            site_version,
            acl_version,
            owned_by,
        ) = row[:9]
        self.user_id = user_id
        self.profile_id = profile_id
        self.needs_roles = bool(needs_roles)
        self.site_version = site_version
        self.acl_version = acl_version
        self.token_id = row[9]
        is_owner = bool(profile_id) and profile_id == owned_by
        reason = row[10]
        if reason is None and user_banned:
            reason = ""
        # Nobody is banned from a site of their own (P-26).
        self.ban_reason = None if reason is None or is_owner else reason or DEFAULT_BAN
        self._ignored_marks = row[11]
        # None: a token that is not limited.
        self.scopes = None if row[12] is None else frozenset(row[12])
        self.audience = row[14]
        self.is_bot = row[15]
        # The types of things that the token may read: lists of several types leave out all others.
        self.kinds = scopes.kinds(self.scopes)
        # Vouched for by the site's owner, and then without access to huddles; or by the platform, for the first time
        # here.
        self.is_of_site, self.huddles_closed, self.is_introduced = map(bool, row[16:19])
        # Asked of a bot's owner alone, who answers for the bot.
        self.missing_consent = None if self.is_bot else _named_version(row[19])
        if self.huddles_closed:
            self.kinds -= {itemtypes.HUDDLE}
        self.needs_roles = self.needs_roles or self.is_introduced
        self.more = row[_WIDTH:]
        self.principal = Principal(
            profile_id,
            tuple(role_ids or ()),
            is_owner and not row[13],
            self.ban_reason is not None,
            user_id,
            is_limited=row[13],
            sees_huddles=itemtypes.HUDDLE in self.kinds,
        )

    @property
    def is_guest(self) -> bool:
        """Return True if the caller has no profile here: no token came, or the user's profile is not made yet."""
        return self.profile_id == 0

    @property
    def ignored_profiles(self) -> list[int]:
        """Return the ids of the profiles that the caller ignores."""
        return self._divided_marks().profiles

    @property
    def ignored_microcosms(self) -> list[int]:
        """Return the ids of the microcosms that the caller ignores."""
        return self._divided_marks().microcosms

    @property
    def ignored_items(self) -> list[int]:
        """Return the ids of the items that the caller ignores."""
        return self._divided_marks().items

    def ignores(self, item_type: int, id: int) -> bool:
        """Return True if the caller ignores the thing of this type with this id; False for a guest."""
        return id * 32 + item_type in self._ignored_marks

    def _divided_marks(self) -> _Ignored:
        # Divided when first asked for: many answers ask for none of the ids.
        if self._ignored is None:
            self._ignored = _divide(self._ignored_marks)
        return self._ignored

    def ignored_in(self, microcosm_id: int) -> tuple[int, ...]:
        """Return the ids of items of this microcosm that the caller ignores, in any order; () for none and for guests.
        Only for an identity read by the query WITH_PLACES or by `of_profile`.
        """
        if self.is_guest:
            return ()
        return tuple(item for item, place in self.more[0] if place == microcosm_id)


def _named_version(text: str | None) -> tuple[str, int] | None:
    """Split what consent.MISSING returns into the name and the version of a legal text; return None for None."""
    if text is None:
        return None
    name, _, version = text.removeprefix(consent.PREFIX).partition(" ")
    return name, int(version)


def _divide(marks: list[int]) -> _Ignored:
    """Divide marks, each id * 32 + type, into the ids of ignored profiles, microcosms and items (item ids are unique
    across types).
    """
    items: list[int] = []
    found: dict[int, list[int]] = {itemtypes.PROFILE: [], itemtypes.MICROCOSM: []}
    for mark in marks:
        found.get(mark % 32, items).append(mark // 32)
    return _Ignored(found[itemtypes.PROFILE], found[itemtypes.MICROCOSM], items)


GUEST: Final = Identity()


class IdentityQuery(NamedTuple):
    """Statement that reads the caller of a request. `more`: values of its parameters, by name, beside those of the site
    and the token.
    """

    query: Query
    more: Mapping[str, object] = MappingProxyType({})


def shaped(token: str) -> str:
    """Return `token` unchanged. Raises Unauthorized, code 7, unless it is "" or has the form of a token; nothing is
    looked up.
    """
    if token and not _SHAPE.fullmatch(token):
        raise Unauthorized("This access token is not valid", code=TOKEN_INVALID)
    return token


def find(tx: Reader, site_id: int, token: str, query: IdentityQuery) -> Identity:
    """Return the identity of a token on this site, read by the statement `query`. Raises Unauthorized: code 7 for a
    token that is unknown or not good on this site, code 6 for an expired one.

    A `query` that finds the token by its id, or by a one-time ticket of a live connection, ignores `token`; nothing
    found is code 7 too. `profile_id` is 0 if the token's user has no profile here yet.
    """
    row = tx.row(query.query, site_id=site_id, token_hash=token_hash(token), **query.more)
    if row is None:
        raise Unauthorized("This access token is not valid", code=TOKEN_INVALID)
    if not row[1]:
        raise Unauthorized("This access token has expired", code=TOKEN_EXPIRED)
    return Identity(row)


def again(query: IdentityQuery, found: Identity) -> IdentityQuery:
    """Return the query that reads the caller `found`, a result of `query`, a second time: `query` itself, or, if it
    used up a one-time ticket of a live connection, a query by the id of the caller's token.
    """
    if query.query is not WITH_TICKET:
        return query
    return IdentityQuery(OF_STREAM, {"token_id": found.token_id})


def find_many(tx: Reader, site_id: int, token_ids: Collection[int]) -> dict[int, Identity]:
    """Return the identities of tokens on this site, by token id; unknown and expired tokens, and those of other sites
    alone, are left out.

    `more` of an identity is (time at which the token expires, time at which its profile's roles are to be recomputed,
    or None), both as Unix times.
    """
    rows = tx.rows(BY_TOKENS, site_id=site_id, token_ids=list(token_ids))
    return {row[9]: Identity(row) for row in rows if row[1]}


def of_profile(tx: Reader, site_id: int, profile_id: int) -> Identity | None:
    """Return the identity that a profile of this site has with a token without limits; None if there is no such profile
    here.
    """
    row = tx.row(OF_PROFILE, site_id=site_id, profile_id=profile_id)
    return Identity(row) if row is not None else None
