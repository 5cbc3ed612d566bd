"""Numbers of events: none skipped, in the order of commits, whoever numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from forumapi import itemtypes
from forumapi.database.connections import Connection, Transaction
from forumapi.events import event_log
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from tests.factories import Factory, Site


@pytest.fixture
def site(make: Factory) -> Site:
    """A site whose events are those of one test."""
    return make.site()


@pytest.fixture
def sequencer(database_url: str) -> Iterator[Connection]:
    """A connection that numbers; the web process beside it may number as well."""
    connection = Connection(database_url, prepare=False, timeout_s=10)
    yield connection
    connection.close()


def note(tx: Transaction, site: Site, id: int) -> None:
    journal.record(tx, Author(site.id, 0, ""), journal.PATCHED, itemtypes.CONVERSATION, id)


def noted(make: Factory, site: Site, *ids: int) -> None:
    for id in ids:
        with make.database.write() as tx:
            note(tx, site, id)


def order(make: Factory, site: Site) -> list[tuple[int, int]]:
    """(number, item id) of what `note` wrote; numbers begin after those of the site's making."""
    rows = make.sql(
        """
        SELECT s.number, e.item_id FROM event_sequence s
          JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id
         WHERE s.site_id = %(site)s ORDER BY s.number""",
        site=site.id,
    )
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    return [(number, id) for number, id in rows if id > 10**12]


BASE = 10**12


def test_events_are_numbered_without_gaps(make, site, sequencer):
    noted(make, site, BASE + 1, BASE + 2, BASE + 3)

    event_log.number(sequencer)
    event_log.number(sequencer)

    assert [id for _, id in order(make, site)] == [BASE + 1, BASE + 2, BASE + 3]


def test_a_transaction_that_commits_late_is_numbered_late_and_holds_nobody_up(
    make, site, sequencer
):
    with contextlib.ExitStack() as late:
        tx = late.enter_context(make.database.write())
        note(tx, site, BASE + 1)
        for id in range(2, 12):
            noted(make, site, BASE + id)
            event_log.number(sequencer)
        before = [id for _, id in order(make, site)]

    event_log.number(sequencer)

    assert before == [BASE + id for id in range(2, 12)]
    assert [id for _, id in order(make, site)] == [*before, BASE + 1]


def test_what_is_rolled_back_leaves_no_gap(make, site, sequencer):
    noted(make, site, BASE + 1)
    with contextlib.suppress(ZeroDivisionError), make.database.write() as tx:
        note(tx, site, BASE + 2)
        raise ZeroDivisionError
    noted(make, site, BASE + 3)

    event_log.number(sequencer)

    assert [id for _, id in order(make, site)] == [BASE + 1, BASE + 3]


def test_many_sequencers_and_many_writers_number_each_event_once(make, site, database_url):
    def write(first: int) -> None:
        noted(make, site, *range(first, first + 25))

    def count() -> None:
        connection = Connection(database_url, prepare=False, timeout_s=10)
        for _ in range(25):
            event_log.number(connection)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, BASE + 1000 * each) for each in range(1, 5)]
        counters = [pool.submit(count) for _ in range(3)]
        for one in writers + counters:
            one.result()
    count()

    ids = [id for _, id in order(make, site)]
    assert sorted(ids) == [BASE + 1000 * each + n for each in range(1, 5) for n in range(25)]
    for each in range(1, 5):
        own = [id for id in ids if BASE + 1000 * each <= id < BASE + 1000 * (each + 1)]
        assert own == sorted(own)


def test_a_database_restored_into_another_server_is_numbered_on(make, site, sequencer):
    noted(make, site, BASE + 1)
    event_log.number(sequencer)
    # As if the copy came from a server that was far ahead.
    make.sql("UPDATE event_sequencer SET snapshot = '900000000:900000000:' RETURNING 1")
    noted(make, site, BASE + 2)

    event_log.number(sequencer)
    noted(make, site, BASE + 3)
    event_log.number(sequencer)

    assert [id for _, id in order(make, site)] == [BASE + 1, BASE + 2, BASE + 3]
