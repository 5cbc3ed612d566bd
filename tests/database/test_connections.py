"""Connections, reads and transactions on a real PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo
from psycopg import errors as pgerrors

from forumapi.database.connections import Database
from forumapi.database.query import Query
from forumapi.errors import NoRoom, OutcomeUnknown, TooSlow, Unavailable
from tests.fixtures import PROJECT

ONE = Query("test.db.one", "SELECT 1")
PID = Query("test.db.pid", "SELECT pg_backend_pid()")
ECHO = Query(
    "test.db.echo",
    """SELECT %(t)s::text, %(i)s::bigint, %(b)s::boolean, %(n)s::text, %(ids)s::bigint[], %(names)s::text[],
              %(bytes)s::bytea, 'a 100%% sure'""",
)
TWICE = Query("test.db.twice", "SELECT %(x)s::int + %(x)s::int")
SLEEP = Query("test.db.sleep", "SELECT pg_sleep(%(s)s::float8)")
BROKEN = Query("test.db.broken", "SELECT 1 / %(x)s::int")
ADD = Query("test.db.add", "INSERT INTO db_notes (word) VALUES (%(word)s)")
WORDS = Query("test.db.words", "SELECT word FROM db_notes WHERE word LIKE %(like)s ORDER BY word")
HUGE = Query("test.db.huge", "SELECT length(repeat('x', %(n)s::int))")
FULL = Query("test.db.full", "SELECT db_full()")
LIMIT = Query("test.db.limit", "SELECT set_config(%(name)s::text, %(value)s::text, false)")
SLOW_ADD = Query(
    "test.db.slow_add", "INSERT INTO db_notes (word) SELECT 'slow' || pg_sleep(%(s)s::float8)"
)
LATE = Query("test.db.late", "INSERT INTO db_late (word) VALUES ('late')")
WIDE = Query("test.db.wide", "SELECT n.* FROM db_wide n")


@pytest.fixture(scope="module")
def notes(database_url: str) -> Iterator[str]:
    """The address of a database with a table to write in."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE db_notes (word text)")
        connection.execute("CREATE TABLE db_wide AS SELECT 1 AS a")
        # Fails as a statement does that has no room on the disk.
        connection.execute(
            "CREATE FUNCTION db_full() RETURNS int LANGUAGE plpgsql AS "
            "$$BEGIN RAISE disk_full; END$$"
        )
        # Reads db_notes at the commit.
        connection.execute(
            """
            CREATE TABLE db_late (word text);
            CREATE FUNCTION db_look() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM 1 FROM db_notes; RETURN NULL; END$$;
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON db_late DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION db_look()"""
        )
        yield database_url
        connection.execute("DROP TABLE db_notes, db_wide, db_late")
        connection.execute("DROP FUNCTION db_full, db_look")


@pytest.fixture
def database(notes: str) -> Iterator[Database]:
    """Two connections at most, a short wait."""
    made = Database(notes, size=2, wait_ms=100, timeout_ms=2_000)
    yield made
    made.close()


def words(database: Database, like: str) -> list[str]:
    """Return what is committed."""
    reader = database.read()
    try:
        return [row[0] for row in reader.rows(WORDS, like=like)]
    finally:
        reader.end()


def kill(url: str, pid: int) -> None:
    """End a session as an administrator would."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        for _ in range(200):
            if not connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]
            ).fetchone():
                return
            time.sleep(0.01)


# ---------------------------------------------------------------- values


def test_values_come_back_as_they_went(database: Database) -> None:
    reader = database.read()
    hostile = "a'b\"c\\d{e},NULL;--\n\u00e9\U0001f6b2"
    row = reader.row(
        ECHO,
        t=hostile,
        i=-(2**63),
        b=False,
        n=None,
        ids=[1, 2**63 - 1],
        names=["", hostile, "NULL", " x "],
        bytes=bytes(range(256)),
    )
    reader.end()

    assert row is not None
    names = ["", hostile, "NULL", " x "]
    assert row[:6] == (hostile, -(2**63), False, None, [1, 2**63 - 1], names)
    assert bytes(row[6]) == bytes(range(256))
    assert row[7] == "a 100% sure"


def test_a_parameter_may_stand_twice_and_names_are_unique(database: Database) -> None:
    reader = database.read()
    assert reader.value(TWICE, x=21) == 42
    reader.end()
    with pytest.raises(ValueError, match=r"test\.db\.one"):
        Query("test.db.one", "SELECT 2")


@pytest.mark.parametrize("prepare", [True, False])
def test_a_statement_runs_with_and_without_preparing(notes: str, prepare: bool) -> None:
    database = Database(notes, size=1, prepare=prepare)
    reader = database.read()
    assert [reader.value(TWICE, x=number) for number in range(5)] == [0, 2, 4, 6, 8]
    reader.end()
    database.close()


# ---------------------------------------------------------------- the queue of connections


def test_the_connection_used_last_is_used_next(database: Database) -> None:
    first, second = database.read(), database.read()
    one, two = first.value(PID), second.value(PID)
    assert one != two
    second.end()
    first.end()

    again = database.read()
    assert again.value(PID) == one
    again.end()


def test_a_reader_takes_no_connection_before_its_first_statement(database: Database) -> None:
    idle = [database.read() for _ in range(10)]
    busy = database.read()
    busy.value(ONE)
    for reader in [*idle, busy]:
        reader.end()


@pytest.mark.slow
def test_one_too_many_waits_a_moment_and_is_refused(database: Database) -> None:
    held = [database.read(), database.read()]
    for reader in held:
        reader.value(ONE)
    late = database.read()

    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        late.value(ONE)
    waited = time.monotonic() - began
    assert 0.08 < waited < 1
    assert ("Retry-After", "1") in refused.value.headers
    # And one that is given back meanwhile is handed over.
    threading.Timer(0.03, held[0].end).start()
    assert late.value(ONE) == 1
    late.end()
    held[1].end()


def test_a_statement_that_fails_leaves_a_good_connection_behind(database: Database) -> None:
    reader = database.read()
    pid = reader.value(PID)
    with pytest.raises(pgerrors.DivisionByZero):
        reader.value(BROKEN, x=0)
    assert reader.value(PID) == pid
    reader.end()


# ---------------------------------------------------------------- transactions


def test_a_value_that_cannot_be_sent_leaves_a_good_connection_behind(database: Database) -> None:
    reader = database.read()
    before = reader.value(PID)

    with pytest.raises(UnicodeEncodeError):
        reader.rows(WORDS, like="\ud800")

    assert reader.value(PID) == before
    reader.end()
    with database.write() as tx:
        tx.run(ADD, word="unsent 1")
        with pytest.raises(UnicodeEncodeError):
            tx.run(ADD, word="\ud800")
        tx.run(ADD, word="unsent 2")
    assert words(database, "unsent%") == ["unsent 1", "unsent 2"]


def test_a_statement_that_asks_for_too_much_is_no_dead_connection(database: Database) -> None:
    reader = database.read()
    before = reader.value(PID)

    with pytest.raises(TooSlow):
        reader.rows(HUGE, n=2**31 - 1)
    assert reader.statements == 2
    assert reader.value(PID) == before
    reader.end()


def test_a_read_that_finds_no_room_on_the_disk_is_no_dead_connection(
    database: Database, notes: str
) -> None:
    reader, other = database.read(), database.read()
    before, idle = reader.value(PID), other.value(PID)
    other.end()

    with pytest.raises(NoRoom):
        reader.rows(FULL)
    assert reader.statements == 2
    assert reader.value(PID) == before
    assert other.value(PID) == idle
    reader.end()
    other.end()

    # Also where it was run again, since its first connection was dead.
    kill(notes, idle)
    with pytest.raises(NoRoom):
        other.rows(FULL)
    # That second connection is usable, and stays.
    assert other._connection is not None
    other.end()


@pytest.mark.parametrize("is_write", [False, True])
def test_a_statement_that_takes_too_long_is_no_dead_connection(
    database: Database, is_write: bool
) -> None:
    reader, other = database.read(), database.read()
    before, idle = reader.value(PID), other.value(PID)
    other.end()
    reader.value(LIMIT, name="statement_timeout", value="50")

    with pytest.raises(TooSlow):
        reader.run(SLOW_ADD, s=20) if is_write else reader.rows(SLEEP, s=20)

    assert reader.statements == 3
    assert (reader.value(PID), other.value(PID)) == (before, idle)
    reader.value(LIMIT, name="statement_timeout", value="0")
    reader.end()
    other.end()
    assert words(database, "slow%") == []


@pytest.mark.parametrize("is_write", [False, True])
def test_a_statement_that_waits_too_long_for_a_lock_is_no_dead_connection(
    database: Database, notes: str, is_write: bool
) -> None:
    reader, other = database.read(), database.read()
    before, idle = reader.value(PID), other.value(PID)
    other.end()
    reader.value(LIMIT, name="lock_timeout", value="50")

    with psycopg.connect(notes) as connection:
        connection.execute("LOCK TABLE db_notes")
        with pytest.raises(Unavailable) as caught:
            reader.run(ADD, word="locked") if is_write else reader.rows(WORDS, like="%")

    # The next try may get the lock: it is no statement that takes too long each time.
    assert type(caught.value) is Unavailable
    assert reader.statements == 3
    assert (reader.value(PID), other.value(PID)) == (before, idle)
    reader.value(LIMIT, name="lock_timeout", value="0")
    reader.end()
    other.end()
    assert words(database, "locked%") == []


def test_a_commit_that_waits_too_long_for_a_lock_is_no_dead_connection(
    database: Database, notes: str
) -> None:
    with psycopg.connect(notes) as connection:
        connection.execute("LOCK TABLE db_notes")
        with pytest.raises(Unavailable) as caught, database.write() as tx:
            before = tx.value(PID)
            tx.value(LIMIT, name="lock_timeout", value="50")
            tx.run(LATE)

    assert type(caught.value) is Unavailable
    reader = database.read()
    assert reader.value(PID) == before
    reader.end()


def test_a_transaction_is_whole(database: Database) -> None:
    with database.write() as tx:
        tx.run(ADD, word="whole 1")
        assert words(database, "whole%") == []
        tx.run(ADD, word="whole 2")
    assert words(database, "whole%") == ["whole 1", "whole 2"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_it_early_rolls_it_back(
    database: Database, failure: type[BaseException]
) -> None:
    after: list[str] = []
    with pytest.raises(failure), database.write() as tx:
        tx.after_commit(lambda: after.append("never"))
        tx.run(ADD, word="half")
        raise failure
    assert words(database, "half%") == []
    assert after == []


def test_a_failed_statement_rolls_back_and_the_connection_is_good_again(
    database: Database,
) -> None:
    with pytest.raises(pgerrors.DivisionByZero), database.write() as tx:
        tx.run(ADD, word="broken")
        tx.value(BROKEN, x=0)
    for _ in range(3):
        with database.write() as tx:
            assert tx.value(ONE) == 1
    assert words(database, "broken%") == []


def test_effects_wait_until_it_is_durable(database: Database) -> None:
    seen: list[list[str]] = []
    with database.write() as tx:
        tx.after_commit(lambda: seen.append(words(database, "durable%")))
        tx.run(ADD, word="durable")
        assert seen == []
    assert seen == [["durable"]]


def test_an_unused_transaction_costs_nothing(database: Database) -> None:
    with database.write() as tx:
        pass
    assert tx.statements == 0


# ---------------------------------------------------------------- trouble


def test_a_read_on_a_dead_connection_is_run_again(database: Database, notes: str) -> None:
    first, second = database.read(), database.read()
    pids = [first.value(PID), second.value(PID)]
    first.end()
    second.end()
    for pid in pids:
        kill(notes, pid)

    reader = database.read()
    assert reader.value(PID) not in pids
    reader.end()
    with database.write() as tx:
        assert tx.value(PID) not in pids


def test_a_transaction_begins_on_a_live_connection(database: Database, notes: str) -> None:
    reader = database.read()
    pid = reader.value(PID)
    reader.end()
    kill(notes, pid)

    with database.write() as tx:
        tx.run(ADD, word="alive")
    assert words(database, "alive%") == ["alive"]


def test_a_transaction_whose_connection_dies_is_never_run_again(
    database: Database, notes: str
) -> None:
    with pytest.raises(Unavailable), database.write() as tx:
        tx.run(ADD, word="torn 1")
        kill(notes, tx.value(PID))
        tx.run(ADD, word="torn 2")
    assert words(database, "torn%") == []
    with database.write() as tx:
        assert tx.value(ONE) == 1


def test_a_commit_that_cannot_be_known_is_not_called_done(database: Database, notes: str) -> None:
    done: list[str] = []
    with pytest.raises(OutcomeUnknown), database.write() as tx:
        tx.after_commit(lambda: done.append("x"))
        tx.run(ADD, word="unknown")
        kill(notes, tx.value(PID))
    assert done == []


def test_a_plan_that_a_migration_broke_is_made_anew(database: Database, notes: str) -> None:
    reader = database.read()
    assert reader.rows(WIDE) == [(1,)]
    reader.end()
    with psycopg.connect(notes, autocommit=True) as connection:
        connection.execute("ALTER TABLE db_wide ADD COLUMN b int DEFAULT 2")

    reader = database.read()
    assert reader.rows(WIDE) == [(1, 2)]
    reader.end()


@pytest.mark.wide
@pytest.mark.slow
def test_a_statement_that_never_ends_is_ended(notes: str) -> None:
    database = Database(notes, size=1, timeout_ms=500)
    reader = database.read()

    began = time.monotonic()
    with pytest.raises(Unavailable):
        reader.rows(SLEEP, s=30)
    assert time.monotonic() - began < 3
    reader.end()
    # The one connection was not lost with it.
    reader = database.read()
    assert reader.value(ONE) == 1
    reader.end()
    database.close()


def test_without_a_server_it_is_refused_at_once_and_the_next_ones_faster() -> None:
    database = Database("postgresql://nobody@/x?host=/nonexistent", size=2, wait_ms=100)
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            database.read().value(ONE)
        with pytest.raises(Unavailable), database.write() as tx:
            tx.value(ONE)
        # Not one of the 3 s that a connection may take was waited for.
        assert time.monotonic() - began < 3
    # Nothing was used up: the size is what it was.
    assert database._open == 0


def test_who_waits_for_a_connection_that_cannot_be_made_is_refused_with_it() -> None:
    refused: list[str] = []

    def read() -> None:
        with pytest.raises(Unavailable) as caught:
            pool.read().value(ONE)
        refused.append(caught.value.message)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        pool = Database(
            f"postgresql://nobody@{address}/x?sslmode=disable&gssencmode=disable",
            size=1,
            wait_ms=60_000,
        )
        threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        connecting, _ = silent.accept()
        while pool._permits.waiting < 2:
            time.sleep(0.01)
        connecting.close()
        for thread in threads:
            thread.join(20)

    assert refused == ["The database is not available right now"] * 3


NAPS = """
from gevent import monkey

monkey.patch_all()
import sys
from forumapi.database.connections import Database
from forumapi.database.query import Query

nap = Query("test.nap", "SELECT pg_sleep(0.3)")
database = Database(sys.argv[1], timeout_ms=2000)
reader = database.read()
for _ in range(10):
    reader.row(nap)
reader.end()
database.close()
"""


@pytest.mark.slow
class Forgiving(Database):
    """Connects again at once after a refusal."""

    BREAK_S = 0.0  # type: ignore[misc]


def test_one_connection_of_two_that_is_refused_at_the_start_costs_no_slot(notes: str) -> None:
    with psycopg.connect(notes, autocommit=True) as owner:
        owner.execute("CREATE ROLE db_few LOGIN CONNECTION LIMIT 1")
        database = Forgiving(conninfo.make_conninfo(notes, user="db_few"), size=2, wait_ms=0)
        try:
            with pytest.raises(Unavailable):
                database.warm(2)
            owner.execute("ALTER ROLE db_few CONNECTION LIMIT -1")

            readers = [database.read(), database.read()]
            assert [reader.value(ONE) for reader in readers] == [1, 1]
            for reader in readers:
                reader.end()
        finally:
            database.close()
            owner.execute("DROP ROLE db_few")


@pytest.mark.wide
def test_short_waits_of_a_connection_never_add_up_to_a_time_out(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NAPS, database_url], cwd=PROJECT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
