"""Rules: saved after a dry run, watched in shadow mode, refused where they would act on their own effects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Response
from tests.checks.test_checks import cases, is_held, work, write
from tests.factories import Person, Site
from tests.postbox import Postbox
from tests.updates.test_dispatch import number

AT = "/site/rules"


@pytest.fixture
def site(box: Postbox) -> Site:
    return box.make.site()


def role(box: Postbox, site: Site, *people: Person) -> int:
    made = box.make.role(site, site.root_id, "Newly come", rights=("read", "create"))
    box.make.join(made, *people)
    return int(made[1])


def ticket(box: Postbox, site: Site, role_id: int) -> str:
    answer = box.stage.post(f"{AT}/dry-run", {"roleId": role_id}, by=site.owner)
    assert answer.status == 200, answer.body
    return str(answer.data["ticket"])


def put(box: Postbox, site: Site, *rules: dict[str, Any]) -> Response:
    return box.stage.put(AT, list(rules), by=site.owner)


def test_a_rule_is_tried_then_watched_then_holds(box: Postbox, site: Site) -> None:
    ana = box.make.person(site)
    role_id = role(box, site, ana)
    chat = box.make.conversation(site, by=site.owner)
    old = box.make.comment(chat, by=ana)
    box.make.comment(chat, by=site.member)
    tried = box.stage.post(f"{AT}/dry-run", {"roleId": role_id}, by=site.owner).data
    assert (tried["matched"], tried["written"]) == (1, 3)
    assert [one["itemId"] for one in tried["things"]] == [old.id]

    rule = {"name": "new", "title": "New people", "roleId": role_id, "mode": "shadow"}
    refused = put(box, site, rule)
    assert refused.status == 400 and refused.error.startswith("[0].ticket")
    number(box.stage.app.database)
    assert put(box, site, rule | {"ticket": tried["ticket"]}).status == 200
    watched = write(box, ana, chat, "Only watched")
    work(box)
    assert not is_held(box, site.newcomer, watched)
    assert box.stage.get(AT, by=site.owner).data["hits"] == [
        {"rule": "new, version 1", "held": 0, "shadowed": 1}
    ]

    assert put(box, site, rule | {"mode": "on"}).status == 400, "a change needs a dry run"
    assert put(box, site, rule | {"mode": "on", "ticket": tried["ticket"]}).status == 200
    held, free = write(box, ana, chat, "Held"), write(box, site.member, chat, "By somebody else")
    work(box)
    assert is_held(box, site.newcomer, held) and not is_held(box, site.newcomer, free)
    (case,) = cases(box, site.moderator)
    assert case["itemId"] == held.id
    shown = box.stage.get(AT, by=site.owner).data
    assert [(one["version"], one["mode"]) for one in shown["rules"]] == [(2, "on")]
    assert [(one["version"], one["mode"]) for one in shown["past"]] == [(1, "shadow")]
    # What did not change is no new version and needs no ticket; what is gone is among the past.
    assert put(box, site, rule | {"mode": "on"}).status == 200
    assert box.stage.get(AT, by=site.owner).data["rules"][0]["version"] == 2
    assert put(box, site).status == 200
    assert [one["version"] for one in box.stage.get(AT, by=site.owner).data["past"]] == [2, 1]
    again = rule | {"ticket": ticket(box, site, role_id)}
    assert put(box, site, again).status == 200
    assert box.stage.get(AT, by=site.owner).data["rules"][0]["version"] == 3


def test_a_rule_that_would_act_on_its_own_effects_is_refused(box: Postbox, site: Site) -> None:
    role_id = role(box, site)
    good = ticket(box, site, role_id)
    box.stage.sql(
        """INSERT INTO criteria (site_id, role_id, or_group, profile_column, predicate, value, kind, number_value)
           VALUES (%(s)s, %(r)s, 1, 'commentCount', 'lt', '5', 'commentCount', 5)""",
        s=site.id,
        r=role_id,
    )
    assert box.stage.post(f"{AT}/dry-run", {"roleId": role_id}, by=site.owner).status == 409
    rule = {"name": "few", "title": "Few comments", "roleId": role_id, "ticket": good}
    refused = put(box, site, rule)
    assert refused.status == 409 and "its own effects" in refused.error
    assert box.stage.get(AT, by=site.owner).data["rules"] == []
    assert put(box, site, rule | {"mode": "off"}).status == 200
    box.stage.sql("UPDATE criteria SET predicate = 'ge' WHERE role_id = %(r)s", r=role_id)
    assert put(box, site, rule).status == 200


def test_a_ticket_is_for_one_role_one_site_and_a_quarter_of_an_hour(
    box: Postbox, site: Site
) -> None:
    here, other_site = role(box, site), box.make.site()
    there = role(box, other_site)
    good = ticket(box, site, here)
    expires, _, signature = good.partition(".")
    rule = {"name": "new", "title": "New", "roleId": here}
    for bad in (
        "",
        "x",
        ticket(box, other_site, there),
        f"{int(expires) + 1}.{signature}",
        f"1.{signature}",
    ):
        refused = put(box, site, rule | {"ticket": bad})
        assert refused.status == 400 and refused.error.startswith("[0].ticket"), bad
    assert put(box, site, rule | {"ticket": good}).status == 200
    for by in (site.moderator, site.member):
        assert box.stage.put(AT, [], by=by).status == 403
        assert box.stage.get(AT, by=by).status == 403


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"name": "no name"}, "[0].name"),
        ({"title": ""}, "[0].title"),
        ({"event": "read"}, "[0].event"),
        ({"action": "delete"}, "[0].action"),
        ({"mode": "maybe"}, "[0].mode"),
        ({"roleId": 987_654_321}, "[0].roleId"),
    ],
)
def test_a_bad_rule_names_its_field(
    box: Postbox, site: Site, sent: dict[str, Any], field: str
) -> None:
    role_id = role(box, site)
    rule = {"name": "new", "title": "New", "roleId": role_id, "ticket": ticket(box, site, role_id)}
    refused = put(box, site, rule | sent)
    assert refused.status == 400 and refused.error.startswith(field)
    assert box.stage.get(AT, by=site.owner).data["rules"] == []
