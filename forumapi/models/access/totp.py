"""One-time codes of a second factor: a secret that an app shares, and recovery codes on paper.

A code counts once: the time step of the newest one taken is kept, and no code of that step or an earlier one counts
again. Recovery codes are kept as hashes and deleted as they are used.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import time
from typing import Final, NamedTuple

import pyotp

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit

STEP_S: Final = 30
DIGITS: Final = 6
# A clock may be half a minute off either way.
STEPS: Final = (0, -1, 1)
RECOVERY_CODES: Final = 10
TRIES_PER_USER: Final = Limit("second-factor", 10, 3600)

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else
_GROUPS: Final = 4

FIND = Query(
    "one_time.find",
    """
    SELECT o.secret, o.confirmed, (SELECT count(*) FROM recovery_codes r WHERE r.user_id = o.user_id)
      FROM one_time_secrets o
     WHERE o.user_id = %(user_id)s""",
)

# A secret that was confirmed is not replaced: whoever found a session open would have the second factor, too.
BEGIN = Query(
    "one_time.begin",
    """
    INSERT INTO one_time_secrets AS o (user_id, secret) VALUES (%(user_id)s, %(secret)s)
        ON CONFLICT (user_id) DO UPDATE SET secret = EXCLUDED.secret, last_step = 0, created = now()
     WHERE o.confirmed IS NULL
 RETURNING true""",
)

CONFIRM = Query(
    "one_time.confirm",
    "UPDATE one_time_secrets o SET confirmed = now() WHERE o.user_id = %(user_id)s AND o.confirmed IS NULL",
)

USE = Query(
    "one_time.use",
    """
    UPDATE one_time_secrets o
       SET last_step = %(step)s
     WHERE o.user_id = %(user_id)s AND o.last_step < %(step)s
 RETURNING true""",
)

RECOVER = Query(
    "one_time.recover",
    """
    DELETE FROM recovery_codes r
     WHERE r.user_id = %(user_id)s AND r.code_hash = %(code_hash)s
       AND EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = r.user_id AND o.confirmed IS NOT NULL)
 RETURNING true""",
)

FORGET_CODES = Query(
    "one_time.forget_codes", "DELETE FROM recovery_codes r WHERE r.user_id = %(user_id)s"
)

ADD_CODES = Query(
    "one_time.add_codes",
    """
    INSERT INTO recovery_codes (user_id, code_hash)
    SELECT %(user_id)s, h.code_hash FROM unnest(%(hashes)s::bytea[]) AS h (code_hash)""",
)

DELETE = Query(
    "one_time.delete",
    """
    WITH codes AS (DELETE FROM recovery_codes r WHERE r.user_id = %(user_id)s)
    DELETE FROM one_time_secrets o WHERE o.user_id = %(user_id)s RETURNING true""",
)


class Secret(NamedTuple):
    """A user's secret; `confirmed` None until a code showed that the app has it."""

    secret: str
    confirmed: datetime.datetime | None
    recovery_codes: int


def find(tx: Reader, user_id: int) -> Secret | None:
    """What the user has, or None."""
    row = tx.row(FIND, user_id=user_id)
    return Secret(*row) if row else None


def is_on(tx: Reader, user_id: int) -> bool:
    """Whether the user has a second factor."""
    found = find(tx, user_id)
    return found is not None and found.confirmed is not None


def begin(tx: Transaction, user_id: int) -> str | None:
    """A new secret that is yet to be confirmed; None for a user who has one already."""
    secret = pyotp.random_base32()
    return secret if tx.value(BEGIN, user_id=user_id, secret=secret) else None


def address(secret: str, email: str, issuer: str) -> str:
    """The otpauth:// address that apps read from a picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def count_try(tx: Transaction, user_id: int, *, on_site: int = 0) -> None:
    """Count a try of this user, in a transaction of its own. Raises TooMany.

    `on_site`: only this site vouches for who it is. Such tries are counted apart, so that a site's owner who lets
    anybody in as anybody can't use up the tries of people elsewhere.
    """
    rate_counters.take(tx, TRIES_PER_USER, f"{user_id}@{on_site}" if on_site else str(user_id))


def use(tx: Transaction, user_id: int, code: str, *, is_new: bool = False) -> bool:
    """Whether `code` counts: one of the app's or a recovery code, once. `is_new`: of the app's, to confirm a secret."""
    typed = "".join(code.split()).replace("-", "").lower()
    found = find(tx, user_id)
    if found is None or (found.confirmed is None) is not is_new:
        return False
    if len(typed) == DIGITS and typed.isascii() and typed.isdigit():
        step = _step_of(found.secret, typed)
        return step is not None and bool(tx.value(USE, user_id=user_id, step=step))
    return bool(tx.value(RECOVER, user_id=user_id, code_hash=_hash(user_id, typed)))


def _step_of(secret: str, typed: str) -> int | None:
    now, made = int(time.time()) // STEP_S, pyotp.TOTP(secret)
    # Every code is compared, and each in constant time.
    fitting = [
        now + step for step in STEPS if hmac.compare_digest(made.generate_otp(now + step), typed)
    ]
    return fitting[0] if fitting else None


def confirm(tx: Transaction, user_id: int) -> list[str]:
    """The user has a second factor from now on; its recovery codes, for the only time."""
    tx.run(CONFIRM, user_id=user_id)
    return renew(tx, user_id)


def renew(tx: Transaction, user_id: int) -> list[str]:
    """New recovery codes in the place of all there were, for the only time."""
    codes = [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    ]
    tx.run(FORGET_CODES, user_id=user_id)
    hashes = [_hash(user_id, code.replace("-", "")) for code in codes]
    tx.run(ADD_CODES, user_id=user_id, hashes=hashes)
    return codes


def delete(tx: Transaction, user_id: int) -> bool:
    """Take the second factor away; whether there was one."""
    return bool(tx.value(DELETE, user_id=user_id))


def _hash(user_id: int, code: str) -> bytes:
    return hashlib.sha256(f"{user_id}\0{code}".encode()).digest()
