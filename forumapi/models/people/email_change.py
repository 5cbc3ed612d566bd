"""Another e-mail address for a person: a code goes to the new one, and the old one is told."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi.database.connections import Query, Transaction
from forumapi.errors import Conflict, Invalid
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.models.notices.suppression import Suppression
from forumapi.models.people import role_members, user
from forumapi.text import email

KIND: Final = "email-change"
DIGITS: Final = 8
TRIES: Final = 5
MINUTES: Final = 15
HOUR_S: Final = 3600
SENDS_PER_USER: Final = Limit("email-change-user", 10, HOUR_S)
SENDS_PER_ADDRESS: Final = Limit("email-change-address", 5, HOUR_S)
TRIES_PER_USER: Final = Limit("email-change-try", 20, HOUR_S)

# One at a time: a new one takes the place of the one before.
STORE = Query(
    "email_change.store",
    """
    WITH gone AS (DELETE FROM single_use s WHERE s.kind = %(kind)s AND s.subject = %(user_id)s)
    INSERT INTO single_use (kind, secret_hash, subject, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(user_id)s, jsonb_build_object('email', %(email)s::text), %(tries)s,
            now() + make_interval(mins => %(minutes)s::int))""",
)

# Each try is paid for before it is looked at, so that tries at the same time can't share one.
TRY = Query(
    "email_change.try",
    """
    UPDATE single_use s
       SET attempts_left = s.attempts_left - 1
     WHERE s.kind = %(kind)s AND s.subject = %(user_id)s AND s.attempts_left > 0 AND s.expires > now()
 RETURNING s.secret_hash, s.payload->>'email'""",
)

CHANGE = Query(
    "email_change.change",
    """
    WITH used AS (DELETE FROM single_use s WHERE s.kind = %(kind)s AND s.subject = %(user_id)s::text)
    UPDATE users u
       SET email = %(email)s, canonical_email = %(canonical)s, person_key = %(person_key)s, email_verified = true,
           state = 'valid'
     WHERE u.user_id = %(user_id)s::bigint""",
)


class Proven(NamedTuple):
    """A code that was right: the address that it was sent to."""

    email: str


def checked(text: str, now: str) -> str:
    """The new address. Raises Invalid for what is none, and for the one there is."""
    address = user.checked_email(text)
    if address == now:
        raise Invalid("email", "is your address already")
    return address


def count_send(tx: Transaction, user_id: int, address: str) -> None:
    """Count a mail, in a transaction of its own. Raises TooMany."""
    rate_counters.take(tx, SENDS_PER_USER, str(user_id))
    rate_counters.take(tx, SENDS_PER_ADDRESS, email.same_person_key(address))


def is_taken(tx: Transaction, user_id: int, address: str) -> bool:
    """Return if somebody else signs in with this address."""
    found = user.find_by_email(tx, address)
    return found is not None and found.id != user_id


def begin(tx: Transaction, user_id: int, address: str) -> str:
    """Keep what is wanted; the code that the new address is sent."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    tx.run(
        STORE,
        kind=KIND,
        secret_hash=_hash(user_id, code),
        user_id=str(user_id),
        email=address,
        tries=TRIES,
        minutes=MINUTES,
    )
    return code


def prove(tx: Transaction, user_id: int, code: str) -> Proven | None:
    """Count a try, in a transaction of its own; the address of a right code. Raises TooMany."""
    rate_counters.take(tx, TRIES_PER_USER, str(user_id))
    row = tx.row(TRY, kind=KIND, user_id=str(user_id))
    given = _hash(user_id, "".join(code.split()))
    return Proven(row[1]) if row and hmac.compare_digest(bytes(row[0]), given) else None


def change(tx: Transaction, user_id: int, address: str) -> None:
    """Change it, with all that depends on addresses. Raises Conflict when it is somebody's by now."""
    try:
        tx.run(
            CHANGE,
            kind=KIND,
            user_id=str(user_id),
            email=address,
            canonical=email.canonical(address),
            person_key=email.same_person_key(address),
        )
    except pgerrors.UniqueViolation:
        raise Conflict("This address belongs to another user") from None
    Suppression.delete(tx, address)
    role_members.mark_user(tx, user_id)


def _hash(user_id: int, code: str) -> bytes:
    return hashlib.sha256(f"{KIND}\0{user_id}\0{code}".encode()).digest()
