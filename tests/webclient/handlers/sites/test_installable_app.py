"""Installed app: what it keeps and drops, its manifest; keyboard shortcuts, times, and the weight of all script.

Service workers need script, and a secure context: the sites here are on names below localhost. The mode without script
shows that nothing is kept then.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

import forumapi.webclient
from tests.factories import Factory
from tests.fixtures import Server
from tests.webclient.hand import MODES, NO_SCRIPT, SCRIPT, Hand
from tests.webclient.installed_app import installed, near
from tests.webclient.step import step
from tests.webclient.visitor import Visitor
from tests.webclient.wire import Wire

STATIC = Path(forumapi.webclient.__file__).parent / "static"
MOST_SCRIPT = 15_000


@pytest.fixture
def wire(website: Server) -> Iterator[Wire]:
    """The way to the website."""
    made = Wire(website.address)
    yield made
    made.cut()


@pytest.fixture(params=MODES)
def hand(request: pytest.FixtureRequest, browser: Chrome, wire: Wire) -> Iterator[Hand]:
    """A person at a browser whose connection can be cut."""
    made = Hand(browser, wire.port, request.param)
    yield made
    made.leave()


def kept(hand: Hand) -> list[str]:
    """The pages that the browser keeps, with the name of the cache."""
    found: list[str] = hand.driver.execute_async_script(
        """
        const done = arguments[0], found = [];
        (async () => {
          for (const name of await caches.keys()) if (name.startsWith("pages-")) {
            const keys = await (await caches.open(name)).keys();
            found.push(...keys.map((one) => `${name} ${new URL(one.url).pathname}`));
          }
          done(found);
        })();
        """
    )
    return found


@step("installed app shows what was read when offline")
def test_what_was_read_is_shown_without_a_network(hand: Hand, make: Factory, wire: Wire) -> None:
    site = near(make)
    read, unread = make.conversation(site, title="Read before"), make.conversation(site)
    make.comment(read, markdown="Words to keep")
    hand.go(site, "/")
    if hand.mode != NO_SCRIPT:
        installed(hand)
    hand.go(site, f"/conversations/{read.id}/")
    hand.see("Words to keep")
    if hand.mode == NO_SCRIPT:
        return
    hand.until(lambda: f"pages-0 /conversations/{read.id}/" in kept(hand))
    hand.go(site, "/login/")
    wire.cut()

    hand.go(site, f"/conversations/{read.id}/")
    hand.see("Words to keep")
    hand.see("There is no connection.")
    hand.go(site, f"/conversations/{unread.id}/")
    hand.see("This page was not kept.")
    hand.press(hand.find("#kept a").text, within="#kept")
    hand.see("Words to keep")
    hand.go(site, "/login/")
    hand.see("This page was not kept.")

    wire.mend()
    hand.go(site, f"/conversations/{unread.id}/")
    hand.see("Sign in to answer")


def test_a_full_storage_fails_no_file(browser: Chrome, wire: Wire, make: Factory) -> None:
    site = near(make)
    hand = Hand(browser, wire.port, SCRIPT)
    hand.go(site)
    installed(hand)
    origin = f"http://{site.host}:{wire.port}"
    browser.execute_cdp_cmd("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 1})
    try:
        # The browser has cleared its storage of the site, which other things fill now.
        found = browser.execute_async_script(
            """
            const done = arguments[0];
            (async () => {
              const { href } = document.querySelector('link[rel="stylesheet"]');
              for (const name of await caches.keys()) await caches.delete(name);
              const { status } = await fetch(href, { cache: "reload" });
              return [status, Boolean(await caches.match(href))];
            })().then(done, (error) => done(String(error)));
            """
        )
    finally:
        browser.execute_cdp_cmd("Storage.overrideQuotaForOrigin", {"origin": origin})

    assert found == [200, False]


@step("sign-out drops what was kept offline")
def test_sign_out_drops_what_was_kept(hand: Hand, make: Factory, wire: Wire) -> None:
    """Two people at one browser, the second of whom must not find what the first has read."""
    site = near(make)
    huddle = make.huddle(site.member, site.owner, title="Between us")
    make.comment(huddle, by=site.owner, markdown="Nobody else")
    path = f"/huddles/{huddle.id}/"
    hand.sign_in(site, site.member)
    hand.go(site)
    if hand.mode != NO_SCRIPT:
        installed(hand)
    hand.go(site, path)
    hand.see("Nobody else")
    if hand.mode == NO_SCRIPT:
        hand.press("Sign out")
        hand.go(site, path)
        hand.see_no("Nobody else")
        return
    hand.until(lambda: f"pages-{site.member.id} {path}" in kept(hand))

    hand.press("Sign out")
    hand.see("Sign in")
    hand.until(lambda: not [one for one in kept(hand) if not one.startswith("pages-0 ")])
    wire.cut()
    hand.go(site, path)
    hand.see("This page was not kept.")
    hand.see_no("Between us")

    wire.mend()
    hand.sign_in(site, site.newcomer)
    hand.go(site, "/updates/")
    hand.until(lambda: f"pages-{site.newcomer.id} /updates/" in kept(hand))
    assert {one.split()[0] for one in kept(hand)} == {f"pages-{site.newcomer.id}"}
    # Somebody who signs in in the place of another, without signing out.
    hand.become(site.owner, int(time.time()))
    hand.go(site, "/")
    hand.until(lambda: {one.split()[0] for one in kept(hand)} == {f"pages-{site.owner.id}"})
    wire.cut()
    hand.go(site, "/updates/")
    hand.see("This page was not kept.")


# ---------------------------------------------------------------- shortcuts and times


@step("keyboard shortcuts are listed and work")
def test_shortcuts_work(hand: Hand, make: Factory) -> None:
    """Without script the page that lists them says that they need it."""
    site = make.site()
    talk = make.conversation(site, title="Which tyres?")
    comments = make.comments(talk, 3)
    hand.sign_in(site, site.member)
    hand.go(site)
    hand.press("Keyboard shortcuts")
    hand.see("They need script")
    if hand.mode == NO_SCRIPT:
        hand.see_no("Use them in this browser")
        return

    def keys(*pressed: str) -> None:
        for one in pressed:
            hand.driver.switch_to.active_element.send_keys(one)

    hand.go(site, f"/conversations/{talk.id}/")
    keys("?")
    hand.find("dialog[open]")
    hand.see("the next comment")
    hand.press("Close", within="dialog")
    hand.gone("the next comment")
    keys("j", "j")
    assert focused(hand) == f"comment{comments[1].id}"
    keys("k")
    assert focused(hand) == f"comment{comments[0].id}"
    keys("r")
    hand.until(lambda: focused(hand) == "markdown")
    keys("j", "?", "/", "g", "h")
    assert hand.find("#markdown").get_attribute("value") == "j?/gh"
    hand.driver.execute_script("document.activeElement.blur()")
    keys("/")
    assert hand.driver.switch_to.active_element.get_attribute("name") == "q"
    hand.find("h1").click()
    keys("g", "h")
    hand.until(lambda: hand.path == "")
    keys("j")
    assert hand.driver.switch_to.active_element.text == "Which tyres?"

    keys("?")
    hand.tick("Use them in this browser", within="dialog")
    keys(Keys.ESCAPE)
    hand.gone("the next comment")
    keys("?")
    assert not hand.driver.find_elements("css selector", "dialog")
    hand.go(site, "/shortcuts/")
    hand.tick("Use them in this browser")
    keys(Keys.TAB)
    keys("?")
    hand.find("dialog[open]")


def focused(hand: Hand) -> str:
    """The id of what has the focus."""
    return hand.driver.switch_to.active_element.get_attribute("id") or ""


@pytest.mark.wide
def test_times_are_those_of_the_reader(browser: Chrome, website: Server, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site)
    comment = make.comment(talk)
    make.sql(
        "UPDATE comments SET created = '2026-03-01T23:30:00Z' WHERE comment_id = %(id)s",
        id=comment.id,
    )
    hand = Hand(browser, website.address[1], "script")
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        hand.go(site, f"/conversations/{talk.id}/")
        time_of = hand.find(f"#comment{comment.id} time")
        hand.until(lambda: time_of.get_attribute("title"))
        assert time_of.text == "2 Mar 2026"
        assert "Monday, March 2, 2026" in (time_of.get_attribute("title") or "")
        assert "8:30" in (time_of.get_attribute("title") or "")
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


# ---------------------------------------------------------------- documents


def test_a_site_has_a_manifest_of_its_own(visitor: Visitor, make: Factory) -> None:
    site = make.site(title="Bikes & trains in town", linkColor="#aa0000")
    guest = visitor.of(site)
    page = guest.get(guest.get("/").find('link[rel="manifest"]').attributes["href"] or "")

    assert page.headers["content-type"] == "application/manifest+json"
    found = json.loads(page.text)
    assert found["name"] == "Bikes & trains in town"
    assert len(found["short_name"]) <= 12
    assert found["theme_color"] == "#aa0000"
    for icon in found["icons"]:
        assert guest.get(icon["src"]).headers["content-type"] == icon["type"]


@pytest.mark.wide
def test_pages_say_whose_they_are(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    guest, member = visitor.of(site), visitor.of(site, site.member)

    assert guest.get("/").headers["forumapi-profile"] == "0"
    assert member.get("/").headers["forumapi-profile"] == str(site.member.id)
    offline = member.get("/offline/")
    assert "forumapi-profile" not in offline.headers
    assert site.member.name not in offline.text
    worker = member.get("/service-worker.js")
    assert worker.headers["cache-control"] == "no-cache"
    assert worker.headers["content-type"].startswith("text/javascript")
    assert member.get("/service-worker.js").body == worker.body
    other = visitor.of(make.site(linkColor="#aa0000")).get("/service-worker.js")
    assert other.body != worker.body


def test_sign_out_clears_what_the_browser_keeps(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    page = visitor.of(site, site.member).post("/logout/")

    assert page.headers["clear-site-data"] == '"cache"'


def test_script_of_a_conversation_is_light(visitor: Visitor, make: Factory) -> None:
    """All that such a page loads, compressed as it is sent."""
    site = make.site()
    page = visitor.of(site, site.member).get(f"/conversations/{make.conversation(site).id}/")
    named = [one.attributes["src"] or "" for one in page.tree.css("script[src]")]
    sent = [visitor.of(site).get(one, accept_encoding="gzip") for one in named]

    assert len(named) >= 5
    assert {one.headers["content-encoding"] for one in sent} == {"gzip"}
    assert sum(len(one.body) for one in sent) <= MOST_SCRIPT
    worker = (STATIC / "service-worker.js").read_bytes()
    assert len(gzip.compress(worker, 9)) < 2800
