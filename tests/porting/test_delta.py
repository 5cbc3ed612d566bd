"""A second run with a later dump: what is new comes behind what is there."""

from __future__ import annotations

from forumapi.config import Config
from forumapi.models.sites.site_directory import SiteDirectory
from forumapi.porting.loading.verification import Verifier
from tests.factories import Factory
from tests.porting import boards
from tests.porting.moved import TABLES, Moved


def test_a_later_dump_adds_what_is_new(make: Factory, config: Config) -> None:
    straight = Moved(make, config, make.site(), boards.bikes())
    straight.load()
    early = boards.bikes()
    whole = dict(early.streams)
    for name, kept in (("profiles", 2), ("conversations", 1), ("comments", 2), ("messages", 1)):
        early.streams[name] = whole[name][:kept]
    early.streams["follows"] = early.streams["bans"] = early.streams["polls"] = []
    early.streams["forums"] = whole["forums"][:2]
    moved = Moved(make, config, make.site(), early)
    moved.load()
    before = moved.ids(4)

    early.streams.update(whole)
    moved.load()

    after = moved.ids(4)
    assert {old: after[old] for old in before} == before
    for table in TABLES.split():
        count = f"SELECT count(*) FROM {table} t WHERE t.site_id = %(s)s"
        assert moved.rows(count) == straight.rows(count), table
    assert moved.rows("SELECT count(*) FROM import_leftouts WHERE site_id = %(s)s") == [(7,)]
    tx = make.database.read()
    site = SiteDirectory(make.database, make.platform_domain).by_id(moved.site.id, tx)
    assert site is not None
    report = Verifier(tx, config, site, moved.origin, moved.reader).run()
    tx.end()
    # The first post was there before its poll was, and has no link to it.
    assert {(one.check, one.old_id) for one in report.differences} <= {
        ("texts", "300"),
        ("sources", "300"),
    }
