"""Processes that carry out rules or merge conversations are killed again and again: all is done, and nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from forumapi import itemtypes
from forumapi.errors import Conflict
from forumapi.itemtypes import ItemRef
from forumapi.models.cases.report import Guest, Report, ReportedThing
from forumapi.models.journal.journal import Author
from forumapi.models.rules import engine, moderation_rule
from forumapi.models.rules.definition import RuleDefinition
from forumapi.models.rules.moderation_rule import ModerationRule, RulePlan
from forumapi.models.rules.report_worker import ReportRulesWorker
from forumapi.models.trust.action import DONE, RUNNING, UNDONE, Action, ActionGrounds
from forumapi.models.trust.action_worker import ActionWorker
from tests import services
from tests.factories import Factory, Site, Thing
from tests.fixtures import factory
from tests.handlers.trust.test_killed_worker import WORKER as MERGER
from tests.handlers.trust.test_killed_worker import left as left_of_action
from tests.handlers.trust.test_merging import tables
from tests.updates.test_dispatch import number

# The reader of the log takes small batches, so that there are many to be killed in.
RULES = """
import sys, time
from forumapi.database.connections import Database
from forumapi.events import readers
from forumapi.models.rules import engine, moderation_rule
from forumapi.models.rules.report_worker import ReportRulesWorker
readers.BATCH = 10
database = Database(sys.argv[1])
reader = readers.EventReader(moderation_rule.READER, engine.work, moderation_rule.BEHIND)
reading = readers.Readers(database, [reader], lambda: True)
reports = ReportRulesWorker(database, lambda: True, lambda: None)
print("ready", flush=True)
while True:
    reading.catch_up()
    reports.work() or time.sleep(0.05)
"""
KILLS = 4
GROUNDS = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
# What was done to each comment by the rules: flags, versions, actions, records, entries of the audit.
DONE_TO_COMMENTS = """
    SELECT c.is_moderated, c.version,
           (SELECT count(*) FROM action_changes x WHERE x.item_type_id = 4 AND x.item_id = c.comment_id),
           (SELECT count(*) FROM rule_hits h WHERE h.item_type_id = 4 AND h.item_id = c.comment_id),
           (SELECT count(*) FROM audit_log l
             WHERE l.item_type_id = 4 AND l.item_id = c.comment_id AND l.action = 'U'),
           count(*)
      FROM comments c
     WHERE c.created_by = %(p)s
     GROUP BY 1, 2, 3, 4, 5"""


# How often each comment and each merged conversation was changed: (type, times, how many of them).
MOVES = """
    SELECT e.item_type_id, e.times, count(*)
      FROM (SELECT l.item_type_id, l.item_id, count(*) AS times
              FROM event_log l
             WHERE l.kind = 'patched' AND (l.item_type_id = 4 OR l.item_type_id = 6 AND l.item_id <> %(into)s)
             GROUP BY 1, 2) e
     GROUP BY 1, 2
     ORDER BY 1, 2"""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with services.database(postgres_url, "killed_rules") as made:
        yield made


@pytest.fixture
def make(url: str) -> Iterator[Factory]:
    with factory(url) as maker:
        yield maker


def kill(url: str, code: str, left: Callable[[], int], chance: random.Random) -> int:
    """Kill a process with steps done, up to KILLS times; return how often steps were left then."""
    kills = 0
    while kills < KILLS and (before := left()):
        _kill_one(url, code, left, before, chance.random() * 0.05)
        kills += bool(left())
    return kills


def _kill_one(url: str, code: str, left: Callable[[], int], before: int, pause_s: float) -> None:
    """Kill a process after it did a step. On a busy machine it may end by itself, since it can't connect."""
    process = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    services.wait_until(lambda: left() < before or process.poll() is not None, "no step was done")
    time.sleep(pause_s)
    process.kill()
    process.wait()


def rule(make: Factory, site: Site, event: str, **terms: Any) -> None:
    """A rule in force that holds comments."""
    definition = RuleDefinition("Links", event, "hold", GROUNDS, **terms)
    with make.database.write() as tx:
        plan = RulePlan(0, 0, "active", definition, 0)
        ModerationRule.insert(tx, site.id, site.owner.id, plan)


def report(make: Factory, said: Thing, address: str) -> None:
    thing = ReportedThing(ItemRef(itemtypes.COMMENT, said.id), said.site.root_id, 1)
    guest = Guest(address, "", address)
    with make.database.write() as tx:
        Report(thing, "spam", "STATEMENT_CATEGORY_SCAMS_AND_FRAUD", "", guest=guest).insert(
            tx, said.site.id, 0
        )


@pytest.mark.wide
def test_rules_on_events_and_reports_act_once(make: Factory, url: str) -> None:
    chance = random.Random(27)
    site = make.site("killedrules")
    spammer, reported = make.person(site), make.person(site)
    number(make.database)
    rule(make, site, "comment.created", has_link=True)
    rule(make, site, "comment.reported", least_reports=1)
    chat = make.conversation(site)
    for n in range(80):
        make.comment(chat, by=spammer, markdown=f"https://shop.example/{n}")
    for n in range(40):
        report(make, make.comment(chat, by=reported), f"guest{n}@some.test")
    number(make.database)

    def left() -> int:
        ((count,),) = make.sql("SELECT 120 - count(*) FROM rule_hits")
        return int(count)

    assert kill(url, RULES, left, chance) > 1
    process = subprocess.Popen([sys.executable, "-c", RULES, url])
    try:
        services.wait_until(lambda: not left(), "it did not go on")
    finally:
        process.kill()
        process.wait()
    for person, count in ((spammer, 80), (reported, 40)):
        assert make.sql(DONE_TO_COMMENTS, p=person.id) == [(True, 2, 1, 1, 1, count)]
    assert make.sql("SELECT comment_count FROM items WHERE item_id = %(i)s", i=chat.id) == [(0,)]
    assert make.sql("SELECT count(*) FROM reports WHERE awaits_rules") == [(0,)]


@pytest.mark.wide
def test_a_merge_in_the_background_and_its_undo_end(make: Factory, url: str) -> None:
    chance = random.Random(28)
    site = make.site("killedmerge")
    into, *others = (make.conversation(site) for _ in range(11))
    for thing in (into, *others):
        make.comments(thing, 50, by=site.member)
    before = tables(make, site)
    author = Author(site.id, site.moderator.id, "")
    with make.database.write() as tx:
        made = Action.insert(
            tx, author, "merge", GROUNDS, into=ItemRef(into.type, into.id), place_id=site.root_id
        )
        refs = [ItemRef(one.type, one.id) for one in others]
        assert made.plan(tx, site.id, refs, [site.root_id])
        made.set_state(tx, site.id, RUNNING)

    def finish(state: str) -> None:
        worker = ActionWorker(make.database, lambda: True, lambda: None)

        def is_done() -> bool:
            while worker.work():
                pass
            return make.sql("SELECT state FROM actions") == [(state,)]

        services.wait_until(is_done, "it did not go on")

    assert kill(url, MERGER, lambda: left_of_action(url), chance) > 1
    finish(DONE)
    merged = "SELECT count(*), count(DISTINCT seq), max(seq) FROM comments WHERE item_id = %(i)s"
    assert make.sql(merged, i=into.id) == [(550, 550, 550)]
    assert make.sql(MOVES, into=into.id) == [(4, 1, 500), (6, 1, 10)]

    with make.database.write() as tx:
        held = Action.lock(tx, site.id, made.id, site.moderator.id, [site.root_id])
        assert held is not None
        held.undo(tx, author, [site.root_id])
    assert kill(url, MERGER, lambda: left_of_action(url), chance) > 1
    finish(UNDONE)
    assert make.sql(MOVES, into=into.id) == [(4, 2, 500), (6, 2, 10)]
    assert tables(make, site) == before


@pytest.mark.wide
def test_a_report_on_which_the_rules_fail_keeps_no_other_waiting(
    make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make.site("failing")
    rule(make, site, "comment.reported", least_reports=1)
    said = [make.comment(make.conversation(site), by=site.member) for _ in range(4)]
    late, broken, refused, last = said
    for n, one in enumerate(said):
        report(make, one, f"guest{n}@some.test")
    # The first one gets its id first, and is committed while the rules fail on the second one.
    waits = "UPDATE reports SET awaits_rules = %(w)s WHERE item_id = %(i)s"
    make.sql(waits, w=False, i=late.id)
    work_report = engine.work_report

    def work(tx: Any, site_id: int, ref: ItemRef, *event: Any) -> bool:
        if ref.id == broken.id:
            make.sql(waits, w=True, i=late.id)
            raise ValueError("broken")
        if ref.id == refused.id:
            raise Conflict("the rule may not change it")
        return work_report(tx, site_id, ref, *event)

    monkeypatch.setattr(engine, "work_report", work)
    worker = ReportRulesWorker(make.database, lambda: True, lambda: None)
    assert [worker.work() for _ in range(5)] == [*[True] * 4, False]
    assert make.sql("SELECT item_id FROM rule_hits ORDER BY 1") == [(late.id,), (last.id,)]


@pytest.mark.wide
def test_a_report_that_is_dismissed_meanwhile_hides_nothing(make: Factory, url: str) -> None:
    site = make.site("dismissed")
    rule(make, site, "comment.reported", least_reports=1)
    said = make.comment(make.conversation(site), by=site.member)
    report(make, said, "guest@some.test")
    worker = ReportRulesWorker(make.database, lambda: True, lambda: None)
    with psycopg.connect(url) as moderator, ThreadPoolExecutor() as pool:
        # As a decision does it: the thing, then its case.
        lock = "SELECT FROM comments WHERE site_id = %s AND comment_id = %s FOR NO KEY UPDATE"
        moderator.execute(lock, [site.id, said.id])
        worked = pool.submit(worker.work)
        make.wait_for_locks(1)
        moderator.execute(
            "UPDATE cases SET state = 'decided', outcome = 'dismissed', decided = now()"
        )
        moderator.commit()
        assert worked.result()
    assert make.sql("SELECT is_moderated FROM comments") == [(False,)]
    assert make.sql("SELECT state FROM cases") == [("decided",)]


@pytest.mark.wide
def test_the_record_of_an_open_case_is_kept(make: Factory) -> None:
    site = make.site("longopen")
    rule(make, site, "comment.reported", least_reports=1)
    said = make.comment(make.conversation(site), by=site.member)
    worker = ReportRulesWorker(make.database, lambda: True, lambda: None)
    report(make, said, "guest@some.test")
    assert worker.work()
    (action,) = make.sql("SELECT action_id FROM rule_hits")
    for table, column in (("cases", "opened"), ("rule_hits", "created")):
        make.sql(f"UPDATE {table} SET {column} = {column} - interval '181 days'")
    # A moderator shows it again, and goes on looking at the case.
    make.sql("UPDATE comments SET is_moderated = false")
    with make.database.write() as tx:
        assert moderation_rule.forget(tx) == 0
    report(make, said, "other@some.test")
    assert worker.work()
    assert make.sql("SELECT action_id FROM rule_hits") == [action]
    make.sql("UPDATE cases SET state = 'decided', outcome = 'dismissed', decided = now()")
    with make.database.write() as tx:
        assert moderation_rule.forget(tx) == 1
