"""Bookmarks: private, listed by key, of what the caller may read now."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing

LIST = "/api/v1/bookmarks"


@pytest.fixture
def me(make: Factory, bikes: Site) -> Person:
    return make.person(bikes)


def _titles(api: Api, by: Person) -> list[str]:
    return [entry["title"] for entry in api.get(LIST, by=by).data["bookmarks"]["items"]]


def test_it_is_made_shown_and_taken_away(api: Api, make: Factory, bikes: Site, me: Person) -> None:
    chat = make.conversation(bikes, title="Keep this")
    comment = make.comment(chat)
    bio = make.comment(bikes.member, by=bikes.member)

    for thing in (chat, comment, bio):
        for _ in range(2):
            made = api.put(f"{thing.path}/bookmark", by=me)
            assert (made.status, made.location) == (302, f"{thing.path}/bookmark")
    shown = api.follow(made, by=me).data
    assert list(shown) == ["itemType", "itemId", "title", "created", "meta"]
    page = api.get(LIST, by=me).data["bookmarks"]
    assert [(entry["itemType"], entry["itemId"], entry["title"]) for entry in page["items"]] == [
        ("comment", bio.id, "member"),
        ("comment", comment.id, "Keep this"),
        ("conversation", chat.id, "Keep this"),
    ]
    assert page["links"] == [{"rel": "self", "href": LIST}]
    for _ in range(2):
        assert api.delete(f"{comment.path}/bookmark", by=me).status == 200
    assert api.get(f"{comment.path}/bookmark", by=me).status == 404
    assert _titles(api, me) == ["member", "Keep this"]


def test_each_kind_of_item_has_one(api: Api, make: Factory, bikes: Site, me: Person) -> None:
    made = (make.conversation(bikes), make.event(bikes), make.poll(bikes), make.huddle(me))
    for thing in made:
        assert api.put(f"{thing.path}/bookmark", by=me).status == 302
        shown = api.get(f"{thing.path}/bookmark", by=me).data
        assert (f"/{shown['itemType']}s/" in thing.path, shown["itemId"]) == (True, thing.id)


def test_the_list_goes_on_by_key(api: Api, make: Factory, bikes: Site, me: Person) -> None:
    chats = [make.conversation(bikes, title=f"Number {n}") for n in range(12)]
    for chat in chats:
        api.put(f"{chat.path}/bookmark", by=me)

    shown, href = [], f"{LIST}?limit=5"
    while href:
        page = api.get(href, by=me).data["bookmarks"]
        shown += [entry["title"] for entry in page["items"]]
        href = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
        if len(shown) == 5:
            # What comes in meanwhile moves no page.
            api.put(f"{make.conversation(bikes).path}/bookmark", by=me)

    assert shown == [f"Number {n}" for n in range(11, -1, -1)]
    assert api.get(f"{LIST}?limit=5", by=me).statements == 2


@pytest.mark.parametrize("query", ["limit=7", "limit=x", "before=x", "before=-1"])
def test_a_bad_query_is_refused(api: Api, me: Person, query: str) -> None:
    assert api.get(f"{LIST}?{query}", by=me).status == 400


def test_nobody_else_sees_it(api: Api, make: Factory, bikes: Site, me: Person) -> None:
    chat = make.conversation(bikes, by=bikes.owner)
    before = [api.get(chat.path, by=person).body for person in (bikes.owner, None)]
    api.put(f"{chat.path}/bookmark", by=me)

    assert api.get(f"{chat.path}/bookmark", by=bikes.owner).status == 404
    assert chat.id not in [
        entry["itemId"] for entry in api.get(LIST, by=bikes.owner).data["bookmarks"]["items"]
    ]
    after = [api.get(chat.path, by=person).body for person in (bikes.owner, None)]
    assert before[0] == after[0]
    logged = make.sql(
        "SELECT 1 FROM event_log e WHERE e.site_id = %(site)s AND e.actor_id = %(me)s AND e.item_type_id <> 3",
        site=bikes.id,
        me=me.id,
    )
    assert logged == []


def test_guests_have_none(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)

    for method in ("GET", "PUT", "DELETE"):
        assert api.request(method, f"{chat.path}/bookmark", site=bikes).code == 5
    assert api.get(LIST, site=bikes).code == 5


def test_what_may_not_be_read_any_more_is_passed_over(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    shut = make.conversation(site, microcosm=place, by=site.owner, title="Shut")
    gone = make.conversation(site, by=site.owner, title="Gone")
    hidden = make.comment(make.conversation(site, by=site.owner, title="Hidden"), by=site.owner)
    things: list[Thing] = [shut, make.comment(shut), gone, make.comment(gone), hidden]
    for thing in things:
        api.put(f"{thing.path}/bookmark", by=site.member)
    make.role(site, place.id, "Nobody", users=True)
    api.delete(gone.path, by=site.owner)
    api.patch(hidden.path, ("moderated", True), by=site.owner)

    assert _titles(api, site.member) == []
    assert api.get(f"{shut.path}/bookmark", by=site.member).code == 9
    assert api.get(f"{gone.path}/bookmark", by=site.member).status == 404
    api.patch(gone.path, ("deleted", False), by=site.owner)
    assert _titles(api, site.member) == ["Gone", "Gone"]
    assert api.delete(f"{shut.path}/bookmark", by=site.member).status == 200


def test_a_huddle_is_listed_while_one_is_in_it(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    huddle = make.huddle(bikes.owner, person, title="Between us")
    comment = make.comment(huddle, by=bikes.owner)
    for thing in (huddle, comment):
        assert api.put(f"{thing.path}/bookmark", by=person).status == 302

    assert _titles(api, person) == ["Between us", "Between us"]
    assert api.put(f"{huddle.path}/bookmark", by=bikes.member).code == 9
    api.delete(huddle.path, by=person)
    assert _titles(api, person) == []


def test_what_is_not_there_can_not_be_bookmarked(api: Api, bikes: Site) -> None:
    path = "/api/v1/conversations/987654321/bookmark"

    assert api.put(path, by=bikes.member).code == 9
    assert api.put(path, by=bikes.owner).status == 404
