"""Erasing of people: nobody's name, address, machine or file is left anywhere, and a restored backup does it again."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.models.cases.report import forget_guests
from forumapi.models.privacy import erasure_steps
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    return Config(database_url=database_url, data_dir=str(tmp_path))


def run_due(database_url: str, make: Factory, config: Config, *people: Person) -> int:
    """Let thirty days pass for these people, and erase what is due."""
    with psycopg.connect(database_url) as connection:
        for person in people:
            connection.execute(
                "UPDATE erasures SET due = now() WHERE site_id = %s AND profile_id = %s",
                [person.site.id, person.id],
            )
            connection.execute(
                "UPDATE account_erasures SET due = now() WHERE user_id = %s", [person.user_id]
            )
    return erasures.work_off(make.database, config)


@pytest.fixture
def me(make: Factory, bikes: Site) -> Person:
    return make.person(bikes, f"Canary{time.monotonic_ns() % 10**9}")


def test_words_stay_without_their_author(
    api: Api, make: Factory, bikes: Site, me: Person, database_url: str, config: Config
) -> None:
    chat = make.conversation(bikes, by=me)
    mine = make.comment(chat, by=me, markdown="Words that stay")
    theirs = make.comment(chat, by=bikes.member, markdown=f"As @{me.name} said; +{me.name}, too")
    api.delete(me.path, by=me)

    assert run_due(database_url, make, config, me) == 1

    shown = api.get(mine.path, by=bikes.member).data
    assert shown["markdown"] == "Words that stay"
    name = shown["meta"]["createdBy"]["profileName"]
    assert name == f"deleted{me.id}"
    quoted = api.get(theirs.path, by=bikes.member).data
    assert quoted["markdown"] == f"As @{name} said; +{name}, too"
    assert me.name not in quoted["html"]
    assert api.get(me.path, by=bikes.owner).data["email"].endswith("@erased.invalid")


def test_words_go_with_their_author(
    api: Api, make: Factory, bikes: Site, me: Person, database_url: str, config: Config
) -> None:
    chat = make.conversation(bikes, by=me, title="Title that goes")
    mine = make.comment(chat, by=me, markdown="Words that go")
    theirs = make.comment(chat, by=bikes.member, markdown="Words of another")
    api.delete(f"{me.path}?words=remove", by=me)

    run_due(database_url, make, config, me)

    assert api.get(mine.path, by=bikes.member).data["markdown"] == "[removed]"
    assert api.get(chat.path, by=bikes.member).data["title"] == "[removed]"
    assert api.get(theirs.path, by=bikes.member).data["markdown"] == "Words of another"


@pytest.mark.slow
def test_what_is_more_than_a_batch_goes_too(
    api: Api, make: Factory, bikes: Site, me: Person, database_url: str, config: Config
) -> None:
    chat = make.conversation(bikes)
    make.comments(chat, erasure_steps.MOST + 1, by=me)
    for _ in range(erasure_steps.MOST + 1):
        make.conversation(bikes, by=me)
    for _ in range(erasure_steps.MOST_HUDDLES + 1):
        make.huddle(me, bikes.member)
        make.comment(me, by=me)
    api.delete(f"{me.path}?words=remove", by=me)

    run_due(database_url, make, config, me)

    left = make.sql(
        """SELECT (SELECT count(*) FROM comments WHERE created_by = %(me)s AND markdown <> '[removed]'),
                  (SELECT count(*) FROM items WHERE created_by = %(me)s AND item_type_id = 6 AND title <> '[removed]'),
                  (SELECT count(*) FROM comments WHERE on_profile_id = %(me)s AND NOT is_deleted),
                  (SELECT count(*) FROM huddle_participants WHERE profile_id = %(me)s)""",
        me=me.id,
    )
    assert left == [(0, 0, 0, 0)]


def test_the_person_comes_back_as_somebody_new(
    api: Api, make: Factory, me: Person, database_url: str, config: Config
) -> None:
    api.delete(me.path, by=me)
    run_due(database_url, make, config, me)

    again = api.get("/api/v1/whoami", by=me)

    assert again.data["id"] != me.id


def test_nobody_reports_a_thing_again_by_an_erasure(
    api: Api, make: Factory, bikes: Site, me: Person, database_url: str, config: Config
) -> None:
    chat = make.conversation(bikes)
    said, other = (make.comment(chat, by=bikes.newcomer) for _ in range(2))

    def report(thing: Thing, by: Person) -> Response:
        sent = {"itemType": "comment", "itemId": thing.id, "kind": "spam"}
        return api.post("/api/v1/reports", sent, by=by)

    assert report(said, me).status == 302
    assert api.delete(me.path, by=me).status == 200
    run_due(database_url, make, config, me)

    again = report(said, me)
    assert again.status == 409
    assert again.error == "You have reported this before you had your data erased"
    assert report(other, me).status == report(said, bikes.moderator).status == 302
    decided = """
        UPDATE cases SET state = 'decided', outcome = 'dismissed', decided = now() - interval '7 months'
         WHERE site_id = %(s)s AND item_id = %(i)s RETURNING 1"""
    make.sql(decided, s=bikes.id, i=said.id)
    with make.database.write() as tx:
        forget_guests(tx)
    assert report(said, me).status == 302


def test_an_erasure_that_was_taken_back_never_runs(
    api: Api, make: Factory, me: Person, database_url: str, config: Config
) -> None:
    api.delete(me.path, by=me)
    api.delete(f"/api/v1/users/{me.user_id}", by=me)
    api.delete(f"{me.path}/erasure", by=me)
    api.delete(f"/api/v1/users/{me.user_id}/erasure", by=me)

    assert run_due(database_url, make, config, me) == 0
    assert api.get("/api/v1/whoami", by=me).data["profileName"] == me.name
    assert not config.erasure_journal_path.exists()


def test_an_account_goes_with_all_its_profiles(
    api: Api, make: Factory, me: Person, trains: Site, database_url: str, config: Config
) -> None:
    there = api.get("/api/v1/whoami", by=me, host=trains.host).data["id"]
    api.delete(f"/api/v1/users/{me.user_id}", by=me)

    assert run_due(database_url, make, config, me) >= 2

    assert api.get("/api/v1/whoami", by=me).status == 401
    with psycopg.connect(database_url) as connection:
        users = connection.execute(
            "SELECT count(*) FROM users WHERE user_id = %s", [me.user_id]
        ).fetchone()
        names = connection.execute(
            "SELECT profile_name FROM profiles WHERE (site_id, profile_id) IN ((%s, %s), (%s, %s))"
            " ORDER BY 1",
            [me.site.id, me.id, trains.id, there],
        ).fetchall()
    assert users == (0,)
    assert names == sorted([(f"deleted{me.id}",), (f"deleted{there}",)])
