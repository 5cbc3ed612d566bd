"""Deletion of whole sites: nothing is left of one, everything of its neighbours, also after a kill and a restore."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymemcache.client.base import Client

from forumapi.command import backup
from forumapi.cron import erasures, site_deletions
from forumapi.cron.site_deletions import DeletionFailedError
from forumapi.errors import Conflict
from forumapi.models.journal import audit_chain, audit_hash
from forumapi.models.journal.journal import Author
from forumapi.models.privacy import erasure_steps
from forumapi.models.sites import site_deletion, site_state, subdomain_availability
from forumapi.models.sites.site_cache import SiteCache
from forumapi.models.sites.site_deletion import ListedDeletion
from forumapi.models.sites.site_state import HeldSite
from tests import services
from tests.factories import Person, Site
from tests.fixtures import PROJECT
from tests.stage import Stage, staged

DELETION = "/site/deletion"
_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'site_id'
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""


@pytest.fixture(scope="module")
def stage(
    database_url: str, memcached: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("deletions"), memcached=[memcached]) as made:
        yield made


def put(stage: Stage, by: Person, content: str) -> str:
    """The hash of a file that somebody has uploaded, with its object in the store."""
    hash = stage.make.file(by, content)
    path = stage.config.data_path / "upload"
    path.write_text(content)
    stage.app.storage.put(hash, path, "text/plain")
    return hash


def lived_in(stage: Stage, word: str, *, comments: int = 5) -> Site:
    """A site in which most kinds of things are; every text holds `word`."""
    make = stage.make
    site = make.site(title=f"{word} club")
    talk = make.conversation(site, title=f"{word} begins")
    first = make.comment(talk, by=site.member, markdown=f"{word} http://{word}.example/")
    for _ in range(comments):
        first = make.comment(talk, by=site.member, markdown=f"So {word}", reply_to=first)
    make.microcosm(site, title=word)
    make.event(site)
    make.poll(site)
    make.report(first, by=site.member)
    make.comment(make.huddle(site.owner, site.member, title=word), by=site.owner, markdown=word)
    make.webhook(site)
    make.push_subscription(site.member)
    make.sql(
        """INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body)
           VALUES (%(id)s, %(word)s, 'a@example.com', %(word)s, %(word)s) RETURNING 1""",
        id=site.id,
        word=word,
    )
    put(stage, site.member, f"own {word}")
    # Documents of comments, profiles and microcosms are in memcached then.
    assert word in str(stage.get(f"/microcosms/{site.root_id}", by=site.member).data)
    assert word in str(stage.get(talk.path.removeprefix("/api/v1"), by=site.member).data)
    return site


def rows(stage: Stage, site_id: int) -> dict[str, int]:
    """Numbers of rows by table, without tables that have none."""
    with psycopg.connect(stage.url) as connection:
        counted = {
            name: connection.execute(
                f"SELECT count(*) FROM {name} WHERE site_id = %s", [site_id]
            ).fetchone()
            for (name,) in connection.execute(_TABLES).fetchall()
        }
    return {name: row[0] for name, row in counted.items() if row and row[0]}


def content(stage: Stage, site_id: int) -> dict[str, list[tuple[str]]]:
    """All rows of a site by table, as text, but for those that other processes write by themselves."""
    with psycopg.connect(stage.url) as connection:
        return {
            name: connection.execute(
                f"SELECT t::text FROM {name} t WHERE site_id = %s ORDER BY 1", [site_id]
            ).fetchall()
            for (name,) in connection.execute(_TABLES).fetchall()
            if name not in ("audit_heads", "mail_outbox", "site_usage")
        }


def finds(stage: Stage, word: str, site_id: int) -> list[str]:
    """Find where a word or a key of the site stands: tables of the database, files, memcached."""
    found = []
    with psycopg.connect(stage.url) as connection:
        for (name,) in connection.execute(backup.TABLES).fetchall():
            hit = connection.execute(
                f"SELECT t::text FROM {name} t WHERE t::text ~* %s LIMIT 1", [word]
            ).fetchone()
            if hit is not None:
                found.append(f"{name}: {hit[0][:200]}")
    for path in stage.config.data_path.rglob("*"):
        if path.is_file() and word.encode() in path.read_bytes():
            found.append(path.name)
    for key, value in memcached_entries(stage.config.memcached[0]):
        if key.split(":")[1] == str(site_id) or word.encode() in value:
            found.append(key)
    return found


def memcached_entries(server: str) -> list[tuple[str, bytes]]:
    client = Client(server)
    return [(key, client.get(key) or b"") for key in services.memcached_keys(server)]


def close(stage: Stage, site: Site) -> None:
    """Ask for the deletion of a site, and let its export window end."""
    assert stage.post(DELETION, {}, by=site.owner).status == 302
    stage.sql(
        "UPDATE site_states SET due = now() WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )


def receipt(stage: Stage, site: Site) -> ListedDeletion:
    with stage.app.database.write() as tx:
        (found,) = [one for one in ListedDeletion.all(tx) if one.site_id == site.id]
    return found


def test_nothing_is_left_of_a_deleted_site_and_all_of_its_neighbour(stage: Stage) -> None:
    site, other = lived_in(stage, "zugunruhe"), lived_in(stage, "wanderlust")
    shared = put(stage, site.member, "of both")
    assert put(stage, other.member, "of both") == shared
    ((user,),) = stage.sql("SELECT email FROM users WHERE user_id = %(id)s", id=site.member.user_id)
    assert len(finds(stage, "zugunruhe", site.id)) > 12
    entries = {
        one
        for one in memcached_entries(stage.config.memcached[0])
        if one[0].split(":")[1] == str(other.id)
    }
    assert entries
    close(stage, site)
    # The job of another test's process would chain them meanwhile.
    with stage.app.database.write() as tx:
        audit_chain.adopt(tx, 100_000)
    before = content(stage, other.id)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert rows(stage, site.id) == {}
    assert finds(stage, "zugunruhe", site.id) == []
    assert content(stage, other.id) == before
    assert entries <= {*memcached_entries(stage.config.memcached[0])}
    assert stage.app.storage.size(shared) == len("of both")
    assert stage.get(f"/files/{shared}", by=other.member).status == 200
    found = receipt(stage, site)
    figures = found.figures()
    assert found.is_signed(audit_hash.keys(stage.config.audit_key, stage.config.data_path))
    assert not found._replace(receipt=found.receipt + " ").is_signed(
        audit_hash.keys(stage.config.audit_key, stage.config.data_path)
    )
    assert {*figures["rowsLeft"].values()} == {0}
    assert len(figures["rowsLeft"]) > 90
    assert figures["rowsDeleted"]["comments"] >= 7
    assert (figures["objectsDeleted"], figures["objectsOfOthers"]) == (1, 1)
    assert figures["documentsRemoved"] > figures["documentsExpiring"] == 0
    # The people stay on the platform, and on their other sites.
    assert stage.sql("SELECT email FROM users WHERE user_id = %(id)s", id=site.member.user_id) == [
        (user,)
    ]


_KILLED = """
import os, signal, sys
from forumapi.config import Config
from forumapi.cron import site_deletions
from forumapi.database.connections import Database

delete = site_deletions._Run._delete_rows
left = int(sys.argv[3])

def delete_rows(*args, **kwargs):
    global left
    found = delete(*args, **kwargs)
    left -= found > 0
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

site_deletions._Run._delete_rows = delete_rows
site_deletions.MOST = 3
url = sys.argv[1]
site_deletions.work_off(Database(url, size=1), Config(database_url=url, data_dir=sys.argv[2]))
"""


def test_a_killed_deletion_goes_on_where_it_was(stage: Stage) -> None:
    site = lived_in(stage, "sehnsucht", comments=9)
    close(stage, site)
    left = rows(stage, site.id)["comments"]
    for batches in (1, 12, 30):
        done = subprocess.run(
            [
                *(sys.executable, "-c", _KILLED),
                *(stage.url, str(stage.config.data_path), str(batches)),
            ],
            cwd=PROJECT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        # Triggers note what was deleted, so that other tables may grow.
        now = rows(stage, site.id)
        assert now and now.get("comments", 0) <= left
        left = now.get("comments", 0)
        assert stage.get("/site", site=site).status == 404

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert rows(stage, site.id) == {}
    assert receipt(stage, site).state == "deleted"


@pytest.mark.wide
def test_the_names_of_a_deleted_site_rest(stage: Stage) -> None:
    site = stage.make.site()
    stage.make.domain(site, "club.example")
    close(stage, site)
    site_deletions.work_off(stage.app.database, stage.config)
    with stage.app.database.write() as tx:
        assert subdomain_availability.is_taken(tx, site.key.upper())
        assert site_deletion.is_resting(tx, "club.example")
        assert not site_deletion.is_resting(tx, "another.example")

    stage.sql(
        "UPDATE site_deletions SET finished = now() - interval '31 days' WHERE deleted_site = %(id)s RETURNING 1",
        id=site.id,
    )

    site_deletions.work_off(stage.app.database, stage.config)
    with stage.app.database.write() as tx:
        assert not subdomain_availability.is_taken(tx, site.key)
    assert stage.sql(
        "SELECT domain FROM site_deletions WHERE deleted_site = %(id)s", id=site.id
    ) == [(None,)]


@pytest.mark.wide
def test_the_journal_deletes_a_restored_site_again(stage: Stage) -> None:
    site, other = stage.make.site(), stage.make.site()
    ((created,),) = stage.sql("SELECT created FROM sites WHERE site_id = %(id)s", id=site.id)
    journal = stage.config.data_path / "copy.jsonl"
    lines = [
        {"deletion": site.id, "created": created.isoformat()},
        # Another site has the id now.
        {"deletion": other.id, "created": created.isoformat()},
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert [*erasures.read_journal([journal])] == []
    assert backup.replay_erasures(replace(stage.config, database_url=stage.url), [journal]) == 0

    assert rows(stage, site.id) == {}
    assert rows(stage, other.id)
    assert receipt(stage, site).state == "deleted"
    assert not stage.sql("SELECT 1 FROM mail_outbox WHERE recipient = %(e)s", e=site.owner.email)
    for bad in ('{"deletion": 1, "created": "2026-01-01T00:00:00Z"}', '{"deletion": 5}'):
        journal.write_text(bad + "\n")
        with pytest.raises(ValueError, match="no entry of a journal"):
            backup.replay_erasures(replace(stage.config, database_url=stage.url), [journal])


def test_a_replay_begins_no_deletion_that_may_have_been_cancelled(
    stage: Stage, tmp_path: Path
) -> None:
    site = stage.make.site()
    close(stage, site)
    stage.sql(
        "UPDATE site_states SET is_announced = true WHERE site_id = %(id)s RETURNING 1", id=site.id
    )
    journal = tmp_path / "empty.jsonl"
    journal.touch()

    backup.replay_erasures(replace(stage.config, database_url=stage.url), [journal])

    assert stage.sql(
        """SELECT is_announced, due > now() + interval '6 days 23 hours' FROM site_states
            WHERE site_id = %(id)s""",
        id=site.id,
    ) == [(False, True)]
    # The owner has a week to cancel again, also before the job.
    assert site_deletions.work_off(stage.app.database, stage.config) == 0
    assert rows(stage, site.id)["sites"] == 1


@pytest.mark.wide
def test_answers_older_than_what_they_answer_go_in_batches(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = stage.make.site()
    said = stage.make.comments(stage.make.conversation(site), 9)
    for answer, answered in ((0, 8), (1, 7), (7, 8)):
        stage.sql(
            """UPDATE comments SET in_reply_to = %(to)s WHERE site_id = %(s)s AND comment_id = %(id)s
            RETURNING 1""",
            s=site.id,
            id=said[answer].id,
            to=said[answered].id,
        )
    close(stage, site)
    monkeypatch.setattr(site_deletions, "MOST", 3)
    asked = []
    delete = site_deletions._Run._delete_rows

    def delete_rows(run: Any, tx: Any, one: Any, table: str, most: int, **more: Any) -> int:
        if table == "comments" and not more:
            asked.append(most)
        return delete(run, tx, one, table, most, **more)

    monkeypatch.setattr(site_deletions._Run, "_delete_rows", delete_rows)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    assert {*asked} == {3}
    assert receipt(stage, site).figures()["rowsDeleted"]["comments"] == 9


def test_files_that_hang_on_nothing_go_but_for_those_of_another_import(stage: Stage) -> None:
    site, other = stage.make.site(), stage.make.site()
    face, imported, redacted, awaited = (
        put(stage, site.owner, word) for word in ("my face", "imported", "redacted", "awaited")
    )
    stage.sql(
        """UPDATE profiles SET avatar_url = %(url)s WHERE site_id = %(s)s AND profile_id = %(p)s
        RETURNING 1""",
        s=site.id,
        p=site.owner.id,
        url=f"/api/v1/files/{face}.txt",
    )
    for of, hash in ((site, imported), (other, awaited)):
        stage.sql(
            """WITH o AS (INSERT INTO import_origins (site_id, title, product) VALUES (%(s)s, 'Old', 'old')
                          RETURNING origin_id)
               INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id, detail)
               SELECT %(s)s, o.origin_id, 21, '1', 0, %(detail)s FROM o RETURNING 1""",
            s=of.id,
            detail=f"{hash}.txt\na.txt",
        )
    stage.sql(
        """INSERT INTO redactions (site_id, item_type_id, item_id, version, file_hashes)
           VALUES (%(s)s, 4, 1, 1, ARRAY[%(hash)s]) RETURNING 1""",
        s=site.id,
        hash=redacted,
    )
    stage.sql(
        "DELETE FROM file_uploads WHERE file_hash = ANY(%(hashes)s) RETURNING 1",
        hashes=[imported, redacted],
    )
    close(stage, site)

    assert site_deletions.work_off(stage.app.database, stage.config) == 1

    figures = receipt(stage, site).figures()
    assert (figures["objectsDeleted"], figures["objectsOfOthers"]) == (3, 1)
    assert stage.app.storage.size(awaited) == len("awaited")
    left = "SELECT file_hash FROM files WHERE file_hash = ANY(%(hashes)s)"
    assert stage.sql(left, hashes=[face, imported, redacted, awaited]) == [(awaited,)]


def test_who_cancels_while_the_deletion_begins_is_told_that_it_has_begun(stage: Stage) -> None:
    site = stage.make.site()
    close(stage, site)

    def cancel() -> None:
        with stage.app.database.write() as tx:
            held = HeldSite.lock(tx, site.id)
            assert held is not None
            held.set_state(tx, Author(site.id, site.owner.id, ""), site_state.ACTIVE)

    with ThreadPoolExecutor(1) as pool:
        with stage.app.database.write() as tx:
            assert tx.value(site_deletion.DUE) == site.id
            assert site_deletion.begin(tx, site.id)
            waiting = pool.submit(cancel)
            stage.make.wait_for_locks(1)
        with pytest.raises(Conflict):
            waiting.result()
    site_deletions.work_off(stage.app.database, stage.config)
    assert receipt(stage, site).state == "deleted"


def test_a_deletion_does_not_begin_while_its_owner_cancels(stage: Stage) -> None:
    site = stage.make.site()
    close(stage, site)
    with stage.app.database.write() as tx:
        held = HeldSite.lock(tx, site.id)
        assert held is not None

        assert site_deletions.work_off(stage.app.database, stage.config) == 0

        held.set_state(tx, Author(site.id, site.owner.id, ""), site_state.ACTIVE)
    assert site_deletions.work_off(stage.app.database, stage.config) == 0
    assert rows(stage, site.id)["sites"] == 1


def test_a_process_forgets_a_site_whose_row_is_gone(stage: Stage) -> None:
    site = stage.make.site()
    directory = SiteCache(stage.app.database, stage.make.platform_domain)
    reader = stage.app.database.read()
    try:
        directory.by_host(site.host, reader)
    finally:
        reader.end()
    close(stage, site)
    assert site_deletions.work_off(stage.app.database, stage.config) == 1
    assert directory.cached(site.host)

    directory.poll()

    assert directory.cached(site.host) is None


def test_a_file_that_gets_an_owner_while_its_lock_is_awaited_stays(stage: Stage) -> None:
    site = stage.make.site()
    hash = put(stage, site.member, "of a moment")
    stage.sql("DELETE FROM file_uploads WHERE file_hash = %(h)s RETURNING 1", h=hash)

    def unheld() -> list[str]:
        with stage.app.database.write() as tx:
            return erasure_steps.lock_unheld(tx, [hash])

    assert unheld() == [hash]
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(stage.url) as connection:
            connection.execute(
                """INSERT INTO file_uploads (site_id, profile_id, file_hash, file_name)
                   VALUES (%s, %s, %s, 'a.txt')""",
                [site.id, site.member.id, hash],
            )
            waiting = pool.submit(unheld)
            stage.make.wait_for_locks(1)
        assert waiting.result() == []


@pytest.mark.wide
def test_a_backup_from_before_a_deletion_is_restored_without_the_site(
    stage: Stage, postgres_url: str, tmp_path: Path
) -> None:
    site, other = lived_in(stage, "fernweh"), stage.make.site()
    folder, _ = backup.create(
        stage.url, stage.config.files_folder, tmp_path / "backups", progress=lambda _: None
    )
    close(stage, site)
    assert site_deletions.work_off(stage.app.database, stage.config) == 1
    with services.new_database(postgres_url, "restored", source="template0") as url:
        files = tmp_path / "files"
        backup.restore(folder, url, files, progress=lambda _: None)
        config = replace(stage.config, database_url=url, files_path=str(files))

        backup.replay_erasures(config, [stage.config.erasure_journal_path])

        with psycopg.connect(url) as connection:
            left = connection.execute(
                "SELECT n.tab, n.total FROM count_site_rows(%s) n WHERE n.total > 0", [site.id]
            ).fetchall()
            kept = connection.execute("SELECT 1 FROM sites WHERE site_id = %s", [other.id])
            assert kept.fetchall() == [(1,)]
        assert left == []
        assert not [
            one for one in files.rglob("*") if one.is_file() and b"fernweh" in one.read_bytes()
        ]


@pytest.mark.wide
def test_a_deletion_that_leaves_rows_is_not_proven(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = stage.make.site()
    close(stage, site)
    names = site_deletions._Run._names
    monkeypatch.setattr(
        site_deletions._Run,
        "_names",
        lambda run: [one for one in names(run) if one != "audit_log"],
    )

    with pytest.raises(DeletionFailedError, match=f"sites {site.id}$"):
        site_deletions.work_off(stage.app.database, stage.config)

    assert receipt(stage, site).state == "deleting"
    assert rows(stage, site.id)["sites"] == 1
    monkeypatch.undo()
    assert site_deletions.work_off(stage.app.database, stage.config) == 1
