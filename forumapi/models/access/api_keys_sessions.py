"""What a person sees of their own tokens: API keys of this site, and the sessions they are signed in with.

A key is good on the site it was made on; a session on every site, so it is listed on each. One that is good on a single
site, since its owner vouches for the address, shows and ends nothing of what is good everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.errors import OUT_OF_RANGE, Invalid, excerpt
from forumapi.models.access import access_token
from forumapi.models.access.access_token import DAY_S, KEY, Made
from forumapi.models.pages import page_with_total
from forumapi.text import clean
from forumapi.wire import json_fragments
from forumapi.wire.paging import Paging

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

MOST_KEYS: Final = 50  # of one person on one site
MOST_NAME: Final = 100
MOST_SCOPES: Final = 100
DEFAULT_DAYS: Final = 90

# A full token of an operator's (`forumapi token create`) is shown where it is good.
_COLUMNS: Final = """
    t.token_id, t.name, t.token_prefix, t.scopes, t.created, t.expires, t.last_used, t.user_agent,
    host(coalesce(t.last_ip, t.ip))"""
_THEIRS: Final = """t.user_id = %(user_id)s AND t.kind = %(kind)s
       AND (t.site_id = %(site_id)s
            OR t.site_id IS NULL
               AND EXISTS (SELECT FROM access_tokens c WHERE c.token_id = %(current)s AND c.site_id IS NULL))"""
_MINE: Final = f"""
      FROM access_tokens t
     WHERE {_THEIRS}
       AND t.expires > now()"""

PAGE = Query(
    "own_token.page",
    f"""
    SELECT {_COLUMNS}, count(*) OVER ()
    {_MINE}
     ORDER BY t.token_id DESC LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query("own_token.count", f"SELECT count(*) {_MINE}")

FIND = Query("own_token.find", f"SELECT {_COLUMNS} {_MINE} AND t.token_id = %(token_id)s")

# Makings of keys by one person come one after another, so that the limit holds.
HOLD = Query(
    "own_token.hold",
    "SELECT u.user_id FROM users u WHERE u.user_id = %(user_id)s FOR NO KEY UPDATE",
)

REVOKE = Query(
    "own_token.revoke",
    f"""
    DELETE FROM access_tokens t
     WHERE {_THEIRS}
       AND t.token_id = %(token_id)s
 RETURNING t.token_id""",
)

# All of a kind, but for one where that is asked.
REVOKE_ALL = Query(
    "own_token.revoke_all",
    f"""
    DELETE FROM access_tokens t
     WHERE {_THEIRS}
       AND t.token_id <> %(but)s::bigint""",
)


def _whose(site_id: int, identity: Identity, kind: str) -> dict[str, Any]:
    return {
        "site_id": site_id,
        "user_id": identity.user_id,
        "current": identity.token_id,
        "kind": kind,
    }


def page(
    tx: Reader, site_id: int, identity: Identity, kind: str, paging: Paging
) -> tuple[list[Row], int]:
    """The caller's newest live tokens of a kind, and how many there are."""
    return page_with_total.page(tx, PAGE, COUNT, paging, **_whose(site_id, identity, kind))


def find(tx: Reader, site_id: int, identity: Identity, kind: str, token_id: int) -> Row | None:
    """One live token of the caller's, or None."""
    return tx.row(FIND, token_id=token_id, **_whose(site_id, identity, kind))


def revoke(tx: Transaction, site_id: int, identity: Identity, kind: str, token_id: int) -> bool:
    """End one token of the caller's, from the next request on; False if there was none."""
    return tx.row(REVOKE, token_id=token_id, **_whose(site_id, identity, kind)) is not None


def revoke_all(
    tx: Transaction, site_id: int, identity: Identity, kind: str, *, but: int = 0
) -> int:
    """End every token of a kind, except the one numbered `but`; how many there were."""
    return tx.run(REVOKE_ALL, but=but, **_whose(site_id, identity, kind))


# ---------------------------------------------------------------- making a key


def checked_name(text: str, most: int) -> str:
    """A name as it is stored, 1 to `most` characters. Raises Invalid."""
    name = clean.sentence(text, quiet=False)
    if not 1 <= clean.length(name) <= most:
        raise Invalid("name", f"must have 1 to {most} characters")
    return name


def checked_scopes(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Scopes that exist, each once, in alphabetical order. Raises Invalid."""
    found = sorted(set(given))
    unknown = [scope for scope in found if scope not in known]
    if unknown:
        raise Invalid("scopes", f"there is no scope {excerpt(unknown[0])}", code=OUT_OF_RANGE)
    if not 1 <= len(found) <= MOST_SCOPES:
        raise Invalid("scopes", "must name at least one scope", code=OUT_OF_RANGE)
    return found


def add_key(
    tx: Transaction,
    site_id: int,
    identity: Identity,
    name: str,
    granted: list[str],
    days: int,
    *,
    ip: str,
) -> Made:
    """Make a key of the caller's for this site. Raises Invalid when they have as many as one may have."""
    tx.row(HOLD, user_id=identity.user_id)
    if tx.value(COUNT, **_whose(site_id, identity, KEY)) >= MOST_KEYS:
        raise Invalid("", f"You have {MOST_KEYS} keys already; revoke one first")
    return access_token.make(
        tx,
        identity.user_id,
        kind=KEY,
        life_s=days * DAY_S,
        name=name,
        site_id=site_id,
        scopes=granted,
        ip=ip,
        by_site=identity.is_of_site,
    )


# ---------------------------------------------------------------- documents


def key_document(row: Row, secret: str = "") -> dict[str, Any]:
    """A key as its owner sees it; `secret` only when it was made just now."""
    id, name, prefix, granted, created, expires, last_used = row[:7]
    data: dict[str, Any] = {"id": id, "name": name, "prefix": prefix}
    if secret:
        data["secret"] = secret
    return data | {
        "scopes": granted,
        "created": json_fragments.when(created),
        "expires": json_fragments.when(expires),
        "lastUsed": json_fragments.when(last_used) if last_used else None,
        "meta": {"links": [{"rel": "self", "href": f"/api/v1/keys/{id}"}]},
    }


def session_document(row: Row, current: int) -> dict[str, Any]:
    """A session as its owner sees it. `current`: the number of the token that the request came with."""
    id, created, expires, last_used, agent, ip = row[0], *row[4:9]
    return {
        "id": id,
        "current": id == current,
        "userAgent": clean.sentence(agent, quiet=False),
        "ip": ip or "",
        "created": json_fragments.when(created),
        "expires": json_fragments.when(expires),
        "lastUsed": json_fragments.when(last_used) if last_used else None,
        "meta": {"links": [{"rel": "self", "href": f"/api/v1/sessions/{id}"}]},
    }
