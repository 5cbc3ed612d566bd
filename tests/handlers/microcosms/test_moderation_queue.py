"""Tests of what waits for moderation, over real HTTP: for those who may decide on it, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi import itemtypes
from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site, Thing

QUEUE = "/api/v1/moderation"
NOTHING = {"comment": 0, "conversation": 0, "event": 0, "poll": 0}


@pytest.fixture
def site(make: Factory) -> Site:
    """A site on which nothing waits."""
    return make.site()


def hide(api: Api, *things: Thing, flag: str = "moderated") -> None:
    for thing in things:
        assert api.patch(thing.path, (flag, True), by=thing.site.owner).status == 200


def named(data: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["itemType"], one["itemId"]) for one in data["moderation"]["items"]]


def waiting(api: Api, by: Person, query: str = "") -> list[tuple[str, int]]:
    answer = api.get(QUEUE + query, by=by)
    assert answer.status == 200, answer.body
    return named(answer.data)


def test_what_is_moderated_waits_oldest_first(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site)
    chat, other = (make.conversation(site, microcosm=place) for _ in range(2))
    said, _ = make.comments(chat, 2)
    hide(api, said, other)

    shown = api.get(QUEUE, by=site.moderator).data

    assert named(shown) == [("conversation", other.id), ("comment", said.id)]
    assert shown["counts"] == NOTHING | {"comment": 1, "conversation": 1}
    assert shown["moderation"]["total"] == 2
    item, comment = shown["moderation"]["items"]
    assert item["microcosmId"] == comment["microcosmId"] == place.id
    assert item["meta"]["createdBy"]["id"] == site.member.id
    assert comment["comment"]["meta"]["flags"]["moderated"] is True
    for one in (item, comment):
        own = one["meta"]["links"][0]["href"]
        assert api.get(own, by=site.moderator).status == 200


def test_deciding_takes_it_out_and_changes_counts_at_once(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    good, bad = make.comments(chat, 2)
    hide(api, good, bad)
    assert waiting(api, site.moderator) == [("comment", good.id), ("comment", bad.id)]

    assert api.patch(good.path, ("moderated", False), by=site.moderator).status == 200
    assert api.patch(bad.path, ("deleted", True), by=site.moderator).status == 200

    assert waiting(api, site.moderator) == []
    assert api.get(QUEUE, by=site.moderator).data["counts"] == NOTHING
    assert api.get(good.path, by=site.newcomer).status == 200
    assert api.get(bad.path, by=site.newcomer).status == 404
    assert api.get(chat.path, by=site.newcomer).data["comments"]["total"] == 1


def test_moderators_see_what_is_in_their_own_places(api: Api, make: Factory, site: Site) -> None:
    theirs, below, other = make.microcosm(site), None, make.microcosm(site)
    below = make.microcosm(site, parent=theirs)
    keeper, watcher, founder = (make.person(site) for _ in range(3))
    make.join(make.role(site, theirs.id, "Keep", moderator=True, rights=RIGHTS), keeper)
    make.join(make.role(site, theirs.id, "Look", moderator=True, rights=("read",)), watcher)
    own = make.microcosm(site, by=founder)
    chats = {
        place.id: make.conversation(site, microcosm=place) for place in (theirs, below, other, own)
    }
    hide(api, *chats.values())
    expected = [("conversation", chats[place.id].id) for place in (theirs, below)]

    assert waiting(api, keeper) == expected
    assert waiting(api, founder) == [("conversation", chats[own.id].id)]
    assert len(waiting(api, site.owner)) == 4
    # Neither may decide: one has no `update`, the others no `moderator`.
    for by in (watcher, site.member, site.newcomer, site.banned):
        assert api.get(QUEUE, by=by).status == 403
    assert api.get(QUEUE, site=site).status == 403
    # A microcosm that is hidden takes what is in it along.
    hide(api, below)
    assert waiting(api, keeper) == expected[:1]


def test_somebody_banned_from_a_place_does_not_moderate_it(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    hide(api, make.conversation(site, microcosm=place))
    make.join(make.role(site, place.id, "Out", banned=True), site.moderator)

    assert waiting(api, site.moderator) == []


def test_comments_on_profiles_wait_for_the_owner_of_the_site(
    api: Api, make: Factory, site: Site
) -> None:
    about = make.comment(site.member, by=site.member)
    hide(api, about)

    (entry,) = api.get(QUEUE, by=site.owner).data["moderation"]["items"]
    assert (entry["itemId"], entry["title"]) == (about.id, site.member.name)
    assert "microcosmId" not in entry
    assert waiting(api, site.moderator) == []


def test_huddles_never_wait(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.huddle(site.owner, site.member), by=site.owner)
    make.sql("UPDATE comments SET is_moderated = true WHERE comment_id = %(id)s", id=said.id)

    assert waiting(api, site.owner) == []
    assert api.get(QUEUE, by=site.owner).data["counts"] == NOTHING


def test_deleted_things_and_what_is_in_them_do_not_wait(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    hide(api, make.comment(chat), chat)
    assert len(waiting(api, site.owner)) == 2

    hide(api, chat, flag="deleted")

    assert waiting(api, site.owner) == []


@pytest.mark.wide
def test_pages_follow_each_other_while_things_are_decided(
    api: Api, make: Factory, site: Site
) -> None:
    comments = make.comments(make.conversation(site), 12)
    hide(api, *comments)
    seen: list[tuple[str, int]] = []
    path = f"{QUEUE}?limit=5"
    while path:
        shown = api.get(path, by=site.moderator).data
        page = named(shown)
        seen += page
        for _, id in page[:2]:
            api.patch(f"/api/v1/comments/{id}", ("moderated", False), by=site.moderator)
        links = {link["rel"]: link["href"] for link in shown["moderation"]["links"]}
        path = links.get("next", "")

    assert seen == [("comment", one.id) for one in comments]
    assert api.get(QUEUE, by=site.moderator).data["moderation"]["total"] == 6


@pytest.mark.parametrize(
    "query",
    ["?limit=7", "?limit=x", "?after=x", "?after=1-2", f"?after={'9' * 18}-4-1", "?after=-1-4-1"],
)
def test_a_bad_query_is_named(api: Api, site: Site, query: str) -> None:
    refused = api.get(QUEUE + query, by=site.owner)

    assert refused.status == 400
    assert query[1:].split("=", maxsplit=1)[0] in refused.json()["error"][0]


def test_nothing_of_another_site_waits(api: Api, make: Factory, site: Site, trains: Site) -> None:
    hide(api, make.conversation(trains, title="On trains"))

    assert waiting(api, site.owner) == []


def test_every_type_of_item_waits(api: Api, make: Factory, site: Site) -> None:
    kinds = (itemtypes.CONVERSATION, itemtypes.EVENT, itemtypes.POLL)
    for kind in kinds:
        item = make.conversation(site, item_type=kind)
        make.sql("UPDATE items SET is_moderated = true WHERE item_id = %(id)s", id=item.id)

    counts = api.get(QUEUE, by=site.owner).data["counts"]
    assert counts == {"comment": 0, "conversation": 1, "event": 1, "poll": 1}


@pytest.mark.wide
def test_it_takes_three_statements_at_most(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    hide(api, *make.comments(chat, 10))
    api.get(QUEUE, by=site.moderator)

    assert api.get(QUEUE, by=site.moderator).statements == 3


def test_whoami_tells_who_has_a_queue(api: Api, make: Factory, site: Site) -> None:
    reader = make.person(site)
    make.join(make.role(site, site.root_id, "Half", moderator=True, rights=("read",)), reader)
    landlord, shut_out, elsewhere = (make.person(site) for _ in range(3))
    place = make.microcosm(site, by=landlord)
    make.microcosm(site, by=shut_out)
    make.join(make.role(site, site.root_id, "Out", banned=True), shut_out)
    make.join(make.role(site, place.id, "Here", moderator=True, rights=RIGHTS), elsewhere)
    people = [*(one for one in site.cast().values() if one), reader, landlord, shut_out, elsewhere]

    told = {}
    for one in people:
        flags = api.get("/api/v1/whoami", by=one).data["meta"]["flags"]
        told[one.name] = flags.get("moderates", False)
        assert told[one.name] == (api.get("/api/v1/moderation", by=one).status == 200), one.name

    assert [one.name for one in people if told[one.name]] == [
        site.owner.name,
        site.moderator.name,
        landlord.name,
        elsewhere.name,
    ]
    of_others = api.get(site.moderator.path, by=site.owner).data["meta"]["flags"]
    assert "moderates" not in of_others
