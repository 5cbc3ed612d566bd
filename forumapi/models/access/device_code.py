"""Codes for devices without a browser: the device polls with one, a person types the other (RFC 8628)."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.access.oauth_grant import secret_hash
from forumapi.wire import json_fragments

KIND: Final = "oauth-device"
LIFE_S: Final = 900
INTERVAL_S: Final = 5
# Without vowels, so that no words come up (RFC 8628, section 6.1).
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH: Final = 8

ADD = Query(
    "device_code.add",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, subject, payload, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(subject)s, %(payload)s::jsonb,
            now() + make_interval(secs => %(life_s)s::int))""",
)

POLL = Query(
    "device_code.poll",
    """
    SELECT u.payload::text, u.expires > now()
      FROM single_use u
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s
       FOR UPDATE""",
)

NOTE = Query(
    "device_code.note",
    """
    UPDATE single_use u
       SET payload = u.payload || %(payload)s::jsonb
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s""",
)

TAKE = Query(
    "device_code.take",
    """
    DELETE FROM single_use u
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s""",
)

FIND = Query(
    "device_code.find",
    """
    SELECT u.payload::text
      FROM single_use u
     WHERE u.kind = %(kind)s AND u.subject = %(subject)s AND u.site_id = %(site_id)s AND u.expires > now()
       AND u.payload ->> 'state' = 'pending'""",
)

# Two decisions on one code: the first stands.
DECIDE = Query(
    "device_code.decide",
    """
    UPDATE single_use u
       SET payload = u.payload || %(payload)s::jsonb
     WHERE u.kind = %(kind)s AND u.subject = %(subject)s AND u.site_id = %(site_id)s AND u.expires > now()
       AND u.payload ->> 'state' = 'pending'
 RETURNING u.payload::text""",
)

PENDING: Final = "pending"
GRANTED: Final = "granted"
DENIED: Final = "denied"


class Waiting(NamedTuple):
    """What a device asked for. `state` is PENDING, GRANTED or DENIED; `user` is 0 until granted."""

    client: int
    scopes: list[str]
    state: str = PENDING
    user: int = 0
    polled: float = 0.0
    interval: int = INTERVAL_S


def new_user_code() -> str:
    """What a person types: eight letters, WDJB-MJHT."""
    text = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{text[:4]}-{text[4:]}"


def _plain(user_code: str) -> str:
    """A typed code as it is stored: its letters alone, in capitals."""
    return "".join(letter for letter in user_code.upper() if letter in _LETTERS)[: _LENGTH + 1]


def add(
    tx: Transaction, site_id: int, client_id: int, scopes: list[str], device: str, user_code: str
) -> None:
    """Keep what a device asks for under both of its codes."""
    _write(
        tx,
        ADD,
        site_id,
        device,
        Waiting(client_id, scopes)._asdict(),
        subject=_plain(user_code),
        life_s=LIFE_S,
    )


def _write(
    tx: Transaction, query: Query, site_id: int, device: str, payload: dict[str, Any], **more: Any
) -> None:
    tx.run(
        query,
        kind=KIND,
        secret_hash=secret_hash(device),
        site_id=site_id,
        payload=json_fragments.dumps(payload).decode(),
        **more,
    )


class Polled(NamedTuple):
    """What a device is told. `is_hasty`: it asked again too soon."""

    waiting: Waiting
    is_live: bool
    is_hasty: bool


def poll(tx: Transaction, site_id: int, client_id: int, device: str) -> Polled | None:
    """What became of a device's request; a decision is told once. None for a code that this client was never given."""
    row = tx.row(POLL, kind=KIND, secret_hash=secret_hash(device), site_id=site_id)
    if row is None:
        return None
    waiting = Waiting(**json_fragments.loads(row[0]))
    if waiting.client != client_id:
        return None
    now = time.time()
    is_hasty = waiting.state == PENDING and now - waiting.polled < waiting.interval
    if waiting.state != PENDING and row[1]:
        tx.run(TAKE, kind=KIND, secret_hash=secret_hash(device), site_id=site_id)
    else:
        interval = waiting.interval + (INTERVAL_S if is_hasty else 0)
        _write(tx, NOTE, site_id, device, {"polled": now, "interval": interval})
    return Polled(waiting, bool(row[1]), is_hasty)


def find(tx: Reader, site_id: int, user_code: str) -> Waiting | None:
    """What the device asks for whose code a person typed; None when there is none to decide on."""
    text = tx.value(FIND, kind=KIND, subject=_plain(user_code), site_id=site_id)
    return Waiting(**json_fragments.loads(text)) if text else None


def decide(tx: Transaction, site_id: int, user_code: str, user_id: int, *, grant: bool) -> bool:
    """Grant or deny; False when there was nothing to decide on any more."""
    payload = {"state": GRANTED if grant else DENIED, "user": user_id}
    row = tx.row(
        DECIDE,
        kind=KIND,
        subject=_plain(user_code),
        site_id=site_id,
        payload=json_fragments.dumps(payload).decode(),
    )
    return row is not None
