"""A process that carries out an action is killed again and again: no step is lost, and none is done twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from forumapi.models.journal.journal import Author
from forumapi.models.trust.action import DONE, RUNNING, UNDONE, Action, ActionGrounds, ActionQuery
from forumapi.models.trust.action_worker import ActionWorker
from tests import services
from tests.factories import Factory, Site
from tests.fixtures import factory
from tests.handlers.trust.test_background import site_began

KILLS = 10
CHATS, EACH = 400, 25
WORKER = """
import sys, time
from forumapi.database.connections import Database
from forumapi.models.trust.action_worker import ActionWorker
worker = ActionWorker(Database(sys.argv[1]), lambda: True, lambda: None)
print("ready", flush=True)
while True:
    # The server may not have noticed yet that the process before is gone, and holds its locks. Between two steps there
    # is time for the test to see one.
    worker.work()
    time.sleep(0.05)
"""
LEFT = """
    SELECT count(*) FROM action_changes
     WHERE state = CASE (SELECT a.state FROM actions a) WHEN 'running' THEN 'planned' WHEN 'undoing' THEN 'done' END"""
STEPS = """
    WITH told AS (SELECT e.item_id, count(*) AS n FROM event_log e
                   WHERE e.item_type_id = 4 AND e.kind = 'patched' GROUP BY 1),
    noted AS (SELECT l.item_id, count(*) AS n FROM audit_log l WHERE l.item_type_id = 4 AND l.action = 'U' GROUP BY 1)
    SELECT c.version, c.is_moderated, told.n, noted.n, count(*)
      FROM comments c
      LEFT JOIN told ON told.item_id = c.comment_id
      LEFT JOIN noted ON noted.item_id = c.comment_id
     WHERE c.created_by = %(p)s
     GROUP BY 1, 2, 3, 4"""
COUNTS = """
    SELECT (SELECT sum(i.comment_count) FROM items i), (SELECT sum(a.live) FROM item_authors a),
           (SELECT n.comment_count FROM profile_counters n WHERE n.profile_id = %(p)s),
           (SELECT sum(c.comment_count) FROM microcosm_counts c)
           + (SELECT coalesce(sum(d.comments), 0) FROM microcosm_deltas d),
           (SELECT count(*) FROM search_documents d WHERE d.item_type_id = 4)"""


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with services.database(postgres_url, "killed") as made:
        yield made


@pytest.fixture
def make(url: str) -> Iterator[Factory]:
    with factory(url) as maker:
        yield maker


def left(url: str) -> int:
    """Steps that are left, as another connection sees them."""
    with psycopg.connect(url) as connection:
        row = connection.execute(LEFT).fetchone()
    return row[0] if row else 0


def kill_again_and_again(url: str, chance: random.Random) -> int:
    """Kill a worker with steps done and steps left; return how many times."""
    kills = 0
    while kills < KILLS and (before := left(url)):
        process = subprocess.Popen([sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        services.wait_until(lambda: left(url) < before, "no step was done")
        time.sleep(chance.random() * 0.1)
        process.kill()
        process.wait()
        kills += bool(left(url))
    return kills


def finish(make: Factory, site: Site, state: str) -> None:
    """Do what is left, once the server has noticed that the last process is gone."""
    worker = ActionWorker(make.database, lambda: True, lambda: None)

    def is_done() -> bool:
        while worker.work():
            pass
        return [(state,)] == make.sql("SELECT state FROM actions WHERE site_id = %(s)s", s=site.id)

    services.wait_until(is_done, "it did not go on")


@pytest.mark.wide
def test_no_step_is_lost_and_none_is_done_twice(make: Factory, url: str) -> None:
    chance = random.Random(20)
    site = make.site("killed")
    spammer = make.person(site)
    for _ in range(CHATS):
        make.comments(make.conversation(site), EACH, by=spammer)
    before = make.sql(COUNTS, p=spammer.id)
    author = Author(site.id, site.moderator.id, "")
    grounds = ActionGrounds("terms", "STATEMENT_CATEGORY_VIOLATION_TOS", reason="Spam")
    with make.database.write() as tx:
        made = Action.insert(tx, author, "hide", grounds)
        made.plan_query(tx, site.id, ActionQuery(spammer.id, site_began(), [site.root_id]))
        made.set_state(tx, site.id, RUNNING)

    assert kill_again_and_again(url, chance) == KILLS
    finish(make, site, DONE)
    assert make.sql(STEPS, p=spammer.id) == [(2, True, 1, 1, CHATS * EACH)]
    assert make.sql(COUNTS, p=spammer.id) == [(0, 0, 0, 0, 0)]

    with make.database.write() as tx:
        held = Action.lock(tx, site.id, made.id, site.moderator.id, [site.root_id])
        assert held is not None
        held.undo(tx, author, [site.root_id])
    assert kill_again_and_again(url, chance) == KILLS
    finish(make, site, UNDONE)
    assert make.sql(STEPS, p=spammer.id) == [(3, False, 2, 2, CHATS * EACH)]
    assert make.sql(COUNTS, p=spammer.id) == before
