"""Huddles: private conversations."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Person, Site
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor


@step("member begins a huddle with another person")
def test_a_member_begins_a_huddle_with_another_person(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person, other = make.person(bikes), make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes)

    hand.press("Messages")
    hand.press("New message")
    hand.fill("To, by their names here", f"@{other.name.upper()} nobody_of_that_name")
    hand.fill("Subject", "Ride on Friday?")
    hand.fill("Your message", "Eight o'clock?")
    hand.press("Send")
    hand.see("Nobody here is called “nobody_of_that_name”.")
    hand.fill("To, by their names here", "")
    hand.press("Send")

    hand.see("Eight o'clock?")
    hand.see(f"Seen by {person.name}, {other.name}, and by nobody else.")
    assert hand.path.startswith("huddles/")
    found = api_there.get("/api/v1/huddles", by=other).data["huddles"]["items"]
    assert [one["title"] for one in found] == ["Ride on Friday?"]


@step("huddle shows its comments to its participants")
def test_a_huddle_shows_its_comments_to_its_participants(
    hand: Hand, bikes: Site, make: Factory
) -> None:
    person, other = make.person(bikes), make.person(bikes)
    huddle = make.huddle(other, person, title="Which tyre?")
    make.comment(huddle, by=other, markdown="The wide one.")
    hand.sign_in(bikes, person)
    hand.go(bikes)

    hand.press("Messages 1 unread")
    hand.see("Which tyre?")
    hand.press("Which tyre?")

    hand.see("The wide one.")
    hand.see(other.name)


@step("participant answers")
def test_a_participant_answers(hand: Hand, bikes: Site, make: Factory) -> None:
    person, other = make.person(bikes), make.person(bikes)
    huddle = make.huddle(other, person)
    make.comment(huddle, by=other)
    hand.sign_in(bikes, person)
    hand.go(bikes, f"/huddles/{huddle.id}/")

    hand.fill("Your comment", f"Written by {hand.mode}")
    hand.press("Post")

    hand.see(f"Written by {hand.mode}")
    assert "#comment" in hand.driver.current_url


@step("participant adds a person")
def test_a_participant_adds_a_person(hand: Hand, bikes: Site, make: Factory) -> None:
    person, other, third = (make.person(bikes) for _ in range(3))
    huddle = make.huddle(person, other)
    hand.sign_in(bikes, person)
    hand.go(bikes, f"/huddles/{huddle.id}/")

    hand.press("Add people, or leave", within="main")
    hand.fill("Names of people to add", third.name)
    hand.press("Add")

    hand.see(third.name)
    hand.go(bikes, "/huddles/")
    hand.see(f"{other.name}, {third.name}")


@step("participant leaves")
def test_a_participant_leaves(hand: Hand, bikes: Site, make: Factory) -> None:
    person, other = make.person(bikes), make.person(bikes)
    huddle = make.huddle(other, person, title="Old news")
    hand.sign_in(bikes, person)
    hand.go(bikes, f"/huddles/{huddle.id}/")

    hand.press("Add people, or leave", within="main")
    hand.press("Leave")
    hand.see("Leave “Old news”?")
    hand.press("Leave")

    hand.see("You have no messages yet")
    hand.go(bikes, f"/huddles/{huddle.id}/")
    hand.see("There is nothing here")


@step("huddle is nothing to a stranger")
def test_a_huddle_is_nothing_to_a_stranger(hand: Hand, bikes: Site, make: Factory) -> None:
    huddle = make.huddle(bikes.member, bikes.moderator, title="Secret plans")
    comment = make.comment(huddle, by=bikes.member, markdown="Whisper")
    hand.sign_in(bikes, bikes.owner)

    for path in (
        f"/huddles/{huddle.id}/",
        f"/huddles/{huddle.id}/newest/",
        f"/huddles/{huddle.id}/leave/",
        f"/comments/{comment.id}/",
    ):
        hand.go(bikes, path)
        hand.find("h1")
        hand.see_no("Secret plans")
        hand.see_no("Whisper")
        hand.see_no(bikes.member.name)


@step("unread huddles are counted in the bar")
def test_unread_huddles_are_counted_in_the_bar(hand: Hand, bikes: Site, make: Factory) -> None:
    person, other = make.person(bikes), make.person(bikes)
    huddles = [make.huddle(other, person) for _ in range(2)]
    for huddle in huddles:
        make.comment(huddle, by=other)
    hand.sign_in(bikes, person)
    hand.go(bikes)
    assert hand.find(".bar .count").text.split()[0] == "2"

    hand.go(bikes, f"/huddles/{huddles[0].id}/")
    hand.go(bikes, "/huddles/")

    assert hand.find(".bar .count").text.split()[0] == "1"


# ---------------------------------------------------------------- without a browser


def told(page: Page) -> tuple[int, str]:
    """Return what a page says, without the address that it stands at."""
    main = page.tree.css_first("main")
    assert main is not None
    return page.status, main.text(separator=" ", strip=True)


@pytest.mark.parametrize("who", ["guest", "owner", "newcomer"])
@pytest.mark.parametrize("path", ["/huddles/{}/", "/huddles/{}/newest/", "/huddles/{}/leave/"])
def test_a_huddle_of_others_is_as_one_that_never_was(
    visitor: Visitor, bikes: Site, make: Factory, who: str, path: str
) -> None:
    huddle = make.huddle(bikes.member, bikes.moderator)
    make.comment(huddle)
    asker = visitor.of(bikes, bikes.cast()[who])
    real, none = path.format(huddle.id), path.format(10**15)
    seen = asker.get(real)
    never = asker.get(none)
    assert told(seen) == told(never) if seen.status != 303 else never.status == 303
    assert seen.status == (404 if who != "guest" else 303 if "leave" in path else 403)
    asker.get("/login/")
    for action in ("participants/", "leave/"):
        form = {"to": bikes.newcomer.name}
        first = asker.post(f"/huddles/{huddle.id}/{action}", form)
        second = asker.post(f"/huddles/{10**15}/{action}", form)
        assert first.status == second.status
        assert first.status in (401, 404)


def test_a_huddle_of_another_site_is_nothing(
    visitor: Visitor, bikes: Site, trains: Site, make: Factory
) -> None:
    huddle = make.huddle(trains.member, trains.owner, title="Elsewhere")
    assert visitor.of(bikes, bikes.owner).get(f"/huddles/{huddle.id}/").status == 404


@pytest.fixture
def namesakes(bikes: Site, make: Factory) -> tuple[Person, Person]:
    """Two people whose names begin alike."""
    number = make.sql("SELECT nextval('access_tokens_token_id_seq')")[0][0]
    return make.person(bikes, f"twin{number}a"), make.person(bikes, f"twin{number}b")


@pytest.mark.wide
def test_a_name_that_may_mean_several_is_asked_about(
    visitor: Visitor, bikes: Site, make: Factory, namesakes: tuple[Person, Person], api_there: Api
) -> None:
    first, second = namesakes
    member = visitor.of(bikes, make.person(bikes))
    form = {"to": first.name[:-1], "title": "Two <b>", "markdown": "Hello"}
    page = member.post("/huddles/create/", form)
    assert page.status == 400
    offered = {node.attributes["value"] for node in page.tree.css('[type=radio][name="person.1"]')}
    assert offered == {f"{first.id} {first.name}", f"{second.id} {second.name}", ""}
    assert page.field("/huddles/create/", "title") == "Two <b>"
    assert page.field("/huddles/create/", "markdown") == "Hello"

    form |= {"to": "", "person.1": f"{second.id} {second.name}"}
    assert member.post("/huddles/create/", form).status == 303
    assert api_there.get("/api/v1/huddles", by=second).data["huddles"]["total"] == 1
    assert api_there.get("/api/v1/huddles", by=first).data["huddles"]["total"] == 0


@pytest.mark.wide
def test_a_whole_name_that_is_escaped_in_html_is_clear(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    both = [make.person(bikes, name) for name in ("R&amp;D", "R&amp;Design")]
    form = {"to": "r&d", "title": "Plans", "markdown": "Hello"}
    assert visitor.of(bikes, make.person(bikes)).post("/huddles/create/", form).status == 303
    totals = [api_there.get("/api/v1/huddles", by=one).data["huddles"]["total"] for one in both]
    assert totals == [1, 0]


def test_forms_that_are_wrong_come_back(visitor: Visitor, bikes: Site, make: Factory) -> None:
    member = visitor.of(bikes, make.person(bikes))
    good = {"to": bikes.owner.name, "title": "A title", "markdown": "Hello"}
    for wrong in (
        {"to": ""},
        {"to": ", ; @"},
        {"title": ""},
        {"title": "x" * 151},
        {"markdown": " \n"},
        {"to": " ".join(f"name{number}" for number in range(30))},
        {"to": "", "person": f"{10**17} x"},
        {"to": "", "person": "² x"},
    ):
        page = member.post("/huddles/create/", good | wrong)
        assert page.status in (400, 404), wrong
        assert page.tree.css_first("[role=alert]") is not None, wrong
    assert "You have no messages yet" in member.get("/huddles/").text


@pytest.mark.wide
def test_a_double_click_begins_one_huddle(visitor: Visitor, bikes: Site, make: Factory) -> None:
    member = visitor.of(bikes, make.person(bikes))
    key = member.get("/huddles/create/").field("/huddles/create/", "key")
    form = {"to": bikes.owner.name, "title": "Once", "markdown": "Hello", "key": key}
    first, second = (member.post("/huddles/create/", form) for _ in range(2))
    assert first.location == second.location
    page = member.get(first.location)
    assert len(page.tree.css("article.comment")) == 1


def test_a_message_that_is_too_long_stands_in_the_form_of_its_huddle(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    member = visitor.of(bikes, make.person(bikes))
    text = "x" * 50_001
    form = {"to": bikes.owner.name, "title": "Long story", "markdown": text}
    page = member.post("/huddles/create/", form)
    assert page.status == 400
    assert page.field("/comments/create/", "markdown").strip() == text
    assert page.tree.css_first("[role=alert]") is not None


def test_a_link_to_write_to_somebody_names_them(visitor: Visitor, bikes: Site) -> None:
    member = visitor.of(bikes, bikes.member)
    page = member.get(f"/huddles/create/?to={bikes.owner.id}")
    assert f"{bikes.owner.id} {bikes.owner.name}" in page.text
    assert member.get("/huddles/create/?to=x").status == 200
    assert member.get(f"/huddles/create/?to={10**17}").status == 404


def test_a_confidential_huddle_takes_nobody_in(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    huddle = make.huddle(bikes.member, bikes.owner, is_confidential=True)
    member = visitor.of(bikes, bikes.member)
    page = member.get(f"/huddles/{huddle.id}/")
    assert "Nobody can be added" in page.text
    form = {"to": bikes.newcomer.name}
    assert member.post(f"/huddles/{huddle.id}/participants/", form).status == 403


def test_the_list_of_huddles_has_pages(visitor: Visitor, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    for _ in range(26):
        make.huddle(person, bikes.owner)
    member = visitor.of(bikes, person)
    page = member.get("/huddles/")
    assert page.tree.css_first('.pages a[href="/huddles/?offset=25"]') is not None
    assert len(member.get("/huddles/?offset=25").tree.css(".rows > li")) == 1


def test_a_chosen_name_stays_what_it_is(bikes: Site, visitor: Visitor) -> None:
    chosen = f"{bikes.owner.id} a&lt;b"

    page = visitor.of(bikes, bikes.member).post(
        "/huddles/create/", {"person": chosen, "to": "nobody_of_that_name"}
    )

    assert page.value("main [name=person]") == chosen
