"""The audit over HTTP: what owners see, what each person sees of themselves, and what nobody is shown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from forumapi import itemtypes
from forumapi.models.journal import journal
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.models.journal.chains import act, chain


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose audit is that of one test."""
    return make.site()


def address(path: str, **query: object) -> str:
    """The address of a page."""
    return f"/api/v1{path}?{urlencode(query)}"


def page(api: Api, by: Person, path: str = "/site/audit", **query: object) -> dict[str, Any]:
    """One page of entries."""
    answer = api.get(address(path, **query), by=by)
    assert answer.status == 200, answer.body
    data: dict[str, Any] = answer.data["entries"]
    return data


def everything(api: Api, by: Person, path: str = "/site/audit", **query: object) -> list[Any]:
    """The entries of all pages, of five each."""
    found: list[Any] = []
    before: object = 0
    while True:
        one = page(api, by, path, limit=5, before=before, **query)
        found += one["items"]
        onwards = [link["href"] for link in one["links"] if link["rel"] == "next"]
        if not onwards:
            return found
        assert len(one["items"]) == 5
        before = found[-1]["id"]


def test_the_owner_sees_who_did_what_newest_first(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    chat = make.conversation(site, by=site.newcomer)
    written = [make.comment(chat, by=site.member).id for _ in range(12)]
    act(
        make,
        site.moderator,
        journal.DELETED,
        4,
        written[0],
        verb="hide",
        reason="Spam",
        note="Again",
        ground="Rule 3",
    )
    chain(make, database_url, site)

    found = everything(api, site.owner)

    assert [one["itemId"] for one in found[:14]] == [written[0], *reversed(written), chat.id]
    times = [one["created"] for one in found]
    assert times == sorted(times, reverse=True)
    newest = found[0]
    assert newest["action"] == "deleted"
    assert newest["detail"] == {
        "verb": "hide",
        "reason": "Spam",
        "ground": "Rule 3",
        "note": "Again",
    }
    assert newest["actor"]["profileName"] == site.moderator.name
    assert newest["subject"]["id"] == site.member.id
    assert {link["rel"]: link["href"] for link in newest["meta"]["links"]} == {
        "comment": f"/api/v1/comments/{written[0]}"
    }
    assert found[1]["meta"]["links"][1]["href"] == f"/api/v1/conversations/{chat.id}"


def test_a_change_of_the_site_is_in_its_audit(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    assert api.put("/api/v1/site", {"title": "Bicycles"}, by=site.owner).status == 302
    chain(make, database_url, site)

    newest = page(api, site.owner)["items"][0]

    assert (newest["action"], newest["itemType"], newest["itemId"]) == ("replaced", "site", site.id)
    assert newest["actor"]["id"] == site.owner.id


def test_the_list_is_filtered(api: Api, make: Factory, site: Site, database_url: str) -> None:
    chat = make.conversation(site, by=site.newcomer)
    comments = [make.comment(chat, by=site.member).id for _ in range(7)]
    act(make, site.moderator, journal.DELETED, itemtypes.COMMENT, *comments[:3])
    chain(make, database_url, site)
    owner = site.owner

    assert {one["itemId"] for one in everything(api, owner, actor=site.moderator.id)} == {
        *comments[:3],
        site.moderator.id,
    }
    about = everything(api, owner, subject=site.member.id, actor=site.moderator.id)
    assert [one["action"] for one in about] == ["deleted"] * 3
    of_one = everything(api, owner, itemType="comment", itemId=comments[0])
    assert [one["action"] for one in of_one] == ["deleted", "created"]
    assert everything(api, owner, itemType="Comment", itemId=comments[0]) == of_one
    since = of_one[0]["created"]
    assert [one["itemId"] for one in everything(api, owner, since=since)] == comments[2::-1]
    older = everything(
        api, owner, until=since, actor=site.member.id, itemType="comment", itemId=comments[6]
    )
    assert [one["action"] for one in older] == ["created"]
    assert page(api, owner, actor=987_654_321)["items"] == []
    assert page(api, owner, before=1)["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"itemType": "nothing", "itemId": 1}, "itemType"),
        ({"itemType": "comment"}, "itemId"),
        ({"itemId": 1}, "itemType"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-11-30T12:00:00"}, "until"),
        ({"actor": "ana"}, "actor"),
        ({"subject": "-1"}, "subject"),
        ({"before": "x"}, "before"),
        ({"limit": "7"}, "limit"),
    ],
)
def test_a_bad_filter_is_named(api: Api, bikes: Site, query: dict[str, object], field: str) -> None:
    answer = api.get(address("/site/audit", **query), by=bikes.owner)
    assert answer.status == 400
    assert answer.error.startswith(field)


def test_nobody_but_the_owner_sees_the_sites_audit(api: Api, bikes: Site) -> None:
    for person in (bikes.moderator, bikes.member, bikes.newcomer):
        assert api.get("/api/v1/site/audit", by=person).status == 403
    assert api.get("/api/v1/site/audit", site=bikes).status in (401, 403)
    assert api.get("/api/v1/audit/me", site=bikes).status in (401, 403)


def test_huddles_and_sign_ins_are_not_the_owners_business_nor_are_addresses(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    huddle = make.huddle(site.member, site.newcomer)
    comment = make.comment(huddle, by=site.newcomer)
    act(make, site.member, journal.CREATED, itemtypes.AUTH, site.member.id)
    act(make, site.member, journal.REPLACED, itemtypes.PROFILE, site.member.id)
    chain(make, database_url, site)

    seen = everything(api, site.owner)
    assert {"huddle", "auth"} & {one["itemType"] for one in seen} == set()
    assert comment.id not in {one["itemId"] for one in seen if one["itemType"] == "comment"}
    assert "192.0.2.1" not in json.dumps(seen)
    for name, id in (("huddle", huddle.id), ("comment", comment.id), ("auth", site.member.id)):
        assert page(api, site.owner, itemType=name, itemId=id)["items"] == []
    # Those who did it see it.
    own = {one["itemType"] for one in everything(api, site.member, "/audit/me")}
    assert {"huddle", "auth", "profile"} <= own
    assert comment.id in {one["itemId"] for one in everything(api, site.newcomer, "/audit/me")}


def test_a_person_sees_what_concerns_them_and_not_who_did_it(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    comment = make.comment(make.conversation(site), by=site.member)
    huddle = make.huddle(site.member, site.newcomer)
    how = {"verb": "hide", "reason": "Spam", "note": "Third time", "case": 5, "action": 7}
    act(make, site.moderator, journal.PATCHED, itemtypes.COMMENT, comment.id, **how)
    # What others say about somebody is none of their business, nor what goes on in a huddle that they may have left.
    act(
        make,
        site.newcomer,
        journal.CREATED,
        itemtypes.COMMENT,
        comment.id,
        verb="report",
        reason="He is rude",
    )
    act(make, site.newcomer, journal.REPLACED, itemtypes.HUDDLE, huddle.id)
    chain(make, database_url, site)

    found = everything(api, site.member, "/audit/me")

    text = json.dumps(found)
    for secret in (
        "rude",
        "Third time",
        site.newcomer.name,
        site.moderator.name,
        '"case"',
        '"action": 7',
    ):
        assert secret not in text
    newest = found[0]
    assert (newest["itemId"], newest["own"]) == (comment.id, False)
    assert newest["detail"] == {"verb": "hide", "reason": "Spam"}
    assert "actor" not in newest
    assert [one["own"] for one in found[1:]] == [True] * (len(found) - 1)


@pytest.mark.wide
def test_a_page_costs_a_fixed_number_of_statements(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    make.comments(make.conversation(site), 30, by=site.member)
    chain(make, database_url, site)
    for _ in range(2):
        owners = api.get(address("/site/audit", limit=25), by=site.owner)
        own = api.get(address("/audit/me", limit=25), by=site.member)
    assert owners.statements <= 3
    assert own.statements <= 2
