"""Decisions of moderators reach the people whom they concern: as updates, by mail, and by the link of the mail."""

from __future__ import annotations

import re
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest

from forumapi.models.access import platform_secret
from forumapi.updates.appeal_and_report_links import AppealLink
from tests.api import Response
from tests.factories import RIGHTS, Person, Site, Thing
from tests.mail.postbox import Postbox

REASON = "Advertising isn't <b>allowed</b> here"


@pytest.fixture
def site(box: Postbox) -> Site:
    return box.make.site(title="Bikes &amp; Co")


def act(box: Postbox, by: Person, kind: str, *things: Thing, **more: Any) -> int:
    sent: dict[str, Any] = {"kind": kind, "reason": REASON, **more}
    if things:
        sent["targets"] = [{"itemType": "comment", "itemId": thing.id} for thing in things]
    answer = box.stage.post("/actions", sent, by=by)
    assert answer.status == 200, answer.body
    return int(answer.data["id"])


def report(box: Postbox, by: Person, thing: Thing) -> str:
    sent = {"itemType": "comment", "itemId": thing.id, "kind": "spam", "text": "Buys nothing"}
    answer = box.stage.post("/reports", sent, by=by)
    assert answer.status == 302, answer.body
    return str(answer.location)


def updates(box: Postbox, by: Person) -> list[dict[str, Any]]:
    found = box.stage.get("/updates", by=by)
    assert found.status == 200, found.body
    items: list[dict[str, Any]] = found.data["updates"]["items"]
    return [one for one in items if one["itemType"] in ("statement", "report", "appeal")]


def sent(box: Postbox, person: Person) -> list[EmailMessage]:
    return [mail for mail in box.send() if mail["To"] == person.email]


def parts(mail: EmailMessage) -> tuple[str, str]:
    text, html = mail.iter_parts()
    return str(text.get_content()), str(html.get_content())


def link(mail: EmailMessage) -> str:
    found = re.search(r"https?://\S+/mail/appeal\?code=\S+", parts(mail)[0])
    assert found is not None
    whole = urlsplit(found[0])
    return f"{whole.path}?{whole.query}"


def page(box: Postbox, site: Site, path: str, text: str | None = None) -> Response:
    if text is None:
        return box.stage.page("GET", path, site)
    return box.stage.request("POST", path, site=site, below="", form={"text": text})


@pytest.mark.wide
def test_an_author_is_told_why_by_mail_and_in_the_updates(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    said = box.make.comment(box.make.conversation(site, by=ana), by=bob)
    report(box, ana, said)
    act(box, site.moderator, "hide", said)

    (mail,) = sent(box, bob)
    text, html = parts(mail)
    assert mail["Subject"] == "A decision of the moderators - Bikes & Co"
    assert "Advertising isn't allowed here" in text
    assert "The moderators have hidden something that you wrote." in text
    assert "Advertising isn&#39;t allowed here" in html
    for part in (text, html):
        assert ana.name not in part

    (entry,) = updates(box, bob)
    assert (entry["updateType"], entry["itemType"]) == ("statement", "statement")
    assert entry["item"]["facts"].startswith("Advertising")
    assert entry["meta"]["createdBy"]["id"] == bob.id
    assert entry["meta"]["flags"]["unread"] is True
    assert updates(box, site.moderator) == []
    assert [one["updateType"] for one in updates(box, ana)] == ["report_received"]


@pytest.mark.wide
def test_a_decision_that_was_taken_back_is_not_mailed(box: Postbox, site: Site) -> None:
    said = box.make.comment(box.make.conversation(site), by=site.member)
    action = act(box, site.moderator, "hide", said)
    before = box.stage.get("/updates", by=site.member)
    assert box.stage.post(f"/actions/{action}/undo", {}, by=site.owner).status == 200
    assert sent(box, site.member) == []
    after = box.stage.get("/updates", by=site.member)
    assert after.headers["etag"] != before.headers["etag"]
    assert updates(box, site.member)[0]["item"]["revoked"]


@pytest.mark.wide
def test_who_reports_gets_a_receipt_and_the_outcome(box: Postbox, site: Site) -> None:
    ana = site.newcomer
    chat = box.make.conversation(site)
    path = report(box, ana, box.make.comment(chat, by=site.member))
    (receipt,) = sent(box, ana)
    assert receipt["Subject"].startswith("We have your report")
    (case,) = box.stage.get("/cases", by=site.moderator).data["cases"]["items"]
    decision = {"outcome": "dismissed", "note": "Fine"}
    assert (
        box.stage.post(f"/cases/{case['id']}/decision", decision, by=site.moderator).status == 302
    )

    (outcome,) = sent(box, ana)
    assert "leave it as it is" in parts(outcome)[0]
    assert "Fine" not in parts(outcome)[0]
    (entry,) = updates(box, ana)
    assert entry["updateType"] == "report_decided"
    assert entry["item"]["outcome"] == "dismissed"
    assert entry["item"]["meta"]["links"][0]["href"] == path

    # Who wants no mail gets none about reports; what the law asks for is sent all the same.
    assert box.stage.put("/profiles/options", {"sendEmail": False}, by=ana).status == 302
    report(box, ana, box.make.comment(chat, by=site.member))
    mine = box.make.comment(chat, by=ana)
    act(box, site.moderator, "hide", mine)
    assert [mail["Subject"] for mail in sent(box, ana)] == [
        "A decision of the moderators - Bikes & Co"
    ]


@pytest.mark.wide
def test_a_granted_appeal_against_a_redaction_says_that_nothing_comes_back(
    box: Postbox, site: Site
) -> None:
    bob = site.member
    said = box.make.comment(box.make.conversation(site, by=site.newcomer), by=bob)
    act(box, site.owner, "redact", said, ground="illegal", rule="A law")
    (mail,) = sent(box, bob)
    assert page(box, site, link(mail), "It was lawful").status == 200
    (waiting,) = box.stage.get("/appeals?toDecide=true", by=site.moderator).data["appeals"]["items"]
    granted = {"outcome": "granted", "text": "It was"}
    at = f"/appeals/{waiting['id']}/decision"
    assert box.stage.post(at, granted, by=site.moderator).status == 302

    (decided,) = sent(box, bob)
    shown = page(box, site, link(mail)).body.decode()
    for text in (*parts(decided), shown):
        assert "the decision was wrong" in text and "taken back." not in text


@pytest.mark.wide
def test_a_banned_author_appeals_by_the_link_of_the_mail(box: Postbox, site: Site) -> None:
    bob = site.member
    other = box.make.person(site)
    box.make.join(box.make.role(site, site.root_id, "More", moderator=True, rights=RIGHTS), other)
    said = box.make.comment(box.make.conversation(site, by=site.newcomer), by=bob)
    act(box, site.moderator, "hide", said)
    box.make.ban(bob)
    (mail,) = sent(box, bob)
    path = link(mail)

    shown = page(box, site, path)
    assert shown.status == 200
    assert "Advertising isn&#39;t allowed here" in shown.body.decode()
    assert page(box, site, path, " ").status == 400
    assert page(box, site, path, "This was no <i>spam</i>").status == 200
    (waiting,) = box.stage.get("/appeals?toDecide=true", by=other).data["appeals"]["items"]
    assert waiting["createdBy"]["id"] == bob.id
    at = f"/appeals/{waiting['id']}"
    assert page(box, site, path, "Please look").status == 200
    assert (
        box.stage.post(f"{at}/decision", {"outcome": "granted", "text": "Right"}, by=other).status
        == 302
    )
    (decided,) = sent(box, bob)
    assert "agree with your appeal" in parts(decided)[0]
    assert link(decided) == path
    shown = page(box, site, path)
    assert "Right" in shown.body.decode() and "<textarea" not in shown.body.decode()
    assert other.name not in shown.body.decode()
    assert page(box, site, path, "More").status == 400


def test_the_link_is_for_one_statement_one_person_one_site_and_six_months(
    box: Postbox, site: Site
) -> None:
    bob, ana = site.member, site.newcomer
    chat = box.make.conversation(site)
    act(box, site.moderator, "hide", box.make.comment(chat, by=bob))
    (mail,) = sent(box, bob)
    path = link(mail)
    act(box, site.moderator, "hide", box.make.comment(chat, by=ana))
    (hers,) = sent(box, ana)
    mine, theirs = (p.partition("code=")[2].split(".") for p in (path, link(hers)))
    assert page(box, site, path).status == 200
    for forged in (
        [theirs[0], *mine[1:]],
        [*theirs[:3], mine[3]],
        [*mine[:3], "A" * 22],
        [],
    ):
        code = ".".join(forged)
        assert page(box, site, f"/mail/appeal?code={code}").status == 400
        assert page(box, site, f"/mail/appeal?code={code}", "Let me").status == 400
    assert page(box, box.make.site(), path).status == 400
    # A good signature for a statement of somebody else leads nowhere.
    with box.stage.app.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
    crossed = AppealLink(int(theirs[0]), bob.id, int(mine[2])).code(secret, site.id)
    assert page(box, site, f"/mail/appeal?code={crossed}").status == 400

    box.stage.sql(
        "UPDATE statements SET created = now() - interval '6 months' WHERE site_id = %(s)s",
        s=site.id,
    )
    assert page(box, site, path).status == 400
    assert page(box, site, path, "Late").status == 400
