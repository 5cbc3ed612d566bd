"""The outbox: what is sent, where to, how often, and what is left of it."""

from __future__ import annotations

import email
import email.policy
import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from forumapi import mail
from forumapi.config import Config
from forumapi.db import Database, Query
from forumapi.mail import Sender
from tests.fixtures import free_port

_numbers = iter(range(1, 10_000))

STATE = Query(
    "test.mail_state",
    """
    SELECT m.state, m.attempts, coalesce(m.last_error, ''), m.text_body, m.not_before > now()
      FROM mail_outbox m WHERE m.cause = %(cause)s""",
)
DUE = Query(
    "test.mail_due",
    "UPDATE mail_outbox SET not_before = now(), attempts = %(attempts)s WHERE cause = %(cause)s",
)
EMPTY = Query("test.mail_empty", "DELETE FROM mail_outbox")


class Receiver:
    """A mail server that keeps what it gets, or refuses with `refusal`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusal = ""

    async def handle_RCPT(  # noqa: N802 - the name that the server asks for
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.mails.append(made)
        return "250 OK"


class Post:
    """An outbox with a mail server on loopback."""

    def __init__(self, database: Database, folder: Path, controller: Controller) -> None:
        self.database = database
        self.receiver: Receiver = controller.handler
        self.url = f"smtp://{controller.hostname}:{controller.port}"
        self.folder = folder

    def sender(self, **settings: Any) -> Sender:
        """A sender under these settings."""
        given = {"environment": "prod", "smtp_url": self.url, "platform_domain": "forum.example"}
        config = Config(**{**given, "data_dir": str(self.folder), **settings})
        return Sender(self.database, lambda: config)

    def queue(self, cause: str = "", to: str = "ana@example.test", html: str | None = None) -> str:
        """Queues a mail; its cause."""
        cause = cause or f"test:{next(_numbers)}"
        with self.database.write() as tx:
            mail.queue(
                tx, cause=cause, recipient=to, subject="Grüße &amp;\r\nmore", text="Text", html=html
            )
        return cause

    def state(self, cause: str) -> tuple[Any, ...]:
        """(state, attempts, last error, text, waits)."""
        with self.database.write() as tx:
            row = tx.row(STATE, cause=cause)
        assert row is not None
        return row

    def due(self, cause: str, attempts: int) -> None:
        """Makes a mail due again, after so many attempts."""
        with self.database.write() as tx:
            tx.run(DUE, cause=cause, attempts=attempts)


@pytest.fixture
def post(database_url: str, tmp_path: Path) -> Iterator[Post]:
    database = Database(database_url)
    with database.write() as tx:
        tx.run(EMPTY)
    controller = Controller(Receiver(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield Post(database, tmp_path, controller)
    controller.stop()
    database.close()


def test_a_mail_is_sent_once_and_forgets_its_text(post: Post) -> None:
    cause = post.queue(html="<p>Text</p>")
    sender = post.sender(operator_name="The Forum", mail_from="hello@forum.example")
    assert (sender.flush(), sender.flush()) == (1, 0)
    (got,) = post.receiver.mails
    assert got["From"] == "The Forum <hello@forum.example>"
    assert got["To"] == "ana@example.test"
    assert got["Subject"] == "Grüße & more"
    assert got["Auto-Submitted"] == "auto-generated"
    assert [part.get_content().strip() for part in got.iter_parts()] == ["Text", "<p>Text</p>"]
    assert post.state(cause)[:4] == ("sent", 1, "", "")


def test_a_cause_makes_one_mail(post: Post) -> None:
    cause = post.queue()
    post.queue(cause)
    sender = post.sender()
    sender.flush()
    post.queue(cause)
    sender.flush()
    assert len(post.receiver.mails) == 1


def test_what_is_sent_again_after_a_crash_has_the_same_message_id(post: Post) -> None:
    cause = post.queue()
    sender = post.sender()
    with post.database.write() as tx:
        tx.rows(mail.LEASE, lease_s=300, batch=10)
    assert sender.flush() == 0, "somebody else holds the lease"
    for _ in range(2):
        post.due(cause, 1)
        with post.database.write() as tx:
            due = [mail.Mail(*row) for row in tx.rows(mail.LEASE, lease_s=300, batch=10)]
        config = Config(environment="prod", platform_domain="forum.example")
        post.receiver.mails += [mail.message(config, one) for one in due]
    first, second = post.receiver.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@forum.example>")


@pytest.mark.slow
def test_a_server_that_is_away_is_tried_again_later_and_in_the_end_not(post: Post) -> None:
    cause = post.queue()
    sender = post.sender(smtp_url="smtp://127.0.0.1:1")
    assert sender.flush() == 1
    state, attempts, error, text, waits = post.state(cause)
    assert (state, attempts, text, waits) == ("queued", 1, "Text", True)
    assert "Connection refused" in error
    post.due(cause, 7)
    sender.flush()
    assert post.state(cause)[:2] == ("dead", 8)


@pytest.mark.slow
def test_a_refused_recipient_is_not_tried_again_and_a_busy_server_is(post: Post) -> None:
    refused, busy = post.queue(), post.queue()
    post.receiver.refusal = "550 no such person"
    post.sender().flush()
    assert post.state(refused)[0] == "dead"
    assert "no such person" in post.state(refused)[2]
    post.due(busy, 0)
    with post.database.write() as tx:
        tx.run(
            Query(
                "test.mail_revive", "UPDATE mail_outbox SET state = 'queued' WHERE cause = %(c)s"
            ),
            c=busy,
        )
    post.receiver.refusal = "451 later"
    post.sender().flush()
    assert post.state(busy)[0] == "queued"
    post.receiver.refusal = ""
    post.due(busy, 1)
    post.sender().flush()
    assert post.state(busy)[0] == "sent"


def test_outside_prod_mail_goes_to_listed_addresses_alone(post: Post) -> None:
    listed, domain, other = (
        post.queue(to=to) for to in ("Ana@example.test", "x@team.test", "x@notteam.test")
    )
    sender = post.sender(
        environment="development", mail_allow_list=("ana@example.test", "@team.test")
    )
    sender.flush()
    assert {one["To"] for one in post.receiver.mails} == {"Ana@example.test", "x@team.test"}
    assert [post.state(cause)[0] for cause in (listed, domain, other)] == ["sent", "sent", "dead"]


def test_the_embedded_mode_puts_mail_into_a_folder(post: Post) -> None:
    cause = post.queue()
    post.sender(environment="embedded", smtp_url="").flush()
    (path,) = (post.folder / "mailbox").iterdir()
    assert path.suffix == ".eml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "To: ana@example.test" in path.read_text()
    assert post.state(cause)[0] == "sent"


def test_without_a_way_out_mail_is_parked(post: Post) -> None:
    cause = post.queue()
    post.sender(smtp_url="").flush()
    assert post.state(cause)[0] == "dead"


def test_the_background_thread_sends_soon_after_it_is_woken(post: Post) -> None:
    sender = post.sender()
    sender.start()
    try:
        post.queue()
        sender.wake()
        for _ in range(100):
            if post.receiver.mails:
                break
            time.sleep(0.02)
    finally:
        sender.stop()
    assert len(post.receiver.mails) == 1


def test_a_password_in_the_address_is_used(post: Post) -> None:
    with pytest.raises(smtplib.SMTPNotSupportedError):
        mail.connect(post.url.replace("smtp://", "smtp://me:p%40ss@"))
