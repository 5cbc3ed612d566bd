"""Access tokens and the applications that may obtain them (platform 3.1, 3.5; P-21, P-22, P-25).

Only the SHA-256 of a secret is stored; the secret itself is given out once, when it is made.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import Invalid, NotFound, Unauthorized
from forumapi.models.access.identity import token_hash
from forumapi.models.people import user
from forumapi.wire import json_fragments

LENGTH: Final = 128
PREFIX: Final = "fapi"
_RANDOM: Final = LENGTH - len(PREFIX)
_ALPHABET: Final = string.ascii_letters + string.digits
DAY_S: Final = 86_400
MAX_CLIENT_NAME: Final = 50
SESSION: Final = "session"
KEY: Final = "key"
GRANT: Final = "grant"
PAGE: Final = "page"
KINDS: Final = (SESSION, KEY, GRANT, PAGE)
_MOST_AGENT: Final = 300
_SHOWN: Final = 8  # of the secret, stored in clear so that its owner recognises it

CREATE = Query(
    "access_token.create",
    """
    INSERT INTO access_tokens (token_hash, token_prefix, user_id, client_id, site_id, name, kind, scopes, user_agent,
                               ip, grant_id, by_site, expires)
    VALUES (%(token_hash)s, %(prefix)s, %(user_id)s, %(client_id)s, %(site_id)s, %(name)s, %(kind)s, %(scopes)s,
            %(user_agent)s, %(ip)s, %(grant_id)s, %(by_site)s, now() + make_interval(secs => %(life_s)s::int))
 RETURNING token_id""",
)

SHOW = Query(
    "access_token.show",
    """
    SELECT t.user_id, coalesce(t.client_id, 0), t.created, t.expires
      FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND (t.site_id IS NULL OR t.site_id = %(site_id)s)""",
)

REVOKE = Query(
    "access_token.revoke",
    "DELETE FROM access_tokens t WHERE t.token_hash = %(token_hash)s RETURNING t.user_id",
)

REVOKE_ID = Query(
    "access_token.revoke_id",
    "DELETE FROM access_tokens t WHERE t.token_id = %(token_id)s RETURNING t.user_id",
)

REVOKE_USER = Query(
    "access_token.revoke_user", "DELETE FROM access_tokens t WHERE t.user_id = %(user_id)s"
)

# Tokens go with the grants that they belong to, and so does leave that a client has not come for yet.
END_GRANTS = Query(
    "access_token.end_grants",
    """
    WITH waiting AS (
        DELETE FROM single_use u
         WHERE u.kind IN ('oauth-code', 'oauth-device') AND (u.payload ->> 'user')::bigint = %(user_id)s)
    DELETE FROM oauth_grants g
     USING profiles p
     WHERE p.user_id = %(user_id)s AND g.site_id = p.site_id AND g.user_id = p.user_id""",
)

OF_USER = Query(
    "access_token.of_user",
    """
    SELECT t.token_id, t.token_prefix, t.kind, t.name, array_to_string(t.scopes, ' '), t.user_id, u.email,
           coalesce(t.client_id, 0), coalesce(t.site_id, 0), t.created, t.expires, t.last_used
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE %(user_id)s::bigint = 0 OR t.user_id = %(user_id)s::bigint
     ORDER BY t.token_id""",
)

# Operators' applications; clients of sites ask their people for leave instead.
CLIENTS = Query(
    "access_token.clients",
    "SELECT c.client_id, c.secret_hash FROM oauth_clients c WHERE c.site_id IS NULL",
)

ADD_CLIENT = Query(
    "access_token.add_client",
    "INSERT INTO oauth_clients (name, secret_hash) VALUES (%(name)s, %(secret_hash)s) RETURNING client_id",
)
LIST_CLIENTS = Query(
    "access_token.list_clients",
    """
    SELECT c.client_id AS id, c.name, c.created,
           (SELECT count(*) FROM access_tokens t WHERE t.client_id = c.client_id AND t.expires > now()) AS tokens
      FROM oauth_clients c
     WHERE c.site_id IS NULL
     ORDER BY c.client_id""",
)
LOCK_CLIENT = Query(
    "access_token.lock_client",
    "SELECT 1 FROM oauth_clients c WHERE c.client_id = %(client_id)s AND c.site_id IS NULL FOR UPDATE",
)
KEEP_TOKENS = Query(
    "access_token.keep_tokens",
    "UPDATE access_tokens t SET client_id = NULL WHERE t.client_id = %(client_id)s",
)
END_TOKENS = Query(
    "access_token.end_tokens", "DELETE FROM access_tokens t WHERE t.client_id = %(client_id)s"
)
REMOVE_CLIENT = Query(
    "access_token.remove_client",
    "DELETE FROM oauth_clients c WHERE c.client_id = %(client_id)s AND c.site_id IS NULL",
)

FORGET_EXPIRED = Query(
    "access_token.forget_expired", "DELETE FROM access_tokens t WHERE t.expires < now()"
)


def new_secret() -> str:
    """A token's secret: 128 characters of [a-zA-Z0-9], the first four always PREFIX."""
    # One number at random, written in these digits, is a tenth of the work of as many digits at random.
    number = secrets.randbelow(len(_ALPHABET) ** _RANDOM)
    digits = []
    for _ in range(_RANDOM):
        number, place = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[place])
    return PREFIX + "".join(digits)


class Made(NamedTuple):
    """A new token: its number and its secret."""

    id: int
    secret: str


def make(
    tx: Transaction,
    user_id: int,
    *,
    kind: str,
    life_s: int,
    name: str = "",
    client_id: int = 0,
    site_id: int = 0,
    scopes: Sequence[str] | None = None,
    user_agent: str = "",
    ip: str = "",
    grant_id: int = 0,
    secret: str = "",
    by_site: bool = False,
) -> Made:
    """Make a token of a user; `kind` is one of KINDS.

    `scopes` None: all that its user may do; `site_id` 0: good on every site; `by_site`: a provider that the site's
    owner set up vouches for the sign-in behind it. `user_agent` is kept as far as it is text.
    `secret` is one of new_secret() that is known already.
    """
    secret = secret or new_secret()
    id = tx.value(
        CREATE,
        token_hash=token_hash(secret),
        prefix=secret[:_SHOWN],
        user_id=user_id,
        client_id=client_id or None,
        site_id=site_id or None,
        name=name,
        kind=kind,
        scopes=scopes,
        user_agent="".join(filter(str.isprintable, user_agent))[:_MOST_AGENT],
        ip=ip or None,
        grant_id=grant_id or None,
        by_site=by_site,
        life_s=life_s,
    )
    return Made(int(id), secret)


def create(
    tx: Transaction,
    user_id: int,
    *,
    days: int = 365,
    name: str = "",
    client_id: int = 0,
    site_id: int = 0,
    user_agent: str = "",
    ip: str = "",
    by_site: bool = False,
) -> str:
    """Make a token for whoever has just signed in, valid for `days`; its secret. `site_id`, `by_site`: see `make`."""
    return make(
        tx,
        user_id,
        kind=SESSION,
        life_s=days * DAY_S,
        name=name,
        client_id=client_id,
        site_id=site_id,
        user_agent=user_agent,
        ip=ip,
        by_site=by_site,
    ).secret


def show(tx: Reader, site_id: int, secret: str) -> bytes | None:
    """The token resource (P-25) as JSON, or None when there is no such token."""
    row = tx.row(SHOW, token_hash=token_hash(secret), site_id=site_id)
    if row is None:
        return None
    user_id, client_id, created, expires = row
    data: dict[str, Any] = {
        "accessToken": secret,
        "user": user.find(tx, user_id),
        "clientId": client_id,
        "created": json_fragments.when(created),
        "expires": json_fragments.when(expires),
    }
    return json_fragments.dumps(data)


def revoke(tx: Transaction, secret: str) -> int:
    """Delete the token; its user's id, 0 when there was none. Effective on the next request, on every node."""
    return int(tx.value(REVOKE, token_hash=token_hash(secret)) or 0)


def revoke_id(tx: Transaction, token_id: int) -> int:
    """Delete the token with this id; its user's id, 0 when there was none."""
    return int(tx.value(REVOKE_ID, token_id=token_id) or 0)


def revoke_user(tx: Transaction, user_id: int) -> int:
    """Delete every token of a user, and what they let clients do; how many tokens there were."""
    count = tx.run(REVOKE_USER, user_id=user_id)
    end_grants(tx, user_id)
    return count


def end_grants(tx: Transaction, user_id: int) -> None:
    """End all that a user lets clients do, on every site."""
    tx.run(END_GRANTS, user_id=user_id)


class Listed(NamedTuple):
    """A token as a list shows it. `scopes` None: all that its user may do; `client_id` and `site_id` are 0 for none."""

    id: int
    prefix: str
    kind: str
    name: str
    scopes: str | None
    user_id: int
    email: str
    client_id: int
    site_id: int
    created: datetime.datetime
    expires: datetime.datetime
    last_used: datetime.datetime | None


def list_all(tx: Reader, user_id: int = 0) -> list[Listed]:
    """The tokens of a user, or (0) of everybody, oldest first."""
    return [Listed(*row) for row in tx.rows(OF_USER, user_id=user_id)]


def forget_expired(tx: Transaction) -> int:
    """Delete tokens that have expired; how many there were."""
    return tx.run(FORGET_EXPIRED)


def check_client(tx: Reader, secret: str) -> int:
    """The id of the application whose secret this is. Raises Unauthorized."""
    given = hashlib.sha256(secret.encode()).digest()
    found = 0
    # Every secret is compared, and each in constant time: how long it takes says nothing.
    for client_id, stored in tx.rows(CLIENTS):
        if hmac.compare_digest(stored, given):
            found = client_id
    if not found:
        raise Unauthorized("The client secret is wrong or missing")
    return found


def add_client(tx: Transaction, name: str, secret: str = "") -> tuple[int, str]:
    """Register an application; its id and its secret, which is made unless given. Raises Invalid for its name."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_CLIENT_NAME:
        raise Invalid("name", f"must have 1 to {MAX_CLIENT_NAME} characters")
    secret = secret or new_secret()
    client_id = tx.value(
        ADD_CLIENT, name=name, secret_hash=hashlib.sha256(secret.encode()).digest()
    )
    return int(client_id), secret


class Client(NamedTuple):
    """An application as a list shows it; `tokens`: how many it has got for people that are good still."""

    id: int
    name: str
    created: datetime.datetime
    tokens: int


def list_clients(tx: Reader) -> list[Client]:
    """The operators' applications, oldest first."""
    return [Client(*row) for row in tx.rows(LIST_CLIENTS)]


def remove_client(tx: Transaction, client_id: int, *, keeps_tokens: bool = False) -> int:
    """Forget an operators' application, and the tokens that it got for people; how many those were.

    Raises NotFound. With `keeps_tokens` they stay good, as though people had signed in without it.
    """
    if tx.row(LOCK_CLIENT, client_id=client_id) is None:
        raise NotFound(f"There is no application {client_id}")
    count = tx.run(KEEP_TOKENS if keeps_tokens else END_TOKENS, client_id=client_id)
    tx.run(REMOVE_CLIENT, client_id=client_id)
    return count
