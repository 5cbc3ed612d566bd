"""Updates, their settings, and the addresses that mails lead to."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


def reply(make: Factory, to: Person, text: str = "") -> tuple[Thing, Thing]:
    """A conversation of a person's own in which somebody answers them, and the answer."""
    conversation = make.conversation(to.site, by=to, title="Which bolt?")
    first = make.comment(conversation, by=to)
    answer = make.comment(
        conversation, by=to.site.owner, markdown=text or "Use the *short* bolt.", reply_to=first
    )
    return conversation, answer


def listed(api: Api, person: Person) -> None:
    """Wait until the update of a person about an answer is there: it is written after the comment."""
    for _ in range(3000):
        found = api.get("/api/v1/updates?updateType=reply_to_comment", by=person)
        if found.data["updates"]["total"]:
            return
    raise AssertionError("no update came")


@step("updates list who answered and where")
def test_updates_list_who_answered_and_where(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    reply(make, person)
    listed(api_there, person)
    hand.sign_in(bikes, person)
    hand.go(bikes)

    hand.press("Updates")

    hand.see(f"{bikes.owner.name} answered you in Which bolt?")
    hand.see("Use the short bolt.")
    assert hand.driver.find_elements(By.CSS_SELECTOR, ".rows .unread")
    hand.press("Mark everything as read")
    hand.see("Which bolt?")
    assert not hand.driver.find_elements(By.CSS_SELECTOR, ".rows .unread")


def test_updates_do_not_tell_people_what_they_did(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    conversation, _ = reply(make, person)
    listed(api_there, person)
    make.comment(conversation, by=person, markdown="The long one it is")

    main = visitor.of(bikes, person).get("/updates/").main

    assert "answered you in Which bolt?" in main
    assert "The long one it is" not in main


@step("update leads to its comment")
def test_an_update_leads_to_its_comment(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    conversation, answer = reply(make, person)
    listed(api_there, person)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/updates/")

    hand.press("Which bolt?", within=".rows > li:first-child")

    hand.see("Use the short bolt.")
    assert hand.path.startswith(f"conversations/{conversation.id}/")
    assert hand.path.endswith(f"#comment{answer.id}")


@step("update preferences are changed")
def test_update_preferences_are_changed(
    hand: Hand, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/updates/settings/")

    hand.tick("somebody answers me")
    hand.tick("somebody invites me to an event")
    hand.press("Save")

    hand.see("Saved.")
    wanted = {
        one["id"]: one["sendEmail"]
        for one in api_there.get("/api/v1/updates/preferences", by=person).data
    }
    assert (wanted[2], wanted[10], wanted[3]) == (True, False, False)


@pytest.mark.wide
@step("digest and mail are set")
def test_digest_and_mail_are_set(hand: Hand, bikes: Site, make: Factory, api_there: Api) -> None:
    person = make.person(bikes)
    hand.sign_in(bikes, person)
    hand.go(bikes, "/updates/settings/")

    hand.choose("Digest of what is new", "Every Monday")
    hand.choose("Sent at 7 in the morning, by the clock of", "Europe/Berlin")
    hand.press("Save")

    hand.see("Saved.")
    hand.see("Next digest")
    mail = api_there.get("/api/v1/updates/email", by=person).data
    assert (mail["digest"], mail["timeZone"]) == ("weekly", "Europe/Berlin")


@step("mail's link opens its page")
def test_the_link_of_a_mail_opens_its_page(hand: Hand, bikes: Site, make: Factory) -> None:
    person = make.person(bikes)
    conversation, answer = reply(make, person)
    mark = "utm_source=notification&utm_medium=email&utm_campaign=reply_to_comment"

    hand.go(bikes, f"/comments/{answer.id}/incontext/?{mark}")

    hand.see("Use the short bolt.")
    assert hand.path.startswith(f"conversations/{conversation.id}/")
    hand.go(bikes, f"/updates/settings/?{mark}")
    hand.fill("Address of anybody: this is a demonstration", person.email)
    hand.press("Sign in without a code")
    hand.see("Send me mail when")


# ---------------------------------------------------------------- without a browser


@pytest.mark.parametrize("path", ["/updates/", "/updates/settings/"])
def test_a_guest_signs_in_first(visitor: Visitor, bikes: Site, path: str) -> None:
    guest = visitor.of(bikes)
    assert guest.get(path).location.startswith("/login/?next=")
    assert guest.get(f"{path}?utm_source=notification").location.startswith("/login/?next=")
    guest.get("/login/")
    assert guest.post(path, {}).status == 401


def test_titles_and_texts_of_updates_are_texts(
    visitor: Visitor, bikes: Site, make: Factory, api_there: Api
) -> None:
    person = make.person(bikes)
    conversation = make.conversation(bikes, by=person, title='<b>&amp; "bolt"</b> % (x)s')
    first = make.comment(conversation, by=person)
    make.comment(
        conversation, by=bikes.owner, markdown="`<script>` &lt;i&gt; 1 < 2", reply_to=first
    )
    listed(api_there, person)
    page = visitor.of(bikes, person).get("/updates/")
    row = page.tree.css_first(".rows > li")
    assert row is not None
    assert row.css_first("script") is None
    assert row.css_first("i") is None
    assert "<script> <i> 1 < 2" in row.text()


@pytest.mark.wide
def test_settings_that_are_wrong_are_refused(visitor: Visitor, bikes: Site, make: Factory) -> None:
    member = visitor.of(bikes, make.person(bikes))
    for form in (
        {"digest": "hourly", "timeZone": "UTC"},
        {"digest": "daily", "timeZone": "Nowhere/Land"},
        {"mail": "x" * 50, "digest": "", "timeZone": ""},
    ):
        page = member.post("/updates/settings/", form)
        assert page.status == 400, form
        assert page.tree.css_first("[role=alert]") is not None


def test_the_page_of_updates_takes_few_calls(visitor: Visitor, bikes: Site, make: Factory) -> None:
    member = visitor.of(bikes, make.person(bikes))
    assert member.get("/updates/?offset=25").status == 400
    assert member.get("/updates/?unread=1").status == 200
