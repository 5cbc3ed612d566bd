"""Own account: sessions, keys, address, second factor, programs, options, profile."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pyotp
import pytest
import segno
from selenium.webdriver.common.by import By

from forumapi.webclient.session import FRESH_S, Seal, WebSession
from tests.api import Api
from tests.auth.consent import Client
from tests.factories import Factory, Site
from tests.webclient.hand import WEBSITE_SECRET, Hand
from tests.webclient.mailbox import code_for
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


@step("member lists their sessions and ends one")
def test_a_member_lists_their_sessions_and_ends_one(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)

    hand.go(bikes, "/account/sessions/")
    hand.see("This device")
    hand.see("Chrome, Linux")
    hand.press("End", within=".rows > li:last-child")

    hand.see("Sessions")
    assert len(hand.driver.find_elements(By.CSS_SELECTOR, ".rows > li")) == 1
    assert api_there.get("/api/v1/whoami", by=person).status == 401


@step("member makes an API key and revokes it")
def test_a_member_makes_an_api_key_and_revokes_it(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/keys/")

    hand.fill("Name of the key", "Backup")
    hand.choose("Good for", "30 days")
    hand.tick("conversations:read")
    hand.press("Make a key")
    hand.see("shown this one time only")
    secret = hand.find(".shown code").text
    assert api_there.get("/api/v1/conversations", site=bikes, token=secret).status == 200
    assert api_there.get("/api/v1/whoami", site=bikes, token=secret).status == 403
    hand.press("I have it")
    hand.see("Backup")
    hand.see("conversations:read")
    hand.press("Revoke Backup")

    hand.see("You have no keys")
    assert api_there.get("/api/v1/conversations", site=bikes, token=secret).status == 401


@step("member changes their address")
def test_a_member_changes_their_address(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    wanted = f"new.{person.email}"
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/address/")
    hand.see(person.email)

    hand.fill("New e-mail address", wanted)
    hand.press("Send a code")
    hand.see(f"A code is on its way to {wanted}")
    hand.fill("Code from the mail", "1234")
    hand.press("Change the address")
    hand.see("This code is not right")
    hand.fill("Code from the mail", code_for(make, wanted))
    hand.press("Change the address")

    hand.see(f"You sign in as {wanted}")


@step("member switches the second factor on")
def test_a_member_switches_the_second_factor_on(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/factor/")

    hand.press("Set it up")
    secret = hand.find(".shown code").text
    hand.fill("Code that the app shows", "000000")
    hand.press("Switch it on")
    hand.see("This code is not right")
    assert hand.find(".shown code").text == secret
    hand.fill("Code that the app shows", pyotp.TOTP(secret).now())
    hand.press("Switch it on")
    hand.see("Keep these codes")
    codes = [one.text for one in hand.driver.find_elements(By.CSS_SELECTOR, ".shown code")]
    assert len(codes) == 10
    hand.press("I have them")
    hand.see("10 recovery codes are left")
    assert api_there.get("/api/v1/whoami", by=person).status == 401

    hand.fill("Code of your app, or a recovery code", codes[0], within="form:last-of-type")
    hand.press("Switch it off", within="form:last-of-type")
    hand.see("It is off")


@step("member sets their options")
def test_a_member_sets_their_options(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/options/")

    hand.tick("Send me mail")
    hand.tick("Let search find my profile")
    hand.press("Save")

    hand.see("Saved.")
    assert api_there.get("/api/v1/profiles/options", by=person).data["sendEmail"] is False
    assert api_there.get("/api/v1/whoami", by=person).data["visible"] is False


@step("member sets how far agents may go in their name")
def test_a_member_sets_how_far_agents_may_go(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/account/agents/")
    hand.see("lets agents do nothing here")

    hand.tick("Read")
    hand.press("Save")

    hand.see("Saved.")
    assert api_there.get("/api/v1/agents", by=person).data["own"] == "read"


# ---------------------------------------------------------------- without a browser

FRESH = (
    "/account/agents/",
    "/account/bots/",
    "/account/keys/",
    "/account/address/",
    "/account/factor/",
    "/account/passkeys/",
    "/account/data/",
    "/account/data/delete/",
)
OWN = (*FRESH, "/account/", "/account/sessions/", "/account/programs/", "/account/options/")


@pytest.mark.parametrize("path", OWN)
def test_a_guest_signs_in_first(visitor: Visitor, bikes: Site, path: str) -> None:
    page = visitor.of(bikes).get(path)
    assert page.status == 303
    assert dict(parse_qsl(urlsplit(page.location).query)) == {"next": path}


def aged(person: Visitor, seconds: int) -> None:
    """Let the sign-in of a visitor be so long ago."""
    seal = Seal([WEBSITE_SECRET])
    session = seal.open_session(person.host, person.cookies["session"])
    assert session.token
    older = WebSession(session.token, session.began - seconds)
    person.cookies["session"] = seal.seal_session(person.host, older)


@pytest.mark.parametrize("path", FRESH)
def test_what_matters_asks_for_a_fresh_sign_in(visitor: Visitor, bikes: Site, path: str) -> None:
    member = visitor.of(bikes, bikes.member)
    assert member.get(path).status == 200
    aged(member, FRESH_S + 1)

    asked = member.get(path)
    assert asked.status == 303
    page = member.get(asked.location)
    assert "sign in once more" in page.text
    assert page.field("/login/", "next") == path
    form = {"step": "development", "email": bikes.member.email, "next": path, "again": "1"}
    assert member.post("/login/", form).location == path
    assert member.get(path).status == 200


def test_a_form_that_needs_a_fresh_sign_in_is_kept(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    aged(member, FRESH_S + 1)
    page = member.post("/account/keys/", {"name": "Own key", "scope": "live:read", "days": "7"})
    assert page.status == 401
    assert page.field("/login/", "pending.name") == "Own key"
    assert page.field("/login/", "next") == "/account/keys/"


def test_a_secret_is_shown_once_and_kept_by_nobody(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    page = member.post("/account/keys/", {"name": "<b>&", "scope": "live:read", "days": "7"})
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    assert "etag" not in page.headers
    secret = page.tree.css_first(".shown code")
    assert secret is not None
    assert secret.text().startswith("fapi")
    assert secret.text() not in member.get("/account/keys/").text

    begun = member.post("/account/factor/", {"do": "begin"})
    assert begun.headers["cache-control"] == "no-store"


def test_the_secret_of_a_second_factor_is_drawn_for_a_camera(visitor: Visitor, bikes: Site) -> None:
    begun = visitor.of(bikes, bikes.member).post("/account/factor/", {"do": "begin"})

    address = begun.find('#main a[href^="otpauth:"]').attributes["href"] or ""
    assert begun.find(".shown code").text() in address
    drawn = begun.find('#main [role="img"] svg')
    dark = begun.find('#main [role="img"] svg path[stroke]').attributes["d"] or ""
    # As many dark modules as the code of that address has, in lines of some modules each.
    lines = re.findall(r"h(\d+)", dark)
    code = segno.make(address, error="m", micro=False)
    assert sum(map(int, lines)) == sum(map(sum, code.matrix))
    # The policy admits neither.
    assert "style" not in (drawn.html or "")
    assert "data:" not in begun.text


def test_a_key_that_is_refused_comes_back_as_it_was_typed(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    page = member.post("/account/keys/", {"name": "x" * 101, "scope": "live:read", "days": "30"})
    assert page.status == 400
    assert page.field("/account/keys/", "name") == "x" * 101
    assert page.tree.css_first('[value="live:read"][checked]') is not None
    for form in ({"name": "a"}, {"name": "a", "scope": "no:thing", "days": "7"}, {}):
        assert member.post("/account/keys/", form).status == 400, form


@pytest.mark.parametrize("path", ["/account/keys/", "/account/sessions/", "/account/programs/"])
@pytest.mark.parametrize("id", ["x", "-1", "", "9" * 30, "²"])
def test_an_id_that_is_none_is_refused(visitor: Visitor, bikes: Site, path: str, id: str) -> None:
    member = visitor.of(bikes, bikes.member)
    assert member.post(path, {"do": "revoke", "id": id}).status == 400


def test_what_belongs_to_another_is_nothing(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    other = make.person(bikes)
    body = {"name": "Theirs", "scopes": ["live:read"], "days": 7}
    key = api_there.post("/api/v1/keys", body, by=other).data["id"]
    session = api_there.get("/api/v1/sessions", by=other).data["sessions"]["items"][0]["id"]
    member = visitor.of(bikes, bikes.member)
    assert member.post("/account/keys/", {"do": "revoke", "id": str(key)}).status == 404
    assert member.post("/account/sessions/", {"id": str(session)}).status == 404
    assert api_there.get("/api/v1/keys", by=other).data["keys"]["total"] == 1


def test_an_address_of_another_is_told_to_nobody(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    for email in (bikes.owner.email, "nobody@nowhere.test"):
        page = member.post("/account/address/", {"email": email})
        assert (page.status, f"on its way to {email}" in page.text) == (200, True)
    assert member.post("/account/address/", {"email": "none"}).status == 400


def test_the_current_session_may_end_itself(visitor: Visitor, bikes: Site, make: Factory) -> None:
    person = visitor.of(bikes, make.person(bikes))
    page = person.get("/account/sessions/")
    mine = page.tree.css_first(".rows > li:first-child [name=id]")
    assert mine is not None
    person.post("/account/sessions/", {"id": mine.attributes["value"] or ""})
    assert person.get("/account/").location.startswith("/login/")


def test_all_others_are_ended(visitor: Visitor, bikes: Site, make: Factory, api_there: Api) -> None:
    somebody = make.person(bikes)
    person = visitor.of(bikes, somebody)
    assert person.post("/account/sessions/", {"do": "others"}).status == 303
    assert api_there.get("/api/v1/whoami", by=somebody).status == 401
    assert person.get("/account/").status == 200


def test_a_program_of_others_loses_what_it_was_allowed(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    client = Client.registered(api_there, make, bikes)
    access = client.tokens(person)["access_token"]
    member = visitor.of(bikes, person)
    page = member.get("/account/programs/")
    assert "Reader &amp; Co" in page.text
    allowed = [node.text() for node in page.tree.css(".allowed li")]
    assert allowed[:2] == ["Read comments", "Read conversations"]
    id = page.field("/account/programs/", "id")
    # Nobody else takes it back.
    assert visitor.of(bikes, bikes.owner).post("/account/programs/", {"id": id}).status == 404
    assert client.works(access)

    assert member.post("/account/programs/", {"id": id}).status == 303

    assert not client.works(access)
    assert "No program may act for you" in member.get("/account/programs/").text


@pytest.mark.wide
def test_a_passkey_of_no_device_is_refused(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    begun = member.post("/account/passkeys/begin/")
    assert begun.headers["cache-control"] == "no-store"
    flow = json.loads(begun.text)["flow"]
    for sent in ("", "[]", "{", '{"id": "x"}'):
        form = {"flow": flow, "name": "Phone", "credential": sent}
        assert member.post("/account/passkeys/", form).status == 400, sent
    assert visitor.of(bikes).post("/account/passkeys/begin/", origin=None).status == 403


@pytest.mark.parametrize("path", OWN)
def test_forms_of_other_sites_do_nothing(visitor: Visitor, bikes: Site, path: str) -> None:
    member = visitor.of(bikes, bikes.member)
    page = member.post(path, {"do": "others", "id": "1"}, origin="https://evil.test")
    assert page.status in (403, 405)


def test_what_no_person_wrote_says_so_and_so_do_keys_for_agents(
    visitor: Visitor, make: Factory, api_there: Api
) -> None:
    site = make.site()
    person = make.person(site)
    talk, draft = make.conversation(site, by=person), make.conversation(site)
    by_hand = make.comment(talk, by=person, markdown="By hand")
    by_agent = make.comment(talk, by=person, markdown="By a quixotic machine")
    machine = make.person(site)
    by_bot = make.comment(talk, by=machine, markdown="By a bot")
    make.sql(
        "UPDATE profiles SET is_bot = true, version = version + 1 WHERE profile_id = %(id)s RETURNING 1",
        id=machine.id,
    )
    body = {"content": {"markdown": "Half"}}
    assert api_there.put(f"/api/v1/conversations/{draft.id}/draft", body, by=person).status == 302
    make.sql(
        """WITH begun AS (UPDATE items SET by_agent = true, version = version + 1 WHERE item_id = %(item)s),
                kept AS (UPDATE drafts SET by_agent = true WHERE profile_id = %(by)s)
           UPDATE comments SET by_agent = true, version = version + 1 WHERE comment_id = %(comment)s RETURNING 1""",
        item=talk.id,
        by=person.id,
        comment=by_agent.id,
    )
    for who in (None, person):
        given = visitor.of(site, who) if who else visitor.of(site)
        page = given.get(f"/conversations/{talk.id}/")
        said = {
            article.id: [tag.text() for tag in article.css("header .tag")]
            for article in page.tree.css("article.comment")
        }
        assert said == {
            f"comment{by_hand.id}": [],
            f"comment{by_agent.id}": ["By an agent"],
            f"comment{by_bot.id}": ["Bot"],
        }
        assert given.get(f"/profiles/{machine.id}/").find("h1").text().endswith("Bot")
        assert "By an agent" in page.find("h1").text()
        assert given.get("/conversations/").main.count("By an agent") == 1
        assert "(by an agent)" in given.get("/search/?q=quixotic").main
    member = visitor.of(site, person)
    assert "By an agent" in member.get("/drafts/").main

    form = {"name": "Mine", "scope": "conversations:read", "days": "7", "forAgents": "1"}
    assert member.post("/account/keys/", form).status == 200
    assert member.post("/account/keys/", form | {"name": "Plain", "forAgents": ""}).status == 200
    keys = member.get("/account/keys/").tree.css(".rows > li")
    assert ["For an agent" in key.text() for key in keys] == [False, True]


def test_a_level_of_agents_that_is_none_is_refused(
    visitor: Visitor, bikes: Site, api_there: Api
) -> None:
    member = visitor.of(bikes, bikes.newcomer)

    for own in ("", "all"):
        assert member.post("/account/agents/", {"own": own}).status == 400
    assert api_there.get("/api/v1/agents", by=bikes.newcomer).data["own"] == "write"
