"""Tests of what is true after each job (platform 8)."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from forumapi import itemtypes
from forumapi.config import Config
from forumapi.cron import maintenance_jobs, site_exports
from forumapi.cron.audit_chain_maintenance import audit_heads
from forumapi.cron.schedule import JOBS
from forumapi.database.query import Query
from forumapi.models.journal import audit_page
from forumapi.models.microcosms import microcosm_counters
from tests import services
from tests.factories import Factory
from tests.services import wait_until

CONFIG = Config(environment="development", audit_key="test")


@pytest.fixture
def site(make: Factory):
    """A site of its own for each test."""
    return make.site()


ONE_MORE = Query(
    "test.one_more",
    "UPDATE profile_counters SET comment_count = comment_count + 1 WHERE profile_id = %(id)s",
)
WAITING = """
    SELECT count(*) FROM pg_stat_activity a
     WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
       AND a.query LIKE '%%maintenance_jobs.count_profiles%%'"""


PARTITIONS_WAIT = """
    SELECT count(*)::int FROM pg_stat_activity a
     WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.query LIKE '%%event_partitions%%'"""


def perform(make: Factory, job, config: Config = CONFIG):
    with make.database.write() as tx:
        return job(tx, config)


def counts(make: Factory, microcosm_id: int) -> tuple[object, ...]:
    return make.sql(
        "SELECT item_count, poll_count, comment_count, last_item_id FROM microcosm_counts"
        " WHERE microcosm_id = %(id)s",
        id=microcosm_id,
    )[0]


def stats(make: Factory, site) -> dict[str, int]:
    row = make.sql(
        "SELECT active_profiles, online_profiles, total_profiles, total_conversations, total_events,"
        " total_comments FROM site_stats WHERE site_id = %(id)s",
        id=site.id,
    )[0]
    return dict(
        zip(
            ("active", "online", "profiles", "conversations", "events", "comments"),
            row,
            strict=True,
        )
    )


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_job_runs_and_may_run_again(make, site, job):
    url = make.database.url
    config = dataclasses.replace(CONFIG, environment="prod", database_url=url)
    assert perform(make, job.work, config)
    assert perform(make, job.work, config)


def test_folding_leaves_no_deltas_and_the_same_sums(make, site):
    chat = make.conversation(site)
    make.comments(chat, 3)

    perform(make, maintenance_jobs.fold_counters)

    assert make.sql("SELECT * FROM microcosm_deltas") == []
    assert counts(make, site.root_id) == (1, 0, 3, chat.id)


def test_online_are_those_active_within_ninety_minutes_and_nobody_is_zero(make, site):
    make.sql(
        "UPDATE profile_counters SET last_active = now() - interval '89 minutes' WHERE site_id = %(id)s",
        id=site.id,
    )
    perform(make, maintenance_jobs.online_profiles)
    assert stats(make, site)["online"] == 5

    make.sql(
        "UPDATE profile_counters SET last_active = now() - interval '91 minutes' WHERE site_id = %(id)s",
        id=site.id,
    )
    perform(make, maintenance_jobs.online_profiles)
    assert stats(make, site)["online"] == 0


def test_statistics_count_what_is_visible_at_every_level(make, site):
    hidden = make.microcosm(site)
    below = make.microcosm(site, parent=hidden)
    seen = make.conversation(site)
    make.comments(seen, 2)
    gone = make.comment(seen)
    make.comment(make.conversation(site, microcosm=below))
    make.comment(site.member)
    make.conversation(site, item_type=itemtypes.EVENT)
    make.sql("UPDATE microcosms SET is_deleted = true WHERE microcosm_id = %(id)s", id=hidden.id)
    make.sql("UPDATE comments SET is_deleted = true WHERE comment_id = %(id)s", id=gone.id)
    make.sql("UPDATE items SET comment_count = 2 WHERE item_id = %(id)s", id=seen.id)

    perform(make, maintenance_jobs.site_statistics)

    found = stats(make, site)
    assert (found["conversations"], found["events"], found["comments"]) == (1, 1, 3)
    assert (found["profiles"], found["active"]) == (5, 5)


def test_counts_of_microcosms_are_put_right_whatever_they_were(make, site):
    place = make.microcosm(site)
    chat = make.conversation(site, microcosm=place)
    poll = make.conversation(site, microcosm=place, item_type=itemtypes.POLL)
    make.comments(chat, 2)
    make.comments(poll, 1)
    make.sql(
        "UPDATE microcosm_counts SET item_count = 77, comment_count = -1, last_item_id = NULL"
        " WHERE microcosm_id = %(id)s",
        id=place.id,
    )

    perform(make, maintenance_jobs.microcosm_counts)

    assert counts(make, place.id) == (2, 1, 3, chat.id)
    assert perform(make, maintenance_jobs.microcosm_counts).startswith("0 corrected")


def test_microcosms_are_numbered_by_all_that_is_in_and_below_them(make, site):
    quiet, busy = make.microcosm(site, "Quiet"), make.microcosm(site, "Busy")
    deep = make.microcosm(site, "Deep", parent=busy)
    make.comments(make.conversation(site, microcosm=deep), 5)
    make.comments(make.conversation(site, microcosm=quiet), 2)
    before = make.sql("SELECT acl_version FROM sites WHERE site_id = %(id)s", id=site.id)[0][0]

    perform(make, maintenance_jobs.microcosm_counts)

    order = make.sql(
        "SELECT microcosm_id FROM microcosms WHERE site_id = %(id)s ORDER BY sequence", id=site.id
    )
    assert [row[0] for row in order] == [site.root_id, busy.id, deep.id, quiet.id]
    after = make.sql("SELECT acl_version FROM sites WHERE site_id = %(id)s", id=site.id)[0][0]
    assert after == before + 1


def test_addresses_in_the_audit_become_hashes_after_a_while(make, site):
    make.sql(
        """INSERT INTO audit_log (site_id, item_type_id, item_id, profile_id, action, ip, created)
           SELECT %(id)s, 6, n, %(me)s, 'C', address::inet, now() - make_interval(days => age)
             FROM (VALUES (1, '192.0.2.1', 31), (2, '192.0.2.1', 40), (3, '192.0.2.2', 31), (4, '192.0.2.1', 29))
                  AS rows (n, address, age)""",
        id=site.id,
        me=site.member.id,
    )

    assert "3 addresses hashed" in perform(make, maintenance_jobs.expired_credentials)
    assert "0 addresses hashed" in perform(make, maintenance_jobs.expired_credentials)

    with make.database.write() as tx:
        entries = audit_page.of_profile(tx, site.id, site.member.id)
    shown = {entry.item_id: entry.ip for entry in entries if entry.item_type_id == 6}
    assert shown[4] == "192.0.2.1"
    assert shown[1] == shown[2] != shown[3]
    assert all(shown[n].startswith("#") and len(shown[n]) == 65 for n in (1, 2, 3))


def test_every_export_whose_time_is_over_is_counted(make):
    for number, place in enumerate((make.site(), make.site(), make.site())):
        make.sql(
            """
            INSERT INTO site_exports (site_id, user_id, profile_id, token_id, state, expires, object)
            VALUES (%(site)s, %(user)s, %(profile)s, 0, 'done', now() - interval '1 hour', %(object)s) RETURNING 1""",
            site=place.id,
            user=place.owner.user_id,
            profile=place.owner.id,
            # One has lost its archive, and that of another is known as a stray.
            object=f"{number:040x}" if number else None,
        )
    make.sql("INSERT INTO file_strays (file_hash) VALUES (%(hash)s) RETURNING 1", hash=f"{1:040x}")

    assert perform(make, site_exports.expired_exports) == "3 archives"
    assert perform(make, site_exports.expired_exports) == "0 archives"
    strays = make.sql("SELECT file_hash FROM file_strays ORDER BY 1")
    assert {f"{1:040x}", f"{2:040x}"} <= {hash for (hash,) in strays}


def test_expired_tokens_lapsed_bans_and_old_audit_rows_are_gone(make, site):
    make.sql(
        "UPDATE access_tokens SET expires = now() - interval '1 second' WHERE user_id = %(id)s",
        id=site.member.user_id,
    )
    make.sql(
        "UPDATE bans SET expires = now() - interval '1 second' WHERE user_id = %(id)s",
        id=site.banned.user_id,
    )
    make.sql(
        "UPDATE audit_log SET created = now() - interval '91 days' WHERE site_id = %(id)s"
        " AND profile_id = %(profile)s",
        id=site.id,
        profile=site.newcomer.id,
    )

    perform(make, maintenance_jobs.expired_credentials)
    perform(make, audit_heads)

    left = make.sql(
        "SELECT (SELECT count(*) FROM access_tokens WHERE user_id = %(member)s),"
        " (SELECT count(*) FROM access_tokens WHERE user_id = %(owner)s),"
        " (SELECT count(*) FROM bans WHERE user_id = %(banned)s),"
        " (SELECT count(*) FROM audit_log WHERE profile_id = %(newcomer)s)",
        member=site.member.user_id,
        owner=site.owner.user_id,
        banned=site.banned.user_id,
        newcomer=site.newcomer.id,
    )
    assert left == [(0, 1, 0, 0)]


def test_idempotency_keys_live_as_long_as_the_setting_says(make, site):
    for hours, key in ((23, "young"), (25, "old")):
        make.sql(
            "INSERT INTO idempotency_keys (site_id, profile_id, method, path, key, body_hash, created)"
            " VALUES (%(site)s, %(profile)s, 'POST', '/', %(key)s, '', now() - make_interval(hours => %(hours)s))",
            site=site.id,
            profile=site.member.id,
            key=key,
            hours=hours,
        )

    perform(make, maintenance_jobs.short_lived)

    assert make.sql("SELECT key FROM idempotency_keys WHERE site_id = %(id)s", id=site.id) == [
        ("young",)
    ]


def test_reminders_are_forgotten_after_a_month_and_other_updates_stay(make, site):
    event = make.event(site)
    for update_type, item_type, item, age in (
        (2, 4, 1, 400),
        (3, 4, 2, 400),
        (5, 9, event.id, 400),
        (7, 9, event.id, 29),
        (7, 9, event.id + 1, 32),
    ):
        make.sql(
            "INSERT INTO updates (site_id, profile_id, update_type_id, item_type_id, item_id, created_by, created)"
            " VALUES (%(site)s, %(to)s, %(type)s, %(item_type)s, %(item)s, %(by)s,"
            " now() - make_interval(days => %(age)s))",
            site=site.id,
            to=site.member.id,
            type=update_type,
            item_type=item_type,
            item=item,
            by=site.owner.id,
            age=age,
        )

    perform(make, maintenance_jobs.old_updates)

    left = make.sql(
        "SELECT update_type_id, item_id FROM updates WHERE site_id = %(id)s ORDER BY update_id",
        id=site.id,
    )
    assert left == [(2, 1), (3, 2), (5, event.id), (7, event.id)]


def test_counts_of_profiles_are_put_right(make, site):
    chat = make.conversation(site, by=site.member)
    make.comments(chat, 2, by=site.member)
    make.comment(site.owner, by=site.member)
    make.sql(
        "UPDATE profile_counters SET comment_count = 9, item_count = 9 WHERE site_id = %(id)s",
        id=site.id,
    )

    perform(make, maintenance_jobs.profile_counts)

    found = make.sql(
        "SELECT item_count, comment_count FROM profile_counters WHERE profile_id = %(id)s",
        id=site.member.id,
    )
    assert found == [(1, 3)]


def test_what_is_written_while_profiles_are_counted_stays_counted(make, site):
    make.comments(make.conversation(site), 2, by=site.member)
    make.sql(
        "UPDATE profile_counters SET comment_count = 9 WHERE profile_id = %(id)s",
        id=site.member.id,
    )
    with ThreadPoolExecutor() as pool:
        with make.database.write() as tx:
            tx.run(ONE_MORE, id=site.member.id)
            counting = pool.submit(perform, make, maintenance_jobs.profile_counts)
            wait_until(lambda: make.sql(WAITING) != [(0,)], "nobody waits for the writer")
        counting.result(20)

    found = make.sql(
        "SELECT comment_count FROM profile_counters WHERE profile_id = %(id)s", id=site.member.id
    )
    assert found == [(3,)]


def test_folding_waits_for_nobody(make, site):
    place = make.microcosm(site)
    make.comments(make.conversation(site, microcosm=place), 2)
    before = counts(make, place.id)
    with make.database.write() as tx:
        tx.row(maintenance_jobs.LOCK_COUNTS)
        microcosm_counters.fold(make.database, site.id)
        assert counts(make, place.id) == before
    microcosm_counters.fold(make.database, site.id)

    assert counts(make, place.id) != before


def test_what_writers_counted_is_what_the_counting_job_counts(make, site):
    place = make.microcosm(site)
    make.comments(make.conversation(site, microcosm=place), 4)
    make.comments(make.conversation(site), 1)
    make.fold(site)
    written = [counts(make, id) for id in (site.root_id, place.id)]

    perform(make, maintenance_jobs.microcosm_counts)

    assert [counts(make, id) for id in (site.root_id, place.id)] == written


OLD_DAY = """
    CREATE TABLE IF NOT EXISTS {0}_20200101
    PARTITION OF {0} FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"""
NEW_DAY = """
    SELECT to_regclass('{0}_20200101') IS NULL,
           to_regclass('{0}_' || to_char(now() + interval '1 day', 'YYYYMMDD')) IS NOT NULL"""


def test_days_are_made_and_dropped_beside_readers_who_lock_the_tables_in_any_order(make):
    tables = ["event_log", "event_sequence"]
    config = dataclasses.replace(CONFIG, database_url=make.database.url)
    for first, second in (tables, tables[::-1]):
        for table in tables:
            make.sql(OLD_DAY.format(table))
        with ThreadPoolExecutor(1) as pool, services.connect(make.database.url) as reader:
            with reader.transaction():
                reader.execute(f"SELECT 1 FROM {first} LIMIT 1")
                done = pool.submit(perform, make, maintenance_jobs.event_partitions, config)
                wait_until(lambda: make.sql(PARTITIONS_WAIT) == [(1,)], "the job does not wait")
                reader.execute(f"SELECT 1 FROM {second} LIMIT 1")
            assert done.result(30)

        for table in tables:
            assert make.sql(NEW_DAY.format(table)) == [(True, True)]


def test_metrics_are_sampled_in_prod_only(make, site):
    assert perform(make, maintenance_jobs.metrics) == "not in this environment"
    assert (
        perform(make, maintenance_jobs.metrics, dataclasses.replace(CONFIG, environment="prod"))
        == "1 sample"
    )
