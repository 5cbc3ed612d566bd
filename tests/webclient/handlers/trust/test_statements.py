"""Decisions and their authors: why something is gone, appeals and who decides them, audit, transparency report."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site, Thing
from tests.services import wait_until
from tests.webclient.hand import Hand
from tests.webclient.handlers.trust.test_cases import path_of, second
from tests.webclient.step import step
from tests.webclient.visitor import Visitor


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def hide(api: Api, thing: Thing) -> None:
    """Hide a comment, with a reason."""
    sent = {
        "kind": "hide",
        "reason": "Please stay calm",
        "targets": [{"itemType": "comment", "itemId": thing.id}],
    }
    done = api.request("POST", "/api/v1/actions", by=thing.site.moderator, json=sent)
    assert done.status == 200, done.body


@step("author reads why their comment is gone")
def test_an_author_reads_why(hand: Hand, make: Factory, site: Site, visitor: Visitor) -> None:
    talk = make.conversation(site, by=site.owner)
    comment = make.comment(talk, markdown="Buy **my** wheels")
    make.action(comment)
    hand.sign_in(site, site.member)

    hand.go(site, f"/comments/{comment.id}/")

    hand.see("Why moderators decided this")
    hand.see("Deleted")
    hand.see("Spam")
    hand.see("Rules of this site")
    hand.see("for good")
    hand.see("people, without a program")
    hand.see("You can appeal until")
    hand.see(f"Comment {comment.id}")
    for other in (visitor.of(site), visitor.of(site, site.newcomer)):
        assert other.get(f"/comments/{comment.id}/").status == 404
    hand.go(site, "/account/")
    hand.press("Decisions", within="main .rows")
    hand.press("Deleted")
    hand.see("Why moderators decided this")


@step("author appeals and reads the answer")
def test_an_author_appeals(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    talk = make.conversation(site, title="Mine & gone")
    make.action(talk, "hide")
    hand.sign_in(site, site.member)
    hand.go(site, path_of(talk))
    hand.see("Moderators have hidden this.")

    hand.press("Why, and how to appeal")
    hand.fill("Why the decision is wrong", "This was no spam & you know it")
    hand.press("Appeal", within="main form")
    hand.see("Not decided yet")
    hand.see("This was no spam & you know it")
    (appeal,) = api.get("/api/v1/appeals", by=site.member).data["appeals"]["items"]
    path = f"/api/v1/appeals/{appeal['id']}"
    api.request("POST", f"{path}/messages", by=site.moderator, json={"text": "What was it?"})
    hand.go(site, "/account/")
    hand.press("Your appeals", within="main .rows")
    hand.press(f"Appeal {appeal['id']}")
    hand.see("What was it?")
    hand.see("A moderator")
    hand.fill("Your message", "A poem")
    hand.press("Send")
    hand.see("A poem")
    sent = {"outcome": "refused", "text": "It does not rhyme"}
    done = api.request("POST", f"{path}/decision", by=site.owner, json=sent)
    assert done.status == 302, done.body
    hand.go(site, f"/appeals/{appeal['id']}/")

    hand.see("Refused: the decision stands")
    hand.see("It does not rhyme")


@step("another moderator grants the appeal")
def test_another_moderator_grants(hand: Hand, make: Factory, site: Site, visitor: Visitor) -> None:
    other = second(make, site)
    comment = make.comment(make.conversation(site, by=site.owner), markdown="A poem")
    _, statement = make.action(comment)
    appeal = make.appeal(statement, site.member)
    hand.sign_in(site, site.moderator)
    hand.go(site)
    hand.press("Moderation", within="footer")
    hand.press("Appeals")
    hand.press(f"Appeal {appeal}")
    # Who acted does not decide.
    hand.fill("Your message; who appeals reads it without your name", "Mine was right")
    hand.press("Grant it and undo the decision")
    hand.see("Another moderator than the one who acted decides this appeal.")
    assert visitor.of(site).get(f"/comments/{comment.id}/").status == 404
    hand.press("Sign out")
    hand.see("Sign in")
    hand.sign_in(site, other)
    hand.go(site, f"/appeals/{appeal}/")

    hand.fill("Your message; who appeals reads it without your name", "You are right")
    hand.press("Grant it and undo the decision")

    hand.see("Granted: the decision was wrong")
    assert visitor.of(site).get(f"/comments/{comment.id}/").status == 302


@step("banned person reads why and appeals")
def test_a_banned_person_appeals(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    sent = {
        "kind": "ban",
        "reason": "Please calm down",
        "targets": [{"itemType": "profile", "itemId": site.member.id}],
    }
    hand.sign_in(site, site.member)
    assert api.request("POST", "/api/v1/actions", by=site.owner, json=sent).status == 200
    hand.go(site, "/conversations/")
    hand.see("You are banned from this site.")

    hand.press("Why, and how to appeal")
    hand.press("You are banned")
    hand.see("Please calm down")
    hand.fill("Why the decision is wrong", "I am calm")
    hand.press("Appeal", within="main form")

    hand.see("Not decided yet")
    hand.see("I am calm")


@step("owner reads the audit")
def test_an_owner_reads_the_audit(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    comment = make.comment(make.conversation(site))
    hide(api, comment)
    make.fold(site)
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Audit")

    hand.press("Filters")
    hand.choose("About", "Comment")
    hand.fill("Its number", str(comment.id))
    hand.press("Filter", within="main")

    hand.see(f"Hide: Comment {comment.id}")
    hand.see("by moderator · about member")


@step("member reads what concerns them")
def test_a_member_reads_their_record(hand: Hand, make: Factory, site: Site, api: Api) -> None:
    comment = make.comment(make.conversation(site))
    hide(api, comment)
    make.fold(site)
    hand.sign_in(site, site.member)
    hand.go(site, "/account/")

    hand.press("Record", within="main .rows")

    hand.see(f"Hide: Comment {comment.id}")
    hand.see("by others")
    hand.see_no("moderator")


@step("owner reads the transparency report and takes it out")
def test_an_owner_reads_the_transparency_report(
    hand: Hand, make: Factory, site: Site, visitor: Visitor
) -> None:
    thing = make.conversation(site)
    make.report(thing)
    make.action(thing)
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Transparency report")

    hand.see("Spam or advertising")
    hand.see("in force")
    link = hand.find("a[download]").get_attribute("href") or ""
    page = visitor.of(site, site.owner).get(
        link.partition(site.host)[2].partition("/")[1] + link.split("/", 3)[3]
    )
    assert page.headers["content-type"].startswith("text/csv")
    assert page.headers["content-disposition"].startswith("attachment")
    assert "notice" in page.text and "STATEMENT_CATEGORY_VIOLATION_TOS" in page.text
    hand.press_through("Show this period")
    hand.see("Spam or advertising")


# ---------------------------------------------------------------- over plain HTTP


@pytest.mark.wide
def test_decisions_and_appeals_are_for_whom_they_concern(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor
) -> None:
    _, statement = make.action(make.comment(make.conversation(bikes, by=bikes.owner)))
    appeal = make.appeal(statement, bikes.member)

    for person in (bikes.newcomer, bikes.moderator, bikes.owner):
        assert visitor.of(bikes, person).get(f"/statements/{statement}/").status == 404
        assert f"/statements/{statement}/" not in visitor.of(bikes, person).get("/statements/").text
        assert f"/appeals/{appeal}/" not in visitor.of(bikes, person).get("/appeals/").text
    assert visitor.of(bikes, bikes.newcomer).get(f"/appeals/{appeal}/").status == 404
    assert visitor.of(bikes, bikes.newcomer).get("/moderation/appeals/").status == 403
    for form in ({"do": "message", "text": "x"}, {"do": "granted", "text": "x"}):
        for stranger in (visitor.of(bikes, bikes.newcomer), visitor.of(trains, trains.owner)):
            assert stranger.post(f"/appeals/{appeal}/", form).status in (403, 404)
    own = visitor.of(bikes, bikes.member).post(
        f"/appeals/{appeal}/", {"do": "granted", "text": "x"}
    )
    assert own.status == 403
    for path in ("/statements/", f"/statements/{statement}/", "/appeals/", f"/appeals/{appeal}/"):
        assert visitor.of(bikes).get(path).location.startswith("/login/")


@pytest.mark.wide
def test_who_appeals_reads_no_name(make: Factory, site: Site, visitor: Visitor) -> None:
    other = make.person(site, "Quirin")
    make.join(
        make.role(site, site.root_id, "More", rights=("read", "update"), moderator=True), other
    )
    _, statement = make.action(make.comment(make.conversation(site, by=site.owner)))
    appeal = make.appeal(statement, site.member)
    visitor.of(site, other).post(f"/appeals/{appeal}/", {"do": "message", "text": "Hello"})

    page = visitor.of(site, site.member).get(f"/appeals/{appeal}/")

    assert "Hello" in page.main and "Quirin" not in page.text
    assert f"/profiles/{other.id}/" not in page.text
    assert "Quirin" in visitor.of(site, site.owner).get(f"/appeals/{appeal}/").main


@pytest.mark.wide
def test_an_appeal_needs_words_and_leads_on(make: Factory, bikes: Site, visitor: Visitor) -> None:
    _, statement = make.action(make.comment(make.conversation(bikes, by=bikes.owner)))
    member = visitor.of(bikes, bikes.member)
    path = f"/statements/{statement}/"

    empty = member.post(path, {"text": " "})
    assert empty.status == 400 and 'class="failed"' in empty.text
    long = member.post(path, {"text": "x" * 2_001})
    assert long.status == 400 and long.find("#text").text().strip() == "x" * 2_001
    done = member.post(path, {"text": "No"})
    assert done.location.startswith("/appeals/")
    assert member.post(path, {"text": "No, no"}).location == done.location
    assert f'href="{done.location}"' in member.get(path).text
    assert member.post(done.location, {"do": "explode", "text": "x"}).status == 400


def test_an_appeal_is_decided_once(make: Factory, bikes: Site, visitor: Visitor) -> None:
    _, statement = make.action(make.comment(make.conversation(bikes, by=bikes.owner)))
    path = f"/appeals/{make.appeal(statement, bikes.member)}/"
    owner = visitor.of(bikes, bikes.owner)
    assert owner.post(path, {"do": "refused", "text": "No"}).location == path

    again = owner.post(path, {"do": "granted", "text": "Yes"})

    assert again.status == 409 and "decided already" in again.main
    assert owner.get(path).tree.css_first("main form") is None


def test_what_was_taken_away_leads_its_author_to_the_reasons(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    talk = make.conversation(bikes, by=bikes.owner)
    comment = make.comment(talk)
    _, statement = make.action(comment, "hide")
    member = visitor.of(bikes, bikes.member)

    for path in ("/", "/reasons/", "/incontext/"):
        found = member.get(f"/comments/{comment.id}{path}")
        assert found.location == f"/statements/{statement}/", path
        other = visitor.of(bikes, bikes.newcomer).get(f"/comments/{comment.id}{path}")
        assert other.status == 404, path
    there = make.comment(talk)
    assert member.get(f"/comments/{there.id}/reasons/").location == "/statements/"
    assert "#comment" in member.get(f"/comments/{there.id}/").location


@pytest.mark.parametrize(
    "path", ["/admin/audit/", "/admin/transparency/", "/admin/transparency/transparency.csv"]
)
def test_what_is_the_owners_is_the_owners(bikes: Site, visitor: Visitor, path: str) -> None:
    for person in (bikes.member, bikes.moderator):
        assert visitor.of(bikes, person).get(path).status == 403
    assert visitor.of(bikes).get(path).location.startswith("/login/")
    assert visitor.of(bikes, bikes.owner).get(path).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "actor=x&subject=%2Fprofiles%2F1%2F",
        "itemType=comment",
        "itemId=7",
        "since=never&until=2026-99-99",
        "since=9999-12-31&until=9999-12-31",
        "before=x",
        "since=2026-11-30&until=2026-11-29",
    ],
)
def test_odd_filters_show_a_page(bikes: Site, visitor: Visitor, query: str) -> None:
    owner = visitor.of(bikes, bikes.owner)

    assert owner.get(f"/admin/audit/?{query}").status in (200, 400)
    assert owner.get(f"/admin/transparency/?{query}").status in (200, 400)


@pytest.mark.wide
def test_the_audit_and_decisions_go_on_by_key(make: Factory, site: Site, visitor: Visitor) -> None:
    for one in make.comments(make.conversation(site), 27):
        make.action(one)
    make.fold(site)
    pages = (("/statements/", site.member, 2), ("/moderation/actions/", site.moderator, 2))
    for path, person, rest in pages:
        who = visitor.of(site, person)
        onwards = who.get(path).find(".pages a[rel=next]").attributes["href"] or ""
        assert len(who.get(onwards).tree.css("main .rows > li")) == rest
    owner = visitor.of(site, site.owner)
    # The chain follows the commits.
    wait_until(
        lambda: owner.get("/admin/audit/").tree.css_first(".pages a[rel=next]") is not None,
        "the audit is not chained",
    )
    link = owner.get("/admin/audit/?itemType=&actor=").find(".pages a[rel=next]")
    assert owner.get(link.attributes["href"] or "").status == 200


@pytest.mark.wide
def test_from_a_report_to_63_things_that_are_back(
    make: Factory, site: Site, visitor: Visitor
) -> None:
    """A report, a case, a dry run, 63 things hidden, the reasons, an appeal, another moderator, and all as before."""
    other = second(make, site)
    talks = [make.conversation(site, by=site.owner) for _ in range(3)]
    said = [one for talk in talks for one in make.comments(talk, 21)]
    guest = visitor.of(site)
    before = [guest.get(path_of(talk)).main for talk in talks]
    visitor.of(site, site.newcomer).post(
        f"/comments/{said[0].id}/report/", {"kind": "spam", "text": "Everywhere"}
    )
    moderator = visitor.of(site, site.moderator)
    case = moderator.get("/moderation/cases/").find(".queue h2 a").attributes["href"] or ""
    assert moderator.post(case, {"do": "take"}).location == case
    form = moderator.get(case).find("a[href^='/moderation/act/hide/']").attributes["href"] or ""
    fields = {
        "what": "all",
        "by": moderator.get(form).value("#by"),
        "case": moderator.get(form).value("[name=case]"),
        "reason": "Advertising",
    }
    plan = moderator.post("/moderation/act/hide/", fields).location
    assert "63 things" in moderator.get(plan).main
    moderator.post(plan, {"do": "confirm"})
    assert all(guest.get(path_of(one)).tree.css_first("article") is None for one in talks)
    assert "Something was done about it" in moderator.get(case).main

    author = visitor.of(site, site.member)
    reasons = author.get(f"/comments/{said[40].id}/incontext/").location
    assert "Advertising" in author.get(reasons).main
    appeal = author.post(reasons, {"text": "All of this is true"}).location
    decided = {"do": "granted", "text": "So it is"}
    assert moderator.post(appeal, decided).status == 403
    assert visitor.of(site, other).post(appeal, decided).location == appeal

    assert [guest.get(path_of(talk)).main for talk in talks] == before
    assert "This decision was undone" in author.get(reasons).main
    assert "63 were undone after an appeal." in moderator.get(plan).main
    assert "Undo all of it" not in moderator.get(plan).main
