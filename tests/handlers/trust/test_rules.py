"""Rules of moderation: the dry run, what is done after it, and what is only recorded."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.api import Api, Response
from tests.factories import RIGHTS, Factory, Person, Site, Thing
from tests.fixtures import Server

DRY_RUN = "/api/v1/rules/dry-run"
RULES = "/api/v1/rules"
LINK = "Look at https://shop.example/wheels now"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def tried(api: Api, by: Person, **more: Any) -> Response:
    sent = {
        "title": "Links of newcomers",
        "mode": "active",
        "event": "comment.created",
        "hasLink": True,
        "action": "hide",
        "reason": "New members may not post links",
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


def said(api: Api, chat: Thing, by: Person, markdown: str) -> str:
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": markdown}
    answer = api.post("/api/v1/comments", sent, by=by)
    assert answer.status == 302, answer.body
    return str(answer.location)


def hits(api: Api, rule: str, by: Person, count: int) -> list[dict[str, Any]]:
    """The record of a rule once it has so many entries; a minute at most."""
    until = time.monotonic() + 60
    while True:
        items: list[dict[str, Any]] = api.get(f"{rule}/hits", by=by).data["hits"]["items"]
        if len(items) >= count or time.monotonic() > until:
            assert len(items) == count
            return items
        time.sleep(0.1)


@pytest.mark.wide
def test_a_rule_is_tried_and_saved_and_hides_what_fits_alone(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    earlier = said(api, chat, site.newcomer, LINK)
    said(api, chat, site.newcomer, "No link")

    plan = tried(api, site.owner)
    assert plan.status == 200, plan.body
    assert (plan.data["total"], plan.data["days"]) == (1, 30)
    (target,) = plan.data["targets"]
    assert (target["href"], target["createdBy"]["id"]) == (earlier, site.newcomer.id)
    assert api.get(RULES, by=site.owner).data["rules"]["items"] == []

    ticket = {"ticket": plan.data["ticket"]}
    rule = api.post(RULES, ticket, by=site.owner).location
    assert api.post(RULES, ticket, by=site.owner).status == 404
    plain = said(api, chat, site.newcomer, "No link either")
    linked = said(api, chat, site.newcomer, f"Again: {LINK}")
    (hit,) = hits(api, rule, site.owner, 1)
    assert (hit["href"], hit["version"], hit["shadow"]) == (linked, 1, False)
    assert api.get(linked, by=site.member).status == 404
    for shown in (plain, earlier):
        assert api.get(shown, by=site.member).status == 200

    action = api.get(f"/api/v1/actions/{hit['actionId']}", by=site.moderator).data
    assert (action["byRule"], action["ruleVersion"], action["createdBy"]) == (
        int(rule.rpartition("/")[2]),
        1,
        None,
    )
    links = api.get(linked, by=site.newcomer).data["meta"]["links"]
    (href,) = [link["href"] for link in links if link["rel"] == "statement"]
    statement = api.get(href, by=site.newcomer).data
    assert statement["automatedDecision"] is statement["automatedDetection"] is True
    assert statement["facts"] == "New members may not post links"

    undone = api.post(f"/api/v1/actions/{action['id']}/undo", {}, by=site.moderator)
    assert undone.status == 200, undone.body
    assert api.get(linked, by=site.member).status == 200
    assert api.get(rule, by=site.owner).data["acted"] == 1
    made = make.sql(
        "SELECT profile_id, detail FROM audit_log WHERE site_id = %(s)s AND item_type_id = 4"
        " AND item_id = %(id)s AND action = 'U' ORDER BY audit_id",
        s=site.id,
        id=int(linked.rpartition("/")[2]),
    )
    assert [row[0] for row in made] == [None, site.moderator.id]
    assert made[0][1]["automated"] is True
    assert (made[0][1]["byRule"], made[0][1]["ruleVersion"]) == (action["byRule"], 1)
    assert "automated" not in made[1][1]


@pytest.mark.wide
def test_in_shadow_mode_nothing_is_done_and_a_change_is_a_version(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    rule = saved(api, site.owner, mode="shadow")
    first = said(api, chat, site.newcomer, LINK)
    (hit,) = hits(api, rule, site.owner, 1)
    assert (hit["shadow"], "actionId" in hit) == (True, False)
    assert api.get(first, by=site.member).status == 200

    id = int(rule.rpartition("/")[2])
    plan = tried(api, site.owner, ruleId=id, action="hold").data
    stale = tried(api, site.owner, ruleId=id, action="delete").data
    refused = api.post(RULES, {"ticket": stale["ticket"]}, by=site.owner)
    assert (refused.status, refused.error) == (400, "ticket: is of another rule")
    assert api.put(rule, {"ticket": plan["ticket"]}, by=site.owner).status == 302
    assert api.put(rule, {"ticket": stale["ticket"]}, by=site.owner).status == 409
    second = said(api, chat, site.newcomer, f"Again: {LINK}")
    newest, _ = hits(api, rule, site.owner, 2)
    assert (newest["href"], newest["version"], newest["shadow"]) == (second, 2, False)
    assert api.get(second, by=site.member).status == 404
    (case,) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    assert (case["itemId"], case["reports"]) == (int(second.rpartition("/")[2]), 0)

    assert api.put(rule, {"mode": "off"}, by=site.owner).status == 302
    versions = api.get(f"{rule}/versions", by=site.owner).data["versions"]["items"]
    assert [(one["version"], one["mode"], one["action"]) for one in versions] == [
        (3, "off", "hold"),
        (2, "active", "hold"),
        (1, "shadow", "hide"),
    ]
    assert versions[0]["createdBy"]["id"] == site.owner.id
    assert api.request("DELETE", rule, by=site.owner).status == 200
    assert api.get(rule, by=site.owner).status == 404


def test_a_rule_asks_for_the_author_by_role_and_by_criteria(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    _, role = make.role(site, site.root_id, "Trusted", rights=("read", "create"))
    make.sql(
        "UPDATE profiles SET role_ids = role_ids || %(role)s::bigint"
        " WHERE site_id = %(s)s AND profile_id = %(id)s",
        role=role,
        s=site.id,
        id=site.member.id,
    )
    for by in (site.newcomer, site.member):
        said(api, chat, by, LINK)
    said(api, chat, site.owner, "No link")

    def found(**more: Any) -> set[int]:
        answer = tried(api, site.owner, **more)
        assert answer.status == 200, answer.body
        return {one["createdBy"]["id"] for one in answer.data["targets"]}

    assert found() == {site.newcomer.id, site.member.id}
    assert found(roleIds=[role]) == {site.member.id}
    assert found(notRoleIds=[role]) == {site.newcomer.id}
    few = [{"profileColumn": "id", "predicate": "eq", "value": site.newcomer.id}]
    assert found(criteria=few) == {site.newcomer.id}
    either = [
        *few,
        {"profileColumn": "id", "predicate": "eq", "value": site.member.id, "orGroup": 1},
    ]
    assert found(criteria=either) == {site.newcomer.id, site.member.id}
    assert found(criteria=few, roleIds=[role]) == set()
    assert found(minLength=len(LINK) + 1) == set()
    assert found(hasLink=False) == {site.owner.id}
    elsewhere = make.microcosm(site)
    assert found(microcosmIds=[elsewhere.id]) == set()
    assert found(microcosmIds=[site.root_id]) == {site.newcomer.id, site.member.id}


def test_no_rule_reads_what_is_said_in_huddles(api: Api, make: Factory, site: Site) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle, markdown=LINK)
    assert tried(api, site.owner).data["total"] == 0


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"title": ""}, "title"),
        ({"mode": "off"}, "mode"),
        ({"event": "comment.read"}, "event"),
        ({"action": "explode"}, "action"),
        ({"action": "lock"}, "action"),
        ({"reason": ""}, "reason"),
        ({"ground": "illegal"}, "rule"),
        ({"minLength": -1}, "minLength"),
        ({"roleIds": [0]}, "roleIds"),
        ({"roleIds": [987_654_321]}, "roleIds"),
        ({"microcosmIds": [987_654_321]}, "microcosmIds"),
        ({"toMicrocosmId": 3}, "toMicrocosmId"),
        ({"event": "item.created", "action": "move"}, "toMicrocosmId"),
        (
            {"criteria": [{"profileColumn": "commentCount", "predicate": "lt", "value": 3}]},
            "criteria",
        ),
        ({"criteria": [{"profileColumn": "shoe", "predicate": "eq", "value": 1}]}, "profileColumn"),
    ],
)
def test_a_bad_rule_names_its_field(api: Api, site: Site, sent: dict[str, Any], field: str) -> None:
    refused = tried(api, site.owner, **sent)
    assert refused.status == 400, refused.body
    assert refused.error.startswith(f"{field}:")


def test_a_rule_that_would_act_on_its_own_effects_is_refused(
    api: Api, make: Factory, site: Site
) -> None:
    place = make.microcosm(site)
    refused = tried(
        api, site.owner, event="item.edited", action="move", toMicrocosmId=place.id, hasLink=False
    )
    assert (refused.status, refused.error) == (
        400,
        "action: move would set off item.edited, and so the rule",
    )
    good = tried(api, site.owner, event="item.created", action="move", toMicrocosmId=place.id)
    assert good.status == 200, good.body


def test_a_rule_may_not_keep_people_in_the_role_that_it_is_for(
    api: Api, make: Factory, site: Site
) -> None:
    _, role = make.role(site, site.root_id, "Few", rights=("read", "create"))
    make.sql(
        """INSERT INTO criteria (site_id, role_id, or_group, profile_column, predicate, value, kind, number_value)
           VALUES (%(s)s, %(r)s, 1, 'commentCount', 'lt', '5', 'commentCount', 5)""",
        s=site.id,
        r=role,
    )
    refused = tried(api, site.owner, roleIds=[role])
    assert refused.status == 400 and refused.error.startswith("roleIds:")
    assert tried(api, site.owner, notRoleIds=[role]).status == 200
    assert tried(api, site.owner, roleIds=[role], action="warn").status == 200
    make.sql("UPDATE criteria SET predicate = 'ge' WHERE role_id = %(r)s", r=role)
    assert tried(api, site.owner, roleIds=[role]).status == 200


def test_rules_are_the_owners_alone(api: Api, site: Site, make: Factory) -> None:
    rule = saved(api, site.owner, mode="shadow")
    for by in (site.moderator, site.member):
        assert tried(api, by).status == 403
        for path in (RULES, rule, f"{rule}/hits", f"{rule}/versions"):
            assert api.get(path, by=by).status == 403
        assert api.put(rule, {"mode": "off"}, by=by).status == 403
    other = make.site()
    assert api.get(rule, by=other.owner).status == 404
    assert api.get(rule, by=site.owner).data["mode"] == "shadow"


def _done(make: Factory, site: Site, path: str) -> list[Any]:
    """The actions on a thing, with whether they came with the thing's own transaction."""
    return make.sql(
        "SELECT a.kind, a.created IN (SELECT e.created FROM event_log e WHERE e.site_id = a.site_id"
        " AND e.item_type_id = x.item_type_id AND e.item_id = x.item_id AND e.kind IN ('created', 'replaced'))"
        " FROM actions a JOIN action_changes x ON x.site_id = a.site_id AND x.action_id = a.action_id"
        " WHERE a.site_id = %(s)s AND x.item_id = %(id)s AND (x.item_type_id = 4) = %(is_comment)s"
        " ORDER BY a.action_id",
        s=site.id,
        id=int(path.rpartition("/")[2]),
        is_comment="/comments/" in path,
    )


@pytest.mark.wide
def test_a_rule_that_hides_acts_before_anybody_can_read(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    rules = [
        saved(api, site.owner, action="hold"),
        saved(api, site.owner, event="comment.edited", action="delete"),
        saved(api, site.owner, event="item.created", hasLink=False, minLength=30, maxLength=50),
        saved(api, site.owner, event="item.edited", hasLink=False, minLength=60),
    ]
    linked = said(api, chat, site.newcomer, LINK)
    assert api.get(linked, by=site.member).status == 404
    edited = said(api, chat, site.newcomer, "No link")
    assert api.get(edited, by=site.member).status == 200
    change = {"markdown": LINK}
    assert api.put(edited, change, by=site.newcomer).status == 302
    assert api.get(edited, by=site.member).status == 404
    long = "A title that is longer than thirty characters"
    sent = {"microcosmId": site.root_id, "title": long}
    begun = api.post("/api/v1/conversations", sent, by=site.newcomer).location
    assert api.get(begun, by=site.member).status == 404
    sent = {"microcosmId": site.root_id, "title": "Short"}
    changed = api.post("/api/v1/conversations", sent, by=site.newcomer).location
    assert api.get(changed, by=site.member).status == 200
    # Longer than the rule on beginnings wants, which the log's reader asks of the present title.
    sent = {"title": f"{long}, and than sixty", "meta": {"editReason": "Longer"}}
    assert api.put(changed, sent, by=site.newcomer).status == 302
    assert api.get(changed, by=site.member).status == 404

    # Its author still reads it, and the case waits.
    assert api.get(linked, by=site.newcomer).status == 200
    (case,) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    assert case["itemId"] == int(linked.rpartition("/")[2])
    # The reader of the log records what was done, and does nothing twice.
    expected = [(linked, "hide"), (edited, "delete"), (begun, "hide"), (changed, "hide")]
    for rule, (thing, kind) in zip(rules, expected, strict=True):
        (hit,) = hits(api, rule, site.owner, 1)
        assert (hit["href"], hit["shadow"]) == (thing, False)
        assert _done(make, site, thing) == [(kind, True)]
        assert api.get(f"/api/v1/actions/{hit['actionId']}", by=site.owner).data["total"] == 1


@pytest.mark.parametrize("is_item", [False, True])
def test_what_is_held_as_it_is_written_waits_for_its_microcosm_before_its_author(
    api: Api, make: Factory, site: Site, server: Server, database_url: str, is_item: bool
) -> None:
    chat, other = (make.conversation(site, by=site.owner) for _ in range(2))
    thread = make.conversation(site, by=site.newcomer)
    earlier = said(api, other, site.newcomer, "No link")
    saved(api, site.owner, event="item.created" if is_item else "comment.created")
    path = "/api/v1/comments"
    sent: dict[str, Any] = {"itemType": "conversation", "itemId": chat.id, "markdown": LINK}
    if is_item:
        path, sent = "/api/v1/conversations", {"microcosmId": site.root_id, "title": LINK}
    with psycopg.connect(database_url) as held, ThreadPoolExecutor(2) as pool:
        # The author's row is taken, so the writer waits there, holding what comes before it.
        held.execute(
            "SELECT 1 FROM profile_counters WHERE profile_id = %s FOR UPDATE", [site.newcomer.id]
        )
        written = pool.submit(lambda: server.api().post(path, sent, by=site.newcomer))
        make.wait_for_locks(1)
        changed = thread.path if is_item else earlier
        flagged = pool.submit(
            lambda: server.api().patch(changed, ("deleted", True), by=site.moderator)
        )
        make.wait_for_locks(2)
        held.rollback()
        answers = written.result(), flagged.result()
    assert [answer.status for answer in answers] == [302, 200]
    assert api.get(str(answers[0].location), by=site.member).status == 404


def test_a_rule_that_was_switched_off_holds_nothing_of_the_next_request(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    rule = saved(api, site.owner, action="hold")
    assert api.get(said(api, chat, site.newcomer, LINK), by=site.member).status == 404
    assert api.put(rule, {"mode": "off"}, by=site.owner).status == 302
    assert api.get(said(api, chat, site.newcomer, f"2 {LINK}"), by=site.member).status == 200
    shadow = tried(api, site.owner, ruleId=int(rule.rpartition("/")[2]), mode="shadow")
    assert api.put(rule, {"ticket": shadow.data["ticket"]}, by=site.owner).status == 302
    assert api.get(said(api, chat, site.newcomer, f"3 {LINK}"), by=site.member).status == 200
    assert api.request("DELETE", rule, by=site.owner).status == 200
    assert api.get(said(api, chat, site.newcomer, f"4 {LINK}"), by=site.member).status == 200


@pytest.mark.parametrize("action", ["silence", "ban"])
def test_a_rule_restricts_its_author_for_days_and_no_moderator(
    api: Api, make: Factory, site: Site, action: str
) -> None:
    chat = make.conversation(site, by=site.owner)
    for days in (0, 366):
        refused = tried(api, site.owner, action=action, restrictDays=days)
        assert (refused.status, refused.error) == (400, "restrictDays: must be 1 to 365")
    assert tried(api, site.owner, restrictDays=3).status == 400
    rule = saved(api, site.owner, action=action, restrictDays=3)
    assert api.get(rule, by=site.owner).data["restrictDays"] == 3
    for person in (site.owner, site.moderator):
        said(api, chat, person, LINK)
    said(api, chat, site.newcomer, LINK)
    (hit,) = hits(api, rule, site.owner, 1)
    action_id = hit["actionId"]
    done = api.get(f"/api/v1/actions/{action_id}", by=site.owner).data
    assert (done["kind"], done["createdBy"], done["total"]) == (action, None, 1)
    assert done["targets"][0]["itemId"] == site.newcomer.id
    again = {"itemType": "conversation", "itemId": chat.id, "markdown": "Am I heard?"}
    assert api.post("/api/v1/comments", again, by=site.newcomer).status in (403, 404)
    assert api.post("/api/v1/comments", again, by=site.moderator).status == 302
    (stated,) = api.get("/api/v1/statements", by=site.newcomer).data["statements"]["items"]
    whole = api.get(f"/api/v1/statements/{stated['id']}", by=site.newcomer).data
    assert whole["automatedDecision"] is True
    undone = api.post(f"/api/v1/actions/{action_id}/undo", {}, by=site.owner)
    assert undone.status == 200, undone.body
    assert api.post("/api/v1/comments", again, by=site.newcomer).status == 302


@pytest.mark.parametrize("action", ["silence", "ban"])
def test_a_rule_shortens_no_longer_restriction(
    api: Api, make: Factory, site: Site, action: str
) -> None:
    chat = make.conversation(site, by=site.owner)
    rules = [saved(api, site.owner, action=action, restrictDays=days) for days in (30, 1)]
    said(api, chat, site.newcomer, LINK)
    for rule in rules:
        hits(api, rule, site.owner, 1)
    ((days,),) = make.sql(
        "SELECT extract(day FROM ends - now())::int FROM sanctions"
        " WHERE site_id = %(s)s AND profile_id = %(id)s",
        s=site.id,
        id=site.newcomer.id,
    )
    assert days == 29


def test_a_rule_passes_over_moderators_of_places_below(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, by=site.owner)
    below = make.microcosm(site, by=site.owner)
    role = make.role(site, below.id, "Below", moderator=True, rights=RIGHTS)
    keeper = make.person(site)
    make.join(role, keeper)
    rule = saved(api, site.owner, action="ban", restrictDays=3)
    said(api, chat, keeper, LINK)
    said(api, chat, site.newcomer, LINK)

    (hit,) = hits(api, rule, site.owner, 1)
    done = api.get(f"/api/v1/actions/{hit['actionId']}", by=site.owner).data
    assert [one["itemId"] for one in done["targets"]] == [site.newcomer.id]
    again = {"itemType": "conversation", "itemId": chat.id, "markdown": "Am I heard?"}
    assert api.post("/api/v1/comments", again, by=keeper).status == 302


def test_what_a_rule_deletes_counts_for_rules_on_its_author(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    deletes = saved(api, site.owner, action="delete")
    warns = saved(api, site.owner, action="warn")
    records = saved(api, site.owner, action="hold", mode="shadow")
    linked = said(api, chat, site.newcomer, LINK)

    assert api.get(linked, by=site.member).status == 404
    for rule, is_shadow in ((deletes, False), (warns, False), (records, True)):
        (hit,) = hits(api, rule, site.owner, 1)
        assert (hit["href"], hit["shadow"]) == (linked, is_shadow)


@pytest.mark.wide
def test_an_action_whose_record_is_forgotten_is_recorded_no_second_time(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)
    rule = saved(api, site.owner, event="comment.edited", action="hold")
    texts = [said(api, chat, site.newcomer, f"No link {number}") for number in range(2)]
    first, second = texts
    assert api.put(first, {"markdown": LINK}, by=site.newcomer).status == 302
    (hit,) = hits(api, rule, site.owner, 1)
    undone = api.post(f"/api/v1/actions/{hit['actionId']}/undo", {}, by=site.moderator)
    assert undone.status == 200, undone.body
    make.sql("DELETE FROM rule_hits WHERE site_id = %(s)s", s=site.id)
    make.sql(
        "UPDATE actions SET created = created - interval '181 days' WHERE site_id = %(s)s",
        s=site.id,
    )
    assert api.put(first, {"markdown": "None again"}, by=site.newcomer).status == 302
    assert api.put(second, {"markdown": LINK}, by=site.newcomer).status == 302

    (hit,) = hits(api, rule, site.owner, 1)
    assert hit["href"] == second


def test_writing_costs_one_statement_for_all_rules_that_hide_and_checks_and_none_for_others(
    api: Api, make: Factory, site: Site
) -> None:
    chat = make.conversation(site, by=site.owner)

    def cost(text: str) -> int:
        sent = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
        return api.post("/api/v1/comments", sent, by=site.newcomer).statements

    def least(text: str) -> int:
        return min(cost(f"{text} {number}") for number in range(3))

    without = least("No rule")
    saved(api, site.owner, mode="shadow")
    saved(api, site.owner, action="warn")
    saved(api, site.owner, event="comment.edited")
    assert least("No rule that hides what is new") == without
    for action in ("hide", "hold", "delete"):
        saved(api, site.owner, action=action)
    assert least("Rules that do not fit") == without + 1
    checks = {"sameText": 2, "firstPosts": 1, "beforeShown": True}
    answer = api.put("/api/v1/site/checks", checks, by=site.owner)
    assert answer.status == 200, answer.body
    assert least("Neither rules nor checks hold this") == without + 1
