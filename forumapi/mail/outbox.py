"""Transactional outbox of mail: queued in the transaction that causes it, sent at least once (platform 7.4, P-63).

A mail is a row of mail_outbox, one for each cause. Codes and invitations have their text from the start; mail about
updates names only its subject, and is rendered when it is sent (updates/mail_rendering.py), so that nobody receives a
text that they may no longer read. Web workers lease rows that are due, send them, and record the outcomes. After a
crash a mail may be sent again, with the same Message-ID. Texts are deleted once sent, since they may hold secrets.
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

from forumapi import templates
from forumapi.concurrency.background_thread import PollingThread
from forumapi.database import site_turns
from forumapi.database.connections import Database, Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import ApiError
from forumapi.mail.smtp import (
    Message,
    ServerUnavailableError,
    Transport,
    UndeliverableError,
    is_possible,
)
from forumapi.models.access import platform_secret
from forumapi.models.notifications.mail_suppression import REFUSED, Suppression
from forumapi.models.usage import site_usage
from forumapi.observability import metrics
from forumapi.observability.log import logger
from forumapi.wire import json_fragments

if TYPE_CHECKING:
    from forumapi.config import Config

__all__ = [
    "Dropped",
    "Sender",
    "Written",
    "is_possible",
    "notice",
    "plain",
    "queue",
    "queue_notice",
]

QUEUE = Query(
    "outbox.queue",
    """
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, html_body)
    VALUES (%(site_id)s, %(cause)s, %(recipient)s, %(subject)s, %(text)s, %(html)s)
        ON CONFLICT (cause) DO NOTHING""",
)

# Lease: no other process takes these rows for that long. The platform's own mails take turns as one site's.
_LEASE: Final = """{due}
    UPDATE mail_outbox m
       SET attempts = m.attempts + 1, not_before = now() + make_interval(secs => %(lease_s)s::int)
      FROM due
     WHERE m.mail_id = due.mail_id
 RETURNING m.mail_id, m.cause, m.recipient, m.subject, m.text_body, m.html_body, m.attempts, m.created,
           m.headers::text, EXISTS (SELECT FROM sandboxes b WHERE b.site_id = m.site_id), due.site"""


def _leasing(state: str) -> str:
    due = site_turns.claim(
        "mail_outbox",
        "q.mail_id, coalesce(q.site_id, 0) AS site",
        waits=f"q.state = '{state}'",
        is_due="q.not_before <= now()",
        order="q.not_before, q.mail_id",
        site="coalesce(q.site_id, 0)",
    )
    return _LEASE.format(due=due)


LEASE = Query("outbox.lease", _leasing("queued"), scope=PLATFORM)
LEASE_UNWRITTEN = Query("outbox.lease_unwritten", _leasing("unwritten"), scope=PLATFORM)

# A mail without a new state is tried again after `wait_s`; one that was not tried gets its attempt back.
RECORD_OUTCOMES = Query(
    "outbox.record_outcomes",
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
    scope=PLATFORM,
)

FIND = Query(
    "outbox.find",
    "SELECT m.cause, m.recipient FROM mail_outbox m WHERE m.mail_id = %(mail_id)s",
    scope=PLATFORM,
)

LIST = Query(
    "outbox.list",
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

# A mail that waits for longer than a lease lasts is not being sent.
RETRY = Query(
    "outbox.retry",
    """
    UPDATE mail_outbox m
       SET state = CASE WHEN m.profile_id IS NULL AND m.update_type_id IS NULL THEN 'queued' ELSE 'unwritten' END,
           attempts = CASE m.state WHEN 'dead' THEN 0 ELSE m.attempts END, not_before = now()
     WHERE (m.state = 'dead'
            OR (m.state IN ('queued', 'unwritten') AND m.last_error IS NOT NULL
                AND m.not_before > now() + make_interval(secs => %(lease_s)s::int)))
       AND (%(only)s::bigint IS NULL OR m.mail_id = %(only)s::bigint)
       AND (%(site_id)s::bigint IS NULL OR m.site_id = %(site_id)s::bigint)""",
)

LEASE_S: Final = 300
BATCH: Final = 50
# Time after which the rest of a batch is put back and rendered anew: permissions are never older than this when sent.
_BATCH_LIMIT_S: Final = 20.0
# Wait of each mail while the mail server is unavailable, without a limit of attempts. One connection a round is tried.
_AWAY_S: Final = 60
# Waits after the first, second, ... failure, some 22 hours in all; after the last one the mail is dead.
BACK_OFF_S: Final = (15, 60, 300, 1800, 7200, 21_600, 43_200)
STATES: Final = ("queued", "unwritten", "sent", "dropped", "dead")
_MESSAGE_ID: Final = re.compile(r"<(\d{1,18})\.([0-9a-f]{32})@")


class Mail(NamedTuple):
    """Row of the outbox that was leased to be sent. A row without a recipient ("") is about an update, and has yet to
    be rendered.

    `html`: None for a mail of plain text alone; `attempts`: number of tries, this one included; `headers`: further
    headers, as the JSON of an object of values by name; `is_of_sandbox`: the mail's site is a sandbox, so that it is
    not sent; `site`: id of the site, 0 for the platform.
    """

    id: int
    cause: str
    recipient: str
    subject: str
    text: str
    html: str | None
    attempts: int
    created: datetime.datetime
    headers: str  # JSON object: values by name
    is_of_sandbox: bool
    site: int


class Written(NamedTuple):
    """Mail about an update, rendered. `sender_name`: name in From, as plain text; `text`, `html`: its two forms;
    `headers`: further headers, (name, value) each.
    """

    recipient: str
    sender_name: str
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]


class Dropped(NamedTuple):
    """Decision not to send a mail, with the reason, for operators."""

    reason: str


# Renders mails by their ids.
Writer = Callable[[Sequence[int]], Mapping[int, Written | Dropped]]


class SendOutcome(NamedTuple):
    """Outcome for one leased mail. `state`: sent, dead (it has failed for good) or dropped (it must not be sent); None:
    the mail is tried again in `wait_s` seconds.

    `error`: reason for operators, None for none. `was_tried` False: the attempt that the lease counted is taken back;
    `is_bounce`: the address `recipient` gets no mail from now on. `recipient`: address to store in the row, None: that
    in the row stays.
    """

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
    """Insert a mail into the outbox, unless the outbox has one with this `cause`, sent or not. `cause`: text that names
    the one event that the mail is sent for; `recipient`: address; `subject`: may be HTML-escaped; `text`: plain text;
    `html`: None for a mail of plain text alone; `site_id`: None for the platform.
    """
    tx.run(
        QUEUE,
        site_id=site_id,
        cause=cause,
        recipient=recipient,
        subject=plain(subject),
        text=text,
        html=html,
    )


def queue_notice(
    tx: Transaction,
    template: str,
    *,
    cause: str,
    recipient: str,
    subject: str,
    site_id: int | None = None,
    **values: object,
) -> None:
    """Queue a mail that is not about an update, made of a template of `templates/mail/notices`, unless the outbox has
    one with this `cause`, sent or not.

    `template`: its file's name without the ending; `values`: for the template, all plain text. `cause`: text that names
    the one event that the mail is sent for; `recipient`: address; `subject`: may be HTML-escaped; `site_id`: None for
    the platform.
    """
    text, html = notice(template, subject, **values)
    queue(
        tx,
        cause=cause,
        recipient=recipient,
        subject=subject,
        text=text,
        html=html,
        site_id=site_id,
    )


def notice(template: str, subject: str, /, **values: object) -> tuple[str, str]:
    """Render the template `template` of `templates/mail/notices`; return the text and the HTML of the mail. `template`:
    its file's name without the ending. `subject`: may be HTML-escaped, and is the title of the HTML; `values`: for the
    template, all plain text.
    """
    path = f"mail/notices/{template}"
    text = templates.render(f"{path}.txt", **values)
    html = templates.render(f"{path}.html", subject=plain(subject), is_own=False, **values)
    return text, html


def plain(text: str) -> str:
    """Convert a stored field, which is HTML-escaped, into one line of plain text, fit for a header."""
    return " ".join(unescape(text).split())


def lease(
    tx: Transaction, batch: int = BATCH, *, after: tuple[int, int] = (0, 0)
) -> tuple[list[Mail], list[Mail]]:
    """Lease mails that are due, for LEASE_S seconds, and count an attempt for each; return two lists: up to `batch`
    with a text, and those that have to be rendered, as many as make `batch` in all but a quarter of `batch` in any
    case, each in any order. Sites take fair turns in each list, and of each site those due longest are leased.

    `after`: sites that had the last turn before, one for each list.
    """
    rows = tx.rows(LEASE, lease_s=LEASE_S, batch=batch, after=after[0])
    texts = [Mail(*row) for row in rows]
    # Mails with a text are sent first, but however many one site has of them, others' updates are sent too.
    room = max(batch - len(texts), batch // 4)
    if not room:
        return texts, []
    rows = tx.rows(LEASE_UNWRITTEN, lease_s=LEASE_S, batch=room, after=after[1])
    return texts, [Mail(*row) for row in rows]


def record_outcomes(tx: Transaction, outcomes: Sequence[SendOutcome]) -> None:
    """Store the outcomes of leased mails, count those sent in the usage of their sites, and suppress the addresses that
    bounced. The texts of mails that are sent are deleted. A mail that is sent, dropped or dead already stays so.
    """
    sent = [one.mail_id for one in outcomes if one.state == "sent"]
    if sent:
        site_usage.add_mails(tx, sent)
    tx.run(
        RECORD_OUTCOMES,
        ids=[one.mail_id for one in outcomes],
        states=[one.state for one in outcomes],
        recipients=[one.recipient for one in outcomes],
        errors=[one.error for one in outcomes],
        tried=[one.was_tried for one in outcomes],
        waits_s=[one.wait_s for one in outcomes],
    )
    for one in outcomes:
        if one.is_bounce and one.recipient:
            Suppression.insert(tx, one.recipient, REFUSED, one.error or "")


def message_id(secret: bytes, mail_id: int, cause: str, domain: str) -> str:
    """Return the Message-ID of the mail `mail_id`: the same at every attempt. Its hash, of id and `cause` of the mail,
    is keyed by the platform's `secret`, so that nobody can guess it. `domain`: part after the @.
    """
    mark = hmac.new(secret, f"message:{mail_id}:{cause}".encode(), hashlib.sha256).hexdigest()[:32]
    return f"<{mail_id}.{mark}@{domain}>"


def sent_to(tx: Reader, secret: bytes, text: str) -> str | None:
    """Return the recipient's address of the mail with the Message-ID `text`; None if `text` was not made with `secret`,
    or the mail's row was deleted since. The part after the @ is not compared.
    """
    match = _MESSAGE_ID.match(text.strip())
    row = tx.row(FIND, mail_id=int(match[1])) if match else None
    if match is None or row is None:
        return None
    wanted = message_id(secret, int(match[1]), row[0], "")
    return row[1] if hmac.compare_digest(wanted, f"<{match[1]}.{match[2]}@>") else None


class MailEntry(NamedTuple):
    """Row of the outbox as operators see it, without the text. `site`: key of the site's subdomain, "" for the
    platform; `next_try`: time from which the mail is due; `last_error`: "" for none.
    """

    id: int
    state: str
    site: str
    cause: str
    recipient: str
    attempts: int
    created: datetime.datetime
    next_try: datetime.datetime
    last_error: str


def list_all(
    tx: Reader, states: Sequence[str], *, site_id: int | None, limit: int
) -> list[MailEntry]:
    """Return up to `limit` mails in one of `states` (`queued`, `unwritten`: not rendered yet, `sent`, `dead` or
    `dropped`), newest first; of one site, or with `site_id` None of all.
    """
    return [
        MailEntry(*row) for row in tx.rows(LIST, states=list(states), site_id=site_id, limit=limit)
    ]


def retry(tx: Transaction, *, mail_id: int | None = None, site_id: int | None = None) -> int:
    """Make mails that are dead, or still have to wait for more than LEASE_S after a failure, due now; return their
    number. The attempts of dead mails are counted from 0 again, those of others go on.
    `mail_id`: that mail alone; `site_id`: mails of that site alone; None of either: no such limit.
    """
    return tx.run(RETRY, only=mail_id, site_id=site_id, lease_s=LEASE_S)


# ---------------------------------------------------------------- sending


def _nothing(ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
    return {id: Dropped("this process renders no mail") for id in ids}


class Sender(PollingThread):
    """Thread that sends mails that are due. `config()` returns the present settings, so that a reload applies.

    `write(ids)` returns, by id, the mails about updates that it has rendered (Written), or the decision not to send one
    (Dropped); by default all mails about updates are dropped.
    """

    POLL_S = 5.0

    def __init__(
        self, database: Database, config: Callable[[], Config], write: Writer = _nothing
    ) -> None:
        super().__init__("mail", "the mail outbox cannot be read")
        self._database = database
        self._config = config
        self._write = write
        self._secret = b""
        # Sites that had the last turn, of mails with a text and of those to be rendered.
        self._after = (0, 0)

    def poll(self) -> None:
        """Send mails that are due, until none is left, the mail server is unavailable or the thread stops."""
        self.drain()

    def drain(self) -> int:
        """Send mails that are due, over one SMTP connection, until none is left, the mail server is unavailable or the
        thread stops; return how many were leased, sent or not.

        Raises Unavailable if the database can't be reached. A failure of the mail server postpones mails and raises
        nothing.
        """
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
        """Send one batch of mails that are due, BATCH at most; return how many were leased, sent or not. Raises
        Unavailable if the database can't be reached.
        """
        transport = Transport(self._config())
        try:
            return self._batch(transport)[0]
        finally:
            transport.close()

    def _batch(self, transport: Transport) -> tuple[int, bool]:
        """Lease one batch, send it, and record the outcomes; return its size, and True if the mail server is
        unavailable.
        """
        with self._database.write() as tx:
            texts, unwritten = lease(tx, after=self._after)
        self._after = (
            site_turns.last([mail.site for mail in texts], self._after[0]),
            site_turns.last([mail.site for mail in unwritten], self._after[1]),
        )
        leased = [*texts, *unwritten]
        if not leased:
            return 0, False
        outcomes = [
            SendOutcome(mail.id, "dropped", "sandboxes send no mail")
            for mail in leased
            if mail.is_of_sandbox
        ]
        texts = [mail for mail in texts if not mail.is_of_sandbox]
        unwritten = [mail for mail in unwritten if not mail.is_of_sandbox]
        try:
            # Mails with a text are sent before others are rendered.
            messages = {mail: self._message(transport.config, mail) for mail in texts}
            is_there = self._send(transport, messages, outcomes)
            if is_there:
                messages = self._rendered(transport.config, unwritten, outcomes)
                is_there = self._send(transport, messages, outcomes)
            else:
                outcomes += [_not_now(mail, "the mail server is unavailable") for mail in unwritten]
        finally:
            # Recorded after any error too: what is sent must not be sent again.
            if outcomes:
                with self._database.write() as tx:
                    record_outcomes(tx, outcomes)
                for one in outcomes:
                    if one.was_tried:
                        metrics.MAILS.add(1, one.state or "retried")
        return len(leased), not is_there

    def _message(self, config: Config, mail: Mail) -> Message:
        return Message(
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

    def _rendered(
        self, config: Config, mails: Sequence[Mail], outcomes: list[SendOutcome]
    ) -> dict[Mail, Message]:
        """Render mails about updates; return the messages to send, and append the outcomes of the others, which are
        dropped or can't be rendered, to `outcomes`.
        """
        made = self._render([mail.id for mail in mails], outcomes)
        messages = {}
        for mail in mails:
            one = made.get(mail.id)
            if isinstance(one, Written):
                messages[mail] = Message(
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
                outcomes.append(SendOutcome(mail.id, "dropped", one.reason))
        return messages

    def _render(
        self, ids: Sequence[int], outcomes: list[SendOutcome]
    ) -> Mapping[int, Written | Dropped]:
        """Render mails by id, all at once; return the results by id. If that fails, render each by itself; one that
        fails alone is dead, is not among the results, and its outcome is appended to `outcomes`. Raises the
        ApiErrors of rendering, such as that for a database out of reach.
        """
        if not ids:
            return {}
        try:
            return self._write(ids)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - one mail must not keep all others from being sent
            if len(ids) == 1:
                logger.exception("mail %d cannot be rendered and is dead", ids[0])
                outcomes.append(SendOutcome(ids[0], "dead", f"{type(error).__name__}: {error}"))
                return {}
        made: dict[int, Written | Dropped] = {}
        for id in ids:
            made |= self._render([id], outcomes)
        return made

    def _send(
        self, transport: Transport, messages: Mapping[Mail, Message], outcomes: list[SendOutcome]
    ) -> bool:
        """Send messages one after the other and append their outcomes to `outcomes`; return False if the mail server is
        unavailable. After _BATCH_LIMIT_S the rest is put back into the outbox, to be rendered and sent later.
        """
        deadline = time.monotonic() + _BATCH_LIMIT_S
        away = ""
        for mail, message in messages.items():
            if away:
                outcomes.append(_not_now(mail, away))
            elif time.monotonic() > deadline:
                outcomes.append(SendOutcome(mail.id, None, was_tried=False))
            else:
                try:
                    outcomes.append(_deliver(transport, mail, message))
                except ServerUnavailableError as error:
                    away = str(error)
                    logger.warning("the mail server is unavailable, retrying: %s", away)
                    outcomes.append(_not_now(mail, away))
        return not away


def _not_now(mail: Mail, error: str) -> SendOutcome:
    """Return the outcome of a mail that was not tried, because the mail server is unavailable: it waits _AWAY_S.
    `error`: reason, for operators.
    """
    return SendOutcome(mail.id, None, error, wait_s=_AWAY_S, was_tried=False)


def _deliver(transport: Transport, mail: Mail, message: Message) -> SendOutcome:
    """Send `message`, the leased mail `mail` ready to be encoded; return its outcome, also for a failure of this mail
    alone. Raises ServerUnavailableError if the mail server can't be reached or refuses the log-in.
    """
    try:
        transport.deliver(message)
    except UndeliverableError as error:
        logger.warning("mail %d is dead: %s", mail.id, error)
        return SendOutcome(
            mail.id, "dead", str(error), message.recipient, is_bounce=error.is_bounce
        )
    except (OSError, smtplib.SMTPException) as error:
        text = f"{type(error).__name__}: {error}"
        logger.warning("mail %d was not sent: %s", mail.id, text)
        return _later(mail, text)
    return SendOutcome(mail.id, "sent", None, message.recipient)


def _later(mail: Mail, error: str) -> SendOutcome:
    tried = mail.attempts - 1
    if tried < len(BACK_OFF_S):
        return SendOutcome(mail.id, None, error, wait_s=BACK_OFF_S[tried])
    logger.error("mail %d is dead after %d attempts: %s", mail.id, mail.attempts, error)
    return SendOutcome(mail.id, "dead", error)
