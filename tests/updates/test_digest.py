"""Digests: when they are due on the reader's own clock, and what they list."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import subprocess
import sys
from email.message import EmailMessage

import pytest

from forumapi.models.people.profile_options import ProfileOptions
from forumapi.updates import digest, digest_settings
from tests.factories import Person, Site
from tests.fixtures import PROJECT
from tests.mail.postbox import Postbox

UTC = datetime.UTC


def at(text: str) -> datetime.datetime:
    """A time in UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def choose(box: Postbox, person: Person, often: str, zone: str, now: datetime.datetime) -> None:
    """Let a person want digests from `now` on."""
    with box.stage.app.database.write() as tx:
        digest_settings.choose(tx, person.site.id, person.id, often, zone, now)


def due(box: Postbox, person: Person) -> datetime.datetime | None:
    """Return when a person's next digest is due."""
    with box.stage.app.database.write() as tx:
        return digest_settings.find(tx, person.site.id, person.id).due


def take_up(box: Postbox, now: datetime.datetime, limit: int = 100) -> int:
    """Return what the job does at `now`."""
    with box.stage.app.database.write() as tx:
        return digest.queue_due(tx, now, limit)


def wants(box: Postbox, *people: Person) -> None:
    """Daily digests for these people, due since a moment, of what happened within the last day."""
    for person in people:
        choose(box, person, "daily", "UTC", datetime.datetime.now(UTC))
        box.stage.sql(
            "UPDATE profile_options SET digest_due = now() - interval '1 s' WHERE profile_id = %(p)s",
            p=person.id,
        )


def send(box: Postbox) -> dict[str, EmailMessage]:
    """The digests that are due, sent; by reader."""
    take_up(box, datetime.datetime.now(UTC))
    return {mail["To"]: mail for mail in box.send()}


def text(mail: EmailMessage) -> str:
    """Both parts of a mail."""
    return "".join(str(part.get_content()) for part in mail.iter_parts())


@pytest.fixture
def site(box: Postbox) -> Site:
    box.stage.sql("UPDATE profile_options SET digest = 'none', digest_due = NULL")
    return box.make.site()


# ---------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("often", "zone", "now", "expected"),
    [
        ("daily", "UTC", "2026-11-27T06:59:59", "2026-11-27T07:00:00"),
        ("daily", "UTC", "2026-11-27T07:00:00", "2026-11-28T07:00:00"),
        ("daily", "Asia/Kathmandu", "2026-11-27T01:14:00", "2026-11-27T01:15:00"),
        ("daily", "America/Los_Angeles", "2026-11-27T15:00:00", "2026-11-28T15:00:00"),
        ("weekly", "UTC", "2026-11-27T12:00:00", "2026-11-30T07:00:00"),  # a Friday
        (
            "weekly",
            "Pacific/Auckland",
            "2026-11-29T17:59:00",
            "2026-11-29T18:00:00",
        ),  # Monday there
        # Clocks go forward on 28 March and back on 31 October.
        ("daily", "Europe/Berlin", "2027-03-27T12:00:00", "2027-03-28T05:00:00"),
        ("daily", "Europe/Berlin", "2027-10-30T12:00:00", "2027-10-31T06:00:00"),
        ("weekly", "Europe/Berlin", "2027-10-26T12:00:00", "2027-11-01T06:00:00"),
    ],
)
def test_a_digest_is_due_at_seven_on_the_clock_of_its_reader(
    box: Postbox, site: Site, often: str, zone: str, now: str, expected: str
) -> None:
    choose(box, site.member, often, zone, at(now))
    assert due(box, site.member) == at(expected)

    take_up(box, at(expected))
    step = datetime.timedelta(days=7 if often == "weekly" else 1)
    following = due(box, site.member)
    assert following is not None
    # On the reader's clock exactly one step later, whatever the clocks do in between.
    assert abs(following - (at(expected) + step)) <= datetime.timedelta(hours=1)
    assert digest.local(following, zone).endswith("07:00")


def test_choosing_a_digest_leaves_mail_off_where_the_site_has_it_off(
    box: Postbox, site: Site
) -> None:
    box.stage.sql(
        "UPDATE site_options SET send_email = false WHERE site_id = %(site)s", site=site.id
    )
    box.stage.sql(
        "DELETE FROM profile_options WHERE profile_id = %(person)s", person=site.member.id
    )

    choose(box, site.member, "daily", "UTC", at("2026-11-27T06:00:00"))

    with box.stage.app.database.write() as tx:
        assert not ProfileOptions.find(tx, site.id, site.member.id).send_email


def test_due_times_that_were_missed_fold_into_one_that_reaches_back(
    box: Postbox, site: Site
) -> None:
    choose(box, site.member, "daily", "Europe/Berlin", at("2026-11-20T12:00:00"))
    now = at("2026-11-24T20:00:00")

    assert take_up(box, now) == 1
    assert take_up(box, now) == 0
    rows = box.stage.sql("SELECT since, created FROM mail_outbox WHERE state = 'unwritten'")
    assert rows == [(at("2026-11-20T06:00:00"), now)]
    assert due(box, site.member) == at("2026-11-25T06:00:00")


def test_a_run_is_bounded_and_the_next_takes_the_rest(box: Postbox, site: Site) -> None:
    people = [box.make.person(site) for _ in range(5)]
    for person in people:
        choose(box, person, "daily", "UTC", at("2026-11-20T12:00:00"))
    now = at("2026-11-21T08:00:00")

    assert [take_up(box, now, 2) for _ in range(4)] == [2, 2, 1, 0]


def test_a_zone_that_is_known_no_more_is_utc(box: Postbox, site: Site) -> None:
    choose(box, site.member, "daily", "Europe/Berlin", at("2026-11-20T12:00:00"))
    box.stage.sql(
        "UPDATE profile_options SET time_zone = 'Europe/Atlantis' WHERE profile_id = %(p)s",
        p=site.member.id,
    )

    assert take_up(box, at("2026-11-21T08:00:00")) == 1
    assert due(box, site.member) == at("2026-11-22T07:00:00")


# ---------------------------------------------------------------- what


def test_a_digest_lists_what_is_new_and_what_has_new_comments(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    place = box.make.microcosm(site, "Workshop")
    fresh = box.make.conversation(site, by=bob, microcosm=place, title="Fresh &lt;one&gt;")
    old = box.make.conversation(site, by=bob, microcosm=place, title="Old one")
    quiet = box.make.conversation(site, by=bob, microcosm=place, title="Quiet one")
    mine = box.make.conversation(site, by=ana, microcosm=place, title="Own one")
    box.stage.sql(
        """UPDATE items SET created = now() - interval '9 days', last_activity = now() - interval '9 days'
            WHERE site_id = %(s)s AND item_id = ANY(%(ids)s)""",
        s=site.id,
        ids=[old.id, quiet.id],
    )
    box.make.comment(old, by=bob)
    wants(box, ana)
    mail = send(box)[ana.email]
    got = text(mail)

    assert mail["Subject"] == f"What is new on Site {site.key}"
    assert "- Fresh <one> (new, in Workshop)" in got
    assert "Fresh &lt;one&gt;</a> (new, in Workshop)" in got
    assert "- Old one (new comments, in Workshop)" in got
    assert "Quiet one" not in got and "Own one" not in got
    for one in (fresh, old):
        assert f"://{site.host}/api/v1/conversations/{one.id}" in got
    assert mine.id
    assert "List-Unsubscribe" in mail and "=d." in mail["List-Unsubscribe"]


def test_a_digest_says_since_when(box: Postbox, site: Site) -> None:
    part = "since $since, $unsubscribe_url"
    own = {"subject": "News since $since", "text": part, "html": part}
    put = box.stage.put("/site/mail/digest", own, by=site.owner)
    assert put.status == 302
    box.make.conversation(site, by=site.member)
    wants(box, site.newcomer)
    mail = send(box)[site.newcomer.email]

    (begun,) = box.stage.sql("SELECT since FROM mail_outbox WHERE cause LIKE 'digest:%%'")[0]
    assert datetime.timedelta(hours=23) < datetime.datetime.now(UTC) - begun
    since = digest.local(begun, "UTC")
    assert mail["Subject"] == f"News since {since}"
    assert text(mail).count(f"since {since}, ") == 2


def test_a_digest_lists_nothing_that_its_reader_may_not_read_ignores_or_has_read(
    box: Postbox, site: Site
) -> None:
    ana, bob, cleo = (box.make.person(site) for _ in range(3))
    shut, ignored, below, seen, gone = (
        box.make.microcosm(site, name) for name in ("Shut", "Ignored", "Above", "Seen", "Gone")
    )
    nested = box.make.microcosm(site, "Nested", parent=below)
    chats = [
        box.make.conversation(site, by=bob, microcosm=place, title=f"Title {number}")
        for number, place in enumerate((shut, ignored, nested, seen, gone))
    ]
    lone = box.make.conversation(site, by=bob, title="Title alone")
    by_cleo = box.make.conversation(site, by=cleo, title="Title of Cleo")
    between = box.make.huddle(bob, cleo, title="Title between")
    box.make.join(box.make.role(site, shut.id, "Shut out", banned=True), ana)
    box.make.ignore(ana, ignored)
    box.make.ignore(ana, below)
    box.make.ignore(ana, lone)
    box.make.ignore(ana, cleo)
    box.stage.request(
        "PUT", "/profiles/read", {"itemType": "conversation", "itemId": chats[3].id}, by=ana
    )
    wants(box, ana, bob, cleo)
    box.stage.sql(
        "UPDATE items SET is_deleted = true WHERE site_id = %(s)s AND item_id = %(i)s",
        s=site.id,
        i=chats[4].id,
    )
    got = send(box)

    assert between.id and by_cleo.id
    assert ana.email not in got, "nothing is left that is new to her"
    # Another reader is told of all but his own, so the setup alone hides nothing.
    assert "Title of Cleo" in text(got[bob.email])
    told = text(got[cleo.email])
    assert all(f"Title {word}" in told for word in (0, 1, 2, 3, "alone"))
    assert "Title 4" not in told and "Title between" not in told


def test_what_a_digest_leaves_out_hides_nothing_older(box: Postbox, site: Site) -> None:
    ana, bob, cleo = (box.make.person(site) for _ in range(3))
    shut, ignored = (box.make.microcosm(site, name) for name in ("Shut", "Ignored"))
    box.make.conversation(site, by=bob, title="Title of old")
    box.make.conversation(site, by=bob, microcosm=ignored, title="Title ignored")
    box.make.conversation(site, by=cleo, title="Title of Cleo")
    box.make.conversation(site, by=bob, microcosm=shut, title="Title shut")
    box.make.join(box.make.role(site, shut.id, "Shut out", banned=True), ana)
    box.make.ignore(ana, ignored)
    box.make.ignore(ana, cleo)
    wants(box, ana)

    told = text(send(box)[ana.email])

    assert "Title of old" in told
    assert not any(f"Title {word}" in told for word in ("ignored", "of Cleo", "shut"))


def test_unread_private_messages_are_counted_and_not_named(box: Postbox, site: Site) -> None:
    ana, bob = (box.make.person(site) for _ in range(2))
    between = box.make.huddle(bob, ana, title="A surprise")
    box.make.comment(between, by=bob)
    wants(box, ana)
    got = text(send(box)[ana.email])

    assert "1 private message is unread" in got
    assert "A surprise" not in got


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE profile_options SET send_email = false", "the reader wants no mail"),
        ("UPDATE profile_options SET digest = 'none'", "the reader wants no digest"),
    ],
)
def test_a_digest_that_is_wanted_no_more_is_not_sent(
    box: Postbox, site: Site, change: str, reason: str
) -> None:
    box.make.conversation(site, by=site.member)
    wants(box, site.newcomer)
    take_up(box, datetime.datetime.now(UTC))
    box.stage.sql(f"{change} WHERE profile_id = %(p)s", p=site.newcomer.id)

    assert box.send() == []
    rows = box.stage.sql("SELECT state, last_error FROM mail_outbox WHERE cause LIKE 'digest:%%'")
    assert rows == [("dropped", reason)]


def test_digests_of_many_readers_take_three_statements_beside_their_facts(
    box: Postbox, site: Site
) -> None:
    people = [box.make.person(site) for _ in range(8)]
    for _ in range(3):
        box.make.conversation(site, by=site.member)
    wants(box, *people)
    take_up(box, datetime.datetime.now(UTC))
    ids = [row[0] for row in box.stage.sql("SELECT mail_id FROM mail_outbox")]
    write = box.stage.app.mail._write
    reader = box.stage.app.database.read()
    try:
        write._write(reader, ids)  # type: ignore[attr-defined]
        before = reader.statements
        assert len(write._write(reader, ids)) == len(people)  # type: ignore[attr-defined]
        assert reader.statements - before == 4
    finally:
        reader.end()


def test_digests_count_among_the_mails_that_a_plan_allows(box: Postbox, site: Site) -> None:
    people = [box.make.person(site) for _ in range(4)]
    box.make.conversation(site, by=site.member)
    # Its author has nothing new, so that no mail is taken for them.
    wants(box, site.member, *people)
    app = box.stage.app
    limited = {"plans": ("few mails_per_day=2",), "default_plan": "few"}
    app.plans.apply(dataclasses.replace(box.stage.config, **limited))  # type: ignore[arg-type]
    try:
        assert len(send(box)) == 2
        states = """SELECT state, coalesce(last_error, ''), count(*)
                      FROM mail_outbox WHERE cause LIKE 'digest:%%' GROUP BY 1, 2 ORDER BY 1, 2"""
        assert box.stage.sql(states) == [
            ("dropped", "nothing is new", 1),
            ("dropped", "the plan of the site allows no more mails today", 2),
            ("sent", "", 2),
        ]
        # Read anew they count once, also for mails about updates, and the owner is told.
        app.plans.poll()
        with app.database.write() as tx:
            used = app.plans.used(tx, app.sites.current(site.id, tx))
            assert used["mails_per_day"] == 2
            assert not app.plans.may_mail(tx, site.id, lambda: app.sites.current(site.id, tx), 1)
        (told,) = box.send()
        assert told["Subject"].endswith("100 % of mails per day are used")
    finally:
        app.plans.apply(box.stage.config)


FAKETIME = shutil.which("faketime")


@pytest.mark.wide
@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed (make testdb installs it)")
def test_they_are_due_by_the_clock_of_the_database(box: Postbox, site: Site) -> None:
    # Half a year ahead by the right clock, half a year ago by the other.
    half = datetime.timedelta(days=200)
    choose(box, site.member, "daily", "UTC", datetime.datetime.now(UTC) + half)
    before = due(box, site.member)
    work = (
        "import sys; from forumapi.config import Config; from forumapi.cron import runner;"
        "print(runner.run_once(sys.argv[1], Config(), 'digests'))"
    )
    subprocess.run(
        [str(FAKETIME), "-f", "+400d", sys.executable, "-c", work, box.url],
        cwd=PROJECT,
        check=True,
    )

    assert due(box, site.member) == before
