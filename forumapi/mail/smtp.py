"""Encoding of mails, and their transport: to an SMTP server or, in the embedded mode, into a folder where none is set
or allowed.
"""

from __future__ import annotations

import os
import re
import smtplib
import ssl
from email import policy
from email.charset import QP, Charset
from email.header import Header
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from forumapi.observability.log import logger

if TYPE_CHECKING:
    import datetime

    from forumapi.config import Config

TIMEOUT_S: Final = 10.0
# Longest header value that is sent as one line (RFC 5322 allows 998 characters with the name).
_LONGEST: Final = 900

# Not `EmailMessage` with `policy.SMTP`: it decodes what only looks like an encoded word, and makes encoded words of a
# long URL in List-Unsubscribe, which no mail program decodes there.
_AS_GIVEN: Final = policy.compat32.clone(linesep="\r\n", max_line_length=None, mangle_from_=False)
_UTF_8: Final = Charset("utf-8")
_UTF_8.body_encoding = QP

# Enhanced status codes (RFC 3463) of RCPT replies that do not mean an unknown mailbox: full, too large, system,
# network, policy.
_NOT_THE_ADDRESS: Final = re.compile(r"\b5\.(?:2\.[234]|[34567]\.\d+)\b")
_FULL: Final = 552


class Message(NamedTuple):
    """Mail ready to be encoded, the same at every attempt. `id`: its row in the outbox; `created`: its header Date;
    `sender`: name and address; `html`: None for a mail of plain text alone; `headers`: further headers, (name, value)
    each.
    """

    id: int
    message_id: str
    created: datetime.datetime
    sender: tuple[str, str]
    recipient: str
    subject: str
    text: str
    html: str | None
    headers: tuple[tuple[str, str], ...] = ()


class UndeliverableError(Exception):
    """Permanent failure to deliver a mail. `is_bounce`: the server says that the recipient's mailbox does not exist."""

    def __init__(self, reason: str, *, is_bounce: bool = False) -> None:
        super().__init__(reason)
        self.is_bounce = is_bounce


class ServerUnavailableError(Exception):
    """Failure to connect or log in to the mail server; says nothing about the mail."""


def is_possible(config: Config) -> bool:
    """Return True if the settings allow sending mail: a server is set, or this is the embedded mode."""
    return bool(config.smtp_url) or config.is_embedded


def is_allowed(config: Config, recipient: str) -> bool:
    """Return True if mail to the address `recipient` may go to the mail server: always in production, elsewhere only if
    `mail_allow_list` holds the address or its @domain (P-63).
    """
    if config.mode == "prod":
        return True
    address = recipient.lower()
    return any(
        address.endswith(one.lower()) if one.startswith("@") else address == one.lower()
        for one in config.mail_allow_list
    )


def is_bounce(code: int, text: str) -> bool:
    """Return True if a server's reply to a recipient, status code and text, is taken to mean that the mailbox does not
    exist: any permanent failure, 5xx, but 552 and those whose text has an enhanced status for a full mailbox, a mail
    too large, or a failure of system, network or policy (RFC 5321, RFC 3463).
    """
    return 500 <= code < 600 and code != _FULL and not _NOT_THE_ADDRESS.search(text)


def encode(message: Message) -> bytes:
    """Encode a mail as bytes (RFC 5322); its addresses must be printable ASCII."""
    mail: MIMEBase = _part("plain", message.text)
    if message.html is not None:
        mail = MIMEMultipart("alternative", _subparts=[mail, _part("html", message.html)])
    mail["From"] = _mailbox(*message.sender)
    mail["To"] = message.recipient
    mail["Subject"] = _words("Subject", message.subject)
    mail["Date"] = format_datetime(message.created)
    mail["Message-ID"] = message.message_id
    mail["Auto-Submitted"] = "auto-generated"
    for name, value in message.headers:
        mail[name] = _words(name, value)
    return mail.as_bytes(policy=_AS_GIVEN)


def _words(name: str, value: str) -> str:
    """Encode the value of the header `name`: as one line if it is printable ASCII of at most _LONGEST characters with
    no "=?" (which begins an encoded word), else as encoded words (RFC 2047).
    """
    line = " ".join(value.split())
    return line if _is_plain(line) else _encoded(name, line)


def _mailbox(name: str, address: str) -> str:
    line = " ".join(name.split())
    if _is_plain(line):
        return formataddr((line, address))
    return f"{_encoded('From', line)} <{address}>"


def _is_plain(line: str) -> bool:
    return line.isascii() and line.isprintable() and "=?" not in line and len(line) <= _LONGEST


def _encoded(name: str, line: str) -> str:
    return Header(line, "utf-8", header_name=name).encode(linesep="\r\n", maxlinelen=76)


def _part(kind: str, text: str) -> MIMEBase:
    part = MIMENonMultipart("text", kind)
    part.set_payload(text, _UTF_8)
    return part


class Transport:
    """Sender of mails one after the other, over one SMTP connection that is opened for the first mail. In the embedded
    mode it writes mails that may not go to the server (`is_allowed`), or all if no server is set, into a folder.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._smtp: smtplib.SMTP | None = None

    def deliver(self, message: Message) -> None:
        """Send one mail to the server, if one is set and `is_allowed` permits it; else write it into the folder of the
        embedded mode. Raises UndeliverableError for a failure for good, also if neither is possible;
        ServerUnavailableError if the server can't be reached or refuses the log-in; OSError or smtplib.SMTPException
        for any other failure that may pass.
        """
        config = self.config
        for address in (message.recipient, message.sender[1]):
            if not (address.isascii() and address.isprintable()):
                # An imported address; addresses entered here are checked.
                raise UndeliverableError("an address is not in ASCII")
        data = encode(message)
        if config.smtp_url and is_allowed(config, message.recipient):
            self._by_smtp(message, data)
        elif config.is_embedded:
            self._into_folder(message, data)
        elif config.smtp_url:
            raise UndeliverableError(
                f"outside prod, and not in mail_allow_list: {message.recipient}"
            )
        else:
            raise UndeliverableError("smtp_url is not set")

    def _by_smtp(self, message: Message, data: bytes) -> None:
        smtp = self._connected()
        envelope_sender = self.config.mail_bounce_to or message.sender[1]
        try:
            smtp.sendmail(envelope_sender, [message.recipient], data)
        except UnicodeEncodeError:
            raise UndeliverableError("the mail server accepts only addresses in ASCII") from None
        except smtplib.SMTPRecipientsRefused as error:
            code, raw = next(iter(error.recipients.values()))
            text = one_line(raw)
            if 500 <= code < 600:
                raise UndeliverableError(
                    f"{code} {text}", is_bounce=is_bounce(code, text)
                ) from None
            raise
        except smtplib.SMTPDataError as error:
            if 500 <= error.smtp_code < 600:
                raise UndeliverableError(
                    f"{error.smtp_code} {one_line(error.smtp_error)}"
                ) from None
            raise
        except (OSError, smtplib.SMTPException):
            self.close()
            raise

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is None:
            try:
                self._smtp = connect(self.config.smtp_url)
            except (OSError, smtplib.SMTPException) as error:
                raise ServerUnavailableError(f"{type(error).__name__}: {error}") from error
        return self._smtp

    def _into_folder(self, message: Message, data: bytes) -> None:
        folder = self.config.mailbox_path
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{message.id:08}.eml"
        _write_whole(path, data)
        logger.info("mail to %s: %s", message.recipient, path)

    def close(self) -> None:
        """End the SMTP connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()


def one_line(said: bytes | str) -> str:
    """Return a server's reply as one line; unprintable characters become spaces, and several spaces one. Bytes are read
    as UTF-8.
    """
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _write_whole(path: Path, data: bytes) -> None:
    """Write `data` to a file atomically, readable by its owner alone."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)


def connect(url: str) -> smtplib.SMTP:
    """Connect to the server at `smtp://[user:password@]host[:port]` (with STARTTLS if the server offers it) or
    `smtps://…`, and log in if a user is named; the port is 25, or 465 with smtps, if none is named. Each step waits
    TIMEOUT_S seconds at most. Raises OSError or smtplib.SMTPException if connecting or logging in fails.
    """
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
