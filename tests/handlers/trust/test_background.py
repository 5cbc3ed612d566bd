"""Actions on many things: in the background, each step once, whatever ends in between."""

from __future__ import annotations

import datetime
import os
import sys
import time
from typing import Any, Final

import pytest

from forumapi import itemtypes
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.models.trust import action, targets
from forumapi.models.trust.action import Action, ActionGrounds, ActionQuery
from forumapi.models.trust.action_worker import ActionWorker
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

# Conversations with 25 comments each that one action hides in `make test-wide`. Ten thousand comments by hand, in two
# minutes, with the seconds that it takes: FORUMAPI_CHATS=400 .venv/bin/python -m pytest -s
# tests/handlers/trust/test_background.py -k thousands
CHATS: Final = int(os.environ.get("FORUMAPI_CHATS", "80"))

EVENTS = """
    SELECT item_id, count(*) FROM event_log
     WHERE site_id = %(s)s AND item_type_id = 4 AND kind = 'patched' GROUP BY item_id"""

COMMENTS_OF_ITEMS = "SELECT DISTINCT comment_count FROM items WHERE site_id = %(s)s"


def ended(api: Api, id: int, by: Person, state: str) -> dict[str, Any]:
    """The action once it is in a state; each look is at the database, for a minute at most."""
    until = time.monotonic() + 60
    while True:
        data: dict[str, Any] = api.get(f"/api/v1/actions/{id}", by=by).data
        if data["state"] == state or time.monotonic() > until:
            assert data["state"] == state, data["counts"]
            return data
        time.sleep(0.1)


@pytest.mark.wide
def test_more_than_a_request_holds_is_hidden_in_the_background_and_back(
    api: Api, make: Factory
) -> None:
    site = make.site()
    spammer = make.person(site)
    chats = [make.conversation(site) for _ in range(4)]
    for chat in chats:
        make.comments(chat, 70, by=spammer)
        make.comment(chat)
    sent = {"kind": "hide", "reason": "Spam", "query": {"createdBy": spammer.id}}
    answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent)
    assert (answer.status, answer.data["total"]) == (200, 280)
    id = answer.data["id"]
    assert ended(api, id, site.moderator, "done")["counts"]["done"] == 280
    for chat in chats:
        assert api.get(chat.path, by=site.newcomer).data["comments"]["total"] == 1
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {1}
    (stated,) = api.get("/api/v1/statements", by=spammer).data["statements"]["items"]
    assert stated["count"] == 280

    undone = api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator)
    assert undone.status == 200
    assert ended(api, id, site.moderator, "undone")["counts"]["undone"] == 280
    for chat in chats:
        assert api.get(chat.path, by=site.newcomer).data["comments"]["total"] == 71
    assert api.get(spammer.path, by=site.newcomer).data["commentCount"] == 280
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {2}


@pytest.mark.wide
def test_conversations_of_many_comments_are_merged_in_the_background_and_back(
    api: Api, make: Factory
) -> None:
    site = make.site()
    into, *others = (make.conversation(site) for _ in range(3))
    for one in others:
        make.comments(one, 130)
    sent: dict[str, Any] = {"kind": "merge", "reason": "One is enough"}
    sent["targets"] = [{"itemType": "conversation", "itemId": one.id} for one in others]
    sent["into"] = {"itemType": "conversation", "itemId": into.id}
    answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent)
    assert (answer.status, answer.data["state"]) == (200, "running"), answer.body
    id = answer.data["id"]
    assert ended(api, id, site.moderator, "done")["counts"]["done"] == 2
    assert api.get(into.path, by=site.newcomer).data["comments"]["total"] == 260
    for one in others:
        assert api.get(one.path, by=site.newcomer).location == into.path
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {1}

    assert api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator).data["state"] == "undoing"
    assert ended(api, id, site.moderator, "undone")["counts"]["undone"] == 2
    for thing, total in ((into, 0), *((one, 130) for one in others)):
        assert api.get(thing.path, by=site.newcomer).data["comments"]["total"] == total
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {2}


@pytest.mark.wide
@pytest.mark.parametrize(
    ("kind", "does", "undoes"), [("hide", 26, 28), ("show", 26, 29), ("move", 19, 20)]
)
def test_the_statements_of_an_action_do_not_grow_with_its_things(
    api: Api, make: Factory, kind: str, does: int, undoes: int
) -> None:
    site = make.site()
    other = make.microcosm(site)
    counted = []
    for many in (1, 2, 12):
        spammer = make.person(site)
        chats = [make.conversation(site, by=spammer) for _ in range(many)]
        things = [*chats, *(one for chat in chats for one in make.comments(chat, 3, by=spammer))]
        if kind == "show":
            act(api, site, "hide", things, 0)
        done = act(api, site, kind, chats if kind == "move" else things, other.id)
        assert done.data["counts"]["done"] == len(chats if kind == "move" else things)
        undone = api.post(f"/api/v1/actions/{done.data['id']}/undo", {}, by=site.moderator)
        assert undone.data["counts"]["undone"] == done.data["total"]
        counted.append((done.statements, undone.statements))
    # The first time, this process also reads the rights of the site.
    assert counted[1:] == [(does, undoes)] * 2


def act(api: Api, site: Site, kind: str, things: list[Thing], place_id: int) -> Response:
    """Do something to things as the moderator."""
    sent: dict[str, Any] = {"kind": kind, "reason": "Spam"}
    sent["targets"] = [named(one) for one in things]
    if kind == "move":
        sent["microcosmId"] = place_id
    answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent)
    assert answer.status == 200, answer.body
    return answer


def named(thing: Thing) -> dict[str, Any]:
    """A thing as a target of an action."""
    return {"itemType": itemtypes.name_of(thing.type), "itemId": thing.id}


@pytest.mark.wide
def test_thousands_of_comments_are_hidden_and_back(api: Api, make: Factory) -> None:
    site = make.site()
    spammer = make.person(site)
    chats = [make.conversation(site) for _ in range(CHATS)]
    for chat in chats:
        make.comments(chat, 25, by=spammer)
        make.comment(chat)
    sent = {"kind": "hide", "reason": "Spam", "query": {"createdBy": spammer.id}}
    began = time.monotonic()
    id = api.request("POST", "/api/v1/actions", by=site.moderator, json=sent).data["id"]
    assert ended(api, id, site.moderator, "done")["counts"]["done"] == CHATS * 25
    hidden_s = time.monotonic() - began
    assert {row[0] for row in make.sql(COMMENTS_OF_ITEMS, s=site.id)} == {1}
    assert api.get(spammer.path, by=site.newcomer).data["commentCount"] == 0
    began = time.monotonic()
    assert api.post(f"/api/v1/actions/{id}/undo", {}, by=site.moderator).status == 200
    assert ended(api, id, site.moderator, "undone")["counts"]["undone"] == CHATS * 25
    back_s = time.monotonic() - began
    assert {row[0] for row in make.sql(COMMENTS_OF_ITEMS, s=site.id)} == {26}
    assert api.get(spammer.path, by=site.newcomer).data["commentCount"] == CHATS * 25
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {2}
    sys.stdout.write(f"{CHATS * 25} comments hidden in {hidden_s:.1f} s, back in {back_s:.1f} s\n")


class LostError(Exception):
    """End of a process in the middle of a batch."""


@pytest.mark.wide
def test_a_batch_that_is_lost_is_done_again_and_no_step_twice(make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    make.comments(chat, 260, by=site.newcomer)
    author = Author(site.id, site.moderator.id, "")
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
    with make.database.write() as tx:
        made = Action.insert(tx, author, "hide", grounds)
        made.plan_query(tx, site.id, ActionQuery(site.newcomer.id, site_began(), [site.root_id]))
        made.start(tx, author, [site.root_id])
    worker = ActionWorker(make.database, lambda: True, lambda: None)
    for _ in range(3):
        with pytest.raises(LostError), make.database.write() as tx:
            claimed = Action.claim(tx)
            if claimed is not None:
                claimed[2].run(tx, author, [site.root_id], action.BATCH)
            raise LostError
        worker.work()
    while worker.work():
        pass
    assert state_of(make, site, made.id) == ("done", 260)
    assert {row[1] for row in make.sql(EVENTS, s=site.id)} == {1}


def test_an_action_that_fails_does_not_hold_up_the_others(make: Factory) -> None:
    site = make.site()
    chat = make.conversation(site)
    author = Author(site.id, site.moderator.id, "")
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
    said = make.comments(chat, 2, by=site.newcomer)
    with make.database.write() as tx:
        made = []
        for one in said:
            new = Action.insert(tx, author, "hide", grounds)
            assert new.plan(tx, site.id, [ItemRef(4, one.id)], [site.root_id])
            made.append(new)
    rename = "UPDATE actions SET kind = %(k)s WHERE action_id = %(a)s RETURNING kind"
    # The older one is of a kind that this release does not know.
    make.sql(rename, k="unknown", a=made[0].id)
    for new in made:
        with make.database.write() as tx:
            new.set_state(tx, site.id, action.RUNNING)
    worker = ActionWorker(make.database, lambda: True, lambda: None)
    try:
        with pytest.raises(KeyError):
            worker.work()
        while worker.work():
            pass
        assert state_of(make, site, made[1].id) == ("done", 1)
    finally:
        make.sql(rename, k="hide", a=made[0].id)
    worker = ActionWorker(make.database, lambda: True, lambda: None)
    while worker.work():
        pass
    assert state_of(make, site, made[0].id) == ("done", 1)


# Outside of all microcosms, which is 0 in a plan.
@pytest.mark.parametrize(("who", "done"), [("owner", 1), ("moderator", 0)])
def test_comments_on_profiles_are_in_reach_of_the_sites_owner_alone(
    make: Factory, who: str, done: int
) -> None:
    site = make.site()
    said = make.comment(site.newcomer, by=site.member)
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
    with make.database.write() as tx:
        made = Action.insert(tx, Author(site.id, getattr(site, who).id, ""), "hide", grounds)
        assert made.plan(tx, site.id, [ItemRef(itemtypes.COMMENT, said.id)], [0])
        made.set_state(tx, site.id, action.RUNNING)
    worker = ActionWorker(make.database, lambda: True, lambda: None)
    while worker.work():
        pass
    assert state_of(make, site, made.id) == ("done", done)


def test_an_action_is_undone_by_a_batch_as_large_as_the_action(make: Factory) -> None:
    site = make.site()
    said = make.comments(make.conversation(site), 2)
    author, allowed = Author(site.id, site.moderator.id, ""), [site.root_id]
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
    with make.database.write() as tx:
        made = Action.insert(tx, author, "hide", grounds)
        assert made.plan(tx, site.id, [ItemRef(itemtypes.COMMENT, one.id) for one in said], allowed)
        made.set_state(tx, site.id, action.RUNNING)
        made.run(tx, author, allowed, len(said))
        assert made.state == action.DONE
        made.set_state(tx, site.id, action.UNDOING)
        made.run_back(tx, author, allowed, len(said))
    assert made.state == action.UNDONE


def test_the_comments_of_the_target_count_for_a_merge(api: Api, make: Factory) -> None:
    site = make.site()
    into, other = (make.conversation(site) for _ in range(2))
    make.comment(other)
    said = make.comments(into, 2)
    fill = "UPDATE items SET last_seq = %(n)s WHERE site_id = %(s)s AND item_id = %(i)s RETURNING 1"
    sent: dict[str, Any] = {"reason": "One is enough", "dryRun": True}
    merge = sent | {"kind": "merge", "targets": [named(other)], "into": named(into)}
    split = sent | {"kind": "split", "targets": [named(said[1])], "title": "New"}
    split["microcosmId"] = site.root_id
    for total, status in ((19_999, 200), (20_000, 400)):
        make.sql(fill, n=total, s=site.id, i=into.id)
        answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=merge)
        assert answer.status == status, answer.body
    make.sql(fill, n=20_001, s=site.id, i=into.id)
    answer = api.request("POST", "/api/v1/actions", by=site.moderator, json=split)
    assert (answer.status, "20000" in answer.error) == (400, True)
    # Between the dry run and the ticket.
    make.sql(fill, n=1000, s=site.id, i=into.id)
    plan = api.request("POST", "/api/v1/actions", by=site.moderator, json=merge).data
    make.sql(fill, n=20_000, s=site.id, i=into.id)
    ticket = {"ticket": plan["ticket"]}
    action = api.request("POST", "/api/v1/actions", by=site.moderator, json=ticket).data
    assert action["state"] == "running"
    action = ended(api, action["id"], site.moderator, "done")
    assert "20000" in action["targets"][0]["why"]
    make.sql(fill, n=1000, s=site.id, i=into.id)
    action = api.request("POST", "/api/v1/actions", by=site.moderator, json=merge).data
    ticket = {"ticket": action["ticket"]}
    action = api.request("POST", "/api/v1/actions", by=site.moderator, json=ticket).data
    assert action["state"] == "running"
    assert ended(api, action["id"], site.moderator, "done")["counts"]["done"] == 1
    assert api.get(into.path, by=site.newcomer).data["comments"]["total"] == 3


def site_began() -> datetime.datetime:
    """A time before everything."""
    return datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def state_of(make: Factory, site: Site, id: int) -> tuple[str, int]:
    """The state of an action, and how many of its changes are done; waits for what another process has claimed."""
    statement = """
        SELECT a.state, (SELECT count(*) FROM action_changes x WHERE x.site_id = a.site_id
                            AND x.action_id = a.action_id AND x.state = 'done')
          FROM actions a WHERE a.site_id = %(s)s AND a.action_id = %(a)s"""
    for _ in range(600):
        row = make.sql(statement, s=site.id, a=id)[0]
        if row[0] == "done":
            break
        time.sleep(0.1)
    return row[0], row[1]


def test_what_left_the_actors_reach_meanwhile_is_refused(api: Api, make: Factory) -> None:
    site = make.site()
    theirs, other = make.microcosm(site), make.microcosm(site)
    keeper = make.person(site)
    make.join(make.role(site, theirs.id, "Keep", moderator=True, rights=("read", "update")), keeper)
    chat = make.conversation(site, microcosm=theirs)
    said = make.comment(chat)
    sent = {
        "kind": "hide",
        "reason": "Spam",
        "dryRun": True,
        "targets": [{"itemType": "comment", "itemId": said.id}],
    }
    plan = api.request("POST", "/api/v1/actions", by=keeper, json=sent).data
    move = {"microcosmId": other.id, "title": "Moved", "meta": {"editReason": "Moved"}}
    assert api.request("PUT", chat.path, by=site.owner, json=move).status == 302
    answer = api.request("POST", "/api/v1/actions", by=keeper, json={"ticket": plan["ticket"]})
    assert answer.data["counts"]["refused"] == 1
    assert api.get(Thing(site, itemtypes.COMMENT, said.id).path, by=site.newcomer).status == 200


def test_an_undo_that_an_operator_begins_is_not_that_of_who_undid_before(
    api: Api, make: Factory
) -> None:
    site = make.site()
    said = make.comment(make.conversation(site))
    sent = {"reason": "Spam", "targets": [{"itemType": "comment", "itemId": said.id}]}
    hidden, shown = (
        api.post("/api/v1/actions", sent | {"kind": kind}, by=site.moderator).data["id"]
        for kind in ("hide", "show")
    )
    by_moderator = api.post(f"/api/v1/actions/{hidden}/undo", {}, by=site.moderator).data
    assert (by_moderator["counts"]["conflict"], by_moderator["undoneBy"]["id"]) == (
        1,
        site.moderator.id,
    )
    assert api.post(f"/api/v1/actions/{shown}/undo", {}, by=site.moderator).status == 200

    operator = Author(site.id, 0, "", "root")
    with make.database.write() as tx:
        places = targets.places(tx, site.id)
        found = Action.lock(tx, site.id, hidden, site.owner.id, places)
        assert found is not None
        found.set_state(tx, site.id, action.UNDOING)
        others = make.sql(
            "SELECT action_id FROM actions WHERE state IN ('running', 'undoing') AND action_id <> %(id)s",
            id=hidden,
        )
        claimed = Action.claim(tx, [row[0] for row in others])
        assert claimed is not None
        assert (claimed[1], claimed[2].id) == (0, hidden)
        found.set_state(tx, site.id, action.UNDONE)
        found.undo(tx, operator, places)
    by_operator = api.get(f"/api/v1/actions/{hidden}", by=site.moderator).data
    assert (by_operator["counts"]["undone"], by_operator["undoneBy"]) == (1, None)
