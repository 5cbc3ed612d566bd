"""Client of PostgreSQL: a pool of connections (LIFO, fair between sites), and reads and transactions of statements that
each connection prepares once.

Statements run on psycopg's libpq wrapper with its C loaders, without its cursor, which costs four times the CPU of the
statement itself on the hot path. Parameters go as text (PostgreSQL knows their types from the prepared statement),
results come back binary, rows are tuples.

A connection goes back to the pool only after a normal exit with transaction status IDLE; in any other case it is
closed.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final

import psycopg
import psycopg.adapt
from psycopg import errors as pgerrors
from psycopg import pq

from forumapi.database.connection_permits import NO_SITE, ConnectionPermits
from forumapi.database.query import Params, Query, Row, dump
from forumapi.errors import NoRoom, OutcomeUnknown, TooSlow, Unavailable
from forumapi.observability import metrics
from forumapi.observability.log import logger

_BINARY: Final = 1
_NO_ROOM: Final = "The database has no room left"
# Errors of a statement that ran too long, or needed too much.
_TOO_MUCH: Final = (
    pgerrors.QueryCanceled,
    pgerrors.ProgramLimitExceeded,
    pgerrors.StatementTooComplex,
)

Wait = Callable[[bool], None]


def _is_end_of_connection(error: psycopg.Error) -> bool:
    """Return True for the error of a lost or silent server, after which nobody knows if the statement took effect. Any
    other error is that of one statement, and leaves the connection usable.
    """
    state = error.sqlstate or ""
    return isinstance(error, SilenceError) or not state or state.startswith(("08", "57P"))


def _unavailable(error: psycopg.Error) -> Unavailable:
    """Return the exception to raise for an error of the database: TooSlow for a statement that was cancelled or needed
    too much, NoRoom for a full disk, Unavailable for any other.
    """
    if isinstance(error, _TOO_MUCH):
        return TooSlow("The database took too long")
    if isinstance(error, pgerrors.DiskFull):
        return NoRoom(_NO_ROOM)
    return Unavailable("The database is not available right now")


class SilenceError(pgerrors.QueryCanceled):
    """Error of a server that sent no answer in time, not even the error of its own statement timeout."""


def _waiter(fd: int, timeout_s: float) -> Wait:
    """Make a function that blocks until the socket `fd` is readable or, called with True, writable: by gevent where the
    standard library is patched, else by poll.

    The function raises SilenceError after `timeout_s`, since a frozen server does not keep its own time limits.
    """
    from gevent.monkey import get_original, is_module_patched

    if is_module_patched("socket"):
        from gevent import get_hub, getcurrent

        hub = get_hub()
        readable, writable = hub.loop.io(fd, 1), hub.loop.io(fd, 2)
        # One timer for all waits: making one costs more than the rest of a wait. It repeats, since `again` gives
        # such a timer its whole time; after `stop`, `start` goes on with what the waits before have left of it.
        timer = hub.loop.timer(timeout_s, timeout_s)
        poll_now = get_original("select", "poll")

        def is_ready(write: bool) -> bool:
            poller = poll_now()
            poller.register(fd, select.POLLOUT if write else select.POLLIN)
            return bool(poller.poll(0))

        def wait(write: bool) -> None:
            timer.again(getcurrent().throw, SilenceError, "no answer in time")
            try:
                hub.wait(writable if write else readable)
            except SilenceError:
                # A process that was not scheduled for so long may find the answer there.
                if not is_ready(write):
                    raise
            finally:
                timer.stop()

        return wait

    def poll(write: bool) -> None:
        poller = select.poll()
        poller.register(fd, select.POLLOUT if write else select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            raise SilenceError("no answer in time")

    return poll


class Connection:
    """Connection to PostgreSQL, in autocommit. Runs one statement at a time; no two greenlets may use it at once.

    `url`: libpq address; `prepare`: each statement is prepared at its first run here; `timeout_s`: after which a silent
    server is an error. The constructor connects, and raises psycopg.Error.
    """

    __slots__ = (
        "_is_silent",
        "_loader",
        "_pg",
        "_prepare",
        "_prepared",
        "_raw",
        "_wait",
        "site_id",
    )

    # How long cancelling a statement may take on a server that answers.
    CANCEL_S: Final = 1.0

    def __init__(self, url: str, *, prepare: bool, timeout_s: float) -> None:
        self._raw = psycopg.Connection.connect(
            url, autocommit=True, connect_timeout=3, tcp_user_timeout=10_000
        )
        self._pg = self._raw.pgconn
        self._prepare = prepare
        self._prepared: set[bytes] = set()
        self._is_silent = False
        # Whose request holds it.
        self.site_id = NO_SITE
        self._loader = psycopg.adapt.Transformer(self._raw)
        self._wait = _waiter(self._pg.socket, timeout_s)
        # Every statement is prepared once and has one good plan; planning a page statement anew costs
        # more than running it.
        self.command(
            b"SET TimeZone = 'UTC'; SET plan_cache_mode = 'force_generic_plan'; SET jit = off"
        )

    def _result(self) -> pq.abc.PGresult:
        """Wait until the server has finished the command; return its last result. Raises psycopg.Error."""
        try:
            return self._take_result()
        except SilenceError:
            self._is_silent = True
            raise

    def _take_result(self) -> pq.abc.PGresult:
        pg = self._pg
        while pg.flush():
            self._wait(True)
        result = None
        while True:
            while pg.is_busy():
                self._wait(False)
                pg.consume_input()
            one = pg.get_result()
            if one is None:
                break
            result = one
        if result is None:
            raise psycopg.OperationalError("the connection was lost")
        if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE):
            raise pgerrors.error_from_result(result, "utf-8")
        return result

    def command(self, sql: bytes) -> None:
        """Run SQL without parameters, whose rows are dropped. Raises psycopg.Error."""
        self._pg.send_query(sql)
        self._result()

    def execute(self, query: Query, params: Params) -> tuple[list[Row], int]:
        """Run `query` with `params`, values by name; return its rows and their number or, for a statement that returns
        no rows, [] and the number of rows it changed. Raises psycopg.Error.
        """
        values = [dump(params[name]) for name in query.names]
        if self._prepare:
            if query.prepared not in self._prepared:
                self._pg.send_prepare(query.prepared, query.text)
                self._result()
                self._prepared.add(query.prepared)
            self._pg.send_query_prepared(query.prepared, values, result_format=_BINARY)
        else:
            self._pg.send_query_params(query.text, values, result_format=_BINARY)
        result = self._result()
        if result.status == pq.ExecStatus.TUPLES_OK:
            count = result.ntuples
            if not count:
                return [], 0
            self._loader.set_pgresult(result, set_loaders=True, format=pq.Format.BINARY)
            return self._loader.load_rows(0, count, tuple), count
        return [], result.command_tuples or 0

    @property
    def socket(self) -> int:
        """Return the file descriptor of the socket, on which to wait for notifications."""
        return self._pg.socket

    def notifications(self) -> list[tuple[bytes, bytes]]:
        """Return the notifications received since the last call, as (channel, payload), oldest first; [] if none
        has come. Never waits. Raises psycopg.Error.
        """
        self._pg.consume_input()
        found = []
        while (one := self._pg.notifies()) is not None:
            found.append((one.relname, one.extra))
        return found

    @property
    def is_standby(self) -> bool:
        """Return True if the server reported with its last answer that it is in recovery; nothing is sent."""
        return self._pg.parameter_status(b"in_hot_standby") == b"on"

    @property
    def is_busy(self) -> bool:
        """Return True while a statement runs, or its answer is unread."""
        return self._pg.transaction_status == pq.TransactionStatus.ACTIVE

    @property
    def is_idle(self) -> bool:
        """Return True when the server waits for a statement outside any transaction."""
        return self._pg.transaction_status == pq.TransactionStatus.IDLE

    def close(self) -> None:
        """Close the connection; a statement that is running is cancelled on the server first, unless the server is
        silent.
        """
        with contextlib.suppress(psycopg.Error):
            if self.is_busy and not self._is_silent:
                # libpq's other way to cancel would block the whole process instead of this greenlet.
                self._raw.cancel_safe(timeout=self.CANCEL_S)
        self._raw.close()


class Database:
    """Pool of this process's connections to one PostgreSQL server, opened when needed.

    `url`: libpq address; `size`: most connections at a time; `wait_ms`: how long a request waits for a free one before
    it is refused with 503; `prepare`: False behind a transaction pooler; `timeout_ms`: silence of the server that is an
    error.
    """

    # After a failed connect, requests are refused at once for this long instead of trying again each.
    BREAK_S: Final = 0.25

    def __init__(
        self,
        url: str,
        *,
        size: int = 12,
        wait_ms: int = 1000,
        prepare: bool = True,
        timeout_ms: int = 10_000,
    ) -> None:
        self.url = url
        self._size = size
        self._most_idle = size
        self._prepare = prepare
        self._timeout_s = timeout_ms / 1000
        self._idle: list[Connection] = []
        self._open = 0
        self._permits = ConnectionPermits(size, wait_ms / 1000)
        self._broken_until = 0.0

    def bind_sites(self, percent: int) -> None:
        """Let one site hold `percent` of the connections at most, rounded up."""
        self._permits.bind(percent)

    def warm(self, count: int) -> None:
        """Open `count` connections now (at most `size`), so that the first requests need not. Raises Unavailable."""
        opened: list[Connection] = []
        try:
            while len(opened) < min(count, self._size):
                opened.append(self._acquire())
        finally:
            for connection in opened:
                self._release(connection)

    def _acquire(self, site_id: int = NO_SITE) -> Connection:
        self._permits.take(site_id)
        try:
            connection = self._idle.pop() if self._idle else self._connect()
        except BaseException:
            # Who waits next is refused at once as well, where the server is away.
            self._permits.give(site_id)
            raise
        connection.site_id = site_id
        return connection

    def _connect(self) -> Connection:
        if time.monotonic() < self._broken_until:
            metrics.DATABASE_REFUSED.add(1, "away")
            raise Unavailable("The database is not available right now")
        self._open += 1
        try:
            return Connection(self.url, prepare=self._prepare, timeout_s=self._timeout_s)
        except psycopg.OperationalError as error:
            self._broken_until = time.monotonic() + self.BREAK_S
            self._open -= 1
            metrics.DATABASE_REFUSED.add(1, "away")
            logger.warning("database connect failed: %s", error)
            raise Unavailable("The database is not available right now") from error
        except BaseException:
            self._open -= 1
            raise

    def sample_gauges(self) -> None:
        """Set the metrics of the pool to its present state, and add the statements run since the last call, by name, to
        their counters.
        """
        idle = len(self._idle)
        metrics.DATABASE_CONNECTIONS.set(idle, "idle")
        metrics.DATABASE_CONNECTIONS.set(self._open - idle, "busy")
        metrics.DATABASE_WAITING.set(self._permits.waiting)
        for query in Query.all.values():
            if query.calls:
                metrics.QUERY_CALLS.add(query.calls, query.name)
                metrics.QUERY_SECONDS.add(query.seconds, query.name)
                query.calls, query.seconds = 0, 0.0

    def _release(self, connection: Connection) -> None:
        """Put a connection into the pool for the next request, or close it if the pool has its most idle ones already
        (`size`; one after `retire`). Gives its permit back.
        """
        if len(self._idle) >= self._most_idle:
            self._discard(connection)
            return
        # Read before another thread can take the connection for another site.
        site_id = connection.site_id
        self._idle.append(connection)
        self._permits.give(site_id)

    def _discard(self, connection: Connection) -> None:
        """Close a connection that a request held, and give its permit back."""
        try:
            self._close(connection)
        finally:
            self._permits.give(connection.site_id)

    def _close(self, connection: Connection) -> None:
        self._open -= 1
        connection.close()

    def _drop_idle(self) -> None:
        """Close all idle connections, after one was found dead: the others of its age are likely dead too."""
        while self._idle:
            self._close(self._idle.pop())

    def retire(self) -> None:
        """Keep at most one idle connection from now on; requests may still open as many as before."""
        self._most_idle = 1
        while len(self._idle) > 1:
            self._close(self._idle.pop())

    def close(self) -> None:
        """Close the idle connections; those in use go back to the pool as before."""
        self._drop_idle()

    def read(self) -> Reader:
        """Return a new Reader; it takes no connection before its first statement. The caller calls its `end()`."""
        return Reader(self)

    @contextlib.contextmanager
    def write(self, site_id: int = NO_SITE) -> Iterator[Transaction]:
        """Run the with statement in a new transaction: committed on its normal exit, rolled back on an exception.
        Raises what `Transaction.commit` raises. `site_id`: the site whose share of the connections it takes one from;
        NO_SITE for work that is no site's.
        """
        tx = Transaction(self)
        tx.site_id = site_id
        try:
            yield tx
            tx.commit()
        finally:
            tx.end()


class Reader:
    """Reads of one request, in autocommit: takes a connection with the first statement, and keeps it until `end()`.

    `statements`: number of statements so far, each a round trip; `seconds`: the time they took; `cache_trips`: round
    trips to memcached; `site_id`: the site whose share of the connections it uses; `steps`: in a traced request (name,
    begin, seconds) of each statement, else None. A read that fails because its connection is dead, or a migration
    changed its plan, is run once more on another connection.

    `snapshot`: once a standby has answered, a snapshot of the primary that is older than everything read, since a
    standby's own would not list transactions in progress; before that None.
    """

    __slots__ = (
        "_connection",
        "_database",
        "cache_trips",
        "seconds",
        "site_id",
        "snapshot",
        "statements",
        "steps",
    )

    # True where its connection may be given back while it waits for another request (single_flight.py).
    may_wait = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        # Whose connection it will be.
        self.site_id = NO_SITE
        self.statements = 0
        self.seconds = 0.0
        self.cache_trips = 0
        self.snapshot: str | None = None
        # Of a traced request: each statement, when it began, and how long it took.
        self.steps: list[tuple[str, float, float]] | None = None

    def rows(self, query: Query, **params: object) -> list[Row]:
        """Return all rows of `query`, tuples in the order of its columns; [] for none. `params`: its parameters by
        name. Raises Unavailable (TooSlow for a cancelled statement, NoRoom), psycopg.Error.
        """
        try:
            return self._execute(query, params)[0]
        except pgerrors.FeatureNotSupported:
            self._lose()
        except psycopg.OperationalError as error:
            is_end = _is_end_of_connection(error)
            if is_end:
                self._lose()
            if not is_end or isinstance(error, SilenceError):
                raise _unavailable(error) from error
            self._database._drop_idle()
        try:
            return self._execute(query, params)[0]
        except psycopg.OperationalError as error:
            if _is_end_of_connection(error):
                self._lose()
            raise _unavailable(error) from error

    def row(self, query: Query, **params: object) -> Row | None:
        """Return the first row of `query`; None if there is none. Raises as `rows` does."""
        rows = self.rows(query, **params)
        return rows[0] if rows else None

    def value(self, query: Query, **params: object) -> Any:
        """Return the first column of the first row of `query`; None if there is no row, or that column is NULL. Raises
        as `rows` does.
        """
        row = self.row(query, **params)
        return row[0] if row else None

    def run(self, query: Query, **params: object) -> int:
        """Run a write with `params` (by name) by itself, outside a transaction, such as that of a read mark, and never
        a second time; return the number of rows changed. Raises Unavailable (TooSlow, NoRoom), psycopg.Error.
        """
        try:
            return self._execute(query, params)[1]
        except psycopg.OperationalError as error:
            if _is_end_of_connection(error):
                self._lose()
            raise _unavailable(error) from error

    def _execute(self, query: Query, params: Params) -> tuple[list[Row], int]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._database._acquire(self.site_id)
        try:
            return self._timed(connection, query, params)
        except psycopg.Error:
            raise
        except BaseException:
            # A killed greenlet leaves an answer unread: the connection can't be used again. A value that can't be
            # sent leaves it as it was.
            if connection.is_busy:
                self._lose()
            raise

    def _timed(self, connection: Connection, query: Query, params: Params) -> tuple[list[Row], int]:
        self.statements += 1
        began = perf_counter()
        try:
            return connection.execute(query, params)
        finally:
            took = perf_counter() - began
            self.seconds += took
            query.calls += 1
            query.seconds += took
            if self.steps is not None:
                self.steps.append((query.name, began, took))

    def _lose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._database._discard(connection)

    def end(self) -> None:
        """Give the connection back to the pool, or close it if a statement is still running. A later statement takes a
        connection again.
        """
        if self._connection is not None:
            connection, self._connection = self._connection, None
            if connection.is_idle:
                self._database._release(connection)
            else:
                self._database._discard(connection)


class Transaction(Reader):
    """Transaction of reads and writes, begun with its first statement. Made by `Database.write`. `changes_site`: True
    once one of its statements incremented versions of a site.
    """

    __slots__ = ("_after", "_begun", "changes_site")

    may_wait = False

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._begun = False
        self._after: list[Callable[[], None]] = []
        # True once one of its statements incremented versions of a site.
        self.changes_site = False

    def rows(self, query: Query, **params: object) -> list[Row]:
        """Return all rows of `query`, run with `params` (by name), as tuples in the order of its columns; [] for none.
        Raises Unavailable (TooSlow, NoRoom), psycopg.Error.

        Unlike a Reader it never runs a statement a second time, since the earlier ones of the transaction are lost with
        its connection.
        """
        try:
            return self._execute(query, params)[0]
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    def run(self, query: Query, **params: object) -> int:
        """Run `query` with `params` (by name); return the number of rows it changed. Raises Unavailable (TooSlow,
        NoRoom), psycopg.Error.
        """
        try:
            return self._execute(query, params)[1]
        except psycopg.OperationalError as error:
            raise _unavailable(error) from error

    def _execute(self, query: Query, params: Params) -> tuple[list[Row], int]:
        if not self._begun:
            self._begin()
        self.changes_site |= query.changes_site
        return super()._execute(query, params)

    def _begin(self) -> None:
        """Send BEGIN, and once more over a new connection if the first one is dead, but not if its server is silent.
        Raises Unavailable.
        """
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = self._database._acquire(self.site_id)
            try:
                self._connection.command(b"BEGIN")
            except psycopg.OperationalError as error:
                self._lose()
                self._database._drop_idle()
                if attempt == 2 or isinstance(error, SilenceError):
                    raise _unavailable(error) from error
            except BaseException:
                self._lose()
                raise
            else:
                self._begun = True
                return

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Have `commit` call `effect` once the transaction is committed, after those given earlier; after a rollback it
        is never called.
        """
        self._after.append(effect)

    def commit(self) -> None:
        """Commit, then call the effects given to `after_commit`, also if the transaction ran no statement. Raises
        Unavailable, OutcomeUnknown if the server's answer was lost, or psycopg.Error.
        """
        if self._begun and self._connection is not None:
            began = perf_counter()
            try:
                self._connection.command(b"COMMIT")
            except psycopg.OperationalError as error:
                if _is_end_of_connection(error):
                    self._lose()
                    raise OutcomeUnknown from error
                raise _unavailable(error) from error
            except BaseException:
                self._lose()
                raise
            self._begun = False
            self.seconds += perf_counter() - began
        effects, self._after = self._after, []
        for effect in effects:
            effect()

    def end(self) -> None:
        """Roll back what is not committed, and give the connection back."""
        if self._begun and self._connection is not None and not self._connection.is_idle:
            try:
                self._connection.command(b"ROLLBACK")
            except psycopg.OperationalError:
                # The connection is dead; the server rolls its transaction back by itself.
                self._lose()
            except BaseException:
                self._lose()
                raise
        self._begun = False
        super().end()
