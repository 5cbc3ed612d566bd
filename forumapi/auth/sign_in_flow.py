"""State of a sign-in between its steps (a flow), in rows that can be used once, and only by the client that began.

The client that begins gets the flow's secret in a body, never in a URL. The row is found by a hash of that secret (and
of the OAuth `state`, where there is one): so a stranger who brings a code or state back finds no row, and uses none up.
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
    "sign_in_flow.begin",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(payload)s::text::jsonb, %(tries)s,
            now() + make_interval(secs => %(ttl_s)s::int))""",
)

TAKE = Query(
    "sign_in_flow.take",
    """
    DELETE FROM single_use s
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.expires > now()
 RETURNING s.payload::text""",
)

# Each try is paid for before it is looked at, so that tries at the same time can't share one.
TRY = Query(
    "sign_in_flow.try",
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
    """Store `payload` for the next step of a flow (a sign-in or registration of several requests), for TTL_S seconds
    (ten minutes); return the flow's secret. `kind`: what is begun, such as the name of a sign-in method; `state`: OAuth
    state, "" for none.
    """
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
    """Delete a flow and return its payload. None, and nothing is deleted, if its secret, `kind`, site or `state` is
    another than at `begin`, or the flow is too old.
    """
    found = tx.value(TAKE, kind=kind, secret_hash=_hash(flow, state), site_id=site_id)
    return None if found is None else json_fragments.loads(found)


def attempt(tx: Transaction, kind: str, site_id: int, flow: str) -> dict[str, Any] | None:
    """Count a try of a flow that was begun without OAuth state, and return its payload, which stays until `take`; None
    if it is unknown, too old or was tried TRIES times.
    """
    found = tx.value(TRY, kind=kind, secret_hash=_hash(flow, ""), site_id=site_id)
    return None if found is None else json_fragments.loads(found)


def count(given: Attempt, limit: Limit) -> None:
    """Count a step of the sign-in `given` against `limit` by its client's address (an IPv6 one by its /64 network), in
    a transaction of its own; clients on a Unix socket have no address and are not counted. Raises TooMany once the
    address is at the limit.
    """
    if given.ip:
        with given.write() as tx:
            rate_counters.take(tx, limit, client_address.network(given.ip))


def _hash(flow: str, state: str) -> bytes:
    return hashlib.sha256(f"{flow}\0{state}".encode()).digest()
