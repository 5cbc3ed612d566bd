"""Moves of a site to another platform, by the command, between two databases with web processes of their own."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.database.connections import Database
from forumapi.events import event_log
from forumapi.files.storage import open_storage
from forumapi.models.access import platform_secret
from forumapi.models.notifications import mail_suppression, update_types
from forumapi.models.trust.action import Action
from forumapi.porting.exports import exporting
from forumapi.porting.exports.site_reader import SiteReader
from forumapi.porting.moving import carried_tables, site_moving
from forumapi.porting.moving.site_moving import FinishedMove, MoveError, Platform, SiteMove
from forumapi.updates import unsubscribe
from forumapi.updates.unsubscribe import MailKind
from tests import services
from tests.factories import Factory, Person, Thing
from tests.fixtures import PLATFORM_DOMAIN, PROJECT, Server, factory, running
from tests.porting.everything import everything

THERE = "there.test"

# What goes along to another platform.
CARRIED = sorted(
    """
    action_changes actions appeal_messages appeals attachments attendees attributes bans bookmarks carried_marks
    case_notes cases comment_mentions comment_revisions comments consents content_checks criteria deletions drafts
    erasures event_cursors event_heads events file_uploads file_usage huddle_participants huddles ignores
    import_leftouts import_marks import_origins imported_items imported_profiles item_authors item_views items
    legal_versions link_uses menus microcosm_counts microcosm_deltas microcosms poll_ballots poll_choices polls
    profile_counters profile_options profiles reactions read_marks reports role_profiles role_settlings roles
    rule_hits rule_plans rule_versions rules sanctions site_gravatar site_offers site_options site_settings
    site_stats site_templates statements update_options updates watchers withdrawn_consents
    """.split()  # noqa: SIM905
)


class Platforms:
    """Two platforms: each has a database, a folder of files, a settings file and a web process."""

    def __init__(self, here: str, there: str, folder: Path) -> None:
        self.urls = {"here": here, "there": there}
        self.folder = folder
        for name, domain in (("here", PLATFORM_DOMAIN), ("there", THERE)):
            (folder / name).mkdir()
            self.settings(name).write_text(
                f'database_url = "{self.urls[name]}"\n'
                f'data_dir = "{folder / name}"\n'
                f'platform_domain = "{domain}"\n'
            )

    def settings(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def config(self, name: str) -> Config:
        from forumapi import config

        return config.load(self.settings(name), {})

    def begin(self, key: str, *options: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FORUMAPI_")}
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "forumapi",
                "site",
                "move",
                key,
                "--to",
                str(self.settings("there")),
                *options,
            ],
            cwd=PROJECT,
            env=kept | {"FORUMAPI_CONFIG": str(self.settings("here"))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def move(self, key: str, *options: str) -> str:
        process = self.begin(key, *options)
        out, said = process.communicate(timeout=120)
        assert process.returncode == 0, out + said
        return out

    def refused(self, key: str, *options: str) -> str:
        process = self.begin(key, *options)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1, said
        return said

    def rows(self, name: str, query: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls[name], autocommit=True) as connection:
            return connection.execute(query, params).fetchall()

    def site_id(self, name: str, key: str) -> int:
        found = self.rows(name, "SELECT site_id FROM sites WHERE subdomain_key = %s", key)
        return int(found[0][0]) if found else 0

    def hash(self, name: str, key: str, folder: Path) -> str:
        """The canonical hash of docs/export.md."""
        config = self.config(name)
        site_id = self.site_id(name, key)
        with exporting.snapshot(config.database_url) as tx:
            reader = SiteReader(tx, site_id, config.platform_domain, open_storage(config))
            return exporting.to_folder(reader, folder, lambda _: None).hash


@pytest.fixture
def platforms(postgres_url: str, worker_id: str, tmp_path: Path) -> Iterator[Platforms]:
    with (
        services.database(postgres_url, f"{worker_id}_here") as here,
        services.database(postgres_url, f"{worker_id}_there") as there,
    ):
        yield Platforms(here, there, tmp_path)


@pytest.fixture
def moving(platforms: Platforms) -> Iterator[Factory]:
    with factory(platforms.urls["here"]) as made:
        yield made


# Since the first copy: edited, moved in its thread, renamed the other way round, deleted, new.
CHANGES = (
    "UPDATE comments SET markdown = replace(markdown, %(host)s, '') WHERE strpos(markdown, %(host)s) > 0",
    """UPDATE comments c SET seq = o.seq
         FROM (SELECT comment_id, -seq AS seq FROM comments WHERE site_id = %(site)s AND item_id IS NOT NULL) o
        WHERE c.comment_id = o.comment_id""",
    """UPDATE comments c SET seq = o.seq
         FROM (SELECT comment_id, row_number() OVER (PARTITION BY item_id ORDER BY seq) AS seq
                 FROM comments WHERE site_id = %(site)s AND item_id IS NOT NULL) o
        WHERE c.comment_id = o.comment_id""",
    "UPDATE profiles SET profile_name = 'passing' WHERE site_id = %(site)s AND profile_name = 'member'",
    "UPDATE profiles SET profile_name = 'member' WHERE site_id = %(site)s AND profile_name = 'newcomer'",
    "UPDATE profiles SET profile_name = 'newcomer' WHERE site_id = %(site)s AND profile_name = 'passing'",
    "DELETE FROM reactions WHERE site_id = %(site)s",
    "DELETE FROM watchers WHERE watcher_id = (SELECT min(watcher_id) FROM watchers WHERE site_id = %(site)s)",
    "DELETE FROM bans WHERE site_id = %(site)s",
    """INSERT INTO bans (site_id, user_id, display_reason)
       SELECT site_id, user_id, 'Again' FROM profiles WHERE site_id = %(site)s AND profile_name = 'newcomer'""",
    """UPDATE items SET microcosm_id = (SELECT max(microcosm_id) FROM microcosms WHERE site_id = %(site)s)
        WHERE site_id = %(site)s AND title = 'Meeting'""",
)


def counts(platforms: Platforms, name: str, *tables: str) -> list[int]:
    site_id = platforms.site_id(name, "bikes")
    return [
        platforms.rows(name, f"SELECT count(*) FROM {table} WHERE site_id = %s", site_id)[0][0]
        for table in tables
    ]


def both(platforms: Platforms) -> tuple[Platform, Platform]:
    here, there = (
        Platform(platforms.config(name), platforms.urls[name]) for name in ("here", "there")
    )
    return here, there


def begun(platforms: Platforms) -> SiteMove:
    return SiteMove(*both(platforms), "bikes", lambda _: None, lambda name, rows: None)


def moved_in_process(platforms: Platforms, *, is_copy_only: bool = False) -> FinishedMove | None:
    with begun(platforms) as move:
        return move.run(is_copy_only=is_copy_only)


@pytest.mark.wide
def test_every_table_with_a_site_goes_along_or_has_a_reason(platforms: Platforms) -> None:
    with psycopg.connect(platforms.urls["here"]) as connection:
        names = {table.name for table in carried_tables.all_with_a_site(connection)}

    assert set(carried_tables.LEFT_BEHIND) <= names
    assert sorted(names - set(carried_tables.LEFT_BEHIND)) == CARRIED


@pytest.mark.wide
def test_copies_bring_what_has_changed_and_an_undone_one_leaves_nothing(
    platforms: Platforms, moving: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No web process has to see that the site moves, and none reads its events.
    monkeypatch.setattr(site_moving, "_SEEN_S", 0.0)
    monkeypatch.setattr(site_moving, "_READERS_S", 0.0)
    monkeypatch.setattr(site_moving, "_MOST_COPIES", 1)
    with factory(platforms.urls["there"], THERE) as others:
        others.site("neighbours")
    site = everything(moving, platforms.config("here").files_folder, "bikes")
    sizes = (
        "SELECT count(*) FROM users",
        "SELECT count(*) FROM comments",
        "SELECT count(*) FROM sites",
    )
    empty = [platforms.rows("there", query) for query in sizes]

    assert moved_in_process(platforms, is_copy_only=True) is None
    assert [platforms.rows("there", query) for query in sizes] != empty
    with begun(platforms) as move:
        assert move.undo() > 0
    assert [platforms.rows("there", query) for query in sizes] == empty

    assert moved_in_process(platforms, is_copy_only=True) is None
    for change in CHANGES:
        assert moving.sql(change + " RETURNING 1", site=site.id, host=f"https://{site.host}")
    # A file of which nothing is left here is found by the clean-up there.
    ((lost,), *_) = moving.sql(
        "SELECT a.file_hash FROM attachments a WHERE a.site_id = %(site)s", site=site.id
    )
    for table in ("attachments", "file_uploads"):
        moving.sql(f"DELETE FROM {table} WHERE file_hash = %(hash)s RETURNING 1", hash=lost)
    before = platforms.hash("here", "bikes", tmp_path / "before")
    moved = moved_in_process(platforms)

    assert platforms.rows(
        "there",
        "SELECT f.attach_count FROM file_strays s JOIN files f USING (file_hash) WHERE s.file_hash = %s",
        lost,
    ) == [(0,)]
    assert moved is not None and moved.missing_files == 0
    assert [one for one in moved.compared if one.here != one.there] == []
    assert platforms.hash("there", "bikes", tmp_path / "after") == before
    # Nobody is told once more of what moderators decided.
    told = "SELECT count(*) FROM event_log WHERE item_type_id = %s"
    assert platforms.rows("there", told, itemtypes.UPDATE) == [(0,)]
    with begun(platforms) as move, pytest.raises(MoveError, match="has moved"):
        move.undo()
    # Killed between the two commits of the switch, it is closed on both platforms until it is run again.
    platforms.rows("there", "UPDATE site_moves SET state = 'copying' RETURNING 1")
    platforms.rows(
        "there", "UPDATE sites SET is_deleted = true WHERE subdomain_key = 'bikes' RETURNING 1"
    )
    moved_in_process(platforms)
    opened = platforms.rows("there", "SELECT is_deleted FROM sites WHERE subdomain_key = 'bikes'")
    assert opened == [(False,)]
    # Ids that are drawn there from now on are behind those that came.
    with factory(platforms.urls["there"], THERE) as others:
        there = platforms.site_id("there", "bikes")
        others.sql(
            """INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, markdown, html)
               SELECT site_id, item_id, 1000, created_by, edited_by, '', '' FROM comments
                WHERE site_id = %(site)s AND item_id IS NOT NULL LIMIT 1 RETURNING 1""",
            site=there,
        )


@pytest.mark.wide
def test_a_site_of_everything_moves(platforms: Platforms, moving: Factory, tmp_path: Path) -> None:
    with factory(platforms.urls["there"], THERE) as others:
        # Users and ids there are others' already.
        others.site("neighbours")
    site = everything(moving, platforms.config("here").files_folder, "bikes")
    private = ("huddle_participants", "drafts", "bookmarks", "ignores", "watchers")
    ((linking, text),) = moving.sql(
        "SELECT comment_id, markdown FROM comments WHERE strpos(markdown, %(host)s) > 0",
        host=site.host,
    )
    plan = platforms.move("bikes", "--dry-run")
    assert platforms.site_id("there", "bikes") == 0
    assert "huddle_participants" in plan and "https://bikes.there.test" in plan
    platforms.move("bikes", "--copy-only")
    hidden = "SELECT is_deleted FROM sites WHERE subdomain_key = 'bikes'"
    assert platforms.rows("there", hidden) == [(True,)]
    assert platforms.rows("here", hidden) == [(False,)]
    copied = platforms.rows("there", "SELECT markdown FROM comments WHERE comment_id = %s", linking)
    assert copied == [(text.replace(site.host, "bikes.there.test"),)]
    # An address that is shown as such names the host, which counts in the hash.
    for change in CHANGES:
        assert moving.sql(change + " RETURNING 1", site=site.id, host=f"https://{site.host}")
    had = counts(platforms, "here", *private)
    before = platforms.hash("here", "bikes", tmp_path / "before")
    out = platforms.move("bikes")

    assert platforms.hash("there", "bikes", tmp_path / "after") == before
    assert float(re.findall(r"read-only for ([0-9.]+) s", out)[0]) < 60
    assert " no\n" not in out
    assert counts(platforms, "there", *private) == had and all(had)
    assert (
        counts(platforms, "there", "access_tokens", "webhooks", "audit_log", "mail_outbox")
        == [0] * 4
    )
    with (
        running(platforms.urls["here"], tmp_path / "web-here", webclient="true") as old,
        running(platforms.urls["there"], tmp_path / "web-there", platform_domain=THERE) as new,
    ):
        api = old.api()
        api.checks_schema = False
        gone = api.get("/api/v1/conversations/7?limit=25&access_token=x", site=site)
        assert (gone.status, gone.location.partition("://")[2]) == (
            301,
            "bikes.there.test/api/v1/conversations/7?limit=25",
        )
        page = api.get("/conversations/7/?offset=25", site=site)
        assert (page.status, page.location.partition("://")[2]) == (
            301,
            "bikes.there.test/conversations/7/?offset=25",
        )
        for path in ("/a%20b/", "/a%5Cb/"):
            odd = api.get(path, site=site)
            assert (odd.status, odd.location.partition("://")[2]) == (
                301,
                f"bikes.there.test{path}",
            )
        assert api.post("/api/v1/conversations", {}, site=site).status == 410
        sent = api.request(
            "POST",
            "/login/",
            form={"email": "anna@example.org"},
            site=site,
            headers={"Origin": f"http://{site.host}"},
        )
        assert sent.status == 410
        api.close()
        api = new.api()
        ((talk,),) = moving.sql("SELECT item_id FROM items WHERE title LIKE 'Hello%%'")
        shown = api.get(f"/api/v1/conversations/{talk}", host=f"bikes.{THERE}")
        assert (shown.status, shown.data["id"]) == (200, talk)
        assert "<strong>words</strong>" in shown.body.decode()
        api.close()
    assert "moved to" in platforms.move("bikes")

    # And back, where what stayed behind is closed; something was written meanwhile.
    platforms.rows(
        "there", "UPDATE items SET title = 'Written there' WHERE title = 'Meeting' RETURNING 1"
    )
    old_platform, new_platform = both(platforms)
    with SiteMove(
        new_platform, old_platform, "bikes", lambda _: None, lambda name, rows: None
    ) as move:
        assert move.run() is not None
    assert platforms.rows("here", hidden) == [(False,)]
    assert platforms.rows("there", hidden) == [(True,)]
    assert platforms.hash("here", "bikes", tmp_path / "back") == platforms.hash(
        "there", "bikes", tmp_path / "left"
    )


@pytest.mark.wide
def test_a_mail_sent_before_the_move_unsubscribes_after_it(
    platforms: Platforms, moving: Factory, tmp_path: Path
) -> None:
    with factory(platforms.urls["there"], THERE) as others:
        # The site's id there is another one.
        others.site("neighbours")
    site = moving.site("bikes")
    with moving.database.write() as tx:
        secret = platform_secret.find(tx, platform_secret.MAIL)
    what = MailKind(unsubscribe.PREFERENCE, update_types.REPLY, 0)
    code = unsubscribe.code(secret, site.id, site.member.id, what)
    stranger = unsubscribe.code(b"another platform's", site.id, site.owner.id, what)
    platforms.move("bikes")
    assert platforms.site_id("there", "bikes") != site.id

    with (
        running(platforms.urls["here"], tmp_path / "web-here") as old,
        running(platforms.urls["there"], tmp_path / "web-there", platform_domain=THERE) as new,
    ):
        before, after = old.api(), new.api()
        before.checks_schema = False
        for method, status in (("GET", 301), ("POST", 308)):
            sent = before.request(method, f"{unsubscribe.PATH}?code={code}", site=site)
            _, _, address = sent.location.partition("://")
            assert (sent.status, address) == (
                status,
                f"bikes.{THERE}{unsubscribe.PATH}?code={code}",
            )
            path = address.removeprefix(f"bikes.{THERE}")
            done = after.request(method, path, host=f"bikes.{THERE}")
            assert (done.status, b"replies to your comments" in done.body) == (200, True)
        forged = f"{unsubscribe.PATH}?code={stranger}"
        assert after.request("POST", forged, host=f"bikes.{THERE}").status == 400
        before.close()
        after.close()
    assert platforms.rows(
        "there", "SELECT profile_id, send_email FROM update_options WHERE NOT send_email"
    ) == [(site.member.id, False)]


class Writer(threading.Thread):
    """Member who comments, edits and deletes over HTTP until the site is gone. `said`: text of each comment that the
    platform has acknowledged last, None for a deleted one; `refused`: times at which the site was read-only.
    """

    def __init__(self, server: Server, talk: Thing, person: Person) -> None:
        super().__init__(daemon=True)
        self.api = server.api()
        self.api.checks_schema = False
        self.talk = talk
        self.person = person
        self.said: dict[int, str | None] = {}
        self.refused: list[float] = []
        self.stopped = 0

    def run(self) -> None:
        body = {"itemType": "conversation", "itemId": self.talk.id}
        for number in range(100_000):
            text = f"{self.person.name} says {number}"
            mine = [id for id, said in self.said.items() if said is not None]
            if number % 5 == 3 and mine:
                id = mine[number % len(mine)]
                sent = {"markdown": text, "meta": {"editReason": "Better"}}
                answer = self.api.put(f"/api/v1/comments/{id}", sent, by=self.person)
            elif number % 11 == 7 and mine:
                id, text = mine[0], ""
                answer = self.api.delete(f"/api/v1/comments/{id}", by=self.person)
            else:
                id = 0
                answer = self.api.post(
                    "/api/v1/comments", body | {"markdown": text}, by=self.person
                )
            if answer.status in (200, 302, 303):
                self.said[id or int(answer.location.rpartition("/")[2])] = text or None
            elif answer.status == 503 and answer.data["code"] == "read_only":
                self.refused.append(time.monotonic())
                time.sleep(0.05)
            else:
                self.stopped = answer.status
                break
            time.sleep(0.01)
        self.api.close()


@pytest.mark.wide
def test_nothing_that_was_acknowledged_is_lost_however_often_the_command_is_killed(
    platforms: Platforms, moving: Factory, tmp_path: Path
) -> None:
    site = moving.site("bikes")
    talk = moving.conversation(site)

    def is_read_only() -> bool:
        return bool(
            platforms.rows("here", "SELECT 1 FROM site_moves WHERE read_only_until > now()")
        )

    def has_copied() -> bool:
        rows = platforms.rows("there", "SELECT 1 FROM comments LIMIT 1")
        return bool(rows)

    with (
        running(platforms.urls["here"], tmp_path / "web-here") as old,
        running(platforms.urls["there"], tmp_path / "web-there", platform_domain=THERE) as new,
    ):
        writers = [Writer(old, talk, who) for who in (site.owner, site.member, site.newcomer)]
        for writer in writers:
            writer.start()
        services.wait_until(lambda: all(len(one.said) > 20 for one in writers), "nobody writes")
        for point in (has_copied, is_read_only, is_read_only):
            process = platforms.begin("bikes")
            services.wait_until(point, "the command does not get there", limit_s=60)
            time.sleep(random.Random(len(writers[0].said)).random() / 5)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        began = time.monotonic()
        out = platforms.move("bikes")
        for writer in writers:
            writer.join(20)

        assert {writer.stopped for writer in writers} <= {404, 410}
        (read_only,) = re.findall(r"read-only for ([0-9.]+) s", out)
        refused = [at for one in writers for at in one.refused if at > began]
        sys.stdout.write(
            f"read-only for {read_only} s, refused for {max(refused) - min(refused):.1f} s\n"
        )
        assert float(read_only) < 60
        there = platforms.site_id("there", "bikes")
        found = {
            id: None if is_deleted else text
            for id, text, is_deleted in platforms.rows(
                "there",
                "SELECT comment_id, markdown, is_deleted FROM comments WHERE site_id = %s",
                there,
            )
        }
        said = {id: text for one in writers for id, text in one.said.items()}
        lost = {id: text for id, text in said.items() if found.get(id, "lost") != text}
        assert lost == {}
        assert len(said) > 100
        assert platforms.hash("there", "bikes", tmp_path / "there-out") == platforms.hash(
            "here", "bikes", tmp_path / "here-out"
        )
        api = new.api()
        assert api.get(talk.path, host=f"bikes.{THERE}").status == 200
        api.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No web process has to see that the site moves, and none reads its events."""
    monkeypatch.setattr(site_moving, "_SEEN_S", 0.0)
    monkeypatch.setattr(site_moving, "_READERS_S", 0.0)


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_a_move_waits_for_transactions_that_began_before_it(
    platforms: Platforms, moving: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = moving.site("bikes")
    talk = moving.conversation(site)
    is_recorded = threading.Event()
    record, commit_switch = SiteMove._say_that_it_moves, SiteMove._commit_switch
    with psycopg.connect(platforms.urls["here"]) as early:
        # As a request does that has found its site, and then waits for a lock.
        early.execute("SELECT 1 FROM sites")
        monkeypatch.setattr(site_moving, "_ENDED_S", 0.1)
        with pytest.raises(MoveError, match="transactions that began"):
            moved_in_process(platforms)
        lease = "SELECT read_only_until > now() FROM site_moves"
        assert platforms.rows("here", lease) == [(False,)]

        def write() -> None:
            is_recorded.wait()
            time.sleep(0.8)
            early.execute(
                "INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, markdown, html)"
                " VALUES (%s, %s, 1, %s, %s, 'in flight', '')",
                [site.id, talk.id, site.owner.id, site.owner.id],
            )
            early.commit()

        def say(move: SiteMove) -> None:
            record(move)
            is_recorded.set()

        def switch(move: SiteMove, there: int, began: float) -> None:
            writer.join()
            commit_switch(move, there, began)

        writer = threading.Thread(target=write)
        writer.start()
        monkeypatch.setattr(site_moving, "_ENDED_S", 20.0)
        monkeypatch.setattr(SiteMove, "_say_that_it_moves", say)
        monkeypatch.setattr(SiteMove, "_commit_switch", switch)
        moved_in_process(platforms)

    assert platforms.rows("there", "SELECT markdown FROM comments") == [("in flight",)]


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_what_is_unique_may_pass_from_one_row_to_another_between_two_copies(
    platforms: Platforms, moving: Factory
) -> None:
    site = moving.site("bikes")
    moving.sql(
        """INSERT INTO bans (site_id, email_domain, display_reason) VALUES (%(site)s, 'bad.example', 'First')
        RETURNING 1""",
        site=site.id,
    )
    moving.sql(
        """INSERT INTO import_origins (site_id, title, product)
           VALUES (%(site)s, 'Old', 'phpbb'), (%(site)s, 'Older', 'phpbb') RETURNING 1""",
        site=site.id,
    )
    moving.sql(
        """INSERT INTO site_settings (site_id, key, value)
           VALUES (%(site)s, 'checks', '{"akismetKey": "f00", "maxLinks": 3}') RETURNING 1""",
        site=site.id,
    )
    moved_in_process(platforms, is_copy_only=True)
    users = platforms.rows("there", "SELECT count(*) FROM users")
    people = "SELECT p.profile_id, u.email FROM profiles p JOIN users u USING (user_id) ORDER BY 1"
    (_, first), (_, second), *_ = platforms.rows("here", people)
    change = "UPDATE users SET email = %s, canonical_email = %s, person_key = %s WHERE email = %s RETURNING 1"
    for old, new in (
        (first, "passing@example.org"),
        (second, first),
        ("passing@example.org", second),
    ):
        platforms.rows("here", change, new, new, new, old)
    platforms.rows("here", "UPDATE bans SET display_reason = 'Second' RETURNING 1")
    for old, new in (("Old", "Passing"), ("Older", "Old"), ("Passing", "Older")):
        rename = "UPDATE import_origins SET title = %s WHERE title = %s RETURNING 1"
        platforms.rows("here", rename, new, old)
    moved = moved_in_process(platforms)

    assert moved is not None
    for query in (
        people,
        "SELECT email_domain, display_reason FROM bans",
        "SELECT origin_id, title FROM import_origins ORDER BY 1",
    ):
        assert platforms.rows("there", query) == platforms.rows("here", query)
    assert platforms.rows("there", "SELECT count(*) FROM users") == users
    # A key of the owner's at another service is a secret.
    kept = platforms.rows("there", "SELECT value FROM site_settings WHERE key = 'checks'")
    assert kept == [({"maxLinks": 3},)]


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_an_action_that_begins_during_the_copies_ends_before_the_site_moves(
    platforms: Platforms, moving: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = moving.site("bikes")
    make_read_only = SiteMove._make_read_only

    def begin(move: SiteMove) -> None:
        moving.sql(
            """INSERT INTO actions (site_id, actor_id, kind, ground, category, state)
               VALUES (%(site)s, %(me)s, 'delete', 'terms', 'spam', 'undoing') RETURNING 1""",
            site=site.id,
            me=site.owner.id,
        )
        make_read_only(move)

    monkeypatch.setattr(SiteMove, "_make_read_only", begin)
    with pytest.raises(MoveError, match="action of moderators"):
        moved_in_process(platforms)
    lease = "SELECT state, read_only_until > now() FROM site_moves"
    assert platforms.rows("here", lease) == [("copying", False)]
    with pytest.raises(MoveError, match="action of moderators"):
        moved_in_process(platforms, is_copy_only=True)

    # A copy that is not served yet is left alone by the other platform's worker.
    monkeypatch.setattr(SiteMove, "_problems", lambda _: [])
    moved_in_process(platforms, is_copy_only=True)
    claimed = {}
    for name in ("here", "there"):
        database = Database(platforms.urls[name], size=1)
        with database.write() as tx:
            claimed[name] = Action.claim(tx, {}) is not None
        database.close()
    assert claimed == {"here": True, "there": False}


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_the_wait_for_readers_begins_when_all_events_have_numbers(
    platforms: Platforms, moving: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = moving.site("bikes")
    moving.sql(
        """INSERT INTO event_log (site_id, kind, item_type_id, item_id) VALUES (%(site)s, 'created', 6, 1)
        RETURNING 1""",
        site=site.id,
    )
    with begun(platforms) as move:
        began = time.monotonic()
        move._wait_for_readers(began + 0.3)
        assert time.monotonic() - began >= 0.3
        database = Database(platforms.urls["here"], size=1)
        with database.write() as tx:
            tx.run(event_log.NUMBER)
        database.close()
        began = time.monotonic()
        move._wait_for_readers(began + 5)
        assert time.monotonic() - began < 2


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_an_old_command_changes_nothing_of_a_site_that_came_back(
    platforms: Platforms, moving: Factory
) -> None:
    moving.site("bikes")
    moved_in_process(platforms)
    here, there = both(platforms)

    def back() -> FinishedMove | None:
        with SiteMove(there, here, "bikes", lambda _: None, lambda name, rows: None) as move:
            return move.run()

    back()
    moved_in_process(platforms, is_copy_only=True)
    title = "SELECT title, is_deleted FROM sites WHERE subdomain_key = 'bikes'"
    platforms.rows(
        "here", "UPDATE sites SET title = 'New' WHERE subdomain_key = 'bikes' RETURNING 1"
    )
    with pytest.raises(MoveError, match="moved from there"):
        back()
    assert platforms.rows("here", title) == [("New", False)]
    # Two commands, one of each platform, exclude each other.
    with begun(platforms), pytest.raises(MoveError, match="another command"):
        back()
    # Killed between the commits of the second move away, the old command still opens nothing.
    platforms.rows(
        "here",
        "UPDATE site_moves SET state = 'switched', switched = now() RETURNING 1",
    )
    platforms.rows(
        "here", "UPDATE sites SET is_deleted = true WHERE subdomain_key = 'bikes' RETURNING 1"
    )
    with pytest.raises(MoveError, match="moved from there"):
        back()
    moved_in_process(platforms)
    assert platforms.rows("there", title) == [("New", False)]


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_a_read_only_site_that_has_moved_stays_closed_whatever_its_state(
    platforms: Platforms, moving: Factory
) -> None:
    site = moving.site("bikes")
    here, there = both(platforms)
    hidden = "SELECT is_deleted FROM sites WHERE subdomain_key = 'bikes'"
    moving.sql(
        "INSERT INTO site_states (site_id, state) VALUES (%(site)s, 'read-only') RETURNING 1",
        site=site.id,
    )

    moved_in_process(platforms)

    opened = "UPDATE sites SET is_deleted = was_deleted FROM site_states v WHERE v.site_id = sites.site_id RETURNING 1"
    platforms.rows("here", opened)
    assert platforms.rows("here", hidden) == [(True,)]
    with SiteMove(there, here, "bikes", lambda _: None, lambda name, rows: None) as back:
        back.run()
    platforms.rows("here", opened)
    assert platforms.rows("here", hidden) == [(False,)]


@pytest.mark.wide
@pytest.mark.usefixtures("at_once")
def test_people_of_a_copy_go_with_it_and_what_they_asked_for_comes_along(
    platforms: Platforms, moving: Factory
) -> None:
    site = moving.site("bikes")
    people = "SELECT email FROM users ORDER BY email"
    make_user = "INSERT INTO users (email, canonical_email, person_key) VALUES (%s, %s, %s) RETURNING user_id"
    ((banned,),) = platforms.rows("here", make_user, *["banned@example.org"] * 3)
    platforms.rows("there", make_user, *["stranger@example.org"] * 3)
    platforms.rows(
        "here",
        "INSERT INTO bans (site_id, user_id, display_reason) VALUES (%s, %s, 'Spam') RETURNING 1",
        site.id,
        banned,
    )
    before = platforms.rows("there", people)
    moved_in_process(platforms, is_copy_only=True)
    change = """UPDATE users SET email = %(new)s, canonical_email = %(new)s, person_key = %(new)s
                 WHERE user_id = (SELECT user_id FROM profiles WHERE profile_id = %(id)s)
             RETURNING 1"""
    moving.sql(change, new="later@example.org", id=site.member.id)
    moved_in_process(platforms, is_copy_only=True)
    # Somebody has begun to sign in there meanwhile.
    place = """INSERT INTO sign_in_places (user_id, place_hash)
               SELECT user_id, 'x'::bytea FROM users WHERE email = 'later@example.org' RETURNING 1"""
    platforms.rows("there", place)
    with begun(platforms) as move:
        move.undo()
    assert platforms.rows("there", people) == sorted([*before, ("later@example.org",)])

    ask = """INSERT INTO account_erasures (user_id, words, due)
             SELECT user_id, 'remove', '2030-01-01' FROM profiles WHERE profile_id = %(id)s RETURNING 1"""
    for person in (site.member, site.newcomer):
        moving.sql(ask, id=person.id)
    ((address,),) = moving.sql(
        "SELECT email FROM users u JOIN profiles p USING (user_id) WHERE p.profile_id = %(id)s",
        id=site.newcomer.id,
    )
    # Known there under a proven address: of this person the site's profile alone is erased.
    platforms.rows(
        "there",
        """INSERT INTO users (email, canonical_email, person_key, email_verified) VALUES (%s, %s, %s, true)
        RETURNING 1""",
        *[address] * 3,
    )
    database = Database(platforms.urls["here"], size=1)
    with database.write() as tx:
        mail_suppression.Suppression.insert(tx, "later@example.org", mail_suppression.REPORTED, "")
    database.close()
    moving.sql(
        "UPDATE sites SET web_url = %(url)s, web_url_is_operators = true WHERE site_id = %(site)s RETURNING 1",
        url=f"https://bikes.{PLATFORM_DOMAIN}",
        site=site.id,
    )
    moved_in_process(platforms)

    whole = "SELECT u.email, e.words FROM account_erasures e JOIN users u USING (user_id)"
    assert platforms.rows("there", whole) == [("later@example.org", "remove")]
    asked = "SELECT profile_id, words, state FROM erasures"
    assert platforms.rows("there", asked) == [(site.newcomer.id, "remove", "waiting")]
    off = f"SELECT u.email FROM users u WHERE {mail_suppression.IS_OFF}"
    assert platforms.rows("there", off) == [("later@example.org",)]
    url = "SELECT web_url FROM sites WHERE subdomain_key = 'bikes'"
    assert platforms.rows("there", url) == [(None,)]
