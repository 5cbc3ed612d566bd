"""Reports by guests: nothing counts before the mail's link is confirmed, and the address goes as it came."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Any

import pytest

from forumapi.cron import maintenance_jobs
from forumapi.models.rules.report_worker import ReportRulesWorker
from forumapi.models.sites.site import lock_for_update
from tests.api import Response
from tests.factories import Person, Site, Thing
from tests.mail.postbox import Postbox

ADDRESS = "Gus@Guest.test"


@pytest.fixture
def site(box: Postbox) -> Site:
    box.stage.sql("DELETE FROM attempt_counters")
    return box.make.site()


def ask(box: Postbox, thing: Thing, **more: Any) -> Response:
    sent = {
        "itemType": "comment",
        "itemId": thing.id,
        "kind": "abuse",
        "text": "It insults <b>me</b> & mine",
        "email": ADDRESS,
        "name": "Gus O'Guest",
        "goodFaith": True,
        **more,
    }
    return box.stage.post("/reports/guest", sent, site=thing.site)


def link(box: Postbox) -> str:
    """The path of the link in the one mail that came."""
    (mail,) = box.send()
    assert mail["To"] == ADDRESS
    return _path(mail)


def page(box: Postbox, site: Site, path: str, step: str = "") -> tuple[int, str]:
    if step:
        answer = box.stage.request("POST", path, site=site, below="", form={"step": step})
    else:
        answer = box.stage.page("GET", path, site)
    return answer.status, answer.body.decode()


def cases(box: Postbox, by: Person) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = box.stage.get("/cases", by=by).data["cases"]["items"]
    return items


@pytest.mark.wide
def test_a_report_counts_once_the_link_of_its_mail_is_confirmed(box: Postbox, site: Site) -> None:
    said = box.make.comment(box.make.conversation(site))
    assert ask(box, said).status == 200
    assert cases(box, site.moderator) == []
    path = link(box)
    status, shown = page(box, site, path)
    assert status == 200 and "It insults me &amp; mine" in shown
    assert cases(box, site.moderator) == [], "to look confirms nothing"
    assert page(box, box.make.site(), path, "confirm")[0] == 400
    assert page(box, site, path, "confirm")[0] == 200
    assert page(box, site, path, "confirm")[0] == 400, "it is used"

    (case,) = cases(box, site.moderator)
    assert case["reports"] == 1
    whole = box.stage.get(f"/cases/{case['id']}", by=site.moderator).data
    assert whole["reported"][0]["reporter"] is None
    assert whole["reported"][0]["guest"] == {"name": "Gus O&#39;Guest", "email": ADDRESS}

    # The receipt leads to the report; so does the outcome.
    receipt = link(box)
    assert "have not decided yet" in page(box, site, receipt)[1]
    acted = {
        "kind": "hide",
        "reason": "Rude",
        "caseId": case["id"],
        "targets": [{"itemType": "comment", "itemId": said.id}],
    }
    assert box.stage.post("/actions", acted, by=site.moderator).status == 200
    mails = [mail for mail in box.send() if mail["To"] == ADDRESS]
    assert ["have decided" in mail["Subject"] for mail in mails] == [True]
    assert "have done something" in page(box, site, receipt)[1]

    assert page(box, site, receipt, "forget")[0] == 200
    assert page(box, site, receipt)[0] == 400
    whole = box.stage.get(f"/cases/{case['id']}", by=site.moderator).data
    assert whole["reported"][0]["guest"] == {"name": "", "email": ""}


@pytest.mark.wide
def test_who_asks_to_be_forgotten_before_the_report_counts_makes_none(
    box: Postbox, site: Site
) -> None:
    said = box.make.comment(box.make.conversation(site))
    assert ask(box, said).status == 200
    path = link(box)
    assert 'name="step" value="forget"' in page(box, site, path)[1]
    status, shown = page(box, site, path, "forget")
    assert status == 200 and "Forgotten" in shown
    assert cases(box, site.moderator) == []
    assert box.send() == []
    assert page(box, site, path, "confirm")[0] == 400, "name and address are gone"


@pytest.mark.wide
def test_an_address_reports_a_thing_once_and_caps_hold(box: Postbox, site: Site) -> None:
    chat = box.make.conversation(site)
    said = box.make.comment(chat)
    for address in (ADDRESS, "gus@guest.test"):
        assert ask(box, said, email=address).status == 200
    for path in [_path(mail) for mail in box.send()]:
        assert page(box, site, path, "confirm")[0] == 200
    assert cases(box, site.moderator)[0]["reports"] == 1
    for _ in range(3):
        assert ask(box, said).status == 200
    refused = ask(box, said)
    assert refused.status == 429
    assert ask(box, said, email="other@guest.test").status == 200

    box.stage.sql(
        """INSERT INTO reports (site_id, case_id, item_type_id, item_id, guest_key, kind, category)
           SELECT r.site_id, r.case_id, r.item_type_id, r.item_id, 'k' || n, r.kind, r.category
             FROM reports r, generate_series(1, 19) n WHERE r.site_id = %(s)s""",
        s=site.id,
    )
    box.send()
    assert ask(box, said, email="third@guest.test").status == 200
    third = link_of(box, "third@guest.test")
    assert page(box, site, third, "confirm")[0] == 429
    box.stage.sql("DELETE FROM reports WHERE site_id = %(s)s AND guest_key LIKE 'k%%'", s=site.id)
    assert page(box, site, third, "confirm")[0] == 200, "a refusal does not use the link up"


def link_of(box: Postbox, address: str) -> str:
    (mail,) = [mail for mail in box.send() if mail["To"] == address]
    return _path(mail)


def _path(mail: EmailMessage) -> str:
    text, _ = mail.iter_parts()
    found = re.search(r"/mail/report\?code=\S+", str(text.get_content()))
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"goodFaith": False}, "goodFaith"),
        ({"email": "nobody"}, "email"),
        ({"kind": "boring"}, "kind"),
        ({"kind": "illegal", "name": ""}, "name"),
        ({"kind": "illegal", "text": ""}, "text"),
        ({"name": "x" * 101}, "name"),
        ({"shownIds": [1]}, "shownIds"),
        ({"itemId": 0}, "itemId"),
    ],
)
def test_a_bad_report_of_a_guest_names_its_field(
    box: Postbox, site: Site, sent: dict[str, Any], field: str
) -> None:
    refused = ask(box, box.make.comment(box.make.conversation(site)), **sent)
    assert refused.status == 400
    assert refused.error.startswith(field)
    assert box.send() == []


def test_guests_report_what_they_may_read_and_nothing_else(box: Postbox, site: Site) -> None:
    place = box.make.microcosm(site)
    box.make.role(site, place.id, "Nobody", rights=())
    secret = box.make.comment(box.make.conversation(site, microcosm=place, by=site.owner))
    huddle = box.make.comment(box.make.huddle(site.member, site.newcomer))
    never = Thing(site, secret.type, 987_654_321)
    answers = [ask(box, thing) for thing in (secret, huddle, never)]
    assert [answer.status for answer in answers] == [403, 403, 403]
    assert len({answer.body for answer in answers}) == 1
    said = box.make.comment(box.make.conversation(site))
    sent = {"itemType": "comment", "itemId": said.id, "goodFaith": True, "email": ADDRESS}
    assert box.stage.post("/reports/guest", sent, by=site.member).status == 403
    # What is hidden in between is gone.
    assert ask(box, said).status == 200
    path = link(box)
    box.stage.sql(
        "UPDATE comments SET is_moderated = true WHERE site_id = %(s)s AND comment_id = %(c)s",
        s=site.id,
        c=said.id,
    )
    assert "It is gone" in page(box, site, path, "confirm")[1]
    assert cases(box, site.moderator) == []


def test_the_address_goes_half_a_year_after_the_decision(box: Postbox, site: Site) -> None:
    said = box.make.comment(box.make.conversation(site))
    assert ask(box, said).status == 200
    page(box, site, link(box), "confirm")

    def kept() -> str:
        with box.stage.app.database.write() as tx:
            maintenance_jobs.short_lived(tx, box.stage.app.config)
        rows = box.stage.sql("SELECT guest_email FROM reports WHERE site_id = %(s)s", s=site.id)
        return str(rows[0][0])

    assert kept() == ADDRESS
    (case,) = cases(box, site.moderator)
    decision = {"outcome": "dismissed"}
    path = f"/cases/{case['id']}/decision"
    assert box.stage.post(path, decision, by=site.moderator).status == 302
    assert kept() == ADDRESS
    box.stage.sql(
        "UPDATE cases SET decided = decided - interval '6 months 1 minute' WHERE site_id = %(s)s",
        s=site.id,
    )
    assert kept() == ""


def test_the_longest_name_and_text_of_a_guest_are_taken(box: Postbox, site: Site) -> None:
    said = box.make.comment(box.make.conversation(site))
    texts = {"name": "a" + " '" * 49 + "a", "text": "a" + " '" * 999 + "a"}
    assert ask(box, said, **texts).status == 200

    page(box, site, link(box), "confirm")

    (case,) = cases(box, site.moderator)
    (report,) = box.stage.get(f"/cases/{case['id']}", by=site.moderator).data["reported"]
    assert report["guest"]["name"] == texts["name"].replace("'", "&#39;")
    assert report["text"] == texts["text"].replace("'", "&#39;")


def test_a_participant_shows_moderators_what_they_choose(box: Postbox, site: Site) -> None:
    ana, bob = site.newcomer, site.member
    huddle = box.make.huddle(bob, ana)
    first, second, third = (
        box.make.comment(huddle, by=bob, markdown=text) for text in ("One", "Two", "Three")
    )
    elsewhere = box.make.comment(box.make.huddle(bob, ana), by=bob)
    outside = box.make.comment(box.make.conversation(site), by=bob)

    def report(*shown: int, thing: Thing = second) -> Response:
        sent = {"itemType": "comment", "itemId": thing.id, "kind": "abuse", "shownIds": list(shown)}
        return box.stage.post("/reports", sent, by=ana)

    for bad in (elsewhere.id, outside.id, 987_654_321):
        refused = report(first.id, bad)
        assert refused.status == 400 and refused.error.startswith("shownIds")
    assert report(first.id, thing=outside).error.startswith("shownIds")
    assert report(first.id).status == 302
    assert cases(box, site.moderator) == []
    (case,) = cases(box, site.owner)
    whole = box.stage.get(f"/cases/{case['id']}", by=site.owner)
    assert [one["id"] for one in whole.data["shown"]] == [first.id]
    assert whole.data["shown"][0]["text"] == "One"
    assert "Three" not in whole.body.decode()
    assert box.stage.get(f"/huddles/{huddle.id}", by=site.owner).status in (403, 404)
    assert third.id


def test_a_comment_that_is_shown_twice_counts_once(box: Postbox, site: Site) -> None:
    huddle = box.make.huddle(site.member, site.newcomer)
    bad, *others = (box.make.comment(huddle, by=site.member).id for _ in range(12))

    def report(*shown: int) -> Response:
        sent = {"itemType": "comment", "itemId": bad, "kind": "abuse", "shownIds": list(shown)}
        return box.stage.post("/reports", sent, by=site.newcomer)

    too_many = report(*others)
    made = report(*others[:10], others[0], others[0])

    assert (too_many.status, too_many.error.startswith("shownIds")) == (400, True)
    assert made.status == 302, made.error
    (case,) = cases(box, site.owner)
    (said,) = box.stage.get(f"/cases/{case['id']}", by=site.owner).data["reported"]
    assert said["shownIds"] == others[:10]


def test_the_owner_lists_the_kinds_of_reports(box: Postbox, site: Site) -> None:
    at = "/site/report-kinds"
    before = box.stage.get(at, site=site).data
    assert [one["kind"] for one in before] == ["spam", "abuse", "offTopic", "illegal", "other"]
    kinds = [
        {"kind": "price", "title": "A price < cost", "category": "STATEMENT_CATEGORY_FRAUD"},
        {"kind": "illegal", "title": "Against the law"},
    ]
    assert box.stage.put(at, kinds, by=site.moderator).status == 403
    for bad in (
        kinds[:1],
        [*kinds, kinds[0]],
        [{**kinds[0], "title": ""}, kinds[1]],
        [{**kinds[0], "kind": "not a name"}, kinds[1]],
    ):
        assert box.stage.put(at, bad, by=site.owner).status == 400
    assert box.stage.put(at, kinds, by=site.owner).status == 200
    shown = box.stage.get(at, site=site).data
    assert shown[0]["title"] == "A price &lt; cost"
    assert shown[1]["category"] == "STATEMENT_CATEGORY_UNCATEGORISED"
    said = box.make.comment(box.make.conversation(site))
    sent = {"itemType": "comment", "itemId": said.id, "kind": "spam"}
    assert box.stage.post("/reports", sent, by=site.newcomer).status == 400
    made = box.stage.post("/reports", sent | {"kind": "price"}, by=site.newcomer)
    report = box.stage.get(made.location.removeprefix("/api/v1"), by=site.newcomer)
    assert report.data["category"] == "STATEMENT_CATEGORY_FRAUD"
    assert box.stage.request("DELETE", at, by=site.owner).status == 200
    assert box.stage.get(at, site=site).data == before


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_of_the_kinds_compares_no_version(box: Postbox, site: Site, method: str) -> None:
    at, kinds = "/site/report-kinds", [{"kind": "illegal", "title": "Against the law"}]
    sent = kinds if method == "PUT" else None
    changed = box.stage.request(method, at, sent, by=site.owner, headers={"If-Match": '"999-x"'})
    assert changed.status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_of_the_kinds_waits_for_another_change_of_the_site(
    box: Postbox, site: Site, method: str
) -> None:
    at, kinds = "/site/report-kinds", [{"kind": "illegal", "title": "Against the law"}]
    assert box.stage.put(at, kinds, by=site.owner).status == 200
    with ThreadPoolExecutor(1) as pool:
        with box.make.database.write() as tx:
            lock_for_update(tx, site.id)
            sent = kinds if method == "PUT" else None
            change = pool.submit(box.stage.request, method, at, sent, by=site.owner)
            box.make.wait_for_locks(1)
        assert change.result().status == 200


@pytest.mark.wide
def test_an_address_that_is_forgotten_counts_for_no_rule_again(box: Postbox, site: Site) -> None:
    stage = box.stage
    said = box.make.comment(box.make.conversation(site, by=site.owner), by=site.member)
    sent = {"title": "x", "event": "comment.reported", "minReports": 2, "action": "hide"}
    sent |= {"mode": "active", "reason": "Several people have reported this"}
    plan = stage.post("/rules/dry-run", sent, by=site.owner)
    assert stage.post("/rules", {"ticket": plan.data["ticket"]}, by=site.owner).status == 302
    worker = ReportRulesWorker(stage.app.database, lambda: True, lambda: None)

    assert ask(box, said).status == 200
    assert page(box, site, link(box), "confirm")[0] == 200
    receipt = link(box)
    while worker.work():
        pass
    assert page(box, site, receipt, "forget")[0] == 200
    # The same person's second report is none, although the first names nobody any more.
    for _ in range(2):
        assert ask(box, said).status == 200
        status, shown = page(box, site, link(box), "confirm")
        assert (status, "before you were forgotten" in shown) == (200, True)
        assert box.send() == []
        while worker.work():
            pass
    assert [one["reports"] for one in cases(box, site.moderator)] == [1]
    assert stage.get(f"/comments/{said.id}", by=site.newcomer).status == 200
    ((found,),) = box.make.sql("SELECT r::text FROM reports r WHERE r.site_id = %(s)s", s=site.id)
    assert "guest.test" not in found
    assert stage.post("/rules/dry-run", sent, by=site.owner).data["total"] == 0
    named = {"itemType": "comment", "itemId": said.id, "kind": "abuse"}
    for by, expected in ((site.moderator, 200), (site.newcomer, 404)):
        assert stage.post("/reports", named, by=by).status == 302
        while worker.work():
            pass
        assert stage.get(f"/comments/{said.id}", by=site.newcomer).status == expected
