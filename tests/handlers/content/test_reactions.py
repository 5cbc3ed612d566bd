"""Reactions: one a profile and kind, exact counts in documents, a list of the site's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server

KINDS = "/api/v1/site/reactions"


@pytest.fixture
def chat(make: Factory, bikes: Site) -> Thing:
    return make.conversation(bikes, by=bikes.owner)


def _counts(api: Api, thing: Thing) -> dict[str, int]:
    counts: dict[str, int] = api.get(thing.path, site=thing.site).data["meta"].get("reactions", {})
    return counts


@pytest.mark.parametrize("kind", ["conversation", "comment"])
def test_it_is_given_once_and_taken_back(
    api: Api, make: Factory, bikes: Site, chat: Thing, kind: str
) -> None:
    thing = make.comment(chat) if kind == "comment" else chat
    path = f"{thing.path}/reactions"

    for _ in range(2):
        given = api.put(f"{path}/like", by=bikes.member)
        assert (given.status, given.location) == (302, path)
    api.put(f"{path}/like", by=bikes.newcomer)
    api.put(f"{path}/love", by=bikes.member)
    assert _counts(api, thing) == {"like": 2, "love": 1}
    mine = {one["name"]: one for one in api.get(path, by=bikes.newcomer).data["reactions"]}
    assert list(mine) == ["like", "love", "laugh", "surprise", "sad", "thanks"]
    assert mine["like"] == {"name": "like", "text": "👍", "count": 2, "own": True}
    assert mine["love"]["own"] is False
    for _ in range(2):
        assert api.delete(f"{path}/like", by=bikes.member).status == 200
    assert _counts(api, thing) == {"like": 1, "love": 1}
    api.delete(f"{path}/love", by=bikes.member)
    api.delete(f"{path}/like", by=bikes.newcomer)
    assert "reactions" not in api.get(thing.path, site=bikes).data["meta"]


def test_counts_stand_last_in_meta_of_embedded_comments(
    api: Api, make: Factory, bikes: Site, chat: Thing
) -> None:
    first, _ = make.comments(chat, 2)
    api.put(f"{first.path}/reactions/thanks", by=bikes.member)

    shown = api.get(chat.path, site=bikes).data["comments"]["items"]

    assert list(shown[0]["meta"])[-2:] == ["links", "reactions"]
    assert shown[0]["meta"]["reactions"] == {"thanks": 1}
    assert "reactions" not in shown[1]["meta"]
    assert list(api.get(first.path, site=bikes).data["meta"])[-1] == "reactions"
    reply = make.comment(chat, reply_to=first)
    assert api.get(reply.path, site=bikes).data["meta"]["inReplyTo"]["meta"]["reactions"] == {
        "thanks": 1
    }


def test_a_biography_shows_them_too(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    bio = make.comment(person, by=person)
    api.put(f"{bio.path}/reactions/like", by=bikes.member)

    shown = api.get(person.path, by=bikes.member).data["profileComment"]

    assert shown["meta"]["reactions"] == {"like": 1}


def test_they_move_no_version_but_the_tag(
    api: Api, make: Factory, bikes: Site, chat: Thing
) -> None:
    comment = make.comment(chat)
    for thing in (chat, comment):
        before = api.get(thing.path, site=bikes).headers["ETag"]
        api.put(f"{thing.path}/reactions/like", by=bikes.member)
        after = api.get(thing.path, site=bikes).headers["ETag"]

        assert before != after
        assert before.partition("-")[0] == after.partition("-")[0]


def test_pages_cost_what_they_cost_without(
    api: Api, make: Factory, bikes: Site, chat: Thing
) -> None:
    comments = make.comments(chat, 25)
    api.get(chat.path, site=bikes)
    before = api.get(chat.path, site=bikes).statements
    for comment in comments[:5]:
        api.put(f"{comment.path}/reactions/like", by=bikes.member)

    first = api.get(chat.path, site=bikes)
    after = api.get(chat.path, site=bikes)

    assert first.statements <= 2
    assert after.statements == before
    assert after.cache_trips <= 1


@pytest.mark.wide
def test_counts_are_exact_when_many_react_at_once(
    server: Server, make: Factory, bikes: Site, chat: Thing
) -> None:
    people = [make.person(bikes) for _ in range(12)]
    names = ("like", "love", "like")

    def react(person: Any) -> None:
        api = server.api()
        for name in names:
            assert api.put(f"{chat.path}/reactions/{name}", by=person).status == 302
        if person in people[:4]:
            assert api.delete(f"{chat.path}/reactions/love", by=person).status == 200
        api.close()

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(react, people))

    api = server.api()
    assert _counts(api, chat) == {"like": 12, "love": 8}
    api.close()


def test_who_may_react(api: Api, make: Factory, chat: Thing) -> None:
    site = make.site()
    place = make.microcosm(site)
    secret = make.conversation(site, microcosm=place, by=site.owner)
    make.role(site, place.id, "Nobody", users=True)
    public = make.conversation(site, by=site.owner)

    assert api.put(f"{public.path}/reactions/like", site=site).code == 5
    assert api.delete(f"{public.path}/reactions/like", site=site).code == 5
    assert api.put(f"{secret.path}/reactions/like", by=site.member).code == 9
    assert api.get(f"{secret.path}/reactions", by=site.member).code == 9
    assert api.put(f"{public.path}/reactions/like", by=site.banned).code == 13
    api.delete(public.path, by=site.owner)
    assert api.put(f"{public.path}/reactions/like", by=site.member).status == 404
    assert api.get(f"{public.path}/reactions", by=site.member).status == 404


def test_only_the_sites_reactions_are_given(api: Api, make: Factory) -> None:
    site = make.site()
    thing = make.conversation(site)
    api.put(f"{thing.path}/reactions/like", by=site.member)
    wanted = [{"name": "chapeau", "text": "🎩"}, {"name": "up", "text": "+1"}]

    assert api.put(KINDS, wanted, by=site.owner).status == 200
    assert api.get(KINDS, site=site).data == wanted
    refused = api.put(f"{thing.path}/reactions/like", by=site.newcomer)
    assert refused.status == 400
    assert api.put(f"{thing.path}/reactions/chapeau", by=site.newcomer).status == 302
    # What was given stays counted, and can be taken back.
    assert _counts(api, thing) == {"like": 1, "chapeau": 1}
    assert api.delete(f"{thing.path}/reactions/like", by=site.member).status == 200
    assert _counts(api, thing) == {"chapeau": 1}
    assert api.put(KINDS, [], by=site.owner).status == 200
    assert api.get(KINDS, site=site).data == []
    assert api.delete(KINDS, by=site.owner).status == 200
    assert api.get(KINDS, site=site).data[0]["name"] == "like"


def test_only_the_owner_says_which(api: Api, bikes: Site) -> None:
    for person in (None, bikes.member, bikes.moderator):
        assert api.put(KINDS, [], site=bikes, by=person).code == 8
        assert api.delete(KINDS, site=bikes, by=person).code == 8


def test_the_site_shows_its_kinds(api: Api, make: Factory) -> None:
    site = make.site()

    def shown() -> list[str]:
        found = api.get("/api/v1/site", site=site, by=site.member).data
        assert found["reactions"] == api.get(KINDS, site=site).data
        return [kind["name"] for kind in found["reactions"]]

    assert shown()[:2] == ["like", "love"]
    before = api.get("/api/v1/site", site=site).headers["etag"]
    assert api.put(KINDS, [{"name": "chapeau", "text": "🎩"}], by=site.owner).status == 200
    assert shown() == ["chapeau"]
    assert api.get("/api/v1/site", site=site).headers["etag"] != before
    assert api.put(KINDS, [], by=site.owner).status == 200
    assert shown() == []
    assert api.delete(KINDS, by=site.owner).status == 200
    assert len(shown()) == 6


@pytest.mark.parametrize(
    ("kinds", "field"),
    [
        ([{"name": "Like", "text": "x"}], "[0].name"),
        ([{"text": "x"}], "[0].name"),
        ([{"name": "a b", "text": "x"}], "[0].name"),
        ([{"name": "ok", "text": "x"}, {"name": "ok", "text": "y"}], "[1].name"),
        ([{"name": "ok", "text": "  "}], "[0].text"),
        ([{"name": "ok"}], "[0].text"),
        ([{"name": "ok", "text": "x" * 21}], "[0].text"),
        ([{"name": f"n{n}", "text": "x"} for n in range(21)], "20"),
    ],
)
def test_a_bad_list_is_refused(
    api: Api, bikes: Site, kinds: list[dict[str, str]], field: str
) -> None:
    refused = api.put(KINDS, kinds, by=bikes.owner)

    assert refused.status == 400
    assert field in refused.error


def test_a_text_is_made_harmless(api: Api, make: Factory) -> None:
    site = make.site()

    api.put(KINDS, [{"name": "x", "text": "<b>&</b>"}], by=site.owner)

    assert api.get(KINDS, site=site).data == [{"name": "x", "text": "&amp;"}]
