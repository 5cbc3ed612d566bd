"""Codes for devices without a browser: the device polls with one, a person types the other (RFC 8628)."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.access.oauth_grant import secret_hash
from forumapi.wire import json_fragments

KIND: Final = "oauth-device"
LIFE_S: Final = 900
INTERVAL_S: Final = 5
# Without vowels, so that no words are formed (RFC 8628, section 6.1).
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH: Final = 8

INSERT = Query(
    "device_code.insert",
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

UPDATE = Query(
    "device_code.update",
    """
    UPDATE single_use u
       SET payload = u.payload || %(payload)s::jsonb
     WHERE u.kind = %(kind)s AND u.secret_hash = %(secret_hash)s AND u.site_id = %(site_id)s""",
)

DELETE = Query(
    "device_code.delete",
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


class DeviceCode(NamedTuple):
    """Request of a device for access to `scopes`. `state` is PENDING, GRANTED or DENIED; `client`: id of the client
    that asked; `user`: id of the user who decided, 0 while it is PENDING.

    `polled`: Unix time of the device's last poll, 0.0 before the first; `interval`: seconds that it must wait between
    two polls.
    """

    client: int
    scopes: list[str]
    state: str = PENDING
    user: int = 0
    polled: float = 0.0
    interval: int = INTERVAL_S

    def insert(self, tx: Transaction, site_id: int, device: str, user_code: str) -> None:
        """Store the request for LIFE_S seconds under the code `device`, with which the device polls, and `user_code`,
        which a person types.
        """
        tx.run(
            INSERT,
            subject=_plain(user_code),
            life_s=LIFE_S,
            **_by_device(site_id, device),
            **_payload(self._asdict()),
        )

    @classmethod
    def find(cls, tx: Reader, site_id: int, user_code: str) -> DeviceCode | None:
        """Return the undecided, unexpired request with the code that a person typed, whatever its case, dashes and
        spaces; None if there is none.
        """
        text = tx.value(FIND, kind=KIND, subject=_plain(user_code), site_id=site_id)
        return cls(**json_fragments.loads(text)) if text else None

    @staticmethod
    def decide(tx: Transaction, site_id: int, user_code: str, user_id: int, *, grant: bool) -> bool:
        """Grant (`grant` True) or deny, as the user `user_id`, the request with the code that a person typed, read as
        by `find`; return False if there is none, it has expired, or it was decided before.
        """
        row = tx.row(
            DECIDE,
            kind=KIND,
            subject=_plain(user_code),
            site_id=site_id,
            **_payload({"state": GRANTED if grant else DENIED, "user": user_id}),
        )
        return row is not None


class DevicePoll(NamedTuple):
    """Answer to a device that polls. `code`: the device's request, as it was before this poll. `is_live`: the request
    has not expired.

    `is_hasty`: the request is undecided, and the device polled sooner than `code.interval` allows.
    """

    code: DeviceCode
    is_live: bool
    is_hasty: bool

    @classmethod
    def take(cls, tx: Transaction, site_id: int, client_id: int, device: str) -> DevicePoll | None:
        """Record a poll of the device and return its request; None for a code `device` that is unknown, used up, or
        another client's.

        A decided, unexpired request is deleted, so that its decision is returned once. A hasty poll makes the interval
        INTERVAL_S seconds longer (RFC 8628, 3.5).
        """
        row = tx.row(POLL, **_by_device(site_id, device))
        if row is None:
            return None
        code, is_live = DeviceCode(**json_fragments.loads(row[0])), bool(row[1])
        if code.client != client_id:
            return None
        now = time.time()
        is_hasty = code.state == PENDING and now - code.polled < code.interval
        if code.state != PENDING and is_live:
            tx.run(DELETE, **_by_device(site_id, device))
        else:
            interval = code.interval + (INTERVAL_S if is_hasty else 0)
            tx.run(
                UPDATE,
                **_by_device(site_id, device),
                **_payload({"polled": now, "interval": interval}),
            )
        return cls(code, is_live, is_hasty)


def new_user_code() -> str:
    """Return a new code for a person to type: eight letters with a dash in the middle, as in WDJB-MJHT."""
    text = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{text[:4]}-{text[4:]}"


def _plain(user_code: str) -> str:
    """Return a typed code as it is stored: in capitals, without all that is no letter of such codes, and cut after the
    ninth letter, one more than a code has.
    """
    return "".join(letter for letter in user_code.upper() if letter in _LETTERS)[: _LENGTH + 1]


def _by_device(site_id: int, device: str) -> dict[str, Any]:
    return {"kind": KIND, "secret_hash": secret_hash(device), "site_id": site_id}


def _payload(data: dict[str, Any]) -> dict[str, str]:
    return {"payload": json_fragments.dumps(data).decode()}
