"""The outbox: what is sent, where to, how often, and what is left of it."""

from __future__ import annotations

import datetime
import email
import email.policy
import smtplib
import time
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

import pytest

from forumapi.config import Config
from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.mail import outbox as mail
from forumapi.mail import smtp
from forumapi.mail.outbox import Sender
from forumapi.models.access import platform_secret
from tests import services
from tests.mail import postbox
from tests.mail.postbox import Receiver

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
AGAIN = Query(
    "test.mail_again",
    "UPDATE mail_outbox SET not_before = now(), state = 'queued' WHERE cause = %(cause)s",
)
ANALYZE = Query("test.mail_analyze", "ANALYZE mail_outbox")
EMPTY = Query("test.mail_empty", "DELETE FROM mail_outbox")


class Post:
    """An outbox with a mail server on loopback."""

    def __init__(self, database: Database, folder: Path, receiver: Receiver, url: str) -> None:
        self.database = database
        self.receiver = receiver
        self.url = url
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


@pytest.fixture(scope="module")
def outbox(postgres_url: str) -> Iterator[Database]:
    """A database whose mail nobody else sends."""
    with services.database(postgres_url, "outbox") as url:
        database = Database(url)
        yield database
        database.close()


@pytest.fixture
def post(outbox: Database, tmp_path: Path) -> Iterator[Post]:
    with outbox.write() as tx:
        tx.run(EMPTY)
    receiver = Receiver()
    with postbox.listening(receiver) as url:
        yield Post(outbox, tmp_path, receiver, url)


@pytest.mark.wide
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
    with post.database.write() as tx:
        mail.lease(tx)
    assert post.sender().flush() == 0, "somebody else holds the lease"
    for _ in range(2):
        with post.database.write() as tx:
            tx.run(AGAIN, cause=cause)
        # Another process each time.
        assert post.sender().flush() == 1
    first, second = post.receiver.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@forum.example>")


def test_only_who_has_a_mail_knows_its_message_id(post: Post) -> None:
    post.queue(to="ana@example.test")
    post.queue(to="bo@example.test")
    post.sender().flush()
    first, second = (one["Message-ID"] for one in post.receiver.mails)
    number, _, rest = first.partition(".")
    with post.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)

        assert mail.sent_to(tx, secret, first) == "ana@example.test"
        assert mail.sent_to(tx, secret, second) == "bo@example.test"
        for other in (
            f"{number}.{second.partition('.')[2]}",
            f"<0.{rest}",
            "<x@y>",
            "",
            f"{number}.@",
        ):
            assert mail.sent_to(tx, secret, other) is None


def test_a_server_that_is_away_is_no_try(post: Post) -> None:
    cause = post.queue()
    sender = post.sender(smtp_url="smtp://127.0.0.1:1")
    assert sender.flush() == 1
    state, attempts, error, text, waits = post.state(cause)
    assert (state, attempts, text, waits) == ("queued", 0, "Text", True)
    assert "Connection refused" in error
    post.due(cause, 7)
    sender.flush()
    assert post.state(cause)[:2] == ("queued", 7)


@pytest.mark.wide
def test_a_mail_that_is_put_off_is_tried_again_later_and_in_the_end_not(post: Post) -> None:
    cause = post.queue()
    sender = post.sender()
    post.receiver.refusal = "451 later"
    for tried in range(len(mail.BACK_OFF_S)):
        sender.flush()
        assert sender.flush() == 0
        assert post.state(cause)[:2] == ("queued", tried + 1)
        post.due(cause, tried + 1)
    sender.flush()
    assert post.state(cause)[:2] == ("dead", len(mail.BACK_OFF_S) + 1)


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


def test_an_address_that_no_mail_can_name_keeps_no_other_from_being_sent(post: Post) -> None:
    foreign, plain = post.queue(to="josé@example.test"), post.queue()
    post.sender().flush()
    assert post.state(foreign)[0] == "dead"
    assert "not in ASCII" in post.state(foreign)[2]
    assert post.state(plain)[0] == "sent"


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


def test_mail_without_a_transport_is_dead(post: Post) -> None:
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
        smtp.connect(post.url.replace("smtp://", "smtp://me:p%40ss@"))


@pytest.mark.parametrize(
    "words",
    [
        "Plain words",
        "Grüße aus Köln",
        'Quotes " and \\ and, commas <a@b.test>',
        "=?utf-8?q?not_what_it_seems?=",
        "ü" * 300,
        "x" * 2000,
        "a\x07b",
        "日本語のとても長い題名" * 20,
    ],
)
def test_headers_say_what_they_were_given_whatever_that_is(words: str) -> None:
    message = smtp.Message(
        1,
        "<1.a@b.test>",
        datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC),
        (words, "notify@forum.test"),
        "ana@example.test",
        words,
        f"{words}\n.\nFrom here\n",
        f"<p>{words}</p>",
        (("List-Unsubscribe", f"<https://forum.test/{'x' * 200}>"),),
    )
    data = smtp.encode(message)
    assert f"List-Unsubscribe: <https://forum.test/{'x' * 200}>".encode() in data
    assert max(map(len, data.split(b"\r\n"))) <= 998 and data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    got = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(got, EmailMessage)

    assert not got.defects
    assert got["Subject"] == words
    assert got["From"].addresses[0].addr_spec == "notify@forum.test"
    # The newer parser puts spaces between encoded words of a name.
    older = email.message_from_bytes(data, policy=email.policy.compat32)
    name, address = parseaddr(str(older["From"]))
    assert (str(make_header(decode_header(name))), address) == (words, "notify@forum.test")
    assert got["List-Unsubscribe"] == f"<https://forum.test/{'x' * 200}>"
    text, html = got.iter_parts()
    # Lines end as they do in mail.
    assert text.get_content().replace("\r\n", "\n") == f"{words}\n.\nFrom here\n"
    assert html.get_content().strip() == f"<p>{words}</p>"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"])
def test_no_value_makes_a_header_of_its_own(end: str) -> None:
    words = f"a{end}Bcc: eve@example.test{end}{end}b"
    message = smtp.Message(
        1,
        "<1.a@b.test>",
        datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC),
        (words, "notify@forum.test"),
        "ana@example.test",
        words,
        "text",
        None,
        (("List-Id", words),),
    )
    got = email.message_from_bytes(smtp.encode(message), policy=email.policy.default)

    assert "Bcc" not in got
    assert got["Subject"] == got["List-Id"] == "a Bcc: eve@example.test b"
    assert got.get_payload(decode=True) == b"text"


def test_a_lease_takes_no_more_than_it_is_asked_for(post: Post) -> None:
    post.queue()
    post.sender().flush()
    # Statistics of a table with one row: a subquery would be run once for each row now, and find another each time.
    with post.database.write() as tx:
        tx.run(ANALYZE)
    for _ in range(5):
        post.queue()
    with post.database.write() as tx:
        texts, unwritten = mail.lease(tx, 1)

    assert (len(texts), unwritten) == (1, [])
