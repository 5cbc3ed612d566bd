"""Conversations over real HTTP: content 3 and 4."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site


def test_a_member_begins_a_conversation_and_reads_it_back(api: Api, bikes: Site) -> None:
    made = api.post(
        "/api/v1/conversations",
        {"microcosmId": bikes.root_id, "title": "Dynamo hubs"},
        by=bikes.member,
    )

    assert made.status == 302
    assert made.data is None
    shown = api.follow(made, by=bikes.member).data
    assert shown["title"] == "Dynamo hubs"
    assert shown["comments"]["items"] == []
    assert shown["meta"]["createdBy"]["profileName"] == "member"
    assert shown["meta"]["flags"]["watched"] is True


def test_the_same_conversation_within_minutes_is_the_first_one(api: Api, bikes: Site) -> None:
    body = {"microcosmId": bikes.root_id, "title": "Said twice"}

    first = api.post("/api/v1/conversations", body, by=bikes.member)
    again = api.post("/api/v1/conversations", body, by=bikes.member)
    other = api.post("/api/v1/conversations", body, by=bikes.newcomer)

    assert first.location == again.location != other.location


def test_a_deleted_conversation_is_no_duplicate(api: Api, bikes: Site) -> None:
    body = {"microcosmId": bikes.root_id, "title": "Said, deleted, said"}
    first = api.post("/api/v1/conversations", body, by=bikes.member)
    assert api.delete(first.location, by=bikes.member).status == 200

    assert api.post("/api/v1/conversations", body, by=bikes.member).location != first.location


def test_a_guest_may_not_post_and_a_title_is_needed(api: Api, bikes: Site) -> None:
    body = {"microcosmId": bikes.root_id, "title": "x"}

    assert api.post("/api/v1/conversations", body, site=bikes).status == 403
    refused = api.post("/api/v1/conversations", {**body, "title": "  "}, by=bikes.member)
    assert refused.status == 400
    assert "title" in refused.error
    assert api.post("/api/v1/conversations", {"title": "x"}, by=bikes.member).status == 403


def test_a_page_costs_two_statements_for_a_member_and_one_for_a_guest(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    make.comments(chat, 30)
    last = chat.path + "?offset=25"
    for path in (chat.path, last):
        api.get(path, site=bikes)

    assert api.get(chat.path, site=bikes).statements == 1
    # The first look at a page moves the read mark; the next one writes nothing.
    assert api.get(chat.path, by=bikes.newcomer).statements == 3
    assert api.get(chat.path, by=bikes.newcomer).statements == 2
    assert api.get(last, by=bikes.newcomer).statements == 3
    assert api.get(last, by=bikes.newcomer).statements == 2


@pytest.mark.wide
@pytest.mark.slow
def test_pages_hold_each_comment_once_with_hidden_and_ignored_ones_left_out(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    ours = make.comments(chat, 43)
    noisy = make.person(bikes)
    for _ in range(9):
        make.comment(chat, by=noisy)
        ours += make.comments(chat, 2)
    for hidden in ours[::6]:
        assert api.delete(hidden.path, by=bikes.moderator).status == 200
    kept = [one.id for index, one in enumerate(ours) if index % 6]
    reader = make.person(bikes)
    make.ignore(reader, noisy)

    def ids(by: object, limit: int) -> list[int]:
        found: list[int] = []
        offset = 0
        while True:
            page = api.get(f"{chat.path}?limit={limit}&offset={offset}", by=by, site=bikes)
            comments = page.data["comments"]
            found += [comment["id"] for comment in comments["items"]]
            assert comments["total"] == len(kept) + (0 if by is reader else 9)
            if offset >= comments["maxOffset"]:
                return found
            offset += limit

    assert ids(reader, 5) == kept
    assert ids(reader, 25) == kept
    assert set(kept) < set(ids(None, 10))


def test_hidden_things_are_404_and_moderators_restore_them(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    make.comment(chat, by=bikes.newcomer)

    assert api.delete(chat.path, by=bikes.member).status == 403
    assert api.delete(chat.path, by=bikes.moderator).status == 200
    assert api.delete(chat.path, by=bikes.moderator).status == 200
    assert api.get(chat.path, by=bikes.newcomer).status == 404
    assert api.get(chat.path, site=bikes).status == 404
    # Its author reads why.
    assert api.get(chat.path, by=bikes.member).status == 200
    seen = api.get(chat.path, by=bikes.moderator)
    assert seen.data["meta"]["flags"]["deleted"] is True
    assert api.patch(chat.path, ("deleted", False), by=bikes.moderator).status == 200
    assert api.get(chat.path, by=bikes.member).status == 200


def test_authors_close_what_they_began_but_do_not_reopen_it(
    api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)

    assert api.patch(chat.path, ("open", False), by=bikes.newcomer).status == 403
    assert api.patch(chat.path, ("open", False), by=bikes.member).status == 200
    assert api.patch(chat.path, ("open", True), by=bikes.member).status == 403
    refused = api.post(
        "/api/v1/comments",
        {"itemType": "conversation", "itemId": chat.id, "markdown": "too late"},
        by=bikes.newcomer,
    )
    assert refused.status == 403
    assert refused.code == 10
    assert api.patch(chat.path, ("open", True), by=bikes.moderator).status == 200


@pytest.mark.parametrize("kind", ["conversation", "event", "poll"])
def test_a_list_of_one_microcosm(api: Api, make: Factory, kind: str) -> None:
    site = make.site()
    place, secret = make.microcosm(site, "Open"), make.microcosm(site, "Closed")
    make.role(site, secret.id, "Committee", rights=("read",))
    inner = make.microcosm(site, "Inner", parent=place)
    one = getattr(make, kind)(site, microcosm=place)
    for other in (secret, inner, None):
        getattr(make, kind)(site, **({"microcosm": other} if other else {}))

    def listed(microcosm: object, by: Person | None = site.member) -> list[int]:
        path = f"/api/v1/{kind}s?microcosmId={microcosm}"
        found = api.get(path, by=by, site=site).data[f"{kind}s"]
        assert found["total"] == len(found["items"])
        return [item["id"] for item in found["items"]]

    assert listed(place.id) == listed(place.id, None) == [one.id]
    assert listed(secret.id) == listed(10**9) == listed(0) == []
    assert len(listed(secret.id, site.owner)) == 1
    assert api.get(f"/api/v1/{kind}s?microcosmId=x", by=site.member).status == 400


@pytest.mark.parametrize("kind", ["conversation", "event", "poll"])
def test_who_may_read_a_microcosm_and_not_the_root_gets_its_list(
    api: Api, make: Factory, kind: str
) -> None:
    site = make.site()
    make.sql(
        """UPDATE roles SET can_read = false
            WHERE site_id = %(site)s AND microcosm_id = %(root)s AND NOT is_moderator RETURNING 1""",
        site=site.id,
        root=site.root_id,
    )
    place, secret = make.microcosm(site, "Open"), make.microcosm(site, "Closed")
    make.role(site, place.id, "All", rights=("read",), guests=True, users=True)
    one = getattr(make, kind)(site, microcosm=place)
    getattr(make, kind)(site, microcosm=secret)

    for by in (site.member, None):
        found = api.get(f"/api/v1/{kind}s?microcosmId={place.id}", by=by, site=site)
        assert [item["id"] for item in found.data[f"{kind}s"]["items"]] == [one.id]
        there = api.get(place.path, by=by, site=site).data["meta"]["permissions"]
        assert found.data["meta"]["permissions"] == there
        refused = [
            api.get(f"/api/v1/{kind}s{query}", by=by, site=site)
            for query in (
                "",
                *(f"?microcosmId={id}" for id in (secret.id, 10**9, 0, "x", "9" * 30)),
            )
        ]
        assert {(answer.status, answer.code) for answer in refused} == {(403, refused[0].code)}


@pytest.mark.parametrize("kind", ["conversation", "event", "poll"])
def test_lists_tell_a_member_what_is_unread(api: Api, make: Factory, kind: str) -> None:
    site = make.site()
    thing = getattr(make, kind)(site, by=site.owner)
    make.comment(thing, by=site.owner)

    def unread(by: Person | None) -> list[Any]:
        listed = api.get(f"/api/v1/{kind}s", by=by, site=site).data[f"{kind}s"]["items"]
        return [one["meta"]["flags"].get("unread") for one in listed]

    tag = api.get(f"/api/v1/{kind}s", by=site.member).headers["etag"]
    assert unread(site.member) == [True]
    api.get(thing.path, by=site.member)
    assert unread(site.member) == [False]
    assert unread(site.newcomer) == [True]
    place = {"itemType": "microcosm", "itemId": site.root_id}
    assert api.put("/api/v1/profiles/read", place, by=site.newcomer).status == 200
    assert unread(site.newcomer) == [False]
    assert unread(site.moderator) == [True]
    assert unread(None) == [None]
    again = api.get(f"/api/v1/{kind}s", by=site.member, headers={"If-None-Match": tag})
    assert again.status == 200
