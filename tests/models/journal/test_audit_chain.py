"""The chain of the audit: one entry for each thing, in the order of events, valid whatever is rightly erased."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron.audit_chain_maintenance import audit_heads
from forumapi.models.journal import audit_address_hashing, audit_chain, audit_hash, journal
from forumapi.models.journal.audit_hash import Head
from forumapi.models.journal.journal import Author
from tests.factories import Factory, Site
from tests.models.journal.chains import KEY, KEYS, act, age, chain, sign, verify


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose audit is that of one test."""
    return make.site()


def entries(make: Factory, site: Site, columns: str) -> list[tuple[Any, ...]]:
    return make.sql(
        f"SELECT {columns} FROM audit_entries WHERE site_id = %(id)s ORDER BY number", id=site.id
    )


@pytest.mark.wide
def test_each_written_thing_has_one_entry_in_the_order_of_events(
    make: Factory, site: Site, database_url: str
) -> None:
    chat = make.conversation(site)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make.comment(chat, by=site.member), range(40)))
    act(make, site.moderator, journal.DELETED, itemtypes.COMMENT, *range(10**9, 10**9 + 25))

    chain(make, database_url, site)

    rows = entries(make, site, "number, event_number, audit_id")
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)
    written = make.sql("SELECT audit_id FROM audit_log WHERE site_id = %(id)s", id=site.id)
    assert sorted(row[2] for row in rows) == sorted(row[0] for row in written)
    gone = [row for row in entries(make, site, "action, actor_id, item_id") if row[0] == "D"]
    assert gone == [("D", site.moderator.id, id) for id in range(10**9, 10**9 + 25)]
    assert verify(make, site).faults == []


def test_an_entry_knows_whose_thing_it_is_and_what_is_in_huddles_is_private(
    make: Factory, site: Site, database_url: str
) -> None:
    chat = make.conversation(site, by=site.newcomer)
    comment = make.comment(chat, by=site.member)
    huddle = make.huddle(site.member, site.newcomer)
    secret = make.comment(huddle, by=site.newcomer)
    act(make, site.moderator, journal.PATCHED, itemtypes.PROFILE, site.member.id)

    chain(make, database_url, site)

    found = {
        (row[0], row[1], row[2]): row[3:]
        for row in entries(
            make, site, "item_type_id, item_id, actor_id, subject_id, is_private, parent_id"
        )
    }
    assert found[6, chat.id, site.newcomer.id] == (site.newcomer.id, False, 0)
    assert found[4, comment.id, site.member.id] == (site.member.id, False, chat.id)
    assert found[5, huddle.id, site.member.id] == (site.member.id, True, 0)
    assert found[4, secret.id, site.newcomer.id] == (site.newcomer.id, True, huddle.id)
    assert found[3, site.member.id, site.moderator.id] == (site.member.id, False, 0)


def test_replacing_addresses_and_erasing_details_leave_the_chain_valid(
    make: Factory, site: Site, database_url: str
) -> None:
    act(make, site.member, journal.CREATED, itemtypes.CONVERSATION, 1, 2, reason="Ana's reason")
    act(make, site.moderator, journal.CREATED, itemtypes.CONVERSATION, 3)
    chain(make, database_url, site)

    with make.database.write() as tx:
        secret = tx.value(audit_address_hashing.SECRET, secret=b"x")
    make.sql(
        """UPDATE audit_log SET ip_hash = sha256(%(secret)s::bytea || convert_to(host(ip), 'UTF8')), ip = NULL
            WHERE site_id = %(id)s RETURNING 1""",
        id=site.id,
        secret=secret,
    )
    assert verify(make, site).faults == []
    with make.database.write() as tx:
        assert audit_chain.erase(tx, Author(site.id, 0, "", "root@here"), site.member.id) >= 2
    assert verify(make, site).faults == []

    stored = make.sql("SELECT a::text FROM audit_log a WHERE site_id = %(id)s", id=site.id)
    assert "Ana" not in str(stored)
    # What comes after it is kept again.
    act(make, site.member, journal.CREATED, itemtypes.CONVERSATION, 10**9)
    chain(make, database_url, site)
    assert verify(make, site).faults == []
    # Details that come back, and such as nobody has erased, are faults.
    make.sql(
        """DELETE FROM audit_log a USING audit_entries e
            WHERE e.site_id = a.site_id AND e.audit_id = a.audit_id AND e.item_id = 1000000000
              AND a.site_id = %(id)s RETURNING 1""",
        id=site.id,
    )
    assert [text.endswith("are missing") for text in verify(make, site).faults] == [True]


def test_retention_leaves_a_signed_checkpoint_and_the_rest_is_still_proven(
    make: Factory, site: Site, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = dataclasses.replace(
        Config(environment="development"), audit_key=KEY, data_dir=str(tmp_path)
    )
    make.comments(make.conversation(site), 10)
    age(make, database_url, site, 91, 6)
    chain(make, database_url, site)
    before = verify(make, site)

    with caplog.at_level(logging.INFO), make.database.write() as tx:
        assert "heads signed" in audit_heads(tx, config)
    after = verify(make, site)

    assert before.faults == after.faults == []
    assert (before.first, after.first, after.last) == (1, 7, before.last + 1)
    ((rows,),) = make.sql("SELECT count(*) FROM audit_log WHERE site_id = %(id)s", id=site.id)
    assert rows == before.entries - 6
    # The head leaves by the log, and is the signed entry.
    logged = [
        Head.parse(record.message.split()[-1])
        for record in caplog.records
        if "audit head" in record.message
    ]
    (head,) = [one for one in logged if one.site_id == site.id]
    assert (head.number, str(head)) == (after.last, after.signed)
    assert verify(make, site, head).faults == []
    # Nothing has happened since: nothing is signed.
    with make.database.write() as tx:
        audit_heads(tx, config)
    assert verify(make, site).last == after.last
    # Without its signature the checkpoint proves nothing.
    make.sql(
        "UPDATE audit_heads SET base_signature = NULL WHERE site_id = %(id)s RETURNING 1",
        id=site.id,
    )
    assert verify(make, site).faults != []


def test_retention_stops_before_the_first_entry_that_is_to_be_kept(
    make: Factory, site: Site, database_url: str
) -> None:
    make.comments(make.conversation(site), 5)
    chain(make, database_url, site)
    with make.database.write() as tx:
        assert audit_chain.forget(tx, site.id, 90, KEYS, 100) == 0
    assert verify(make, site).first == 1


def test_rows_from_before_the_chain_are_added_to_it(
    make: Factory, site: Site, database_url: str
) -> None:
    chain(make, database_url, site)
    make.sql(
        """INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, salt, created)
           SELECT %(id)s, 6, n, %(me)s, 'C', '192.0.2.7', NULL, now() - interval '10 days'
             FROM generate_series(1, 7) AS n RETURNING 1""",
        id=site.id,
        me=site.member.id,
    )
    assert len(verify(make, site).faults) == 7

    with make.database.write() as tx:
        assert audit_chain.adopt(tx, 1000) >= 7

    assert verify(make, site).faults == []
    salts = make.sql(
        "SELECT DISTINCT salt FROM audit_log WHERE site_id = %(id)s AND event_id = 0", id=site.id
    )
    assert len(salts) == 7


def test_a_signature_is_of_one_kind_site_number_and_time() -> None:
    now = datetime.datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=datetime.UTC)
    signature = KEYS.sign(audit_hash.HEAD, 3, 17, now, b"h" * 32)
    head = Head(3, 17, now, b"h" * 32, signature)

    assert Head.parse(str(head)) == head
    assert KEYS.signed(audit_hash.HEAD, *head)
    for other in (
        head._replace(site_id=4),
        head._replace(number=18),
        head._replace(created=now + datetime.timedelta(microseconds=1)),
        head._replace(hash=b"g" * 32),
        head._replace(signature=b"s" * 64),
    ):
        assert not KEYS.signed(audit_hash.HEAD, *other)
    assert not KEYS.signed(audit_hash.BASE, *head)
    assert not audit_hash.Keys(["another"]).signed(audit_hash.HEAD, *head)
    # A key that was replaced still verifies beside the new one.
    both = audit_hash.Keys(["another", "secret-of-the-tests"])
    assert both.signed(audit_hash.HEAD, *head)
    assert both.sign(audit_hash.HEAD, 3, 17, now, b"h" * 32) != signature


def test_without_a_setting_the_key_is_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    first, second = (audit_hash.keys("", tmp_path / "data") for _ in range(2))
    assert second.signed(
        audit_hash.HEAD, 1, 1, now, b"h", first.sign(audit_hash.HEAD, 1, 1, now, b"h")
    )
    assert (tmp_path / "data/audit.key").stat().st_mode & 0o777 == 0o600


def test_the_last_entry_is_signed_once(make: Factory, site: Site, database_url: str) -> None:
    chain(make, database_url, site)
    head = sign(make, site)
    assert verify(make, site, head).signed == str(head)
    with make.database.write() as tx:
        assert site.id not in audit_chain.unsigned(tx)
