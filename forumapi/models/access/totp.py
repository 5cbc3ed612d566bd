"""Second factors: time-based one-time passwords (TOTP, RFC 6238) of an app, and recovery codes on paper.

A code of the app is accepted once: the time step of the newest code that was used is stored, and no code of that step
or an earlier one is accepted again. Recovery codes are stored as hashes and deleted as they are used.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import time
from typing import Final, NamedTuple

import pyotp

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import Query
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import Limit

STEP_S: Final = 30
DIGITS: Final = 6
# A clock may be half a minute off either way.
STEPS: Final = (0, -1, 1)
RECOVERY_CODES: Final = 10
TRIES_PER_USER: Final = Limit("second-factor", 10, 3600)

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that look like others
_GROUPS: Final = 4

FIND = Query(
    "totp.find",
    """
    SELECT o.secret, o.confirmed, (SELECT count(*) FROM recovery_codes r WHERE r.user_id = o.user_id)
      FROM one_time_secrets o
     WHERE o.user_id = %(user_id)s""",
)

# A confirmed secret is not replaced: an attacker with an open session would else get a second factor, too.
INSERT = Query(
    "totp.insert",
    """
    INSERT INTO one_time_secrets AS o (user_id, secret) VALUES (%(user_id)s, %(secret)s)
        ON CONFLICT (user_id) DO UPDATE SET secret = EXCLUDED.secret, last_step = 0, created = now()
     WHERE o.confirmed IS NULL
 RETURNING true""",
)

CONFIRM = Query(
    "totp.confirm",
    "UPDATE one_time_secrets o SET confirmed = now() WHERE o.user_id = %(user_id)s AND o.confirmed IS NULL",
)

USE = Query(
    "totp.use",
    """
    UPDATE one_time_secrets o
       SET last_step = %(step)s
     WHERE o.user_id = %(user_id)s AND o.last_step < %(step)s
 RETURNING true""",
)

USE_RECOVERY = Query(
    "totp.use_recovery",
    """
    DELETE FROM recovery_codes r
     WHERE r.user_id = %(user_id)s AND r.code_hash = %(code_hash)s
       AND EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = r.user_id AND o.confirmed IS NOT NULL)
 RETURNING true""",
)

FORGET_CODES = Query(
    "totp.forget_codes", "DELETE FROM recovery_codes r WHERE r.user_id = %(user_id)s"
)

ADD_CODES = Query(
    "totp.add_codes",
    """
    INSERT INTO recovery_codes (user_id, code_hash)
    SELECT %(user_id)s, h.code_hash FROM unnest(%(hashes)s::bytea[]) AS h (code_hash)""",
)

DELETE = Query(
    "totp.delete",
    """
    WITH codes AS (DELETE FROM recovery_codes r WHERE r.user_id = %(user_id)s)
    DELETE FROM one_time_secrets o WHERE o.user_id = %(user_id)s RETURNING true""",
)


class Totp(NamedTuple):
    """Second factor of a user. `secret`: the one shared with the app, in base32; `confirmed`: time at which a code
    proved that the app has the secret, None before; `recovery_codes`: number of unused ones.
    """

    secret: str
    confirmed: datetime.datetime | None
    recovery_codes: int

    @property
    def is_on(self) -> bool:
        """Return True if the second factor is confirmed, and so demanded at sign-in."""
        return self.confirmed is not None

    @classmethod
    def find(cls, tx: Reader, user_id: int) -> Totp | None:
        """Return the user's second factor, confirmed or not; None if there is none."""
        row = tx.row(FIND, user_id=user_id)
        return cls(*row) if row else None

    @classmethod
    def is_on_for(cls, tx: Reader, user_id: int) -> bool:
        """Return True if the user has a confirmed second factor."""
        factor = cls.find(tx, user_id)
        return factor is not None and factor.is_on

    @staticmethod
    def insert(tx: Transaction, user_id: int) -> str | None:
        """Store a new unconfirmed secret, in place of an earlier unconfirmed one, and return it in base32; None, and
        nothing is stored, if the user has a confirmed one.
        """
        secret = pyotp.random_base32()
        return secret if tx.value(INSERT, user_id=user_id, secret=secret) else None

    @classmethod
    def use_code(cls, tx: Transaction, user_id: int, code: str, *, is_new: bool = False) -> bool:
        """Use up a code of the app or a recovery code of the user, typed with any spaces, dashes and capitals; return
        False for a wrong or used one, or without a confirmed second factor.

        With `is_new` the second factor must be unconfirmed instead, and only a code of the app is accepted; `confirm`
        is left to the caller.
        """
        typed = "".join(code.split()).replace("-", "").lower()
        factor = cls.find(tx, user_id)
        if factor is None or factor.is_on is is_new:
            return False
        if len(typed) == DIGITS and typed.isascii() and typed.isdigit():
            step = _step_of(factor.secret, typed)
            return step is not None and bool(tx.value(USE, user_id=user_id, step=step))
        return bool(tx.value(USE_RECOVERY, user_id=user_id, code_hash=_hash(user_id, typed)))

    @classmethod
    def confirm(cls, tx: Transaction, user_id: int) -> list[str]:
        """Confirm the user's second factor, a code of which `use_code` has accepted with `is_new`, so that it is
        demanded at sign-in from now on; return its RECOVERY_CODES new recovery codes, which are not shown again.
        """
        tx.run(CONFIRM, user_id=user_id)
        return cls.renew_recovery_codes(tx, user_id)

    @staticmethod
    def renew_recovery_codes(tx: Transaction, user_id: int) -> list[str]:
        """Replace the recovery codes that the user has left by RECOVERY_CODES new ones; return these, which are not
        shown again.
        """
        codes = [
            "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(_GROUPS))
            for _ in range(RECOVERY_CODES)
        ]
        tx.run(FORGET_CODES, user_id=user_id)
        hashes = [_hash(user_id, code.replace("-", "")) for code in codes]
        tx.run(ADD_CODES, user_id=user_id, hashes=hashes)
        return codes

    @staticmethod
    def delete(tx: Transaction, user_id: int) -> bool:
        """Delete the user's second factor and recovery codes; return False if there was no second factor."""
        return bool(tx.value(DELETE, user_id=user_id))


def otpauth_uri(secret: str, email: str, issuer: str) -> str:
    """Return the otpauth:// URI of a secret, which apps read from a QR code. Apps show `email` and `issuer` beside the
    codes of the secret.
    """
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def count_try(tx: Transaction, user_id: int, *, on_site: int = 0) -> None:
    """Count a try of this user's second factor, right or wrong. Raises TooMany beyond the limit TRIES_PER_USER. Call it
    in a transaction of its own.

    `on_site`: id of the site whose owner's provider alone vouches for the user, 0 for none. Such tries are counted
    apart, so that a site's owner who admits anybody as anybody can't use up the tries of people elsewhere.
    """
    rate_counters.take(tx, TRIES_PER_USER, f"{user_id}@{on_site}" if on_site else str(user_id))


def _step_of(secret: str, typed: str) -> int | None:
    now, generator = int(time.time()) // STEP_S, pyotp.TOTP(secret)
    # Every code is compared, and each in constant time.
    fitting = [
        now + step
        for step in STEPS
        if hmac.compare_digest(generator.generate_otp(now + step), typed)
    ]
    return fitting[0] if fitting else None


def _hash(user_id: int, code: str) -> bytes:
    return hashlib.sha256(f"{user_id}\0{code}".encode()).digest()
