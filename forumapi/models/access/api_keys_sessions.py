"""Tokens as their owner sees them: API keys of this site, and sessions.

An API key is good on the site it was made on alone. A session is good on every site, so each site lists it; but a
session that a site's own provider vouches for is good on that site alone, and a caller with such a session neither sees
nor ends tokens that are good on every site.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import OUT_OF_RANGE, Invalid, excerpt
from forumapi.models.access.access_token import AGENTS, DAY_S, KEY, SESSION, AccessToken, NewToken
from forumapi.models.pages import page_with_total
from forumapi.text import short_text_cleaning
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

MOST_KEYS: Final = 50  # of one person on one site
MOST_NAME: Final = 100
DEFAULT_DAYS: Final = 90

# A full token that an operator made (`forumapi token create`) is listed where it is good.
_COLUMNS: Final = """
    t.token_id, t.name, t.token_prefix, t.scopes, t.created, t.expires, t.last_used, t.user_agent,
    host(coalesce(t.last_ip, t.ip)), t.audience"""
_THEIRS: Final = """t.user_id = %(user_id)s AND t.kind = %(kind)s
       AND (t.site_id = %(site_id)s
            OR t.site_id IS NULL
               AND EXISTS (SELECT FROM access_tokens c WHERE c.token_id = %(current)s AND c.site_id IS NULL))"""
_MINE: Final = f"""
      FROM access_tokens t
     WHERE {_THEIRS}
       AND t.expires > now()"""

PAGE = Query(
    "api_keys_sessions.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
    {_MINE}
     ORDER BY t.token_id DESC LIMIT %(limit)s::int OFFSET %(offset)s::int""",
    scope=PLATFORM,
)

COUNT = Query("api_keys_sessions.count", f"SELECT count(*) {_MINE}", scope=PLATFORM)

FIND = Query(
    "api_keys_sessions.find",
    f"SELECT {_COLUMNS} {_MINE} AND t.token_id = %(token_id)s",
    scope=PLATFORM,
)

# The lock lets a person make one key after another, so that the limit holds.
LOCK_USER = Query(
    "api_keys_sessions.lock_user",
    "SELECT u.user_id FROM users u WHERE u.user_id = %(user_id)s FOR NO KEY UPDATE",
)

DELETE = Query(
    "api_keys_sessions.delete",
    f"""
    DELETE FROM access_tokens t
     WHERE {_THEIRS}
       AND t.token_id = %(token_id)s
 RETURNING t.token_id""",
    scope=PLATFORM,
)

# All of a kind but one; 0 for none.
DELETE_ALL = Query(
    "api_keys_sessions.delete_all",
    f"""
    DELETE FROM access_tokens t
     WHERE {_THEIRS}
       AND t.token_id <> %(but)s::bigint""",
    scope=PLATFORM,
)


class OwnToken(NamedTuple):
    """Unexpired token of the caller; base class of API keys and sessions. `name`: HTML-escaped, "" for none; `prefix`:
    first characters of its secret; `scopes` None: not limited; `last_used` None: never; `user_agent`: that of the
    request that made it; `ip`: client address of its last use, else of its making; None if unknown; `audience`: "", or
    access_token.AGENTS.
    """

    id: int
    name: str
    prefix: str
    scopes: list[str] | None
    created: datetime.datetime
    expires: datetime.datetime
    last_used: datetime.datetime | None
    user_agent: str
    ip: str | None
    audience: str

    @classmethod
    def kind(cls) -> str:
        """Return the kind, one of access_token.KINDS, of the tokens that this class stands for."""
        raise NotImplementedError

    @classmethod
    def page(
        cls, tx: Reader, site_id: int, identity: Identity, paging: Paging
    ) -> tuple[list[Self], int]:
        """Return the page `paging` of the caller's unexpired tokens of this kind, newest first, and the number of all
        of them: tokens for this site and, unless the caller's present token is for one site, tokens for all sites.
        """
        rows, total = page_with_total.page(tx, PAGE, COUNT, paging, **cls._own(site_id, identity))
        return [cls(*row) for row in rows], total

    @classmethod
    def find(cls, tx: Reader, site_id: int, identity: Identity, token_id: int) -> Self | None:
        """Return the token with the id `token_id`; None if there is none, or `page` would not list it."""
        row = tx.row(FIND, token_id=token_id, **cls._own(site_id, identity))
        return cls(*row) if row else None

    @classmethod
    def delete(cls, tx: Transaction, site_id: int, identity: Identity, token_id: int) -> bool:
        """Delete the caller's token of this kind with the id `token_id`; return False, and delete nothing, if `page`
        could not list such a token, for example because it is another person's. An expired one is deleted too.
        """
        return tx.row(DELETE, token_id=token_id, **cls._own(site_id, identity)) is not None

    @classmethod
    def delete_all(cls, tx: Transaction, site_id: int, identity: Identity, *, but: int = 0) -> int:
        """Delete the tokens of this kind that the pages of `page` list, and expired ones, except the one with the id
        `but` (0: no exception); return how many were deleted.
        """
        return tx.run(DELETE_ALL, but=but, **cls._own(site_id, identity))

    @classmethod
    def _own(cls, site_id: int, identity: Identity) -> dict[str, Any]:
        return {
            "site_id": site_id,
            "user_id": identity.user_id,
            "current": identity.token_id,
            "kind": cls.kind(),
        }


class ApiKey(OwnToken):
    """API key of a person for one site; for all sites if an operator made it."""

    @classmethod
    def kind(cls) -> str:
        """Return access_token.KEY."""
        return KEY

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        site_id: int,
        identity: Identity,
        name: str,
        scopes: list[str],
        days: int,
        *,
        ip: str,
        audience: str = "",
    ) -> NewToken:
        """Store an API key of the caller for this site, valid for `days`; return its id and secret. `name` and `scopes`
        are checked already (`checked_name`, `checked_scopes`); `ip`: address of the request; `audience`: "" or
        access_token.AGENTS. Raises Invalid if the caller has MOST_KEYS keys that `page` lists. Locks the user's row.
        """
        tx.row(LOCK_USER, user_id=identity.user_id)
        if tx.value(COUNT, **cls._own(site_id, identity)) >= MOST_KEYS:
            raise Invalid("", f"You have {MOST_KEYS} keys already; revoke one first")
        return AccessToken.insert(
            tx,
            identity.user_id,
            kind=KEY,
            life_s=days * DAY_S,
            name=name,
            site_id=site_id,
            scopes=scopes,
            ip=ip,
            by_site=identity.is_of_site,
            audience=audience,
        )

    def document(self, secret: str = "") -> dict[str, Any]:
        """Return the key as JSON members for its owner. `secret`: the one of a key just made; "" leaves the member
        out.
        """
        data: dict[str, Any] = {"id": self.id, "name": self.name, "prefix": self.prefix}
        if secret:
            data["secret"] = secret
        return data | {
            "forAgents": self.audience == AGENTS,
            "scopes": self.scopes,
            "created": json_fragments.format_time(self.created),
            "expires": json_fragments.format_time(self.expires),
            "lastUsed": json_fragments.format_time(self.last_used) if self.last_used else None,
            "meta": {"links": [{"rel": "self", "href": f"/api/v1/keys/{self.id}"}]},
        }


class Session(OwnToken):
    """Session of a person: a token that a sign-in made."""

    @classmethod
    def kind(cls) -> str:
        """Return access_token.SESSION."""
        return SESSION

    def document(self, current: int) -> dict[str, Any]:
        """Return the session as JSON members for its owner. `current`: id of the caller's token; the member `current`
        is true if the session is that token.
        """
        return {
            "id": self.id,
            "current": self.id == current,
            "userAgent": short_text_cleaning.sentence(self.user_agent, quiet=False),
            "ip": self.ip or "",
            "created": json_fragments.format_time(self.created),
            "expires": json_fragments.format_time(self.expires),
            "lastUsed": json_fragments.format_time(self.last_used) if self.last_used else None,
            "meta": {"links": [{"rel": "self", "href": f"/api/v1/sessions/{self.id}"}]},
        }


def checked_name(text: str, most: int) -> str:
    """Return `text` as the name of a token: trimmed, without tags, line breaks and unprintable characters, and
    HTML-escaped. Raises Invalid unless it then has 1 to `most` characters, counted before the escaping.
    """
    name = short_text_cleaning.sentence(text, quiet=False)
    if not 1 <= short_text_cleaning.length(name) <= most:
        raise Invalid("name", f"must have 1 to {most} characters")
    return name


def checked_scopes(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the scopes in `given`, each once, in alphabetical order. Raises Invalid if `given` is empty, or has a
    scope that is not in `known`.
    """
    scopes = sorted(set(given))
    unknown = [scope for scope in scopes if scope not in known]
    if unknown:
        raise Invalid("scopes", f"there is no scope {excerpt(unknown[0])}", code=OUT_OF_RANGE)
    if not scopes:
        raise Invalid("scopes", "must name at least one scope", code=OUT_OF_RANGE)
    return scopes
