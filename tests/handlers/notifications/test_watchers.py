"""Tests of what a member follows: naming it, what is sent of it, the list, and that nothing hidden shows in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.models.journal.journal import Author
from forumapi.models.notifications.watcher import MOST_AT_ONCE
from forumapi.models.people.profile_options import ProfileOptions
from tests.factories import Person, Site, Thing
from tests.stage import Stage, staged

NEVER = 987_654_321
ZERO = "0001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("watchers")) as made:
        yield made


@pytest.fixture
def site(stage: Stage) -> Site:
    """A site of the test's own, with the usual cast."""
    return stage.make.site()


def named(what: Any, **more: Any) -> dict[str, Any]:
    """A person, site or thing as a body names it."""
    if isinstance(what, Site):
        kind = "site"
    else:
        kind = itemtypes.name_of(what.type) if isinstance(what, Thing) else "profile"
    return {"itemType": kind, "itemId": what.id, **more}


def follow(stage: Stage, by: Person, *things: Any) -> None:
    """Lets somebody follow things."""
    for what in things:
        assert stage.post("/watchers", named(what), by=by).status == 200, what


def page(stage: Stage, by: Person, query: str = "") -> Any:
    """The page of what somebody follows."""
    answer = stage.get(f"/watchers{query}", by=by)
    assert answer.status == 200, answer.error
    return answer.data["watchers"]


def listed(stage: Stage, by: Person) -> list[tuple[str, int]]:
    """Types and ids of what somebody follows."""
    return [(one["itemType"], one["itemId"]) for one in page(stage, by)["items"]]


def rows(stage: Stage, person: Person) -> list[tuple[Any, ...]]:
    """(type, id, mail) of what is stored for somebody."""
    return stage.sql(
        """SELECT item_type_id, item_id, send_email FROM watchers
            WHERE site_id = %(s)s AND profile_id = %(p)s ORDER BY item_type_id, item_id""",
        s=person.site.id,
        p=person.id,
    )


# ---------------------------------------------------------------- following


def test_everything_that_can_be_followed_is_listed_as_its_lists_show_it(
    stage: Stage, site: Site
) -> None:
    make, me = stage.make, site.member
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    make.comment(chat, by=site.owner)
    event, poll = make.event(site), make.poll(site)
    huddle = make.huddle(site.owner, me)
    make.comment(huddle, by=site.owner)
    stage.sql("DELETE FROM watchers WHERE site_id = %(s)s", s=site.id)
    everything = (site, place, site.newcomer, huddle, chat, poll, event)
    follow(stage, me, *everything)
    assert stage.post("/watchers", {"itemType": "profile", "itemId": 0}, by=me).data is True

    found = page(stage, me)

    shown = {(one["itemType"], one["itemId"]): one["item"] for one in found["items"]}
    assert set(shown) == {(named(what)["itemType"], what.id) for what in everything} | {
        ("profile", 0)
    }
    assert found["total"] == 8
    assert found["type"] == "/api/v1/watchers"
    assert shown["site", site.id]["siteId"] == site.id
    assert shown["microcosm", place.id]["mostRecentUpdate"]["item"]["id"] == chat.id
    assert "unread" not in shown["microcosm", place.id]["meta"]["flags"]
    assert shown["profile", site.newcomer.id]["profileName"] == site.newcomer.name
    assert shown["profile", 0] is None
    assert {one["id"] for one in shown["huddle", huddle.id]["participants"]} == {
        site.owner.id,
        me.id,
    }
    assert shown["huddle", huddle.id]["meta"]["flags"] == {}
    assert shown["conversation", chat.id]["totalComments"] == 1
    assert "unread" not in shown["conversation", chat.id]["meta"]["flags"]
    assert "status" in shown["event", event.id]
    assert "pollQuestion" in shown["poll", poll.id] or "question" in shown["poll", poll.id]


def test_an_entry_has_the_keys_of_the_wire(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site)
    follow(stage, site.member, chat)

    (entry,) = page(stage, site.member)["items"]

    assert list(entry) == [
        "id",
        "itemTypeId",
        "itemId",
        "lastNotified",
        "sendEmail",
        "sendSMS",
        "item",
        "itemType",
    ]
    assert entry["lastNotified"] == ZERO
    assert (entry["itemTypeId"], entry["itemId"]) == (itemtypes.CONVERSATION, chat.id)


def test_following_twice_changes_nothing(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site, by=site.owner)
    stage.watch(site.member, itemtypes.CONVERSATION, chat.id, email=True)
    for method in ("POST", "PUT"):
        answer = stage.request(method, "/watchers", named(chat), by=site.member)
        assert (answer.status, answer.data) == (200, True)
    assert rows(stage, site.member) == [(itemtypes.CONVERSATION, chat.id, True)]


def test_what_is_followed_says_so_where_it_is_shown(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    huddle = make.huddle(site.owner, me)
    things = (make.microcosm(site), make.conversation(site), make.event(site), make.poll(site))
    follow(stage, me, *things, huddle, site.owner)
    for what in (*things, huddle, site.owner):
        kind = itemtypes.BY_NAME[named(what)["itemType"]]
        address = f"{kind.path.removeprefix('/api/v1')}/{what.id}"
        flags = stage.get(address, by=me).data["meta"]["flags"]
        assert flags["watched"] is True, address
        assert flags["sendEmail"] is False
        assert (
            "watched"
            not in stage.get(address, by=site.moderator if what is not huddle else site.owner).data[
                "meta"
            ]["flags"]
        )
    assert "watched" not in stage.get("/profiles", by=me).data["meta"]["flags"]
    stage.post("/watchers", {"itemType": "profile", "itemId": 0}, by=me)
    assert stage.get("/profiles", by=me).data["meta"]["flags"]["watched"] is True


@pytest.mark.parametrize(
    ("thing", "seed"),
    [("microcosm", 8), ("site", 8), ("huddle", 4), ("everybody", 9), ("chat", 1), ("person", 1)],
)
def test_what_is_sent_follows_the_preference_of_its_kind(
    stage: Stage, site: Site, thing: str, seed: int
) -> None:
    make, me = stage.make, site.member
    what = {
        "microcosm": lambda: named(make.microcosm(site)),
        "site": lambda: named(site),
        "huddle": lambda: named(make.huddle(site.owner, site.newcomer, me)),
        "everybody": lambda: {"itemType": "profile", "itemId": 0},
        "chat": lambda: named(make.conversation(site, by=site.owner)),
        "person": lambda: named(site.owner),
    }[thing]()
    stage.sql("DELETE FROM watchers WHERE site_id = %(s)s", s=site.id)
    usual = seed == 9
    for preference in (not usual, usual):
        stage.sql(
            """INSERT INTO update_options (site_id, profile_id, update_type_id, send_email, send_sms)
               VALUES (%(s)s, %(p)s, %(t)s, %(e)s, false)
                   ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE SET send_email = %(e)s""",
            s=site.id,
            p=me.id,
            t=seed,
            e=preference,
        )
        assert stage.post("/watchers", what, by=me).data is preference
        query = f"itemType={what['itemType']}&itemId={what['itemId']}"
        assert stage.request("DELETE", f"/watchers/delete?{query}", by=me).status == 200
    # Another kind may be named, with a preference of its own (N-04 for those of nobody's making).
    assert stage.post(
        "/watchers", what | {"updateTypeId": 9}, by=site.owner if thing == "huddle" else me
    ).data is (True)


def test_the_switch_of_a_profile_turns_off_what_is_on_by_default(stage: Stage, site: Site) -> None:
    with stage.app.database.write() as tx:
        ProfileOptions.update(
            tx,
            Author(site.id, site.member.id, ""),
            show_dob=None,
            show_dob_year=None,
            send_email=False,
            send_sms=None,
        )
    everybody = {"itemType": "profile", "itemId": 0}
    assert stage.post("/watchers", everybody, by=site.member).data is False
    assert stage.post("/watchers", everybody, by=site.newcomer).data is True


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"itemId": 1}, "itemType: must be one of"),
        ({"itemType": "banana", "itemId": 1}, "itemType: must be one of"),
        ({"itemType": "comment", "itemId": 1}, "itemType: must be one of"),
        ({"itemType": "conversation"}, "itemId: is required"),
        ({"itemType": "conversation", "itemId": 0}, "itemId: must be the id"),
        ({"itemType": "profile", "itemId": -1}, "itemId: must be the id"),
        ({"itemType": "conversation", "itemId": "7"}, "itemId: expected int"),
    ],
)
def test_what_names_nothing_is_refused(stage: Stage, body: Any, says: str) -> None:
    me = stage.site.member
    for method, path in (("POST", ""), ("PUT", ""), ("PATCH", "/patch")):
        answer = stage.request(method, f"/watchers{path}", body, by=me)
        assert answer.status == 400
        assert says in answer.error
    for method in ("PUT", "PATCH", "DELETE"):
        answer = stage.request(method, "/watchers/batch", [body], by=me)
        assert answer.status == 400
        assert "[0]" in answer.error


def test_a_kind_of_update_is_one_of_nine(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site)
    for kind in (0, 10, -1):
        answer = stage.post("/watchers", named(chat, updateTypeId=kind), by=site.member)
        assert answer.status == 400
        assert "updateTypeId" in answer.error
    assert stage.post("/watchers", named(chat, updateTypeId=None), by=site.member).status == 200


def test_what_one_cant_read_can_t_be_followed(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.member
    closed = make.microcosm(site)
    make.role(site, closed.id, "Nobody", rights=("read",))
    inside = make.conversation(site, microcosm=closed, by=site.owner)
    gone = make.conversation(site, by=site.owner)
    assert stage.request("DELETE", f"/conversations/{gone.id}", by=site.owner).status == 200
    huddle = make.huddle(site.owner, site.moderator)
    before = rows(stage, me)
    for what in (closed, inside, gone, huddle):
        for body in (named(what), named(what) | {"itemId": NEVER}):
            assert stage.post("/watchers", body, by=me).status == 404, what
            assert stage.put("/watchers/batch", [body], by=me).status == 404, what
    assert rows(stage, me) == before


def test_a_foreign_id_is_answered_like_none(stage: Stage, site: Site) -> None:
    make = stage.make
    other = make.site()
    watched = stage.watch(other.member, itemtypes.PROFILE, other.owner.id)
    foreign = (
        make.conversation(other),
        make.microcosm(other),
        other.member,
        make.huddle(other.member, other.owner),
        other,
    )
    for by in (site.member, site.owner, None):
        stage.get("/watchers", by=by, site=site)
        for what in foreign:
            bodies = [named(what, sendEmail=True), named(what, sendEmail=True) | {"itemId": NEVER}]
            for method, path in (("POST", ""), ("PATCH", "/patch"), ("PATCH", f"/{NEVER}")):
                one, none = (
                    stage.request(method, f"/watchers{path}", body, by=by, site=site)
                    for body in bodies
                )
                assert (one.status, one.body, one.statements) == (
                    none.status,
                    none.body,
                    none.statements,
                )
                assert one.status == (403 if by is None else 404 if method == "POST" else 400)
        for method, body in (("DELETE", None), ("PATCH", {"sendEmail": True})):
            one, none = (
                stage.request(method, f"/watchers/{id}", body, by=by, site=site)
                for id in (watched, NEVER)
            )
            assert (one.status, one.body, one.statements) == (
                none.status,
                none.body,
                none.statements,
            )
            assert one.status == (403 if by is None else 404)


def test_guests_follow_nothing(stage: Stage) -> None:
    body = named(stage.site.member, sendEmail=True)
    assert stage.get("/watchers").status == 403
    for method, path, sent in (
        ("POST", "", body),
        ("PUT", "", body),
        ("PATCH", "/patch", body),
        ("PATCH", "/1", body),
        ("DELETE", "/1", None),
        ("DELETE", "/delete?itemType=profile&itemId=1", None),
        ("PUT", "/batch", [body]),
        ("PATCH", "/batch", [body]),
        ("DELETE", "/batch", [body]),
    ):
        assert stage.request(method, f"/watchers{path}", sent).status == 403, (method, path)


# ---------------------------------------------------------------- changing and ending


def test_what_is_sent_is_changed_key_by_key(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site, by=site.owner)
    id = stage.watch(site.member, itemtypes.CONVERSATION, chat.id)

    def sent() -> tuple[bool, bool]:
        (entry,) = page(stage, site.member)["items"]
        return entry["sendEmail"], entry["sendSMS"]

    steps = (
        ("/watchers/patch", named(chat, sendEmail=True, sendSMS=True), (True, True)),
        ("/watchers/patch", named(chat, sendEmail=False), (False, True)),
        ("/watchers/patch", named(chat), (False, True)),
        (f"/watchers/{id}", {"sendEmail": True}, (True, True)),
        (f"/watchers/{id}", {"sendSMS": False}, (True, False)),
        (f"/watchers/{NEVER}", named(chat, sendEmail=False), (False, False)),
        ("/watchers/delete", named(chat, sendSMS=True), (False, True)),
    )
    for path, body, expected in steps:
        answer = stage.request("PATCH", path, body, by=site.member)
        assert (answer.status, answer.data) == (200, None), path
        assert sent() == expected, (path, body)


def test_only_what_is_followed_can_be_changed(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site, by=site.owner)
    theirs = stage.watch(site.newcomer, itemtypes.CONVERSATION, chat.id)
    body = named(chat, sendEmail=True)
    assert stage.request("PATCH", "/watchers/patch", body, by=site.member).status == 400
    for by in (site.member, site.owner):
        path = f"/watchers/{theirs}"
        assert stage.request("PATCH", path, {"sendEmail": True}, by=by).status == 404
    assert rows(stage, site.newcomer) == [(itemtypes.CONVERSATION, chat.id, False)]


def test_an_end_is_put_to_it_by_item_once_or_twice(stage: Stage, site: Site) -> None:
    chat, event = stage.make.conversation(site), stage.make.event(site)
    follow(stage, site.newcomer, chat, event)
    query = f"itemType=Conversation&itemId={chat.id}&updateTypeId=1"
    for path in ("delete", "delete", "patch"):
        answer = stage.request("DELETE", f"/watchers/{path}?{query}", by=site.newcomer)
        assert (answer.status, answer.data) == (200, None)
    assert listed(stage, site.newcomer) == [("event", event.id)]
    query = f"itemType=event&itemId={event.id}&method=DELETE"
    assert stage.post(f"/watchers/delete?{query}", by=site.newcomer).status == 200
    assert listed(stage, site.newcomer) == []


def test_what_can_t_be_read_any_more_can_still_be_left(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site, by=site.owner)
    follow(stage, site.newcomer, chat)
    stage.request("DELETE", f"/conversations/{chat.id}", by=site.owner)
    query = f"itemType=conversation&itemId={chat.id}"
    assert stage.request("DELETE", f"/watchers/delete?{query}", by=site.newcomer).status == 200
    assert rows(stage, site.newcomer) == []


@pytest.mark.parametrize(
    "query", ["", "?itemType=conversation", "?itemId=1", "?itemType=x&itemId=1"]
)
def test_leaving_by_item_names_it(stage: Stage, query: str) -> None:
    assert stage.request("DELETE", f"/watchers/delete{query}", by=stage.site.member).status == 400


def test_an_end_is_put_to_it_by_id(stage: Stage, site: Site) -> None:
    ids = [stage.watch(site.member, itemtypes.PROFILE, id) for id in (site.owner.id, 0)]
    path = f"/watchers/{ids[0]}"
    assert stage.request("DELETE", path, by=site.newcomer).status == 403
    answer = stage.request("DELETE", path, by=site.member)
    assert (answer.status, answer.data) == (200, None)
    assert stage.request("DELETE", path, by=site.member).status == 404
    assert stage.request("DELETE", f"/watchers/{ids[1]}", by=site.owner).status == 200
    assert rows(stage, site.member) == []


def test_one_watcher_is_not_shown_or_replaced(stage: Stage, site: Site) -> None:
    id = stage.watch(site.member, itemtypes.PROFILE, site.owner.id)
    for method in ("GET", "PUT", "POST"):
        for path in (f"/watchers/{id}", "/watchers/patch", "/watchers/delete"):
            answer = stage.request(method, path, {}, by=site.member)
            assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS,DELETE,PATCH")


# ---------------------------------------------------------------- several at once


def test_several_at_once_are_all_taken_or_none(stage: Stage, site: Site) -> None:
    me, chats = site.newcomer, [stage.make.conversation(site) for _ in range(3)]
    batch = [named(chat) for chat in chats]
    missing = {"itemType": "conversation", "itemId": NEVER, "sendEmail": True}

    refused = stage.put("/watchers/batch", [*batch, missing], by=me)
    assert refused.status == 404
    assert "body[3].itemId" in refused.error
    assert rows(stage, me) == []

    assert stage.put("/watchers/batch", [*batch, batch[0]], by=me).status == 200
    assert len(rows(stage, me)) == 3

    changes = [one | {"sendEmail": True} for one in batch]
    refused = stage.request("PATCH", "/watchers/batch", [*changes, missing], by=me)
    assert refused.status == 400
    assert "body[3].itemId" in refused.error
    assert not any(row[2] for row in rows(stage, me))
    twice = [changes[0], changes[1] | {"sendEmail": False}, changes[1]]
    assert stage.request("PATCH", "/watchers/batch", twice, by=me).status == 200
    assert [row[2] for row in rows(stage, me)] == [True, True, False]

    assert stage.request("DELETE", "/watchers/batch", [*batch[:2], missing], by=me).status == 200
    assert listed(stage, me) == [("conversation", chats[2].id)]


def test_a_batch_costs_as_much_as_one(stage: Stage, site: Site) -> None:
    chats = [stage.make.conversation(site) for _ in range(20)]
    batch = [named(chat, sendEmail=True) for chat in chats]
    stage.get("/watchers", by=site.newcomer)
    for method in ("PUT", "PATCH", "DELETE"):
        one = stage.request(method, "/watchers/batch", batch[:1], by=site.newcomer)
        if method != "DELETE":
            stage.put("/watchers/batch", batch, by=site.newcomer)
        many = stage.request(method, "/watchers/batch", batch, by=site.newcomer)
        assert (one.status, many.status) == (200, 200)
        assert one.statements == many.statements


def test_a_batch_has_one_to_a_hundred_entries(stage: Stage) -> None:
    entry = {"itemType": "conversation", "itemId": 1}
    for batch in ([], [entry] * (MOST_AT_ONCE + 1)):
        for method in ("PUT", "PATCH", "DELETE"):
            answer = stage.request(method, "/watchers/batch", batch, by=stage.site.member)
            assert answer.status == 400


def test_a_repeated_key_follows_nothing_anew(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site, by=site.owner)
    held = {"Idempotency-Key": "follow once"}
    first = stage.post("/watchers", named(chat), by=site.member, headers=held)
    assert (first.status, first.data) == (200, False)
    stage.request("PATCH", "/watchers/patch", named(chat, sendEmail=True), by=site.member)
    assert stage.post("/watchers", named(chat), by=site.member, headers=held).data is True
    stage.request(
        "DELETE", f"/watchers/delete?itemType=conversation&itemId={chat.id}", by=site.member
    )
    assert stage.post("/watchers", named(chat), by=site.member, headers=held).data is False
    assert rows(stage, site.member) == []


# ---------------------------------------------------------------- the list


def test_what_was_never_notified_comes_first_then_the_latest(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    first, second, third, fourth = (make.conversation(site) for _ in range(4))
    event = make.event(site)
    follow(stage, me, event, third, first, second, fourth, site.owner)
    for what, day in ((first, 2), (second, 4)):
        stage.sql(
            """UPDATE watchers SET last_notified = make_timestamptz(2026, 1, %(d)s, 0, 0, 0.25, 'UTC')
                WHERE site_id = %(s)s AND item_id = %(i)s AND profile_id = %(p)s""",
            d=day,
            s=site.id,
            i=what.id,
            p=me.id,
        )

    items = page(stage, me)["items"]

    assert [(one["itemTypeId"], one["itemId"]) for one in items] == [
        (itemtypes.PROFILE, site.owner.id),
        (itemtypes.CONVERSATION, fourth.id),
        (itemtypes.CONVERSATION, third.id),
        (itemtypes.EVENT, event.id),
        (itemtypes.CONVERSATION, second.id),
        (itemtypes.CONVERSATION, first.id),
    ]
    assert [one["lastNotified"] for one in items][-2:] == [
        "2026-01-04T00:00:00.25Z",
        "2026-01-02T00:00:00.25Z",
    ]


def test_pages_and_their_ends(stage: Stage, site: Site) -> None:
    me = site.newcomer
    chats = [stage.make.conversation(site) for _ in range(7)]
    follow(stage, me, *chats)
    ids = [chat.id for chat in reversed(chats)]
    first, second = page(stage, me, "?limit=5"), page(stage, me, "?limit=5&offset=5")
    assert [one["itemId"] for one in first["items"] + second["items"]] == ids
    assert (first["total"], second["total"]) == (7, 7)
    for query, code in (("limit=5&offset=10", 4), ("limit=7", 4), ("offset=x", 3)):
        answer = stage.get(f"/watchers?{query}", by=me)
        assert (answer.status, answer.code) == (400, code), query
    empty = page(stage, site.owner)
    assert (empty["total"], empty["items"], empty["maxOffset"]) == (0, [], 0)


def test_what_is_gone_or_closed_is_neither_shown_nor_counted(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    place, below = make.microcosm(site), make.microcosm(site)
    chats = [make.conversation(site, microcosm=below) for _ in range(3)]
    inside = make.conversation(site, microcosm=place)
    huddle = make.huddle(site.owner, me)
    follow(stage, me, place, below, inside, *chats, huddle)
    assert page(stage, me)["total"] == 7

    stage.request("DELETE", f"/conversations/{chats[0].id}", by=site.owner)
    moderate = [{"op": "replace", "path": "/meta/flags/moderated", "value": True}]
    stage.request("PATCH", f"/conversations/{chats[1].id}", moderate, by=site.owner)
    role = make.role(site, place.id, "Nobody", rights=("read",))
    stage.sql(
        """DELETE FROM huddle_participants
            WHERE site_id = %(s)s AND item_id = %(h)s AND profile_id = %(p)s""",
        s=site.id,
        h=huddle.id,
        p=me.id,
    )
    found = page(stage, me)
    assert [(one["itemType"], one["itemId"]) for one in found["items"]] == [
        ("microcosm", below.id),
        ("conversation", chats[2].id),
    ]
    assert found["total"] == 2

    make.join(role, me)
    assert page(stage, me)["total"] == 4
    stage.request(
        "PATCH", f"/conversations/{chats[1].id}", [moderate[0] | {"value": False}], by=site.owner
    )
    assert page(stage, me)["total"] == 5
    stage.request("DELETE", f"/microcosms/{below.id}", by=site.owner)
    assert page(stage, me)["total"] == 2


def test_others_do_not_see_it(stage: Stage, site: Site) -> None:
    follow(stage, site.member, stage.make.conversation(site))
    for by in (site.owner, site.newcomer):
        assert listed(stage, by) == []


def test_a_followed_place_has_no_news_that_one_ignores(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    place = make.microcosm(site)
    below = make.microcosm(site, parent=place)
    older, newer, deeper = (
        make.conversation(site, microcosm=place),
        make.conversation(site, microcosm=place),
        make.conversation(site, microcosm=below),
    )
    follow(stage, me, place, below)

    def news() -> list[int | None]:
        items = page(stage, me)["items"]
        found = {
            one["itemId"]: one["item"].get("mostRecentUpdate", {}).get("item", {}).get("id")
            for one in items
        }
        return [found[place.id], found[below.id]]

    assert news() == [deeper.id, deeper.id]
    make.ignore(me, deeper)
    assert news() == [newer.id, None]
    make.ignore(me, newer)
    assert news() == [older.id, None]
    stage.request("DELETE", "/ignored", named(deeper), by=me)
    assert news() == [deeper.id, deeper.id]
    make.ignore(me, below)
    assert news() == [older.id, None]


@pytest.mark.wide
def test_the_list_costs_three_statements_and_one_round_trip_to_memcached(
    database_url: str, memcached: str, tmp_path: Path
) -> None:
    with staged(database_url, tmp_path, memcached=[memcached]) as stage:
        make, site = stage.make, stage.site
        me = site.newcomer
        for _ in range(6):
            place = make.microcosm(site)
            chat = make.conversation(site, microcosm=place, by=make.person(site))
            make.comment(chat, by=make.person(site))
            huddle = make.huddle(make.person(site), me)
            make.comment(huddle, by=me)
            things = (place, chat, make.person(site), huddle, make.event(site), make.poll(site))
            follow(stage, me, *things)
        follow(stage, me, site)
        stage.get("/watchers?limit=50", by=me)
    with staged(database_url, tmp_path, memcached=[memcached]) as stage:
        stage.get("/microcosms?limit=5", by=site.owner)
        answer = stage.get("/watchers?limit=50", by=me)
        again = stage.get("/watchers?limit=50", by=me)

    assert answer.data["watchers"]["total"] == 37
    assert (again.statements, again.cache_trips) == (3, 0)
    assert answer.cache_trips == 1
    assert answer.statements <= 5  # a process that knows the site's tree not yet asks for it


def test_without_microcosms_it_costs_two(stage: Stage, site: Site) -> None:
    follow(stage, site.newcomer, *(stage.make.conversation(site) for _ in range(10)))
    stage.get("/watchers", by=site.newcomer)
    assert stage.get("/watchers", by=site.newcomer).statements == 2


def test_ignored_news_of_many_places_cost_one_statement(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    for _ in range(5):
        place = make.microcosm(site)
        make.conversation(site, microcosm=place)
        make.ignore(me, make.conversation(site, microcosm=place))
        follow(stage, me, place)
    stage.get("/watchers", by=me)
    assert stage.get("/watchers", by=me).statements == 4
    stage.get("/microcosms", by=me)
    assert stage.get("/microcosms", by=me).statements <= 4


def test_the_tag_moves_with_what_the_list_shows(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    place, chat = make.microcosm(site), make.conversation(site)
    huddle = make.huddle(site.owner, me)
    follow(stage, me, place, chat, huddle, site.member)
    tags = [stage.get("/watchers", by=me).headers["ETag"]]
    steps = (
        lambda: make.comment(chat),
        lambda: make.comment(huddle, by=site.owner),
        lambda: make.conversation(site, microcosm=place),
        lambda: stage.put(
            f"/profiles/{site.member.id}", {"profileName": "renamed"}, by=site.member
        ),
        lambda: stage.request("PATCH", "/watchers/patch", named(chat, sendEmail=True), by=me),
        lambda: stage.sql(
            "UPDATE watchers SET last_notified = now() WHERE site_id = %(s)s AND item_id = %(i)s",
            s=site.id,
            i=chat.id,
        ),
    )
    for step in steps:
        held = {"If-None-Match": tags[-1]}
        assert stage.get("/watchers", by=me, headers=held).status == 304
        step()
        answer = stage.get("/watchers", by=me, headers=held)
        assert answer.status == 200
        tags.append(answer.headers["ETag"])
    assert b"renamed" in stage.get("/watchers", by=me).body


# ---------------------------------------------------------------- following by itself (discovery 5.5)


def test_who_writes_follows_and_again_after_leaving(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    chat, event, poll = make.conversation(site), make.event(site), make.poll(site)
    huddle = make.huddle(me, site.owner)
    for what in (chat, event, poll, huddle, me):
        body = named(what, markdown="Well.")
        assert stage.post("/comments", body, by=me).status == 302
        assert (named(what)["itemType"], what.id) in listed(stage, me)
        query = f"itemType={named(what)['itemType']}&itemId={what.id}"
        stage.request("DELETE", f"/watchers/delete?{query}", by=me)
        assert (named(what)["itemType"], what.id) not in listed(stage, me)
        stage.post("/comments", body | {"markdown": "Well, well."}, by=me)
        assert (named(what)["itemType"], what.id) in listed(stage, me)


def test_who_begins_something_follows_it(stage: Stage, site: Site) -> None:
    place = stage.make.microcosm(site)
    choices = [{"choice": "This"}, {"choice": "That"}]
    for path, more in (
        ("conversations", {}),
        ("events", {}),
        ("polls", {"question": "Which?", "choices": choices}),
    ):
        body = {"microcosmId": place.id, "title": "Something new", **more}
        made = stage.post(f"/{path}", body, by=site.member)
        assert made.status == 302, made.error
        id = int(made.location.rpartition("/")[2])
        assert (path[:-1], id) in listed(stage, site.member)


def test_taking_part_follows_with_the_preference_of_its_kind(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    for kind in (4, 7):
        stage.sql(
            "INSERT INTO update_options VALUES (%(s)s, %(p)s, %(t)s, true, false)",
            s=site.id,
            p=me.id,
            t=kind,
        )
    first, second, third = (make.event(site) for _ in range(3))
    yes = {"rsvp": "yes"}
    assert stage.put(f"/events/{first.id}/attendees/{me.id}", yes, by=me).status == 302
    many = [{"profileId": me.id, "rsvp": "yes"}]
    assert stage.put(f"/events/{second.id}/attendees", many, by=me).status == 200
    assert (
        stage.put(f"/events/{third.id}/attendees/{me.id}", {"rsvp": "maybe"}, by=me).status == 302
    )
    begun = {"title": "Between us", "participants": [{"id": me.id}]}
    made = stage.post("/huddles", begun, by=site.owner)
    invited = make.huddle(site.owner, site.member)
    stage.put(f"/huddles/{invited.id}/participants", [{"id": me.id}], by=site.owner)
    own = [int(made.location.rpartition("/")[2]), invited.id]

    assert rows(stage, me) == [
        *((itemtypes.HUDDLE, id, True) for id in sorted(own)),
        *((itemtypes.EVENT, one.id, True) for one in (first, second)),
    ]
    assert rows(stage, site.owner) == []

    stage.request("DELETE", f"/huddles/{invited.id}/participants/{me.id}", by=me)
    assert (itemtypes.HUDDLE, invited.id, True) not in rows(stage, me)


def test_an_existing_watcher_is_never_changed_by_writing(stage: Stage, site: Site) -> None:
    chat = stage.make.conversation(site)
    stage.watch(site.newcomer, itemtypes.CONVERSATION, chat.id, email=True)
    stage.post("/comments", named(chat, markdown="Well."), by=site.newcomer)
    assert rows(stage, site.newcomer) == [(itemtypes.CONVERSATION, chat.id, True)]


def test_a_place_says_of_its_newest_event_whether_one_comes(stage: Stage, site: Site) -> None:
    make, me = stage.make, site.newcomer
    place = make.microcosm(site)
    event = make.event(site, microcosm=place)
    follow(stage, me, place)
    follow(stage, site.member, place)
    make.attend(event, me)

    def coming(by: Person) -> list[bool]:
        (watched,) = [one for one in page(stage, by)["items"] if one["itemType"] == "microcosm"]
        front = stage.get("/microcosms", by=by).data["items"]["items"]
        (listed,) = [one for one in front if one["item"]["id"] == place.id]
        news = [one["item"]["mostRecentUpdate"]["item"] for one in (watched, listed)]
        return [one["meta"]["flags"]["attending"] for one in news]

    assert coming(me) == [True, True]
    assert coming(site.member) == [False, False]
