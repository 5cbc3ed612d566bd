"""Things come with their events to those who ask for it, and every address in a frame answers."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi import itemtypes
from tests import schema_check
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server
from tests.realtime.listener import Listener

COMPONENTS = {
    "conversation": "ConversationSummary",
    "event": "EventSummary",
    "huddle": "HuddleSummary",
    "attendee": "Attendee",
    "comment": "CommentSummary",
}


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


def next_of(there: Listener, thing: Thing | None, kind: str, item_type: str = "") -> dict[str, Any]:
    """The next event of this kind of a thing, or of a type."""
    while True:
        told = there.next("event")
        named = item_type or itemtypes.name_of(thing.type if thing else 0)
        if (told["kind"], told["itemType"]) == (kind, named):
            return told


def as_in_a_list(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what it has beyond an entry of a list."""
    meta = {key: value for key, value in document["meta"].items() if key != "reactions"}
    return {**document, "meta": meta}


def listed(api: Api, thing: Thing, by: Person) -> Any:
    """The thing as a list shows it."""
    kinds = itemtypes.BY_ID[thing.type].path
    page = api.get(kinds, by=by).data[kinds.rpartition("/")[2]]["items"]
    return next(one for one in page if one["id"] == thing.id)


@pytest.mark.wide
def test_an_item_comes_as_lists_show_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    things = [make.conversation(site), make.event(site)]
    with Listener(server.address, site, site.moderator) as there:
        there.follow("site", documents=True)
        for thing in things:
            body = {"title": "Renamed", "meta": {"editReason": "So"}}
            assert api.put(thing.path, body, by=site.member).status == 302
            told = next_of(there, thing, "replaced")

            shown = listed(api, thing, site.newcomer)
            shown["meta"]["flags"]["unread"] = False
            assert as_in_a_list(told["document"]) == shown
            name = COMPONENTS[told["itemType"]]
            assert schema_check.nonconformities(name, as_in_a_list(told["document"])) == []


def test_a_held_item_comes_to_moderators_as_one_that_is_not_visible(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    with Listener(server.address, site, site.moderator) as there:
        there.follow("site", documents=True)
        assert api.patch(chat.path, ("moderated", True), by=site.owner).status == 200
        told = next_of(there, chat, "patched")

    flags = told["document"]["meta"]["flags"]
    assert (flags["deleted"], flags["moderated"], flags["visible"]) == (False, True, False)


def test_a_reaction_comes_with_the_counts(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    comment = make.comment(chat)
    with Listener(server.address, site, site.moderator) as there:
        there.follow("site", documents=True)
        for thing in (chat, comment):
            assert api.put(f"{thing.path}/reactions/like", by=site.newcomer).status == 302
            told = next_of(there, thing, "patched")

            assert told["document"]["meta"]["reactions"] == {"like": 1}


def test_a_vote_comes_with_the_results_as_far_as_everybody_may_see_them(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    poll, sealed = make.poll(site), make.poll(site, results="voted")
    with Listener(server.address, site, site.moderator) as there:
        there.follow("site", documents=True)
        for thing in (poll, sealed):
            first = api.get(thing.path, by=site.newcomer).data["choices"][0]["id"]
            assert api.put(f"{thing.path}/votes", [{"id": first}], by=site.newcomer).status == 302
            document = next_of(there, thing, "patched")["document"]

            votes = [one.get("votes") for one in document["choices"]]
            assert votes == ([1, 0, 0] if thing is poll else [None, None, None])
            # What somebody chose is theirs to see.
            assert not [one for one in document["choices"] if "voted" in one]


def test_an_answer_to_an_event_comes_as_the_list_shows_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    event = make.event(site)
    path = f"{event.path}/attendees/{site.newcomer.id}"
    with Listener(server.address, site, site.moderator) as there:
        there.follow("site", documents=True)
        assert api.put(path, {"rsvp": "yes"}, by=site.newcomer).status == 302
        told = next_of(there, None, "created", "attendee")

    shown = api.get(f"{event.path}/attendees", by=site.moderator).data["attendees"]["items"]
    assert [told["document"]] == shown
    assert schema_check.nonconformities("Attendee", told["document"]) == []


def test_a_huddle_comes_to_those_who_are_in_it(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    with Listener(server.address, site, site.moderator) as there:
        there.follow("huddles", documents=True)
        body = {"title": "Psst", "participants": [{"id": site.moderator.id}]}
        made = api.post("/api/v1/huddles", body, by=site.member)
        assert made.status == 302, made.body
        told = next_of(there, None, "created", "huddle")

    assert told["document"]["title"] == "Psst"
    assert len(told["document"]["participants"]) == 2
    assert schema_check.nonconformities("HuddleSummary", told["document"]) == []


def test_the_way_to_an_item_shows_what_its_reader_may_read(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    above = make.microcosm(site, title="Secret name")
    make.join(make.role(site, above.id, "Some", rights=("read",)), site.moderator)
    below = make.microcosm(site, parent=above)
    make.role(site, below.id, "All", guests=True, users=True, rights=("read",))
    chat = make.conversation(site, microcosm=below)
    with (
        Listener(server.address, site, site.newcomer) as there,
        Listener(server.address, site, site.owner) as owner,
    ):
        for one in (there, owner):
            one.follow("site", documents=True)
        assert api.put(f"{chat.path}/reactions/like", by=site.owner).status == 302

        found = [next_of(one, chat, "patched")["document"]["breadcrumb"] for one in (there, owner)]
        assert ["Secret name" in str(one) for one in found] == [False, True]


@pytest.mark.wide
def test_every_address_in_a_frame_answers(
    server: Server, api: Api, make: Factory, site: Site
) -> None:
    place, chat, event = make.microcosm(site), make.conversation(site), make.event(site)
    first = make.comment(chat, by=site.moderator)
    owner = site.owner
    with (
        Listener(server.address, site, site.moderator) as there,
        Listener(server.address, site, owner) as above,
    ):
        there.follow("site", "huddles", "updates")
        above.follow("site")
        writes: list[tuple[str, str, Any, Person]] = [
            ("PUT", "/api/v1/site/search", {"language": "german"}, owner),
            ("PUT", "/api/v1/site", {"title": "Renamed"}, owner),
            (
                "PUT",
                f"/api/v1/site/{site.id}/attributes",
                [{"key": "colour", "value": "red"}],
                owner,
            ),
            ("POST", "/api/v1/microcosms", {"title": "New", "description": "Here"}, owner),
            ("POST", f"{place.path}/roles", _READERS, owner),
            ("POST", "/api/v1/roles", {"title": "For all"}, owner),
            ("PUT", f"{event.path}/attendees/{site.member.id}", {"rsvp": "yes"}, site.member),
            ("PUT", f"{chat.path}/reactions/like", None, site.member),
            ("PUT", f"{chat.path}/attributes/colour", {"value": "red"}, site.member),
            ("PUT", site.member.path, {"gender": "f"}, site.member),
            (
                "POST",
                "/api/v1/comments",
                {
                    "itemType": "conversation",
                    "itemId": chat.id,
                    "inReplyTo": first.id,
                    "markdown": "Indeed",
                },
                site.member,
            ),
            (
                "POST",
                "/api/v1/huddles",
                {"title": "Psst", "participants": [{"id": site.moderator.id}]},
                site.member,
            ),
            ("POST", "/api/v1/polls", _POLL | {"microcosmId": place.id}, site.member),
        ]
        for method, path, body, by in writes:
            answer = api.request(method, path, json=body, by=by)
            assert answer.status in (200, 302), (path, answer.body)
        last = api.post(
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": chat.id, "markdown": "The last"},
            by=owner,
        )
        id = int(last.location.rpartition("/")[2])
        told = [(one, site.moderator) for one in _until(there, id)]
        told += [(one, owner) for one in _until(above, id)]
        # What is for the listener alone follows from it a moment later.
        if not [one for one, _ in told if one["itemType"] == "update"]:
            told.append((next_of(there, None, "created", "update"), site.moderator))

    kinds = {one["itemType"] for one, _ in told}
    assert kinds >= {
        "site", "attribute", "microcosm", "role", "attendee", "conversation", "profile", "comment",
        "huddle", "update", "poll",
    }  # fmt: skip
    for one, by in told:
        answer = api.get(one["href"], by=by)
        assert answer.status == 200, (one, answer.body)


def _until(there: Listener, comment_id: int) -> list[dict[str, Any]]:
    """The events up to that of a comment."""
    told: list[dict[str, Any]] = []
    while not told or (told[-1]["itemType"], told[-1]["itemId"]) != ("comment", comment_id):
        told.append(there.next("event"))
    return told


_READERS = {"title": "All", "includeUsers": True, "read": True, "create": True}
_POLL = {
    "title": "A title",
    "question": "Which?",
    "choices": [{"choice": "This"}, {"choice": "That"}],
}
