"""From a report to the undo: what each of the people concerned does and reads, over real HTTP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from forumapi import itemtypes
from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing

REASON = "Advertising is not allowed here"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def report(api: Api, thing: Thing, by: Person, **more: Any) -> Response:
    kind = "comment" if "/comments/" in thing.path else thing.path.split("/")[3].rstrip("s")
    sent = {"itemType": kind, "itemId": thing.id, "kind": "spam", "text": "Buys nothing", **more}
    return api.request("POST", "/api/v1/reports", by=by, json=sent)


def cases(api: Api, by: Person, query: str = "") -> list[dict[str, Any]]:
    answer = api.get("/api/v1/cases" + query, by=by)
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.data["cases"]["items"]
    return items


def act(api: Api, by: Person, kind: str, *things: Thing, **more: Any) -> Response:
    sent: dict[str, Any] = {"kind": kind, "reason": REASON, **more}
    if things:
        sent["targets"] = [{"itemType": _name(thing), "itemId": thing.id} for thing in things]
    return api.request("POST", "/api/v1/actions", by=by, json=sent)


def _name(thing: Thing) -> str:
    return thing.path.split("/")[3].removesuffix("s")


def done(answer: Response) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data
    return data


@pytest.mark.wide
def test_a_report_leads_to_an_action_that_is_explained_and_undone(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    said = make.comment(chat)
    before = api.get(said.path, by=site.newcomer)

    told = report(api, said, site.newcomer)
    assert told.status == 302, told.body
    (case,) = cases(api, site.moderator)
    assert (case["itemId"], case["reports"], case["priority"]) == (said.id, 1, "normal")
    whole = api.get(f"/api/v1/cases/{case['id']}", by=site.moderator).data
    assert whole["reported"][0]["reporter"]["id"] == site.newcomer.id

    plan = done(act(api, site.moderator, "hide", said, caseId=case["id"], dryRun=True))
    assert (plan["state"], plan["counts"]["planned"]) == ("planned", 1)
    assert api.get(said.path, by=site.newcomer).status == 200
    assert api.get("/api/v1/actions", by=site.owner).data["actions"]["items"] == []

    ticket = {"ticket": plan["ticket"]}
    action = done(api.request("POST", "/api/v1/actions", by=site.moderator, json=ticket))
    assert (action["id"], action["state"], action["counts"]["done"]) == (plan["id"], "done", 1)
    assert api.request("POST", "/api/v1/actions", by=site.moderator, json=ticket).status == 409

    # The case is decided, the reporter reads the outcome, everybody else a 404 as of anything hidden.
    assert cases(api, site.moderator) == []
    assert cases(api, site.moderator, "?state=decided")[0]["outcome"] == "acted"
    receipt = api.get(told.location, by=site.newcomer).data
    assert (receipt["state"], receipt["outcome"]) == ("decided", "acted")
    assert api.get(said.path, by=site.newcomer).status == 404

    # The author reads why.
    links = api.get(said.path, by=site.member).data["meta"]["links"]
    (href,) = [link["href"] for link in links if link["rel"] == "statement"]
    statement = api.get(href, by=site.member).data
    assert statement["facts"] == REASON
    assert statement["decision"] == "DECISION_VISIBILITY_CONTENT_DISABLED"
    assert statement["ground"] == "DECISION_GROUND_INCOMPATIBLE_CONTENT"
    assert [thing["itemId"] for thing in statement["things"]] == [said.id]
    assert api.get(href, by=site.newcomer).status == 404
    assert api.get(href, by=site.moderator).status == 404

    undone = done(api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.owner))
    assert (undone["state"], undone["counts"]["undone"]) == ("undone", 1)
    assert undone["undoneBy"]["id"] == site.owner.id
    after = api.get(said.path, by=site.newcomer)
    assert after.data == before.data
    assert api.get(href, by=site.member).data["revoked"]
    again = api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.owner)
    assert again.status == 409


def test_the_author_of_what_was_deleted_reads_why_and_nobody_else_does(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.newcomer)
    said = make.comment(chat)
    done(act(api, site.moderator, "delete", chat))
    done(act(api, site.moderator, "delete", said))

    shown = api.get(chat.path, by=site.newcomer)
    assert shown.status == 200
    assert shown.data["meta"]["flags"]["deleted"] is True
    assert "statement" in [link["rel"] for link in shown.data["meta"]["links"]]
    for by in (site.member, None):
        refused = api.get(chat.path, by=by, site=site)
        assert (refused.status, refused.code) == (404, 15)
    # What it stands in is gone for its author too.
    assert api.get(said.path, by=site.member).status == 404
    done(act(api, site.moderator, "restore", chat))
    assert api.get(said.path, by=site.member).data["meta"]["flags"]["deleted"] is True
    refused = api.get(said.path, by=site.newcomer)
    assert (refused.status, refused.code) == (404, 15)
    # What somebody deleted themselves needs no reasons, and gets none.
    mine = make.comment(chat)
    assert api.request("DELETE", mine.path, by=site.member).status == 200
    assert api.get(mine.path, by=site.member).status == 404


def test_what_a_moderator_deletes_by_delete_has_reasons_and_is_undone(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.newcomer)
    said = make.comment(chat)
    for thing, author in ((said, site.member), (chat, site.newcomer)):
        for _ in range(2):
            assert api.request("DELETE", thing.path, by=site.moderator).status == 200
        shown = api.get(thing.path, by=author)
        assert shown.status == 200
        (href,) = [one["href"] for one in shown.data["meta"]["links"] if one["rel"] == "statement"]
        assert api.get(href, by=author).status == 200
        query = f"itemType={itemtypes.name_of(thing.type)}&itemId={thing.id}"
        listed = api.get(f"/api/v1/actions?{query}", by=site.moderator)
        (action,) = listed.data["actions"]["items"]
        assert action["kind"] == "delete"
        undone = api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.moderator)
        assert undone.status == 200
        assert api.get(thing.path, by=site.newcomer).data["meta"]["flags"]["deleted"] is False
    # A moderator's own is no case.
    begun = make.conversation(site, by=site.moderator)
    for mine in (make.comment(chat, by=site.moderator), begun):
        assert api.request("DELETE", mine.path, by=site.moderator).status == 200
        query = f"itemType={itemtypes.name_of(mine.type)}&itemId={mine.id}"
        listed = api.get(f"/api/v1/actions?{query}", by=site.owner)
        assert listed.data["actions"]["items"] == []


def test_nobody_deletes_what_others_say_in_a_huddle(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.owner, site.moderator)
    said = make.comment(huddle, by=site.member)
    for by in (site.owner, site.moderator):
        assert api.request("DELETE", said.path, by=by).status == 403
    assert api.request("DELETE", said.path, by=site.member).status == 200
    assert make.sql("SELECT count(*) FROM actions WHERE site_id = %(s)s", s=site.id) == [(0,)]


def test_one_moderator_at_a_time_has_a_case(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.conversation(site))
    report(api, said, site.newcomer)
    (case,) = cases(api, site.moderator)
    lease = f"/api/v1/cases/{case['id']}/lease"

    for _ in range(2):
        assert api.request("PUT", lease, by=site.moderator).status == 200
    assert api.request("PUT", lease, by=site.owner).status == 409
    assert act(api, site.owner, "hide", said, caseId=case["id"]).status == 409
    assert api.get(said.path, by=site.newcomer).status == 200
    assert cases(api, site.owner)[0]["takenBy"]["id"] == site.moderator.id
    assert [one["id"] for one in cases(api, site.moderator, "?mine=true")] == [case["id"]]
    assert cases(api, site.owner, "?mine=true") == []

    make.sql("UPDATE cases SET taken_until = now() WHERE site_id = %(s)s", s=site.id)
    assert api.request("PUT", lease, by=site.owner).status == 200
    assert api.request("DELETE", lease, by=site.moderator).status == 200
    assert api.request("PUT", lease, by=site.moderator).status == 409
    dismissal = {"outcome": "dismissed", "note": "Is fine"}
    path = f"/api/v1/cases/{case['id']}/decision"
    assert api.post(path, dismissal, by=site.moderator).status == 409
    assert api.post(path, dismissal, by=site.owner).status == 302
    assert api.post(path, dismissal, by=site.owner).status == 409
    assert act(api, site.owner, "hide", said, caseId=case["id"]).status == 409
    assert api.get(f"/api/v1/cases/{case['id']}", by=site.moderator).data["notes"][0]["text"] == (
        "Is fine"
    )


def test_a_thing_is_reported_once_by_each_and_all_is_one_case(
    api: Api, make: Factory, site: Site
) -> None:
    said = make.comment(make.conversation(site))
    first = report(api, said, site.newcomer)
    assert report(api, said, site.newcomer, text="Still").location == first.location
    other = report(
        api,
        said,
        site.owner,
        kind="illegal",
        category="STATEMENT_CATEGORY_CHILD_SAFETY",
        goodFaith=True,
    )
    assert other.location != first.location
    (case,) = cases(api, site.moderator)
    assert (case["reports"], case["priority"]) == (2, "urgent")
    assert api.get(first.location, by=site.owner).status == 404
    mine = api.get("/api/v1/reports", by=site.newcomer).data["reports"]["items"]
    assert [one["itemId"] for one in mine] == [said.id]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"itemType": "site"}, "itemType"),
        ({"itemId": 0}, "itemId"),
        ({"kind": "boring"}, "kind"),
        ({"category": "STATEMENT_CATEGORY_NONE"}, "category"),
        ({"text": "x" * 2_001}, "text"),
        ({"kind": "illegal", "text": "", "goodFaith": True}, "text"),
        ({"kind": "illegal"}, "goodFaith"),
    ],
)
def test_a_bad_report_names_its_field(
    api: Api, make: Factory, site: Site, sent: dict[str, Any], field: str
) -> None:
    refused = report(api, make.comment(make.conversation(site)), site.newcomer, **sent)
    assert refused.status == 400
    assert refused.error.startswith(f"{field}:")
    assert cases(api, site.moderator) == []


def test_what_one_may_not_read_or_wrote_oneself_is_not_reported(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    make.role(site, place.id, "Nobody", rights=())
    secret = make.conversation(site, microcosm=place, by=site.owner)
    never = Thing(site, secret.type, 987_654_321)
    answers = [report(api, thing, site.newcomer) for thing in (secret, never)]
    assert [answer.status for answer in answers] == [403, 403]
    assert answers[0].body == answers[1].body
    said = make.comment(make.conversation(site))
    assert report(api, said, site.member).error == "itemId: is your own"
    assert (
        api.request(
            "POST", "/api/v1/reports", site=site, json={"itemType": "comment", "itemId": said.id}
        ).status
        == 403
    )


def test_an_action_on_what_one_may_not_touch_changes_nothing(
    api: Api, make: Factory, site: Site
) -> None:
    theirs, other = make.microcosm(site), make.microcosm(site)
    keeper = make.person(site)
    make.join(make.role(site, theirs.id, "Keep", moderator=True, rights=("read", "update")), keeper)
    good = make.comment(make.conversation(site, microcosm=theirs))
    elsewhere = make.comment(make.conversation(site, microcosm=other))
    private = make.comment(make.huddle(keeper, site.member), by=site.member)
    never = Thing(site, good.type, 987_654_321)

    answers = [act(api, keeper, "hide", good, bad) for bad in (elsewhere, private, never)]
    assert {answer.status for answer in answers} == {403}
    assert len({answer.body for answer in answers}) == 1
    assert api.get(good.path, by=site.newcomer).status == 200
    assert act(api, site.member, "hide", good).status == 403
    assert act(api, site.owner, "hide", private).status == 403
    done(act(api, keeper, "hide", good))


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"kind": "burn"}, "kind"),
        ({"reason": " "}, "reason"),
        ({"ground": "taste"}, "ground"),
        ({"ground": "illegal"}, "rule"),
        ({"targets": []}, "targets"),
        ({"targets": [{"itemType": "profile", "itemId": 1}]}, "targets[0].itemType"),
        ({"query": {"createdBy": 1}}, "query"),
        ({"kind": "lock"}, "targets[0].itemType"),
        ({"ticket": "x"}, "ticket"),
    ],
)
def test_a_bad_action_names_its_field(
    api: Api, make: Factory, site: Site, sent: dict[str, Any], field: str
) -> None:
    said = make.comment(make.conversation(site))
    good = {
        "kind": "hide",
        "reason": REASON,
        "targets": [{"itemType": "comment", "itemId": said.id}],
    }
    refused = api.request("POST", "/api/v1/actions", by=site.moderator, json=good | sent)
    assert refused.status == 400
    assert refused.error.startswith(f"{field}:")


def test_undo_leaves_alone_what_was_changed_since_and_lists_it(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site)
    one, two, three = make.comments(chat, 3)
    first = done(act(api, site.moderator, "hide", one, two, three))
    second = done(act(api, site.owner, "show", two))
    third = done(act(api, site.owner, "delete", three))

    undone = done(api.post(f"/api/v1/actions/{first['id']}/undo", {}, by=site.moderator))
    assert undone["counts"] | {"undone": 2, "conflict": 1} == undone["counts"]
    assert (undone["targets"][0]["itemId"], undone["targets"][0]["state"]) == (two.id, "conflict")
    flags = api.get(three.path, by=site.owner).data["meta"]["flags"]
    assert (flags["moderated"], flags["deleted"]) == (False, True)

    # Once the later one is undone, the first can be undone there too.
    for action in (third, second):
        done(api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.owner))
    done(api.post(f"/api/v1/actions/{first['id']}/undo", {}, by=site.moderator))
    assert api.get(chat.path, by=site.newcomer).data["comments"]["total"] == 3


@pytest.mark.wide
def test_all_by_somebody_is_hidden_and_back(api: Api, make: Factory, site: Site) -> None:
    spammer = make.person(site)
    chats = [make.conversation(site) for _ in range(3)]
    mine = make.conversation(site, by=spammer)
    for chat in (*chats, mine):
        make.comments(chat, 4, by=spammer)
        make.comment(chat, by=site.newcomer)
    hidden_before = make.comment(chats[0], by=spammer)
    done(act(api, site.owner, "hide", hidden_before))
    for chat in chats:
        api.get(chat.path, by=site.newcomer)
    before = {chat.path: api.get(chat.path, by=site.newcomer).data["comments"] for chat in chats}
    profile = api.get(spammer.path, by=site.newcomer).data

    query = {"createdBy": spammer.id}
    plan = done(act(api, site.moderator, "hide", query=query, dryRun=True))
    assert plan["total"] == 17
    action = done(
        api.request("POST", "/api/v1/actions", by=site.moderator, json={"ticket": plan["ticket"]})
    )
    assert action["counts"]["done"] == 17
    assert api.get(mine.path, by=site.newcomer).status == 404
    for chat in chats:
        assert api.get(chat.path, by=site.newcomer).data["comments"]["total"] == 1
    assert api.get(spammer.path, by=site.newcomer).data["commentCount"] == 0

    undone = done(api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.moderator))
    assert undone["counts"]["undone"] == 17
    for path, comments in before.items():
        assert api.get(path, by=site.newcomer).data["comments"] == comments
    after = api.get(spammer.path, by=site.newcomer).data
    assert (after["commentCount"], after["itemCount"]) == (
        profile["commentCount"],
        profile["itemCount"],
    )
    # What was hidden before stays hidden.
    assert api.get(hidden_before.path, by=site.newcomer).status == 404


def test_the_queue_is_paged_by_key_and_filtered(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    things = make.comments(chat, 7)
    for thing in things:
        report(api, thing, site.newcomer)
    report(api, chat, site.newcomer, kind="illegal", goodFaith=True)
    seen: list[int] = []
    path = "/api/v1/cases?limit=5"
    while path:
        page = api.get(path, by=site.moderator).data["cases"]
        seen += [one["itemId"] for one in page["items"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert seen == [chat.id, *(thing.id for thing in things)]
    assert len(cases(api, site.moderator, "?priority=high")) == 1
    assert len(cases(api, site.moderator, "?itemType=comment")) == 7
    assert len(cases(api, site.moderator, f"?microcosmId={site.root_id}")) == 8
    assert cases(api, site.moderator, f"?microcosmId={make.site().root_id}") == []
    for query in ("priority=low", "state=lost", "after=1-2", "itemType=tree", "itemType=huddle"):
        assert api.get(f"/api/v1/cases?{query}", by=site.moderator).status == 400


def test_the_round_trips_of_the_queue(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    for thing in make.comments(chat, 20):
        report(api, thing, site.newcomer)
    api.get("/api/v1/cases", by=site.moderator)
    page = api.get("/api/v1/cases", by=site.moderator)
    assert len(page.data["cases"]["items"]) == 20
    # The caller, the cases, the versions of the people.
    assert (page.statements, page.cache_trips) == (3, 0)


def test_a_case_follows_its_item_to_another_microcosm(api: Api, make: Factory, site: Site) -> None:
    theirs, other = make.microcosm(site), make.microcosm(site)
    keeper = make.person(site)
    make.join(make.role(site, theirs.id, "Keep", moderator=True, rights=("read", "update")), keeper)
    chat = make.conversation(site, microcosm=theirs)
    report(api, make.comment(chat), site.newcomer)
    assert len(cases(api, keeper)) == 1
    moved = done(act(api, site.owner, "move", chat, microcosmId=other.id))
    assert moved["counts"]["done"] == 1, moved
    assert cases(api, keeper) == []
    assert api.get(f"/api/v1/actions/{moved['id']}", by=keeper).status == 404
    done(api.post(f"/api/v1/actions/{moved['id']}/undo", {}, by=site.owner))
    assert len(cases(api, keeper)) == 1


def test_nobody_sees_a_case_about_their_own_words(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.conversation(site), by=site.moderator)
    report(api, said, site.newcomer)
    assert cases(api, site.moderator) == []
    (case,) = cases(api, site.owner)
    assert api.get(f"/api/v1/cases/{case['id']}", by=site.moderator).status == 404
    action = done(act(api, site.owner, "hide", said, note="Known for this"))
    assert api.get(f"/api/v1/actions/{action['id']}", by=site.moderator).status == 404
    assert api.get("/api/v1/actions", by=site.moderator).data["actions"]["items"] == []
    assert api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.moderator).status == 404


def test_of_a_huddle_the_owner_sees_the_reported_comment_alone(
    api: Api, make: Factory, site: Site
) -> None:
    huddle = make.huddle(site.member, site.newcomer, title="Between us")
    said = make.comment(huddle, by=site.member, markdown="I will find you")
    make.comment(huddle, by=site.newcomer, markdown="Nobody's affair")
    never = Thing(site, said.type, 987_654_321)
    answers = [report(api, one, site.owner) for one in (said, never)]
    assert answers[0].status == 404
    assert answers[0].body == answers[1].body
    told = report(api, said, site.newcomer, kind="abuse", text="A threat")
    assert told.status == 302, told.body
    assert cases(api, site.moderator) == []
    (case,) = cases(api, site.owner)
    answer = api.get(f"/api/v1/cases/{case['id']}", by=site.owner)
    assert answer.data["text"] == "I will find you"
    assert b"affair" not in answer.body
    assert b"Between us" not in answer.body
    assert api.get(said.path, by=site.owner).status in (403, 404)


def test_a_flag_by_patch_is_an_action_underneath(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    said = make.comment(chat)
    before = api.get(chat.path, by=site.newcomer).data
    assert api.patch(chat.path, ("sticky", True), ("open", False), by=site.moderator).status == 200
    assert api.patch(said.path, ("deleted", True), by=site.moderator).status == 200
    assert api.get(chat.path, by=site.newcomer).data["meta"]["editReason"]

    actions = api.get("/api/v1/actions", by=site.owner).data["actions"]["items"]
    assert [one["kind"] for one in actions] == ["delete", "lock", "pin"]
    assert "statement" in [
        link["rel"] for link in api.get(said.path, by=site.member).data["meta"]["links"]
    ]
    # In any order.
    for one in sorted(actions, key=lambda one: str(one["kind"])):
        undone = done(api.post(f"/api/v1/actions/{one['id']}/undo", {}, by=site.owner))
        assert undone["counts"]["undone"] == 1
    after = api.get(chat.path, by=site.newcomer).data
    for part in (before, after):
        for comment in part["comments"]["items"]:
            del comment["meta"]["flags"]["unread"]
    assert after == before
    # What its author does with their own is no action of a moderator.
    assert api.patch(said.path, ("deleted", True), by=site.member).status == 200
    assert len(api.get("/api/v1/actions", by=site.owner).data["actions"]["items"]) == 3


def read(api: Api, by: Person, paths: list[str]) -> list[Any]:
    """The documents that somebody reads at these paths, but for how often things were viewed."""
    answers = [api.get(path, by=by) for path in paths]
    assert {answer.status for answer in answers} == {200}
    return [json.loads(re.sub(rb'"totalViews":\d+,', b"", one.body))["data"] for one in answers]


def confirm(api: Api, make: Factory, site: Site, address: str) -> None:
    """Follow the link of the mail that asks a guest to confirm a report."""
    ((text,),) = make.sql(
        "SELECT text_body FROM mail_outbox WHERE site_id = %(s)s AND recipient = %(a)s",
        s=site.id,
        a=address,
    )
    (path,) = re.findall(r"/mail/report\?code=\S+", text)
    assert api.request("POST", path, site=site, form={"step": "confirm"}).status == 200


def test_a_guests_report_leads_to_63_hidden_things_and_an_appeal_brings_all_back(
    api: Api, make: Factory, site: Site
) -> None:
    spammer, late, other = make.person(site), make.person(site), make.person(site)
    make.join(make.role(site, site.root_id, "More", moderator=True, rights=RIGHTS), other)
    place = make.microcosm(site)
    chats = [make.conversation(site), make.conversation(site, microcosm=place)]
    own = [make.conversation(site, by=spammer) for _ in range(3)]
    said = []
    for chat in (*chats, *own):
        first = make.comment(chat, by=spammer)
        said += [first, *make.comments(chat, 11, by=spammer)]
        make.comment(chat, by=site.newcomer, reply_to=first)
    things = [*own, *said]
    assert len(things) == 63
    assert api.put(f"{said[0].path}/reactions/like", by=site.newcomer).status == 302
    assert api.put(f"{own[0].path}/bookmark", by=late).status == 302
    # One has read two conversations, and then the other one everything.
    for mark in (chats[0], own[0]):
        named = {"itemType": "conversation", "itemId": mark.id}
        assert api.put("/api/v1/profiles/read", named, by=late).status == 200
    make.comment(chats[0], by=site.newcomer)
    everything = [one.path for one in (*chats, *things)]
    read(api, site.newcomer, everything)
    lists = ["/api/v1/conversations", "/api/v1/bookmarks", "/api/v1/site", spammer.path]
    lists += [f"/api/v1/microcosms/{id}" for id in (site.root_id, place.id)]

    def documents() -> list[Any]:
        shown = [*read(api, site.newcomer, lists + everything), *read(api, late, lists)]
        # The author visits meanwhile.
        return [{key: one[key] for key in one if key != "lastActive"} for one in shown]

    before = documents()
    # New to the late one are what they have not read: in three conversations all, in one the last.
    listed = read(api, late, lists[:1])[0]["conversations"]["items"]
    assert sorted(one["meta"].get("newComments", 0) for one in listed) == [0, 1, 13, 13, 13]

    # A guest reports one of them, and confirms the address.
    address = "gus@guest.test"
    sent = {"itemType": "comment", "itemId": said[0].id, "kind": "spam", "text": "All the same"}
    guest = {"email": address, "name": "Gus", "goodFaith": True}
    assert api.post("/api/v1/reports/guest", sent | guest, site=site).status == 200
    assert cases(api, site.moderator) == []
    confirm(api, make, site, address)

    # A moderator takes the case, and looks at what would be hidden.
    (case,) = cases(api, site.moderator)
    assert (case["itemId"], case["author"]["id"], case["reports"]) == (said[0].id, spammer.id, 1)
    assert api.put(f"/api/v1/cases/{case['id']}/lease", by=site.moderator).status == 200
    whose = {"query": {"createdBy": spammer.id}, "caseId": case["id"]}
    plan = done(act(api, site.moderator, "hide", **whose, dryRun=True))
    assert (plan["total"], plan["counts"]["planned"]) == (63, 63)
    assert {one["itemId"] for one in plan["targets"]} == {one.id for one in things}
    assert documents() == before
    ticket = {"ticket": plan["ticket"]}
    action = done(api.post("/api/v1/actions", ticket, by=site.moderator))
    assert (action["state"], action["counts"]["done"]) == ("done", 63)
    assert cases(api, site.moderator) == []
    for thing in things:
        for by in (site.newcomer, None):
            assert api.get(thing.path, by=by, site=site).status == 404
    assert api.get(spammer.path, by=late).data["commentCount"] == 0

    # The author reads why, and appeals.
    links = api.get(said[0].path, by=spammer).data["meta"]["links"]
    (href,) = [one["href"] for one in links if one["rel"] == "statement"]
    stated = api.get(href, by=spammer).data
    assert (stated["facts"], stated["count"]) == (REASON, 63)
    assert stated["automatedDecision"] is False
    told = api.post(f"{href}/appeal", {"text": "I wrote no advertising"}, by=spammer)
    assert told.status == 302

    # Another moderator grants it.
    granted = {"outcome": "granted", "text": "It was no advertising"}
    decision = f"{told.location}/decision"
    assert api.post(decision, granted, by=site.moderator).status == 403
    assert api.post(decision, granted, by=other).status == 302
    assert api.get(told.location, by=spammer).data["state"] == "granted"
    counts = api.get(f"/api/v1/actions/{action['id']}", by=other).data["counts"]
    assert (counts["undone"], counts["conflict"]) == (63, 0)

    # All 63 are back with their counts, links and read marks.
    assert documents() == before
