"""What people let clients do: grants, each the family of the tokens that came of it, and the codes that lead there.

Ending a grant takes its tokens with it, in the same statement (their foreign keys cascade). Everything that moves
within a grant holds its row first.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import (
    Query,
    Reader,
    Row,
    Transaction,
)
from forumapi.models.access import access_token
from forumapi.models.access.access_token import GRANT
from forumapi.models.pages import page_with_total
from forumapi.wire import json_fragments, scopes
from forumapi.wire.paging import Paging

CODE: Final = "oauth-code"
CODE_LIFE_S: Final = 60

INSERT = Query(
    "oauth_grant.insert",
    """
    INSERT INTO oauth_grants (site_id, client_id, user_id, scopes, code_hash)
    VALUES (%(site_id)s, %(client_id)s, %(user_id)s, %(scopes)s, %(code_hash)s)
 RETURNING grant_id""",
)

HOLD = Query(
    "oauth_grant.hold",
    """
    UPDATE oauth_grants g
       SET refreshed = now()
     WHERE g.site_id = %(site_id)s AND g.grant_id = %(grant_id)s AND g.client_id = %(client_id)s
 RETURNING g.user_id, g.scopes""",
)

END = Query(
    "oauth_grant.end",
    "DELETE FROM oauth_grants g WHERE g.site_id = %(site_id)s AND g.grant_id = %(grant_id)s",
)

END_OWN = Query(
    "oauth_grant.end_own",
    """
    DELETE FROM oauth_grants g
     WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s AND g.grant_id = %(grant_id)s""",
)

END_OF_CODE = Query(
    "oauth_grant.end_of_code",
    """
    DELETE FROM oauth_grants g
     WHERE g.site_id = %(site_id)s AND g.client_id = %(client_id)s AND g.code_hash = %(code_hash)s""",
)

ADD_REFRESH = Query(
    "oauth_grant.add_refresh",
    """
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, client_id, site_id, scopes, expires)
    VALUES (%(token_hash)s, %(grant_id)s, %(user_id)s, %(client_id)s, %(site_id)s, %(scopes)s,
            now() + make_interval(days => %(days)s::int))""",
)

FAMILY = Query(
    "oauth_grant.family",
    """
    SELECT r.family_id
      FROM refresh_tokens r
     WHERE r.token_hash = %(token_hash)s AND r.site_id = %(site_id)s AND r.client_id = %(client_id)s""",
)

USE_REFRESH = Query(
    "oauth_grant.use_refresh",
    """
    SELECT r.used IS NOT NULL, r.expires <= now()
      FROM refresh_tokens r
     WHERE r.token_hash = %(token_hash)s AND r.site_id = %(site_id)s AND r.client_id = %(client_id)s""",
)

MARK_USED = Query(
    "oauth_grant.mark_used",
    """
    UPDATE refresh_tokens r
       SET used = now()
     WHERE r.token_hash = %(token_hash)s AND r.site_id = %(site_id)s""",
)

END_ACCESS = Query(
    "oauth_grant.end_access",
    """
    DELETE FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND t.site_id = %(site_id)s AND t.client_id = %(client_id)s
       AND t.kind = 'grant'""",
)

SHOW_ACCESS = Query(
    "oauth_grant.show_access",
    """
    SELECT t.scopes, t.created, t.expires, t.user_id
      FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND t.site_id = %(site_id)s AND t.client_id = %(client_id)s
       AND t.kind = 'grant' AND t.expires > now()""",
)

SHOW_REFRESH = Query(
    "oauth_grant.show_refresh",
    """
    SELECT r.scopes, r.created, r.expires, r.user_id
      FROM refresh_tokens r
     WHERE r.token_hash = %(token_hash)s AND r.site_id = %(site_id)s AND r.client_id = %(client_id)s
       AND r.used IS NULL AND r.expires > now()""",
)

# The same answer as the identity statement's: nobody is banned from a site of their own (P-26).
STANDING = Query(
    "oauth_grant.standing",
    """
    SELECT p.profile_id, p.profile_name
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      JOIN sites s ON s.site_id = p.site_id
     WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s
       AND (s.owned_by = p.profile_id
            OR NOT u.is_banned
               AND NOT EXISTS (SELECT 1 FROM bans b
                                WHERE b.user_id = p.user_id AND (b.site_id = p.site_id OR b.site_id IS NULL)
                                  AND (b.expires IS NULL OR b.expires > now())))""",
)

PAGE = Query(
    "oauth_grant.page",
    """
    SELECT g.grant_id, g.client_id, c.name, g.scopes, g.created, g.refreshed, count(*) OVER ()
      FROM oauth_grants g
      JOIN oauth_clients c ON c.client_id = g.client_id
     WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s
     ORDER BY g.grant_id DESC LIMIT %(limit)s::int OFFSET %(offset)s::int""",
)

COUNT = Query(
    "oauth_grant.count",
    "SELECT count(*) FROM oauth_grants g WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s",
)

ADD_CODE = Query(
    "oauth_grant.add_code",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, payload, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(payload)s::jsonb,
            now() + make_interval(secs => %(life_s)s::int))""",
)

# A code of another client stays: whoever has it by chance can't use it up.
TAKE_CODE = Query(
    "oauth_grant.take_code",
    """
    DELETE FROM single_use u
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s
       AND (u.payload ->> 'client')::bigint = %(client_id)s
 RETURNING u.payload::text, u.expires > now()""",
)


class Code(NamedTuple):
    """What a person granted, until the client comes for it."""

    client: int
    user: int
    scopes: list[str]
    redirect: str
    challenge: str


class Shown(NamedTuple):
    """A live token of a client, for introspection."""

    scopes: list[str]
    created: datetime.datetime
    expires: datetime.datetime
    user_id: int


def secret_hash(secret: str) -> bytes:
    """What is stored of a code or a refresh token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


# ---------------------------------------------------------------- codes


def add_code(tx: Transaction, site_id: int, secret: str, code: Code) -> None:
    """Keep what was granted under a code that is good once and for a minute."""
    tx.run(
        ADD_CODE,
        kind=CODE,
        secret_hash=secret_hash(secret),
        site_id=site_id,
        payload=json_fragments.dumps(code._asdict()).decode(),
        life_s=CODE_LIFE_S,
    )


def take_code(tx: Transaction, site_id: int, client_id: int, secret: str) -> Code | None:
    """What the code stands for, which is used up by this; None for one that is unknown or too old.

    A code that was used before takes along what it gave: one of the two who had it was not meant to.
    """
    hashed = secret_hash(secret)
    row = tx.row(TAKE_CODE, kind=CODE, secret_hash=hashed, site_id=site_id, client_id=client_id)
    if row is None:
        tx.run(END_OF_CODE, site_id=site_id, client_id=client_id, code_hash=hashed)
        return None
    return Code(**json_fragments.loads(row[0])) if row[1] else None


# ---------------------------------------------------------------- grants and their tokens


def standing(tx: Reader, site_id: int, user_id: int) -> tuple[int, str] | None:
    """Id and name of a user's profile here; None without one, or while banned."""
    row = tx.row(STANDING, site_id=site_id, user_id=user_id)
    return (int(row[0]), str(row[1])) if row else None


def begin(
    tx: Transaction,
    site_id: int,
    client_id: int,
    user_id: int,
    granted: Sequence[str],
    code: str = "",
) -> int:
    """Make a grant; its id. `code` is what it is given for, if it came by one."""
    return int(
        tx.value(
            INSERT,
            site_id=site_id,
            client_id=client_id,
            user_id=user_id,
            scopes=granted,
            code_hash=secret_hash(code) if code else None,
        )
    )


class Family(NamedTuple):
    """A grant whose row is held, as a refresh token leads to it."""

    id: int
    user_id: int
    scopes: list[str]


def hold(tx: Transaction, site_id: int, client_id: int, refresh: str) -> Family | None:
    """The grant of a refresh token that may be used now, held.

    None for a token that is unknown or expired; also for one that was used before, and then the grant ends: it was
    stolen, before or after.
    """
    token_hash = secret_hash(refresh)
    which = {"site_id": site_id, "client_id": client_id}
    grant_id = tx.value(FAMILY, token_hash=token_hash, **which)
    if grant_id is None:
        return None
    held = tx.row(HOLD, grant_id=grant_id, **which)
    state = tx.row(USE_REFRESH, token_hash=token_hash, **which)
    if held is None or state is None:
        return None
    was_used, is_expired = state
    if was_used:
        end(tx, site_id, int(grant_id))
        return None
    return None if is_expired else Family(int(grant_id), held[0], held[1])


def add_tokens(
    tx: Transaction,
    site_id: int,
    client_id: int,
    family: Family,
    *,
    access: str,
    granted: Sequence[str],
    life_s: int,
    refresh: str,
    refresh_days: int,
    used: str = "",
    ip: str = "",
) -> None:
    """Give a grant an access token and a refresh token; `used` is the refresh token that was spent for them."""
    if used:
        tx.run(MARK_USED, token_hash=secret_hash(used), site_id=site_id)
    access_token.make(
        tx,
        family.user_id,
        kind=GRANT,
        life_s=life_s,
        client_id=client_id,
        site_id=site_id,
        scopes=granted,
        grant_id=family.id,
        ip=ip,
        secret=access,
    )
    tx.run(
        ADD_REFRESH,
        token_hash=secret_hash(refresh),
        grant_id=family.id,
        user_id=family.user_id,
        client_id=client_id,
        site_id=site_id,
        scopes=family.scopes,
        days=refresh_days,
    )


def end(tx: Transaction, site_id: int, grant_id: int) -> None:
    """End a grant and every token of it, from the next request on."""
    tx.run(END, site_id=site_id, grant_id=grant_id)


def end_own(tx: Transaction, site_id: int, user_id: int, grant_id: int) -> bool:
    """End a grant of this person; False if there was none."""
    return tx.run(END_OWN, site_id=site_id, user_id=user_id, grant_id=grant_id) > 0


def revoke(tx: Transaction, site_id: int, client_id: int, secret: str) -> None:
    """End what a client gives back: an access token alone, or with a refresh token the whole grant (RFC 7009)."""
    which: dict[str, Any] = {
        "token_hash": secret_hash(secret),
        "site_id": site_id,
        "client_id": client_id,
    }
    grant_id = tx.value(FAMILY, **which)
    if grant_id is not None:
        end(tx, site_id, int(grant_id))
    else:
        tx.run(END_ACCESS, **which)


def show(tx: Reader, site_id: int, client_id: int, secret: str) -> Shown | None:
    """A live token of this client, access or refresh."""
    which: dict[str, Any] = {
        "token_hash": secret_hash(secret),
        "site_id": site_id,
        "client_id": client_id,
    }
    row = tx.row(SHOW_ACCESS, **which) or tx.row(SHOW_REFRESH, **which)
    return Shown(*row) if row else None


# ---------------------------------------------------------------- what a person granted


def page(tx: Reader, site_id: int, user_id: int, paging: Paging) -> tuple[list[Row], int]:
    """The newest grants of a person on this site, and how many there are."""
    return page_with_total.page(tx, PAGE, COUNT, paging, site_id=site_id, user_id=user_id)


def document(row: Row) -> dict[str, Any]:
    """A grant as whoever gave it sees it."""
    id, client_id, name, granted, created, refreshed = row[:6]
    return {
        "id": id,
        "clientId": client_id,
        "clientName": name,
        "scopes": [{"scope": scope, "description": scopes.words(scope)} for scope in granted],
        "created": json_fragments.when(created),
        "refreshed": json_fragments.when(refreshed),
        "meta": {"links": [{"rel": "self", "href": f"/api/v1/oauth/grants/{id}"}]},
    }
