"""Merges and splits of conversations: comments, people's marks, counters, old addresses, and the undo."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forumapi.database.query import Query
from forumapi.itemtypes import ItemRef
from forumapi.models.journal.journal import Author
from forumapi.models.microcosms import microcosm_counters
from forumapi.models.trust.action import Action, ActionGrounds
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing

ACTIONS = "/api/v1/actions"
COMMENTS = """
    SELECT item_id, comment_id, seq, is_deleted FROM comments
     WHERE site_id = %(s)s AND item_id IS NOT NULL ORDER BY 1, 3"""
ITEMS = """
    SELECT item_id, comment_count, last_seq, last_comment_id, last_activity, is_deleted, is_moderated, merged_into
      FROM items WHERE site_id = %(s)s ORDER BY 1"""
AUTHORS = "SELECT item_id, profile_id, live FROM item_authors WHERE site_id = %(s)s AND live > 0 ORDER BY 1, 2"
COUNTS = """
    SELECT m.microcosm_id, c.item_count + coalesce(sum(d.items), 0), c.comment_count + coalesce(sum(d.comments), 0),
           c.last_item_id
      FROM microcosms m JOIN microcosm_counts c USING (site_id, microcosm_id)
      LEFT JOIN microcosm_deltas d USING (site_id, microcosm_id)
     WHERE m.site_id = %(s)s GROUP BY m.microcosm_id, c.item_count, c.comment_count, c.last_item_id ORDER BY 1"""
PEOPLE = "SELECT profile_id, item_count, comment_count FROM profile_counters WHERE site_id = %(s)s ORDER BY 1"
SEARCH = "SELECT item_type_id, item_id, place_id FROM search_documents WHERE site_id = %(s)s ORDER BY 1, 2"
MARKS = """
    SELECT 'watcher', profile_id, item_id, send_email::text FROM watchers WHERE site_id = %(s)s
     UNION ALL SELECT 'bookmark', profile_id, item_id, '' FROM bookmarks WHERE site_id = %(s)s AND item_type_id <> 4
     UNION ALL SELECT 'read', profile_id, item_id, read_at::text FROM read_marks WHERE site_id = %(s)s
     ORDER BY 1, 2, 3"""


@pytest.fixture
def site(make: Factory) -> Site:
    """Site of the test's own."""
    return make.site()


def named(thing: Thing) -> dict[str, Any]:
    """Thing as bodies name it."""
    return {"itemType": thing.path.split("/")[3].removesuffix("s"), "itemId": thing.id}


def merge(api: Api, by: Person, into: Thing, *things: Thing, **more: Any) -> Response:
    """Merge conversations into an item."""
    targets = [named(one) for one in things]
    sent = {"kind": "merge", "reason": "One is enough", "targets": targets, "into": named(into)}
    return api.request("POST", ACTIONS, by=by, json=sent | more)


def done(answer: Response) -> dict[str, Any]:
    """Document of an action that was done."""
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data
    return data


def undo(api: Api, by: Person, id: int) -> dict[str, Any]:
    """Undo an action."""
    return done(api.post(f"{ACTIONS}/{id}/undo", {}, by=by))


def split(api: Api, by: Person, into: Thing, title: str, *things: Thing, **more: Any) -> Response:
    """Split comments off into a new conversation in the microcosm `into`."""
    targets = [named(one) for one in things]
    sent = {"kind": "split", "reason": "Another subject", "targets": targets, "title": title}
    return api.request("POST", ACTIONS, by=by, json=sent | {"microcosmId": into.id} | more)


def tables(make: Factory, site: Site, *, with_marks: bool = True) -> dict[str, Any]:
    """Rows of the site that a merge or split changes, by name."""
    microcosm_counters.fold(make.database, site.id)
    statements = {"comments": COMMENTS, "items": ITEMS, "authors": AUTHORS, "counts": COUNTS}
    statements |= {"people": PEOPLE, "search": SEARCH}
    if with_marks:
        statements["marks"] = MARKS
    return {name: make.sql(statement, s=site.id) for name, statement in statements.items()}


def shown(api: Api, thing: Thing, by: Person | None) -> list[int]:
    """Ids of the comments on the first page of an item."""
    answer = api.get(thing.path, by=by, site=thing.site)
    assert answer.status == 200, answer.body
    return [one["id"] for one in answer.data["comments"]["items"]]


@pytest.mark.wide
def test_a_merge_brings_all_together_and_its_undo_takes_all_back(
    api: Api, make: Factory, site: Site
) -> None:
    there = make.microcosm(site, "There")
    into = make.conversation(site, by=site.owner, title="Tyres")
    other = make.conversation(site, by=site.member, microcosm=there, title="Tires")
    said = [
        make.comment((into, other)[n % 2], by=site.member, markdown=f"Text {n}") for n in range(6)
    ]
    reply = {**named(other), "markdown": "An answer", "inReplyTo": said[1].id}
    answer = api.post("/api/v1/comments", reply, by=site.newcomer)
    assert answer.status == 302, answer.body
    answer_id = int(answer.location.rpartition("/")[2])
    api.patch(said[3].path, ("deleted", True), by=site.owner)
    for path in (f"{other.path}/bookmark", f"{said[1].path}/bookmark"):
        assert api.put(path, {}, by=site.newcomer).status < 400
    assert shown(api, other, site.newcomer) == [said[1].id, said[5].id, answer_id]
    before = tables(make, site)

    plan = done(merge(api, site.moderator, into, other, dryRun=True))
    assert [one["text"] for one in plan["targets"]] == ["Tires"]
    assert tables(make, site) == before
    action = done(api.request("POST", ACTIONS, by=site.moderator, json={"ticket": plan["ticket"]}))
    assert (action["state"], action["counts"]["done"]) == ("done", 1)
    assert action["into"] == named(into)

    # All are there, in the order of time, and the old addresses lead there.
    whole = [said[0].id, said[1].id, said[2].id, said[4].id, said[5].id, answer_id]
    for by in (None, site.newcomer, site.moderator, site.owner):
        assert shown(api, into, by) == whole
        moved = api.get(f"{other.path}?limit=25&offset=25", by=by, site=site)
        assert (moved.status, moved.location) == (301, f"{into.path}?limit=25")
    assert api.get(f"{other.path}/lastcomment", site=site).location == f"{into.path}/lastcomment"
    context = api.get(f"{said[1].path}/incontext", site=site)
    assert context.location.startswith(f"{into.path}?"), context.location
    assert api.get(f"/api/v1/comments/{answer_id}", site=site).data["inReplyTo"] == said[1].id
    comment = api.get(said[1].path, site=site).data
    assert (comment["itemType"], comment["itemId"]) == ("conversation", into.id)
    # Nothing can be written to the merged one, not even by the owner.
    sent = {**named(other), "markdown": "More"}
    assert api.post("/api/v1/comments", sent, by=site.owner).status == 404
    assert api.patch(other.path, ("deleted", False), by=site.owner).status == 404
    # What hangs on either is on the target: once for each person.
    now = tables(make, site)
    rows = {row[0]: row for row in now["items"]}
    assert rows[into.id][1:3] == (6, 7)
    assert rows[other.id][1:4] == (0, 0, None)
    assert [row[2] for row in now["comments"]] == list(range(1, 8))
    assert {row[2] for row in now["search"] if row[0] == 4} == {into.id}
    marks = [row[:3] for row in now["marks"]]
    assert len(marks) == len(set(marks))
    assert ("bookmark", site.newcomer.id, into.id) in marks
    assert ("watcher", site.newcomer.id, into.id) in marks
    assert ("read", site.newcomer.id, into.id) in marks

    undone = undo(api, site.moderator, action["id"])
    assert (undone["state"], undone["counts"]["undone"]) == ("undone", 1)
    after = tables(make, site, with_marks=False)
    for name, rows in after.items():
        assert rows == before[name], name
    marks_now = {row for row in tables(make, site)["marks"] if row[0] != "read"}
    assert marks_now == {row for row in before["marks"] if row[0] != "read"}
    assert shown(api, other, site.newcomer) == [said[1].id, said[5].id, answer_id]
    assert api.get(other.path, site=site).status == 200


@pytest.mark.wide
def test_later_comments_stay_and_chains_lead_on(api: Api, make: Factory, site: Site) -> None:
    a, b, c = (make.conversation(site, by=site.member, title=title) for title in "ABC")
    in_a, in_b = make.comment(a), make.comment(b)
    first = done(merge(api, site.owner, b, a))["id"]
    later = make.comment(b, by=site.newcomer)
    second = done(merge(api, site.owner, c, b))["id"]
    assert shown(api, c, None) == [in_a.id, in_b.id, later.id]
    for one in (a, b):
        assert api.get(one.path, site=site).location == c.path

    # The first can't be undone before the second, and says so.
    conflict = undo(api, site.owner, first)
    assert (conflict["state"], conflict["counts"]["conflict"]) == ("undone", 1)
    assert conflict["targets"][0]["why"]
    assert shown(api, c, None) == [in_a.id, in_b.id, later.id]
    assert undo(api, site.owner, second)["counts"]["undone"] == 1
    assert api.get(a.path, site=site).location == b.path
    assert undo(api, site.owner, first)["counts"]["undone"] == 1
    assert (shown(api, a, None), shown(api, b, None)) == ([in_a.id], [in_b.id, later.id])
    assert shown(api, c, None) == []


def test_who_may_not_read_the_target_learns_nothing(api: Api, make: Factory, site: Site) -> None:
    hidden = make.microcosm(site, "Hidden")
    make.role(site, hidden.id, "Nobody", rights=())
    into = make.conversation(site, by=site.owner, microcosm=hidden)
    other = make.conversation(site, by=site.member)
    gone = make.conversation(site, by=site.member)
    said = make.comment(other, by=site.member)
    done(merge(api, site.owner, into, other))
    api.patch(gone.path, ("deleted", True), by=site.owner)
    for by in (None, site.newcomer):
        missing, moved = (api.get(one.path, by=by, site=site) for one in (gone, other))
        assert (moved.status, moved.error, moved.code) == (
            missing.status,
            missing.error,
            missing.code,
        )
        assert api.get(said.path, by=by, site=site).status in (403, 404)
    assert api.get(other.path, by=site.owner).location == into.path


def test_where_a_moderator_has_no_rights_any_more_nothing_is_merged_or_split(
    api: Api, make: Factory, site: Site
) -> None:
    home, place, elsewhere = (make.microcosm(site) for _ in range(3))
    keeper = make.person(site)
    roles = {}
    for theirs in (home, place):
        role = make.role(site, theirs.id, "Keep", moderator=True, rights=("read", "update"))
        make.join(role, keeper)
        roles[theirs.id] = role[1]
    into, other = (make.conversation(site, by=site.member, microcosm=home) for _ in range(2))
    said = make.comment(other, by=site.member)

    def move(to: Thing, item: Thing) -> None:
        make.sql(
            "UPDATE items SET microcosm_id = %(to)s WHERE item_id = %(id)s", to=to.id, id=item.id
        )

    def late(plan: dict[str, Any]) -> Response:
        return api.request("POST", ACTIONS, by=keeper, json={"ticket": plan["ticket"]})

    plan = done(merge(api, keeper, into, other, dryRun=True))
    move(elsewhere, into)
    counts = done(late(plan))["counts"]
    assert (counts["refused"], counts["done"]) == (1, 0)
    assert shown(api, other, site.owner) == [said.id]

    move(home, into)
    merged = done(merge(api, keeper, into, other))
    move(elsewhere, into)
    assert undo(api, keeper, merged["id"])["counts"]["undone"] == 0
    assert shown(api, into, site.owner) == [said.id]

    chat = make.conversation(site, by=site.member, microcosm=home)
    kept, first, second = (make.comment(chat, by=site.member) for _ in range(3))
    parted = done(split(api, keeper, place, "Another", first))
    plan = done(split(api, keeper, place, "One more", second, dryRun=True))
    assert api.delete(f"{place.path}/roles/{roles[place.id]}", by=site.owner).status == 200
    assert late(plan).status == 404
    assert shown(api, chat, site.owner) == [kept.id, second.id]

    make.join(make.role(site, place.id, "Again", moderator=True, rights=("read", "update")), keeper)
    move(elsewhere, chat)
    assert undo(api, keeper, parted["id"])["counts"]["undone"] == 0
    assert shown(api, chat, site.owner) == [kept.id, second.id]


@pytest.mark.wide
def test_what_can_not_be_merged_is_refused_with_the_reason(
    api: Api, make: Factory, site: Site
) -> None:
    into, other = (make.conversation(site, by=site.member) for _ in range(2))
    huddle = make.huddle(site.owner, site.member)
    foreign = make.conversation(make.site())
    event = make.event(site)

    def refusal(answer: Response) -> tuple[int, str]:
        return answer.status, answer.error

    assert merge(api, site.newcomer, into, other).status == 403
    assert merge(api, site.owner, into, into).status == 400
    for one in (huddle, foreign):
        assert merge(api, site.owner, into, one).status in (400, 403)
    assert merge(api, site.owner, foreign, other).status == 403
    assert merge(api, site.owner, huddle, other).status == 400
    assert "merge takes conversation" in refusal(merge(api, site.owner, into, event))[1]
    sent: dict[str, Any] = {"kind": "merge", "reason": "R", "targets": [named(other)]}
    assert "into" in refusal(api.request("POST", ACTIONS, by=site.owner, json=sent))[1]
    sent = {"kind": "hide", "reason": "R", "targets": [named(other)], "into": named(into)}
    assert api.request("POST", ACTIONS, by=site.owner, json=sent).status == 400
    sent = {"kind": "merge", "reason": "R", "query": {"createdBy": 1}, "into": named(into)}
    assert api.request("POST", ACTIONS, by=site.owner, json=sent).status == 400

    for flag, value, why in (("open", False, "locked"), ("moderated", True, "hidden")):
        api.patch(into.path, (flag, value), by=site.owner)
        assert refusal(merge(api, site.owner, into, other)) == (400, f"into: this is {why}")
        api.patch(into.path, (flag, not value), by=site.owner)
    for flag, why in (("deleted", "deleted"), ("moderated", "hidden")):
        api.patch(other.path, (flag, True), by=site.owner)
        assert refusal(merge(api, site.owner, into, other)) == (400, f"targets[0]: this is {why}")
        api.patch(other.path, (flag, False), by=site.owner)
    # Locked between the dry run and the ticket.
    plan = done(merge(api, site.owner, into, other, dryRun=True))
    api.patch(into.path, ("open", False), by=site.owner)
    action = done(api.request("POST", ACTIONS, by=site.owner, json={"ticket": plan["ticket"]}))
    assert action["counts"]["refused"] == 1
    assert "locked" in action["targets"][0]["why"]
    api.patch(into.path, ("open", True), by=site.owner)
    # Merged already: nor back again, in a circle.
    done(merge(api, site.owner, into, other))
    assert "merged already" in refusal(merge(api, site.owner, into, other))[1]
    assert refusal(merge(api, site.owner, other, into)) == (400, "into: this was merged already")
    restored = {"kind": "restore", "reason": "R", "targets": [named(other)]}
    action = done(api.request("POST", ACTIONS, by=site.owner, json=restored))
    assert (action["counts"]["refused"], action["targets"][0]["state"]) == (1, "refused")


def test_a_split_makes_a_conversation_and_its_undo_takes_it_back(
    api: Api, make: Factory, site: Site
) -> None:
    there = make.microcosm(site, "There")
    chat = make.conversation(site, by=site.owner, title="Tyres")
    said = [make.comment(chat, by=(site.member, site.newcomer)[n % 2]) for n in range(5)]
    answer = api.post(
        "/api/v1/comments",
        {**named(chat), "markdown": "An answer", "inReplyTo": said[1].id},
        by=site.member,
    )
    reply = int(answer.location.rpartition("/")[2])
    assert len(shown(api, chat, site.newcomer)) == 6
    before = tables(make, site)

    plan = done(split(api, site.moderator, there, "Brakes", said[3], said[1], dryRun=True))
    assert (plan["total"], plan["title"], plan["microcosmId"]) == (2, "Brakes", there.id)
    assert tables(make, site) == before
    ticket = {"ticket": plan["ticket"]}
    action = done(api.request("POST", ACTIONS, by=site.moderator, json=ticket))
    assert (action["state"], action["counts"]["done"]) == ("done", 2)
    made = Thing(site, 6, action["into"]["itemId"])
    assert shown(api, made, None) == [said[1].id, said[3].id]
    assert shown(api, chat, None) == [said[0].id, said[2].id, said[4].id, reply]
    document = api.get(made.path, site=site).data
    assert (document["title"], document["microcosmId"]) == ("Brakes", there.id)
    assert document["meta"]["createdBy"]["id"] == site.newcomer.id
    assert api.get(f"/api/v1/comments/{reply}", site=site).data["inReplyTo"] == said[1].id
    location = api.get(f"{said[3].path}/incontext", site=site).location
    assert location.startswith(f"{made.path}?"), location
    now = tables(make, site)
    numbers = [row[2] for row in now["comments"]]
    assert numbers == [1, 2, 3, 4, 1, 2]
    # Who followed, and had read, the old one follows and has read the new one.
    for kind in ("watcher", "read"):
        old = {row[1] for row in now["marks"] if row[0] == kind and row[2] == chat.id}
        new = {row[1] for row in now["marks"] if row[0] == kind and row[2] == made.id}
        assert old == new
    sent = {"kind": "merge", "reason": "R", "targets": [named(made)], "into": named(chat)}
    assert (
        api.request("POST", ACTIONS, by=site.moderator, json={**sent, "dryRun": True}).status == 200
    )

    undone = undo(api, site.moderator, action["id"])
    assert (undone["state"], undone["counts"]["undone"]) == ("undone", 2)
    after = tables(make, site)
    after["items"] = [row for row in after["items"] if row[0] != made.id]
    for name, rows in after.items():
        assert rows == before[name], name
    assert api.get(made.path, site=site).location == chat.path


def test_replies_that_were_split_off_are_not_shown_with_what_they_answer(
    api: Api, make: Factory, site: Site
) -> None:
    staff = make.microcosm(site, "Staff")
    make.role(site, staff.id, "Nobody", rights=())
    chat = make.conversation(site, by=site.owner)
    first = make.comment(chat, by=site.owner)

    def replied(markdown: str) -> Thing:
        sent = {**named(chat), "markdown": markdown, "inReplyTo": first.id}
        answer = api.post("/api/v1/comments", sent, by=site.owner)
        return Thing(site, 4, int(answer.location.rpartition("/")[2]))

    stays, leaves = replied("It stays"), replied("It leaves")
    done(split(api, site.owner, staff, "For the staff", leaves))
    for by in (None, site.newcomer, site.owner):
        answer = api.get(first.path, by=by, site=site)
        replies = answer.data["meta"]["replies"]
        assert [one["id"] for one in replies] == [stays.id]
        assert b"It leaves" not in answer.body
    assert api.get(leaves.path, by=site.newcomer).status == 403
    made = api.get(leaves.path, by=site.owner)
    assert "inReplyTo" not in [one["rel"] for one in made.data["meta"]["links"]]


def test_a_write_that_waits_for_a_split_does_not_count_in_the_old_place(
    api: Api, make: Factory, site: Site
) -> None:
    there = make.microcosm(site, "There")
    author = Author(site.id, site.owner.id, "")
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Another subject")
    places = [site.root_id, there.id]
    for write in (
        lambda one: api.delete(one.path, by=site.member),
        lambda one: api.patch(one.path, ("moderated", True), by=site.owner),
    ):
        chat = make.conversation(site, by=site.owner)
        _, going = (make.comment(chat, by=site.member) for _ in range(2))
        with ThreadPoolExecutor(1) as pool:
            with make.database.write() as tx:
                action = Action.insert(tx, author, "split", grounds, place_id=there.id, title="New")
                assert action.plan(tx, site.id, [ItemRef(4, going.id)], places)
                action.start(tx, author, places)
                waiting = pool.submit(write, going)
                make.wait_for_locks(1)
            answer = waiting.result()
        assert (answer.status, "moved" in answer.error) == (409, True), answer.body
        now = tables(make, site)
        live = Counter(item_id for item_id, _, _, is_deleted in now["comments"] if not is_deleted)
        assert {row[0]: row[1] for row in now["items"] if row[1]} == live
        assert write(going).status < 400


def test_a_split_locks_comments_in_the_order_of_other_writers(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    said = make.comments(chat, 3, by=site.member)
    number = """
        UPDATE comments SET seq = %(n)s WHERE site_id = %(s)s AND comment_id = %(c)s RETURNING 1"""
    lock = "SELECT 1 FROM comments WHERE site_id = %(s)s AND comment_id = %(c)s FOR NO KEY UPDATE"
    # The first comes last, as after a merge: it gets another number when the second goes.
    for at, seq in ((0, 9), (1, 1), (2, 2), (0, 3)):
        make.sql(number, n=seq, s=site.id, c=said[at].id)
    held = Query("test.merging.lock_comment", lock)
    with ThreadPoolExecutor(1) as pool:
        with make.database.write() as tx:
            tx.rows(held, s=site.id, c=said[0].id)
            waiting = pool.submit(split, api, site.owner, chat_place(site), "New", said[1])
            make.wait_for_locks(1)
            tx.rows(held, s=site.id, c=said[1].id)
        assert done(waiting.result())["counts"]["done"] == 1
    assert shown(api, chat, None) == [said[2].id, said[0].id]


def chat_place(site: Site) -> Thing:
    """The site's root microcosm."""
    return Thing(site, 2, site.root_id)


def test_a_merged_conversation_that_an_earlier_release_restored_can_be_deleted(
    api: Api, make: Factory, site: Site
) -> None:
    into, other = (make.conversation(site, by=site.member) for _ in range(2))
    done(merge(api, site.owner, into, other))
    restored = (
        "UPDATE items SET is_deleted = false WHERE site_id = %(s)s AND item_id = %(i)s RETURNING 1"
    )
    make.sql(restored, s=site.id, i=other.id)
    sent = {"kind": "delete", "reason": "R", "targets": [named(other)]}
    deleted = done(api.request("POST", ACTIONS, by=site.owner, json=sent))
    assert deleted["counts"]["done"] == 1
    assert api.get(other.path, site=site).location == into.path
    assert undo(api, site.owner, deleted["id"])["counts"]["conflict"] == 1


def test_actions_do_not_show_a_text_that_was_moved_out_of_reach(
    api: Api, make: Factory, site: Site
) -> None:
    theirs, staff = make.microcosm(site, "Theirs"), make.microcosm(site, "Staff")
    keeper = make.person(site)
    rights = ("read", "update")
    make.join(make.role(site, theirs.id, "Keep", moderator=True, rights=rights), keeper)
    make.role(site, staff.id, "Nobody", rights=())
    chat = make.conversation(site, microcosm=theirs)
    said = make.comment(chat)
    sent = {"kind": "hide", "reason": "R", "targets": [named(said)]}
    action = done(api.request("POST", ACTIONS, by=keeper, json=sent))
    assert action["targets"][0]["text"]
    into = make.conversation(site, by=site.owner, microcosm=staff)
    done(merge(api, site.owner, into, chat))
    path = f"{ACTIONS}/{action['id']}"
    (hidden,) = api.get(path, by=keeper).data["targets"]
    assert (hidden["itemId"], "text" in hidden) == (said.id, False)
    assert api.get(path, by=site.owner).data["targets"][0]["text"]


def test_others_comments_keep_what_a_split_has_made(api: Api, make: Factory, site: Site) -> None:
    place = make.microcosm(site, "There")
    chat = make.conversation(site, by=site.owner)
    first, second, third = (make.comment(chat, by=site.member) for _ in range(3))
    action = done(split(api, site.owner, place, "New", second, third))
    made = Thing(site, 6, action["into"]["itemId"])
    later = make.comment(made, by=site.newcomer)
    undone = undo(api, site.owner, action["id"])
    assert (undone["counts"]["undone"], undone["counts"]["conflict"]) == (1, 1)
    assert undone["targets"][0]["itemId"] == second.id
    assert undone["targets"][0]["why"]
    assert shown(api, chat, None) == [first.id, third.id]
    assert shown(api, made, None) == [second.id, later.id]


def test_what_can_not_be_split_off_is_refused_with_the_reason(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site, "There")
    chat, other = (make.conversation(site, by=site.member) for _ in range(2))
    first, second, elsewhere = (make.comment(on) for on in (chat, chat, other))
    on_profile = make.comment(Thing(site, 3, site.member.id))
    huddle = make.comment(make.huddle(site.owner, site.member), by=site.owner)
    foreign = make.microcosm(make.site(), "Foreign")

    def refusal(*things: Thing, into: Thing = place, **more: Any) -> tuple[int, str]:
        answer = split(api, site.owner, into, "New", *things, **more)
        return answer.status, answer.error

    assert split(api, site.newcomer, place, "New", first).status == 403
    assert refusal(first, second) == (
        400,
        "targets: must leave a comment: move the conversation instead",
    )
    assert refusal(first, elsewhere)[1].startswith("targets[1]: this is not a comment of the same")
    assert refusal(on_profile)[0] == 400
    assert refusal(huddle)[0] == 403
    assert refusal(chat)[0] == 400
    assert refusal(first, into=foreign)[0] == 403
    assert split(api, site.owner, place, "", first).error.startswith("title")
    api.patch(first.path, ("moderated", True), by=site.owner)
    assert refusal(first) == (400, "targets[0]: this is hidden")


def test_the_statements_of_a_merge_do_not_grow_with_what_is_merged(
    api: Api, make: Factory, site: Site
) -> None:
    counted = []
    for many in (1, 2, 6):
        into, *others = (make.conversation(site, by=site.member) for _ in range(many + 1))
        for one in others:
            make.comments(one, many)
        answer = merge(api, site.owner, into, *others)
        assert done(answer)["counts"]["done"] == many
        back = api.post(f"{ACTIONS}/{answer.data['id']}/undo", {}, by=site.owner)
        assert done(back)["counts"]["undone"] == many
        counted.append((answer.statements, back.statements))
    # The first one also reads what the process then knows of the site.
    assert counted[1] == counted[2] == (35, 32), counted


def test_followers_are_told_by_the_event_log_and_the_audit_has_every_thing(
    api: Api, make: Factory, site: Site
) -> None:
    there = make.microcosm(site, "There")
    into = make.conversation(site, by=site.owner)
    other = make.conversation(site, by=site.owner, microcosm=there)
    said = make.comment(other, by=site.member)
    action = done(merge(api, site.owner, into, other))
    statement = """
        SELECT item_type_id, item_id, parent_id, microcosm_id, detail ->> 'movedFrom' FROM event_log
         WHERE site_id = %(s)s AND kind = 'patched' ORDER BY 1, 2"""
    assert make.sql(statement, s=site.id) == [
        (4, said.id, other.id, site.root_id, str(there.id)),
        (6, into.id, None, site.root_id, None),
        (6, other.id, None, there.id, None),
    ]
    written = """
        SELECT item_type_id, item_id, profile_id, detail ->> 'verb', (detail ->> 'action')::bigint FROM audit_log
         WHERE site_id = %(s)s AND action = 'U' ORDER BY 1, 2"""
    assert make.sql(written, s=site.id) == [
        (item_type, id, site.owner.id, "merge", action["id"])
        for item_type, id in ((4, said.id), (6, into.id), (6, other.id))
    ]
