"""The queue of everything that waits for moderators: reports, appeals and holds; assignment, due times, the audit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Api
from tests.factories import RIGHTS, Factory, Person, Site
from tests.handlers.trust.test_appeals import appeal, decide, hide
from tests.handlers.trust.test_walk import cases, report


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


@pytest.fixture
def other(make: Factory, site: Site) -> Person:
    """A second moderator of the whole site."""
    person = make.person(site)
    make.join(make.role(site, site.root_id, "More", moderator=True, rights=RIGHTS), person)
    return person


@pytest.mark.wide
def test_an_appeal_is_a_case_until_it_is_decided(
    api: Api, make: Factory, site: Site, other: Person
) -> None:
    said = make.comment(make.conversation(site))
    theirs = make.comment(make.conversation(site), by=site.newcomer)
    hide(api, site.moderator, said)
    at = appeal(api, site.member)
    (case,) = cases(api, other)
    assert f"/api/v1/appeals/{case['appealId']}" == at
    assert (case["itemType"], case["itemId"], case["state"]) == ("profile", site.member.id, "open")
    assert {"rel": "appeal", "href": at} in case["meta"]["links"]
    report(api, theirs, site.member)
    assert [one["id"] for one in cases(api, other, "?source=appeal")] == [case["id"]]
    assert [one["itemId"] for one in cases(api, other, "?source=reports")] == [theirs.id]
    assert cases(api, other, "?source=hold") == []
    # Neither who appeals nor who moderates elsewhere sees it.
    keeper, place = make.person(site), make.microcosm(site)
    make.join(make.role(site, place.id, "Keep", moderator=True, rights=RIGHTS), keeper)
    assert cases(api, keeper) == []
    for by in (site.member, keeper):
        assert api.get(f"/api/v1/cases/{case['id']}", by=by).status in (403, 404)

    path = f"/api/v1/cases/{case['id']}"
    assert api.get(path, by=other).status == 200
    dismissal = {"outcome": "dismissed"}
    assert api.post(f"{path}/decision", dismissal, by=other).status == 409
    assert api.request("PUT", f"{path}/lease", by=other).status == 200
    assert decide(api, at, site.owner).status == 409, "somebody has taken it"
    assert decide(api, at, other).status == 302
    assert cases(api, other, "?source=appeal") == []
    (decided,) = cases(api, other, "?state=decided&source=appeal")
    assert (decided["outcome"], decided["decidedBy"]["id"]) == ("acted", other.id)


def test_an_appeal_against_an_action_in_two_places_is_for_who_moderates_both(
    api: Api, make: Factory, site: Site
) -> None:
    here, there = make.microcosm(site), make.microcosm(site)
    one, both = make.person(site), make.person(site)
    for place, people in ((here, (one, both)), (there, (both,))):
        role = make.role(site, place.id, "Keep", moderator=True, rights=RIGHTS)
        make.join(role, *people)
    things = [make.comment(make.conversation(site, microcosm=place)) for place in (here, there)]
    hide(api, site.owner, *things)
    appeal(api, site.member)
    assert cases(api, one) == []
    assert len(cases(api, both)) == 1


def test_a_case_is_assigned_to_somebody_who_may_decide_it(
    api: Api, make: Factory, site: Site, other: Person
) -> None:
    said = make.comment(make.conversation(site))
    report(api, said, site.newcomer)
    (case,) = cases(api, other)
    path = f"/api/v1/cases/{case['id']}/assignment"
    for bad in (site.newcomer.id, site.member.id, 987_654_321, 0):
        refused = api.put(path, {"profileId": bad}, by=other)
        assert refused.status == 400 and refused.error.startswith("profileId")
    assert api.put(path, {"profileId": other.id}, by=site.newcomer).status == 403
    assert api.put(path, {"profileId": other.id}, by=site.moderator).status == 200
    assert cases(api, site.moderator)[0]["assignedTo"]["id"] == other.id
    assert [one["id"] for one in cases(api, other, "?assigned=true")] == [case["id"]]
    assert cases(api, site.moderator, "?assigned=true") == []
    assert api.delete(path, by=site.moderator).status == 200
    assert cases(api, other, "?assigned=true") == []


def test_what_is_overdue_is_found(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site)
    late, soon = make.comment(chat), make.comment(chat)
    for thing in (late, soon):
        report(api, thing, site.newcomer)
    make.sql(
        "UPDATE cases SET due = now() - interval '1 hour' WHERE site_id = %(s)s AND item_id = %(i)s",
        s=site.id,
        i=late.id,
    )
    assert [one["itemId"] for one in cases(api, site.moderator, "?overdue=true")] == [late.id]


def audit(api: Api, by: Person, path: str) -> list[dict[str, Any]]:
    answer = api.get(path, by=by)
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.data["entries"]["items"]
    return items


def test_decisions_on_cases_are_in_the_audit_and_tell_authors_nothing_of_reports(
    api: Api, make: Factory, site: Site, other: Person
) -> None:
    said = make.comment(make.conversation(site))
    report(api, said, site.newcomer)
    (case,) = cases(api, other)
    decision = {"outcome": "dismissed", "note": "Quite polite"}
    assert api.post(f"/api/v1/cases/{case['id']}/decision", decision, by=other).status == 302
    entry = audit(api, site.owner, "/api/v1/site/audit")[0]
    assert entry["detail"]["verb"] == "dismiss" and entry["itemId"] == said.id
    assert entry["actor"]["id"] == other.id
    own = api.get("/api/v1/audit/me", by=site.member).body.decode()
    assert "dismiss" not in own and "Quite polite" not in own

    hide(api, site.moderator, said)
    at = appeal(api, site.member)
    assert decide(api, at, other, "refused").status == 302
    entry = audit(api, site.owner, "/api/v1/site/audit")[0]
    assert entry["detail"]["verb"] == "refuse appeal"
    assert entry["subject"]["id"] == site.member.id
    assert other.name not in api.get("/api/v1/audit/me", by=site.member).body.decode()
