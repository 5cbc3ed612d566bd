"""Tests of what a member does not want to see: naming it, listing it, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.models.people import ignore
from tests.factories import Factory, Site, Thing
from tests.stage import Stage, staged

NEVER = 987_654_321


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("ignored")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of the test's own, with the usual cast."""
    return stage.make.site()


def named(what: Any) -> dict[str, Any]:
    """A person or thing as a body names it."""
    kind = itemtypes.name_of(what.type) if isinstance(what, Thing) else "profile"
    return {"itemType": kind, "itemId": what.id}


def listed(answer: Any) -> list[tuple[str, int]]:
    """Types and ids of a page of what is ignored."""
    return [(one["itemType"], one["itemId"]) for one in answer.data["ignored"]["items"]]


# ---------------------------------------------------------------- naming things


def test_what_is_ignored_is_listed_by_type_and_title(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    place = make.microcosm(site, "A place")
    zebra, ape = (make.conversation(site, title=title) for title in ("Zebra", "ape"))
    for what in (zebra, ape, site.newcomer, place):
        assert stage.put("/ignored", named(what), by=me).status == 200
        assert stage.put("/ignored", named(what), by=me).status == 200

    answer = stage.get("/ignored", by=me)

    expected = [named(one) for one in (place, site.newcomer, ape, zebra)]
    assert listed(answer) == [(one["itemType"], one["itemId"]) for one in expected]
    assert answer.data["ignored"]["total"] == 4
    assert answer.data["ignored"]["type"] == "/api/v1/ignored"
    assert answer.data["meta"] == {"links": [{"rel": "self", "href": "/api/v1/ignored"}]}
    assert listed(stage.get("/ignored", by=site.owner)) == []
    assert "unread" not in answer.body.decode()


def test_events_and_polls_are_shown_as_in_other_lists(stage: Stage, site: Site) -> None:
    me, make = site.member, stage.make
    event, poll = make.event(site), make.poll(site)
    stage.put("/ignored/batch", [named(event), named(poll)], by=me)

    answer = stage.get("/ignored", by=me)

    assert listed(answer) == [("poll", poll.id), ("event", event.id)]
    assert "status" in answer.data["ignored"]["items"][1]["item"]


def test_a_list_of_everything_costs_three_statements(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    for number in range(8):
        make.ignore(me, make.person(site))
        make.ignore(me, make.conversation(site, title=f"Number {number}"))
        make.ignore(me, make.microcosm(site))
    stage.get("/ignored", by=me)

    answer = stage.get("/ignored", by=me)

    assert answer.data["ignored"]["total"] == 24
    assert answer.statements == 3


def test_pages_and_their_ends(stage: Stage, site: Site) -> None:
    me = site.member
    chats = [stage.make.conversation(site, title=f"Chat {number}") for number in range(6)]
    for chat in chats:
        stage.make.ignore(me, chat)
    assert [id for _, id in listed(stage.get("/ignored?limit=5", by=me))] == [
        chat.id for chat in chats[:5]
    ]
    assert [id for _, id in listed(stage.get("/ignored?limit=5&offset=5", by=me))] == [chats[5].id]
    for query, code in (("limit=5&offset=10", 4), ("limit=7", 4), ("offset=x", 3)):
        answer = stage.get(f"/ignored?{query}", by=me)
        assert (answer.status, answer.code) == (400, code), query


def test_an_end_is_put_to_it_once_or_twice(stage: Stage, site: Site) -> None:
    stage.put("/ignored", named(site.newcomer), by=site.member)
    for _ in range(2):
        answer = stage.request("DELETE", "/ignored", named(site.newcomer), by=site.member)
        assert (answer.status, answer.data) == (200, None)
    assert listed(stage.get("/ignored", by=site.member)) == []


def test_several_at_once_are_all_taken_or_none(stage: Stage, site: Site) -> None:
    me, chats = site.member, [stage.make.conversation(site) for _ in range(3)]
    batch = [named(chat) for chat in chats]
    missing = {"itemType": "conversation", "itemId": NEVER}

    refused = stage.put("/ignored/batch", [*batch, missing], by=me)
    assert refused.status == 404
    assert "body[3].itemId" in refused.error
    assert listed(stage.get("/ignored", by=me)) == []

    assert stage.put("/ignored/batch", [*batch, batch[0]], by=me).status == 200
    assert len(listed(stage.get("/ignored", by=me))) == 3
    assert stage.request("DELETE", "/ignored/batch", batch[:2], by=me).status == 200
    assert listed(stage.get("/ignored", by=me)) == [("conversation", chats[2].id)]


def test_a_batch_costs_as_much_as_one(stage: Stage, site: Site) -> None:
    chats = [stage.make.conversation(site) for _ in range(20)]
    stage.get("/ignored", by=site.member)
    one = stage.put("/ignored/batch", [named(chats[0])], by=site.member)
    many = stage.put("/ignored/batch", [named(chat) for chat in chats], by=site.member)
    assert one.statements == many.statements


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"itemType": "banana", "itemId": 1}, "itemType: must be one of"),
        ({"itemType": "comment", "itemId": 1}, "itemType: must be one of"),
        ({"itemType": "site", "itemId": 1}, "itemType: must be one of"),
        ({"itemId": 1}, "itemType: must be one of"),
        ({"itemType": "profile", "itemId": 0}, "itemId: must be the id"),
        ({"itemType": "profile"}, "itemId: must be the id"),
        ({"itemType": "profile", "itemId": "7"}, "itemId: expected int"),
    ],
)
def test_what_names_nothing_is_refused(stage: Stage, body: Any, says: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = stage.request(method, "/ignored", body, by=stage.site.member)
        assert answer.status == 400
        assert says in answer.error
        batch = stage.request(method, "/ignored/batch", [body], by=stage.site.member)
        assert batch.status == 400
        assert f"body[0].{says}".replace("body[0]", "[0]") in batch.error or says in batch.error


def test_a_batch_has_one_to_a_hundred_entries(stage: Stage) -> None:
    entry = {"itemType": "conversation", "itemId": 1}
    for batch in ([], [entry] * 101):
        for method in ("PUT", "DELETE"):
            assert (
                stage.request(method, "/ignored/batch", batch, by=stage.site.member).status == 400
            )


def test_oneself_and_what_one_cant_read_are_refused(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    closed = make.microcosm(site)
    make.role(site, closed.id, "Nobody", rights=("read",))
    inside = make.conversation(site, microcosm=closed, by=site.owner)
    gone = make.conversation(site, by=site.owner)
    assert stage.request("DELETE", f"/conversations/{gone.id}", by=site.owner).status == 200
    huddle = stage.huddle(site.owner, site.moderator)
    for what in (closed, inside, gone, huddle):
        assert stage.put("/ignored", named(what), by=me).status == 404, what
    assert stage.put("/ignored", named(me), by=me).status == 400
    assert stage.put("/ignored", named(huddle), by=site.moderator).status == 200


@pytest.mark.wide
def test_a_foreign_id_is_answered_like_none(stage: Stage, site: Site, make: Factory) -> None:
    other = stage.make.site()
    foreign = (
        stage.make.conversation(other),
        stage.make.microcosm(other),
        other.member,
        stage.huddle(other.member),
    )
    for by in (site.member, site.owner, None):
        stage.get("/ignored", by=by, site=site)
        for what in foreign:
            bodies = [named(what), named(what) | {"itemId": NEVER}]
            for method in ("PUT", "DELETE"):
                one, none = (
                    stage.request(method, "/ignored", body, by=by, site=site) for body in bodies
                )
                assert (one.status, one.body, one.statements) == (
                    none.status,
                    none.body,
                    none.statements,
                )
                assert one.status == (403 if by is None else 404 if method == "PUT" else 200)


def test_guests_ignore_nothing(stage: Stage) -> None:
    body = named(stage.site.member)
    assert stage.get("/ignored").status == 403
    for method in ("PUT", "DELETE"):
        assert stage.request(method, "/ignored", body).status == 403
        assert stage.request(method, "/ignored/batch", [body]).status == 403


def test_there_is_an_end_to_what_one_can_ignore(stage: Stage, site: Site) -> None:
    stage.sql(
        """INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
           SELECT %(s)s, %(p)s, 6, -n FROM generate_series(1, %(most)s) n""",
        s=site.id,
        p=site.member.id,
        most=ignore.MOST,
    )
    answer = stage.put("/ignored", named(site.newcomer), by=site.member)
    assert answer.status == 400
    assert "1000" in answer.error


# ---------------------------------------------------------------- what the list leaves out


def test_what_is_gone_or_closed_is_neither_shown_nor_counted(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    place = make.microcosm(site)
    inside, gone, stays = (
        make.conversation(site, microcosm=place),
        make.conversation(site),
        make.conversation(site),
    )
    for what in (place, inside, gone, stays):
        make.ignore(me, what)
    assert stage.get("/ignored", by=me).data["ignored"]["total"] == 4

    stage.request("DELETE", f"/conversations/{gone.id}", by=site.owner)
    make.role(site, place.id, "Nobody", rights=("read",))

    answer = stage.get("/ignored", by=me)
    assert listed(answer) == [("conversation", stays.id)]
    assert answer.data["ignored"]["total"] == 1


def test_an_ignored_place_tells_its_size_but_not_its_news(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    place = make.microcosm(site)
    below = make.microcosm(site, parent=place)
    make.comment(make.conversation(site, microcosm=below))
    make.ignore(me, place)
    make.ignore(me, below)

    items = [one["item"] for one in stage.get("/ignored", by=me).data["ignored"]["items"]]

    assert [(one["totalItems"], one["totalComments"]) for one in items] == [(1, 1), (1, 1)]
    assert all("mostRecentUpdate" not in one for one in items)
    assert [link["id"] for link in items[0]["children"]] == [below.id]


def test_the_tag_moves_with_what_the_list_shows(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    chat = make.conversation(site)
    make.ignore(me, chat)
    make.ignore(me, site.newcomer)
    first = stage.get("/ignored", by=me)
    held = {"If-None-Match": first.headers["ETag"]}
    assert stage.get("/ignored", by=me, headers=held).status == 304

    stage.put(f"/profiles/{site.newcomer.id}", {"profileName": "renamed"}, by=site.newcomer)
    second = stage.get("/ignored", by=me, headers=held)
    assert second.status == 200
    assert b"renamed" in second.body
    make.comment(chat)
    assert (
        stage.get("/ignored", by=me, headers={"If-None-Match": second.headers["ETag"]}).status
        == 200
    )


# ---------------------------------------------------------------- what it does


def test_it_holds_from_the_next_request_on(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    chat, other = make.conversation(site), make.conversation(site)
    make.comment(other, by=site.newcomer)
    stage.put("/ignored/batch", [named(chat), named(site.newcomer)], by=me)
    shown = stage.get("/conversations", by=me).data["conversations"]["items"]
    assert [one["id"] for one in shown] == [other.id]
    assert stage.get(f"/conversations/{other.id}", by=me).data["comments"]["total"] == 0
    assert stage.get(f"/conversations/{chat.id}", by=me).data["meta"]["flags"]["ignored"] is True

    stage.request("DELETE", "/ignored/batch", [named(chat), named(site.newcomer)], by=me)
    assert len(stage.get("/conversations", by=me).data["conversations"]["items"]) == 2
    assert stage.get(f"/conversations/{other.id}", by=me).data["comments"]["total"] == 1


def test_unread_huddles_are_counted_anew(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    huddle = stage.huddle(site.newcomer, me)
    make.comment(huddle, by=site.newcomer)

    def unread() -> int:
        return int(stage.get("/whoami", by=me).data["meta"]["stats"][0]["value"])

    stage.put("/ignored", named(site.owner), by=me)
    assert unread() == 1
    for what in (huddle, site.newcomer):
        stage.put("/ignored", named(what), by=me)
        assert unread() == 0
        stage.request("DELETE", "/ignored", named(what), by=me)
        assert unread() == 1
