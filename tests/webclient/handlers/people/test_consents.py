"""Agreeing to a site's texts on the website: what was typed waits, and goes on its way afterwards."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site, Thing
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Page, Visitor

ADMIN, AGREE = "/admin/legal/terms/", "/legal/terms/agree/"


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture
def owner(visitor: Visitor, site: Site) -> Visitor:
    return visitor.of(site, site.owner)


@pytest.fixture
def member(visitor: Visitor, site: Site) -> Visitor:
    return visitor.of(site, site.member)


def publish(owner: Visitor, html: str, consent: str) -> Page:
    """Publish the terms by the form of administration."""
    return owner.post(ADMIN, {"html": html, "link": "", "consent": consent, "do": "save"})


def comment(member: Visitor, thing: Thing, text: str) -> Page:
    """Send a comment on a conversation."""
    form = {"itemType": "conversation", "itemId": str(thing.id), "markdown": text, "key": text}
    return member.post("/comments/create/", form)


def hidden(page: Page, action: str) -> dict[str, str]:
    """Return the fields of the form with this action."""
    form = page.find(f'form[action="{action}"]')
    found = {}
    for node in form.css("input, textarea"):
        attributes = node.attributes
        found[str(attributes["name"])] = attributes.get("value") or node.text().lstrip("\n")
    return found


def test_what_was_typed_waits_for_the_consent(
    owner: Visitor, member: Visitor, make: Factory, site: Site
) -> None:
    thing = make.conversation(site)
    assert publish(owner, "<h1>Rules</h1><p>Be kind.</p>", "ask").status == 303

    page = comment(member, thing, "What I wrote")
    assert page.status == 403
    assert "Please agree to the terms" in page.main
    assert "Be kind." in page.main
    page = member.post(AGREE, hidden(page, AGREE))
    assert (page.status, page.find("h1").text()) == (200, "Thank you")
    fields = hidden(page, "/comments/create/")
    assert fields["markdown"] == "What I wrote"
    page = member.post("/comments/create/", fields)
    assert page.status == 303
    there = member.get(page.location.partition("#")[0]).location
    assert "What I wrote" in member.get(there.partition("#")[0]).main

    # A correction asks nobody, another version shows what changed.
    publish(owner, "<h1>Rules</h1><p>Be kind!</p>", "correction")
    assert comment(member, thing, "Second").status == 303
    publish(owner, "<h1>Rules</h1><p>Be nice!</p>", "ask")
    page = comment(member, thing, "Third")
    assert "The terms have changed" in page.main
    assert [node.text() for node in page.tree.css(".diff del")] == ["kind."]
    assert [node.text() for node in page.tree.css(".diff ins")] == ["nice!"]


@step("new terms are agreed to, and what was typed is kept")
def test_new_terms_keep_what_was_typed(
    hand: Hand, make: Factory, site: Site, api_there: Api
) -> None:
    thing = make.conversation(site)
    hand.sign_in(site, site.member)
    hand.go(site, f"/conversations/{thing.id}/")
    hand.fill("Your comment", f"Kept in mode {hand.mode}")
    terms = {"html": "<h1>Rules</h1><p>Be kind.</p>", "consent": "ask"}
    assert api_there.put("/api/v1/site/legal/terms", terms, by=site.owner).status == 302

    hand.press("Post")
    hand.see("What you wrote is kept")
    hand.see("Be kind.")
    hand.press("I agree")
    hand.see("What you wrote before is still here")
    hand.press("Send it now")

    hand.see(f"Kept in mode {hand.mode}")
    assert "#comment" in hand.driver.current_url


def test_a_text_that_changes_meanwhile_is_shown_again(
    owner: Visitor, member: Visitor, make: Factory, site: Site
) -> None:
    thing = make.conversation(site)
    publish(owner, "<p>First</p>", "ask")
    fields = hidden(comment(member, thing, "Words"), AGREE)
    publish(owner, "<p>Second</p>", "ask")

    page = member.post(AGREE, fields)
    assert page.status == 409
    assert "Second" in page.main
    fields = hidden(page, AGREE)
    assert (fields["version"], fields["pending.markdown"]) == ("2", "Words")
    publish(owner, "<p>Third</p>", "none")
    page = member.post(AGREE, fields)
    assert hidden(page, "/comments/create/")["markdown"] == "Words"


def test_an_owner_chooses_for_a_text_that_asks(
    owner: Visitor, member: Visitor, visitor: Visitor, site: Site
) -> None:
    assert owner.get(ADMIN).find("option[selected]").attributes["value"] == "none"
    publish(owner, "<p>First</p>", "ask")
    page = owner.get(ADMIN)
    assert page.find("option[selected]").attributes["value"] == ""
    assert "Members agree to version 1 before they write." in page.main
    assert publish(owner, "<p>Second</p>", "").status == 400
    assert "select" not in owner.get("/admin/legal/cookies/").text

    publish(owner, "<p>Second</p>", "correction")
    guest = visitor.of(site)
    assert "Version 2" in guest.get("/legal/terms/").main
    assert "a small correction" in guest.get("/legal/terms/versions/").main
    assert "First" in guest.get("/legal/terms/versions/1/").main
    assert guest.get("/legal/terms/versions/3/").status == 404
    assert guest.get(AGREE).status == 303
    assert guest.get("/legal/privacy/versions/").status == 200
    assert member.get("/legal/privacy/agree/").location == "/legal/privacy/"

    page = member.get(AGREE)
    assert "can read here, but not write" in page.main
    assert member.post(AGREE, hidden(page, AGREE)).location == "/"
    assert "You may write here" in member.get(AGREE).main
    assert "What you agreed to" in member.get("/account/data/").main
    assert member.post("/logout/").status == 303


def test_a_member_withdraws_where_they_read_what_they_agreed_to(
    owner: Visitor, member: Visitor, make: Factory, site: Site
) -> None:
    thing = make.conversation(site)
    publish(owner, "<p>First</p>", "ask")
    assert "Withdraw my agreement" not in member.get(AGREE).main
    member.post(AGREE, hidden(member.get(AGREE), AGREE))
    assert comment(member, thing, "Words").status == 303

    page = member.get("/account/data/")
    assert page.find('button[value="withdraw"]').text() == "Withdraw my agreement to the terms"
    fields = {**hidden(page, AGREE), "do": "withdraw"}
    assert member.post(AGREE, fields).location == "/account/data/"
    page = member.get("/account/data/")
    assert "withdrawn on" in page.main
    assert "Withdraw my agreement" not in page.main
    assert comment(member, thing, "More words").status == 403

    # The page of the text has the button too, and another site is led to by nobody.
    member.post(AGREE, hidden(member.get(AGREE), AGREE))
    assert "Withdraw my agreement" in member.get(AGREE).main
    fields = {**fields, "next": "https://elsewhere.example/"}
    assert member.post(AGREE, fields).location == "/"
    assert "Until you agree, you can read here, but not write." in member.get(AGREE).main


def test_the_owner_reads_how_many_agreed(owner: Visitor, member: Visitor) -> None:
    assert "How many agreed" not in owner.get("/admin/legal/").main
    publish(owner, "<p>First</p>", "ask")
    member.post(AGREE, hidden(member.get(AGREE), AGREE))
    publish(owner, "<p>Second</p>", "correction")

    page = owner.get("/admin/legal/")
    cells = [[cell.text() for cell in row.css(".number")] for row in page.tree.css("tbody tr")]
    assert cells == [["0", "0"], ["1", "0"]]
    assert "Terms · 2" in page.main
    assert "How many agreed" not in owner.get("/admin/mail/").main


def test_a_script_is_told_and_never_led(
    owner: Visitor, member: Visitor, make: Factory, site: Site
) -> None:
    thing = make.conversation(site)
    publish(owner, "<p>First</p>", "ask")
    form = {"itemType": "conversation", "itemId": str(thing.id), "markdown": "Half"}
    page = member.post(f"/drafts/conversation/{thing.id}/", form, Accept="application/json")
    assert page.status == 403
    assert "Please agree" not in page.text
