"""A person with a row in each table that names people, erased: nothing of them is left, nor after a restore."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from pymemcache.client.base import Client

from forumapi.command import backup
from forumapi.config import Config
from forumapi.cron import erasures, personal_exports, search_indexing
from forumapi.database.connections import Database
from forumapi.models.privacy.inventory import PERSON_TABLES
from tests import services
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.files import pictures
from tests.fixtures import factory, running

NAME: Final = "Kanarie77"
ADDRESS: Final = "kanarie77@address.example"
MACHINE: Final = "203.0.113.77"
TEXT: Final = "kanarientext77"
FILE: Final = b"kanariendatei77: the bytes of a file"
# As a dump of the database, a value of memcached or a file could hold them.
CANARIES: Final = (NAME.lower(), ADDRESS, MACHINE, TEXT, "kanariendatei77")

# Rows that no request below makes, each with what the person could have in it. A new table of the persons' inventory
# gets its row here: a statement with the parameters of `_parameters`.
ROWS: Final = """
    UPDATE users SET email = %(address)s, canonical_email = %(address)s, person_key = %(address)s, gender = %(text)s,
           language = 'en', dob_year = 1990 WHERE user_id = %(user)s;
    UPDATE access_tokens SET user_agent = %(text)s, name = %(text)s, ip = %(machine)s, last_ip = %(machine)s
     WHERE user_id = %(user)s;
    INSERT INTO oauth_clients (client_id, name, secret_hash, site_id, created_by)
    VALUES (7701, 'A program', 'x', %(site)s, %(me)s);
    INSERT INTO oauth_grants (site_id, grant_id, client_id, user_id, scopes)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7702, 7701, %(user)s, '{comments:read}');
    INSERT INTO refresh_tokens (token_hash, family_id, user_id, client_id, site_id, expires)
    VALUES ('kanarie', 7702, %(user)s, 7701, %(site)s, now() + interval '1 day');
    INSERT INTO one_time_secrets (user_id, secret) VALUES (%(user)s, %(text)s);
    INSERT INTO recovery_codes (user_id, code_hash) VALUES (%(user)s, 'x');
    INSERT INTO passkeys (user_id, credential_id, rp_id, public_key, sign_count, name)
    VALUES (%(user)s, 'kanarie', 'x.test', 'x', 0, %(text)s);
    INSERT INTO sign_in_places (user_id, place_hash) VALUES (%(user)s, 'x');
    INSERT INTO single_use (kind, secret_hash, subject, payload, expires)
    VALUES ('email-change', 'x', %(user)s::bigint::text, jsonb_build_object('email', %(address)s::text),
            now() + interval '1 day'),
           ('email-code', 'y', %(address)s, '{}', now() + interval '1 day');
    INSERT INTO attempt_counters (kind, subject, window_start, attempts)
    VALUES ('code-try-address', %(address)s, now(), 1), ('code-try-known', %(address)s || ' place', now(), 1);
    INSERT INTO right_changes (changed_in, user_id) VALUES (pg_current_xact_id(), %(user)s) ON CONFLICT DO NOTHING;
    INSERT INTO bans (site_id, user_id, display_reason, admin_reason, expires, created_by)
    VALUES (%(elsewhere)s, %(user)s, %(text)s, %(text)s, NULL, NULL),
           (%(site)s, %(user)s, %(text)s, %(text)s, now() - interval '1 day', NULL);
    UPDATE profiles SET gender = %(text)s WHERE profile_id = %(me)s;
    INSERT INTO attributes (site_id, item_type_id, item_id, key, value_type_id, string_value, written_by, written)
    VALUES (%(site)s, 3, %(me)s, 'hobby', 1, %(text)s, %(me)s, now()),
           (%(site)s, 4, %(comment)s, 'mood', 1, %(text)s, %(me)s, now());
    INSERT INTO site_offers (site_id, profile_id, offered_by) VALUES (%(site)s, %(me)s, %(owner)s);
    INSERT INTO import_origins (site_id, origin_id, title, product)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7703, 'Old forum', 'phpbb');
    INSERT INTO site_exports (site_id, user_id, profile_id, token_id) VALUES (%(site)s, %(user)s, %(me)s, 1);
    INSERT INTO site_imports (site_id, user_id, profile_id, token_id, title, granted, reason, state)
    VALUES (%(site)s, %(user)s, %(me)s, 1, %(text)s, ARRAY[%(name)s]::text[], %(text)s, 'failed');
    INSERT INTO imported_profiles (site_id, profile_id, origin_id, person_key, email)
    VALUES (%(site)s, %(me)s, 7703, %(address)s, %(address)s);
    INSERT INTO imported_items (site_id, origin_id, item_type_id, old_id, item_id, detail)
    VALUES (%(site)s, 7703, 3, %(name)s, %(me)s, %(text)s);
    INSERT INTO watchers (site_id, profile_id, item_type_id, item_id)
    VALUES (%(site)s, %(me)s, 2, %(root)s), (%(site)s, %(other)s, 3, %(me)s) ON CONFLICT DO NOTHING;
    INSERT INTO ignores (site_id, profile_id, item_type_id, item_id)
    VALUES (%(site)s, %(me)s, 3, %(owner)s), (%(site)s, %(owner)s, 3, %(me)s);
    INSERT INTO bookmarks (site_id, profile_id, item_type_id, item_id) VALUES (%(site)s, %(me)s, 4, %(comment)s);
    INSERT INTO drafts (site_id, profile_id, place_type_id, place_id, writes_type_id, content)
    VALUES (%(site)s, %(me)s, 2, %(root)s, 6, %(text)s);
    INSERT INTO read_marks (site_id, profile_id, item_type_id, item_id, read_at)
    VALUES (%(site)s, %(me)s, 2, %(root)s, now()) ON CONFLICT DO NOTHING;
    INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, created_by)
    VALUES (%(site)s, %(me)s, 2, 4, %(comment)s, %(other)s), (%(site)s, %(other)s, 2, 4, %(comment)s, %(me)s)
        ON CONFLICT DO NOTHING;
    INSERT INTO update_options (site_id, profile_id, update_type_id, send_email, send_sms)
    VALUES (%(site)s, %(me)s, 2, true, false) ON CONFLICT DO NOTHING;
    INSERT INTO push_subscriptions (site_id, subscription_id, profile_id, token_id, endpoint, endpoint_hash, public_key,
                                    auth_secret)
    OVERRIDING SYSTEM VALUE SELECT %(site)s, 7711, %(me)s, min(token_id), 'https://push.example/' || %(text)s, 'x',
           convert_to(repeat('x', 65), 'UTF8'), convert_to(repeat('x', 16), 'UTF8')
      FROM access_tokens WHERE user_id = %(user)s;
    INSERT INTO push_messages (site_id, subscription_id, profile_id, cause, update_type_id, item_type_id, item_id,
                               by_profile_id, last_error, not_before)
    VALUES (%(site)s, 7711, %(me)s, 'k1', 2, 4, %(comment)s, %(other)s, %(text)s, now() + interval '1 day');
    INSERT INTO idempotency_keys (site_id, profile_id, method, path, key, body_hash)
    VALUES (%(site)s, %(me)s, 'POST', '/x', %(text)s, 'x');
    UPDATE events SET place = %(text)s WHERE item_id = %(event)s;
    UPDATE polls SET question = %(text)s WHERE item_id = %(poll)s;
    UPDATE poll_choices SET choice = %(text)s || sequence WHERE item_id = %(poll)s;
    INSERT INTO poll_ballots (site_id, item_id, user_id, choice_ids) VALUES (%(site)s, %(poll)s, %(user)s, '{1}');
    INSERT INTO reactions (site_id, item_type_id, item_id, profile_id, name)
    VALUES (%(site)s, 4, %(theirs)s, %(me)s, 'like');
    INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip)
    VALUES (%(site)s, 4, %(comment)s, %(me)s, 'C', %(machine)s);
    INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, html_body, state, profile_id, by_profile_id)
    VALUES (%(site)s, 'k1', %(address)s, %(text)s, %(text)s, %(name)s, 'sent', %(me)s, NULL),
           (%(site)s, 'k2', 'other@example.test', %(name)s, %(text)s, %(text)s, 'queued', %(other)s, %(me)s),
           (%(site)s, 'k3', 'other@example.test', 'Digest', 'Said ' || %(name)s, NULL, 'sent', %(other)s, NULL),
           (NULL, 'k4', %(address)s, 'x', %(text)s, NULL, 'sent', NULL, NULL);
    INSERT INTO webhooks (site_id, webhook_id, url, secret, created_by, acts_as)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7704, 'https://hook.example/', 'x', %(me)s, %(me)s);
    INSERT INTO cases (site_id, case_id, item_type_id, item_id, microcosm_id, author_id, priority, due)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7705, 4, %(comment)s, %(root)s, %(me)s, 2, now()),
                                   (%(site)s, 7706, 4, %(theirs)s, %(root)s, %(other)s, 2, now());
    INSERT INTO reports (site_id, case_id, item_type_id, item_id, reporter_id, kind, category, text)
    VALUES (%(site)s, 7705, 4, %(comment)s, %(other)s, 'spam', 'x', %(text)s),
           (%(site)s, 7706, 4, %(theirs)s, %(me)s, 'spam', 'x', %(text)s);
    INSERT INTO reports (site_id, case_id, item_type_id, item_id, guest_email, guest_name, guest_key, kind, category,
                         text)
    SELECT %(site)s, 7706, 4, %(theirs)s, %(address)s, %(name)s, u.person_key, 'spam', 'x', %(text)s
      FROM profiles p
      JOIN users u ON u.user_id = p.user_id
     WHERE p.site_id = %(site)s AND p.profile_id = %(me)s;
    INSERT INTO content_checks (site_id, item_type_id, item_id, author_id, state, done, verdicts)
    VALUES (%(site)s, 4, %(comment)s, %(me)s, 'passed', now(),
            jsonb_build_array(jsonb_build_object('reason', %(text)s::text)));
    INSERT INTO case_notes (site_id, case_id, text, created_by)
    VALUES (%(site)s, 7705, %(text)s, %(owner)s), (%(site)s, 7706, %(text)s, %(me)s);
    INSERT INTO actions (site_id, action_id, kind, state, actor_id, ground, category, reason, note)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7707, 'hide', 'done', %(owner)s, 'terms', 'x', %(text)s, %(text)s),
                                   (%(site)s, 7708, 'hide', 'done', %(me)s, 'terms', 'x', 'x', '');
    INSERT INTO carried_marks (site_id, action_id, from_id, kind, profile_id, item_type_id, item_id)
    VALUES (%(site)s, 7707, 7710, 'watcher', %(me)s, 6, 7711);
    INSERT INTO statements (site_id, statement_id, action_id, profile_id)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7709, 7707, %(me)s);
    INSERT INTO action_changes (site_id, action_id, place, item_type_id, item_id, author_id, state, before, after,
                                applied, statement_id)
    VALUES (%(site)s, 7707, 1, 4, %(comment)s, %(me)s, 'done', jsonb_build_object('edit_reason', %(text)s::text), '{}',
            now(), 7709);
    INSERT INTO appeals (site_id, appeal_id, statement_id, action_id, profile_id)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7710, 7709, 7707, %(me)s);
    INSERT INTO appeal_messages (site_id, appeal_id, text, created_by)
    VALUES (%(site)s, 7710, %(text)s, %(me)s), (%(site)s, 7710, %(text)s, %(owner)s);
    INSERT INTO rules (site_id, rule_id, mode, event, definition)
    OVERRIDING SYSTEM VALUE VALUES (%(site)s, 7711, 'off', 'x', '{}');
    INSERT INTO rule_versions (site_id, rule_id, version, mode, event, definition, created_by)
    VALUES (%(site)s, 7711, 1, 'off', 'x', '{}', %(me)s);
    INSERT INTO rule_plans (site_id, mode, event, definition, matched, created_by)
    VALUES (%(site)s, 'shadow', 'x', '{}', 0, %(me)s);
    INSERT INTO sanctions (site_id, profile_id, microcosm_id, is_ban) VALUES (%(site)s, %(me)s, %(root)s, false);
    INSERT INTO legal_versions (site_id, name, version, body, asks_again) VALUES (%(site)s, 'terms', 1, 'x', true);
    INSERT INTO consents (site_id, profile_id, name, version) VALUES (%(site)s, %(me)s, 'terms', 1);
    INSERT INTO withdrawn_consents (site_id, profile_id, name, version, given)
    VALUES (%(site)s, %(me)s, 'terms', 1, now() - interval '1 day');
    UPDATE sites SET created_by = %(me)s WHERE site_id = %(site)s;
    UPDATE microcosms SET created_by = %(me)s, edited_by = %(me)s, edit_reason = %(text)s WHERE site_id = %(site)s;
    UPDATE roles SET edited_by = %(me)s, edit_reason = %(text)s WHERE site_id = %(site)s"""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with services.database(postgres_url, "erased") as made:
        yield made


@pytest.fixture
def config(url: str, tmp_path: Path, memcached: str) -> Config:
    return Config(
        database_url=url, data_dir=str(tmp_path), memcached=(memcached,), cache_prefix=tmp_path.name
    )


@pytest.fixture
def api(url: str, tmp_path: Path, memcached: str) -> Iterator[Api]:
    with running(url, tmp_path, memcached=memcached, cache_prefix=tmp_path.name) as server:
        client = server.api()
        yield client
        client.close()


@pytest.fixture
def make(url: str) -> Iterator[Factory]:
    with factory(url) as maker:
        yield maker


def _hits_in_tables(url: str) -> dict[str, list[str]]:
    """Canaries in each table, looked for in the text of each row, and in bytes as a dump writes them."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(url) as connection:
        for (name,) in connection.execute(backup.TABLES).fetchall():
            for canary in CANARIES:
                like = sql.SQL(
                    "SELECT count(*) FROM {} t WHERE lower(t::text) LIKE %s OR lower(t::text) LIKE %s"
                ).format(sql.Identifier(name))
                row = connection.execute(
                    like, [f"%{canary}%", f"%{canary.encode().hex()}%"]
                ).fetchone()
                if row is not None and row[0]:
                    found.setdefault(name, []).append(canary)
    return found


def _hits_in_files(folder: Path) -> list[str]:
    """Objects of the store with a canary in them; a ZIP is looked for by its own beginning."""
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (path.read_bytes().startswith(b"PK") or b"kanarie" in path.read_bytes().lower())
    ]


def _hits_in_memcached(address: str, prefix: str) -> list[str]:
    """Keys that begin with a prefix, whose values have a canary in them."""
    values = Client(address).get_many(
        [key for key in services.memcached_keys(address) if prefix in key]
    )
    return [
        key
        for key, value in values.items()
        if any(one.encode() in value.lower() for one in CANARIES)
    ]


def _write(api: Api, make: Factory, site: Site, me: Person) -> dict[str, Any]:
    """Let the person do through the API what they can; return the parameters of ROWS."""
    other = site.member
    chat = make.conversation(site, by=me, title=f"Title {TEXT}")
    comment = make.comment(chat, by=me, markdown=f"{TEXT} https://{TEXT}.example/ and @{NAME} me")
    edit = {"markdown": f"{TEXT} again"}
    assert api.put(comment.path, edit, by=me).status == 302
    theirs = make.comment(chat, by=other, markdown=f"Hello @{NAME}, and +{NAME}!")
    assert api.put(theirs.path, {"markdown": f"Dear @{NAME}"}, by=other).status == 302
    make.comment(me, by=me, markdown=f"About me: {TEXT}")
    make.comment(me, by=other, markdown=f"Nice, @{NAME}")
    huddle = make.huddle(me, other, title=f"Huddle {TEXT}")
    make.comment(huddle, by=me, markdown=TEXT)
    make.comment(huddle, by=other, markdown=f"Yes, @{NAME}")
    event, poll = make.event(site, by=me), make.poll(site, by=me)
    make.attend(event, me)
    hash = pictures.upload(api, me, FILE, f"{TEXT}.txt", "text/plain")
    picture = pictures.upload(api, me, pictures.png(), f"{TEXT}.png")
    for where, what in ((comment, hash), (me, picture)):
        body = {"fileHash": what, "fileName": f"{TEXT}.x"}
        assert api.post(f"{where.path}/attachments", body, by=me).status == 302
    make.join(make.role(site, site.root_id, "Regulars"), me)
    return {
        "site": site.id,
        "root": site.root_id,
        "me": me.id,
        "user": me.user_id,
        "other": other.id,
        "owner": site.owner.id,
        "comment": comment.id,
        "theirs": theirs.id,
        "event": event.id,
        "poll": poll.id,
        "chat": chat.id,
        "picture": picture,
        "name": NAME,
        "address": ADDRESS,
        "machine": MACHINE,
        "text": TEXT,
    }


def _tables_without_me(url: str, me: Person) -> list[str]:
    """Tables of the inventory with a column that refers to people, in which no row is the person's."""
    lacking = []
    with psycopg.connect(url) as connection:
        for table in PERSON_TABLES:
            conditions = []
            for line in table.lines:
                for column in line.columns.split():
                    if column == "user_id":
                        conditions.append(sql.SQL("t.user_id = {}").format(me.user_id))
                    elif re.search(
                        r"(^|_)(profile|author|actor|person)_id$|_by$|^acts_as$", column
                    ):
                        conditions.append(
                            sql.SQL("t.{} = {}").format(sql.Identifier(column), me.id)
                        )
            if conditions:
                row = connection.execute(
                    sql.SQL("SELECT count(*) FROM {} t WHERE {}").format(
                        sql.Identifier(table.name), sql.SQL(" OR ").join(conditions)
                    )
                ).fetchone()
                if row == (0,):
                    lacking.append(table.name)
    return lacking


def _only(canaries: Sequence[str], found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of the hits that are of these canaries."""
    left = {name: [one for one in hits if one in canaries] for name, hits in found.items()}
    return {name: hits for name, hits in left.items() if hits}


@pytest.mark.wide
def test_words_that_stay_name_nobody(api: Api, make: Factory, url: str, config: Config) -> None:
    site, elsewhere = make.site("kanal"), make.site("sonst")
    me = make.person(site, NAME)
    params = _write(api, make, site, me) | {"elsewhere": elsewhere.id}
    with psycopg.connect(url) as connection:
        for statement in ROWS.split(";\n"):
            connection.execute(statement.encode(), params)
    assert api.delete(f"/api/v1/users/{me.user_id}", by=me).status == 200

    _erase(url, config)

    found = _hits_in_tables(url)
    assert _only((NAME.lower(), ADDRESS, MACHINE), found) == {}
    assert _only((TEXT,), found).keys() >= {"comments", "items", "comment_revisions", "attachments"}
    assert not found.keys() & {"drafts", "mail_outbox", "attributes_of_profile", "passkeys"}


_KILLED: Final = """
import sys
from forumapi.config import Config
from forumapi.cron import erasures
from forumapi.database.connections import Database
erasures.work_off(Database(sys.argv[1]), Config(database_url=sys.argv[1], data_dir=sys.argv[2]))
"""
_MANY: Final = """
    INSERT INTO comments (site_id, item_id, seq, created_by, edited_by, renderer, markdown, html)
    SELECT %(site)s, %(item)s, 100 + n, %(me)s, %(me)s, 1, 'kanarientext77 ' || n, '<p>kanarientext77</p>'
      FROM generate_series(1, 6000) AS n"""


def _is_down_to(url: str, target: int) -> bool:
    """Return True if so many comments are left, or fewer."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM comments WHERE markdown LIKE 'kanarientext77%'"
        ).fetchone()
    return row is not None and row[0] <= target


@pytest.mark.wide
def test_an_erasure_goes_on_where_it_was_killed(
    make: Factory, url: str, config: Config, tmp_path: Path
) -> None:
    site = make.site("kanal")
    me = make.person(site, NAME)
    chat = make.conversation(site, by=me)
    with psycopg.connect(url) as connection:
        connection.execute(_MANY, {"site": site.id, "item": chat.id, "me": me.id})
        connection.execute(
            "INSERT INTO erasures (site_id, profile_id, words, due) VALUES (%s, %s, 'remove', now())",
            [site.id, me.id],
        )
    for target in (5500, 3500, 1500):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, url, str(tmp_path)])
        services.wait_until(partial(_is_down_to, url, target), "nothing was erased")
        process.kill()
        process.wait()
    assert not _is_down_to(url, 0), "it was never killed in the middle"

    # The server lets go of the lock of a process that was killed when it notices.
    database = Database(url)
    try:
        services.wait_until(lambda: erasures.work_off(database, config) == 1, "it did not go on")
    finally:
        database.close()
    _forget_words(config)

    # The account, and its address, stay.
    assert _hits_in_tables(url).keys() == {"users"}
    assert len(list(erasures.read_journal([config.erasure_journal_path]))) == 1


@pytest.mark.wide
def test_nothing_of_the_person_is_left_nor_comes_back_with_a_backup(
    api: Api,
    make: Factory,
    url: str,
    config: Config,
    memcached: str,
    tmp_path: Path,
    empty_database: str,
) -> None:
    site, elsewhere = make.site("kanal"), make.site("sonst")
    me = make.person(site, NAME)
    params = _write(api, make, site, me) | {"elsewhere": elsewhere.id}
    with psycopg.connect(url) as connection:
        for statement in ROWS.split(";\n"):
            connection.execute(statement.encode(), params)
    chat = Thing(site, 6, params["chat"])
    assert NAME in str(api.get(chat.path, by=site.member).data)
    api.get(f"{chat.path}?limit=25", host=site.host)
    assert api.post(f"{me.path}/export", by=me).status == 200
    while personal_exports.work_off(config):
        pass
    assert api.delete(f"{me.path}?words=remove", by=me).status == 200
    assert api.delete(f"/api/v1/users/{me.user_id}?words=remove", by=me).status == 200

    missing = _tables_without_me(url, me)
    assert missing == [], f"give the person a row in ROWS of each of these: {missing}"
    before = _hits_in_tables(url)
    assert len(before) > 20
    assert _hits_in_files(config.files_folder)
    assert _hits_in_memcached(memcached, config.cache_prefix)
    saved, _ = backup.create(url, config.files_folder, tmp_path / "backups")

    _erase(url, config)

    assert _hits_in_tables(url) == {}
    assert _hits_in_files(config.files_folder) == []
    assert _hits_in_memcached(memcached, config.cache_prefix) == []
    shown = api.get(chat.path, by=site.member)
    assert "Dear @deleted" in str(shown.data)
    assert _hits_in_memcached(memcached, config.cache_prefix) == []

    folder = tmp_path / "restored"
    backup.restore(saved, empty_database, folder)
    assert _hits_in_tables(empty_database).keys() == before.keys()
    restored = replace(config, database_url=empty_database, files_path=str(folder))
    assert backup.replay_erasures(restored, [config.erasure_journal_path]) > 0
    _forget_words(restored)
    assert _hits_in_tables(empty_database) == {}
    assert _hits_in_files(folder) == []
    assert backup.replay_erasures(restored, [config.erasure_journal_path]) == 0


def _erase(url: str, config: Config) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE erasures SET due = now()")
        connection.execute("UPDATE account_erasures SET due = now()")
    database = Database(url)
    try:
        assert erasures.work_off(database, config)
    finally:
        database.close()
    _forget_words(config)


def _forget_words(config: Config) -> None:
    """Run the job that takes words off the vocabulary, which runs each minute."""
    database = Database(config.database_url)
    try:
        for _ in range(3):
            with database.write() as tx:
                search_indexing.search_words(tx, config)
    finally:
        database.close()
