"""Sending: at least once, over few connections, through hours without a mail server; addresses that bounce are off."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from forumapi.command.cli import main
from forumapi.config import Config
from forumapi.mail import bounces, outbox
from forumapi.models.access import platform_secret
from forumapi.models.notifications import update_types
from forumapi.models.notifications.mail_suppression import Suppression
from forumapi.updates.message_request import MessageRequest
from tests.factories import Person, Site
from tests.mail import postbox
from tests.mail.postbox import Postbox, mail_request, reply
from tests.services import free_port

_causes = itertools.count(1)


@pytest.fixture
def site(box: Postbox) -> Site:
    return box.make.site()


def many(box: Postbox, site: Site, count: int) -> list[MessageRequest]:
    """Notices of one comment for so many people, taken up."""
    chat = box.make.conversation(site, by=site.member)
    comment = box.make.comment(chat, by=site.member)
    told = []
    for _ in range(count):
        person = box.make.person(site)
        box.watch(person, chat)
        told.append(
            mail_request(person, update_types.NEW_COMMENT, chat, by=site.member, comment=comment)
        )
    box.queue(*told, site_id=site.id)
    return told


def later(box: Postbox, seconds: int) -> None:
    """As if so much time had gone by: what waits is due so much sooner."""
    box.stage.sql(
        "UPDATE mail_outbox SET not_before = not_before - make_interval(secs => %(s)s::int)",
        s=seconds,
    )


# ---------------------------------------------------------------- at least once


@pytest.mark.wide
def test_an_hour_without_a_mail_server_loses_nothing_and_sends_nothing_twice(
    box: Postbox, site: Site
) -> None:
    port = free_port()
    config = Config(
        environment="prod", platform_domain="forum.test", smtp_url=f"smtp://127.0.0.1:{port}"
    )
    app = box.stage.app
    sender = outbox.Sender(app.database, lambda: config, app.mail._write)
    told = many(box, site, outbox.BATCH + 5)
    # A minute at a time, for an hour, with a mail server that is not there.
    for _ in range(60):
        sender.drain()
        later(box, 60)
    states = box.stage.sql("SELECT DISTINCT state FROM mail_outbox")
    assert states == [("unwritten",)]

    receiver = postbox.Receiver()
    with postbox.listening(receiver, port):
        # Back again: within a minute it has everything.
        sender.drain()
        later(box, 60)
        sender.drain()
    assert len(receiver.mails) == len(told)
    assert len({one["To"] for one in receiver.mails}) == len(told)
    assert box.stage.sql("SELECT DISTINCT state FROM mail_outbox") == [("sent",)]


@pytest.mark.wide
def test_a_server_that_is_away_is_looked_for_once_a_round(
    box: Postbox, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    many(box, site, outbox.BATCH + 5)
    config = Config(environment="prod", smtp_url=f"smtp://127.0.0.1:{free_port()}")
    app = box.stage.app
    sender = outbox.Sender(app.database, lambda: config, app.mail._write)

    assert sender.drain() == outbox.BATCH
    assert caplog.text.count("the mail server is unavailable") == 1


@pytest.mark.wide
def test_a_process_that_dies_in_a_batch_leaves_it_to_another(box: Postbox, site: Site) -> None:
    told = many(box, site, 3)
    with box.stage.app.database.write() as tx:
        outbox.lease(tx)
    assert box.send() == [], "the lease of the dead one still holds"
    later(box, outbox.LEASE_S)
    first = {one["To"]: one["Message-ID"] for one in box.send()}
    assert len(first) == len(told)
    # It had sent them before it died, and nobody knew: the same mails again.
    box.stage.sql("UPDATE mail_outbox SET state = 'unwritten', sent = NULL")
    later(box, outbox.LEASE_S)
    assert {one["To"]: one["Message-ID"] for one in box.send()} == first


@pytest.mark.wide
def test_two_senders_at_once_share_the_work(box: Postbox, site: Site) -> None:
    told = many(box, site, 2 * outbox.BATCH)
    app = box.stage.app
    senders = [
        threading.Thread(
            target=outbox.Sender(app.database, lambda: app.config, app.mail._write).drain
        )
        for _ in range(2)
    ]
    for one in senders:
        one.start()
    for one in senders:
        one.join()

    assert len(box.receiver.mails) == len({one["To"] for one in box.receiver.mails}) == len(told)


@pytest.mark.wide
def test_all_that_is_due_goes_over_one_connection(box: Postbox, site: Site) -> None:
    many(box, site, outbox.BATCH + 1)

    assert len(box.send()) == outbox.BATCH + 1
    assert len(box.receiver.connections) == 1


@pytest.mark.wide
def test_codes_leave_before_mail_about_updates(box: Postbox, site: Site) -> None:
    many(box, site, outbox.BATCH)
    with box.stage.app.database.write() as tx:
        outbox.queue(tx, cause="test:code", recipient="a@b.test", subject="A code", text="1")

    assert box.send()[0]["Subject"] == "A code"


def test_one_mail_that_cannot_be_written_does_not_stop_the_others(box: Postbox, site: Site) -> None:
    bad, good = many(box, site, 2)
    # No release knows this type: there is nothing to write it from.
    box.stage.sql(
        "INSERT INTO update_types (update_type_id, name, description) VALUES (99, 'x', 'x')"
    )
    box.stage.sql("UPDATE mail_outbox SET update_type_id = 99 WHERE cause = %(c)s", c=bad.cause)
    sent = box.send()
    states = box.states(bad, good)
    box.stage.sql("DELETE FROM mail_outbox")
    box.stage.sql("DELETE FROM update_types WHERE update_type_id = 99")

    assert len(sent) == 1
    assert [state for state, _ in states] == ["dead", "sent"]


def test_a_server_that_says_what_no_text_may_hold_stops_no_mail(box: Postbox, site: Site) -> None:
    first, second = (reply(box, one, site.member) for one in (site.newcomer, site.moderator))
    box.queue(first, second, site_id=site.id)
    box.receiver.refused[site.newcomer.email] = "550 5.7.1 no\0 \x1b[31m"

    assert [one["To"] for one in box.send()] == [site.moderator.email]
    assert box.states(first)[0] == ("dead", "550 5.7.1 no [31m")


# ---------------------------------------------------------------- bounces


def test_a_refused_recipient_gets_nothing_more_on_any_site(box: Postbox, site: Site) -> None:
    ana = box.make.person(site)
    first, second, other = (reply(box, one, site.member) for one in (ana, ana, site.newcomer))
    box.queue(first, other, site_id=site.id)
    box.receiver.refused[ana.email] = "550 5.1.1 no such user here"

    assert [one["To"] for one in box.send()] == [site.newcomer.email]
    assert box.states(first)[0] == ("dead", "550 5.1.1 no such user here")
    box.receiver.refused.clear()
    box.queue(second, site_id=site.id)
    assert box.send() == []
    assert box.states(second)[0][1] == "the address is off: mail to it came back"
    rows = box.stage.sql("SELECT address_hash, reason, detail FROM mail_suppressions")
    assert [row[1:] for row in rows] == [("refused", "550 5.1.1 no such user here")]
    assert ana.email.encode() not in rows[0][0]


@pytest.mark.parametrize(
    "refusal",
    [
        "550 5.7.1 blocked by policy",
        "552 5.2.2 mailbox full",
        "550 5.2.3 message too large",
        "450 4.2.1 try later",
        "554 5.4.4 no route",
    ],
)
def test_what_is_not_the_fault_of_an_address_does_not_turn_it_off(
    box: Postbox, site: Site, refusal: str
) -> None:
    told = reply(box, site.newcomer, site.member)
    box.queue(told, site_id=site.id)
    box.receiver.refused[site.newcomer.email] = refusal

    assert box.send() == []
    assert box.states(told)[0][0] == ("unwritten" if refusal.startswith("4") else "dead")
    assert box.stage.sql("SELECT 1 FROM mail_suppressions") == []


def report(
    about: EmailMessage,
    *,
    recipient: str = "",
    status: str = "5.1.1",
    action: str = "failed",
    message_id: str = "",
    headers_only: bool = False,
) -> bytes:
    """A delivery status notification as mail servers send them (RFC 3464)."""
    original = (
        f"Message-ID: {message_id or about['Message-ID']}\nTo: {about['To']}\n"
        f"Subject: {about['List-Id']}\n"
    )
    kind = "text/rfc822-headers" if headers_only else "message/rfc822"
    return f"""\
From: MAILER-DAEMON@relay.test
To: bounces@forum.test
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="edge"

--edge
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--edge
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.test
X-Queue-ID: 4F2A

Final-Recipient: rfc822; {recipient or about["To"]}
Original-Recipient: rfc822;{recipient or about["To"]}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user

--edge
Content-Type: {kind}

{original}
--edge--
""".encode()


def _sent(box: Postbox, site: Site) -> tuple[Person, EmailMessage]:
    ana = box.make.person(site)
    told = reply(box, ana, site.member)
    box.queue(told, site_id=site.id)
    (got,) = box.send()
    return ana, got


def _take(box: Postbox, data: bytes) -> str | None:
    found = bounces.read(data)
    if found is None:
        return None
    with box.stage.app.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
        return bounces.apply(tx, secret, found)


def _is_off(box: Postbox, person: Person) -> bool:
    with box.stage.app.database.write() as tx:
        return Suppression.find(tx, person.email) is not None


@pytest.mark.parametrize("headers_only", [False, True])
def test_a_report_turns_an_address_off(box: Postbox, site: Site, headers_only: bool) -> None:
    ana, got = _sent(box, site)
    said = _take(box, report(got, headers_only=headers_only))

    assert said == f"suppressed: {ana.email}: 5.1.1 550 5.1.1 no such user"
    assert _is_off(box, ana)
    assert _take(box, report(got)) == f"already suppressed: {ana.email}"


def test_what_a_report_says_is_kept_as_one_line_whatever_is_in_it(box: Postbox, site: Site) -> None:
    ana, got = _sent(box, site)
    said = _take(box, report(got).replace(b"no such user", b"no\0such\x1b[31m user"))

    assert said == f"suppressed: {ana.email}: 5.1.1 550 5.1.1 no such [31m user"
    assert _is_off(box, ana)


@pytest.mark.parametrize(
    "deep",
    [
        b"Content-Type: message/rfc822\n\n" * 30_000,
        b"Content-Type: multipart/mixed; boundary=a\n\n"
        + b"".join(
            b"--%b\nContent-Type: multipart/mixed; boundary=a%b\n\n" % (b"a" * n, b"a" * n)
            for n in range(1, 1500)
        ),
    ],
)
@pytest.mark.wide
def test_parts_within_parts_without_end_are_no_report(deep: bytes) -> None:
    assert bounces.read(deep) is None


FALSE: dict[str, Callable[[EmailMessage, EmailMessage], bytes]] = {
    "made up": lambda mine, other: report(
        mine, message_id="<1.0123456789abcdef0123456789abcdef@x>"
    ),
    "about a mail to somebody else": lambda mine, other: report(other, recipient=str(mine["To"])),
    "of a delay": lambda mine, other: report(mine, action="delayed", status="4.4.1"),
    "of a full mailbox": lambda mine, other: report(mine, status="5.2.2"),
    "of a policy": lambda mine, other: report(mine, status="5.7.1"),
    "of success": lambda mine, other: report(mine, action="delivered", status="2.0.0"),
    "no report": lambda mine, other: bytes(mine),
    "cut off": lambda mine, other: report(mine)[:400],
    "not mail at all": lambda mine, other: b"\xff\x00\xfe" * 100,
}


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize("kind", FALSE, ids=lambda name: name.replace(" ", "-"))
def test_other_reports_turn_nothing_off(box: Postbox, site: Site, kind: str) -> None:
    ana, mine = _sent(box, site)
    bob, other = _sent(box, site)
    _take(box, FALSE[kind](mine, other))

    assert not _is_off(box, ana)
    assert not _is_off(box, bob)


# ---------------------------------------------------------------- for operators


@pytest.fixture
def command(
    box: Postbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `forumapi mail ...`; exit code and output."""
    monkeypatch.setenv("FORUMAPI_DATABASE_URL", box.stage.app.database.url)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["mail", *arguments])
        return code, capsys.readouterr().out

    return run


@pytest.mark.wide
def test_dead_mail_is_listed_and_retried(
    box: Postbox, site: Site, command: Callable[..., tuple[int, str]]
) -> None:
    told = reply(box, site.newcomer, site.member, "Unmistakable")
    box.queue(told, site_id=site.id)
    box.receiver.refused[site.newcomer.email] = "554 5.7.1 not today"
    box.send()
    box.receiver.refused.clear()
    code, shown = command("list")
    assert code == 0
    assert "dead" in shown and "not today" in shown and site.newcomer.email in shown
    assert "Unmistakable" not in shown
    assert command("list", "--state", "sent")[1] == "none\n"
    assert command("retry", "--site", site.key) == (0, "1 mails are due now\n")
    assert len(box.send()) == 1
    assert command("list", "--site", site.key)[1] == "none\n"
    assert command("retry") == (0, "0 mails are due now\n")
    assert command("retry", "--id", "1")[0] == 1


@pytest.mark.wide
def test_what_waits_after_a_failure_can_be_hurried_and_what_is_leased_not(
    box: Postbox, site: Site, command: Callable[..., tuple[int, str]]
) -> None:
    told = many(box, site, 2)
    with box.stage.app.database.write() as tx:
        outbox.lease(tx, 1)
    box.stage.sql(
        """UPDATE mail_outbox SET attempts = 5, last_error = 'away', not_before = now() + interval '2 hours'
            WHERE attempts = 0"""
    )

    assert command("retry") == (0, "1 mails are due now\n")
    assert len(box.send()) == 1
    assert sorted(state for state, _ in box.states(*told)) == ["sent", "unwritten"]


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize("form", ["mbox", "maildir", "folder", "file"])
def test_reports_are_read_from_any_mailbox(
    box: Postbox,
    site: Site,
    command: Callable[..., tuple[int, str]],
    tmp_path: Path,
    form: str,
) -> None:
    people, mails = zip(*(_sent(box, site) for _ in range(2)), strict=True)
    data = [report(one) for one in mails]
    place = tmp_path / form
    if form == "mbox":
        place.write_bytes(
            b"".join(b"From MAILER-DAEMON Fri Nov 27 08:00:00 2026\n" + one + b"\n" for one in data)
        )
    elif form == "file":
        place.write_bytes(data[0])
    else:
        folder = place / "new" if form == "maildir" else place
        for name in ("new", "cur", "tmp") if form == "maildir" else ("",):
            (place / name).mkdir(parents=True)
        for number, one in enumerate(data):
            (folder / str(number)).write_bytes(one)
    count = 1 if form == "file" else 2
    code, said = command("bounce", str(place))

    assert code == 0
    assert said.endswith(f"{count} messages, {count} reports of mail that failed for good\n")
    assert [_is_off(box, person) for person in people[:count]] == [True] * count
    assert command("bounce", str(tmp_path / "nothing"))[0] == 1
