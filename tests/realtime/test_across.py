"""Tests of what one process wrote is pushed by another, whatever becomes of what it is heard by; moves; updates."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.realtime.listener import Listener
from tests.realtime.test_socket import write


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def test_what_is_written_here_is_told_there(
    elsewhere: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(elsewhere.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        ids = [write(api, chat.path, site.moderator, f"Number {n}") for n in range(5)]

        assert there.comments(5) == ids


def test_a_cursor_of_one_process_is_one_of_all(
    server: Server, elsewhere: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.member) as here:
        here.follow(f"conversation/{chat.id}")
        first = write(api, chat.path, site.moderator, "First")
        assert here.comments(1) == [first]
        cursor = here.cursor
    second = write(api, chat.path, site.moderator, "Second")
    with Listener(elsewhere.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}", cursor=cursor)

        assert there.comments(1) == [second]


def test_events_come_without_the_connection_that_they_are_heard_on(
    database_url: str, server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    stop = threading.Event()

    def kill() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while not stop.wait(0.02):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query = 'LISTEN forumapi_presence' AND datname = current_database()"
                )

    killer = threading.Thread(target=kill)
    with Listener(server.address, site, site.member) as there:
        there.follow(f"conversation/{chat.id}")
        killer.start()
        try:
            ids = [write(api, chat.path, site.moderator, f"Number {n}") for n in range(20)]

            assert there.comments(20) == ids
        finally:
            stop.set()
            killer.join()


def test_who_follows_where_an_item_was_is_told_that_it_went(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), make.microcosm(site)
    chat = make.conversation(site, microcosm=here)
    with (
        Listener(server.address, site, site.member) as before,
        Listener(server.address, site, site.member) as after,
    ):
        before.follow(f"microcosm/{here.id}")
        after.follow(f"microcosm/{there.id}")
        shown = api.get(chat.path, by=site.moderator).data
        moved = api.put(
            chat.path,
            {"title": shown["title"], "microcosmId": there.id, "meta": {"editReason": "Elsewhere"}},
            by=site.moderator,
        )
        assert moved.status == 302, moved.body
        for listener in (before, after):
            told = listener.next("event")
            while told["kind"] != "replaced":
                told = listener.next("event")

            assert (told["itemId"], told["microcosmId"]) == (chat.id, there.id)


def test_updates_are_told_to_whom_they_are_for(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    first = make.comment(chat, by=site.member)
    with (
        Listener(server.address, site, site.member) as mine,
        Listener(server.address, site, site.owner) as other,
    ):
        mine.follow("updates")
        other.follow("updates", "site")
        reply = api.post(
            "/api/v1/comments",
            {
                "itemType": "conversation",
                "itemId": chat.id,
                "inReplyTo": first.id,
                "markdown": "Indeed",
            },
            by=site.moderator,
        )
        assert reply.status == 302
        told = mine.next("event")

        assert (told["kind"], told["itemType"]) == ("created", "update")
        assert told["href"] == "/api/v1/updates"
        assert make.sql(
            "SELECT profile_id FROM updates WHERE update_id = %(id)s", id=told["itemId"]
        ) == [(site.member.id,)]
        seen = write(api, chat.path, site.moderator, "The end")
        while not any(one.get("itemId") == seen for one in other.seen):
            other.read()
        assert not [one for one in other.seen if one.get("itemType") == "update"]


def test_decisions_of_moderators_are_told_to_whom_they_concern(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    said, limited = make.comment(chat, by=site.member), make.person(site)
    mine = make.comment(chat, by=limited)
    _, case = make.report(said, by=site.newcomer)
    make.report(said, by=limited)
    make.sql(
        "UPDATE access_tokens SET scopes = '{live:read,updates:read,comments:read,conversations:read}'"
        " WHERE user_id = %(user)s RETURNING 1",
        user=limited.user_id,
    )

    def told(listener: Listener, count: int) -> list[int]:
        """The ids of so many updates, from when it began to listen."""
        while True:
            found = [one["itemId"] for one in listener.seen if one["type"] == "event"]
            if len(found) >= count:
                return found
            listener.read()

    with (
        Listener(server.address, site, site.newcomer) as reporter,
        Listener(server.address, site, site.member) as author,
        Listener(server.address, site, limited) as reader,
    ):
        for listener in (reporter, author, reader):
            assert listener.follow("updates")["type"] == "subscribed"
        targets = [{"itemType": "comment", "itemId": said.id}]
        act = {"kind": "hide", "reason": "Spam", "caseId": case, "targets": targets}
        assert api.post("/api/v1/actions", act, by=site.moderator).status == 200
        for listener, by, name in (
            (reporter, site.newcomer, "report_decided"),
            (author, site.member, "statement"),
        ):
            listed = api.get("/api/v1/updates", by=by).data["updates"]["items"]
            (entry,) = [one for one in listed if one["updateType"] == name]
            count = 1
            while (ids := told(listener, count))[-1] != entry["id"]:
                count += 1
            assert set(ids) <= {one["id"] for one in listed} | {entry["id"] - (1 << 48)}

        # The token may not list decisions, and is told of other updates alone.
        reply = {"itemType": "conversation", "itemId": chat.id, "inReplyTo": mine.id}
        sent = api.post("/api/v1/comments", reply | {"markdown": "Indeed"}, by=site.moderator)
        assert sent.status == 302
        assert [id for id in told(reader, 1) if id >= 1 << 48] == []
