"""The sequencer among processes: one leads, another takes over; a hint reaches it, and it does without."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.database.query import Query
from forumapi.errors import OutcomeUnknown
from forumapi.events import event_log, lease
from forumapi.events.event_log import LoggedEvent
from forumapi.events.readers import EventReader, Readers
from forumapi.events.sequencer import Sequencer
from forumapi.models.journal import journal
from forumapi.models.journal.journal import Author
from tests import services
from tests.events import frozen
from tests.factories import Factory, Site
from tests.fixtures import PROJECT, factory

LIMIT = Query("test.reader_limit", "SET LOCAL statement_timeout = 20")
STAYS_OPEN = Query("test.stays_open", "SET LOCAL idle_in_transaction_session_timeout = 0")
SLOW = Query("test.reader_slow", "SELECT pg_sleep(20)")

TAKES_OVER_S = 5.0
BUSY_S = 5.0  # what a machine that is busy with other tests may add

HOLDER = "SELECT l.backend FROM leases l WHERE l.name = 'events'"
BLOCKED = """
    SELECT count(*)::int FROM pg_stat_activity a
     WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.query LIKE '%%event_log.number%%'"""


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database without a web process, so that nobody else numbers."""
    with services.database(postgres_url, "sequencer") as address:
        yield address


@pytest.fixture(scope="module")
def made(url: str) -> Iterator[Factory]:
    """Makes things there."""
    with factory(url) as maker:
        yield maker


@pytest.fixture
def site(made: Factory) -> Site:
    """A site there."""
    return made.site()


class Listening:
    """A sequencer, and whether it has numbered anything since it was asked last, or heard of another's numbers."""

    def __init__(self, url: str) -> None:
        self.numbered = threading.Event()
        self.heard = threading.Event()
        self.sequencer = Sequencer(url, self.numbered.set, self.heard.set)
        self.sequencer.start()

    def has_numbered(self) -> bool:
        found = self.numbered.wait(10)
        self.numbered.clear()
        return found


@pytest.fixture
def pair(url: str) -> Iterator[tuple[Listening, Listening]]:
    """Two processes' sequencers."""
    both = Listening(url), Listening(url)
    yield both
    for one in both:
        one.sequencer.stop()


def note(made: Factory, site: Site, id: int) -> None:
    with made.database.write() as tx:
        journal.record(tx, Author(site.id, 0, ""), journal.PATCHED, itemtypes.CONVERSATION, id)


def numbers(made: Factory, site: Site) -> int:
    ((count,),) = made.sql(
        "SELECT count(*) FROM event_sequence WHERE site_id = %(site)s", site=site.id
    )
    return int(count)


def unnumbered(made: Factory, site: Site) -> int:
    ((count,),) = made.sql(
        """
        SELECT count(*) FROM event_log e
         WHERE e.site_id = %(site)s
           AND NOT EXISTS (SELECT 1 FROM event_sequence s
                            WHERE s.site_id = e.site_id AND s.event_id = e.event_id)""",
        site=site.id,
    )
    return int(count)


def wait_for_all(made: Factory, site: Site) -> None:
    """Until nothing is left to number, by whichever of them leads."""
    deadline = time.monotonic() + 60
    while unnumbered(made, site):
        assert time.monotonic() < deadline, "events were not numbered"
        time.sleep(0.02)


@pytest.mark.wide
def test_one_of_two_numbers_and_the_other_takes_over(made, site, pair):
    note(made, site, 1)
    wait_for_all(made, site)
    assert [one.sequencer.leads for one in pair].count(True) == 1
    ((pid,),) = made.sql(HOLDER)

    made.sql("SELECT pg_terminate_backend(%(pid)s)", pid=pid)
    wait_until(lambda: made.sql(HOLDER) != [(pid,)])
    note(made, site, 2)
    wait_for_all(made, site)

    assert [one.sequencer.leads for one in pair].count(True) == 1


# ---------------------------------------------------------------- one that is frozen


@contextlib.contextmanager
def elsewhere(url: str, reader: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that numbers and reads, and leads. However long it is frozen, the server does not mind."""
    options = "options=-c%20idle_in_transaction_session_timeout%3D0"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.events.frozen", f"{url}&{options}", reader],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)


@contextlib.contextmanager
def here(url: str, reader: str) -> Iterator[frozen.Process]:
    """The same in this process, where no event freezes it."""
    process = frozen.Process(url, EventReader(reader, frozen.note_read))
    process.start()
    try:
        yield process
    finally:
        process.stop()


def are_read(made: Factory, site: Site) -> list[int]:
    rows = made.sql(
        "SELECT item_id FROM event_log WHERE site_id = %(site)s AND item_id > 500 ORDER BY item_id",
        site=site.id,
    )
    return [id - frozen.READ for (id,) in rows]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_another_takes_over_within_five_seconds() -> None:
    assert lease.TTL_S + lease.TRY_S < TAKES_OVER_S


def test_a_lease_is_given_back_before_its_connection_is_seen_to_be_gone(url, made):
    held = lease.Lease("cron", url)
    assert held.take()

    held.release()

    rows = made.sql("SELECT expires = '-infinity' FROM leases WHERE name = 'cron'")
    assert rows == [(True,)]


@pytest.mark.wide
def test_nothing_begins_in_a_turn_that_is_over(url, made):
    first, second = lease.Lease("cron", url), lease.Lease("cron", url)
    assert first.take()
    with pytest.raises(OutcomeUnknown), made.database.write() as tx:
        first.hold(tx)
        first.release()
        # It takes over, having ended the effect that was under way.
        assert second.take()
    with pytest.raises(lease.LostError), made.database.write() as tx:
        first.hold(tx)
    second.release()


@pytest.mark.wide
def test_one_that_is_frozen_while_it_numbers_is_replaced_and_can_not_commit(url, made, site):
    name = f"numbering-{site.id}"
    with elsewhere(url, name) as other, services.connect(url) as locking:
        note(made, site, 1)
        wait_until(lambda: are_read(made, site) == [1])
        with locking.transaction():
            locking.execute("LOCK TABLE event_heads")
            note(made, site, 2)
            wait_until(lambda: made.sql(BLOCKED) == [(1,)])
            before, frozen_at = numbers(made, site), time.monotonic()
            other.send_signal(signal.SIGSTOP)
            wait_until(lambda: is_stopped(other))
        # Its statement ends now, and nobody commits it.
        with here(url, name):
            note(made, site, 3)
            wait_until(lambda: numbers(made, site) > before)
            assert time.monotonic() - frozen_at < TAKES_OVER_S + BUSY_S
            wait_until(lambda: are_read(made, site) == [1, 2, 3])
            other.send_signal(signal.SIGCONT)
            note(made, site, 4)
            wait_until(lambda: are_read(made, site) == [1, 2, 3, 4])

    rows = made.sql(
        "SELECT number FROM event_sequence WHERE site_id = %(site)s ORDER BY number", site=site.id
    )
    assert [number for (number,) in rows] == list(range(1, len(rows) + 1))


@pytest.mark.wide
def test_what_a_reader_that_is_frozen_had_begun_is_done_once_by_another(url, made, site):
    name = f"reading-{site.id}"
    with elsewhere(url, name) as other:
        note(made, site, 1)
        wait_until(lambda: are_read(made, site) == [1])
        note(made, site, frozen.FREEZES)
        wait_until(lambda: is_stopped(other))
        with here(url, name):
            wait_until(lambda: are_read(made, site) == [1, 99])
            other.send_signal(signal.SIGCONT)
            note(made, site, 2)
            wait_until(lambda: are_read(made, site) == [1, 2, 99])


@pytest.mark.wide
def test_a_transaction_that_stays_open_for_a_minute_holds_no_event_up(made, site, pair):
    deadline = time.monotonic() + 60
    with made.database.write() as late:
        late.run(STAYS_OPEN)
        journal.record(late, Author(site.id, 0, ""), journal.PATCHED, itemtypes.CONVERSATION, 1)
        count = 1
        while time.monotonic() < deadline:
            count += 1
            note(made, site, count)
            wait_for_all(made, site)
            time.sleep(0.5)
    wait_for_all(made, site)

    rows = made.sql(
        """
        SELECT e.item_id FROM event_sequence s
          JOIN event_log e ON e.site_id = s.site_id AND e.event_id = s.event_id
         WHERE s.site_id = %(site)s AND e.item_type_id = %(kind)s AND e.item_id <= %(count)s
         ORDER BY s.number""",
        site=site.id,
        kind=itemtypes.CONVERSATION,
        count=count,
    )
    assert [row[0] for row in rows] == [*range(2, count + 1), 1]


def test_standing_by_is_no_failure(made, site, pair, caplog):
    note(made, site, 1)
    wait_for_all(made, site)
    time.sleep(3 * Sequencer.POLL_S)

    assert [one.sequencer.leads for one in pair].count(True) == 1
    assert "events are not numbered here" not in caplog.text


@pytest.mark.wide
def test_a_hint_of_the_one_that_stands_by_reaches_the_other(made, site, pair):
    note(made, site, 1)
    wait_for_all(made, site)
    leader, follower = sorted(pair, key=lambda one: not one.sequencer.leads)
    leader.numbered.clear()

    note(made, site, 2)
    follower.sequencer.hint()

    assert leader.has_numbered()
    assert not unnumbered(made, site)


def test_the_one_that_stands_by_hears_of_numbers_and_the_other_does_not(made, site, pair):
    note(made, site, 1)
    wait_for_all(made, site)
    leader, follower = sorted(pair, key=lambda one: not one.sequencer.leads)
    # The one that stands by may not listen yet.
    for id in range(2, 22):
        note(made, site, id)
        follower.sequencer.hint()
        if follower.heard.wait(0.5):
            break

    assert follower.heard.is_set()
    assert not leader.heard.is_set()
    assert not follower.numbered.is_set()


# ---------------------------------------------------------------- readers


def caught_up(made: Factory, reader: EventReader) -> None:
    Readers(made.database, [reader], lambda: True).catch_up()


def test_a_reader_gets_each_event_once_and_in_order(made, site, pair):
    for id in range(1, 6):
        note(made, site, id)
    wait_for_all(made, site)
    read: list[int] = []

    def work(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
        if site_id == site.id:
            read.extend(event.item_id for event in events if event.kind == journal.PATCHED)

    reader = EventReader(f"one-{site.id}", work)
    caught_up(made, reader)
    caught_up(made, reader)

    assert read == [1, 2, 3, 4, 5]


def test_an_event_that_a_reader_fails_on_is_passed_over_and_the_others_are_read(made, site, pair):
    for id in range(1, 6):
        note(made, site, id)
    wait_for_all(made, site)

    def work(tx, site_id: int, events: Sequence[LoggedEvent]) -> None:
        for event in events:
            if site_id == site.id and event.kind == journal.PATCHED:
                if event.item_id == 3:
                    raise ValueError("poison")
                note_read(tx, site_id, event)

    def note_read(tx, site_id: int, event: LoggedEvent) -> None:
        journal.record(
            tx, Author(site_id, 0, ""), "created", itemtypes.COMMENT, 500 + event.item_id
        )

    caught_up(made, EventReader(f"two-{site.id}", work))

    rows = made.sql(
        "SELECT item_id FROM event_log WHERE site_id = %(site)s AND item_id > 500 ORDER BY event_id",
        site=site.id,
    )
    assert [id for (id,) in rows] == [501, 502, 504, 505]


@pytest.mark.wide
def test_a_site_whose_events_take_the_database_too_long_keeps_no_other_waiting(made, site, pair):
    after = made.site()
    for one in (site, after):
        for id in range(1, 4):
            note(made, one, id)
        wait_for_all(made, one)
    read: list[tuple[int, int]] = []
    slow = {2}

    def work(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
        for event in events:
            if event.kind == journal.PATCHED and site_id in (site.id, after.id):
                if site_id == site.id and event.item_id in slow:
                    tx.run(LIMIT)
                    tx.run(SLOW)
                tx.after_commit(partial(read.append, (site_id, event.item_id)))

    reader = EventReader(f"four-{site.id}", work)
    caught_up(made, reader)
    # Whatever of a batch is quick enough alone is read; the rest waits, and is not passed over.
    assert read == [(site.id, 1), (after.id, 1), (after.id, 2), (after.id, 3)]
    slow.clear()
    caught_up(made, reader)

    assert read[4:] == [(site.id, 2), (site.id, 3)]


def test_a_reader_that_dies_in_the_middle_reads_the_same_again(made, site, pair):
    note(made, site, 7)
    wait_for_all(made, site)
    name = f"three-{site.id}"

    with pytest.raises(ZeroDivisionError), made.database.write() as tx:
        batch = event_log.begin(tx, name, site.id, 100)
        assert batch is not None
        event_log.move(tx, name, site.id, batch.upto)
        raise ZeroDivisionError

    with made.database.write() as tx:
        again = event_log.begin(tx, name, site.id, 100)
    assert again == batch


@pytest.mark.wide
def test_a_readers_cursor_moves_at_the_moment_of_its_effect(made, site, pair):
    note(made, site, 8)
    wait_for_all(made, site)
    name = f"four-{site.id}"
    cursors: list[list[tuple[int]]] = []

    def look() -> None:
        """Note what another connection sees of the cursor."""
        cursors.append(
            made.sql(
                "SELECT c.number FROM event_cursors c WHERE c.reader = %(name)s AND c.site_id = %(site)s",
                name=name,
                site=site.id,
            )
        )

    def work(tx: Transaction, site_id: int, events: Sequence[LoggedEvent]) -> None:
        if site_id == site.id:
            look()
            tx.after_commit(look)

    caught_up(made, EventReader(name, work))

    ((head,),) = made.sql("SELECT number FROM event_heads WHERE site_id = %(site)s", site=site.id)
    assert head > 0
    assert cursors == [[], [(head,)]]
