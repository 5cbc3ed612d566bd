"""The owner's webhook is told of reports, decided cases and appeals, and of no person or word behind them."""

from __future__ import annotations

from typing import Any

from forumapi import itemtypes
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.webhooks.conftest import PATH, Hooks, until
from tests.webhooks.receiver import Receiver

RECORDS = {"itemTypes": ["report", "case", "appeal"]}
SPAM = "STATEMENT_CATEGORY_VIOLATION_TOS"
NAME = "Quixotereporter"
WORDS = "Told by a neighbour of his"
SECRETS = (
    NAME,
    WORDS,
    "A note among moderators",
    "This was no spam",
    "It was spam",
    "Psst",
    "Rude",
)


def report(api: Api, thing: Thing, by: Person, **more: Any) -> None:
    """Report a thing as spam."""
    named = {"itemType": itemtypes.name_of(thing.type), "itemId": thing.id}
    sent = {**named, "kind": "spam", "text": WORDS, **more}
    assert api.post("/api/v1/reports", sent, by=by).status == 302


def case_of(api: Api, thing: Thing, by: Person) -> int:
    """Return the id of the thing's open case."""
    items = api.get("/api/v1/cases", by=by).data["cases"]["items"]
    (found,) = (one["id"] for one in items if one["itemId"] == thing.id)
    return int(found)


def hide(api: Api, thing: Thing, case: int, by: Person) -> int:
    """Hide a comment, which decides its case; the action's id."""
    sent = {
        "kind": "hide",
        "reason": "Rude",
        "note": "A note among moderators",
        "caseId": case,
        "targets": [{"itemType": "comment", "itemId": thing.id}],
    }
    answer = api.post("/api/v1/actions", sent, by=by)
    assert answer.status == 200, answer.body
    return int(answer.data["id"])


def test_the_owner_is_told_what_was_reported_decided_and_appealed_against(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    reporter, moderator = make.person(site, NAME), site.moderator
    said = make.comment(make.conversation(site, by=site.owner))
    other = make.comment(make.conversation(site, by=site.owner))
    hook = hooks.add(receiver.url(), documents=True, **RECORDS)
    hooks.add(receiver.url("/dismissed"), kinds=["decided"], itemTypes=["case"])
    # The same message comes again, with the same id, until it is taken.
    receiver.answer = lambda message: 204 if len(receiver.messages) else 500

    report(api, said, reporter)
    case = case_of(api, said, moderator)
    note = {"text": "A note among moderators"}
    assert api.post(f"/api/v1/cases/{case}/notes", note, by=moderator).status == 302
    acted = hide(api, said, case, moderator)
    (statement,) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    path = f"/api/v1/statements/{statement['id']}/appeal"
    appeal = api.post(path, {"text": "This was no spam"}, by=site.member).location
    decision = {"outcome": "granted", "text": "It was spam"}
    assert api.post(f"{appeal}/decision", decision, by=site.owner).status == 302
    report(api, other, reporter)
    dismissed = case_of(api, other, moderator)
    sent = {"outcome": "dismissed", "note": "A note among moderators"}
    assert api.post(f"/api/v1/cases/{dismissed}/decision", sent, by=moderator).status == 302

    messages = until(lambda: _delivered(hooks, hook, receiver), lambda found: len(found) >= 6)
    told = {message.data["type"]: message.data for message in messages[:4]}
    assert messages[0].data["type"] == "report.created"
    assert len({message.id for message in messages}) == 6
    assert all(message.is_signed_with(hook["secret"]) for message in messages)
    about = {"itemType": "comment", "itemId": said.id, "href": said.path}
    action = {
        "id": acted,
        "href": f"/api/v1/actions/{acted}",
        "kind": "hide",
        "ground": "terms",
        "category": SPAM,
        "automated": False,
    }
    first = told["report.created"]
    assert first["site"].startswith(f"http://{site.host}")
    assert (first["href"], first["microcosmId"]) == (f"/api/v1/cases/{case}", site.root_id)
    assert (first["parentType"], first["parentId"]) == ("case", case)
    assert (first["thing"], first["report"]) == (about, {"kind": "spam", "category": SPAM})
    decided = told["case.decided"]
    assert (decided["itemId"], decided["thing"], decided["action"]) == (case, about, action)
    assert decided["case"].pop("opened") < decided["case"].pop("decided")
    assert decided["case"] == {"outcome": "acted"}
    appealed, granted = told["appeal.created"], told["appeal.decided"]
    assert appealed["href"] == granted["href"] == appeal.partition("?")[0]
    assert appealed["thing"]["href"] == site.member.path
    assert appealed["action"] == granted["action"] == action
    assert [*appealed["appeal"]] == ["created"]
    assert granted["appeal"]["outcome"] == "granted"
    last = messages[5].data
    assert (last["itemId"], last["case"]["outcome"]) == (dismissed, "dismissed")
    assert "action" not in last
    # Nobody's name or words; and a webhook is told of what it asks for.
    everything = b"".join(message.body for message in receiver.messages).decode()
    assert not [secret for secret in SECRETS if secret in everything]
    assert site.moderator.name not in everything
    assert "document" not in everything
    assert {message.data["type"] for message in receiver.at("/dismissed")} == {"case.decided"}


def _delivered(hooks: Hooks, hook: Any, receiver: Receiver) -> list[Any]:
    """Messages in the order in which each came last, once each."""
    hooks.time_passes(hook)
    return list({message.id: message for message in receiver.at()}.values())


def test_an_owner_is_told_nothing_of_cases_about_their_own(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    own = make.comment(make.conversation(site), by=site.owner)
    other = make.comment(make.conversation(site))
    receiver.answer = lambda message: 500
    hook = hooks.add(receiver.url(), **RECORDS)
    report(api, own, site.newcomer)
    assert case_of(api, own, site.moderator)
    report(api, other, site.newcomer)

    (queued,) = until(lambda: hooks.deliveries(hook, "queued"), len)
    assert (queued["itemType"], queued["parentId"]) == ("report", case_of(api, other, site.owner))
    limits = {"first": hooks.cursor(1), "last": hooks.cursor(10_000), "everything": True}
    again = api.post(f"{PATH}/{hook['id']}/replay", limits, by=site.owner)
    assert again.data["replayed"] == 1


def test_of_a_huddle_the_reported_comments_reference_is_sent_alone(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    body = {"itemType": "huddle", "itemId": huddle.id, "markdown": "Psst"}
    ids: list[int] = []
    for _ in range(2):
        made = api.post(
            "/api/v1/comments", {**body, "markdown": f"Psst {len(ids)}"}, by=site.member
        )
        ids.append(int(made.location.rpartition("/")[2].partition("?")[0]))
    hooks.add(receiver.url(), itemTypes=["report", "huddle", "comment"])
    report(api, Thing(site, itemtypes.COMMENT, ids[0]), site.newcomer, shownIds=[ids[1]])

    message = receiver.only()
    path = f"/api/v1/comments/{ids[0]}"
    assert message.data["thing"] == {"itemType": "comment", "itemId": ids[0], "href": path}
    assert "microcosmId" not in message.data
    assert message.data["parentType"] == "case"
    assert b"Psst" not in message.body


def test_who_owns_the_site_no_more_is_told_nothing(
    api: Api, hooks: Hooks, make: Factory, site: Site, receiver: Receiver
) -> None:
    other = make.site()
    elsewhere = Hooks(api, make, other)
    elsewhere.add(receiver.url("/other"), **RECORDS)
    old = hooks.add(receiver.url("/old"), **RECORDS)
    make.sql(
        "UPDATE sites SET owned_by = %(new)s, version = version + 1 WHERE site_id = %(s)s RETURNING 1",
        new=site.moderator.id,
        s=site.id,
    )
    new = api.post(PATH, {"url": receiver.url("/new"), **RECORDS}, by=site.moderator).data
    report(api, make.comment(make.conversation(site)), site.newcomer)

    assert receiver.only("/new").is_signed_with(new["secret"])
    until(
        lambda: make.sql(
            "SELECT 1 FROM webhook_deliveries WHERE webhook_id = %(id)s", id=old["id"]
        ),
        lambda rows: not rows,
    )
    assert receiver.at("/old") == receiver.at("/other") == []


def test_who_may_have_records_sent(api: Api, make: Factory, site: Site) -> None:
    body = {"url": "http://127.0.0.1:9/hook", "itemTypes": ["case"]}
    refused = api.post(PATH, {**body, "actAs": "guest"}, by=site.owner)
    assert (refused.status, refused.data["code"]) == (400, "out_of_range")
    assert "itemTypes" in refused.error
    for person in (site.moderator, site.member):
        assert api.post(PATH, body, by=person).status == 403
    assert api.post(PATH, body, site=site).status == 403

    things = ["comments", "conversations", "events", "polls", "profiles"]
    needed = [f"{one}:read" for one in (*things, "cases")]
    for missing in (*needed, ""):
        granted = [scope for scope in needed if scope != missing]
        sent = {"name": "A key", "scopes": ["webhooks:write", *granted]}
        key = api.post("/api/v1/keys", sent, by=site.owner).data["secret"]
        answer = api.post(PATH, body, site=site, token=key)
        assert answer.status == (403 if missing else 200), (missing, answer.body)
        if missing:
            assert answer.data["scope"] == missing
    listed = api.get(PATH, by=site.owner).data["webhooks"]["items"]
    assert [one["itemTypes"] for one in listed] == [["case"]]
    usual = api.post(PATH, {"url": body["url"]}, by=site.owner).data["itemTypes"]
    assert not {"report", "case", "appeal"} & {*usual}
