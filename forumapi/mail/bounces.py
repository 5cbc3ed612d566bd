"""Bounces: delivery status notifications (RFC 3464) are parsed, and the addresses that they report are suppressed.

An address is suppressed only if we sent it a mail with the Message-ID that the report names: anybody can write a
report, but only the recipient and the servers on the way know a Message-ID.
"""

from __future__ import annotations

import email
import email.policy
import mailbox
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from forumapi.database.connections import Transaction
from forumapi.mail import outbox, smtp
from forumapi.models.notifications.mail_suppression import REPORTED, Suppression
from forumapi.text import email_address

# Bytes of a report that are parsed: larger ones quote a whole mail, and the status stands at the beginning.
MAX_BYTES: Final = 2_000_000


class BounceReport(NamedTuple):
    """Report that one mail permanently failed for one recipient. `message_id`: of that mail; `recipient`: its address,
    "" if the report names none; `status`: enhanced status code; `detail`: the server's reply.
    """

    message_id: str
    recipient: str
    status: str  # such as 5.1.1
    detail: str


def messages(path: Path) -> Iterator[bytes]:
    """Yield each message at `path`, as bytes. `path`: an mbox file, a maildir (in any order), another folder with one
    message in each file (in order of file names), or a file with one message.
    """
    if path.is_dir():
        if (path / "new").is_dir() and (path / "cur").is_dir():
            for kept in mailbox.Maildir(path, create=False):
                yield kept.as_bytes()
        else:
            for file in sorted(path.iterdir()):
                if file.is_file():
                    yield file.read_bytes()
        return
    with path.open("rb") as source:
        is_mbox = source.read(5) == b"From "
    if is_mbox:
        for message in mailbox.mbox(path, create=False):
            yield message.as_bytes()
    else:
        yield path.read_bytes()


def read(data: bytes) -> BounceReport | None:
    """Parse a message as a delivery status notification; return its first permanent failure, None if it reports none or
    does not show the Message-ID of the failed mail.
    """
    try:
        return _read(data)
    except RecursionError:
        # Parts nested too deeply: no mail server writes that.
        return None


def _read(data: bytes) -> BounceReport | None:
    message = email.message_from_bytes(data[:MAX_BYTES], policy=email.policy.compat32)
    original = status_part = None
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/delivery-status" and status_part is None:
            status_part = part
        elif kind in ("message/rfc822", "text/rfc822-headers", "message/global") and not original:
            original = _message_id(part)
    if status_part is None or not original:
        return None
    groups = status_part.get_payload()
    if not isinstance(groups, list):
        return None
    for group in groups:
        assert isinstance(group, email.message.Message)  # the parser's result for this type
        status = str(group.get("Status", "")).strip().split(" ")[0]
        if str(group.get("Action", "")).strip().lower() != "failed" or not status.startswith("5."):
            continue
        detail = str(group.get("Diagnostic-Code", "")).partition(";")[2].strip() or status
        recipient = str(group.get("Original-Recipient") or group.get("Final-Recipient") or "")
        return BounceReport(
            original, recipient.partition(";")[2].strip().strip("<>"), status, detail
        )
    return None


def _message_id(part: email.message.Message) -> str:
    payload = part.get_payload()
    if isinstance(payload, list) and payload:
        return _header(payload[0], "Message-ID")
    raw = part.get_payload(decode=True)
    text = raw if isinstance(raw, bytes) else b""
    return _header(email.message_from_bytes(text), "Message-ID")


def _header(message: object, name: str) -> str:
    return str(message.get(name, "")).strip() if isinstance(message, email.message.Message) else ""


def apply(tx: Transaction, secret: bytes, report: BounceReport) -> str:
    """Suppress the recipient's address of the mail with the report's Message-ID, if this platform sent that mail, the
    report names that recipient or none, and its status is a failure of the address (`smtp.is_bounce`). Return a line
    for the log, with the address or with the reason why nothing was done. `secret`: the platform's secret with which
    Message-IDs are made.
    """
    recipient = outbox.sent_to(tx, secret, report.message_id)
    if recipient is None:
        return f"ignored: not a mail of this platform: {report.message_id}"
    if report.recipient and not _is_same(report.recipient, recipient):
        # The reader's server forwarded it: the failing mailbox is another one.
        return f"ignored: another recipient than that of the mail: {report.message_id}"
    if not smtp.is_bounce(550, report.status):
        return f"ignored: not a failure of the address: {report.status}"
    words = smtp.one_line(f"{report.status} {report.detail}")
    if Suppression.insert(tx, recipient, REPORTED, words):
        return f"suppressed: {recipient}: {words}"
    return f"already suppressed: {recipient}"


def _is_same(one: str, other: str) -> bool:
    return email_address.same_person_key(one) == email_address.same_person_key(other)
