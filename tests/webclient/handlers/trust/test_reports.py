"""Reports: what members tell moderators about things, the receipt, and what came of it."""

from __future__ import annotations

import pytest

from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.webclient.hand import Hand
from tests.webclient.mailbox import link_for
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

# A report that the API takes.
SPAM = {"kind": "spam", "text": "The fourth time today"}


@step("member reports a comment and reads what came of it")
def test_a_member_reports_a_comment(hand: Hand, make: Factory, api: Api) -> None:
    site = make.site()
    talk = make.conversation(site, by=site.owner)
    comment = make.comment(talk, markdown="Buy **my** wheels")
    hand.sign_in(site, site.newcomer)
    hand.go(site, f"/conversations/{talk.id}/")

    hand.press("Report", within=f"#comment{comment.id}")
    hand.see("Buy my wheels")
    hand.tick("Spam or advertising")
    hand.fill("What moderators should know", "The fourth time & more")
    hand.press("Send the report")

    hand.see("Your report has arrived")
    hand.see("The fourth time & more")
    hand.see("Moderators have not decided yet")
    case = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"][0]
    sent = {"outcome": "dismissed"}
    api.request("POST", f"/api/v1/cases/{case['id']}/decision", by=site.moderator, json=sent)
    hand.go(site, "/account/")
    hand.press("Your reports")
    hand.see("Nothing was found wrong with it")
    hand.press("Spam or advertising")
    hand.see(f"Comment {comment.id}")


@step("member reports what is against the law")
def test_a_member_reports_what_is_illegal(hand: Hand, make: Factory, api: Api) -> None:
    site = make.site()
    talk = make.conversation(site, title="Cheap & copied", by=site.owner)
    hand.sign_in(site, site.newcomer)
    hand.go(site, f"/conversations/{talk.id}/")

    hand.press("Report", within=".acts")
    hand.see("Cheap & copied")
    hand.tick("It is against the law")
    hand.fill("What moderators should know", "They sell copies")
    hand.choose("What it is about", "Counterfeit goods")
    hand.press("Send the report")
    # It is not said yet that it is true.
    hand.find(".failed")
    assert hand.value("What moderators should know") == "They sell copies"
    hand.tick("To my knowledge all that I say here is accurate and complete")
    hand.press("Send the report")

    hand.see("Your report has arrived")
    hand.see("It is against the law · Counterfeit goods")
    (case,) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    assert case["priority"] == "high"


@pytest.mark.wide
def test_whatever_may_be_reported_has_the_link(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    things = [make.conversation(site), make.event(site), make.poll(site)]
    huddle = make.huddle(site.member, site.newcomer)
    said = make.comment(huddle, by=site.member)
    newcomer = visitor.of(site, site.newcomer)
    paths = [thing.path.removeprefix("/api/v1") + "/" for thing in things]
    paths.append(f"/profiles/{site.member.id}/")

    for path in paths:
        assert f'href="{path}report/"' in newcomer.get(path).text, path
        assert newcomer.get(f"{path}report/").status == 200, path
        done = newcomer.post(f"{path}report/", SPAM)
        assert done.location.startswith("/reports/"), path
        assert newcomer.get(done.location).status == 200
    assert f'href="/comments/{said.id}/report/"' in newcomer.get(f"/huddles/{huddle.id}/").text
    assert newcomer.post(f"/comments/{said.id}/report/", SPAM).status == 303
    assert len(newcomer.get("/reports/").tree.css(".rows > li")) == 5


def test_nobody_reports_their_own(make: Factory, bikes: Site, visitor: Visitor) -> None:
    talk = make.conversation(bikes)
    comment = make.comment(talk)
    member = visitor.of(bikes, bikes.member)

    assert "/report/" not in member.get(f"/conversations/{talk.id}/").text
    assert "/report/" not in member.get(f"/profiles/{bikes.member.id}/").text
    refused = member.post(f"/comments/{comment.id}/report/", SPAM)
    assert refused.status == 400 and 'class="failed"' in refused.text


def test_a_guest_is_offered_to_answer_before_to_report(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    talk = make.conversation(site)
    comment = make.comment(talk)
    guest, path = visitor.of(site), f"/conversations/{talk.id}/"
    links = guest.get(path).tree.css(f"#comment{comment.id} .actions a")
    assert [one.text() for one in links] == ["Reply", "Report"]

    asked = guest.get(links[0].attributes["href"] or "")
    answered = f"{path}?offset=0&reply={comment.id}#write"
    assert asked.field("/login/", "next") == answered
    sent = {"step": "development", "email": site.member.email, "next": answered}
    assert guest.post("/login/", sent).location == answered
    form = guest.get(answered.partition("#")[0])
    assert form.field("/comments/create/", "inReplyTo") == str(comment.id)
    # Nobody but moderators answers where it is closed.
    make.sql(
        "UPDATE items SET is_open = false, version = version + 1 WHERE item_id = %(id)s RETURNING 1",
        id=talk.id,
    )
    links = visitor.of(site).get(path).tree.css(f"#comment{comment.id} .actions a")
    assert [one.text() for one in links] == ["Report"]


@pytest.mark.parametrize("form", [{}, {"kind": "explode"}, {"kind": "spam", "text": "x" * 2_001}])
def test_a_report_that_lacks_something_comes_back(
    make: Factory, bikes: Site, visitor: Visitor, form: dict[str, str]
) -> None:
    path = f"/conversations/{make.conversation(bikes).id}/report/"

    page = visitor.of(bikes, bikes.newcomer).post(path, form)

    assert page.status == 400 and 'class="failed"' in page.text
    assert page.find("textarea").text().strip() == form.get("text", "")


def test_a_second_report_leads_to_the_first(make: Factory, bikes: Site, visitor: Visitor) -> None:
    path = f"/conversations/{make.conversation(bikes).id}/report/"
    newcomer = visitor.of(bikes, bikes.newcomer)

    assert newcomer.post(path, SPAM).location == newcomer.post(path, SPAM).location


def test_a_report_is_for_its_reporter(
    make: Factory, bikes: Site, trains: Site, visitor: Visitor
) -> None:
    thing = make.conversation(bikes)
    report, _ = make.report(thing)
    path = f"/reports/{report}/"

    assert visitor.of(bikes, bikes.newcomer).get(path).status == 200
    for person in (bikes.member, bikes.moderator, bikes.owner):
        assert visitor.of(bikes, person).get(path).status == 404
        assert path not in visitor.of(bikes, person).get("/reports/").text
    assert visitor.of(trains, trains.newcomer).get(path).status == 404
    for asked in (path, "/reports/"):
        assert visitor.of(bikes).get(asked).location.startswith("/login/")


def test_what_one_may_not_read_has_no_form(make: Factory, bikes: Site, visitor: Visitor) -> None:
    huddle = make.huddle(bikes.member, bikes.owner)
    said = make.comment(huddle)
    newcomer = visitor.of(bikes, bikes.newcomer)

    for path in (f"/comments/{said.id}/report/", "/comments/999999999/report/"):
        assert newcomer.get(path).status in (403, 404)
        assert newcomer.post(path, SPAM).status in (403, 404)
    assert newcomer.get(f"/huddles/{huddle.id}/report/").status == 404


def test_own_reports_go_on_by_key(make: Factory, visitor: Visitor) -> None:
    site = make.site()
    for one in make.comments(make.conversation(site), 27):
        make.report(one)
    newcomer = visitor.of(site, site.newcomer)
    first = newcomer.get("/reports/")

    second = newcomer.get(first.find(".pages a[rel=next]").attributes["href"] or "")

    assert [len(page.tree.css(".rows > li")) for page in (first, second)] == [25, 2]
    assert newcomer.get("/reports/?before=nonsense").status == 200


@pytest.mark.wide
@step("guest reports and confirms by mail")
def test_a_guest_reports(
    hand: Hand, make: Factory, api: Api, api_there: Api, website: Server
) -> None:
    site = make.site()
    talk = make.conversation(site, by=site.owner)
    comment = make.comment(talk, markdown="Buy **my** wheels")
    address = f"{hand.mode.replace(' ', '')}@guests.test"
    hand.go(site, f"/conversations/{talk.id}/")

    hand.press("Report", within=f"#comment{comment.id}")
    hand.see("Buy my wheels")
    hand.tick("Spam or advertising")
    hand.tick("To my knowledge all that I say here is accurate and complete")
    hand.fill("Your name", "Gus & Guest")
    hand.fill("Your e-mail address, at which you confirm the report", address)
    hand.press("Send the report")

    hand.see("A mail is on its way to you.")
    assert api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"] == []
    link = link_for(website.log.parent, address)
    done = api_there.request("POST", link, site=site, form={})
    assert done.status == 200, done.body
    (case,) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    hand.sign_in(site, site.moderator)
    hand.go(site, f"/moderation/cases/{case['id']}/")
    hand.see(f"a guest: Gus & Guest ({address})")


def test_a_guest_who_gives_no_address_reads_it(
    make: Factory, bikes: Site, visitor: Visitor
) -> None:
    path = f"/conversations/{make.conversation(bikes).id}/report/"
    guest = visitor.of(bikes)
    form = {**SPAM, "goodFaith": "1", "name": "Gus"}

    for more in ({}, {"email": "nobody"}, {"email": "a@b.test", "goodFaith": ""}):
        page = guest.post(path, {**form, **more})
        assert page.status == 400 and 'class="failed"' in page.text, more
        assert page.value("#name") == "Gus"
    assert guest.get("/conversations/999999999/report/").status in (403, 404)


def test_a_sites_own_kinds_stand_in_its_forms(make: Factory, visitor: Visitor, api: Api) -> None:
    site = make.site()
    talk = make.conversation(site)
    own = [
        {"kind": "illegal", "title": "Against the law of bikes"},
        {"kind": "wheels", "title": "Not about wheels & bikes"},
    ]
    assert api.put("/api/v1/site/report-kinds", own, by=site.owner).status == 200
    newcomer = visitor.of(site, site.newcomer)
    path = f"/conversations/{talk.id}/report/"

    form = newcomer.get(path).main
    assert "Not about wheels & bikes" in form and "Spam" not in form
    receipt = newcomer.get(newcomer.post(path, {"kind": "wheels"}).location)
    assert "Not about wheels & bikes" in receipt.main
    assert "Not about wheels & bikes" in newcomer.get("/reports/").main
    queue = visitor.of(site, site.moderator)
    link = queue.get("/moderation/cases/").find(".queue h2 a").attributes["href"] or ""
    assert "Not about wheels & bikes" in queue.get(link).main


@pytest.mark.wide
def test_updates_lead_to_decisions(make: Factory, visitor: Visitor, api: Api) -> None:
    site = make.site()
    thing = make.conversation(site, by=site.member)
    report, _ = make.report(thing)
    _, statement = make.action(thing)
    appeal = make.appeal(statement, site.member)
    sent = {"outcome": "refused", "text": "No"}
    api.request("POST", f"/api/v1/appeals/{appeal}/decision", by=site.owner, json=sent)

    member = visitor.of(site, site.member)
    newcomer = visitor.of(site, site.newcomer)

    for who, path in (
        (member, f"/statements/{statement}/"),
        (member, f"/appeals/{appeal}/"),
        (newcomer, f"/reports/{report}/"),
    ):
        assert f'href="{path}"' in who.get("/updates/").text
        assert who.get(path).status == 200


@pytest.mark.wide
def test_what_else_of_a_huddle_moderators_see_is_the_reporters_choice(
    make: Factory, visitor: Visitor
) -> None:
    site = make.site()
    huddle = make.huddle(site.member, site.newcomer, title="Confidential")
    said = make.comment(huddle, by=site.member, markdown="An insult")
    also = make.comment(huddle, by=site.member, markdown="What led to it")
    make.comment(huddle, by=site.member, markdown="Something tender")
    path = f"/comments/{said.id}/report/"
    newcomer = visitor.of(site, site.newcomer)
    assert newcomer.get(path).value("[name=shownIds]") == str(also.id)

    newcomer.post(path, {"kind": "abuse", "shownIds": str(also.id)})

    owner = visitor.of(site, site.owner)
    link = owner.get("/moderation/cases/").find(".queue h2 a").attributes["href"] or ""
    case = owner.get(link).main
    assert "An insult" in case and "What led to it" in case
    assert "tender" not in case and "Confidential" not in case
