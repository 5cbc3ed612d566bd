"""Marks on things: reactions, bookmarks, what is followed, ignored and read."""

from __future__ import annotations

import pytest

from tests.factories import Factory, Site, Thing
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


def _page(thing: Thing) -> str:
    return thing.path.removeprefix("/api/v1") + "/"


@step("member reacts and takes it back")
def test_a_member_reacts_and_takes_it_back(hand: Hand, bikes: Site, make: Factory) -> None:
    comment = make.comment(make.conversation(bikes))
    row = f"#comment{comment.id}"
    hand.sign_in(bikes, bikes.member)
    hand.go(bikes, _page(comment))

    hand.press("like", within=row)
    hand.wait(
        lambda: hand.find(f'{row} [aria-label="like 1"]').get_attribute("aria-pressed") == "true"
    )
    hand.press("React", within=row)
    hand.press("thanks")
    hand.find(f'{row} [aria-label="thanks 1"][aria-pressed="true"]')
    hand.press("like 1", within=row)

    hand.find(f'{row} [aria-label="like"][aria-pressed="false"]')


def test_the_page_of_reactions_shows_what_one_reacts_to(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    talk = make.conversation(bikes, title="Of lamps")
    comment = make.comment(talk, markdown="The *lamp* hums.")
    reader = visitor.of(bikes, bikes.newcomer)

    of_comment, of_talk = (reader.get(f"{_page(one)}react/") for one in (comment, talk))

    assert of_comment.find("article .text em").text() == "lamp"
    assert of_comment.find(f'.crumbs a[href="{_page(talk)}"]').text() == "Of lamps"
    assert of_talk.find(f'main p a[href="{_page(talk)}"]').text() == "Of lamps"


def test_pages_about_a_comment_lead_back_to_what_it_is_on(
    visitor: Visitor, bikes: Site, make: Factory
) -> None:
    talk = make.conversation(bikes, title="Of lamps")
    path = _page(make.comment(talk, by=bikes.member))
    author = visitor.of(bikes, bikes.member)
    for page in ("edit", "delete"):
        found = author.get(f"{path}{page}/").find(f'.crumbs a[href="{_page(talk)}"]')
        assert found.text() == "Of lamps", page


@pytest.mark.wide
@step("member bookmarks a conversation and finds it")
def test_a_member_bookmarks_a_conversation(hand: Hand, bikes: Site, make: Factory) -> None:
    reader = make.person(bikes)
    conversation = make.conversation(bikes, title="Worth a second look")
    hand.sign_in(bikes, reader)
    hand.go(bikes, _page(conversation))

    hand.press("Bookmark", within=".acts")
    hand.find('.acts [formaction$="/bookmark/"][value="0"]')
    hand.go(bikes, "/bookmarks/")
    hand.press("Worth a second look")

    hand.wait(lambda: f"/{hand.path}" == _page(conversation))


@step("member takes the bookmark off")
def test_a_member_takes_the_bookmark_off(hand: Hand, bikes: Site, make: Factory) -> None:
    reader = make.person(bikes)
    comment = make.comment(make.conversation(bikes, title="No longer of interest"))
    hand.sign_in(bikes, reader)
    hand.go(bikes, _page(comment))
    hand.press("Bookmark", within=f"#comment{comment.id}")
    hand.find(f'#comment{comment.id} [formaction$="/bookmark/"][value="0"]')
    hand.go(bikes, "/bookmarks/")

    hand.press("Take off: No longer of interest")

    hand.see("There is no bookmark.")
    assert hand.path == "bookmarks/"


def test_a_button_says_what_it_does_next(visitor: Visitor, bikes: Site, make: Factory) -> None:
    conversation = make.conversation(bikes)
    path = _page(conversation)
    place = f"/comments/{make.comment(conversation).id}/"
    reader = visitor.of(bikes, make.person(bikes))

    def press(address: str, name: str) -> list[str]:
        found = f'main [formaction="{address}"][name="{name}"]'
        button = reader.get(path).find(found)
        done = reader.post(address, {name: button.attributes["value"] or "", "back": path})
        assert done.status == 303, done.text
        return [button.text(), reader.get(path).find(found).text()]

    assert press(f"{path}follow/", "on") == ["Follow", "Stop following"]
    mails = [*press(f"{path}follow/", "mail"), *press(f"{path}follow/", "mail")]
    assert set(mails) == {"Mail me", "Stop mailing me"} and mails[0] == mails[3] != mails[1]
    for address in (path, place):
        assert press(f"{address}bookmark/", "on") == ["Bookmark", "Remove bookmark"]
        assert press(f"{address}bookmark/", "on") == ["Remove bookmark", "Bookmark"]


@step("member follows and stops following")
def test_a_member_follows_and_stops_following(hand: Hand, bikes: Site, make: Factory) -> None:
    reader = make.person(bikes)
    conversation = make.conversation(bikes)
    hand.sign_in(bikes, reader)
    hand.go(bikes, _page(conversation))

    hand.press("Follow", within=".acts")
    hand.press("Stop following", within=".acts")

    hand.wait(lambda: "Stop following" not in hand.find(".acts").text)
    hand.see("Follow")


@step("member ignores a person and sees them no more")
def test_a_member_ignores_a_person(hand: Hand, bikes: Site, make: Factory) -> None:
    reader, noisy = make.person(bikes), make.person(bikes, f"noisy{make.person(bikes).id}")
    conversation = make.conversation(bikes)
    make.comment(conversation, by=noisy, markdown="Noise")
    hand.sign_in(bikes, reader)
    hand.go(bikes, f"/profiles/{noisy.id}/")

    hand.press("Ignore")
    hand.see("Stop ignoring")
    hand.go(bikes, _page(conversation))

    hand.see("0 comments")
    hand.see_no("Noise")


@step("member unignores a person")
def test_a_member_unignores_a_person(hand: Hand, bikes: Site, make: Factory) -> None:
    reader, noisy = make.person(bikes), make.person(bikes, f"noisy{make.person(bikes).id}")
    make.ignore(reader, noisy)
    hand.sign_in(bikes, reader)

    hand.go(bikes, "/ignored/")
    hand.press(f"Stop ignoring: {noisy.name}")

    hand.see("You ignore nothing and nobody.")


@step("member marks everything as read")
def test_a_member_marks_everything_as_read(hand: Hand, bikes: Site, make: Factory) -> None:
    reader, place = make.person(bikes), make.microcosm(bikes)
    make.comment(make.conversation(bikes, microcosm=place))
    hand.sign_in(bikes, reader)
    hand.go(bikes, _page(place))
    hand.find(".unread")

    hand.press("Mark everything as read")
    hand.wait(lambda: not hand.driver.find_elements("css selector", ".unread"))
    hand.see("1 comment")
    make.comment(make.conversation(bikes, microcosm=place))
    hand.go(bikes, "/")
    hand.find(".unread")
    hand.press("Mark everything as read")

    hand.wait(lambda: not hand.driver.find_elements("css selector", ".unread"))
    assert hand.path == ""


@step("what one follows is listed")
def test_what_one_follows_is_listed(hand: Hand, bikes: Site, make: Factory) -> None:
    reader = make.person(bikes)
    conversation = make.conversation(bikes, title="Followed by somebody")
    hand.sign_in(bikes, reader)
    hand.go(bikes, _page(conversation))
    hand.press("Follow", within=".acts")
    hand.see("Stop following")

    hand.go(bikes, "/watchers/")
    hand.see("Followed by somebody")
    assert not hand.find(".rows small").text.strip().endswith("·")
    hand.press("Stop following: Followed by somebody")

    hand.see("You follow nothing yet.")
