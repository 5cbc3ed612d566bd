"""Own bots: made, given another key, stopped and deleted; and what everybody sees of them."""

from __future__ import annotations

from typing import Any

import pytest

from forumapi.models.access import bot
from forumapi.webclient.handlers.access import bots
from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

NEW = [("profileName", "Rides"), ("days", "30"), ("scope", "profile:read"), ("scope", "live:read")]


@pytest.fixture
def site(make: Factory, api_there: Api) -> Site:
    """A site whose members make bots."""
    made = make.site()
    let(api_there, made, True)
    return made


def let(api: Api, site: Site, may: bool) -> None:
    """Let members make bots, or no longer."""
    sent = api.put("/api/v1/site/options", {"membersMakeBots": may}, by=site.owner)
    assert sent.status == 302


def made(api: Api, person: Person, name: str = "Rides") -> dict[str, Any]:
    """A new bot of a person."""
    body = {"profileName": name, "scopes": ["profile:read"]}
    answer = api.post("/api/v1/bots", body, by=person)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.data
    return found


def secret(page: Page) -> str:
    """Return the secret that a page shows."""
    assert page.status == 200, page.text
    assert page.headers["cache-control"] == "no-store"
    return page.find(".shown code").text()


@step("member makes a bot, stops it and deletes it")
def test_a_member_makes_a_bot_stops_it_and_deletes_it(
    hand: Hand, site: Site, api_there: Api
) -> None:
    hand.sign_in(site, site.member)
    hand.go(site, "/account/")
    hand.press("Bots", within=".rows")
    hand.see("You have no bots.")
    hand.fill("Name of the bot", "Rides")
    hand.choose("Good for", "7 days")
    hand.tick("profile:read")
    hand.press("Make a bot")

    hand.see("shown this one time only")
    token = hand.find(".shown code").text
    own = api_there.get("/api/v1/whoami", site=site, token=token)
    assert (own.status, own.data["profileName"]) == (200, "Rides")
    hand.press("I have it")
    hand.press("Rides", within=".rows")
    hand.press("Stop it")
    hand.see("It has no key")
    assert api_there.get("/api/v1/whoami", site=site, token=token).status == 401
    hand.tick("profile:read")
    hand.press("Make a key")
    hand.see("shown this one time only")
    assert hand.find(".shown code").text != token
    hand.press("I have it")
    hand.press("Rides", within=".rows")
    hand.press("Delete the bot", within="form:last-of-type")

    hand.see("You have no bots.")
    hand.go(site, f"/profiles/{own.data['id']}/")
    hand.see("A program without an owner here.")


# ---------------------------------------------------------------- without a browser


def test_the_scopes_are_those_of_the_api() -> None:
    assert set(bots.SCOPES) == bot.SCOPES
    assert bots.MOST_BOTS == bot.MOST_BOTS


def test_a_bot_is_made_where_members_may(visitor: Visitor, site: Site, api_there: Api) -> None:
    member = visitor.of(site, site.member)
    token = secret(member.post("/account/bots/", NEW))
    own = api_there.get("/api/v1/whoami", site=site, token=token).data
    assert own["profileName"] == "Rides"
    listed = member.get("/account/bots/")
    assert token not in listed.text
    assert "live:read, profile:read" in listed.main

    let(api_there, site, False)
    page = member.get("/account/bots/")
    assert "lets members make no bots" in page.main
    assert page.tree.css_first('form [name="profileName"]') is None
    assert "Rides" in page.main
    assert member.post("/account/bots/", NEW).status == 403
    visitor.of(site, site.owner).get("/account/bots/").find('[name="profileName"]')


def test_a_bot_that_is_refused_comes_back_as_it_was_typed(visitor: Visitor, site: Site) -> None:
    member = visitor.of(site, site.member)
    for change in (
        {"profileName": "a@b"},
        {"profileName": ""},
        {"scope": "polls:write"},
        {"scope": ""},
        {"days": "0"},
        {"days": "x"},
    ):
        sent = [(name, text) for name, text in NEW if name not in change]
        page = member.post("/account/bots/", [*sent, *change.items()])
        assert page.status == 400, change
        assert page.field("/account/bots/", "profileName") == change.get("profileName", "Rides")
        is_ticked = page.tree.css_first('[value="live:read"][checked]') is not None
        assert is_ticked == ("scope" not in change)
    assert "You have no bots." in member.get("/account/bots/").main


def test_nobody_has_more_than_five(visitor: Visitor, site: Site, api_there: Api) -> None:
    for number in range(bots.MOST_BOTS):
        made(api_there, site.member, f"Many{number}")
    member = visitor.of(site, site.member)
    page = member.get("/account/bots/")
    assert "as many bots as anybody may have" in page.main
    assert page.tree.css_first('[name="profileName"]') is None
    assert member.post("/account/bots/", NEW).status == 409


def test_the_bot_of_another_is_nothing(visitor: Visitor, site: Site, api_there: Api) -> None:
    theirs = made(api_there, site.member)
    path = f"/account/bots/{theirs['id']}/"
    for who in (site.newcomer, site.owner):
        other = visitor.of(site, who)
        assert other.get(path).status == 404
        assert other.post(path, {"do": "stop"}).status == 404
        assert other.post(path, [("do", "key"), *NEW]).status == 404
        assert "Rides" not in other.get("/account/bots/").main
    assert visitor.of(site, site.newcomer).post(path, {"do": "delete"}).status == 404
    member = visitor.of(site, site.member)
    for do in ("", "all"):
        assert member.post(path, {"do": do}).status == 400
    assert visitor.of(site).get(path).status == 303
    assert api_there.get("/api/v1/whoami", site=site, token=theirs["secret"]).status == 200


def test_another_key_takes_the_place_of_the_first(
    visitor: Visitor, site: Site, api_there: Api
) -> None:
    first = made(api_there, site.member)
    path = f"/account/bots/{first['id']}/"
    member = visitor.of(site, site.member)
    page = member.get(path)
    assert [one.attributes["value"] for one in page.tree.css("[name=scope][checked]")] == [
        "profile:read"
    ]
    refused = member.post(path, [("do", "key"), ("days", "7")])
    assert refused.status == 400
    second = secret(member.post(path, [("do", "key"), *NEW]))
    answers = [
        api_there.get("/api/v1/whoami", site=site, token=token).status
        for token in (first["secret"], second)
    ]
    assert answers == [401, 200]


def test_everybody_sees_whose_bot_it_is(
    visitor: Visitor, site: Site, make: Factory, api_there: Api
) -> None:
    owner = make.person(site, "ana_r")
    machine = made(api_there, owner)
    path = f"/profiles/{machine['id']}/"
    for who in (None, site.newcomer, owner):
        page = visitor.of(site, who).get(path)
        assert "answers: ana_r" in page.main
        page.find(f'main a[href="/profiles/{owner.id}/"]')
        assert page.find("h1").text().endswith("Bot")
        assert "A program" not in visitor.of(site, who).get(f"/profiles/{owner.id}/").main
    gone = api_there.request("DELETE", f"/api/v1/bots/{machine['id']}", by=owner)
    assert gone.status == 200
    assert "A program without an owner here." in visitor.of(site).get(path).main
