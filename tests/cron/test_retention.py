"""Retention periods of sites: what is older goes in batches, what is restored stays, a backup brings none back."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import erasures, retention
from forumapi.cron.audit_chain_maintenance import audit_heads
from forumapi.models.journal import journal
from forumapi.models.privacy import retention_steps
from forumapi.models.trust.action import UNDO_DAYS
from tests.api import Api
from tests.factories import Factory, Person, Site, Thing
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
    """Delete a thing, so many days ago."""
    assert api.delete(thing.path, by=by).status == 200
    assert make.sql(
        """UPDATE deletions SET deleted = now() - make_interval(days => %(days)s)
            WHERE site_id = %(site)s AND item_id = %(id)s AND item_type_id = %(type)s RETURNING 1""",
        days=days,
        type=thing.type,
        site=thing.site.id,
        id=thing.id,
    ) == [(1,)]


def texts(make: Factory, site: Site) -> dict[int, str]:
    rows = make.sql("SELECT comment_id, markdown FROM comments WHERE site_id = %(id)s", id=site.id)
    return dict(rows)


def left(make: Factory, table: str, site: Site) -> int:
    ((count,),) = make.sql(f"SELECT count(*) FROM {table} WHERE site_id = %(id)s", id=site.id)
    return int(count)


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
    age(make, site, 40, left(make, "audit_log", site) - 4)
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
    assert retention.work_off(make.database, config) == addressed + 4
    assert verify(make, site).faults == []
    assert left(make, "mail_outbox", site) == 8
    assert left(make, "mail_outbox", other) == 12

    set_periods(api, site, audit=35)
    with make.database.write() as tx:
        audit_heads(tx, config)
    found = verify(make, site)
    assert found.faults == []
    assert found.first == rows - 4 + 1
    assert entries > 4


KILLED = """
import os, signal, sys
from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import retention
from forumapi.database.connections import Database
from forumapi.models.content import text_removal
from forumapi.models.journal import journal
from forumapi.models.privacy import retention_steps

retention_steps.MOST = 2
remove, left = text_removal.remove_comments, [3]

def removing(*given):
    remove(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

text_removal.remove_comments = removing
config = Config(environment="development", database_url=sys.argv[1], data_dir=sys.argv[2])
retention.work_off(Database(sys.argv[1], size=1, prepare=False, timeout_ms=60_000), config)
"""


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

    # As in a backup from before: nothing deleted, no period, and one number given to another comment.
    path = config.erasure_journal_path
    with path.open("a") as journal:
        journal.write('{"retention":"gone","site":1,"created":"20')
    other = gone.pop()
    for id, text in before.items():
        make.sql(
            """UPDATE comments SET markdown = %(text)s, is_deleted = false,
                      created = created + make_interval(secs => %(late)s)
                WHERE site_id = %(site)s AND comment_id = %(id)s RETURNING 1""",
            site=site.id,
            id=id,
            text=text,
            late=int(id == other.id),
        )
    make.sql(
        "DELETE FROM site_settings WHERE site_id = %(id)s AND key = 'retention' RETURNING 1",
        id=site.id,
    )
    assert list(erasures.read_journal([path])) == []
    assert retention.replay(make.database, config, [path]) == len(gone)
    after = texts(make, site)
    assert {id for id, text in after.items() if text == "[removed]"} == {one.id for one in gone}
    assert after[stays.id] == before[stays.id]
    assert api.get(PATH, by=site.owner).data["deletedTexts"]["days"] == 31
    with pytest.raises(ValueError, match="line 1"):
        damaged = path.with_name("damaged")
        damaged.write_text('{"retention":"gone","site":1}\n')
        retention.replay(make.database, config, [damaged])


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
