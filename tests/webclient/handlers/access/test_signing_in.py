"""Signing in and out."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.api import Api
from tests.auth.test_provider_process import Provider, provider
from tests.factories import Factory, Person, Site
from tests.fixtures import Server, running
from tests.webclient.hand import MODES, NO_SCRIPT, Hand
from tests.webclient.mailbox import code_for, link_for
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

__all__ = ["provider"]


@step("guest signs in with a code from a mail")
def test_a_guest_signs_in_with_a_code_from_a_mail(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    hand.go(bikes, "/")

    hand.press("Sign in")
    hand.fill("E-mail address", person.email)
    hand.press("Send a code")
    hand.see(f"A code is on its way to {person.email}")
    hand.fill("Code from the mail", code_for(make, person.email))
    hand.press("Sign in", within="main")

    hand.see(person.name)
    assert hand.path == ""


@step("wrong code says so and lets one try again")
def test_a_wrong_code_says_so(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    hand.go(bikes, "/login/")
    hand.fill("E-mail address", person.email)
    hand.press("Send a code")
    hand.see("A code is on its way")
    code = code_for(make, person.email)

    hand.fill("Code from the mail", f"{(int(code) + 1) % 10**8:08}")
    hand.press("Sign in", within="main")
    hand.see("This code is not right")
    hand.fill("Code from the mail", f"{code[:4]} {code[4:]}")
    hand.press("Sign in", within="main")

    hand.see(person.name)


@step("guest who wants to post comes back after signing in")
def test_a_guest_comes_back_after_signing_in(hand: Hand, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    hand.go(bikes, f"/conversations/{conversation.id}/")

    hand.press("Sign in to answer")
    hand.fill("Address of anybody: this is a demonstration", bikes.member.email)
    hand.press("Sign in without a code")

    hand.find("#markdown")
    assert hand.path == f"conversations/{conversation.id}/#write"


@step("member signs out")
def test_a_member_signs_out(hand: Hand, bikes: Site) -> None:
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes)

    hand.press("Sign out")

    hand.see("Sign in")


@step("expired session keeps what was typed")
def test_an_expired_session_keeps_what_was_typed(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person, conversation = make.person(bikes), make.conversation(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, f"/conversations/{conversation.id}/")
    hand.fill("Your comment", f"Kept in mode {hand.mode}")
    assert api_there.delete("/api/v1/sessions", by=person).status == 200

    hand.press("Post")
    hand.see("What you wrote is kept")
    hand.fill("Address of anybody: this is a demonstration", person.email)
    hand.press("Sign in without a code")
    hand.see("What you wrote before is still here")
    hand.press("Send it now")

    hand.see(f"Kept in mode {hand.mode}")
    assert "#comment" in hand.driver.current_url


# ---------------------------------------------------------------- another host


@step("sign-in does not lead to another host")
def test_sign_in_does_not_lead_to_another_host(hand: Hand, bikes: Site) -> None:
    hand.go(bikes, "/login/?next=https://evil.test/")
    hand.fill("Address of anybody: this is a demonstration", bikes.member.email)
    hand.press("Sign in without a code")

    hand.see(bikes.member.name)
    assert (urlsplit(hand.driver.current_url).hostname, hand.path) == (bikes.host, "")


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test/",
        "\\\\evil.test",
        "/\t/evil.test/",
        "javascript:alert(1)",
        "/login/?next=//evil.test/",
        " /x/",
        "/a\r\nSet-Cookie: a=b",
        "",
    ],
)
def test_next_is_a_path_of_this_site_or_nothing(visitor: Visitor, bikes: Site, wanted: str) -> None:
    guest = visitor.of(bikes)
    page = guest.get(f"/login/?{urlencode({'next': wanted})}")
    assert page.field("/login/", "next") == "/"
    form = {"step": "development", "email": bikes.member.email, "next": wanted}
    assert guest.post("/login/", form).location == "/"


def test_the_way_back_has_the_whole_address(visitor: Visitor, bikes: Site) -> None:
    guest = visitor.of(bikes)
    address = "/profiles/?q=a%26b&top=true"
    link = guest.get(address).tree.css_first('.bar a[href^="/login/"]')
    assert link is not None
    asked = guest.get(link.attributes["href"] or "")
    assert asked.field("/login/", "next") == address
    form = {"step": "development", "email": bikes.member.email, "next": address}
    assert guest.post("/login/", form).location == address
    # The address of the sign-in page itself may hold codes.
    link = visitor.of(bikes).get("/login/?x=1").tree.css_first('.bar a[href^="/login/"]')
    assert link is not None
    assert link.attributes["href"] == "/login/"


# ---------------------------------------------------------------- second factor


@step("member with a second factor gives its code")
def test_a_member_with_a_second_factor_gives_its_code(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    codes = second_factor(api_there, person)
    hand.go(bikes, "/login/?next=/profiles/")
    hand.fill("Address of anybody: this is a demonstration", person.email)
    hand.press("Sign in without a code")

    hand.fill("Code of your app, or a recovery code", "000 000")
    hand.press("Sign in", within="main")
    hand.see("This code is not right")
    hand.fill("Code of your app, or a recovery code", codes[0])
    hand.press("Sign in", within="main")

    hand.see(person.name)


def second_factor(api: Api, person: Person) -> list[str]:
    """Switch the second factor of a person on; return the recovery codes."""
    secret = api.post("/api/v1/auth/totp", by=person).data["secret"]
    done = api.put("/api/v1/auth/totp", {"code": pyotp.TOTP(secret).now()}, by=person)
    assert done.status == 200, done.body
    return [str(one) for one in done.data["recoveryCodes"]]


# ---------------------------------------------------------------- providers


@pytest.fixture
def with_provider(make: Factory, provider: Provider, api_there: Api) -> Site:
    """A site whose owner set the provider up, for the website's own page."""
    made = make.site()
    back = f"http://{made.host}:{api_there.address[1]}/login/"
    body = json.dumps({"redirect_uris": [back]}).encode()
    client = json.loads(provider.ask("POST", "/oauth2/clients", body)[2])
    settings = {
        "issuer": provider.issuer,
        "clientId": client["client_id"],
        "clientSecret": client["client_secret"],
        "redirectUris": [back],
        "title": "Club & Co",
    }
    put = api_there.put("/api/v1/site/auth/openid", {"settings": settings}, by=made.owner)
    assert put.status == 302, put.body
    return made


def knows(provider: Provider, sub: str, email: str) -> None:
    """Let the provider confirm an address."""
    claims = {"email": email, "email_verified": True}
    provider.ask("PUT", f"/users/{sub}", json.dumps(claims).encode())


@step("guest signs in through a provider")
def test_a_guest_signs_in_through_a_provider(
    hand: Hand, make: Factory, provider: Provider, with_provider: Site
) -> None:
    conversation = make.conversation(with_provider)
    knows(provider, "cleo", with_provider.member.email)
    hand.go(with_provider, f"/conversations/{conversation.id}/")
    hand.press("Sign in to answer")

    hand.press("Sign in with Club & Co")
    # The page of the provider is none of ours.
    hand.find("[name=sub]").send_keys("cleo")
    hand.find("[name=sub]").submit()

    hand.see(with_provider.member.name)
    assert hand.path == f"conversations/{conversation.id}/#write"


def at_port(visitor: Visitor, site: Site) -> Visitor:
    """A guest who names the port as well, as browsers do: the provider leads back there."""
    guest = Visitor(visitor.address, f"{site.host}:{visitor.address[1]}")
    guest.get("/login/")
    return guest


class Trip:
    """Sign-in through the provider by plain HTTP, up to the way back."""

    def __init__(self, guest: Visitor, provider: Provider, form: dict[str, str]) -> None:
        page = guest.post("/login/", {"step": "provider", "method": "openid", **form})
        assert page.status == 200, page.text
        link = page.tree.css_first("main a.button")
        assert link is not None
        parts = urlsplit(link.attributes["href"] or "")
        _, self.back, _ = provider.ask(
            "POST",
            f"{parts.path}?{parts.query}",
            urlencode({"sub": "cleo"}).encode(),
            "application/x-www-form-urlencoded",
        )
        self.query = dict(parse_qsl(urlsplit(self.back).query))


@pytest.mark.wide
def test_the_way_back_signs_in_the_browser_that_began(
    visitor: Visitor, provider: Provider, with_provider: Site
) -> None:
    knows(provider, "cleo", with_provider.member.email)
    guest = at_port(visitor, with_provider)
    trip = Trip(guest, provider, {"next": "/profiles/", "pending.markdown": "Über <b>"})
    assert "sign-in" in guest.cookies

    # Another browser has no flow.
    other = at_port(visitor, with_provider)
    stolen = other.get(f"/login/?{urlencode(trip.query)}")
    assert (stolen.status, "session" in other.cookies) == (400, False)
    assert "began in another browser" in stolen.text

    page = guest.get(f"/login/?{urlencode(trip.query)}")
    assert page.status == 200
    assert page.field("/profiles/", "markdown") == "Über <b>"
    assert ("session" in guest.cookies, "sign-in" in guest.cookies) == (True, False)
    assert page.headers["cache-control"] == "private, no-cache"

    # A way back is good once.
    assert guest.get(f"/login/?{urlencode(trip.query)}").status == 400


@pytest.mark.wide
def test_a_wrong_state_or_a_refusal_signs_nobody_in(
    visitor: Visitor, provider: Provider, with_provider: Site
) -> None:
    knows(provider, "cleo", with_provider.member.email)
    for bent in ({"state": "x"}, {"code": "x"}):
        guest = at_port(visitor, with_provider)
        trip = Trip(guest, provider, {})
        page = guest.get(f"/login/?{urlencode(trip.query | bent)}")
        assert (page.status, "session" in guest.cookies) == (401, False), bent
    guest = at_port(visitor, with_provider)
    trip = Trip(guest, provider, {"next": "/profiles/"})
    page = guest.get(
        f"/login/?{urlencode({'state': trip.query['state'], 'error': 'access_denied'})}"
    )
    assert (page.status, page.field("/login/", "next")) == (400, "/profiles/")


def test_what_is_too_long_for_the_way_stays_on_the_page(
    visitor: Visitor, with_provider: Site
) -> None:
    guest = at_port(visitor, with_provider)
    text = "".join(f"{number * 7919 % 10007} " for number in range(3000))
    form = {"step": "provider", "method": "openid", "pending.markdown": text}
    page = guest.post("/login/", form)
    assert page.status == 400
    assert page.field("/login/", "pending.markdown") == text
    assert "sign-in" not in guest.cookies


# ---------------------------------------------------------------- passkeys


@pytest.fixture(scope="module")
def at_home(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A website below localhost: browsers give passkeys to no other host without TLS."""
    folder = tmp_path_factory.mktemp("at_home")
    with running(
        database_url, folder, webclient="true", platform_domain="forum.localhost"
    ) as started:
        yield started


@pytest.fixture(params=[mode for mode in MODES if mode != NO_SCRIPT])
def device_hand(request: pytest.FixtureRequest, browser: Chrome, at_home: Server) -> Iterator[Hand]:
    """A person at a browser with a device that keeps passkeys. Without script no browser has any."""
    made = Hand(browser, at_home.address[1], request.param)
    browser.execute_cdp_cmd("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    browser.execute_cdp_cmd("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield made
    browser.execute_cdp_cmd("WebAuthn.disable", {})
    made.leave()


@step("member adds a passkey and signs in with it")
def test_a_member_adds_a_passkey_and_signs_in_with_it(
    device_hand: Hand, bikes: Site, make: Factory
) -> None:
    hand, person = device_hand, make.person(bikes)
    home = copy.copy(bikes)
    home.host = f"{bikes.key}.forum.localhost"
    hand.sign_in(home, person)
    hand.go(home, "/account/passkeys/")

    hand.fill("Name", f"Phone {hand.mode}")
    hand.press("Add a passkey")
    hand.see(f"Phone {hand.mode}")
    hand.press("Sign out")
    hand.see("Sign in")
    hand.go(home, "/login/?next=/account/passkeys/")
    hand.press("Sign in with a finger, a face or a PIN")

    hand.see(f"Phone {hand.mode}")
    hand.press(f"Remove Phone {hand.mode}")
    hand.see("You have no passkeys yet")


@pytest.mark.wide
def test_without_script_there_is_no_button(browser: Chrome, at_home: Server, bikes: Site) -> None:
    hand = Hand(browser, at_home.address[1], NO_SCRIPT)
    try:
        home = copy.copy(bikes)
        home.host = f"{bikes.key}.forum.localhost"
        hand.go(home, "/login/")
        (button,) = browser.find_elements(By.CSS_SELECTOR, "form[data-passkey] button")
        assert not button.is_displayed()
    finally:
        hand.leave()


# ---------------------------------------------------------------- link of the mail


@pytest.fixture
def with_pages(make: Factory, api_there: Api) -> Site:
    """A site whose mails lead to its website."""
    site = make.site()
    web_url = {"webUrl": f"https://{site.host}"}
    put = api_there.put("/api/v1/site", web_url, by=site.owner)
    assert put.status == 302, put.body
    return site


def test_the_link_of_the_mail_signs_in_the_browser_that_asked(
    visitor: Visitor, website: Server, with_pages: Site, make: Factory
) -> None:
    person = make.person(with_pages)
    guest = visitor.of(with_pages)
    guest.get("/login/")
    form = {"email": person.email, "next": "/profiles/", "pending.markdown": "Über <b>"}
    assert guest.post("/login/", form).status == 200
    link = link_for(website.log.parent, person.email)
    assert link.startswith("/login/?key=")

    # Another browser is shown the code by the API's page, and looking signs nobody in.
    other = visitor.of(with_pages).get(link)
    assert (other.status, other.location) == (303, link.replace("/login/", "/oauth/link"))
    shown = guest.get(link)
    assert (shown.status, "session" in guest.cookies) == (200, False)
    sent = {name: shown.field("/login/", name) for name in ("step", "link", "next", "proof")}
    sent["pending.markdown"] = shown.field("/login/", "pending.markdown")

    done = guest.post("/login/", sent)

    assert done.field("/profiles/", "markdown") == "Über <b>"
    assert ("session" in guest.cookies, "mail-link" in guest.cookies) == (True, False)
    again = visitor.of(with_pages)
    again.get("/login/")
    assert again.post("/login/", sent).status in (400, 401)


# ---------------------------------------------------------------- sessions of the cookie


def test_signing_in_again_ends_the_former_session(visitor: Visitor, bikes: Site) -> None:
    person = visitor.of(bikes, bikes.newcomer)
    former = dict(person.cookies)
    again = person.post("/login/", {"step": "development", "email": bikes.newcomer.email})
    assert again.status == 303
    assert person.cookies["session"] != former["session"]
    # The cookie of before opens nothing any more.
    old = Visitor(visitor.address, bikes.host, former)
    assert old.get("/account/").location.startswith("/login/")
    assert person.get("/account/").status == 200


def test_cookies_are_for_this_host_and_no_script(visitor: Visitor, bikes: Site) -> None:
    page = visitor.of(bikes).post("/login/", {"step": "development", "email": bikes.member.email})
    (cookie,) = [text for text in page.set_cookies if text.startswith("session=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Domain" not in cookie
    assert bikes.member.token not in cookie


def test_a_form_of_another_site_signs_nobody_in(visitor: Visitor, bikes: Site) -> None:
    guest = visitor.of(bikes)
    form = {"step": "development", "email": bikes.member.email}
    for origin in ("https://evil.test", None, "null"):
        page = guest.post("/login/", form, origin=origin)
        assert (page.status, "session" in guest.cookies) == (403, False), origin


def test_a_banned_person_is_told_so_with_the_reason(visitor: Visitor, bikes: Site) -> None:
    banned = visitor.of(bikes, bikes.banned)
    page = banned.get("/")
    assert page.status == 403
    assert "You are banned from this site. Reason: Spam" in page.text
    assert "Sign out" in page.text


def test_too_many_codes_are_refused_with_the_time_to_wait(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    person, guest = make.person(bikes), visitor.of(bikes)
    guest.get("/login/")
    # The count begins anew with each hour of the clock.
    pages = [guest.post("/login/", {"email": person.email}) for _ in range(11)]
    refused = next(page for page in pages if page.status == 429)
    assert re.search(r"Try again in \d+ (second|minute)s?\.", refused.text)
    assert refused.field("/login/", "email") == person.email


def test_forged_steps_are_refused(visitor: Visitor, bikes: Site) -> None:
    guest = visitor.of(bikes)
    guest.get("/login/")
    steps = (
        {"step": "factor", "flow": "x", "code": "1"},
        {"step": "passkey", "flow": "x", "credential": "{"},
        {"step": "passkey", "flow": "", "credential": "[]"},
        {"step": "provider", "method": "nobody"},
        {"step": "code", "email": "not an address", "code": "1"},
        {"step": "?", "email": ""},
    )
    for form in steps:
        page = guest.post("/login/", form)
        assert (400 <= page.status < 500, "session" in guest.cookies) == (True, False), form


@pytest.mark.parametrize("path", ["/counts/", "/updates/"])
def test_a_script_that_is_answered_late_ends_no_newer_session(
    make: Factory, bikes: Site, visitor: Visitor, path: str
) -> None:
    person = make.person(bikes)
    browser = visitor.of(bikes, person)
    make.sql("DELETE FROM access_tokens WHERE user_id = %(user)s", user=person.user_id)

    by_script = browser.get(path, Sec_Fetch_Mode="cors")
    assert [text for text in by_script.set_cookies if text.startswith("session=")] == []
    assert "clear-site-data" not in by_script.headers
    assert "session" in browser.cookies

    browser.get(path, Sec_Fetch_Mode="navigate")
    assert "session" not in browser.cookies


@pytest.mark.wide
def test_an_ended_session_reads_public_pages_as_a_guest(
    visitor: Visitor, make: Factory, bikes: Site, website: Server
) -> None:
    chat = make.conversation(bikes)
    person = make.person(bikes)
    member = visitor.of(bikes, person)
    make.sql("DELETE FROM access_tokens WHERE user_id = %(user)s", user=person.user_id)

    page = member.get(f"/conversations/{chat.id}/")

    assert page.status == 200
    assert person.name not in page.text
    assert member.get("/updates/").location.startswith("/login/")
