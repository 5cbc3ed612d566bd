"""Redaction: a text is gone for good, from every table, the store and the cache, and no undo brings it back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import file_cleanup, personal_exports, redacted_files
from forumapi.database.connections import Database
from forumapi.models.trust import redaction
from tests import services
from tests.api import Api, Response
from tests.cron import test_erased_person as erased
from tests.factories import Factory, Person, Site, Thing
from tests.files import pictures
from tests.fixtures import factory, running
from tests.handlers.trust.test_background import ended

TEXT = erased.TEXT


LAW: dict[str, Any] = {
    "kind": "redact",
    "ground": "illegal",
    "rule": "Section 1 of a law",
    "reason": "A court has ordered it",
}


def redact(api: Api, by: Person, *things: Thing, **changes: Any) -> Response:
    """Redact things."""
    sent = LAW | {
        "targets": [{"itemType": itemtypes.name_of(one.type), "itemId": one.id} for one in things]
    }
    return api.request("POST", "/api/v1/actions", by=by, json=sent | changes)


def test_no_undo_brings_a_redacted_text_back(api: Api, make: Factory, site: Site) -> None:
    chat = make.conversation(site, by=site.member, title="Illegal title")
    said = make.comment(chat, by=site.member, markdown="Illegal words")
    assert api.put(said.path, {"markdown": "Illegal words, edited"}, by=site.member).status == 302
    target = {"itemType": "comment", "itemId": said.id}
    hide = {"kind": "hide", "reason": "Spam", "targets": [target]}
    hidden = api.request("POST", "/api/v1/actions", by=site.moderator, json=hide)

    done = redact(api, site.owner, said, chat)
    assert (done.status, done.data["counts"]["done"]) == (200, 2), done.body
    again = redact(api, site.owner, said)
    assert again.data["counts"]["unchanged"] == 1
    assert api.post(f"/api/v1/actions/{done.data['id']}/undo", {}, by=site.owner).status == 409
    undone = api.post(f"/api/v1/actions/{hidden.data['id']}/undo", {}, by=site.moderator).data
    assert undone["counts"]["conflict"] == 1
    assert undone["targets"][0]["why"] == "this was removed for good"

    for thing in (said, chat):
        assert api.get(thing.path, by=site.newcomer).status == 404
        assert "Illegal" not in str(api.get(thing.path, by=site.owner).data)
    revisions = api.get(f"{said.path}/revisions", by=site.owner)
    assert "Illegal" not in str(revisions.body)
    (stated,) = [
        one
        for one in api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
        if one["action"] == "redact"
    ]
    assert stated["ground"] == "DECISION_GROUND_ILLEGAL_CONTENT"


@pytest.mark.wide
def test_an_appeal_against_a_redaction_is_granted_and_brings_nothing_back(
    api: Api, make: Factory, site: Site
) -> None:
    said = make.comment(make.conversation(site), by=site.member, markdown="Illegal words")
    assert redact(api, site.owner, said).status == 200
    (stated,) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    path = f"/api/v1/statements/{stated['id']}/appeal"
    appeal = api.post(path, {"text": "This was legal"}, by=site.member).location
    other = site.moderator
    granted = api.post(
        f"{appeal}/decision", {"outcome": "granted", "text": "It was legal"}, by=other
    )
    assert granted.status == 302, granted.body
    decided = api.get(appeal, by=site.member).data
    assert decided["state"] == "granted"
    assert api.get(said.path, by=site.newcomer).status == 404
    assert "Illegal" not in str(api.get(said.path, by=site.owner).data)
    # The author and the public read that the decision was wrong, and when that was found.
    shown = api.get(f"/api/v1/statements/{stated['id']}", by=site.member).data
    (listed,) = api.get("/api/v1/statements", by=site.member).data["statements"]["items"]
    assert shown["corrected"] == listed["corrected"] == decided["decided"]
    assert "revoked" not in shown
    report = api.get("/api/v1/site/transparency", by=site.owner).data
    outcomes = {(one["part"], one["kind"], one["outcome"]) for one in report["rows"]}
    assert outcomes == {("decision", "redact", "corrected"), ("appeal", "redact", "granted")}


def test_a_redaction_waits_until_memcached_has_forgotten_its_documents(
    api: Api, make: Factory, site: Site, database_url: str, tmp_path: Path
) -> None:
    said = make.comment(make.conversation(site), by=site.member, markdown="Illegal words")
    assert redact(api, site.owner, said).status == 200
    away = f"127.0.0.1:{services.free_port()}"
    for servers, waiting in ((away,), 1), ((), 0):
        config = Config(database_url=database_url, data_dir=str(tmp_path), memcached=servers)
        with make.database.write() as tx:
            redacted_files.redactions(tx, config)
        found = make.sql("SELECT count(*) FROM redactions WHERE site_id = %(id)s", id=site.id)
        assert found == [(waiting,)]


def test_files_do_not_wait_behind_documents_that_no_memcached_forgets(
    api: Api, make: Factory, site: Site, database_url: str, tmp_path: Path
) -> None:
    chat = make.conversation(site)
    first, second = (
        make.comment(chat, by=site.member, markdown=f"See /files/{digit * 40}") for digit in "ab"
    )
    away = f"127.0.0.1:{services.free_port()}"
    config = Config(database_url=database_url, data_dir=str(tmp_path), memcached=(away,))
    assert redact(api, site.owner, first).status == 200
    with make.database.write() as tx:
        redacted_files.redactions(tx, config)
    assert redact(api, site.owner, second).status == 200
    with make.database.write() as tx:
        rows = redaction.waiting(tx, 10_000)
    assert [id for site_id, _, id, _, _ in rows if site_id == site.id] == [second.id, first.id]


def test_who_may_redact_and_why(api: Api, make: Factory, site: Site) -> None:
    said = make.comment(make.conversation(site), markdown="Lawful")
    assert redact(api, site.moderator, said).status == 403
    assert "ground" in redact(api, site.owner, said, ground="terms").error
    plan = redact(api, site.owner, said, dryRun=True)
    assert (plan.status, plan.data["counts"]["planned"]) == (200, 1)
    assert api.get(said.path, by=site.newcomer).data["markdown"] == "Lawful"


def test_all_that_somebody_wrote_is_redacted_once_the_list_was_seen(
    api: Api, make: Factory, site: Site
) -> None:
    others = make.conversation(site, by=site.newcomer)
    old, gone, deleted, hidden, shown = (
        make.comment(others, by=site.member, markdown=f"Illegal words {n}") for n in range(5)
    )
    on_profile = make.comment(site.newcomer, by=site.member, markdown="Illegal words too")
    chat = make.conversation(site, by=site.member, title="Illegal title")
    reply = make.comment(chat, by=site.newcomer, markdown="Lawful")
    age = "UPDATE comments SET created = '2020-01-01Z' WHERE comment_id = %(id)s RETURNING 1"
    make.sql(age, id=old.id)
    assert redact(api, site.owner, gone).status == 200
    api.patch(deleted.path, ("deleted", True), by=site.owner)
    api.patch(hidden.path, ("moderated", True), by=site.owner)
    # A month later the record of a redaction has no states any more.
    make.sql(
        "UPDATE action_changes SET before = NULL, after = NULL WHERE site_id = %(s)s AND item_id = %(id)s"
        " RETURNING 1",
        s=site.id,
        id=gone.id,
    )
    query = {"createdBy": site.member.id, "since": "2021-01-01T00:00:00Z"}
    asked = LAW | {"query": query}

    refused = api.post("/api/v1/actions", asked, by=site.owner)
    assert (refused.status, refused.error[:7]) == (400, "dryRun:")
    plan = api.post("/api/v1/actions", asked | {"dryRun": True}, by=site.owner).data
    things = {("conversation", chat.id)}
    things |= {("comment", one.id) for one in (deleted, hidden, shown, on_profile)}
    assert {(one["itemType"], one["itemId"]) for one in plan["targets"]} == things
    later = make.comment(others, by=site.member, markdown="Written after the list")
    done = api.post("/api/v1/actions", {"ticket": plan["ticket"]}, by=site.owner).data

    assert done["counts"] | {"done": 5, "planned": 0} == done["counts"]
    texts = make.sql(
        "SELECT comment_id FROM comments WHERE site_id = %(s)s AND markdown <> '[removed]' ORDER BY 1",
        s=site.id,
    )
    assert [row[0] for row in texts] == sorted((old.id, reply.id, later.id))
    assert redact(api, site.owner, gone).data["counts"]["unchanged"] == 1
    again = api.post("/api/v1/actions", asked | {"dryRun": True}, by=site.owner).data
    assert [one["itemId"] for one in again["targets"]] == [later.id]

    # Whoever is the owner no more carries no redaction out that they planned as the owner.
    make.sql(
        "UPDATE sites SET owned_by = %(p)s, version = version + 1, acl_version = acl_version + 1"
        " WHERE site_id = %(s)s RETURNING 1",
        s=site.id,
        p=site.newcomer.id,
    )
    late = api.post("/api/v1/actions", {"ticket": again["ticket"]}, by=site.owner)
    assert (late.status, late.error) == (403, "kind: only the owner of the site may redact")


def test_a_file_of_a_redacted_text_is_closed_with_the_answer(
    api: Api, make: Factory, site: Site, database_url: str, tmp_path: Path
) -> None:
    chat = make.conversation(site)
    linked, shared, hung, twice = (
        pictures.upload(api, site.member, f"{site.key} {n}".encode(), "a.txt") for n in range(4)
    )
    said = make.comment(
        chat, by=site.member, markdown=f"See /api/v1/files/{linked} and /api/v1/files/{shared}"
    )
    other = make.comment(chat, by=site.member, markdown=f"Lawful: /api/v1/files/{shared}")
    for comment, file in ((said, hung), (said, twice), (other, twice)):
        attach = {"fileHash": file}
        assert api.post(f"{comment.path}/attachments", attach, by=site.member).status == 302

    def statuses(by: Person | None = None) -> list[int]:
        paths = [f"/api/v1/files/{one}" for one in (linked, shared, hung, twice)]
        return [api.get(path, site=site, by=by).status for path in paths]

    # The second time from memory.
    assert [statuses(), statuses()] == [[200] * 4] * 2
    assert redact(api, site.owner, said).status == 200
    for by in (None, site.member, site.owner):
        assert statuses(by) == [404, 404, 404, 200]
    config = Config(database_url=database_url, data_dir=str(tmp_path))
    with make.database.write() as tx:
        redacted_files.redactions(tx, config)
    assert statuses() == [404, 200, 404, 200]


@pytest.mark.wide
def test_another_process_closes_the_file_of_a_redacted_text_too(
    api: Api, there: Api, make: Factory, site: Site
) -> None:
    file = f"/api/v1/files/{pictures.upload(api, site.member, site.key.encode(), 'a.txt')}"
    said = make.comment(make.conversation(site), by=site.member, markdown=f"See {file}")
    # It has another store, and so only says whether the file is open.
    assert there.request("HEAD", file, site=site).status == 200
    assert redact(api, site.owner, said).status == 200
    until = time.monotonic() + 60
    while there.request("HEAD", file, site=site).status != 404:
        assert time.monotonic() < until


@pytest.mark.wide
def test_hundreds_are_redacted_in_the_background(api: Api, make: Factory, site: Site) -> None:
    make.comments(make.conversation(site, by=site.owner), 260)
    asked = LAW | {"query": {"createdBy": site.member.id}, "dryRun": True}
    plan = api.post("/api/v1/actions", asked, by=site.owner).data
    started = api.post("/api/v1/actions", {"ticket": plan["ticket"]}, by=site.owner).data
    assert ended(api, started["id"], site.owner, "done")["counts"]["done"] == 260
    texts = make.sql("SELECT DISTINCT markdown FROM comments WHERE site_id = %(s)s", s=site.id)
    assert texts == [("[removed]",)]


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of one test."""
    return make.site()


class OwnServer:
    """A server with a database, a store and a cache of its own."""

    def __init__(self, url: str, api: Api, make: Factory, config: Config) -> None:
        self.url, self.api, self.make, self.config = url, api, make, config

    def hits(self, memcached: str) -> dict[str, list[str]]:
        """Tables, objects of the store and keys of the cache in which the text stands."""
        found = {
            name: hits
            for name, hits in erased._hits_in_tables(self.url).items()
            if {TEXT, "kanariendatei77"} & set(hits)
        }
        files = erased._hits_in_files(self.config.files_folder)
        cached = erased._hits_in_memcached(memcached, self.config.cache_prefix)
        return found | ({"store": files} if files else {}) | ({"cache": cached} if cached else {})


@pytest.fixture
def own(postgres_url: str, tmp_path: Path, memcached: str) -> Iterator[OwnServer]:
    """A server of one test."""
    with (
        services.database(postgres_url, "redacted") as url,
        running(url, tmp_path, memcached=memcached, cache_prefix="redacted") as server,
        factory(url) as maker,
    ):
        config = Config(
            database_url=url,
            data_dir=str(tmp_path),
            memcached=(memcached,),
            cache_prefix="redacted",
        )
        api = server.api()
        yield OwnServer(url, api, maker, config)
        api.close()


@pytest.mark.wide
def test_a_redacted_text_is_nowhere(own: OwnServer, memcached: str) -> None:
    api, make, config = own.api, own.make, own.config
    site = make.site("kanal")
    me = make.person(site)
    chat = make.conversation(site, by=me, title=f"Title {TEXT}")
    said = make.comment(chat, by=me, markdown=f"{TEXT} https://{TEXT}.example/ once")
    file = pictures.upload(api, me, erased.FILE, f"{TEXT}.txt", "text/plain")
    edit = {"markdown": f"{TEXT} again, see /api/v1/files/{file}"}
    assert api.put(said.path, edit, by=me).status == 302
    hung = {"fileHash": file, "fileName": f"{TEXT}.x"}
    assert api.post(f"{said.path}/attachments", hung, by=me).status == 302
    event = make.event(site, by=me, title=f"Party {TEXT}")
    other = make.comment(chat, by=site.newcomer, markdown="Something else")
    for _ in range(2):
        assert TEXT in str(api.get(chat.path, by=site.member).data)
        assert TEXT in str(api.get(said.path, by=site.member).data)
    with psycopg.connect(own.url) as connection:
        connection.execute("UPDATE comments SET created = created - interval '5 minutes'")
        connection.execute("SELECT search_learn(1000000)")
        connection.execute(
            "INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, state, profile_id, item_type_id,"
            " item_id, comment_id) VALUES (%s, 'x', 'a@b.test', %s, %s, 'sent', %s, 6, %s, %s)",
            [site.id, TEXT, TEXT, site.member.id, chat.id, said.id],
        )
    assert api.post(f"{me.path}/export", by=me).status == 200
    while personal_exports.work_off(config):
        pass
    assert own.hits(memcached).keys() >= {
        *("comments", "comment_revisions", "items", "search_documents", "mail_outbox", "links"),
        *("attachments", "store", "cache"),
    }

    done = redact(api, site.owner, said, chat, event)
    assert (done.status, done.data["counts"]["done"]) == (200, 3), done.body
    database = Database(own.url)
    try:
        with database.write() as tx:
            assert redacted_files.redactions(tx, config) == "1 redactions"
        with database.write() as tx:
            file_cleanup.stray_objects(tx, config)
    finally:
        database.close()
    erased._forget_words(config)

    assert own.hits(memcached) == {}
    assert api.get(other.path, by=site.owner).data["markdown"] == "Something else"
