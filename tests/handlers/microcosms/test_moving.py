"""Items of every type: moved, flagged, hidden and brought back as they were (content 1.10, 3.5, 3.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forumapi import itemtypes, routes
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

# What each type needs beside its place and title.
BODIES: dict[str, dict[str, Any]] = {
    "conversations": {},
    "events": {"when": "2031-06-07T09:30:00Z", "tz": "Europe/Lisbon", "rsvpLimit": 5},
    "polls": {"question": "Which?", "choices": [{"choice": "Green"}, {"choice": "Blue"}]},
}
KINDS = {
    "conversations": itemtypes.CONVERSATION,
    "events": itemtypes.EVENT,
    "polls": itemtypes.POLL,
}
TYPES = [name for name in BODIES if f"/api/v1/{name}" in routes.SITE]
NEVER = 987_654_321

# What tells of writing itself, or of the last writer, and not of the state of things; and the mark by which dispatch,
# in a process of its own, remembers until its next turn that nobody was notified.
PASSING = (
    "'version', 'edited', 'edited_by', 'edit_reason', 'last_active', 'acl_version', 'delta_id',"
    " 'role_ids', 'next_change_at', 'is_unannounced'"
)
APART = (
    # Records of what moderators did, with what undoes it, and of what was chained.
    "action_changes",
    "actions",
    "audit_details",
    "audit_entries",
    "audit_heads",
    "audit_log",
    "statements",
    "event_cursors",
    "event_heads",
    "event_log",
    "event_sequence",
    "idempotency_keys",
    "item_views",
    # Words to be learnt or forgotten, which a job works off.
    "search_gone",
    "site_changes",
    "site_usage",
    # What the readers of the event log leave, in their own time.
    "mail_outbox",
    "updates",
    "webhook_deliveries",
)


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose rows are compared as a whole."""
    return make.site()


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    """The type of an item, as in its address."""
    return str(request.param)


def begin(api: Api, kind: str, place: Thing, by: Person, title: str = "An item") -> Thing:
    """A new item over HTTP."""
    body = {"microcosmId": place.id, "title": title, **BODIES[kind]}
    made = api.post(f"/api/v1/{kind}", body, by=by)
    assert made.status == 302, made.body
    return Thing(place.site, KINDS[kind], int(made.location.rpartition("/")[2]))


def move(api: Api, item: Thing, to: int, by: Person) -> Response:
    body = {"microcosmId": to, "meta": {"editReason": "elsewhere"}}
    return api.put(item.path, body, by=by)


def figures(api: Api, place: Thing) -> tuple[int, int]:
    """(items, comments) of a microcosm as its parent's page shows them."""
    page = api.get("/api/v1/microcosms?limit=250", by=place.site.owner).data["items"]["items"]
    (one,) = [
        one["item"]
        for one in page
        if one["itemType"] == "microcosm" and one["item"]["id"] == place.id
    ]
    return one["totalItems"], one["totalComments"]


# ---------------------------------------------------------------- moving


def test_counts_and_last_activity_follow_a_move(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    here, there = (make.microcosm(site) for _ in range(2))
    item = begin(api, kind, here, site.member)
    make.comments(item, 3)
    stays = make.conversation(site, microcosm=there)
    make.comment(stays)
    assert [figures(api, here), figures(api, there)] == [(1, 3), (1, 1)]

    assert move(api, item, there.id, site.member).status == 302

    assert [figures(api, here), figures(api, there)] == [(0, 0), (2, 4)]
    shown = api.get(item.path, by=site.member).data
    assert shown["microcosmId"] == there.id
    assert shown["comments"]["total"] == 3
    assert shown["meta"]["editReason"] == "elsewhere"


def test_a_target_must_be_there_open_and_take_the_type(
    api: Api, make: Factory, site: Site, trains: Site, kind: str
) -> None:
    here = make.microcosm(site)
    item = begin(api, kind, here, site.member)
    other_types = tuple({6, 7, 9} - {KINDS[kind]})
    takes_others = make.microcosm(site, item_types=other_types)
    closed, gone, hidden = (make.microcosm(site) for _ in range(3))
    below = make.microcosm(site, parent=gone)
    for place, flag, value in (
        (closed, "open", False),
        (gone, "deleted", True),
        (hidden, "moderated", True),
    ):
        assert api.patch(place.path, (flag, value), by=site.owner).status == 200
    private = make.microcosm(site)
    make.role(site, private.id, "Nobody")
    foreign = make.microcosm(trains)

    # What the author may not see is answered like what never was.
    for to in (private.id, foreign.id, NEVER):
        assert move(api, item, to, site.member).status == 403
    told = [move(api, item, to, site.member).body for to in (foreign.id, NEVER)]
    assert told[0] == told[1]
    assert move(api, item, closed.id, site.member).status == 403
    assert move(api, item, takes_others.id, site.member).status == 400
    for to in (gone.id, hidden.id, below.id):
        assert move(api, item, to, site.member).status in (403, 404)
        assert move(api, item, to, site.owner).status == 404
    assert move(api, item, foreign.id, site.owner).status in (403, 404)
    assert api.get(item.path, by=site.member).data["microcosmId"] == here.id
    assert figures(api, here) == (1, 0)


def test_a_reader_moves_nothing(api: Api, make: Factory, site: Site, kind: str) -> None:
    here, there = (make.microcosm(site) for _ in range(2))
    item = begin(api, kind, here, site.member)

    assert move(api, item, there.id, site.newcomer).status == 403
    assert move(api, item, there.id, site.moderator).status == 302


def test_a_hidden_item_that_is_moved_counts_where_it_comes_back(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    here, there = (make.microcosm(site) for _ in range(2))
    item = begin(api, kind, here, site.member)
    make.comments(item, 2)
    api.patch(item.path, ("moderated", True), by=site.moderator)
    assert [figures(api, here), figures(api, there)] == [(0, 0), (0, 0)]

    assert move(api, item, there.id, site.moderator).status == 302
    assert [figures(api, here), figures(api, there)] == [(0, 0), (0, 0)]
    assert api.patch(item.path, ("moderated", False), by=site.moderator).status == 200
    assert [figures(api, here), figures(api, there)] == [(0, 0), (1, 2)]


# ---------------------------------------------------------------- as it was


def state(make: Factory, site: Site) -> dict[str, list[str]]:
    """Every row of the site in every table, but for what tells of the writing itself."""
    make.fold(site)
    tables = make.sql(
        """
        SELECT c.table_name FROM information_schema.columns c
          JOIN pg_class k ON k.relname = c.table_name AND k.relkind = 'r' AND NOT k.relispartition
         WHERE c.table_schema = 'public' AND c.column_name = 'site_id' ORDER BY 1"""
    )
    return {
        table: [
            row[0]
            for row in make.sql(
                f"SELECT (to_jsonb(t) - ARRAY[{PASSING}])::text FROM {table} t"
                " WHERE t.site_id = %(id)s ORDER BY 1",
                id=site.id,
            )
        ]
        for (table,) in tables
        if table not in APART
    }


def differing(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """The rows that are not the same, as a list that a failure can show."""
    found = []
    for table, rows in before.items():
        for row in set(rows) ^ set(after[table]):
            found.append(f"{table} {'-' if row in rows else '+'} {json.loads(row)}")
    return sorted(found)


def furnish(api: Api, make: Factory, kind: str, item: Thing) -> list[Thing]:
    """Everything that can hang on an item: comments with replies and a hidden one, watchers, marks and the rest."""
    site = item.site
    first, second, hidden = make.comments(item, 3)
    reply = make.comment(item, by=site.newcomer, reply_to=first)
    api.put(second.path, {"markdown": "Edited"}, by=site.member)
    api.delete(hidden.path, by=site.member)
    api.get(item.path, by=site.newcomer)
    api.put(f"{first.path}/reactions/like", by=site.newcomer)
    api.put(f"{item.path}/reactions/like", by=site.newcomer)
    api.put(f"{item.path}/bookmark", by=site.newcomer)
    api.put(f"{item.path}/attributes/colour", {"value": "red"}, by=site.member)
    if kind == "events":
        body = [{"profileId": site.newcomer.id, "rsvp": "yes"}]
        assert api.put(f"{item.path}/attendees", body, by=site.newcomer).status == 200
    if kind == "polls":
        shown = api.get(item.path, by=site.newcomer).data
        ballot = [{"id": shown["choices"][0]["id"]}]
        assert api.put(f"{item.path}/votes", ballot, by=site.newcomer).status in (200, 302)
    return [first, second, reply]


@pytest.mark.wide
@pytest.mark.sliced(3)
@pytest.mark.parametrize("flag", ["deleted", "moderated", "sticky"])
def test_taking_a_flag_back_brings_back_exactly_what_was_there(
    api: Api, make: Factory, site: Site, kind: str, flag: str
) -> None:
    place = make.microcosm(site)
    item = begin(api, kind, place, site.member)
    furnish(api, make, kind, item)
    pages = [api.get(item.path, by=site.newcomer).data for _ in range(2)]
    before = state(make, site)

    assert api.patch(item.path, (flag, True), by=site.moderator).status == 200
    assert differing(before, state(make, site)) != []
    hidden = flag != "sticky"
    assert api.get(item.path, by=site.newcomer).status == (404 if hidden else 200)
    assert figures(api, place) == ((0, 0) if hidden else (1, 3))
    assert api.patch(item.path, (flag, False), by=site.moderator).status == 200

    assert differing(before, state(make, site)) == []
    shown = api.get(item.path, by=site.newcomer).data
    for told in ("edited", "editedBy", "editReason"):
        shown["meta"].pop(told, None)
    assert shown == pages[1]


def test_closing_and_opening_again_changes_nothing_else(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    item = begin(api, kind, make.microcosm(site), site.member)
    furnish(api, make, kind, item)
    before = state(make, site)

    assert api.patch(item.path, ("open", False), by=site.moderator).status == 200
    refused = {"itemType": itemtypes.name_of(item.type), "itemId": item.id, "markdown": "x"}
    assert api.post("/api/v1/comments", refused, by=site.newcomer).status == 403
    assert api.patch(item.path, ("open", True), by=site.moderator).status == 200

    assert differing(before, state(make, site)) == []


def test_there_and_back_changes_nothing_else(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    here, there = (make.microcosm(site) for _ in range(2))
    item = begin(api, kind, here, site.member)
    furnish(api, make, kind, item)
    before = state(make, site)

    for place in (there, here):
        assert move(api, item, place.id, site.moderator).status == 302

    assert differing(before, state(make, site)) == []


def test_an_item_that_its_author_deleted_comes_back_whole(
    api: Api, make: Factory, site: Site, kind: str
) -> None:
    item = begin(api, kind, make.microcosm(site), site.member)
    make.comments(item, 2)
    before = state(make, site)

    assert api.delete(item.path, by=site.member).status == 200
    assert api.delete(item.path, by=site.member).status == 200
    assert api.patch(item.path, ("deleted", False), by=site.moderator).status == 200

    assert differing(before, state(make, site)) == []


@pytest.mark.wide
@pytest.mark.sliced(2)
@pytest.mark.parametrize("flag", ["deleted", "moderated"])
def test_a_comment_comes_back_as_it_was(
    api: Api, make: Factory, site: Site, kind: str, flag: str
) -> None:
    item = begin(api, kind, make.microcosm(site), site.member)
    comments = furnish(api, make, kind, item)
    before = state(make, site)

    for comment in comments:
        assert api.patch(comment.path, (flag, True), by=site.moderator).status == 200
    assert api.get(item.path, by=site.newcomer).data["comments"]["total"] == 0
    for comment in comments:
        assert api.patch(comment.path, (flag, False), by=site.moderator).status == 200

    assert differing(before, state(make, site)) == []


def test_flags_need_a_moderator(api: Api, make: Factory, site: Site, kind: str) -> None:
    item = begin(api, kind, make.microcosm(site), site.member)
    make.comment(item, by=site.newcomer)
    for flag in ("sticky", "moderated", "deleted"):
        for by in (site.member, site.newcomer, site.banned):
            assert api.patch(item.path, (flag, True), by=by).status == 403, flag
        assert api.patch(item.path, (flag, True), by=site.moderator).status == 200, flag
        assert api.patch(item.path, (flag, False), by=site.moderator).status == 200, flag
