"""Checks of what people write: what they hold, what a case says of it, and services that hang, lie or are away."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from forumapi.checks import check_queue, check_settings
from forumapi.checks.check_worker import CheckWorker
from forumapi.events.readers import EventReader, Readers
from tests.factories import RIGHTS, Person, Site, Thing
from tests.files import pictures
from tests.mail.postbox import Postbox
from tests.updates.test_dispatch import number

AT = "/site/checks"


class Service(ThreadingHTTPServer):
    """A service on loopback that answers with `answer`, after `wait_s`; `asked`: the forms that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.answer = b"false"
        self.wait_s = 0.0
        self.asked: list[dict[str, list[str]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"


class _Asked(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(parse_qs(body))

    def do_GET(self) -> None:
        self._answer(parse_qs(urlsplit(self.path).query))

    def _answer(self, asked: dict[str, list[str]]) -> None:
        self.server.asked.append(asked)
        time.sleep(self.server.wait_s)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    served = Service()
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture
def site(box: Postbox) -> Site:
    return box.make.site()


def put(box: Postbox, site: Site, **checks: Any) -> None:
    answer = box.stage.put(AT, checks, by=site.owner)
    assert answer.status == 200, answer.body


def write(box: Postbox, by: Person, chat: Thing, text: str) -> Thing:
    sent = {"itemType": "conversation", "itemId": chat.id, "markdown": text}
    answer = box.stage.post("/comments", sent, by=by)
    assert answer.status == 302, answer.body
    return Thing(by.site, 4, int(str(answer.location).rstrip("/").rpartition("/")[2]))


def _read(box: Postbox) -> None:
    """Give all events their numbers, and queue what they say is to be checked."""
    number(box.stage.app.database)
    reader = EventReader(check_settings.READER, check_queue.queue, check_queue.BEHIND)
    Readers(box.stage.app.database, [reader], lambda: True).catch_up()


def work(box: Postbox, service: Service | None = None) -> CheckWorker:
    """Read the event log, then check all that waits."""
    app = box.stage.app
    _read(box)
    config = app.config
    if service is not None:
        config = dataclasses.replace(
            config, private_webhooks=True, spam_check_url=service.url, akismet_url=service.url
        )
    worker = CheckWorker(app.database, lambda: config, lambda: True, lambda: None)
    while worker.work():
        pass
    return worker


def cases(box: Postbox, by: Person) -> list[dict[str, Any]]:
    found = box.stage.get("/cases?source=hold", by=by)
    assert found.status == 200, found.body
    items: list[dict[str, Any]] = found.data["cases"]["items"]
    return items


def is_held(box: Postbox, by: Person, said: Thing) -> bool:
    return box.stage.get(f"/comments/{said.id}", by=by).status == 404


@pytest.mark.wide
def test_first_things_wait_for_a_moderator_who_shows_them(box: Postbox, site: Site) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, firstPosts=1)
    ana = box.make.person(site)
    first = write(box, ana, chat, "Hello everybody")
    work(box)
    assert is_held(box, site.newcomer, first)
    (case,) = cases(box, site.moderator)
    assert (case["itemId"], case["held"], case["reports"]) == (first.id, True, 0)
    whole = box.stage.get(f"/cases/{case['id']}", by=site.moderator).data
    (verdict,) = whole["checks"][0]["verdicts"]
    assert (verdict["check"], verdict["verdict"]) == ("firstPosts", "hold")
    shown = {
        "kind": "show",
        "reason": "Welcome",
        "caseId": case["id"],
        "targets": [{"itemType": "comment", "itemId": first.id}],
    }
    assert box.stage.post("/actions", shown, by=site.moderator).status == 200
    assert not is_held(box, site.newcomer, first)
    assert cases(box, site.moderator) == []
    second = write(box, ana, chat, "Hello again")
    theirs = write(box, site.moderator, chat, "Welcome")
    work(box)
    assert not is_held(box, site.newcomer, second)
    assert not is_held(box, site.newcomer, theirs), "moderators are not checked"


@pytest.mark.wide
def test_checks_before_things_are_shown_hold_in_the_request(box: Postbox, site: Site) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, domains=["bad.example"], beforeShown=True)
    said = write(box, site.newcomer, chat, "See https://bad.example/now")
    assert is_held(box, site.member, said)
    assert box.stage.get(f"/comments/{said.id}", by=site.newcomer).status == 200
    edited = write(box, site.newcomer, chat, "Nothing to see")
    assert not is_held(box, site.member, edited)
    change = {"markdown": "www.bad.example"}
    assert box.stage.put(f"/comments/{edited.id}", change, by=site.newcomer).status == 302
    assert is_held(box, site.member, edited)
    title = {"microcosmId": site.root_id, "title": "https://bad.example/titles"}
    begun = box.stage.post("/conversations", title, by=site.newcomer).location
    path = str(begun).partition("/api/v1")[2]
    assert box.stage.get(path, by=site.member).status == 404
    theirs = write(box, site.moderator, chat, "Mind https://bad.example/")
    assert not is_held(box, site.member, theirs), "moderators are not checked"
    found = cases(box, site.moderator)
    assert len(found) == 3
    # The background finds them hidden, and the case has the verdict of the request alone.
    work(box)
    (id,) = [one["id"] for one in found if (one["itemType"], one["itemId"]) == ("comment", said.id)]
    (checked,) = box.stage.get(f"/cases/{id}", by=site.moderator).data["checks"]
    (verdict,) = checked["verdicts"]
    assert (verdict["check"], verdict["verdict"]) == ("domains", "hold")
    # Off again, nothing is looked at in the request.
    put(box, site, domains=["bad.example"])
    later = write(box, site.newcomer, chat, "And https://bad.example/later")
    assert not is_held(box, site.member, later)


@pytest.mark.wide
def test_what_a_moderator_has_shown_is_not_held_again_by_the_background(
    box: Postbox, site: Site
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, domains=["bad.example"], beforeShown=True)
    said = write(box, site.newcomer, chat, "See https://bad.example/now")
    assert is_held(box, site.member, said)
    target = {"itemType": "comment", "itemId": said.id}
    shown = {"kind": "show", "reason": "Harmless", "targets": [target]}
    assert box.stage.post("/actions", shown, by=site.moderator).status == 200

    work(box)

    assert not is_held(box, site.member, said)
    # An edit is looked at anew, in the request.
    change = {"markdown": "www.bad.example"}
    assert box.stage.put(f"/comments/{said.id}", change, by=site.newcomer).status == 302
    assert is_held(box, site.member, said)


def test_items_count_as_first_things_and_what_is_said_in_huddles_does_not(
    box: Postbox, site: Site
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, firstPosts=1)
    writes_huddles, begins_threads = box.make.person(site), box.make.person(site)
    box.make.comment(box.make.huddle(writes_huddles, site.newcomer), by=writes_huddles)
    box.make.conversation(site, by=begins_threads)
    number(box.stage.app.database)
    by_one = write(box, writes_huddles, chat, "Hello")
    by_other = write(box, begins_threads, chat, "Hello")
    work(box)

    assert is_held(box, site.newcomer, by_one)
    assert not is_held(box, site.newcomer, by_other)


@pytest.mark.parametrize(
    ("checks", "text", "held"),
    [
        ({"maxLinks": 1}, "See https://a.test/x and www.b.test", True),
        ({"maxLinks": 2}, "See https://a.test/x and www.b.test", False),
        ({"domains": ["Bad.test"]}, "See https://shop.bad.test:8080/x", True),
        ({"domains": ["bad.test"]}, "See https://notbad.test/x", False),
        ({"perHour": 1}, "The second within an hour", True),
        ({"perHour": 2}, "The second within an hour", False),
    ],
)
def test_links_domains_and_rates(
    box: Postbox, site: Site, checks: dict[str, Any], text: str, held: bool
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    ana = box.make.person(site)
    box.make.comment(chat, by=ana)
    put(box, site, **checks)
    said = write(box, ana, chat, text)
    work(box)
    assert is_held(box, site.newcomer, said) is held


def test_a_role_has_a_rate_of_its_own_and_edits_are_checked(box: Postbox, site: Site) -> None:
    chat = box.make.conversation(site, by=site.owner)
    ana = box.make.person(site)
    role = box.make.role(site, site.root_id, "Trusted", rights=RIGHTS)
    box.make.join(role, ana)
    put(box, site, perHour=1, rates=[{"roleId": role[1], "perHour": 0}], domains=["bad.test"])
    said = [write(box, ana, chat, f"Number {n} of several") for n in range(3)]
    work(box)
    assert not any(is_held(box, site.newcomer, one) for one in said)
    edited = {"itemType": "conversation", "itemId": chat.id, "markdown": "Now http://bad.test"}
    assert box.stage.put(f"/comments/{said[0].id}", edited, by=ana).status in (200, 302)
    work(box)
    assert is_held(box, site.newcomer, said[0])


def test_the_same_text_on_several_sites(box: Postbox, site: Site) -> None:
    others = [box.make.site() for _ in range(2)]
    text = "Buy the best wheels of the world here today!"
    for one in (*others, site):
        put(box, one, sameText=2)
    for one in others:
        write(box, one.member, box.make.conversation(one, by=one.owner), text)
    work(box)
    said = write(box, site.member, box.make.conversation(site, by=site.owner), text.upper() + " !!")
    short = write(box, site.member, box.make.conversation(site, by=site.owner), "Thanks")
    work(box)
    assert is_held(box, site.newcomer, said)
    assert not is_held(box, site.newcomer, short)


def test_a_text_that_was_held_as_it_was_written_counts_for_other_sites(
    box: Postbox, site: Site
) -> None:
    text = "Buy the finest saddles of the world here today!"
    for one in (box.make.site(), box.make.site()):
        put(box, one, firstPosts=1, beforeShown=True)
        held = write(box, one.member, box.make.conversation(one, by=one.owner), text)
        assert is_held(box, one.newcomer, held)
    put(box, site, sameText=2, beforeShown=True)
    said = write(box, site.member, box.make.conversation(site, by=site.owner), text)
    assert is_held(box, site.newcomer, said)


@pytest.mark.parametrize("action", ["hide", "delete"])
def test_a_text_that_a_rule_took_away_counts_for_other_sites(
    box: Postbox, site: Site, action: str
) -> None:
    text = f"Buy the finest helmets of the world here today, and {action}!"
    rule = {
        "title": "All",
        "mode": "active",
        "event": "comment.created",
        "action": action,
        "reason": "Spam",
    }
    for one in (box.make.site(), box.make.site()):
        put(box, one, sameText=2)
        plan = box.stage.post("/rules/dry-run", rule, by=one.owner).data
        sent = {"ticket": plan["ticket"]}
        assert box.stage.post("/rules", sent, by=one.owner).status == 302
        taken = write(box, one.member, box.make.conversation(one, by=one.owner), text)
        assert is_held(box, one.newcomer, taken)
    work(box)
    put(box, site, sameText=2, beforeShown=True)
    said = write(box, site.member, box.make.conversation(site, by=site.owner), text)
    assert is_held(box, site.newcomer, said)


def test_the_oldest_rule_that_fits_acts_before_the_checks_do(box: Postbox, site: Site) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, domains=["bad.example"], beforeShown=True)
    rule = {"title": "One", "mode": "active", "event": "comment.created", "action": "hide"}
    many, few, none = (
        [{"profileColumn": "commentCount", "predicate": word, "value": count}]
        for word, count in (("ge", 1000), ("ge", 0), ("gt", 5))
    )
    for name, more in (
        ("places", {"microcosmIds": [box.make.microcosm(site, "Elsewhere").id]}),
        ("criteria", {"criteria": [*many, {**none[0], "orGroup": 1}]}),
        ("length", {"minLength": 100}),
        ("fits", {"criteria": few, "hasLink": True}),
        ("younger", {}),
    ):
        sent = {**rule, **more, "reason": name}
        plan = box.stage.post("/rules/dry-run", sent, by=site.owner)
        assert plan.status == 200, plan.body
        ticket = {"ticket": plan.data["ticket"]}
        assert box.stage.post("/rules", ticket, by=site.owner).status == 302

    said = write(box, site.newcomer, chat, "See https://bad.example/now")

    assert is_held(box, site.member, said)
    (action,) = box.stage.get("/actions", by=site.moderator).data["actions"]["items"]
    assert action["reason"] == "fits"
    assert cases(box, site.moderator) == []


@pytest.mark.wide
def test_services_are_asked_and_named(box: Postbox, site: Site, service: Service) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, akismetKey="k3y")
    shown = box.stage.get(AT, by=site.owner)
    assert shown.data["akismetKey"] is True and "k3y" not in shown.body.decode()
    assert "Akismet" in box.stage.get("/legal/privacy", site=site).data["html"]
    said = write(box, site.member, chat, "Fine words")
    work(box, service)
    assert not is_held(box, site.newcomer, said)
    assert service.asked[0]["comment_content"] == ["Fine words"]
    assert service.asked[0]["comment_author_email"] == [site.member.email]
    service.answer = b"true"
    spam = write(box, site.member, chat, "Cheap wheels")
    work(box, service)
    assert is_held(box, site.newcomer, spam)

    put(box, site, akismetKey="", stopForumSpam=True)
    privacy = box.stage.get("/legal/privacy", site=site).data["html"]
    assert "Akismet" not in privacy and "Stop Forum Spam" in privacy
    service.answer = json.dumps({"success": 1, "email": {"confidence": 97.5}}).encode()
    known = write(box, site.member, chat, "Cheap bells")
    work(box, service)
    assert is_held(box, site.newcomer, known)
    assert box.stage.request("DELETE", AT, by=site.owner).status == 200
    assert "Stop Forum Spam" not in box.stage.get("/legal/privacy", site=site).data["html"]


@pytest.mark.wide
@pytest.mark.sliced(1)
@pytest.mark.parametrize("answer", [b"", b"maybe", b"{" * 70_000, b"\xff\x00"])
def test_a_service_that_lies_counts_as_failed(
    box: Postbox, site: Site, service: Service, answer: bytes
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    service.answer = answer
    for on_failure, held in (("pass", False), ("hold", True)):
        put(box, site, akismetKey="k3y", stopForumSpam=True, onFailure=on_failure)
        said = write(box, site.member, chat, f"On failure {on_failure}")
        work(box, service)
        assert is_held(box, site.newcomer, said) is held


@pytest.mark.wide
def test_a_service_that_hangs_costs_two_seconds_once(
    box: Postbox, site: Site, service: Service
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    put(box, site, akismetKey="k3y")
    service.wait_s = 3.0
    for count in range(4):
        write(box, site.member, chat, f"Number {count} of those that wait")
    began = time.monotonic()
    work(box, service)
    assert time.monotonic() - began < 3.5, "it is asked again after a while, not for each text"
    rows = box.stage.sql(
        "SELECT DISTINCT state FROM content_checks WHERE site_id = %(s)s", s=site.id
    )
    assert rows == [("passed",)]


def test_what_was_written_before_and_what_is_in_huddles_is_not_checked(
    box: Postbox, site: Site
) -> None:
    chat = box.make.conversation(site, by=site.owner)
    before = write(box, site.member, chat, "Before any check")
    number(box.stage.app.database)
    put(box, site, firstPosts=100)
    huddle = box.make.huddle(site.member, site.newcomer)
    sent = {"itemType": "huddle", "itemId": huddle.id, "markdown": "Between us"}
    assert box.stage.post("/comments", sent, by=site.member).status == 302
    work(box)
    assert not is_held(box, site.newcomer, before)
    assert cases(box, site.owner) == []
    assert box.stage.sql("SELECT 1 FROM content_checks WHERE site_id = %(s)s", s=site.id) == []


def test_a_process_that_ends_while_it_checks_loses_nothing(box: Postbox, site: Site) -> None:
    put(box, site, firstPosts=1)
    said = write(box, site.member, box.make.conversation(site, by=site.owner), "Hello")
    app = box.stage.app
    _read(box)
    with app.database.write() as tx:
        assert check_queue.ContentCheck.claim(tx) is not None
    work(box)
    assert not is_held(box, site.newcomer, said), "it is leased"
    box.stage.sql("UPDATE content_checks SET not_before = now() WHERE site_id = %(s)s", s=site.id)
    work(box)
    assert is_held(box, site.newcomer, said)


def test_after_many_leases_services_alone_are_left_out(
    box: Postbox, site: Site, service: Service
) -> None:
    put(box, site, firstPosts=1, stopForumSpam=True)
    said = write(box, site.member, box.make.conversation(site, by=site.owner), "Hello")
    _read(box)
    box.stage.sql(
        "UPDATE content_checks SET attempts = %(n)s WHERE site_id = %(s)s",
        s=site.id,
        n=check_queue.MOST_ATTEMPTS,
    )
    work(box, service)
    assert is_held(box, site.newcomer, said)
    assert service.asked == []


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"firstPosts": 101}, "firstPosts"),
        ({"maxLinks": -1}, "maxLinks"),
        ({"domains": ["no domain"]}, "domains[0]"),
        ({"perHour": -1}, "perHour"),
        ({"rates": [{"roleId": 987654, "perHour": 1}]}, "rates[0].roleId"),
        ({"akismetKey": "a b"}, "akismetKey"),
        ({"onFailure": "explode"}, "onFailure"),
    ],
)
def test_a_bad_setting_names_its_field(
    box: Postbox, site: Site, sent: dict[str, Any], field: str
) -> None:
    refused = box.stage.put(AT, sent, by=site.owner)
    assert refused.status == 400 and refused.error.startswith(field)
    assert box.stage.put(AT, {"firstPosts": 1}, by=site.moderator).status == 403
    assert box.stage.get(AT, by=site.moderator).status == 403


def upload(box: Postbox, by: Person, text: str) -> str:
    """The hash of a file that was just uploaded."""
    sent = pictures.form(("wheel.txt", text.encode(), "text/plain"))
    kind = f"multipart/form-data; boundary={pictures.BOUNDARY}"
    answer = box.stage.request("POST", "/files", by=by, raw=(sent, kind))
    return str(answer.data[0]["fileHash"])


def test_files_come_with_a_text_that_was_held_and_nobody_else_sees_them(
    box: Postbox, site: Site
) -> None:
    stage, me = box.stage, site.newcomer
    put(box, site, domains=["bad.example"], beforeShown=True)
    said = write(box, me, box.make.conversation(site), "See https://bad.example/now")
    title = {"microcosmId": site.root_id, "title": "https://bad.example/titles"}
    begun = stage.post("/conversations", title, by=me).location
    thread = Thing(site, 6, int(str(begun).rpartition("/")[2]))
    inside = write(box, me, thread, "Its first text")
    for comment, name in ((said, "one"), (inside, "two")):
        hung = f"/comments/{comment.id}/attachments"
        hash = upload(box, me, f"{name} of {site.key}")
        sent = {"fileHash": hash, "fileName": "wheel.txt"}
        assert stage.post(hung, sent, by=me).status == 302
        assert stage.get(hung, by=me).data["attachments"]["total"] == 1
        # Their files are refused to others as those of no comment at all.
        theirs = {"fileHash": upload(box, site.member, "theirs"), "fileName": "a.txt"}
        assert stage.post(hung, theirs, by=site.member).status == 400
        for path in (hung, f"/files/{hash}"):
            for by in (site.member, site.owner, me):
                expected = 404 if by is site.member else 200
                assert stage.get(path, by=by).status == expected, (path, by)
            assert stage.get(path, site=site).status == 404
        # For others it is deleted already, whatever is there.
        assert stage.request("DELETE", f"{hung}/{hash}", by=site.member).status == 200
        assert stage.get(hung, by=me).data["attachments"]["total"] == 1
        # What moderators decide on stays as it is, for its author too.
        refused = stage.request("DELETE", f"{hung}/{hash}", by=me)
        assert (refused.status, refused.data["code"]) == (403, "no_delete")
        for by in (me, site.moderator):
            assert stage.get(hung, by=by).data["attachments"]["total"] == 1
        assert stage.post(hung, sent, by=me).status == 302
    target = {"itemType": "comment", "itemId": said.id}
    shown = {"kind": "show", "reason": "Harmless", "targets": [target]}
    assert stage.post("/actions", shown, by=site.moderator).status == 200
    path = f"/comments/{said.id}/attachments"
    (file,) = stage.get(path, by=site.member).data["attachments"]["items"]
    assert stage.get(f"/files/{file['fileHash']}", by=site.member).status == 200
    # What was deleted is gone for its author too.
    assert stage.request("DELETE", f"/comments/{said.id}", by=me).status == 200
    assert stage.post(path, {"fileHash": file["fileHash"]}, by=me).status == 400


def test_the_author_of_a_reported_text_that_was_hidden_cannot_take_its_files_off(
    box: Postbox, site: Site
) -> None:
    stage, me = box.stage, site.member
    said = box.make.comment(box.make.conversation(site, by=site.owner), by=me)
    hung = f"/comments/{said.id}/attachments"
    hash = upload(box, me, f"a picture of {site.key}")
    assert stage.post(hung, {"fileHash": hash, "fileName": "wheel.txt"}, by=me).status == 302
    named = {"itemType": "comment", "itemId": said.id}
    assert stage.post("/reports", {**named, "kind": "abuse"}, by=site.newcomer).status == 302
    acted = {"kind": "hide", "reason": "Rude", "targets": [named]}
    assert stage.post("/actions", acted, by=site.moderator).status == 200
    assert stage.request("DELETE", f"{hung}/{hash}", by=me).status == 403
    assert stage.get(hung, by=site.moderator).data["attachments"]["total"] == 1
    assert stage.get(f"/files/{hash}", site=site).status == 404
    assert stage.request("DELETE", f"{hung}/{hash}", by=site.moderator).status == 200
