"""Tests of who reads and who writes: told to those who asked, across workers, and never logged."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.realtime.listener import Listener


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def people(there: Listener, wanted: int) -> None:
    """Wait until so many are told to be there."""
    while there.next("presence")["people"] != wanted:
        pass


@pytest.mark.wide
def test_people_are_counted_across_processes(
    server: Server, elsewhere: Server, make: Factory, site: Site
) -> None:
    topic = f"conversation/{make.conversation(site).id}"
    with (
        Listener(server.address, site, site.member) as one,
        Listener(server.address, site, site.member) as same,
        Listener(server.address, site, site.owner) as silent,
    ):
        one.follow(topic, presence=True)
        same.follow(topic, presence=True)
        silent.follow(topic)
        people(one, 1)
        with Listener(elsewhere.address, site, site.newcomer) as other:
            other.follow(topic, presence=True)
            people(one, 2)
            people(other, 2)
        people(one, 1)
        # Two looks at the same number tell nobody of it.
        one.socket.settimeout(2.5)
        with pytest.raises(TimeoutError):
            one.next("presence")


@pytest.mark.wide
def test_who_writes_is_told_to_the_others(
    server: Server, elsewhere: Server, make: Factory, site: Site
) -> None:
    topic = f"conversation/{make.conversation(site).id}"
    before = make.sql("SELECT count(*) FROM event_log")
    with (
        Listener(server.address, site, site.member) as writer,
        Listener(server.address, site, site.owner) as near,
        Listener(elsewhere.address, site, site.newcomer) as far,
    ):
        for there in (writer, near, far):
            there.follow(topic, presence=True)
        people(writer, 3)
        writer.send({"type": "typing", "topic": topic})

        for there in (near, far):
            assert there.next("typing")["profileIds"] == [site.member.id]
    assert make.sql("SELECT count(*) FROM event_log") == before


def test_guests_and_those_who_did_not_ask_do_not_write(
    server: Server, make: Factory, site: Site
) -> None:
    topic = f"conversation/{make.conversation(site).id}"
    with (
        Listener(server.address, site) as guest,
        Listener(server.address, site, site.member) as member,
    ):
        guest.follow(topic, presence=True)
        member.follow(topic)
        for there, status in ((guest, 403), (member, 400)):
            there.send({"type": "typing", "topic": topic})
            assert there.next("error")["status"] == status
        # A site is no place where somebody writes.
        member.follow("site", presence=True)
        member.send({"type": "typing", "topic": "site"})
        assert member.next("error")["status"] == 400


@pytest.mark.wide
def test_whoever_follows_what_moves_out_of_their_sight_is_told_of_its_readers_no_more(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    closed = make.microcosm(site)
    make.role(site, closed.id, "Keepers", rights=("read",))
    topic = f"conversation/{chat.id}"
    with (
        Listener(server.address, site, site.newcomer) as outside,
        Listener(server.address, site, site.owner) as inside,
    ):
        for there in (outside, inside):
            there.follow(topic, presence=True)
        people(outside, 2)
        moved = api.put(
            chat.path,
            {"title": "Inside", "microcosmId": closed.id, "meta": {"editReason": "Not for all"}},
            by=site.owner,
        )
        assert moved.status == 302, moved.body

        left = outside.next("unsubscribed")
        assert (left["topics"], left["reason"]) == ([topic], "forbidden")
        people(inside, 1)


@pytest.mark.wide
def test_what_another_release_tells_is_passed_over(
    server: Server, elsewhere: Server, make: Factory, site: Site
) -> None:
    topic = f"conversation/{make.conversation(site).id}"
    with Listener(server.address, site, site.member) as one:
        one.follow(topic, presence=True)
        people(one, 1)
        for text in (
            "nonsense",
            "[]",
            '{"process":"x"}',
            '{"process":"x","reading":[[1]],"typing":[]}',
        ):
            make.sql("SELECT pg_notify('forumapi_presence', %(text)s)", text=text)
        with Listener(elsewhere.address, site, site.newcomer) as other:
            other.follow(topic, presence=True)
            people(one, 2)
