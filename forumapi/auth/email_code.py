"""Sign-in with a code that is sent by e-mail, or with the link in the same mail.

First `{"method": "email-code", "email": ...}`: a code is mailed, and the answer says nothing about the e-mail address.
Then the same with `"code": ...`. Codes are stored as hashes, good for a few minutes, a few tries, one sign-in and one
site; the mails and the tries are limited by e-mail address and by client address, in rows that all nodes share. A
network from which a person has signed in before has an allowance of its own for that person, so that strangers can't
lock them out; and only tries from the network that asked for a code use up that code's tries.

The link signs in only the browser that asked for it on a page of the engine, once; any other browser is shown the code.
A client with pages on the site's host sends with the first step `"browser": ...`, a secret that it keeps for this
browser: the link then leads to that client's sign-in page, which sends `"link": ...` with the same secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forumapi.auth.backends import Attempt, Backend, Browser, SignIn, Verified
from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Invalid, Unauthorized
from forumapi.mail import outbox
from forumapi.models.access import known_network_limit, rate_counters
from forumapi.models.access.rate_counters import Limit
from forumapi.models.notifications import mail_suppression
from forumapi.models.people import user
from forumapi.text import email_address
from forumapi.wire.client_address import network

if TYPE_CHECKING:
    from forumapi.config import Config

KIND: Final = "email-code"
DIGITS: Final = 8
TRIES: Final = 5  # of each code

HOUR_S: Final = 3600
# As the settings have them by default.
SENDS_PER_EMAIL: Final = Limit("code-send-address", 5, HOUR_S)
SENDS_PER_CLIENT_ADDRESS: Final = Limit("code-send-ip", 30, HOUR_S)
TRIES_PER_EMAIL: Final = Limit("code-try-address", 20, HOUR_S)
TRIES_PER_CLIENT_ADDRESS: Final = Limit("code-try-ip", 60, HOUR_S)

# The same allowances for each network that the person has signed in from.
SENDS_KNOWN: Final = "code-send-known"
TRIES_KNOWN: Final = "code-try-known"

LINK: Final = "email-link"
LINK_PATH: Final = "/oauth/link"
# Sign-in page of clients: fixed, since whoever opens the link elsewhere is shown the code.
CLIENT_PATH: Final = "/login/"
BROWSER_LENGTHS: Final = (32, 128)  # of the secret that a client keeps
LINK_MINUTES: Final = 10

STORE = Query(
    "email_code.store",
    """
    INSERT INTO single_use (kind, secret_hash, site_id, subject, payload, attempts_left, expires)
    VALUES (%(kind)s, %(secret_hash)s, %(site_id)s, %(subject)s, jsonb_build_object('place', %(place)s::text),
            %(tries)s, now() + make_interval(mins => %(minutes)s::int)),
           (%(link)s, %(link_hash)s, %(site_id)s, %(subject)s,
            jsonb_build_object('email', %(email)s::text, 'browser', %(browser)s::text, 'next', %(next)s::text),
            1, now() + make_interval(mins => %(link_minutes)s::int))
        ON CONFLICT (kind, secret_hash) DO UPDATE
       SET attempts_left = EXCLUDED.attempts_left, expires = EXCLUDED.expires, payload = EXCLUDED.payload""",
)

# Each try is paid for before the codes are looked at, so that tries at the same time can't share one. Who tries from
# elsewhere pays from the e-mail address's allowance alone. Codes of the release before know no place: each try pays.
TRY = Query(
    "email_code.try",
    """
    UPDATE single_use s
       SET attempts_left = s.attempts_left - (coalesce(s.payload->>'place', %(place)s) = %(place)s)::int
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
    scope=PLATFORM,
)

FIND_LINK = Query(
    "email_code.find_link",
    """
    SELECT s.payload->>'email', s.payload->>'browser', s.payload->>'next'
      FROM single_use s
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.expires > now()""",
)

TAKE_LINK = Query(
    "email_code.take_link",
    """
    DELETE FROM single_use s
     WHERE s.kind = %(kind)s AND s.secret_hash = %(secret_hash)s AND s.site_id = %(site_id)s AND s.expires > now()
       AND s.payload->>'browser' = %(browser)s
 RETURNING s.payload->>'email'""",
)

# A sign-in makes the e-mail address's other codes useless, and the links beside them. The code came with a mail:
# whatever came back before, mail arrives now.
FORGET = Query(
    "email_code.forget",
    f"""
    WITH heard AS (
        DELETE FROM mail_suppressions x WHERE x.address_hash = {mail_suppression.hashed("%(subject)s::text")})
    DELETE FROM single_use s
     WHERE s.kind = ANY(%(kinds)s::text[]) AND s.subject = %(subject)s AND s.site_id = %(site_id)s""",
)


class EmailCodeBackend(Backend):
    """Sign-in with a mailed code or link, in two steps, both by POST /auth."""

    name = KIND
    title = "E-mail"

    @classmethod
    def is_ready(cls, config: Config, settings: Mapping[str, Any]) -> bool:
        """Return True if the platform's settings (`config`) allow it to send mail; those of the site play no part."""
        return outbox.is_possible(config)

    def verify(self, attempt: Attempt) -> Verified | None:
        """Mail a code and a link, and return None. If the request brings a link, or else a code, use that up, with all
        others of that address on this site, and return the e-mail address: with a code the one in the request, with a
        link the one to which it was mailed.

        Raises Invalid for a malformed address (with a link the request needs none), and for a client's secret of the
        browser whose length is outside of BROWSER_LENGTHS, or that is missing beside a link; TooMany beyond a limit of
        mails or tries, by e-mail address or by client address; Unauthorized for a wrong, used or expired code or link,
        and for a link in another browser than asked for it.
        """
        given = attempt.sign_in
        if attempt.browser is not None and attempt.browser.link:
            return self._follow(attempt, attempt.browser)
        if isinstance(given.link, str):
            return self._follow(attempt, Browser(_client_mark(given), "", given.link))
        address = user.checked_email(given.email if isinstance(given.email, str) else "")
        if not isinstance(given.code, str):
            self._send(attempt, address)
            return None
        self._check(attempt, address, given.code)
        return Verified(address)

    def _send(self, attempt: Attempt, address: str) -> None:
        config, site = attempt.config, attempt.site
        key = email_address.same_person_key(address)
        with attempt.write() as tx:
            sends = SENDS_PER_CLIENT_ADDRESS._replace(most=config.sign_in_codes_per_client_address)
            rate_counters.take_client_address(tx, sends, attempt.ip)
            sends = SENDS_PER_EMAIL._replace(most=config.sign_in_codes_per_email)
            known_network_limit.take(tx, sends, SENDS_KNOWN, key, attempt.ip)
        secret = secrets.token_urlsafe(32)
        code = code_of(secret)
        browser = attempt.browser or Browser("", "")
        page = f"{site.origin}{LINK_PATH}"
        if attempt.browser is None and isinstance(attempt.sign_in.browser, str):
            browser = Browser(_client_mark(attempt.sign_in), "")
            page = f"{site.pages}{CLIENT_PATH}" if site.pages else page
        minutes = config.sign_in_code_minutes
        with attempt.write() as tx:
            tx.run(
                STORE,
                kind=KIND,
                secret_hash=_hash(site.id, key, code),
                site_id=site.id,
                subject=key,
                place=network(attempt.ip),
                tries=TRIES,
                minutes=minutes,
                link=LINK,
                link_hash=_link_hash(secret),
                email=address,
                browser=browser.mark,
                next=browser.url,
                link_minutes=LINK_MINUTES,
            )
            outbox.queue_notice(
                tx,
                "code",
                cause=f"{KIND}:{secrets.token_hex(16)}",
                site_id=site.id,
                recipient=address,
                subject=f"{code} is your code to sign in",
                code=shown(code),
                site_title=outbox.plain(site.title),
                minutes=minutes,
                link=f"{page}?key={secret}",
                link_minutes=LINK_MINUTES,
            )

    def _check(self, attempt: Attempt, address: str, given: str) -> None:
        key, site_id = email_address.same_person_key(address), attempt.site.id
        config = attempt.config
        with attempt.write() as tx:
            tries = TRIES_PER_CLIENT_ADDRESS._replace(most=config.sign_in_tries_per_client_address)
            rate_counters.take_client_address(tx, tries, attempt.ip)
            tries = TRIES_PER_EMAIL._replace(most=config.sign_in_tries_per_email)
            known_network_limit.take(tx, tries, TRIES_KNOWN, key, attempt.ip)
            place = network(attempt.ip)
            rows = tx.rows(TRY, kind=KIND, subject=key, site_id=site_id, place=place)
        hashed = _hash(site_id, key, "".join(given.split()))
        # Every live code is compared, and each in constant time.
        if sum(hmac.compare_digest(row[0], hashed) for row in rows) != 1:
            raise Unauthorized(_REFUSED)
        with attempt.write() as tx:
            if not tx.row(CONSUME, kind=KIND, secret_hash=hashed):
                raise Unauthorized(_REFUSED)
            _settle(tx, site_id, address)

    def _follow(self, attempt: Attempt, browser: Browser) -> Verified:
        """Use up the link that `browser` follows; return the address it was mailed to. Raises TooMany, and Unauthorized
        for an unknown, used or expired link, and for another browser than the one that asked for it.

        The link's secret can't be guessed, so tries are counted by client address alone.
        """
        config, site_id = attempt.config, attempt.site.id
        with attempt.write() as tx:
            tries = TRIES_PER_CLIENT_ADDRESS._replace(most=config.sign_in_tries_per_client_address)
            rate_counters.take_client_address(tx, tries, attempt.ip)
        with attempt.write() as tx:
            address = tx.value(
                TAKE_LINK,
                kind=LINK,
                secret_hash=_link_hash(browser.link),
                site_id=site_id,
                browser=browser.mark,
            )
            if address is None:
                raise Unauthorized(LINK_REFUSED)
            _settle(tx, site_id, address)
        return Verified(address)


class Link(NamedTuple):
    """Link of a mail that is not used yet: the address it was mailed to, the mark of the browser that asked for the
    mail ("" for none), and the engine's page on which that browser asked, "" for a client of the API.
    """

    email: str
    browser: str
    next: str


def find_link(tx: Reader, site_id: int, secret: str) -> Link | None:
    """Return the unused link of this site with this secret, and leave it unused; None if there is none or it has
    expired.
    """
    row = tx.row(FIND_LINK, kind=LINK, secret_hash=_link_hash(secret), site_id=site_id)
    return Link(*row) if row else None


def code_of(secret: str) -> str:
    """Derive from a link's secret the code that is mailed with the link, so that a page that has the link can show the
    code.
    """
    number = int.from_bytes(hashlib.sha256(f"code\0{secret}".encode()).digest())
    return f"{number % 10**DIGITS:0{DIGITS}}"


def shown(code: str) -> str:
    """Format the eight digits of a code for people, in two groups of four."""
    return f"{code[:4]} {code[4:]}"


def _settle(tx: Transaction, site_id: int, address: str) -> None:
    """Delete all codes and links of the e-mail address on this site, and end the suppression of mail to it on all
    sites: a mail has just arrived there.
    """
    key = email_address.same_person_key(address)
    tx.run(FORGET, kinds=[KIND, LINK], subject=key, site_id=site_id)


LINK_REFUSED: Final = "This link is used or too old; ask for another"
_REFUSED: Final = "This code is wrong, used or expired; ask for another"


def _client_mark(given: SignIn) -> str:
    """Return the mark of a client's browser: a hash of the secret in the field `browser`. Raises Invalid for a secret
    that is missing, or whose length is outside of BROWSER_LENGTHS.
    """
    secret = given.browser if isinstance(given.browser, str) else ""
    least, most = BROWSER_LENGTHS
    if not least <= len(secret) <= most:
        raise Invalid("browser", f"must have {least} to {most} characters")
    return hashlib.sha256(f"client\0{secret}".encode()).hexdigest()


def _link_hash(secret: str) -> bytes:
    return hashlib.sha256(f"{LINK}\0{secret}".encode()).digest()


def _hash(site_id: int, key: str, code: str) -> bytes:
    """Return the hash under which a code is stored, different for each site and e-mail address (`key`:
    `same_person_key` of it).
    """
    return hashlib.sha256(f"{site_id}\0{key}\0{code}".encode()).digest()
