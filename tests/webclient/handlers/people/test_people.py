"""People: the list of all, a profile, who is here, and the own roles."""

from __future__ import annotations

import pytest

from tests.factories import Factory
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


@step("people are listed")
def test_people_are_listed(hand: Hand, make: Factory) -> None:
    site = make.site()
    for number in range(25):
        make.person(site, f"rider{number:02}")

    hand.go(site, "/profiles/")
    hand.see("30 people")
    hand.see("moderator")
    hand.press("Next")
    hand.see("rider24")
    hand.press("rider24")
    hand.see("Here since")


@step("people are found by the beginning of their name")
def test_people_are_found_by_name(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.person(site, "ana_r")
    make.person(site, "anatole")

    hand.go(site, "/profiles/")
    hand.fill("Name begins with", "ANA")
    hand.press("Find")
    hand.see("anatole")
    hand.see("ana_r")
    hand.see_no("newcomer")
    hand.fill("Name begins with", "zz<b>")
    hand.press("Find")
    hand.see("Nobody’s name begins with “zz<b>”.")


@step("profile shows who somebody is")
def test_a_profile(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.comment(site.member, by=site.member, markdown="I mend *bikes*.")

    hand.go(site, f"/profiles/{site.member.id}/")

    assert hand.find("h1").text == "member"
    hand.see("Here since")
    hand.see("I mend bikes.")


@step("profile leads to what they wrote")
def test_a_profile_leads_to_what_they_wrote(hand: Hand, make: Factory) -> None:
    site = make.site()
    talk = make.conversation(site, by=site.member, title="Begun by the member")
    make.comment(talk, by=site.member, markdown="Words of the member")
    make.comment(talk, by=site.owner, markdown="Words of the owner")

    hand.go(site, f"/profiles/{site.member.id}/")
    hand.see("Begun by the member")
    hand.see("Words of the member")
    hand.press("1 comment")
    hand.see("1 found")
    hand.see("Words of the member")
    hand.see_no("Words of the owner")


@step("online people are listed")
def test_who_is_here(hand: Hand, make: Factory) -> None:
    site = make.site()
    make.sql(
        """UPDATE profile_counters SET last_active = now() - interval '1 day'
            WHERE site_id = %(site)s AND profile_id <> %(member)s RETURNING 1""",
        site=site.id,
        member=site.member.id,
    )

    hand.sign_in(site, site.member)
    hand.go(site)
    hand.press("Everybody who is here")
    hand.see("1 person")
    hand.see_no("newcomer")


@step("member reads in which roles they are and why")
def test_own_roles(hand: Hand, make: Factory) -> None:
    site = make.site()
    place = make.microcosm(site, "Workshop")
    regulars = make.role(site, place.id, "Regulars", rights=("read", "create"))
    make.criterion(regulars, "commentCount", "ge", 0)
    hand.sign_in(site, site.member)
    hand.go(site)

    hand.press("member")
    hand.press("Your roles, and why")

    hand.see("Everybody who is signed in is in it.")
    hand.see("Regulars")
    hand.see("In Workshop: read, write.")
    hand.see("comments written: at least 0 (here: 0)")
    hand.press("Workshop")
    hand.see("Nothing has been written here yet.")


@pytest.mark.wide
def test_roles_are_their_holders_own(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    address = f"/profiles/{site.member.id}/roles/"

    assert visitor.of(site, site.owner).get(address).status == 200
    assert visitor.of(site, site.newcomer).get(address).status == 403
    assert visitor.of(site).get(address).location.startswith("/login/?next=")


@pytest.mark.wide
def test_a_comment_on_a_profile_is_shown_there(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    first = make.comment(site.member, by=site.owner, markdown="Welcome here")
    make.comment(site.member, by=site.member, markdown="About me")
    guest = visitor.of(site)

    led = guest.get(f"/comments/{first.id}/incontext/")
    assert led.status == 302
    assert led.location == f"/profiles/{site.member.id}/?comment_id={first.id}#comment{first.id}"
    shown = guest.get(led.location.partition("#")[0])
    assert shown.find(f"#comment{first.id} .text").text().strip() == "Welcome here"
    # Not of another thing, and nothing that is no comment.
    for wrong in ("0", "999999999999", "x", "%3Cb%3E"):
        assert guest.get(f"/profiles/{site.member.id}/?comment_id={wrong}").status == 200


def test_nobody_is_found_by_an_unknown_id(visitor: Visitor, make: Factory) -> None:
    site, other = make.site(), make.site()
    guest = visitor.of(site)

    unknown = guest.get("/profiles/999999999/")
    foreign = guest.get(f"/profiles/{other.member.id}/")
    assert unknown.status == foreign.status == 404
    address = f"/profiles/{other.member.id}/"
    assert unknown.text == foreign.text.replace(address, "/profiles/999999999/")


@pytest.mark.wide
def test_the_list_of_people_keeps_what_was_asked(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    for number in range(30):
        make.person(site, f"rüd{number:02}")
    guest = visitor.of(site)

    page = guest.get("/profiles/?q=r%C3%BCd")
    address = page.find("a[rel=next]").attributes["href"] or ""
    assert address == "/profiles/?offset=25&q=r%C3%BCd"
    assert "rüd29" in guest.get(address).text
    assert guest.get("/profiles/?offset=abc").status == 200
    assert guest.get("/profiles/?online=perhaps&top=1").status == 200


def test_a_profile_names_its_person_once(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    author, other = make.person(site), make.person(site)
    make.comment(make.conversation(site, by=author), by=author)
    make.comment(make.conversation(site, by=author), by=other)

    guest = visitor.of(site)
    page = guest.get(f"/profiles/{author.id}/")
    found = guest.get(f"/search/?author={author.name}&sort=date")

    assert [one.text() for one in page.tree.css(".results small a[href^='/profiles/']")] == [
        other.name
    ]
    assert found.tree.css(f".results small a[href='/profiles/{author.id}/']")


def test_what_one_wrote_oneself_is_not_new_to_one(visitor: Visitor, make: Factory) -> None:
    site = make.site()
    author, other = make.person(site), make.person(site)
    talk = make.conversation(site, by=other)
    make.comment(talk, by=author)
    make.comment(talk, by=other)

    def unread(profile: int) -> list[bool]:
        page = visitor.of(site, author).get(f"/profiles/{profile}/")
        rows = [one for one in page.tree.css(".results > li") if one.css_first(".found")]
        new = ["unread" in (one.attributes.get("class") or "") for one in rows]
        # The bar and the weight never stand without the word.
        assert [one.css_first(".figures") is not None for one in rows] == new
        return new

    assert unread(author.id) == [False]
    assert unread(other.id) == [True]
