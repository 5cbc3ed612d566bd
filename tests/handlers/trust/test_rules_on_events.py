"""Rules that wait for reports, and for people who join: who counts, what they do once, and the dry run before it."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.itemtypes import ItemRef
from forumapi.models.cases.report import Guest, Report, ReportedThing
from forumapi.models.people.profile import Profile
from forumapi.models.people.user import User
from tests import services
from tests.api import Api, Response
from tests.factories import Factory, Person, Site, Thing
from tests.handlers.trust.test_rules import DRY_RUN, RULES, hits


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def tried(api: Api, by: Person, **more: Any) -> Response:
    sent = {
        "title": "Many reports",
        "mode": "active",
        "event": "comment.reported",
        "minReports": 2,
        "action": "hold",
        "reason": "Several people have reported this",
        **more,
    }
    return api.request("POST", DRY_RUN, by=by, json=sent)


def saved(api: Api, by: Person, **more: Any) -> str:
    """The address of a new rule."""
    plan = tried(api, by, **more)
    assert plan.status == 200, plan.body
    answer = api.post(RULES, {"ticket": plan.data["ticket"]}, by=by)
    assert answer.status == 302, answer.body
    return str(answer.location)


def report(api: Api, thing: Thing, by: Person) -> None:
    sent = {"itemType": itemtypes.name_of(thing.type), "itemId": thing.id, "kind": "spam"}
    answer = api.post("/api/v1/reports", sent, by=by)
    assert answer.status == 302, answer.body


def report_as_guest(make: Factory, said: Thing, address: str) -> None:
    """A report by a guest who has confirmed the address."""
    ((microcosm_id, author_id),) = make.sql(
        "SELECT i.microcosm_id, c.created_by FROM comments c JOIN items i USING (site_id, item_id)"
        " WHERE c.comment_id = %(id)s",
        id=said.id,
    )
    thing = ReportedThing(ItemRef(itemtypes.COMMENT, said.id), microcosm_id, author_id)
    words = ("spam", "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "")
    with make.database.write() as tx:
        Report(thing, *words, guest=Guest(address, "", address)).insert(tx, said.site.id, 0)


def settled(make: Factory, site: Site) -> None:
    """Wait until the rules have looked at all reports of the site."""

    def is_done() -> bool:
        return make.sql(
            "SELECT count(*) FROM reports WHERE site_id = %(s)s AND awaits_rules", s=site.id
        ) == [(0,)]

    services.wait_until(is_done, "reports wait for the rules")


def is_hidden(api: Api, said: Thing) -> bool:
    return api.get(said.path, by=said.site.newcomer).status == 404


@pytest.mark.wide
def test_reports_by_enough_people_hold_a_comment_once(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, by=site.owner)
    said, other = (make.comment(chat, by=site.member) for _ in range(2))
    people = [make.person(site) for _ in range(4)]
    rule = saved(api, site.owner)
    shadow = saved(api, site.owner, mode="shadow", minReports=1, action="delete")
    report(api, said, people[0])
    report(api, other, people[0])
    report(api, said, people[0])
    settled(make, site)
    assert not is_hidden(api, said)
    report(api, said, people[1])
    (hit,) = hits(api, rule, site.owner, 1)
    assert (hit["href"], hit["shadow"]) == (said.path, False)
    assert is_hidden(api, said) and not is_hidden(api, other)
    assert {one["href"] for one in hits(api, shadow, site.owner, 2)} == {said.path, other.path}

    # Its author reads why, and nothing of who reported.
    links = api.get(said.path, by=site.member).data["meta"]["links"]
    (href,) = [link["href"] for link in links if link["rel"] == "statement"]
    stated = api.get(href, by=site.member)
    assert stated.data["automatedDecision"] is True
    assert not any(person.name in stated.body.decode() for person in people)

    # A moderator brings it back: the same case does not hide it again, whoever reports.
    undone = api.post(f"/api/v1/actions/{hit['actionId']}/undo", {}, by=site.moderator)
    assert undone.status == 200, undone.body
    report(api, said, people[2])
    settled(make, site)
    assert not is_hidden(api, said)

    # Nor do those reports count once they were dismissed: it takes as many people again.
    cases = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    (case,) = [one for one in cases if one["itemId"] == said.id]
    decision = {"outcome": "dismissed", "note": "Quite polite"}
    path = f"/api/v1/cases/{case['id']}/decision"
    assert api.post(path, decision, by=site.moderator).status == 302
    report(api, said, people[3])
    settled(make, site)
    assert not is_hidden(api, said)
    report(api, said, make.person(site))
    hits(api, rule, site.owner, 2)
    assert is_hidden(api, said)


@pytest.mark.wide
def test_one_person_does_not_count_as_many(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.conversation(site, by=site.owner), by=site.member)
    one, keeper = make.person(site), make.person(site)
    _, role = make.role(site, site.root_id, "Regulars", rights=("read",))
    make.join((site, role), keeper, *(make.person(site) for _ in range(4)))
    anybody = saved(api, site.owner, minReports=3, mode="shadow")
    regulars = saved(api, site.owner, minReports=2, reporterRoleIds=[role], mode="shadow")
    report(api, said, one)
    report_as_guest(make, said, one.email)
    report(api, said, keeper)
    report_as_guest(make, said, keeper.email)
    settled(make, site)
    assert hits(api, anybody, site.owner, 0) == []
    report_as_guest(make, said, "somebody@else.test")
    hits(api, anybody, site.owner, 1)
    assert hits(api, regulars, site.owner, 0) == []

    plan = tried(api, site.owner, minReports=3).data
    assert (plan["total"], [found["itemId"] for found in plan["targets"]]) == (1, [said.id])
    assert tried(api, site.owner, minReports=4).data["total"] == 0
    assert tried(api, site.owner, minReports=1, reporterRoleIds=[role]).data["total"] == 1
    assert tried(api, site.owner, minReports=2, reporterRoleIds=[role]).data["total"] == 0


@pytest.mark.wide
def test_the_owner_does_not_learn_who_reported_them(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, by=site.owner)
    said, theirs = make.comment(chat, by=site.owner), make.comment(chat, by=site.member)
    members = [make.person(site) for _ in range(5)]
    _, role = make.role(site, site.root_id, "Regulars", rights=("read",))
    make.join((site, role), *members[1:])
    refused = tried(api, site.owner, minReports=1, reporterRoleIds=[role])
    assert refused.status == 400 and refused.error.startswith("reporterRoleIds: must have at least")
    make.join((site, role), members[0])
    shadow = {"mode": "shadow", "minReports": 1, "reporterRoleIds": [role]}
    rules = [
        saved(api, site.owner, **shadow, event=f"{kind}.reported") for kind in ("comment", "item")
    ]
    for thing in (said, chat, theirs):
        report(api, thing, members[0])
    settled(make, site)
    # Of the times when such things were not left alone yet.
    make.sql(
        "INSERT INTO rule_hits (site_id, rule_id, event_number, version, item_type_id, item_id, is_shadow)"
        " SELECT r.site_id, %(rule)s, r.report_id + 1000, 1, r.item_type_id, r.item_id, true FROM reports r"
        " WHERE r.site_id = %(s)s",
        s=site.id,
        rule=int(rules[0].rpartition("/")[2]),
    )
    for rule, event, shown in zip(rules, ("comment", "item"), ([theirs.path] * 2, []), strict=True):
        assert [one["href"] for one in hits(api, rule, site.owner, len(shown))] == shown
        assert api.get(rule, by=site.owner).data["shadowed"] == len(shown)
        plan = tried(api, site.owner, **shadow, event=f"{event}.reported").data
        count = 1 if event == "comment" else 0
        assert (plan["examined"], plan["total"], len(plan["targets"])) == (count, count, count)
    listed = api.get(RULES, by=site.owner).data["rules"]["items"]
    assert [one["shadowed"] for one in listed] == [2, 0]


@pytest.mark.wide
def test_rules_on_reports_spare_the_owner_and_moderators(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    people = (site.owner, site.moderator, site.member)
    *spared, taken = (make.comment(chat, by=by) for by in people)
    rule = saved(api, site.owner, minReports=1, action="delete")
    records = saved(api, site.owner, minReports=1, mode="shadow", action="hide")
    for thing in (*spared, taken):
        report(api, thing, site.newcomer)
    settled(make, site)
    for path in (rule, records):
        assert [one["href"] for one in hits(api, path, site.owner, 1)] == [taken.path]
    assert [is_hidden(api, thing) for thing in (*spared, taken)] == [False, False, True]


def test_a_report_in_a_huddle_fits_no_rule(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.huddle(site.member, site.newcomer), by=site.member)
    rule = saved(api, site.owner, minReports=1)
    report(api, said, site.newcomer)
    settled(make, site)
    assert hits(api, rule, site.owner, 0) == []
    assert tried(api, site.owner, minReports=1).data["total"] == 0


@pytest.mark.wide
def test_reports_of_items_count_and_what_was_reported_before_the_rule_is_left_alone(
    api: Api, make: Factory, site: Site
) -> None:
    early, late = (make.conversation(site, by=site.member) for _ in range(2))
    report(api, early, site.newcomer)
    terms = {"event": "item.reported", "minReports": 1, "action": "lock"}
    assert tried(api, site.owner, **terms).data["total"] == 1
    rule = saved(api, site.owner, **terms)
    report(api, late, site.newcomer)
    (hit,) = hits(api, rule, site.owner, 1)
    assert hit["href"] == late.path
    assert api.get(late.path, by=site.member).data["meta"]["flags"]["open"] is False
    assert api.get(early.path, by=site.member).data["meta"]["flags"]["open"] is True


@pytest.mark.parametrize("action", ["silence", "warn"])
def test_a_rule_restricts_people_who_join_with_some_addresses(
    api: Api, make: Factory, site: Site, action: str
) -> None:
    domain = f"{action}.example"
    terms = {
        "event": "profile.joined",
        "action": action,
        "criteria": [{"profileColumn": "email", "predicate": "substr", "value": f"@{domain}"}],
        "minReports": None,
        **({"restrictDays": 7} if action == "silence" else {}),
    }
    chat = make.conversation(site, by=site.owner)
    before = _joined(make, site, f"before@{domain}")
    plan = tried(api, site.owner, **terms)
    assert plan.status == 200, plan.body
    assert [one["itemId"] for one in plan.data["targets"]] == [before.id]
    rule = saved(api, site.owner, **terms)
    held, free = _joined(make, site, f"spam@{domain}"), _joined(make, site, "b@good.example")
    (hit,) = hits(api, rule, site.owner, 1)
    assert (hit["itemType"], hit["itemId"]) == ("profile", held.id)
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": "Am I heard?"}
    for person, expected in ((held, 403), (before, 302), (free, 302)):
        written = api.post("/api/v1/comments", sent | {"markdown": person.name}, by=person)
        assert written.status == (expected if action == "silence" else 302)
    (stated,) = api.get("/api/v1/statements", by=held).data["statements"]["items"]
    assert stated["id"]


def _joined(make: Factory, site: Site, address: str) -> Person:
    with make.database.write() as tx:
        user_id = User.find_or_create(tx, address, is_verified=True).id
        name = address.replace("@", "-at-")
        id = Profile.insert(tx, site.id, user_id, name)
        return make._person(tx, site, id, user_id, name, address)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"minReports": 0}, "minReports"),
        ({"minReports": 101}, "minReports"),
        ({"minReports": None}, "minReports"),
        ({"event": "comment.created"}, "minReports"),
        ({"reporterRoleIds": [987_654_321]}, "reporterRoleIds"),
        ({"event": "profile.joined", "minReports": None}, "action"),
        (
            {
                "event": "profile.joined",
                "minReports": None,
                "action": "silence",
                "restrictDays": 2,
                "hasLink": True,
            },
            "event",
        ),
    ],
)
def test_a_bad_rule_names_its_field(api: Api, site: Site, sent: dict[str, Any], field: str) -> None:
    refused = tried(api, site.owner, **sent)
    assert refused.status == 400, refused.body
    assert refused.error.startswith(f"{field}:")


def test_a_rule_on_reports_stays_one(api: Api, site: Site) -> None:
    id = int(saved(api, site.owner).rpartition("/")[2])
    refused = tried(
        api, site.owner, ruleId=id, event="comment.created", minReports=None, hasLink=True
    )
    assert refused.status == 400 and refused.error.startswith("event:")
    assert tried(api, site.owner, ruleId=id, event="item.reported").status == 200
