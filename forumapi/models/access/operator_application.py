"""Applications of operators, which sign people in on all sites with a client secret (platform 3.1)."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from typing import Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Invalid, NotFound, Unauthorized
from forumapi.models.access.access_token import new_secret

MAX_NAME: Final = 50

# Clients of sites, which ask people for their consent, have a site.
SECRETS = Query(
    "operator_application.secrets",
    "SELECT c.client_id, c.secret_hash FROM oauth_clients c WHERE c.site_id IS NULL",
    scope=PLATFORM,
)

INSERT = Query(
    "operator_application.insert",
    "INSERT INTO oauth_clients (name, secret_hash) VALUES (%(name)s, %(secret_hash)s) RETURNING client_id",
    scope=PLATFORM,
)
LIST = Query(
    "operator_application.list",
    """
    SELECT c.client_id AS id, c.name, c.created,
           (SELECT count(*) FROM access_tokens t WHERE t.client_id = c.client_id AND t.expires > now()) AS tokens
      FROM oauth_clients c
     WHERE c.site_id IS NULL
     ORDER BY c.client_id""",
    scope=PLATFORM,
)
LOCK = Query(
    "operator_application.lock",
    "SELECT 1 FROM oauth_clients c WHERE c.client_id = %(client_id)s AND c.site_id IS NULL FOR UPDATE",
    scope=PLATFORM,
)
KEEP_TOKENS = Query(
    "operator_application.keep_tokens",
    "UPDATE access_tokens t SET client_id = NULL WHERE t.client_id = %(client_id)s",
    scope=PLATFORM,
)
END_TOKENS = Query(
    "operator_application.end_tokens",
    "DELETE FROM access_tokens t WHERE t.client_id = %(client_id)s",
    scope=PLATFORM,
)
DELETE = Query(
    "operator_application.delete",
    "DELETE FROM oauth_clients c WHERE c.client_id = %(client_id)s AND c.site_id IS NULL",
    scope=PLATFORM,
)


class OperatorApplication(NamedTuple):
    """Application of the operators. `tokens`: number of unexpired tokens that it got for people."""

    id: int
    name: str
    created: datetime.datetime
    tokens: int

    @classmethod
    def find_all(cls, tx: Reader) -> list[OperatorApplication]:
        """Return the applications, oldest first."""
        return [cls(*row) for row in tx.rows(LIST)]

    @staticmethod
    def check_secret(tx: Reader, secret: str) -> int:
        """Return the id of the application with this secret. Raises Unauthorized if none has it."""
        given = hashlib.sha256(secret.encode()).digest()
        client_id = 0
        # Every secret is compared, each in constant time, so that the time taken reveals nothing.
        for id, stored in tx.rows(SECRETS):
            if hmac.compare_digest(stored, given):
                client_id = id
        if not client_id:
            raise Unauthorized("The client secret is wrong or missing")
        return client_id

    @staticmethod
    def insert(tx: Transaction, name: str, secret: str = "") -> tuple[int, str]:
        """Register an application; return its id and its secret, which is `secret` or, for "", a new one.

        White space within `name` is stored as single spaces. Raises Invalid for a blank name or one over MAX_NAME
        characters.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= MAX_NAME:
            raise Invalid("name", f"must have 1 to {MAX_NAME} characters")
        secret = secret or new_secret()
        hashed = hashlib.sha256(secret.encode()).digest()
        return int(tx.value(INSERT, name=name, secret_hash=hashed)), secret

    @staticmethod
    def delete(tx: Transaction, client_id: int, *, keeps_tokens: bool = False) -> int:
        """Delete an application and the tokens that it got for people; return the number of those tokens.

        With `keeps_tokens` the tokens are not deleted but name no application any more; the number is returned all the
        same. Raises NotFound without such an application.
        """
        if tx.row(LOCK, client_id=client_id) is None:
            raise NotFound(f"There is no application {client_id}")
        count = tx.run(KEEP_TOKENS if keeps_tokens else END_TOKENS, client_id=client_id)
        tx.run(DELETE, client_id=client_id)
        return count
