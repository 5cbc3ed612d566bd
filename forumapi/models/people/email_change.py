"""Change of a user's e-mail address: a code is sent to the new address, and the old one is notified."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from psycopg import errors as pgerrors

from forumapi.database.connections import Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Conflict, Invalid
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.models.notifications.mail_suppression import Suppression
from forumapi.models.people.user import User, checked_email
from forumapi.models.roles import role_recomputation
from forumapi.text import email_address

KIND: Final = "email-change"
DIGITS: Final = 8
TRIES: Final = 5
MINUTES: Final = 15
HOUR_S: Final = 3600
SENDS_PER_USER: Final = Limit("email-change-user", 10, HOUR_S)
SENDS_PER_EMAIL: Final = Limit("email-change-address", 5, HOUR_S)
TRIES_PER_USER: Final = Limit("email-change-try", 20, HOUR_S)

# A user has one change at a time: a new one replaces the one before.
INSERT = Query(
    "email_change.insert",
    """
    WITH gone AS (DELETE FROM single_use s WHERE s.kind = %(kind)s AND s.subject = %(user_id)s)
    INSERT INTO single_use (kind, secret_hash, subject, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(user_id)s, jsonb_build_object('email', %(email)s::text), %(tries)s,
            now() + make_interval(mins => %(minutes)s::int))""",
    scope=PLATFORM,
)

# Each try is counted before its code is compared, so that concurrent tries can't share one.
TRY = Query(
    "email_change.try",
    """
    UPDATE single_use s
       SET attempts_left = s.attempts_left - 1
     WHERE s.kind = %(kind)s AND s.subject = %(user_id)s AND s.attempts_left > 0 AND s.expires > now()
 RETURNING s.secret_hash, s.payload->>'email'""",
    scope=PLATFORM,
)

APPLY = Query(
    "email_change.apply",
    """
    WITH used AS (DELETE FROM single_use s WHERE s.kind = %(kind)s AND s.subject = %(user_id)s::text)
    UPDATE users u
       SET email = %(email)s, canonical_email = %(canonical)s, person_key = %(person_key)s, email_verified = true,
           state = 'valid'
     WHERE u.user_id = %(user_id)s::bigint""",
    scope=PLATFORM,
)


class EmailChange(NamedTuple):
    """Change of a user's address to `email`, proven by the code that was sent there."""

    user_id: int
    email: str

    @classmethod
    def insert(cls, tx: Transaction, user_id: int, address: str) -> str:
        """Store a requested change to `address`, a result of `checked`, in place of an earlier one of this user; return
        the code to send to the new address, which is valid for MINUTES minutes.
        """
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        tx.run(
            INSERT,
            kind=KIND,
            secret_hash=_hash(user_id, code),
            user_id=str(user_id),
            email=address,
            tries=TRIES,
            minutes=MINUTES,
        )
        return code

    @classmethod
    def prove(cls, tx: Transaction, user_id: int, code: str) -> EmailChange | None:
        """Count a try, and return the user's requested change if `code` is its code; None for a wrong or expired code,
        and for any after TRIES tries of one request. Raises TooMany beyond the user's limit of tries in an hour.

        Call it in a transaction of its own, so that the try stays counted.
        """
        rate_counters.take(tx, TRIES_PER_USER, str(user_id))
        row = tx.row(TRY, kind=KIND, user_id=str(user_id))
        given = _hash(user_id, "".join(code.split()))
        return cls(user_id, row[1]) if row and hmac.compare_digest(bytes(row[0]), given) else None

    def apply(self, tx: Transaction) -> None:
        """Store the new address of the user, as a verified one, delete the request for the change, end the suppression
        of the new address, from which mail may have bounced (mail_suppression.py), and mark the user's profiles so that
        their roles are recomputed on their next request.

        Raises Conflict if another user has the address by now.
        """
        try:
            tx.run(
                APPLY,
                kind=KIND,
                user_id=str(self.user_id),
                email=self.email,
                canonical=email_address.canonical(self.email),
                person_key=email_address.same_person_key(self.email),
            )
        except pgerrors.UniqueViolation:
            raise Conflict("This address belongs to another user") from None
        Suppression.delete(tx, self.email)
        role_recomputation.mark_user(tx, self.user_id)


def checked(text: str, current: str) -> str:
    """Return `text` without the spaces around it. Raises Invalid if it is no e-mail address, or letter for letter
    `current`, the user's address.
    """
    address = checked_email(text)
    if address == current:
        raise Invalid("email", "is your address already")
    return address


def count_send(tx: Transaction, user_id: int, address: str) -> None:
    """Count a mail with a code to `address` against the limits of the user and of the address. Raises TooMany beyond
    one of these.

    Call it in a transaction of its own.
    """
    rate_counters.take(tx, SENDS_PER_USER, str(user_id))
    rate_counters.take(tx, SENDS_PER_EMAIL, email_address.same_person_key(address))


def is_taken(tx: Transaction, user_id: int, address: str) -> bool:
    """Return True if a user other than `user_id` signs in with `address`; case and Gmail's rules make no difference
    (P-29).
    """
    found = User.find_by_email(tx, address)
    return found is not None and found.id != user_id


def _hash(user_id: int, code: str) -> bytes:
    return hashlib.sha256(f"{KIND}\0{user_id}\0{code}".encode()).digest()
