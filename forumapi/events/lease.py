"""Leases: work that one process of all does at a time, with an epoch for each term (decision 0026).

The holder renews a lease each second; after three seconds without renewal, or as soon as its connection is gone,
another process takes the lease and increments its epoch. Time alone would not do: a frozen process does not notice that
its term is over, and goes on with the work it had begun. So each effect is a transaction that holds the row of the
lease at the epoch of its term (`hold`): it can't begin in a later term, and the next holder first ends effects under
way.
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
    """Loss of a lease: another process holds it now and has taken over the work."""

    def __init__(self) -> None:
        super().__init__("Another process has taken over")


class Lease:
    """Lease `name`, as one process knows it. `url`: direct address of the database.

    `take` and `release` are for one thread; `holds` and `hold` may be called in any.
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
        """Return True if this process holds the lease, by the time of its last renewal; no statement is run."""
        return time.monotonic() < self._until

    @property
    def turn(self) -> dict[str, object]:
        """Return the parameters of HOLD: the name and the epoch of this process's present term, or of its last one."""
        return {"name": self._name, "epoch": self._epoch}

    def hold(self, tx: Reader) -> None:
        """Tie the transaction `tx` to this process's term: it commits before the next term begins, or not at all.

        Raises LostError if another term has begun.
        """
        if tx.row(HOLD, **self.turn) is None:
            raise LostError

    def now(self) -> datetime.datetime:
        """Return the present time by the database's clock, since the machine's may be wrong or change.

        It is the value at the last renewal plus the time since (monotonic).
        """
        told, since = self._told
        return told + datetime.timedelta(seconds=time.monotonic() - since)

    def take(self) -> bool:
        """Take the lease if it is free, and renew it in the background; return True if this process holds it.

        Raises psycopg.Error.
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
        """Give the lease back, and close the connection."""
        self._until = 0.0
        was_held = self._end_thread()
        if was_held and self._connection is not None:
            # Else the next holder would have to notice that the connection is gone.
            with contextlib.suppress(psycopg.Error):
                self._connection.execute(GIVE_BACK, self.turn)
        self._close()

    def _end_thread(self) -> bool:
        """Stop the renewal; return True if it was running."""
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
