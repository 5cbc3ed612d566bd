"""Outgoing mail: queued in the transaction that causes it, sent afterwards, at least once (platform 7.4, P-63).

A mail is a row of mail_outbox, one for each cause. Any web worker or the cron process sends what is due: it takes a
lease on a few rows, sends them, and writes down how it went. A crash in between sends again, under the same Message-ID.
Bodies are forgotten once sent: they may hold secrets.

Where mail goes: over `smtp_url`, outside `prod` to the addresses of `mail_allow_list` alone; in the embedded mode
everything else becomes a file in the mailbox folder.
"""

from __future__ import annotations

import hashlib
import os
import smtplib
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from forumapi.db import Database, Query, Transaction
from forumapi.errors import ApiError
from forumapi.log import logger

if TYPE_CHECKING:
    import datetime

    from forumapi.config import Config

QUEUE = Query(
    "mail.queue",
    """
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, html_body)
    VALUES (%(site_id)s, %(cause)s, %(recipient)s, %(subject)s, %(text)s, %(html)s)
        ON CONFLICT (cause) DO NOTHING""",
)

# The lease: nobody else touches these rows for that long.
LEASE = Query(
    "mail.lease",
    """
    UPDATE mail_outbox m
       SET attempts = m.attempts + 1, not_before = now() + make_interval(secs => %(lease_s)s::int)
      FROM (SELECT q.mail_id
              FROM mail_outbox q
             WHERE q.state = 'queued' AND q.not_before <= now()
             ORDER BY q.not_before, q.mail_id
             LIMIT %(batch)s
               FOR UPDATE SKIP LOCKED) due
     WHERE m.mail_id = due.mail_id
 RETURNING m.mail_id, m.cause, m.recipient, m.subject, m.text_body, m.html_body, m.attempts, m.created""",
)

SENT = Query(
    "mail.sent",
    """
    UPDATE mail_outbox m
       SET state = 'sent', sent = now(), last_error = NULL, text_body = '', html_body = NULL
     WHERE m.mail_id = %(mail_id)s AND m.state = 'queued'""",
)

RETRY = Query(
    "mail.retry",
    """
    UPDATE mail_outbox m
       SET not_before = now() + make_interval(secs => %(wait_s)s::int), last_error = %(error)s
     WHERE m.mail_id = %(mail_id)s AND m.state = 'queued'""",
)

DEAD = Query(
    "mail.dead",
    """
    UPDATE mail_outbox m
       SET state = 'dead', last_error = %(error)s
     WHERE m.mail_id = %(mail_id)s AND m.state = 'queued'""",
)

TIMEOUT_S: Final = 10.0
_LEASE_S: Final = 300
_BATCH: Final = 10
# How long to wait after the first, second, ... failure; after the last one the mail is parked as dead.
_BACK_OFF_S: Final = (15, 60, 300, 1800, 7200, 21_600, 43_200)


class Mail(NamedTuple):
    """A mail that is due."""

    id: int
    cause: str
    recipient: str
    subject: str
    text: str
    html: str | None
    attempts: int
    created: datetime.datetime


class UndeliverableError(Exception):
    """This mail can't be delivered, now or later."""


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


def is_possible(config: Config) -> bool:
    """Whether mail can go anywhere at all."""
    return bool(config.smtp_url) or config.is_embedded


def is_allowed(config: Config, recipient: str) -> bool:
    """Whether mail to `recipient` may leave this machine (P-63)."""
    if config.environment == "prod":
        return True
    address = recipient.lower()
    return any(
        address.endswith(one.lower()) if one.startswith("@") else address == one.lower()
        for one in config.mail_allow_list
    )


def message(config: Config, mail: Mail) -> EmailMessage:
    """The mail as it goes out. Its Message-ID depends on the cause alone."""
    made = EmailMessage()
    made["From"] = formataddr((config.operator_name, config.sender))
    made["To"] = mail.recipient
    made["Subject"] = mail.subject
    made["Date"] = format_datetime(mail.created)
    identity = hashlib.sha256(mail.cause.encode()).hexdigest()[:32]
    made["Message-ID"] = f"<{identity}@{config.platform_domain}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.text)
    if mail.html is not None:
        made.add_alternative(mail.html, subtype="html")
    return made


class Sender:
    """Sends what is due; `start` makes it a background thread of a process, `flush` does one round at once.

    `config` gives the settings of now, so that a reload applies.
    """

    POLL_S: Final = 10.0

    def __init__(self, database: Database, config: Callable[[], Config]) -> None:
        self._database = database
        self._config = config
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send in the background until `stop`."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the background thread; what is under way is finished or sent again by another process."""
        self._stopping.set()
        self._wake.set()
        self._thread = None

    def wake(self) -> None:
        """Something was queued and is committed: look now."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self.POLL_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                while self.flush() == _BATCH:
                    pass
            except ApiError as error:
                logger.warning("the outbox can't be read, will try again: %s", error)

    def flush(self) -> int:
        """Send one batch of what is due; how many mails that were. Raises Unavailable without a database."""
        with self._database.write() as tx:
            due = [Mail(*row) for row in tx.rows(LEASE, lease_s=_LEASE_S, batch=_BATCH)]
        if not due:
            return 0
        config = self._config()
        transport = _Transport(config)
        try:
            for mail in due:
                self._send(transport, config, mail)
        finally:
            transport.close()
        return len(due)

    def _send(self, transport: _Transport, config: Config, mail: Mail) -> None:
        try:
            transport.deliver(mail)
        except UndeliverableError as error:
            logger.warning("mail %d is parked: %s", mail.id, error)
            with self._database.write() as tx:
                tx.run(DEAD, mail_id=mail.id, error=str(error))
        except (OSError, smtplib.SMTPException) as error:
            text = f"{type(error).__name__}: {error}"
            tried = mail.attempts - 1
            with self._database.write() as tx:
                if tried < len(_BACK_OFF_S):
                    logger.warning("mail %d was not sent, will try again: %s", mail.id, text)
                    tx.run(RETRY, mail_id=mail.id, wait_s=_BACK_OFF_S[tried], error=text)
                else:
                    logger.error("mail %d is parked after %d tries: %s", mail.id, tried + 1, text)
                    tx.run(DEAD, mail_id=mail.id, error=text)
        else:
            with self._database.write() as tx:
                tx.run(SENT, mail_id=mail.id)


class _Transport:
    """Where the mails of one batch go: one SMTP connection for all, made with the first that needs it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._smtp: smtplib.SMTP | None = None

    def deliver(self, mail: Mail) -> None:
        """Raises UndeliverableError, OSError, smtplib.SMTPException."""
        config = self._config
        if config.smtp_url and is_allowed(config, mail.recipient):
            self._by_smtp(mail)
        elif config.is_embedded:
            self._into_folder(mail)
        elif config.smtp_url:
            raise UndeliverableError(f"outside prod, and not in mail_allow_list: {mail.recipient}")
        else:
            raise UndeliverableError("smtp_url is not set")

    def _by_smtp(self, mail: Mail) -> None:
        try:
            if self._smtp is None:
                self._smtp = connect(self._config.smtp_url)
            self._smtp.send_message(message(self._config, mail))
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            if 500 <= code < 600:
                raise UndeliverableError(f"{code} {text.decode('utf-8', 'replace')}") from None
            raise
        except (OSError, smtplib.SMTPException):
            self.close()
            raise

    def _into_folder(self, mail: Mail) -> None:
        folder = self._config.mailbox_path
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{mail.id:08}.eml"
        _write_whole(path, message(self._config, mail).as_bytes())
        logger.info("mail to %s: %s", mail.recipient, path)

    def close(self) -> None:
        """End the SMTP connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that nobody sees half-written; mails are for this user's eyes."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)


def connect(url: str) -> smtplib.SMTP:
    """A connection to `smtp://[user:password@]host[:port]` (TLS where the server offers it) or `smtps://`."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    context = ssl.create_default_context()
    smtp: smtplib.SMTP
    if parts.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        smtp = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
    try:
        smtp.ehlo()
        if parts.scheme == "smtp" and smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
        if parts.username:
            smtp.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp
