"""Idempotency keys: a retried write happens once, on any node and after a crash (architecture, writing)."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import Conflict, Invalid, Unavailable, Unprocessable

MAX_LENGTH: Final = 255
WAIT_MS: Final = 2000

# A concurrent copy of the request holds the row until it ends; don't wait for it longer than this.
LIMIT_WAIT = Query(
    "idempotency.limit_wait", "SELECT set_config('lock_timeout', %(wait_ms)s::text, true)"
)

FORGET_OLD = Query(
    "idempotency.forget_old",
    """
    DELETE FROM idempotency_keys k
     WHERE k.site_id = %(site_id)s AND k.profile_id = %(profile_id)s AND k.method = %(method)s AND k.path = %(path)s
       AND k.key = %(key)s AND k.created < now() - make_interval(hours => %(hours)s)""",
)

CLAIM = Query(
    "idempotency.claim",
    """
    INSERT INTO idempotency_keys (site_id, profile_id, method, path, key, body_hash)
    VALUES (%(site_id)s, %(profile_id)s, %(method)s, %(path)s, %(key)s, %(body_hash)s)
        ON CONFLICT DO NOTHING
 RETURNING true""",
)

FIND = Query(
    "idempotency.find",
    """
    SELECT k.body_hash, k.status, coalesce(k.location, '')
      FROM idempotency_keys k
     WHERE k.site_id = %(site_id)s AND k.profile_id = %(profile_id)s AND k.method = %(method)s AND k.path = %(path)s
       AND k.key = %(key)s""",
)

FINISH = Query(
    "idempotency.finish",
    """
    UPDATE idempotency_keys k
       SET status = %(status)s, location = %(location)s
     WHERE k.site_id = %(site_id)s AND k.profile_id = %(profile_id)s AND k.method = %(method)s AND k.path = %(path)s
       AND k.key = %(key)s""",
)


class KeyScope(NamedTuple):
    """Idempotency key, with the site, profile, method and path of its request; the same key with another of these is a
    different key.
    """

    site_id: int
    profile_id: int
    method: str
    path: str
    key: str


class Finished(NamedTuple):
    """Answer of the first request with a key, to be repeated: its status code and header Location, "" for none."""

    status: int
    location: str


def check(key: str) -> str:
    """Return `key`, which a client sent. Raises Invalid unless it has 1 to 255 printable ASCII characters."""
    if not 1 <= len(key) <= MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise Invalid("Idempotency-Key", f"must be 1 to {MAX_LENGTH} printable ASCII characters")
    return key


def claim(tx: Transaction, scope: KeyScope, body: bytes, hours: int) -> Finished | None:
    """Store the key in this transaction, with which it commits, and return None, so that the caller goes on; if a
    request with the key is finished, return that request's answer. Waits up to WAIT_MS for another request with the key
    that runs; the same limit is then set for all locks of this transaction.

    `body`: that of the request. Raises Conflict (409) if the other request still runs, Unprocessable (422) if the
    earlier request had another body. A key stored more than `hours` ago counts as new.
    """
    digest = hashlib.sha256(body).digest()
    tx.run(LIMIT_WAIT, wait_ms=str(WAIT_MS))
    try:
        tx.run(FORGET_OLD, hours=hours, **scope._asdict())
        claimed = tx.row(CLAIM, body_hash=digest, **scope._asdict())
    except Unavailable as error:
        if not isinstance(error.__cause__, pgerrors.LockNotAvailable):
            raise
        raise Conflict(
            "A request with this Idempotency-Key is still under way",
            headers=(("Retry-After", "1"),),
        ) from None
    if claimed:
        return None
    row = tx.row(FIND, **scope._asdict())
    if row is None or row[1] is None:
        raise Conflict(
            "A request with this Idempotency-Key is still under way",
            headers=(("Retry-After", "1"),),
        )
    if row[0] != digest:
        raise Unprocessable("This Idempotency-Key was used with another body")
    return Finished(row[1], row[2])


def finish(tx: Transaction, scope: KeyScope, status: int, location: str) -> None:
    """Store the answer of the request, its status and `location` ("" for none), under its key, which `claim` has
    stored; both commit with the request's effect.
    """
    tx.run(FINISH, status=status, location=location or None, **scope._asdict())
