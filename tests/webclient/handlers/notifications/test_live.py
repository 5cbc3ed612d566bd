"""Pages that follow what happens. These steps are about script: the mode without any checks what stands there then."""

from __future__ import annotations

import json
import time

import pytest
from selenium.webdriver import Chrome

from tests.api import Api
from tests.factories import Factory, Person, Thing
from tests.fixtures import Server
from tests.realtime.listener import Listener
from tests.webclient.hand import NO_SCRIPT, SCRIPT, Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor
from tests.webclient.wire import Wire


def say(api: Api, person: Person, thing: Thing, text: str, *, in_reply_to: int = 0) -> None:
    """Another person writes a comment, by the API."""
    kind = thing.path.split("/")[3].removesuffix("s")
    body = {"itemType": kind, "itemId": thing.id, "markdown": text, "inReplyTo": in_reply_to}
    answer = api.post("/api/v1/comments", body, by=person)
    assert answer.status in (200, 302), answer


@step("new comment announces itself and moves nothing")
def test_a_new_comment_announces_itself(hand: Hand, make: Factory, api_there: Api) -> None:
    """Without script nothing is announced: the page is as it was, and whoever loads it again sees the comment."""
    site = make.site()
    talk = make.conversation(site)
    make.comments(talk, 3)
    hand.sign_in(site, site.member)
    hand.go(site, f"/conversations/{talk.id}/")
    last = hand.driver.find_elements("css selector", ".comment")[-1]
    before = last.rect

    say(api_there, site.newcomer, talk, "Here I am")
    say(api_there, site.newcomer, talk, "Here I am again")

    if hand.mode == NO_SCRIPT:
        hand.see_no("Here I am")
        hand.go(site, f"/conversations/{talk.id}/")
        hand.see("Here I am again")
        return
    hand.see("2 new")
    assert last.rect == before
    hand.see_no("Here I am")
    assert hand.driver.switch_to.active_element.tag_name == "body"
    hand.press("2 new")
    hand.see("Here I am again")
    hand.gone("2 new")
    assert last.rect == before
    assert "Here I am" in hand.driver.switch_to.active_element.text


@step("typing is shown to others")
def test_typing_is_shown(hand: Hand, make: Factory, website: Server) -> None:
    """Without script nobody is told: a form that is only sent tells nothing before."""
    site = make.site()
    talk = make.conversation(site)
    make.comments(talk, 2)
    hand.sign_in(site, site.member)
    hand.go(site, f"/conversations/{talk.id}/")
    if hand.mode == NO_SCRIPT:
        assert hand.find(".typing").text == ""
        return

    with Listener(website.address, site, site.newcomer) as other:
        other.follow(f"conversation/{talk.id}", presence=True)
        hand.see("2 people are reading this")
        other.send({"type": "typing", "topic": f"conversation/{talk.id}"})
        hand.see("newcomer is writing")

        hand.fill("Your comment", "So do I")
        assert other.next("typing")["profileIds"] == [site.member.id]


@step("who reads is shown")
def test_who_reads_is_shown(hand: Hand, make: Factory, website: Server) -> None:
    """Guests follow what they may read, too. Without script nobody knows who has a page open."""
    site = make.site()
    talk = make.conversation(site)
    hand.go(site, f"/conversations/{talk.id}/")
    if hand.mode == NO_SCRIPT:
        hand.see_no("reading this")
        return

    with Listener(website.address, site, site.newcomer) as other:
        other.follow(f"conversation/{talk.id}", presence=True)
        hand.see("2 people are reading this")
    hand.gone("reading this")


@step("unread counts move by themselves")
def test_unread_counts_move(hand: Hand, make: Factory, api_there: Api) -> None:
    """Without script they are right whenever a page is loaded."""
    site = make.site()
    talk = make.conversation(site)
    mine = make.comment(talk, by=site.member)
    huddle = make.huddle(site.newcomer, site.member)
    hand.sign_in(site, site.member)
    hand.go(site)
    hand.see_no("unread")

    say(api_there, site.newcomer, huddle, "Have you seen this?")
    say(api_there, site.newcomer, talk, "Yes", in_reply_to=mine.id)

    if hand.mode == NO_SCRIPT:
        hand.go(site, "/")
        assert hand.find('nav a[href="/huddles/"] .count').text.endswith("unread")
        return
    assert hand.find('nav a[href="/huddles/"] .count').text.endswith("unread")
    assert hand.find('nav a[href="/updates/"] .count').text.endswith("unread")


@pytest.mark.wide
def test_a_page_that_is_not_the_last_leads_to_what_is_new(
    browser: Chrome, website: Server, make: Factory, api_there: Api
) -> None:
    site = make.site()
    talk = make.conversation(site)
    make.comments(talk, 30)
    # Their events have numbers before the page is read, as those of whatever is older than that.
    time.sleep(1)
    hand = Hand(browser, website.address[1], SCRIPT)
    hand.sign_in(site, site.member)
    hand.go(site, f"/conversations/{talk.id}/")

    say(api_there, site.newcomer, talk, "On the second page")

    hand.press("1 new")
    hand.see("On the second page")
    assert "offset=25" in hand.path


@pytest.mark.wide
def test_a_comment_that_is_deleted_meanwhile_is_announced_no_more(
    browser: Chrome, website: Server, make: Factory, api_there: Api
) -> None:
    site = make.site()
    event = make.event(site)
    hand = Hand(browser, website.address[1], SCRIPT)
    hand.sign_in(site, site.member)
    hand.go(site, f"/events/{event.id}/")

    body = {"itemType": "event", "itemId": event.id, "markdown": "A mistake"}
    made = api_there.post("/api/v1/comments", body, by=site.newcomer)
    hand.see("1 new")
    assert api_there.delete(made.location, by=site.newcomer).status == 200
    hand.gone("1 new")


@pytest.mark.wide
def test_a_session_that_ends_elsewhere_ends_the_stream(
    browser: Chrome, website: Server, make: Factory, api_there: Api
) -> None:
    site = make.site()
    talk = make.conversation(site)
    hand = Hand(browser, website.address[1], SCRIPT)
    hand.sign_in(site, site.member)
    hand.become(site.newcomer, int(time.time()))
    hand.go(site, f"/conversations/{talk.id}/")
    with Listener(website.address, site, site.owner) as other:
        other.follow(f"conversation/{talk.id}", presence=True)
        hand.see("2 people are reading this")

        assert api_there.delete("/api/v1/auth", by=site.newcomer).status == 200

        hand.gone("reading this")
        while other.next("presence")["people"] != 1:
            pass


# ---------------------------------------------------------------- connections that break


@pytest.mark.parametrize("name", ["guest", "member"])
def test_nothing_is_missed_while_the_connection_is_broken(
    name: str, browser: Chrome, website: Server, make: Factory, api_there: Api
) -> None:
    site = make.site()
    talk = make.conversation(site)
    make.comments(talk, 2)
    wire = Wire(website.address)
    hand = Hand(browser, wire.port, SCRIPT)
    if name == "member":
        hand.sign_in(site, site.member)
    hand.go(site, f"/conversations/{talk.id}/")
    # The stream begins where the page was made, not when it is opened.
    say(api_there, site.newcomer, talk, "Before the stream")
    hand.see("1 new")

    wire.cut()
    say(api_there, site.newcomer, talk, "Meanwhile")
    wire.mend()

    hand.see("2 new")
    wire.cut()
    hand.see("2 new")


@pytest.mark.wide
def test_a_page_that_nobody_sees_closes_its_stream(
    browser: Chrome, website: Server, make: Factory
) -> None:
    site = make.site()
    talk = make.conversation(site)
    hand = Hand(browser, website.address[1], SCRIPT)
    quick = """
        const wait = window.setTimeout;
        window.setTimeout = (act, ms, ...rest) => wait(act, ms === 60000 ? 50 : ms, ...rest);
    """
    seen = """
        Object.defineProperty(document, "hidden", {value: arguments[0], configurable: true});
        dispatchEvent(new Event("visibilitychange"));
    """
    made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": quick})
    try:
        hand.go(site, f"/conversations/{talk.id}/")
        with Listener(website.address, site, site.owner) as other:
            other.follow(f"conversation/{talk.id}", presence=True)
            for is_hidden in (False, True, False):
                browser.execute_script(seen, is_hidden)
                while other.next("presence")["people"] != 2 - is_hidden:
                    pass
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


@pytest.mark.wide
def test_networks_without_websockets_have_the_other_stream(
    browser: Chrome, website: Server, make: Factory, api_there: Api
) -> None:
    site = make.site()
    talk = make.conversation(site)
    hand = Hand(browser, website.address[1], SCRIPT)
    hand.sign_in(site, site.member)
    hand.go(site)
    broken = """
        window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.(), 1); } close() {} };
        Math.random = () => 0;
    """
    made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
    try:
        hand.go(site, f"/conversations/{talk.id}/")
        say(api_there, site.newcomer, talk, "Here I am")
        hand.see("1 new")
        hand.press("1 new")
        hand.see("Here I am")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def test_a_guest_s_page_is_the_same_wherever_the_stream_is(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    path = f"/conversations/{make.conversation(site).id}/"
    guest = visitor.of(site)
    page = guest.get(path)

    cursor = page.find("#live").attributes["data-cursor"]
    assert cursor
    assert guest.get(path, if_none_match=page.headers["etag"]).status == 304
    make.comment(make.conversation(site))
    assert guest.get(path, if_none_match=page.headers["etag"]).status == 304
    again = guest.get(path)
    assert again.find("#live").attributes["data-cursor"] not in ("", cursor)
    assert again.headers["etag"] == page.headers["etag"]


# ---------------------------------------------------------------- what the script asks for


def test_a_ticket_is_for_members_and_opens_one_connection(
    visitor: Visitor, make: Factory, website: Server
) -> None:
    site = make.site()
    guest, member = visitor.of(site), visitor.of(site, site.member)

    assert guest.post("/live-ticket/").status == 403
    assert member.post("/live-ticket/", origin="https://evil.example").status == 403
    assert member.get("/live-ticket/").status == 405
    page = member.post("/live-ticket/")
    assert page.headers["cache-control"] == "no-store"
    assert site.member.token not in page.text
    query = f"?ticket={json.loads(page.text)['ticket']}"
    own = {"Origin": f"http://{site.host}"}
    with Listener(website.address, site, query=query, headers=own) as there:
        assert there.hello["profileId"] == site.member.id
    assert Listener(website.address, site, query=query, headers=own).answer == 401


def test_counts_are_of_the_person_who_asks(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    make.comment(make.huddle(site.newcomer, site.member), by=site.newcomer)

    assert visitor.of(site).get("/counts/").status == 403
    page = visitor.of(site, site.member).get("/counts/")
    assert json.loads(page.text)["huddles"] == 1
    assert page.headers["cache-control"] == "no-store"
    assert json.loads(visitor.of(site, site.moderator).get("/counts/").text)["huddles"] == 0


@pytest.mark.wide
def test_comments_that_came_are_sent_alone(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site)
    comments = make.comments(talk, 30)
    guest = visitor.of(site)

    page = guest.get(f"/conversations/{talk.id}/after/{comments[20].id}/")

    ids = [one.attributes["id"] for one in page.tree.css(".comment")]
    assert ids == [f"comment{one.id}" for one in comments[21:]]
    assert not page.tree.css("main")
    assert (
        guest.get(f"/conversations/{talk.id}/after/{comments[-1].id}/?offset=25").text.strip() == ""
    )
    huddle = make.huddle(site.newcomer, site.member)
    assert visitor.of(site, site.moderator).get(f"/huddles/{huddle.id}/after/1/").status == 404
    assert guest.get(f"/huddles/{huddle.id}/after/1/").status == 403


def test_a_name_is_plain_text(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    page = visitor.of(site).get(f"/profiles/{site.member.id}/name/")

    assert json.loads(page.text) == {"name": site.member.name}
