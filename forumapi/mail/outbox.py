"""Outgoing mail: queued in the transaction that causes it, sent afterwards, at least once (platform 7.4, P-63).

A mail is a row of mail_outbox, one for each cause. Some have their text from the start (codes, invitations); those
about updates only name what they are about, and are written when they are sent (updates/writer.py), so that nobody is
sent what they may not read any more. Web workers send what is due: they take a lease on some rows, send them, and write
down how it went. A crash in between sends again, under the same Message-ID. Texts are forgotten once sent: they may
hold secrets.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import smtplib
import time
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi.concurrency.background_thread import PollingThread
from forumapi.database.connections import (
    Database,
    Query,
    Reader,
    Transaction,
)
from forumapi.errors import ApiError
from forumapi.mail.smtp import (
    AwayError,
    Letter,
    Transport,
    UndeliverableError,
    is_possible,
)
from forumapi.models.access import platform_secret
from forumapi.models.notices import suppression
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.config import Config

__all__ = ["Dropped", "Sender", "Written", "is_possible", "plain", "queue"]

QUEUE = Query(
    "mail.queue",
    """
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, html_body)
    VALUES (%(site_id)s, %(cause)s, %(recipient)s, %(subject)s, %(text)s, %(html)s)
        ON CONFLICT (cause) DO NOTHING""",
)

# The lease: nobody else touches these rows for that long. Materialized: a subquery that is run again for each row finds
# other rows each time, and leases more than the limit.
_LEASE: Final = """
    WITH due AS MATERIALIZED (
        SELECT q.mail_id
          FROM mail_outbox q
         WHERE q.state = '{state}' AND q.not_before <= now()
         ORDER BY q.not_before, q.mail_id
         LIMIT %(batch)s
           FOR UPDATE SKIP LOCKED)
    UPDATE mail_outbox m
       SET attempts = m.attempts + 1, not_before = now() + make_interval(secs => %(lease_s)s::int)
      FROM due
     WHERE m.mail_id = due.mail_id
 RETURNING m.mail_id, m.cause, m.recipient, m.subject, m.text_body, m.html_body, m.attempts, m.created,
           m.headers::text"""
LEASE = Query("mail.lease", _LEASE.format(state="queued"))
LEASE_UNWRITTEN = Query("mail.lease_unwritten", _LEASE.format(state="unwritten"))

# What became of a batch. A mail without a new state is tried again after `wait_s`; one that was not tried at all gets
# its attempt back.
SETTLE = Query(
    "mail.settle",
    """
    UPDATE mail_outbox m
       SET state = coalesce(r.state, m.state),
           recipient = coalesce(r.recipient, m.recipient),
           sent = CASE WHEN r.state = 'sent' THEN now() END,
           last_error = r.error,
           attempts = m.attempts - CASE WHEN r.tried THEN 0 ELSE 1 END,
           not_before = now() + make_interval(secs => r.wait_s),
           text_body = CASE WHEN r.state = 'sent' THEN '' ELSE m.text_body END,
           html_body = CASE WHEN r.state = 'sent' THEN NULL ELSE m.html_body END
      FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(recipients)s::text[], %(errors)s::text[],
                  %(tried)s::boolean[], %(waits_s)s::int[]) AS r (mail_id, state, recipient, error, tried, wait_s)
     WHERE m.mail_id = r.mail_id AND m.state IN ('queued', 'unwritten')""",
)

FIND = Query(
    "mail.find",
    "SELECT m.cause, m.recipient FROM mail_outbox m WHERE m.mail_id = %(mail_id)s",
)

LIST = Query(
    "mail.list",
    """
    SELECT m.mail_id, m.state, coalesce(s.subdomain_key, ''), m.cause, m.recipient, m.attempts, m.created, m.not_before,
           coalesce(m.last_error, '')
      FROM mail_outbox m
      LEFT JOIN sites s ON s.site_id = m.site_id
     WHERE m.state = ANY(%(states)s::text[])
       AND (%(site_id)s::bigint IS NULL OR m.site_id = %(site_id)s::bigint)
     ORDER BY m.mail_id DESC
     LIMIT %(limit)s""",
)

# What is waiting for a later try is not in anybody's hands: a lease is shorter.
RETRY = Query(
    "mail.retry",
    """
    UPDATE mail_outbox m
       SET state = CASE WHEN m.profile_id IS NULL THEN 'queued' ELSE 'unwritten' END,
           attempts = CASE m.state WHEN 'dead' THEN 0 ELSE m.attempts END, not_before = now()
     WHERE (m.state = 'dead'
            OR (m.state IN ('queued', 'unwritten') AND m.last_error IS NOT NULL
                AND m.not_before > now() + make_interval(secs => %(lease_s)s::int)))
       AND (%(only)s::bigint IS NULL OR m.mail_id = %(only)s::bigint)
       AND (%(site_id)s::bigint IS NULL OR m.site_id = %(site_id)s::bigint)""",
)

LEASE_S: Final = 300
BATCH: Final = 50
# A batch that takes longer than this is not finished: what is left is written anew, so that what was decided about its
# readers is never older than this when it is sent.
_BATCH_LIMIT_S: Final = 20.0
# While the mail server is away, a mail waits for so long, however often. One look in a round is enough.
_AWAY_S: Final = 60
# How long to wait after the first, second, ... failure, some 22 hours in all; after the last one the mail is parked.
BACK_OFF_S: Final = (15, 60, 300, 1800, 7200, 21_600, 43_200)
STATES: Final = ("queued", "unwritten", "sent", "dropped", "dead")
_MESSAGE_ID: Final = re.compile(r"<(\d{1,18})\.([0-9a-f]{32})@")


class Mail(NamedTuple):
    """A mail that is due; without a recipient it is still to be written."""

    id: int
    cause: str
    recipient: str
    subject: str
    text: str
    html: str | None
    attempts: int
    created: datetime.datetime
    headers: str  # an object of JSON: by name


class Written(NamedTuple):
    """What became of a mail that only named what it is about. `sender_name` is plain text."""

    recipient: str
    sender_name: str
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]


class Dropped(NamedTuple):
    """Why nobody is to get a mail any more."""

    reason: str


# Writes mails of these ids.
Writer = Callable[[Sequence[int]], Mapping[int, Written | Dropped]]


class Outcome(NamedTuple):
    """How sending a mail went. `state` None: to be tried again in `wait_s`."""

    mail_id: int
    state: str | None
    error: str | None = None
    recipient: str | None = None
    wait_s: int = 0
    was_tried: bool = True
    is_bounce: bool = False


# ---------------------------------------------------------------- the outbox


def queue(
    tx: Transaction,
    *,
    cause: str,
    recipient: str,
    subject: str,
    text: str,
    html: str | None = None,
    site_id: int | None = None,
) -> None:
    """Put a mail into the outbox with this transaction; a cause that was there before changes nothing."""
    tx.run(
        QUEUE,
        site_id=site_id,
        cause=cause,
        recipient=recipient,
        subject=plain(subject),
        text=text,
        html=html,
    )


def plain(text: str) -> str:
    """A stored, HTML-escaped field as one line of plain text, fit for a header."""
    return " ".join(unescape(text).split())


def lease(tx: Transaction, batch: int = BATCH) -> tuple[list[Mail], list[Mail]]:
    """Mails that are due, for this process alone: those with a text, then those to be written. Codes go first."""
    texts = [Mail(*row) for row in tx.rows(LEASE, lease_s=LEASE_S, batch=batch)]
    room = batch - len(texts)
    if not room:
        return texts, []
    rows = tx.rows(LEASE_UNWRITTEN, lease_s=LEASE_S, batch=room)
    return texts, [Mail(*row) for row in rows]


def settle(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Write down how it went; addresses that bounced are off from now on."""
    tx.run(
        SETTLE,
        ids=[one.mail_id for one in outcomes],
        states=[one.state for one in outcomes],
        recipients=[one.recipient for one in outcomes],
        errors=[one.error for one in outcomes],
        tried=[one.was_tried for one in outcomes],
        waits_s=[one.wait_s for one in outcomes],
    )
    for one in outcomes:
        if one.is_bounce and one.recipient:
            suppression.add(tx, one.recipient, suppression.REFUSED, one.error or "")


def message_id(secret: bytes, mail_id: int, cause: str, domain: str) -> str:
    """The same for every try of a mail, and not to be guessed by whoever did not get it."""
    mark = hmac.new(secret, f"message:{mail_id}:{cause}".encode(), hashlib.sha256).hexdigest()[:32]
    return f"<{mail_id}.{mark}@{domain}>"


def sent_to(tx: Reader, secret: bytes, text: str) -> str | None:
    """The address that the mail with this Message-ID went to; None if we sent none, or it is forgotten by now."""
    match = _MESSAGE_ID.match(text.strip())
    row = tx.row(FIND, mail_id=int(match[1])) if match else None
    if match is None or row is None:
        return None
    wanted = message_id(secret, int(match[1]), row[0], "")
    return row[1] if hmac.compare_digest(wanted, f"<{match[1]}.{match[2]}@>") else None


class Listed(NamedTuple):
    """A mail as operators see it: never its text."""

    id: int
    state: str
    site: str
    cause: str
    recipient: str
    attempts: int
    created: datetime.datetime
    next_try: datetime.datetime
    last_error: str


def list_all(tx: Reader, states: Sequence[str], *, site_id: int | None, limit: int) -> list[Listed]:
    """Mails in these states, newest first."""
    return [
        Listed(*row) for row in tx.rows(LIST, states=list(states), site_id=site_id, limit=limit)
    ]


def retry(tx: Transaction, *, mail_id: int | None = None, site_id: int | None = None) -> int:
    """Make one mail due now, or all that are parked or wait after a failure; how many that were."""
    return tx.run(RETRY, only=mail_id, site_id=site_id, lease_s=LEASE_S)


# ---------------------------------------------------------------- sending


def _nothing(ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
    return {id: Dropped("nobody writes mail here") for id in ids}


class Sender(PollingThread):
    """Sends what is due; `start` makes it a background thread of a process, `flush` does one round at once.

    `config` gives the settings of now, so that a reload applies. `write` writes what has no text yet.
    """

    POLL_S = 5.0

    def __init__(
        self, database: Database, config: Callable[[], Config], write: Writer = _nothing
    ) -> None:
        super().__init__("mail", "the outbox can't be read")
        self._database = database
        self._config = config
        self._write = write
        self._secret = b""

    def poll(self) -> None:
        """Send all that is due; what a stop interrupts is sent by another process."""
        self.drain()

    def drain(self) -> int:
        """Send all that is due over one connection; how many mails that were. Raises Unavailable without a database."""
        total = 0
        transport = Transport(self._config())
        try:
            while not self.is_stopping:
                found, is_away = self._batch(transport)
                total += found
                if not found or is_away:
                    break
        finally:
            transport.close()
        return total

    def flush(self) -> int:
        """Send one batch of what is due; how many mails that were. Raises Unavailable without a database."""
        transport = Transport(self._config())
        try:
            return self._batch(transport)[0]
        finally:
            transport.close()

    def _batch(self, transport: Transport) -> tuple[int, bool]:
        """How many mails were due, and whether the mail server is away."""
        with self._database.write() as tx:
            texts, unwritten = lease(tx)
        if not texts and not unwritten:
            return 0, False
        outcomes: list[Outcome] = []
        try:
            # With a text: at once, before others are written.
            letters = {mail: self._letter(transport.config, mail) for mail in texts}
            is_there = self._send(transport, letters, outcomes)
            if is_there:
                letters = self._written(transport.config, unwritten, outcomes)
                is_there = self._send(transport, letters, outcomes)
            else:
                outcomes += [_not_now(mail, "the mail server is away") for mail in unwritten]
        finally:
            # Whatever happened, what is sent is not sent again.
            if outcomes:
                with self._database.write() as tx:
                    settle(tx, outcomes)
                for one in outcomes:
                    if one.was_tried:
                        metrics.MAILS.add(1, one.state or "retried")
        return len(texts) + len(unwritten), not is_there

    def _letter(self, config: Config, mail: Mail) -> Letter:
        return Letter(
            mail.id,
            self._message_id(config, mail),
            mail.created,
            (config.operator_name, config.sender),
            mail.recipient,
            mail.subject,
            mail.text,
            mail.html,
            tuple(json_fragments.loads(mail.headers).items()),
        )

    def _message_id(self, config: Config, mail: Mail) -> str:
        if not self._secret:
            with self._database.write() as tx:
                self._secret = platform_secret.find(tx, platform_secret.MAIL)
        return message_id(self._secret, mail.id, mail.cause, config.platform_domain)

    def _written(
        self, config: Config, mails: Sequence[Mail], outcomes: list[Outcome]
    ) -> dict[Mail, Letter]:
        """The mails that are to be sent, written; the others are in `outcomes`."""
        made = self._made([mail.id for mail in mails], outcomes)
        letters = {}
        for mail in mails:
            one = made.get(mail.id)
            if isinstance(one, Written):
                letters[mail] = Letter(
                    mail.id,
                    self._message_id(config, mail),
                    mail.created,
                    (one.sender_name, config.notify_sender),
                    one.recipient,
                    one.subject,
                    one.text,
                    one.html,
                    one.headers,
                )
            elif one is not None:
                outcomes.append(Outcome(mail.id, "dropped", one.reason))
        return letters

    def _made(self, ids: Sequence[int], outcomes: list[Outcome]) -> Mapping[int, Written | Dropped]:
        """A batch that fails is written one mail at a time; what fails alone is parked."""
        if not ids:
            return {}
        try:
            return self._write(ids)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - one mail must not keep all others from being sent
            if len(ids) == 1:
                logger.exception("mail %d can't be written and is parked", ids[0])
                outcomes.append(Outcome(ids[0], "dead", f"{type(error).__name__}: {error}"))
                return {}
        made: dict[int, Written | Dropped] = {}
        for id in ids:
            made |= self._made([id], outcomes)
        return made

    def _send(
        self, transport: Transport, letters: Mapping[Mail, Letter], outcomes: list[Outcome]
    ) -> bool:
        """Send these, one after the other; False if the mail server is away."""
        deadline = time.monotonic() + _BATCH_LIMIT_S
        away = ""
        for mail, letter in letters.items():
            if away:
                outcomes.append(_not_now(mail, away))
            elif time.monotonic() > deadline:
                outcomes.append(Outcome(mail.id, None, was_tried=False))
            else:
                try:
                    outcomes.append(_deliver(transport, mail, letter))
                except AwayError as error:
                    away = str(error)
                    logger.warning("the mail server is away, will try again: %s", away)
                    outcomes.append(_not_now(mail, away))
        return not away


def _not_now(mail: Mail, error: str) -> Outcome:
    """A server that is away is no fault of the mail, and no try."""
    return Outcome(mail.id, None, error, wait_s=_AWAY_S, was_tried=False)


def _deliver(transport: Transport, mail: Mail, letter: Letter) -> Outcome:
    """Raises AwayError."""
    try:
        transport.deliver(letter)
    except UndeliverableError as error:
        logger.warning("mail %d is parked: %s", mail.id, error)
        return Outcome(mail.id, "dead", str(error), letter.recipient, is_bounce=error.is_bounce)
    except (OSError, smtplib.SMTPException) as error:
        text = f"{type(error).__name__}: {error}"
        logger.warning("mail %d was not sent: %s", mail.id, text)
        return _later(mail, text)
    return Outcome(mail.id, "sent", None, letter.recipient)


def _later(mail: Mail, error: str) -> Outcome:
    tried = mail.attempts - 1
    if tried < len(BACK_OFF_S):
        return Outcome(mail.id, None, error, wait_s=BACK_OFF_S[tried])
    logger.error("mail %d is parked after %d tries: %s", mail.id, mail.attempts, error)
    return Outcome(mail.id, "dead", error)
