"""Events and those who come; polls and votes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from selenium.webdriver import Chrome

from forumapi import itemtypes
from tests.api import Api
from tests.factories import Factory, Site, Thing
from tests.fixtures import Server
from tests.webclient.hand import SCRIPT, Hand
from tests.webclient.handlers.content.test_writing_http import upload
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

ALL_TYPES = (itemtypes.MICROCOSM, itemtypes.CONVERSATION, itemtypes.EVENT, itemtypes.POLL)


@pytest.fixture(scope="module")
def place(make: Factory, bikes: Site) -> Thing:
    """A microcosm that takes everything."""
    return make.microcosm(bikes, item_types=ALL_TYPES)


Event = Callable[..., Thing]
YEAR = datetime.now(UTC).year
_number = itertools.count(1)


@pytest.fixture
def event(website: Server) -> Iterator[Event]:
    """An event of the member, next year unless another time is given."""
    api = website.api()

    def made(place: Thing, title: str, **more: Any) -> Thing:
        body = {
            "microcosmId": place.id,
            "title": title if "when" in more else f"{title} {next(_number)}",
            "when": f"{YEAR + 1}-06-13T09:30:00",
            "tz": "UTC",
            **more,
        }
        answer = api.post("/api/v1/events", body, by=place.site.member)
        assert answer.status == 302, answer.body
        return Thing(place.site, itemtypes.EVENT, int(answer.location.rpartition("/")[2]))

    yield made
    api.close()


@step("member creates an event")
def test_a_member_creates_an_event(hand: Hand, bikes: Site, place: Thing) -> None:
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"/microcosms/{place.id}/create/event/")
    hand.fill("Title", f"Night ride, {hand.mode}")
    hand.fill("Place", "North gate")
    hand.fill("Spaces (0: no limit)", "6")
    hand.fill("What is it about?", "Bring **lights**.")

    hand.press("Create the event")

    hand.see(f"Night ride, {hand.mode}")
    hand.see("North gate")
    hand.see("6 spaces left")
    hand.see("Bring lights.")


@step("event shows its date, place and map link")
def test_an_event_says_when_and_where(hand: Hand, bikes: Site, place: Thing, event: Event) -> None:
    one = event(place, "Loop", where="Old bridge & pub")
    hand.go(bikes, f"/events/{one.id}/")

    hand.see("Old bridge & pub")
    hand.see("09:30")
    link = hand.find("a[href^='https://www.openstreetmap.org/']")
    assert "noreferrer" in (link.get_attribute("rel") or "")


@step("member says they come")
def test_a_member_says_they_come(hand: Hand, bikes: Site, place: Thing, event: Event) -> None:
    one = event(place, "Loop of yes")
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/events/{one.id}/")

    hand.press("I come")

    hand.see("You come.")
    hand.see("1 comes")


@step("member says they don't come")
def test_a_member_says_they_do_not_come(
    hand: Hand, bikes: Site, place: Thing, event: Event
) -> None:
    one = event(place, "Loop of no")
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/events/{one.id}/")

    hand.press("I don’t come")

    hand.see("You don’t come.")


@step("full event puts one on the waiting list")
def test_a_full_event_has_a_waiting_list(
    hand: Hand, bikes: Site, place: Thing, visitor: Visitor, event: Event
) -> None:
    one = event(place, "Small loop", rsvpLimit=1)
    first = visitor.of(bikes, bikes.moderator)
    assert first.post(f"/events/{one.id}/attending/", {"rsvp": "yes"}).status == 303
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/events/{one.id}/")

    hand.press("Wait for a space")

    hand.see("You are on the waiting list.")
    assert first.post(f"/events/{one.id}/attending/", {"rsvp": "no"}).status == 303
    hand.go(bikes, f"/events/{one.id}/")
    hand.see("You come.")


@step("attendees are listed")
def test_attendees_are_listed(
    hand: Hand, bikes: Site, place: Thing, visitor: Visitor, event: Event
) -> None:
    one = event(place, "Loop of many")
    for person, answer in ((bikes.newcomer, "yes"), (bikes.moderator, "maybe")):
        visitor.of(bikes, person).post(f"/events/{one.id}/attending/", {"rsvp": answer})
    hand.go(bikes, f"/events/{one.id}/")

    hand.press("All answers")

    hand.see(bikes.newcomer.name)
    hand.see("perhaps")


@step("event gives its calendar file")
def test_an_event_has_a_calendar_file(
    hand: Hand, bikes: Site, place: Thing, visitor: Visitor, event: Event
) -> None:
    one = event(place, "Loop in a calendar")
    hand.go(bikes, f"/events/{one.id}/")

    path = hand.find("a[href$='.ics']").get_attribute("href") or ""
    page = visitor.of(bikes).get("/" + path.partition("://")[2].partition("/")[2])

    assert page.headers["content-type"] == "text/calendar; charset=utf-8"
    assert "SUMMARY:Loop in a calendar" in page.text


@step("owner edits the event")
def test_an_owner_edits_the_event(hand: Hand, bikes: Site, place: Thing, event: Event) -> None:
    one = event(place, "Loop to move")
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"/events/{one.id}/edit/")
    hand.fill("Place", f"South gate, {hand.mode}")
    hand.choose("Does it take place?", "Postponed")

    hand.press("Save")

    hand.see(f"South gate, {hand.mode}")
    hand.see("Postponed")


@step("events are listed by date")
def test_events_are_listed_by_date(hand: Hand, make: Factory, event: Event) -> None:
    site = make.site()
    place = make.microcosm(site, item_types=ALL_TYPES)
    for month, title in ((9, "Second"), (3, "First")):
        event(place, title, when=f"{YEAR + 1}-{month:02}-01T08:00:00")
    event(place, "Long ago", when=f"{YEAR - 1}-03-01T08:00:00")
    hand.go(site, "/events/")

    hand.see("First")
    body = hand.find("main").text
    assert body.index("First") < body.index("Second")
    assert "Long ago" not in body
    hand.press("Past", within="main")
    hand.see("Long ago")


def test_an_event_that_begins_in_this_minute_is_in_one_of_the_two_lists(
    visitor: Visitor, make: Factory, event: Event
) -> None:
    site = make.site()
    place = make.microcosm(site, item_types=ALL_TYPES)
    now = datetime.now(UTC).replace(tzinfo=None)
    event(place, "This minute", when=now.replace(second=0, microsecond=0).isoformat())
    event(place, "Just now", when=now.replace(microsecond=0).isoformat())

    coming, past = (visitor.of(site).get(path).main for path in ("/events/", "/events/?past"))

    for title in ("This minute", "Just now"):
        assert (title in coming, title in past) == (False, True), title


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(45, "45 minutes"), (60, "1 hour"), (90, "1 hour 30 minutes"), (180, "3 hours")],
)
def test_an_event_says_how_long_it_takes(
    visitor: Visitor, bikes: Site, place: Thing, event: Event, minutes: int, said: str
) -> None:
    one = event(place, "Of some length", duration=minutes)
    page = visitor.of(bikes).get(f"/events/{one.id}/")
    assert page.find(".begins + p span").text() == said


def test_the_time_of_an_event_follows_its_title_and_names_its_zone(
    visitor: Visitor, bikes: Site, place: Thing, event: Event
) -> None:
    one = event(place, "In summer", when="2047-06-13T09:30:00", tz="Europe/Lisbon")
    guest = visitor.of(bikes)

    page = guest.get(f"/events/{one.id}/")
    row = guest.get(f"/microcosms/{place.id}/").find(".rows .tag").text()

    assert page.find("h1 + .begins").text() == "Thursday 13 June 2047, 09:30 (Europe/Lisbon)"
    assert page.find("time[data-clock]").text() == "13 Jun 2047, 08:30 UTC"
    assert "13 Jun 2047, 09:30 (Europe/Lisbon)" in row


def test_a_poll_names_the_zone_of_its_end(visitor: Visitor, bikes: Site, place: Thing) -> None:
    form = [("title", "Until then"), ("question", "Which?"), ("choice", "One"), ("choice", "Two")]
    form += [("closes", "2047-06-13T09:30"), ("key", "of-a-poll-that-closes")]
    member = visitor.of(bikes, bikes.member)
    begun = member.get(f"/microcosms/{place.id}/create/poll/")
    form.append(("proof", begun.value("#write [name=proof]")))

    made = sent(member, f"/microcosms/{place.id}/create/poll/", form)

    page = visitor.of(bikes).get(made.location)
    assert "Closes on 13 Jun 2047, 09:30 UTC" in page.main
    assert page.main.count("UTC") == 1


def test_a_poll_closes_by_the_clock_of_the_zone_that_is_typed(
    visitor: Visitor, bikes: Site, place: Thing
) -> None:
    path = f"/microcosms/{place.id}/create/poll/"
    form = [("title", "By the clock"), ("question", "Which?"), ("choice", "One"), ("choice", "Two")]
    form += [("closes", "2047-06-13T09:30"), ("key", "of-a-poll-by-the-clock")]
    member = visitor.of(bikes, bikes.member)
    begun = member.get(path)
    assert begun.value("#tz") == "UTC"
    form.append(("proof", begun.value("#write [name=proof]")))

    for zone in ("Mars/Olympus", "../etc/passwd", "Europe", "x" * 300):
        refused = sent(member, path, [*form, ("tz", zone)])
        assert refused.status == 400
        assert "There is no time zone of this name." in refused.find(".failed").text()
        assert (refused.value("#closes"), refused.value("#tz")) == ("2047-06-13T09:30", zone)
    made = sent(member, path, [*form, ("tz", "Europe/Lisbon")])

    assert "Closes on 13 Jun 2047, 08:30 UTC" in visitor.of(bikes).get(made.location).main
    edit = member.get(f"{made.location}edit/")
    assert (edit.value("#closes"), edit.value("#tz")) == ("2047-06-13T08:30", "UTC")


@pytest.mark.wide
def test_times_of_day_are_those_of_the_reader(
    browser: Chrome, website: Server, make: Factory, bikes: Site, place: Thing, event: Event
) -> None:
    there = event(place, "There", when="2047-06-13T09:30:00", tz="Europe/Lisbon")
    here = event(place, "Here", when="2047-06-13T17:30:00", tz="Asia/Tokyo")
    closes = datetime(2047, 6, 13, 9, 30, tzinfo=UTC)
    poll = make.poll(bikes, by=bikes.member, closes=closes)
    hand = Hand(browser, website.address[1], SCRIPT)
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        hand.go(bikes, f"/events/{there.id}/")
        hand.see("13 Jun 2047, 17:30 GMT+9")
        assert "5:30 PM GMT+9" in (hand.find(".begins time").get_attribute("title") or "")
        hand.go(bikes, f"/events/{here.id}/")
        hand.until(lambda: hand.find(".begins time").get_attribute("title"))
        hand.see_no("GMT+9")
        hand.sign_in(bikes, bikes.member)
        hand.go(bikes, f"/microcosms/{place.id}/create/event/")
        hand.until(lambda: hand.value("Time zone") == "Asia/Tokyo")
        hand.go(bikes, f"/polls/{poll.id}/edit/")
        hand.until(lambda: hand.value("Time zone") == "Asia/Tokyo")
        assert hand.value("Closes") == "2047-06-13T18:30"
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


@pytest.mark.wide
@step("member creates a poll")
def test_a_member_creates_a_poll(hand: Hand, bikes: Site, place: Thing) -> None:
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, f"/microcosms/{place.id}/create/poll/")
    hand.fill("Title", f"Jersey, {hand.mode}")
    hand.fill("Question", "Which colour?")
    hand.fill("Choice 1", "Green & gold")
    hand.fill("Choice 2", "Blue")

    hand.press("Create the poll")

    hand.see("Which colour?")
    hand.see("Green & gold")
    hand.see("0 have voted")


@step("member votes and sees the results")
def test_a_member_votes(hand: Hand, bikes: Site, make: Factory, place: Thing) -> None:
    one = make.poll(bikes, microcosm=place, by=bikes.member)
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/polls/{one.id}/")

    hand.tick(hand.find(".choices label").text)
    hand.press("Vote")

    hand.see("1 has voted")
    hand.press("Take my vote back")
    hand.see("0 have voted")


@step("closed poll shows results and no form")
def test_a_closed_poll_has_no_form(
    hand: Hand, bikes: Site, make: Factory, place: Thing, visitor: Visitor
) -> None:
    one = make.poll(bikes, microcosm=place, by=bikes.member, is_open=False)
    owner = visitor.of(bikes, bikes.member)
    hand.sign_in(bikes, bikes.newcomer)

    hand.go(bikes, f"/polls/{one.id}/")

    hand.see("The poll is closed")
    assert not hand.driver.find_elements("css selector", ".choices input")
    assert owner.get(f"/polls/{one.id}/").status == 200


@step("poll with many answers takes several")
def test_several_answers(hand: Hand, bikes: Site, make: Factory, place: Thing) -> None:
    one = make.poll(bikes, microcosm=place, by=bikes.member, is_multi=True)
    hand.sign_in(bikes, bikes.newcomer)
    hand.go(bikes, f"/polls/{one.id}/")

    for label in [
        found.text for found in hand.driver.find_elements("css selector", ".choices label")
    ][:2]:
        hand.tick(label)
    hand.press("Vote")

    hand.see("1 has voted")
    assert [found.text for found in hand.driver.find_elements("css selector", ".choices .figures")][
        :2
    ] == ["1", "1"]


@step("poll's voters are listed where it is named")
def test_a_named_poll_lists_its_voters(
    hand: Hand, bikes: Site, make: Factory, place: Thing, visitor: Visitor
) -> None:
    one = make.poll(bikes, microcosm=place, by=bikes.member, is_named=True)
    page = visitor.of(bikes, bikes.newcomer).get(f"/polls/{one.id}/")
    choice = page.value("input[name=choice]")
    voter = visitor.of(bikes, bikes.newcomer)
    assert voter.post(f"/polls/{one.id}/vote/", {"choice": choice}).status == 303
    hand.go(bikes, f"/polls/{one.id}/")

    hand.press("Who voted for what")

    hand.see(bikes.newcomer.name)


@pytest.mark.wide
def test_nobody_changes_the_event_of_another(
    visitor: Visitor, bikes: Site, place: Thing, event: Event
) -> None:
    one = event(place, "Mine")
    stranger = visitor.of(bikes, bikes.newcomer)

    refused = stranger.post(f"/events/{one.id}/edit/", {"title": "Yours", "hours": "1"})

    assert refused.status == 403
    assert "Mine" in visitor.of(bikes).get(f"/events/{one.id}/").text


def test_a_conflict_shows_both_versions(
    visitor: Visitor, bikes: Site, place: Thing, event: Event
) -> None:
    one = event(place, "Before")
    path = f"/events/{one.id}/edit/"
    owner = visitor.of(bikes, bikes.member)
    form = owner.get(path)
    match = form.value("input[name=etag]")
    sent = {"day": "2047-06-13", "time": "09:30", "hours": "2", "tz": "UTC"}
    first = owner.post(path, {**sent, "title": "By me", "etag": match})
    assert first.status == 303, first.main

    late = owner.post(path, {**sent, "title": "Too late", "etag": match})

    assert late.status == 412
    assert "By me" in late.text and "Too late" in late.text
    again = late.value("input[name=etag]")
    assert owner.post(path, {**sent, "title": "Too late", "etag": again}).status == 303


@pytest.mark.parametrize("hours", ["many", "1e999", "nan"])
def test_hours_that_are_no_number_are_said(
    visitor: Visitor, bikes: Site, place: Thing, hours: str
) -> None:
    path = f"/microcosms/{place.id}/create/event/"
    page = visitor.of(bikes, bikes.member).post(
        path, {"title": "Kept", "day": "2047-01-01", "time": "10:00", "hours": hours}
    )

    assert page.status == 400
    assert "Kept" in page.text


def test_an_event_of_another_site_is_none(
    visitor: Visitor, bikes: Site, trains: Site, place: Thing, event: Event
) -> None:
    one = event(place, "Here")

    there, nothing = (
        visitor.of(trains, trains.member).get(f"/events/{id}/") for id in (one.id, 10**9)
    )

    assert there.status == nothing.status == 403
    assert there.main == nothing.main


def test_a_form_sent_again_with_another_title_is_another_event(
    visitor: Visitor, bikes: Site, place: Thing
) -> None:
    path = f"/microcosms/{place.id}/create/event/"
    form = {"day": "2047-01-01", "time": "10:00", "hours": "1", "tz": "UTC", "key": "of-one-form"}
    member = visitor.of(bikes, bikes.member)

    first, again, other = (
        member.post(path, {**form, "title": title}) for title in ("Once", "Once", "Corrected")
    )

    assert (first.status, again.status, other.status) == (303, 303, 303)
    assert first.location == again.location != other.location


# ---------------------------------------------------------------- drafts, previews and files of their forms

EVENT = {
    "itemType": "event",
    "title": "Ride & rest",
    "day": "2047-01-01",
    "time": "10:00",
    "hours": "1.5",
    "tz": "Europe/Berlin",
    "where": "North & gate",
    "rsvpLimit": "6",
    "markdown": "Bring **lights**.",
}
POLL = [
    ("itemType", "poll"),
    ("title", "Jersey"),
    ("question", "Which colour?"),
    *(pair for text in ("Green", "", "Blue") for pair in (("choiceId", ""), ("choice", text))),
    ("named", "1"),
    ("results", "voted"),
]


def sent(somebody: Visitor, path: str, form: Sequence[tuple[str, str]]) -> Page:
    """POST a form in which a field may stand several times."""
    headers = {
        "Origin": f"http://{somebody.host}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return somebody.request("POST", path, urlencode(form).encode(), headers)


def shown(page: Page) -> dict[str, str]:
    """The fields of the form, as a browser shows them."""
    names = ("title", "day", "time", "hours", "tz", "where", "rsvpLimit")
    return {
        **{name: page.value(f"#write [name={name}]") for name in names},
        "markdown": page.find("#write textarea").text().strip(),
    }


def choices(page: Page) -> list[str]:
    """The choices that are not empty."""
    found = (node.attributes.get("value") or "" for node in page.tree.css("[name=choice]"))
    return [text for text in found if text]


@pytest.mark.wide
def test_an_event_is_previewed_and_kept_as_a_draft(
    visitor: Visitor, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes, item_types=ALL_TYPES)
    path = f"/microcosms/{place.id}/create/event/"
    member = visitor.of(bikes, bikes.member)
    typed = {name: text for name, text in EVENT.items() if name != "itemType"}

    preview = member.post(path, {**EVENT, "do": "preview"})
    assert preview.status == 200
    assert preview.find(".preview strong").text() == "lights"
    assert shown(preview) == typed

    saved = member.post(f"/drafts/microcosm/{place.id}/", EVENT)
    assert (saved.status, saved.location) == (303, f"{path}#write")
    draft = member.get(path)
    assert shown(draft) == typed
    assert "Ride &amp; rest" in member.get("/drafts/").text
    # Whoever saves over a version that is gone sees both.
    other = member.post(f"/drafts/microcosm/{place.id}/", {**EVENT, "where": "South"})
    assert other.status == 409
    assert other.value("[name=where]") == "South"

    made = member.post(path, {**EVENT, "key": "k", "draft": draft.value("[name=draft]")})
    assert made.status == 303
    assert "North &amp; gate" in member.get(made.location).text
    assert shown(member.get(path))["title"] == ""


def test_files_hang_on_the_first_comment_of_an_event(
    visitor: Visitor, bikes: Site, place: Thing
) -> None:
    path = f"/microcosms/{place.id}/create/event/"
    member = visitor.of(bikes, bikes.member)
    file = ("files", "route.txt", b"turn left", "text/plain")

    bare = upload(member, path, {**EVENT, "markdown": "", "key": "a"}, file)
    assert bare.status == 400
    assert "There is no text yet" in bare.text
    kept = bare.value("[name=file]")
    made = member.post(path, {**EVENT, "file": kept, "key": "a"})

    assert made.status == 303
    assert "route.txt" in member.get(made.location).find(".comment .files").text()


def test_a_poll_is_kept_as_a_draft_with_its_choices(
    visitor: Visitor, make: Factory, bikes: Site
) -> None:
    place = make.microcosm(bikes, item_types=ALL_TYPES)
    path = f"/microcosms/{place.id}/create/poll/"
    member = visitor.of(bikes, bikes.member)

    saved = sent(member, f"/drafts/microcosm/{place.id}/", POLL)
    assert saved.status == 303, saved.main
    draft = member.get(path)
    assert choices(draft) == ["Green", "Blue"]
    assert draft.value("[name=question]") == "Which colour?"
    assert "checked" in draft.find("[name=named]").attributes
    assert draft.value("option[selected]") == "voted"

    made = sent(member, path, [*POLL, ("key", "k")])
    assert made.status == 303, made.main
    assert choices(member.get(path)) == []


def test_choices_of_a_poll_keep_their_votes_after_a_refusal(
    visitor: Visitor, api_there: Api, bikes: Site, place: Thing
) -> None:
    body = {
        "microcosmId": place.id,
        "title": "Which?",
        "question": "Which?",
        "choices": [{"choice": text} for text in ("Ash", "Birch", "Cedar")],
        "results": "always",
    }
    made = api_there.post("/api/v1/polls", body, by=bikes.member)
    poll = api_there.get(made.location, by=bikes.member).data
    first, _, third = (str(one["id"]) for one in poll["choices"])
    member = visitor.of(bikes, bikes.member)
    path = f"/polls/{poll['id']}/edit/"
    lines = [("choiceId", first), ("choice", "Ash"), ("choiceId", "0"), ("choice", "")]
    lines += [
        ("choiceId", third),
        ("choice", "Cedar"),
        ("question", "Which?"),
        ("results", "always"),
    ]

    refused = sent(member, path, [*lines, ("title", "")])

    assert refused.status == 400
    pairs = zip(
        (node.attributes["value"] for node in refused.tree.css("[name=choiceId]")),
        (node.attributes["value"] for node in refused.tree.css("[name=choice]")),
        strict=True,
    )
    assert [pair for pair in pairs if pair[1]] == [(first, "Ash"), (third, "Cedar")]
    etag = member.get(path).value("[name=etag]")
    assert sent(member, path, [*lines, ("title", "Two"), ("etag", etag)]).status == 303
    left = api_there.get(made.location, by=bikes.member).data["choices"]
    assert [(str(one["id"]), one["choice"]) for one in left] == [(first, "Ash"), (third, "Cedar")]
