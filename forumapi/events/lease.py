"""Leases, by which one process at a time does some work, with an epoch (fencing token) for each term (decision 0026).

The holder renews its lease each second. After three seconds without renewal, or as soon as the holder's connection is
gone, another process may take it, and increments the epoch. Time alone is not safe: a frozen process does not notice
that its term is over, and goes on with what it had begun. So each effect of the work is a transaction that locks the
lease's row at its term's epoch (`hold`): it can't begin in a later term, and the next holder first ends the
transactions that hold it.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from typing import Final

import psycopg

from forumapi.database.connections import Connection, Reader
from forumapi.database.query import Query
from forumapi.errors import Unavailable

# Another process leads within TTL_S and TRY_S after one was frozen.
TTL_S: Final = 3.0
RENEW_S: Final = 1.0
TRY_S: Final = 1.0
# A renewal that takes longer has failed, whatever its outcome.
_LIMIT_S: Final = 5.0

_FREE: Final = """
       (l.expires < clock_timestamp() OR NOT EXISTS (SELECT FROM pg_stat_activity h WHERE h.pid = l.backend))"""
IS_FREE = Query("lease.is_free", f"SELECT {_FREE} FROM leases l WHERE l.name = %(name)s")

# Effects of the term before carry its name. Waits until they are gone, for half a second each at most.
END = Query(
    "lease.end",
    f"""
    SELECT bool_and(pg_terminate_backend(a.pid, 500))
      FROM leases l
      JOIN pg_stat_activity a ON a.datname = current_database()
                             AND a.application_name = 'forumapi ' || l.name || ' ' || l.epoch
     WHERE l.name = %(name)s AND {_FREE}""",
)

# Never waits: with an effect under way it is tried again.
TAKE = Query(
    "lease.take",
    f"""
    UPDATE leases t
       SET epoch = t.epoch + 1, backend = pg_backend_pid(),
           expires = clock_timestamp() + make_interval(secs => %(ttl_s)s::float8)
      FROM (SELECT l.name FROM leases l WHERE l.name = %(name)s AND {_FREE} FOR UPDATE SKIP LOCKED) free
     WHERE t.name = free.name
 RETURNING t.epoch, clock_timestamp()""",
)

RENEW = Query(
    "lease.renew",
    """
    UPDATE leases l
       SET expires = clock_timestamp() + make_interval(secs => %(ttl_s)s::float8)
     WHERE l.name = %(name)s AND l.epoch = %(epoch)s
 RETURNING clock_timestamp()""",
)

GIVE_BACK = Query(
    "lease.give_back",
    "UPDATE leases l SET expires = '-infinity' WHERE l.name = %(name)s AND l.epoch = %(epoch)s",
)

HOLD = Query(
    "lease.hold",
    """
    SELECT set_config('application_name', 'forumapi ' || l.name || ' ' || l.epoch, true)
      FROM leases l
     WHERE l.name = %(name)s AND l.epoch = %(epoch)s
       FOR KEY SHARE""",
)


class LostError(Unavailable):
    """Error of work in a term that is over: another process holds the lease, or may hold it."""

    def __init__(self) -> None:
        super().__init__("Another process has taken over")


class Lease:
    """Lease `name`, which this process tries to take; held by this process or not. `url`: direct address of the
    database, over which the lease keeps a connection of its own.

    One thread alone calls `take` and `release`; any may call the others.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._epoch = 0
        self._until = 0.0
        self._told = (datetime.datetime.now(datetime.UTC), time.monotonic())
        self._connection: Connection | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def holds(self) -> bool:
        """Return True if this process has taken or renewed the lease within its time to live; the database is not
        asked.
        """
        return time.monotonic() < self._until

    @property
    def turn(self) -> dict[str, object]:
        """Return the parameters of the statement HOLD: name, and epoch of this process's present or last term."""
        return {"name": self._name, "epoch": self._epoch}

    def hold(self, tx: Reader) -> None:
        """Tie the open transaction `tx` to this process's term, so that it commits before the next term begins, or
        never. Raises LostError if another term has begun.
        """
        if tx.row(HOLD, **self.turn) is None:
            raise LostError

    def now(self) -> datetime.datetime:
        """Return the present time, in UTC with its zone, by the database's clock, since that of this machine may be
        wrong or be set.

        The time is the database's at the last renewal, plus the monotonic time since; before the first term it is this
        machine's.
        """
        told, since = self._told
        return told + datetime.timedelta(seconds=time.monotonic() - since)

    def take(self) -> bool:
        """Take the lease if no process holds it, after ending the transactions of the term before, and renew it in a
        thread from then on; return True if this process holds it now. Raises psycopg.Error if the database fails.
        """
        if self.holds():
            return True
        self._end_thread()
        if self._connection is None:
            self._connection = Connection(self._url, prepare=False, timeout_s=_LIMIT_S)
        try:
            return self._try(self._connection)
        except BaseException:
            self._close()
            raise

    def _try(self, connection: Connection) -> bool:
        params = {"name": self._name, "ttl_s": TTL_S}
        rows, _ = connection.execute(IS_FREE, params)
        if not rows or not rows[0][0]:
            return False
        connection.execute(END, params)
        sent = time.monotonic()
        rows, _ = connection.execute(TAKE, params)
        if not rows:
            return False
        self._epoch, now = rows[0]
        self._know(sent, now)
        self._done.clear()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return True

    def _know(self, sent: float, now: datetime.datetime) -> None:
        self._until = sent + TTL_S
        self._told = (now.astimezone(datetime.UTC), time.monotonic())

    def _renew(self) -> None:
        params = {**self.turn, "ttl_s": TTL_S}
        while not self._done.wait(RENEW_S):
            connection = self._connection
            sent = time.monotonic()
            try:
                rows = connection.execute(RENEW, params)[0] if connection is not None else []
            except psycopg.Error:
                rows = []
            if not rows:
                self._until = 0.0
                return
            self._know(sent, rows[0][0])

    def release(self) -> None:
        """Stop renewing, give the lease back if it is held, so that another process can take it at once, and close the
        connection. A database that does not answer is no error.
        """
        self._until = 0.0
        was_held = self._end_thread()
        if was_held and self._connection is not None:
            # Else the next holder would have to notice that the connection is gone.
            with contextlib.suppress(psycopg.Error):
                self._connection.execute(GIVE_BACK, self.turn)
        self._close()

    def _end_thread(self) -> bool:
        """Stop the thread that renews, and wait for its end; return True if it was still renewing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        was_held = thread.is_alive()
        self._done.set()
        thread.join()
        return was_held

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                connection.close()
