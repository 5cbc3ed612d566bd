"""Listeners are told of what moves out of their sight, or comes back into it."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi import itemtypes
from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server
from tests.realtime.listener import Listener
from tests.webhooks.conftest import Hooks, until
from tests.webhooks.receiver import receiving


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def private(make: Factory, site: Site, *people: Person) -> Thing:
    """A microcosm that these people alone may read."""
    place = make.microcosm(site)
    make.join(make.role(site, place.id, "Some", rights=RIGHTS), *people)
    return place


def move(api: Api, thing: Thing, to: Thing) -> None:
    """Put an item or a microcosm somewhere else, as the site's owner."""
    body = api.get(thing.path, by=thing.site.owner).data
    key = "parentId" if thing.type == itemtypes.MICROCOSM else "microcosmId"
    body |= {key: to.id, "meta": {"editReason": "Elsewhere"}}
    answer = api.put(thing.path, body, by=thing.site.owner)
    assert answer.status == 302, answer.body


def mark(api: Api, make: Factory, site: Site) -> int:
    """Something that everybody who follows the site is told of: what comes before it has been told."""
    chat = make.conversation(site)
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": "Mark"}
    made = api.post("/api/v1/comments", body, by=site.owner)
    return int(made.location.rpartition("/")[2])


def until_mark(there: Listener, id: int) -> list[dict[str, Any]]:
    """All frames before the mark."""
    found: list[dict[str, Any]] = []
    while True:
        frame = there.read()
        if frame["type"] == "event" and (frame["itemType"], frame["itemId"]) == ("comment", id):
            return found
        found.append(frame)


def about(frames: list[dict[str, Any]], thing: Thing) -> list[tuple[str, int | None, bool]]:
    """(kind, microcosm, whether a version is said) of the events of a thing after its creation."""
    name = itemtypes.name_of(thing.type)
    return [
        (one["kind"], one.get("microcosmId"), "version" in one)
        for one in frames
        if one["type"] == "event"
        and one["kind"] != "created"
        and (one["itemType"], one["itemId"]) == (name, thing.id)
    ]


def test_an_item_that_moves_out_of_sight_is_gone_for_those_who_could_read_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), private(make, site, site.member)
    chat = make.conversation(site, microcosm=here)
    followed = ("site", f"microcosm/{here.id}", f"conversation/{chat.id}")
    with (
        Listener(server.address, site, site.newcomer) as outside,
        Listener(server.address, site) as guest,
        Listener(server.address, site, site.member) as inside,
    ):
        outside.follow(*followed)
        guest.follow("site")
        inside.follow("site")
        move(api, chat, there)
        last = mark(api, make, site)

        # Nothing is said of where it is.
        assert about(until_mark(outside, last), chat) == [("gone", here.id, False)]
        assert about(until_mark(guest, last), chat) == [("gone", here.id, False)]
        assert about(until_mark(inside, last), chat) == [("replaced", there.id, True)]


def test_who_could_not_read_it_before_hears_nothing(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = private(make, site, site.member), private(make, site, site.moderator)
    chat = make.conversation(site, microcosm=here, by=site.owner)
    with (
        Listener(server.address, site, site.newcomer) as outside,
        Listener(server.address, site, site.member) as before,
        Listener(server.address, site, site.moderator) as after,
    ):
        for one in (outside, before, after):
            one.follow("site")
        move(api, chat, there)
        last = mark(api, make, site)

        assert about(until_mark(outside, last), chat) == []
        assert about(until_mark(before, last), chat) == [("gone", here.id, False)]
        assert about(until_mark(after, last), chat) == [("replaced", there.id, True)]


def test_a_microcosm_that_moves_out_of_sight_is_gone_too(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), private(make, site, site.member)
    place = make.microcosm(site, parent=here)
    with Listener(server.address, site, site.newcomer) as outside:
        outside.follow("site", f"microcosm/{here.id}")
        move(api, place, there)
        last = mark(api, make, site)

        found = until_mark(outside, last)
        assert about(found, place) == [("gone", place.id, False)]
        assert [one["parentId"] for one in found if one.get("kind") == "gone"] == [here.id]


@pytest.mark.wide
def test_a_microcosm_that_moves_is_gone_for_nobody_who_could_not_read_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), private(make, site, site.moderator)
    place, hidden = private(make, site, site.member), make.microcosm(site, parent=here)
    assert api.patch(hidden.path, ("moderated", True), by=site.owner).status == 200
    move(api, place, here)
    make.join(make.role(site, there.id, "Not them", banned=True), site.member)
    hooks = Hooks(api, make, site)
    with (
        receiving() as receiver,
        Listener(server.address, site, site.newcomer) as outside,
        Listener(server.address, site, site.member) as inside,
    ):
        hooks.add(receiver.url("/"), kinds=["deleted"], itemTypes=["microcosm"], actAs="guest")
        for one in (outside, inside):
            one.follow("site", f"microcosm/{here.id}")
        move(api, place, there)
        move(api, hidden, there)
        # Everybody could read this one.
        shown = make.microcosm(site, parent=here)
        move(api, shown, there)
        last = mark(api, make, site)

        found = until_mark(outside, last)
        assert (about(found, place), about(found, hidden)) == ([], [])
        # Their role in it went along, but there they are banned.
        assert about(until_mark(inside, last), place) == [("gone", place.id, False)]
        (told,) = until(lambda: receiver.at("/"), len)
        assert told.data["itemId"] == shown.id


def test_webhooks_are_told_as_well(api: Api, make: Factory, site: Site) -> None:
    here, there = make.microcosm(site), private(make, site, site.member)
    chat = make.conversation(site, microcosm=here)
    hooks = Hooks(api, make, site)
    with receiving() as receiver:
        wanted = {"itemTypes": ["conversation"], "actAs": "guest"}
        hooks.add(receiver.url("/ended"), kinds=["deleted"], **wanted)
        hooks.add(receiver.url("/begun"), kinds=["created", "patched"], **wanted)
        move(api, chat, there)
        make.conversation(site)

        until(lambda: receiver.at("/begun"), len)
        (told,) = until(lambda: receiver.at("/ended"), len)
        assert told.data["type"] == "conversation.gone"
        assert (told.data["itemId"], told.data["microcosmId"]) == (chat.id, here.id)
        assert "version" not in told.data


# ---------------------------------------------------------------- rights that come back


@pytest.fixture
def members(make: Factory, site: Site) -> tuple[Thing, str]:
    """A microcosm that the newcomer may read for being in a role, and the address of being in it."""
    place = make.microcosm(site)
    role = make.role(site, place.id, "Some", rights=RIGHTS)
    make.join(role, site.newcomer, site.owner)
    return place, f"{place.path}/roles/{role[1]}/profiles/{site.newcomer.id}"


def write(api: Api, chat: Thing, text: str) -> int:
    """A comment of the owner's; its id."""
    body = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    return int(api.post("/api/v1/comments", body, by=chat.site.owner).location.rpartition("/")[2])


def gaps(frames: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Topic and healing link of the gaps."""
    return [(one["topic"], one["href"]) for one in frames if one["type"] == "gap"]


@pytest.mark.wide
def test_who_regains_a_right_is_told_of_the_hole(
    server: Server, api: Api, make: Factory, site: Site, members: tuple[Thing, str]
) -> None:
    place, membership = members
    chat = make.conversation(site, microcosm=place, by=site.owner)
    above = f"microcosm/{site.root_id}"
    with Listener(server.address, site, site.newcomer) as there:
        there.follow("site", above, f"microcosm/{make.microcosm(site).id}")
        seen = write(api, chat, "Seen")
        until_mark(there, seen)
        assert api.delete(membership, by=site.owner).status == 200
        write(api, chat, "Unseen")
        assert gaps(until_mark(there, mark(api, make, site))) == []
        assert api.put(membership, by=site.owner).status == 302
        # The change is known at the next look; what comes after it is told.
        last = write(api, chat, "Seen again")

        found = until_mark(there, last)
        assert sorted(gaps(found)) == [
            (above, f"/api/v1/microcosms/{site.root_id}"),
            ("site", "/api/v1/microcosms"),
        ]
        (gap,) = [one for one in found if one["type"] == "gap" and one["topic"] == "site"]
        with Listener(server.address, site, site.owner) as other:
            # From where it was cut off, the log is whole for those who may read it.
            other.follow("site", cursor=gap["from"])
            assert "Unseen" in _texts(api, site, other.comments(3))


def _texts(api: Api, site: Site, ids: list[int]) -> list[str]:
    return [api.get(f"/api/v1/comments/{id}", by=site.owner).data["markdown"] for id in ids]


def test_a_topic_that_is_followed_again_says_what_was_missed(
    server: Server, api: Api, make: Factory, site: Site, members: tuple[Thing, str]
) -> None:
    place, membership = members
    chat = make.conversation(site, microcosm=place, by=site.owner)
    topic = f"conversation/{chat.id}"
    with Listener(server.address, site, site.newcomer) as there:
        there.follow(topic, "site")
        assert api.delete(membership, by=site.owner).status == 200
        assert there.next("unsubscribed")["topics"] == [topic]
        write(api, chat, "Unseen")
        until_mark(there, mark(api, make, site))
        assert api.put(membership, by=site.owner).status == 302
        while there.next("gap")["topic"] != "site":
            pass
        there.seen.clear()

        # Its cursor is behind the hole: by itself it says that nothing is missing.
        there.follow(topic, cursor=there.cursor)
        assert (topic, chat.path) in gaps(there.seen)


def test_who_comes_back_after_a_change_of_rights_is_told_that_something_may_be_missing(
    server: Server, api: Api, make: Factory, site: Site, members: tuple[Thing, str]
) -> None:
    place, membership = members
    chat = make.conversation(site, microcosm=place, by=site.owner)
    with Listener(server.address, site, site.newcomer) as there:
        there.follow("site")
        assert api.delete(membership, by=site.owner).status == 200
        write(api, chat, "Unseen")
        until_mark(there, mark(api, make, site))
        cursor = there.cursor
    with Listener(server.address, site, site.newcomer) as there:
        there.follow("site", cursor=cursor)
        assert gaps(there.seen) == []
    assert api.put(membership, by=site.owner).status == 302

    with Listener(server.address, site, site.newcomer) as there:
        there.follow("site", cursor=cursor)
        assert gaps(there.seen) == [("site", "/api/v1/microcosms")]


def test_who_comes_back_after_the_tree_has_changed_is_told_so_too(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), private(make, site, site.owner)
    chat = make.conversation(site, microcosm=there, by=site.owner)
    with Listener(server.address, site) as guest:
        guest.follow("site")
        write(api, chat, "Unseen")
        until_mark(guest, mark(api, make, site))
        cursor = guest.cursor
    renamed = {"title": "Renamed", "meta": {"editReason": "So"}}
    assert api.put(here.path, renamed, by=site.owner).status == 302
    with Listener(server.address, site) as guest:
        guest.follow("site", cursor=cursor)
        assert gaps(guest.seen) == []
    ((role,),) = make.sql("SELECT role_id FROM roles WHERE microcosm_id = %(m)s", m=there.id)
    assert api.delete(f"{there.path}/roles/{role}", by=site.owner).status == 200

    with Listener(server.address, site) as guest:
        guest.follow("site", cursor=cursor)
        assert gaps(guest.seen) == [("site", "/api/v1/microcosms")]
