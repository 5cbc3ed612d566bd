"""Tests of what the caller may do, asked over real HTTP: platform 5.4."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site


@pytest.mark.parametrize("role", ["owner", "moderator", "member"])
def test_an_item_costs_a_member_one_statement(
    role: str, api: Api, make: Factory, bikes: Site
) -> None:
    chat = make.conversation(bikes)
    path = f"/api/v1/permission?itemType=conversation&itemId={chat.id}"
    by = bikes.cast()[role]
    api.get(path, by=by)

    answer = api.get(path, by=by)

    assert answer.statements == 1
    shown = api.get(chat.path, by=by).data["meta"]["permissions"]
    assert answer.data == shown


def test_another_type_than_the_items_names_nothing(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)

    # First: the process reads the site and its tree at its first request.
    nothing = api.get("/api/v1/permission?itemType=event&itemId=999999", by=bikes.member)
    answer = api.get(f"/api/v1/permission?itemType=event&itemId={chat.id}", by=bikes.member)

    assert answer.statements == 1
    assert answer.data == nothing.data


def test_a_bad_id_is_named_whoever_asks(api: Api, bikes: Site) -> None:
    for by in (None, bikes.member):
        answer = api.get("/api/v1/permission?itemType=conversation&itemId=x", site=bikes, by=by)
        assert answer.status == 400
        assert "itemId" in answer.error


NEVER = 987_654_321


def _flags(api: Api, by: Person, kind: str, id: int) -> set[str]:
    """The flags that are true, by one question, which a batch answers alike."""
    alone = api.get(f"/api/v1/permission?itemType={kind}&itemId={id}", by=by).data
    asked = [{"itemType": kind, "itemId": id}]
    assert api.post("/api/v1/permission/batch", asked, by=by).data == [alone]
    return {name for name, value in alone.items() if value}


def test_a_strangers_comment_in_a_huddle_is_none_for_the_owner_of_the_site(
    api: Api, make: Factory, bikes: Site
) -> None:
    huddle = make.huddle(bikes.member, bikes.newcomer)
    comment = make.comment(huddle, by=bikes.member)

    for id in (comment.id, NEVER):
        assert _flags(api, bikes.owner, "comment", id) == {"moderator", "siteOwner"}
        assert api.get(f"/api/v1/comments/{id}", by=bikes.owner).status == 404
    assert _flags(api, bikes.member, "comment", comment.id) >= {"read", "update", "owner"}


@pytest.mark.wide
def test_an_update_without_a_row_is_the_own_of_who_is_told_of_it(
    api: Api, make: Factory, bikes: Site
) -> None:
    place, reader = make.microcosm(bikes), make.person(bikes)
    api.post("/api/v1/watchers", {"itemType": "microcosm", "itemId": place.id}, by=reader)
    chat = make.conversation(bikes, microcosm=place, by=bikes.owner)
    api.post("/api/v1/watchers", {"itemType": "conversation", "itemId": chat.id}, by=reader)
    api.post("/api/v1/watchers", {"itemType": "profile", "itemId": bikes.owner.id}, by=reader)
    make.comment(chat, by=bikes.owner)
    make.comment(bikes.owner, by=bikes.owner)
    huddle = make.huddle(bikes.owner, reader)
    api.post("/api/v1/watchers", {"itemType": "huddle", "itemId": huddle.id}, by=reader)
    make.comment(huddle, by=bikes.owner)

    listed = api.get("/api/v1/updates", by=reader).data["updates"]["items"]

    assert {one["updateType"] for one in listed} == {
        "new_item",
        "new_comment",
        "new_comment_in_huddle",
    }
    assert len(listed) == 4
    for one in listed:
        assert _flags(api, reader, "update", one["id"]) == {
            "read",
            "update",
            "delete",
            "owner",
        }
        for other in (bikes.newcomer, bikes.moderator):
            assert _flags(api, other, "update", one["id"]) == set()
        assert _flags(api, reader, "update", one["id"] + 1000) == set()

    api.delete(f"/api/v1/watchers/delete?itemType=huddle&itemId={huddle.id}", by=reader)
    gone = [one["id"] for one in listed if one["updateType"] == "new_comment_in_huddle"]
    assert _flags(api, reader, "update", gone[0]) == set()
