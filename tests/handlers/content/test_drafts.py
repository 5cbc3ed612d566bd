"""Drafts: one a place and profile, versioned, private, gone with what they became."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from forumapi.models.content import draft
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.fixtures import Server

TEXT = {"markdown": "Half a *thought", "inReplyTo": 12}


@pytest.fixture
def chat(make: Factory, bikes: Site) -> Thing:
    return make.conversation(bikes, by=bikes.owner)


def _save(api: Api, place: str, by: Person, version: int | None = None, **more: Any) -> int:
    body = {"content": TEXT, "version": version, **more}
    return api.put(f"{place}/draft", body, by=by).status


def test_a_draft_is_kept_and_read_again(api: Api, bikes: Site, chat: Thing) -> None:
    made = api.put(f"{chat.path}/draft", {"content": TEXT}, by=bikes.member)

    assert (made.status, made.location) == (302, f"{chat.path}/draft")
    shown = api.follow(made, by=bikes.member).data
    assert list(shown) == ["itemType", "placeType", "placeId", "version", "content", "meta"]
    assert (shown["itemType"], shown["placeType"]) == ("comment", "conversation")
    assert (shown["placeId"], shown["version"], shown["content"]) == (chat.id, 1, TEXT)
    assert api.delete(f"{chat.path}/draft", by=bikes.member).status == 200
    assert api.get(f"{chat.path}/draft", by=bikes.member).status == 404
    assert api.delete(f"{chat.path}/draft", by=bikes.member).status == 200


def test_another_version_is_a_conflict(api: Api, bikes: Site, chat: Thing) -> None:
    me = bikes.member

    assert _save(api, chat.path, me, 1) == 409
    assert _save(api, chat.path, me) == 302
    assert _save(api, chat.path, me) == 409
    assert _save(api, chat.path, me, 2) == 409
    assert _save(api, chat.path, me, 1) == 302
    assert _save(api, chat.path, me, 1) == 409
    refused = api.put(f"{chat.path}/draft", {"content": {}, "version": 1}, by=me)
    assert "version 2" in refused.error
    kept = api.get(f"{chat.path}/draft", by=me).data
    assert (kept["version"], kept["content"]) == (2, TEXT)


def test_of_many_first_copies_at_once_one_stands(
    server: Server, make: Factory, bikes: Site, chat: Thing
) -> None:
    person = make.person(bikes)

    def save(number: int) -> int:
        api = server.api()
        body = {"content": {"number": number}}
        status = api.put(f"{chat.path}/draft", body, by=person).status
        api.close()
        return status

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(save, range(8)))

    assert statuses == [302] + [409] * 7


def test_of_two_that_change_the_same_version_at_once_one_is_refused(
    server: Server, make: Factory, bikes: Site, chat: Thing, database_url: str
) -> None:
    person = make.person(bikes)

    def save(number: int) -> int:
        api = server.api()
        body = {"content": {"number": number}, "version": 1}
        status = api.put(f"{chat.path}/draft", body, by=person).status
        api.close()
        return status

    client = server.api()
    assert client.put(f"{chat.path}/draft", {"content": TEXT}, by=person).status == 302
    client.close()
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(2) as pool:
        # Both have begun before either can get through.
        other.execute("SELECT 1 FROM drafts WHERE profile_id = %s FOR UPDATE", [person.id])
        statuses = pool.map(save, range(2))
        make.wait_for_locks(2)
        other.rollback()
        found = sorted(statuses)

    assert found == [302, 409]


def test_nobody_else_sees_it(api: Api, bikes: Site, chat: Thing) -> None:
    _save(api, chat.path, bikes.member)

    for person in (bikes.owner, bikes.moderator, bikes.newcomer):
        assert api.get(f"{chat.path}/draft", by=person).status == 404
        assert api.get("/api/v1/drafts", by=person).data["drafts"]["total"] == 0
    assert api.get(f"{chat.path}/draft", site=bikes).code == 5
    assert api.get("/api/v1/drafts", site=bikes).code == 5


def test_drafts_leave_no_trace_for_others(api: Api, make: Factory, chat: Thing) -> None:
    person = make.person(chat.site)
    _save(api, chat.path, person)

    logged = make.sql(
        "SELECT 1 FROM event_log e WHERE e.site_id = %(site)s AND e.actor_id = %(me)s AND e.item_type_id <> 3",
        site=chat.site.id,
        me=person.id,
    )

    assert logged == []


def test_the_list_has_them_all(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    places = [make.conversation(bikes).path for _ in range(7)]
    for place in places:
        _save(api, place, person)

    first = api.get("/api/v1/drafts?limit=5", by=person).data["drafts"]
    second = api.get("/api/v1/drafts?limit=5&offset=5", by=person).data["drafts"]

    assert (first["total"], first["type"]) == (7, "/api/v1/drafts")
    shown = [
        entry["meta"]["links"][1]["href"] for page in (first, second) for entry in page["items"]
    ]
    assert shown == places[::-1]
    assert api.get("/api/v1/drafts?offset=25", by=person).code == 4
    assert api.get("/api/v1/drafts", by=person).statements == 2


def test_a_published_comment_takes_its_draft_along(api: Api, bikes: Site, chat: Thing) -> None:
    _save(api, chat.path, bikes.member)
    _save(api, chat.path, bikes.newcomer)
    comment = {"itemType": "conversation", "itemId": chat.id, "markdown": "A whole thought"}

    assert api.post("/api/v1/comments", {**comment, "markdown": " "}, by=bikes.member).status == 400
    assert api.get(f"{chat.path}/draft", by=bikes.member).status == 200
    assert api.post("/api/v1/comments", comment, by=bikes.member).status == 302
    assert api.get(f"{chat.path}/draft", by=bikes.member).status == 404
    assert api.get(f"{chat.path}/draft", by=bikes.newcomer).status == 200
    # What a client saves too late, over a version that is gone, stays away.
    assert _save(api, chat.path, bikes.member, 1) == 409


def test_a_published_item_takes_its_draft_along(api: Api, make: Factory, bikes: Site) -> None:
    place = make.microcosm(bikes)
    item = {"microcosmId": place.id, "title": "A plan"}
    me = bikes.member
    assert _save(api, place.path, me, itemType="poll") == 302

    assert api.post("/api/v1/conversations", item, by=me).status == 302
    assert api.get(f"{place.path}/draft", by=me).data["itemType"] == "poll"
    assert _save(api, place.path, me, 1, itemType="conversation") == 302
    again = {**item, "title": "Another plan"}
    assert api.post("/api/v1/conversations", again, by=me).status == 302
    assert api.get(f"{place.path}/draft", by=me).status == 404


def test_a_comment_on_a_profile_has_a_draft(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)

    assert _save(api, person.path, person) == 302
    assert _save(api, person.path, bikes.newcomer) == 403
    body = {"itemType": "profile", "itemId": person.id, "markdown": "About me"}
    assert api.post("/api/v1/comments", body, by=person).status == 302
    assert api.get(f"{person.path}/draft", by=person).status == 404


def test_a_comment_in_a_huddle_has_a_draft(api: Api, make: Factory, bikes: Site) -> None:
    huddle = make.huddle(bikes.member, bikes.owner)

    assert _save(api, huddle.path, bikes.member) == 302
    assert _save(api, huddle.path, bikes.newcomer) == 403
    body = {"itemType": "huddle", "itemId": huddle.id, "markdown": "Between us"}
    assert api.post("/api/v1/comments", body, by=bikes.member).status == 302
    assert api.get(f"{huddle.path}/draft", by=bikes.member).status == 404


def test_each_kind_of_place_has_one(api: Api, make: Factory, bikes: Site) -> None:
    person = make.person(bikes)
    for place in (make.event(bikes), make.poll(bikes), make.huddle(person), person):
        assert _save(api, place.path, person) == 302
        shown = api.get(f"{place.path}/draft", by=person).data
        assert (shown["itemType"], shown["placeId"]) == ("comment", place.id)
        assert shown["content"] == TEXT


def test_a_place_to_write_is_needed(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    make.role(site, place.id, "Readers", users=True, rights=("read",))
    chat = make.conversation(site, microcosm=place, by=site.owner)

    assert _save(api, chat.path, site.member) == 403
    assert _save(api, place.path, site.member, itemType="poll") == 403
    assert _save(api, "/api/v1/conversations/987654321", site.member) == 403
    assert _save(api, "/api/v1/conversations/987654321", site.owner) == 404
    api.delete(chat.path, by=site.owner)
    assert _save(api, chat.path, site.member) == 403


def test_a_draft_outlives_the_right_to_publish_it(api: Api, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place, by=site.owner)
    _save(api, chat.path, site.member)
    make.role(site, place.id, "Nobody", users=True)
    api.delete(chat.path, by=site.owner)

    assert api.get(chat.path, by=site.member).status == 403
    assert api.get(f"{chat.path}/draft", by=site.member).data["content"] == TEXT
    assert api.delete(f"{chat.path}/draft", by=site.member).status == 200
    assert api.get(f"{chat.path}/draft", by=site.member).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": None}, "content"),
        ({"content": [1]}, "content"),
        ({"content": "text"}, "content"),
        ({"content": {}, "version": -1}, "version"),
        ({"content": {}, "version": "1"}, "version"),
        ({"content": {}, "version": 2**40}, "version"),
    ],
)
def test_a_bad_draft_is_refused(
    api: Api, bikes: Site, chat: Thing, body: dict[str, Any], field: str
) -> None:
    refused = api.put(f"{chat.path}/draft", body, by=bikes.member)

    assert refused.status == 400
    assert field in refused.error


@pytest.mark.parametrize("item_type", [None, "comment", "huddle", "microcosm", "nonsense"])
def test_a_draft_in_a_microcosm_says_what_it_will_be(
    api: Api, make: Factory, bikes: Site, item_type: str | None
) -> None:
    place = make.microcosm(bikes)

    refused = api.put(
        f"{place.path}/draft", {"content": TEXT, "itemType": item_type}, by=bikes.member
    )

    assert refused.status == 400
    assert "itemType" in refused.error


def test_a_draft_has_a_limit(api: Api, bikes: Site, chat: Thing) -> None:
    much = {"content": {"markdown": "x" * (draft.MAX_BYTES - 20)}}
    more = {"content": {"markdown": "x" * draft.MAX_BYTES}}

    assert api.put(f"{chat.path}/draft", more, by=bikes.member).status == 413
    assert api.put(f"{chat.path}/draft", much, by=bikes.member).status == 302


def test_deep_or_odd_content_comes_back_or_is_refused(api: Api, bikes: Site, chat: Thing) -> None:
    odd = {"content": {"\0": "\0", "big": 2**70, "é": None, "list": [1.5, {}]}}
    deep = b'{"content":' + b'{"a":' * 3000 + b"1" + b"}" * 3001

    refused = api.request(
        "PUT",
        f"{chat.path}/draft",
        by=bikes.member,
        body=deep,
        headers={"Content-Type": "application/json"},
    )
    kept = api.put(f"{chat.path}/draft", odd, by=bikes.member)

    assert refused.status == 400
    assert api.follow(kept, by=bikes.member).data["content"] == odd["content"]


def test_so_many_are_kept(api: Api, make: Factory, bikes: Site, chat: Thing) -> None:
    person = make.person(bikes)
    make.sql(
        """
        INSERT INTO drafts (site_id, profile_id, place_type_id, place_id, writes_type_id, content)
        SELECT %(site)s, %(me)s, 6, 1000000 + n, 4, '{}' FROM generate_series(1, %(count)s::int) n""",
        site=bikes.id,
        me=person.id,
        count=draft.MAX_DRAFTS,
    )

    assert api.put(f"{chat.path}/draft", {"content": TEXT}, by=person).code == 4


def test_if_match_names_the_version_of_the_draft(api: Api, bikes: Site, chat: Thing) -> None:
    _save(api, chat.path, bikes.member)
    tag = api.get(f"{chat.path}/draft", by=bikes.member).headers["ETag"]

    again = api.get(f"{chat.path}/draft", by=bikes.member, headers={"If-None-Match": tag})

    assert tag.startswith('"1-')
    assert again.status == 304
