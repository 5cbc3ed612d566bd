"""Reads on a standby (read replica) of the database, exactly as fresh as on the primary (decision 0024).

Before a request's first statement on the standby, the primary is asked for min_lsn (how far its log was written when
the request came) and for a snapshot. The standby answers once it has replayed the log up to min_lsn, so the request
sees all commits acknowledged before: a member's own write, a ban, a deletion, made on whichever node. If that takes
more than `WAIT_S`, or anything is wrong with the standby, the primary answers instead.

A connection is used only after it was proven to lead to a standby that replays this primary's log, on the same
timeline: a standby that follows another server after a promotion has a log of its own, in which the same positions mean
something else. A server that was promoted meanwhile reports it with its answer. Both hold for one connection to one
server, so there must be no pooler between.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Final, NamedTuple

import psycopg
from psycopg import errors as pgerrors

from forumapi.database.connections import Connection, Database, Reader
from forumapi.database.query import Params, Query, Replica, Row
from forumapi.errors import ApiError, TooSlow
from forumapi.observability import metrics
from forumapi.observability.log import logger

# How long a request waits for the standby to catch up with the primary. Replication takes some milliseconds
# where it works.
WAIT_S: Final = 0.02
_PAUSE_S: Final = 0.001
# How often the standby is checked, and how long it may be silent before its connections are given up.
POLL_S: Final = 0.3
_SILENCE_S: Final = 1.0

# A position in the log, as a number of bytes. A commit waits for the disk before it is seen, except for that of a read
# mark: so `flushed` covers all acknowledged commits, and `inserted` all commits that this statement can see.
_BYTES: Final = "pg_wal_lsn_diff({position}, '0/0')::bigint"
_FLUSHED: Final = _BYTES.format(position="pg_current_wal_flush_lsn()")
_TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_flush_lsn()), 8)"
MIN_LSN = Query(
    "standby.min_lsn",
    f"""
    SELECT {_FLUSHED}, {_BYTES.format(position="pg_current_wal_insert_lsn()")}, {_TIMELINE},
           pg_current_snapshot()::text""",
)
# Asked of the primary and of the standby: cluster, and timeline of its log. The standby returns the timeline of its
# last restartpoint, which is never ahead of the one that it replays; and the process that answers, which gives a
# pooler away.
PRIMARY = Query(
    "standby.primary",
    f"SELECT c.system_identifier, {_TIMELINE}, {_FLUSHED} FROM pg_control_system() c",
)
STANDBY = Query(
    "standby.prove",
    """
    SELECT c.system_identifier, lpad(upper(to_hex(k.timeline_id)), 8, '0'), pg_backend_pid()
      FROM pg_control_system() c, pg_control_checkpoint() k""",
)
REPLAYED = Query("standby.replayed", f"SELECT {_BYTES.format(position='pg_last_wal_replay_lsn()')}")

_NOTHING: Final[Params] = {}


class MinLsn(NamedTuple):
    """Positions in the primary's log, in bytes, at the moment when the primary was asked: end of the log `flushed` to
    disk, and of the log `inserted` in memory; with the log's timeline, and a snapshot of the same moment.
    """

    flushed: int
    inserted: int
    timeline: str
    snapshot: str


class Standby(Connection):
    """Connection to a standby, made as Connection is. `timeline`: that on which `prove` has found it to follow the
    primary, "" before.

    `replayed`: position in bytes up to which it had replayed the log when it was last asked.
    """

    __slots__ = ("replayed", "timeline")

    def __init__(self, url: str, *, timeout_s: float) -> None:
        # No statement is prepared before it is known that the session is shared with nobody.
        super().__init__(url, prepare=False, timeout_s=timeout_s)
        self.timeline = ""
        self.replayed = 0

    def prove(self, system: int, timeline: str) -> str:
        """Check that the server is a standby of the primary with the identifier `system`, on that timeline, and without
        a pooler between; return the reason why not, "" if it is. Raises psycopg.Error.
        """
        found, followed, process = self.execute(STANDBY, _NOTHING)[0][0]
        if process != self._pg.backend_pid:
            return "there is a pooler before it, give the address of the standby itself"
        if not self.is_standby:
            return "the server is no standby"
        if found != system:
            return "it is a standby of another database"
        if followed != timeline:
            return f"it was last on timeline {followed}, the primary is on {timeline}"
        self.timeline = timeline
        self._prepare = True
        return ""

    def ask(self) -> int:
        """Ask up to which position, in bytes, the standby has replayed the log; return it and keep it in `replayed`.
        Raises psycopg.Error.
        """
        self.replayed = self.execute(REPLAYED, _NOTHING)[0][0][0] or 0
        return self.replayed

    def close(self) -> None:
        """Close the connection without cancelling a running statement, since a silent server would not take notice."""
        self._raw.close()

    def give_up(self) -> None:
        """Shut the socket down from another thread, so that a request that waits on it gets an error at once."""
        with socket.socket(fileno=os.dup(self.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)


class StandbyPool:
    """Pool of this process's connections to the standby at `url`, and its health.

    `health_problem`: reason why the standby is not read from, "" while it is. `primary`: the server that it must
    follow; `size`: most connections; `timeout_ms`: silence of the standby that is an error. A background thread opens
    connections and proves that each leads to a standby of the primary; a request that finds none free reads from the
    primary.
    """

    def __init__(self, url: str, primary: Database, *, size: int, timeout_ms: int) -> None:
        self.url = url
        self.health_problem = "was not looked at yet"
        self._primary = primary
        self._size = size
        self._timeout_s = timeout_ms / 1000
        self._idle: list[Standby] = []
        self._open: set[Standby] = set()
        self._wanted = 2
        self._is_behind = False
        self._look_now = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def read(self) -> StandbyReader:
        """Return a new reader for one request; it takes no connection before its first statement."""
        return StandbyReader(self._primary, self)

    def start(self) -> None:
        """Check the standby now, then every POLL_S seconds in a background thread until `stop`."""
        self.poll()
        self._thread = threading.Thread(target=self._watch, name="replica", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the background thread to end, and close the idle connections."""
        self._stopped = True
        self._look_now.set()
        self._lose_all()

    # ---------------------------------------------------------------- for requests

    def take(self) -> Standby | None:
        """Take an idle connection for a request; None if the standby is behind, or no connection is idle. In the latter
        case have the background thread open one more, unless `size` are open or the standby is not healthy. Never
        waits.
        """
        if self._is_behind:
            metrics.REPLICA_READS.add(1, "behind")
            return None
        if self._idle:
            return self._idle.pop()
        metrics.REPLICA_READS.add(1, "away" if self.health_problem else "busy")
        if not self.health_problem and self._wanted < self._size:
            self._wanted += 1
            self._look_now.set()
        return None

    def give_back(self, standby: Standby) -> None:
        """Put a connection back for the next request; close it if a statement is still running on it, or if the pool
        gave all connections up meanwhile.
        """
        if standby in self._open and standby.is_idle:
            self._idle.append(standby)
        else:
            self.lose(standby)

    def lose(self, standby: Standby) -> None:
        """Close a connection for good, since it can't be used any more."""
        self._open.discard(standby)
        standby.close()

    def fell_behind(self) -> None:
        """Record that a request has waited for the standby in vain: no request takes a connection until a check finds
        that it is behind no more. Wakes the background thread for a check, and does not wait for it.
        """
        self._is_behind = True
        self._look_now.set()

    # ---------------------------------------------------------------- looking at it

    def _watch(self) -> None:
        while not self._stopped:
            self._look_now.wait(POLL_S)
            self._look_now.clear()
            if not self._stopped:
                self.poll()

    def poll(self) -> None:
        """Check the standby, open connections that are wanted, and log if its health has changed."""
        problem = self.fault()
        if problem != self.health_problem:
            self.health_problem = problem
            if problem:
                logger.warning("the standby is not read from: %s", problem)
            else:
                logger.info("the standby is read from")
        metrics.REPLICA_USED.set(0 if problem else 1)

    def fault(self) -> str:
        """Check the standby and open connections; return the reason why it can't be read from now, "" if it can. If a
        server can't be reached, give up all connections to the standby; nothing is raised for that.
        """
        try:
            return self._examine()
        except (psycopg.Error, ApiError, OSError) as error:
            self._lose_all()
            return str(error).strip().partition("\n")[0] or type(error).__name__

    def _examine(self) -> str:
        reader = self._primary.read()
        try:
            row = reader.row(PRIMARY)
        finally:
            reader.end()
        assert row is not None, "the statement returns one row"
        system, timeline, flushed = row
        for standby in [one for one in self._idle if one.timeline != timeline]:
            self._idle.remove(standby)
            self.lose(standby)
        # One connection is asked anew each time, so that a silent server is noticed.
        timer = threading.Timer(_SILENCE_S, self._silent)
        timer.daemon = True
        timer.start()
        tried = None
        try:
            tried = self._idle.pop(0) if self._idle else self._connect()
            problem = tried.prove(system, timeline)
            self._is_behind = not problem and not _reaches(tried, flushed)
        except BaseException:
            if tried is not None:
                self.lose(tried)
            raise
        finally:
            timer.cancel()
        if problem:
            self.lose(tried)
            self._lose_all()
            return problem
        self.give_back(tried)
        if self._is_behind:
            return f"it is {flushed - tried.replayed:,} bytes behind"
        while len(self._open) < self._wanted:
            another = self._connect()
            try:
                problem = another.prove(system, timeline)
            except BaseException:
                self.lose(another)
                raise
            if problem:
                # The address leads to several servers, of which this one is not healthy.
                self.lose(another)
                break
            self.give_back(another)
        return problem

    def _connect(self) -> Standby:
        standby = Standby(self.url, timeout_s=self._timeout_s)
        self._open.add(standby)
        return standby

    def _silent(self) -> None:
        """Give up all connections to a standby that did not answer a check in time; requests that wait for it go on
        with the primary.
        """
        for standby in list(self._open):
            with contextlib.suppress(psycopg.Error, OSError):
                standby.give_up()

    def _lose_all(self) -> None:
        """Give up all connections: close the idle ones now, those in use when their requests give them back."""
        idle, self._idle = self._idle, []
        self._open.clear()
        for standby in idle:
            standby.close()


def _reaches(standby: Standby, needed: int) -> bool:
    """Ask until the standby has replayed the log up to `needed`, for WAIT_S at most; return True if it has. Raises
    psycopg.Error.
    """
    deadline = time.monotonic() + WAIT_S
    while standby.ask() < needed:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


class StandbyReader(Reader):
    """Reader of one request: on the standby for queries that allow that, on the primary for others.

    The reader keeps one connection to the standby, since another server behind the same address may be further behind.
    Once the standby could not answer, all later reads of the request are the primary's.
    """

    __slots__ = ("_is_refused", "_min_lsn", "_standby", "_standbys")

    def __init__(self, primary: Database, standbys: StandbyPool) -> None:
        super().__init__(primary)
        self._standbys = standbys
        self._standby: Standby | None = None
        self._min_lsn: MinLsn | None = None
        self._is_refused = False

    def rows(self, query: Query, **params: object) -> list[Row]:
        """Return all rows of `query`, run with `params` (by name), as tuples in the order of its columns; [] for none.
        Raises Unavailable (TooSlow, NoRoom), psycopg.Error.
        """
        if query.replica is not Replica.NEVER and not self._is_refused:
            found = self._on_standby(query, params)
            if found is not None:
                metrics.REPLICA_READS.add(1, "standby")
                return found
            self._is_refused = True
        return super().rows(query, **params)

    def run(self, query: Query, **params: object) -> int:
        """Run a write with `params` (by name) on the primary, outside a transaction; return the number of rows changed,
        and raise as `Reader.run` does. Later reads of this request on the standby wait until they see the write.
        """
        self._min_lsn = None
        return super().run(query, **params)

    def end(self) -> None:
        """Give the connections to the standby and to the primary back. Later reads of this request see commits made
        meanwhile.
        """
        self._min_lsn = None
        if self._standby is not None:
            standby, self._standby = self._standby, None
            self._standbys.give_back(standby)
        super().end()

    def _on_standby(self, query: Query, params: Params) -> list[Row] | None:
        """Run `query` on the standby, once it has replayed enough, and return its rows; return None if the primary must
        answer. Raises TooSlow if the statement is cancelled, psycopg.DataError for a value that it refuses, Unavailable
        if the primary can't be asked for min_lsn.
        """
        standby = self._standby
        if standby is None:
            standby = self._standby = self._standbys.take()
            if standby is None:
                return None
        min_lsn = self._min_lsn or self._ask_min_lsn()
        if min_lsn.timeline != standby.timeline:
            self._refuse("away")
            return None
        shows_marks = query.replica is Replica.ALL and params.get("me")
        # A request holds one connection that works at a time.
        super().end()
        try:
            if not self._is_far_enough(
                standby, min_lsn.inserted if shows_marks else min_lsn.flushed
            ):
                # A wait for the primary's disk says nothing about the standby.
                if standby.replayed < min_lsn.flushed:
                    self._standbys.fell_behind()
                metrics.REPLICA_READS.add(1, "behind")
                return None
            rows, _ = self._timed(standby, query, params)
        except pgerrors.QueryCanceled as error:
            raise TooSlow("The database took too long") from error
        except psycopg.DataError:
            # The primary would refuse the value too.
            metrics.REPLICA_READS.add(1, "standby")
            raise
        except psycopg.Error as error:
            # It went away, or replaying the log needed the rows that the statement was reading (40001).
            logger.info("the standby did not answer %s: %s", query.name, error)
            self._refuse("failed")
            return None
        except BaseException:
            # A killed greenlet leaves an answer unread; a value that can't be sent leaves none.
            if standby.is_busy:
                self._refuse("failed")
            raise
        if not standby.is_standby:
            self._refuse("away")
            return None
        return rows

    def _is_far_enough(self, standby: Standby, needed: int) -> bool:
        if standby.replayed >= needed:
            return True
        self.statements += 1
        began = time.perf_counter()
        try:
            return _reaches(standby, needed)
        finally:
            self.seconds += time.perf_counter() - began

    def _ask_min_lsn(self) -> MinLsn:
        row = super().row(MIN_LSN)
        assert row is not None, "the statement returns one row"
        min_lsn = self._min_lsn = MinLsn(*row)
        if self.snapshot is None:
            # The oldest snapshot holds for all reads of this request.
            self.snapshot = min_lsn.snapshot
        return min_lsn

    def _refuse(self, outcome: str) -> None:
        """Read from the standby no more in this request. `outcome`: reason, for the metric; for the reason "failed" the
        connection goes back to the pool, which closes it unless it is idle; for any other it is closed.
        """
        metrics.REPLICA_READS.add(1, outcome)
        standby, self._standby = self._standby, None
        if standby is not None:
            if outcome == "failed":
                self._standbys.give_back(standby)
            else:
                self._standbys.lose(standby)
