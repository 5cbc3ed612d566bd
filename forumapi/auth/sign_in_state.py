"""State of a sign-in between its steps (a flow), in single-use rows that only the client that began can claim.

A flow's secret goes to the client that begins, in a body, and never into a URL. Its row is found by a hash of that
secret (with the OAuth state, where there is one), so what a stranger brings back finds nothing and uses nothing up.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

from forumapi.auth.backends import Attempt
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.wire import client_address, json_fragments

TTL_S: Final = 600
TRIES: Final = 5  # of a flow whose step may be tried again

HOUR_S: Final = 3600
BEGINS_PER_CLIENT_ADDRESS: Final = Limit("flow-begin-ip", 120, HOUR_S)
STEPS_PER_CLIENT_ADDRESS: Final = Limit("flow-step-ip", 120, HOUR_S)

BEGIN = Query(
    "sign_in_state.begin",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(payload)s::text::jsonb, %(tries)s,
            now() + make_interval(secs => %(ttl_s)s::int))""",
)

TAKE = Query(
    "sign_in_state.take",
    """
    DELETE FROM single_use s
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.expires > now()
 RETURNING s.payload::text""",
)

# Each try is paid for before it is looked at, so that tries at the same time can't share one.
TRY = Query(
    "sign_in_state.try",
    """
    UPDATE single_use s
       SET attempts_left = s.attempts_left - 1
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.attempts_left > 0
       AND s.expires > now()
 RETURNING s.payload::text""",
)


def begin(
    tx: Transaction, kind: str, site_id: int, payload: dict[str, Any], *, state: str = ""
) -> str:
    """Store `payload` for the next step of a sign-in on this site; return the flow's secret."""
    flow = secrets.token_urlsafe(32)
    tx.run(
        BEGIN,
        kind=kind,
        secret_hash=_hash(flow, state),
        site_id=site_id,
        payload=json_fragments.dumps(payload).decode(),
        tries=TRIES,
        ttl_s=TTL_S,
    )
    return flow


def take(
    tx: Transaction, kind: str, site_id: int, flow: str, *, state: str = ""
) -> dict[str, Any] | None:
    """Use up a flow and return its payload; None if it is unknown, used, too old or of another client, site or kind."""
    found = tx.value(TAKE, kind=kind, secret_hash=_hash(flow, state), site_id=site_id)
    return None if found is None else json_fragments.loads(found)


def attempt(tx: Transaction, kind: str, site_id: int, flow: str) -> dict[str, Any] | None:
    """Return the payload of a flow, which stays until it is taken; None if it is unknown or was tried TRIES times."""
    found = tx.value(TRY, kind=kind, secret_hash=_hash(flow, ""), site_id=site_id)
    return None if found is None else json_fragments.loads(found)


def count(given: Attempt, limit: Limit) -> None:
    """Count a step of a sign-in by client address; a peer without one (a Unix socket) is not counted.

    Raises TooMany.
    """
    if given.ip:
        with given.write() as tx:
            rate_counters.take(tx, limit, client_address.network(given.ip))


def _hash(flow: str, state: str) -> bytes:
    return hashlib.sha256(f"{flow}\0{state}".encode()).digest()
