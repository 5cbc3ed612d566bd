"""Access tokens of users (platform 3.1, 3.5; P-21, P-22, P-25).

Only the SHA-256 of a secret is stored; the secret itself is shown once, when the token is made.
"""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.access.identity import token_hash
from forumapi.models.people import user
from forumapi.wire import json_fragments

LENGTH: Final = 128
PREFIX: Final = "fapi"
_RANDOM: Final = LENGTH - len(PREFIX)
_ALPHABET: Final = string.ascii_letters + string.digits
DAY_S: Final = 86_400
SESSION: Final = "session"
KEY: Final = "key"
GRANT: Final = "grant"
PAGE: Final = "page"
# Audience of tokens for a site's MCP server (RFC 8707); "" is that of tokens for the REST API.
AGENTS: Final = "mcp"
KINDS: Final = (SESSION, KEY, GRANT, PAGE)
_MOST_AGENT: Final = 300
_SHOWN: Final = 8  # of the secret, stored in clear so that its owner recognises it

INSERT = Query(
    "access_token.insert",
    """
    INSERT INTO access_tokens (token_hash, token_prefix, user_id, client_id, site_id, name, kind, scopes, user_agent,
                               ip, grant_id, by_site, audience, expires)
    VALUES (%(token_hash)s, %(prefix)s, %(user_id)s, %(client_id)s, %(site_id)s, %(name)s, %(kind)s, %(scopes)s,
            %(user_agent)s, %(ip)s, %(grant_id)s, %(by_site)s, %(audience)s,
            now() + make_interval(secs => %(life_s)s::int))
 RETURNING token_id""",
)

FIND = Query(
    "access_token.find",
    """
    SELECT t.user_id, coalesce(t.client_id, 0), t.created, t.expires
      FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND (t.site_id IS NULL OR t.site_id = %(site_id)s)""",
)

DELETE = Query(
    "access_token.delete",
    "DELETE FROM access_tokens t WHERE t.token_hash = %(token_hash)s RETURNING t.user_id",
    scope=PLATFORM,
)

DELETE_BY_ID = Query(
    "access_token.delete_by_id",
    "DELETE FROM access_tokens t WHERE t.token_id = %(token_id)s RETURNING t.user_id",
    scope=PLATFORM,
)

DELETE_OF_USER = Query(
    "access_token.delete_of_user",
    "DELETE FROM access_tokens t WHERE t.user_id = %(user_id)s",
    scope=PLATFORM,
)

# Tokens go with their grants, and so do consents that no client has redeemed yet.
END_GRANTS = Query(
    "access_token.end_grants",
    """
    WITH waiting AS (
        DELETE FROM single_use u
         WHERE u.kind IN ('oauth-code', 'oauth-device') AND (u.payload ->> 'user')::bigint = %(user_id)s)
    DELETE FROM oauth_grants g
     USING profiles p
     WHERE p.user_id = %(user_id)s AND g.site_id = p.site_id AND g.user_id = p.user_id""",
    scope=PLATFORM,
)

LIST = Query(
    "access_token.list",
    """
    SELECT t.token_id, t.token_prefix, t.kind, t.name, array_to_string(t.scopes, ' '), t.user_id, u.email,
           coalesce(t.client_id, 0), coalesce(t.site_id, 0), t.audience = 'mcp', t.created, t.expires, t.last_used
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE %(user_id)s::bigint = 0 OR t.user_id = %(user_id)s::bigint
     ORDER BY t.token_id""",
    scope=PLATFORM,
)

DELETE_EXPIRED = Query(
    "access_token.delete_expired",
    "DELETE FROM access_tokens t WHERE t.expires < now()",
    scope=PLATFORM,
)


def new_secret() -> str:
    """Return a new secret of a token: 128 characters, PREFIX and then random ones of [a-zA-Z0-9]."""
    # One number at random, written in these digits, is a tenth of the work of as many digits at random.
    number = secrets.randbelow(len(_ALPHABET) ** _RANDOM)
    digits = []
    for _ in range(_RANDOM):
        number, place = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[place])
    return PREFIX + "".join(digits)


class NewToken(NamedTuple):
    """Id and secret of a new token."""

    id: int
    secret: str


class AccessToken(NamedTuple):
    """Token as the operators' list shows it. `kind`: one of KINDS; `last_used` None: never; `prefix`: first characters
    of its secret; `scopes`: separated by spaces, None: it allows all that its user may do; `client_id` 0: no client
    made it; `site_id` 0: good on every site; `for_agents`: it has the audience AGENTS.
    """

    id: int
    prefix: str
    kind: str
    name: str
    scopes: str | None
    user_id: int
    email: str
    client_id: int
    site_id: int
    for_agents: bool
    created: datetime.datetime
    expires: datetime.datetime
    last_used: datetime.datetime | None

    @classmethod
    def find_all(cls, tx: Reader, user_id: int = 0) -> list[AccessToken]:
        """Return all tokens of a user, or with `user_id` 0 of all users, expired ones included, oldest first."""
        return [cls(*row) for row in tx.rows(LIST, user_id=user_id)]

    @staticmethod
    def insert(
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
        audience: str = "",
    ) -> NewToken:
        """Store a token of a user, valid for `life_s` seconds; return its id and secret. `kind` is one of KINDS.

        `name`: the one that lists of tokens show; `scopes` None: it allows all that its user may do; `client_id` and
        `grant_id`: OAuth client and grant that it belongs to, 0 for none; `site_id` 0: good on every site; `by_site`: a
        provider that the site's owner configured vouches for the sign-in behind it; `audience`: "" or AGENTS.
        `user_agent` and `ip` are those of the request that made it; of `user_agent` only the first 300 printable
        characters are stored. `secret`: a result of new_secret(), "" for a new one.
        """
        secret = secret or new_secret()
        id = tx.value(
            INSERT,
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
            audience=audience,
            life_s=life_s,
        )
        return NewToken(int(id), secret)

    @classmethod
    def insert_session(
        cls,
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
        """Store a session of a user who has just signed in, without limits by scopes, valid for `days`; return its
        secret. All other parameters mean the same as in `insert`.
        """
        return cls.insert(
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

    @staticmethod
    def delete(tx: Transaction, secret: str) -> int:
        """Delete the token with this secret, of any site; return its user's id, 0 if there was none.

        The secret is refused from the next request on, by every process.
        """
        return int(tx.value(DELETE, token_hash=token_hash(secret)) or 0)

    @staticmethod
    def delete_by_id(tx: Transaction, token_id: int) -> int:
        """Delete the token with this id; return its user's id, 0 if there was none."""
        return int(tx.value(DELETE_BY_ID, token_id=token_id) or 0)

    @staticmethod
    def delete_of_user(tx: Transaction, user_id: int) -> int:
        """Delete every token and grant of a user, and the user's authorization and device codes that no client has
        redeemed yet; return the number of tokens.
        """
        count = tx.run(DELETE_OF_USER, user_id=user_id)
        end_grants(tx, user_id)
        return count

    @staticmethod
    def delete_expired(tx: Transaction) -> int:
        """Delete tokens that have expired; return their number."""
        return tx.run(DELETE_EXPIRED)


def end_grants(tx: Transaction, user_id: int) -> None:
    """Delete all grants of a user to clients, on every site, with their tokens, and the user's authorization and device
    codes that no client has redeemed yet.
    """
    tx.run(END_GRANTS, user_id=user_id)


def document(tx: Reader, site_id: int, secret: str) -> bytes | None:
    """Return the token with this secret as JSON (P-25), with `secret` in it, even if the token has expired; None if no
    token for this site or for all sites has the secret.
    """
    row = tx.row(FIND, token_hash=token_hash(secret), site_id=site_id)
    if row is None:
        return None
    user_id, client_id, created, expires = row
    data: dict[str, Any] = {
        "accessToken": secret,
        "user": user.find(tx, user_id),
        "clientId": client_id,
        "created": json_fragments.format_time(created),
        "expires": json_fragments.format_time(expires),
    }
    return json_fragments.dumps(data)
