"""Queues that all sites share: a site that floods one delays no other, and none of its rows are read in vain."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from forumapi.checks import check_queue
from forumapi.checks.check_queue import ContentCheck
from forumapi.database import site_turns
from forumapi.database.connections import Database, Transaction
from forumapi.database.query import Query
from forumapi.mail import outbox
from forumapi.models.privacy import personal_export
from forumapi.models.roles import role_recomputation_queue
from forumapi.models.roles.role_recomputation_queue import Settling
from forumapi.updates import push_queue, push_sender
from tests import services
from tests.factories import Factory, Site
from tests.fixtures import PLATFORM_DOMAIN


@dataclass(frozen=True)
class Queue:
    """A queue. `insert`: statement that queues {count} rows of the site {site}, whose member is {member}; `claim`:
    claims up to so many rows after a site's turn, and returns the site of each; `query`, `values`: the statement behind
    it, with its own parameters; `batch`: rows at once; `flood`: rows that one site queues.
    """

    table: str
    insert: str
    claim: Callable[[Transaction, int, int], list[int]]
    query: Query
    values: dict[str, Any]
    batch: int
    flood: int = 3_000


def _mail(columns: str, values: str) -> str:
    return f"""
        INSERT INTO mail_outbox (site_id, cause, {columns})
        SELECT {{site}}, 'turns:{{site}}:' || n, {values} FROM generate_series(1, {{count}}) n"""


def _mails(tx: Transaction, batch: int, after: int) -> list[int]:
    texts, unwritten = outbox.lease(tx, batch, after=(after, after))
    return [mail.site for mail in (*texts, *unwritten)]


def _pushes(tx: Transaction, batch: int, after: int) -> list[int]:
    return [one.site_id for one in push_queue.lease(tx, batch, 60, after=after)]


def _check(tx: Transaction, _batch: int, after: int) -> list[int]:
    claimed = ContentCheck.claim(tx, after=after)
    return [claimed.site_id] if claimed else []


def _copy(tx: Transaction, _batch: int, after: int) -> list[int]:
    claimed = personal_export.claim(tx, after=after)
    return [claimed.site_id] if claimed else []


def _roles(tx: Transaction, batch: int, after: int) -> list[int]:
    return [one.site_id for one in Settling.claim(tx, batch, grace_h=6, after=after)]


QUEUES = {
    "mail": Queue(
        "mail_outbox",
        _mail("recipient, subject, text_body", "'ana@example.test', 'A', 'A'"),
        _mails,
        outbox.LEASE,
        {"lease_s": 300},
        outbox.BATCH,
    ),
    "updates by mail": Queue(
        "mail_outbox",
        _mail("profile_id, state", "{member}, 'unwritten'"),
        _mails,
        outbox.LEASE_UNWRITTEN,
        {"lease_s": 300},
        outbox.BATCH,
    ),
    "web push": Queue(
        "push_messages",
        """
        WITH s AS (
            INSERT INTO push_subscriptions (site_id, profile_id, token_id, endpoint, endpoint_hash, public_key,
                                            auth_secret)
            SELECT {site}, {member}, min(t.token_id), 'http://127.0.0.1:9', sha256(gen_random_uuid()::text::bytea),
                   sha512('')::bytea || '1', substr(sha256(''), 1, 16)
              FROM access_tokens t
         RETURNING subscription_id)
        INSERT INTO push_messages (site_id, subscription_id, profile_id, cause, update_type_id, item_type_id, item_id,
                                   by_profile_id)
        SELECT {site}, s.subscription_id, {member}, n, 2, 6, 1, {member} FROM s, generate_series(1, {count}) n""",
        _pushes,
        push_queue.LEASE,
        {"lease_s": 60, "hours": push_queue.HOURS},
        push_sender.BATCH,
    ),
    "checks": Queue(
        "content_checks",
        """
        INSERT INTO content_checks (site_id, item_type_id, item_id, author_id)
        SELECT {site}, 6, n, {member} FROM generate_series(1, {count}) n""",
        _check,
        check_queue.CLAIM,
        {"lease_s": 60},
        1,
    ),
    "personal exports": Queue(
        "personal_exports",
        """
        WITH u AS (
            INSERT INTO users (email, canonical_email, person_key)
            SELECT m.address, m.address, sha256(m.address::bytea)
              FROM (SELECT gen_random_uuid() || '@example.test' AS address FROM generate_series(1, {count})) m
         RETURNING user_id),
        p AS (
            INSERT INTO profiles (site_id, user_id, profile_name)
            SELECT {site}, u.user_id, gen_random_uuid() FROM u
         RETURNING profile_id)
        INSERT INTO personal_exports (site_id, profile_id) SELECT {site}, p.profile_id FROM p""",
        _copy,
        personal_export.CLAIM,
        {"silent_s": 60},
        1,
        500,  # each is of another person
    ),
    "roles": Queue(
        "role_settlings",
        "INSERT INTO role_settlings (site_id, role_id) SELECT {site}, n FROM generate_series(1, {count}) n",
        _roles,
        role_recomputation_queue.CLAIM,
        {"lease_s": 60, "grace_h": 6},
        20,
    ),
}


@pytest.fixture(scope="module")
def stage(postgres_url: str) -> Iterator[Factory]:
    """A database whose queues nobody else works off."""
    with services.database(postgres_url, "turns") as url:
        database = Database(url)
        yield Factory(database, PLATFORM_DOMAIN)
        database.close()


@pytest.fixture(scope="module")
def sites(stage: Factory) -> tuple[Site, Site, Site]:
    """Three sites, in the order of their ids."""
    return stage.site(), stage.site(), stage.site()


@pytest.fixture(params=QUEUES)
def queue(request: pytest.FixtureRequest, stage: Factory) -> Queue:
    """A queue, empty."""
    chosen = QUEUES[request.param]
    run(stage, f"TRUNCATE {chosen.table}")
    return chosen


def fill(stage: Factory, queue: Queue, site: Site, count: int) -> None:
    """Queue so many rows of a site, due now."""
    some = queue.insert.format(site=site.id, member=site.member.id, count=count)
    stage.sql(f"{some} RETURNING 1")


def run(stage: Factory, statement: str) -> None:
    """Run a statement that returns nothing."""
    name = f"test.{statement.lower()}"
    query = Query.all.get(name) or Query(name, statement)
    with stage.database.write() as tx:
        tx.run(query)


def claims(stage: Factory, queue: Queue, count: int, *, batch: int = 0) -> list[list[int]]:
    """The sites of the rows of so many claims, as one process makes them."""
    after, made = 0, []
    for _ in range(count):
        with stage.database.write() as tx:
            made.append(queue.claim(tx, batch or queue.batch, after))
        after = site_turns.last(made[-1], after)
    return made


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_a_site_does_not_wait_behind_the_thousands_of_another(
    stage: Factory, sites: tuple[Site, Site, Site], queue: Queue, is_first: bool
) -> None:
    flooding, other = sites[:2] if is_first else sites[1::-1]
    fill(stage, queue, flooding, queue.flood)
    fill(stage, queue, other, 1)

    first, second = claims(stage, queue, 2)

    assert other.id in first + second
    assert flooding.id in first + second


def test_mails_with_a_text_leave_room_for_the_updates_of_another_site(
    stage: Factory, sites: tuple[Site, Site, Site]
) -> None:
    run(stage, "TRUNCATE mail_outbox")
    fill(stage, QUEUES["mail"], sites[0], QUEUES["mail"].flood)
    fill(stage, QUEUES["updates by mail"], sites[1], 1)

    assert sites[1].id in claims(stage, QUEUES["mail"], 1)[0]


@pytest.mark.parametrize("is_known", [True, False], ids=["analyzed", "analyzed_when_empty"])
def test_a_claim_reads_what_it_takes_and_a_row_of_each_site(
    stage: Factory, sites: tuple[Site, Site, Site], queue: Queue, is_known: bool
) -> None:
    run(stage, f"ANALYZE {queue.table}")
    fill(stage, queue, sites[0], queue.flood)
    fill(stage, queue, sites[1], 1)
    if is_known:
        run(stage, f"ANALYZE {queue.table}")
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {queue.query.sql}"
    values = {**queue.values, "batch": queue.batch, "after": 0}

    ((made,),) = stage.sql(explain, **{name: values[name] for name in queue.query.names})

    (plan,) = json.loads(made) if isinstance(made, str) else made

    assert read(plan["Plan"]) <= 3 * queue.batch + 20, json.dumps(plan)


def read(node: dict[str, Any]) -> float:
    """Count the rows that a plan's node and those below it read of a queue to choose those that are claimed."""
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    is_choice = re.fullmatch(r"q(_\d+)?", node.get("Alias", ""))
    rows = own * node["Actual Loops"] if is_choice else 0
    return rows + sum(read(below) for below in node.get("Plans", ()))


def test_a_site_alone_gets_the_whole_claim(
    stage: Factory, sites: tuple[Site, Site, Site], queue: Queue
) -> None:
    fill(stage, queue, sites[1], 2 * queue.batch)

    assert claims(stage, queue, 3) == [[sites[1].id] * queue.batch] * 2 + [[]]


def test_sites_take_turns_one_row_at_a_time(
    stage: Factory, sites: tuple[Site, Site, Site], queue: Queue
) -> None:
    for site, count in zip(sites, (5, 1, 3), strict=True):
        fill(stage, queue, site, count)

    order = [[site.id for site in sites].index(one) for (one,) in claims(stage, queue, 9, batch=1)]

    assert order == [0, 1, 2, 0, 2, 0, 2, 0, 0]
