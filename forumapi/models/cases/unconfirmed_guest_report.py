"""Reports by guests who have not confirmed their address yet: single-use secrets, which count as no report and expire
within a day.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, NamedTuple, Self

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.wire.json_fragments import dumps

KIND: Final = "guest-report"
HOURS: Final = 24

STORE = Query(
    "unconfirmed_guest_report.store",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, subject, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(subject)s, %(payload)s::jsonb, 1,
            now() + make_interval(hours => %(hours)s::int))""",
)
_COLUMNS: Final = """
    s.subject, s.payload->>'email', s.payload->>'name', (s.payload->>'type')::smallint, (s.payload->>'id')::bigint,
           s.payload->>'kind', s.payload->>'category', s.payload->>'text'"""
_MINE: Final = """
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.expires > now()"""
FIND = Query("unconfirmed_guest_report.find", f"SELECT {_COLUMNS} FROM single_use s {_MINE}")
TAKE = Query(
    "unconfirmed_guest_report.take", f"DELETE FROM single_use s {_MINE} RETURNING {_COLUMNS}"
)


class GuestRequest(NamedTuple):
    """Report by a guest that waits for the confirmation of the address `email`. `key`: person key of the address
    (text/email_address.py); `text` and `name` are HTML-escaped, without tags; `kind`, `category`: as in Report;
    `item_type` and `item_id`: the thing reported.
    """

    key: str
    email: str
    name: str
    item_type: int
    item_id: int
    kind: str
    category: str
    text: str

    def insert(self, tx: Transaction, site_id: int) -> str:
        """Store the request; return the secret that confirms it, which the caller sends by mail, and of which only a
        hash is stored.
        """
        secret = secrets.token_urlsafe(32)
        payload = {
            "email": self.email,
            "name": self.name,
            "type": self.item_type,
            "id": self.item_id,
            "kind": self.kind,
            "category": self.category,
            "text": self.text,
        }
        tx.run(
            STORE,
            kind=KIND,
            secret_hash=_hash(secret),
            site_id=site_id,
            subject=self.key,
            payload=dumps(payload).decode(),
            hours=HOURS,
        )
        return secret

    @classmethod
    def find(cls, tx: Reader, site_id: int, secret: str) -> Self | None:
        """Return the request with this secret, which stays valid; None if this site has none, or it is used
        or expired.
        """
        row = tx.row(FIND, kind=KIND, secret_hash=_hash(secret), site_id=site_id)
        return cls(*row) if row else None

    @classmethod
    def take(cls, tx: Transaction, site_id: int, secret: str) -> Self | None:
        """Use up the request with this secret and return it; None if this site has none, or it is used or expired."""
        row = tx.row(TAKE, kind=KIND, secret_hash=_hash(secret), site_id=site_id)
        return cls(*row) if row else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(f"{KIND}\0{secret}".encode()).digest()
