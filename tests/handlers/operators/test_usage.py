"""Usage of a site: what was asked of it is counted, by hour, once, and shown to its owner and operators alone."""

from __future__ import annotations

import csv
import io

import pytest

from forumapi.errors import Unavailable
from forumapi.mail import outbox
from forumapi.models.usage import site_usage
from forumapi.request.usage_counter import MEMBER_READ, WRITE, UsageCounter
from tests.factories import Site
from tests.handlers.platform import Platform, platform

__all__ = ["platform"]

KEYS = list(site_usage.KEYS)


def path_to(site: Site) -> str:
    return f"/api/v1/sites/{site.id}/usage"


def test_a_recount_of_what_was_asked_is_equal(platform: Platform) -> None:
    api, make = platform.api, platform.make
    site = make.site()
    chat = make.conversation(site, by=site.member)
    platform.app.usage.poll()
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": "Counted"}
    answers = [api.get(chat.path, site=site) for _ in range(7)]
    answers += [api.get(chat.path, by=site.member) for _ in range(3)]
    answers.append(api.get("/api/v1/conversations/999999999", site=site))
    answers.append(api.post("/api/v1/comments", sent, by=site.member))
    platform.app.usage.poll()

    ((*counts, cpu_ms, database_ms),) = platform.sql(
        """SELECT guest_reads, member_reads, writes, refused, bytes_sent, cpu_ms, database_ms
             FROM site_usage WHERE site_id = %(site)s""",
        site=site.id,
    )
    assert counts == [7, 3, 1, 1, sum(len(answer.body) for answer in answers)]
    assert cpu_ms > 0 and database_ms > 0


def test_counts_stay_while_the_database_is_away(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, database = platform.make, platform.app.database
    site, other = make.site(), make.site()
    counter = UsageCounter(database, lambda: {other.id: 2})
    counter.count(site.id, WRITE, 100, 4, 0.25)

    def away() -> None:
        raise Unavailable("no database")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", away)
        with pytest.raises(Unavailable):
            counter.poll()
    counter.count(site.id, MEMBER_READ, 50, 1, 0.0)
    counter.poll()
    counter.poll()

    found = make.sql(
        """SELECT sum(writes), sum(member_reads), sum(bytes_sent), sum(database_ms) FROM site_usage
            WHERE site_id = %(site)s""",
        site=site.id,
    )
    assert found == [(1, 1, 150, 250.0)]
    ((live_s,),) = make.sql(
        "SELECT sum(live_s) FROM site_usage WHERE site_id = %(site)s", site=other.id
    )
    assert live_s > 0


def test_a_mail_counts_once_and_for_its_site(platform: Platform) -> None:
    make, database = platform.make, platform.app.database
    site = make.site()
    with database.write() as tx:
        for n in range(3):
            outbox.queue(
                tx,
                cause=f"usage:{site.id}:{n}",
                recipient=f"n{n}@usage.test",
                subject="S",
                text="T",
                site_id=site.id,
            )
    ids = [
        id
        for (id,) in make.sql(
            "SELECT mail_id FROM mail_outbox WHERE site_id = %(site)s ORDER BY 1", site=site.id
        )
    ]
    outcomes = [
        outbox.SendOutcome(ids[0], "sent"),
        outbox.SendOutcome(ids[1], "sent"),
        outbox.SendOutcome(ids[2], None, "later", wait_s=60),
    ]
    with database.write() as tx:
        outbox.record_outcomes(tx, outcomes)
    assert make.sql("SELECT mails FROM site_usage WHERE site_id = %(site)s", site=site.id) == [(2,)]


def test_rows_are_summed_by_period_and_shown_to_owner_and_operators(
    platform: Platform,
) -> None:
    make, api = platform.make, platform.api
    site = make.site()
    there = {"by": site.owner, "host": platform.domain}
    hours = {"2026-01-31T22": 5, "2026-01-31T23": 7, "2026-02-01T00": 11}
    for hour, reads in hours.items():
        make.sql(
            """INSERT INTO site_usage (site_id, hour, guest_reads, cpu_ms)
               VALUES (%(site)s, %(hour)s, %(reads)s, 1.4)""",
            site=site.id,
            hour=f"{hour}:00:00Z",
            reads=reads,
        )
    span = "since=2026-01-31T00:00:00Z&until=2026-02-02T00:00:00Z"

    def reads_by(period: str) -> list[int]:
        shown = api.get(f"{path_to(site)}?{span}&period={period}", **there).data
        assert shown["totals"]["guestReads"] == 23
        assert list(shown["totals"]) == KEYS
        return [row["guestReads"] for row in shown["usage"]]

    assert (reads_by("hour"), reads_by("day"), reads_by("month")) == (
        [5, 7, 11],
        [12, 11],
        [12, 11],
    )
    text = api.get(f"{path_to(site)}/csv?{span}", **there).body.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["since"], row["guestReads"], row["cpuMs"]) for row in rows] == [
        ("2026-01-31T00:00:00Z", "12", "3"),
        ("2026-02-01T00:00:00Z", "11", "1"),
    ]
    empty = api.get(
        f"{path_to(site)}?since=2025-01-01T00:00:00Z&until=2025-01-02T00:00:00Z", **there
    )
    assert empty.data["usage"] == [] and set(empty.data["totals"].values()) == {0}


def test_the_owner_reads_it_on_the_sites_own_host(platform: Platform) -> None:
    make, api = platform.make, platform.api
    site, other = make.site(), make.site()
    platform.app.usage.poll()
    for path in ("/api/v1/site/usage", "/api/v1/site/usage/csv"):
        for person in (site.moderator, site.member):
            assert api.get(path, by=person).status == 403
        assert api.get(path, site=site).status in (401, 403)
        assert api.get(path, by=other.owner, site=site).status in (401, 403)
        assert api.get(path, by=site.owner).status == 200
    there = api.get(f"{path_to(site)}?period=hour", by=site.owner, host=platform.domain).data
    here = api.get("/api/v1/site/usage?period=hour", by=site.owner).data
    assert list(here) == list(there) and here["totals"] == there["totals"]
    assert api.get("/api/v1/site/usage?period=year", by=site.owner).status == 400


def test_nobody_else_reads_it(platform: Platform) -> None:
    make, api = platform.make, platform.api
    site, other = make.site(), make.site()
    for path in (path_to(site), f"{path_to(site)}/csv"):
        for person in (site.moderator, site.member, other.owner):
            assert api.get(path, by=person, host=platform.domain).status == 403
        assert api.get(path, host=platform.domain).status in (401, 403)
        assert api.get(path, by=site.owner).status == 404, "it is a page of the platform's host"
        assert api.get(path, by=site.owner, host=platform.domain).status == 200
    unknown = "/api/v1/sites/999999999/usage"
    assert api.get(unknown, by=site.owner, host=platform.domain).code == 14


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("period=year", "period"),
        ("since=yesterday", "since"),
        ("until=0001-01-01T00:00:00Z", "until"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", "since"),
        ("since=2026-01-01T00:00:00Z&until=2026-03-01T00:00:00Z&period=hour", "since"),
    ],
)
def test_a_bad_question_names_its_field(platform: Platform, query: str, field: str) -> None:
    site = platform.make.site()
    refused = platform.api.get(f"{path_to(site)}?{query}", by=site.owner, host=platform.domain)
    assert refused.status == 400 and field in str(refused.json)
