"""Signing in with a code that is sent by e-mail.

First `{"method": "email-code", "email": ...}`: a code is sent, and the answer says nothing about the address. Then the
same with `"code": ...`. Codes are kept as hashes, good for a few minutes, a few tries, one sign-in and one site; how
many are sent and tried is limited per address and per caller, in rows that all nodes share.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from forumapi import mail
from forumapi.auth.backends import Attempt, Backend, Verified
from forumapi.content import email
from forumapi.db import Query
from forumapi.errors import Unauthorized
from forumapi.models import attempts, suppression, user
from forumapi.models.attempts import Limit

if TYPE_CHECKING:
    from forumapi.config import Config

KIND: Final = "email-code"
DIGITS: Final = 8
TRIES: Final = 5  # of each code

HOUR_S: Final = 3600
# As the settings have them by default.
SENDS_PER_ADDRESS: Final = Limit("code-send-address", 5, HOUR_S)
SENDS_PER_CALLER: Final = Limit("code-send-ip", 30, HOUR_S)
TRIES_PER_ADDRESS: Final = Limit("code-try-address", 20, HOUR_S)
TRIES_PER_CALLER: Final = Limit("code-try-ip", 60, HOUR_S)

STORE = Query(
    "email_code.store",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, subject, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(subject)s, %(tries)s,
            now() + make_interval(mins => %(minutes)s::int))
        ON CONFLICT (kind, secret_hash) DO UPDATE
       SET attempts_left = EXCLUDED.attempts_left, expires = EXCLUDED.expires""",
)

# Each try is paid for before the codes are looked at, so that tries at the same time can't share one.
TRY = Query(
    "email_code.try",
    """
    UPDATE single_use s
       SET attempts_left = s.attempts_left - 1
     WHERE s.kind = %(kind)s AND s.subject = %(subject)s AND s.site_id = %(site_id)s AND s.attempts_left > 0
       AND s.expires > now()
 RETURNING s.secret_hash""",
)

CONSUME = Query(
    "email_code.consume",
    """
    DELETE FROM single_use s
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s
 RETURNING true""",
)

# A sign-in makes the address's other codes useless.
FORGET = Query(
    "email_code.forget",
    """
    DELETE FROM single_use s
     WHERE s.kind = %(kind)s AND s.subject = %(subject)s AND s.site_id = %(site_id)s""",
)


class EmailCodeBackend(Backend):
    """A code by e-mail, in two steps."""

    name = KIND
    title = "E-mail"

    @classmethod
    def is_ready(cls, config: Config, settings: Mapping[str, Any]) -> bool:
        """With somewhere to send mail to."""
        return mail.is_possible(config)

    def verify(self, attempt: Attempt) -> Verified | None:
        """None once a code is on its way. Raises Invalid, TooMany, Unauthorized."""
        given = attempt.sign_in
        address = user.checked_email(given.email if isinstance(given.email, str) else "")
        if not isinstance(given.code, str):
            self._send(attempt, address)
            return None
        self._check(attempt, address, given.code)
        return Verified(address)

    def _send(self, attempt: Attempt, address: str) -> None:
        config, site = attempt.config, attempt.site
        key = email.same_person_key(address)
        with attempt.write() as tx:
            sends = SENDS_PER_CALLER._replace(most=config.sign_in_codes_per_caller)
            attempts.take_caller(tx, sends, attempt.ip)
            sends = SENDS_PER_ADDRESS._replace(most=config.sign_in_codes_per_address)
            attempts.take(tx, sends, key)
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        minutes = config.sign_in_code_minutes
        with attempt.write() as tx:
            tx.run(
                STORE,
                kind=KIND,
                secret_hash=_hash(site.id, key, code),
                site_id=site.id,
                subject=key,
                tries=TRIES,
                minutes=minutes,
            )
            mail.queue(
                tx,
                cause=f"{KIND}:{secrets.token_hex(16)}",
                site_id=site.id,
                recipient=address,
                subject=f"{code} is your code to sign in",
                text=_TEXT.format(
                    code=f"{code[:4]} {code[4:]}", title=mail.plain(site.title), minutes=minutes
                ),
            )

    def _check(self, attempt: Attempt, address: str, given: str) -> None:
        key, site_id = email.same_person_key(address), attempt.site.id
        config = attempt.config
        with attempt.write() as tx:
            tries = TRIES_PER_CALLER._replace(most=config.sign_in_tries_per_caller)
            attempts.take_caller(tx, tries, attempt.ip)
            tries = TRIES_PER_ADDRESS._replace(most=config.sign_in_tries_per_address)
            attempts.take(tx, tries, key)
            rows = tx.rows(TRY, kind=KIND, subject=key, site_id=site_id)
        hashed = _hash(site_id, key, "".join(given.split()))
        # Every live code is compared, and each in constant time.
        if sum(hmac.compare_digest(row[0], hashed) for row in rows) != 1:
            raise Unauthorized(_REFUSED)
        with attempt.write() as tx:
            if not tx.row(CONSUME, kind=KIND, secret_hash=hashed):
                raise Unauthorized(_REFUSED)
            tx.run(FORGET, kind=KIND, subject=key, site_id=site_id)
            # The code came with a mail: whatever came back before, mail arrives now.
            suppression.remove(tx, address)


_REFUSED: Final = "This code is wrong, used or too old; ask for another"

_TEXT: Final = """\
Your code to sign in to {title} is

    {code}

It is good for {minutes} minutes and for one sign-in. If you didn't ask for it, ignore this mail: nobody can sign in
without the code.
"""


def _hash(site_id: int, key: str, code: str) -> bytes:
    """What is stored of a code; the same code for another address or site hashes differently."""
    return hashlib.sha256(f"{site_id}\0{key}\0{code}".encode()).digest()
