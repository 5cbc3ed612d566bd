"""One mail as bytes, and the way out: an SMTP server, or the mailbox folder of the embedded mode."""

from __future__ import annotations

import os
import re
import secrets
import smtplib
import ssl
from binascii import b2a_qp
from email.header import Header
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from forumapi.observability.log import logger

if TYPE_CHECKING:
    import datetime

    from forumapi.config import Config

TIMEOUT_S: Final = 10.0
# Characters of a header that go out as one line (RFC 5322 allows 998 with its name).
_LONGEST: Final = 900

# Answers to RCPT that are about the server's rules or the state of a mailbox, not about whether it is there:
# too full, too large, system, network, policy (RFC 3463).
_NOT_THE_ADDRESS: Final = re.compile(r"\b5\.(?:2\.[234]|[34567]\.\d+)\b")
_FULL: Final = 552


class Letter(NamedTuple):
    """A mail with everything that its bytes depend on. `sender` is a name and an address."""

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
    """This mail can't be delivered, now or later. `is_bounce`: nor can any other to this address."""

    def __init__(self, reason: str, *, is_bounce: bool = False) -> None:
        super().__init__(reason)
        self.is_bounce = is_bounce


class AwayError(Exception):
    """The mail server can't be reached: no mail can be sent right now."""


def is_possible(config: Config) -> bool:
    """Whether mail can go anywhere at all."""
    return bool(config.smtp_url) or config.is_embedded


def is_allowed(config: Config, recipient: str) -> bool:
    """Whether mail to `recipient` may leave this machine (P-63)."""
    if config.mode == "prod":
        return True
    address = recipient.lower()
    return any(
        address.endswith(one.lower()) if one.startswith("@") else address == one.lower()
        for one in config.mail_allow_list
    )


def is_bounce(code: int, text: str) -> bool:
    """Whether an answer to RCPT says that there is no such mailbox, for good (RFC 5321, RFC 3463)."""
    return 500 <= code < 600 and code != _FULL and not _NOT_THE_ADDRESS.search(text)


def encode(letter: Letter) -> bytes:
    """The mail as it goes out. A tenth of the time that the library's classes take."""
    head = [
        f"From: {_mailbox(*letter.sender)}",
        f"To: {letter.recipient}",
        f"Subject: {_words('Subject', letter.subject)}",
        f"Date: {format_datetime(letter.created)}",
        f"Message-ID: {letter.message_id}",
        "Auto-Submitted: auto-generated",
        *(f"{name}: {_words(name, value)}" for name, value in letter.headers),
        "MIME-Version: 1.0",
    ]
    if letter.html is None:
        lines = [*head, _part("plain", letter.text)]
    else:
        edge = f"edge-{secrets.token_hex(16)}"
        lines = [
            *head,
            f'Content-Type: multipart/alternative; boundary="{edge}"',
            "",
            f"--{edge}",
            _part("plain", letter.text),
            f"--{edge}",
            _part("html", letter.html),
            f"--{edge}--",
        ]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _words(name: str, value: str) -> str:
    """The value of a header: one line where it is plain ASCII, else encoded words (RFC 2047)."""
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


def _part(kind: str, text: str) -> str:
    body = b2a_qp(text.encode()).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return (
        f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        f"{body.decode('ascii')}"
    )


class Transport:
    """Where mails go, one after the other: one SMTP connection for all, made with the first that needs it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._smtp: smtplib.SMTP | None = None

    def deliver(self, letter: Letter) -> None:
        """Raises UndeliverableError, AwayError, OSError, smtplib.SMTPException."""
        config = self.config
        try:
            data = encode(letter)
        except UnicodeEncodeError:
            # An address that was taken over from elsewhere; our own are checked.
            raise UndeliverableError("an address is not in ASCII") from None
        if config.smtp_url and is_allowed(config, letter.recipient):
            self._by_smtp(letter, data)
        elif config.is_embedded:
            self._into_folder(letter, data)
        elif config.smtp_url:
            raise UndeliverableError(
                f"outside prod, and not in mail_allow_list: {letter.recipient}"
            )
        else:
            raise UndeliverableError("smtp_url is not set")

    def _by_smtp(self, letter: Letter, data: bytes) -> None:
        smtp = self._connected()
        envelope_sender = self.config.mail_bounce_to or letter.sender[1]
        try:
            smtp.sendmail(envelope_sender, [letter.recipient], data)
        except UnicodeEncodeError:
            raise UndeliverableError("the mail server wants addresses in ASCII") from None
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
                raise AwayError(f"{type(error).__name__}: {error}") from error
        return self._smtp

    def _into_folder(self, letter: Letter, data: bytes) -> None:
        folder = self.config.mailbox_path
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{letter.id:08}.eml"
        _write_whole(path, data)
        logger.info("mail to %s: %s", letter.recipient, path)

    def close(self) -> None:
        """End the SMTP connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()


def one_line(said: bytes | str) -> str:
    """What a server said, as one line that can be stored and shown."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


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
