"""OAuth grants: consent of people to clients, each with the access and refresh tokens that were issued under it.

Deleting a grant deletes its tokens in the same statement (their foreign keys cascade). Every change within a grant
locks its row first.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.models.access.access_token import AGENTS, GRANT, AccessToken
from forumapi.models.access.oauth_client import host_of
from forumapi.models.pages import page_with_total
from forumapi.wire import json_fragments, scopes
from forumapi.wire.paging import Paging

INSERT = Query(
    "oauth_grant.insert",
    """
    INSERT INTO oauth_grants (site_id, client_id, user_id, scopes, code_hash, audience)
    VALUES (%(site_id)s, %(client_id)s, %(user_id)s, %(scopes)s, %(code_hash)s, %(audience)s)
 RETURNING grant_id""",
)

LOCK = Query(
    "oauth_grant.lock",
    """
    UPDATE oauth_grants g
       SET refreshed = now()
     WHERE g.site_id = %(site_id)s AND g.grant_id = %(grant_id)s AND g.client_id = %(client_id)s
 RETURNING g.user_id, g.scopes, g.audience""",
)

DELETE = Query(
    "oauth_grant.delete",
    "DELETE FROM oauth_grants g WHERE g.site_id = %(site_id)s AND g.grant_id = %(grant_id)s",
)

DELETE_OWN = Query(
    "oauth_grant.delete_own",
    """
    DELETE FROM oauth_grants g
     WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s AND g.grant_id = %(grant_id)s""",
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

FIND_ACCESS = Query(
    "oauth_grant.find_access",
    """
    SELECT t.scopes, t.created, t.expires, t.user_id
      FROM access_tokens t
     WHERE t.token_hash = %(token_hash)s AND t.site_id = %(site_id)s AND t.client_id = %(client_id)s
       AND t.kind = 'grant' AND t.expires > now()""",
)

FIND_REFRESH = Query(
    "oauth_grant.find_refresh",
    """
    SELECT r.scopes, r.created, r.expires, r.user_id
      FROM refresh_tokens r
     WHERE r.token_hash = %(token_hash)s AND r.site_id = %(site_id)s AND r.client_id = %(client_id)s
       AND r.used IS NULL AND r.expires > now()""",
)

# The same answer as the identity statement's: nobody is banned from a site of their own (P-26).
ACTIVE_PROFILE = Query(
    "oauth_grant.active_profile",
    """
    SELECT p.profile_id, p.profile_name
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
      JOIN sites s ON s.site_id = p.site_id
     WHERE p.site_id = %(site_id)s AND p.user_id = %(user_id)s
       AND (s.owned_by = p.profile_id
            OR NOT u.is_banned AND (SELECT r FROM ban_reason(s.site_id, p.user_id, u.email) r) IS NULL)""",
)

PAGE = Query(
    "oauth_grant.page",
    """
    SELECT g.grant_id, g.client_id, c.name, g.scopes, g.created, g.refreshed, g.audience,
           coalesce(c.metadata_url, ''), count(*) OVER ()
      FROM oauth_grants g
      JOIN oauth_clients c ON c.client_id = g.client_id
     WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s
     ORDER BY g.grant_id DESC LIMIT %(limit)s::int OFFSET %(offset)s::int""",
    scope=PLATFORM,
)

COUNT = Query(
    "oauth_grant.count",
    "SELECT count(*) FROM oauth_grants g WHERE g.site_id = %(site_id)s AND g.user_id = %(user_id)s",
)


class OAuthGrant(NamedTuple):
    """Grant: consent of a user to a client on one site. The tokens issued under it are deleted with it.
    `audience`: that of its tokens, "" or access_token.AGENTS.
    """

    site_id: int
    client_id: int
    id: int
    user_id: int
    scopes: Sequence[str]
    audience: str = ""

    @classmethod
    def insert(
        cls,
        tx: Transaction,
        site_id: int,
        client_id: int,
        user_id: int,
        scopes: Sequence[str],
        code: str = "",
        audience: str = "",
    ) -> OAuthGrant:
        """Store a grant of the user to the client and return it. `code`: the authorization code that led to it, "" for
        a grant without one; `audience`: that of the grant's tokens, "" or access_token.AGENTS.
        """
        id = tx.value(
            INSERT,
            site_id=site_id,
            client_id=client_id,
            user_id=user_id,
            scopes=scopes,
            code_hash=secret_hash(code) if code else None,
            audience=audience,
        )
        return cls(site_id, client_id, int(id), user_id, scopes, audience)

    @classmethod
    def lock(cls, tx: Transaction, site_id: int, client_id: int, refresh: str) -> OAuthGrant | None:
        """Lock the grant that the refresh token `refresh` of this client belongs to, store now as the grant's time of
        refresh, and return the grant; None for a token that is unknown, expired or used before. The token is not marked
        as used: `add_tokens` does it.

        A token that was used before deletes the grant, since one of the two who used it must be a thief: commit also
        after None.
        """
        token_hash = secret_hash(refresh)
        params = {"site_id": site_id, "client_id": client_id}
        grant_id = tx.value(FAMILY, token_hash=token_hash, **params)
        if grant_id is None:
            return None
        row = tx.row(LOCK, grant_id=grant_id, **params)
        state = tx.row(USE_REFRESH, token_hash=token_hash, **params)
        if row is None or state is None:
            return None
        grant = cls(site_id, client_id, int(grant_id), *row)
        was_used, is_expired = state
        if was_used:
            grant.delete(tx)
            return None
        return None if is_expired else grant

    def add_tokens(
        self,
        tx: Transaction,
        *,
        access: str,
        scopes: Sequence[str],
        life_s: int,
        refresh: str,
        refresh_days: int,
        used: str = "",
        ip: str = "",
    ) -> None:
        """Store an access token and a refresh token of the grant, by their secrets `access` and `refresh`.

        `scopes` and `life_s` (seconds) are those of the access token, `ip` the address that it was asked for from; the
        refresh token has all scopes of the grant and is valid for `refresh_days`. `used`: secret of the refresh token
        spent for them, which is marked as used; "" for none.
        """
        if used:
            tx.run(MARK_USED, token_hash=secret_hash(used), site_id=self.site_id)
        AccessToken.insert(
            tx,
            self.user_id,
            kind=GRANT,
            life_s=life_s,
            client_id=self.client_id,
            site_id=self.site_id,
            scopes=scopes,
            grant_id=self.id,
            ip=ip,
            secret=access,
            audience=self.audience,
        )
        tx.run(
            ADD_REFRESH,
            token_hash=secret_hash(refresh),
            grant_id=self.id,
            user_id=self.user_id,
            client_id=self.client_id,
            site_id=self.site_id,
            scopes=self.scopes,
            days=refresh_days,
        )

    def delete(self, tx: Transaction) -> None:
        """Delete the grant with all its tokens, which are refused from the next request on."""
        tx.run(DELETE, site_id=self.site_id, grant_id=self.id)

    @staticmethod
    def delete_own(tx: Transaction, site_id: int, user_id: int, grant_id: int) -> bool:
        """Delete the grant with this id and its tokens; return False if it does not exist here or is another user's."""
        return tx.run(DELETE_OWN, site_id=site_id, user_id=user_id, grant_id=grant_id) > 0


class ClientToken(NamedTuple):
    """Unexpired access or refresh token of a client, for introspection (RFC 7662). `user_id`: user who consented."""

    scopes: list[str]
    created: datetime.datetime
    expires: datetime.datetime
    user_id: int

    @classmethod
    def find(cls, tx: Reader, site_id: int, client_id: int, secret: str) -> ClientToken | None:
        """Return the unexpired access or refresh token of this client with this secret; None if the client has none, or
        it is expired, used or revoked.
        """
        params = _token(site_id, client_id, secret)
        row = tx.row(FIND_ACCESS, **params) or tx.row(FIND_REFRESH, **params)
        return cls(*row) if row else None

    @staticmethod
    def revoke(tx: Transaction, site_id: int, client_id: int, secret: str) -> None:
        """Delete this client's access token with this secret, or, if it is the secret of a refresh token, the whole
        grant of that token (RFC 7009). Nothing happens if the client has no such token.
        """
        params = _token(site_id, client_id, secret)
        grant_id = tx.value(FAMILY, **params)
        if grant_id is not None:
            tx.run(DELETE, site_id=site_id, grant_id=grant_id)
        else:
            tx.run(END_ACCESS, **params)


class GrantedClient(NamedTuple):
    """Grant as the person sees it who gave it. `id`: the grant's; `client_id`, `client_name`: those of the client that
    got it; `scopes`: those granted; `refreshed`: time at which it was made, or a refresh token of it was last used;
    `audience`: that of its tokens; `metadata_url`: URL of the document of a client that nobody has registered, else "".
    """

    id: int
    client_id: int
    client_name: str
    scopes: list[str]
    created: datetime.datetime
    refreshed: datetime.datetime
    audience: str
    metadata_url: str

    @classmethod
    def page(
        cls, tx: Reader, site_id: int, user_id: int, paging: Paging
    ) -> tuple[list[GrantedClient], int]:
        """Return the page `paging` of a user's grants on this site, newest first, and the number of all of them."""
        rows, total = page_with_total.page(
            tx, PAGE, COUNT, paging, site_id=site_id, user_id=user_id
        )
        return [cls(*row) for row in rows], total

    def document(self) -> dict[str, Any]:
        """Return the grant as JSON members for the person who gave it."""
        return {
            "id": self.id,
            "clientId": self.client_id,
            "clientName": self.client_name,
            **({"clientHost": host_of(self.metadata_url)} if self.metadata_url else {}),
            "forAgents": self.audience == AGENTS,
            "scopes": [
                {"scope": scope, "description": scopes.words(scope)} for scope in self.scopes
            ],
            "created": json_fragments.format_time(self.created),
            "refreshed": json_fragments.format_time(self.refreshed),
            "meta": {"links": [{"rel": "self", "href": f"/api/v1/oauth/grants/{self.id}"}]},
        }


def secret_hash(secret: str) -> bytes:
    """Return the SHA-256 by which an authorization code, a device code or a refresh token is stored and found."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def active_profile(tx: Reader, site_id: int, user_id: int) -> tuple[int, str] | None:
    """Return (id, name) of the profile that the user has on this site; None without a profile here, or if the user is
    banned here or on the whole platform; neither ban counts for the site's owner.
    """
    row = tx.row(ACTIVE_PROFILE, site_id=site_id, user_id=user_id)
    return (int(row[0]), str(row[1])) if row else None


def _token(site_id: int, client_id: int, secret: str) -> dict[str, Any]:
    return {"token_hash": secret_hash(secret), "site_id": site_id, "client_id": client_id}
