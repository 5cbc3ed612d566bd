"""Authorization codes: consent of a person, kept until the client redeems it within a minute (RFC 6749, 4.1)."""

from __future__ import annotations

from typing import Final, NamedTuple

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.access.oauth_grant import secret_hash
from forumapi.wire import json_fragments

KIND: Final = "oauth-code"
LIFE_S: Final = 60

INSERT = Query(
    "authorization_code.insert",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, payload, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(payload)s::jsonb,
            now() + make_interval(secs => %(life_s)s::int))""",
)

# A code of another client stays, so that no other client can use it up.
REDEEM = Query(
    "authorization_code.redeem",
    """
    DELETE FROM single_use u
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s
       AND (u.payload ->> 'client')::bigint = %(client_id)s
 RETURNING u.payload::text, u.expires > now()""",
)

END_GRANT = Query(
    "authorization_code.end_grant",
    """
    DELETE FROM oauth_grants g
     WHERE g.site_id = %(site_id)s AND g.client_id = %(client_id)s AND g.code_hash = %(code_hash)s""",
)


class AuthorizationCode(NamedTuple):
    """Consent of a user to a client, which redeems it by its code. `client` and `user` are ids; `scopes`: those that
    the user consented to; `redirect`: the redirect URI of the request; `challenge`: that of PKCE (RFC 7636);
    `audience`: that of the tokens, "" or access_token.AGENTS.
    """

    client: int
    user: int
    scopes: list[str]
    redirect: str
    challenge: str
    audience: str = ""

    def insert(self, tx: Transaction, site_id: int, secret: str) -> None:
        """Store the consent under `secret`, the code by which the client can redeem it, once and for a minute."""
        tx.run(
            INSERT,
            kind=KIND,
            secret_hash=secret_hash(secret),
            site_id=site_id,
            # The release before knows no audience: it redeems codes that have none.
            payload=json_fragments.dumps(
                {
                    name: value
                    for name, value in self._asdict().items()
                    if name != "audience" or value
                }
            ).decode(),
            life_s=LIFE_S,
        )

    @classmethod
    def redeem(
        cls, tx: Transaction, site_id: int, client_id: int, secret: str
    ) -> AuthorizationCode | None:
        """Delete the code `secret` of this client and return its consent, whose `redirect` and `challenge` the caller
        of this method must compare with the request's; None for a code that is unknown, used, expired or another
        client's.

        The second use of a code deletes the grant that its first use led to, since one of the two who used it must be a
        thief: commit also after None.
        """
        hashed = secret_hash(secret)
        row = tx.row(REDEEM, kind=KIND, secret_hash=hashed, site_id=site_id, client_id=client_id)
        if row is None:
            tx.run(END_GRANT, site_id=site_id, client_id=client_id, code_hash=hashed)
            return None
        return cls(**json_fragments.loads(row[0])) if row[1] else None
