"""Retention periods of sites: what is older goes in batches, what is restored stays, a backup brings none back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.command import backup
from forumapi.config import Config
from forumapi.cron import erasures, retention
from forumapi.cron.audit_chain_maintenance import audit_heads
from forumapi.models.journal import journal
from forumapi.models.privacy import retention_steps
from forumapi.models.texts import text_removal
from forumapi.models.trust.action import UNDO_DAYS
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
from tests.files import pictures
from tests.models.journal.chains import KEY, act, age, chain, verify

PATH = "/api/v1/site/retention"


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    return Config(
        environment="development", database_url=database_url, data_dir=str(tmp_path), audit_key=KEY
    )


@pytest.fixture
def site(make: Factory) -> Site:
    return make.site()


@pytest.fixture(autouse=True)
def nothing_else_is_due(make: Factory, config: Config) -> None:
    """Carry out what other tests have left, so that counts are those of one test."""
    retention.work_off(make.database, config)


def set_periods(api: Api, site: Site, **days: Any) -> None:
    assert api.put(PATH, days, by=site.owner).status == 302


def preview(api: Api, site: Site, **days: Any) -> dict[str, int]:
    answer = api.put(f"{PATH}?dryRun=true", days, by=site.owner)
    assert answer.status == 200
    return {kind: loss["count"] for kind, loss in answer.data.items() if loss["count"]}


def delete(api: Api, make: Factory, thing: Thing, by: Person, *, days: int) -> None:
    """Delete a thing, so many days ago; nobody can appeal any more."""
    assert api.delete(thing.path, by=by).status == 200
    make.sql(
        """UPDATE statements SET created = created - interval '1 year'
            WHERE site_id = %(site)s RETURNING 1""",
        site=thing.site.id,
    )
    assert make.sql(
        """UPDATE deletions SET deleted = now() - make_interval(days => %(days)s)
            WHERE site_id = %(site)s AND item_id = %(id)s AND item_type_id = %(type)s RETURNING 1""",
        days=days,
        type=thing.type,
        site=thing.site.id,
        id=thing.id,
    ) == [(1,)]


def target(thing: Thing) -> dict[str, Any]:
    return {"itemType": "comment", "itemId": thing.id}


def texts(make: Factory, site: Site) -> dict[int, str]:
    rows = make.sql("SELECT comment_id, markdown FROM comments WHERE site_id = %(id)s", id=site.id)
    return dict(rows)


def left(make: Factory, table: str, site: Site) -> int:
    ((count,),) = make.sql(f"SELECT count(*) FROM {table} WHERE site_id = %(id)s", id=site.id)
    return int(count)


@pytest.mark.wide
def test_texts_of_what_was_deleted_long_ago_go_and_others_stay(
    api: Api, make: Factory, site: Site, config: Config
) -> None:
    chat = make.conversation(site, by=site.member)
    old, young, back, reported, shown = make.comments(chat, 5, by=site.member)
    assert api.put(old.path, {"markdown": "Edited"}, by=site.member).status == 302
    gone = make.conversation(site, by=site.member, title="Title that goes")
    below = make.comment(gone, by=site.newcomer, markdown="Below it")
    make.report(reported, by=site.newcomer)
    for thing, days in ((old, 41), (back, 41), (reported, 41), (young, 39), (gone, 50)):
        delete(api, make, thing, site.moderator, days=days)
    assert api.patch(back.path, ("deleted", False), by=site.moderator).status == 200
    before = texts(make, site)

    counted = preview(api, site, deletedTexts=40)
    assert counted == {"comments": 2, "revisions": 1, "items": 1}
    assert retention.work_off(make.database, config) == 0
    set_periods(api, site, deletedTexts=40)
    assert retention.work_off(make.database, config) > 0

    after = texts(make, site)
    assert {id for id in after if after[id] != before[id]} == {old.id, below.id}
    assert after[old.id] == after[below.id] == "[removed]"
    assert make.sql(
        "SELECT title FROM items WHERE site_id = %(site)s AND item_id = %(id)s",
        site=site.id,
        id=gone.id,
    ) == [("[removed]",)]
    assert left(make, "comment_revisions", site) == 0
    assert left(make, "deletions", site) == 2
    assert preview(api, site, deletedTexts=40) == {}
    assert retention.work_off(make.database, config) == 0
    # What is undone is out of the way of retention, and the rest of the site stays as it is.
    assert UNDO_DAYS < 31
    assert api.get(back.path, by=site.newcomer).data["markdown"] == before[back.id]
    assert api.get(shown.path, by=site.newcomer).data["markdown"] == before[shown.id]


def test_addresses_audit_and_mail_go_and_the_chain_stays_valid(
    api: Api, make: Factory, site: Site, config: Config, database_url: str
) -> None:
    other = make.site()
    act(make, site.member, journal.CREATED, itemtypes.CONVERSATION, *range(1, 9))
    age(make, database_url, site, 40, left(make, "audit_log", site) - 4)
    for one in (site, other):
        make.sql(
            """INSERT INTO mail_outbox (site_id, cause, recipient, subject, text_body, state, sent)
               SELECT %(site)s::bigint, %(site)s::bigint || ' ' || n, 'a@example.org', '', '', 'sent',
                      now() - make_interval(days => n) FROM generate_series(1, 12) n RETURNING 1""",
            site=one.id,
        )
    chain(make, database_url, site)
    entries, rows = left(make, "audit_entries", site), left(make, "audit_log", site)
    ((addressed,),) = make.sql(
        """SELECT count(*) FROM audit_log WHERE site_id = %(id)s AND ip IS NOT NULL
              AND created < now() - interval '7 days'""",
        id=site.id,
    )

    counted = preview(api, site, addresses=7, audit=35, mail=9)
    assert counted == {"addresses": addressed, "audit": rows - 4, "mail": 4}
    assert addressed > 0
    set_periods(api, site, addresses=7, mail=9)
    chain(make, database_url, site)
    assert retention.work_off(make.database, config) == addressed + 4
    assert verify(make, site).faults == []
    assert left(make, "mail_outbox", site) == 8
    assert left(make, "mail_outbox", other) == 12

    set_periods(api, site, audit=35)
    chain(make, database_url, site)
    with make.database.write() as tx:
        audit_heads(tx, config)
    found = verify(make, site)
    assert found.faults == []
    assert found.first == rows - 4 + 1
    assert entries > 4


KILLED = """
import os, signal, sys
from forumapi import itemtypes
from forumapi.command import backup
from forumapi.config import Config
from forumapi.cron import retention
from forumapi.database.connections import Database
from forumapi.models.texts import text_removal
from forumapi.models.journal import journal
from forumapi.models.privacy import retention_steps

retention_steps.MOST = 2
remove, left = text_removal.remove_comments, [3]

def removing(*given):
    files = remove(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return files

text_removal.remove_comments = removing
config = Config(environment="development", database_url=sys.argv[1], data_dir=sys.argv[2])
retention.work_off(Database(sys.argv[1], size=1, prepare=False, timeout_ms=60_000), config)
"""


@pytest.mark.wide
def test_a_killed_job_goes_on_and_a_restored_backup_brings_nothing_back(
    api: Api, make: Factory, site: Site, config: Config, database_url: str
) -> None:
    chat = make.conversation(site, by=site.member)
    gone = make.comments(chat, 9, by=site.member)
    stays = make.comment(chat, by=site.member, markdown="Made at another time")
    before = texts(make, site)
    for one in gone:
        delete(api, make, one, site.moderator, days=35)
    set_periods(api, site, deletedTexts=31)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, config.data_dir],
        cwd=Path.cwd(),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    removed = [id for id, text in texts(make, site).items() if text == "[removed]"]
    assert len(removed) == 4

    retention.work_off(make.database, config)
    after = texts(make, site)
    assert sorted(id for id, text in after.items() if text == "[removed]") == sorted(
        one.id for one in gone
    )

    # As in a backup from before, without a period: one is not deleted yet, and one number is another comment's.
    path = config.erasure_journal_path
    with path.open("a") as journal:
        journal.write('{"retention":"gone","site":1,"created":"20')
    other, alive = gone.pop(), gone.pop()
    for id, text in before.items():
        make.sql(
            """UPDATE comments SET markdown = %(text)s, version = version - 1, is_deleted = %(is_deleted)s,
                      created = created + make_interval(secs => %(late)s)
                WHERE site_id = %(site)s AND comment_id = %(id)s RETURNING 1""",
            site=site.id,
            id=id,
            text=text,
            is_deleted=id not in (alive.id, stays.id),
            late=int(id == other.id),
        )
    make.sql("DELETE FROM deletions WHERE site_id = %(id)s RETURNING 1", id=site.id)
    make.sql(
        "DELETE FROM site_settings WHERE site_id = %(id)s AND key = 'retention' RETURNING 1",
        id=site.id,
    )
    assert list(erasures.read_journal([path])) == []
    lines = list(retention.read_journal([path]))
    assert retention.replay(make.database, config, lines) == len(gone)
    after = texts(make, site)
    assert {id for id, text in after.items() if text == "[removed]"} == {one.id for one in gone}
    assert after[stays.id] == before[stays.id]
    assert api.get(PATH, by=site.owner).data["deletedTexts"]["days"] == 31


def test_an_item_with_many_comments_goes_in_batches(
    api: Api, make: Factory, site: Site, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = make.conversation(site, by=site.member)
    make.comments(chat, 7, by=site.member)
    delete(api, make, chat, site.moderator, days=35)
    set_periods(api, site, deletedTexts=31)
    monkeypatch.setattr(retention_steps, "MOST", 3)

    assert retention.work_off(make.database, config, until=0.0) == 0
    assert retention.work_off(make.database, config) == 8
    assert set(texts(make, site).values()) == {"[removed]"}
    assert left(make, "deletions", site) == 0


@pytest.mark.wide
@pytest.mark.parametrize("where", ["conversation", "huddle"])
def test_files_of_removed_texts_are_no_more_readable_than_before(
    api: Api, make: Factory, site: Site, config: Config, where: str
) -> None:
    chat = (
        make.huddle(site.member, site.newcomer)
        if where == "huddle"
        else make.conversation(site, by=site.member)
    )
    said, live = make.comments(chat, 2, by=site.member)
    contents = [pictures.png(150, 150, seed=3 * site.id + n) for n in range(3)]
    gone, linked, shared = (pictures.upload(api, site.member, data) for data in contents)
    for on, hash in ((said, gone), (said, linked), (said, shared), (live, shared)):
        sent = {"fileHash": hash, "fileName": "a.png"}
        assert api.post(f"{on.path}/attachments", sent, by=site.member).status == 302
    make.comment(make.conversation(site), markdown=f"See /api/v1/files/{linked}.png")
    sizes = [f"/api/v1/files/{gone}.png{query}" for query in ("", "?maxWidth=100&maxHeight=100")]
    assert {api.get(path, by=site.newcomer).status for path in sizes} == {200}

    def seen() -> set[int]:
        paths = [*sizes, f"/api/v1/files/{linked}.png"]
        return {
            api.get(path, **who).status
            for path in paths
            for who in ({"site": site}, {"by": site.newcomer})
        }

    delete(api, make, said, site.member, days=35)
    assert seen() == {404}
    set_periods(api, site, deletedTexts=31)
    retention.work_off(make.database, config)
    assert texts(make, site)[said.id] == "[removed]"
    assert seen() == {404}
    assert api.get(f"/api/v1/files/{shared}.png", by=site.newcomer).status == 200
    assert make.sql(
        "SELECT array_agg(file_hash) FROM files WHERE file_hash = ANY(%(hashes)s)",
        hashes=[gone, linked],
    ) == [([linked],)]
    assert make.sql(
        "SELECT sum(bytes), count(DISTINCT bytes) FROM file_usage WHERE site_id = %(id)s",
        id=site.id,
    ) == [(2 * len(contents[2]), 1)]


def test_replay_leaves_texts_that_are_alive_or_newer(
    api: Api, make: Factory, site: Site, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = make.conversation(site, by=site.member, title="Title")
    said, failed = make.comments(make.conversation(site), 2, by=site.member)
    for thing in (chat, said):
        delete(api, make, thing, site.moderator, days=35)
    set_periods(api, site, deletedTexts=31)
    retention.work_off(make.database, config)
    # A batch that fails leaves no line.
    delete(api, make, failed, site.moderator, days=35)
    with monkeypatch.context() as broken:
        broken.setattr(text_removal, "remove_comments", None)
        with pytest.raises(retention.UnfinishedError):
            retention.work_off(make.database, config)
    # They are restored and written anew, and one is deleted again.
    for thing in (chat, said, failed):
        assert api.patch(thing.path, ("deleted", False), by=site.moderator).status == 200
    assert api.put(said.path, {"markdown": "Newer"}, by=site.member).status == 302
    sent = {"microcosmId": site.root_id, "title": "Newer", "meta": {"editReason": "New"}}
    assert api.put(chat.path, sent, by=site.member).status == 302
    delete(api, make, said, site.moderator, days=1)
    before = texts(make, site)
    assert before[said.id] == "Newer"

    lines = list(retention.read_journal([config.erasure_journal_path]))
    assert retention.replay(make.database, config, lines) == 0
    assert texts(make, site) == before
    assert api.get(chat.path, by=site.newcomer).data["title"] == "Newer"


@pytest.mark.wide
def test_replay_takes_the_files_of_removed_texts_too(
    api: Api, make: Factory, site: Site, config: Config
) -> None:
    said = make.comment(make.conversation(site), by=site.member)
    hash = pictures.upload(api, site.member, pictures.png(150, 150, seed=7 * site.id))
    sent = {"fileHash": hash, "fileName": "a.png"}
    assert api.post(f"{said.path}/attachments", sent, by=site.member).status == 302
    delete(api, make, said, site.member, days=35)
    ((made, version),) = make.sql(
        "SELECT (extract(epoch FROM created) * 1000000)::bigint, version FROM comments"
        " WHERE site_id = %(site)s AND comment_id = %(id)s",
        site=site.id,
        id=said.id,
    )

    line = retention.GoneLine(site=site.id, gone=[(said.type, said.id, made, version)])
    retention.replay(make.database, config, [line])
    assert texts(make, site)[said.id] == "[removed]"
    assert api.get(f"/api/v1/files/{hash}.png", site=site).status == 404
    assert make.sql("SELECT 1 FROM files WHERE file_hash = %(hash)s", hash=hash) == []


def test_people_are_erased_first_and_no_line_is_replayed_before_all_are_read(
    make: Factory, site: Site, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = make.person(site)
    name = "SELECT profile_name FROM profiles WHERE site_id = %(site)s AND profile_id = %(id)s"
    who = {"site": site.id, "id": person.id}
    ((created,),) = make.sql(name.replace("profile_name", "created"), **who)
    good = json.dumps({**who, "created": created.isoformat(), "words": "keep"})
    path = tmp_path / "journal.jsonl"
    before = make.sql(name, **who)
    for bad, said in (
        ('{"retention":"gone","site":1}', "missing required field `gone`"),
        ('{"retention":"gone","site":"x","gone":[]}', "Expected `int`, got `str` - at `$.site`"),
        ('{"retention":"gone","site":1,"gone":[[4,"y",5,1]]}', "at `$.gone"),
        (f'{{"retention":"gone","site":1,"gone":[[4,{2**70},5,1]]}}', "at `$.gone"),
        ('{"retention":"other","site":1}', "retention"),
        ('{"retention":[],"site":1}', "retention"),
        (good.replace('"keep"', "1"), "at `$.words"),
    ):
        path.write_text(f"{good}\n{bad}\n")
        with pytest.raises(ValueError, match="line 2: no entry of a journal") as raised:
            backup.replay_erasures(config, [path])
        assert said in str(raised.value)
    assert make.sql(name, **who) == before

    def failing(*given: object) -> int:
        assert make.sql(name, **who) != before
        raise retention.UnfinishedError("broken")

    monkeypatch.setattr(retention, "work_off", failing)
    path.write_text(f"{good}\n")
    with pytest.raises(backup.BackupError, match="texts that were removed"):
        backup.replay_erasures(config, [path])


def test_texts_stay_as_long_as_their_author_can_appeal(
    api: Api, make: Factory, site: Site, config: Config
) -> None:
    chat = make.conversation(site, by=site.member)
    said, undone = make.comments(chat, 2, by=site.member)
    for one in (said, undone):
        sent = {"kind": "delete", "reason": "Rude", "targets": [target(one)]}
        acted = api.post("/api/v1/actions", sent, by=site.moderator)
        assert acted.status == 200
    assert api.post(f"/api/v1/actions/{acted.data['id']}/undo", {}, by=site.moderator).status < 400
    delete(api, make, undone, site.member, days=35)
    delete(api, make, chat, site.member, days=35)
    first = make.comment(make.conversation(site), by=site.member)
    delete(api, make, first, site.member, days=35)

    def passed(days: int) -> None:
        for table, column in (("deletions", "deleted"), ("statements", "created")):
            make.sql(
                f"UPDATE {table} SET {column} = now() - make_interval(days => %(days)s)"
                " WHERE site_id = %(id)s RETURNING 1",
                days=days,
                id=site.id,
            )

    passed(180)
    assert preview(api, site, deletedTexts=31)["comments"] == 2
    set_periods(api, site, deletedTexts=31)
    retention.work_off(make.database, config)
    after = texts(make, site)
    assert [after[one.id] == "[removed]" for one in (said, undone, first)] == [False, True, True]
    passed(185)
    retention.work_off(make.database, config)
    assert texts(make, site)[said.id] == "[removed]"


def test_comments_on_what_an_open_case_is_about_stay(
    api: Api, make: Factory, site: Site, config: Config
) -> None:
    chat, other = make.conversation(site, by=site.member), make.conversation(site, by=site.member)
    on_item, below = make.comment(chat, by=site.member), make.comment(other, by=site.member)
    beside, on_profile = make.comment(other), make.comment(site.member, by=site.member)
    for one in (on_item, on_profile, beside):
        delete(api, make, one, site.member, days=35)
    cases = [
        make.report(one, by=site.newcomer)[1]
        for one in (chat, below, Thing(site, itemtypes.PROFILE, site.member.id))
    ]
    set_periods(api, site, deletedTexts=31)
    retention.work_off(make.database, config)
    after = texts(make, site)
    kept = [after[one.id] != "[removed]" for one in (on_item, on_profile, beside)]
    assert kept == [True, True, False]
    make.sql(
        """UPDATE cases SET state = 'decided', outcome = 'dismissed'
            WHERE site_id = %(id)s AND case_id = ANY(%(cases)s) RETURNING 1""",
        id=site.id,
        cases=cases,
    )
    retention.work_off(make.database, config)
    assert texts(make, site)[on_item.id] == texts(make, site)[on_profile.id] == "[removed]"


def test_a_site_that_fails_stops_no_other_and_runs_go_round(
    api: Api, make: Factory, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = [make.site() for _ in range(3)]
    for one in sites:
        said = make.comment(make.conversation(one), by=one.member)
        delete(api, make, said, one.member, days=35)
        set_periods(api, one, deletedTexts=31)
    seen = []
    advance = retention._advance

    def failing(*given: Any) -> int:
        seen.append(given[-1].site_id)
        if given[-1].site_id == sites[0].id:
            raise ValueError("broken")
        return advance(*given)

    monkeypatch.setattr(retention, "_advance", failing)
    monkeypatch.setattr(retention, "_last_site", sites[0].id - 1)
    with pytest.raises(retention.UnfinishedError, match=f"sites {sites[0].id}$"):
        retention.work_off(make.database, config)
    assert [set(texts(make, one).values()) == {"[removed]"} for one in sites] == [False, True, True]

    seen.clear()
    monkeypatch.setattr(retention, "_last_site", sites[0].id)
    assert retention.work_off(make.database, config, until=0.0) == 0
    with pytest.raises(retention.UnfinishedError):
        retention.work_off(make.database, config, until=time.monotonic() + 60)
    after = [sites[1].id, sites[2].id]
    assert (seen[:2], retention._last_site) == (after, seen[-1])


def test_a_dry_run_waits_for_no_lock(
    api: Api, make: Factory, site: Site, database_url: str
) -> None:
    with psycopg.connect(database_url) as held:
        held.execute("SELECT FROM sites WHERE site_id = %s FOR UPDATE", [site.id])
        before = time.monotonic()
        assert preview(api, site, deletedTexts=40) == {}
        assert time.monotonic() - before < 1
    assert api.put(f"{PATH}?dryRun=true", {"mail": 9}, by=site.member).status == 403
